/* muster agent: from flags to a running agent, and its end.
 *
 *            SIGINT, SIGTERM with a leave                left
 *   RUNNING ------------------------------> LEAVING --------------> STOPPING --> the loop ends
 *      |                                      |  second signal,        ^
 *      |  signal without a leave, the agent   |  15 s: status 1        |
 *      '--- wants to end --------------------------------------------- '
 *
 * STOPPING gives leadership away, then closes what START opened, in the other order: the front
 * doors, the agent, our signals.
 * A signal in STOPPING, or 15 s of it, ends the process where it stands: who asks twice means it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "agent/agent.h"
#include "agent/metrics.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "commands.h"
#include "realtime.h"
#include "serf.h"
#include "syslog.h"
#include "web/web.h"

#define PATIENCE_MS 15000 /* agent-behaviour 1.2 */

#define BIT(state) (1U << (state))

enum state {
    RUNNING,
    LEAVING,
    STOPPING,
};

static const struct {
    const char *text;
    unsigned next; /* bit set of the states that may follow */
} states[] = {
    // clang-format off
    [RUNNING]  = { "running",  BIT(LEAVING) | BIT(STOPPING) },
    [LEAVING]  = { "leaving",  BIT(STOPPING) },
    [STOPPING] = { "stopping", 0 },
}; // clang-format on

static const struct {
    int number;
    const char *name; /* as Go shows it */
} signals[] = {
    { SIGHUP, "hangup" },
    { SIGINT, "interrupt" },
    { SIGTERM, "terminated" },
    { SIGUSR1, "user defined signal 1" },
};

struct process {
    uv_loop_t loop;
    uv_signal_t signals[MU_LEN(signals)];
    uv_timer_t patience;
    enum state state;
    int status; /* what the process will exit with */
    struct config *config;
    struct agent *agent;
    struct web *web;
    int log_fd;
    FILE *out; /* where `serf agent` says what it does */
    bool has_pid_file, has_started;
    bool starts_over; /* once it has ended */
};

/* -- the end ----------------------------------------------------------------------------------- */

static void move(struct process *p, enum state to)
{
    MU_ASSERT(states[p->state].next & BIT(to));
    mu_log(MU_DEBUG, "agent", "Process state changed", mu_kv("from", states[p->state].text),
           mu_kv("to", states[to].text));
    p->state = to;
}

static void on_patience(uv_timer_t *timer);

static void on_agent_stopped(void *data)
{
    struct process *p = data;

    for (size_t i = 0; i < MU_LEN(signals); i++) {
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&p->patience, NULL);
    uv_stop(&p->loop);
}

static void on_web_stopped(void *data)
{
    struct process *p = data;

    agent_stop(p->agent, on_agent_stopped, p);
}

static void on_parted(void *data)
{
    struct process *p = data;

    if (p->web != NULL) {
        web_stop(p->web, on_web_stopped, p);
    } else {
        on_web_stopped(p);
    }
}

static void stop(struct process *p, int status)
{
    move(p, STOPPING);
    if (p->config->serf.is_on) {
        mu_log(MU_INFO, "agent", "requesting serf shutdown");
    }
    p->status = status;
    (void)uv_timer_start(&p->patience, on_patience, PATIENCE_MS, 0);
    if (p->has_started) {
        agent_part(p->agent, on_parted, p);
    } else {
        on_agent_stopped(p);
    }
}

static void on_patience(uv_timer_t *timer)
{
    struct process *p = timer->data;

    if (p->state == LEAVING) {
        mu_log(MU_ERROR, "agent", "Leave on graceful exit timed out");
        stop(p, 1);
        return;
    }
    mu_log(MU_ERROR, "agent", "Shutdown does not end, exiting");
    _exit(1);
}

static void on_ended(void *data, enum agent_end how)
{
    struct process *p = data;

    if (p->state != STOPPING) {
        p->starts_over = how == AGENT_AGAIN;
        stop(p, how == AGENT_LEFT ? 0 : 1);
    }
}

/* -- signals ----------------------------------------------------------------------------------- */

static void on_left(void *data, enum mu_code code, const struct mu_err *err)
{
    (void)data; /* the agent says on_ended() when it is done */
    if (code != MU_OK) {
        mu_log(MU_ERROR, "agent", "Error on leave", mu_kv("error", err->text));
    }
}

static bool leaves_on(const struct config *c, int number)
{
    return number == SIGINT ? !c->skip_leave_on_interrupt : c->leave_on_terminate;
}

static void end_on(struct process *p, int number)
{
    if (!leaves_on(p->config, number)) {
        mu_log(MU_INFO, "agent", "Shutting down without leaving the cluster");
        stop(p, 1);
        return;
    }
    move(p, LEAVING);
    mu_log(MU_INFO, "agent", "Gracefully shutting down agent...");
    (void)uv_timer_start(&p->patience, on_patience, PATIENCE_MS, 0);
    agent_leave(p->agent, on_left, p);
}

/* As `serf agent` says it, beside the log (serf-surface 5). */
static void say(const struct process *p, const char *fmt, ...) MU_PRINTF(2, 3);
static void say(const struct process *p, const char *fmt, ...)
{
    va_list args;

    if (!p->config->serf.is_on) {
        return;
    }
    va_start(args, fmt);
    (void)fprintf(p->out, "==> ");
    (void)vfprintf(p->out, fmt, args);
    (void)fprintf(p->out, "\n");
    (void)fflush(p->out);
    va_end(args);
}

static void on_reloaded(void *data, enum mu_code code, const char *restart,
                        const struct mu_err *err)
{
    struct process *p = data;

    (void)restart; /* the agent has logged it, and how it went */
    if (code != MU_OK) {
        say(p, "%s", err->text);
        say(p, "Failed to reload configs");
        return;
    }
    syslog_set_level(p->config->log_level);
    if (p->config->serf.is_on) {
        serf_agent_log(p->config->log_level);
    }
}

/* To standard error, as Consul and Serf do it. */
static void print_metrics(struct process *p)
{
    struct mu_buf text = MU_BUF_NONE;

    if (p->state == RUNNING && p->web != NULL) {
        agent_print_metrics(p->agent, &text);
        (void)fwrite(text.data, 1, text.bytes, stderr);
        (void)fflush(stderr);
    }
    mu_buf_deinit(&text);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct process *p = handle->data;
    const char *name = "";

    if (number == SIGUSR1) {
        print_metrics(p);
        return;
    }

    for (size_t i = 0; i < MU_LEN(signals); i++) {
        name = signals[i].number == number ? signals[i].name : name;
    }
    mu_log(MU_INFO, "agent", "Caught", mu_kv("signal", name));
    say(p, "Caught signal: %s", name);
    if (number == SIGHUP) {
        if (p->state == RUNNING && p->web != NULL) {
            say(p, "Reloading configuration...");
            agent_reload(p->agent, on_reloaded, p);
        }
        return;
    }
    switch (p->state) {
    case RUNNING:
        if (leaves_on(p->config, number)) {
            say(p, "Gracefully shutting down agent...");
        }
        end_on(p, number);
        return;
    case LEAVING:
        mu_log(MU_INFO, "agent", "Caught second signal, Exiting", mu_kv("signal", name));
        stop(p, 1);
        return;
    case STOPPING: _exit(1);
    }
}

static enum mu_code watch_signals(struct process *p, struct mu_err *err)
{
    int rc = uv_timer_init(&p->loop, &p->patience);

    p->patience.data = p;
    for (size_t i = 0; i < MU_LEN(signals); i++) {
        int one = uv_signal_init(&p->loop, &p->signals[i]);

        p->signals[i].data = p;
        if (one == 0) {
            one = uv_signal_start(&p->signals[i], on_signal, signals[i].number);
        }
        rc = rc == 0 ? one : rc;
    }
    return rc == 0 ? MU_OK : mu_fail(err, MU_IO, "signals: %s", uv_strerror(rc));
}

/* -- the start --------------------------------------------------------------------------------- */

static enum mu_code open_log(struct process *p, struct mu_err *err)
{
    const struct config *c = p->config;

    mu_log_set_level(c->log_level);
    mu_log_set_json(c->log_json);
    if (c->enable_syslog) {
        const char *tag = c->serf.is_on ? "serf" : "consul";
        enum mu_code rc = syslog_open(tag, c->syslog_facility, c->log_level, err);

        if (rc != MU_OK) {
            return mu_wrap(err, rc, "Syslog setup failed");
        }
    }
    if (c->log_file == NULL) {
        return MU_OK;
    }
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_add_text(&path, c->log_file);
    if (path.bytes > 0 && path.data[path.bytes - 1] == '/') { /* a directory: as Consul names it */
        mu_buf_addf(&path, "consul-%lld.log", (long long)mu_clock_wall_ns());
    }
    p->log_fd = open(mu_buf_text(&path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    mu_buf_deinit(&path);
    if (p->log_fd < 0) {
        return mu_fail(err, MU_IO, "log_file %s: %s", c->log_file, strerror(errno));
    }
    mu_log_set_copy_fd(p->log_fd);
    return MU_OK;
}

static enum mu_code write_pid(struct process *p, struct mu_err *err)
{
    char text[32];

    if (p->config->pid_file == NULL) {
        return MU_OK;
    }
    (void)snprintf(text, sizeof text, "%lld", (long long)getpid());
    enum mu_code rc = mu_file_replace(p->config->pid_file, mu_span_text(text), 0644, err);

    p->has_pid_file = rc == MU_OK;
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "pid_file");
}

/* `serf agent` says so once it runs. */
static void print_banner(struct cli *cli, const struct process *p)
{
    struct mu_buf banner = MU_BUF_NONE;

    if (!p->config->serf.is_on) {
        agent_print_banner(p->agent, &banner);
        (void)fwrite(banner.data, 1, banner.bytes, cli->out);
        (void)fflush(cli->out); /* the log writes to the same place without a buffer */
        mu_buf_deinit(&banner);
    }
    for (size_t i = 0; i < p->config->warnings_count; i++) {
        mu_log(MU_WARN, "agent", p->config->warnings[i]);
    }
}

/* Nothing is logged before this has come, as with Serf (serf-surface 4). */
static void on_first_join(void *data, unsigned contacted, enum mu_code code, const char *why)
{
    struct process *p = data;

    if (p->state != RUNNING) {
        return;
    }
    if (code != MU_OK && code != MU_CONFLICT) {
        say(p, "%s", why);
        stop(p, 1);
        return;
    }
    if (code == MU_OK) {
        (void)fprintf(p->out, "    Join completed. Synced with %u initial agents\n", contacted);
    }
    serf_agent_show_log();
}

static void start_as_serf(struct process *p)
{
    mu_log(MU_INFO, "agent", "Serf agent starting");
    serf_agent_started(p->config);
    if (p->config->serf.start_join_count > 0) {
        say(p, "Joining cluster...(replay: %s)", p->config->serf.replays ? "true" : "false");
        agent_join_first(p->agent, on_first_join, p);
    } else {
        serf_agent_show_log();
        agent_join_configured(p->agent);
    }
}

/* The order of agent-behaviour 1.1: what others rely on comes up before them. */
static enum mu_code start(struct process *p, struct mu_err *err)
{
    enum mu_code rc = watch_signals(p, err);

    if (rc == MU_OK) {
        rc = write_pid(p, err);
    }
    if (rc == MU_OK) {
        p->has_started = true; /* whatever it says: it may hold things that must be stopped */
        rc = agent_start(p->agent, err);
    }
    if (rc == MU_OK) {
        p->web = web_new(p->agent);
        rc = web_start(p->web, err);
    }
    if (rc == MU_OK && p->config->serf.is_on) {
        start_as_serf(p);
    } else if (rc == MU_OK) {
        mu_log(MU_INFO, "agent", "Consul agent running!");
        agent_join_configured(p->agent);
    }
    return rc;
}

static void close_all(struct process *p)
{
    struct mu_err err = MU_ERR_NONE;

    web_free(p->web);
    agent_free(p->agent);
    (void)uv_run(&p->loop, UV_RUN_DEFAULT); /* the handles that were just closed */
    int rc = uv_loop_close(&p->loop);

    MU_ASSERT(rc == 0);
    if (p->has_pid_file && mu_file_remove(p->config->pid_file, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "Could not remove the pid file", mu_kv("error", err.text));
    }
}

/* From the banner on everything is told in the log. */
static int run(struct cli *cli, struct process *p)
{
    struct mu_err err = MU_ERR_NONE;

    print_banner(cli, p);
    if (start(p, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent", "Error starting agent", mu_kv("error", err.text));
        say(p, "%s", err.text);
        stop(p, 1);
    }
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    close_all(p);
    if (p->config->serf.is_on) {
        mu_log(MU_INFO, "agent", "shutdown complete");
    } else {
        mu_log(MU_INFO, "agent", "Exit code", mu_kv_i("code", p->status));
    }
    return p->status;
}

/* Serf says also this where it says the rest. */
static int refuse(struct cli *cli, const struct config *config, const char *why)
{
    (void)fprintf(config->serf.is_on ? cli->out : cli->err, "==> %s\n", why);
    return 1;
}

static int run_with_config(struct cli *cli, struct config *config, bool *starts_over)
{
    struct process p = { .config = config, .log_fd = -1, .out = cli->out };
    const struct agent_owner owner = { .ended = on_ended, .data = &p };
    struct mu_err err = MU_ERR_NONE;
    int status = 1;

    *starts_over = false;
    if (open_log(&p, &err) != MU_OK) {
        return refuse(cli, config, err.text);
    }
    if (config->is_realtime) {
        realtime_begin();
    }
    if (uv_loop_init(&p.loop) != 0) {
        status = refuse(cli, config, "the system gives no event loop");
    } else if (agent_new(&p.agent, &p.loop, config, &owner, &err) != MU_OK) {
        status = refuse(cli, config, err.text);
        (void)uv_run(&p.loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&p.loop);
    } else {
        status = run(cli, &p);
    }
    *starts_over = p.starts_over;
    syslog_close();
    mu_log_set_copy_fd(-1);
    if (p.log_fd >= 0) {
        (void)close(p.log_fd);
    }
    return status;
}

static int print_help(struct cli *cli)
{
    struct mu_buf text = MU_BUF_NONE;

    mu_buf_add_text(&text,
                    "Usage: muster agent [options]\n\n  Run an agent until it is told to end."
                    "\n\nCommand Options\n\n");
    config_print_flags(&text);
    (void)fwrite(text.data, 1, text.bytes, cli->out);
    mu_buf_deinit(&text);
    return 0;
}

int cmd_agent_run(struct cli *cli, struct config *config)
{
    bool starts_over = false;
    int status;

    do {
        status = run_with_config(cli, config, &starts_over);
    } while (starts_over);
    return status;
}

int cmd_agent(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct mu_err err = MU_ERR_NONE;
    struct config *config = NULL;
    bool wants_help = false;
    int status;

    (void)options;
    if (config_load(&config, argc, argv, &wants_help, &err) != MU_OK) {
        return cli_fail(cli, "==> %s", err.text);
    }
    if (wants_help) {
        return print_help(cli);
    }
    status = cmd_agent_run(cli, config);
    config_free(config);
    return status;
}
