/* Bootstrap: the durable record, the first configuration, and messages of nobody. The protocol
 * itself is in the transcripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "consensus/bootstrap.h"

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = { { 0 } };

    id.b[0] = n;
    return id;
}

static struct consensus_bootstrap_set set_of(uint8_t count)
{
    struct consensus_bootstrap_set set;

    memset(&set, 0, sizeof set);
    set.count = count;
    for (uint8_t i = 0; i < count; i++) {
        set.members[i] = (struct consensus_bootstrap_member){ id_of((uint8_t)(i + 1)),
                                                              id_of((uint8_t)(i + 101)) };
    }
    return set;
}

static struct consensus_bootstrap_record record_of(uint8_t count)
{
    struct consensus_bootstrap_record r;

    memset(&r, 0, sizeof r);
    r.is_promised = true;
    r.cluster = id_of(77);
    r.coordinator = id_of(1);
    r.set = set_of(count);
    return r;
}

static void a_record_comes_back(void **state)
{
    (void)state;
    for (uint8_t count = 1; count <= CONSENSUS_VOTERS_MAX; count++) {
        struct consensus_bootstrap_record r = record_of(count);
        struct consensus_bootstrap_record back;
        uint8_t bytes[BOOTSTRAP_RECORD_BYTES_MAX];
        size_t size = consensus_bootstrap_record_encode(&r, bytes);

        assert_int_equal(consensus_bootstrap_record_decode(mu_span_of(bytes, size), &back, NULL),
                         MU_OK);
        assert_memory_equal(&back, &r, sizeof r);
    }
}

static void no_promise_is_no_bytes(void **state)
{
    struct consensus_bootstrap_record r = record_of(3);
    struct consensus_bootstrap_record back = record_of(3);
    uint8_t bytes[BOOTSTRAP_RECORD_BYTES_MAX];

    (void)state;
    r.is_promised = false;
    assert_int_equal(consensus_bootstrap_record_encode(&r, bytes), 0);
    assert_int_equal(consensus_bootstrap_record_decode(MU_SPAN_NONE, &back, NULL), MU_OK);
    assert_false(back.is_promised);
}

static void every_truncation_is_corrupt(void **state)
{
    struct consensus_bootstrap_record r = record_of(3);
    uint8_t bytes[BOOTSTRAP_RECORD_BYTES_MAX];
    size_t size = consensus_bootstrap_record_encode(&r, bytes);

    (void)state;
    for (size_t i = 1; i < size; i++) {
        struct consensus_bootstrap_record back;
        struct mu_err err = MU_ERR_NONE;

        assert_int_equal(consensus_bootstrap_record_decode(mu_span_of(bytes, i), &back, &err),
                         MU_CORRUPT);
        assert_non_null(strstr(err.text, "bootstrap record"));
    }
}

/* Of the right size, and not a promise that anybody made. */
static void a_record_that_cannot_be_is_corrupt(void **state)
{
    enum { SERVER = 2 + 16 + 16, DISK = SERVER + 16, MEMBER = 32 };
    static const struct {
        const char *why;
        size_t from, to;   /* zeroed */
        int first, second; /* the first two bytes; -1: as they are */
    } cases[] = {
        // clang-format off
        { "no cluster", 2, 18, -1, -1 },
        { "a server without an id", SERVER + MEMBER, SERVER + MEMBER + 16, -1, -1 },
        { "a disk without an id", DISK, DISK + 16, -1, -1 },
        { "servers out of order", SERVER + MEMBER, SERVER + MEMBER + 1, -1, -1 },
        { "another version", 0, 0, 2, -1 },
        { "nobody", 0, 0, -1, 0 },
        { "fewer than there are", 0, 0, -1, 2 },
        { "more than there are", 0, 0, -1, 4 },
        { "more than may vote", 0, 0, -1, CONSENSUS_VOTERS_MAX + 1 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_bootstrap_record r = record_of(3), back;
        uint8_t bytes[BOOTSTRAP_RECORD_BYTES_MAX];
        struct mu_err err = MU_ERR_NONE;

        for (uint8_t n = 0; n < 3; n++) { /* ids of more than one byte */
            r.set.members[n].server.b[15] = 1;
        }
        size_t size = consensus_bootstrap_record_encode(&r, bytes);

        memset(bytes + cases[i].from, 0, cases[i].to - cases[i].from);
        bytes[0] = (uint8_t)(cases[i].first < 0 ? bytes[0] : cases[i].first);
        bytes[1] = (uint8_t)(cases[i].second < 0 ? bytes[1] : cases[i].second);
        if (consensus_bootstrap_record_decode(mu_span_of(bytes, size), &back, &err) != MU_CORRUPT) {
            fail_msg("%s: taken", cases[i].why);
        }
    }
}

static void the_first_configuration_is_the_same_everywhere(void **state)
{
    struct consensus_bootstrap_set set = set_of(5);
    struct consensus_config config;
    struct consensus_config again;
    uint8_t a[CONSENSUS_CONFIG_BYTES_MAX];
    uint8_t b[CONSENSUS_CONFIG_BYTES_MAX];

    (void)state;
    memset(&again, 0xff, sizeof again);
    consensus_bootstrap_config(&set, &config);
    consensus_bootstrap_config(&set, &again);
    size_t size = consensus_config_encode(&config, a);

    assert_int_equal(consensus_config_encode(&again, b), size);
    assert_memory_equal(a, b, size);
    assert_int_equal(consensus_config_check(&config, NULL), MU_OK);
    assert_int_equal(config.index, 1);
}

/* -- one server ---------------------------------------------------------------------------- */

static struct consensus_bootstrap *server_new(uint8_t n, uint32_t expect)
{
    struct consensus_bootstrap_options options = {
        .server = id_of(n),
        .disk = id_of((uint8_t)(n + 100)),
        .expect = expect,
        .retry_ms = 50,
        .patience_ms = 1000,
        .seed = 1,
    };
    struct consensus_bootstrap_record none = { 0 };
    struct mu_id fresh = MU_ID_NONE;
    struct consensus_bootstrap *b = mu_new(consensus_bootstrap_bytes());

    consensus_bootstrap_init(b, &options, &none, &fresh, 1);
    return b;
}

static void see(struct consensus_bootstrap *b, uint8_t from, uint8_t to, uint32_t expect,
                struct consensus_bootstrap_effects *fx)
{
    struct consensus_bootstrap_candidate all[16];
    struct consensus_bootstrap_event ev = { .now_ms = 1, .kind = BOOTSTRAP_EV_CANDIDATES };

    ev.candidates.at = all;
    for (uint8_t n = from; n <= to; n++) {
        all[ev.candidates.count++] = (struct consensus_bootstrap_candidate){
            .server = id_of(n),
            .disk = id_of((uint8_t)(n + 100)),
            .expect = expect,
            .is_alive = true,
        };
    }
    consensus_bootstrap_step(b, &ev, fx);
}

/* Twelve in sight: the nine smallest ids are asked; who is beyond is added later. */
static void at_most_nine_become_voters(void **state)
{
    struct consensus_bootstrap *b = server_new(1, 3);
    struct consensus_bootstrap_effects fx;

    (void)state;
    see(b, 2, 12, 3, &fx);
    assert_int_equal(fx.sends_count, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(fx.sends[i].kind, BOOTSTRAP_PING);
        assert_int_equal(fx.sends[i].to.b[0], i + 2);
        assert_int_equal(fx.sends[i].set.count, 9);
    }
    mu_free(b);
}

static struct consensus_bootstrap_msg message(enum consensus_bootstrap_msg_kind kind, uint8_t from)
{
    struct consensus_bootstrap_msg m;

    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.from = id_of(from);
    m.from_disk = id_of((uint8_t)(from + 100));
    m.to = id_of(2);
    m.cluster = id_of(77);
    m.expect = 3;
    m.set = set_of(3);
    return m;
}

/* Server 2 of {1 2 3} gets what is no proper promise: no record, no answer of consent. */
static void improper_promises_bind_nobody(void **state)
{
    enum { AS_IT_SHOULD_BE, CASES = 8 };
    static const char *const whys[CASES] = {
        "as it should be",
        "of somebody who is not the first of the set",
        "without this server",
        "with another disk of it",
        "with another disk of the sender",
        "without a cluster",
        "of one that expects another number",
        "for somebody else",
    };

    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct consensus_bootstrap *b = server_new(2, 3);
        struct consensus_bootstrap_effects fx;
        struct consensus_bootstrap_msg m = message(BOOTSTRAP_PROMISE, i == 1 ? 3 : 1);

        m.set.count = i == 2 ? 1 : 3;
        m.set.members[1].disk = i == 3 ? id_of(9) : m.set.members[1].disk;
        m.from_disk = i == 4 ? id_of(9) : m.from_disk;
        m.cluster = i == 5 ? MU_ID_NONE : m.cluster;
        m.expect = i == 6 ? 5 : 3;
        m.to = i == 7 ? id_of(3) : m.to;
        struct consensus_bootstrap_candidate others[] = {
            { .server = id_of(1), .disk = id_of(101), .expect = 3, .is_alive = true },
            { .server = id_of(3), .disk = id_of(103), .expect = 3, .is_alive = true },
        };
        struct consensus_bootstrap_event ev = { .now_ms = 1, .kind = BOOTSTRAP_EV_CANDIDATES };

        ev.candidates.at = others;
        ev.candidates.count = 2;
        consensus_bootstrap_step(b, &ev, &fx);
        ev = (struct consensus_bootstrap_event){ .now_ms = 1, .kind = BOOTSTRAP_EV_RECV };
        ev.msg = &m;
        consensus_bootstrap_step(b, &ev, &fx);
        if ((fx.record != NULL) != (i == AS_IT_SHOULD_BE)) {
            fail_msg("a promise %s: %s", whys[i], fx.record != NULL ? "taken" : "not taken");
        }
        for (size_t j = 0; j < fx.sends_count; j++) {
            assert_int_not_equal(fx.sends[j].kind, BOOTSTRAP_PROMISED); /* durable first */
        }
        mu_free(b);
    }
}

static void verdicts_of_strangers_are_ignored(void **state)
{
    struct consensus_bootstrap *b = mu_new(consensus_bootstrap_bytes());
    struct consensus_bootstrap_options options = {
        .server = id_of(2),
        .disk = id_of(102),
        .expect = 3,
        .retry_ms = 50,
        .patience_ms = 1000,
    };
    struct consensus_bootstrap_record bound = record_of(3);
    struct consensus_bootstrap_effects fx;
    struct mu_id fresh = MU_ID_NONE;

    (void)state;
    consensus_bootstrap_init(b, &options, &bound, &fresh, 1);
    for (int i = 0; i < 4; i++) {
        struct consensus_bootstrap_msg m = message(i % 2 ? BOOTSTRAP_ADOPT : BOOTSTRAP_ABORT, 1);
        struct consensus_bootstrap_event ev = { .now_ms = 1, .kind = BOOTSTRAP_EV_RECV };

        if (i < 2) {
            m.from_disk = id_of(9); /* not the disk that belongs to the set */
        } else {
            m.cluster = id_of(78);
        }
        ev.msg = &m;
        consensus_bootstrap_step(b, &ev, &fx);
        assert_null(fx.adopt);
        assert_null(fx.record);
    }
    struct consensus_bootstrap_msg m = message(BOOTSTRAP_ADOPT, 3); /* any member that has it */
    struct consensus_bootstrap_event ev = { .now_ms = 1, .kind = BOOTSTRAP_EV_RECV };

    ev.msg = &m;
    consensus_bootstrap_step(b, &ev, &fx);
    assert_non_null(fx.adopt);
    assert_int_equal(fx.adopt->count, 3);
    mu_free(b);
}

/* What it says that it waits for, after this; BOOTSTRAP_FREE with `forms`: it forms one alone. */
static enum consensus_bootstrap_why told(struct consensus_bootstrap *b,
                                         const struct consensus_bootstrap_event *ev, bool *forms)
{
    struct consensus_bootstrap_effects fx;
    enum consensus_bootstrap_why why = BOOTSTRAP_FREE;

    consensus_bootstrap_step(b, ev, &fx);
    for (size_t i = 0; i < fx.notices_count; i++) {
        if (fx.notices[i].kind == BOOTSTRAP_N_WAITING) {
            why = fx.notices[i].why;
        }
    }
    *forms = fx.record != NULL || fx.adopt != NULL;
    return why;
}

static struct consensus_bootstrap *alone(struct consensus_bootstrap_options options)
{
    struct consensus_bootstrap *b = mu_new(consensus_bootstrap_bytes());
    struct consensus_bootstrap_record none = { .is_promised = false };

    options.server = id_of(1);
    options.disk = id_of(101);
    options.retry_ms = 100;
    options.patience_ms = 1000;
    consensus_bootstrap_init(b, &options, &none, &(struct mu_id){ { 0 } }, 1);
    return b;
}

static void who_belonged_to_a_cluster_forms_none(void **state)
{
    struct consensus_bootstrap *b =
        alone((struct consensus_bootstrap_options){ .expect = 1, .was_member = true });
    struct consensus_bootstrap_event wake = { .kind = BOOTSTRAP_EV_WAKE, .now_ms = 2 };
    bool forms;

    (void)state;
    assert_int_equal(told(b, &wake, &forms), BOOTSTRAP_WAS_MEMBER);
    for (wake.now_ms = 100; wake.now_ms < 100000; wake.now_ms += 1000) {
        (void)told(b, &wake, &forms);
        assert_false(forms);
    }
    mu_free(b);
}

static void who_awaits_its_view_forms_none_before(void **state)
{
    struct consensus_bootstrap_candidate seen = {
        .server = id_of(2), .disk = id_of(102), .cluster = id_of(77), .is_alive = true
    };
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_WAKE, .now_ms = 2 };
    bool forms;

    (void)state;
    for (size_t count = 0; count < 2; count++) {
        struct consensus_bootstrap *b =
            alone((struct consensus_bootstrap_options){ .expect = 1, .awaits_view = true });

        ev.kind = BOOTSTRAP_EV_WAKE;
        assert_int_equal(told(b, &ev, &forms), BOOTSTRAP_UNTOLD);
        assert_false(forms);
        ev.now_ms = 20000;
        assert_int_equal(told(b, &ev, &forms), BOOTSTRAP_FREE);
        assert_false(forms);
        ev.kind = BOOTSTRAP_EV_CANDIDATES;
        ev.candidates.at = &seen;
        ev.candidates.count = count;
        assert_int_equal(told(b, &ev, &forms), count > 0 ? BOOTSTRAP_EXISTS : BOOTSTRAP_FREE);
        assert_int_equal(forms, count == 0);
        mu_free(b);
    }
}

static void every_reason_has_words(void **state)
{
    (void)state;
    for (int i = BOOTSTRAP_FREE; i <= BOOTSTRAP_UNTOLD; i++) {
        assert_in_range(strlen(consensus_bootstrap_why_text((enum consensus_bootstrap_why)i)), 10,
                        80);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back),
        cmocka_unit_test(a_record_that_cannot_be_is_corrupt),
        cmocka_unit_test(no_promise_is_no_bytes),
        cmocka_unit_test(every_truncation_is_corrupt),
        cmocka_unit_test(the_first_configuration_is_the_same_everywhere),
        cmocka_unit_test(at_most_nine_become_voters),
        cmocka_unit_test(improper_promises_bind_nobody),
        cmocka_unit_test(verdicts_of_strangers_are_ignored),
        cmocka_unit_test(who_belonged_to_a_cluster_forms_none),
        cmocka_unit_test(who_awaits_its_view_forms_none_before),
        cmocka_unit_test(every_reason_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
