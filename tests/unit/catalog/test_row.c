/* Rows as data: what goes into the hash, what comes back from a table, lists in one column. */
#include "fixture.h"

#include "base/rand.h"
#include "ordered.h"
#include "packed.h"

/* -- the hash ---------------------------------------------------------------------------------- */

static struct hash_sum term(uint8_t table, const struct row_value *values, size_t count)
{
    return catalog__hash_row(table, values, count);
}

static bool same(struct hash_sum a, struct hash_sum b)
{
    return a.low == b.low && a.high == b.high;
}

/* Two rows that differ in one thing have different terms, whatever the thing is. */
static void every_difference_shows_in_the_term(void **state)
{
    static uint8_t long_bytes[200];
    const struct row_value cases[][2] = {
        { row_nothing(), row_nothing() },
        { row_nothing(), row_number(0) },
        { row_number(0), row_nothing() },
        { row_number(0), row_number(0) },
        { row_number(1), row_number(0) },
        { row_number(UINT64_MAX), row_number(0) },
        { row_bytes(MU_SPAN_NONE), row_nothing() },
        { row_nothing(), row_bytes(MU_SPAN_NONE) },
        { row_bytes(MU_SPAN_LIT("ab")), row_bytes(MU_SPAN_LIT("c")) },
        { row_bytes(MU_SPAN_LIT("a")), row_bytes(MU_SPAN_LIT("bc")) },
        { row_bytes(MU_SPAN_LIT("\0\0\0\0\0\0\0\0")), row_number(0) },
        { row_bytes(mu_span_of(long_bytes, 64)), row_number(0) },
        { row_bytes(mu_span_of(long_bytes, 65)), row_number(0) },
        { row_bytes(mu_span_of(long_bytes, 200)), row_number(0) },
    };
    struct hash_sum terms[2 * MU_LEN(cases)];

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        terms[2 * i] = term(1, cases[i], 2);
        terms[2 * i + 1] = term(2, cases[i], 2); /* the same in another table */
    }
    for (size_t i = 0; i < MU_LEN(terms); i++) {
        for (size_t k = i + 1; k < MU_LEN(terms); k++) {
            if (same(terms[i], terms[k])) {
                fail_msg("rows %zu and %zu have one term", i, k);
            }
        }
    }
}

/* For ever: servers of different versions compare their sums. */
static void terms_are_what_they_always_were(void **state)
{
    static uint8_t long_bytes[100];
    const struct row_value values[] = { row_nothing(), row_number(0x0102030405060708),
                                        row_bytes(MU_SPAN_LIT("web")),
                                        row_bytes(mu_span_of(long_bytes, sizeof long_bytes)) };
    uint8_t out[HASH_BYTES];
    struct mu_buf text = MU_BUF_NONE;

    (void)state;
    catalog__hash_write(term(3, values, MU_LEN(values)), out);
    for (size_t i = 0; i < sizeof out; i++) {
        mu_buf_addf(&text, "%02x", out[i]);
    }
    assert_string_equal(mu_buf_text(&text), "043bb4ba86a4b0dd60b6aff9eb9c6973");
    mu_buf_deinit(&text);
}

static void a_known_digest_changes_nothing(void **state)
{
    static uint8_t long_bytes[100];
    struct row_value plain = row_bytes(mu_span_of(long_bytes, sizeof long_bytes));
    struct row_value known = plain;
    uint8_t digest[HASH_BYTES];

    (void)state;
    catalog__hash_bytes(plain.bytes, digest);
    known.digest = digest;
    assert_true(same(term(1, &plain, 1), term(1, &known, 1)));
    plain.bytes.bytes = known.bytes.bytes = 10; /* short ones go in as they are */
    assert_true(same(term(1, &plain, 1), term(1, &known, 1)));
}

static void sums_forget_their_order_and_what_was_taken_away(void **state)
{
    struct hash_sum forward = { 0, 0 };
    struct hash_sum backward = { 0, 0 };
    struct hash_sum terms[50];
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 1);
    for (size_t i = 0; i < MU_LEN(terms); i++) {
        terms[i] = (struct hash_sum){ mu_rand_u64(&r), mu_rand_u64(&r) };
        catalog__hash_add(&forward, terms[i]);
    }
    for (size_t i = MU_LEN(terms); i > 0; i--) {
        catalog__hash_add(&backward, terms[i - 1]);
    }
    assert_true(same(forward, backward));
    for (size_t i = 0; i < MU_LEN(terms); i++) {
        catalog__hash_subtract(&forward, terms[i]);
    }
    assert_true(same(forward, (struct hash_sum){ 0, 0 }));

    struct hash_sum carry = { UINT64_MAX, 1 };

    catalog__hash_add(&carry, (struct hash_sum){ 1, 0 });
    assert_true(same(carry, (struct hash_sum){ 0, 2 }));
    catalog__hash_subtract(&carry, (struct hash_sum){ 1, 0 });
    assert_true(same(carry, (struct hash_sum){ UINT64_MAX, 1 }));
}

/* -- tables ------------------------------------------------------------------------------------ */

static void rows_come_back_as_they_were_written(void **state)
{
    struct fixture f;
    struct row row;
    struct row back;
    struct row changed;
    struct row_list list;
    bool found = true;

    (void)state;
    fixture_init(&f, false);
    fixture_begin(&f);
    struct rows *rows = &f.catalog->rows;

    for (size_t i = 0; i < SERVICE_COLUMNS; i++) { /* each column another value */
        row.v[i] = i % 2 == 0 ? row_number(INT64_MAX - i)
                              : row_bytes(mu_span_of(mu_arena_printf(&f.arena, "%zu", i), i % 3));
    }
    row.v[SERVICE_NODE] = row_bytes(MU_SPAN_LIT("n"));
    row.v[SERVICE_KEY] = row_bytes(MU_SPAN_LIT("k\0\xff"));
    row.v[SERVICE_IP] = row_nothing();
    struct hash_sum before = f.catalog->now.sum;

    CHECK(catalog__row_find(rows, ROW_SERVICES, row.v, &f.arena, &back, &found, err));
    assert_false(found);
    CHECK(catalog__row_put(rows, ROW_SERVICES, NULL, &row, err));
    CHECK(catalog__row_find(rows, ROW_SERVICES, row.v, &f.arena, &back, &found, err));
    assert_true(found && catalog__row_same(&row, &back, SERVICE_COLUMNS));

    changed = row;
    changed.v[SERVICE_IP] = row_bytes(MU_SPAN_NONE); /* empty, not NULL */
    CHECK(catalog__row_put(rows, ROW_SERVICES, &row, &changed, err));
    CHECK(catalog__row_find(rows, ROW_SERVICES, row.v, &f.arena, &back, &found, err));
    assert_true(found && catalog__row_same(&changed, &back, SERVICE_COLUMNS));
    assert_false(catalog__row_same(&row, &back, SERVICE_COLUMNS));
    assert_true(catalog__row_same(&row, &back, SERVICE_IP));

    CHECK(catalog__row_scan(rows, ROW_SERVICES, MU_SPAN_LIT("n"), &f.arena, &list, err));
    assert_int_equal(list.count, 1);
    CHECK(catalog__row_scan(rows, ROW_SERVICES, MU_SPAN_LIT("m"), &f.arena, &list, err));
    assert_int_equal(list.count, 0);
    CHECK(catalog__row_remove(rows, ROW_SERVICES, &changed, err));
    CHECK(catalog__row_find(rows, ROW_SERVICES, row.v, &f.arena, &back, &found, err));
    assert_false(found);
    assert_true(same(before, f.catalog->now.sum));
    catalog_rollback(f.catalog);
    fixture_deinit(&f);
}

/* A row that is there where we knew none: the state is not what we think it is. */
static void adding_over_a_row_is_corruption(void **state)
{
    struct mu_err why = MU_ERR_NONE;
    struct fixture f;
    struct row row;

    (void)state;
    fixture_init(&f, false);
    fixture_begin(&f);
    row.v[IDX_NAME] = row_bytes(MU_SPAN_LIT("x"));
    row.v[IDX_VALUE] = row_number(1);
    CHECK(catalog__row_put(&f.catalog->rows, ROW_IDX, NULL, &row, err));
    assert_int_equal(catalog__row_put(&f.catalog->rows, ROW_IDX, NULL, &row, &why), MU_CORRUPT);
    assert_non_null(strstr(why.text, "UNIQUE constraint failed: idx.name"));
    catalog_rollback(f.catalog);
    fixture_deinit(&f);
}

/* -- lists in one column ----------------------------------------------------------------------- */

static void lists_come_back_as_they_were_packed(void **state)
{
    struct mu_span items[] = { MU_SPAN_LIT("b"), MU_SPAN_LIT(""), MU_SPAN_LIT("a"),
                               MU_SPAN_LIT("b") };
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t count = 0; count <= MU_LEN(items); count++) {
        struct mu_texts texts = { items, count };
        struct mu_texts back = catalog__unpack_texts(&arena, catalog__pack_texts(&arena, &texts));

        assert_int_equal(back.count, count);
        for (size_t i = 0; i < count; i++) {
            assert_true(mu_span_eq(back.items[i], items[i]));
        }
    }
    mu_arena_deinit(&arena);
}

static void maps_are_packed_in_one_way(void **state)
{
    struct mu_pair one[] = { { MU_SPAN_LIT("b"), MU_SPAN_LIT("old") },
                             { MU_SPAN_LIT("a"), MU_SPAN_LIT("") },
                             { MU_SPAN_LIT(""), MU_SPAN_LIT("x") },
                             { MU_SPAN_LIT("b"), MU_SPAN_LIT("2") } };
    struct mu_pair two[] = { one[3], one[2], one[1] };
    struct mu_pairs first = { one, MU_LEN(one) };
    struct mu_pairs second = { two, MU_LEN(two) };
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    struct mu_span packed = catalog__pack_pairs(&arena, &first);

    assert_true(mu_span_eq(packed, catalog__pack_pairs(&arena, &second)));
    assert_true(mu_span_eq(packed, MU_SPAN_LIT("\0x\0a\0\0b\0"
                                               "2\0")));
    struct mu_pairs back = catalog__unpack_pairs(&arena, packed);

    assert_int_equal(back.count, 3);
    assert_true(mu_span_eq_text(back.items[2].key, "b") &&
                mu_span_eq_text(back.items[2].value, "2"));
    assert_int_equal(catalog__unpack_pairs(&arena, MU_SPAN_NONE).count, 0);
    mu_arena_deinit(&arena);
}

static void tagged_addresses_keep_their_ports(void **state)
{
    struct command_service_address list[] = {
        { MU_SPAN_LIT("wan"), MU_SPAN_LIT("1.1.1.1"), 65535 },
        { MU_SPAN_LIT("lan"), MU_SPAN_LIT(""), 0 },
        { MU_SPAN_LIT("wan"), MU_SPAN_LIT("2.2.2.2"), 80 },
    };
    struct command_service s = { .tagged_addresses = list, .tagged_addresses_count = 3 };
    struct mu_arena arena;
    size_t count = 0;

    (void)state;
    mu_arena_init(&arena, 0);
    struct catalog_tagged *back =
        catalog__unpack_addresses(&arena, catalog__pack_addresses(&arena, &s), &count);

    assert_int_equal(count, 2);
    assert_true(mu_span_eq_text(back[0].name, "lan") && back[0].port == 0);
    assert_true(mu_span_eq_text(back[1].address, "2.2.2.2") && back[1].port == 80);
    mu_arena_deinit(&arena);
}

/* -- names in order ---------------------------------------------------------------------------- */

#define NAMES 300

static void names_stay_in_order_whatever_comes_and_goes(void **state)
{
    struct ordered_link *links = mu_new_array(NAMES, sizeof *links);
    bool *is_in = mu_new_array(NAMES, sizeof *is_in);
    struct ordered set = { NULL };
    struct mu_arena arena;
    struct mu_rand r;

    (void)state;
    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, 4);
    for (size_t i = 0; i < NAMES; i++) {
        links[i].name = mu_span_text(mu_arena_printf(&arena, "%03zu", i));
    }
    for (int round = 0; round < 5000; round++) {
        size_t i = mu_rand_below(&r, NAMES);

        if (is_in[i]) {
            catalog__ordered_remove(&set, &links[i]);
        } else {
            catalog__ordered_add(&set, &r, &links[i]);
        }
        is_in[i] = !is_in[i];

        size_t at = mu_rand_below(&r, NAMES);
        size_t from = at;
        size_t after = at + 1;

        while (from < NAMES && !is_in[from]) {
            from++;
        }
        while (after < NAMES && !is_in[after]) {
            after++;
        }
        assert_ptr_equal(catalog__ordered_from(&set, links[at].name),
                         from < NAMES ? &links[from] : NULL);
        assert_ptr_equal(catalog__ordered_after(&set, links[at].name),
                         after < NAMES ? &links[after] : NULL);
    }
    mu_arena_deinit(&arena);
    mu_free(links);
    mu_free(is_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_difference_shows_in_the_term),
        cmocka_unit_test(terms_are_what_they_always_were),
        cmocka_unit_test(a_known_digest_changes_nothing),
        cmocka_unit_test(sums_forget_their_order_and_what_was_taken_away),
        cmocka_unit_test(rows_come_back_as_they_were_written),
        cmocka_unit_test(adding_over_a_row_is_corruption),
        cmocka_unit_test(lists_come_back_as_they_were_packed),
        cmocka_unit_test(maps_are_packed_in_one_way),
        cmocka_unit_test(tagged_addresses_keep_their_ports),
        cmocka_unit_test(names_stay_in_order_whatever_comes_and_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
