/* drive.h - one simulated run: its plan, its faults (faults.c) and its phases (sim.c). */
#ifndef SIM_CONSENSUS_DRIVE_H
#define SIM_CONSENSUS_DRIVE_H

#include "base/rand.h"
#include "world.h"

enum { HISTORY = 64 };

/* What kind of run this is. Probabilities in 1/1000; 0: this class is off. */
struct plan {
    uint32_t loss, twice, delay_ms, tail; /* network; tail: messages that take up to a second */
    uint32_t disk_ms, disk_tail;
    uint32_t apply_ms;
    /* how often per simulated second something of the class begins, in 1/1000 */
    uint32_t crash, cut, pause, clog, replay, stall, health, fail, links, compact, wipe, jump, stop;
    uint32_t propose, read; /* likewise */
    uint32_t bytes_max, count_max;
    uint64_t duration_ms;
    bool is_formed, has_clocks, relocates;
};

struct drive {
    struct sim_world *w;
    struct mu_rand rand;
    struct plan plan;
    uint64_t next_content;
    uint64_t restart_at[SIM_NODES_MAX];
    uint64_t heal_at;
    uint64_t clog_until[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t stall_until[SIM_NODES_MAX];
    bool is_wiped[SIM_NODES_MAX];
    struct sim_message *history[HISTORY];
    uint32_t history_next;
    uint64_t last_committed; /* by on_result */
};

uint64_t drive_below(struct drive *d, uint64_t bound); /* uniform in [0, bound) */

/* Draw what kind of run the seed gives, and its world, all servers down. */
void drive_draw(struct drive *d, uint64_t seed);
/* What begins within the next tick: faults, and the work of clients. */
void drive_act(struct drive *d, uint32_t tick_ms);
/* From now on the network and the disks of all servers are as good as they get. */
void drive_calm(struct drive *d);

#endif
