/* roster.c - carries changes of the configuration to consensus, one at a time.
 *
 * What autopilot decides about servers goes first; when it has no wish, an address that gossip
 * knows better than the configuration is written down (spec/consensus.md 2.11). A refusal that may
 * pass is tried again by the next look, which decides anew from what is so then; any other one is
 * told once.
 */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "roster.h"

struct roster {
    struct agent *agent; /* NULL: closed while a change was in flight */
    bool is_changing;
    bool is_autopilots;             /* the one in flight */
    struct consensus_change change; /* in flight */
    enum mu_code told;              /* of the last refusal; MU_OK: none */
};

static const char *const verbs[] = {
    [CONSENSUS_ADD] = "adding a server as a learner",
    [CONSENSUS_PROMOTE] = "promoting a server to voter",
    [CONSENSUS_DEMOTE] = "demoting a voter",
    [CONSENSUS_REMOVE] = "removing a server",
    [CONSENSUS_SET] = "writing down the address of a server",
    [CONSENSUS_REPLACE] = "replacing a voter",
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
               mu_kv("attempt", verbs[r->change.kind]), mu_kv("error", why));
    }
    if (!may_pass) {
        r->told = code;
    }
    if (code == MU_OK && r->is_autopilots) {
        agent__caretaker_changed(r->agent, &r->change);
    }
    if (code == MU_OK) {
        agent__caretaker_look(r->agent); /* what is next? */
    }
}

static void change(struct roster *r, const struct consensus_change *what, const char *name,
                   const char *why)
{
    r->change = *what;
    r->is_changing = true;
    if (r->told == MU_OK) {
        mu_log(MU_INFO, "agent.server", verbs[what->kind], mu_kv("server", name),
               mu_kv(what->kind == CONSENSUS_SET ? "address" : "reason", why));
    }
    consensus_driver_change(r->agent->consensus, what, on_changed, r);
}

bool agent__roster_may_change(const struct agent *a, const struct consensus_status *status)
{
    return !a->roster->is_changing && a->phase < AGENT_LEAVING && status->is_ready &&
           status->is_config_committed && !status->is_transferring;
}

/* -- what autopilot wants -------------------------------------------------------------------- */

static enum consensus_change_kind kind_of(enum autopilot_kind kind)
{
    switch (kind) {
    case AUTOPILOT_ADD: return CONSENSUS_ADD;
    case AUTOPILOT_PROMOTE: return CONSENSUS_PROMOTE;
    case AUTOPILOT_REMOVE: return CONSENSUS_REMOVE;
    case AUTOPILOT_NOTHING: break;
    }
    MU_UNREACHABLE_CODE();
}

static void carry_out(struct agent *a, const struct autopilot_output *wish)
{
    struct consensus_change what = { .kind = kind_of(wish->kind) };
    struct agent__server known = { .name = "(unknown)" };

    what.server = wish->id;
    what.disk = wish->disk;
    if (agent__server_find(a, &wish->id, &known) && what.kind == CONSENSUS_ADD) {
        mu_addr_text(&known.rpc, what.address);
        what.level = known.level;
    }
    change(a->roster, &what, known.name, wish->why);
}

/* -- addresses ------------------------------------------------------------------------------- */

_Static_assert(MU_ADDR_TEXT_MAX <= CONSENSUS_ADDRESS_MAX, "every address has room");

static void address_next(struct agent *a)
{
    struct consensus_config config;

    consensus_driver_config(a->consensus, &config);
    for (uint32_t i = 0; i < config.servers_count; i++) {
        const struct consensus_server *s = &config.servers[i];
        struct consensus_change what = { .kind = CONSENSUS_SET, .priority = s->priority };
        struct agent__server known;

        if (!agent__server_find(a, &s->id, &known) || !known.is_alive ||
            !mu_id_eq(&known.disk, &s->disk)) {
            continue;
        }
        mu_addr_text(&known.rpc, what.address);
        if (strcmp(what.address, s->address) != 0) {
            what.server = s->id;
            what.disk = s->disk;
            change(a->roster, &what, known.name, what.address);
            return;
        }
    }
}

void agent__roster_tend(struct agent *a, const struct autopilot_input *in,
                        const struct autopilot_output *wish)
{
    if (!in->may_change) {
        return;
    }
    a->roster->is_autopilots = wish->kind != AUTOPILOT_NOTHING;
    if (a->roster->is_autopilots) {
        carry_out(a, wish);
    } else {
        address_next(a);
    }
}

/* -- life ------------------------------------------------------------------------------------ */

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
    a->roster = NULL;
    r->agent = NULL;
    if (!r->is_changing) { /* else its answer, which comes when consensus stops, frees it */
        mu_free(r);
    }
}
