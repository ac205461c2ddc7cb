/* caretaker.c - the leader's care for the servers.
 *
 * autopilot.h decides, here is what it needs: each second, and soon after gossip says something,
 * the leader puts together what consensus, gossip and the catalog know of every server, and asks.
 * roster.h carries out the one change that comes back.
 */
#include "caretaker.h"

#include <stdio.h>
#include <string.h>

#include "autopilot_view.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "roster.h"

#define LOOK_MS 1000U /* between looks, while this server leads */
#define MODULE  "agent.server.autopilot"

/* The write of the first configuration, under way. */
struct caretaker_seeding {
    struct agent *agent; /* NULL: its end interests nobody any more */
};

/* -- what autopilot looks at ------------------------------------------------------------------- */

static void add_seen(void *data, const struct agent__server *server)
{
    autopilot_view_seen(data, &(struct autopilot_sighting){
                                  .name = server->name,
                                  .server = server->node,
                                  .disk = server->disk,
                                  .cluster = server->cluster,
                                  .status = server->status,
                                  .level = server->level,
                              });
}

static uint64_t ms_of(uint64_t ns)
{
    return ns / (uint64_t)MU_NS_PER_MS;
}

/* Two heartbeats must fit into the threshold, or nobody would ever be healthy. */
static uint64_t contact_ms(struct agent *a, uint64_t wanted_ms)
{
    uint64_t least_ms = 2 * consensus_driver_heartbeat_ms(a->consensus);

    return wanted_ms > least_ms ? wanted_ms : least_ms;
}

static enum mu_code settings_read(struct agent *a, struct autopilot_settings *out,
                                  struct mu_err *err)
{
    const struct config *c = a->config;
    struct catalog_autopilot set;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog_query_autopilot(a->reader, &arena, &set, err);

    mu_arena_deinit(&arena);
    if (rc != MU_OK) {
        return rc;
    }
    *out = (struct autopilot_settings){
        .cleanup_dead_servers = set.cleanup_dead_servers,
        .last_contact_ms = ms_of(set.last_contact_ns),
        .stabilization_ms = ms_of(set.stabilization_ns),
        .max_trailing_logs = set.max_trailing_logs,
        .min_quorum = set.min_quorum,
    };
    if (!set.is_set) { /* about to be */
        *out = (struct autopilot_settings){
            .cleanup_dead_servers = c->autopilot.cleanup_dead_servers,
            .last_contact_ms = (uint64_t)c->autopilot.last_contact_ms,
            .stabilization_ms = (uint64_t)c->autopilot.stabilization_ms,
            .max_trailing_logs = (uint64_t)c->autopilot.max_trailing_logs,
            .min_quorum = (uint64_t)c->autopilot.min_quorum,
        };
    }
    out->last_contact_ms = contact_ms(a, out->last_contact_ms);
    return MU_OK;
}

enum mu_code caretaker_gather(struct agent *a, struct autopilot_server room[AUTOPILOT_SERVERS_MAX],
                              struct autopilot_input *in, struct consensus_status *status,
                              struct mu_err *err)
{
    struct autopilot_view view = {
        .servers = room,
        .cluster = consensus_driver_identity(a->consensus).cluster,
    };

    consensus_driver_status(a->consensus, status);
    consensus_driver_config(a->consensus, &view.config);
    autopilot_view_configured(&view, &a->data.node);
    autopilot_view_progress(&view, status);
    agent__each_server(a, add_seen, &view);
    *in = (struct autopilot_input){
        .now_ms = mu_clock_ms(), /* the clock of consensus */
        .last_index = status->last_index,
        .absent_ms = (uint64_t)a->config->reconcile.absent_after_ms,
        .voters_max = CONSENSUS_VOTERS_MAX,
        .servers_max = CONSENSUS_PEERS_MAX,
        .level = status->level,
        .may_change = agent__roster_may_change(a, status),
        .servers = room,
        .servers_count = view.count,
    };
    return settings_read(a, &in->settings, err);
}

/* -- looking ----------------------------------------------------------------------------------- */

/* Logged when it changes, not each second. */
static void complain(char said[AUTOPILOT_WHY_MAX], const char *what, const char *text)
{
    if (strcmp(text, said) != 0) {
        (void)snprintf(said, AUTOPILOT_WHY_MAX, "%s", text);
        if (text[0] != '\0') {
            mu_log(MU_WARN, MODULE, what, mu_kv("reason", text));
        }
    }
}

static void look(void *data)
{
    struct agent *a = data;
    struct caretaker *o = a->caretaker;
    struct autopilot_server servers[AUTOPILOT_SERVERS_MAX];
    struct autopilot_input in;
    struct consensus_status status;
    struct mu_err err = MU_ERR_NONE;

    timer_set(a->timers, &o->timer, LOOK_MS, look, a);
    if (caretaker_gather(a, servers, &in, &status, &err) != MU_OK) {
        mu_log(MU_ERROR, MODULE, "cannot read the catalog", mu_kv("error", err.text));
        return;
    }
    autopilot_step(o->pilot, &in, &o->report);
    if (in.may_change) {
        complain(o->said_held, "A server that is gone is not removed", o->report.held);
        complain(o->said_old, "A new server is not taken in", o->report.old);
    }
    agent__roster_tend(a, &in, &o->report);
}

/* A failed one that was removed is not expected back: as with Consul, members show it as left. */
void agent__caretaker_changed(struct agent *a, const struct consensus_change *change)
{
    struct agent__server known;
    struct mu_err err = MU_ERR_NONE;

    if (a->caretaker == NULL) {
        return;
    }
    autopilot_changed(a->caretaker->pilot, &change->server, &change->disk, mu_clock_ms());
    if (change->kind == CONSENSUS_REMOVE && agent__server_find(a, &change->server, &known) &&
        known.status == GOSSIP_STATUS_FAILED &&
        gossip_driver_force_leave(a->gossip, known.name, false, &err) != MU_OK) {
        mu_log(MU_DEBUG, MODULE, "no such member any more", mu_kv("error", err.text));
    }
}

void agent__caretaker_look(struct agent *a)
{
    if (a->caretaker != NULL && a->caretaker->is_in_office) {
        timer_set(a->timers, &a->caretaker->timer, 0, look, a);
    }
}

/* -- office ------------------------------------------------------------------------------------ */

static void on_seeded(void *data, const struct agent_written *written)
{
    struct caretaker_seeding *s = data;

    if (s->agent != NULL) {
        s->agent->caretaker->seeding = NULL;
        if (written->code != MU_OK) {
            mu_log(MU_WARN, MODULE, "failed to set the first configuration",
                   mu_kv("error", written->text));
        }
    }
    mu_free(s);
}

/* The first leader sets what its file says; it changes nothing that is set. */
static void seed(struct agent *a)
{
    const struct config *c = a->config;
    struct command command = {
        .kind = COMMAND_AUTOPILOT,
        .autopilot = {
            .cleanup_dead_servers = c->autopilot.cleanup_dead_servers,
            .last_contact_ns = (uint64_t)(c->autopilot.last_contact_ms * MU_NS_PER_MS),
            .stabilization_ns = (uint64_t)(c->autopilot.stabilization_ms * MU_NS_PER_MS),
            .max_trailing_logs = (uint64_t)c->autopilot.max_trailing_logs,
            .min_quorum = (uint64_t)c->autopilot.min_quorum,
            .has_cas = true,
        },
    };
    struct catalog_autopilot set;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog_query_autopilot(a->reader, &arena, &set, &err);

    mu_arena_deinit(&arena);
    if (rc == MU_OK && !set.is_set && a->caretaker->seeding == NULL) {
        a->caretaker->seeding = mu_new(sizeof *a->caretaker->seeding);
        a->caretaker->seeding->agent = a;
        agent_write(a, &command, on_seeded, a->caretaker->seeding);
    }
}

void agent__caretaker_office(struct agent *a, bool is_in_office)
{
    struct caretaker *o = a->caretaker;

    if (o == NULL || o->is_in_office == is_in_office) {
        return;
    }
    o->is_in_office = is_in_office;
    if (is_in_office) {
        autopilot_lead(o->pilot, mu_clock_ms());
        seed(a);
        look(a);
    } else {
        timer_cancel(&o->timer);
    }
}

void agent__caretaker_open(struct agent *a)
{
    a->caretaker = mu_new(sizeof *a->caretaker);
    a->caretaker->pilot = autopilot_new();
    mu_list_init(&a->caretaker->wishes);
}

void agent__caretaker_close(struct agent *a)
{
    struct caretaker *o = a->caretaker;

    if (o == NULL) {
        return;
    }
    timer_cancel(&o->timer);
    if (o->seeding != NULL) {
        o->seeding->agent = NULL; /* its write is answered when requests close */
    }
    agent__wishes_close(a);
    autopilot_free(o->pilot);
    mu_free(o);
    a->caretaker = NULL;
}
