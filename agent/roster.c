/* roster.c - the leader keeps the configuration of the servers up to date with gossip.
 *
 * One change is in flight at a time; what comes next is decided anew by membership.h, from what is
 * so then. A refusal that may pass (another change is under way, no quorum for the moment) is tried
 * again after a while, any other one is told once.
 */
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "membership.h"

#define PAUSE_MS 1000U /* after a refusal, and between addresses */
#define SILENCE_MS                                                                 \
    10000U /* a disk that was not heard for so long is gone, when another is there \
            */
#define SERVERS_SEEN 64

struct roster {
    struct agent *agent; /* NULL: closed while a change was in flight */
    struct timer timer;
    bool is_in_office, is_changing;
    struct consensus_change change; /* in flight */
    enum mu_code told;              /* of the last refusal; MU_OK: none */
};

static void run(void *data);

static void again(struct roster *r, uint64_t in_ms)
{
    if (!r->is_changing && r->is_in_office && !timer_is_set(&r->timer)) {
        timer_set(r->agent->timers, &r->timer, in_ms, run, r);
    }
}

/* -- what is ------------------------------------------------------------------------------- */

struct sight {
    struct agent *agent;
    struct consensus_status status;
    struct membership_server servers[SERVERS_SEEN];
    size_t count;
};

static bool is_heard(const struct sight *s, const struct mu_id *node, uint64_t now_ms)
{
    for (size_t i = 0; i < s->status.peers_count; i++) {
        const struct consensus_peer_status *p = &s->status.peers[i];

        if (mu_id_eq(&p->id, node)) {
            return p->acked_ms != 0 && p->acked_ms + SILENCE_MS > now_ms;
        }
    }
    return false;
}

static void see(void *data, const struct agent__server *server)
{
    struct sight *s = data;

    if (s->count == SERVERS_SEEN) {
        return;
    }
    struct membership_server *to = &s->servers[s->count++];

    *to = (struct membership_server){
        .node = server->node,
        .disk = server->disk,
        .cluster = server->cluster,
        .is_alive = server->is_alive,
        .is_heard = is_heard(s, &server->node, timers_now(s->agent->timers)),
    };
    mu_addr_text(&server->rpc, to->address);
}

/* -- what is to be ------------------------------------------------------------------------- */

static const char *const verbs[] = {
    [CONSENSUS_ADD] = "adding a server as learner",
    [CONSENSUS_PROMOTE] = "promoting a server",
    [CONSENSUS_DEMOTE] = "demoting a server",
    [CONSENSUS_REMOVE] = "removing a server that has lost its disk",
    [CONSENSUS_SET] = "writing down the address of a server",
    [CONSENSUS_REPLACE] = "replacing a server",
};

static void on_changed(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct roster *r = data;
    bool may_pass = code == MU_BUSY || code == MU_NO_LEADER || code == MU_NOT_LEADER;

    (void)index;
    if (r->agent == NULL) {
        mu_free(r);
        return;
    }
    r->is_changing = false;
    if (code != MU_OK && !may_pass && code != r->told) {
        mu_log(MU_WARN, "agent.server", "failed to change the servers of the cluster",
               mu_kv("attempt", verbs[r->change.kind]), mu_kv("address", r->change.address),
               mu_kv("error", why));
    }
    r->told = code != MU_OK && !may_pass ? code : MU_OK;
    again(r, code == MU_OK && r->change.kind != CONSENSUS_SET ? 0 : PAUSE_MS);
}

static void change(struct roster *r)
{
    struct agent *a = r->agent;

    if (a->phase >= AGENT_LEAVING) {
        return;
    }
    r->is_changing = true;
    if (r->told == MU_OK) {
        mu_log(MU_INFO, "agent.server", verbs[r->change.kind], mu_kv("address", r->change.address));
    }
    consensus_driver_change(a->consensus, &r->change, on_changed, r);
}

static void run(void *data)
{
    struct roster *r = data;
    struct agent *a = r->agent;
    struct sight *s = mu_new(sizeof *s);
    struct consensus_identity own = consensus_driver_identity(a->consensus);
    struct consensus_config config;

    s->agent = a;
    consensus_driver_status(a->consensus, &s->status);
    consensus_driver_config(a->consensus, &config);
    agent__each_server(a, see, s);
    switch (membership_next(&config, &own.cluster, s->servers, s->count, &r->change)) {
    case MEMBERSHIP_SETTLED: break;
    case MEMBERSHIP_WAITS: again(r, PAUSE_MS); break;
    case MEMBERSHIP_CHANGES: change(r); break;
    }
    mu_free(s);
}

/* -- what others tell ---------------------------------------------------------------------- */

void agent__roster_office(struct agent *a, bool is_in_office)
{
    struct roster *r = a->roster;

    r->is_in_office = is_in_office;
    r->told = MU_OK;
    timer_cancel(&r->timer);
    again(r, PAUSE_MS); /* what belongs together has been seen together */
}

void agent__roster_refresh(struct agent *a)
{
    if (a->roster != NULL) {
        again(a->roster, PAUSE_MS / 4);
    }
}

void agent__roster_open(struct agent *a)
{
    a->roster = mu_new(sizeof *a->roster);
    a->roster->agent = a;
}

void agent__roster_close(struct agent *a)
{
    struct roster *r = a->roster;

    if (r == NULL) {
        return;
    }
    timer_cancel(&r->timer);
    a->roster = NULL;
    r->agent = NULL;
    if (!r->is_changing) { /* else its answer, which comes when consensus stops, frees it */
        mu_free(r);
    }
}
