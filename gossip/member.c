/* member.c - the table of members, and the only place where one changes state.
 *
 *             no ack                     deadline, or somebody's verdict
 *   ALIVE ---------------> SUSPECT -------------------------------------> DEAD
 *     ^ <- newer incarnation -'                                            |
 *     '----------------- return with a newer incarnation ------------------'
 *   GONE: from any of them, when the member itself says so. Back as from DEAD.
 *
 * A record begins as DEAD at incarnation 0. The detector lists it while it lives and a while after;
 * unlisted it stays as long as users see it, and so serves as the tombstone of 4.6: a delayed
 * alive meets the incarnation that is stored here.
 */
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define BIT(state) (1U << (state))
#define SLOTS      64
#define DRAWS      8 /* for each member wanted, before all are walked */

static const struct {
    const char *text;
    unsigned next; /* bit set of the states that may follow */
} states[] = {
    // clang-format off
    [GOSSIP__ALIVE]   = { "alive",   BIT(GOSSIP__SUSPECT) | BIT(GOSSIP__DEAD) | BIT(GOSSIP__GONE) },
    [GOSSIP__SUSPECT] = { "suspect", BIT(GOSSIP__ALIVE) | BIT(GOSSIP__DEAD) | BIT(GOSSIP__GONE) },
    [GOSSIP__DEAD]    = { "dead",    BIT(GOSSIP__ALIVE) | BIT(GOSSIP__GONE) },
    [GOSSIP__GONE]    = { "left",    BIT(GOSSIP__ALIVE) },
}; // clang-format on

/* -- find, add, drop ----------------------------------------------------------------------------
 */

struct gossip__member *gossip__member_find(const struct gossip *g, const char *name)
{
    return mu_table_find(g->members, mu_span_text(name));
}

struct gossip__member *gossip__member_by_id(const struct gossip *g, const struct mu_id *id)
{
    return mu_id_is_none(id) ? NULL : mu_table_find(g->ids, mu_span_of(id->b, sizeof id->b));
}

struct gossip__member *gossip__member_add(struct gossip *g, const char *name)
{
    struct gossip__member *m = mu_new(sizeof *m);

    m->name = mu_strdup(name);
    m->state = GOSSIP__DEAD;
    m->state_ms = g->now_ms;
    m->slot = SLOTS;
    m->status = GOSSIP_STATUS_NONE;
    MU_ASSERT(mu_table_put(g->members, mu_span_text(m->name), m) == NULL);
    return m;
}

void gossip__member_free(struct gossip__member *m)
{
    gossip__claim_free(m->claim);
    mu_free(m->replay);
    mu_free(m->distance);
    mu_buf_deinit(&m->meta);
    mu_free(m->tags.items);
    mu_free(m->name);
    mu_free(m);
}

static void id_forget(struct gossip *g, struct gossip__member *m)
{
    if (gossip__member_by_id(g, &m->node_id) == m) {
        (void)mu_table_remove(g->ids, mu_span_of(m->node_id.b, sizeof m->node_id.b));
    }
}

void gossip__member_drop(struct gossip *g, struct gossip__member *m)
{
    MU_ASSERT(m != g->self);
    MU_ASSERT(!gossip__member_is_live(m));
    gossip__member_unlist(g, m);
    gossip__probe_forget(g, m);
    gossip__rumor_forget(g, m);
    gossip__record_forget(g, m);
    id_forget(g, m);
    MU_ASSERT(mu_table_remove(g->members, mu_span_text(m->name)) == m);
    if (g->graveyard_count == g->graveyard_room) {
        g->graveyard_room = g->graveyard_room * 2 + 4;
        g->graveyard = mu_grow(g->graveyard, g->graveyard_room * sizeof(struct gossip__member *));
    }
    g->graveyard[g->graveyard_count++] = m;
}

/* -- the list of the detector -------------------------------------------------------------------
 */

static void slot_take(struct gossip *g, struct gossip__member *m)
{
    m->slot = SLOTS;
    if (~g->slots != 0) {
        m->slot = (unsigned)__builtin_ctzll(~g->slots);
        g->slots |= 1ULL << m->slot;
    }
}

/* At a random place: at the end its first probe would come late (5.1). */
void gossip__member_list(struct gossip *g, struct gossip__member *m)
{
    if (m->is_listed) {
        return;
    }
    if (g->list_count == g->list_room) {
        g->list_room = g->list_room * 2 + 8;
        g->list = mu_grow(g->list, g->list_room * sizeof(struct gossip__member *));
    }
    size_t at = (size_t)mu_rand_below(&g->rand, g->list_count + 1);

    if (at < g->list_count) {
        g->list[g->list_count] = g->list[at];
        g->list[g->list_count]->index = g->list_count;
    }
    g->list[at] = m;
    m->index = at;
    m->is_listed = true;
    g->list_count++;
    slot_take(g, m);
    g->is_alive_count_new = true; /* the scale of section 6 counts records */
}

void gossip__member_unlist(struct gossip *g, struct gossip__member *m)
{
    if (!m->is_listed) {
        return;
    }
    MU_ASSERT(g->list[m->index] == m);
    g->list[m->index] = g->list[--g->list_count];
    g->list[m->index]->index = m->index;
    m->is_listed = false;
    if (m->slot < SLOTS) {
        g->slots &= ~(1ULL << m->slot);
    }
    g->is_alive_count_new = true;
}

uint64_t gossip__member_mark(const struct gossip__member *m)
{
    return 1ULL << (m->slot < SLOTS ? m->slot : gossip__hash_name(m->name) % SLOTS);
}

const char *gossip__state_text(enum gossip__state state)
{
    return states[state].text;
}

bool gossip__member_is_live(const struct gossip__member *m)
{
    return m->state == GOSSIP__ALIVE || m->state == GOSSIP__SUSPECT;
}

static bool is_among(struct gossip__member *const *members, size_t count,
                     const struct gossip__member *m)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i] == m) {
            return true;
        }
    }
    return false;
}

/* The list in random order, when it is small. */
static struct gossip__member *const *shuffled(struct gossip *g)
{
    struct gossip__member **order =
        mu_arena_array(&g->step, g->list_count, sizeof(struct gossip__member *));

    for (size_t i = 0; i < g->list_count; i++) {
        size_t at = (size_t)mu_rand_below(&g->rand, i + 1);

        order[i] = order[at];
        order[at] = g->list[i];
    }
    return order;
}

/* A large table is drawn from, which costs nothing per member; what many dead entries hide from the
 * draws is found by a walk from a random place, so that k never comes out short (5.7). */
size_t gossip__member_pick(struct gossip *g, size_t want, gossip__fits_fn *fits, const void *data,
                           struct gossip__member **out)
{
    size_t n = g->list_count;
    bool is_small = n < 3 * want;
    struct gossip__member *const *list = is_small ? shuffled(g) : g->list;
    size_t draws = is_small ? 0 : DRAWS * want;
    size_t first = (size_t)mu_rand_below(&g->rand, n);
    size_t count = 0;

    for (size_t i = 0; i < draws + n && count < want; i++) {
        size_t at = i < draws ? (size_t)mu_rand_below(&g->rand, n) : (first + i) % n;
        struct gossip__member *m = list[at];

        if (m != g->self && !is_among(out, count, m) && fits(g, m, data)) {
            out[count++] = m;
        }
    }
    return count;
}

/* -- state and description ----------------------------------------------------------------------
 */

static void count_state(struct gossip *g, enum gossip__state state, size_t by)
{
    g->alive_count += state == GOSSIP__ALIVE ? by : 0;
    g->suspect_count += state == GOSSIP__SUSPECT ? by : 0;
}

void gossip__member_move(struct gossip *g, struct gossip__member *m, enum gossip__state to,
                         const char *why)
{
    MU_ASSERT(states[m->state].next & BIT(to));
    MU_ASSERT(m != g->self || to == GOSSIP__GONE || m->status == GOSSIP_STATUS_NONE);
    MU_ASSERT(m->is_listed || (to != GOSSIP__ALIVE && to != GOSSIP__SUSPECT));

    gossip__log(g, MU_TRACE, "%s: %s -> %s, %s", m->name, states[m->state].text, states[to].text,
                why);
    count_state(g, m->state, (size_t)-1);
    count_state(g, to, 1);
    g->is_alive_count_new = true;
    if (m->state == GOSSIP__SUSPECT) {
        mu_list_remove(&m->suspects);
    }
    if (m->state == GOSSIP__DEAD || m->state == GOSSIP__GONE) {
        m->link.missed = 0; /* in an earlier life */
    }
    m->state = to;
    m->state_ms = g->now_ms;
    if (to == GOSSIP__DEAD || to == GOSSIP__GONE) {
        gossip__coordinate_restart(m);
    }
    if (to == GOSSIP__SUSPECT) {
        mu_list_push_back(&g->suspects, &m->suspects);
    } else {
        memset(&m->suspicion, 0, sizeof m->suspicion); /* or a later one would start confirmed */
    }
}

static void tags_set(struct gossip *g, struct gossip__member *m)
{
    struct mu_pairs decoded;

    mu_free(m->tags.items);
    m->tags = (struct mu_pairs){ NULL, 0 };
    if (gossip__tags_decode(mu_buf_span(&m->meta), &g->step, &decoded) && decoded.count > 0) {
        m->tags.items = mu_new_array(decoded.count, sizeof *m->tags.items);
        m->tags.count = decoded.count;
        memcpy(m->tags.items, decoded.items, decoded.count * sizeof *m->tags.items);
    }
}

/* Everything but the incarnation, which rises on other occasions too. */
void gossip__member_describe(struct gossip *g, struct gossip__member *m,
                             const struct gossip__alive *a)
{
    struct gossip__member *holder = gossip__member_by_id(g, &a->node_id);

    if (!mu_addr_eq(&m->addr, &a->at)) {
        gossip__coordinate_restart(m);
    }
    m->addr = a->at;
    m->boot_id = a->boot_id;
    memcpy(m->versions, a->versions, sizeof m->versions);
    if (!mu_id_eq(&m->node_id, &a->node_id)) {
        id_forget(g, m);
        m->node_id = a->node_id;
    }
    if (!mu_id_is_none(&m->node_id) && (holder == NULL || !gossip__member_is_live(holder))) {
        (void)mu_table_put(g->ids, mu_span_of(m->node_id.b, sizeof m->node_id.b), m);
    }
    if (!mu_span_eq(mu_buf_span(&m->meta), a->meta)) {
        mu_buf_clear(&m->meta);
        mu_buf_add_span(&m->meta, a->meta);
        tags_set(g, m);
    }
}

struct gossip__alive gossip__member_record(const struct gossip__member *m)
{
    struct gossip__alive a = { .node = m->name,
                               .incarnation = m->incarnation,
                               .boot_id = m->boot_id,
                               .at = m->addr,
                               .meta = mu_buf_span(&m->meta),
                               .node_id = m->node_id };

    memcpy(a.versions, m->versions, sizeof a.versions);
    return a;
}

/* Tooling prints protocol numbers and expects those it knows (12.4), whatever ours are. */
static const uint8_t shown_versions[6] = { 1, 5, 2, 2, 5, 5 };

struct gossip_view gossip__member_view(const struct gossip *g, const struct gossip__member *m)
{
    struct gossip_view v = { .name = m->name,
                             .addr = m->addr,
                             .tags = m->tags,
                             .status = m->status,
                             .is_suspect = m->state == GOSSIP__SUSPECT,
                             .node_id = m->node_id,
                             .boot_id = m->boot_id,
                             .incarnation = m->incarnation,
                             .changed_ms = m->status_ms,
                             .is_self = m == g->self };

    memcpy(v.versions, shown_versions, sizeof v.versions);
    return v;
}
