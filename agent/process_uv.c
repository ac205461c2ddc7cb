/* One child process.
 *
 *   RUNNING --- it ended ---> DRAINING --- end of its output, or LINGER_MS ---> DONE
 *      '-------- could not be started, output at its end ----------------------^
 *
 * libuv reaps the child before it tells us. From then on its pid may name somebody else, but not
 * while a process of its group is left: so a group whose leader is gone is ours (group_kill()).
 *
 * The pipes are pipes, not libuv's sockets: scripts open /dev/stdin and /dev/stderr.
 */
#include "agent/process.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#define PROCESS_MAGIC 0x70726f63U
#define READ_BYTES    (16U * 1024)
#define PACE_BYTES    (64U * 1024) /* then a pause: at most some 6 MB a second */
#define PACE_MS       10
#define LINGER_MS     2000 /* `exec > >(tee log)`: what the script itself started may end after it */

enum state {
    RUNNING,
    DRAINING,
    DONE,
};

struct process {
    uint32_t magic;
    enum state state;
    uv_process_t child;
    uv_pipe_t in, out;
    uv_timer_t limit, pace; /* limit: its time, then the linger */
    uv_write_t write;
    bool is_spawned, has_child, has_in, has_out;
    bool is_held, is_paused;
    unsigned handles; /* not yet closed */
    int pid;
    struct mu_buf input, kept;
    size_t kept_max;
    uint64_t output_bytes, since_pause;
    struct process_result result;
    char why[64];
    process_output_fn *output;
    process_done_fn *done; /* NULL: cancelled */
    void *data;
    char room[READ_BYTES];
};

static struct process *process_of(const uv_handle_t *handle)
{
    struct process *p = handle->data;

    MU_ASSERT(p->magic == PROCESS_MAGIC);
    return p;
}

/* -- the end ----------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct process *p = process_of(handle);

    MU_ASSERT(p->handles > 0);
    if (--p->handles > 0) {
        return;
    }
    mu_buf_deinit(&p->input);
    mu_buf_deinit(&p->kept);
    p->magic = 0;
    mu_free(p);
}

static void close_one(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, on_closed);
    }
}

static void close_in(struct process *p)
{
    if (p->has_in) {
        close_one((uv_handle_t *)&p->in);
    }
}

/* All of its session that is left. */
static void group_kill(const struct process *p, bool is_reaped)
{
    if (p->is_spawned && (!is_reaped || kill(p->pid, 0) != 0)) {
        (void)kill(-p->pid, SIGKILL);
    }
}

static void finish(struct process *p)
{
    MU_ASSERT(p->state != DONE);
    p->state = DONE;
    close_in(p);
    if (p->has_out) {
        close_one((uv_handle_t *)&p->out);
    }
    close_one((uv_handle_t *)&p->limit);
    close_one((uv_handle_t *)&p->pace);
    if (p->has_child) {
        close_one((uv_handle_t *)&p->child);
    }
    if (p->done != NULL) {
        size_t extra = p->kept.bytes > p->kept_max ? p->kept.bytes - p->kept_max : 0;

        p->result.output = mu_span_sub(mu_buf_span(&p->kept), extra, p->kept.bytes);
        p->result.output_bytes = p->output_bytes;
        p->done(p->data, &p->result);
    }
}

/* -- its output -------------------------------------------------------------------------------- */

static void keep(struct process *p, struct mu_span bytes)
{
    p->output_bytes += bytes.bytes;
    if (p->output != NULL && p->done != NULL) {
        p->output(p->data, bytes);
    }
    if (p->kept_max == 0) {
        return;
    }
    mu_buf_add_span(&p->kept, bytes);
    if (p->kept.bytes > p->kept_max + READ_BYTES) {
        mu_buf_drop(&p->kept, p->kept.bytes - p->kept_max);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct process *p = process_of(handle);

    (void)suggested;
    *buf = uv_buf_init(p->room, sizeof p->room);
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *buf);

static void on_pace(uv_timer_t *timer)
{
    struct process *p = process_of((uv_handle_t *)timer);

    p->since_pause = 0;
    p->is_paused = p->is_held;
    if (p->is_held) {
        return; /* process_hold() goes on */
    }
    (void)uv_read_start((uv_stream_t *)&p->out, on_room, on_read);
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *buf)
{
    struct process *p = process_of((uv_handle_t *)stream);

    if (bytes < 0) { /* everybody closed it */
        close_one((uv_handle_t *)&p->out);
        p->has_out = false;
        if (p->state == DRAINING) {
            finish(p);
        }
        return;
    }
    keep(p, mu_span_of(buf->base, (size_t)bytes));
    p->since_pause += (uint64_t)bytes;
    if (p->since_pause >= PACE_BYTES && !p->is_paused) {
        p->is_paused = true;
        (void)uv_read_stop(stream);
        (void)uv_timer_start(&p->pace, on_pace, PACE_MS, 0);
    }
}

void process_hold(struct process *p, bool is_held)
{
    MU_ASSERT(p->magic == PROCESS_MAGIC);
    if (p->is_held == is_held) {
        return;
    }
    p->is_held = is_held;
    if (!p->has_out || p->state == DONE) {
        return;
    }
    if (is_held) {
        (void)uv_timer_stop(&p->pace);
        (void)uv_read_stop((uv_stream_t *)&p->out);
        p->is_paused = true;
    } else {
        on_pace(&p->pace);
    }
}

/* -- how it ends ------------------------------------------------------------------------------- */

static void on_limit(uv_timer_t *timer)
{
    struct process *p = process_of((uv_handle_t *)timer);

    if (p->state == DRAINING && p->is_held) { /* what is there is still to be taken */
        (void)uv_timer_start(timer, on_limit, LINGER_MS, 0);
        return;
    }
    if (p->state == DRAINING) {
        p->result.left_others = true;
        group_kill(p, true);
        finish(p);
        return;
    }
    p->result.is_timed_out = true;
    group_kill(p, false); /* on_ended() follows */
}

static void on_ended(uv_process_t *child, int64_t status, int term_signal)
{
    struct process *p = process_of((uv_handle_t *)child);

    p->result.status = term_signal != 0 ? 128 + term_signal : (int)status;
    if (term_signal != 0) { /* "signal: killed", as Go has it */
        const char *name = strsignal(term_signal);

        (void)snprintf(p->why, sizeof p->why, "signal: %c%s", tolower(name[0]), name + 1);
    } else if (status != 0) {
        (void)snprintf(p->why, sizeof p->why, "exit status %d", (int)status);
    }
    close_in(p);
    p->state = DRAINING;
    if (!p->has_out || p->done == NULL) { /* a child that was cancelled has nobody to hear it */
        finish(p);
    } else {
        (void)uv_timer_start(&p->limit, on_limit, LINGER_MS, 0);
    }
}

static void on_refused(uv_timer_t *timer)
{
    finish(process_of((uv_handle_t *)timer));
}

int process_pid(const struct process *p)
{
    MU_ASSERT(p->magic == PROCESS_MAGIC);
    return p->state == RUNNING ? p->pid : 0;
}

void process_signal(struct process *p, int number)
{
    MU_ASSERT(p->magic == PROCESS_MAGIC);
    if (p->is_spawned && p->state == RUNNING) { /* not reaped yet: the number is still its own */
        (void)kill(-p->pid, number);
    }
}

void process_cancel(struct process *p)
{
    MU_ASSERT(p->magic == PROCESS_MAGIC && p->done != NULL);
    p->done = NULL;
    group_kill(p, p->state == DRAINING);
    if (p->state == DRAINING || !p->is_spawned) {
        finish(p);
    } /* else on_ended() comes: the child is reaped */
}

/* -- the start --------------------------------------------------------------------------------- */

static void on_written(uv_write_t *req, int status)
{
    struct process *p = process_of((uv_handle_t *)req->handle);

    (void)status; /* one that does not read ends the pipe: that is its right */
    close_in(p);
}

static bool is_named(const char *variable, struct mu_span name)
{
    return strncmp(variable, (const char *)name.data, name.bytes) == 0 &&
           variable[name.bytes] == '=';
}

static bool is_replaced(const char *variable, const struct mu_pairs *by)
{
    for (size_t i = 0; i < by->count; i++) {
        if (is_named(variable, by->items[i].key)) {
            return true;
        }
    }
    return false;
}

static char **environment(struct mu_arena *arena, const struct mu_pairs *more)
{
    static const struct mu_pairs none = { NULL, 0 };
    size_t count = 0;
    char **list;

    more = more != NULL ? more : &none;
    while (environ[count] != NULL) {
        count++;
    }
    list = mu_arena_array(arena, count + more->count + 1, sizeof *list);
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_replaced(environ[i], more)) {
            list[used++] = environ[i];
        }
    }
    for (size_t i = 0; i < more->count; i++) {
        list[used++] = mu_arena_printf(arena, "%.*s=%.*s", MU_SPAN_FMT(more->items[i].key),
                                       MU_SPAN_FMT(more->items[i].value));
    }
    return list;
}

/* Our end does not block, the child's does. */
static int pipes_open(struct process *p, const struct process_options *o, int in[2], int out[2])
{
    int rc = uv_pipe(in, 0, UV_NONBLOCK_PIPE);

    if (rc == 0 && !o->inherits_output) {
        rc = uv_pipe(out, UV_NONBLOCK_PIPE, 0);
    }
    if (rc == 0) {
        rc = uv_pipe_open(&p->in, in[1]);
        in[1] = rc == 0 ? -1 : in[1];
    }
    if (rc == 0 && !o->inherits_output) {
        rc = uv_pipe_open(&p->out, out[0]);
        out[0] = rc == 0 ? -1 : out[0];
    }
    return rc;
}

static void fd_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

static int spawn(struct process *p, uv_loop_t *loop, const struct process_options *o)
{
    int in[2] = { -1, -1 };
    int out[2] = { -1, -1 };
    struct mu_arena arena;
    int rc = pipes_open(p, o, in, out);

    mu_arena_init(&arena, 0);
    if (rc == 0) {
        uv_stdio_container_t stdio[3] = {
            { .flags = UV_INHERIT_FD, .data.fd = o->inherits_input ? 0 : in[0] },
            { .flags = UV_INHERIT_FD, .data.fd = o->inherits_output ? 1 : out[1] },
            { .flags = UV_INHERIT_FD, .data.fd = o->inherits_output ? 2 : out[1] },
        };
        const uv_process_options_t options = {
            .exit_cb = on_ended,
            .file = o->argv[0],
            .args = (char **)(uintptr_t)o->argv,
            .env = environment(&arena, o->env),
            .flags = UV_PROCESS_DETACHED, /* a session, so a group, of its own */
            .stdio_count = 3,
            .stdio = stdio,
        };

        rc = uv_spawn(loop, &p->child, &options);
        p->child.data = p;
        p->has_child = true; /* also one that failed is closed */
        p->handles++;
        p->is_spawned = rc == 0;
        p->pid = p->is_spawned ? p->child.pid : 0;
    }
    mu_arena_deinit(&arena);
    for (int i = 0; i < 2; i++) {
        fd_close(in[i]);
        fd_close(out[i]);
    }
    return rc;
}

static void feed(struct process *p, struct mu_span input)
{
    mu_buf_add_span(&p->input, input);
    uv_buf_t buf = uv_buf_init((char *)p->input.data, (unsigned)p->input.bytes);

    if (input.bytes == 0 || uv_write(&p->write, (uv_stream_t *)&p->in, &buf, 1, on_written) != 0) {
        close_in(p);
    }
}

static void handles_open(struct process *p, uv_loop_t *loop)
{
    (void)uv_pipe_init(loop, &p->in, 0);
    (void)uv_pipe_init(loop, &p->out, 0);
    (void)uv_timer_init(loop, &p->limit);
    (void)uv_timer_init(loop, &p->pace);
    p->in.data = p->out.data = p->limit.data = p->pace.data = p;
    p->has_in = p->has_out = true;
    p->handles = 4;
}

struct process *process_start(struct uv_loop_s *loop, const struct process_options *options)
{
    struct process *p = mu_new(sizeof *p);

    p->magic = PROCESS_MAGIC;
    p->kept_max = options->output_bytes_max;
    p->output = options->output;
    p->done = options->done;
    p->data = options->data;
    p->result.why = p->why;
    handles_open(p, loop);
    int rc = spawn(p, loop, options);

    if (rc != 0) {
        p->result.code = MU_IO;
        (void)snprintf(p->why, sizeof p->why, "%s", uv_strerror(rc));
        (void)uv_timer_start(&p->limit, on_refused, 0, 0);
        return p;
    }
    feed(p, options->input);
    if (options->inherits_output) {
        close_one((uv_handle_t *)&p->out);
        p->has_out = false;
    } else {
        (void)uv_read_start((uv_stream_t *)&p->out, on_room, on_read);
    }
    if (options->timeout_ms > 0) {
        (void)uv_timer_start(&p->limit, on_limit, options->timeout_ms, 0);
    }
    return p;
}
