/* The client against a server in the same loop that says one thing per connection. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "agent/http_client.h"
#include "base/assert.h"
#include "base/buf.h"
#include "peer.h"
#include "scratch.h"

struct world {
    uv_loop_t loop;
    struct peer *peer;
    struct mu_buf result;
    unsigned done_count;
};

static void world_init(struct world *w, const char *unix_path)
{
    *w = (struct world){ .done_count = 0 };
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->peer = peer_new(&w->loop, unix_path);
}

/* Everything is closed, and nothing of the client is left in the loop. */
static void world_deinit(struct world *w)
{
    peer_close(w->peer);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    peer_free(w->peer);
    mu_buf_deinit(&w->result);
}

/* The source port of "read tcp 127.0.0.1:40000->" becomes ":L", the server's ":P". */
static void add_error(const struct world *w, const char *text, struct mu_buf *to)
{
    struct mu_buf b = MU_BUF_NONE;
    const char *arrow = strstr(text, "->");
    const char *colon = arrow;

    while (colon != NULL && colon > text && *colon != ':') {
        colon--;
    }
    mu_buf_add(&b, text, colon != NULL ? (size_t)(colon - text) : strlen(text));
    if (arrow != NULL) {
        mu_buf_addf(&b, ":L%s", arrow);
    }
    peer_without_port(w->peer, to, mu_buf_text(&b));
    mu_buf_deinit(&b);
}

static void on_done(void *data, enum mu_code code, const struct http_client_response *response,
                    const struct mu_err *err)
{
    struct world *w = data;

    w->done_count++;
    if (response != NULL) {
        mu_buf_addf(&w->result, "%u '%s' (%.*s)%s", response->status, response->reason,
                    MU_SPAN_FMT(response->body), response->is_cut ? " cut" : "");
        for (size_t i = 0; i < response->headers_count; i++) {
            if (mu_span_eq_text(response->headers[i].name, "X-Seen")) {
                mu_buf_addf(&w->result, " seen %.*s", MU_SPAN_FMT(response->headers[i].value));
            }
        }
    }
    if (code != MU_OK) {
        mu_buf_addf(&w->result, "%s[%s] ", response != NULL ? " " : "", mu_code_text(code));
        add_error(w, err->text, &w->result);
    }
}

static void run_request(struct world *w, struct http_client_request *request, const char *url)
{
    struct mu_buf text = MU_BUF_NONE;

    peer_with_port(w->peer, &text, url);
    request->url = mu_buf_text(&text);
    request->method = request->method != NULL ? request->method : "GET";
    assert_non_null(http_client_start(&w->loop, request, on_done, w));
    mu_buf_deinit(&text); /* it was copied */
    assert_int_equal(w->done_count, 0);
    while (w->done_count == 0) {
        assert_true(uv_run(&w->loop, UV_RUN_ONCE) != 0 || w->done_count > 0);
    }
}

struct exchange {
    const char *why;
    const char *const *replies;
    struct http_client_request request;
    const char *url, *result;
    enum peer_then then;
};

static void check_exchanges(const struct exchange *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct http_client_request request = cases[i].request;
        struct world w;

        world_init(&w, NULL);
        peer_replies(w.peer, cases[i].replies, cases[i].then);
        run_request(&w, &request, cases[i].url);
        if (strcmp(mu_buf_text(&w.result), cases[i].result) != 0) {
            fail_msg("%s: got <%s>, not <%s>", cases[i].why, mu_buf_text(&w.result),
                     cases[i].result);
        }
        world_deinit(&w);
    }
}

#define SAYS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define OK_HI     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: a\r\n\r\nhi"

static void answers_arrive(void **state)
{
    const struct exchange cases[] = {
        { .why = "a counted body",
          .replies = SAYS(OK_HI),
          .then = PEER_HANGS, /* the length is enough */
          .url = "http://127.0.0.1:P/a",
          .result = "200 'OK' (hi) seen a" },
        { .why = "until the end",
          .replies = SAYS("HTTP/1.0 503 Not Now\r\n\r\nbye"),
          .url = "http://127.0.0.1:P/",
          .result = "503 'Not Now' (bye)" },
        { .why = "chunked",
          .replies = SAYS("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n"),
          .then = PEER_HANGS,
          .url = "http://127.0.0.1:P",
          .result = "200 'OK' (hi!)" },
        { .why = "HEAD has no body",
          .replies = SAYS("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
          .then = PEER_HANGS,
          .request = { .method = "HEAD" },
          .url = "http://127.0.0.1:P/",
          .result = "200 'OK' ()" },
        { .why = "a long body is cut at its end, and what follows not waited for",
          .replies = SAYS("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789"),
          .then = PEER_HANGS,
          .request = { .body_bytes_max = 4 },
          .url = "http://127.0.0.1:P/",
          .result = "200 'OK' (0123) cut" },
        { .why = "a body of exactly the limit is whole",
          .replies = SAYS(OK_HI),
          .request = { .body_bytes_max = 2 },
          .url = "http://127.0.0.1:P/",
          .result = "200 'OK' (hi) seen a" },
        { .why = "of a long body the tail is kept",
          .replies = SAYS("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "a\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n"),
          .request = { .body_bytes_max = 4, .keeps_tail = true },
          .url = "http://127.0.0.1:P/",
          .result = "200 'OK' (ghij) cut" },
        { .why = "a name is looked up",
          .replies = SAYS(OK_HI),
          .url = "http://localhost:P/",
          .result = "200 'OK' (hi) seen a" },
    };

    (void)state;
    check_exchanges(cases, MU_LEN(cases));
}

static void failures_are_told_in_words(void **state)
{
    const struct exchange cases[] = {
        { .why = "a bad port",
          .url = "http://127.0.0.1:x/",
          .result = "[invalid argument] parse \"http://127.0.0.1:x/\": invalid port \":x\" after "
                    "host" },
        { .why = "https",
          .url = "https://127.0.0.1:P/",
          .result = "[not supported] Get \"https://127.0.0.1:P/\": https is not supported yet" },
        { .why = "another protocol",
          .url = "ftp://127.0.0.1/",
          .result = "[not supported] Get \"ftp://127.0.0.1/\": unsupported protocol scheme "
                    "\"ftp\"" },
        { .why = "no host",
          .url = "http:///a",
          .result = "[invalid argument] Get \"http:///a\": http: no Host in request URL" },
        { .why = "a bad method",
          .request = { .method = "G T" },
          .url = "http://127.0.0.1:P/",
          .result = "[invalid argument] net/http: invalid method \"G T\"" },
        { .why = "a bad header name",
          .request = { .headers =
                           (const struct mu_header[]){ { MU_SPAN_LIT("a b"), MU_SPAN_LIT("c") } },
                       .headers_count = 1 },
          .url = "http://127.0.0.1:P/",
          .result = "[invalid argument] net/http: invalid header field name \"a b\"" },
        { .why = "a name that does not exist",
          .request = { .method = "PUT" },
          .url = "http://a..b/",
          .result = "[peer unreachable] Put \"http://a..b/\": dial tcp: lookup "
                    "a..b: no such host" },
        { .why = "closed without a word",
          .replies = SAYS(""),
          .url = "http://127.0.0.1:P/",
          .result = "[outcome unknown] Get \"http://127.0.0.1:P/\": EOF" },
        { .why = "closed inside the head",
          .replies = SAYS("HTTP/1.1 200 OK\r\nCont"),
          .url = "http://127.0.0.1:P/",
          .result = "[outcome unknown] Get \"http://127.0.0.1:P/\": unexpected EOF" },
        { .why = "closed inside the body: what came is told too",
          .replies = SAYS("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"),
          .url = "http://127.0.0.1:P/",
          .result = "200 'OK' (hi) [outcome unknown] unexpected EOF" },
        { .why = "reset",
          .replies = SAYS(""),
          .then = PEER_RESETS,
          .url = "http://127.0.0.1:P/",
          .result = "[outcome unknown] Get \"http://127.0.0.1:P/\": read tcp "
                    "127.0.0.1:L->127.0.0.1:P: read: connection reset by peer" },
        { .why = "not HTTP",
          .replies = SAYS("SSH-2.0-x\r\n"),
          .then = PEER_HANGS,
          .url = "http://127.0.0.1:P/",
          .result = "[invalid argument] Get \"http://127.0.0.1:P/\": malformed HTTP response: this "
                    "is not HTTP/1.1" },
        { .why = "a head above the limit",
          .replies = SAYS("HTTP/1.1 200 OK\r\nA: 0123456789012345678901234567890\r\n\r\n"),
          .then = PEER_HANGS,
          .request = { .head_bytes_max = 40 },
          .url = "http://127.0.0.1:P/",
          .result = "[invalid argument] Get \"http://127.0.0.1:P/\": malformed HTTP response: head "
                    "too large" },
        { .why = "no answer in time",
          .replies = SAYS(""),
          .then = PEER_HANGS,
          .request = { .timeout_ms = 20 },
          .url = "http://127.0.0.1:P/",
          .result = "[timed out] Get \"http://127.0.0.1:P/\": context deadline exceeded "
                    "(Client.Timeout exceeded while awaiting headers)" },
        { .why = "no end in time",
          .replies = SAYS("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"),
          .then = PEER_HANGS,
          .request = { .timeout_ms = 50 },
          .url = "http://127.0.0.1:P/",
          .result = "200 'OK' (hi) [timed out] context deadline exceeded (Client.Timeout or "
                    "context cancellation while reading body)" },
        { .why = "a password is not shown",
          .replies = SAYS(""),
          .url = "http://u:secret@127.0.0.1:P/",
          .result = "[outcome unknown] Get \"http://u:***@127.0.0.1:P/\": EOF" },
    };

    (void)state;
    check_exchanges(cases, MU_LEN(cases));
}

#define TO(status, where) \
    "HTTP/1.1 " status " x\r\nLocation: " where "\r\nContent-Length: 0\r\n\r\n"

static void redirects_are_followed(void **state)
{
    const struct exchange cases[] = {
        { .why = "not unless asked for",
          .replies = SAYS(TO("302", "/b")),
          .url = "http://127.0.0.1:P/a",
          .result = "302 'x' ()" },
        { .why = "to a path",
          .replies = SAYS(TO("301", "/b"), OK_HI),
          .request = { .redirects_max = 10 },
          .url = "http://127.0.0.1:P/a",
          .result = "200 'OK' (hi) seen a" },
        { .why = "to a URL, several times",
          .replies = SAYS(TO("307", "http://localhost:P/b"), TO("303", "c?d"), OK_HI),
          .request = { .redirects_max = 2 },
          .url = "http://127.0.0.1:P/a",
          .result = "200 'OK' (hi) seen a" },
        { .why = "without a place it is the answer",
          .replies = SAYS("HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n"),
          .request = { .redirects_max = 10 },
          .url = "http://127.0.0.1:P/a",
          .result = "302 'x' ()" },
        { .why = "not in circles",
          .replies = SAYS(TO("302", "/a")),
          .request = { .redirects_max = 3 },
          .url = "http://127.0.0.1:P/a",
          .result = "[outcome unknown] Get \"http://127.0.0.1:P/a\": stopped after 3 redirects" },
        { .why = "to something else",
          .replies = SAYS(TO("302", "gopher://x/")),
          .request = { .redirects_max = 3 },
          .url = "http://127.0.0.1:P/a",
          .result = "[not supported] Get \"gopher://x/\": unsupported protocol scheme \"gopher\"" },
    };

    (void)state;
    check_exchanges(cases, MU_LEN(cases));
}

/* What the server was told, request by request. */
static void check_heard(const char *why, const char *const *replies,
                        struct http_client_request request, const char *url, const char *expected)
{
    struct world w;
    struct mu_buf with_port = MU_BUF_NONE;

    world_init(&w, NULL);
    peer_replies(w.peer, replies, PEER_CLOSES);
    run_request(&w, &request, url);
    peer_with_port(w.peer, &with_port, expected);
    if (strcmp(mu_buf_text(peer_heard(w.peer)), mu_buf_text(&with_port)) != 0) {
        fail_msg("%s: the server heard <%s>, not <%s>", why, mu_buf_text(peer_heard(w.peer)),
                 mu_buf_text(&with_port));
    }
    mu_buf_deinit(&with_port);
    world_deinit(&w);
}

static void requests_are_written(void **state)
{
    static const struct mu_header secrets[] = {
        { MU_SPAN_LIT("Authorization"), MU_SPAN_LIT("x") },
        { MU_SPAN_LIT("A"), MU_SPAN_LIT("b\r\nC: d") },
        { MU_SPAN_LIT("Content-Length"), MU_SPAN_LIT("99") },
        { MU_SPAN_LIT("Host"), MU_SPAN_LIT("me") },
    };

    (void)state;
    check_heard("the least", SAYS(OK_HI), (struct http_client_request){ .method = "GET" },
                "http://127.0.0.1:P/a b?c",
                "GET /a%20b?c HTTP/1.1\r\nHost: 127.0.0.1:P\r\nConnection: close\r\n\r\n");
    check_heard("a body", SAYS(OK_HI),
                (struct http_client_request){ .method = "PUT", .body = MU_SPAN_LIT("body") },
                "http://127.0.0.1:P",
                "PUT / HTTP/1.1\r\nHost: 127.0.0.1:P\r\nContent-Length: 4\r\nConnection: "
                "close\r\n\r\nbody");
    check_heard("a user in the URL", SAYS(OK_HI), (struct http_client_request){ .method = "GET" },
                "http://a%40:b@127.0.0.1:P/",
                "GET / HTTP/1.1\r\nHost: 127.0.0.1:P\r\nAuthorization: Basic YUA6Yg==\r\n"
                "Connection: close\r\n\r\n");
    check_heard("headers, and what is not let through", SAYS(OK_HI),
                (struct http_client_request){
                    .method = "GET", .headers = secrets, .headers_count = MU_LEN(secrets) },
                "http://127.0.0.1:P/",
                "GET / HTTP/1.1\r\nAuthorization: x\r\nA: b  C: d\r\nHost: me\r\n"
                "Connection: close\r\n\r\n");
    check_heard("a redirect to another host keeps the method and loses the secrets",
                SAYS(TO("308", "http://localhost:P/b"), OK_HI),
                (struct http_client_request){ .method = "PUT",
                                              .body = MU_SPAN_LIT("x"),
                                              .headers = secrets,
                                              .headers_count = MU_LEN(secrets),
                                              .redirects_max = 1 },
                "http://127.0.0.1:P/",
                "PUT / HTTP/1.1\r\nAuthorization: x\r\nA: b  C: d\r\nHost: me\r\n"
                "Content-Length: 1\r\nConnection: close\r\n\r\nx"
                "PUT /b HTTP/1.1\r\nHost: localhost:P\r\nA: b  C: d\r\n"
                "Content-Length: 1\r\nConnection: close\r\n\r\nx");
    check_heard("303 turns into GET", SAYS(TO("303", "/b"), OK_HI),
                (struct http_client_request){
                    .method = "POST", .body = MU_SPAN_LIT("x"), .redirects_max = 1 },
                "http://u:p@127.0.0.1:P/",
                "POST / HTTP/1.1\r\nHost: 127.0.0.1:P\r\nAuthorization: Basic dTpw\r\n"
                "Content-Length: 1\r\nConnection: close\r\n\r\nx"
                "GET /b HTTP/1.1\r\nHost: 127.0.0.1:P\r\nAuthorization: Basic dTpw\r\n"
                "Connection: close\r\n\r\n");
}

static void nobody_listens(void **state)
{
    struct http_client_request request = { .method = "GET" };
    struct world w;

    (void)state;
    world_init(&w, NULL);
    peer_stop_listening(w.peer); /* so the port was ours a moment ago */
    (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    run_request(&w, &request, "http://127.0.0.1:P/");
    assert_string_equal(mu_buf_text(&w.result),
                        "[peer unreachable] Get \"http://127.0.0.1:P/\": dial tcp 127.0.0.1:P: "
                        "connect: connection refused");
    world_deinit(&w);
}

static void unix_sockets_are_spoken_to(void **state)
{
    const char *dir = scratch_dir();
    char path[64];
    char url[96];
    char expected[256];
    char long_url[256] = "unix:///tmp/";
    struct http_client_request request = { .method = "GET", .target = "/v1/a?b" };
    struct world w;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/s", dir);
    (void)snprintf(url, sizeof url, "unix://%s", path);
    world_init(&w, path);
    peer_replies(w.peer, SAYS(OK_HI), PEER_CLOSES);
    run_request(&w, &request, url);
    assert_string_equal(mu_buf_text(&w.result), "200 'OK' (hi) seen a");
    assert_string_equal(mu_buf_text(peer_heard(w.peer)),
                        "GET /v1/a?b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    world_deinit(&w);

    (void)unlink(path);
    world_init(&w, NULL);
    run_request(&w, &request, url);
    (void)snprintf(expected, sizeof expected,
                   "[peer unreachable] Get \"http://localhost/v1/a?b\": dial unix %s: connect: no "
                   "such file or directory",
                   path);
    assert_string_equal(mu_buf_text(&w.result), expected);
    world_deinit(&w);

    memset(long_url + 12, 'x', 120);
    world_init(&w, NULL);
    run_request(&w, &request, long_url);
    assert_non_null(strstr(mu_buf_text(&w.result), "connect: invalid argument"));
    world_deinit(&w);
    assert_int_equal(rmdir(dir), 0);
}

static void on_never(void *data, enum mu_code code, const struct http_client_response *response,
                     const struct mu_err *err)
{
    (void)data;
    (void)code;
    (void)response;
    (void)err;
    fail_msg("a cancelled request was answered");
}

/* Cancelled after so many turns of the loop: in every state it may be in. */
static void a_cancelled_request_is_silent(void **state)
{
    static const char *const urls[] = { "http://127.0.0.1:P/", "http://localhost:P/" };

    (void)state;
    for (size_t i = 0; i < MU_LEN(urls); i++) {
        for (unsigned turns = 0; turns < 6; turns++) {
            struct mu_buf url = MU_BUF_NONE;
            struct world w;

            world_init(&w, NULL);
            peer_replies(w.peer, SAYS("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"),
                         PEER_HANGS);
            peer_with_port(w.peer, &url, urls[i]);
            struct http_client_request request = { .method = "GET",
                                                   .url = mu_buf_text(&url),
                                                   .timeout_ms = 60000 };
            struct http_client *c = http_client_start(&w.loop, &request, on_never, &w);

            for (unsigned turn = 0; turn < turns; turn++) {
                (void)uv_run(&w.loop, UV_RUN_NOWAIT);
            }
            http_client_cancel(c);
            mu_buf_deinit(&url);
            world_deinit(&w);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_arrive),
        cmocka_unit_test(failures_are_told_in_words),
        cmocka_unit_test(redirects_are_followed),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(unix_sockets_are_spoken_to),
        cmocka_unit_test(a_cancelled_request_is_silent),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as main() of muster does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
