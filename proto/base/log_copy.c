#include "log_copy.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct mu_buf waiting;
    uint64_t lost; /* lines, not yet told */
    bool is_open, is_closing, is_json;
    int fd;
} copy = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .changed = PTHREAD_COND_INITIALIZER,
           .waiting = MU_BUF_NONE };

static void add_lost(struct mu_buf *to, uint64_t lines, bool is_json)
{
    char when[MU_TIME_TEXT_MAX];

    mu_time_text(mu_clock_wall_ns(), 3, when);
    if (is_json) {
        mu_buf_addf(to,
                    "{\"@level\":\"warn\",\"@message\":\"The file of the log was too slow\","
                    "\"@module\":\"agent\",\"@timestamp\":\"%s\",\"lost\":%llu}\n",
                    when, (unsigned long long)lines);
    } else {
        mu_buf_addf(to, "%s [WARN]  agent: The file of the log was too slow: lost=%llu\n", when,
                    (unsigned long long)lines);
    }
}

/* All that waits; false: nothing does, and nothing will. */
static bool take(struct mu_buf *out)
{
    pthread_mutex_lock(&copy.lock);
    while (copy.waiting.bytes == 0 && copy.lost == 0 && !copy.is_closing) {
        pthread_cond_wait(&copy.changed, &copy.lock);
    }
    *out = copy.waiting;
    copy.waiting = MU_BUF_NONE;
    if (copy.lost > 0) {
        add_lost(out, copy.lost, copy.is_json);
        copy.lost = 0;
    }
    pthread_mutex_unlock(&copy.lock);
    return out->bytes > 0;
}

/* A file that takes nothing loses it: there is nobody else to tell. */
static void write_all(const struct mu_buf *lines)
{
    size_t done = 0;

    while (done < lines->bytes) {
        ssize_t n = write(copy.fd, lines->data + done, lines->bytes - done);

        if (n < 0 && errno != EINTR) {
            return;
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

static void *run(void *data)
{
    struct mu_buf lines = MU_BUF_NONE;

    (void)data;
    while (take(&lines)) {
        write_all(&lines);
        mu_buf_deinit(&lines);
    }
    mu_buf_deinit(&lines);
    return NULL;
}

void log_copy_put(const struct mu_buf *line, bool is_json)
{
    pthread_mutex_lock(&copy.lock);
    if (copy.waiting.bytes + line->bytes <= LOG_COPY_MAX) {
        mu_buf_add_span(&copy.waiting, mu_buf_span(line));
    } else {
        copy.lost++;
    }
    copy.is_json = is_json;
    pthread_cond_signal(&copy.changed);
    pthread_mutex_unlock(&copy.lock);
}

void log_copy_open(int fd)
{
    sigset_t all;
    sigset_t before;

    MU_ASSERT(!copy.is_open && fd >= 0);
    copy.fd = fd;
    copy.is_open = true;
    copy.is_closing = false;
    (void)sigfillset(&all); /* signals are for the loop */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    MU_ASSERT(pthread_create(&copy.thread, NULL, run, NULL) == 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void log_copy_close(void)
{
    if (!copy.is_open) {
        return;
    }
    pthread_mutex_lock(&copy.lock);
    copy.is_closing = true;
    pthread_cond_signal(&copy.changed);
    pthread_mutex_unlock(&copy.lock);
    (void)pthread_join(copy.thread, NULL);
    copy.is_open = false;
}
