/* schema.h - how the file of the state is laid out, version by version.
 *
 * A version adds to the one before: tables, which are empty or can be filled from others, and
 * indexes. Rows there are stay as they are, for the state hash counts their columns. Tables of the
 * replicated state get the next numbers, so a version has all below its own bound.
 *
 * Each version came with a level of commands (proto/command.h) and needs no more than that. All of
 * the first level are in use from the start, and in an older file from when it is opened. A later
 * one comes with the configuration that raises the level, in the transaction of that entry: so the
 * layout is a function of the applied index as all else here, it is at most what every server of
 * the cluster reads, and until then each of them can go back to the version of muster it ran before
 * (spec/consensus.md 3.4).
 */
#ifndef CATALOG_SCHEMA_H
#define CATALOG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "row.h"

struct catalog;

struct schema {
    int64_t version; /* the file's user_version */
    uint32_t level;  /* never below that of the version before */
    size_t tables;   /* the replicated ones have numbers below this */
    const char *sql; /* what it has beside the version before */
    /* Of its tables what others say already. NULL: nothing. */
    enum mu_code (*fill)(struct rows *rows, struct mu_err *err);
};

/* That of an open file. Errors: MU_CORRUPT (it says one that never was), and of reading. */
MU_MUST_CHECK enum mu_code catalog__schema_of(const struct connection *db,
                                              const struct schema **out, struct mu_err *err);
/* The newest that this level allows. */
const struct schema *catalog__schema_at(uint32_t level);
/* Was there a version that came with it? */
bool catalog__schema_has_level(uint32_t level);

/* Ours, of a version that this binary knows; or empty, then it becomes so. It is brought up to what
 * the level of its own version allows. Errors: MU_FOREIGN, MU_UNSUPPORTED, MU_CORRUPT, MU_IO,
 * MU_FULL. */
MU_MUST_CHECK enum mu_code catalog__schema_settle(struct catalog *c, struct mu_err *err);
/* From the file's version, or none while it is empty. Inside a transaction. */
MU_MUST_CHECK enum mu_code catalog__schema_climb(struct catalog *c, const struct schema *to,
                                                 struct mu_err *err);

#endif
