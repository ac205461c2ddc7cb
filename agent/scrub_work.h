/* scrub_work.h - the state and the log on disk, read again at an easy pace
 * (spec/consensus.md 2.16).
 *
 * The blocking halves of a pass; scrub.c says when and what follows. What is found once is looked
 * at a second time before it is believed: a disk may have failed one read.
 *
 * Thread:  any but the loop's.
 */
#ifndef AGENT_SCRUB_WORK_H
#define AGENT_SCRUB_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "catalog/scrub.h"

/* Who does it: rests a while when told to. False: it is over. */
struct scrub_host {
    void *self;
    bool (*rest)(void *self, uint64_t ms);
};

struct scrub_pace {
    const struct scrub_host *host;
    uint64_t bytes_per_s;
    uint64_t owed; /* bytes that were not rested for yet */
};
bool scrub_pace(void *pace, size_t bytes); /* a catalog_pace_fn, a consensus_scrub_pace_fn */

/* Of the WAL: longer, and the state is tried again, faster. That is twice what it takes by itself;
 * on a small file system, which has room for less, so is the bound. */
#define SCRUB_WAL_BYTES_MAX (64U * 1024 * 1024)
#define SCRUB_TRIES         4U /* the last one takes as long as it takes, at no pace */

/* All of a state. wal_bytes: as it was opened with (catalog/catalog.h). *bytes: were read;
 * *differs: its pages are good, and its rows do not add up.
 * Errors as catalog_scrub(), without MU_BUSY; what cannot be read twice is MU_CORRUPT, too. */
MU_MUST_CHECK enum mu_code scrub_state(const char *path, const struct scrub_host *host,
                                       uint64_t bytes_per_s, uint32_t wal_bytes, uint64_t *bytes,
                                       bool *differs, struct mu_err *err);

/* -- what is remembered over restarts ---------------------------------------------------------- */

struct scrub_note {
    uint64_t last_s;             /* wall clock: the end of the last whole pass; 0: there was none */
    uint64_t found_s;            /* when damage was found last; 0: never */
    char found[MU_ERR_TEXT_MAX]; /* where */
};
/* MU_OK with zeros where there is no file, or one that says nothing. */
MU_MUST_CHECK enum mu_code scrub_note_read(const char *path, struct scrub_note *out,
                                           struct mu_err *err);
void scrub_note_text(const struct scrub_note *note, struct mu_buf *to);

#endif
