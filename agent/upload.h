/* upload.h - what restore.c does with an upload (agent/operator.h) that it was given. */
#ifndef AGENT_UPLOAD_H
#define AGENT_UPLOAD_H

#include "agent/operator.h"
#include "spool.h"

/* Whoever began it is told nothing more. The loop's. */
void upload_quiet(struct agent_upload *u);
/* All of it, once it is written; *out is the caller's. Any thread: it waits for the disk. Errors:
 * of the spool, MU_CANCELLED (ended meanwhile). */
MU_MUST_CHECK enum mu_code upload_wait(struct agent_upload *u, struct spool *out,
                                       struct mu_err *err);

#endif
