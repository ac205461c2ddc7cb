/* aged.c - clusters with a past, and servers in sight that are none any more.
 *
 * An aged cluster has learners that nobody has heard of for long, as many as there may be, and a
 * list of removed disks that is nearly full. In the sight of servers that form one are others,
 * which gossip believes to be fresh and alive, and which never answer.
 */
#include <stdio.h>

#include "base/assert.h"
#include "world.h"

enum { GHOSTS_FIRST = 100 }; /* their ids come behind those of all that live, or before */

static struct mu_id ghost(uint32_t number, uint8_t kind)
{
    struct mu_id id = { { 0 } };

    id.b[0] = (uint8_t)number;
    id.b[1] = kind;
    id.b[15] = 1;
    return id;
}

void sim_age(struct consensus_config *config)
{
    for (uint32_t i = config->servers_count; i < CONSENSUS_PEERS_MAX; i++) {
        struct consensus_server *s = &config->servers[config->servers_count++];

        *s = (struct consensus_server){
            .id = ghost(GHOSTS_FIRST + i, 1),
            .disk = ghost(GHOSTS_FIRST + i, 2),
            .joined_index = 1,
            .is_learner = true,
        };
        (void)snprintf(s->address, sizeof s->address, "10.0.0.%u:8300", i);
    }
    while (config->removed_count < CONSENSUS_REMOVED_MAX - 2) {
        config->removed[config->removed_count] = ghost(config->removed_count + 1, 3);
        config->removed_count++;
    }
}

size_t sim_ghosts_in_sight(uint32_t expect, struct consensus_bootstrap_candidate *to)
{
    for (uint32_t i = 0; i < SIM_GHOSTS_MAX; i++) {
        to[i] = (struct consensus_bootstrap_candidate){
            .server = ghost(GHOSTS_FIRST + SIM_GHOSTS_MAX - i, 1),
            .disk = ghost(GHOSTS_FIRST + SIM_GHOSTS_MAX - i, 2),
            .expect = expect,
            .is_alive = true,
        };
    }
    return SIM_GHOSTS_MAX;
}
