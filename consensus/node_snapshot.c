/* node_snapshot.c - snapshots between the core and the owner: orders out, answers in.
 *
 * Answers are noted and fed in the next turn, so that the owner may give them whenever it likes.
 * Chunks are read beside the loop: a message waits here until its bytes come, and is forgotten when
 * they do not, like any message that is lost.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "node.h"

struct consensus_noted { /* an answer */
    struct mu_link link;
    struct consensus_event ev;
};

static void order(struct consensus_node *n, const struct consensus_snap_order *o)
{
    struct consensus_snap none = { 0 };

    if (n->options.callbacks.snapshot != NULL) {
        n->options.callbacks.snapshot(n->options.callbacks_data, o);
    } else if (o->kind == CONSENSUS_SNAP_EXPORT) { /* nobody makes any, nobody takes any */
        consensus__node_snapshot(n, CONSENSUS_SNAP_EXPORT_FAILED, &none, 0, CONSENSUS_SNAP_IO);
    } else if (o->kind == CONSENSUS_SNAP_OPEN) {
        consensus__node_snapshot(n, CONSENSUS_SNAP_LOST, &o->snap, 0, CONSENSUS_SNAP_UNKNOWN);
    }
}

void consensus__node_orders(struct consensus_node *n, const struct consensus_effects *fx)
{
    for (size_t i = 0; i < fx->snaps_count; i++) {
        order(n, &fx->snaps[i]);
    }
}

/* -- chunks -------------------------------------------------------------------------------- */

void consensus__node_chunk_ask(struct consensus_node *n, const struct consensus_msg *m)
{
    struct consensus_snap_order o = {
        .kind = CONSENSUS_SNAP_READ,
        .snap = m->snapshot.snap,
        .offset = m->snapshot.offset,
        .bytes = m->snapshot.bytes,
    };

    if (n->chunks_count < CONSENSUS_CHUNKS_WAITING) { /* else it is lost */
        n->chunks[n->chunks_count++] = *m;
        order(n, &o);
    }
}

void consensus__node_chunk(struct consensus_node *n, const struct consensus_snap *snap,
                           uint64_t offset, struct mu_span data)
{
    for (size_t i = 0; i < n->chunks_count; i++) {
        struct consensus_msg m = n->chunks[i];

        if (m.snapshot.offset != offset || !consensus_snap_eq(&m.snapshot.snap, snap)) {
            continue;
        }
        n->chunks[i] = n->chunks[--n->chunks_count];
        if (data.bytes == m.snapshot.bytes && n->phase == CONSENSUS_NODE_RUNS) {
            m.snapshot.data = data;
            mu_buf_clear(&n->out);
            consensus__wire_encode(&m, NULL, &n->out);
            consensus__node_send(n, &m.to, consensus__wire_channel(&m));
        }
        return;
    }
}

/* -- answers ------------------------------------------------------------------------------- */

void consensus__node_snapshot(struct consensus_node *n, enum consensus_snap_event what,
                              const struct consensus_snap *snap, uint64_t offset,
                              enum consensus_snap_fault fault)
{
    struct consensus_noted *noted = mu_new(sizeof *noted);

    noted->ev.kind = CONSENSUS_EV_SNAPSHOT;
    noted->ev.snapshot.what = what;
    noted->ev.snapshot.snap = *snap;
    noted->ev.snapshot.offset = offset;
    noted->ev.snapshot.fault = fault;
    mu_list_push_back(&n->noted, &noted->link);
}

/* The log begins anew behind another state: what was to be applied is in that. */
void consensus__node_log_reset(struct consensus_node *n)
{
    n->commit_to = n->delivered;
    mu_buf_deinit(&n->replay);
    n->replay_at = 0;
}

static void on_switched(struct consensus_node *n, uint64_t index)
{
    n->commit_to = n->delivered = index;
    n->applied = n->applied_fed = n->durable_applied = n->durable_applied_fed = index;
    consensus__node_applied_upto(n, UINT64_MAX);
}

void consensus__node_noted_run(struct consensus_node *n)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(&n->noted)) != NULL) {
        struct consensus_noted *noted = MU_CONTAINER(link, struct consensus_noted, link);

        if (n->phase == CONSENSUS_NODE_RUNS) {
            if (noted->ev.snapshot.what == CONSENSUS_SNAP_SWITCHED) {
                on_switched(n, noted->ev.snapshot.snap.index);
            }
            consensus__node_feed(n, &noted->ev);
        }
        mu_free(noted);
    }
}

void consensus__node_noted_clear(struct consensus_node *n)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(&n->noted)) != NULL) {
        mu_free(MU_CONTAINER(link, struct consensus_noted, link));
    }
}
