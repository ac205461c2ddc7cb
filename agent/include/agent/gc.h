/* gc.h - what is going to be forgotten, when and by which rule: members that are gone, by gossip's
 * reaper, and nodes of the catalog with all that hangs on them, by the leader's reconciler. Told by
 * those two, not worked out again beside them. And all of it let go now, when somebody says so.
 *
 * The leader's: ask agent_leads() first.
 *
 * Thread:  the loop's.
 * Memory:  a listing lives in the caller's arena.
 */
#ifndef AGENT_GC_H
#define AGENT_GC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct agent;

#define AGENT_GC_MAX 256 /* entries that are listed, or let go, in one turn */

struct agent_gc_entry {
    const char *node;
    bool is_member;     /* gossip forgets it; else the catalog does */
    const char *status; /* "failed", "left", "leaving", "absent" (only the catalog knows it) */
    const char *rule;   /* the setting that decides, or "left", "pruned", "self-preservation" */
    uint64_t in_ms;     /* unless it comes back, or something else changes; 0: now */
    size_t services, checks, sessions; /* that go with it out of the catalog */
};

struct agent_gc {
    struct agent_gc_entry *entries; /* the soonest first */
    size_t count, total;            /* total: also those behind AGENT_GC_MAX */
    bool is_paused;                 /* by self-preservation */
    size_t failed, members;         /* by which it judges */
};

/* MU_NO_LEADER: this server leads, but has not taken office yet, or not any more. */
MU_MUST_CHECK enum mu_code agent_gc_look(struct agent *a, struct mu_arena *arena,
                                         struct agent_gc *out, struct mu_err *err);

struct agent_gone {
    size_t members, nodes; /* let go: by gossip; those that only the catalog knew */
    size_t left_over;      /* more than one turn takes: ask again */
};

/* Members that failed or left are pruned, their nodes leave the catalog with that; nodes that
 * gossip did not meet for absent_after are removed. MU_OK: `done` comes once, never from inside,
 * when the others were told (MU_TIMEOUT: not in time). Errors: MU_NO_LEADER as above, MU_CONFLICT
 * (self-preservation pauses removal, and not `forced`). */
typedef void agent_gone_fn(void *data, enum mu_code code, const struct agent_gone *gone,
                           const struct mu_err *err);
MU_MUST_CHECK enum mu_code agent_gc(struct agent *a, bool forced, agent_gone_fn *done, void *data,
                                    struct mu_err *err);

#endif
