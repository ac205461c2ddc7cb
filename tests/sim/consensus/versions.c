/* versions.c - servers of two versions, which know one kind of command less or more (row 85).
 *
 * What is proposed with SIM_NEW_KIND in its content is a command that only the newer version
 * carries out. Which version a server is started with is its owner's choice, each time anew.
 */
#include "world.h"

uint32_t sim_level_of(uint64_t content)
{
    return (content & SIM_NEW_KIND) != 0 ? SIM_LEVEL_NEW : CONSENSUS_LEVEL_FIRST;
}

uint32_t sim_disk_level(const struct sim_world *w, const struct sim_node *n)
{
    const struct sim_log *log = &n->disk.log;

    for (uint64_t i = log->last; i > log->base; i--) {
        const struct sim_entry *e = sim_log_at(log, i);

        if (e->kind == CONSENSUS_CONFIG) {
            return w->configs[e->content].level;
        }
    }
    return log->config_index > 0 ? w->configs[log->config].level : 0;
}

void sim_level_said(struct sim_node *n, uint32_t level)
{
    n->disk.level_said = level > n->disk.level_said ? level : n->disk.level_said;
}

/* A server would refuse to open its log (consensus/node.c). */
bool sim_version_fits(const struct sim_world *w, const struct sim_node *n)
{
    return sim_disk_level(w, n) <= n->level_max;
}

void sim_check_level_applied(struct sim_world *w, const struct sim_node *n, uint64_t index,
                             const struct sim_entry *e)
{
    uint32_t level = e->kind == CONSENSUS_COMMAND ? sim_level_of(e->content) : 0;

    if (level > n->level_max) {
        sim_fail(w, "I25: %s applies entry %llu, of a kind that its version does not know", n->name,
                 U(index));
    }
    if (level > 0 && level > sim_check_config(w)->level) {
        sim_fail(w, "I25: entry %llu is of level %u, which no configuration allows", U(index),
                 level);
    }
}

void sim_check_outdated(struct sim_world *w, const struct sim_node *n)
{
    if (n->disk.level_said <= n->level_max) {
        sim_fail(w, "I25: %s is shut out by a level that it never said it understands", n->name);
    }
}

void sim_check_level_refused(struct sim_world *w, const struct sim_node *n,
                             const struct sim_ticket *t)
{
    /* not the newest, which it may have made behind the refusal, in one step */
    const struct consensus_config *config = consensus__config_below(n->core, n->core->commit + 1);
    uint32_t level = config != NULL ? config->level : CONSENSUS_LEVEL_FIRST;

    if (t->kind != SIM_PROPOSAL || sim_level_of(t->content) <= level) {
        sim_fail(w, "I25: %s refuses what level %u allows", n->name, level);
    }
}
