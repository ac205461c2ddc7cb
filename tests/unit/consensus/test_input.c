/* What a peer may say is not believed: rows 30 and 32 of spec/consensus.md 5, and the bounds of
 * admission that no simulated client reaches. Each case leaves the core as it was, and able. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "core_fixture.h"

static struct consensus *led_by_us(uint64_t last)
{
    struct consensus_options o;

    fixture_options(&o);
    struct consensus *c = fixture_core(&o, 3, last);

    fixture_elect(c, 3);
    assert_int_equal(c->role, CONSENSUS_LEADER);
    return c;
}

static void entries_with_a_hole_are_not_taken(void **state)
{
    static const uint64_t indexes[][3] = {
        { 5, 7, 8 }, { 6, 7, 8 }, { 5, 6, 6 }, { 5, 6, 5 }, { 4, 5, 6 }, { 5, 7, 6 },
    };
    struct consensus_options o;

    (void)state;
    fixture_options(&o);
    for (size_t i = 0; i < MU_LEN(indexes); i++) {
        struct consensus *c = fixture_core(&o, 3, 4);
        struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, 2);
        struct consensus_entry entries[3];
        struct consensus_effects fx;

        memset(entries, 0, sizeof entries);
        for (uint32_t j = 0; j < 3; j++) {
            entries[j] = (struct consensus_entry){ .index = indexes[i][j],
                                                   .term = 2,
                                                   .bytes = 1,
                                                   .handle = j + 1,
                                                   .kind = CONSENSUS_COMMAND };
        }
        m.append.session = 1;
        m.append.prev_index = 4;
        m.append.prev_term = 1;
        m.append.entries = entries;
        m.append.entries_count = 3;
        fixture_recv(c, &m, &fx);
        if (c->log.last_index != 4 || fx.drops_count != 3 || c->counters.messages_dropped != 1) {
            fail_msg("case %zu: last %llu, %zu given back", i,
                     (unsigned long long)c->log.last_index, fx.drops_count);
        }
        mu_free(c);
    }
}

static void what_is_meant_for_another_is_not_heard(void **state)
{
    struct consensus_options o;
    struct consensus_effects fx;

    (void)state;
    fixture_options(&o);
    struct consensus *c = fixture_core(&o, 3, 4);
    struct consensus_msg m = fixture_msg(c, CONSENSUS_HEARTBEAT, 2, 9);

    m.to = fixture_id(3);
    fixture_recv(c, &m, &fx);
    assert_int_equal(c->hard.term, 1);
    assert_int_equal(c->counters.messages_dropped, 1);
    assert_int_equal(fx.sends_count, 0);
    mu_free(c);
}

static void nobody_has_more_than_its_leader(void **state)
{
    struct consensus_effects fx;
    struct mu_id two = fixture_id(2);

    (void)state;
    struct consensus *c = led_by_us(4);
    uint64_t last = c->log.last_index;

    fixture_ack(c, 2, last + 1, &fx);
    assert_int_equal(c->counters.messages_dropped, 1);
    assert_int_equal(consensus__peer_find(c, &two)->match, 0);
    fixture_ack(c, 2, last, &fx);
    assert_int_equal(consensus__peer_find(c, &two)->match, last);
    mu_free(c);
}

static void no_more_entries_wait_than_may(void **state)
{
    struct consensus_options o;
    struct consensus_effects fx;

    (void)state;
    fixture_options(&o);
    o.proposals_max = 10;
    struct consensus *c = fixture_core(&o, 3, 4);

    fixture_elect(c, 3);
    fixture_propose(c, 1, 9, 1, &fx); /* beside its no-op */
    assert_int_equal(fx.results_count, 0);
    fixture_propose(c, 20, 1, 1, &fx);
    assert_int_equal(fx.results_count, 1);
    assert_int_equal(fx.results[0].why, CONSENSUS_BUSY_PROPOSALS);
    fixture_ack(c, 2, c->log.last_index, &fx);
    fixture_propose(c, 30, 1, 1, &fx);
    assert_int_equal(fx.results_count, 0);
    mu_free(c);
}

/* A restart has forgotten how far commit had come; the request that brings one more term tells it.
 */
static void a_full_list_of_terms_makes_room_by_what_the_request_commits(void **state)
{
    struct consensus_options o;
    struct consensus_effects fx;

    (void)state;
    fixture_options(&o);
    o.runs_max = 4;
    struct consensus *c = fixture_core(&o, 3, 4);

    for (uint64_t term = 2; term <= 6; term++) {
        struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, term);
        struct consensus_entry e = { .index = 3 + term, .term = term, .kind = CONSENSUS_NOOP };

        m.append.session = 1;
        m.append.prev_index = e.index - 1;
        m.append.prev_term = term - 1;
        m.append.commit = term < 6 ? 0 : e.index - 1;
        m.append.entries = &e;
        m.append.entries_count = 1;
        fixture_recv(c, &m, &fx);
        assert_int_equal(c->log.last_index, e.index);
    }
    assert_int_equal(c->death, CONSENSUS_ALIVE);
    assert_int_equal(c->log.base_index, 5);
    assert_int_equal(c->commit, 8);
    consensus__check(c);
    mu_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_with_a_hole_are_not_taken),
        cmocka_unit_test(what_is_meant_for_another_is_not_heard),
        cmocka_unit_test(nobody_has_more_than_its_leader),
        cmocka_unit_test(no_more_entries_wait_than_may),
        cmocka_unit_test(a_full_list_of_terms_makes_room_by_what_the_request_commits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
