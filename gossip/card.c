/* card.c - what a member says of itself: name, address, ids, tags, in one piece of memory.
 *
 * A card never changes: who has something new to say gets another one. So it can have several
 * holders: records, and those of other cores that share a pool. A pool finds a card by its content,
 * written down as bytes.
 *
 * Cores that share one may be stepped by several threads. Who holds a card may give it to others as
 * it likes; to find one, and to be the last who leaves it, takes the lock of the pool: or one would
 * be found that another is just about to free.
 */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "core.h"

struct gossip_cards {
    pthread_mutex_t lock; /* of all below */
    struct mu_table *by_content;
    struct mu_buf key; /* scratch */
};

struct gossip_cards *gossip_cards_new(void)
{
    struct gossip_cards *pool = mu_new(sizeof *pool);

    MU_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    pool->by_content = mu_table_new();
    return pool;
}

void gossip_cards_free(struct gossip_cards *pool)
{
    if (pool == NULL) {
        return;
    }
    MU_ASSERT(mu_table_count(pool->by_content) == 0); /* else a core still runs */
    mu_table_free(pool->by_content);
    mu_buf_deinit(&pool->key);
    MU_ASSERT(pthread_mutex_destroy(&pool->lock) == 0);
    mu_free(pool);
}

size_t gossip_cards_count(const struct gossip_cards *pool)
{
    return mu_table_count(pool->by_content);
}

/* Equal cards, equal bytes: parts of a fixed size, a text with its end, and the rest. */
static struct mu_span content(struct gossip_cards *pool, const struct gossip__alive *a)
{
    struct mu_buf *key = &pool->key;

    mu_buf_clear(key);
    mu_buf_add(key, a->at.ip, sizeof a->at.ip);
    mu_buf_add_byte(key, a->at.ip_bytes);
    mu_buf_add(key, &a->at.port, sizeof a->at.port);
    mu_buf_add(key, a->node_id.b, sizeof a->node_id.b);
    mu_buf_add(key, &a->boot_id, sizeof a->boot_id);
    mu_buf_add(key, a->versions, sizeof a->versions);
    mu_buf_add(key, a->node, strlen(a->node) + 1);
    mu_buf_add_span(key, a->meta);
    return mu_buf_span(key);
}

static struct gossip__alive alive_of(const struct gossip__card *c)
{
    struct gossip__alive a = { .node = c->name,
                               .boot_id = c->boot_id,
                               .at = c->addr,
                               .meta = c->meta,
                               .node_id = c->node_id };

    memcpy(a.versions, c->versions, sizeof a.versions);
    return a;
}

/* The card, then its pairs, its name with a NUL, and its tags as they came. */
static struct gossip__card *card_new(const struct gossip__alive *a)
{
    struct mu_arena arena; /* of what the tags decode to: as many pairs as the bytes could hold */
    struct mu_pairs tags = { NULL, 0 };
    size_t name_bytes = strlen(a->node) + 1;

    mu_arena_init(&arena, 0);
    if (!gossip__tags_decode(a->meta, &arena, &tags)) {
        tags.count = 0;
    }
    size_t pairs_bytes = tags.count * sizeof *tags.items;
    struct gossip__card *c = mu_new(sizeof *c + pairs_bytes + name_bytes + a->meta.bytes);
    struct mu_pair *pairs = (struct mu_pair *)(void *)(c + 1);
    char *name = (char *)(c + 1) + pairs_bytes;
    uint8_t *meta = (uint8_t *)name + name_bytes;

    memcpy(name, a->node, name_bytes);
    if (a->meta.bytes > 0) {
        memcpy(meta, a->meta.data, a->meta.bytes);
    }
    for (size_t i = 0; i < tags.count; i++) {
        const struct mu_pair *from = &tags.items[i];

        pairs[i].key = mu_span_of(meta + (from->key.data - a->meta.data), from->key.bytes);
        pairs[i].value = mu_span_of(meta + (from->value.data - a->meta.data), from->value.bytes);
    }
    mu_arena_deinit(&arena);
    c->name = name;
    c->meta = mu_span_of(meta, a->meta.bytes);
    c->tags = (struct mu_pairs){ tags.count > 0 ? pairs : NULL, tags.count };
    c->addr = a->at;
    c->node_id = a->node_id;
    c->boot_id = a->boot_id;
    memcpy(c->versions, a->versions, sizeof c->versions);
    c->name_hash = mu_table_hash(mu_span_text(name));
    c->id_hash = mu_table_hash(mu_span_of(c->node_id.b, sizeof c->node_id.b));
    c->spread = gossip__hash_name(name);
    return c;
}

/* Only its holders are counted; the rest is as it was made. */
static struct gossip__card *ours(const struct gossip__card *c)
{
    return (struct gossip__card *)(uintptr_t)c;
}

const struct gossip__card *gossip__card_join(const struct gossip__card *c)
{
    (void)atomic_fetch_add_explicit(&ours(c)->holders, 1, memory_order_relaxed);
    return c;
}

static void lock(struct gossip_cards *pool)
{
    MU_ASSERT(pthread_mutex_lock(&pool->lock) == 0);
}

static void unlock(struct gossip_cards *pool)
{
    MU_ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
}

const struct gossip__card *gossip__card_of(struct gossip_cards *pool, const struct gossip__alive *a)
{
    if (pool == NULL) {
        return gossip__card_join(card_new(a));
    }
    lock(pool);
    struct gossip__card *c = mu_table_find(pool->by_content, content(pool, a));

    if (c == NULL) {
        c = card_new(a);
        c->pool = pool;
        (void)mu_table_put(pool->by_content, mu_buf_span(&pool->key), c);
    }
    (void)gossip__card_join(c);
    unlock(pool);
    return c;
}

bool gossip__card_says(const struct gossip__card *c, const struct gossip__alive *a)
{
    return mu_addr_eq(&c->addr, &a->at) && c->boot_id == a->boot_id &&
           mu_id_eq(&c->node_id, &a->node_id) && mu_span_eq(c->meta, a->meta) &&
           memcmp(c->versions, a->versions, sizeof c->versions) == 0 &&
           strcmp(c->name, a->node) == 0;
}

/* True: others still hold it. */
static bool leave_to_others(struct gossip__card *c)
{
    unsigned holders = atomic_load_explicit(&c->holders, memory_order_relaxed);

    while (holders > 1) {
        if (atomic_compare_exchange_weak_explicit(&c->holders, &holders, holders - 1,
                                                  memory_order_release, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Unless somebody found it meanwhile. True: it is out of its pool, and nobody's. */
static bool leave_last(struct gossip__card *c)
{
    struct gossip_cards *pool = c->pool;

    lock(pool);
    bool is_last = atomic_fetch_sub_explicit(&c->holders, 1, memory_order_acq_rel) == 1;

    if (is_last) {
        struct gossip__alive a = alive_of(c);

        MU_ASSERT(mu_table_remove(pool->by_content, content(pool, &a)) == c);
    }
    unlock(pool);
    return is_last;
}

void gossip__card_leave(const struct gossip__card *held)
{
    struct gossip__card *c = ours(held);

    if (c == NULL || leave_to_others(c)) {
        return;
    }
    if (c->pool == NULL || leave_last(c)) {
        mu_free(c);
    }
}
