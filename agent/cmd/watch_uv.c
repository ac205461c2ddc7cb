/* muster watch: once, or a program for every change, until it fails or we are told to end. */
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "agent/process.h"
#include "agent/watch.h"
#include "asker.h"
#include "base/assert.h"
#include "commands.h"

struct options {
    struct watch_plan plan;
    enum cli_switch shell;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "type",        CLI_TEXT,   AT(plan.type),         "key, keyprefix, services, nodes, service, checks or event." },
    { "key",         CLI_TEXT,   AT(plan.key),          "The key, of type key." },
    { "prefix",      CLI_TEXT,   AT(plan.prefix),       "The prefix, of type keyprefix." },
    { "service",     CLI_TEXT,   AT(plan.service),      "The service, of types service and checks." },
    { "tag",         CLI_TEXT,   AT(plan.tag),          "Only instances with this tag, of type service." },
    { "passingonly", CLI_TEXT,   AT(plan.passing_only), "true: only healthy instances, of type service." },
    { "state",       CLI_TEXT,   AT(plan.state),        "Only checks in this state, of type checks." },
    { "name",        CLI_TEXT,   AT(plan.name),         "Only events of this name, of type event." },
    { "shell",       CLI_SWITCH, AT(shell),             "Run the program by a shell; default: true." },
}; // clang-format on

#undef AT

const struct cli_options cmd_watch_options = CLI_OPTIONS(rows, struct options);

struct run {
    struct cli *cli;
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct watch *watch;
    struct process *process;
    const char *const *args; /* NULL: print once */
    bool has_heard;
    int status;
};

static void stop(struct run *r, int status)
{
    r->status = status;
    if (r->watch == NULL) {
        return;
    }
    watch_stop(r->watch);
    r->watch = NULL;
    if (r->process != NULL) {
        process_cancel(r->process);
        r->process = NULL;
    }
    for (size_t i = 0; i < MU_LEN(r->signals); i++) {
        uv_close((uv_handle_t *)&r->signals[i], NULL);
    }
}

static void on_ran(void *data, const struct process_result *result)
{
    struct run *r = data;

    r->process = NULL;
    if (result->code != MU_OK || result->status != 0) {
        stop(r, cli_fail(r->cli,
                         result->code != MU_OK ? "Error starting handler: %s"
                                               : "Error executing handler: %s",
                         result->why));
        return;
    }
    watch_next(r->watch);
}

static void on_changed(void *data, uint64_t index, struct mu_span json)
{
    struct run *r = data;
    char text[24];
    struct mu_pair pair = { MU_SPAN_LIT("CONSUL_INDEX"), MU_SPAN_NONE };
    const struct mu_pairs env = { &pair, 1 };

    r->has_heard = true;
    if (r->args == NULL) {
        (void)fwrite(json.data, 1, json.bytes, r->cli->out);
        stop(r, 0);
        return;
    }
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
    pair.value = mu_span_text(text);
    r->process = process_start(&r->loop, &(struct process_options){ .argv = r->args,
                                                                    .env = &env,
                                                                    .input = json,
                                                                    .inherits_output = true,
                                                                    .done = on_ran,
                                                                    .data = r });
}

/* An agent that never answered will not be there in 5 s; one that did is waited for. */
static void on_failed(void *data, const char *why)
{
    struct run *r = data;

    if (r->has_heard) {
        (void)cli_fail(r->cli, "Watch errored, it is tried again: %s", why);
    } else {
        stop(r, cli_fail(r->cli, "Error querying Consul agent: %s", why));
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data, 0);
}

static void run(struct run *r, const struct watch_plan *plan, const struct asker *asker)
{
    static const int numbers[] = { SIGINT, SIGTERM };

    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        (void)uv_signal_init(&r->loop, &r->signals[i]);
        r->signals[i].data = r;
        (void)uv_signal_start(&r->signals[i], on_signal, numbers[i]);
    }
    r->watch = watch_start(&r->loop, &(struct watch_options){ .plan = *plan,
                                                              .base = asker->base,
                                                              .headers = asker->headers,
                                                              .headers_count = asker->headers_count,
                                                              .is_pretty = r->args == NULL,
                                                              .changed = on_changed,
                                                              .failed = on_failed,
                                                              .data = r });
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
}

/* With a shell the words are one command. */
static const char *const *args_of(struct mu_arena *arena, bool has_shell, int argc,
                                  const char *const *argv)
{
    const char **args = mu_arena_array(arena, (size_t)argc + 4, sizeof *args);
    struct mu_buf line = MU_BUF_NONE;

    if (argc == 0) {
        return NULL;
    }
    for (int i = 0; i < argc; i++) {
        mu_buf_addf(&line, "%s%s", i > 0 ? " " : "", argv[i]);
        args[i] = argv[i];
    }
    if (has_shell) {
        args[0] = "/bin/sh";
        args[1] = "-c";
        args[2] = mu_arena_strdup(arena, mu_buf_text(&line));
        args[3] = NULL;
    }
    mu_buf_deinit(&line);
    return args;
}

int cmd_watch(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct watch_plan plan = o->plan;
    struct run r = { .cli = cli, .status = 1 };
    struct asker asker;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    if (watch_plan_check(&plan, &err) != MU_OK) {
        return cli_fail(cli, "%s", err.text);
    }
    if (asker_open(cli, &asker, &err) != MU_OK) {
        return cli_fail(cli, "Error connecting to Consul agent: %s", err.text);
    }
    mu_arena_init(&arena, 0);
    plan.datacenter = cli->client.datacenter;
    plan.is_stale = cli->client.is_stale;
    r.args = args_of(&arena, o->shell != CLI_OFF, argc, argv);
    if (uv_loop_init(&r.loop) == 0) {
        run(&r, &plan, &asker);
        int rc = uv_loop_close(&r.loop);

        MU_ASSERT(rc == 0);
    }
    mu_arena_deinit(&arena);
    asker_close(&asker);
    return r.status;
}
