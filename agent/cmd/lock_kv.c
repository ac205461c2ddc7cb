/* A lock is a key that a session holds, <prefix>/.lock. A semaphore is the same key without a
 * holder and a document in it, {"Limit":2,"Holders":{"<session>":true}}, changed by check-and-set,
 * beside a key for each contender, <prefix>/<session>, that its session holds: a holder whose
 * contender's key is held no more is none. Both as in the reference, flags included, so that
 * clients of either product, and of the API, meet at one lock.
 */
#include "lock.h"

#include <inttypes.h>
#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/json.h"

#define LOCK_FLAGS      0x2ddccbc058a50c18ULL
#define SEMAPHORE_FLAGS 0xe0f69a2baa414de0ULL
#define WAIT_TEXT       "15s"
#define DELAY_MS        1000 /* nobody holds it, but a lock-delay is not over: look again */
#define RETRY_MS        1000 /* of the monitor */
#define RELEASE_TRIES   10   /* others change the document meanwhile */

/* -- answers ----------------------------------------------------------------------------------- */

struct pair {
    struct mu_span key, session, value; /* value: plain */
    uint64_t flags, modified;
};

#define AT(member) offsetof(struct pair, member)

static const struct mu_json_field pair_fields[] = {
    { "Key", { NULL }, MU_JSON_AS_TEXT, AT(key), NULL },
    { "Session", { NULL }, MU_JSON_AS_TEXT, AT(session), NULL },
    { "Value", { NULL }, MU_JSON_AS_TEXT, AT(value), NULL },
    { "Flags", { NULL }, MU_JSON_AS_UINT, AT(flags), NULL },
    { "ModifyIndex", { NULL }, MU_JSON_AS_UINT, AT(modified), NULL },
};

#undef AT

static const struct mu_json_shape pair_shape = CLI_SHAPE(pair_fields, struct pair);

struct pairs {
    struct pair *items;
    size_t count;
};

static struct mu_span member(struct lock *l, const struct mu_json *object, const char *name)
{
    const struct mu_json *v = mu_json_find(object, name);

    return v != NULL && mu_json_kind_of(v) == MU_JSON_STRING
               ? mu_arena_span(&l->scratch, mu_json_string(v))
               : MU_SPAN_NONE;
}

static struct mu_span plain(struct lock *l, struct mu_span base64)
{
    size_t room = base64.bytes / 4 * 3 + 3;
    uint8_t *bytes = mu_arena_new(&l->scratch, room);
    size_t count = 0;

    if (sodium_base642bin(bytes, room, (const char *)base64.data, base64.bytes, NULL, &count, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        count = 0;
    }
    return mu_span_of(bytes, count);
}

static enum mu_code pairs_read(struct lock *l, const struct cli_call *c, struct pairs *out,
                               struct mu_err *err)
{
    struct mu_objects list = { .count = 0 };
    enum mu_code rc = cli_read_list(c, &pair_shape, &list, &l->scratch, err);

    *out = (struct pairs){ .items = list.items, .count = rc == MU_OK ? list.count : 0 };
    for (size_t i = 0; i < out->count; i++) {
        out->items[i].value = plain(l, out->items[i].value);
    }
    return rc;
}

/* -- questions --------------------------------------------------------------------------------- */

static const char *path_of(struct lock *l, const char *name)
{
    return mu_arena_printf(&l->scratch, "%s/%s", l->prefix, name);
}

static bool fail(struct lock *l, const char *what, const char *why)
{
    if (!l->is_over) {
        (void)cli_fail(l->cli, "%s: %s", what, why);
    }
    return false;
}

/* A key, or all below one; nothing there is no failure. Waits for a change behind l->index. */
static bool look(struct lock *l, const char *key, bool is_prefix, struct pairs *out,
                 char why[MU_ERR_TEXT_MAX])
{
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    char index[24];

    *out = (struct pairs){ .count = 0 };
    cli_call_init(&c, "GET", "/v1/kv/");
    cli_call_add(&c, key, true);
    cli_call_param(&c, "consistent", NULL);
    if (is_prefix) {
        cli_call_param(&c, "recurse", NULL);
    }
    if (l->index > 0) {
        (void)snprintf(index, sizeof index, "%" PRIu64, l->index);
        cli_call_param(&c, "index", index);
        cli_call_param(&c, "wait", WAIT_TEXT);
    }
    bool ok = lock_ask(l, &c);
    bool is_there = ok;

    if (!ok && c.status == 404) {
        ok = true;
    }
    if (is_there && pairs_read(l, &c, out, &err) != MU_OK) {
        ok = false;
        (void)snprintf(c.error, sizeof c.error, "%s", err.text);
    }
    l->index = ok ? c.index : 0;
    (void)snprintf(why, MU_ERR_TEXT_MAX, "%s", c.error);
    cli_call_deinit(&c);
    return ok;
}

struct put {
    const char *key, *name; /* name: "acquire", "release", "cas" */
    const char *value;      /* of that parameter */
    uint64_t flags;
    struct mu_span body;
};

/* False: it failed; else *did_apply says what was answered. */
static bool put(struct lock *l, const struct put *p, bool *did_apply, char why[MU_ERR_TEXT_MAX])
{
    struct cli_call c;
    char flags[24];

    cli_call_init(&c, "PUT", "/v1/kv/");
    cli_call_add(&c, p->key, true);
    cli_call_param(&c, p->name, p->value);
    (void)snprintf(flags, sizeof flags, "%" PRIu64, p->flags);
    cli_call_param(&c, "flags", flags);
    c.body = p->body;
    bool ok = lock_ask(l, &c);

    *did_apply = ok && mu_span_starts(mu_buf_span(&c.answer), MU_SPAN_LIT("true"));
    (void)snprintf(why, MU_ERR_TEXT_MAX, "%s", c.error);
    cli_call_deinit(&c);
    return ok;
}

static void delete (struct lock *l, const char *key, const uint64_t *cas)
{
    struct cli_call c;
    char index[24];

    cli_call_init(&c, "DELETE", "/v1/kv/");
    cli_call_add(&c, key, true);
    if (cas != NULL) {
        (void)snprintf(index, sizeof index, "%" PRIu64, *cas);
        cli_call_param(&c, "cas", index);
    }
    (void)lock_ask(l, &c); /* a key that stays harms nobody */
    cli_call_deinit(&c);
}

/* -- the session ------------------------------------------------------------------------------- */

static bool session_read(struct lock *l, const struct cli_call *c)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_span id = MU_SPAN_NONE;

    if (mu_json_parse(&root, mu_buf_span(&c->answer), true, &err) == MU_OK &&
        mu_json_kind_of(root) == MU_JSON_OBJECT) {
        id = member(l, root, "ID");
    }
    mu_json_free(root);
    l->session = id.bytes > 0 ? mu_arena_text(&l->arena, id.data, id.bytes) : NULL;
    return l->session != NULL || fail(l, "Failed to create session", "the answer has no ID");
}

bool lock_session_create(struct lock *l, const char *name)
{
    struct mu_buf body = MU_BUF_NONE;
    struct mu_json_out o;
    struct cli_call c;

    mu_json_out_init(&o, &body, false);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Name", name);
    mu_json_text(&o, "TTL", mu_arena_printf(&l->scratch, "%ds", LOCK_TTL_S));
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    cli_call_init(&c, "PUT", "/v1/session/create");
    c.body = mu_buf_span(&body);
    bool ok = lock_ask(l, &c) ? session_read(l, &c) : fail(l, "Failed to create session", c.error);

    cli_call_deinit(&c);
    mu_buf_deinit(&body);
    return ok;
}

void lock_session_destroy(struct lock *l)
{
    struct cli_call c;

    cli_call_init(&c, "PUT", "/v1/session/destroy/");
    cli_call_add(&c, l->session, false);
    (void)lock_ask(l, &c); /* else its time runs out */
    cli_call_deinit(&c);
}

/* -- a lock ------------------------------------------------------------------------------------ */

static bool has_conflict(const struct pair *p, uint64_t flags)
{
    return p->key.bytes > 0 && p->flags != flags;
}

static bool mutex_try(struct lock *l, bool *held, char why[MU_ERR_TEXT_MAX])
{
    const struct put p = { path_of(l, ".lock"), "acquire", l->session, LOCK_FLAGS, MU_SPAN_NONE };

    return put(l, &p, held, why);
}

static bool mutex_acquire(struct lock *l)
{
    char why[MU_ERR_TEXT_MAX] = "";
    bool held = false;

    while (!held && !l->is_over) {
        mu_arena_reset(&l->scratch);
        struct pairs now;

        if (!look(l, path_of(l, ".lock"), false, &now, why)) {
            return fail(l, "Lock acquisition failed", why);
        }
        if (now.count > 0 && has_conflict(&now.items[0], LOCK_FLAGS)) {
            return fail(l, "Lock acquisition failed", "Existing key does not match lock use");
        }
        if (now.count > 0 && now.items[0].session.bytes > 0) {
            continue; /* the next look waits for a change */
        }
        if (!mutex_try(l, &held, why)) {
            return fail(l, "Lock acquisition failed", why);
        }
        if (!held) { /* somebody was faster, or a lock-delay is not over */
            l->index = 0;
            lock_pause(l, DELAY_MS);
        }
    }
    return held;
}

static bool mutex_is_held(struct lock *l, const struct pairs *now)
{
    return now->count > 0 && mu_span_eq_text(now->items[0].session, l->session);
}

static void mutex_release(struct lock *l)
{
    const struct put p = { path_of(l, ".lock"), "release", l->session, LOCK_FLAGS, MU_SPAN_NONE };
    char why[MU_ERR_TEXT_MAX];
    struct pairs now;
    bool did_apply;

    (void)put(l, &p, &did_apply, why);
    l->index = 0;
    if (look(l, p.key, false, &now, why) && now.count > 0 && now.items[0].session.bytes == 0 &&
        now.items[0].flags == LOCK_FLAGS) {
        delete (l, p.key, &now.items[0].modified);
    }
}

/* -- a semaphore ------------------------------------------------------------------------------- */

struct semaphore {
    const struct pair *pair; /* NULL: there is none yet */
    uint64_t limit;
    struct mu_span *holders; /* those that live */
    size_t holders_count;
};

static bool lives(const struct lock *l, const struct pairs *now, struct mu_span session)
{
    size_t prefix = strlen(l->prefix) + 1;

    for (size_t i = 0; i < now->count; i++) {
        const struct pair *p = &now->items[i];

        if (p->key.bytes > prefix && mu_span_eq(p->session, session) &&
            mu_span_eq(mu_span_sub(p->key, prefix, p->key.bytes - prefix), session)) {
            return true;
        }
    }
    return false;
}

static void holders_read(struct lock *l, const struct pairs *now, const struct mu_json *document,
                         struct semaphore *out)
{
    const struct mu_json *limit = mu_json_find(document, "Limit");
    const struct mu_json *holders = mu_json_find(document, "Holders");
    struct mu_json_at at = { 0 };

    if (limit != NULL && mu_json_kind_of(limit) == MU_JSON_INT && mu_json_int(limit) > 0) {
        out->limit = (uint64_t)mu_json_int(limit);
    }
    if (holders == NULL || mu_json_kind_of(holders) != MU_JSON_OBJECT) {
        return;
    }
    out->holders = mu_arena_array(&l->scratch, mu_json_count(holders) + 1, sizeof *out->holders);
    while (mu_json_next(holders, &at)) {
        struct mu_span session = mu_span_text(at.name);

        if (lives(l, now, session)) {
            out->holders[out->holders_count++] = mu_arena_span(&l->scratch, session);
        }
    }
}

/* False: what is there is no semaphore. */
static bool semaphore_read(struct lock *l, const struct pairs *now, struct semaphore *out)
{
    struct mu_span key = mu_span_text(path_of(l, ".lock"));
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *document = NULL;

    *out = (struct semaphore){ .limit = l->limit };
    for (size_t i = 0; i < now->count; i++) {
        if (mu_span_eq(now->items[i].key, key)) {
            out->pair = &now->items[i];
        }
    }
    if (out->pair == NULL) {
        return true;
    }
    bool ok = !has_conflict(out->pair, SEMAPHORE_FLAGS) &&
              mu_json_parse(&document, out->pair->value, true, &err) == MU_OK &&
              mu_json_kind_of(document) == MU_JSON_OBJECT;

    if (ok) {
        holders_read(l, now, document, out);
    }
    mu_json_free(document);
    return ok;
}

static bool is_holder(const struct lock *l, const struct semaphore *s)
{
    for (size_t i = 0; i < s->holders_count; i++) {
        if (mu_span_eq_text(s->holders[i], l->session)) {
            return true;
        }
    }
    return false;
}

/* The document with us among its holders, or without, if it is still the one that was read. */
static bool semaphore_put(struct lock *l, const struct semaphore *s, bool holds, bool *did_apply,
                          char why[MU_ERR_TEXT_MAX])
{
    struct mu_buf body = MU_BUF_NONE;
    struct mu_json_out o;

    mu_json_out_init(&o, &body, false);
    mu_json_open(&o, '{');
    mu_json_u64(&o, "Limit", s->limit);
    mu_json_key(&o, "Holders");
    mu_json_open(&o, '{');
    for (size_t i = 0; i < s->holders_count; i++) {
        if (!mu_span_eq_text(s->holders[i], l->session)) {
            mu_json_key_span(&o, s->holders[i]);
            mu_json_put_bool(&o, true);
        }
    }
    if (holds) {
        mu_json_boolean(&o, l->session, true);
    }
    mu_json_close(&o, '}');
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    const struct put p = {
        .key = path_of(l, ".lock"),
        .name = "cas",
        .value = mu_arena_printf(&l->scratch, "%" PRIu64, s->pair != NULL ? s->pair->modified : 0),
        .flags = SEMAPHORE_FLAGS,
        .body = mu_buf_span(&body),
    };
    bool ok = put(l, &p, did_apply, why);

    mu_buf_deinit(&body);
    return ok;
}

static bool contend(struct lock *l, char why[MU_ERR_TEXT_MAX])
{
    const struct put p = { path_of(l, l->session), "acquire", l->session, SEMAPHORE_FLAGS,
                           MU_SPAN_NONE };
    bool did_apply = false;

    if (!put(l, &p, &did_apply, why)) {
        return false;
    }
    (void)snprintf(why, MU_ERR_TEXT_MAX, "failed to make contender entry");
    return did_apply;
}

static bool semaphore_acquire(struct lock *l)
{
    const char *what = "Lock acquisition failed";
    char why[MU_ERR_TEXT_MAX] = "";
    bool held = false;

    if (!contend(l, why)) {
        return fail(l, what, why);
    }
    while (!held && !l->is_over) {
        mu_arena_reset(&l->scratch);
        struct semaphore s;
        struct pairs now;

        if (!look(l, path_of(l, ""), true, &now, why)) {
            return fail(l, what, why);
        }
        if (!semaphore_read(l, &now, &s)) {
            return fail(l, what, "Existing key does not match semaphore use");
        }
        if (s.limit != l->limit) {
            (void)snprintf(why, sizeof why,
                           "semaphore limit conflict (lock: %" PRIu64 ", local: %" PRIu64 ")",
                           s.limit, l->limit);
            return fail(l, what, why);
        }
        if (s.holders_count >= s.limit) {
            continue; /* the next look waits for a change */
        }
        if (!semaphore_put(l, &s, true, &held, why)) {
            return fail(l, what, why);
        }
        l->index = 0; /* somebody was faster: look at once */
    }
    return held;
}

static void semaphore_release(struct lock *l)
{
    char why[MU_ERR_TEXT_MAX];
    struct semaphore s = { .limit = 0 };
    struct pairs now;
    bool is_out = false;

    for (unsigned i = 0; i < RELEASE_TRIES && !is_out; i++) {
        l->index = 0;
        if (!look(l, path_of(l, ""), true, &now, why) || !semaphore_read(l, &now, &s) ||
            s.pair == NULL || !is_holder(l, &s)) {
            break;
        }
        (void)semaphore_put(l, &s, false, &is_out, why);
    }
    delete (l, path_of(l, l->session), NULL);
    l->index = 0;
    if (look(l, path_of(l, ""), true, &now, why) && semaphore_read(l, &now, &s) && s.pair != NULL &&
        s.holders_count == 0) {
        delete (l, path_of(l, ".lock"), &s.pair->modified);
    }
}

/* -- either ------------------------------------------------------------------------------------ */

bool lock_acquire(struct lock *l)
{
    l->index = 0;
    return l->limit > 1 ? semaphore_acquire(l) : mutex_acquire(l);
}

static bool is_held(struct lock *l, const struct pairs *now)
{
    struct semaphore s;

    if (l->limit == 1) {
        return mutex_is_held(l, now);
    }
    return semaphore_read(l, now, &s) && is_holder(l, &s);
}

bool lock_monitor(struct lock *l)
{
    char why[MU_ERR_TEXT_MAX];
    uint64_t failures = 0;

    l->index = 0;
    while (!l->is_over && !l->is_lost) {
        mu_arena_reset(&l->scratch);
        const char *key = path_of(l, l->limit > 1 ? "" : ".lock");
        struct pairs now;

        if (look(l, key, l->limit > 1, &now, why)) {
            failures = 0;
            if (!is_held(l, &now)) {
                return true;
            }
        } else if (!l->is_over && ++failures > l->retries) {
            return true;
        } else if (!l->is_over) {
            lock_pause(l, RETRY_MS);
        }
    }
    return l->is_lost;
}

void lock_release(struct lock *l)
{
    if (l->limit > 1) {
        semaphore_release(l);
    } else {
        mutex_release(l);
    }
}
