/* Configurations: bytes, rules, and the history that survives truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "core.h"

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = { { 0 } };

    id.b[0] = n;
    return id;
}

static struct consensus_config three(void)
{
    struct consensus_config config = { .index = 1,
                                       .level = CONSENSUS_LEVEL_FIRST,
                                       .servers_count = 3 };

    for (uint8_t i = 0; i < 3; i++) {
        config.servers[i].id = id_of((uint8_t)(i + 1));
        config.servers[i].disk = id_of((uint8_t)(i + 101));
        config.servers[i].joined_index = 1;
        config.servers[i].is_voter = true;
    }
    return config;
}

static struct consensus_config joint(void)
{
    struct consensus_config config = three();

    config.is_joint = true;
    config.index = 9;
    for (uint8_t i = 0; i < 3; i++) {
        config.servers[i].is_voter_old = i < 2;
        config.servers[i].is_voter = i > 0;
        config.servers[i].is_learner = i == 0; /* a voter of the outgoing set becomes a learner */
        (void)snprintf(config.servers[i].address, sizeof config.servers[i].address,
                       "10.0.0.%d:8300", i);
    }
    config.servers[2].priority = 7;
    return config;
}

static struct consensus_config with_removed(void)
{
    struct consensus_config config = three();

    config.is_forced = true;
    config.removed_count = 2;
    config.removed[0] = id_of(201);
    config.removed[1] = id_of(200); /* in the order of their removal */
    return config;
}

static struct consensus_config with_level(void)
{
    struct consensus_config config = with_removed();

    config.level = 7;
    return config;
}

static void what_was_encoded_comes_back(void **state)
{
    const struct consensus_config all[] = { three(), joint(), with_removed(), with_level() };

    (void)state;
    for (size_t i = 0; i < MU_LEN(all); i++) {
        uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
        size_t size = consensus_config_encode(&all[i], bytes);
        struct consensus_config back;

        assert_int_equal(
            consensus_config_decode(mu_span_of(bytes, size), all[i].index, &back, NULL), MU_OK);
        assert_memory_equal(&back, &all[i], sizeof back);
    }
}

static void every_truncation_is_refused(void **state)
{
    const struct consensus_config all[] = { joint(), with_removed(), with_level() };

    (void)state;
    for (size_t k = 0; k < MU_LEN(all); k++) {
        uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
        size_t size = consensus_config_encode(&all[k], bytes);

        for (size_t i = 0; i < size; i++) {
            struct consensus_config back;
            struct mu_err err = MU_ERR_NONE;

            assert_int_equal(consensus_config_decode(mu_span_of(bytes, i), 9, &back, &err),
                             MU_INVALID);
            assert_non_null(strstr(err.text, "configuration 9"));
        }
    }
}

/* Bytes of before the removed disks: such logs exist. */
static void the_first_form_is_still_read(void **state)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX] = { 1, 0, 1, 0 };
    struct consensus_config config;
    size_t size = 4 + 2 * 16 + 8 + 4;

    (void)state;
    bytes[4] = 1;                    /* id */
    bytes[4 + 16] = 101;             /* disk */
    bytes[4 + 32] = 1;               /* joined at */
    bytes[4 + 2 * 16 + 8 + 1] = 0x1; /* voter */
    assert_int_equal(consensus_config_decode(mu_span_of(bytes, size), 1, &config, NULL), MU_OK);
    assert_int_equal(config.servers_count, 1);
    assert_true(config.servers[0].is_voter);
    assert_int_equal(config.removed_count, 0);
    assert_int_equal(consensus_config_encode(&config, bytes), size);
}

/* Bytes as they lie in logs. Those of the first level are what servers that know none can read. */
static void levels_are_stored_above_the_first(void **state)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX] = { 2, 0, 1, 0, 0x2c, 1, 0, 0 };
    uint8_t again[CONSENSUS_CONFIG_BYTES_MAX];
    struct consensus_config config;
    struct mu_err err = MU_ERR_NONE;
    size_t size = 8 + 2 * 16 + 8 + 4;

    (void)state;
    bytes[8] = 1;                    /* id */
    bytes[8 + 16] = 101;             /* disk */
    bytes[8 + 32] = 1;               /* joined at */
    bytes[8 + 2 * 16 + 8 + 1] = 0x1; /* voter */
    assert_int_equal(consensus_config_decode(mu_span_of(bytes, size), 1, &config, NULL), MU_OK);
    assert_int_equal(config.level, 300);
    assert_int_equal(consensus_config_encode(&config, again), size);
    assert_memory_equal(bytes, again, size);
    config.level = CONSENSUS_LEVEL_FIRST;
    assert_int_equal(consensus_config_encode(&config, again), size - 4);
    assert_int_equal(again[0], 1);
    bytes[4] = CONSENSUS_LEVEL_FIRST; /* has another form */
    bytes[5] = 0;
    assert_int_equal(consensus_config_decode(mu_span_of(bytes, size), 1, &config, NULL),
                     MU_INVALID);
    bytes[0] = 3;
    assert_int_equal(consensus_config_decode(mu_span_of(bytes, size), 1, &config, &err),
                     MU_UNSUPPORTED);
    assert_non_null(strstr(err.text, "configuration 1: version 3, written by a newer muster"));
}

static void a_level_never_falls(void **state)
{
    struct consensus_config before = with_level();
    struct consensus_config next = before;

    (void)state;
    next.is_forced = false;
    next.level = before.level + 1;
    assert_true(consensus__config_follows(&before, &next));
    next.level = before.level - 1;
    assert_false(consensus__config_follows(&before, &next));
    next.level = 0;
    assert_int_equal(consensus_config_check(&next, NULL), MU_INVALID);
}

static void as_many_removed_disks_as_there_is_room_for(void **state)
{
    struct consensus_config config = three();
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    struct consensus_config back;

    (void)state;
    config.removed_count = CONSENSUS_REMOVED_MAX;
    for (uint32_t i = 0; i < CONSENSUS_REMOVED_MAX; i++) {
        config.removed[i].b[1] = (uint8_t)(i + 1);
    }
    size_t size = consensus_config_encode(&config, bytes);

    assert_int_equal(consensus_config_decode(mu_span_of(bytes, size), 1, &back, NULL), MU_OK);
    bytes[size - (size_t)CONSENSUS_REMOVED_MAX * 16 - 2]++;
    assert_int_equal(consensus_config_decode(mu_span_of(bytes, size), 1, &back, NULL), MU_INVALID);
}

/* Whatever is accepted has one form only. */
static void damage_is_refused_or_means_something_else(void **state)
{
    const struct consensus_config config = joint();
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    uint8_t again[CONSENSUS_CONFIG_BYTES_MAX];
    size_t size = consensus_config_encode(&config, bytes);
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 3);
    for (int round = 0; round < 20000; round++) {
        uint8_t damaged[CONSENSUS_CONFIG_BYTES_MAX];
        struct consensus_config back;

        memcpy(damaged, bytes, size);
        damaged[mu_rand_below(&r, size)] = (uint8_t)mu_rand_u64(&r);
        if (consensus_config_decode(mu_span_of(damaged, size), 9, &back, NULL) == MU_OK) {
            assert_int_equal(consensus_config_encode(&back, again), size);
            assert_memory_equal(damaged, again, size);
        }
    }
}

static void spoil_duplicate(struct consensus_config *c)
{
    c->servers[1].id = c->servers[0].id;
}

static void spoil_order(struct consensus_config *c)
{
    c->servers[0].id = id_of(200);
}

static void spoil_no_disk(struct consensus_config *c)
{
    c->servers[1].disk = MU_ID_NONE;
}

static void spoil_no_role(struct consensus_config *c)
{
    c->servers[1].is_voter = false;
}

static void spoil_two_roles(struct consensus_config *c)
{
    c->servers[1].is_learner = true;
}

static void spoil_no_voter(struct consensus_config *c)
{
    for (uint32_t i = 0; i < 3; i++) {
        c->servers[i].is_voter = false;
        c->servers[i].is_learner = true;
    }
}

static void spoil_old_without_joint(struct consensus_config *c)
{
    c->servers[1].is_voter_old = true;
}

static void spoil_joint_without_old(struct consensus_config *c)
{
    c->is_joint = true;
}

static void spoil_nothing(struct consensus_config *c)
{
    (void)c;
}

static void spoil_removed_disk(struct consensus_config *c)
{
    c->removed_count = 1;
    c->removed[0] = c->servers[1].disk;
}

static void rules_are_checked(void **state)
{
    static const struct {
        const char *why;
        void (*spoil)(struct consensus_config *c);
        enum mu_code code;
    } cases[] = {
        // clang-format off
        { "three voters",                     spoil_nothing,           MU_OK },
        { "one id twice",                     spoil_duplicate,         MU_INVALID },
        { "ids descend",                      spoil_order,             MU_INVALID },
        { "no disk",                          spoil_no_disk,           MU_INVALID },
        { "no role",                          spoil_no_role,           MU_INVALID },
        { "voter and learner",                spoil_two_roles,         MU_INVALID },
        { "nobody votes",                     spoil_no_voter,          MU_INVALID },
        { "outgoing voter, not joint",        spoil_old_without_joint, MU_INVALID },
        { "joint without an outgoing set",    spoil_joint_without_old, MU_INVALID },
        { "a disk that was removed",          spoil_removed_disk,      MU_INVALID },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_config config = three();
        struct mu_err err = MU_ERR_NONE;

        cases[i].spoil(&config);
        if (consensus_config_check(&config, &err) != cases[i].code) {
            fail_msg("%s: %s", cases[i].why, err.text);
        }
    }
}

static void ten_voters_are_too_many(void **state)
{
    struct consensus_config config = { .index = 1,
                                       .level = CONSENSUS_LEVEL_FIRST,
                                       .servers_count = 10 };

    (void)state;
    for (uint8_t i = 0; i < 10; i++) {
        config.servers[i].id = id_of((uint8_t)(i + 1));
        config.servers[i].disk = id_of((uint8_t)(i + 101));
        config.servers[i].is_voter = true;
    }
    assert_int_equal(consensus_config_check(&config, NULL), MU_INVALID);
    config.servers[9].is_voter = false;
    config.servers[9].is_learner = true;
    assert_int_equal(consensus_config_check(&config, NULL), MU_OK);
}

/* -- from one to the next (I12) ------------------------------------------------------------ */

/* Of servers a to e: V votes, L learns, o votes in the outgoing set, b in both, - is not there. */
static struct consensus_config config_of(const char *roles)
{
    struct consensus_config config = { .index = 1, .level = CONSENSUS_LEVEL_FIRST };

    for (uint8_t i = 0; roles[i] != '\0'; i++) {
        struct consensus_server *s = &config.servers[config.servers_count];

        if (roles[i] == '-') {
            continue;
        }
        s->id = id_of((uint8_t)(i + 1));
        s->disk = id_of((uint8_t)(i + 101));
        s->is_voter = roles[i] == 'V' || roles[i] == 'b';
        s->is_voter_old = roles[i] == 'o' || roles[i] == 'b';
        s->is_learner = roles[i] == 'L';
        config.is_joint |= s->is_voter_old;
        config.servers_count++;
    }
    return config;
}

static void one_follows_from_another(void **state)
{
    static const struct {
        const char *why, *before, *next;
        bool follows, is_forced;
    } cases[] = {
        // clang-format off
        { "nothing changes",                 "VVV--", "VVV--", true,  false },
        { "a learner enters",                "VVV--", "VVVL-", true,  false },
        { "and votes",                       "VVVL-", "VVVV-", true,  false },
        { "a voter goes",                    "VVV--", "VV---", true,  false },
        { "or learns",                       "VVV--", "VVL--", true,  false },
        { "two come",                        "V----", "VVV--", false, false },
        { "two go",                          "VVV--", "V----", false, false },
        { "one comes, one goes",             "VVV--", "VV-V-", false, false },
        { "into a joint step",               "VVVL-", "bbob-", false, false },
        { "with the voters of before",       "VVVL-", "bboV-", true,  false },
        { "and others beside",               "VVVLL", "bboVV", true,  false },
        { "out of it, to the incoming set",  "bboV-", "VV-V-", true,  false },
        { "to the outgoing one",             "bboV-", "VVV--", false, false },
        { "with a step more",                "bboV-", "VV-VV", false, false },
        { "from one to another",             "bboV-", "bboV-", false, false },
        { "recovery follows from nothing",   "VVVVV", "V----", true,  true },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_config before = config_of(cases[i].before);
        struct consensus_config next = config_of(cases[i].next);

        next.is_forced = cases[i].is_forced;
        if (consensus__config_follows(&before, &next) != cases[i].follows) {
            fail_msg("%s: %s -> %s", cases[i].why, cases[i].before, cases[i].next);
        }
    }
}

/* -- the history: always the newest in the log, whatever was truncated (rows 50, 51) ------- */

/* A log in which each entry is a configuration. */
static struct consensus *core_with(uint32_t count, uint64_t applied)
{
    struct consensus_options options;
    struct consensus_config configs[16];
    const struct consensus_run runs[] = { { 1, 1 } };
    struct consensus_loaded loaded = {
        .hard = { .term = 1, .cluster = id_of(77) },
        .runs = runs,
        .runs_count = 1,
        .configs = configs,
        .configs_count = count,
        .last_index = count,
        .applied = applied,
        .seed = 1,
    };

    for (uint32_t i = 0; i < count; i++) {
        configs[i] = three();
        configs[i].index = i + 1;
    }

    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.server = id_of(1);
    options.disk = id_of(101);
    options.tail_entries = 64;
    struct consensus *c = mu_new(consensus_arena_bytes(&options));

    consensus_init(c, &options, &loaded, 1);
    consensus__check(c);
    return c;
}

static struct consensus *core_new(void)
{
    return core_with(1, 0);
}

/* An append of entries of the kinds given ('c' configuration, '-' no-op) behind `prev`. */
static void feed_config(struct consensus *c, uint64_t term, uint64_t prev, uint64_t prev_term,
                        const char *kinds, struct consensus_config config)
{
    struct consensus_entry entries[8] = { 0 };
    struct consensus_effects fx;
    struct consensus_msg m = {
        .kind = CONSENSUS_APPEND_REQ,
        .from = id_of(2),
        .from_disk = id_of(102),
        .to = id_of(1),
        .cluster = id_of(77),
        .term = term,
    };

    for (size_t i = 0; i < strlen(kinds); i++) {
        entries[i] = (struct consensus_entry){
            .index = prev + 1 + i,
            .term = term,
            .kind = kinds[i] == 'c' ? CONSENSUS_CONFIG : CONSENSUS_NOOP,
            .handle = kinds[i] == 'c' ? 5 : 0,
            .config = kinds[i] == 'c' ? &config : NULL,
        };
        config.index = kinds[i] == 'c' ? prev + 1 + i : config.index;
    }
    m.append.session = 1;
    m.append.prev_index = prev;
    m.append.prev_term = prev_term;
    m.append.entries = entries;
    m.append.entries_count = (uint32_t)strlen(kinds);
    consensus_step(
        c, &(struct consensus_event){ .now_ms = 1, .kind = CONSENSUS_EV_RECV, .msg = &m }, &fx);
    consensus__check(c);
}

static void feed(struct consensus *c, uint64_t term, uint64_t prev, uint64_t prev_term,
                 const char *kinds)
{
    feed_config(c, term, prev, prev_term, kinds, three());
}

/* What no leader could have made is not taken, and what lies behind it neither; nothing dies. */
static void a_leap_is_not_taken_from_the_network(void **state)
{
    struct consensus *c = core_new();
    uint64_t dropped = c->counters.messages_dropped;

    (void)state;
    feed_config(c, 2, 1, 1, "-c-", config_of("V----"));
    assert_int_equal(consensus_config_now(c)->index, 1);
    assert_int_equal(c->log.last_index, 2);
    assert_true(c->counters.messages_dropped > dropped);
    feed_config(c, 2, 2, 2, "c-", config_of("VV---"));
    assert_int_equal(consensus_config_now(c)->index, 3);
    mu_free(c);
}

static void truncation_brings_back_the_one_before(void **state)
{
    struct consensus *c = core_new();

    (void)state;
    assert_int_equal(consensus_config_now(c)->index, 1);
    feed(c, 2, 1, 1, "-c");
    assert_int_equal(consensus_config_now(c)->index, 3);
    feed(c, 2, 3, 2, "c");
    assert_int_equal(consensus_config_now(c)->index, 4);
    feed(c, 3, 3, 2, "-"); /* cuts off the newest */
    assert_int_equal(consensus_config_now(c)->index, 3);
    feed(c, 4, 1, 1, "-"); /* and now all but the first */
    assert_int_equal(consensus_config_now(c)->index, 1);
    mu_free(c);
}

static void one_configuration_is_taken_at_a_time(void **state)
{
    struct consensus *c = core_new();

    (void)state;
    feed(c, 2, 1, 1, "c-");
    assert_int_equal(c->log.last_index, 2);
    mu_free(c);
}

/* Their indexes as consensus__config_at() has them for 1, 2, 3...; 0: not known. */
static void expect_at(const struct consensus *c, const uint64_t *indexes, uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++) {
        const struct consensus_config *config = consensus__config_at(c, i);

        if ((config != NULL ? config->index : 0) != indexes[i - 1]) {
            fail_msg("at %d: %d", (int)i, config != NULL ? (int)config->index : 0);
        }
    }
}

/* A follower that does not know how far commit has come takes them all. */
static void more_configurations_than_there_is_place_for(void **state)
{
    struct consensus *c = core_new();

    (void)state;
    for (uint64_t i = 1; i < 12; i++) {
        feed(c, 1, i, 1, "c");
    }
    assert_int_equal(c->log.last_index, 12);
    assert_int_equal(c->commit, 0);
    expect_at(c, (const uint64_t[]){ 1, 0, 0, 0, 0, 6, 7, 8, 9, 10, 11, 12 }, 12);
    feed(c, 2, 11, 1, "-"); /* the newest may still be cut off, those before it are committed */
    expect_at(c, (const uint64_t[]){ 1, 0, 0, 0, 0, 6, 7, 8, 9, 10, 11, 11 }, 12);
    c->commit = 3;
    consensus__config_committed(c);
    consensus__check(c);
    expect_at(c, (const uint64_t[]){ 1, 0, 0, 0, 0, 6, 7 }, 7);
    c->commit = 7;
    consensus__config_committed(c);
    consensus__check(c);
    expect_at(c, (const uint64_t[]){ 0, 0, 0, 0, 0, 0, 7, 8, 9, 10, 11, 11 }, 12);
    mu_free(c);
}

static void what_is_in_force_at_the_state_is_loaded(void **state)
{
    static const struct {
        uint64_t applied;
        uint64_t at[12];
    } cases[] = {
        { 0, { 1, 0, 0, 0, 0, 6, 7, 8, 9, 10, 11, 12 } },
        { 1, { 1, 0, 0, 0, 0, 6, 7, 8, 9, 10, 11, 12 } },
        { 3, { 0, 0, 3, 0, 0, 6, 7, 8, 9, 10, 11, 12 } },
        { 5, { 0, 0, 0, 0, 5, 6, 7, 8, 9, 10, 11, 12 } },
        { 12, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 } },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus *c = core_with(12, cases[i].applied);

        expect_at(c, cases[i].at, 12);
        mu_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_configurations_than_there_is_place_for),
        cmocka_unit_test(what_is_in_force_at_the_state_is_loaded),
        cmocka_unit_test(what_was_encoded_comes_back),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(the_first_form_is_still_read),
        cmocka_unit_test(levels_are_stored_above_the_first),
        cmocka_unit_test(a_level_never_falls),
        cmocka_unit_test(as_many_removed_disks_as_there_is_room_for),
        cmocka_unit_test(damage_is_refused_or_means_something_else),
        cmocka_unit_test(rules_are_checked),
        cmocka_unit_test(ten_voters_are_too_many),
        cmocka_unit_test(one_follows_from_another),
        cmocka_unit_test(a_leap_is_not_taken_from_the_network),
        cmocka_unit_test(truncation_brings_back_the_one_before),
        cmocka_unit_test(one_configuration_is_taken_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
