/* order_uv.c - what callers ask of the driver, and names to addresses.
 *
 * An order waits in a list until its names are resolved, and is then told to the core in a turn of
 * its own: no callback comes from inside a call. JOIN, LEAVE, SPREAD and WIDTH stay in the list
 * until the core answers. Names are looked up on libuv's pool; one that takes too long is given up,
 * and its answer ignored when it comes.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "driver_parts.h"

#define LOOKUP_MS 10000
#define HOST_MAX  255

enum order_kind {
    ORDER_JOIN,
    ORDER_LEAVE,
    ORDER_FORCE,
    ORDER_SPREAD,
    ORDER_WIDTH,
    ORDER_TAGS,
    ORDER_PROFILE,
    ORDER_KEYS,
    ORDER_EVENT,
    ORDER_QUERY,
    ORDER_RESPOND
};

struct order {
    struct mu_link link;
    struct gossip_driver *driver;
    enum order_kind kind;
    uint64_t id, since_ms;
    bool is_sent; /* the core has it, and will answer */
    struct mu_arena arena;
    struct gossip_target *targets; /* JOIN */
    size_t targets_count;
    unsigned lookups; /* still running */
    gossip_joined_fn *joined;
    bool replays;
    gossip_left_fn *left;
    gossip_told_fn *told;
    gossip_measured_fn *measured;
    void *data;
    const char *name; /* FORCE, WIDTH */
    bool prune;
    struct mu_pairs tags;   /* TAGS */
    struct mu_span payload; /* EVENT, RESPOND */
    bool coalesce;
    struct gossip_query_params params; /* QUERY */
    uint64_t ltime;                    /* RESPOND */
    uint32_t query;
};

struct lookup {
    struct mu_link link;
    uv_getaddrinfo_t req;
    struct gossip_driver *driver;
    struct order *order; /* NULL: nobody waits for it any more */
    const char *given;   /* the order's */
    char host[HOST_MAX + 1];
    uint16_t port;
};

static struct order *order_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct order, link);
}

static struct lookup *lookup_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct lookup, link);
}

static struct order *order_new(struct gossip_driver *d, enum order_kind kind)
{
    struct order *o = mu_new(sizeof *o);

    o->driver = d;
    o->kind = kind;
    o->id = ++d->next_order;
    o->since_ms = gossip__now();
    mu_arena_init(&o->arena, 0);
    mu_list_push_back(&d->orders, &o->link);
    gossip__soon(d);
    return o;
}

static void order_free(struct order *o)
{
    MU_LIST_EACH (link, &o->driver->lookups) {
        struct lookup *l = lookup_of(link);

        l->order = l->order == o ? NULL : l->order;
    }
    mu_list_remove(&o->link);
    mu_arena_deinit(&o->arena);
    mu_free(o);
}

/* -- to the core and back -----------------------------------------------------------------------
 */

static void order_send(struct gossip_driver *d, struct order *o)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_JOIN };

    o->is_sent = true;
    switch (o->kind) {
    case ORDER_JOIN:
        ev.join.id = o->id;
        ev.join.targets = o->targets;
        ev.join.targets_count = o->targets_count;
        ev.join.replays = o->replays;
        gossip__feed(d, &ev);
        return;
    case ORDER_LEAVE:
        ev.kind = GOSSIP_EV_LEAVE;
        ev.leave.id = o->id;
        d->keeper.has_left = true;
        gossip__keeper_due(d);
        gossip__feed(d, &ev);
        return;
    case ORDER_SPREAD:
        ev.kind = GOSSIP_EV_SPREAD;
        ev.spread.id = o->id;
        gossip__feed(d, &ev);
        return;
    case ORDER_WIDTH:
        ev.kind = GOSSIP_EV_WIDTH;
        ev.width.id = o->id;
        ev.width.name = o->name;
        gossip__feed(d, &ev);
        return;
    case ORDER_FORCE:
        ev.kind = GOSSIP_EV_FORCE_LEAVE;
        ev.force.name = o->name;
        ev.force.prune = o->prune;
        break;
    case ORDER_TAGS:
        ev.kind = GOSSIP_EV_TAGS;
        ev.tags = o->tags;
        break;
    case ORDER_PROFILE: /* as it is by now */
        ev.kind = GOSSIP_EV_PROFILE;
        ev.profile = d->options.core.profile;
        break;
    case ORDER_KEYS: /* as they are by now */
        ev.kind = GOSSIP_EV_KEYS;
        ev.sealing = d->options.core.sealing;
        break;
    case ORDER_EVENT:
        ev.kind = GOSSIP_EV_USER_EVENT;
        ev.user_event.name = o->name;
        ev.user_event.payload = o->payload;
        ev.user_event.coalesce = o->coalesce;
        break;
    case ORDER_QUERY:
        ev.kind = GOSSIP_EV_QUERY;
        ev.query.id = o->id;
        ev.query.params = &o->params;
        break;
    case ORDER_RESPOND:
        ev.kind = GOSSIP_EV_RESPOND;
        ev.respond.ltime = o->ltime;
        ev.respond.id = o->query;
        ev.respond.payload = o->payload;
        break;
    }
    gossip__feed(d, &ev);
    order_free(o);
}

static struct order *order_ready(struct gossip_driver *d)
{
    MU_LIST_EACH (link, &d->orders) {
        struct order *o = order_of(link);

        if (!o->is_sent && o->lookups == 0) {
            return o;
        }
    }
    return NULL;
}

void gossip__orders_run(struct gossip_driver *d)
{
    struct order *o;

    while (!d->is_stopping && (o = order_ready(d)) != NULL) {
        order_send(d, o);
    }
}

static void answer(struct order *o, unsigned contacted, const char *why)
{
    if (o->kind == ORDER_JOIN) {
        o->joined(o->data, contacted, why);
    } else if (o->kind == ORDER_LEAVE) {
        o->left(o->data);
    } else if (o->kind == ORDER_SPREAD) {
        o->told(o->data, contacted > 0);
    } else if (o->kind == ORDER_WIDTH) {
        o->measured(o->data, o->name, (enum gossip_width)contacted);
    }
}

void gossip__orders_answer(struct gossip_driver *d, const struct gossip_done *done)
{
    MU_LIST_EACH (link, &d->orders) {
        struct order *o = order_of(link);

        if (o->id == done->id) {
            answer(o, done->contacted, done->why);
            order_free(o);
            return;
        }
    }
}

void gossip__orders_stop(struct gossip_driver *d)
{
    struct mu_link *first;

    while ((first = d->orders.next) != &d->orders) {
        struct order *o = order_of(first);

        answer(o, 0, "gossip has stopped");
        order_free(o);
    }
    MU_LIST_EACH (link, &d->lookups) {
        (void)uv_cancel((uv_req_t *)&lookup_of(link)->req); /* one that runs ends by itself */
    }
}

/* -- names to addresses -------------------------------------------------------------------------
 */

static void target_add(struct order *o, const char *given, const struct mu_addr *addr,
                       const char *failed)
{
    o->targets = mu_arena_grow(&o->arena, o->targets, o->targets_count, sizeof *o->targets);
    o->targets[o->targets_count++] = (struct gossip_target){
        .given = given, .failed = failed, .addr = addr != NULL ? *addr : MU_ADDR_NONE
    };
}

/* A socket bound to IPv4 reaches nothing else; one bound to IPv6 reaches both if it is `::`. */
static bool is_reachable(const struct gossip_driver *d, const struct mu_addr *addr)
{
    const struct mu_addr *bind = &d->options.bind;

    return addr->ip_bytes == bind->ip_bytes || (bind->ip_bytes == 16 && mu_addr_is_any(bind));
}

static void add_found(struct lookup *l, const struct addrinfo *found)
{
    struct order *o = l->order;
    size_t before = o->targets_count;
    struct mu_addr addr;

    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        if (mu_addr_from_sockaddr(a->ai_addr, &addr) && is_reachable(o->driver, &addr)) {
            addr.port = l->port;
            target_add(o, l->given, &addr, NULL);
        }
    }
    if (o->targets_count == before) {
        target_add(
            o, l->given, NULL,
            mu_arena_printf(&o->arena, "lookup %s: no address of the family we use", l->host));
    }
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *l = MU_CONTAINER(req, struct lookup, req);
    struct gossip_driver *d = l->driver;
    struct order *o = l->order;

    if (o != NULL) {
        o->lookups--;
        if (status == 0) {
            add_found(l, found);
        } else {
            bool is_unknown = status == UV_EAI_NONAME || status == UV_EAI_NODATA;

            target_add(o, l->given, NULL,
                       mu_arena_printf(&o->arena, "lookup %s: %s", l->host,
                                       is_unknown ? "no such host" : uv_strerror(status)));
        }
        gossip__soon(d);
    }
    uv_freeaddrinfo(found);
    mu_list_remove(&l->link);
    mu_free(l);
    gossip__handle_closed(d);
}

void gossip__orders_timer(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;
    uint64_t now = gossip__now();

    MU_LIST_EACH (link, &d->lookups) {
        struct lookup *l = lookup_of(link);

        if (l->order != NULL && now >= l->order->since_ms + LOOKUP_MS) {
            target_add(l->order, l->given, NULL,
                       mu_arena_printf(&l->order->arena, "lookup %s: i/o timeout", l->host));
            l->order->lookups--;
            l->order = NULL;
            gossip__soon(d);
        }
    }
    if (!mu_list_empty(&d->lookups) && !d->is_stopping) {
        MU_ASSERT(uv_timer_start(&d->lookup_timer, gossip__orders_timer, LOOKUP_MS, 0) == 0);
    }
}

static void resolve(struct order *o, const char *given, struct mu_span host, uint16_t port)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct gossip_driver *d = o->driver;
    struct lookup *l;

    if (host.bytes > HOST_MAX) {
        target_add(o, given, NULL, "the host name is too long");
        return;
    }
    l = mu_new(sizeof *l);
    l->driver = d;
    l->order = o;
    l->given = given;
    l->port = port;
    (void)snprintf(l->host, sizeof l->host, "%.*s", MU_SPAN_FMT(host));
    int rc = uv_getaddrinfo(d->loop, &l->req, on_resolved, l->host, NULL, &hints);

    if (rc != 0) {
        target_add(o, given, NULL,
                   mu_arena_printf(&o->arena, "lookup %s: %s", l->host, uv_strerror(rc)));
        mu_free(l);
        return;
    }
    o->lookups++;
    mu_list_push_back(&d->lookups, &l->link);
    gossip__handle_opened(d);
    if (!uv_is_active((uv_handle_t *)&d->lookup_timer)) {
        MU_ASSERT(uv_timer_start(&d->lookup_timer, gossip__orders_timer, LOOKUP_MS, 0) == 0);
    }
}

/* "host", "host:port", "name/host:port": the name before a slash is for people. */
static void target_parse(struct order *o, const char *text)
{
    const char *given = mu_arena_strdup(&o->arena, text);
    const char *slash = strrchr(given, '/');
    uint16_t port = o->driver->options.bind.port;
    struct mu_span host;
    struct mu_addr addr;

    if (!mu_addr_split(mu_span_text(slash != NULL ? slash + 1 : given), &host, &port)) {
        target_add(o, given, NULL, "not of the form host or host:port");
    } else if (!mu_addr_parse_ip(host, &addr)) {
        resolve(o, given, host, port);
    } else if (!is_reachable(o->driver, &addr)) {
        target_add(o, given, NULL, "not an address of the family we use");
    } else {
        addr.port = port;
        target_add(o, given, &addr, NULL);
    }
}

/* -- the calls ----------------------------------------------------------------------------------
 */

void gossip_driver_join(struct gossip_driver *d, const char *const *addresses, size_t count,
                        bool replays, gossip_joined_fn *joined, void *data)
{
    struct order *o = order_new(d, ORDER_JOIN);

    MU_ASSERT(d->is_started && !d->is_stopping);
    o->joined = joined;
    o->replays = replays;
    o->data = data;
    for (size_t i = 0; i < count; i++) {
        target_parse(o, addresses[i]);
    }
}

void gossip_driver_leave(struct gossip_driver *d, gossip_left_fn *left, void *data)
{
    struct order *o = order_new(d, ORDER_LEAVE);

    MU_ASSERT(d->is_started && !d->is_stopping);
    o->left = left;
    o->data = data;
}

void gossip_driver_spread(struct gossip_driver *d, gossip_told_fn *told, void *data)
{
    struct order *o = order_new(d, ORDER_SPREAD);

    MU_ASSERT(d->is_started && !d->is_stopping);
    o->told = told;
    o->data = data;
}

void gossip_driver_width(struct gossip_driver *d, const char *name, gossip_measured_fn *measured,
                         void *data)
{
    struct order *o = order_new(d, ORDER_WIDTH);

    MU_ASSERT(d->is_started && !d->is_stopping);
    o->name = mu_arena_strdup(&o->arena, name);
    o->measured = measured;
    o->data = data;
}

enum mu_code gossip_driver_force_leave(struct gossip_driver *d, const char *name, bool prune,
                                       struct mu_err *err)
{
    struct gossip_view view;

    if (!gossip_driver_find(d, name, &view)) {
        return mu_fail(err, MU_NOT_FOUND, "no member is called '%s'", name);
    }
    struct order *o = order_new(d, ORDER_FORCE);

    o->name = mu_arena_strdup(&o->arena, name);
    o->prune = prune;
    return MU_OK;
}

struct mu_pairs gossip__pairs_copy(struct mu_arena *arena, const struct mu_pairs *from)
{
    struct mu_pairs to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i].key = mu_arena_span(arena, from->items[i].key);
        to.items[i].value = mu_arena_span(arena, from->items[i].value);
    }
    return to;
}

enum mu_code gossip_driver_set_tags(struct gossip_driver *d, const struct mu_pairs *tags,
                                    struct mu_err *err)
{
    enum mu_code rc = gossip_tags_check(tags, err);

    if (rc != MU_OK) {
        return rc;
    }
    struct order *o = order_new(d, ORDER_TAGS);

    o->tags = gossip__pairs_copy(&o->arena, tags);
    return MU_OK;
}

enum mu_code gossip_driver_set_profile(struct gossip_driver *d,
                                       const struct gossip_profile *profile, struct mu_err *err)
{
    enum mu_code rc = gossip_profile_check(profile, err);

    if (rc == MU_OK) {
        d->options.core.profile = *profile;
        (void)order_new(d, ORDER_PROFILE);
    }
    return rc;
}

void gossip_driver_seal(struct gossip_driver *d, const struct gossip_sealing *sealing)
{
    gossip__driver_sealing(d, sealing);
    (void)order_new(d, ORDER_KEYS);
}

/* -- user events and queries --------------------------------------------------------------------
 */

struct asker {
    struct mu_link link;
    uint64_t id;
    gossip_replied_fn *replied; /* NULL: forgotten */
    void *data;
};

void gossip_driver_listen(struct gossip_driver *d, const struct gossip_listener *listener)
{
    d->listener = *listener;
}

enum mu_code gossip_driver_event(struct gossip_driver *d, const char *name, struct mu_span payload,
                                 bool coalesce, struct mu_err *err)
{
    enum mu_code rc = gossip_event_check(d->core, name, payload, err);

    if (rc == MU_OK) {
        struct order *o = order_new(d, ORDER_EVENT);

        o->name = mu_arena_strdup(&o->arena, name);
        o->payload = mu_arena_span(&o->arena, payload);
        o->coalesce = coalesce;
    }
    return rc;
}

static void params_copy(struct mu_arena *arena, const struct gossip_query_params *from,
                        struct gossip_query_params *to)
{
    struct gossip_query_filter *filters =
        mu_arena_array(arena, from->filters_count + 1, sizeof *filters);

    *to = *from;
    to->name = mu_arena_strdup(arena, from->name);
    to->payload = mu_arena_span(arena, from->payload);
    for (size_t i = 0; i < from->filters_count; i++) {
        const struct gossip_query_filter *f = &from->filters[i];
        const char **nodes = mu_arena_array(arena, f->nodes_count + 1, sizeof *nodes);

        for (size_t n = 0; n < f->nodes_count; n++) {
            nodes[n] = mu_arena_strdup(arena, f->nodes[n]);
        }
        filters[i] = (struct gossip_query_filter){
            .nodes = nodes,
            .nodes_count = f->nodes_count,
            .tag = f->tag != NULL ? mu_arena_strdup(arena, f->tag) : NULL,
            .expr = f->expr != NULL ? mu_arena_strdup(arena, f->expr) : NULL,
        };
    }
    to->filters = filters;
}

enum mu_code gossip_driver_query(struct gossip_driver *d, const struct gossip_query_params *params,
                                 gossip_replied_fn *replied, void *data, uint64_t *id,
                                 struct mu_err *err)
{
    enum mu_code rc = gossip_query_check(d->core, params, err);

    if (rc == MU_OK) {
        struct order *o = order_new(d, ORDER_QUERY);
        struct asker *a = mu_new(sizeof *a);

        params_copy(&o->arena, params, &o->params);
        *a = (struct asker){ .id = o->id, .replied = replied, .data = data };
        mu_list_push_back(&d->askers, &a->link);
        *id = a->id;
    }
    return rc;
}

static struct asker *asker_find(const struct gossip_driver *d, uint64_t id)
{
    MU_LIST_EACH (link, &d->askers) {
        struct asker *a = MU_CONTAINER(link, struct asker, link);

        if (a->id == id) {
            return a;
        }
    }
    return NULL;
}

static void asker_free(struct asker *a)
{
    mu_list_remove(&a->link);
    mu_free(a);
}

void gossip_driver_query_forget(struct gossip_driver *d, uint64_t id)
{
    struct asker *a = asker_find(d, id);

    if (a != NULL) {
        a->replied = NULL;
    }
}

enum mu_code gossip_driver_respond(struct gossip_driver *d, uint64_t ltime, uint32_t id,
                                   struct mu_span payload, struct mu_err *err)
{
    enum mu_code rc = gossip_respond_check(d->core, ltime, id, payload, err);

    if (rc == MU_OK) {
        struct order *o = order_new(d, ORDER_RESPOND);

        o->ltime = ltime;
        o->query = id;
        o->payload = mu_arena_span(&o->arena, payload);
    }
    return rc;
}

uint64_t gossip_driver_query_timeout_ms(const struct gossip_driver *d)
{
    return gossip_query_timeout_ms(d->core);
}

static void deliver_reply(struct gossip_driver *d, const struct gossip_reply *reply)
{
    struct asker *a = asker_find(d, reply->query);

    if (a == NULL) {
        return;
    }
    if (a->replied != NULL) {
        a->replied(a->data, reply);
    }
    if (reply->kind == GOSSIP_REPLY_DONE) {
        asker_free(a);
    }
}

void gossip__asks_deliver(struct gossip_driver *d, const struct gossip_effects *fx)
{
    for (size_t i = 0; i < fx->events_count && d->listener.event != NULL; i++) {
        d->listener.event(d->listener.data, &fx->events[i]);
    }
    for (size_t i = 0; i < fx->queries_count && d->listener.query != NULL; i++) {
        d->listener.query(d->listener.data, &fx->queries[i]);
    }
    for (size_t i = 0; i < fx->replies_count; i++) {
        deliver_reply(d, &fx->replies[i]);
    }
}

/* The driver stops: who still waits is told that the time is over. */
void gossip__asks_stop(struct gossip_driver *d)
{
    MU_LIST_EACH_SAFE (link, &d->askers) {
        struct asker *a = MU_CONTAINER(link, struct asker, link);
        struct gossip_reply done = { .query = a->id, .kind = GOSSIP_REPLY_DONE };

        if (a->replied != NULL) {
            a->replied(a->data, &done);
        }
        asker_free(a);
    }
}
