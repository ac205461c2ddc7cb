/* query.h - every read of the catalog: joined, ordered rows with the index they are good for.
 *
 * A reader is one read-only connection. Its first query in a turn opens a read transaction, all
 * further ones see the same state, catalog_reader_release() ends it: call that at the end of each
 * loop turn, so that checkpoints are not held up.
 *
 * Names of nodes, services and checks match with A-Z folded and are returned as registered. Order
 * is that of spec/http-api.md 1.15: by node name, then service id or check id; keys by byte.
 *
 * `index` in a result is what blocking queries compare and X-Consul-Index shows (http-api 1.7); it
 * is at least 1.
 *
 * Thread:  one owner per reader (the loop has one, each worker its own).
 * Memory:  everything in a result is in the arena that was passed in.
 * Errors:  MU_IO, MU_CORRUPT. An unknown name is an empty result, not an error.
 */
#ifndef CATALOG_QUERY_H
#define CATALOG_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/span.h"
#include "catalog/catalog.h"
#include "proto/coordinate.h"

struct catalog_reader; /* opaque */

/* Open beside a writer of the same process. For an in-memory catalog pass the writer instead of a
 * path: then both must be used by one thread, the reader is closed first, and nothing is read
 * inside of a transaction (asserted). Errors as for catalog_open(). */
MU_MUST_CHECK enum mu_code catalog_reader_open(struct catalog_reader **out, const char *path,
                                               struct catalog *in_memory, struct mu_err *err);
/* Beside a writer whose file lies elsewhere. */
MU_MUST_CHECK enum mu_code catalog_reader_open_in(struct catalog_reader **out, const char *path,
                                                  const struct catalog_files *files,
                                                  struct mu_err *err);
void catalog_reader_close(struct catalog_reader *r);   /* NULL is fine */
void catalog_reader_release(struct catalog_reader *r); /* end the turn's read transaction, if any */
/* A query failed because the file is damaged (its MU_CORRUPT): others may answer yet, and will not
 * say it. */
bool catalog_reader_is_damaged(const struct catalog_reader *r);
/* End the turn and give memory of pages back: for an owner that has been idle for a while. */
void catalog_reader_rest(struct catalog_reader *r);

/* -- without waiting for the disk -------------------------------------------------------------- */

struct catalog_miss { /* where something lies that was not in memory */
    bool in_wal;      /* else in the database */
    uint64_t offset;
};

/* From here to the next call, what readers of this thread ask waits for no disk: a query that needs
 * what is not in memory fails. */
void catalog_prompt_begin(void);
/* True: one has failed, and nothing that was read since is an answer. *miss: what to fetch before
 * all of it is tried again. */
bool catalog_prompt_end(struct catalog_miss *miss);
bool catalog_prompt_has_missed(void); /* the same, before its end */
/* Any thread: bring so many bytes from there on into memory, and wait for them. `path` as for
 * catalog_reader_open(). What goes wrong, the reader will meet. */
void catalog_fetch(const char *path, const struct catalog_miss *miss, size_t bytes);

/* The applied index of the state that the reader sees now. */
MU_MUST_CHECK enum mu_code catalog_reader_applied(struct catalog_reader *r,
                                                  struct catalog_applied *out, struct mu_err *err);

/* -- rows -------------------------------------------------------------------------------------- */

struct catalog_node {
    struct mu_span name, id, address; /* id: UUID text or empty */
    struct mu_pairs tagged_addresses, meta;
    bool has_tagged_addresses, has_meta;
    uint64_t create_index, modify_index;
};

struct catalog_tagged { /* a service's tagged address */
    struct mu_span name, address;
    uint16_t port;
};

struct catalog_service {
    struct mu_span id, name, kind;
    struct mu_texts tags; /* in the order they were registered */
    struct mu_span address;
    uint16_t port;
    struct catalog_tagged *tagged_addresses;
    size_t tagged_addresses_count;
    struct mu_pairs meta;
    bool has_meta;
    uint32_t weight_passing, weight_warning;
    bool enable_tag_override;
    struct mu_span proxy, connect; /* compact JSON, or empty */
    uint64_t create_index, modify_index;
};

struct catalog_check {
    struct mu_span node, id, name, status, notes, output, service_id, service_name, type;
    struct mu_texts service_tags;
    struct mu_span definition; /* compact JSON, or empty */
    uint64_t create_index, modify_index;
};

/* One instance of a service with the node it runs on; checks only where they were asked for. */
struct catalog_instance {
    struct catalog_node *node;
    struct catalog_service service;
    struct catalog_check *checks; /* node-level checks first, then the instance's own */
    size_t checks_count;
};

struct catalog_nodes {
    struct catalog_node *items;
    size_t count;
    uint64_t index;
};

struct catalog_instances {
    struct catalog_instance *items;
    size_t count;
    uint64_t index;
};

struct catalog_checks {
    struct catalog_check *items;
    size_t count;
    uint64_t index;
};

struct catalog_service_name { /* a name and the union of its instances' tags, sorted */
    struct mu_span name;
    struct mu_texts tags;
};

struct catalog_service_names {
    struct catalog_service_name *items;
    size_t count;
    uint64_t index;
};

struct catalog_node_services {
    struct catalog_node *node; /* NULL: no such node */
    struct catalog_service *services;
    size_t services_count;
    uint64_t index;
};

struct catalog_kv {
    struct mu_span key, value, session; /* session: id in text; empty without a lock */
    uint64_t flags, lock_index, create_index, modify_index;
};

struct catalog_kvs {
    struct catalog_kv *items;
    size_t count;
    uint64_t index;
};

/* How the leader cares for the servers (http-api 12). */
struct catalog_autopilot {
    bool is_set; /* else a leader is about to set it */
    bool cleanup_dead_servers, disable_upgrade_migration;
    uint64_t last_contact_ns, stabilization_ns, max_trailing_logs, min_quorum;
    struct mu_span redundancy_zone_tag, upgrade_version_tag;
    uint64_t create_index, modify_index;
};

struct catalog_coordinate { /* where a node is in the space of round trip times */
    struct mu_span node;
    struct coordinate at;
};

struct catalog_coordinates {
    struct catalog_coordinate *items; /* by node */
    size_t count;
    uint64_t index;
};

struct catalog_session {
    struct mu_id id;
    struct mu_span name, node, behavior, ttl; /* ttl: as given, or empty */
    uint64_t lock_delay_ns;
    struct mu_texts node_checks;
    struct mu_pairs service_checks; /* id and namespace, in the order they were given */
    bool has_service_checks;
    uint64_t create_index, modify_index;
};

struct catalog_sessions {
    struct catalog_session *items; /* by id */
    size_t count;
    uint64_t index;
};

/* Only nodes (and what is on them) whose metadata holds all of these pairs; NULL: all. */
struct catalog_filter {
    struct mu_pairs node_meta;
};

/* -- queries ----------------------------------------------------------------------------------- */

MU_MUST_CHECK enum mu_code catalog_query_nodes(struct catalog_reader *r, struct mu_arena *arena,
                                               const struct catalog_filter *filter,
                                               struct catalog_nodes *out, struct mu_err *err);

/* By name, or by id, or by an unambiguous prefix of at least 2 characters of an id (an odd last
 * character is dropped, spec/dns.md 5.6). items has 0 or 1 row. */
MU_MUST_CHECK enum mu_code catalog_query_node(struct catalog_reader *r, struct mu_arena *arena,
                                              struct mu_span name_or_id, struct catalog_nodes *out,
                                              struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_service_names(struct catalog_reader *r,
                                                       struct mu_arena *arena,
                                                       const struct catalog_filter *filter,
                                                       struct catalog_service_names *out,
                                                       struct mu_err *err);

/* Instances of a service; with_checks also reads each one's checks (health/service, DNS). The
 * index is the per-service one. */
MU_MUST_CHECK enum mu_code catalog_query_instances(struct catalog_reader *r, struct mu_arena *arena,
                                                   struct mu_span service,
                                                   const struct catalog_filter *filter,
                                                   bool with_checks, struct catalog_instances *out,
                                                   struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_node_services(struct catalog_reader *r,
                                                       struct mu_arena *arena,
                                                       struct mu_span node_name_or_id,
                                                       struct catalog_node_services *out,
                                                       struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_node_checks(struct catalog_reader *r,
                                                     struct mu_arena *arena, struct mu_span node,
                                                     struct catalog_checks *out,
                                                     struct mu_err *err);

MU_MUST_CHECK enum mu_code
catalog_query_service_checks(struct catalog_reader *r, struct mu_arena *arena,
                             struct mu_span service, const struct catalog_filter *filter,
                             struct catalog_checks *out, struct mu_err *err);

/* state: "any" or a status. */
MU_MUST_CHECK enum mu_code catalog_query_state_checks(struct catalog_reader *r,
                                                      struct mu_arena *arena, struct mu_span state,
                                                      const struct catalog_filter *filter,
                                                      struct catalog_checks *out,
                                                      struct mu_err *err);

/* The nodes, else the instances, that have this address (DNS reverse lookup): the first by name of
 * those that are registered with it, else of those that it is a tagged address of. */
MU_MUST_CHECK enum mu_code catalog_query_address(struct catalog_reader *r, struct mu_arena *arena,
                                                 const struct mu_addr *address,
                                                 struct catalog_nodes *nodes,
                                                 struct catalog_instances *instances,
                                                 struct mu_err *err);

/* items has 0 or 1 row. */
MU_MUST_CHECK enum mu_code catalog_query_session(struct catalog_reader *r, struct mu_arena *arena,
                                                 const struct mu_id *id,
                                                 struct catalog_sessions *out, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog_query_sessions(struct catalog_reader *r, struct mu_arena *arena,
                                                  struct catalog_sessions *out, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog_query_node_sessions(struct catalog_reader *r,
                                                       struct mu_arena *arena, struct mu_span node,
                                                       struct catalog_sessions *out,
                                                       struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_key(struct catalog_reader *r, struct mu_arena *arena,
                                             struct mu_span key, struct catalog_kvs *out,
                                             struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_prefix(struct catalog_reader *r, struct mu_arena *arena,
                                                struct mu_span prefix, struct catalog_kvs *out,
                                                struct mu_err *err);

/* Keys below a prefix; with a separator each is cut behind the first one after the prefix and
 * repeated ones are folded. */
struct catalog_keys {
    struct mu_span *items;
    size_t count;
    uint64_t index;
};
MU_MUST_CHECK enum mu_code catalog_query_keys(struct catalog_reader *r, struct mu_arena *arena,
                                              struct mu_span prefix, struct mu_span separator,
                                              struct catalog_keys *out, struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_coordinates(struct catalog_reader *r,
                                                     struct mu_arena *arena,
                                                     struct catalog_coordinates *out,
                                                     struct mu_err *err);
/* items has 0 or 1 row. */
MU_MUST_CHECK enum mu_code catalog_query_coordinate(struct catalog_reader *r,
                                                    struct mu_arena *arena, struct mu_span node,
                                                    struct catalog_coordinates *out,
                                                    struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog_query_autopilot(struct catalog_reader *r, struct mu_arena *arena,
                                                   struct catalog_autopilot *out,
                                                   struct mu_err *err);

#endif
