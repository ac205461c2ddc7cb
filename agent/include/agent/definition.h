/* definition.h - services and checks as people define them, in bodies and in files.
 *
 * One shape per object serves the HTTP API (http-api 3.3, 3.4) and configuration files
 * (agent-behaviour 2.3): same names, aliases, rules and error texts.
 *
 * Two steps, because the API words their failures differently: *_decode() turns an object into a
 * struct ("json: unknown field \"Foo\"", which a body's handler prefixes with "Request decode
 * failed: "), *_valid() judges it (its text is the whole answer). *_read() does both.
 *
 * Memory:  spans point into the arena that was used for decoding, or into a copy's own arena.
 * Errors:  MU_INVALID with the API's text; MU_CONFLICT for a tagged address that does not fit its
 *          name (a 500 in the reference, where the others are 400).
 */
#ifndef AGENT_DEFINITION_H
#define AGENT_DEFINITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

struct check_definition {
    struct mu_span id; /* CheckID, else ID, else the name; of a service: see decode */
    struct mu_span name, notes, status, service_id, token;
    int64_t interval_ns, timeout_ns, ttl_ns;
    struct mu_span http, method, body, tcp, grpc, alias_node, alias_service, docker, shell;
    struct mu_multi header;
    struct mu_texts script_args;
    bool tls_skip_verify, grpc_use_tls;
    int64_t success_before_passing, failures_before_critical;
    int64_t deregister_after_ns, output_max_size;
    struct mu_span udp, h2ping, os_service; /* newer types: refused by name for now */
    bool tcp_use_tls, h2ping_use_tls, disable_redirects;
    struct mu_span tls_server_name, ns, partition;
    int64_t failures_before_warning;
    uint64_t given; /* bit per field of check_definition_shape */
};

struct service_tagged_definition {
    struct mu_span name, address;
    int64_t port;
};

struct service_definition {
    struct mu_span id, name, kind, address, token;
    struct mu_texts tags;
    int64_t port;
    struct service_tagged_definition *tagged_addresses;
    size_t tagged_addresses_count;
    struct mu_pairs meta;
    bool has_meta;
    int64_t weight_passing, weight_warning;
    bool has_weights;
    bool enable_tag_override;
    struct check_definition *checks; /* Check first, then Checks */
    size_t checks_count;
    struct mu_span proxy, connect; /* compact JSON of those members, or empty */
    struct mu_span ns, partition;  /* "" or "default", anything else is refused */
};

/* The members that are known, for whoever must name an unknown one by its path. */
extern const struct mu_json_shape service_definition_shape, check_definition_shape;

/* Decode one object and fill the defaults: ID = Name, weights 1/1, lan_ipv4/wan_ipv4 (or _ipv6)
 * from a literal address, `Check: {}` and nulls dropped, metadata and tagged addresses sorted by
 * key; checks of a service are `service:<id>`, or `service:<id>:<n>` when there are several, and
 * `Service '<name>' check`. The tree may be freed afterwards. */
MU_MUST_CHECK enum mu_code service_definition_decode(const struct mu_json *object,
                                                     struct service_definition *out,
                                                     struct mu_arena *arena, struct mu_err *err);
MU_MUST_CHECK enum mu_code check_definition_decode(const struct mu_json *object,
                                                   struct check_definition *out,
                                                   struct mu_arena *arena, struct mu_err *err);

/* Limits and texts of http-api 3.3, what can be judged without an agent. */
MU_MUST_CHECK enum mu_code service_definition_valid(const struct service_definition *d,
                                                    struct mu_err *err);
/* The rules about intervals, TTL and types (http-api 3.4), without the prefix "Invalid check: ". */
MU_MUST_CHECK enum mu_code check_definition_valid(const struct check_definition *d,
                                                  struct mu_err *err);
/* The same and what a check that stands alone needs: "Missing check name", "Bad check status",
 * "Invalid check: ...". */
MU_MUST_CHECK enum mu_code check_definition_valid_alone(const struct check_definition *d,
                                                        struct mu_err *err);

/* Up to 64 pairs of node or service metadata (http-api 3.3): "Key cannot be blank", ... */
MU_MUST_CHECK enum mu_code definition_meta_valid(const struct mu_pairs *meta, struct mu_err *err);
/* Between 1 (warning: 0) and 65535: "Passing must be greater than 0", ... */
MU_MUST_CHECK enum mu_code definition_weights_valid(const struct service_definition *d,
                                                    struct mu_err *err);

/* Both steps; a check's rules are those of check_definition_valid_alone(). */
MU_MUST_CHECK enum mu_code service_definition_read(const struct mu_json *object,
                                                   struct service_definition *out,
                                                   struct mu_arena *arena, struct mu_err *err);
MU_MUST_CHECK enum mu_code check_definition_read(const struct mu_json *object,
                                                 struct check_definition *out,
                                                 struct mu_arena *arena, struct mu_err *err);

/* Deep copies, for what outlives its request. */
void service_definition_copy(struct service_definition *to, const struct service_definition *from,
                             struct mu_arena *arena);
void check_definition_copy(struct check_definition *to, const struct check_definition *from,
                           struct mu_arena *arena);

/* As JSON that *_read() reads back equal: what is kept under services/ and checks/. */
void service_definition_write(struct mu_json_out *o, const struct service_definition *d);
void check_definition_write(struct mu_json_out *o, const struct check_definition *d);

#endif
