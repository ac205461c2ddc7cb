/* query_coordinate.c - where nodes are (spec/http-api.md 11, index 1.7: that of the table). */
#include "reader.h"

static const enum counter coordinates_counter[] = { COUNTER_COORDINATES };

/* Columns of both statements: the node's name as registered, the numbers. */
static enum mu_code collect(struct walk *w, struct catalog_coordinates *out, struct mu_err *err)
{
    while (catalog__walk_next(w)) {
        struct catalog_coordinate found = { .node = catalog__walk_bytes(w, 0) };

        if (catalog__coordinate_unpack(catalog__walk_bytes(w, 1), &found.at)) {
            out->items = mu_arena_grow(w->arena, out->items, out->count, sizeof *out->items);
            out->items[out->count++] = found;
        }
    }
    enum mu_code rc = catalog__walk_end(w);

    return rc == MU_OK ? catalog__read_index(w->r, coordinates_counter, 1, &out->index, err) : rc;
}

enum mu_code catalog_query_coordinates(struct catalog_reader *r, struct mu_arena *arena,
                                       struct catalog_coordinates *out, struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_coordinates){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_COORDINATES, arena, err);
    return collect(&w, out, err);
}

enum mu_code catalog_query_coordinate(struct catalog_reader *r, struct mu_arena *arena,
                                      struct mu_span node, struct catalog_coordinates *out,
                                      struct mu_err *err)
{
    struct mu_span key = catalog__fold(arena, node);
    struct walk w;

    *out = (struct catalog_coordinates){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_COORDINATE, arena, err);
    bind_bytes(w.s, 1, key);
    return collect(&w, out, err);
}
