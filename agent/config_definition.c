/* Services and checks in files: the API's definitions, with the path of an unknown member. */
#include "config_apply.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "check.h"

static const struct mu_json_field *field_of(const struct mu_json_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->fields_count; i++) {
        const struct mu_json_field *f = &shape->fields[i];

        for (size_t spelling = 0; spelling <= MU_LEN(f->also); spelling++) {
            const char *known = spelling == 0 ? f->name : f->also[spelling - 1];

            if (known != NULL && strcasecmp(name, known) == 0) {
                return f;
            }
        }
    }
    return NULL;
}

static void note_unknown_fields(struct config_apply *a, const struct mu_json_shape *shape,
                                const struct mu_json *object);

/* What lies below a known member: objects by their own shape, everything else is the decoder's. */
static void look_below(struct config_apply *a, const struct mu_json_field *f,
                       const struct mu_json *v)
{
    struct config_mark here = config__mark_of(a);
    struct mu_json_at at = { 0 };

    if (f->as == MU_JSON_AS_OBJECT) {
        note_unknown_fields(a, f->of, v);
    } else if (f->as == MU_JSON_AS_OBJECTS && mu_json_kind_of(v) == MU_JSON_LIST) {
        for (size_t i = 0; i < mu_json_count(v); i++) {
            config__enter_element(a, i, true);
            note_unknown_fields(a, f->of, mu_json_at(v, i));
            config__back_to(a, here);
        }
    } else if (f->as == MU_JSON_AS_NAMED && mu_json_kind_of(v) == MU_JSON_OBJECT) {
        while (mu_json_next(v, &at)) {
            if (config__enter(a, at.name)) {
                note_unknown_fields(a, f->of, at.value);
                config__back_to(a, here);
            }
        }
    }
}

static void note_unknown_fields(struct config_apply *a, const struct mu_json_shape *shape,
                                const struct mu_json *object)
{
    struct config_mark here = config__mark_of(a);
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(object) != MU_JSON_OBJECT) {
        return; /* the decoder's words */
    }
    while (mu_json_next(object, &at)) {
        const struct mu_json_field *f = field_of(shape, at.name);

        if (!config__enter(a, at.name)) {
            continue; /* unknown for certain; the decoder names it */
        }
        if (f == NULL) {
            config__note_unknown(a, config__nearest_field(shape, at.name));
        } else if (mu_json_kind_of(at.value) != MU_JSON_NULL) {
            look_below(a, f, at.value);
        }
        config__back_to(a, here);
    }
}

/* Meta and weights have words of their own in files (agent-behaviour 2.3). */
static enum mu_code service_valid(const struct service_definition *d, struct mu_err *err)
{
    enum mu_code rc = definition_meta_valid(&d->meta, err);

    if (rc != MU_OK) {
        return mu_wrap(err, rc, "invalid meta for service %.*s", MU_SPAN_FMT(d->name));
    }
    rc = definition_weights_valid(d, err);
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "Invalid weight definition for service %.*s", MU_SPAN_FMT(d->name));
    }
    rc = service_definition_valid(d, err);
    for (size_t i = 0; rc == MU_OK && i < d->checks_count; i++) {
        rc = checks_supported(&d->checks[i], err);
    }
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "service \"%.*s\"", MU_SPAN_FMT(d->name));
}

/* For errors: what did not decode may still say which one it is. */
static struct mu_span name_in(const struct mu_json *v)
{
    struct mu_json_at at = { 0 };

    while (mu_json_next(v, &at)) {
        if (strcasecmp(at.name, "name") == 0 && mu_json_kind_of(at.value) == MU_JSON_STRING) {
            return mu_json_string(at.value);
        }
    }
    return MU_SPAN_NONE;
}

static enum mu_code add_service(struct config_draft *d, const struct mu_json *v, struct mu_err *err)
{
    struct service_definition service = { .weight_passing = 1, .weight_warning = 1 };
    enum mu_code rc = service_definition_decode(v, &service, &d->c.arena, err);

    if (rc != MU_OK) {
        return mu_wrap(err, rc, "service \"%.*s\"", MU_SPAN_FMT(name_in(v)));
    }
    rc = service_valid(&service, err);
    if (rc == MU_OK) {
        d->c.services =
            mu_arena_grow(&d->c.arena, d->c.services, d->c.services_count, sizeof *d->c.services);
        d->c.services[d->c.services_count++] = service;
    }
    return rc;
}

static enum mu_code add_check(struct config_draft *d, const struct mu_json *v, struct mu_err *err)
{
    struct check_definition check;
    enum mu_code rc = check_definition_decode(v, &check, &d->c.arena, err);

    if (rc != MU_OK) {
        return mu_wrap(err, rc, "check \"%.*s\"", MU_SPAN_FMT(name_in(v)));
    }
    rc = check_definition_valid_alone(&check, err);
    if (rc == MU_OK) {
        rc = checks_supported(&check, err);
    }
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "check \"%.*s\"", MU_SPAN_FMT(check.name));
    }
    d->c.checks = mu_arena_grow(&d->c.arena, d->c.checks, d->c.checks_count, sizeof *d->c.checks);
    d->c.checks[d->c.checks_count++] = check;
    return MU_OK;
}

static enum mu_code apply_definition(struct config_apply *a, const struct config_item *item,
                                     const struct mu_json *v, struct mu_err *err)
{
    bool is_service = item->type == CONFIG_SERVICES;
    unsigned unknown_before = a->unknown_count;

    if (mu_json_kind_of(v) == MU_JSON_NULL) {
        return MU_OK;
    }
    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return config__no_map(a, v, err);
    }
    note_unknown_fields(a, is_service ? &service_definition_shape : &check_definition_shape, v);
    if (a->unknown_count > unknown_before) {
        return MU_OK; /* reported at the end of the file, with the others */
    }
    enum mu_code rc = is_service ? add_service(a->d, v, err) : add_check(a->d, v, err);

    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s", a->file->name);
}

enum mu_code config__apply_definitions(struct config_apply *a, const struct config_item *item,
                                       const struct mu_json *v, struct mu_err *err)
{
    struct config_mark here = config__mark_of(a);
    enum mu_code rc = MU_OK;

    config__see(a->d, item, true, true);
    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return apply_definition(a, item, v, err);
    }
    for (size_t i = 0; rc == MU_OK && i < mu_json_count(v); i++) {
        config__enter_element(a, i, true);
        rc = apply_definition(a, item, mu_json_at(v, i), err);
        config__back_to(a, here);
    }
    return rc;
}
