/* What a definition must hold, in the words of http-api 3.3 and 3.4. */
#include "agent/definition.h"

#include <ctype.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/limits.h"

#define WEIGHT_MAX 65535
#define PORT_MAX   65535

/* Quoted input keeps its place in a message without pushing the reason out of it. */
#define QUOTED_BYTES_MAX 100

static struct mu_span quoted(struct mu_span text)
{
    return mu_span_sub(text, 0, QUOTED_BYTES_MAX);
}

/* -- names ------------------------------------------------------------------------------------- */

static enum mu_code name_fits(const char *what, struct mu_span name, struct mu_err *err)
{
    if (name.bytes > MU_NAME_MAX) {
        return mu_fail(err, MU_INVALID, "%s is too long (limit: %d characters)", what, MU_NAME_MAX);
    }
    return MU_OK;
}

/* Names of partitions belong to the paid edition; its clients send "default". */
static enum mu_code is_default(const char *what, struct mu_span name, struct mu_err *err)
{
    if (name.bytes > 0 && !mu_span_eq_fold(name, MU_SPAN_LIT("default"))) {
        return mu_fail(err, MU_INVALID,
                       "Invalid field: \"%s\" - %ss are a Consul Enterprise feature", what, what);
    }
    return MU_OK;
}

static bool is_status(struct mu_span status)
{
    return status.bytes == 0 || mu_span_eq_text(status, "passing") ||
           mu_span_eq_text(status, "warning") || mu_span_eq_text(status, "critical");
}

/* -- metadata ---------------------------------------------------------------------------------- */

static const char *pair_trouble(const struct mu_pair *pair)
{
    if (pair->key.bytes == 0) {
        return "Key cannot be blank";
    }
    for (size_t i = 0; i < pair->key.bytes; i++) {
        uint8_t c = pair->key.data[i];

        if (c >= 0x80 || (!isalnum(c) && c != '_' && c != '-')) {
            return "Key contains invalid characters";
        }
    }
    if (pair->key.bytes > MU_META_KEY_MAX) {
        return "Key is too long (limit: 128 characters)";
    }
    if (mu_span_starts(pair->key, MU_SPAN_LIT("consul-"))) {
        return "Key prefix 'consul-' is reserved for internal use";
    }
    if (pair->value.bytes > MU_META_VALUE_MAX) {
        return "Value is too long (limit: 512 characters)";
    }
    return NULL;
}

_Static_assert(MU_META_KEY_MAX == 128 && MU_META_VALUE_MAX == 512, "as the texts above say");

enum mu_code definition_meta_valid(const struct mu_pairs *meta, struct mu_err *err)
{
    if (meta->count > MU_META_PAIRS_MAX) {
        return mu_fail(err, MU_INVALID, "Node metadata cannot contain more than %d key/value pairs",
                       MU_META_PAIRS_MAX);
    }
    for (size_t i = 0; i < meta->count; i++) {
        const char *trouble = pair_trouble(&meta->items[i]);

        if (trouble != NULL) {
            return mu_fail(err, MU_INVALID, "Couldn't load metadata pair ('%.*s', '%.*s'): %s",
                           MU_SPAN_FMT(quoted(meta->items[i].key)),
                           MU_SPAN_FMT(quoted(meta->items[i].value)), trouble);
        }
    }
    return MU_OK;
}

/* -- checks ------------------------------------------------------------------------------------ */

static bool is_alias(const struct check_definition *d)
{
    return d->alias_node.bytes > 0 || d->alias_service.bytes > 0;
}

static bool runs_at_intervals(const struct check_definition *d)
{
    return d->script_args.count > 0 || d->http.bytes > 0 || d->tcp.bytes > 0 || d->grpc.bytes > 0 ||
           d->udp.bytes > 0 || d->h2ping.bytes > 0 || d->os_service.bytes > 0;
}

static enum mu_code times_agree(const struct check_definition *d, struct mu_err *err)
{
    bool at_intervals = runs_at_intervals(d);

    if (d->interval_ns > 0 && d->ttl_ns > 0) {
        return mu_fail(err, MU_INVALID, "Interval and TTL cannot both be specified");
    }
    if (at_intervals && d->interval_ns <= 0) {
        return mu_fail(err, MU_INVALID, "Interval must be > 0 for Script, HTTP, or TCP checks");
    }
    if (at_intervals && is_alias(d)) {
        return mu_fail(err, MU_INVALID, "Interval cannot be set for Alias checks");
    }
    if (is_alias(d) && d->ttl_ns > 0) {
        return mu_fail(err, MU_INVALID, "TTL must be not be set for Alias checks");
    }
    if (!at_intervals && !is_alias(d) && d->ttl_ns <= 0) {
        return mu_fail(err, MU_INVALID, "TTL must be > 0 for TTL checks");
    }
    return MU_OK;
}

/* Kinds of later releases. Accepting one would leave a check that is critical for ever. */
static enum mu_code is_known_kind(const struct check_definition *d, struct mu_err *err)
{
    const struct {
        const char *name;
        struct mu_span given;
    } kinds[] = {
        { "UDP", d->udp },
        { "H2PING", d->h2ping },
        { "OSService", d->os_service },
    };

    for (size_t i = 0; i < MU_LEN(kinds); i++) {
        if (kinds[i].given.bytes > 0) {
            return mu_fail(err, MU_INVALID, "%s checks are not supported yet", kinds[i].name);
        }
    }
    if (d->tcp_use_tls) {
        return mu_fail(err, MU_INVALID, "TCPUseTLS is not supported yet");
    }
    return MU_OK;
}

enum mu_code check_definition_valid(const struct check_definition *d, struct mu_err *err)
{
    enum mu_code rc = times_agree(d, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (d->output_max_size < 0) {
        return mu_fail(err, MU_INVALID, "MaxOutputMaxSize must be positive");
    }
    if (d->failures_before_critical > 0 &&
        d->failures_before_warning > d->failures_before_critical) {
        return mu_fail(err, MU_INVALID,
                       "FailuresBeforeWarning can't be higher than FailuresBeforeCritical");
    }
    rc = is_known_kind(d, err);
    if (rc != MU_OK) {
        return rc;
    }
    rc = name_fits("CheckID", d->id, err);
    if (rc != MU_OK) {
        return rc;
    }
    rc = name_fits("Check name", d->name, err);
    if (rc != MU_OK) {
        return rc;
    }
    rc = is_default("Namespace", d->ns, err);
    return rc == MU_OK ? is_default("Partition", d->partition, err) : rc;
}

enum mu_code check_definition_valid_alone(const struct check_definition *d, struct mu_err *err)
{
    if (d->name.bytes == 0) {
        return mu_fail(err, MU_INVALID, "Missing check name");
    }
    if (!is_status(d->status)) {
        return mu_fail(err, MU_INVALID, "Bad check status");
    }
    enum mu_code rc = check_definition_valid(d, err);

    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Invalid check");
}

/* -- services ---------------------------------------------------------------------------------- */

enum mu_code definition_weights_valid(const struct service_definition *d, struct mu_err *err)
{
    if (d->weight_passing < 1) {
        return mu_fail(err, MU_INVALID, "Passing must be greater than 0");
    }
    if (d->weight_warning < 0) {
        return mu_fail(err, MU_INVALID, "Warning must be greater or equal than 0");
    }
    if (d->weight_passing > WEIGHT_MAX || d->weight_warning > WEIGHT_MAX) {
        return mu_fail(err, MU_INVALID, "DNS Weight must be between 0 and 65535");
    }
    return MU_OK;
}

static enum mu_code checks_valid(const struct service_definition *d, struct mu_err *err)
{
    for (size_t i = 0; i < d->checks_count; i++) {
        enum mu_code rc = check_definition_valid(&d->checks[i], err);

        if (rc != MU_OK) {
            return mu_wrap(err, rc, "Invalid check");
        }
    }
    for (size_t i = 0; i < d->checks_count; i++) {
        if (!is_status(d->checks[i].status)) {
            return mu_fail(err, MU_INVALID,
                           "Status for checks must 'passing', 'warning', 'critical'");
        }
    }
    return MU_OK;
}

static enum mu_code port_fits(const char *what, int64_t port, struct mu_err *err)
{
    if (port < 0 || port > PORT_MAX) {
        return mu_fail(err, MU_INVALID, "%s %lld is outside 0..65535", what, (long long)port);
    }
    return MU_OK;
}

/* "lan_ipv4" wants an IPv4 address; a name without a family takes anything. */
static enum mu_code tagged_valid(const struct service_tagged_definition *t, struct mu_err *err)
{
    struct mu_addr literal = MU_ADDR_NONE;
    bool is_v4 = mu_span_eq_text(t->name, "lan_ipv4") || mu_span_eq_text(t->name, "wan_ipv4");
    bool is_v6 = mu_span_eq_text(t->name, "lan_ipv6") || mu_span_eq_text(t->name, "wan_ipv6");

    if (is_v4 || is_v6) {
        if (!mu_addr_parse_ip(t->address, &literal) || literal.ip_bytes != (is_v4 ? 4 : 16)) {
            return mu_fail(err, MU_CONFLICT,
                           "Service tagged address \"%.*s\" must be a valid %s address",
                           MU_SPAN_FMT(t->name), is_v4 ? "ipv4" : "ipv6");
        }
    }
    enum mu_code rc = name_fits("Service tagged address name", t->name, err);

    return rc == MU_OK ? port_fits("Service tagged address port", t->port, err) : rc;
}

struct proxy {
    struct mu_span destination;
};

/* What a proxy must say (http-api 3.3, 16.6), reported together as the reference does. */
static enum mu_code proxy_valid(const struct service_definition *d, struct mu_err *err)
{
    static const struct mu_json_field fields[] = {
        { "DestinationServiceName",
          { "destination_service_name" },
          MU_JSON_AS_TEXT,
          offsetof(struct proxy, destination),
          NULL },
    };
    static const struct mu_json_shape shape = {
        .fields = fields, .fields_count = 1, .bytes = sizeof(struct proxy), .is_loose = true
    };
    struct proxy proxy = { MU_SPAN_NONE };
    struct mu_arena arena;
    enum mu_code rc = MU_OK;

    if (!mu_span_eq_text(d->kind, "connect-proxy")) {
        return MU_OK;
    }
    mu_arena_init(&arena, 0);
    if (d->proxy.bytes > 0) {
        rc = mu_json_read(d->proxy, &shape, &proxy, &arena, err);
    }
    bool has_destination = proxy.destination.bytes > 0;

    mu_arena_deinit(&arena);
    if (rc != MU_OK || (has_destination && d->port > 0)) {
        return rc;
    }
    return mu_fail(err, MU_INVALID, "%s occurred:\n%s%s\n",
                   has_destination || d->port > 0 ? "1 error" : "2 errors",
                   has_destination ? ""
                                   : "\t* Proxy.DestinationServiceName must be non-empty for "
                                     "Connect proxy services\n",
                   d->port > 0 ? "" : "\t* Port must be set for a Connect proxy\n");
}

static enum mu_code service_names_fit(const struct service_definition *d, struct mu_err *err)
{
    const struct {
        const char *what;
        struct mu_span name;
    } names[] = {
        { "Service name", d->name },
        { "Service ID", d->id },
        { "Service kind", d->kind },
        { "Service address", d->address },
    };

    for (size_t i = 0; i < MU_LEN(names); i++) {
        enum mu_code rc = name_fits(names[i].what, names[i].name, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    for (size_t i = 0; i < d->tags.count; i++) {
        enum mu_code rc = name_fits("Service tag", d->tags.items[i], err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    enum mu_code rc = is_default("Namespace", d->ns, err);

    return rc == MU_OK ? is_default("Partition", d->partition, err) : rc;
}

static enum mu_code service_addresses_valid(const struct service_definition *d, struct mu_err *err)
{
    enum mu_code rc = port_fits("Service port", d->port, err);

    for (size_t i = 0; rc == MU_OK && i < d->tagged_addresses_count; i++) {
        rc = tagged_valid(&d->tagged_addresses[i], err);
    }
    return rc;
}

enum mu_code service_definition_valid(const struct service_definition *d, struct mu_err *err)
{
    static enum mu_code (*const rules[])(const struct service_definition *, struct mu_err *) = {
        service_names_fit, checks_valid, proxy_valid, service_addresses_valid
    };
    struct mu_addr literal;

    if (d->name.bytes == 0) {
        return mu_fail(err, MU_INVALID, "Missing service name");
    }
    if (mu_addr_parse_ip(d->address, &literal) && mu_addr_is_any(&literal)) {
        return mu_fail(err, MU_INVALID, "Invalid service address");
    }
    enum mu_code rc = definition_weights_valid(d, err);

    if (rc != MU_OK) {
        return mu_wrap(err, rc, "Invalid Weights");
    }
    rc = definition_meta_valid(&d->meta, err);
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "Invalid Service Meta");
    }
    for (size_t i = 0; rc == MU_OK && i < MU_LEN(rules); i++) {
        rc = rules[i](d, err);
    }
    return rc;
}
