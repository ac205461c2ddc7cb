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

void write_command(struct request *r, const struct command *command)
{
    write_begin(r);
    agent_write(r->front->agent, command, on_written, r);
}
