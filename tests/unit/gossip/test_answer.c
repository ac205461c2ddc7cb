/* Answers by stream: who may have them, how many at a time, and what becomes of them (13.7). */
#include "fixture.h"

#include "base/crc.h"
#include "base/rand.h"
#include "base/wire.h"

#define LARGE 20000

static uint8_t filling[70000]; /* by chance: it does not shrink on the way */

static void ask(struct bench *b, uint32_t id, uint32_t flags)
{
    struct gossip__part part = { .kind = GOSSIP__PART_QUERY };

    part.query = (struct gossip__query){ .ltime = 3,
                                         .id = id,
                                         .origin = bench_addr(100),
                                         .origin_node = "teller",
                                         .flags = flags,
                                         .timeout_ms = 20000,
                                         .name = "load" };
    bench_packet(b, "teller", 100, part);
}

static enum mu_code respond(struct bench *b, uint32_t id, size_t bytes, struct mu_err *err)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_RESPOND };
    enum mu_code rc = gossip_respond_check(b->g, 3, id, mu_span_of(filling, bytes), err);

    ev.respond.ltime = 3;
    ev.respond.id = id;
    ev.respond.payload = mu_span_of(filling, bytes);
    bench_feed(b, ev);
    return rc;
}

/* How many streams the next tick opens. */
static size_t opened(struct bench *b)
{
    size_t count = 0;

    bench_feed(b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    for (size_t i = 0; i < b->fx.streams_count; i++) {
        count += b->fx.streams[i].verb == GOSSIP_STREAM_OPEN;
    }
    return count;
}

static void stream_data(struct bench *b, uint32_t id, struct mu_span data)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_DATA };

    ev.stream.id = id;
    ev.stream.data = data;
    bench_feed(b, ev);
}

static void head(struct bench *b, uint32_t id)
{
    uint8_t bytes[GOSSIP__HEADER_BYTES];

    gossip__header_write(b->g, GOSSIP__FLAG_STREAM, MU_SPAN_NONE, bytes);
    stream_data(b, id, mu_span_of(bytes, sizeof bytes));
}

static void frame(struct bench *b, uint32_t id, struct gossip__frame f)
{
    struct mu_arena arena;
    struct mu_buf bytes = MU_BUF_NONE;
    uint8_t front[8];
    struct mu_wr w = mu_wr_of(front, sizeof front);

    mu_arena_init(&arena, 0);
    struct mu_span payload = gossip__frame_encode(&f, &arena);

    mu_wr_u32be(&w, (uint32_t)payload.bytes);
    mu_wr_u32be(&w, mu_crc32c(0, payload.data, payload.bytes));
    mu_buf_add_span(&bytes, mu_wr_done(&w));
    mu_buf_add_span(&bytes, payload);
    stream_data(b, id, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
    mu_arena_deinit(&arena);
}

static void connected(struct bench *b, uint32_t id)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_OPENED };

    ev.stream.id = id;
    bench_feed(b, ev);
    assert_int_equal(b->fx.streams_count, 3); /* header, hello, answer */
    assert_true(b->fx.streams[2].data.bytes > LARGE);
}

static void only_a_member_that_takes_it_gets_one(void **unused)
{
    static const struct {
        uint32_t flags;
        bool is_member;
        size_t bytes;
        const char *error; /* NULL: it goes */
    } rows[] = {
        { 0, true, LARGE, "response exceeds limit of 1024 bytes" },
        { GOSSIP__QUERY_LARGE, false, LARGE, "response exceeds limit of 1024 bytes" },
        { GOSSIP__QUERY_LARGE, true, 65500, "response exceeds limit of 65472 bytes" },
        { GOSSIP__QUERY_LARGE, true, 65400, NULL },
    };

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct bench b;

        bench_open(&b);
        if (rows[i].is_member) {
            bench_say_alive(&b, "teller", 100, 50);
        }
        ask(&b, 7, rows[i].flags);
        assert_int_equal(b.fx.queries[0].answer_bytes_max,
                         rows[i].flags != 0 && rows[i].is_member ? 65472 : 1024);
        assert_int_equal(respond(&b, 7, rows[i].bytes, &err),
                         rows[i].error == NULL ? MU_OK : MU_TOO_BIG);
        assert_string_equal(err.text, rows[i].error == NULL ? "" : rows[i].error);
        assert_int_equal(opened(&b), rows[i].error == NULL);
        bench_close(&b);
    }
}

static void what_who_answers_has_set_counts(void **unused)
{
    static const struct {
        unsigned limit;
        uint32_t flags;
        size_t bytes;
        const char *error; /* NULL: it goes */
    } rows[] = {
        { 0, GOSSIP__QUERY_OWN, 2000, "response exceeds limit of 1024 bytes" },
        { 500, GOSSIP__QUERY_OWN, 800, "response exceeds limit of 500 bytes" },
        { 4096, 0, 2000, "response exceeds limit of 1024 bytes" },
        { 4096, GOSSIP__QUERY_OWN, 4096, "response exceeds limit of 4096 bytes" },
        { 4096, GOSSIP__QUERY_OWN, 4000, NULL },
        { 4096, GOSSIP__QUERY_LARGE, 4096, "response exceeds limit of 4096 bytes" },
    };

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct bench b = { .now_ms = START_MS };
        struct gossip_options options = bench_options(&b);

        options.response_size_limit = rows[i].limit;
        bench_open_with(&b, &options);
        bench_say_alive(&b, "teller", 100, 50);
        ask(&b, 7, rows[i].flags);
        assert_int_equal(respond(&b, 7, rows[i].bytes, &err),
                         rows[i].error == NULL ? MU_OK : MU_TOO_BIG);
        assert_string_equal(err.text, rows[i].error == NULL ? "" : rows[i].error);
        assert_int_equal(opened(&b), rows[i].error == NULL);
        bench_close(&b);
    }
}

static void who_is_busy_gets_it_later(void **unused)
{
    struct gossip__frame busy = { .kind = GOSSIP__FRAME_REJECT };
    struct gossip__frame done = { .kind = GOSSIP__FRAME_DONE };
    struct mu_err err = MU_ERR_NONE;
    struct bench b;

    (void)unused;
    busy.reject = (struct gossip__reject){ .code = GOSSIP__REJECT_BUSY, .text = "busy" };
    bench_open(&b);
    bench_say_alive(&b, "teller", 100, 50);
    ask(&b, 7, GOSSIP__QUERY_LARGE);
    assert_int_equal(respond(&b, 7, LARGE, &err), MU_OK);
    assert_int_equal(opened(&b), 1);
    uint32_t first = b.g->stream_id;

    connected(&b, first);
    head(&b, first);
    frame(&b, first, busy);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_LARGE_AGAIN], 1);
    assert_int_equal(b.g->queries.large_streams, 0);
    assert_int_equal(b.g->queries.large_count, 1);
    while (b.g->queries.large_streams == 0) {
        b.now_ms = b.fx.wake_at_ms;
        bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    }
    uint32_t second = b.g->stream_id;

    assert_int_not_equal(second, first);
    connected(&b, second);
    head(&b, second);
    frame(&b, second, done);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_LARGE_SENT], 1);
    assert_int_equal(b.g->queries.large_count, 0);
    bench_run(&b, 20000);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_LARGE_LOST], 0);
    assert_int_equal(b.g->queries.open_count, 0);
    bench_close(&b);
}

static void they_are_bounded(void **unused)
{
    struct mu_err err = MU_ERR_NONE;
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_say_alive(&b, "teller", 100, 50);
    for (uint32_t i = 0; i < 64; i++) {
        ask(&b, i, GOSSIP__QUERY_LARGE);
    }
    for (uint32_t i = 0; i < 63; i++) {
        assert_int_equal(respond(&b, i, LARGE, &err), MU_OK);
    }
    assert_int_equal(opened(&b), 16);
    assert_int_equal(b.g->queries.large_streams, 16);
    assert_int_equal(respond(&b, 63, 500, &err), MU_OK); /* a datagram waits for nobody */
    assert_int_equal(b.g->queries.large_count, 63);
    b.now_ms++;
    struct gossip__part part = { .kind = GOSSIP__PART_QUERY };

    for (uint32_t i = 0; i < 2; i++) {
        part.query = (struct gossip__query){ .ltime = 4,
                                             .id = i,
                                             .origin = bench_addr(100),
                                             .origin_node = "teller",
                                             .flags = GOSSIP__QUERY_LARGE,
                                             .timeout_ms = 20000,
                                             .name = "load" };
        bench_packet(&b, "teller", 100, part);
        struct gossip_event ev = { .kind = GOSSIP_EV_RESPOND };

        ev.respond.ltime = 4;
        ev.respond.id = i;
        ev.respond.payload = mu_span_of(filling, LARGE);
        assert_int_equal(gossip_respond_check(b.g, 4, i, ev.respond.payload, &err),
                         i == 0 ? MU_OK : MU_BUSY);
        bench_feed(&b, ev);
    }
    assert_string_equal(err.text, "64 large responses are under way, no more are taken");
    bench_run(&b, 21000); /* nobody ever connects */
    assert_int_equal(b.g->counters[GOSSIP_COUNT_LARGE_LOST], 64);
    assert_int_equal(b.g->queries.open_count, 0);
    bench_close(&b);
}

/* A stream with one answer, from `name`, said to be from `from`. The verb that ends it. */
static enum gossip_stream_verb answer_in(struct bench *b, uint32_t stream, const char *name,
                                         const char *from, uint64_t ltime, uint32_t id)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };
    struct gossip__frame hello = { .kind = GOSSIP__FRAME_HELLO };
    struct gossip__frame part = { .kind = GOSSIP__FRAME_PART };
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    ev.stream.id = stream;
    ev.stream.from = bench_addr(100);
    bench_feed(b, ev);
    head(b, stream);
    hello.hello = (struct gossip__hello){ .kind = GOSSIP__HELLO_DELIVER, .from = name };
    frame(b, stream, hello);
    part.part.kind = GOSSIP__PART_RESPONSE;
    part.part.response = (struct gossip__response){
        .ltime = ltime, .id = id, .from = from, .payload = mu_span_of(filling, LARGE)
    };
    (void)gossip__part_encode(&part.part, &arena);
    frame(b, stream, part);
    mu_arena_deinit(&arena);
    return b->fx.streams[b->fx.streams_count - 1].verb;
}

static void the_asker_takes_what_it_asked_for_once(void **unused)
{
    struct gossip_query_params params = { .name = "load" };
    struct gossip_event ev = { .kind = GOSSIP_EV_QUERY };
    struct bench b;

    (void)unused;
    for (uint32_t way = 0; way < 3; way++) {
        uint32_t takes = way > 0;

        bench_open(&b);
        bench_say_alive(&b, "teller", 100, 50);
        params.takes_large = way == 1;
        params.takes_own = way == 2;
        ev.query.id = 5;
        ev.query.params = &params;
        bench_feed(&b, ev);
        uint32_t id = MU_CONTAINER(b.g->queries.asked.next, struct gossip__asked, link)->id;
        uint64_t ltime = MU_CONTAINER(b.g->queries.asked.next, struct gossip__asked, link)->ltime;

        assert_int_equal(answer_in(&b, 2, "teller", "other", ltime, id), GOSSIP_STREAM_DROP);
        assert_int_equal(b.fx.replies_count, 0);
        assert_int_equal(answer_in(&b, 4, "teller", "teller", ltime, id), GOSSIP_STREAM_END);
        assert_int_equal(b.fx.replies_count, takes);
        assert_int_equal(b.g->counters[GOSSIP_COUNT_PARTS_MALFORMED], 2 - takes);
        if (takes == 1) {
            assert_int_equal(b.fx.replies[0].payload.bytes, LARGE);
            assert_int_equal(answer_in(&b, 6, "teller", "teller", ltime, id), GOSSIP_STREAM_END);
            assert_int_equal(b.fx.replies_count, 0); /* and confirmed all the same */
            assert_int_equal(b.g->counters[GOSSIP_COUNT_RESPONSES_TWICE], 1);
            assert_int_equal(answer_in(&b, 8, "teller", "teller", ltime, ~id), GOSSIP_STREAM_END);
            assert_int_equal(b.g->counters[GOSSIP_COUNT_REPLIES_LATE], 1);
        }
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_member_that_takes_it_gets_one),
        cmocka_unit_test(what_who_answers_has_set_counts),
        cmocka_unit_test(who_is_busy_gets_it_later),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(the_asker_takes_what_it_asked_for_once),
    };
    struct mu_rand r;

    mu_rand_seed(&r, 1);
    for (size_t i = 0; i < sizeof filling; i++) {
        filling[i] = (uint8_t)mu_rand_below(&r, 256);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
