/* Which selectors each kind of object has (http-api 1.12): names as in its JSON. */
#include "agent/local.h"
#include "base/assert.h"
#include "catalog/query.h"
#include "filter_tree.h"

#define KIND(rows)         \
    {                      \
        rows, MU_LEN(rows) \
    }

/* -- proxies: members of stored JSON ----------------------------------------------------------- */

static const struct filter_field mesh_gateway_fields[] = { { .name = "Mode",
                                                             .type = FILTER_JSON_TEXT } };
static const struct filter_kind mesh_gateway = KIND(mesh_gateway_fields);

static const struct filter_field upstream_fields[] = {
    // clang-format off
    { .name = "DestinationType",      .type = FILTER_JSON_TEXT },
    { .name = "DestinationName",      .type = FILTER_JSON_TEXT },
    { .name = "DestinationNamespace", .type = FILTER_JSON_TEXT },
    { .name = "Datacenter",           .type = FILTER_JSON_TEXT },
    { .name = "LocalBindAddress",     .type = FILTER_JSON_TEXT },
    { .name = "LocalBindPort",        .type = FILTER_JSON_INT },
    { .name = "MeshGateway",          .type = FILTER_JSON, .of = &mesh_gateway },
}; // clang-format on
static const struct filter_kind upstream = KIND(upstream_fields);

static const struct filter_field proxy_fields[] = {
    // clang-format off
    { .name = "DestinationServiceName", .type = FILTER_JSON_TEXT },
    { .name = "DestinationServiceID",   .type = FILTER_JSON_TEXT },
    { .name = "LocalServiceAddress",    .type = FILTER_JSON_TEXT },
    { .name = "LocalServicePort",       .type = FILTER_JSON_INT },
    { .name = "MeshGateway",            .type = FILTER_JSON,      .of = &mesh_gateway },
    { .name = "Upstreams",              .type = FILTER_JSON_LIST, .of = &upstream },
}; // clang-format on
static const struct filter_kind proxy = KIND(proxy_fields);

static const struct filter_field connect_fields[] = { { .name = "Native",
                                                        .type = FILTER_JSON_BOOL } };
static const struct filter_kind connect = KIND(connect_fields);

/* -- services of the catalog ------------------------------------------------------------------- */

#define AT(member) offsetof(struct catalog_tagged, member)
static const struct filter_field tagged_fields[] = {
    // clang-format off
    { .name = "Address", .type = FILTER_TEXT, .offset = AT(address) },
    { .name = "Port",    .type = FILTER_U16,  .offset = AT(port) },
}; // clang-format on
static const struct filter_kind tagged = KIND(tagged_fields);
#undef AT

#define AT(member) offsetof(struct catalog_service, member)
static const struct filter_field weights_fields[] = {
    // clang-format off
    { .name = "Passing", .type = FILTER_U32, .offset = AT(weight_passing) },
    { .name = "Warning", .type = FILTER_U32, .offset = AT(weight_warning) },
}; // clang-format on
static const struct filter_kind weights = KIND(weights_fields);

static const struct filter_field node_service_fields[] = {
    // clang-format off
    { .name = "Kind",              .type = FILTER_TEXT,   .offset = AT(kind) },
    { .name = "ID",                .type = FILTER_TEXT,   .offset = AT(id) },
    { .name = "Service",           .type = FILTER_TEXT,   .offset = AT(name) },
    { .name = "Tags",              .type = FILTER_TEXTS,  .offset = AT(tags) },
    { .name = "Meta",              .type = FILTER_PAIRS,  .offset = AT(meta) },
    { .name = "Port",              .type = FILTER_U16,    .offset = AT(port) },
    { .name = "Address",           .type = FILTER_TEXT,   .offset = AT(address) },
    { .name = "TaggedAddresses",   .type = FILTER_NAMED,  .offset = AT(tagged_addresses),
      .count_offset = AT(tagged_addresses_count), .item_bytes = sizeof(struct catalog_tagged), .of = &tagged },
    { .name = "Weights",           .type = FILTER_STRUCT, .of = &weights },
    { .name = "EnableTagOverride", .type = FILTER_BOOL,   .offset = AT(enable_tag_override) },
    { .name = "Proxy",             .type = FILTER_JSON,   .offset = AT(proxy),   .of = &proxy },
    { .name = "Connect",           .type = FILTER_JSON,   .offset = AT(connect), .of = &connect },
}; // clang-format on
const struct filter_kind filter_node_services = KIND(node_service_fields);
#undef AT

_Static_assert(offsetof(struct catalog_tagged, name) == 0, "FILTER_NAMED items begin with a name");

/* -- nodes ------------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct catalog_node, member)
static const struct filter_field node_fields[] = {
    // clang-format off
    { .name = "ID",              .type = FILTER_TEXT,       .offset = AT(id) },
    { .name = "Node",            .type = FILTER_TEXT,       .offset = AT(name) },
    { .name = "Address",         .type = FILTER_TEXT,       .offset = AT(address) },
    { .name = "Datacenter",      .type = FILTER_DATACENTER },
    { .name = "TaggedAddresses", .type = FILTER_PAIRS,      .offset = AT(tagged_addresses) },
    { .name = "Meta",            .type = FILTER_PAIRS,      .offset = AT(meta) },
}; // clang-format on
const struct filter_kind filter_nodes = KIND(node_fields);

#undef AT

/* -- checks ------------------------------------------------------------------------------------ */

#define AT(member) offsetof(struct catalog_check, member)
static const struct filter_field check_fields[] = {
    // clang-format off
    { .name = "Node",        .type = FILTER_TEXT,  .offset = AT(node) },
    { .name = "CheckID",     .type = FILTER_TEXT,  .offset = AT(id) },
    { .name = "Name",        .type = FILTER_TEXT,  .offset = AT(name) },
    { .name = "Status",      .type = FILTER_TEXT,  .offset = AT(status) },
    { .name = "Notes",       .type = FILTER_TEXT,  .offset = AT(notes) },
    { .name = "Output",      .type = FILTER_TEXT,  .offset = AT(output) },
    { .name = "ServiceID",   .type = FILTER_TEXT,  .offset = AT(service_id) },
    { .name = "ServiceName", .type = FILTER_TEXT,  .offset = AT(service_name) },
    { .name = "ServiceTags", .type = FILTER_TEXTS, .offset = AT(service_tags) },
    { .name = "Type",        .type = FILTER_TEXT,  .offset = AT(type) },
}; // clang-format on
const struct filter_kind filter_checks = KIND(check_fields);
#undef AT

/* -- instances --------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct catalog_instance, member)
#define OF_NODE(member) \
    .is_behind = true, .behind = AT(node), .offset = offsetof(struct catalog_node, member)

static const struct filter_field service_node_fields[] = {
    // clang-format off
    { .name = "ID",                       .type = FILTER_TEXT,       OF_NODE(id) },
    { .name = "Node",                     .type = FILTER_TEXT,       OF_NODE(name) },
    { .name = "Address",                  .type = FILTER_TEXT,       OF_NODE(address) },
    { .name = "Datacenter",               .type = FILTER_DATACENTER },
    { .name = "TaggedAddresses",          .type = FILTER_PAIRS,      OF_NODE(tagged_addresses) },
    { .name = "NodeMeta",                 .type = FILTER_PAIRS,      OF_NODE(meta) },
    { .name = "ServiceKind",              .type = FILTER_TEXT,       .offset = AT(service.kind) },
    { .name = "ServiceID",                .type = FILTER_TEXT,       .offset = AT(service.id) },
    { .name = "ServiceName",              .type = FILTER_TEXT,       .offset = AT(service.name) },
    { .name = "ServiceTags",              .type = FILTER_TEXTS,      .offset = AT(service.tags) },
    { .name = "ServiceAddress",           .type = FILTER_TEXT,       .offset = AT(service.address) },
    { .name = "ServiceTaggedAddresses",   .type = FILTER_NAMED,      .offset = AT(service.tagged_addresses),
      .count_offset = AT(service.tagged_addresses_count), .item_bytes = sizeof(struct catalog_tagged), .of = &tagged },
    { .name = "ServiceWeights",           .type = FILTER_STRUCT,     .offset = AT(service), .of = &weights },
    { .name = "ServiceMeta",              .type = FILTER_PAIRS,      .offset = AT(service.meta) },
    { .name = "ServicePort",              .type = FILTER_U16,        .offset = AT(service.port) },
    { .name = "ServiceEnableTagOverride", .type = FILTER_BOOL,       .offset = AT(service.enable_tag_override) },
    { .name = "ServiceProxy",             .type = FILTER_JSON,       .offset = AT(service.proxy),   .of = &proxy },
    { .name = "ServiceConnect",           .type = FILTER_JSON,       .offset = AT(service.connect), .of = &connect },
}; // clang-format on
const struct filter_kind filter_service_nodes = KIND(service_node_fields);

static const struct filter_field health_entry_fields[] = {
    // clang-format off
    { .name = "Node",    .type = FILTER_STRUCT_AT, .offset = AT(node),    .of = &filter_nodes },
    { .name = "Service", .type = FILTER_STRUCT,    .offset = AT(service), .of = &filter_node_services },
    { .name = "Checks",  .type = FILTER_LIST,      .offset = AT(checks),  .of = &filter_checks,
      .count_offset = AT(checks_count), .item_bytes = sizeof(struct catalog_check) },
}; // clang-format on
const struct filter_kind filter_health_entries = KIND(health_entry_fields);
#undef AT

/* -- what is registered with the agent --------------------------------------------------------- */

#define AT(member) offsetof(struct service_tagged_definition, member)
static const struct filter_field agent_tagged_fields[] = {
    // clang-format off
    { .name = "Address", .type = FILTER_TEXT, .offset = AT(address) },
    { .name = "Port",    .type = FILTER_I64,  .offset = AT(port) },
}; // clang-format on
static const struct filter_kind agent_tagged = KIND(agent_tagged_fields);
#undef AT

_Static_assert(offsetof(struct service_tagged_definition, name) == 0,
               "FILTER_NAMED items begin with a name");

#define AT(member) offsetof(struct service_definition, member)
static const struct filter_field agent_weights_fields[] = {
    // clang-format off
    { .name = "Passing", .type = FILTER_I64, .offset = AT(weight_passing) },
    { .name = "Warning", .type = FILTER_I64, .offset = AT(weight_warning) },
}; // clang-format on
static const struct filter_kind agent_weights = KIND(agent_weights_fields);

static const struct filter_field agent_service_fields[] = {
    // clang-format off
    { .name = "Kind",              .type = FILTER_TEXT,   .offset = AT(kind) },
    { .name = "ID",                .type = FILTER_TEXT,   .offset = AT(id) },
    { .name = "Service",           .type = FILTER_TEXT,   .offset = AT(name) },
    { .name = "Tags",              .type = FILTER_TEXTS,  .offset = AT(tags) },
    { .name = "Meta",              .type = FILTER_PAIRS,  .offset = AT(meta) },
    { .name = "Port",              .type = FILTER_I64,    .offset = AT(port) },
    { .name = "Address",           .type = FILTER_TEXT,   .offset = AT(address) },
    { .name = "TaggedAddresses",   .type = FILTER_NAMED,  .offset = AT(tagged_addresses), .of = &agent_tagged,
      .count_offset = AT(tagged_addresses_count), .item_bytes = sizeof(struct service_tagged_definition) },
    { .name = "Weights",           .type = FILTER_STRUCT, .of = &agent_weights },
    { .name = "EnableTagOverride", .type = FILTER_BOOL,   .offset = AT(enable_tag_override) },
    { .name = "Proxy",             .type = FILTER_JSON,   .offset = AT(proxy),   .of = &proxy },
    { .name = "Connect",           .type = FILTER_JSON,   .offset = AT(connect), .of = &connect },
}; // clang-format on
const struct filter_kind filter_agent_services = KIND(agent_service_fields);
#undef AT

#define AT(member) offsetof(struct local_check, member)
#define OF_CHECK(member) \
    .is_behind = true, .behind = AT(definition), .offset = offsetof(struct check_definition, member)
static const struct filter_field agent_check_fields[] = {
    // clang-format off
    { .name = "Node",        .type = FILTER_NODE },
    { .name = "CheckID",     .type = FILTER_CTEXT,    .offset = AT(id) },
    { .name = "Name",        .type = FILTER_TEXT,     OF_CHECK(name) },
    { .name = "Status",      .type = FILTER_STATUS,   .offset = AT(status) },
    { .name = "Notes",       .type = FILTER_TEXT,     OF_CHECK(notes) },
    { .name = "Output",      .type = FILTER_TEXT,     .offset = AT(output) },
    { .name = "ServiceID",   .type = FILTER_TEXT,     OF_CHECK(service_id) },
    { .name = "ServiceName", .type = FILTER_TEXT,     .offset = AT(service_name) },
    { .name = "ServiceTags", .type = FILTER_TEXTS_AT, .offset = AT(service_tags) },
    { .name = "Type",        .type = FILTER_CTEXT,    .offset = AT(type) },
}; // clang-format on
const struct filter_kind filter_agent_checks = KIND(agent_check_fields);
#undef AT
