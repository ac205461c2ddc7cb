/* The log of a stopped server: looked at without a trace, continued by hand in a new epoch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "consensus/bootstrap.h"
#include "consensus/recover.h"
#include "consensus/store.h"
#include "record.h"
#include "scratch.h"

static const char *dir;
static char none[128];                       /* in it, and never made */
static struct consensus_contained contained; /* in the state beside it */

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[15] = n;
    return id;
}

static void never(void *data)
{
    (void)data;
}

static struct consensus_store store_open(struct consensus_opened *opened)
{
    struct consensus_store_options options = { .dir = dir,
                                               .server = id_of(1),
                                               .applied_index = contained.index,
                                               .applied_term = contained.term,
                                               .wake = never };
    struct consensus_store store;
    struct mu_err err = MU_ERR_NONE;

    consensus_store_segment_new(&store, &options);
    if (store.ops->open(store.self, opened, &err) != MU_OK) {
        fail_msg("open: %s", err.text);
    }
    return store;
}

static void store_close(struct consensus_store *store)
{
    store->ops->close(store->self);
    store->ops->free(store->self); /* waits for the thread, which finishes what is queued */
}

/* Servers 1 to 3 with disks 11 to 13; `own` is the first one's, as the store drew it. */
static void config_of_three(const struct mu_id *own, struct consensus_config *out)
{
    *out = (struct consensus_config){ .level = CONSENSUS_LEVEL_FIRST, .servers_count = 3 };
    for (uint8_t i = 0; i < 3; i++) {
        out->servers[i].id = id_of((uint8_t)(i + 1));
        out->servers[i].disk = i == 0 ? *own : id_of((uint8_t)(i + 11));
        out->servers[i].is_voter = true;
    }
}

/* A cluster of three, term 4, entries 1 (the configuration) to 5. */
static void log_make(void)
{
    struct consensus_opened opened;
    struct consensus_store store = store_open(&opened);
    struct mu_buf records[5];
    struct mu_span spans[5];
    struct consensus_config config;
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    struct consensus_write w = {
        .seq = 1,
        .hard = { .term = 4, .cluster = id_of(99), .voted_for = id_of(2) },
        .first = 1,
        .last = 5,
    };

    config_of_three(&opened.disk, &config);
    for (uint64_t i = 0; i < 5; i++) {
        struct consensus_record r = { .index = i + 1,
                                      .term = i == 0 ? 1 : 4,
                                      .kind = i == 0 ? CONSENSUS_CONFIG : CONSENSUS_COMMAND,
                                      .payload = MU_SPAN_LIT("x") };

        if (i == 0) {
            r.payload = mu_span_of(bytes, consensus_config_encode(&config, bytes));
        }
        records[i] = MU_BUF_NONE;
        (void)consensus__record_add(&records[i], &r, 0);
        spans[i] = mu_buf_span(&records[i]);
    }
    store.ops->submit(store.self, &w, spans);
    store_close(&store);
    consensus_opened_deinit(&opened);
    for (size_t i = 0; i < 5; i++) {
        mu_buf_deinit(&records[i]);
    }
}

static int setup(void **state)
{
    (void)state;
    contained = (struct consensus_contained){ .index = 0 };
    dir = scratch_dir();
    (void)snprintf(none, sizeof none, "%s/none", dir);
    return 0;
}

static int teardown(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(mu_dir_remove(dir, &err), MU_OK);
    return 0;
}

static void inspect(struct consensus_inspection *seen)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    if (consensus_inspect(dir, &own, &contained, seen, &err) != MU_OK) {
        fail_msg("inspect: %s", err.text);
    }
}

/* Every name and byte of the directory, one behind the other. */
static enum mu_code add_file(void *data, const char *name, struct mu_err *err)
{
    struct mu_buf *to = data, path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    mu_buf_addf(to, "%s\n", name);
    enum mu_code rc = mu_file_read(mu_buf_text(&path), SIZE_MAX, to, err);

    mu_buf_deinit(&path);
    return rc;
}

static struct mu_buf whole(void)
{
    struct mu_buf all = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(mu_dir_each(dir, add_file, &all, &err), MU_OK);
    return all;
}

static void inspection_shows_the_log_and_writes_nothing(void **state)
{
    struct consensus_inspection seen;
    struct mu_buf before, after;

    (void)state;
    log_make();
    before = whole();
    inspect(&seen);
    after = whole();
    assert_true(mu_span_eq(mu_buf_span(&before), mu_buf_span(&after)));
    assert_string_equal(seen.damage, "");
    assert_int_equal(seen.term, 4);
    assert_int_equal(seen.last_index, 5);
    assert_int_equal(seen.last_term, 4);
    assert_int_equal(seen.epoch, 0);
    assert_int_equal(seen.config.servers_count, 3);
    assert_int_equal(seen.config.index, 1);
    assert_int_not_equal(seen.chain, 0);
    mu_buf_deinit(&before);
    mu_buf_deinit(&after);
}

static void inspection_of_nothing_makes_nothing(void **state)
{
    struct consensus_inspection seen;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);
    struct mu_buf before = whole(), after;

    (void)state;
    assert_int_equal(consensus_inspect(dir, &own, &contained, &seen, &err), MU_NOT_FOUND);
    after = whole();
    assert_int_equal(before.bytes, after.bytes);
    mu_buf_deinit(&before);
    mu_buf_deinit(&after);
    assert_int_equal(
        consensus_inspect("/tmp/muster-no-such-directory", &own, &contained, &seen, &err),
        MU_NOT_FOUND);
    assert_int_not_equal(access("/tmp/muster-no-such-directory", F_OK), 0);
}

static void another_nodes_log_is_refused(void **state)
{
    struct consensus_inspection seen;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id other = id_of(2);

    (void)state;
    log_make();
    assert_int_equal(consensus_inspect(dir, &other, &contained, &seen, &err), MU_FOREIGN);
}

/* This server goes on alone. */
static void config_of_one(const struct consensus_inspection *seen, struct consensus_config *config)
{
    struct consensus_server alone = { .id = id_of(1), .disk = seen->disk, .is_voter = true };

    consensus_recovery_config(seen, &alone, 1, config);
}

static void recovery_appends_one_entry_in_a_new_epoch(void **state)
{
    struct consensus_inspection seen, now;
    struct consensus_config config;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    (void)state;
    log_make();
    inspect(&seen);
    config_of_one(&seen, &config);
    if (consensus_recover(dir, &own, &seen, &config, 7, 5, &err) != MU_OK) {
        fail_msg("recover: %s", err.text);
    }
    inspect(&now);
    assert_int_equal(now.epoch, 5);
    assert_int_equal(now.term, 7);
    assert_int_equal(now.last_index, 6);
    assert_int_equal(now.last_term, 7);
    assert_true(mu_id_eq(&now.cluster, &seen.cluster));
    assert_int_equal(now.config.index, 6);
    assert_int_equal(now.config.servers_count, 1);
    assert_true(now.config.is_forced);
    assert_int_equal(now.config.removed_count, 2); /* the lost ones' disks never come back */
    for (uint8_t i = 12; i <= 13; i++) {
        struct mu_id disk = id_of(i);

        assert_true(consensus_config_has_removed(&now.config, &disk));
    }

    /* What was inspected before is not what is there now. */
    assert_int_equal(consensus_recover(dir, &own, &seen, &config, 8, 6, &err), MU_CONFLICT);
}

static void the_same_log_and_peers_give_the_same_entry(void **state)
{
    struct consensus_inspection seen;
    struct consensus_server pair[2];
    struct consensus_config one, two;
    uint8_t first[CONSENSUS_CONFIG_BYTES_MAX], second[CONSENSUS_CONFIG_BYTES_MAX];

    (void)state;
    log_make();
    inspect(&seen);
    for (uint8_t i = 0; i < 2; i++) {
        pair[i] = (struct consensus_server){ .id = id_of((uint8_t)(i + 1)),
                                             .disk = seen.config.servers[i].disk,
                                             .is_voter = true };
    }
    consensus_recovery_config(&seen, pair, 2, &one);
    seen.boot_count += 5; /* whatever is the server's own */
    consensus_recovery_config(&seen, pair, 2, &two);
    size_t bytes = consensus_config_encode(&one, first);

    assert_int_equal(consensus_config_encode(&two, second), bytes);
    assert_memory_equal(first, second, bytes);
    assert_int_equal(one.removed_count, 1);
    assert_int_equal(one.level, CONSENSUS_LEVEL_FIRST);
    seen.config.level = 5; /* what the log holds may need it */
    consensus_recovery_config(&seen, pair, 2, &two);
    assert_int_equal(two.level, 5);
}

/* One bit: what is written over a byte could be what it was. */
static void flip(const char *name, long at)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    FILE *f = fopen(mu_buf_text(&path), "r+b");

    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int was = fgetc(f);

    assert_int_not_equal(was, EOF);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(was ^ 0x40, f), was ^ 0x40);
    assert_int_equal(fclose(f), 0);
    mu_buf_deinit(&path);
}

/* The salt of the first batch; the magic number of the head, with the whole log behind it. */
static void a_damaged_log_is_told_and_not_touched(void **state)
{
    static const struct {
        long at;
        const char *told;
    } rows[] = {
        { 4096 + 40, "log-0000000000000001.seg at byte 4096: the first batch is damaged, later" },
        { 0, "log-0000000000000001.seg at byte 0: the head is damaged, batches are intact" },
    };
    struct consensus_inspection seen;

    (void)state;
    log_make();
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        flip("log-0000000000000001.seg", rows[i].at);
        struct mu_buf before = whole();

        inspect(&seen);
        assert_int_equal(seen.damage_code, MU_CORRUPT);
        assert_non_null(strstr(seen.damage, rows[i].told));
        struct mu_buf after = whole();

        assert_true(mu_span_eq(mu_buf_span(&before), mu_buf_span(&after)));
        mu_buf_deinit(&before);
        mu_buf_deinit(&after);
        flip("log-0000000000000001.seg", rows[i].at);
    }
    inspect(&seen);
    assert_string_equal(seen.damage, "");
    assert_int_equal(seen.last_index, 5);
}

/* Entry 6, in a batch of its own, which begins on the third page behind the head. */
static void log_extend(void)
{
    struct consensus_opened opened;
    struct consensus_store store = store_open(&opened);
    struct consensus_record r = {
        .index = 6, .term = 4, .kind = CONSENSUS_COMMAND, .payload = MU_SPAN_LIT("y")
    };
    struct mu_buf record = MU_BUF_NONE;
    struct consensus_write w = { .seq = 1, .hard = opened.loaded.hard, .first = 6, .last = 6 };

    (void)consensus__record_add(&record, &r, 0);
    struct mu_span bytes = mu_buf_span(&record);

    store.ops->submit(store.self, &w, &bytes);
    store_close(&store);
    consensus_opened_deinit(&opened);
    mu_buf_deinit(&record);
}

/* The server itself starts with such a log, so people must not be told to give it up. */
static void damage_that_the_state_covers_is_harmless(void **state)
{
    struct consensus_inspection seen;
    struct consensus_config config;
    struct consensus_opened opened;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    (void)state;
    log_make();
    log_extend();
    flip("log-0000000000000001.seg", 3 * 4096 + 60);
    contained = (struct consensus_contained){ .index = 5, .term = 4 };
    inspect(&seen);
    assert_non_null(strstr(seen.damage, "log-0000000000000001.seg at byte 12288: entries are"));
    assert_string_equal(seen.harmless, "");

    contained.index = 6;
    struct mu_buf before = whole();

    inspect(&seen);
    struct mu_buf after = whole();

    assert_true(mu_span_eq(mu_buf_span(&before), mu_buf_span(&after)));
    mu_buf_deinit(&before);
    mu_buf_deinit(&after);
    assert_string_equal(seen.damage, "");
    assert_non_null(strstr(seen.harmless, "log-0000000000000001.seg at byte 12288: entries are"));
    assert_int_equal(seen.last_index, 6);
    assert_int_equal(seen.config.servers_count, 3);

    /* And it can be recovered from. */
    config_of_one(&seen, &config);
    if (consensus_recover(dir, &own, &seen, &config, 7, 5, &err) != MU_OK) {
        fail_msg("recover: %s", err.text);
    }
    inspect(&seen);
    assert_int_equal(seen.last_index, 7);

    /* It lies there until it is shed. */
    struct consensus_store store = store_open(&opened);

    assert_non_null(strstr(opened.damage, "the state has them"));
    assert_int_equal(opened.damaged_segment, 1);
    store.ops->shed(store.self, opened.damaged_segment);
    store_close(&store);
    consensus_opened_deinit(&opened);
    inspect(&seen);
    assert_string_equal(seen.harmless, "");
    assert_int_equal(seen.last_index, 7);
}

/* The end that meta tells of after a stop in order is lost, and the state has all of it. */
static void an_end_that_the_state_covers_is_harmless(void **state)
{
    struct consensus_inspection seen;

    (void)state;
    log_make();
    log_extend();
    flip("log-0000000000000001.seg", 3 * 4096 + 60);
    flip("log-0000000000000001.seg", 4 * 4096 + 60); /* and what tells that it was durable */
    inspect(&seen);
    assert_string_not_equal(seen.damage, "");
    contained = (struct consensus_contained){ .index = 6, .term = 4 };
    inspect(&seen);
    assert_string_equal(seen.damage, "");
    assert_string_not_equal(seen.harmless, "");
    assert_int_equal(seen.last_index, 6);
}

/* -- a promise --------------------------------------------------------------------------------- */

static void a_promise_is_seen_and_forgotten(void **state)
{
    struct consensus_bootstrap_record record = {
        .is_promised = true, .cluster = id_of(77), .coordinator = id_of(2), .set = { .count = 1 }
    };
    uint8_t bytes[BOOTSTRAP_RECORD_BYTES_MAX];
    struct consensus_inspection seen;
    struct consensus_opened opened;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    (void)state;
    record.set.members[0].server = own;
    struct consensus_store store = store_open(&opened);

    record.set.members[0].disk = opened.disk;
    size_t used = consensus_bootstrap_record_encode(&record, bytes);

    store.ops->record(store.self, mu_span_of(bytes, used));
    store_close(&store);
    consensus_opened_deinit(&opened);

    inspect(&seen);
    assert_true(seen.is_promised);
    assert_true(mu_id_eq(&seen.coordinator, &record.coordinator));
    assert_int_equal(consensus_promise_reset(dir, &own, &err), MU_OK);
    inspect(&seen);
    assert_false(seen.is_promised);
}

static void no_promise_is_forgotten_where_there_is_a_cluster(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    (void)state;
    log_make();
    assert_int_equal(consensus_promise_reset(dir, &own, &err), MU_CONFLICT);
}

static void a_promise_that_is_none_is_damage(void **state)
{
    struct consensus_inspection seen;
    struct consensus_opened opened;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    (void)state;
    struct consensus_store store = store_open(&opened);

    store.ops->record(store.self, MU_SPAN_LIT("promised"));
    store_close(&store);
    consensus_opened_deinit(&opened);
    assert_int_equal(consensus_inspect(dir, &own, &contained, &seen, &err), MU_CORRUPT);
    assert_non_null(strstr(err.text, "bootstrap record"));
}

static void a_promise_of_nobody_cannot_be_forgotten(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1), other = id_of(2);

    (void)state;
    assert_int_equal(consensus_promise_reset(none, &own, &err), MU_NOT_FOUND);
    log_make();
    assert_int_equal(consensus_promise_reset(dir, &other, &err), MU_FOREIGN);
}

/* -- what is not continued --------------------------------------------------------------------- */

static void only_the_log_that_was_seen_is_continued(void **state)
{
    struct consensus_inspection seen, other;
    struct consensus_config config;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id own = id_of(1);

    (void)state;
    log_make();
    inspect(&seen);
    config_of_one(&seen, &config);
    for (int i = 0; i < 4; i++) {
        other = seen;
        switch (i) {
        case 0: other.term++; break;
        case 1: other.epoch++; break;
        case 2: other.last_index++; break;
        default: other.disk = id_of(12); break;
        }
        assert_int_equal(consensus_recover(dir, &own, &other, &config, 9, 6, &err), MU_CONFLICT);
    }
    struct mu_id stranger = id_of(5);

    assert_int_equal(consensus_recover(dir, &stranger, &seen, &config, 9, 6, &err), MU_FOREIGN);
    config.servers_count = 0;
    assert_int_not_equal(consensus_recover(dir, &own, &seen, &config, 9, 6, &err), MU_OK);
    inspect(&other);
    assert_int_equal(other.last_index, 5); /* none of them has written anything */
    assert_int_equal(other.term, 4);
}

/* A list of disks that must not come back holds the newest ones; who was not there joins now. */
static void the_oldest_removed_disk_makes_room(void **state)
{
    struct consensus_inspection seen = { .last_index = 40 };
    struct consensus_config config;
    struct mu_id own = id_of(11);

    (void)state;
    config_of_three(&own, &seen.config);
    seen.config.servers[0].joined_index = 3;
    for (uint8_t i = 0; i < CONSENSUS_REMOVED_MAX; i++) {
        seen.config.removed[i] = id_of((uint8_t)(100 + i));
    }
    seen.config.removed_count = CONSENSUS_REMOVED_MAX;
    struct consensus_server left[2] = { seen.config.servers[0],
                                        { .id = id_of(9), .disk = id_of(19), .is_voter = true } };

    consensus_recovery_config(&seen, left, 2, &config);
    assert_int_equal(config.removed_count, CONSENSUS_REMOVED_MAX);
    for (uint8_t i = 0; i < CONSENSUS_REMOVED_MAX; i++) {
        struct mu_id disk = id_of((uint8_t)(100 + i));

        assert_int_equal(consensus_config_has_removed(&config, &disk), i >= 2);
    }
    for (uint8_t i = 12; i <= 13; i++) {
        struct mu_id disk = id_of(i);

        assert_true(consensus_config_has_removed(&config, &disk));
    }
    assert_int_equal(config.servers[0].joined_index, 3);
    assert_int_equal(config.servers[1].joined_index, 41);
}

/* A log that is only kept gives back what it held for later. */
static void the_reserve_of_a_log_that_is_kept_goes(void **state)
{
    static const char *const goes[] = { "ballast", "spare.part", "spare-0000000000000001.seg" };
    static const char *const stays[] = { "meta", "log-0000000000000001.seg", "spare-1.seg" };
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf path = MU_BUF_NONE;

    (void)state;
    log_make();
    for (size_t i = 0; i < MU_LEN(goes); i++) {
        mu_buf_clear(&path);
        mu_buf_addf(&path, "%s/%s", dir, goes[i]);
        assert_int_equal(mu_file_replace(mu_buf_text(&path), MU_SPAN_LIT("x"), 0600, &err), MU_OK);
    }
    mu_buf_clear(&path);
    mu_buf_addf(&path, "%s/%s", dir, stays[2]);
    assert_int_equal(mu_file_replace(mu_buf_text(&path), MU_SPAN_LIT("x"), 0600, &err), MU_OK);
    assert_int_equal(consensus_reserve_drop(dir, &err), MU_OK);
    for (size_t i = 0; i < 3; i++) {
        mu_buf_clear(&path);
        mu_buf_addf(&path, "%s/%s", dir, goes[i]);
        assert_int_not_equal(access(mu_buf_text(&path), F_OK), 0);
        mu_buf_clear(&path);
        mu_buf_addf(&path, "%s/%s", dir, stays[i]);
        assert_int_equal(access(mu_buf_text(&path), F_OK), 0);
    }
    mu_buf_deinit(&path);
    assert_int_equal(consensus_reserve_drop(none, &err), MU_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inspection_shows_the_log_and_writes_nothing),
        TEST(inspection_of_nothing_makes_nothing),
        TEST(another_nodes_log_is_refused),
        TEST(recovery_appends_one_entry_in_a_new_epoch),
        TEST(the_same_log_and_peers_give_the_same_entry),
        TEST(a_damaged_log_is_told_and_not_touched),
        TEST(damage_that_the_state_covers_is_harmless),
        TEST(an_end_that_the_state_covers_is_harmless),
        TEST(a_promise_is_seen_and_forgotten),
        TEST(a_promise_that_is_none_is_damage),
        TEST(a_promise_of_nobody_cannot_be_forgotten),
        TEST(only_the_log_that_was_seen_is_continued),
        TEST(the_oldest_removed_disk_makes_room),
        TEST(the_reserve_of_a_log_that_is_kept_goes),
        TEST(no_promise_is_forgotten_where_there_is_a_cluster),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
