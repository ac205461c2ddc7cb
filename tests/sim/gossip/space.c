#include "space.h"

#include <math.h>
#include <stdio.h>

#include "base/assert.h"
#include "network.h"

/* Three sites of eight nodes: a quarter of a millisecond inside, ten to thirty across, one way. The
 * last node of each hangs on a slow line of its own. */
#define NODES     24
#define SITES     3
#define SLOW_US   8000
#define SETTLE_MS 10000
#define LIAR      4
#define LIE_MS    250

static uint64_t access_us(size_t node)
{
    return node % 8 == 7 ? SLOW_US : 0;
}

static uint64_t distance_us(size_t from, size_t to)
{
    static const uint64_t between[SITES][SITES] = { { 250, 10000, 25000 },
                                                    { 10000, 250, 30000 },
                                                    { 25000, 30000, 250 } };

    return from == to ? 0 : between[from / 8][to / 8] + access_us(from) + access_us(to);
}

struct errors {
    double sum, max;
    size_t pairs;
    size_t unknown; /* pairs where one does not know the other */
};

static void compare(const struct world *w, size_t i, size_t j, struct errors *e)
{
    double truth = (double)(2 * distance_us(i, j)) / 1e6;
    struct coordinate a;
    struct coordinate b;

    /* What i thinks of itself, and what it heard of j: nobody sees more than that. */
    if (!gossip_coordinate(world_core(w, i), world_name(w, i), &a) ||
        !gossip_coordinate(world_core(w, i), world_name(w, j), &b)) {
        e->unknown++;
        return;
    }
    double error = fabs(coordinate_distance(&a, &b) - truth) / truth;

    e->sum += error;
    e->max = fmax(e->max, error);
    e->pairs++;
}

static struct errors errors_of(const struct world *w, bool across)
{
    struct errors e = { .pairs = 0 };

    for (size_t i = 0; i < NODES; i++) {
        for (size_t j = 0; j < NODES; j++) {
            bool is_slow = access_us(i) + access_us(j) > 0;

            if (i != j && i != LIAR && j != LIAR && ((i / 8 != j / 8) || is_slow) == across) {
                compare(w, i, j, &e);
            }
        }
    }
    return e;
}

/* One node says that it is nowhere, as long as it lives. */
static void lie(const struct world *w)
{
    world_core(w, LIAR)->vivaldi.at.vec[0] = NAN;
}

static struct world *cluster_new(uint64_t seed)
{
    struct world_options options = { .seed = seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 0,
                                     .latency_us_max = 60,
                                     .distance = distance_us };
    struct world *w = world_new(&options);

    for (size_t i = 0; i < NODES; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%zu", i);
        (void)world_add(w, name);
        world_start(w, i, (struct world_start){ .keep_state = false });
        if (i > 0) {
            world_join(w, i, 0, false);
        }
    }
    world_run(w, SETTLE_MS);
    return w;
}

static uint64_t refused_count(const struct world *w)
{
    struct gossip_summary s;
    uint64_t sum = 0;

    for (size_t i = 0; i < NODES; i++) {
        gossip_summarize(world_core(w, i), &s);
        sum += s.counters[GOSSIP_COUNT_COORDINATES_REFUSED];
    }
    return sum;
}

bool space_run(uint64_t seed, uint64_t seconds, double loss)
{
    struct world *w = cluster_new(seed);
    struct coordinate lost;

    world_faults(w, loss, loss / 10, loss);
    for (uint64_t ms = 0; ms < seconds * 1000; ms += LIE_MS) {
        lie(w);
        world_run(w, LIE_MS);
    }
    struct errors near = errors_of(w, false);
    struct errors far = errors_of(w, true);
    bool is_liar_known = gossip_coordinate(world_core(w, 0), world_name(w, LIAR), &lost) &&
                         !coordinate_is_valid(&lost);
    bool is_good = near.unknown + far.unknown == 0 && far.sum < SPACE_MEAN * (double)far.pairs &&
                   far.max < SPACE_MAX && near.sum < SPACE_NEAR_MEAN * (double)near.pairs &&
                   !is_liar_known && refused_count(w) > 0;

    (void)printf("space, seed %llu, %llu s: error of estimates across sites mean %.2f %%, max %.1f "
                 "%%; inside mean %.1f %%, max %.0f %%; %zu pairs unknown; %llu lies refused: %s\n",
                 (unsigned long long)seed, (unsigned long long)seconds,
                 100 * far.sum / (double)far.pairs, 100 * far.max,
                 100 * near.sum / (double)near.pairs, 100 * near.max, near.unknown + far.unknown,
                 (unsigned long long)refused_count(w), is_good ? "good" : "NOT GOOD");
    world_free(w);
    return is_good;
}
