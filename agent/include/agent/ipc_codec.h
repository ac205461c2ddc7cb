/* ipc_codec.h - the objects on Serf's control port: MessagePack, read as trees, written piecewise.
 *
 * spec/serf-surface.md 9.1. Both directions are plain concatenations of objects, so that a reader
 * has to say whether an object is whole. Clients differ: text and bytes are taken for each other,
 * numbers of any width and form, what is missing or nil is zero.
 *
 * Memory:  a tree lives in the caller's arena and points into the bytes it was read from.
 */
#ifndef AGENT_IPC_CODEC_H
#define AGENT_IPC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/span.h"

#define IPC_OBJECT_BYTES_MAX (1024U * 1024) /* one object; requests have some kilobytes */
#define IPC_VALUES_MAX       8192U          /* in one object: 4096 keys with their values */
#define IPC_DEPTH_MAX        16U            /* stock clients nest three deep */

enum ipc_kind { IPC_NIL, IPC_BOOL, IPC_UINT, IPC_SINT, IPC_FLOAT, IPC_TEXT, IPC_LIST, IPC_MAP };

struct ipc_value {
    enum ipc_kind kind;
    bool is_bytes; /* TEXT: written as bytes */
    union {
        bool yes;
        uint64_t u;
        int64_t i; /* SINT: below zero */
        double f;
        struct mu_span text; /* also bytes; a view of the input */
        struct {
            struct ipc_value *items; /* of a map: key, value, key, value ... */
            size_t count;            /* of a map: pairs */
        } many;
    };
};

enum ipc_got {
    IPC_WHOLE,
    IPC_MORE, /* the input ends inside of the object */
    IPC_BAD,  /* no MessagePack, an extension type, or over a limit */
};

/* One object from the front of `in`; *used are its bytes when it is whole. */
enum ipc_got ipc_read(struct mu_span in, struct mu_arena *arena, struct ipc_value *out,
                      size_t *used);

/* The same within other bounds: what a client reads, from an agent it chose, is longer. */
enum ipc_got ipc_read_within(struct mu_span in, size_t bytes_max, size_t values_max,
                             struct mu_arena *arena, struct ipc_value *out, size_t *used);

/* -- fields of a map: missing and nil give zero, another type sets is_bad -----------------------
 */

struct ipc_fields {
    const struct ipc_value *map; /* NULL: nothing is given */
    struct mu_arena *arena;
    bool is_bad;
};

struct ipc_fields ipc_fields_of(const struct ipc_value *value, struct mu_arena *arena);
uint64_t ipc_get_u64(struct ipc_fields *f, const char *name);
int64_t ipc_get_i64(struct ipc_fields *f, const char *name);
bool ipc_get_bool(struct ipc_fields *f, const char *name);
struct mu_span ipc_get_bytes(struct ipc_fields *f, const char *name); /* a view of the input */
const char *ipc_get_text(struct ipc_fields *f, const char *name); /* in the arena; no NUL inside */
struct ipc_texts {
    const char **items;
    size_t count;
};
struct ipc_texts ipc_get_texts(struct ipc_fields *f, const char *name);
struct mu_pairs ipc_get_pairs(struct ipc_fields *f, const char *name); /* NUL behind each text */

/* -- writing: always the shortest form -----------------------------------------------------------
 */

void ipc_put_nil(struct mu_buf *to);
void ipc_put_bool(struct mu_buf *to, bool value);
void ipc_put_u64(struct mu_buf *to, uint64_t value);
void ipc_put_f64(struct mu_buf *to, double value);
void ipc_put_span(struct mu_buf *to, struct mu_span text);
void ipc_put_text(struct mu_buf *to, const char *text);
void ipc_put_bytes(struct mu_buf *to, struct mu_span bytes); /* empty: nil */
void ipc_put_list(struct mu_buf *to, size_t count);          /* `count` values follow */
void ipc_put_map(struct mu_buf *to, size_t count);           /* `count` pairs follow */

/* -- ipc_monitor.c ------------------------------------------------------------------------------
 */

/* A line of our log as Serf writes it: "2026/11/20 08:21:31 [INFO] agent: ...". */
void ipc_log_text(enum mu_log_level level, uint64_t wall_ns, struct mu_span line,
                  struct mu_buf *to);

#endif
