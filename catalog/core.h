/* core.h - the private struct of the catalog, and what its files call of each other.
 *
 * One entry at a time: apply.c decodes its command, the function of its kind judges it against the
 * rows, and only then writes. So a command that is refused has written nothing, and no savepoint
 * is needed.
 */
#ifndef CATALOG_CORE_H
#define CATALOG_CORE_H

#include "base/arena.h"
#include "base/err.h"
#include "catalog/catalog.h"
#include "catalog/watch.h"
#include "connection.h"
#include "hash.h"
#include "proto/command.h"
#include "row.h"

/* -- counters: rows of `idx` that change with nearly every entry (counter.c) ------------------- */

/* Kept in memory during a transaction and written once, at its end; the state hash counts them as
 * written at once. "Index of the last change" unless said otherwise. */
enum counter {
    COUNTER_NODES,
    COUNTER_SERVICES,
    COUNTER_CHECKS,
    COUNTER_KVS,
    COUNTER_TOMBSTONES,
    COUNTER_EXTINCTION, /* index at which any service last lost its last instance */
    COUNTER_SESSIONS,
    COUNTER_COORDINATES,
    COUNTER_REQUESTS,      /* rows of request ids, and one: 0 when there never was any */
    COUNTER_KVS_REV,       /* how many entries have changed Consul's key space: its revision */
    COUNTER_KVS_COMPACTED, /* id of the first version that compaction has not visited */
    COUNTER_RESTORE_INDEX, /* of the last restore: what is read is at least as new */
    COUNTER_RESTORE_SHIFT, /* how far indexes are ahead of those of the log: see catalog__index() */
    COUNTER_RESTORE_STAGED, /* stamp after which what is staged is dropped; 1: nothing is */
    COUNTERS_COUNT
};

struct counters {
    uint64_t now[COUNTERS_COUNT];    /* 0: never, no row */
    uint64_t stored[COUNTERS_COUNT]; /* in the table */
};

struct mu_span catalog__counter_name(enum counter counter);
/* Add what the unwritten counters change in the sum. */
void catalog__counters_hash(const struct counters *k, struct hash_sum *sum);
MU_MUST_CHECK enum mu_code catalog__counters_load(struct catalog *c, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__counters_store(struct catalog *c, struct mu_err *err);
/* Is this row of `idx` one of them? */
bool catalog__counter_find(struct mu_span name, enum counter *out);

/* -- where commands came from (origin.c) --------------------------------------------------------
 */

#define ORIGIN_WINDOW 1024U /* numbers of which it is known whether they were applied */

struct origin_state { /* as a row */
    struct mu_id id;  /* of the disk that counts the boots */
    uint64_t boot, high, index;
    uint8_t seen[ORIGIN_WINDOW / 8], effect[ORIGIN_WINDOW / 8];
};

struct origin {
    struct origin_state now, stored;
    bool is_stored; /* a row is in the table: `stored` */
    bool is_dirty;  /* `now` is another one */
};

struct origins {
    struct origin *items;
    size_t count, room;
    bool is_loaded; /* not after a rollback */
};

void catalog__origins_hash(const struct origins *o, struct hash_sum *sum);
void catalog__origins_deinit(struct origins *o);
MU_MUST_CHECK enum mu_code catalog__origins_load(struct catalog *c, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__origins_store(struct catalog *c, struct mu_err *err);
/* Was this command applied before? Then `result` has its answer. */
MU_MUST_CHECK enum mu_code catalog__origin_recall(struct catalog *c,
                                                  const struct command_origin *from,
                                                  struct catalog_result *result, bool *is_known,
                                                  struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__origin_note(struct catalog *c,
                                                const struct command_origin *from,
                                                const struct catalog_result *result,
                                                struct mu_err *err);

/* The same for the ids that clients give (request.c). */
MU_MUST_CHECK enum mu_code catalog__request_recall(struct catalog *c, const struct command *command,
                                                   struct catalog_result *result, bool *is_known,
                                                   struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__request_note(struct catalog *c, const struct command *command,
                                                 const struct catalog_result *result,
                                                 struct mu_err *err);
/* Forget at most `max` that are over; *count gets how many there were. */
MU_MUST_CHECK enum mu_code catalog__requests_prune(struct catalog *c, size_t max, size_t *count,
                                                   struct mu_err *err);

/* -- the catalog ------------------------------------------------------------------------------- */

/* Everything in memory that a rollback takes back. */
struct state {
    const struct schema *schema; /* of the file (schema.h) */
    uint64_t index, term, stamp_ms;
    struct hash_sum sum;
    struct counters counters;
};

/* The ids of one entry's changes in a key space (mvcc.c). */
struct mvcc_turn {
    uint64_t index; /* of the entry that has taken the revision now in the counter */
    uint64_t sub;   /* next number within it */
};

struct catalog {
    struct connection db;
    struct rows rows;
    sqlite3_stmt *begin, *commit, *rollback, *set_applied;
    sqlite3_stmt *node_by_uuid, *any_instance, *kv_range, *kv_version, *kv_held;
    sqlite3_stmt *sessions_of_node, *delays_over, *all_origins, *oldest_request, *kv_history,
        *kv_markers, *staged_last, *staged_from;
    sqlite3_stmt *savepoint, *savepoint_back, *savepoint_end;

    bool is_in_memory;
    bool in_transaction;
    bool has_applied;       /* entries, in this transaction */
    struct state now;       /* inside of a transaction ahead of: */
    struct state committed; /* what the file says */
    struct mvcc_turn turn;
    struct origins origins;
    struct catalog_changes *changes; /* of the transaction */
    struct mu_arena arena;           /* of the entry */

    uint64_t durable;      /* applied index that is flushed in the file */
    int wal_pages;         /* frames in the WAL after the last commit */
    int wal_pages_written; /* of these in the database file */
    int checkpoint_pages;  /* when they are written back */
    bool has_idle_memory;  /* pages were taken since they were last given back */
    bool has_slack;        /* free pages are left to give back, as of the last idle call */
    bool is_shorter;       /* pages were given back that the file has still */
    uint64_t bytes;        /* in use of the file, as of the last checkpoint; 0: not known */
};

/* -- what one command does --------------------------------------------------------------------- */

/* Refuse the command, in the API's words; nothing may have been written for it. */
void catalog__refuse(struct catalog_result *result, enum mu_code code, const char *fmt, ...)
    MU_PRINTF(3, 4);

/* `now` is the index of the entry that is applied. All return failures of storage only. */
#define CATALOG_APPLY_ARGS                                                           \
    struct catalog *c, const struct command *command, struct catalog_result *result, \
        struct mu_err *err
typedef enum mu_code catalog_apply_fn(CATALOG_APPLY_ARGS);
enum mu_code catalog__register(CATALOG_APPLY_ARGS);
enum mu_code catalog__deregister(CATALOG_APPLY_ARGS);
enum mu_code catalog__kv_set(CATALOG_APPLY_ARGS);
enum mu_code catalog__kv_delete(CATALOG_APPLY_ARGS);
enum mu_code catalog__autopilot(CATALOG_APPLY_ARGS);
enum mu_code catalog__coordinates(CATALOG_APPLY_ARGS);
enum mu_code catalog__kv_lock(CATALOG_APPLY_ARGS);
enum mu_code catalog__kv_compact(CATALOG_APPLY_ARGS);
enum mu_code catalog__txn(CATALOG_APPLY_ARGS); /* TXN_CATALOG too */
enum mu_code catalog__session_create(CATALOG_APPLY_ARGS);
enum mu_code catalog__session_destroy(CATALOG_APPLY_ARGS);
enum mu_code catalog__stage(CATALOG_APPLY_ARGS);
enum mu_code catalog__restore(CATALOG_APPLY_ARGS);

/* restore.c: what was staged and never used goes after a while. */
MU_MUST_CHECK enum mu_code catalog__staged_expire(struct catalog *c, struct mu_err *err);

/* A name as the catalog compares it: A-Z folded, in the arena. */
struct mu_span catalog__fold(struct mu_arena *arena, struct mu_span name);
/* The address in 4 or 16 bytes, or NULL when it is a name. */
struct row_value catalog__ip_value(struct mu_arena *arena, struct mu_span address);
/* What users see as the index of the entry that is applied. It is that of the log, unless a state
 * was restored that had come further than this log: then it goes on behind that. */
static inline uint64_t catalog__index(const struct catalog *c)
{
    return c->now.index + c->now.counters.now[COUNTER_RESTORE_SHIFT];
}
/* Raise a counter to the entry's index. */
void catalog__touch(struct catalog *c, enum counter counter);
/* Remember that something changed in this transaction. */
void catalog__changed(struct catalog *c, enum catalog_topic_kind kind, struct mu_span name);

/* -- rows of each kind, changed with everything that hangs on them -------------------------------
 *
 * Rows that are given are as they are stored. Each of these raises the indexes and names the topics
 * of what it changed (spec/http-api.md 1.7); one that changes nothing raises nothing. */

/* db.c: what is committed is in the file, flushed; nobody else may be reading. */
MU_MUST_CHECK enum mu_code catalog__flush(struct catalog *c, struct mu_err *err);

/* register.c: a node, whose words are in order, as a registration of it alone would set it, or
 * `result` says why not; and what is wrong with the words of one, or of a service. */
MU_MUST_CHECK enum mu_code catalog__node_set(struct catalog *c, const struct command_node *node,
                                             struct catalog_result *result, struct mu_err *err);
void catalog__judge_node_words(const struct command_node *node, struct catalog_result *result);
void catalog__judge_service(const struct command_service *s, struct catalog_result *result);

/* node.c */
MU_MUST_CHECK enum mu_code catalog__node_find(struct catalog *c, struct mu_span key,
                                              struct row *out, bool *found, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__node_find_uuid(struct catalog *c, struct mu_span uuid,
                                                   struct row *out, bool *found,
                                                   struct mu_err *err);
/* All columns but the two indexes. */
void catalog__node_row(struct catalog *c, const struct command_node *node, struct row *out);
MU_MUST_CHECK enum mu_code catalog__node_put(struct catalog *c, const struct row *old,
                                             const struct row *new_row, struct mu_err *err);
/* With its services, checks and sessions. */
MU_MUST_CHECK enum mu_code catalog__node_remove(struct catalog *c, const struct row *node,
                                                struct mu_err *err);
/* Something that judges every instance on this node has changed. */
MU_MUST_CHECK enum mu_code catalog__node_touch_services(struct catalog *c, struct mu_span node_key,
                                                        struct mu_err *err);

/* service.c */
MU_MUST_CHECK enum mu_code catalog__service_find(struct catalog *c, struct mu_span node_key,
                                                 struct mu_span key, struct row *out, bool *found,
                                                 struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__service_put(struct catalog *c, struct mu_span node_key,
                                                const struct command_service *service,
                                                struct mu_err *err);
/* With its checks. */
MU_MUST_CHECK enum mu_code catalog__service_remove(struct catalog *c, const struct row *service,
                                                   struct mu_err *err);
/* Raise the index of the service of this (folded) name. */
MU_MUST_CHECK enum mu_code catalog__service_touch(struct catalog *c, struct mu_span name_key,
                                                  struct mu_err *err);
/* The row of `idx` that holds it. */
struct mu_span catalog__service_counter(struct mu_arena *arena, struct mu_span name_key);
/* The id that a registration means: its name where none is given. */
struct mu_span catalog__service_id(const struct command_service *service);

/* check.c */
/* The id that a registration means: its name where none is given. */
struct mu_span catalog__check_id(const struct command_check *check);
MU_MUST_CHECK enum mu_code catalog__check_find(struct catalog *c, struct mu_span node_key,
                                               struct mu_span key, struct row *out, bool *found,
                                               struct mu_err *err);
/* `service` is the row that it is attached to, or NULL. */
MU_MUST_CHECK enum mu_code catalog__check_put(struct catalog *c, struct mu_span node_key,
                                              const struct row *service,
                                              const struct command_check *check,
                                              struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__check_remove(struct catalog *c, const struct row *check,
                                                 struct mu_err *err);
/* Checks of an instance whose service has another name now: they go with it. */
MU_MUST_CHECK enum mu_code catalog__checks_follow(struct catalog *c, const struct row *service,
                                                  struct mu_err *err);

/* coordinate.c */
MU_MUST_CHECK enum mu_code catalog__coordinate_remove(struct catalog *c, struct mu_span node_key,
                                                      struct mu_err *err);
bool catalog__coordinate_unpack(struct mu_span bytes, struct coordinate *out);

/* session.c */
MU_MUST_CHECK enum mu_code catalog__session_find(struct catalog *c, const struct mu_id *id,
                                                 struct row *out, bool *found, struct mu_err *err);
/* End all sessions of a node, or those that hang on one check of it: locks are given back or their
 * keys deleted, and may not be taken again for the session's lock delay. */
MU_MUST_CHECK enum mu_code catalog__sessions_end_of_node(struct catalog *c, struct mu_span node_key,
                                                         struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__sessions_end_of_check(struct catalog *c,
                                                          struct mu_span node_key,
                                                          struct mu_span check_key,
                                                          struct mu_err *err);

/* kv.c: what the end of a session does to a key that it holds. */
struct mvcc_key;
MU_MUST_CHECK enum mu_code catalog__kv_give_back(struct catalog *c, const struct mvcc_key *held,
                                                 bool deletes, struct mu_err *err);

/* lock_delay.c */
MU_MUST_CHECK enum mu_code catalog__lock_delay_set(struct catalog *c, struct mu_span key,
                                                   uint64_t delay_ms, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__lock_delay_holds(struct catalog *c, struct mu_span key,
                                                     bool *holds, struct mu_err *err);
/* Forget at most `max` that are over; *count gets how many there were. */
MU_MUST_CHECK enum mu_code catalog__lock_delays_prune(struct catalog *c, size_t max, size_t *count,
                                                      struct mu_err *err);

#endif
