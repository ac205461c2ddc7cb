/* write.h - a command from a handler to the log and back to the client. */
#ifndef WEB_WRITE_H
#define WEB_WRITE_H

#include "front.h"

/* The id that the client gave to be able to ask again (X-Muster-Request-Id), MU_ID_NONE without
 * one. False: answered with 400. */
MU_MUST_CHECK bool write_request_id(struct request *r, struct mu_id *out);
/* Submit with a `done` of one's own; it is called with the request as data. */
void write_submit(struct request *r, struct command *command, agent_written_fn *done);
/* Submit; the answer is `true` or `false` (did it apply), or the text of the refusal. The handler
 * returns at once. */
void write_command(struct request *r, struct command *command);

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
