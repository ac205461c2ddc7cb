/* tally.h - how often things happened, by the names that users give them: events, queries, scripts.
 * Private to agent/.
 *
 * Anybody can send an event under a new name, so that names are bounded: the first TALLY_MAX have a
 * row each, which stays where it is; what comes under others is counted by nobody.
 *
 * Thread:  the loop's.
 */
#ifndef AGENT_TALLY_H
#define AGENT_TALLY_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/metrics.h"

#define TALLY_MAX        32
#define TALLY_NAME_BYTES 96 /* longer ones are cut */

struct tally; /* opaque */

/* *t is NULL before the first. */
void tally_add(struct tally **t, const char *prefix, const char *name, double value);
void tally_free(struct tally *t); /* NULL is fine */
/* "serf.events.deploy" and what was added of it; false: nothing in this row yet. */
bool tally_row(const struct tally *t, size_t at, const char **name, struct mu_sample *sample);

#endif
