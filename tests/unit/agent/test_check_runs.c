/* What one run of each type that has runs comes to, against a server in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <uv.h>

#include "base/assert.h"
#include "base/clock.h"
#include "check_runs.h"
#include "peer.h"

#define SAYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

struct world {
    uv_loop_t loop;
    struct peer *peer;
    struct mu_buf result;
    unsigned done_count;
};

static void world_init(struct world *w)
{
    *w = (struct world){ .done_count = 0 };
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->peer = peer_new(&w->loop, NULL);
}

static void world_deinit(struct world *w)
{
    peer_close(w->peer);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    peer_free(w->peer);
    mu_buf_deinit(&w->result);
}

static void on_done(void *data, enum check_status status, struct mu_span output)
{
    struct world *w = data;
    struct mu_buf text = MU_BUF_NONE;

    w->done_count++;
    mu_buf_add_span(&text, output);
    mu_buf_addf(&w->result, "%s: ", check_status_text(status));
    peer_without_port(w->peer, &w->result, mu_buf_text(&text));
    mu_buf_deinit(&text);
}

/* ":P" in `where` is the port of the peer. */
static void run(struct world *w, struct check_definition *d, struct mu_span *where)
{
    struct mu_buf text = MU_BUF_NONE;
    const struct check_type *type;

    peer_with_port(w->peer, &text, (const char *)where->data);
    *where = mu_buf_span(&text);
    type = check_type_of(d);
    assert_non_null(type->start(&w->loop, d, on_done, w));
    assert_int_equal(w->done_count, 0);
    while (w->done_count == 0) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_int_equal(w->done_count, 1);
    mu_buf_deinit(&text);
}

static void http_answers_are_judged(void **state)
{
    const struct {
        const char *why;
        const char *const *replies;
        enum peer_then then;
        const char *where, *result;
        int64_t timeout_ms;
        bool disable_redirects;
    } cases[] = {
        { .why = "200",
          .replies = SAYS("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
          .where = "http://127.0.0.1:P/a",
          .result = "passing: HTTP GET http://127.0.0.1:P/a: 200 OK Output: hi" },
        { .why = "299 without a reason",
          .replies = SAYS("HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n"),
          .where = "http://127.0.0.1:P/",
          .result = "passing: HTTP GET http://127.0.0.1:P/: 299 Output: " },
        { .why = "429 is a warning",
          .replies = SAYS("HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n"),
          .where = "http://127.0.0.1:P/",
          .result = "warning: HTTP GET http://127.0.0.1:P/: 429 Slow Down Output: " },
        { .why = "everything else is critical",
          .replies = SAYS("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
          .where = "http://127.0.0.1:P/",
          .result = "critical: HTTP GET http://127.0.0.1:P/: 404 Not Found Output: " },
        { .why = "the tail of a long body",
          .replies = SAYS("HTTP/1.1 503 No\r\n\r\n0123456789abcdefghij"),
          .where = "http://127.0.0.1:P/",
          .result = "critical: HTTP GET http://127.0.0.1:P/: 503 No Output: cdefghij" },
        { .why = "a body that breaks off does not change the status",
          .replies = SAYS("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"),
          .where = "http://127.0.0.1:P/",
          .result = "passing: HTTP GET http://127.0.0.1:P/: 200 OK Output: hi" },
        { .why = "redirects are followed",
          .replies = SAYS("HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
          .where = "http://127.0.0.1:P/a",
          .result = "passing: HTTP GET http://127.0.0.1:P/a: 200 OK Output: hi" },
        { .why = "unless that is not wanted",
          .replies = SAYS("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"),
          .where = "http://127.0.0.1:P/a",
          .disable_redirects = true,
          .result = "critical: HTTP GET http://127.0.0.1:P/a: 302 Found Output: " },
        { .why = "silence",
          .replies = SAYS(""),
          .then = PEER_HANGS,
          .where = "http://127.0.0.1:P/",
          .timeout_ms = 20,
          .result = "critical: Get \"http://127.0.0.1:P/\": context deadline exceeded "
                    "(Client.Timeout exceeded while awaiting headers)" },
        { .why = "no URL",
          .where = "127.0.0.1:P",
          .result = "critical: parse \"127.0.0.1:P\": first path segment in URL cannot contain "
                    "colon" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct check_definition d = { .http = mu_span_text(cases[i].where),
                                      .timeout_ns = cases[i].timeout_ms * MU_NS_PER_MS,
                                      .disable_redirects = cases[i].disable_redirects,
                                      .output_max_size = 8 };
        struct world w;

        world_init(&w);
        peer_replies(w.peer, cases[i].replies, cases[i].then);
        run(&w, &d, &d.http);
        if (strcmp(mu_buf_text(&w.result), cases[i].result) != 0) {
            fail_msg("%s: <%s>, not <%s>", cases[i].why, mu_buf_text(&w.result), cases[i].result);
        }
        world_deinit(&w);
    }
}

static void http_requests_say_who_asks(void **state)
{
    static struct mu_span hosts[] = { MU_SPAN_LIT("me") };
    static struct mu_span many[] = { MU_SPAN_LIT("1"), MU_SPAN_LIT("2") };
    static struct mu_span accepts[] = { MU_SPAN_LIT("*/*") };
    static struct mu_pair_texts headers[] = {
        { MU_SPAN_LIT("Host"), { hosts, 1 } },
        { MU_SPAN_LIT("X-A"), { many, 2 } },
        { MU_SPAN_LIT("accept"), { accepts, 1 } },
    };
    struct check_definition plain = { .http = MU_SPAN_LIT("http://127.0.0.1:P/a"),
                                      .output_max_size = 100 };
    struct check_definition full = { .http = MU_SPAN_LIT("http://127.0.0.1:P/a"),
                                     .method = MU_SPAN_LIT("POST"),
                                     .header = { headers, MU_LEN(headers) },
                                     .body = MU_SPAN_LIT("{}"),
                                     .output_max_size = 100 };
    struct mu_buf expected = MU_BUF_NONE;
    struct world w;

    (void)state;
    world_init(&w);
    peer_replies(w.peer, SAYS("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), PEER_CLOSES);
    run(&w, &plain, &plain.http);
    w.done_count = 0;
    run(&w, &full, &full.http);
    peer_with_port(w.peer, &expected,
                   "GET /a HTTP/1.1\r\nHost: 127.0.0.1:P\r\nUser-Agent: Consul Health Check\r\n"
                   "Accept: text/plain, text/*, */*\r\nConnection: close\r\n\r\n"
                   "POST /a HTTP/1.1\r\nHost: me\r\nX-A: 1\r\nX-A: 2\r\naccept: */*\r\n"
                   "User-Agent: Consul Health Check\r\nContent-Length: 2\r\n"
                   "Connection: close\r\n\r\n{}");
    assert_string_equal(mu_buf_text(peer_heard(w.peer)), mu_buf_text(&expected));
    mu_buf_deinit(&expected);
    world_deinit(&w);
}

static void tcp_is_connected_to(void **state)
{
    static const struct {
        const char *why, *where, *result;
        bool nobody_listens;
    } cases[] = {
        { "somebody listens", "127.0.0.1:P", "passing: TCP connect 127.0.0.1:P: Success", false },
        { "a name", "localhost:P", "passing: TCP connect localhost:P: Success", false },
        { "nobody does", "127.0.0.1:P",
          "critical: dial tcp 127.0.0.1:P: connect: connection refused", true },
        { "an unknown name", "a..b:80", "critical: dial tcp: lookup a..b: no such host", false },
        { "no port", "127.0.0.1", "critical: dial tcp: address 127.0.0.1: missing port in address",
          false },
        { "a bad port", "127.0.0.1:x",
          "critical: dial tcp: address 127.0.0.1:x: not of the form host:port", false },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct check_definition d = { .tcp = mu_span_text(cases[i].where) };
        struct world w;

        world_init(&w);
        if (cases[i].nobody_listens) {
            peer_stop_listening(w.peer);
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        }
        run(&w, &d, &d.tcp);
        if (strcmp(mu_buf_text(&w.result), cases[i].result) != 0) {
            fail_msg("%s: <%s>, not <%s>", cases[i].why, mu_buf_text(&w.result), cases[i].result);
        }
        world_deinit(&w);
    }
}

static void on_never(void *data, enum check_status status, struct mu_span output)
{
    (void)data;
    (void)status;
    (void)output;
    fail_msg("a run that was stopped has ended");
}

/* Stopped after so many turns of the loop. */
static void a_stopped_run_is_silent(void **state)
{
    static const char *const tcp[] = { "127.0.0.1:P", "localhost:P", "127.0.0.1" };

    (void)state;
    for (unsigned i = 0; i < 4 * (MU_LEN(tcp) + 1); i++) {
        struct check_definition d = { .output_max_size = 8 };
        struct mu_buf where = MU_BUF_NONE;
        unsigned turns = i % 4;
        struct world w;

        world_init(&w);
        peer_replies(w.peer, SAYS(""), PEER_HANGS);
        if (i / 4 < MU_LEN(tcp)) {
            peer_with_port(w.peer, &where, tcp[i / 4]);
            d.tcp = mu_buf_span(&where);
            turns = 0; /* a connection on loopback is there at once */
        } else {
            peer_with_port(w.peer, &where, "http://127.0.0.1:P/");
            d.http = mu_buf_span(&where);
        }
        const struct check_type *type = check_type_of(&d);
        struct check_run *running = type->start(&w.loop, &d, on_never, &w);

        while (turns-- > 0) {
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        }
        type->stop(running);
        mu_buf_deinit(&where);
        world_deinit(&w);
    }
}

static void ttl_texts(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    check_ttl_output(&b, MU_SPAN_LIT("01234"), 5);
    assert_string_equal(mu_buf_text(&b), "01234");
    mu_buf_clear(&b);
    check_ttl_output(&b, MU_SPAN_LIT("012345"), 5);
    assert_string_equal(mu_buf_text(&b), "01234 ... (captured 5 of 6 bytes)");
    mu_buf_clear(&b);
    check_ttl_expired(&b, MU_SPAN_NONE);
    assert_string_equal(mu_buf_text(&b), "TTL expired");
    mu_buf_clear(&b);
    check_ttl_expired(&b, MU_SPAN_LIT("x"));
    assert_string_equal(mu_buf_text(&b), "TTL expired (last output before timeout follows): x");
    mu_buf_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_answers_are_judged),
        cmocka_unit_test(http_requests_say_who_asks),
        cmocka_unit_test(tcp_is_connected_to),
        cmocka_unit_test(a_stopped_run_is_silent),
        cmocka_unit_test(ttl_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
