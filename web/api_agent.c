/* /v1/agent/: this agent, its members, joining and leaving (http-api 3.1, 3.2, 3.6). */
#include <stdio.h>

#include "base/clock.h"
#include "base/id.h"
#include "front.h"
#include "handlers.h"
#include "objects.h"
#include "write.h"

/* -- self -------------------------------------------------------------------------------------- */

static void put_tcp(struct mu_json_out *o, const struct mu_addr *ip, int port)
{
    struct mu_addr address = *ip;
    char text[MU_ADDR_TEXT_MAX];
    char url[MU_ADDR_TEXT_MAX + 8] = "tcp://";

    address.port = port > 0 ? (uint16_t)port : 0;
    mu_addr_text(&address, text);
    (void)snprintf(url, sizeof url, "tcp://%s", text);
    mu_json_put_text(o, url);
}

static void put_ip(struct mu_json_out *o, const char *name, const struct mu_addr *ip)
{
    char text[MU_ADDR_TEXT_MAX] = "";

    if (ip->ip_bytes > 0) {
        mu_addr_ip_text(ip, text);
    }
    mu_json_text(o, name, text);
}

static void put_ips(struct mu_json_out *o, const char *name, const struct mu_addr *ips,
                    size_t count)
{
    char text[MU_ADDR_TEXT_MAX];

    mu_json_key(o, name);
    mu_json_open(o, '[');
    for (size_t i = 0; i < count; i++) {
        mu_addr_ip_text(&ips[i], text);
        mu_json_put_text(o, text);
    }
    mu_json_close(o, ']');
}

static void put_listeners(struct mu_json_out *o, const char *name, const struct mu_addr *ips,
                          size_t count, int port)
{
    mu_json_key(o, name);
    mu_json_open(o, '[');
    for (size_t i = 0; i < count && port > 0; i++) {
        put_tcp(o, &ips[i], port);
    }
    mu_json_close(o, ']');
}

static void put_ms(struct mu_json_out *o, const char *name, int64_t ms)
{
    char text[MU_DURATION_TEXT_MAX];

    mu_duration_text(ms * MU_NS_PER_MS, text);
    mu_json_text(o, name, text);
}

/* "lan" and "lan_ipv4", or "_ipv6": what the agent registers for itself. */
static void put_tagged(struct mu_json_out *o, const char *pool, const struct mu_addr *ip)
{
    char name[16];
    char text[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(ip, text);
    mu_json_text(o, pool, text);
    (void)snprintf(name, sizeof name, "%s_ipv%c", pool, ip->ip_bytes == 4 ? '4' : '6');
    mu_json_text(o, name, text);
}

static void put_tagged_addresses(struct mu_json_out *o, const struct mu_addr *advertised,
                                 const struct config *c)
{
    mu_json_key(o, "TaggedAddresses");
    mu_json_open(o, '{');
    put_tagged(o, "lan", advertised);
    put_tagged(o, "wan", c->advertise_addr_wan.ip_bytes > 0 ? &c->advertise_addr_wan : advertised);
    for (size_t i = 0; i < c->tagged_addresses.count; i++) {
        mu_json_key_span(o, c->tagged_addresses.items[i].key);
        mu_json_put_span(o, c->tagged_addresses.items[i].value);
    }
    mu_json_close(o, '}');
}

static void put_addresses(struct mu_json_out *o, struct agent *a, const struct config *c)
{
    struct mu_addr advertised = agent_advertised(a);

    put_ip(o, "AdvertiseAddrLAN", &advertised);
    put_ip(o, "BindAddr", &c->bind_addr);
    put_ips(o, "ClientAddrs", c->client_addrs, c->client_addrs_count);
    put_listeners(o, "DNSAddrs", c->dns_addrs, c->dns_addrs_count, c->ports.dns);
    mu_json_i64(o, "DNSPort", c->ports.dns);
    put_listeners(o, "HTTPAddrs", c->http_addrs, c->http_addrs_count, c->ports.http);
    mu_json_i64(o, "HTTPPort", c->ports.http);
    mu_json_i64(o, "HTTPSPort", c->ports.https);
    mu_json_key(o, "SerfAdvertiseAddrLAN");
    put_tcp(o, &advertised, advertised.port);
    mu_json_key(o, "SerfBindAddrLAN");
    put_tcp(o, c->serf_lan_bind.ip_bytes > 0 ? &c->serf_lan_bind : &c->bind_addr,
            c->ports.serf_lan);
    mu_json_i64(o, "SerfPortLAN", c->ports.serf_lan);
    mu_json_i64(o, "SerfPortWAN", c->ports.serf_wan);
    mu_json_i64(o, "ServerPort", c->ports.server);
    put_tagged_addresses(o, &advertised, c);
}

/* The running configuration in the reference's names: those that clients and people look at. */
static void put_debug_config(struct mu_json_out *o, struct agent *a, const struct config *c)
{
    mu_json_key(o, "DebugConfig");
    mu_json_open(o, '{');
    mu_json_boolean(o, "ACLsEnabled", false);
    put_addresses(o, a, c);
    mu_json_boolean(o, "Bootstrap", c->is_bootstrap);
    mu_json_i64(o, "BootstrapExpect", c->bootstrap_expect);
    mu_json_boolean(o, "ConnectEnabled", false);
    mu_json_text(o, "DNSDomain", c->domain);
    mu_json_text(o, "DataDir", c->data_dir != NULL ? c->data_dir : "");
    mu_json_text(o, "Datacenter", agent_datacenter(a));
    put_ms(o, "DefaultQueryTime", c->default_query_ms);
    mu_json_boolean(o, "DevMode", c->is_dev);
    mu_json_i64(o, "HTTPMaxConnsPerClient", c->http_max_conns_per_client);
    mu_json_i64(o, "KVMaxValueSize", c->kv_max_value_size);
    put_ms(o, "MaxQueryTime", c->max_query_ms);
    objects_pairs(o, "NodeMeta", &c->node_meta);
    mu_json_text(o, "NodeName", agent_node_name(a));
    mu_json_text(o, "PrimaryDatacenter", agent_datacenter(a));
    mu_json_boolean(o, "ServerMode", agent_is_server(a));
    mu_json_key(o, "Telemetry");
    mu_json_open(o, '{');
    mu_json_text(o, "MetricsPrefix", "consul");
    mu_json_close(o, '}');
    mu_json_text(o, "Version", AGENT_CONSUL_VERSION);
    mu_json_close(o, '}');
}

static void put_config(struct mu_json_out *o, struct agent *a)
{
    char id[MU_ID_TEXT_BYTES + 1];

    agent_node_id(a, id);
    mu_json_key(o, "Config");
    mu_json_open(o, '{');
    mu_json_text(o, "Datacenter", agent_datacenter(a));
    mu_json_text(o, "PrimaryDatacenter", agent_datacenter(a));
    mu_json_text(o, "NodeName", agent_node_name(a));
    mu_json_text(o, "NodeID", id);
    mu_json_text(o, "Revision", "muster-" AGENT_MUSTER_VERSION);
    mu_json_boolean(o, "Server", agent_is_server(a));
    mu_json_text(o, "Version", AGENT_CONSUL_VERSION);
    mu_json_close(o, '}');
}

/* The node's metadata, with the one that agents always carry first. */
static void put_meta(struct mu_json_out *o, const struct config *c)
{
    bool has_segment = false;

    for (size_t i = 0; i < c->node_meta.count; i++) {
        has_segment |= mu_span_eq_text(c->node_meta.items[i].key, "consul-network-segment");
    }
    mu_json_key(o, "Meta");
    mu_json_open(o, '{');
    if (!has_segment) {
        mu_json_text(o, "consul-network-segment", "");
    }
    for (size_t i = 0; i < c->node_meta.count; i++) {
        mu_json_key_span(o, c->node_meta.items[i].key);
        mu_json_put_span(o, c->node_meta.items[i].value);
    }
    mu_json_close(o, '}');
}

static void put_coordinate(struct mu_json_out *o, const struct agent *a)
{
    struct coordinate at;

    if (!agent_coordinate(a, agent_node_name(a), &at)) {
        mu_json_nothing(o, "Coord");
        return;
    }
    mu_json_key(o, "Coord");
    agent_coordinate_json(o, &at);
}

void api_agent_self(struct request *r)
{
    struct agent *a = r->front->agent;
    struct agent_member member;
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_open(&o, '{');
    put_config(&o, a);
    put_debug_config(&o, a, r->front->config);
    put_coordinate(&o, a);
    mu_json_key(&o, "Member");
    if (agent_find_member(a, agent_node_name(a), &member)) {
        objects_member(&o, &member);
    } else {
        mu_json_put_null(&o);
    }
    mu_json_key(&o, "Stats");
    agent_stats(a, &o);
    put_meta(&o, r->front->config);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

/* -- members ----------------------------------------------------------------------------------- */

static void put_member(void *data, const struct agent_member *member)
{
    objects_member(data, member);
}

void api_agent_members(struct request *r)
{
    bool is_wan = params_text(&r->params, "wan").bytes > 0;
    struct mu_span segment = params_text(&r->params, "segment");
    struct mu_json_out o;

    if (segment.bytes > 0 && !mu_span_eq_text(segment, "_all")) { /* which the commands ask for */
        answer_text(r, is_wan ? 400 : 500,
                    is_wan ? "Cannot provide a segment with wan=true"
                           : "Network segments are not supported in this version of Consul");
        return;
    }
    response_json(r, &o);
    if (is_wan) {
        mu_json_put_null(&o); /* no pool between datacenters yet */
    } else {
        mu_json_open(&o, '[');
        agent_each_member(r->front->agent, put_member, &o);
        mu_json_close(&o, ']');
    }
    answer_json(r, &o);
}

void api_agent_join(struct request *r)
{
    if (params_text(&r->params, "wan").bytes > 0) {
        answer_text(r, 500,
                    agent_is_server(r->front->agent) ? "This agent has no WAN pool to join with"
                                                     : "Must be a server to join WAN cluster");
        return;
    }
    write_begin(r);
    agent_join(r->front->agent, mu_arena_text(&r->arena, r->argument.data, r->argument.bytes),
               write_done, r);
}

void api_agent_leave(struct request *r)
{
    write_begin(r);
    agent_leave(r->front->agent, write_done, r);
}

void api_agent_force_leave(struct request *r)
{
    const char *node = mu_arena_text(&r->arena, r->argument.data, r->argument.bytes);
    bool prune = params_has(&r->params, "prune");

    write_begin(r);
    agent_force_leave(r->front->agent, node, prune, write_done, r);
}

/* Consul answers without a word; what needs a restart stands in a header for who reads it. */
static void on_reloaded(void *data, enum mu_code code, const char *restart,
                        const struct mu_err *err)
{
    struct request *r = data;

    if (code == MU_OK && restart[0] != '\0') {
        response_header(r, "X-Muster-Needs-Restart",
                        mu_span_text(mu_arena_strdup(&r->arena, restart)));
    }
    write_end(r);
    if (code == MU_OK) {
        answer_empty(r, 200);
    } else {
        answer_textf(r, 500, "%s", err->text);
    }
}

void api_agent_reload(struct request *r)
{
    write_begin(r);
    agent_reload(r->front->agent, on_reloaded, r);
}

/* -- maintenance ------------------------------------------------------------------------------- */

static void on_maintenance(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;

    if (code != MU_NOT_FOUND) {
        write_done(data, code, err);
        return;
    }
    write_end(r);
    answer_textf(r, 404, "No service registered with ID \"%.*s\"", MU_SPAN_FMT(r->argument));
}

static void maintenance(struct request *r, struct mu_span service_id)
{
    struct mu_span text = params_text(&r->params, "enable");
    bool enable = false;

    if (text.bytes == 0) {
        answer_text(r, 400, "Missing value for enable");
        return;
    }
    if (!params_bool(text, &enable)) {
        answer_textf(r, 400, "Invalid value for enable: \"%.*s\"", MU_SPAN_FMT(text));
        return;
    }
    write_begin(r);
    agent_maintenance(r->front->agent, service_id, enable, params_text(&r->params, "reason"),
                      on_maintenance, r);
}

void api_agent_maintenance(struct request *r)
{
    maintenance(r, MU_SPAN_NONE);
}

void api_agent_service_maintenance(struct request *r)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing service ID");
        return;
    }
    maintenance(r, r->argument);
}
