/* apply_thread.c - the thread that takes the steps of apply.c, and how it reaches the loop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "apply.h"
#include "base/assert.h"
#include "base/mem.h"
#include "proto/bell.h"

struct apply_thread {
    struct apply *apply;
    struct mu_bell *bell;
    pthread_t thread;
    pthread_mutex_t lock; /* of the condition only: mail is in apply.c */
    pthread_cond_t filled;
};

static struct timespec after_ms(uint64_t ms)
{
    struct timespec ts;

    MU_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    ts.tv_sec += (time_t)(ms / 1000);
    ts.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (ts.tv_nsec >= 1000000000L) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000L;
    }
    return ts;
}

static void mail_wait(struct apply_thread *t, uint64_t nap_ms)
{
    struct timespec until = after_ms(nap_ms == UINT64_MAX ? 0 : nap_ms);
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    while (rc == 0 && !apply_has_mail(t->apply)) {
        rc = nap_ms == UINT64_MAX ? pthread_cond_wait(&t->filled, &t->lock)
                                  : pthread_cond_timedwait(&t->filled, &t->lock, &until);
    }
    pthread_mutex_unlock(&t->lock);
}

static void *apply_main(void *data)
{
    struct apply_thread *t = data;
    uint64_t nap_ms = 0;

    mail_wait(t, UINT64_MAX);
    while (apply_step(t->apply, &nap_ms)) {
        mail_wait(t, nap_ms);
    }
    return NULL;
}

static void on_mail(void *self)
{
    struct apply_thread *t = self;

    pthread_mutex_lock(&t->lock); /* or it might look just before, and sleep just after */
    pthread_mutex_unlock(&t->lock);
    pthread_cond_signal(&t->filled); /* not under the lock: the woken would run into it at once */
}

static void on_report(void *self)
{
    struct apply_thread *t = self;

    mu_bell_ring(t->bell);
}

static void on_woken(void *data)
{
    struct apply_thread *t = data;

    apply_collect(t->apply);
}

static void on_join(void *self)
{
    struct apply_thread *t = self;

    MU_ASSERT(pthread_join(t->thread, NULL) == 0);
    mu_bell_close(t->bell, NULL, NULL);
    (void)pthread_cond_destroy(&t->filled);
    (void)pthread_mutex_destroy(&t->lock);
    mu_free(t);
}

static void condition_init(struct apply_thread *t)
{
    pthread_condattr_t attr;

    MU_ASSERT(pthread_mutex_init(&t->lock, NULL) == 0);
    MU_ASSERT(pthread_condattr_init(&attr) == 0);
    MU_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    MU_ASSERT(pthread_cond_init(&t->filled, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
}

struct apply *apply_new(struct uv_loop_s *loop, struct catalog *catalog, apply_done_fn *done,
                        apply_failed_fn *failed, apply_full_fn *full, void *data)
{
    struct apply_thread *t = mu_new(sizeof *t);
    struct apply_host host = { t, on_mail, on_report, on_join };
    sigset_t all, old;

    condition_init(t);
    t->bell = mu_bell_new(loop, on_woken, t);
    t->apply = apply_open(&host, catalog, done, failed, full, data);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&t->thread, NULL, apply_main, t) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return t->apply;
}
