/* The whole path from bytes to bytes, over the fixture of spec/dns.md. The first byte chooses
 * transport and settings, the rest is the message. Whatever is answered must be sound, in the eyes
 * of tests/lib/dns_check.c, and no larger than the client takes. */
#include "../../unit/web/dns_world.h"
#include "base/buf.h"
#include "dns_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void configure(struct world *w, uint8_t choice)
{
    world_forget(w);
    w->config.enable_truncate = (choice & 1) != 0;
    w->config.disable_compression = (choice & 2) != 0;
    w->config.only_passing = (choice & 4) != 0;
    w->config.node_meta_txt = (choice & 8) == 0;
    w->config.udp_answer_limit = (choice & 16) != 0 ? 20 : 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct world *w;
    static uint8_t answer[MU_DNS_TCP_MAX];
    struct mu_buf text = MU_BUF_NONE;
    struct dns_answered answered;
    struct dns_query q;

    if (w == NULL) {
        w = world_new();
    }
    if (bytes < 1 || bytes > MU_DNS_TCP_MAX) {
        return 0;
    }
    struct mu_span query = mu_span_of(data + 1, bytes - 1);
    bool is_tcp = (data[0] & 32) != 0;

    configure(w, data[0]);
    if (world_ask(w, query, is_tcp, (data[0] & 64) == 0, answer, &answered)) {
        bool was_read = dns_query_read(&q, query);

        MU_ASSERT(was_read);
        bool is_sound =
            dns_check(query, mu_span_of(answer, answered.bytes),
                      dns_answer_room(&w->responder, &q, is_tcp), DNS_CHECK_COUNTS, &text);

        if (!is_sound) {
            (void)fprintf(stderr, "%s\n", mu_buf_text(&text));
        }
        MU_ASSERT(is_sound);
    }
    mu_buf_deinit(&text);
    return 0;
}
