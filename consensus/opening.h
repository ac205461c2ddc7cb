/* opening.h - a journal while it is being found again: between journal_open.c and journal_bridge.c.
 */
#ifndef CONSENSUS_OPENING_H
#define CONSENSUS_OPENING_H

#include "journal.h"

struct opening {
    struct consensus_journal *j;
    struct consensus_journal_found *found;
    struct consensus_journal_scan scan;

    struct mu_buf bytes;   /* of the segment being walked */
    struct mu_buf pending; /* records of the newest intact batch, not taken over yet */
    uint64_t pending_seq, pending_offset;
    uint32_t pending_prev_crc;
    bool has_pending;
    bool has_base;     /* it is known where the log begins */
    uint64_t expected; /* sequence number of the next batch; 0: any, it is the first */
    uint32_t prev_crc;
    uint64_t offset; /* where the walk stands in the current segment */

    bool is_end_lost;     /* the last ones are missing, and it is known what they came to */
    bool is_torn_open;    /* batches are missing right before the next one */
    bool is_pending_torn; /* and right before the pending one */
    bool is_bridged;      /* since the last entry: no read may walk over the damage */
    uint64_t damaged_number, damaged_offset; /* the first of them: file and place */
    uint64_t damaged_last;                   /* the file of the last */
    /* What was lost is needed: the log has to restart behind the state. Until then only its end is
     * followed. */
    bool is_astray;
    struct consensus_position end;
};

/* The log begins anew behind this position; or ends before an index. */
void consensus__opening_restart(struct opening *o, const struct consensus_position *at);
void consensus__opening_cut(struct consensus_journal_found *f, uint64_t from);

/* Something is missing from here on, up to the next intact batch. */
void consensus__bridge_from(struct opening *o, uint64_t number, uint64_t offset);
/* Before the pending batch is taken over: does it follow what is known, and if not, what is lost?
 */
MU_MUST_CHECK enum mu_code consensus__bridge_pending(struct opening *o, struct mu_err *err);
/* The same for what meta says of an end that is missing. */
MU_MUST_CHECK enum mu_code consensus__bridge(struct opening *o, const struct consensus_standing *s,
                                             struct mu_err *err);
/* MU_CORRUPT: the place of the first damage, and what to do. */
enum mu_code consensus__bridge_refuse(const struct opening *o, const char *what,
                                      struct mu_err *err);

/* The open went astray: begin behind what the state has. */
MU_MUST_CHECK enum mu_code consensus__restart_behind_state(struct opening *o, struct mu_err *err);
/* The end is damaged and nothing that counts is lost: go on where nothing is. */
MU_MUST_CHECK enum mu_code consensus__continue_elsewhere(struct opening *o, struct mu_err *err);

#endif
