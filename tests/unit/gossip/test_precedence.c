/* The tables of spec/gossip.md section 4, row by row. Every member is held at incarnation 10. */
#include "fixture.h"

enum say { SAY_ALIVE, SAY_SUSPECT, SAY_DEAD, SAY_LEFT };

static void say(struct bench *b, enum say what, const char *node, unsigned host, uint64_t i)
{
    switch (what) {
    case SAY_ALIVE: bench_say_alive(b, node, host, i); break;
    case SAY_SUSPECT: bench_say_suspect(b, node, i, "other", GOSSIP__SILENT); break;
    case SAY_DEAD: bench_say_dead(b, node, i, "other"); break;
    case SAY_LEFT: bench_say_dead(b, node, i, node); break;
    }
}

static const char *state_text(enum gossip__state state)
{
    static const char *const text[] = { "alive", "suspect", "dead", "left" };

    return text[state];
}

static void about_another(void **unused)
{
    static const struct {
        const char *why;
        enum gossip__state held;
        enum say what;
        uint64_t i;
        enum gossip__state then;
        uint64_t stored;
        const char *notices;
        bool is_passed_on, is_accused;
    } rows[] = {
        // clang-format off
        /* 4.1 alive */
        { "alive, same number: nothing new",      GOSSIP__ALIVE,   SAY_ALIVE,   10, GOSSIP__ALIVE,   10, "",         false, false },
        { "alive, lower",                         GOSSIP__ALIVE,   SAY_ALIVE,    9, GOSSIP__ALIVE,   10, "",         false, false },
        { "alive, higher, nothing else changed",  GOSSIP__ALIVE,   SAY_ALIVE,   11, GOSSIP__ALIVE,   11, "",         true,  false },
        { "suspect: a suspicion at it wins",      GOSSIP__SUSPECT, SAY_ALIVE,   10, GOSSIP__SUSPECT, 10, "",         false, true  },
        { "suspect, refuted: users saw nothing",  GOSSIP__SUSPECT, SAY_ALIVE,   11, GOSSIP__ALIVE,   11, "",         true,  false },
        { "dead, stale alive: told of it",        GOSSIP__DEAD,    SAY_ALIVE,   10, GOSSIP__DEAD,    10, "",         false, true  },
        { "dead, came back",                      GOSSIP__DEAD,    SAY_ALIVE,   11, GOSSIP__ALIVE,   11, "joined x", true,  false },
        { "left, stale alive",                    GOSSIP__GONE,    SAY_ALIVE,   10, GOSSIP__GONE,    10, "",         false, true  },
        { "left, came back",                      GOSSIP__GONE,    SAY_ALIVE,   11, GOSSIP__ALIVE,   11, "joined x", true,  false },
        /* 4.2 suspect */
        { "alive, accused at less",               GOSSIP__ALIVE,   SAY_SUSPECT,  9, GOSSIP__ALIVE,   10, "",         false, false },
        { "alive, accused",                       GOSSIP__ALIVE,   SAY_SUSPECT, 10, GOSSIP__SUSPECT, 10, "",         true,  false },
        { "alive, accused at more: raised",       GOSSIP__ALIVE,   SAY_SUSPECT, 12, GOSSIP__SUSPECT, 12, "",         true,  false },
        { "suspect, at more: accused anew",       GOSSIP__SUSPECT, SAY_SUSPECT, 12, GOSSIP__SUSPECT, 12, "",         true,  false },
        { "dead: no way back to suspect",         GOSSIP__DEAD,    SAY_SUSPECT, 10, GOSSIP__DEAD,    10, "",         false, false },
        { "dead, at more: raised all the same",   GOSSIP__DEAD,    SAY_SUSPECT, 15, GOSSIP__DEAD,    15, "",         false, false },
        { "left, at more: raised",                GOSSIP__GONE,    SAY_SUSPECT, 15, GOSSIP__GONE,    15, "",         false, false },
        /* 4.3 dead and left */
        { "alive, dead at less",                  GOSSIP__ALIVE,   SAY_DEAD,     9, GOSSIP__ALIVE,   10, "",         false, false },
        { "alive, declared dead: given notice",   GOSSIP__ALIVE,   SAY_DEAD,    10, GOSSIP__SUSPECT, 10, "",         true,  false },
        { "just suspected, declared dead",        GOSSIP__SUSPECT, SAY_DEAD,    10, GOSSIP__SUSPECT, 10, "",         true,  false },
        { "dead, again, higher: raised",          GOSSIP__DEAD,    SAY_DEAD,    14, GOSSIP__DEAD,    14, "",         false, false },
        { "left, declared dead: still left",      GOSSIP__GONE,    SAY_DEAD,    14, GOSSIP__GONE,    14, "",         false, false },
        { "alive, says that it left",             GOSSIP__ALIVE,   SAY_LEFT,    10, GOSSIP__GONE,    10, "left x",   true,  false },
        { "alive, left at less: an older life",   GOSSIP__ALIVE,   SAY_LEFT,     9, GOSSIP__ALIVE,   10, "",         false, false },
        { "suspect, says that it left",           GOSSIP__SUSPECT, SAY_LEFT,    10, GOSSIP__GONE,    10, "left x",   true,  false },
        { "dead, says that it had left: upgrade", GOSSIP__DEAD,    SAY_LEFT,    10, GOSSIP__GONE,    10, "left x",   true,  false },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct mu_arena arena;
        struct bench b;
        struct gossip__part part;

        mu_arena_init(&arena, 1 << 20);
        bench_open(&b);
        bench_member(&b, "bystander", 2, GOSSIP__ALIVE); /* somebody to pass it on to */
        bench_member(&b, "x", 1, rows[r].held);
        bench_run(&b, 450); /* the queue runs dry, no suspicion ends */
        struct gossip__member *x = gossip__member_find(b.g, "x");

        gossip__rumor_forget(b.g, x);
        say(&b, rows[r].what, "x", 1, rows[r].i);
        bool accused = bench_sent(&b, GOSSIP__PART_SUSPECT, &arena, &part) +
                           bench_sent(&b, GOSSIP__PART_DEAD, &arena, &part) >
                       0;

        if (x->state != rows[r].then || x->incarnation != rows[r].stored ||
            strcmp(bench_notices(&b), rows[r].notices) != 0 ||
            (gossip__dealings(x)->rumor != NULL) != rows[r].is_passed_on ||
            accused != rows[r].is_accused) {
            fail_msg("%s: gave %s at %llu, notices '%s', passed on %d, accused %d", rows[r].why,
                     state_text(x->state), (unsigned long long)x->incarnation, bench_notices(&b),
                     gossip__dealings(x)->rumor != NULL, accused);
        }
        bench_close(&b);
        mu_arena_deinit(&arena);
    }
}

static void who_only_began_anew_is_the_same_to_users(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    part.alive = bench_alive("x", 1, 11);
    part.alive.boot_id = 77;
    bench_packet(&b, "x", 1, part);
    assert_int_equal(gossip__member_find(b.g, "x")->card->boot_id, 77);
    assert_string_equal(bench_notices(&b), "");
    part.alive.incarnation = 12;
    part.alive.meta = MU_SPAN_LIT("\1k\0\1v");
    bench_packet(&b, "x", 1, part);
    assert_string_equal(bench_notices(&b), "updated x");
    bench_close(&b);
}

static void about_somebody_unknown(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_say_suspect(&b, "x", 5, "other", GOSSIP__SILENT);
    bench_say_dead(&b, "x", 5, "other");
    bench_say_dead(&b, "x", 5, "x");
    assert_null(gossip__member_find(b.g, "x"));
    bench_say_alive(&b, "x", 1, 5);
    assert_string_equal(bench_notices(&b), "joined x");
    bench_close(&b);
}

static void about_ourselves(void **unused)
{
    static const struct {
        const char *why;
        enum say what;
        unsigned host;
        uint64_t i;
        uint64_t own; /* then */
        const char *notices;
    } rows[] = {
        // clang-format off
        { "accused at less: long refuted",      SAY_SUSPECT, 200, OWN - 1,  OWN,      "" },
        { "accused",                            SAY_SUSPECT, 200, OWN,      OWN + 1,  "refuted us" },
        { "accused ahead of us: past that",     SAY_SUSPECT, 200, OWN + 50, OWN + 51, "refuted us" },
        { "declared dead at less",              SAY_DEAD,    200, OWN - 1,  OWN,      "" },
        { "declared dead",                      SAY_DEAD,    200, OWN,      OWN + 1,  "refuted us" },
        { "said to have left",                  SAY_LEFT,    200, OWN,      OWN + 1,  "refuted us" },
        { "our alive of before",                SAY_ALIVE,   200, OWN - 1,  OWN,      "" },
        { "an earlier life with other tags",    SAY_ALIVE,   200, OWN,      OWN + 1,  "" },
        { "somebody ahead of us",               SAY_ALIVE,   200, OWN + 9,  OWN + 10, "" },
        { "our name elsewhere, another id",     SAY_ALIVE,   33,  OWN + 9,  OWN,      "" },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct bench b;

        bench_open(&b);
        say(&b, rows[r].what, "us", rows[r].host, rows[r].i);
        if (b.g->self->incarnation != rows[r].own || b.fx.incarnation != rows[r].own ||
            strcmp(bench_notices(&b), rows[r].notices) != 0) {
            fail_msg("%s: gave %llu, notices '%s'", rows[r].why,
                     (unsigned long long)b.g->self->incarnation, bench_notices(&b));
        }
        bench_close(&b);
    }
}

static void a_refutation_goes_to_the_accuser_at_once(void **unused)
{
    struct mu_arena arena;
    struct gossip__part part;
    struct bench b;

    (void)unused;
    mu_arena_init(&arena, 1 << 20);
    bench_open(&b);
    bench_say_suspect(&b, "us", OWN, "other", GOSSIP__SILENT);
    assert_int_equal(bench_sent(&b, GOSSIP__PART_ALIVE, &arena, &part), 1);
    assert_int_equal(part.alive.incarnation, OWN + 1);
    assert_non_null(
        strstr(mu_buf_text(&b.log), "memberlist: Refuting a suspect message (from: other)"));
    assert_int_equal(b.g->health, 1);

    /* One that missed it and still accuses hears it again, but costs nothing more. */
    bench_member(&b, "late", 1, GOSSIP__ALIVE);
    part = (struct gossip__part){ .kind = GOSSIP__PART_SUSPECT };
    part.suspect = (struct gossip__suspect){ .node = "us", .from = "late", .incarnation = OWN };
    bench_packet(&b, "late", 1, part);
    assert_true(bench_sent(&b, GOSSIP__PART_ALIVE, &arena, &part) >= 1);
    assert_int_equal(b.g->self->incarnation, OWN + 1);
    bench_close(&b);
    mu_arena_deinit(&arena);
}

static void what_nobody_may_say(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct bench b;

    (void)unused;
    bench_open(&b);
    static const struct {
        const char *why;
        uint8_t versions[6];
        uint64_t incarnation;
        struct mu_addr at;
        enum gossip_counter counter;
    } rows[] = {
        // clang-format off
        { "version 0",          { 0, 1, 1, 1, 1, 1 }, 5, { { 10, 0, 0, 9 }, 4, 1 },   GOSSIP_COUNTERS_COUNT },
        { "maximum 0",          { 1, 0, 1, 1, 1, 1 }, 5, { { 10, 0, 0, 9 }, 4, 1 },   GOSSIP_COUNTERS_COUNT },
        { "minimum above",      { 3, 2, 2, 1, 1, 1 }, 5, { { 10, 0, 0, 9 }, 4, 1 },   GOSSIP_COUNTERS_COUNT },
        { "incarnation 0",      { 1, 1, 1, 1, 1, 1 }, 0, { { 10, 0, 0, 9 }, 4, 1 },   GOSSIP_COUNT_INCARNATION_REFUSED },
        { "unspecified",        { 1, 1, 1, 1, 1, 1 }, 5, { { 0 }, 4, 1 },             GOSSIP_COUNT_ADDRESS_REFUSED },
        { "multicast",          { 1, 1, 1, 1, 1, 1 }, 5, { { 224, 0, 0, 1 }, 4, 1 },  GOSSIP_COUNT_ADDRESS_REFUSED },
        { "loopback from afar", { 1, 1, 1, 1, 1, 1 }, 5, { { 127, 0, 0, 1 }, 4, 1 },  GOSSIP_COUNT_ADDRESS_REFUSED },
    }; // clang-format on

    for (size_t r = 0; r < MU_LEN(rows); r++) {
        uint64_t before =
            rows[r].counter < GOSSIP_COUNTERS_COUNT ? b.g->counters[rows[r].counter] : 0;

        part.alive = bench_alive("x", 1, rows[r].incarnation);
        memcpy(part.alive.versions, rows[r].versions, sizeof part.alive.versions);
        part.alive.at = rows[r].at;
        bench_packet(&b, "teller", 100, part);
        if (gossip__member_find(b.g, "x") != NULL) {
            fail_msg("%s: was accepted", rows[r].why);
        }
        if (rows[r].counter < GOSSIP_COUNTERS_COUNT &&
            b.g->counters[rows[r].counter] != before + 1) {
            fail_msg("%s: was not counted", rows[r].why);
        }
    }
    bench_close(&b);
}

static void an_incarnation_that_jumps_is_poison(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_alive(&b, "x", 1, 10 + (1ULL << 52) + 1);
    bench_say_suspect(&b, "x", 10 + (1ULL << 52) + 1, "other", GOSSIP__SILENT);
    bench_say_dead(&b, "x", 1ULL << 60, "other");
    assert_int_equal(x->incarnation, 10);
    assert_int_equal(x->state, GOSSIP__ALIVE);
    bench_say_dead(&b, "us", OWN + (1ULL << 53), "other");
    assert_int_equal(b.g->self->incarnation, OWN);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_INCARNATION_REFUSED], 4);
    bench_say_alive(&b, "x", 1, 10 + (1ULL << 52));
    assert_int_equal(x->incarnation, 10 + (1ULL << 52));
    bench_close(&b);
}

static void a_name_moves_only_from_where_nobody_answers(void **unused)
{
    static const struct {
        const char *why;
        enum gossip__state held;
        uint64_t wait_ms;
        unsigned id; /* of the claim; 1 is the holder's */
        uint64_t i;
        bool moves;
    } rows[] = {
        // clang-format off
        { "left: free at once",                          GOSSIP__GONE,  0,     9, 11, true },
        { "dead for longer than reclaim time",           GOSSIP__DEAD,  30001, 9, 11, true },
        { "dead, but not for long, and another node: asked first", GOSSIP__DEAD, 100, 9, 11, false },
        { "dead, and it is the same node",               GOSSIP__DEAD,  100,   1, 11, true },
        { "left, but the number is not above",           GOSSIP__GONE,  0,     9, 10, false },
        { "alive, another node",                         GOSSIP__ALIVE, 0,     9, 11, false },
        { "alive, the same node: asked first",           GOSSIP__ALIVE, 0,     1, 11, false },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
        struct mu_addr to = bench_addr(9);
        struct bench b;

        bench_open(&b);
        bench_member(&b, "x", 1, rows[r].held);
        b.now_ms += rows[r].wait_ms;
        part.alive = bench_alive("x", 9, rows[r].i);
        part.alive.node_id = bench_id(rows[r].id);
        bench_packet(&b, "x", 9, part);
        struct gossip__member *x = gossip__member_find(b.g, "x");

        if (mu_addr_eq(&x->card->addr, &to) != rows[r].moves || x->incarnation < 10) {
            fail_msg("%s: at %llu, moved %d", rows[r].why, (unsigned long long)x->incarnation,
                     mu_addr_eq(&x->card->addr, &to));
        }
        bench_close(&b);
    }
}

static void a_moved_node_is_accepted_when_its_old_place_is_silent(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct mu_addr to = bench_addr(9);
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    part.alive = bench_alive("x", 9, 11);
    part.alive.node_id = bench_id(1);
    bench_packet(&b, "x", 9, part);
    assert_int_equal(b.g->inquiries_count, 1);
    b.now_ms += b.g->profile.probe_timeout_ms;
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_true(mu_addr_eq(&gossip__member_find(b.g, "x")->card->addr, &to));
    assert_string_equal(bench_notices(&b), "updated x");
    bench_close(&b);
}

static void a_rebuilt_node_takes_its_name_back_when_nobody_holds_it(void **unused)
{
    static const struct {
        const char *why;
        enum gossip__state held;
        uint32_t reclaim_ms;
        bool answers, moves;
    } rows[] = {
        // clang-format off
        { "dead and silent",                      GOSSIP__DEAD,    30000, false, true },
        { "declared dead, but it answers",        GOSSIP__DEAD,    30000, true,  false },
        { "suspect: not declared yet",            GOSSIP__SUSPECT, 30000, false, false },
        { "names are not given away",             GOSSIP__DEAD,    0,     false, false },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
        struct mu_addr to = bench_addr(9);
        struct mu_arena arena;
        struct bench b;

        mu_arena_init(&arena, 1 << 20);
        bench_open(&b);
        b.g->profile.reclaim_ms = rows[r].reclaim_ms;
        bench_member(&b, "x", 1, rows[r].held);
        part.alive = bench_alive("x", 9, 11);
        part.alive.node_id = bench_id(9); /* its disk is new */
        bench_packet(&b, "x", 9, part);
        if (rows[r].answers) {
            assert_true(bench_sent(&b, GOSSIP__PART_PING, &arena, &part) >= 1);
            part =
                (struct gossip__part){ .kind = GOSSIP__PART_ACK, .ack = { .seq = part.ping.seq } };
            bench_packet(&b, "x", 1, part);
        }
        b.now_ms += b.g->profile.probe_timeout_ms;
        bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        if (mu_addr_eq(&gossip__member_find(b.g, "x")->card->addr, &to) != rows[r].moves) {
            fail_msg("%s: moved %d", rows[r].why, !rows[r].moves);
        }
        bench_close(&b);
        mu_arena_deinit(&arena);
    }
}

static void who_is_held_gone_is_told_so_wherever_it_speaks_from(void **unused)
{
    static const struct {
        const char *why;
        enum gossip__state held;
        unsigned host; /* from where; it is held at 1 */
        bool is_told;
    } rows[] = {
        // clang-format off
        { "alive",                                  GOSSIP__ALIVE,   1, false },
        { "suspect, and refuted it unheard",        GOSSIP__SUSPECT, 1, true },
        { "suspect; that may be somebody else",     GOSSIP__SUSPECT, 9, false },
        { "dead, and came back unheard",            GOSSIP__DEAD,    1, true },
        { "dead; its name has a new holder",        GOSSIP__DEAD,    9, true },
        { "left; its name has a new holder",        GOSSIP__GONE,    9, true },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__part part = { .kind = GOSSIP__PART_ACK };
        struct mu_arena arena;
        struct bench b;

        mu_arena_init(&arena, 1 << 20);
        bench_open(&b);
        bench_member(&b, "x", 1, rows[r].held);
        bench_packet(&b, "x", rows[r].host, part); /* an incarnation above the one held */
        bool is_told = bench_sent(&b, GOSSIP__PART_SUSPECT, &arena, &part) +
                           bench_sent(&b, GOSSIP__PART_DEAD, &arena, &part) >
                       0;

        if (is_told != rows[r].is_told) {
            fail_msg("%s: told %d", rows[r].why, is_told);
        }
        bench_close(&b);
        mu_arena_deinit(&arena);
    }
}

static void a_claim_outlives_the_card_beside_which_it_was_made(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct mu_addr to = bench_addr(9);
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    part.alive = bench_alive("x", 9, 13);
    part.alive.node_id = bench_id(1);
    bench_packet(&b, "x", 9, part);
    part.alive = bench_alive("x", 1, 12); /* the holder, with something new to say */
    part.alive.boot_id = 77;
    bench_packet(&b, "teller", 100, part);
    assert_int_equal(gossip__member_find(b.g, "x")->card->boot_id, 77);
    b.now_ms += b.g->profile.probe_timeout_ms;
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_true(mu_addr_eq(&gossip__member_find(b.g, "x")->card->addr, &to));
    assert_int_equal(gossip__member_find(b.g, "x")->incarnation, 13);
    bench_close(&b);
}

static void assert_told_on(struct bench *b, struct gossip__alive alive)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    const struct gossip__member *m = gossip__member_find(b->g, alive.node);
    const struct gossip__rumor *rumor = gossip__dealings(m)->rumor;

    part.alive = alive;
    assert_non_null(rumor);
    assert_true(
        mu_span_eq(mu_span_of(rumor->data, rumor->bytes), gossip__part_encode(&part, &b->g->step)));
}

/* Records of exchanges: somebody new, and one that moved, of whom more is known a moment later. */
static void what_came_in_no_part_is_told_on_as_one(void **unused)
{
    const struct gossip__source src = { .addr = bench_addr(100), .is_stream = true };
    struct gossip__alive alive = bench_alive("y", 2, 10);
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    gossip__on_alive(b.g, &alive, MU_SPAN_NONE, &src);
    assert_told_on(&b, alive);
    alive = bench_alive("x", 9, 11);
    alive.node_id = bench_id(1);
    alive.meta = MU_SPAN_LIT("\x01k\x00\x01v");
    gossip__on_alive(b.g, &alive, MU_SPAN_NONE, &src);
    assert_int_equal(b.g->inquiries_count, 1);
    b.now_ms += b.g->profile.probe_timeout_ms;
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_told_on(&b, alive);
    bench_close(&b);
}

static void a_copy_is_turned_away_while_the_holder_answers(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct mu_addr at = bench_addr(1);
    struct mu_arena arena;
    struct bench b;

    (void)unused;
    mu_arena_init(&arena, 1 << 20);
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    part.alive = bench_alive("x", 9, 11);
    part.alive.node_id = bench_id(1);
    bench_packet(&b, "x", 9, part);
    assert_true(bench_sent(&b, GOSSIP__PART_PING, &arena, &part) >= 1);
    part = (struct gossip__part){ .kind = GOSSIP__PART_ACK, .ack = { .seq = part.ping.seq } };
    bench_packet(&b, "x", 1, part);
    assert_int_equal(bench_sent(&b, GOSSIP__PART_ERROR, &arena, &part), 1);
    assert_int_equal(part.error.code, GOSSIP__ERROR_CONFLICT);
    assert_string_equal(part.error.held.node, "x");
    assert_true(mu_addr_eq(&gossip__member_find(b.g, "x")->card->addr, &at));
    bench_close(&b);
    mu_arena_deinit(&arena);
}

static void an_id_belongs_to_one_living_member(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    part.alive = bench_alive("y", 2, 5);
    part.alive.node_id = bench_id(1);
    bench_packet(&b, "y", 2, part);
    assert_null(gossip__member_find(b.g, "y"));
    assert_non_null(strstr(mu_buf_text(&b.log), "Member 'y' has conflicting node ID"));
    assert_non_null(strstr(mu_buf_text(&b.log), "with member 'x'"));

    part.alive.node_id = b.g->self->card->node_id;
    b.now_ms += 10001; /* refusals are logged once in a while */
    bench_packet(&b, "y", 2, part);
    assert_null(gossip__member_find(b.g, "y"));
    assert_non_null(strstr(mu_buf_text(&b.log), "with this agent's ID"));

    bench_bury(&b, "x", 10, "judge"); /* renamed: the old name is gone */
    part.alive.node_id = bench_id(1);
    bench_packet(&b, "y", 2, part);
    assert_non_null(gossip__member_find(b.g, "y"));
    bench_close(&b);
}

static const char *refuse_all(void *data, const struct gossip_view *member)
{
    (void)member;
    (*(unsigned *)data)++;
    return "no";
}

static void the_predicate_is_asked_for_every_alive(void **unused)
{
    struct gossip_options options;
    unsigned asked = 0;
    struct bench b;

    (void)unused;
    memset(&b, 0, sizeof b);
    options = bench_options(&b);
    options.refuse = refuse_all;
    options.refuse_data = &asked;
    bench_open_with(&b, &options);
    bench_say_alive(&b, "x", 1, 5);
    bench_say_alive(&b, "us", 200, OWN); /* not about ourselves */
    assert_int_equal(asked, 1);
    assert_null(gossip__member_find(b.g, "x"));
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MEMBER_REFUSED], 1);
    bench_close(&b);
}

static void who_lives_in_no_allowed_network_is_passed_over(void **unused)
{
    struct mu_net nets[2];
    struct gossip_options options;
    struct bench b;

    (void)unused;
    assert_true(mu_net_parse(mu_span_text("fd00::/8"), &nets[0]));
    assert_true(mu_net_parse(mu_span_text("10.0.0.0/30"), &nets[1])); /* not where we live, 200 */
    memset(&b, 0, sizeof b);
    options = bench_options(&b);
    options.networks = nets;
    options.networks_count = MU_LEN(nets);
    bench_open_with(&b, &options);
    bench_say_alive(&b, "x", 4, 5);
    assert_null(gossip__member_find(b.g, "x"));
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MEMBER_REFUSED], 1);
    assert_non_null(strstr(mu_buf_text(&b.log),
                           "ignoring alive message for 'x': its address 10.0.0.4 is in none of the "
                           "networks that may take part"));
    bench_say_alive(&b, "y", 3, 5);
    assert_non_null(gossip__member_find(b.g, "y"));
    bench_close(&b);
}

static void accusing_back_is_limited(void **unused)
{
    struct mu_arena arena;
    struct gossip__part part;
    struct bench b;

    (void)unused;
    mu_arena_init(&arena, 1 << 20);
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__GONE);
    bench_say_alive(&b, "x", 1, 10);
    assert_int_equal(bench_sent(&b, GOSSIP__PART_DEAD, &arena, &part), 1);
    assert_string_equal(part.dead.from, "x"); /* what we hold: it left */
    bench_say_alive(&b, "x", 1, 9);
    assert_int_equal(bench_sent(&b, GOSSIP__PART_DEAD, &arena, &part), 0);
    b.now_ms += b.g->profile.probe_ms;
    bench_say_alive(&b, "x", 1, 10);
    assert_int_equal(bench_sent(&b, GOSSIP__PART_DEAD, &arena, &part), 1);
    bench_close(&b);
    mu_arena_deinit(&arena);
}

/* What was suspected for long enough is believed dead at once; what was not has a probe interval to
 * deny it, however often it is declared. */
static void who_is_declared_dead_unsuspected_has_an_interval_to_deny_it(void **unused)
{
    struct bench b;

    (void)unused;
    for (int denies = 0; denies <= 1; denies++) {
        bench_open(&b);
        bench_member(&b, "x", 1, GOSSIP__ALIVE);
        struct gossip__member *x = gossip__member_find(b.g, "x");

        bench_say_dead(&b, "x", 10, "a");
        uint64_t until_ms = x->dealings->suspicion->since_ms + b.g->profile.probe_ms;

        bench_run(&b, until_ms - b.now_ms - 1);
        bench_say_dead(&b, "x", 10, "b");
        assert_int_equal(x->state, GOSSIP__SUSPECT);
        if (denies) {
            bench_say_alive(&b, "x", 1, 11);
        }
        bench_run(&b, 1);
        assert_int_equal(x->state, denies ? GOSSIP__ALIVE : GOSSIP__DEAD);
        assert_string_equal(bench_notices(&b), denies ? "" : "failed x");
        bench_close(&b);
    }
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__SUSPECT);
    b.now_ms += b.g->profile.probe_ms;
    bench_say_dead(&b, "x", 10, "a");
    assert_string_equal(bench_notices(&b), "failed x");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(about_another),
        cmocka_unit_test(who_only_began_anew_is_the_same_to_users),
        cmocka_unit_test(about_somebody_unknown),
        cmocka_unit_test(about_ourselves),
        cmocka_unit_test(a_refutation_goes_to_the_accuser_at_once),
        cmocka_unit_test(what_nobody_may_say),
        cmocka_unit_test(an_incarnation_that_jumps_is_poison),
        cmocka_unit_test(a_name_moves_only_from_where_nobody_answers),
        cmocka_unit_test(a_moved_node_is_accepted_when_its_old_place_is_silent),
        cmocka_unit_test(a_rebuilt_node_takes_its_name_back_when_nobody_holds_it),
        cmocka_unit_test(who_is_held_gone_is_told_so_wherever_it_speaks_from),
        cmocka_unit_test(a_claim_outlives_the_card_beside_which_it_was_made),
        cmocka_unit_test(what_came_in_no_part_is_told_on_as_one),
        cmocka_unit_test(a_copy_is_turned_away_while_the_holder_answers),
        cmocka_unit_test(an_id_belongs_to_one_living_member),
        cmocka_unit_test(the_predicate_is_asked_for_every_alive),
        cmocka_unit_test(who_lives_in_no_allowed_network_is_passed_over),
        cmocka_unit_test(accusing_back_is_limited),
        cmocka_unit_test(who_is_declared_dead_unsuspected_has_an_interval_to_deny_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
