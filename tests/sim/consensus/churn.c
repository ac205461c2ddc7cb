/* churn.c - servers come and go while everything else goes wrong (spec/consensus.md 2.8, 4.3).
 *
 * Whoever believes to lead is asked for changes of any kind, two leaders at once as well; spare
 * servers enter, removed ones learn of it, lose their disks and come back as new ones. Only what no
 * cluster survives is left out: more lost disks than some configuration that may be in force can
 * miss.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "drive.h"

/* -- what may be in force ------------------------------------------------------------------ */

static struct sim_node *node_of(struct drive *d, const struct consensus_server *s)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (mu_id_eq(&d->w->nodes[i].id, &s->id) && mu_id_eq(&d->w->nodes[i].disk.id, &s->disk)) {
            return &d->w->nodes[i];
        }
    }
    return NULL;
}

/* Would a quorum of `config` have its disks, if `without` lost its own? */
static bool survives(struct drive *d, const struct consensus_config *config,
                     const struct sim_node *without)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        const struct sim_node *n = node_of(d, &config->servers[i]);

        bits |= n != NULL && n != without ? 1U << i : 0;
    }
    return consensus__quorum_of(config, bits);
}

static bool disk_survives(struct drive *d, const struct sim_disk *disk,
                          const struct sim_node *without)
{
    for (uint64_t i = disk->log.base + 1; i <= disk->log.last; i++) {
        const struct sim_entry *e = sim_log_at(&disk->log, i);

        if (e->kind == CONSENSUS_CONFIG && i > sim_check_config(d->w)->index &&
            !survives(d, &d->w->configs[e->content], without)) {
            return false;
        }
    }
    return true;
}

/* The newest committed configuration, and all newer ones that anybody has, in memory or on disk. */
static bool all_survive(struct drive *d, const struct sim_node *without)
{
    const struct consensus_config *committed = sim_check_config(d->w);

    if (committed == NULL || !survives(d, committed, without)) {
        return false;
    }
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        const struct sim_node *n = &d->w->nodes[i];

        for (uint32_t k = 0; n->core != NULL && k < n->core->configs_count; k++) {
            if (n->core->configs[k].index > committed->index &&
                !survives(d, &n->core->configs[k], without)) {
                return false;
            }
        }
        if (!disk_survives(d, &n->disk, without)) {
            return false;
        }
    }
    return true;
}

bool drive_may_lose_disk(struct drive *d, const struct sim_node *n)
{
    return all_survive(d, n);
}

uint32_t drive_members(struct drive *d)
{
    const struct consensus_config *config = sim_check_config(d->w);
    uint32_t bits = 0;

    for (uint32_t i = 0; config != NULL && i < config->servers_count; i++) {
        const struct sim_node *n = node_of(d, &config->servers[i]);

        bits |= n != NULL ? 1U << n->place : 0;
    }
    return bits;
}

/* -- asking for it ------------------------------------------------------------------------- */

/* Anybody that believes to lead; else anybody. */
static struct sim_node *any_leader(struct drive *d)
{
    uint32_t from = (uint32_t)drive_below(d, d->w->nodes_count);
    struct sim_node *any = NULL;

    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[(from + i) % d->w->nodes_count];
        bool can = n->is_up && n->core != NULL && n->dead == NULL && n->paused_until <= d->w->now;

        if (can && n->core->role == CONSENSUS_LEADER) {
            return n;
        }
        any = can ? n : any;
    }
    return any;
}

static struct mu_id some_server(struct drive *d, const struct consensus_config *now,
                                bool is_learner)
{
    uint32_t from = (uint32_t)drive_below(d, CONSENSUS_PEERS_MAX);

    for (uint32_t i = 0; i < now->servers_count; i++) {
        const struct consensus_server *s = &now->servers[(from + i) % now->servers_count];

        if (is_learner ? s->is_learner : s->is_voter) {
            return s->id;
        }
    }
    return MU_ID_NONE;
}

/* What operators ask for who look at an old list, or mistype. */
static void make_odd(struct drive *d, const struct sim_node *other, struct consensus_change *what)
{
    switch (drive_below(d, 12)) {
    case 0: what->server = other->id; break; /* whatever its role is */
    case 1: what->by = other->id; break;
    case 2: what->server = MU_ID_NONE; break;
    case 3: what->disk = what->kind == CONSENSUS_ADD ? MU_ID_NONE : other->disk.id; break;
    case 4: what->by = MU_ID_NONE; break;
    case 5: what->priority = 0; break;
    default:
        (void)snprintf(what->address, sizeof what->address, "10.0.0.%u:8300",
                       (unsigned)drive_below(d, 4));
        break;
    }
}

/* Does it count somebody as alive whose disk is lost? What that one had said may come late. */
static bool hears_the_dead(struct drive *d, const struct sim_node *n)
{
    const struct consensus_config *now = consensus_config_now(n->core);

    for (uint32_t i = 0; i < now->servers_count; i++) {
        const struct consensus__peer *p = consensus__peer_find(n->core, &now->servers[i].id);

        if (node_of(d, &now->servers[i]) == NULL && p != NULL && p->acked_ms != 0 &&
            p->acked_ms + n->core->options.election_ms_min >= n->core->now_ms) {
            return true;
        }
    }
    return false;
}

void drive_change(struct drive *d)
{
    struct sim_node *n = any_leader(d);
    struct sim_node *other = &d->w->nodes[drive_below(d, d->w->nodes_count)];
    struct consensus_change what = { 0 };

    /* One after the other: the order within an initializer is the compiler's. */
    what.kind = (enum consensus_change_kind)drive_below(d, CONSENSUS_REPLACE + 1);
    what.priority = (uint8_t)drive_below(d, 3);

    if (n == NULL || hears_the_dead(d, n)) {
        return;
    }
    const struct consensus_config *now = consensus_config_now(n->core);

    what.server = other->id;
    what.level = other->level_max;
    if (what.kind == CONSENSUS_ADD) {
        what.disk = other->disk.id;
    } else if (what.kind == CONSENSUS_PROMOTE || what.kind == CONSENSUS_DEMOTE) {
        what.server = some_server(d, now, what.kind == CONSENSUS_PROMOTE);
    } else if (what.kind == CONSENSUS_REPLACE) {
        what.server = some_server(d, now, false);
        what.by = some_server(d, now, true);
    }
    if (d->plan.rate[DRIVE_odd] > 0) {
        make_odd(d, other, &what);
    }
    (void)sim_change(d->w, n, &what);
}

void drive_transfer(struct drive *d)
{
    struct sim_node *n = any_leader(d);
    struct mu_id to = d->w->nodes[drive_below(d, d->w->nodes_count)].id;

    if (n != NULL) {
        (void)sim_transfer(d->w, n, drive_below(d, 2) == 0 ? &MU_ID_NONE : &to);
    }
}

/* A removed server has stopped: with an empty disk it is a new one, or it stays away. */
void drive_bury_removed(struct drive *d, struct sim_node *n)
{
    sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
    if (drive_below(d, 3) != 0) {
        sim_node_wipe(d->w, n);
        n->expect = 0; /* whoever wipes a server of a cluster does not let it form another one */
        d->restart_at[n->place] = d->w->now + drive_below(d, 500);
    } else {
        d->restart_at[n->place] = SIM_NEVER;
    }
}
