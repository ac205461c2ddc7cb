/* calls.c - calls that come when nobody expects them, and moments in which nobody should be
 * disturbed; drawn from a stream of its own, so that a seed of before tells its old story with them
 * off.
 *
 *   ask     anybody is asked for anything, in whatever phase its node is: offices for nobody and
 * for itself, changes that cannot be, reads from inside an answer, writes where nobody leads and
 * many times over, words about snapshots and connections that nobody waits for young   servers end,
 * stop or stand still in the very moment in which they form a cluster or join one; one of them
 * expects too many plain   the owner has no callbacks but those it must have, its transport holds
 * nothing back halves  of a data directory the log is lost, or the state: the other half is refused
 */
#include <string.h>

#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "world.h"

#define SET_RIGHT_US (3 * SECOND) /* an operator takes so long to see what is wrong */

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_rand_below(&w->calls_rand, bound);
}

static struct server *any(struct world *w)
{
    return &w->servers[below(w, w->servers_count)];
}

/* -- what is asked ------------------------------------------------------------------------------
 */

static void on_refused(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct world *w = data;

    if (code == MU_OK || index != 0 || why == NULL || why[0] == '\0') {
        world_fail(w, "a change that cannot be is answered %s, %llu: %s", mu_code_text(code),
                   U(index), why != NULL ? why : "nothing");
    }
}

static void on_wish(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct world *w = data;

    (void)index;
    world_say(w, "an office is asked for: %s, %s", mu_code_text(code), why);
}

static void on_read(void *data, enum mu_code code, uint64_t index)
{
    struct server *s = data;

    if ((code == MU_OK) != (index > 0)) {
        world_fail(s->world, "%s: a read is answered %s, from index %llu", s->name,
                   mu_code_text(code), U(index));
    }
    if (!s->is_dying && below(s->world, 2) == 0) { /* from inside the answer */
        consensus__node_read(&s->node, on_read, s);
    }
}

static struct mu_id nobody(struct world *w)
{
    struct mu_id id = mu_id_drawn(&w->calls_rand);

    id.b[0] = 200;
    return id;
}

static void ask_office(struct world *w, struct server *s)
{
    struct mu_id to = below(w, 3) == 0   ? MU_ID_NONE
                      : below(w, 4) == 0 ? nobody(w)
                                         : any(w)->id; /* itself, too */

    consensus__node_transfer(&s->node, &to, on_wish, w);
}

/* Whoever is a member enters no more, and whoever is none cannot be made anything. */
static void ask_change(struct world *w, struct server *s)
{
    struct consensus_config now;
    struct consensus_change change = { .is_forced = below(w, 2) == 0 };

    consensus__node_config(&s->node, &now);
    change.kind = (enum consensus_change_kind)below(w, CONSENSUS_REPLACE + 1);
    change.server = change.by = nobody(w);
    if (change.kind == CONSENSUS_ADD) {
        if (now.servers_count == 0 || world_has(w, FAULT_churn)) {
            return; /* who is told of as a member may be one no more */
        }
        change.server = now.servers[below(w, now.servers_count)].id;
        change.disk = below(w, 2) == 0 ? nobody(w) : now.servers[0].disk;
    } else if (change.kind == CONSENSUS_PROMOTE && !world_has(w, FAULT_churn)) {
        change.server = any(w)->id; /* all vote */
    } else if (change.kind == CONSENSUS_REMOVE && w->servers_count == 1) {
        change.server = s->id;
    }
    consensus__node_change(&s->node, &change, on_refused, w);
}

/* No order has led to any of it. */
static void ask_snapshot(struct world *w, struct server *s)
{
    static const enum consensus_snap_event what[] = {
        CONSENSUS_SNAP_EXPORTED, CONSENSUS_SNAP_EXPORT_FAILED, CONSENSUS_SNAP_OPENED,
        CONSENSUS_SNAP_STORED,   CONSENSUS_SNAP_IMPORTED,      CONSENSUS_SNAP_LOST,
    };
    struct consensus_snap snap = { .index = 1, .term = 1, .bytes = 1 + below(w, 3) };
    size_t at = below(w, MU_LEN(what));

    if (s->node.is_leader && at < 2) {
        return; /* one may be waited for */
    }
    consensus__node_snapshot(&s->node, what[at], &snap, 0,
                             at == 1 || at == 5 ? CONSENSUS_SNAP_IO : CONSENSUS_SNAP_OK);
    consensus__node_chunk(&s->node, &snap, 0, MU_SPAN_LIT("."));
}

static void ask_link(struct world *w, struct server *s)
{
    struct mu_id peer = below(w, 4) == 0 ? nobody(w) : any(w)->id;

    const struct server *of = server_of(w, &peer);
    bool is_up = of != NULL && s->links[of->place];

    if (of == s) {
        return;
    }
    consensus__node_peer(&s->node, server_ms(s), &peer, (enum consensus_link)below(w, 4));
    consensus__node_peer(&s->node, server_ms(s), &peer,
                         is_up ? CONSENSUS_LINK_UP : CONSENSUS_LINK_DOWN);
}

/* What everybody may see at any time. */
static void ask_look(struct world *w, struct server *s)
{
    struct consensus_config now;
    struct server *of = any(w);

    consensus__node_config(&s->node, &now);
    const struct consensus_server *as = consensus_config_find(&now, &of->id);

    if (consensus__node_is_voter(&s->node, &of->id) != (as != NULL && consensus_server_votes(as))) {
        world_fail(w, "%s: says two things of whether %s votes", s->name, of->name);
    }
    if (consensus__node_pause_ms(&s->node) == 0 || consensus__node_wake_at(&s->node) == 0) {
        world_fail(w, "%s: is to be woken in the past", s->name);
    }
}

/* Segments that are none; a node that does not run has nothing to say of the others. */
static void ask_store(struct world *w, struct server *s)
{
    consensus__node_shed(&s->node, UINT32_MAX);
    if (s->node.phase != CONSENSUS_NODE_RUNS && s->node.phase != CONSENSUS_NODE_FRESH) {
        consensus__node_survey(&s->node);
        consensus__node_relieve(&s->node);
    }
    (void)w;
}

/* A view in which somebody is dead, and which lacks others: the next one has them. */
static void ask_sight(struct world *w, struct server *s)
{
    const struct server *of = any(w);
    struct consensus_candidate list[] = {
        { .server = of->id, .disk = of->node.identity.disk, .expect = calls_expect(of) },
        { .server = of->id, .disk = of->node.identity.disk, .expect = calls_expect(of) },
    };

    list[1].is_alive = true;

    if (!mu_id_is_none(&list[0].disk)) {
        consensus__node_candidates(&s->node, list, 1 + below(w, MU_LEN(list)));
    }
}

static void act_ask(struct world *w)
{
    static void (*const asks[])(struct world * w, struct server * s) = {
        ask_office, ask_change, ask_snapshot, ask_link, ask_look, ask_store, ask_sight,
    };
    struct server *s = any(w);

    for (uint64_t i = 0; i < w->servers_count && below(w, 2) == 0; i++) { /* rather one who ends */
        s = w->servers[i].has_begun && w->servers[i].node.phase != CONSENSUS_NODE_RUNS
                ? &w->servers[i]
                : s;
    }
    if (!s->has_begun || s->is_dying || w->now < s->paused_until ||
        s->node.phase == CONSENSUS_NODE_STOPPED) {
        return;
    }
    w->bad[FAULT_ask]++;
    asks[below(w, MU_LEN(asks))](w, s);
    if (below(w, 4) == 0) {
        consensus__node_read(&s->node, on_read, s);
    }
    server_turn_ends(s);
}

/* Of kinds that are seldom sent. */
bool calls_strange(struct world *w, struct mu_span frame)
{
    uint8_t kind = frame.data[0];
    bool is_common = kind == CONSENSUS_APPEND_REQ || kind == CONSENSUS_APPEND_RES ||
                     kind == CONSENSUS_HEARTBEAT || kind == CONSENSUS_HEARTBEAT_RES;

    return world_has(w, FAULT_ask) && event_is_set(&w->calls) && !is_common && below(w, 8) == 0;
}

uint64_t calls_copies(struct world *w)
{
    if (!world_has(w, FAULT_ask) || !event_is_set(&w->calls) || below(w, 8) != 0) {
        return 0;
    }
    return below(w, 64) == 0 ? 1200 : 1 + below(w, 3);
}

bool calls_anywhere(struct world *w)
{
    return world_has(w, FAULT_ask) && event_is_set(&w->calls) && below(w, 8) == 0;
}

/* -- the young ---------------------------------------------------------------------------------
 */

static void on_young(void *data)
{
    struct server *s = data;
    struct world *w = s->world;
    uint64_t us = below(w, below(w, 2) == 0 ? 7 * SECOND : SECOND);

    switch (below(w, 4)) {
    case 0: server_crash(s, false, us); break;
    case 1: server_crash(s, true, us); break;
    case 2: server_stop(s, us); break;
    default: server_pause(s, us); break;
    }
}

/* After each turn: is it forming or joining a cluster right now? */
void calls_turn(struct server *s)
{
    struct world *w = s->world;
    bool is_at_it = s->node.adopting.count > 0 || s->node.is_joining ||
                    (s->node.phase == CONSENSUS_NODE_FRESH && s->node.waits[0] == 'p');

    if (is_at_it && server_is_up(s) && world_has(w, FAULT_young) && event_is_set(&w->calls) &&
        !event_is_set(&s->midst) && below(w, 8) == 0) {
        w->bad[FAULT_young]++;
        uint64_t away = below(w, 3);

        event_set(w, &s->midst, w->now + away * below(w, 400), on_young, s);
    }
}

unsigned calls_expect(const struct server *s)
{
    const struct world *w = s->world;

    return s->joins ? 0 : (unsigned)w->servers_count + (s == w->misled);
}

static void set_right(struct world *w)
{
    struct server *s = w->misled;

    w->misled = NULL;
    if (s != NULL) {
        server_crash(s, false, MS);
    }
}

/* -- halves -------------------------------------------------------------------------------------
 */

struct names {
    struct server *server;
    enum disk_dir dir;
};

static enum mu_code name_remove(void *data, const char *name, struct mu_err *err)
{
    struct names *n = data;

    return disk_remove(n->server->disk, n->dir, name, err);
}

static void act_halves(struct world *w)
{
    struct server *s = any(w);
    struct names n = { s, below(w, 2) == 0 ? DISK_LOG : DISK_STATE };
    struct mu_err err = MU_ERR_NONE;

    if (!world_is_formed(w) || !torture_can_spare(w, s) || !server_is_whole(s) || s->is_refused) {
        return;
    }
    server_crash(s, false, below(w, SECOND));
    s->is_hurt = s->is_torn = true;
    w->bad[FAULT_halves]++;
    disk_revive(s->disk, false);
    s->is_dying = true; /* nobody sleeps in these requests */
    MU_ASSERT(disk_list(s->disk, n.dir, name_remove, &n, &err) == MU_OK);
    MU_ASSERT(disk_sync_dir(s->disk, n.dir, &err) == MU_OK);
    s->is_dying = false;
    disk_die(s->disk);
    world_say(w, "%s: its %s is lost", s->name, n.dir == DISK_LOG ? "log" : "state");
}

/* -- the run ------------------------------------------------------------------------------------
 */

struct consensus_callbacks calls_callbacks(const struct world *w)
{
    struct consensus_callbacks calls = server_callbacks;

    if (world_has(w, FAULT_plain)) {
        calls.is_relief = NULL;
        calls.state_differs = NULL;
        calls.state_proven = NULL;
    }
    return calls;
}

static void on_calls(void *data)
{
    struct world *w = data;

    if (w->now >= SET_RIGHT_US) {
        set_right(w);
    }
    if (world_has(w, FAULT_ask)) {
        act_ask(w);
    }
    if (world_has(w, FAULT_halves) && w->now > 2 * SECOND && below(w, 40) == 0) {
        act_halves(w);
    }
    event_set(w, &w->calls, w->now + below(w, 100 * MS), on_calls, w);
}

/* Where states are not asked for, none may differ. */
void calls_begin(struct world *w)
{
    for (size_t i = FAULT_ask; i < FAULT_versions; i++) {
        if (below(w, i == FAULT_plain || i == FAULT_halves ? 8 : 2) != 0) {
            w->options.off |= UINT64_C(1) << i;
        }
    }
    if (world_has(w, FAULT_churn)) { /* needs all others intact */
        w->options.off |= UINT64_C(1) << FAULT_halves;
    }
    if (world_has(w, FAULT_plain)) {
        w->options.off |= UINT64_C(1) << FAULT_differ;
        w->bad[FAULT_plain]++;
    }
    event_set(w, &w->calls, w->now, on_calls, w);
}

/* Also before they are opened for the first time. */
void calls_servers(struct world *w)
{
    if (world_has(w, FAULT_young) && w->servers_count > 1 && below(w, 3) == 0) {
        w->misled = any(w);
    }
}

void calls_end(struct world *w)
{
    event_cancel(w, &w->calls);
    set_right(w);
}
