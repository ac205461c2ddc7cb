#include "membership.h"

#include <string.h>

_Static_assert(MU_ADDR_TEXT_MAX <= CONSENSUS_ADDRESS_MAX, "every address has room");

/* Two members with one id: which of them is it? Not decidable, so neither (spec 2.11). */
static bool is_claimed_twice(const struct membership_server *servers, size_t count, size_t i)
{
    for (size_t j = 0; j < count; j++) {
        if (j != i && servers[j].is_alive && mu_id_eq(&servers[j].node, &servers[i].node)) {
            return true;
        }
    }
    return false;
}

/* Alive, with a disk, of this cluster or of none. One of this cluster that the configuration does
 * not name was added by an entry that is lost. */
static bool is_candidate(const struct membership_server *s, const struct mu_id *cluster)
{
    return s->is_alive && !mu_id_is_none(&s->disk) &&
           (mu_id_is_none(&s->cluster) || mu_id_eq(&s->cluster, cluster));
}

static struct consensus_change change_of(enum consensus_change_kind kind,
                                         const struct membership_server *s)
{
    struct consensus_change change = { .kind = kind, .server = s->node, .disk = s->disk };

    memcpy(change.address, s->address, sizeof s->address);
    return change;
}

static enum membership_verdict next_of(const struct consensus_config *config,
                                       const struct membership_server *s,
                                       struct consensus_change *out)
{
    const struct consensus_server *known = consensus_config_find(config, &s->node);

    if (known == NULL) {
        *out = change_of(CONSENSUS_ADD, s);
        return consensus_config_has_removed(config, &s->disk) ? MEMBERSHIP_SETTLED
                                                              : MEMBERSHIP_CHANGES;
    }
    if (!mu_id_eq(&known->disk, &s->disk)) {
        *out = change_of(CONSENSUS_REMOVE, s);
        out->disk = known->disk;
        return s->is_heard ? MEMBERSHIP_WAITS : MEMBERSHIP_CHANGES;
    }
    *out = change_of(CONSENSUS_SET, s);
    out->priority = known->priority;
    return strcmp(known->address, s->address) == 0 ? MEMBERSHIP_SETTLED : MEMBERSHIP_CHANGES;
}

enum membership_verdict membership_next(const struct consensus_config *config,
                                        const struct mu_id *cluster,
                                        const struct membership_server *servers, size_t count,
                                        struct consensus_change *out)
{
    enum membership_verdict all = MEMBERSHIP_SETTLED;

    for (size_t i = 0; i < count; i++) {
        struct consensus_change change;

        if (!is_candidate(&servers[i], cluster) || is_claimed_twice(servers, count, i)) {
            continue;
        }
        enum membership_verdict one = next_of(config, &servers[i], &change);

        if (one == MEMBERSHIP_CHANGES && (all != one || change.kind != CONSENSUS_SET)) {
            *out = change;
        }
        all = one > all ? one : all;
        if (one == MEMBERSHIP_CHANGES && change.kind != CONSENSUS_SET) {
            break; /* addresses can wait */
        }
    }
    return all;
}
