#include "ready.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "blocking.h"

#define KEY_MAX 1024 /* of absurd parameters nothing is kept */

/* What the cache holds. */
struct ready_bytes {
    size_t bytes;
    bool is_empty;
    uint8_t data[];
};

/* Parameters that change what is rendered, in the order in which they are put into the key. Values
 * of tags compare without case, yet "A" and "a" may well be two rows of the cache. */
static const char *const params_of_key[] = { "filter", "node-meta", "tag", "passing" };

/* "<bytes>:<text>": lengths keep one part from posing as two. */
static void key_add(struct mu_buf *key, struct mu_span part)
{
    mu_buf_add_u64(key, part.bytes);
    mu_buf_add_byte(key, ':');
    mu_buf_add_span(key, part);
}

static void key_add_folded(struct mu_buf *key, struct mu_span name)
{
    size_t at;

    key_add(key, name);
    at = key->bytes - name.bytes;
    mu_span_fold(mu_span_of(key->data + at, name.bytes), key->data + at);
}

/* "http/", which rendering, for whom, and the parameters in the order of the list. False: nothing
 * is kept under so long a key. */
static bool key_write(struct request *r, const struct ready_kind *kind, struct mu_buf *key)
{
    mu_buf_clear(key);
    if (params_has(&r->params, "near")) {
        return false; /* the order depends on what changes with every probe */
    }
    mu_buf_add_text(key, "http/");
    mu_buf_add_byte(key, (uint8_t)kind->key);
    mu_buf_add_byte(key, r->is_pretty ? 'p' : 'c');
    if (kind->is_named) {
        key_add_folded(key, r->argument);
    }
    for (size_t i = 0; i < MU_LEN(params_of_key) && r->params.count > 0; i++) {
        for (size_t j = 0; j < r->params.count; j++) {
            if (mu_span_eq_text(r->params.items[j].key, params_of_key[i])) {
                mu_buf_add_byte(key, (uint8_t)('a' + i));
                key_add(key, r->params.items[j].value);
            }
        }
    }
    return key->bytes <= KEY_MAX;
}

static size_t topics_of(struct request *r, const struct ready_kind *kind, bool is_empty)
{
    r->topics_count = 0;
    for (size_t i = 0; i < kind->topics_count; i++) {
        enum catalog_topic_kind k = kind->topics[i].kind;
        bool has_name = k == CATALOG_NODE || k == CATALOG_SERVICE;

        if (is_empty || !kind->topics[i].only_empty) {
            blocking_topic(r, k, has_name ? r->argument : MU_SPAN_NONE);
        }
    }
    return r->topics_count;
}

/* Render anew; with a key the bytes go to the cache, which gives them back held, else they stay in
 * r->out. */
static enum mu_code make(struct request *r, const struct agent_view *view,
                         const struct ready_kind *kind, struct mu_span key, struct mu_err *err)
{
    struct mu_json_out o;
    uint64_t index = 1;
    bool is_empty = false;

    response_json(r, &o);
    enum mu_code rc = kind->render(r, view, &o, &index, &is_empty, err);

    if (rc != MU_OK) {
        return rc;
    }
    response_json_end(r, &o);
    size_t topics_count = topics_of(r, kind, is_empty);

    (void)blocking_holds(r, index);
    if (key.bytes == 0) {
        return MU_OK;
    }
    struct ready_bytes *value = mu_new(sizeof *value + r->out.bytes);

    value->bytes = r->out.bytes;
    value->is_empty = is_empty;
    memcpy(value->data, r->out.data, r->out.bytes);
    r->response.ready =
        catalog_cache_put(agent_cache(r->front->agent), key, r->topics, topics_count, value,
                          sizeof *value + value->bytes, index, mu_free);
    return MU_OK;
}

static void take(struct request *r, const struct ready_kind *kind, struct catalog_ready *ready)
{
    const struct ready_bytes *value = catalog_ready_value(ready);

    r->response.ready = ready;
    r->response.content_type = "application/json";
    r->response.body = mu_span_of(value->data, value->bytes);
    (void)topics_of(r, kind, value->is_empty);
    (void)blocking_holds(r, catalog_ready_index(ready));
}

enum mu_code ready_evaluate(struct request *r, const struct agent_view *view,
                            const struct ready_kind *kind, struct mu_err *err)
{
    bool is_kept = key_write(r, kind, &r->front->text);
    struct mu_span key = is_kept ? mu_buf_span(&r->front->text) : MU_SPAN_NONE;
    struct catalog_ready *ready =
        is_kept ? catalog_cache_find(agent_cache(r->front->agent), key) : NULL;
    bool is_hit = ready != NULL;

    if (is_hit) {
        take(r, kind, ready);
    } else {
        enum mu_code rc = make(r, view, kind, key, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    if (r->read.is_cached && (r->route->traits & ROUTE_CACHED) != 0) {
        response_header(r, "X-Cache", is_hit ? MU_SPAN_LIT("HIT") : MU_SPAN_LIT("MISS"));
        if (is_hit) {
            response_header(r, "Age", MU_SPAN_LIT("0"));
        }
    }
    return MU_OK;
}
