#include "level.h"

#include <stdio.h>

#include "proto/command.h"

uint32_t agent__level_max(const struct agent *a)
{
    uint32_t known = command_level_max();
    int64_t told = a->config->command_level_max;

    return told > 0 && told < (int64_t)known ? (uint32_t)told : known;
}

static void least_take(struct agent *a, const struct mu_id *id, uint32_t level,
                       struct agent__least *out)
{
    struct agent__server known = { .name = "(unknown)" };

    (void)agent__server_find(a, id, &known);
    out->level = level;
    (void)snprintf(out->name, sizeof out->name, "%s", known.name);
}

bool agent__level_least(struct agent *a, const struct consensus_status *status,
                        struct agent__least *out)
{
    if (status->role != CONSENSUS_LEADER) {
        return false;
    }
    out->level = status->level_max;
    (void)snprintf(out->name, sizeof out->name, "%s", a->config->node_name);
    for (size_t i = 0; i < status->peers_count; i++) {
        if (status->peers[i].level < out->level) {
            least_take(a, &status->peers[i].id, status->peers[i].level, out);
        }
    }
    return true;
}

void agent__level_refusal(struct agent *a, struct mu_span command, char *to, size_t bytes)
{
    uint32_t needed = command_level(command);
    struct consensus_status status;
    struct agent__least least;

    consensus_driver_status(a->consensus, &status);
    int used = snprintf(to, bytes, "command '%s' needs level %u of the cluster, which is at %u",
                        command_kind_text(command_kind_of(command)), needed, status.level);
    size_t at = used > 0 && (size_t)used < bytes ? (size_t)used : bytes - 1;

    if (!agent__level_least(a, &status, &least)) {
        return;
    }
    if (least.level >= needed) {
        (void)snprintf(to + at, bytes - at, " and about to rise: try again");
    } else if (least.level == 0) {
        (void)snprintf(to + at, bytes - at, ": server '%s' does not answer", least.name);
    } else {
        (void)snprintf(to + at, bytes - at, ": server '%s' understands up to %u", least.name,
                       least.level);
    }
}
