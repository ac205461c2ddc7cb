/* antientropy.h - make the catalog say of this node what the node says of itself.
 *
 * The comparing half is pure: local registrations on one side, what the catalog holds of this node
 * on the other, commands out (spec/agent-behaviour.md 6.3). The owner fetches the one and proposes
 * the others, one at a time, and reports how each ended.
 *
 * Thread:  the loop's. Memory: the plan owns its commands until it is freed.
 */
#ifndef AGENT_ANTIENTROPY_H
#define AGENT_ANTIENTROPY_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/local.h"
#include "base/arena.h"
#include "proto/command.h"

/* This node's own record, as it should be registered. */
struct antientropy_node {
    struct command_node node; /* all fields set */
};

/* What the catalog holds: REGISTER commands that would make exactly that. */
struct antientropy_remote {
    bool exists;
    const struct command_register *registers;
    size_t count;
};

enum antientropy_what {
    ANTIENTROPY_NODE,
    ANTIENTROPY_SERVICE, /* with those of its checks that differ */
    ANTIENTROPY_CHECK,
    ANTIENTROPY_NO_SERVICE, /* deregister */
    ANTIENTROPY_NO_CHECK,
};

struct antientropy_step {
    enum antientropy_what what;
    struct mu_span id;      /* of the service or check; empty for the node */
    struct mu_span *checks; /* SERVICE: ids of the checks that go with it */
    size_t checks_count;
    struct command command;
};

struct antientropy_plan {
    struct mu_arena arena;
    struct antientropy_step *steps;
    size_t count;
};

void antientropy_plan_init(struct antientropy_plan *p);
void antientropy_plan_deinit(struct antientropy_plan *p);

/* A full pass: whatever differs, in both directions. `local` learns what is in sync and what is
 * not, and the tags of services that leave them to the catalog. defers_output: a check that
 * differs only in Output is left alone (6.4). */
void antientropy_full(struct antientropy_plan *p, struct local *local,
                      const struct antientropy_node *self, const struct antientropy_remote *remote,
                      bool defers_output);

/* A partial pass: only what `local` knows not to be in sync. */
void antientropy_partial(struct antientropy_plan *p, struct local *local,
                         const struct antientropy_node *self);

/* One step was carried out: `local` learns it. */
void antientropy_done(struct local *local, const struct antientropy_step *step);

#endif
