/* query_health.c - lists of checks (spec/http-api.md 5, indexes 1.7). */
#include "reader.h"

static const enum counter checks_counter[] = { COUNTER_CHECKS };

/* Walk checks in the order of nodes, with the name of each node as it is spelled. */
static enum mu_code collect(struct walk *w, const struct catalog_filter *filter,
                            struct catalog_checks *out)
{
    struct mu_span node_key = MU_SPAN_NONE;
    struct catalog_node *node = NULL;

    while (catalog__walk_next(w)) {
        if (node == NULL || !mu_span_eq(column_bytes(w->s, CHECK_NODE), node_key)) {
            node_key = catalog__walk_bytes(w, CHECK_NODE);
            w->rc = catalog__find_node(w->r, w->arena, node_key, &node, w->err);
            if (w->rc == MU_OK && node == NULL) {
                w->rc = mu_fail(w->err, MU_CORRUPT,
                                "state %s: a check of a node '%.*s' that is "
                                "not there",
                                w->r->db->path, MU_SPAN_FMT(node_key));
            }
            if (w->rc != MU_OK) {
                break;
            }
        }
        if (catalog__filter_matches(filter, node)) {
            out->items = mu_arena_grow(w->arena, out->items, out->count, sizeof *out->items);
            catalog__read_check(w, &out->items[out->count]);
            out->items[out->count++].node = node->name;
        }
    }
    return catalog__walk_end(w);
}

enum mu_code catalog_query_node_checks(struct catalog_reader *r, struct mu_arena *arena,
                                       struct mu_span node, struct catalog_checks *out,
                                       struct mu_err *err)
{
    struct mu_span key = catalog__fold(arena, node);
    struct walk w;

    *out = (struct catalog_checks){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_CHECKS_OF_NODE, arena, err);
    bind_bytes(w.s, 1, key);
    enum mu_code rc = collect(&w, NULL, out);

    return rc == MU_OK ? catalog__read_index(r, checks_counter, 1, &out->index, err) : rc;
}

enum mu_code catalog_query_service_checks(struct catalog_reader *r, struct mu_arena *arena,
                                          struct mu_span service,
                                          const struct catalog_filter *filter,
                                          struct catalog_checks *out, struct mu_err *err)
{
    struct mu_span name_key = catalog__fold(arena, service);
    bool is_filtered = filter != NULL && filter->node_meta.count > 0;
    struct walk w;

    *out = (struct catalog_checks){ NULL, 0, 1 };
    if (name_key.bytes > 0) { /* the empty name is where checks of nodes lie */
        catalog__walk(&w, r, READER_CHECKS_OF_SERVICE, arena, err);
        bind_bytes(w.s, 1, name_key);
        enum mu_code rc = collect(&w, filter, out);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return is_filtered ? catalog__read_service_index(r, arena, name_key, true, &out->index, err)
                       : catalog__read_index(r, checks_counter, 1, &out->index, err);
}

enum mu_code catalog_query_state_checks(struct catalog_reader *r, struct mu_arena *arena,
                                        struct mu_span state, const struct catalog_filter *filter,
                                        struct catalog_checks *out, struct mu_err *err)
{
    bool is_any = mu_span_eq_text(state, "any");
    struct walk w;

    *out = (struct catalog_checks){ NULL, 0, 1 };
    catalog__walk(&w, r, is_any ? READER_CHECKS : READER_CHECKS_OF_STATUS, arena, err);
    if (!is_any) {
        bind_bytes(w.s, 1, state);
    }
    enum mu_code rc = collect(&w, filter, out);

    return rc == MU_OK ? catalog__read_index(r, checks_counter, 1, &out->index, err) : rc;
}
