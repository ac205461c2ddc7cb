/* Lines from all threads, told to readers on the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/assert.h"
#include "base/buf.h"
#include "log_ring.h"

#define THREADS 4
#define LINES   100

struct world {
    uv_loop_t loop;
    struct log_ring *ring;
    struct log_reader reader;
    struct mu_buf heard;
    size_t lines;
    size_t stop_after; /* 0: never */
};

static void on_line(void *data, const struct log_line *line)
{
    struct world *w = data;

    w->lines++;
    mu_buf_add_span(&w->heard, line->text);
    mu_buf_add_byte(&w->heard, '\n');
    if (w->lines == w->stop_after) {
        log_ring_stop(&w->reader);
    }
}

static void open_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    mu_log_set_fd(-1);
    mu_log_set_level(MU_INFO);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->ring = log_ring_new(&w->loop);
}

static void close_world(struct world *w)
{
    log_ring_stop(&w->reader);
    log_ring_close(w->ring);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    mu_buf_deinit(&w->heard);
}

static void turns(struct world *w, size_t lines)
{
    while (w->lines < lines) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
}

static void what_was_logged_comes_first_then_what_comes(void **unused)
{
    struct world w;

    (void)unused;
    open_world(&w);
    mu_log(MU_INFO, "m", "before");
    mu_log(MU_DEBUG, "m", "too low to be kept");
    log_ring_read(w.ring, &w.reader, MU_DEBUG, on_line, &w);
    assert_int_equal(w.lines, 0); /* never from inside */
    mu_log(MU_DEBUG, "m", "low");
    mu_log(MU_TRACE, "m", "too low");
    turns(&w, 2);
    assert_non_null(strstr(mu_buf_text(&w.heard), "m: before\n"));
    assert_non_null(strstr(mu_buf_text(&w.heard), "m: low\n"));
    assert_null(strstr(mu_buf_text(&w.heard), "too low"));
    log_ring_stop(&w.reader);
    assert_false(mu_log_on(MU_DEBUG)); /* nobody pays for what nobody reads */
    close_world(&w);
    assert_true(mu_log_on(MU_INFO));
}

static void only_the_last_are_kept(void **unused)
{
    struct world w;

    (void)unused;
    open_world(&w);
    for (unsigned i = 0; i < LOG_RING_LINES + 10; i++) {
        mu_log(MU_INFO, "m", "line", mu_kv_u("i", i));
    }
    log_ring_read(w.ring, &w.reader, MU_INFO, on_line, &w);
    turns(&w, LOG_RING_LINES);
    assert_null(strstr(mu_buf_text(&w.heard), "i=9\n"));
    assert_non_null(strstr(mu_buf_text(&w.heard), "i=10\n"));
    close_world(&w);
}

static void a_reader_may_stop_inside_of_a_line(void **unused)
{
    struct world w;

    (void)unused;
    open_world(&w);
    w.stop_after = 1;
    log_ring_read(w.ring, &w.reader, MU_INFO, on_line, &w);
    mu_log(MU_INFO, "m", "one");
    mu_log(MU_INFO, "m", "two");
    turns(&w, 1);
    for (unsigned i = 0; i < 3; i++) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(w.lines, 1);
    close_world(&w);
}

static void *write_lines(void *data)
{
    for (unsigned i = 0; i < LINES; i++) {
        mu_log(MU_INFO, data, "line", mu_kv_u("i", i));
    }
    return NULL;
}

static void all_threads_are_heard(void **unused)
{
    static char names[THREADS][8];
    pthread_t threads[THREADS];
    struct world w;

    (void)unused;
    open_world(&w);
    log_ring_read(w.ring, &w.reader, MU_INFO, on_line, &w);
    for (size_t i = 0; i < THREADS; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%zu", i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    turns(&w, (size_t)THREADS * LINES); /* fewer than are kept: none is missed */
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(w.lines, THREADS * LINES);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_logged_comes_first_then_what_comes),
        cmocka_unit_test(only_the_last_are_kept),
        cmocka_unit_test(a_reader_may_stop_inside_of_a_line),
        cmocka_unit_test(all_threads_are_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
