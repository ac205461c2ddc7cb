/* Quorums against a slow twin that counts: one set of voters, and two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/rand.h"
#include "core.h"

/* Is `value` reached by more than half of the voters of one set? */
static bool set_has(const struct consensus_config *config, bool old, const uint64_t *values,
                    uint64_t value)
{
    uint32_t voters = 0;
    uint32_t reached = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (old ? config->servers[i].is_voter_old : config->servers[i].is_voter) {
            voters++;
            reached += values[i] >= value;
        }
    }
    return reached * 2 > voters;
}

static uint64_t twin_value(const struct consensus_config *config, const uint64_t *values)
{
    uint64_t best = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (values[i] > best && set_has(config, false, values, values[i]) &&
            (!config->is_joint || set_has(config, true, values, values[i]))) {
            best = values[i];
        }
    }
    return best;
}

static void draw(struct mu_rand *r, struct consensus_config *config)
{
    *config = (struct consensus_config){ .index = 1, .level = CONSENSUS_LEVEL_FIRST };
    config->servers_count = 1 + (uint32_t)mu_rand_below(r, 9);
    config->is_joint = mu_rand_below(r, 2) == 0;
    for (uint32_t i = 0; i < config->servers_count; i++) {
        config->servers[i].is_voter = i == 0 || mu_rand_below(r, 3) != 0;
        config->servers[i].is_voter_old = config->is_joint && (i == 0 || mu_rand_below(r, 2) == 0);
        config->servers[i].is_learner = !config->servers[i].is_voter;
    }
}

static void a_value_has_a_majority_of_every_set(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 7);
    for (int round = 0; round < 20000; round++) {
        struct consensus_config config;
        uint64_t values[CONSENSUS_PEERS_MAX] = { 0 };

        draw(&r, &config);
        for (uint32_t i = 0; i < config.servers_count; i++) {
            values[i] = 1 + mu_rand_below(&r, 6);
        }
        assert_int_equal(consensus__quorum_value(&config, values), twin_value(&config, values));
    }
}

static void votes_have_a_majority_of_every_set(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 8);
    for (int round = 0; round < 20000; round++) {
        struct consensus_config config;
        uint64_t values[CONSENSUS_PEERS_MAX] = { 0 };
        uint32_t bits = (uint32_t)mu_rand_below(&r, 512);

        draw(&r, &config);
        for (uint32_t i = 0; i < config.servers_count; i++) {
            values[i] = (bits >> i) & 1U;
        }
        assert_int_equal(consensus__quorum_of(&config, bits), twin_value(&config, values) == 1);
    }
}

/* CCF#3948: five of the union of {a b c} and {c d e}, with one of the old set only. */
static void a_majority_of_the_union_is_not_enough(void **state)
{
    struct consensus_config config = {
        .index = 1, .level = CONSENSUS_LEVEL_FIRST, .servers_count = 5, .is_joint = true
    };

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        config.servers[i].is_voter_old = i <= 2;
        config.servers[i].is_voter = i >= 2;
    }
    assert_false(consensus__quorum_of(&config, 0x1c)); /* c d e: one of three old ones */
    assert_false(consensus__quorum_of(&config, 0x07)); /* a b c: one of three new ones */
    assert_true(consensus__quorum_of(&config, 0x0e));  /* b c d */
}

static void nobody_is_no_quorum(void **state)
{
    struct consensus_config config = { 0 };
    uint64_t values[CONSENSUS_PEERS_MAX] = { 9, 9, 9 };

    (void)state;
    assert_int_equal(consensus__quorum_value(&config, values), 0);
    assert_false(consensus__quorum_of(&config, 0xff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_has_a_majority_of_every_set),
        cmocka_unit_test(votes_have_a_majority_of_every_set),
        cmocka_unit_test(a_majority_of_the_union_is_not_enough),
        cmocka_unit_test(nobody_is_no_quorum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
