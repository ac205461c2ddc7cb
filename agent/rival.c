/* rival.c - two living nodes of one name, both members of what was two clusters: each asks all
 * others at which address they have it, and the one that fewer know ends (spec/gossip.md 13.9).
 *
 * Only as `serf agent`. A newcomer asks nobody: it is turned away (join.c). Agents with a catalog
 * do not vote at all, as Consul's: there the cluster goes on with both, and says so.
 */
#include "rival.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

#define QUERY    "_serf_conflict"
#define PAUSE_MS 30000U /* between two votes: notices come every few seconds */

struct rival {
    struct mu_id id; /* of the other one */
    char address[MU_ADDR_TEXT_MAX], own[MU_ADDR_TEXT_MAX];
    uint64_t query; /* 0: no vote is under way */
    unsigned responses, ours;
    uint64_t voted_ms;
};

bool rival_stays(unsigned responses, unsigned ours, const struct mu_id *own,
                 const struct mu_id *other)
{
    unsigned majority = responses / 2 + 1;

    if (ours >= majority) {
        return true;
    }
    return responses - ours < majority && memcmp(own, other, sizeof *own) < 0;
}

/* -- asked by another -------------------------------------------------------------------------- */

/* Who has that very name has no vote. */
bool agent__rival_query(struct agent *a, const struct gossip_query *query)
{
    char name[MU_NAME_MAX + 1];
    struct mu_err err = MU_ERR_NONE;
    struct gossip_view held;
    char at[MU_ADDR_TEXT_MAX];

    if (strcmp(query->name, QUERY) != 0) {
        return false;
    }
    if (query->payload.bytes >= sizeof name ||
        mu_span_eq_text(query->payload, a->config->node_name)) {
        return true;
    }
    (void)snprintf(name, sizeof name, "%.*s", MU_SPAN_FMT(query->payload));
    if (gossip_driver_find(a->gossip, name, &held)) {
        mu_addr_text(&held.addr, at);
        if (gossip_driver_respond(a->gossip, query->ltime, query->id, mu_span_text(at), &err) !=
            MU_OK) {
            mu_log(MU_WARN, "agent", "Could not say who holds a name", mu_kv("error", err.text));
        }
    }
    return true;
}

/* -- asking ------------------------------------------------------------------------------------ */

static void decide(struct agent *a)
{
    struct rival *r = a->rival;
    unsigned majority = r->responses / 2 + 1;
    bool stays = rival_stays(r->responses, r->ours, &a->data.node, &r->id);

    r->query = 0;
    mu_logf(stays ? MU_INFO : MU_ERROR, "agent",
            "serf: %s in name conflict resolution%s [%u / %u]: '%s' is held at %s and at %s",
            r->ours >= majority ? "majority" : "minority", stays ? "" : ", quiting", r->ours,
            r->responses, a->config->node_name, r->own, r->address);
    if (!stays) {
        agent__end(a, AGENT_FAILED);
    }
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    struct agent *a = data;

    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        a->rival->responses++;
        a->rival->ours += mu_span_eq_text(reply->payload, a->rival->own);
    } else if (reply->kind == GOSSIP_REPLY_DONE) {
        decide(a);
    }
}

void agent__rival(struct agent *a, const struct gossip_view *other)
{
    const struct gossip_query_params params = { .name = QUERY,
                                                .payload = mu_span_text(a->config->node_name),
                                                .is_internal = true };
    uint64_t now_ms = timers_now(a->timers);
    struct mu_err err = MU_ERR_NONE;
    struct rival *r = a->rival;

    if (!a->config->serf.is_on || a->config->serf.has_no_vote || a->phase != AGENT_RUNNING ||
        !agent__has_joined(a) || strcmp(other->name, a->config->node_name) != 0) {
        return;
    }
    if (r != NULL && (r->query != 0 || now_ms - r->voted_ms < PAUSE_MS)) {
        return;
    }
    if (r == NULL) {
        r = a->rival = mu_new(sizeof *r);
    }
    *r = (struct rival){ .id = other->node_id, .voted_ms = now_ms };
    mu_addr_text(&other->addr, r->address);
    mu_addr_text(&a->advertise, r->own);
    if (gossip_driver_query(a->gossip, &params, on_reply, a, &r->query, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "Cannot ask who holds our name", mu_kv("error", err.text));
        r->query = 0;
    }
}

void agent__rival_close(struct agent *a)
{
    if (a->rival != NULL && a->rival->query != 0) {
        gossip_driver_query_forget(a->gossip, a->rival->query);
    }
    mu_free(a->rival);
    a->rival = NULL;
}
