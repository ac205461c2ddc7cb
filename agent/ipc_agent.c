/* ipc_agent.c - what the serf command sees and does on this agent, through the control port. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "coalesce.h"
#include "core.h"
#include "ipc.h"
#include "log_feed.h"

struct ipc {
    struct ipc_port *port;
    struct coalescer *coalescer; /* of what clients' streams are told (spec 9.7) */
    struct timer flush;
    struct mu_link pauses;
    struct ipc_faults faults;
    struct ipc_traffic traffic;
};

/* -- the cluster --------------------------------------------------------------------------------
 */

static void host_each(void *data, gossip_member_fn *each, void *each_data)
{
    gossip_driver_each(((struct agent *)data)->gossip, each, each_data);
}

static enum mu_code host_join(void *data, const char *const *addresses, size_t count, bool replays,
                              gossip_joined_fn *done, void *done_data, struct mu_err *err)
{
    struct agent *a = data;

    if (a->phase != AGENT_RUNNING) {
        return mu_fail(err, MU_CANCELLED, "Serf can't Join after Leave or Shutdown");
    }
    gossip_driver_join(a->gossip, addresses, count, replays, done, done_data);
    return MU_OK;
}

struct going {
    ipc_left_fn *done;
    void *data;
};

static void on_gone(void *data, enum mu_code code, const struct mu_err *err)
{
    struct going *g = data;

    (void)code; /* a leave ends, whatever others heard of it */
    (void)err;
    g->done(g->data);
    mu_free(g);
}

static enum mu_code host_leave(void *data, ipc_left_fn *done, void *done_data, struct mu_err *err)
{
    struct agent *a = data;

    if (a->phase != AGENT_RUNNING) {
        return mu_fail(err, MU_BUSY, "Leave already in progress");
    }
    struct going *g = mu_new(sizeof *g);

    g->done = done;
    g->data = done_data;
    agent_leave(a, on_gone, g);
    return MU_OK;
}

static enum mu_code host_force_leave(void *data, const char *name, bool prune, struct mu_err *err)
{
    return gossip_driver_force_leave(((struct agent *)data)->gossip, name, prune, err);
}

static enum mu_code host_tags(void *data, const struct mu_pairs *set,
                              const struct ipc_texts *remove, ipc_tagged_fn *done, void *done_data,
                              struct mu_err *err)
{
    return agent__user_tags_change(data, set, remove, done, done_data, err);
}

static void host_spread(void *data, gossip_told_fn *told, void *told_data)
{
    gossip_driver_spread(((struct agent *)data)->gossip, told, told_data);
}

struct pause {
    struct mu_link place;
    struct timer timer;
    ipc_left_fn *over;
    void *data;
};

static void pause_over(void *data)
{
    struct pause *p = data;

    mu_list_remove(&p->place);
    timer_cancel(&p->timer);
    p->over(p->data);
    mu_free(p);
}

static void host_pause(void *data, uint64_t ms, ipc_left_fn *over, void *over_data)
{
    struct agent *a = data;
    struct pause *p = mu_new(sizeof *p);

    p->over = over;
    p->data = over_data;
    mu_list_push_back(&a->ipc->pauses, &p->place);
    timer_set(a->timers, &p->timer, ms, pause_over, p);
}

static enum mu_code host_event(void *data, const char *name, struct mu_span payload, bool coalesce,
                               struct mu_err *err)
{
    return gossip_driver_event(((struct agent *)data)->gossip, name, payload, coalesce, err);
}

static enum mu_code host_query(void *data, const struct gossip_query_params *params,
                               gossip_replied_fn *replied, void *replied_data, uint64_t *id,
                               struct mu_err *err)
{
    const struct agent *a = data;
    struct gossip_query_params all = *params;

    /* As with Serf, whose limit counts is who answers. */
    all.takes_own = a->config->serf.is_on && !all.takes_large;
    return gossip_driver_query(a->gossip, &all, replied, replied_data, id, err);
}

static void host_query_forget(void *data, uint64_t id)
{
    gossip_driver_query_forget(((struct agent *)data)->gossip, id);
}

static enum mu_code host_respond(void *data, uint64_t ltime, uint32_t id, struct mu_span payload,
                                 struct mu_err *err)
{
    return gossip_driver_respond(((struct agent *)data)->gossip, ltime, id, payload, err);
}

static struct agent_log_follower *host_monitor(void *data, enum mu_log_level level,
                                               agent_log_fn *line, void *line_data)
{
    return log_feed_follow(((struct agent *)data)->log_feed, MU_LOG_AS_TEXT, level, true, line,
                           line_data);
}

static void host_keys(void *data, enum agent_key_op op, struct mu_span key, agent_keys_fn *done,
                      void *done_data)
{
    agent_keys(data, op, key, 0, done, done_data);
}

/* -- statistics (spec 8.2): all leaves are texts ------------------------------------------------
 */

static void put_pair(struct mu_buf *to, const char *name, const char *value)
{
    ipc_put_text(to, name);
    ipc_put_text(to, value);
}

static void put_count(struct mu_buf *to, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    put_pair(to, name, text);
}

/* What comes nearest to goroutines (8.2). */
static uint64_t threads_count(void)
{
    struct stat tasks; /* as many links as directories in it, and two */

    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 2 ? tasks.st_nlink - 2 : 1;
}

static void put_runtime(struct mu_buf *to)
{
    struct utsname system;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t count = cpus > 0 ? (uint64_t)cpus : 1;

    MU_ASSERT(uname(&system) == 0);
    ipc_put_text(to, "runtime");
    ipc_put_map(to, 6);
    put_pair(to, "arch", strcmp(system.machine, "x86_64") == 0 ? "amd64" : system.machine);
    put_count(to, "cpu_count", count);
    put_count(to, "goroutines", threads_count());
    put_count(to, "max_procs", count);
    put_pair(to, "os", "linux");
    put_pair(to, "version", "muster " AGENT_MUSTER_VERSION);
}

static void put_serf(const struct agent *a, struct mu_buf *to)
{
    struct gossip_stats s = gossip_driver_stats(a->gossip);

    ipc_put_text(to, "serf");
    ipc_put_map(to, 12);
    put_count(to, "coordinate_resets", s.coordinate_resets);
    put_pair(to, "encrypted", a->keys.ring.count > 0 ? "true" : "false");
    put_count(to, "event_queue", s.event_queue);
    put_count(to, "event_time", s.event_time);
    put_count(to, "failed", s.failed);
    put_count(to, "health_score", s.health_score);
    put_count(to, "intent_queue", s.intent_queue);
    put_count(to, "left", s.left);
    put_count(to, "member_time", s.member_time);
    put_count(to, "members", s.members);
    put_count(to, "query_queue", s.query_queue);
    put_count(to, "query_time", s.query_time);
}

struct shown_handlers {
    struct mu_arena arena;
    struct mu_table *scripts; /* by "type:name": of equal ones the last is shown */
};

static void show_handler(void *data, const char *type, const char *name, const char *script)
{
    struct shown_handlers *s = data;
    const char *key = mu_arena_printf(&s->arena, "%s:%s", type, name);

    (void)mu_table_put(s->scripts, mu_span_text(key), mu_arena_strdup(&s->arena, script));
}

static void put_handlers(const struct agent *a, struct mu_buf *to)
{
    struct shown_handlers s = { .scripts = mu_table_new() };
    struct mu_table_at at = { .started = false };

    mu_arena_init(&s.arena, 0);
    agent__each_handler(a, show_handler, &s);
    ipc_put_text(to, "event_handlers");
    ipc_put_map(to, mu_table_count(s.scripts));
    while (mu_table_next(s.scripts, &at)) {
        ipc_put_span(to, at.key);
        ipc_put_text(to, at.value);
    }
    mu_table_free(s.scripts);
    mu_arena_deinit(&s.arena);
}

static void host_stats(void *data, struct mu_buf *to)
{
    struct agent *a = data;
    struct gossip_view self;
    bool is_known = gossip_driver_find(a->gossip, a->config->node_name, &self);

    MU_ASSERT(is_known); /* an agent is a member of its own cluster */
    ipc_put_map(to, 5);
    ipc_put_text(to, "agent");
    ipc_put_map(to, 1);
    put_pair(to, "name", a->config->node_name);
    put_handlers(a, to);
    put_runtime(to);
    put_serf(a, to);
    ipc_put_text(to, "tags");
    ipc_put_tags(to, &self.tags);
}

static bool host_coordinate(void *data, const char *node, struct coordinate *out)
{
    return agent_coordinate(data, node, out);
}

/* -- what happens -------------------------------------------------------------------------------
 */

static void tell_one(void *data, struct ipc_session *s)
{
    ipc_session_event(s, data);
}

/* As Serf's agent does. */
static void say_received(const struct handler_event *event)
{
    if (strcmp(event->type, HANDLER_USER) == 0) {
        mu_logf(MU_INFO, "agent", "Received event: user-event: %s", event->name);
    } else if (strcmp(event->type, HANDLER_QUERY) == 0) {
        mu_logf(MU_INFO, "agent", "Received event: query: %s", event->name);
    } else {
        mu_logf(MU_INFO, "agent", "Received event: %s", event->type);
    }
}

/* To all clients; the event is given. */
static void tell(void *data, struct handler_event *event)
{
    struct agent *a = data;

    if (a->config->serf.is_on) {
        say_received(event);
    }
    ipc_port_each(a->ipc->port, tell_one, event);
    handler_event_release(event);
}

static void on_flush(void *data);

static void flush_aim(struct agent *a)
{
    uint64_t due = coalescer_due(a->ipc->coalescer);
    uint64_t now = timers_now(a->timers);

    if (due > 0) {
        timer_set(a->timers, &a->ipc->flush, due > now ? due - now : 0, on_flush, a);
    }
}

static void on_flush(void *data)
{
    struct agent *a = data;

    coalescer_flush(a->ipc->coalescer, timers_now(a->timers), tell, a);
    flush_aim(a);
}

void agent__ipc_flush(struct agent *a)
{
    if (agent__ipc_is_open(a)) {
        timer_cancel(&a->ipc->flush);
        coalescer_flush_all(a->ipc->coalescer, tell, a);
    }
}

void agent__ipc_notice(struct agent *a, const struct gossip_notice *notice)
{
    const char *type = handler_event_type(notice->kind);

    if (agent__ipc_is_open(a) && type != NULL) {
        coalescer_member(a->ipc->coalescer, timers_now(a->timers), type, &notice->member);
        flush_aim(a);
    }
}

void agent__ipc_event(struct agent *a, const struct gossip_user_event *event)
{
    if (!agent__ipc_is_open(a)) {
        return;
    }
    if (event->coalesce) {
        coalescer_user(a->ipc->coalescer, timers_now(a->timers), event);
        flush_aim(a);
    } else {
        tell(a, handler_event_of_user(event));
    }
}

void agent__ipc_query(struct agent *a, const struct gossip_query *query)
{
    if (agent__ipc_is_open(a)) {
        tell(a, handler_event_of_query(query));
    }
}

/* -- life ---------------------------------------------------------------------------------------
 */

/* One that nobody asked for gives way (DESIGN 3): Serf itself may run beside us. */
static enum mu_code listen_on(struct agent *a, struct mu_addr address, struct mu_err *err)
{
    struct mu_err why = MU_ERR_NONE;

    address.port = (uint16_t)a->config->ports.serf_rpc;
    enum mu_code rc = ipc_port_listen(a->ipc->port, &address, &why);

    if (rc != MU_OK && a->config->ports.serf_rpc_given) {
        return mu_fail(err, rc, "Error starting RPC listener: %s", why.text);
    }
    if (rc != MU_OK) {
        mu_log(MU_WARN, "agent.ipc", "The serf command's port stays shut",
               mu_kv("error", why.text));
    } else if (!mu_addr_is_loopback(&address) && a->config->serf_rpc.auth == NULL) {
        mu_log(
            MU_WARN, "agent.ipc",
            "Whoever reaches the serf command's port controls this agent: it is not on loopback");
    }
    return MU_OK;
}

enum mu_code agent__ipc_open(struct agent *a, struct mu_err *err)
{
    struct ipc_host host = {
        .data = a,
        .auth_key = a->config->serf_rpc.auth,
        .addr16 = a->config->serf_rpc.addr16,
        .each = host_each,
        .join = host_join,
        .leave = host_leave,
        .force_leave = host_force_leave,
        .event = host_event,
        .tags = host_tags,
        .spread = host_spread,
        .pause = host_pause,
        .query = host_query,
        .query_forget = host_query_forget,
        .respond = host_respond,
        .stats = host_stats,
        .monitor = host_monitor,
        .keys = host_keys,
        .coordinate = host_coordinate,
    };
    enum mu_code rc = MU_OK;

    a->ipc = mu_new(sizeof *a->ipc);
    a->ipc->faults.now_ms = mu_clock_ms;
    host.faults = &a->ipc->faults;
    host.traffic = &a->ipc->traffic;
    mu_list_init(&a->ipc->pauses);
    if (a->config->ports.serf_rpc <= 0) {
        return MU_OK;
    }
    a->ipc->port = ipc_port_new(a->loop, &host);
    a->ipc->coalescer = coalescer_new();
    if (a->config->serf.rpc_path != NULL) {
        rc = ipc_port_listen_path(a->ipc->port, a->config->serf.rpc_path, err);
        return rc == MU_OK ? rc : mu_wrap(err, rc, "Error starting RPC listener");
    }
    for (size_t i = 0; i < a->config->serf_rpc_addrs_count && rc == MU_OK; i++) {
        rc = listen_on(a, a->config->serf_rpc_addrs[i], err);
    }
    return rc;
}

void agent__ipc_close(struct agent *a, agent_stopped_fn *closed, void *data)
{
    struct ipc_port *port = a->ipc->port;

    a->ipc->port = NULL;
    timer_cancel(&a->ipc->flush);
    ipc_port_close(port, closed, data);
    agent__user_tags_cancel(a);
    while (!mu_list_empty(&a->ipc->pauses)) { /* their clients are gone */
        pause_over(MU_CONTAINER(a->ipc->pauses.next, struct pause, place));
    }
}

uint64_t agent__ipc_faults(const struct agent *a)
{
    return a->ipc != NULL ? ipc_faults_total(&a->ipc->faults) : 0;
}

void agent__ipc_traffic(const struct agent *a, uint64_t *accepted, uint64_t *commands)
{
    *accepted = a->ipc != NULL ? a->ipc->traffic.accepted : 0;
    *commands = a->ipc != NULL ? a->ipc->traffic.commands : 0;
}

bool agent__ipc_is_open(const struct agent *a)
{
    return a->ipc != NULL && a->ipc->port != NULL;
}

void agent__ipc_free(struct agent *a)
{
    if (a->ipc != NULL) {
        coalescer_free(a->ipc->coalescer);
        mu_free(a->ipc);
        a->ipc = NULL;
    }
}
