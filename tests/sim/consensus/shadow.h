/* shadow.h - Raft as the thesis has it, judging what the cores do (spec/consensus.md 4.7, I23).
 *
 * The shadow knows no core. It holds the abstract state of the whole cluster: for each server a
 * term, a vote, a role, a log of (term, content), the sets of votes and acks it was given; and all
 * messages that were ever sent. It is shown one record for each step of a server, in terms of what
 * its driver sees, and says whether the actions of figure 3.1 and chapter 4 of Ongaro's thesis can
 * explain it.
 *
 * Where muster deviates on purpose:
 *   pre-vote            a server stands only when a quorum of voters would vote for it (9.6)
 *   check-quorum        a leader may step down in its term
 *   stickiness          a request for votes may be ignored
 *   transfer            asked by its leader a server stands without a pre-vote (3.10)
 *   partial take        a follower takes as many of the entries as it has room for
 *   known prefix        below its commit index a follower compares no terms
 *   heartbeats          carry a commit index that the leader has clamped to the acked match
 *   read index          a quorum of answers to heartbeats sent later confirms a read (6.4)
 *   leases              a quorum that promised to elect nobody else does, too; until when that
 *                       holds is for checks.c (I18), as the shadow knows no time
 *   joint steps         left by whatever leader finds one committed (4.3)
 *   compaction          the shadow forgets nothing; a snapshot brings what is committed
 */
#ifndef SIM_CONSENSUS_SHADOW_H
#define SIM_CONSENSUS_SHADOW_H

#include "consensus/consensus.h"

#define SHADOW_SERVERS_MAX 8

struct shadow_entry {
    uint64_t term, content; /* content: stands for the payload; of a configuration: config_of() */
    enum consensus_entry_kind kind;
};

struct shadow_message {
    struct consensus_msg msg; /* append.entries is not looked at */
    const struct shadow_entry *entries;
};

/* One step of one server. Borrowed for the call. */
struct shadow_record {
    uint32_t server; /* its number; id and disk are told at its start */
    enum consensus_event_kind event;
    const struct shadow_message *received; /* RECV, else NULL */
    uint64_t read_ticket;                  /* READ, else 0 */

    /* behind the step */
    enum consensus_role role;
    uint64_t term, commit, stable, base, last; /* base: the log begins behind it */
    struct mu_id voted_for;
    uint64_t first; /* the log from here to `last` is `entries`; above last: as it was */
    const struct shadow_entry *entries;
    const struct shadow_message *sends;
    size_t sends_count;
    const struct consensus_result *results;
    size_t results_count;
};

/* A server begins, or begins again, with what its disk has kept. */
struct shadow_start {
    uint32_t server;
    struct mu_id id, disk;
    uint64_t term;
    struct mu_id voted_for;
    uint64_t base; /* entries up to here are known to be committed */
    uint64_t last;
    uint64_t applied;                   /* by its state, so committed */
    const struct shadow_entry *entries; /* base + 1 .. last */
    bool is_holed; /* what it acknowledged behind `last` it may have lost: its disk is damaged */
};

struct shadow; /* opaque */

typedef const struct consensus_config *shadow_config_fn(const void *data, uint64_t content);

struct shadow *shadow_new(shadow_config_fn *config_of, const void *data);
void shadow_free(struct shadow *s);
/* NULL, or what cannot be explained: a sentence, good until the next call. */
const char *shadow_start(struct shadow *s, const struct shadow_start *r);
const char *shadow_step(struct shadow *s, const struct shadow_record *r);

#endif
