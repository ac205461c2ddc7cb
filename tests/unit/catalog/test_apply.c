/* Entries that no honest log holds, rows that are not what they should be, and bounds. What entries
 * normally do stands in the transcripts. */
#include "fixture.h"

static void entries_that_are_no_commands_of_ours_stop_it(void **state)
{
    /* kind 100; version 2 of kind 3; no protobuf at all */
    static const struct {
        struct mu_span bytes;
        enum mu_code code;
        const char *text;
    } cases[] = {
        { MU_SPAN_LIT("\x08\x64\x10\x01"), MU_UNSUPPORTED,
          "entry 1: command kind 100 is not known" },
        { MU_SPAN_LIT("\x08\x03\x10\x02"), MU_UNSUPPORTED, "entry 1: version 2 of command" },
        { MU_SPAN_LIT("garbage"), MU_CORRUPT, "entry 1: these 7 bytes are no command" },
    };
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct catalog_result result;

        fixture_begin(&f);
        assert_int_equal(catalog_apply(f.catalog, 1, 1, cases[i].bytes, &result, &err),
                         cases[i].code);
        assert_non_null(strstr(err.text, cases[i].text));
        catalog_rollback(f.catalog);
        assert_int_equal(catalog_applied(f.catalog).index, 0);
    }
    fixture_deinit(&f);
}

/* A body that no honest peer sends: every server refuses it, none stops. */
static void a_malformed_body_is_refused_like_any_bad_command(void **state)
{
    struct mu_span bytes = MU_SPAN_LIT("\x08\x03\x10\x01\x20\x07\x2a\x02\x0a\x05");
    struct catalog_result result;
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    fixture_begin(&f);
    assert_int_equal(catalog_apply(f.catalog, 1, 1, bytes, &result, NULL), MU_OK);
    assert_int_equal(result.code, MU_INVALID);
    assert_string_equal(result.text, "kv-set: bad body: malformed");
    catalog_result_free(&result);
    catalog_changes_free(fixture_commit(&f));
    assert_int_equal(catalog_applied(f.catalog).index, 1);
    assert_int_equal(catalog_applied(f.catalog).stamp_ms, 0);
    fixture_deinit(&f);
}

/* Rows that other rows rely on, taken away behind our back. */
static void missing_rows_are_corruption(void **state)
{
    struct mu_err why = MU_ERR_NONE;
    struct catalog_instances instances;
    struct catalog_checks checks;
    struct command_check check = { .id = MU_SPAN_LIT("c") };
    struct command c = { .kind = COMMAND_REGISTER };
    struct mu_buf bytes = MU_BUF_NONE;
    struct catalog_result result;
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    fixture_put(&f, "a", "1");
    c.reg.node.name = MU_SPAN_LIT("n1");
    c.reg.node.address = MU_SPAN_LIT("10.0.0.1");
    c.reg.has_service = true;
    c.reg.service.name = MU_SPAN_LIT("web");
    c.reg.checks = &check;
    c.reg.checks_count = 1;
    fixture_do(&f, &c);
    (void)fixture_count(&f, "DELETE FROM nodes");
    (void)fixture_count(&f, "DELETE FROM kv_hist_1");

    assert_int_equal(catalog_query_instances(f.reader, &f.arena, MU_SPAN_LIT("web"), NULL, false,
                                             &instances, &why),
                     MU_CORRUPT);
    assert_non_null(strstr(why.text, "registered on a node 'n1' that is not there"));
    assert_int_equal(
        catalog_query_node_checks(f.reader, &f.arena, MU_SPAN_LIT("n1"), &checks, &why),
        MU_CORRUPT);
    assert_non_null(strstr(why.text, "a check of a node 'n1' that is not there"));

    c = (struct command){ .kind = COMMAND_KV_SET,
                          .kv_set = { .key = MU_SPAN_LIT("a"), .value = MU_SPAN_LIT("1") } };
    CHECK(command_encode(&c, &bytes, err));
    fixture_begin(&f);
    assert_int_equal(catalog_apply(f.catalog, 3, 1, mu_buf_span(&bytes), &result, &why),
                     MU_CORRUPT);
    assert_non_null(strstr(why.text, "version 1048576 is not in its history"));
    catalog_rollback(f.catalog);
    mu_buf_deinit(&bytes);
    fixture_deinit(&f);
}

static struct catalog_result delete_below(struct fixture *f, struct mu_span prefix)
{
    fixture_begin(f);
    struct catalog_result result =
        fixture_apply(f, &(struct command){ .kind = COMMAND_KV_DELETE,
                                            .kv_delete = { .key = prefix, .recurse = true } });

    catalog_changes_free(fixture_commit(f));
    return result;
}

/* More than are held in memory at a time, with neighbours on both sides. */
static void many_keys_are_deleted_as_one(void **state)
{
    struct catalog_kvs list;
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    fixture_put(&f, "k", "before");
    fixture_put(&f, "k0", "behind");
    for (int i = 0; i < 1000; i++) {
        char key[32];

        (void)snprintf(key, sizeof key, "k/%d", i);
        fixture_put(&f, key, "x");
    }
    struct catalog_result result = delete_below(&f, MU_SPAN_LIT("k/"));

    assert_true(result.code == MU_OK && result.did_apply);
    CHECK(catalog_query_prefix(f.reader, &f.arena, MU_SPAN_NONE, &list, err));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.index, f.index);
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM kv_hist_1 WHERE op = 1"), 1000);
    assert_int_equal(fixture_count(&f, "SELECT count(DISTINCT id >> 20) FROM kv_hist_1"), 1003);
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

/* As many as the sub-number of a revision can tell apart, and one. */
static void too_many_keys_are_refused_before_the_first(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    (void)fixture_count(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT "
                            "1048577) INSERT INTO kv_cur_1(key, id, op, idx, lock_idx, digest) "
                            "SELECT cast(printf('k%08d', i) AS BLOB), i, 0, 1, 0, 0 FROM n");
    struct catalog_result result = delete_below(&f, MU_SPAN_LIT("k"));

    assert_int_equal(result.code, MU_TOO_BIG);
    assert_string_equal(result.text, "1048577 keys in one deletion, at most 1048576 are allowed");
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM kv_hist_1"), 0);
    catalog_result_free(&result);
    fixture_deinit(&f);
}

/* The bytes of what goes are needed for the state's hash: one value at a time, not a step's. */
static void compaction_holds_one_version_at_a_time(void **state)
{
    enum { VALUE_BYTES = 64 * 1024, VERSIONS = 40 };
    struct command compact = {
        .kind = COMMAND_KV_COMPACT,
        .kv_compact = { .space = 1, .versions_rev = UINT64_MAX >> 24, .rows = 1024 },
    };
    char *value = mu_new(VALUE_BYTES + 1);
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    for (int i = 0; i < VERSIONS; i++) {
        memset(value, 'a' + i % 26, VALUE_BYTES);
        fixture_put(&f, "large", value);
    }
    fixture_begin(&f);
    struct catalog_result result = fixture_apply(&f, &compact);

    assert_int_equal(result.code, MU_OK);
    assert_true(f.catalog->arena.bytes < VALUE_BYTES);
    catalog_changes_free(fixture_commit(&f));
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM kv_hist_1"), 1);
    fixture_check_hash(&f);
    fixture_deinit(&f);
    mu_free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_that_are_no_commands_of_ours_stop_it),
        cmocka_unit_test(a_malformed_body_is_refused_like_any_bad_command),
        cmocka_unit_test(missing_rows_are_corruption),
        cmocka_unit_test(many_keys_are_deleted_as_one),
        cmocka_unit_test(too_many_keys_are_refused_before_the_first),
        cmocka_unit_test(compaction_holds_one_version_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
