/* lease.c - until when no other leader can be elected (spec/consensus.md 2.7).
 *
 *   leader:   heartbeat n, sent at t, wants a promise      a quorum has promised as n asked:
 *             |                                            the lease lasts until t + lease
 *   voter:    '--> promises: no vote to others until its arrival + promise
 *
 *   lease = (1 - drift) * promise, so that it is over before the first promise is, by whatever
 *   clock. It counts from when the heartbeat was sent, never from when its answer came: that may
 *   have been under way for long (row 68).
 *
 * A promise outlives the term it was given in, since a newer one may be heard of from anybody. A
 * crash forgets it; so a voter that has just begun gives no vote for as long as a promise lasts,
 * nor stands at once as the only one, unless it was that before (step.c). It binds nobody whom the
 * leader itself asked to stand; a leader that has done so has no lease any more in that term. A
 * change of the configuration asks for new promises, for two changes in a row could lead to a
 * quorum that meets no one who promised.
 */
#include "base/assert.h"
#include "core.h"

/* What the two roundings to whole milliseconds may add up to. */
#define ROUNDING_MS 2U

static uint64_t lease_ms(const struct consensus *c)
{
    uint64_t ms = (uint64_t)c->options.election_ms_min * (100 - CONSENSUS_LEASE_DRIFT) / 100;

    return ms > ROUNDING_MS ? ms - ROUNDING_MS : 0;
}

/* -- leader -------------------------------------------------------------------------------- */

uint32_t consensus__lease_round(struct consensus *c)
{
    c->office.lease.sent_ms[c->office.read_seq % CONSENSUS_ROUNDS_MAX] = c->now_ms;
    return c->options.has_leases ? c->options.election_ms_min : 0;
}

void consensus__lease_run(struct consensus *c)
{
    struct consensus__lease *lease = &c->office.lease;
    uint64_t values[CONSENSUS_PEERS_MAX];

    if (!c->options.has_leases) {
        return;
    }
    for (uint32_t i = 0; i < CONSENSUS_PEERS_MAX; i++) {
        values[i] = i == c->self ? c->office.read_seq : c->peers[i].promise_echo;
    }
    uint64_t seq = consensus__quorum_value(consensus__config(c), values);

    if (seq == 0 || seq < lease->seq_min || c->office.read_seq - seq >= CONSENSUS_ROUNDS_MAX) {
        return;
    }
    uint64_t until_ms = lease->sent_ms[seq % CONSENSUS_ROUNDS_MAX] + lease_ms(c);

    lease->until_ms = until_ms > lease->until_ms ? until_ms : lease->until_ms;
}

void consensus__lease_break(struct consensus *c)
{
    c->office.lease.until_ms = 0;
    c->office.lease.seq_min = c->office.read_seq + 1;
}

bool consensus__lease_holds(const struct consensus *c, uint64_t now_ms)
{
    return c->role == CONSENSUS_LEADER && now_ms < c->office.lease.until_ms &&
           !c->office.lease.is_over && !c->office.transfer.is_running;
}

/* -- voter --------------------------------------------------------------------------------- */

/* For longer than its own silence after a start it cannot: that covers no longer promises. */
bool consensus__promise(struct consensus *c, const struct consensus_msg *heartbeat)
{
    uint32_t ms = heartbeat->heartbeat.promise_ms;

    if (ms == 0 || ms > c->options.election_ms_min) {
        return false;
    }
    c->promised_to = heartbeat->from;
    c->promised_term = heartbeat->term;
    c->promised_until_ms = c->now_ms + ms;
    return true;
}

bool consensus__promise_forbids(const struct consensus *c, const struct consensus_msg *ask)
{
    bool is_bound = c->now_ms < c->promised_until_ms && !mu_id_eq(&c->promised_to, &ask->from);
    bool is_asked = ask->ask.transfer_term != 0 && ask->ask.transfer_term >= c->promised_term;

    return (is_bound || c->now_ms < c->quiet_until_ms) && !is_asked;
}

/* A clock that jumped may have ended one before its time. */
void consensus__promise_renew(struct consensus *c, uint64_t since_ms)
{
    if (c->promised_until_ms > since_ms) {
        c->promised_until_ms = c->now_ms + c->options.election_ms_min;
    }
    if (c->quiet_until_ms > since_ms) {
        c->quiet_until_ms = c->now_ms + c->options.election_ms_min;
    }
}
