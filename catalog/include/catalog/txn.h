/* txn.h - transactions over Consul's keys and its catalog: what they answer (spec/http-api.md 9).
 *
 * All operations or none. A transaction that only reads is answered from a reader, any other is a
 * command whose result carries its answer as bytes.
 *
 * Memory:  everything in an answer lies in the arena that was passed in.
 */
#ifndef CATALOG_TXN_H
#define CATALOG_TXN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "catalog/query.h"
#include "proto/command.h"

struct catalog_txn_found { /* what one operation yields: one of the objects, else a key */
    const struct catalog_node *node;
    const struct catalog_service *service;
    const struct catalog_check *check;
    struct catalog_kv kv;
    bool has_value; /* of the key: only reads show it */
};

struct catalog_txn_error {
    uint32_t op; /* from 0 */
    struct mu_span what;
};

/* With an error nothing was done, and what was found does not count. */
struct catalog_txn_answer {
    struct catalog_txn_found *found;
    size_t found_count;
    struct catalog_txn_error *errors;
    size_t errors_count;
};

bool catalog_txn_is_read(const struct command_txn *txn); /* all of its operations only read */

MU_MUST_CHECK enum mu_code catalog_query_txn(struct catalog_reader *r, struct mu_arena *arena,
                                             const struct command_txn *txn,
                                             struct catalog_txn_answer *out, struct mu_err *err);

/* The `data` of a command's result. MU_CORRUPT: these bytes are none. */
void catalog_txn_answer_encode(const struct catalog_txn_answer *answer, struct mu_buf *to);
MU_MUST_CHECK enum mu_code catalog_txn_answer_decode(struct mu_span bytes, struct mu_arena *arena,
                                                     struct catalog_txn_answer *out,
                                                     struct mu_err *err);

#endif
