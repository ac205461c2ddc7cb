#include "listing.h"

bool listing_begin(struct request *r, const struct filter_kind *kind)
{
    struct listing *l = mu_arena_new(&r->arena, sizeof *l);
    struct mu_err err = MU_ERR_NONE;
    struct mu_span filter = params_text(&r->params, "filter");

    r->mine = l;
    if (r->params.count == 0) {
        return true;
    }
    if (kind == &filter_health_entries && /* elsewhere ?passing means nothing */
        params_passing(&r->params, &l->passing, &err) != MU_OK) {
        answer_text(r, 400, err.text);
        return false;
    }
    if (kind != NULL && filter.bytes > 0 &&
        filter_parse(&l->filter, filter, kind, agent_datacenter(r->front->agent),
                     agent_node_name(r->front->agent), &r->arena, &err) != MU_OK) {
        answer_text(r, 500, err.text);
        return false;
    }
    l->tags = params_all(&r->params, "tag", &r->arena);
    l->nodes.node_meta = params_node_meta(&r->params, &r->arena);
    return true;
}

static const struct listing *listing_of(const struct request *r)
{
    return r->mine;
}

bool listing_has_meta(const struct request *r)
{
    return listing_of(r)->nodes.node_meta.count > 0;
}

const struct catalog_filter *listing_nodes(const struct request *r)
{
    return listing_has_meta(r) ? &listing_of(r)->nodes : NULL;
}

bool listing_wants(const struct request *r, const void *object)
{
    const struct filter *filter = listing_of(r)->filter;

    return filter == NULL || filter_matches(filter, object);
}

static bool has_tags(const struct mu_texts *tags, const struct mu_texts *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        bool found = false;

        for (size_t j = 0; j < tags->count && !found; j++) {
            found = mu_span_eq_fold(tags->items[j], wanted->items[i]);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* Every check, warnings drop an instance too (http-api 1.12). */
static bool is_passing(const struct catalog_instance *i)
{
    for (size_t k = 0; k < i->checks_count; k++) {
        if (!mu_span_eq_text(i->checks[k].status, "passing")) {
            return false;
        }
    }
    return true;
}

bool listing_wants_instance(const struct request *r, const struct catalog_instance *i)
{
    const struct listing *l = listing_of(r);

    return has_tags(&i->service.tags, &l->tags) && listing_wants(r, i) &&
           (!l->passing || is_passing(i));
}
