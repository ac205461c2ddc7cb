/* node_apply.c - committed entries to the owner: in order, without a gap, each once, and no more
 * than a window ahead of what was applied.
 *
 * They come from the core's tail, which holds everything that was not applied since it came in.
 * What was in the log already when this server started comes from disk, a megabyte at a time.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "node.h"

#define REPLAY_BYTES MU_APPLY_BATCH_BYTES

/* -- the window ---------------------------------------------------------------------------- */

static void batch_note(struct consensus_node *n, uint64_t last_index, uint64_t bytes)
{
    if (n->batches_count == n->batches_room) {
        size_t room = n->batches_room == 0 ? 16 : n->batches_room * 2;
        struct consensus_batch_mark *ring = mu_new_array(room, sizeof *ring);

        for (size_t i = 0; i < n->batches_count; i++) {
            ring[i] = n->batches[(n->batches_head + i) % n->batches_room];
        }
        mu_free(n->batches);
        n->batches = ring;
        n->batches_head = 0;
        n->batches_room = room;
    }
    n->batches[(n->batches_head + n->batches_count++) % n->batches_room] =
        (struct consensus_batch_mark){ last_index, bytes };
    n->batches_bytes += bytes;
}

void consensus__node_applied_upto(struct consensus_node *n, uint64_t index)
{
    while (n->batches_count > 0 && n->batches[n->batches_head].last_index <= index) {
        n->batches_bytes -= n->batches[n->batches_head].bytes;
        n->batches_head = (n->batches_head + 1) % n->batches_room;
        n->batches_count--;
    }
}

static bool is_window_open(const struct consensus_node *n)
{
    return n->delivered - n->applied < MU_APPLY_QUEUE_MAX &&
           n->batches_bytes < MU_APPLY_AHEAD_BYTES;
}

bool consensus__node_can_deliver(const struct consensus_node *n)
{
    return n->delivered < n->commit_to && is_window_open(n) && !n->is_replay_asked;
}

/* -- where entries come from --------------------------------------------------------------- */

/* Its payload was read before, when it came in or when the log was opened. */
static uint32_t level_of_config(struct mu_span payload, uint64_t index)
{
    struct consensus_config config;
    enum mu_code rc = consensus_config_decode(payload, index, &config, NULL);

    MU_ASSERT(rc == MU_OK);
    return config.level;
}

static bool from_tail(const struct consensus_node *n, uint64_t index,
                      struct consensus_entry_view *out)
{
    struct consensus_entry e;

    if (!consensus_entry_at(n->core, index, &e)) {
        return false;
    }
    *out = (struct consensus_entry_view){
        .index = e.index,
        .term = e.term,
        .is_command = e.kind == CONSENSUS_COMMAND,
        .ticket = e.ticket,
    };
    if (out->is_command && e.handle != 0) {
        out->bytes = consensus__pool_payload(&n->pool, e.handle);
    }
    if (e.kind == CONSENSUS_CONFIG) {
        out->level = level_of_config(consensus__pool_payload(&n->pool, e.handle), index);
    }
    return true;
}

/* The next record of what was read from disk, if it is the one wanted. */
static bool from_replay(struct consensus_node *n, uint64_t index, struct consensus_entry_view *out)
{
    struct mu_span left =
        mu_span_sub(mu_buf_span(&n->replay), n->replay_at, n->replay.bytes - n->replay_at);
    size_t before = left.bytes;
    struct consensus_record r;

    if (!consensus__wire_next(&left, &r) || r.index != index) {
        return false;
    }
    n->replay_at += before - left.bytes;
    *out = (struct consensus_entry_view){
        .index = r.index,
        .term = r.term,
        .is_command = r.kind == CONSENSUS_COMMAND,
        .bytes = r.kind == CONSENSUS_COMMAND ? r.payload : MU_SPAN_NONE,
        .level = r.kind == CONSENSUS_CONFIG ? level_of_config(r.payload, r.index) : 0,
    };
    return true;
}

static void replay_ask(struct consensus_node *n)
{
    struct consensus_fetch f = {
        .ticket = CONSENSUS_REPLAY_TICKET,
        .bytes_max = REPLAY_BYTES,
        .first = n->delivered + 1,
        .last = n->commit_to,
    };

    n->is_replay_asked = true;
    mu_buf_clear(&n->replay);
    n->replay_at = 0;
    n->store.ops->fetch(n->store.self, &f);
}

void consensus__node_replayed(struct consensus_node *n, struct consensus_fetched *f)
{
    n->is_replay_asked = false;
    if (n->phase != CONSENSUS_NODE_RUNS || n->delivered >= n->commit_to) {
        return; /* the log was reset meanwhile */
    }
    if (f->code != CONSENSUS_FETCH_OK) {
        consensus__node_die(n, "committed entries cannot be read back from the log");
        return;
    }
    mu_buf_deinit(&n->replay);
    n->replay = f->records; /* given */
    f->records = MU_BUF_NONE;
}

/* -- delivery ------------------------------------------------------------------------------ */

/* One batch: a transaction of the apply thread. */
static size_t batch_take(struct consensus_node *n, struct consensus_entry_view *views)
{
    uint64_t bytes = 0;
    size_t count = 0;

    while (count < MU_APPLY_BATCH_ENTRIES && n->delivered + count < n->commit_to &&
           n->delivered + count - n->applied < MU_APPLY_QUEUE_MAX && bytes < MU_APPLY_BATCH_BYTES) {
        uint64_t index = n->delivered + count + 1;

        if (!from_replay(n, index, &views[count]) && !from_tail(n, index, &views[count])) {
            break;
        }
        bytes += views[count].bytes.bytes;
        count++;
    }
    if (count > 0) {
        batch_note(n, n->delivered + count, bytes);
    }
    return count;
}

void consensus__node_deliver(struct consensus_node *n)
{
    struct consensus_entry_view views[MU_APPLY_BATCH_ENTRIES];

    /* Not inside a step, but the views point into pool and replay: nothing may be fed meanwhile. */
    while (consensus__node_can_deliver(n) && n->phase == CONSENSUS_NODE_RUNS) {
        size_t count = batch_take(n, views);

        if (count == 0) {
            replay_ask(n);
            break;
        }
        n->delivered += count;
        n->is_feeding = true;
        n->options.callbacks.apply(n->options.callbacks_data, views, count);
        n->is_feeding = false;
    }
    if (n->replay_at > 0 && n->replay_at == n->replay.bytes) {
        mu_buf_deinit(&n->replay);
        n->replay_at = 0;
    }
}
