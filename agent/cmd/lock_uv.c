/* muster lock: a program that runs while a lock is held (agent-behaviour 11.2).
 *
 *   session, renewed -> acquire -> the program, the lock being watched -> release
 *                          |            '- lost, or we are told to end: SIGTERM, then SIGKILL
 *                          '- -try is over, or we are told to end: nothing ran
 *
 * One thing after the other is waited for, with the loop running: timers, signals and the child
 * only say that it is not wanted any more (is_over).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "agent/http_client.h"
#include "agent/process.h"
#include "asker.h"
#include "base/assert.h"
#include "base/clock.h"
#include "commands.h"
#include "lock.h"
#include "lock_guard.h"

#define RENEW_MS   (LOCK_TTL_S * 1000U / 2)
#define AGAIN_MS   1000U /* a renewal that failed */
#define TTL_MS     (LOCK_TTL_S * 1000U)
#define RETRIES    3U
#define NUMBER_MAX 1000000U

struct options {
    const char *name, *try, *timeout, *limit, *retries;
    enum cli_switch shell;
    bool passes_input, is_childs_code, is_verbose;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "n",                CLI_TEXT,   AT(limit),          "How many may hold it at a time; default: 1." },
    { "name",             CLI_TEXT,   AT(name),           "The session's name; default: the command and the prefix." },
    { "try",              CLI_TEXT,   AT(try),            "Give up when it is not held after this time." },
    { "timeout",          CLI_TEXT,   AT(timeout),        "The same, as it was called before; 0: wait for ever." },
    { "monitor-retry",    CLI_TEXT,   AT(retries),        "How many errors of the agent in a row do not mean that it is lost; default: 3." },
    { "child-exit-code",  CLI_BOOL,   AT(is_childs_code), "Exit with the command's status." },
    { "pass-stdin",       CLI_BOOL,   AT(passes_input),   "The command reads our standard input." },
    { "shell",            CLI_SWITCH, AT(shell),          "Run the command by a shell; default: true." },
    { "verbose",          CLI_BOOL,   AT(is_verbose),     "Say more." },
}; // clang-format on

#undef AT

const struct cli_options cmd_lock_options = CLI_OPTIONS(rows, struct options);

struct run {
    struct lock lock; /* first: lock_ask() finds us by it */
    const struct options *options;
    struct asker asker;
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t limit, renew, pause;
    struct http_client *renewal; /* NULL: none under way */
    uint64_t renewed_ms;
    struct process *process; /* NULL: none runs */
    const char *program;     /* that it is */
    struct lock_guard guard;
    bool was_told; /* to end, by a signal */
    bool has_paused;
    int status; /* the child's */
};

/* -- waiting ----------------------------------------------------------------------------------- */

static bool gives_up(void *data)
{
    const struct lock *l = data;

    return l->is_over;
}

bool lock_ask(struct lock *l, struct cli_call *c)
{
    struct run *r = (struct run *)l;

    if (l->cli->client.datacenter != NULL) {
        cli_call_param(c, "dc", l->cli->client.datacenter);
    }
    if (l->is_over) {
        c->code = MU_CANCELLED;
        return false;
    }
    asker_ask(&r->asker, c, &r->loop, gives_up, l);
    return c->code == MU_OK && c->status == 200;
}

static void on_pause(uv_timer_t *timer)
{
    struct run *r = timer->data;

    r->has_paused = true;
}

void lock_pause(struct lock *l, uint64_t ms)
{
    struct run *r = (struct run *)l;

    r->has_paused = false;
    (void)uv_timer_start(&r->pause, on_pause, ms, 0);
    while (!r->has_paused && !l->is_over) {
        (void)uv_run(&r->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&r->pause);
}

static void on_limit(uv_timer_t *timer)
{
    struct run *r = timer->data;

    r->lock.is_over = true;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *r = handle->data;

    (void)number;
    r->was_told = true;
    r->lock.is_over = true;
}

/* -- the session's time ------------------------------------------------------------------------ */

static void on_renew(uv_timer_t *timer);

static void on_renewed(void *data, enum mu_code code, const struct http_client_response *response,
                       const struct mu_err *err)
{
    struct run *r = data;
    unsigned status = response != NULL ? response->status : 0;

    (void)err;
    r->renewal = NULL;
    if (code == MU_OK && status == 200) {
        r->renewed_ms = mu_clock_ms();
        (void)uv_timer_start(&r->renew, on_renew, RENEW_MS, 0);
    } else if (status == 404 || mu_clock_ms() - r->renewed_ms > TTL_MS) {
        r->lock.is_lost = true;
        r->lock.is_over = true;
    } else {
        (void)uv_timer_start(&r->renew, on_renew, AGAIN_MS, 0);
    }
}

static void on_renew(uv_timer_t *timer)
{
    struct run *r = timer->data;
    struct mu_buf target = MU_BUF_NONE;
    struct mu_buf url = MU_BUF_NONE;
    bool is_socket = r->asker.is_socket;

    mu_buf_addf(&target, "/v1/session/renew/%s", r->lock.session);
    mu_buf_addf(&url, "%s%s", r->asker.base, is_socket ? "" : mu_buf_text(&target));
    const struct http_client_request request = {
        .method = "PUT",
        .url = mu_buf_text(&url),
        .target = is_socket ? mu_buf_text(&target) : NULL,
        .headers = r->asker.headers,
        .headers_count = r->asker.headers_count,
        .timeout_ms = TTL_MS / 2,
    };

    r->renewal = http_client_start(&r->loop, &request, on_renewed, r);
    mu_buf_deinit(&target);
    mu_buf_deinit(&url);
}

static void renewals_begin(struct run *r)
{
    r->renewed_ms = mu_clock_ms();
    (void)uv_timer_start(&r->renew, on_renew, RENEW_MS, 0);
}

static void renewals_end(struct run *r)
{
    (void)uv_timer_stop(&r->renew);
    if (r->renewal != NULL) {
        http_client_cancel(r->renewal);
        r->renewal = NULL;
    }
}

/* -- the child --------------------------------------------------------------------------------- */

static void on_ended(void *data, const struct process_result *result)
{
    struct run *r = data;

    r->process = NULL;
    lock_guard_watch(&r->guard, 0);
    r->lock.is_over = true;
    r->status = result->code == MU_OK ? result->status : 1;
    if (result->code != MU_OK) {
        (void)cli_fail(r->lock.cli, "Error running handler: %s: %s", r->program, result->why);
    } else if (result->status != 0 && r->lock.is_verbose) {
        (void)cli_fail(r->lock.cli, "Handler ended: %s", result->why);
    }
}

/* With a shell the words are one command. */
static const char *const *args_of(struct mu_arena *arena, bool has_shell, const char *line,
                                  int argc, const char *const *argv)
{
    const char **args = mu_arena_array(arena, (size_t)argc + 4, sizeof *args);

    for (int i = 0; i < argc; i++) {
        args[i] = argv[i];
    }
    if (has_shell) {
        args[0] = "/bin/sh";
        args[1] = "-c";
        args[2] = line;
        args[3] = NULL;
    }
    return args;
}

static void child_start(struct run *r, const char *const *args)
{
    static const struct mu_pair held = { MU_SPAN_LIT("CONSUL_LOCK_HELD"), MU_SPAN_LIT("true") };
    const struct mu_pairs env = { (struct mu_pair *)(uintptr_t)&held, 1 };

    r->program = args[0];
    r->process = process_start(
        &r->loop, &(struct process_options){ .argv = args,
                                             .env = &env,
                                             .inherits_output = true,
                                             .inherits_input = r->options->passes_input,
                                             .done = on_ended,
                                             .data = r });
    lock_guard_watch(&r->guard, process_pid(r->process));
}

static void child_end(struct run *r)
{
    if (r->process == NULL) {
        return;
    }
    process_signal(r->process, SIGTERM);
    r->lock.is_over = false;
    lock_pause(&r->lock, LOCK_KILL_MS); /* its end cuts that short, and so does a second signal */
    if (r->process != NULL) {
        process_signal(r->process, SIGKILL);
    }
    while (r->process != NULL) {
        (void)uv_run(&r->loop, UV_RUN_ONCE);
    }
}

/* -- together ---------------------------------------------------------------------------------- */

static void say(const struct run *r, const char *text)
{
    if (r->lock.is_verbose) {
        (void)fprintf(r->lock.cli->out, "%s\n", text);
        (void)fflush(r->lock.cli->out); /* before what the command writes */
    }
}

/* While it is held. */
static void hold(struct run *r, const char *const *args)
{
    if (!lock_guard_open(&r->guard)) {
        (void)cli_fail(r->lock.cli, "When this process is killed, its command runs on: %s",
                       strerror(errno));
    }
    child_start(r, args);
    if (lock_monitor(&r->lock)) {
        (void)cli_fail(r->lock.cli, "Lock lost, killing child");
    } else if (r->was_told) {
        say(r, "Shutdown triggered, killing child");
    }
    child_end(r);
    lock_guard_close(&r->guard);
}

static int carry_out(struct run *r, const char *name, const char *const *args, uint64_t limit_ms)
{
    struct lock *l = &r->lock;
    bool is_held;

    if (limit_ms > 0) {
        (void)uv_timer_start(&r->limit, on_limit, limit_ms, 0);
    }
    if (!lock_session_create(l, name)) {
        return 1;
    }
    renewals_begin(r);
    say(r, "Attempting lock acquisition");
    is_held = lock_acquire(l);
    (void)uv_timer_stop(&r->limit);
    if (is_held && !l->is_over) {
        say(r, "Starting handler");
        hold(r, args);
    } else if (l->is_over) {
        is_held = false;
        (void)cli_fail(l->cli, l->is_lost
                                   ? "Lock acquisition failed: the session is gone"
                                   : "Shutdown triggered or timeout during lock acquisition");
    }
    l->is_over = false; /* what is left to do is done */
    renewals_end(r);
    lock_release(l);
    lock_session_destroy(l);
    return !is_held ? 1 : r->options->is_childs_code ? r->status : 0;
}

static void handles_open(struct run *r)
{
    static const int numbers[] = { SIGINT, SIGTERM };
    uv_timer_t *const timers[] = { &r->limit, &r->renew, &r->pause };

    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        (void)uv_signal_init(&r->loop, &r->signals[i]);
        r->signals[i].data = r;
        (void)uv_signal_start(&r->signals[i], on_signal, numbers[i]);
    }
    for (size_t i = 0; i < MU_LEN(timers); i++) {
        (void)uv_timer_init(&r->loop, timers[i]);
        timers[i]->data = r;
    }
}

static void handles_close(struct run *r)
{
    uv_handle_t *const all[] = { (uv_handle_t *)&r->signals[0], (uv_handle_t *)&r->signals[1],
                                 (uv_handle_t *)&r->limit, (uv_handle_t *)&r->renew,
                                 (uv_handle_t *)&r->pause };

    for (size_t i = 0; i < MU_LEN(all); i++) {
        uv_close(all[i], NULL);
    }
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&r->loop);

    MU_ASSERT(rc == 0);
}

static bool limit_read(struct cli *cli, const struct options *o, uint64_t *ms)
{
    const char *text = o->try != NULL ? o->
    try : o
        ->timeout;
    char why[128];
    int64_t ns = 0;

    if (text != NULL && !mu_duration_parse(mu_span_text(text), &ns, why, sizeof why)) {
        (void)cli_fail(cli, "Error parsing duration: %s", why);
        return false;
    }
    if (ns < 0 || (o->try != NULL && ns == 0)) {
        (void)cli_fail(cli, "Duration must be positive");
        return false;
    }
    *ms = ((uint64_t)ns + MU_NS_PER_MS - 1) / MU_NS_PER_MS;
    return true;
}

static bool number_read(const char *text, uint64_t fallback, uint64_t *out)
{
    *out = fallback;
    return text == NULL || (mu_span_u64(mu_span_text(text), out) && *out <= NUMBER_MAX);
}

static const char *line_of(struct mu_arena *arena, int argc, const char *const *argv)
{
    struct mu_buf line = MU_BUF_NONE;

    for (int i = 1; i < argc; i++) {
        mu_buf_addf(&line, "%s%s", i > 1 ? " " : "", argv[i]);
    }
    const char *text = mu_arena_strdup(arena, mu_buf_text(&line));

    mu_buf_deinit(&line);
    return text;
}

static int run(struct run *r, uint64_t limit_ms, int argc, const char *const *argv)
{
    struct lock *l = &r->lock;
    const char *line = line_of(&l->arena, argc, argv);
    const char *const *args =
        args_of(&l->arena, r->options->shell != CLI_OFF, line, argc - 1, argv + 1);
    const char *name = r->options->name;
    size_t bytes = strlen(argv[0]);

    while (bytes > 0 && argv[0][bytes - 1] == '/') {
        bytes--;
    }
    l->prefix = mu_arena_text(&l->arena, argv[0], bytes);
    if (name == NULL || name[0] == '\0') {
        name = mu_arena_printf(&l->arena, "Consul lock for '%s' at '%s'", line, argv[0]);
    }
    if (uv_loop_init(&r->loop) != 0) {
        return cli_fail(l->cli, "the system gives no event loop");
    }
    handles_open(r);
    int status = carry_out(r, name, args, limit_ms);

    handles_close(r);
    return status;
}

int cmd_lock(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct run r = { .lock = { .cli = cli }, .options = o };
    struct mu_err err = MU_ERR_NONE;
    uint64_t limit_ms = 0;

    if (argc < 2) {
        return cli_fail(cli, "Key prefix and child command must be specified");
    }
    if (argv[0][0] == '\0') {
        return cli_fail(cli, "Key prefix must not be empty");
    }
    if (argv[0][0] == '/') {
        return cli_fail(cli, "Key prefix must not begin with a '/'");
    }
    if (!number_read(o->limit, 1, &r.lock.limit) || r.lock.limit == 0) {
        return cli_fail(cli, "Lock holder limit must be between 1 and %u, not \"%s\"", NUMBER_MAX,
                        o->limit);
    }
    if (!number_read(o->retries, RETRIES, &r.lock.retries)) {
        return cli_fail(cli, "Number for 'monitor-retry' must be between 0 and %u, not \"%s\"",
                        NUMBER_MAX, o->retries);
    }
    if (!limit_read(cli, o, &limit_ms)) {
        return 1;
    }
    if (asker_open(cli, &r.asker, &err) != MU_OK) {
        return cli_fail(cli, "Error connecting to Consul agent: %s", err.text);
    }
    mu_arena_init(&r.lock.arena, 0);
    mu_arena_init(&r.lock.scratch, 0);
    r.lock.is_verbose = o->is_verbose;
    int status = run(&r, limit_ms, argc, argv);

    mu_arena_deinit(&r.lock.arena);
    mu_arena_deinit(&r.lock.scratch);
    asker_close(&r.asker);
    return status;
}
