/* transfer.c - leadership given away, to one server or to the best (spec/consensus.md 2.4).
 *
 *   leader                                 target
 *     | no proposals, no new reads           |
 *     | -- entries until it has all -------> |     and all of them are committed
 *     | -- TIMEOUT_NOW(last, valid) -------> |  stands at once: no pre-vote, no timer
 *     | <------ VOTE_REQ(transfer_term) ---- |  voters grant it although this leader is alive
 *
 * It is over when this server leads no more, or after transfer_ms: then proposals go on. A
 * TIMEOUT_NOW that arrives later still costs at most one clean election.
 *
 * Why: somebody asked; this server stops; a committed configuration has removed it (it leads until
 * here without counting itself); its state is lost, and now that it has led others have its log;
 * its disk is full or slow and another's is not; another voter is preferred.
 */
#include "base/assert.h"
#include "core.h"

/* How long another server must have been the better leader before it is given the office. */
#define PRIORITY_MS 60000U

#define TRANSFER_MS(c) ((c)->options.election_ms_min)

/* -- who ------------------------------------------------------------------------------------ */

/* Not only a voter now, but also after a change that is under way. */
static bool is_voter(const struct consensus *c, uint32_t i)
{
    return i != c->self && i < consensus__config(c)->servers_count &&
           consensus__config(c)->servers[i].is_voter;
}

static bool is_there(const struct consensus *c, uint32_t i)
{
    const struct consensus__peer *p = &c->peers[i];

    return is_voter(c, i) && p->acked_ms != 0 && !p->lacks_state &&
           p->acked_ms + 2 * (uint64_t)c->options.heartbeat_ms >= c->now_ms;
}

static bool is_fit(const struct consensus *c, uint32_t i)
{
    return is_there(c, i) && !c->peers[i].is_store_slow;
}

/* It has also said whether it has a state, as it does with each heartbeat. */
static bool has_state(const struct consensus *c, uint32_t i)
{
    return is_fit(c, i) && c->peers[i].read_echo > 0;
}

/* Of those that pass, the one with the most entries; of equals the preferred. CONSENSUS_PEERS_MAX:
 * nobody does. */
static uint32_t best(const struct consensus *c,
                     bool (*passes)(const struct consensus *c, uint32_t i))
{
    const struct consensus_config *now = consensus__config(c);
    uint32_t found = CONSENSUS_PEERS_MAX;

    for (uint32_t i = 0; i < now->servers_count; i++) {
        if (!passes(c, i)) {
            continue;
        }
        if (found == CONSENSUS_PEERS_MAX || c->peers[i].match > c->peers[found].match ||
            (c->peers[i].match == c->peers[found].match &&
             now->servers[i].priority > now->servers[found].priority)) {
            found = i;
        }
    }
    return found;
}

static uint32_t place_of(const struct consensus *c, const struct mu_id *id)
{
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (mu_id_eq(&c->peers[i].id, id)) {
            return i;
        }
    }
    return CONSENSUS_PEERS_MAX;
}

/* -- begin and end -------------------------------------------------------------------------- */

enum consensus_refusal consensus__transfer_begin(struct consensus *c,
                                                 enum consensus_transfer_why why,
                                                 const struct mu_id *target)
{
    bool must_go = why == CONSENSUS_TRANSFER_STOPS || why == CONSENSUS_TRANSFER_REMOVED;
    uint32_t i = target != NULL ? place_of(c, target) : best(c, is_fit);

    if (i == CONSENSUS_PEERS_MAX && target == NULL && must_go) {
        i = best(c, is_there); /* one with a full disk is still sooner than an election */
    }
    MU_ASSERT(c->role == CONSENSUS_LEADER && !c->office.transfer.is_running);
    if (target != NULL && !is_voter(c, i)) { /* rows 15 and 18 */
        return CONSENSUS_TRANSFER_TARGET;
    }
    if (i == CONSENSUS_PEERS_MAX) {
        return CONSENSUS_TRANSFER_NOBODY;
    }
    c->office.transfer = (struct consensus__transfer){
        .target = c->peers[i].id,
        .ends_at_ms = c->now_ms + TRANSFER_MS(c),
        .why = why,
        .is_running = true,
    };
    consensus__note(c, CONSENSUS_T_HANDS_OVER, &c->peers[i].id, c->hard.term, why, 0);
    return CONSENSUS_NOT_REFUSED;
}

static void ticket_end(struct consensus *c, enum consensus_outcome outcome,
                       enum consensus_refusal why)
{
    if (c->transfer_ticket != 0 && !c->is_transfer_over) {
        c->is_transfer_over = true;
        c->transfer_outcome = outcome;
        c->transfer_refusal = why;
    }
}

void consensus__transfer_failed(struct consensus *c)
{
    ticket_end(c, CONSENSUS_REFUSED, CONSENSUS_TRANSFER_LATE);
}

static bool has_no_room(const struct consensus *c)
{
    return c->health == CONSENSUS_STORE_FULL || c->health == CONSENSUS_STORE_READ_ONLY;
}

/* It did not come to pass: go on, unless there was no choice. */
static void give_up(struct consensus *c)
{
    enum consensus_transfer_why why = (enum consensus_transfer_why)c->office.transfer.why;

    consensus__note(c, CONSENSUS_T_KEEPS_OFFICE, &c->office.transfer.target, c->hard.term, 0, 0);
    c->office.transfer = (struct consensus__transfer){ 0 };
    consensus__transfer_failed(c);
    switch (why) {
    case CONSENSUS_TRANSFER_ASKED: break;
    case CONSENSUS_TRANSFER_PRIORITY: c->office.yields_at_ms = c->now_ms + PRIORITY_MS; break;
    case CONSENSUS_TRANSFER_STATE:
        c->office.yields_at_ms = c->now_ms + c->options.election_ms_min;
        break;
    case CONSENSUS_TRANSFER_DISK:
        c->office.yields_at_ms = c->now_ms + c->options.election_ms_min;
        if (has_no_room(c)) { /* a slow one has until it counts as stalled */
            consensus__step_down(c, CONSENSUS_T_DISK_FULL, 0);
        }
        break;
    case CONSENSUS_TRANSFER_STOPS:
    case CONSENSUS_TRANSFER_REMOVED: consensus__role_move(c, CONSENSUS_OBSERVER); break;
    }
}

/* Leaving the office, if not for a failure of its own: somebody has a newer term. */
void consensus__transfer_over(struct consensus *c)
{
    ticket_end(c, CONSENSUS_HANDED_OVER, CONSENSUS_NOT_REFUSED);
}

void consensus__transfer_drain(struct consensus *c)
{
    if (!c->is_transfer_over) {
        return;
    }
    if (!consensus__results_have_room(c)) {
        c->wants_again = true;
        return;
    }
    consensus__result(c, c->transfer_ticket, (enum consensus_outcome)c->transfer_outcome,
                      (enum consensus_refusal)c->transfer_refusal, 0);
    c->transfer_ticket = 0;
    c->is_transfer_over = false;
}

void consensus__on_transfer(struct consensus *c, const struct consensus_event *ev)
{
    const struct mu_id *target = mu_id_is_none(&ev->transfer.target) ? NULL : &ev->transfer.target;
    enum consensus_refusal why = CONSENSUS_TRANSFERRING;

    MU_ASSERT(ev->transfer.ticket > 0);
    if (c->role != CONSENSUS_LEADER) {
        consensus__result(c, ev->transfer.ticket, CONSENSUS_NOT_LEADER, CONSENSUS_NOT_REFUSED, 0);
        return;
    }
    if (!c->office.transfer.is_running && c->transfer_ticket == 0) {
        why = consensus__transfer_begin(c, CONSENSUS_TRANSFER_ASKED, target);
    }
    if (why != CONSENSUS_NOT_REFUSED) {
        c->counters.refused++;
        consensus__result(c, ev->transfer.ticket, CONSENSUS_REFUSED, why, 0);
        return;
    }
    c->transfer_ticket = ev->transfer.ticket;
}

/* -- the leader's side ---------------------------------------------------------------------- */

/* Since when do others have on disk what this server has not? */
static void overtaken_watch(struct consensus *c)
{
    if (c->commit <= c->writes.stable) {
        c->office.overtaken_ms = 0;
    } else if (c->office.overtaken_ms == 0) {
        c->office.overtaken_ms = c->now_ms;
    }
}

/* For longer than two slow writes take: its disk is worse than theirs. Where all are as slow,
 * handing over would only hand it round (wish 19). */
static bool is_overtaken(const struct consensus *c)
{
    return c->office.overtaken_ms != 0 &&
           c->now_ms - c->office.overtaken_ms > 2 * (uint64_t)c->options.slow_ms;
}

/* As long as a leader's first entry is not committed others may lack much of what came before, and
 * nobody who does could be elected: who gets on with it has the time it takes. */
static bool is_catching_up(const struct consensus *c, const struct consensus__peer *p)
{
    return c->commit < c->office.first_index && p->match < c->log.last_index &&
           c->now_ms - p->moved_ms <= c->options.election_ms_min;
}

/* A server whose disk is full, takes no writes or does not complete them leads only as long as
 * nobody else could (spec 2.15): one that has all that is committed and said so lately, with a
 * healthy disk. */
static bool should_yield_disk(const struct consensus *c)
{
    bool is_slow = consensus__health(c) == CONSENSUS_STORE_SLOW;
    uint32_t i = best(c, is_fit);

    return (has_no_room(c) || (is_slow && is_overtaken(c))) && i != CONSENSUS_PEERS_MAX &&
           c->peers[i].match >= c->commit && !is_catching_up(c, &c->peers[i]);
}

/* A server whose state is lost leads because nobody else could be elected: its log is the longest.
 * Once another has all of it, and a state to go on from, its work is done. That need not be
 * committed: who is needed for it may have to get a snapshot first, and there is none here. */
static const struct mu_id *heir(const struct consensus *c)
{
    uint32_t i = c->lacks_state ? best(c, has_state) : CONSENSUS_PEERS_MAX;
    bool is_found = i != CONSENSUS_PEERS_MAX && c->peers[i].match == c->log.last_index;

    return is_found ? &c->peers[i].id : NULL;
}

/* A preferred voter that could lead at once; a hint, never part of a vote (spec 2.1). */
static const struct mu_id *preferred(const struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    uint8_t own = c->self < CONSENSUS_PEERS_MAX ? now->servers[c->self].priority : 0;
    const struct mu_id *found = NULL;

    for (uint32_t i = 0; i < now->servers_count; i++) {
        if (is_fit(c, i) && now->servers[i].priority > own && c->peers[i].match >= c->commit) {
            own = now->servers[i].priority;
            found = &c->peers[i].id;
        }
    }
    return found;
}

/* Reasons of the leader's own. */
static void begin_by_itself(struct consensus *c)
{
    const struct mu_id *to = NULL;

    if (!c->is_elector) { /* removed or demoted, committed: its work is done */
        if (consensus__transfer_begin(c, CONSENSUS_TRANSFER_REMOVED, NULL) !=
            CONSENSUS_NOT_REFUSED) {
            consensus__role_move(c, CONSENSUS_OBSERVER);
        }
        return;
    }
    if (c->now_ms < c->office.yields_at_ms) {
        return;
    }
    to = heir(c);
    if (to != NULL) {
        (void)consensus__transfer_begin(c, CONSENSUS_TRANSFER_STATE, to);
        return;
    }
    if (should_yield_disk(c)) {
        (void)consensus__transfer_begin(c, CONSENSUS_TRANSFER_DISK, NULL);
        return;
    }
    to = preferred(c);
    if (to != NULL && c->now_ms >= c->office.since_ms + PRIORITY_MS) {
        (void)consensus__transfer_begin(c, CONSENSUS_TRANSFER_PRIORITY, to);
    }
}

static void invite(struct consensus *c, const struct consensus__peer *p)
{
    struct consensus__transfer *t = &c->office.transfer;
    bool is_due = t->sent_ms == 0 || c->now_ms >= t->sent_ms + c->options.heartbeat_ms;

    /* What was accepted is committed here, so that nobody's write ends with an unknown outcome;
     * without a state nothing was accepted. */
    bool is_settled = c->commit == c->log.last_index || t->why == CONSENSUS_TRANSFER_STATE;

    if (p->match != c->log.last_index || !is_settled || !is_due || !consensus__send_has_room(c)) {
        return;
    }
    struct consensus_msg *m = consensus__send(c, CONSENSUS_TIMEOUT_NOW, &p->id);

    m->timeout_now.last_index = c->log.last_index;
    m->timeout_now.valid_ms = TRANSFER_MS(c);
    t->sent_ms = c->now_ms;
    c->office.lease.is_over = true; /* it bypasses all promises, however late it arrives (2.4) */
    consensus__note(c, CONSENSUS_T_INVITES, &p->id, c->log.last_index, 0, 0);
}

void consensus__transfer_run(struct consensus *c)
{
    struct consensus__transfer *t = &c->office.transfer;

    overtaken_watch(c);
    if (!t->is_running) {
        begin_by_itself(c);
    }
    if (!t->is_running) { /* also when that ended the office */
        return;
    }
    uint32_t i = place_of(c, &t->target);

    if (!is_voter(c, i) || c->now_ms >= t->ends_at_ms) { /* demoted meanwhile (row 18), or late */
        give_up(c);
        return;
    }
    invite(c, &c->peers[i]);
}

/* -- the target's side ---------------------------------------------------------------------- */

/* It stands only if it still follows this very leader, has its whole log on disk, and may vote. */
static bool may_stand(const struct consensus *c, const struct consensus_msg *m)
{
    const struct consensus_config *now = consensus__config(c);

    return m->term == c->hard.term && c->role == CONSENSUS_FOLLOWER &&
           mu_id_eq(&c->leader, &m->from) && c->self < CONSENSUS_PEERS_MAX &&
           now->servers[c->self].is_voter &&
           c->now_ms - c->leader_heard_ms <= m->timeout_now.valid_ms &&
           m->timeout_now.last_index == c->log.last_index &&
           c->writes.stable == c->log.last_index && !consensus__is_installing(c) &&
           !c->lacks_state && c->floor_index == 0 && c->health != CONSENSUS_STORE_READ_ONLY &&
           consensus__health(c) != CONSENSUS_STORE_SLOW;
}

void consensus__on_timeout_now(struct consensus *c, const struct consensus_msg *m)
{
    if (!may_stand(c, m)) {
        consensus__note(c, CONSENSUS_T_INVITE_IGNORED, &m->from, m->term, 0, 0);
        return;
    }
    consensus__campaign_at_once(c);
}
