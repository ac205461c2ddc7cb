/* query_session.c - sessions (spec/http-api.md 7, index 1.7: that of the table). */
#include <string.h>

#include "packed.h"
#include "reader.h"

static const enum counter sessions_counter[] = { COUNTER_SESSIONS };

static void read_session(struct walk *w, struct catalog_session *out)
{
    struct mu_arena *arena = w->arena;
    struct mu_span id = column_bytes(w->s, SESSION_ID);

    *out = (struct catalog_session){
        .name = catalog__walk_bytes(w, SESSION_NAME),
        .node = catalog__walk_bytes(w, SESSION_NODE_NAME),
        .lock_delay_ns = catalog__walk_number(w, SESSION_LOCK_DELAY),
        .behavior = catalog__walk_bytes(w, SESSION_BEHAVIOR),
        .ttl = catalog__walk_bytes(w, SESSION_TTL),
        .node_checks = catalog__unpack_texts(arena, catalog__walk_bytes(w, SESSION_NODE_CHECKS)),
        .service_checks =
            catalog__unpack_pairs(arena, catalog__walk_bytes(w, SESSION_SERVICE_CHECKS)),
        .has_service_checks = sqlite3_column_type(w->s, SESSION_SERVICE_CHECKS) != SQLITE_NULL,
        .create_index = catalog__walk_number(w, SESSION_CREATED),
        .modify_index = catalog__walk_number(w, SESSION_MODIFIED),
    };
    if (id.bytes == sizeof out->id.b) { /* always: rot shows in the state hash */
        memcpy(out->id.b, id.data, sizeof out->id.b);
    }
}

static enum mu_code collect(struct walk *w, struct catalog_sessions *out, struct mu_err *err)
{
    while (catalog__walk_next(w)) {
        out->items = mu_arena_grow(w->arena, out->items, out->count, sizeof *out->items);
        read_session(w, &out->items[out->count++]);
    }
    enum mu_code rc = catalog__walk_end(w);

    return rc == MU_OK ? catalog__read_index(w->r, sessions_counter, 1, &out->index, err) : rc;
}

enum mu_code catalog_query_session(struct catalog_reader *r, struct mu_arena *arena,
                                   const struct mu_id *id, struct catalog_sessions *out,
                                   struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_sessions){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_SESSION, arena, err);
    bind_bytes(w.s, 1, mu_span_of(id->b, sizeof id->b));
    return collect(&w, out, err);
}

enum mu_code catalog_query_sessions(struct catalog_reader *r, struct mu_arena *arena,
                                    struct catalog_sessions *out, struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_sessions){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_SESSIONS, arena, err);
    return collect(&w, out, err);
}

enum mu_code catalog_query_node_sessions(struct catalog_reader *r, struct mu_arena *arena,
                                         struct mu_span node, struct catalog_sessions *out,
                                         struct mu_err *err)
{
    struct mu_span key = catalog__fold(arena, node);
    struct walk w;

    *out = (struct catalog_sessions){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_SESSIONS_OF_NODE, arena, err);
    bind_bytes(w.s, 1, key);
    return collect(&w, out, err);
}
