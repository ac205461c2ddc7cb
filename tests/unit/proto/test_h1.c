#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "proto/h1.h"

/* What a connection heard, written down: "GET /a keep\n Host: x\n(body)end\n". */
struct heard {
    struct mu_buf text;
    bool pauses;  /* every callback asks for a pause */
    bool in_body; /* so that parts of one body read as one */
    size_t callbacks;
};

static void leave_body(struct heard *d)
{
    if (d->in_body) {
        mu_buf_add_byte(&d->text, ')');
    }
    d->in_body = false;
}

static bool on_head(void *data, const struct mu_h1_head *head)
{
    struct heard *d = data;

    if (head->status > 0) {
        mu_buf_addf(&d->text, "%u '%.*s'", head->status, MU_SPAN_FMT(head->reason));
    } else {
        mu_buf_addf(&d->text, "%.*s %.*s", MU_SPAN_FMT(head->method), MU_SPAN_FMT(head->target));
    }
    mu_buf_add_text(&d->text, head->keeps_alive ? " keep" : " close");
    mu_buf_add_text(&d->text, head->minor == 0 ? " 1.0" : "");
    mu_buf_add_text(&d->text, head->expects_continue ? " continue" : "");
    mu_buf_add_text(&d->text, head->is_chunked ? " chunked" : "");
    mu_buf_add_text(&d->text, head->has_body ? " body" : "");
    if (head->content_length > 0) {
        mu_buf_addf(&d->text, " %llu", (unsigned long long)head->content_length);
    }
    if (head->upgrades_to_h2c) {
        mu_buf_add_text(&d->text, " h2c");
        for (size_t i = 0; i < head->h2_settings.bytes; i++) {
            mu_buf_addf(&d->text, "%s%02x", i == 0 ? " " : "", head->h2_settings.data[i]);
        }
    }
    for (size_t i = 0; i < head->headers_count; i++) {
        mu_buf_addf(&d->text, "|%.*s=%.*s", MU_SPAN_FMT(head->headers[i].name),
                    MU_SPAN_FMT(head->headers[i].value));
    }
    mu_buf_add_byte(&d->text, '\n');
    d->callbacks++;
    return !d->pauses;
}

static bool on_body(void *data, struct mu_span part)
{
    struct heard *d = data;

    if (!d->in_body) {
        mu_buf_add_byte(&d->text, '(');
    }
    d->in_body = true;
    mu_buf_add_span(&d->text, part);
    d->callbacks++;
    return !d->pauses;
}

static bool on_end(void *data)
{
    struct heard *d = data;

    leave_body(d);
    mu_buf_add_text(&d->text, "end\n");
    d->callbacks++;
    return !d->pauses;
}

static const struct mu_h1_events events = { on_head, on_body, on_end };
static const struct mu_h1_options small = { 1024, 8, 64 };

/* A connection, and how its bytes are cut. */
struct wire {
    struct mu_h1 *h;
    struct heard heard;
    struct mu_err err;
    enum mu_code code;
};

static void wire_init(struct wire *w, enum mu_h1_role role)
{
    *w = (struct wire){ .code = MU_OK };
    w->h = mu_h1_new(role, &small, &events, &w->heard);
}

static void wire_deinit(struct wire *w)
{
    mu_h1_free(w->h);
    mu_buf_deinit(&w->heard.text);
}

static void wire_feed(struct wire *w, struct mu_span bytes)
{
    size_t used = 0;

    if (w->code != MU_OK) {
        return;
    }
    do { /* again after each pause; the last time with no bytes, for the end of a bodyless one */
        size_t before = w->heard.callbacks;

        w->code = mu_h1_feed(w->h, bytes, &used, &w->err);
        bytes = mu_span_sub(bytes, used, bytes.bytes);
        if (w->code != MU_OK || (bytes.bytes == 0 && w->heard.callbacks == before)) {
            return;
        }
    } while (true);
}

/* Every way to cut `bytes` in two, byte by byte, and with a pause at every callback. */
static void check_all_cuts(enum mu_h1_role role, const char *why, struct mu_span bytes,
                           const char *expected, unsigned status)
{
    for (size_t cut = 0; cut <= bytes.bytes + 2; cut++) {
        struct wire w;

        wire_init(&w, role);
        w.heard.pauses = cut == bytes.bytes + 1;
        if (cut <= bytes.bytes) {
            wire_feed(&w, mu_span_sub(bytes, 0, cut));
            wire_feed(&w, mu_span_sub(bytes, cut, bytes.bytes));
        } else if (cut == bytes.bytes + 1) {
            wire_feed(&w, bytes);
        } else {
            for (size_t i = 0; i < bytes.bytes; i++) {
                wire_feed(&w, mu_span_sub(bytes, i, 1));
            }
        }
        leave_body(&w.heard);
        if (strcmp(mu_buf_text(&w.heard.text), expected) != 0 || mu_h1_status(w.h) != status ||
            (w.code == MU_OK) != (status == 0)) {
            fail_msg("%s, cut at %zu: heard <%s>, status %u (%s); expected <%s>, status %u", why,
                     cut, mu_buf_text(&w.heard.text), mu_h1_status(w.h), w.err.text, expected,
                     status);
        }
        wire_deinit(&w);
    }
}

#define HOST "Host: a\r\n"

static void requests_are_read(void **state)
{
    static const struct {
        const char *why, *wire, *heard;
    } cases[] = {
        // clang-format off
        { "the least", "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / keep|Host=a\nend\n" },
        { "values are trimmed, names kept as sent",
          "PUT /v1/kv/a?raw HTTP/1.1\r\nhOsT: \t b c \t\r\nX:\r\n\r\n",
          "PUT /v1/kv/a?raw keep|hOsT=b c|X=\nend\n" },
        { "1.0 closes, and needs no Host", "GET / HTTP/1.0\r\n\r\n", "GET / close 1.0\nend\n" },
        { "1.0 may ask to be kept", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          "GET / keep 1.0|Connection=keep-alive\nend\n" },
        { "1.1 may ask to be closed", "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n",
          "GET / close|Host=a|Connection=x, Close\nend\n" },
        { "a counted body", "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
          "PUT /a keep body 5|Host=a|Content-Length=5\n(hello)end\n" },
        { "a body of zero bytes", "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
          "PUT /a keep|Host=a|Content-Length=0\nend\n" },
        { "a chunked body, extensions and trailers dropped",
          "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
          "3\r\nabc\r\n0A;x=\"y\" \r\n0123456789\r\n0\r\nX: y\r\n\r\n",
          "PUT /a keep chunked body|Host=a|Transfer-Encoding=Chunked\n(abc0123456789)end\n" },
        { "two in one packet", "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n",
          "GET /a keep|Host=a\nend\nGET /b keep|Host=a\nend\n" },
        { "one behind a body", "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"
          "GET /b HTTP/1.1\r\n" HOST "\r\n",
          "PUT /a keep body 2|Host=a|Content-Length=2\n(hi)end\nGET /b keep|Host=a\nend\n" },
        { "empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
          "GET / keep|Host=a\nend\n" },
        { "expects to be told", "PUT / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n"
          "Content-Length: 1\r\n\r\nx",
          "PUT / keep continue body 1|Host=a|Expect=100-Continue|Content-Length=1\n(x)end\n" },
        { "absolute form", "GET http://a/b HTTP/1.1\r\n" HOST "\r\n",
          "GET http://a/b keep|Host=a\nend\n" },
        { "raw UTF-8 in a target", "GET /\xd0\xba HTTP/1.1\r\n" HOST "\r\n",
          "GET /\xd0\xba keep|Host=a\nend\n" },
        { "a later minor version is 1.1", "GET / HTTP/1.2\r\n" HOST "\r\n",
          "GET / keep|Host=a\nend\n" },
        { "upgrade to h2c", "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\n"
          "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
          "GET / keep h2c 000300000064|Host=a|Connection=Upgrade, HTTP2-Settings|Upgrade=h2c|"
          "HTTP2-Settings=AAMAAABk\nend\n" },
        { "no upgrade: bad base64", "GET / HTTP/1.1\r\n" HOST
          "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA*A\r\n\r\n",
          "GET / keep|Host=a|Connection=Upgrade, HTTP2-Settings|Upgrade=h2c|HTTP2-Settings=AA*A\n"
          "end\n" },
        { "no upgrade: settings not named in Connection", "GET / HTTP/1.1\r\n" HOST
          "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
          "GET / keep|Host=a|Connection=Upgrade|Upgrade=h2c|HTTP2-Settings=AAMAAABk\nend\n" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        check_all_cuts(MU_H1_SERVER, cases[i].why, mu_span_text(cases[i].wire), cases[i].heard, 0);
    }
}

static void bad_requests_are_refused(void **state)
{
#define PUT_CHUNKED   "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define HEARD_CHUNKED "PUT / keep chunked body|Host=a|Transfer-Encoding=chunked\n"
    static const struct {
        const char *why, *wire, *heard;
        unsigned status;
    } cases[] = {
        // clang-format off
        { "bare LF", "GET / HTTP/1.1\nHost: a\n\n", "", 400 },
        { "bare LF at the end", "GET / HTTP/1.1\r\n" HOST "\n", "", 400 },
        { "bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "", 400 },
        { "a lone CR in front", "\rGET / HTTP/1.1\r\n" HOST "\r\n", "", 400 },
        { "a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "", 400 },
        { "an empty name", "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", "", 400 },
        { "no colon", "GET / HTTP/1.1\r\n" HOST "abc\r\n\r\n", "", 400 },
        { "a folded field", "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", "", 400 },
        { "a control byte in a value", "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", "", 400 },
        { "TE and CL", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
          "Content-Length: 3\r\n\r\n", "", 400 },
        { "two CLs", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
          "", 400 },
        { "a list of CLs", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\n", "", 400 },
        { "a signed CL", "PUT / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n", "", 400 },
        { "an empty CL", "PUT / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", "", 400 },
        { "a CL beyond 64 bits", "PUT / HTTP/1.1\r\n" HOST
          "Content-Length: 99999999999999999999\r\n\r\n", "", 400 },
        { "an unknown TE", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "", 501 },
        { "TE with something before chunked", "PUT / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: gzip, chunked\r\n\r\n", "", 501 },
        { "two TEs", "PUT / HTTP/1.1\r\n" HOST
          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "", 501 },
        { "TE in 1.0", "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "", 400 },
        { "no Host", "GET / HTTP/1.1\r\n\r\n", "", 400 },
        { "two Hosts", "GET / HTTP/1.1\r\n" HOST HOST "\r\n", "", 400 },
        { "an unknown method", "FETCH / HTTP/1.1\r\n" HOST "\r\n", "", 501 },
        { "a method that is no token", "G(T / HTTP/1.1\r\n" HOST "\r\n", "", 400 },
        { "two blanks in the request line", "GET  / HTTP/1.1\r\n" HOST "\r\n", "", 400 },
        { "a tab in the request line", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", "", 400 },
        { "a target that is none", "GET a HTTP/1.1\r\n" HOST "\r\n", "", 400 },
        { "no version", "GET /\r\n\r\n", "", 400 },
        { "a version that is none", "GET / HTTP/1\r\n\r\n", "", 400 },
        { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\n", "", 505 },
        { "TLS", "\x16\x03\x01\x02", "", 400 },
        { "too many fields", "GET / HTTP/1.1\r\n" HOST "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\n"
          "G:1\r\nH:1\r\n\r\n", "", 431 },
        { "an announced body above the limit: the target is known",
          "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n",
          "PUT /a keep body 65|Host=a|Content-Length=65\n", 413 },
        { "a chunk above the limit", PUT_CHUNKED "41\r\n", HEARD_CHUNKED, 413 },
        { "chunks that add up beyond it", PUT_CHUNKED "3f\r\n"
          "012345678901234567890123456789012345678901234567890123456789012\r\n2\r\n",
          HEARD_CHUNKED "(012345678901234567890123456789012345678901234567890123456789012)", 413 },
        { "a chunk size that is none", PUT_CHUNKED "x\r\n", HEARD_CHUNKED, 400 },
        { "an empty chunk size", PUT_CHUNKED "\r\n", HEARD_CHUNKED, 400 },
        { "a chunk size with a sign", PUT_CHUNKED "+1\r\na\r\n", HEARD_CHUNKED, 400 },
        { "a chunk size beyond 64 bits", PUT_CHUNKED "11111111111111111\r\n", HEARD_CHUNKED, 400 },
        { "a chunk size ended by LF", PUT_CHUNKED "1\na\r\n", HEARD_CHUNKED, 400 },
        { "a control byte in an extension", PUT_CHUNKED "1;\x01\r\na\r\n", HEARD_CHUNKED, 400 },
        { "data longer than its chunk", PUT_CHUNKED "1\r\nab\r\n", HEARD_CHUNKED "(a)", 400 },
        { "a chunk without its end", PUT_CHUNKED "1\r\na\n0\r\n\r\n", HEARD_CHUNKED "(a)", 400 },
        { "a trailer that is none", PUT_CHUNKED "0\r\nabc\r\n\r\n", HEARD_CHUNKED, 400 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        check_all_cuts(MU_H1_SERVER, cases[i].why, mu_span_text(cases[i].wire), cases[i].heard,
                       cases[i].status);
    }
}

static void a_nul_is_refused_everywhere(void **state)
{
    static const char good[] = "PUT /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char bad[sizeof good];
        struct wire w;

        memcpy(bad, good, sizeof good);
        bad[i] = '\0';
        wire_init(&w, MU_H1_SERVER);
        wire_feed(&w, mu_span_of(bad, sizeof good - 1));
        wire_feed(&w, MU_SPAN_LIT("\r\n\r\n")); /* when the empty line itself was hit */
        if (w.code != MU_INVALID || mu_h1_status(w.h) != 400 || w.heard.text.bytes > 0) {
            fail_msg("NUL at %zu: status %u", i, mu_h1_status(w.h));
        }
        wire_deinit(&w);
    }
}

static void heads_and_trailers_are_bounded(void **state)
{
    static const struct {
        const char *why, *prefix, *unit;
        unsigned status;
    } cases[] = {
        // clang-format off
        { "one endless line", "GET /", "a", 431 },
        { "endless lines", "GET / HTTP/1.1\r\n", "A: b\r\n", 431 },
        { "endless empty lines", "", "\r\n", 431 },
        { "an endless chunk extension", PUT_CHUNKED "1;", "a", 400 },
        { "an endless trailer line", PUT_CHUNKED "0\r\n", "a", 431 },
        { "endless trailers", PUT_CHUNKED "0\r\n", "A: b\r\n", 431 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct wire w;
        size_t fed = 0;

        wire_init(&w, MU_H1_SERVER);
        wire_feed(&w, mu_span_text(cases[i].prefix));
        while (w.code == MU_OK && fed <= 2 * small.head_bytes_max) {
            wire_feed(&w, mu_span_text(cases[i].unit));
            fed += strlen(cases[i].unit);
        }
        if (mu_h1_status(w.h) != cases[i].status) {
            fail_msg("%s: status %u after %zu bytes", cases[i].why, mu_h1_status(w.h), fed);
        }
        wire_deinit(&w);
    }
}

static void a_failed_connection_stays_failed(void **state)
{
    struct wire w;
    size_t used = 9;

    (void)state;
    wire_init(&w, MU_H1_SERVER);
    wire_feed(&w, MU_SPAN_LIT("\x16"));
    assert_int_equal(w.code, MU_INVALID);
    assert_string_equal(w.err.text, "this is not HTTP/1.1");
    assert_int_equal(mu_h1_feed(w.h, MU_SPAN_LIT("GET / HTTP/1.1\r\n" HOST "\r\n"), &used, NULL),
                     MU_INVALID);
    assert_int_equal(used, 0);
    assert_int_equal(mu_h1_status(w.h), 400);
    assert_int_equal(w.heard.text.bytes, 0);
    wire_deinit(&w);
}

static void a_pause_stops_behind_the_callback(void **state)
{
    static const char two[] = "GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n";
    struct wire w;
    size_t used = 0;

    (void)state;
    wire_init(&w, MU_H1_SERVER);
    w.heard.pauses = true;
    assert_int_equal(mu_h1_feed(w.h, MU_SPAN_LIT(two), &used, NULL), MU_OK);
    assert_int_equal(used, (sizeof two - 1) / 2);
    assert_string_equal(mu_buf_text(&w.heard.text), "GET /a keep|Host=a\n");
    assert_int_equal(mu_h1_feed(w.h, MU_SPAN_NONE, &used, NULL), MU_OK);
    assert_string_equal(mu_buf_text(&w.heard.text), "GET /a keep|Host=a\nend\n");
    assert_int_equal(mu_h1_feed(w.h, MU_SPAN_NONE, &used, NULL), MU_OK);
    assert_string_equal(mu_buf_text(&w.heard.text), "GET /a keep|Host=a\nend\n");
    wire_deinit(&w);
}

static void responses_are_read(void **state)
{
    static const struct {
        const char *why, *wire, *heard;
        unsigned status;
    } cases[] = {
        // clang-format off
        { "a counted one", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
          "200 'OK' keep body 2|Content-Length=2\n(hi)end\n", 0 },
        { "no reason", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
          "404 '' keep|Content-Length=0\nend\n", 0 },
        { "a reason of words", "HTTP/1.0 503 Not Yet Ready\r\nContent-Length: 0\r\n\r\n",
          "503 'Not Yet Ready' close 1.0|Content-Length=0\nend\n", 0 },
        { "204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", "204 'No Content' keep\nend\n", 0 },
        { "304 has no body whatever it says", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
          "304 'Not Modified' keep 9|Content-Length=9\nend\n", 0 },
        { "interim answers are skipped",
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
          "200 'OK' keep body 1|Content-Length=1\n(x)end\n", 0 },
        { "until the end", "HTTP/1.1 200 OK\r\n\r\nabc", "200 'OK' close body\n(abc)", 0 },
        { "bare LF in the head: small endpoints send it", "HTTP/1.0 200 OK\nA: b\n\nabc",
          "200 'OK' close 1.0 body|A=b\n(abc)", 0 },
        { "switching protocols", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "", 400 },
        { "not HTTP", "SSH-2.0-OpenSSH\r\n", "", 400 },
        { "a status that is none", "HTTP/1.1 2x0 OK\r\n\r\n", "", 400 },
        { "a status below 100", "HTTP/1.1 099 OK\r\n\r\n", "", 400 },
        { "HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "", 505 },
        { "an unknown TE", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "", 501 },
        { "TE and CL", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
          "", 400 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        check_all_cuts(MU_H1_CLIENT, cases[i].why, mu_span_text(cases[i].wire), cases[i].heard,
                       cases[i].status);
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    struct wire w;

    (void)state;
    wire_init(&w, MU_H1_CLIENT);
    mu_h1_expect_no_body(w.h);
    wire_feed(&w, MU_SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"
                              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
                              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    assert_string_equal(mu_buf_text(&w.heard.text),
                        "200 'OK' keep 5|Content-Length=5\nend\n"
                        "200 'OK' keep body 1|Content-Length=1\n(x)end\n");
    wire_deinit(&w);
}

static void the_end_of_a_stream_is_judged(void **state)
{
    static const struct {
        const char *why, *wire, *heard, *error;
    } cases[] = {
        // clang-format off
        { "before anything", "", "", "EOF" },
        { "inside a head", "HTTP/1.1 200", "", "unexpected EOF" },
        { "between two", "HTTP/1.1 204 No\r\n\r\n", "204 'No' keep\nend\n", "" },
        { "it ends a body without a length", "HTTP/1.1 200 OK\r\n\r\nabc",
          "200 'OK' close body\n(abc)end\n", "" },
        { "inside a counted body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
          "200 'OK' keep body 5|Content-Length=5\n(abc", "unexpected EOF" },
        { "inside a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
          "200 'OK' keep chunked body|Transfer-Encoding=chunked\n(abc", "unexpected EOF" },
        { "before the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "3\r\nabc\r\n", "200 'OK' keep chunked body|Transfer-Encoding=chunked\n(abc",
          "unexpected EOF" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct wire w;

        wire_init(&w, MU_H1_CLIENT);
        wire_feed(&w, mu_span_text(cases[i].wire));
        assert_int_equal(w.code, MU_OK);
        w.code = mu_h1_eof(w.h, &w.err);
        if (strcmp(mu_buf_text(&w.heard.text), cases[i].heard) != 0 ||
            strcmp(w.err.text, cases[i].error) != 0 ||
            (w.code == MU_OK) != (cases[i].error[0] == '\0')) {
            fail_msg("%s: heard <%s>, error <%s>", cases[i].why, mu_buf_text(&w.heard.text),
                     w.err.text);
        }
        wire_deinit(&w);
    }
}

static void heads_are_written(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    mu_h1_status_line(&b, 200);
    mu_h1_header(&b, "A", MU_SPAN_LIT("b\tc"));
    mu_h1_header(&b, "Evil", MU_SPAN_LIT("x\r\nSet: y\0z"));
    mu_h1_status_line(&b, 599);
    assert_string_equal(mu_buf_text(&b), "HTTP/1.1 200 OK\r\nA: b\tc\r\nEvil: x  Set: y z\r\n"
                                         "HTTP/1.1 599 Unknown\r\n");
    assert_string_equal(mu_http_reason(413), "Request Entity Too Large");
    mu_buf_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(a_nul_is_refused_everywhere),
        cmocka_unit_test(heads_and_trailers_are_bounded),
        cmocka_unit_test(a_failed_connection_stays_failed),
        cmocka_unit_test(a_pause_stops_behind_the_callback),
        cmocka_unit_test(responses_are_read),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(the_end_of_a_stream_is_judged),
        cmocka_unit_test(heads_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
