/* commit.c - quorum arithmetic and nothing else.
 *
 * A configuration has one or two sets of voters. A quorum is a majority of *each* of them, never of
 * their union: that elected two leaders elsewhere (spec/consensus.md 2.1, 2.8).
 */
#include "base/assert.h"
#include "core.h"

/* The value that a majority of one set has reached: the (n/2 + 1)th largest. */
static uint64_t set_value(uint64_t *values, size_t count)
{
    MU_ASSERT(count >= 1 && count <= CONSENSUS_PEERS_MAX);
    for (size_t i = 1; i < count; i++) { /* insertion, descending: at most nine */
        uint64_t v = values[i];
        size_t j = i;

        for (; j > 0 && values[j - 1] < v; j--) {
            values[j] = values[j - 1];
        }
        values[j] = v;
    }
    return values[count / 2];
}

uint64_t consensus__quorum_value(const struct consensus_config *config,
                                 const uint64_t values[CONSENSUS_PEERS_MAX])
{
    uint64_t incoming[CONSENSUS_PEERS_MAX];
    uint64_t outgoing[CONSENSUS_PEERS_MAX];
    size_t incoming_count = 0;
    size_t outgoing_count = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (config->servers[i].is_voter) {
            incoming[incoming_count++] = values[i];
        }
        if (config->servers[i].is_voter_old) {
            outgoing[outgoing_count++] = values[i];
        }
    }
    if (incoming_count == 0) {
        return 0; /* fresh: nobody can agree to anything */
    }
    uint64_t value = set_value(incoming, incoming_count);

    if (config->is_joint) {
        uint64_t old = set_value(outgoing, outgoing_count);

        value = old < value ? old : value;
    }
    return value;
}

bool consensus__quorum_of(const struct consensus_config *config, uint32_t bits)
{
    uint64_t values[CONSENSUS_PEERS_MAX] = { 0 };

    for (uint32_t i = 0; i < config->servers_count; i++) {
        values[i] = (bits >> i) & 1U;
    }
    return consensus__quorum_value(config, values) == 1;
}
