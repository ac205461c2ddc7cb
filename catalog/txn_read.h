/* txn_read.h - the operations of a transaction that only read, wherever the rows come from; and
 * those that write nodes, services and checks (txn_object.c). */
#ifndef CATALOG_TXN_READ_H
#define CATALOG_TXN_READ_H

#include "catalog/txn.h"

/* Where things are looked up: a reader, or the writer in the middle of its transaction. */
struct txn_source {
    /* The key, or *found false. */
    enum mu_code (*find)(void *self, struct mu_arena *arena, struct mu_span key,
                         struct catalog_kv *out, bool *found, struct mu_err *err);
    /* All keys below a prefix, in order. */
    enum mu_code (*below)(void *self, struct mu_arena *arena, struct mu_span prefix,
                          struct catalog_kvs *out, struct mu_err *err);
    /* An object by its keys (of a node: the id, 16 bytes, where `by_id`), or *out NULL. A check has
     * no name of its node yet. */
    enum mu_code (*node)(void *self, struct mu_arena *arena, struct mu_span key, bool by_id,
                         struct catalog_node **out, struct mu_err *err);
    enum mu_code (*service)(void *self, struct mu_arena *arena, struct mu_span node_key,
                            struct mu_span key, struct catalog_service **out, struct mu_err *err);
    enum mu_code (*check)(void *self, struct mu_arena *arena, struct mu_span node_key,
                          struct mu_span key, struct catalog_check **out, struct mu_err *err);
    void *self;
};

/* An answer that grows. */
struct txn_run {
    const struct txn_source *source;
    struct mu_arena *arena;
    struct catalog_txn_answer *answer;
    size_t bytes; /* of keys and values in the answer, and of objects */
};

bool catalog__txn_verb_reads(enum command_txn_verb verb);
void catalog__txn_add(struct txn_run *run, const struct catalog_kv *kv, bool has_value);
void catalog__txn_fail(struct txn_run *run, size_t op, const char *fmt, ...) MU_PRINTF(3, 4);
/* Add the object that the operation is about, if it is there. */
MU_MUST_CHECK enum mu_code catalog__txn_show(struct txn_run *run, const struct command_txn_op *op,
                                             bool *found, struct mu_err *err);
/* How many bytes of an answer it takes (txn_answer.c). */
size_t catalog__txn_found_bytes(const struct catalog_txn_found *found);

/* The writer's rows, as a source has them, and one operation that writes an object. */
struct catalog;
MU_MUST_CHECK enum mu_code catalog__txn_writer_node(void *self, struct mu_arena *arena,
                                                    struct mu_span key, bool by_id,
                                                    struct catalog_node **out, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__txn_writer_service(void *self, struct mu_arena *arena,
                                                       struct mu_span node_key, struct mu_span key,
                                                       struct catalog_service **out,
                                                       struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__txn_writer_check(void *self, struct mu_arena *arena,
                                                     struct mu_span node_key, struct mu_span key,
                                                     struct catalog_check **out,
                                                     struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__txn_write_object(struct catalog *c, struct txn_run *run,
                                                     size_t i, const struct command_txn_op *op,
                                                     struct mu_err *err);
/* One operation that reads. */
MU_MUST_CHECK enum mu_code catalog__txn_read(struct txn_run *run, size_t i,
                                             const struct command_txn_op *op, struct mu_err *err);

#endif
