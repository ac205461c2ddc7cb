/* ipc_key.c - gossip keys of the cluster, as `serf keys` changes and lists them. */
#include <string.h>

#include "ipc_session.h"

static void put_keys(struct mu_buf *to, const struct agent_keys_report *report, bool is_list)
{
    ipc_put_text(to, "Keys");
    if (!is_list) {
        ipc_put_nil(to);
        return;
    }
    ipc_put_map(to, report->keys_count);
    for (size_t i = 0; i < report->keys_count; i++) {
        ipc__put_number(to, report->keys[i].text, report->keys[i].holders);
    }
}

/* Clients read a body behind an error, too. */
static void answer_report(struct ipc_session *s, const struct agent_keys_report *report,
                          bool is_list, const char *error)
{
    ipc__put_header(s, s->waiting_seq, error);
    ipc_put_map(&s->out, 5);
    put_keys(&s->out, report, is_list);
    ipc_put_text(&s->out, "Messages");
    ipc_put_map(&s->out, report->messages_count);
    for (size_t i = 0; i < report->messages_count; i++) {
        ipc_put_span(&s->out, report->messages[i].key);
        ipc_put_span(&s->out, report->messages[i].value);
    }
    ipc__put_number(&s->out, "NumErr", report->errors);
    ipc__put_number(&s->out, "NumNodes", report->nodes);
    ipc__put_number(&s->out, "NumResp", report->responses);
}

static void on_report(struct ipc_session *s, enum mu_code code,
                      const struct agent_keys_report *report, bool is_list,
                      const struct mu_err *err)
{
    if (ipc__wait_over(s)) {
        answer_report(s, report, is_list, code == MU_OK ? "" : err->text);
        ipc__request_next(s);
        s->wake(s->wake_data);
    }
}

static void on_changed(void *data, enum mu_code code, const struct agent_keys_report *report,
                       const struct mu_err *err)
{
    on_report(data, code, report, false, err);
}

static void on_listed(void *data, enum mu_code code, const struct agent_keys_report *report,
                      const struct mu_err *err)
{
    on_report(data, code, report, true, err);
}

static void ask(struct ipc_session *s, struct request *r, enum agent_key_op op, struct mu_span key)
{
    if (ipc__is_sound(s, r)) {
        s->is_waiting = true;
        s->waiting_seq = r->seq;
        s->host.keys(s->host.data, op, key, op == AGENT_KEY_LIST ? on_listed : on_changed, s);
    }
}

void ipc__on_install_key(struct ipc_session *s, struct request *r)
{
    ask(s, r, AGENT_KEY_INSTALL, mu_span_text(ipc_get_text(&r->body, "Key")));
}

void ipc__on_use_key(struct ipc_session *s, struct request *r)
{
    ask(s, r, AGENT_KEY_USE, mu_span_text(ipc_get_text(&r->body, "Key")));
}

void ipc__on_remove_key(struct ipc_session *s, struct request *r)
{
    ask(s, r, AGENT_KEY_REMOVE, mu_span_text(ipc_get_text(&r->body, "Key")));
}

void ipc__on_list_keys(struct ipc_session *s, struct request *r)
{
    ask(s, r, AGENT_KEY_LIST, MU_SPAN_NONE);
}
