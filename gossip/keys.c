/* keys.c - the rules of keys in a cluster: one member's part, and the sum of all. */
#include "gossip/keys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "keys_merge.h"

#define STATE_BYTES_MAX (64U * 1024)

static const char *const queries[] = {
    [GOSSIP_KEY_INSTALL] = "_serf_install-key",
    [GOSSIP_KEY_USE] = "_serf_use-key",
    [GOSSIP_KEY_REMOVE] = "_serf_remove-key",
    [GOSSIP_KEY_LIST] = "_serf_list-keys",
};

const char *gossip_key_query_name(enum gossip_key_op op)
{
    return queries[op];
}

bool gossip_key_op_of(const char *query_name, enum gossip_key_op *out)
{
    for (size_t i = 0; i < MU_LEN(queries); i++) {
        if (strcmp(query_name, queries[i]) == 0) {
            *out = (enum gossip_key_op)i;
            return true;
        }
    }
    return false;
}

void gossip_keys_wipe(struct gossip_keys *keys)
{
    sodium_memzero(keys, sizeof *keys);
}

/* -- keys that were removed ---------------------------------------------------------------------
 */

/* True: it was there. */
static bool retired_forget(struct gossip_keys *keys, const struct gossip_key *key)
{
    for (size_t i = 0; i < keys->retired.count; i++) {
        if (gossip_key_eq(&keys->retired.keys[i], key)) {
            gossip__retired_drop(keys, i);
            return true;
        }
    }
    return false;
}

static void retire(struct gossip_keys *keys, const struct gossip_key *key, uint64_t now_s)
{
    (void)retired_forget(keys, key);
    if (keys->retired.count == GOSSIP_KEYS_MAX) {
        gossip__retired_drop(keys, 0); /* the oldest */
    }
    keys->retired_s[keys->retired.count] = now_s;
    keys->retired.keys[keys->retired.count++] = *key;
}

bool gossip_keys_expire(struct gossip_keys *keys, bool anybody_away, uint64_t now_s)
{
    size_t before = keys->retired.count;

    for (size_t i = before; i-- > 0;) {
        uint64_t since = keys->retired_s[i];
        uint64_t patience = anybody_away ? GOSSIP_RETIRED_S : GOSSIP_RETIRED_MIN_S;

        if (since > now_s + GOSSIP_RETIRED_S || now_s > since + patience) { /* or a wild clock */
            gossip__retired_drop(keys, i);
        }
    }
    return keys->retired.count != before;
}

/* -- a change -----------------------------------------------------------------------------------
 */

/* One that was made after this one was asked for is known already. */
static enum mu_code need_latest(const struct gossip_keys *keys, const struct gossip_key_query *q,
                                const struct gossip_key *key, struct mu_err *err)
{
    uint64_t name = gossip_key_name(key);
    const struct gossip_key_mark *m = gossip__key_mark(keys, name);
    bool is_removal = q->op == GOSSIP_KEY_REMOVE;

    if (q->op == GOSSIP_KEY_USE &&
        (q->ltime < keys->used ||
         (q->ltime == keys->used && name < gossip_key_name(&keys->ring.keys[0])))) {
        return mu_fail(err, MU_CONFLICT, "a later change of the primary key was made already");
    }
    if (q->op != GOSSIP_KEY_USE && m != NULL && m->is_removed != is_removal &&
        (q->ltime < m->ltime || (q->ltime == m->ltime && m->is_removed))) {
        return mu_fail(err, MU_CONFLICT, "a later change of this key was made already");
    }
    return MU_OK;
}

static enum mu_code change(struct gossip_keys *keys, const struct gossip_key_query *q,
                           const struct gossip_key *key, struct mu_err *err)
{
    bool was_there = gossip_keyring_has(&keys->ring, key);
    enum mu_code rc = need_latest(keys, q, key, err);

    if (rc != MU_OK) {
        return rc;
    }
    switch (q->op) {
    case GOSSIP_KEY_INSTALL:
        rc = gossip_keyring_install(&keys->ring, key, err);
        if (rc == MU_OK) {
            (void)retired_forget(keys, key);
        }
        break;
    case GOSSIP_KEY_USE:
        rc = gossip_keyring_use(&keys->ring, key, err);
        keys->used = rc == MU_OK ? q->ltime : keys->used;
        break;
    case GOSSIP_KEY_REMOVE:
        rc = gossip_keyring_remove(&keys->ring, key, err);
        if (rc == MU_OK && was_there) {
            retire(keys, key, q->now_s);
        } /* once more: it is asked again when somebody did not answer */
        break;
    case GOSSIP_KEY_LIST: MU_UNREACHABLE_CODE(); break;
    }
    if (rc == MU_OK) {
        gossip__key_mark_set(keys, (struct gossip_key_mark){ gossip_key_name(key), q->ltime,
                                                             q->op == GOSSIP_KEY_REMOVE });
        gossip__keys_settle(keys); /* the primary one of before may have been removed meanwhile */
    }
    return rc;
}

static void list(const struct gossip_keys *keys, struct gossip_key_answer *out)
{
    out->is_ok = keys->ring.count > 0;
    out->ring = keys->ring;
    if (!out->is_ok) {
        (void)snprintf(out->text, sizeof out->text, "Keyring is empty (encryption not enabled)");
    }
}

bool gossip_keys_apply(struct gossip_keys *keys, const struct gossip_key_query *q,
                       struct gossip_key_answer *out)
{
    struct mu_err err = MU_ERR_NONE;
    struct gossip_key key;
    enum mu_code rc;

    memset(out, 0, sizeof *out);
    if (q->op == GOSSIP_KEY_LIST) {
        list(keys, out);
        return false;
    }
    rc = keys->ring.count == 0
             ? mu_fail(&err, MU_NOT_FOUND, "No keyring to modify (encryption not enabled)")
             : gossip_key_of(q->key, &key, &err);
    if (rc == MU_OK) {
        rc = change(keys, q, &key, &err);
        sodium_memzero(&key, sizeof key);
    }
    out->is_ok = rc == MU_OK;
    (void)snprintf(out->text, sizeof out->text, "%.*s", (int)sizeof out->text - 1, err.text);
    return rc == MU_OK;
}

/* -- beside the keyring file --------------------------------------------------------------------
 */

struct item {
    struct mu_span key;
    uint64_t removed;
};

static const struct mu_json_field item_fields[] = {
    { .name = "Key", .as = MU_JSON_AS_TEXT, .offset = offsetof(struct item, key) },
    { .name = "Removed", .as = MU_JSON_AS_UINT, .offset = offsetof(struct item, removed) },
};
static const struct mu_json_shape item_shape = { .fields = item_fields,
                                                 .fields_count = MU_LEN(item_fields),
                                                 .bytes = sizeof(struct item) };

static const struct mu_json_field mark_fields[] = {
    { .name = "Name", .as = MU_JSON_AS_UINT, .offset = offsetof(struct gossip_key_mark, name) },
    { .name = "Time", .as = MU_JSON_AS_UINT, .offset = offsetof(struct gossip_key_mark, ltime) },
    { .name = "Removed",
      .as = MU_JSON_AS_BOOL,
      .offset = offsetof(struct gossip_key_mark, is_removed) },
};
static const struct mu_json_shape mark_shape = { .fields = mark_fields,
                                                 .fields_count = MU_LEN(mark_fields),
                                                 .bytes = sizeof(struct gossip_key_mark) };

struct body {
    uint64_t primary, used, forgotten;
    struct mu_objects changes, retired;
};

static const struct mu_json_field body_fields[] = {
    { .name = "Primary", .as = MU_JSON_AS_UINT, .offset = offsetof(struct body, primary) },
    { .name = "Used", .as = MU_JSON_AS_UINT, .offset = offsetof(struct body, used) },
    { .name = "Forgotten", .as = MU_JSON_AS_UINT, .offset = offsetof(struct body, forgotten) },
    { .name = "Changes",
      .as = MU_JSON_AS_OBJECTS,
      .offset = offsetof(struct body, changes),
      .of = &mark_shape },
    { .name = "Retired",
      .as = MU_JSON_AS_OBJECTS,
      .offset = offsetof(struct body, retired),
      .of = &item_shape },
};
static const struct mu_json_shape body_shape = { .fields = body_fields,
                                                 .fields_count = MU_LEN(body_fields),
                                                 .bytes = sizeof(struct body),
                                                 .is_loose = true };

void gossip_keys_encode(const struct gossip_keys *keys, struct mu_buf *to)
{
    char text[GOSSIP_KEY_TEXT_MAX];
    struct mu_json_out o;

    mu_json_out_init(&o, to, false);
    mu_json_open(&o, '{');
    mu_json_u64(&o, "Primary", gossip__keys_primary(keys));
    mu_json_u64(&o, "Used", keys->used);
    mu_json_u64(&o, "Forgotten", keys->forgotten);
    mu_json_key(&o, "Changes");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < keys->marks_count; i++) {
        mu_json_open(&o, '{');
        mu_json_u64(&o, "Name", keys->marks[i].name);
        mu_json_u64(&o, "Time", keys->marks[i].ltime);
        mu_json_boolean(&o, "Removed", keys->marks[i].is_removed);
        mu_json_close(&o, '}');
    }
    mu_json_close(&o, ']');
    mu_json_key(&o, "Retired");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < keys->retired.count; i++) {
        gossip_key_text(&keys->retired.keys[i], text);
        mu_json_open(&o, '{');
        mu_json_text(&o, "Key", text);
        mu_json_u64(&o, "Removed", keys->retired_s[i]);
        mu_json_close(&o, '}');
    }
    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    sodium_memzero(text, sizeof text);
}

static enum mu_code item_take(const struct item *item, struct gossip_keys *out,
                              struct mu_arena *arena, struct mu_err *err)
{
    struct gossip_key key;
    enum mu_code rc =
        gossip_key_parse(mu_arena_text(arena, item->key.data, item->key.bytes), &key, err);

    if (rc == MU_OK) {
        retire(out, &key, item->removed);
        sodium_memzero(&key, sizeof key);
    }
    return rc;
}

enum mu_code gossip_keys_decode(struct mu_span text, struct gossip_keys *out, struct mu_err *err)
{
    struct body body = { .used = 0 };
    struct mu_arena arena;
    enum mu_code rc;

    if (text.bytes > STATE_BYTES_MAX) {
        return mu_fail(err, MU_TOO_BIG, "%zu bytes, at most %u are expected", text.bytes,
                       STATE_BYTES_MAX);
    }
    mu_arena_init(&arena, 0);
    rc = mu_json_read(text, &body_shape, &body, &arena, err);
    if (rc == MU_OK && body.changes.count > GOSSIP_KEY_MARKS_MAX) {
        rc = mu_fail(err, MU_TOO_BIG, "changes of %zu keys, at most %u are kept",
                     body.changes.count, GOSSIP_KEY_MARKS_MAX);
    }
    out->retired = (struct gossip_keyring){ .count = 0 };
    for (size_t i = 0; rc == MU_OK && i < body.retired.count; i++) {
        rc = item_take((const struct item *)body.retired.items + i, out, &arena, err);
    }
    if (rc == MU_OK) {
        out->used = body.primary == gossip__keys_primary(out) ? body.used : 0;
        out->forgotten = body.forgotten;
        out->marks_count = 0;
        for (size_t i = 0; i < body.changes.count; i++) {
            gossip__key_mark_set(out, ((const struct gossip_key_mark *)body.changes.items)[i]);
        }
        gossip__keys_reconcile(out);
    }
    mu_arena_deinit(&arena);
    return rc;
}

/* -- what all of them said ----------------------------------------------------------------------
 */

void gossip_key_report_init(struct gossip_key_report *r, enum gossip_key_op op, size_t nodes,
                            struct mu_arena *arena)
{
    memset(r, 0, sizeof *r);
    r->op = op;
    r->nodes = nodes;
    r->arena = arena;
    r->messages.items = mu_arena_array(arena, nodes, sizeof *r->messages.items);
}

static void count_key(struct gossip_key_report *r, const struct gossip_key *key, bool is_primary)
{
    size_t i = 0;

    while (i < r->keys_count && !gossip_key_eq(&r->keys[i].key, key)) {
        i++;
    }
    if (i == GOSSIP_KEY_REPORT_KEYS) {
        return;
    }
    r->keys[i].key = *key;
    r->keys[i].holders++;
    r->keys[i].primaries += is_primary;
    r->keys_count += i == r->keys_count;
}

void gossip_key_report_add(struct gossip_key_report *r, const char *from, struct mu_span payload)
{
    struct gossip_key_answer a;

    if (r->responses == r->nodes) {
        return;
    }
    if (!gossip_key_answer_decode(payload, &a)) {
        a = (struct gossip_key_answer){ .text = "Failed to decode key query response" };
    }
    r->responses++;
    r->errors += !a.is_ok;
    if (!a.is_ok || a.text[0] != '\0') {
        r->messages.items[r->messages.count++] = (struct mu_pair){
            mu_span_text(mu_arena_strdup(r->arena, from)),
            mu_span_text(mu_arena_strdup(r->arena, a.text)),
        };
    }
    for (size_t i = 0; i < a.ring.count && a.is_ok && r->op == GOSSIP_KEY_LIST; i++) {
        count_key(r, &a.ring.keys[i], i == 0);
    }
    gossip_keyring_wipe(&a.ring);
}

bool gossip_key_report_is_whole(const struct gossip_key_report *r)
{
    return r->responses >= r->nodes;
}

enum mu_code gossip_key_report_end(const struct gossip_key_report *r, struct mu_err *err)
{
    if (r->errors > 0) {
        return mu_fail(err, MU_CONFLICT, "%zu/%zu nodes reported failure", r->errors, r->nodes);
    }
    if (r->responses != r->nodes) {
        return mu_fail(err, MU_TIMEOUT, "%zu/%zu nodes reported success", r->responses, r->nodes);
    }
    return MU_OK;
}
