/* shadow_core.h - the abstract state, for the two files that judge with it. */
#ifndef SIM_CONSENSUS_SHADOW_CORE_H
#define SIM_CONSENSUS_SHADOW_CORE_H

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "shadow.h"

#define U(v) (unsigned long long)(v) /* for printing */

struct shadow__log { /* entries 1 .. last; at[0] is nothing */
    struct shadow_entry *at;
    uint64_t *config; /* by entry: the newest configuration up to it; 0: there is none */
    uint64_t last, room;
};

struct shadow__server {
    bool is_known;
    struct mu_id id, disk;
    uint64_t term;
    struct mu_id voted_for;
    enum consensus_role role;
    struct shadow__log log;
    uint64_t commit;

    /* volatile, of this term */
    uint32_t votes, prevotes;             /* bits of servers that said yes */
    uint64_t prevote_term, prevote_round; /* of its last question */
    bool is_invited;                      /* by its leader: TIMEOUT_NOW */
    struct mu_id by[SHADOW_SERVERS_MAX];  /* the disks that said so */
    uint64_t match[SHADOW_SERVERS_MAX];   /* acked to it as leader */
    uint64_t echo[SHADOW_SERVERS_MAX];    /* the highest round answered */
    uint32_t promises;                    /* bits of servers that promised in some round */
    uint64_t round;                       /* the highest it has sent */
    uint64_t verified;                    /* its log is the leader's up to here */
    struct {
        uint64_t index, term;
    } offered[16]; /* snapshots, the newest of them */
    uint32_t offered_next;

    /* what it has said and may not forget */
    uint64_t acked;
    uint64_t spoken_term;
    struct mu_id spoken_vote;

    struct {
        uint64_t ticket, round;
    } reads[256]; /* asked at this round */
    size_t reads_count;
};

struct shadow {
    shadow_config_fn *config_of;
    const void *config_data;
    struct shadow__server servers[SHADOW_SERVERS_MAX];
    struct shadow__log committed;
    uint64_t *sent; /* hashes of all messages, open addressing */
    size_t sent_count, sent_room;
    char why[256];
};

const char *shadow__no(struct shadow *s, const char *fmt, ...) MU_PRINTF(2, 3);
const struct consensus_config *shadow__config(const struct shadow *s,
                                              const struct shadow__server *v, uint64_t upto);
bool shadow__is_voter(const struct consensus_config *c, const struct mu_id *id);
/* Are the servers of these bits, which v has heard, a majority in each set of voters? */
bool shadow__quorum(const struct shadow *s, const struct shadow__server *v,
                    const struct consensus_config *c, uint32_t bits);
uint32_t shadow__place(const struct shadow *s, const struct mu_id *id); /* or SHADOW_SERVERS_MAX */
uint64_t shadow__term_at(const struct shadow__server *v, uint64_t index);
bool shadow__entry_eq(const struct shadow_entry *a, const struct shadow_entry *b);

/* shadow_send.c: may it say this, in the state that it is in now? */
const char *shadow__send(struct shadow *s, struct shadow__server *v, enum consensus_role was,
                         const struct shadow_message *m);
bool shadow__was_sent(const struct shadow *s, const struct shadow_message *m);

#endif
