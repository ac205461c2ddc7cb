/* Transcripts in data/web/dns: the acceptance cases of spec/dns.md section 21 and more, asked of
 * the answering code with the rows of its fixture. No sockets, no catalog.
 *
 *   config only_passing=1 service_ttl=*:5,web:30    settings differ from the defaults by these
 *   ask, count                                      lib/dns_talk.h
 *
 * conformance/test_dns.py asks the same of a real process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dns_talk.h"
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

/* -- config ------------------------------------------------------------------------------------ */

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

/* -- ask --------------------------------------------------------------------------------------- */

static bool run_ask(struct talk *t, const struct script_command *c, struct mu_buf *out)
{
    struct dns_answered answered;
    struct dns_talk words;

    if (!dns_talk_read(c, &words)) {
        return false;
    }
    if (!words.is_tcp && words.bytes_max > t->world->config.udp_payload_max) {
        words.bytes_max = t->world->config.udp_payload_max;
    }
    if (world_ask(t->world, mu_buf_span(&words.query), words.is_tcp, words.has_catalog, t->answer,
                  &answered)) {
        dns_talk_print(&words, mu_span_of(t->answer, answered.bytes), out);
        if (answered.needs_catalog && !words.has_catalog) {
            mu_buf_add_text(out, "needs the catalog\n");
        }
    } else {
        mu_buf_add_text(out, "no answer\n");
    }
    mu_buf_deinit(&words.query);
    return true;
}

static bool talk_run(void *data, const struct script_command *c, struct mu_buf *out)
{
    return strcmp(c->words[0], "config") == 0 ? run_config(data, c) : run_ask(data, c, out);
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
