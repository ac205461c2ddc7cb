/* watches.c - the watches of the configuration: programs and URLs that are told of changes
 * (agent-behaviour 11.3).
 *
 * Each asks this agent's own HTTP port, as `muster watch` would. While its handler runs it asks
 * nothing; a handler that hangs stops its watch, nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "agent/http_client.h"
#include "agent/process.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

#define OUTPUT_BYTES 4096 /* of a handler, in the log */
#define HEADERS_MAX  32   /* of an HTTP handler, ours included */

struct one {
    struct watches *all;
    const struct config_watch *config; /* NULL: retired */
    char *label;                       /* of its handler, for the log */
    struct watch *watch;               /* NULL: retired */
    struct process *process;           /* NULL: not running */
    struct http_client *calling;       /* the same for HTTP handlers */
};

/* The watches of one configuration. A reload retires them: they look at nothing more, but handlers
 * that run go on to their end, since one of them may be what asked for the reload. */
struct watches {
    struct agent *agent;
    struct mu_link place; /* in agent.watches_retired */
    struct one *items;
    size_t count;
};

static const char *handler_text(const struct config_watch *config)
{
    const char *const *args = config->args;

    return config->url != NULL                                                     ? config->url
           : strcmp(args[0], "/bin/sh") == 0 && args[1] != NULL && args[2] != NULL ? args[2]
                                                                                   : args[0];
}

static bool is_running(const struct one *w)
{
    return w->process != NULL || w->calling != NULL;
}

static void watches_free(struct watches *all)
{
    for (size_t i = 0; i < all->count; i++) {
        mu_free(all->items[i].label);
    }
    mu_free(all->items);
    mu_free(all);
}

static void retired_free_if_done(struct watches *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (is_running(&all->items[i])) {
            return;
        }
    }
    mu_list_remove(&all->place);
    watches_free(all);
}

static void go_on(struct one *w)
{
    if (w->watch != NULL) {
        watch_next(w->watch);
    } else {
        retired_free_if_done(w->all);
    }
}

static void on_ran(void *data, const struct process_result *result)
{
    struct one *w = data;

    w->process = NULL;
    if (result->code != MU_OK || result->status != 0) {
        mu_log(MU_ERROR, "agent", "Failed to run watch handler", mu_kv("watch_handler", w->label),
               mu_kv("error", result->why));
    }
    mu_log(MU_DEBUG, "agent", "watch handler output", mu_kv("watch_handler", w->label),
           mu_kv_span("output", result->output));
    go_on(w);
}

static void on_called(void *data, enum mu_code code, const struct http_client_response *response,
                      const struct mu_err *err)
{
    struct one *w = data;

    w->calling = NULL;
    if (code != MU_OK) {
        mu_log(MU_ERROR, "agent", "Failed to invoke http watch handler",
               mu_kv("watch_handler", w->label), mu_kv("error", err->text));
    } else if (response->status < 200 || response->status > 299) {
        mu_log(MU_ERROR, "agent", "http watch handler failed with output",
               mu_kv("watch_handler", w->label), mu_kv_u("status", response->status),
               mu_kv_span("output", response->body));
    }
    go_on(w);
}

static void run(struct one *w, const char *index, struct mu_span json)
{
    struct mu_pair pair = { MU_SPAN_LIT("CONSUL_INDEX"), mu_span_text(index) };
    const struct mu_pairs env = { &pair, 1 };

    w->process = process_start(w->all->agent->loop,
                               &(struct process_options){ .argv = w->config->args,
                                                          .env = &env,
                                                          .input = json,
                                                          .output_bytes_max = OUTPUT_BYTES,
                                                          .done = on_ran,
                                                          .data = w });
}

static void call(struct one *w, const char *index, struct mu_span json)
{
    const struct mu_multi *more = &w->config->headers;
    struct mu_header headers[HEADERS_MAX] = {
        { MU_SPAN_LIT("Content-Type"), MU_SPAN_LIT("application/json") },
        { MU_SPAN_LIT("X-Consul-Index"), mu_span_text(index) },
    };
    size_t count = 2;

    for (size_t i = 0; i < more->count; i++) {
        for (size_t k = 0; k < more->items[i].values.count && count < HEADERS_MAX; k++) {
            headers[count++] =
                (struct mu_header){ more->items[i].key, more->items[i].values.items[k] };
        }
    }
    w->calling =
        http_client_start(w->all->agent->loop,
                          &(struct http_client_request){ .method = w->config->method,
                                                         .url = w->config->url,
                                                         .headers = headers,
                                                         .headers_count = count,
                                                         .body = json,
                                                         .timeout_ms = w->config->timeout_ms,
                                                         .body_bytes_max = OUTPUT_BYTES },
                          on_called, w);
}

static void on_changed(void *data, uint64_t index, struct mu_span json)
{
    struct one *w = data;
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)index);
    if (w->config->url != NULL) {
        call(w, text, json);
    } else {
        run(w, text, json);
    }
}

static void on_failed(void *data, const char *why)
{
    const struct one *w = data;

    mu_log(MU_WARN, "agent", "Watch errored, it is tried again",
           mu_kv("type", w->config->plan.type), mu_kv("error", why));
}

/* -- our own front door ------------------------------------------------------------------------ */

bool agent__own_http(const struct agent *a, struct mu_buf *to)
{
    const struct config *c = a->config;
    struct mu_addr at;
    char text[MU_ADDR_TEXT_MAX];

    if (c->ports.http <= 0 || c->http_addrs_count == 0) {
        if (c->http_sockets_count > 0) {
            mu_buf_addf(to, "unix://%s", c->http_sockets[0]);
        }
        return c->http_sockets_count > 0;
    }
    at = c->http_addrs[0];
    if (mu_addr_is_any(&at)) {
        bool is_ip =
            mu_addr_parse_ip(at.ip_bytes == 4 ? MU_SPAN_LIT("127.0.0.1") : MU_SPAN_LIT("::1"), &at);

        MU_ASSERT(is_ip);
    }
    at.port = (uint16_t)c->ports.http;
    mu_addr_text(&at, text);
    mu_buf_addf(to, "http://%s", text);
    return true;
}

/* -- life -------------------------------------------------------------------------------------- */

static void one_start(struct one *w, const char *base)
{
    struct mu_header token = { MU_SPAN_LIT("X-Consul-Token"), mu_span_text(w->config->token) };

    w->watch = watch_start(w->all->agent->loop,
                           &(struct watch_options){ .plan = w->config->plan,
                                                    .base = base,
                                                    .headers = &token,
                                                    .headers_count = token.value.bytes > 0,
                                                    .changed = on_changed,
                                                    .failed = on_failed,
                                                    .data = w });
}

void agent__watches_open(struct agent *a)
{
    struct mu_buf base = MU_BUF_NONE;
    struct watches *all;

    if (a->config->watches_count == 0) {
        return;
    }
    if (!agent__own_http(a, &base)) {
        mu_log(MU_WARN, "agent", "Watches need an HTTP port: they do not run");
        return;
    }
    all = mu_new(sizeof *all);
    all->agent = a;
    all->count = a->config->watches_count;
    all->items = mu_new_array(all->count, sizeof *all->items);
    for (size_t i = 0; i < all->count; i++) {
        all->items[i].all = all;
        all->items[i].config = &a->config->watches[i];
        all->items[i].label = mu_strdup(handler_text(all->items[i].config));
        one_start(&all->items[i], mu_buf_text(&base));
    }
    a->watches = all;
    mu_buf_deinit(&base);
}

void agent__watches_retire(struct agent *a)
{
    struct watches *all = a->watches;

    if (all == NULL) {
        return;
    }
    a->watches = NULL;
    for (size_t i = 0; i < all->count; i++) {
        watch_stop(all->items[i].watch);
        all->items[i].watch = NULL;
        all->items[i].config = NULL;
    }
    mu_list_push_back(&a->watches_retired, &all->place);
    retired_free_if_done(all);
}

void agent__watches_close(struct agent *a)
{
    struct mu_link *first;

    agent__watches_retire(a);
    while ((first = mu_list_pop_front(&a->watches_retired)) != NULL) {
        struct watches *all = MU_CONTAINER(first, struct watches, place);

        for (size_t i = 0; i < all->count; i++) {
            if (all->items[i].process != NULL) {
                process_cancel(all->items[i].process);
            }
            if (all->items[i].calling != NULL) {
                http_client_cancel(all->items[i].calling);
            }
        }
        watches_free(all);
    }
}
