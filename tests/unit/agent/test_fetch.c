/* What is asked for is brought into memory, together where it can be, and nobody is told too often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <uv.h>

#include "base/file.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "fetch.h"
#include "scratch.h"

#define PIECE (64U * 1024) /* what comes with a page that was missed */

struct world {
    uv_loop_t loop;
    const char *dir;
    char path[96];
    struct fetcher *fetcher;
    unsigned fetched;
};

static void on_fetched(void *data)
{
    struct world *w = data;

    w->fetched++;
}

static int setup(void **state)
{
    struct world *w = mu_new(sizeof *w);
    struct catalog *catalog = NULL;

    w->dir = scratch_dir();
    (void)snprintf(w->path, sizeof w->path, "%s/state.db", w->dir);
    struct catalog_options options = { .path = w->path };

    assert_int_equal(catalog_open(&catalog, &options, NULL), MU_OK);
    catalog_close(catalog);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->fetcher = fetcher_new(&w->loop, on_fetched, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
    mu_free(w);
    return 0;
}

static void miss(struct world *w, uint64_t offset)
{
    struct catalog_miss m = { false, offset };

    fetcher_add(w->fetcher, w->path, &m);
}

static void what_is_missed_meanwhile_comes_together(void **state)
{
    struct world *w = *state;

    miss(w, 0);
    for (uint64_t i = 1; i < 1000; i++) { /* more than are remembered */
        miss(w, i * 16 * PIECE);
    }
    assert_int_equal(w->fetched, 0); /* never from inside a call */
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->fetched, 2); /* the first, and those that waited for it */
    miss(w, 0);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->fetched, 3);
    fetcher_free(w->fetcher);
}

static void a_file_that_is_gone_ends_it_alike(void **state)
{
    struct catalog_miss m = { true, 4096 };
    struct world *w = *state;

    fetcher_add(w->fetcher, "/nowhere/state.db", &m);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->fetched, 1); /* who reads again meets what is wrong */
    fetcher_free(w->fetcher);
}

static void nobody_is_told_who_is_gone(void **state)
{
    struct world *w = *state;

    miss(w, 0);
    miss(w, 16 * PIECE);
    fetcher_free(w->fetcher);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->fetched, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_missed_meanwhile_comes_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_gone_ends_it_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_told_who_is_gone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
