/* snaps.c - work on snapshots beside the loop: agent/snapshot.c with a fiber for its thread.
 *
 * The work itself is agent/snapshot_files.c as it ships, on a simulated disk (sim_posix.h).
 */
#include <string.h>

#include "agent/copied.h"
#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "world.h"

struct job { /* and its result */
    struct mu_link place;
    bool is_removal, is_proof;
    struct snapshot_work work;
    uint64_t generation; /* of a removal, or of a state that was proven */
};

struct snaps {
    struct mu_link jobs, results;
    bool is_stopping;
    struct snapshot_files files; /* the fiber's */
    struct job *switching;       /* waits for the apply steps */
    enum snaps_point at;
};

/* -- on the fiber -------------------------------------------------------------------------------
 */

static void job_free(struct job *j)
{
    snapshot_work_deinit(&j->work);
    mu_free(j);
}

static void on_results(void *data);

static enum snaps_point point_of(enum consensus_snap_order_kind kind)
{
    switch (kind) {
    case CONSENSUS_SNAP_EXPORT: return SNAPS_EXPORTS;
    case CONSENSUS_SNAP_READ: return SNAPS_READS;
    case CONSENSUS_SNAP_OPEN: return SNAPS_OPENS;
    case CONSENSUS_SNAP_STORE: return SNAPS_STORES;
    case CONSENSUS_SNAP_IMPORT: return SNAPS_IMPORTS;
    case CONSENSUS_SNAP_SWITCH: return SNAPS_SWITCHES;
    case CONSENSUS_SNAP_CLOSE:
    case CONSENSUS_SNAP_ABANDON: break;
    }
    return SNAPS_IDLE;
}

static void snaps_main(void *data)
{
    struct server *s = data;
    struct snaps *n = s->snaps;

    while (!n->is_stopping) {
        struct mu_link *link = mu_list_pop_front(&n->jobs);

        if (link == NULL) {
            task_nap(&s->snap_task, NEVER);
            continue;
        }
        struct job *j = MU_CONTAINER(link, struct job, place);

        n->at = j->is_removal || j->is_proof ? SNAPS_REMOVES : point_of(j->work.order.kind);
        if (j->is_removal) {
            enum mu_code rc = snapshot_state_remove(n->files.dir, j->generation, &j->work.err);

            MU_ASSERT(rc == j->work.err.code);
        } else if (j->is_proof) {
            enum mu_code rc = copied_proven(n->files.dir, j->generation, &j->work.err);

            MU_ASSERT(rc == j->work.err.code);
        } else {
            snapshot_work_run(&j->work, &n->files);
        }
        n->at = SNAPS_IDLE;
        mu_list_push_back(&n->results, link);
        snaps_poll(s);
    }
}

enum snaps_point snaps_at(const struct server *s)
{
    if (s->snaps == NULL) {
        return SNAPS_IDLE;
    }
    return s->snaps->switching != NULL ? SNAPS_WAITS : s->snaps->at;
}

/* -- on the loop --------------------------------------------------------------------------------
 */

static void post(struct server *s, struct job *j)
{
    mu_list_push_back(&s->snaps->jobs, &j->place);
    task_mail(&s->snap_task);
}

void snaps_order(void *data, const struct consensus_snap_order *order)
{
    struct server *s = data;
    struct job *j = mu_new(sizeof *j);

    world_note(s->world, 5000 + (uint64_t)order->kind * 8 + s->place);
    snapshot_work_init(&j->work, order);
    torture_snapshot(s,
                     order->kind == CONSENSUS_SNAP_IMPORT || order->kind == CONSENSUS_SNAP_SWITCH);
    post(s, j);
}

void snaps_poll(struct server *s)
{
    if (s->snaps != NULL && !s->is_dying && !event_is_set(&s->snap_event)) {
        event_set(s->world, &s->snap_event, s->world->now + WAKE_US, on_results, s);
    }
}

static void remove_old(struct server *s, uint64_t generation)
{
    struct job *j = mu_new(sizeof *j);

    j->is_removal = true;
    j->generation = generation;
    post(s, j);
}

void snaps_proven(void *data)
{
    struct server *s = data;
    struct job *j = mu_new(sizeof *j);

    world_say(s->world, "%s: its state, a copy, is proven", s->name);
    j->is_proof = true;
    j->generation = s->generation;
    post(s, j);
}

static void switch_finish(struct server *s)
{
    struct snaps *n = s->snaps;

    if (n->switching == NULL || apply_waiting(s->apply) > 0 || s->state == SERVER_STOPPING) {
        return;
    }
    struct job *j = n->switching;

    n->switching = NULL;
    s->generation = n->files.generation;
    server_state_replace(s, j->work.catalog);
    j->work.catalog = NULL; /* given */
    s->world->sums.installs++;
    world_say(s->world, "%s: installed a snapshot of %llu, %llu bytes, generation %llu", s->name,
              U(j->work.order.snap.index), U(j->work.order.snap.bytes), U(s->generation));
    consensus__node_snapshot(&s->node, CONSENSUS_SNAP_SWITCHED, &j->work.order.snap, 0,
                             CONSENSUS_SNAP_OK);
    remove_old(s, s->generation - 1);
    requests_restored(s);
    job_free(j);
}

static void answer(struct server *s, const struct job *j)
{
    enum consensus_snap_fault fault;
    enum consensus_snap_event event = snapshot_work_event(&j->work, &fault);

    consensus__node_snapshot(&s->node, event, &j->work.order.snap, j->work.held, fault);
}

/* False: it is kept. */
static bool tell(struct server *s, struct job *j)
{
    const struct consensus_snap_order *o = &j->work.order;

    switch (o->kind) {
    case CONSENSUS_SNAP_EXPORT:
        if (j->work.err.code == MU_OK) {
            s->world->sums.exports++;
            fact_snapshot(s, &o->snap);
        }
        answer(s, j);
        if (j->work.err.code == MU_CORRUPT) {
            server_state_bad(s, j->work.err.text);
        }
        break;
    case CONSENSUS_SNAP_OPEN:
        s->world->sums.resumed += j->work.err.code == MU_OK && j->work.held > 0;
        answer(s, j);
        break;
    case CONSENSUS_SNAP_STORE:
    case CONSENSUS_SNAP_IMPORT: answer(s, j); break;
    case CONSENSUS_SNAP_READ:
        consensus__node_chunk(&s->node, &o->snap, o->offset,
                              j->work.err.code == MU_OK ? mu_buf_span(&j->work.data)
                                                        : MU_SPAN_NONE);
        break;
    case CONSENSUS_SNAP_SWITCH:
        if (j->work.err.code != MU_OK) {
            /* the log begins behind it already: a restart completes it */
            server_state_failed(s, j->work.err.text);
            break;
        }
        s->snaps->switching = j;
        return false;
    case CONSENSUS_SNAP_CLOSE:
    case CONSENSUS_SNAP_ABANDON: break;
    }
    return true;
}

/* What is made of bytes that were checked on their way is what was made of them by their leader. */
static void check(const struct server *s, const struct job *j)
{
    bool is_job = !j->is_removal && !j->is_proof && j->work.order.kind == CONSENSUS_SNAP_IMPORT;

    if (j->work.err.code != MU_OK && j->work.order.kind != CONSENSUS_SNAP_READ) {
        world_say(s->world, "%s: work on a snapshot failed: %s", s->name, j->work.err.text);
    }
    if (is_job && j->work.err.code == MU_CORRUPT && !server_is_hurt(s) && !s->was_cut_once) {
        world_fail(s->world, "%s: a snapshot that no fault has touched is refused: %s", s->name,
                   j->work.err.text);
    }
}

static void on_results(void *data)
{
    struct server *s = data;
    struct mu_link *link;

    if (!server_turn_begins(s, &s->snap_event, on_results, s)) {
        return;
    }
    while ((link = mu_list_pop_front(&s->snaps->results)) != NULL) {
        struct job *j = MU_CONTAINER(link, struct job, place);

        check(s, j);
        if (!s->has_begun || s->state == SERVER_STOPPING || j->is_removal || j->is_proof ||
            tell(s, j)) {
            job_free(j);
        }
    }
    switch_finish(s);
    server_turn_ends(s);
}

/* -- life ----------------------------------------------------------------------------------------
 */

void snaps_open(struct server *s)
{
    struct snaps *n = mu_new(sizeof *n);
    char dir[SERVER_DIR_BYTES];

    server_dir(s, dir);
    snapshot_files_init(&n->files, mu_strdup(dir), s->generation, s->world->wal_bytes);
    snapshot_close(&n->files); /* what a crash left of an export */
    mu_list_init(&n->jobs);
    mu_list_init(&n->results);
    s->snaps = n;
    task_start(&s->snap_task, s, snaps_main);
}

static void jobs_clear(struct mu_link *list)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(list)) != NULL) {
        job_free(MU_CONTAINER(link, struct job, place));
    }
}

void snaps_close(struct server *s)
{
    struct snaps *n = s->snaps;

    if (n == NULL) {
        return;
    }
    n->is_stopping = true;
    task_drain(&s->snap_task);
    task_free(&s->snap_task);
    event_cancel(s->world, &s->snap_event);
    jobs_clear(&n->jobs);
    jobs_clear(&n->results);
    if (n->switching != NULL) {
        job_free(n->switching);
    }
    snapshot_files_deinit(&n->files);
    mu_free(n);
    s->snaps = NULL;
}
