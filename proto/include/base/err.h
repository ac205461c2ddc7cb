/* err.h - codes for expected failures, and error text that keeps the story.
 *
 * A function that can fail returns enum mu_code and takes a struct mu_err * as its last
 * argument. Code and text are set by one call, mu_fail(); a layer that knows a noun puts it in
 * front with mu_wrap(): "loading web.json: service 'web': port 70000 is outside 1..65535".
 *
 * Thread:  a mu_err belongs to its owner; no global state.
 * Memory:  fixed buffers, text is cut when too long, never grown.
 * Errors:  `err` may be NULL everywhere: then only the code is reported.
 */
#ifndef MU_BASE_ERR_H
#define MU_BASE_ERR_H

#include <stdarg.h>

#define MU_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MU_MUST_CHECK        __attribute__((warn_unused_result))

/* What went wrong, as far as a caller may want to act on it. web/status.c maps each to HTTP, gRPC
 * and DNS with switches without a default: a new code does not compile until it has an answer. */
#define MU_CODES(X)                                                                         \
    X(OK, "ok")                                                                             \
    X(INVALID, "invalid argument")                                                          \
    X(NOT_FOUND, "not found")                                                               \
    X(EXISTS, "already exists")                                                             \
    X(CONFLICT, "conflict")                                                                 \
    X(DENIED, "permission denied")                                                          \
    X(NOT_LEADER, "not the leader")   /* certainly not accepted: may be repeated */         \
    X(NO_LEADER, "no cluster leader") /* certainly not accepted: may be repeated */         \
    X(NO_SERVERS, "no known servers")                                                       \
    X(UNREACHABLE, "peer unreachable") /* certainly not sent */                             \
    X(LOST, "outcome unknown")         /* was sent or appended, then the answer was lost */ \
    X(TIMEOUT, "timed out")                                                                 \
    X(BUSY, "limit reached, try later")                                                     \
    X(TOO_BIG, "too big")                                                                   \
    X(CORRUPT, "stored bytes fail a check")                                                 \
    X(IO, "input/output error")                                                             \
    X(FULL, "no space left")                                                                \
    X(READ_ONLY, "read-only file system")                                                   \
    X(FOREIGN, "belongs to somebody else")                                                  \
    X(UNSUPPORTED, "not supported")                                                         \
    X(CANCELLED, "cancelled")

enum mu_code {
#define MU_CODE_ENUM(name, text) MU_##name,
    MU_CODES(MU_CODE_ENUM)
#undef MU_CODE_ENUM
};

#define MU_ERR_TEXT_MAX 512

struct mu_err {
    enum mu_code code;          /* MU_OK until a call fails */
    char text[MU_ERR_TEXT_MAX]; /* "outer: inner", NUL-terminated */
};

#define MU_ERR_NONE ((struct mu_err){ MU_OK, "" })

/* The fixed description of a code: "not found". Never NULL. */
const char *mu_code_text(enum mu_code code);

/* Set code and text; returns `code`, so that `return mu_fail(...)` reads well. */
enum mu_code mu_fail(struct mu_err *err, enum mu_code code, const char *fmt, ...) MU_PRINTF(3, 4);

/* Put "<text>: " in front of what is there; returns the code that is there (never MU_OK: asserted
 * when err is given). With err == NULL returns `code`. */
enum mu_code mu_wrap(struct mu_err *err, enum mu_code code, const char *fmt, ...) MU_PRINTF(3, 4);

#endif
