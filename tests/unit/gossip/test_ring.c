/* Who comes next: the same order everywhere, and half of the rounds. */
#include "fixture.h"

#define MEMBERS 7

struct circle {
    struct bench b;
    struct gossip__member *order[MEMBERS]; /* as they follow us */
};

static uint64_t behind_us(const struct gossip__member *m)
{
    return gossip__hash_name(m->card->name) - gossip__hash_name("us") - 1;
}

static struct gossip__member *member(const struct circle *c, unsigned i)
{
    char name[8];

    (void)snprintf(name, sizeof name, "n%u", i);
    return gossip__member_find(c->b.g, name);
}

static void circle_open(struct circle *c)
{
    bench_open(&c->b);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[8];
        size_t at = i;

        (void)snprintf(name, sizeof name, "n%u", i);
        bench_member(&c->b, name, i + 1, GOSSIP__ALIVE);
        for (; at > 0 && behind_us(member(c, i)) < behind_us(c->order[at - 1]); at--) {
            c->order[at] = c->order[at - 1];
        }
        c->order[at] = member(c, i);
    }
}

/* The next round; whoever is probed answers at once. */
static const struct gossip__member *round_of(struct circle *c, bool *is_for_ring)
{
    uint64_t before = c->b.g->counters[GOSSIP_COUNT_PROBES];

    while (c->b.g->counters[GOSSIP_COUNT_PROBES] == before) {
        bench_run(&c->b, 1);
    }
    const struct gossip__probe *p = &c->b.g->probe;
    const struct gossip__member *m = p->target;
    struct gossip__part ack = { .kind = GOSSIP__PART_ACK, .ack = { .seq = p->seq } };

    *is_for_ring = p->is_for_ring;
    bench_packet(&c->b, m->card->name, m->card->addr.ip[3], ack);
    return m;
}

/* Whom the next round of the ring is for; NULL: there is none within four. */
static const struct gossip__member *next_of_ring(struct circle *c)
{
    for (int i = 0; i < 4; i++) {
        bool is_for_ring;
        const struct gossip__member *m = round_of(c, &is_for_ring);

        if (is_for_ring) {
            return m;
        }
    }
    return NULL;
}

/* -- the order ----------------------------------------------------------------------------------
 */

/* Whoever they heard of first: from each to the one it asks after, all are come by. */
static void all_see_one_circle(void **unused)
{
    static const char *const names[] = { "a", "b", "c", "web-01", "web-02", "web-03", "db.x" };
    const char *next[MU_LEN(names)];

    (void)unused;
    for (size_t i = 0; i < MU_LEN(names); i++) {
        struct circle c = { .b = { .g = NULL } };
        struct gossip_options options = bench_options(&c.b);

        options.name = names[i];
        bench_open_with(&c.b, &options);
        for (size_t j = 1; j < MU_LEN(names); j++) {
            size_t other = (i + j * (i % 2 == 0 ? 1 : MU_LEN(names) - 1)) % MU_LEN(names);

            bench_member(&c.b, names[other], (unsigned)other + 1, GOSSIP__ALIVE);
        }
        const struct gossip__member *m = next_of_ring(&c);

        for (size_t j = 0; j < MU_LEN(names); j++) {
            next[i] = strcmp(names[j], m->card->name) == 0 ? names[j] : next[i];
        }
        bench_close(&c.b);
    }
    size_t steps = 0;
    const char *at = names[0];

    do {
        for (size_t i = 0; i < MU_LEN(names); i++) {
            if (names[i] == at) {
                at = next[i];
                break;
            }
        }
        steps++;
    } while (at != names[0] && steps <= MU_LEN(names));
    assert_int_equal(steps, MU_LEN(names));
}

static void every_other_round_is_for_the_next(void **unused)
{
    struct circle c;
    bool is_for_ring;

    (void)unused;
    memset(&c, 0, sizeof c);
    circle_open(&c);
    for (int i = 0; i < 20; i++) {
        const struct gossip__member *m = round_of(&c, &is_for_ring);

        assert_int_equal(is_for_ring, i % 2 == 0);
        assert_true(!is_for_ring || m == c.order[0]);
    }
    bench_close(&c.b);
}

static void two_alone_ask_after_each_other_in_every_round(void **unused)
{
    struct circle c;
    bool is_for_ring;

    (void)unused;
    memset(&c, 0, sizeof c);
    bench_open(&c.b);
    bench_member(&c.b, "n0", 1, GOSSIP__ALIVE);
    for (int i = 0; i < 6; i++) {
        assert_ptr_equal(round_of(&c, &is_for_ring), member(&c, 0));
        assert_int_equal(is_for_ring, i % 2 == 0);
    }
    bench_close(&c.b);
}

/* -- who comes, who goes ------------------------------------------------------------------------
 */

static void say_dead(struct circle *c, size_t at)
{
    bench_bury(&c->b, c->order[at]->card->name, c->order[at]->incarnation, "judge");
}

static void who_is_gone_is_passed_over(void **unused)
{
    struct circle c;
    bool is_for_ring;

    (void)unused;
    memset(&c, 0, sizeof c);
    circle_open(&c);
    assert_ptr_equal(round_of(&c, &is_for_ring), c.order[0]);
    say_dead(&c, 0); /* nobody may have asked after the next one for as long as it was dead: */
    assert_ptr_equal(round_of(&c, &is_for_ring), c.order[1]); /* at once */
    assert_true(is_for_ring);
    for (size_t i = 1; i < MEMBERS - 1; i++) { /* also beyond those that are kept in mind */
        say_dead(&c, i);
        assert_ptr_equal(next_of_ring(&c), c.order[i + 1]);
    }
    say_dead(&c, MEMBERS - 1);
    assert_int_equal(c.b.g->ring.count, 1); /* to be looked for */
    assert_false(c.b.g->ring.is_known);
    bench_close(&c.b);
}

static void who_comes_takes_its_place(void **unused)
{
    struct circle c;

    (void)unused;
    memset(&c, 0, sizeof c);
    circle_open(&c);
    say_dead(&c, 0);
    say_dead(&c, 2);
    assert_ptr_equal(next_of_ring(&c), c.order[1]);
    bench_say_alive(&c.b, c.order[2]->card->name, c.order[2]->card->addr.ip[3], 11);
    assert_ptr_equal(next_of_ring(&c), c.order[1]); /* behind it */
    assert_ptr_equal(c.b.g->ring.next[1], c.order[2]);
    bench_say_alive(&c.b, c.order[0]->card->name, c.order[0]->card->addr.ip[3], 11);
    assert_ptr_equal(next_of_ring(&c), c.order[0]); /* before it */
    bench_close(&c.b);
}

/* -- suspects -----------------------------------------------------------------------------------
 */

static void suspect(struct circle *c, size_t at, const char *from)
{
    bench_say_suspect(&c->b, c->order[at]->card->name, 10, from, GOSSIP__STALLED);
}

static void a_suspect_nearby_goes_first_while_our_word_counts(void **unused)
{
    static const struct {
        const char *why;
        size_t suspect;      /* place in the order */
        const char *from[3]; /* its accusers; the table ends with NULL */
        size_t asked_after;  /* place */
    } rows[] = {
        // clang-format off
        { "the next one",                       0, { "n99" },               0 },
        { "two further",                        2, { "n99" },               2 },
        { "one more confirmation is wanted",    1, { "n99", "n98" },        1 },
        { "too far away, others are nearer",    3, { "n99" },               0 },
        { "all believe it: the one after it",   0, { "n99", "n98", "n97" }, 1 },
        { "we have accused it: the one after",  0, { "us" },                1 },
        { "we accused another one further on",  1, { "us" },                0 },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct circle c;

        memset(&c, 0, sizeof c);
        circle_open(&c);
        for (size_t i = 0; i < MU_LEN(rows[r].from) && rows[r].from[i] != NULL; i++) {
            suspect(&c, rows[r].suspect, rows[r].from[i]);
        }
        const struct gossip__member *m = next_of_ring(&c);

        if (m != c.order[rows[r].asked_after]) {
            fail_msg("%s: it asked after %s", rows[r].why, m->card->name);
        }
        bench_close(&c.b);
    }
}

/* One that is stopped is asked alone for a while (inquiry.c): it does not ask after its own next
 * one, so that is ours meanwhile. */
static void who_is_in_doubt_is_passed_over(void **unused)
{
    struct circle c;

    (void)unused;
    memset(&c, 0, sizeof c);
    circle_open(&c);
    assert_ptr_equal(next_of_ring(&c), c.order[0]);
    assert_true(gossip__inquiry_doubt(c.b.g, c.order[0]));
    assert_ptr_equal(next_of_ring(&c), c.order[1]);
    while (c.order[0]->state == GOSSIP__ALIVE) { /* until it is accused, by us */
        bool is_for_ring;
        const struct gossip__member *m = round_of(&c, &is_for_ring);

        assert_true(!is_for_ring || m == c.order[1]);
    }
    assert_ptr_equal(next_of_ring(&c), c.order[1]);
    bench_close(&c.b);
}

static void the_walk_is_never_kept_waiting_for_long(void **unused)
{
    struct circle c;
    unsigned in_a_row = 0;

    (void)unused;
    memset(&c, 0, sizeof c);
    circle_open(&c);
    for (uint64_t i = 0; i < 30; i++) { /* the next one is another one each time */
        bool is_for_ring;

        bench_say_suspect(&c.b, c.order[0]->card->name, 10 + i, "us", GOSSIP__STALLED);
        (void)round_of(&c, &is_for_ring);
        in_a_row = is_for_ring ? in_a_row + 1 : 0;
        assert_in_range(in_a_row, 0, 2);
        bench_say_alive(&c.b, c.order[0]->card->name, c.order[0]->card->addr.ip[3], 11 + i);
        (void)round_of(&c, &is_for_ring);
        in_a_row = is_for_ring ? in_a_row + 1 : 0;
        assert_in_range(in_a_row, 0, 2);
    }
    bench_close(&c.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_see_one_circle),
        cmocka_unit_test(every_other_round_is_for_the_next),
        cmocka_unit_test(two_alone_ask_after_each_other_in_every_round),
        cmocka_unit_test(who_is_gone_is_passed_over),
        cmocka_unit_test(who_comes_takes_its_place),
        cmocka_unit_test(a_suspect_nearby_goes_first_while_our_word_counts),
        cmocka_unit_test(who_is_in_doubt_is_passed_over),
        cmocka_unit_test(the_walk_is_never_kept_waiting_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
