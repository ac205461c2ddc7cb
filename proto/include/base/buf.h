/* buf.h - bytes that grow.
 *
 * Life:    init (or = MU_BUF_NONE), append, deinit. deinit of an empty one is fine.
 * Memory:  the buffer owns its bytes; mu_buf_span() is a view, valid until the next append.
 * Errors:  appending aborts when the kernel has no memory; bounds are the caller's business and
 *          come from limits.h.
 */
#ifndef MU_BASE_BUF_H
#define MU_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct mu_buf {
    uint8_t *data;
    size_t bytes; /* used */
    size_t room;  /* allocated */
};

#define MU_BUF_NONE ((struct mu_buf){ NULL, 0, 0 })

void mu_buf_deinit(struct mu_buf *b); /* leaves an empty, usable buffer */
void mu_buf_clear(struct mu_buf *b);  /* forget the bytes, keep the room */

/* Room for `bytes` more; returns where they go. The caller then raises b->bytes itself. */
uint8_t *mu_buf_reserve(struct mu_buf *b, size_t bytes);

void mu_buf_add(struct mu_buf *b, const void *data, size_t bytes);
void mu_buf_add_span(struct mu_buf *b, struct mu_span s);
void mu_buf_add_text(struct mu_buf *b, const char *text);
void mu_buf_add_byte(struct mu_buf *b, uint8_t byte);
void mu_buf_add_u64(struct mu_buf *b, uint64_t value); /* decimal digits */
void mu_buf_addf(struct mu_buf *b, const char *fmt, ...) MU_PRINTF(2, 3);
void mu_buf_vaddf(struct mu_buf *b, const char *fmt, va_list args) MU_PRINTF(2, 0);

/* Drop `bytes` from the front; what is left moves down. */
void mu_buf_drop(struct mu_buf *b, size_t bytes);

struct mu_span mu_buf_span(const struct mu_buf *b);

/* NUL-terminated view of the bytes; the NUL is not counted in b->bytes. */
const char *mu_buf_text(struct mu_buf *b);

/* Hand the bytes over (NUL-terminated); the buffer is empty afterwards. mu_free() ends them. */
char *mu_buf_take(struct mu_buf *b, size_t *bytes);

#endif
