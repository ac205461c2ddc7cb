/* Lines from several threads reach those who follow, each at its level and in its form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include <uv.h>

#include "base/assert.h"
#include "base/log.h"
#include "log_feed.h"

#define THREADS  3
#define PER_ONE  1000 /* together less than the queue holds */
#define TOO_MANY 6000
#define ALL      (THREADS * PER_ONE)

struct heard {
    struct agent_log_follower *who;
    uint64_t lines, dropped, wanted;
    size_t jsons;
    bool is_done;
};

static void on_line(void *data, struct mu_span line, uint64_t dropped)
{
    struct heard *h = data;

    assert_false(h->is_done);
    h->dropped += dropped;
    h->lines += line.bytes > 0;
    h->jsons += line.bytes > 0 && line.data[0] == '{';
    if (h->lines + h->dropped >= h->wanted) { /* ends itself, from inside */
        h->is_done = true;
        agent_log_unfollow(h->who);
    }
}

static void *say(void *data)
{
    for (unsigned i = 0; i < PER_ONE; i++) {
        mu_log(MU_DEBUG, "test", "Said", mu_kv_u("i", i));
        mu_log(MU_INFO, "test", "Said aloud", mu_kv_u("i", i));
    }
    return data;
}

static void *shout(void *data)
{
    for (unsigned i = 0; i < TOO_MANY; i++) {
        mu_log(MU_INFO, "test", "Shouted", mu_kv_u("i", i));
    }
    return data;
}

static void run_until(uv_loop_t *loop, const struct heard *h, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (!h[i].is_done) {
            (void)uv_run(loop, UV_RUN_ONCE);
        }
    }
}

static void end(uv_loop_t *loop, struct log_feed *feed)
{
    log_feed_free(feed);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void everybody_hears_what_is_meant_for_them(void **state)
{
    struct heard h[3] = { { .wanted = 2 * ALL }, { .wanted = ALL }, { .wanted = ALL } };
    pthread_t threads[THREADS];
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct log_feed *feed = log_feed_new(&loop);

    h[0].who = log_feed_follow(feed, MU_DEBUG, MU_LOG_AS_TEXT, on_line, &h[0]);
    h[1].who = log_feed_follow(feed, MU_INFO, MU_LOG_AS_TEXT, on_line, &h[1]);
    h[2].who = log_feed_follow(feed, MU_INFO, MU_LOG_AS_JSON, on_line, &h[2]);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, say, NULL), 0);
    }
    /* The loop may be slower than they are: what it lost it has counted, of both forms together. */
    while (!h[0].is_done && h[0].dropped == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    if (h[0].dropped == 0) {
        run_until(&loop, h, 3);
        assert_int_equal(h[0].lines, 2 * ALL);
        assert_int_equal(h[1].lines, ALL);
        assert_int_equal(h[2].jsons, ALL);
        assert_int_equal(h[0].jsons + h[1].jsons, 0);
        assert_false(mu_log_on(MU_DEBUG)); /* nobody listens any more */
    }
    end(&loop, feed);
}

static void what_is_too_much_is_counted(void **state)
{
    struct heard h = { .wanted = TOO_MANY };
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct log_feed *feed = log_feed_new(&loop);

    h.who = log_feed_follow(feed, MU_INFO, MU_LOG_AS_TEXT, on_line, &h);
    (void)shout(NULL); /* on the loop's own thread: nothing is handed on meanwhile */
    assert_int_equal(h.lines + h.dropped, 0);
    run_until(&loop, &h, 1);
    assert_true(h.dropped > 0 && h.lines > 0);
    assert_int_equal(h.lines + h.dropped, TOO_MANY);
    end(&loop, feed);
}

static void an_end_with_lines_that_wait(void **state)
{
    struct heard h = { .wanted = UINT64_MAX };
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct log_feed *feed = log_feed_new(&loop);

    h.who = log_feed_follow(feed, MU_INFO, MU_LOG_AS_TEXT, on_line, &h);
    mu_log(MU_INFO, "test", "Nobody hears this");
    end(&loop, feed);
    assert_int_equal(h.lines, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_hears_what_is_meant_for_them),
        cmocka_unit_test(what_is_too_much_is_counted),
        cmocka_unit_test(an_end_with_lines_that_wait),
    };

    mu_log_set_fd(-1);
    mu_log_set_level(MU_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
