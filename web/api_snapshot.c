/* /v1/snapshot: the state of the servers as an archive (http-api 13), and back.
 *
 * The archive is made on a disk before the first byte of it is answered, so whatever stands in the
 * way of making it is told by status and text. Its pieces are fetched as the client takes them, and
 * its length is announced: one that breaks off, or a client that takes nothing for too long, ends
 * with the connection (HTTP/1.1) or a reset stream (HTTP/2), never as a short archive.
 */
#include "agent/operator.h"
#include "front.h"
#include "handlers.h"
#include "response.h"
#include "write.h"

#define STALL_MS 60000U /* without the client taking a piece */

struct saving { /* in the request's arena */
    struct agent_save *save;
};

static void cancel_save(struct request *r)
{
    struct saving *s = r->mine;

    deadline_clear(&r->front->deadlines, &r->deadline);
    agent_save_end(s->save);
    r->pending = NULL;
}

static const struct request_pending pending_save = { "save", cancel_save };

static void on_stalled(void *data)
{
    struct request *r = data;

    cancel_save(r);
    stream_break(r);
}

static void stall_aim(struct request *r)
{
    struct front *f = r->front;

    deadline_clear(&f->deadlines, &r->deadline);
    deadline_set(&f->deadlines, &r->deadline, agent_now_ms(f->agent) + STALL_MS, on_stalled, r);
}

static void on_drained(struct request *r)
{
    struct saving *s = r->mine;

    agent_save_next(s->save);
}

static void on_piece(void *data, struct mu_span piece, const struct mu_err *err)
{
    struct request *r = data;
    struct saving *s = r->mine;

    if (err->code != MU_OK) { /* and it is gone */
        deadline_clear(&r->front->deadlines, &r->deadline);
        r->pending = NULL;
        stream_break(r);
    } else if (piece.bytes == 0) {
        deadline_clear(&r->front->deadlines, &r->deadline);
        agent_save_end(s->save);
        r->pending = NULL;
        stream_end(r);
    } else {
        stall_aim(r);
        stream_more(r, piece);
        stream_when_drained(r, on_drained);
    }
}

static void on_begun(void *data, const struct agent_saved *saved, const struct mu_err *err)
{
    struct request *r = data;
    struct saving *s = r->mine;

    if (saved == NULL) {
        r->pending = NULL;
        answer_code(r, err->code, err);
        return;
    }
    r->response.status = 200;
    r->response.content_type = "application/x-gzip";
    r->response.has_meta = true;
    r->response.index = saved->index;
    r->response.known_leader = saved->known_leader;
    r->response.last_contact_ms = saved->last_contact_ms;
    r->response.has_length = true;
    r->response.length = saved->bytes;
    stream_begin(r);
    stall_aim(r);
    agent_save_next(s->save);
}

static const struct agent_save_events save_events = { .begun = on_begun, .piece = on_piece };

void api_snapshot_save(struct request *r)
{
    struct saving *s = mu_arena_new(&r->arena, sizeof *s);

    if (!stream_is_possible(r)) {
        answer_text(r, 500,
                    "A snapshot is not passed on whole: this agent and the one that was "
                    "asked are of different versions, ask a server");
        return;
    }
    if (r->method == WEB_HEAD) {
        answer_empty(r, 200);
        return;
    }
    r->mine = s;
    r->pending = &pending_save;
    s->save = agent_save(r->front->agent, r->read.mode, &save_events, r);
}

/* Any agent takes it: what it is made of goes through the log from here. */
void api_snapshot_restore(struct request *r)
{
    struct agent_upload *archive = r->upload;

    if (archive == NULL) {
        answer_code(r, MU_BUSY, NULL);
        return;
    }
    r->upload = NULL; /* given */
    write_begin(r);
    agent_snapshot_restore(r->front->agent, archive, write_done, r);
}
