/* The step as a function: bounded, relocatable, deterministic; rings that fill up; fetches that
 * fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/limits.h"
#include "core_fixture.h"

static void the_arena_is_small(void **state)
{
    struct consensus_options options;

    (void)state;
    fixture_options(&options);
    assert_in_range(consensus_arena_bytes(&options), 1, 640 * 1024);
}

static void times_must_fit_together(void **state)
{
    static const struct {
        const char *why;
        uint32_t heartbeat, election, pause, stall;
        enum mu_code code;
    } cases[] = {
        // clang-format off
        { "as shipped",                          100, 500, 250, 2000, MU_OK },
        { "five heartbeats exceed an election",  101, 500, 250, 2000, MU_INVALID },
        { "no heartbeat",                          0, 500, 250, 2000, MU_INVALID },
        { "a pause longer than half an election", 100, 500, 251, 2000, MU_INVALID },
        { "a stall shorter than two elections",  100, 500, 250,  999, MU_INVALID },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_options o;
        struct mu_err err = MU_ERR_NONE;

        fixture_options(&o);
        o.heartbeat_ms = cases[i].heartbeat;
        o.election_ms_min = cases[i].election;
        o.pause_ms = cases[i].pause;
        o.stall_ms = cases[i].stall;
        if (consensus_options_check(&o, &err) != cases[i].code) {
            fail_msg("%s: %s", cases[i].why, err.text);
        }
    }
}

static void every_profile_and_multiplier_is_sane(void **state)
{
    static const enum consensus_timing all[] = { CONSENSUS_LAN, CONSENSUS_FAST, CONSENSUS_WAN };

    (void)state;
    for (size_t i = 0; i < MU_LEN(all); i++) {
        for (unsigned m = 1; m <= 10; m++) {
            struct consensus_options o;

            consensus_options_init(&o, all[i], m);
            o.server = fixture_id(1);
            o.disk = fixture_disk(1);
            assert_int_equal(consensus_options_check(&o, NULL), MU_OK);
        }
    }
}

static void ids_are_required(void **state)
{
    struct consensus_options o;

    (void)state;
    consensus_options_init(&o, CONSENSUS_LAN, 1);
    assert_int_equal(consensus_options_check(&o, NULL), MU_INVALID);
}

/* State, without what a step only leaves behind. */
static void assert_equal_state(const struct consensus *a, const struct consensus *b)
{
    assert_memory_equal(a, b, offsetof(struct consensus, sends_count));
    assert_memory_equal((const char *)a + sizeof *a, (const char *)b + sizeof *b,
                        a->at.state_bytes - sizeof *a);
}

static void drive(struct consensus *c, struct consensus_effects *fx, int i)
{
    struct consensus_msg m = fixture_msg(c, CONSENSUS_HEARTBEAT_RES, 2, c->hard.term);

    switch (i % 5) {
    case 0: fixture_propose(c, (uint64_t)i + 1, 3, 10, fx); break;
    case 1: fixture_persist(c, fx); break;
    case 2: fixture_ack(c, 2, c->log.last_index, fx); break;
    case 3:
        m.alive.session = c->peers[1].session;
        m.alive.read_seq = c->office.read_seq;
        fixture_recv(c, &m, fx);
        break;
    default: fixture_wake(c, c->wake_at_ms, fx); break;
    }
}

/* The same events give the same bytes, in another place too: no pointers inside, no padding. */
static void a_copy_goes_on_like_the_original(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;
    struct consensus_effects fx_copy;

    (void)state;
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 5);
    struct consensus *copy = mu_new(c->at.total);

    fixture_elect(c, 3);
    memcpy(copy, c, c->at.total);
    for (int i = 0; i < 200; i++) {
        drive(c, &fx, i);
        drive(copy, &fx_copy, i);
        assert_equal_state(c, copy);
        assert_int_equal(fx.sends_count, fx_copy.sends_count);
        assert_int_equal(fx.commit_to, fx_copy.commit_to);
        assert_int_equal(fx.wake_at_ms, fx_copy.wake_at_ms);
        if (i == 100) { /* and once more, from elsewhere */
            struct consensus *other = mu_new(c->at.total);

            memcpy(other, copy, c->at.total);
            memset(copy, 0x5a, c->at.total);
            mu_free(copy);
            copy = other;
        }
    }
    assert_int_equal(c->role, CONSENSUS_LEADER);
    mu_free(c);
    mu_free(copy);
}

/* More answers than a step may give: the rest follows at once, each exactly once. */
static void a_deposed_leader_tells_everybody(void **state)
{
    enum { PROPOSALS = 5000, READS = 300 };
    struct consensus_options options;
    struct consensus_effects fx;
    static uint8_t told[PROPOSALS + READS + 1];
    size_t steps = 0;

    (void)state;
    memset(told, 0, sizeof told);
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 1);

    fixture_elect(c, 3);
    for (uint64_t i = 0; i < PROPOSALS; i += 1000) {
        fixture_propose(c, i + 1, 1000, 10, &fx);
        assert_int_equal(fx.results_count, 0);
        while (fx.again) {
            fixture_wake(c, c->now_ms, &fx);
        }
    }
    for (uint64_t i = 1; i <= READS; i++) {
        struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_READ };

        ev.read_ticket = PROPOSALS + i;
        consensus_step(c, &ev, &fx);
    }
    struct consensus_msg m = fixture_msg(c, CONSENSUS_HEARTBEAT, 2, c->hard.term + 1);

    m.heartbeat.session = 1;
    fixture_recv(c, &m, &fx);
    for (;; steps++) {
        assert_in_range(fx.results_count, 0, CONSENSUS_RESULTS_MAX);
        for (size_t i = 0; i < fx.results_count; i++) {
            const struct consensus_result *r = &fx.results[i];

            assert_int_equal(r->outcome,
                             r->ticket <= PROPOSALS ? CONSENSUS_LOST : CONSENSUS_NOT_LEADER);
            assert_int_equal(told[r->ticket]++, 0);
        }
        if (!fx.again) {
            break;
        }
        fixture_wake(c, c->now_ms, &fx);
    }
    for (size_t i = 1; i <= PROPOSALS + READS; i++) {
        assert_int_equal(told[i], 1);
    }
    assert_in_range(steps, 3, 10);
    mu_free(c);
}

/* The new leader's append that deposes the old one also overwrites its entries: whoever waited for
 * them is told first, even when that takes more than one step. */
static void nobody_waits_for_an_overwritten_entry(void **state)
{
    enum { PROPOSALS = 3000 };
    struct consensus_options options;
    struct consensus_effects fx;
    size_t lost = 0;

    (void)state;
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 1);

    fixture_elect(c, 3);
    for (uint64_t i = 0; i < PROPOSALS; i += 1000) {
        fixture_propose(c, i + 1, 1000, 10, &fx);
    }
    struct consensus_entry entry = { .index = 2, .term = c->hard.term + 1, .kind = CONSENSUS_NOOP };
    struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, c->hard.term + 1);

    m.append.session = 1;
    m.append.prev_index = 1;
    m.append.prev_term = 1;
    m.append.entries = &entry;
    m.append.entries_count = 1;
    fixture_recv(c, &m, &fx);
    assert_true(c->log.last_index > PROPOSALS); /* not yet: the message is lost */
    for (;;) {
        lost += fx.results_count;
        if (!fx.again) {
            break;
        }
        fixture_wake(c, c->now_ms, &fx);
    }
    assert_int_equal(lost, PROPOSALS);
    fixture_recv(c, &m, &fx);
    assert_int_equal(c->log.last_index, 2);
    mu_free(c);
}

/* What was answered "committed" keeps its ticket until it is applied, also on a server that no
 * longer leads and needs room: whoever waits finds it by that. */
static void tickets_stay_until_they_are_applied(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;
    struct consensus_entry e;

    (void)state;
    fixture_options(&options);
    options.tail_entries = 64;
    options.cache_bytes = 1;
    struct consensus *c = fixture_core(&options, 3, 1);

    fixture_elect(c, 3);
    fixture_ack(c, 2, 2, &fx);
    fixture_propose(c, 100, 2, 10, &fx);
    fixture_persist(c, &fx);
    fixture_ack(c, 2, 4, &fx);
    assert_int_equal(fx.results_count, 2);
    for (uint64_t i = 0; i < 100; i++) { /* a later leader fills the tail */
        struct consensus_entry entry = { .index = 5 + i, .term = 9, .kind = CONSENSUS_NOOP };
        struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, 9);

        m.append.session = 1;
        m.append.prev_index = 4 + i;
        m.append.prev_term = i == 0 ? 2 : 9;
        m.append.entries = &entry;
        m.append.entries_count = 1;
        fixture_recv(c, &m, &fx);
        fixture_persist(c, &fx);
    }
    assert_true(consensus_entry_at(c, 3, &e));
    assert_int_equal(e.ticket, 100);
    assert_true(consensus_entry_at(c, 4, &e));
    assert_int_equal(e.ticket, 101);
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_APPLIED };

    ev.applied.index = 4;
    ev.applied.durable_index = c->durable_applied;
    consensus_step(c, &ev, &fx);
    assert_false(consensus_entry_at(c, 4, &e));
    mu_free(c);
}

/* What is damaged on disk goes when the state has it durably: not when it is applied. */
static void what_is_shed_waits_for_the_state(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;

    (void)state;
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 1);

    fixture_elect(c, 3);
    fixture_ack(c, 2, 2, &fx);
    fixture_propose(c, 100, 2, 10, &fx);
    fixture_persist(c, &fx);
    fixture_ack(c, 2, 4, &fx);
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_SHED };

    ev.shed_index = 3;
    consensus_step(c, &ev, &fx);
    assert_int_equal(fx.compact_to, 0);
    ev.kind = CONSENSUS_EV_APPLIED;
    ev.applied.index = 4;
    ev.applied.durable_index = 2;
    consensus_step(c, &ev, &fx);
    assert_int_equal(fx.compact_to, 0);
    ev.applied.durable_index = 3;
    consensus_step(c, &ev, &fx);
    assert_int_equal(fx.compact_to, 3);
    ev.applied.durable_index = 4;
    consensus_step(c, &ev, &fx);
    assert_int_equal(fx.compact_to, 0); /* once, and no more than that */
    mu_free(c);
}

/* The step that ends the office also makes room: entries without a ticket go, the others are told.
 */
static void room_is_made_in_the_step_that_deposes(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;

    (void)state;
    fixture_options(&options);
    options.tail_bytes_max = 400;
    options.cache_bytes = 1;
    struct consensus *c = fixture_core(&options, 3, 1);

    for (uint64_t i = 0; i < 20; i++) { /* durable here, committed nowhere */
        struct consensus_entry entry = { .index = 2 + i,
                                         .term = 2,
                                         .bytes = 10,
                                         .handle = (uint32_t)(1 + i),
                                         .kind = CONSENSUS_COMMAND };
        struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, 2);

        m.append.session = 1;
        m.append.prev_index = 1 + i;
        m.append.prev_term = i == 0 ? 1 : 2;
        m.append.entries = &entry;
        m.append.entries_count = 1;
        fixture_recv(c, &m, &fx);
        fixture_persist(c, &fx);
    }
    c->leader_heard_ms = 0;
    fixture_elect(c, 3);
    assert_int_equal(c->role, CONSENSUS_LEADER);
    fixture_propose(c, 100, 6, 30, &fx);
    fixture_persist(c, &fx);
    struct consensus_msg m = fixture_msg(c, CONSENSUS_HEARTBEAT, 2, c->hard.term + 1);

    m.heartbeat.session = 1;
    fixture_recv(c, &m, &fx);
    assert_int_equal(fx.results_count, 6);
    assert_in_range(c->log.tail_first, 3, 22); /* something went, nothing that was awaited */
    mu_free(c);
}

static void sends_are_bounded(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;
    size_t sent = 0;

    (void)state;
    fixture_options(&options);
    options.append_entries_max = 1;
    struct consensus *c = fixture_core(&options, 9, 1);

    fixture_elect(c, 9);
    for (uint8_t i = 2; i <= 9; i++) {
        fixture_ack(c, i, 2, &fx);
    }
    fixture_propose(c, 1, 100, 10, &fx);
    for (;;) {
        assert_in_range(fx.sends_count, 0, CONSENSUS_SENDS_MAX);
        sent += fx.sends_count;
        if (!fx.again) {
            break;
        }
        fixture_wake(c, c->now_ms, &fx);
    }
    assert_int_equal(sent, 8 * 100);
    mu_free(c);
}

/* -- fetches (row 30) ---------------------------------------------------------------------- */

/* A leader with 10 entries on its disk only, and peer 2 which has the first. */
static struct consensus *with_laggard(struct consensus_fetch *fetch)
{
    struct consensus_options options;
    struct consensus_effects fx;

    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 10);

    fixture_elect(c, 3);
    struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_RES, 2, c->hard.term);

    m.ack.session = c->peers[1].session;
    m.ack.prev_index = 10;
    m.ack.hint_index = 1;
    m.ack.hint_term = 1;
    fixture_recv(c, &m, &fx);
    assert_int_equal(fx.fetches_count, 0); /* probing needs no entries */
    assert_int_equal(fx.sends_count, 1);
    fixture_ack(c, 2, 1, &fx);
    assert_int_equal(fx.fetches_count, 1);
    *fetch = fx.fetches[0];
    assert_int_equal(fetch->first, 2);
    assert_int_equal(fetch->last, 10);
    return c;
}

static void fetched(struct consensus *c, uint32_t ticket, enum consensus_fetch_code code,
                    const struct consensus_entry *entries, size_t count,
                    struct consensus_effects *fx)
{
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_FETCHED };

    ev.fetched.ticket = ticket;
    ev.fetched.code = code;
    ev.fetched.entries = entries;
    ev.fetched.count = count;
    consensus_step(c, &ev, fx);
    consensus__check(c);
}

static void draw_entries(struct consensus_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct consensus_entry){ .index = 2 + i,
                                               .term = 1,
                                               .bytes = 5,
                                               .handle = (uint32_t)(40 + i),
                                               .kind = CONSENSUS_COMMAND };
    }
}

static void fetched_entries_are_sent_and_given_back(void **state)
{
    struct consensus_fetch fetch;
    struct consensus_entry entries[4];
    struct consensus_effects fx;
    struct consensus *c = with_laggard(&fetch);

    (void)state;
    draw_entries(entries, 4);
    fetched(c, fetch.ticket, CONSENSUS_FETCH_OK, entries, 4, &fx);
    assert_int_equal(fx.sends_count, 1);
    assert_int_equal(fx.sends[0].append.prev_index, 1);
    assert_int_equal(fx.sends[0].append.entries_count, 4);
    assert_int_equal(consensus_sent_entry(c, &fx.sends[0], 3).handle, 43);
    assert_int_equal(fx.drops_count, 4);
    assert_int_equal(c->counters.entries_reread, 4);
    assert_int_equal(fx.fetches_count, 1); /* and the next ones at once */
    assert_int_equal(fx.fetches[0].first, 6);
    mu_free(c);
}

/* Peer 2 has been sent four old entries while proposals of clients were committed without it. */
static struct consensus *with_pressing_clients(struct consensus_effects *fx)
{
    struct consensus_fetch fetch;
    struct consensus_entry entries[4];
    struct consensus *c = with_laggard(&fetch);

    fixture_propose(c, 100, 8, 5, fx);
    fixture_persist(c, fx);
    fixture_ack(c, 3, c->log.last_index, fx);
    assert_int_equal(c->commit, c->log.last_index);
    draw_entries(entries, 4);
    fetched(c, fetch.ticket, CONSENSUS_FETCH_OK, entries, 4, fx);
    assert_int_equal(fx->sends[0].append.entries_count, 4);
    assert_int_equal(fx->fetches_count, 0);
    return c;
}

static void old_entries_yield_to_clients_who_press(void **state)
{
    struct consensus_effects fx;
    struct consensus *c = with_pressing_clients(&fx);

    (void)state;
    fixture_ack(c, 2, 5, &fx);
    assert_int_equal(fx.fetches_count, 0); /* there was room in its window before */
    fixture_propose(c, 200, 2, 5, &fx);
    assert_int_equal(fx.fetches_count, 0);
    fixture_propose(c, 202, 1, 5, &fx); /* no fewer than two new ones for three old ones */
    assert_int_equal(fx.fetches_count, 1);
    assert_int_equal(fx.fetches[0].first, 6);
    mu_free(c);
}

static void old_entries_go_on_with_every_heartbeat(void **state)
{
    struct consensus_effects fx;
    struct consensus *c = with_pressing_clients(&fx);

    (void)state;
    fixture_wake(c, c->now_ms + c->options.heartbeat_ms - 1, &fx);
    assert_int_equal(fx.fetches_count, 0);
    fixture_wake(c, c->now_ms + 1, &fx);
    assert_int_equal(fx.fetches_count, 1);
    mu_free(c);
}

static void a_laggard_that_the_quorum_needs_is_not_held_up(void **state)
{
    struct consensus_fetch fetch;
    struct consensus_entry entries[4];
    struct consensus_effects fx;
    struct consensus *c = with_laggard(&fetch);

    (void)state;
    fixture_propose(c, 100, 50, 5, &fx); /* server 3 is silent: nothing of this is committed */
    fixture_persist(c, &fx);
    draw_entries(entries, 4);
    fetched(c, fetch.ticket, CONSENSUS_FETCH_OK, entries, 4, &fx);
    assert_int_equal(fx.fetches_count, 1);
    mu_free(c);
}

static void nothing_is_sent_with_a_hole(void **state)
{
    static const struct {
        const char *why;
        enum consensus_fetch_code code;
        size_t count;
        uint64_t shift, term;
    } cases[] = {
        // clang-format off
        { "damaged",             CONSENSUS_FETCH_DAMAGED,   0, 0, 1 },
        { "compacted meanwhile", CONSENSUS_FETCH_COMPACTED, 0, 0, 1 },
        { "nothing",             CONSENSUS_FETCH_OK,        0, 0, 1 },
        { "begins too late",     CONSENSUS_FETCH_OK,        3, 1, 1 },
        { "of another term",     CONSENSUS_FETCH_OK,        3, 0, 2 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_fetch fetch;
        struct consensus_entry entries[4];
        struct consensus_effects fx;
        struct consensus *c = with_laggard(&fetch);

        draw_entries(entries, 4);
        for (size_t j = 0; j < 4; j++) {
            entries[j].index += cases[i].shift;
            entries[j].term = cases[i].term;
        }
        fetched(c, fetch.ticket, cases[i].code, entries, cases[i].count, &fx);
        if (fx.sends_count != 0 || fx.drops_count != cases[i].count || fx.fetches_count != 0) {
            fail_msg("%s: %zu sends, %zu drops", cases[i].why, fx.sends_count, fx.drops_count);
        }
        mu_free(c);
    }
}

static void a_hole_inside_is_noticed(void **state)
{
    struct consensus_fetch fetch;
    struct consensus_entry entries[4];
    struct consensus_effects fx;
    struct consensus *c = with_laggard(&fetch);

    (void)state;
    draw_entries(entries, 4);
    entries[3].index = 7;
    fetched(c, fetch.ticket, CONSENSUS_FETCH_OK, entries, 4, &fx);
    assert_int_equal(fx.sends_count, 0);
    assert_int_equal(fx.drops_count, 4);
    mu_free(c);
}

/* The log may have shrunk while the disk was read: up to the first entry asked for, or beyond. */
static void what_is_behind_the_new_base_is_not_sent(void **state)
{
    (void)state;
    for (uint64_t base = 2; base <= 4; base++) {
        struct consensus_fetch fetch;
        struct consensus_entry entries[4];
        struct consensus_effects fx;
        struct consensus *c = with_laggard(&fetch);
        struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_COMPACTED };

        ev.compacted_index = base;
        consensus_step(c, &ev, &fx);
        draw_entries(entries, 4);
        fetched(c, fetch.ticket, CONSENSUS_FETCH_OK, entries, 4, &fx);
        for (size_t i = 0; i < fx.sends_count; i++) {
            assert_true(fx.sends[i].append.prev_index >= base);
        }
        assert_int_equal(fx.drops_count, 4);
        mu_free(c);
    }
}

/* It is not asked again in a loop, but when the peer shows up next. */
static void a_failed_fetch_is_repeated_with_the_next_heartbeat(void **state)
{
    struct consensus_fetch fetch;
    struct consensus_effects fx;
    struct consensus *c = with_laggard(&fetch);

    (void)state;
    fetched(c, fetch.ticket, CONSENSUS_FETCH_DAMAGED, NULL, 0, &fx);
    fixture_wake(c, c->now_ms + 100, &fx);
    assert_int_equal(fx.fetches_count, 0);
    struct consensus_msg m = fixture_msg(c, CONSENSUS_HEARTBEAT_RES, 2, c->hard.term);

    m.alive.session = c->peers[1].session;
    m.alive.read_seq = c->office.read_seq;
    fixture_recv(c, &m, &fx);
    assert_int_equal(fx.fetches_count, 1);
    mu_free(c);
}

static void an_answer_nobody_waits_for_is_given_back(void **state)
{
    struct consensus_fetch fetch;
    struct consensus_entry entries[4];
    struct consensus_effects fx;
    struct consensus *c = with_laggard(&fetch);

    (void)state;
    draw_entries(entries, 4);
    fetched(c, fetch.ticket + 1, CONSENSUS_FETCH_OK, entries, 4, &fx);
    assert_int_equal(fx.sends_count, 0);
    assert_int_equal(fx.drops_count, 4);
    mu_free(c);
}

/* -- writes -------------------------------------------------------------------------------- */

/* Terms come faster than the disk: they go out together, and nothing waits for ever. */
static void a_burst_of_terms_coalesces(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;
    size_t writes = 0;

    (void)state;
    fixture_options(&options);
    options.writes_max = 8;
    struct consensus *c = fixture_core(&options, 3, 1);

    for (uint64_t term = 2; term <= 40; term++) {
        struct consensus_msg m = fixture_msg(c, CONSENSUS_VOTE_REQ, 2, term);

        m.ask.next_term = term;
        m.ask.last_index = 9;
        m.ask.last_term = 1;
        fixture_recv(c, &m, &fx);
        writes += fx.writes_count;
        assert_int_equal(fx.sends_count, 0); /* no vote before the disk has it */
    }
    assert_int_equal(writes, 8);
    fixture_persist(c, &fx);
    assert_int_equal(fx.sends_count, 0);
    assert_int_equal(fx.writes_count, 1);
    assert_int_equal(fx.writes[0].hard.term, 40);
    fixture_persist(c, &fx);
    assert_int_equal(fx.sends_count, 1);
    assert_int_equal(fx.sends[0].kind, CONSENSUS_VOTE_RES);
    assert_int_equal(fx.sends[0].term, 40);
    assert_true(fx.sends[0].answer.is_granted);
    mu_free(c);
}

/* More acks than the ring holds: later ones stand for earlier ones, none is lost for good. */
static void acks_that_wait_are_joined(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;
    uint64_t best = 0;

    (void)state;
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 1);

    for (uint64_t i = 0; i < 3 * CONSENSUS_PENDING_MAX; i++) {
        struct consensus_entry entry = { .index = 2 + i, .term = 2, .kind = CONSENSUS_NOOP };
        struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_REQ, 2, 2);

        m.append.session = 1;
        m.append.prev_index = 1 + i;
        m.append.prev_term = i == 0 ? 1 : 2;
        m.append.entries = &entry;
        m.append.entries_count = 1;
        fixture_recv(c, &m, &fx);
        assert_int_equal(fx.sends_count, 0);
    }
    fixture_persist(c, &fx);
    assert_in_range(fx.sends_count, 1, CONSENSUS_PENDING_MAX);
    for (size_t i = 0; i < fx.sends_count; i++) {
        best = fx.sends[i].ack.match > best ? fx.sends[i].ack.match : best;
    }
    assert_int_equal(best, 1 + 3 * CONSENSUS_PENDING_MAX);
    mu_free(c);
}

/* It keeps its office however long the disk is silent, and does not look at it without a pause. */
static void a_lone_leader_on_a_silent_disk_rests(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;
    unsigned wakes = 0;

    (void)state;
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 1, 1);

    fixture_elect(c, 1);
    fixture_propose(c, 100, 1, 10, &fx);
    uint64_t until = c->now_ms + 10 * (uint64_t)c->options.stall_ms;

    while (c->now_ms < until) {
        fixture_wake(c, c->wake_at_ms, &fx);
        assert_true(c->role == CONSENSUS_LEADER);
        wakes++;
    }
    assert_in_range(wakes, 1, 2 * 10 * c->options.stall_ms / c->options.heartbeat_ms);
    mu_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_arena_is_small),
        cmocka_unit_test(what_is_shed_waits_for_the_state),
        cmocka_unit_test(times_must_fit_together),
        cmocka_unit_test(every_profile_and_multiplier_is_sane),
        cmocka_unit_test(ids_are_required),
        cmocka_unit_test(a_copy_goes_on_like_the_original),
        cmocka_unit_test(a_deposed_leader_tells_everybody),
        cmocka_unit_test(nobody_waits_for_an_overwritten_entry),
        cmocka_unit_test(tickets_stay_until_they_are_applied),
        cmocka_unit_test(room_is_made_in_the_step_that_deposes),
        cmocka_unit_test(sends_are_bounded),
        cmocka_unit_test(fetched_entries_are_sent_and_given_back),
        cmocka_unit_test(old_entries_yield_to_clients_who_press),
        cmocka_unit_test(old_entries_go_on_with_every_heartbeat),
        cmocka_unit_test(a_laggard_that_the_quorum_needs_is_not_held_up),
        cmocka_unit_test(nothing_is_sent_with_a_hole),
        cmocka_unit_test(a_hole_inside_is_noticed),
        cmocka_unit_test(what_is_behind_the_new_base_is_not_sent),
        cmocka_unit_test(a_failed_fetch_is_repeated_with_the_next_heartbeat),
        cmocka_unit_test(an_answer_nobody_waits_for_is_given_back),
        cmocka_unit_test(a_burst_of_terms_coalesces),
        cmocka_unit_test(acks_that_wait_are_joined),
        cmocka_unit_test(a_lone_leader_on_a_silent_disk_rests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
