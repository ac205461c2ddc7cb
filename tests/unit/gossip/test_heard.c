/* Repeats of what was just taken are known by their bytes, as long as they would change nothing. */
#include "fixture.h"

static struct gossip__part word(enum gossip__part_kind kind, uint64_t incarnation, const char *from)
{
    struct gossip__part part = { .kind = kind };

    if (kind == GOSSIP__PART_ALIVE) {
        part.alive = bench_alive("m", 1, incarnation);
    } else if (kind == GOSSIP__PART_SUSPECT) {
        part.suspect =
            (struct gossip__suspect){ .node = "m", .from = from, .incarnation = incarnation };
    } else if (kind == GOSSIP__PART_DEAD) {
        part.dead = (struct gossip__dead){ .node = "m", .from = from, .incarnation = incarnation };
    } else {
        part.intent = (struct gossip__intent){ .node = "m", .ltime = incarnation };
    }
    return part;
}

static bool is_heard(const struct bench *b, struct gossip__part part)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    bool heard = gossip__heard(b->g, gossip__heard_hash(gossip__part_encode(&part, &arena)));

    mu_arena_deinit(&arena);
    return heard;
}

static void what_was_taken_need_not_be_read_again(void **unused)
{
    const struct gossip__part words[] = {
        word(GOSSIP__PART_ALIVE, 10, ""),      word(GOSSIP__PART_JOIN, 5, ""),
        word(GOSSIP__PART_SUSPECT, 10, "x"),   word(GOSSIP__PART_ALIVE, 11, ""),
        word(GOSSIP__PART_SUSPECT, 11, "x"),   word(GOSSIP__PART_DEAD, 11, "y"),
        word(GOSSIP__PART_ALIVE, 1000000, ""), word(GOSSIP__PART_LEAVE, 7, ""),
        word(GOSSIP__PART_DEAD, 1000000, "m"),
    };
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (size_t i = 0; i < MU_LEN(words); i++) {
        assert_false(is_heard(&b, words[i]));
        bench_packet(&b, "teller", 100, words[i]);
        assert_true(is_heard(&b, words[i]));
        bench_packet(&b, "teller", 100, words[i]);
        assert_int_equal(b.fx.notices_count, 0);
    }
    bench_close(&b);
}

/* It would change something, or be answered: 3, item 4. */
static void a_word_is_read_again_when_its_subject_has_changed(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "m", 1, GOSSIP__ALIVE);
    bench_bury(&b, "m", 10, "x");
    assert_false(is_heard(&b, word(GOSSIP__PART_ALIVE, 10, "")));
    bench_say_alive(&b, "m", 1, 10);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_STALE_ANSWERED], 1);
    bench_close(&b);
}

static void what_is_said_of_ourselves_is_always_read(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_SUSPECT,
                                 .suspect = { .node = "us", .from = "x", .incarnation = OWN } };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_packet(&b, "teller", 100, part);
    assert_string_equal(bench_notices(&b), "refuted us");
    assert_false(is_heard(&b, part));
    bench_close(&b);
}

static void so_is_what_is_said_of_a_stranger(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_DEAD, 10, "x")); /* of a stranger */
    assert_false(is_heard(&b, word(GOSSIP__PART_DEAD, 10, "x")));
    bench_member(&b, "m", 1, GOSSIP__ALIVE);
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_DEAD, 10, "x"));
    assert_int_equal(gossip__member_find(b.g, "m")->state, GOSSIP__SUSPECT);
    bench_close(&b);
}

static void what_made_no_difference_need_not_be_read_again(void **unused)
{
    const struct gossip__part words[] = {
        word(GOSSIP__PART_ALIVE, 4, ""),
        word(GOSSIP__PART_JOIN, 5, ""),
    };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_ALIVE, 10, ""));
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_JOIN, 9, ""));
    for (size_t i = 0; i < MU_LEN(words); i++) {
        assert_false(is_heard(&b, words[i]));
        bench_packet(&b, "teller", 100, words[i]);
        assert_true(is_heard(&b, words[i]));
    }
    bench_bury(&b, "m", 10, "x");
    assert_false(is_heard(&b, words[0])); /* the dead is told what we hold of it */
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_SUSPECT, 10, "y"));
    assert_true(is_heard(&b, word(GOSSIP__PART_SUSPECT, 10, "y")));
    assert_false(is_heard(&b, word(GOSSIP__PART_SUSPECT, 11, "y")));
    bench_close(&b);
}

static void who_declares_a_death_makes_no_difference(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "m", 1, GOSSIP__ALIVE);
    bench_bury(&b, "m", 10, "x");
    assert_int_equal(gossip__member_find(b.g, "m")->state, GOSSIP__DEAD);
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_DEAD, 10, "y"));
    assert_true(is_heard(&b, word(GOSSIP__PART_DEAD, 10, "z")));
    assert_false(is_heard(&b, word(GOSSIP__PART_DEAD, 11, "z")));
    assert_false(is_heard(&b, word(GOSSIP__PART_DEAD, 10, "m"))); /* it has left */
    bench_packet(&b, "teller", 100, word(GOSSIP__PART_DEAD, 10, "m"));
    assert_int_equal(gossip__member_find(b.g, "m")->state, GOSSIP__GONE);
    bench_close(&b);
}

static void words_beyond_the_table_push_out_the_oldest(void **unused)
{
    struct bench b;
    size_t kept = 0;

    (void)unused;
    bench_open(&b);
    for (uint64_t i = 1; i <= 4 * GOSSIP__HEARD; i++) {
        bench_packet(&b, "teller", 100, word(GOSSIP__PART_JOIN, i, ""));
        bench_packet(&b, "teller", 100, word(GOSSIP__PART_ALIVE, 10, ""));
        assert_true(is_heard(&b, word(GOSSIP__PART_ALIVE, 10, "")));
    }
    for (uint64_t i = 1; i <= 4 * GOSSIP__HEARD; i++) {
        kept += is_heard(&b, word(GOSSIP__PART_JOIN, i, ""));
    }
    assert_in_range(kept, GOSSIP__HEARD / 2, GOSSIP__HEARD);
    bench_close(&b);
}

static void nothing_is_kept_of_one_that_is_forgotten(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "m", 1, GOSSIP__GONE);
    assert_true(is_heard(&b, word(GOSSIP__PART_DEAD, 10, "m")));
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_FORCE_LEAVE,
                                          .force = { .name = "m", .prune = true } });
    assert_null(gossip__member_find(b.g, "m"));
    assert_false(is_heard(&b, word(GOSSIP__PART_DEAD, 10, "m")));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_need_not_be_read_again),
        cmocka_unit_test(a_word_is_read_again_when_its_subject_has_changed),
        cmocka_unit_test(what_is_said_of_ourselves_is_always_read),
        cmocka_unit_test(so_is_what_is_said_of_a_stranger),
        cmocka_unit_test(what_made_no_difference_need_not_be_read_again),
        cmocka_unit_test(who_declares_a_death_makes_no_difference),
        cmocka_unit_test(words_beyond_the_table_push_out_the_oldest),
        cmocka_unit_test(nothing_is_kept_of_one_that_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
