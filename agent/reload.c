/* reload.c - what a configuration that was read again changes here, without a restart.
 *
 * Judged as a whole first, so that one that cannot be taken changes nothing. Services and checks
 * of the configuration become those of the new one: what is the same stays as it is, with the
 * status of its checks; what changed is defined anew; what is gone is deregistered. Registrations
 * of the API stay, unless the new one defines the same id.
 */
#include "reload.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "check.h"
#include "core.h"

/* What the new configuration defines, by id; values are the definitions. */
struct defined {
    struct mu_table *services, *checks;
};

static void defined_init(struct defined *d, const struct config *fresh)
{
    d->services = mu_table_new();
    d->checks = mu_table_new();
    for (size_t i = 0; i < fresh->services_count; i++) {
        struct service_definition *s = &fresh->services[i];

        (void)mu_table_put(d->services, s->id, s);
        for (size_t k = 0; k < s->checks_count; k++) {
            (void)mu_table_put(d->checks, s->checks[k].id, &s->checks[k]);
        }
    }
    for (size_t i = 0; i < fresh->checks_count; i++) {
        (void)mu_table_put(d->checks, fresh->checks[i].id, &fresh->checks[i]);
    }
}

static void defined_deinit(struct defined *d)
{
    mu_table_free(d->services);
    mu_table_free(d->checks);
}

/* -- can it be taken? -------------------------------------------------------------------------- */

struct kept { /* what stays of the API's registrations */
    const struct defined *defined;
    size_t services, checks;
};

static void count_service(void *data, const struct local_service *s)
{
    struct kept *k = data;

    k->services += s->source == LOCAL_FROM_API &&
                   mu_table_find(k->defined->services, s->definition->id) == NULL;
}

static void count_check(void *data, const struct local_check *c)
{
    struct kept *k = data;

    k->checks +=
        c->source == LOCAL_FROM_API && mu_table_find(k->defined->checks, c->definition->id) == NULL;
}

static enum mu_code room_judge(const struct local *l, const struct defined *d, struct mu_err *err)
{
    struct kept kept = { .defined = d };

    local_each_service(l, false, count_service, &kept);
    local_each_check(l, false, count_check, &kept);
    if (kept.services + mu_table_count(d->services) > MU_LOCAL_SERVICES_MAX) {
        return mu_fail(err, MU_BUSY, "more than %d services: %zu of the API, %zu of files",
                       MU_LOCAL_SERVICES_MAX, kept.services, mu_table_count(d->services));
    }
    if (kept.checks + mu_table_count(d->checks) > MU_LOCAL_CHECKS_MAX) {
        return mu_fail(err, MU_BUSY, "more than %d checks: %zu of the API, %zu of files",
                       MU_LOCAL_CHECKS_MAX, kept.checks, mu_table_count(d->checks));
    }
    return MU_OK;
}

static enum mu_code service_judge(const struct service_definition *s, struct mu_err *err)
{
    for (size_t i = 0; i < s->checks_count; i++) {
        enum mu_code rc = checks_supported(&s->checks[i], err);

        if (rc != MU_OK) {
            return mu_wrap(err, rc, "service \"%.*s\"", MU_SPAN_FMT(s->name));
        }
    }
    return MU_OK;
}

/* Its service must be there when it is added: a new one, or one that stays. */
static enum mu_code check_judge(const struct local *l, const struct defined *d,
                                const struct check_definition *c, struct mu_err *err)
{
    struct local_service s;
    enum mu_code rc = checks_supported(c, err);

    if (rc == MU_OK && c->service_id.bytes > 0 &&
        mu_table_find(d->services, c->service_id) == NULL &&
        !(local_service_find(l, c->service_id, &s) && s.source == LOCAL_FROM_API)) {
        rc = mu_fail(err, MU_NOT_FOUND, "ServiceID \"%.*s\" does not exist",
                     MU_SPAN_FMT(c->service_id));
    }
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "check \"%.*s\"", MU_SPAN_FMT(c->name));
}

/* The last step of a roll-out, too early: they would fall silent (spec/gossip.md 12.6). */
static enum mu_code sealing_judge(const struct agent *a, const struct config *fresh,
                                  struct mu_err *err)
{
    bool is_last_step = !a->config->encrypt_verify_incoming && fresh->encrypt_verify_incoming;
    size_t clear = is_last_step ? gossip_driver_stats(a->gossip).clear : 0;

    return clear == 0
               ? MU_OK
               : mu_fail(err, MU_BUSY,
                         "encrypt_verify_incoming: %zu members sent in clear within the last "
                         "ten minutes and would not be heard any more; a restart of this "
                         "agent does it all the same",
                         clear);
}

static enum mu_code tags_judge(const struct config *fresh, struct mu_err *err)
{
    enum mu_code rc = gossip_tags_check(&fresh->serf.tags, err);

    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Failed to update tags");
}

static enum mu_code judge(const struct agent *a, const struct defined *d,
                          const struct config *fresh, struct mu_err *err)
{
    const struct local *l = a->local;
    enum mu_code rc = room_judge(l, d, err);

    rc = rc == MU_OK ? sealing_judge(a, fresh, err) : rc;
    rc = rc == MU_OK ? tags_judge(fresh, err) : rc;
    for (size_t i = 0; i < fresh->services_count && rc == MU_OK; i++) {
        rc = service_judge(&fresh->services[i], err);
    }
    for (size_t i = 0; i < fresh->checks_count && rc == MU_OK; i++) {
        rc = check_judge(l, d, &fresh->checks[i], err);
    }
    return rc;
}

/* -- is it what we have? ----------------------------------------------------------------------- */

typedef void write_fn(struct mu_json_out *o, const void *definition);

static void write_service(struct mu_json_out *o, const void *definition)
{
    service_definition_write(o, definition);
}

static void write_check(struct mu_json_out *o, const void *definition)
{
    check_definition_write(o, definition);
}

static bool same_definition(write_fn *write, const void *a, const void *b)
{
    struct mu_buf texts[2] = { MU_BUF_NONE, MU_BUF_NONE };

    for (size_t i = 0; i < MU_LEN(texts); i++) {
        struct mu_json_out o;

        mu_json_out_init(&o, &texts[i], false);
        write(&o, i == 0 ? a : b);
        mu_json_out_end(&o);
    }
    bool same = mu_span_eq(mu_buf_span(&texts[0]), mu_buf_span(&texts[1]));

    mu_buf_deinit(&texts[0]);
    mu_buf_deinit(&texts[1]);
    return same;
}

static bool has_check(const struct local *l, const struct check_definition *d)
{
    struct local_check c;

    return local_check_find(l, d->id, &c) && c.source == LOCAL_FROM_CONFIG;
}

static bool has_service(const struct local *l, const struct service_definition *d)
{
    struct local_service s;
    bool has = local_service_find(l, d->id, &s) && s.source == LOCAL_FROM_CONFIG &&
               same_definition(write_service, s.definition, d);

    for (size_t i = 0; i < d->checks_count && has; i++) {
        has = has_check(l, &d->checks[i]); /* none was deregistered by hand */
    }
    return has;
}

static bool has_check_alone(const struct local *l, const struct check_definition *d)
{
    struct local_check c;

    return local_check_find(l, d->id, &c) && c.source == LOCAL_FROM_CONFIG &&
           same_definition(write_check, c.definition, d);
}

/* -- making it so ------------------------------------------------------------------------------ */

static bool seals_alike(const struct config *one, const struct config *other)
{
    return one->encrypt_verify_incoming == other->encrypt_verify_incoming &&
           one->encrypt_verify_outgoing == other->encrypt_verify_outgoing;
}

struct change {
    struct agent *agent;
    const struct defined *defined;
};

static void service_drop(void *data, const struct local_service *s)
{
    const struct change *c = data;
    struct mu_err err = MU_ERR_NONE;

    if (s->source == LOCAL_FROM_CONFIG &&
        mu_table_find(c->defined->services, s->definition->id) == NULL) {
        enum mu_code rc = local_service_remove(c->agent->local, s->definition->id, &err);

        MU_ASSERT(rc == MU_OK); /* it was just listed */
    }
}

static void check_drop(void *data, const struct local_check *check)
{
    const struct change *c = data;
    struct mu_err err = MU_ERR_NONE;

    if (check->source == LOCAL_FROM_CONFIG &&
        mu_table_find(c->defined->checks, check->definition->id) == NULL) {
        enum mu_code rc = local_check_remove(c->agent->local, check->definition->id, &err);

        MU_ASSERT(rc == MU_OK); /* the same */
    }
}

/* Room, services and kinds were judged: nothing here can fail. */
static void define(struct agent *a, const struct config *fresh, const struct defined *d)
{
    struct change change = { a, d };
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc;

    local_each_service(a->local, false, service_drop, &change);
    local_each_check(a->local, false, check_drop, &change);
    for (size_t i = 0; i < fresh->services_count; i++) {
        if (!has_service(a->local, &fresh->services[i])) {
            rc = local_service_add(a->local, &fresh->services[i], LOCAL_FROM_CONFIG, false, &err);
            MU_ASSERT(rc == MU_OK);
        }
    }
    for (size_t i = 0; i < fresh->checks_count; i++) {
        if (!has_check_alone(a->local, &fresh->checks[i])) {
            rc = local_check_add(a->local, &fresh->checks[i], LOCAL_FROM_CONFIG, &err);
            MU_ASSERT(rc == MU_OK);
        }
    }
}

enum mu_code agent__reload_apply(struct agent *a, struct config *fresh, struct mu_buf *restart,
                                 struct mu_err *err)
{
    struct defined defined;
    enum mu_code rc;

    defined_init(&defined, fresh);
    rc = judge(a, &defined, fresh, err);
    if (rc == MU_OK) {
        bool has_same_seal = seals_alike(a->config, fresh);

        define(a, fresh, &defined);
        config_needs_restart(a->config, fresh, restart);
        agent__watches_retire(a);
        config_adopt(a->config, fresh);
        mu_log_set_level(a->config->log_level);
        agent__watches_open(a);
        agent__handlers_reload(a);
        agent__gossip_retime(a);
        if (!has_same_seal) {
            agent__reseal(a);
        }
        agent__user_tags_reload(a);
        checks_set_discard(a->checks, a->config->discard_check_output);
        if (a->cache != NULL) {
            catalog_cache_drop_all(a->cache); /* DNS prepares rows by dns_config */
        }
        agent__sync_full(a, "reload"); /* node_meta is in this node's record */
    }
    defined_deinit(&defined);
    if (rc != MU_OK) {
        config_free(fresh);
    }
    return rc;
}
