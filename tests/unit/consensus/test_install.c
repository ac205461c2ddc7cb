/* A server that gets a snapshot: what it is told that cannot be, answers that come too late or too
 * often, and installs that turn out not to be needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/assert.h"
#include "core_fixture.h"

enum { LAST = 5, BYTES = 100 };

static struct consensus *server_new(void)
{
    struct consensus_options options;

    fixture_options(&options);
    return fixture_core(&options, 3, LAST);
}

static const struct consensus_config *config_of_three(void)
{
    static struct consensus_config config;

    config =
        (struct consensus_config){ .index = 1, .level = CONSENSUS_LEVEL_FIRST, .servers_count = 3 };
    for (uint8_t i = 0; i < 3; i++) {
        config.servers[i].id = fixture_id((uint8_t)(i + 1));
        config.servers[i].disk = fixture_disk((uint8_t)(i + 1));
        config.servers[i].joined_index = 1;
        config.servers[i].is_voter = true;
    }
    return &config;
}

/* By the leader of term 2, of a state up to `index`. */
static struct consensus_msg message(const struct consensus *c, enum consensus_msg_kind kind,
                                    uint64_t index)
{
    struct consensus_msg m = fixture_msg(c, kind, 2, 2);

    m.snapshot.session = 7;
    m.snapshot.snap = (struct consensus_snap){ .index = index, .term = 2, .bytes = BYTES };
    if (kind == CONSENSUS_SNAP_OFFER) {
        m.snapshot.config = config_of_three();
    } else {
        m.snapshot.bytes = BYTES;
    }
    return m;
}

static void offer(struct consensus *c, uint64_t index, struct consensus_effects *fx)
{
    struct consensus_msg m = message(c, CONSENSUS_SNAP_OFFER, index);

    fixture_recv(c, &m, fx);
}

static void chunk(struct consensus *c, uint64_t index, struct consensus_effects *fx)
{
    struct consensus_msg m = message(c, CONSENSUS_SNAP_CHUNK, index);

    fixture_recv(c, &m, fx);
}

/* The owner's answer. */
static void answer(struct consensus *c, enum consensus_snap_event what, uint64_t index,
                   uint64_t offset, struct consensus_effects *fx)
{
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_SNAPSHOT };

    ev.snapshot.what = what;
    ev.snapshot.snap = (struct consensus_snap){
        .index = index, .term = 2, .bytes = BYTES, .attempt = c->install.snap.attempt
    };
    ev.snapshot.offset = offset;
    consensus_step(c, &ev, fx);
    consensus__check(c);
}

static void entries_to(struct consensus *c, uint64_t last, uint64_t commit)
{
    struct consensus_entry list[16];
    struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, 2);
    struct consensus_effects fx;

    assert_true(last - LAST <= MU_LEN(list));
    m.append.session = 1;
    m.append.prev_index = LAST;
    m.append.prev_term = 1;
    m.append.commit = commit;
    m.append.entries = list;
    for (uint64_t i = LAST + 1; i <= last; i++) {
        list[m.append.entries_count++] =
            (struct consensus_entry){ .index = i, .term = 2, .kind = CONSENSUS_NOOP };
    }
    fixture_recv(c, &m, &fx);
    fixture_persist(c, &fx);
}

/* Up to `state` of an install of the state up to `index`. */
static void install_to(struct consensus *c, enum consensus_installing state, uint64_t index)
{
    struct consensus_effects fx;

    offer(c, index, &fx);
    assert_int_equal(fx.snaps[0].kind, CONSENSUS_SNAP_OPEN);
    if (state >= CONSENSUS_INSTALL_RECEIVES) {
        answer(c, CONSENSUS_SNAP_OPENED, index, 0, &fx);
    }
    if (state >= CONSENSUS_INSTALL_IMPORTS) {
        chunk(c, index, &fx);
        assert_int_equal(fx.snaps[0].kind, CONSENSUS_SNAP_STORE);
        answer(c, CONSENSUS_SNAP_STORED, index, BYTES, &fx);
        assert_int_equal(fx.snaps[0].kind, CONSENSUS_SNAP_IMPORT);
    }
    assert_int_equal(c->install.state, state);
}

static void offers_and_chunks_that_cannot_be_are_dropped(void **state)
{
    enum what {
        SESSION,
        INDEX,
        INDEX_END,
        TERM,
        LATE_TERM,
        BYTES_NONE,
        BYTES_END,
        CONFIG,
        NO_ONE,
        CONFIG_LATE,
        EMPTY,
        LARGE,
        OFFSET,
        BEYOND
    };
    static const struct {
        const char *why;
        enum consensus_msg_kind kind;
        enum what what;
    } cases[] = {
        // clang-format off
        { "without a session",               CONSENSUS_SNAP_OFFER, SESSION },
        { "of no entry",                     CONSENSUS_SNAP_OFFER, INDEX },
        { "of an entry that never comes",    CONSENSUS_SNAP_OFFER, INDEX_END },
        { "of no term",                      CONSENSUS_SNAP_OFFER, TERM },
        { "of a term after the sender's",    CONSENSUS_SNAP_OFFER, LATE_TERM },
        { "empty",                           CONSENSUS_SNAP_OFFER, BYTES_NONE },
        { "of endless size",                 CONSENSUS_SNAP_OFFER, BYTES_END },
        { "without a configuration",         CONSENSUS_SNAP_OFFER, CONFIG },
        { "with one of nobody",              CONSENSUS_SNAP_OFFER, NO_ONE },
        { "with one that comes later",       CONSENSUS_SNAP_OFFER, CONFIG_LATE },
        { "a piece without a session",       CONSENSUS_SNAP_CHUNK, SESSION },
        { "a piece of nothing",              CONSENSUS_SNAP_CHUNK, EMPTY },
        { "larger than any piece",           CONSENSUS_SNAP_CHUNK, LARGE },
        { "behind the end",                  CONSENSUS_SNAP_CHUNK, OFFSET },
        { "over the end",                    CONSENSUS_SNAP_CHUNK, BEYOND },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus *c = server_new();
        struct consensus_msg m = message(c, cases[i].kind, 10);
        struct consensus_config config = *config_of_three();
        struct consensus_effects fx;

        if (cases[i].kind == CONSENSUS_SNAP_CHUNK) {
            install_to(c, CONSENSUS_INSTALL_RECEIVES, 10);
        } else {
            m.snapshot.config = &config;
        }
        switch (cases[i].what) {
        case SESSION: m.snapshot.session = 0; break;
        case INDEX: m.snapshot.snap.index = 0; break;
        case INDEX_END: m.snapshot.snap.index = UINT64_MAX / 2; break;
        case TERM: m.snapshot.snap.term = 0; break;
        case LATE_TERM: m.snapshot.snap.term = 3; break;
        case BYTES_NONE: m.snapshot.snap.bytes = 0; break;
        case BYTES_END: m.snapshot.snap.bytes = UINT64_MAX / 2; break;
        case CONFIG: m.snapshot.config = NULL; break;
        case NO_ONE: config.servers_count = 0; break;
        case CONFIG_LATE: config.index = 11; break;
        case EMPTY: m.snapshot.bytes = 0; break;
        case LARGE: m.snapshot.bytes = CONSENSUS_CHUNK_BYTES + 1; break;
        case OFFSET: m.snapshot.offset = BYTES; break;
        case BEYOND: m.snapshot.offset = 1; break;
        }
        uint64_t dropped = c->counters.messages_dropped;
        enum consensus_installing was = c->install.state;

        fixture_recv(c, &m, &fx);
        if (c->counters.messages_dropped != dropped + 1 || fx.snaps_count != 0 ||
            fx.sends_count != 0 || c->install.state != was) {
            fail_msg("%s: it was taken", cases[i].why);
        }
        mu_free(c);
    }
}

/* Each answer belongs to one state; what belongs to another, or comes twice, changes nothing. */
static void answers_out_of_turn_change_nothing(void **state)
{
    static const enum consensus_installing states[] = { CONSENSUS_INSTALL_OPENS,
                                                        CONSENSUS_INSTALL_RECEIVES,
                                                        CONSENSUS_INSTALL_IMPORTS };
    static const enum consensus_snap_event answers[] = { CONSENSUS_SNAP_OPENED,
                                                         CONSENSUS_SNAP_STORED,
                                                         CONSENSUS_SNAP_IMPORTED,
                                                         CONSENSUS_SNAP_SWITCHED };

    (void)state;
    for (size_t s = 0; s < MU_LEN(states); s++) {
        for (size_t a = 0; a < MU_LEN(answers); a++) {
            bool belongs = a == s;
            struct consensus *c = server_new();
            struct consensus_effects fx;

            install_to(c, states[s], 10);
            answer(c, answers[a], 11, 0, &fx); /* of another snapshot */
            assert_int_equal(c->install.state, states[s]);
            if (!belongs) {
                answer(c, answers[a], 10, 0, &fx);
                assert_int_equal(c->install.state, states[s]);
                assert_int_equal(fx.snaps_count, 0);
            }
            mu_free(c);
        }
    }
    struct consensus *c = server_new();
    struct consensus_effects fx;

    install_to(c, CONSENSUS_INSTALL_RECEIVES, 10);
    answer(c, CONSENSUS_SNAP_STORED, 10, 0, &fx); /* no further than before */
    assert_int_equal(fx.sends_count, 0);
    mu_free(c);
}

/* Entries that come meanwhile lead to the same state: nothing has to be switched. */
static void an_import_that_the_log_overtakes_is_given_up(void **state)
{
    struct consensus *c = server_new();
    struct consensus_effects fx;

    (void)state;
    install_to(c, CONSENSUS_INSTALL_IMPORTS, 10);
    entries_to(c, 12, LAST); /* not known to be committed: the snapshot says so */
    answer(c, CONSENSUS_SNAP_IMPORTED, 10, 0, &fx);
    assert_int_equal(c->install.state, CONSENSUS_INSTALL_NONE);
    assert_int_equal(fx.snaps_count, 1);
    assert_int_equal(fx.snaps[0].kind, CONSENSUS_SNAP_ABANDON);
    assert_int_equal(c->commit, 10);
    assert_int_equal(c->log.base_index, 0);
    mu_free(c);
}

/* An offer that names what the log has ends the install of it, before anything is imported. */
static void an_offer_of_what_is_there_ends_what_was_begun(void **state)
{
    struct consensus *c = server_new();
    struct consensus_effects fx;

    (void)state;
    install_to(c, CONSENSUS_INSTALL_RECEIVES, 10);
    entries_to(c, 12, LAST);
    offer(c, 10, &fx);
    assert_int_equal(c->install.state, CONSENSUS_INSTALL_NONE);
    assert_int_equal(fx.snaps[0].kind, CONSENSUS_SNAP_ABANDON);
    assert_int_equal(c->commit, 10);
    mu_free(c);
}

/* What is being imported goes on, whatever newer one is offered; before that the newer one begins.
 */
static void a_newer_offer_waits_for_an_import(void **state)
{
    struct consensus *c = server_new();
    struct consensus_effects fx;

    (void)state;
    install_to(c, CONSENSUS_INSTALL_IMPORTS, 10);
    offer(c, 20, &fx);
    assert_int_equal(fx.snaps_count, 0);
    assert_int_equal(c->install.snap.index, 10);
    mu_free(c);
    c = server_new();
    install_to(c, CONSENSUS_INSTALL_RECEIVES, 10);
    offer(c, 20, &fx);
    assert_int_equal(fx.snaps[fx.snaps_count - 1].kind, CONSENSUS_SNAP_OPEN);
    assert_int_equal(c->install.snap.index, 20);
    mu_free(c);
}

/* It stands for election while the last piece is written: with a log that goes. */
static void who_stands_for_a_log_that_goes_stands_no_more(void **state)
{
    struct consensus *c = server_new();
    struct consensus_effects fx;

    (void)state;
    install_to(c, CONSENSUS_INSTALL_RECEIVES, 10);
    chunk(c, 10, &fx);
    c->election_at_ms = c->now_ms;
    fixture_wake(c, c->now_ms, &fx);
    assert_int_equal(c->role, CONSENSUS_PRE_CANDIDATE);
    answer(c, CONSENSUS_SNAP_STORED, 10, BYTES, &fx);
    answer(c, CONSENSUS_SNAP_IMPORTED, 10, 0, &fx);
    fixture_wake(c, c->now_ms, &fx);
    assert_int_equal(c->install.state, CONSENSUS_INSTALL_RESETS);
    assert_int_equal(c->role, CONSENSUS_FOLLOWER);
    fixture_persist(c, &fx);
    assert_int_equal(fx.snaps[0].kind, CONSENSUS_SNAP_SWITCH);
    answer(c, CONSENSUS_SNAP_SWITCHED, 10, 0, &fx);
    assert_int_equal(c->applied, 10);
    assert_int_equal(c->log.base_index, 10);
    mu_free(c);
}

/* A server that stops finishes its install, and tells nobody. */
static void who_stops_tells_nobody(void **state)
{
    static const enum consensus_snap_event ends[] = { CONSENSUS_SNAP_SWITCHED,
                                                      CONSENSUS_SNAP_LOST };

    (void)state;
    for (size_t i = 0; i < MU_LEN(ends); i++) {
        struct consensus *c = server_new();
        struct consensus_event stop = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_STOP };
        struct consensus_effects fx;

        install_to(c, CONSENSUS_INSTALL_IMPORTS, 10);
        if (ends[i] == CONSENSUS_SNAP_SWITCHED) {
            answer(c, CONSENSUS_SNAP_IMPORTED, 10, 0, &fx);
            fixture_persist(c, &fx);
            assert_int_equal(c->install.state, CONSENSUS_INSTALL_SWITCHES);
        }
        stop.now_ms = c->now_ms;
        consensus_step(c, &stop, &fx);
        answer(c, ends[i], 10, 0, &fx);
        assert_int_equal(c->install.state, CONSENSUS_INSTALL_NONE);
        assert_int_equal(fx.sends_count, 0);
        fixture_persist(c, &fx);
        assert_int_equal(fx.sends_count, 0);
        mu_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_and_chunks_that_cannot_be_are_dropped),
        cmocka_unit_test(answers_out_of_turn_change_nothing),
        cmocka_unit_test(an_import_that_the_log_overtakes_is_given_up),
        cmocka_unit_test(an_offer_of_what_is_there_ends_what_was_begun),
        cmocka_unit_test(a_newer_offer_waits_for_an_import),
        cmocka_unit_test(who_stands_for_a_log_that_goes_stands_no_more),
        cmocka_unit_test(who_stops_tells_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
