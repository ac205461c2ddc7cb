/* log.h - log lines in the specified form.
 *
 *   2026-11-20T08:40:54.958Z [INFO]  agent.server: New leader elected: payload=n1
 *
 * A fixed sentence, then key=value; values with blanks are quoted. Log where a decision is made,
 * once. Secrets, tokens and key-value values never reach a formatter.
 *
 * Thread:  any. A line is one write().
 * Errors:  what cannot be written is lost; logging never fails its caller.
 */
#ifndef MU_BASE_LOG_H
#define MU_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum mu_log_level {
    MU_TRACE,
    MU_DEBUG,
    MU_INFO,
    MU_WARN,
    MU_ERROR,
};

struct mu_log_field {
    const char *key; /* NULL ends the list */
    enum { MU_LOG_TEXT, MU_LOG_SPAN, MU_LOG_U64, MU_LOG_I64, MU_LOG_MS } kind;
    union {
        const char *text;
        struct mu_span span;
        uint64_t u64;
        int64_t i64;
    };
};

#define MU_LOG_END       ((struct mu_log_field){ .key = NULL })
#define mu_kv(k, v)      ((struct mu_log_field){ .key = (k), .kind = MU_LOG_TEXT, .text = (v) })
#define mu_kv_span(k, v) ((struct mu_log_field){ .key = (k), .kind = MU_LOG_SPAN, .span = (v) })
#define mu_kv_u(k, v)    ((struct mu_log_field){ .key = (k), .kind = MU_LOG_U64, .u64 = (v) })
#define mu_kv_i(k, v)    ((struct mu_log_field){ .key = (k), .kind = MU_LOG_I64, .i64 = (v) })
#define mu_kv_ms(k, v) \
    ((struct mu_log_field){ .key = (k), .kind = MU_LOG_MS, .u64 = (v) }) /* "12ms" */

/* mu_log(MU_INFO, "agent", "Synced service", mu_kv("service", id), mu_kv_u("index", n)); */
#define mu_log(level, module, ...) mu_log_fields_(level, module, __VA_ARGS__, MU_LOG_END)
#define mu_log_fields_(level, module, sentence, ...)                                             \
    do {                                                                                         \
        if (mu_log_on(level)) {                                                                  \
            mu_log_write(level, module, sentence, (const struct mu_log_field[]){ __VA_ARGS__ }); \
        }                                                                                        \
    } while (0)

/* For the sentences that scripts match and that hold a name in the middle: "serf: EventMemberJoin:
 * n1 127.0.0.1". Everything else uses mu_log(). */
void mu_logf(enum mu_log_level level, const char *module, const char *fmt, ...) MU_PRINTF(3, 4);

bool mu_log_on(enum mu_log_level level);
void mu_log_write(enum mu_log_level level, const char *module, const char *sentence,
                  const struct mu_log_field *fields);

/* Which lines are written (default MU_INFO), and where to: a file descriptor (default 1), borrowed.
 * -1: nowhere. As JSON: one object a line. */
void mu_log_set_level(enum mu_log_level level);
void mu_log_set_fd(int fd);
/* A second place for the same lines: log_file; default -1, none. A thread writes them, so that
 * nobody waits for a disk; up to a megabyte waits for that one, then lines are lost and counted
 * there. With -1 all that waits has been written on return. From one thread at a time. */
void mu_log_set_copy_fd(int fd);
void mu_log_set_json(bool is_json);
/* "trace" "debug" "info" "warn" "err" "error", in either case. */
bool mu_log_level_parse(struct mu_span text, enum mu_log_level *out);

/* A second reader of every line at or above its own level (tests): called on the thread that logs,
 * with the finished line without a newline, as text. It must not log. One at a time; NULL ends it.
 */
typedef void mu_log_tap_fn(void *data, enum mu_log_level level, struct mu_span line);
void mu_log_set_tap(mu_log_tap_fn *tap, void *data, enum mu_log_level level);
/* Further readers, told apart by their `data`: add, or set form and level anew; remove. They have
 * their form whatever the log itself is. No call of a tap runs any more when its remove returns. */
enum mu_log_form { MU_LOG_AS_TEXT, MU_LOG_AS_JSON, MU_LOG_FORMS };
#define MU_LOG_TAPS_MAX 16
void mu_log_add_tap(enum mu_log_form form, mu_log_tap_fn *tap, void *data, enum mu_log_level level);
void mu_log_remove_tap(const void *data);

#endif
