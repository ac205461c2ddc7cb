/* transport.c - peer messages to bytes and back, and which connection they take.
 *
 * What comes in is checked here as far as it can be without knowing the log: a request whose
 * entries do not follow one another, or that are of a later term than its sender's, never reaches
 * the core.
 */
#include "transport_wire.h"

#include <string.h>

#include <pb/consensus.pb-c.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/pb.h"
#include "transport_body.h"

#define FRAME_HEAD      8U
#define BOOTSTRAP_KINDS 64U /* added to the kinds of bootstrap.h */
/* Of the protobuf part: ids, numbers, one body; an offer brings a configuration. */
#define RAFT_BYTES_MAX (1024U + CONSENSUS_CONFIG_BYTES_MAX)

typedef Muster__Consensus__Raft pb_raft;
typedef Muster__Consensus__Bootstrap pb_bootstrap;
typedef Muster__Consensus__Member pb_member;

/* Bytes that are not protobuf's follow its part. */
static bool has_tail(unsigned kind)
{
    return kind == CONSENSUS_APPEND_REQ || kind == CONSENSUS_SNAP_CHUNK;
}

/* -- frames -------------------------------------------------------------------------------- */

static uint32_t frame_crc(const uint8_t *frame, size_t bytes)
{
    return mu_crc32c(mu_crc32c(0, frame, 4), frame + FRAME_HEAD, bytes - FRAME_HEAD);
}

/* Room for the head at the end of `to`; returns where the frame begins. */
static size_t frame_begin(struct mu_buf *to, uint8_t kind)
{
    size_t start = to->bytes;
    uint8_t *head = mu_buf_reserve(to, FRAME_HEAD);

    memset(head, 0, FRAME_HEAD);
    head[0] = kind;
    to->bytes += FRAME_HEAD;
    return start;
}

static void u32_put(struct mu_buf *to, size_t at, uint32_t value)
{
    struct mu_wr w = mu_wr_of(to->data + at, 4);

    mu_wr_u32le(&w, value);
}

static void frame_end(struct mu_buf *to, size_t start)
{
    MU_ASSERT(to->bytes - start <= MU_RPC_MESSAGE_MAX);
    u32_put(to, start + 4, frame_crc(to->data + start, to->bytes - start));
}

/* Records carry the chain value of the log they were read from; it is nobody else's business. */
static void record_add(struct mu_buf *to, struct mu_span record)
{
    size_t at = to->bytes;

    mu_buf_add_span(to, record);
    u32_put(to, at + 4, 0);
}

void consensus__wire_encode(const struct consensus_msg *m, const struct mu_span *records,
                            struct mu_buf *to)
{
    size_t start = frame_begin(to, (uint8_t)m->kind);
    pb_raft raft = MUSTER__CONSENSUS__RAFT__INIT;
    union consensus__body body;

    raft.cluster = consensus__id_out(&m->cluster);
    raft.epoch = m->epoch;
    raft.from = consensus__id_out(&m->from);
    raft.from_disk = consensus__id_out(&m->from_disk);
    raft.to = consensus__id_out(&m->to);
    raft.term = m->term;
    consensus__body_out(m, &body, &raft);
    if (!has_tail(m->kind)) {
        (void)mu_pb_pack(&raft.base, to);
        frame_end(to, start);
        return;
    }
    size_t size_at = to->bytes;

    mu_buf_add(to, (const uint8_t[4]){ 0 }, 4);
    u32_put(to, size_at, (uint32_t)mu_pb_pack(&raft.base, to));
    for (uint32_t i = 0; m->kind == CONSENSUS_APPEND_REQ && i < m->append.entries_count; i++) {
        record_add(to, records[i]);
    }
    if (m->kind == CONSENSUS_SNAP_CHUNK) {
        MU_ASSERT(m->snapshot.data.bytes == m->snapshot.bytes);
        mu_buf_add_span(to, m->snapshot.data);
    }
    frame_end(to, start);
}

void consensus__wire_encode_bootstrap(const struct consensus_bootstrap_msg *m, struct mu_buf *to)
{
    size_t start = frame_begin(to, (uint8_t)(BOOTSTRAP_KINDS + m->kind));
    pb_bootstrap message = MUSTER__CONSENSUS__BOOTSTRAP__INIT;
    pb_member members[CONSENSUS_VOTERS_MAX];
    pb_member *list[CONSENSUS_VOTERS_MAX];

    message.from = consensus__id_out(&m->from);
    message.from_disk = consensus__id_out(&m->from_disk);
    message.to = consensus__id_out(&m->to);
    message.cluster = consensus__id_out_unless_none(&m->cluster);
    message.coordinator = consensus__id_out_unless_none(&m->coordinator);
    message.expect = m->expect;
    message.why = m->why;
    MU_ASSERT(m->set.count <= CONSENSUS_VOTERS_MAX);
    for (uint32_t i = 0; i < m->set.count; i++) {
        muster__consensus__member__init(&members[i]);
        members[i].server = consensus__id_out(&m->set.members[i].server);
        members[i].disk = consensus__id_out(&m->set.members[i].disk);
        list[i] = &members[i];
    }
    message.n_members = m->set.count;
    message.members = list;
    (void)mu_pb_pack(&message.base, to);
    frame_end(to, start);
}

/* -- decoding ------------------------------------------------------------------------------ */

static enum mu_code malformed(struct mu_err *err, const char *what)
{
    return mu_fail(err, MU_CORRUPT, "malformed message: %s", what);
}

static bool config_ok(const struct consensus_record *r)
{
    struct consensus_config config;

    return consensus_config_decode(r->payload, r->index, &config, NULL) == MU_OK;
}

static bool payload_ok(const struct consensus_record *r)
{
    switch (r->kind) {
    case CONSENSUS_NOOP: return r->payload.bytes == 0;
    case CONSENSUS_COMMAND: return true;
    case CONSENSUS_CONFIG: return config_ok(r);
    default: return false;
    }
}

/* Entries follow prev and one another, in terms that do not go back or beyond the sender's. */
static enum mu_code records_check(const struct consensus_msg *m, struct mu_span records,
                                  struct mu_err *err)
{
    uint64_t index = m->append.prev_index;
    uint64_t term = m->append.prev_term;

    for (uint32_t i = 0; i < m->append.entries_count; i++) {
        struct consensus_record r;
        size_t room;

        if (!consensus__record_read(records, &r, &room)) {
            return malformed(err, "an entry fails its checksum");
        }
        if (r.index != index + 1 || r.term < term || r.term > m->term || r.chain != 0) {
            return malformed(err, "an entry is out of order");
        }
        if (!payload_ok(&r)) {
            return malformed(err, "an entry is of an unknown kind, or its payload is not one");
        }
        index = r.index;
        term = r.term;
        records = mu_span_sub(records, room, records.bytes - room);
    }
    return records.bytes == 0 ? MU_OK : malformed(err, "bytes behind the last entry");
}

static enum mu_code chunk_check(struct consensus_msg *m, struct mu_span data, struct mu_err *err)
{
    if (data.bytes == 0 || data.bytes > CONSENSUS_CHUNK_BYTES) {
        return malformed(err, "the size of a chunk");
    }
    m->snapshot.data = data;
    m->snapshot.bytes = (uint32_t)data.bytes;
    return MU_OK;
}

static enum mu_code offer_check(const pb_raft *raft, struct consensus_frame *out,
                                struct mu_err *err)
{
    const ProtobufCBinaryData *config = &raft->snapshot->config;
    enum mu_code rc = consensus_config_decode(mu_span_of(config->data, config->len),
                                              raft->snapshot->config_index, &out->config, err);

    out->msg.snapshot.config = &out->config;
    return rc == MU_OK ? MU_OK : malformed(err, "the configuration of a snapshot");
}

static enum mu_code decode_raft(uint8_t kind, struct mu_span body, struct mu_arena *arena,
                                struct consensus_frame *out, struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(body);
    struct consensus_msg *m = &out->msg;
    struct mu_span head = body;
    struct mu_span tail = MU_SPAN_NONE;

    if (has_tail(kind)) {
        head = mu_rd_take(&r, mu_rd_u32le(&r));
        tail = mu_rd_take(&r, r.left);
    }
    if (!mu_rd_ok(&r) || head.bytes > RAFT_BYTES_MAX) {
        return malformed(err, "its size");
    }
    const pb_raft *raft = mu_pb_unpack(&muster__consensus__raft__descriptor, head, arena);

    if (raft == NULL || !consensus__id_in(&raft->cluster, &m->cluster) ||
        !consensus__id_in(&raft->from, &m->from) ||
        !consensus__id_in(&raft->from_disk, &m->from_disk) ||
        !consensus__id_in(&raft->to, &m->to)) {
        return malformed(err, "its head");
    }
    m->kind = (enum consensus_msg_kind)kind;
    m->epoch = raft->epoch;
    m->term = raft->term;
    if (!consensus__body_in(raft, m)) {
        return malformed(err, "its body");
    }
    if (kind == CONSENSUS_APPEND_REQ) {
        out->records = tail;
        return records_check(m, tail, err);
    }
    if (kind == CONSENSUS_SNAP_OFFER) {
        return offer_check(raft, out, err);
    }
    return kind == CONSENSUS_SNAP_CHUNK ? chunk_check(m, tail, err) : MU_OK;
}

static bool members_in(const pb_bootstrap *from, struct consensus_bootstrap_set *set)
{
    if (from->n_members > CONSENSUS_VOTERS_MAX) {
        return false;
    }
    set->count = (uint32_t)from->n_members;
    for (size_t i = 0; i < from->n_members; i++) {
        if (!consensus__id_in(&from->members[i]->server, &set->members[i].server) ||
            !consensus__id_in(&from->members[i]->disk, &set->members[i].disk) ||
            (i > 0 && memcmp(&set->members[i - 1].server, &set->members[i].server,
                             sizeof(struct mu_id)) >= 0)) {
            return false;
        }
    }
    return true;
}

static enum mu_code decode_bootstrap(uint8_t kind, struct mu_span body, struct mu_arena *arena,
                                     struct consensus_frame *out, struct mu_err *err)
{
    struct consensus_bootstrap_msg *m = &out->bootstrap;

    if (body.bytes > RAFT_BYTES_MAX) {
        return malformed(err, "its size");
    }
    const pb_bootstrap *b = mu_pb_unpack(&muster__consensus__bootstrap__descriptor, body, arena);

    if (b == NULL || !consensus__id_in(&b->from, &m->from) ||
        !consensus__id_in(&b->from_disk, &m->from_disk) || !consensus__id_in(&b->to, &m->to) ||
        !consensus__id_in_or_none(&b->cluster, &m->cluster) ||
        !consensus__id_in_or_none(&b->coordinator, &m->coordinator) || !members_in(b, &m->set)) {
        return malformed(err, "its fields");
    }
    out->is_bootstrap = true;
    m->kind = (enum consensus_bootstrap_msg_kind)(kind - BOOTSTRAP_KINDS);
    m->expect = b->expect;
    m->why = b->why;
    return MU_OK;
}

enum mu_code consensus__wire_decode(struct mu_span bytes, struct mu_arena *arena,
                                    struct consensus_frame *out, struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(bytes);
    uint8_t kind = mu_rd_u8(&r);
    uint8_t flags = mu_rd_u8(&r);
    uint16_t reserved = mu_rd_u16le(&r);
    uint32_t crc = mu_rd_u32le(&r);

    memset(out, 0, sizeof *out);
    if (bytes.bytes > MU_RPC_MESSAGE_MAX) {
        return mu_fail(err, MU_TOO_BIG, "a message of %zu bytes, allowed are %u", bytes.bytes,
                       MU_RPC_MESSAGE_MAX);
    }
    if (!mu_rd_ok(&r) || crc != frame_crc(bytes.data, bytes.bytes)) {
        return malformed(err, "its checksum");
    }
    struct mu_span body = mu_rd_take(&r, r.left);

    if (flags != 0 || reserved != 0) {
        return mu_fail(err, MU_UNSUPPORTED, "a message with flags 0x%x", flags);
    }
    if (consensus_msg_kind_is_known(kind)) {
        return decode_raft(kind, body, arena, out, err);
    }
    if (kind >= BOOTSTRAP_KINDS + BOOTSTRAP_PING && kind <= BOOTSTRAP_KINDS + BOOTSTRAP_ASK) {
        return decode_bootstrap(kind, body, arena, out, err);
    }
    return mu_fail(err, MU_UNSUPPORTED, "a message of kind %u", kind);
}

bool consensus__wire_next(struct mu_span *records, struct consensus_record *out)
{
    size_t room = 0;

    if (records->bytes == 0) {
        return false;
    }
    bool is_one = consensus__record_read(*records, out, &room);

    MU_ASSERT(is_one); /* they were checked when they came in */
    *records = mu_span_sub(*records, room, records->bytes - room);
    return true;
}

/* Entries go where their size holds up nobody else; so do requests without any, or one that carries
 * a commit index would overtake the entries it is about. An offer asks where to go on behind the
 * chunks that are under way. */
enum consensus_channel consensus__wire_channel(const struct consensus_msg *m)
{
    bool is_bulk = m->kind == CONSENSUS_APPEND_REQ || m->kind == CONSENSUS_SNAP_OFFER ||
                   m->kind == CONSENSUS_SNAP_CHUNK;

    return is_bulk ? CONSENSUS_BULK : CONSENSUS_CONTROL;
}
