/* member.c - what gossip means to the agent: tags, the members people see, the servers we use. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "level.h"

#define TELL_MS 1000U /* until servers of an older epoch are told, all that came meanwhile */

struct mu_span agent__tag(const struct mu_pairs *tags, const char *key)
{
    for (size_t i = 0; i < tags->count; i++) {
        if (mu_span_eq_text(tags->items[i].key, key)) {
            return tags->items[i].value;
        }
    }
    return MU_SPAN_NONE;
}

/* -- our own tags ------------------------------------------------------------------------------ */

struct tags {
    struct mu_arena arena;
    struct mu_pair items[AGENT_TAGS_MAX];
    size_t count;
};

static void tag_add(struct tags *t, const char *key, const char *value)
{
    MU_ASSERT(t->count < AGENT_TAGS_MAX);
    t->items[t->count].key = mu_span_text(key);
    t->items[t->count++].value = mu_span_text(mu_arena_strdup(&t->arena, value));
}

static void tag_add_number(struct tags *t, const char *key, int64_t value)
{
    tag_add(t, key, mu_arena_printf(&t->arena, "%lld", (long long)value));
}

static void tag_add_id(struct tags *t, const char *key, const struct mu_id *id)
{
    char text[MU_ID_TEXT_BYTES + 1];

    mu_id_text(id, text);
    tag_add(t, key, text);
}

/* Consul's tags (http-api 2.6), and ours with the prefix mu_ (gossip 12.3). */
static void tags_of_agent(struct agent *a, struct tags *t)
{
    const struct config *c = a->config;

    t->count = 0;
    mu_arena_init(&t->arena, 0);
    tag_add(t, "role", c->is_server ? "consul" : "node");
    tag_add(t, "dc", c->datacenter);
    tag_add(t, "segment", "");
    tag_add_id(t, "id", &a->data.node);
    tag_add(t, "vsn", "2");
    tag_add(t, "vsn_min", "2");
    tag_add(t, "vsn_max", "3");
    tag_add(t, "build", AGENT_CONSUL_VERSION ":");
    tag_add(t, "acls", "0");
    if (c->advertise_reconnect_ms > 0) {
        char text[MU_DURATION_TEXT_MAX];

        mu_duration_text(c->advertise_reconnect_ms * MU_NS_PER_MS, text);
        tag_add(t, "rc_tm", text);
    }
    if (!c->is_server) {
        return;
    }
    struct consensus_identity id = consensus_driver_identity(a->consensus);

    tag_add_number(t, "port", rpc_address(a->rpc).port);
    tag_add(t, "raft_vsn", "3");
    tag_add(t, "ft_fs", "1");
    tag_add(t, "ft_si", "1");
    if (c->ports.serf_wan > 0) {
        tag_add_number(t, "wan_join_port", c->ports.serf_wan);
    }
    bool may_form = !mu_id_is_none(&id.cluster) || !a->data.was_member;

    if (may_form && c->is_bootstrap) {
        tag_add(t, "bootstrap", "1");
    } else if (may_form && c->bootstrap_expect > 0) {
        tag_add_number(t, "expect", c->bootstrap_expect);
    }
    tag_add_id(t, "mu_disk", &id.disk);
    if (agent__level_max(a) > COMMAND_LEVEL_FIRST) {
        tag_add_number(t, "mu_level", (int64_t)agent__level_max(a));
    }
    if (mu_id_is_none(&id.cluster)) {
        tag_add(t, "mu_fresh", "1");
    } else {
        tag_add_id(t, "mu_cluster", &id.cluster);
    }
    if (id.epoch > 0) {
        tag_add_number(t, "mu_epoch", (int64_t)id.epoch);
    }
}

static void tags_make(struct agent *a, struct tags *t)
{
    struct mu_pairs user = agent__user_tags(a);

    if (a->config->serf.is_on) { /* only what its user says */
        t->count = 0;
        mu_arena_init(&t->arena, 0);
    } else {
        tags_of_agent(a, t);
    }
    for (size_t i = 0; i < user.count; i++) {
        MU_ASSERT(t->count < AGENT_TAGS_MAX);
        t->items[t->count++] = user.items[i];
    }
}

enum mu_code agent__tags_set(struct agent *a, struct mu_err *err)
{
    struct tags t;

    if (a->gossip == NULL || a->phase >= AGENT_LEAVING) {
        return mu_fail(err, MU_CANCELLED, "This agent is leaving");
    }
    tags_make(a, &t);
    enum mu_code rc =
        gossip_driver_set_tags(a->gossip, &(struct mu_pairs){ t.items, t.count }, err);

    mu_arena_deinit(&t.arena);
    return rc;
}

void agent__tags_refresh(struct agent *a)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = agent__tags_set(a, &err);

    if (rc != MU_OK && rc != MU_CANCELLED) {
        mu_log(MU_ERROR, "agent", "Cannot change this node's tags", mu_kv("error", err.text));
    }
}

/* -- who may be a member (gossip 16) ----------------------------------------------------------- */

/* Servers that were left behind ask us, are refused, and so never see us; and are content with each
 * other. Ask them: they learn from our own record that there is a newer epoch, and stop. All of
 * them: enough of them elect a leader in the old one. */
static void on_told(void *data, unsigned contacted, const char *why)
{
    (void)data;
    (void)contacted;
    (void)why; /* it refuses us, or is gone */
}

static void tell_left_behind(void *data)
{
    struct agent *a = data;
    char texts[CONSENSUS_PEERS_MAX][MU_ADDR_TEXT_MAX];
    const char *addresses[CONSENSUS_PEERS_MAX];
    size_t count = a->left_behind.count;

    a->left_behind.count = 0;
    for (size_t i = 0; i < count; i++) {
        mu_addr_text(&a->left_behind.at[i], texts[i]);
        addresses[i] = texts[i];
    }
    if (a->phase == AGENT_RUNNING) {
        gossip_driver_join(a->gossip, addresses, count, false, on_told, a);
    }
}

/* One that does not fit comes again, or somebody else tells it. */
static void note_left_behind(struct agent *a, const struct mu_addr *at)
{
    for (size_t i = 0; i < a->left_behind.count; i++) {
        if (mu_addr_eq(&a->left_behind.at[i], at)) {
            return;
        }
    }
    if (a->left_behind.count < CONSENSUS_PEERS_MAX) {
        a->left_behind.at[a->left_behind.count++] = *at;
    }
    if (!timer_is_set(&a->left_behind.timer)) {
        timer_set(a->timers, &a->left_behind.timer, TELL_MS, tell_left_behind, a);
    }
}

/* After a recovery servers of the epoch before are strangers (spec/consensus.md 2.14): those that
 * went on refuse them, and they stop as soon as they see that others went on without them. */
static bool is_of_other_epoch(struct agent *a, const struct gossip_view *m, uint64_t own, char *why,
                              size_t why_bytes)
{
    uint64_t theirs = 0;

    (void)mu_span_u64(agent__tag(&m->tags, "mu_epoch"), &theirs);
    if (theirs == own) {
        return false;
    }
    (void)snprintf(why, why_bytes,
                   "Member '%s' is a server of epoch %llu of this cluster, this one is of epoch "
                   "%llu: the older one can only join as new (muster recover -rejoin)",
                   m->name, (unsigned long long)theirs, (unsigned long long)own);
    if (theirs > own && a->phase == AGENT_RUNNING && !agent__goes_along(a)) {
        mu_log(MU_ERROR, "agent.server", "The cluster was recovered without this server",
               mu_kv("error", why));
        agent__end(a, AGENT_FAILED);
    } else if (theirs < own) {
        note_left_behind(a, &m->addr);
    }
    return true;
}

static const char *refuse_member(void *data, const struct gossip_view *m)
{
    static char why[MU_ERR_TEXT_MAX]; /* read at once by the caller, on the loop */
    struct agent *a = data;
    struct mu_span dc = agent__tag(&m->tags, "dc");
    struct mu_span cluster = agent__tag(&m->tags, "mu_cluster");

    if (mu_id_eq(&m->node_id, &a->data.node) && !m->is_self &&
        strcmp(m->name, a->config->node_name) != 0 && m->status != GOSSIP_STATUS_LEFT) {
        char id[MU_ID_TEXT_BYTES + 1];

        mu_id_text(&m->node_id, id);
        (void)snprintf(why, sizeof why,
                       "Member '%s' has conflicting node ID '%s' with this agent's ID", m->name,
                       id);
        return why;
    }
    if (a->config->serf.wants_plain_names && !config_is_plain_name(m->name)) {
        (void)snprintf(why, sizeof why,
                       "Member '%s' has a name of other characters than letters, digits, - and .",
                       m->name);
        return why;
    }
    if (!a->config->serf.is_on && !mu_span_eq_text(dc, a->config->datacenter)) {
        (void)snprintf(why, sizeof why, "Member '%s' part of wrong datacenter '%.*s'", m->name,
                       MU_SPAN_FMT(dc));
        return why;
    }
    if (a->consensus != NULL && cluster.bytes > 0) {
        struct consensus_identity id = consensus_driver_identity(a->consensus);
        struct mu_id theirs;

        if (!mu_id_is_none(&id.cluster) && mu_id_parse(cluster, &theirs) &&
            !mu_id_eq(&theirs, &id.cluster)) {
            (void)snprintf(why, sizeof why,
                           "Member '%s' is a server of another cluster (%.*s) in datacenter '%s'",
                           m->name, MU_SPAN_FMT(cluster), a->config->datacenter);
            return why;
        }
        if (!mu_id_is_none(&id.cluster) && is_of_other_epoch(a, m, id.epoch, why, sizeof why)) {
            return why;
        }
    }
    return NULL;
}

/* -- servers ----------------------------------------------------------------------------------- */

static bool server_read(const struct gossip_view *m, struct agent__server *out)
{
    struct mu_span expect = agent__tag(&m->tags, "expect");
    uint64_t port = 0;
    uint64_t number = 0;

    if (!mu_span_eq_text(agent__tag(&m->tags, "role"), "consul") ||
        !mu_id_parse(agent__tag(&m->tags, "id"), &out->node) ||
        !mu_span_u64(agent__tag(&m->tags, "port"), &port) || port < 1 || port > 65535) {
        return false;
    }
    out->name = m->name;
    out->rpc = m->addr;
    out->rpc.port = (uint16_t)port;
    out->disk = out->cluster = MU_ID_NONE;
    (void)mu_id_parse(agent__tag(&m->tags, "mu_disk"), &out->disk);
    (void)mu_id_parse(agent__tag(&m->tags, "mu_cluster"), &out->cluster);
    out->level = COMMAND_LEVEL_FIRST;
    if (mu_span_u64(agent__tag(&m->tags, "mu_level"), &number) && number <= UINT32_MAX) {
        out->level = (uint32_t)number;
    }
    out->expect = 0;
    if (agent__tag(&m->tags, "bootstrap").bytes > 0) {
        out->expect = 1;
    } else if (mu_span_u64(expect, &number) && number <= CONSENSUS_PEERS_MAX) {
        out->expect = (unsigned)number;
    }
    struct mu_span rest;

    out->version = mu_span_split(agent__tag(&m->tags, "build"), ':', &rest, NULL);
    out->status = m->status;
    out->is_alive = m->status == GOSSIP_STATUS_ALIVE;
    out->is_self = m->is_self;
    return true;
}

struct server_walk {
    agent__server_fn *each;
    void *data;
};

static void walk_server(void *data, const struct gossip_view *m)
{
    struct server_walk *w = data;
    struct agent__server server;

    if (server_read(m, &server)) {
        w->each(w->data, &server);
    }
}

void agent__each_server(struct agent *a, agent__server_fn *each, void *data)
{
    struct server_walk w = { each, data };

    if (a->gossip != NULL) {
        gossip_driver_each(a->gossip, walk_server, &w);
    }
}

struct server_search {
    const struct mu_id *node;
    struct agent__server *out;
    bool is_found;
};

static void match_server(void *data, const struct agent__server *server)
{
    struct server_search *s = data;

    /* The living one counts, when an old record of the same id is still about. */
    if (mu_id_eq(&server->node, s->node) && (!s->is_found || server->is_alive)) {
        *s->out = *server;
        s->is_found = true;
    }
}

bool agent__server_find(struct agent *a, const struct mu_id *node, struct agent__server *out)
{
    struct server_search s = { node, out, false };

    agent__each_server(a, match_server, &s);
    return s.is_found;
}

/* -- members as people see them ---------------------------------------------------------------- */

static const uint8_t consul_versions[6] = { 1, 5, 2, 2, 5, 4 };

static void member_show(const struct gossip_view *from, struct mu_pair *room,
                        struct agent_member *to)
{
    to->name = from->name;
    to->addr = from->addr;
    to->status = (int)from->status;
    to->degraded = NULL;
    to->tags = (struct mu_pairs){ room, 0 };
    memcpy(to->versions, consul_versions, sizeof to->versions);
    for (size_t i = 0; i < from->tags.count && to->tags.count < AGENT_TAGS_MAX; i++) {
        if (!mu_span_starts(from->tags.items[i].key, MU_SPAN_LIT("mu_"))) {
            room[to->tags.count++] = from->tags.items[i];
        }
    }
}

struct member_walk {
    agent_member_fn *each;
    void *data;
    struct gossip_link *broken; /* names are those of the member table */
    size_t broken_count;
};

static void walk_link(void *data, const struct gossip_link *link)
{
    struct member_walk *w = data;

    w->broken = mu_grow(w->broken, (w->broken_count + 1) * sizeof *w->broken);
    w->broken[w->broken_count++] = *link;
}

static void walk_member(void *data, const struct gossip_view *m)
{
    struct member_walk *w = data;
    struct mu_pair room[AGENT_TAGS_MAX];
    struct agent_member member;

    member_show(m, room, &member);
    for (size_t i = 0; i < w->broken_count; i++) {
        if (strcmp(w->broken[i].name, m->name) == 0) {
            member.degraded =
                w->broken[i].is_heard ? "UDP to it carries nothing" : "UDP from it carries nothing";
        }
    }
    w->each(w->data, &member);
}

void agent_each_member(struct agent *a, agent_member_fn *each, void *data)
{
    struct member_walk w = { .each = each, .data = data };

    gossip_driver_each_broken_link(a->gossip, walk_link, &w);
    gossip_driver_each(a->gossip, walk_member, &w);
    mu_free(w.broken);
}

bool agent_find_member(struct agent *a, const char *name, struct agent_member *out)
{
    static struct mu_pair room[AGENT_TAGS_MAX]; /* a view until the next call, as the header says */
    struct gossip_view view;

    if (!gossip_driver_find(a->gossip, name, &view)) {
        return false;
    }
    member_show(&view, room, out);
    return true;
}

/* -- notices ----------------------------------------------------------------------------------- */

static bool is_server_member(const struct gossip_view *m)
{
    return mu_span_eq_text(agent__tag(&m->tags, "role"), "consul");
}

static void on_conflict(struct agent *a, const char *text)
{
    char at[MU_ADDR_TEXT_MAX];
    char id[MU_ID_TEXT_BYTES + 1];

    mu_addr_text(&a->advertise, at);
    mu_id_text(&a->data.node, id);
    mu_log(MU_ERROR, "agent", "Another living node claims this name or id", mu_kv("conflict", text),
           mu_kv("own_address", at), mu_kv("own_id", id));
    agent__join_conflict(a, text);
}

static void on_notice(struct agent *a, const struct gossip_notice *n)
{
    switch (n->kind) {
    case GOSSIP_REFUTED:
        /* Others held us failed: the catalog may have lost what we had registered. */
        agent__sync_full(a, "this node was held failed and refuted it");
        break;
    case GOSSIP_CONFLICT:
        on_conflict(a, n->text);
        agent__rival(a, &n->member);
        break;
    case GOSSIP_UNREACHABLE:
        mu_log(MU_WARN, "agent",
               "Others do not reach this node: set advertise_addr (-advertise) to an address that "
               "they reach, or let UDP and TCP to its gossip port pass",
               mu_kv("error", n->text));
        break;
    case GOSSIP_USELESS:
        mu_log(MU_ERROR, "agent",
               "No other machine can use the address that this node advertises: set advertise_addr "
               "(-advertise), or bind_addr (-bind), to one of its network addresses",
               mu_kv("error", n->text));
        agent__end(a, AGENT_FAILED);
        break;
    case GOSSIP_JOINED:
    case GOSSIP_UPDATED:
    case GOSSIP_FAILED:
    case GOSSIP_LEFT:
    case GOSSIP_REAPED:
        if (is_server_member(&n->member)) {
            agent__peers_refresh(a);
            agent__servers_refresh(a);
        }
        break;
    }
    agent__leader_notice(a, n);
    agent__ipc_notice(a, n);
    agent__handlers_notice(a, n);
}

static void on_notices(void *data, const struct gossip_notice *notices, size_t count)
{
    struct agent *a = data;

    for (size_t i = 0; i < count; i++) {
        on_notice(a, &notices[i]);
    }
}

/* -- start ------------------------------------------------------------------------------------- */

static uint32_t or_else(int64_t said, uint32_t otherwise)
{
    return said > 0 ? (uint32_t)said : otherwise;
}

/* The rows of the table bound them all. */
static void pool_profile(const struct config_gossip *c, struct gossip_profile *to)
{
    to->gossip_ms = (uint32_t)c->gossip_ms;
    to->probe_ms = (uint32_t)c->probe_ms;
    to->probe_timeout_ms = (uint32_t)c->probe_timeout_ms;
    to->gossip_nodes = (uint32_t)c->gossip_nodes;
    to->suspicion_mult = (uint32_t)c->suspicion_mult;
    to->suspicion_max_mult = (uint32_t)c->suspicion_max_mult;
    to->retransmit_mult = (uint32_t)c->retransmit_mult;
    to->indirect_checks = (uint32_t)c->indirect_checks;
    to->awareness_max = (uint32_t)c->awareness_max;
    to->push_pull_ms = (uint32_t)c->push_pull_ms;
    to->stream_ms = (uint32_t)c->stream_ms;
    to->gossip_to_dead_ms = (uint32_t)c->gossip_to_dead_ms;
    to->reclaim_ms = (uint32_t)c->reclaim_ms;
    to->packet_bytes = (uint32_t)c->packet_bytes;
}

static void profile_make(const struct config *c, struct gossip_profile *to)
{
    *to = gossip_profile_lan;
    if (c->serf.is_on) {
        *to = strcmp(c->serf.profile, "wan") == 0     ? gossip_profile_wan
              : strcmp(c->serf.profile, "local") == 0 ? gossip_profile_local
                                                      : gossip_profile_lan;
        to->broadcast_timeout_ms = or_else(c->serf.broadcast_timeout_ms, to->broadcast_timeout_ms);
        to->reconnect_ms = or_else(c->serf.reconnect_ms, to->reconnect_ms);
        to->tombstone_ms = or_else(c->serf.tombstone_ms, to->tombstone_ms);
        to->leave_propagate_ms = 1000; /* 2.3 */
    } else {
        pool_profile(&c->gossip_lan, to);
    }
    to->reconnect_timeout_ms = c->reconnect_timeout_ms < UINT32_MAX
                                   ? (uint32_t)c->reconnect_timeout_ms
                                   : UINT32_MAX; /* seven weeks */
}

void agent__gossip_retime(struct agent *a)
{
    struct gossip_profile was = a->gossip_profile;
    struct mu_err err = MU_ERR_NONE;

    profile_make(a->config, &a->gossip_profile);
    if (memcmp(&was, &a->gossip_profile, sizeof was) == 0) {
        return;
    }
    enum mu_code rc = gossip_driver_set_profile(a->gossip, &a->gossip_profile, &err);

    MU_ASSERT(rc == MU_OK); /* the configuration was checked */
    mu_log(MU_INFO, "agent", "Gossip has other times",
           mu_kv_u("probe_interval_ms", a->gossip_profile.probe_ms),
           mu_kv_u("probe_timeout_ms", a->gossip_profile.probe_timeout_ms),
           mu_kv_u("gossip_interval_ms", a->gossip_profile.gossip_ms),
           mu_kv_u("suspicion_mult", a->gossip_profile.suspicion_mult));
}

enum mu_code agent__gossip_start(struct agent *a, struct mu_err *err)
{
    const struct config *c = a->config;
    char *state_dir = agent__data_path(a, "gossip");
    struct mu_buf pool = MU_BUF_NONE;
    struct tags t;
    enum mu_code rc;

    tags_make(a, &t);
    if (c->serf.is_on) { /* apart from agents with a catalog */
        mu_buf_add_text(&pool, "serf");
    } else {
        mu_buf_addf(&pool, "%s/lan", c->datacenter);
    }
    struct gossip_driver_options options = {
        .core = {
            .name = c->node_name,
            .node_id = a->data.node,
            .boot_id = a->data.boot,
            .pool = mu_buf_text(&pool),
            .advertise = a->advertise,
            .tags = { t.items, t.count },
            .refuse = refuse_member,
            .refuse_data = a,
            .networks = c->gossip_networks,
            .networks_count = c->gossip_networks_count,
            .sealing = agent__gossip_sealing(a),
            .no_coordinates = c->disable_coordinates,
            .event_size_limit = c->serf.event_bytes,
            .query_size_limit = c->serf.query_bytes,
            .response_size_limit = c->serf.response_bytes,
        },
        .bind = c->serf_lan_bind.ip_bytes > 0 ? c->serf_lan_bind : c->bind_addr,
        .state_dir = state_dir,
        .serf_snapshot = c->serf.snapshot,
        .rejoin_after_leave = c->rejoin_after_leave,
    };

    options.bind.port = (uint16_t)c->ports.serf_lan;
    profile_make(c, &a->gossip_profile);
    options.core.profile = a->gossip_profile;
    rc = gossip_driver_new(&a->gossip, a->loop, &options, err);
    if (rc == MU_OK) {
        rc = gossip_driver_start(a->gossip, on_notices, a, err);
        a->has_gossip_started = rc == MU_OK;
    }
    if (a->has_gossip_started) {
        agent__metrics_look(a);
    }
    mu_arena_deinit(&t.arena);
    mu_buf_deinit(&pool);
    mu_free(state_dir);
    return rc == MU_OK
               ? MU_OK
               : mu_wrap(err, rc, "%s",
                         c->serf.is_on ? "Failed to start the Serf agent: Error creating Serf"
                                       : "Failed to start lan serf");
}
