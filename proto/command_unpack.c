/* command_unpack.c - messages to commands: everything lies in the arena, spans point at what
 * protobuf-c made. */
#include "command_parts.h"

#include <string.h>

#include "base/limits.h"
#include "proto/pb.h"

/* What unpacking may take. protobuf-c needs up to a hundred bytes for two on the wire; the lists
 * of a command that we encoded are bounded, so this is reached by hostile bytes only. */
#define UNPACK_BYTES_MAX (16U * 1024 * 1024)

typedef Muster__Command__Register pb_register;
typedef Muster__Command__Deregister pb_deregister;
typedef Muster__Command__KvSet pb_kv_set;
typedef Muster__Command__KvDelete pb_kv_delete;
typedef Muster__Command__KvLock pb_kv_lock;
typedef Muster__Command__Txn pb_txn;
typedef Muster__Command__TxnOp pb_txn_op;
typedef Muster__Command__TxnCatalogOp pb_txn_catalog_op;
typedef Muster__Command__TxnCatalog pb_txn_catalog;
typedef Muster__Command__KvCompact pb_kv_compact;
typedef Muster__Command__SessionCreate pb_session;
typedef Muster__Command__SessionDestroy pb_session_destroy;

/* The cap holds for what protobuf-c takes, and for nothing else that is in the caller's arena. */
void *command__unpack(const ProtobufCMessageDescriptor *type, struct mu_span bytes,
                      struct mu_arena *arena)
{
    size_t bytes_max = arena->bytes_max;

    arena->bytes_max = arena->bytes + UNPACK_BYTES_MAX;
    void *m = mu_pb_unpack(type, bytes, arena);

    arena->bytes_max = bytes_max;
    return m;
}

struct mu_span command__span(ProtobufCBinaryData b)
{
    return (struct mu_span){ b.data, b.len };
}

/* A field we do not know was written by a newer binary that forgot to raise the version: servers
 * of both kinds would come to different states. */
void command__known_only(struct unpack *u, const ProtobufCMessage *m)
{
    if (m->n_unknown_fields > 0) {
        u->wrong = "a field of it is unknown";
    }
}

const void *command__unpack_body(struct unpack *u, const ProtobufCMessageDescriptor *type)
{
    const ProtobufCMessage *m = command__unpack(type, u->body, u->arena);

    if (m == NULL) {
        u->wrong = "malformed";
        return NULL;
    }
    command__known_only(u, m);
    return m;
}

struct mu_id command__id_from_pb(struct unpack *u, ProtobufCBinaryData b)
{
    struct mu_id id = MU_ID_NONE;

    if (b.len == sizeof id.b) {
        memcpy(id.b, b.data, sizeof id.b);
    } else if (b.len != 0) {
        u->wrong = "an id has not 16 bytes";
    }
    return id;
}

static uint16_t port_of(struct unpack *u, uint32_t port)
{
    if (port > UINT16_MAX) {
        u->wrong = "a port is outside 0..65535";
    }
    return (uint16_t)port;
}

bool command__count_fits(struct unpack *u, size_t count)
{
    if (count > MU_COMMAND_LIST_MAX) {
        u->wrong = "a list in it is too long";
    }
    return count <= MU_COMMAND_LIST_MAX;
}

static struct mu_texts texts_from_pb(struct unpack *u, const ProtobufCBinaryData *list,
                                     size_t count)
{
    struct mu_texts texts = { NULL, 0 };

    if (!command__count_fits(u, count)) {
        return texts;
    }
    texts.count = count;
    texts.items = mu_arena_array(u->arena, count, sizeof *texts.items);
    for (size_t i = 0; i < count; i++) {
        texts.items[i] = command__span(list[i]);
    }
    return texts;
}

static struct mu_pairs pairs_from_pb(struct unpack *u, pb_pair *const *list, size_t count)
{
    struct mu_pairs pairs = { NULL, 0 };

    if (!command__count_fits(u, count)) {
        return pairs;
    }
    pairs.items = mu_arena_array(u->arena, count, sizeof *pairs.items);
    pairs.count = count;
    for (size_t i = 0; i < count; i++) {
        command__known_only(u, &list[i]->base);
        pairs.items[i] =
            (struct mu_pair){ command__span(list[i]->key), command__span(list[i]->value) };
    }
    return pairs;
}

void command__node_from_pb(struct unpack *u, const pb_node *m, struct command_node *n)
{
    if (m == NULL) {
        return; /* all fields empty: left out on the wire, or refused later for its name */
    }
    command__known_only(u, &m->base);
    n->name = command__span(m->name);
    n->id = command__span(m->id);
    n->address = command__span(m->address);
    n->tagged_addresses = pairs_from_pb(u, m->tagged_addresses, m->n_tagged_addresses);
    n->meta = pairs_from_pb(u, m->meta, m->n_meta);
    n->has_tagged_addresses = m->has_tagged_addresses != 0;
    n->has_meta = m->has_meta != 0;
}

static void addresses_from_pb(struct unpack *u, const pb_service *m, struct command_service *s)
{
    if (!command__count_fits(u, m->n_tagged_addresses)) {
        return;
    }
    s->tagged_addresses_count = m->n_tagged_addresses;
    s->tagged_addresses =
        mu_arena_array(u->arena, m->n_tagged_addresses, sizeof *s->tagged_addresses);
    for (size_t i = 0; i < m->n_tagged_addresses; i++) {
        const pb_address *a = m->tagged_addresses[i];

        command__known_only(u, &a->base);
        s->tagged_addresses[i] = (struct command_service_address){
            command__span(a->name),
            command__span(a->address),
            port_of(u, a->port),
        };
    }
}

void command__service_from_pb(struct unpack *u, const pb_service *m, struct command_service *s)
{
    command__known_only(u, &m->base);
    s->id = command__span(m->id);
    s->name = command__span(m->name);
    s->kind = command__span(m->kind);
    s->tags = texts_from_pb(u, m->tags, m->n_tags);
    s->address = command__span(m->address);
    s->port = port_of(u, m->port);
    addresses_from_pb(u, m, s);
    s->meta = pairs_from_pb(u, m->meta, m->n_meta);
    s->has_meta = m->has_meta != 0;
    s->weight_passing = m->weight_passing;
    s->weight_warning = m->weight_warning;
    s->enable_tag_override = m->enable_tag_override != 0;
    s->proxy = command__span(m->proxy);
    s->connect = command__span(m->connect);
}

void command__check_from_pb(struct unpack *u, const pb_check *m, struct command_check *c)
{
    command__known_only(u, &m->base);
    c->id = command__span(m->id);
    c->name = command__span(m->name);
    c->status = command__span(m->status);
    c->notes = command__span(m->notes);
    c->output = command__span(m->output);
    c->service_id = command__span(m->service_id);
    c->type = command__span(m->type);
    c->definition = command__span(m->definition);
}

void command__unpack_register(struct unpack *u, struct command *c)
{
    const pb_register *m = command__unpack_body(u, &muster__command__register__descriptor);
    struct command_register *reg = &c->reg;

    if (m == NULL) {
        return;
    }
    command__node_from_pb(u, m->node, &reg->node);
    reg->has_service = m->service != NULL;
    if (m->service != NULL) {
        command__service_from_pb(u, m->service, &reg->service);
    }
    if (command__count_fits(u, m->n_checks)) {
        reg->checks_count = m->n_checks;
        reg->checks = mu_arena_array(u->arena, m->n_checks, sizeof *reg->checks);
        for (size_t i = 0; i < m->n_checks; i++) {
            command__check_from_pb(u, m->checks[i], &reg->checks[i]);
        }
    }
    reg->skip_node_update = m->skip_node_update != 0;
}

void command__unpack_deregister(struct unpack *u, struct command *c)
{
    const pb_deregister *m = command__unpack_body(u, &muster__command__deregister__descriptor);

    if (m == NULL) {
        return;
    }
    c->dereg.node = command__span(m->node);
    c->dereg.service_id = command__span(m->service_id);
    c->dereg.check_id = command__span(m->check_id);
}

void command__unpack_kv_set(struct unpack *u, struct command *c)
{
    const pb_kv_set *m = command__unpack_body(u, &muster__command__kv_set__descriptor);

    if (m == NULL) {
        return;
    }
    c->kv_set.key = command__span(m->key);
    c->kv_set.value = command__span(m->value);
    c->kv_set.flags = m->flags;
    c->kv_set.has_cas = m->has_cas != 0;
    c->kv_set.cas = m->cas;
}

void command__unpack_kv_delete(struct unpack *u, struct command *c)
{
    const pb_kv_delete *m = command__unpack_body(u, &muster__command__kv_delete__descriptor);

    if (m == NULL) {
        return;
    }
    c->kv_delete.key = command__span(m->key);
    c->kv_delete.recurse = m->recurse != 0;
    c->kv_delete.has_cas = m->has_cas != 0;
    c->kv_delete.cas = m->cas;
}

void command__unpack_kv_lock(struct unpack *u, struct command *c)
{
    const pb_kv_lock *m = command__unpack_body(u, &muster__command__kv_lock__descriptor);

    if (m == NULL) {
        return;
    }
    c->kv_lock.key = command__span(m->key);
    c->kv_lock.value = command__span(m->value);
    c->kv_lock.flags = m->flags;
    c->kv_lock.session = command__id_from_pb(u, m->session);
    c->kv_lock.is_release = m->is_release != 0;
}

void command__unpack_kv_compact(struct unpack *u, struct command *c)
{
    const pb_kv_compact *m = command__unpack_body(u, &muster__command__kv_compact__descriptor);

    if (m == NULL) {
        return;
    }
    c->kv_compact.space = m->space;
    c->kv_compact.versions_rev = m->versions_rev;
    c->kv_compact.markers_rev = m->markers_rev;
    c->kv_compact.rows = m->rows;
}

static void txn_op_from_pb(struct unpack *u, const pb_txn_op *m, enum command_txn_verb verb_max,
                           struct command_txn_op *out)
{
    if (m == NULL || m->verb == COMMAND_TXN_NONE || m->verb > (uint32_t)verb_max) {
        u->wrong = "an operation of it is unknown";
        return;
    }
    command__known_only(u, &m->base);
    *out = (struct command_txn_op){
        .verb = (enum command_txn_verb)m->verb,
        .key = command__span(m->key),
        .value = command__span(m->value),
        .flags = m->flags,
        .index = m->index,
        .session = command__span(m->session),
    };
}

/* Room for so many operations; none: too many. */
static void txn_begin(struct unpack *u, size_t count, struct command_txn *txn)
{
    txn->ops_count = command__count_fits(u, count) ? count : 0;
    txn->ops = mu_arena_array(u->arena, txn->ops_count, sizeof *txn->ops);
}

void command__unpack_txn(struct unpack *u, struct command *c)
{
    const pb_txn *m = command__unpack_body(u, &muster__command__txn__descriptor);
    struct command_txn *txn = &c->txn;

    txn_begin(u, m != NULL ? m->n_ops : 0, txn);
    for (size_t i = 0; i < txn->ops_count && u->wrong == NULL; i++) {
        txn_op_from_pb(u, m->ops[i], COMMAND_TXN_DELETE_CAS, &txn->ops[i]);
    }
}

/* What the verb is about is given, and nothing else. */
static bool has_what_it_is_about(const pb_txn_catalog_op *m, enum command_txn_on on)
{
    return (m->node != NULL) == (on == COMMAND_TXN_ON_NODE) &&
           (m->service != NULL) == (on == COMMAND_TXN_ON_SERVICE) &&
           (m->check != NULL) == (on == COMMAND_TXN_ON_CHECK);
}

static void txn_catalog_op_from_pb(struct unpack *u, const pb_txn_catalog_op *m,
                                   struct command_txn_op *out)
{
    command__known_only(u, &m->base);
    txn_op_from_pb(u, m->op, COMMAND_TXN_CHECK_DELETE_CAS, out);
    if (u->wrong != NULL) {
        return;
    }
    if (!has_what_it_is_about(m, command_txn_on(out->verb))) {
        u->wrong = "an operation of it is not about what its verb says";
        return;
    }
    if (m->node != NULL) {
        struct command_node *node = mu_arena_new(u->arena, sizeof *node);

        command__node_from_pb(u, m->node, node);
        out->node = node;
    } else if (m->service != NULL) {
        struct command_service *service = mu_arena_new(u->arena, sizeof *service);

        command__service_from_pb(u, m->service, service);
        out->service = service;
    } else if (m->check != NULL) {
        struct command_check *check = mu_arena_new(u->arena, sizeof *check);

        command__check_from_pb(u, m->check, check);
        out->check = check;
    }
}

void command__unpack_txn_catalog(struct unpack *u, struct command *c)
{
    const pb_txn_catalog *m = command__unpack_body(u, &muster__command__txn_catalog__descriptor);
    struct command_txn *txn = &c->txn;

    txn_begin(u, m != NULL ? m->n_ops : 0, txn);
    for (size_t i = 0; i < txn->ops_count && u->wrong == NULL; i++) {
        txn_catalog_op_from_pb(u, m->ops[i], &txn->ops[i]);
    }
}

void command__unpack_session_create(struct unpack *u, struct command *c)
{
    const pb_session *m = command__unpack_body(u, &muster__command__session_create__descriptor);
    struct command_session *s = &c->session;

    if (m == NULL) {
        return;
    }
    s->id = command__id_from_pb(u, m->id);
    s->name = command__span(m->name);
    s->node = command__span(m->node);
    s->lock_delay_ns = m->lock_delay_ns;
    s->behavior = command__span(m->behavior);
    s->ttl = command__span(m->ttl);
    s->node_checks = texts_from_pb(u, m->node_checks, m->n_node_checks);
    s->service_checks = pairs_from_pb(u, m->service_checks, m->n_service_checks);
    s->has_service_checks = m->has_service_checks != 0;
}

void command__unpack_session_destroy(struct unpack *u, struct command *c)
{
    const pb_session_destroy *m =
        command__unpack_body(u, &muster__command__session_destroy__descriptor);

    if (m != NULL) {
        c->session_destroy.id = command__id_from_pb(u, m->id);
    }
}

void command__unpack_autopilot(struct unpack *u, struct command *c)
{
    const Muster__Command__Autopilot *m =
        command__unpack_body(u, &muster__command__autopilot__descriptor);
    struct command_autopilot *a = &c->autopilot;

    if (m == NULL) {
        return;
    }
    a->cleanup_dead_servers = m->cleanup_dead_servers != 0;
    a->last_contact_ns = m->last_contact_ns;
    a->max_trailing_logs = m->max_trailing_logs;
    a->min_quorum = m->min_quorum;
    a->stabilization_ns = m->stabilization_ns;
    a->redundancy_zone_tag = command__span(m->redundancy_zone_tag);
    a->disable_upgrade_migration = m->disable_upgrade_migration != 0;
    a->upgrade_version_tag = command__span(m->upgrade_version_tag);
    a->has_cas = m->has_cas != 0;
    a->cas = m->cas;
}

static void coordinate_from_pb(struct unpack *u, const Muster__Command__Coordinate *m,
                               struct command_coordinate *to)
{
    command__known_only(u, &m->base);
    if (m->n_vec != COORDINATE_DIMS) {
        u->wrong = "a coordinate does not have 8 dimensions";
        return;
    }
    to->node = command__span(m->node);
    memcpy(to->at.vec, m->vec, sizeof to->at.vec);
    to->at.error = m->error;
    to->at.adjustment = m->adjustment;
    to->at.height = m->height;
}

void command__unpack_coordinates(struct unpack *u, struct command *c)
{
    const Muster__Command__Coordinates *m =
        command__unpack_body(u, &muster__command__coordinates__descriptor);
    struct command_coordinates *all = &c->coordinates;

    if (m == NULL || !command__count_fits(u, m->n_items)) {
        return;
    }
    all->items = mu_arena_array(u->arena, m->n_items, sizeof *all->items);
    all->count = m->n_items;
    for (size_t i = 0; i < m->n_items; i++) {
        coordinate_from_pb(u, m->items[i], &all->items[i]);
    }
}

void command__unpack_stage(struct unpack *u, struct command *c)
{
    const Muster__Command__Stage *m = command__unpack_body(u, &muster__command__stage__descriptor);

    if (m != NULL) {
        c->stage.id = command__id_from_pb(u, m->id);
        c->stage.offset = m->offset;
        c->stage.data = command__span(m->data);
    }
}

void command__unpack_restore(struct unpack *u, struct command *c)
{
    const Muster__Command__Restore *m =
        command__unpack_body(u, &muster__command__restore__descriptor);

    if (m == NULL) {
        return;
    }
    c->restore.id = command__id_from_pb(u, m->id);
    c->restore.bytes = m->size;
    if (m->hash.len != sizeof c->restore.hash) {
        u->wrong = "its hash has another size";
        return;
    }
    memcpy(c->restore.hash, m->hash.data, sizeof c->restore.hash);
}
