/* local.h - what this node should have registered: the agent's own services and checks.
 *
 * Pure state: registering and check results change it, anti-entropy (agent/antientropy.c) compares
 * it with the catalog and makes it true there. Persisting and check runners hang on its notices.
 *
 * Ids are case-sensitive here (the catalog folds them).
 *
 * Thread:  the loop's.
 * Time:    milliseconds, supplied.
 * Memory:  definitions are copied in; views die at the next change of that item.
 * Errors:  MU_NOT_FOUND, MU_BUSY (limits.h).
 */
#ifndef AGENT_LOCAL_H
#define AGENT_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/definition.h"
#include "base/err.h"

struct local; /* opaque */

enum check_status {
    CHECK_PASSING,
    CHECK_WARNING,
    CHECK_CRITICAL,
};
const char *check_status_text(enum check_status status);
bool check_status_parse(struct mu_span text, enum check_status *out);

enum local_source {
    LOCAL_FROM_API,    /* persisted */
    LOCAL_FROM_CONFIG, /* read again at start */
};

struct local_service {
    const struct service_definition *definition;
    enum local_source source;
    bool is_synced;  /* the catalog has it like this */
    bool is_deleted; /* gone here, the catalog still to be told */
};

struct local_check {
    const struct check_definition *definition; /* id is set */
    const char *id, *type;                     /* type: "http", "tcp", "ttl", ..., "" */
    struct mu_span service_name;               /* of the service it belongs to; empty: the node's */
    const struct mu_texts *service_tags;
    enum check_status status;
    struct mu_span output;
    uint64_t critical_since_ms; /* 0: not critical */
    bool has_new_output;        /* only its output changed since it was synced: may be deferred */
    enum local_source source;
    bool is_synced, is_deleted;
};

struct local *local_new(void);
void local_free(struct local *l);

/* Add or replace. A replaced check with the same id keeps status and output unless the definition
 * names a status. Checks of the service's definition are added with it; with replace_checks those
 * of the service that are not in it are removed. */
MU_MUST_CHECK enum mu_code local_service_add(struct local *l, const struct service_definition *d,
                                             enum local_source source, bool replace_checks,
                                             struct mu_err *err);
MU_MUST_CHECK enum mu_code local_service_remove(struct local *l, struct mu_span id,
                                                struct mu_err *err); /* with its checks */
/* `d->service_id` must be registered: MU_NOT_FOUND `ServiceID "x" does not exist`. */
MU_MUST_CHECK enum mu_code local_check_add(struct local *l, const struct check_definition *d,
                                           enum local_source source, struct mu_err *err);
MU_MUST_CHECK enum mu_code local_check_remove(struct local *l, struct mu_span id,
                                              struct mu_err *err);
/* A result; one that changes nothing tells nobody. A change of output alone leaves the check in
 * sync (has_new_output): the owner decides when that is worth a write. False: no such check. */
bool local_check_update(struct local *l, struct mu_span id, enum check_status status,
                        struct mu_span output, uint64_t now_ms);

bool local_service_find(const struct local *l, struct mu_span id, struct local_service *out);
bool local_check_find(const struct local *l, struct mu_span id, struct local_check *out);
typedef void local_service_fn(void *data, const struct local_service *service);
typedef void local_check_fn(void *data, const struct local_check *check);
/* In the order of registration. `each` may end the item it is called with, and no other. */
void local_each_service(const struct local *l, bool with_deleted, local_service_fn *each,
                        void *data);
void local_each_check(const struct local *l, bool with_deleted, local_check_fn *each, void *data);
size_t local_services_count(const struct local *l);
size_t local_checks_count(const struct local *l);

/* What anti-entropy found or did. */
void local_service_synced(struct local *l, struct mu_span id); /* a deleted one is forgotten */
void local_check_synced(struct local *l, struct mu_span id);
void local_service_differs(struct local *l, struct mu_span id);
void local_check_differs(struct local *l, struct mu_span id);
/* EnableTagOverride: the catalog's tags win. */
void local_service_tags(struct local *l, struct mu_span id, const struct mu_texts *tags);

/* Changes since the last call, so that the owner can start runners, persist and sync: one call per
 * item that was added, changed or removed. */
enum local_change_kind {
    LOCAL_SERVICE_SET,
    LOCAL_SERVICE_GONE,
    LOCAL_CHECK_SET, /* its definition is new or other: (re)start its runner */
    LOCAL_CHECK_GONE,
    LOCAL_CHECK_RESULT, /* only status or output */
};
typedef void local_change_fn(void *data, enum local_change_kind kind, struct mu_span id);
void local_set_listener(struct local *l, local_change_fn *changed, void *data);

#endif
