/* scrub.h - are the segments of the log on disk as they were written? (spec/consensus.md 2.16)
 *
 * Entries that nobody fetches are read at the next start only, which may be years away, and others
 * may have lost their copies by then. So they are read now and then: every head, the checksum of
 * every batch, the checksum and the chain of every record, and that nothing is missing in between.
 * This is done beside the log thread, which only says how its segments lie (a survey), and on a
 * view of the files of its own: writes are not held up.
 *
 *   survey -> read -> damage: survey again -> still there: shed it (driver.h)
 *                             gone meanwhile: it was recycled while it was being read
 *
 * Thread:  any; blocks for as long as it takes.
 * Memory:  a batch at a time, at most 4 MiB.
 */
#ifndef CONSENSUS_SCRUB_H
#define CONSENSUS_SCRUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct consensus_surveyed { /* a segment */
    uint64_t number, salt;
    uint64_t bytes; /* of the file */
    bool is_dead;   /* nothing in it counts any more */
};

struct consensus_survey {
    uint64_t seq; /* of the newest batch, which is durable */
    size_t count;
    struct consensus_surveyed segments[]; /* ascending; the newest is being written */
};

struct consensus_survey *consensus_survey_copy(const struct consensus_survey *s); /* mu_free() */
bool consensus_survey_has(const struct consensus_survey *s, uint64_t segment);

/* So many bytes were read: rest for a while. False: give up. */
typedef bool consensus_scrub_pace_fn(void *data, size_t bytes);

struct consensus_scrubbed {
    uint64_t bytes;            /* read */
    uint64_t segment;          /* the first that is damaged, or cannot be read; 0: none */
    char why[MU_ERR_TEXT_MAX]; /* file, offset, what is wrong there */
};

/* Read the segments behind number `behind`. dir: data-dir/consensus. Damage is no error. Errors:
 * MU_CANCELLED, MU_READ_ONLY (not even to be opened), MU_IO (the directory). */
MU_MUST_CHECK enum mu_code consensus_scrub(const char *dir, const struct consensus_survey *survey,
                                           uint64_t behind, consensus_scrub_pace_fn *pace,
                                           void *data, struct consensus_scrubbed *out,
                                           struct mu_err *err);

#endif
