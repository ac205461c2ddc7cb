/* autopilot_view.c - see autopilot_view.h. */
#include "autopilot_view.h"

#include <stdio.h>

#include "base/assert.h"

static enum autopilot_status status_of(enum gossip_status status)
{
    switch (status) {
    case GOSSIP_STATUS_NONE: return AUTOPILOT_UNKNOWN;
    case GOSSIP_STATUS_ALIVE: return AUTOPILOT_ALIVE;
    case GOSSIP_STATUS_LEAVING: return AUTOPILOT_LEAVING;
    case GOSSIP_STATUS_LEFT: return AUTOPILOT_LEFT;
    case GOSSIP_STATUS_FAILED: return AUTOPILOT_FAILED;
    }
    MU_UNREACHABLE_CODE();
}

static struct autopilot_server *find_server(struct autopilot_view *view, const struct mu_id *id)
{
    for (size_t i = 0; i < view->count; i++) {
        if (mu_id_eq(&view->servers[i].id, id)) {
            return &view->servers[i];
        }
    }
    return NULL;
}

void autopilot_view_configured(struct autopilot_view *view, const struct mu_id *self)
{
    MU_ASSERT(view->count == 0);
    for (uint32_t i = 0; i < view->config.servers_count; i++) {
        const struct consensus_server *s = &view->config.servers[i];

        view->servers[view->count++] = (struct autopilot_server){
            .id = s->id,
            .disk = s->disk,
            .is_configured = true,
            .is_voter = consensus_server_votes(s),
            .is_self = mu_id_eq(&s->id, self),
        };
    }
}

void autopilot_view_progress(struct autopilot_view *view, const struct consensus_status *status)
{
    for (size_t i = 0; i < status->peers_count; i++) {
        const struct consensus_peer_status *p = &status->peers[i];
        struct autopilot_server *s = find_server(view, &p->id);

        MU_ASSERT(s != NULL);
        s->contact_ms = p->acked_ms;
        s->match = p->match;
        s->is_store_slow = p->is_store_slow;
        s->has_diverged = p->has_diverged;
        s->level = p->level;
    }
}

/* It belongs to this cluster, but the entry that added it is lost with a former leader. */
static bool was_lost(const struct autopilot_view *view, const struct autopilot_sighting *seen)
{
    return mu_id_eq(&seen->cluster, &view->cluster) &&
           consensus_config_find(&view->config, &seen->server) == NULL &&
           !consensus_config_has_removed(&view->config, &seen->disk);
}

void autopilot_view_seen(struct autopilot_view *view, const struct autopilot_sighting *seen)
{
    struct autopilot_server *s = find_server(view, &seen->server);

    if (s == NULL) {
        if (view->count == AUTOPILOT_SERVERS_MAX) {
            return;
        }
        s = &view->servers[view->count++];
        *s = (struct autopilot_server){ .id = seen->server };
    } else if (s->status != AUTOPILOT_UNKNOWN && seen->status != GOSSIP_STATUS_ALIVE) {
        return;
    }
    s->status = status_of(seen->status);
    s->disk_seen = seen->disk;
    s->level = s->is_configured ? s->level : seen->level;
    s->is_fresh = mu_id_is_none(&seen->cluster) || was_lost(view, seen);
    (void)snprintf(s->name, sizeof s->name, "%s", seen->name);
}
