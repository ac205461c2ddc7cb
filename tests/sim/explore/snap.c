/* snap.c - snapshots and compaction around a core: what its owner does, in one message.
 *
 * A snapshot is named by its hash, which stands for the entries that it is of: so what comes of it
 * is held against what was committed, like everything else. An offer brings all of it: no part of
 * it is under way by itself, and what is imported is durable at once. That the log begins anew is a
 * write like others; a crash comes before it, between it and the switch, or behind both.
 */
#include <string.h>

#include "base/assert.h"
#include "work.h"

enum { X_SNAPS_MAX = 255 };

static struct {
    struct x_entry entries[X_LOG_MAX];
    uint64_t index;
} snaps[X_SNAPS_MAX];
static uint32_t snaps_count;
static size_t installs, completions;

void x_installs(size_t *switched, size_t *completed)
{
    *switched = installs;
    *completed = completions;
}

static uint8_t snap_intern(const struct x_entry *log, uint64_t index)
{
    for (uint32_t i = 0; i < snaps_count; i++) {
        if (snaps[i].index == index &&
            memcmp(snaps[i].entries, log, (index + 1) * sizeof log[0]) == 0) {
            return (uint8_t)i;
        }
    }
    MU_ASSERT(snaps_count < X_SNAPS_MAX);
    snaps[snaps_count].index = index;
    memcpy(snaps[snaps_count].entries, log, (index + 1) * sizeof log[0]);
    return (uint8_t)snaps_count++;
}

const struct x_entry *x__snap_entries(const struct consensus_snap *snap)
{
    MU_ASSERT(snap->hash[0] < snaps_count && snaps[snap->hash[0]].index == snap->index);
    return snaps[snap->hash[0]].entries;
}

uint64_t x__config_of(const struct x_entry *log, uint64_t index)
{
    while (index > 1 && log[index].kind != CONSENSUS_CONFIG) {
        index--;
    }
    return index;
}

static void answer(struct x__work *w, enum consensus_snap_event what,
                   const struct consensus_snap *snap, uint64_t offset)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_SNAPSHOT };

    ev.snapshot.what = what;
    ev.snapshot.snap = *snap;
    ev.snapshot.offset = offset;
    x__feed(w, ev);
}

static void export(struct x__work *w)
{
    struct consensus_snap snap = { .index = w->head->applied, .bytes = 1 };

    snap.term = w->head->disk[snap.index].term;
    snap.hash[0] = snap_intern(w->head->disk, snap.index);
    answer(w, snap.index > 0 ? CONSENSUS_SNAP_EXPORTED : CONSENSUS_SNAP_EXPORT_FAILED, &snap, 0);
}

static void import(struct x__work *w, const struct consensus_snap *snap)
{
    w->head->next = snap->index;
    memcpy(w->head->imported, x__snap_entries(snap), sizeof w->head->imported);
    answer(w, CONSENSUS_SNAP_IMPORTED, snap, 0);
}

static void next_drop(struct x__work *w)
{
    w->head->next = 0;
    memset(w->head->imported, 0, sizeof w->head->imported);
}

static void switch_state(struct x__work *w, const struct consensus_snap *snap)
{
    if (w->head->next != snap->index || w->head->base != snap->index) {
        x__fault("O10: switches to a state of %llu, the log begins behind %llu", U(snap->index),
                 U(w->head->base));
        return;
    }
    w->head->state = w->head->applied = w->head->commit_to = snap->index;
    next_drop(w);
    installs++;
    answer(w, CONSENSUS_SNAP_SWITCHED, snap, 0);
}

void x__order(struct x__work *w, const struct consensus_snap_order *o)
{
    switch (o->kind) {
    case CONSENSUS_SNAP_EXPORT: export(w); break;
    case CONSENSUS_SNAP_OPEN: answer(w, CONSENSUS_SNAP_OPENED, &o->snap, o->snap.bytes); break;
    case CONSENSUS_SNAP_IMPORT: import(w, &o->snap); break;
    case CONSENSUS_SNAP_SWITCH: switch_state(w, &o->snap); break;
    case CONSENSUS_SNAP_ABANDON: next_drop(w); break;
    case CONSENSUS_SNAP_CLOSE:
    case CONSENSUS_SNAP_STORE:
    case CONSENSUS_SNAP_READ: break;
    }
}

void x__compact(struct x__work *w, uint32_t arg)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_APPLIED };

    (void)arg;
    if (w->core->install.state >= CONSENSUS_INSTALL_RESETS) {
        return; /* what it would be durable of is about to go */
    }
    w->head->state = w->head->applied;
    ev.applied.index = ev.applied.durable_index = w->head->applied;
    x__feed(w, ev);
}

void x__compacted(struct x__work *w, uint64_t index)
{
    if (index > w->head->state) {
        x__fault("O9: the log up to %llu goes, the state is durable up to %llu", U(index),
                 U(w->head->state));
        return;
    }
    w->head->base = index;
    x__feed(w,
            (struct consensus_event){ .kind = CONSENSUS_EV_COMPACTED, .compacted_index = index });
}

void x__state_open(struct x__work *w)
{
    if (w->head->state < w->head->base && w->head->next == w->head->base) {
        w->head->state = w->head->next;
        completions++;
    }
    next_drop(w);
    if (w->head->state < w->head->base || w->head->state > w->head->disk_last) {
        x__fault("O10: the state is of %llu, the log holds %llu to %llu", U(w->head->state),
                 U(w->head->base + 1), U(w->head->disk_last));
    }
}
