/* Any bytes, in either role, cut in parts: the first byte says how. What is heard must not depend
 * on the cuts, nor on pauses. */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "proto/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct heard {
    struct mu_buf text;
    struct mu_buf body;
    bool pauses;
};

static bool on_head(void *data, const struct mu_h1_head *head)
{
    struct heard *h = data;

    mu_buf_addf(&h->text, "[%.*s %.*s %u %d%d%d%d", MU_SPAN_FMT(head->method),
                MU_SPAN_FMT(head->target), head->status, head->keeps_alive, head->has_body,
                head->is_chunked, head->upgrades_to_h2c);
    for (size_t i = 0; i < head->headers_count; i++) {
        mu_buf_addf(&h->text, "|%.*s=%.*s", MU_SPAN_FMT(head->headers[i].name),
                    MU_SPAN_FMT(head->headers[i].value));
    }
    MU_ASSERT(head->headers_count <= 16);
    return !h->pauses;
}

static bool on_body(void *data, struct mu_span part)
{
    struct heard *h = data;

    mu_buf_add_span(&h->body, part);
    return !h->pauses;
}

static bool on_end(void *data)
{
    struct heard *h = data;

    mu_buf_addf(&h->text, "(%zu)]", h->body.bytes);
    mu_buf_clear(&h->body);
    return !h->pauses;
}

static void run(enum mu_h1_role role, struct mu_span bytes, size_t part, struct heard *heard)
{
    static const struct mu_h1_options options = { 512, 16, 256 };
    static const struct mu_h1_events events = { on_head, on_body, on_end };
    struct mu_h1 *h = mu_h1_new(role, &options, &events, heard);
    enum mu_code code = MU_OK;

    for (size_t at = 0; at < bytes.bytes && code == MU_OK;) {
        struct mu_err err = MU_ERR_NONE;
        size_t used = 0;

        code = mu_h1_feed(h, mu_span_sub(bytes, at, part), &used, &err);
        MU_ASSERT((code == MU_OK) == (err.code == MU_OK));
        MU_ASSERT((code == MU_OK) == (mu_h1_status(h) == 0));
        at += used;
    }
    for (unsigned i = 0; i < 2 && code == MU_OK; i++) { /* a pause at the head, one at the end */
        size_t used = 0;

        code = mu_h1_feed(h, MU_SPAN_NONE, &used, NULL);
    }
    mu_buf_addf(&heard->text, "%u", mu_h1_status(h));
    if (code == MU_OK && role == MU_H1_CLIENT) {
        mu_buf_add_text(&heard->text, mu_h1_eof(h, NULL) == MU_OK ? "ok" : "cut");
    }
    mu_h1_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct heard whole = { .text = MU_BUF_NONE };
    struct heard cut = { .text = MU_BUF_NONE };

    if (bytes < 1) {
        return 0;
    }
    enum mu_h1_role role = data[0] & 1 ? MU_H1_CLIENT : MU_H1_SERVER;
    struct mu_span rest = mu_span_of(data + 1, bytes - 1);

    cut.pauses = (data[0] & 2) != 0;
    run(role, rest, rest.bytes, &whole);
    run(role, rest, 1 + (data[0] >> 2), &cut);
    if (!mu_span_eq(mu_buf_span(&whole.text), mu_buf_span(&cut.text))) {
        abort();
    }
    mu_buf_deinit(&whole.text);
    mu_buf_deinit(&whole.body);
    mu_buf_deinit(&cut.text);
    mu_buf_deinit(&cut.body);
    return 0;
}
