/* What a watch looks at: parameters, question, answer. Without I/O. */
#include <stdio.h>
#include <string.h>

#include "agent/watch.h"
#include "base/assert.h"
#include "base/flags.h"
#include "base/id.h"
#include "url.h"

#define WAIT           "5m"
#define RETRY_MS       5000
#define RETRY_MS_MAX   180000
#define FAILURES_COUNT 6 /* the square of more is over the bound */

#define BIT(n) (1U << (n))

/* -- parameters -------------------------------------------------------------------------------- */

enum param { P_KEY, P_PREFIX, P_SERVICE, P_TAG, P_PASSING, P_STATE, P_NAME, PARAMS };

static const char *const param_names[PARAMS] = {
    [P_KEY] = "key",   [P_PREFIX] = "prefix",       [P_SERVICE] = "service",
    [P_TAG] = "tag",   [P_PASSING] = "passingonly", [P_STATE] = "state",
    [P_NAME] = "name",
};

enum kind { KEY, KEYPREFIX, SERVICES, NODES, SERVICE, CHECKS, EVENT, KINDS };

static const struct {
    const char *type;
    unsigned takes; /* bits of enum param */
    int needs;      /* a param; -1: none */
    const char *missing;
} kinds[KINDS] = {
    // clang-format off
    [KEY]       = { "key",       BIT(P_KEY),     P_KEY,     "Must specify a single key to watch" },
    [KEYPREFIX] = { "keyprefix", BIT(P_PREFIX),  P_PREFIX,  "Must specify a single prefix to watch" },
    [SERVICES]  = { "services",  0,              -1,        NULL },
    [NODES]     = { "nodes",     0,              -1,        NULL },
    [SERVICE]   = { "service",   BIT(P_SERVICE) | BIT(P_TAG) | BIT(P_PASSING), P_SERVICE, "Must specify a single service to watch" },
    [CHECKS]    = { "checks",    BIT(P_SERVICE) | BIT(P_STATE), -1, NULL },
    [EVENT]     = { "event",     BIT(P_NAME),    -1,        NULL },
}; // clang-format on

static const char *param(const struct watch_plan *plan, int p)
{
    const char *value = NULL;

    switch ((enum param)p) {
    case P_KEY: value = plan->key; break;
    case P_PREFIX: value = plan->prefix; break;
    case P_SERVICE: value = plan->service; break;
    case P_TAG: value = plan->tag; break;
    case P_PASSING: value = plan->passing_only; break;
    case P_STATE: value = plan->state; break;
    case P_NAME: value = plan->name; break;
    case PARAMS: break;
    }
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum kind kind_of(const struct watch_plan *plan)
{
    unsigned kind = 0;

    while (kind < KINDS && strcmp(kinds[kind].type, plan->type) != 0) {
        kind++;
    }
    return (enum kind)kind;
}

static bool passing_only(const struct watch_plan *plan, bool *out)
{
    const char *text = param(plan, P_PASSING);

    *out = false;
    return text == NULL || mu_flags_parse_bool(mu_span_text(text), out);
}

enum mu_code watch_plan_check(const struct watch_plan *plan, struct mu_err *err)
{
    struct mu_buf more = MU_BUF_NONE;
    bool is_on;

    if (plan->type == NULL || plan->type[0] == '\0') {
        return mu_fail(err, MU_INVALID, "Watch type must be specified");
    }
    enum kind kind = kind_of(plan);

    if (kind == KINDS) {
        return mu_fail(err, MU_INVALID, "Unsupported watch type: %s", plan->type);
    }
    if (kinds[kind].needs >= 0 && param(plan, kinds[kind].needs) == NULL) {
        return mu_fail(err, MU_INVALID, "%s", kinds[kind].missing);
    }
    if (kind == CHECKS && param(plan, P_SERVICE) != NULL && param(plan, P_STATE) != NULL) {
        return mu_fail(err, MU_INVALID, "Cannot specify service and state");
    }
    for (int p = 0; p < PARAMS; p++) {
        if (param(plan, p) != NULL && (kinds[kind].takes & BIT((unsigned)p)) == 0) {
            mu_buf_addf(&more, "%s%s", more.bytes > 0 ? " " : "", param_names[p]);
        }
    }
    enum mu_code rc = MU_OK;

    if (more.bytes > 0) {
        rc = mu_fail(err, MU_INVALID, "Invalid parameters: [%s]", mu_buf_text(&more));
    } else if (!passing_only(plan, &is_on)) {
        rc = mu_fail(err, MU_INVALID, "Expecting passingonly to be a boolean");
    }
    mu_buf_deinit(&more);
    return rc;
}

/* -- the question ------------------------------------------------------------------------------ */

static void add_param(struct mu_buf *to, char *separator, const char *name, const char *value)
{
    mu_buf_addf(to, "%c%s", *separator, name);
    *separator = '&';
    if (value != NULL) {
        mu_buf_add_byte(to, '=');
        url_escape(mu_span_text(value), "", to);
    }
}

static void add_path(const struct watch_plan *plan, struct mu_buf *to)
{
    const char *service = param(plan, P_SERVICE);
    const char *state = param(plan, P_STATE);

    switch (kind_of(plan)) {
    case KEY:
        mu_buf_add_text(to, "/v1/kv/");
        url_escape(mu_span_text(plan->key), "/", to);
        return;
    case KEYPREFIX:
        mu_buf_add_text(to, "/v1/kv/");
        url_escape(mu_span_text(plan->prefix), "/", to);
        return;
    case SERVICES: mu_buf_add_text(to, "/v1/catalog/services"); return;
    case NODES: mu_buf_add_text(to, "/v1/catalog/nodes"); return;
    case SERVICE:
        mu_buf_add_text(to, "/v1/health/service/");
        url_escape(mu_span_text(plan->service), "", to);
        return;
    case CHECKS:
        mu_buf_add_text(to, service != NULL ? "/v1/health/checks/" : "/v1/health/state/");
        url_escape(mu_span_text(service != NULL ? service : state != NULL ? state : "any"), "", to);
        return;
    case EVENT: mu_buf_add_text(to, "/v1/event/list"); return;
    case KINDS: break;
    }
    MU_UNREACHABLE_CODE(); /* the plan was checked */
}

void watch_plan_target(const struct watch_plan *plan, uint64_t index, struct mu_buf *to)
{
    char separator = '?';
    bool is_on = false;
    char text[24];

    add_path(plan, to);
    if (kind_of(plan) == KEYPREFIX) {
        add_param(to, &separator, "recurse", NULL);
    }
    if (param(plan, P_TAG) != NULL) {
        add_param(to, &separator, "tag", plan->tag);
    }
    if (passing_only(plan, &is_on) && is_on) {
        add_param(to, &separator, "passing", "1");
    }
    if (param(plan, P_NAME) != NULL) {
        add_param(to, &separator, "name", plan->name);
    }
    if (plan->datacenter != NULL && plan->datacenter[0] != '\0') {
        add_param(to, &separator, "dc", plan->datacenter);
    }
    if (plan->is_stale) {
        add_param(to, &separator, "stale", NULL);
    }
    if (index > 0) {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
        add_param(to, &separator, "index", text);
        add_param(to, &separator, "wait", WAIT);
    }
}

uint64_t watch_plan_next(const struct watch_plan *plan, uint64_t before, uint64_t now)
{
    return kind_of(plan) != EVENT && now < before ? 0 : now;
}

uint64_t watch_retry_ms(unsigned failures)
{
    uint64_t n = failures < FAILURES_COUNT ? failures : FAILURES_COUNT;
    uint64_t ms = RETRY_MS * n * n;

    return ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX;
}

/* -- the answer -------------------------------------------------------------------------------- */

static void put_value(struct mu_json_out *o, const struct mu_json *v)
{
    struct mu_buf text = MU_BUF_NONE;

    mu_json_compact(v, &text);
    mu_json_put_raw(o, mu_buf_span(&text));
    mu_buf_deinit(&text);
}

struct pair {
    struct mu_span key, session;
    const struct mu_json *value;          /* base64, or null */
    uint64_t create, modify, lock, flags; /* flags may be above 2^63 */
};

#define AT(member) offsetof(struct pair, member)

static const struct mu_json_field pair_fields[] = {
    { "Key", { NULL }, MU_JSON_AS_TEXT, AT(key), NULL },
    { "Session", { NULL }, MU_JSON_AS_TEXT, AT(session), NULL },
    { "Value", { NULL }, MU_JSON_AS_VALUE, AT(value), NULL },
    { "CreateIndex", { NULL }, MU_JSON_AS_UINT, AT(create), NULL },
    { "ModifyIndex", { NULL }, MU_JSON_AS_UINT, AT(modify), NULL },
    { "LockIndex", { NULL }, MU_JSON_AS_UINT, AT(lock), NULL },
    { "Flags", { NULL }, MU_JSON_AS_UINT, AT(flags), NULL },
};

#undef AT

static const struct mu_json_shape pair_shape = { .fields = pair_fields,
                                                 .fields_count = MU_LEN(pair_fields),
                                                 .bytes = sizeof(struct pair),
                                                 .is_loose = true };

/* In the order of the reference's client, which is not that of the API. */
static enum mu_code put_pair(struct mu_json_out *o, const struct mu_json *v, struct mu_err *err)
{
    struct pair pair = { .value = NULL };
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = mu_json_decode(v, &pair_shape, &pair, &arena, err);

    mu_json_open(o, '{');
    mu_json_span(o, "Key", pair.key);
    mu_json_u64(o, "CreateIndex", pair.create);
    mu_json_u64(o, "ModifyIndex", pair.modify);
    mu_json_u64(o, "LockIndex", pair.lock);
    mu_json_u64(o, "Flags", pair.flags);
    mu_json_key(o, "Value");
    if (pair.value != NULL) {
        put_value(o, pair.value);
    } else {
        mu_json_put_null(o);
    }
    mu_json_span(o, "Session", pair.session);
    mu_json_close(o, '}');
    mu_arena_deinit(&arena);
    return rc;
}

static bool is_seen(const struct mu_json *event, uint64_t seen)
{
    const struct mu_json *id = mu_json_find(event, "ID");
    struct mu_id parsed;
    uint64_t halves[2] = { 0, 0 };

    if (id == NULL || mu_json_kind_of(id) != MU_JSON_STRING ||
        !mu_id_parse(mu_json_string(id), &parsed)) {
        return false;
    }
    for (size_t i = 0; i < sizeof parsed.b; i++) {
        halves[i / 8] = halves[i / 8] << 8 | parsed.b[i];
    }
    return (halves[0] ^ halves[1]) == seen;
}

static void put_events(struct mu_json_out *o, const struct mu_json *list, uint64_t seen)
{
    size_t count = mu_json_count(list);
    size_t from = 0;

    for (size_t i = 0; i < count && seen != 0; i++) {
        from = is_seen(mu_json_at(list, i), seen) ? i + 1 : from;
    }
    mu_json_open(o, '[');
    for (size_t i = from; i < count; i++) {
        put_value(o, mu_json_at(list, i));
    }
    mu_json_close(o, ']');
}

static enum mu_code put_pairs(struct mu_json_out *o, enum kind kind, const struct mu_json *list,
                              struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (kind == KEY && mu_json_count(list) > 0) {
        return put_pair(o, mu_json_at(list, 0), err);
    }
    mu_json_open(o, '[');
    for (size_t i = 0; rc == MU_OK && i < mu_json_count(list); i++) {
        rc = put_pair(o, mu_json_at(list, i), err);
    }
    mu_json_close(o, ']');
    return rc;
}

static enum mu_code put_answer(struct mu_json_out *o, enum kind kind, const struct mu_json *v,
                               uint64_t seen, struct mu_err *err)
{
    switch (kind) {
    case KEY:
    case KEYPREFIX: return put_pairs(o, kind, v, err);
    case EVENT: put_events(o, v, seen); return MU_OK;
    case SERVICES:
    case NODES:
    case SERVICE:
    case CHECKS:
    case KINDS: break;
    }
    put_value(o, v);
    return MU_OK;
}

static void put_nothing(struct mu_json_out *o, enum kind kind)
{
    if (kind == KEY) {
        mu_json_put_null(o);
    } else {
        mu_json_open(o, '[');
        mu_json_close(o, ']');
    }
}

enum mu_code watch_plan_result(const struct watch_plan *plan, unsigned status, struct mu_span body,
                               uint64_t seen, bool is_pretty, struct mu_buf *to, struct mu_err *err)
{
    enum kind kind = kind_of(plan);
    bool is_list = kind != SERVICES;
    struct mu_json *root = NULL;
    struct mu_json_out o;

    if (status != 200 && (status != 404 || (kind != KEY && kind != KEYPREFIX))) {
        return mu_fail(err, MU_INVALID, "Unexpected response code: %u (%.*s)", status,
                       MU_SPAN_FMT(mu_span_sub(body, 0, 256)));
    }
    enum mu_code rc = status == 200 ? mu_json_parse(&root, body, true, err) : MU_OK;

    mu_json_out_init(&o, to, is_pretty);
    if (status == 404) {
        put_nothing(&o, kind);
        mu_json_out_end(&o);
    } else if (rc == MU_OK && mu_json_kind_of(root) != (is_list ? MU_JSON_LIST : MU_JSON_OBJECT)) {
        rc = mu_fail(err, MU_INVALID, "the answer is no %s", is_list ? "list" : "object");
    }
    if (rc == MU_OK && root != NULL) {
        rc = put_answer(&o, kind, root, seen, err);
        mu_json_out_end(&o);
    }
    if (rc == MU_OK && !is_pretty) {
        mu_buf_add_byte(to, '\n');
    }
    mu_json_free(root);
    return rc;
}
