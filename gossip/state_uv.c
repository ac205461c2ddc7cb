/* state_uv.c - when the state file is read and written (state.h says what is in it).
 *
 * Read once, at start. Written on libuv's pool whenever members, our incarnation, or the times of
 * events and queries changed, at most four times a second, always as a whole. The incarnation in
 * the file lies ahead of the one in use, so a crash at any moment finds a number there that nobody
 * has seen; half of the reserve used is reason to write. While we are alone the peers of the last
 * life stay in the file: a second crash before anybody was found must not lose them. The coordinate
 * is written with whatever else there is, and at the end: it moves with every probe, and an old one
 * is still better than none.
 *
 * Who left stays alone at its next starts, unless it is told to rejoin; whom it knew, and that it
 * left, stay in the file until it has found somebody again. Serf's file, which only grows, is read
 * with the same result in any order of starts.
 *
 * Who comes from Serf has no file of ours at the first start: what its own says is taken over,
 * once, for from then on there is ours (serf_snapshot.h).
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "driver_parts.h"
#include "serf_snapshot.h"

#define PAUSE_MS     250
#define EPOCH_2020_S 1577836800LL /* the seed of an incarnation without a file (3, item 3) */

/* -- what goes into the file --------------------------------------------------------------------
 */

static void add_peer(void *data, const struct gossip_view *member)
{
    gossip__state_add(data, member);
}

static void add_last(struct gossip_driver *d)
{
    const struct gossip__kept *last = &d->keeper.last;
    struct gossip_view view;

    for (size_t i = 0; i < last->known_count; i++) {
        if (!gossip_find(d->core, last->known[i].name, &view)) {
            view = (struct gossip_view){ .name = last->known[i].name,
                                         .addr = last->known[i].addr,
                                         .status = GOSSIP_STATUS_FAILED };
            gossip__state_add(&d->keeper.text, &view);
        }
    }
}

static void add_coordinate(struct gossip_driver *d)
{
    struct coordinate at;

    if (gossip_coordinate(d->core, d->options.core.name, &at)) {
        gossip__state_add_coordinate(&d->keeper.text, &at);
    }
}

static void compose(struct gossip_driver *d)
{
    struct gossip__keeper *k = &d->keeper;
    struct gossip_summary s;

    gossip_summarize(d->core, &s);
    if (s.incarnation + GOSSIP__RESERVE / 2 > k->reserved) {
        k->reserved = s.incarnation + GOSSIP__RESERVE;
    }
    if (s.alive > 1) { /* those we have found now are better */
        k->last.known_count = 0;
        k->last.has_left = false;
    }
    mu_buf_clear(&k->text);
    gossip__state_begin(&k->text,
                        &(struct gossip__clocks){ .incarnation = k->reserved,
                                                  .member_time = s.member_time,
                                                  .event_time = s.event_time,
                                                  .query_time = s.query_time },
                        k->has_left || k->last.has_left);
    add_coordinate(d);
    gossip_each(d->core, add_peer, &k->text);
    add_last(d);
}

/* -- writing ------------------------------------------------------------------------------------
 */

static void write_file(uv_work_t *work) /* on the pool */
{
    struct gossip_driver *d = work->data;
    struct gossip__keeper *k = &d->keeper;

    k->error = MU_ERR_NONE;
    k->error.code = mu_file_replace(k->path, mu_buf_span(&k->text), 0600, &k->error);
}

static uint64_t lines_of(struct mu_span text)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        lines += text.data[i] == '\n';
    }
    return lines;
}

static void write_start(struct gossip_driver *d);

static void on_written(uv_work_t *work, int status)
{
    struct gossip_driver *d = work->data;
    struct gossip__keeper *k = &d->keeper;
    bool has_failed = status != 0 || k->error.code != MU_OK;

    k->is_writing = false;
    if (!has_failed) {
        k->lines += lines_of(mu_buf_span(&k->text));
        mu_sample_add(&k->took, (double)(mu_clock_ns() - k->began_ns) / MU_NS_PER_MS);
    }
    k->written_ms = gossip__now();
    if (has_failed && !k->is_failing) {
        mu_log(MU_WARN, d->module, "Cannot keep the list of members, will try again",
               mu_kv("error", k->error.text));
    }
    k->is_failing = has_failed;
    if (!d->is_stopping) {
        k->is_due = k->is_due || has_failed;
        if (k->is_due) {
            MU_ASSERT(uv_timer_start(&k->timer, gossip__keeper_timer, PAUSE_MS, 0) == 0);
        }
    } else if (k->is_due) {
        write_start(d); /* the last words came while the last but one were written */
    }
    gossip__handle_closed(d);
}

static void write_start(struct gossip_driver *d)
{
    struct gossip__keeper *k = &d->keeper;

    MU_ASSERT(!k->is_writing);
    k->is_due = false;
    k->is_writing = true;
    k->began_ns = mu_clock_ns();
    compose(d);
    k->work.data = d;
    gossip__handle_opened(d);
    MU_ASSERT(uv_queue_work(d->loop, &k->work, write_file, on_written) == 0);
}

void gossip__keeper_timer(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;

    if (d->keeper.is_due && !d->keeper.is_writing) {
        write_start(d);
    }
}

void gossip__keeper_due(struct gossip_driver *d)
{
    struct gossip__keeper *k = &d->keeper;
    uint64_t since = gossip__now() - k->written_ms;

    if (k->path == NULL || k->is_due) {
        return;
    }
    k->is_due = true;
    if (!k->is_writing) { /* else when that is done */
        MU_ASSERT(uv_timer_start(&k->timer, gossip__keeper_timer,
                                 since < PAUSE_MS ? PAUSE_MS - since : 0, 0) == 0);
    }
}

void gossip__keeper_stop(struct gossip_driver *d)
{
    d->keeper.is_due = d->keeper.is_due || d->keeper.path != NULL;
    if (d->keeper.is_due && !d->keeper.is_writing) {
        write_start(d);
    }
}

void gossip__keeper_free(struct gossip_driver *d)
{
    mu_buf_deinit(&d->keeper.text);
    mu_arena_deinit(&d->keeper.arena);
}

/* -- reading ------------------------------------------------------------------------------------
 */

/* Nothing but a file: opening a pipe would wait for somebody who writes. */
static enum mu_code serf_file_read(const char *path, struct mu_buf *to, struct mu_err *err)
{
    struct stat at;

    if (stat(path, &at) != 0) {
        return mu_fail(err, mu_file_code(errno), "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(at.st_mode)) {
        return mu_fail(err, MU_INVALID, "%s is not a file", path);
    }
    return mu_file_read(path, GOSSIP__SERF_SNAPSHOT_MAX, to, err);
}

static void serf_taken(const struct gossip_driver *d, const struct gossip__serf_snapshot *s)
{
    const char *path = d->options.serf_snapshot;

    if (s->kept.skipped > 0) {
        mu_log(MU_WARN, d->module, "serf: Skipped what is unknown in Serf's snapshot",
               mu_kv("file", path), mu_kv_u("lines", s->kept.skipped),
               mu_kv_u("first_line", s->skipped_line), mu_kv_span("begins", s->skipped_text));
    }
    mu_log(MU_INFO, d->module, "serf: Took over Serf's snapshot", mu_kv("file", path),
           mu_kv_u("members", s->kept.known_count),
           mu_kv("has_left", s->kept.has_left ? "true" : "false"));
}

/* Whatever is wrong with it, we start: without it we would, too. */
static void read_serf(struct gossip_driver *d)
{
    const char *path = d->options.serf_snapshot;
    struct gossip__serf_snapshot s;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = serf_file_read(path, &text, &err);

    if (rc == MU_OK) {
        gossip__serf_snapshot_read(mu_buf_span(&text), d->options.core.name, &d->keeper.arena, &s);
        serf_taken(d, &s);
        d->keeper.last = s.kept;
    } else if (rc != MU_NOT_FOUND) {
        mu_log(MU_WARN, d->module, "serf: Cannot read Serf's snapshot, starting without it",
               mu_kv("file", path), mu_kv("error", err.text));
    }
    mu_buf_deinit(&text);
}

static enum mu_code read_last(struct gossip_driver *d, struct mu_err *err)
{
    struct gossip__keeper *k = &d->keeper;
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(k->path, GOSSIP__STATE_MAX, &text, err);

    if (rc == MU_OK) {
        gossip__state_read(mu_buf_span(&text), &k->arena, &k->last);
        if (k->last.skipped > 0) {
            mu_log(MU_WARN, d->module, "Skipped damaged lines", mu_kv("file", k->path),
                   mu_kv_u("lines", k->last.skipped));
        }
    }
    if (rc == MU_NOT_FOUND && d->options.serf_snapshot != NULL) {
        read_serf(d);
    }
    mu_buf_deinit(&text);
    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

/* Blocking, at start and small: nothing may go out before the reservation is on disk. */
static enum mu_code write_first(struct gossip_driver *d, struct mu_err *err)
{
    struct gossip__keeper *k = &d->keeper;
    struct gossip__kept first = k->last;

    first.clocks.incarnation = k->reserved;
    gossip__state_write(&k->text, &first);
    return mu_file_replace(k->path, mu_buf_span(&k->text), 0600, err);
}

enum mu_code gossip__keeper_open(struct gossip_driver *d, struct mu_err *err)
{
    struct gossip__keeper *k = &d->keeper;
    struct gossip_options *core = &d->options.core;
    uint64_t seed = (uint64_t)(mu_clock_wall_ns() / MU_NS_PER_S - EPOCH_2020_S) << 20;
    enum mu_code rc = k->path != NULL ? read_last(d, err) : MU_OK;
    bool stays_alone = k->last.has_left && !d->options.rejoin_after_leave;

    core->incarnation = k->last.clocks.incarnation > 0 ? k->last.clocks.incarnation : seed;
    k->reserved = core->incarnation + GOSSIP__RESERVE;
    core->member_time = k->last.clocks.member_time;
    core->event_time = k->last.clocks.event_time;
    core->query_time = k->last.clocks.query_time;
    core->has_coordinate = k->last.has_coordinate;
    core->coordinate = k->last.coordinate;
    core->known = k->last.known;
    core->known_count = stays_alone ? 0 : k->last.known_count;
    if (rc == MU_OK && k->path != NULL) {
        rc = write_first(d, err);
    }
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "gossip state");
}
