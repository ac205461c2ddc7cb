#include "syslog.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"

#define PATH        "/dev/log"
#define LINE_BYTES  2048U /* longer ones are cut */
#define WAITING_MAX 1024U /* lines; a reader that stands still loses what comes then */
#define PATIENCE_S  1     /* a reader that takes nothing for so long: the line is lost */

/* Whoever logs puts lines into `waiting`; one thread takes them from there and sends. */
static struct syslog {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct mu_link waiting;
    size_t waiting_count;
    uint64_t lost; /* not yet told */
    bool is_open, is_closing;
    unsigned facility;
    const char *tag;
    /* the thread's, once it runs */
    int fd;        /* -1: to be connected again */
    bool is_stuck; /* the last line found nobody in time */
} syslog_to = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .fd = -1 };

struct waiting {
    struct mu_link place;
    struct mu_buf text;
};

static const struct {
    const char *name;
    unsigned number; /* RFC 3164 4.1.1 */
} facilities[] = {
    { "KERN", 0 },      { "USER", 1 },    { "MAIL", 2 },    { "DAEMON", 3 },  { "AUTH", 4 },
    { "SYSLOG", 5 },    { "LPR", 6 },     { "NEWS", 7 },    { "UUCP", 8 },    { "CRON", 9 },
    { "AUTHPRIV", 10 }, { "FTP", 11 },    { "LOCAL0", 16 }, { "LOCAL1", 17 }, { "LOCAL2", 18 },
    { "LOCAL3", 19 },   { "LOCAL4", 20 }, { "LOCAL5", 21 }, { "LOCAL6", 22 }, { "LOCAL7", 23 },
};

static const unsigned severities[] = {
    [MU_TRACE] = 7, [MU_DEBUG] = 7, [MU_INFO] = 6, [MU_WARN] = 4, [MU_ERROR] = 3,
};

static int connect_to(void)
{
    const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = PATH };
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
                    connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)) {
        int why = errno;

        (void)close(fd);
        errno = why;
        fd = -1;
    }
    return fd;
}

/* -- the lines --------------------------------------------------------------------------------- */

/* What stands behind stamp and level. */
static struct mu_span sentence_of(struct mu_span line)
{
    struct mu_span rest = line;
    bool has_level = false;

    (void)mu_span_split(line, ']', &rest, &has_level);
    rest = has_level ? rest : line;
    while (rest.bytes > 0 && rest.data[0] == ' ') {
        rest = mu_span_sub(rest, 1, rest.bytes);
    }
    return rest;
}

static void text_begin(struct syslog *s, enum mu_log_level level, struct mu_buf *text)
{
    time_t now = time(NULL);
    char stamp[32] = "";
    struct tm parts;

    if (localtime_r(&now, &parts) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &parts);
    }
    mu_buf_addf(text, "<%u>%s %s[%ld]: ", s->facility * 8 + severities[level], stamp, s->tag,
                (long)getpid());
}

static void waiting_free(struct waiting *w)
{
    mu_buf_deinit(&w->text);
    mu_free(w);
}

/* On any thread. */
static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    struct syslog *s = data;
    struct waiting *w = mu_new(sizeof *w);

    text_begin(s, level, &w->text);
    mu_buf_add_span(&w->text, mu_span_sub(sentence_of(line), 0, LINE_BYTES));
    pthread_mutex_lock(&s->lock);
    if (s->waiting_count < WAITING_MAX) {
        mu_list_push_back(&s->waiting, &w->place);
        s->waiting_count++;
        w = NULL;
    } else {
        s->lost++;
    }
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (w != NULL) {
        waiting_free(w);
    }
}

/* -- the thread -------------------------------------------------------------------------------- */

/* NULL: it is over, and everything is sent. */
static struct waiting *take(struct syslog *s, uint64_t *lost)
{
    struct waiting *w = NULL;

    pthread_mutex_lock(&s->lock);
    while (s->waiting_count == 0 && !s->is_closing) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    if (s->waiting_count > 0 && !(s->is_closing && s->is_stuck)) {
        w = MU_CONTAINER(mu_list_pop_front(&s->waiting), struct waiting, place);
        s->waiting_count--;
    }
    *lost = s->lost;
    s->lost = 0;
    pthread_mutex_unlock(&s->lock);
    return w;
}

/* Whoever listened may be gone, and another one there. False: the line is lost. */
static bool send_text(struct syslog *s, const struct mu_buf *text)
{
    bool is_sent = false;

    for (int tries = 0; tries < 2 && !is_sent; tries++) {
        s->fd = s->fd >= 0 ? s->fd : connect_to();
        is_sent = s->fd >= 0 && send(s->fd, text->data, text->bytes, MSG_NOSIGNAL) >= 0;
        if (is_sent || s->fd < 0 || errno == EAGAIN) {
            break;
        }
        (void)close(s->fd);
        s->fd = -1;
    }
    s->is_stuck = !is_sent;
    return is_sent;
}

static void lose(struct syslog *s, uint64_t lines)
{
    pthread_mutex_lock(&s->lock);
    s->lost += lines;
    pthread_mutex_unlock(&s->lock);
}

static void send_lost(struct syslog *s, uint64_t lost)
{
    struct mu_buf text = MU_BUF_NONE;

    text_begin(s, MU_WARN, &text);
    mu_buf_addf(&text, "agent: %llu lines were lost to syslog, it was too slow",
                (unsigned long long)lost);
    if (!send_text(s, &text)) {
        lose(s, lost);
    }
    mu_buf_deinit(&text);
}

static void *run(void *data)
{
    struct syslog *s = data;
    struct waiting *w;
    uint64_t lost;

    while ((w = take(s, &lost)) != NULL) {
        if (lost > 0) {
            send_lost(s, lost);
        }
        if (!send_text(s, &w->text)) {
            lose(s, 1);
        }
        waiting_free(w);
    }
    return NULL;
}

/* -- life -------------------------------------------------------------------------------------- */

enum mu_code syslog_open(const char *tag, const char *facility, enum mu_log_level level,
                         struct mu_err *err)
{
    size_t i = 0;

    while (i < MU_LEN(facilities) && strcasecmp(facilities[i].name, facility) != 0) {
        i++;
    }
    if (i == MU_LEN(facilities)) {
        return mu_fail(err, MU_INVALID, "invalid syslog facility: %s", facility);
    }
    syslog_to.fd = connect_to();
    if (syslog_to.fd < 0) {
        return mu_fail(err, MU_IO, "Unix syslog delivery error: connect " PATH ": %s",
                       strerror(errno));
    }
    syslog_to.facility = facilities[i].number;
    syslog_to.tag = tag;
    syslog_to.is_open = true;
    syslog_to.is_closing = false;
    mu_list_init(&syslog_to.waiting);
    MU_ASSERT(pthread_create(&syslog_to.thread, NULL, run, &syslog_to) == 0);
    mu_log_add_tap(MU_LOG_AS_TEXT, on_line, &syslog_to, level);
    return MU_OK;
}

void syslog_set_level(enum mu_log_level level)
{
    if (syslog_to.is_open) {
        mu_log_add_tap(MU_LOG_AS_TEXT, on_line, &syslog_to, level);
    }
}

/* What waits is sent first; of a reader that stands still that is one try. */
void syslog_close(void)
{
    struct syslog *s = &syslog_to;

    if (!s->is_open) {
        return;
    }
    mu_log_remove_tap(s);
    pthread_mutex_lock(&s->lock);
    s->is_closing = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    while (!mu_list_empty(&s->waiting)) {
        waiting_free(MU_CONTAINER(mu_list_pop_front(&s->waiting), struct waiting, place));
    }
    s->waiting_count = 0;
    s->is_open = false;
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
}
