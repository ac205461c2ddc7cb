/* Values are kept until a topic of theirs changes or room is needed, and each is released once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "catalog/cache.h"

static unsigned released;

static void on_release(void *value)
{
    unsigned *times = value;

    (*times)++;
    released++;
}

struct world {
    struct catalog_watch *watch;
    struct catalog_cache *cache;
};

static struct world world_new(size_t bytes_max)
{
    struct world w = { .watch = catalog_watch_new() };

    w.cache = catalog_cache_new(w.watch, bytes_max);
    released = 0;
    return w;
}

static void world_free(struct world *w)
{
    catalog_cache_free(w->cache);
    assert_int_equal(catalog_watch_count(w->watch), 0);
    catalog_watch_free(w->watch);
}

/* Keep `value` under its name for a service of that name; nobody else holds it. */
static void put(struct world *w, const char *name, unsigned *value, size_t bytes)
{
    struct catalog_topic topic = { CATALOG_SERVICE, mu_span_text(name) };

    *value = 0;
    catalog_ready_release(
        catalog_cache_put(w->cache, mu_span_text(name), &topic, 1, value, bytes, 7, on_release));
}

static bool has(struct world *w, const char *name)
{
    struct catalog_ready *r = catalog_cache_find(w->cache, mu_span_text(name));

    catalog_ready_release(r);
    return r != NULL;
}

static void change(struct world *w, enum catalog_topic_kind kind, const char *name)
{
    struct catalog_changes *c = catalog_changes_new();

    catalog_changes_add(c, kind, mu_span_text(name));
    catalog_watch_fire(w->watch, c);
    catalog_changes_free(c);
}

static void a_value_is_found_until_its_topic_changes(void **state)
{
    struct world w = world_new(1000);
    unsigned a;
    unsigned b;

    (void)state;
    put(&w, "a", &a, 10);
    put(&w, "b", &b, 10);
    struct catalog_ready *r = catalog_cache_find(w.cache, MU_SPAN_LIT("a"));

    assert_ptr_equal(catalog_ready_value(r), &a);
    assert_int_equal(catalog_ready_index(r), 7);
    catalog_ready_release(r);
    assert_false(has(&w, "c"));

    change(&w, CATALOG_SERVICE, "A");
    assert_false(has(&w, "a"));
    assert_true(has(&w, "b"));
    assert_int_equal(a, 1);
    assert_int_equal(b, 0);
    change(&w, CATALOG_SERVICE, "a"); /* nothing is left that could be dropped twice */
    assert_int_equal(a, 1);
    world_free(&w);
    assert_int_equal(b, 1);
    assert_int_equal(released, 2);
}

static void a_held_value_outlives_its_entry(void **state)
{
    struct world w = world_new(1000);
    unsigned a;

    (void)state;
    put(&w, "a", &a, 10);
    struct catalog_ready *first = catalog_cache_find(w.cache, MU_SPAN_LIT("a"));
    struct catalog_ready *second = catalog_ready_hold(first);

    change(&w, CATALOG_SERVICE, "a");
    assert_int_equal(a, 0);
    catalog_ready_release(first);
    assert_int_equal(a, 0);
    world_free(&w);
    assert_ptr_equal(catalog_ready_value(second), &a);
    catalog_ready_release(second);
    assert_int_equal(a, 1);
    catalog_ready_release(NULL);
    catalog_cache_free(NULL);
}

static void the_longest_unused_leaves_first(void **state)
{
    struct world w = world_new(100);
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;

    (void)state;
    put(&w, "a", &a, 40);
    put(&w, "b", &b, 40);
    put(&w, "c", &c, 20); /* full to the byte */
    assert_int_equal(released, 0);
    assert_true(has(&w, "a"));
    put(&w, "d", &d, 1);
    assert_true(has(&w, "a") && has(&w, "c") && has(&w, "d"));
    assert_false(has(&w, "b"));
    put(&w, "b", &b, 100); /* everything else has to go */
    assert_true(has(&w, "b"));
    assert_false(has(&w, "a") || has(&w, "c") || has(&w, "d"));
    world_free(&w);
    assert_int_equal(released, 5); /* b twice: two values */
}

static void one_larger_than_the_bound_is_not_kept(void **state)
{
    struct world w = world_new(100);
    struct catalog_topic topic = { CATALOG_NODES, MU_SPAN_NONE };
    unsigned a;
    unsigned large = 0;

    (void)state;
    put(&w, "a", &a, 100);
    struct catalog_ready *r =
        catalog_cache_put(w.cache, MU_SPAN_LIT("large"), &topic, 1, &large, 101, 1, on_release);

    assert_ptr_equal(catalog_ready_value(r), &large);
    assert_true(has(&w, "a"));
    assert_false(has(&w, "large"));
    catalog_ready_release(r);
    assert_int_equal(large, 1);

    /* under a key that is there it still takes the place of the old value, which is outdated */
    large = 0;
    r = catalog_cache_put(w.cache, MU_SPAN_LIT("a"), &topic, 1, &large, 101, 1, on_release);
    assert_false(has(&w, "a"));
    catalog_ready_release(r);
    world_free(&w);
}

static void putting_again_replaces(void **state)
{
    struct world w = world_new(100);
    unsigned old;
    unsigned young;

    (void)state;
    put(&w, "a", &old, 60);
    put(&w, "a", &young, 60);
    assert_int_equal(old, 1);
    assert_true(has(&w, "a"));
    assert_int_equal(catalog_watch_count(w.watch), 1);
    assert_int_equal(catalog_watch_eager(w.watch), 0); /* nobody waits for what is only kept */
    catalog_cache_drop_all(w.cache);
    assert_int_equal(young, 1);
    assert_false(has(&w, "a"));
    assert_int_equal(catalog_watch_count(w.watch), 0);
    put(&w, "a", &old, 100); /* the bytes of what was dropped are free again */
    assert_true(has(&w, "a"));
    world_free(&w);
}

static void any_of_its_topics_drops_it(void **state)
{
    static const struct catalog_topic topics[] = {
        { CATALOG_NODES, { NULL, 0 } },
        { CATALOG_CHECKS, { NULL, 0 } },
        { CATALOG_PREFIX, { (const uint8_t *)"a/", 2 } },
    };
    static const struct catalog_topic changes[] = {
        { CATALOG_NODES, { NULL, 0 } },
        { CATALOG_CHECKS, { NULL, 0 } },
        { CATALOG_KEY, { (const uint8_t *)"a/b", 3 } },
        { CATALOG_EVERYTHING, { NULL, 0 } },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(changes); i++) {
        struct world w = world_new(100);
        struct catalog_changes *c = catalog_changes_new();
        unsigned value = 0;

        catalog_ready_release(catalog_cache_put(w.cache, MU_SPAN_NONE, topics, MU_LEN(topics),
                                                &value, 1, 1, on_release));
        assert_true(has(&w, ""));
        catalog_changes_add(c, changes[i].kind, changes[i].name);
        catalog_watch_fire(w.watch, c);
        assert_int_equal(value, 1);
        assert_false(has(&w, ""));
        catalog_changes_free(c);
        world_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_found_until_its_topic_changes),
        cmocka_unit_test(a_held_value_outlives_its_entry),
        cmocka_unit_test(the_longest_unused_leaves_first),
        cmocka_unit_test(one_larger_than_the_bound_is_not_kept),
        cmocka_unit_test(putting_again_replaces),
        cmocka_unit_test(any_of_its_topics_drops_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
