/* Any bytes to a server behind its preface, or to a client with requests under way. The owner
 * answers, consumes late and resets by what the bytes say. */
#include <stdint.h>

#include "base/assert.h"
#include "base/buf.h"
#include "proto/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct owner {
    struct mu_h2 *h;
    unsigned open_count; /* streams heard of and not closed */
    bool is_server;
};

static void on_headers(void *data, int32_t stream, const struct mu_header *headers, size_t count,
                       bool is_trailers, bool has_ended)
{
    static const struct mu_header ok[] = { { MU_SPAN_LIT(":status"), MU_SPAN_LIT("200") } };
    struct owner *o = data;
    size_t sum = 0;

    (void)has_ended;
    for (size_t i = 0; i < count; i++) { /* every byte is there to be read */
        for (size_t at = 0; at < headers[i].name.bytes; at++) {
            sum += headers[i].name.data[at];
        }
        for (size_t at = 0; at < headers[i].value.bytes; at++) {
            sum += headers[i].value.data[at];
        }
    }
    if (!o->is_server || is_trailers) {
        return;
    }
    o->open_count++;
    mu_h2_set_data(o->h, stream, o);
    switch (sum % 4) {
    case 0: mu_h2_respond(o->h, stream, ok, MU_LEN(ok), true); break;
    case 1:
        mu_h2_respond(o->h, stream, ok, MU_LEN(ok), false);
        mu_h2_send(o->h, stream, MU_SPAN_LIT("body"), true);
        break;
    case 2:
        mu_h2_respond(o->h, stream, ok, MU_LEN(ok), false);
        mu_h2_send(o->h, stream, MU_SPAN_LIT("body"), false);
        mu_h2_trailers(o->h, stream, ok, 0);
        break;
    default: mu_h2_reset(o->h, stream, MU_H2_CANCEL); break;
    }
}

static void on_body(void *data, int32_t stream, struct mu_span part)
{
    struct owner *o = data;

    mu_h2_consume(o->h, stream, part.bytes / 2);
}

static void on_end(void *data, int32_t stream)
{
    struct owner *o = data;

    (void)mu_h2_data(o->h, stream);
}

static void on_closed(void *data, int32_t stream, uint32_t error_code)
{
    struct owner *o = data;

    (void)error_code;
    MU_ASSERT(o->open_count > 0);
    o->open_count--;
    MU_ASSERT(!o->is_server || mu_h2_data(o->h, stream) == o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct mu_h2_options options = { .streams_max = 8,
                                                  .window_bytes = 65535,
                                                  .connection_window_bytes = 65535,
                                                  .headers_bytes_max = 512,
                                                  .manual_window = true };
    static const struct mu_h2_events events = {
        .headers = on_headers, .body = on_body, .end = on_end, .closed = on_closed
    };
    static const struct mu_header get[] = { { MU_SPAN_LIT(":method"), MU_SPAN_LIT("GET") },
                                            { MU_SPAN_LIT(":scheme"), MU_SPAN_LIT("http") },
                                            { MU_SPAN_LIT(":path"), MU_SPAN_LIT("/") } };
    struct mu_buf out = MU_BUF_NONE;

    if (bytes < 1) {
        return 0;
    }
    struct owner o = { .is_server = (data[0] & 1) == 0 };

    o.h = mu_h2_new(o.is_server ? MU_H2_SERVER : MU_H2_CLIENT, &options, &events, &o);
    enum mu_code code = MU_OK;

    if (o.is_server) {
        code = mu_h2_feed(o.h, MU_SPAN_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), NULL);
    }
    while (!o.is_server && o.open_count < 4) {
        MU_ASSERT(mu_h2_request(o.h, get, MU_LEN(get), (o.open_count & 1) != 0) > 0);
        o.open_count++;
    }
    size_t part = 1 + (data[0] >> 1);

    for (size_t at = 1; at < bytes && code == MU_OK; at += part) {
        size_t left = bytes - at;

        code = mu_h2_feed(o.h, mu_span_of(data + at, left < part ? left : part), NULL);
        (void)mu_h2_pull(o.h, &out, 4096);
        mu_buf_clear(&out);
        if (mu_h2_wants_close(o.h)) {
            break;
        }
    }
    mu_buf_deinit(&out);
    mu_h2_free(o.h);
    return 0;
}
