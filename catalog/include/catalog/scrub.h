/* scrub.h - is the state on disk as it was written, and does it add up? (spec/consensus.md 2.16)
 *
 * Rows that nobody reads may rot for years. So all of them are read now and then, in one read
 * transaction of a connection of its own: SQLite's own check of its trees (quick_check), which
 * reads every page in use through the VFS that checks its sum (catalog/vfs.c), and then all rows,
 * whose sum must be the state hash kept with them.
 *
 * The transaction stands in the way of starting the WAL over: when that has grown too long
 * meanwhile, it is given up.
 *
 * Thread:  any, with a reader of its own; blocks for as long as it takes.
 * Memory:  a mebibyte of pages.
 */
#ifndef CATALOG_SCRUB_H
#define CATALOG_SCRUB_H

#include "catalog/catalog.h"

struct catalog_reader;

/* So many bytes were read: rest for a while. False: give up. */
typedef bool catalog_pace_fn(void *data, size_t bytes);

struct catalog_scrub {
    catalog_pace_fn *pace;
    void *data;
    uint64_t wal_bytes_max; /* give up when the WAL is longer than this; 0: however long */

    uint64_t bytes;                 /* out: read */
    bool differs;                   /* out: the pages are good, and the rows do not add up */
    struct catalog_applied applied; /* out: of the state that was read */
};

/* MU_OK: all is well. MU_CORRUPT: a page is damaged, or the rows do not add up, `err` says what;
 * MU_CANCELLED: pace said so; MU_BUSY: the WAL grew too long; MU_IO and the like: it cannot be
 * read. */
MU_MUST_CHECK enum mu_code catalog_scrub(struct catalog_reader *r, struct catalog_scrub *scrub,
                                         struct mu_err *err);

#endif
