/* election.c - roles, terms and votes.
 *
 *                       election timer                quorum of pre-votes            quorum of
 * votes FOLLOWER ------------------> PRE_CANDIDATE ----------------> CANDIDATE ---------------->
 * LEADER ^  ^                        |  ^ | timer: new round         | timer: PRE_CANDIDATE       |
 *       |  '-- leader heard, -------'  '-'                          |                            |
 *       |      higher term in a refusal                             |                            |
 *       '-----------------------------------------------------------'-- higher term, no quorum, -'
 *                                                                       stalled disk
 *    FOLLOWER -> CANDIDATE: the leader of the term says TIMEOUT_NOW (transfer.c)
 *    OBSERVER: a voter of no configuration that may be in force, or stopped: never leaves by timer
 *
 * Pre-vote, check-quorum and stickiness are always on and need each other: a server that cannot
 * hear does not raise terms, a leader that is not heard steps down, and a voter that hears a leader
 * does not help to depose it (spec/consensus.md 2.1 to 2.3).
 */
#include "base/assert.h"
#include "core.h"

#define BIT(i) (1U << (i))

static const struct {
    const char *text;
    unsigned next; /* bit set of the roles that may follow */
} roles[] = {
    // clang-format off
    [CONSENSUS_FOLLOWER]      = { "follower",      BIT(CONSENSUS_PRE_CANDIDATE) | BIT(CONSENSUS_CANDIDATE) | BIT(CONSENSUS_OBSERVER) },
    [CONSENSUS_PRE_CANDIDATE] = { "pre-candidate", BIT(CONSENSUS_FOLLOWER) | BIT(CONSENSUS_CANDIDATE) | BIT(CONSENSUS_OBSERVER) },
    [CONSENSUS_CANDIDATE]     = { "candidate",     BIT(CONSENSUS_FOLLOWER) | BIT(CONSENSUS_PRE_CANDIDATE) | BIT(CONSENSUS_LEADER) | BIT(CONSENSUS_OBSERVER) },
    [CONSENSUS_LEADER]        = { "leader",        BIT(CONSENSUS_FOLLOWER) | BIT(CONSENSUS_OBSERVER) },
    [CONSENSUS_OBSERVER]      = { "observer",      BIT(CONSENSUS_FOLLOWER) },
}; // clang-format on

const char *consensus_role_text(enum consensus_role role)
{
    MU_ASSERT((size_t)role < MU_LEN(roles));
    return roles[role].text;
}

/* -- roles, terms, the timer --------------------------------------------------------------- */

void consensus__role_move(struct consensus *c, enum consensus_role to)
{
    enum consensus_role was = (enum consensus_role)c->role;

    if (was == to) {
        return;
    }
    MU_ASSERT(roles[was].next & BIT(to));
    consensus__note(c, CONSENSUS_T_ROLE, NULL, was, to, c->hard.term);
    if (was == CONSENSUS_LEADER) {
        consensus__tickets_lose(c);
        consensus__reads_void(c);
        consensus__transfer_over(c);
        c->contact_ms = c->now_ms; /* it was the leader until now, not the one before it */
    }
    /* What belongs to one role only must not be found in the next; an ack or a vote that waits for
     * the disk was promised in another situation (spec 1.7). */
    c->office = (struct consensus__office){ 0 };
    c->campaign = (struct consensus__campaign){ 0 };
    c->pending_count = 0;
    c->role = to;
    c->leader = to == CONSENSUS_LEADER ? c->options.server : MU_ID_NONE;
    c->leader_heard_ms = 0;
}

/* Is it a voter in the newest configuration, or was it in one that a truncation may bring back? A
 * server that only an uncommitted entry has removed may be the only one with that entry: if it did
 * not stand for election, nobody could be elected (thesis 4.2.2; it does not count itself). */
static bool is_elector(const struct consensus *c)
{
    for (uint32_t i = 0; i < c->configs_count; i++) {
        const struct consensus_server *s =
            consensus_config_find(&c->configs[i], &c->options.server);

        if (s != NULL && mu_id_eq(&s->disk, &c->options.disk) && consensus_server_votes(s)) {
            return true;
        }
    }
    return false;
}

/* The configuration or its commit changed. A leader leaves its office by itself (transfer.c). */
void consensus__role_settle(struct consensus *c)
{
    c->is_elector = !c->is_stopped && is_elector(c);
    if (c->role == CONSENSUS_LEADER) {
        return;
    }
    if (!c->is_elector) {
        consensus__role_move(c, CONSENSUS_OBSERVER);
    } else if (c->role == CONSENSUS_OBSERVER) {
        consensus__role_move(c, CONSENSUS_FOLLOWER);
        consensus__timer_reset(c);
    }
}

/* Does the configuration prefer another voter as leader? */
static bool is_outranked(const struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    uint8_t own = c->self < CONSENSUS_PEERS_MAX ? now->servers[c->self].priority : 0;

    for (uint32_t i = 0; i < now->servers_count; i++) {
        if (now->servers[i].is_voter && now->servers[i].priority > own) {
            return true;
        }
    }
    return false;
}

/* Uniform in [min, 2 min), redrawn at every reset (spec 2.1). A server whose disk is full can lead
 * (the log has its space) but lets the others go first; so does one without a state, which leads
 * only to bring its log to others (transfer.c), one that has no place for a term more before it
 * knows what is committed, and, a little, one that is not preferred. */
void consensus__timer_reset(struct consensus *c)
{
    uint64_t min = c->options.election_ms_min;
    uint64_t drawn = min + mu_rand_below(&c->rand, min);

    if (c->health == CONSENSUS_STORE_FULL || c->lacks_state) {
        drawn += 2 * min;
    }
    if (consensus__log_is_crowded(c)) {
        drawn += 2 * min;
    }
    if (is_outranked(c)) {
        drawn += mu_rand_below(&c->rand, min / 2 + 1);
    }
    c->election_at_ms = c->now_ms + drawn;
}

/* Who stands, and who has voted, waits for two writes: the candidate's and a voter's. Where both
 * take a good part of a timeout the round could never end within it, so its patience grows with
 * what writes take here, up to what counts as a stalled disk. With healthy disks nothing changes,
 * and a dead leader is never noticed later. */
static void timer_reset_for_votes(struct consensus *c)
{
    uint64_t flushes = 2 * c->writes.flush_ms;

    consensus__timer_reset(c);
    if (flushes > c->options.election_ms_min / 2) {
        c->election_at_ms += flushes < c->options.stall_ms ? flushes : c->options.stall_ms;
    }
}

/* The vote is forgotten here and nowhere else: only when the term *changes*. Clearing it on
 * stepping down within a term is the commonest election bug there is (spec 2.1, row 1). */
static void term_set(struct consensus *c, uint64_t term, const struct mu_id *voted_for)
{
    MU_ASSERT(term > c->hard.term);
    c->hard.term = term;
    c->hard.voted_for = *voted_for;
    c->pending_count = 0;
    c->writes.term_seq = c->writes.next_seq;
    c->writes.vote_seq = c->writes.next_seq;
    consensus__write_hard(c);
}

/* Somebody is further. Does not reset a running timer: a server with a poor log could otherwise
 * postpone everybody else's election for ever. */
void consensus__term_adopt(struct consensus *c, uint64_t term, const struct mu_id *from)
{
    bool had_timer = c->role != CONSENSUS_LEADER;

    consensus__note(c, CONSENSUS_T_TERM, from, c->hard.term, term, 0);
    term_set(c, term, &MU_ID_NONE);
    if (c->role != CONSENSUS_OBSERVER) {
        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
    if (!had_timer) {
        consensus__timer_reset(c);
    }
    c->leader = MU_ID_NONE;
    c->leader_heard_ms = 0;
}

/* A valid message of the leader of this term. False: it is not the leader of this term. A leader
 * outside of the own configuration is obeyed: that may be old (spec 2.8). */
bool consensus__follow(struct consensus *c, const struct consensus_msg *m)
{
    MU_ASSERT(m->term == c->hard.term);
    if (!mu_id_is_none(&c->leader) && !mu_id_eq(&c->leader, &m->from)) {
        consensus__note(c, CONSENSUS_T_TWO_LEADERS, &m->from, m->term, 0, 0);
        c->counters.messages_dropped++;
        return false;
    }
    if (c->role == CONSENSUS_PRE_CANDIDATE || c->role == CONSENSUS_CANDIDATE) {
        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
    if (mu_id_is_none(&c->leader)) {
        c->leader = m->from;
        consensus__note(c, CONSENSUS_T_LEADER, &m->from, m->term, 0, 0);
    }
    c->leader_heard_ms = c->now_ms;
    c->contact_ms = c->now_ms;
    consensus__timer_reset(c);
    return true;
}

/* Stickiness (spec 2.3): it heard a live leader, or is one that its quorum still hears. The absence
 * of a leader's name is not a leader (row 7). */
bool consensus__is_sticky(const struct consensus *c)
{
    if (c->role == CONSENSUS_LEADER) {
        return consensus__has_quorum(c);
    }
    return !mu_id_is_none(&c->leader) &&
           c->now_ms - c->leader_heard_ms < c->options.election_ms_min;
}

/* -- asking -------------------------------------------------------------------------------- */

/* To every voter that has not answered yet. Lost requests are repeated, votes are idempotent. */
static void ask(struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    bool is_prevote = c->role == CONSENSUS_PRE_CANDIDATE;

    for (uint32_t i = 0; i < now->servers_count; i++) {
        if (i == c->self || !consensus_server_votes(&now->servers[i]) ||
            (c->campaign.votes & BIT(i))) {
            continue;
        }
        struct consensus_msg *m = consensus__send(
            c, is_prevote ? CONSENSUS_PREVOTE_REQ : CONSENSUS_VOTE_REQ, &now->servers[i].id);

        m->ask.next_term = c->hard.term + is_prevote;
        m->ask.last_index = c->log.last_index;
        m->ask.last_term = consensus__log_last_term(c);
        m->ask.round = is_prevote ? c->round : 0;
        m->ask.transfer_term = c->campaign.transfer_term;
    }
    c->campaign.has_asked = true;
    c->campaign.ask_at_ms = c->now_ms + c->options.heartbeat_ms;
}

static void prevote_begin(struct consensus *c)
{
    consensus__role_move(c, CONSENSUS_PRE_CANDIDATE);
    consensus__timer_reset(c);
    c->counters.prevotes_started++;
    c->round++;
    c->campaign.votes = BIT(c->self);
    consensus__note(c, CONSENSUS_T_TIMEOUT, NULL, c->hard.term + 1, c->log.last_index,
                    consensus__log_last_term(c));
    ask(c);
}

/* The own vote goes through the disk like everybody's; requests leave after it (O1). */
static void campaign(struct consensus *c)
{
    consensus__role_move(c, CONSENSUS_CANDIDATE);
    term_set(c, c->hard.term + 1, &c->options.server);
    timer_reset_for_votes(c);
    c->counters.elections_started++;
    consensus__note(c, CONSENSUS_T_CAMPAIGN, NULL, c->hard.term, c->log.last_index,
                    consensus__log_last_term(c));
}

void consensus__campaign_at_once(struct consensus *c)
{
    uint64_t asked_in = c->hard.term;

    campaign(c);
    c->campaign.transfer_term = asked_in;
}

/* No campaign, and no office; perhaps later. */
static void stay_out(struct consensus *c)
{
    consensus__role_move(c, CONSENSUS_FOLLOWER);
    c->leader = MU_ID_NONE;
    consensus__timer_reset(c);
}

/* Why not, if for a reason that may begin during a campaign. Whose disk stands still would only add
 * an entry that it cannot write, and give up the office at once; whose memory is full of what it
 * was asked for and has not applied has no place for that entry. */
static bool is_unfit(struct consensus *c, bool has_stalled)
{
    if (has_stalled) {
        consensus__note(c, CONSENSUS_T_HOLDS_BACK, NULL, 0, 0, 0);
        return true;
    }
    if (consensus__log_is_full(c)) {
        consensus__note(c, CONSENSUS_T_FULL, NULL, c->applied, c->commit, 0);
        return true;
    }
    return false;
}

static void timeout(struct consensus *c)
{
    enum consensus_health health = consensus__health(c);

    if (is_unfit(c, health != CONSENSUS_STORE_OK && health != CONSENSUS_STORE_FULL)) {
        stay_out(c);
        return;
    }
    if (c->floor_index != 0) { /* it would win over those who have what it lost */
        consensus__note(c, CONSENSUS_T_HOLED, NULL, c->log.last_index, c->floor_index,
                        c->floor_term);
        stay_out(c);
        return;
    }
    if (consensus__is_installing(c)) { /* its log, or its state, is about to begin anew */
        stay_out(c);
        return;
    }
    prevote_begin(c);
}

static bool is_asking(const struct consensus *c)
{
    return c->role == CONSENSUS_PRE_CANDIDATE || c->role == CONSENSUS_CANDIDATE;
}

static void win(struct consensus *c)
{
    if (is_unfit(c, consensus__has_stalled(c))) {
        stay_out(c);
    } else {
        consensus__lead(c);
    }
}

void consensus__election_run(struct consensus *c)
{
    if (c->role == CONSENSUS_LEADER || c->role == CONSENSUS_OBSERVER) {
        return;
    }
    if (c->now_ms >= c->election_at_ms) {
        timeout(c);
    }
    if (c->role == CONSENSUS_PRE_CANDIDATE && c->health != CONSENSUS_STORE_READ_ONLY &&
        consensus__quorum_of(consensus__config(c), c->campaign.votes)) {
        campaign(c); /* in the same step: no term can change between the two (row 9) */
    }
    if (c->role == CONSENSUS_CANDIDATE && !c->campaign.has_asked &&
        c->writes.persisted_seq >= c->writes.vote_seq) {
        c->campaign.votes |= BIT(c->self);
        ask(c);
    }
    if (c->role == CONSENSUS_CANDIDATE &&
        consensus__quorum_of(consensus__config(c), c->campaign.votes)) {
        win(c);
    }
    if (is_asking(c) && c->campaign.has_asked && c->now_ms >= c->campaign.ask_at_ms) {
        ask(c);
    }
}

/* -- answering ----------------------------------------------------------------------------- */

/* Is the asker's log at least as new as what is in memory here? Whatever was ever acknowledged is
 * in it, or was rightly overwritten by a later leader. */
static bool log_is_older(const struct consensus *c, const struct consensus_msg *m)
{
    uint64_t term;
    uint64_t index;

    consensus__log_claim(c, &term, &index);
    return m->ask.last_term < term || (m->ask.last_term == term && m->ask.last_index < index);
}

static bool voted_for_another(const struct consensus *c, const struct mu_id *asker)
{
    return !mu_id_is_none(&c->hard.voted_for) && !mu_id_eq(&c->hard.voted_for, asker);
}

/* Nobody has an entry of a term later than its own, or asks for another term than the next. */
static bool ask_is_sane(struct consensus *c, const struct consensus_msg *m, uint64_t next_term)
{
    if (m->ask.next_term == next_term && m->ask.last_term <= m->term) {
        return true;
    }
    consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
    c->counters.messages_dropped++;
    return false;
}

/* Would it be elected? Nothing changes by this question: no term, no vote, no timer, no disk. */
void consensus__on_prevote_req(struct consensus *c, const struct consensus_msg *m)
{
    enum consensus_vote_why why = CONSENSUS_VOTE_TERM;
    bool is_granted = false;

    if (!ask_is_sane(c, m, m->term + 1)) {
        return;
    }
    if (m->ask.next_term < c->hard.term) {
        why = CONSENSUS_VOTE_TERM;
    } else if (m->ask.next_term == c->hard.term && voted_for_another(c, &m->from)) {
        why = CONSENSUS_VOTE_VOTED;
    } else if (c->health == CONSENSUS_STORE_READ_ONLY) {
        why = CONSENSUS_VOTE_DISK; /* who counted on it would stand in term after term */
    } else if (log_is_older(c, m)) {
        why = CONSENSUS_VOTE_LOG;
    } else if (consensus__is_sticky(c) && !mu_id_eq(&c->leader, &m->from)) {
        why = CONSENSUS_VOTE_LEADER; /* unless that leader itself asks (row 7) */
    } else if (consensus__promise_forbids(c, m)) {
        why = CONSENSUS_VOTE_PROMISED;
    } else {
        is_granted = true;
    }
    consensus__note(c, is_granted ? CONSENSUS_T_PREVOTE_GIVEN : CONSENSUS_T_PREVOTE_REFUSED,
                    &m->from, m->ask.next_term, why, 0);
    struct consensus_msg *answer = consensus__send(c, CONSENSUS_PREVOTE_RES, &m->from);

    answer->answer.asked_term = m->ask.next_term;
    answer->answer.round = m->ask.round;
    answer->answer.is_granted = is_granted;
}

/* Count one answer, of this term and round and of a voter of the own configuration only; from
 * anybody else it is ignored (row 15). */
static bool count_vote(struct consensus *c, const struct consensus_msg *m)
{
    const struct consensus_config *now = consensus__config(c);
    struct consensus__peer *p = consensus__peer_find(c, &m->from);

    if (!m->answer.is_granted || p == NULL ||
        !consensus_server_votes(&now->servers[p - c->peers])) {
        return false;
    }
    c->campaign.votes |= BIT(p - c->peers);
    return true;
}

void consensus__on_prevote_res(struct consensus *c, const struct consensus_msg *m)
{
    if (c->role == CONSENSUS_PRE_CANDIDATE && m->answer.asked_term == c->hard.term + 1 &&
        m->answer.round == c->round && count_vote(c, m)) {
        consensus__note(c, CONSENSUS_T_PREVOTE_COUNTED, &m->from, m->answer.asked_term, 0, 0);
    }
}

static void vote_refuse(struct consensus *c, const struct consensus_msg *m,
                        enum consensus_vote_why why)
{
    struct consensus_msg *answer = consensus__send(c, CONSENSUS_VOTE_RES, &m->from);

    answer->answer.asked_term = m->term; /* refusing needs no disk (O5) */
    consensus__note(c, CONSENSUS_T_VOTE_REFUSED, &m->from, m->term, why, 0);
}

/* Also a repeated request passes all checks again: the log may have been shortened since (row 2).
 */
void consensus__on_vote_req(struct consensus *c, const struct consensus_msg *m)
{
    if (!ask_is_sane(c, m, m->term)) {
        return;
    }
    if (m->term < c->hard.term) {
        vote_refuse(c, m, CONSENSUS_VOTE_TERM);
    } else if (voted_for_another(c, &m->from)) {
        vote_refuse(c, m, CONSENSUS_VOTE_VOTED);
    } else if (!mu_id_is_none(&c->leader) && !mu_id_eq(&c->leader, &m->from)) {
        vote_refuse(c, m, CONSENSUS_VOTE_LEADER);
    } else if (consensus__promise_forbids(c, m)) {
        vote_refuse(c, m, CONSENSUS_VOTE_PROMISED); /* of this term it may know from elsewhere */
    } else if (c->health == CONSENSUS_STORE_READ_ONLY) {
        vote_refuse(c, m, CONSENSUS_VOTE_DISK);
    } else if (log_is_older(c, m)) {
        vote_refuse(c, m, CONSENSUS_VOTE_LOG);
    } else {
        if (mu_id_is_none(&c->hard.voted_for)) {
            c->hard.voted_for = m->from;
            c->writes.vote_seq = c->writes.next_seq;
            consensus__write_hard(c);
        }
        consensus__note(c, CONSENSUS_T_VOTE_GIVEN, &m->from, m->term, 0, 0);
        timer_reset_for_votes(c);
        consensus__reply_when(c, &(struct consensus__pending){
                                     .seq = c->writes.vote_seq, /* O2 */
                                     .kind = CONSENSUS_VOTE_RES,
                                     .to = m->from,
                                 });
    }
}

/* asked_term must be the own term: late answers to an older campaign do not count (row 4). Nor do
 * those to a question that was not asked: it leaves behind the own vote (O1). */
void consensus__on_vote_res(struct consensus *c, const struct consensus_msg *m)
{
    if (c->role == CONSENSUS_CANDIDATE && c->campaign.has_asked &&
        m->answer.asked_term == c->hard.term && count_vote(c, m)) {
        consensus__note(c, CONSENSUS_T_VOTE_COUNTED, &m->from, m->term, 0, 0);
    }
}
