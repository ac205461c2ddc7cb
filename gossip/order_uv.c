/* order_uv.c - what callers ask of the driver, and names to addresses.
 *
 * An order waits in a list until its names are resolved, and is then told to the core in a turn of
 * its own: no callback comes from inside a call. JOIN and LEAVE stay in the list until the core
 * answers. Names are looked up on libuv's pool; one that takes too long is given up, and its answer
 * ignored when it comes.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "driver_parts.h"

#define LOOKUP_MS   10000
#define TARGETS_MIN 8
#define HOST_MAX    255

enum order_kind { ORDER_JOIN, ORDER_LEAVE, ORDER_FORCE, ORDER_TAGS, ORDER_KEYS };

struct order {
    struct mu_link link;
    struct gossip_driver *driver;
    enum order_kind kind;
    uint64_t id, since_ms;
    bool is_sent; /* the core has it, and will answer */
    struct mu_arena arena;
    struct gossip_target *targets; /* JOIN */
    size_t targets_count, targets_room;
    unsigned lookups; /* still running */
    gossip_joined_fn *joined;
    gossip_left_fn *left;
    void *data;
    const char *name; /* FORCE */
    bool prune;
    struct mu_pairs tags; /* TAGS */
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
        gossip__feed(d, &ev);
        return;
    case ORDER_LEAVE:
        ev.kind = GOSSIP_EV_LEAVE;
        ev.leave.id = o->id;
        d->keeper.has_left = true;
        gossip__keeper_due(d);
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
    case ORDER_KEYS: /* as they are by now */
        ev.kind = GOSSIP_EV_KEYS;
        ev.sealing = d->options.core.sealing;
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
    if (o->targets_count == o->targets_room) {
        size_t room = o->targets_room * 2 + TARGETS_MIN;
        struct gossip_target *grown = mu_arena_array(&o->arena, room, sizeof *grown);

        if (o->targets_count > 0) {
            memcpy(grown, o->targets, o->targets_count * sizeof *grown);
        }
        o->targets = grown;
        o->targets_room = room;
    }
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
                        gossip_joined_fn *joined, void *data)
{
    struct order *o = order_new(d, ORDER_JOIN);

    MU_ASSERT(d->is_started && !d->is_stopping);
    o->joined = joined;
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
    if (gossip_tags_bytes(tags) > MU_GOSSIP_META_MAX) {
        return mu_fail(err, MU_TOO_BIG, "Encoded length of tags exceeds limit of %d bytes",
                       MU_GOSSIP_META_MAX);
    }
    struct order *o = order_new(d, ORDER_TAGS);

    o->tags = gossip__pairs_copy(&o->arena, tags);
    return MU_OK;
}

void gossip_driver_seal(struct gossip_driver *d, const struct gossip_sealing *sealing)
{
    gossip__driver_sealing(d, sealing);
    (void)order_new(d, ORDER_KEYS);
}
