/* reconcile_command.h - an action of the reconciler as a command for the log, if it needs one.
 *
 * Compares what gossip says of a member with what the catalog holds of the node of that name, and
 * says what is to be written so that they agree. A function of the two; tests/sim runs it too.
 *
 * Memory:  the command's spans are in the arena, or views into `member` and the action.
 * Errors:  those of reading the catalog.
 */
#ifndef AGENT_RECONCILE_COMMAND_H
#define AGENT_RECONCILE_COMMAND_H

#include "base/arena.h"
#include "base/err.h"
#include "catalog/query.h"
#include "gossip/gossip.h"
#include "proto/command.h"
#include "reconcile.h"

#define RECONCILE_HEALTH "serfHealth" /* the check by which the leader says who is alive */

enum reconcile_need {
    RECONCILE_NOTHING, /* the catalog says so already, or the member is gone meanwhile */
    RECONCILE_WRITE,
    RECONCILE_WRITE_FIRST, /* once it is written, ask again: there is more */
};

/* member: as gossip knows it now; NULL: it does not. */
MU_MUST_CHECK enum mu_code reconcile_command(struct catalog_reader *reader,
                                             const struct reconcile_action *what,
                                             const struct gossip_view *member,
                                             struct mu_arena *arena, struct command *out,
                                             enum reconcile_need *need, struct mu_err *err);

#endif
