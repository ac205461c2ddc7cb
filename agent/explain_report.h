/* explain_report.h - what an agent answers when it is asked about a member: one text.
 *
 *   muster explain 1
 *   account failed dead 12300 2097152 14100 13900 310 3 0
 *            status, state, for ms, incarnation, last ack and datagram ms ago (2^64-1: never),
 * round trip in us, probes missed, health score of the seer. Not there: not known suspicion silent
 * 1 2 800      evidence, confirmations, wanted, ms to the deadline leader critical paused 600000 4
 * 9     serfHealth, plan, ms, failed and all members change missed refused 14000 2097152 2 1 1
 *   change dead - 12300 2097152 0 0 0 name
 *            what, way, ms ago, incarnation, helpers asked, refused, nacks, by whom; newest first
 *   more                          older ones had no room
 *
 * Errors:  MU_CORRUPT for what is no such text.
 */
#ifndef AGENT_EXPLAIN_REPORT_H
#define AGENT_EXPLAIN_REPORT_H

#include "agent/explain.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define EXPLAIN_REPORT_BYTES 900 /* fits an answer to a query, sealed and all */
#define EXPLAIN_CHANGES_MAX  32  /* that are read */

void explain_report_write(struct mu_buf *to, const struct agent_account *account);
/* `seen_by` of the account is left to the caller. */
MU_MUST_CHECK enum mu_code explain_report_read(struct mu_span text, struct mu_arena *arena,
                                               struct agent_account *out, struct mu_err *err);

#endif
