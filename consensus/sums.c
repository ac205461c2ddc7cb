/* sums.c - do all servers come to the same state? (spec/consensus.md 3.6)
 *
 *   owner    -- SUM(index, hash), now and then -->  the newest of them are kept
 *   leader   -- heartbeat: (index, hash) --------> follower
 *   leader   <- answer: its own hash there ------- follower, if it keeps that index
 *
 * All of a round are asked about one index, so that the leader can tell who agrees with whom, and
 * not only who differs from itself. Who is not among a quorum of equals is the odd one and stops,
 * also when that is the leader. While everybody in sight has answered and there is no such quorum,
 * nobody knows which state is right: no proposal is taken, and it is said aloud. When somebody
 * comes back that could tell, had its start not made it forget the sum, the leader goes on to the
 * next sum by entries without commands. What somebody said stands also when he is gone, but not
 * when he has said that his state is: nobody could go by that any more.
 *
 * Who took a snapshot of another's state is no witness for it: an odd leader would be a majority
 * with the first laggard that it serves, and the good states be given up. So a copy does not count
 * among equals, over restarts and to other leaders, until it has come to a sum that is proven: one
 * that a quorum of witnesses has, or all voters. Then there is no other state left for it to hide,
 * and what differs from now on was not copied. A copy can be odd, like any other.
 *
 *   leader   -- heartbeat: newest proven (index, hash) --> copy: its own there is equal: a witness
 *   leader   <- answer: is it a copy? -------------------- follower
 */
#include <string.h>

#include "base/assert.h"
#include "core.h"

#define BIT(i) (1U << (i))

static bool sum_eq(const struct consensus_sum *a, const struct consensus_sum *b)
{
    return a->index == b->index && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

/* The sum kept for an index; index 0: none is. */
static struct consensus_sum sum_at(const struct consensus *c, uint64_t index)
{
    for (uint32_t i = 0; i < c->sums.count; i++) {
        const struct consensus_sum *s = &c->sums.at[(c->sums.head + i) % CONSENSUS_SUMS_MAX];

        if (s->index == index) {
            return *s;
        }
    }
    return (struct consensus_sum){ .index = 0 };
}

void consensus__on_sum(struct consensus *c, const struct consensus_sum *sum)
{
    struct consensus__sums *s = &c->sums;

    MU_ASSERT(sum->index > s->newest.index);
    s->newest = *sum;
    if (s->count == CONSENSUS_SUMS_MAX) {
        s->head = (s->head + 1) % CONSENSUS_SUMS_MAX;
        s->count--;
    }
    s->at[(s->head + s->count++) % CONSENSUS_SUMS_MAX] = *sum;
}

/* What was added up before it came is of the state that is gone. */
void consensus__sums_copied(struct consensus *c)
{
    c->sums.head = c->sums.count = 0;
    c->sums.is_copy = true;
}

/* There is a sum that surely is right: does the own state come to it? */
static void compare_proven(struct consensus *c, const struct consensus_sum *proven)
{
    struct consensus_sum own = sum_at(c, proven->index);

    if (c->sums.is_copy && proven->index != 0 && sum_eq(&own, proven)) {
        c->sums.is_copy = false;
        consensus__note(c, CONSENSUS_T_STATE_PROVEN, NULL, proven->index, 0, 0);
    }
}

/* -- follower ------------------------------------------------------------------------------ */

struct consensus_sum consensus__sum_answer(struct consensus *c, const struct consensus_msg *m)
{
    const struct consensus_sum *asked = &m->heartbeat.sum;
    struct consensus_sum own = { .index = 0 };

    if (asked->index == 0 || m->term != c->hard.term) {
        return own;
    }
    compare_proven(c, &m->heartbeat.proven);
    own = sum_at(c, asked->index);
    if (own.index == 0 || sum_eq(&own, asked)) {
        return own;
    }
    if (c->sums.told_index != asked->index) {
        c->sums.told_index = asked->index;
        consensus__note(c, CONSENSUS_T_STATE_DIFFERS, &m->from, asked->index, 0, 0);
    }
    if (m->heartbeat.is_odd) {
        consensus__die(c, CONSENSUS_DEATH_DIVERGED);
    }
    return own;
}

/* -- leader -------------------------------------------------------------------------------- */

static const struct consensus_sum *sum_of(const struct consensus *c, uint32_t i)
{
    return i == c->self ? &c->office.asked : &c->peers[i].sum;
}

/* Who has answered this round with the sum of server `like`. */
static uint32_t equal_to(const struct consensus *c, uint32_t like)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (sum_eq(sum_of(c, i), sum_of(c, like))) {
            bits |= BIT(i);
        }
    }
    return bits;
}

/* They have come to their states by themselves, or to one that was proven. */
static uint32_t witnesses(const struct consensus *c)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (!(i == c->self ? c->sums.is_copy : c->peers[i].is_copy)) {
            bits |= BIT(i);
        }
    }
    return bits;
}

/* Does a quorum of witnesses have the sum of server `like`? */
static bool is_right(const struct consensus *c, uint32_t like)
{
    return consensus__quorum_of(consensus__config(c), equal_to(c, like) & witnesses(c));
}

static bool all_voters_in(const struct consensus_config *config, uint32_t bits)
{
    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (consensus_server_votes(&config->servers[i]) && (bits & BIT(i)) == 0) {
            return false;
        }
    }
    return true;
}

/* The leader's sum of this round may be what all go by from now on. */
static void prove(struct consensus *c)
{
    struct consensus__office *o = &c->office;

    if (o->asked.index > o->proven.index &&
        (is_right(c, c->self) || all_voters_in(consensus__config(c), equal_to(c, c->self)))) {
        o->proven = o->asked;
        compare_proven(c, &o->proven);
    }
}

static bool is_there(const struct consensus *c, uint32_t i)
{
    return c->peers[i].acked_ms + c->options.election_ms_min > c->now_ms;
}

/* Has everybody answered that is there to answer? */
static bool is_complete(const struct consensus *c)
{
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (i != c->self && is_there(c, i) && c->peers[i].sum.index != c->office.asked.index) {
            return false;
        }
    }
    return true;
}

/* Some quorum agrees, or nobody knows. is_news: somebody has answered this round for the first
 * time; only then the odd ones are told at once. Each heartbeat brings all answers again, and if
 * each of those brought heartbeats, they would multiply for as long as an odd one does not hear
 * them. */
static void judge(struct consensus *c, bool is_news)
{
    const struct consensus_config *config = consensus__config(c);
    uint32_t own = equal_to(c, c->self);

    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (sum_of(c, i)->index != c->office.asked.index || !is_right(c, i)) {
            continue;
        }
        c->office.is_split = false;
        if ((own & BIT(i)) == 0) {
            consensus__die(c, CONSENSUS_DEATH_DIVERGED);
        }
        c->office.is_heartbeat_due |= is_news; /* the odd ones shall hear it */
        return;
    }
    if (!c->office.is_split && is_complete(c)) {
        c->office.is_split = true;
        consensus__note(c, CONSENSUS_T_STATE_SPLIT, NULL, c->office.asked.index, 0, 0);
    }
}

static bool all_agree(const struct consensus *c)
{
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (sum_of(c, i)->index == c->office.asked.index &&
            !sum_eq(sum_of(c, i), &c->office.asked)) {
            return false;
        }
    }
    return true;
}

static void judge_again(struct consensus *c, bool is_news)
{
    prove(c);
    if (!all_agree(c)) {
        judge(c, is_news); /* again with each answer: somebody who was in sight may be gone */
    } else if (is_complete(c)) {
        c->office.is_split = false;
    }
}

/* It keeps no sum of entries before the copy. Were it waited for, nobody would ever know, once
 * writes are stopped: no entry comes that could be asked about. It contradicts nobody, and is no
 * witness. */
static bool is_silent_copy(const struct consensus *c, const struct consensus_msg *m)
{
    return m->alive.is_copy && !m->alive.lacks_state && m->alive.applied >= c->office.asked.index;
}

void consensus__on_sum_answer(struct consensus *c, struct consensus__peer *p,
                              const struct consensus_msg *m)
{
    const struct consensus_sum *asked = &c->office.asked;
    const struct consensus_sum *said = &m->alive.sum;

    if (p->is_copy != m->alive.is_copy || m->alive.lacks_state) {
        p->is_copy = m->alive.is_copy;
        p->sum = (struct consensus_sum){ .index = 0 }; /* of another state, or taken for granted */
    }
    if (said->index == 0 && is_silent_copy(c, m)) {
        said = asked;
    }
    bool is_news = p->sum.index != said->index;

    if (said->index == 0 || said->index != asked->index) {
        return;
    }
    if (is_news && !sum_eq(said, asked)) {
        consensus__note(c, CONSENSUS_T_STATE_DIFFERS, &p->id, said->index, 0, 0);
    }
    p->sum = *said;
    judge_again(c, is_news);
}

static bool is_late(const struct consensus *c)
{
    return c->now_ms - c->office.asked_ms >= c->options.election_ms_min;
}

/* A new round when the last one is over, or has waited long enough for somebody. */
void consensus__sum_round(struct consensus *c)
{
    struct consensus__office *o = &c->office;
    bool is_over = is_complete(c) || is_late(c);

    if (c->sums.newest.index > o->asked.index && (o->asked.index == 0 || is_over)) {
        o->asked = c->sums.newest;
        o->asked_ms = c->now_ms;
        prove(c); /* alone it needs nobody's answer */
    }
}

/* A voter in sight has this entry in its state, and no sum for it: it was started again since. */
static bool is_forgotten(const struct consensus *c)
{
    const struct consensus_config *config = consensus__config(c);

    for (uint32_t i = 0; i < config->servers_count; i++) {
        const struct consensus__peer *p = &c->peers[i];

        if (i != c->self && consensus_server_votes(&config->servers[i]) && is_there(c, i) &&
            !p->lacks_state && p->sum.index != c->office.asked.index &&
            p->applied >= c->office.asked.index) {
            return true;
        }
    }
    return false;
}

/* Who could end a split has forgotten the sum, and while no proposal is taken the owner makes no
 * other. So the log goes on to the next one without commands: an entry whenever this server has
 * applied all, as long as there is somebody that it may help. */
void consensus__split_run(struct consensus *c)
{
    if (c->office.is_split && c->sums.newest.index == c->office.asked.index &&
        c->applied == c->log.last_index && is_late(c) && is_forgotten(c) &&
        !c->office.transfer.is_running && consensus__health(c) == CONSENSUS_STORE_OK &&
        consensus__write_has_room(c) && consensus__log_has_room(c, 1, 0, CONSENSUS_TAIL_RESERVED)) {
        consensus__push_noop(c);
    }
}

/* It differs, and there is a quorum of others that agree with each other and with the leader. */
bool consensus__sum_is_odd(const struct consensus *c, const struct consensus__peer *p)
{
    return p->sum.index == c->office.asked.index && p->sum.index != 0 &&
           !sum_eq(&p->sum, &c->office.asked) && is_right(c, c->self);
}
