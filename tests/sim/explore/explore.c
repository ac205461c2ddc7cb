/* explore.c - breadth first over everything that can happen within small budgets.
 *
 *   explore --preset base                      what the test run does
 *   explore --nodes 3 --elections 3 --proposals 2 --crashes 1 --depth 40
 *   explore --list                             the presets
 *
 * A state that was seen is known by 128 bits of its hash. Servers that nothing has happened to are
 * alike: the first of them acts for all (symmetry). Answers to a question that is over are taken
 * out of the network at once. A broken invariant prints the shortest way to it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "state.h"

static const struct bounds presets[] = {
    // clang-format off
    /* most: elections proposals crashes heartbeats deposals reads repeats changes transfers [pauses [compactions]]; then async, prevote, flight */
    /* in the test run */
    { "base",    "two leaders and an entry, three servers",       3, { 2, 1, 0, 0, 0, 0, 0, 0, 0 }, false, false, 6, 0, 0, "", false },
    { "terms",   "three leaders",                                 3, { 3, 0, 0, 0, 0, 0, 0, 0, 0 }, false, false, 4, 0, 0, "", false },
    { "crash",   "a leader, an entry, crashes",                   3, { 1, 1, 2, 0, 0, 0, 0, 0, 0 }, false, false, 4, 0, 0, "", false },
    { "async",   "writes that are durable later, and crashes",    3, { 2, 0, 0, 0, 0, 0, 0, 0, 0 }, true,  false, 4, 0, 0, "", false },
    { "lost",    "crashes that lose what was not durable",        2, { 2, 1, 1, 0, 0, 0, 0, 0, 0 }, true,  false, 4, 0, 0, "", false },
    { "prevote", "pre-votes in full",                             3, { 2, 0, 0, 0, 0, 0, 0, 0, 0 }, false, true,  5, 0, 0, "", false },
    { "members", "a voter goes, a learner becomes one",           4, { 1, 0, 0, 0, 0, 0, 0, 1, 0 }, false, false, 4, 1, 0, "pdr", true },
    { "joint",   "a voter is replaced in one step",               4, { 1, 0, 0, 0, 0, 0, 0, 1, 0 }, false, false, 3, 1, 0, "j", true },
    { "given",   "leadership given away",                         3, { 1, 0, 0, 0, 0, 0, 0, 0, 1 }, false, false, 5, 0, 0, "", true },
    { "pause",   "a candidate or a leader that stands still",     3, { 2, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, false, false, 4, 0, 0, "", false },
    { "install", "logs that go, and states in their place",       3, { 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2 }, false, false, 4, 0, 0, "", true },
    { "midst",   "a crash while one is installed",                3, { 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1 }, true,  false, 3, 0, 0, "", true },
    /* by tests/sim/run --explore */
    { "states",  "compacted logs, two leaders, a crash",          3, { 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1 }, false, false, 5, 0, 0, "", true },
    { "moved",   "a member goes, and a state tells of it",        4, { 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1 }, false, false, 4, 1, 0, "dr", true },
    { "pauses",  "pauses around a read and an entry",             3, { 2, 1, 0, 0, 0, 1, 0, 0, 0, 1 }, false, false, 5, 0, 0, "", false },
    { "reads",   "reads, their rounds, a leader that is deposed", 3, { 2, 0, 0, 1, 0, 1, 0, 0, 0 }, false, false, 6, 0, 0, "", false },
    { "repeats", "a message that arrives twice",                  3, { 2, 1, 0, 0, 0, 0, 1, 0, 0 }, false, false, 6, 0, 0, "", false },
    { "entries", "two leaders, two entries",                      3, { 2, 2, 0, 0, 0, 0, 0, 0, 0 }, false, false, 6, 0, 0, "", false },
    { "crashes", "two leaders and a crash",                       3, { 2, 1, 1, 0, 0, 0, 0, 0, 0 }, false, false, 6, 0, 0, "", false },
    { "delayed", "two leaders, an entry, writes durable later",   3, { 2, 1, 0, 0, 0, 0, 0, 0, 0 }, true,  false, 6, 0, 0, "", false },
    { "five",    "five servers, two leaders",                     5, { 2, 0, 0, 0, 0, 0, 0, 0, 0 }, false, false, 6, 0, 0, "", false },
    { "ongaro",  "two leaders change one old configuration",      4, { 3, 0, 0, 0, 0, 0, 0, 2, 0 }, false, false, 5, 0, 0, "d", true },
    { "removal", "servers are removed, the leader too",           4, { 2, 1, 0, 0, 0, 0, 0, 2, 0 }, false, false, 5, 0, 0, "r", true },
    { "adding",  "a server comes in and becomes a voter",         4, { 2, 0, 0, 0, 0, 0, 0, 2, 0 }, false, false, 5, 0, 1, "ap", true },
    { "replace", "a joint step through two elections",            4, { 2, 0, 0, 0, 0, 0, 0, 1, 0 }, false, false, 6, 1, 0, "j", true },
    { "office",  "two transfers, two elections",                  3, { 2, 1, 0, 0, 0, 0, 0, 0, 2 }, false, false, 6, 0, 0, "", true },
}; // clang-format on

struct seen { /* how a state was first reached */
    uint32_t from, action;
};

static struct {
    struct bounds bounds;
    uint64_t states_max, seconds_max;
    struct x_pool known;
    struct seen *seen;
    size_t seen_room;
    struct state *level, *next;
    uint32_t *level_ids, *next_ids;
    size_t level_count, next_count, level_room, next_room;
    uint64_t transitions, cuts;
    uint32_t depth;
    struct state first;
    /* what is being looked at, for a failure inside the core */
    uint32_t at, action;
    bool is_silent, shows_way, has_losses;
} g;

/* -- telling --------------------------------------------------------------------------------------
 */

static bool apply(struct state *s, uint32_t action, char *why, size_t why_bytes);

/* From the beginning to state `id`, then `action`. */
static void way_print(uint32_t id, uint32_t action)
{
    uint32_t way[256];
    size_t count = 0;
    struct state s = g.first;
    char why[200];

    way[count++] = action;
    for (uint32_t i = id; i != 0 && count < MU_LEN(way); i = g.seen[i].from) {
        way[count++] = g.seen[i].action;
    }
    for (size_t i = count; i > 0; i--) {
        uint32_t a = way[i - 1];
        uint32_t place = X_ACTION_PLACE(a);

        x_action_print(a);
        (void)fflush(stdout);
        if (X_ACTION_KIND(a) != X_LOSE) {
            x_tell(s.node[place], place, X_ACTION_KIND(a),
                   X_ACTION_KIND(a) == X_DELIVER ? X_ACTION_ARG(a) & 0x7fffff : X_ACTION_ARG(a));
        }
        if (i > 1) {
            (void)apply(&s, a, why, sizeof why);
        }
    }
}

static _Noreturn void fail(const char *why)
{
    if (!g.is_silent) {
        (void)printf("%s: %s\n", g.bounds.name, why);
        way_print(g.at, g.action);
        (void)fflush(stdout);
    }
    _exit(1);
}

static void on_abort(int signal_number)
{
    static bool is_failing;

    (void)signal_number;
    if (is_failing) {
        _exit(1); /* the last step of the way, again */
    }
    is_failing = true;
    fail("an assertion of the core");
}

/* -- one step of the whole
 * ----------------------------------------------------------------------------- */

/* Nothing comes of it any more. An answer to a question that is over never counts again: terms only
 * grow, and nobody stands or leads twice in one. A request of an older term would be refused, and
 * the refusal teach its sender nothing; that it might later, when its receiver has gone on, is left
 * out, as if it were lost then. */
static bool is_over(const struct state *s, const struct x_message *m)
{
    const struct x_face *to = x_face_of(s->node[m->to]);
    const struct x_face *from = x_face_of(s->node[m->from]);

    switch (m->msg.kind) {
    case CONSENSUS_VOTE_RES:
        return m->msg.term < to->term ||
               (m->msg.term == to->term &&
                (to->role != CONSENSUS_CANDIDATE || !m->msg.answer.is_granted));
    case CONSENSUS_SNAP_RES:
    case CONSENSUS_APPEND_RES:
    case CONSENSUS_HEARTBEAT_RES:
        return m->msg.term < to->term || (m->msg.term == to->term && to->role != CONSENSUS_LEADER);
    case CONSENSUS_VOTE_REQ:
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_APPEND_REQ:
    case CONSENSUS_HEARTBEAT: return m->msg.term < to->term && from->term >= to->term;
    case CONSENSUS_TIMEOUT_NOW: return m->msg.term < to->term;
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_MEMBER_REQ:
    case CONSENSUS_MEMBER_RES:
    case CONSENSUS_INVITE:
    case CONSENSUS_SNAP_CHUNK: break;
    }
    return false;
}

static void flight_put(struct state *s, uint32_t message)
{
    uint32_t i = s->flight_count;

    MU_ASSERT(s->flight_count < X_FLIGHT_MAX); /* far above every bound */
    for (; i > 0 && s->flight[i - 1] > message; i--) {
        s->flight[i] = s->flight[i - 1];
    }
    s->flight[i] = message;
    s->flight_count++;
}

static void flight_take(struct state *s, uint32_t message)
{
    uint32_t i = 0;

    while (s->flight[i] != message) {
        i++;
    }
    memmove(&s->flight[i], &s->flight[i + 1], (s->flight_count - i - 1U) * sizeof s->flight[0]);
    s->flight[--s->flight_count] = 0;
}

static void flight_clean(struct state *s)
{
    for (uint32_t i = s->flight_count; i > 0; i--) {
        if (is_over(s, x_message_at(s->flight[i - 1]))) {
            flight_take(s, s->flight[i - 1]);
        }
    }
}

static const enum budget budget_of[] = {
    [X_DELIVER] = REPEATS,    [X_TIMEOUT] = ELECTIONS, [X_HEARTBEAT] = HEARTBEATS,
    [X_DEPOSE] = DEPOSALS,    [X_PROPOSE] = PROPOSALS, [X_READ] = READS,
    [X_PERSIST] = BUDGETS,    [X_RESTART] = CRASHES,   [X_CHANGE] = CHANGES,
    [X_TRANSFER] = TRANSFERS, [X_PAUSE] = PAUSES,      [X_COMPACT] = COMPACTIONS,
};

/* False: nothing comes of it. A broken invariant is in `why`. */
static bool apply(struct state *s, uint32_t action, char *why, size_t why_bytes)
{
    enum x_kind kind = X_ACTION_KIND(action);
    uint32_t place = X_ACTION_PLACE(action);
    uint32_t arg = X_ACTION_ARG(action);
    bool is_repeated = kind == X_DELIVER && (arg & 0x800000);
    const char *broken = NULL;

    why[0] = '\0';
    if (kind == X_LOSE) {
        flight_take(s, arg);
        s->touched |= (uint8_t)(1U << place);
        return true;
    }
    arg = kind == X_DELIVER ? arg & 0x7fffff : arg;
    const struct x_result r = *x_step(s->node[place], place, kind, arg);

    if (r.node == s->node[place] && r.sends_count == 0 && (kind != X_DELIVER || is_repeated)) {
        return false;
    }
    s->node[place] = r.node;
    s->touched |= (uint8_t)(1U << place);
    if (kind == X_DELIVER && !is_repeated) {
        flight_take(s, arg);
    } else if (budget_of[kind] != BUDGETS) {
        s->used[budget_of[kind]]++;
    }
    if (kind == X_CHANGE || kind == X_TRANSFER) {
        s->touched |= (uint8_t)(1U << (arg & 7U)); /* it is no longer like the others */
    }
    if (kind == X_READ) {
        s->floor[arg - 1] = s->acknowledged;
    }
    broken = x_invariants(s, g.bounds.nodes, place, &r);
    for (uint32_t i = 0; i < r.sends_count; i++) {
        flight_put(s, x_send_at(r.sends_first + i));
    }
    flight_clean(s);
    if (broken != NULL) {
        (void)snprintf(why, why_bytes, "%s", broken);
    }
    return true;
}

static void next_put(const struct state *s, uint32_t id)
{
    if (g.next_count == g.next_room) {
        g.next_room = g.next_room * 2 + 1024;
        g.next = mu_grow(g.next, g.next_room * sizeof *g.next);
        g.next_ids = mu_grow(g.next_ids, g.next_room * sizeof *g.next_ids);
    }
    g.next[g.next_count] = *s;
    g.next_ids[g.next_count++] = id;
}

static void known_put(const struct state *s, uint32_t from, uint32_t action)
{
    uint32_t id = 0;

    if (!x_pool_put(&g.known, x_hash_bytes(s, sizeof *s), &id)) {
        return;
    }
    if (id >= g.seen_room) {
        g.seen_room = g.seen_room * 2 + 1024;
        g.seen = mu_grow(g.seen, g.seen_room * sizeof *g.seen);
    }
    g.seen[id] = (struct seen){ from, action };
    next_put(s, id);
}

static void go(const struct state *from, uint32_t id, enum x_kind kind, uint32_t place,
               uint32_t arg)
{
    struct state s = *from;
    char why[200];

    g.at = id;
    g.action = X_ACTION(kind, place, arg);
    g.transitions++;
    if (!apply(&s, g.action, why, sizeof why)) {
        return;
    }
    if (why[0] != '\0') {
        fail(why);
    }
    if (s.flight_count > g.bounds.flight) {
        g.cuts++;
        return;
    }
    known_put(&s, id, g.action);
}

/* -- everything that can happen next
 * --------------------------------------------------------------------- */

static uint32_t outside_first(void)
{
    return g.bounds.nodes - g.bounds.outside;
}

static uint32_t learners_first(void) /* behind the voters */
{
    return outside_first() - g.bounds.learners;
}

static bool is_left(const struct state *s, enum budget b)
{
    return s->used[b] < g.bounds.most[b];
}

static void deliveries(const struct state *s, uint32_t id, uint32_t place)
{
    for (uint32_t i = 0; i < s->flight_count; i++) {
        if (x_message_at(s->flight[i])->to != place ||
            (i > 0 && s->flight[i] == s->flight[i - 1])) {
            continue;
        }
        go(s, id, X_DELIVER, place, s->flight[i]);
        if (g.has_losses) { /* else a lost message is one that stays under way */
            go(s, id, X_LOSE, place, s->flight[i]);
        }
        if (is_left(s, REPEATS)) {
            go(s, id, X_DELIVER, place, s->flight[i] | 0x800000);
        }
    }
}

/* Like others of its role, and not the first of them? */
static bool is_like_another(const struct state *s, uint32_t place)
{
    uint32_t of = place < learners_first()  ? 0
                  : place < outside_first() ? learners_first()
                                            : outside_first();

    for (uint32_t i = of; i < place && !((s->touched >> place) & 1U); i++) {
        if (!((s->touched >> i) & 1U)) {
            return true;
        }
    }
    return false;
}

static void changes(const struct state *s, uint32_t id, uint32_t place)
{
    static const struct {
        char letter;
        enum consensus_change_kind kind;
    } kinds[] = {
        { 'a', CONSENSUS_ADD },    { 'p', CONSENSUS_PROMOTE }, { 'd', CONSENSUS_DEMOTE },
        { 'r', CONSENSUS_REMOVE }, { 'j', CONSENSUS_REPLACE },
    };

    for (size_t i = 0; i < MU_LEN(kinds); i++) {
        for (uint32_t to = 0;
             strchr(g.bounds.changes, kinds[i].letter) != NULL && to < g.bounds.nodes; to++) {
            if (!is_like_another(s, to)) {
                go(s, id, X_CHANGE, place, (uint32_t)kinds[i].kind << 3 | to);
            }
        }
    }
}

static void deeds(const struct state *s, uint32_t id, uint32_t place)
{
    const struct x_face *f = x_face_of(s->node[place]);

    if (f->role == CONSENSUS_LEADER) {
        if (is_left(s, PROPOSALS)) {
            go(s, id, X_PROPOSE, place, s->used[PROPOSALS] + 1U);
        }
        if (is_left(s, HEARTBEATS)) {
            go(s, id, X_HEARTBEAT, place, 0);
        }
        if (is_left(s, DEPOSALS)) {
            go(s, id, X_DEPOSE, place, 0);
        }
        if (is_left(s, CHANGES)) {
            changes(s, id, place);
        }
        for (uint32_t to = 0; is_left(s, TRANSFERS) && to < g.bounds.nodes; to++) {
            if (to != place && !is_like_another(s, to)) {
                go(s, id, X_TRANSFER, place, to);
            }
        }
        if (is_left(s, READS)) {
            go(s, id, X_READ, place, s->used[READS] + 1U);
        }
    } else if (is_left(s, ELECTIONS) && f->role != CONSENSUS_OBSERVER) {
        go(s, id, X_TIMEOUT, place, 0);
    }
    if (is_left(s, COMPACTIONS)) {
        go(s, id, X_COMPACT, place, 0);
    }
    if (is_left(s, PAUSES)) {
        go(s, id, X_PAUSE, place, 0);
    }
    for (uint32_t kept = 0; is_left(s, CRASHES) && kept <= f->queue; kept++) {
        go(s, id, X_RESTART, place, kept);
    }
}

static void expand(const struct state *s, uint32_t id)
{
    for (uint32_t place = 0; place < g.bounds.nodes; place++) {
        const struct x_face *f = x_face_of(s->node[place]);

        if (is_like_another(s, place) || f->is_dead) {
            continue;
        }
        if (f->queue > 0) {
            go(s, id, X_PERSIST, place, 0);
        }
        if (f->queue + 1U < X_QUEUE_MAX - 1U) { /* a step makes at most one write, and its echo */
            deliveries(s, id, place);
            deeds(s, id, place);
        }
    }
}

/* -- the search
 * ------------------------------------------------------------------------------------------- */

static uint64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void level_turn(void)
{
    struct state *states = g.level;
    uint32_t *ids = g.level_ids;
    size_t room = g.level_room;

    g.level = g.next;
    g.level_ids = g.next_ids;
    g.level_room = g.next_room;
    g.level_count = g.next_count;
    g.next = states;
    g.next_ids = ids;
    g.next_room = room;
    g.next_count = 0;
}

/* Bounds in which logs go and nobody ever needs a state show nothing. */
static size_t installs_print(void)
{
    size_t switched = 0;
    size_t completed = 0;

    x_installs(&switched, &completed);
    (void)printf("  states taken in place of logs: in %zu steps, %zu of them when it started\n",
                 switched + completed, completed);
    return switched + completed;
}

static void sum_print(uint64_t ms, bool is_complete)
{
    size_t nodes = 0;
    size_t messages = 0;
    size_t steps = 0;

    x_counts(&nodes, &messages, &steps);
    (void)printf("%s: %zu states, %llu transitions, depth %u, %zu server states, %zu messages, "
                 "%zu steps of the core, %llu ms, %s\n",
                 g.bounds.name, g.known.count, U(g.transitions), g.depth, nodes, messages, steps,
                 U(ms), is_complete ? "complete" : "not complete");
    if (g.cuts > 0) {
        (void)printf("  not followed: %llu times more than %u messages under way\n", U(g.cuts),
                     g.bounds.flight);
    }
}

/* The first server is elected, everything arrives in the order it was sent, and nothing of it
 * counts. */
static void warm_writes(struct state *s)
{
    char why[200];

    for (uint32_t i = 0; i < g.bounds.nodes; i++) {
        while (x_face_of(s->node[i])->queue > 0) {
            (void)apply(s, X_ACTION(X_PERSIST, i, 0), why, sizeof why);
        }
    }
}

static void warm_up(struct state *s)
{
    char why[200];

    MU_ASSERT(!g.bounds.has_prevote);
    (void)apply(s, X_ACTION(X_TIMEOUT, 0, 0), why, sizeof why);
    warm_writes(s);
    while (s->flight_count > 0) {
        uint32_t oldest = s->flight[0]; /* the lowest number: made first */

        (void)apply(s, X_ACTION(X_DELIVER, x_message_at(oldest)->to, oldest), why, sizeof why);
        MU_ASSERT(why[0] == '\0');
        warm_writes(s);
    }
    MU_ASSERT(x_face_of(s->node[0])->role == CONSENSUS_LEADER);
    memset(s->used, 0, sizeof s->used);
    s->touched = 1;
}

static bool search(void)
{
    uint64_t began = wall_ms();
    struct x_rules rules = { g.bounds.nodes, learners_first(), g.bounds.learners, g.bounds.is_async,
                             g.bounds.has_prevote, g.bounds.most[COMPACTIONS] > 0 };

    x_begin(&rules);
    for (uint32_t i = 0; i < g.bounds.nodes; i++) {
        g.first.node[i] = x_node_first(i);
    }
    if (g.bounds.is_warm) {
        warm_up(&g.first);
    }
    known_put(&g.first, 0, 0);
    while (g.next_count > 0) {
        level_turn();
        for (size_t i = 0; i < g.level_count; i++) {
            if (g.known.count > g.states_max ||
                (i % 1024 == 0 && wall_ms() - began > g.seconds_max * 1000)) {
                sum_print(wall_ms() - began, false);
                if (g.shows_way) { /* what it is lost in */
                    way_print(g.at, g.action);
                }
                return false;
            }
            expand(&g.level[i], g.level_ids[i]);
        }
        g.depth += g.next_count > 0;
    }
    sum_print(wall_ms() - began, true);
    return g.bounds.most[COMPACTIONS] == 0 || installs_print() > 0;
}

/* -- words
 * ---------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum budget budget;
} words[] = {
    { "--elections", ELECTIONS },   { "--proposals", PROPOSALS }, { "--crashes", CRASHES },
    { "--heartbeats", HEARTBEATS }, { "--deposals", DEPOSALS },   { "--reads", READS },
    { "--repeats", REPEATS },       { "--changes", CHANGES },     { "--transfers", TRANSFERS },
    { "--pauses", PAUSES },         { "--compactions", COMPACTIONS },
};

static bool preset_take(const char *name)
{
    for (size_t i = 0; i < MU_LEN(presets); i++) {
        if (strcmp(presets[i].name, name) == 0) {
            g.bounds = presets[i];
            return true;
        }
    }
    return false;
}

static bool word_take(const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);

    if (strcmp(name, "--preset") == 0) {
        return preset_take(value);
    }
    if (strcmp(name, "--nodes") == 0) {
        g.bounds.nodes = (uint32_t)number;
        return number >= 1 && number <= X_NODES_MAX;
    }
    if (strcmp(name, "--async") == 0) {
        g.bounds.is_async = number > 0;
        return true;
    }
    if (strcmp(name, "--prevote") == 0) {
        g.bounds.has_prevote = number > 0;
        return true;
    }
    if (strcmp(name, "--flight") == 0) {
        g.bounds.flight = (uint32_t)number;
        return number >= 1 && number <= X_FLIGHT_MAX / 2;
    }
    if (strcmp(name, "--states") == 0) {
        g.states_max = number;
        return true;
    }
    if (strcmp(name, "--losses") == 0) {
        g.has_losses = number > 0;
        return true;
    }
    if (strcmp(name, "--way") == 0) {
        g.shows_way = number > 0;
        return true;
    }
    if (strcmp(name, "--seconds") == 0) {
        g.seconds_max = number;
        return true;
    }
    for (size_t i = 0; i < MU_LEN(words); i++) {
        if (strcmp(words[i].name, name) == 0) {
            g.bounds.most[words[i].budget] = (uint8_t)number;
            return number < 8;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    (void)signal(SIGABRT, on_abort);
    g.bounds = presets[0];
    g.states_max = 50000000;
    g.seconds_max = 1000000;
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--list") == 0) {
            for (size_t j = 0; j < MU_LEN(presets); j++) {
                (void)printf("%-10s %s\n", presets[j].name, presets[j].why);
            }
            return 0;
        }
        if (i + 1 == argc || !word_take(argv[i], argv[i + 1])) {
            (void)fprintf(stderr, "%s: see the top of explore.c\n", argv[i]);
            return 2;
        }
    }
    return search() ? EXIT_SUCCESS : 3;
}
