/* Bundles and peers as text, and the judgement on who may go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/recovery.h"
#include "base/assert.h"
#include "base/clock.h"

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = n;
    return id;
}

/* What server n holds: an intact log of the same cluster as everybody's. */
static struct recovery_position position(uint8_t n)
{
    struct recovery_position p = {
        .server = id_of(n),
        .disk = id_of((uint8_t)(n + 100)),
        .cluster = id_of(9),
        .term = 5,
        .last_term = 4,
        .last_index = 70,
        .chain = 0xfeedbeef,
        .applied_index = 69,
        .state_hash = { 1, 2, 0xff },
        .config_index = 3,
        .servers_count = 2,
    };

    p.servers[0] = (struct recovery_server){ id_of(1), id_of(101), true, "10.0.0.1:8300" };
    p.servers[1] = (struct recovery_server){ id_of(2), id_of(102), false, "" };
    return p;
}

static void a_bundle_comes_back_as_it_was(void **state)
{
    struct recovery_position p = position(1), q;
    struct mu_buf text = MU_BUF_NONE, again = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    recovery_position_write(&p, &text);
    if (recovery_position_read(mu_buf_span(&text), &q, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    recovery_position_write(&q, &again);
    assert_string_equal(mu_buf_text(&text), mu_buf_text(&again));
    assert_int_equal(q.chain, 0xfeedbeef);
    assert_string_equal(q.servers[0].address, "10.0.0.1:8300");
    assert_string_equal(q.servers[1].address, "");
    mu_buf_deinit(&text);
    mu_buf_deinit(&again);
}

static void no_byte_of_a_bundle_can_change_or_be_missing(void **state)
{
    struct recovery_position p = position(1), q;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    recovery_position_write(&p, &text);
    for (size_t i = 0; i < text.bytes; i++) {
        text.data[i] ^= 1;
        assert_int_equal(recovery_position_read(mu_buf_span(&text), &q, &err), MU_INVALID);
        text.data[i] ^= 1;
        assert_int_equal(recovery_position_read(mu_span_of(text.data, i), &q, &err), MU_INVALID);
    }
    mu_buf_deinit(&text);
}

static void peers_are_read_as_consul_writes_them(void **state)
{
    static const struct {
        const char *why, *text;
        enum mu_code code;
        size_t count;
    } cases[] = {
        // clang-format off
        { "two, in the order of ids", "[{\"id\":\"02000000-0000-0000-0000-000000000000\",\"address\":\"b:1\",\"non_voter\":true},{\"id\":\"01000000-0000-0000-0000-000000000000\",\"address\":\"a:1\"}]", MU_OK, 2 },
        { "addresses alone", "[\"10.0.0.1:8300\"]", MU_INVALID, 0 },
        { "nobody", "[]", MU_INVALID, 0 },
        { "no list", "{}", MU_INVALID, 0 },
        { "no id", "[{\"address\":\"a:1\"}]", MU_INVALID, 0 },
        { "one twice", "[{\"id\":\"01000000-0000-0000-0000-000000000000\"},{\"id\":\"01000000-0000-0000-0000-000000000000\"}]", MU_INVALID, 0 },
        { "an unknown member", "[{\"id\":\"01000000-0000-0000-0000-000000000000\",\"suffrage\":1}]", MU_INVALID, 0 },
        { "no JSON", "id", MU_INVALID, 0 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct recovery_peers peers;
        struct mu_err err = MU_ERR_NONE;
        enum mu_code code = recovery_peers_read(mu_span_text(cases[i].text), &peers, &err);

        if (code != cases[i].code || (code == MU_OK && peers.count != cases[i].count)) {
            fail_msg("%s: %s (%s)", cases[i].why, mu_code_text(code), err.text);
        }
        if (code == MU_OK) {
            assert_int_equal(peers.items[0].id.b[0], 1);
            assert_true(peers.items[0].is_voter);
            assert_false(peers.items[1].is_voter);
        }
    }
}

/* -- the judgement ----------------------------------------------------------------------------- */

typedef void change_fn(struct recovery_position *own, struct recovery_position *other);

static void nothing(struct recovery_position *own, struct recovery_position *other)
{
    (void)own;
    (void)other;
}

static void other_is_longer(struct recovery_position *own, struct recovery_position *other)
{
    (void)own;
    other->last_index++;
}

static void other_is_newer(struct recovery_position *own, struct recovery_position *other)
{
    (void)own;
    other->last_term++;
    other->last_index = 1;
}

static void own_is_longer(struct recovery_position *own, struct recovery_position *other)
{
    (void)other;
    own->last_index++;
}

static void chains_differ(struct recovery_position *own, struct recovery_position *other)
{
    (void)own;
    other->chain++;
}

static void other_was_recovered(struct recovery_position *own, struct recovery_position *other)
{
    (void)own;
    other->epoch = 1;
}

static void other_was_left_behind(struct recovery_position *own, struct recovery_position *other)
{
    own->epoch = 1;
    other->last_term += 10; /* it went on by itself, in the epoch that was given up */
}

static void other_is_a_stranger(struct recovery_position *own, struct recovery_position *other)
{
    (void)own;
    other->cluster = id_of(8);
}

static void own_has_no_cluster(struct recovery_position *own, struct recovery_position *other)
{
    own->cluster = MU_ID_NONE;
    (void)other;
}

static void own_is_damaged(struct recovery_position *own, struct recovery_position *other)
{
    (void)other;
    memcpy(own->damage, "rot", 4);
}

static void only_what_loses_and_splits_nothing_may_go_on(void **state)
{
    static const struct {
        const char *why;
        change_fn *change;
        size_t peers, bundles;
        bool is_forced;
        const char *refusal; /* a part of the text; NULL: it may */
    } cases[] = {
        // clang-format off
        { "alone, nothing known of others",   nothing,             1, 0, false, NULL },
        { "alone, the other is equal",        nothing,             1, 1, false, NULL },
        { "alone, the other goes further",    other_is_longer,     1, 1, false, "goes further" },
        { "the newer term goes further",      other_is_newer,      1, 1, false, "goes further" },
        { "unless it is forced",              other_is_longer,     1, 1, true,  NULL },
        { "alone, and the longest",           own_is_longer,       1, 1, false, NULL },
        { "together, equal",                  nothing,             2, 1, false, NULL },
        { "together, without proof",          nothing,             2, 0, false, "needs the bundle of each" },
        { "together, one shorter",            own_is_longer,       2, 1, false, "does not end as this one does" },
        { "together, forks of equal length",  chains_differ,       2, 1, false, "does not end as this one does" },
        { "forced, forks stay forks",         chains_differ,       2, 1, true,  "does not end as this one does" },
        { "recovered elsewhere already",      other_was_recovered, 1, 1, true,  "was recovered already" },
        { "the other is of an older epoch",   other_was_left_behind, 1, 1, false, NULL },
        { "another cluster's bundle",         other_is_a_stranger, 1, 1, true,  "of another cluster" },
        { "never had a cluster",              own_has_no_cluster,  1, 0, true,  "nothing to recover" },
        { "damaged",                          own_is_damaged,      1, 0, true,  "is damaged: rot" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct recovery_position own = position(1), other = position(2);
        struct recovery_peers peers = { .count = cases[i].peers };
        struct mu_err err = MU_ERR_NONE;

        for (uint8_t k = 0; k < 2; k++) {
            peers.items[k].id = id_of((uint8_t)(k + 1));
            peers.items[k].is_voter = true;
        }
        cases[i].change(&own, &other);
        enum mu_code rc =
            recovery_judge(&own, &peers, &other, cases[i].bundles, cases[i].is_forced, &err);

        if (cases[i].refusal == NULL
                ? rc != MU_OK
                : rc != MU_CONFLICT || strstr(err.text, cases[i].refusal) == NULL) {
            fail_msg("%s: %s (%s)", cases[i].why, mu_code_text(rc), err.text);
        }
    }
}

static void who_is_not_named_does_not_go_on(void **state)
{
    struct recovery_position own = position(3);
    struct recovery_peers peers = { .count = 1 };
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    peers.items[0].id = id_of(1);
    peers.items[0].is_voter = true;
    assert_int_equal(recovery_judge(&own, &peers, NULL, 0, true, &err), MU_CONFLICT);
    assert_non_null(strstr(err.text, "is not among the voters to be"));
    peers.items[0].id = id_of(3);
    peers.items[0].is_voter = false;
    assert_int_equal(recovery_judge(&own, &peers, NULL, 0, true, &err), MU_CONFLICT);
}

/* Those that stood back take part again: whatever was agreed upon is over. */
static void it_goes_on_in_time_or_not_at_all(void **state)
{
    const char *nowhere = "/proc/self/no-such-directory";
    struct recovery_order order = { .own = position(1), .epoch = 1 };
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    order.until_ms = mu_clock_ms();
    assert_int_equal(recovery_go_on(nowhere, &order, &err), MU_CONFLICT);
    assert_non_null(strstr(err.text, "it took so long that the others take part as before"));
    order.until_ms = mu_clock_ms() + 600000;
    assert_int_equal(recovery_go_on(nowhere, &order, &err), MU_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bundle_comes_back_as_it_was),
        cmocka_unit_test(no_byte_of_a_bundle_can_change_or_be_missing),
        cmocka_unit_test(peers_are_read_as_consul_writes_them),
        cmocka_unit_test(only_what_loses_and_splits_nothing_may_go_on),
        cmocka_unit_test(who_is_not_named_does_not_go_on),
        cmocka_unit_test(it_goes_on_in_time_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
