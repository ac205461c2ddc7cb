/* change.c - membership: one change at a time, each a configuration entry (spec/consensus.md 2.8).
 *
 *     ADD          PROMOTE          DEMOTE            REMOVE
 *   -------> learner ------> voter -------> learner -------> gone, its disk for ever
 *                    REPLACE: voters {.. server ..} -> joint -> voters {.. by ..}, by itself
 *
 * Two guards make a change safe. The newest configuration is committed: so any two that may be in
 * force differ by one step. And an entry of the own term is committed: else two leaders in turn
 * could each add a step to the *same* old configuration, and majorities of the two need not meet
 * (Ongaro, raft-dev, July 2015; row 53).
 *
 * A removed server that was away while it happened asks the others when it has heard no leader for
 * long, and stops when two of them say that its disk is removed at a committed index.
 */
#include <string.h>

#include "base/assert.h"
#include "core.h"

/* How long without a leader until a server asks whether it is still one: ten election timeouts; two
 * if it has heard none since it was started, for then it may have been away for long, and what was
 * removed meanwhile has to begin anew before it can catch up. */
#define ASK_MS(c)       (10 * (uint64_t)(c)->options.election_ms_min)
#define ASK_FIRST_MS(c) (2 * (uint64_t)(c)->options.election_ms_min)

/* -- what a configuration becomes ---------------------------------------------------------- */

static struct consensus_server *find(struct consensus_config *config, const struct mu_id *id)
{
    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (mu_id_eq(&config->servers[i].id, id)) {
            return &config->servers[i];
        }
    }
    return NULL;
}

static uint32_t voters_of(const struct consensus_config *config)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        count += config->servers[i].is_voter;
    }
    return count;
}

static void address_set(struct consensus_server *s, const struct consensus_change *what)
{
    size_t bytes = strnlen(what->address, sizeof what->address - 1);

    memset(s->address, 0, sizeof s->address);
    memcpy(s->address, what->address, bytes);
    s->priority = what->priority;
}

static enum consensus_refusal add(struct consensus_config *next,
                                  const struct consensus_change *what, uint64_t index)
{
    uint32_t at = 0;

    if (find(next, &what->server) != NULL) {
        return CONSENSUS_CHANGE_EXISTS;
    }
    if (mu_id_is_none(&what->server) || mu_id_is_none(&what->disk)) {
        return CONSENSUS_CHANGE_UNKNOWN;
    }
    if (consensus_config_has_removed(next, &what->disk)) {
        return CONSENSUS_CHANGE_REMOVED;
    }
    if (next->servers_count == CONSENSUS_PEERS_MAX) {
        return CONSENSUS_CHANGE_FULL;
    }
    while (at < next->servers_count &&
           memcmp(next->servers[at].id.b, what->server.b, sizeof what->server.b) < 0) {
        at++;
    }
    memmove(&next->servers[at + 1], &next->servers[at],
            (next->servers_count - at) * sizeof next->servers[0]);
    next->servers_count++;
    next->servers[at] = (struct consensus_server){
        .id = what->server,
        .disk = what->disk,
        .joined_index = index,
        .is_learner = true,
    };
    address_set(&next->servers[at], what);
    return CONSENSUS_NOT_REFUSED;
}

static enum consensus_refusal promote(struct consensus_config *next, struct consensus_server *s)
{
    if (!s->is_learner) {
        return CONSENSUS_CHANGE_ROLE;
    }
    if (voters_of(next) == CONSENSUS_VOTERS_MAX) {
        return CONSENSUS_CHANGE_FULL;
    }
    s->is_learner = false;
    s->is_voter = true;
    return CONSENSUS_NOT_REFUSED;
}

static enum consensus_refusal demote(struct consensus_config *next, struct consensus_server *s)
{
    if (!s->is_voter) {
        return CONSENSUS_CHANGE_ROLE;
    }
    if (voters_of(next) == 1) {
        return CONSENSUS_CHANGE_LAST;
    }
    s->is_voter = false;
    s->is_learner = true;
    return CONSENSUS_NOT_REFUSED;
}

/* The server goes, and its disk is remembered; the oldest of those is forgotten when need be. */
static void take_out(struct consensus_config *next, struct consensus_server *s)
{
    size_t at = (size_t)(s - next->servers);

    if (next->removed_count == CONSENSUS_REMOVED_MAX) {
        memmove(&next->removed[0], &next->removed[1],
                (CONSENSUS_REMOVED_MAX - 1) * sizeof next->removed[0]);
        next->removed_count--;
    }
    next->removed[next->removed_count++] = s->disk;
    next->servers_count--;
    memmove(&next->servers[at], &next->servers[at + 1],
            (next->servers_count - at) * sizeof next->servers[0]);
    memset(&next->servers[next->servers_count], 0, sizeof next->servers[0]);
}

static enum consensus_refusal remove_one(struct consensus_config *next, struct consensus_server *s)
{
    if (s->is_voter && voters_of(next) == 1) {
        return CONSENSUS_CHANGE_LAST;
    }
    take_out(next, s);
    return CONSENSUS_NOT_REFUSED;
}

static enum consensus_refusal set(struct consensus_server *s, const struct consensus_change *what)
{
    struct consensus_server was = *s;

    address_set(s, what);
    return memcmp(&was, s, sizeof was) == 0 ? CONSENSUS_CHANGE_NOTHING : CONSENSUS_NOT_REFUSED;
}

static enum consensus_refusal replace(struct consensus_config *next, struct consensus_server *s,
                                      const struct consensus_change *what)
{
    struct consensus_server *by = find(next, &what->by);

    if (by == NULL) {
        return CONSENSUS_CHANGE_UNKNOWN;
    }
    if (!s->is_voter || !by->is_learner) {
        return CONSENSUS_CHANGE_ROLE;
    }
    for (uint32_t i = 0; i < next->servers_count; i++) {
        next->servers[i].is_voter_old = next->servers[i].is_voter;
    }
    s->is_voter = false;
    by->is_learner = false;
    by->is_voter = true;
    next->is_joint = true;
    return CONSENSUS_NOT_REFUSED;
}

static enum consensus_refusal change(struct consensus_config *next,
                                     const struct consensus_change *what, uint64_t index)
{
    struct consensus_server *s = find(next, &what->server);

    next->is_forced = false;
    if (what->kind == CONSENSUS_ADD) {
        return add(next, what, index);
    }
    if (s == NULL || (!mu_id_is_none(&what->disk) && !mu_id_eq(&what->disk, &s->disk))) {
        return CONSENSUS_CHANGE_UNKNOWN;
    }
    switch (what->kind) {
    case CONSENSUS_ADD: break;
    case CONSENSUS_PROMOTE: return promote(next, s);
    case CONSENSUS_DEMOTE: return demote(next, s);
    case CONSENSUS_REMOVE: return remove_one(next, s);
    case CONSENSUS_SET: return set(s, what);
    case CONSENSUS_REPLACE: return replace(next, s, what);
    }
    MU_UNREACHABLE_CODE();
}

/* Only the incoming set stays; who has no role there goes. */
static void leave_joint(struct consensus_config *next)
{
    uint32_t i = 0;

    next->is_joint = false;
    while (i < next->servers_count) {
        struct consensus_server *s = &next->servers[i];

        s->is_voter_old = false;
        if (s->is_voter || s->is_learner) {
            i++;
        } else {
            take_out(next, s);
        }
    }
}

/* -- proposing ----------------------------------------------------------------------------- */

/* Are voters heard that could commit under `next`? */
static bool is_healthy(struct consensus *c, const struct consensus_config *next)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < next->servers_count; i++) {
        const struct consensus__peer *p = consensus__peer_find(c, &next->servers[i].id);
        bool is_self = mu_id_eq(&next->servers[i].id, &c->options.server);
        bool is_heard =
            p != NULL && p->acked_ms != 0 && p->acked_ms + c->options.election_ms_min >= c->now_ms;

        bits |= is_self || is_heard ? 1U << i : 0;
    }
    return consensus__quorum_of(next, bits);
}

/* A voter that lacks most of the log would hold up every commit that needs it. */
static bool is_behind(struct consensus *c, const struct consensus_change *what)
{
    const struct consensus__peer *p =
        consensus__peer_find(c, what->kind == CONSENSUS_REPLACE ? &what->by : &what->server);

    return (what->kind == CONSENSUS_PROMOTE || what->kind == CONSENSUS_REPLACE) &&
           (p == NULL || p->state != CONSENSUS_REPLICATE || p->match < c->office.first_index);
}

static bool has_room(const struct consensus *c)
{
    return consensus__write_has_room(c) && consensus__log_has_room(c, 1, 0, 1);
}

/* Before it is looked at what is to be changed. */
enum consensus_refusal consensus__change_refusal(const struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);

    if (c->office.transfer.is_running) {
        return CONSENSUS_TRANSFERRING;
    }
    if (!consensus__has_quorum(c)) {
        return CONSENSUS_NO_QUORUM;
    }
    if (consensus__health(c) == CONSENSUS_STORE_SLOW) {
        return CONSENSUS_DISK_SLOW;
    }
    if (consensus__health(c) == CONSENSUS_STORE_READ_ONLY) {
        return CONSENSUS_DISK_READ_ONLY;
    }
    if (!c->office.is_ready) { /* guard (a) */
        return CONSENSUS_CHANGE_EARLY;
    }
    if (now->index > c->commit || now->is_joint) { /* guard (b) */
        return CONSENSUS_CHANGE_RUNNING;
    }
    return has_room(c) ? CONSENSUS_NOT_REFUSED : CONSENSUS_BUSY_PROPOSALS;
}

void consensus__config_propose(struct consensus *c, struct consensus_config *next, uint64_t ticket)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    uint32_t size = (uint32_t)consensus_config_encode(next, bytes);

    next->index = c->log.last_index + 1;
    MU_ASSERT(consensus_config_check(next, NULL) == MU_OK);
    MU_ASSERT(consensus__config_follows(consensus__config(c), next));
    consensus__push_at_once(c, next->index);
    consensus__log_push(c, &(struct consensus_entry){
                               .index = next->index,
                               .term = c->hard.term,
                               .ticket = ticket,
                               .bytes = size, /* its handle comes by consensus_bind() */
                               .kind = CONSENSUS_CONFIG,
                               .config = next,
                           });
    consensus__write_entries(c, next->index, size);
    c->has_made = true;
}

void consensus__on_change(struct consensus *c, const struct consensus_event *ev)
{
    struct consensus_config next = *consensus__config(c);

    MU_ASSERT(ev->change.ticket > 0);
    if (c->role != CONSENSUS_LEADER) {
        consensus__result(c, ev->change.ticket, CONSENSUS_NOT_LEADER, CONSENSUS_NOT_REFUSED, 0);
        return;
    }
    enum consensus_refusal why = consensus__change_refusal(c);

    if (why == CONSENSUS_NOT_REFUSED) {
        why = change(&next, ev->change.what, c->log.last_index + 1);
    }
    if (why == CONSENSUS_NOT_REFUSED && !ev->change.what->is_forced) {
        why = is_behind(c, ev->change.what) ? CONSENSUS_CHANGE_BEHIND
              : !is_healthy(c, &next)       ? CONSENSUS_CHANGE_UNHEALTHY
                                            : CONSENSUS_NOT_REFUSED;
    }
    if (why == CONSENSUS_NOT_REFUSED && consensus__level_forbids(c, ev->change.what)) {
        why = CONSENSUS_CHANGE_LEVEL;
    }
    if (why != CONSENSUS_NOT_REFUSED) {
        c->counters.refused++;
        consensus__result(c, ev->change.ticket, CONSENSUS_REFUSED, why, 0);
        return;
    }
    consensus__config_propose(c, &next, ev->change.ticket);
}

/* A committed joint configuration is left by whatever leader finds it, once: what it appends is
 * the newest then. No limit and no transfer holds it up (row 63b). */
void consensus__change_run(struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    struct consensus_config next;

    if (!now->is_joint || now->index > c->commit || !c->office.is_ready || !has_room(c)) {
        return; /* without room: the next event finds some */
    }
    if (c->office.transfer.is_running && c->now_ms >= c->office.transfer.ends_at_ms) {
        return; /* that may end the office in this very step */
    }
    next = *now;
    leave_joint(&next);
    consensus__config_propose(c, &next, 0);
}

/* -- still one of them? -------------------------------------------------------------------- */

void consensus__membership_begin(struct consensus *c)
{
    c->member_ask_at_ms = c->now_ms + ASK_FIRST_MS(c);
}

/* The newest configuration that is surely committed; NULL: none is known. */
static const struct consensus_config *committed(const struct consensus *c)
{
    return consensus__config_below(c, c->commit + 1);
}

static bool was_removed(const struct consensus *c, const struct mu_id *disk)
{
    const struct consensus_config *config = committed(c);

    return config != NULL && consensus_config_has_removed(config, disk);
}

/* By the only answer there is: silence means no. */
void consensus__on_member_req(struct consensus *c, const struct consensus_msg *m)
{
    if (was_removed(c, &m->from_disk)) {
        struct consensus_msg *answer = consensus__send(c, CONSENSUS_MEMBER_RES, &m->from);

        answer->removed.config_index = committed(c)->index;
        answer->removed.disk = m->from_disk;
    }
}

/* Two of them must say so, or all there are. A late word about the disk that this server had before
 * is none about it. */
void consensus__on_member_res(struct consensus *c, const struct consensus_msg *m)
{
    const struct consensus__peer *p = consensus__peer_find(c, &m->from);
    uint32_t others = consensus__config(c)->servers_count - (c->self < CONSENSUS_PEERS_MAX);

    if (p == NULL || c->role == CONSENSUS_LEADER || !mu_id_eq(&m->removed.disk, &c->options.disk)) {
        return;
    }
    c->removed_by |= 1U << (p - c->peers);
    if ((uint32_t)__builtin_popcount(c->removed_by) >= (others < 2 ? others : 2)) {
        consensus__die(c, CONSENSUS_DEATH_REMOVED);
    }
}

uint64_t consensus__membership_wake_ms(const struct consensus *c)
{
    uint64_t quiet_at = c->contact_ms == 0 ? 0 : c->contact_ms + ASK_MS(c);

    if (c->is_stopped || c->role == CONSENSUS_LEADER || consensus__config(c)->servers_count == 0) {
        return CONSENSUS_NEVER;
    }
    return quiet_at > c->member_ask_at_ms ? quiet_at : c->member_ask_at_ms;
}

void consensus__membership_run(struct consensus *c)
{
    if (c->role == CONSENSUS_LEADER) {
        return;
    }
    if (was_removed(c, &c->options.disk)) { /* it has the entry itself */
        consensus__die(c, CONSENSUS_DEATH_REMOVED);
        return;
    }
    if (c->now_ms < consensus__membership_wake_ms(c)) {
        return;
    }
    c->member_ask_at_ms = c->now_ms + ASK_MS(c);
    c->removed_by = 0;
    for (uint32_t i = 0; i < c->peers_count; i++) {
        /* An old configuration may know this server by another disk. */
        if (!mu_id_eq(&c->peers[i].id, &c->options.server) && consensus__send_has_room(c)) {
            (void)consensus__send(c, CONSENSUS_MEMBER_REQ, &c->peers[i].id);
        }
    }
}
