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
