/* Transcripts in data/web/dns: the acceptance cases of spec/dns.md section 21 and more, asked of
 * the answering code with the rows of its fixture. No sockets, no catalog.
 *
 *   config only_passing=true service_ttl=*:5,web:30    settings differ from the defaults by these
 *   ask NAME TYPE [tcp] [edns=SIZE] [...]              one query and the whole answer
 *   count NAME TYPE ...                                the same, records counted by type
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dns_check.h"
#include "dns_world.h"
#include "script.h"

struct talk {
    struct world *world;
    struct config_service_ttl ttls[8];
    struct mu_arena texts; /* what config points to */
    uint8_t answer[MU_DNS_TCP_MAX];
};

static void *talk_open(const char *file)
{
    struct talk *t = mu_new(sizeof *t);

    (void)file;
    t->world = world_new();
    mu_arena_init(&t->texts, 0);
    return t;
}

static void talk_close(void *data)
{
    struct talk *t = data;

    world_free(t->world);
    mu_arena_deinit(&t->texts);
    mu_free(t);
}

/* -- config -------------------------------------------------------------------------------------
 */

static void set_ttls(struct talk *t, const char *text)
{
    struct config_dns *c = &t->world->config;
    struct mu_span rest = mu_span_text(mu_arena_strdup(&t->texts, text));

    c->service_ttl = t->ttls;
    while (rest.bytes > 0) {
        struct mu_span one = mu_span_split(rest, ',', &rest, NULL);
        struct mu_span key = mu_span_split(one, ':', &one, NULL);
        uint64_t seconds = 0;

        assert_true(mu_span_u64(one, &seconds) && c->service_ttl_count < MU_LEN(t->ttls));
        t->ttls[c->service_ttl_count++] =
            (struct config_service_ttl){ mu_arena_text(&t->texts, key.data, key.bytes),
                                         (uint32_t)seconds };
    }
}

static void set_zones(struct talk *t, const char *alt)
{
    const char *others[] = { alt };
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(dns_zones_init(&t->world->responder.zones, "consul", others, 1, "dc1", &err),
                     MU_OK);
}

static bool run_config(struct talk *t, const struct script_command *c)
{
    struct config_dns *to = &t->world->config;

    world_defaults(t->world);
    to->only_passing = script_number(c, "only_passing", 0) != 0;
    to->enable_truncate = script_number(c, "enable_truncate", 0) != 0;
    to->disable_compression = script_number(c, "disable_compression", 0) != 0;
    to->node_meta_txt = script_number(c, "node_meta_txt", 1) != 0;
    to->node_ttl_s = (uint32_t)script_number(c, "node_ttl", 0);
    to->udp_answer_limit = (int64_t)script_number(c, "udp_answer_limit", 3);
    to->a_record_limit = (int64_t)script_number(c, "a_record_limit", 0);
    to->udp_payload_max = (uint32_t)script_number(c, "udp_payload_max", 65467);
    to->soa_min_ttl = (uint32_t)script_number(c, "soa_min_ttl", 0);
    to->soa_refresh = (uint32_t)script_number(c, "soa_refresh", 3600);
    to->soa_retry = (uint32_t)script_number(c, "soa_retry", 600);
    to->soa_expire = (uint32_t)script_number(c, "soa_expire", 86400);
    set_ttls(t, script_option(c, "service_ttl", ""));
    set_zones(t, script_option(c, "alt_domain", "muster"));
    return true;
}

/* -- ask ----------------------------------------------------------------------------------------
 */

static bool has_word(const struct script_command *c, const char *word)
{
    for (size_t i = 3; i < c->words_count; i++) {
        if (strcmp(c->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static void put_option(struct mu_buf *to, unsigned code, const void *data, size_t bytes)
{
    const uint8_t head[] = { (uint8_t)(code >> 8), (uint8_t)code, 0, (uint8_t)bytes };

    mu_buf_add(to, head, sizeof head);
    mu_buf_add(to, data, bytes);
}

static void put_options(const struct script_command *c, struct mu_buf *to)
{
    static const uint8_t subnet[] = { 0, 1, 16, 0, 10, 9 };
    static const uint8_t broken[] = { 0, 1, 16, 0, 10, 9, 1 };

    if (has_word(c, "subnet")) {
        put_option(to, 8, subnet, sizeof subnet);
    }
    if (has_word(c, "badsubnet")) {
        put_option(to, 8, broken, sizeof broken);
    }
    if (has_word(c, "keepalive")) {
        put_option(to, 11, "", 0);
    }
    if (has_word(c, "cookie")) {
        put_option(to, 10, "12345678", 8);
        put_option(to, 3, "", 0);
        put_option(to, 12, "\0\0\0", 3);
        put_option(to, 65001, "x", 1);
    }
}

static uint16_t flags_of(const struct script_command *c)
{
    unsigned flags = has_word(c, "nord") ? 0 : 0x100;

    flags |= has_word(c, "cd") ? 0x10 : 0;
    flags |= has_word(c, "ad") ? 0x20 : 0;
    return (uint16_t)(flags | (unsigned)script_number(c, "opcode", 0) << 11);
}

/* The spec's own words for how large an answer may be. */
static size_t bytes_max(const struct talk *t, const struct dns_check_query *q, bool is_tcp)
{
    size_t most = q->has_edns && q->udp_bytes > 512 ? q->udp_bytes : 512;
    size_t payload = t->world->config.udp_payload_max;

    return is_tcp ? 65535 : most < payload ? most : payload;
}

static void exchange(struct talk *t, const struct dns_check_query *q,
                     const struct script_command *c, enum dns_check_form form, struct mu_buf *out)
{
    struct mu_buf query = MU_BUF_NONE;
    struct dns_answered answered;
    bool is_tcp = has_word(c, "tcp");

    assert_true(dns_check_ask(q, &query));
    if (world_ask(t->world, mu_buf_span(&query), is_tcp, !has_word(c, "no_catalog"), t->answer,
                  &answered)) {
        (void)dns_check(mu_buf_span(&query), mu_span_of(t->answer, answered.bytes),
                        bytes_max(t, q, is_tcp), form, out);
        if (has_word(c, "bytes")) {
            mu_buf_addf(out, "%zu bytes\n", answered.bytes);
        }
        if (answered.needs_catalog && has_word(c, "no_catalog")) {
            mu_buf_add_text(out, "needs the catalog\n");
        }
    } else {
        mu_buf_add_text(out, "no answer\n");
    }
    mu_buf_deinit(&query);
}

static bool run_ask(struct talk *t, const struct script_command *c, enum dns_check_form form,
                    struct mu_buf *out)
{
    struct mu_buf options = MU_BUF_NONE;

    if (c->words_count < 3) {
        return false;
    }
    put_options(c, &options);
    struct dns_check_query q = {
        .name = c->words[1],
        .id = 4711,
        .type = dns_check_type(c->words[2]),
        .class = (uint16_t)script_number(c, "class", 1),
        .flags = flags_of(c),
        .udp_bytes = (uint16_t)script_number(c, "edns", 1232),
        .version = (uint8_t)script_number(c, "version", 0),
        .options = mu_buf_span(&options),
    };

    q.has_edns = script_number(c, "edns", 0) > 0 || options.bytes > 0 || q.version > 0;
    exchange(t, &q, c, form, out);
    mu_buf_deinit(&options);
    return true;
}

static bool talk_run(void *data, const struct script_command *c, struct mu_buf *out)
{
    if (strcmp(c->words[0], "config") == 0) {
        return run_config(data, c);
    }
    if (strcmp(c->words[0], "ask") == 0) {
        return run_ask(data, c, DNS_CHECK_RECORDS, out);
    }
    return strcmp(c->words[0], "count") == 0 && run_ask(data, c, DNS_CHECK_COUNTS, out);
}

static void transcripts_are_as_expected(void **state)
{
    static const struct script_world world = { talk_open, talk_run, talk_close };

    (void)state;
    assert_int_equal(script_run_dir("data/web/dns", &world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transcripts_are_as_expected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
