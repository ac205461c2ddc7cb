/* /v1/kv/: values of Consul's key space (http-api 6). */
#include "base/id.h"
#include "base/limits.h"
#include "blocking.h"
#include "handlers.h"
#include "objects.h"
#include "write.h"

/* -- GET --------------------------------------------------------------------------------------- */

/* A value as it is: no type of its own may run in a browser. */
static void raw_value(struct request *r, const struct catalog_kv *kv)
{
    mu_buf_clear(&r->out);
    mu_buf_add_span(&r->out, kv->value);
    r->response.body = mu_buf_span(&r->out);
    r->response.content_type = "text/plain";
    response_header(r, "X-Content-Type-Options", MU_SPAN_LIT("nosniff"));
    response_header(r, "Content-Security-Policy", MU_SPAN_LIT("sandbox"));
}

static void pairs_json(struct request *r, const struct catalog_kvs *kvs)
{
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_open(&o, '[');
    for (size_t i = 0; i < kvs->count; i++) {
        objects_kv(&o, &kvs->items[i]);
    }
    mu_json_close(&o, ']');
    response_json_end(r, &o);
}

static enum mu_code read_key(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    struct catalog_kvs kvs;
    enum mu_code rc = catalog_query_key(view->reader, &r->front->scratch, r->argument, &kvs, err);

    if (rc != MU_OK) {
        return rc;
    }
    blocking_topic(r, CATALOG_KEY, r->argument);
    if (blocking_holds(r, kvs.index)) {
        return MU_OK;
    }
    if (kvs.count == 0) {
        r->response.status = 404;
    } else if (params_has(&r->params, "raw")) {
        raw_value(r, &kvs.items[0]);
    } else {
        pairs_json(r, &kvs);
    }
    return MU_OK;
}

static enum mu_code read_prefix(struct request *r, const struct agent_view *view,
                                struct mu_err *err)
{
    struct catalog_kvs kvs;
    enum mu_code rc =
        catalog_query_prefix(view->reader, &r->front->scratch, r->argument, &kvs, err);

    if (rc != MU_OK) {
        return rc;
    }
    blocking_topic(r, CATALOG_PREFIX, r->argument);
    if (blocking_holds(r, kvs.index)) {
        return MU_OK;
    }
    if (kvs.count == 0) {
        r->response.status = 404;
    } else {
        pairs_json(r, &kvs);
    }
    return MU_OK;
}

static enum mu_code read_keys(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    const struct mu_span *separator = params_find(&r->params, "separator");
    struct catalog_keys keys;
    struct mu_json_out o;

    if (separator == NULL) {
        separator = params_find(&r->params, "seperator"); /* the reference's first spelling */
    }
    enum mu_code rc = catalog_query_keys(view->reader, &r->front->scratch, r->argument,
                                         separator != NULL ? *separator : MU_SPAN_NONE, &keys, err);

    if (rc != MU_OK) {
        return rc;
    }
    blocking_topic(r, CATALOG_PREFIX, r->argument);
    if (blocking_holds(r, keys.index)) {
        return MU_OK;
    }
    if (keys.count == 0 && r->argument.bytes > 0) {
        r->response.status = 404;
        return MU_OK;
    }
    response_json(r, &o);
    mu_json_open(&o, '[');
    for (size_t i = 0; i < keys.count; i++) {
        mu_json_put_span(&o, keys.items[i]);
    }
    mu_json_close(&o, ']');
    response_json_end(r, &o);
    return MU_OK;
}

void api_kv_get(struct request *r)
{
    if (params_has(&r->params, "keys")) {
        blocking_read(r, read_keys);
    } else if (params_has(&r->params, "recurse")) {
        blocking_read(r, read_prefix);
    } else if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing key name");
    } else {
        blocking_read(r, read_key);
    }
}

/* -- what writes have in common ---------------------------------------------------------------- */

static void answer_conflict(struct request *r)
{
    struct mu_buf query = MU_BUF_NONE;

    params_encode(&r->params, &query);
    answer_textf(r, 400, "Conflicting flags: %s", mu_buf_text(&query));
    mu_buf_deinit(&query);
}

/* True: answered. */
static bool refuse_key(struct request *r)
{
    if (r->argument.bytes > MU_KV_KEY_MAX) {
        answer_textf(r, 413, "Key(%zu bytes) too large, max size: %d bytes.", r->argument.bytes,
                     MU_KV_KEY_MAX);
        return true;
    }
    return false;
}

/* A number among the parameters: 500 in Go's words when it is none. False: answered. */
static bool read_number(struct request *r, const char *name, bool *is_given, uint64_t *out)
{
    const struct mu_span *text = params_find(&r->params, name);
    struct mu_err err = MU_ERR_NONE;

    *is_given = text != NULL;
    if (text == NULL || params_u64(*text, out, &err) == MU_OK) {
        return true;
    }
    answer_text(r, 500, err.text);
    return false;
}

/* -- PUT --------------------------------------------------------------------------------------- */

/* Who takes the lock; what no session can have as its id holds nothing. False: answered. */
static bool read_session(struct request *r, struct mu_span text, struct command_kv_lock *lock)
{
    if (text.bytes == 0) {
        answer_text(r, 500, "missing session");
    } else if (mu_id_parse(text, &lock->session)) {
        return true;
    } else if (lock->is_release) {
        answer_bool(r, false);
    } else {
        answer_text(r, 500, "failed session lookup: index error: UUID must be 36 characters");
    }
    return false;
}

/* True: answered. */
static bool refuse_put(struct request *r)
{
    bool has_acquire = params_has(&r->params, "acquire");
    bool has_release = params_has(&r->params, "release");
    bool has_cas = params_has(&r->params, "cas");

    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing key name");
    } else if (has_acquire + has_release + has_cas > 1) {
        answer_conflict(r);
    } else {
        return refuse_key(r);
    }
    return true;
}

static void put_locked(struct request *r, struct mu_span session, bool is_release, uint64_t flags)
{
    struct command c = { .kind = COMMAND_KV_LOCK };

    c.kv_lock.is_release = is_release;
    if (read_session(r, session, &c.kv_lock)) {
        c.kv_lock.key = r->argument;
        c.kv_lock.value = mu_buf_span(&r->body);
        c.kv_lock.flags = flags;
        write_command(r, &c);
    }
}

void api_kv_put(struct request *r)
{
    const struct mu_span *acquire = params_find(&r->params, "acquire");
    const struct mu_span *release = params_find(&r->params, "release");
    struct command c = { .kind = COMMAND_KV_SET };
    bool has_flags = false;

    if (refuse_put(r) || !read_number(r, "flags", &has_flags, &c.kv_set.flags) ||
        !read_number(r, "cas", &c.kv_set.has_cas, &c.kv_set.cas)) {
        return;
    }
    if (acquire != NULL || release != NULL) {
        put_locked(r, acquire != NULL ? *acquire : *release, acquire == NULL, c.kv_set.flags);
        return;
    }
    c.kv_set.key = r->argument;
    c.kv_set.value = mu_buf_span(&r->body);
    write_command(r, &c);
}

/* -- DELETE ------------------------------------------------------------------------------------ */

void api_kv_delete(struct request *r)
{
    struct command c = { .kind = COMMAND_KV_DELETE };

    c.kv_delete.recurse = params_has(&r->params, "recurse");
    if (r->argument.bytes == 0 && !c.kv_delete.recurse) {
        answer_text(r, 400, "Missing key name");
        return;
    }
    if (c.kv_delete.recurse && params_has(&r->params, "cas")) {
        answer_conflict(r);
        return;
    }
    if (refuse_key(r) || !read_number(r, "cas", &c.kv_delete.has_cas, &c.kv_delete.cas)) {
        return;
    }
    c.kv_delete.key = r->argument;
    write_command(r, &c);
}
