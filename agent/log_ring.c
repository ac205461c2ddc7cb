/* log_ring.c - lines kept under a lock, handed to readers on the loop. */
#include "log_ring.h"

#include <pthread.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/bell.h"

#define BATCH_LINES 64U /* handed over in one go; others come in between */

struct kept {
    enum mu_log_level level;
    uint64_t wall_ns;
    struct mu_buf text; /* its room is used again */
};

struct log_ring {
    struct mu_bell *bell;
    struct mu_link readers;
    /* the lock's */
    pthread_mutex_t lock;
    struct kept lines[LOG_RING_LINES];
    uint64_t next; /* number of the line that comes next */
    bool is_read;  /* somebody waits for it */
};

/* -- in, on any thread --------------------------------------------------------------------------
 */

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    struct log_ring *r = data;

    pthread_mutex_lock(&r->lock);
    struct kept *k = &r->lines[r->next++ % LOG_RING_LINES];
    bool is_read = r->is_read;

    k->level = level;
    k->wall_ns = (uint64_t)mu_clock_wall_ns();
    mu_buf_clear(&k->text);
    mu_buf_add_span(&k->text, mu_span_sub(line, 0, LOG_LINE_BYTES));
    pthread_mutex_unlock(&r->lock);
    if (is_read) {
        mu_bell_ring(r->bell);
    }
}

/* -- out, on the loop ---------------------------------------------------------------------------
 */

struct batch { /* copies: a reader is told without the lock, for it may log */
    struct log_line lines[BATCH_LINES];
    size_t count;
    struct mu_buf text;
    size_t ends[BATCH_LINES];
};

/* What comes next for this reader; false: it has everything. */
static bool batch_take(struct log_ring *r, struct log_reader *reader, struct batch *b)
{
    b->count = 0;
    mu_buf_clear(&b->text);
    pthread_mutex_lock(&r->lock);
    if (r->next - reader->next > LOG_RING_LINES) {
        reader->next = r->next - LOG_RING_LINES;
    }
    bool has_more = reader->next < r->next;

    for (; reader->next < r->next && b->count < BATCH_LINES; reader->next++) {
        const struct kept *k = &r->lines[reader->next % LOG_RING_LINES];

        if (k->level >= reader->level) {
            mu_buf_add_span(&b->text, mu_buf_span(&k->text));
            b->lines[b->count] = (struct log_line){ .level = k->level, .wall_ns = k->wall_ns };
            b->ends[b->count++] = b->text.bytes;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return has_more;
}

static struct log_reader *find_behind(struct log_ring *r, struct batch *b)
{
    MU_LIST_EACH (link, &r->readers) {
        struct log_reader *reader = MU_CONTAINER(link, struct log_reader, place);

        if (batch_take(r, reader, b)) {
            return reader;
        }
    }
    return NULL;
}

static bool is_reading(const struct log_ring *r, const struct log_reader *reader)
{
    MU_LIST_EACH (link, &r->readers) {
        if (MU_CONTAINER(link, struct log_reader, place) == reader) {
            return true;
        }
    }
    return false;
}

static void tell(struct log_ring *r, struct log_reader *reader, struct batch *b)
{
    size_t begin = 0;

    for (size_t i = 0; i < b->count && is_reading(r, reader); i++) {
        b->lines[i].text = mu_span_of(b->text.data + begin, b->ends[i] - begin);
        begin = b->ends[i];
        reader->line(reader->data, &b->lines[i]);
    }
}

/* One batch a turn: lines that come while lines are told come with the next. */
static void on_bell(void *data)
{
    struct log_ring *r = data;
    struct batch *b = mu_new(sizeof *b);
    struct log_reader *reader = find_behind(r, b);

    if (reader != NULL) {
        tell(r, reader, b);
        mu_bell_ring(r->bell);
    }
    mu_buf_deinit(&b->text);
    mu_free(b);
}

/* -- readers ------------------------------------------------------------------------------------
 */

static void tap(struct log_ring *r)
{
    enum mu_log_level level = MU_INFO;

    MU_LIST_EACH (link, &r->readers) {
        const struct log_reader *reader = MU_CONTAINER(link, struct log_reader, place);

        level = reader->level < level ? reader->level : level;
    }
    pthread_mutex_lock(&r->lock);
    r->is_read = !mu_list_empty(&r->readers);
    pthread_mutex_unlock(&r->lock);
    mu_log_add_tap(MU_LOG_AS_TEXT, on_line, r, level);
}

void log_ring_read(struct log_ring *r, struct log_reader *reader, enum mu_log_level level,
                   log_line_fn *line, void *data)
{
    MU_ASSERT(reader->ring == NULL);
    *reader = (struct log_reader){ .ring = r, .level = level, .line = line, .data = data };
    mu_list_push_back(&r->readers, &reader->place);
    tap(r);
    mu_bell_ring(r->bell);
}

void log_ring_stop(struct log_reader *reader)
{
    struct log_ring *r = reader->ring;

    if (r != NULL) {
        mu_list_remove(&reader->place);
        reader->ring = NULL;
        tap(r);
    }
}

/* -- life ---------------------------------------------------------------------------------------
 */

struct log_ring *log_ring_new(struct uv_loop_s *loop)
{
    struct log_ring *r = mu_new(sizeof *r);

    mu_list_init(&r->readers);
    MU_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    r->bell = mu_bell_new(loop, on_bell, r);
    tap(r);
    return r;
}

void log_ring_close(struct log_ring *r)
{
    if (r == NULL) {
        return;
    }
    MU_ASSERT(mu_list_empty(&r->readers));
    mu_log_remove_tap(r); /* no thread is inside of on_line() after this */
    mu_bell_close(r->bell, NULL, NULL);
    for (size_t i = 0; i < LOG_RING_LINES; i++) {
        mu_buf_deinit(&r->lines[i].text);
    }
    (void)pthread_mutex_destroy(&r->lock);
    mu_free(r);
}
