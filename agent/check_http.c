/* One HTTP check: a request, and what its answer means. */
#include <stdio.h>

#include "agent/http_client.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "check_runs.h"

#define REDIRECTS_MAX 10 /* as the original */

struct check_run {
    struct http_client *client;
    const struct check_definition *definition; /* borrowed until the end */
    check_done_fn *done;
    void *data;
};

static const char *method_of(const struct check_definition *d)
{
    return d->method.bytes > 0 ? (const char *)d->method.data : "GET";
}

static enum check_status judge(unsigned status)
{
    if (status >= 200 && status < 300) {
        return CHECK_PASSING;
    }
    return status == 429 ? CHECK_WARNING : CHECK_CRITICAL;
}

static void on_answer(void *data, enum mu_code code, const struct http_client_response *response,
                      const struct mu_err *err)
{
    struct check_run *run = data;
    struct mu_buf output = MU_BUF_NONE;
    enum check_status status = CHECK_CRITICAL;

    (void)code;
    if (response == NULL) {
        mu_buf_add_text(&output, err->text);
    } else { /* a body that broke off does not change what the status said */
        status = judge(response->status);
        mu_buf_addf(&output, "HTTP %s %.*s: %u%s%s Output: %.*s", method_of(run->definition),
                    MU_SPAN_FMT(run->definition->http), response->status,
                    response->reason[0] != '\0' ? " " : "", response->reason,
                    MU_SPAN_FMT(response->body));
    }
    run->done(run->data, status, mu_buf_span(&output));
    mu_buf_deinit(&output);
    mu_free(run);
}

static bool has_header(const struct check_definition *d, struct mu_span name)
{
    for (size_t i = 0; i < d->header.count; i++) {
        if (mu_span_eq_fold(d->header.items[i].key, name)) {
            return true;
        }
    }
    return false;
}

/* Those of the definition, and ours unless it has them. */
static void headers_of(const struct check_definition *d, struct http_client_request *request,
                       struct mu_arena *arena)
{
    static const struct mu_header ours[] = {
        { MU_SPAN_LIT("User-Agent"), MU_SPAN_LIT("Consul Health Check") },
        { MU_SPAN_LIT("Accept"), MU_SPAN_LIT("text/plain, text/*, */*") },
    };
    size_t count = MU_LEN(ours);

    for (size_t i = 0; i < d->header.count; i++) {
        count += d->header.items[i].values.count;
    }
    struct mu_header *headers = mu_arena_array(arena, count, sizeof *headers);

    count = 0;
    for (size_t i = 0; i < d->header.count; i++) {
        for (size_t j = 0; j < d->header.items[i].values.count; j++) {
            headers[count++] =
                (struct mu_header){ d->header.items[i].key, d->header.items[i].values.items[j] };
        }
    }
    for (size_t i = 0; i < MU_LEN(ours); i++) {
        if (!has_header(d, ours[i].name)) {
            headers[count++] = ours[i];
        }
    }
    request->headers = headers;
    request->headers_count = count;
}

struct check_run *check_http_start(struct uv_loop_s *loop, const struct check_definition *d,
                                   check_done_fn *done, void *data)
{
    struct check_run *run = mu_new(sizeof *run);
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    struct http_client_request request = {
        .method = method_of(d),
        .url = mu_arena_text(&arena, d->http.data, d->http.bytes),
        .body = d->body,
        .timeout_ms = check_timeout_ms(d),
        .body_bytes_max = (uint64_t)d->output_max_size,
        .keeps_tail = true,
        .redirects_max = d->disable_redirects ? 0 : REDIRECTS_MAX,
    };

    headers_of(d, &request, &arena);
    *run = (struct check_run){ .definition = d, .done = done, .data = data };
    run->client = http_client_start(loop, &request, on_answer, run);
    mu_arena_deinit(&arena);
    return run;
}

void check_http_stop(struct check_run *run)
{
    http_client_cancel(run->client);
    mu_free(run);
}
