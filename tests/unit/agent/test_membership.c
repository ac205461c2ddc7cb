/* What the leader makes of the servers that gossip shows, as a table of sights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "membership.h"

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = { { n } };

    return id;
}

/* Servers 1 to 3 with disks 101 to 103 at "h1:8300" ...; disk 99 was removed. */
static struct consensus_config config_of_three(void)
{
    struct consensus_config config = { .index = 7, .servers_count = 3, .removed_count = 1 };

    config.removed[0] = id_of(99);
    for (uint8_t i = 0; i < 3; i++) {
        config.servers[i].id = id_of((uint8_t)(i + 1));
        config.servers[i].disk = id_of((uint8_t)(i + 101));
        config.servers[i].is_voter = true;
        config.servers[i].priority = 4;
        (void)snprintf(config.servers[i].address, sizeof config.servers[i].address, "h%d:8300",
                       i + 1);
    }
    return config;
}

static struct membership_server server_of(uint8_t node, uint8_t disk, uint8_t cluster,
                                          const char *address, bool is_alive, bool is_heard)
{
    struct membership_server s = { .node = id_of(node),
                                   .disk = disk > 0 ? id_of(disk) : MU_ID_NONE,
                                   .cluster = cluster > 0 ? id_of(cluster) : MU_ID_NONE,
                                   .is_alive = is_alive,
                                   .is_heard = is_heard };

    (void)snprintf(s.address, sizeof s.address, "%s", address);
    return s;
}

enum { OURS = 200, THEIRS = 201 };

static void each_sight_has_its_change(void **state)
{
    static const struct {
        const char *why;
        uint8_t node, disk, cluster;
        const char *address;
        bool is_alive, is_heard;
        enum membership_verdict verdict;
        enum consensus_change_kind kind;
        uint8_t changed_disk;
    } cases[] = {
        // clang-format off
        { "one that is there, as written down", 1, 101, OURS, "h1:8300", true, true, MEMBERSHIP_SETTLED, 0, 0 },
        { "a fresh one enters",                 4, 104, 0, "h4:8300", true, false, MEMBERSHIP_CHANGES, CONSENSUS_ADD, 104 },
        { "not a dead one",                     4, 104, 0, "h4:8300", false, false, MEMBERSHIP_SETTLED, 0, 0 },
        { "nor one without a disk",             4, 0, 0, "h4:8300", true, false, MEMBERSHIP_SETTLED, 0, 0 },
        { "nor one of another cluster",         4, 104, THEIRS, "h4:8300", true, false, MEMBERSHIP_SETTLED, 0, 0 },
        { "nor one with a removed disk",        4, 99, OURS, "h4:8300", true, false, MEMBERSHIP_SETTLED, 0, 0 },
        { "one whose entry was lost, again",    4, 104, OURS, "h4:8300", true, false, MEMBERSHIP_CHANGES, CONSENSUS_ADD, 104 },
        { "an empty disk: its old one goes",    2, 55, 0, "h2:8300", true, false, MEMBERSHIP_CHANGES, CONSENSUS_REMOVE, 102 },
        { "but not while that one is heard",    2, 55, 0, "h2:8300", true, true, MEMBERSHIP_WAITS, 0, 0 },
        { "another address is written down",    3, 103, OURS, "h9:8300", true, true, MEMBERSHIP_CHANGES, CONSENSUS_SET, 103 },
        { "not that of a dead one",             3, 103, OURS, "h9:8300", false, true, MEMBERSHIP_SETTLED, 0, 0 },
    }; // clang-format on
    struct consensus_config config = config_of_three();
    struct mu_id cluster = id_of(OURS);

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct membership_server s =
            server_of(cases[i].node, cases[i].disk, cases[i].cluster, cases[i].address,
                      cases[i].is_alive, cases[i].is_heard);
        struct consensus_change out = { .kind = CONSENSUS_ADD };
        enum membership_verdict verdict = membership_next(&config, &cluster, &s, 1, &out);

        if (verdict != cases[i].verdict) {
            fail_msg("%s: verdict %d", cases[i].why, verdict);
        }
        if (verdict == MEMBERSHIP_CHANGES &&
            (out.kind != cases[i].kind || out.disk.b[0] != cases[i].changed_disk ||
             !mu_id_eq(&out.server, &s.node) || strcmp(out.address, s.address) != 0)) {
            fail_msg("%s: change %d of disk %u", cases[i].why, out.kind, out.disk.b[0]);
        }
    }
}

static void an_address_keeps_the_priority_and_waits_for_servers(void **state)
{
    struct consensus_config config = config_of_three();
    struct mu_id cluster = id_of(OURS);
    struct membership_server seen[] = {
        server_of(1, 101, OURS, "elsewhere:8300", true, true),
        server_of(4, 104, 0, "h4:8300", true, false),
    };
    struct consensus_change out;

    (void)state;
    assert_int_equal(membership_next(&config, &cluster, seen, 2, &out), MEMBERSHIP_CHANGES);
    assert_int_equal(out.kind, CONSENSUS_ADD);
    assert_int_equal(membership_next(&config, &cluster, seen, 1, &out), MEMBERSHIP_CHANGES);
    assert_int_equal(out.kind, CONSENSUS_SET);
    assert_int_equal(out.priority, 4);
}

/* Which of them is it? Not decidable (spec/consensus.md 2.11). */
static void two_members_with_one_id_are_left_alone(void **state)
{
    struct consensus_config config = config_of_three();
    struct mu_id cluster = id_of(OURS);
    struct membership_server seen[] = {
        server_of(4, 104, 0, "h4:8300", true, false),
        server_of(4, 104, 0, "h5:8300", true, false),
    };
    struct consensus_change out;

    (void)state;
    assert_int_equal(membership_next(&config, &cluster, seen, 2, &out), MEMBERSHIP_SETTLED);
    seen[1].is_alive = false;
    assert_int_equal(membership_next(&config, &cluster, seen, 2, &out), MEMBERSHIP_CHANGES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sight_has_its_change),
        cmocka_unit_test(an_address_keeps_the_priority_and_waits_for_servers),
        cmocka_unit_test(two_members_with_one_id_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
