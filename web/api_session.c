/* /v1/session/: sessions, on which locks and the lives of keys hang (http-api 7).
 *
 * What a session needs from the catalog (its node, its checks) is judged when the command is
 * applied. Here are the words: the TTL's bounds come from this server's configuration, which
 * applying may not read.
 */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "blocking.h"
#include "body.h"
#include "handlers.h"
#include "objects.h"
#include "status.h"
#include "write.h"

#define TTL_MAX_NS            (24 * 3600 * MU_NS_PER_S)
#define LOCK_DELAY_DEFAULT_NS (15 * MU_NS_PER_S)
#define HEALTH_CHECK          "serfHealth"
#define LOOKUP_FAILED         "failed session lookup: index error: UUID must be 36 characters"

/* -- create: the body -------------------------------------------------------------------------- */

struct service_check {
    struct mu_span id, ns;
};

struct session_body {
    struct mu_span name, node, behavior, ttl;
    const struct mu_json *lock_delay;
    struct mu_texts node_checks, checks;
    struct mu_objects service_checks; /* struct service_check */
    uint64_t given;
};

#define AT(member) offsetof(struct service_check, member)
static const struct mu_json_field service_check_fields[] = {
    // clang-format off
    { "ID",        { NULL }, MU_JSON_AS_TEXT, AT(id), NULL },
    { "Namespace", { NULL }, MU_JSON_AS_TEXT, AT(ns), NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape service_check_shape = {
    .fields = service_check_fields,
    .fields_count = MU_LEN(service_check_fields),
    .bytes = sizeof(struct service_check),
    .is_loose = true,
};

enum {
    SESSION_CHECKS,
    SESSION_NODE_CHECKS,
    SESSION_SERVICE_CHECKS
}; /* rows: [] and absent differ */

#define AT(member) offsetof(struct session_body, member)
static const struct mu_json_field session_fields[] = {
    // clang-format off
    { "Checks",        { NULL }, MU_JSON_AS_TEXTS,   AT(checks),         NULL },
    { "NodeChecks",    { NULL }, MU_JSON_AS_TEXTS,   AT(node_checks),    NULL },
    { "ServiceChecks", { NULL }, MU_JSON_AS_OBJECTS, AT(service_checks), &service_check_shape },
    { "Name",          { NULL }, MU_JSON_AS_TEXT,    AT(name),           NULL },
    { "Node",          { NULL }, MU_JSON_AS_TEXT,    AT(node),           NULL },
    { "LockDelay",     { NULL }, MU_JSON_AS_VALUE,   AT(lock_delay),     NULL },
    { "Behavior",      { NULL }, MU_JSON_AS_TEXT,    AT(behavior),       NULL },
    { "TTL",           { NULL }, MU_JSON_AS_TEXT,    AT(ttl),            NULL },
}; // clang-format on

static const struct mu_json_shape session_shape = {
    .fields = session_fields,
    .fields_count = MU_LEN(session_fields),
    .bytes = sizeof(struct session_body),
    .is_loose = true,
    .has_given = true,
    .given_offset = AT(given),
};
#undef AT

static bool was_given(const struct session_body *b, unsigned field)
{
    return (b->given >> field & 1) != 0;
}

/* A duration in text or ns; below 1000 ns somebody meant seconds. */
static enum mu_code lock_delay(const struct mu_json *v, uint64_t *out, struct mu_err *err)
{
    char why[128];
    int64_t ns = LOCK_DELAY_DEFAULT_NS;
    enum mu_json_kind kind = v != NULL ? mu_json_kind_of(v) : MU_JSON_NULL;

    if (kind == MU_JSON_INT) {
        ns = mu_json_int(v);
    } else if (kind == MU_JSON_STRING) {
        if (!mu_duration_parse(mu_json_string(v), &ns, why, sizeof why)) {
            return mu_fail(err, MU_INVALID, "%s", why);
        }
    } else if (kind != MU_JSON_NULL) {
        return mu_fail(err, MU_INVALID,
                       "json: cannot unmarshal %s into Go struct field .LockDelay of type string",
                       mu_json_kind_text(kind));
    }
    if (ns > -1000 && ns < 1000) {
        ns *= MU_NS_PER_S;
    }
    *out = ns > 0 ? (uint64_t)ns : 0; /* a negative one is none */
    return MU_OK;
}

static struct mu_texts one_text(struct mu_arena *arena, const char *text)
{
    struct mu_texts texts = { mu_arena_array(arena, 1, sizeof *texts.items), 1 };

    texts.items[0] = mu_span_text(text);
    return texts;
}

static struct mu_texts both(struct mu_arena *arena, struct mu_texts a, struct mu_texts b)
{
    struct mu_texts out = { mu_arena_array(arena, a.count + b.count, sizeof *out.items),
                            a.count + b.count };

    for (size_t i = 0; i < out.count; i++) {
        out.items[i] = i < a.count ? a.items[i] : b.items[i - a.count];
    }
    return out;
}

/* What it hangs on: the health of its node, unless checks were named, even if none. */
static void checks_of(struct request *r, const struct session_body *b, struct command_session *s)
{
    const struct service_check *list = b->service_checks.items;
    bool has_any = was_given(b, SESSION_CHECKS) || was_given(b, SESSION_NODE_CHECKS);

    s->node_checks =
        has_any ? both(&r->arena, b->node_checks, b->checks) : one_text(&r->arena, HEALTH_CHECK);
    s->has_service_checks = was_given(b, SESSION_SERVICE_CHECKS);
    s->service_checks.count = b->service_checks.count;
    s->service_checks.items =
        mu_arena_array(&r->arena, b->service_checks.count, sizeof *s->service_checks.items);
    for (size_t i = 0; i < b->service_checks.count; i++) {
        s->service_checks.items[i] = (struct mu_pair){ list[i].id, list[i].ns };
    }
}

/* False: answered. */
static bool read_body(struct request *r, struct command_session *s)
{
    struct session_body b = { .given = 0 };
    struct mu_json *tree = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (r->body.bytes > 0 && !body_decode(r, &session_shape, &b, &tree)) {
        return false;
    }
    enum mu_code rc = lock_delay(b.lock_delay, &s->lock_delay_ns, &err);

    mu_json_free(tree);
    if (rc != MU_OK) {
        body_refuse(r, &err);
        return false;
    }
    s->name = b.name;
    s->node = b.node.bytes > 0    ? b.node
              : r->node.bytes > 0 ? r->node
                                  : mu_span_text(agent_node_name(r->front->agent));
    s->behavior = b.behavior.bytes > 0 ? b.behavior : MU_SPAN_LIT("release");
    s->ttl = b.ttl;
    checks_of(r, &b, s);
    return true;
}

/* -- create: the TTL --------------------------------------------------------------------------- */

/* True: answered. */
static bool refuse_ttl(struct request *r, struct mu_span ttl)
{
    int64_t min_ns = r->front->config->session_ttl_min_ms * MU_NS_PER_MS;
    char min_text[MU_DURATION_TEXT_MAX];
    char max_text[MU_DURATION_TEXT_MAX];
    char why[128];
    int64_t ns = 0;

    if (ttl.bytes == 0) {
        return false;
    }
    if (!mu_duration_parse(ttl, &ns, why, sizeof why)) {
        answer_textf(r, 500, "Session TTL '%.*s' invalid: %s", MU_SPAN_FMT(ttl), why);
        return true;
    }
    if (ns == 0 || (ns >= min_ns && ns <= TTL_MAX_NS)) {
        return false;
    }
    mu_duration_text(min_ns, min_text);
    mu_duration_text(TTL_MAX_NS, max_text);
    answer_textf(r, 500, "Invalid Session TTL '%lld', must be between [%s=%s]", (long long)ns,
                 min_text, max_text);
    return true;
}

static bool is_behavior(struct mu_span text)
{
    return mu_span_eq_text(text, "release") || mu_span_eq_text(text, "delete");
}

static void on_created(void *data, const struct agent_written *written)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (written->code != MU_OK) {
        write_refused(r, written);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_text(&o, "ID", r->mine);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_session_create(struct request *r)
{
    struct command c = { .kind = COMMAND_SESSION_CREATE };
    char *text = mu_arena_new(&r->arena, MU_ID_TEXT_BYTES + 1);

    if (!read_body(r, &c.session)) {
        return;
    }
    if (!is_behavior(c.session.behavior)) {
        answer_textf(r, 500, "Invalid Behavior setting '%.*s'", MU_SPAN_FMT(c.session.behavior));
        return;
    }
    if (refuse_ttl(r, c.session.ttl)) {
        return;
    }
    /* One that is asked for again is the same one: the request's id is as good as any. */
    if (!write_request_id(r, &c.session.id)) {
        return;
    }
    if (mu_id_is_none(&c.session.id)) {
        c.session.id = mu_id_random();
    }
    mu_id_text(&c.session.id, text);
    r->mine = text;
    write_submit(r, &c, on_created);
}

/* -- destroy, renew ---------------------------------------------------------------------------- */

/* False: answered. */
static bool read_id(struct request *r, struct mu_id *id)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing session");
        return false;
    }
    if (!mu_id_parse(r->argument, id)) {
        answer_text(r, 500, LOOKUP_FAILED);
        return false;
    }
    return true;
}

void api_session_destroy(struct request *r)
{
    struct command c = { .kind = COMMAND_SESSION_DESTROY };

    if (read_id(r, &c.session_destroy.id)) {
        write_command(r, &c);
    }
}

static void session_list(struct request *r, const struct catalog_sessions *list)
{
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_open(&o, '[');
    for (size_t i = 0; i < list->count; i++) {
        objects_session(&o, &list->items[i]);
    }
    mu_json_close(&o, ']');
    response_json_end(r, &o);
}

/* The session as it is here now: this server has come as far as the leader that renewed it. */
static void on_renewed(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;
    struct agent_view view = agent_view_now(r->front->agent);
    struct catalog_sessions list = { .count = 0 };
    struct mu_err why = *err;
    struct mu_id id;

    write_end(r);
    if (code == MU_OK && mu_id_parse(r->argument, &id)) {
        code = catalog_query_session(view.reader, &r->arena, &id, &list, &why);
    }
    if (code == MU_NOT_FOUND || (code == MU_OK && list.count == 0)) {
        answer_textf(r, 404, "Session id '%.*s' not found", MU_SPAN_FMT(r->argument));
    } else if (code != MU_OK) {
        answer_code(r, code, &why);
    } else {
        session_list(r, &list);
        r->response.status = 200;
        request_answer(r);
    }
}

void api_session_renew(struct request *r)
{
    struct mu_id id;

    if (read_id(r, &id)) {
        write_begin(r);
        agent_session_renew(r->front->agent, &id, on_renewed, r);
    }
}

/* -- reads ------------------------------------------------------------------------------------- */

static enum mu_code answer_list(struct request *r, enum mu_code rc,
                                const struct catalog_sessions *list)
{
    if (rc != MU_OK) {
        return rc;
    }
    blocking_topic(r, CATALOG_SESSIONS, MU_SPAN_NONE);
    if (!blocking_holds(r, list->index)) {
        session_list(r, list);
    }
    return MU_OK;
}

static enum mu_code read_info(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    struct catalog_sessions list = { .count = 0 };
    struct mu_id id = MU_ID_NONE;

    (void)mu_id_parse(r->argument, &id); /* the handler saw that it is one */
    return answer_list(r, catalog_query_session(view->reader, &r->front->scratch, &id, &list, err),
                       &list);
}

static enum mu_code read_list(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    struct catalog_sessions list = { .count = 0 };

    return answer_list(r, catalog_query_sessions(view->reader, &r->front->scratch, &list, err),
                       &list);
}

static enum mu_code read_node(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    struct catalog_sessions list = { .count = 0 };

    return answer_list(
        r, catalog_query_node_sessions(view->reader, &r->front->scratch, r->argument, &list, err),
        &list);
}

void api_session_info(struct request *r)
{
    struct mu_id id;

    if (read_id(r, &id)) {
        blocking_read(r, read_info);
    }
}

void api_session_list(struct request *r)
{
    blocking_read(r, read_list);
}

void api_session_node(struct request *r)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing node name");
    } else {
        blocking_read(r, read_node);
    }
}
