/* apply.h - committed entries into the catalog, beside the loop.
 *
 * What is done is cut into steps. In production a thread takes them (apply_thread.c), a simulator
 * takes them itself (spec/consensus.md 4.2). The apply thread is the only writer of SQLite and its
 * only checkpointer (DESIGN 2.2). The loop hands it committed entries in order; it runs them in
 * transactions of at most MU_APPLY_BATCH_ENTRIES and hands back, per transaction, the results of
 * those that somebody waits for, what changed, and how far it came.
 *
 * Thread:  calls from the loop; `done` and `failed` run on the loop.
 * Memory:  entries are copied in. The report is borrowed.
 * Errors:  a failure of storage ends the steps and is told once through `failed`: the server must
 *          stop, nothing is skipped.
 */
#ifndef AGENT_APPLY_H
#define AGENT_APPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "catalog/catalog.h"
#include "catalog/watch.h"
#include "consensus/consensus.h"

struct uv_loop_s;
struct apply; /* opaque */

struct apply_entry {
    uint64_t index, term;
    uint64_t ticket;        /* 0: nobody here waits for its result */
    uint32_t level;         /* of commands that are allowed from here on; 0: as before */
    struct mu_span command; /* empty: only the applied index moves */
};

struct apply_result {
    uint64_t ticket, index;
    struct catalog_result result;
};

struct apply_report { /* of one transaction */
    const struct apply_result *results;
    size_t results_count;
    const struct catalog_changes *changes; /* NULL: only a checkpoint was made */
    const struct consensus_sum *sums;      /* at multiples of CONSENSUS_SUM_EVERY, ascending */
    size_t sums_count;
    struct catalog_applied applied;
    struct catalog_history history; /* how long that of the keys is */
    struct catalog_schema schema;
    uint64_t durable; /* applied index that is flushed in the state file */
    uint64_t bytes;   /* of that file, in use; 0: not known */
};

typedef void apply_done_fn(void *data, const struct apply_report *report);
typedef void apply_failed_fn(void *data, const char *why);
/* The disk is full: make room, then say apply_relieved(). What could not be applied is tried again
 * then, or after a second; half a minute without success counts as a failure. */
typedef void apply_full_fn(void *data);

/* On a thread of its own. The catalog is given: the thread owns it from now on. */
struct apply *apply_new(struct uv_loop_s *loop, struct catalog *catalog, apply_done_fn *done,
                        apply_failed_fn *failed, apply_full_fn *full, void *data);
void apply_relieved(struct apply *a);
enum mu_code apply_failure(const struct apply *a); /* what it was that `failed` told */
/* Count all rows and say so in the log: another server has other ones. */
void apply_census(struct apply *a);
/* Write what is committed into the file of the state, so that it is durable there: said by a
 * report. When somebody still reads an older state, only as far as that allows. */
void apply_settle(struct apply *a);
void apply_push(struct apply *a, const struct apply_entry *entries, size_t count);
/* The same for entries that nobody waits for: they are taken with what comes next, or when
 * apply_hurry() says so. Many small transactions become one, and many wake-ups none. */
void apply_hold(struct apply *a, const struct apply_entry *entries, size_t count);
void apply_hurry(struct apply *a);
size_t apply_waiting(const struct apply *a); /* entries pushed whose report has not come */
/* Bytes of those entries: now, and the most there ever was. */
void apply_held(const struct apply *a, uint64_t *bytes, uint64_t *most);
/* Finish what was pushed, end the thread, close the catalog, free. Blocks for one transaction at
 * most; no callback after it. */
void apply_close(struct apply *a);

/* -- who takes the steps ----------------------------------------------------------------------- */

struct apply_host {
    void *self;
    void (*mail)(void *self);   /* from the loop: apply_step() has work */
    void (*report)(void *self); /* from a step: let apply_collect() be called on the loop */
    void (*join)(void *self);   /* wait until a step has returned false; no report after it */
};

/* As apply_new(), without a thread: the host calls apply_step() from now on. */
struct apply *apply_open(const struct apply_host *host, struct catalog *catalog,
                         apply_done_fn *done, apply_failed_fn *failed, apply_full_fn *full,
                         void *data);
/* What was pushed, in a transaction or two; without mail, what can be done in a quiet moment.
 * False: it is over. *nap_ms: when to come again if no mail comes first; UINT64_MAX: then not at
 * all. */
bool apply_step(struct apply *a, uint64_t *nap_ms);
bool apply_has_mail(struct apply *a); /* for who takes the steps */
void apply_collect(struct apply *a);  /* on the loop: calls done, failed */

#endif
