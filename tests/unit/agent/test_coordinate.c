/* How soon the catalog hears that a node has moved, and how far off it is meanwhile. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coordinate.h"
#include "vivaldi.h"

/* -- the rule -----------------------------------------------------------------------------------
 */

static struct coordinate at(double x, double height, double error)
{
    struct coordinate c = COORDINATE_ORIGIN;

    c.vec[3] = x;
    c.height += height;
    c.error = error;
    return c;
}

static bool moves(double by, double height, double error)
{
    struct coordinate_move m = { at(0, 0, 0.5), at(by, height, 0.5 + error) };

    return coordinate_has_moved(&m);
}

static void a_node_that_jitters_has_not_moved(void **state)
{
    (void)state;
    assert_false(moves(0, 0, 0));
    assert_false(moves(0.0002, 0, 0));
    assert_false(moves(0.0001, 0.0001, -0.09));
    assert_true(moves(0.0003, 0, 0));
    assert_true(moves(0.0001, 0.0002, 0));
    assert_true(moves(0, 0, -0.11));
}

struct said {
    double at_s, error;
};

/* Two nodes: the other stays where it is, at 0. */
static uint64_t wait_ms(struct said was, struct said now)
{
    struct coordinate_move two[] = { { at(0, 0, 0.1), at(0, 0, 0.1) },
                                     { at(was.at_s, 0, was.error), at(now.at_s, 0, now.error) } };

    return coordinate_wait_ms(two, MU_LEN(two));
}

static void what_waits_is_what_distances_hardly_show(void **state)
{
    static const struct {
        const char *why;
        struct said was, now;
        uint64_t least_ms, most_ms;
    } cases[] = {
        // clang-format off
        { "within doubt",                          { 0.050,  0.1 }, { 0.060,  0.1 }, 900000, 900000 },
        { "as much, on a short link",              { 0.005,  0.1 }, { 0.006,  0.1 }, 900000, 900000 },
        { "next to each other all is jitter",      { 0.0001, 0.5 }, { 0.0004, 0.5 }, 900000, 900000 },
        { "a third, for sure",                     { 0.050,  0.1 }, { 0.075,  0.1 }, 350000, 450000 },
        { "twice as far",                          { 0.050,  0.1 }, { 0.100,  0.1 }, 110000, 120000 },
        { "half as far",                           { 0.100,  0.1 }, { 0.050,  0.1 }, 110000, 120000 },
        { "elsewhere, and not settled there",      { 0.050,  0.1 }, { 0.100,  0.6 }, 900000, 900000 },
        { "told before it had measured anything",  { 0.0,    1.5 }, { 0.050,  0.1 }, 50,     100    },
        { "told when it had measured little",      { 0.035,  1.2 }, { 0.050,  0.2 }, 4000,   8000   },
        { "as far off, but not by doubt",          { 0.035,  0.2 }, { 0.050,  0.2 }, 500000, 600000 },
        { "and not sure of it yet",                { 0.0,    1.5 }, { 0.050,  1.2 }, 750000, 900000 },
        { "surer of where it was",                 { 0.050,  1.2 }, { 0.050,  0.1 }, 900000, 900000 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        uint64_t ms = wait_ms(cases[i].was, cases[i].now);

        if (ms < cases[i].least_ms || ms > cases[i].most_ms) {
            fail_msg("%s: %llu ms", cases[i].why, (unsigned long long)ms);
        }
    }
}

static void all_that_move_together_have_not_moved_apart(void **state)
{
    struct coordinate_move three[3];

    (void)state;
    for (size_t i = 0; i < MU_LEN(three); i++) {
        three[i].was = at(0.050 * (double)i, 0, 0.1);
        three[i].now = at(0.050 * (double)i + 0.200, 0, 0.1);
    }
    assert_true(coordinate_has_moved(&three[2]));
    assert_int_equal(coordinate_wait_ms(three, 3), COORDINATE_WAIT_MS_MAX);
    assert_int_equal(coordinate_wait_ms(three, 1), COORDINATE_WAIT_MS_MAX);
    assert_int_equal(coordinate_wait_ms(three, 0), COORDINATE_WAIT_MS_MAX);
    three[2].now = at(0.500, 0, 0.1); /* and one elsewhere: the first and its neighbour see it */
    assert_in_range(coordinate_wait_ms(three, 3), 10000, 60000);
}

/* -- a cluster, its leader and its catalog ------------------------------------------------------
 *
 * Nodes probe each other twice a second and tell the leader as agents do; the newcomer tells it the
 * first time when it has hardly measured anything. */

#define NODES     6
#define NEWCOMER  (NODES - 1)
#define STEP_MS   100U
#define PROBE_MS  500U
#define GATHER_MS 5000U
#define JOIN_MS   (20U * 60 * 1000)
#define HOUR_MS   (60U * 60 * 1000)

struct node {
    struct gossip__vivaldi vivaldi;
    struct gossip__rtt_filter filters[NODES];
    uint64_t probe_ms, look_ms, told_ms;
    struct coordinate told, gathered, catalog;
    bool is_gathered, is_known;
};

struct world {
    double near_s, far_s; /* of nodes whose numbers are both even or odd, and of others */
    struct node nodes[NODES];
    struct mu_rand rand;
    uint64_t now_ms, gather_ms, written_ms;
    unsigned entries;
};

static double truth(const struct world *w, size_t i, size_t j)
{
    return i % 2 == j % 2 ? w->near_s : w->far_s;
}

static double sample(struct world *w, size_t i, size_t j)
{
    double late = -log(1 - mu_rand_unit(&w->rand)); /* of a queue, and of two schedulers */

    return truth(w, i, j) * (1 + 0.02 * late) + 0.0001 * late;
}

static struct world *world_new(double near_s, double far_s, uint64_t seed)
{
    struct world *w = mu_new(sizeof *w);

    w->near_s = near_s;
    w->far_s = far_s;
    w->gather_ms = UINT64_MAX;
    mu_rand_seed(&w->rand, seed);
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &w->nodes[i];
        uint64_t began_ms = i == NEWCOMER ? JOIN_MS : 0;

        gossip__vivaldi_init(&n->vivaldi, COORDINATE_DIMS);
        n->probe_ms = began_ms + mu_rand_below(&w->rand, PROBE_MS);
        n->look_ms = began_ms + (i == NEWCOMER ? 1000 : 15000 + mu_rand_below(&w->rand, 15000));
    }
    return w;
}

static void probe(struct world *w, size_t i)
{
    struct node *n = &w->nodes[i];
    size_t j = (i + 1 + mu_rand_below(&w->rand, NODES - 1)) % NODES;

    n->probe_ms += PROBE_MS;
    if (w->now_ms >= JOIN_MS || j != NEWCOMER) {
        assert_int_equal(gossip__vivaldi_update(&n->vivaldi, &n->filters[j],
                                                &w->nodes[j].vivaldi.at, sample(w, i, j), &w->rand),
                         GOSSIP__VIVALDI_OK);
    }
}

static void look(struct world *w, size_t i)
{
    struct node *n = &w->nodes[i];
    struct coordinate_move m = { n->told, n->vivaldi.at };

    n->look_ms = w->now_ms + 15000 + mu_rand_below(&w->rand, 15000);
    if (n->told_ms == 0 || w->now_ms >= n->told_ms + 60000 || coordinate_has_moved(&m)) {
        n->told = n->gathered = n->vivaldi.at;
        n->told_ms = w->now_ms;
        n->is_gathered = true;
        w->gather_ms = w->gather_ms < w->now_ms + GATHER_MS ? w->gather_ms : w->now_ms + GATHER_MS;
    }
}

/* Node 0 leads. */
static void gathered(struct world *w)
{
    struct coordinate_move all[NODES];
    size_t count = 0;
    bool has_moved[NODES] = { false };
    bool has_any = false;
    bool has_new = false;

    if (w->nodes[0].is_known) {
        all[count++] = (struct coordinate_move){ w->nodes[0].catalog, w->nodes[0].vivaldi.at };
    }
    for (size_t i = 0; i < NODES; i++) {
        struct node *n = &w->nodes[i];
        struct coordinate_move m = { n->catalog, n->gathered };

        if (n->is_gathered && n->is_known && i != 0) {
            all[count++] = m;
        }
        has_new = has_new || (n->is_gathered && !n->is_known);
        has_moved[i] = n->is_gathered && (!n->is_known || coordinate_has_moved(&m));
        has_any = has_any || has_moved[i];
        n->is_gathered = has_moved[i];
    }
    uint64_t wait = has_new ? 0 : coordinate_wait_ms(all, count);
    uint64_t age = w->now_ms - w->written_ms;

    w->gather_ms = has_any && age < wait ? w->now_ms + wait - age : UINT64_MAX;
    if (!has_any || age < wait) {
        return;
    }
    w->entries++;
    w->written_ms = w->now_ms;
    for (size_t i = 0; i < NODES; i++) {
        if (has_moved[i]) {
            w->nodes[i].catalog = w->nodes[i].gathered;
            w->nodes[i].is_known = true;
            w->nodes[i].is_gathered = false;
        }
    }
}

static void run_until(struct world *w, uint64_t until_ms)
{
    for (; w->now_ms < until_ms; w->now_ms += STEP_MS) {
        for (size_t i = 0; i < NODES; i++) {
            if (w->now_ms >= w->nodes[i].probe_ms) {
                probe(w, i);
            }
            if (w->now_ms >= w->nodes[i].look_ms) {
                look(w, i);
            }
        }
        if (w->now_ms >= w->gather_ms) {
            gathered(w);
        }
    }
}

/* Of round trips to the newcomer, as the catalog has them: the mean error, in seconds. */
static double newcomer_off_s(const struct world *w)
{
    double sum = 0;

    for (size_t i = 0; i < NODES - 1; i++) {
        double told = coordinate_distance(&w->nodes[i].catalog, &w->nodes[NEWCOMER].catalog);

        assert_true(w->nodes[i].is_known && w->nodes[NEWCOMER].is_known);
        sum += fabs(told - truth(w, i, NEWCOMER));
    }
    return sum / (NODES - 1);
}

static const struct place {
    const char *what;
    double near_s, far_s;
    double off_s[3];       /* on the average of seeds at most, after 1, 2 and 5 minutes */
    unsigned entries_hour; /* on the average, of an hour in which nothing happens */
} places[] = {
    // clang-format off
    { "one room",            0.0002, 0.0002, { 0.0003, 0.0003, 0.0003 }, 6  },
    { "one town",            0.005,  0.005,  { 0.001,  0.001,  0.001  }, 16 },
    { "far from each other", 0.050,  0.050,  { 0.008,  0.006,  0.006  }, 16 },
    { "two sites",           0.0004, 0.050,  { 0.002,  0.002,  0.002  }, 16 },
}; // clang-format on

static void a_newcomer_is_soon_where_it_belongs_and_rest_is_quiet(void **state)
{
    static const uint64_t after_ms[] = { 60000, 120000, 300000 };
    enum { SEEDS = 8 };

    (void)state;
    for (size_t p = 0; p < MU_LEN(places); p++) {
        double off[MU_LEN(after_ms)] = { 0 };
        double entries = 0;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct world *w = world_new(places[p].near_s, places[p].far_s, seed);

            for (size_t i = 0; i < MU_LEN(after_ms); i++) {
                run_until(w, JOIN_MS + after_ms[i]);
                off[i] += newcomer_off_s(w) / SEEDS;
            }
            run_until(w, JOIN_MS + HOUR_MS / 2);
            unsigned before = w->entries;

            run_until(w, JOIN_MS + HOUR_MS / 2 + HOUR_MS);
            entries += (double)(w->entries - before) / SEEDS;
            mu_free(w);
        }
        print_message("%s: off by %.2f, %.2f, %.2f ms after 1, 2, 5 min; %.1f entries an hour\n",
                      places[p].what, off[0] * 1e3, off[1] * 1e3, off[2] * 1e3, entries);
        for (size_t i = 0; i < MU_LEN(after_ms); i++) {
            if (off[i] > places[p].off_s[i]) {
                fail_msg("%s: off by %.2f ms after %llu s", places[p].what, off[i] * 1e3,
                         (unsigned long long)(after_ms[i] / 1000));
            }
        }
        if (entries > places[p].entries_hour) {
            fail_msg("%s: %.1f entries in an idle hour", places[p].what, entries);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_jitters_has_not_moved),
        cmocka_unit_test(what_waits_is_what_distances_hardly_show),
        cmocka_unit_test(all_that_move_together_have_not_moved_apart),
        cmocka_unit_test(a_newcomer_is_soon_where_it_belongs_and_rest_is_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
