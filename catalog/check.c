/* check.c - checks, of a node or of one instance on it.
 *
 * A check judges: its own instance, or with an empty service id every instance on its node. So a
 * change of it raises the index of that service, or of all services on the node. The name and tags
 * of the service are copied into the row when it is written, as answers show them.
 *
 * Sessions hang on checks too: one that becomes critical, or goes, ends them in the same entry.
 */
#include "core.h"

struct mu_span catalog__check_id(const struct command_check *check)
{
    return check->id.bytes > 0 ? check->id : check->name;
}

enum mu_code catalog__check_find(struct catalog *c, struct mu_span node_key, struct mu_span key,
                                 struct row *out, bool *found, struct mu_err *err)
{
    const struct row_value values[] = { row_bytes(node_key), row_bytes(key) };

    return catalog__row_find(&c->rows, ROW_CHECKS, values, &c->arena, out, found, err);
}

static bool is_node_level(const struct row *check)
{
    return check->v[CHECK_SERVICE_KEY].bytes.bytes == 0;
}

static enum mu_code touch_judged(struct catalog *c, const struct row *check, struct mu_err *err)
{
    return is_node_level(check)
               ? catalog__node_touch_services(c, check->v[CHECK_NODE].bytes, err)
               : catalog__service_touch(c, check->v[CHECK_SERVICE_NAME_KEY].bytes, err);
}

static void attach(struct row *check, const struct row *service)
{
    static const struct row_value none = { .kind = ROW_BYTES };
    struct row_value *v = check->v;

    v[CHECK_SERVICE_NAME_KEY] = service != NULL ? service->v[SERVICE_NAME_KEY] : none;
    v[CHECK_SERVICE_KEY] = service != NULL ? service->v[SERVICE_KEY] : none;
    v[CHECK_SERVICE_ID] = service != NULL ? service->v[SERVICE_ID] : none;
    v[CHECK_SERVICE_NAME] = service != NULL ? service->v[SERVICE_NAME] : none;
    v[CHECK_SERVICE_TAGS] = service != NULL ? service->v[SERVICE_TAGS] : none;
}

/* All columns but the two indexes, with the defaults of spec/http-api.md 4. */
static void check_row(struct catalog *c, struct mu_span node_key, const struct row *service,
                      const struct command_check *check, struct row *out)
{
    struct mu_span id = catalog__check_id(check);
    struct row_value *v = out->v;

    v[CHECK_NODE] = row_bytes(node_key);
    v[CHECK_KEY] = row_bytes(catalog__fold(&c->arena, id));
    v[CHECK_STATUS] = row_bytes(check->status.bytes > 0 ? check->status : MU_SPAN_LIT("critical"));
    v[CHECK_ID] = row_bytes(id);
    v[CHECK_NAME] = row_bytes(check->name);
    v[CHECK_NOTES] = row_bytes(check->notes);
    v[CHECK_OUTPUT] = row_bytes(check->output);
    v[CHECK_TYPE] = row_bytes(check->type);
    v[CHECK_DEFINITION] = row_bytes(check->definition);
    attach(out, service);
}

static bool is_critical(const struct row *check)
{
    return mu_span_eq_text(check->v[CHECK_STATUS].bytes, "critical");
}

/* Store a row that differs from `old` (NULL: new) in more than its indexes. */
static enum mu_code check_store(struct catalog *c, const struct row *old, struct row *row,
                                struct mu_err *err)
{
    row->v[CHECK_CREATED] = old != NULL ? old->v[CHECK_CREATED] : row_number(catalog__index(c));
    row->v[CHECK_MODIFIED] = row_number(catalog__index(c));
    enum mu_code rc = catalog__row_put(&c->rows, ROW_CHECKS, old, row, err);

    catalog__touch(c, COUNTER_CHECKS);
    catalog__changed(c, CATALOG_CHECKS, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_NODE, row->v[CHECK_NODE].bytes);
    if (rc == MU_OK && is_critical(row) && (old == NULL || !is_critical(old))) {
        rc = catalog__sessions_end_of_check(c, row->v[CHECK_NODE].bytes, row->v[CHECK_KEY].bytes,
                                            err);
    }
    if (rc == MU_OK && old != NULL) { /* it may have judged something else until now */
        rc = touch_judged(c, old, err);
    }
    return rc == MU_OK ? touch_judged(c, row, err) : rc;
}

enum mu_code catalog__check_put(struct catalog *c, struct mu_span node_key,
                                const struct row *service, const struct command_check *check,
                                struct mu_err *err)
{
    struct row row;
    struct row old;
    bool found = false;

    check_row(c, node_key, service, check, &row);
    enum mu_code rc = catalog__row_find(&c->rows, ROW_CHECKS, row.v, &c->arena, &old, &found, err);

    if (rc != MU_OK || (found && catalog__row_same(&old, &row, CHECK_CREATED))) {
        return rc;
    }
    return check_store(c, found ? &old : NULL, &row, err);
}

enum mu_code catalog__checks_follow(struct catalog *c, const struct row *service,
                                    struct mu_err *err)
{
    struct row_list checks;
    enum mu_code rc = catalog__row_scan(&c->rows, ROW_CHECKS, service->v[SERVICE_NODE].bytes,
                                        &c->arena, &checks, err);

    for (size_t i = 0; rc == MU_OK && i < checks.count; i++) {
        struct row row = checks.items[i];

        if (mu_span_eq(row.v[CHECK_SERVICE_KEY].bytes, service->v[SERVICE_KEY].bytes)) {
            attach(&row, service);
            rc = check_store(c, &checks.items[i], &row, err);
        }
    }
    return rc;
}

enum mu_code catalog__check_remove(struct catalog *c, const struct row *check, struct mu_err *err)
{
    enum mu_code rc = catalog__row_remove(&c->rows, ROW_CHECKS, check, err);

    catalog__touch(c, COUNTER_CHECKS);
    catalog__changed(c, CATALOG_CHECKS, MU_SPAN_NONE);
    catalog__changed(c, CATALOG_NODE, check->v[CHECK_NODE].bytes);
    if (is_node_level(check)) { /* the list of services moves with this, and only with this */
        catalog__touch(c, COUNTER_SERVICES);
        catalog__changed(c, CATALOG_SERVICES, MU_SPAN_NONE);
    }
    if (rc == MU_OK) {
        rc = catalog__sessions_end_of_check(c, check->v[CHECK_NODE].bytes,
                                            check->v[CHECK_KEY].bytes, err);
    }
    return rc == MU_OK ? touch_judged(c, check, err) : rc;
}
