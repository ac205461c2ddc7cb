/* Who may hold what, and who goes: the rules of web/held.h without connections. */
#include "cm.h"

#include "base/assert.h"
#include "base/limits.h"
#include "held.h"

#define MIB (1024U * 1024)

static enum held_room ask(struct held *h, struct held_by *by, size_t bytes, uint64_t now_ms,
                          struct held_by **victim)
{
    *victim = NULL;
    return held_room(h, by, bytes, now_ms, victim);
}

static void bytes_are_counted_once(void **state)
{
    struct held_by a = { .bytes = 0 }, b = { .bytes = 0 };
    struct held h;

    (void)state;
    held_init(&h);
    held_set(&h, &a, 100, 1);
    held_set(&h, &b, 2 * MIB, 1);
    held_set(&h, &a, 50, 2);
    assert_int_equal(h.bytes, 50 + 2 * MIB);
    held_set(&h, &b, 0, 3);
    held_set(&h, &a, 0, 3);
    assert_int_equal(h.bytes, 0);
    assert_int_equal(h.most, 100 + 2 * MIB);
    assert_true(mu_list_empty(&h.small) && mu_list_empty(&h.large));
}

static void a_large_answer_needs_room(void **state)
{
    struct held_by slow = { .bytes = 0 }, other = { .bytes = 0 }, asks = { .bytes = 0 };
    struct held_by *victim;
    struct held h;

    (void)state;
    held_init(&h);
    assert_int_equal(ask(&h, &asks, 3 * MU_HTTP_HELD_MAX, 0, &victim), HELD_FITS); /* nobody else */
    held_set(&h, &slow, MU_HTTP_HELD_MAX - MIB, 1000);
    assert_int_equal(ask(&h, &asks, MIB, 1000, &victim), HELD_FITS);
    assert_int_equal(ask(&h, &asks, MIB + 1, 1000, &victim), HELD_REFUSED); /* may yet be taken */
    assert_int_equal(ask(&h, &asks, HELD_FAIR, 1000, &victim), HELD_FITS);
    held_set(&h, &other, MIB, 1500);
    assert_int_equal(ask(&h, &asks, MIB, 1000 + HELD_PATIENCE_MS, &victim), HELD_EVICT);
    assert_ptr_equal(victim, &slow); /* and not who came later */
    assert_int_equal(ask(&h, &slow, MIB, 1000 + HELD_PATIENCE_MS, &victim), HELD_REFUSED);
    held_set(&h, &slow, 0, 2000);
    assert_int_equal(ask(&h, &asks, MIB, 2000, &victim), HELD_FITS);
}

static void who_goes_on_reading_stays(void **state)
{
    struct held_by reader = { .bytes = 0 }, slow = { .bytes = 0 }, asks = { .bytes = 0 };
    struct held_by *victim;
    struct held h;

    (void)state;
    held_init(&h);
    held_set(&h, &reader, 30 * MIB, 1000);
    held_set(&h, &slow, 2 * MIB, 1100);
    held_taken(&h, &slow, HELD_PACE - 1, 1900); /* too little to count */
    held_taken(&h, &reader, HELD_PACE / 2, 1900);
    held_taken(&h, &reader, HELD_PACE / 2, 2050);
    assert_int_equal(ask(&h, &asks, 2 * MIB, 2100, &victim), HELD_EVICT);
    assert_ptr_equal(victim, &slow);
}

static void when_all_is_taken_the_longest_goes(void **state)
{
    enum { SMALL = 1200 };
    static struct held_by small[SMALL];
    struct held_by large = { .bytes = 0 }, second = { .bytes = 0 };
    struct held h;

    (void)state;
    held_init(&h);
    held_set(&h, &large, 4 * MU_HTTP_HELD_MAX, 0);
    assert_null(held_over(&h)); /* one that is larger than all there is, alone */
    held_set(&h, &second, HELD_FAIR + 1, 1);
    assert_ptr_equal(held_over(&h), &large);
    held_set(&h, &large, 0, 2);
    assert_null(held_over(&h));
    for (size_t i = 0; i < SMALL; i++) {
        held_set(&h, &small[i], HELD_FAIR, 3);
    }
    assert_true(h.bytes > MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE);
    assert_ptr_equal(held_over(&h), &second); /* who has much before those who have little */
    held_set(&h, &second, 0, 4);
    assert_ptr_equal(held_over(&h), &small[0]);
    for (size_t i = 0; i < SMALL && held_over(&h) != NULL; i++) {
        assert_ptr_equal(held_over(&h), &small[i]);
        held_set(&h, &small[i], 0, 5);
    }
    assert_true(h.bytes <= MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_counted_once),
        cmocka_unit_test(a_large_answer_needs_room),
        cmocka_unit_test(who_goes_on_reading_stays),
        cmocka_unit_test(when_all_is_taken_the_longest_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
