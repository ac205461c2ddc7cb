/* Where answers come from, and when waiting ends: on virtual time, with an upstream made by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "dns_check.h"
#include "dns_engine.h"
#include "dns_world.h"

struct bench {
    struct world *world;
    struct dns_source source;
    struct dns_engine *engine;
    enum dns_way way;
    bool is_stale;
    uint64_t now_ms;
    /* the newest request upstream */
    void (*confirmed)(void *data, const struct dns_source *source);
    agent_dns_fn *forwarded;
    void *upstream_data;
    unsigned asked, cancelled;
    unsigned missing; /* so many reads more lack something */
    bool is_reading;
    struct mu_buf sent;
    /* what came out */
    uint8_t to[MU_DNS_TCP_MAX], late[MU_DNS_TCP_MAX];
    struct mu_buf query, text;
    unsigned answers;
};

static enum dns_way bench_way(void *data, const struct dns_source **source, bool *is_stale)
{
    struct bench *b = data;

    *source = b->way == DNS_HERE ? &b->source : NULL;
    *is_stale = b->is_stale;
    return b->way;
}

static void *bench_confirm(void *data, void (*ready)(void *, const struct dns_source *),
                           void *ready_data)
{
    struct bench *b = data;

    b->confirmed = ready;
    b->upstream_data = ready_data;
    b->asked++;
    return b;
}

static void *bench_forward(void *data, const struct agent_dns_request *request, agent_dns_fn *done,
                           void *done_data)
{
    struct bench *b = data;

    mu_buf_clear(&b->sent);
    mu_buf_add_span(&b->sent, request->message);
    b->forwarded = done;
    b->upstream_data = done_data;
    b->asked++;
    return b;
}

static void bench_cancel(void *data, void *running)
{
    struct bench *b = data;

    assert_ptr_equal(running, b);
    b->cancelled++;
}

static void bench_read_begin(void *data)
{
    struct bench *b = data;

    assert_false(b->is_reading);
    b->is_reading = true;
}

static bool bench_read_end(void *data)
{
    struct bench *b = data;
    bool has_missed = b->missing > 0;

    assert_true(b->is_reading);
    b->is_reading = false;
    b->missing -= has_missed;
    return has_missed;
}

static struct bench *bench_new(enum dns_way way)
{
    struct bench *b = mu_new(sizeof *b);
    struct dns_upstream upstream = { bench_way,        bench_confirm,  bench_cancel,
                                     bench_forward,    bench_cancel,   b,
                                     bench_read_begin, bench_read_end, bench_confirm };

    b->world = world_new();
    b->source = world_source(b->world);
    b->engine = dns_engine_new(&upstream, &b->world->responder, b->late);
    b->way = way;
    b->now_ms = 1000;
    return b;
}

static void bench_free(struct bench *b)
{
    dns_engine_end(b->engine);
    dns_engine_free(b->engine);
    world_free(b->world);
    mu_buf_deinit(&b->sent);
    mu_buf_deinit(&b->query);
    mu_buf_deinit(&b->text);
    mu_free(b);
}

static struct dns_now now_of(const struct bench *b)
{
    return (struct dns_now){ b->now_ms, 1700000000 };
}

static void on_answer(void *data, struct mu_span answer)
{
    struct bench *b = data;

    b->answers++;
    mu_buf_clear(&b->text);
    if (!dns_check(mu_buf_span(&b->query), answer, 65535, DNS_CHECK_COUNTS, &b->text)) {
        fail_msg("%s", mu_buf_text(&b->text));
    }
}

static enum dns_done ask(struct bench *b, const char *name, const char *type, const char *client,
                         struct dns_wait **wait)
{
    struct dns_check_query q = { .name = name, .id = 77, .type = dns_check_type(type) };
    struct agent_dns_request request = { .is_tcp = false };
    size_t bytes = 0;

    q.has_edns = true;
    q.udp_bytes = 1232;
    mu_buf_clear(&b->query);
    mu_buf_clear(&b->text);
    assert_true(dns_check_ask(&q, &b->query));
    request.message = mu_buf_span(&b->query);
    assert_int_equal(mu_addr_parse(mu_span_text(client), 5353, &request.client, NULL), MU_OK);
    enum dns_done done = dns_engine_ask(b->engine, &request, now_of(b), b->to, &bytes, wait);

    if (done == DNS_DONE_ANSWER) {
        on_answer(b, mu_span_of(b->to, bytes));
    } else if (done == DNS_DONE_WAIT) {
        dns_wait_then(*wait, on_answer, b);
    }
    return done;
}

static void what_needs_no_catalog_is_answered_at_once(void **state)
{
    static const enum dns_way ways[] = { DNS_HERE, DNS_CONFIRM, DNS_FORWARD, DNS_NOWAY };
    static const struct {
        const char *name, *type, *text;
    } cases[] = {
        // clang-format off
        { "0a010001.addr.consul", "A", "NOERROR aa; answer 1 A; additional 1 OPT\n" },
        { "foo.consul", "A", "NXDOMAIN aa; authority 1 SOA; additional 1 OPT\n" },
        { "service.consul", "A", "NOERROR aa; authority 1 SOA; additional 1 OPT\n" },
        { "www.example.com", "A", "REFUSED; additional 1 OPT\n" },
        { "consul", "AXFR", "NOTIMP aa; additional 1 OPT\n" },
        { "web.query.consul", "A", "NXDOMAIN aa; authority 1 SOA; additional 1 OPT\n" },
    }; // clang-format on
    struct dns_wait *wait;

    (void)state;
    for (size_t w = 0; w < MU_LEN(ways); w++) {
        struct bench *b = bench_new(ways[w]);

        for (size_t i = 0; i < MU_LEN(cases); i++) {
            assert_int_equal(ask(b, cases[i].name, cases[i].type, "127.0.0.1", &wait),
                             DNS_DONE_ANSWER);
            assert_string_equal(mu_buf_text(&b->text), cases[i].text);
        }
        assert_int_equal(b->asked, 0);
        bench_free(b);
    }
}

static void without_any_way_names_fail_and_the_zone_stands(void **state)
{
    struct bench *b = bench_new(DNS_NOWAY);
    struct dns_wait *wait;

    (void)state;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_ANSWER);
    assert_string_equal(mu_buf_text(&b->text), "SERVFAIL aa; additional 1 OPT\n");
    assert_int_equal(ask(b, "consul", "SOA", "127.0.0.1", &wait), DNS_DONE_ANSWER);
    assert_string_equal(mu_buf_text(&b->text), "NOERROR aa; answer 1 SOA; additional 1 OPT\n");
    bench_free(b);
}

/* The answer of a server to what is in b->sent, spoiled in one way. */
static struct mu_span server_answer(struct bench *b, const char *how, uint8_t *to)
{
    struct dns_answered answered = { 0 };

    assert_true(world_ask(b->world, mu_buf_span(&b->sent), false, true, to, &answered));
    if (strcmp(how, "another id") == 0) {
        to[0] ^= 1;
    } else if (strcmp(how, "a query") == 0) {
        to[2] &= 0x7f;
    } else if (strcmp(how, "another question") == 0) {
        to[13] ^= 1;
    } else if (strcmp(how, "a header only") == 0) {
        answered.bytes = 12;
    } else if (strcmp(how, "nothing") == 0) {
        answered.bytes = 0;
    } else if (strcmp(how, "too large") == 0) {
        answered.bytes = 1233;
    }
    return mu_span_of(to, answered.bytes);
}

static void a_server_is_believed_when_it_answers_the_question(void **state)
{
    static const struct {
        const char *how;
        enum mu_code code;
        const char *text;
    } cases[] = {
        // clang-format off
        { "well", MU_OK, "NOERROR aa; answer 2 A; additional 1 OPT\n" },
        { "another id", MU_OK, "SERVFAIL aa; additional 1 OPT\n" },
        { "a query", MU_OK, "SERVFAIL aa; additional 1 OPT\n" },
        { "another question", MU_OK, "SERVFAIL aa; additional 1 OPT\n" },
        { "a header only", MU_OK, "SERVFAIL aa; additional 1 OPT\n" },
        { "nothing", MU_OK, "SERVFAIL aa; additional 1 OPT\n" },
        { "too large", MU_OK, "SERVFAIL aa; additional 1 OPT\n" },
        { "well", MU_NO_SERVERS, "SERVFAIL aa; additional 1 OPT\n" },
        { "well", MU_TIMEOUT, "SERVFAIL aa; additional 1 OPT\n" },
    }; // clang-format on
    uint8_t room[MU_DNS_TCP_MAX];

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct bench *b = bench_new(DNS_FORWARD);
        struct dns_wait *wait;

        memset(room, 0, sizeof room);
        assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
        assert_int_equal(b->answers, 0);
        b->forwarded(b->upstream_data, cases[i].code, server_answer(b, cases[i].how, room));
        if (b->answers != 1 || strcmp(mu_buf_text(&b->text), cases[i].text) != 0) {
            fail_msg("%s (%s): %s", cases[i].how, mu_code_text(cases[i].code),
                     mu_buf_text(&b->text));
        }
        assert_int_equal(dns_engine_waits(b->engine), 0);
        bench_free(b);
    }
}

static void a_confirmed_read_answers_from_rows(void **state)
{
    struct bench *b = bench_new(DNS_CONFIRM);
    struct dns_wait *wait;

    (void)state;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    b->confirmed(b->upstream_data, &b->source);
    assert_string_equal(mu_buf_text(&b->text), "NOERROR aa; answer 2 A; additional 1 OPT\n");
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    b->confirmed(b->upstream_data, NULL);
    assert_string_equal(mu_buf_text(&b->text), "SERVFAIL aa; additional 1 OPT\n");
    assert_int_equal(b->cancelled, 0);
    bench_free(b);
}

static void rows_on_the_disk_are_fetched_until_all_are_there(void **state)
{
    struct bench *b = bench_new(DNS_HERE);
    struct dns_wait *wait;

    (void)state;
    b->missing = 2;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    assert_int_equal(b->asked, 1);
    b->confirmed(b->upstream_data, &b->source); /* it lacks something else */
    assert_int_equal(b->asked, 2);
    assert_int_equal(b->answers, 0);
    b->confirmed(b->upstream_data, &b->source);
    assert_int_equal(b->answers, 1);
    assert_string_equal(mu_buf_text(&b->text), "NOERROR aa; answer 2 A; additional 1 OPT\n");
    b->missing = 1;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    b->now_ms += 1500; /* a disk that stands still */
    dns_engine_tick(b->engine, now_of(b));
    assert_int_equal(b->answers, 2);
    assert_int_equal(b->cancelled, 1);
    assert_string_equal(mu_buf_text(&b->text), "SERVFAIL aa; additional 1 OPT\n");
    bench_free(b);
}

static void nobody_waits_longer_than_a_second_and_a_half(void **state)
{
    struct bench *b = bench_new(DNS_FORWARD);
    struct dns_wait *wait;

    (void)state;
    assert_int_equal(dns_engine_wake_ms(b->engine), 0);
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    assert_int_equal(dns_engine_wake_ms(b->engine), 2500);
    b->now_ms = 1400;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    b->now_ms = 2499;
    dns_engine_tick(b->engine, now_of(b));
    assert_int_equal(b->answers, 0);
    b->now_ms = 2500;
    dns_engine_tick(b->engine, now_of(b));
    assert_int_equal(b->answers, 1);
    assert_string_equal(mu_buf_text(&b->text), "SERVFAIL aa; additional 1 OPT\n");
    assert_int_equal(b->cancelled, 1);
    assert_int_equal(dns_engine_wake_ms(b->engine), 2900);
    assert_int_equal(dns_engine_counts(b->engine)->late, 1);
    bench_free(b);
}

static void cancelling_ends_a_wait_without_an_answer(void **state)
{
    struct bench *b = bench_new(DNS_FORWARD);
    struct dns_wait *wait;

    (void)state;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    dns_engine_cancel(b->engine, wait);
    assert_int_equal(b->cancelled, 1);
    assert_int_equal(dns_engine_waits(b->engine), 0);
    b->now_ms = 10000;
    dns_engine_tick(b->engine, now_of(b));
    assert_int_equal(b->answers, 0);
    bench_free(b);
}

static void waits_are_bounded_and_the_rest_fails_at_once(void **state)
{
    struct bench *b = bench_new(DNS_FORWARD);
    struct dns_wait *wait;

    (void)state;
    for (size_t i = 0; i < MU_DNS_WAITS_MAX; i++) {
        assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_WAIT);
    }
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_ANSWER);
    assert_string_equal(mu_buf_text(&b->text), "SERVFAIL aa; additional 1 OPT\n");
    assert_int_equal(b->asked, MU_DNS_WAITS_MAX);
    bench_free(b);
}

static void errors_to_strangers_are_limited(void **state)
{
    struct bench *b = bench_new(DNS_HERE);
    struct dns_wait *wait;

    (void)state;
    for (unsigned i = 0; i < MU_DNS_ERRORS_MAX; i++) {
        assert_int_equal(ask(b, "x.example", "A", "192.0.2.1", &wait), DNS_DONE_ANSWER);
    }
    assert_int_equal(ask(b, "x.example", "A", "192.0.2.1", &wait), DNS_DONE_NOTHING);
    assert_int_equal(dns_engine_counts(b->engine)->errors_limited, 1);
    /* nothing else is, nor is this host, nor the next second */
    assert_int_equal(ask(b, "web.service.consul", "A", "192.0.2.1", &wait), DNS_DONE_ANSWER);
    assert_int_equal(ask(b, "x.example", "A", "127.0.0.1", &wait), DNS_DONE_ANSWER);
    b->now_ms += 1000;
    assert_int_equal(ask(b, "x.example", "A", "192.0.2.1", &wait), DNS_DONE_ANSWER);
    bench_free(b);
}

/* -- what cannot be read ----------------------------------------------------------------------- */

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    struct mu_buf *lines = data;

    (void)level;
    mu_buf_add_span(lines, line);
    mu_buf_add_text(lines, "\n");
}

static void ask_bytes(struct bench *b, const uint8_t *data, size_t bytes, enum dns_done done)
{
    struct agent_dns_request request = { .message = mu_span_of(data, bytes), .is_tcp = true };
    struct dns_wait *wait;
    size_t answered = 0;

    assert_int_equal(mu_addr_parse(mu_span_text("192.0.2.1"), 5353, &request.client, NULL), MU_OK);
    assert_int_equal(dns_engine_ask(b->engine, &request, now_of(b), b->to, &answered, &wait), done);
}

static void what_cannot_be_read_is_counted(void **state)
{
    static const struct {
        const char *why;
        uint8_t data[24];
        size_t bytes;
        enum dns_done done;
        unsigned malformed;
    } cases[] = {
        // clang-format off
        { "nothing",            { 0 },                                                        0,  DNS_DONE_NOTHING, 1 },
        { "half a header",      { 0, 7 },                                                     11, DNS_DONE_NOTHING, 1 },
        { "an answer",          { 0, 7, 0x80 },                                               12, DNS_DONE_NOTHING, 1 },
        { "no question",        { 0, 7 },                                                     12, DNS_DONE_ANSWER,  1 },
        { "two questions",      { 0, 7, 0, 0, 0, 2, [12] = 0, 0, 1, 0, 1, 0, 0, 1, 0, 1 },    22, DNS_DONE_ANSWER,  1 },
        { "a label that ends",  { 0, 7, 0, 0, 0, 1, [12] = 9, 'x' },                          14, DNS_DONE_ANSWER,  1 },
        { "a pointer in it",    { 0, 7, 0, 0, 0, 1, [12] = 0xc0, 12, 0, 1, 0, 1 },            18, DNS_DONE_ANSWER,  1 },
        { "records missing",    { 0, 7, 0, 0, 0, 1, [11] = 1, [12] = 0, 0, 1, 0, 1 },         17, DNS_DONE_ANSWER,  1 },
        { "another opcode",     { 0, 7, 0x28, 0, 0, 1, [12] = 0, 0, 6, 0, 1 },                17, DNS_DONE_ANSWER,  0 },
        { "a query",            { 0, 7, 0, 0, 0, 1, [12] = 1, 'x', 0, 0, 1, 0, 1 },           19, DNS_DONE_ANSWER,  0 },
    }; // clang-format on

    (void)state;
    mu_log_set_fd(-1);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct bench *b = bench_new(DNS_HERE);

        ask_bytes(b, cases[i].data, cases[i].bytes, cases[i].done);
        if (dns_engine_counts(b->engine)->malformed != cases[i].malformed) {
            fail_msg("%s: %llu malformed", cases[i].why,
                     (unsigned long long)dns_engine_counts(b->engine)->malformed);
        }
        bench_free(b);
    }
    mu_log_set_fd(1);
}

static void what_cannot_be_read_is_said_once_a_minute(void **state)
{
    static const uint8_t data[12] = { 0, 7 };
    struct bench *b = bench_new(DNS_HERE);
    struct mu_buf lines = MU_BUF_NONE;

    (void)state;
    mu_log_set_fd(-1);
    mu_log_set_tap(on_line, &lines, MU_WARN);
    for (unsigned i = 0; i < 1000; i++) {
        ask_bytes(b, data, i % 2 == 0 ? 12 : 3, i % 2 == 0 ? DNS_DONE_ANSWER : DNS_DONE_NOTHING);
    }
    b->now_ms += 60000;
    ask_bytes(b, data, 3, DNS_DONE_NOTHING);
    mu_log_set_tap(NULL, NULL, MU_WARN);
    mu_log_set_fd(1);
    assert_int_equal(dns_engine_counts(b->engine)->malformed, 1001);
    const char *first =
        strstr(mu_buf_text(&lines), "A DNS message is malformed: client=192.0.2.1:5353 "
                                    "reason=\"its question or its records cannot be "
                                    "read\" times=1\n");

    assert_non_null(first);
    const char *second = strstr(first + 1, "A DNS message is malformed: ");

    assert_non_null(second);
    assert_non_null(strstr(second, "reason=\"it is no query\" times=1000\n"));
    assert_null(strstr(second + 1, "A DNS message"));
    mu_buf_deinit(&lines);
    bench_free(b);
}

/* -- rows that may be old ---------------------------------------------------------------------- */

static void stale_rows_say_so(void **state)
{
    struct bench *b = bench_new(DNS_HERE);
    struct dns_wait *wait;

    (void)state;
    b->is_stale = true;
    assert_int_equal(ask(b, "web.service.consul", "A", "127.0.0.1", &wait), DNS_DONE_ANSWER);
    assert_string_equal(mu_buf_text(&b->text), "NOERROR aa; answer 2 A; additional 1 OPT\n");
    /* the option of RFC 8914, last in the message: code 15, 2 bytes, 3 */
    static const uint8_t why[] = { 0, 15, 0, 2, 0, 3 };
    size_t bytes = b->query.bytes + 2 * 16 + sizeof why;

    assert_memory_equal(b->to + bytes - sizeof why, why, sizeof why);
    assert_int_equal(ask(b, "foo.consul", "A", "127.0.0.1", &wait), DNS_DONE_ANSWER); /* no row */
    assert_int_equal(dns_engine_counts(b->engine)->stale, 1);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_no_catalog_is_answered_at_once),
        cmocka_unit_test(without_any_way_names_fail_and_the_zone_stands),
        cmocka_unit_test(a_server_is_believed_when_it_answers_the_question),
        cmocka_unit_test(a_confirmed_read_answers_from_rows),
        cmocka_unit_test(rows_on_the_disk_are_fetched_until_all_are_there),
        cmocka_unit_test(nobody_waits_longer_than_a_second_and_a_half),
        cmocka_unit_test(cancelling_ends_a_wait_without_an_answer),
        cmocka_unit_test(waits_are_bounded_and_the_rest_fails_at_once),
        cmocka_unit_test(errors_to_strangers_are_limited),
        cmocka_unit_test(what_cannot_be_read_is_counted),
        cmocka_unit_test(what_cannot_be_read_is_said_once_a_minute),
        cmocka_unit_test(stale_rows_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
