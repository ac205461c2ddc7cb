/* One TCP check: can somebody be reached there? */
#include <uv.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "check_runs.h"
#include "dial.h"

struct check_run {
    struct dial *dial;   /* NULL: the address cannot be one, `refused` will say so */
    uv_timer_t *refused; /* likewise */
    const struct check_definition *definition; /* borrowed until the end */
    check_done_fn *done;
    void *data;
};

static void on_closed(uv_handle_t *handle)
{
    mu_free(handle);
}

static void finish(struct check_run *run, enum check_status status, const struct mu_buf *output)
{
    run->done(run->data, status, mu_buf_span(output));
    mu_free(run);
}

static void on_dialed(void *data, enum mu_code code, struct uv_stream_s *stream,
                      const struct mu_addr *peer, const struct mu_err *err)
{
    struct check_run *run = data;
    struct mu_buf output = MU_BUF_NONE;

    (void)peer;
    if (code == MU_OK) {
        uv_close((uv_handle_t *)stream, on_closed);
        mu_buf_addf(&output, "TCP connect %.*s: Success", MU_SPAN_FMT(run->definition->tcp));
    } else {
        mu_buf_add_text(&output, err->text);
    }
    finish(run, code == MU_OK ? CHECK_PASSING : CHECK_CRITICAL, &output);
    mu_buf_deinit(&output);
}

static void on_refused(uv_timer_t *timer)
{
    struct check_run *run = timer->data;
    struct mu_span host;
    uint16_t port = 0;
    struct mu_buf output = MU_BUF_NONE;
    bool is_split = mu_addr_split(run->definition->tcp, &host, &port);

    mu_buf_addf(&output, "dial tcp: address %.*s: %s", MU_SPAN_FMT(run->definition->tcp),
                is_split ? "missing port in address" : "not of the form host:port");
    uv_close((uv_handle_t *)timer, on_closed);
    finish(run, CHECK_CRITICAL, &output);
    mu_buf_deinit(&output);
}

struct check_run *check_tcp_start(struct uv_loop_s *loop, const struct check_definition *d,
                                  check_done_fn *done, void *data)
{
    struct check_run *run = mu_new(sizeof *run);
    struct dial_to to = { .timeout_ms = check_timeout_ms(d) };

    *run = (struct check_run){ .definition = d, .done = done, .data = data };
    if (mu_addr_split(d->tcp, &to.host, &to.port) && to.port > 0) {
        run->dial = dial_start(loop, &to, on_dialed, run);
        return run;
    }
    run->refused = mu_new(sizeof *run->refused);
    (void)uv_timer_init(loop, run->refused);
    run->refused->data = run;
    (void)uv_timer_start(run->refused, on_refused, 0, 0);
    return run;
}

void check_tcp_stop(struct check_run *run)
{
    if (run->dial != NULL) {
        dial_cancel(run->dial);
    } else {
        uv_close((uv_handle_t *)run->refused, on_closed);
    }
    mu_free(run);
}
