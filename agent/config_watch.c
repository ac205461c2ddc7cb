/* `watches` of the configuration: what is looked at, and the program or the URL that is told
 * (agent-behaviour 11.3). The words of errors are the reference's. */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "config_apply.h"

#define WATCHES_MAX     256 /* each is a question under way, and a program that may run */
#define HTTP_TIMEOUT_MS 10000

struct http_draft {
    struct mu_span path, method;
    int64_t timeout_ns;
    struct mu_multi header;
    bool tls_skip_verify;
};

struct draft {
    struct mu_span type, datacenter, token, handler, handler_type;
    struct mu_span key, prefix, service, tag, state, name;
    const struct mu_json *passing_only;
    struct mu_texts args;
    struct http_draft http;
    bool stale;
    uint64_t given;
};

#define AT(member) offsetof(struct http_draft, member)

static const struct mu_json_field http_fields[] = {
    { "path", { NULL }, MU_JSON_AS_TEXT, AT(path), NULL },
    { "method", { NULL }, MU_JSON_AS_TEXT, AT(method), NULL },
    { "timeout", { NULL }, MU_JSON_AS_DURATION, AT(timeout_ns), NULL },
    { "header", { NULL }, MU_JSON_AS_MULTI, AT(header), NULL },
    { "tls_skip_verify", { NULL }, MU_JSON_AS_BOOL, AT(tls_skip_verify), NULL },
};

#undef AT

static const struct mu_json_shape http_shape = { .fields = http_fields,
                                                 .fields_count = MU_LEN(http_fields),
                                                 .bytes = sizeof(struct http_draft) };

#define AT(member) offsetof(struct draft, member)
#define HTTP_FIELD 0 /* in `given` */

static const struct mu_json_field fields[] = {
    { "http_handler_config", { NULL }, MU_JSON_AS_OBJECT, AT(http), &http_shape },
    { "type", { NULL }, MU_JSON_AS_TEXT, AT(type), NULL },
    { "datacenter", { NULL }, MU_JSON_AS_TEXT, AT(datacenter), NULL },
    { "token", { NULL }, MU_JSON_AS_TEXT, AT(token), NULL },
    { "handler", { NULL }, MU_JSON_AS_TEXT, AT(handler), NULL },
    { "handler_type", { NULL }, MU_JSON_AS_TEXT, AT(handler_type), NULL },
    { "args", { NULL }, MU_JSON_AS_TEXTS, AT(args), NULL },
    { "stale", { NULL }, MU_JSON_AS_BOOL, AT(stale), NULL },
    { "key", { NULL }, MU_JSON_AS_TEXT, AT(key), NULL },
    { "prefix", { NULL }, MU_JSON_AS_TEXT, AT(prefix), NULL },
    { "service", { NULL }, MU_JSON_AS_TEXT, AT(service), NULL },
    { "tag", { NULL }, MU_JSON_AS_TEXT, AT(tag), NULL },
    { "state", { NULL }, MU_JSON_AS_TEXT, AT(state), NULL },
    { "name", { NULL }, MU_JSON_AS_TEXT, AT(name), NULL },
    { "passingonly", { NULL }, MU_JSON_AS_VALUE, AT(passing_only), NULL },
};

static const struct mu_json_shape shape = { .fields = fields,
                                            .fields_count = MU_LEN(fields),
                                            .bytes = sizeof(struct draft),
                                            .is_loose = true,
                                            .has_given = true,
                                            .given_offset = AT(given) };

#undef AT

static enum mu_code refuse_unknown(const struct mu_json *v, struct mu_err *err)
{
    struct mu_json_at at = { .started = false };
    struct mu_buf more = MU_BUF_NONE;

    while (mu_json_next(v, &at)) {
        bool is_known = false;

        for (size_t i = 0; i < MU_LEN(fields); i++) {
            is_known |= mu_span_eq_fold(mu_span_text(at.name), mu_span_text(fields[i].name));
        }
        if (!is_known) {
            mu_buf_addf(&more, "%s%s", more.bytes > 0 ? " " : "", at.name);
        }
    }
    enum mu_code rc =
        more.bytes == 0 ? MU_OK
                        : mu_fail(err, MU_INVALID, "Invalid parameters: [%s]", mu_buf_text(&more));

    mu_buf_deinit(&more);
    return rc;
}

static const char *text(struct mu_arena *arena, struct mu_span s)
{
    return s.bytes > 0 ? mu_arena_text(arena, s.data, s.bytes) : NULL;
}

static const char *passing(struct mu_arena *arena, const struct mu_json *v)
{
    enum mu_json_kind kind = v != NULL ? mu_json_kind_of(v) : MU_JSON_NULL;

    return kind == MU_JSON_NULL     ? NULL
           : kind == MU_JSON_BOOL   ? (mu_json_bool(v) ? "true" : "false")
           : kind == MU_JSON_STRING ? text(arena, mu_json_string(v))
                                    : "neither";
}

/* Exactly one of args, handler and an HTTP handler. */
static enum mu_code handler_of(const struct draft *d, struct mu_arena *arena,
                               struct config_watch *w, struct mu_err *err)
{
    bool is_http = mu_span_eq_text(d->handler_type, "http");
    bool has_http = (d->given >> HTTP_FIELD & 1) != 0;

    if (d->args.count > 0 && d->handler.bytes > 0) {
        return mu_fail(err, MU_INVALID, "Only one watch handler allowed");
    }
    if (d->handler_type.bytes > 0 && !is_http && !mu_span_eq_text(d->handler_type, "script")) {
        return mu_fail(err, MU_INVALID, "Handler type '%.*s' not recognized",
                       MU_SPAN_FMT(d->handler_type));
    }
    if (is_http && (!has_http || d->http.path.bytes == 0)) {
        return mu_fail(err, MU_INVALID,
                       "Handler type 'http' requires 'http_handler_config' to be set");
    }
    if (!is_http && d->args.count == 0 && d->handler.bytes == 0) {
        return mu_fail(err, MU_INVALID, "Must define a watch handler");
    }
    size_t count = d->args.count > 0 ? d->args.count : 3;

    w->args = mu_arena_array(arena, count + 1, sizeof *w->args); /* NULL-ended */
    for (size_t i = 0; i < d->args.count; i++) {
        w->args[i] = mu_arena_text(arena, d->args.items[i].data, d->args.items[i].bytes);
    }
    if (d->args.count == 0) {
        w->args[0] = "/bin/sh";
        w->args[1] = "-c";
        w->args[2] = text(arena, d->handler);
    }
    w->url = is_http ? text(arena, d->http.path) : NULL;
    w->method = d->http.method.bytes > 0 ? text(arena, d->http.method) : "POST";
    w->headers = d->http.header;
    w->timeout_ms =
        d->http.timeout_ns > 0 ? (uint64_t)(d->http.timeout_ns / MU_NS_PER_MS) : HTTP_TIMEOUT_MS;
    return MU_OK;
}

static enum mu_code add_watch(struct config_apply *a, const struct mu_json *v, struct mu_err *err)
{
    struct config *c = &a->d->c;
    struct config_watch w = { .args = NULL };
    struct draft d = { .given = 0 };

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return config__no_map(a, v, err);
    }
    enum mu_code rc = refuse_unknown(v, err);

    rc = rc == MU_OK ? mu_json_decode(v, &shape, &d, &c->arena, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    w.plan = (struct watch_plan){
        .type = text(&c->arena, d.type),
        .key = text(&c->arena, d.key),
        .prefix = text(&c->arena, d.prefix),
        .service = text(&c->arena, d.service),
        .tag = text(&c->arena, d.tag),
        .state = text(&c->arena, d.state),
        .name = text(&c->arena, d.name),
        .passing_only = passing(&c->arena, d.passing_only),
        .datacenter = text(&c->arena, d.datacenter),
        .is_stale = d.stale,
    };
    w.token = text(&c->arena, d.token);
    rc = watch_plan_check(&w.plan, err);
    rc = rc == MU_OK ? handler_of(&d, &c->arena, &w, err) : rc;
    if (rc == MU_OK && c->watches_count == WATCHES_MAX) {
        rc = mu_fail(err, MU_INVALID, "watches: more than %d", WATCHES_MAX);
    }
    if (rc == MU_OK) {
        c->watches = mu_arena_grow(&c->arena, c->watches, c->watches_count, sizeof *c->watches);
        c->watches[c->watches_count++] = w;
    }
    return rc;
}

enum mu_code config__apply_watches(struct config_apply *a, const struct config_item *item,
                                   const struct mu_json *v, struct mu_err *err)
{
    struct config_mark here = config__mark_of(a);
    bool is_list = mu_json_kind_of(v) == MU_JSON_LIST;
    size_t count = is_list ? mu_json_count(v) : 1;
    enum mu_code rc = MU_OK;

    config__see(a->d, item, count > 0, count > 0);
    for (size_t i = 0; rc == MU_OK && i < count; i++) {
        config__enter_element(a, i, true);
        rc = add_watch(a, is_list ? mu_json_at(v, i) : v, err);
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Failed to parse watch (%s)", a->key);
        config__back_to(a, here);
    }
    return rc;
}
