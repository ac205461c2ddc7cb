#include "write.h"

#include "status.h"

static const struct request_pending pending_write = { "write", NULL };

void write_begin(struct request *r)
{
    r->pending = &pending_write;
}

void write_end(struct request *r)
{
    r->pending = NULL;
}

void write_done(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;

    write_end(r);
    if (code == MU_OK) {
        answer_empty(r, 200);
    } else {
        answer_code(r, code, err);
    }
}

void write_refused(struct request *r, const struct agent_written *written)
{
    const char *text = written->text != NULL && written->text[0] != '\0'
                           ? written->text
                           : status_text(written->code);

    answer_text(r, status_http_result(written->code, text), text);
}

static void on_written(void *data, const struct agent_written *written)
{
    struct request *r = data;

    write_end(r);
    if (written->code == MU_OK) {
        answer_bool(r, written->did_apply);
    } else {
        write_refused(r, written);
    }
}

bool write_request_id(struct request *r, struct mu_id *out)
{
    *out = MU_ID_NONE;
    if (r->request_id.bytes == 0) {
        return true;
    }
    if (!mu_id_parse(r->request_id, out) || mu_id_is_none(out)) {
        answer_text(r, 400, "Invalid X-Muster-Request-Id: a UUID is needed");
        return false;
    }
    return true;
}

void write_submit(struct request *r, struct command *command, agent_written_fn *done)
{
    if (write_request_id(r, &command->request)) {
        struct mu_buf body = r->body; /* the command has a copy of it from here on */

        r->body = MU_BUF_NONE;
        write_begin(r);
        agent_write(r->front->agent, command, done, r);
        mu_buf_deinit(&body);
    }
}

void write_command(struct request *r, struct command *command)
{
    write_submit(r, command, on_written);
}
