/* reconcile_command.c - see reconcile_command.h.
 *
 * A name may change hands: an agent that lost its data directory comes back as another machine at
 * the same address before anybody saw it die, and gossip takes that for a restart. The catalog lets
 * a machine take a name only from one that is known to be dead, so the old one is declared dead
 * first; else the new one could never register.
 */
#include "reconcile_command.h"

#include <string.h>

#include "agent/agent.h"
#include "base/assert.h"

#define ALIVE_OUTPUT  "Agent alive and reachable"
#define FAILED_OUTPUT "Agent not live or unreachable"

/* -- what the catalog says of a node ----------------------------------------------------------- */

struct known {
    const struct catalog_node *node; /* NULL: not there */
    const struct catalog_check *health;
    const struct catalog_service *consul;
};

static enum mu_code known_read(struct catalog_reader *reader, const char *name,
                               struct mu_arena *arena, struct known *out, struct mu_err *err)
{
    struct catalog_node_services services = { .node = NULL };
    struct catalog_checks checks = { .count = 0 };
    struct mu_span node = mu_span_text(name);
    enum mu_code rc = catalog_query_node_services(reader, arena, node, &services, err);

    *out = (struct known){ .node = NULL };
    /* "c4" may also begin the id of another node */
    if (rc != MU_OK || services.node == NULL || !mu_span_eq_fold(services.node->name, node)) {
        return rc;
    }
    rc = catalog_query_node_checks(reader, arena, node, &checks, err);
    out->node = services.node;
    for (size_t i = 0; i < services.services_count; i++) {
        if (mu_span_eq_text(services.services[i].id, "consul")) {
            out->consul = &services.services[i];
        }
    }
    for (size_t i = 0; i < checks.count; i++) {
        if (mu_span_eq_text(checks.items[i].id, RECONCILE_HEALTH)) {
            out->health = &checks.items[i];
        }
    }
    return rc;
}

static bool health_is(const struct known *known, const char *status)
{
    return known->health != NULL && mu_span_eq_text(known->health->status, status);
}

static void health_fill(struct command_register *reg, struct mu_arena *arena, const char *status,
                        const char *output)
{
    reg->checks = mu_arena_new(arena, sizeof *reg->checks);
    reg->checks_count = 1;
    reg->checks[0] = (struct command_check){
        .id = MU_SPAN_LIT(RECONCILE_HEALTH),
        .name = MU_SPAN_LIT("Serf Health Status"),
        .status = mu_span_text(status),
        .output = mu_span_text(output),
    };
}

/* -- a server's own service -------------------------------------------------------------------- */

static struct mu_span tag(const struct gossip_view *m, const char *key)
{
    for (size_t i = 0; i < m->tags.count; i++) {
        if (mu_span_eq_text(m->tags.items[i].key, key)) {
            return m->tags.items[i].value;
        }
    }
    return MU_SPAN_NONE;
}

/* The metadata of a server's `consul` service (agent-behaviour 8). */
static const struct mu_pair server_meta[] = {
    // clang-format off
    { MU_SPAN_LIT("non_voter"),             MU_SPAN_LIT("false") },
    { MU_SPAN_LIT("raft_version"),          MU_SPAN_LIT("3") },
    { MU_SPAN_LIT("read_replica"),          MU_SPAN_LIT("false") },
    { MU_SPAN_LIT("serf_protocol_current"), MU_SPAN_LIT("2") },
    { MU_SPAN_LIT("serf_protocol_max"),     MU_SPAN_LIT("5") },
    { MU_SPAN_LIT("serf_protocol_min"),     MU_SPAN_LIT("1") },
    { MU_SPAN_LIT("version"),               MU_SPAN_LIT(AGENT_CONSUL_VERSION) },
}; // clang-format on

static bool meta_is_current(const struct catalog_service *service)
{
    size_t found = 0;

    if (service == NULL || service->meta.count != MU_LEN(server_meta)) {
        return false;
    }
    for (size_t i = 0; i < MU_LEN(server_meta); i++) {
        for (size_t j = 0; j < service->meta.count; j++) {
            found += mu_span_eq(service->meta.items[j].key, server_meta[i].key) &&
                     mu_span_eq(service->meta.items[j].value, server_meta[i].value);
        }
    }
    return found == MU_LEN(server_meta);
}

static void consul_fill(struct command_register *reg, const struct gossip_view *m,
                        struct mu_arena *arena)
{
    uint64_t port = 0;

    (void)mu_span_u64(tag(m, "port"), &port);
    reg->has_service = true;
    reg->service = (struct command_service){
        .id = MU_SPAN_LIT("consul"),
        .name = MU_SPAN_LIT("consul"),
        .port = (uint16_t)port,
        .has_meta = true,
        .weight_passing = 1,
        .weight_warning = 1,
    };
    reg->service.meta.items = mu_arena_array(arena, MU_LEN(server_meta), sizeof server_meta[0]);
    reg->service.meta.count = MU_LEN(server_meta);
    memcpy(reg->service.meta.items, server_meta, sizeof server_meta);
}

/* -- the three actions ------------------------------------------------------------------------- */

static void critical_fill(const struct known *known, struct mu_arena *arena, struct command *out)
{
    *out = (struct command){ .kind = COMMAND_REGISTER };
    out->reg.node.name = known->node->name;
    out->reg.node.id = known->node->id;
    out->reg.node.address = known->node->address;
    out->reg.skip_node_update = true;
    health_fill(&out->reg, arena, "critical", FAILED_OUTPUT);
}

static void alive_fill(const struct known *known, const struct gossip_view *m, const char *id,
                       const char *address, struct mu_arena *arena, struct command *out)
{
    *out = (struct command){ .kind = COMMAND_REGISTER };
    out->reg.node.name = mu_span_text(mu_arena_strdup(arena, m->name));
    out->reg.node.id = mu_span_text(mu_arena_strdup(arena, id));
    out->reg.node.address = mu_span_text(mu_arena_strdup(arena, address));
    /* Made when it is missing, and left alone when the agent itself was faster than this write. */
    out->reg.skip_node_update = true;
    if (known->node != NULL) { /* what the agent itself has stored is kept */
        out->reg.node.tagged_addresses = known->node->tagged_addresses;
        out->reg.node.meta = known->node->meta;
        out->reg.node.has_tagged_addresses = known->node->has_tagged_addresses;
        out->reg.node.has_meta = known->node->has_meta;
        out->reg.skip_node_update =
            mu_span_eq_text(known->node->address, address) && mu_span_eq_text(known->node->id, id);
    }
    health_fill(&out->reg, arena, "passing", ALIVE_OUTPUT);
}

static enum reconcile_need alive_make(const struct known *known, const struct gossip_view *m,
                                      struct mu_arena *arena, struct command *out)
{
    char address[MU_ADDR_TEXT_MAX];
    char id[MU_ID_TEXT_BYTES + 1];

    if (m == NULL) {
        return RECONCILE_NOTHING;
    }
    bool is_server = mu_span_eq_text(tag(m, "role"), "consul");

    mu_addr_ip_text(&m->addr, address);
    mu_id_text(&m->node_id, id);
    bool is_same =
        known->node != NULL && (mu_id_is_none(&m->node_id) || mu_span_eq_text(known->node->id, id));

    if (is_same && mu_span_eq_text(known->node->address, address) && health_is(known, "passing") &&
        (!is_server || meta_is_current(known->consul))) {
        return RECONCILE_NOTHING;
    }
    if (known->node != NULL && !is_same && known->node->id.bytes > 0 && known->health != NULL &&
        !health_is(known, "critical")) {
        critical_fill(known, arena, out);
        return RECONCILE_WRITE_FIRST;
    }
    alive_fill(known, m, id, address, arena, out);
    if (is_server) {
        consul_fill(&out->reg, m, arena);
    }
    return RECONCILE_WRITE;
}

static enum reconcile_need critical_make(const struct known *known, struct mu_arena *arena,
                                         struct command *out)
{
    if (known->node == NULL || health_is(known, "critical")) {
        return RECONCILE_NOTHING;
    }
    critical_fill(known, arena, out);
    return RECONCILE_WRITE;
}

static enum reconcile_need remove_make(const struct known *known, struct command *out)
{
    if (known->node == NULL) {
        return RECONCILE_NOTHING;
    }
    *out = (struct command){ .kind = COMMAND_DEREGISTER };
    out->dereg.node = known->node->name;
    return RECONCILE_WRITE;
}

enum mu_code reconcile_command(struct catalog_reader *reader, const struct reconcile_action *what,
                               const struct gossip_view *member, struct mu_arena *arena,
                               struct command *out, enum reconcile_need *need, struct mu_err *err)
{
    struct known known;
    enum mu_code rc = known_read(reader, what->node, arena, &known, err);

    *need = RECONCILE_NOTHING;
    if (rc != MU_OK) {
        return rc;
    }
    switch (what->kind) {
    case RECONCILE_SET_ALIVE: *need = alive_make(&known, member, arena, out); return MU_OK;
    case RECONCILE_SET_CRITICAL: *need = critical_make(&known, arena, out); return MU_OK;
    case RECONCILE_REMOVE: *need = remove_make(&known, out); return MU_OK;
    }
    MU_UNREACHABLE_CODE();
}
