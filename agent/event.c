/* event.c - user events and queries that gossip brings, told to everybody here who listens.
 *
 * Consul's events travel under a reserved name (event_codec.h); those that mean this node are kept
 * for GET /v1/event/list. Everything else is Serf's: for its control port and for event handlers.
 */
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "event_codec.h"
#include "event_ring.h"
#include "tally.h"

#define EXEC_EVENT "_rexec"

struct events {
    struct event_ring ring;
    uint64_t unreadable; /* said at the first, then counted */
};

/* -- in ---------------------------------------------------------------------------------------- */

static void on_unreadable(struct events *events, const struct gossip_user_event *event,
                          const struct mu_err *err)
{
    if (events->unreadable++ == 0) {
        mu_log(MU_WARN, "agent", "Events that cannot be read are dropped, this is the first",
               mu_kv("name", event->name), mu_kv("error", err->text));
    }
}

/* Under its long name, for handlers that ask for it: with the payload that was sent. */
static void hand_over(struct agent *a, const struct gossip_user_event *carrier,
                      const struct agent_event *fired)
{
    struct gossip_user_event plain = *carrier;

    plain.payload = fired->payload;
    agent__handlers_event(a, &plain);
}

static void keep(struct agent *a, const struct agent_event *event)
{
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&event->id, id);
    mu_log(MU_DEBUG, "agent", "New event", mu_kv_span("name", event->name), mu_kv("id", id));
    event_ring_add(&a->events->ring, event);
    if (a->front.event_heard != NULL) {
        a->front.event_heard(a->front.data);
    }
}

static void on_fired(struct agent *a, const struct gossip_user_event *event)
{
    struct agent_event fired;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    bool is_meant = false;
    enum mu_code rc;

    mu_arena_init(&arena, 0);
    rc = event_decode(event->name, event->payload, &arena, &fired, &err);
    if (rc == MU_OK) {
        fired.ltime = event->ltime;
        rc = event_is_meant(&fired, a->config->node_name, a->local, &is_meant, &err);
    }
    if (rc != MU_OK) {
        on_unreadable(a->events, event, &err);
    } else if (is_meant && mu_span_eq_text(fired.name, EXEC_EVENT)) {
        agent__exec(a, fired.payload); /* not listed, as with Consul */
    } else if (is_meant) {
        keep(a, &fired);
        hand_over(a, event, &fired);
    }
    mu_arena_deinit(&arena);
}

static void on_event(void *data, const struct gossip_user_event *event)
{
    struct agent *a = data;

    if (a->phase == AGENT_STOPPING) {
        return;
    }
    tally_add(&a->metrics.events, "serf.events.", event->name, 1);
    agent__ipc_event(a, event);
    if (event_is_reserved(event->name)) {
        on_fired(a, event);
    } else {
        agent__handlers_event(a, event);
    }
}

static void on_query(void *data, const struct gossip_query *query)
{
    struct agent *a = data;

    if (a->phase == AGENT_STOPPING) {
        return;
    }
    tally_add(&a->metrics.queries, "serf.queries.", query->name, 1);
    if (query->is_internal) {
        if (!agent__keyring_query(a, query) && !agent__explain_query(a, query) &&
            !agent__rival_query(a, query)) {
            (void)agent__doctor_query(a, query);
        }
    } else {
        agent__ipc_query(a, query);
        agent__handlers_query(a, query);
    }
}

static void on_keys(void *data, const struct gossip_keys *keys)
{
    struct agent *a = data;

    if (a->phase != AGENT_STOPPING) {
        agent__keyring_told(a, keys);
    }
}

/* -- out --------------------------------------------------------------------------------------- */

enum mu_code agent_event_fire(struct agent *a, struct agent_event *event, struct mu_err *err)
{
    struct mu_buf name = MU_BUF_NONE;
    struct mu_buf payload = MU_BUF_NONE;
    enum mu_code rc = event_check_filters(event, err);

    if (rc != MU_OK) {
        return rc;
    }
    event->id = mu_id_random();
    event->version = EVENT_VERSION;
    event->ltime = 0;
    mu_buf_addf(&name, EVENT_PREFIX "%.*s", MU_SPAN_FMT(event->name));
    event_encode(event, &payload);
    rc = gossip_driver_event(a->gossip, mu_buf_text(&name), mu_buf_span(&payload), false, err);
    mu_buf_deinit(&name);
    mu_buf_deinit(&payload);
    return rc;
}

void agent_each_event(const struct agent *a, agent_event_fn *each, void *data)
{
    event_ring_each(&a->events->ring, each, data);
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__events_open(struct agent *a)
{
    a->events = mu_new(sizeof *a->events);
    gossip_driver_listen(a->gossip, &(struct gossip_listener){
                                        .event = on_event,
                                        .query = on_query,
                                        .keys = on_keys,
                                        .data = a,
                                    });
}

void agent__events_free(struct agent *a)
{
    if (a->events != NULL) {
        event_ring_deinit(&a->events->ring);
        tally_free(a->metrics.events);
        tally_free(a->metrics.queries);
        tally_free(a->metrics.scripts);
        mu_free(a->events);
        a->events = NULL;
    }
}
