/* test_transport.c - peer messages to bytes and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/crc.h"
#include "base/wire.h"
#include "log_model.h"
#include "transport_wire.h"

#define RECORDS 5

static struct mu_err last_err;

static enum mu_code decode(struct mu_span bytes, struct consensus_frame *out)
{
    struct mu_arena arena;

    last_err = MU_ERR_NONE;
    mu_arena_init(&arena, CONSENSUS_WIRE_ARENA_MAX);
    enum mu_code rc = consensus__wire_decode(bytes, &arena, out, &last_err);

    mu_arena_deinit(&arena);
    return rc;
}

static void snapshot_of(struct consensus_msg *m)
{
    static struct consensus_config config;
    static const uint8_t bytes[] = "bytes of a state";

    m->snapshot.session = 101;
    m->snapshot.snap = (struct consensus_snap){
        .index = 102, .term = 103, .bytes = 104, .hash = { 105, [31] = 106 }
    };
    if (m->kind == CONSENSUS_SNAP_CHUNK) {
        m->snapshot.offset = 7;
        m->snapshot.data = mu_span_of(bytes, sizeof bytes);
        m->snapshot.bytes = sizeof bytes;
        return;
    }
    config = (struct consensus_config){ .index = 99,
                                        .level = CONSENSUS_LEVEL_FIRST,
                                        .servers_count = 1 };
    config.servers[0].id = model_id(1);
    config.servers[0].disk = model_id(2);
    config.servers[0].is_voter = true;
    m->snapshot.config = &config;
}

/* Every field of its body differs from zero and from the others. */
static struct consensus_msg msg_of(enum consensus_msg_kind kind)
{
    struct consensus_msg m;

    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.from = model_id(1);
    m.from_disk = model_id(2);
    m.to = model_id(3);
    m.cluster = model_id(4);
    m.epoch = 5;
    m.term = 1ULL << 40;
    switch (kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ:
        m.ask.next_term = 11;
        m.ask.last_term = 12;
        m.ask.last_index = 13;
        m.ask.round = UINT64_MAX;
        m.ask.transfer_term = 14;
        break;
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_VOTE_RES:
        m.answer.asked_term = 21;
        m.answer.round = 22;
        m.answer.is_granted = true;
        break;
    case CONSENSUS_APPEND_REQ:
        m.append.session = UINT64_MAX - 1;
        m.append.prev_index = 100;
        m.append.prev_term = 3;
        m.append.commit = 99;
        m.append.is_push = true;
        break;
    case CONSENSUS_APPEND_RES:
        m.ack.session = 31;
        m.ack.prev_index = 32;
        m.ack.match = 33;
        m.ack.hint_index = 34;
        m.ack.hint_term = 35;
        m.ack.last_index = 36;
        m.ack.applied = 37;
        m.ack.is_accepted = true;
        m.ack.is_store_slow = true;
        break;
    case CONSENSUS_HEARTBEAT:
        m.heartbeat.session = 41;
        m.heartbeat.read_seq = 42;
        m.heartbeat.commit = 43;
        m.heartbeat.proven = (struct consensus_sum){ .index = 44, .hash = { 1, [15] = 255 } };
        break;
    case CONSENSUS_HEARTBEAT_RES:
        m.alive.session = 51;
        m.alive.read_seq = 52;
        m.alive.last_index = 53;
        m.alive.applied = 54;
        m.alive.is_store_slow = true;
        m.alive.level = 55;
        m.alive.is_copy = true;
        break;
    case CONSENSUS_TIMEOUT_NOW:
        m.timeout_now.last_index = 61;
        m.timeout_now.valid_ms = 62;
        break;
    case CONSENSUS_MEMBER_REQ: break;
    case CONSENSUS_MEMBER_RES:
        m.removed.config_index = 71;
        m.removed.disk = model_id(72);
        break;
    case CONSENSUS_INVITE: m.invite.disk = model_id(81); break;
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_SNAP_CHUNK: snapshot_of(&m); break;
    case CONSENSUS_SNAP_RES:
        m.snapshot_res.session = 91;
        m.snapshot_res.offset = 92;
        m.snapshot_res.match = 93;
        m.snapshot_res.answer = CONSENSUS_SNAP_FAILED;
        m.snapshot_res.fault = CONSENSUS_SNAP_FULL;
        break;
    }
    return m;
}

/* Five entries behind 100: commands of several sizes, a no-op, a configuration. */
static void records_make(struct mu_buf *bytes, struct mu_span records[RECORDS])
{
    static const struct model_entry entries[RECORDS] = {
        { 3, 1, CONSENSUS_COMMAND }, { 3, 500, CONSENSUS_COMMAND }, { 4, 0, CONSENSUS_NOOP },
        { 4, 0, CONSENSUS_CONFIG },  { 4, 7, CONSENSUS_COMMAND },
    };
    size_t ends[RECORDS];

    for (size_t i = 0; i < RECORDS; i++) {
        model_record(101 + i, &entries[i], bytes);
        ends[i] = bytes->bytes;
    }
    for (size_t i = 0; i < RECORDS; i++) {
        size_t start = i == 0 ? 0 : ends[i - 1];

        records[i] = mu_span_of(bytes->data + start, ends[i] - start);
    }
}

/* One message of this kind; an APPEND_REQ with entries. */
static void encode(enum consensus_msg_kind kind, struct mu_buf *to)
{
    struct consensus_msg m = msg_of(kind);
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_span records[RECORDS];

    records_make(&bytes, records);
    if (kind == CONSENSUS_APPEND_REQ) {
        m.append.entries_count = RECORDS;
    }
    consensus__wire_encode(&m, records, to);
    mu_buf_deinit(&bytes);
}

static void bootstrap_make(enum consensus_bootstrap_msg_kind kind,
                           struct consensus_bootstrap_msg *m)
{
    memset(m, 0, sizeof *m);
    m->kind = kind;
    m->from = model_id(1);
    m->from_disk = model_id(2);
    m->to = model_id(3);
    m->cluster = kind > BOOTSTRAP_PONG ? model_id(4) : MU_ID_NONE;
    m->coordinator = kind == BOOTSTRAP_ASK ? model_id(5) : MU_ID_NONE;
    m->expect = 9;
    m->why = kind == BOOTSTRAP_REFUSED ? BOOTSTRAP_VIEW : 0;
    m->set.count = kind == BOOTSTRAP_PROMISE ? CONSENSUS_VOTERS_MAX : 0;
    for (uint32_t i = 0; i < m->set.count; i++) {
        m->set.members[i].server = model_id((uint8_t)(10 + i));
        m->set.members[i].disk = model_id((uint8_t)(200 - i));
    }
}

static void every_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    for (unsigned kind = CONSENSUS_PREVOTE_REQ; kind <= CONSENSUS_MSG_KINDS; kind++) {
        struct consensus_msg want = msg_of((enum consensus_msg_kind)kind);
        struct mu_buf bytes = MU_BUF_NONE;
        struct consensus_frame got;

        encode((enum consensus_msg_kind)kind, &bytes);
        want.append.entries_count =
            kind == CONSENSUS_APPEND_REQ ? RECORDS : want.append.entries_count;
        if (decode(mu_buf_span(&bytes), &got) != MU_OK) {
            fail_msg("kind %u: %s", kind, last_err.text);
        }
        assert_false(got.is_bootstrap);
        if (kind == CONSENSUS_SNAP_OFFER) {
            assert_memory_equal(got.msg.snapshot.config, want.snapshot.config,
                                sizeof *want.snapshot.config);
            got.msg.snapshot.config = want.snapshot.config = NULL;
        } else if (kind == CONSENSUS_SNAP_CHUNK) {
            assert_true(mu_span_eq(got.msg.snapshot.data, want.snapshot.data));
            got.msg.snapshot.data = want.snapshot.data;
        }
        assert_memory_equal(&got.msg, &want, sizeof want);
        mu_buf_deinit(&bytes);
    }
    for (unsigned kind = BOOTSTRAP_PING; kind <= BOOTSTRAP_ASK; kind++) {
        struct consensus_bootstrap_msg want;
        struct mu_buf bytes = MU_BUF_NONE;
        struct consensus_frame got;

        bootstrap_make((enum consensus_bootstrap_msg_kind)kind, &want);
        consensus__wire_encode_bootstrap(&want, &bytes);
        if (decode(mu_buf_span(&bytes), &got) != MU_OK) {
            fail_msg("bootstrap %u: %s", kind, last_err.text);
        }
        assert_true(got.is_bootstrap);
        assert_memory_equal(&got.bootstrap, &want, sizeof want);
        mu_buf_deinit(&bytes);
    }
}

/* The recorded frame of one that was built before there were levels. */
static void a_server_that_knows_no_levels_understands_the_first(void **state)
{
    static const uint8_t before[] = {
        // clang-format off
        0x08, 0x00, 0x00, 0x00, 0x41, 0x10, 0x43, 0x87, 0x0a, 0x10, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5a, 0x10, 0x05, 0x1a, 0x10, 0x01, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5a, 0x22, 0x10,
        0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5a,
        0x2a, 0x10, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x5a, 0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x62, 0x11, 0x09, 0x33, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x10, 0x34, 0x18, 0x35, 0x20, 0x36, 0x28, 0x01,
        // clang-format on
    };
    struct consensus_msg m = msg_of(CONSENSUS_HEARTBEAT_RES);
    struct mu_buf bytes = MU_BUF_NONE;
    struct consensus_frame got;

    (void)state;
    assert_int_equal(decode(mu_span_of(before, sizeof before), &got), MU_OK);
    assert_int_equal(got.msg.alive.level, CONSENSUS_LEVEL_FIRST);
    m.alive.level = 0; /* absent */
    m.alive.is_copy = false;
    consensus__wire_encode(&m, NULL, &bytes);
    assert_int_equal(bytes.bytes, sizeof before);
    assert_memory_equal(bytes.data, before, sizeof before);
    mu_buf_deinit(&bytes);
}

static void entries_travel_as_their_records(void **state)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_buf records = MU_BUF_NONE;
    struct mu_span list[RECORDS];
    struct consensus_frame got;
    struct consensus_record r;
    size_t count = 0;

    (void)state;
    encode(CONSENSUS_APPEND_REQ, &bytes);
    records_make(&records, list);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_OK);
    assert_true(mu_span_eq(got.records, mu_buf_span(&records)));
    while (consensus__wire_next(&got.records, &r)) {
        assert_int_equal(r.index, 101 + count++);
    }
    assert_int_equal(count, RECORDS);
    mu_buf_deinit(&records);
    mu_buf_deinit(&bytes);
}

static void the_chain_of_a_log_stays_at_home(void **state)
{
    struct consensus_msg m = msg_of(CONSENSUS_APPEND_REQ);
    struct mu_buf record = MU_BUF_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct consensus_frame got;
    struct consensus_record r = { .index = 101, .term = 3, .kind = CONSENSUS_NOOP };

    (void)state;
    assert_int_not_equal(consensus__record_add(&record, &r, 77), 0); /* a chain value */
    struct mu_span records = mu_buf_span(&record);

    m.append.entries_count = 1;
    consensus__wire_encode(&m, &records, &bytes);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_OK);
    assert_true(consensus__wire_next(&got.records, &r));
    assert_int_equal(r.chain, 0);
    mu_buf_deinit(&record);
    mu_buf_deinit(&bytes);
}

/* A frame's checksum made right again, so that what is behind it gets looked at. */
static void reseal(struct mu_buf *b)
{
    struct mu_wr w = mu_wr_of(b->data + 4, 4);

    mu_wr_u32le(&w, mu_crc32c(mu_crc32c(0, b->data, 4), b->data + 8, b->bytes - 8));
}

static void cut_or_changed_bytes_are_refused(void **state)
{
    (void)state;
    for (unsigned kind = CONSENSUS_PREVOTE_REQ; kind <= CONSENSUS_MSG_KINDS; kind++) {
        struct mu_buf bytes = MU_BUF_NONE;
        struct consensus_frame got;

        encode((enum consensus_msg_kind)kind, &bytes);
        size_t whole = bytes.bytes;

        for (size_t i = 0; i < whole; i++) {
            bytes.data[i] ^= 0x20;
            if (decode(mu_buf_span(&bytes), &got) == MU_OK) {
                fail_msg("kind %u: a changed byte at %zu was not seen", kind, i);
            }
            bytes.data[i] ^= 0x20;
        }
        for (size_t cut = 0; cut < whole; cut++) {
            assert_int_not_equal(decode(mu_span_of(bytes.data, cut), &got), MU_OK);
        }
        /* And with a checksum that fits: every prefix decodes to something else or not at all, and
         * the sanitizer sees that nothing is read behind it. */
        for (size_t cut = 8; cut < whole; cut++) {
            struct mu_buf part = MU_BUF_NONE;

            mu_buf_add(&part, bytes.data, cut);
            reseal(&part);
            if (decode(mu_buf_span(&part), &got) == MU_OK && kind == CONSENSUS_APPEND_REQ) {
                fail_msg("%zu of %zu bytes of entries pass", cut, whole);
            }
            mu_buf_deinit(&part);
        }
        mu_buf_deinit(&bytes);
    }
}

static void entries_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *why;
        uint64_t prev_index, prev_term, term;
        uint32_t count;
        const char *text;
    } cases[] = {
        // clang-format off
        { "there is a hole behind prev",    99,             3, 9, RECORDS,     "out of order" },
        { "they overlap prev",              101,            3, 9, RECORDS,     "out of order" },
        { "terms go back from prev",        100,            4, 9, RECORDS,     "out of order" },
        { "of a later term than the sender", 100,           3, 3, RECORDS,     "out of order" },
        { "fewer than said",                100,            3, 9, RECORDS + 1, "checksum" },
        { "more than said",                 100,            3, 9, RECORDS - 1, "behind the last entry" },
        { "more than may be",               100,            3, 9, CONSENSUS_ENTRIES_MAX + 1, "its body" },
        { "behind the end of all indexes",  UINT64_MAX - 2, 3, 9, RECORDS,     "its body" },
    }; // clang-format on
    struct mu_buf records = MU_BUF_NONE;
    struct mu_span list[RECORDS];

    (void)state;
    records_make(&records, list);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_msg m = msg_of(CONSENSUS_APPEND_REQ);
        struct mu_span *many = mu_new_array(CONSENSUS_ENTRIES_MAX + 1, sizeof *many);
        struct mu_buf bytes = MU_BUF_NONE;
        struct consensus_frame got;

        for (size_t k = 0; k <= CONSENSUS_ENTRIES_MAX; k++) {
            many[k] = list[k < RECORDS ? k : RECORDS - 1];
        }
        m.append.prev_index = cases[i].prev_index;
        m.append.prev_term = cases[i].prev_term;
        m.term = cases[i].term;
        m.append.entries_count = cases[i].count;
        consensus__wire_encode(&m, many, &bytes);
        if (cases[i].count == RECORDS + 1) { /* said, but not there */
            bytes.bytes -= list[RECORDS - 1].bytes;
            reseal(&bytes);
        } else if (cases[i].count == RECORDS - 1) { /* there, but not said */
            mu_buf_add_span(&bytes, list[RECORDS - 1]);
            reseal(&bytes);
        }
        if (decode(mu_buf_span(&bytes), &got) != MU_CORRUPT ||
            strstr(last_err.text, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].why, last_err.text);
        }
        mu_buf_deinit(&bytes);
        mu_free(many);
    }
    mu_buf_deinit(&records);
}

static void unknown_kinds_payloads_and_sizes_are_refused(void **state)
{
    struct consensus_msg m = msg_of(CONSENSUS_APPEND_REQ);
    struct consensus_record r = { .index = 101, .term = 3, .kind = 9 };
    struct mu_buf record = MU_BUF_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct consensus_frame got;

    (void)state;
    (void)consensus__record_add(&record, &r, 0);
    struct mu_span records = mu_buf_span(&record);

    m.append.entries_count = 1;
    consensus__wire_encode(&m, &records, &bytes);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_CORRUPT);
    assert_non_null(strstr(last_err.text, "unknown kind"));

    mu_buf_clear(&bytes);
    encode(CONSENSUS_HEARTBEAT, &bytes);
    bytes.data[0] = CONSENSUS_MSG_KINDS + 1;
    reseal(&bytes);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_UNSUPPORTED);
    bytes.data[0] = CONSENSUS_HEARTBEAT;
    bytes.data[1] = 1;
    reseal(&bytes);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_UNSUPPORTED);
    bytes.data[1] = 0;
    memset(mu_buf_reserve(&bytes, MU_RPC_MESSAGE_MAX), 0, MU_RPC_MESSAGE_MAX);
    bytes.bytes += MU_RPC_MESSAGE_MAX;
    reseal(&bytes);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_TOO_BIG);
    mu_buf_deinit(&record);
    mu_buf_deinit(&bytes);
}

static void members_out_of_order_are_refused(void **state)
{
    struct consensus_bootstrap_msg m;
    struct mu_buf bytes = MU_BUF_NONE;
    struct consensus_frame got;

    (void)state;
    bootstrap_make(BOOTSTRAP_PROMISE, &m);
    m.set.members[3].server = m.set.members[4].server;
    consensus__wire_encode_bootstrap(&m, &bytes);
    assert_int_equal(decode(mu_buf_span(&bytes), &got), MU_CORRUPT);
    mu_buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was),
        cmocka_unit_test(a_server_that_knows_no_levels_understands_the_first),
        cmocka_unit_test(entries_travel_as_their_records),
        cmocka_unit_test(the_chain_of_a_log_stays_at_home),
        cmocka_unit_test(cut_or_changed_bytes_are_refused),
        cmocka_unit_test(entries_that_cannot_be_are_refused),
        cmocka_unit_test(unknown_kinds_payloads_and_sizes_are_refused),
        cmocka_unit_test(members_out_of_order_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
