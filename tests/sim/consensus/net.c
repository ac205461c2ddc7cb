/* net.c - messages in flight, and the queue of everything that will happen. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

enum {
    ITEMS_MAX = 100000, /* a cluster of five never has as many */
    STILL_MAX = 100000, /* steps within one millisecond: somebody asks for ever to be woken */
};

/* -- the queue: a heap by (time, number) --------------------------------------------------- */

static bool is_before(const struct sim_item *a, const struct sim_item *b)
{
    return a->at < b->at || (a->at == b->at && a->number < b->number);
}

static void swap(struct sim_item *a, struct sim_item *b)
{
    struct sim_item t = *a;

    *a = *b;
    *b = t;
}

void sim_item_push(struct sim_world *w, struct sim_item item)
{
    if (w->items_count == w->items_room) {
        w->items_room = w->items_room * 2 + 64;
        w->items = mu_grow(w->items, w->items_room * sizeof *w->items);
    }
    size_t i = w->items_count++;

    item.number = ++w->numbers;
    w->items[i] = item;
    for (; i > 0 && is_before(&w->items[i], &w->items[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&w->items[i], &w->items[(i - 1) / 2]);
    }
}

static struct sim_item item_pop(struct sim_world *w)
{
    struct sim_item top = w->items[0];
    size_t i = 0;

    w->items[0] = w->items[--w->items_count];
    for (;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->items_count; child++) {
            if (is_before(&w->items[child], &w->items[least])) {
                least = child;
            }
        }
        if (least == i) {
            return top;
        }
        swap(&w->items[i], &w->items[least]);
        i = least;
    }
}

/* -- messages ------------------------------------------------------------------------------ */

static struct sim_message *message_new(struct sim_world *w, const struct sim_node *from,
                                       const struct mu_id *to)
{
    struct sim_message *m = mu_new(sizeof *m);

    m->number = ++w->numbers;
    m->from = from->place;
    m->to = SIM_NODES_MAX;
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        if (mu_id_eq(&w->nodes[i].id, to)) {
            m->to = i;
        }
    }
    return m;
}

void sim_message_free(struct sim_message *m)
{
    if (m != NULL) {
        mu_free(m->entries);
        mu_free(m->config);
        mu_free(m);
    }
}

struct sim_message *sim_message_copy(struct sim_world *w, const struct sim_message *m)
{
    struct sim_message *copy = mu_new(sizeof *copy);

    *copy = *m;
    copy->number = ++w->numbers;
    if (m->entries != NULL) {
        size_t bytes = m->msg.append.entries_count * sizeof *m->entries;

        copy->entries = mu_new(bytes);
        memcpy(copy->entries, m->entries, bytes);
    }
    if (m->config != NULL) {
        copy->config = mu_new(sizeof *copy->config);
        *copy->config = *m->config;
    }
    return copy;
}

void sim_hold(struct sim_world *w, struct sim_message *m)
{
    if (w->held_count == w->held_room) {
        w->held_room = w->held_room * 2 + 16;
        w->held = mu_grow(w->held, w->held_room * sizeof(struct sim_message *));
    }
    w->held[w->held_count++] = m;
}

void sim_net_schedule(struct sim_world *w, struct sim_message *m, uint64_t in_ms)
{
    m->at = w->now + in_ms;
    sim_item_push(
        w, (struct sim_item){ .at = m->at, .kind = SIM_DELIVER, .node = m->to, .message = m });
}

static void dispatch(struct sim_world *w, struct sim_message *m)
{
    char text[256];

    if (w->line != NULL && w->shows_messages) {
        sim_message_text(w, m, text, sizeof text);
        sim_say(w, &w->nodes[m->from], "> %s: %s",
                m->to < w->nodes_count ? w->nodes[m->to].name : "?", text);
    }
    if (m->to >= w->nodes_count || w->is_cut[m->from][m->to]) {
        sim_message_free(m);
        return;
    }
    if (w->holds_net) {
        sim_hold(w, m);
        return;
    }
    uint64_t ms = w->policy.net_ms(w->policy.data, m);

    if (w->policy.net_twice(w->policy.data, m)) {
        struct sim_message *copy = sim_message_copy(w, m);
        uint64_t again_ms = w->policy.net_ms(w->policy.data, copy);

        if (again_ms == SIM_LOST) {
            sim_message_free(copy);
        } else {
            sim_net_schedule(w, copy, again_ms);
        }
    }
    if (ms == SIM_LOST) {
        sim_message_free(m);
        return;
    }
    sim_net_schedule(w, m, ms);
}

/* The bytes leave at once: copy what the handles stand for. */
static void copy_entries(struct sim_world *w, const struct sim_node *from,
                         const struct consensus_msg *msg, struct sim_message *m)
{
    m->entries = mu_new(msg->append.entries_count * sizeof *m->entries);
    for (uint32_t i = 0; i < msg->append.entries_count; i++) {
        struct consensus_entry e = consensus_sent_entry(from->core, msg, i);
        uint64_t content = 0;

        if (e.handle != 0) {
            MU_ASSERT(e.handle <= from->pool_room && from->pool[e.handle - 1].is_used);
            content = from->pool[e.handle - 1].content;
        }
        if (e.index != msg->append.prev_index + 1 + i) {
            sim_fail(w, "%s sends entry %llu where %llu belongs", from->name,
                     (unsigned long long)e.index,
                     (unsigned long long)(msg->append.prev_index + 1 + i));
        }
        m->entries[i] = (struct sim_entry){ e.term, content, e.bytes, e.kind };
    }
}

void sim_net_send(struct sim_world *w, struct sim_node *from, const struct consensus_msg *msg)
{
    if (!sim_chunk_is_there(from, msg)) {
        return;
    }
    struct sim_message *m = message_new(w, from, &msg->to);

    m->msg = *msg;
    if (msg->kind == CONSENSUS_SNAP_OFFER) {
        m->config = mu_new(sizeof *m->config);
        *m->config = *msg->snapshot.config;
        m->msg.snapshot.config = NULL;
    }
    if (msg->kind == CONSENSUS_APPEND_REQ && msg->append.entries_count > 0) {
        copy_entries(w, from, msg, m);
        m->msg.append.entries = NULL;
    }
    dispatch(w, m);
}

void sim_net_send_boot(struct sim_world *w, struct sim_node *from,
                       const struct consensus_bootstrap_msg *msg)
{
    struct sim_message *m = message_new(w, from, &msg->to);

    m->is_bootstrap = true;
    m->boot = *msg;
    dispatch(w, m);
}

/* -- arrival ------------------------------------------------------------------------------- */

static void receive_msg(struct sim_world *w, struct sim_node *n, uint32_t forgery,
                        struct consensus_msg *msg, struct consensus_entry *entries)
{
    if (forgery != 0) {
        sim_receive_forged(w, n, forgery, msg, entries);
    } else {
        sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_RECV, .msg = msg });
    }
}

static void receive_append(struct sim_world *w, struct sim_node *n, const struct sim_message *m)
{
    static struct consensus_entry entries[CONSENSUS_ENTRIES_MAX];
    static struct consensus_config configs[CONSENSUS_ENTRIES_MAX];
    struct consensus_msg msg = m->msg;

    for (uint32_t i = 0; i < msg.append.entries_count; i++) {
        const struct sim_entry *e = &m->entries[i];

        entries[i] = (struct consensus_entry){
            .index = msg.append.prev_index + 1 + i,
            .term = e->term,
            .bytes = e->bytes,
            .handle = e->kind == CONSENSUS_NOOP ? 0 : sim_pool_take(n, e->content, e->bytes),
            .kind = e->kind,
        };
        if (e->kind == CONSENSUS_CONFIG) {
            MU_ASSERT(e->content < w->configs_count);
            configs[i] = w->configs[e->content];
            configs[i].index = entries[i].index;
            entries[i].config = &configs[i];
        }
    }
    msg.append.entries = entries;
    receive_msg(w, n, m->forgery, &msg, entries);
}

static void receive_boot(struct sim_world *w, struct sim_node *n, const struct sim_message *m)
{
    struct consensus_bootstrap_msg msg = m->boot;

    if (m->forgery != 0) {
        sim_forge_boot(&msg, m->forgery);
    }
    sim_feed_boot(w, n,
                  &(struct consensus_bootstrap_event){ .kind = BOOTSTRAP_EV_RECV, .msg = &msg });
}

void sim_receive(struct sim_world *w, struct sim_node *n, const struct sim_message *m)
{
    if (m->is_bootstrap) {
        receive_boot(w, n, m);
    } else if (n->core == NULL) { /* a fresh server has an ear for an invitation only */
        if (m->msg.kind == CONSENSUS_INVITE && mu_id_eq(&m->msg.invite.disk, &n->disk.id)) {
            sim_feed_boot(
                w, n,
                &(struct consensus_bootstrap_event){
                    .kind = BOOTSTRAP_EV_INVITED,
                    .cluster = m->forgery == 0 ? m->msg.cluster : MU_ID_NONE, /* to nothing */
                });
        }
    } else if (m->forgery != 0 && !sim_forgery_is_one(n, m)) {
        return;
    } else if (m->msg.kind == CONSENSUS_APPEND_REQ) {
        receive_append(w, n, m);
    } else {
        struct consensus_msg msg = m->msg;

        if (msg.kind == CONSENSUS_SNAP_OFFER) {
            msg.snapshot.config = m->config;
        }
        receive_msg(w, n, m->forgery, &msg, NULL);
    }
}

void sim_net_deliver(struct sim_world *w, struct sim_message *m)
{
    struct sim_node *n = &w->nodes[m->to];

    if (n->is_up && n->paused_until > w->now) {
        sim_net_schedule(w, m, n->paused_until - w->now); /* waits in the socket */
        return;
    }
    if (n->is_up && !w->is_cut[m->from][m->to]) {
        sim_receive(w, n, m);
    }
    sim_message_free(m);
}

/* -- what happens next --------------------------------------------------------------------- */

/* The first true ms at which the clock of n shows at least `local`. */
static uint64_t true_of(const struct sim_world *w, const struct sim_node *n, uint64_t local)
{
    if (local == CONSENSUS_NEVER) {
        return SIM_NEVER;
    }
    if (local <= sim_local(n, w->now)) {
        return w->now;
    }
    uint64_t at = ((local - n->clock_offset) * 1000 + n->clock_rate - 1) / n->clock_rate;

    return at > w->now ? at : w->now;
}

static uint64_t wake_of(const struct sim_world *w, const struct sim_node *n)
{
    uint64_t local = n->core_wake < n->boot_wake ? n->core_wake : n->boot_wake;
    uint64_t at = true_of(w, n, local);

    return n->paused_until > at ? n->paused_until : at;
}

uint64_t sim_next_at(const struct sim_world *w)
{
    uint64_t at = w->items_count > 0 ? w->items[0].at : SIM_NEVER;

    for (uint32_t i = 0; i < w->nodes_count; i++) {
        uint64_t wake = w->nodes[i].is_up ? wake_of(w, &w->nodes[i]) : SIM_NEVER;

        at = wake < at ? wake : at;
    }
    return at;
}

static void wake(struct sim_world *w, struct sim_node *n)
{
    uint64_t local = sim_local(n, w->now);
    uint32_t life = n->life;

    if (n->boot_wake <= local) {
        sim_feed_boot(w, n, &(struct consensus_bootstrap_event){ .kind = BOOTSTRAP_EV_WAKE });
    }
    if (n->is_up && n->life == life && n->core != NULL && n->core_wake <= local) {
        sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
    }
}

static void fetch_done(struct sim_world *w, struct sim_node *n, const struct consensus_fetch *f)
{
    static struct consensus_entry entries[CONSENSUS_ENTRIES_MAX];
    struct consensus_event ev = { .kind = CONSENSUS_EV_FETCHED };
    uint64_t bytes = 0;
    const struct sim_policy *p = &w->policy;

    ev.fetched.ticket = f->ticket;
    ev.fetched.entries = entries;
    if (p->fetch_fails != NULL && p->fetch_fails(p->data, n->place)) {
        ev.fetched.code = CONSENSUS_FETCH_DAMAGED;
        sim_feed(w, n, &ev);
        return;
    }
    for (uint64_t i = f->first; i <= f->last && ev.fetched.count < CONSENSUS_ENTRIES_MAX; i++) {
        const struct sim_entry *e = sim_log_at(&n->disk.log, i);

        if (e == NULL || (ev.fetched.count > 0 && bytes + e->bytes > f->bytes_max)) {
            break;
        }
        bytes += e->bytes;
        entries[ev.fetched.count++] = (struct consensus_entry){
            .index = i,
            .term = e->term,
            .bytes = e->bytes,
            .handle = e->kind == CONSENSUS_NOOP ? 0 : sim_pool_take(n, e->content, e->bytes),
            .kind = e->kind,
        };
    }
    ev.fetched.code = ev.fetched.count > 0 ? CONSENSUS_FETCH_OK : CONSENSUS_FETCH_COMPACTED;
    sim_feed(w, n, &ev);
}

static bool is_void(const struct sim_world *w, const struct sim_item *item)
{
    const struct sim_node *n = &w->nodes[item->node];

    return !n->is_up || n->life != item->life;
}

static void order_done(struct sim_world *w, struct sim_node *n)
{
    const struct sim_policy *p = &w->policy;

    sim_order_run(w, n,
                  p->snap_fails != NULL && p->snap_fails(p->data, n->place, n->orders[0].kind));
}

static void item_run(struct sim_world *w, struct sim_item *item)
{
    struct sim_node *n = &w->nodes[item->node];

    if (item->kind == SIM_DELIVER) {
        sim_net_deliver(w, item->message);
        return;
    }
    if (is_void(w, item)) {
        return;
    }
    if (n->paused_until > w->now) {
        item->at = n->paused_until;
        sim_item_push(w, *item);
        return;
    }
    switch (item->kind) {
    case SIM_DELIVER: break;
    case SIM_PERSISTED: sim_persist(w, n, n->batch); break;
    case SIM_APPLY: sim_apply(w, n, n->commit_to); break;
    case SIM_FETCH: fetch_done(w, n, &item->fetch); break;
    case SIM_GOSSIP: sim_candidates(w, n); break;
    case SIM_ORDER: order_done(w, n); break;
    case SIM_COMPACT: sim_compact(w, n, item->compact_to); break;
    }
}

/* Of things due at the same time messages come first: sockets are read before timers (spec 2.17).
 */
void sim_run_one(struct sim_world *w)
{
    uint64_t at = sim_next_at(w);

    MU_ASSERT(at != SIM_NEVER && at >= w->now);
    if (w->items_count > ITEMS_MAX) {
        sim_fail(w, "messages multiply without end: %zu are under way", w->items_count);
    }
    w->still = at == w->now ? w->still + 1 : 0;
    if (w->still > STILL_MAX) {
        sim_fail(w, "time stands still: %d steps within one millisecond", STILL_MAX);
    }
    w->now = at;
    w->steps++;
    if (w->items_count > 0 && w->items[0].at <= at) {
        struct sim_item item = item_pop(w);

        item_run(w, &item);
        return;
    }
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        if (w->nodes[i].is_up && wake_of(w, &w->nodes[i]) <= at) {
            wake(w, &w->nodes[i]);
            return;
        }
    }
}

void sim_run_until(struct sim_world *w, uint64_t until)
{
    while (sim_next_at(w) <= until) {
        sim_run_one(w);
    }
    if (until > w->now) {
        w->now = until;
    }
}
