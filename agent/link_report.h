/* link_report.h - what an agent answers when it is asked which ways carry nothing: one text.
 *
 *   muster links 1
 *   out open 7 name       its pings do not arrive at `name`; what it met on TCP; probes missed
 *   in silent 3 name      nothing of `name` arrives at it
 *   more                  there were others, but an answer has its bound
 *
 * Errors:  MU_CORRUPT for what is no such text.
 */
#ifndef AGENT_LINK_REPORT_H
#define AGENT_LINK_REPORT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "gossip/gossip.h"

#define LINK_REPORT_BYTES 900 /* fits an answer to a query, sealed and all */
#define LINK_REPORT_MAX   64  /* lines that are read */

void link_report_begin(struct mu_buf *to);
void link_report_add(struct mu_buf *to, const struct gossip_link *link);

struct link_report {
    struct gossip_link *items;
    size_t count;
    bool has_more;
};
MU_MUST_CHECK enum mu_code link_report_read(struct mu_span text, struct mu_arena *arena,
                                            struct link_report *out, struct mu_err *err);

const char *link_way_text(enum gossip_way way); /* "open", ... */

#endif
