/* node_inbox.c - what arrives from peers: decoded, judged by its sender, fed to the core. What
 * comes while an event is being fed waits for the next round of the turn.
 */
#include "node.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

static struct consensus_deferred *defer(struct consensus_node *n, const struct mu_id *peer)
{
    struct consensus_deferred *item = mu_new(sizeof *item);

    item->peer = *peer;
    mu_list_push_back(&n->inbox, &item->link);
    return item;
}

static void receive_raft(struct consensus_node *n, struct consensus_frame *frame)
{
    struct consensus_entries entries = { 0 };
    struct consensus_event ev = { .kind = CONSENSUS_EV_RECV, .msg = &frame->msg };

    if (frame->msg.kind == CONSENSUS_APPEND_REQ) {
        consensus__node_entries(n, frame->records, frame->msg.append.entries_count, &entries);
        MU_ASSERT(entries.count == frame->msg.append.entries_count);
        frame->msg.append.entries = entries.list;
    }
    consensus__node_feed(n, &ev);
    mu_free(entries.list);
    mu_free(entries.configs);
}

static void receive_now(struct consensus_node *n, const struct mu_id *from,
                        const struct mu_id *from_disk, struct mu_span message)
{
    struct consensus_frame frame;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = consensus__wire_decode(message, &n->arena, &frame, &err);

    mu_arena_reset(&n->arena);
    if (rc == MU_OK) {
        const struct mu_id *said = frame.is_bootstrap ? &frame.bootstrap.from : &frame.msg.from;
        const struct mu_id *disk =
            frame.is_bootstrap ? &frame.bootstrap.from_disk : &frame.msg.from_disk;

        if (!mu_id_eq(said, from) || !mu_id_eq(disk, from_disk)) {
            rc = mu_fail(&err, MU_DENIED, "the sender is not who its connection belongs to");
        }
    }
    if (rc != MU_OK) {
        n->malformed_count++;
        mu_log(MU_DEBUG, CONSENSUS_LOG_MODULE, "Dropped a message", mu_kv("error", err.text));
        return;
    }
    if (frame.is_bootstrap) {
        struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_RECV,
                                                .msg = &frame.bootstrap };

        consensus__node_bootstrap_feed(n, &ev);
    } else if (n->phase == CONSENSUS_NODE_RUNS) {
        receive_raft(n, &frame);
    } else {
        consensus__node_invite(n, &frame.msg);
    }
}

void consensus__node_receive(struct consensus_node *n, uint64_t now_ms, const struct mu_id *from,
                             const struct mu_id *from_disk, struct mu_span message)
{
    if (n->is_feeding) {
        struct consensus_deferred *item = defer(n, from);

        item->disk = *from_disk;
        mu_buf_add_span(&item->message, message);
        return;
    }
    consensus__node_clock(n, now_ms);
    consensus__node_catch_up(n);
    receive_now(n, from, from_disk, message);
}

static void peer_now(struct consensus_node *n, const struct mu_id *peer, enum consensus_link state)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_PEER };

    ev.peer.id = *peer;
    ev.peer.link = state;
    if (n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_feed(n, &ev);
    }
}

void consensus__node_peer(struct consensus_node *n, uint64_t now_ms, const struct mu_id *peer,
                          enum consensus_link state)
{
    if (n->is_feeding) {
        struct consensus_deferred *item = defer(n, peer);

        item->is_link = true;
        item->state = state;
        return;
    }
    consensus__node_clock(n, now_ms);
    consensus__node_catch_up(n);
    peer_now(n, peer, state);
}

void consensus__deferred_free(struct consensus_deferred *item)
{
    mu_buf_deinit(&item->message);
    mu_free(item);
}

/* Only what is there now: carrying these out may bring more. */
void consensus__node_inbox_run(struct consensus_node *n)
{
    struct mu_link now;
    struct mu_link *link;

    mu_list_init(&now);
    while ((link = mu_list_pop_front(&n->inbox)) != NULL) {
        mu_list_push_back(&now, link);
    }
    while ((link = mu_list_pop_front(&now)) != NULL) {
        struct consensus_deferred *item = MU_CONTAINER(link, struct consensus_deferred, link);

        if (item->is_link) {
            peer_now(n, &item->peer, item->state);
        } else {
            receive_now(n, &item->peer, &item->disk, mu_buf_span(&item->message));
        }
        consensus__deferred_free(item);
    }
}
