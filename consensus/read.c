/* read.c - linearizable reads without a flush (ReadIndex, spec/consensus.md 2.7).
 *
 * A read may be answered from the commit index of its arrival once the leader knows that it was
 * still the leader then: a quorum has answered a heartbeat that was sent later. Reads share a
 * round:
 *
 *   tickets:  [ ready: being answered | flying: wait for echo >= seq | waiting for the next round ]
 *
 * The next round begins when the last is confirmed, so a thousand readers cost one round trip.
 * With a lease (lease.c) none is needed.
 */
#include "base/assert.h"
#include "core.h"

static uint64_t *ticket_at(struct consensus *c, uint32_t i)
{
    uint64_t *tickets = consensus__array(c, c->at.reads);

    return &tickets[(c->reads.head + i) % c->options.reads_max];
}

void consensus__on_read(struct consensus *c, uint64_t ticket)
{
    MU_ASSERT(ticket > 0);
    if (c->role != CONSENSUS_LEADER) {
        consensus__result(c, ticket, CONSENSUS_NOT_LEADER, CONSENSUS_NOT_REFUSED, 0);
        return;
    }
    if (c->reads.count == c->options.reads_max) {
        c->counters.refused++;
        consensus__result(c, ticket, CONSENSUS_REFUSED, CONSENSUS_BUSY_READS, 0);
        return;
    }
    *ticket_at(c, c->reads.count++) = ticket;
}

static void confirm(struct consensus *c)
{
    if (c->reads.flying == 0 || c->reads.ready > 0 ||
        consensus__quorum_read_echo(c) < c->reads.flying_seq) {
        return;
    }
    consensus__note(c, CONSENSUS_T_READS, NULL, c->reads.flying, c->reads.flying_index,
                    c->reads.flying_seq);
    c->reads.ready = c->reads.flying;
    c->reads.ready_index = c->reads.flying_index;
    c->reads.flying = 0;
}

/* Only once an entry of the own term is committed: before that the commit index may lag behind what
 * an earlier leader acknowledged, so reads wait (row 64). */
static void launch(struct consensus *c)
{
    uint32_t waiting = c->reads.count - c->reads.ready - c->reads.flying;

    if (c->office.transfer.is_running) { /* or readers would keep this office alive (row 19) */
        return;
    }
    if (c->reads.flying > 0 || waiting == 0 || !c->office.is_ready) {
        return;
    }
    c->reads.flying = waiting;
    c->reads.flying_index = c->commit; /* not less than at the arrival of each of them */
    c->reads.flying_seq = c->office.read_seq + 1;
    c->office.is_heartbeat_due = true; /* draws that number */
    c->counters.reads_batched++;
}

/* All that are here, also those that wait for a round: nobody else can have committed anything. */
static void answer_by_lease(struct consensus *c)
{
    if (c->reads.count == 0 || c->reads.ready > 0 || !c->office.is_ready ||
        !consensus__lease_holds(c, c->now_ms)) {
        return;
    }
    consensus__note(c, CONSENSUS_T_READS_LEASED, NULL, c->reads.count, c->commit,
                    c->office.lease.until_ms - c->now_ms);
    c->counters.reads_leased += c->reads.count;
    c->reads.ready = c->reads.count;
    c->reads.ready_index = c->commit;
    consensus__push_at_once(c, c->commit); /* no round tells it to a follower that asked for this */
    c->reads.flying = 0;
}

void consensus__reads_run(struct consensus *c)
{
    answer_by_lease(c);
    if (c->office.is_heartbeat_due && c->reads.flying_seq > c->office.read_seq) {
        return; /* launched, and its round not yet drawn */
    }
    confirm(c);
    launch(c);
}

/* After a pause only a round that begins now confirms anything (spec 2.17). */
void consensus__reads_pause(struct consensus *c)
{
    if (c->reads.flying > 0) {
        c->reads.flying_seq = c->office.confirm_seq;
    }
}

/* Leaving the office: nobody waits for a timeout (row 69). */
void consensus__reads_void(struct consensus *c)
{
    c->reads.is_void = c->reads.count > c->reads.ready;
    c->reads.flying = 0;
}

void consensus__reads_drain(struct consensus *c)
{
    while (c->reads.count > 0 && (c->reads.ready > 0 || c->reads.is_void)) {
        if (!consensus__results_have_room(c)) {
            c->wants_again = true;
            return;
        }
        uint64_t ticket = *ticket_at(c, 0);

        c->reads.head = (c->reads.head + 1) % c->options.reads_max;
        c->reads.count--;
        if (c->reads.ready > 0) {
            c->reads.ready--;
            consensus__result(c, ticket, CONSENSUS_READABLE, CONSENSUS_NOT_REFUSED,
                              c->reads.ready_index);
        } else {
            consensus__result(c, ticket, CONSENSUS_NOT_LEADER, CONSENSUS_NOT_REFUSED, 0);
        }
    }
    c->reads.is_void = false;
}
