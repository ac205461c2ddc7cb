/* serf_snapshot.h - what Serf's snapshot file says, as what our own file would (13.12). For gossip/
 * only.
 *
 *   alive: NAME ADDR:PORT     a member, also the writer itself
 *   not-alive: NAME           failed, left or forgotten
 *   clock: 17                 Lamport time of the last intent seen; the newest line counts
 *   event-clock: 4            ... of the last user event that was delivered
 *   query-clock: 2            ... of the last query
 *   leave                     the writer left; a clock may come behind it, and its next lives
 *   coordinate: {...}         of no use to us, as a line that begins with # or is empty
 *
 * It only grows, until Serf writes it anew. Our times are the next ones, not the last: each is one
 * more. A line without its end was torn when Serf was killed, and tells a part of an address at
 * worst: it counts for nothing.
 */
#ifndef GOSSIP_SERF_SNAPSHOT_H
#define GOSSIP_SERF_SNAPSHOT_H

#include "state.h"

#define GOSSIP__SERF_SNAPSHOT_MAX (64U << 20) /* Serf's grow to 128 KiB, or 256 bytes a member */
#define GOSSIP__SERF_LINE_MAX     4096        /* names have 128 bytes at most, coordinates 300 */

struct gossip__serf_snapshot {
    struct gossip__kept kept;    /* skipped: lines that are too long, torn, or not of those above */
    size_t skipped_line;         /* the first of them, from 1; 0: none */
    struct mu_span skipped_text; /* how it begins: a view into the text */
};

/* Never fails. `self` is not among whom it knew. Strings are in the arena. */
void gossip__serf_snapshot_read(struct mu_span text, const char *self, struct mu_arena *arena,
                                struct gossip__serf_snapshot *out);

#endif
