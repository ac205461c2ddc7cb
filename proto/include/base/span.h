/* span.h - borrowed bytes: a pointer and a length, without ownership.
 *
 * A span is a *view*: it is valid as long as what it points into. It is not NUL-terminated; print
 * it with "%.*s" and MU_SPAN_FMT(). An empty span may have data == NULL.
 */
#ifndef MU_BASE_SPAN_H
#define MU_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_span {
    const uint8_t *data;
    size_t bytes;
};

#define MU_SPAN_NONE      ((struct mu_span){ NULL, 0 })
#define MU_SPAN_LIT(text) ((struct mu_span){ (const uint8_t *)(text), sizeof(text) - 1 })
#define MU_SPAN_FMT(s) \
    (int)(s).bytes, (const char *)((s).data != NULL ? (s).data : (const uint8_t *)"")

struct mu_span mu_span_of(const void *data, size_t bytes);
struct mu_span mu_span_text(const char *text); /* NULL gives the empty span */

bool mu_span_eq(struct mu_span a, struct mu_span b);
bool mu_span_eq_text(struct mu_span a, const char *text);
bool mu_span_eq_fold(struct mu_span a, struct mu_span b); /* A-Z fold, nothing else does */
bool mu_span_starts(struct mu_span a, struct mu_span prefix);
int mu_span_cmp(struct mu_span a, struct mu_span b); /* byte-wise, shorter first: <0, 0, >0 */

/* Part of a span; `from` and `bytes` are clamped to what is there. */
struct mu_span mu_span_sub(struct mu_span a, size_t from, size_t bytes);

/* Split at the first `sep`: returns the part before it and leaves the rest in *rest. Without a
 * `sep` everything is returned and *rest is empty. *found says which it was; it may be NULL. */
struct mu_span mu_span_split(struct mu_span a, char sep, struct mu_span *rest, bool *found);

/* Fold A-Z to a-z, byte for byte, everything else stays. `to` has room for from.bytes. */
void mu_span_fold(struct mu_span from, uint8_t *to);

/* Decimal digits only, no sign, no blanks; false on anything else or overflow. */
bool mu_span_u64(struct mu_span a, uint64_t *out);

/* Is it valid UTF-8 without NUL (RFC 3629)? */
bool mu_span_is_utf8(struct mu_span a);
size_t mu_span_utf8_prefix(struct mu_span a); /* how many bytes at the front are */

#endif
