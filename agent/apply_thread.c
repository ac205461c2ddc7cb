/* apply_thread.c - the thread that takes the steps of apply.c, and how it reaches the loop. */
#include <pthread.h>
#include <signal.h>

#include "apply.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/nudge.h"
#include "proto/bell.h"

struct apply_thread {
    struct apply *apply;
    struct mu_bell *bell;
    pthread_t thread;
    struct mu_nudge mail;
};

/* Until there is mail, or the nap is over. A step may have left some: that is looked at first. And
 * nudges about what has to wait for room do not make the nap longer. */
static void mail_wait(struct apply_thread *t, uint64_t nap_ms)
{
    uint64_t until_ms = nap_ms == UINT64_MAX ? UINT64_MAX : mu_clock_ms() + nap_ms;
    uint64_t left_ms = nap_ms;

    while (!apply_has_mail(t->apply) && mu_nudge_take(&t->mail, left_ms)) {
        uint64_t now_ms = mu_clock_ms();

        left_ms = until_ms == UINT64_MAX ? UINT64_MAX : until_ms > now_ms ? until_ms - now_ms : 0;
    }
}

static void *apply_main(void *data)
{
    struct apply_thread *t = data;
    uint64_t nap_ms = UINT64_MAX;

    do {
        mail_wait(t, nap_ms);
    } while (apply_step(t->apply, &nap_ms));
    return NULL;
}

static void on_mail(void *self)
{
    struct apply_thread *t = self;

    mu_nudge(&t->mail);
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
    mu_nudge_deinit(&t->mail);
    mu_free(t);
}

struct apply *apply_new(struct uv_loop_s *loop, struct catalog *catalog, apply_done_fn *done,
                        apply_failed_fn *failed, apply_full_fn *full, void *data)
{
    struct apply_thread *t = mu_new(sizeof *t);
    struct apply_host host = { t, on_mail, on_report, on_join };
    sigset_t all, old;

    mu_nudge_init(&t->mail);
    t->bell = mu_bell_new(loop, on_woken, t);
    t->apply = apply_open(&host, catalog, done, failed, full, data);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&t->thread, NULL, apply_main, t) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return t->apply;
}
