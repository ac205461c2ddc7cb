/* kinds.c - kinds of runs that were thought of later, each in a part of the runs, of a stream of
 * its own: with them off a seed tells its old story.
 *
 *   lags     logs are short, servers away for long, and work on snapshots is slow: they are sent,
 *            installed and given up all the time
 *   hectic   offices and configurations change all the time, and who promises waits only shortly
 *   bulk     a thousand proposals come at once, or hundreds, which go out one by one
 *   fetches  entries that a leader reads back for a peer are damaged
 *   versions servers are started with one of two versions, more and more often with the newer one,
 *            and clients ask for what only that one can do
 *   rare     what is put wrong in messages is put into rare kinds as often as into common ones
 *
 * And options that no core may be made with, of which each run shows some to the core's own check.
 */
#include <string.h>

#include "base/assert.h"
#include "drive.h"

static uint64_t later(const struct drive *d, uint64_t what, uint64_t bound)
{
    struct mu_rand r = drive_stream(d, DOMAIN_KINDS, what, 0);

    return mu_rand_below(&r, bound);
}

static bool is_of_kind(const struct drive *d, enum drive_class class, uint64_t one_in)
{
    return ((d->tape->off >> class) & 1U) == 0 && later(d, class, one_in) == 0;
}

static void at_least(uint32_t *rate, uint32_t least)
{
    *rate = *rate > least ? *rate : least;
}

void drive_kinds_draw(struct drive *d)
{
    struct plan *p = &d->plan;

    p->rate[DRIVE_lags] = is_of_kind(d, DRIVE_lags, 2);
    p->rate[DRIVE_hectic] = is_of_kind(d, DRIVE_hectic, 3);
    p->rate[DRIVE_bulk] = is_of_kind(d, DRIVE_bulk, 12);
    p->rate[DRIVE_fetches] = is_of_kind(d, DRIVE_fetches, 2) ? 100 : 0;
    p->rate[DRIVE_rare] = is_of_kind(d, DRIVE_rare, 2);
    p->rate[DRIVE_versions] = is_of_kind(d, DRIVE_versions, 4);
    if (p->rate[DRIVE_lags] > 0) {
        at_least(&p->rate[DRIVE_crash], 500);
        at_least(&p->rate[DRIVE_clog], 200);
        at_least(&p->rate[DRIVE_stop], 200);
        p->rate[DRIVE_snaps] = (uint32_t)later(d, 100, 2) * 100;
    }
    if (p->rate[DRIVE_versions] > 0) {
        at_least(&p->rate[DRIVE_crash], 600);
    }
    if (p->rate[DRIVE_hectic] > 0) {
        at_least(&p->rate[DRIVE_transfer], 6000);
        p->rate[DRIVE_change] = p->rate[DRIVE_change] > 0 ? 30000 : 0;
        p->rate[DRIVE_propose] /= later(d, 104, 2) == 0 ? 20 : 1;
    }
    if (p->rate[DRIVE_bulk] > 0) {
        p->bytes_max = 100;
    }
    if (p->rate[DRIVE_rare] > 0) {
        at_least(&p->rate[DRIVE_forge], 20000);
    }
}

static bool goes_singly(const struct drive *d)
{
    return later(d, 106, 2) == 0;
}

void drive_kinds_options(const struct drive *d, struct consensus_options *o)
{
    if (d->plan.rate[DRIVE_lags] > 0) {
        o->trailing_entries = later(d, 101, 2) == 0 ? 0 : 8;
        o->trailing_bytes = 2000;
        o->laggard_bytes = 5000;
        o->laggard_ms = 1000;
        o->snap_reuse_ms = 300;
        o->chunk_bytes = 1000;
        o->snap_timeout_ms = 500;
    }
    if (d->plan.rate[DRIVE_hectic] > 0) {
        o->runs_max = 64; /* few, but more than states are behind, and fail one after the other */
        o->writes_max = 2 * CONSENSUS_WRITES_RESERVED;
        o->with_trace = later(d, 102, 2) == 0;
    }
    if (d->plan.rate[DRIVE_bulk] > 0) {
        o->tail_entries = 4096;
        o->tail_bytes_max = 64000000;
        o->uncommitted_bytes_max = o->unsynced_bytes_max = 10000000;
        o->proposals_max = 4000;
        o->append_entries_max = goes_singly(d) ? 1 : CONSENSUS_ENTRIES_MAX;
        o->inflight_max = 128;
        o->inflight_bytes_max = 1000000;
    }
}

void drive_kinds_world(struct drive *d)
{
    d->w->repeats_answers = d->plan.rate[DRIVE_lags] > 0;
    d->w->mixes_kinds = d->plan.rate[DRIVE_versions] > 0;
    if (d->plan.rate[DRIVE_hectic] > 0) {
        d->w->patience_ms = 100;
        d->w->is_lazy = later(d, 105, 2) == 0;
    }
}

size_t drive_bulk(struct drive *d, size_t count)
{
    if (d->plan.rate[DRIVE_bulk] == 0 || d->tick % 128 > 1) {
        return count;
    }
    return goes_singly(d) ? 200 : CONSENSUS_ENTRIES_MAX;
}

uint64_t drive_order_ms(struct drive *d, struct mu_rand *r, uint64_t disk_ms)
{
    return d->plan.rate[DRIVE_lags] > 0 && !d->is_calm ? disk_ms + mu_rand_below(r, 400) : disk_ms;
}

/* -- versions ---------------------------------------------------------------------------------- */

void drive_version_draw(struct drive *d, struct sim_node *n)
{
    if (d->plan.rate[DRIVE_versions] > 0) {
        struct mu_rand r = drive_stream(d, DOMAIN_VERSION, n->place, d->tick);
        bool is_late = d->w->now > d->plan.duration_ms / 2;

        n->level_max =
            mu_rand_below(&r, is_late ? 4 : 2) == 0 ? CONSENSUS_LEVEL_FIRST : SIM_LEVEL_NEW;
    }
}

bool drive_version_lags(const struct drive *d, const struct sim_node *n)
{
    return d->plan.rate[DRIVE_versions] > 0 && n->level_max < SIM_LEVEL_NEW;
}

/* -- messages that nobody has sent ------------------------------------------------------------- */

/* Most of what is under way are entries, heartbeats and their answers. */
static bool is_common(const struct sim_message *m)
{
    return !m->is_bootstrap &&
           (m->msg.kind == CONSENSUS_APPEND_REQ || m->msg.kind == CONSENSUS_APPEND_RES ||
            m->msg.kind == CONSENSUS_HEARTBEAT || m->msg.kind == CONSENSUS_HEARTBEAT_RES);
}

static void forge(struct drive *d, const struct sim_message *of)
{
    struct sim_message *m = sim_message_copy(d->w, of);
    uint64_t luck = drive_below(d, 1000);

    m->forgery =
        d->plan.rate[DRIVE_rare] > 0 ? sim_forgery_even(m, luck) : sim_forgery_for(m, luck);
    sim_net_schedule(d->w, m, 0);
}

void drive_forge(struct drive *d)
{
    const struct sim_world *w = d->w;
    size_t from = w->items_count > 0 ? drive_below(d, w->items_count) : 0;
    bool wants_rare = d->plan.rate[DRIVE_rare] > 0 && d->tick % 4 != 0;

    for (size_t i = 0; i < w->items_count; i++) {
        const struct sim_item *item = &w->items[(from + i) % w->items_count];

        if (item->kind == SIM_DELIVER && item->message->forgery == 0 &&
            !(wants_rare && is_common(item->message))) {
            forge(d, item->message);
            return;
        }
    }
}

/* -- options that cannot be -------------------------------------------------------------------- */

// clang-format off
#define WRONGS(X) \
    X(o->server = MU_ID_NONE) \
    X(o->level_max = 0) \
    X(o->disk = MU_ID_NONE) \
    X(o->heartbeat_ms = 0) \
    X(o->heartbeat_ms = o->election_ms_min / 4) \
    X(o->pause_ms = 0) \
    X(o->pause_ms = o->election_ms_min) \
    X(o->slow_ms = 0) \
    X(o->stall_ms = o->election_ms_min) \
    X(o->tail_entries = CONSENSUS_TAIL_RESERVED) \
    X(o->runs_max = 1) \
    X(o->reads_max = 0) \
    X(o->inflight_max = 0) \
    X(o->inflight_bytes_max = 0) \
    X(o->proposals_max = 0) \
    X(o->writes_max = CONSENSUS_WRITES_RESERVED) \
    X(o->chunk_bytes = 0) \
    X(o->chunk_bytes = CONSENSUS_CHUNK_BYTES + 1) \
    X(o->snap_timeout_ms = 0) \
    X(o->append_entries_max = 0) \
    X(o->append_entries_max = CONSENSUS_ENTRIES_MAX + 1)
// clang-format on

static void wrong_make(struct consensus_options *o, uint64_t which)
{
    uint64_t at = 0;

#define WRONG_MAKE(...)  \
    if (at++ == which) { \
        __VA_ARGS__;     \
    }
    WRONGS(WRONG_MAKE)
#undef WRONG_MAKE
}

void drive_options_wrong(struct drive *d, const struct consensus_options *good)
{
#define WRONG_COUNT(...) +1
    uint64_t count = 0 WRONGS(WRONG_COUNT);
#undef WRONG_COUNT
    struct consensus_options o = *good;
    struct mu_err err = MU_ERR_NONE;

    o.server.b[0] = o.disk.b[0] = 1;
    MU_ASSERT(consensus_options_check(&o, &err) == MU_OK);
    wrong_make(&o, later(d, 103, count));
    struct consensus_options once, never; /* no multiplier is as one */

    consensus_options_init(&once, CONSENSUS_WAN, 1);
    consensus_options_init(&never, CONSENSUS_WAN, 0);
    MU_ASSERT(memcmp(&once, &never, sizeof once) == 0);
    if (consensus_options_check(&o, &err) != MU_INVALID || err.text[0] == '\0') {
        sim_fail(d->w, "options that cannot be are taken");
    }
}
