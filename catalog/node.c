#include "core.h"

#include "base/addr.h"
#include "base/id.h"
#include "packed.h"

enum mu_code catalog__node_find(struct catalog *c, struct mu_span key, struct row *out, bool *found,
                                struct mu_err *err)
{
    struct row_value value = row_bytes(key);

    return catalog__row_find(&c->rows, ROW_NODES, &value, &c->arena, out, found, err);
}

enum mu_code catalog__node_find_uuid(struct catalog *c, struct mu_span uuid, struct row *out,
                                     bool *found, struct mu_err *err)
{
    sqlite3_stmt *s = c->node_by_uuid;

    bind_bytes(s, 1, uuid);
    enum mu_code rc = catalog__step(&c->db, s, found, err);

    if (rc == MU_OK && *found) {
        catalog__row_read(s, ROW_NODES, &c->arena, out);
        (void)sqlite3_reset(s);
    }
    return rc;
}

static struct row_value uuid_value(struct mu_arena *arena, struct mu_span text)
{
    struct mu_id id;

    if (!mu_id_parse(text, &id)) {
        return row_nothing();
    }
    return row_bytes(mu_arena_span(arena, mu_span_of(id.b, sizeof id.b)));
}

void catalog__node_row(struct catalog *c, const struct command_node *n, struct row *out)
{
    struct row_value *v = out->v;

    v[NODE_KEY] = row_bytes(catalog__fold(&c->arena, n->name));
    v[NODE_NAME] = row_bytes(n->name);
    v[NODE_ID] = row_bytes_or_nothing(n->id);
    v[NODE_UUID] = uuid_value(&c->arena, n->id);
    v[NODE_ADDRESS] = row_bytes(n->address);
    v[NODE_IP] = catalog__ip_value(&c->arena, n->address);
    v[NODE_TAGGED] = n->has_tagged_addresses
                         ? row_bytes(catalog__pack_pairs(&c->arena, &n->tagged_addresses))
                         : row_nothing();
    v[NODE_META] =
        n->has_meta ? row_bytes(catalog__pack_pairs(&c->arena, &n->meta)) : row_nothing();
}

enum mu_code catalog__node_touch_services(struct catalog *c, struct mu_span node_key,
                                          struct mu_err *err)
{
    struct row_list services;
    enum mu_code rc =
        catalog__row_scan(&c->rows, ROW_SERVICES, node_key, &c->arena, &services, err);

    for (size_t i = 0; rc == MU_OK && i < services.count; i++) {
        rc = catalog__service_touch(c, services.items[i].v[SERVICE_NAME_KEY].bytes, err);
    }
    return rc;
}

enum mu_code catalog__node_put(struct catalog *c, const struct row *old, const struct row *new_row,
                               struct mu_err *err)
{
    struct mu_span key = new_row->v[NODE_KEY].bytes;
    enum mu_code rc = catalog__row_put(&c->rows, ROW_NODES, old, new_row, err);

    if (rc != MU_OK) {
        return rc;
    }
    catalog__touch(c, COUNTER_NODES);
    catalog__changed(c, CATALOG_NODES, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_NODE, key);
    return old != NULL ? catalog__node_touch_services(c, key, err) : MU_OK;
}

enum mu_code catalog__node_remove(struct catalog *c, const struct row *node, struct mu_err *err)
{
    struct mu_span key = node->v[NODE_KEY].bytes;
    struct row_list list;
    enum mu_code rc = catalog__row_scan(&c->rows, ROW_SERVICES, key, &c->arena, &list, err);

    for (size_t i = 0; rc == MU_OK && i < list.count; i++) {
        rc = catalog__service_remove(c, &list.items[i], err);
    }
    if (rc == MU_OK) { /* those of services are gone by now */
        rc = catalog__row_scan(&c->rows, ROW_CHECKS, key, &c->arena, &list, err);
    }
    for (size_t i = 0; rc == MU_OK && i < list.count; i++) {
        rc = catalog__check_remove(c, &list.items[i], err);
    }
    if (rc == MU_OK) { /* those that hang on no check */
        rc = catalog__sessions_end_of_node(c, key, err);
    }
    if (rc == MU_OK) {
        rc = catalog__coordinate_remove(c, key, err);
    }
    if (rc == MU_OK) {
        rc = catalog__row_remove(&c->rows, ROW_NODES, node, err);
    }
    catalog__touch(c, COUNTER_NODES);
    catalog__changed(c, CATALOG_NODES, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_NODE, key);
    return rc;
}
