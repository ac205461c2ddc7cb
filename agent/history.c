/* history.c - the history of keys is kept short: the steps of compaction.h, as commands.
 *
 * Each report of the apply thread says how long the history is. While this server leads, a step
 * that is due goes through the log like any write, one at a time: under a load of writes it has its
 * share of them, and the history stays as long as what is written during a few round trips.
 */
#include "base/log.h"
#include "base/mem.h"
#include "compaction.h"
#include "core.h"

struct history {
    struct compaction *compaction;
    struct timer timer;
    struct order *order; /* in flight; NULL: none */
};

struct order {
    struct agent *agent;
    struct compaction_step step;
    bool is_orphan; /* its time in office is over: only free */
};

static void run(void *data);

static void on_written(void *data, const struct agent_written *written)
{
    struct order *o = data;
    struct agent *a = o->agent;

    if (!o->is_orphan) {
        bool did_succeed = written->code == MU_OK;

        if (!did_succeed) {
            mu_log(MU_DEBUG, "agent.server", "a step of compaction failed",
                   mu_kv("error", written->text));
        }
        a->history->order = NULL;
        compaction_ended(a->history->compaction, &o->step, did_succeed, written->did_apply,
                         timers_now(a->timers));
        timer_set(a->timers, &a->history->timer, 0, run, a);
    }
    mu_free(o);
}

static void order_start(struct agent *a, const struct compaction_step *step)
{
    struct command c = { .kind = COMMAND_KV_COMPACT,
                         .kv_compact = { .space = 1,
                                         .versions_rev = step->versions_rev,
                                         .markers_rev = step->markers_rev,
                                         .rows = step->rows } };
    struct order *o = mu_new(sizeof *o);

    o->agent = a;
    o->step = *step;
    a->history->order = o;
    agent_write(a, &c, on_written, o);
}

static void run(void *data)
{
    struct agent *a = data;
    struct history *h = a->history;
    struct compaction_step step;
    uint64_t now_ms = timers_now(a->timers);

    if (a->phase >= AGENT_ENDING) {
        return;
    }
    if (compaction_due(h->compaction, now_ms, &step)) {
        order_start(a, &step);
    }
    uint64_t wake_ms = compaction_wake_ms(h->compaction);

    if (wake_ms > 0) {
        timer_set(a->timers, &h->timer, wake_ms > now_ms ? wake_ms - now_ms : 1, run, a);
    } else {
        timer_cancel(&h->timer);
    }
}

void agent__history_applied(struct agent *a, const struct catalog_history *now)
{
    struct history *h = a->history;

    compaction_note(h->compaction, now->rev, now->compacted_rev);
    if (h->order == NULL && now->rev >= now->compacted_rev + COMPACTION_STEP &&
        compaction_wake_ms(h->compaction) > 0) {
        run(a);
    }
}

void agent__history_lead(struct agent *a)
{
    compaction_lead(a->history->compaction, timers_now(a->timers));
    run(a);
}

void agent__history_rest(struct agent *a)
{
    struct history *h = a->history;

    compaction_rest(h->compaction);
    timer_cancel(&h->timer);
    if (h->order != NULL) {
        h->order->is_orphan = true;
        h->order = NULL;
    }
}

void agent__history_open(struct agent *a)
{
    a->history = mu_new(sizeof *a->history);
    a->history->compaction = compaction_new();
}

void agent__history_close(struct agent *a)
{
    if (a->history == NULL) {
        return;
    }
    agent__history_rest(a);
    compaction_free(a->history->compaction);
    mu_free(a->history);
    a->history = NULL;
}
