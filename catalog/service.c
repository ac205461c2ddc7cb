/* service.c - instances of services, and the index of each service.
 *
 * A service exists as long as it has an instance. Its own index is a row of `idx` that is raised by
 * whatever its readers could see: its instances, their nodes, the checks that judge them; other
 * services leave it alone, which is what makes watching one of many cheap. With the last instance
 * the row goes, and readers of the name get the index of the last extinction instead.
 */
#include "core.h"

#include <string.h>

#include "packed.h"

/* -- the index of a service -------------------------------------------------------------------- */

#define COUNTER_PREFIX "service:"

struct mu_span catalog__service_counter(struct mu_arena *arena, struct mu_span name_key)
{
    static const size_t prefix_bytes = sizeof COUNTER_PREFIX - 1;
    uint8_t *name = mu_arena_new(arena, prefix_bytes + name_key.bytes);

    memcpy(name, COUNTER_PREFIX, prefix_bytes);
    if (name_key.bytes > 0) {
        memcpy(name + prefix_bytes, name_key.data, name_key.bytes);
    }
    return mu_span_of(name, prefix_bytes + name_key.bytes);
}

enum mu_code catalog__service_touch(struct catalog *c, struct mu_span name_key, struct mu_err *err)
{
    struct row old;
    struct row row;
    bool found = false;

    row.v[IDX_NAME] = row_bytes(catalog__service_counter(&c->arena, name_key));
    row.v[IDX_VALUE] = row_number(catalog__index(c));
    enum mu_code rc = catalog__row_find(&c->rows, ROW_IDX, row.v, &c->arena, &old, &found, err);

    if (rc != MU_OK || (found && catalog__row_same(&old, &row, IDX_COLUMNS))) {
        return rc; /* raised by this entry already */
    }
    catalog__changed(c, CATALOG_SERVICE, name_key);
    return catalog__row_put(&c->rows, ROW_IDX, found ? &old : NULL, &row, err);
}

static enum mu_code has_instance(struct catalog *c, struct mu_span name_key, bool *has,
                                 struct mu_err *err)
{
    bind_bytes(c->any_instance, 1, name_key);
    enum mu_code rc = catalog__step(&c->db, c->any_instance, has, err);

    (void)sqlite3_reset(c->any_instance);
    return rc;
}

/* An instance of this name is gone: others remain, or it was the last. */
static enum mu_code instance_lost(struct catalog *c, struct mu_span name_key, struct mu_err *err)
{
    struct row_value name = row_bytes(catalog__service_counter(&c->arena, name_key));
    struct row old;
    bool found = false;
    enum mu_code rc = has_instance(c, name_key, &found, err);

    if (rc != MU_OK || found) {
        return rc == MU_OK ? catalog__service_touch(c, name_key, err) : rc;
    }
    catalog__touch(c, COUNTER_EXTINCTION);
    catalog__changed(c, CATALOG_SERVICE, name_key);
    rc = catalog__row_find(&c->rows, ROW_IDX, &name, &c->arena, &old, &found, err);
    return rc == MU_OK && found ? catalog__row_remove(&c->rows, ROW_IDX, &old, err) : rc;
}

/* -- instances --------------------------------------------------------------------------------- */

struct mu_span catalog__service_id(const struct command_service *service)
{
    return service->id.bytes > 0 ? service->id : service->name;
}

enum mu_code catalog__service_find(struct catalog *c, struct mu_span node_key, struct mu_span key,
                                   struct row *out, bool *found, struct mu_err *err)
{
    const struct row_value values[] = { row_bytes(node_key), row_bytes(key) };

    return catalog__row_find(&c->rows, ROW_SERVICES, values, &c->arena, out, found, err);
}

/* All columns but the two indexes. */
static void service_row(struct catalog *c, struct mu_span node_key, const struct command_service *s,
                        struct row *out)
{
    struct mu_span id = catalog__service_id(s);
    struct mu_arena *arena = &c->arena;
    bool has_weights = s->weight_passing >= 1; /* else 1 and 1, whatever the other is */
    struct row_value *v = out->v;

    v[SERVICE_NODE] = row_bytes(node_key);
    v[SERVICE_KEY] = row_bytes(catalog__fold(arena, id));
    v[SERVICE_NAME_KEY] = row_bytes(catalog__fold(arena, s->name));
    v[SERVICE_ID] = row_bytes(id);
    v[SERVICE_NAME] = row_bytes(s->name);
    v[SERVICE_KIND] = row_bytes(s->kind);
    v[SERVICE_TAGS] = row_bytes(catalog__pack_texts(arena, &s->tags));
    v[SERVICE_ADDRESS] = row_bytes(s->address);
    v[SERVICE_IP] = catalog__ip_value(arena, s->address);
    v[SERVICE_PORT] = row_number(s->port);
    v[SERVICE_TAGGED] = row_bytes(catalog__pack_addresses(arena, s));
    v[SERVICE_META] = s->has_meta ? row_bytes(catalog__pack_pairs(arena, &s->meta)) : row_nothing();
    v[SERVICE_WEIGHT_PASSING] = row_number(has_weights ? s->weight_passing : 1);
    v[SERVICE_WEIGHT_WARNING] = row_number(has_weights ? s->weight_warning : 1);
    v[SERVICE_TAG_OVERRIDE] = row_number(s->enable_tag_override);
    v[SERVICE_PROXY] = row_bytes(s->proxy);
    v[SERVICE_CONNECT] = row_bytes(s->connect);
}

/* An id that was of another service: its checks move over, and that one lost an instance. In this
 * order, since a check that leaves raises the index that goes with the last instance. */
static enum mu_code service_renamed(struct catalog *c, const struct row *old, const struct row *row,
                                    struct mu_err *err)
{
    enum mu_code rc = catalog__checks_follow(c, row, err);

    return rc == MU_OK ? instance_lost(c, old->v[SERVICE_NAME_KEY].bytes, err) : rc;
}

enum mu_code catalog__service_put(struct catalog *c, struct mu_span node_key,
                                  const struct command_service *service, struct mu_err *err)
{
    struct row row;
    struct row old;
    bool found = false;

    service_row(c, node_key, service, &row);
    enum mu_code rc =
        catalog__row_find(&c->rows, ROW_SERVICES, row.v, &c->arena, &old, &found, err);

    if (rc != MU_OK || (found && catalog__row_same(&old, &row, SERVICE_CREATED))) {
        return rc;
    }
    row.v[SERVICE_CREATED] = found ? old.v[SERVICE_CREATED] : row_number(catalog__index(c));
    row.v[SERVICE_MODIFIED] = row_number(catalog__index(c));
    rc = catalog__row_put(&c->rows, ROW_SERVICES, found ? &old : NULL, &row, err);
    catalog__touch(c, COUNTER_SERVICES);
    catalog__changed(c, CATALOG_SERVICES, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_NODE, node_key);
    if (rc == MU_OK && found &&
        !mu_span_eq(old.v[SERVICE_NAME_KEY].bytes, row.v[SERVICE_NAME_KEY].bytes)) {
        rc = service_renamed(c, &old, &row, err);
    }
    return rc == MU_OK ? catalog__service_touch(c, row.v[SERVICE_NAME_KEY].bytes, err) : rc;
}

enum mu_code catalog__service_remove(struct catalog *c, const struct row *service,
                                     struct mu_err *err)
{
    struct mu_span node_key = service->v[SERVICE_NODE].bytes;
    struct row_list checks;
    enum mu_code rc = catalog__row_scan(&c->rows, ROW_CHECKS, node_key, &c->arena, &checks, err);

    for (size_t i = 0; rc == MU_OK && i < checks.count; i++) {
        if (mu_span_eq(checks.items[i].v[CHECK_SERVICE_KEY].bytes, service->v[SERVICE_KEY].bytes)) {
            rc = catalog__check_remove(c, &checks.items[i], err);
        }
    }
    if (rc == MU_OK) {
        rc = catalog__row_remove(&c->rows, ROW_SERVICES, service, err);
    }
    catalog__touch(c, COUNTER_SERVICES);
    catalog__changed(c, CATALOG_SERVICES, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_NODE, node_key);
    return rc == MU_OK ? instance_lost(c, service->v[SERVICE_NAME_KEY].bytes, err) : rc;
}
