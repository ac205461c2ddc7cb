/* doctor_report.h - what an agent answers when it is asked what is wrong: one text of findings.
 *
 *   muster doctor 1
 *   clock - 1700000000123       its wall clock, in milliseconds, when it answered
 *   state - 0 no-leader TAB why what is wrong with itself as a server
 *   busy - 17 -                 so many datagrams its kernel dropped, some of them lately
 *   refused - 17 10.0.0.3:8301 TAB dropped.unknown_key
 *                               what it turned away lately, from whom it came last, how often
 *   out open 7 name             its pings do not arrive at `name`; what it met on TCP; how many
 *                               probes were missed
 *   in silent 3 name            nothing of `name` arrives at it
 *   narrow - 1400 name          small datagrams arrive at `name`, those of so many bytes do not
 *   tcp silent 8301 name        what it met, dialling this port of `name`
 *   astray - 0 name TAB where   `name` does not answer where it says; what was seen of it instead
 *   failed refused 1200 name TAB by
 *                               `name` is failed for so many ms; who said so, on what evidence
 *   more                        there were others, but an answer has its bound
 *
 * Names come last on a line and hold no control characters.
 *
 * Errors:  MU_CORRUPT for what is no such text.
 */
#ifndef AGENT_DOCTOR_REPORT_H
#define AGENT_DOCTOR_REPORT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "gossip/gossip.h"

#define DOCTOR_REPORT_BYTES 900 /* fits an answer to a query, sealed and all */
#define DOCTOR_REPORT_MAX   64  /* lines that are read */
#define DOCTOR_TEXT_BYTES   400 /* of a name, or of what is said of it */

enum doctor_kind {
    DOCTOR_CLOCK,
    DOCTOR_STATE,
    DOCTOR_BUSY,
    DOCTOR_REFUSED,
    DOCTOR_OUT,
    DOCTOR_IN,
    DOCTOR_NARROW,
    DOCTOR_TCP,
    DOCTOR_ASTRAY,
    DOCTOR_FAILED,
};

struct doctor_line {
    enum doctor_kind kind;
    enum gossip_way way;
    uint64_t number;
    const char *name, *more; /* never NULL; "" and "-" as name are the same */
};

void doctor_report_begin(struct mu_buf *to);
/* A line for which there is no room becomes "more", and nothing follows that. */
void doctor_report_add(struct mu_buf *to, const struct doctor_line *line);

struct doctor_report {
    struct doctor_line *items;
    size_t count;
    bool has_more;
};
MU_MUST_CHECK enum mu_code doctor_report_read(struct mu_span text, struct mu_arena *arena,
                                              struct doctor_report *out, struct mu_err *err);

/* Is this clock of another off from ours? An answer is under way for less than what counts. */
bool doctor_clock_is_off(uint64_t their_ms, uint64_t our_ms, int64_t *ahead_ms);

const char *doctor_way_text(enum gossip_way way); /* "open", ... */
bool doctor_way_read(struct mu_span word, enum gossip_way *out);

#endif
