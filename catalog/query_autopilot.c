/* query_autopilot.c - how the leader cares for the servers, as it was set last. */
#include "reader.h"

enum mu_code catalog_query_autopilot(struct catalog_reader *r, struct mu_arena *arena,
                                     struct catalog_autopilot *out, struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_autopilot){ .is_set = false };
    catalog__walk(&w, r, READER_AUTOPILOT, arena, err);
    if (catalog__walk_next(&w)) {
        *out = (struct catalog_autopilot){
            .is_set = true,
            .cleanup_dead_servers = catalog__walk_number(&w, AUTOPILOT_CLEANUP) != 0,
            .last_contact_ns = catalog__walk_number(&w, AUTOPILOT_CONTACT_NS),
            .max_trailing_logs = catalog__walk_number(&w, AUTOPILOT_TRAILING),
            .min_quorum = catalog__walk_number(&w, AUTOPILOT_QUORUM),
            .stabilization_ns = catalog__walk_number(&w, AUTOPILOT_STABLE_NS),
            .redundancy_zone_tag = catalog__walk_bytes(&w, AUTOPILOT_ZONE_TAG),
            .disable_upgrade_migration = catalog__walk_number(&w, AUTOPILOT_NO_MIGRATION) != 0,
            .upgrade_version_tag = catalog__walk_bytes(&w, AUTOPILOT_VERSION_TAG),
            .create_index = catalog__walk_number(&w, AUTOPILOT_CREATED),
            .modify_index = catalog__walk_number(&w, AUTOPILOT_MODIFIED),
        };
    }
    return catalog__walk_end(&w);
}
