/* noted.c - what the next version of muster knows beside this one: which entries were transactions
 * on nodes. Nobody asks for the list; it is a part of the replicated state, of its hash and its
 * stream.
 */
#include "noted.h"

enum mu_code catalog__txn_noted(CATALOG_APPLY_ARGS)
{
    struct row row;
    enum mu_code rc = catalog__txn(c, command, result, err);

    row.v[NOTED_INDEX] = row_number(c->now.index);
    row.v[NOTED_STAMP] = row_number(c->now.stamp_ms);
    return rc == MU_OK ? catalog__row_put(&c->rows, ROW_NOTED, NULL, &row, err) : rc;
}
