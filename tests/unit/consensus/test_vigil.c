/* When a loop stays awake for what it waits for, and when it sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/clock.h"
#include "vigil.h"

#define US       1000ULL
#define MS       ((uint64_t)MU_NS_PER_MS)
#define LIMIT_US 500ULL
#define START_NS (1000 * MS)

struct stream { /* of writes, one after the other */
    struct consensus_vigil vigil;
    uint64_t now_ns, mark;
};

static struct stream stream_of(uint64_t limit_us)
{
    return (struct stream){ .vigil = { .limit_ns = limit_us * US }, .now_ns = START_NS };
}

static uint64_t awake_us(const struct stream *s)
{
    return s->vigil.until_ns > s->now_ns ? (s->vigil.until_ns - s->now_ns) / US : 0;
}

/* For how long it would look for the answer of a write that begins so much later. */
static uint64_t begin(struct stream *s, uint64_t later_us)
{
    s->now_ns += later_us * US;
    consensus__vigil_look(&s->vigil, s->now_ns, ++s->mark, true);
    return awake_us(s);
}

/* And after that answer. */
static uint64_t end(struct stream *s, uint64_t later_us)
{
    s->now_ns += later_us * US;
    consensus__vigil_look(&s->vigil, s->now_ns, ++s->mark, false);
    return awake_us(s);
}

static void writes(struct stream *s, unsigned count, uint64_t gap_us, uint64_t took_us)
{
    for (unsigned i = 0; i < count; i++) {
        (void)begin(s, gap_us);
        (void)end(s, took_us);
    }
}

static void yields(struct stream *s, unsigned count, uint64_t took_ns)
{
    for (unsigned i = 0; i < count; i++) {
        s->now_ns += took_ns;
        consensus__vigil_yielded(&s->vigil, s->now_ns, took_ns);
    }
}

static void stays_awake_for_a_stream_of_quick_writes(void **state)
{
    static const struct {
        const char *why;
        uint64_t limit_us, gap_us, took_us, during_us, after_us;
    } cases[] = {
        // clang-format off
        { "one after the other",            LIMIT_US, 50,    200,  LIMIT_US, LIMIT_US / 5 },
        { "as long as it may be",           LIMIT_US, 50,    499,  LIMIT_US, LIMIT_US / 5 },
        { "with the longest pause",         LIMIT_US, 10000, 200,  LIMIT_US, LIMIT_US / 5 },
        { "a write now and then",           LIMIT_US, 10001, 200,  0,        LIMIT_US / 5 },
        { "a disk that is slower",          LIMIT_US, 50,    501,  0,        0 },
        { "one that is much slower",        LIMIT_US, 50,    9000, 0,        0 },
        { "it is told to sleep",            0,        50,    200,  0,        0 },
        { "it is told to wait for slow ones", 10000,  50,    9000, 10000,    2000 },
        // clang-format on
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct stream s = stream_of(cases[i].limit_us);

        writes(&s, 200, cases[i].gap_us, cases[i].took_us);
        uint64_t during_us = begin(&s, cases[i].gap_us);
        uint64_t after_us = end(&s, cases[i].took_us);

        if (during_us != cases[i].during_us || after_us != cases[i].after_us) {
            fail_msg("%s: %llu us, then %llu us", cases[i].why, (unsigned long long)during_us,
                     (unsigned long long)after_us);
        }
    }
}

/* However often it is asked; or what never comes keeps it awake for ever. */
static void no_wait_is_looked_at_for_longer_than_the_limit(void **state)
{
    struct stream s = stream_of(LIMIT_US);

    (void)state;
    writes(&s, 10, 50, 200);
    (void)begin(&s, 50);
    uint64_t until_ns = s.vigil.until_ns;

    for (unsigned i = 0; i < 100; i++) {
        s.now_ns += 10 * US;
        consensus__vigil_look(&s.vigil, s.now_ns, s.mark, true);
        assert_int_equal(s.vigil.until_ns, until_ns);
    }
    assert_int_equal(awake_us(&s), 0);
}

static void a_part_that_came_begins_a_new_wait(void **state)
{
    struct stream s = stream_of(LIMIT_US);

    (void)state;
    writes(&s, 10, 50, 200);
    (void)begin(&s, 50);
    assert_int_equal(begin(&s, 400), LIMIT_US); /* more is awaited now */
}

/* A stalled disk counts as a few waits, not as all there will be in an hour. */
static void one_long_wait_is_forgotten_soon(void **state)
{
    struct stream s = stream_of(LIMIT_US);
    unsigned count = 0;

    (void)state;
    writes(&s, 100, 50, 100);
    writes(&s, 1, 50, 3600 * 1000 * 1000ULL);
    for (; begin(&s, 50) == 0 && count < 1000; count++) {
        (void)end(&s, 100);
    }
    assert_in_range(count, 1, 16);
}

static void gives_way_where_processors_are_scarce(void **state)
{
    struct stream s = stream_of(LIMIT_US);

    (void)state;
    writes(&s, 100, 50, 100);
    assert_int_equal(begin(&s, 50), LIMIT_US);
    yields(&s, 1, 3 * MS);
    assert_int_equal(awake_us(&s), 0);
    (void)end(&s, 0);
    writes(&s, 50, 50, 100); /* 7.5 ms */
    assert_int_equal(begin(&s, 50), 0);
    (void)end(&s, 2500);
    assert_int_equal(begin(&s, 50), LIMIT_US); /* 10 ms later it tries again */
}

/* The time that it rests, when it has to wait for its turn each time that it looks again. */
static uint64_t rest_ms(struct stream *s)
{
    uint64_t began_ns = s->now_ns;

    yields(s, 1, 2 * MS);
    while (begin(s, 50) == 0) {
        (void)end(s, 50);
    }
    (void)end(s, 50);
    return (s->now_ns - began_ns) / MS;
}

static void rests_longer_while_nothing_gets_better(void **state)
{
    struct stream s = stream_of(LIMIT_US);
    uint64_t wanted_ms = 10;

    (void)state;
    writes(&s, 100, 50, 100);
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(rest_ms(&s), wanted_ms, wanted_ms + 3);
        wanted_ms = wanted_ms < 500 ? 2 * wanted_ms : 1000;
    }
    yields(&s, 4096, 2 * US); /* not so often */
    assert_in_range(rest_ms(&s), 500, 900);
    yields(&s, 65536, 2 * US); /* as if it had not been */
    assert_in_range(rest_ms(&s), 10, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_awake_for_a_stream_of_quick_writes),
        cmocka_unit_test(no_wait_is_looked_at_for_longer_than_the_limit),
        cmocka_unit_test(a_part_that_came_begins_a_new_wait),
        cmocka_unit_test(one_long_wait_is_forgotten_soon),
        cmocka_unit_test(gives_way_where_processors_are_scarce),
        cmocka_unit_test(rests_longer_while_nothing_gets_better),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
