/* registration.c - see registration.h. */
#include "registration.h"

#include <stdlib.h>

#include "base/addr.h"
#include "base/clock.h"

/* -- the shapes -------------------------------------------------------------------------------- */

struct register_tagged {
    struct mu_span name, address;
    int64_t port;
};

#define AT(member) offsetof(struct register_tagged, member)
static const struct mu_json_field tagged_fields[] = {
    // clang-format off
    { "Address", { NULL }, MU_JSON_AS_TEXT, AT(address), NULL },
    { "Port",    { NULL }, MU_JSON_AS_INT,  AT(port),    NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape tagged_shape = {
    .fields = tagged_fields,
    .fields_count = MU_LEN(tagged_fields),
    .bytes = sizeof(struct register_tagged),
};

#define AT(member) offsetof(struct register_service, member)
static const struct mu_json_field weights_fields[] = {
    // clang-format off
    { "Passing", { NULL }, MU_JSON_AS_INT, AT(weight_passing), NULL },
    { "Warning", { NULL }, MU_JSON_AS_INT, AT(weight_warning), NULL },
}; // clang-format on

static const struct mu_json_shape weights_shape = {
    .fields = weights_fields,
    .fields_count = MU_LEN(weights_fields),
    .bytes = sizeof(struct register_service),
};

enum { SERVICE_META = 6 }; /* its row below: {} and absent differ */

static const struct mu_json_field service_fields[] = {
    // clang-format off
    { "Kind",              { NULL }, MU_JSON_AS_TEXT,    AT(kind),    NULL },
    { "ID",                { NULL }, MU_JSON_AS_TEXT,    AT(id),      NULL },
    { "Service",           { NULL }, MU_JSON_AS_TEXT,    AT(name),    NULL },
    { "Tags",              { NULL }, MU_JSON_AS_TEXTS,   AT(tags),    NULL },
    { "Address",           { NULL }, MU_JSON_AS_TEXT,    AT(address), NULL },
    { "TaggedAddresses",   { NULL }, MU_JSON_AS_NAMED,   AT(tagged),  &tagged_shape },
    { "Meta",              { NULL }, MU_JSON_AS_PAIRS,   AT(meta),    NULL },
    { "Port",              { NULL }, MU_JSON_AS_INT,     AT(port),    NULL },
    { "Weights",           { NULL }, MU_JSON_AS_OBJECT,  0,           &weights_shape },
    { "EnableTagOverride", { NULL }, MU_JSON_AS_BOOL,    AT(enable_tag_override), NULL },
    { "Proxy",             { NULL }, MU_JSON_AS_VALUE,   AT(proxy),   NULL },
    { "Connect",           { NULL }, MU_JSON_AS_VALUE,   AT(connect), NULL },
    { "SocketPath",        { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "Locality",          { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "PeerName",          { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "Namespace",         { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "Partition",         { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "Datacenter",        { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "ContentHash",       { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "CreateIndex",       { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "ModifyIndex",       { NULL }, MU_JSON_AS_UINT,    AT(modify_index), NULL },
}; // clang-format on

const struct mu_json_shape registration_service_shape = {
    .fields = service_fields,
    .fields_count = MU_LEN(service_fields),
    .bytes = sizeof(struct register_service),
    .has_given = true,
    .given_offset = AT(given),
};
#undef AT

#define AT(member) offsetof(struct register_check, member)
static const struct mu_json_field check_fields[] = {
    // clang-format off
    { "Node",        { NULL }, MU_JSON_AS_TEXT,    AT(node),       NULL },
    { "CheckID",     { NULL }, MU_JSON_AS_TEXT,    AT(id),         NULL },
    { "Name",        { NULL }, MU_JSON_AS_TEXT,    AT(name),       NULL },
    { "Status",      { NULL }, MU_JSON_AS_TEXT,    AT(status),     NULL },
    { "Notes",       { NULL }, MU_JSON_AS_TEXT,    AT(notes),      NULL },
    { "Output",      { NULL }, MU_JSON_AS_TEXT,    AT(output),     NULL },
    { "ServiceID",   { NULL }, MU_JSON_AS_TEXT,    AT(service_id), NULL },
    { "Type",        { NULL }, MU_JSON_AS_TEXT,    AT(type),       NULL },
    { "Definition",  { NULL }, MU_JSON_AS_VALUE,   AT(definition), NULL },
    { "ServiceName", { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "ServiceTags", { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Interval",    { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Timeout",     { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "ExposedPort", { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "PeerName",    { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Namespace",   { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Partition",   { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "CreateIndex", { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "ModifyIndex", { NULL }, MU_JSON_AS_UINT,    AT(modify_index), NULL },
}; // clang-format on
#undef AT

const struct mu_json_shape registration_check_shape = {
    .fields = check_fields,
    .fields_count = MU_LEN(check_fields),
    .bytes = sizeof(struct register_check),
};

/* -- a check's definition ---------------------------------------------------------------------- */

struct raw_definition {
    int64_t interval_ns, timeout_ns, deregister_ns, ttl_ns;
    struct mu_span http, method, body, tcp, grpc, alias_node, alias_service, docker, shell;
    struct mu_span h2ping, udp, os_service, tls_server_name;
    struct mu_multi header;
    struct mu_texts script_args;
    bool tls_skip_verify, grpc_use_tls, h2ping_use_tls, tcp_use_tls, disable_redirects;
};

#define AT(member) offsetof(struct raw_definition, member)
/* In the order in which they are shown. Unknown members are ignored (http-api 1.13). */
static const struct mu_json_field definition_fields[] = {
    // clang-format off
    { "Interval",          { NULL },                   MU_JSON_AS_DURATION, AT(interval_ns),     NULL },
    { "Timeout",           { NULL },                   MU_JSON_AS_DURATION, AT(timeout_ns),      NULL },
    { "DeregisterCriticalServiceAfter", { NULL },      MU_JSON_AS_DURATION, AT(deregister_ns),   NULL },
    { "HTTP",              { NULL },                   MU_JSON_AS_TEXT,     AT(http),            NULL },
    { "Header",            { NULL },                   MU_JSON_AS_MULTI,    AT(header),          NULL },
    { "Method",            { NULL },                   MU_JSON_AS_TEXT,     AT(method),          NULL },
    { "Body",              { NULL },                   MU_JSON_AS_TEXT,     AT(body),            NULL },
    { "DisableRedirects",  { NULL },                   MU_JSON_AS_BOOL,     AT(disable_redirects), NULL },
    { "TLSSkipVerify",     { NULL },                   MU_JSON_AS_BOOL,     AT(tls_skip_verify), NULL },
    { "TLSServerName",     { NULL },                   MU_JSON_AS_TEXT,     AT(tls_server_name), NULL },
    { "TCP",               { NULL },                   MU_JSON_AS_TEXT,     AT(tcp),             NULL },
    { "TCPUseTLS",         { NULL },                   MU_JSON_AS_BOOL,     AT(tcp_use_tls),     NULL },
    { "UDP",               { NULL },                   MU_JSON_AS_TEXT,     AT(udp),             NULL },
    { "TTL",               { NULL },                   MU_JSON_AS_DURATION, AT(ttl_ns),          NULL },
    { "GRPC",              { NULL },                   MU_JSON_AS_TEXT,     AT(grpc),            NULL },
    { "GRPCUseTLS",        { NULL },                   MU_JSON_AS_BOOL,     AT(grpc_use_tls),    NULL },
    { "H2PING",            { NULL },                   MU_JSON_AS_TEXT,     AT(h2ping),          NULL },
    { "H2PingUseTLS",      { NULL },                   MU_JSON_AS_BOOL,     AT(h2ping_use_tls),  NULL },
    { "OSService",         { NULL },                   MU_JSON_AS_TEXT,     AT(os_service),      NULL },
    { "AliasNode",         { NULL },                   MU_JSON_AS_TEXT,     AT(alias_node),      NULL },
    { "AliasService",      { NULL },                   MU_JSON_AS_TEXT,     AT(alias_service),   NULL },
    { "ScriptArgs",        { NULL },                   MU_JSON_AS_TEXTS,    AT(script_args),     NULL },
    { "DockerContainerID", { NULL },                   MU_JSON_AS_TEXT,     AT(docker),          NULL },
    { "Shell",             { NULL },                   MU_JSON_AS_TEXT,     AT(shell),           NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape definition_shape = {
    .fields = definition_fields,
    .fields_count = MU_LEN(definition_fields),
    .bytes = sizeof(struct raw_definition),
    .is_loose = true,
};

static void put_texts(struct mu_json_out *o, const struct mu_texts *t)
{
    mu_json_open(o, '[');
    for (size_t i = 0; i < t->count; i++) {
        mu_json_put_span(o, t->items[i]);
    }
    mu_json_close(o, ']');
}

static void put_multi(struct mu_json_out *o, const struct mu_multi *m)
{
    mu_json_open(o, '{');
    for (size_t i = 0; i < m->count; i++) {
        mu_json_key_span(o, m->items[i].key);
        put_texts(o, &m->items[i].values);
    }
    mu_json_close(o, '}');
}

/* Durations are shown as text, but for TTL, which the reference shows as a number. */
static void put_duration(struct mu_json_out *o, const struct mu_json_field *f, int64_t ns)
{
    char text[MU_DURATION_TEXT_MAX];

    if (f->offset == offsetof(struct raw_definition, ttl_ns)) {
        mu_json_put_i64(o, ns);
        return;
    }
    mu_duration_text(ns, text);
    mu_json_put_text(o, text);
}

/* One member, left out when it is zero. */
static void put_member(struct mu_json_out *o, const struct mu_json_field *f,
                       const struct raw_definition *d)
{
    const void *at = (const char *)d + f->offset;

    if (f->as == MU_JSON_AS_TEXT && ((const struct mu_span *)at)->bytes > 0) {
        mu_json_span(o, f->name, *(const struct mu_span *)at);
    } else if (f->as == MU_JSON_AS_BOOL && *(const bool *)at) {
        mu_json_boolean(o, f->name, true);
    } else if (f->as == MU_JSON_AS_DURATION && *(const int64_t *)at != 0) {
        mu_json_key(o, f->name);
        put_duration(o, f, *(const int64_t *)at);
    } else if (f->as == MU_JSON_AS_TEXTS && ((const struct mu_texts *)at)->count > 0) {
        mu_json_key(o, f->name);
        put_texts(o, at);
    } else if (f->as == MU_JSON_AS_MULTI && ((const struct mu_multi *)at)->count > 0) {
        mu_json_key(o, f->name);
        put_multi(o, at);
    }
}

/* Echoed in normal form; also decides the type of a check that names none. */
static enum mu_code read_definition(struct request *r, const struct mu_json *json,
                                    struct command_check *c, struct mu_err *err)
{
    struct raw_definition d = { 0 };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;
    enum mu_code rc = mu_json_decode(json, &definition_shape, &d, &r->arena, err);

    if (rc != MU_OK) {
        return rc;
    }
    mu_json_out_init(&o, &text, false);
    mu_json_open(&o, '{');
    for (size_t i = 0; i < MU_LEN(definition_fields); i++) {
        put_member(&o, &definition_fields[i], &d);
    }
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    if (text.bytes > 2) { /* an empty one is stored as none */
        c->definition = mu_arena_span(&r->arena, mu_buf_span(&text));
    }
    mu_buf_deinit(&text);
    if (c->type.bytes == 0) {
        c->type = d.http.bytes > 0  ? MU_SPAN_LIT("http")
                  : d.tcp.bytes > 0 ? MU_SPAN_LIT("tcp")
                  : d.ttl_ns != 0   ? MU_SPAN_LIT("ttl")
                                    : MU_SPAN_NONE;
    }
    return MU_OK;
}

/* -- body to command --------------------------------------------------------------------------- */

static int pair_order(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

struct mu_pairs registration_pairs(struct mu_pairs pairs)
{
    if (pairs.count > 1) {
        qsort(pairs.items, pairs.count, sizeof *pairs.items, pair_order);
    }
    return pairs;
}

static int tagged_order(const void *a, const void *b)
{
    return mu_span_cmp(((const struct command_service_address *)a)->name,
                       ((const struct command_service_address *)b)->name);
}

static enum mu_code read_tagged(struct request *r, const struct mu_objects *given,
                                struct command_service *s, struct mu_err *err)
{
    const struct register_tagged *items = given->items;

    s->tagged_addresses = mu_arena_array(&r->arena, given->count, sizeof *s->tagged_addresses);
    s->tagged_addresses_count = given->count;
    for (size_t i = 0; i < given->count; i++) {
        if (items[i].port < 0 || items[i].port > UINT16_MAX) {
            return mu_fail(err, MU_INVALID,
                           "tagged address \"%.*s\": port %lld is outside 0..65535",
                           MU_SPAN_FMT(items[i].name), (long long)items[i].port);
        }
        s->tagged_addresses[i] = (struct command_service_address){
            .name = items[i].name, .address = items[i].address, .port = (uint16_t)items[i].port
        };
    }
    if (given->count > 1) {
        qsort(s->tagged_addresses, given->count, sizeof *s->tagged_addresses, tagged_order);
    }
    return MU_OK;
}

static struct mu_span compact(struct request *r, const struct mu_json *json)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_span copy;

    if (json == NULL || mu_json_kind_of(json) != MU_JSON_OBJECT || mu_json_count(json) == 0) {
        return MU_SPAN_NONE;
    }
    mu_json_compact(json, &text);
    copy = mu_arena_span(&r->arena, mu_buf_span(&text));
    mu_buf_deinit(&text);
    return copy;
}

enum mu_code registration_service_read(struct request *r, const struct register_service *given,
                                       struct command_service *s, struct mu_err *err)
{
    struct mu_addr address;
    bool has_weights = given->weight_passing >= 1 && given->weight_warning >= 0;

    if (given->name.bytes == 0) {
        return given->id.bytes > 0 ? mu_fail(err, MU_INVALID, "Must provide service name with ID")
                                   : mu_fail(err, MU_INVALID, "Must provide service name");
    }
    if (mu_addr_parse_ip(given->address, &address) && mu_addr_is_any(&address)) {
        return mu_fail(err, MU_INVALID, "Invalid service address");
    }
    if (given->port < 0 || given->port > UINT16_MAX) {
        return mu_fail(err, MU_INVALID, "service \"%.*s\": port %lld is outside 0..65535",
                       MU_SPAN_FMT(given->name), (long long)given->port);
    }
    s->id = given->id.bytes > 0 ? given->id : given->name;
    s->name = given->name;
    s->kind = given->kind;
    s->tags = given->tags;
    s->address = given->address;
    s->port = (uint16_t)given->port;
    s->meta = registration_pairs(given->meta);
    s->has_meta = (given->given >> SERVICE_META & 1) != 0;
    s->weight_passing = has_weights ? (uint32_t)given->weight_passing : 1;
    s->weight_warning = has_weights ? (uint32_t)given->weight_warning : 1;
    s->enable_tag_override = given->enable_tag_override;
    s->proxy = compact(r, given->proxy);
    s->connect = compact(r, given->connect);
    return read_tagged(r, &given->tagged, s, err);
}

enum mu_code registration_check_read(struct request *r, const struct register_check *given,
                                     struct command_check *c, struct mu_err *err)
{
    c->id = given->id.bytes > 0 ? given->id : given->name;
    c->name = given->name;
    c->status = given->status.bytes > 0 ? given->status : MU_SPAN_LIT("critical");
    c->notes = given->notes;
    c->output = given->output;
    c->service_id = given->service_id;
    c->type = given->type;
    if (given->definition == NULL) {
        return MU_OK;
    }
    return read_definition(r, given->definition, c, err);
}
