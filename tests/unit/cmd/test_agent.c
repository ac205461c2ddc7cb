/* The process around an agent: order of start, what each signal does, exit codes, and that nothing
 * stays behind. The agent and the front doors are scripted here, so that each failure can be had;
 * real ones are met in tests/integration. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "agent/agent.h"
#include "agent/metrics.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli.h"
#include "scratch.h"
#include "web/web.h"

/* -- a scripted agent -------------------------------------------------------------------------- */

enum act { /* what happens once it runs */
           ACT_NOTHING,
           ACT_INTERRUPT,
           ACT_TERMINATE,
           ACT_TERMINATE_TWICE,
           ACT_HANGUP_THEN_TERMINATE,
           ACT_END_LEFT,
           ACT_END_FAILED,
};

static struct {
    bool new_fails, start_fails, web_fails, leave_hangs;
    enum act act;
    struct mu_buf calls; /* in their order */
} script;

struct agent {
    uv_loop_t *loop;
    struct agent_owner owner;
    uv_timer_t timer;
    bool was_hung_up;
    agent_done_fn *left;
    void *left_data;
};

static void note(const char *call)
{
    mu_buf_addf(&script.calls, "%s%s", script.calls.bytes > 0 ? " " : "", call);
}

enum mu_code agent_new(struct agent **out, struct uv_loop_s *loop, struct config *config,
                       const struct agent_owner *owner, struct mu_err *err)
{
    (void)config;
    note("agent_new");
    if (script.new_fails) {
        return mu_fail(err, MU_FOREIGN, "data_dir \"d\" is not of muster");
    }
    *out = mu_new(sizeof **out);
    (*out)->loop = loop;
    (*out)->owner = *owner;
    MU_ASSERT(uv_timer_init(loop, &(*out)->timer) == 0);
    (*out)->timer.data = *out;
    return MU_OK;
}

enum mu_code agent_start(struct agent *a, struct mu_err *err)
{
    (void)a;
    note("agent_start");
    return script.start_fails ? mu_fail(err, MU_IO, "no luck") : MU_OK;
}

static void on_act(uv_timer_t *timer)
{
    struct agent *a = timer->data;

    switch (script.act) {
    case ACT_NOTHING: return;
    case ACT_INTERRUPT: (void)raise(SIGINT); return;
    case ACT_TERMINATE_TWICE:
    case ACT_TERMINATE: (void)raise(SIGTERM); return;
    case ACT_HANGUP_THEN_TERMINATE:
        (void)raise(a->was_hung_up ? SIGTERM : SIGHUP);
        if (!a->was_hung_up) {
            a->was_hung_up = true;
            (void)uv_timer_start(timer, on_act, 1, 0);
        }
        return;
    case ACT_END_LEFT: a->owner.ended(a->owner.data, AGENT_LEFT); return;
    case ACT_END_FAILED: a->owner.ended(a->owner.data, AGENT_FAILED); return;
    }
}

void agent_reload(struct agent *a, agent_reloaded_fn *done, void *data)
{
    struct mu_err none = MU_ERR_NONE;

    (void)a;
    note("reload");
    done(data, MU_OK, "", &none);
}

void agent_print_metrics(struct agent *a, struct mu_buf *to)
{
    (void)a;
    (void)to;
    note("metrics");
}

void agent_join_configured(struct agent *a)
{
    note("join");
    (void)uv_timer_start(&a->timer, on_act, 0, 0);
}

void agent_join_first(struct agent *a, agent_join_first_fn *done, void *data)
{
    (void)done; /* of `serf agent`: tests/integration/test_serf_life.py */
    (void)data;
    agent_join_configured(a);
}

static void on_left(uv_timer_t *timer)
{
    struct agent *a = timer->data;
    struct mu_err none = MU_ERR_NONE;

    a->left(a->left_data, MU_OK, &none);
    a->owner.ended(a->owner.data, AGENT_LEFT);
}

void agent_leave(struct agent *a, agent_done_fn *done, void *data)
{
    note("leave");
    a->left = done;
    a->left_data = data;
    if (script.leave_hangs) {
        (void)uv_timer_start(&a->timer, on_act, 0, 0); /* the second signal */
    } else {
        (void)uv_timer_start(&a->timer, on_left, 0, 0);
    }
}

struct stopping {
    uv_idle_t idle; /* completes in a later turn, as the real one does */
    void (*stopped)(void *data);
    void *data;
};

static void on_closed(uv_handle_t *handle)
{
    mu_free(handle->data);
}

static void on_idle(uv_idle_t *idle)
{
    struct stopping *s = idle->data;

    s->stopped(s->data);
    uv_close((uv_handle_t *)idle, on_closed);
}

static void stop_later(uv_loop_t *loop, void (*stopped)(void *data), void *data)
{
    struct stopping *s = mu_new(sizeof *s);

    s->stopped = stopped;
    s->data = data;
    MU_ASSERT(uv_idle_init(loop, &s->idle) == 0);
    s->idle.data = s;
    (void)uv_idle_start(&s->idle, on_idle);
}

void agent_part(struct agent *a, agent_stopped_fn *done, void *data)
{
    note("part");
    stop_later(a->loop, done, data);
}

void agent_stop(struct agent *a, agent_stopped_fn *stopped, void *data)
{
    note("agent_stop");
    uv_timer_stop(&a->timer);
    stop_later(a->loop, stopped, data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    mu_free(handle->data);
}

void agent_free(struct agent *a)
{
    note("agent_free");
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

void agent_print_banner(const struct agent *a, struct mu_buf *to)
{
    (void)a;
    mu_buf_add_text(to, "==> Starting Consul agent...\n");
}

struct web {
    struct agent *agent;
};

struct web *web_new(struct agent *agent)
{
    struct web *w = mu_new(sizeof *w);

    note("web_new");
    w->agent = agent;
    return w;
}

enum mu_code web_start(struct web *w, struct mu_err *err)
{
    (void)w;
    note("web_start");
    return script.web_fails
               ? mu_fail(err, MU_IO, "listen tcp 127.0.0.1:8500: bind: address already in use")
               : MU_OK;
}

void web_stop(struct web *w, web_stopped_fn *stopped, void *data)
{
    note("web_stop");
    stop_later(w->agent->loop, stopped, data);
}

void web_free(struct web *w)
{
    if (w != NULL) {
        note("web_free");
        mu_free(w);
    }
}

/* -- running it -------------------------------------------------------------------------------- */

struct ran {
    int status;
    char *out, *err;
    struct mu_buf log;
};

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    struct mu_buf *log = data;
    size_t stamp = strlen("2026-11-20T08:40:54.958Z ");

    (void)level;
    mu_buf_add_span(log, mu_span_sub(line, stamp, line.bytes));
    mu_buf_add_byte(log, '\n');
}

static void run(struct ran *r, const char *const *args, int count)
{
    struct cli cli = { .in = stdin };
    size_t out_bytes = 0, err_bytes = 0;

    *r = (struct ran){ .log = MU_BUF_NONE };
    cli.out = open_memstream(&r->out, &out_bytes);
    cli.err = open_memstream(&r->err, &err_bytes);
    assert_true(cli.out != NULL && cli.err != NULL);
    mu_log_set_fd(-1);
    mu_log_set_tap(on_line, &r->log, MU_INFO);
    r->status = cli_main(&cli, count, args);
    mu_log_set_tap(NULL, NULL, MU_INFO);
    (void)fclose(cli.out);
    (void)fclose(cli.err);
}

static void ran_free(struct ran *r)
{
    free(r->out);
    free(r->err);
    mu_buf_deinit(&r->log);
    mu_buf_deinit(&script.calls);
}

#define ALL_CALLS \
    "agent_new agent_start web_new web_start join part web_stop agent_stop web_free agent_free"
#define WITH_RELOAD                                                                          \
    "agent_new agent_start web_new web_start join reload part web_stop agent_stop web_free " \
    "agent_free"
#define WITH_LEAVE                                                                          \
    "agent_new agent_start web_new web_start join leave part web_stop agent_stop web_free " \
    "agent_free"

static void every_end_has_its_status(void **state)
{
    static const struct {
        const char *why;
        bool is_server, start_fails, web_fails, leave_hangs;
        enum act act;
        int status;
        const char *calls, *log;
    } rows[] = {
        // clang-format off
        { "a client leaves on SIGTERM", false, false, false, false, ACT_TERMINATE, 0, WITH_LEAVE,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Caught: signal=terminated\n"
          "[INFO]  agent: Gracefully shutting down agent...\n"
          "[INFO]  agent: Exit code: code=0\n" },
        { "and on SIGINT", false, false, false, false, ACT_INTERRUPT, 0, WITH_LEAVE,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Caught: signal=interrupt\n"
          "[INFO]  agent: Gracefully shutting down agent...\n"
          "[INFO]  agent: Exit code: code=0\n" },
        { "a server does not on SIGINT", true, false, false, false, ACT_INTERRUPT, 1, ALL_CALLS,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Caught: signal=interrupt\n"
          "[INFO]  agent: Shutting down without leaving the cluster\n"
          "[INFO]  agent: Exit code: code=1\n" },
        { "nor on SIGTERM", true, false, false, false, ACT_TERMINATE, 1, ALL_CALLS,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Caught: signal=terminated\n"
          "[INFO]  agent: Shutting down without leaving the cluster\n"
          "[INFO]  agent: Exit code: code=1\n" },
        { "a second signal ends the leave", false, false, false, true, ACT_TERMINATE_TWICE, 1, WITH_LEAVE,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Caught: signal=terminated\n"
          "[INFO]  agent: Gracefully shutting down agent...\n"
          "[INFO]  agent: Caught: signal=terminated\n"
          "[INFO]  agent: Caught second signal, Exiting: signal=terminated\n"
          "[INFO]  agent: Exit code: code=1\n" },
        { "SIGHUP reads the configuration again", true, false, false, false, ACT_HANGUP_THEN_TERMINATE, 1, WITH_RELOAD,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Caught: signal=hangup\n"
          "[INFO]  agent: Caught: signal=terminated\n"
          "[INFO]  agent: Shutting down without leaving the cluster\n"
          "[INFO]  agent: Exit code: code=1\n" },
        { "left on request", false, false, false, false, ACT_END_LEFT, 0, ALL_CALLS,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Exit code: code=0\n" },
        { "the agent gives up", false, false, false, false, ACT_END_FAILED, 1, ALL_CALLS,
          "[INFO]  agent: Consul agent running!\n"
          "[INFO]  agent: Exit code: code=1\n" },
        { "the agent does not start", false, true, false, false, ACT_NOTHING, 1, "agent_new agent_start part agent_stop agent_free",
          "[ERROR] agent: Error starting agent: error=\"no luck\"\n"
          "[INFO]  agent: Exit code: code=1\n" },
        { "a port is taken", false, false, true, false, ACT_NOTHING, 1, "agent_new agent_start web_new web_start part web_stop agent_stop web_free agent_free",
          "[ERROR] agent: Error starting agent: error=\"listen tcp 127.0.0.1:8500: bind: address already in use\"\n"
          "[INFO]  agent: Exit code: code=1\n" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        const char *args[] = { "agent", "-data-dir", "d", "-bind=127.0.0.1",
                               rows[i].is_server ? "-server" : "-server=false" };
        struct ran r;

        script.start_fails = rows[i].start_fails;
        script.web_fails = rows[i].web_fails;
        script.leave_hangs = rows[i].leave_hangs;
        script.act = rows[i].act;
        run(&r, args, MU_LEN(args));
        if (r.status != rows[i].status || strcmp(mu_buf_text(&script.calls), rows[i].calls) != 0 ||
            strcmp(mu_buf_text(&r.log), rows[i].log) != 0) {
            fail_msg("%s: gave %d\n%s\n%s", rows[i].why, r.status, mu_buf_text(&script.calls),
                     mu_buf_text(&r.log));
        }
        assert_string_equal(r.out, "==> Starting Consul agent...\n");
        assert_string_equal(r.err, "");
        ran_free(&r);
    }
    script.start_fails = script.web_fails = script.leave_hangs = false;
}

static void what_is_wrong_before_the_banner_stands_on_stderr(void **state)
{
    const char *unknown[] = { "agent", "-foo" };
    const char *foreign[] = { "agent", "-data-dir", "d", "-bind=127.0.0.1" };
    const char *no_log[] = { "agent", "-dev", "-log-file=/nowhere/log" };
    struct ran r;

    (void)state;
    run(&r, unknown, MU_LEN(unknown));
    assert_int_equal(r.status, 1);
    assert_string_equal(r.err, "==> error parsing flags: flag provided but not defined: -foo\n");
    assert_string_equal(r.out, "");
    ran_free(&r);
    script.new_fails = true;
    run(&r, foreign, MU_LEN(foreign));
    script.new_fails = false;
    assert_int_equal(r.status, 1);
    assert_string_equal(r.err, "==> data_dir \"d\" is not of muster\n");
    assert_string_equal(r.out, "");
    ran_free(&r);
    run(&r, no_log, MU_LEN(no_log));
    assert_int_equal(r.status, 1);
    assert_string_equal(r.err, "==> log_file /nowhere/log: No such file or directory\n");
    ran_free(&r);
}

static void expect_in_file(const char *path, const char *text, bool is_there)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(mu_file_read(path, 1 << 20, &bytes, &err), MU_OK);
    assert_int_equal(strstr(mu_buf_text(&bytes), text) != NULL, is_there);
    mu_buf_deinit(&bytes);
}

static void the_log_file_is_appended_to_and_the_pid_file_removed(void **state)
{
    const char *dir = scratch_dir();
    char log_flag[80], pid_flag[80];
    const char *args[] = { "agent", "-dev", log_flag, pid_flag };
    struct mu_err err = MU_ERR_NONE;
    struct ran r;

    (void)state;
    (void)snprintf(log_flag, sizeof log_flag, "-log-file=%s/log", dir);
    (void)snprintf(pid_flag, sizeof pid_flag, "-pid-file=%s/pid", dir);
    script.act = ACT_END_LEFT;
    for (int i = 0; i < 2; i++) {
        run(&r, args, MU_LEN(args));
        assert_int_equal(r.status, 0);
        ran_free(&r);
    }
    const char *log = strchr(log_flag, '=') + 1, *pid = strchr(pid_flag, '=') + 1;
    struct mu_buf bytes = MU_BUF_NONE;

    expect_in_file(log, "[INFO]  agent: Consul agent running!", true);
    assert_int_equal(mu_file_read(log, 1 << 20, &bytes, &err), MU_OK);
    const char *first = strstr(mu_buf_text(&bytes), "Exit code");

    assert_non_null(first);
    assert_non_null(strstr(first + 1, "Exit code")); /* the second run did not begin anew */
    mu_buf_deinit(&bytes);
    assert_int_equal(access(pid, F_OK), -1);
    assert_int_equal(mu_dir_remove(dir, &err), MU_OK);
}

static enum mu_code expect_log(void *data, const char *name, struct mu_err *err)
{
    int *found = data;

    (void)err;
    *found += strncmp(name, "consul-", 7) == 0 && strstr(name, ".log") != NULL ? 1 : 100;
    return MU_OK;
}

static void a_log_file_may_be_a_directory(void **state)
{
    const char *dir = scratch_dir();
    char log_flag[80];
    const char *args[] = { "agent", "-dev", log_flag };
    struct mu_err err = MU_ERR_NONE;
    struct ran r;
    int found = 0;

    (void)state;
    (void)snprintf(log_flag, sizeof log_flag, "-log-file=%s/", dir);
    script.act = ACT_END_LEFT;
    run(&r, args, MU_LEN(args));
    assert_int_equal(r.status, 0);
    ran_free(&r);
    assert_int_equal(mu_dir_each(dir, expect_log, &found, &err), MU_OK);
    assert_int_equal(found, 1);
    assert_int_equal(mu_dir_remove(dir, &err), MU_OK);
}

static void a_pid_file_that_cannot_be_written_ends_the_start(void **state)
{
    const char *args[] = { "agent", "-dev", "-pid-file=/nowhere/pid" };
    struct ran r;

    (void)state;
    script.act = ACT_NOTHING;
    run(&r, args, MU_LEN(args));
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(mu_buf_text(&r.log), "Error starting agent: error=\"pid_file: "));
    assert_string_equal(mu_buf_text(&script.calls), "agent_new agent_free");
    ran_free(&r);
}

static void help_lists_the_flags(void **state)
{
    const char *args[] = { "agent", "-help" };
    struct ran r;

    (void)state;
    run(&r, args, MU_LEN(args));
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "  -data-dir=<value>\n"));
    assert_string_equal(mu_buf_text(&script.calls), "");
    ran_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_its_status),
        cmocka_unit_test(what_is_wrong_before_the_banner_stands_on_stderr),
        cmocka_unit_test(the_log_file_is_appended_to_and_the_pid_file_removed),
        cmocka_unit_test(a_log_file_may_be_a_directory),
        cmocka_unit_test(a_pid_file_that_cannot_be_written_ends_the_start),
        cmocka_unit_test(help_lists_the_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
