/* clock.h - the clocks drivers read, and how time is written.
 *
 * Cores never call the first two functions: time is a parameter there.
 */
#ifndef MU_BASE_CLOCK_H
#define MU_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define MU_NS_PER_MS 1000000LL
#define MU_NS_PER_S  1000000000LL

uint64_t mu_clock_ms(void);     /* CLOCK_BOOTTIME: goes on in suspend, never back */
uint64_t mu_clock_ns(void);     /* the same clock */
int64_t mu_clock_wall_ns(void); /* CLOCK_REALTIME, since 1970 */

#define MU_TIME_TEXT_MAX 40
/* RFC 3339 in UTC: digits of fraction 0..9, trailing zeros kept. "2026-11-20T08:40:54.958Z" */
void mu_time_text(int64_t wall_ns, unsigned digits, char out[MU_TIME_TEXT_MAX]);

#define MU_DURATION_TEXT_MAX 32
/* Go's duration syntax: optional sign, decimal numbers each with a unit of ns us µs ms s m h:
 * "1h30m", "1.5s", "-2ms", "0". False: not one, or outside of int64 nanoseconds. On failure *why
 * (may be NULL) says it in Go's words: `time: missing unit in duration "10"`. */
bool mu_duration_parse(struct mu_span text, int64_t *ns, char *why, size_t why_bytes);
/* Go's output form: "10s", "1m0s", "200ms", "1.5s", "0s", "24h0m0s". */
void mu_duration_text(int64_t ns, char out[MU_DURATION_TEXT_MAX]);

#endif
