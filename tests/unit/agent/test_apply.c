/* Entries in order, results to those who wait, and what a reader sees afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "apply.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "catalog/query.h"
#include "proto/command.h"
#include "scratch.h"

#define BATCHES 24U
#define NAP_MS  1000U /* of apply.c, when there is no mail */

struct world {
    uv_loop_t loop;
    const char *dir;
    char path[64];
    struct apply *apply;
    uint64_t applied;
    uint64_t results, last_ticket, refused;
    size_t changes;
    unsigned transactions;
    unsigned room_asked;
    struct consensus_sum sums[64];
    size_t sums_count;
    char failure[MU_ERR_TEXT_MAX];
};

static void on_done(void *data, const struct apply_report *report)
{
    struct world *w = data;

    assert_true(report->applied.index >= w->applied);
    w->applied = report->applied.index;
    for (size_t i = 0; i < report->results_count; i++) {
        assert_true(report->results[i].ticket > w->last_ticket);
        w->last_ticket = report->results[i].ticket;
        w->refused += report->results[i].result.code != MU_OK;
        w->results++;
    }
    for (size_t i = 0; i < report->sums_count; i++) {
        assert_true(report->sums[i].index <= report->applied.index);
        assert_true(w->sums_count < MU_LEN(w->sums));
        w->sums[w->sums_count++] = report->sums[i];
    }
    if (report->changes != NULL) {
        w->changes += catalog_changes_count(report->changes);
        w->transactions++;
    }
}

static void on_failed(void *data, const char *why)
{
    struct world *w = data;

    (void)snprintf(w->failure, sizeof w->failure, "%s", why);
}

static void on_full(void *data)
{
    struct world *w = data;

    w->room_asked++;
}

static int setup(void **state)
{
    struct world *w = mu_new(sizeof *w);
    struct catalog *catalog = NULL;

    mu_log_set_fd(-1);
    w->dir = scratch_dir();
    (void)snprintf(w->path, sizeof w->path, "%s/state.db", w->dir);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    struct catalog_options options = { .path = w->path };

    assert_int_equal(catalog_open(&catalog, &options, NULL), MU_OK);
    w->apply = apply_new(&w->loop, catalog, on_done, on_failed, on_full, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    apply_close(w->apply);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
    mu_free(w);
    return 0;
}

static void encode(const char *key, bool has_cas, struct mu_buf *to)
{
    struct command c = {
        .kind = COMMAND_KV_SET,
        .stamp_ms = 1,
        .kv_set = { .key = mu_span_text(key), .value = MU_SPAN_LIT("v"), .has_cas = has_cas },
    };

    assert_int_equal(command_encode(&c, to, NULL), MU_OK);
}

static void push(struct world *w, uint64_t index, uint64_t ticket, const char *key, bool has_cas)
{
    struct mu_buf command = MU_BUF_NONE;

    encode(key, has_cas, &command);
    struct apply_entry e = { index, 1, ticket, 0, mu_buf_span(&command) };

    apply_push(w->apply, &e, 1);
    mu_buf_deinit(&command); /* it was copied */
}

static void run_until(struct world *w, uint64_t index)
{
    while (w->applied < index && w->failure[0] == '\0') {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_string_equal(w->failure, "");
}

static void a_thousand_entries_come_through_in_order(void **state)
{
    struct world *w = *state;
    struct catalog_reader *reader = NULL;
    struct catalog_keys keys;
    struct mu_arena arena;

    for (uint64_t i = 1; i <= 1000; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "k%04u", (unsigned)i);
        push(w, i, i, key, false);
    }
    run_until(w, 1000);
    assert_int_equal(w->results, 1000);
    assert_int_equal(apply_waiting(w->apply), 0);
    assert_true(w->changes >= 1000);
    assert_int_equal(catalog_reader_open(&reader, w->path, NULL, NULL), MU_OK);
    mu_arena_init(&arena, 0);
    assert_int_equal(
        catalog_query_keys(reader, &arena, MU_SPAN_LIT("k"), MU_SPAN_NONE, &keys, NULL), MU_OK);
    assert_int_equal(keys.count, 1000);
    mu_arena_deinit(&arena);
    catalog_reader_close(reader);
}

/* The thread sleeps until somebody hurries. It looks once as it begins, and once when nothing has
 * come for a second: then it may find a part. */
static void what_is_held_is_applied_in_company(void **state)
{
    struct world *w = *state;

    for (uint64_t i = 1; i <= 50; i++) {
        struct mu_buf command = MU_BUF_NONE;

        encode("k", false, &command);
        struct apply_entry e = { i, 1, i, 0, mu_buf_span(&command) };

        apply_hold(w->apply, &e, 1);
        mu_buf_deinit(&command);
    }
    assert_int_equal(apply_waiting(w->apply), 50);
    apply_hurry(w->apply);
    run_until(w, 50);
    assert_in_range(w->transactions, 1, 3);
    assert_int_equal(w->results, 50);
}

/* A step leaves what does not fit its transactions. Who slept before the rest would be a nap late
 * with each of them: clients who wait for it send nothing that could wake him. */
static void what_a_step_leaves_is_not_slept_over(void **state)
{
    struct world *w = *state;
    struct mu_buf command = MU_BUF_NONE;
    static struct apply_entry batch[MU_APPLY_BATCH_ENTRIES];
    uint64_t index = 0;

    encode("k", false, &command);
    for (unsigned i = 0; i < BATCHES; i++) {
        for (size_t k = 0; k < MU_LEN(batch); k++) {
            batch[k] = (struct apply_entry){ ++index, 1, 0, 0, mu_buf_span(&command) };
        }
        apply_hold(w->apply, batch, MU_LEN(batch));
    }
    mu_buf_deinit(&command);
    uint64_t began_ms = mu_clock_ms();

    apply_hurry(w->apply);
    run_until(w, index);
    assert_true(mu_clock_ms() - began_ms < BATCHES / 2 * NAP_MS);
}

/* An end that nobody hurried before it loses nothing: the state has it when it is opened again. */
static void what_is_held_is_applied_before_the_end(void **state)
{
    struct world *w = *state;
    struct mu_buf command = MU_BUF_NONE;
    struct catalog *catalog = NULL;
    struct catalog_options options = { .path = w->path };

    encode("k", false, &command);
    struct apply_entry e = { 1, 1, 1, 0, mu_buf_span(&command) };

    apply_hold(w->apply, &e, 1);
    mu_buf_deinit(&command);
    apply_close(w->apply);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(catalog_open(&catalog, &options, NULL), MU_OK);
    assert_int_equal(catalog_applied(catalog).index, 1);
    w->apply = apply_new(&w->loop, catalog, on_done, on_failed, on_full, w);
}

/* Batches may be cut anywhere, on every server elsewhere: the sums are said behind the same
 * entries, and are the same. */
static void sums_do_not_depend_on_batches(void **state)
{
    struct world *w = *state;
    void *another = NULL;

    assert_int_equal(setup(&another), 0);
    struct world *v = another;

    for (uint64_t i = 1; i <= 1000; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "k%u", (unsigned)(i * 7919 % 300));
        push(w, i, i, key, i % 5 == 0);
        push(v, i, i, key, i % 5 == 0);
        if (i % 37 == 0) {
            run_until(v, i);
        }
    }
    run_until(w, 1000);
    run_until(v, 1000);
    assert_int_equal(w->sums_count, 3);
    assert_int_equal(v->sums_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(w->sums[i].index, (i + 1) * 256);
        assert_int_equal(v->sums[i].index, (i + 1) * 256);
        assert_memory_equal(w->sums[i].hash, v->sums[i].hash, sizeof w->sums[i].hash);
    }
    assert_memory_not_equal(w->sums[0].hash, w->sums[1].hash, sizeof w->sums[0].hash);
    assert_int_equal(teardown(&another), 0);
}

static void only_those_with_a_ticket_are_answered(void **state)
{
    struct world *w = *state;
    struct apply_entry empty = { .index = 2, .term = 1 };

    push(w, 1, 0, "a", false);
    apply_push(w->apply, &empty, 1);
    push(w, 3, 9, "a", true); /* cas 0 on a key that is there: applied, without effect */
    run_until(w, 3);
    assert_int_equal(w->results, 1);
    assert_int_equal(w->last_ticket, 9);
    assert_int_equal(w->refused, 0);
}

/* It puts itself back, should it be refused, by beginning its transaction anew. */
static void a_restore_has_a_transaction_of_its_own(void **state)
{
    struct world *w = *state;
    struct command c = { .kind = COMMAND_RESTORE, .stamp_ms = 1, .restore = { .bytes = 100 } };
    struct mu_buf put = MU_BUF_NONE;
    struct mu_buf restore = MU_BUF_NONE;

    c.restore.id.b[0] = 1;
    encode("k", false, &put);
    assert_int_equal(command_encode(&c, &restore, NULL), MU_OK);
    struct apply_entry entries[] = {
        { 1, 1, 1, 0, mu_buf_span(&put) },     { 2, 1, 2, 0, mu_buf_span(&put) },
        { 3, 1, 3, 0, mu_buf_span(&restore) }, { 4, 1, 4, 0, mu_buf_span(&restore) },
        { 5, 1, 5, 0, mu_buf_span(&put) },
    };

    apply_push(w->apply, entries, MU_LEN(entries));
    run_until(w, 5);
    assert_int_equal(w->refused, 2); /* nothing is staged */
    assert_int_equal(w->transactions, 4);
    mu_buf_deinit(&restore);
    mu_buf_deinit(&put);
}

static void bytes_that_are_no_command_stop_the_server(void **state)
{
    struct world *w = *state;
    struct apply_entry e = { 1, 1, 1, 0, MU_SPAN_LIT("\xff\xff nonsense") };

    apply_push(w->apply, &e, 1);
    while (w->failure[0] == '\0') {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    assert_non_null(strstr(w->failure, "applying entry 1"));
    assert_int_equal(w->applied, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_entries_come_through_in_order),
        TEST(what_is_held_is_applied_in_company),
        TEST(what_a_step_leaves_is_not_slept_over),
        TEST(what_is_held_is_applied_before_the_end),
        TEST(sums_do_not_depend_on_batches),
        TEST(only_those_with_a_ticket_are_answered),
        TEST(a_restore_has_a_transaction_of_its_own),
        TEST(bytes_that_are_no_command_stop_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
