/* cuts.c - all 64 patterns of one-way cuts among three servers (spec/consensus.md 2.18).
 *
 * With a leader and without one when the cuts come: somebody who can commit leads within ten
 * election timeouts if and only if some server has two-way links with a quorum. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "world.h"

enum { NODES = 3, PATTERNS = 64, SEEDS = 3, FAILURE_MS = 10 * 2 * 500 };

static uint64_t one_ms(void *data, uint32_t node)
{
    (void)data;
    (void)node;
    return 1;
}

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    (void)data;
    return 1 + m->number % 3;
}

static bool never_twice(void *data, const struct sim_message *m)
{
    (void)data;
    (void)m;
    return false;
}

static void cut(struct sim_world *w, unsigned pattern)
{
    unsigned bit = 0;

    for (uint32_t i = 0; i < NODES; i++) {
        for (uint32_t j = 0; j < NODES; j++) {
            if (i != j) {
                w->is_cut[i][j] = (pattern >> bit++) & 1U;
            }
        }
    }
}

static bool has_center(const struct sim_world *w)
{
    for (uint32_t i = 0; i < NODES; i++) {
        for (uint32_t j = 0; j < NODES; j++) {
            if (i != j && !w->is_cut[i][j] && !w->is_cut[j][i]) {
                return true; /* itself and one other are a quorum of three */
            }
        }
    }
    return false;
}

/* Does a write proposed now to whoever leads commit within the time? */
static bool commits(struct sim_world *w)
{
    uint64_t until = w->now + FAILURE_MS;
    uint64_t acknowledged = sim_check_acknowledged(w);
    uint64_t content = 1000;

    while (w->now < until && sim_check_acknowledged(w) == acknowledged) {
        for (uint32_t i = 0; i < NODES; i++) {
            if (w->nodes[i].core->role == CONSENSUS_LEADER && w->nodes[i].core->office.is_ready) {
                (void)sim_propose(w, &w->nodes[i], 1, content++, 10);
            }
        }
        sim_run_until(w, w->now + 100);
    }
    return sim_check_acknowledged(w) > acknowledged;
}

static void run(unsigned pattern, uint64_t seed, bool with_leader)
{
    static const struct sim_policy policy = { NULL,   net_ms, never_twice, one_ms, one_ms,
                                              one_ms, NULL,   NULL,        NULL };
    static const char *const names[NODES] = { "a", "b", "c" };
    struct consensus_options options;

    consensus_options_init(&options, CONSENSUS_LAN, 1);
    struct sim_world *w = sim_world_new(&options, &policy, seed);

    for (uint32_t i = 0; i < NODES; i++) {
        (void)sim_node_add(w, names[i], 0);
    }
    sim_world_form(w);
    for (uint32_t i = 0; i < NODES; i++) {
        sim_node_start(w, &w->nodes[i]);
    }
    if (with_leader) {
        sim_run_until(w, 3000);
        MU_ASSERT(sim_leader(w) != NULL);
    }
    cut(w, pattern);
    if (with_leader) { /* whoever led and may no longer has to notice first */
        sim_run_until(w, w->now + 2 * 500);
    }
    bool did = commits(w);

    if (did != has_center(w)) {
        sim_fail(w, "pattern %u: %s", pattern,
                 did ? "commits without two-way links to a quorum" : "nobody commits");
    }
    sim_world_free(w);
}

static void on_abort(int signal_number)
{
    (void)signal_number;
    _exit(1);
}

int main(void)
{
    (void)signal(SIGABRT, on_abort);
    for (unsigned pattern = 0; pattern < PATTERNS; pattern++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            run(pattern, seed, false);
            run(pattern, seed, true);
        }
    }
    (void)printf("%d patterns of one-way cuts, %d times each\n", PATTERNS, 2 * SEEDS);
    return EXIT_SUCCESS;
}
