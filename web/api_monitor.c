/* The agent's log as it goes on (http-api 3.1): an answer that ends with its client.
 *
 * A client that does not read loses lines, not our memory: while more than WAITING_MAX bytes wait
 * for it lines are dropped, and the next one that fits is preceded by how many.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "front.h"
#include "handlers.h"
#include "response.h"

#define WAITING_MAX (128U * 1024) /* below what stops a connection from reading: CONN_OUT_MAX */

struct monitor {
    struct agent_log_follower *follower;
    enum mu_log_form form;
    uint64_t dropped;
};

static void cancel(struct request *r)
{
    struct monitor *m = r->mine;

    agent_log_unfollow(m->follower);
    mu_list_remove(&r->link);
    r->is_held = false;
    r->pending = NULL;
}

static const struct request_pending pending_log = { "log", cancel };

static void add_dropped(const struct monitor *m, struct mu_buf *to)
{
    char when[MU_TIME_TEXT_MAX];

    mu_time_text(mu_clock_wall_ns(), 3, when);
    mu_buf_addf(to,
                m->form == MU_LOG_AS_JSON
                    ? "{\"@level\":\"warn\",\"@message\":\"Dropped lines of the log\","
                      "\"@module\":\"agent\",\"@timestamp\":\"%s\",\"dropped\":%llu}\n"
                    : "%s [WARN]  agent: Dropped lines of the log: dropped=%llu\n",
                when, (unsigned long long)m->dropped);
}

static void on_line(void *data, const struct agent_log_line *line)
{
    struct request *r = data;
    struct monitor *m = r->mine;

    m->dropped += line->dropped;
    if (stream_waiting(r) > WAITING_MAX) {
        m->dropped++;
        return;
    }
    mu_buf_clear(&r->out);
    if (m->dropped > 0) {
        add_dropped(m, &r->out);
        m->dropped = 0;
    }
    mu_buf_add_span(&r->out, line->text);
    mu_buf_add_byte(&r->out, '\n');
    stream_more(r, mu_buf_span(&r->out));
}

void api_agent_monitor(struct request *r)
{
    struct mu_span text = params_text(&r->params, "loglevel");
    struct monitor *m = mu_arena_new(&r->arena, sizeof *m);
    enum mu_log_level level = MU_INFO;

    if (text.bytes > 0 && !mu_log_level_parse(text, &level)) {
        answer_textf(r, 400, "Bad request: Unknown log level: %.*s", MU_SPAN_FMT(text));
        return;
    }
    if (r->method == WEB_HEAD || r->front->is_stopping || !stream_is_possible(r)) {
        answer_empty(r, 200);
        return;
    }
    m->form = params_has(&r->params, "logjson") ? MU_LOG_AS_JSON : MU_LOG_AS_TEXT;
    r->mine = m;
    r->response.status = 200;
    r->response.content_type = "text/plain; charset=utf-8";
    stream_begin(r);
    r->pending = &pending_log;
    r->is_held = true; /* nobody else misses it */
    mu_list_push_back(&r->front->monitors, &r->link);
    m->follower = agent_log_follow(r->front->agent, level, m->form, on_line, r);
}

void monitors_end(struct front *f)
{
    while (!mu_list_empty(&f->monitors)) {
        struct request *r = MU_CONTAINER(f->monitors.next, struct request, link);

        cancel(r);
        stream_end(r);
    }
}
