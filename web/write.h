/* write.h - a command from a handler to the log and back to the client. */
#ifndef WEB_WRITE_H
#define WEB_WRITE_H

#include "front.h"

/* Submit; the answer is `true` or `false` (did it apply), or the text of the refusal. The handler
 * returns at once. */
void write_command(struct request *r, const struct command *command);

/* What a `done` that got a refusal answers: its text with its status. */
void write_refused(struct request *r, const struct agent_written *written);

/* Around one of the agent's own asynchronous calls: begin, call it with write_done() as `done` and
 * the request as data. It cannot be recalled: the request outlives its client. */
void write_begin(struct request *r);
/* An agent_done_fn: 200 without a body, or the text of the failure. */
void write_done(void *data, enum mu_code code, const struct mu_err *err);
/* What a `done` of one's own begins with. */
void write_end(struct request *r);

#endif
