/* Lines from several threads reach those who follow, each at its level and in its form, and the
 * last ones those who come later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include <uv.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/log.h"
#include "log_feed.h"

#define THREADS  3
#define PER_ONE  1000
#define TOO_MANY (LOG_FEED_MAX + 1000U)
#define ALL      (THREADS * PER_ONE)

struct heard {
    struct agent_log_follower *who;
    uint64_t lines, dropped, wanted; /* it ends itself with the last of these */
    size_t jsons;
    struct mu_buf text;
    bool is_done;
};

static void on_line(void *data, const struct agent_log_line *line)
{
    struct heard *h = data;

    assert_false(h->is_done);
    h->dropped += line->dropped;
    h->lines++;
    h->jsons += line->text.data[0] == '{';
    mu_buf_add_span(&h->text, line->text);
    mu_buf_add_byte(&h->text, '\n');
    if (h->lines + h->dropped >= h->wanted) { /* ends itself, from inside */
        h->is_done = true;
        log_feed_unfollow(h->who);
    }
}

static bool has_heard(struct heard *h, const char *words)
{
    return h->text.bytes > 0 && strstr(mu_buf_text(&h->text), words) != NULL;
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

struct world {
    uv_loop_t loop;
    struct log_feed *feed;
    struct heard h[3];
};

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->feed = log_feed_new(&w->loop);
}

static void end(struct world *w)
{
    log_feed_free(w->feed);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (size_t i = 0; i < MU_LEN(w->h); i++) {
        mu_buf_deinit(&w->h[i].text);
    }
}

static void follow(struct world *w, size_t i, enum mu_log_form form, enum mu_log_level level,
                   bool with_kept, uint64_t wanted)
{
    w->h[i].wanted = wanted;
    w->h[i].who = log_feed_follow(w->feed, form, level, with_kept, on_line, &w->h[i]);
}

static void run_until_done(struct world *w, size_t i)
{
    while (!w->h[i].is_done) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
}

static void everybody_hears_what_is_meant_for_them(void **state)
{
    pthread_t threads[THREADS];
    struct world w;

    (void)state;
    begin(&w);
    follow(&w, 0, MU_LOG_AS_TEXT, MU_DEBUG, false, 2 * ALL);
    follow(&w, 1, MU_LOG_AS_TEXT, MU_INFO, false, ALL);
    follow(&w, 2, MU_LOG_AS_JSON, MU_INFO, false, ALL);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, say, NULL), 0);
    }
    for (size_t i = 0; i < MU_LEN(w.h); i++) {
        run_until_done(&w, i);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    /* The loop may be slower than they are: what each lost of what is meant for it was counted. */
    assert_int_equal(w.h[0].lines + w.h[0].dropped, 2 * ALL);
    assert_int_equal(w.h[1].lines + w.h[1].dropped, ALL);
    assert_int_equal(w.h[2].lines + w.h[2].dropped, ALL);
    assert_int_equal(w.h[2].jsons, w.h[2].lines);
    assert_int_equal(w.h[0].jsons + w.h[1].jsons, 0);
    assert_false(mu_log_on(MU_DEBUG)); /* nobody pays for what nobody reads */
    end(&w);
}

static void the_oldest_of_what_is_too_much_is_lost(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    follow(&w, 0, MU_LOG_AS_TEXT, MU_INFO, false, TOO_MANY);
    follow(&w, 1, MU_LOG_AS_TEXT, MU_WARN, false, 1);
    (void)shout(NULL); /* on the loop's own thread: nothing is handed on meanwhile */
    assert_int_equal(w.h[0].lines + w.h[0].dropped, 0);
    mu_log(MU_WARN, "test", "Warned");
    run_until_done(&w, 1);
    run_until_done(&w, 0);
    assert_int_equal(w.h[0].lines, LOG_FEED_MAX - 1); /* and a line more than it wanted */
    assert_int_equal(w.h[0].dropped, TOO_MANY - LOG_FEED_MAX + 1);
    assert_int_equal(w.h[1].dropped, 0); /* it would not have heard those */
    end(&w);
}

static void long_lines_are_bounded_too(void **state)
{
    static char words[64 * 1024];
    struct world w;

    (void)state;
    begin(&w);
    memset(words, 'x', sizeof words - 1);
    follow(&w, 0, MU_LOG_AS_TEXT, MU_INFO, false, 100);
    for (unsigned i = 0; i < 100; i++) {
        mu_log(MU_INFO, "test", words);
    }
    run_until_done(&w, 0);
    assert_int_equal(w.h[0].lines, 15); /* of these 1 MiB has room for not quite 16 */
    assert_int_equal(w.h[0].dropped, 85);
    end(&w);
}

static void what_was_logged_comes_first_then_what_comes(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    mu_log(MU_INFO, "m", "before");
    mu_log(MU_DEBUG, "m", "too low to be kept");
    follow(&w, 0, MU_LOG_AS_TEXT, MU_DEBUG, true, 2);
    follow(&w, 1, MU_LOG_AS_TEXT, MU_INFO, false, 1);
    assert_int_equal(w.h[0].lines, 0); /* never from inside */
    mu_log(MU_DEBUG, "m", "low");
    mu_log(MU_TRACE, "m", "too low");
    mu_log(MU_INFO, "m", "after");
    run_until_done(&w, 0);
    run_until_done(&w, 1);
    assert_true(has_heard(&w.h[0], "m: before\n"));
    assert_true(has_heard(&w.h[0], "m: low\n"));
    assert_false(has_heard(&w.h[0], "too low"));
    assert_true(has_heard(&w.h[1], "m: after\n"));
    end(&w);
}

static void only_the_last_are_kept(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    for (unsigned i = 0; i < LOG_FEED_KEPT + 10; i++) {
        mu_log(MU_INFO, "m", "line", mu_kv_u("i", i));
    }
    follow(&w, 0, MU_LOG_AS_TEXT, MU_INFO, true, LOG_FEED_KEPT);
    follow(&w, 1, MU_LOG_AS_JSON, MU_INFO, true, 1); /* as text: nothing that was */
    run_until_done(&w, 0);
    assert_false(has_heard(&w.h[0], "i=9\n"));
    assert_true(has_heard(&w.h[0], "i=10\n"));
    assert_int_equal(w.h[0].dropped, 0); /* nobody had waited for them */
    assert_int_equal(w.h[1].lines, 0);
    end(&w);
}

static void a_follower_may_end_with_lines_that_wait(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    follow(&w, 0, MU_LOG_AS_TEXT, MU_INFO, false, 1);
    mu_log(MU_INFO, "m", "one");
    mu_log(MU_INFO, "m", "two");
    run_until_done(&w, 0);
    for (unsigned i = 0; i < 3; i++) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(w.h[0].lines, 1);
    follow(&w, 1, MU_LOG_AS_TEXT, MU_INFO, false, UINT64_MAX);
    mu_log(MU_INFO, "m", "Nobody hears this");
    end(&w);
    assert_int_equal(w.h[1].lines, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_hears_what_is_meant_for_them),
        cmocka_unit_test(the_oldest_of_what_is_too_much_is_lost),
        cmocka_unit_test(long_lines_are_bounded_too),
        cmocka_unit_test(what_was_logged_comes_first_then_what_comes),
        cmocka_unit_test(only_the_last_are_kept),
        cmocka_unit_test(a_follower_may_end_with_lines_that_wait),
    };

    mu_log_set_fd(-1);
    mu_log_set_level(MU_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
