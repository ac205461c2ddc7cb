/* The usual messages and the state of exchanges, written and read by hand: nothing of them may
 * differ from protobuf-c's. */
#include <protobuf-c/protobuf-c.h>

#include "fixture.h"
#include "message_pb.h"
#include "proto/pb.h"

#define ROUNDS 2000

static struct mu_arena arena;

static uint64_t any_number(struct mu_rand *r) /* short ones as often as long ones */
{
    return mu_rand_u64(r) >> mu_rand_below(r, 64);
}

static const char *any_name(struct mu_rand *r)
{
    static const size_t lengths[] = { 1, 2, 9, 100, MU_NODE_NAME_MAX };
    size_t bytes = lengths[mu_rand_below(r, MU_LEN(lengths))];
    char *name = mu_arena_new(&arena, bytes + 1);

    for (size_t i = 0; i < bytes; i++) {
        name[i] = (char)('a' + mu_rand_below(r, 26));
    }
    return name;
}

static struct mu_addr any_addr(struct mu_rand *r)
{
    struct mu_addr a = { .port = (uint16_t)(1 + mu_rand_below(r, UINT16_MAX)) };

    a.ip_bytes = mu_rand_below(r, 2) == 0 ? 4 : 16;
    for (size_t i = 0; i < a.ip_bytes; i++) {
        a.ip[i] = (uint8_t)(1 + mu_rand_below(r, 255));
    }
    return a;
}

static struct mu_span any_bytes(struct mu_rand *r, size_t max)
{
    size_t bytes = mu_rand_below(r, max + 1);
    uint8_t *data = mu_arena_new(&arena, bytes + 1);

    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)mu_rand_below(r, 256);
    }
    return mu_span_of(data, bytes);
}

static double any_real(struct mu_rand *r)
{
    static const double odd[] = { 0, -0.0, 1e-300, -1e300, 0.5 };

    return mu_rand_below(r, 2) == 0 ? mu_rand_unit(r) : odd[mu_rand_below(r, MU_LEN(odd))];
}

static struct gossip__alive any_alive(struct mu_rand *r)
{
    struct gossip__alive a = { .node = any_name(r),
                               .incarnation = any_number(r) & GOSSIP__INCARNATION_MAX,
                               .boot_id = any_number(r),
                               .at = any_addr(r),
                               .meta = any_bytes(r, MU_GOSSIP_META_MAX),
                               .versions = { 1, 0, 255, 128, 1, 1 },
                               .node_id = bench_id((unsigned)mu_rand_below(r, 3)) };

    a.node_id = mu_rand_below(r, 4) == 0 ? MU_ID_NONE : a.node_id;
    return a;
}

static struct gossip__ack any_ack(struct mu_rand *r)
{
    struct gossip__ack a = { .seq = any_number(r), .relayed = mu_rand_below(r, 2) == 0 };

    if (mu_rand_below(r, 3) > 0) {
        a.where = GOSSIP__GIVEN;
        for (size_t i = 0; i < COORDINATE_DIMS; i++) {
            a.coordinate.vec[i] = any_real(r);
        }
        a.coordinate.error = any_real(r);
        a.coordinate.adjustment = any_real(r);
        a.coordinate.height = any_real(r);
    }
    return a;
}

static struct gossip__part any_part(struct mu_rand *r)
{
    static const enum gossip__part_kind kinds[] = { GOSSIP__PART_PING,    GOSSIP__PART_ACK,
                                                    GOSSIP__PART_SUSPECT, GOSSIP__PART_ALIVE,
                                                    GOSSIP__PART_DEAD,    GOSSIP__PART_JOIN,
                                                    GOSSIP__PART_LEAVE };
    struct gossip__part p = { .kind = kinds[mu_rand_below(r, MU_LEN(kinds))] };
    uint64_t incarnation = any_number(r) & GOSSIP__INCARNATION_MAX;

    switch ((unsigned)p.kind) {
    case GOSSIP__PART_PING:
        p.ping = (struct gossip__ping){ any_number(r), any_name(r), any_addr(r), any_number(r),
                                        MU_SPAN_NONE };
        break;
    case GOSSIP__PART_ACK: p.ack = any_ack(r); break;
    case GOSSIP__PART_SUSPECT:
        p.suspect = (struct gossip__suspect){ any_name(r), any_name(r), incarnation,
                                              (enum gossip__evidence)mu_rand_below(r, 3) };
        break;
    case GOSSIP__PART_ALIVE: p.alive = any_alive(r); break;
    case GOSSIP__PART_DEAD:
        p.dead = (struct gossip__dead){ any_name(r), any_name(r), incarnation };
        break;
    default:
        p.intent =
            (struct gossip__intent){ any_name(r), any_number(r),
                                     p.kind == GOSSIP__PART_LEAVE && mu_rand_below(r, 2) == 0 };
        break;
    }
    return p;
}

static struct gossip__named_time *any_times(struct mu_rand *r, size_t *count)
{
    *count = mu_rand_below(r, 4);
    struct gossip__named_time *times = mu_arena_array(&arena, *count, sizeof *times);

    for (size_t i = 0; i < *count; i++) {
        times[i] = (struct gossip__named_time){ any_name(r), any_number(r) };
    }
    return times;
}

/* Now and then of so many members as a chunk has. */
static struct gossip__sync_state any_state(struct mu_rand *r)
{
    struct gossip__sync_state s = { .ltime = any_number(r),
                                    .event_ltime = any_number(r),
                                    .query_ltime = any_number(r),
                                    .more = mu_rand_below(r, 2) == 0 };

    s.nodes_count = mu_rand_below(r, 50) == 0 ? 256 : mu_rand_below(r, 4);
    s.nodes = mu_arena_array(&arena, s.nodes_count, sizeof *s.nodes);
    for (size_t i = 0; i < s.nodes_count; i++) {
        s.nodes[i] =
            (struct gossip__node_state){ any_alive(r), (enum gossip__state)mu_rand_below(r, 4),
                                         any_number(r),
                                         (enum gossip__evidence)mu_rand_below(r, 3) };
    }
    s.times = any_times(r, &s.times_count);
    s.left = any_times(r, &s.left_count);
    s.pruned_count = mu_rand_below(r, 3);
    s.pruned = mu_arena_array(&arena, s.pruned_count, sizeof *s.pruned);
    for (size_t i = 0; i < s.pruned_count; i++) {
        s.pruned[i] =
            (struct gossip__tombstone_record){ any_name(r), any_number(r) & GOSSIP__INCARNATION_MAX,
                                               any_number(r), any_number(r) };
    }
    s.events_count = mu_rand_below(r, 3);
    s.events = mu_arena_array(&arena, s.events_count, sizeof *s.events);
    for (size_t i = 0; i < s.events_count; i++) {
        s.events[i] =
            (struct gossip__user_event){ any_number(r), mu_rand_below(r, 5) == 0 ? "" : any_name(r),
                                         any_bytes(r, 300), mu_rand_below(r, 2) == 0 };
    }
    return s;
}

/* -- field by field -----------------------------------------------------------------------------
 */

static bool same_alive(const struct gossip__alive *a, const struct gossip__alive *b)
{
    return strcmp(a->node, b->node) == 0 && a->incarnation == b->incarnation &&
           a->boot_id == b->boot_id && mu_addr_eq(&a->at, &b->at) && mu_span_eq(a->meta, b->meta) &&
           memcmp(a->versions, b->versions, sizeof a->versions) == 0 &&
           mu_id_eq(&a->node_id, &b->node_id);
}

static bool same_ack(const struct gossip__ack *a, const struct gossip__ack *b)
{
    return a->seq == b->seq && a->relayed == b->relayed && a->where == b->where &&
           coordinate_eq(&a->coordinate, &b->coordinate);
}

static bool same(const struct gossip__part *a, const struct gossip__part *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch ((unsigned)a->kind) {
    case GOSSIP__PART_PING:
        return a->ping.seq == b->ping.seq && strcmp(a->ping.target, b->ping.target) == 0 &&
               mu_addr_eq(&a->ping.reply_to, &b->ping.reply_to) &&
               a->ping.target_boot == b->ping.target_boot;
    case GOSSIP__PART_ACK: return same_ack(&a->ack, &b->ack);
    case GOSSIP__PART_SUSPECT:
        return strcmp(a->suspect.node, b->suspect.node) == 0 &&
               strcmp(a->suspect.from, b->suspect.from) == 0 &&
               a->suspect.incarnation == b->suspect.incarnation &&
               a->suspect.evidence == b->suspect.evidence;
    case GOSSIP__PART_ALIVE: return same_alive(&a->alive, &b->alive);
    case GOSSIP__PART_DEAD:
        return strcmp(a->dead.node, b->dead.node) == 0 && strcmp(a->dead.from, b->dead.from) == 0 &&
               a->dead.incarnation == b->dead.incarnation;
    default:
        return strcmp(a->intent.node, b->intent.node) == 0 && a->intent.ltime == b->intent.ltime &&
               a->intent.prune == b->intent.prune;
    }
}

static bool same_times(const struct gossip__named_time *a, size_t a_count,
                       const struct gossip__named_time *b, size_t b_count)
{
    bool is_same = a_count == b_count;

    for (size_t i = 0; i < a_count && is_same; i++) {
        is_same = strcmp(a[i].node, b[i].node) == 0 && a[i].ltime == b[i].ltime;
    }
    return is_same;
}

static bool same_pruned(const struct gossip__tombstone_record *a,
                        const struct gossip__tombstone_record *b)
{
    return strcmp(a->node, b->node) == 0 && a->incarnation == b->incarnation &&
           a->ltime == b->ltime && a->age_ms == b->age_ms;
}

static bool same_event(const struct gossip__user_event *a, const struct gossip__user_event *b)
{
    return a->ltime == b->ltime && strcmp(a->name, b->name) == 0 &&
           mu_span_eq(a->payload, b->payload) && a->coalesce == b->coalesce;
}

static bool same_state(const struct gossip__sync_state *a, const struct gossip__sync_state *b)
{
    bool is_same = a->ltime == b->ltime && a->event_ltime == b->event_ltime &&
                   a->query_ltime == b->query_ltime && a->more == b->more &&
                   a->nodes_count == b->nodes_count && a->pruned_count == b->pruned_count &&
                   a->events_count == b->events_count &&
                   same_times(a->times, a->times_count, b->times, b->times_count) &&
                   same_times(a->left, a->left_count, b->left, b->left_count);

    for (size_t i = 0; i < a->nodes_count && is_same; i++) {
        is_same = same_alive(&a->nodes[i].node, &b->nodes[i].node) &&
                  a->nodes[i].state == b->nodes[i].state &&
                  a->nodes[i].age_ms == b->nodes[i].age_ms &&
                  a->nodes[i].evidence == b->nodes[i].evidence;
    }
    for (size_t i = 0; i < a->pruned_count && is_same; i++) {
        is_same = same_pruned(&a->pruned[i], &b->pruned[i]);
    }
    for (size_t i = 0; i < a->events_count && is_same; i++) {
        is_same = same_event(&a->events[i], &b->events[i]);
    }
    return is_same;
}

/* As protobuf-c would have written it. */
static void assert_written_so(const ProtobufCMessageDescriptor *type, struct mu_span bytes)
{
    const ProtobufCMessage *m = mu_pb_unpack(type, bytes, &arena);
    struct mu_buf again = MU_BUF_NONE;

    assert_non_null(m);
    (void)mu_pb_pack(m, &again);
    assert_true(mu_span_eq(mu_buf_span(&again), bytes));
    mu_buf_deinit(&again);
}

/* What the plain way takes, the other one takes for the same. */
static bool is_taken(struct mu_span bytes)
{
    struct gossip__part fast, any;

    if (!gossip__plain_decode(bytes, &arena, &fast)) {
        return false;
    }
    if (!gossip__part_decode_any(bytes, &arena, &any) || !same(&fast, &any)) {
        fail_msg("a part of kind %u is read in two ways", (unsigned)fast.kind);
    }
    return true;
}

static bool is_state_taken(struct mu_span bytes)
{
    struct gossip__sync_state fast;
    struct gossip__frame *any = mu_arena_new(&arena, sizeof *any);

    if (!gossip__plain_state_decode(bytes, &arena, &fast)) {
        return false;
    }
    if (!gossip__frame_decode_any(bytes, &arena, any) || any->kind != GOSSIP__FRAME_STATE ||
        !same_state(&fast, &any->state)) {
        fail_msg("a state is read in two ways");
    }
    return true;
}

/* The byte is another one, or it is the last: in memory of its own, so that the sanitizer sees a
 * read past the end. */
static bool is_taken_damaged(struct mu_span bytes, size_t at, struct mu_rand *r,
                             bool (*is_taken_so)(struct mu_span bytes))
{
    size_t left = mu_rand_below(r, 2) == 0 ? bytes.bytes : at + 1;
    uint8_t *exact = mu_new(left);

    memcpy(exact, bytes.data, left);
    exact[at] = (uint8_t)mu_rand_below(r, 256);
    bool took = is_taken_so(mu_span_of(exact, left));

    mu_free(exact);
    return took;
}

static int set_up(void **state)
{
    (void)state;
    mu_arena_init(&arena, 1 << 24);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mu_arena_deinit(&arena);
    return 0;
}

static void parts_are_written_and_read_as_by_protobuf(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 1);
    for (int i = 0; i < ROUNDS; i++) {
        struct gossip__part part = any_part(&r);
        struct gossip__part back;
        struct mu_span bytes = gossip__part_encode(&part, &arena);

        assert_written_so(&mu__gossip__part__descriptor, bytes);
        assert_true(gossip__part_decode_any(bytes, &arena, &back));
        assert_true(same(&part, &back));
        assert_true(is_taken(bytes));
        mu_arena_reset(&arena);
    }
}

/* One byte another one, one byte more, the end cut off: mostly not plain, and never taken for
 * something else. */
static void what_is_damaged_is_not_taken_for_something_else(void **state)
{
    struct mu_rand r;
    size_t taken = 0;

    (void)state;
    mu_rand_seed(&r, 2);
    for (int i = 0; i < ROUNDS; i++) {
        struct gossip__part part = any_part(&r);
        struct mu_span bytes = gossip__part_encode(&part, &arena);

        for (size_t at = 0; at < bytes.bytes; at++) {
            taken += is_taken_damaged(bytes, at, &r, is_taken);
        }
        mu_arena_reset(&arena);
    }
    assert_true(taken > ROUNDS); /* a digit of a number makes another number */
}

/* Good messages in forms that we do not write: they mean what they mean. */
static void other_forms_are_left_to_protobuf(void **state)
{
    static const struct {
        const char *why;
        struct mu_span bytes;
    } rows[] = {
        // clang-format off
        { "fields in another order",   MU_SPAN_LIT("\x3a\x08\x12\x01x\x1a\x01y\x08\x07") },
        { "a field twice",             MU_SPAN_LIT("\x3a\x0a\x08\x07\x08\x07\x12\x01x\x1a\x01y") },
        { "a field of later versions", MU_SPAN_LIT("\x3a\x0a\x08\x07\x12\x01x\x1a\x01y\x78\x01") },
        { "a message twice",           MU_SPAN_LIT("\x3a\x08\x08\x09\x12\x01x\x1a\x01z\x3a\x08\x08\x07\x12\x01x\x1a\x01y") },
        { "a name with a NUL",         MU_SPAN_LIT("\x3a\x0a\x08\x07\x12\x03x\0z\x1a\x01y") },
    }; // clang-format on
    const struct gossip__part dead = { .kind = GOSSIP__PART_DEAD, .dead = { "x", "y", 7 } };

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip__part back;

        if (gossip__plain_decode(rows[i].bytes, &arena, &back)) {
            fail_msg("%s: taken as plain", rows[i].why);
        }
        if (!gossip__part_decode(rows[i].bytes, &arena, &back) || !same(&back, &dead)) {
            fail_msg("%s: read as something else", rows[i].why);
        }
    }
}

static void the_gist_of_a_death_is_whose_it_is(void **state)
{
    static const struct {
        struct mu_span bytes;
        const char *why; /* all of it counts; NULL: only what is in front of who says so */
    } rows[] = {
        // clang-format off
        { MU_SPAN_LIT("\x3a\x08\x08\x07\x12\x01x\x1a\x01y"),         NULL },
        { MU_SPAN_LIT("\x3a\x0b\x08\x07\x12\x01x\x1a\x04yyyy"),      NULL },
        { MU_SPAN_LIT("\x3a\x08\x08\x07\x12\x01x\x1a\x01x"),         "it has left" },
        { MU_SPAN_LIT("\x2a\x08\x08\x07\x12\x01x\x1a\x01y"),         "a suspicion" },
        { MU_SPAN_LIT("\x3a\x06\x12\x01x\x1a\x01y"),                 "no incarnation" },
        { MU_SPAN_LIT("\x3a\x05\x08\x07\x12\x01x"),                 "by nobody" },
        { MU_SPAN_LIT("\x3a\x08\x12\x01x\x1a\x01y\x08\x07"),         "fields in another order" },
        { MU_SPAN_LIT("\x3a\x0a\x08\x07\x12\x01x\x1a\x01y\x78\x01"), "a field of later versions" },
        { MU_SPAN_LIT("\x3a\x08\x08\x09\x12\x01x\x1a\x01z\x3a\x08\x08\x07\x12\x01x\x1a\x01y"), "two" },
        { MU_SPAN_LIT("\x3a\x0a\x08\x07\x12\x03x\0z\x1a\x01x"),     "a name with a NUL" },
        { MU_SPAN_LIT("\x3a\x09\x08\x07\x12\x01x\x1a\x01y"),         "cut off" },
        { MU_SPAN_LIT(""),                                            "nothing" },
    }; // clang-format on
    const struct mu_span gist = MU_SPAN_LIT("\x08\x07\x12\x01x");

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_span whole = rows[i].bytes;

        if (!mu_span_eq(gossip__part_gist(whole), rows[i].why == NULL ? gist : whole)) {
            fail_msg("row %zu: %s", i, rows[i].why == NULL ? "all of it" : rows[i].why);
        }
    }
}

static void packets_are_written_and_read_as_by_protobuf(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 3);
    for (int i = 0; i < ROUNDS; i++) {
        struct mu_span parts[4];
        struct gossip__packet p = { .from = any_name(&r),
                                    .boot_id = any_number(&r),
                                    .counter = any_number(&r) >> 1,
                                    .incarnation = any_number(&r) & GOSSIP__INCARNATION_MAX,
                                    .parts = parts,
                                    .parts_count = mu_rand_below(&r, 5) };
        struct gossip__packet back, any;
        size_t bytes = gossip__packet_bytes(&p);

        for (size_t k = 0; k < p.parts_count; k++) {
            parts[k] = any_bytes(&r, 300);
            bytes += gossip__packet_part_bytes(parts[k].bytes);
        }
        struct mu_span encoded = gossip__packet_encode(&p, &arena);

        assert_int_equal(encoded.bytes, bytes);
        assert_written_so(&mu__gossip__packet__descriptor, encoded);
        assert_true(gossip__plain_packet(encoded, &arena, &back));
        assert_true(gossip__packet_decode_any(encoded, &arena, &any));
        assert_true(mu_span_eq(gossip__packet_encode(&back, &arena), encoded));
        assert_true(mu_span_eq(gossip__packet_encode(&any, &arena), encoded));
        assert_string_equal(any.from, p.from);
        assert_int_equal(any.boot_id, p.boot_id);
        assert_int_equal(any.counter, p.counter);
        assert_int_equal(any.incarnation, p.incarnation);
        mu_arena_reset(&arena);
    }
}

static void a_packet_in_another_form_is_left_to_protobuf(void **state)
{
    struct mu_span odd = MU_SPAN_LIT("\x18\x05\x0a\x01x\x22\x02hi"); /* the name in second place */
    struct gossip__packet p;

    (void)state;
    assert_false(gossip__plain_packet(odd, &arena, &p));
    assert_true(gossip__packet_decode(odd, &arena, &p));
    assert_string_equal(p.from, "x");
    assert_int_equal(p.counter, 5);
    assert_int_equal(p.parts_count, 1);
    assert_true(mu_span_eq_text(p.parts[0], "hi"));
}

static void states_are_written_and_read_as_by_protobuf(void **state)
{
    struct gossip__frame *any = mu_new(sizeof *any);
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 4);
    for (int i = 0; i < ROUNDS; i++) {
        struct gossip__sync_state s = any_state(&r);
        struct gossip__sync_state back;
        struct mu_span bytes = gossip__plain_state_encode(&s, &arena);

        assert_written_so(&mu__gossip__frame__descriptor, bytes);
        assert_true(gossip__plain_state_decode(bytes, &arena, &back));
        assert_true(same_state(&s, &back));
        assert_true(gossip__frame_decode_any(bytes, &arena, any));
        assert_int_equal(any->kind, GOSSIP__FRAME_STATE);
        assert_true(same_state(&s, &any->state));
        mu_arena_reset(&arena);
    }
    mu_free(any);
}

static void a_damaged_state_is_not_taken_for_something_else(void **state)
{
    struct mu_rand r;
    size_t taken = 0;

    (void)state;
    mu_rand_seed(&r, 5);
    for (int i = 0; i < ROUNDS / 10; i++) {
        struct gossip__sync_state s = any_state(&r);

        s.nodes_count = s.nodes_count > 4 ? 4 : s.nodes_count;
        struct mu_buf bytes = MU_BUF_NONE;

        mu_buf_add_span(&bytes, gossip__plain_state_encode(&s, &arena));
        for (size_t at = 0; at < bytes.bytes; at++) {
            taken += is_taken_damaged(mu_buf_span(&bytes), at, &r, is_state_taken);
            mu_arena_reset(&arena);
        }
        mu_buf_deinit(&bytes);
    }
    assert_true(taken > ROUNDS);
}

/* Good states in forms that we do not write, and one that we do. */
static void other_forms_of_states_are_left_to_protobuf(void **state)
{
#define ONE "\x12\x05\x0a\x01x\x10\x03" /* x at 3 */
    static const struct {
        const char *why;
        struct mu_span bytes;
        bool is_plain;
    } rows[] = {
        // clang-format off
        { "as we do",                MU_SPAN_LIT("\x1a\x0d\x12\x09\x08\x05" ONE "\x18\x01"), true },
        { "fields in another order", MU_SPAN_LIT("\x1a\x0d\x18\x01\x12\x09\x08\x05" ONE), false },
        { "the same, further in",    MU_SPAN_LIT("\x1a\x0d\x12\x09" ONE "\x08\x05\x18\x01"), false },
        { "a value before its name", MU_SPAN_LIT("\x1a\x0d\x12\x09\x08\x05\x12\x05\x10\x03\x0a\x01x\x18\x01"), false },
        { "a field twice",           MU_SPAN_LIT("\x1a\x0f\x12\x09\x08\x05" ONE "\x18\x01\x18\x01"), false },
        { "a part of it twice",      MU_SPAN_LIT("\x1a\x0f\x12\x00\x12\x09\x08\x05" ONE "\x18\x01"), false },
        { "all of it twice",         MU_SPAN_LIT("\x1a\x00\x1a\x0d\x12\x09\x08\x05" ONE "\x18\x01"), false },
        { "a field of later ones",   MU_SPAN_LIT("\x1a\x0f\x12\x09\x08\x05" ONE "\x18\x01\x78\x01"), false },
        { "one beside the state",    MU_SPAN_LIT("\x1a\x0d\x12\x09\x08\x05" ONE "\x18\x01\x98\x06\x01"), false },
        { "a name with a NUL",       MU_SPAN_LIT("\x1a\x0f\x12\x0b\x08\x05\x12\x07\x0a\x03x\0z\x10\x03\x18\x01"), false },
        { "another truth",           MU_SPAN_LIT("\x1a\x0d\x12\x09\x08\x05" ONE "\x18\x02"), false },
    }; // clang-format on
#undef ONE
    struct gossip__named_time x = { "x", 3 };
    const struct gossip__sync_state expected = {
        .ltime = 5, .times = &x, .times_count = 1, .more = true
    };
    struct gossip__frame *back = mu_new(sizeof *back);

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        if (is_state_taken(rows[i].bytes) != rows[i].is_plain) {
            fail_msg("%s: taken as plain, or not", rows[i].why);
        }
        if (!gossip__frame_decode(rows[i].bytes, &arena, back) ||
            back->kind != GOSSIP__FRAME_STATE || !same_state(&back->state, &expected)) {
            fail_msg("%s: read as something else", rows[i].why);
        }
    }
    mu_free(back);
}

/* As a later version may write it. */
static void a_packed_state_in_another_form_is_read_too(void **state)
{
    struct gossip__sync_state s = { .ltime = 5 };
    struct gossip__frame *back = mu_new(sizeof *back);
    struct mu_buf odd = MU_BUF_NONE;

    (void)state;
    s.nodes_count = 100;
    s.nodes = mu_arena_array(&arena, s.nodes_count, sizeof *s.nodes);
    for (size_t i = 0; i < s.nodes_count; i++) {
        s.nodes[i].node = bench_alive("much-alike", 9, (unsigned)i);
    }
    mu_buf_add_span(&odd, gossip__plain_state_encode(&s, &arena));
    mu_buf_add(&odd, "\x98\x06\x01", 3);
    struct mu_span packed = gossip__frame_pack(mu_buf_span(&odd), &arena);

    assert_true(packed.bytes < odd.bytes);
    assert_false(is_state_taken(mu_buf_span(&odd)));
    assert_true(gossip__frame_decode(packed, &arena, back));
    assert_int_equal(back->kind, GOSSIP__FRAME_STATE);
    assert_true(same_state(&back->state, &s));
    mu_buf_deinit(&odd);
    mu_free(back);
}

/* Of each kind so many, and not one more. */
static void records_of_a_state_are_bounded(void **state)
{
    static const char *kinds[] = { "nodes", "times", "left", "pruned", "events" };
    struct gossip__frame *back = mu_new(sizeof *back);

    (void)state;
    for (size_t k = 0; k < MU_LEN(kinds); k++) {
        for (size_t more = 0; more < 2; more++) {
            struct gossip__sync_state s = { .ltime = 1 };
            size_t count = GOSSIP__FRAME_RECORDS_MAX + more;

            s.nodes = mu_arena_array(&arena, count, sizeof *s.nodes);
            s.times = s.left = mu_arena_array(&arena, count, sizeof *s.times);
            s.pruned = mu_arena_array(&arena, count, sizeof *s.pruned);
            s.events = mu_arena_array(&arena, count, sizeof *s.events);
            for (size_t i = 0; i < count; i++) {
                s.nodes[i].node = bench_alive("n", 1, 1);
                s.times[i].node = s.pruned[i].node = s.events[i].name = "n";
            }
            *(size_t *[]){ &s.nodes_count, &s.times_count, &s.left_count, &s.pruned_count,
                           &s.events_count }[k] = count;
            struct mu_span bytes = gossip__plain_state_encode(&s, &arena);

            if (is_state_taken(bytes) != (more == 0) ||
                gossip__frame_decode(bytes, &arena, back) != (more == 0)) {
                fail_msg("%zu %s: taken, or not", count, kinds[k]);
            }
            mu_arena_reset(&arena);
        }
    }
    mu_free(back);
}

/* What breaks a rule is refused whichever way it is read. */
static void rules_of_states(void **state)
{
    struct gossip__alive good = bench_alive("n", 1, 1);
    struct gossip__node_state nodes[] = {
        { good, (enum gossip__state)4, 1, GOSSIP__SILENT },
        { good, GOSSIP__SUSPECT, 1, (enum gossip__evidence)3 },
        { good, GOSSIP__ALIVE, 1, GOSSIP__SILENT },
    };
    struct gossip__named_time nobody = { "", 1 };
    struct gossip__tombstone_record pruned[] = { { "", 1, 1, 1 }, { "n", 1ULL << 62, 1, 1 } };
    static const uint8_t much[MU_GOSSIP_PACKET_MAX + 1];
    struct gossip__user_event events[] = { { 1, "a\nb", MU_SPAN_NONE, false },
                                           { 1, "e", { much, sizeof much }, false } };
    const struct {
        const char *why;
        struct gossip__sync_state s;
    } rows[] = {
        // clang-format off
        { "state 4",            { .nodes = &nodes[0], .nodes_count = 1 } },
        { "evidence 3",         { .nodes = &nodes[1], .nodes_count = 1 } },
        { "a member nowhere",   { .nodes = &nodes[2], .nodes_count = 1 } },
        { "time of nobody",     { .times = &nobody, .times_count = 1 } },
        { "nobody left",        { .left = &nobody, .left_count = 1 } },
        { "nobody pruned",      { .pruned = &pruned[0], .pruned_count = 1 } },
        { "2^62 pruned",        { .pruned = &pruned[1], .pruned_count = 1 } },
        { "a control byte",     { .events = &events[0], .events_count = 1 } },
        { "a large payload",    { .events = &events[1], .events_count = 1 } },
    }; // clang-format on
    struct gossip__frame *back = mu_new(sizeof *back);

    (void)state;
    nodes[2].node.at = MU_ADDR_NONE;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_span bytes = gossip__plain_state_encode(&rows[i].s, &arena);
        bool is_refused = !is_state_taken(bytes) && !gossip__frame_decode(bytes, &arena, back);

        if (!is_refused) {
            fail_msg("%s: was accepted", rows[i].why);
        }
    }
    mu_free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts_are_written_and_read_as_by_protobuf, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_not_taken_for_something_else, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_forms_are_left_to_protobuf, set_up, tear_down),
        cmocka_unit_test(the_gist_of_a_death_is_whose_it_is),
        cmocka_unit_test_setup_teardown(packets_are_written_and_read_as_by_protobuf, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_packet_in_another_form_is_left_to_protobuf, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(states_are_written_and_read_as_by_protobuf, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_state_is_not_taken_for_something_else, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_forms_of_states_are_left_to_protobuf, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_packed_state_in_another_form_is_read_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(records_of_a_state_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_of_states, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
