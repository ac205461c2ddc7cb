#include "agent/local.h"

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"

#define NODE_MAINTENANCE    "_node_maintenance"
#define SERVICE_MAINTENANCE "_service_maintenance:"

struct service_item {
    struct mu_link place;
    struct mu_arena arena; /* of the definition */
    struct service_definition definition;
    enum local_source source;
    bool is_synced, is_deleted;
};

struct check_item {
    struct mu_link place;
    struct mu_arena arena;
    struct check_definition definition;
    const char *type;
    enum check_status status;
    struct mu_buf output;
    uint64_t critical_since_ms;
    enum local_source source;
    bool has_new_output, is_synced, is_deleted;
};

struct local {
    struct mu_link services, checks; /* in the order of registration; deleted ones too */
    struct mu_table *services_by_id, *checks_by_id;
    size_t services_count, checks_count; /* without deleted ones */
    local_change_fn *changed;
    void *changed_data;
};

const char *check_status_text(enum check_status status)
{
    switch (status) {
    case CHECK_PASSING: return "passing";
    case CHECK_WARNING: return "warning";
    case CHECK_CRITICAL: return "critical";
    }
    MU_UNREACHABLE_CODE();
}

bool check_status_parse(struct mu_span text, enum check_status *out)
{
    for (unsigned s = CHECK_PASSING; s <= CHECK_CRITICAL; s++) {
        if (mu_span_eq_text(text, check_status_text((enum check_status)s))) {
            *out = (enum check_status)s;
            return true;
        }
    }
    return false;
}

/* -- life -------------------------------------------------------------------------------------- */

struct local *local_new(void)
{
    struct local *l = mu_new(sizeof *l);

    mu_list_init(&l->services);
    mu_list_init(&l->checks);
    l->services_by_id = mu_table_new();
    l->checks_by_id = mu_table_new();
    return l;
}

static void service_free(struct local *l, struct service_item *s)
{
    (void)mu_table_remove(l->services_by_id, s->definition.id);
    mu_list_remove(&s->place);
    mu_arena_deinit(&s->arena);
    mu_free(s);
}

static void check_free(struct local *l, struct check_item *c)
{
    (void)mu_table_remove(l->checks_by_id, c->definition.id);
    mu_list_remove(&c->place);
    mu_arena_deinit(&c->arena);
    mu_buf_deinit(&c->output);
    mu_free(c);
}

void local_free(struct local *l)
{
    if (l == NULL) {
        return;
    }
    while (!mu_list_empty(&l->services)) {
        service_free(l, MU_CONTAINER(l->services.next, struct service_item, place));
    }
    while (!mu_list_empty(&l->checks)) {
        check_free(l, MU_CONTAINER(l->checks.next, struct check_item, place));
    }
    mu_table_free(l->services_by_id);
    mu_table_free(l->checks_by_id);
    mu_free(l);
}

void local_set_listener(struct local *l, local_change_fn *changed, void *data)
{
    l->changed = changed;
    l->changed_data = data;
}

static void tell(struct local *l, enum local_change_kind kind, struct mu_span id)
{
    if (l->changed != NULL) {
        l->changed(l->changed_data, kind, id);
    }
}

static struct service_item *service_of(const struct local *l, struct mu_span id)
{
    return mu_table_find(l->services_by_id, id);
}

static struct service_item *living_service(const struct local *l, struct mu_span id)
{
    struct service_item *s = service_of(l, id);

    return s != NULL && !s->is_deleted ? s : NULL;
}

static struct check_item *check_of(const struct local *l, struct mu_span id)
{
    return mu_table_find(l->checks_by_id, id);
}

static struct check_item *living_check(const struct local *l, struct mu_span id)
{
    struct check_item *c = check_of(l, id);

    return c != NULL && !c->is_deleted ? c : NULL;
}

/* -- checks ------------------------------------------------------------------------------------ */

/* The catalog's word for the kind of a check (http-api 2.4), in the order of 3.4. */
static const char *type_of(const struct check_definition *d, enum local_source source)
{
    if (mu_span_eq_text(d->id, NODE_MAINTENANCE) ||
        mu_span_starts(d->id, MU_SPAN_LIT(SERVICE_MAINTENANCE))) {
        return "maintenance";
    }
    if (source == LOCAL_FROM_CONFIG && d->service_id.bytes == 0) {
        return ""; /* stand-alone checks from files have none, as the original's */
    }
    if (d->docker.bytes > 0) {
        return "docker";
    }
    if (d->script_args.count > 0) {
        return "script";
    }
    if (d->http.bytes > 0) {
        return "http";
    }
    if (d->tcp.bytes > 0) {
        return "tcp";
    }
    if (d->grpc.bytes > 0) {
        return "grpc";
    }
    if (d->ttl_ns > 0) {
        return "ttl";
    }
    return d->alias_node.bytes > 0 || d->alias_service.bytes > 0 ? "alias" : "";
}

static void check_define(struct check_item *c, const struct check_definition *d,
                         enum local_source source)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    check_definition_copy(&c->definition, d, &arena); /* d may be our own: copy before freeing */
    mu_arena_deinit(&c->arena);
    c->arena = arena;
    c->source = source;
    c->type = type_of(&c->definition, source);
}

static enum mu_code check_admit(const struct local *l, const struct check_definition *d,
                                struct mu_err *err)
{
    MU_ASSERT(d->id.bytes > 0);
    if (d->service_id.bytes > 0 && living_service(l, d->service_id) == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "ServiceID \"%.*s\" does not exist",
                       MU_SPAN_FMT(d->service_id));
    }
    if (living_check(l, d->id) == NULL && l->checks_count >= MU_LOCAL_CHECKS_MAX) {
        return mu_fail(err, MU_BUSY, "this agent has %d checks already", MU_LOCAL_CHECKS_MAX);
    }
    return MU_OK;
}

enum mu_code local_check_add(struct local *l, const struct check_definition *d,
                             enum local_source source, struct mu_err *err)
{
    enum mu_code rc = check_admit(l, d, err);
    struct check_item *c = check_of(l, d->id);
    bool is_new = c == NULL || c->is_deleted;

    if (rc != MU_OK) {
        return rc;
    }
    if (c == NULL) {
        c = mu_new(sizeof *c);
        mu_arena_init(&c->arena, 0);
        mu_list_push_back(&l->checks, &c->place);
    }
    check_define(c, d, source);
    (void)mu_table_put(l->checks_by_id, c->definition.id, c);
    if (is_new) {
        c->status = CHECK_CRITICAL; /* nothing passes before a real result */
        mu_buf_clear(&c->output);
        l->checks_count++;
    }
    (void)check_status_parse(c->definition.status, &c->status);
    c->critical_since_ms = 0; /* the next result tells */
    c->is_deleted = c->is_synced = c->has_new_output = false;
    tell(l, LOCAL_CHECK_SET, c->definition.id);
    return MU_OK;
}

/* Gone for us; the item stays until the catalog was told. */
static void check_delete(struct local *l, struct check_item *c)
{
    c->is_deleted = true;
    c->is_synced = false;
    l->checks_count--;
    tell(l, LOCAL_CHECK_GONE, c->definition.id);
}

enum mu_code local_check_remove(struct local *l, struct mu_span id, struct mu_err *err)
{
    struct check_item *c = living_check(l, id);

    if (c == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "Unknown check \"%.*s\"", MU_SPAN_FMT(id));
    }
    check_delete(l, c);
    return MU_OK;
}

bool local_check_update(struct local *l, struct mu_span id, enum check_status status,
                        struct mu_span output, uint64_t now_ms)
{
    struct check_item *c = living_check(l, id);

    if (c == NULL) {
        return false;
    }
    bool has_new_status = c->status != status;
    bool has_new_output = !mu_span_eq(mu_buf_span(&c->output), output);

    if (status != CHECK_CRITICAL) {
        c->critical_since_ms = 0;
    } else if (c->critical_since_ms == 0) {
        c->critical_since_ms = now_ms > 0 ? now_ms : 1;
    }
    if (!has_new_status && !has_new_output) {
        return true;
    }
    c->status = status;
    mu_buf_clear(&c->output);
    mu_buf_add_span(&c->output, output);
    if (has_new_status) {
        c->is_synced = false;
        c->has_new_output = false;
    } else {
        c->has_new_output = c->is_synced;
    }
    tell(l, LOCAL_CHECK_RESULT, c->definition.id);
    return true;
}

/* -- services ---------------------------------------------------------------------------------- */

static enum mu_code service_admit(const struct local *l, const struct service_definition *d,
                                  struct mu_err *err)
{
    MU_ASSERT(d->id.bytes > 0 && d->name.bytes > 0);
    if (living_service(l, d->id) == NULL && l->services_count >= MU_LOCAL_SERVICES_MAX) {
        return mu_fail(err, MU_BUSY, "this agent has %d services already", MU_LOCAL_SERVICES_MAX);
    }
    if (l->checks_count + d->checks_count > MU_LOCAL_CHECKS_MAX) {
        return mu_fail(err, MU_BUSY, "this agent has %zu checks already", l->checks_count);
    }
    return MU_OK;
}

static bool has_check(const struct service_definition *d, struct mu_span id)
{
    for (size_t i = 0; i < d->checks_count; i++) {
        if (mu_span_eq(d->checks[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* Checks of the service that its new definition does not name. Maintenance is not a matter of the
 * definition. */
static void checks_replace(struct local *l, const struct service_definition *d)
{
    MU_LIST_EACH (place, &l->checks) {
        struct check_item *c = MU_CONTAINER(place, struct check_item, place);

        if (!c->is_deleted && mu_span_eq(c->definition.service_id, d->id) &&
            !has_check(d, c->definition.id) && strcmp(c->type, "maintenance") != 0) {
            check_delete(l, c);
        }
    }
}

enum mu_code local_service_add(struct local *l, const struct service_definition *d,
                               enum local_source source, bool replace_checks, struct mu_err *err)
{
    enum mu_code rc = service_admit(l, d, err);
    struct service_item *s = service_of(l, d->id);
    struct mu_arena arena;

    if (rc != MU_OK) {
        return rc;
    }
    if (s == NULL) {
        s = mu_new(sizeof *s);
        mu_arena_init(&s->arena, 0);
        s->is_deleted = true;
        mu_list_push_back(&l->services, &s->place);
    }
    mu_arena_init(&arena, 0);
    service_definition_copy(&s->definition, d, &arena);
    mu_arena_deinit(&s->arena);
    s->arena = arena;
    s->source = source;
    (void)mu_table_put(l->services_by_id, s->definition.id, s);
    l->services_count += s->is_deleted;
    s->is_deleted = s->is_synced = false;
    tell(l, LOCAL_SERVICE_SET, s->definition.id);
    if (replace_checks) {
        checks_replace(l, &s->definition);
    }
    for (size_t i = 0; i < s->definition.checks_count; i++) {
        struct check_definition check = s->definition.checks[i];

        check.service_id = s->definition.id;
        rc = local_check_add(l, &check, source, err);
        MU_ASSERT(rc == MU_OK); /* room was asked for, and the service is there */
    }
    return MU_OK;
}

enum mu_code local_service_remove(struct local *l, struct mu_span id, struct mu_err *err)
{
    struct service_item *s = living_service(l, id);

    if (s == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "Unknown service \"%.*s\"", MU_SPAN_FMT(id));
    }
    s->is_deleted = true;
    s->is_synced = false;
    l->services_count--;
    MU_LIST_EACH (place, &l->checks) {
        struct check_item *c = MU_CONTAINER(place, struct check_item, place);

        if (!c->is_deleted && mu_span_eq(c->definition.service_id, s->definition.id)) {
            check_delete(l, c);
        }
    }
    tell(l, LOCAL_SERVICE_GONE, s->definition.id);
    return MU_OK;
}

/* -- reading ----------------------------------------------------------------------------------- */

static void service_view(const struct service_item *s, struct local_service *out)
{
    *out = (struct local_service){
        .definition = &s->definition,
        .source = s->source,
        .is_synced = s->is_synced,
        .is_deleted = s->is_deleted,
    };
}

static void check_view(const struct local *l, const struct check_item *c, struct local_check *out)
{
    static const struct mu_texts no_tags;
    const struct service_item *s = service_of(l, c->definition.service_id);

    *out = (struct local_check){
        .definition = &c->definition,
        .id = (const char *)c->definition.id.data, /* NUL-terminated: copied into an arena */
        .type = c->type,
        .service_name = s != NULL ? s->definition.name : MU_SPAN_NONE,
        .service_tags = s != NULL ? &s->definition.tags : &no_tags,
        .status = c->status,
        .output = mu_buf_span(&c->output),
        .critical_since_ms = c->critical_since_ms,
        .has_new_output = c->has_new_output,
        .source = c->source,
        .is_synced = c->is_synced,
        .is_deleted = c->is_deleted,
    };
}

bool local_service_find(const struct local *l, struct mu_span id, struct local_service *out)
{
    const struct service_item *s = living_service(l, id);

    if (s != NULL) {
        service_view(s, out);
    }
    return s != NULL;
}

bool local_check_find(const struct local *l, struct mu_span id, struct local_check *out)
{
    const struct check_item *c = living_check(l, id);

    if (c != NULL) {
        check_view(l, c, out);
    }
    return c != NULL;
}

void local_each_service(const struct local *l, bool with_deleted, local_service_fn *each,
                        void *data)
{
    MU_LIST_EACH_SAFE (place, &l->services) {
        const struct service_item *s = MU_CONTAINER(place, struct service_item, place);
        struct local_service view;

        if (with_deleted || !s->is_deleted) {
            service_view(s, &view);
            each(data, &view);
        }
    }
}

void local_each_check(const struct local *l, bool with_deleted, local_check_fn *each, void *data)
{
    MU_LIST_EACH_SAFE (place, &l->checks) {
        const struct check_item *c = MU_CONTAINER(place, struct check_item, place);
        struct local_check view;

        if (with_deleted || !c->is_deleted) {
            check_view(l, c, &view);
            each(data, &view);
        }
    }
}

size_t local_services_count(const struct local *l)
{
    return l->services_count;
}

size_t local_checks_count(const struct local *l)
{
    return l->checks_count;
}

/* -- what anti-entropy found or did ------------------------------------------------------------ */

/* The catalog drops the checks of a service with it: those that were only waiting for that. */
static void deleted_checks_free(struct local *l, struct mu_span service_id)
{
    MU_LIST_EACH_SAFE (place, &l->checks) {
        struct check_item *c = MU_CONTAINER(place, struct check_item, place);

        if (c->is_deleted && mu_span_eq(c->definition.service_id, service_id)) {
            check_free(l, c);
        }
    }
}

void local_service_synced(struct local *l, struct mu_span id)
{
    struct service_item *s = service_of(l, id);

    if (s == NULL) {
        return;
    }
    if (s->is_deleted) {
        deleted_checks_free(l, s->definition.id);
        service_free(l, s);
        return;
    }
    s->is_synced = true;
}

void local_check_synced(struct local *l, struct mu_span id)
{
    struct check_item *c = check_of(l, id);

    if (c == NULL) {
        return;
    }
    if (c->is_deleted) {
        check_free(l, c);
        return;
    }
    c->is_synced = true;
    c->has_new_output = false;
}

void local_service_differs(struct local *l, struct mu_span id)
{
    struct service_item *s = service_of(l, id);

    if (s != NULL) {
        s->is_synced = false;
    }
}

void local_check_differs(struct local *l, struct mu_span id)
{
    struct check_item *c = check_of(l, id);

    if (c != NULL) {
        c->is_synced = c->has_new_output = false;
    }
}

void local_service_tags(struct local *l, struct mu_span id, const struct mu_texts *tags)
{
    struct service_item *s = living_service(l, id);

    if (s == NULL) {
        return;
    }
    struct service_definition changed = s->definition;
    struct mu_arena arena;

    changed.tags = *tags;
    mu_arena_init(&arena, 0);
    service_definition_copy(&s->definition, &changed, &arena);
    mu_arena_deinit(&s->arena);
    s->arena = arena;
}
