/* peers.c - a server's connections to the other servers, and consensus' way to them.
 *
 * Per peer two links for consensus, control and bulk (spec/consensus.md 1.9), and one link to the
 * leader for calls (Propose, ReadIndex). Peers are ids; gossip says where an id lives. A link that
 * goes down is dialled again after 50 ms, doubling to 2 s, and at once when gossip reports the peer
 * alive or moved.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

#define BACKOFF_MIN_MS 50U
#define BACKOFF_MAX_MS 2000U
#define CONTROL_QUEUE  (256U * 1024) /* bytes waiting: more is dropped, consensus probes again */
#define CHANNELS       2

struct channel {
    struct peer *peer;
    struct rpc_link *link;
    struct timer timer; /* until the next dial */
    uint64_t backoff_ms;
};

struct peer {
    struct agent *agent;
    struct mu_link place;
    struct mu_id node;
    struct mu_addr addr; /* what the links were dialled to */
    bool is_configured;  /* consensus wants it connected */
    bool is_up;          /* as consensus was told */
    struct channel channels[CHANNELS];
};

struct peers {
    struct mu_link list;
    struct rpc_link *calls; /* to the leader */
    struct mu_id calls_to;
    struct mu_id odd; /* the server last named for what it expects: */
    unsigned odd_expect;
};

static void channel_dial(struct channel *c);

static struct peer *peer_find(struct agent *a, const struct mu_id *node)
{
    MU_LIST_EACH (place, &a->peers->list) {
        struct peer *p = MU_CONTAINER(place, struct peer, place);

        if (mu_id_eq(&p->node, node)) {
            return p;
        }
    }
    return NULL;
}

static struct peer *peer_of(struct agent *a, const struct mu_id *node)
{
    struct peer *p = peer_find(a, node);

    if (p == NULL) {
        p = mu_new(sizeof *p);
        p->agent = a;
        p->node = *node;
        for (size_t i = 0; i < CHANNELS; i++) {
            p->channels[i].peer = p;
        }
        mu_list_push_back(&a->peers->list, &p->place);
    }
    return p;
}

/* Consensus counts a peer as connected when both of its channels are. */
static void peer_tell(struct peer *p)
{
    bool is_up = true;

    for (size_t i = 0; i < CHANNELS; i++) {
        is_up = is_up && p->channels[i].link != NULL && rpc_is_up(p->channels[i].link);
    }
    if (is_up != p->is_up) {
        p->is_up = is_up;
        consensus_driver_peer(p->agent->consensus, &p->node, is_up);
    }
}

static void on_channel_timer(void *data)
{
    channel_dial(data);
}

static void on_channel(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct channel *c = data;
    struct peer *p = c->peer;
    struct agent *a = p->agent;

    if (is_up) {
        c->backoff_ms = 0;
        peer_tell(p);
        return;
    }
    mu_log(MU_DEBUG, "agent.server.raft", "Connection to a peer is down", mu_kv("error", why));
    rpc_hang_up(link);
    c->link = NULL;
    peer_tell(p);
    c->backoff_ms = c->backoff_ms == 0 ? BACKOFF_MIN_MS : c->backoff_ms * 2;
    if (c->backoff_ms > BACKOFF_MAX_MS) {
        c->backoff_ms = BACKOFF_MAX_MS;
    }
    if (p->is_configured) {
        uint64_t pause = c->backoff_ms / 2 + mu_rand_below(&a->rand, c->backoff_ms);

        timer_set(a->timers, &c->timer, pause, on_channel_timer, c);
    }
}

static void channel_dial(struct channel *c)
{
    struct peer *p = c->peer;
    struct agent *a = p->agent;
    struct agent__server server;

    if (c->link != NULL || !agent__server_find(a, &p->node, &server)) {
        return; /* gossip will say where it lives: agent__peers_refresh() */
    }
    timer_cancel(&c->timer);
    p->addr = server.rpc;
    c->link = rpc_dial(a->rpc, &server.rpc, &p->node, on_channel, c);
}

static void channel_drop(struct channel *c)
{
    timer_cancel(&c->timer);
    rpc_hang_up(c->link);
    c->link = NULL;
    c->backoff_ms = 0;
}

static void peer_free(struct peer *p)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        channel_drop(&p->channels[i]);
    }
    mu_list_remove(&p->place);
    mu_free(p);
}

/* -- what consensus calls ---------------------------------------------------------------------- */

static bool on_send(void *self, const struct mu_id *node, enum consensus_channel channel,
                    struct mu_span message)
{
    struct agent *a = self;
    struct peer *p = peer_of(a, node);
    bool is_bulk = channel == CONSENSUS_BULK;
    struct channel *c = &p->channels[is_bulk ? 1 : 0];

    if (agent__stands_back(a)) {
        return false;
    }
    if (c->link == NULL) {
        if (!timer_is_set(&c->timer)) {
            channel_dial(c);
        }
        return false;
    }
    return rpc_send(c->link, RPC_RAFT, message, is_bulk ? MU_RPC_BULK_MAX : CONTROL_QUEUE);
}

static void on_peers(void *self, const struct mu_id *nodes, size_t count)
{
    struct agent *a = self;

    MU_LIST_EACH (place, &a->peers->list) {
        MU_CONTAINER(place, struct peer, place)->is_configured = false;
    }
    for (size_t i = 0; i < count; i++) {
        if (mu_id_eq(&nodes[i], &a->data.node)) {
            continue;
        }
        struct peer *p = peer_of(a, &nodes[i]);

        p->is_configured = true;
        for (size_t j = 0; j < CHANNELS; j++) {
            channel_dial(&p->channels[j]);
        }
    }
}

static void on_flush(void *self)
{
    const struct agent *a = self;

    rpc_flush(a->rpc);
}

const struct consensus_transport agent__transport = {
    .send = on_send,
    .flush = on_flush,
    .peers = on_peers,
};

/* -- what gossip says -------------------------------------------------------------------------- */

struct candidates {
    struct consensus_candidate items[64];
    size_t count;
};

static void add_candidate(void *data, const struct agent__server *server)
{
    struct candidates *c = data;

    if (c->count < MU_LEN(c->items)) {
        c->items[c->count++] = (struct consensus_candidate){
            .server = server->node,
            .disk = server->disk,
            .cluster = server->cluster,
            .expect = server->expect,
            .is_alive = server->is_alive,
        };
    }
}

static void peer_refresh(struct agent *a, struct peer *p)
{
    struct agent__server server;

    if (!agent__server_find(a, &p->node, &server) || !server.is_alive) {
        return;
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        struct channel *c = &p->channels[i];

        if (c->link != NULL && !mu_addr_eq(&p->addr, &server.rpc)) {
            channel_drop(c); /* it moved */
        }
        if (c->link == NULL && p->is_configured) {
            c->backoff_ms = 0;
            channel_dial(c);
        }
    }
    peer_tell(p);
}

static bool is_fresh(const struct agent *a)
{
    struct consensus_identity id = consensus_driver_identity(a->consensus);

    return mu_id_is_none(&id.cluster);
}

/* As long as they differ no cluster is formed: whoever wrote one of the numbers must know which. */
static void name_odd(void *data, const struct agent__server *server)
{
    struct agent *a = data;
    struct peers *p = a->peers;
    unsigned own = a->config->is_bootstrap ? 1 : (unsigned)a->config->bootstrap_expect;

    if (own == 0 || !server->is_alive || server->is_self || server->expect == 0 ||
        server->expect == own || !mu_id_is_none(&server->cluster) ||
        (mu_id_eq(&p->odd, &server->node) && p->odd_expect == server->expect)) {
        return;
    }
    p->odd = server->node;
    p->odd_expect = server->expect;
    mu_log(MU_ERROR, "agent.server",
           "Member has a conflicting expect value. All nodes should expect the same number.",
           mu_kv("member", server->name), mu_kv_u("expects", server->expect), mu_kv_u("here", own));
}

void agent__peers_refresh(struct agent *a)
{
    struct candidates c = { .count = 0 };

    if (a->peers == NULL) {
        return;
    }
    MU_LIST_EACH (place, &a->peers->list) {
        peer_refresh(a, MU_CONTAINER(place, struct peer, place));
    }
    if (is_fresh(a)) {
        agent__each_server(a, name_odd, a);
    }
    if (a->config->is_bootstrap && is_fresh(a) && agent__is_to_ask(a)) {
        return; /* they may tell of a cluster: it must not form another beside it */
    }
    agent__each_server(a, add_candidate, &c);
    consensus_driver_candidates(a->consensus, c.items, c.count);
}

/* -- calls to the leader ----------------------------------------------------------------------- */

static void on_calls(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct agent *a = data;

    (void)why;
    if (is_up) {
        return;
    }
    MU_ASSERT(a->peers->calls == link);
    rpc_hang_up(link);
    a->peers->calls = NULL;
}

struct rpc_link *agent__leader_link(struct agent *a)
{
    struct consensus_status status;
    struct agent__server server;
    struct peers *p = a->peers;

    consensus_driver_status(a->consensus, &status);
    if (mu_id_is_none(&status.leader) || mu_id_eq(&status.leader, &a->data.node)) {
        return NULL;
    }
    if (p->calls != NULL && mu_id_eq(&p->calls_to, &status.leader)) {
        return p->calls;
    }
    if (!agent__server_find(a, &status.leader, &server)) {
        return NULL;
    }
    rpc_hang_up(p->calls);
    p->calls_to = status.leader;
    p->calls = rpc_dial(a->rpc, &server.rpc, &status.leader, on_calls, a);
    return p->calls;
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__peers_open(struct agent *a)
{
    a->peers = mu_new(sizeof *a->peers);
    mu_list_init(&a->peers->list);
}

void agent__peers_close(struct agent *a)
{
    struct peers *p = a->peers;

    if (p == NULL) {
        return;
    }
    while (!mu_list_empty(&p->list)) {
        peer_free(MU_CONTAINER(p->list.next, struct peer, place));
    }
    rpc_hang_up(p->calls);
    mu_free(p);
    a->peers = NULL;
}
