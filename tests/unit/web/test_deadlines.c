#include "cm.h"

#include "base/assert.h"
#include "base/rand.h"
#include "deadlines.h"

struct fired {
    struct deadlines *all;
    struct deadline deadline;
    unsigned count;
    uint64_t last_ms; /* of all that fired: shared order check */
};

static uint64_t latest_ms;

static void on_fire(void *data)
{
    struct fired *f = data;

    assert_false(deadline_is_set(&f->deadline)); /* cleared before the call */
    assert_true(deadline_at(&f->deadline) >= latest_ms); /* earliest first */
    latest_ms = deadline_at(&f->deadline);
    f->count++;
}

static void fire_in_order_and_only_when_due(void **state)
{
    enum { MANY = 500 };
    static struct fired items[MANY];
    struct deadlines all;
    struct mu_rand rand;

    (void)state;
    mu_rand_seed(&rand, 7);
    deadlines_init(&all);
    latest_ms = 0;
    for (size_t i = 0; i < MANY; i++) {
        deadline_set(&all, &items[i].deadline, 1 + mu_rand_below(&rand, 1000), on_fire, &items[i]);
    }
    for (size_t i = 0; i < MANY; i += 3) { /* move some, earlier and later */
        deadline_set(&all, &items[i].deadline, 1 + mu_rand_below(&rand, 1000), on_fire, &items[i]);
    }
    for (size_t i = 1; i < MANY; i += 7) {
        deadline_clear(&all, &items[i].deadline);
        deadline_clear(&all, &items[i].deadline); /* one that is not set is fine */
    }
    for (uint64_t now = 0; now <= 1000; now += 50) {
        deadlines_run(&all, now);
        assert_true(deadlines_next(&all) == 0 || deadlines_next(&all) > now);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(items[i].count, i % 7 == 1 ? 0 : 1);
    }
    assert_int_equal(deadlines_next(&all), 0);
    deadlines_deinit(&all);
}

static void again(void *data)
{
    struct fired *f = data;

    f->count++;
    if (f->count < 3) {
        deadline_set(f->all, &f->deadline, deadline_at(&f->deadline) + 10, again, f);
    }
}

static void may_be_set_again_while_firing(void **state)
{
    struct deadlines all;
    struct fired f = { .all = &all };

    (void)state;
    deadlines_init(&all);
    deadline_set(&all, &f.deadline, 10, again, &f);
    deadlines_run(&all, 25);
    assert_int_equal(f.count, 2);
    assert_int_equal(deadlines_next(&all), 30);
    deadlines_run(&all, 30);
    assert_int_equal(f.count, 3);
    deadlines_deinit(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fire_in_order_and_only_when_due),
        cmocka_unit_test(may_be_set_again_while_firing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
