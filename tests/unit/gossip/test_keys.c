/* What a member does when keys are changed through the cluster, and how the answers add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/rand.h"
#include "gossip/gossip.h"
#include "gossip/keys.h"

#define NOW_S 1700000000U

static struct gossip_key key_of(uint8_t fill)
{
    struct gossip_key key = { .count = 32 };

    memset(key.bytes, fill, key.count);
    return key;
}

static struct gossip_keys keys_of(uint8_t primary)
{
    struct gossip_keys keys = { .ring = { .count = 1 } };

    keys.ring.keys[0] = key_of(primary);
    return keys;
}

/* Do `op` with the key of that filling; the text of a refusal, or "". */
static const char *ask(struct gossip_keys *keys, enum gossip_key_op op, uint8_t fill,
                       uint64_t ltime)
{
    static struct gossip_key_answer answer;
    struct gossip_key key = key_of(fill);
    struct gossip_key_query q = {
        .op = op, .key = mu_span_of(key.bytes, key.count), .ltime = ltime, .now_s = NOW_S
    };
    bool changed = gossip_keys_apply(keys, &q, &answer);

    assert_int_equal(changed, answer.is_ok && op != GOSSIP_KEY_LIST);
    return answer.text;
}

static bool has(const struct gossip_keyring *ring, uint8_t fill)
{
    struct gossip_key key = key_of(fill);

    return gossip_keyring_has(ring, &key);
}

static void a_rotation_leaves_the_new_key_and_keeps_the_old_one_aside(void **unused)
{
    struct gossip_keys keys = keys_of(1);

    (void)unused;
    assert_string_equal(ask(&keys, GOSSIP_KEY_INSTALL, 2, 5), "");
    assert_string_equal(ask(&keys, GOSSIP_KEY_USE, 2, 6), "");
    assert_string_equal(ask(&keys, GOSSIP_KEY_REMOVE, 2, 7),
                        "Removing the primary key is not allowed");
    assert_int_equal(gossip_keys_time(&keys), 6); /* a refusal is no change */
    assert_string_equal(ask(&keys, GOSSIP_KEY_REMOVE, 1, 8), "");
    assert_int_equal(keys.ring.count, 1);
    assert_true(has(&keys.ring, 2));
    assert_true(has(&keys.retired, 1));
    assert_int_equal(gossip_keys_time(&keys), 8);
    assert_int_equal(keys.used, 6);
    assert_string_equal(ask(&keys, GOSSIP_KEY_REMOVE, 1, 9), ""); /* asked again: as it was */
    assert_true(has(&keys.retired, 1));
}

static void a_key_that_is_installed_again_is_no_old_one(void **unused)
{
    struct gossip_keys keys = keys_of(1);

    (void)unused;
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 1);
    (void)ask(&keys, GOSSIP_KEY_REMOVE, 2, 2);
    assert_true(has(&keys.retired, 2));
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 3);
    assert_int_equal(keys.retired.count, 0);
    assert_true(has(&keys.ring, 2));
}

static void an_older_use_does_not_undo_a_later_one(void **unused)
{
    struct gossip_keys keys = keys_of(1);

    (void)unused;
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 1);
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 3, 2);
    assert_string_equal(ask(&keys, GOSSIP_KEY_USE, 3, 9), "");
    assert_string_equal(ask(&keys, GOSSIP_KEY_USE, 2, 8),
                        "a later change of the primary key was made already");
    struct gossip_key third = key_of(3);

    assert_true(gossip_key_eq(&keys.ring.keys[0], &third));
}

static void without_a_ring_there_is_nothing_to_change(void **unused)
{
    struct gossip_keys keys = { .used = 0 };

    (void)unused;
    assert_string_equal(ask(&keys, GOSSIP_KEY_INSTALL, 1, 1),
                        "No keyring to modify (encryption not enabled)");
    assert_string_equal(ask(&keys, GOSSIP_KEY_LIST, 1, 1),
                        "Keyring is empty (encryption not enabled)");
    assert_int_equal(keys.ring.count, 0);
}

static bool is_primary(const struct gossip_keys *keys, uint8_t fill)
{
    struct gossip_key key = key_of(fill);

    return gossip_key_eq(&keys->ring.keys[0], &key);
}

static void nobody_gets_or_loses_a_ring_by_being_told(void **unused)
{
    struct gossip_keys mine = keys_of(1);
    struct gossip_keys none = { .used = 0 };
    struct gossip_keys theirs = keys_of(2);

    (void)unused;
    assert_false(gossip_keys_take(&mine, &theirs)); /* that key is their own affair */
    assert_true(is_primary(&mine, 1));
    assert_int_equal(mine.ring.count, 1);
    (void)ask(&theirs, GOSSIP_KEY_USE, 2, 9);
    assert_false(gossip_keys_take(&none, &theirs));
    theirs.ring.count = 0;
    assert_false(gossip_keys_take(&mine, &theirs));
}

/* A day of three members: who hears what, and what all have once they have told each other. */
struct heard {
    enum gossip_key_op op;
    uint8_t key;
    const char *by; /* of "abc" */
};

static void everybody_tells(struct gossip_keys all[3])
{
    for (size_t i = 0; i < 9; i++) {
        (void)gossip_keys_take(&all[i % 3], &all[i / 3]);
    }
}

static void what_was_missed_is_made_up_for(void **unused)
{
    static const struct {
        const char *why;
        struct heard heard[7]; /* in this order, a unit of time each */
        const char *ring;      /* of all, primary first; in any order behind it */
    } rows[] = {
        // clang-format off
        { "nothing was missed", { { GOSSIP_KEY_INSTALL, 2, "abc" } }, "12" },
        { "an install", { { GOSSIP_KEY_INSTALL, 2, "ab" } }, "12" },
        { "a use", { { GOSSIP_KEY_INSTALL, 2, "abc" }, { GOSSIP_KEY_USE, 2, "a" } }, "21" },
        { "a removal, and not what came after it",
          { { GOSSIP_KEY_INSTALL, 2, "abc" }, { GOSSIP_KEY_USE, 2, "abc" },
            { GOSSIP_KEY_REMOVE, 1, "ab" }, { GOSSIP_KEY_INSTALL, 3, "abc" } }, "23" },
        { "each something else",
          { { GOSSIP_KEY_INSTALL, 2, "bc" }, { GOSSIP_KEY_INSTALL, 3, "ac" }, { GOSSIP_KEY_USE, 3, "ac" },
            { GOSSIP_KEY_REMOVE, 1, "c" }, { GOSSIP_KEY_REMOVE, 2, "b" } }, "3" },
        { "a rotation while away, but not the next install",
          { { GOSSIP_KEY_INSTALL, 2, "abc" }, { GOSSIP_KEY_USE, 2, "ab" },
            { GOSSIP_KEY_REMOVE, 1, "ab" }, { GOSSIP_KEY_INSTALL, 3, "c" } }, "23" },
        { "a removal that was taken back",
          { { GOSSIP_KEY_INSTALL, 2, "abc" }, { GOSSIP_KEY_REMOVE, 2, "ab" },
            { GOSSIP_KEY_INSTALL, 2, "b" } }, "12" },
        { "a use here, a removal there",
          { { GOSSIP_KEY_INSTALL, 2, "abc" }, { GOSSIP_KEY_USE, 2, "a" },
            { GOSSIP_KEY_REMOVE, 2, "c" } }, "21" },
        { "the same, and the next key",
          { { GOSSIP_KEY_INSTALL, 2, "abc" }, { GOSSIP_KEY_INSTALL, 3, "abc" }, { GOSSIP_KEY_USE, 2, "a" },
            { GOSSIP_KEY_REMOVE, 2, "c" }, { GOSSIP_KEY_USE, 3, "b" } }, "31" },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip_keys all[3] = { keys_of(1), keys_of(1), keys_of(1) };

        for (size_t at = 0; at < MU_LEN(rows[i].heard) && rows[i].heard[at].by != NULL; at++) {
            const struct heard *h = &rows[i].heard[at];

            for (const char *who = h->by; *who != '\0'; who++) {
                assert_string_equal(ask(&all[*who - 'a'], h->op, h->key, at + 1), "");
            }
        }
        everybody_tells(all);
        for (size_t m = 0; m < MU_LEN(all); m++) {
            bool right = all[m].ring.count == strlen(rows[i].ring) &&
                         is_primary(&all[m], (uint8_t)(rows[i].ring[0] - '0'));

            for (const char *key = rows[i].ring; *key != '\0'; key++) {
                right = right && has(&all[m].ring, (uint8_t)(*key - '0'));
            }
            if (!right || gossip_keys_digest(&all[m]) != gossip_keys_digest(&all[0])) {
                fail_msg("%s: member %zu has %zu keys", rows[i].why, m, all[m].ring.count);
            }
            assert_false(gossip_keys_take(&all[m], &all[(m + 1) % 3]));
        }
    }
}

static void what_comes_late_is_refused(void **unused)
{
    struct gossip_keys keys = keys_of(1);

    (void)unused;
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 5);
    assert_string_equal(ask(&keys, GOSSIP_KEY_REMOVE, 2, 4),
                        "a later change of this key was made already");
    assert_string_equal(ask(&keys, GOSSIP_KEY_REMOVE, 2, 5), ""); /* at once: it goes */
    assert_string_equal(ask(&keys, GOSSIP_KEY_INSTALL, 2, 5),
                        "a later change of this key was made already");
    assert_string_equal(ask(&keys, GOSSIP_KEY_INSTALL, 2, 6), "");
    assert_string_equal(ask(&keys, GOSSIP_KEY_INSTALL, 2, 4), ""); /* it is there */
    assert_int_equal(gossip_keys_time(&keys), 6);
}

/* Two ask at the same time for another primary key: all end with the same one. */
static void of_two_uses_at_once_one_wins_everywhere(void **unused)
{
    struct gossip_keys both[2] = { keys_of(1), keys_of(1) };

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        (void)ask(&both[i], GOSSIP_KEY_INSTALL, 2, 1);
        (void)ask(&both[i], GOSSIP_KEY_INSTALL, 3, 2);
        (void)ask(&both[i], GOSSIP_KEY_USE, (uint8_t)(2 + i), 3);
        (void)ask(&both[i], GOSSIP_KEY_USE, (uint8_t)(3 - i), 3);
    }
    assert_true(gossip_key_eq(&both[0].ring.keys[0], &both[1].ring.keys[0]));
    both[1] = both[0];
    uint8_t other = is_primary(&both[0], 2) ? 3 : 2;

    (void)ask(&both[0], GOSSIP_KEY_USE, 2, 7);
    (void)ask(&both[1], GOSSIP_KEY_USE, 3, 7);
    (void)gossip_keys_take(&both[0], &both[1]);
    (void)gossip_keys_take(&both[1], &both[0]);
    assert_true(is_primary(&both[0], other == 3 ? 2 : 3));
    assert_true(is_primary(&both[1], other == 3 ? 2 : 3));
}

/* Removals are forgotten one day; a key from before that day does not come back with who kept it.
 */
static void a_key_does_not_come_back_after_its_removal_was_forgotten(void **unused)
{
    struct gossip_keys mine = keys_of(1);
    struct gossip_keys away = keys_of(1);
    uint64_t ltime = 1;

    (void)unused;
    (void)ask(&mine, GOSSIP_KEY_INSTALL, 2, ltime);
    (void)ask(&away, GOSSIP_KEY_INSTALL, 2, ltime++);
    (void)ask(&mine, GOSSIP_KEY_REMOVE, 2, ltime++);
    for (uint8_t fill = 10; fill < 10 + GOSSIP_KEY_MARKS_MAX; fill++) {
        (void)ask(&mine, GOSSIP_KEY_INSTALL, fill, ltime++);
        (void)ask(&mine, GOSSIP_KEY_USE, fill, ltime++);
        if (fill > 10) {
            (void)ask(&mine, GOSSIP_KEY_REMOVE, (uint8_t)(fill - 1), ltime++);
        }
    }
    assert_true(mine.forgotten >= 2);
    assert_true(mine.marks_count <= GOSSIP_KEY_MARKS_MAX);
    assert_false(gossip_keys_take(&mine, &away));
    assert_true(gossip_keys_take(&away, &mine));
    assert_false(has(&away.ring, 2));
    assert_true(is_primary(&away, 9 + GOSSIP_KEY_MARKS_MAX));
    assert_int_equal(gossip_keys_digest(&away), gossip_keys_digest(&mine));
}

static void more_keys_than_fit_leave_the_latest_at_all(void **unused)
{
    struct gossip_keys all[3] = { keys_of(1), keys_of(1), keys_of(1) };

    (void)unused;
    for (uint8_t i = 2; i < 2 + 2 * (GOSSIP_KEYS_MAX - 1); i++) {
        (void)ask(&all[i % 2], GOSSIP_KEY_INSTALL, i, i);
    }
    everybody_tells(all);
    everybody_tells(all);
    for (size_t m = 0; m < MU_LEN(all); m++) {
        assert_int_equal(all[m].ring.count, GOSSIP_KEYS_MAX);
        assert_true(is_primary(&all[m], 1)); /* which never changed */
        assert_true(has(&all[m].ring, 2 * GOSSIP_KEYS_MAX - 1));
        assert_false(has(&all[m].ring, 2));
        assert_int_equal(gossip_keys_digest(&all[m]), gossip_keys_digest(&all[0]));
    }
}

/* Any changes, heard by any of three members, some late, who tell each other now and then. */
static void any_history_ends_with_the_same_keys(void **unused)
{
    struct mu_rand r;

    (void)unused;
    mu_rand_seed(&r, 11);
    for (size_t run = 0; run < 60; run++) {
        struct gossip_keys all[3] = { keys_of(1), keys_of(1), keys_of(1) };
        uint64_t kinds = 2 + mu_rand_below(&r, 60);

        for (uint64_t ltime = 2; ltime < 150; ltime++) {
            enum gossip_key_op op = (enum gossip_key_op)mu_rand_below(&r, GOSSIP_KEY_LIST);
            uint8_t fill = (uint8_t)(2 + mu_rand_below(&r, kinds));

            for (size_t m = 0; m < MU_LEN(all); m++) {
                if (mu_rand_below(&r, 3) > 0) {
                    (void)ask(&all[m], op, fill, ltime - mu_rand_below(&r, 2));
                }
            }
            (void)gossip_keys_take(&all[mu_rand_below(&r, 3)], &all[mu_rand_below(&r, 3)]);
        }
        everybody_tells(all);
        everybody_tells(all);
        for (size_t m = 0; m < MU_LEN(all); m++) {
            struct gossip_key first = all[0].ring.keys[0];

            assert_int_equal(gossip_keys_digest(&all[m]), gossip_keys_digest(&all[0]));
            assert_true(gossip_key_eq(&all[m].ring.keys[0], &first));
            for (size_t k = 0; k < all[m].ring.count; k++) { /* key 1 has no time: not told */
                uint8_t fill = all[m].ring.keys[k].bytes[0];

                assert_true(fill == 1 || has(&all[0].ring, fill));
            }
        }
    }
}

static void old_keys_go_when_nobody_is_away_or_time_is_over(void **unused)
{
    static const struct {
        const char *why;
        bool anybody_away;
        uint64_t later_s;
        bool stays;
    } rows[] = {
        // clang-format off
        { "who is away may pass for alive yet", false, GOSSIP_RETIRED_MIN_S,     true },
        { "nobody is away",                     false, GOSSIP_RETIRED_MIN_S + 1, false },
        { "somebody is away",                   true,  GOSSIP_RETIRED_S,         true },
        { "it is too long ago",                 true,  GOSSIP_RETIRED_S + 1,     false },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip_keys keys = keys_of(1);

        (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 1);
        (void)ask(&keys, GOSSIP_KEY_REMOVE, 2, 2);
        bool changed = gossip_keys_expire(&keys, rows[i].anybody_away, NOW_S + rows[i].later_s);

        if (changed == rows[i].stays || has(&keys.retired, 2) != rows[i].stays) {
            fail_msg("%s", rows[i].why);
        }
    }
}

static void what_stands_beside_the_ring_is_read_back(void **unused)
{
    struct gossip_keys keys = keys_of(1);
    struct gossip_keys again;
    struct mu_buf text = MU_BUF_NONE;

    (void)unused;
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 3);
    (void)ask(&keys, GOSSIP_KEY_USE, 2, 4);
    (void)ask(&keys, GOSSIP_KEY_REMOVE, 1, 5);
    keys.forgotten = 1;
    again = keys_of(2);
    gossip_keys_encode(&keys, &text);
    assert_int_equal(gossip_keys_decode(mu_buf_span(&text), &again, NULL), MU_OK);
    assert_int_equal(gossip_keys_digest(&again), gossip_keys_digest(&keys));
    assert_int_equal(again.used, 4);
    assert_int_equal(again.forgotten, 1);
    assert_memory_equal(&again.retired, &keys.retired, sizeof keys.retired);
    assert_memory_equal(again.retired_s, keys.retired_s, sizeof keys.retired_s);
    for (size_t i = 0; i + 1 < text.bytes; i++) {
        assert_int_not_equal(gossip_keys_decode(mu_span_of(text.data, i), &again, NULL), MU_OK);
    }
    mu_buf_deinit(&text);
}

/* The file of the ring was written, and then came the crash; or somebody edited it. */
static void times_that_do_not_fit_the_ring_are_dropped(void **unused)
{
    struct gossip_keys keys = keys_of(1);
    struct gossip_keys again = keys_of(3);
    struct mu_buf text = MU_BUF_NONE;

    (void)unused;
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 3);
    (void)ask(&keys, GOSSIP_KEY_USE, 2, 4);
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 3, 5);
    (void)ask(&keys, GOSSIP_KEY_REMOVE, 3, 6);
    gossip_keys_encode(&keys, &text);
    assert_int_equal(gossip_keys_decode(mu_buf_span(&text), &again, NULL), MU_OK);
    assert_int_equal(again.marks_count, 0);
    assert_int_equal(again.used, 0); /* of another key than the first one now */
    assert_true(gossip_keys_take(&again, &keys));
    assert_true(is_primary(&again, 2));
    assert_int_equal(again.ring.count, 1); /* 3 was removed, and 1 is the other's own affair */
    assert_int_equal(gossip_keys_digest(&again), gossip_keys_digest(&keys));
    mu_buf_deinit(&text);

    static const char of_an_earlier_version[] = "{\"Version\":6,\"Used\":4,\"Retired\":[]}";

    again = keys_of(2);
    assert_int_equal(gossip_keys_decode(mu_span_text(of_an_earlier_version), &again, NULL), MU_OK);
    assert_int_equal(gossip_keys_time(&again), 0);
}

/* -- answers ------------------------------------------------------------------------------------
 */

static struct mu_buf answer_of(bool is_ok, const char *text, uint8_t first, size_t count)
{
    struct gossip_key_answer a = { .is_ok = is_ok, .ring = { .count = count } };
    struct mu_buf bytes = MU_BUF_NONE;

    (void)snprintf(a.text, sizeof a.text, "%s", text);
    for (size_t i = 0; i < count; i++) {
        a.ring.keys[i] = key_of((uint8_t)(first + i));
    }
    gossip_key_answer_encode(&a, &bytes);
    return bytes;
}

static void answers_add_up(void **unused)
{
    static const struct {
        const char *from;
        bool is_ok;
        const char *text;
        uint8_t first;
    } rows[] = {
        { "a", true, "", 1 }, { "b", true, "", 2 }, { "c", false, "no", 1 }, { "d", true, "", 1 }
    };
    struct gossip_key_report r;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 0);
    gossip_key_report_init(&r, GOSSIP_KEY_LIST, 3, &arena);
    assert_int_equal(gossip_key_report_end(&r, &err), MU_TIMEOUT);
    assert_string_equal(err.text, "0/3 nodes reported success");
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_buf bytes = answer_of(rows[i].is_ok, rows[i].text, rows[i].first, 2);

        assert_int_equal(gossip_key_report_is_whole(&r), i == 3);
        gossip_key_report_add(&r, rows[i].from, mu_buf_span(&bytes));
        mu_buf_deinit(&bytes);
    }
    assert_int_equal(r.responses, 3); /* the fourth was not asked */
    assert_int_equal(r.keys_count, 3);
    assert_int_equal(r.keys[0].holders, 1);
    assert_int_equal(r.keys[1].holders, 2); /* the second of a, the first of b */
    assert_int_equal(r.keys[1].primaries, 1);
    assert_int_equal(r.messages.count, 1);
    assert_int_equal(gossip_key_report_end(&r, &err), MU_CONFLICT);
    assert_string_equal(err.text, "1/3 nodes reported failure");
    mu_arena_deinit(&arena);
}

static void an_answer_that_is_none_counts_as_a_failure(void **unused)
{
    struct gossip_key_report r;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 0);
    gossip_key_report_init(&r, GOSSIP_KEY_USE, 1, &arena);
    gossip_key_report_add(&r, "a", MU_SPAN_LIT("\x0a\xff"));
    assert_int_equal(gossip_key_report_end(&r, &err), MU_CONFLICT);
    assert_true(mu_span_eq_text(r.messages.items[0].value, "Failed to decode key query response"));
    mu_arena_deinit(&arena);
}

static void a_full_ring_fits_an_answer(void **unused)
{
    struct gossip_key_answer back;
    struct mu_buf bytes = answer_of(true, "", 1, GOSSIP_KEYS_MAX);

    (void)unused;
    assert_true(bytes.bytes < GOSSIP_RESPONSE_BYTES - 200);
    assert_true(gossip_key_answer_decode(mu_buf_span(&bytes), &back));
    assert_int_equal(back.ring.count, GOSSIP_KEYS_MAX);
    for (size_t i = 0; i < bytes.bytes; i++) { /* every truncation is refused or is a valid one */
        (void)gossip_key_answer_decode(mu_span_of(bytes.data, i), &back);
    }
    mu_buf_deinit(&bytes);
}

static void names_of_queries_are_those_of_serf(void **unused)
{
    enum gossip_key_op op;

    (void)unused;
    assert_string_equal(gossip_key_query_name(GOSSIP_KEY_LIST), "_serf_list-keys");
    assert_true(gossip_key_op_of("_serf_remove-key", &op));
    assert_int_equal(op, GOSSIP_KEY_REMOVE);
    assert_false(gossip_key_op_of("_serf_ping", &op));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_leaves_the_new_key_and_keeps_the_old_one_aside),
        cmocka_unit_test(a_key_that_is_installed_again_is_no_old_one),
        cmocka_unit_test(an_older_use_does_not_undo_a_later_one),
        cmocka_unit_test(without_a_ring_there_is_nothing_to_change),
        cmocka_unit_test(nobody_gets_or_loses_a_ring_by_being_told),
        cmocka_unit_test(what_was_missed_is_made_up_for),
        cmocka_unit_test(what_comes_late_is_refused),
        cmocka_unit_test(of_two_uses_at_once_one_wins_everywhere),
        cmocka_unit_test(a_key_does_not_come_back_after_its_removal_was_forgotten),
        cmocka_unit_test(more_keys_than_fit_leave_the_latest_at_all),
        cmocka_unit_test(any_history_ends_with_the_same_keys),
        cmocka_unit_test(old_keys_go_when_nobody_is_away_or_time_is_over),
        cmocka_unit_test(what_stands_beside_the_ring_is_read_back),
        cmocka_unit_test(times_that_do_not_fit_the_ring_are_dropped),
        cmocka_unit_test(answers_add_up),
        cmocka_unit_test(an_answer_that_is_none_counts_as_a_failure),
        cmocka_unit_test(a_full_ring_fits_an_answer),
        cmocka_unit_test(names_of_queries_are_those_of_serf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
