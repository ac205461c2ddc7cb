/* keys_merge.c - how members that heard of different changes of keys come to know the same.
 *
 * The keys of a cluster are a set in which the last writer wins: each key that was changed has a
 * mark, the Lamport time of the change and whether it was a removal; of two marks of one key the
 * later is right, and of a removal and another change at the same time the removal (Shapiro et al.,
 * "A comprehensive study of convergent and commutative replicated data types", 2011, 3.3.3). Which
 * key is the primary one is a register of the same kind: the later `use` is right, and at the same
 * time the greater name. The primary key is in the ring whatever its mark says: a `use` on one side
 * of a cut and a removal on the other leave nobody without a key.
 *
 * Removals are remembered as long as there is room. Up to which time some were forgotten is known:
 * what another member has from before that, and we do not, was removed.
 */
#include "keys_merge.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "base/wire.h"

#define POOL_MAX (2 * GOSSIP_KEYS_MAX)

_Static_assert(GOSSIP_KEY_MARKS_MAX > POOL_MAX, "a removal can be forgotten for any new mark");

/* -- marks --------------------------------------------------------------------------------------
 */

static size_t mark_at(const struct gossip_keys *keys, uint64_t name)
{
    size_t i = 0;

    while (i < keys->marks_count && keys->marks[i].name != name) {
        i++;
    }
    return i;
}

const struct gossip_key_mark *gossip__key_mark(const struct gossip_keys *keys, uint64_t name)
{
    size_t at = mark_at(keys, name);

    return at < keys->marks_count ? &keys->marks[at] : NULL;
}

static void mark_drop(struct gossip_keys *keys, size_t at)
{
    keys->marks[at] = keys->marks[--keys->marks_count];
}

uint64_t gossip__keys_primary(const struct gossip_keys *keys)
{
    return keys->ring.count > 0 ? gossip_key_name(&keys->ring.keys[0]) : 0;
}

static bool is_older(const struct gossip_key_mark *a, const struct gossip_key_mark *b)
{
    return a->ltime < b->ltime || (a->ltime == b->ltime && a->name < b->name);
}

static void forget_oldest_removal(struct gossip_keys *keys)
{
    uint64_t primary = gossip__keys_primary(keys);
    size_t oldest = keys->marks_count;

    for (size_t i = 0; i < keys->marks_count; i++) {
        const struct gossip_key_mark *m = &keys->marks[i];

        if (m->is_removed && m->name != primary &&
            (oldest == keys->marks_count || is_older(m, &keys->marks[oldest]))) {
            oldest = i;
        }
    }
    MU_ASSERT(oldest < keys->marks_count); /* no more keys than fit two rings are there */
    if (keys->marks[oldest].ltime > keys->forgotten) {
        keys->forgotten = keys->marks[oldest].ltime;
    }
    mark_drop(keys, oldest);
}

void gossip__key_mark_set(struct gossip_keys *keys, struct gossip_key_mark mark)
{
    size_t at = mark_at(keys, mark.name);

    if (at == GOSSIP_KEY_MARKS_MAX) {
        forget_oldest_removal(keys);
        at = keys->marks_count;
    }
    struct gossip_key_mark *m = &keys->marks[at];

    if (at == keys->marks_count) {
        keys->marks_count++;
        *m = mark;
    } else if (mark.ltime > m->ltime || (mark.ltime == m->ltime && mark.is_removed)) {
        *m = mark;
    }
}

static void ring_drop(struct gossip_keyring *ring, size_t at)
{
    MU_ASSERT(at < ring->count);
    ring->count--;
    memmove(ring->keys + at, ring->keys + at + 1, (ring->count - at) * sizeof *ring->keys);
    sodium_memzero(&ring->keys[ring->count], sizeof *ring->keys);
}

void gossip__retired_drop(struct gossip_keys *keys, size_t i)
{
    ring_drop(&keys->retired, i);
    memmove(keys->retired_s + i, keys->retired_s + i + 1,
            (keys->retired.count - i) * sizeof *keys->retired_s);
}

void gossip__keys_settle(struct gossip_keys *keys)
{
    uint64_t primary = gossip__keys_primary(keys);

    for (size_t i = keys->ring.count; i-- > 1;) {
        const struct gossip_key_mark *m =
            gossip__key_mark(keys, gossip_key_name(&keys->ring.keys[i]));

        if (m != NULL && m->is_removed) {
            ring_drop(&keys->ring, i);
        }
    }
    for (size_t i = keys->marks_count; i-- > 0;) {
        const struct gossip_key_mark *m = &keys->marks[i];

        if (m->is_removed && m->ltime <= keys->forgotten && m->name != primary) {
            mark_drop(keys, i);
        }
    }
}

static bool ring_has(const struct gossip_keyring *ring, uint64_t name)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (gossip_key_name(&ring->keys[i]) == name) {
            return true;
        }
    }
    return false;
}

void gossip__keys_reconcile(struct gossip_keys *keys)
{
    for (size_t i = keys->marks_count; i-- > 0;) {
        if (keys->marks[i].is_removed == ring_has(&keys->ring, keys->marks[i].name)) {
            mark_drop(keys, i);
        }
    }
}

/* -- the sum of it ------------------------------------------------------------------------------
 */

uint64_t gossip_keys_time(const struct gossip_keys *keys)
{
    uint64_t last = keys->used > keys->forgotten ? keys->used : keys->forgotten;

    for (size_t i = 0; i < keys->marks_count; i++) {
        last = keys->marks[i].ltime > last ? keys->marks[i].ltime : last;
    }
    return last;
}

/* Eight bytes of the hash of some numbers. */
static uint64_t hash_of(const uint64_t *numbers, size_t count)
{
    uint8_t bytes[4 * sizeof *numbers], out[crypto_generichash_BYTES_MIN];
    struct mu_wr w = mu_wr_of(bytes, sizeof bytes);

    for (size_t i = 0; i < count; i++) {
        mu_wr_u64be(&w, numbers[i]);
    }
    (void)crypto_generichash(out, sizeof out, bytes, count * sizeof *numbers, NULL, 0);
    struct mu_rd r = mu_rd_of(mu_span_of(out, sizeof out));

    return mu_rd_u64be(&r);
}

uint64_t gossip_keys_digest(const struct gossip_keys *keys)
{
    uint64_t sum = 0; /* the order of marks means nothing */

    for (size_t i = 0; i < keys->marks_count; i++) {
        const struct gossip_key_mark *m = &keys->marks[i];

        sum += hash_of((const uint64_t[]){ m->name, m->ltime, m->is_removed }, 3);
    }
    return hash_of((const uint64_t[]){ sum, keys->forgotten, keys->used,
                                       keys->used > 0 ? gossip__keys_primary(keys) : 0 },
                   4);
}

/* -- two become one -----------------------------------------------------------------------------
 */

struct pool { /* all keys that may be in the ring */
    struct gossip_key keys[POOL_MAX];
    uint64_t names[POOL_MAX];
    size_t count;
};

static void pool_add(struct pool *p, const struct gossip_keyring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        uint64_t name = gossip_key_name(&ring->keys[i]);
        size_t at = 0;

        while (at < p->count && p->names[at] != name) {
            at++;
        }
        if (at == p->count) {
            p->keys[at] = ring->keys[i];
            p->names[at] = name;
            p->count++;
        }
    }
}

static bool pool_has(const struct pool *p, uint64_t name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->names[i] == name) {
            return true;
        }
    }
    return false;
}

static uint64_t primary_of_both(const struct gossip_keys *ours, const struct gossip_keys *theirs)
{
    uint64_t mine = gossip__keys_primary(ours), other = gossip__keys_primary(theirs);
    bool is_theirs = theirs->used > ours->used ||
                     (theirs->used == ours->used && theirs->used > 0 && other > mine);

    return is_theirs ? other : mine;
}

/* Theirs into `next`, which begins as ours. */
static void take_marks(struct gossip_keys *next, const struct gossip_keys *theirs,
                       const struct pool *pool, uint64_t primary)
{
    uint64_t forgotten = next->forgotten;

    for (size_t i = 0; i < theirs->marks_count; i++) {
        const struct gossip_key_mark *m = &theirs->marks[i];
        bool is_known = gossip__key_mark(next, m->name) != NULL;
        bool is_bare = !m->is_removed && !pool_has(pool, m->name); /* without the key */

        if (!is_bare && (is_known || m->ltime > forgotten || m->name == primary)) {
            gossip__key_mark_set(next, *m);
        }
    }
}

/* Keys of ours from before the time up to which they forgot removals, and that they have not. */
static bool did_they_forget(const struct gossip_keys *ours, const struct gossip_keys *theirs,
                            const struct gossip_key *key, uint64_t name)
{
    const struct gossip_key_mark *m = gossip__key_mark(ours, name);

    return theirs->forgotten > 0 && (m == NULL || m->ltime <= theirs->forgotten) &&
           gossip__key_mark(theirs, name) == NULL && !gossip_keyring_has(&theirs->ring, key);
}

static void drop_forgotten(struct gossip_keys *next, const struct gossip_keys *theirs,
                           uint64_t primary)
{
    for (size_t i = next->ring.count; i-- > 0;) {
        const struct gossip_key *key = &next->ring.keys[i];
        uint64_t name = gossip_key_name(key);

        if (name != primary && did_they_forget(next, theirs, key, name)) {
            size_t mark = mark_at(next, name);

            if (mark < next->marks_count) {
                mark_drop(next, mark);
            }
            ring_drop(&next->ring, i);
        }
    }
}

static uint64_t time_of(const struct gossip_keys *keys, uint64_t name)
{
    const struct gossip_key_mark *m = gossip__key_mark(keys, name);

    return m != NULL ? m->ltime : 0;
}

/* More keys than fit: the one that was changed longest ago goes, at all members the same. */
static size_t least_of(const struct gossip_keys *next, const struct pool *pool, uint64_t primary)
{
    size_t least = pool->count;

    for (size_t i = 0; i < pool->count; i++) {
        struct gossip_key_mark mark = { pool->names[i], time_of(next, pool->names[i]), false };

        if (mark.name != primary &&
            (least == pool->count ||
             is_older(&mark, &(struct gossip_key_mark){
                                 pool->names[least], time_of(next, pool->names[least]), false }))) {
            least = i;
        }
    }
    return least;
}

static void pool_drop(struct pool *p, size_t at)
{
    p->count--;
    memmove(p->keys + at, p->keys + at + 1, (p->count - at) * sizeof *p->keys);
    memmove(p->names + at, p->names + at + 1, (p->count - at) * sizeof *p->names);
}

/* What of the pool stays: the primary one, keys whose mark says so, and our own without a mark. */
static void sift(struct gossip_keys *next, struct pool *pool, uint64_t primary)
{
    for (size_t i = pool->count; i-- > 0;) {
        const struct gossip_key_mark *m = gossip__key_mark(next, pool->names[i]);
        bool stays = m != NULL ? !m->is_removed : gossip_keyring_has(&next->ring, &pool->keys[i]);

        if (!stays && pool->names[i] != primary) {
            pool_drop(pool, i);
        }
    }
    while (pool->count > GOSSIP_KEYS_MAX) {
        size_t least = least_of(next, pool, primary);
        uint64_t ltime = time_of(next, pool->names[least]);

        if (ltime > 0) {
            gossip__key_mark_set(next, (struct gossip_key_mark){ pool->names[least], ltime, true });
        }
        pool_drop(pool, least);
    }
}

static void pour(const struct pool *pool, uint64_t primary, struct gossip_keyring *ring)
{
    sodium_memzero(ring, sizeof *ring);
    ring->count = 1;
    for (size_t i = 0; i < pool->count; i++) {
        if (pool->names[i] == primary) {
            ring->keys[0] = pool->keys[i];
        } else {
            ring->keys[ring->count++] = pool->keys[i];
        }
    }
}

/* What others keep aside, so do we, as far as there is room; never what is in the ring. */
static void take_retired(struct gossip_keys *next, const struct gossip_keys *theirs)
{
    for (size_t i = 0; i < theirs->retired.count; i++) {
        const struct gossip_key *key = &theirs->retired.keys[i];

        if (!gossip_keyring_has(&next->retired, key) && next->retired.count < GOSSIP_KEYS_MAX) {
            next->retired_s[next->retired.count] = theirs->retired_s[i];
            next->retired.keys[next->retired.count++] = *key;
        }
    }
    for (size_t i = next->retired.count; i-- > 0;) {
        if (gossip_keyring_has(&next->ring, &next->retired.keys[i])) {
            gossip__retired_drop(next, i);
        }
    }
}

static bool are_rings_equal(const struct gossip_keyring *a, const struct gossip_keyring *b)
{
    bool equal = a->count == b->count;

    for (size_t i = 0; equal && i < a->count; i++) {
        equal = gossip_key_eq(&a->keys[i], &b->keys[i]);
    }
    return equal;
}

bool gossip_keys_take(struct gossip_keys *keys, const struct gossip_keys *theirs)
{
    struct gossip_keys next = *keys;
    struct pool pool = { .count = 0 };

    if (keys->ring.count == 0 || theirs->ring.count == 0) {
        return false; /* nobody is made to speak in clear, or to seal who was not meant to */
    }
    uint64_t primary = primary_of_both(keys, theirs);

    drop_forgotten(&next, theirs, primary);
    pool_add(&pool, &next.ring);
    pool_add(&pool, &theirs->ring);
    take_marks(&next, theirs, &pool, primary);
    sift(&next, &pool, primary);
    pour(&pool, primary, &next.ring);
    next.used = theirs->used > keys->used ? theirs->used : keys->used;
    next.forgotten = theirs->forgotten > next.forgotten ? theirs->forgotten : next.forgotten;
    gossip__keys_settle(&next);
    take_retired(&next, theirs);

    bool is_new = gossip_keys_digest(&next) != gossip_keys_digest(keys) ||
                  !are_rings_equal(&next.ring, &keys->ring);

    if (is_new) {
        *keys = next;
    }
    gossip_keys_wipe(&next);
    sodium_memzero(&pool, sizeof pool);
    return is_new;
}
