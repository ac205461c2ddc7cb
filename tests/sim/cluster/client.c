/* client.c - what clients want: services registered or gone, and keys.
 *
 * A wish is asked of any server that can be reached, and again until an answer says that it is
 * fulfilled; every few seconds, after a start, and when the client was held failed, everything it
 * wants is asked for anew, as an agent's full pass does.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cluster.h"

#define SYNC_MS 20000

static struct client *client_at(struct cluster *c, size_t member)
{
    return &c->clients[member - c->servers_count];
}

/* A server that this member can ask; false: none in reach. */
static bool server_for(struct cluster *c, size_t member, size_t *out)
{
    size_t first = cluster_below(c, c->servers_count);

    for (size_t i = 0; i < c->servers_count; i++) {
        *out = (first + i) % c->servers_count;
        if (member_is_up(c, *out) && network_link(c, member, *out)) {
            return true;
        }
    }
    return false;
}

static void unsync(struct client *k)
{
    for (size_t i = 0; i < SERVICES_MAX; i++) {
        k->services[i].is_synced = k->services[i].version == 0;
    }
}

void client_restarted(struct cluster *c, size_t member)
{
    unsync(client_at(c, member));
    client_at(c, member)->sync_at_ms = c->now_ms + SYNC_MS;
}

bool client_is_busy(const struct cluster *c, size_t member)
{
    const struct client *k = &c->clients[member - c->servers_count];

    for (size_t i = 0; i < SERVICES_MAX; i++) {
        if (k->services[i].is_busy) {
            return true;
        }
    }
    return false;
}

void client_refuted(struct cluster *c, size_t member)
{
    unsync(client_at(c, member));
}

static void on_done(struct cluster *c, const struct request *r, enum request_end end)
{
    struct service *service = &client_at(c, r->owner)->services[r->item];

    service->is_busy = false;
    if (end == REQUEST_DONE && service->version == r->mark) {
        service->is_synced = c->facts[r->index].code == MU_OK;
    }
}

static struct command wish(struct cluster *c, size_t member, const struct service *service,
                           struct mu_span id, struct mu_arena *arena)
{
    struct command command = { .kind = COMMAND_DEREGISTER };
    struct mu_span name = mu_span_text(member_name(c, member));
    struct mu_addr addr = world_addr(c->gossip, member);
    char *ip = mu_arena_new(arena, MU_ADDR_TEXT_MAX);
    char *uuid = mu_arena_new(arena, MU_ID_TEXT_BYTES + 1);
    struct mu_id node_id = member_id(c, member);

    if (!service->is_wanted) {
        command.dereg.node = name;
        command.dereg.service_id = id;
        return command;
    }
    mu_addr_ip_text(&addr, ip);
    mu_id_text(&node_id, uuid);
    command.kind = COMMAND_REGISTER;
    command.reg.node.name = name;
    command.reg.node.id = mu_span_text(uuid);
    command.reg.node.address = mu_span_text(ip);
    command.reg.has_service = true;
    command.reg.service = (struct command_service){
        .id = id,
        .name = MU_SPAN_LIT("web"),
        .port = service->port,
        .weight_passing = 1,
        .weight_warning = 1,
    };
    command.reg.checks = mu_arena_new(arena, sizeof *command.reg.checks);
    command.reg.checks_count = 1;
    command.reg.checks[0] = (struct command_check){
        .id = mu_span_text(mu_arena_printf(arena, "service:%.*s", MU_SPAN_FMT(id))),
        .name = MU_SPAN_LIT("answers"),
        .status = MU_SPAN_LIT("passing"),
        .service_id = id,
    };
    return command;
}

static void ask(struct cluster *c, size_t member, size_t item)
{
    struct service *service = &client_at(c, member)->services[item];
    struct mu_arena arena;
    size_t at = 0;

    if (service->is_busy || service->is_synced || !server_for(c, member, &at)) {
        return;
    }
    mu_arena_init(&arena, 0);
    struct command command =
        wish(c, member, service, mu_span_text(mu_arena_printf(&arena, "web%zu", item)), &arena);
    struct request *r = request_new(c, at, &command);

    if (r != NULL) {
        r->done = on_done;
        r->owner = member;
        r->item = item;
        r->mark = service->version;
        service->is_busy = true;
    }
    mu_arena_deinit(&arena);
}

static void client_run(struct cluster *c, size_t member)
{
    struct client *k = client_at(c, member);

    if (c->now_ms >= k->sync_at_ms) {
        k->sync_at_ms = c->now_ms + SYNC_MS / 2 + cluster_below(c, SYNC_MS);
        unsync(k);
    }
    if (!c->is_calm && cluster_below(c, 4000) == 0) {
        struct service *service = &k->services[cluster_below(c, SERVICES_MAX)];

        service->is_wanted = cluster_below(c, 3) != 0;
        service->is_synced = false;
        service->port = (uint16_t)(1 + cluster_below(c, 60000));
        service->version++;
    }
    for (size_t i = 0; i < SERVICES_MAX; i++) {
        ask(c, member, i);
    }
}

/* -- keys -------------------------------------------------------------------------------------- */

static struct command key_command(struct cluster *c, struct mu_arena *arena)
{
    struct command command = { .kind = COMMAND_KV_SET };
    size_t key = cluster_below(c, KEYS_MAX);
    const struct model_key *k = &c->model.keys[key];
    bool has_cas = cluster_below(c, 3) == 0;
    uint64_t cas = cluster_below(c, 4) == 0 ? cluster_below(c, 50)
                   : k->is_there            ? k->modify_index
                                            : 0;
    char name[16];

    model_key_name(key, name);
    if (cluster_below(c, 4) == 0) {
        command.kind = COMMAND_KV_DELETE;
        command.kv_delete.recurse = cluster_below(c, 8) == 0;
        command.kv_delete.has_cas = has_cas && !command.kv_delete.recurse;
        command.kv_delete.cas = cas;
        command.kv_delete.key = command.kv_delete.recurse
                                    ? MU_SPAN_LIT("a/")
                                    : mu_span_text(mu_arena_strdup(arena, name));
        return command;
    }
    command.kv_set.key = mu_span_text(mu_arena_strdup(arena, name));
    command.kv_set.value = mu_span_text(mu_arena_printf(arena, "%llu", U(cluster_below(c, 5))));
    command.kv_set.flags = cluster_below(c, 2);
    command.kv_set.has_cas = has_cas;
    command.kv_set.cas = cas;
    return command;
}

static void keys_run(struct cluster *c)
{
    size_t at = cluster_below(c, c->servers_count);
    struct mu_arena arena;

    if (c->is_calm || c->now_ms < c->keys_at_ms) {
        return;
    }
    c->keys_at_ms = c->now_ms + 1 + cluster_below(c, 150);
    if (cluster_below(c, 6) == 0) {
        (void)request_new(c, at, NULL);
        return;
    }
    mu_arena_init(&arena, 0);
    struct command command = key_command(c, &arena);

    (void)request_new(c, at, &command);
    mu_arena_deinit(&arena);
}

void clients_run(struct cluster *c)
{
    for (size_t i = c->servers_count; i < c->members_count; i++) {
        if (member_runs(c, i) && !c->is_leaving[i]) {
            client_run(c, i);
        }
    }
    keys_run(c);
}
