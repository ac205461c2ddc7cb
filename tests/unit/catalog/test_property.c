/* Random commands: what must hold whatever they are.
 *
 * One log, applied one by one, in batches, and on a file that is closed now and then in the middle
 * of a transaction, comes to the same rows, the same hash at every entry, and the same answers. */
#include "fixture.h"
#include "random_commands.h"

#define ENTRIES 1500

struct log {
    struct mu_buf entries[ENTRIES + 1]; /* from 1; an empty one has no command */
};

struct outcome {
    enum mu_code code;
    bool did_apply;
    char *text;
    uint8_t hash[16];
};

static struct log *log_new(uint64_t seed)
{
    struct log *log = mu_new(sizeof *log);
    struct mu_arena arena;
    struct mu_rand r;

    mu_arena_init(&arena, 0);
    mu_rand_seed(&r, seed);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        struct command c;

        mu_arena_reset(&arena);
        if (!draw_bool(&r, 20)) {
            draw_command(&r, &arena, i, &c);
            CHECK(command_encode(&c, &log->entries[i], err));
        }
    }
    mu_arena_deinit(&arena);
    return log;
}

static void log_free(struct log *log)
{
    for (size_t i = 1; i <= ENTRIES; i++) {
        mu_buf_deinit(&log->entries[i]);
    }
    mu_free(log);
}

/* Apply one entry; note its outcome, or compare it with what was noted. */
static void apply_entry(struct fixture *f, const struct log *log, struct outcome *noted, bool note)
{
    struct catalog_result result;

    f->index++;
    CHECK(catalog_apply(f->catalog, f->index, 1 + f->index / 100,
                        mu_buf_span(&log->entries[f->index]), &result, err));
    struct catalog_applied applied = catalog_applied(f->catalog);
    struct outcome *o = &noted[f->index];

    if (note) {
        *o = (struct outcome){ result.code, result.did_apply, result.text, { 0 } };
        memcpy(o->hash, applied.hash, sizeof o->hash);
        mu_buf_deinit(&result.data);
        return;
    }
    const char *text = result.text != NULL ? result.text : "";
    const char *noted_text = o->text != NULL ? o->text : "";

    if (o->code != result.code || o->did_apply != result.did_apply ||
        strcmp(noted_text, text) != 0) {
        fail_msg("entry %llu: answered '%s' %d, before '%s' %d", (unsigned long long)f->index, text,
                 result.did_apply, noted_text, o->did_apply);
    }
    if (memcmp(o->hash, applied.hash, sizeof o->hash) != 0) {
        fail_msg("entry %llu: another hash than before", (unsigned long long)f->index);
    }
    catalog_result_free(&result);
}

static struct outcome *noted_new(void)
{
    return mu_new_array(ENTRIES + 1, sizeof(struct outcome));
}

static void noted_free(struct outcome *noted)
{
    for (size_t i = 0; i <= ENTRIES; i++) {
        mu_free(noted[i].text);
    }
    mu_free(noted);
}

/* All entries, each in its own transaction; the dump of the end. */
static void run_singly(const struct log *log, struct outcome *noted, struct mu_buf *dump)
{
    struct fixture f;

    fixture_init(&f, false);
    while (f.index < ENTRIES) {
        fixture_begin(&f);
        apply_entry(&f, log, noted, true);
        catalog_changes_free(fixture_commit(&f));
        fixture_check_hash(&f);
    }
    fixture_dump(&f, dump);
    fixture_deinit(&f);
}

/* In batches of random size, some of them rolled back first, or lost with the process. */
static void run_in_batches(const struct log *log, struct outcome *noted, bool on_disk,
                           uint64_t seed, struct mu_buf *dump)
{
    struct fixture f;
    struct mu_rand r;

    mu_rand_seed(&r, seed);
    fixture_init(&f, on_disk);
    while (f.index < ENTRIES) {
        uint64_t last = f.index + 1 + mu_rand_below(&r, 70);
        uint64_t durable = 0;

        last = last < ENTRIES ? last : ENTRIES;
        fixture_begin(&f);
        while (f.index < last) {
            apply_entry(&f, log, noted, false);
        }
        if (draw_bool(&r, 5)) {
            catalog_rollback(f.catalog);
        } else if (on_disk && draw_bool(&r, 4)) {
            fixture_reopen(&f); /* in the middle of the transaction */
        } else {
            catalog_changes_free(fixture_commit(&f));
        }
        if (on_disk && draw_bool(&r, 8)) {
            fixture_reopen(&f);
        }
        CHECK(catalog_checkpoint(f.catalog, draw_bool(&r, 2), &durable, err));
        f.index = catalog_applied(f.catalog).index;
        fixture_check_hash(&f);
    }
    fixture_dump(&f, dump);
    fixture_deinit(&f);
}

static void expect_same(const char *what, const struct mu_buf *a, const struct mu_buf *b)
{
    if (!mu_span_eq(mu_buf_span(a), mu_buf_span(b))) {
        fail_msg("%s: other rows", what);
    }
}

static void a_log_gives_one_state_however_it_is_applied(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct outcome *noted = noted_new();
        struct log *log = log_new(seed);
        struct mu_buf singly = MU_BUF_NONE;
        struct mu_buf other = MU_BUF_NONE;

        run_singly(log, noted, &singly);
        assert_true(singly.bytes > 10000); /* or the world is too small to say anything */
        run_in_batches(log, noted, false, seed + 100, &other);
        expect_same("in batches", &singly, &other);
        run_in_batches(log, noted, true, seed + 200, &other);
        expect_same("on a file, with crashes", &singly, &other);
        mu_buf_deinit(&singly);
        mu_buf_deinit(&other);
        log_free(log);
        noted_free(noted);
    }
}

/* -- rows belong together ---------------------------------------------------------------------- */

/* Every service that has an instance has an index and no other; every check and instance has a
 * node; every check of a service has that service. */
static void check_references(struct fixture *f)
{
    static const struct {
        const char *why, *sql;
    } cases[] = {
        { "a service without an index",
          "SELECT count(*) FROM services WHERE cast('service:' || name_key AS BLOB) NOT IN "
          "(SELECT name FROM idx)" },
        { "the index of no service",
          "SELECT count(*) FROM idx WHERE substr(name, 1, 8) = cast('service:' AS BLOB) AND "
          "substr(name, 9) NOT IN (SELECT name_key FROM services)" },
        { "an instance on no node",
          "SELECT count(*) FROM services WHERE node NOT IN (SELECT key FROM nodes)" },
        { "a check of no node",
          "SELECT count(*) FROM checks WHERE node NOT IN (SELECT key FROM nodes)" },
        { "a check of no instance",
          "SELECT count(*) FROM checks c WHERE length(service_key) > 0 AND NOT EXISTS (SELECT 1 "
          "FROM services s WHERE s.node = c.node AND s.key = c.service_key AND s.name_key = "
          "c.service_name_key)" },
        { "two nodes of one id",
          "SELECT count(*) - count(DISTINCT uuid) FROM nodes WHERE uuid IS NOT NULL" },
        { "a key whose version is not in the history",
          "SELECT count(*) FROM kv_cur_1 c WHERE NOT EXISTS (SELECT 1 FROM kv_hist_1 h WHERE "
          "h.id = c.id AND h.key = c.key AND h.op = c.op AND h.idx = c.idx)" },
        { "a lock of a session that is not there",
          "SELECT count(*) FROM kv_cur_1 WHERE session IS NOT NULL AND session NOT IN (SELECT id "
          "FROM sessions)" },
        { "a locked key that is deleted",
          "SELECT count(*) FROM kv_cur_1 WHERE session IS NOT NULL AND op <> 0" },
        { "the index of locks is another one",
          "SELECT (SELECT count(*) FROM kv_locks_1) <> (SELECT count(*) FROM kv_cur_1 WHERE "
          "session "
          "IS NOT NULL) OR EXISTS (SELECT 1 FROM kv_locks_1 l WHERE NOT EXISTS (SELECT 1 FROM "
          "kv_cur_1 c WHERE c.key = l.key AND c.session = l.session))" },
        { "the index of deletion markers is another one",
          "SELECT (SELECT count(*) FROM kv_dead_1) <> (SELECT count(*) FROM kv_cur_1 WHERE op = 1) "
          "OR EXISTS (SELECT 1 FROM kv_dead_1 d WHERE NOT EXISTS (SELECT 1 FROM kv_cur_1 c WHERE "
          "c.key = d.key AND c.id = d.id))" },
        { "a session on no node",
          "SELECT count(*) FROM sessions WHERE node NOT IN (SELECT key FROM nodes)" },
        { "a session that hangs on a critical check",
          "SELECT count(*) FROM sessions s JOIN checks c ON c.node = s.node WHERE c.status = "
          "cast('critical' AS BLOB) AND (instr(lower(cast(s.node_checks AS TEXT)), cast(c.key AS "
          "TEXT)) > 0 OR instr(lower(cast(s.service_checks AS TEXT)), cast(c.key AS TEXT)) > 0)" },
        { "a version without the one before, and compaction has not been there",
          "SELECT count(*) FROM kv_hist_1 h WHERE prev <> 0 AND NOT EXISTS (SELECT 1 FROM "
          "kv_hist_1 p WHERE p.id = h.prev AND p.key = h.key) AND id >= coalesce((SELECT value "
          "FROM idx WHERE name = cast('kvs.compacted' AS BLOB)), 0)" },
        { "a version that compaction has left behind",
          "SELECT count(*) FROM kv_hist_1 h JOIN kv_hist_1 p ON p.id = h.prev WHERE h.id < "
          "coalesce((SELECT value FROM idx WHERE name = cast('kvs.compacted' AS BLOB)), 0)" },
        { "a version of no key",
          "SELECT count(*) FROM kv_hist_1 WHERE key NOT IN (SELECT key FROM kv_cur_1)" },
    };

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        uint64_t count = fixture_count(f, cases[i].sql);

        if (count != 0) {
            fail_msg("entry %llu: %s", (unsigned long long)f->index, cases[i].why);
        }
    }
}

static void rows_refer_to_rows_that_are_there(void **state)
{
    struct outcome *noted = noted_new();
    struct log *log = log_new(11);
    struct fixture f;

    (void)state;
    fixture_init(&f, false);
    while (f.index < ENTRIES) {
        fixture_begin(&f);
        apply_entry(&f, log, noted, true);
        catalog_changes_free(fixture_commit(&f));
        check_references(&f);
    }
    fixture_deinit(&f);
    log_free(log);
    noted_free(noted);
}

/* -- exactly once ------------------------------------------------------------------------------ */

/* What a repeated command must leave alone: all rows but those that know of repetition. */
static void dump_effects(struct fixture *f, struct mu_buf *to)
{
    static const char *const left_out[] = { "applied ", "origins ", "outcomes ", "requests ",
                                            "idx \"requests" };
    struct mu_buf dump = MU_BUF_NONE;

    fixture_dump(f, &dump);
    struct mu_span rest = mu_buf_span(&dump);

    mu_buf_clear(to);
    while (rest.bytes > 0) {
        struct mu_span line = mu_span_split(rest, '\n', &rest, NULL);
        bool is_shown = true;

        for (size_t i = 0; i < MU_LEN(left_out); i++) {
            is_shown = is_shown && !mu_span_starts(line, mu_span_text(left_out[i]));
        }
        if (is_shown) {
            mu_buf_add_span(to, line);
            mu_buf_add_byte(to, '\n');
        }
    }
    mu_buf_deinit(&dump);
}

/* The first entry before `at` that has the same origin; 0: none. */
static uint64_t first_copy(const struct command_origin *origins, uint64_t at)
{
    for (uint64_t i = 1; i < at && origins[at].seq > 0; i++) {
        if (memcmp(&origins[i], &origins[at], sizeof origins[i]) == 0) {
            return i;
        }
    }
    return 0;
}

static void decode_origins(const struct log *log, struct command_origin *origins)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        struct command c = { .kind = COMMAND_NONE };

        if (log->entries[i].bytes > 0) {
            CHECK(command_decode(mu_buf_span(&log->entries[i]), &arena, &c, err));
        }
        memcpy(&origins[i], &c.origin, sizeof c.origin);
        mu_arena_reset(&arena);
    }
    mu_arena_deinit(&arena);
}

static void a_repeated_command_has_no_effect_and_the_first_answer(void **state)
{
    struct command_origin *origins = mu_new_array(ENTRIES + 1, sizeof *origins);
    struct outcome *noted = noted_new();
    struct log *log = log_new(21);
    struct mu_buf before = MU_BUF_NONE;
    struct mu_buf after = MU_BUF_NONE;
    struct fixture f;
    unsigned repeated = 0;

    (void)state;
    decode_origins(log, origins);
    fixture_init(&f, false);
    while (f.index < ENTRIES) {
        uint64_t first = first_copy(origins, f.index + 1);

        if (first > 0) {
            dump_effects(&f, &before);
        }
        fixture_begin(&f);
        apply_entry(&f, log, noted, true);
        catalog_changes_free(fixture_commit(&f));
        if (first > 0) {
            const struct outcome *o = &noted[f.index];

            dump_effects(&f, &after);
            expect_same("a repeated command", &before, &after);
            assert_true(o->code == MU_TIMEOUT ||
                        (o->code == noted[first].code && o->did_apply == noted[first].did_apply));
            repeated++;
        }
    }
    assert_true(repeated > 30); /* or nothing was tried */
    fixture_deinit(&f);
    log_free(log);
    noted_free(noted);
    mu_buf_deinit(&before);
    mu_buf_deinit(&after);
    mu_free(origins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_gives_one_state_however_it_is_applied),
        cmocka_unit_test(rows_refer_to_rows_that_are_there),
        cmocka_unit_test(a_repeated_command_has_no_effect_and_the_first_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
