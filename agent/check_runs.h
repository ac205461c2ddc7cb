/* check_runs.h - what the files of the check types lend to their table. Private to agent/.
 *
 * A definition that is run carries in output_max_size how much output is kept: check.c has put the
 * smaller of its own wish and the agent's setting there.
 */
#ifndef AGENT_CHECK_RUNS_H
#define AGENT_CHECK_RUNS_H

#include "agent/check_type.h"
#include "base/buf.h"

/* How long one run may take: Timeout, else 10 s. */
uint64_t check_timeout_ms(const struct check_definition *d);

struct check_run *check_http_start(struct uv_loop_s *loop, const struct check_definition *d,
                                   check_done_fn *done, void *data);
void check_http_stop(struct check_run *run);

struct check_run *check_tcp_start(struct uv_loop_s *loop, const struct check_definition *d,
                                  check_done_fn *done, void *data);
void check_tcp_stop(struct check_run *run);

/* TTL: the output as it is kept, cut behind its first bytes when it is too long; and what stands
 * there once nobody reported in time. Both append. */
void check_ttl_output(struct mu_buf *to, struct mu_span given, size_t bytes_max);
void check_ttl_expired(struct mu_buf *to, struct mu_span last);

#endif
