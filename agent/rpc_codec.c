#include "rpc_codec.h"

#include <string.h>

#include <pb/peer.pb-c.h>

#include "base/assert.h"
#include "base/mem.h"
#include "proto/pb.h"

/* What a decoded message may take in memory: a few times what it took on the wire. */
#define DECODED_BYTES_MAX (4U * MU_RPC_MESSAGE_MAX)

static struct mu_span span_of(ProtobufCBinaryData b)
{
    return mu_span_of(b.data, b.len);
}

/* protobuf-c takes bytes as non-const and does not change them when packing. */
static ProtobufCBinaryData bytes_of(struct mu_span s)
{
    return (ProtobufCBinaryData){ s.bytes, (uint8_t *)(uintptr_t)s.data };
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void *unpack(const ProtobufCMessageDescriptor *type, struct mu_span bytes,
                    struct mu_arena *arena, struct mu_err *err)
{
    void *message;

    if (arena->bytes_max == 0) {
        arena->bytes_max = DECODED_BYTES_MAX;
    }
    message = mu_pb_unpack(type, bytes, arena);
    if (message == NULL) {
        (void)mu_fail(err, MU_CORRUPT, "malformed %s message", type->short_name);
    }
    return message;
}

/* -- codes ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum mu_grpc_status status;
} codes[] = {
    // clang-format off
    [MU_OK]          = { "OK",          MU_GRPC_OK },
    [MU_INVALID]     = { "INVALID",     MU_GRPC_INVALID_ARGUMENT },
    [MU_NOT_FOUND]   = { "NOT_FOUND",   MU_GRPC_NOT_FOUND },
    [MU_EXISTS]      = { "EXISTS",      MU_GRPC_ALREADY_EXISTS },
    [MU_CONFLICT]    = { "CONFLICT",    MU_GRPC_ABORTED },
    [MU_DENIED]      = { "DENIED",      MU_GRPC_PERMISSION_DENIED },
    [MU_NOT_LEADER]  = { "NOT_LEADER",  MU_GRPC_FAILED_PRECONDITION },
    [MU_NO_LEADER]   = { "NO_LEADER",   MU_GRPC_UNAVAILABLE },
    [MU_NO_SERVERS]  = { "NO_SERVERS",  MU_GRPC_UNAVAILABLE },
    [MU_UNREACHABLE] = { "UNREACHABLE", MU_GRPC_UNAVAILABLE },
    [MU_LOST]        = { "LOST",        MU_GRPC_UNKNOWN },
    [MU_TIMEOUT]     = { "TIMEOUT",     MU_GRPC_DEADLINE_EXCEEDED },
    [MU_BUSY]        = { "BUSY",        MU_GRPC_RESOURCE_EXHAUSTED },
    [MU_TOO_BIG]     = { "TOO_BIG",     MU_GRPC_OUT_OF_RANGE },
    [MU_CORRUPT]     = { "CORRUPT",     MU_GRPC_DATA_LOSS },
    [MU_IO]          = { "IO",          MU_GRPC_INTERNAL },
    [MU_FULL]        = { "FULL",        MU_GRPC_RESOURCE_EXHAUSTED },
    [MU_READ_ONLY]   = { "READ_ONLY",   MU_GRPC_RESOURCE_EXHAUSTED },
    [MU_FOREIGN]     = { "FOREIGN",     MU_GRPC_FAILED_PRECONDITION },
    [MU_UNSUPPORTED] = { "UNSUPPORTED", MU_GRPC_UNIMPLEMENTED },
    [MU_CANCELLED]   = { "CANCELLED",   MU_GRPC_CANCELLED },
}; // clang-format on

const char *rpc_code_name(enum mu_code code)
{
    MU_ASSERT((size_t)code < MU_LEN(codes));
    return codes[code].name;
}

enum mu_grpc_status rpc_grpc_status(enum mu_code code)
{
    MU_ASSERT((size_t)code < MU_LEN(codes));
    return codes[code].status;
}

enum mu_code rpc_code_of(struct mu_span name, enum mu_code fallback)
{
    for (size_t i = 0; i < MU_LEN(codes); i++) {
        if (mu_span_eq_text(name, codes[i].name)) {
            return (enum mu_code)i;
        }
    }
    return fallback;
}

enum mu_code rpc_code_decode(struct mu_span grpc_status, struct mu_span mu_code)
{
    /* A status of somebody else's making: what was asked may have been done. */
    enum mu_code unknown = mu_span_eq_text(grpc_status, "0") ? MU_OK : MU_LOST;

    return rpc_code_of(mu_code, unknown);
}

/* -- Hello ------------------------------------------------------------------------------------- */

void rpc_hello_encode(const struct rpc_identity *id, struct mu_buf *to)
{
    Muster__Peer__Hello m = MUSTER__PEER__HELLO__INIT;

    m.version_min = m.version_max = RPC_VERSION;
    m.node_id = bytes_of(mu_span_of(id->node.b, sizeof id->node.b));
    m.node_name = text_of(id->name);
    m.datacenter = text_of(id->datacenter);
    m.is_server = id->is_server;
    m.boot_id = id->boot_id;
    if (!mu_id_is_none(&id->disk)) {
        m.disk_id = bytes_of(mu_span_of(id->disk.b, sizeof id->disk.b));
    }
    if (!mu_id_is_none(&id->cluster)) {
        m.cluster_id = bytes_of(mu_span_of(id->cluster.b, sizeof id->cluster.b));
    }
    (void)mu_pb_pack(&m.base, to);
}

/* 16 bytes, or none at all when `may_lack`. */
static bool id_read(ProtobufCBinaryData from, bool may_lack, struct mu_id *to)
{
    if (from.len == 0 && may_lack) {
        *to = MU_ID_NONE;
        return true;
    }
    if (from.len != sizeof to->b) {
        return false;
    }
    memcpy(to->b, from.data, sizeof to->b);
    return true;
}

static bool name_read(const char *from, char *to, size_t room)
{
    size_t bytes = strlen(from);

    if (bytes >= room || !mu_span_is_utf8(mu_span_of(from, bytes))) {
        return false;
    }
    memcpy(to, from, bytes + 1);
    return true;
}

enum mu_code rpc_hello_decode(struct mu_span bytes, struct rpc_identity *out, struct mu_err *err)
{
    struct mu_arena arena;
    enum mu_code rc = MU_OK;

    mu_arena_init(&arena, 64U * 1024);
    const Muster__Peer__Hello *m = unpack(&muster__peer__hello__descriptor, bytes, &arena, err);

    *out = (struct rpc_identity){ .boot_id = 0 };
    if (m == NULL) {
        rc = MU_CORRUPT;
    } else if (m->version_min > RPC_VERSION || m->version_max < RPC_VERSION) {
        rc = mu_fail(err, MU_UNSUPPORTED, "speaks RPC versions %u to %u, this node speaks %u",
                     m->version_min, m->version_max, RPC_VERSION);
    } else if (!id_read(m->node_id, false, &out->node) || !id_read(m->disk_id, true, &out->disk) ||
               !id_read(m->cluster_id, true, &out->cluster)) {
        rc = mu_fail(err, MU_CORRUPT, "Hello with an id that has not 16 bytes");
    } else if (!name_read(m->node_name, out->name, sizeof out->name) ||
               !name_read(m->datacenter, out->datacenter, sizeof out->datacenter)) {
        rc = mu_fail(err, MU_CORRUPT, "Hello with a name that is too long or not UTF-8");
    } else {
        out->is_server = m->is_server;
        out->boot_id = m->boot_id;
    }
    mu_arena_deinit(&arena);
    return rc;
}

/* -- Propose, ReadIndex ------------------------------------------------------------------------ */

void rpc_propose_encode(struct mu_span command, struct mu_buf *to)
{
    Muster__Peer__Propose m = MUSTER__PEER__PROPOSE__INIT;

    m.command = bytes_of(command);
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_propose_decode(struct mu_span bytes, struct mu_arena *arena,
                                struct mu_span *command, struct mu_err *err)
{
    const Muster__Peer__Propose *m = unpack(&muster__peer__propose__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->command.len == 0 || m->command.len > MU_COMMAND_BYTES_MAX) {
        return mu_fail(err, MU_CORRUPT, "a command of %zu bytes", m->command.len);
    }
    *command = span_of(m->command);
    return MU_OK;
}

void rpc_proposed_encode(const struct agent_written *written, struct mu_buf *to)
{
    Muster__Peer__Proposed m = MUSTER__PEER__PROPOSED__INIT;

    m.code = (uint32_t)written->code;
    m.did_apply = written->did_apply;
    m.index = written->index;
    m.text = text_of(written->text != NULL ? written->text : "");
    m.data = bytes_of(written->data);
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_proposed_decode(struct mu_span bytes, struct mu_arena *arena,
                                 struct agent_written *out, struct mu_err *err)
{
    const Muster__Peer__Proposed *m =
        unpack(&muster__peer__proposed__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->code >= MU_LEN(codes)) {
        return mu_fail(err, MU_CORRUPT, "unknown result code %u", m->code);
    }
    *out = (struct agent_written){
        .code = (enum mu_code)m->code,
        .did_apply = m->did_apply,
        .index = m->index,
        .text = m->text,
        .data = span_of(m->data),
    };
    return MU_OK;
}

void rpc_read_point_encode(uint64_t index, struct mu_buf *to)
{
    Muster__Peer__ReadPoint m = MUSTER__PEER__READ_POINT__INIT;

    m.index = index;
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_read_point_decode(struct mu_span bytes, uint64_t *index, struct mu_err *err)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 4096);
    const Muster__Peer__ReadPoint *m =
        unpack(&muster__peer__read_point__descriptor, bytes, &arena, err);
    enum mu_code rc = m == NULL ? MU_CORRUPT : MU_OK;

    *index = m != NULL ? m->index : 0;
    mu_arena_deinit(&arena);
    return rc;
}

void rpc_renew_encode(const struct mu_id *session, struct mu_buf *to)
{
    Muster__Peer__Renew m = MUSTER__PEER__RENEW__INIT;

    m.session = bytes_of(mu_span_of(session->b, sizeof session->b));
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_renew_decode(struct mu_span bytes, struct mu_id *session, struct mu_err *err)
{
    struct mu_arena arena;
    enum mu_code rc = MU_CORRUPT;

    mu_arena_init(&arena, 4096);
    const Muster__Peer__Renew *m = unpack(&muster__peer__renew__descriptor, bytes, &arena, err);

    if (m != NULL && m->session.len == sizeof session->b) {
        memcpy(session->b, m->session.data, sizeof session->b);
        rc = MU_OK;
    } else if (m != NULL) {
        rc = mu_fail(err, MU_CORRUPT, "a session id of %zu bytes", m->session.len);
    }
    mu_arena_deinit(&arena);
    return rc;
}

/* -- Save -------------------------------------------------------------------------------------- */

static enum mu_code id_fail(ProtobufCBinaryData id, struct mu_err *err)
{
    return mu_fail(err, MU_CORRUPT, "an id of %zu bytes", id.len);
}

void rpc_save_encode(const struct rpc_save *save, struct mu_buf *to)
{
    Muster__Peer__Save m = MUSTER__PEER__SAVE__INIT;

    if (!mu_id_is_none(&save->id)) {
        m.id = bytes_of(mu_span_of(save->id.b, sizeof save->id.b));
    }
    m.is_stale = save->is_stale;
    m.offset = save->offset;
    m.ends = save->ends;
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_save_decode(struct mu_span bytes, struct rpc_save *out, struct mu_err *err)
{
    struct mu_arena arena;
    enum mu_code rc = MU_CORRUPT;

    mu_arena_init(&arena, 4096);
    const Muster__Peer__Save *m = unpack(&muster__peer__save__descriptor, bytes, &arena, err);

    *out = (struct rpc_save){ .id = MU_ID_NONE };
    if (m != NULL) {
        out->is_stale = m->is_stale;
        out->offset = m->offset;
        out->ends = m->ends;
        rc = id_read(m->id, true, &out->id) ? MU_OK : id_fail(m->id, err);
    }
    mu_arena_deinit(&arena);
    return rc;
}

void rpc_saved_encode(const struct rpc_saved *saved, struct mu_buf *to)
{
    Muster__Peer__Saved m = MUSTER__PEER__SAVED__INIT;

    m.id = bytes_of(mu_span_of(saved->id.b, sizeof saved->id.b));
    m.index = saved->index;
    m.bytes = saved->bytes;
    m.known_leader = saved->known_leader;
    m.last_contact_ms = saved->last_contact_ms;
    m.piece = bytes_of(saved->piece);
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_saved_decode(struct mu_span bytes, struct mu_arena *arena, struct rpc_saved *out,
                              struct mu_err *err)
{
    const Muster__Peer__Saved *m = unpack(&muster__peer__saved__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    *out = (struct rpc_saved){ .index = m->index,
                               .bytes = m->bytes,
                               .last_contact_ms = m->last_contact_ms,
                               .known_leader = m->known_leader,
                               .piece = span_of(m->piece) };
    return id_read(m->id, false, &out->id) ? MU_OK : id_fail(m->id, err);
}

/* -- Recover ----------------------------------------------------------------------------------- */

void rpc_recover_encode(const struct rpc_recover *recover, struct mu_buf *to)
{
    Muster__Peer__Recover m = MUSTER__PEER__RECOVER__INIT;
    ProtobufCBinaryData bundles[RPC_BUNDLES_MAX];

    MU_ASSERT(recover->bundles_count <= RPC_BUNDLES_MAX);
    for (size_t i = 0; i < recover->bundles_count; i++) {
        bundles[i] = bytes_of(recover->bundles[i]);
    }
    m.step = recover->step;
    m.bundles = bundles;
    m.n_bundles = recover->bundles_count;
    m.is_forced = recover->is_forced;
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_recover_decode(struct mu_span bytes, struct mu_arena *arena,
                                struct rpc_recover *out, struct mu_err *err)
{
    const Muster__Peer__Recover *m = unpack(&muster__peer__recover__descriptor, bytes, arena, err);

    *out = (struct rpc_recover){ .bundles_count = 0 };
    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->step < RPC_RECOVER_LOOK || m->step > RPC_RECOVER_BEGIN) {
        return mu_fail(err, MU_UNSUPPORTED, "step %u of a recovery is not known here", m->step);
    }
    if (m->n_bundles > RPC_BUNDLES_MAX) {
        return mu_fail(err, MU_CORRUPT, "%zu bundles, at most %d are read", m->n_bundles,
                       RPC_BUNDLES_MAX);
    }
    out->step = (enum rpc_recover_step)m->step;
    out->is_forced = m->is_forced;
    for (size_t i = 0; i < m->n_bundles; i++) {
        out->bundles[out->bundles_count++] = span_of(m->bundles[i]);
    }
    return MU_OK;
}

void rpc_recovery_encode(const struct rpc_recovery *recovery, struct mu_buf *to)
{
    Muster__Peer__Recovery m = MUSTER__PEER__RECOVERY__INIT;

    m.bundle = bytes_of(recovery->bundle);
    m.damage = bytes_of(recovery->damage);
    m.epoch = recovery->epoch;
    if (!mu_id_is_none(&recovery->leader)) {
        m.leader = bytes_of(mu_span_of(recovery->leader.b, sizeof recovery->leader.b));
    }
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_recovery_decode(struct mu_span bytes, struct mu_arena *arena,
                                 struct rpc_recovery *out, struct mu_err *err)
{
    const Muster__Peer__Recovery *m =
        unpack(&muster__peer__recovery__descriptor, bytes, arena, err);

    *out = (struct rpc_recovery){ .epoch = 0 };
    if (m == NULL) {
        return MU_CORRUPT;
    }
    out->bundle = span_of(m->bundle);
    out->damage = span_of(m->damage);
    out->epoch = m->epoch;
    if (!mu_span_is_utf8(out->damage)) {
        return mu_fail(err, MU_CORRUPT, "a damage that is not UTF-8");
    }
    return id_read(m->leader, true, &out->leader) ? MU_OK : id_fail(m->leader, err);
}

/* -- Serve ------------------------------------------------------------------------------------- */

static Muster__Peer__Header **headers_pack(const struct mu_header *headers, size_t count)
{
    Muster__Peer__Header *items = mu_new_array(count, sizeof *items);
    Muster__Peer__Header **list = mu_new_array(count, sizeof *list);

    for (size_t i = 0; i < count; i++) {
        muster__peer__header__init(&items[i]);
        items[i].name = bytes_of(headers[i].name);
        items[i].value = bytes_of(headers[i].value);
        list[i] = &items[i];
    }
    if (count == 0) {
        mu_free(items);
    }
    return list;
}

static void headers_free(Muster__Peer__Header **list, size_t count)
{
    if (count > 0) {
        mu_free(list[0]); /* the items were made in one piece */
    }
    mu_free(list);
}

static struct mu_header *headers_read(Muster__Peer__Header *const *list, size_t count,
                                      struct mu_arena *arena)
{
    struct mu_header *headers = mu_arena_array(arena, count, sizeof *headers);

    for (size_t i = 0; i < count; i++) {
        headers[i].name = span_of(list[i]->name);
        headers[i].value = span_of(list[i]->value);
    }
    return headers;
}

static void endpoint_pack(const struct mu_addr *a, Muster__Peer__Endpoint *to)
{
    muster__peer__endpoint__init(to);
    to->ip = bytes_of(mu_span_of(a->ip, a->ip_bytes));
    to->port = a->port;
}

static bool endpoint_read(const Muster__Peer__Endpoint *from, struct mu_addr *to)
{
    *to = MU_ADDR_NONE;
    if (from == NULL || from->ip.len == 0) {
        return true;
    }
    if ((from->ip.len != 4 && from->ip.len != 16) || from->port > 65535) {
        return false;
    }
    memcpy(to->ip, from->ip.data, from->ip.len);
    to->ip_bytes = (uint8_t)from->ip.len;
    to->port = (uint16_t)from->port;
    return true;
}

void rpc_http_request_encode(const struct agent_http_request *request, struct mu_buf *to)
{
    Muster__Peer__HttpRequest m = MUSTER__PEER__HTTP_REQUEST__INIT;
    Muster__Peer__Endpoint client;

    endpoint_pack(&request->client, &client);
    m.method = bytes_of(request->method);
    m.target = bytes_of(request->target);
    m.body = bytes_of(request->body);
    m.client = &client;
    m.headers = headers_pack(request->headers, request->headers_count);
    m.n_headers = request->headers_count;
    (void)mu_pb_pack(&m.base, to);
    headers_free(m.headers, m.n_headers);
}

enum mu_code rpc_http_request_decode(struct mu_span bytes, struct mu_arena *arena,
                                     struct agent_http_request *out, struct mu_err *err)
{
    const Muster__Peer__HttpRequest *m =
        unpack(&muster__peer__http_request__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->n_headers > MU_HTTP_HEADERS_MAX || m->target.len > MU_HTTP_HEAD_MAX ||
        !endpoint_read(m->client, &out->client)) {
        return mu_fail(err, MU_CORRUPT, "an HTTP request beyond its limits");
    }
    out->method = span_of(m->method);
    out->target = span_of(m->target);
    out->body = span_of(m->body);
    out->headers = headers_read(m->headers, m->n_headers, arena);
    out->headers_count = m->n_headers;
    return MU_OK;
}

void rpc_http_response_encode(const struct agent_http_response *response, struct mu_buf *to)
{
    Muster__Peer__HttpResponse m = MUSTER__PEER__HTTP_RESPONSE__INIT;

    m.status = response->status;
    m.body = bytes_of(response->body);
    m.headers = headers_pack(response->headers, response->headers_count);
    m.n_headers = response->headers_count;
    (void)mu_pb_pack(&m.base, to);
    headers_free(m.headers, m.n_headers);
}

enum mu_code rpc_http_response_decode(struct mu_span bytes, struct mu_arena *arena,
                                      struct agent_http_response *out, struct mu_err *err)
{
    const Muster__Peer__HttpResponse *m =
        unpack(&muster__peer__http_response__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->n_headers > MU_HTTP_HEADERS_MAX || m->status < 100 || m->status > 599) {
        return mu_fail(err, MU_CORRUPT, "an HTTP response beyond its limits");
    }
    out->status = m->status;
    out->body = span_of(m->body);
    out->headers = headers_read(m->headers, m->n_headers, arena);
    out->headers_count = m->n_headers;
    return MU_OK;
}

/* -- Resolve ----------------------------------------------------------------------------------- */

void rpc_dns_query_encode(const struct agent_dns_request *request, struct mu_buf *to)
{
    Muster__Peer__DnsQuery m = MUSTER__PEER__DNS_QUERY__INIT;
    Muster__Peer__Endpoint client;

    endpoint_pack(&request->client, &client);
    m.message = bytes_of(request->message);
    m.is_tcp = request->is_tcp;
    m.client = &client;
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_dns_query_decode(struct mu_span bytes, struct mu_arena *arena,
                                  struct agent_dns_request *out, struct mu_err *err)
{
    const Muster__Peer__DnsQuery *m =
        unpack(&muster__peer__dns_query__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->message.len > MU_DNS_TCP_MAX || !endpoint_read(m->client, &out->client)) {
        return mu_fail(err, MU_CORRUPT, "a DNS query beyond its limits");
    }
    out->message = span_of(m->message);
    out->is_tcp = m->is_tcp;
    return MU_OK;
}

void rpc_dns_answer_encode(struct mu_span message, struct mu_buf *to)
{
    Muster__Peer__DnsAnswer m = MUSTER__PEER__DNS_ANSWER__INIT;

    m.message = bytes_of(message);
    (void)mu_pb_pack(&m.base, to);
}

enum mu_code rpc_dns_answer_decode(struct mu_span bytes, struct mu_arena *arena,
                                   struct mu_span *message, struct mu_err *err)
{
    const Muster__Peer__DnsAnswer *m =
        unpack(&muster__peer__dns_answer__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    if (m->message.len > MU_DNS_TCP_MAX) {
        return mu_fail(err, MU_CORRUPT, "a DNS answer beyond its limits");
    }
    *message = span_of(m->message);
    return MU_OK;
}

/* -- Node -------------------------------------------------------------------------------------- */

void rpc_node_state_encode(const struct rpc_node_state *state, struct mu_buf *to)
{
    Muster__Peer__NodeState m = MUSTER__PEER__NODE_STATE__INIT;
    ProtobufCBinaryData *list = mu_new_array(state->count, sizeof *list);

    for (size_t i = 0; i < state->count; i++) {
        list[i] = bytes_of(state->registers[i]);
    }
    m.exists = state->exists;
    m.registers = list;
    m.n_registers = state->count;
    (void)mu_pb_pack(&m.base, to);
    mu_free(list);
}

enum mu_code rpc_node_state_decode(struct mu_span bytes, struct mu_arena *arena,
                                   struct rpc_node_state *out, struct mu_err *err)
{
    const Muster__Peer__NodeState *m =
        unpack(&muster__peer__node_state__descriptor, bytes, arena, err);

    if (m == NULL) {
        return MU_CORRUPT;
    }
    out->exists = m->exists;
    out->count = m->n_registers;
    out->registers = mu_arena_array(arena, out->count, sizeof *out->registers);
    for (size_t i = 0; i < out->count; i++) {
        out->registers[i] = span_of(m->registers[i]);
    }
    return MU_OK;
}
