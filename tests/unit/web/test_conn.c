/* Connections without sockets: what goes in, what comes out, when they end. The routes are replaced
 * by a small echo, the second side of HTTP/2 is proto/h2 as a client.
 */
#include "cm.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "conn.h"
#include "proto/h2.h"

/* -- the surroundings -------------------------------------------------------------------------- */

struct world {
    struct request_pool pool;
    struct response_style style;
    struct conn_host host;
    struct conn conn;
    unsigned touches, cancels;
    struct request *slow; /* the one that waits for the test */
    struct mu_buf seen;   /* "PUT /x [body]" of each that was served */
    size_t unsent;        /* of `conn`, as its socket says */
    char big[300000];
};

static void begin(void *data, struct request *r)
{
    (void)data;
    r->body_bytes_max = 1000;
}

static void cancelled(struct request *r)
{
    struct world *w = r->mine;

    w->cancels++;
    w->slow = NULL;
    r->pending = NULL;
}

static const struct request_pending waiting = { "test", cancelled };

static void serve(void *data, struct request *r)
{
    struct world *w = data;

    mu_buf_addf(&w->seen, "%.*s %.*s [%.*s]\n", MU_SPAN_FMT(r->method_text), MU_SPAN_FMT(r->target),
                MU_SPAN_FMT(mu_buf_span(&r->body)));
    r->mine = w;
    if (r->verdict == VERDICT_TOO_BIG) {
        answer_textf(r, 413, "%llu bytes", (unsigned long long)r->content_length);
    } else if (r->verdict == VERDICT_BUSY) {
        answer_text(r, 429, "no room");
    } else if (mu_span_starts(r->target, MU_SPAN_LIT("/slow")) ||
               mu_span_starts(r->target, MU_SPAN_LIT("/held"))) {
        assert_null(w->slow);
        w->slow = r;
        r->pending = &waiting;
        r->is_held = mu_span_starts(r->target, MU_SPAN_LIT("/held"));
    } else if (mu_span_starts(r->target, MU_SPAN_LIT("/big"))) {
        r->response.body = mu_span_of(w->big, sizeof w->big);
        r->response.status = 200;
        request_answer(r);
    } else if (mu_span_starts(r->target, MU_SPAN_LIT("/small"))) {
        r->response.body = mu_span_of(w->big, 60000);
        r->response.status = 200;
        request_answer(r);
    } else {
        answer_text(r, 200, "ok");
    }
}

static void touch(void *data, struct conn *c)
{
    struct world *w = data;

    (void)c;
    w->touches++;
}

static void slow_answer(struct world *w)
{
    struct request *r = w->slow;

    w->slow = NULL;
    r->pending = NULL;
    answer_text(r, 200, "late");
}

static struct world *world_new(void)
{
    struct world *w = mu_new(sizeof *w);

    request_pool_init(&w->pool);
    response_style_init(&w->style, &(struct mu_pairs){ NULL, 0 });
    w->host = (struct conn_host){ .pool = &w->pool,
                                  .style = &w->style,
                                  .now_ms = 1000,
                                  .wall_s = 1795162968,
                                  .begin = begin,
                                  .serve = serve,
                                  .data = w,
                                  .touch = touch,
                                  .touch_data = w };
    memset(w->big, 'x', sizeof w->big);
    conn_init(&w->conn, &w->host, &MU_ADDR_NONE);
    return w;
}

static void world_free(struct world *w)
{
    conn_deinit(&w->conn);
    request_pool_deinit(&w->pool); /* asserts that no request is left */
    response_style_deinit(&w->style);
    mu_buf_deinit(&w->seen);
    mu_free(w);
}

static void feed(struct world *w, const char *text)
{
    conn_feed(&w->conn, mu_span_text(text));
    conn_turn(&w->conn);
}

/* What was to be sent, taken. */
static char *sent(struct world *w)
{
    return mu_buf_take(&w->conn.out, NULL);
}

static void expect_sent(struct world *w, const char *text)
{
    char *out = sent(w);

    assert_string_equal(out != NULL ? out : "", text);
    mu_free(out);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

#define HEAD(status, type_and_more, length)                                           \
    "HTTP/1.1 " status "\r\n" type_and_more "Date: Fri, 20 Nov 2026 08:22:48 GMT\r\n" \
    "Content-Length: " length "\r\n"
#define TEXT   "Content-Type: text/plain; charset=utf-8\r\n"
#define OK     HEAD("200 OK", TEXT, "2") "\r\nok"
#define LATE   HEAD("200 OK", TEXT, "4") "\r\nlate"
#define GET(t) "GET " t " HTTP/1.1\r\nHost: h\r\n\r\n"

/* -- HTTP/1.1 ---------------------------------------------------------------------------------- */

static void one_request_one_answer(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, GET("/a"));
    expect_sent(w, OK);
    feed(w, GET("/b"));
    expect_sent(w, OK);
    assert_string_equal(mu_buf_text(&w->seen), "GET /a []\nGET /b []\n");
    assert_false(conn_is_over(&w->conn));
    world_free(w);
}

static void byte_by_byte_is_the_same(void **state)
{
    static const char text[] = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                               "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    struct world *w = world_new();

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        conn_feed(&w->conn, mu_span_of(text + i, 1));
        conn_turn(&w->conn);
    }
    expect_sent(w, OK OK);
    assert_string_equal(mu_buf_text(&w->seen), "PUT /a [abc]\nPUT /b [abcde]\n");
    world_free(w);
}

/* Others have bodies at the door: this one fits, or is told to come again. */
static void bodies_share_their_room(void **state)
{
    static const struct {
        const char *why;
        uint64_t room;
        const char *text;
        const char *answer;
    } cases[] = {
        // clang-format off
        { "it just fits",          3, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", OK },
        { "one byte is too much",  2, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
          HEAD("429 Too Many Requests", TEXT, "7") "\r\nno room" },
        { "its length is unknown", 2, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
          HEAD("429 Too Many Requests", TEXT, "7") "\r\nno room" },
        { "no body needs none",    0, GET("/a"), OK },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct world *w = world_new();
        uint64_t others = MU_HTTP_BODIES_MAX - cases[i].room;

        w->pool.bodies_bytes = others;
        feed(w, cases[i].text);
        char *out = sent(w);

        if (out == NULL || strcmp(out, cases[i].answer) != 0) {
            fail_msg("%s: %s", cases[i].why, out != NULL ? out : "nothing");
        }
        mu_free(out);
        assert_int_equal(w->pool.bodies_bytes, others); /* given back with the request */
        w->pool.bodies_bytes = 0;
        feed(w, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
        expect_sent(w, OK); /* and the connection goes on */
        world_free(w);
    }
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, GET("/slow") GET("/b") GET("/c"));
    expect_sent(w, "");
    assert_string_equal(mu_buf_text(&w->seen), "GET /slow []\n"); /* one at a time */
    slow_answer(w);
    conn_turn(&w->conn);
    expect_sent(w, LATE OK OK);
    world_free(w);
}

static void a_long_pipeline_shares_the_turn(void **state)
{
    struct world *w = world_new();
    struct mu_buf many = MU_BUF_NONE;
    unsigned answers = 0, turns = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        mu_buf_add_text(&many, GET("/a"));
    }
    conn_feed(&w->conn, mu_buf_span(&many));
    while (answers < 200 && turns < 10) {
        char *out = sent(w);
        unsigned now = out != NULL ? count_of(out, "200 OK") : 0;

        assert_true(now <= 64);
        answers += now;
        mu_free(out);
        conn_turn(&w->conn);
        turns++;
    }
    assert_int_equal(answers, 200);
    mu_buf_deinit(&many);
    world_free(w);
}

static void when_a_connection_ends(void **state)
{
    static const struct {
        const char *why, *text, *answer;
        bool is_over;
    } cases[] = {
        // clang-format off
        { "asked to close", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
          HEAD("200 OK", TEXT, "2") "Connection: close\r\n\r\nok", true },
        { "HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n",
          HEAD("200 OK", TEXT, "2") "Connection: close\r\n\r\nok", true },
        { "HTTP/1.0 that keeps it", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          HEAD("200 OK", TEXT, "2") "Connection: keep-alive\r\n\r\nok", false },
        { "head has no body", "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", HEAD("200 OK", TEXT, "2") "\r\n", false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct world *w = world_new();

        feed(w, cases[i].text);
        char *out = sent(w);

        if (out == NULL || strcmp(out, cases[i].answer) != 0 ||
            conn_is_over(&w->conn) != cases[i].is_over) {
            fail_msg("%s: %d\n%s", cases[i].why, conn_is_over(&w->conn), out);
        }
        mu_free(out);
        world_free(w);
    }
}

static void nonsense_is_refused_and_ends_it(void **state)
{
    static const struct {
        const char *why, *text, *status;
    } cases[] = {
        // clang-format off
        { "no request",          "hello\r\n\r\n", "400 Bad Request" },
        { "two lengths",         "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 Bad Request" },
        { "a bad chunk",         "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", "400 Bad Request" },
        { "an unknown encoding", "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct world *w = world_new();

        feed(w, cases[i].text);
        char *out = sent(w);

        if (out == NULL || strncmp(out, "HTTP/1.1 ", 9) != 0 ||
            strncmp(out + 9, cases[i].status, strlen(cases[i].status)) != 0 ||
            strstr(out, "Connection: close") == NULL) {
            fail_msg("%s: %s", cases[i].why, out);
        }
        assert_false(conn_is_over(&w->conn)); /* reads on, so that the peer sees why */
        assert_true(conn_wants_shutdown(&w->conn));
        assert_true(conn_wants_read(&w->conn));
        conn_eof(&w->conn);
        assert_true(conn_is_over(&w->conn));
        mu_free(out);
        world_free(w);
    }
}

static void a_head_that_is_too_long_is_431(void **state)
{
    struct world *w = world_new();
    struct mu_buf head = MU_BUF_NONE;

    (void)state;
    mu_buf_add_text(&head, "GET /a HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 70000; i++) {
        mu_buf_add_byte(&head, 'y');
    }
    feed(w, mu_buf_text(&head));
    char *out = sent(w);

    assert_non_null(out);
    assert_true(strncmp(out, "HTTP/1.1 431 ", 13) == 0);
    mu_free(out);
    mu_buf_deinit(&head);
    world_free(w);
}

static void continue_is_said_when_it_was_asked(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    expect_sent(w, "HTTP/1.1 100 Continue\r\n\r\n");
    feed(w, "abc");
    expect_sent(w, OK);
    feed(w, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    expect_sent(
        w, HEAD("413 Request Entity Too Large", TEXT, "10") "Connection: close\r\n\r\n1001 bytes");
    assert_true(conn_wants_shutdown(&w->conn));
    world_free(w);
}

static void a_body_that_is_too_big_goes_by(void **state)
{
    struct world *w = world_new();
    char part[500];

    (void)state;
    memset(part, 'b', sizeof part);
    feed(w, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1500\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        expect_sent(w, ""); /* not before the client is done sending: it does not listen yet */
        conn_feed(&w->conn, mu_span_of(part, sizeof part));
    }
    expect_sent(w, HEAD("413 Request Entity Too Large", TEXT, "10") "\r\n1500 bytes");
    feed(w, GET("/next"));
    expect_sent(w, OK);
    world_free(w);
}

static void an_endless_body_ends_the_connection(void **state)
{
    struct world *w = world_new();
    char chunk[20000];
    int chunks = 0;

    (void)state;
    memset(chunk, 'b', sizeof chunk);
    memcpy(chunk, "4e10\r\n", 6); /* 19984 bytes */
    memcpy(chunk + 6 + 19984, "\r\n", 2);
    feed(w, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (w->conn.out.bytes == 0 && chunks < 1000) {
        conn_feed(&w->conn, mu_span_of(chunk, 6 + 19984 + 2));
        chunks++;
    }
    assert_true(chunks > 400 && chunks < 450); /* 8 MiB */
    assert_true(conn_wants_read(&w->conn));
    conn_feed(&w->conn, mu_span_of(chunk, sizeof chunk)); /* goes by */
    world_free(w);
}

static void a_peer_that_does_not_read_is_not_read(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, GET("/big") GET("/b"));
    assert_true(w->conn.out.bytes > 300000);
    assert_false(conn_wants_read(&w->conn));
    feed(w, GET("/c"));
    assert_string_equal(mu_buf_text(&w->seen), "GET /big []\n");
    conn_sent(&w->conn, 270000); /* a little */
    w->touches = 0;
    mu_buf_clear(&w->conn.out);
    conn_sent(&w->conn, 270000); /* the driver has the rest, still too much */
    assert_int_equal(w->touches, 0);
    conn_sent(&w->conn, 0);
    assert_int_equal(w->touches, 1); /* it goes on by itself: no byte may ever come to wake it */
    conn_turn(&w->conn);
    assert_string_equal(mu_buf_text(&w->seen), "GET /big []\nGET /b []\nGET /c []\n");
    world_free(w);
}

/* Peers that take nothing: what they hold is bounded, and who has held it for long goes when others
 * need the room. */
static void peers_that_do_not_read_share_their_room(void **state)
{
    enum { PEERS = 120 };
    struct world *w = world_new();
    struct conn *peers = mu_new_array(PEERS, sizeof *peers);
    size_t answered = 0;

    (void)state;
    for (size_t i = 0; i < PEERS; i++) {
        conn_init(&peers[i], &w->host, &MU_ADDR_NONE);
        conn_feed(&peers[i], MU_SPAN_LIT(GET("/big")));
        conn_turn(&peers[i]);
        answered += peers[i].out.bytes > sizeof w->big;
        assert_true(w->pool.held.bytes <= MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE);
    }
    assert_int_equal(answered, MU_HTTP_HELD_MAX / sizeof w->big);
    assert_true(strncmp((char *)peers[PEERS - 1].out.data, "HTTP/1.1 429 ", 13) == 0);
    feed(w, GET("/a"));
    expect_sent(w, OK);                               /* a little is always there */
    feed(w, "HEAD /big HTTP/1.1\r\nHost: h\r\n\r\n"); /* and this holds nothing */
    assert_true(strncmp((char *)w->conn.out.data, "HTTP/1.1 200 ", 13) == 0);
    mu_buf_clear(&w->conn.out);
    w->host.now_ms += 1000;
    feed(w, GET("/big"));
    assert_true(w->conn.out.bytes > sizeof w->big);
    assert_true(conn_is_over(&peers[0])); /* the first to wait */
    assert_false(conn_is_over(&peers[1]));
    assert_int_equal(w->pool.held.evicted_count, 1);
    for (size_t i = 0; i < PEERS; i++) {
        conn_deinit(&peers[i]);
    }
    mu_buf_clear(&w->conn.out);
    conn_turn(&w->conn);
    assert_int_equal(w->pool.held.bytes, 0);
    mu_free(peers);
    world_free(w);
}

static size_t still_unsent(void *data, struct conn *c)
{
    const struct world *w = data;

    return c == &w->conn ? w->unsent : c->unsent;
}

static void has_the_driver_write(struct conn *c)
{
    size_t bytes = c->out.bytes;

    mu_buf_clear(&c->out);
    conn_sent(c, bytes);
}

/* There is too much, so somebody has to go: not whose answer is the oldest and goes out all the
 * time. */
static void who_reads_is_not_cut_for_who_does_not(void **state)
{
    enum { SMALL = 700 };
    struct world *w = world_new();
    struct conn *small = mu_new_array(SMALL, sizeof *small);
    struct conn idle;
    size_t count = 0;

    (void)state;
    w->host.unsent = still_unsent;
    feed(w, GET("/big"));
    has_the_driver_write(&w->conn);
    w->host.now_ms += 10;
    conn_init(&idle, &w->host, &MU_ADDR_NONE);
    conn_feed(&idle, MU_SPAN_LIT(GET("/big")));
    has_the_driver_write(&idle);
    w->unsent = w->conn.unsent - HELD_PACE;
    w->host.now_ms += 10;
    while (w->pool.held.evicted_count == 0 && count < SMALL) {
        conn_init(&small[count], &w->host, &MU_ADDR_NONE);
        conn_feed(&small[count], MU_SPAN_LIT(GET("/small")));
        conn_turn(&small[count++]);
    }
    assert_int_equal(w->pool.held.evicted_count, 1);
    assert_true(conn_is_over(&idle));
    assert_false(conn_is_over(&w->conn));
    for (size_t i = 0; i < count; i++) {
        conn_deinit(&small[i]);
    }
    conn_deinit(&idle);
    mu_free(small);
    world_free(w);
}

static void a_client_that_goes_is_forgotten(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, GET("/slow"));
    assert_non_null(w->slow);
    conn_deinit(&w->conn); /* the socket failed */
    assert_int_equal(w->cancels, 1);
    assert_null(w->slow);
    conn_init(&w->conn, &w->host, &MU_ADDR_NONE);
    world_free(w);
}

static void half_closed_ones_get_their_answer(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, GET("/slow") GET("/b"));
    conn_eof(&w->conn);
    assert_false(conn_is_over(&w->conn));
    assert_true(w->slow->is_half_closed);
    slow_answer(w);
    conn_turn(&w->conn);
    expect_sent(w, LATE OK);
    assert_true(conn_is_over(&w->conn));
    world_free(w);
}

static void nobody_waits_behind_a_closed_pipe(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, GET("/held"));
    conn_eof(&w->conn);
    assert_true(conn_is_over(&w->conn));
    world_free(w);
}

static void deadlines_depend_on_what_is_awaited(void **state)
{
    struct world *w = world_new();

    (void)state;
    assert_int_equal(conn_deadline(&w->conn), 1000 + 600000); /* idle */
    feed(w, "GET /");
    assert_int_equal(conn_deadline(&w->conn), 1000 + 30000); /* a head, from its first byte */
    w->host.now_ms = 20000;
    feed(w, "a HTTP");
    assert_int_equal(conn_deadline(&w->conn), 1000 + 30000); /* more of it buys no time */
    feed(w, "/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(conn_deadline(&w->conn), 20000 + 60000); /* an answer to be taken */
    mu_buf_clear(&w->conn.out);
    assert_int_equal(conn_deadline(&w->conn), 20000 + 600000);
    w->host.now_ms = 30000;
    feed(w, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    w->host.now_ms = 40000;
    feed(w, "x");
    assert_int_equal(conn_deadline(&w->conn), 40000 + 60000); /* each part of a body */
    feed(w, "y");
    mu_buf_clear(&w->conn.out);
    feed(w, GET("/slow"));
    assert_int_equal(conn_deadline(&w->conn), 0); /* ours to answer */
    slow_answer(w);
    mu_buf_clear(&w->conn.out);
    feed(w, "nonsense\r\n\r\n");
    mu_buf_clear(&w->conn.out);
    assert_int_equal(conn_deadline(&w->conn), 40000 + 2000);
    world_free(w);
}

static void stopping_ends_what_is_idle_and_answers_the_rest(void **state)
{
    struct world *w = world_new();
    struct conn idle;

    (void)state;
    conn_init(&idle, &w->host, &MU_ADDR_NONE);
    conn_stop(&idle);
    assert_true(conn_is_over(&idle));
    conn_deinit(&idle);
    feed(w, GET("/slow") GET("/never"));
    conn_stop(&w->conn);
    assert_false(conn_is_over(&w->conn));
    slow_answer(w);
    conn_turn(&w->conn);
    expect_sent(w, HEAD("200 OK", TEXT, "4") "Connection: close\r\n\r\nlate");
    assert_true(conn_is_over(&w->conn));
    assert_string_equal(mu_buf_text(&w->seen), "GET /slow []\n");
    world_free(w);
}

/* -- HTTP/2 ------------------------------------------------------------------------------------ */

struct peer { /* the client's side */
    struct mu_h2 *h2;
    struct mu_buf log; /* "1: 200 content-length=2\n1: ok\n1: end\n" */
    size_t bytes;
};

static void peer_headers(void *data, int32_t stream, const struct mu_header *headers, size_t count,
                         bool is_trailers, bool has_ended)
{
    struct peer *p = data;

    (void)is_trailers;
    mu_buf_addf(&p->log, "%d:", stream);
    for (size_t i = 0; i < count; i++) {
        if (mu_span_eq_text(headers[i].name, ":status") ||
            mu_span_eq_text(headers[i].name, "content-length")) {
            mu_buf_addf(&p->log, " %.*s", MU_SPAN_FMT(headers[i].value));
        }
        assert_true(headers[i].name.data[0] < 'A' || headers[i].name.data[0] > 'Z');
    }
    mu_buf_addf(&p->log, "%s\n", has_ended ? " end" : "");
}

static void peer_body(void *data, int32_t stream, struct mu_span part)
{
    struct peer *p = data;

    p->bytes += part.bytes;
    if (part.bytes < 100) {
        mu_buf_addf(&p->log, "%d: %.*s\n", stream, MU_SPAN_FMT(part));
    }
}

static void peer_end(void *data, int32_t stream)
{
    (void)data;
    (void)stream;
}

static void peer_closed(void *data, int32_t stream, uint32_t error_code)
{
    struct peer *p = data;

    if (error_code != 0) {
        mu_buf_addf(&p->log, "%d: reset %u\n", stream, error_code);
    }
}

static const struct mu_h2_events peer_events = {
    .headers = peer_headers, .body = peer_body, .end = peer_end, .closed = peer_closed
};

static void peer_init(struct peer *p)
{
    *p = (struct peer){ .bytes = 0 };
    p->h2 = mu_h2_new(MU_H2_CLIENT,
                      &(struct mu_h2_options){ .streams_max = 10,
                                               .window_bytes = 1 << 20,
                                               .connection_window_bytes = 1 << 20,
                                               .headers_bytes_max = 65536 },
                      &peer_events, p);
}

static void peer_deinit(struct peer *p)
{
    mu_h2_free(p->h2);
    mu_buf_deinit(&p->log);
}

static int32_t peer_request(struct peer *p, const char *method, const char *path, const char *body)
{
    const struct mu_header headers[] = {
        { MU_SPAN_LIT(":method"), mu_span_text(method) },
        { MU_SPAN_LIT(":path"), mu_span_text(path) },
        { MU_SPAN_LIT(":scheme"), MU_SPAN_LIT("http") },
        { MU_SPAN_LIT(":authority"), MU_SPAN_LIT("h") },
    };
    int32_t stream = mu_h2_request(p->h2, headers, MU_LEN(headers), body == NULL);

    assert_true(stream > 0);
    if (body != NULL) {
        mu_h2_send(p->h2, stream, mu_span_text(body), true);
    }
    return stream;
}

/* Let bytes run both ways until neither side has any. */
static void talk(struct world *w, struct peer *p)
{
    for (int i = 0; i < 100; i++) {
        struct mu_buf to = MU_BUF_NONE;
        size_t sent_bytes = mu_h2_pull(p->h2, &to, 1 << 20);

        if (sent_bytes > 0) {
            conn_feed(&w->conn, mu_buf_span(&to));
        }
        mu_buf_deinit(&to);
        conn_turn(&w->conn);
        if (sent_bytes == 0 && w->conn.out.bytes == 0) {
            return;
        }
        if (w->conn.out.bytes > 0) {
            assert_int_equal(mu_h2_feed(p->h2, mu_buf_span(&w->conn.out), NULL), MU_OK);
            mu_buf_clear(&w->conn.out);
            conn_sent(&w->conn, 0);
        }
    }
    fail_msg("no end of it");
}

static void http2_by_prior_knowledge(void **state)
{
    struct world *w = world_new();
    struct peer p;

    (void)state;
    peer_init(&p);
    (void)peer_request(&p, "GET", "/slow", NULL);
    (void)peer_request(&p, "PUT", "/b", "body");
    (void)peer_request(&p, "HEAD", "/c", NULL);
    talk(w, &p);
    assert_string_equal(mu_buf_text(&w->seen), "GET /slow []\nHEAD /c []\nPUT /b [body]\n");
    assert_string_equal(mu_buf_text(&p.log), "5: 200 2 end\n3: 200 2\n3: ok\n");
    assert_int_equal(conn_deadline(&w->conn), 0); /* one is still ours to answer */
    mu_buf_clear(&p.log);
    slow_answer(w);
    talk(w, &p);
    assert_string_equal(mu_buf_text(&p.log), "1: 200 4\n1: late\n");
    assert_int_equal(conn_deadline(&w->conn), 1000 + 600000);
    peer_deinit(&p);
    world_free(w);
}

/* Its streams stay open, its window shut: what waits for it is bounded, and not for ever. */
static void http2_peers_that_do_not_read(void **state)
{
    struct world *w = world_new();
    struct peer p;

    (void)state;
    p = (struct peer){ .bytes = 0 };
    p.h2 = mu_h2_new(MU_H2_CLIENT,
                     &(struct mu_h2_options){ .streams_max = 10,
                                              .window_bytes = 1 << 16,
                                              .connection_window_bytes = 1 << 16,
                                              .headers_bytes_max = 65536,
                                              .manual_window = true },
                     &peer_events, &p);
    talk(w, &p); /* settings: how many streams there may be */
    for (size_t i = 0; i < 150; i++) {
        (void)peer_request(&p, "GET", "/big", NULL);
        if (i % 50 == 49) {
            talk(w, &p);
        }
        assert_true(w->pool.held.bytes <= MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE);
    }
    assert_true(w->pool.held.bytes > MU_HTTP_HELD_MAX / 2);
    assert_int_equal(conn_deadline(&w->conn), 1000 + 60000);
    peer_deinit(&p);
    world_free(w);
}

static void http2_large_answers_and_bodies(void **state)
{
    struct world *w = world_new();
    struct peer p;
    char body[1200];

    (void)state;
    memset(body, 'b', sizeof body);
    body[1100] = '\0';
    peer_init(&p);
    (void)peer_request(&p, "GET", "/big", NULL);
    (void)peer_request(&p, "GET", "/big", NULL);
    talk(w, &p);
    assert_int_equal(p.bytes, 2 * sizeof w->big);
    mu_buf_clear(&p.log);
    (void)peer_request(&p, "PUT", "/a", body);
    talk(w, &p);
    assert_string_equal(mu_buf_text(&p.log), "5: 413 10\n5: 1100 bytes\n");
    peer_deinit(&p);
    world_free(w);
}

static void http2_streams_that_are_given_up(void **state)
{
    struct world *w = world_new();
    struct peer p;

    (void)state;
    peer_init(&p);
    int32_t stream = peer_request(&p, "GET", "/slow", NULL);

    talk(w, &p);
    mu_h2_reset(p.h2, stream, MU_H2_CANCEL);
    talk(w, &p);
    assert_int_equal(w->cancels, 1);
    (void)peer_request(&p, "GET", "/held", NULL);
    talk(w, &p);
    peer_deinit(&p);
    world_free(w); /* the other one goes with the connection */
}

static void http2_stops_when_its_streams_are_done(void **state)
{
    struct world *w = world_new();
    struct peer p;

    (void)state;
    peer_init(&p);
    (void)peer_request(&p, "GET", "/slow", NULL);
    talk(w, &p);
    conn_stop(&w->conn);
    talk(w, &p);
    assert_false(conn_is_over(&w->conn));
    slow_answer(w);
    talk(w, &p);
    assert_true(conn_is_over(&w->conn));
    peer_deinit(&p);
    world_free(w);
}

static void upgrade_to_http2(void **state)
{
    struct world *w = world_new();
    char *out;

    (void)state;
    feed(w, "GET /slow HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n");
    out = sent(w);
    assert_non_null(out);
    assert_true(strncmp(out, "HTTP/1.1 101 Switching Protocols\r\n", 34) == 0);
    mu_free(out);
    assert_non_null(w->slow);
    assert_int_equal(w->slow->stream, 1);
    feed(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    slow_answer(w);
    conn_turn(&w->conn);
    assert_true(w->conn.out.bytes > 0);
    assert_int_equal(w->conn.state, CONN_H2);
    world_free(w);
}

static void nonsense_in_http2_ends_it(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame at all, not even a little");
    mu_buf_clear(&w->conn.out); /* GOAWAY */
    assert_true(conn_is_over(&w->conn));
    world_free(w);
}

static void half_a_preface_is_waited_for(void **state)
{
    struct world *w = world_new();

    (void)state;
    feed(w, "P");
    assert_int_equal(w->conn.state, CONN_NEW);
    feed(w, "UT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    expect_sent(w, OK);
    assert_string_equal(mu_buf_text(&w->seen), "PUT /a []\n");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_one_answer),
        cmocka_unit_test(byte_by_byte_is_the_same),
        cmocka_unit_test(bodies_share_their_room),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_long_pipeline_shares_the_turn),
        cmocka_unit_test(when_a_connection_ends),
        cmocka_unit_test(nonsense_is_refused_and_ends_it),
        cmocka_unit_test(a_head_that_is_too_long_is_431),
        cmocka_unit_test(continue_is_said_when_it_was_asked),
        cmocka_unit_test(a_body_that_is_too_big_goes_by),
        cmocka_unit_test(an_endless_body_ends_the_connection),
        cmocka_unit_test(a_peer_that_does_not_read_is_not_read),
        cmocka_unit_test(peers_that_do_not_read_share_their_room),
        cmocka_unit_test(who_reads_is_not_cut_for_who_does_not),
        cmocka_unit_test(a_client_that_goes_is_forgotten),
        cmocka_unit_test(half_closed_ones_get_their_answer),
        cmocka_unit_test(nobody_waits_behind_a_closed_pipe),
        cmocka_unit_test(deadlines_depend_on_what_is_awaited),
        cmocka_unit_test(stopping_ends_what_is_idle_and_answers_the_rest),
        cmocka_unit_test(http2_by_prior_knowledge),
        cmocka_unit_test(http2_peers_that_do_not_read),
        cmocka_unit_test(http2_large_answers_and_bodies),
        cmocka_unit_test(http2_streams_that_are_given_up),
        cmocka_unit_test(http2_stops_when_its_streams_are_done),
        cmocka_unit_test(upgrade_to_http2),
        cmocka_unit_test(nonsense_in_http2_ends_it),
        cmocka_unit_test(half_a_preface_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
