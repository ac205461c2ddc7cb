#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/footprint.h"
#include "base/mem.h"

#define TABLE_BYTES (2048UL * 1024)
#define PAGE_BYTES  4096UL
#define BLOCKS      4096U
#define BLOCK_BYTES 1000U
#define LINE_BYTES  512

/* In the image, and not in its writable part. */
static const uint8_t table[TABLE_BYTES] = { 7, [TABLE_BYTES - 1] = 9 };
/* Written by relocation before main(), then read-only: must never be taken from the file again. */
static const uint8_t *const relocated[] = { table, table + TABLE_BYTES - 1 };

/* What the mapping that holds `at` has resident, in bytes. */
static size_t resident(const void *at)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    char line[LINE_BYTES];
    bool is_here = false;

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned long from;
        unsigned long end;
        size_t kilobytes;

        if (sscanf(line, "%lx-%lx ", &from, &end) == 2) {
            is_here = (uintptr_t)at >= from && (uintptr_t)at < end;
        } else if (is_here && sscanf(line, "Rss: %zu kB", &kilobytes) == 1) {
            (void)fclose(f);
            return kilobytes * 1024;
        }
    }
    (void)fclose(f);
    return 0;
}

static unsigned sum_of_pages(void)
{
    unsigned sum = 0;

    for (size_t i = 0; i < TABLE_BYTES; i += PAGE_BYTES) {
        sum += ((const volatile uint8_t *)table)[i];
    }
    return sum + table[TABLE_BYTES - 1];
}

static void pages_of_the_image_are_let_go_and_come_back(void **state)
{
    (void)state;
    assert_int_equal(sum_of_pages(), 16);
    size_t before = resident(table);

    mu_footprint_shrink();
    size_t after = resident(table);

    /* A fault maps all of the page cache's folio around it, which may be a good part of the table.
     */
    if (before < TABLE_BYTES || after >= before) {
        fail_msg("%zu bytes before, %zu after", before, after);
    }
    assert_int_equal(sum_of_pages(), 16);
    assert_int_equal(*relocated[0], 7);
    assert_int_equal(*relocated[1], 9);
}

static void what_lives_on_the_heap_stays(void **state)
{
    static uint8_t *blocks[BLOCKS];

    (void)state;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = mu_new(BLOCK_BYTES);
        memset(blocks[i], (int)(i & 0xff), BLOCK_BYTES);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 64 != 0) { /* pages between them are free */
            mu_free(blocks[i]);
        }
    }
    mu_footprint_shrink();
    for (size_t i = 0; i < BLOCKS; i += 64) {
        assert_int_equal(blocks[i][0], i & 0xff);
        assert_int_equal(blocks[i][BLOCK_BYTES - 1], i & 0xff);
        mu_free(blocks[i]);
    }
}

/* Sanitizers bring a malloc of their own, which says nothing of itself and keeps what was freed. */
static bool is_own_heap(void)
{
    return mallinfo2().uordblks > 0;
}

static void what_a_storm_has_left_is_given_back(void **state)
{
    static uint8_t *blocks[16 * BLOCKS];
    size_t count = sizeof blocks / sizeof *blocks;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = mu_new(BLOCK_BYTES);
        memset(blocks[i], (int)(i & 0xff), BLOCK_BYTES);
    }
    if (is_own_heap()) {
        assert_false(mu_footprint_is_loose(count * BLOCK_BYTES / 2)); /* all of it is in use */
    }
    for (size_t i = 0; i < count; i++) {
        if (i % 64 != 0) {
            mu_free(blocks[i]);
        }
    }
    if (is_own_heap()) {
        assert_true(mu_footprint_is_loose(count * BLOCK_BYTES / 2));
        mu_footprint_shrink();
        assert_false(mu_footprint_is_loose(count * BLOCK_BYTES / 2));
    }
    for (size_t i = 0; i < count; i += 64) {
        assert_int_equal(blocks[i][BLOCK_BYTES - 1], i & 0xff);
        mu_free(blocks[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_the_image_are_let_go_and_come_back),
        cmocka_unit_test(what_lives_on_the_heap_stays),
        cmocka_unit_test(what_a_storm_has_left_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
