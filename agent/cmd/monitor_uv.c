/* muster monitor: the agent's log as it goes on, until we are interrupted or it ends. */
#include <uv.h>

#include "agent/http_client.h"
#include "asker.h"
#include "base/assert.h"
#include "commands.h"

struct options {
    const char *level;
    bool is_json;
};

static const struct cli_option rows[] = {
    { "log-level", CLI_TEXT, offsetof(struct options, level),
      "trace, debug, info, warn or err; default: info." },
    { "log-json", CLI_BOOL, offsetof(struct options, is_json), "One JSON object a line." },
};

const struct cli_options cmd_monitor_options = CLI_OPTIONS(rows, struct options);

struct run {
    struct cli *cli;
    uv_loop_t loop;
    uv_signal_t signals[2];
    struct http_client *client; /* NULL: it ended */
    int status;
};

static void stop(struct run *r, int status)
{
    r->status = status;
    if (r->client != NULL) {
        http_client_cancel(r->client);
        r->client = NULL;
    }
    for (size_t i = 0; i < MU_LEN(r->signals); i++) {
        if (!uv_is_closing((uv_handle_t *)&r->signals[i])) {
            uv_close((uv_handle_t *)&r->signals[i], NULL);
        }
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data, 0);
}

static bool on_part(void *data, struct mu_span bytes)
{
    struct run *r = data;

    (void)fwrite(bytes.data, 1, bytes.bytes, r->cli->out);
    (void)fflush(r->cli->out);
    return true;
}

static void on_end(void *data, enum mu_code code, const struct http_client_response *response,
                   const struct mu_err *err)
{
    struct run *r = data;
    struct cli *cli = r->cli;

    r->client = NULL;
    if (response == NULL) {
        stop(r, cli_fail(cli, "Error starting monitor: %s", err->text));
    } else if (response->status != 200) {
        stop(r, cli_fail(cli, "Error starting monitor: Unexpected response code: %u (%.*s)",
                         response->status, MU_SPAN_FMT(response->body)));
    } else {
        (void)code; /* in order or not: it is over */
        stop(r, cli_fail(cli, "\nRemote side ended the monitor! This usually means that the\n"
                              "remote side has exited or crashed."));
    }
}

static void run(struct run *r, const struct asker *asker, const char *target)
{
    static const int numbers[] = { SIGINT, SIGTERM };
    struct mu_buf url = MU_BUF_NONE;

    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        (void)uv_signal_init(&r->loop, &r->signals[i]);
        r->signals[i].data = r;
        (void)uv_signal_start(&r->signals[i], on_signal, numbers[i]);
    }
    mu_buf_addf(&url, "%s%s", asker->base, asker->is_socket ? "" : target);
    r->client =
        http_client_start(&r->loop,
                          &(struct http_client_request){ .method = "GET",
                                                         .url = mu_buf_text(&url),
                                                         .target = asker->is_socket ? target : NULL,
                                                         .headers = asker->headers,
                                                         .headers_count = asker->headers_count,
                                                         .part = on_part },
                          on_end, r);
    mu_buf_deinit(&url);
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
}

int cmd_monitor(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct run r = { .cli = cli, .status = 1 };
    struct asker asker;
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c; /* its target */

    (void)argv;
    if (argc > 0) {
        return cli_fail(cli, "Too many command line arguments.");
    }
    if (asker_open(cli, &asker, &err) != MU_OK) {
        return cli_fail(cli, "Error initializing client: %s", err.text);
    }
    cli_call_init(&c, "GET", "/v1/agent/monitor");
    if (o->level != NULL) {
        cli_call_param(&c, "loglevel", o->level);
    }
    if (o->is_json) {
        cli_call_param(&c, "logjson", NULL);
    }
    if (uv_loop_init(&r.loop) == 0) {
        run(&r, &asker, mu_buf_text(&c.target));
        int rc = uv_loop_close(&r.loop);

        MU_ASSERT(rc == 0);
    }
    cli_call_deinit(&c);
    asker_close(&asker);
    return r.status;
}
