/* txn_read.h - the operations of a transaction that only read, wherever the keys come from. */
#ifndef CATALOG_TXN_READ_H
#define CATALOG_TXN_READ_H

#include "catalog/txn.h"

/* Where keys are looked up: a reader, or the writer in the middle of its transaction. */
struct txn_source {
    /* The key, or *found false. */
    enum mu_code (*find)(void *self, struct mu_arena *arena, struct mu_span key,
                         struct catalog_kv *out, bool *found, struct mu_err *err);
    /* All keys below a prefix, in order. */
    enum mu_code (*below)(void *self, struct mu_arena *arena, struct mu_span prefix,
                          struct catalog_kvs *out, struct mu_err *err);
    void *self;
};

/* An answer that grows. */
struct txn_run {
    const struct txn_source *source;
    struct mu_arena *arena;
    struct catalog_txn_answer *answer;
    size_t found_room, errors_room;
    size_t bytes; /* of keys and values in the answer */
};

bool catalog__txn_verb_reads(enum command_txn_verb verb);
void catalog__txn_add(struct txn_run *run, const struct catalog_kv *kv, bool has_value);
void catalog__txn_fail(struct txn_run *run, size_t op, const char *fmt, ...) MU_PRINTF(3, 4);
/* One operation that reads. */
MU_MUST_CHECK enum mu_code catalog__txn_read(struct txn_run *run, size_t i,
                                             const struct command_txn_op *op, struct mu_err *err);

#endif
