/* params.h - query parameters: the pairs as they came, and the declared ones with their rules.
 *
 * Every parameter that has a meaning for a whole class of routes (blocking, consistency,
 * namespaces) is one row of the table in params.c: which routes it is declared for, how its value
 * is read, what is wrong with it. A route's own parameters (cas, tag, ...) are asked for by name in
 * its handler; an undeclared one is ignored, as the reference does.
 *
 * Memory:  keys and values are views into the query or copies in the arena.
 * Errors:  MU_INVALID with the body to answer with (http-api 1.7 to 1.10).
 */
#ifndef WEB_PARAMS_H
#define WEB_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct param {
    struct mu_span key, value;
};

struct params {
    struct param *items; /* in the order they were given */
    size_t count;
};

/* MU_INVALID: a bad percent escape; MU_TOO_BIG: absurdly many. */
MU_MUST_CHECK enum mu_code params_parse(struct mu_span query, struct mu_arena *arena,
                                        struct params *out, struct mu_err *err);
/* The first value under a key; NULL if absent. A key without '=' has the empty value. */
const struct mu_span *params_find(const struct params *p, const char *key);
bool params_has(const struct params *p, const char *key);
struct mu_span params_text(const struct params *p, const char *key); /* absent: empty */
/* "acquire=x&cas=1": sorted by key, escaped anew. */
void params_encode(const struct params *p, struct mu_buf *to);

/* What a read was asked for. */
struct read_options {
    enum agent_consistency mode;
    bool is_cached, must_revalidate;
    bool has_max_stale;
    uint64_t max_stale_ms; /* with has_max_stale: an older answer is fetched from the leader */
    uint64_t index;        /* 0: answer at once */
    uint64_t wait_ms;      /* default and cap are applied */
};

/* Of the configuration, and of the route. */
struct read_defaults {
    uint64_t wait_ms, wait_ms_max;
    uint64_t discovery_max_stale_ms; /* 0: reads are linearizable unless they ask otherwise */
    unsigned traits;                 /* of the route: ROUTE_* */
};

/* Apply the table. The order of complaints is the reference's: namespace, consistency,
 * Cache-Control, wait, index. */
MU_MUST_CHECK enum mu_code params_read_options(const struct params *p, struct mu_span cache_control,
                                               struct mu_span namespace_header,
                                               const struct read_defaults *defaults,
                                               struct read_options *out, struct mu_err *err);

/* `wait`: default and cap as given; zero and negative ones mean the default. */
MU_MUST_CHECK enum mu_code params_wait_ms(struct mu_span text, const struct read_defaults *defaults,
                                          uint64_t *out, struct mu_err *err);

/* Go's strconv.ParseBool: 1 t T TRUE true True, 0 f F FALSE false False. */
bool params_bool(struct mu_span text, bool *out);
/* An unsigned number in Go's words: `strconv.ParseUint: parsing "x": invalid syntax`. */
MU_MUST_CHECK enum mu_code params_u64(struct mu_span text, uint64_t *out, struct mu_err *err);
/* ?passing: absent or false; present without a value is true. */
MU_MUST_CHECK enum mu_code params_passing(const struct params *p, bool *out, struct mu_err *err);
/* All values under a repeatable key, in order. */
struct mu_texts params_all(const struct params *p, const char *key, struct mu_arena *arena);
/* ?node-meta=key:value: split at the first colon; of equal keys the last wins. */
struct mu_pairs params_node_meta(const struct params *p, struct mu_arena *arena);

#endif
