/* propose.c - what becomes an entry, and the one answer that each ticket gets.
 *
 * Admission happens before an entry exists (spec/consensus.md 1.11): what is refused was certainly
 * not accepted and may be repeated by anybody. What was appended is COMMITTED, or LOST when the
 * office ends first: then nobody here knows what becomes of it.
 */
#include "base/assert.h"
#include "core.h"

static const char *const refusals[CONSENSUS_REFUSALS] = {
    [CONSENSUS_NOT_REFUSED] = "not refused",
    [CONSENSUS_BUSY_PROPOSALS] = "too many proposals",
    [CONSENSUS_BUSY_STORE] = "too many writes outstanding",
    [CONSENSUS_BUSY_APPLY] = "apply does not keep up",
    [CONSENSUS_BUSY_READS] = "too many reads",
    [CONSENSUS_NO_QUORUM] = "no quorum",
    [CONSENSUS_DISK_SLOW] = "disk is slow",
    [CONSENSUS_DISK_FULL] = "disk is full",
    [CONSENSUS_DISK_READ_ONLY] = "disk is read-only",
    [CONSENSUS_STATE_SPLIT] = "the states of the servers differ",
    [CONSENSUS_STATE_LOST] = "the leader has lost its state and gives its office to another",
    [CONSENSUS_TRANSFERRING] = "leadership is being given away",
    [CONSENSUS_TRANSFER_NOBODY] = "no other voter is fit to lead",
    [CONSENSUS_TRANSFER_TARGET] = "not another voter of the cluster",
    [CONSENSUS_TRANSFER_LATE] = "the other server did not take over in time",
    [CONSENSUS_CHANGE_EARLY] = "the leader has not committed an entry of its own term yet",
    [CONSENSUS_CHANGE_RUNNING] = "another change of the configuration is under way",
    [CONSENSUS_CHANGE_UNKNOWN] = "no such server",
    [CONSENSUS_CHANGE_EXISTS] = "a server of this id is there already",
    [CONSENSUS_CHANGE_ROLE] = "the server does not have the role for it",
    [CONSENSUS_CHANGE_BEHIND] = "the server has not caught up with the log",
    [CONSENSUS_CHANGE_LAST] = "it is the last voter",
    [CONSENSUS_CHANGE_FULL] = "the cluster has as many as it may have",
    [CONSENSUS_CHANGE_REMOVED] =
        ("a server with this disk was removed: with an empty data directory "
         "it may join as a new one"),
    [CONSENSUS_CHANGE_UNHEALTHY] = "too few of the remaining voters answer to be a quorum",
    [CONSENSUS_CHANGE_NOTHING] = "it is so already",
    [CONSENSUS_CHANGE_LEVEL] =
        "the server does not understand commands that the cluster uses already: "
        "it runs an older version",
    [CONSENSUS_LEVEL_LOW] = "not every server understands this command yet",
};

const char *consensus_refusal_text(enum consensus_refusal why)
{
    MU_ASSERT((size_t)why < MU_LEN(refusals));
    return refusals[why];
}

static uint64_t bytes_of(const struct consensus_event *ev)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < ev->propose.count; i++) {
        bytes += ev->propose.proposals[i].bytes;
    }
    return bytes;
}

static bool is_relief(const struct consensus_event *ev)
{
    for (size_t i = 0; i < ev->propose.count; i++) {
        if (!ev->propose.proposals[i].is_relief) {
            return false;
        }
    }
    return true;
}

static enum consensus_refusal refusal_of_store(const struct consensus *c,
                                               const struct consensus_event *ev)
{
    switch (consensus__health(c)) {
    case CONSENSUS_STORE_OK: break;
    case CONSENSUS_STORE_SLOW:
    case CONSENSUS_STORE_FAILED: return CONSENSUS_DISK_SLOW;
    case CONSENSUS_STORE_READ_ONLY: return CONSENSUS_DISK_READ_ONLY;
    case CONSENSUS_STORE_FULL:
        if (!is_relief(ev)) {
            return CONSENSUS_DISK_FULL;
        }
        break;
    }
    return consensus__write_has_room(c) ? CONSENSUS_NOT_REFUSED : CONSENSUS_BUSY_STORE;
}

/* The reasons of the table in spec 1.11, in the order a client would want to hear them. */
static enum consensus_refusal refusal_of(const struct consensus *c,
                                         const struct consensus_event *ev)
{
    uint64_t bytes = bytes_of(ev);
    uint64_t uncommitted = c->log.last_index - c->commit;
    enum consensus_refusal store = refusal_of_store(c, ev);

    if (c->office.transfer.is_running) {
        return CONSENSUS_TRANSFERRING;
    }
    if (c->lacks_state) {
        return CONSENSUS_STATE_LOST;
    }
    if (!consensus__has_quorum(c)) {
        return CONSENSUS_NO_QUORUM;
    }
    if (c->office.is_split) {
        return CONSENSUS_STATE_SPLIT;
    }
    if (store != CONSENSUS_NOT_REFUSED) {
        return store;
    }
    if (c->commit - c->applied > c->options.apply_lag_max) {
        return CONSENSUS_BUSY_APPLY;
    }
    /* the first of a quiet pipe is always admitted: a cap below one entry must not stand still */
    if (uncommitted + ev->propose.count > c->options.proposals_max ||
        (c->log.uncommitted_bytes > 0 && bytes > 0 &&
         c->log.uncommitted_bytes + bytes > c->options.uncommitted_bytes_max) ||
        !consensus__log_has_room(c, ev->propose.count, 0, CONSENSUS_TAIL_RESERVED)) {
        return CONSENSUS_BUSY_PROPOSALS;
    }
    return CONSENSUS_NOT_REFUSED;
}

/* What is refused gives its handle back. */
static void refuse_one(struct consensus *c, const struct consensus_proposal *p,
                       enum consensus_outcome outcome, enum consensus_refusal why)
{
    c->counters.refused++;
    consensus__result(c, p->ticket, outcome, why, 0);
    consensus__drop(c, p->handle);
}

/* All of them; by its level a command is refused by itself. */
static void refuse(struct consensus *c, const struct consensus_event *ev,
                   enum consensus_outcome outcome, enum consensus_refusal why)
{
    for (size_t i = 0; i < ev->propose.count; i++) {
        refuse_one(c, &ev->propose.proposals[i], outcome, why);
    }
}

static void push(struct consensus *c, const struct consensus_proposal *p, uint64_t index)
{
    if (p->is_awaited) {
        consensus__push_at_once(c, index);
    }
    consensus__log_push(c, &(struct consensus_entry){
                               .index = index,
                               .term = c->hard.term,
                               .ticket = p->ticket,
                               .bytes = p->bytes,
                               .handle = p->handle,
                               .kind = CONSENSUS_COMMAND,
                           });
}

void consensus__on_propose(struct consensus *c, const struct consensus_event *ev)
{
    MU_ASSERT(ev->propose.count >= 1 && ev->propose.count <= CONSENSUS_ENTRIES_MAX);
    if (c->role != CONSENSUS_LEADER) {
        refuse(c, ev, CONSENSUS_NOT_LEADER, CONSENSUS_NOT_REFUSED);
        return;
    }
    enum consensus_refusal why = refusal_of(c, ev);
    uint64_t first = c->log.last_index + 1;

    if (why != CONSENSUS_NOT_REFUSED) {
        refuse(c, ev, CONSENSUS_REFUSED, why);
        return;
    }
    size_t count = 0;
    uint64_t bytes = 0;

    for (size_t i = 0; i < ev->propose.count; i++) {
        const struct consensus_proposal *p = &ev->propose.proposals[i];

        MU_ASSERT(p->ticket > 0);
        if (p->level > consensus__level(c)) {
            refuse_one(c, p, CONSENSUS_REFUSED, CONSENSUS_LEVEL_LOW);
            continue;
        }
        push(c, p, first + count);
        bytes += p->bytes;
        count++;
    }
    if (count > 0) {
        c->office.load += consensus__load(count, bytes);
        consensus__write_entries(c, first, bytes);
    }
}

/* Everything uncommitted: its outcome is open from now on. */
void consensus__tickets_lose(struct consensus *c)
{
    MU_ASSERT(c->lost_next > c->lost_last);
    c->lost_next = c->commit + 1 > c->log.tail_first ? c->commit + 1 : c->log.tail_first;
    c->lost_last = c->log.last_index;
}

static void answer(struct consensus *c, uint64_t index, enum consensus_outcome outcome)
{
    uint64_t *ticket = consensus__log_ticket(c, index);

    if (*ticket == 0) {
        return; /* an entry of somebody else, or a no-op */
    }
    consensus__result(c, *ticket, outcome, CONSENSUS_NOT_REFUSED, index);
    if (outcome == CONSENSUS_LOST) {
        *ticket = 0; /* whoever waited has been told; apply must not find it again */
    }
}

/* Is nobody left who waits for an entry that may now be overwritten? */
bool consensus__tickets_are_told(struct consensus *c)
{
    consensus__tickets_drain(c);
    return c->lost_next > c->lost_last;
}

void consensus__tickets_drain(struct consensus *c)
{
    if (c->answered + 1 < c->log.tail_first) { /* of an earlier boot: nobody waits */
        uint64_t below = c->log.tail_first - 1;

        c->answered = below < c->commit ? below : c->commit;
    }
    while (c->answered < c->commit && consensus__results_have_room(c)) {
        answer(c, ++c->answered, CONSENSUS_COMMITTED);
    }
    /* The message that ends an office may also bring the commit of its entries: these are not lost.
     */
    if (c->lost_next <= c->answered) {
        c->lost_next = c->answered + 1;
    }
    if (c->lost_next < c->log.tail_first) { /* what was let go had no ticket */
        c->lost_next = c->log.tail_first;
    }
    while (c->answered == c->commit && c->lost_next <= c->lost_last &&
           consensus__results_have_room(c)) {
        answer(c, c->lost_next++, CONSENSUS_LOST);
    }
    c->wants_again |= c->answered < c->commit || c->lost_next <= c->lost_last;
}
