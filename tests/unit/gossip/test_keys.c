/* What a member does when keys are changed through the cluster, and how the answers add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
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
    assert_int_equal(keys.version, 6); /* a refusal is no change */
    assert_string_equal(ask(&keys, GOSSIP_KEY_REMOVE, 1, 8), "");
    assert_int_equal(keys.ring.count, 1);
    assert_true(has(&keys.ring, 2));
    assert_true(has(&keys.retired, 1));
    assert_int_equal(keys.version, 8);
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
    struct gossip_keys keys = { .version = 0 };

    (void)unused;
    assert_string_equal(ask(&keys, GOSSIP_KEY_INSTALL, 1, 1),
                        "No keyring to modify (encryption not enabled)");
    assert_string_equal(ask(&keys, GOSSIP_KEY_LIST, 1, 1),
                        "Keyring is empty (encryption not enabled)");
    assert_int_equal(keys.ring.count, 0);
}

static void of_two_rings_the_later_one_is_right(void **unused)
{
    struct gossip_keys mine = keys_of(1);
    struct gossip_keys theirs = keys_of(2);

    (void)unused;
    mine.version = theirs.version = 4;
    assert_false(gossip_keys_take(&mine, &theirs));
    assert_true(has(&mine.ring, 1));
    theirs.version = 5;
    assert_true(gossip_keys_take(&mine, &theirs));
    assert_true(has(&mine.ring, 2));
    assert_false(has(&mine.ring, 1));
    theirs = (struct gossip_keys){ .version = 9 }; /* nobody is made to speak in clear */
    assert_false(gossip_keys_take(&mine, &theirs));
    struct gossip_keys none = { .version = 0 }; /* nor to seal who was not meant to */

    theirs = keys_of(3);
    theirs.version = 10;
    assert_false(gossip_keys_take(&none, &theirs));
}

static void a_later_use_is_taken_though_ours_changed_as_late(void **unused)
{
    struct gossip_keys mine = keys_of(1);
    struct gossip_keys theirs = keys_of(1);

    (void)unused;
    (void)ask(&mine, GOSSIP_KEY_INSTALL, 2, 1);
    (void)ask(&theirs, GOSSIP_KEY_INSTALL, 2, 1);
    (void)ask(&theirs, GOSSIP_KEY_USE, 2, 2); /* these two while we were away */
    (void)ask(&theirs, GOSSIP_KEY_REMOVE, 1, 3);
    (void)ask(&mine, GOSSIP_KEY_INSTALL, 3, 4); /* heard before anybody told us of them */
    assert_false(gossip_keys_take(&theirs, &mine));
    assert_true(gossip_keys_take(&mine, &theirs));
    struct gossip_key second = key_of(2);

    assert_true(gossip_key_eq(&mine.ring.keys[0], &second));
    assert_int_equal(mine.ring.count, 2);
    assert_true(has(&mine.ring, 3)); /* they have not heard of it */
    assert_false(has(&mine.ring, 1));
    assert_true(has(&mine.retired, 1));
    assert_int_equal(mine.version, 4);
    assert_int_equal(mine.used, 2);
    assert_false(gossip_keys_take(&mine, &theirs));
    theirs.used = 9; /* no `use` is later than the last change */
    assert_false(gossip_keys_take(&mine, &theirs));
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
    struct gossip_keys again = keys_of(1);
    struct mu_buf text = MU_BUF_NONE;

    (void)unused;
    (void)ask(&keys, GOSSIP_KEY_INSTALL, 2, 3);
    (void)ask(&keys, GOSSIP_KEY_REMOVE, 2, 4);
    gossip_keys_encode(&keys, &text);
    assert_int_equal(gossip_keys_decode(mu_buf_span(&text), &again, NULL), MU_OK);
    assert_memory_equal(&keys, &again, sizeof keys);
    for (size_t i = 0; i + 1 < text.bytes; i++) {
        assert_int_not_equal(gossip_keys_decode(mu_span_of(text.data, i), &again, NULL), MU_OK);
    }
    mu_buf_deinit(&text);
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
        cmocka_unit_test(of_two_rings_the_later_one_is_right),
        cmocka_unit_test(a_later_use_is_taken_though_ours_changed_as_late),
        cmocka_unit_test(old_keys_go_when_nobody_is_away_or_time_is_over),
        cmocka_unit_test(what_stands_beside_the_ring_is_read_back),
        cmocka_unit_test(answers_add_up),
        cmocka_unit_test(an_answer_that_is_none_counts_as_a_failure),
        cmocka_unit_test(a_full_ring_fits_an_answer),
        cmocka_unit_test(names_of_queries_are_those_of_serf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
