/* test_meta.c - two slots: a crash leaves the old or the new, rot of one loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sodium.h>

#include "memory_disk.h"
#include "meta.h"

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = n;
    return id;
}

static struct consensus_meta meta_of(uint64_t boot)
{
    struct consensus_meta m = {
        .server = id_of(1),
        .disk = id_of(2),
        .cluster = id_of(3),
        .epoch = 4,
        .boot_count = boot,
        .durable_seq = boot * 100,
        .record_bytes = 7,
        .record = "promise",
    };

    return m;
}

/* A disk whose meta file says this many boots. */
static struct memory_disk *disk_with(uint64_t boots, struct consensus_meta *m)
{
    struct memory_disk *d = memory_disk_new();
    struct consensus_disk view = memory_disk_view(d);
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(memory_lock(d, CONSENSUS_META_NAME, &err), MU_OK);
    *m = meta_of(1);
    for (uint64_t i = 1; i <= boots; i++) {
        m->boot_count = i;
        assert_int_equal(consensus__meta_save(&view, m, &err), MU_OK);
    }
    return d;
}

static enum mu_code load(struct memory_disk *d, struct consensus_meta *m, struct mu_err *err)
{
    struct consensus_disk view = memory_disk_view(d);
    struct mu_id server = id_of(1);

    *err = MU_ERR_NONE;
    return consensus__meta_load(&view, &server, m, err);
}

static void what_is_saved_is_loaded(void **state)
{
    struct consensus_meta saved;
    struct consensus_meta got;
    struct mu_err err = MU_ERR_NONE;
    struct memory_disk *d = disk_with(3, &saved);

    (void)state;
    assert_int_equal(load(d, &got, &err), MU_OK);
    assert_memory_equal(&got, &saved, sizeof got);
    memory_disk_free(d);
}

static void any_flipped_byte_is_survived(void **state)
{
    struct consensus_meta saved;
    struct consensus_meta got;
    struct mu_err err;
    struct memory_disk *d = disk_with(2, &saved);
    struct mu_buf *bytes = memory_bytes(d, CONSENSUS_META_NAME);

    (void)state;
    assert_int_equal(bytes->bytes, CONSENSUS_META_BYTES);
    for (size_t at = 0; at < CONSENSUS_META_BYTES; at++) {
        bytes->data[at] ^= 0x10;
        assert_int_equal(load(d, &got, &err), MU_OK);
        got.generation = saved.generation; /* the other slot is one older, and says the same */
        assert_memory_equal(&got, &saved, sizeof got);
        bytes->data[at] ^= 0x10;
    }
    memory_disk_free(d);
}

static void rot_of_both_slots_is_reported(void **state)
{
    struct consensus_meta saved;
    struct consensus_meta got;
    struct mu_err err;
    struct memory_disk *d = disk_with(2, &saved);
    struct mu_buf *bytes = memory_bytes(d, CONSENSUS_META_NAME);

    (void)state;
    bytes->data[40] ^= 1;
    bytes->data[CONSENSUS_META_SLOT + 90] ^= 1;
    assert_int_equal(load(d, &got, &err), MU_CORRUPT);
    assert_string_equal(err.text, "/disk/meta: neither of its two copies is intact: "
                                  "muster recover -rejoin lets the server start over as a new one");
    memory_disk_free(d);
}

static void a_save_that_is_cut_short_leaves_the_old_or_the_new(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 1);
    for (uint64_t at = 1; at <= 4; at++) {
        for (uint64_t sectors = 0; sectors <= 8; sectors++) {
            struct consensus_meta saved;
            struct consensus_meta got;
            struct mu_err err = MU_ERR_NONE;
            struct memory_disk *d = disk_with(2, &saved);
            struct consensus_disk view = memory_disk_view(d);

            d->calls = 0;
            d->stop_at = at;
            d->stop_sectors = sectors;
            saved.boot_count = 3;
            assert_int_not_equal(consensus__meta_save(&view, &saved, &err), MU_OK);
            memory_power_cut(d, &r);
            assert_int_equal(load(d, &got, &err), MU_OK);
            assert_true(got.boot_count == 2 || got.boot_count == 3);
            assert_true(got.boot_count == 3 || at <= 2); /* the first flush made it durable */
            memory_disk_free(d);
        }
    }
}

/* A flush fails, the process starts again, a flush fails again, and then the power does: what was
 * durable before the first of them is never lost. */
static void flushes_that_fail_one_after_another_lose_nothing(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 3);
    for (uint64_t i = 0; i < 400; i++) {
        struct consensus_meta saved;
        struct consensus_meta got;
        struct mu_err err = MU_ERR_NONE;
        struct memory_disk *d = disk_with(2, &saved);
        struct consensus_disk view = memory_disk_view(d);

        d->syncs = 0;
        d->fail_sync_at = 1 + i % 2;
        saved.boot_count = 3;
        assert_int_not_equal(consensus__meta_save(&view, &saved, &err), MU_OK);
        memory_crash(d);
        err = (struct mu_err)MU_ERR_NONE;
        assert_int_equal(load(d, &got, &err), MU_OK);
        d->syncs = 0;
        d->fail_sync_at = 1 + i / 2 % 4;
        enum mu_code rc = consensus__meta_settle(&view, &got, &err);

        got.boot_count = 4;
        rc = rc == MU_OK ? consensus__meta_save(&view, &got, &err) : rc;
        memory_power_cut(d, &r);
        err = (struct mu_err)MU_ERR_NONE;
        assert_int_equal(load(d, &got, &err), MU_OK);
        assert_true(rc == MU_OK ? got.boot_count == 4 : got.boot_count >= 2);
        memory_disk_free(d);
    }
}

static void the_first_save_that_is_cut_short_was_never_made(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 2);
    for (uint64_t sectors = 0; sectors <= 8; sectors++) {
        struct consensus_meta m = meta_of(1);
        struct consensus_meta got;
        struct mu_err err = MU_ERR_NONE;
        struct memory_disk *d = memory_disk_new();
        struct consensus_disk view = memory_disk_view(d);

        assert_int_equal(memory_lock(d, CONSENSUS_META_NAME, &err), MU_OK);
        assert_int_equal(load(d, &got, &err), MU_NOT_FOUND);
        d->stop_at = 1;
        d->stop_sectors = sectors;
        assert_int_equal(consensus__meta_save(&view, &m, &err), MU_IO);
        memory_crash(d);
        enum mu_code rc = load(d, &got, &err);

        assert_int_equal(rc, sectors == 8 ? MU_OK : MU_NOT_FOUND);
        memory_disk_free(d);
    }
}

static void another_node_and_a_newer_version_are_refused(void **state)
{
    struct consensus_meta saved;
    struct consensus_meta got;
    struct mu_err err = MU_ERR_NONE;
    struct memory_disk *d = disk_with(2, &saved);
    struct consensus_disk view = memory_disk_view(d);
    struct mu_buf *bytes = memory_bytes(d, CONSENSUS_META_NAME);
    struct mu_id other = id_of(0xab);

    (void)state;
    assert_int_equal(consensus__meta_load(&view, &other, &got, &err), MU_FOREIGN);
    assert_string_equal(err.text, "/disk belongs to node 01000000-0000-0000-0000-000000000000, "
                                  "this is node ab000000-0000-0000-0000-000000000000: move it "
                                  "away, or, if it is of this node, say so with -node-id "
                                  "01000000-0000-0000-0000-000000000000");
    for (size_t slot = 0; slot < 2; slot++) {
        uint8_t *at = bytes->data + slot * CONSENSUS_META_SLOT;

        at[8] = 7;
        (void)crypto_generichash(at + CONSENSUS_META_SLOT - 16, 16, at, CONSENSUS_META_SLOT - 16,
                                 NULL, 0);
    }
    assert_int_equal(load(d, &got, &err), MU_UNSUPPORTED);
    assert_string_equal(err.text,
                        "/disk/meta: format 7 is of a newer muster; this one knows up to 1");
    memory_disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(any_flipped_byte_is_survived),
        cmocka_unit_test(rot_of_both_slots_is_reported),
        cmocka_unit_test(a_save_that_is_cut_short_leaves_the_old_or_the_new),
        cmocka_unit_test(flushes_that_fail_one_after_another_lose_nothing),
        cmocka_unit_test(the_first_save_that_is_cut_short_was_never_made),
        cmocka_unit_test(another_node_and_a_newer_version_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
