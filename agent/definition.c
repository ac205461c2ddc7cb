/* Definitions of services and checks: one table of members each, walked four ways.
 *
 * Decoding is mu_json_decode() over the table, then `finish`, which folds what JSON says in more
 * than one way (CheckID and ID, Check and Checks) and fills defaults. Writing and copying walk the
 * same table, so a member that is added there is also persisted and survives its request.
 *
 * What is decoded lies in a raw struct that begins with the definition: rows whose offset lies
 * inside the definition are its own, the others are taken up by `finish`.
 */
#include "agent/definition.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"

/* -- the members of a check -------------------------------------------------------------------- */

struct raw_check {
    struct check_definition d;
    struct mu_span check_id; /* CheckID; ID lies in d.id and gives way to it */
};

#define AT(member) offsetof(struct check_definition, member)

static const struct mu_json_field check_fields[] = {
    // clang-format off
    { "ID",                     { NULL },                       MU_JSON_AS_TEXT,  AT(id),   NULL },
    { "CheckID",                { "check_id" },                 MU_JSON_AS_TEXT,  offsetof(struct raw_check, check_id), NULL },
    { "Name",                   { NULL },                       MU_JSON_AS_TEXT,  AT(name), NULL },
    { "Notes",                  { NULL },                       MU_JSON_AS_TEXT,  AT(notes), NULL },
    { "Status",                 { NULL },                       MU_JSON_AS_TEXT,  AT(status), NULL },
    { "ServiceID",              { "service_id" },               MU_JSON_AS_TEXT,  AT(service_id), NULL },
    { "Token",                  { NULL },                       MU_JSON_AS_TEXT,  AT(token), NULL },
    { "Interval",               { NULL },                       MU_JSON_AS_DURATION, AT(interval_ns), NULL },
    { "Timeout",                { NULL },                       MU_JSON_AS_DURATION, AT(timeout_ns), NULL },
    { "TTL",                    { NULL },                       MU_JSON_AS_DURATION, AT(ttl_ns), NULL },
    { "HTTP",                   { NULL },                       MU_JSON_AS_TEXT,  AT(http), NULL },
    { "Method",                 { NULL },                       MU_JSON_AS_TEXT,  AT(method), NULL },
    { "Header",                 { NULL },                       MU_JSON_AS_MULTI, AT(header), NULL },
    { "Body",                   { NULL },                       MU_JSON_AS_TEXT,  AT(body), NULL },
    { "DisableRedirects",       { "disable_redirects" },        MU_JSON_AS_BOOL,  AT(disable_redirects), NULL },
    { "TLSSkipVerify",          { "tls_skip_verify" },          MU_JSON_AS_BOOL,  AT(tls_skip_verify), NULL },
    { "TLSServerName",          { "tls_server_name" },          MU_JSON_AS_TEXT,  AT(tls_server_name), NULL },
    { "TCP",                    { NULL },                       MU_JSON_AS_TEXT,  AT(tcp), NULL },
    { "TCPUseTLS",              { "tcp_use_tls" },              MU_JSON_AS_BOOL,  AT(tcp_use_tls), NULL },
    { "ScriptArgs",             { "script_args", "args" },      MU_JSON_AS_TEXTS, AT(script_args), NULL },
    { "Shell",                  { NULL },                       MU_JSON_AS_TEXT,  AT(shell), NULL },
    { "DockerContainerID",      { "docker_container_id" },      MU_JSON_AS_TEXT,  AT(docker), NULL },
    { "GRPC",                   { NULL },                       MU_JSON_AS_TEXT,  AT(grpc), NULL },
    { "GRPCUseTLS",             { "grpc_use_tls" },             MU_JSON_AS_BOOL,  AT(grpc_use_tls), NULL },
    { "AliasNode",              { "alias_node" },               MU_JSON_AS_TEXT,  AT(alias_node), NULL },
    { "AliasService",           { "alias_service" },            MU_JSON_AS_TEXT,  AT(alias_service), NULL },
    { "H2PING",                 { "h2_ping" },                  MU_JSON_AS_TEXT,  AT(h2ping), NULL },
    { "H2PingUseTLS",           { "h2ping_use_tls", "h2_ping_use_tls" }, MU_JSON_AS_BOOL, AT(h2ping_use_tls), NULL },
    { "UDP",                    { NULL },                       MU_JSON_AS_TEXT,  AT(udp), NULL },
    { "OSService",              { "os_service" },               MU_JSON_AS_TEXT,  AT(os_service), NULL },
    { "SuccessBeforePassing",   { "success_before_passing" },   MU_JSON_AS_INT,   AT(success_before_passing), NULL },
    { "FailuresBeforeWarning",  { "failures_before_warning" },  MU_JSON_AS_INT,   AT(failures_before_warning), NULL },
    { "FailuresBeforeCritical", { "failures_before_critical" }, MU_JSON_AS_INT,   AT(failures_before_critical), NULL },
    { "DeregisterCriticalServiceAfter", { "deregister_critical_service_after" }, MU_JSON_AS_DURATION, AT(deregister_after_ns), NULL },
    { "OutputMaxSize",          { "output_max_size" },          MU_JSON_AS_INT,   AT(output_max_size), NULL },
    { "Namespace",              { NULL },                       MU_JSON_AS_TEXT,  AT(ns), NULL },
    { "Partition",              { NULL },                       MU_JSON_AS_TEXT,  AT(partition), NULL },
    { "ExposedPort",            { "exposed_port" },             MU_JSON_AS_NOTHING, 0, NULL },
}; // clang-format on

#undef AT

const struct mu_json_shape check_definition_shape = {
    .fields = check_fields,
    .fields_count = MU_LEN(check_fields),
    .bytes = sizeof(struct raw_check),
    .has_given = true,
    .given_offset = offsetof(struct check_definition, given),
};

/* -- the members of a service ------------------------------------------------------------------ */

struct raw_service {
    struct service_definition d;
    struct raw_check check;   /* Check */
    struct mu_objects checks; /* Checks: struct raw_check */
    struct mu_objects tagged; /* struct service_tagged_definition */
    const struct mu_json *proxy, *connect;
    uint64_t given;
};

_Static_assert(offsetof(struct service_tagged_definition, name) == 0,
               "MU_JSON_AS_NAMED puts the member's name first");

static const struct mu_json_field weights_fields[] = {
    // clang-format off
    { "Passing", { NULL }, MU_JSON_AS_INT, offsetof(struct service_definition, weight_passing), NULL },
    { "Warning", { NULL }, MU_JSON_AS_INT, offsetof(struct service_definition, weight_warning), NULL },
}; // clang-format on

static const struct mu_json_shape weights_shape = {
    .fields = weights_fields,
    .fields_count = MU_LEN(weights_fields),
    .bytes = sizeof(struct service_definition),
};

static const struct mu_json_field tagged_fields[] = {
    // clang-format off
    { "Address", { NULL }, MU_JSON_AS_TEXT, offsetof(struct service_tagged_definition, address), NULL },
    { "Port",    { NULL }, MU_JSON_AS_INT,  offsetof(struct service_tagged_definition, port), NULL },
}; // clang-format on

static const struct mu_json_shape tagged_shape = {
    .fields = tagged_fields,
    .fields_count = MU_LEN(tagged_fields),
    .bytes = sizeof(struct service_tagged_definition),
};

#define AT(member)  offsetof(struct service_definition, member)
#define RAW(member) offsetof(struct raw_service, member)

enum { FIELD_CHECK, FIELD_WEIGHTS, FIELD_META }; /* the rows whose presence matters come first */

static const struct mu_json_field service_fields[] = {
    // clang-format off
    [FIELD_CHECK] =   { "Check",   { NULL }, MU_JSON_AS_OBJECT, RAW(check), &check_definition_shape },
    [FIELD_WEIGHTS] = { "Weights", { NULL }, MU_JSON_AS_OBJECT, RAW(d),     &weights_shape },
    [FIELD_META] =    { "Meta",    { NULL }, MU_JSON_AS_PAIRS,  AT(meta),   NULL },
    { "ID",                { NULL },                  MU_JSON_AS_TEXT,    AT(id),       NULL },
    { "Name",              { NULL },                  MU_JSON_AS_TEXT,    AT(name),     NULL },
    { "Kind",              { NULL },                  MU_JSON_AS_TEXT,    AT(kind),     NULL },
    { "Tags",              { NULL },                  MU_JSON_AS_TEXTS,   AT(tags),     NULL },
    { "Address",           { NULL },                  MU_JSON_AS_TEXT,    AT(address),  NULL },
    { "Port",              { NULL },                  MU_JSON_AS_INT,     AT(port),     NULL },
    { "TaggedAddresses",   { "tagged_addresses" },    MU_JSON_AS_NAMED,   RAW(tagged),  &tagged_shape },
    { "EnableTagOverride", { "enable_tag_override" }, MU_JSON_AS_BOOL,    AT(enable_tag_override), NULL },
    { "Checks",            { NULL },                  MU_JSON_AS_OBJECTS, RAW(checks),  &check_definition_shape },
    { "Token",             { NULL },                  MU_JSON_AS_TEXT,    AT(token),    NULL },
    { "Proxy",             { NULL },                  MU_JSON_AS_VALUE,   RAW(proxy),   NULL },
    { "Connect",           { NULL },                  MU_JSON_AS_VALUE,   RAW(connect), NULL },
    { "Namespace",         { NULL },                  MU_JSON_AS_TEXT,    AT(ns),       NULL },
    { "Partition",         { NULL },                  MU_JSON_AS_TEXT,    AT(partition), NULL },
    { "SocketPath",        { "socket_path" },         MU_JSON_AS_NOTHING, 0,            NULL },
    { "Locality",          { NULL },                  MU_JSON_AS_NOTHING, 0,            NULL },
}; // clang-format on

#undef AT
#undef RAW

const struct mu_json_shape service_definition_shape = {
    .fields = service_fields,
    .fields_count = MU_LEN(service_fields),
    .bytes = sizeof(struct raw_service),
    .has_given = true,
    .given_offset = offsetof(struct raw_service, given),
};

/* -- what every walk over a table needs to know of a row --------------------------------------- */

/* Does it hold anything but nothing? What is not a plain member is left to the caller. */
static bool is_set(const struct mu_json_field *f, const void *base)
{
    const void *at = (const uint8_t *)base + f->offset;

    switch (f->as) {
    case MU_JSON_AS_TEXT: return ((const struct mu_span *)at)->bytes > 0;
    case MU_JSON_AS_BOOL: return *(const bool *)at;
    case MU_JSON_AS_INT:
    case MU_JSON_AS_UINT:
    case MU_JSON_AS_DURATION: return *(const int64_t *)at != 0;
    case MU_JSON_AS_TEXTS: return ((const struct mu_texts *)at)->count > 0;
    case MU_JSON_AS_PAIRS: return ((const struct mu_pairs *)at)->count > 0;
    case MU_JSON_AS_MULTI: return ((const struct mu_multi *)at)->count > 0;
    case MU_JSON_AS_OBJECT:
    case MU_JSON_AS_OBJECTS:
    case MU_JSON_AS_NAMED:
    case MU_JSON_AS_VALUE:
    case MU_JSON_AS_NOTHING: return false;
    }
    MU_UNREACHABLE_CODE();
}

/* -- decoding ---------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return mu_span_cmp(((const struct service_tagged_definition *)a)->name,
                       ((const struct service_tagged_definition *)b)->name);
}

static struct check_definition check_finished(const struct raw_check *raw)
{
    struct check_definition d = raw->d;

    if (raw->check_id.bytes > 0) {
        d.id = raw->check_id;
    }
    return d;
}

/* `Check: {}` is what clients send when they mean none. */
static bool is_empty(const struct raw_check *raw)
{
    for (size_t i = 0; i < MU_LEN(check_fields); i++) {
        if (is_set(&check_fields[i], raw)) {
            return false;
        }
    }
    return true;
}

enum mu_code check_definition_decode(const struct mu_json *object, struct check_definition *out,
                                     struct mu_arena *arena, struct mu_err *err)
{
    struct raw_check raw = { .check_id = MU_SPAN_NONE };
    enum mu_code rc = mu_json_decode(object, &check_definition_shape, &raw, arena, err);

    *out = check_finished(&raw);
    if (out->id.bytes == 0) {
        out->id = out->name;
    }
    return rc;
}

/* Check first, then Checks, without those that say nothing. */
static void take_checks(const struct raw_service *raw, struct service_definition *out,
                        struct mu_arena *arena)
{
    const struct raw_check *items = raw->checks.items;

    out->checks = mu_arena_array(arena, raw->checks.count + 1, sizeof *out->checks);
    out->checks_count = 0;
    if ((raw->given & (1ULL << FIELD_CHECK)) != 0 && !is_empty(&raw->check)) {
        out->checks[out->checks_count++] = check_finished(&raw->check);
    }
    for (size_t i = 0; i < raw->checks.count; i++) {
        if (!is_empty(&items[i])) {
            out->checks[out->checks_count++] = check_finished(&items[i]);
        }
    }
}

/* A check of a service is known by it, unless it has an id and a name of its own. */
static void name_checks(struct service_definition *out, struct mu_arena *arena)
{
    bool is_alone = out->checks_count == 1;

    for (size_t i = 0; i < out->checks_count; i++) {
        struct check_definition *c = &out->checks[i];

        if (c->id.bytes == 0 && is_alone) {
            c->id = mu_span_text(mu_arena_printf(arena, "service:%.*s", MU_SPAN_FMT(out->id)));
        } else if (c->id.bytes == 0) {
            c->id = mu_span_text(
                mu_arena_printf(arena, "service:%.*s:%zu", MU_SPAN_FMT(out->id), i + 1));
        }
        if (c->name.bytes == 0) {
            c->name = mu_span_text(
                mu_arena_printf(arena, "Service '%.*s' check", MU_SPAN_FMT(out->name)));
        }
    }
}

static void tagged_default(struct service_definition *out, const char *name)
{
    for (size_t i = 0; i < out->tagged_addresses_count; i++) {
        if (mu_span_eq_text(out->tagged_addresses[i].name, name)) {
            return;
        }
    }
    out->tagged_addresses[out->tagged_addresses_count++] = (struct service_tagged_definition){
        .name = mu_span_text(name), .address = out->address, .port = out->port
    };
}

/* The given ones, and those that a literal address implies (http-api 3.3). */
static void take_tagged(const struct raw_service *raw, struct service_definition *out,
                        struct mu_arena *arena)
{
    struct mu_addr literal;

    out->tagged_addresses_count = raw->tagged.count;
    out->tagged_addresses =
        mu_arena_array(arena, raw->tagged.count + 2, sizeof *out->tagged_addresses);
    if (raw->tagged.count > 0) {
        memcpy(out->tagged_addresses, raw->tagged.items,
               raw->tagged.count * sizeof *out->tagged_addresses);
    }
    if (mu_addr_parse_ip(out->address, &literal)) {
        tagged_default(out, literal.ip_bytes == 4 ? "lan_ipv4" : "lan_ipv6");
        tagged_default(out, literal.ip_bytes == 4 ? "wan_ipv4" : "wan_ipv6");
    }
    if (out->tagged_addresses_count > 0) {
        qsort(out->tagged_addresses, out->tagged_addresses_count, sizeof *out->tagged_addresses,
              by_name);
    }
}

/* Proxy and Connect are kept as they came: only the catalog's readers look into them. */
static enum mu_code take_object(const struct mu_json *v, const char *name, struct mu_span *out,
                                struct mu_arena *arena, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;

    if (v == NULL) {
        return MU_OK;
    }
    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return mu_fail(err, MU_INVALID,
                       "json: cannot unmarshal %s into Go struct field .%s of type struct",
                       mu_json_kind_text(mu_json_kind_of(v)), name);
    }
    if (mu_json_count(v) > 0) {
        mu_json_compact(v, &text);
        *out = mu_arena_span(arena, mu_buf_span(&text));
    }
    mu_buf_deinit(&text);
    return MU_OK;
}

/* A sidecar is a second service with checks of its own. Whoever asks for one waits for it, so
 * that dropping it silently would be the worst answer. */
static enum mu_code refuse_sidecar(const struct mu_json *connect, struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (connect == NULL || mu_json_kind_of(connect) != MU_JSON_OBJECT) {
        return MU_OK;
    }
    while (mu_json_next(connect, &at)) {
        struct mu_span name = mu_span_text(at.name);

        if (mu_json_kind_of(at.value) != MU_JSON_NULL &&
            (mu_span_eq_fold(name, MU_SPAN_LIT("SidecarService")) ||
             mu_span_eq_fold(name, MU_SPAN_LIT("sidecar_service")))) {
            return mu_fail(err, MU_INVALID, "Connect.SidecarService is not supported yet");
        }
    }
    return MU_OK;
}

enum mu_code service_definition_decode(const struct mu_json *object, struct service_definition *out,
                                       struct mu_arena *arena, struct mu_err *err)
{
    struct raw_service raw = { .d = { .weight_passing = out->weight_passing,
                                      .weight_warning = out->weight_warning } };
    enum mu_code rc = mu_json_decode(object, &service_definition_shape, &raw, arena, err);

    if (rc != MU_OK) {
        return rc;
    }
    *out = raw.d;
    out->has_meta = (raw.given & (1ULL << FIELD_META)) != 0;
    out->has_weights = (raw.given & (1ULL << FIELD_WEIGHTS)) != 0;
    if (!out->has_weights) {
        out->weight_passing = out->weight_warning = 1;
    }
    if (out->id.bytes == 0) {
        out->id = out->name;
    }
    if (out->meta.count > 0) {
        qsort(out->meta.items, out->meta.count, sizeof *out->meta.items, by_key);
    }
    take_checks(&raw, out, arena);
    name_checks(out, arena);
    take_tagged(&raw, out, arena);
    rc = take_object(raw.proxy, "Proxy", &out->proxy, arena, err);
    if (rc != MU_OK) {
        return rc;
    }
    rc = refuse_sidecar(raw.connect, err);
    if (rc != MU_OK) {
        return rc;
    }
    return take_object(raw.connect, "Connect", &out->connect, arena, err);
}

enum mu_code service_definition_read(const struct mu_json *object, struct service_definition *out,
                                     struct mu_arena *arena, struct mu_err *err)
{
    *out = (struct service_definition){ .has_meta = false };
    enum mu_code rc = service_definition_decode(object, out, arena, err);

    return rc == MU_OK ? service_definition_valid(out, err) : rc;
}

enum mu_code check_definition_read(const struct mu_json *object, struct check_definition *out,
                                   struct mu_arena *arena, struct mu_err *err)
{
    enum mu_code rc = check_definition_decode(object, out, arena, err);

    return rc == MU_OK ? check_definition_valid_alone(out, err) : rc;
}

/* -- copying ----------------------------------------------------------------------------------- */

static struct mu_texts copy_texts(const struct mu_texts *from, struct mu_arena *arena)
{
    struct mu_texts to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i] = mu_arena_span(arena, from->items[i]);
    }
    return to;
}

static struct mu_pairs copy_pairs(const struct mu_pairs *from, struct mu_arena *arena)
{
    struct mu_pairs to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i].key = mu_arena_span(arena, from->items[i].key);
        to.items[i].value = mu_arena_span(arena, from->items[i].value);
    }
    return to;
}

static struct mu_multi copy_multi(const struct mu_multi *from, struct mu_arena *arena)
{
    struct mu_multi to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i].key = mu_arena_span(arena, from->items[i].key);
        to.items[i].values = copy_texts(&from->items[i].values, arena);
    }
    return to;
}

/* Replace what one member points to; numbers and flags were copied with the struct. */
static void copy_member(const struct mu_json_field *f, void *base, struct mu_arena *arena)
{
    void *at = (uint8_t *)base + f->offset;

    switch (f->as) {
    case MU_JSON_AS_TEXT:
        *(struct mu_span *)at = mu_arena_span(arena, *(struct mu_span *)at);
        break;
    case MU_JSON_AS_TEXTS: *(struct mu_texts *)at = copy_texts(at, arena); break;
    case MU_JSON_AS_PAIRS: *(struct mu_pairs *)at = copy_pairs(at, arena); break;
    case MU_JSON_AS_MULTI: *(struct mu_multi *)at = copy_multi(at, arena); break;
    case MU_JSON_AS_BOOL:
    case MU_JSON_AS_INT:
    case MU_JSON_AS_UINT:
    case MU_JSON_AS_DURATION:
    case MU_JSON_AS_OBJECT:
    case MU_JSON_AS_OBJECTS:
    case MU_JSON_AS_NAMED:
    case MU_JSON_AS_VALUE:
    case MU_JSON_AS_NOTHING: break;
    }
}

static void copy_members(const struct mu_json_shape *shape, void *base, size_t bytes,
                         struct mu_arena *arena)
{
    for (size_t i = 0; i < shape->fields_count; i++) {
        if (shape->fields[i].offset < bytes) {
            copy_member(&shape->fields[i], base, arena);
        }
    }
}

void check_definition_copy(struct check_definition *to, const struct check_definition *from,
                           struct mu_arena *arena)
{
    *to = *from;
    copy_members(&check_definition_shape, to, sizeof *to, arena);
}

void service_definition_copy(struct service_definition *to, const struct service_definition *from,
                             struct mu_arena *arena)
{
    *to = *from;
    copy_members(&service_definition_shape, to, sizeof *to, arena);
    to->proxy = mu_arena_span(arena, from->proxy);
    to->connect = mu_arena_span(arena, from->connect);
    to->checks = mu_arena_array(arena, from->checks_count, sizeof *to->checks);
    for (size_t i = 0; i < from->checks_count; i++) {
        check_definition_copy(&to->checks[i], &from->checks[i], arena);
    }
    to->tagged_addresses =
        mu_arena_array(arena, from->tagged_addresses_count, sizeof *to->tagged_addresses);
    for (size_t i = 0; i < from->tagged_addresses_count; i++) {
        const struct service_tagged_definition *tagged = &from->tagged_addresses[i];

        to->tagged_addresses[i] = (struct service_tagged_definition){
            .name = mu_arena_span(arena, tagged->name),
            .address = mu_arena_span(arena, tagged->address),
            .port = tagged->port,
        };
    }
}

/* -- writing ----------------------------------------------------------------------------------- */

static void put_texts(struct mu_json_out *o, const struct mu_texts *texts)
{
    mu_json_open(o, '[');
    for (size_t i = 0; i < texts->count; i++) {
        mu_json_put_span(o, texts->items[i]);
    }
    mu_json_close(o, ']');
}

static void put_pairs(struct mu_json_out *o, const struct mu_pairs *pairs)
{
    mu_json_open(o, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        mu_json_key_span(o, pairs->items[i].key);
        mu_json_put_span(o, pairs->items[i].value);
    }
    mu_json_close(o, '}');
}

static void put_multi(struct mu_json_out *o, const struct mu_multi *multi)
{
    mu_json_open(o, '{');
    for (size_t i = 0; i < multi->count; i++) {
        mu_json_key_span(o, multi->items[i].key);
        put_texts(o, &multi->items[i].values);
    }
    mu_json_close(o, '}');
}

static void put_duration(struct mu_json_out *o, int64_t ns)
{
    char text[MU_DURATION_TEXT_MAX];

    mu_duration_text(ns, text);
    mu_json_put_text(o, text);
}

static void put_member(struct mu_json_out *o, const struct mu_json_field *f, const void *base)
{
    const void *at = (const uint8_t *)base + f->offset;

    mu_json_key(o, f->name);
    switch (f->as) {
    case MU_JSON_AS_TEXT: mu_json_put_span(o, *(const struct mu_span *)at); return;
    case MU_JSON_AS_BOOL: mu_json_put_bool(o, *(const bool *)at); return;
    case MU_JSON_AS_INT: mu_json_put_i64(o, *(const int64_t *)at); return;
    case MU_JSON_AS_UINT: mu_json_put_u64(o, *(const uint64_t *)at); return;
    case MU_JSON_AS_DURATION: put_duration(o, *(const int64_t *)at); return;
    case MU_JSON_AS_TEXTS: put_texts(o, at); return;
    case MU_JSON_AS_PAIRS: put_pairs(o, at); return;
    case MU_JSON_AS_MULTI: put_multi(o, at); return;
    case MU_JSON_AS_OBJECT:
    case MU_JSON_AS_OBJECTS:
    case MU_JSON_AS_NAMED:
    case MU_JSON_AS_VALUE:
    case MU_JSON_AS_NOTHING: break;
    }
    MU_UNREACHABLE_CODE();
}

static void put_members(struct mu_json_out *o, const struct mu_json_shape *shape, const void *base,
                        size_t bytes)
{
    for (size_t i = 0; i < shape->fields_count; i++) {
        if (shape->fields[i].offset < bytes && is_set(&shape->fields[i], base)) {
            put_member(o, &shape->fields[i], base);
        }
    }
}

void check_definition_write(struct mu_json_out *o, const struct check_definition *d)
{
    mu_json_open(o, '{');
    put_members(o, &check_definition_shape, d, sizeof *d);
    mu_json_close(o, '}');
}

static void put_tagged(struct mu_json_out *o, const struct service_definition *d)
{
    mu_json_key(o, "TaggedAddresses");
    mu_json_open(o, '{');
    for (size_t i = 0; i < d->tagged_addresses_count; i++) {
        mu_json_key_span(o, d->tagged_addresses[i].name);
        mu_json_open(o, '{');
        mu_json_span(o, "Address", d->tagged_addresses[i].address);
        mu_json_i64(o, "Port", d->tagged_addresses[i].port);
        mu_json_close(o, '}');
    }
    mu_json_close(o, '}');
}

static void put_raw(struct mu_json_out *o, const char *name, struct mu_span json)
{
    if (json.bytes > 0) {
        mu_json_key(o, name);
        mu_json_put_raw(o, json);
    }
}

void service_definition_write(struct mu_json_out *o, const struct service_definition *d)
{
    mu_json_open(o, '{');
    put_members(o, &service_definition_shape, d, sizeof *d);
    if (d->has_meta && d->meta.count == 0) {
        mu_json_key(o, "Meta");
        put_pairs(o, &d->meta);
    }
    if (d->has_weights) {
        mu_json_key(o, "Weights");
        mu_json_open(o, '{');
        mu_json_i64(o, "Passing", d->weight_passing);
        mu_json_i64(o, "Warning", d->weight_warning);
        mu_json_close(o, '}');
    }
    if (d->tagged_addresses_count > 0) {
        put_tagged(o, d);
    }
    if (d->checks_count > 0) {
        mu_json_key(o, "Checks");
        mu_json_open(o, '[');
        for (size_t i = 0; i < d->checks_count; i++) {
            check_definition_write(o, &d->checks[i]);
        }
        mu_json_close(o, ']');
    }
    put_raw(o, "Proxy", d->proxy);
    put_raw(o, "Connect", d->connect);
    mu_json_close(o, '}');
}
