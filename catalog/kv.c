/* kv.c - Consul's key space on the engine: check-and-set, locks, no-ops, indexes
 * (spec/http-api.md 6).
 *
 * What a write that changes nothing leaves alone is everything: it has a log index of its own, but
 * no revision, no version and no index that anybody could see.
 */
#include "base/id.h"
#include "mvcc.h"

/* Keys of a recursive deletion that are held in memory at a time. */
#define DELETE_CHUNK 256

static void key_changed(struct catalog *c, struct mu_span key)
{
    catalog__touch(c, COUNTER_KVS);
    catalog__changed(c, CATALOG_KEY, key);
}

/* 0 asks for a key that does not exist, anything else for the index of its last change. */
static bool cas_matches(const struct mvcc_key *k, uint64_t cas)
{
    return k->is_live ? cas != 0 && cas == catalog__mvcc_index(k) : cas == 0;
}

/* Unless nothing would change. */
static enum mu_code write_key(struct catalog *c, const struct mvcc_key *was, struct mu_span key,
                              struct mu_span bytes, const struct mvcc_attributes *attributes,
                              struct mu_err *err)
{
    struct mvcc_value value = catalog__mvcc_value(bytes);
    bool is_same = false;
    enum mu_code rc = catalog__mvcc_is_same(c, was, &value, attributes, &is_same, err);

    if (rc != MU_OK || is_same) {
        return rc;
    }
    key_changed(c, key);
    return catalog__mvcc_put(c, was, key, &value, attributes, err);
}

enum mu_code catalog__kv_set(CATALOG_APPLY_ARGS)
{
    const struct command_kv_set *set = &command->kv_set;
    struct mvcc_key was;

    if (set->key.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Missing key name");
        return MU_OK;
    }
    enum mu_code rc = catalog__mvcc_find(c, set->key, &was, err);

    if (rc != MU_OK || (set->has_cas && !cas_matches(&was, set->cas))) {
        return rc;
    }
    /* The lock is advisory: who writes without it leaves it where it is. */
    struct mvcc_attributes attributes = catalog__mvcc_lock(&was);

    attributes.flags = set->flags;
    result->did_apply = true;
    return write_key(c, &was, set->key, set->value, &attributes, err);
}

/* -- locks ------------------------------------------------------------------------------------- */

/* Take the lock: free, or held by this session already, and not in its delay. */
static enum mu_code acquire(struct catalog *c, const struct command_kv_lock *lock,
                            const struct mvcc_key *was, struct mvcc_attributes *attributes,
                            struct catalog_result *result, struct mu_err *err)
{
    struct mu_span id = mu_span_of(lock->session.b, sizeof lock->session.b);
    char text[MU_ID_TEXT_BYTES + 1];
    struct row session;
    bool found = false;
    bool is_delayed = false;
    enum mu_code rc = catalog__session_find(c, &lock->session, &session, &found, err);

    if (rc == MU_OK && !found) {
        mu_id_text(&lock->session, text);
        catalog__refuse(result, MU_NOT_FOUND, "invalid session \"%s\"", text);
        return MU_OK;
    }
    if (rc == MU_OK) {
        rc = catalog__lock_delay_holds(c, lock->key, &is_delayed, err);
    }
    *attributes = catalog__mvcc_lock(was);
    if (rc != MU_OK || is_delayed ||
        (attributes->session.bytes > 0 && !mu_span_eq(attributes->session, id))) {
        return rc;
    }
    attributes->lock_index += attributes->session.bytes == 0;
    attributes->session = id;
    result->did_apply = true;
    return MU_OK;
}

/* Give it back: only its holder can. */
static void release(const struct command_kv_lock *lock, const struct mvcc_key *was,
                    struct mvcc_attributes *attributes, struct catalog_result *result)
{
    *attributes = catalog__mvcc_lock(was);
    result->did_apply =
        mu_span_eq(attributes->session, mu_span_of(lock->session.b, sizeof lock->session.b));
    attributes->session = MU_SPAN_NONE;
}

enum mu_code catalog__kv_lock(CATALOG_APPLY_ARGS)
{
    const struct command_kv_lock *lock = &command->kv_lock;
    struct mvcc_attributes attributes;
    struct mvcc_key was;

    if (lock->key.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Missing key name");
        return MU_OK;
    }
    enum mu_code rc = catalog__mvcc_find(c, lock->key, &was, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (lock->is_release) {
        release(lock, &was, &attributes, result);
    } else {
        rc = acquire(c, lock, &was, &attributes, result, err);
    }
    if (rc != MU_OK || !result->did_apply) {
        return rc;
    }
    attributes.flags = lock->flags;
    return write_key(c, &was, lock->key, lock->value, &attributes, err);
}

enum mu_code catalog__kv_give_back(struct catalog *c, const struct mvcc_key *held, bool deletes,
                                   struct mu_err *err)
{
    struct mu_span key = held->row.v[CUR_KEY].bytes;
    struct mvcc_attributes attributes = catalog__mvcc_lock(held);
    struct mvcc_value value;
    struct mu_arena arena; /* of one value: a session may hold many that are large */

    key_changed(c, key);
    if (deletes) {
        catalog__touch(c, COUNTER_TOMBSTONES);
        return catalog__mvcc_delete(c, held, err);
    }
    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog__mvcc_read(c, held, &arena, &value, &attributes.flags, err);

    attributes.session = MU_SPAN_NONE;
    rc = rc == MU_OK ? catalog__mvcc_put(c, held, key, &value, &attributes, err) : rc;
    mu_arena_deinit(&arena);
    return rc;
}

/* -- deleting ---------------------------------------------------------------------------------- */

static enum mu_code delete_one(struct catalog *c, const struct command_kv_delete *d,
                               struct catalog_result *result, struct mu_err *err)
{
    struct mvcc_key was;
    enum mu_code rc = catalog__mvcc_find(c, d->key, &was, err);

    if (rc != MU_OK) {
        return rc;
    }
    /* an absent key is as good as deleted, whatever index was asked for */
    result->did_apply = !was.is_live || !d->has_cas || cas_matches(&was, d->cas);
    if (!was.is_live || !result->did_apply) {
        return MU_OK;
    }
    key_changed(c, d->key);
    catalog__touch(c, COUNTER_TOMBSTONES);
    return catalog__mvcc_delete(c, &was, err);
}

typedef enum mu_code each_key_fn(struct catalog *c, const struct mvcc_key *k, uint64_t *count,
                                 struct mu_err *err);

static enum mu_code count_key(struct catalog *c, const struct mvcc_key *k, uint64_t *count,
                              struct mu_err *err)
{
    (void)c;
    (void)k;
    (void)err;
    (*count)++;
    return MU_OK;
}

static enum mu_code delete_key(struct catalog *c, const struct mvcc_key *k, uint64_t *count,
                               struct mu_err *err)
{
    (*count)++;
    return catalog__mvcc_delete(c, k, err);
}

/* Each live key below a prefix, in chunks: a statement that walks a table while another one writes
 * to it would be at SQLite's mercy, and so would memory. */
static enum mu_code each_below(struct catalog *c, struct mu_span prefix, each_key_fn *each,
                               uint64_t *count, struct mu_err *err)
{
    struct mu_span from = prefix;
    struct mu_arena arenas[2]; /* a chunk begins at the last key of the one before */
    struct mvcc_keys keys = { NULL, DELETE_CHUNK };
    enum mu_code rc = MU_OK;

    mu_arena_init(&arenas[0], 0);
    mu_arena_init(&arenas[1], 0);
    for (size_t chunk = 0; rc == MU_OK && keys.count == DELETE_CHUNK; chunk++) {
        struct mu_arena *arena = &arenas[chunk % 2];

        mu_arena_reset(arena);
        rc = catalog__mvcc_range(c, prefix, from, DELETE_CHUNK, arena, &keys, err);
        for (size_t i = 0; rc == MU_OK && i < keys.count; i++) {
            rc = each(c, &keys.items[i], count, err);
        }
        if (rc == MU_OK && keys.count == DELETE_CHUNK) { /* the next key: this one and a zero */
            struct mu_span last = keys.items[keys.count - 1].row.v[CUR_KEY].bytes;

            from = mu_span_of(mu_arena_text(arena, last.data, last.bytes), last.bytes + 1);
        }
    }
    mu_arena_deinit(&arenas[0]);
    mu_arena_deinit(&arenas[1]);
    return rc;
}

static enum mu_code delete_below(struct catalog *c, const struct command_kv_delete *d,
                                 struct catalog_result *result, struct mu_err *err)
{
    uint64_t count = 0;
    uint64_t deleted = 0;

    if (d->has_cas) {
        catalog__refuse(result, MU_INVALID,
                        "Conflicting flags: cas=%llu&recurse=", (unsigned long long)d->cas);
        return MU_OK;
    }
    enum mu_code rc = each_below(c, d->key, count_key, &count, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (count > MVCC_CHANGES_MAX) {
        catalog__refuse(result, MU_TOO_BIG, "%llu keys in one deletion, at most %u are allowed",
                        (unsigned long long)count, MVCC_CHANGES_MAX);
        return MU_OK;
    }
    result->did_apply = true;
    if (count == 0) {
        return MU_OK;
    }
    catalog__touch(c, COUNTER_KVS);
    catalog__touch(c, COUNTER_TOMBSTONES);
    catalog__changed(c, CATALOG_PREFIX, d->key);
    rc = each_below(c, d->key, delete_key, &deleted, err);
    MU_ASSERT(rc != MU_OK || deleted == count);
    return rc;
}

enum mu_code catalog__kv_delete(CATALOG_APPLY_ARGS)
{
    const struct command_kv_delete *d = &command->kv_delete;

    if (d->recurse) {
        return delete_below(c, d, result, err);
    }
    if (d->key.bytes == 0) {
        catalog__refuse(result, MU_INVALID, "Missing key name");
        return MU_OK;
    }
    return delete_one(c, d, result, err);
}
