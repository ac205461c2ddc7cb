/* node_bootstrap.c - carries out what bootstrap.c decides: the promise made durable, the first
 * configuration written, the core begun. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "node.h"

_Static_assert(BOOTSTRAP_RECORD_BYTES_MAX <= CONSENSUS_STORE_RECORD_MAX, "the store holds it");

#define RETRY_MS    100U
#define PATIENCE_MS 1000U

enum mu_code consensus__node_bootstrap_open(struct consensus_node *n, struct mu_err *err)
{
    struct consensus_bootstrap_record record;
    struct consensus_bootstrap_options options = {
        .server = n->options.server,
        .disk = n->opened.disk,
        .expect = n->options.expect,
        .was_member = n->options.was_member,
        .awaits_view = n->options.awaits_view,
        .retry_ms = RETRY_MS,
        .patience_ms = PATIENCE_MS,
        .seed = mu_rand_u64(&n->rand),
    };
    enum mu_code rc =
        consensus_bootstrap_record_decode(mu_buf_span(&n->opened.record), &record, err);

    if (rc != MU_OK) {
        return mu_wrap(err, rc, "%s: the promise to form a cluster", n->options.dir);
    }
    n->bootstrap = mu_new(consensus_bootstrap_bytes());
    consensus_bootstrap_init(n->bootstrap, &options, &record, &n->identity.cluster, n->now_ms);
    return MU_OK;
}

/* -- notices ------------------------------------------------------------------------------- */

/* What people see of it at any time, not only in the log. */
static void waits_note(struct consensus_node *n, const struct consensus_bootstrap_notice *b)
{
    char peer[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&b->peer, peer);
    switch (b->kind) {
    case BOOTSTRAP_N_WAITING:
        (void)snprintf(n->waits, sizeof n->waits, "%s",
                       b->why != BOOTSTRAP_FREE ? consensus_bootstrap_why_text(b->why) : "");
        break;
    case BOOTSTRAP_N_PROMISED:
        (void)snprintf(n->waits, sizeof n->waits, "promised to form a cluster, %s decides", peer);
        break;
    case BOOTSTRAP_N_UNDECIDED:
        (void)snprintf(n->waits, sizeof n->waits,
                       "promised to form a cluster, and %s, which decides, does not answer", peer);
        break;
    case BOOTSTRAP_N_RELEASED:
    case BOOTSTRAP_N_BROKEN:
    case BOOTSTRAP_N_ADOPTED:
    case BOOTSTRAP_N_JOINED: n->waits[0] = '\0'; break;
    case BOOTSTRAP_N_PROPOSED:
    case BOOTSTRAP_N_REFUSED:
    case BOOTSTRAP_N_ABORTED: break;
    }
}

static void notice_log(const struct consensus_bootstrap_notice *b)
{
    const char *why = consensus_bootstrap_why_text(b->why);
    char peer[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&b->peer, peer);
    switch (b->kind) {
    case BOOTSTRAP_N_WAITING:
        if (b->why != BOOTSTRAP_FREE) {
            mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Waits to form a cluster", mu_kv("reason", why),
                   mu_kv_u("fresh_servers", b->a), mu_kv_u("expected", b->b));
        }
        break;
    case BOOTSTRAP_N_PROPOSED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Asks for promises to form a cluster",
               mu_kv_u("servers", b->a));
        break;
    case BOOTSTRAP_N_PROMISED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Promised to form a cluster",
               mu_kv("coordinator", peer), mu_kv_u("servers", b->a));
        break;
    case BOOTSTRAP_N_REFUSED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Another server does not promise",
               mu_kv("server", peer), mu_kv("reason", why));
        break;
    case BOOTSTRAP_N_ABORTED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Gave up an attempt to form a cluster");
        break;
    case BOOTSTRAP_N_RELEASED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Released from a promise",
               mu_kv("coordinator", peer));
        break;
    case BOOTSTRAP_N_UNDECIDED:
        mu_log(MU_WARN, CONSENSUS_LOG_MODULE,
               "Promised to form a cluster, and the server that decides does not answer: if it is "
               "gone for good, muster operator bootstrap-reset frees this one",
               mu_kv("coordinator", peer));
        break;
    case BOOTSTRAP_N_BROKEN:
        mu_log(MU_WARN, CONSENSUS_LOG_MODULE,
               "Joins the cluster that added it and breaks its promise to a server that did not "
               "decide: should that one come back, it cannot count on this one",
               mu_kv("coordinator", peer));
        break;
    case BOOTSTRAP_N_ADOPTED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Forms a cluster", mu_kv_u("servers", b->a));
        break;
    case BOOTSTRAP_N_JOINED:
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Added to a cluster as a learner");
        break;
    }
}

/* -- adoption ------------------------------------------------------------------------------ */

/* Index 1 of term 1: the same bytes on every server of the set. */
static void adopt(struct consensus_node *n, const struct consensus_bootstrap_effects *fx)
{
    struct consensus_config config;
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    struct consensus_write w = {
        .seq = 1, .hard = { .term = 1, .cluster = fx->adopt_cluster }, .first = 1, .last = 1
    };
    struct consensus_flight *flight = mu_new(sizeof *flight + sizeof(uint32_t));

    MU_ASSERT(n->identity.is_fresh && n->adopting.count == 0 && n->persisted_seq == 0);
    n->adopting = *fx->adopt;
    n->adopting_cluster = fx->adopt_cluster;
    n->campaigns_at_once = fx->is_coordinator;
    consensus_bootstrap_config(&n->adopting, &config);
    struct consensus_record r = {
        .index = 1,
        .term = 1,
        .kind = CONSENSUS_CONFIG,
        .payload = mu_span_of(bytes, consensus_config_encode(&config, bytes)),
    };

    flight->seq = 1;
    flight->count = 1;
    flight->handles[0] = consensus__pool_add_record(&n->pool, &r);
    mu_list_push_back(&n->flights, &flight->link);
    struct mu_span record = consensus__pool_record(&n->pool, flight->handles[0]);

    n->store.ops->submit(n->store.self, &w, &record);
}

/* Nothing but the name of the cluster and its epoch: the leader sends the rest. */
static void join(struct consensus_node *n, const struct mu_id *cluster)
{
    struct consensus_write w = { .seq = 1, .first = 1 };

    MU_ASSERT(n->identity.is_fresh && n->persisted_seq == 0 && !n->is_joining);
    n->is_joining = true;
    n->adopting_cluster = *cluster;
    w.hard.cluster = *cluster;
    w.hard.epoch = n->adopting_epoch;
    n->store.ops->submit(n->store.self, &w, NULL);
}

void consensus__node_invite(struct consensus_node *n, const struct consensus_msg *m)
{
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_INVITED, .cluster = m->cluster };

    if (n->phase == CONSENSUS_NODE_FRESH && m->kind == CONSENSUS_INVITE &&
        mu_id_eq(&m->invite.disk, &n->opened.disk) && mu_id_eq(&m->to, &n->options.server) &&
        !n->is_joining) {
        n->adopting_epoch = m->epoch;
        consensus__node_bootstrap_feed(n, &ev);
    }
}

/* What the store would say if it were opened now. */
void consensus__node_joined(struct consensus_node *n)
{
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_ADOPTED };

    n->opened.loaded.hard =
        (struct consensus_hard){ .cluster = n->adopting_cluster, .epoch = n->adopting_epoch };
    n->opened.loaded.seq = 1;
    n->is_joining = false;
    if (n->phase != CONSENSUS_NODE_FRESH) {
        return; /* it stops: the next start finds the cluster */
    }
    consensus__node_bootstrap_feed(n, &ev);
    consensus__node_core_start(n);
}

/* The same for the first of a cluster. */
void consensus__node_adopted(struct consensus_node *n)
{
    struct consensus_opened *o = &n->opened;
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_ADOPTED };

    mu_free(o->runs);
    mu_free(o->configs);
    o->runs = mu_new_array(1, sizeof *o->runs);
    o->configs = mu_new_array(1, sizeof *o->configs);
    o->runs[0] = (struct consensus_run){ .first_index = 1, .term = 1 };
    consensus_bootstrap_config(&n->adopting, &o->configs[0]);
    o->configs[0].index = 1;
    o->loaded.hard = (struct consensus_hard){ .term = 1, .cluster = n->adopting_cluster };
    o->loaded.runs = o->runs;
    o->loaded.runs_count = 1;
    o->loaded.configs = o->configs;
    o->loaded.configs_count = 1;
    o->loaded.last_index = 1;
    o->loaded.seq = 1;
    n->adopting.count = 0;
    if (n->phase != CONSENSUS_NODE_FRESH) {
        return; /* it stops: the next start finds index 1 in the log */
    }
    consensus__node_bootstrap_feed(n, &ev);
    consensus__node_core_start(n);
}

/* -- the step ------------------------------------------------------------------------------ */

static void carry_out(struct consensus_node *n, const struct consensus_bootstrap_effects *fx)
{
    for (size_t i = 0; i < fx->notices_count; i++) {
        notice_log(&fx->notices[i]);
        waits_note(n, &fx->notices[i]);
    }
    if (fx->record != NULL) {
        uint8_t bytes[BOOTSTRAP_RECORD_BYTES_MAX];
        size_t used = consensus_bootstrap_record_encode(fx->record, bytes);

        n->store.ops->record(n->store.self, mu_span_of(bytes, used));
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        mu_buf_clear(&n->out);
        consensus__wire_encode_bootstrap(&fx->sends[i], &n->out);
        consensus__node_send(n, &fx->sends[i].to, CONSENSUS_CONTROL);
    }
    if (fx->adopt != NULL) {
        adopt(n, fx);
    }
    if (fx->is_join) {
        join(n, &fx->adopt_cluster);
    }
    n->bootstrap_wake_ms = fx->wake_at_ms;
}

void consensus__node_bootstrap_feed(struct consensus_node *n, struct consensus_bootstrap_event *ev)
{
    struct consensus_bootstrap_effects fx;

    if (n->phase != CONSENSUS_NODE_FRESH && n->phase != CONSENSUS_NODE_RUNS) {
        return;
    }
    MU_ASSERT(!n->is_feeding);
    n->is_feeding = true;
    ev->now_ms = n->now_ms;
    consensus_bootstrap_step(n->bootstrap, ev, &fx);
    carry_out(n, &fx);
    n->is_feeding = false;
}
