/* outcome.h - what became of a command, kept beside what names it.
 *
 * A command that comes again, under its origin or under a client's request id, is not carried out
 * again: it is answered with what its first copy was answered. Both tables keep that in the same
 * columns. Code numbers are of this file and for ever; those of enum mu_code may move.
 */
#ifndef CATALOG_OUTCOME_H
#define CATALOG_OUTCOME_H

#include "core.h"

/* Longer answers are not kept: a repeated command is then told that it was carried out. */
#define OUTCOME_DATA_MAX ((size_t)16 * 1024)

enum outcome_column { /* of each table, behind what names the command */
                      OUTCOME_CODE,
                      OUTCOME_APPLIED,
                      OUTCOME_TEXT, /* NULL: none */
                      OUTCOME_DATA, /* NULL: none */
                      OUTCOME_COLUMNS
};

/* Is there more to it than whether it applied? */
bool catalog__outcome_is_plain(const struct catalog_result *result);
/* Into OUTCOME_COLUMNS values; they borrow from the result. */
void catalog__outcome_pack(const struct catalog_result *result, struct row_value *to);
/* The answer to a repeated command; `result` is empty before. */
void catalog__outcome_unpack(const struct row_value *from, struct catalog_result *result);

#endif
