/* check_types.c - every kind of health check, once, in the order of http-api 3.4: of a definition
 * that could be several, the first row counts. */
#include "agent/check_type.h"

#include "base/assert.h"
#include "base/clock.h"
#include "check_runs.h"

#define TIMEOUT_MS 10000

static bool is_docker(const struct check_definition *d)
{
    return d->docker.bytes > 0;
}

static bool is_script(const struct check_definition *d)
{
    return d->script_args.count > 0;
}

static bool is_http(const struct check_definition *d)
{
    return d->http.bytes > 0;
}

static bool is_tcp_tls(const struct check_definition *d)
{
    return d->tcp.bytes > 0 && d->tcp_use_tls;
}

static bool is_tcp(const struct check_definition *d)
{
    return d->tcp.bytes > 0;
}

static bool is_grpc(const struct check_definition *d)
{
    return d->grpc.bytes > 0;
}

static bool is_ttl(const struct check_definition *d)
{
    return d->ttl_ns > 0;
}

static bool is_alias(const struct check_definition *d)
{
    return d->alias_node.bytes > 0 || d->alias_service.bytes > 0;
}

static bool is_h2ping(const struct check_definition *d)
{
    return d->h2ping.bytes > 0;
}

static bool is_udp(const struct check_definition *d)
{
    return d->udp.bytes > 0;
}

static bool is_os_service(const struct check_definition *d)
{
    return d->os_service.bytes > 0;
}

/* Consul's words, but for its advice to enable them: they cannot be, yet. */
#define NO_SCRIPTS(kind) "Scripts are disabled on this agent: " kind " checks are not supported yet"

const struct check_type check_types[] = {
    // clang-format off
    { .key = "docker",     .matches = is_docker,     .refusal = NO_SCRIPTS("Docker") },
    { .key = "script",     .matches = is_script,     .refusal = NO_SCRIPTS("script") },
    { .key = "http",       .matches = is_http,       .is_scheduled = true,
      .start = check_http_start, .stop = check_http_stop },
    { .key = "tcp",        .matches = is_tcp_tls,
      .refusal = "TCP checks over TLS are not supported yet" },
    { .key = "tcp",        .matches = is_tcp,        .is_scheduled = true,
      .start = check_tcp_start, .stop = check_tcp_stop },
    { .key = "grpc",       .matches = is_grpc,       .refusal = "gRPC checks are not supported yet" },
    { .key = "ttl",        .matches = is_ttl },
    { .key = "alias",      .matches = is_alias,      .refusal = "Alias checks are not supported yet" },
    { .key = "h2ping",     .matches = is_h2ping,     .refusal = "H2PING checks are not supported yet" },
    { .key = "udp",        .matches = is_udp,        .refusal = "UDP checks are not supported yet" },
    { .key = "os_service", .matches = is_os_service, .refusal = "OSService checks are not supported yet" },
}; // clang-format on
const size_t check_types_count = MU_LEN(check_types);

const struct check_type *check_type_of(const struct check_definition *d)
{
    for (size_t i = 0; i < check_types_count; i++) {
        if (check_types[i].matches(d)) {
            return &check_types[i];
        }
    }
    return NULL;
}

uint64_t check_timeout_ms(const struct check_definition *d)
{
    return d->timeout_ns > 0 ? (uint64_t)((d->timeout_ns + MU_NS_PER_MS - 1) / MU_NS_PER_MS)
                             : TIMEOUT_MS;
}
