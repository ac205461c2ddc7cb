/* address.h - who has an address by a tag: an index that follows from nodes and services.
 *
 * Thread:  the writer's.
 * Errors:  those of row.h.
 */
#ifndef CATALOG_ADDRESS_H
#define CATALOG_ADDRESS_H

#include "row.h"

MU_MUST_CHECK enum mu_code catalog__addresses_init(struct rows *r, struct mu_err *err);
void catalog__addresses_deinit(struct rows *r);

/* A row was written: `old` NULL, it is new; `new_row` NULL, it is gone. Of other tables nothing. */
MU_MUST_CHECK enum mu_code catalog__addresses_follow(struct rows *r, enum row_table table,
                                                     const struct row *old,
                                                     const struct row *new_row, struct mu_err *err);
/* All rows of this table are gone. */
MU_MUST_CHECK enum mu_code catalog__addresses_clear(const struct connection *db,
                                                    enum row_table table, struct mu_err *err);
/* Of all rows that are there: the index was empty. */
MU_MUST_CHECK enum mu_code catalog__addresses_fill(struct rows *r, struct mu_err *err);

#endif
