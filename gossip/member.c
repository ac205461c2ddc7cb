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
    return gossip__members_named(&g->members, name);
}

struct gossip__member *gossip__member_by_id(const struct gossip *g, const struct mu_id *id)
{
    return mu_id_is_none(id) ? NULL : gossip__members_with_id(&g->members, id);
}

struct gossip__member *gossip__member_add(struct gossip *g, const struct gossip__alive *a)
{
    return gossip__member_put(g, gossip__card_of(g->cards, a));
}

struct gossip__member *gossip__member_put(struct gossip *g, const struct gossip__card *card)
{
    struct gossip__member *m = gossip__members_add(&g->members, card);

    m->state = GOSSIP__DEAD;
    m->state_ms = g->now_ms;
    m->slot = SLOTS;
    m->status = GOSSIP_STATUS_NONE;
    return m;
}

void gossip__member_clear(struct gossip__member *m)
{
    const struct gossip__dealings *d = gossip__dealings(m);

    gossip__claim_free(d->claim);
    mu_free(d->suspicion);
    mu_free(d->replay);
    mu_free(d->distance);
    mu_free(m->dealings);
    gossip__card_leave(m->card);
}

/* -- dealings -----------------------------------------------------------------------------------
 */

static const struct gossip__dealings no_dealings;

const struct gossip__dealings *gossip__dealings(const struct gossip__member *m)
{
    return m->dealings != NULL ? m->dealings : &no_dealings;
}

struct gossip__dealings *gossip__deal(struct gossip__member *m)
{
    if (m->dealings == NULL) {
        m->dealings = mu_new(sizeof *m->dealings);
    }
    return m->dealings;
}

void gossip__deal_over(struct gossip__member *m)
{
    if (m->dealings != NULL && memcmp(m->dealings, &no_dealings, sizeof no_dealings) == 0) {
        mu_free(m->dealings);
        m->dealings = NULL;
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
    gossip__heard_forget(g, m);
    gossip__members_remove(&g->members, m);
    if (g->graveyard_count == g->graveyard_room) {
        g->graveyard_room = g->graveyard_room * 2 + 4;
        g->graveyard = mu_grow(g->graveyard, g->graveyard_room * sizeof(struct gossip__member *));
    }
    g->graveyard[g->graveyard_count++] = m;
}

/* -- the list of the detector -------------------------------------------------------------------
 */

/* Its own as long as there is one, else by chance: were the same members to share a bit everywhere,
 * one of them that all talk to at once (a suspect, near its end) would hide the others from all. */
static void slot_take(struct gossip *g, struct gossip__member *m)
{
    if (~g->slots != 0) {
        m->slot = (uint8_t)__builtin_ctzll(~g->slots);
        g->slots |= 1ULL << m->slot;
    } else {
        m->slot = (uint8_t)(SLOTS + mu_rand_below(&g->rand, SLOTS));
    }
}

/* At a random place: at the end its first probe would come late (5.1). */
void gossip__member_list(struct gossip *g, struct gossip__member *m)
{
    if (m->is_listed) {
        return;
    }
    gossip__members_room(&g->list, g->list_count, &g->list_room);
    size_t at = (size_t)mu_rand_below(&g->rand, g->list_count + 1);

    if (at < g->list_count) {
        g->list[g->list_count] = g->list[at];
        g->list[g->list_count]->index = (uint32_t)g->list_count;
    }
    g->list[at] = m;
    m->index = (uint32_t)at;
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
    MU_ASSERT(m->is_listed);
    return 1ULL << m->slot % SLOTS;
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

    gossip__log(g, MU_TRACE, "%s: %s -> %s, %s", m->card->name, states[m->state].text,
                states[to].text, why);
    gossip__heard_forget(g, m);
    bool was_live = gossip__member_is_live(m);

    count_state(g, m->state, (size_t)-1);
    count_state(g, to, 1);
    g->is_alive_count_new = true;
    if (m->state == GOSSIP__SUSPECT) {
        gossip__suspicion_end(g, m);
    }
    if (m->dealings != NULL && (m->state == GOSSIP__DEAD || m->state == GOSSIP__GONE)) {
        m->dealings->link.missed = 0; /* in an earlier life */
    }
    m->state = to;
    m->state_ms = g->now_ms;
    gossip__ring_moved(g, m, was_live);
    if (to == GOSSIP__DEAD || to == GOSSIP__GONE) {
        gossip__coordinate_restart(m);
    }
}

/* Notices of this step may show the old one. */
static void card_set(struct gossip *g, struct gossip__member *m, const struct gossip__alive *a)
{
    if (g->old_cards_count == g->old_cards_room) {
        g->old_cards_room = g->old_cards_room * 2 + 4;
        g->old_cards =
            mu_grow(g->old_cards, g->old_cards_room * sizeof(const struct gossip__card *));
    }
    g->old_cards[g->old_cards_count++] = m->card;
    m->card = gossip__card_of(g->cards, a);
}

/* Everything but the incarnation, which rises on other occasions too. */
void gossip__member_describe(struct gossip *g, struct gossip__member *m,
                             const struct gossip__alive *a)
{
    const struct gossip__member *holder = gossip__member_by_id(g, &a->node_id);

    MU_ASSERT(strcmp(m->card->name, a->node) == 0);
    if (!mu_addr_eq(&m->card->addr, &a->at)) {
        gossip__coordinate_restart(m);
    }
    if (!mu_id_eq(&m->card->node_id, &a->node_id)) {
        gossip__members_id_unset(&g->members, m);
    }
    gossip__heard_forget(g, m);
    if (!gossip__card_says(m->card, a)) {
        card_set(g, m, a);
    }
    if (!mu_id_is_none(&a->node_id) && (holder == NULL || !gossip__member_is_live(holder))) {
        gossip__members_id_set(&g->members, m);
    }
}

struct gossip__alive gossip__member_record(const struct gossip__member *m)
{
    struct gossip__alive a = { .node = m->card->name,
                               .incarnation = m->incarnation,
                               .boot_id = m->card->boot_id,
                               .at = m->card->addr,
                               .meta = m->card->meta,
                               .node_id = m->card->node_id };

    memcpy(a.versions, m->card->versions, sizeof a.versions);
    return a;
}

/* Tooling prints protocol numbers and expects those it knows (12.4), whatever ours are. */
static const uint8_t shown_versions[6] = { 1, 5, 2, 2, 5, 5 };

struct gossip_view gossip__member_view(const struct gossip *g, const struct gossip__member *m)
{
    struct gossip_view v = { .name = m->card->name,
                             .addr = m->card->addr,
                             .tags = m->card->tags,
                             .status = m->status,
                             .is_suspect = m->state == GOSSIP__SUSPECT,
                             .node_id = m->card->node_id,
                             .boot_id = m->card->boot_id,
                             .incarnation = m->incarnation,
                             .changed_ms = m->status_ms,
                             .is_self = m == g->self };

    memcpy(v.versions, shown_versions, sizeof v.versions);
    return v;
}
