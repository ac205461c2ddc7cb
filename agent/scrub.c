/* scrub.c - what lies on this server's disk is read again now and then, before somebody needs it
 * (spec/consensus.md 2.16).
 *
 *   due, or asked for --> STATE: all pages, all rows ------------------------ good --.
 *                           | damage: the state is made anew (state.c)                v
 *                           |                       .-- SURVEY: how do the segments lie?
 *                           v                       v
 *                         over <-- nothing more --- LOG: all batches, all records
 *                                                   | damage in segment n
 *                                                   v
 *                                     is n still there? SHED: the log goes on without it
 *
 * A segment that is damaged leaves the log as soon as the state durably has what was in it; until
 * that has happened it is asked for again. Nothing stops for it: neither this server nor a write.
 * So does one that the start has found damaged and can do without: the next start might not, when
 * the state was lost meanwhile, and nothing else need ever come that compacts an idle log.
 *
 * The reading is done by a thread that lives as long as one half of a pass, at an easy pace and
 * behind everybody else's requests to the disk. It is not given a lower share of the processor: it
 * holds locks of SQLite and of the heap for moments, and others would wait for those.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/operator.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/nudge.h"
#include "consensus/scrub.h"
#include "core.h"
#include "persist.h"
#include "proto/bell.h"
#include "scrub_work.h"

#define MODULE    "agent.scrub"
#define NOTE_NAME "scrub"
/* A start has other things to do, and a server that starts again and again would do nothing else.
 */
#define SOONEST_MS     60000U
#define SOONEST_SHARE  10U /* of a short interval */
#define SPREAD_SHARE   20U /* servers that started together do not read together */
#define SHED_AGAIN_MS  5000U
#define IO_CLASS_SHIFT 13
#define IO_CLASS_IDLE  3
#define IO_WHO_PROCESS 1

enum part {
    PART_NONE,
    PART_STATE,   /* the thread reads the state */
    PART_SURVEY,  /* the log thread says how its segments lie */
    PART_LOG,     /* the thread reads them */
    PART_CONFIRM, /* is the damaged one still there? */
};

struct scrub {
    struct agent *agent;
    struct timer due, again;
    char *note_path, *log_dir;
    int64_t next_s; /* when the next pass is due; 0: when asked for */

    enum part part;
    uint64_t passes, damages; /* since the start */
    uint64_t bytes;           /* read by this pass, or the last one */
    uint64_t behind;          /* segments up to this one need no look in this pass */
    uint64_t shedding;        /* the last one that was found damaged; 0: none, or it is gone */
    bool awaits_survey;       /* a log that stands still answers when it goes on */
    struct scrub_note note;
    struct mu_err error; /* why the last pass was given up */

    /* the thread's, while there is one */
    struct mu_bell *bell; /* NULL: there is none */
    pthread_t thread;
    struct mu_nudge stirred;
    atomic_bool is_over; /* give up */
    char *path;          /* PART_STATE: the state */
    uint64_t generation, bytes_per_s;
    uint32_t wal_bytes;              /* of the state */
    struct consensus_survey *survey; /* PART_LOG */
    uint64_t read_bytes;
    bool differs; /* pages are good, and rows do not add up */
    struct consensus_scrubbed found;
    struct mu_err err;
};

static int64_t wall_s(void)
{
    return (int64_t)(mu_clock_wall_ns() / MU_NS_PER_S);
}

/* -- the thread -------------------------------------------------------------------------------- */

static bool rest(void *self, uint64_t ms)
{
    struct scrub *s = self;

    if (ms > 0 && !atomic_load(&s->is_over)) {
        (void)mu_nudge_take(&s->stirred, ms);
    }
    return !atomic_load(&s->is_over);
}

static void *scrub_thread(void *data)
{
    struct scrub *s = data;
    const struct scrub_host host = { s, rest };
    struct scrub_pace pace = { .host = &host, .bytes_per_s = s->bytes_per_s };
    enum mu_code rc;

    /* A hint: not every scheduler of requests knows classes. */
    (void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_CLASS_IDLE << IO_CLASS_SHIFT);
    if (s->part == PART_STATE) {
        rc = scrub_state(s->path, &host, s->bytes_per_s, s->wal_bytes, &s->read_bytes, &s->differs,
                         &s->err);
    } else {
        rc = consensus_scrub(s->log_dir, s->survey, s->behind, scrub_pace, &pace, &s->found,
                             &s->err);
        s->read_bytes = s->found.bytes;
    }
    MU_ASSERT(rc == s->err.code);
    mu_bell_ring(s->bell);
    return NULL;
}

/* It has rung, or is told to give up. */
static void thread_end(struct scrub *s)
{
    if (s->bell == NULL) {
        return;
    }
    atomic_store(&s->is_over, true);
    mu_nudge(&s->stirred);
    MU_ASSERT(pthread_join(s->thread, NULL) == 0);
    mu_bell_close(s->bell, NULL, NULL);
    s->bell = NULL;
    s->bytes += s->read_bytes;
    mu_free(s->path);
    mu_free(s->survey);
    s->path = NULL;
    s->survey = NULL;
}

static void on_rung(void *data);

static void thread_begin(struct scrub *s, enum part part)
{
    sigset_t all, old;

    MU_ASSERT(s->bell == NULL);
    s->part = part;
    atomic_store(&s->is_over, false);
    s->err = MU_ERR_NONE;
    s->read_bytes = 0;
    s->found = (struct consensus_scrubbed){ .bytes = 0 };
    s->bytes_per_s = (uint64_t)s->agent->config->scrub.bytes_per_second;
    s->wal_bytes = s->agent->wal_bytes;
    s->bell = mu_bell_new(s->agent->loop, on_rung, s);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&s->thread, NULL, scrub_thread, s) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
}

/* -- a pass ------------------------------------------------------------------------------------ */

static void on_due(void *data);

/* From the end of the last one; of a clock that was set back, from now. */
static void schedule(struct scrub *s)
{
    uint64_t interval_ms = (uint64_t)s->agent->config->scrub.interval_ms;
    uint64_t soonest_ms = interval_ms / SOONEST_SHARE;
    uint64_t now_s = (uint64_t)wall_s();
    uint64_t last_s = s->note.last_s > 0 && s->note.last_s < now_s ? s->note.last_s : now_s;
    uint64_t since_ms = (now_s - last_s) * 1000;
    uint64_t wait_ms = since_ms < interval_ms ? interval_ms - since_ms : 0;

    if (interval_ms == 0) {
        return;
    }
    soonest_ms = soonest_ms < SOONEST_MS ? soonest_ms : SOONEST_MS;
    wait_ms = wait_ms > soonest_ms ? wait_ms : soonest_ms;
    wait_ms += mu_rand_below(&s->agent->rand, interval_ms / SPREAD_SHARE + 1);
    s->next_s = wall_s() + (int64_t)(wait_ms / 1000);
    timer_set(s->agent->timers, &s->due, wait_ms, on_due, s);
}

static void note_save(struct scrub *s)
{
    struct mu_buf text = MU_BUF_NONE;

    scrub_note_text(&s->note, &text);
    persist_note(s->agent->persist, s->note_path, &text);
}

static void pass_end(struct scrub *s, const struct mu_err *why)
{
    s->part = PART_NONE;
    s->error = *why;
    if (why->code == MU_OK) {
        s->passes++;
        s->note.last_s = (uint64_t)wall_s();
        note_save(s);
        mu_log(MU_INFO, MODULE, "State and log were read again, all of them",
               mu_kv_u("bytes", s->bytes), mu_kv_u("damages_ever_since_start", s->damages));
    } else {
        mu_log(MU_WARN, MODULE, "State and log could not be read again", mu_kv("error", why->text));
    }
    schedule(s);
}

static void damage_count(struct scrub *s, const char *what)
{
    s->damages++;
    s->note.found_s = (uint64_t)wall_s();
    (void)snprintf(s->note.found, sizeof s->note.found, "%s", what);
}

static void damage_note(struct scrub *s, const char *what)
{
    damage_count(s, what);
    note_save(s);
}

static void state_begin(struct scrub *s)
{
    s->path = mu_strdup(s->agent->state_path);
    s->generation = s->agent->generation;
    thread_begin(s, PART_STATE);
}

static void survey_ask(struct scrub *s, enum part part)
{
    s->part = part;
    consensus_driver_survey(s->agent->consensus);
}

static void state_done(struct scrub *s)
{
    struct agent *a = s->agent;

    if (s->generation != a->generation) { /* a snapshot has taken its place meanwhile */
        state_begin(s);
    } else if (s->err.code == MU_CORRUPT) {
        struct mu_err why = s->err;

        mu_log(MU_ERROR, MODULE, "The state is damaged", mu_kv("error", why.text));
        damage_note(s, why.text);
        if (s->differs) {
            apply_census(a->apply);
        }
        survey_ask(s, PART_SURVEY); /* alone, this server goes on */
        agent__state_damaged(a, why.text);
    } else if (s->err.code != MU_OK) {
        pass_end(s, &s->err);
    } else {
        apply_settle(a->apply); /* what our reading has kept from it */
        survey_ask(s, PART_SURVEY);
    }
}

static void log_done(struct scrub *s)
{
    if (s->err.code == MU_OK && s->found.segment != 0) {
        survey_ask(s, PART_CONFIRM);
    } else {
        pass_end(s, &s->err);
    }
}

static void on_rung(void *data)
{
    struct scrub *s = data;
    enum part part = s->part;

    thread_end(s);
    if (s->agent->phase >= AGENT_ENDING) {
        s->part = PART_NONE;
    } else if (part == PART_STATE) {
        state_done(s);
    } else {
        log_done(s);
    }
}

static void pass_begin(struct scrub *s)
{
    timer_cancel(&s->due);
    s->next_s = 0;
    s->bytes = 0;
    s->behind = 0;
    mu_log(MU_INFO, MODULE, "State and log are read again");
    state_begin(s);
}

/* It has a state, of a cluster, and goes on. */
static bool can_begin(const struct agent *a)
{
    struct consensus_status status;

    consensus_driver_status(a->consensus, &status);
    return status.voters_count > 0 && !a->lacks_state && a->phase == AGENT_RUNNING;
}

static void on_due(void *data)
{
    struct scrub *s = data;

    if (s->part == PART_NONE && can_begin(s->agent)) {
        pass_begin(s);
    } else {
        schedule(s);
    }
}

/* -- damage in the log ------------------------------------------------------------------------- */

static void shed(struct scrub *s)
{
    consensus_driver_shed(s->agent->consensus, s->shedding);
    apply_settle(s->agent->apply); /* or a state that rests might never be durable that far */
}

static void on_again(void *data)
{
    struct scrub *s = data;

    if (s->part == PART_NONE && !s->awaits_survey && can_begin(s->agent)) {
        s->awaits_survey = true;
        consensus_driver_survey(s->agent->consensus);
    }
    timer_set(s->agent->timers, &s->again, SHED_AGAIN_MS, on_again, s);
}

/* With this one all before it go. */
static void shedding_begin(struct scrub *s, uint64_t segment)
{
    s->shedding = segment > s->shedding ? segment : s->shedding;
    timer_set(s->agent->timers, &s->again, SHED_AGAIN_MS, on_again, s);
}

/* Whatever it was asked for: has the damaged segment gone? */
static void shedding_look(struct scrub *s, const struct consensus_survey *survey)
{
    if (s->shedding == 0 || s->part == PART_CONFIRM) {
        return;
    }
    if (consensus_survey_has(survey, s->shedding)) {
        shed(s);
        return;
    }
    mu_log(MU_WARN, MODULE, "The damaged segment has left the log, which goes on without it",
           mu_kv_u("segment", s->shedding));
    s->shedding = 0;
    timer_cancel(&s->again);
    note_save(s); /* what the start had found was not written down yet */
}

static void confirm(struct scrub *s, const struct consensus_survey *survey)
{
    s->behind = s->found.segment;
    if (consensus_survey_has(survey, s->found.segment)) {
        mu_log(MU_ERROR, MODULE,
               "The log is damaged: what is there goes from it as soon as the state has it",
               mu_kv("error", s->found.why));
        damage_note(s, s->found.why);
        shedding_begin(s, s->found.segment);
        shed(s);
    } /* else it was recycled, and all before it, too */
}

void agent__scrub_surveyed(struct agent *a, const struct consensus_survey *survey)
{
    struct scrub *s = a->scrub;

    if (s == NULL || a->phase >= AGENT_ENDING) {
        return;
    }
    s->awaits_survey = false;
    shedding_look(s, survey);
    if (s->part == PART_CONFIRM) {
        confirm(s, survey);
    }
    if (s->part == PART_CONFIRM || s->part == PART_SURVEY) {
        s->survey = consensus_survey_copy(survey);
        thread_begin(s, PART_LOG);
    }
}

/* -- what operators see, and ask for ----------------------------------------------------------- */

static const char *part_text(enum part part)
{
    switch (part) {
    case PART_NONE: return "";
    case PART_STATE: return "state";
    case PART_SURVEY:
    case PART_LOG:
    case PART_CONFIRM: return "log";
    }
    MU_UNREACHABLE_CODE();
}

void agent_scrub(const struct agent *a, struct agent_scrub *out)
{
    const struct scrub *s = a->scrub;

    *out = (struct agent_scrub){ .reading = "", .found = "", .error = "" };
    if (s == NULL) { /* it stops */
        return;
    }
    *out = (struct agent_scrub){ .reading = part_text(s->part),
                                 .bytes = s->bytes,
                                 .passes = s->passes,
                                 .damages = s->damages,
                                 .last_s = (int64_t)s->note.last_s,
                                 .next_s = s->next_s,
                                 .shedding = s->shedding != 0,
                                 .found_s = (int64_t)s->note.found_s,
                                 .found = s->note.found,
                                 .error = s->error.text };
}

enum mu_code agent_scrub_start(struct agent *a, struct mu_err *err)
{
    if (a->scrub != NULL && a->scrub->part != PART_NONE) {
        return MU_OK; /* it is under way */
    }
    if (a->scrub == NULL || !can_begin(a)) {
        return mu_fail(err, MU_BUSY, "this server has no state of its cluster yet, or stops");
    }
    pass_begin(a->scrub);
    return MU_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

enum mu_code agent__scrub_open(struct agent *a, struct mu_err *err)
{
    struct scrub *s = mu_new(sizeof *s);

    a->scrub = s;
    s->agent = a;
    s->note_path = agent__data_path(a, NOTE_NAME);
    s->log_dir = agent__data_path(a, "consensus");
    mu_nudge_init(&s->stirred);
    enum mu_code rc = scrub_note_read(s->note_path, &s->note, err);

    if (rc != MU_OK) {
        return rc;
    }
    const char *what;
    uint64_t segment = consensus_driver_damage(a->consensus, &what);

    if (segment != 0) { /* consensus says it aloud */
        damage_count(s, what);
        shedding_begin(s, segment);
    }
    schedule(s);
    return MU_OK;
}

void agent__scrub_close(struct agent *a)
{
    struct scrub *s = a->scrub;

    if (s == NULL) {
        return;
    }
    timer_cancel(&s->due);
    timer_cancel(&s->again);
    thread_end(s);
    mu_nudge_deinit(&s->stirred);
    mu_free(s->note_path);
    mu_free(s->log_dir);
    mu_free(s);
    a->scrub = NULL;
}
