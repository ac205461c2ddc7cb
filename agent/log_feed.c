#include "log_feed.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "core.h"
#include "proto/bell.h"

#define BYTES_MAX   (1024U * 1024) /* of lines that wait in a form */
#define KEPT_BYTES  (256U * 1024)
#define BATCH_LINES 256U /* to one follower in one turn */

struct line {
    struct mu_link place;
    enum mu_log_level level;
    uint64_t wall_ns;
    size_t bytes;
    uint8_t text[];
};

struct agent_log_follower {
    struct mu_link place;
    struct log_feed *feed;
    enum mu_log_form form;
    enum mu_log_level level;
    agent_log_fn *line;
    void *data;
    /* the lock's */
    struct line *next; /* NULL: it has everything */
    uint64_t dropped;  /* lost before that */
};

struct stream { /* the lines of a form, the oldest first */
    struct log_feed *feed;
    enum mu_log_form form;
    struct mu_link lines;
    size_t count, bytes;
};

struct log_feed {
    struct mu_bell *bell;
    size_t followers_count;
    struct agent_log_follower *told; /* who is being told just now; NULL: nobody, or it has gone */
    pthread_mutex_t lock; /* of the following; whoever logs holds the log's own lock around it */
    struct mu_link followers;
    struct stream streams[MU_LOG_FORMS];
};

/* -- lines, under the lock ----------------------------------------------------------------------
 */

static struct line *line_behind(const struct stream *st, const struct line *l)
{
    return l->place.next == &st->lines ? NULL : MU_CONTAINER(l->place.next, struct line, place);
}

static bool is_awaited(const struct stream *st, const struct line *l)
{
    MU_LIST_EACH (link, &st->feed->followers) {
        if (MU_CONTAINER(link, struct agent_log_follower, place)->next == l) {
            return true;
        }
    }
    return false;
}

/* The oldest line goes; who did not have it has lost it. */
static void line_drop(struct stream *st, struct line *l)
{
    MU_LIST_EACH (link, &st->feed->followers) {
        struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

        if (who->next == l) {
            who->dropped += l->level >= who->level;
            who->next = line_behind(st, l);
        }
    }
    mu_list_remove(&l->place);
    st->count--;
    st->bytes -= l->bytes;
    mu_free(l);
}

/* What is too much goes in any case, what need not be kept only when everybody has it. */
static void stream_trim(struct stream *st)
{
    size_t kept = st->form == MU_LOG_AS_TEXT ? LOG_FEED_KEPT : 0;

    while (!mu_list_empty(&st->lines)) {
        struct line *oldest = MU_CONTAINER(st->lines.next, struct line, place);
        bool is_too_much = st->count > LOG_FEED_MAX || st->bytes > BYTES_MAX;
        bool is_kept = st->count <= kept && st->bytes <= KEPT_BYTES;

        if (!is_too_much && (is_kept || is_awaited(st, oldest))) {
            break;
        }
        line_drop(st, oldest);
    }
}

/* -- in, on any thread --------------------------------------------------------------------------
 */

static void on_line(void *data, enum mu_log_level level, struct mu_span text)
{
    struct stream *st = data;
    struct line *l = mu_new(sizeof *l + text.bytes);
    bool is_followed = false;

    l->level = level;
    l->wall_ns = (uint64_t)mu_clock_wall_ns();
    l->bytes = text.bytes;
    memcpy(l->text, text.data, text.bytes);
    pthread_mutex_lock(&st->feed->lock);
    mu_list_push_back(&st->lines, &l->place);
    st->count++;
    st->bytes += l->bytes;
    MU_LIST_EACH (link, &st->feed->followers) {
        struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

        if (who->form == st->form) {
            who->next = who->next == NULL ? l : who->next;
            is_followed = true;
        }
    }
    stream_trim(st);
    pthread_mutex_unlock(&st->feed->lock);
    if (is_followed) {
        mu_bell_ring(st->feed->bell);
    }
}

/* -- out, on the loop ---------------------------------------------------------------------------
 */

struct batch { /* copies: followers are told without the lock */
    struct agent_log_line lines[BATCH_LINES];
    size_t ends[BATCH_LINES]; /* of the texts, in `text` */
    size_t count;
    struct mu_buf text;
};

static void batch_take(struct agent_log_follower *who, struct batch *b)
{
    struct stream *st = &who->feed->streams[who->form];

    for (; who->next != NULL && b->count < BATCH_LINES; who->next = line_behind(st, who->next)) {
        const struct line *l = who->next;

        if (l->level >= who->level) {
            b->lines[b->count] = (struct agent_log_line){ .level = l->level,
                                                          .wall_ns = l->wall_ns,
                                                          .dropped = who->dropped };
            mu_buf_add(&b->text, l->text, l->bytes);
            b->ends[b->count++] = b->text.bytes;
            who->dropped = 0;
        }
    }
    stream_trim(st);
}

/* Somebody who has not everything, and what comes next for him; he is the last one next time. */
static struct agent_log_follower *take_turn(struct log_feed *f, struct batch *b)
{
    struct agent_log_follower *found = NULL;

    pthread_mutex_lock(&f->lock);
    MU_LIST_EACH (link, &f->followers) {
        struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

        if (who->next != NULL) {
            found = who;
            break;
        }
    }
    if (found != NULL) {
        mu_list_remove(&found->place);
        mu_list_push_back(&f->followers, &found->place);
        batch_take(found, b);
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

/* False: everybody has everything. */
static bool tell_next(struct log_feed *f)
{
    struct batch *b = mu_new(sizeof *b);
    struct agent_log_follower *who = take_turn(f, b);
    size_t begin = 0;

    f->told = who;
    for (size_t i = 0; i < b->count && f->told != NULL; i++) {
        b->lines[i].text = mu_span_of(b->text.data + begin, b->ends[i] - begin);
        begin = b->ends[i];
        who->line(who->data, &b->lines[i]);
    }
    f->told = NULL;
    mu_buf_deinit(&b->text);
    mu_free(b);
    return who != NULL;
}

/* One batch to each: what is more, and lines that come meanwhile, come with the next turn. */
static void on_bell(void *data)
{
    struct log_feed *f = data;
    bool has_more = true;

    for (size_t left = f->followers_count; left > 0 && has_more; left--) {
        has_more = tell_next(f);
    }
    if (has_more && f->followers_count > 0) {
        mu_bell_ring(f->bell);
    }
}

/* -- followers ----------------------------------------------------------------------------------
 */

/* Listen as low as the lowest of those who follow, and no form for nobody. */
static void taps_set(struct log_feed *f)
{
    for (unsigned form = 0; form < MU_LOG_FORMS; form++) {
        int lowest = form == MU_LOG_AS_TEXT ? MU_INFO : MU_ERROR + 1;

        MU_LIST_EACH (link, &f->followers) {
            struct agent_log_follower *who = MU_CONTAINER(link, struct agent_log_follower, place);

            if (who->form == (enum mu_log_form)form && (int)who->level < lowest) {
                lowest = (int)who->level;
            }
        }
        if (lowest <= MU_ERROR) {
            mu_log_add_tap((enum mu_log_form)form, on_line, &f->streams[form],
                           (enum mu_log_level)lowest);
        } else {
            mu_log_remove_tap(&f->streams[form]);
        }
    }
}

struct agent_log_follower *log_feed_follow(struct log_feed *f, enum mu_log_form form,
                                           enum mu_log_level level, bool with_kept,
                                           agent_log_fn *line, void *data)
{
    struct agent_log_follower *who = mu_new(sizeof *who);
    struct mu_link *lines = &f->streams[form].lines;

    who->feed = f;
    who->form = form;
    who->level = level;
    who->line = line;
    who->data = data;
    f->followers_count++;
    pthread_mutex_lock(&f->lock);
    if (with_kept && !mu_list_empty(lines)) {
        who->next = MU_CONTAINER(lines->next, struct line, place);
    }
    mu_list_push_back(&f->followers, &who->place);
    pthread_mutex_unlock(&f->lock);
    taps_set(f);
    mu_bell_ring(f->bell);
    return who;
}

void log_feed_unfollow(struct agent_log_follower *who)
{
    if (who == NULL) {
        return;
    }
    struct log_feed *f = who->feed;

    f->followers_count--;
    f->told = f->told == who ? NULL : f->told;
    pthread_mutex_lock(&f->lock);
    mu_list_remove(&who->place);
    stream_trim(&f->streams[who->form]);
    pthread_mutex_unlock(&f->lock);
    mu_free(who);
    taps_set(f);
}

/* -- of this agent ------------------------------------------------------------------------------
 */

struct agent_log_follower *agent_log_follow(struct agent *a, enum mu_log_level level,
                                            enum mu_log_form form, agent_log_fn *line, void *data)
{
    return log_feed_follow(a->log_feed, form, level, false, line, data);
}

void agent_log_unfollow(struct agent_log_follower *who)
{
    log_feed_unfollow(who);
}

/* -- life ---------------------------------------------------------------------------------------
 */

struct log_feed *log_feed_new(struct uv_loop_s *loop)
{
    struct log_feed *f = mu_new(sizeof *f);

    mu_list_init(&f->followers);
    for (unsigned form = 0; form < MU_LOG_FORMS; form++) {
        f->streams[form].feed = f;
        f->streams[form].form = (enum mu_log_form)form;
        mu_list_init(&f->streams[form].lines);
    }
    MU_ASSERT(pthread_mutex_init(&f->lock, NULL) == 0);
    f->bell = mu_bell_new(loop, on_bell, f);
    taps_set(f);
    return f;
}

void log_feed_free(struct log_feed *f)
{
    struct mu_link *link;

    if (f == NULL) {
        return;
    }
    for (unsigned form = 0; form < MU_LOG_FORMS; form++) {
        mu_log_remove_tap(&f->streams[form]); /* no thread is inside of on_line() after this */
        while ((link = mu_list_pop_front(&f->streams[form].lines)) != NULL) {
            mu_free(MU_CONTAINER(link, struct line, place));
        }
    }
    while ((link = mu_list_pop_front(&f->followers)) != NULL) {
        mu_free(MU_CONTAINER(link, struct agent_log_follower, place));
    }
    mu_bell_close(f->bell, NULL, NULL);
    (void)pthread_mutex_destroy(&f->lock);
    mu_free(f);
}
