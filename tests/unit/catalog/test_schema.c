/* The schema follows the level of commands. Linked with the next version (tests/next), whose
 * transactions on nodes came with level 2, schema 7 and the table that notes them. */
#include "base/crc.h"
#include "catalog/snapshot.h"
#include "fixture.h"
#include "memory_stream.h"
#include "schema.h"

#include <sodium.h>

#define OLD 6
#define NEW 7

/* A command of level 2: it takes away a node that is not there. */
static const struct command *newer(void)
{
    static struct command_node node;
    static struct command_txn_op op;
    static struct command command;

    node.name = MU_SPAN_LIT("nobody");
    op =
        (struct command_txn_op){ .verb = COMMAND_TXN_NODE_DELETE, .key = node.name, .node = &node };
    command =
        (struct command){ .kind = COMMAND_TXN_CATALOG, .txn = { .ops = &op, .ops_count = 1 } };
    return &command;
}

static void change(struct fixture *f)
{
    fixture_begin(f);
    struct catalog_result result = fixture_apply(f, newer());

    assert_int_equal(result.code, MU_OK);
    catalog_result_free(&result);
    catalog_changes_free(fixture_commit(f));
}

static void must_have(struct fixture *f, uint32_t version)
{
    struct catalog_schema s = catalog_schema(f->catalog);

    assert_int_equal(s.version, version);
    assert_int_equal(s.level, version == NEW ? 2 : 1);
    assert_int_equal(fixture_count(f, "PRAGMA user_version"), version);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'noted'"),
                     version == NEW);
    fixture_check_hash(f);
}

/* As the entry of a configuration. */
static void configure(struct fixture *f, uint32_t level)
{
    fixture_begin(f);
    struct catalog_result none = fixture_apply(f, NULL);

    assert_int_equal(none.code, MU_OK);
    CHECK(catalog_raise(f->catalog, level, err));
    catalog_changes_free(fixture_commit(f));
}

static uint64_t noted(struct fixture *f)
{
    return fixture_count(f, "SELECT count(*) FROM noted");
}

static void must_dump_alike(struct fixture *a, struct fixture *b)
{
    struct mu_buf x = MU_BUF_NONE;
    struct mu_buf y = MU_BUF_NONE;

    fixture_dump(a, &x);
    fixture_dump(b, &y);
    assert_string_equal(mu_buf_text(&x), mu_buf_text(&y));
    mu_buf_deinit(&x);
    mu_buf_deinit(&y);
}

/* -- the file ---------------------------------------------------------------------------------- */

static void it_rises_with_the_level_and_stays(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, true);
    must_have(&f, OLD);
    fixture_put(&f, "a", "1");
    fixture_reopen(&f); /* opening knows of no level above that of the file */
    must_have(&f, OLD);
    configure(&f, 1);
    must_have(&f, OLD);
    configure(&f, 2);
    must_have(&f, NEW);
    change(&f);
    assert_int_equal(noted(&f), 1);
    fixture_reopen(&f);
    must_have(&f, NEW);
    configure(&f, 1); /* a configuration of before, replayed: the level never falls */
    must_have(&f, NEW);
    configure(&f, 3); /* nothing of the file came with it */
    must_have(&f, NEW);
    change(&f);
    assert_int_equal(noted(&f), 2);
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

/* A process that dies in the middle of it leaves the file as it was, and so does a transaction that
 * is taken back, which is tried again. */
static void it_is_a_part_of_its_transaction(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    fixture_begin(&f);
    (void)fixture_apply(&f, NULL);
    CHECK(catalog_raise(f.catalog, 2, err));
    assert_int_equal(catalog_schema(f.catalog).version, NEW);
    fixture_reopen(&f);
    assert_int_equal(catalog_applied(f.catalog).index, 1);
    must_have(&f, OLD);

    for (unsigned i = 0; i < 2; i++) {
        f.index = 1;
        fixture_begin(&f);
        (void)fixture_apply(&f, NULL);
        CHECK(catalog_raise(f.catalog, 2, err));
        struct catalog_result result = fixture_apply(&f, newer());

        assert_int_equal(result.code, MU_OK);
        catalog_result_free(&result);
        catalog_rollback(f.catalog);
        must_have(&f, OLD);
    }
    f.index = 1;
    configure(&f, 2);
    change(&f);
    must_have(&f, NEW);
    assert_int_equal(noted(&f), 1);
    fixture_deinit(&f);
}

static void a_command_before_its_tables_is_no_command_of_this_state(void **state)
{
    struct mu_err why = MU_ERR_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct catalog_result result;
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    CHECK(command_encode(newer(), &bytes, err));
    fixture_begin(&f);
    assert_int_equal(catalog_apply(f.catalog, 1, 1, mu_buf_span(&bytes), &result, &why),
                     MU_CORRUPT);
    assert_string_equal(why.text, "entry 1: command 'txn-catalog' needs level 2, the state has "
                                  "schema version 6, of level 1");
    catalog_rollback(f.catalog);
    mu_buf_deinit(&bytes);
    fixture_deinit(&f);
}

/* One that reads while it happens sees the old file to the end of its turn, then the new one. */
static void readers_go_on(void **state)
{
    struct catalog_applied seen;
    struct catalog_kvs keys;
    struct fixture f;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    CHECK(catalog_reader_applied(f.reader, &seen, err));
    configure(&f, 2);
    change(&f);

    for (unsigned turn = 0; turn < 2; turn++) {
        CHECK(catalog_reader_applied(f.reader, &seen, err));
        assert_int_equal(seen.index, turn == 0 ? 1 : 3);
        CHECK(catalog_query_key(f.reader, &f.arena, MU_SPAN_LIT("a"), &keys, err));
        assert_int_equal(keys.count, 1);
        catalog_reader_release(f.reader);
    }
    fixture_deinit(&f);
}

/* -- snapshots --------------------------------------------------------------------------------- */

static void export_of(struct fixture *f, struct memory_stream *s)
{
    struct catalog_snapshot info;

    *s = (struct memory_stream){ .bytes = MU_BUF_NONE };
    CHECK(catalog_export(f->reader, memory_stream_sink, s, &info, err));
    catalog_reader_release(f->reader);
    assert_int_equal(info.level, catalog_schema(f->catalog).level);
}

/* A server takes the other's state, whose tables then are its own, and both go on alike. */
static void must_come_back(struct fixture *f, uint32_t version)
{
    struct catalog_snapshot info;
    struct memory_stream s, again;
    struct fixture g;

    export_of(f, &s);
    fixture_init(&g, true);
    CHECK(catalog_import(g.catalog, memory_stream_source, &s, NULL, &info, err));
    must_have(&g, version);
    fixture_reopen(&g);
    must_have(&g, version);
    must_dump_alike(f, &g);
    export_of(&g, &again);
    assert_true(mu_span_eq(mu_buf_span(&s.bytes), mu_buf_span(&again.bytes)));
    g.index = f->index;
    configure(f, 2);
    configure(&g, 2);
    change(f);
    change(&g);
    must_have(&g, NEW);
    must_dump_alike(f, &g);
    mu_buf_deinit(&s.bytes);
    mu_buf_deinit(&again.bytes);
    fixture_deinit(&g);
}

static void a_snapshot_brings_its_schema(void **state)
{
    static const struct {
        const char *why;
        uint32_t level;
        unsigned newer;
    } cases[] = {
        { "from before the level", 1, 0 },
        { "with an empty table", 2, 0 },
        { "with rows in it", 2, 3 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct fixture f;

        print_message("%s\n", cases[i].why);
        fixture_init(&f, false);
        fixture_put(&f, "a", "1");
        configure(&f, cases[i].level);
        for (unsigned k = 0; k < cases[i].newer; k++) {
            change(&f);
        }
        must_come_back(&f, cases[i].level == 2 ? NEW : OLD);
        fixture_deinit(&f);
    }
}

static void a_snapshot_of_an_unknown_level_is_refused(void **state)
{
    struct mu_err why = MU_ERR_NONE;
    struct catalog_snapshot info;
    struct fixture f, g;
    struct memory_stream s;

    (void)state;
    fixture_init(&f, false);
    fixture_init(&g, false);
    fixture_put(&f, "a", "1");
    export_of(&f, &s);
    s.bytes.data[12] = 3; /* the head's level, and its checksum anew */
    uint32_t crc = mu_crc32c(0, s.bytes.data, 64);

    for (unsigned i = 0; i < 4; i++) {
        s.bytes.data[64 + i] = (uint8_t)(crc >> (8 * i));
    }
    assert_int_equal(catalog_import(g.catalog, memory_stream_source, &s, NULL, &info, &why),
                     MU_UNSUPPORTED);
    assert_string_equal(why.text,
                        "importing a state: a snapshot with tables of level 3, which this "
                        "binary does not know");
    mu_buf_deinit(&s.bytes);
    fixture_deinit(&f);
    fixture_deinit(&g);
}

/* -- restores ---------------------------------------------------------------------------------- */

static struct catalog_result restore(struct fixture *f, const struct mu_buf *stream)
{
    struct mu_id id = { { 1 } };
    struct command part = { .kind = COMMAND_STAGE, .stage = { id, 0, mu_buf_span(stream) } };
    struct command all = { .kind = COMMAND_RESTORE,
                           .restore = { .id = id, .bytes = stream->bytes } };

    (void)crypto_generichash(all.restore.hash, sizeof all.restore.hash, stream->data, stream->bytes,
                             NULL, 0);
    fixture_do(f, &part);
    fixture_begin(f);
    struct catalog_result result = fixture_apply(f, &all);

    catalog_changes_free(fixture_commit(f));
    return result;
}

/* What is restored has the tables of the cluster, not of the archive. Where it has rows that this
 * level has no table for, every server refuses it in the same words, whatever its version knows:
 * they are kept as the outcome of a command, and so are a part of the state. */
static void a_restore_keeps_the_schema(void **state)
{
    struct fixture older, f, g;
    struct memory_stream s, t;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    export_of(&f, &s);
    configure(&f, 2);
    change(&f);
    export_of(&f, &t);

    struct catalog_result result = restore(&f, &s.bytes);

    assert_int_equal(result.code, MU_OK);
    must_have(&f, NEW);
    assert_int_equal(noted(&f), 0);
    result = restore(&f, &t.bytes);
    assert_int_equal(result.code, MU_OK);
    assert_int_equal(noted(&f), 1);
    fixture_check_hash(&f);

    fixture_init(&older, true);
    fixture_init(&g, false);
    result = restore(&older, &t.bytes);
    assert_int_equal(result.code, MU_INVALID);
    assert_string_equal(result.text, "a snapshot with table 17, which this binary lacks");
    catalog_result_free(&result);
    must_have(&older, OLD);
    mu_buf_deinit(&s.bytes);
    mu_buf_deinit(&t.bytes);
    fixture_deinit(&f);
    fixture_deinit(&g);
    fixture_deinit(&older);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_rises_with_the_level_and_stays),
        cmocka_unit_test(it_is_a_part_of_its_transaction),
        cmocka_unit_test(a_command_before_its_tables_is_no_command_of_this_state),
        cmocka_unit_test(readers_go_on),
        cmocka_unit_test(a_snapshot_brings_its_schema),
        cmocka_unit_test(a_snapshot_of_an_unknown_level_is_refused),
        cmocka_unit_test(a_restore_keeps_the_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
