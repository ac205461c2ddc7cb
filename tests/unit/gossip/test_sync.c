/* Streams and what is exchanged on them: two cores, their bytes carried by hand (9). */
#include "fixture.h"

#include "base/crc.h"
#include "base/wire.h"

/* Two cores and at most one connection between them. */
struct pair {
    struct bench a, b;
    struct mu_buf to_a, to_b;
    uint32_t a_id, b_id;
    bool a_ended, b_ended;
    char why[512]; /* of a's join */
    int contacted; /* -1: no answer */
};

static void pair_open_with(struct pair *p, const struct gossip_options *b_options)
{
    memset(p, 0, sizeof *p);
    p->contacted = -1;
    bench_open(&p->a);
    p->b.now_ms = START_MS;
    bench_open_with(&p->b, b_options);
}

static void pair_open(struct pair *p)
{
    struct gossip_options options = bench_options(&p->b);

    options.name = "them";
    options.node_id = bench_id(201);
    options.boot_id = 8;
    options.advertise = bench_addr(201);
    options.seed = 2;
    pair_open_with(p, &options);
}

static void pair_close(struct pair *p)
{
    bench_close(&p->a);
    bench_close(&p->b);
    mu_buf_deinit(&p->to_a);
    mu_buf_deinit(&p->to_b);
}

/* Take the stream effects of the last step of one side; only the first connection counts. */
static void collect(struct pair *p, struct bench *from)
{
    bool is_a = from == &p->a;

    for (size_t i = 0; i < from->fx.streams_count; i++) {
        const struct gossip_stream_op *op = &from->fx.streams[i];

        if (op->verb == GOSSIP_STREAM_OPEN) {
            if (is_a && p->a_id == 0) {
                p->a_id = op->id;
            }
        } else if (op->id != (is_a ? p->a_id : p->b_id)) {
            continue;
        } else if (op->verb == GOSSIP_STREAM_WRITE) {
            mu_buf_add_span(is_a ? &p->to_b : &p->to_a, op->data);
        } else {
            *(is_a ? &p->a_ended : &p->b_ended) = true;
        }
    }
    for (size_t i = 0; is_a && i < from->fx.dones_count; i++) {
        p->contacted = (int)from->fx.dones[i].contacted;
        (void)snprintf(p->why, sizeof p->why, "%s", from->fx.dones[i].why);
    }
}

static void stream_event(struct pair *p, struct bench *to, struct gossip_event ev)
{
    ev.stream.id = to == &p->a ? p->a_id : p->b_id;
    bench_feed(to, ev);
    collect(p, to);
}

static void carry(struct pair *p, struct bench *to, size_t step)
{
    struct mu_buf *bytes = to == &p->a ? &p->to_a : &p->to_b;
    bool *ended = to == &p->a ? &p->a_ended : &p->b_ended;

    while (bytes->bytes > 0 && !*ended) {
        struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_DATA };
        size_t now = step < bytes->bytes ? step : bytes->bytes;
        uint8_t *copy = mu_new(now);

        memcpy(copy, bytes->data, now);
        mu_buf_drop(bytes, now);
        ev.stream.data = mu_span_of(copy, now);
        stream_event(p, to, ev);
        mu_free(copy);
    }
}

/* Until nothing moves any more; bytes go in pieces of `step`. */
static void settle(struct pair *p, size_t step)
{
    stream_event(p, &p->a, (struct gossip_event){ .kind = GOSSIP_EV_STREAM_OPENED });
    p->b_id = 2;
    struct gossip_event accepted = { .kind = GOSSIP_EV_STREAM_ACCEPTED };

    accepted.stream.from = bench_addr(200);
    stream_event(p, &p->b, accepted);
    for (unsigned i = 0; i < 20; i++) {
        carry(p, &p->b, step);
        carry(p, &p->a, step);
        bench_feed(&p->a, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        collect(p, &p->a);
        bench_feed(&p->b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        collect(p, &p->b);
    }
}

static void join(struct pair *p)
{
    struct gossip_target target = { .given = "them", .addr = bench_addr(201) };
    struct gossip_event ev = { .kind = GOSSIP_EV_JOIN };

    ev.join.id = 1;
    ev.join.targets = &target;
    ev.join.targets_count = 1;
    bench_feed(&p->a, ev);
    collect(p, &p->a);
}

/* -- joins --------------------------------------------------------------------------------------
 */

static void a_join_exchanges_everything(void **unused)
{
    static const size_t steps[] = { 1, 7, 1000, 1 << 20 };

    (void)unused;
    for (size_t i = 0; i < MU_LEN(steps); i++) {
        struct pair p;

        pair_open(&p);
        bench_member(&p.b, "x", 1, GOSSIP__ALIVE);
        bench_member(&p.b, "y", 2, GOSSIP__SUSPECT);
        bench_member(&p.b, "z", 3, GOSSIP__DEAD);
        join(&p);
        settle(&p, steps[i]);
        assert_int_equal(p.contacted, 1);
        assert_string_equal(p.why, "");
        assert_int_equal(gossip__member_find(p.a.g, "them")->state, GOSSIP__ALIVE);
        assert_int_equal(gossip__member_find(p.b.g, "us")->state, GOSSIP__ALIVE);
        assert_int_equal(gossip__member_find(p.a.g, "x")->state, GOSSIP__ALIVE);
        assert_null(gossip__member_find(p.a.g, "y")); /* a suspicion about a stranger */
        assert_null(gossip__member_find(p.a.g, "z")); /* nobody needs to learn of the dead */
        pair_close(&p);
    }
}

static void what_a_suspicion_rests_on_comes_along(void **unused)
{
    static const enum gossip__evidence all[] = { GOSSIP__SILENT, GOSSIP__REFUSED, GOSSIP__STALLED };

    (void)unused;
    for (size_t i = 0; i < MU_LEN(all); i++) {
        struct pair p;

        pair_open(&p);
        bench_member(&p.a, "x", 1, GOSSIP__ALIVE); /* to be told */
        bench_member(&p.b, "x", 1, GOSSIP__ALIVE);
        bench_say_suspect(&p.b, "x", 10, "judge", all[i]);
        bench_member(&p.a, "y", 2, GOSSIP__ALIVE); /* known already: nothing is added */
        bench_member(&p.b, "y", 2, GOSSIP__ALIVE);
        bench_say_suspect(&p.a, "y", 10, "judge", all[i]);
        bench_say_suspect(&p.b, "y", 10, "judge", all[i]);
        join(&p);
        settle(&p, 1 << 20);
        const struct gossip__member *x = gossip__member_find(p.a.g, "x");
        const struct gossip__member *y = gossip__member_find(p.a.g, "y");

        assert_int_equal(x->state, GOSSIP__SUSPECT);
        assert_int_equal(x->dealings->suspicion->evidence, all[i]);
        assert_int_equal(y->dealings->suspicion->evidence, all[i]);
        pair_close(&p);
    }
}

static void more_members_than_a_chunk(void **unused)
{
    struct pair p;

    (void)unused;
    pair_open(&p);
    for (unsigned i = 0; i < 700; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "m%u", i);
        bench_say_alive(&p.b, name, 1000 + i, 10);
    }
    join(&p);
    settle(&p, 1 << 20);
    assert_int_equal(p.contacted, 1);
    assert_int_equal(p.a.g->members.count, 702);
    assert_int_equal(gossip_sample(p.a.g, GOSSIP_SAMPLE_SYNC)->count, 1);
    assert_int_equal(gossip_sample(p.b.g, GOSSIP_SAMPLE_SYNC)->count, 0); /* it was asked */
    pair_close(&p);
}

/* Who knew somebody before may be the only way by which he learns of it. */
static void a_newcomer_repeats_nothing_old(void **unused)
{
    static const struct {
        bool knew_somebody, is_told_on;
    } rows[] = { { false, false }, { true, true } };

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct pair p;

        pair_open(&p);
        bench_say_alive(&p.b, "old", 1, 10);
        p.b.now_ms += p.b.g->profile.push_pull_ms;
        p.a.now_ms = p.b.now_ms;
        bench_say_alive(&p.b, "young", 2, 10);
        if (rows[r].knew_somebody) {
            bench_say_alive(&p.a, "friend", 3, 10);
        }
        join(&p);
        settle(&p, 1 << 20);
        assert_int_equal(p.contacted, 1);
        assert_int_equal(gossip__member_find(p.a.g, "old")->state, GOSSIP__ALIVE);
        assert_int_equal(gossip__dealings(gossip__member_find(p.a.g, "old"))->rumor != NULL,
                         rows[r].is_told_on);
        assert_non_null(gossip__dealings(gossip__member_find(p.a.g, "young"))->rumor);
        pair_close(&p);
    }
}

static const char *refuse_us(void *data, const struct gossip_view *member)
{
    (void)data;
    return strcmp(member->name, "us") == 0 ? "Member 'us' part of wrong datacenter 'dc2'" : NULL;
}

static void why_a_join_was_refused(void **unused)
{
    static const struct {
        const char *why;
        const char *name;
        unsigned id, host;
        bool refuses;
        const char *pool;
        const char *text; /* a part of what the joiner is told */
    } rows[] = {
        // clang-format off
        { "the predicate",       "them", 201, 201, true,  "test/lan", "part of wrong datacenter 'dc2'" },
        { "our name, elsewhere", "us",   201, 201, false, "test/lan", "name 'us' is in use, held by 'us' at 10.0.0.201:7946" },
        { "our id",              "them", 200, 201, false, "test/lan", "conflicting node ID" },
        { "another cluster",     "them", 201, 201, false, "dc9/lan",  "another cluster" },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct pair p;
        struct gossip_options options;

        memset(&p, 0, sizeof p);
        options = bench_options(&p.b);
        options.name = rows[r].name;
        options.node_id = bench_id(rows[r].id);
        options.boot_id = 8;
        options.advertise = bench_addr(rows[r].host);
        options.pool = rows[r].pool;
        options.refuse = rows[r].refuses ? refuse_us : NULL;
        pair_open_with(&p, &options);
        join(&p);
        settle(&p, 1 << 20);
        if (p.contacted != 0 || strstr(p.why, rows[r].text) == NULL) {
            fail_msg("%s: contacted %d, '%s'", rows[r].why, p.contacted, p.why);
        }
        assert_int_equal(p.a.g->members.count, 1); /* nothing was applied */
        pair_close(&p);
    }
}

static void who_advertises_loopback_to_another_machine_is_not_let_in(void **unused)
{
    struct gossip_options options;
    struct pair p;

    (void)unused;
    pair_open(&p);
    bench_close(&p.a);
    options = bench_options(&p.a);
    options.advertise = (struct mu_addr){ .ip = { 127, 0, 0, 1 }, .ip_bytes = 4, .port = 7946 };
    bench_open_with(&p.a, &options);
    join(&p);
    settle(&p, 1 << 20);
    assert_int_equal(p.contacted, 0);
    assert_non_null(strstr(p.why, "advertised address 127.0.0.1:7946 means nothing"));
    assert_int_equal(p.b.g->counters[GOSSIP_COUNT_ADDRESS_REFUSED], 1);
    assert_int_equal(p.b.g->members.count, 1);
    pair_close(&p);
}

static void versions_must_meet(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct pair p;

    (void)unused;
    pair_open(&p);
    part.alive = bench_alive("modern", 1, 10);
    memcpy(part.alive.versions, (uint8_t[]){ 3, 4, 4, 1, 1, 1 }, 6);
    bench_packet(&p.b, "teller", 100, part);
    join(&p);
    settle(&p, 1 << 20);
    assert_int_equal(p.contacted, 0);
    assert_non_null(strstr(p.why, "core protocol version"));
    assert_non_null(strstr(p.why, "is incompatible: [3, 1]"));
    pair_close(&p);
}

static void how_a_stream_ends_is_told(void **unused)
{
    static const struct {
        const char *why;
        bool opened;
        enum gossip_end end;
        const char *text, *told;
    } rows[] = {
        // clang-format off
        { "refused", false, GOSSIP_END_REFUSED, "connect: connection refused",
          "1 error occurred:\n\t* Failed to join 10.0.0.201: dial tcp 10.0.0.201:7946: connect: connection refused\n\n" },
        { "reset",   true,  GOSSIP_END_RESET,   "connection reset by peer",
          "1 error occurred:\n\t* Failed to join 10.0.0.201: read tcp 10.0.0.201:7946: connection reset by peer\n\n" },
        { "closed",  true,  GOSSIP_END_EOF,     "EOF",
          "1 error occurred:\n\t* Failed to join 10.0.0.201: EOF\n\n" },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_CLOSED };
        struct pair p;

        pair_open(&p);
        join(&p);
        if (rows[r].opened) {
            stream_event(&p, &p.a, (struct gossip_event){ .kind = GOSSIP_EV_STREAM_OPENED });
        }
        ev.stream.end = rows[r].end;
        ev.stream.text = rows[r].text;
        stream_event(&p, &p.a, ev);
        if (p.contacted != 0 || strcmp(p.why, rows[r].told) != 0) {
            fail_msg("%s: '%s'", rows[r].why, p.why);
        }
        pair_close(&p);
    }
}

static void a_silent_peer_is_given_up(void **unused)
{
    struct pair p;

    (void)unused;
    pair_open(&p);
    join(&p);
    p.a.now_ms += p.a.g->profile.stream_ms;
    bench_feed(&p.a, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    collect(&p, &p.a);
    assert_int_equal(p.contacted, 0);
    assert_non_null(strstr(p.why, "dial tcp 10.0.0.201:7946: i/o timeout"));
    assert_true(p.a_ended);
    pair_close(&p);
}

/* -- what comes in from strangers ---------------------------------------------------------------
 */

static void too_many_are_told_to_come_later(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (uint32_t i = 1; i <= MU_GOSSIP_INBOUND_MAX + 1; i++) {
        struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };

        ev.stream.id = 2 * i;
        ev.stream.from = bench_addr(1);
        bench_feed(&b, ev);
        assert_int_equal(b.fx.streams_count, i <= MU_GOSSIP_INBOUND_MAX ? 0 : 3);
    }
    assert_int_equal(b.g->counters[GOSSIP_COUNT_STREAMS_BUSY], 1);
    assert_int_equal(b.fx.streams[2].verb, GOSSIP_STREAM_END);
    bench_close(&b);
}

static void accept_one(struct bench *b, uint32_t id)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };

    ev.stream.id = id;
    ev.stream.from = bench_addr(1);
    bench_feed(b, ev);
}

static void who_holds_connections_without_a_word_gives_way(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (uint32_t i = 1; i <= MU_GOSSIP_INBOUND_MAX; i++) {
        accept_one(&b, 2 * i);
    }
    b.now_ms += 250;
    accept_one(&b, 5000);
    assert_null(gossip__stream_find(b.g, 2)); /* the oldest */
    assert_int_equal(gossip__stream_find(b.g, 5000)->role, GOSSIP__ROLE_HELLO);
    assert_int_equal(b.g->inbound_count, MU_GOSSIP_INBOUND_MAX);
    bench_close(&b);
}

/* Turned away with a header of ours, as strangers are, they need not hang up. */
static void who_is_over_and_does_not_hang_up_gives_way(void **unused)
{
    uint8_t head[GOSSIP__HEADER_BYTES];
    size_t held = 0;
    struct bench b;

    (void)unused;
    bench_open(&b);
    gossip__header_write(b.g, GOSSIP__FLAG_STREAM, MU_SPAN_NONE, head);
    head[4] ^= 0x40; /* of another cluster */
    for (uint32_t i = 1; i <= 1000; i++) {
        struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_DATA };

        accept_one(&b, 2 * i);
        ev.stream.id = 2 * i;
        ev.stream.data = mu_span_of(head, sizeof head);
        bench_feed(&b, ev);
    }
    MU_LIST_EACH (link, &b.g->streams) {
        (void)link;
        held++;
    }
    assert_in_range(held, 100, 200);
    accept_one(&b, 5000);
    assert_int_equal(gossip__stream_find(b.g, 5000)->role, GOSSIP__ROLE_HELLO);
    bench_close(&b);
}

static void every_truncation_and_flip_of_a_join_is_survived(void **unused)
{
    struct mu_buf whole = MU_BUF_NONE;
    struct pair p;

    (void)unused;
    pair_open(&p);
    join(&p);
    stream_event(&p, &p.a, (struct gossip_event){ .kind = GOSSIP_EV_STREAM_OPENED });
    mu_buf_add_span(&whole, mu_buf_span(&p.to_b));
    for (size_t i = 0; i < whole.bytes; i++) {
        struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };
        size_t before = p.b.g->members.count;

        ev.stream.id = (uint32_t)(4 + 2 * i);
        ev.stream.from = bench_addr(1);
        bench_feed(&p.b, ev);
        ev.kind = GOSSIP_EV_STREAM_DATA;
        whole.data[i] ^= 0x40;
        ev.stream.data = mu_buf_span(&whole);
        bench_feed(&p.b, ev);
        whole.data[i] ^= 0x40;
        bench_feed(&p.b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        assert_int_equal(p.b.g->members.count, before); /* checksums everywhere */
        ev.kind = GOSSIP_EV_STREAM_CLOSED;
        ev.stream.end = GOSSIP_END_EOF;
        ev.stream.text = "EOF";
        bench_feed(&p.b, ev);
    }
    mu_buf_deinit(&whole);
    pair_close(&p);
}

static void a_frame_that_claims_too_much_ends_the_stream(void **unused)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };
    uint8_t bytes[GOSSIP__HEADER_BYTES + 8] = { 0 };
    struct bench b;

    (void)unused;
    bench_open(&b);
    gossip__header_write(b.g, 8, MU_SPAN_NONE, bytes);
    bytes[GOSSIP__HEADER_BYTES + 1] = 0x01; /* 64 KiB */
    bytes[GOSSIP__HEADER_BYTES + 3] = 0x01; /* and one */
    ev.stream.id = 2;
    ev.stream.from = bench_addr(1);
    bench_feed(&b, ev);
    ev.kind = GOSSIP_EV_STREAM_DATA;
    ev.stream.data = mu_span_of(bytes, sizeof bytes);
    bench_feed(&b, ev);
    assert_int_equal(b.fx.streams[0].verb, GOSSIP_STREAM_DROP);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MALFORMED], 1);
    bench_close(&b);
}

/* -- periodic -----------------------------------------------------------------------------------
 */

static void the_interval_is_stretched_with_the_members(void **unused)
{
    static const struct {
        size_t n;
        uint64_t seconds;
    } rows[] = { { 3, 30 },     { 32, 30 },    { 33, 60 },    { 64, 60 },
                 { 65, 90 },    { 128, 90 },   { 256, 120 },  { 512, 150 },
                 { 1024, 180 }, { 5000, 270 }, { 10000, 300 } };

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        assert_int_equal(gossip__sync_interval(&gossip_profile_lan, rows[r].n),
                         rows[r].seconds * 1000);
    }
}

/* Members of which we hear in one moment, beside us. */
static void hear_of(struct bench *b, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "m%u", i);
        bench_say_alive(b, name, i, 10);
    }
}

static void the_young_compare_soon_after_news(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    hear_of(&b, 1, 20);
    assert_in_range(b.g->sync_at_ms, b.now_ms + 200, b.now_ms + 400);
    bench_run(&b, 150);
    hear_of(&b, 21, 1); /* later, as long as there is more */
    assert_in_range(b.g->sync_at_ms, b.now_ms + 200, b.now_ms + 400);
    for (unsigned i = 0; i < 30; i++) {
        bench_run(&b, 100);
        hear_of(&b, 30 + i, 1);
    }
    assert_true(b.g->counters[GOSSIP_COUNT_SYNCS] > 0); /* but not for ever */
    bench_run(&b, 400);
    assert_int_equal(b.g->sync_wait_ms, 800); /* then twice as late each time */
    bench_run(&b, 400);
    assert_int_equal(b.g->sync_wait_ms, 1600);
    bench_close(&b);
}

static void the_settled_and_the_few_wait_for_their_time(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    hear_of(&b, 1, 8); /* each rumor goes to all */
    uint64_t at_ms = b.g->sync_at_ms;

    assert_int_equal(b.g->news_ms, 0);
    b.now_ms += b.g->profile.push_pull_ms;
    hear_of(&b, 10, 10);
    assert_int_equal(b.g->sync_at_ms, at_ms);
    bench_close(&b);
}

static void the_settled_compare_when_very_many_come(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    hear_of(&b, 1, 8);
    uint64_t at_ms = b.g->sync_at_ms;

    b.now_ms += b.g->profile.push_pull_ms;
    hear_of(&b, 10, 10);
    b.now_ms += 2000; /* these are too far from the others to be one crowd */
    hear_of(&b, 20, 10);
    assert_int_equal(b.g->sync_at_ms, at_ms);
    hear_of(&b, 30, 6);
    assert_true(b.g->sync_at_ms < b.now_ms + 1000);
    bench_close(&b);
}

static void equal_states_have_equal_digests(void **unused)
{
    struct gossip__digest *x = mu_new(sizeof *x);
    struct gossip__digest *y = mu_new(sizeof *y);
    struct pair p;

    (void)unused;
    pair_open(&p);
    join(&p);
    settle(&p, 1 << 20);
    bench_say_alive(&p.a, "x", 1, 10);
    bench_say_alive(&p.a, "y", 2, 10);
    bench_say_alive(&p.b, "y", 2, 10); /* another order */
    bench_say_alive(&p.b, "x", 1, 10);
    p.a.g->self->status_ltime = gossip__member_find(p.b.g, "us")->status_ltime;
    gossip__sync_digest(p.a.g, x);
    gossip__sync_digest(p.b.g, y);
    assert_memory_equal(x, y, sizeof *x);
    bench_say_alive(&p.a, "x", 1, 11);
    gossip__sync_digest(p.a.g, x);
    unsigned differ = 0;

    for (size_t i = 0; i < GOSSIP__BUCKETS; i++) {
        differ += x->buckets[i] != y->buckets[i];
    }
    assert_int_equal(differ, 1);
    mu_free(x);
    mu_free(y);
    pair_close(&p);
}

static void differences_are_exchanged_and_equals_end_early(void **unused)
{
    struct mu_addr to = bench_addr(201);
    struct pair p;

    (void)unused;
    pair_open(&p);
    join(&p);
    settle(&p, 1 << 20);
    bench_say_alive(&p.b, "only-there", 1, 10);
    bench_say_alive(&p.a, "only-here", 2, 10);
    for (unsigned round = 0; round < 2; round++) {
        p.a_id = p.a.g->stream_id + 2; /* the one that comes next */
        p.a_ended = p.b_ended = false;
        mu_buf_clear(&p.to_a);
        mu_buf_clear(&p.to_b);
        struct gossip_event closed = { .kind = GOSSIP_EV_STREAM_CLOSED };

        closed.stream.id = 2;
        closed.stream.text = "EOF";
        bench_feed(&p.b, closed); /* so that its number is free again */
        gossip__sync_start(p.a.g, &to, 0);
        settle(&p, 1 << 20);
        assert_non_null(gossip__member_find(p.a.g, "only-there"));
        assert_non_null(gossip__member_find(p.b.g, "only-here"));
    }
    assert_int_equal(p.a.g->counters[GOSSIP_COUNT_SYNCS_EQUAL], 1);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_exchanges_everything),
        cmocka_unit_test(a_newcomer_repeats_nothing_old),
        cmocka_unit_test(what_a_suspicion_rests_on_comes_along),
        cmocka_unit_test(more_members_than_a_chunk),
        cmocka_unit_test(why_a_join_was_refused),
        cmocka_unit_test(who_advertises_loopback_to_another_machine_is_not_let_in),
        cmocka_unit_test(versions_must_meet),
        cmocka_unit_test(how_a_stream_ends_is_told),
        cmocka_unit_test(a_silent_peer_is_given_up),
        cmocka_unit_test(too_many_are_told_to_come_later),
        cmocka_unit_test(who_holds_connections_without_a_word_gives_way),
        cmocka_unit_test(who_is_over_and_does_not_hang_up_gives_way),
        cmocka_unit_test(every_truncation_and_flip_of_a_join_is_survived),
        cmocka_unit_test(a_frame_that_claims_too_much_ends_the_stream),
        cmocka_unit_test(the_interval_is_stretched_with_the_members),
        cmocka_unit_test(the_young_compare_soon_after_news),
        cmocka_unit_test(the_settled_and_the_few_wait_for_their_time),
        cmocka_unit_test(the_settled_compare_when_very_many_come),
        cmocka_unit_test(equal_states_have_equal_digests),
        cmocka_unit_test(differences_are_exchanged_and_equals_end_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
