/* failures.h - how often this server has stopped for its storage lately, over restarts.
 *
 * A failed flush is never tried again: the server stops, and whoever supervises it starts it anew.
 * That is right once; a disk that fails again and again would have it come and go for ever, and
 * each time a leader may go with it. So the third failure within an hour keeps it down, until
 * somebody has looked (spec/consensus.md 2.15).
 *
 * Thread: the loop's; blocks for a small file, at the start or the end of the process.
 */
#ifndef AGENT_FAILURES_H
#define AGENT_FAILURES_H

#include <stdint.h>

#include "base/err.h"

#define FAILURES_MAX      3
#define FAILURES_WITHIN_S 3600

/* One more, at now_s (seconds since 1970); if the disk lets it be written. */
void failures_add(const char *path, uint64_t now_s, const char *why);
/* MU_IO: too many; the sentence has the last reason and names the file to remove. */
MU_MUST_CHECK enum mu_code failures_check(const char *path, uint64_t now_s, struct mu_err *err);

#endif
