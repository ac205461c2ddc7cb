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

#include "base/assert.h"
#include "base/limits.h"
#include "command_check.h"
#include "command_parts.h"
#include "proto/pb.h"

#define VERSION 1 /* of every body there is */

typedef Muster__Command__Command pb_command;
typedef Muster__Command__Origin pb_origin;

/* -- the kinds --------------------------------------------------------------------------------- */

static const struct codec {
    const char *text;
    enum mu_code (*check)(const struct command *c, struct mu_err *err);
    command_pack_fn *pack;
    command_unpack_fn *unpack;
    bool is_relief; /* allowed on a full disk */
    uint32_t level; /* that it came with; 0: the first */
} codecs[] = {
    // clang-format off
    [COMMAND_REGISTER]        = { "register",        command__check_register,        command__pack_register,        command__unpack_register },
    [COMMAND_DEREGISTER]      = { "deregister",      command__check_deregister,      command__pack_deregister,      command__unpack_deregister, .is_relief = true },
    [COMMAND_KV_SET]          = { "kv-set",          command__check_kv_set,          command__pack_kv_set,          command__unpack_kv_set },
    [COMMAND_KV_DELETE]       = { "kv-delete",       command__check_kv_delete,       command__pack_kv_delete,       command__unpack_kv_delete, .is_relief = true },
    [COMMAND_KV_LOCK]         = { "kv-lock",         command__check_kv_lock,         command__pack_kv_lock,         command__unpack_kv_lock },
    [COMMAND_TXN]             = { "txn",             command__check_txn,             command__pack_txn,             command__unpack_txn },
    [COMMAND_TXN_CATALOG]     = { "txn-catalog",     command__check_txn_catalog,     command__pack_txn_catalog,     command__unpack_txn_catalog },
    [COMMAND_KV_COMPACT]      = { "kv-compact",      command__check_kv_compact,      command__pack_kv_compact,      command__unpack_kv_compact, .is_relief = true },
    [COMMAND_SESSION_CREATE]  = { "session-create",  command__check_session_create,  command__pack_session_create,  command__unpack_session_create },
    [COMMAND_SESSION_DESTROY] = { "session-destroy", command__check_session_destroy, command__pack_session_destroy, command__unpack_session_destroy, .is_relief = true },
    [COMMAND_STAGE]           = { "stage",           command__check_stage,           command__pack_stage,           command__unpack_stage },
    [COMMAND_RESTORE]         = { "restore",         command__check_restore,         command__pack_restore,         command__unpack_restore },
    [COMMAND_AUTOPILOT]       = { "autopilot",       command__check_autopilot,       command__pack_autopilot,       command__unpack_autopilot },
    [COMMAND_COORDINATES]     = { "coordinates",     command__check_coordinates,     command__pack_coordinates,     command__unpack_coordinates },
}; // clang-format on

static const struct codec *codec_find(uint32_t kind)
{
    return kind < MU_LEN(codecs) && codecs[kind].text != NULL ? &codecs[kind] : NULL;
}

static uint32_t level_of(const struct codec *codec)
{
    return codec->level > COMMAND_LEVEL_FIRST ? codec->level : COMMAND_LEVEL_FIRST;
}

uint32_t command_level_max(void)
{
    uint32_t level = COMMAND_LEVEL_FIRST;

    for (uint32_t kind = 0; kind < MU_LEN(codecs); kind++) {
        level = level_of(&codecs[kind]) > level ? level_of(&codecs[kind]) : level;
    }
    return level;
}

const char *command_kind_text(enum command_kind kind)
{
    const struct codec *codec = codec_find((uint32_t)kind);

    return codec != NULL ? codec->text : "unknown";
}

enum command_txn_on command_txn_on(enum command_txn_verb verb)
{
    return verb < COMMAND_TXN_NODE_GET      ? COMMAND_TXN_ON_KEY
           : verb < COMMAND_TXN_SERVICE_GET ? COMMAND_TXN_ON_NODE
           : verb < COMMAND_TXN_CHECK_GET   ? COMMAND_TXN_ON_SERVICE
                                            : COMMAND_TXN_ON_CHECK;
}

_Static_assert(MU_LEN(codecs) <= 128, "a kind fits one byte on the wire: command_kind_of()");

/* -- the envelope ------------------------------------------------------------------------------ */

/* Point m->origin at room, filled; an unknown origin is left out. */
static void origin_to_pb(const struct command_origin *origin, pb_origin *room, pb_command *m)
{
    muster__command__origin__init(room);
    if (!mu_id_is_none(&origin->server)) {
        room->server_id = command__bytes(mu_span_of(origin->server.b, sizeof origin->server.b));
    }
    room->boot = origin->boot;
    room->seq = origin->seq;
    m->origin =
        mu_id_is_none(&origin->server) && origin->boot == 0 && origin->seq == 0 ? NULL : room;
}

/* Ids of an envelope have 16 bytes or none. Judged where a leader looks too: one that got into a
 * log would stop every server. */
static enum mu_code ids_check(const pb_command *m, struct mu_err *err)
{
    const size_t whole = sizeof(struct mu_id);
    size_t origin = m->origin != NULL ? m->origin->server_id.len : 0;

    if (origin != 0 && origin != whole) {
        return mu_fail(err, MU_CORRUPT, "the id of its origin has %zu bytes", origin);
    }
    if (m->request_id.len != 0 && m->request_id.len != whole) {
        return mu_fail(err, MU_CORRUPT, "its request id has %zu bytes", m->request_id.len);
    }
    return MU_OK;
}

static struct mu_id id_from_pb(ProtobufCBinaryData b)
{
    struct mu_id id = MU_ID_NONE;

    if (b.len == sizeof id.b) {
        memcpy(id.b, b.data, sizeof id.b);
    }
    return id;
}

static struct command_origin origin_from_pb(const pb_origin *m)
{
    if (m == NULL) {
        return (struct command_origin){ .server = MU_ID_NONE };
    }
    return (struct command_origin){ id_from_pb(m->server_id), m->boot, m->seq };
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
    const pb_command *m = command__unpack(&muster__command__command__descriptor, bytes, arena);

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
    return ids_check(m, err);
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
    m.body = command__bytes(mu_buf_span(&body));
    if (!mu_id_is_none(&c->request)) {
        m.request_id = command__bytes(mu_span_of(c->request.b, sizeof c->request.b));
    }
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

    if (rc != MU_OK) {
        return rc;
    }
    struct unpack u = { .body = command__span(m->body), .arena = arena };

    out->kind = (enum command_kind)m->kind;
    out->origin = origin_from_pb(m->origin);
    out->request = id_from_pb(m->request_id);
    out->stamp_ms = m->stamp_ms;
    out->body = u.body;
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
        if (origin != NULL) {
            origin_to_pb(origin, &room, &stamped);
        }
        rc = pack_envelope(&stamped, to, err);
    }
    mu_arena_deinit(&arena);
    return rc;
}

bool command_is_relief(struct mu_span bytes)
{
    const struct codec *codec = NULL;
    const pb_command *m = NULL;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = unpack_envelope(bytes, &arena, &m, &codec, NULL);

    mu_arena_deinit(&arena);
    return rc == MU_OK && codec->is_relief;
}

enum command_kind command_kind_of(struct mu_span bytes)
{
    static const uint8_t tag = 1 << 3; /* of the field `kind`, which comes first, in one byte */
    bool is_one = bytes.bytes > 2 && bytes.data[0] == tag && codec_find(bytes.data[1]) != NULL;

    return is_one ? (enum command_kind)bytes.data[1] : COMMAND_NONE;
}

bool command_is_restore(struct mu_span bytes)
{
    return command_kind_of(bytes) == COMMAND_RESTORE;
}

uint32_t command_level(struct mu_span bytes)
{
    const struct codec *codec = codec_find((uint32_t)command_kind_of(bytes));

    return codec != NULL ? level_of(codec) : COMMAND_LEVEL_FIRST;
}
