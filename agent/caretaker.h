/* caretaker.h - the leader's care for the servers: what autopilot.h decides, carried out. For
 * operator.c and caretaker.c.
 */
#ifndef AGENT_CARETAKER_H
#define AGENT_CARETAKER_H

#include "autopilot.h"
#include "core.h"

struct caretaker {
    struct autopilot *pilot;
    struct autopilot_output report; /* of the last look */
    bool is_in_office;
    struct timer timer;
    struct caretaker_seeding *seeding; /* the first configuration is being written */
    char said_held[AUTOPILOT_WHY_MAX]; /* the last complaints: each is logged once */
    char said_old[AUTOPILOT_WHY_MAX];
    struct mu_link wishes; /* operator.c: removals that are held */
};

/* operator.c: answer what is held. */
void agent__wishes_close(struct agent *a);

/* Everything for one step; `room` takes the servers. */
MU_MUST_CHECK enum mu_code caretaker_gather(struct agent *a,
                                            struct autopilot_server room[AUTOPILOT_SERVERS_MAX],
                                            struct autopilot_input *in,
                                            struct consensus_status *status, struct mu_err *err);

#endif
