/* stand_back.c - a server without a leader as one of those that a recovery asks (recover.h).
 *
 *   TAKING PART --told by D--> STANDING BACK --others are in a newer epoch--> what it held is set
 *        ^                          |                          aside, it starts over and joins them
 *        '-- D gave up, 15 s -------'
 *
 * Standing back it sends and hears no message of consensus, as if it were cut off. So from its
 * answer on what it holds cannot change, and no quorum of the old epoch can be made with it: should
 * the lost ones come back in that moment, they are too few to commit anything that D does not have.
 *
 * That is not kept over a restart. Whoever starts in between takes part again, sees the new epoch,
 * and ends (member.c): it has to be told by hand to join as new.
 */
#include <stdio.h>
#include <string.h>

#include "aside.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

/* -- where this server is ---------------------------------------------------------------------- */

static const char *reason_to_stay(struct agent *a, const struct consensus_status *status)
{
    if (a->data.is_temporary) {
        return "its data directory is a temporary one, and goes with it";
    }
    if (agent__read_only_ms(a) > 0) {
        return "its file system takes no writes";
    }
    if (status->lacks_state) {
        return "it has lost its state, and waits for one from a leader";
    }
    if (status->floor_index > 0) {
        return "its log lost entries at its end that it had once";
    }
    return "";
}

void agent__recover_position(struct agent *a, struct recovery_position *out, struct mu_id *leader)
{
    struct consensus_identity id = consensus_driver_identity(a->consensus);
    struct consensus_status status;
    struct consensus_config config;

    consensus_driver_status(a->consensus, &status);
    consensus_driver_config(a->consensus, &config);
    *out = (struct recovery_position){
        .server = a->data.node,
        .disk = id.disk,
        .cluster = id.cluster,
        .epoch = id.epoch,
        .term = status.term,
        .last_index = status.last_index,
        .last_term = status.last_term,
        .applied_index = status.applied,
        .config_index = status.config_index,
    };
    agent__recovery_servers(&config, out);
    (void)snprintf(out->damage, sizeof out->damage, "%s", reason_to_stay(a, &status));
    *leader = status.leader;
}

/* -- standing back ----------------------------------------------------------------------------- */

bool agent__stands_back(const struct agent *a)
{
    return timer_is_set(&a->back.timer);
}

static void on_patience(void *data)
{
    struct agent *a = data;

    mu_log(MU_WARN, "agent.server.raft",
           "The recovery did not come about: this server takes part as before",
           mu_kv("by", a->back.name));
}

enum mu_code agent__stand_back(struct agent *a, const struct mu_id *driver, const char *name,
                               struct mu_err *err)
{
    struct consensus_status status;

    if (agent__stands_back(a) && !mu_id_eq(&a->back.driver, driver)) {
        unsigned left_ms = (unsigned)(a->back.timer.at_ms - timers_now(a->timers));

        return mu_fail(err, MU_BUSY, "it stands back for a recovery by %s, for %u s more",
                       a->back.name, left_ms / 1000 + 1);
    }
    consensus_driver_status(a->consensus, &status);
    if (status.config_index == 0 || !mu_id_is_none(&status.leader)) {
        return MU_OK; /* it has nothing to stand back with, or no reason to: its answer says so */
    }
    a->back.driver = *driver;
    (void)snprintf(a->back.name, sizeof a->back.name, "%s", name);
    timer_set(a->timers, &a->back.timer, AGENT__STANDS_BACK_MS, on_patience, a);
    mu_log(MU_WARN, "agent.server.raft",
           "A recovery has begun: this server stands back from the old epoch", mu_kv("by", name));
    return MU_OK;
}

void agent__stand_back_end(struct agent *a, const struct mu_id *driver)
{
    if (agent__stands_back(a) && mu_id_eq(&a->back.driver, driver)) {
        timer_cancel(&a->back.timer);
        a->back.driver = MU_ID_NONE;
        mu_log(MU_INFO, "agent.server.raft",
               "The recovery was given up: this server takes part as before",
               mu_kv("by", a->back.name));
    }
}

/* -- going along ------------------------------------------------------------------------------- */

/* Also when its patience was over, and whoever it hears of it from: others than the one that asked
 * may have joined that by now. */
bool agent__goes_along(struct agent *a)
{
    char folder[RECOVERY_FOLDER_MAX];
    struct mu_err err = MU_ERR_NONE;

    if (mu_id_is_none(&a->back.driver) || mu_id_eq(&a->back.driver, &a->data.node)) {
        return false;
    }
    recovery_aside_name(a->data.dir, folder);
    if (aside_begin(a->data.dir, folder, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "Cannot set aside what this server held",
               mu_kv("error", err.text));
        return false;
    }
    mu_log(
        MU_WARN, "agent.server",
        "The cluster was recovered: what this server held is set aside, it starts over and joins "
        "as a new one",
        mu_kv("by", a->back.name), mu_kv("folder", folder));
    agent__end(a, AGENT_AGAIN);
    return true;
}
