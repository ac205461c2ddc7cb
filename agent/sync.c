/* sync.c - drives anti-entropy: when to compare, and one write after the other.
 *
 *            due                      compared                    all written, or one failed
 *   IDLE ----------> FETCHING ----------------------> WRITING -------------------------------> IDLE
 *     '------------- partial: nothing to fetch --------^
 *
 * Full passes: at start, after this node was held failed, when a server is there again, and every
 * minute (scaled by the number of members). A pass that fails is repeated, first after a second,
 * then up to every fifteen. Partial passes: at once after every local change.
 */
#include <math.h>
#include <string.h>

#include "antientropy.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"

#define FULL_MS          60000U
#define RETRY_MIN_MS     1000U
#define RETRY_MAX_MS     15000U
#define SCALE_MEMBERS    128 /* passes get rarer above this many (agent-behaviour 6.2) */
#define FETCH_TIMEOUT_MS 10000U
/* A removal that the leader had decided before it heard of our return may be carried out after we
 * compared; look again when it must be over. */
#define SECOND_LOOK_MS 2000U

struct waiter {
    struct mu_link place;
    agent_done_fn *done;
    void *data;
};

struct sync {
    enum { SYNC_IDLE, SYNC_FETCHING, SYNC_WRITING } state;
    bool is_full_due, is_partial_due, is_full;
    struct timer soon;   /* begins what is due */
    struct timer again;  /* a failed pass */
    struct timer next;   /* the periodic full pass */
    struct timer second; /* the second look */
    uint64_t backoff_ms;
    struct agent_read *read;
    struct servers_call *call;
    struct antientropy_plan plan;
    size_t step;
    bool is_writing; /* a write is in flight: its callback comes */
    bool is_closed;
    bool had_trouble;         /* logged once per series of failures */
    struct mu_table *touched; /* items that changed while the plan is carried out */
    struct mu_link deferred;  /* struct deferred: output that waits */
    struct mu_link waiting, served;
};

/* A check whose output alone changed (agent-behaviour 6.4). */
struct deferred {
    struct agent *agent;
    struct mu_link place;
    struct timer timer;
    struct mu_buf id;
};

static void sync_run(void *data);
static void step_next(struct agent *a);

/* -- this node's own record -------------------------------------------------------------------- */

static void pair_add(struct mu_pairs *pairs, struct mu_arena *arena, size_t room, const char *key,
                     const char *value)
{
    MU_ASSERT(pairs->count < room);
    pairs->items[pairs->count].key = mu_span_text(key);
    pairs->items[pairs->count++].value = mu_span_text(mu_arena_strdup(arena, value));
}

static void self_make(struct agent *a, struct mu_arena *arena, struct antientropy_node *out)
{
    const struct config *c = a->config;
    struct command_node *n = &out->node;
    char id[MU_ID_TEXT_BYTES + 1];
    char lan[MU_ADDR_TEXT_MAX];
    char wan[MU_ADDR_TEXT_MAX];
    size_t tagged = c->tagged_addresses.count + 4;
    size_t meta = c->node_meta.count + 1;

    mu_id_text(&a->data.node, id);
    mu_addr_ip_text(&a->advertise, lan);
    mu_addr_ip_text(&a->advertise_wan, wan);
    *n = (struct command_node){
        .name = mu_span_text(c->node_name),
        .id = mu_span_text(mu_arena_strdup(arena, id)),
        .address = mu_span_text(mu_arena_strdup(arena, lan)),
        .has_tagged_addresses = true,
        .has_meta = true,
    };
    n->tagged_addresses.items = mu_arena_array(arena, tagged, sizeof *n->tagged_addresses.items);
    pair_add(&n->tagged_addresses, arena, tagged, "lan", lan);
    pair_add(&n->tagged_addresses, arena, tagged,
             a->advertise.ip_bytes == 4 ? "lan_ipv4" : "lan_ipv6", lan);
    pair_add(&n->tagged_addresses, arena, tagged, "wan", wan);
    pair_add(&n->tagged_addresses, arena, tagged,
             a->advertise_wan.ip_bytes == 4 ? "wan_ipv4" : "wan_ipv6", wan);
    for (size_t i = 0; i < c->tagged_addresses.count; i++) {
        n->tagged_addresses.items[n->tagged_addresses.count++] = c->tagged_addresses.items[i];
    }
    n->meta.items = mu_arena_array(arena, meta, sizeof *n->meta.items);
    pair_add(&n->meta, arena, meta, "consul-network-segment", "");
    for (size_t i = 0; i < c->node_meta.count; i++) {
        n->meta.items[n->meta.count++] = c->node_meta.items[i];
    }
}

/* -- what the catalog holds -------------------------------------------------------------------- */

static void check_of_row(const struct catalog_check *row, struct command_check *to)
{
    *to = (struct command_check){
        .id = row->id,
        .name = row->name,
        .status = row->status,
        .notes = row->notes,
        .output = row->output,
        .service_id = row->service_id,
        .type = row->type,
        .definition = row->definition,
    };
}

static void service_of_row(const struct catalog_service *row, struct command_service *to,
                           struct mu_arena *arena)
{
    *to = (struct command_service){
        .id = row->id,
        .name = row->name,
        .kind = row->kind,
        .tags = row->tags,
        .address = row->address,
        .port = row->port,
        .tagged_addresses_count = row->tagged_addresses_count,
        .meta = row->meta,
        .has_meta = row->has_meta,
        .weight_passing = row->weight_passing,
        .weight_warning = row->weight_warning,
        .enable_tag_override = row->enable_tag_override,
        .proxy = row->proxy,
        .connect = row->connect,
    };
    to->tagged_addresses =
        mu_arena_array(arena, row->tagged_addresses_count, sizeof *to->tagged_addresses);
    for (size_t i = 0; i < row->tagged_addresses_count; i++) {
        to->tagged_addresses[i].name = row->tagged_addresses[i].name;
        to->tagged_addresses[i].address = row->tagged_addresses[i].address;
        to->tagged_addresses[i].port = row->tagged_addresses[i].port;
    }
}

/* The checks of one service (empty id: of the node). */
static void checks_of(const struct catalog_checks *rows, struct mu_span service_id,
                      struct command_register *reg, struct mu_arena *arena)
{
    reg->checks = mu_arena_array(arena, rows->count, sizeof *reg->checks);
    for (size_t i = 0; i < rows->count; i++) {
        if (mu_span_eq_fold(rows->items[i].service_id, service_id)) {
            check_of_row(&rows->items[i], &reg->checks[reg->checks_count++]);
        }
    }
}

static enum mu_code register_encode(const struct command_register *reg, struct mu_arena *arena,
                                    struct mu_span *out, struct mu_err *err)
{
    struct command command = { .kind = COMMAND_REGISTER, .reg = *reg };
    struct mu_buf bytes = MU_BUF_NONE;
    enum mu_code rc = command_encode(&command, &bytes, err);

    *out = mu_arena_span(arena, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
    return rc;
}

static enum mu_code state_read(struct agent *a, struct mu_span node, struct mu_arena *arena,
                               struct rpc_node_state *state, struct mu_err *err)
{
    struct catalog_node_services services = { .node = NULL };
    struct catalog_checks checks = { .count = 0 };
    enum mu_code rc = catalog_query_node_services(a->reader, arena, node, &services, err);

    if (rc != MU_OK || services.node == NULL ||
        !mu_span_eq_fold(services.node->name, node)) { /* an id that looks like the name */
        return rc;
    }
    rc = catalog_query_node_checks(a->reader, arena, node, &checks, err);
    struct command_register reg = {
        .node = {
            .name = services.node->name,
            .id = services.node->id,
            .address = services.node->address,
            .tagged_addresses = services.node->tagged_addresses,
            .meta = services.node->meta,
            .has_tagged_addresses = services.node->has_tagged_addresses,
            .has_meta = services.node->has_meta,
        },
    };

    state->exists = true;
    state->registers = mu_arena_array(arena, services.services_count + 1, sizeof *state->registers);
    checks_of(&checks, MU_SPAN_NONE, &reg, arena);
    if (rc == MU_OK) {
        rc = register_encode(&reg, arena, &state->registers[state->count++], err);
    }
    for (size_t i = 0; i < services.services_count && rc == MU_OK; i++) {
        reg.has_service = true;
        reg.checks_count = 0;
        service_of_row(&services.services[i], &reg.service, arena);
        checks_of(&checks, services.services[i].id, &reg, arena);
        rc = register_encode(&reg, arena, &state->registers[state->count++], err);
    }
    return rc;
}

enum mu_code agent__node_state(struct agent *a, const char *node, struct mu_buf *to,
                               struct mu_err *err)
{
    struct rpc_node_state state = { .exists = false };
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = state_read(a, mu_span_text(node), &arena, &state, err);

    if (rc == MU_OK) {
        rpc_node_state_encode(&state, to);
        if (to->bytes > MU_RPC_MESSAGE_MAX) {
            rc = mu_fail(err, MU_TOO_BIG, "node '%s' has more registered than an RPC message holds",
                         node);
        }
    }
    mu_arena_deinit(&arena);
    return rc;
}

/* -- the pass ---------------------------------------------------------------------------------- */

static uint64_t scale(struct agent *a)
{
    struct gossip_stats stats = gossip_driver_stats(a->gossip);

    if (stats.members <= SCALE_MEMBERS) {
        return 1;
    }
    return (uint64_t)ceil(log2((double)stats.members) - log2(SCALE_MEMBERS)) + 1;
}

static void on_soon(void *data);

static void due(struct agent *a)
{
    if (!timer_is_set(&a->sync->soon)) {
        timer_set(a->timers, &a->sync->soon, 0, on_soon, a);
    }
}

static void on_soon(void *data)
{
    sync_run(data);
}

static void on_full_timer(void *data)
{
    struct agent *a = data;

    a->sync->is_full_due = true;
    due(a);
}

static void plan_next_full(struct agent *a)
{
    uint64_t interval = FULL_MS * scale(a);

    timer_set(a->timers, &a->sync->next, interval + mu_rand_below(&a->rand, interval),
              on_full_timer, a);
}

static void waiters_answer(struct mu_link *list)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(list)) != NULL) {
        struct waiter *w = MU_CONTAINER(link, struct waiter, place);
        struct mu_err none = MU_ERR_NONE;

        w->done(w->data, MU_OK, &none);
        mu_free(w);
    }
}

static void touched_clear(struct sync *s)
{
    mu_table_free(s->touched);
    s->touched = mu_table_new();
}

static void pass_end(struct agent *a, bool did_succeed)
{
    struct sync *s = a->sync;

    s->state = SYNC_IDLE;
    antientropy_plan_deinit(&s->plan);
    touched_clear(s);
    if (did_succeed) {
        s->backoff_ms = 0;
        s->had_trouble = false;
        if (s->is_full) {
            plan_next_full(a);
        }
    } else {
        s->backoff_ms = s->backoff_ms == 0 ? RETRY_MIN_MS : s->backoff_ms * 2;
        s->backoff_ms = s->backoff_ms > RETRY_MAX_MS ? RETRY_MAX_MS : s->backoff_ms;
        timer_set(a->timers, &s->again, s->backoff_ms + mu_rand_below(&a->rand, s->backoff_ms),
                  on_full_timer, a);
    }
    waiters_answer(&s->served);
    if (s->is_full_due || s->is_partial_due) {
        due(a);
    }
}

static void trouble(struct sync *s, const char *text)
{
    mu_log(s->had_trouble ? MU_DEBUG : MU_ERROR, "agent.anti_entropy",
           "failed to sync remote state", mu_kv("error", text));
    s->had_trouble = true;
}

/* -- writing ----------------------------------------------------------------------------------- */

static struct mu_span touched_key(struct mu_arena *arena, bool is_check, struct mu_span id)
{
    return mu_span_text(mu_arena_printf(arena, "%c%.*s", is_check ? 'c' : 's', MU_SPAN_FMT(id)));
}

static bool was_touched(struct sync *s, bool is_check, struct mu_span id)
{
    return mu_table_find(s->touched, touched_key(&s->plan.arena, is_check, id)) != NULL;
}

/* What changed after its command was made is out of sync still. */
static void step_settle(struct agent *a, const struct antientropy_step *step)
{
    struct sync *s = a->sync;
    bool is_service = step->what == ANTIENTROPY_SERVICE || step->what == ANTIENTROPY_NO_SERVICE;
    bool is_check = step->what == ANTIENTROPY_CHECK || step->what == ANTIENTROPY_NO_CHECK;

    antientropy_done(a->local, step);
    if (is_service && was_touched(s, false, step->id)) {
        local_service_differs(a->local, step->id);
    }
    if (is_check && was_touched(s, true, step->id)) {
        local_check_differs(a->local, step->id);
    }
    for (size_t i = 0; i < step->checks_count; i++) {
        if (was_touched(s, true, step->checks[i])) {
            local_check_differs(a->local, step->checks[i]);
        }
    }
}

/* Not the item's fault: nothing further can be written now. */
static bool is_general(enum mu_code code)
{
    return code == MU_NO_LEADER || code == MU_NOT_LEADER || code == MU_NO_SERVERS ||
           code == MU_UNREACHABLE || code == MU_LOST || code == MU_TIMEOUT || code == MU_BUSY ||
           code == MU_FULL || code == MU_READ_ONLY || code == MU_CANCELLED;
}

static void on_step(void *data, const struct agent_written *written)
{
    struct agent *a = data;
    struct sync *s = a->sync;

    s->is_writing = false;
    if (s->is_closed) {
        return;
    }
    const struct antientropy_step *step = &s->plan.steps[s->step];

    if (written->code != MU_OK && is_general(written->code)) {
        trouble(s, written->text);
        pass_end(a, false);
        return;
    }
    if (written->code != MU_OK) {
        mu_log(MU_WARN, "agent", "Registration refused by the catalog", mu_kv_span("id", step->id),
               mu_kv("error", written->text));
    }
    step_settle(a, step); /* a refused one counts as in sync until the next full pass */
    s->step++;
    step_next(a);
}

static void step_next(struct agent *a)
{
    struct sync *s = a->sync;

    if (s->step == s->plan.count || a->phase >= AGENT_LEAVING) {
        pass_end(a, s->step == s->plan.count);
        return;
    }
    s->is_writing = true;
    agent__write(a, &s->plan.steps[s->step].command, on_step, a);
}

static void plan_begin(struct agent *a)
{
    struct sync *s = a->sync;

    antientropy_plan_init(&s->plan);
    s->step = 0;
    s->state = SYNC_WRITING;
    s->is_partial_due = false;
    MU_ASSERT(mu_list_empty(&s->served));
    while (!mu_list_empty(&s->waiting)) {
        struct mu_link *link = mu_list_pop_front(&s->waiting);

        mu_list_push_back(&s->served, link);
    }
}

static void plan_partial(struct agent *a)
{
    struct antientropy_node self;

    plan_begin(a);
    a->sync->is_full = false;
    self_make(a, &a->sync->plan.arena, &self);
    antientropy_partial(&a->sync->plan, a->local, &self);
    step_next(a);
}

static enum mu_code remote_decode(struct agent *a, struct mu_span bytes,
                                  struct antientropy_remote *out, struct mu_err *err)
{
    struct mu_arena *arena = &a->sync->plan.arena;
    struct rpc_node_state state;
    enum mu_code rc = rpc_node_state_decode(bytes, arena, &state, err);

    if (rc != MU_OK) {
        return rc;
    }
    struct command_register *registers = mu_arena_array(arena, state.count, sizeof *registers);

    for (size_t i = 0; i < state.count; i++) {
        struct command command;

        rc = command_decode(state.registers[i], arena, &command, err);
        if (rc != MU_OK || command.kind != COMMAND_REGISTER) {
            return rc != MU_OK ? rc : mu_fail(err, MU_CORRUPT, "a node state of another kind");
        }
        registers[i] = command.reg;
    }
    *out = (struct antientropy_remote){ state.exists, registers, state.count };
    return MU_OK;
}

static void fetched(struct agent *a, enum mu_code code, struct mu_span bytes, const char *why)
{
    struct sync *s = a->sync;
    struct antientropy_remote remote;
    struct antientropy_node self;
    struct mu_err err = MU_ERR_NONE;

    plan_begin(a);
    s->is_full = true;
    if (code == MU_OK) {
        code = remote_decode(a, bytes, &remote, &err);
        why = err.text;
    }
    if (code != MU_OK) {
        trouble(s, why);
        pass_end(a, false);
        return;
    }
    self_make(a, &s->plan.arena, &self);
    antientropy_full(&s->plan, a->local, &self, &remote, a->config->check_update_interval_ms > 0);
    step_next(a);
}

/* -- fetching ---------------------------------------------------------------------------------- */

static void on_view(void *data, enum mu_code code, const struct agent_view *view,
                    const struct mu_err *err)
{
    struct agent *a = data;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_err why = *err;

    (void)view;
    a->sync->read = NULL;
    if (code == MU_OK) {
        code = agent__node_state(a, a->config->node_name, &bytes, &why);
    }
    fetched(a, code, mu_buf_span(&bytes), why.text);
    mu_buf_deinit(&bytes);
}

static void on_node(void *data, enum mu_code code, struct mu_span answer, const struct mu_err *err)
{
    struct agent *a = data;

    a->sync->call = NULL;
    fetched(a, code, answer, err->text);
}

static void sync_run(void *data)
{
    struct agent *a = data;
    struct sync *s = a->sync;

    if (s->state != SYNC_IDLE || a->config->serf.is_on) {
        return;
    }
    if (a->phase >= AGENT_LEAVING) { /* what is written now would come behind our removal */
        waiters_answer(&s->waiting);
        return;
    }
    if (!s->is_full_due) {
        if (s->is_partial_due || !mu_list_empty(&s->waiting)) {
            plan_partial(a);
        }
        return;
    }
    s->is_full_due = false;
    timer_cancel(&s->again);
    s->state = SYNC_FETCHING;
    if (agent_is_server(a)) {
        s->read = agent_read(a, AGENT_DEFAULT, on_view, a);
        return;
    }
    s->call = agent__servers_call(a, RPC_NODE, MU_SPAN_NONE, true, FETCH_TIMEOUT_MS, on_node, a);
}

/* -- what others call -------------------------------------------------------------------------- */

void agent__sync_full(struct agent *a, const char *why)
{
    struct sync *s = a->sync;

    if (s == NULL) {
        return;
    }
    mu_log(MU_DEBUG, "agent.anti_entropy", "Comparing with the catalog", mu_kv("reason", why));
    s->is_full_due = true;
    due(a);
    timer_set(a->timers, &s->second, SECOND_LOOK_MS, on_full_timer, a);
}

static void deferred_free(struct deferred *d)
{
    timer_cancel(&d->timer);
    mu_list_remove(&d->place);
    mu_buf_deinit(&d->id);
    mu_free(d);
}

static void on_deferred(void *data)
{
    struct deferred *d = data;
    struct agent *a = d->agent;
    struct local_check check;

    if (local_check_find(a->local, mu_buf_span(&d->id), &check) && check.has_new_output) {
        local_check_differs(a->local, mu_buf_span(&d->id));
        a->sync->is_partial_due = true;
        due(a);
    }
    deferred_free(d);
}

/* Is this result worth a write now? Output alone waits: half the interval and a random part. */
static bool defer_output(struct agent *a, struct mu_span id)
{
    uint64_t interval = (uint64_t)a->config->check_update_interval_ms;
    struct local_check check;

    if (!local_check_find(a->local, id, &check) || !check.has_new_output) {
        return false;
    }
    if (interval == 0) {
        local_check_differs(a->local, id);
        return false;
    }
    MU_LIST_EACH (place, &a->sync->deferred) {
        if (mu_span_eq(mu_buf_span(&MU_CONTAINER(place, struct deferred, place)->id), id)) {
            return true;
        }
    }
    struct deferred *d = mu_new(sizeof *d);

    d->agent = a;
    mu_buf_add_span(&d->id, id);
    mu_list_push_back(&a->sync->deferred, &d->place);
    timer_set(a->timers, &d->timer, interval / 2 + mu_rand_below(&a->rand, interval), on_deferred,
              d);
    return true;
}

void agent__sync_changed(struct agent *a, enum local_change_kind kind, struct mu_span id)
{
    struct sync *s = a->sync;
    bool is_check =
        kind == LOCAL_CHECK_SET || kind == LOCAL_CHECK_GONE || kind == LOCAL_CHECK_RESULT;

    if (s == NULL) {
        return;
    }
    if (s->state == SYNC_WRITING) {
        (void)mu_table_put(s->touched, touched_key(&s->plan.arena, is_check, id), s);
    }
    if (kind == LOCAL_CHECK_RESULT && defer_output(a, id)) {
        return;
    }
    s->is_partial_due = true;
    due(a);
}

void agent__sync_then(struct agent *a, agent_done_fn *done, void *data)
{
    struct waiter *w = mu_new(sizeof *w);

    w->done = done;
    w->data = data;
    mu_list_push_back(&a->sync->waiting, &w->place);
    due(a);
}

void agent__sync_open(struct agent *a)
{
    struct sync *s = mu_new(sizeof *s);

    s->touched = mu_table_new();
    mu_list_init(&s->waiting);
    mu_list_init(&s->served);
    mu_list_init(&s->deferred);
    a->sync = s;
}

void agent__sync_close(struct agent *a)
{
    struct sync *s = a->sync;

    if (s == NULL) {
        return;
    }
    MU_ASSERT(!s->is_writing); /* requests and servers were closed before: all writes answered */
    if (s->read != NULL) {
        agent_read_cancel(s->read);
    }
    if (s->call != NULL) {
        agent__servers_cancel(s->call);
    }
    timer_cancel(&s->soon);
    timer_cancel(&s->again);
    timer_cancel(&s->next);
    timer_cancel(&s->second);
    while (!mu_list_empty(&s->deferred)) {
        deferred_free(MU_CONTAINER(s->deferred.next, struct deferred, place));
    }
    waiters_answer(&s->served);
    waiters_answer(&s->waiting);
    antientropy_plan_deinit(&s->plan);
    mu_table_free(s->touched);
    mu_free(s);
    a->sync = NULL;
}
