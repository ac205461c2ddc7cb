/* Who is woken by what, exactly once, whatever the woken do meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "catalog/watch.h"

struct waiter {
    struct catalog_watch *w;
    struct catalog_wait *wait;
    unsigned fired;
    struct catalog_wait **cancels; /* when fired, cancel this one */
    struct waiter *adds;           /* when fired, let this one wait for `again` */
    struct catalog_topic again;
    const struct catalog_changes *wakes; /* when fired, wake with these */
};

static void on_fire(void *data)
{
    struct waiter *x = data;

    x->fired++;
    x->wait = NULL;
    if (x->cancels != NULL) {
        catalog_watch_cancel(*x->cancels);
        *x->cancels = NULL;
    }
    if (x->adds != NULL) {
        x->adds->wait = catalog_watch_add(x->w, &x->again, 1, on_fire, x->adds);
    }
    if (x->wakes != NULL) {
        const struct catalog_changes *wakes = x->wakes;

        x->wakes = NULL;
        catalog_watch_fire(x->w, wakes);
    }
}

static struct catalog_topic topic(enum catalog_topic_kind kind, const char *name)
{
    return (struct catalog_topic){ kind, mu_span_text(name) };
}

static void wait_for(struct catalog_watch *w, struct waiter *x, enum catalog_topic_kind kind,
                     const char *name)
{
    struct catalog_topic t = topic(kind, name);

    x->w = w;
    x->wait = catalog_watch_add(w, &t, 1, on_fire, x);
}

static void fire_one(struct catalog_watch *w, enum catalog_topic_kind kind, const char *name)
{
    struct catalog_changes *c = catalog_changes_new();

    catalog_changes_add(c, kind, mu_span_text(name));
    catalog_watch_fire(w, c);
    catalog_changes_free(c);
}

/* -- every pair of kinds ----------------------------------------------------------------------- */

static void each_kind_wakes_whom_it_concerns(void **state)
{
    /* Rows: who waits. Columns: what changed. */
    static const struct catalog_topic changes[] = {
        // clang-format off
        { CATALOG_NODES, { NULL, 0 } },
        { CATALOG_NODE, { (const uint8_t *)"n1", 2 } },
        { CATALOG_SERVICES, { NULL, 0 } },
        { CATALOG_SERVICE, { (const uint8_t *)"n1", 2 } },
        { CATALOG_CHECKS, { NULL, 0 } },
        { CATALOG_KEY, { (const uint8_t *)"n1", 2 } },
        { CATALOG_PREFIX, { (const uint8_t *)"n1", 2 } },
        { CATALOG_EVERYTHING, { NULL, 0 } },
        // clang-format on
    };
    static const struct {
        enum catalog_topic_kind kind;
        const char *name;
        const char *woken; /* one letter a change */
    } cases[] = {
        // clang-format off
        /*                            nodes node services service checks key prefix everything */
        { CATALOG_NODES,    "",      "y......y" },
        { CATALOG_NODES,    "x",     "y......y" }, /* a name is ignored where there is none */
        { CATALOG_NODE,     "n1",    ".y.....y" },
        { CATALOG_NODE,     "N1",    ".y.....y" }, /* folded */
        { CATALOG_NODE,     "n2",    ".......y" },
        { CATALOG_SERVICES, "",      "..y....y" },
        { CATALOG_SERVICE,  "n1",    "...y...y" },
        { CATALOG_SERVICE,  "N1",    "...y...y" },
        { CATALOG_SERVICE,  "n",     ".......y" },
        { CATALOG_CHECKS,   "",      "....y..y" },
        { CATALOG_KEY,      "n1",    ".....yyy" },
        { CATALOG_KEY,      "N1",    ".......y" }, /* keys do not fold */
        { CATALOG_KEY,      "n",     ".......y" },
        { CATALOG_KEY,      "n1/a",  "......yy" },
        { CATALOG_KEY,      "n2",    ".......y" },
        { CATALOG_PREFIX,   "",      ".....yyy" },
        { CATALOG_PREFIX,   "n",     ".....yyy" },
        { CATALOG_PREFIX,   "n1",    ".....yyy" },
        { CATALOG_PREFIX,   "n1/",   "......yy" },
        { CATALOG_PREFIX,   "n2",    ".......y" },
        { CATALOG_PREFIX,   "m",     ".......y" },
        { CATALOG_PREFIX,   "o",     ".......y" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        assert_int_equal(strlen(cases[i].woken), MU_LEN(changes));
        for (size_t k = 0; k < MU_LEN(changes); k++) {
            struct catalog_watch *w = catalog_watch_new();
            struct catalog_changes *c = catalog_changes_new();
            struct waiter x = { 0 };
            bool expected = cases[i].woken[k] == 'y';

            wait_for(w, &x, cases[i].kind, cases[i].name);
            catalog_changes_add(c, changes[k].kind, changes[k].name);
            catalog_watch_fire(w, c);
            if (x.fired != expected) {
                fail_msg("waiting for %d '%s', change %d: woken %u times", (int)cases[i].kind,
                         cases[i].name, (int)changes[k].kind, x.fired);
            }
            assert_int_equal(catalog_watch_count(w), expected ? 0 : 1);
            catalog_watch_cancel(x.wait);
            catalog_changes_free(c);
            catalog_watch_free(w);
        }
    }
}

/* -- once -------------------------------------------------------------------------------------- */

static void several_topics_and_changes_wake_once(void **state)
{
    const struct catalog_topic topics[] = { topic(CATALOG_NODES, ""), topic(CATALOG_KEY, "a"),
                                            topic(CATALOG_PREFIX, "a"), topic(CATALOG_KEY, "a") };
    struct catalog_watch *w = catalog_watch_new();
    struct catalog_changes *c = catalog_changes_new();
    struct waiter x = { .w = w };

    (void)state;
    x.wait = catalog_watch_add(w, topics, MU_LEN(topics), on_fire, &x);
    catalog_changes_add(c, CATALOG_NODES, MU_SPAN_NONE);
    catalog_changes_add(c, CATALOG_KEY, MU_SPAN_LIT("a"));
    catalog_changes_add(c, CATALOG_PREFIX, MU_SPAN_LIT(""));
    catalog_watch_fire(w, c);
    assert_int_equal(x.fired, 1);
    catalog_watch_fire(w, c);
    assert_int_equal(x.fired, 1);
    assert_int_equal(catalog_watch_count(w), 0);
    catalog_changes_free(c);
    catalog_watch_free(w);
}

static void a_cancelled_wait_is_not_woken(void **state)
{
    struct catalog_watch *w = catalog_watch_new();
    struct waiter a = { 0 };
    struct waiter b = { 0 };

    (void)state;
    wait_for(w, &a, CATALOG_SERVICE, "web");
    wait_for(w, &b, CATALOG_SERVICE, "web");
    catalog_watch_cancel(a.wait);
    catalog_watch_cancel(NULL);
    fire_one(w, CATALOG_SERVICE, "web");
    assert_int_equal(a.fired, 0);
    assert_int_equal(b.fired, 1);
    catalog_watch_free(w);
    catalog_watch_free(NULL);
}

static void the_patient_are_counted_apart(void **state)
{
    struct catalog_watch *w = catalog_watch_new();
    struct waiter a = { 0 };
    struct waiter b = { 0 };

    (void)state;
    wait_for(w, &a, CATALOG_SERVICE, "web");
    assert_int_equal(catalog_watch_eager(w), 1);
    catalog_watch_patient(a.wait);
    assert_int_equal(catalog_watch_eager(w), 0);
    wait_for(w, &b, CATALOG_SERVICE, "web");
    assert_int_equal(catalog_watch_eager(w), 1);
    fire_one(w, CATALOG_SERVICE, "web"); /* woken like all */
    assert_int_equal(a.fired + b.fired, 2);
    assert_int_equal(catalog_watch_eager(w), 0);
    catalog_watch_free(w);
}

/* -- what the woken may do --------------------------------------------------------------------- */

static void the_woken_may_wait_again(void **state)
{
    struct catalog_watch *w = catalog_watch_new();
    struct waiter x = { 0 };

    (void)state;
    wait_for(w, &x, CATALOG_KEY, "a");
    x.adds = &x;
    x.again = topic(CATALOG_KEY, "a");
    fire_one(w, CATALOG_KEY, "a");
    assert_int_equal(x.fired, 1); /* not for the change that woke it */
    assert_int_equal(catalog_watch_count(w), 1);
    fire_one(w, CATALOG_KEY, "a");
    assert_int_equal(x.fired, 2);
    catalog_watch_cancel(x.wait);
    catalog_watch_free(w);
}

/* In both orders: of those who are woken together, the first cancels the other. */
static void the_woken_may_cancel_others(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct catalog_watch *w = catalog_watch_new();
        struct waiter a = { 0 };
        struct waiter b = { 0 };

        wait_for(w, order == 0 ? &a : &b, CATALOG_PREFIX, "k");
        wait_for(w, order == 0 ? &b : &a, CATALOG_PREFIX, order == 0 ? "k" : "");
        a.cancels = &b.wait;
        b.cancels = &a.wait;
        fire_one(w, CATALOG_KEY, "key");
        assert_int_equal(a.fired + b.fired, 1);
        assert_int_equal(catalog_watch_count(w), 0);
        catalog_watch_free(w);
    }
}

static void the_woken_may_wake(void **state)
{
    struct catalog_watch *w = catalog_watch_new();
    struct catalog_changes *inner = catalog_changes_new();
    struct waiter a = { 0 };
    struct waiter b = { 0 };
    struct waiter c = { 0 };

    (void)state;
    wait_for(w, &a, CATALOG_NODES, "");
    wait_for(w, &b, CATALOG_NODES, "");
    wait_for(w, &c, CATALOG_CHECKS, "");
    catalog_changes_add(inner, CATALOG_NODES, MU_SPAN_NONE); /* b is on the list already */
    catalog_changes_add(inner, CATALOG_CHECKS, MU_SPAN_NONE);
    a.wakes = inner;
    fire_one(w, CATALOG_NODES, "");
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 1);
    assert_int_equal(c.fired, 1);
    assert_int_equal(catalog_watch_count(w), 0);
    catalog_changes_free(inner);
    catalog_watch_free(w);
}

/* The woken leaves its own topic, the only one of its length, while the list is worked off. */
static void topics_may_vanish_and_come_back_meanwhile(void **state)
{
    struct catalog_watch *w = catalog_watch_new();
    struct waiter a = { 0 };
    struct waiter b = { 0 };
    struct waiter late = { 0 };

    (void)state;
    wait_for(w, &a, CATALOG_PREFIX, "ab");
    wait_for(w, &b, CATALOG_PREFIX, "abc");
    a.cancels = &b.wait;
    a.adds = &late;
    a.again = topic(CATALOG_PREFIX, "abc");
    fire_one(w, CATALOG_PREFIX, "a");
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
    assert_int_equal(late.fired, 0);
    fire_one(w, CATALOG_KEY, "abcd");
    assert_int_equal(late.fired, 1);
    catalog_watch_free(w);
}

/* -- against a naive twin ---------------------------------------------------------------------- */

#define TWINS    60
#define NAME_MAX 4

struct twin {
    struct waiter x;
    enum catalog_topic_kind kind;
    char name[NAME_MAX + 1];
};

/* Names over two letters, so that prefixes and repetitions abound; sometimes a zero or a 0xff. */
static void draw_name(struct mu_rand *r, char name[NAME_MAX + 1])
{
    static const char letters[] = { 'a', 'b', '\xff' };
    size_t bytes = mu_rand_below(r, NAME_MAX + 1);

    memset(name, 0, NAME_MAX + 1);
    for (size_t i = 0; i < bytes; i++) {
        name[i] = letters[mu_rand_below(r, MU_LEN(letters))];
    }
}

static bool starts(const char *a, const char *prefix)
{
    return strncmp(a, prefix, strlen(prefix)) == 0;
}

static bool concerns(const struct twin *t, enum catalog_topic_kind kind, const char *name)
{
    if (kind == CATALOG_KEY) {
        return (t->kind == CATALOG_KEY && strcmp(t->name, name) == 0) ||
               (t->kind == CATALOG_PREFIX && starts(name, t->name));
    }
    return starts(t->name, name) || (t->kind == CATALOG_PREFIX && starts(name, t->name));
}

static void keys_and_prefixes_agree_with_a_naive_twin(void **state)
{
    struct catalog_watch *w = catalog_watch_new();
    struct twin *twins = mu_new_array(TWINS, sizeof *twins);
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 7);
    for (int round = 0; round < 20000; round++) {
        struct twin *t = &twins[mu_rand_below(&r, TWINS)];
        char name[NAME_MAX + 1];

        if (t->x.wait == NULL) {
            t->kind = mu_rand_below(&r, 2) == 0 ? CATALOG_KEY : CATALOG_PREFIX;
            draw_name(&r, t->name);
            t->x.fired = 0;
            wait_for(w, &t->x, t->kind, t->name);
        } else if (mu_rand_below(&r, 4) == 0) {
            catalog_watch_cancel(t->x.wait);
            t->x.wait = NULL;
        }
        if (mu_rand_below(&r, 5) != 0) {
            continue;
        }
        enum catalog_topic_kind kind = mu_rand_below(&r, 2) == 0 ? CATALOG_KEY : CATALOG_PREFIX;
        bool expected[TWINS];

        draw_name(&r, name);
        for (size_t i = 0; i < TWINS; i++) {
            expected[i] = twins[i].x.wait != NULL && concerns(&twins[i], kind, name);
            twins[i].x.fired = 0;
        }
        fire_one(w, kind, name);
        for (size_t i = 0; i < TWINS; i++) {
            if (twins[i].x.fired != expected[i]) {
                fail_msg("round %d: change %d '%s', waiting for %d '%s': woken %u times", round,
                         (int)kind, name, (int)twins[i].kind, twins[i].name, twins[i].x.fired);
            }
        }
    }
    for (size_t i = 0; i < TWINS; i++) {
        catalog_watch_cancel(twins[i].x.wait);
    }
    mu_free(twins);
    catalog_watch_free(w);
}

/* -- changes ----------------------------------------------------------------------------------- */

static void a_topic_is_kept_once_in_the_order_it_came(void **state)
{
    struct catalog_changes *c = catalog_changes_new();
    char name[16];

    (void)state;
    for (int round = 0; round < 3; round++) {
        catalog_changes_add(c, CATALOG_NODE, MU_SPAN_LIT("N1"));
        catalog_changes_add(c, CATALOG_NODE, MU_SPAN_LIT("n1"));
        catalog_changes_add(c, CATALOG_NODES, MU_SPAN_LIT("whatever"));
        catalog_changes_add(c, CATALOG_KEY, MU_SPAN_LIT("N1"));
        for (int i = 0; i < 1000; i++) { /* over several sizes of the table */
            (void)snprintf(name, sizeof name, "%d", i);
            catalog_changes_add(c, CATALOG_KEY, mu_span_text(name));
        }
    }
    assert_int_equal(catalog_changes_count(c), 1003);
    assert_int_equal(catalog_changes_at(c, 0).kind, CATALOG_NODE);
    assert_true(mu_span_eq_text(catalog_changes_at(c, 0).name, "n1"));
    assert_int_equal(catalog_changes_at(c, 1).kind, CATALOG_NODES);
    assert_int_equal(catalog_changes_at(c, 1).name.bytes, 0);
    assert_true(mu_span_eq_text(catalog_changes_at(c, 2).name, "N1"));
    assert_true(mu_span_eq_text(catalog_changes_at(c, 1002).name, "999"));
    catalog_changes_free(c);
    catalog_changes_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_wakes_whom_it_concerns),
        cmocka_unit_test(several_topics_and_changes_wake_once),
        cmocka_unit_test(a_cancelled_wait_is_not_woken),
        cmocka_unit_test(the_patient_are_counted_apart),
        cmocka_unit_test(the_woken_may_wait_again),
        cmocka_unit_test(the_woken_may_cancel_others),
        cmocka_unit_test(the_woken_may_wake),
        cmocka_unit_test(topics_may_vanish_and_come_back_meanwhile),
        cmocka_unit_test(keys_and_prefixes_agree_with_a_naive_twin),
        cmocka_unit_test(a_topic_is_kept_once_in_the_order_it_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
