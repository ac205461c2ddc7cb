#include "route.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "target.h"

/* -- finding a row ----------------------------------------------------------------------------- */

void route_table_init(struct route_table *t, const struct web_route *rows, size_t count)
{
    MU_ASSERT(count <= ROUTES_MAX);
    *t = (struct route_table){ .rows = rows, .count = count };
    for (size_t i = 0; i < count; i++) {
        t->shapes[i].fixed_bytes = strcspn(rows[i].path, ":*");
        t->shapes[i].is_prefix = rows[i].path[t->shapes[i].fixed_bytes] != '\0';
    }
}

/* How well row i fits: the length of its fixed part, 0 for not at all. `needs_slash` is set where
 * the path is that of a prefix route without its slash. */
static size_t fits(const struct route_table *table, size_t i, struct mu_span path,
                   bool *needs_slash)
{
    const char *pattern = table->rows[i].path;
    size_t fixed = table->shapes[i].fixed_bytes;
    bool is_prefix = table->shapes[i].is_prefix;

    if (is_prefix && path.bytes == fixed - 1 && memcmp(path.data, pattern, path.bytes) == 0) {
        *needs_slash = true;
        return 0;
    }
    if (is_prefix ? path.bytes < fixed : path.bytes != fixed) {
        return 0;
    }
    return memcmp(path.data, pattern, fixed) == 0 ? fixed : 0;
}

/* The row of the longest pattern that fits, for this method if the path has it. */
static void find_row(const struct route_table *table, struct request *r)
{
    size_t best = 0;
    bool needs_slash = false;

    r->route = NULL;
    r->allowed = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct web_route *row = &table->rows[i];
        size_t length = fits(table, i, r->path, &needs_slash);

        if (length == 0 || length < best) {
            continue;
        }
        if (length > best) {
            best = length;
            r->allowed = 0;
            r->route = row;
        }
        r->allowed |= (unsigned)row->method;
        if (row->method == r->method) {
            r->route = row;
        }
    }
    if (r->route != NULL) {
        r->argument = mu_span_sub(r->path, best, r->path.bytes);
    } else if (needs_slash) {
        r->verdict = VERDICT_MOVED;
    }
}

/* -- the target -------------------------------------------------------------------------------- */

/* Path and query of "/v1/kv/a?raw" or "http://host:8500/v1/kv/a?raw". */
static struct mu_span split_target(struct mu_span target, struct mu_span *query)
{
    static const char *const schemes[] = { "http://", "https://" };

    for (size_t i = 0; i < MU_LEN(schemes); i++) {
        struct mu_span scheme = mu_span_text(schemes[i]);

        if (mu_span_eq_fold(mu_span_sub(target, 0, scheme.bytes), scheme)) {
            target = mu_span_sub(target, scheme.bytes, target.bytes);
            const uint8_t *slash = target.bytes > 0 ? memchr(target.data, '/', target.bytes) : NULL;

            target = slash != NULL
                         ? mu_span_sub(target, (size_t)(slash - target.data), target.bytes)
                         : MU_SPAN_LIT("/");
        }
    }
    return mu_span_split(target, '?', query, NULL);
}

void route_find(const struct route_table *table, struct request *r)
{
    struct mu_span path = split_target(r->target, &r->query);

    r->verdict = VERDICT_SERVE;
    r->route = NULL;
    if (path.bytes == 0 || path.data[0] != '/' ||
        !target_decode(path, false, &r->arena, &r->path)) {
        r->verdict = VERDICT_BAD_TARGET;
        return;
    }
    if (!table->disable_unprintable_filter && !target_is_printable(r->path)) {
        r->verdict = VERDICT_UNPRINTABLE;
        return;
    }
    if (target_clean(r->path, &r->arena).bytes != r->path.bytes) {
        r->verdict = VERDICT_MOVED;
        return;
    }
    find_row(table, r);
    if (r->route == NULL && r->verdict == VERDICT_SERVE) {
        r->verdict = mu_span_eq_text(r->path, "/") ? VERDICT_ROOT : VERDICT_UNKNOWN;
    }
}

/* -- answers without a handler ----------------------------------------------------------------- */

/* A target may hold what means something in HTML. */
static void add_html(struct mu_buf *to, struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        switch (text.data[i]) {
        case '<': mu_buf_add_text(to, "&lt;"); break;
        case '>': mu_buf_add_text(to, "&gt;"); break;
        case '&': mu_buf_add_text(to, "&amp;"); break;
        case '"': mu_buf_add_text(to, "&#34;"); break;
        case '\'': mu_buf_add_text(to, "&#39;"); break;
        default: mu_buf_add_byte(to, text.data[i]); break;
        }
    }
}

static void answer_moved(struct request *r)
{
    struct mu_buf to = MU_BUF_NONE;
    struct mu_span clean = target_clean(r->path, &r->arena);

    target_escape_path(&to, clean);
    if (mu_span_eq(clean, r->path)) {
        mu_buf_add_byte(&to, '/'); /* it was clean: a prefix route without its slash */
    }
    if (r->query.bytes > 0) {
        mu_buf_add_byte(&to, '?');
        mu_buf_add_span(&to, r->query);
    }
    struct mu_span location = mu_arena_span(&r->arena, mu_buf_span(&to));

    mu_buf_deinit(&to);
    response_header(r, "Location", location);
    r->response.status = 301;
    r->response.content_type = "text/html; charset=utf-8";
    if (r->method == WEB_GET) {
        mu_buf_add_text(&r->out, "<a href=\"");
        add_html(&r->out, location);
        mu_buf_add_text(&r->out, "\">Moved Permanently</a>.\n\n");
        r->response.body = mu_buf_span(&r->out);
    }
    request_answer(r);
}

/* "GET,PUT,DELETE": in the order of the rows. */
static void add_methods(const struct route_table *table, const struct request *r, struct mu_buf *to)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct web_route *row = &table->rows[i];

        if (strcmp(row->path, r->route->path) == 0) {
            if (to->bytes > 0) {
                mu_buf_add_byte(to, ',');
            }
            mu_buf_add_text(to, web_method_text(row->method));
        }
    }
}

static void answer_options(const struct route_table *table, struct request *r, bool is_asked)
{
    struct mu_buf allow = MU_BUF_NONE;

    mu_buf_add_text(&allow, "OPTIONS");
    add_methods(table, r, &allow);
    response_header(r, "Allow", mu_arena_span(&r->arena, mu_buf_span(&allow)));
    mu_buf_deinit(&allow);
    if (is_asked) {
        answer_empty(r, 200);
    } else {
        answer_textf(r, 405, "method %.*s not allowed", MU_SPAN_FMT(r->method_text));
    }
}

static void answer_too_big(struct request *r)
{
    unsigned traits = r->route != NULL ? r->route->traits : 0;
    const char *option = (traits & ROUTE_VALUE) != 0 ? "kv_max_value_size"
                         : (traits & ROUTE_TXN) != 0 ? "txn_max_req_len"
                                                     : NULL;
    char count[32] = "";

    if (r->content_length > 0) { /* else it came in chunks */
        (void)snprintf(count, sizeof count, "(%llu bytes)", (unsigned long long)r->content_length);
    }
    answer_textf(r, 413, "Request body%s too large, max size: %llu bytes.%s%s%s", count,
                 (unsigned long long)r->body_bytes_max,
                 option != NULL ? " See https://www.consul.io/docs/agent/options.html#" : "",
                 option != NULL ? option : "", option != NULL ? "." : "");
}

static void answer_root(struct request *r)
{
    answer_text(r, 200, "Consul Agent");
}

/* True: answered by verdict. */
static bool refuse_by_verdict(struct request *r)
{
    switch (r->verdict) {
    case VERDICT_SERVE: return false;
    case VERDICT_BAD_TARGET: answer_text(r, 400, "400 Bad Request"); return true;
    case VERDICT_UNPRINTABLE: answer_empty(r, 400); return true;
    case VERDICT_MOVED: answer_moved(r); return true;
    case VERDICT_UNKNOWN: answer_empty(r, 404); return true;
    case VERDICT_ROOT: answer_root(r); return true;
    case VERDICT_TOO_BIG: answer_too_big(r); return true;
    case VERDICT_BUSY: answer_code(r, MU_BUSY, NULL); return true;
    }
    MU_UNREACHABLE_CODE();
}

static bool is_blocked(const struct route_table *table, struct mu_span path)
{
    for (size_t i = 0; i < table->block_endpoints_count; i++) {
        if (mu_span_starts(path, mu_span_text(table->block_endpoints[i]))) {
            return true;
        }
    }
    return false;
}

bool route_refuse(const struct route_table *table, struct request *r)
{
    if (refuse_by_verdict(r)) {
        return true;
    }
    if (params_parse(r->query, &r->arena, &r->params, NULL) != MU_OK) {
        answer_empty(r, 500);
        return true;
    }
    if (is_blocked(table, r->path)) {
        answer_text(r, 403, "Endpoint is blocked by agent configuration");
        return true;
    }
    if (r->method == WEB_OPTIONS || r->route->method != r->method) {
        answer_options(table, r, r->method == WEB_OPTIONS);
        return true;
    }
    return false;
}
