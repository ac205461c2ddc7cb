#include "antientropy.h"

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/log.h"

#define CONSUL_SERVICE "consul"     /* the leader's registration of servers: not ours to remove */
#define SERF_HEALTH    "serfHealth" /* the leader's check of every member: likewise */

void antientropy_plan_init(struct antientropy_plan *p)
{
    *p = (struct antientropy_plan){ .count = 0 };
    mu_arena_init(&p->arena, 0);
}

void antientropy_plan_deinit(struct antientropy_plan *p)
{
    mu_arena_deinit(&p->arena);
    p->steps = NULL;
    p->count = 0;
}

static struct antientropy_step *step_add(struct antientropy_plan *p, enum antientropy_what what,
                                         struct mu_span id)
{
    p->steps = mu_arena_grow(&p->arena, p->steps, p->count, sizeof *p->steps);
    struct antientropy_step *s = &p->steps[p->count++];

    *s = (struct antientropy_step){ .what = what, .id = mu_arena_span(&p->arena, id) };
    return s;
}

/* -- local items as commands ------------------------------------------------------------------- */

static void node_fill(struct command_register *reg, const struct antientropy_node *self,
                      bool skip_node_update)
{
    reg->node = self->node;
    reg->skip_node_update = skip_node_update;
}

static struct mu_texts texts_copy(struct mu_arena *arena, const struct mu_texts *from)
{
    struct mu_texts to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i] = mu_arena_span(arena, from->items[i]);
    }
    return to;
}

static struct mu_pairs pairs_copy(struct mu_arena *arena, const struct mu_pairs *from)
{
    struct mu_pairs to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i].key = mu_arena_span(arena, from->items[i].key);
        to.items[i].value = mu_arena_span(arena, from->items[i].value);
    }
    return to;
}

static void service_fill(struct command_service *to, const struct service_definition *d,
                         struct mu_arena *arena)
{
    *to = (struct command_service){
        .id = mu_arena_span(arena, d->id),
        .name = mu_arena_span(arena, d->name),
        .kind = mu_arena_span(arena, d->kind),
        .tags = texts_copy(arena, &d->tags),
        .address = mu_arena_span(arena, d->address),
        .port = (uint16_t)d->port,
        .meta = pairs_copy(arena, &d->meta),
        .has_meta = d->has_meta,
        .weight_passing = (uint32_t)d->weight_passing,
        .weight_warning = (uint32_t)d->weight_warning,
        .enable_tag_override = d->enable_tag_override,
        .proxy = mu_arena_span(arena, d->proxy),
        .connect = mu_arena_span(arena, d->connect),
    };
    to->tagged_addresses_count = d->tagged_addresses_count;
    to->tagged_addresses =
        mu_arena_array(arena, d->tagged_addresses_count, sizeof *to->tagged_addresses);
    for (size_t i = 0; i < d->tagged_addresses_count; i++) {
        to->tagged_addresses[i].name = mu_arena_span(arena, d->tagged_addresses[i].name);
        to->tagged_addresses[i].address = mu_arena_span(arena, d->tagged_addresses[i].address);
        to->tagged_addresses[i].port = (uint16_t)d->tagged_addresses[i].port;
    }
}

static void check_fill(struct command_check *to, const struct local_check *c,
                       struct mu_arena *arena)
{
    *to = (struct command_check){
        .id = mu_arena_span(arena, mu_span_text(c->id)),
        .name = mu_arena_span(arena, c->definition->name),
        .status = mu_span_text(check_status_text(c->status)),
        .notes = mu_arena_span(arena, c->definition->notes),
        .output = mu_arena_span(arena, c->output),
        .service_id = mu_arena_span(arena, c->definition->service_id),
        .type = mu_arena_span(arena, mu_span_text(c->type)),
    };
}

/* -- comparing --------------------------------------------------------------------------------- */

static bool texts_eq(const struct mu_texts *a, const struct mu_texts *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!mu_span_eq(a->items[i], b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool pairs_have(const struct mu_pairs *pairs, const struct mu_pair *wanted)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (mu_span_eq(pairs->items[i].key, wanted->key)) {
            return mu_span_eq(pairs->items[i].value, wanted->value);
        }
    }
    return false;
}

static bool pairs_eq(const struct mu_pairs *a, const struct mu_pairs *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!pairs_have(b, &a->items[i])) {
            return false;
        }
    }
    return true;
}

static bool node_eq(const struct command_node *a, const struct command_node *b)
{
    return mu_span_eq(a->id, b->id) && mu_span_eq(a->address, b->address) &&
           pairs_eq(&a->tagged_addresses, &b->tagged_addresses) && pairs_eq(&a->meta, &b->meta);
}

static bool tagged_eq(const struct command_service *a, const struct command_service *b)
{
    if (a->tagged_addresses_count != b->tagged_addresses_count) {
        return false;
    }
    for (size_t i = 0; i < a->tagged_addresses_count; i++) {
        const struct command_service_address *x = &a->tagged_addresses[i];
        bool is_there = false;

        for (size_t j = 0; j < b->tagged_addresses_count && !is_there; j++) {
            const struct command_service_address *y = &b->tagged_addresses[j];

            is_there = mu_span_eq(x->name, y->name) && mu_span_eq(x->address, y->address) &&
                       x->port == y->port;
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static bool service_eq(const struct command_service *a, const struct command_service *b)
{
    return mu_span_eq(a->id, b->id) && mu_span_eq(a->name, b->name) &&
           mu_span_eq(a->kind, b->kind) && texts_eq(&a->tags, &b->tags) &&
           mu_span_eq(a->address, b->address) && a->port == b->port && tagged_eq(a, b) &&
           pairs_eq(&a->meta, &b->meta) && a->weight_passing == b->weight_passing &&
           a->weight_warning == b->weight_warning &&
           a->enable_tag_override == b->enable_tag_override && mu_span_eq(a->proxy, b->proxy) &&
           mu_span_eq(a->connect, b->connect);
}

static bool check_eq(const struct command_check *a, const struct command_check *b,
                     bool ignores_output)
{
    return mu_span_eq(a->id, b->id) && mu_span_eq(a->name, b->name) &&
           mu_span_eq(a->status, b->status) && mu_span_eq(a->notes, b->notes) &&
           (ignores_output || mu_span_eq(a->output, b->output)) &&
           mu_span_eq(a->service_id, b->service_id) && mu_span_eq(a->type, b->type);
}

static const struct command_service *remote_service(const struct antientropy_remote *remote,
                                                    struct mu_span id)
{
    for (size_t i = 0; i < remote->count; i++) {
        /* The catalog folds ids: "Web" registered after "web" is the same row there. */
        if (remote->registers[i].has_service &&
            mu_span_eq_fold(remote->registers[i].service.id, id)) {
            return &remote->registers[i].service;
        }
    }
    return NULL;
}

static const struct command_check *remote_check(const struct antientropy_remote *remote,
                                                struct mu_span id)
{
    for (size_t i = 0; i < remote->count; i++) {
        for (size_t j = 0; j < remote->registers[i].checks_count; j++) {
            if (mu_span_eq_fold(remote->registers[i].checks[j].id, id)) {
                return &remote->registers[i].checks[j];
            }
        }
    }
    return NULL;
}

/* -- a partial pass ---------------------------------------------------------------------------- */

struct pass {
    struct antientropy_plan *plan;
    struct local *local;
    const struct antientropy_node *self;
    const struct antientropy_remote *remote;
    bool defers_output;
    struct antientropy_step *step; /* the service step that collects its checks */
};

static void collect_check(void *data, const struct local_check *c)
{
    struct pass *p = data;
    struct antientropy_step *s = p->step;
    struct command_register *reg = &s->command.reg;

    if (c->is_synced || c->is_deleted || !mu_span_eq(c->definition->service_id, s->id)) {
        return;
    }
    struct mu_arena *arena = &p->plan->arena;
    struct command_check *checks =
        mu_arena_array(arena, reg->checks_count + 1, sizeof *reg->checks);
    struct mu_span *ids = mu_arena_array(arena, reg->checks_count + 1, sizeof *ids);

    for (size_t i = 0; i < reg->checks_count; i++) {
        checks[i] = reg->checks[i];
        ids[i] = s->checks[i];
    }
    check_fill(&checks[reg->checks_count], c, arena);
    ids[reg->checks_count] = checks[reg->checks_count].id;
    reg->checks = checks;
    reg->checks_count++;
    s->checks = ids;
    s->checks_count = reg->checks_count;
}

static void partial_service(void *data, const struct local_service *service)
{
    struct pass *p = data;
    struct mu_span id = service->definition->id;

    if (service->is_deleted) {
        struct antientropy_step *s = step_add(p->plan, ANTIENTROPY_NO_SERVICE, id);

        s->command.kind = COMMAND_DEREGISTER;
        s->command.dereg.node = p->self->node.name;
        s->command.dereg.service_id = s->id;
        return;
    }
    if (service->is_synced) {
        return;
    }
    struct antientropy_step *s = step_add(p->plan, ANTIENTROPY_SERVICE, id);

    s->command.kind = COMMAND_REGISTER;
    node_fill(&s->command.reg, p->self, true);
    s->command.reg.has_service = true;
    service_fill(&s->command.reg.service, service->definition, &p->plan->arena);
    p->step = s;
    local_each_check(p->local, false, collect_check, p);
}

static bool service_is_pending(const struct local *local, struct mu_span id)
{
    struct local_service service;

    return id.bytes > 0 && local_service_find(local, id, &service) && !service.is_synced;
}

static void partial_check(void *data, const struct local_check *c)
{
    struct pass *p = data;
    struct mu_span id = mu_span_text(c->id);

    if (c->is_deleted) {
        struct antientropy_step *s = step_add(p->plan, ANTIENTROPY_NO_CHECK, id);

        s->command.kind = COMMAND_DEREGISTER;
        s->command.dereg.node = p->self->node.name;
        s->command.dereg.check_id = s->id;
        return;
    }
    if (c->is_synced || service_is_pending(p->local, c->definition->service_id)) {
        return; /* in sync, or it went along with its service */
    }
    struct antientropy_step *s = step_add(p->plan, ANTIENTROPY_CHECK, id);

    s->command.kind = COMMAND_REGISTER;
    node_fill(&s->command.reg, p->self, true);
    s->command.reg.checks = mu_arena_new(&p->plan->arena, sizeof *s->command.reg.checks);
    s->command.reg.checks_count = 1;
    check_fill(&s->command.reg.checks[0], c, &p->plan->arena);
}

void antientropy_partial(struct antientropy_plan *p, struct local *local,
                         const struct antientropy_node *self)
{
    struct pass pass = { .plan = p, .local = local, .self = self };

    local_each_service(local, true, partial_service, &pass);
    local_each_check(local, true, partial_check, &pass);
}

/* -- a full pass ------------------------------------------------------------------------------- */

static void judge_service(void *data, const struct local_service *service)
{
    struct pass *p = data;
    /* A copy: adopting the catalog's tags replaces the definition. */
    struct mu_span id = mu_arena_span(&p->plan->arena, service->definition->id);
    const struct command_service *there = remote_service(p->remote, id);
    struct command_service here;

    if (service->is_deleted) {
        if (there == NULL) {
            local_service_synced(p->local, id);
        }
        return;
    }
    if (there == NULL) {
        local_service_differs(p->local, id);
        return;
    }
    if (service->definition->enable_tag_override &&
        !texts_eq(&service->definition->tags, &there->tags)) {
        local_service_tags(p->local, id, &there->tags);
        struct local_service again;

        MU_ASSERT(local_service_find(p->local, id, &again));
        service_fill(&here, again.definition, &p->plan->arena);
    } else {
        service_fill(&here, service->definition, &p->plan->arena);
    }
    if (service_eq(&here, there)) {
        local_service_synced(p->local, id);
    } else {
        local_service_differs(p->local, id);
    }
}

static void judge_check(void *data, const struct local_check *c)
{
    struct pass *p = data;
    struct mu_span id = mu_span_text(c->id);
    const struct command_check *there = remote_check(p->remote, id);
    struct command_check here;

    if (c->is_deleted) {
        if (there == NULL) {
            local_check_synced(p->local, id);
        }
        return;
    }
    check_fill(&here, c, &p->plan->arena);
    if (there != NULL && check_eq(&here, there, p->defers_output)) {
        local_check_synced(p->local, id);
    } else {
        local_check_differs(p->local, id);
    }
}

/* What is only in the catalog goes away there, whoever put it on this node's name. */
static void remove_strangers(struct pass *p)
{
    struct local_service service;
    struct local_check check;

    for (size_t i = 0; i < p->remote->count; i++) {
        const struct command_register *reg = &p->remote->registers[i];

        if (reg->has_service && !mu_span_eq_text(reg->service.id, CONSUL_SERVICE) &&
            !local_service_find(p->local, reg->service.id, &service)) {
            struct antientropy_step *s = step_add(p->plan, ANTIENTROPY_NO_SERVICE, reg->service.id);

            s->command.kind = COMMAND_DEREGISTER;
            s->command.dereg.node = p->self->node.name;
            s->command.dereg.service_id = s->id;
            continue; /* its checks go with it */
        }
        for (size_t j = 0; j < reg->checks_count; j++) {
            struct mu_span id = reg->checks[j].id;

            if (mu_span_eq_text(id, SERF_HEALTH) || local_check_find(p->local, id, &check)) {
                continue;
            }
            struct antientropy_step *s = step_add(p->plan, ANTIENTROPY_NO_CHECK, id);

            s->command.kind = COMMAND_DEREGISTER;
            s->command.dereg.node = p->self->node.name;
            s->command.dereg.check_id = s->id;
        }
    }
}

void antientropy_full(struct antientropy_plan *p, struct local *local,
                      const struct antientropy_node *self, const struct antientropy_remote *remote,
                      bool defers_output)
{
    struct pass pass = {
        .plan = p,
        .local = local,
        .self = self,
        .remote = remote,
        .defers_output = defers_output,
    };
    const struct command_node *there =
        remote->exists && remote->count > 0 ? &remote->registers[0].node : NULL;

    if (there == NULL || !node_eq(&self->node, there)) {
        struct antientropy_step *s = step_add(p, ANTIENTROPY_NODE, MU_SPAN_NONE);

        s->command.kind = COMMAND_REGISTER;
        node_fill(&s->command.reg, self, false);
    }
    remove_strangers(&pass);
    local_each_service(local, true, judge_service, &pass);
    local_each_check(local, true, judge_check, &pass);
    antientropy_partial(p, local, self);
}

void antientropy_done(struct local *local, const struct antientropy_step *step)
{
    switch (step->what) {
    case ANTIENTROPY_NODE: mu_log(MU_INFO, "agent", "Synced node info"); break;
    case ANTIENTROPY_SERVICE:
        local_service_synced(local, step->id);
        mu_log(MU_INFO, "agent", "Synced service", mu_kv_span("service", step->id));
        for (size_t i = 0; i < step->checks_count; i++) {
            local_check_synced(local, step->checks[i]);
            mu_log(MU_DEBUG, "agent", "Synced check", mu_kv_span("check", step->checks[i]));
        }
        break;
    case ANTIENTROPY_CHECK:
        local_check_synced(local, step->id);
        mu_log(MU_INFO, "agent", "Synced check", mu_kv_span("check", step->id));
        break;
    case ANTIENTROPY_NO_SERVICE:
        local_service_synced(local, step->id);
        mu_log(MU_INFO, "agent", "Deregistered service", mu_kv_span("service", step->id));
        break;
    case ANTIENTROPY_NO_CHECK:
        local_check_synced(local, step->id);
        mu_log(MU_INFO, "agent", "Deregistered check", mu_kv_span("check", step->id));
        break;
    }
}
