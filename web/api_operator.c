/* /v1/operator/raft/ and /v1/operator/autopilot/: the servers, and the leader's care for them
 * (http-api 12). Neither indexes nor blocking.
 */
#include "agent/operator.h"
#include "base/clock.h"
#include "body.h"
#include "front.h"
#include "handlers.h"
#include "objects.h"
#include "write.h"

/* -- what lists have in common ----------------------------------------------------------------- */

static void put_duration(struct mu_json_out *o, const char *name, int64_t ns)
{
    char text[MU_DURATION_TEXT_MAX];

    mu_duration_text(ns, text);
    mu_json_text(o, name, text);
}

/* -- raft/configuration ------------------------------------------------------------------------ */

static void put_raft_server(void *data, const struct agent_raft_server *server)
{
    struct mu_json_out *o = data;

    mu_json_open(o, '{');
    objects_id(o, "ID", &server->id);
    mu_json_text(o, "Node", server->name);
    mu_json_text(o, "Address", server->address);
    mu_json_boolean(o, "Leader", server->is_leader);
    mu_json_text(o, "ProtocolVersion", "3");
    mu_json_boolean(o, "Voter", server->is_voter);
    mu_json_close(o, '}');
}

void api_operator_raft(struct request *r)
{
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_key(&o, "Servers");
    mu_json_open(&o, '[');
    uint64_t index = agent_each_raft_server(r->front->agent, put_raft_server, &o);

    mu_json_close(&o, ']');
    mu_json_u64(&o, "Index", index);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

/* -- raft/peer, raft/transfer-leader ----------------------------------------------------------- */

/* Everything that a change is refused for is 500 with its text, as the reference says it. */
static void on_removed(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;

    write_end(r);
    if (code == MU_OK) {
        answer_empty(r, 200);
    } else {
        answer_text(r, 500, err->text);
    }
}

void api_operator_raft_remove(struct request *r)
{
    struct mu_span id = params_text(&r->params, "id");
    struct mu_span address = params_text(&r->params, "address");
    struct mu_err err = MU_ERR_NONE;
    struct mu_id server;

    if (id.bytes == 0 && address.bytes == 0) {
        answer_text(r, 400,
                    "Bad request: Must specify either ?id with the server's ID or ?address with "
                    "IP:port of peer to remove");
    } else if (id.bytes > 0 && address.bytes > 0) {
        answer_text(r, 400, "Bad request: Must specify only one of ?id or ?address");
    } else if (agent_raft_find(r->front->agent, id, address, &server, &err) != MU_OK) {
        answer_text(r, 500, err.text);
    } else {
        write_begin(r);
        agent_raft_remove(r->front->agent, &server, on_removed, r);
    }
}

static void on_transferred(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (code != MU_OK) {
        answer_text(r, 500, err->text);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_boolean(&o, "Success", true);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_operator_raft_transfer(struct request *r)
{
    struct mu_span id = params_text(&r->params, "id");
    struct mu_err err = MU_ERR_NONE;
    struct mu_id server = MU_ID_NONE;

    if (id.bytes > 0 &&
        agent_raft_find(r->front->agent, id, MU_SPAN_NONE, &server, &err) != MU_OK) {
        answer_text(r, 500, err.text);
        return;
    }
    write_begin(r);
    agent_raft_transfer(r->front->agent, &server, on_transferred, r);
}

/* -- scrub, of the server that is asked ----------------------------------------------------------
 */

static void put_time(struct mu_json_out *o, const char *name, int64_t seconds)
{
    char text[MU_TIME_TEXT_MAX] = ""; /* never */

    if (seconds > 0) {
        mu_time_text(seconds * MU_NS_PER_S, 0, text);
    }
    mu_json_text(o, name, text);
}

static void answer_scrub(struct request *r)
{
    struct agent_scrub s;
    struct mu_json_out o;

    agent_scrub(r->front->agent, &s);
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_boolean(&o, "Running", s.reading[0] != '\0');
    mu_json_text(&o, "Reading", s.reading);
    mu_json_u64(&o, "Bytes", s.bytes);
    mu_json_u64(&o, "Passes", s.passes);
    put_time(&o, "LastPass", s.last_s);
    put_time(&o, "NextPass", s.next_s);
    mu_json_u64(&o, "Damages", s.damages);
    put_time(&o, "LastDamage", s.found_s);
    mu_json_text(&o, "Found", s.found);
    mu_json_boolean(&o, "Shedding", s.shedding);
    mu_json_text(&o, "Error", s.error);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_operator_scrub(struct request *r)
{
    answer_scrub(r);
}

void api_operator_scrub_start(struct request *r)
{
    struct mu_err err = MU_ERR_NONE;

    if (agent_scrub_start(r->front->agent, &err) == MU_OK) {
        answer_scrub(r);
    } else {
        answer_text(r, 503, err.text);
    }
}

/* -- autopilot/configuration ------------------------------------------------------------------- */

static void put_settings(struct mu_json_out *o, const struct catalog_autopilot *a)
{
    mu_json_open(o, '{');
    mu_json_boolean(o, "CleanupDeadServers", a->cleanup_dead_servers);
    put_duration(o, "LastContactThreshold", (int64_t)a->last_contact_ns);
    mu_json_u64(o, "MaxTrailingLogs", a->max_trailing_logs);
    mu_json_u64(o, "MinQuorum", a->min_quorum);
    put_duration(o, "ServerStabilizationTime", (int64_t)a->stabilization_ns);
    mu_json_span(o, "RedundancyZoneTag", a->redundancy_zone_tag);
    mu_json_boolean(o, "DisableUpgradeMigration", a->disable_upgrade_migration);
    mu_json_span(o, "UpgradeVersionTag", a->upgrade_version_tag);
    mu_json_u64(o, "CreateIndex", a->create_index);
    mu_json_u64(o, "ModifyIndex", a->modify_index);
    mu_json_close(o, '}');
}

static void cancel_read(struct request *r)
{
    agent_read_cancel(r->agent_read);
    r->agent_read = NULL;
    r->pending = NULL;
}

static const struct request_pending pending_read = { "read", cancel_read };

static void answer_settings(struct request *r, const struct agent_view *view)
{
    struct catalog_autopilot a;
    struct mu_err err = MU_ERR_NONE;
    struct mu_json_out o;
    enum mu_code rc = catalog_query_autopilot(view->reader, &r->arena, &a, &err);

    if (rc != MU_OK) {
        answer_code(r, rc, &err);
    } else if (!a.is_set) {
        answer_text(r, 500, "autopilot config not initialized yet");
    } else {
        response_json(r, &o);
        put_settings(&o, &a);
        answer_json(r, &o);
    }
}

static void on_settings(void *data, enum mu_code code, const struct agent_view *view,
                        const struct mu_err *err)
{
    struct request *r = data;

    r->agent_read = NULL;
    r->pending = NULL;
    if (code == MU_OK) {
        answer_settings(r, view);
    } else {
        answer_code(r, code, err);
    }
}

void api_operator_autopilot(struct request *r)
{
    struct agent *agent = r->front->agent;

    if (r->read.mode == AGENT_STALE) {
        struct agent_view view = agent_view_now(agent);

        answer_settings(r, &view);
        return;
    }
    r->pending = &pending_read;
    r->agent_read = agent_read(agent, r->read.mode, on_settings, r);
}

struct settings_body {
    bool cleanup_dead_servers, disable_upgrade_migration;
    int64_t last_contact_ns, stabilization_ns;
    uint64_t max_trailing_logs, min_quorum;
    struct mu_span redundancy_zone_tag, upgrade_version_tag;
};

#define FIELD(json, as_what, member)                                                      \
    {                                                                                     \
        .name = (json), .as = (as_what), .offset = offsetof(struct settings_body, member) \
    }

static const struct mu_json_field settings_fields[] = {
    // clang-format off
    FIELD("CleanupDeadServers",      MU_JSON_AS_BOOL,     cleanup_dead_servers),
    FIELD("LastContactThreshold",    MU_JSON_AS_DURATION, last_contact_ns),
    FIELD("MaxTrailingLogs",         MU_JSON_AS_UINT,     max_trailing_logs),
    FIELD("MinQuorum",               MU_JSON_AS_UINT,     min_quorum),
    FIELD("ServerStabilizationTime", MU_JSON_AS_DURATION, stabilization_ns),
    FIELD("RedundancyZoneTag",       MU_JSON_AS_TEXT,     redundancy_zone_tag),
    FIELD("DisableUpgradeMigration", MU_JSON_AS_BOOL,     disable_upgrade_migration),
    FIELD("UpgradeVersionTag",       MU_JSON_AS_TEXT,     upgrade_version_tag),
    { .name = "CreateIndex", .as = MU_JSON_AS_NOTHING },
    { .name = "ModifyIndex", .as = MU_JSON_AS_NOTHING },
}; // clang-format on

static const struct mu_json_shape settings_shape = { .fields = settings_fields,
                                                     .fields_count = MU_LEN(settings_fields),
                                                     .bytes = sizeof(struct settings_body) };

static enum mu_code check_duration(const char *name, int64_t ns, struct mu_err *err)
{
    char text[MU_DURATION_TEXT_MAX];

    mu_duration_text(ns, text);
    return ns >= 0 ? MU_OK
                   : mu_fail(err, MU_INVALID, "%s is %s, it must not be negative", name, text);
}

static enum mu_code check_number(const char *name, uint64_t value, struct mu_err *err)
{
    return value <= INT64_MAX ? MU_OK
                              : mu_fail(err, MU_INVALID, "%s is %llu, at most %lld is possible",
                                        name, (unsigned long long)value, (long long)INT64_MAX);
}

static enum mu_code read_settings(struct request *r, struct settings_body *body, struct mu_err *err)
{
    enum mu_code rc = mu_json_read(mu_buf_span(&r->body), &settings_shape, body, &r->arena, err);

    if (rc == MU_OK) {
        rc = check_duration("LastContactThreshold", body->last_contact_ns, err);
    }
    if (rc == MU_OK) {
        rc = check_duration("ServerStabilizationTime", body->stabilization_ns, err);
    }
    if (rc == MU_OK) {
        rc = check_number("MaxTrailingLogs", body->max_trailing_logs, err);
    }
    return rc == MU_OK ? check_number("MinQuorum", body->min_quorum, err) : rc;
}

/* ?cas=<index>; false: answered. */
static bool read_cas(struct request *r, struct command_autopilot *to)
{
    const struct mu_span *text = params_find(&r->params, "cas");
    struct mu_err err = MU_ERR_NONE;

    to->has_cas = text != NULL;
    if (text == NULL || params_u64(*text, &to->cas, &err) == MU_OK) {
        return true;
    }
    answer_textf(r, 400, "Bad request: Error parsing cas value: %s", err.text);
    return false;
}

void api_operator_autopilot_put(struct request *r)
{
    struct command c = { .kind = COMMAND_AUTOPILOT };
    struct settings_body body = { .cleanup_dead_servers = false };
    struct mu_err err = MU_ERR_NONE;

    if (read_settings(r, &body, &err) != MU_OK) {
        answer_textf(r, 400, "Bad request: Error parsing autopilot config: %s", err.text);
        return;
    }
    c.autopilot = (struct command_autopilot){
        .cleanup_dead_servers = body.cleanup_dead_servers,
        .disable_upgrade_migration = body.disable_upgrade_migration,
        .last_contact_ns = (uint64_t)body.last_contact_ns,
        .stabilization_ns = (uint64_t)body.stabilization_ns,
        .max_trailing_logs = body.max_trailing_logs,
        .min_quorum = body.min_quorum,
        .redundancy_zone_tag = body.redundancy_zone_tag,
        .upgrade_version_tag = body.upgrade_version_tag,
    };
    if (read_cas(r, &c.autopilot)) {
        write_command(r, &c);
    }
}

/* -- autopilot/health -------------------------------------------------------------------------- */

static void put_who(struct mu_json_out *o, const struct agent_server_health *h,
                    const char *status_name)
{
    objects_id(o, "ID", &h->server.id);
    mu_json_text(o, "Name", h->server.name);
    mu_json_text(o, "Address", h->server.address);
    mu_json_text(o, status_name, h->status);
    mu_json_span(o, "Version", h->version);
    mu_json_u64(o, "CommandLevel", h->command_level);
}

static void put_contact(struct mu_json_out *o, const struct agent_server_health *h)
{
    /* never: Go's largest duration, as the reference says it */
    put_duration(o, "LastContact",
                 h->last_contact_ms > INT64_MAX / MU_NS_PER_MS
                     ? INT64_MAX
                     : (int64_t)h->last_contact_ms * MU_NS_PER_MS);
    mu_json_u64(o, "LastTerm", h->last_term);
    mu_json_u64(o, "LastIndex", h->last_index);
    mu_json_boolean(o, "Healthy", h->is_healthy);
}

static void put_stable_since(struct mu_json_out *o, const struct agent_server_health *h)
{
    char text[MU_TIME_TEXT_MAX];

    mu_time_text(h->stable_since_ns, 0, text);
    mu_json_text(o, "StableSince", text);
}

struct listing {
    struct request *request;
    struct mu_json_out out;
};

static void put_health(void *data, const struct agent_server_health *h)
{
    struct mu_json_out *o = &((struct listing *)data)->out;

    mu_json_open(o, '{');
    put_who(o, h, "SerfStatus");
    mu_json_boolean(o, "Leader", h->server.is_leader);
    put_contact(o, h);
    mu_json_boolean(o, "Voter", h->server.is_voter);
    put_stable_since(o, h);
    mu_json_close(o, '}');
}

/* The list comes first from the agent, but last in the answer: it is written apart. False:
 * answered. */
static bool write_list(struct request *r, agent_health_fn *put, struct mu_buf *to, char bracket,
                       struct agent_servers_health *health)
{
    struct mu_err err = MU_ERR_NONE;
    struct listing list = { .request = r };

    mu_json_out_init(&list.out, to, false);
    mu_json_open(&list.out, bracket);
    enum mu_code rc = agent_servers_health(r->front->agent, health, put, &list, &err);

    mu_json_close(&list.out, bracket == '{' ? '}' : ']');
    mu_json_out_end(&list.out);
    if (rc != MU_OK) {
        mu_buf_deinit(to);
        answer_code(r, rc, &err);
    }
    return rc == MU_OK;
}

void api_operator_health(struct request *r)
{
    struct agent_servers_health health;
    struct mu_buf list = MU_BUF_NONE;
    struct mu_json_out o;

    if (!write_list(r, put_health, &list, '[', &health)) {
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_boolean(&o, "Healthy", health.is_healthy);
    mu_json_u64(&o, "FailureTolerance", health.failure_tolerance);
    mu_json_key(&o, "Servers");
    mu_json_put_raw(&o, mu_buf_span(&list));
    mu_json_close(&o, '}');
    response_json_end(r, &o);
    mu_buf_deinit(&list);
    if (!health.is_healthy) {
        r->response.status = 429;
        r->response.content_type = "text/plain; charset=utf-8";
    }
    request_answer(r);
}

/* -- autopilot/state --------------------------------------------------------------------------- */

static const char *role_of(const struct agent_raft_server *s)
{
    return s->is_leader ? "leader" : s->is_voter ? "voter" : "non-voter";
}

/* What the catalog has of its node; null where it is not registered, or cannot be read now. */
static void put_node_meta(struct listing *l, const char *node)
{
    struct agent_view view = agent_view_now(l->request->front->agent);
    struct catalog_nodes found = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    if (catalog_query_node(view.reader, &l->request->arena, mu_span_text(node), &found, &err) ==
            MU_OK &&
        found.count == 1 && found.items[0].has_meta) {
        objects_pairs(&l->out, "Meta", &found.items[0].meta);
    } else {
        mu_json_nothing(&l->out, "Meta");
    }
}

static void put_state(void *data, const struct agent_server_health *h)
{
    struct mu_json_out *o = &((struct listing *)data)->out;
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&h->server.id, id);
    mu_json_key(o, id);
    mu_json_open(o, '{');
    put_who(o, h, "NodeStatus");
    put_contact(o, h);
    put_stable_since(o, h);
    mu_json_boolean(o, "ReadReplica", false);
    mu_json_text(o, "Status", role_of(&h->server));
    put_node_meta(data, h->server.name);
    mu_json_text(o, "NodeType", "voter"); /* what it is to become */
    mu_json_close(o, '}');
}

static void put_leader(void *data, const struct agent_raft_server *server)
{
    if (server->is_leader) {
        objects_id(data, "Leader", &server->id);
    }
}

static void put_voter(void *data, const struct agent_raft_server *server)
{
    char id[MU_ID_TEXT_BYTES + 1];

    if (server->is_voter) {
        mu_id_text(&server->id, id);
        mu_json_put_text(data, id);
    }
}

void api_operator_state(struct request *r)
{
    struct agent_servers_health health;
    struct mu_buf list = MU_BUF_NONE;
    struct mu_json_out o;

    if (!write_list(r, put_state, &list, '{', &health)) {
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_boolean(&o, "Healthy", health.is_healthy);
    mu_json_u64(&o, "FailureTolerance", health.failure_tolerance);
    mu_json_u64(&o, "OptimisticFailureTolerance", health.failure_tolerance);
    mu_json_key(&o, "Servers");
    mu_json_put_raw(&o, mu_buf_span(&list));
    (void)agent_each_raft_server(r->front->agent, put_leader, &o);
    mu_json_key(&o, "Voters");
    mu_json_open(&o, '[');
    (void)agent_each_raft_server(r->front->agent, put_voter, &o);
    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    mu_buf_deinit(&list);
    answer_json(r, &o);
}
