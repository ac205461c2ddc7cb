/* Child processes: real ones of the shell. Nothing here takes time on purpose but what waits for
 * the end of those that will not end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "agent/process.h"
#include "base/assert.h"
#include "base/buf.h"

struct world {
    uv_loop_t loop;
    bool is_done;
    struct process_result result;
    struct mu_buf output, streamed;
    char why[64];
    uint64_t stop_at; /* cancel when that much was streamed; 0: never */
    struct process *process;
};

static void on_done(void *data, const struct process_result *result)
{
    struct world *w = data;

    assert_false(w->is_done);
    w->is_done = true;
    w->result = *result;
    mu_buf_add_span(&w->output, result->output);
    (void)snprintf(w->why, sizeof w->why, "%s", result->why);
}

static void on_output(void *data, struct mu_span bytes)
{
    struct world *w = data;

    mu_buf_add_span(&w->streamed, bytes);
    if (w->stop_at > 0 && w->streamed.bytes >= w->stop_at && w->process != NULL) {
        process_cancel(w->process);
        w->process = NULL;
    }
}

static void run(struct world *w, const char *script, struct process_options o)
{
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };

    assert_int_equal(uv_loop_init(&w->loop), 0);
    if (o.argv == NULL) {
        o.argv = argv;
    }
    o.output_bytes_max = o.output_bytes_max > 0 ? o.output_bytes_max : 8192;
    o.output = on_output;
    o.done = on_done;
    o.data = w;
    w->process = process_start(&w->loop, &o);
    assert_false(w->is_done);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void end(struct world *w)
{
    mu_buf_deinit(&w->output);
    mu_buf_deinit(&w->streamed);
}

static void what_it_gets_and_gives(void **state)
{
    struct mu_pair pairs[] = { { MU_SPAN_LIT("GREETING"), MU_SPAN_LIT("hello = you") },
                               { MU_SPAN_LIT("PATH"), MU_SPAN_LIT("/bin:/usr/bin") } };
    struct mu_pairs env = { pairs, 2 };
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "cat /dev/stdin; echo \"$GREETING $PATH $KEPT\"; echo oops >/dev/stderr; exit 3",
        (struct process_options){ .env = &env, .input = MU_SPAN_LIT("in\n") });
    assert_true(w.is_done);
    assert_int_equal(w.result.code, MU_OK);
    assert_int_equal(w.result.status, 3);
    assert_string_equal(w.why, "exit status 3");
    assert_string_equal(mu_buf_text(&w.output), "in\nhello = you /bin:/usr/bin kept\noops\n");
    assert_string_equal(mu_buf_text(&w.streamed), mu_buf_text(&w.output));
    assert_false(w.result.is_timed_out || w.result.left_others);
    end(&w);
}

static void nothing_of_ours_is_inherited(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    /* descriptors beyond three (ls opens one), its own group, no ignored signal */
    run(&w,
        "ls /proc/self/fd | tr '\\n' ' '; set -- $(cat /proc/$$/stat); [ $5 = $$ ] && echo leads;"
        " grep SigIgn /proc/$$/status | tr -d '\\n'",
        (struct process_options){ .timeout_ms = 0 });
    assert_string_equal(mu_buf_text(&w.output), "0 1 2 3 leads\nSigIgn:\t0000000000000000");
    end(&w);
}

static void one_that_does_not_read(void **state)
{
    struct mu_buf much = MU_BUF_NONE;
    struct world w = { .is_done = false };

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        mu_buf_add_text(&much, "0123456789");
    }
    run(&w, "echo ok", (struct process_options){ .input = mu_buf_span(&much) });
    assert_string_equal(mu_buf_text(&w.output), "ok\n");
    assert_int_equal(w.result.status, 0);
    end(&w);
    mu_buf_deinit(&much);
}

static void one_that_reads_all(void **state)
{
    struct mu_buf much = MU_BUF_NONE;
    struct world w = { .is_done = false };

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        mu_buf_add_text(&much, "0123456789");
    }
    run(&w, "wc -c", (struct process_options){ .input = mu_buf_span(&much) });
    assert_string_equal(mu_buf_text(&w.output), "500000\n");
    end(&w);
    mu_buf_deinit(&much);
}

static void a_flood_is_cut(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "head -c 1000000 /dev/zero | tr '\\0' x; echo end",
        (struct process_options){ .output_bytes_max = 1000 });
    assert_int_equal(w.result.output_bytes, 1000004);
    assert_int_equal(w.output.bytes, 1000);
    assert_memory_equal(mu_buf_text(&w.output) + 990, "xxxxxxend\n", 10);
    end(&w);
}

static bool is_gone(const struct mu_buf *said)
{
    long pid = strtol((const char *)said->data, NULL, 10);

    assert_true(pid > 1);
    for (;;) { /* killed is not yet gone: its new parent takes it away */
        if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
            return true;
        }
        char path[64], state = 0;

        (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
        FILE *f = fopen(path, "re");

        if (f == NULL || fscanf(f, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z') {
            if (f != NULL) {
                (void)fclose(f);
            }
            return true;
        }
        (void)fclose(f);
    }
}

static void its_time_is_over(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "sleep 1000 & echo $!; trap '' TERM INT; wait; wait",
        (struct process_options){ .timeout_ms = 300 });
    assert_true(w.result.is_timed_out);
    assert_int_equal(w.result.status, 128 + SIGKILL);
    assert_string_equal(w.why, "signal: killed");
    assert_true(mu_buf_text(&w.output)[0] != '\0');
    assert_true(is_gone(&w.output)); /* its child too */
    end(&w);
}

static void a_signal_ended_it(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "kill -TERM $$", (struct process_options){ .timeout_ms = 0 });
    assert_int_equal(w.result.status, 128 + SIGTERM);
    assert_string_equal(w.why, "signal: terminated");
    end(&w);
}

static void children_that_hold_its_output(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "sleep 1000 & echo $!", (struct process_options){ .timeout_ms = 0 });
    assert_true(w.result.left_others);
    assert_int_equal(w.result.status, 0);
    assert_true(is_gone(&w.output));
    end(&w);
}

/* They are out of reach, and keep nobody waiting. */
static void children_that_left_its_session(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "setsid sleep 1000 & echo $!", (struct process_options){ .timeout_ms = 0 });
    assert_true(w.result.left_others);
    assert_int_equal(w.result.status, 0);
    assert_int_equal(kill((pid_t)strtol(mu_buf_text(&w.output), NULL, 10), SIGKILL), 0);
    end(&w);
}

static void children_with_an_output_of_their_own(void **state)
{
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "sleep 1000 >/dev/null 2>&1 & echo $!", (struct process_options){ .timeout_ms = 0 });
    assert_false(w.result.left_others);
    assert_int_equal(kill((pid_t)strtol(mu_buf_text(&w.output), NULL, 10), SIGKILL), 0);
    end(&w);
}

static void what_cannot_be_started(void **state)
{
    const char *const argv[] = { "/does/not/exist", NULL };
    struct world w = { .is_done = false };

    (void)state;
    run(&w, "", (struct process_options){ .argv = argv });
    assert_true(w.is_done);
    assert_int_equal(w.result.code, MU_IO);
    assert_string_equal(w.why, "no such file or directory");
    end(&w);
}

static void cancelled(void **state)
{
    struct world w = { .is_done = false, .stop_at = 1 };

    (void)state;
    run(&w, "echo $$; sleep 1000", (struct process_options){ .timeout_ms = 0 });
    assert_false(w.is_done);
    assert_true(is_gone(&w.streamed));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_gets_and_gives),
        cmocka_unit_test(nothing_of_ours_is_inherited),
        cmocka_unit_test(one_that_does_not_read),
        cmocka_unit_test(one_that_reads_all),
        cmocka_unit_test(a_flood_is_cut),
        cmocka_unit_test(its_time_is_over),
        cmocka_unit_test(a_signal_ended_it),
        cmocka_unit_test(children_that_hold_its_output),
        cmocka_unit_test(children_that_left_its_session),
        cmocka_unit_test(children_with_an_output_of_their_own),
        cmocka_unit_test(what_cannot_be_started),
        cmocka_unit_test(cancelled),
    };

    (void)setenv("KEPT", "kept", 1);
    for (int fd = 3; fd < 1024; fd++) { /* what whoever started us left open */
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
