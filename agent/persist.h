/* persist.h - what was registered over the API, kept over restarts. Private to agent/.
 *
 *   <data_dir>/services/<name>       one service, without its checks
 *   <data_dir>/checks/<name>         one check, of a service or of the node
 *   <data_dir>/checks/state/<name>   last report to a TTL check, and until when it holds
 *
 * A name is the BLAKE2b-128 of the id in hex; the content is JSON (definition.h writes and reads
 * it). Files are written on libuv's pool, one after the other, so nothing on the loop waits for a
 * disk; what changes again before its turn came is written once.
 *
 * Thread:  the loop's.
 * Memory:  local is borrowed until the end.
 * Errors:  a file that cannot be written is logged; it is tried again with the next change. A
 *          damaged one is renamed to <name>.damaged, logged, and skipped.
 */
#ifndef AGENT_PERSIST_H
#define AGENT_PERSIST_H

#include <stdint.h>

#include "agent/local.h"
#include "base/buf.h"
#include "base/err.h"

struct uv_loop_s;
struct persist; /* opaque */

/* Makes the directories. MU_IO, MU_FULL: they cannot be made or listed. */
MU_MUST_CHECK enum mu_code persist_new(struct persist **out, struct uv_loop_s *loop,
                                       struct local *local, const char *data_dir,
                                       struct mu_err *err);

/* Put everything that is kept into local, behind the definitions of the configuration: what has an
 * id from there is forgotten, and so is a check whose service is gone. A restored check is critical
 * until its first run; a TTL check has its last report if that still holds. Blocks; at start. */
MU_MUST_CHECK enum mu_code persist_restore(struct persist *p, int64_t wall_ns, struct mu_err *err);

/* A notice of local's listener, of any kind. */
void persist_changed(struct persist *p, enum local_change_kind kind, struct mu_span id);
/* A TTL check was reported to: keep status and output. */
void persist_ttl(struct persist *p, struct mu_span id, int64_t wall_ns);

/* Another small file of this agent, durably; the content is given. */
void persist_note(struct persist *p, const char *path, struct mu_buf *content);

/* Everything asked for is written, then `stopped` is called, once, from the loop, never from inside
 * this call; then free. */
typedef void persist_stopped_fn(void *data);
void persist_stop(struct persist *p, persist_stopped_fn *stopped, void *data);
void persist_free(struct persist *p); /* NULL is fine */

#endif
