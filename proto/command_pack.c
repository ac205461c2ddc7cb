/* command_pack.c - commands to messages: structs of pointers into the command, then bytes. */
#include <string.h>

#include "command_parts.h"
#include "proto/pb.h"

typedef Muster__Command__Register pb_register;
typedef Muster__Command__Deregister pb_deregister;
typedef Muster__Command__KvSet pb_kv_set;
typedef Muster__Command__KvDelete pb_kv_delete;
typedef Muster__Command__KvLock pb_kv_lock;
typedef Muster__Command__TxnOp pb_txn_op;
typedef Muster__Command__Txn pb_txn;
typedef Muster__Command__TxnCatalogOp pb_txn_catalog_op;
typedef Muster__Command__TxnCatalog pb_txn_catalog;
typedef Muster__Command__KvCompact pb_kv_compact;
typedef Muster__Command__SessionCreate pb_session;
typedef Muster__Command__SessionDestroy pb_session_destroy;

ProtobufCBinaryData command__bytes(struct mu_span s)
{
    /* protobuf-c reads only, but its type says nothing of const */
    return (ProtobufCBinaryData){ s.bytes, (uint8_t *)(uintptr_t)s.data };
}

static ProtobufCBinaryData id_bytes(const struct mu_id *id)
{
    return mu_id_is_none(id) ? command__bytes(MU_SPAN_NONE)
                             : command__bytes(mu_span_of(id->b, sizeof id->b));
}

static void pairs_to_pb(const struct mu_pairs *pairs, struct mu_arena *arena, pb_pair ***list,
                        size_t *count)
{
    pb_pair *items = mu_arena_array(arena, pairs->count, sizeof *items);

    *list = mu_arena_array(arena, pairs->count, sizeof **list);
    *count = pairs->count;
    for (size_t i = 0; i < pairs->count; i++) {
        muster__command__pair__init(&items[i]);
        items[i].key = command__bytes(pairs->items[i].key);
        items[i].value = command__bytes(pairs->items[i].value);
        (*list)[i] = &items[i];
    }
}

pb_node *command__node_to_pb(const struct command_node *n, struct mu_arena *arena)
{
    pb_node *m = mu_arena_new(arena, sizeof *m);

    muster__command__node__init(m);
    m->name = command__bytes(n->name);
    m->id = command__bytes(n->id);
    m->address = command__bytes(n->address);
    pairs_to_pb(&n->tagged_addresses, arena, &m->tagged_addresses, &m->n_tagged_addresses);
    pairs_to_pb(&n->meta, arena, &m->meta, &m->n_meta);
    m->has_tagged_addresses = n->has_tagged_addresses;
    m->has_meta = n->has_meta;
    return m;
}

static void addresses_to_pb(const struct command_service *s, struct mu_arena *arena, pb_service *m)
{
    size_t count = s->tagged_addresses_count;
    pb_address *items = mu_arena_array(arena, count, sizeof *items);

    m->n_tagged_addresses = count;
    m->tagged_addresses = mu_arena_array(arena, count, sizeof *m->tagged_addresses);
    for (size_t i = 0; i < count; i++) {
        muster__command__service_address__init(&items[i]);
        items[i].name = command__bytes(s->tagged_addresses[i].name);
        items[i].address = command__bytes(s->tagged_addresses[i].address);
        items[i].port = s->tagged_addresses[i].port;
        m->tagged_addresses[i] = &items[i];
    }
}

pb_service *command__service_to_pb(const struct command_service *s, struct mu_arena *arena)
{
    pb_service *m = mu_arena_new(arena, sizeof *m);

    muster__command__service__init(m);
    m->id = command__bytes(s->id);
    m->name = command__bytes(s->name);
    m->kind = command__bytes(s->kind);
    m->n_tags = s->tags.count;
    m->tags = mu_arena_array(arena, s->tags.count, sizeof *m->tags);
    for (size_t i = 0; i < s->tags.count; i++) {
        m->tags[i] = command__bytes(s->tags.items[i]);
    }
    m->address = command__bytes(s->address);
    m->port = s->port;
    addresses_to_pb(s, arena, m);
    pairs_to_pb(&s->meta, arena, &m->meta, &m->n_meta);
    m->has_meta = s->has_meta;
    m->weight_passing = s->weight_passing;
    m->weight_warning = s->weight_warning;
    m->enable_tag_override = s->enable_tag_override;
    m->proxy = command__bytes(s->proxy);
    m->connect = command__bytes(s->connect);
    return m;
}

void command__check_to_pb(const struct command_check *c, pb_check *m)
{
    muster__command__check__init(m);
    m->id = command__bytes(c->id);
    m->name = command__bytes(c->name);
    m->status = command__bytes(c->status);
    m->notes = command__bytes(c->notes);
    m->output = command__bytes(c->output);
    m->service_id = command__bytes(c->service_id);
    m->type = command__bytes(c->type);
    m->definition = command__bytes(c->definition);
}

void command__pack_register(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_register *reg = &c->reg;
    pb_check *checks = mu_arena_array(arena, reg->checks_count, sizeof *checks);
    pb_register m = MUSTER__COMMAND__REGISTER__INIT;

    m.node = command__node_to_pb(&reg->node, arena);
    m.service = reg->has_service ? command__service_to_pb(&reg->service, arena) : NULL;
    m.n_checks = reg->checks_count;
    m.checks = mu_arena_array(arena, reg->checks_count, sizeof(void *));
    for (size_t i = 0; i < reg->checks_count; i++) {
        command__check_to_pb(&reg->checks[i], &checks[i]);
        m.checks[i] = &checks[i];
    }
    m.skip_node_update = reg->skip_node_update;
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_deregister(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_deregister m = MUSTER__COMMAND__DEREGISTER__INIT;

    (void)arena;
    m.node = command__bytes(c->dereg.node);
    m.service_id = command__bytes(c->dereg.service_id);
    m.check_id = command__bytes(c->dereg.check_id);
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_kv_set(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_kv_set m = MUSTER__COMMAND__KV_SET__INIT;

    (void)arena;
    m.key = command__bytes(c->kv_set.key);
    m.value = command__bytes(c->kv_set.value);
    m.flags = c->kv_set.flags;
    m.has_cas = c->kv_set.has_cas;
    m.cas = c->kv_set.cas;
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_kv_delete(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_kv_delete m = MUSTER__COMMAND__KV_DELETE__INIT;

    (void)arena;
    m.key = command__bytes(c->kv_delete.key);
    m.recurse = c->kv_delete.recurse;
    m.has_cas = c->kv_delete.has_cas;
    m.cas = c->kv_delete.cas;
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_kv_lock(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_kv_lock m = MUSTER__COMMAND__KV_LOCK__INIT;

    (void)arena;
    m.key = command__bytes(c->kv_lock.key);
    m.value = command__bytes(c->kv_lock.value);
    m.flags = c->kv_lock.flags;
    m.session = id_bytes(&c->kv_lock.session);
    m.is_release = c->kv_lock.is_release;
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_kv_compact(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_kv_compact m = MUSTER__COMMAND__KV_COMPACT__INIT;

    (void)arena;
    m.space = c->kv_compact.space;
    m.versions_rev = c->kv_compact.versions_rev;
    m.markers_rev = c->kv_compact.markers_rev;
    m.rows = c->kv_compact.rows;
    (void)mu_pb_pack(&m.base, to);
}

static pb_txn_op *txn_op_to_pb(const struct command_txn_op *op, struct mu_arena *arena)
{
    pb_txn_op *m = mu_arena_new(arena, sizeof *m);

    muster__command__txn_op__init(m);
    m->verb = (uint32_t)op->verb;
    m->key = command__bytes(op->key);
    m->value = command__bytes(op->value);
    m->flags = op->flags;
    m->index = op->index;
    m->session = command__bytes(op->session);
    return m;
}

void command__pack_txn(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_txn *txn = &c->txn;
    pb_txn m = MUSTER__COMMAND__TXN__INIT;

    m.n_ops = txn->ops_count;
    m.ops = mu_arena_array(arena, txn->ops_count, sizeof *m.ops);
    for (size_t i = 0; i < txn->ops_count; i++) {
        m.ops[i] = txn_op_to_pb(&txn->ops[i], arena);
    }
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_txn_catalog(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_txn *txn = &c->txn;
    pb_txn_catalog_op *items = mu_arena_array(arena, txn->ops_count, sizeof *items);
    pb_txn_catalog m = MUSTER__COMMAND__TXN_CATALOG__INIT;

    m.n_ops = txn->ops_count;
    m.ops = mu_arena_array(arena, txn->ops_count, sizeof *m.ops);
    for (size_t i = 0; i < txn->ops_count; i++) {
        const struct command_txn_op *op = &txn->ops[i];

        muster__command__txn_catalog_op__init(&items[i]);
        items[i].op = txn_op_to_pb(op, arena);
        items[i].node = op->node != NULL ? command__node_to_pb(op->node, arena) : NULL;
        items[i].service = op->service != NULL ? command__service_to_pb(op->service, arena) : NULL;
        if (op->check != NULL) {
            items[i].check = mu_arena_new(arena, sizeof *items[i].check);
            command__check_to_pb(op->check, items[i].check);
        }
        m.ops[i] = &items[i];
    }
    (void)mu_pb_pack(&m.base, to);
}

static void texts_to_pb(const struct mu_texts *texts, struct mu_arena *arena,
                        ProtobufCBinaryData **list, size_t *count)
{
    *count = texts->count;
    *list = mu_arena_array(arena, texts->count, sizeof **list);
    for (size_t i = 0; i < texts->count; i++) {
        (*list)[i] = command__bytes(texts->items[i]);
    }
}

void command__pack_session_create(const struct command *c, struct mu_arena *arena,
                                  struct mu_buf *to)
{
    const struct command_session *s = &c->session;
    pb_session m = MUSTER__COMMAND__SESSION_CREATE__INIT;

    m.id = id_bytes(&s->id);
    m.name = command__bytes(s->name);
    m.node = command__bytes(s->node);
    m.lock_delay_ns = s->lock_delay_ns;
    m.behavior = command__bytes(s->behavior);
    m.ttl = command__bytes(s->ttl);
    texts_to_pb(&s->node_checks, arena, &m.node_checks, &m.n_node_checks);
    pairs_to_pb(&s->service_checks, arena, &m.service_checks, &m.n_service_checks);
    m.has_service_checks = s->has_service_checks;
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_session_destroy(const struct command *c, struct mu_arena *arena,
                                   struct mu_buf *to)
{
    pb_session_destroy m = MUSTER__COMMAND__SESSION_DESTROY__INIT;

    (void)arena;
    m.id = id_bytes(&c->session_destroy.id);
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_autopilot(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_autopilot *a = &c->autopilot;
    Muster__Command__Autopilot m = MUSTER__COMMAND__AUTOPILOT__INIT;

    (void)arena;
    m.cleanup_dead_servers = a->cleanup_dead_servers;
    m.last_contact_ns = a->last_contact_ns;
    m.max_trailing_logs = a->max_trailing_logs;
    m.min_quorum = a->min_quorum;
    m.stabilization_ns = a->stabilization_ns;
    m.redundancy_zone_tag = command__bytes(a->redundancy_zone_tag);
    m.disable_upgrade_migration = a->disable_upgrade_migration;
    m.upgrade_version_tag = command__bytes(a->upgrade_version_tag);
    m.has_cas = a->has_cas;
    m.cas = a->cas;
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_coordinates(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_coordinates *all = &c->coordinates;
    Muster__Command__Coordinates m = MUSTER__COMMAND__COORDINATES__INIT;

    m.n_items = all->count;
    m.items = mu_arena_array(arena, all->count, sizeof(Muster__Command__Coordinate *));
    for (size_t i = 0; i < all->count; i++) {
        Muster__Command__Coordinate *item = mu_arena_new(arena, sizeof *item);
        const struct coordinate *at = &all->items[i].at;

        muster__command__coordinate__init(item);
        item->node = command__bytes(all->items[i].node);
        item->n_vec = COORDINATE_DIMS;
        item->vec = mu_arena_array(arena, COORDINATE_DIMS, sizeof *item->vec);
        memcpy(item->vec, at->vec, sizeof at->vec);
        item->error = at->error;
        item->adjustment = at->adjustment;
        item->height = at->height;
        m.items[i] = item;
    }
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_stage(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    Muster__Command__Stage m = MUSTER__COMMAND__STAGE__INIT;

    (void)arena;
    m.id = id_bytes(&c->stage.id);
    m.offset = c->stage.offset;
    m.data = command__bytes(c->stage.data);
    (void)mu_pb_pack(&m.base, to);
}

void command__pack_restore(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    Muster__Command__Restore m = MUSTER__COMMAND__RESTORE__INIT;

    (void)arena;
    m.id = id_bytes(&c->restore.id);
    m.size = c->restore.bytes;
    m.hash = command__bytes(mu_span_of(c->restore.hash, sizeof c->restore.hash));
    (void)mu_pb_pack(&m.base, to);
}
