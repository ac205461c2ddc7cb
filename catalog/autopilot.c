/* autopilot.c - how the leader cares for the servers: one row, replaced as a whole. */
#include "core.h"

static void settings_row(const struct command_autopilot *a, struct row *out)
{
    out->v[AUTOPILOT_ONE] = row_number(1);
    out->v[AUTOPILOT_CLEANUP] = row_number(a->cleanup_dead_servers);
    out->v[AUTOPILOT_CONTACT_NS] = row_number(a->last_contact_ns);
    out->v[AUTOPILOT_TRAILING] = row_number(a->max_trailing_logs);
    out->v[AUTOPILOT_QUORUM] = row_number(a->min_quorum);
    out->v[AUTOPILOT_STABLE_NS] = row_number(a->stabilization_ns);
    out->v[AUTOPILOT_ZONE_TAG] = row_bytes(a->redundancy_zone_tag);
    out->v[AUTOPILOT_NO_MIGRATION] = row_number(a->disable_upgrade_migration);
    out->v[AUTOPILOT_VERSION_TAG] = row_bytes(a->upgrade_version_tag);
}

enum mu_code catalog__autopilot(CATALOG_APPLY_ARGS)
{
    const struct command_autopilot *a = &command->autopilot;
    struct row_value key = row_number(1);
    struct row old, row;
    bool is_there = false;
    enum mu_code rc =
        catalog__row_find(&c->rows, ROW_AUTOPILOT, &key, &c->arena, &old, &is_there, err);

    if (rc != MU_OK) {
        return rc;
    }
    uint64_t index = is_there ? (uint64_t)old.v[AUTOPILOT_MODIFIED].number : 0;

    if (a->has_cas && a->cas != index) {
        return MU_OK; /* 0 asks for none to be there */
    }
    result->did_apply = true;
    settings_row(a, &row);
    if (is_there && catalog__row_same(&old, &row, AUTOPILOT_CREATED)) {
        return MU_OK;
    }
    row.v[AUTOPILOT_CREATED] = is_there ? old.v[AUTOPILOT_CREATED] : row_number(catalog__index(c));
    row.v[AUTOPILOT_MODIFIED] = row_number(catalog__index(c));
    return catalog__row_put(&c->rows, ROW_AUTOPILOT, is_there ? &old : NULL, &row, err);
}
