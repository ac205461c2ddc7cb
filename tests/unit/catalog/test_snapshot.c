/* Snapshots: whatever was applied, what comes out goes in again as the same state, equal states
 * give equal bytes, and no cut or flipped stream is taken. The twin is the dump of all rows as
 * text. */
#include "catalog/snapshot.h"
#include "fixture.h"
#include "memory_stream.h"
#include "random_commands.h"

static void fill(struct fixture *f, uint64_t seed, uint64_t entries)
{
    struct mu_arena arena;
    struct mu_rand r;

    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, seed);
    while (f->index < entries) {
        struct catalog_changes *changes;
        struct catalog_result result;
        struct mu_buf bytes = MU_BUF_NONE;
        struct command c;

        mu_arena_reset(&arena);
        draw_command(&r, &arena, ++f->index, &c);
        CHECK(command_encode(&c, &bytes, err));
        CHECK(catalog_begin(f->catalog, err));
        CHECK(catalog_apply(f->catalog, f->index, 3, mu_buf_span(&bytes), &result, err));
        CHECK(catalog_commit(f->catalog, &changes, err));
        catalog_changes_free(changes);
        catalog_result_free(&result);
        mu_buf_deinit(&bytes);
    }
    mu_arena_deinit(&arena);
}

static void export_of(struct fixture *f, struct memory_stream *s, struct catalog_snapshot *info)
{
    *s = (struct memory_stream){ .bytes = MU_BUF_NONE };
    CHECK(catalog_export(f->reader, memory_stream_sink, s, info, err));
    catalog_reader_release(f->reader);
    assert_int_equal(info->bytes, s->bytes.bytes);
}

static void must_dump_alike(struct fixture *a, struct fixture *b)
{
    struct mu_buf x = MU_BUF_NONE;
    struct mu_buf y = MU_BUF_NONE;

    CHECK(catalog_dump(a->catalog, &x, err));
    CHECK(catalog_dump(b->catalog, &y, err));
    assert_true(mu_span_eq(mu_buf_span(&x), mu_buf_span(&y)));
    mu_buf_deinit(&x);
    mu_buf_deinit(&y);
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct catalog_snapshot info, again;
        struct memory_stream s, other;
        struct fixture f, g;
        uint8_t recount[16];

        fixture_init(&f, seed % 2 == 0);
        fixture_init(&g, seed % 3 == 0);
        fill(&f, seed, 40 * seed * seed);
        export_of(&f, &s, &info);
        s.step = seed == 3 ? 1 : 0;
        CHECK(catalog_import(g.catalog, memory_stream_source, &s, info.hash, &again, err));
        assert_memory_equal(&info, &again, sizeof info);
        assert_int_equal(catalog_applied(g.catalog).index, f.index);
        must_dump_alike(&f, &g);
        CHECK(catalog_recount(g.catalog, recount, err));
        assert_memory_equal(recount, catalog_applied(g.catalog).hash, sizeof recount);
        export_of(&g, &other, &again);
        assert_true(mu_span_eq(mu_buf_span(&s.bytes), mu_buf_span(&other.bytes)));
        g.index = f.index; /* and it goes on from there, alike */
        fill(&f, seed + 100, f.index + 50);
        fill(&g, seed + 100, g.index + 50);
        must_dump_alike(&f, &g);
        mu_buf_deinit(&s.bytes);
        mu_buf_deinit(&other.bytes);
        fixture_deinit(&f);
        fixture_deinit(&g);
    }
}

static void is_there_after_a_restart(void **state)
{
    struct catalog_snapshot info, again;
    struct fixture f, g;
    struct memory_stream s;

    (void)state;
    fixture_init(&f, false);
    fixture_init(&g, true);
    fill(&f, 7, 500);
    export_of(&f, &s, &info);
    CHECK(catalog_import(g.catalog, memory_stream_source, &s, info.hash, &again, err));
    assert_int_equal(catalog_durable(g.catalog), 500);
    fixture_close(&g);
    fixture_open(&g);
    must_dump_alike(&f, &g);
    mu_buf_deinit(&s.bytes);
    fixture_deinit(&f);
    fixture_deinit(&g);
}

/* Both ways of reading it; importing takes long, so it is asked now and then. */
static enum mu_code judge(struct memory_stream *t, const uint8_t *hash, bool imports)
{
    struct catalog_snapshot seen;
    enum mu_code rc = catalog_inspect(memory_stream_source, t, &seen, NULL);

    t->at = 0;
    if (imports) {
        struct fixture g;

        fixture_init(&g, false);
        assert_int_equal(catalog_import(g.catalog, memory_stream_source, t, hash, &seen, NULL), rc);
        assert_int_equal(catalog_applied(g.catalog).index, 0);
        fixture_deinit(&g);
    }
    return rc;
}

/* One byte changed, or the stream cut anywhere: refused, and the applied index stays 0. */
static void no_other_bytes_are_taken(void **state)
{
    enum { IMPORTS_EVERY = 199 };
    struct catalog_snapshot info;
    struct fixture f;
    struct memory_stream s;

    (void)state;
    fixture_init(&f, false);
    fill(&f, 11, 12);
    export_of(&f, &s, &info);
    size_t bytes = s.bytes.bytes;

    for (size_t at = 0; at < bytes; at++) {
        struct memory_stream cut = { .bytes = MU_BUF_NONE };

        mu_buf_add(&cut.bytes, s.bytes.data, at);
        assert_int_equal(judge(&cut, info.hash, at % IMPORTS_EVERY == 0), MU_CORRUPT);
        mu_buf_deinit(&cut.bytes);
        s.bytes.data[at] ^= 0x10;
        s.at = 0;
        enum mu_code rc = judge(&s, info.hash, at % IMPORTS_EVERY == 1);

        if (rc != MU_CORRUPT) {
            fail_msg("byte %zu of %zu changed: %s", at, bytes, mu_code_text(rc));
        }
        s.bytes.data[at] ^= 0x10;
    }
    mu_buf_add_byte(&s.bytes, 0);
    s.at = 0;
    assert_int_equal(judge(&s, info.hash, true), MU_CORRUPT);
    mu_buf_deinit(&s.bytes);
    fixture_deinit(&f);
}

static void another_state_is_not_the_one_meant(void **state)
{
    struct catalog_snapshot info, again;
    struct mu_err why = MU_ERR_NONE;
    struct fixture f, g;
    struct memory_stream s;

    (void)state;
    fixture_init(&f, false);
    fixture_init(&g, false);
    fill(&f, 13, 40);
    export_of(&f, &s, &info);
    info.hash[0] ^= 1;
    assert_int_equal(catalog_import(g.catalog, memory_stream_source, &s, info.hash, &again, &why),
                     MU_CORRUPT);
    assert_int_equal(catalog_applied(g.catalog).index, 0);
    mu_buf_deinit(&s.bytes);
    fixture_deinit(&f);
    fixture_deinit(&g);
}

static void says_what_is_in_it(void **state)
{
    struct catalog_snapshot info, seen;
    struct fixture f;
    struct memory_stream s;

    (void)state;
    fixture_init(&f, false);
    fill(&f, 17, 300);
    export_of(&f, &s, &info);
    CHECK(catalog_inspect(memory_stream_source, &s, &seen, err));
    assert_memory_equal(&info, &seen, sizeof info);
    assert_string_equal(seen.tables[ROW_NODES].name, "nodes");
    assert_true(seen.tables[ROW_NODES].rows > 0 && seen.tables[ROW_KV_HIST_1].rows > 0);
    mu_buf_deinit(&s.bytes);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(is_there_after_a_restart),
        cmocka_unit_test(no_other_bytes_are_taken),
        cmocka_unit_test(another_state_is_not_the_one_meant),
        cmocka_unit_test(says_what_is_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
