/* noted.h - a table that came with level 2, and who writes it. */
#ifndef NEXT_NOTED_H
#define NEXT_NOTED_H

#include "core.h"

enum noted_column { NOTED_INDEX, NOTED_STAMP, NOTED_COLUMNS };

#define NOTED_LIST "idx, stamp"

catalog_apply_fn catalog__txn_noted;

#endif
