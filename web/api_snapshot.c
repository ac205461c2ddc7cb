/* /v1/snapshot: the state of the servers as an archive (http-api 13), and back.
 *
 * The read is confirmed first, unless ?stale; then this server's own state, which holds at least
 * that, is written.
 */
#include "agent/operator.h"
#include "front.h"
#include "handlers.h"
#include "write.h"

static void cancel_read(struct request *r)
{
    agent_read_cancel(r->agent_read);
    r->agent_read = NULL;
    r->pending = NULL;
}

static const struct request_pending pending_read = { "read", cancel_read };

static void on_saved(void *data, uint64_t index, struct mu_buf *archive, const struct mu_err *err)
{
    struct request *r = data;

    write_end(r);
    if (archive == NULL) {
        answer_code(r, err->code, err);
        return;
    }
    struct agent_view view = agent_view_now(r->front->agent);
    struct mu_buf old = r->out;

    r->out = *archive;
    *archive = old;
    r->response.status = 200;
    r->response.content_type = "application/x-gzip";
    r->response.body = mu_buf_span(&r->out);
    r->response.has_meta = true;
    r->response.index = index;
    r->response.known_leader = view.known_leader;
    r->response.last_contact_ms = view.last_contact_ms;
    request_answer(r);
}

static void on_ready(void *data, enum mu_code code, const struct agent_view *view,
                     const struct mu_err *err)
{
    struct request *r = data;

    (void)view;
    r->agent_read = NULL;
    r->pending = NULL;
    if (code != MU_OK) {
        answer_code(r, code, err);
        return;
    }
    write_begin(r); /* the thread that writes it cannot be recalled */
    agent_snapshot_save(r->front->agent, on_saved, r);
}

void api_snapshot_save(struct request *r)
{
    r->pending = &pending_read;
    r->agent_read = agent_read(r->front->agent, r->read.mode, on_ready, r);
}

/* Any agent takes it: what it is made of goes through the log from here. */
void api_snapshot_restore(struct request *r)
{
    write_begin(r);
    agent_snapshot_restore(r->front->agent, &r->body, write_done, r);
}
