/* reader.h - the private struct of a reader, and what the query files call of each other. */
#ifndef CATALOG_READER_H
#define CATALOG_READER_H

#include "catalog/query.h"
#include "connection.h"
#include "core.h"
#include "row.h"

/* Statements of a reader; their SQL stands in reader.c. */
enum reader_sql {
    READER_BEGIN,
    READER_COMMIT,
    READER_APPLIED,
    READER_IDX,
    READER_NODES,
    READER_NODE,
    READER_NODES_FROM_UUID,
    READER_NODES_OF_IP,
    READER_NODES_OF_TAGGED,
    READER_SERVICES,
    READER_SERVICES_OF_NAME,
    READER_SERVICES_OF_NODE,
    READER_SERVICES_OF_IP,
    READER_SERVICES_OF_TAGGED,
    READER_SERVICE,
    READER_CHECKS,
    READER_CHECKS_OF_NODE,
    READER_CHECKS_OF_INSTANCE,
    READER_CHECKS_OF_SERVICE,
    READER_CHECKS_OF_STATUS,
    READER_CHECK,
    READER_SESSION,
    READER_SESSIONS,
    READER_SESSIONS_OF_NODE,
    READER_KEY,
    READER_KEYS,
    READER_PAIRS,
    READER_AUTOPILOT,
    READER_COORDINATES,
    READER_COORDINATE,
    READER_SQL_COUNT
};

struct catalog_reader {
    struct connection own;       /* db == NULL with a catalog in memory */
    const struct connection *db; /* own, or the writer's */
    const struct catalog *in_memory;
    bool in_turn;    /* a read transaction is open */
    bool is_damaged; /* a query met what the disk has made of the file */
    bool has_floor;  /* in this turn: `floor` is the index of the last restore */
    uint64_t floor;
    sqlite3_stmt *statements[READER_SQL_COUNT];
};

/* One walk over the rows of a statement. Every query is of the form
 *
 *     rc = catalog__walk(&w, r, READER_..., arena, err);     opens the turn where it is not open
 *     bind...(w.s, 1, ...);
 *     while (catalog__walk_next(&w)) { ... w.s ... }
 *     return catalog__walk_end(&w);                          resets; the first failure
 */
struct walk {
    struct catalog_reader *r;
    sqlite3_stmt *s;
    struct mu_arena *arena;
    struct mu_err *err;
    enum mu_code rc;
};

void catalog__walk(struct walk *w, struct catalog_reader *r, enum reader_sql sql,
                   struct mu_arena *arena, struct mu_err *err);
bool catalog__walk_next(struct walk *w);
MU_MUST_CHECK enum mu_code catalog__walk_end(struct walk *w);

/* A column of the current row, copied into the arena. */
struct mu_span catalog__walk_bytes(struct walk *w, int column);
uint64_t catalog__walk_number(struct walk *w, int column);

/* A counter of `idx`; 0 when it has no row. */
MU_MUST_CHECK enum mu_code catalog__read_idx(struct catalog_reader *r, struct mu_span name,
                                             uint64_t *out, struct mu_err *err);
/* No answer is older than the last restore: *index is at least its index, and at least 1. */
MU_MUST_CHECK enum mu_code catalog__read_floor(struct catalog_reader *r, uint64_t *index,
                                               struct mu_err *err);
/* The largest of some counters, at least that. */
MU_MUST_CHECK enum mu_code catalog__read_index(struct catalog_reader *r,
                                               const enum counter *counters, size_t count,
                                               uint64_t *out, struct mu_err *err);
/* That of a service, or what stands for it while it has no instance; `with_checks`: for readers
 * who see checks. */
MU_MUST_CHECK enum mu_code catalog__read_service_index(struct catalog_reader *r,
                                                       struct mu_arena *arena,
                                                       struct mu_span name_key, bool with_checks,
                                                       uint64_t *out, struct mu_err *err);

/* The current row as what answers show of it. */
void catalog__read_node(struct walk *w, struct catalog_node *out);
void catalog__read_service(struct walk *w, struct catalog_service *out);
void catalog__read_check(struct walk *w, struct catalog_check *out); /* all but the node's name */

/* NULL: no such node. */
MU_MUST_CHECK enum mu_code catalog__find_node(struct catalog_reader *r, struct mu_arena *arena,
                                              struct mu_span key, struct catalog_node **out,
                                              struct mu_err *err);
bool catalog__filter_matches(const struct catalog_filter *filter, const struct catalog_node *node);

#endif
