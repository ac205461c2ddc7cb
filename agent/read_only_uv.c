/* read_only_uv.c - a server whose file system has become read-only while it runs.
 *
 * File systems do that when they meet an error, and operators when they repair. Nothing is wrong
 * with what this server holds: reads go on, writes are refused by name, and office goes to a server
 * that can write, as with a full disk (consensus/transfer.c). Log and state are not touched from
 * the first refused call on, for what that call has left behind is known only after opening them
 * again. So the way back is a new start in the same process, once a small file can be written and
 * flushed.
 *
 * What a flush refused may be lost although the kernel still shows it: the pages of the state are
 * given back before, so that the new start reads what the disk has. The log needs no such care: it
 * is proven batch by batch, and its last one is written again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

#define LOOK_MS    1000U
#define PROBE_NAME "writable"
#define PROBE_MODE 0600

struct read_only {
    struct agent *agent; /* NULL: it has let go */
    uint64_t since_ms;
    struct timer timer;
    uv_work_t work;
    bool is_looking;
    char *probe, *state, *wal;
    enum mu_code code; /* set on the pool */
};

static void read_only_free(struct read_only *r)
{
    mu_free(r->probe);
    mu_free(r->state);
    mu_free(r->wal);
    mu_free(r);
}

static void pages_drop(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}

/* On the pool: nothing is touched but this. */
static void on_look(uv_work_t *work)
{
    struct read_only *r = work->data;

    r->code = mu_file_replace(r->probe, MU_SPAN_NONE, PROBE_MODE, NULL);
    if (r->code == MU_OK) {
        r->code = mu_file_remove(r->probe, NULL);
    }
    if (r->code == MU_OK) {
        pages_drop(r->state);
        pages_drop(r->wal);
    }
}

static void look(void *data);

static void on_looked(uv_work_t *work, int status)
{
    struct read_only *r = work->data;

    MU_ASSERT(status == 0); /* nobody cancels */
    r->is_looking = false;
    if (r->agent == NULL) {
        read_only_free(r);
        return;
    }
    if (r->code != MU_OK) {
        timer_set(r->agent->timers, &r->timer, LOOK_MS, look, r);
        return;
    }
    mu_log(MU_INFO, "agent.server",
           "The file system of the data directory can be written again: this server starts over");
    agent__end(r->agent, AGENT_AGAIN);
}

static void look(void *data)
{
    struct read_only *r = data;

    r->is_looking = true;
    MU_ASSERT(uv_queue_work(r->agent->loop, &r->work, on_look, on_looked) == 0);
}

static void begin(struct agent *a, const char *why)
{
    struct read_only *r = mu_new(sizeof *r);
    size_t bytes = strlen(a->state_path) + sizeof "-wal";

    r->agent = a;
    r->since_ms = timers_now(a->timers);
    r->work.data = r;
    r->probe = agent__data_path(a, PROBE_NAME);
    r->state = mu_strdup(a->state_path);
    r->wal = mu_new(bytes);
    (void)snprintf(r->wal, bytes, "%s-wal", a->state_path);
    a->read_only = r;
    mu_log(MU_ERROR, "agent.server",
           "The file system of the data directory is read-only: reads go on, writes are refused. "
           "Look at the kernel's log and the disk; once it can be written, this server goes on by "
           "itself",
           mu_kv("data_dir", a->data.dir), mu_kv("error", why));
    timer_set(a->timers, &r->timer, LOOK_MS, look, r);
}

void agent__read_only(struct agent *a, const char *why)
{
    if (a->phase >= AGENT_ENDING) {
        return;
    }
    if (a->read_only == NULL) {
        begin(a, why);
    }
    agent__requests_read_only(a);
}

uint64_t agent__read_only_ms(const struct agent *a)
{
    return a->read_only != NULL ? timers_now(a->timers) - a->read_only->since_ms : 0;
}

void agent__read_only_close(struct agent *a)
{
    struct read_only *r = a->read_only;

    a->read_only = NULL;
    if (r == NULL) {
        return;
    }
    timer_cancel(&r->timer);
    r->agent = NULL;
    if (!r->is_looking) {
        read_only_free(r);
    }
}
