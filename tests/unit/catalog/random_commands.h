/* random_commands.h - commands drawn from a small world, so that they meet each other often.
 *
 * Everything a drawn command points to is static text or lies in the arena.
 */
#ifndef TESTS_CATALOG_RANDOM_COMMANDS_H
#define TESTS_CATALOG_RANDOM_COMMANDS_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/rand.h"
#include "proto/command.h"

static const char *const drawn_nodes[] = { "n1", "n2", "n3", "n4", "n5" };
static const char *const drawn_services[] = { "web", "db", "api" };
static const char *const drawn_service_ids[] = { "", "s1", "s2", "S3" };
static const char *const drawn_checks[] = { "serfHealth", "c1", "c2", "C3" };
static const char *const drawn_statuses[] = { "passing", "passing", "warning", "critical", "" };
static const char *const drawn_addresses[] = { "10.0.0.1", "10.0.0.2", "2001:db8::1",
                                               "host.example" };

#define DRAW(r, list) mu_span_text((list)[mu_rand_below(r, MU_LEN(list))])

/* Keys over few letters and slashes, with now and then a byte that is no text. */
static inline struct mu_span draw_key(struct mu_rand *r, struct mu_arena *arena, size_t bytes_max)
{
    static const uint8_t letters[] = { 'a', 'a', 'b', '/', '/', 0, 0xff };
    size_t bytes = mu_rand_below(r, bytes_max + 1);
    uint8_t *key = mu_arena_new(arena, bytes + 1);

    for (size_t i = 0; i < bytes; i++) {
        key[i] = letters[mu_rand_below(r, MU_LEN(letters))];
    }
    return mu_span_of(key, bytes);
}

static inline bool draw_bool(struct mu_rand *r, uint64_t one_in)
{
    return mu_rand_below(r, one_in) == 0;
}

static inline struct mu_span draw_uuid(struct mu_rand *r, struct mu_arena *arena)
{
    return mu_span_text(mu_arena_printf(arena, "00000000-0000-0000-0000-%012llu",
                                        (unsigned long long)mu_rand_below(r, 6)));
}

static inline struct mu_pairs draw_pairs(struct mu_rand *r, struct mu_arena *arena)
{
    static const char *const keys[] = { "a", "b", "c" };
    struct mu_pairs pairs = { mu_arena_array(arena, 3, sizeof *pairs.items), mu_rand_below(r, 4) };

    for (size_t i = 0; i < pairs.count; i++) {
        pairs.items[i] = (struct mu_pair){ DRAW(r, keys), DRAW(r, drawn_addresses) };
    }
    return pairs;
}

static inline void draw_node(struct mu_rand *r, struct mu_arena *arena, struct command_node *n)
{
    n->name = DRAW(r, drawn_nodes);
    n->id = draw_bool(r, 3) ? draw_uuid(r, arena) : MU_SPAN_NONE;
    n->address = DRAW(r, drawn_addresses);
    n->has_meta = draw_bool(r, 2);
    n->has_tagged_addresses = draw_bool(r, 2);
    if (n->has_meta) {
        n->meta = draw_pairs(r, arena);
    }
    if (n->has_tagged_addresses) {
        n->tagged_addresses = draw_pairs(r, arena);
    }
}

static inline void draw_service(struct mu_rand *r, struct mu_arena *arena,
                                struct command_service *s)
{
    s->name = DRAW(r, drawn_services);
    s->id = DRAW(r, drawn_service_ids);
    s->port = (uint16_t)mu_rand_below(r, 2);
    s->address = draw_bool(r, 3) ? DRAW(r, drawn_addresses) : MU_SPAN_NONE;
    s->weight_passing = (uint32_t)mu_rand_below(r, 3);
    s->tags =
        (struct mu_texts){ mu_arena_array(arena, 2, sizeof *s->tags.items), mu_rand_below(r, 3) };
    for (size_t i = 0; i < s->tags.count; i++) {
        s->tags.items[i] = DRAW(r, drawn_services);
    }
    s->tagged_addresses_count = mu_rand_below(r, 3);
    s->tagged_addresses = mu_arena_array(arena, 2, sizeof *s->tagged_addresses);
    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        s->tagged_addresses[i] =
            (struct command_service_address){ DRAW(r, drawn_services), DRAW(r, drawn_addresses),
                                              (uint16_t)i };
    }
    s->has_meta = draw_bool(r, 4);
    if (draw_bool(r, 40)) {
        s->address = MU_SPAN_LIT("0.0.0.0"); /* refused */
    }
}

static inline void draw_check(struct mu_rand *r, struct command_check *c)
{
    c->id = DRAW(r, drawn_checks);
    c->status = DRAW(r, drawn_statuses);
    c->output = draw_bool(r, 2) ? MU_SPAN_LIT("out\0\xff") : MU_SPAN_NONE;
    if (draw_bool(r, 2)) {
        c->service_id = draw_bool(r, 2) ? DRAW(r, drawn_services) : DRAW(r, drawn_service_ids);
    }
}

static inline void draw_register(struct mu_rand *r, struct mu_arena *arena, struct command *c)
{
    struct command_register *reg = &c->reg;

    c->kind = COMMAND_REGISTER;
    draw_node(r, arena, &reg->node);
    reg->skip_node_update = draw_bool(r, 2);
    reg->has_service = draw_bool(r, 2);
    if (reg->has_service) {
        draw_service(r, arena, &reg->service);
    }
    reg->checks_count = mu_rand_below(r, 3);
    reg->checks = mu_arena_array(arena, 3, sizeof *reg->checks);
    for (size_t i = 0; i < reg->checks_count; i++) {
        draw_check(r, &reg->checks[i]);
    }
    if (reg->checks_count == 2 && mu_span_eq(reg->checks[0].id, reg->checks[1].id)) {
        reg->checks_count = 1; /* of one id twice the first would be seen by nobody */
    }
}

static inline void draw_deregister(struct mu_rand *r, struct command *c)
{
    c->kind = COMMAND_DEREGISTER;
    c->dereg.node = DRAW(r, drawn_nodes);
    if (draw_bool(r, 2)) {
        c->dereg.check_id = DRAW(r, drawn_checks);
    } else if (!draw_bool(r, 4)) {
        c->dereg.service_id =
            draw_bool(r, 2) ? DRAW(r, drawn_services) : DRAW(r, drawn_service_ids);
    }
}

static inline void draw_kv(struct mu_rand *r, struct mu_arena *arena, uint64_t index,
                           struct command *c)
{
    bool has_cas = draw_bool(r, 5);
    uint64_t cas = draw_bool(r, 3) ? 0 : mu_rand_below(r, index + 2);

    if (draw_bool(r, 3)) {
        c->kind = COMMAND_KV_DELETE;
        c->kv_delete.key = draw_key(r, arena, 4);
        c->kv_delete.recurse = draw_bool(r, 6);
        c->kv_delete.has_cas = has_cas;
        c->kv_delete.cas = cas;
        return;
    }
    c->kind = COMMAND_KV_SET;
    c->kv_set.key = draw_key(r, arena, 4);
    c->kv_set.value =
        draw_bool(r, 8) ? mu_span_of(mu_arena_new(arena, 5000), 5000) : draw_key(r, arena, 2);
    c->kv_set.flags = mu_rand_below(r, 3);
    c->kv_set.has_cas = has_cas;
    c->kv_set.cas = cas;
}

static inline void draw_autopilot(struct mu_rand *r, uint64_t index, struct command *c)
{
    c->kind = COMMAND_AUTOPILOT;
    c->autopilot.cleanup_dead_servers = draw_bool(r, 2);
    c->autopilot.last_contact_ns = mu_rand_below(r, 2);
    c->autopilot.redundancy_zone_tag = DRAW(r, drawn_services);
    c->autopilot.has_cas = draw_bool(r, 2);
    c->autopilot.cas = draw_bool(r, 3) ? 0 : mu_rand_below(r, index + 2);
}

static const char *const drawn_behaviors[] = { "release", "delete" };

static inline struct mu_id draw_session_id(struct mu_rand *r)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = 0x5e;
    id.b[15] = (uint8_t)mu_rand_below(r, 8);
    return id;
}

static inline void draw_session(struct mu_rand *r, struct mu_arena *arena, struct command *c)
{
    struct command_session *s = &c->session;

    if (draw_bool(r, 5)) {
        c->kind = COMMAND_SESSION_DESTROY;
        c->session_destroy.id = draw_session_id(r);
        return;
    }
    c->kind = COMMAND_SESSION_CREATE;
    s->id = draw_session_id(r);
    s->node = DRAW(r, drawn_nodes);
    s->behavior = DRAW(r, drawn_behaviors);
    s->lock_delay_ns = draw_bool(r, 2) ? 0 : mu_rand_below(r, 400000000);
    s->node_checks = (struct mu_texts){ mu_arena_array(arena, 1, sizeof *s->node_checks.items),
                                        draw_bool(r, 2) };
    if (s->node_checks.count > 0) {
        s->node_checks.items[0] = DRAW(r, drawn_checks);
    }
    s->has_service_checks = draw_bool(r, 3);
    if (s->has_service_checks) {
        s->service_checks =
            (struct mu_pairs){ mu_arena_array(arena, 1, sizeof *s->service_checks.items), 1 };
        s->service_checks.items[0].key = DRAW(r, drawn_checks);
    }
}

static inline void draw_lock(struct mu_rand *r, struct mu_arena *arena, struct command *c)
{
    c->kind = COMMAND_KV_LOCK;
    c->kv_lock.key = draw_key(r, arena, 2);
    c->kv_lock.value = draw_key(r, arena, 1);
    c->kv_lock.session = draw_session_id(r);
    c->kv_lock.is_release = draw_bool(r, 4);
}

/* From one of three servers, mostly with the next number, now and then with one that was there
 * before, or after a restart. */
static inline void draw_origin(struct mu_rand *r, uint64_t index, struct command_origin *o)
{
    unsigned server = 1 + (unsigned)mu_rand_below(r, 3);
    uint64_t back = draw_bool(r, 2) ? mu_rand_below(r, 60) : 0;

    o->server.b[0] = (uint8_t)server;
    o->boot = 1 + index / 700 - (index > 700 && draw_bool(r, 60));
    o->seq = index > back ? index - back : 1;
}

static inline void draw_txn(struct mu_rand *r, struct mu_arena *arena, uint64_t index,
                            struct command *c)
{
    struct command_txn *txn = &c->txn;

    c->kind = COMMAND_TXN;
    txn->ops_count = mu_rand_below(r, 6);
    txn->ops = mu_arena_array(arena, 6, sizeof *txn->ops);
    for (size_t i = 0; i < txn->ops_count; i++) {
        struct command_txn_op *op = &txn->ops[i];
        struct mu_id session = draw_session_id(r);
        char *text = mu_arena_new(arena, MU_ID_TEXT_BYTES + 1);

        mu_id_text(&session, text);
        op->verb = (enum command_txn_verb)(1 + mu_rand_below(r, COMMAND_TXN_DELETE_CAS));
        op->key = draw_key(r, arena, 3);
        op->value = draw_key(r, arena, 1);
        op->index = mu_rand_below(r, index + 2);
        op->session = draw_bool(r, 8) ? MU_SPAN_LIT("abc") : mu_span_text(text);
    }
}

/* As many on one of the others as on keys. */
static inline void draw_txn_catalog(struct mu_rand *r, struct mu_arena *arena, uint64_t index,
                                    struct command *c)
{
    draw_txn(r, arena, index, c);
    c->kind = COMMAND_TXN_CATALOG;
    for (size_t i = 0; i < c->txn.ops_count; i++) {
        struct command_txn_op *op = &c->txn.ops[i];
        struct command_node *node = mu_arena_new(arena, sizeof *node);
        struct command_service *service = mu_arena_new(arena, sizeof *service);
        struct command_check *check = mu_arena_new(arena, sizeof *check);

        if (draw_bool(r, 2)) {
            continue;
        }
        *op = (struct command_txn_op){ .key = DRAW(r, drawn_nodes),
                                       .index = draw_bool(r, 3) ? 0 : mu_rand_below(r, index + 2) };
        op->verb = (enum command_txn_verb)(
            COMMAND_TXN_NODE_GET +
            mu_rand_below(r, COMMAND_TXN_CHECK_DELETE_CAS + 1 - COMMAND_TXN_NODE_GET));
        switch (command_txn_on(op->verb)) {
        case COMMAND_TXN_ON_KEY: break;
        case COMMAND_TXN_ON_NODE:
            draw_node(r, arena, node);
            op->node = node;
            break;
        case COMMAND_TXN_ON_SERVICE:
            draw_service(r, arena, service);
            op->service = service;
            break;
        case COMMAND_TXN_ON_CHECK:
            draw_check(r, check);
            op->check = check;
            break;
        }
    }
}

static inline void draw_coordinates(struct mu_rand *r, struct mu_arena *arena, struct command *c)
{
    struct command_coordinates *all = &c->coordinates;

    c->kind = COMMAND_COORDINATES;
    all->count = mu_rand_below(r, 4);
    all->items = mu_arena_array(arena, 4, sizeof *all->items);
    for (size_t i = 0; i < all->count; i++) {
        all->items[i].node = DRAW(r, drawn_nodes);
        all->items[i].at = (struct coordinate)COORDINATE_ORIGIN;
        all->items[i].at.vec[0] = (double)mu_rand_below(r, 3) / 1000;
    }
}

/* `index`: that of the entry it will be, for plausible check-and-sets. */
static inline void draw_command(struct mu_rand *r, struct mu_arena *arena, uint64_t index,
                                struct command *c)
{
    *c = (struct command){ .stamp_ms = draw_bool(r, 2) ? 1000 + mu_rand_below(r, 1000) : 0 };
    if (draw_bool(r, 20)) {
        draw_autopilot(r, index, c);
        return;
    }
    if (draw_bool(r, 15)) {
        draw_coordinates(r, arena, c);
        return;
    }
    if (draw_bool(r, 12)) {
        c->kind = COMMAND_KV_COMPACT;
        c->kv_compact = (struct command_kv_compact){ .space = 1,
                                                     .versions_rev = mu_rand_below(r, index),
                                                     .markers_rev = mu_rand_below(r, index),
                                                     .rows = 1 + (uint32_t)mu_rand_below(r, 60) };
        return;
    }
    if (!draw_bool(r, 3)) {
        draw_origin(r, index, &c->origin);
    }
    if (draw_bool(r, 5)) {
        c->request.b[0] = (uint8_t)(1 + mu_rand_below(r, 40));
    }
    switch (mu_rand_below(r, 10)) {
    case 0:
    case 1:
    case 2: draw_register(r, arena, c); break;
    case 3: draw_deregister(r, c); break;
    case 4: draw_session(r, arena, c); break;
    case 5:
        if (draw_bool(r, 2)) {
            draw_txn(r, arena, index, c);
        } else {
            draw_txn_catalog(r, arena, index, c);
        }
        break;
    case 6: draw_lock(r, arena, c); break;
    default: draw_kv(r, arena, index, c); break;
    }
}

#endif
