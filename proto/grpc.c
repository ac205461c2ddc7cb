/* gRPC framing. A message that lies whole in the bytes fed is handed out from there; only one that
 * is cut is collected, and never more of it than its head announced. */
#include "proto/grpc.h"

#include "base/assert.h"
#include "base/wire.h"

#define KEEP_ROOM (64U * 1024) /* a larger collecting buffer is not kept */

void mu_grpc_in_init(struct mu_grpc_in *in, size_t message_max)
{
    *in = (struct mu_grpc_in){ MU_BUF_NONE, message_max };
}

void mu_grpc_in_deinit(struct mu_grpc_in *in)
{
    mu_buf_deinit(&in->part);
}

bool mu_grpc_in_is_empty(const struct mu_grpc_in *in)
{
    return in->part.bytes == 0;
}

/* How many bytes the message that begins here has, with its head. `head` has at least
 * MU_GRPC_HEAD_BYTES. */
static enum mu_code head_read(const struct mu_grpc_in *in, struct mu_span head, size_t *bytes,
                              struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(head);
    uint8_t compressed = mu_rd_u8(&r);
    uint32_t length = mu_rd_u32be(&r);

    MU_ASSERT(mu_rd_ok(&r));
    if (compressed != 0) {
        return mu_fail(err, MU_UNSUPPORTED, "compressed message (flag %u)", (unsigned)compressed);
    }
    if (length > in->message_max) {
        return mu_fail(err, MU_TOO_BIG, "message of %lu bytes, at most %zu are taken",
                       (unsigned long)length, in->message_max);
    }
    *bytes = MU_GRPC_HEAD_BYTES + (size_t)length;
    return MU_OK;
}

static struct mu_span take(struct mu_span *rest, size_t bytes)
{
    struct mu_span taken = mu_span_sub(*rest, 0, bytes);

    *rest = mu_span_sub(*rest, taken.bytes, rest->bytes);
    return taken;
}

/* Bring the collected part up to `bytes`; false: not enough of them yet. */
static bool collect(struct mu_grpc_in *in, struct mu_span *rest, size_t bytes)
{
    if (in->part.bytes < bytes) {
        mu_buf_add_span(&in->part, take(rest, bytes - in->part.bytes));
    }
    return in->part.bytes >= bytes;
}

/* The cut message is completed first. */
static enum mu_code feed_part(struct mu_grpc_in *in, struct mu_span *rest, mu_grpc_fn *message,
                              void *data, struct mu_err *err)
{
    size_t bytes = 0;

    if (!collect(in, rest, MU_GRPC_HEAD_BYTES)) {
        return MU_OK;
    }
    enum mu_code rc = head_read(in, mu_buf_span(&in->part), &bytes, err);

    if (rc != MU_OK || !collect(in, rest, bytes)) {
        return rc;
    }
    rc = message(data, mu_span_sub(mu_buf_span(&in->part), MU_GRPC_HEAD_BYTES, bytes), err);
    if (in->part.room > KEEP_ROOM) {
        mu_buf_deinit(&in->part);
    }
    mu_buf_clear(&in->part);
    return rc;
}

enum mu_code mu_grpc_feed(struct mu_grpc_in *in, struct mu_span bytes, mu_grpc_fn *message,
                          void *data, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (in->part.bytes > 0) {
        rc = feed_part(in, &bytes, message, data, err);
    }
    while (rc == MU_OK && bytes.bytes >= MU_GRPC_HEAD_BYTES) {
        size_t whole = 0;

        rc = head_read(in, bytes, &whole, err);
        if (rc != MU_OK || bytes.bytes < whole) {
            break;
        }
        struct mu_span one = take(&bytes, whole);

        rc = message(data, mu_span_sub(one, MU_GRPC_HEAD_BYTES, one.bytes), err);
    }
    if (rc == MU_OK) {
        mu_buf_add_span(&in->part, bytes);
    }
    return rc;
}

void mu_grpc_head(uint8_t head[MU_GRPC_HEAD_BYTES], size_t message_bytes)
{
    struct mu_wr w = mu_wr_of(head, MU_GRPC_HEAD_BYTES);

    MU_ASSERT(message_bytes <= UINT32_MAX);
    mu_wr_u8(&w, 0);
    mu_wr_u32be(&w, (uint32_t)message_bytes);
    MU_ASSERT(mu_wr_ok(&w));
}

void mu_grpc_add(struct mu_buf *to, struct mu_span message)
{
    uint8_t head[MU_GRPC_HEAD_BYTES];

    mu_grpc_head(head, message.bytes);
    mu_buf_add(to, head, sizeof head);
    mu_buf_add_span(to, message);
}

/* -- status text ---------------------------------------------------------------------------- */

void mu_grpc_text_encode(struct mu_buf *to, struct mu_span text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (c >= ' ' && c <= '~' && c != '%') {
            mu_buf_add_byte(to, c);
            continue;
        }
        mu_buf_add_byte(to, '%');
        mu_buf_add_byte(to, (uint8_t)digits[c >> 4]);
        mu_buf_add_byte(to, (uint8_t)digits[c & 15]);
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What is no escape stays as it is: a status text is never worth losing. */
void mu_grpc_text_decode(struct mu_buf *to, struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        int high = text.data[i] == '%' && text.bytes - i > 2 ? hex_value(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;

        if (low < 0) {
            mu_buf_add_byte(to, text.data[i]);
            continue;
        }
        mu_buf_add_byte(to, (uint8_t)(high << 4 | low));
        i += 2;
    }
}
