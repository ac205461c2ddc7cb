/* model.c - what the commands in the log mean for keys and registrations, in the fewest words.
 *
 * It follows whoever applies an entry first. Its opinion about a check-and-set is compared at once,
 * its keys and registrations with any catalog that has come as far. Keys lie below two prefixes,
 * for the deletion of many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cluster.h"

void model_key_name(size_t key, char out[16])
{
    (void)snprintf(out, 16, "%c/k%zu", key % 2 == 0 ? 'a' : 'b', key);
}

static struct model_key *key_of(struct cluster *c, struct mu_span name)
{
    char text[16];

    for (size_t i = 0; i < KEYS_MAX; i++) {
        model_key_name(i, text);
        if (mu_span_eq_text(name, text)) {
            return &c->model.keys[i];
        }
    }
    return NULL;
}

static bool cas_fits(const struct model_key *k, bool has_cas, uint64_t cas)
{
    return !has_cas || (k->is_there ? cas != 0 && cas == k->modify_index : cas == 0);
}

static bool apply_set(struct cluster *c, uint64_t index, const struct command_kv_set *set)
{
    struct model_key *k = key_of(c, set->key);
    uint64_t value = 0;

    MU_ASSERT(k != NULL && mu_span_u64(set->value, &value));
    if (!cas_fits(k, set->has_cas, set->cas)) {
        return false;
    }
    if (k->is_there && k->value == value && k->flags == set->flags) {
        return true; /* nothing changes, no index moves */
    }
    k->create_index = k->is_there ? k->create_index : index;
    k->is_there = true;
    k->modify_index = index;
    k->value = value;
    k->flags = set->flags;
    return true;
}

static bool apply_delete(struct cluster *c, const struct command_kv_delete *d)
{
    char text[16];

    if (!d->recurse) {
        struct model_key *k = key_of(c, d->key);
        bool fits = !k->is_there || cas_fits(k, d->has_cas, d->cas);

        k->is_there = k->is_there && !fits;
        return fits;
    }
    for (size_t i = 0; i < KEYS_MAX; i++) {
        model_key_name(i, text);
        if (mu_span_starts(mu_span_text(text), d->key)) {
            c->model.keys[i].is_there = false;
        }
    }
    return true;
}

static size_t service_of(struct mu_span id)
{
    MU_ASSERT(id.bytes == 4 && mu_span_starts(id, MU_SPAN_LIT("web")));
    return (size_t)(id.data[3] - '0');
}

static void apply_register(struct cluster *c, const struct command_register *reg)
{
    size_t member = 0;

    if (!member_by_name(c, reg->node.name, &member)) {
        return; /* what sessions belong to: holders.c */
    }
    c->model.nodes[member].is_there = true;
    if (reg->has_service && !mu_span_eq_text(reg->service.id, "consul")) {
        c->model.nodes[member].ports[service_of(reg->service.id)] = reg->service.port;
    }
}

static void apply_deregister(struct cluster *c, const struct command_deregister *d)
{
    size_t member = 0;

    MU_ASSERT(member_by_name(c, d->node, &member));
    if (d->service_id.bytes > 0) {
        c->model.nodes[member].ports[service_of(d->service_id)] = 0;
    } else if (d->check_id.bytes == 0) {
        c->model.nodes[member] = (struct model_node){ .is_there = false };
    }
}

void model_apply(struct cluster *c, uint64_t index, const struct fact *fact)
{
    struct mu_err err = MU_ERR_NONE;
    struct command command;
    struct mu_arena arena;
    bool did_apply = fact->did_apply;

    c->model.applied = index;
    if (fact->kind != CONSENSUS_COMMAND || fact->code != MU_OK) {
        return;
    }
    mu_arena_init(&arena, 0);
    MU_ASSERT(command_decode(mu_buf_span(&c->commands[fact->content - 1]), &arena, &command,
                             &err) == MU_OK);
    switch (command.kind) {
    case COMMAND_KV_SET: did_apply = apply_set(c, index, &command.kv_set); break;
    case COMMAND_KV_DELETE: did_apply = apply_delete(c, &command.kv_delete); break;
    case COMMAND_REGISTER: apply_register(c, &command.reg); break;
    case COMMAND_DEREGISTER: apply_deregister(c, &command.dereg); break;
    case COMMAND_TXN:
    case COMMAND_TXN_CATALOG:
    case COMMAND_KV_COMPACT:
    case COMMAND_KV_LOCK: /* nobody here asks for these */
    case COMMAND_SESSION_CREATE:
    case COMMAND_SESSION_DESTROY:
    case COMMAND_AUTOPILOT:
    case COMMAND_COORDINATES:
    case COMMAND_STAGE:
    case COMMAND_RESTORE:
    case COMMAND_NONE: break;
    }
    mu_arena_deinit(&arena);
    if (did_apply != fact->did_apply) {
        cluster_fail(c, "the catalog means what the model means: entry %llu did%s apply", U(index),
                     fact->did_apply ? "" : " not");
    }
}

/* -- comparing --------------------------------------------------------------------------------- */

static void compare_key(struct cluster *c, struct server *s, struct mu_arena *arena, size_t key)
{
    const struct model_key *k = &c->model.keys[key];
    struct catalog_kvs kvs = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    uint64_t value = 0;
    char name[16];

    model_key_name(key, name);
    if (catalog_query_key(s->reader, arena, mu_span_text(name), &kvs, &err) != MU_OK) {
        cluster_fail(c, "%s cannot read %s: %s", s->node->name, name, err.text);
    }
    bool is_same = kvs.count == (k->is_there ? 1U : 0U);

    if (is_same && k->is_there) {
        const struct catalog_kv *kv = &kvs.items[0];

        is_same = mu_span_u64(kv->value, &value) && value == k->value && kv->flags == k->flags &&
                  kv->create_index == k->create_index && kv->modify_index == k->modify_index;
    }
    if (!is_same) {
        cluster_fail(c, "the catalog means what the model means: key %s on %s at %llu", name,
                     s->node->name, U(c->model.applied));
    }
}

static void compare_member(struct cluster *c, struct server *s, struct mu_arena *arena,
                           size_t member)
{
    const struct model_node *n = &c->model.nodes[member];
    struct listed listed;

    listed_read(c, s, arena, member_name(c, member), &listed);
    if (listed.is_there != n->is_there ||
        memcmp(listed.ports, n->ports, sizeof listed.ports) != 0) {
        cluster_fail(c,
                     "the catalog means what the model means: node %s on %s at %llu: there %d, %d; "
                     "ports %u %u %u, %u %u %u",
                     member_name(c, member), s->node->name, U(c->model.applied), listed.is_there,
                     n->is_there, listed.ports[0], listed.ports[1], listed.ports[2], n->ports[0],
                     n->ports[1], n->ports[2]);
    }
}

void model_compare(struct cluster *c, struct server *s)
{
    struct mu_arena arena;

    if (s->catalog == NULL || catalog_applied(s->catalog).index != c->model.applied) {
        return;
    }
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < KEYS_MAX; i++) {
        compare_key(c, s, &arena, i);
    }
    for (size_t i = 0; i < c->members_count; i++) {
        compare_member(c, s, &arena, i);
    }
    mu_arena_deinit(&arena);
    catalog_reader_release(s->reader);
}

static void listed_services(const struct catalog_node_services *services, struct listed *out)
{
    for (size_t i = 0; i < services->services_count; i++) {
        const struct catalog_service *service = &services->services[i];

        if (mu_span_starts(service->id, MU_SPAN_LIT("web"))) {
            out->ports[service_of(service->id)] = service->port;
        }
    }
}

void listed_read(struct cluster *c, struct server *s, struct mu_arena *arena, const char *name,
                 struct listed *out)
{
    struct catalog_node_services services = { .node = NULL };
    struct catalog_checks checks = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    *out = (struct listed){ .is_there = false };
    if (catalog_query_node_services(s->reader, arena, mu_span_text(name), &services, &err) !=
            MU_OK ||
        catalog_query_node_checks(s->reader, arena, mu_span_text(name), &checks, &err) != MU_OK) {
        cluster_fail(c, "%s cannot read node %s: %s", s->node->name, name, err.text);
    }
    if (services.node == NULL || !mu_span_eq_text(services.node->name, name)) {
        return; /* "c4" may also begin the id of another */
    }
    out->is_there = true;
    out->node = services.node;
    out->id = services.node->id;
    out->address = services.node->address;
    listed_services(&services, out);
    for (size_t i = 0; i < checks.count; i++) {
        if (mu_span_eq_text(checks.items[i].id, "serfHealth")) {
            out->is_passing = mu_span_eq_text(checks.items[i].status, "passing");
            out->is_critical = mu_span_eq_text(checks.items[i].status, "critical");
        }
    }
}
