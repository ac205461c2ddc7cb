/* index.c - where members lie, and where they are found: by name, by id, in the order they came.
 *
 * Records lie in blocks, each in a line of the cache of its own, and do not move. Where they are
 * found are tables of pointers, since a record must not cost more than it says: linear probing in a
 * power of two of slots, at most three quarters taken, and what is removed closes its gap, so that
 * there are no stones to trip over. The hashes are keyed per process and lie in the cards; the bits
 * of a slot that an address in front of a line of the cache leaves free hold as many of the hash,
 * so that a search looks at hardly any record but the one it finds. Removal is rare (a reap after
 * days), and may cost as much as there are members.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define SLOTS_MIN   8
#define LINE_BYTES  64
#define TAG_BITS    6  /* of the hash; those that the place in the table does not come from */
#define RECORDS_MIN 16 /* in the first block; the next ones are twice as large each, */
#define DOUBLINGS   6  /* up to this often */

_Static_assert(1U << TAG_BITS == LINE_BYTES, "free below the address of a record");

/* -- records ------------------------------------------------------------------------------------
 */

static void unused_put(struct gossip__members *all, struct gossip__member *m)
{
    struct gossip__unused *free = (struct gossip__unused *)(void *)m;

    free->next = all->unused;
    all->unused = free;
}

static void block_add(struct gossip__members *all)
{
    size_t doublings = all->blocks_count < DOUBLINGS ? all->blocks_count : DOUBLINGS;
    size_t records = (size_t)RECORDS_MIN << doublings;
    size_t bytes = records * sizeof(struct gossip__member);
    struct gossip__member *block = aligned_alloc(LINE_BYTES, bytes);

    MU_ASSERT(block != NULL);
    memset(block, 0, bytes);
    all->blocks = mu_grow(all->blocks, (all->blocks_count + 1) * sizeof(struct gossip__member *));
    all->blocks[all->blocks_count++] = block;
    for (size_t i = records; i-- > 0;) {
        unused_put(all, &block[i]);
    }
}

static struct gossip__member *record_new(struct gossip__members *all)
{
    if (all->unused == NULL) {
        block_add(all);
    }
    struct gossip__unused *free = all->unused;
    struct gossip__member *m = (struct gossip__member *)(void *)free;

    all->unused = free->next;
    free->next = NULL;
    return m;
}

/* Without a card: whoever still looks at it does not get far. */
void gossip__members_give_back(struct gossip__members *all, struct gossip__member *m)
{
    *m = (struct gossip__member){ .card = NULL };
    unused_put(all, m);
}

typedef uint32_t hash_fn(const struct gossip__member *m);

static uint32_t name_hash(const struct gossip__member *m)
{
    return m->card->name_hash;
}

static uint32_t id_hash(const struct gossip__member *m)
{
    return m->card->id_hash;
}

/* -- slots --------------------------------------------------------------------------------------
 */

static uintptr_t slot_of(struct gossip__member *m, uint32_t hash)
{
    return (uintptr_t)m | hash >> (32 - TAG_BITS);
}

static struct gossip__member *member_in(uintptr_t slot)
{
    return (struct gossip__member *)(slot & ~(uintptr_t)(LINE_BYTES - 1));
}

static bool may_hold(uintptr_t slot, uint32_t hash)
{
    return (slot & (LINE_BYTES - 1)) == hash >> (32 - TAG_BITS);
}

static size_t home(const struct gossip__slots *t, uint32_t hash)
{
    return hash & (t->room - 1);
}

static size_t after(const struct gossip__slots *t, size_t at)
{
    return (at + 1) & (t->room - 1);
}

static void slots_fill(struct gossip__slots *t, struct gossip__member *m, hash_fn *hash)
{
    size_t at = home(t, hash(m));

    while (t->slots[at] != 0) {
        at = after(t, at);
    }
    t->slots[at] = slot_of(m, hash(m));
    t->count++;
}

static void slots_add(struct gossip__slots *t, struct gossip__member *m, hash_fn *hash)
{
    if ((t->count + 1) * 4 > t->room * 3) {
        struct gossip__slots old = *t;

        t->room = old.room > 0 ? 2 * old.room : SLOTS_MIN;
        t->slots = mu_new_array(t->room, sizeof *t->slots);
        t->count = 0;
        for (size_t i = 0; i < old.room; i++) {
            if (old.slots[i] != 0) {
                slots_fill(t, member_in(old.slots[i]), hash);
            }
        }
        mu_free(old.slots);
    }
    slots_fill(t, m, hash);
}

/* Those behind the gap that were pushed past it move up: a search must not end at it. */
static void slots_remove(struct gossip__slots *t, const struct gossip__member *m, hash_fn *hash)
{
    size_t gap = home(t, hash(m));

    while (member_in(t->slots[gap]) != m) {
        MU_ASSERT(t->slots[gap] != 0);
        gap = after(t, gap);
    }
    for (size_t at = after(t, gap); t->slots[at] != 0; at = after(t, at)) {
        size_t away = (at - home(t, hash(member_in(t->slots[at])))) & (t->room - 1);

        if (away >= ((at - gap) & (t->room - 1))) {
            t->slots[gap] = t->slots[at];
            gap = at;
        }
    }
    t->slots[gap] = 0;
    t->count--;
}

/* -- members ------------------------------------------------------------------------------------
 */

static struct gossip__member *named(const struct gossip__members *all, const char *name,
                                    uint32_t hash)
{
    const struct gossip__slots *t = &all->names;

    for (size_t at = t->room > 0 ? home(t, hash) : 0; t->room > 0 && t->slots[at] != 0;
         at = after(t, at)) {
        struct gossip__member *m = member_in(t->slots[at]);

        if (may_hold(t->slots[at], hash) && strcmp(m->card->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}

struct gossip__member *gossip__members_named(const struct gossip__members *all, const char *name)
{
    return named(all, name, all->names.room > 0 ? mu_table_hash(mu_span_text(name)) : 0);
}

const uintptr_t *gossip__members_place(const struct gossip__members *all, uint32_t name_hash)
{
    return all->names.room > 0 ? &all->names.slots[home(&all->names, name_hash)] : NULL;
}

const struct gossip__member *gossip__members_at(const uintptr_t *place)
{
    return place != NULL ? member_in(*place) : NULL;
}

static uintptr_t *id_slot(const struct gossip__members *all, const struct mu_id *id, uint32_t hash)
{
    const struct gossip__slots *t = &all->ids;

    for (size_t at = t->room > 0 ? home(t, hash) : 0; t->room > 0 && t->slots[at] != 0;
         at = after(t, at)) {
        if (may_hold(t->slots[at], hash) && mu_id_eq(&member_in(t->slots[at])->card->node_id, id)) {
            return &t->slots[at];
        }
    }
    return NULL;
}

struct gossip__member *gossip__members_with_id(const struct gossip__members *all,
                                               const struct mu_id *id)
{
    uint32_t hash = all->ids.room > 0 ? mu_table_hash(mu_span_of(id->b, sizeof id->b)) : 0;
    const uintptr_t *slot = id_slot(all, id, hash);

    return slot != NULL ? member_in(*slot) : NULL;
}

void gossip__members_id_set(struct gossip__members *all, struct gossip__member *m)
{
    uintptr_t *slot = id_slot(all, &m->card->node_id, m->card->id_hash);

    if (slot != NULL) {
        *slot = slot_of(m, m->card->id_hash);
    } else {
        slots_add(&all->ids, m, id_hash);
    }
}

void gossip__members_id_unset(struct gossip__members *all, struct gossip__member *m)
{
    const uintptr_t *slot = id_slot(all, &m->card->node_id, m->card->id_hash);

    if (slot != NULL && member_in(*slot) == m) {
        slots_remove(&all->ids, m, id_hash);
    }
}

void gossip__members_room(struct gossip__member ***items, size_t count, size_t *room)
{
    if (count == *room) {
        *room += *room / 8 + 8;
        *items = mu_grow(*items, *room * sizeof(struct gossip__member *));
    }
}

struct gossip__member *gossip__members_add(struct gossip__members *all,
                                           const struct gossip__card *card)
{
    MU_ASSERT(named(all, card->name, card->name_hash) == NULL);
    struct gossip__member *m = record_new(all);

    m->card = card;
    gossip__members_room(&all->items, all->count, &all->room);
    all->items[all->count++] = m;
    all->changes++;
    slots_add(&all->names, m, name_hash);
    return m;
}

void gossip__members_remove(struct gossip__members *all, struct gossip__member *m)
{
    size_t at = 0;

    while (at < all->count && all->items[at] != m) {
        at++;
    }
    MU_ASSERT(at < all->count);
    all->changes++;
    all->count--;
    memmove(all->items + at, all->items + at + 1,
            (all->count - at) * sizeof(struct gossip__member *));
    gossip__members_id_unset(all, m);
    slots_remove(&all->names, m, name_hash);
}

void gossip__members_free(struct gossip__members *all)
{
    for (size_t i = 0; i < all->blocks_count; i++) {
        mu_free(all->blocks[i]);
    }
    mu_free(all->blocks);
    mu_free(all->items);
    mu_free(all->names.slots);
    mu_free(all->ids.slots);
}
