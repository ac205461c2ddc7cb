/* stats.c - what this agent says of itself: the banner, and the statistics of agent/self. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/operator.h"
#include "base/assert.h"
#include "base/clock.h"
#include "core.h"
#include "level.h"

/* -- the banner (agent-behaviour 1.1) ---------------------------------------------------------- */

static void add_client_addrs(const struct config *c, struct mu_buf *to)
{
    char text[MU_ADDR_TEXT_MAX];

    for (size_t i = 0; i < c->client_addrs_count; i++) {
        mu_addr_ip_text(&c->client_addrs[i], text);
        mu_buf_addf(to, "%s%s", i > 0 ? " " : "", text);
    }
}

void agent_print_banner(const struct agent *a, struct mu_buf *to)
{
    const struct config *c = a->config;
    char id[MU_ID_TEXT_BYTES + 1];
    char lan[MU_ADDR_TEXT_MAX];

    mu_id_text(&a->data.node, id);
    mu_addr_ip_text(&a->advertise, lan);
    mu_buf_addf(to, "==> Starting Consul agent...\n");
    mu_buf_addf(to, "           Version: '%s'\n", AGENT_CONSUL_VERSION);
    mu_buf_addf(to, "           Node ID: '%s'\n", id);
    mu_buf_addf(to, "         Node name: '%s'\n", c->node_name);
    mu_buf_addf(to, "        Datacenter: '%s' (Segment: '%s')\n", c->datacenter,
                c->is_server ? "<all>" : "");
    mu_buf_addf(to, "            Server: %s (Bootstrap: %s)\n", c->is_server ? "true" : "false",
                c->is_bootstrap ? "true" : "false");
    mu_buf_addf(to, "       Client Addr: [");
    add_client_addrs(c, to);
    mu_buf_addf(to, "] (HTTP: %d, HTTPS: %d, gRPC: %d, DNS: %d)\n", c->ports.http, c->ports.https,
                c->ports.grpc, c->ports.dns);
    mu_buf_addf(to, "      Cluster Addr: %s (LAN: %d, WAN: %d)\n", lan, c->ports.serf_lan,
                c->ports.serf_wan);
    mu_buf_addf(to,
                "           Encrypt: Gossip: %s, TLS-Outgoing: false, TLS-Incoming: false, "
                "Auto-Encrypt-TLS: false\n\n"
                "==> Log data will now stream in as it occurs:\n\n",
                c->encrypt != NULL ? "true" : "false");
}

/* -- statistics (http-api 3.1): two levels, all leaves are strings ----------------------------- */

static void put_u(struct mu_json_out *o, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    mu_json_text(o, name, text);
}

static void put_bool(struct mu_json_out *o, const char *name, bool value)
{
    mu_json_text(o, name, value ? "true" : "false");
}

struct check_counts {
    uint64_t ttls, monitors;
};

static void count_check(void *data, const struct local_check *check)
{
    struct check_counts *c = data;

    c->ttls += strcmp(check->type, "ttl") == 0;
    c->monitors += strcmp(check->type, "script") == 0;
}

static void stats_agent(struct agent *a, struct mu_json_out *o)
{
    struct check_counts counts = { 0, 0 };

    local_each_check(a->local, false, count_check, &counts);
    mu_json_key(o, "agent");
    mu_json_open(o, '{');
    put_u(o, "check_monitors", counts.monitors);
    put_u(o, "check_ttls", counts.ttls);
    put_u(o, "checks", local_checks_count(a->local));
    put_u(o, "services", local_services_count(a->local));
    mu_json_close(o, '}');
}

static void stats_build(struct mu_json_out *o)
{
    mu_json_key(o, "build");
    mu_json_open(o, '{');
    mu_json_text(o, "prerelease", "");
    mu_json_text(o, "revision", "muster-" AGENT_MUSTER_VERSION);
    mu_json_text(o, "version", AGENT_CONSUL_VERSION);
    mu_json_close(o, '}');
}

static void stats_consul(struct agent *a, struct mu_json_out *o)
{
    char leader[MU_ADDR_TEXT_MAX] = "";

    mu_json_key(o, "consul");
    mu_json_open(o, '{');
    mu_json_text(o, "acl", "disabled");
    if (!agent_is_server(a)) {
        put_u(o, "known_servers", agent__servers_count(a));
        mu_json_text(o, "server", "false");
        mu_json_close(o, '}');
        return;
    }
    struct mu_addr at = agent_leader_address(a);

    if (at.ip_bytes > 0) {
        mu_addr_text(&at, leader);
    }
    put_bool(o, "bootstrap", a->config->is_bootstrap);
    mu_json_text(o, "known_datacenters", "1");
    put_bool(o, "leader", agent__leads(a));
    mu_json_text(o, "leader_addr", leader);
    mu_json_text(o, "server", "true");
    mu_json_close(o, '}');
}

static const char *role_text(enum consensus_role role)
{
    switch (role) {
    case CONSENSUS_LEADER: return "Leader";
    case CONSENSUS_CANDIDATE:
    case CONSENSUS_PRE_CANDIDATE: return "Candidate";
    case CONSENSUS_FOLLOWER:
    case CONSENSUS_OBSERVER: return "Follower";
    }
    MU_UNREACHABLE_CODE();
}

static void put_last_contact(const struct consensus_status *s, struct mu_json_out *o)
{
    char text[32];
    uint64_t now_ms = mu_clock_ms();

    if (s->role == CONSENSUS_LEADER) {
        mu_json_text(o, "last_contact", "0");
    } else if (s->leader_heard_ms == 0) {
        mu_json_text(o, "last_contact", "never");
    } else {
        uint64_t since = now_ms > s->leader_heard_ms ? now_ms - s->leader_heard_ms : 0;

        (void)snprintf(text, sizeof text, "%llums", (unsigned long long)since);
        mu_json_text(o, "last_contact", text);
    }
}

static void put_hash(const struct agent *a, struct mu_json_out *o)
{
    char text[2 * sizeof a->applied.hash + 1];

    for (size_t i = 0; i < sizeof a->applied.hash; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", a->applied.hash[i]);
    }
    mu_json_text(o, "state_hash", text);
}

static void stats_raft(struct agent *a, struct mu_json_out *o)
{
    struct consensus_status s;

    consensus_driver_status(a->consensus, &s);
    mu_json_key(o, "raft");
    mu_json_open(o, '{');
    put_u(o, "applied_index", s.applied);
    put_u(o, "command_level", s.level); /* ours: in use, and understood here */
    put_u(o, "command_level_max", agent__level_max(a));
    put_u(o, "commit_index", s.commit);
    put_u(o, "fsm_pending", apply_waiting(a->apply));
    put_last_contact(&s, o);
    put_u(o, "last_log_index", s.last_index);
    put_u(o, "last_log_term", s.last_term);
    put_u(o, "last_snapshot_index", s.durable_applied);
    put_u(o, "last_snapshot_term", 0);
    put_u(o, "latest_configuration_index", s.config_index);
    put_u(o, "num_peers", s.voters_count > 0 ? s.voters_count - 1 : 0);
    mu_json_text(o, "protocol_version", "3");
    mu_json_text(o, "protocol_version_max", "3");
    mu_json_text(o, "protocol_version_min", "0");
    put_u(o, "reads_by_lease", s.reads_leased);
    put_u(o, "reads_by_round", s.reads_batched); /* of heartbeats; one may answer many reads */
    mu_json_text(o, "snapshot_version_max", "1");
    mu_json_text(o, "snapshot_version_min", "0");
    mu_json_text(o, "state", role_text(s.role));
    put_u(o, "state_rebuilds", a->rebuilds);     /* ours: since the process was started */
    put_u(o, "state_schema", a->schema.version); /* ours: how its file is laid out */
    put_hash(a, o); /* ours: equal on all servers that are at one applied_index */
    put_u(o, "term", s.term);
    if (consensus_driver_waits(a->consensus)[0] != '\0') {
        mu_json_text(o, "waits", consensus_driver_waits(a->consensus));
    }
    mu_json_close(o, '}');
}

/* Ours: seconds of the wall clock; 0: never. */
static void stats_scrub(struct agent *a, struct mu_json_out *o)
{
    struct agent_scrub s;

    agent_scrub(a, &s);
    mu_json_key(o, "scrub");
    mu_json_open(o, '{');
    put_u(o, "damages", s.damages);
    put_u(o, "last_damage", (uint64_t)s.found_s);
    put_u(o, "last_pass", (uint64_t)s.last_s);
    put_u(o, "passes", s.passes);
    put_bool(o, "running", s.reading[0] != '\0');
    mu_json_close(o, '}');
}

static void stats_runtime(struct mu_json_out *o)
{
    struct utsname system;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    MU_ASSERT(uname(&system) == 0);
    mu_json_key(o, "runtime");
    mu_json_open(o, '{');
    mu_json_text(o, "arch", strcmp(system.machine, "x86_64") == 0 ? "amd64" : system.machine);
    put_u(o, "cpu_count", cpus > 0 ? (uint64_t)cpus : 1);
    mu_json_text(o, "goroutines", "0");
    put_u(o, "max_procs", cpus > 0 ? (uint64_t)cpus : 1);
    mu_json_text(o, "os", "linux");
    mu_json_text(o, "version", "muster " AGENT_MUSTER_VERSION);
    mu_json_close(o, '}');
}

static void stats_serf(struct agent *a, struct mu_json_out *o)
{
    struct gossip_stats s = gossip_driver_stats(a->gossip);

    mu_json_key(o, "serf_lan");
    mu_json_open(o, '{');
    put_u(o, "coordinate_resets", s.coordinate_resets);
    mu_json_text(o, "encrypted", a->keys.ring.count > 0 ? "true" : "false");
    put_u(o, "event_queue", s.event_queue);
    put_u(o, "event_time", s.event_time);
    put_u(o, "failed", s.failed);
    put_u(o, "health_score", s.health_score);
    put_u(o, "intent_queue", s.intent_queue);
    put_u(o, "kernel_drops", s.kernel_drops);
    put_u(o, "left", s.left);
    put_u(o, "member_time", s.member_time);
    put_u(o, "members", s.members);
    put_u(o, "query_queue", s.query_queue);
    put_u(o, "query_time", s.query_time);
    mu_json_close(o, '}');
}

void agent_stats(struct agent *a, struct mu_json_out *o)
{
    mu_json_open(o, '{');
    stats_agent(a, o);
    stats_build(o);
    stats_consul(a, o);
    if (agent_is_server(a)) {
        stats_raft(a, o);
    }
    stats_runtime(o);
    if (agent_is_server(a)) {
        stats_scrub(a, o);
    }
    stats_serf(a, o);
    mu_json_close(o, '}');
}
