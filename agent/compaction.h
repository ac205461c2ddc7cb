/* compaction.h - when the leader lets old versions of keys go: small steps, one at a time.
 *
 * Versions that were overwritten are of no use to Consul's clients and go as soon as a step of them
 * has gathered, or after a quiet while. Deletion markers stay for RETENTION, by samples of which
 * revision it was when (spec/agent-behaviour.md 10: 15 minutes, granularity 30 seconds); a new
 * leader begins without samples, so markers may stay up to twice as long.
 *
 *   REST -- a step has gathered, or a while has passed --> IN FLIGHT -- ended --> REST
 *
 * A pure state machine. Thread: one owner. Time: milliseconds, monotonic, supplied.
 */
#ifndef AGENT_COMPACTION_H
#define AGENT_COMPACTION_H

#include <stdbool.h>
#include <stdint.h>

#define COMPACTION_RETENTION_MS   900000U
#define COMPACTION_GRANULARITY_MS 30000U
#define COMPACTION_STEP           256U  /* versions that are worth a step at once */
#define COMPACTION_ROWS           1024U /* in one step, when many have gathered */

struct compaction; /* opaque */

struct compaction *compaction_new(void);
void compaction_free(struct compaction *c); /* NULL is fine */

void compaction_lead(struct compaction *c, uint64_t now_ms);
void compaction_rest(struct compaction *c); /* it leads no more: forget everything */

/* What the state has come to: its revision, and up to which one it is compacted. */
void compaction_note(struct compaction *c, uint64_t rev, uint64_t compacted_rev);

struct compaction_step {
    uint64_t versions_rev, markers_rev;
    uint32_t rows;
};
/* Is a step due? Then it is in flight until it is ended. */
bool compaction_due(struct compaction *c, uint64_t now_ms, struct compaction_step *out);
/* did_succeed false: again after a pause. is_behind: there is more to do below its limits. */
void compaction_ended(struct compaction *c, const struct compaction_step *step, bool did_succeed,
                      bool is_behind, uint64_t now_ms);

uint64_t compaction_wake_ms(const struct compaction *c); /* 0: not in office */

#endif
