#include "log_feed.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "core.h"
#include "proto/bell.h"

#define QUEUE_LINES_MAX 4096 /* a burst: the loop takes them with its next turn */
#define QUEUE_BYTES_MAX (1024U * 1024)

struct queued {
    struct mu_link place;
    enum mu_log_level level;
    enum mu_log_form form;
    size_t bytes;
    uint8_t line[];
};

struct agent_log_follower {
    struct mu_link place;
    struct log_feed *feed;
    enum mu_log_level level;
    enum mu_log_form form;
    agent_log_fn *line;
    void *data;
    bool is_gone; /* while lines are handed on: freed behind that */
};

struct log_feed {
    struct mu_bell *bell;
    struct mu_link followers;
    bool is_handing_on;
    pthread_mutex_t lock; /* of the following; whoever logs holds the log's own lock around it */
    struct mu_link queue;
    size_t lines, bytes;
    uint64_t dropped;
    struct feed_tap {
        struct log_feed *feed;
        enum mu_log_form form;
    } taps[MU_LOG_FORMS];
};

/* -- on any thread ----------------------------------------------------------------------------- */

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    const struct feed_tap *tap = data;
    struct log_feed *f = tap->feed;

    pthread_mutex_lock(&f->lock);
    if (f->lines >= QUEUE_LINES_MAX || f->bytes + line.bytes > QUEUE_BYTES_MAX) {
        f->dropped++;
    } else {
        struct queued *q = mu_new(sizeof *q + line.bytes);

        q->level = level;
        q->form = tap->form;
        q->bytes = line.bytes;
        memcpy(q->line, line.data, line.bytes);
        mu_list_push_back(&f->queue, &q->place);
        f->lines++;
        f->bytes += line.bytes;
    }
    pthread_mutex_unlock(&f->lock);
    mu_bell_ring(f->bell);
}

/* -- on the loop ------------------------------------------------------------------------------- */

static void hand_on(struct log_feed *f, const struct queued *q, uint64_t dropped)
{
    MU_LIST_EACH (link, &f->followers) {
        struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

        if (who->is_gone) {
            continue;
        }
        if (q == NULL) {
            who->line(who->data, MU_SPAN_NONE, dropped);
        } else if (q->level >= who->level && q->form == who->form) {
            who->line(who->data, mu_span_of(q->line, q->bytes), 0);
        }
    }
}

static void sweep(struct log_feed *f)
{
    MU_LIST_EACH_SAFE (link, &f->followers) {
        struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

        if (who->is_gone) {
            mu_list_remove(&who->place);
            mu_free(who);
        }
    }
}

static void on_bell(void *data)
{
    struct log_feed *f = data;
    struct mu_link taken;
    struct mu_link *link;
    uint64_t dropped;

    mu_list_init(&taken);
    pthread_mutex_lock(&f->lock);
    while ((link = mu_list_pop_front(&f->queue)) != NULL) {
        mu_list_push_back(&taken, link);
    }
    dropped = f->dropped;
    f->lines = f->bytes = 0;
    f->dropped = 0;
    pthread_mutex_unlock(&f->lock);

    f->is_handing_on = true;
    while ((link = mu_list_pop_front(&taken)) != NULL) {
        struct queued *q = MU_CONTAINER(link, struct queued, place);

        hand_on(f, q, 0);
        mu_free(q);
    }
    if (dropped > 0) {
        hand_on(f, NULL, dropped);
    }
    f->is_handing_on = false;
    sweep(f);
}

/* Listen as low as the lowest of those who follow, and not at all for nobody. */
static void taps_set(struct log_feed *f)
{
    for (unsigned form = 0; form < MU_LOG_FORMS; form++) {
        int lowest = MU_ERROR + 1;

        MU_LIST_EACH (link, &f->followers) {
            struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

            if (!who->is_gone && who->form == (enum mu_log_form)form && (int)who->level < lowest) {
                lowest = (int)who->level;
            }
        }
        if (lowest <= MU_ERROR) {
            mu_log_add_tap((enum mu_log_form)form, on_line, &f->taps[form],
                           (enum mu_log_level)lowest);
        } else {
            mu_log_remove_tap(&f->taps[form]);
        }
    }
}

struct agent_log_follower *log_feed_follow(struct log_feed *f, enum mu_log_level level,
                                           enum mu_log_form form, agent_log_fn *line, void *data)
{
    struct agent_log_follower *who = mu_new(sizeof *who);

    who->feed = f;
    who->level = level;
    who->form = form;
    who->line = line;
    who->data = data;
    mu_list_push_back(&f->followers, &who->place);
    taps_set(f);
    return who;
}

void log_feed_unfollow(struct agent_log_follower *who)
{
    struct log_feed *f = who->feed;

    MU_ASSERT(!who->is_gone);
    who->is_gone = true;
    taps_set(f);
    if (!f->is_handing_on) {
        sweep(f);
    }
}

/* -- of this agent
 * ----------------------------------------------------------------------------------- */

struct agent_log_follower *agent_log_follow(struct agent *a, enum mu_log_level level,
                                            enum mu_log_form form, agent_log_fn *line, void *data)
{
    return log_feed_follow(a->log_feed, level, form, line, data);
}

void agent_log_unfollow(struct agent_log_follower *who)
{
    log_feed_unfollow(who);
}

/* -- life -------------------------------------------------------------------------------------- */

struct log_feed *log_feed_new(struct uv_loop_s *loop)
{
    struct log_feed *f = mu_new(sizeof *f);

    mu_list_init(&f->followers);
    mu_list_init(&f->queue);
    for (unsigned form = 0; form < MU_LOG_FORMS; form++) {
        f->taps[form] = (struct feed_tap){ f, (enum mu_log_form)form };
    }
    int rc = pthread_mutex_init(&f->lock, NULL);

    MU_ASSERT(rc == 0);
    f->bell = mu_bell_new(loop, on_bell, f);
    return f;
}

void log_feed_free(struct log_feed *f)
{
    struct mu_link *link;

    if (f == NULL) {
        return;
    }
    MU_LIST_EACH (one, &f->followers) {
        MU_CONTAINER(one, struct agent_log_follower, place)->is_gone = true;
    }
    taps_set(f); /* behind this nobody rings */
    sweep(f);
    mu_bell_close(f->bell, NULL, NULL);
    while ((link = mu_list_pop_front(&f->queue)) != NULL) {
        mu_free(MU_CONTAINER(link, struct queued, place));
    }
    (void)pthread_mutex_destroy(&f->lock);
    mu_free(f);
}
