#include "event_ring.h"

#include <string.h>

#include "base/mem.h"
#include "base/pattern.h"

/* -- the ring ---------------------------------------------------------------------------------- */

static struct mu_span take(uint8_t **room, struct mu_span from)
{
    struct mu_span copy = mu_span_of(*room, from.bytes);

    if (from.bytes > 0) {
        memcpy(*room, from.data, from.bytes);
    }
    *room += from.bytes;
    return copy;
}

static struct agent_event *copy_of(const struct agent_event *e)
{
    size_t bytes = e->name.bytes + e->payload.bytes + e->node_filter.bytes +
                   e->service_filter.bytes + e->tag_filter.bytes;
    struct agent_event *copy = mu_new(sizeof *copy + bytes);
    uint8_t *room = (uint8_t *)(copy + 1);

    *copy = *e;
    copy->name = take(&room, e->name);
    copy->payload = take(&room, e->payload);
    copy->node_filter = take(&room, e->node_filter);
    copy->service_filter = take(&room, e->service_filter);
    copy->tag_filter = take(&room, e->tag_filter);
    return copy;
}

void event_ring_add(struct event_ring *ring, const struct agent_event *event)
{
    mu_free(ring->items[ring->next]);
    ring->items[ring->next] = copy_of(event);
    ring->next = (ring->next + 1) % MU_EVENTS_MAX;
}

void event_ring_each(const struct event_ring *ring, agent_event_fn *each, void *data)
{
    for (size_t i = 0; i < MU_EVENTS_MAX; i++) {
        const struct agent_event *e = ring->items[(ring->next + i) % MU_EVENTS_MAX];

        if (e != NULL) {
            each(data, e);
        }
    }
}

void event_ring_deinit(struct event_ring *ring)
{
    for (size_t i = 0; i < MU_EVENTS_MAX; i++) {
        mu_free(ring->items[i]);
        ring->items[i] = NULL;
    }
}

/* -- who is meant ------------------------------------------------------------------------------ */

struct search {
    const struct mu_pattern *service, *tag; /* NULL: any */
    bool is_found;
};

static void look_at(void *data, const struct local_service *service)
{
    struct search *s = data;
    const struct service_definition *d = service->definition;
    bool has_tag = s->tag == NULL;

    if (s->is_found || !mu_pattern_matches(s->service, d->id)) {
        return;
    }
    for (size_t i = 0; i < d->tags.count && !has_tag; i++) {
        has_tag = mu_pattern_matches(s->tag, d->tags.items[i]);
    }
    s->is_found = has_tag;
}

static enum mu_code compile(struct mu_span text, const char *what, struct mu_arena *arena,
                            struct mu_pattern **out, struct mu_err *err)
{
    *out = NULL;
    if (text.bytes == 0) {
        return MU_OK;
    }
    enum mu_code rc = mu_pattern_compile(out, text, arena, err);

    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Invalid %s filter", what);
}

enum mu_code event_is_meant(const struct agent_event *event, const char *node,
                            const struct local *services, bool *is_meant, struct mu_err *err)
{
    struct mu_pattern *of_node, *service, *tag = NULL;
    struct mu_arena arena;
    enum mu_code rc;

    *is_meant = false;
    mu_arena_init(&arena, 0);
    rc = compile(event->node_filter, "node", &arena, &of_node, err);
    rc = rc == MU_OK ? compile(event->service_filter, "service", &arena, &service, err) : rc;
    rc = rc == MU_OK ? compile(event->tag_filter, "tag", &arena, &tag, err) : rc;
    if (rc == MU_OK && (of_node == NULL || mu_pattern_matches(of_node, mu_span_text(node)))) {
        struct search s = { .service = service, .tag = tag, .is_found = service == NULL };

        if (service != NULL) {
            local_each_service(services, false, look_at, &s);
        }
        *is_meant = s.is_found;
    }
    mu_arena_deinit(&arena);
    return rc;
}

enum mu_code event_check_filters(const struct agent_event *event, struct mu_err *err)
{
    struct mu_pattern *pattern;
    struct mu_arena arena;
    enum mu_code rc;

    if (event->tag_filter.bytes > 0 && event->service_filter.bytes == 0) {
        return mu_fail(err, MU_INVALID, "Cannot provide tag filter without service filter");
    }
    mu_arena_init(&arena, 0);
    rc = compile(event->node_filter, "node", &arena, &pattern, err);
    rc = rc == MU_OK ? compile(event->service_filter, "service", &arena, &pattern, err) : rc;
    rc = rc == MU_OK ? compile(event->tag_filter, "tag", &arena, &pattern, err) : rc;
    mu_arena_deinit(&arena);
    return rc;
}
