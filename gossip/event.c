/* event.c - user events: sent once, delivered once to each process, forgotten after 512 (13.6).
 *
 * An event carries the Lamport time of its sender. The ring remembers those of the last 512 times,
 * by a hash each, so that what comes again by gossip or push/pull is neither delivered nor passed
 * on; the bytes stay with it, for members that were away.
 */
#include <string.h>

#include <sodium.h>

#include "base/crc.h"
#include "base/mem.h"
#include "core.h"

#define SUM_INTERVALS 10
#define SAME_TIME_MAX 64 /* different events of one Lamport time: more are dropped */

_Static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "a hash is one word");

/* -- the ring ----------------------------------------------------------------------------------
 */

static struct gossip__event_slot *slot_of(struct gossip *g, uint64_t ltime)
{
    if (g->events.slots == NULL) {
        g->events.slots = mu_new_array(GOSSIP__EVENT_SLOTS, sizeof *g->events.slots);
    }
    return &g->events.slots[ltime % GOSSIP__EVENT_SLOTS];
}

static void slot_clear(struct gossip__event_slot *slot)
{
    for (size_t i = 0; i < slot->count; i++) {
        mu_free(slot->items[i]);
    }
    mu_free(slot->items);
    *slot = (struct gossip__event_slot){ .count = 0 };
}

static struct mu_span payload_of(const struct gossip__heard_event *e)
{
    return mu_span_of(e->bytes + e->name_bytes + 1, e->payload_bytes);
}

/* Of a 64-bit hash with a key of this process two different events are never equal by chance. */
static uint64_t hash_of(const struct gossip *g, const struct gossip__user_event *e)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint8_t both[2 * crypto_shorthash_BYTES];
    uint64_t hash;

    (void)crypto_shorthash(both, (const uint8_t *)e->name, strlen(e->name), g->events.hash_key);
    (void)crypto_shorthash(both + sizeof out, e->payload.data, e->payload.bytes,
                           g->events.hash_key);
    (void)crypto_shorthash(out, both, sizeof both, g->events.hash_key);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

static bool is_known(const struct gossip__event_slot *slot, uint64_t hash)
{
    for (size_t i = 0; i < slot->count; i++) {
        if (slot->items[i]->hash == hash) {
            return true;
        }
    }
    return false;
}

static void remember(const struct gossip *g, struct gossip__event_slot *slot,
                     const struct gossip__user_event *e, uint64_t hash)
{
    size_t name_bytes = strlen(e->name);
    struct gossip__heard_event *item = mu_new(sizeof *item + name_bytes + 1 + e->payload.bytes);

    item->hash = hash;
    item->heard_ms = g->now_ms;
    item->coalesce = e->coalesce;
    item->name_bytes = (uint32_t)name_bytes;
    item->payload_bytes = (uint32_t)e->payload.bytes;
    memcpy(item->bytes, e->name, name_bytes + 1);
    if (e->payload.bytes > 0) {
        memcpy(item->bytes + name_bytes + 1, e->payload.data, e->payload.bytes);
    }
    slot->items = mu_grow(slot->items, (slot->count + 1) * sizeof(struct gossip__heard_event *));
    slot->items[slot->count++] = item;
}

/* -- in ----------------------------------------------------------------------------------------
 */

static void deliver(struct gossip *g, const struct gossip__user_event *e)
{
    gossip__deliver_event(g, &(struct gossip_user_event){
                                 .ltime = e->ltime,
                                 .name = mu_arena_strdup(&g->step, e->name),
                                 .payload = mu_arena_span(&g->step, e->payload),
                                 .coalesce = e->coalesce,
                             });
}

bool gossip__event_take(struct gossip *g, const struct gossip__user_event *e)
{
    if (!gossip__witness(g, &g->event_time, e->ltime) || e->ltime < g->events.min_time) {
        return false;
    }
    if (g->event_time > GOSSIP__EVENT_SLOTS && e->ltime < g->event_time - GOSSIP__EVENT_SLOTS) {
        gossip__say(g, GOSSIP__TOPIC_OLD_EVENT, MU_WARN,
                    "serf: received old event %s from time %llu (current: %llu)", e->name,
                    (unsigned long long)e->ltime, (unsigned long long)g->event_time);
        return false;
    }
    struct gossip__event_slot *slot = slot_of(g, e->ltime);
    uint64_t hash = hash_of(g, e);

    if (slot->count > 0 && slot->ltime != e->ltime) {
        slot_clear(slot);
    }
    slot->ltime = e->ltime;
    if (is_known(slot, hash)) {
        return false;
    }
    if (slot->count == SAME_TIME_MAX) {
        gossip__count(g, GOSSIP_COUNT_EVENTS_DROPPED);
        return false;
    }
    remember(g, slot, e, hash);
    gossip__count(g, GOSSIP_COUNT_EVENTS);
    deliver(g, e);
    return true;
}

void gossip__on_user_event(struct gossip *g, const struct gossip__user_event *e,
                           struct mu_span bytes, const struct gossip__source *src)
{
    if (gossip__event_take(g, e)) {
        (void)gossip__rumor_add(g, GOSSIP__QUEUE_EVENT, NULL, bytes, src->sender);
    }
}

/* -- out ---------------------------------------------------------------------------------------
 */

enum mu_code gossip_event_check(const struct gossip *g, const char *name, struct mu_span payload,
                                struct mu_err *err)
{
    struct mu_arena arena;
    struct gossip__part part = {
        .kind = GOSSIP__PART_EVENT,
        .event = { .ltime = g->event_time, .name = name, .payload = payload, .coalesce = true }
    };
    size_t room = gossip__part_room(g);
    unsigned limit = g->events.size_limit < room ? g->events.size_limit : (unsigned)room;

    enum mu_code rc = gossip__text_check(name, GOSSIP__EVENT_NAME_MAX, "user event name", err);

    if (rc != MU_OK) {
        return rc;
    }
    if (strlen(name) + payload.bytes > limit) {
        return mu_fail(err, MU_TOO_BIG,
                       "user event exceeds configured limit of %u bytes before encoding", limit);
    }
    mu_arena_init(&arena, 0);
    size_t bytes = gossip__part_encode(&part, &arena).bytes;

    mu_arena_deinit(&arena);
    return bytes <= limit
               ? MU_OK
               : mu_fail(err, MU_TOO_BIG,
                         "encoded user event exceeds configured limit of %u bytes after encoding",
                         limit);
}

void gossip__on_send_event(struct gossip *g, const char *name, struct mu_span payload,
                           bool coalesce)
{
    struct gossip__part part = {
        .kind = GOSSIP__PART_EVENT,
        .event = { .ltime = g->event_time, .name = name, .payload = payload, .coalesce = coalesce }
    };

    g->event_time++;
    if (gossip__event_take(g, &part.event)) {
        (void)gossip__rumor_add(g, GOSSIP__QUEUE_EVENT, NULL, gossip__part_encode(&part, &g->step),
                                NULL);
    }
}

/* -- push/pull ---------------------------------------------------------------------------------
 */

bool gossip__event_next(const struct gossip *g, struct gossip__event_at *at,
                        struct gossip__user_event *out)
{
    while (g->events.slots != NULL && at->slot < GOSSIP__EVENT_SLOTS) {
        const struct gossip__event_slot *slot = &g->events.slots[at->slot];

        if (at->item < slot->count) {
            const struct gossip__heard_event *e = slot->items[at->item++];

            *out = (struct gossip__user_event){ .ltime = slot->ltime,
                                                .name = (const char *)e->bytes,
                                                .payload = payload_of(e),
                                                .coalesce = e->coalesce };
            at->heard_ms = e->heard_ms;
            return true;
        }
        at->slot++;
        at->item = 0;
    }
    return false;
}

/* Over what was heard in the time of ten exchanges: equal where nobody missed one, but for those
 * just passing the edge. Of two exchanges was too little for a member that is cut off now and then;
 * more, and whoever came later differs for longer. */
uint64_t gossip__event_sum(const struct gossip *g)
{
    uint64_t since = SUM_INTERVALS * gossip__sync_interval(&g->profile, g->list_count);
    struct gossip__event_at at = { .slot = 0 };
    struct gossip__user_event e;
    uint64_t sum = 0;

    while (gossip__event_next(g, &at, &e)) {
        uint64_t crc = (uint64_t)mu_crc32c(0, e.name, strlen(e.name)) << 32 |
                       mu_crc32c(0, e.payload.data, e.payload.bytes);

        if (g->now_ms - at.heard_ms < since) {
            sum += (crc ^ e.ltime) * 0x9e3779b97f4a7c15ULL;
        }
    }
    return sum;
}

/* A join that wants nothing old: what was sent before now is not for us. */
void gossip__event_forget_older(struct gossip *g, uint64_t event_ltime)
{
    if (event_ltime > g->events.min_time) {
        g->events.min_time = event_ltime;
    }
}

void gossip__event_init(struct gossip *g, const struct gossip_options *o)
{
    struct mu_rand rand;

    mu_rand_seed(&rand, ~o->seed);
    for (size_t i = 0; i < sizeof g->events.hash_key; i += sizeof(uint64_t)) {
        uint64_t word = mu_rand_u64(&rand);

        memcpy(g->events.hash_key + i, &word, sizeof word);
    }
    g->events.min_time = o->event_time;
    g->events.size_limit = o->event_size_limit > 0 ? o->event_size_limit : GOSSIP_EVENT_BYTES;
}

void gossip__event_free_all(struct gossip *g)
{
    for (size_t i = 0; g->events.slots != NULL && i < GOSSIP__EVENT_SLOTS; i++) {
        slot_clear(&g->events.slots[i]);
    }
    mu_free(g->events.slots);
}
