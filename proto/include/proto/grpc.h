/* grpc.h - gRPC framing: length-prefixed messages on a stream, status in the trailers.
 *
 * Source: "gRPC over HTTP2". A message is one flag byte (1: compressed, refused here), a 32-bit
 * big-endian length, and the bytes.
 *
 * Memory: messages handed out are *borrowed*. Errors: MU_TOO_BIG before anything is allocated,
 * MU_UNSUPPORTED for a compressed message.
 */
#ifndef MU_PROTO_GRPC_H
#define MU_PROTO_GRPC_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define MU_GRPC_HEAD_BYTES 5

enum mu_grpc_status { /* those that are used here */
                      MU_GRPC_OK = 0,
                      MU_GRPC_CANCELLED = 1,
                      MU_GRPC_UNKNOWN = 2,
                      MU_GRPC_INVALID_ARGUMENT = 3,
                      MU_GRPC_DEADLINE_EXCEEDED = 4,
                      MU_GRPC_NOT_FOUND = 5,
                      MU_GRPC_ALREADY_EXISTS = 6,
                      MU_GRPC_PERMISSION_DENIED = 7,
                      MU_GRPC_RESOURCE_EXHAUSTED = 8,
                      MU_GRPC_FAILED_PRECONDITION = 9,
                      MU_GRPC_ABORTED = 10,
                      MU_GRPC_OUT_OF_RANGE = 11,
                      MU_GRPC_UNIMPLEMENTED = 12,
                      MU_GRPC_INTERNAL = 13,
                      MU_GRPC_UNAVAILABLE = 14,
                      MU_GRPC_DATA_LOSS = 15,
                      MU_GRPC_UNAUTHENTICATED = 16,
};

/* Collects the bytes of one stream into messages. */
struct mu_grpc_in {
    struct mu_buf part; /* head and bytes of a message that is not complete yet */
    size_t message_max;
};

typedef enum mu_code mu_grpc_fn(void *data, struct mu_span message, struct mu_err *err);

void mu_grpc_in_init(struct mu_grpc_in *in, size_t message_max);
void mu_grpc_in_deinit(struct mu_grpc_in *in);
/* Calls `message` for each one that is complete; stops at its first failure. */
MU_MUST_CHECK enum mu_code mu_grpc_feed(struct mu_grpc_in *in, struct mu_span bytes,
                                        mu_grpc_fn *message, void *data, struct mu_err *err);
bool mu_grpc_in_is_empty(const struct mu_grpc_in *in); /* no partial message is held */

void mu_grpc_head(uint8_t head[MU_GRPC_HEAD_BYTES], size_t message_bytes);
void mu_grpc_add(struct mu_buf *to, struct mu_span message); /* head and bytes */

/* "grpc-message" is percent-encoded (gRPC over HTTP2, "Status-Message"). */
void mu_grpc_text_encode(struct mu_buf *to, struct mu_span text);
void mu_grpc_text_decode(struct mu_buf *to, struct mu_span text);

#endif
