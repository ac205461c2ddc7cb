/* HTTP/1.1 without sockets: where one message ends and the next begins.
 *
 * A head is collected until its empty line and then read at once (h1_head.c), out of the caller's
 * bytes when it came in one piece. The body is framed here: Debian builds http-parser without its
 * strict checks, and then it takes any two bytes for the end of a chunk.
 *
 *   IDLE --> HEAD --> COUNTED ------------------------------------.
 *    ^        |-----> UNTIL_CLOSE (ends at mu_h1_eof) ------------|
 *    |        |-----> CHUNK_SIZE --> CHUNK_DATA --> CHUNK_END     |
 *    |        |        |   ^--------------------------'           |
 *    |        |        '---> TRAILER -----------------------------|
 *    |        '-----> END <---------------------------------------'
 *    '-----------------'  after the `end` callback
 *
 * Each state takes bytes from the front of what was fed and returns how many. A callback that asks
 * for a pause stops the loop behind it; nothing is lost, since what was not taken was not touched.
 * Any state may fail, and nothing leaves FAILED.
 */
#include "proto/h1.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "h1_head.h"

#define CHUNK_LINE_MAX 1024 /* size and extensions, which nobody uses */
#define KEEP_ROOM      4096 /* a larger collecting buffer is not kept between messages */

enum h1_state {
    H1_IDLE,
    H1_HEAD,
    H1_COUNTED,
    H1_UNTIL_CLOSE,
    H1_CHUNK_SIZE,
    H1_CHUNK_DATA,
    H1_CHUNK_END,
    H1_TRAILER,
    H1_END,
    H1_FAILED,
};

struct mu_h1 {
    enum mu_h1_role role;
    enum h1_state state;
    struct mu_h1_options options;
    struct mu_h1_events events;
    void *data;
    struct h1_head head;
    struct mu_buf part;   /* of a head or line that is not complete yet */
    size_t section_bytes; /* of this head or trailer section so far */
    size_t line_bytes;    /* of the line of the head that is not complete yet */
    uint64_t left;        /* of the counted body, or of this chunk */
    uint64_t body_bytes;  /* of this message so far */
    struct mu_err *err;   /* of the call that is being served */
    unsigned status;      /* after a failure */
    bool expects_no_body; /* the next response answers a HEAD */
    bool has_had_message; /* at least one is complete */
    bool is_paused;       /* a callback said so */
    bool is_feeding;      /* we are inside a callback */
};

static size_t take_idle(struct mu_h1 *h, struct mu_span bytes);
static size_t take_head(struct mu_h1 *h, struct mu_span bytes);
static size_t take_body(struct mu_h1 *h, struct mu_span bytes);
static size_t take_rest(struct mu_h1 *h, struct mu_span bytes);
static size_t take_chunk_size(struct mu_h1 *h, struct mu_span bytes);
static size_t take_chunk_end(struct mu_h1 *h, struct mu_span bytes);
static size_t take_trailer(struct mu_h1 *h, struct mu_span bytes);
static size_t take_end(struct mu_h1 *h, struct mu_span bytes);

#define BIT(state) (1U << (unsigned)(state))

static const struct {
    size_t (*take)(struct mu_h1 *h, struct mu_span bytes);
    unsigned next; /* bit set of the states that may follow, beside FAILED */
} states[] = {
    // clang-format off
    [H1_IDLE]        = { take_idle, BIT(H1_HEAD) },
    [H1_HEAD]        = { take_head, BIT(H1_IDLE) | BIT(H1_COUNTED) | BIT(H1_UNTIL_CLOSE) |
                                    BIT(H1_CHUNK_SIZE) | BIT(H1_END) },
    [H1_COUNTED]     = { take_body, BIT(H1_END) },
    [H1_UNTIL_CLOSE] = { take_rest, BIT(H1_END) },
    [H1_CHUNK_SIZE]  = { take_chunk_size, BIT(H1_CHUNK_DATA) | BIT(H1_TRAILER) },
    [H1_CHUNK_DATA]  = { take_body, BIT(H1_CHUNK_END) },
    [H1_CHUNK_END]   = { take_chunk_end, BIT(H1_CHUNK_SIZE) },
    [H1_TRAILER]     = { take_trailer, BIT(H1_END) },
    [H1_END]         = { take_end, BIT(H1_IDLE) },
    [H1_FAILED]      = { NULL, 0 },
}; // clang-format on

static void move(struct mu_h1 *h, enum h1_state to)
{
    MU_ASSERT((states[h->state].next & BIT(to)) != 0);
    h->state = to;
}

static void fail(struct mu_h1 *h, unsigned status, const char *why)
{
    (void)mu_fail(h->err, MU_INVALID, "%s", why);
    h->state = H1_FAILED;
    h->status = status;
}

/* -- life ----------------------------------------------------------------------------------- */

struct mu_h1 *mu_h1_new(enum mu_h1_role role, const struct mu_h1_options *options,
                        const struct mu_h1_events *events, void *data)
{
    struct mu_h1 *h = mu_new(sizeof *h);

    MU_ASSERT(options->head_bytes_max > 0 && options->head_bytes_max <= MU_H1_HEAD_BYTES_MAX);
    MU_ASSERT(events->head != NULL && events->body != NULL && events->end != NULL);
    h->role = role;
    h->options = *options;
    h->events = *events;
    h->data = data;
    return h;
}

void mu_h1_free(struct mu_h1 *h)
{
    if (h == NULL) {
        return;
    }
    MU_ASSERT(!h->is_feeding);
    h1__head_deinit(&h->head);
    mu_buf_deinit(&h->part);
    mu_free(h);
}

unsigned mu_h1_status(const struct mu_h1 *h)
{
    return h->status;
}

void mu_h1_expect_no_body(struct mu_h1 *h)
{
    MU_ASSERT(h->role == MU_H1_CLIENT);
    h->expects_no_body = true;
}

/* -- heads ---------------------------------------------------------------------------------- */

/* The message is over: nothing of it is kept. */
static void go_idle(struct mu_h1 *h)
{
    move(h, H1_IDLE);
    if (h->part.room > KEEP_ROOM) {
        mu_buf_deinit(&h->part);
    }
    mu_buf_clear(&h->part);
    h->section_bytes = h->line_bytes = 0;
    h->body_bytes = h->left = 0;
}

static void body_begin(struct mu_h1 *h)
{
    static const enum h1_state first[] = {
        [H1_BODY_NONE] = H1_END,
        [H1_BODY_COUNTED] = H1_COUNTED,
        [H1_BODY_CHUNKED] = H1_CHUNK_SIZE,
        [H1_BODY_UNTIL_CLOSE] = H1_UNTIL_CLOSE,
    };

    h->section_bytes = 0;
    h->left = h->head.body == H1_BODY_COUNTED ? h->head.head.content_length : 0;
    move(h, first[h->head.body]);
}

/* A complete head, with its empty line. */
static void on_head(struct mu_h1 *h, struct mu_span bytes)
{
    const struct mu_h1_head *head = &h->head.head;

    if (h1__head_read(&h->head, h->role, bytes, h->options.headers_count_max, h->expects_no_body,
                      h->err) != MU_OK) {
        h->state = H1_FAILED;
        h->status = h->head.status;
        return;
    }
    if (h->role == MU_H1_CLIENT && head->status == 101) {
        fail(h, 400, "switching protocols was not asked for");
        return;
    }
    if (h->role == MU_H1_CLIENT && head->status < 200) {
        go_idle(h); /* an interim answer: the real one follows */
        return;
    }
    h->expects_no_body = false;
    body_begin(h);
    h->is_paused = !h->events.head(h->data, head);
    if (h->options.body_bytes_max > 0 && h->left > h->options.body_bytes_max) {
        fail(h, 413, "body too large"); /* behind the callback: who answers may name the target */
    }
}

/* Look for the empty line in `bytes`, which go on where the last ones stopped; `last` is the byte
 * before them. *end is where the head ends, 0 when it does not. False: a line ends badly. */
static bool head_end(struct mu_h1 *h, struct mu_span bytes, uint8_t last, size_t *end)
{
    *end = 0;
    for (size_t at = 0; at < bytes.bytes;) {
        const uint8_t *lf = memchr(bytes.data + at, '\n', bytes.bytes - at);

        if (lf == NULL) {
            h->line_bytes += bytes.bytes - at;
            return true;
        }
        size_t next = (size_t)(lf - bytes.data) + 1;
        size_t line_bytes = h->line_bytes + (next - at);
        bool has_cr = next > 1 ? lf[-1] == '\r' : last == '\r';

        if (!has_cr && h->role == MU_H1_SERVER) {
            return false;
        }
        if (line_bytes == (has_cr ? 2 : 1)) {
            *end = next;
            return true;
        }
        h->line_bytes = 0;
        at = next;
    }
    return true;
}

/* Empty lines in front of a request are skipped (RFC 9112 section 2.2); a first byte that cannot
 * begin a head is refused at once, so that a TLS or HTTP/2 client is not left waiting. One byte at
 * a time; the first of a head is left to take_head(). */
static size_t take_idle(struct mu_h1 *h, struct mu_span bytes)
{
    struct mu_span first = mu_span_sub(bytes, 0, 1);
    bool has_cr = h->part.bytes > 0;

    if (h->role == MU_H1_CLIENT) {
        if (first.data[0] != 'H') {
            fail(h, 400, "this is not HTTP/1.1");
            return 0;
        }
    } else if (has_cr ? first.data[0] == '\n' : first.data[0] == '\r') {
        h->part.bytes = 0;
        mu_buf_add(&h->part, "\r", has_cr ? 0 : 1);
        if (++h->section_bytes > h->options.head_bytes_max) {
            fail(h, 431, "head too large");
        }
        return 1;
    } else if (has_cr || !mu_http_is_token(first)) {
        fail(h, 400, "this is not HTTP/1.1");
        return 0;
    }
    move(h, H1_HEAD);
    return 0;
}

static size_t take_head(struct mu_h1 *h, struct mu_span bytes)
{
    uint8_t last = h->part.bytes > 0 ? h->part.data[h->part.bytes - 1] : '\0';
    size_t room = h->options.head_bytes_max - h->section_bytes;
    size_t end = 0;

    /* Nothing behind the limit is looked at: the verdict must not depend on how bytes arrive. */
    if (!head_end(h, mu_span_sub(bytes, 0, room), last, &end)) {
        fail(h, 400, "a line ends without a carriage return");
        return 0;
    }
    if (end == 0 && bytes.bytes > room) {
        fail(h, 431, "head too large");
        return 0;
    }
    if (end > 0 && h->part.bytes == 0) {
        on_head(h, mu_span_sub(bytes, 0, end));
        return end;
    }
    size_t taken = end > 0 ? end : bytes.bytes;

    h->section_bytes += taken;
    mu_buf_add(&h->part, bytes.data, taken);
    if (end > 0) {
        on_head(h, mu_buf_span(&h->part));
        mu_buf_clear(&h->part);
    }
    return taken;
}

/* -- bodies --------------------------------------------------------------------------------- */

static void emit_body(struct mu_h1 *h, struct mu_span part)
{
    h->body_bytes += part.bytes;
    if (h->options.body_bytes_max > 0 && h->body_bytes > h->options.body_bytes_max) {
        fail(h, 413, "body too large");
        return;
    }
    h->is_paused = !h->events.body(h->data, part);
}

/* COUNTED and CHUNK_DATA */
static size_t take_body(struct mu_h1 *h, struct mu_span bytes)
{
    struct mu_span part = mu_span_sub(bytes, 0, h->left < bytes.bytes ? h->left : bytes.bytes);

    h->left -= part.bytes;
    if (h->left == 0) {
        move(h, h->state == H1_COUNTED ? H1_END : H1_CHUNK_END);
    }
    emit_body(h, part);
    return part.bytes;
}

static size_t take_rest(struct mu_h1 *h, struct mu_span bytes)
{
    emit_body(h, bytes);
    return bytes.bytes;
}

/* Collect a line that ends with CRLF; *line is set, without its end, when it is complete, and lives
 * in h->part. Returns how many bytes were taken. */
static size_t take_line(struct mu_h1 *h, struct mu_span bytes, size_t bytes_max,
                        struct mu_span *line, bool *is_complete)
{
    const uint8_t *lf = memchr(bytes.data, '\n', bytes.bytes);
    size_t taken = lf != NULL ? (size_t)(lf - bytes.data) + 1 : bytes.bytes;

    *is_complete = false;
    if (h->part.bytes + taken > bytes_max) {
        fail(h, h->state == H1_TRAILER ? 431 : 400, "line too long in the body's framing");
        return taken;
    }
    mu_buf_add(&h->part, bytes.data, taken);
    if (lf == NULL) {
        return taken;
    }
    *line = mu_buf_span(&h->part);
    if (line->bytes < 2 || line->data[line->bytes - 2] != '\r') {
        fail(h, 400, "a line ends without a carriage return");
        return taken;
    }
    line->bytes -= 2;
    *is_complete = true;
    return taken;
}

/* 1*HEXDIG, then nothing or ";" and an extension of visible bytes (RFC 9112 section 7.1). */
static bool chunk_size_read(struct mu_span line, uint64_t *size)
{
    size_t at = 0;

    *size = 0;
    for (; at < line.bytes; at++) {
        uint8_t c = line.data[at];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) {
            break;
        }
        if (*size > (UINT64_MAX >> 8)) {
            return false;
        }
        *size = *size << 4 | digit;
    }
    if (at == 0 || (at < line.bytes && line.data[at] != ';' && line.data[at] != ' ' &&
                    line.data[at] != '\t')) {
        return false;
    }
    for (; at < line.bytes; at++) {
        if ((line.data[at] < ' ' && line.data[at] != '\t') || line.data[at] == 0x7f) {
            return false;
        }
    }
    return true;
}

static size_t take_chunk_size(struct mu_h1 *h, struct mu_span bytes)
{
    struct mu_span line;
    bool is_complete = false;
    size_t taken = take_line(h, bytes, CHUNK_LINE_MAX, &line, &is_complete);

    if (!is_complete) {
        return taken;
    }
    if (!chunk_size_read(line, &h->left)) {
        fail(h, 400, "malformed chunk size");
        return taken;
    }
    if (h->options.body_bytes_max > 0 && h->left > h->options.body_bytes_max - h->body_bytes) {
        fail(h, 413, "body too large");
        return taken;
    }
    mu_buf_clear(&h->part);
    move(h, h->left > 0 ? H1_CHUNK_DATA : H1_TRAILER);
    return taken;
}

static size_t take_chunk_end(struct mu_h1 *h, struct mu_span bytes)
{
    struct mu_span line;
    bool is_complete = false;
    size_t taken = take_line(h, bytes, 2, &line, &is_complete);

    if (is_complete) {
        mu_buf_clear(&h->part);
        move(h, H1_CHUNK_SIZE);
    }
    return taken;
}

/* Trailer fields are checked and dropped: nothing here has a use for them. */
static size_t take_trailer(struct mu_h1 *h, struct mu_span bytes)
{
    struct mu_span line;
    bool is_complete = false;
    size_t room = h->options.head_bytes_max - h->section_bytes; /* of complete lines */
    size_t taken = take_line(h, bytes, room, &line, &is_complete);

    if (!is_complete) {
        return taken;
    }
    h->section_bytes += h->part.bytes;
    if (line.bytes == 0) {
        move(h, H1_END);
    } else if (!h1__is_field_line(line)) {
        fail(h, 400, "malformed trailer field");
    }
    mu_buf_clear(&h->part);
    return taken;
}

static size_t take_end(struct mu_h1 *h, struct mu_span bytes)
{
    (void)bytes;
    h->has_had_message = true;
    go_idle(h);
    h->is_paused = !h->events.end(h->data);
    return 0;
}

/* -- the door ------------------------------------------------------------------------------- */

enum mu_code mu_h1_feed(struct mu_h1 *h, struct mu_span bytes, size_t *used, struct mu_err *err)
{
    struct mu_err own = MU_ERR_NONE;

    *used = 0;
    if (h->state == H1_FAILED) {
        return mu_fail(err, MU_INVALID, "the connection failed before");
    }
    MU_ASSERT(!h->is_feeding);
    h->is_feeding = true;
    h->is_paused = false;
    h->err = err != NULL ? err : &own;
    while (h->state != H1_FAILED && !h->is_paused && (*used < bytes.bytes || h->state == H1_END)) {
        *used += states[h->state].take(h, mu_span_sub(bytes, *used, bytes.bytes));
    }
    h->err = NULL;
    h->is_feeding = false;
    return h->state == H1_FAILED ? MU_INVALID : MU_OK;
}

enum mu_code mu_h1_eof(struct mu_h1 *h, struct mu_err *err)
{
    MU_ASSERT(h->role == MU_H1_CLIENT);
    MU_ASSERT(!h->is_feeding);
    if (h->state == H1_UNTIL_CLOSE) {
        move(h, H1_END);
    }
    if (h->state == H1_END) {
        size_t used = 0;

        return mu_h1_feed(h, MU_SPAN_NONE, &used, err);
    }
    if (h->state == H1_IDLE) {
        return h->has_had_message ? MU_OK : mu_fail(err, MU_INVALID, "EOF");
    }
    h->state = H1_FAILED;
    return mu_fail(err, MU_INVALID, "unexpected EOF");
}
