/* apply.h - committed entries into the catalog, on a thread of their own.
 *
 * The apply thread is the only writer of SQLite and its only checkpointer (DESIGN 2.2). The loop
 * hands it committed entries in order; it runs them in transactions of at most
 * MU_APPLY_BATCH_ENTRIES and hands back, per transaction, the results of those that somebody waits
 * for, what changed, and how far it came.
 *
 * Thread:  calls from the loop; `done` and `failed` run on the loop.
 * Memory:  entries are copied in. The report is borrowed.
 * Errors:  a failure of storage ends the thread and is told once through `failed`: the server must
 *          stop, nothing is skipped.
 */
#ifndef AGENT_APPLY_H
#define AGENT_APPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "catalog/catalog.h"
#include "catalog/watch.h"

struct uv_loop_s;
struct apply; /* opaque */

struct apply_entry {
    uint64_t index, term;
    uint64_t ticket;        /* 0: nobody here waits for its result */
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
    struct catalog_applied applied;
    uint64_t durable; /* applied index that is flushed in the state file */
};

typedef void apply_done_fn(void *data, const struct apply_report *report);
typedef void apply_failed_fn(void *data, const char *why);

/* The catalog is given: the thread owns it from now on. */
struct apply *apply_new(struct uv_loop_s *loop, struct catalog *catalog, apply_done_fn *done,
                        apply_failed_fn *failed, void *data);
void apply_push(struct apply *a, const struct apply_entry *entries, size_t count);
size_t apply_waiting(const struct apply *a); /* entries pushed whose report has not come */
/* Finish what was pushed, end the thread, close the catalog, free. Blocks for one transaction at
 * most; no callback after it. */
void apply_close(struct apply *a);

#endif
