/* command.c - commands to bytes and back.
 *
 * An encoded command is an envelope (kind, version, origin, stamp) around a body whose message
 * depends on the kind; one row of `codecs` says how each kind is packed, unpacked and judged
 * (command_check.c). The same judgement runs before packing and after unpacking: what one server
 * could encode, every server can decode, or a log would hold an entry that nobody can apply.
 *
 * The envelope is what a leader looks at before it appends (command_stamp), so a broken envelope,
 * an unknown kind or a newer version never gets into the log from outside. The body is not looked
 * at there; one that is malformed or out of bounds decodes to MU_INVALID, the same on every
 * server, and the catalog answers it as a result without effect. MU_CORRUPT and MU_UNSUPPORTED
 * therefore mean that the log itself is not what this binary can carry out.
 */
#include "proto/command.h"

#include <string.h>

#include <pb/command.pb-c.h>

#include "base/assert.h"
#include "base/limits.h"
#include "command_check.h"
#include "proto/pb.h"

/* What unpacking may take. protobuf-c needs up to a hundred bytes for two on the wire; the lists
 * of a command that we encoded are bounded, so this is reached by hostile bytes only. */
#define UNPACK_BYTES_MAX (16U * 1024 * 1024)

#define VERSION 1 /* of every body there is */

typedef Muster__Command__Command pb_command;
typedef Muster__Command__Origin pb_origin;
typedef Muster__Command__Pair pb_pair;
typedef Muster__Command__ServiceAddress pb_address;
typedef Muster__Command__Node pb_node;
typedef Muster__Command__Service pb_service;
typedef Muster__Command__Check pb_check;
typedef Muster__Command__Register pb_register;
typedef Muster__Command__Deregister pb_deregister;
typedef Muster__Command__KvSet pb_kv_set;
typedef Muster__Command__KvDelete pb_kv_delete;
typedef Muster__Command__Autopilot pb_autopilot;

/* -- packing: structs of pointers into the command, then bytes --------------------------------- */

static ProtobufCBinaryData bytes_of(struct mu_span s)
{
    /* protobuf-c reads only, but its type says nothing of const */
    return (ProtobufCBinaryData){ s.bytes, (uint8_t *)(uintptr_t)s.data };
}

static void pairs_to_pb(const struct mu_pairs *pairs, struct mu_arena *arena, pb_pair ***list,
                        size_t *count)
{
    pb_pair *items = mu_arena_array(arena, pairs->count, sizeof *items);

    *list = mu_arena_array(arena, pairs->count, sizeof **list);
    *count = pairs->count;
    for (size_t i = 0; i < pairs->count; i++) {
        muster__command__pair__init(&items[i]);
        items[i].key = bytes_of(pairs->items[i].key);
        items[i].value = bytes_of(pairs->items[i].value);
        (*list)[i] = &items[i];
    }
}

static pb_node *node_to_pb(const struct command_node *n, struct mu_arena *arena)
{
    pb_node *m = mu_arena_new(arena, sizeof *m);

    muster__command__node__init(m);
    m->name = bytes_of(n->name);
    m->id = bytes_of(n->id);
    m->address = bytes_of(n->address);
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
        items[i].name = bytes_of(s->tagged_addresses[i].name);
        items[i].address = bytes_of(s->tagged_addresses[i].address);
        items[i].port = s->tagged_addresses[i].port;
        m->tagged_addresses[i] = &items[i];
    }
}

static pb_service *service_to_pb(const struct command_service *s, struct mu_arena *arena)
{
    pb_service *m = mu_arena_new(arena, sizeof *m);

    muster__command__service__init(m);
    m->id = bytes_of(s->id);
    m->name = bytes_of(s->name);
    m->kind = bytes_of(s->kind);
    m->n_tags = s->tags.count;
    m->tags = mu_arena_array(arena, s->tags.count, sizeof *m->tags);
    for (size_t i = 0; i < s->tags.count; i++) {
        m->tags[i] = bytes_of(s->tags.items[i]);
    }
    m->address = bytes_of(s->address);
    m->port = s->port;
    addresses_to_pb(s, arena, m);
    pairs_to_pb(&s->meta, arena, &m->meta, &m->n_meta);
    m->has_meta = s->has_meta;
    m->weight_passing = s->weight_passing;
    m->weight_warning = s->weight_warning;
    m->enable_tag_override = s->enable_tag_override;
    m->proxy = bytes_of(s->proxy);
    m->connect = bytes_of(s->connect);
    return m;
}

static void check_to_pb(const struct command_check *c, pb_check *m)
{
    muster__command__check__init(m);
    m->id = bytes_of(c->id);
    m->name = bytes_of(c->name);
    m->status = bytes_of(c->status);
    m->notes = bytes_of(c->notes);
    m->output = bytes_of(c->output);
    m->service_id = bytes_of(c->service_id);
    m->type = bytes_of(c->type);
    m->definition = bytes_of(c->definition);
}

static void pack_register(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_register *reg = &c->reg;
    pb_check *checks = mu_arena_array(arena, reg->checks_count, sizeof *checks);
    pb_register m = MUSTER__COMMAND__REGISTER__INIT;

    m.node = node_to_pb(&reg->node, arena);
    m.service = reg->has_service ? service_to_pb(&reg->service, arena) : NULL;
    m.n_checks = reg->checks_count;
    m.checks = mu_arena_array(arena, reg->checks_count, sizeof(void *));
    for (size_t i = 0; i < reg->checks_count; i++) {
        check_to_pb(&reg->checks[i], &checks[i]);
        m.checks[i] = &checks[i];
    }
    m.skip_node_update = reg->skip_node_update;
    (void)mu_pb_pack(&m.base, to);
}

static void pack_deregister(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_deregister m = MUSTER__COMMAND__DEREGISTER__INIT;

    (void)arena;
    m.node = bytes_of(c->dereg.node);
    m.service_id = bytes_of(c->dereg.service_id);
    m.check_id = bytes_of(c->dereg.check_id);
    (void)mu_pb_pack(&m.base, to);
}

static void pack_kv_set(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_kv_set m = MUSTER__COMMAND__KV_SET__INIT;

    (void)arena;
    m.key = bytes_of(c->kv_set.key);
    m.value = bytes_of(c->kv_set.value);
    m.flags = c->kv_set.flags;
    m.has_cas = c->kv_set.has_cas;
    m.cas = c->kv_set.cas;
    (void)mu_pb_pack(&m.base, to);
}

static void pack_kv_delete(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    pb_kv_delete m = MUSTER__COMMAND__KV_DELETE__INIT;

    (void)arena;
    m.key = bytes_of(c->kv_delete.key);
    m.recurse = c->kv_delete.recurse;
    m.has_cas = c->kv_delete.has_cas;
    m.cas = c->kv_delete.cas;
    (void)mu_pb_pack(&m.base, to);
}

static void pack_autopilot(const struct command *c, struct mu_arena *arena, struct mu_buf *to)
{
    const struct command_autopilot *a = &c->autopilot;
    pb_autopilot m = MUSTER__COMMAND__AUTOPILOT__INIT;

    (void)arena;
    m.cleanup_dead_servers = a->cleanup_dead_servers;
    m.last_contact_ns = a->last_contact_ns;
    m.max_trailing_logs = a->max_trailing_logs;
    m.min_quorum = a->min_quorum;
    m.stabilization_ns = a->stabilization_ns;
    m.redundancy_zone_tag = bytes_of(a->redundancy_zone_tag);
    m.disable_upgrade_migration = a->disable_upgrade_migration;
    m.upgrade_version_tag = bytes_of(a->upgrade_version_tag);
    m.has_cas = a->has_cas;
    m.cas = a->cas;
    (void)mu_pb_pack(&m.base, to);
}

/* -- unpacking: everything lies in the arena, spans point at what protobuf-c made -------------- */

/* Taking apart one body. A field that cannot be right marks it, and is looked at once at the end.
 */
struct unpack {
    struct mu_span body;
    struct mu_arena *arena;
    const char *wrong; /* why it is no body of its kind; NULL: nothing found */
};

/* The cap holds for what protobuf-c takes, and for nothing else that is in the caller's arena. */
static void *unpack_capped(const ProtobufCMessageDescriptor *type, struct mu_span bytes,
                           struct mu_arena *arena)
{
    size_t bytes_max = arena->bytes_max;

    arena->bytes_max = arena->bytes + UNPACK_BYTES_MAX;
    void *m = mu_pb_unpack(type, bytes, arena);

    arena->bytes_max = bytes_max;
    return m;
}

static struct mu_span span_of(ProtobufCBinaryData b)
{
    return (struct mu_span){ b.data, b.len };
}

/* A field we do not know was written by a newer binary that forgot to raise the version: servers
 * of both kinds would come to different states. */
static void known_only(struct unpack *u, const ProtobufCMessage *m)
{
    if (m->n_unknown_fields > 0) {
        u->wrong = "a field of it is unknown";
    }
}

static uint16_t port_of(struct unpack *u, uint32_t port)
{
    if (port > UINT16_MAX) {
        u->wrong = "a port is outside 0..65535";
    }
    return (uint16_t)port;
}

static bool count_fits(struct unpack *u, size_t count)
{
    if (count > MU_COMMAND_LIST_MAX) {
        u->wrong = "a list in it is too long";
    }
    return count <= MU_COMMAND_LIST_MAX;
}

static struct mu_pairs pairs_from_pb(struct unpack *u, pb_pair *const *list, size_t count)
{
    struct mu_pairs pairs = { NULL, 0 };

    if (!count_fits(u, count)) {
        return pairs;
    }
    pairs.items = mu_arena_array(u->arena, count, sizeof *pairs.items);
    pairs.count = count;
    for (size_t i = 0; i < count; i++) {
        known_only(u, &list[i]->base);
        pairs.items[i] = (struct mu_pair){ span_of(list[i]->key), span_of(list[i]->value) };
    }
    return pairs;
}

static void node_from_pb(struct unpack *u, const pb_node *m, struct command_node *n)
{
    if (m == NULL) {
        return; /* all fields empty: left out on the wire, or refused later for its name */
    }
    known_only(u, &m->base);
    n->name = span_of(m->name);
    n->id = span_of(m->id);
    n->address = span_of(m->address);
    n->tagged_addresses = pairs_from_pb(u, m->tagged_addresses, m->n_tagged_addresses);
    n->meta = pairs_from_pb(u, m->meta, m->n_meta);
    n->has_tagged_addresses = m->has_tagged_addresses != 0;
    n->has_meta = m->has_meta != 0;
}

static void addresses_from_pb(struct unpack *u, const pb_service *m, struct command_service *s)
{
    if (!count_fits(u, m->n_tagged_addresses)) {
        return;
    }
    s->tagged_addresses_count = m->n_tagged_addresses;
    s->tagged_addresses =
        mu_arena_array(u->arena, m->n_tagged_addresses, sizeof *s->tagged_addresses);
    for (size_t i = 0; i < m->n_tagged_addresses; i++) {
        const pb_address *a = m->tagged_addresses[i];

        known_only(u, &a->base);
        s->tagged_addresses[i] = (struct command_service_address){
            span_of(a->name),
            span_of(a->address),
            port_of(u, a->port),
        };
    }
}

static void service_from_pb(struct unpack *u, const pb_service *m, struct command_service *s)
{
    known_only(u, &m->base);
    s->id = span_of(m->id);
    s->name = span_of(m->name);
    s->kind = span_of(m->kind);
    if (count_fits(u, m->n_tags)) {
        s->tags.count = m->n_tags;
        s->tags.items = mu_arena_array(u->arena, m->n_tags, sizeof *s->tags.items);
        for (size_t i = 0; i < m->n_tags; i++) {
            s->tags.items[i] = span_of(m->tags[i]);
        }
    }
    s->address = span_of(m->address);
    s->port = port_of(u, m->port);
    addresses_from_pb(u, m, s);
    s->meta = pairs_from_pb(u, m->meta, m->n_meta);
    s->has_meta = m->has_meta != 0;
    s->weight_passing = m->weight_passing;
    s->weight_warning = m->weight_warning;
    s->enable_tag_override = m->enable_tag_override != 0;
    s->proxy = span_of(m->proxy);
    s->connect = span_of(m->connect);
}

static void check_from_pb(struct unpack *u, const pb_check *m, struct command_check *c)
{
    known_only(u, &m->base);
    c->id = span_of(m->id);
    c->name = span_of(m->name);
    c->status = span_of(m->status);
    c->notes = span_of(m->notes);
    c->output = span_of(m->output);
    c->service_id = span_of(m->service_id);
    c->type = span_of(m->type);
    c->definition = span_of(m->definition);
}

static void unpack_register(struct unpack *u, struct command *c)
{
    const pb_register *m = unpack_capped(&muster__command__register__descriptor, u->body, u->arena);
    struct command_register *reg = &c->reg;

    if (m == NULL) {
        u->wrong = "malformed";
        return;
    }
    known_only(u, &m->base);
    node_from_pb(u, m->node, &reg->node);
    reg->has_service = m->service != NULL;
    if (m->service != NULL) {
        service_from_pb(u, m->service, &reg->service);
    }
    if (count_fits(u, m->n_checks)) {
        reg->checks_count = m->n_checks;
        reg->checks = mu_arena_array(u->arena, m->n_checks, sizeof *reg->checks);
        for (size_t i = 0; i < m->n_checks; i++) {
            check_from_pb(u, m->checks[i], &reg->checks[i]);
        }
    }
    reg->skip_node_update = m->skip_node_update != 0;
}

static void unpack_deregister(struct unpack *u, struct command *c)
{
    const pb_deregister *m =
        unpack_capped(&muster__command__deregister__descriptor, u->body, u->arena);

    if (m == NULL) {
        u->wrong = "malformed";
        return;
    }
    known_only(u, &m->base);
    c->dereg.node = span_of(m->node);
    c->dereg.service_id = span_of(m->service_id);
    c->dereg.check_id = span_of(m->check_id);
}

static void unpack_kv_set(struct unpack *u, struct command *c)
{
    const pb_kv_set *m = unpack_capped(&muster__command__kv_set__descriptor, u->body, u->arena);

    if (m == NULL) {
        u->wrong = "malformed";
        return;
    }
    known_only(u, &m->base);
    c->kv_set.key = span_of(m->key);
    c->kv_set.value = span_of(m->value);
    c->kv_set.flags = m->flags;
    c->kv_set.has_cas = m->has_cas != 0;
    c->kv_set.cas = m->cas;
}

static void unpack_kv_delete(struct unpack *u, struct command *c)
{
    const pb_kv_delete *m =
        unpack_capped(&muster__command__kv_delete__descriptor, u->body, u->arena);

    if (m == NULL) {
        u->wrong = "malformed";
        return;
    }
    known_only(u, &m->base);
    c->kv_delete.key = span_of(m->key);
    c->kv_delete.recurse = m->recurse != 0;
    c->kv_delete.has_cas = m->has_cas != 0;
    c->kv_delete.cas = m->cas;
}

static void unpack_autopilot(struct unpack *u, struct command *c)
{
    const pb_autopilot *m =
        unpack_capped(&muster__command__autopilot__descriptor, u->body, u->arena);
    struct command_autopilot *a = &c->autopilot;

    if (m == NULL) {
        u->wrong = "malformed";
        return;
    }
    known_only(u, &m->base);
    a->cleanup_dead_servers = m->cleanup_dead_servers != 0;
    a->last_contact_ns = m->last_contact_ns;
    a->max_trailing_logs = m->max_trailing_logs;
    a->min_quorum = m->min_quorum;
    a->stabilization_ns = m->stabilization_ns;
    a->redundancy_zone_tag = span_of(m->redundancy_zone_tag);
    a->disable_upgrade_migration = m->disable_upgrade_migration != 0;
    a->upgrade_version_tag = span_of(m->upgrade_version_tag);
    a->has_cas = m->has_cas != 0;
    a->cas = m->cas;
}

/* -- the kinds --------------------------------------------------------------------------------- */

static const struct codec {
    const char *text;
    enum mu_code (*check)(const struct command *c, struct mu_err *err);
    void (*pack)(const struct command *c, struct mu_arena *arena, struct mu_buf *to);
    void (*unpack)(struct unpack *u, struct command *c);
} codecs[] = {
    // clang-format off
    [COMMAND_REGISTER]   = { "register",   command__check_register,   pack_register,   unpack_register },
    [COMMAND_DEREGISTER] = { "deregister", command__check_deregister, pack_deregister, unpack_deregister },
    [COMMAND_KV_SET]     = { "kv-set",     command__check_kv_set,     pack_kv_set,     unpack_kv_set },
    [COMMAND_KV_DELETE]  = { "kv-delete",  command__check_kv_delete,  pack_kv_delete,  unpack_kv_delete },
    [COMMAND_AUTOPILOT]  = { "autopilot",  command__check_autopilot,  pack_autopilot,  unpack_autopilot },
}; // clang-format on

static const struct codec *codec_find(uint32_t kind)
{
    return kind < MU_LEN(codecs) && codecs[kind].text != NULL ? &codecs[kind] : NULL;
}

const char *command_kind_text(enum command_kind kind)
{
    const struct codec *codec = codec_find((uint32_t)kind);

    return codec != NULL ? codec->text : "unknown";
}

/* -- the envelope ------------------------------------------------------------------------------ */

/* Point m->origin at room, filled; an unknown origin is left out. */
static void origin_to_pb(const struct command_origin *origin, pb_origin *room, pb_command *m)
{
    muster__command__origin__init(room);
    if (!mu_id_is_none(&origin->server)) {
        room->server_id = bytes_of(mu_span_of(origin->server.b, sizeof origin->server.b));
    }
    room->boot = origin->boot;
    room->seq = origin->seq;
    m->origin =
        mu_id_is_none(&origin->server) && origin->boot == 0 && origin->seq == 0 ? NULL : room;
}

static enum mu_code origin_from_pb(const pb_origin *m, struct command_origin *out,
                                   struct mu_err *err)
{
    *out = (struct command_origin){ .server = MU_ID_NONE };
    if (m == NULL) {
        return MU_OK;
    }
    if (m->server_id.len != 0 && m->server_id.len != sizeof out->server.b) {
        return mu_fail(err, MU_CORRUPT, "the id of its origin has %zu bytes", m->server_id.len);
    }
    if (m->server_id.len != 0) {
        memcpy(out->server.b, m->server_id.data, sizeof out->server.b);
    }
    out->boot = m->boot;
    out->seq = m->seq;
    return MU_OK;
}

static enum mu_code pack_envelope(const pb_command *m, struct mu_buf *to, struct mu_err *err)
{
    size_t bytes = protobuf_c_message_get_packed_size(&m->base);

    if (bytes > MU_COMMAND_BYTES_MAX) {
        return mu_fail(err, MU_TOO_BIG, "the command has %zu bytes, at most %u are allowed", bytes,
                       MU_COMMAND_BYTES_MAX);
    }
    (void)mu_pb_pack(&m->base, to);
    return MU_OK;
}

/* The envelope of `bytes`, in the arena, and the row of its kind. */
static enum mu_code unpack_envelope(struct mu_span bytes, struct mu_arena *arena,
                                    const pb_command **out, const struct codec **codec,
                                    struct mu_err *err)
{
    if (bytes.bytes > MU_COMMAND_BYTES_MAX) {
        return mu_fail(err, MU_TOO_BIG, "the command has %zu bytes, at most %u are allowed",
                       bytes.bytes, MU_COMMAND_BYTES_MAX);
    }
    const pb_command *m = unpack_capped(&muster__command__command__descriptor, bytes, arena);

    if (m == NULL || m->kind == COMMAND_NONE || m->version == 0) {
        return mu_fail(err, MU_CORRUPT, "these %zu bytes are no command", bytes.bytes);
    }
    *codec = codec_find(m->kind);
    if (*codec == NULL) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "command kind %u is not known to this binary: a newer one wrote it",
                       m->kind);
    }
    if (m->version != VERSION || m->base.n_unknown_fields > 0) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "version %u of command '%s' is not known to this binary: a newer one wrote "
                       "it",
                       m->version, (*codec)->text);
    }
    *out = m;
    return MU_OK;
}

/* -- the interface ----------------------------------------------------------------------------- */

enum mu_code command_encode(const struct command *c, struct mu_buf *to, struct mu_err *err)
{
    const struct codec *codec = codec_find((uint32_t)c->kind);
    pb_command m = MUSTER__COMMAND__COMMAND__INIT;
    struct mu_buf body = MU_BUF_NONE;
    struct mu_arena arena;
    pb_origin origin;

    MU_ASSERT(codec != NULL);
    mu_arena_init(&arena, 0);
    enum mu_code rc = codec->check(c, err);

    if (rc != MU_OK) {
        goto out;
    }
    codec->pack(c, &arena, &body);
    m.kind = (uint32_t)c->kind;
    m.version = VERSION;
    m.stamp_ms = c->stamp_ms;
    m.body = bytes_of(mu_buf_span(&body));
    origin_to_pb(&c->origin, &origin, &m);
    rc = pack_envelope(&m, to, err);
out:
    mu_buf_deinit(&body);
    mu_arena_deinit(&arena);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", codec->text);
}

static enum mu_code unpack_command(struct mu_span bytes, struct mu_arena *arena,
                                   struct command *out, struct mu_err *err)
{
    const struct codec *codec = NULL;
    const pb_command *m = NULL;
    enum mu_code rc = unpack_envelope(bytes, arena, &m, &codec, err);

    if (rc == MU_OK) {
        rc = origin_from_pb(m->origin, &out->origin, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    struct unpack u = { .body = span_of(m->body), .arena = arena };

    out->kind = (enum command_kind)m->kind;
    out->stamp_ms = m->stamp_ms;
    codec->unpack(&u, out);
    if (u.wrong != NULL) {
        return mu_fail(err, MU_INVALID, "%s: bad body: %s", codec->text, u.wrong);
    }
    rc = codec->check(out, err);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", codec->text);
}

enum mu_code command_decode(struct mu_span bytes, struct mu_arena *arena, struct command *out,
                            struct mu_err *err)
{
    size_t bytes_max = arena->bytes_max;

    memset(out, 0, sizeof *out);
    arena->bytes_max = 0; /* our lists are bounded by their counts */
    enum mu_code rc = unpack_command(bytes, arena, out, err);

    arena->bytes_max = bytes_max;
    return rc;
}

enum mu_code command_stamp(struct mu_span bytes, const struct command_origin *origin,
                           uint64_t stamp_ms, struct mu_buf *to, struct mu_err *err)
{
    const struct codec *codec = NULL;
    const pb_command *m = NULL;
    struct mu_arena arena;
    pb_origin room;

    mu_arena_init(&arena, 0);
    enum mu_code rc = unpack_envelope(bytes, &arena, &m, &codec, err);

    if (rc == MU_OK) {
        pb_command stamped = *m;

        stamped.stamp_ms = stamp_ms;
        origin_to_pb(origin, &room, &stamped);
        rc = pack_envelope(&stamped, to, err);
    }
    mu_arena_deinit(&arena);
    return rc;
}
