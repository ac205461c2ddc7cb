/* What a server makes of a state and a log that do not fit, and of a promise that cannot be. */
#include "node_fixture.h"

#include "base/assert.h"
#include "record.h"

/* Of server 1, alone or with two others, behind an install: the log begins behind entry 10. */
static void log_make_of(struct memory_disk *d, uint32_t servers, uint32_t level,
                        struct mu_span record)
{
    struct rig *r = mu_new(sizeof *r);
    struct consensus_store_options options = { .server = { { 1 } },
                                               .segment_bytes = 64 * 1024,
                                               .spares_count = 1,
                                               .wake = on_wake,
                                               .wake_data = r };
    struct consensus_config config = { .index = 7, .level = level, .servers_count = servers };
    struct consensus_write w = {
        .seq = 1, .first = 1, .reset_index = 10, .reset_term = 3, .reset_config = &config
    };
    struct consensus_disk view = memory_disk_view(d);
    struct consensus_store store;
    struct consensus_opened opened;
    struct mu_err err = MU_ERR_NONE;

    for (uint8_t i = 0; i < servers; i++) {
        config.servers[i].id.b[0] = (uint8_t)(1 + i);
        config.servers[i].disk.b[0] = (uint8_t)(11 + i);
        config.servers[i].is_voter = true;
    }
    w.hard.term = 3;
    w.hard.cluster.b[0] = 9;
    consensus__store_segment_on(&store, &options, &view, NULL);
    assert_int_equal(store.ops->open(store.self, &opened, &err), MU_OK);
    if (servers > 0) {
        store.ops->submit(store.self, &w, NULL);
    }
    if (record.bytes > 0) {
        store.ops->record(store.self, record);
    }
    store.ops->close(store.self);
    store.ops->free(store.self); /* waits for the thread, which finishes what is queued */
    consensus_opened_deinit(&opened);
    memory_crash(d);
    mu_free(r);
}

static void log_make(struct memory_disk *d, uint32_t servers, struct mu_span record)
{
    log_make_of(d, servers, CONSENSUS_LEVEL_FIRST, record);
}

static void state_and_log_are_of_one_history_or_refused(void **state)
{
    static const struct {
        const char *why;
        uint32_t servers; /* of the configuration; 0: an empty log */
        uint64_t applied, applied_term, next, next_term;
        bool lacks_state;
        const char *text;            /* NULL: it opens */
        bool takes_next, is_without; /* as it says then */
    } cases[] = {
        // clang-format off
        { "as it should be",                        3, 10, 3, 0,  0, false, NULL, false, false },
        { "a state from before the install",        3, 5,  2, 0,  0, false, "the state contains entries up to 5, the log holds 11 to 10", false, false },
        { "a state that the log is behind of",      3, 12, 3, 0,  0, false, "the state contains entries up to 12", false, false },
        { "of another term",                        3, 10, 2, 0,  0, false, "entry 10 is of term 2 in the state and of term 3 in the log", false, false },
        { "the install was not finished",           3, 5,  2, 10, 3, false, NULL, true,  false },
        { "it had been, and a file was left",       3, 10, 3, 10, 3, false, NULL, false, false },
        { "the file is of another install",         3, 5,  2, 8,  3, false, "the state contains entries up to 5", false, false },
        { "no state, and others have it",           3, 0,  0, 0,  0, true,  NULL, false, true },
        { "no state but the one that is to come",   3, 0,  0, 10, 3, true,  NULL, true,  false },
        { "no state, and nobody has it",            1, 0,  0, 0,  0, true,  "no other server has the state", false, false },
        { "nothing at all",                         0, 0,  0, 0,  0, true,  NULL, false, false },
        { "a state of a log that is gone",          0, 5,  2, 0,  0, false, "the state contains entries up to 5, the log holds 1 to 0", false, false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct rig *r = mu_new(sizeof *r);
        struct consensus_driver_options options = options_of(r);
        struct mu_err err = MU_ERR_NONE;

        log_make(d, cases[i].servers, MU_SPAN_NONE);
        options.expect = 0;
        options.applied = cases[i].applied;
        options.applied_term = cases[i].applied_term;
        options.next_applied = cases[i].next;
        options.next_applied_term = cases[i].next_term;
        options.lacks_state = cases[i].lacks_state;
        enum mu_code rc = rig_try(r, d, &options, &err);

        if (rc != (cases[i].text == NULL ? MU_OK : MU_CORRUPT) ||
            (rc != MU_OK && strstr(err.text, cases[i].text) == NULL) ||
            (rc == MU_OK && (r->node.takes_next != cases[i].takes_next ||
                             r->node.lacks_state != cases[i].is_without))) {
            fail_msg("%s: %s, %d %d", cases[i].why, err.text, r->node.takes_next,
                     r->node.lacks_state);
        }
        consensus__node_deinit(&r->node); /* it was not started */
        assert_int_equal(d->open_count, 0);
        mu_free(r);
        memory_disk_free(d);
    }
}

static void a_log_of_a_higher_level_is_left_to_who_understands_it(void **state)
{
    static const struct {
        uint32_t level, level_max; /* of the log, of the server; 0: it was not told */
        bool opens;
    } cases[] = {
        { 1, 0, true }, { 2, 0, false }, { 3, 2, false }, { 3, 3, true }, { 3, 4, true }
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct rig *r = mu_new(sizeof *r);
        struct consensus_driver_options options = options_of(r);
        struct mu_err err = MU_ERR_NONE;

        log_make_of(d, 3, cases[i].level, MU_SPAN_NONE);
        options.expect = 0;
        options.applied = 10;
        options.applied_term = 3;
        options.level_max = cases[i].level_max;
        enum mu_code rc = rig_try(r, d, &options, &err);

        if (rc != (cases[i].opens ? MU_OK : MU_UNSUPPORTED) ||
            (rc != MU_OK && strstr(err.text, "the cluster uses commands of level") == NULL)) {
            fail_msg("%u, %u: %s", cases[i].level, cases[i].level_max, err.text);
        }
        consensus__node_deinit(&r->node);
        assert_int_equal(d->open_count, 0);
        mu_free(r);
        memory_disk_free(d);
    }
}

/* The layout of a state is at most what the log before it has asked for (catalog/schema.h). */
static void a_state_of_a_higher_level_than_its_log_is_refused(void **state)
{
    static const struct {
        const char *why;
        uint32_t log, state;
        uint64_t next; /* a state that an install left complete */
        bool opens;
    } cases[] = {
        { "of no level yet", 1, 0, 0, true },
        { "both of the first", 1, 1, 0, true },
        { "both of a later one", 2, 2, 0, true },
        { "nothing of the state came with it", 3, 2, 0, true },
        { "a copy of another cluster's", 1, 2, 0, false },
        { "the same, of a later one", 2, 3, 0, false },
        { "but another takes its place", 1, 2, 10, true },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct rig *r = mu_new(sizeof *r);
        struct consensus_driver_options options = options_of(r);
        struct mu_err err = MU_ERR_NONE;
        char text[128];

        log_make_of(d, 3, cases[i].log, MU_SPAN_NONE);
        options.expect = 0;
        options.applied = cases[i].next > 0 ? 5 : 10;
        options.applied_term = cases[i].next > 0 ? 2 : 3;
        options.next_applied = cases[i].next;
        options.next_applied_term = 3;
        options.level_max = 3;
        options.state_level = cases[i].state;
        (void)snprintf(text, sizeof text,
                       "/disk: the state was made for commands of level %u, and up to entry 10 the "
                       "log allows level %u",
                       cases[i].state, cases[i].log);
        enum mu_code rc = rig_try(r, d, &options, &err);

        if (rc != (cases[i].opens ? MU_OK : MU_CORRUPT) ||
            (rc != MU_OK && strstr(err.text, text) == NULL)) {
            fail_msg("%s: %s", cases[i].why, err.text);
        }
        consensus__node_deinit(&r->node);
        mu_free(r);
        memory_disk_free(d);
    }
}

static void a_promise_that_is_none_is_refused_with_the_directory(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct consensus_driver_options options = options_of(r);
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    log_make(d, 0, MU_SPAN_LIT("promised"));
    assert_int_equal(rig_try(r, d, &options, &err), MU_CORRUPT);
    assert_non_null(strstr(err.text, "/disk: the promise to form a cluster: bootstrap record"));
    consensus__node_deinit(&r->node);
    mu_free(r);
    memory_disk_free(d);
}

/* What is there to be seen before there is a cluster, and what has no effect then. */
static void a_server_without_a_cluster_says_so(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct consensus_driver_options options = options_of(r);
    struct consensus_status status;
    struct consensus_config config;

    (void)state;
    options.expect = 0;
    rig_start(r, d, &options);
    consensus__node_status(&r->node, &status);
    assert_int_equal(status.role, CONSENSUS_OBSERVER);
    consensus__node_config(&r->node, &config);
    assert_int_equal(config.servers_count, 0);
    assert_false(consensus__node_is_voter(&r->node, &options.server));
    assert_string_equal(r->node.waits, "bootstrap_expect is not set");
    consensus__node_survey(&r->node); /* of nothing: no answer */
    consensus__node_shed(&r->node, 1);
    consensus__node_relieve(&r->node);
    ask(r, 10);
    run_until(r, is_answered);
    assert_int_equal(r->last_code, MU_NOT_LEADER);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_and_log_are_of_one_history_or_refused),
        cmocka_unit_test(a_log_of_a_higher_level_is_left_to_who_understands_it),
        cmocka_unit_test(a_state_of_a_higher_level_than_its_log_is_refused),
        cmocka_unit_test(a_promise_that_is_none_is_refused_with_the_directory),
        cmocka_unit_test(a_server_without_a_cluster_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
