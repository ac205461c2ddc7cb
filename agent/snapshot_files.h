/* snapshot_files.h - what snapshots are on disk, and the blocking work on them.
 *
 *   state/current               which generation of the state counts; without it the first
 *   state/state-<n>.db          a state; that of the next generation is complete when its applied
 *                               index is not 0
 *   state/export.part           the stream made for others last
 *   state/copied                copied.h
 *   state/save-*.part           what is made for operators, without a name once it is open
 *   consensus/snap-<hash>.part  the stream being received
 *
 * Thread:  one at a time. Errors: as catalog/snapshot.h, and those of files.
 */
#ifndef AGENT_SNAPSHOT_FILES_H
#define AGENT_SNAPSHOT_FILES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "catalog/snapshot.h"
#include "consensus/consensus.h"

/* Between pieces of an export or an import, which may take long: the place to give way. On the
 * caller's thread. */
typedef void snapshot_pause_fn(void *data);

struct snapshot_files {
    char *dir;                /* the data directory; given */
    snapshot_pause_fn *pause; /* NULL: none */
    void *pause_data;
    uint64_t generation;
    uint32_t wal_bytes;     /* of the state (catalog/catalog.h) */
    int export_fd, part_fd; /* -1: none */
    struct consensus_snap export, part;
    uint64_t written, flushed; /* bytes of part */
};

/* Which generation counts, and where its state lies (mu_free() it). */
MU_MUST_CHECK enum mu_code snapshot_generation(const char *dir, uint64_t *out, struct mu_err *err);
char *snapshot_state_path(const char *dir, uint64_t generation);
/* Where the state of a generation stands, without opening it for good; index 0: none, or not
 * complete. */
MU_MUST_CHECK enum mu_code snapshot_state_applied(const char *dir, uint64_t generation,
                                                  struct catalog_applied *out, struct mu_err *err);
/* From now on this generation counts, durably. */
MU_MUST_CHECK enum mu_code snapshot_generation_set(const char *dir, uint64_t generation,
                                                   struct mu_err *err);
/* Remove the state of a generation; an absent one is fine. */
MU_MUST_CHECK enum mu_code snapshot_state_remove(const char *dir, uint64_t generation,
                                                 struct mu_err *err);

void snapshot_files_init(struct snapshot_files *f, char *dir, uint64_t generation,
                         uint32_t wal_bytes);
void snapshot_files_deinit(struct snapshot_files *f);

/* For others: a stream of the state as it is now. */
MU_MUST_CHECK enum mu_code snapshot_export(struct snapshot_files *f, struct consensus_snap *out,
                                           struct mu_err *err);
MU_MUST_CHECK enum mu_code snapshot_read(const struct snapshot_files *f,
                                         const struct consensus_snap *snap, uint64_t offset,
                                         uint32_t bytes, struct mu_buf *to, struct mu_err *err);
void snapshot_close(struct snapshot_files *f);

/* The state of a generation, as it is now, to a sink. Any thread; MU_NOT_FOUND: nothing was applied
 * yet. */
MU_MUST_CHECK enum mu_code snapshot_stream(const char *dir, uint64_t generation,
                                           catalog_sink_fn *sink, void *data,
                                           struct catalog_snapshot *info, struct mu_err *err);

/* From others. *held: how much of it is here. */
MU_MUST_CHECK enum mu_code snapshot_open(struct snapshot_files *f,
                                         const struct consensus_snap *snap, uint64_t *held,
                                         struct mu_err *err);
MU_MUST_CHECK enum mu_code snapshot_store(struct snapshot_files *f,
                                          const struct consensus_snap *snap, uint64_t offset,
                                          struct mu_span data, struct mu_err *err);
/* Check all of it, and make the next generation of it, complete and flushed. */
MU_MUST_CHECK enum mu_code snapshot_import(struct snapshot_files *f,
                                           const struct consensus_snap *snap, struct mu_err *err);
/* The next generation counts from now on; its state, opened. */
MU_MUST_CHECK enum mu_code snapshot_switch(struct snapshot_files *f, struct catalog **out,
                                           struct mu_err *err);
void snapshot_abandon(struct snapshot_files *f); /* what was received and imported goes */

/* An order of consensus as work, and what came of it. */
struct snapshot_work {
    struct consensus_snap_order order; /* its data: in `data` */
    struct mu_buf data;                /* STORE: in; READ: out */
    struct catalog *catalog;           /* SWITCH: out, opened */
    uint64_t held;                     /* OPEN, STORE: out, bytes */
    struct mu_err err;                 /* out */
};

/* Copies the order and its data. */
void snapshot_work_init(struct snapshot_work *w, const struct consensus_snap_order *order);
void snapshot_work_deinit(struct snapshot_work *w);
void snapshot_work_run(struct snapshot_work *w, struct snapshot_files *f);
/* What consensus is told of an EXPORT, OPEN, STORE or IMPORT. */
enum consensus_snap_event snapshot_work_event(const struct snapshot_work *w,
                                              enum consensus_snap_fault *fault);

#endif
