#include "near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct place {
    double distance; /* INFINITY: not known */
    size_t at;       /* where the row was */
};

typedef struct mu_span node_of_fn(const void *row);

struct mu_span near_source(const struct request *r)
{
    struct mu_span name = params_text(&r->params, "near");

    return mu_span_eq_text(name, "_agent") ? mu_span_text(agent_node_name(r->front->agent)) : name;
}

static int compare(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;

    if (x->distance < y->distance || x->distance > y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

static enum mu_code measure(struct request *r, const struct agent_view *view,
                            const struct coordinate *from, struct mu_span node, double *out,
                            struct mu_err *err)
{
    struct catalog_coordinates found;
    enum mu_code rc = catalog_query_coordinate(view->reader, &r->front->scratch, node, &found, err);

    *out = rc == MU_OK && found.count > 0 ? coordinate_distance(from, &found.items[0].at)
                                          : (double)INFINITY;
    return rc;
}

static enum mu_code sort(struct request *r, const struct agent_view *view, void *rows, size_t count,
                         size_t bytes, node_of_fn *node_of, struct mu_err *err)
{
    struct mu_span source = near_source(r);
    struct mu_arena *arena = &r->front->scratch;
    struct catalog_coordinates from = { .count = 0 };
    enum mu_code rc = MU_OK;

    if (source.bytes > 0 && count > 1) {
        rc = catalog_query_coordinate(view->reader, arena, source, &from, err);
    }
    if (rc != MU_OK || from.count == 0) {
        return rc;
    }
    struct place *places = mu_arena_array(arena, count, sizeof *places);
    char *were = mu_arena_array(arena, count, bytes);

    memcpy(were, rows, count * bytes);
    for (size_t i = 0; rc == MU_OK && i < count; i++) {
        places[i].at = i;
        rc = measure(r, view, &from.items[0].at, node_of(were + i * bytes), &places[i].distance,
                     err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    qsort(places, count, sizeof *places, compare);
    for (size_t i = 0; i < count; i++) {
        memcpy((char *)rows + i * bytes, were + places[i].at * bytes, bytes);
    }
    return MU_OK;
}

static struct mu_span of_node(const void *row)
{
    return ((const struct catalog_node *)row)->name;
}

static struct mu_span of_instance(const void *row)
{
    return ((const struct catalog_instance *)row)->node->name;
}

static struct mu_span of_check(const void *row)
{
    return ((const struct catalog_check *)row)->node;
}

enum mu_code near_sort_nodes(struct request *r, const struct agent_view *view,
                             struct catalog_nodes *nodes, struct mu_err *err)
{
    return sort(r, view, nodes->items, nodes->count, sizeof *nodes->items, of_node, err);
}

enum mu_code near_sort_instances(struct request *r, const struct agent_view *view,
                                 struct catalog_instances *instances, struct mu_err *err)
{
    return sort(r, view, instances->items, instances->count, sizeof *instances->items, of_instance,
                err);
}

enum mu_code near_sort_checks(struct request *r, const struct agent_view *view,
                              struct catalog_checks *checks, struct mu_err *err)
{
    return sort(r, view, checks->items, checks->count, sizeof *checks->items, of_check, err);
}
