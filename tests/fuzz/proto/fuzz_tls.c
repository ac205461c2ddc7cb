/* fuzz_tls.c - bytes from a stranger, at either end: refused without harm, and nothing is read. */
#include <string.h>

#include "base/assert.h"
#include "proto/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void meet(struct mu_tls_context *c, enum mu_tls_role role, struct mu_span all)
{
    struct mu_tls *t = mu_tls_new(c, role);
    struct mu_buf plain = MU_BUF_NONE;
    struct mu_buf closed = MU_BUF_NONE;

    for (size_t at = 0; at < all.bytes; at += 97) {
        if (mu_tls_feed(t, mu_span_sub(all, at, 97), &plain, NULL) != MU_OK) {
            break;
        }
    }
    MU_ASSERT(plain.bytes == 0 && !mu_tls_is_up(t)); /* it has no key */
    (void)mu_tls_pull(t, &closed);
    mu_buf_deinit(&plain);
    mu_buf_deinit(&closed);
    mu_tls_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct mu_tls_context *context; /* once: OpenSSL's own start is slow */

    if (context == NULL) {
        struct mu_tls_key key = { .identity = "0badcafe" };

        MU_ASSERT(mu_tls_context_new(&context, NULL) == MU_OK);
        mu_tls_context_keys(context, &key, 1);
    }
    meet(context, MU_TLS_SERVER, mu_span_of(data, bytes));
    meet(context, MU_TLS_CLIENT, mu_span_of(data, bytes));
    return 0;
}
