#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire.h"
#include "proto/h2.h"

/* One side, and what it heard, written down: "1: :method=GET, :path=/ end". */
struct side {
    struct mu_h2 *h;
    struct mu_buf text;
    size_t body_bytes; /* of all streams */
    unsigned drained_count;
    int32_t in_body;  /* the stream whose body is being written down, so that it reads as one */
    bool counts_body; /* do not write it down */
    bool consumes;    /* with manual_window: give back at once */
    bool echoes;      /* server: answer each request with its path */
};

static void leave_body(struct side *s)
{
    if (s->in_body != 0) {
        mu_buf_add_text(&s->text, ")\n");
    }
    s->in_body = 0;
}

static void hears_headers(void *data, int32_t stream, const struct mu_header *headers, size_t count,
                          bool is_trailers, bool has_ended)
{
    struct side *s = data;

    leave_body(s);
    mu_buf_addf(&s->text, "%d:%s", stream, is_trailers ? " trailers" : "");
    for (size_t i = 0; i < count; i++) {
        mu_buf_addf(&s->text, " %.*s=%.*s", MU_SPAN_FMT(headers[i].name),
                    MU_SPAN_FMT(headers[i].value));
    }
    mu_buf_add_text(&s->text, has_ended ? " .\n" : "\n");
    if (s->echoes) {
        static const struct mu_header ok[] = { { MU_SPAN_LIT(":status"), MU_SPAN_LIT("200") } };

        mu_h2_respond(s->h, stream, ok, MU_LEN(ok), false);
        mu_h2_send(s->h, stream, headers[1].value, true);
    }
}

static void hears_body(void *data, int32_t stream, struct mu_span part)
{
    struct side *s = data;

    s->body_bytes += part.bytes;
    if (!s->counts_body && s->in_body != stream) {
        leave_body(s);
        mu_buf_addf(&s->text, "%d: (", stream);
        s->in_body = stream;
    }
    if (!s->counts_body) {
        mu_buf_add_span(&s->text, part);
    }
    if (s->consumes) {
        mu_h2_consume(s->h, stream, part.bytes);
    }
}

static void hears_end(void *data, int32_t stream)
{
    struct side *s = data;

    leave_body(s);
    mu_buf_addf(&s->text, "%d: end\n", stream);
}

static void hears_closed(void *data, int32_t stream, uint32_t error_code)
{
    struct side *s = data;

    leave_body(s);
    mu_buf_addf(&s->text, "%d: closed %u\n", stream, error_code);
}

static void hears_drained(void *data, int32_t stream)
{
    struct side *s = data;

    assert_true(mu_h2_queued(s->h, stream) < MU_H2_QUEUE_BYTES / 2);
    s->drained_count++;
}

static void hears_going(void *data)
{
    mu_buf_add_text(&((struct side *)data)->text, "going\n");
}

static const struct mu_h2_events events = {
    hears_headers, hears_body, hears_end, hears_closed, hears_drained, hears_going,
};
static const struct mu_h2_options usual = { .streams_max = 3,
                                            .window_bytes = 65535,
                                            .connection_window_bytes = 1 << 20,
                                            .headers_bytes_max = 1024 };

struct pair {
    struct side client, server;
};

static void side_init(struct side *s, enum mu_h2_role role, const struct mu_h2_options *options)
{
    *s = (struct side){ .text = MU_BUF_NONE };
    s->h = mu_h2_new(role, options, &events, s);
}

static void side_deinit(struct side *s)
{
    mu_h2_free(s->h);
    mu_buf_deinit(&s->text);
}

/* Move bytes from one to the other, cut into parts of at most `part`. */
static size_t carry(struct side *from, struct side *to, size_t part)
{
    struct mu_buf bytes = MU_BUF_NONE;
    size_t moved = mu_h2_pull(from->h, &bytes, 32768);

    for (size_t at = 0; at < bytes.bytes; at += part) {
        assert_int_equal(mu_h2_feed(to->h, mu_span_sub(mu_buf_span(&bytes), at, part), NULL),
                         MU_OK);
    }
    mu_buf_deinit(&bytes);
    return moved;
}

static void settle(struct pair *p)
{
    while (carry(&p->client, &p->server, 1) + carry(&p->server, &p->client, 999) > 0) {
    }
}

static void pair_init(struct pair *p, const struct mu_h2_options *client,
                      const struct mu_h2_options *server)
{
    side_init(&p->client, MU_H2_CLIENT, client);
    side_init(&p->server, MU_H2_SERVER, server);
    settle(p);
}

static void pair_deinit(struct pair *p)
{
    side_deinit(&p->client);
    side_deinit(&p->server);
}

static void expect(struct side *s, const char *text)
{
    assert_string_equal(mu_buf_text(&s->text), text);
    mu_buf_clear(&s->text);
}

#define FIELD(n, v)                    \
    {                                  \
        MU_SPAN_LIT(n), MU_SPAN_LIT(v) \
    }

static const struct mu_header get[] = { FIELD(":method", "GET"), FIELD(":path", "/a"),
                                        FIELD(":scheme", "http"), FIELD(":authority", "h") };
static const struct mu_header ok[] = { FIELD(":status", "200"), FIELD("X-Up", "case") };

#define GET_TEXT ":method=GET :path=/a :scheme=http :authority=h"

static void a_request_and_its_answer(void **state)
{
    static const struct mu_header trailers[] = { FIELD("grpc-status", "0"),
                                                 FIELD("grpc-message", "") };
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), false);

    assert_int_equal(id, 1);
    mu_h2_send(p.client.h, id, MU_SPAN_LIT("hello "), false); /* before the head went out */
    settle(&p);
    mu_h2_send(p.client.h, id, MU_SPAN_LIT("there"), true);
    settle(&p);
    expect(&p.server, "1: " GET_TEXT "\n1: (hello there)\n1: end\n");

    mu_h2_respond(p.server.h, id, ok, MU_LEN(ok), false);
    settle(&p);
    expect(&p.client, "1: :status=200 x-up=case\n");
    mu_h2_send(p.server.h, id, MU_SPAN_LIT("hi"), false);
    mu_h2_trailers(p.server.h, id, trailers, MU_LEN(trailers));
    settle(&p);
    expect(&p.client, "1: (hi)\n1: trailers grpc-status=0 grpc-message= .\n1: end\n1: closed 0\n");
    expect(&p.server, "1: closed 0\n");
    pair_deinit(&p);
}

static void answers_without_body(void **state)
{
    static const struct mu_header trailers[] = { FIELD("grpc-status", "5") };
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    int32_t a = mu_h2_request(p.client.h, get, MU_LEN(get), true);
    int32_t b = mu_h2_request(p.client.h, get, MU_LEN(get), true);
    int32_t c = mu_h2_request(p.client.h, get, MU_LEN(get), true);

    settle(&p);
    expect(&p.server,
           "1: " GET_TEXT " .\n1: end\n3: " GET_TEXT " .\n3: end\n5: " GET_TEXT " .\n5: end\n");
    mu_h2_respond(p.server.h, a, ok, MU_LEN(ok), true);
    settle(&p);
    expect(&p.client, "1: :status=200 x-up=case .\n1: end\n1: closed 0\n");
    mu_h2_respond(p.server.h, b, ok, MU_LEN(ok), false);
    mu_h2_trailers(p.server.h, b, trailers, MU_LEN(trailers));
    settle(&p);
    expect(&p.client,
           "3: :status=200 x-up=case\n3: trailers grpc-status=5 .\n3: end\n3: closed 0\n");
    mu_h2_respond(p.server.h, c, ok, MU_LEN(ok), false);
    mu_h2_send(p.server.h, c, MU_SPAN_NONE, true);
    settle(&p);
    expect(&p.client, "5: :status=200 x-up=case\n5: end\n5: closed 0\n");
    pair_deinit(&p);
}

static void no_more_streams_than_the_peer_allows(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(mu_h2_request(p.client.h, get, MU_LEN(get), true), 2 * i + 1);
    }
    assert_int_equal(mu_h2_request(p.client.h, get, MU_LEN(get), true), -1);
    settle(&p);
    assert_int_equal(mu_h2_request(p.client.h, get, MU_LEN(get), true), -1);
    mu_h2_respond(p.server.h, 3, ok, MU_LEN(ok), true);
    settle(&p);
    assert_int_equal(mu_h2_request(p.client.h, get, MU_LEN(get), true), 7);
    pair_deinit(&p);
}

static void a_reset_closes_both_sides_once(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), false);

    settle(&p);
    mu_buf_clear(&p.server.text);
    mu_h2_set_data(p.server.h, id, &p);
    assert_ptr_equal(mu_h2_data(p.server.h, id), &p);
    mu_h2_send(p.client.h, id, MU_SPAN_LIT("never arrives"), false);
    mu_h2_reset(p.client.h, id, MU_H2_CANCEL);
    settle(&p);
    expect(&p.server, "1: closed 8\n");
    expect(&p.client, "1: closed 8\n");
    assert_null(mu_h2_data(p.server.h, id));

    /* What comes late for it is harmless. */
    mu_h2_respond(p.server.h, id, ok, MU_LEN(ok), false);
    mu_h2_send(p.server.h, id, MU_SPAN_LIT("x"), true);
    mu_h2_trailers(p.server.h, id, ok, 0);
    mu_h2_reset(p.server.h, id, MU_H2_CANCEL);
    assert_int_equal(mu_h2_queued(p.server.h, id), 0);
    settle(&p);
    expect(&p.client, "");
    pair_deinit(&p);
}

static void a_request_reset_before_it_was_sent_is_never_seen(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), false);

    mu_h2_reset(p.client.h, id, MU_H2_CANCEL);
    settle(&p);
    expect(&p.client, "1: closed 8\n");
    expect(&p.server, "");
    pair_deinit(&p);
}

static void going_away_lets_the_rest_finish(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), true);

    settle(&p);
    mu_buf_clear(&p.server.text);
    mu_h2_goaway(p.server.h);
    settle(&p);
    expect(&p.client, "going\n");
    assert_int_equal(mu_h2_request(p.client.h, get, MU_LEN(get), true), -1);
    assert_false(mu_h2_wants_close(p.server.h));
    mu_h2_respond(p.server.h, id, ok, MU_LEN(ok), true);
    settle(&p);
    expect(&p.client, "1: :status=200 x-up=case .\n1: end\n1: closed 0\n");
    assert_true(mu_h2_wants_close(p.server.h));
    assert_true(mu_h2_wants_close(p.client.h));
    pair_deinit(&p);
}

static void a_large_body_flows_and_drains(void **state)
{
    const size_t chunk = MU_H2_QUEUE_BYTES;
    uint8_t *bytes = mu_new(chunk);
    struct pair p;

    (void)state;
    pair_init(&p, &usual, &usual);
    p.server.counts_body = true;
    int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), false);

    for (unsigned i = 1; i <= 4; i++) {
        mu_h2_send(p.client.h, id, mu_span_of(bytes, chunk), i == 4);
        assert_int_equal(mu_h2_queued(p.client.h, id), chunk);
        settle(&p);
        assert_int_equal(mu_h2_queued(p.client.h, id), 0);
        assert_int_equal(p.client.drained_count, i);
        assert_int_equal(p.server.body_bytes, i * chunk);
    }
    expect(&p.server, "1: " GET_TEXT "\n1: end\n");
    mu_free(bytes);
    pair_deinit(&p);
}

static void an_owner_that_does_not_consume_pushes_back(void **state)
{
    struct mu_h2_options manual = usual;
    uint8_t *bytes = mu_new(200000);
    struct pair p;

    (void)state;
    manual.manual_window = true;
    manual.connection_window_bytes = 100000;
    pair_init(&p, &usual, &manual);
    p.server.counts_body = true;
    int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), false);

    mu_h2_send(p.client.h, id, mu_span_of(bytes, 200000), true);
    settle(&p);
    assert_int_equal(p.server.body_bytes, 65535);
    mu_h2_consume(p.server.h, id, 65535);
    settle(&p);
    assert_int_equal(p.server.body_bytes, 2 * 65535);
    p.server.consumes = true;
    mu_h2_consume(p.server.h, id, 65535);
    settle(&p);
    assert_int_equal(p.server.body_bytes, 200000);
    mu_free(bytes);
    pair_deinit(&p);
}

/* The window of the connection is shared: what a dead stream took must come back. */
static void a_dead_stream_gives_the_window_back(void **state)
{
    struct mu_h2_options manual = usual;
    uint8_t *bytes = mu_new(65535);
    struct pair p;

    (void)state;
    manual.manual_window = true;
    manual.connection_window_bytes = 65535;
    pair_init(&p, &usual, &manual);
    p.server.counts_body = true;
    for (size_t i = 1; i <= 5; i++) {
        int32_t id = mu_h2_request(p.client.h, get, MU_LEN(get), false);

        mu_h2_send(p.client.h, id, mu_span_of(bytes, 65535), false);
        settle(&p);
        assert_int_equal(p.server.body_bytes, i * 65535);
        mu_h2_reset(p.client.h, id, MU_H2_CANCEL);
        settle(&p);
    }
    mu_free(bytes);
    pair_deinit(&p);
}

static void too_large_header_lists_are_refused(void **state)
{
    char big[1100];
    struct mu_header headers[5];
    struct mu_h2_options generous = usual;
    struct pair p;

    (void)state;
    generous.headers_bytes_max = 65536;
    memset(big, 'a', sizeof big);
    memcpy(headers, get, sizeof get);
    headers[4] = (struct mu_header){ MU_SPAN_LIT("x"), mu_span_of(big, sizeof big) };
    pair_init(&p, &generous, &usual);

    int32_t id = mu_h2_request(p.client.h, headers, MU_LEN(headers), false);

    mu_h2_send(p.client.h, id, MU_SPAN_LIT("body"), true);
    settle(&p);
    expect(&p.server, ""); /* the owner never heard of it */
    expect(&p.client, "1: closed 11\n");

    /* The connection goes on. */
    assert_int_equal(mu_h2_request(p.client.h, get, MU_LEN(get), true), 3);
    settle(&p);
    expect(&p.server, "3: " GET_TEXT " .\n3: end\n");
    pair_deinit(&p);
}

static void an_upgraded_request_is_stream_1(void **state)
{
    static const uint8_t settings[] = { 0, 3, 0, 0, 0, 100 };
    struct side server;
    struct mu_buf out = MU_BUF_NONE;

    (void)state;
    side_init(&server, MU_H2_SERVER, &usual);
    assert_int_equal(mu_h2_upgrade(server.h, mu_span_of(settings, sizeof settings), false, NULL),
                     MU_OK);
    mu_h2_respond(server.h, 1, ok, MU_LEN(ok), false);
    mu_h2_send(server.h, 1, MU_SPAN_LIT("hi"), true);
    assert_int_equal(mu_h2_feed(server.h,
                                MU_SPAN_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                            "\0\0\0\4\0\0\0\0\0"),
                                NULL),
                     MU_OK);
    assert_true(mu_h2_pull(server.h, &out, 4096) > 0);
    expect(&server, "1: closed 0\n");
    mu_buf_deinit(&out);
    side_deinit(&server);

    struct mu_err err = MU_ERR_NONE;

    side_init(&server, MU_H2_SERVER, &usual);
    assert_int_equal(mu_h2_upgrade(server.h, mu_span_of(settings, 5), false, &err), MU_INVALID);
    assert_memory_equal(err.text, "HTTP2-Settings: ", 16);
    side_deinit(&server);
}

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void add_frame(struct mu_buf *to, uint8_t type, uint8_t flags, uint32_t stream,
                      struct mu_span payload)
{
    uint8_t head[9];
    struct mu_wr w = mu_wr_of(head, sizeof head);

    mu_wr_u8(&w, (uint8_t)(payload.bytes >> 16));
    mu_wr_u16be(&w, (uint16_t)payload.bytes);
    mu_wr_u8(&w, type);
    mu_wr_u8(&w, flags);
    mu_wr_u32be(&w, stream);
    mu_buf_add(to, head, sizeof head);
    mu_buf_add_span(to, payload);
}

/* Interim answers come before the real one; trailers come behind it. */
static void interim_answers_are_skipped(void **state)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct side client;

    (void)state;
    side_init(&client, MU_H2_CLIENT, &usual);
    assert_int_equal(mu_h2_request(client.h, get, MU_LEN(get), true), 1);
    assert_true(mu_h2_pull(client.h, &bytes, 4096) > 0);
    mu_buf_clear(&bytes);
    add_frame(&bytes, 4, 0, 0, MU_SPAN_NONE);
    add_frame(&bytes, 1, 4, 1,
              MU_SPAN_LIT("\x08\x03"
                          "100"));
    add_frame(&bytes, 1, 4, 1,
              MU_SPAN_LIT("\x08\x03"
                          "103"));
    add_frame(&bytes, 1, 4, 1, MU_SPAN_LIT("\x88"));
    add_frame(&bytes, 1, 5, 1, MU_SPAN_LIT("\0\1a\1b"));
    assert_int_equal(mu_h2_feed(client.h, mu_buf_span(&bytes), NULL), MU_OK);
    expect(&client, "1: :status=200\n1: trailers a=b .\n1: end\n1: closed 0\n");
    mu_buf_deinit(&bytes);
    side_deinit(&client);
}

/* -- a peer that misbehaves -------------------------------------------------------------------- */

/* Did it end, one way or the other, and with a GOAWAY pulled? */
static void expect_ended(const char *why, struct side *s, struct mu_span bytes)
{
    struct mu_buf out = MU_BUF_NONE;
    enum mu_code code = mu_h2_feed(s->h, bytes, NULL);

    (void)mu_h2_pull(s->h, &out, 1 << 20);
    if (!mu_h2_wants_close(s->h)) {
        fail_msg("%s: goes on (feed gave %s)", why, mu_code_text(code));
    }
    if (mu_h2_feed(s->h, MU_SPAN_LIT("\0\0\0\4\0\0\0\0\0"), NULL) == MU_OK) {
        fail_msg("%s: takes more bytes", why);
    }
    bool has_goaway = false;

    for (size_t at = 0; at + 9 <= out.bytes;) {
        size_t payload =
            (size_t)out.data[at] << 16 | (size_t)out.data[at + 1] << 8 | (size_t)out.data[at + 2];

        has_goaway = has_goaway || out.data[at + 3] == 7;
        at += 9 + payload;
    }
    if (!has_goaway) {
        fail_msg("%s: no GOAWAY among %zu bytes", why, out.bytes);
    }
    mu_buf_deinit(&out);
}

static void breaches_end_the_connection(void **state)
{
    static const struct {
        const char *why;
        struct mu_span bytes;
    } cases[] = {
        { "not the preface", MU_SPAN_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n") },
        { "no SETTINGS first", MU_SPAN_LIT(PREFACE "\0\0\0\1\0\0\0\0\1") },
        { "a frame above the size limit", MU_SPAN_LIT(PREFACE "\0\0\0\4\0\0\0\0\0"
                                                              "\xff\xff\xff\0\0\0\0\0\1") },
        { "DATA on stream 0", MU_SPAN_LIT(PREFACE "\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
        { "DATA on an idle stream", MU_SPAN_LIT(PREFACE "\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\1") },
        { "an even stream", MU_SPAN_LIT(PREFACE "\0\0\0\4\0\0\0\0\0\0\0\1\1\4\0\0\0\2\x82") },
        { "HPACK that is none", MU_SPAN_LIT(PREFACE "\0\0\0\4\0\0\0\0\0"
                                                    "\0\0\1\1\4\0\0\0\1\xff") },
        { "a window of 2^31", MU_SPAN_LIT(PREFACE "\0\0\6\4\0\0\0\0\0\0\4\x80\0\0\0") },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct side s;

        side_init(&s, MU_H2_SERVER, &usual);
        expect_ended(cases[i].why, &s, cases[i].bytes);
        side_deinit(&s);
    }
}

static void floods_end_the_connection(void **state)
{
    static const struct {
        const char *why;
        uint8_t type, flags;
        uint32_t stream;
        struct mu_span payload;
        size_t count;
    } cases[] = {
        { "pings nobody fetches the answers of", 6, 0, 0, MU_SPAN_LIT("12345678"), 2000 },
        { "settings likewise", 4, 0, 0, MU_SPAN_LIT(""), 2000 },
        { "continuations without end", 9, 0, 1, MU_SPAN_LIT(""), 100 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf bytes = MU_BUF_NONE;
        struct side s;

        side_init(&s, MU_H2_SERVER, &usual);
        mu_buf_add_text(&bytes, PREFACE);
        add_frame(&bytes, 4, 0, 0, MU_SPAN_NONE);
        if (cases[i].type == 9) {
            add_frame(&bytes, 1, 0, 1, MU_SPAN_LIT("\x82"));
        }
        for (size_t n = 0; n < cases[i].count; n++) {
            add_frame(&bytes, cases[i].type, cases[i].flags, cases[i].stream, cases[i].payload);
        }
        expect_ended(cases[i].why, &s, mu_buf_span(&bytes));
        mu_buf_deinit(&bytes);
        side_deinit(&s);
    }
}

/* Streams opened and reset at once cost the server and not the client (CVE-2023-44487). */
static void rapid_resets_end_the_connection(void **state)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct side s;

    (void)state;
    side_init(&s, MU_H2_SERVER, &usual);
    mu_buf_add_text(&bytes, PREFACE);
    add_frame(&bytes, 4, 0, 0, MU_SPAN_NONE);
    for (uint32_t i = 0; i < 3000; i++) { /* indexed :method, :scheme, :path, no more is needed */
        add_frame(&bytes, 1, 4, 2 * i + 1, MU_SPAN_LIT("\x82\x86\x84"));
        add_frame(&bytes, 3, 0, 2 * i + 1, MU_SPAN_LIT("\0\0\0\x08"));
    }
    expect_ended("rapid resets", &s, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
    side_deinit(&s);
}

/* A recorded conversation, cut off at every byte: nothing fails before something is wrong, and
 * everything is freed. */
static void every_truncation_is_harmless(void **state)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct side client;

    (void)state;
    side_init(&client, MU_H2_CLIENT, &usual);
    int32_t id = mu_h2_request(client.h, get, MU_LEN(get), false);

    mu_h2_send(client.h, id, MU_SPAN_LIT("body"), true);
    (void)mu_h2_pull(client.h, &bytes, 4096);
    for (size_t cut = 0; cut <= bytes.bytes; cut++) {
        struct mu_buf out = MU_BUF_NONE;
        struct side s;

        side_init(&s, MU_H2_SERVER, &usual);
        s.echoes = true;
        assert_int_equal(mu_h2_feed(s.h, mu_span_sub(mu_buf_span(&bytes), 0, cut), NULL), MU_OK);
        (void)mu_h2_pull(s.h, &out, 4096);
        assert_false(mu_h2_wants_close(s.h));
        mu_buf_deinit(&out);
        side_deinit(&s);
    }
    mu_buf_deinit(&bytes);
    side_deinit(&client);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer),
        cmocka_unit_test(answers_without_body),
        cmocka_unit_test(no_more_streams_than_the_peer_allows),
        cmocka_unit_test(a_reset_closes_both_sides_once),
        cmocka_unit_test(a_request_reset_before_it_was_sent_is_never_seen),
        cmocka_unit_test(going_away_lets_the_rest_finish),
        cmocka_unit_test(a_large_body_flows_and_drains),
        cmocka_unit_test(an_owner_that_does_not_consume_pushes_back),
        cmocka_unit_test(a_dead_stream_gives_the_window_back),
        cmocka_unit_test(too_large_header_lists_are_refused),
        cmocka_unit_test(an_upgraded_request_is_stream_1),
        cmocka_unit_test(interim_answers_are_skipped),
        cmocka_unit_test(breaches_end_the_connection),
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test(rapid_resets_end_the_connection),
        cmocka_unit_test(every_truncation_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
