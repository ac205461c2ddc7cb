/* How far membership goes: as many as there may be, and what is remembered of those that went. What
 * a change does to a cluster is told by the transcripts (tests/data/consensus/change_*.txt). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "core_fixture.h"

static uint64_t tickets;

/* Everything is durable here, and at every server that the configuration names. */
static void settle(struct consensus *c)
{
    struct consensus_effects fx;

    fixture_persist(c, &fx);
    for (uint32_t i = 0; i < consensus_config_now(c)->servers_count; i++) {
        struct mu_id id = consensus_config_now(c)->servers[i].id;

        if (i != c->self) {
            struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_RES, id.b[0], c->hard.term);

            m.from_disk = consensus_config_now(c)->servers[i].disk;
            m.ack.session = consensus__peer_find(c, &id)->session;
            m.ack.match = c->log.last_index;
            m.ack.is_accepted = true;
            fixture_recv(c, &m, &fx);
        }
    }
    assert_int_equal(c->commit, c->log.last_index);
}

/* NOT_REFUSED: it is committed now. */
static enum consensus_refusal change(struct consensus *c, enum consensus_change_kind kind,
                                     uint8_t n, struct mu_id disk)
{
    struct consensus_change what = { .kind = kind, .server = fixture_id(n), .disk = disk };
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_CHANGE };
    struct consensus_effects fx;

    ev.change.ticket = ++tickets;
    ev.change.what = &what;
    consensus_step(c, &ev, &fx);
    if (fx.made == NULL) {
        assert_int_equal(fx.results_count, 1);
        assert_int_equal(fx.results[0].outcome, CONSENSUS_REFUSED);
        return fx.results[0].why;
    }
    consensus_bind(c, fx.made->index, (uint32_t)tickets);
    consensus__check(c);
    settle(c);
    return CONSENSUS_NOT_REFUSED;
}

static struct consensus *leader_new(void)
{
    struct consensus_options options;

    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 1, 1);

    fixture_elect(c, 1);
    settle(c);
    return c;
}

static void sixteen_servers_and_nine_voters(void **state)
{
    struct consensus *c = leader_new();

    (void)state;
    for (uint8_t n = 2; n <= CONSENSUS_PEERS_MAX; n++) {
        assert_int_equal(change(c, CONSENSUS_ADD, n, fixture_disk(n)), CONSENSUS_NOT_REFUSED);
    }
    assert_int_equal(change(c, CONSENSUS_ADD, 17, fixture_disk(17)), CONSENSUS_CHANGE_FULL);
    for (uint8_t n = 2; n <= CONSENSUS_VOTERS_MAX; n++) {
        assert_int_equal(change(c, CONSENSUS_PROMOTE, n, MU_ID_NONE), CONSENSUS_NOT_REFUSED);
    }
    assert_int_equal(change(c, CONSENSUS_PROMOTE, 10, MU_ID_NONE), CONSENSUS_CHANGE_FULL);
    assert_int_equal(change(c, CONSENSUS_DEMOTE, 4, MU_ID_NONE), CONSENSUS_NOT_REFUSED);
    assert_int_equal(change(c, CONSENSUS_PROMOTE, 10, MU_ID_NONE), CONSENSUS_NOT_REFUSED);
    mu_free(c);
}

static void the_disk_that_is_meant_may_be_named(void **state)
{
    struct consensus *c = leader_new();

    (void)state;
    assert_int_equal(change(c, CONSENSUS_ADD, 2, MU_ID_NONE), CONSENSUS_CHANGE_UNKNOWN);
    assert_int_equal(change(c, CONSENSUS_ADD, 2, fixture_disk(2)), CONSENSUS_NOT_REFUSED);
    assert_int_equal(change(c, CONSENSUS_REMOVE, 2, fixture_disk(3)), CONSENSUS_CHANGE_UNKNOWN);
    assert_int_equal(change(c, CONSENSUS_REMOVE, 2, fixture_disk(2)), CONSENSUS_NOT_REFUSED);
    mu_free(c);
}

static struct mu_id disk_of_life(uint8_t life)
{
    struct mu_id id = fixture_disk(2);

    id.b[5] = life;
    return id;
}

static void the_oldest_of_the_removed_disks_are_forgotten(void **state)
{
    struct consensus *c = leader_new();
    uint8_t lives = CONSENSUS_REMOVED_MAX + 3;

    (void)state;
    for (uint8_t life = 1; life <= lives; life++) {
        assert_int_equal(change(c, CONSENSUS_ADD, 2, disk_of_life(life)), CONSENSUS_NOT_REFUSED);
        assert_int_equal(change(c, CONSENSUS_REMOVE, 2, MU_ID_NONE), CONSENSUS_NOT_REFUSED);
        assert_int_equal(change(c, CONSENSUS_ADD, 2, disk_of_life(life)), CONSENSUS_CHANGE_REMOVED);
    }
    assert_int_equal(consensus_config_now(c)->removed_count, CONSENSUS_REMOVED_MAX);
    assert_int_equal(change(c, CONSENSUS_ADD, 2, disk_of_life(4)), CONSENSUS_CHANGE_REMOVED);
    assert_int_equal(change(c, CONSENSUS_ADD, 2, disk_of_life(3)), CONSENSUS_NOT_REFUSED);
    mu_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_servers_and_nine_voters),
        cmocka_unit_test(the_disk_that_is_meant_may_be_named),
        cmocka_unit_test(the_oldest_of_the_removed_disks_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
