/* harm.c - copies that are damaged: entries, states, and states that are not what was applied (spec
 * 2.16, 3.6).
 *
 * One server at a time, in clusters of three or more whose members stay: others then have all that
 * it has lost. Until it has it again it is harmed, and nobody else is.
 */
#include "base/assert.h"
#include "drive.h"

bool drive_is_odd(const struct sim_node *n)
{
    return n->disk.is_spoiled || (n->core != NULL && n->core->death == CONSENSUS_DEATH_DIVERGED);
}

bool drive_is_holed(const struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (d->w->nodes[i].disk.floor_index != 0 || drive_is_odd(&d->w->nodes[i])) {
            return true;
        }
    }
    return false;
}

bool drive_is_harmed(const struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (d->w->nodes[i].disk.lacks_state) {
            return true;
        }
    }
    return drive_is_holed(d);
}

static bool may_harm(const struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (d->w->nodes[i].disk.log.last == 0) {
            return false; /* not yet formed everywhere: all are needed */
        }
    }
    return d->w->nodes_count >= 3 && d->plan.rate[DRIVE_change] == 0 &&
           d->plan.rate[DRIVE_wipe] == 0 && !drive_is_harmed(d);
}

/* Entries behind its state are damaged: a journal begins anew behind it and knows how far it went.
 */
void drive_rot(struct drive *d)
{
    struct sim_node *n = &d->w->nodes[drive_below(d, d->w->nodes_count)];

    if (!may_harm(d)) {
        return;
    }
    if (n->is_up) {
        sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
    }
    sim_node_rot(d->w, n);
    d->restart_at[n->place] = d->w->now + drive_shrunk(d, 1000);
}

/* From now on its state is another one, and it does not know. */
void drive_spoil(struct drive *d)
{
    struct sim_node *n = &d->w->nodes[drive_below(d, d->w->nodes_count)];

    if (may_harm(d)) {
        n->disk.is_spoiled = true;
    }
}

void drive_set_right(struct drive *d)
{
    struct sim_node *n = d->misled;

    d->misled = NULL;
    if (n == NULL || d->w->nodes_count < 2) {
        return;
    }
    if (n->is_up) {
        sim_node_crash(d->w, n, 0);
    }
    n->expect -= n->expect > 0; /* unless it was wiped, and is to form nothing */
}

void drive_harm_start(struct drive *d, struct sim_node *n)
{
    struct mu_rand run = drive_stream(d, DOMAIN_STATE, 0, 0);
    struct mu_rand now = drive_stream(d, DOMAIN_STATE, n->place + 1, d->tick);

    if (mu_rand_below(&run, 4) == 0 && mu_rand_below(&now, 4) == 0 && n->disk.log.base > 0 &&
        may_harm(d)) {
        sim_node_lose_state(d->w, n);
    }
}
