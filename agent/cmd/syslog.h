/* syslog.h - the log, to the system's own as well (enable_syslog, RFC 3164). Private to agent/cmd.
 *
 * Whoever logs never waits: a thread sends the lines. While the system's log stands still up to
 * 1024 lines wait, and further ones are lost, as is each that it did not take within a second; how
 * many, it is told when it goes on. One that was restarted is found again.
 */
#ifndef AGENT_CMD_SYSLOG_H
#define AGENT_CMD_SYSLOG_H

#include "base/err.h"
#include "base/log.h"

/* `tag` is borrowed: what lines begin with. MU_INVALID: "invalid syslog facility: X"; MU_IO: "Unix
 * syslog delivery error", nobody listens. */
MU_MUST_CHECK enum mu_code syslog_open(const char *tag, const char *facility,
                                       enum mu_log_level level, struct mu_err *err);
void syslog_set_level(enum mu_log_level level); /* of an open one; else nothing */
void syslog_close(void);                        /* not open is fine */

#endif
