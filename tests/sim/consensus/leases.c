/* leases.c - a leader replaced at the first moment at which it can be (spec/consensus.md 2.7, I18).
 *
 * Chance hardly ever brings that about. Here one of three servers is cut off from the leader and
 * asks the third for votes all the time; then, at each moment between two heartbeats,
 *
 *   - the leader is cut off from the third as well, or heard by it no more,
 *   - the answers to the leader become late first, by this or that much,
 *   - the third crashes and is back at once, with what it promised forgotten,
 *   - the leader gives its office to the third, and is cut off after it has asked it to stand,
 *
 * with all clocks alike, or the leader's the slowest and the others' the fastest there may be, or
 * the reverse. Clients write where they can and read at the leader all the while: checks.c looks
 * for leases of leaders that were followed, and for reads that are too old.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "world.h"

enum { NODES = 3, MIN_MS = 500, MOMENTS = 4, CLOCKS = 3, LATES = 6, SLOWEST = 896, FASTEST = 1119 };
enum { CUT, MUTE, LATE, CRASH, TRANSFER, FALLS };

static uint64_t late_until; /* answers to the leader */
static uint32_t late_to;

static uint64_t one_ms(void *data, uint32_t node)
{
    (void)data;
    (void)node;
    return 1;
}

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    uint64_t now = ((const struct sim_world *)data)->now;

    return m->to == late_to && late_until > now ? late_until - now : 1;
}

static bool never_twice(void *data, const struct sim_message *m)
{
    (void)data;
    (void)m;
    return false;
}

/* Every few milliseconds: reads at who believes to lead, a write at who can commit. */
static void work(struct sim_world *w, uint64_t until, bool writes)
{
    static uint64_t content = 1;

    while (w->now < until) {
        for (uint32_t i = 0; i < NODES; i++) {
            struct sim_node *n = &w->nodes[i];

            if (!n->is_up || n->core->role != CONSENSUS_LEADER) {
                continue;
            }
            (void)sim_read(w, n);
            if (writes && n == sim_leader(w) && n->core->office.is_ready) {
                (void)sim_propose(w, n, 1, content++, 10);
            }
        }
        sim_run_until(w, w->now + 3);
    }
}

static void cut(struct sim_world *w, const struct sim_node *a, const struct sim_node *b,
                bool is_one_way)
{
    w->is_cut[a->place][b->place] = true;
    w->is_cut[b->place][a->place] |= !is_one_way;
}

static void fall(struct sim_world *w, unsigned kind, unsigned late, struct sim_node *leader,
                 struct sim_node *third)
{
    switch (kind) {
    case CUT: cut(w, leader, third, false); break;
    case MUTE: cut(w, leader, third, true); break;
    case LATE:
        late_to = leader->place;
        late_until = w->now + late * MIN_MS / LATES;
        sim_run_until(w, w->now + late * MIN_MS / LATES / 2);
        cut(w, leader, third, true);
        break;
    case CRASH:
        sim_node_crash(w, third, third->queue_count);
        sim_node_start(w, third);
        break;
    case TRANSFER:
        (void)sim_transfer(w, leader, &third->id);
        sim_run_until(w, w->now + late - 1);
        cut(w, leader, third, false);
        break;
    default: break;
    }
}

static bool is_replaced(struct sim_world *w, uint64_t term)
{
    const struct sim_node *now = sim_leader(w);

    return now != NULL && now->core->hard.term > term;
}

static struct sim_world *world_new(unsigned clocks, uint64_t seed)
{
    static const char *const names[NODES] = { "a", "b", "c" };
    struct sim_policy policy = {
        NULL, net_ms, never_twice, one_ms, one_ms, one_ms, NULL, NULL, NULL
    };
    struct consensus_options options;

    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.has_leases = true;
    struct sim_world *w = sim_world_new(&options, &policy, seed);

    w->policy.data = w;
    w->boots_quietly = true;
    for (uint32_t i = 0; i < NODES; i++) {
        (void)sim_node_add(w, names[i], 0);
    }
    sim_world_form(w);
    for (uint32_t i = 0; i < NODES; i++) {
        w->nodes[i].clock_rate = clocks == 0 ? 1000 : (i == 0) == (clocks == 1) ? SLOWEST : FASTEST;
        sim_node_start(w, &w->nodes[i]);
    }
    return w;
}

/* Does another server lead in the end? */
static bool run(unsigned clocks, unsigned kind, unsigned moment, unsigned late)
{
    struct sim_world *w = world_new(clocks, 1 + moment);
    struct sim_node *leader = &w->nodes[0];

    late_until = 0;
    sim_run_until(w, 400); /* a voter that has begun lately says nothing, for half a second */
    while (leader->core->role != CONSENSUS_LEADER) {
        sim_campaign(w, leader);
        sim_run_until(w, w->now + 50);
    }
    work(w, w->now + 100, true);
    sim_run_until(w, w->now + 10); /* all have the same log */
    cut(w, leader, &w->nodes[1], false);
    work(w, w->now + 4 * MIN_MS, false);
    sim_run_until(w, w->now + moment * 100 / MOMENTS);
    bool is_held = consensus__lease_holds(leader->core, sim_local(leader, w->now));
    uint64_t began = w->now;
    uint64_t term = leader->core->hard.term;

    MU_ASSERT(is_held);
    fall(w, kind, late, leader, &w->nodes[2]);
    while (w->now < began + 4 * MIN_MS && !is_replaced(w, term)) {
        work(w, w->now + 1, false);
    }
    bool is = is_replaced(w, term);

    work(w, w->now + 2 * MIN_MS, true);
    sim_world_free(w);
    return is;
}

static void on_abort(int signal_number)
{
    (void)signal_number;
    _exit(1);
}

int main(void)
{
    unsigned runs = 0;
    unsigned replaced = 0;

    (void)signal(SIGABRT, on_abort);
    for (unsigned i = 0; i < CLOCKS * FALLS * MOMENTS; i++) {
        unsigned kind = i / CLOCKS % FALLS;
        unsigned lates = kind == LATE || kind == TRANSFER ? LATES : 1;

        for (unsigned late = 1; late <= lates; late++) {
            replaced += run(i % CLOCKS, kind, i / CLOCKS / FALLS, late);
            runs++;
        }
    }
    (void)printf("%u falls of a leader with a lease, %u of them to another leader\n", runs,
                 replaced);
    return replaced * 2 < runs;
}
