/* work.h - the server that a step is made with: its disk and its core, and their normal form. */
#ifndef SIM_EXPLORE_WORK_H
#define SIM_EXPLORE_WORK_H

#include "explore.h"

#define X__NOW UINT64_C(1000000)

struct x__write { /* under way to the disk */
    struct consensus_write write;
    struct x_entry entries[X_LOG_MAX];
};

/* A server outside of its core. */
struct x__head {
    struct consensus_hard hard; /* on the disk, as the entries */
    struct x_entry disk[X_LOG_MAX];
    uint64_t disk_last;
    struct x__write queue[X_QUEUE_MAX];
    uint64_t queue_count;
    uint64_t commit_to, applied, boots;
    uint8_t votes[X_TERMS_MAX]; /* I2: place + 1 of whom it voted for, for all times */
    uint64_t is_dead;
    /* On the disk, too: the log begins behind `base`; what was below stays in the array for those
     * who check. The state, and the one that is to take its place (0: none), with what it is of. */
    uint64_t base, state, next;
    struct x_entry imported[X_LOG_MAX];
};

#define X__HEAD_BYTES ((sizeof(struct x__head) + 15) & ~(size_t)15)

/* The server in the works: head and arena in one piece. */
struct x__work {
    struct x__head *head;
    struct consensus *core;
    uint32_t place;
    size_t bytes;       /* of the head and the state of the arena: what is kept */
    size_t arena_bytes; /* with its scratch */
};

struct x__snapshot { /* without its zeroes: a bit a word, then the words */
    uint64_t *words;
};

/* -- node.c ----------------------------------------------------------------------------------- */

void x__feed(struct x__work *w, struct consensus_event ev);
void x__fault(const char *fmt, ...) MU_PRINTF(1, 2);

/* -- snap.c ----------------------------------------------------------------------------------- */

/* What the owner of a core does about snapshots: one message brings all of it. */
void x__order(struct x__work *w, const struct consensus_snap_order *o);
void x__compact(struct x__work *w, uint32_t arg); /* the event X_COMPACT */
void x__compacted(struct x__work *w, uint64_t index);
/* Which state counts when it starts again. */
void x__state_open(struct x__work *w);
/* The newest configuration up to `index`: its index. */
uint64_t x__config_of(const struct x_entry *log, uint64_t index);
const struct x_entry *x__snap_entries(const struct consensus_snap *snap);

/* -- tell.c ----------------------------------------------------------------------------------- */

void x__tell_effects(const struct x__work *w, const struct consensus_effects *fx);

/* -- form.c ----------------------------------------------------------------------------------- */

static inline uint32_t x__place_of(const struct mu_id *id)
{
    return id->b[0] - 1U;
}

/* What tells copies of a state apart and nothing else is made equal. */
void x__normal_form(struct x__work *w, bool has_prevote);
struct x__snapshot x__compress(const struct x__work *w);
void x__expand(struct x__work *w, struct x__snapshot s);
struct x_face x__face(const struct x__work *w);

#endif
