/* snap.c - snapshots in these worlds: a worker per server that makes, receives and installs them.
 *
 * A state is its index, term and a hash over everything applied; a stream is named by that hash and
 * has a length drawn from it, so that chunks are counted and not carried. What a crash leaves: the
 * flushed part of what was received, and a new state that was imported and not switched to.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

void sim_state_apply(struct sim_state *s, uint64_t index, const struct sim_entry *e)
{
    s->index = index;
    s->term = e->term;
    s->hash = (s->hash ^ e->content ^ e->term << 40 ^ (uint64_t)e->kind << 60) *
              UINT64_C(0x9e3779b97f4a7c15);
    s->hash ^= s->hash >> 31;
}

static struct consensus_snap snap_of(const struct sim_world *w, const struct sim_state *s)
{
    struct consensus_snap snap = { .index = s->index, .term = s->term };

    memcpy(snap.hash, &s->hash, sizeof s->hash);
    snap.bytes = 1 + s->hash % ((uint64_t)9 * w->options.chunk_bytes);
    return snap;
}

bool sim_chunk_is_there(const struct sim_node *n, const struct consensus_msg *m)
{
    return m->kind != CONSENSUS_SNAP_CHUNK || consensus_snap_eq(&n->export, &m->snapshot.snap);
}

/* -- the worker ---------------------------------------------------------------------------- */

static void order_start(struct sim_world *w, struct sim_node *n)
{
    if (n->is_ordered || n->orders_count == 0 || n->holds_orders) {
        return;
    }
    const struct sim_policy *p = &w->policy;
    uint64_t ms =
        p->order_ms != NULL ? p->order_ms(p->data, n->place) : p->disk_ms(p->data, n->place);

    n->is_ordered = true;
    sim_item_push(w, (struct sim_item){
                         .at = w->now + ms,
                         .kind = SIM_ORDER,
                         .node = n->place,
                         .life = n->life,
                     });
}

void sim_orders_take(struct sim_world *w, struct sim_node *n, const struct consensus_effects *fx)
{
    for (size_t i = 0; i < fx->snaps_count; i++) {
        if (n->orders_count == n->orders_room) {
            n->orders_room = n->orders_room * 2 + 8;
            n->orders = mu_grow(n->orders, n->orders_room * sizeof *n->orders);
        }
        n->orders[n->orders_count] = fx->snaps[i];
        n->orders[n->orders_count++].data = MU_SPAN_NONE;
    }
    order_start(w, n);
}

static void tell(struct sim_world *w, struct sim_node *n, enum consensus_snap_event what,
                 const struct consensus_snap *snap, uint64_t offset,
                 enum consensus_snap_fault fault)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_SNAPSHOT };

    ev.snapshot.what = what;
    ev.snapshot.snap = *snap;
    ev.snapshot.offset = offset;
    ev.snapshot.fault = fault;
    sim_feed(w, n, &ev);
}

static void export(struct sim_world *w, struct sim_node *n, bool fails)
{
    n->export = (struct consensus_snap){ 0 };
    if (fails || n->state.index == 0) {
        tell(w, n, CONSENSUS_SNAP_EXPORT_FAILED, &n->export, 0, CONSENSUS_SNAP_OK);
        return;
    }
    n->export = snap_of(w, &n->state);
    n->export_state = n->state;
    tell(w, n, CONSENSUS_SNAP_EXPORTED, &n->export, 0, CONSENSUS_SNAP_OK);
}

static void lose(struct sim_world *w, struct sim_node *n, const struct consensus_snap *snap,
                 enum consensus_snap_fault fault)
{
    n->disk.part = (struct consensus_snap){ 0 };
    n->disk.part_flushed = n->part_written = 0;
    n->disk.next = (struct sim_state){ 0 };
    tell(w, n, CONSENSUS_SNAP_LOST, snap, 0, fault);
}

static void open_part(struct sim_world *w, struct sim_node *n, const struct consensus_snap *snap)
{
    if (!consensus_snap_eq(&n->disk.part, snap)) {
        n->disk.part = *snap;
        n->disk.part_flushed = 0;
    }
    n->part_written = n->disk.part_flushed;
    tell(w, n, CONSENSUS_SNAP_OPENED, snap, n->part_written, CONSENSUS_SNAP_OK);
}

static void store(struct sim_world *w, struct sim_node *n, const struct consensus_snap_order *o)
{
    if (!consensus_snap_eq(&n->disk.part, &o->snap)) {
        return; /* it was lost: the order behind it comes too late */
    }
    if (o->offset != n->part_written) {
        sim_fail(w, "%s stores at %llu, holds %llu", n->name, U(o->offset), U(n->part_written));
    }
    n->part_written += o->bytes;
    if (n->part_written % 3 == 0) {
        n->disk.part_flushed = n->part_written;
    }
    tell(w, n, CONSENSUS_SNAP_STORED, &o->snap, n->part_written, CONSENSUS_SNAP_OK);
}

/* What the stream says is what its sender had applied. */
static void import(struct sim_world *w, struct sim_node *n, const struct consensus_snap *snap)
{
    struct sim_state *next = &n->disk.next;

    if (n->part_written != snap->bytes) {
        sim_fail(w, "%s imports %llu of %llu bytes", n->name, U(n->part_written), U(snap->bytes));
    }
    *next = (struct sim_state){ .index = snap->index, .term = snap->term };
    memcpy(&next->hash, snap->hash, sizeof next->hash);
    sim_check_state(w, n, next);
    tell(w, n, CONSENSUS_SNAP_IMPORTED, snap, 0, CONSENSUS_SNAP_OK);
}

static void become_next(struct sim_node *n)
{
    n->disk.state = n->disk.next;
    n->disk.next = (struct sim_state){ 0 };
    n->disk.part = (struct consensus_snap){ 0 };
    n->disk.part_flushed = n->part_written = 0;
    n->disk.lacks_state = false;
    n->disk.is_copy = true;
}

static void switch_state(struct sim_world *w, struct sim_node *n, const struct consensus_snap *snap)
{
    bool is_of_log = n->disk.log.base == snap->index ||
                     (n->disk.lacks_state && snap->index <= n->disk.log.last &&
                      sim_log_term(&n->disk.log, snap->index) == snap->term);

    if (n->disk.next.index != snap->index || !is_of_log) { /* O10 */
        sim_fail(w, "O10: %s switches to %llu, its log begins behind %llu", n->name,
                 U(n->disk.next.index), U(n->disk.log.base));
    }
    become_next(n);
    n->state = n->disk.state;
    n->applied = n->durable_applied = n->state.index;
    tell(w, n, CONSENSUS_SNAP_SWITCHED, snap, 0, CONSENSUS_SNAP_OK);
}

static void abandon(struct sim_node *n, const struct consensus_snap *snap)
{
    if (consensus_snap_eq(&n->disk.part, snap)) {
        n->disk.part = (struct consensus_snap){ 0 };
        n->disk.part_flushed = n->part_written = 0;
    }
    n->disk.next = (struct sim_state){ 0 };
}

/* To an order that was given up: it does not fit what the core is at, and is no news. */
static void tell_stale(struct sim_world *w, struct sim_node *n)
{
    static const struct {
        enum consensus_snap_event what;
        unsigned fits; /* bits of states */
    } stale[] = {
        { CONSENSUS_SNAP_OPENED, 1U << CONSENSUS_INSTALL_OPENS },
        { CONSENSUS_SNAP_STORED, 0 }, /* of nothing */
        { CONSENSUS_SNAP_IMPORTED, 1U << CONSENSUS_INSTALL_IMPORTS },
        { CONSENSUS_SNAP_SWITCHED, 1U << CONSENSUS_INSTALL_SWITCHES },
        { CONSENSUS_SNAP_LOST, 1U << CONSENSUS_INSTALL_OPENS | 1U << CONSENSUS_INSTALL_RECEIVES |
                                   1U << CONSENSUS_INSTALL_IMPORTS },
    };
    const struct consensus__install *i = &n->core->install;
    size_t at = w->numbers / 4 % MU_LEN(stale);
    struct consensus_snap snap = i->snap;

    if (i->state == CONSENSUS_INSTALL_NONE) {
        if (n->core->role == CONSENSUS_LEADER &&
            n->core->office.sending.state == CONSENSUS_EXPORT_NONE) {
            tell(w, n, CONSENSUS_SNAP_EXPORT_FAILED, &snap, 0, CONSENSUS_SNAP_IO);
        }
    } else if ((stale[at].fits >> i->state & 1U) == 0) {
        tell(w, n, stale[at].what, &snap, 0, CONSENSUS_SNAP_OK);
    }
}

void sim_order_run(struct sim_world *w, struct sim_node *n, bool fails)
{
    struct consensus_snap_order o = n->orders[0];
    uint32_t life = n->life;

    n->is_ordered = false;
    memmove(n->orders, n->orders + 1, --n->orders_count * sizeof *n->orders);
    switch (o.kind) {
    case CONSENSUS_SNAP_EXPORT: export(w, n, fails); break;
    case CONSENSUS_SNAP_CLOSE: n->export = (struct consensus_snap){ 0 }; break;
    case CONSENSUS_SNAP_OPEN:
        if (fails) {
            lose(w, n, &o.snap, CONSENSUS_SNAP_FULL);
        } else {
            open_part(w, n, &o.snap);
        }
        break;
    case CONSENSUS_SNAP_STORE:
        if (fails) {
            lose(w, n, &o.snap, CONSENSUS_SNAP_FULL);
        } else {
            store(w, n, &o);
        }
        break;
    case CONSENSUS_SNAP_IMPORT:
        if (fails) {
            lose(w, n, &o.snap, CONSENSUS_SNAP_DAMAGED);
        } else {
            import(w, n, &o.snap);
        }
        break;
    case CONSENSUS_SNAP_SWITCH: switch_state(w, n, &o.snap); break;
    case CONSENSUS_SNAP_ABANDON: abandon(n, &o.snap); break;
    case CONSENSUS_SNAP_READ: break; /* the driver's */
    }
    if (n->is_up && n->life == life && w->repeats_answers && n->dead == NULL &&
        w->numbers % 4 == 0) {
        tell_stale(w, n);
    }
    if (n->is_up && n->life == life) {
        order_start(w, n);
    }
}

/* -- after a crash ------------------------------------------------------------------------- */

void sim_install_recover(struct sim_world *w, struct sim_node *n)
{
    if (n->disk.log.base > n->disk.state.index) {
        if (n->disk.lacks_state && n->disk.next.index != n->disk.log.base) {
            n->disk.next = (struct sim_state){ 0 };
            n->state = (struct sim_state){ 0 };
            return; /* it asks for one */
        }
        if (n->disk.next.index != n->disk.log.base) {
            sim_fail(w, "O10: the log of %s begins behind %llu, its states are of %llu and %llu",
                     n->name, U(n->disk.log.base), U(n->disk.state.index), U(n->disk.next.index));
        }
        become_next(n);
    }
    n->disk.next = (struct sim_state){ 0 };
    n->state = n->disk.state;
}
