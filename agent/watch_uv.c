/* A watch: one question after the other.
 *
 *   ASKING --- an answer, another one than before ---> TELLING --- watch_next() ---.
 *     ^ '----- a failure, or nothing new ---> RESTING (a timer) ---.               |
 *     '------------------------------------------------------------'---------------'
 */
#include "agent/watch.h"

#include <string.h>

#include <uv.h>

#include "agent/http_client.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"

#define WATCH_MAGIC      0x77617463U
#define ASK_MS_MAX       360000 /* five minutes, a sixteenth more, and the way */
#define PAUSE_MS         20     /* answers that come at once and are not new: no busy loop */
#define ANSWER_BYTES_MAX (64U * 1024 * 1024)

struct watch {
    uint32_t magic;
    uv_loop_t *loop;
    uv_timer_t timer;
    struct mu_arena arena;
    struct watch_options options;
    struct http_client *asking; /* NULL: not */
    bool is_telling, has_index, is_stopped;
    uint64_t index; /* to ask with; 0: for an answer at once */
    uint64_t seen;  /* of the last answer */
    unsigned failures;
    struct mu_buf last; /* what was told last */
    struct mu_buf now;
};

static struct watch *watch_of(void *data)
{
    struct watch *w = data;

    MU_ASSERT(w->magic == WATCH_MAGIC);
    return w;
}

static void on_answer(void *data, enum mu_code code, const struct http_client_response *response,
                      const struct mu_err *err);

static void ask(struct watch *w)
{
    struct mu_buf target = MU_BUF_NONE;
    struct mu_buf url = MU_BUF_NONE;
    bool is_socket = strncmp(w->options.base, "unix://", strlen("unix://")) == 0;

    watch_plan_target(&w->options.plan, w->index, &target);
    mu_buf_addf(&url, "%s%s", w->options.base, is_socket ? "" : mu_buf_text(&target));
    w->asking = http_client_start(w->loop,
                                  &(struct http_client_request){
                                      .method = "GET",
                                      .url = mu_buf_text(&url),
                                      .target = is_socket ? mu_buf_text(&target) : NULL,
                                      .headers = w->options.headers,
                                      .headers_count = w->options.headers_count,
                                      .timeout_ms = ASK_MS_MAX,
                                      .body_bytes_max = ANSWER_BYTES_MAX,
                                  },
                                  on_answer, w);
    mu_buf_deinit(&target);
    mu_buf_deinit(&url);
}

static void on_timer(uv_timer_t *timer)
{
    ask(watch_of(timer->data));
}

static void rest(struct watch *w, uint64_t ms)
{
    (void)uv_timer_start(&w->timer, on_timer, ms, 0);
}

static void fail(struct watch *w, const char *why)
{
    w->failures++;
    w->index = 0;
    rest(w, watch_retry_ms(w->failures));
    w->options.failed(w->options.data, why);
}

static uint64_t index_of(const struct http_client_response *response)
{
    uint64_t index = 0;

    for (size_t i = 0; i < response->headers_count; i++) {
        if (mu_span_eq_fold(response->headers[i].name, MU_SPAN_LIT("X-Consul-Index"))) {
            (void)mu_span_u64(response->headers[i].value, &index);
        }
    }
    return index;
}

static void tell(struct watch *w, uint64_t index)
{
    struct mu_buf before = w->last;

    w->last = w->now;
    w->now = before;
    w->is_telling = true;
    w->options.changed(w->options.data, index, mu_buf_span(&w->last));
}

static void take(struct watch *w, const struct http_client_response *response)
{
    struct mu_err err = MU_ERR_NONE;
    uint64_t index = index_of(response);

    mu_buf_clear(&w->now);
    if (watch_plan_result(&w->options.plan, response->status, response->body, w->seen,
                          w->options.is_pretty, &w->now, &err) != MU_OK) {
        fail(w, err.text); /* an error has no index either */
        return;
    }
    if (index == 0) {
        fail(w, "the answer has no index");
        return;
    }
    bool is_same = w->has_index &&
                   (index == w->seen || mu_span_eq(mu_buf_span(&w->now), mu_buf_span(&w->last)));

    w->failures = 0;
    w->index = watch_plan_next(&w->options.plan, w->seen, index);
    w->seen = index;
    w->has_index = true;
    if (is_same) {
        rest(w, PAUSE_MS);
    } else {
        tell(w, index);
    }
}

static void on_answer(void *data, enum mu_code code, const struct http_client_response *response,
                      const struct mu_err *err)
{
    struct watch *w = watch_of(data);

    w->asking = NULL;
    if (code != MU_OK) {
        fail(w, err->text);
    } else {
        take(w, response);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

static const char *kept(struct watch *w, const char *text)
{
    return text != NULL ? mu_arena_strdup(&w->arena, text) : NULL;
}

static void options_keep(struct watch *w, const struct watch_options *o)
{
    struct mu_header *headers = mu_arena_array(&w->arena, o->headers_count, sizeof *headers);
    struct watch_plan *plan = &w->options.plan;

    w->options = *o;
    plan->type = kept(w, plan->type);
    plan->key = kept(w, plan->key);
    plan->prefix = kept(w, plan->prefix);
    plan->service = kept(w, plan->service);
    plan->tag = kept(w, plan->tag);
    plan->state = kept(w, plan->state);
    plan->name = kept(w, plan->name);
    plan->passing_only = kept(w, plan->passing_only);
    plan->datacenter = kept(w, plan->datacenter);
    w->options.base = kept(w, o->base);
    for (size_t i = 0; i < o->headers_count; i++) {
        headers[i].name = mu_arena_span(&w->arena, o->headers[i].name);
        headers[i].value = mu_arena_span(&w->arena, o->headers[i].value);
    }
    w->options.headers = headers;
}

struct watch *watch_start(struct uv_loop_s *loop, const struct watch_options *options)
{
    struct watch *w = mu_new(sizeof *w);

    w->magic = WATCH_MAGIC;
    w->loop = loop;
    mu_arena_init(&w->arena, 0);
    options_keep(w, options);
    (void)uv_timer_init(loop, &w->timer);
    w->timer.data = w;
    rest(w, 0);
    return w;
}

void watch_next(struct watch *w)
{
    MU_ASSERT(w->is_telling);
    w->is_telling = false;
    rest(w, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct watch *w = watch_of(handle->data);

    mu_buf_deinit(&w->last);
    mu_buf_deinit(&w->now);
    mu_arena_deinit(&w->arena);
    w->magic = 0;
    mu_free(w);
}

void watch_stop(struct watch *w)
{
    MU_ASSERT(!w->is_stopped);
    w->is_stopped = true;
    if (w->asking != NULL) {
        http_client_cancel(w->asking);
        w->asking = NULL;
    }
    uv_close((uv_handle_t *)&w->timer, on_closed);
}
