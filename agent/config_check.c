/* From what was said to what holds: defaults that depend on others, texts taken apart, and every
 * rule that one value alone cannot break. The rules are a list, walked in the reference's order;
 * the first that is broken ends the start.
 */
#include "config_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "gossip/keyring.h"
#include "mdns.h"

void config__warn(struct config *c, const char *fmt, ...)
{
    struct config_texts list = { c->warnings, c->warnings_count };
    struct mu_buf text = MU_BUF_NONE;
    va_list args;

    va_start(args, fmt);
    mu_buf_vaddf(&text, fmt, args);
    va_end(args);
    config__texts_add(&c->arena, &list, mu_arena_strdup(&c->arena, mu_buf_text(&text)));
    mu_buf_deinit(&text);
    c->warnings = list.items;
    c->warnings_count = list.count;
}

static const char *lowered(struct mu_arena *arena, const char *text)
{
    char *copy = mu_arena_strdup(arena, text);

    for (char *at = copy; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    return copy;
}

static bool is_name_byte(char c)
{
    return islower((unsigned char)c) || isdigit((unsigned char)c) || c == '-' || c == '_';
}

/* -- who this node is -------------------------------------------------------------------------- */

static enum mu_code check_datacenter(struct config_draft *d, struct mu_err *err)
{
    if (d->c.datacenter[0] == '\0') {
        return mu_fail(err, MU_INVALID, "datacenter cannot be empty");
    }
    d->c.datacenter = lowered(&d->c.arena, d->c.datacenter);
    for (const char *at = d->c.datacenter; *at != '\0'; at++) {
        if (!is_name_byte(*at)) {
            return mu_fail(err, MU_INVALID,
                           "datacenter can only contain lowercase alphanumeric, - or _ "
                           "characters.");
        }
    }
    if (strlen(d->c.datacenter) > 63) { /* it is a label of DNS names */
        return mu_fail(err, MU_INVALID, "datacenter cannot be longer than 63 characters");
    }
    return MU_OK;
}

static enum mu_code check_data_dir(struct config_draft *d, struct mu_err *err)
{
    struct stat st;

    if (d->c.data_dir != NULL && d->c.data_dir[0] == '\0') {
        d->c.data_dir = NULL;
    }
    if (d->c.data_dir == NULL) {
        return d->c.is_dev || d->c.serf.is_on
                   ? MU_OK
                   : mu_fail(err, MU_INVALID, "data_dir cannot be empty");
    }
    if (stat(d->c.data_dir, &st) != 0) {
        return errno == ENOENT ? MU_OK
                               : mu_fail(err, MU_INVALID, "Error getting info on data_dir: %s: %s",
                                         d->c.data_dir, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return mu_fail(err, MU_INVALID, "data_dir \"%s\" is not a directory", d->c.data_dir);
    }
    return MU_OK;
}

bool config_is_plain_name(const char *name)
{
    size_t bytes = 0;

    while (isalnum((unsigned char)name[bytes]) || name[bytes] == '-' || name[bytes] == '.') {
        bytes++;
    }
    return bytes > 0 && name[bytes] == '\0';
}

/* Names that DNS cannot carry work everywhere else. */
static void warn_node_name(struct config *c)
{
    for (const char *at = c->node_name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && *at != '-') {
            config__warn(c,
                         "Node name \"%s\" will not be discoverable via DNS due to invalid "
                         "characters. Valid characters include all alpha-numerics and dashes.",
                         c->node_name);
            return;
        }
    }
    if (strlen(c->node_name) > 63) {
        config__warn(c,
                     "Node name \"%s\" will not be discoverable via DNS due to it being too long. "
                     "Valid lengths are between 1 and 63 bytes.",
                     c->node_name);
    }
}

/* What `serf agent` was given comes as JSON, where U+FFFD stands for bytes that are not. */
static bool is_said_in_utf8(const char *name)
{
    return mu_span_is_utf8(mu_span_text(name)) && strstr(name, "\xef\xbf\xbd") == NULL;
}

static enum mu_code check_node(struct config_draft *d, struct mu_err *err)
{
    char host[256];
    struct mu_id id;

    if (d->c.node_name == NULL && gethostname(host, sizeof host) == 0) {
        host[sizeof host - 1] = '\0';
        d->c.node_name = mu_arena_strdup(&d->c.arena, host);
    }
    if (d->c.node_name == NULL || d->c.node_name[0] == '\0') {
        return mu_fail(err, MU_INVALID, "node_name cannot be empty");
    }
    if (strlen(d->c.node_name) > MU_NODE_NAME_MAX) {
        return mu_fail(err, MU_INVALID, "node_name cannot be longer than %d bytes",
                       MU_NODE_NAME_MAX);
    }
    if (!is_said_in_utf8(d->c.node_name)) {
        return mu_fail(err, MU_INVALID, "node_name \"%s\" is not UTF-8", d->c.node_name);
    }
    warn_node_name(&d->c);
    if (d->c.node_id != NULL && d->c.node_id[0] == '\0') {
        d->c.node_id = NULL;
    }
    if (d->c.node_id != NULL) {
        d->c.node_id = lowered(&d->c.arena, d->c.node_id);
        if (!mu_id_parse(mu_span_text(d->c.node_id), &id)) {
            return mu_fail(err, MU_INVALID, "node_id \"%.64s\" is not a UUID", d->c.node_id);
        }
    }
    return MU_OK;
}

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

static void sort_pairs(struct mu_pairs *pairs)
{
    if (pairs->count > 0) {
        qsort(pairs->items, pairs->count, sizeof *pairs->items, by_key);
    }
}

static enum mu_code check_node_meta(struct config_draft *d, struct mu_err *err)
{
    enum mu_code rc = definition_meta_valid(&d->c.node_meta, err);

    sort_pairs(&d->c.node_meta);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "node_meta invalid");
}

/* -- servers and how they find each other ------------------------------------------------------ */

static enum mu_code check_bootstrap(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;

    if (c->is_bootstrap && !c->is_server) {
        return mu_fail(err, MU_INVALID, "'bootstrap = true' requires 'server = true'");
    }
    if (c->bootstrap_expect > 0 && !c->is_server) {
        return mu_fail(err, MU_INVALID, "'bootstrap_expect > 0' requires 'server = true'");
    }
    if (c->bootstrap_expect > 0 && c->is_dev) {
        return mu_fail(err, MU_INVALID, "'bootstrap_expect > 0' not allowed in dev mode");
    }
    if (c->bootstrap_expect > 0 && c->is_bootstrap) {
        return mu_fail(err, MU_INVALID,
                       "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
    }
    if (c->bootstrap_expect == 1) {
        config__warn(c, "BootstrapExpect is set to 1; this is the same as Bootstrap mode.");
        c->is_bootstrap = true;
        c->bootstrap_expect = 0;
    }
    if (c->bootstrap_expect == 2) {
        config__warn(c, "bootstrap_expect = 2: A cluster with 2 servers will provide no failure "
                        "tolerance.");
    }
    if (c->bootstrap_expect > 2 && c->bootstrap_expect % 2 == 0) {
        config__warn(c, "bootstrap_expect is even number: A cluster with an even number of "
                        "servers does not achieve optimum fault tolerance.");
    }
    if (c->is_bootstrap && !c->is_dev) {
        config__warn(c, "bootstrap = true: do not enable unless necessary");
    }
    c->is_bootstrap = c->is_bootstrap || (c->is_dev && c->is_server);
    return MU_OK;
}

static enum mu_code check_join(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;
    struct config_texts all = { NULL, 0 };

    for (size_t i = 0; i < d->start_join.count + d->retry_join.count; i++) {
        const char *address = i < d->start_join.count
                                  ? d->start_join.items[i]
                                  : d->retry_join.items[i - d->start_join.count];

        if (strncmp(address, "provider=", strlen("provider=")) == 0) {
            return mu_fail(err, MU_INVALID, "retry_join: cloud auto-join is not supported: \"%s\"",
                           address);
        }
        if (address[0] == '\0') {
            return mu_fail(err, MU_INVALID, "retry_join: an address is empty");
        }
        config__texts_add(&c->arena, &all, address);
    }
    c->retry_join = all.items;
    c->retry_join_count = all.count;
    return MU_OK;
}

static enum mu_code check_networks(struct config_draft *d, struct mu_err *err)
{
    const struct config_texts *given = &d->serf_lan_allowed_cidrs;
    struct mu_net *nets = mu_arena_array(&d->c.arena, given->count + 1, sizeof *nets);

    for (size_t i = 0; i < given->count; i++) {
        if (!mu_net_parse(mu_span_text(given->items[i]), &nets[i])) {
            return mu_fail(err, MU_INVALID,
                           "serf_lan_allowed_cidrs: \"%s\" is no network, expected an address and "
                           "the length of its prefix as in 10.0.0.0/8",
                           given->items[i]);
        }
    }
    d->c.gossip_networks = nets;
    d->c.gossip_networks_count = given->count;
    return MU_OK;
}

static enum mu_code check_leave(struct config_draft *d, struct mu_err *err)
{
    (void)err;
    if (!config__is_given(d, "leave_on_terminate")) {
        d->c.leave_on_terminate = !d->c.is_server;
    }
    if (!config__is_given(d, "skip_leave_on_interrupt")) {
        d->c.skip_leave_on_interrupt = d->c.is_server;
    }
    return MU_OK;
}

static enum mu_code check_gossip(struct config_draft *d, struct mu_err *err)
{
    const struct config_gossip *g = &d->c.gossip_lan;

    if (g->probe_timeout_ms >= g->probe_ms) {
        return mu_fail(err, MU_INVALID,
                       "gossip_lan.probe_timeout must be shorter than gossip_lan.probe_interval");
    }
    if (!d->c.is_dev && 3 * g->gossip_ms > g->probe_ms) {
        config__warn(&d->c, "gossip_lan.gossip_interval is more than a third of "
                            "gossip_lan.probe_interval: suspects may not clear themselves in time");
    }
    return MU_OK;
}

/* -- addresses --------------------------------------------------------------------------------- */

static bool is_said(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* An address that others are told must lead somewhere. */
static enum mu_code advertised(struct config_draft *d, const char *key, const char *text,
                               struct mu_addr *out, struct mu_err *err)
{
    if (!is_said(text)) {
        return MU_OK;
    }
    enum mu_code rc = config__address(key, text, &d->c.arena, out, err);

    if (rc == MU_OK && mu_addr_is_any(out)) {
        return mu_fail(err, MU_INVALID, "Advertise address cannot be 0.0.0.0, :: or [::]");
    }
    return rc;
}

static void tag_default(struct config_draft *d, const char *name, const struct mu_addr *address)
{
    const struct config_item *item = config__find("tagged_addresses");
    char text[MU_ADDR_TEXT_MAX];

    for (size_t i = 0; i < d->c.tagged_addresses.count; i++) {
        if (mu_span_eq_text(d->c.tagged_addresses.items[i].key, name)) {
            return;
        }
    }
    mu_addr_ip_text(address, text);
    config__add_pair(d, item, mu_span_text(name), mu_span_text(text));
}

/* advertise_addr_ipv4 and its three like: a tagged address, and the advertised one for want of
 * another. */
static enum mu_code check_advertise(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;
    const struct {
        const char *key, *text, *tag;
        uint8_t ip_bytes;
        struct mu_addr *instead_of;
    } families[] = {
        { "advertise_addr_ipv4", d->advertise_v4, "lan_ipv4", 4, &c->advertise_addr },
        { "advertise_addr_ipv6", d->advertise_v6, "lan_ipv6", 16, &c->advertise_addr },
        { "advertise_addr_wan_ipv4", d->advertise_wan_v4, "wan_ipv4", 4, &c->advertise_addr_wan },
        { "advertise_addr_wan_ipv6", d->advertise_wan_v6, "wan_ipv6", 16, &c->advertise_addr_wan },
    };
    enum mu_code rc = advertised(d, "advertise_addr", d->advertise_addr, &c->advertise_addr, err);

    if (rc == MU_OK) {
        rc =
            advertised(d, "advertise_addr_wan", d->advertise_addr_wan, &c->advertise_addr_wan, err);
    }
    for (size_t i = 0; rc == MU_OK && i < MU_LEN(families); i++) {
        struct mu_addr address = MU_ADDR_NONE;

        rc = advertised(d, families[i].key, families[i].text, &address, err);
        if (rc != MU_OK || address.ip_bytes == 0) {
            continue;
        }
        if (address.ip_bytes != families[i].ip_bytes) {
            return mu_fail(err, MU_INVALID, "%s must be an ipv%d address", families[i].key,
                           families[i].ip_bytes == 4 ? 4 : 6);
        }
        tag_default(d, families[i].tag, &address);
        if (families[i].instead_of->ip_bytes == 0 && address.ip_bytes == c->bind_addr.ip_bytes) {
            *families[i].instead_of = address;
        }
    }
    sort_pairs(&c->tagged_addresses);
    return rc;
}

static enum mu_code check_bind(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;
    enum mu_code rc = config__address("bind_addr", d->bind_addr, &c->arena, &c->bind_addr, err);

    if (rc == MU_OK && is_said(d->serf_lan)) {
        rc = config__address("serf_lan", d->serf_lan, &c->arena, &c->serf_lan_bind, err);
    }
    return rc;
}

static enum mu_code check_client(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;
    struct config_texts sockets = { NULL, 0 };
    enum mu_code rc = config__addresses("client_addr", d->client_addr, &c->arena, &c->client_addrs,
                                        &c->client_addrs_count, NULL, err);

    if (rc != MU_OK) {
        return rc;
    }
    c->dns_addrs = c->http_addrs = c->serf_rpc_addrs = c->client_addrs;
    c->dns_addrs_count = c->http_addrs_count = c->serf_rpc_addrs_count = c->client_addrs_count;
    if (is_said(d->dns_addr)) {
        rc = config__addresses("DNS address", d->dns_addr, &c->arena, &c->dns_addrs,
                               &c->dns_addrs_count, NULL, err);
    }
    if (rc == MU_OK && is_said(d->serf_rpc_addr)) {
        rc = config__addresses("addresses.serf_rpc", d->serf_rpc_addr, &c->arena,
                               &c->serf_rpc_addrs, &c->serf_rpc_addrs_count, NULL, err);
    }
    if (rc == MU_OK && is_said(d->http_addr)) {
        rc = config__addresses("addresses.http", d->http_addr, &c->arena, &c->http_addrs,
                               &c->http_addrs_count, &sockets, err);
        c->http_sockets = sockets.items;
        c->http_sockets_count = sockets.count;
    }
    return rc;
}

/* -- listeners --------------------------------------------------------------------------------- */

struct listener {
    const char *name;
    struct mu_addr at;
};

static bool overlap(const struct mu_addr *a, const struct mu_addr *b)
{
    if (a->port != b->port || a->port == 0) {
        return false;
    }
    return mu_addr_eq_ip(a, b) ||
           ((mu_addr_is_any(a) || mu_addr_is_any(b)) && a->ip_bytes == b->ip_bytes);
}

static enum mu_code add_listeners(struct listener *all, size_t *count, const char *name,
                                  const struct mu_addr *addrs, size_t addrs_count, int port,
                                  struct mu_err *err)
{
    char text[MU_ADDR_TEXT_MAX];

    for (size_t i = 0; port > 0 && i < addrs_count; i++) {
        struct listener l = { name, addrs[i] };

        l.at.port = (uint16_t)port;
        for (size_t other = 0; other < *count; other++) {
            if (overlap(&l.at, &all[other].at)) {
                mu_addr_text(&l.at, text);
                return mu_fail(err, MU_INVALID, "%s address %s already configured for %s", name,
                               text, all[other].name);
            }
        }
        all[(*count)++] = l;
    }
    return MU_OK;
}

static enum mu_code check_listeners(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;
    const struct mu_addr *serf = c->serf_lan_bind.ip_bytes > 0 ? &c->serf_lan_bind : &c->bind_addr;
    const struct {
        const char *name;
        const struct mu_addr *addrs;
        size_t addrs_count;
        int port;
    } doors[] = {
        { "DNS", c->dns_addrs, c->dns_addrs_count, c->ports.dns },
        { "HTTP", c->http_addrs, c->http_addrs_count, c->ports.http },
        { "Serf LAN", serf, 1, c->ports.serf_lan },
        { "RPC", &c->bind_addr, 1, c->is_server ? c->ports.server : -1 },
        /* unless they were asked for, these give way when they start */
        { "Serf RPC", c->serf_rpc_addrs, c->serf_rpc_addrs_count,
          c->ports.serf_rpc_given ? c->ports.serf_rpc : -1 },
        { "etcd", c->client_addrs, c->client_addrs_count,
          c->ports.etcd_given ? c->ports.etcd : -1 },
    };
    size_t count = 0, room = 2;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < MU_LEN(doors); i++) {
        room += doors[i].addrs_count;
    }
    struct listener *all = mu_arena_array(&c->arena, room, sizeof *all);

    for (size_t i = 0; rc == MU_OK && i < MU_LEN(doors); i++) {
        rc = add_listeners(all, &count, doors[i].name, doors[i].addrs, doors[i].addrs_count,
                           doors[i].port, err);
    }
    return rc;
}

static enum mu_code check_ports(struct config_draft *d, struct mu_err *err)
{
    struct config_ports *ports = &d->c.ports;

    ports->serf_rpc_given = config__is_given(d, "ports.serf_rpc");
    ports->etcd_given = config__is_given(d, "ports.etcd");
    if (ports->serf_lan <= 0) {
        return mu_fail(err, MU_INVALID, "ports.serf_lan cannot be off: agents meet through it");
    }
    if (ports->server <= 0 && d->c.is_server) {
        return mu_fail(err, MU_INVALID, "ports.server cannot be off on a server");
    }
    return MU_OK;
}

/* -- names in DNS ------------------------------------------------------------------------------ */

/* "Consul." -> "consul" */
static enum mu_code domain_of(struct config *c, const char *key, const char *text, const char **out,
                              struct mu_err *err)
{
    char *name = mu_arena_strdup(&c->arena, lowered(&c->arena, text));
    size_t bytes = strlen(name), label = 0;

    if (bytes > 0 && name[bytes - 1] == '.') {
        name[--bytes] = '\0';
    }
    for (size_t i = 0; i <= bytes; i++) {
        bool ends = i == bytes || name[i] == '.';

        if (ends ? label == 0 || label > 63 : !is_name_byte(name[i])) {
            return mu_fail(err, MU_INVALID, "%s: \"%.64s\" is not a domain name", key, text);
        }
        label = ends ? 0 : label + 1;
    }
    if (bytes > 253) {
        return mu_fail(err, MU_INVALID, "%s is too long for a domain name", key);
    }
    *out = name;
    return MU_OK;
}

static enum mu_code check_domains(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;
    struct config_texts domains = { NULL, 0 };
    enum mu_code rc = domain_of(c, "domain", d->domain, &c->domain, err);

    if (!config__is_given(d, "alt_domain")) {
        config__texts_add(&c->arena, &d->alt_domain, config__find("alt_domain")->text);
    }
    for (size_t i = 0; rc == MU_OK && i < d->alt_domain.count; i++) {
        const char *name = NULL;

        if (d->alt_domain.items[i][0] == '\0') {
            continue; /* "": none */
        }
        rc = domain_of(c, "alt_domain", d->alt_domain.items[i], &name, err);
        if (rc == MU_OK && strcmp(name, c->domain) != 0) {
            config__texts_add(&c->arena, &domains, name);
        }
    }
    c->alt_domains = domains.items;
    c->alt_domains_count = domains.count;
    return rc;
}

static enum mu_code check_service_ttl(struct config_draft *d, struct mu_err *err)
{
    struct config_dns *dns = &d->c.dns;

    dns->service_ttl_count = d->service_ttl.count;
    dns->service_ttl =
        mu_arena_array(&d->c.arena, dns->service_ttl_count, sizeof *dns->service_ttl);
    for (size_t i = 0; i < dns->service_ttl_count; i++) {
        const struct mu_pair *pair = &d->service_ttl.items[i];
        char *key = mu_arena_text(&d->c.arena, pair->key.data, pair->key.bytes);
        char why[128];
        int64_t ns = 0;

        if (!mu_duration_parse(pair->value, &ns, why, sizeof why)) {
            return mu_fail(err, MU_INVALID,
                           "dns_config.service_ttl: invalid duration: \"%.*s\": %s",
                           MU_SPAN_FMT(mu_span_sub(pair->value, 0, 64)), why);
        }
        if (ns < 0 || ns / MU_NS_PER_S > UINT32_MAX) {
            return mu_fail(err, MU_INVALID, "dns_config.service_ttl.%.64s is out of range", key);
        }
        dns->service_ttl[i].key = lowered(&d->c.arena, key);
        dns->service_ttl[i].seconds = (uint32_t)(ns / MU_NS_PER_S);
    }
    return MU_OK;
}

/* -- the rest ---------------------------------------------------------------------------------- */

static enum mu_code check_output_size(struct config_draft *d, struct mu_err *err)
{
    if (d->c.check_output_max_size < 1) {
        return mu_fail(err, MU_INVALID,
                       "check_output_max_size must be positive, to discard check output use the "
                       "discard_check_output flag");
    }
    return MU_OK;
}

static enum mu_code check_log(struct config_draft *d, struct mu_err *err)
{
    if (!mu_log_level_parse(mu_span_text(d->log_level), &d->c.log_level)) {
        return mu_fail(err, MU_INVALID,
                       "Invalid log level: %.64s. Valid log levels are: [TRACE DEBUG INFO WARN "
                       "ERR]",
                       d->log_level);
    }
    d->c.log_file = is_said(d->c.log_file) ? d->c.log_file : NULL;
    d->c.pid_file = is_said(d->c.pid_file) ? d->c.pid_file : NULL;
    return MU_OK;
}

static enum mu_code check_sinks(struct config_draft *d, struct mu_err *err)
{
    const struct {
        const char *key;
        const char **address;
    } sinks[] = {
        { "telemetry.statsd_address", &d->c.statsd_address },
        { "telemetry.statsite_address", &d->c.statsite_address },
    };

    for (size_t i = 0; i < MU_LEN(sinks); i++) {
        struct mu_span host;
        uint16_t port = 0;

        *sinks[i].address = is_said(*sinks[i].address) ? *sinks[i].address : NULL;
        if (*sinks[i].address != NULL &&
            (!mu_addr_split(mu_span_text(*sinks[i].address), &host, &port) || port == 0)) {
            return mu_fail(err, MU_INVALID, "%s: '%.64s' is not host:port",
                           config__said_key(&d->c, config__find(sinks[i].key)), *sinks[i].address);
        }
    }
    return MU_OK;
}

static enum mu_code check_discover(struct config_draft *d, struct mu_err *err)
{
    struct config *c = &d->c;

    c->discover = is_said(c->discover) ? c->discover : NULL;
    c->mdns.interface = is_said(c->mdns.interface) ? c->mdns.interface : NULL;
    if (c->discover != NULL && strlen(c->discover) > MDNS_CLUSTER_MAX) {
        return mu_fail(err, MU_INVALID, "discover: '%.64s' is longer than %d bytes", c->discover,
                       MDNS_CLUSTER_MAX);
    }
    return MU_OK;
}

static enum mu_code check_endpoints(struct config_draft *d, struct mu_err *err)
{
    (void)err;
    d->c.block_endpoints = d->block_endpoints.items;
    d->c.block_endpoints_count = d->block_endpoints.count;
    return MU_OK;
}

static enum mu_code check_segments(struct config_draft *d, struct mu_err *err)
{
    if (config__is_on(d, "segment") || config__is_on(d, "segments")) {
        return mu_fail(err, MU_INVALID,
                       "Network segments are not supported in this version of Consul");
    }
    return MU_OK;
}

static enum mu_code check_encrypt(struct config_draft *d, struct mu_err *err)
{
    struct gossip_key key;

    if (!is_said(d->c.encrypt)) {
        d->c.encrypt = NULL;
        return MU_OK;
    }
    enum mu_code rc = gossip_key_parse(d->c.encrypt, &key, err);

    sodium_memzero(&key, sizeof key);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "encrypt has invalid key");
}

/* What cannot be obeyed yet and would be missed: better no start than a false safety. */
static enum mu_code refuse_unsafe(struct config_draft *d, struct mu_err *err)
{
    for (size_t i = 0; i < config_items_count; i++) {
        if (config_items[i].effect == CONFIG_UNSAFE && d->seen[i].is_on) {
            return mu_fail(err, MU_UNSUPPORTED,
                           "'%s' is not supported yet, and starting without it would be unsafe",
                           config_items[i].key);
        }
    }
    return MU_OK;
}

static enum mu_code warn_without_effect(struct config_draft *d, struct mu_err *err)
{
    (void)err;
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];

        if (!d->seen[i].is_given) {
            continue;
        }
        if (item->instead != NULL) {
            config__warn(&d->c, "The '%s' field is deprecated. Use the '%s' field instead.",
                         item->key, item->instead);
        }
        if (item->effect == CONFIG_ENTERPRISE && d->seen[i].differs) {
            config__warn(&d->c,
                         "\"%s\" is a Consul Enterprise configuration and will have no effect",
                         item->key);
        }
        if (item->effect == CONFIG_LATER && d->seen[i].differs) {
            config__warn(&d->c, "\"%s\" is accepted, but has no effect yet", item->key);
        }
    }
    return MU_OK;
}

/* DESIGN section 6: without a key everything is sent in clear. */
static enum mu_code warn_in_clear(struct config_draft *d, struct mu_err *err)
{
    (void)err;
    if (!mu_addr_is_loopback(&d->c.bind_addr) && d->c.encrypt == NULL) {
        config__warn(&d->c, "bind_addr is not loopback and \"encrypt\" is not set: traffic between "
                            "agents is sent in clear, and whoever reaches these ports can join");
    }
    return MU_OK;
}

enum mu_code config__finish(struct config_draft *d, struct mu_err *err)
{
    static enum mu_code (*const rules[])(struct config_draft *, struct mu_err *) = {
        // clang-format off
        check_datacenter,
        check_data_dir,
        check_node,
        check_node_meta,
        check_bind,
        check_advertise,
        check_client,
        check_ports,
        check_listeners,
        check_bootstrap,
        check_join,
        check_networks,
        check_leave,
        check_gossip,
        check_domains,
        check_service_ttl,
        check_output_size,
        check_log,
        check_discover,
        check_endpoints,
        check_segments,
        check_encrypt,
        check_sinks,
        config__check_handlers,
        refuse_unsafe,
        warn_without_effect,
        warn_in_clear,
    }; // clang-format on

    for (size_t i = 0; i < MU_LEN(rules); i++) {
        enum mu_code rc = rules[i](d, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}
