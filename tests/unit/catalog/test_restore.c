/* STAGE and RESTORE: the rows become those of the stream, indexes never go back, what belongs to
 * the cluster stays, and a stream that is not what was meant changes nothing. */
#include <sodium.h>

#include "catalog/snapshot.h"
#include "fixture.h"
#include "random_commands.h"

static enum mu_code sink(void *data, struct mu_span bytes, struct mu_err *err)
{
    (void)err;
    mu_buf_add_span(data, bytes);
    return MU_OK;
}

static struct mu_id the_id(uint8_t number)
{
    struct mu_id id = { { 0 } };

    id.b[0] = number;
    return id;
}

static void export_of(struct fixture *f, struct mu_buf *to)
{
    struct catalog_snapshot info;

    mu_buf_clear(to);
    CHECK(catalog_export(f->reader, sink, to, &info, err));
    catalog_reader_release(f->reader);
}

static void fill(struct fixture *f, uint64_t seed, unsigned count)
{
    struct mu_arena arena;
    struct mu_rand r;

    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, seed);
    for (unsigned i = 0; i < count; i++) {
        struct command c;

        mu_arena_reset(&arena);
        draw_command(&r, &arena, f->index + 1, &c);
        fixture_begin(f);
        struct catalog_result result = fixture_apply(f, &c);

        catalog_result_free(&result);
        catalog_changes_free(fixture_commit(f));
    }
    mu_arena_deinit(&arena);
}

/* One entry in a transaction of its own. */
static struct catalog_result run(struct fixture *f, const struct command *c, bool *wakes_all)
{
    fixture_begin(f);
    struct catalog_result result = fixture_apply(f, c);
    struct catalog_changes *changes = fixture_commit(f);

    *wakes_all = catalog_changes_count(changes) == 1 &&
                 catalog_changes_at(changes, 0).kind == CATALOG_EVERYTHING;
    catalog_changes_free(changes);
    fixture_check_hash(f);
    return result;
}

static enum mu_code code_of(struct fixture *f, const struct command *c)
{
    bool wakes_all = false;
    struct catalog_result result = run(f, c, &wakes_all);
    enum mu_code code = result.code;

    assert_true((code == MU_OK) == (result.text == NULL));
    catalog_result_free(&result);
    return code;
}

static struct command part_of(const struct mu_buf *stream, uint8_t id, size_t at, size_t bytes)
{
    return (
        struct command){ .kind = COMMAND_STAGE,
                         .stage = { the_id(id), at, mu_span_sub(mu_buf_span(stream), at, bytes) } };
}

static void stage(struct fixture *f, const struct mu_buf *stream, uint8_t id, size_t step)
{
    for (size_t at = 0; at < stream->bytes; at += step) {
        size_t left = stream->bytes - at;
        struct command c = part_of(stream, id, at, left < step ? left : step);

        assert_int_equal(code_of(f, &c), MU_OK);
    }
}

static struct command restore_of(const struct mu_buf *stream, uint8_t id)
{
    struct command c = { .kind = COMMAND_RESTORE,
                         .restore = { .id = the_id(id), .bytes = stream->bytes } };

    (void)crypto_generichash(c.restore.hash, sizeof c.restore.hash, stream->data, stream->bytes,
                             NULL, 0);
    return c;
}

static void restore(struct fixture *f, const struct mu_buf *stream, size_t step)
{
    struct command c = restore_of(stream, 1);
    bool wakes_all = false;

    stage(f, stream, 1, step);
    struct catalog_result result = run(f, &c, &wakes_all);

    if (result.code != MU_OK) {
        fail_msg("not restored: %s", result.text);
    }
    assert_true(result.did_apply && wakes_all);
    catalog_result_free(&result);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM staged"), 0);
}

/* All rows as text, but those that are the cluster's own. */
static struct mu_buf rows_of(struct fixture *f)
{
    static const char *const own[] = { "applied ",  "idx ",      "origins ",
                                       "outcomes ", "requests ", "staged " };
    struct mu_buf all = MU_BUF_NONE;
    struct mu_buf kept = MU_BUF_NONE;
    char *rest = NULL;

    fixture_dump(f, &all);
    for (char *line = strtok_r((char *)(uintptr_t)mu_buf_text(&all), "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        bool is_own = false;

        for (size_t i = 0; i < MU_LEN(own); i++) {
            is_own |= strncmp(line, own[i], strlen(own[i])) == 0;
        }
        if (!is_own) {
            mu_buf_addf(&kept, "%s\n", line);
        }
    }
    mu_buf_deinit(&all);
    return kept;
}

static void must_have_rows(struct fixture *f, const struct mu_buf *want)
{
    struct mu_buf rows = rows_of(f);

    assert_string_equal(mu_buf_text(&rows), mu_buf_text((struct mu_buf *)(uintptr_t)want));
    mu_buf_deinit(&rows);
}

static void rows_become_those_of_the_stream(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct mu_buf stream = MU_BUF_NONE;
        struct fixture old, now;

        fixture_init(&old, seed % 2 == 0);
        fixture_init(&now, seed % 3 == 0);
        fill(&old, seed, 200);
        fill(&now, seed + 50, seed % 2 == 0 ? 10 : 400); /* behind, and ahead */
        struct mu_buf want = rows_of(&old);

        export_of(&old, &stream);
        restore(&now, &stream, seed == 1 ? stream.bytes : seed == 2 ? 100 : 4000);
        must_have_rows(&now, &want);
        if (now.dir != NULL) {
            fixture_reopen(&now);
            fixture_check_hash(&now);
            must_have_rows(&now, &want);
        }
        fill(&now, seed + 100, 100); /* it goes on from there */
        fixture_check_hash(&now);
        mu_buf_deinit(&want);
        mu_buf_deinit(&stream);
        fixture_deinit(&old);
        fixture_deinit(&now);
    }
}

/* However a server cuts its transactions, and wherever it was restarted. */
static void servers_come_to_the_same(void **state)
{
    struct mu_buf stream = MU_BUF_NONE;
    struct fixture old, a, b;

    (void)state;
    fixture_init(&old, false);
    fixture_init(&a, true);
    fixture_init(&b, false);
    fill(&old, 3, 150);
    fill(&a, 4, 20);
    fill(&b, 4, 20);
    export_of(&old, &stream);
    stage(&a, &stream, 1, 5000);
    fixture_reopen(&a);
    struct command c = restore_of(&stream, 1);

    assert_int_equal(code_of(&a, &c), MU_OK);
    fill(&a, 5, 30);

    struct mu_arena arena;
    struct mu_rand r;

    fixture_begin(&b); /* all of it in one */
    for (size_t at = 0; at < stream.bytes; at += 5000) {
        size_t left = stream.bytes - at;
        struct command p = part_of(&stream, 1, at, left < 5000 ? left : 5000);
        struct catalog_result result = fixture_apply(&b, &p);

        assert_int_equal(result.code, MU_OK);
    }
    struct catalog_result result = fixture_apply(&b, &c);

    assert_int_equal(result.code, MU_OK);
    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, 5);
    for (unsigned i = 0; i < 30; i++) {
        mu_arena_reset(&arena);
        draw_command(&r, &arena, b.index + 1, &c);
        result = fixture_apply(&b, &c);
        catalog_result_free(&result);
    }
    catalog_changes_free(fixture_commit(&b));
    mu_arena_deinit(&arena);

    struct catalog_applied x = catalog_applied(a.catalog);
    struct catalog_applied y = catalog_applied(b.catalog);

    assert_memory_equal(&x, &y, sizeof x);
    fixture_check_hash(&b);
    mu_buf_deinit(&stream);
    fixture_deinit(&old);
    fixture_deinit(&a);
    fixture_deinit(&b);
}

static uint64_t index_of(struct fixture *f, const char *key, uint64_t *modified)
{
    struct catalog_kvs kvs;

    mu_arena_reset(&f->arena);
    CHECK(catalog_query_key(f->reader, &f->arena, mu_span_text(key), &kvs, err));
    catalog_reader_release(f->reader);
    *modified = kvs.count > 0 ? kvs.items[0].modify_index : 0;
    return kvs.index;
}

static void indexes_never_go_back(void **state)
{
    static const struct {
        const char *why;
        unsigned theirs, ours;
    } cases[] = {
        { "a state that had come further", 500, 3 },
        { "a state of long ago", 3, 500 },
        { "as far as this one", 40, 39 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf stream = MU_BUF_NONE;
        struct fixture old, now;
        uint64_t was, is;

        fixture_init(&old, false);
        fixture_init(&now, true);
        fixture_put(&old, "a", "of theirs");
        while (old.index < cases[i].theirs) {
            fixture_put(&old, "count", old.index % 2 == 0 ? "x" : "y");
        }
        while (now.index < cases[i].ours) {
            fixture_put(&now, "count", now.index % 2 == 0 ? "x" : "y");
        }
        uint64_t before = index_of(&now, "count", &was);
        uint64_t theirs = index_of(&old, "count", &was);

        export_of(&old, &stream);
        restore(&now, &stream, 4000);
        uint64_t after = index_of(&now, "count", &is);

        if (is != was || after <= before || after <= theirs || after <= was ||
            index_of(&now, "never", &is) < after) {
            fail_msg("%s: %llu and %llu became %llu", cases[i].why, (unsigned long long)before,
                     (unsigned long long)theirs, (unsigned long long)after);
        }
        fixture_put(&now, "a", "of ours");
        uint64_t next = index_of(&now, "a", &is);

        assert_true(next > after && is == next);
        export_of(&now, &stream); /* twice: it goes on behind that, too */
        restore(&old, &stream, 4000);
        assert_true(index_of(&old, "a", &is) > next);
        mu_buf_deinit(&stream);
        fixture_deinit(&old);
        fixture_deinit(&now);
    }
}

static void what_was_sent_before_is_known_still(void **state)
{
    struct mu_buf stream = MU_BUF_NONE;
    struct fixture old, now;
    struct command c = { .kind = COMMAND_KV_SET,
                         .origin = { .server = the_id(9), .boot = 1, .seq = 4 },
                         .kv_set = { .key = MU_SPAN_LIT("a"), .value = MU_SPAN_LIT("1") } };
    uint64_t modified;

    (void)state;
    fixture_init(&old, false);
    fixture_init(&now, false);
    fixture_put(&old, "b", "2");
    export_of(&old, &stream);
    fixture_do(&now, &c);
    restore(&now, &stream, 1000);
    assert_int_equal(code_of(&now, &c), MU_OK); /* its second copy */
    (void)index_of(&now, "a", &modified);
    assert_int_equal(modified, 0);
    mu_buf_deinit(&stream);
    fixture_deinit(&old);
    fixture_deinit(&now);
}

static void what_is_not_meant_changes_nothing(void **state)
{
    struct mu_buf stream = MU_BUF_NONE;
    struct fixture old, now;

    (void)state;
    fixture_init(&old, false);
    fixture_init(&now, true);
    fill(&old, 1, 100);
    fill(&now, 2, 100);
    export_of(&old, &stream);
    struct mu_buf want = rows_of(&now);
    struct command c = restore_of(&stream, 1);

    assert_int_equal(code_of(&now, &c), MU_CONFLICT); /* nothing is staged */
    uint8_t id = 1;

    for (size_t at = 0; at < stream.bytes; at += stream.bytes / 60 + 1) {
        stream.data[at] ^= 4; /* a flip, which RESTORE knows by the hash, or by its own */
        stage(&now, &stream, ++id, 9000);
        c.restore.id = the_id(id);
        assert_int_equal(code_of(&now, &c), MU_INVALID);
        struct command own = restore_of(&stream, id);

        assert_int_equal(code_of(&now, &own), MU_INVALID);
        stream.data[at] ^= 4;
        must_have_rows(&now, &want);
    }
    stage(&now, &stream, ++id, 9000);
    c = restore_of(&stream, id);
    c.restore.bytes++;
    assert_int_equal(code_of(&now, &c), MU_CONFLICT);
    c = restore_of(&stream, 1);
    assert_int_equal(code_of(&now, &c), MU_CONFLICT);
    must_have_rows(&now, &want);
    mu_buf_deinit(&want);
    mu_buf_deinit(&stream);
    fixture_deinit(&old);
    fixture_deinit(&now);
}

/* What else its transaction has done stays, whether the refused one comes first in it or not. */
static void one_in_company_is_refused_alone(void **state)
{
    struct mu_buf stream = MU_BUF_NONE;
    struct fixture old, now;

    (void)state;
    fixture_init(&old, false);
    export_of(&old, &stream);
    for (unsigned first = 0; first < 2; first++) {
        struct command before = { .kind = COMMAND_KV_SET,
                                  .kv_set = { .key = MU_SPAN_LIT("before"),
                                              .value = MU_SPAN_LIT("1") } };
        struct command after = { .kind = COMMAND_KV_SET,
                                 .kv_set = { .key = MU_SPAN_LIT("after"),
                                             .value = MU_SPAN_LIT("2") } };

        fixture_init(&now, true);
        fill(&now, 2, 100);
        export_of(&now, &stream);
        stream.data[stream.bytes - 1] ^= 4; /* its last block: all rows were in before */
        stage(&now, &stream, 1, 9000);
        struct command bad = restore_of(&stream, 1);
        struct catalog_result result;

        fixture_begin(&now);
        if (first > 0) {
            result = fixture_apply(&now, &before);
            assert_true(result.did_apply);
        }
        result = fixture_apply(&now, &bad);
        assert_int_equal(result.code, MU_INVALID);
        catalog_result_free(&result);
        result = fixture_apply(&now, &after);
        assert_true(result.did_apply);
        catalog_changes_free(fixture_commit(&now));
        fixture_check_hash(&now);
        assert_int_equal(fixture_count(&now, "SELECT count(*) FROM kv_cur_1 WHERE key IN"
                                             " (CAST('before' AS BLOB), CAST('after' AS BLOB))"),
                         1 + (int)first);
        fixture_reopen(&now);
        fixture_check_hash(&now);
        fixture_deinit(&now);
    }
    mu_buf_deinit(&stream);
    fixture_deinit(&old);
}

static void parts_come_in_order_and_once(void **state)
{
    static const uint8_t bytes[300] = { 1, 2, 3 };
    struct mu_buf s = MU_BUF_NONE;
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    mu_buf_add(&s, bytes, sizeof bytes);
    struct command first = part_of(&s, 1, 0, 100), second = part_of(&s, 1, 100, 100),
                   third = part_of(&s, 1, 200, 100), other = part_of(&s, 2, 0, 50),
                   others = part_of(&s, 2, 100, 50), none = part_of(&s, 1, 0, 0);

    assert_int_equal(code_of(&f, &second), MU_CONFLICT);
    assert_int_equal(code_of(&f, &first), MU_OK);
    assert_int_equal(code_of(&f, &third), MU_CONFLICT);
    assert_int_equal(code_of(&f, &second), MU_OK);
    assert_int_equal(code_of(&f, &second), MU_OK); /* again: it is there */
    assert_int_equal(code_of(&f, &first), MU_OK);
    assert_int_equal(fixture_count(&f, "SELECT sum(length(data)) FROM staged"), 200);
    second.stage.data = mu_span_sub(mu_buf_span(&s), 0, 100);
    assert_int_equal(code_of(&f, &second), MU_CONFLICT); /* there, but another one */
    assert_int_equal(code_of(&f, &others), MU_CONFLICT);
    assert_int_equal(code_of(&f, &other), MU_OK); /* another restore: the first is given up */
    assert_int_equal(code_of(&f, &third), MU_CONFLICT);
    assert_int_equal(fixture_count(&f, "SELECT sum(length(data)) FROM staged"), 50);
    assert_int_equal(code_of(&f, &none), MU_OK); /* it has nothing to forget */
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM staged"), 1);
    none.stage.id = the_id(2);
    assert_int_equal(code_of(&f, &none), MU_OK);
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM staged"), 0);
    mu_buf_deinit(&s);
    fixture_deinit(&f);
}

static void what_nobody_finishes_goes(void **state)
{
    struct command c = { .kind = COMMAND_STAGE,
                         .stamp_ms = 1000,
                         .stage = { the_id(1), 0, MU_SPAN_LIT("part") } };
    struct command later = { .kind = COMMAND_KV_SET, .stamp_ms = 1000 + 600000 };
    struct fixture f;

    (void)state;
    fixture_init(&f, true);
    later.kv_set.key = MU_SPAN_LIT("k");
    assert_int_equal(code_of(&f, &c), MU_OK);
    fixture_reopen(&f);
    assert_int_equal(code_of(&f, &later), MU_OK);
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM staged"), 1);
    later.stamp_ms++;
    assert_int_equal(code_of(&f, &later), MU_OK);
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM staged"), 0);
    assert_int_equal(code_of(&f, &c), MU_OK); /* and begins anew */
    assert_int_equal(fixture_count(&f, "SELECT count(*) FROM staged"), 1);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_those_of_the_stream),
        cmocka_unit_test(servers_come_to_the_same),
        cmocka_unit_test(indexes_never_go_back),
        cmocka_unit_test(what_was_sent_before_is_known_still),
        cmocka_unit_test(what_is_not_meant_changes_nothing),
        cmocka_unit_test(one_in_company_is_refused_alone),
        cmocka_unit_test(parts_come_in_order_and_once),
        cmocka_unit_test(what_nobody_finishes_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
