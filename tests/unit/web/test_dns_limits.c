/* What must hold for every size and every draw: section 8 and 11.2 of spec/dns.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dns_check.h"
#include "dns_world.h"

struct exchange {
    struct mu_buf query;
    uint8_t answer[MU_DNS_TCP_MAX];
    struct dns_answered answered;
    struct mu_buf text;
};

static void ask(struct world *w, const char *name, const char *type, uint16_t edns, bool is_tcp,
                struct exchange *x)
{
    struct dns_check_query q = {
        .name = name,
        .id = 4711,
        .type = dns_check_type(type),
        .has_edns = edns > 0,
        .udp_bytes = edns,
    };
    size_t most = is_tcp ? 65535 : edns > 512 ? edns : 512;

    mu_buf_clear(&x->query);
    mu_buf_clear(&x->text);
    assert_true(dns_check_ask(&q, &x->query));
    assert_true(world_ask(w, mu_buf_span(&x->query), is_tcp, true, x->answer, &x->answered));
    if (!dns_check(mu_buf_span(&x->query), mu_span_of(x->answer, x->answered.bytes), most,
                   DNS_CHECK_RECORDS, &x->text)) {
        fail_msg("%s %s, %zu bytes: %s", name, type, most, mu_buf_text(&x->text));
    }
}

static void exchange_deinit(struct exchange *x)
{
    mu_buf_deinit(&x->query);
    mu_buf_deinit(&x->text);
}

/* Lines of the printed answer that contain `part`. */
static size_t lines_with(struct exchange *x, const char *part)
{
    size_t count = 0;

    for (const char *at = mu_buf_text(&x->text); (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

/* The first address in the order of the message, whose last record data ends at the end. */
static unsigned first_address(const struct exchange *x)
{
    return x->answer[x->query.bytes + 15]; /* behind a pointer, type, class, TTL and length */
}

static void both_orders_are_seen(void **state)
{
    struct world *w = world_new();
    struct exchange x = { .query = MU_BUF_NONE };
    unsigned seen[3] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        ask(w, "web.service.consul", "A", 0, false, &x);
        assert_in_range(first_address(&x), 1, 2);
        seen[first_address(&x)]++;
    }
    assert_in_range(seen[1], 60, 140);
    assert_in_range(seen[2], 60, 140);
    exchange_deinit(&x);
    world_free(w);
}

/* 3 of 30, three thousand times: each about 300 times. */
static void every_member_gets_its_share(void **state)
{
    struct world *w = world_new();
    struct exchange x = { .query = MU_BUF_NONE };
    unsigned seen[31] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        ask(w, "big.service.consul", "A", 0, false, &x);
        for (size_t r = 0; r < 3; r++) {
            seen[x.answer[x.query.bytes + 16 * r + 15]]++;
        }
    }
    for (unsigned i = 1; i <= 30; i++) {
        if (seen[i] < 220 || seen[i] > 380) {
            fail_msg("10.3.0.%u was shown %u times", i, seen[i]);
        }
    }
    exchange_deinit(&x);
    world_free(w);
}

static void no_size_is_exceeded(void **state)
{
    static const char *const names[] = {
        "big.service.consul", "mix.service.consul",   "bt.service.consul",       "n1.node.consul",
        "meta.node.consul",   "bigtxt.node.consul",   "alias.service.consul",    "consul",
        "nope.node.consul",   "deep1.service.consul", "bigalias.service.consul",
    };
    static const char *const types[] = { "A", "SRV", "ANY", "TXT", "SOA" };
    struct exchange x = { .query = MU_BUF_NONE };
    struct world *w = world_new();

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        w->config.disable_compression = round == 1;
        for (size_t n = 0; n < MU_LEN(names); n++) {
            for (size_t t = 0; t < MU_LEN(types); t++) {
                for (uint16_t edns = 500; edns < 1800; edns = (uint16_t)(edns + 29)) {
                    ask(w, names[n], types[t], edns, false, &x);
                    assert_int_equal(lines_with(&x, "opt "), 1);
                }
            }
        }
    }
    exchange_deinit(&x);
    world_free(w);
}

/* More room never gives fewer answers, and each SRV comes with its address. */
static void more_room_gives_more(void **state)
{
    struct exchange x = { .query = MU_BUF_NONE };
    struct world *w = world_new();
    size_t before = 0;

    (void)state;
    for (uint16_t edns = 513; edns < 1800; edns++) {
        ask(w, "big.service.consul", "SRV", edns, false, &x);
        size_t count = lines_with(&x, " SRV ");

        /* Names of one and of two digits make a difference of one record at most. */
        if (count + 1 < before || lines_with(&x, " A ") != count) {
            fail_msg("%u bytes: %zu SRV, before %zu:\n%s", edns, count, before,
                     mu_buf_text(&x.text));
        }
        before = count;
    }
    assert_int_equal(before, 30);
    exchange_deinit(&x);
    world_free(w);
}

#define MANY 6000

/* A service with more instances than a message holds. */
static enum dns_lookup many_find(void *data, struct mu_span name, struct dns_held *out)
{
    struct world *w = data;
    struct catalog_instances rows = { 0 };

    if (w->prepared_count > 0) {
        return world_hold(w, w->prepared[0], out);
    }
    mu_arena_reset(&w->built);
    rows.items = mu_arena_array(&w->built, MANY, sizeof *rows.items);
    struct catalog_node *nodes = mu_arena_array(&w->built, MANY, sizeof *nodes);

    for (unsigned i = 0; i < MANY; i++) {
        nodes[i].name = mu_span_text(mu_arena_printf(&w->built, "node%05u", i));
        nodes[i].address = mu_span_text(mu_arena_printf(&w->built, "10.%u.%u.1", i >> 8, i & 0xff));
        rows.items[i].node = &nodes[i];
        rows.items[i].service.port = 80;
        rows.items[i].service.weight_passing = 1;
    }
    rows.count = MANY;
    w->prepared[w->prepared_count++] = dns_service_new(&w->rules, name, &rows);
    return world_hold(w, w->prepared[0], out);
}

static size_t ask_many(struct world *w, uint16_t type, uint8_t *answer, struct mu_buf *text)
{
    struct dns_source source = world_source(w);
    struct mu_buf query = MU_BUF_NONE;
    struct dns_query q;
    struct dns_check_query cq = { .name = "many.service.consul", .id = 3, .type = type };
    struct dns_asked asked = { .query = &q, .source = &source, .is_tcp = true };

    source.service = many_find;
    assert_true(dns_check_ask(&cq, &query));
    assert_true(dns_query_read(&q, mu_buf_span(&query)));
    size_t bytes = dns_answer(&w->responder, &asked, answer).bytes;

    if (!dns_check(mu_buf_span(&query), mu_span_of(answer, bytes), 65535, DNS_CHECK_COUNTS, text)) {
        fail_msg("%s", mu_buf_text(text));
    }
    mu_buf_deinit(&query);
    return bytes;
}

/* Beyond 16 KiB nothing can be pointed at: owners are written out there. */
static void a_full_message_is_sound(void **state)
{
    uint8_t answer[MU_DNS_TCP_MAX];
    struct world *w = world_new();
    struct mu_buf text = MU_BUF_NONE;

    (void)state;
    w->config.enable_truncate = true;
    assert_in_range(ask_many(w, DNS_A, answer, &text), 65519, 65535);
    assert_string_equal(mu_buf_text(&text), "NOERROR aa tc; answer 4093 A\n");
    mu_buf_clear(&text);
    assert_in_range(ask_many(w, DNS_SRV, answer, &text), 65400, 65535);
    assert_non_null(strstr(mu_buf_text(&text), "NOERROR aa tc; answer 9"));
    mu_buf_deinit(&text);
    world_free(w);
}

/* After four billion answers the marks of the first one would be taken for fresh. */
static void marks_survive_their_wrap(void **state)
{
    struct world *w = world_new();
    struct dns_held held;

    (void)state;
    assert_int_equal(world_service_find(w, MU_SPAN_LIT("big"), &held), DNS_FOUND);
    struct dns_service *s = held.service;

    s->mark[DNS_SHOWN_SRV] = UINT32_MAX - 1;
    dns_marks_clear(s, DNS_SHOWN_SRV);
    dns_mark_shown(s, DNS_SHOWN_SRV, 7);
    assert_true(dns_is_marked(s, DNS_SHOWN_SRV, 7));
    dns_marks_clear(s, DNS_SHOWN_SRV);
    for (uint32_t i = 0; i < s->count; i++) {
        assert_false(dns_is_marked(s, DNS_SHOWN_SRV, i));
    }
    world_release(w, &held);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_orders_are_seen),    cmocka_unit_test(every_member_gets_its_share),
        cmocka_unit_test(no_size_is_exceeded),     cmocka_unit_test(more_room_gives_more),
        cmocka_unit_test(a_full_message_is_sound), cmocka_unit_test(marks_survive_their_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
