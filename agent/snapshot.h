/* snapshot.h - snapshots of the state: made, received, installed, beside the loop.
 *
 * Thread: the loop's; blocking work runs on a thread of its own.
 */
#ifndef AGENT_SNAPSHOT_H
#define AGENT_SNAPSHOT_H

#include <stdint.h>

struct agent;
struct consensus_snap_order;

void agent__snapshots_open(struct agent *a, uint64_t generation);
/* Waits for the work that runs. */
void agent__snapshots_close(struct agent *a);
/* Consensus wants this done, in order (consensus/driver.h). */
void agent__snapshot_order(struct agent *a, const struct consensus_snap_order *order);
/* The apply thread has reported: a state that waits may take its place. */
void agent__snapshot_poll(struct agent *a);
/* The state in use is no mere copy any more: written down. */
void agent__snapshot_proven(struct agent *a);

#endif
