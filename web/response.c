#include "response.h"

#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"
#include "route.h"

#define FIXED_MAX (RESPONSE_LIST_MAX - RESPONSE_HEADER_MAX) /* beside ":status" and Date */

/* Of every endpoint; a path without one has neither. */
#define ROUTED_H1 "Vary: Accept-Encoding\r\nX-Consul-Default-Acl-Policy: allow\r\n"

/* -- style ------------------------------------------------------------------------------------- */

void response_canonical(struct mu_span name, char *to)
{
    bool is_first = true;

    for (size_t i = 0; i < name.bytes; i++) {
        char c = (char)name.data[i];

        if (is_first && c >= 'a' && c <= 'z') {
            c = (char)(c - 'a' + 'A');
        } else if (!is_first && c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
        }
        to[i] = c;
        is_first = c == '-';
    }
    to[name.bytes] = '\0';
}

void response_style_init(struct response_style *s, const struct mu_pairs *response_headers)
{
    *s = (struct response_style){ .date_s = -1 };
    mu_arena_init(&s->arena, 0);
    s->fixed = mu_arena_array(&s->arena, FIXED_MAX, sizeof *s->fixed);
    if (response_headers->count > FIXED_MAX) {
        mu_log(MU_WARN, "agent.http", "Too many http_config.response_headers, the rest is not sent",
               mu_kv_u("sent", FIXED_MAX), mu_kv_u("configured", response_headers->count));
    }
    for (size_t i = 0; i < response_headers->count && i < FIXED_MAX; i++) {
        const struct mu_pair *pair = &response_headers->items[i];
        char *name = mu_arena_new(&s->arena, pair->key.bytes + 1);

        response_canonical(pair->key, name);
        s->fixed[s->fixed_count++] =
            (struct mu_header){ mu_span_text(name), mu_arena_span(&s->arena, pair->value) };
        mu_h1_header(&s->fixed_h1, name, pair->value);
    }
}

void response_style_deinit(struct response_style *s)
{
    mu_buf_deinit(&s->fixed_h1);
    mu_arena_deinit(&s->arena);
}

static const char *date_text(struct response_style *s, int64_t wall_s)
{
    time_t when = (time_t)wall_s;
    struct tm tm;

    if (wall_s != s->date_s && gmtime_r(&when, &tm) != NULL) {
        (void)strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        s->date_s = wall_s;
    }
    return s->date;
}

/* -- the walk ---------------------------------------------------------------------------------- */

typedef void emit_fn(void *data, const char *name, struct mu_span value);

static struct mu_span number(char room[24], uint64_t value)
{
    char *at = room + 24;

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return mu_span_of(at, (size_t)(room + 24 - at));
}

static struct mu_span truth(bool value)
{
    return value ? MU_SPAN_LIT("true") : MU_SPAN_LIT("false");
}

/* Everything that depends on the request but its length. Values are valid during the call. */
static void each_header(const struct response *p, emit_fn *emit, void *data)
{
    char room[24];

    if (p->content_type != NULL) {
        emit(data, "Content-Type", mu_span_text(p->content_type));
    }
    if (p->consistency != NULL) {
        emit(data, "X-Consul-Effective-Consistency", mu_span_text(p->consistency));
    }
    if (p->has_meta && !p->hides_meta) {
        if (!p->hides_index) {
            emit(data, "X-Consul-Index", number(room, p->index > 0 ? p->index : 1));
        }
        emit(data, "X-Consul-Knownleader", truth(p->known_leader));
        emit(data, "X-Consul-Lastcontact", number(room, p->last_contact_ms));
    }
    for (size_t i = 0; i < p->extra_count; i++) {
        emit(data, (const char *)p->extra[i].name.data, p->extra[i].value);
    }
}

/* -- HTTP/1.1 ---------------------------------------------------------------------------------- */

static void emit_h1(void *data, const char *name, struct mu_span value)
{
    struct mu_buf *to = data;

    mu_buf_add_text(to, name);
    mu_buf_add(to, ": ", 2);
    mu_buf_add_span(to, value);
    mu_buf_add(to, "\r\n", 2);
}

void response_head_h1(struct response_style *s, const struct request *r, bool keeps_alive,
                      unsigned minor, int64_t wall_s, struct mu_buf *to)
{
    char room[24];

    mu_h1_status_line(to, r->response.status);
    mu_buf_add_span(to, mu_buf_span(&s->fixed_h1));
    if (r->route != NULL) {
        mu_buf_add(to, ROUTED_H1, sizeof ROUTED_H1 - 1);
    }
    each_header(&r->response, emit_h1, to);
    emit_h1(to, "Date", mu_span_text(date_text(s, wall_s)));
    if (r->response.is_stream && !r->response.has_length) {
        if (minor > 0) {
            emit_h1(to, "Transfer-Encoding", MU_SPAN_LIT("chunked"));
        }
    } else if (r->response.is_stream) {
        emit_h1(to, "Content-Length", number(room, r->response.length));
    } else {
        emit_h1(to, "Content-Length", number(room, r->response.body.bytes));
    }
    if (!keeps_alive) {
        emit_h1(to, "Connection", MU_SPAN_LIT("close"));
    } else if (minor == 0) {
        emit_h1(to, "Connection", MU_SPAN_LIT("keep-alive"));
    }
    mu_buf_add(to, "\r\n", 2);
}

/* -- lists ------------------------------------------------------------------------------------- */

struct listing {
    struct mu_arena *arena;
    struct mu_header *to;
    size_t count;
    bool is_folded;
};

static void emit_list(void *data, const char *name, struct mu_span value)
{
    struct listing *l = data;
    struct mu_span kept = mu_arena_span(l->arena, mu_span_text(name));

    MU_ASSERT(l->count < RESPONSE_LIST_MAX);
    if (l->is_folded) {
        uint8_t *folded = mu_arena_new(l->arena, kept.bytes + 1);

        mu_span_fold(kept, folded);
        kept = mu_span_of(folded, kept.bytes);
    }
    l->to[l->count++] = (struct mu_header){ kept, mu_arena_span(l->arena, value) };
}

size_t response_head_h2(struct response_style *s, struct request *r, int64_t wall_s,
                        struct mu_header to[RESPONSE_LIST_MAX])
{
    struct listing l = { .arena = &r->arena, .to = to, .is_folded = true };
    char room[24];

    emit_list(&l, ":status", number(room, r->response.status));
    for (size_t i = 0; i < s->fixed_count; i++) {
        emit_list(&l, (const char *)s->fixed[i].name.data, s->fixed[i].value);
    }
    if (r->route != NULL) {
        emit_list(&l, "Vary", MU_SPAN_LIT("Accept-Encoding"));
        emit_list(&l, "X-Consul-Default-Acl-Policy", MU_SPAN_LIT("allow"));
    }
    each_header(&r->response, emit_list, &l);
    emit_list(&l, "Date", mu_span_text(date_text(s, wall_s)));
    if (!r->response.is_stream) {
        emit_list(&l, "Content-Length", number(room, r->response.body.bytes));
    } else if (r->response.has_length) {
        emit_list(&l, "Content-Length", number(room, r->response.length));
    }
    return l.count;
}

size_t response_head_forwarded(struct request *r, struct mu_header to[RESPONSE_LIST_MAX])
{
    struct listing l = { .arena = &r->arena, .to = to };

    each_header(&r->response, emit_list, &l);
    return l.count;
}
