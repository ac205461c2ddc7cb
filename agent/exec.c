/* exec.c - programs that `consul exec` and `muster exec` send (agent-behaviour 11.2).
 *
 * An event `_rexec` names a prefix of the key-value store and a session. What is to be done lies
 * there; what comes of it goes there, in keys that the session holds:
 *
 *   <prefix>/<session>/job          read
 *   <prefix>/<session>/<node>/ack   ASKED    -> written once we begin
 *   .../<node>/out/00000, 00001 ... RUNNING  -> output, every FLUSH_MS or FLUSH_BYTES; empty when
 *                                               there was none for a while, to show that we live
 *   .../<node>/exit                 ENDED    -> its exit status
 *
 * A write that the store refuses says that the session is over: nobody is interested any more, and
 * the program is killed. Reads and writes go through our own HTTP port, on servers and clients
 * alike, one at a time; while one is under way no more than HELD_BYTES of output are taken.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "agent/http_client.h"
#include "agent/process.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "url.h"

#define JOBS_MAX      16 /* under way; more are turned down */
#define FLUSH_MS      500
#define FLUSH_BYTES   4096
#define HELD_BYTES    (64U * 1024)
#define HEARTBEAT_MS  2000 /* unless the job says how long its sender waits */
#define HEARTBEAT_MAX 60000
#define CALL_MS       30000 /* longer than a change of leaders takes */
#define SCRIPT_BYTES  (512U * 1024)
#define EXIT_FAILED   255 /* as the reference: it did not come to run */

/* A script may say by its first line who reads it: it becomes a file, by a program of its own. The
 * file has lost its name by then, so that nothing is left of it however it ends. */
#define RUN_SCRIPT                                                                        \
    "f=$(mktemp) && cat >\"$f\" && chmod 700 \"$f\" && exec 9<\"$f\" && rm -f \"$f\" && " \
    "exec /proc/self/fd/9 </dev/null; exit 255"

enum job_state { JOB_ASKED, JOB_RUNNING, JOB_ENDED };

struct job {
    struct mu_link place;
    struct execs *all;
    enum job_state state;
    struct mu_arena arena;
    const char *where; /* "<prefix>/<session>/", escaped */
    const char *session;
    const char *const *args; /* what is run */
    struct mu_span input;
    bool was_stale;              /* the job was looked for in the state of the nearest server */
    struct http_client *calling; /* NULL: nothing is under way */
    struct process *process;     /* NULL: not running */
    struct timer timer;
    struct mu_buf output;
    unsigned chunk;
    uint64_t heartbeat_ms, wrote_ms;
    int exit_status;
};

struct execs {
    struct agent *agent;
    struct mu_link jobs;
    size_t count;
    char *base; /* our own HTTP port */
};

static void go_on(struct job *job);

static void job_free(struct job *job)
{
    timer_cancel(&job->timer);
    if (job->calling != NULL) {
        http_client_cancel(job->calling);
    }
    if (job->process != NULL) {
        process_cancel(job->process);
    }
    mu_list_remove(&job->place);
    job->all->count--;
    mu_buf_deinit(&job->output);
    mu_arena_deinit(&job->arena);
    mu_free(job);
}

/* -- the store --------------------------------------------------------------------------------- */

static void call(struct job *job, const char *method, const char *key, const char *query,
                 struct mu_span body, http_client_fn *done)
{
    struct mu_buf url = MU_BUF_NONE;

    MU_ASSERT(job->calling == NULL);
    mu_buf_addf(&url, "%s/v1/kv/%s%s?%s", job->all->base, job->where, key, query);
    job->calling =
        http_client_start(job->all->agent->loop,
                          &(struct http_client_request){ .method = method,
                                                         .url = mu_buf_text(&url),
                                                         .body = body,
                                                         .timeout_ms = CALL_MS,
                                                         .body_bytes_max = SCRIPT_BYTES * 2 },
                          done, job);
    mu_buf_deinit(&url);
}

/* Under our own name, held by the session. */
static void put(struct job *job, const char *name, struct mu_span value, http_client_fn *done)
{
    struct mu_buf key = MU_BUF_NONE;
    struct mu_buf query = MU_BUF_NONE;

    url_escape(mu_span_text(job->all->agent->config->node_name), "", &key);
    mu_buf_addf(&key, "/%s", name);
    mu_buf_add_text(&query, "acquire=");
    url_escape(mu_span_text(job->session), "", &query);
    call(job, "PUT", mu_buf_text(&key), mu_buf_text(&query), value, done);
    mu_buf_deinit(&key);
    mu_buf_deinit(&query);
}

static bool was_put(enum mu_code code, const struct http_client_response *response)
{
    return code == MU_OK && response->status == 200 &&
           mu_span_starts(response->body, MU_SPAN_LIT("true"));
}

/* -- the end ----------------------------------------------------------------------------------- */

static void on_told(void *data, enum mu_code code, const struct http_client_response *response,
                    const struct mu_err *err)
{
    struct job *job = data;

    (void)code; /* who asked sees that nothing came */
    (void)response;
    (void)err;
    job->calling = NULL;
    job_free(job);
}

static void tell_exit(struct job *job)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%d", job->exit_status);
    mu_log(MU_INFO, "agent", "Remote exec ended", mu_kv("session", job->session),
           mu_kv_i("status", job->exit_status));
    put(job, "exit", mu_span_text(text), on_told);
}

/* Nobody hears us any more. */
static void give_up(struct job *job)
{
    mu_log(MU_WARN, "agent", "Remote exec is given up: its session is over",
           mu_kv("session", job->session));
    job_free(job);
}

/* -- the output -------------------------------------------------------------------------------- */

static void on_time(void *data)
{
    go_on(data);
}

static void on_flushed(void *data, enum mu_code code, const struct http_client_response *response,
                       const struct mu_err *err)
{
    struct job *job = data;

    (void)err;
    job->calling = NULL;
    if (!was_put(code, response)) {
        give_up(job);
        return;
    }
    if (job->process != NULL) {
        process_hold(job->process, job->output.bytes >= HELD_BYTES);
    }
    go_on(job);
}

static void flush(struct job *job)
{
    char name[32];
    struct mu_buf chunk = job->output;

    job->output = MU_BUF_NONE;
    job->wrote_ms = timers_now(job->all->agent->timers);
    (void)snprintf(name, sizeof name, "out/%05x", job->chunk++);
    put(job, name, mu_buf_span(&chunk), on_flushed);
    mu_buf_deinit(&chunk);
}

/* What is to be written now, or when to look again. */
static void go_on(struct job *job)
{
    struct timers *timers = job->all->agent->timers;
    uint64_t quiet_ms = timers_now(timers) - job->wrote_ms;
    bool is_ended = job->state == JOB_ENDED;
    uint64_t wait_ms = job->output.bytes > 0 ? FLUSH_MS : job->heartbeat_ms;

    timer_cancel(&job->timer);
    if (job->calling != NULL) {
        return; /* its answer brings us back */
    }
    if (is_ended && job->output.bytes == 0) {
        tell_exit(job);
    } else if (is_ended || job->output.bytes >= FLUSH_BYTES || quiet_ms >= wait_ms) {
        flush(job);
    } else {
        timer_set(timers, &job->timer, wait_ms - quiet_ms, on_time, job);
    }
}

static void on_output(void *data, struct mu_span bytes)
{
    struct job *job = data;

    mu_buf_add_span(&job->output, bytes);
    if (job->output.bytes >= HELD_BYTES) {
        process_hold(job->process, true);
    }
    go_on(job);
}

static void on_done(void *data, const struct process_result *result)
{
    struct job *job = data;

    job->process = NULL;
    job->state = JOB_ENDED;
    job->exit_status = result->code == MU_OK ? result->status : EXIT_FAILED;
    if (result->code != MU_OK) {
        mu_log(MU_WARN, "agent", "Remote exec could not be started", mu_kv("session", job->session),
               mu_kv("error", result->why));
    }
    go_on(job);
}

/* -- the job ----------------------------------------------------------------------------------- */

struct spec {
    struct mu_span command, script; /* script: base64 */
    struct mu_texts args;
    int64_t wait_ns;
};

#define AT(member) offsetof(struct spec, member)

static const struct mu_json_field spec_fields[] = {
    { "Command", { NULL }, MU_JSON_AS_TEXT, AT(command), NULL },
    { "Args", { NULL }, MU_JSON_AS_TEXTS, AT(args), NULL },
    { "Script", { NULL }, MU_JSON_AS_TEXT, AT(script), NULL },
    { "Wait", { NULL }, MU_JSON_AS_INT, AT(wait_ns), NULL },
};

#undef AT

static const struct mu_json_shape spec_shape = { .fields = spec_fields,
                                                 .fields_count = MU_LEN(spec_fields),
                                                 .bytes = sizeof(struct spec),
                                                 .is_loose = true };

static bool script_decode(struct mu_span base64, struct mu_arena *arena, struct mu_span *out)
{
    uint8_t *room = mu_arena_new(arena, base64.bytes + 1);
    size_t bytes = 0;

    if (base64.bytes > SCRIPT_BYTES ||
        sodium_base642bin(room, base64.bytes + 1, (const char *)base64.data, base64.bytes, NULL,
                          &bytes, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        return false;
    }
    *out = mu_span_of(room, bytes);
    return true;
}

/* NULL: there is nothing to run. */
static const char **args_of(struct job *job, const struct spec *spec)
{
    const char **args = mu_arena_array(&job->arena, spec->args.count + 4, sizeof *args);

    if (spec->script.bytes > 0 || spec->args.count == 0) {
        args[0] = "/bin/sh";
        args[1] = "-c";
        args[2] = spec->script.bytes > 0
                      ? RUN_SCRIPT
                      : mu_arena_text(&job->arena, spec->command.data, spec->command.bytes);
        return args[2][0] != '\0' ? args : NULL;
    }
    for (size_t i = 0; i < spec->args.count; i++) {
        args[i] = mu_arena_text(&job->arena, spec->args.items[i].data, spec->args.items[i].bytes);
    }
    return args;
}

static void run(struct job *job)
{
    job->state = JOB_RUNNING;
    job->wrote_ms = timers_now(job->all->agent->timers);
    job->process =
        process_start(job->all->agent->loop, &(struct process_options){ .argv = job->args,
                                                                        .input = job->input,
                                                                        .output = on_output,
                                                                        .done = on_done,
                                                                        .data = job });
    go_on(job);
}

static void on_acknowledged(void *data, enum mu_code code,
                            const struct http_client_response *response, const struct mu_err *err)
{
    struct job *job = data;

    (void)err;
    job->calling = NULL;
    if (!was_put(code, response)) {
        give_up(job);
        return;
    }
    mu_log(MU_INFO, "agent", "Remote exec begins", mu_kv("session", job->session),
           mu_kv("program", job->args[0]));
    run(job);
}

static void begin(struct job *job, struct mu_span body)
{
    struct spec spec = { .wait_ns = 0 };
    struct mu_err err = MU_ERR_NONE;
    bool is_sound = mu_json_read(body, &spec_shape, &spec, &job->arena, &err) == MU_OK &&
                    script_decode(spec.script, &job->arena, &job->input);

    job->args = is_sound ? args_of(job, &spec) : NULL;
    if (job->args == NULL) {
        mu_log(MU_WARN, "agent", "A remote exec job cannot be read", mu_kv("session", job->session),
               mu_kv("error", err.text));
        job_free(job);
        return;
    }
    int64_t wait_ms = spec.wait_ns / MU_NS_PER_MS;

    job->heartbeat_ms = wait_ms < FLUSH_MS        ? HEARTBEAT_MS
                        : wait_ms > HEARTBEAT_MAX ? HEARTBEAT_MAX
                                                  : (uint64_t)wait_ms;
    put(job, "ack", MU_SPAN_NONE, on_acknowledged);
}

static void on_job(void *data, enum mu_code code, const struct http_client_response *response,
                   const struct mu_err *err)
{
    struct job *job = data;
    bool is_there = code == MU_OK && response->status == 200;

    job->calling = NULL;
    if (is_there) {
        begin(job, response->body);
    } else if (job->was_stale) {
        job->was_stale = false; /* the nearest server may not have it yet */
        call(job, "GET", "job", "raw", MU_SPAN_NONE, on_job);
    } else {
        mu_log(MU_WARN, "agent", "A remote exec job is not to be had",
               mu_kv("session", job->session),
               mu_kv("error", code != MU_OK ? err->text : "there is no such key"));
        job_free(job);
    }
}

/* -- events ------------------------------------------------------------------------------------ */

struct order {
    struct mu_span prefix, session;
};

static const struct mu_json_field order_fields[] = {
    { "Prefix", { NULL }, MU_JSON_AS_TEXT, offsetof(struct order, prefix), NULL },
    { "Session", { NULL }, MU_JSON_AS_TEXT, offsetof(struct order, session), NULL },
};

static const struct mu_json_shape order_shape = { .fields = order_fields,
                                                  .fields_count = MU_LEN(order_fields),
                                                  .bytes = sizeof(struct order),
                                                  .is_loose = true };

static void job_open(struct execs *all, const struct order *order)
{
    struct job *job = mu_new(sizeof *job);
    struct mu_buf where = MU_BUF_NONE;

    mu_arena_init(&job->arena, 0);
    url_escape(order->prefix, "/", &where);
    mu_buf_add_byte(&where, '/');
    url_escape(order->session, "", &where);
    mu_buf_add_byte(&where, '/');
    job->where = mu_arena_strdup(&job->arena, mu_buf_text(&where));
    mu_buf_deinit(&where);
    job->session = mu_arena_text(&job->arena, order->session.data, order->session.bytes);
    job->all = all;
    job->was_stale = true;
    mu_list_push_back(&all->jobs, &job->place);
    all->count++;
    call(job, "GET", "job", "raw&stale", MU_SPAN_NONE, on_job);
}

void agent__exec(struct agent *a, struct mu_span payload)
{
    struct order order = { MU_SPAN_NONE, MU_SPAN_NONE };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    if (a->execs == NULL) {
        mu_log(MU_INFO, "agent", "ignoring remote exec event, disabled.");
        return;
    }
    mu_arena_init(&arena, 0);
    if (mu_json_read(payload, &order_shape, &order, &arena, &err) != MU_OK ||
        order.prefix.bytes == 0 || order.session.bytes == 0) {
        mu_log(MU_WARN, "agent", "A remote exec event cannot be read", mu_kv("error", err.text));
    } else if (a->execs->count >= JOBS_MAX) {
        mu_log(MU_WARN, "agent", "Too many remote execs are under way, one more is turned down");
    } else {
        job_open(a->execs, &order);
    }
    mu_arena_deinit(&arena);
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__exec_open(struct agent *a)
{
    struct mu_buf base = MU_BUF_NONE;

    if (a->config->disable_remote_exec) {
        return;
    }
    if (!agent__own_http(a, &base) || mu_span_starts(mu_buf_span(&base), MU_SPAN_LIT("unix:"))) {
        mu_log(MU_WARN, "agent", "Remote exec needs an HTTP port: it stays off");
        mu_buf_deinit(&base);
        return;
    }
    a->execs = mu_new(sizeof *a->execs);
    a->execs->agent = a;
    a->execs->base = mu_buf_take(&base, NULL);
    mu_list_init(&a->execs->jobs);
}

void agent__exec_close(struct agent *a)
{
    if (a->execs == NULL) {
        return;
    }
    while (!mu_list_empty(&a->execs->jobs)) {
        job_free(MU_CONTAINER(a->execs->jobs.next, struct job, place));
    }
    mu_free(a->execs->base);
    mu_free(a->execs);
    a->execs = NULL;
}
