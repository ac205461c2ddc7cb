/* Vivaldi's arithmetic: the acceptance targets of spec/gossip.md 14.4, and that nothing foreign can
 * spoil a coordinate. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "vivaldi.h"

#define NODES_MAX 25
#define SEED      7 /* the targets are the reference's for a seed of its own; seeds differ by half */

/* -- worlds whose distances are known -----------------------------------------------------------
 */

struct space {
    size_t count;
    unsigned dims;
    double truth[NODES_MAX][NODES_MAX]; /* seconds */
    struct gossip__vivaldi nodes[NODES_MAX];
    struct gossip__rtt_filter filters[NODES_MAX][NODES_MAX];
    struct mu_rand rand;
};

typedef double truth_fn(struct space *s, size_t i, size_t j);

static double line(struct space *s, size_t i, size_t j)
{
    (void)s;
    return 0.010 * (double)(j - i);
}

static double grid(struct space *s, size_t i, size_t j)
{
    double dx = (double)(j % 5) - (double)(i % 5);
    double dy = (double)(j / 5) - (double)(i / 5);

    (void)s;
    return 0.010 * sqrt(dx * dx + dy * dy);
}

static double split(struct space *s, size_t i, size_t j)
{
    return (i < s->count / 2) == (j < s->count / 2) ? 0.001 : 0.011;
}

static double circle(struct space *s, size_t i, size_t j)
{
    const double pi = 3.14159265358979323846;
    double angle = 2 * pi * (double)(j - i) / (double)(s->count - 1);

    return i == 0 ? 0.200 : 2 * 0.100 * sin(angle / 2); /* node 0 is far from all */
}

static double random_one(struct space *s, size_t i, size_t j)
{
    double sum = 0; /* of twelve uniform ones: near enough to a normal one */

    (void)i;
    (void)j;
    for (int k = 0; k < 12; k++) {
        sum += mu_rand_unit(&s->rand);
    }
    return 0.100 + 0.010 * (sum - 6);
}

static double square(struct space *s, size_t i, size_t j)
{
    (void)s;
    return i == 0 && j == 2 ? 0.500 * sqrt(2) : 0.500;
}

static struct space *space_new(size_t count, unsigned dims, truth_fn *truth)
{
    struct space *s = mu_new(sizeof *s);

    s->count = count;
    s->dims = dims;
    mu_rand_seed(&s->rand, SEED);
    for (size_t i = 0; i < count; i++) {
        gossip__vivaldi_init(&s->nodes[i], dims);
        for (size_t j = i + 1; j < count; j++) {
            s->truth[i][j] = s->truth[j][i] = truth(s, i, j);
        }
    }
    return s;
}

static void rounds(struct space *s, unsigned count)
{
    for (unsigned round = 0; round < count; round++) {
        for (size_t i = 0; i < s->count; i++) {
            size_t j = (size_t)mu_rand_below(&s->rand, s->count);

            if (j != i) {
                assert_int_equal(gossip__vivaldi_update(&s->nodes[i], &s->filters[i][j],
                                                        &s->nodes[j].at, s->truth[i][j], &s->rand),
                                 GOSSIP__VIVALDI_OK);
            }
        }
    }
}

struct errors {
    double mean, max;
};

static struct errors errors_of(const struct space *s)
{
    struct errors e = { 0, 0 };
    size_t pairs = 0;

    for (size_t i = 0; i < s->count; i++) {
        for (size_t j = i + 1; j < s->count; j++) {
            double estimate = coordinate_distance(&s->nodes[i].at, &s->nodes[j].at);
            double error = fabs(estimate - s->truth[i][j]) / s->truth[i][j];

            e.mean += error;
            e.max = fmax(e.max, error);
            pairs++;
        }
    }
    e.mean /= (double)pairs;
    return e;
}

static void estimates_come_close_to_the_truth(void **unused)
{
    static const struct {
        const char *what;
        size_t count;
        unsigned dims;
        truth_fn *truth;
        double mean, max;
    } cases[] = {
        // clang-format off
        { "line",   10, 8, line,       0.0031,  0.013   },
        { "grid",   25, 8, grid,       0.0016,  0.023   },
        { "split",  25, 8, split,      0.00006, 0.00048 },
        { "height", 25, 2, circle,     0.0028,  0.064   },
        { "random", 25, 8, random_one, 0.075,   0.33    },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct space *s = space_new(cases[i].count, cases[i].dims, cases[i].truth);

        rounds(s, 1000);
        struct errors e = errors_of(s);

        print_message("%s: mean %.4f %%, max %.4f %%\n", cases[i].what, e.mean * 100, e.max * 100);
        if (e.mean > cases[i].mean || e.max > cases[i].max) {
            fail_msg("%s: mean %.4f %%, max %.4f %%", cases[i].what, e.mean * 100, e.max * 100);
        }
        mu_free(s);
    }
}

static void a_long_access_link_becomes_height(void **unused)
{
    struct space *s = space_new(25, 2, circle);

    (void)unused;
    rounds(s, 1000);
    assert_true(s->nodes[0].at.height >= 0.097);
    for (size_t i = 1; i < s->count; i++) {
        assert_true(s->nodes[i].at.height <= 0.003);
    }
    mu_free(s);
}

/* How far the middle of the box around all nodes is from the origin. */
static double centre(const struct space *s)
{
    double sum = 0;

    for (unsigned d = 0; d < s->dims; d++) {
        double low = s->nodes[0].at.vec[d];
        double high = low;

        for (size_t i = 1; i < s->count; i++) {
            low = fmin(low, s->nodes[i].at.vec[d]);
            high = fmax(high, s->nodes[i].at.vec[d]);
        }
        sum += (low + high) * (low + high) / 4;
    }
    return sqrt(sum);
}

static void gravity_pulls_a_drifting_cluster_back(void **unused)
{
    static const double at[4][2] = { { 0, 0 }, { 0, 0.5 }, { 0.5, 0.5 }, { 0.5, 0 } };
    struct space *s = space_new(4, 2, square);

    (void)unused;
    for (size_t i = 0; i < s->count; i++) {
        for (unsigned d = 0; d < s->dims; d++) {
            s->nodes[i].at.vec[d] = at[i][d];
        }
    }
    rounds(s, 1000);
    double before = centre(s);

    rounds(s, 10000);
    if (centre(s) > 0.8 * before) {
        fail_msg("the centre was at %.4f s, now at %.4f s", before, centre(s));
    }
    mu_free(s);
}

/* -- what comes from others ---------------------------------------------------------------------
 */

static bool is_sound(const struct coordinate *c)
{
    return coordinate_is_valid(c) && c->error > 0 && c->error <= COORDINATE_ERROR_MAX &&
           c->height >= COORDINATE_HEIGHT_MIN;
}

static double *component(struct coordinate *c, unsigned i)
{
    double *others[] = { &c->error, &c->adjustment, &c->height };

    return i < COORDINATE_DIMS ? &c->vec[i] : others[i - COORDINATE_DIMS];
}

#define COMPONENTS (COORDINATE_DIMS + 3)

static void a_peer_that_is_nowhere_is_refused(void **unused)
{
    static const double bad[] = { NAN, INFINITY, -INFINITY, 1e300, -1e300, 100.5 };
    struct gossip__vivaldi v;
    struct gossip__rtt_filter filter = { .count = 0 };
    struct mu_rand rand;

    (void)unused;
    mu_rand_seed(&rand, 1);
    gossip__vivaldi_init(&v, COORDINATE_DIMS);
    for (unsigned i = 0; i < COMPONENTS; i++) {
        for (size_t b = 0; b < MU_LEN(bad); b++) {
            struct coordinate peer = COORDINATE_ORIGIN;

            *component(&peer, i) = bad[b];
            assert_int_equal(gossip__vivaldi_update(&v, &filter, &peer, 0.01, &rand),
                             GOSSIP__VIVALDI_BAD_PEER);
        }
    }
    assert_int_equal(filter.count, 0); /* nothing of it is kept */
    struct coordinate origin = COORDINATE_ORIGIN;

    assert_true(coordinate_eq(&v.at, &origin));
}

static void a_round_trip_out_of_range_is_refused(void **unused)
{
    static const struct {
        const char *why;
        double rtt;
        enum gossip__vivaldi_code code;
    } cases[] = {
        // clang-format off
        { "before it was sent", -1e-9,    GOSSIP__VIVALDI_BAD_RTT },
        { "a coarse clock",     0,        GOSSIP__VIVALDI_OK      },
        { "the longest",        10,       GOSSIP__VIVALDI_OK      },
        { "longer",             10.001,   GOSSIP__VIVALDI_BAD_RTT },
        { "no number",          NAN,      GOSSIP__VIVALDI_BAD_RTT },
        { "for ever",           INFINITY, GOSSIP__VIVALDI_BAD_RTT },
    }; // clang-format on
    struct coordinate peer = COORDINATE_ORIGIN;
    struct mu_rand rand;

    (void)unused;
    mu_rand_seed(&rand, 1);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct gossip__vivaldi v;
        struct gossip__rtt_filter filter = { .count = 0 };

        gossip__vivaldi_init(&v, COORDINATE_DIMS);
        if (gossip__vivaldi_update(&v, &filter, &peer, cases[i].rtt, &rand) != cases[i].code ||
            !is_sound(&v.at)) {
            fail_msg("%s: %g s", cases[i].why, cases[i].rtt);
        }
    }
}

static void one_late_packet_moves_nothing(void **unused)
{
    struct coordinate peer = COORDINATE_ORIGIN;
    struct gossip__vivaldi calm;
    struct gossip__vivaldi hit;
    struct gossip__rtt_filter filters[2] = { { .count = 0 }, { .count = 0 } };
    struct mu_rand rands[2];

    (void)unused;
    gossip__vivaldi_init(&calm, COORDINATE_DIMS);
    gossip__vivaldi_init(&hit, COORDINATE_DIMS);
    for (unsigned i = 0; i < 2; i++) {
        mu_rand_seed(&rands[i], 1);
    }
    for (unsigned i = 0; i < 20; i++) {
        (void)gossip__vivaldi_update(&calm, &filters[0], &peer, 0.01, &rands[0]);
        (void)gossip__vivaldi_update(&hit, &filters[1], &peer, i == 10 ? 5 : 0.01, &rands[1]);
    }
    assert_true(coordinate_eq(&calm.at, &hit.at));
}

/* A sure liar at the end of the world, met every tenth time, does not keep others from knowing how
 * far they are from each other. */
static void a_liar_does_not_tear_the_others_apart(void **unused)
{
    struct space *s = space_new(25, COORDINATE_DIMS, grid);
    struct coordinate liar = { .vec = { 99, -99, 99, -99 }, .error = 0, .height = 99 };
    struct gossip__rtt_filter filters[NODES_MAX] = { { .count = 0 } };

    (void)unused;
    for (unsigned round = 0; round < 1000; round++) {
        rounds(s, 1);
        for (size_t i = 0; i < s->count; i++) {
            if (mu_rand_below(&s->rand, 10) == 0) {
                (void)gossip__vivaldi_update(&s->nodes[i], &filters[i], &liar, 0.02, &s->rand);
                assert_true(is_sound(&s->nodes[i].at));
            }
        }
    }
    struct errors e = errors_of(s);

    print_message("with a liar: mean %.1f %%, max %.1f %%\n", e.mean * 100, e.max * 100);
    assert_true(e.mean < 1); /* without a bound on what is credible: 1,500 */
    mu_free(s);
}

static double any_double(struct mu_rand *rand)
{
    static const double odd[] = { 0,   -0.0, 1e-320, DBL_MAX, -DBL_MAX, NAN,     INFINITY,
                                  100, -100, 1.5,    10,      1e-6,     DBL_MIN, DBL_EPSILON };
    uint64_t pick = mu_rand_below(rand, MU_LEN(odd) * 3);

    return pick < MU_LEN(odd)       ? odd[pick]
           : pick < MU_LEN(odd) * 2 ? (mu_rand_unit(rand) - 0.5) * 220
                                    : (mu_rand_unit(rand) - 0.2) * 1.8;
}

static void nothing_makes_a_coordinate_unsound(void **unused)
{
    struct mu_rand rand;

    (void)unused;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct gossip__vivaldi v;
        struct gossip__rtt_filter filter = { .count = 0 };
        struct coordinate peer;

        mu_rand_seed(&rand, seed);
        gossip__vivaldi_init(&v, 1 + (unsigned)mu_rand_below(&rand, COORDINATE_DIMS));
        for (unsigned i = 0; i < 500; i++) {
            for (unsigned c = 0; c < COMPONENTS; c++) {
                *component(&peer, c) = mu_rand_below(&rand, 4) == 0
                                           ? any_double(&rand)
                                           : (mu_rand_unit(&rand) - 0.1) * 1.3;
            }
            if (mu_rand_below(&rand, 50) == 0) {
                gossip__vivaldi_restore(&v, &peer);
            }
            (void)gossip__vivaldi_update(&v, &filter, &peer, any_double(&rand), &rand);
            assert_true(is_sound(&v.at));
        }
    }
}

static void distance_uses_adjustments_unless_they_make_it_negative(void **unused)
{
    struct coordinate a = COORDINATE_ORIGIN;
    struct coordinate b = COORDINATE_ORIGIN;

    (void)unused;
    b.vec[0] = 0.003;
    b.vec[1] = 0.004;
    a.height = 0.001;
    b.height = 0.002;
    assert_true(fabs(coordinate_distance(&a, &b) - 0.008) < 1e-12);
    a.adjustment = 0.002;
    assert_true(fabs(coordinate_distance(&a, &b) - 0.010) < 1e-12);
    b.adjustment = -0.020;
    assert_true(fabs(coordinate_distance(&a, &b) - 0.008) < 1e-12);
}

static void an_earlier_life_is_gone_on_from(void **unused)
{
    struct coordinate kept = { .vec = { 0.1, 0.2 }, .error = 0.3, .adjustment = 0.4, .height = 0 };
    struct gossip__vivaldi v;

    (void)unused;
    gossip__vivaldi_init(&v, COORDINATE_DIMS);
    gossip__vivaldi_restore(&v, &kept);
    assert_true(v.at.vec[1] > 0.19 && v.at.error < 0.31 && is_sound(&v.at));
    kept.vec[0] = NAN;
    gossip__vivaldi_init(&v, COORDINATE_DIMS);
    gossip__vivaldi_restore(&v, &kept);
    assert_true(is_sound(&v.at) && v.at.error > 1.4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_come_close_to_the_truth),
        cmocka_unit_test(a_long_access_link_becomes_height),
        cmocka_unit_test(gravity_pulls_a_drifting_cluster_back),
        cmocka_unit_test(a_peer_that_is_nowhere_is_refused),
        cmocka_unit_test(a_round_trip_out_of_range_is_refused),
        cmocka_unit_test(one_late_packet_moves_nothing),
        cmocka_unit_test(a_liar_does_not_tear_the_others_apart),
        cmocka_unit_test(nothing_makes_a_coordinate_unsound),
        cmocka_unit_test(distance_uses_adjustments_unless_they_make_it_negative),
        cmocka_unit_test(an_earlier_life_is_gone_on_from),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
