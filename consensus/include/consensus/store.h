/* store.h - the durable log, as a vtable: hard state, entries, and who this disk is.
 *
 * Two implementations: segment files with a thread of their own (what ships), and SQLite (the
 * oracle of the tests). Writes are reported in the order they were submitted; how many share one
 * flush is the store's business (group commit: everything that is queued when the disk is free).
 *
 *   open -> submit, fetch, record, compact, collect ... -> close -> (is_closed) -> free
 *
 * Thread:  all calls from the loop; none but `open` touches the disk in a way that the loop would
 *          wait for, except in the SQLite store. `wake` is called from any thread, also from inside
 *          submit: it only schedules a collect() on the loop.
 * Memory:  bytes of records in submit are *borrowed* until the write's seq is collected as
 *          persisted, or the store is freed; the array of spans is *copied*. What collect() hands
 *          out is *given*.
 * Errors:  the first failed write, flush, or read-back makes the store FAILED for good: it touches
 *          the disk no more, and what was not reported by then may or may not be there (a flush is
 *          never repeated, spec/consensus.md 2.15). FULL is a warning: the store has less than its
 *          reserve. Terms, votes and small entries still have their space; a write that has none
 *          waits. It ends by itself when there is room for the whole reserve again.
 */
#ifndef CONSENSUS_STORE_H
#define CONSENSUS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/span.h"
#include "consensus/consensus.h"
#include "consensus/scrub.h"

#define CONSENSUS_STORE_RECORD_MAX 512   /* bytes of the bootstrap record */
#define CONSENSUS_STORE_JOBS_MAX   65536 /* queued; more is a broken owner (asserted) */

/* What open found. Entry bytes stay on disk until they are fetched. */
struct consensus_opened {
    /* What the core starts from. applied, durable_applied, seed and campaigns_at_once are the
     * owner's to fill in; runs and configs are views into this struct. */
    struct consensus_loaded loaded;
    struct mu_id disk;    /* made with the durable state; another one means: another history */
    struct mu_buf record; /* what bootstrap.c wants to survive; empty: nothing */
    bool is_fresh;        /* the log holds nothing at all */
    bool was_rewritten;   /* the last stop was a crash: the end of the log was written again */
    char damage[MU_ERR_TEXT_MAX]; /* what was found and could be dealt with; "": nothing */
    uint64_t damaged_segment;     /* of which this one has the last, and should be shed; 0: none */
    /* On a small file system: how much may wait to be written before the reserve might not do, and
     * how much of the log may stay behind what the state holds. 0: the core's own bounds. */
    uint32_t unsynced_bytes_max, trailing_bytes_max;
    struct consensus_run *runs;
    struct consensus_config *configs;
};
void consensus_opened_deinit(struct consensus_opened *o);

/* The answer to a fetch. */
struct consensus_fetched {
    uint32_t ticket;
    enum consensus_fetch_code code;
    struct mu_buf records; /* one behind the other, exactly as they were submitted */
};
void consensus_fetched_deinit(struct consensus_fetched *f);

struct consensus_store_report {
    uint64_t persisted_seq;     /* this write and all before it are durable, */
    uint64_t persisted_late_ms; /* for so long */
    uint64_t recorded_count;    /* how many calls of record() are durable */
    uint64_t relieved_count;    /* how many calls of relieve() are done */
    uint64_t base_index;        /* the log starts behind this entry */
    uint64_t shed_index;        /* entries up to here are to leave the log as soon as they may */
    struct consensus_survey *survey; /* that was asked for, mu_free(); NULL: none */
    enum consensus_health health;
    /* READ_ONLY: what is queued stays so, the disk is not touched again, and only who opens the log
     * anew writes to it. */
    char why[MU_ERR_TEXT_MAX];         /* FULL, READ_ONLY, FAILED: the sentence */
    struct consensus_fetched *fetched; /* mu_free() after deinit of each */
    size_t fetched_count;
    uint64_t flushes_count, flush_ns_sum, flush_ns_max; /* since open */
    bool is_closed;                                     /* nothing more will come */
};

struct consensus_store_ops {
    /* Find what is there, prove it, and take possession. Blocks; once, before all else. Errors:
     * MU_CORRUPT (file, offset and what to do), MU_FOREIGN (another node's, or locked by another
     * process), MU_UNSUPPORTED (of a newer version), MU_FULL, MU_IO. After an error only free(). */
    enum mu_code (*open)(void *self, struct consensus_opened *out, struct mu_err *err);
    /* records: one (record.h) for each entry w->first .. w->last. */
    void (*submit)(void *self, const struct consensus_write *w, const struct mu_span *records);
    /* While hushed, a write that is durable is no reason to wake: the owner collects before it does
     * anything else. When that ends there is a wake for what has become durable meanwhile. */
    void (*hush)(void *self, bool is_hushed);
    void (*fetch)(void *self, const struct consensus_fetch *f);
    /* Replace the bootstrap record, at most CONSENSUS_STORE_RECORD_MAX bytes; copied. */
    void (*record)(void *self, struct mu_span bytes);
    /* The file system is full for somebody else, whose failed write will be tried again: give back
     * what is held for this. FULL from now on. */
    void (*relieve)(void *self);
    /* Entries up to here may go; whole segments do. */
    void (*compact)(void *self, uint64_t upto);
    /* Say how the segments lie: report.survey. */
    void (*survey)(void *self);
    /* This segment is damaged (0, or one that is gone: nothing happens). Nothing more is written to
     * it; report.shed_index says with which entries it goes. */
    void (*shed)(void *self, uint64_t number);
    /* What has happened; cheap, any time. */
    void (*collect)(void *self, struct consensus_store_report *out);
    /* Finish what is queued, then report is_closed. No call but collect and free afterwards. */
    void (*close)(void *self);
    /* Before open, after a failed open, or after close: then it waits for the thread, unless
     * is_closed was collected. */
    void (*free)(void *self);
};

struct consensus_store {
    const struct consensus_store_ops *ops;
    void *self;
};

typedef void consensus_store_wake_fn(void *data);

#define CONSENSUS_BALLAST_BY_SPACE UINT64_MAX

/* Sizes by the file system's: segments of 16 MiB, 4 spares and 64 MiB of ballast from 512 MiB on,
 * down to 1 MiB, 2 and 2 MiB. */
struct consensus_store_options {
    const char *dir;        /* made when missing; copied */
    struct mu_id server;    /* a directory of another node is refused */
    uint32_t segment_bytes; /* 0: by the file system's size */
    uint32_t spares_count;  /* zero-filled segments kept ready; 0: by the file system's size */
    /* Held for when the disk is full; 0: none; CONSENSUS_BALLAST_BY_SPACE. With one, a new log is
     * refused (MU_FULL) where there is no room for the whole reserve. */
    uint64_t ballast_bytes;
    uint64_t seed; /* of ids and salts; 0: the system's */
    /* The state contains entries up to here: damage in the log up to it loses nothing. */
    uint64_t applied_index, applied_term;
    consensus_store_wake_fn *wake;
    void *wake_data;
};

void consensus_store_segment_new(struct consensus_store *out,
                                 const struct consensus_store_options *options);
void consensus_store_sqlite_new(struct consensus_store *out,
                                const struct consensus_store_options *options);

#endif
