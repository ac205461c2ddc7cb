/* What a core is asked to keep to: the presets do, and each bound refuses what is beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/assert.h"
#include "core.h"

static struct consensus_options of(enum consensus_timing timing, unsigned multiplier)
{
    struct consensus_options o;

    consensus_options_init(&o, timing, multiplier);
    o.server.b[0] = 1;
    o.disk.b[0] = 2;
    return o;
}

static void presets_keep_their_own_rules(void **state)
{
    static const enum consensus_timing timings[] = { CONSENSUS_LAN, CONSENSUS_FAST, CONSENSUS_WAN };

    (void)state;
    for (size_t i = 0; i < MU_LEN(timings); i++) {
        struct consensus_options once = of(timings[i], 1);

        for (unsigned multiplier = 0; multiplier <= 10; multiplier++) {
            struct consensus_options o = of(timings[i], multiplier);
            struct mu_err err = MU_ERR_NONE;

            if (consensus_options_check(&o, &err) != MU_OK) {
                fail_msg("%u times: %s", multiplier, err.text);
            }
            assert_int_equal(o.election_ms_min,
                             once.election_ms_min * (multiplier < 1 ? 1 : multiplier));
        }
    }
}

#define FIELD(name) \
    offsetof(struct consensus_options, name), sizeof(((struct consensus_options *)0)->name)

static void each_bound_refuses_what_is_beyond_it(void **state)
{
    static const struct {
        const char *why;
        size_t at, bytes;
        uint64_t value;
        const char *text; /* NULL: it may be so */
    } cases[] = {
        // clang-format off
        { "no heartbeat",                     FIELD(heartbeat_ms),       0,    "heartbeat 0 ms" },
        { "the most a heartbeat may be",      FIELD(heartbeat_ms),       100,  NULL },
        { "a heartbeat that comes too late",  FIELD(heartbeat_ms),       101,  "heartbeat 101 ms" },
        { "one that overflows",               FIELD(heartbeat_ms),       UINT32_MAX, "heartbeat" },
        { "no pause",                         FIELD(pause_ms),           0,    "pause 0 ms" },
        { "the most a pause may be",          FIELD(pause_ms),           250,  NULL },
        { "a pause as an election",           FIELD(pause_ms),           251,  "pause 251 ms" },
        { "always slow",                      FIELD(slow_ms),            0,    "stall" },
        { "the least a stall may be",         FIELD(stall_ms),           1000, NULL },
        { "stalled before others would know", FIELD(stall_ms),           999,  "stall 999 ms" },
        { "no room in the tail",              FIELD(tail_entries),       2 * CONSENSUS_TAIL_RESERVED, "ring" },
        { "the least of the tail",            FIELD(tail_entries),       2 * CONSENSUS_TAIL_RESERVED + 1, NULL },
        { "one run of terms",                 FIELD(runs_max),           1,    "ring" },
        { "no reads",                         FIELD(reads_max),          0,    "ring" },
        { "nothing in flight",                FIELD(inflight_max),       0,    "ring" },
        { "no bytes in flight",               FIELD(inflight_bytes_max), 0,    "ring" },
        { "no proposals",                     FIELD(proposals_max),      0,    "ring" },
        { "no room for writes",               FIELD(writes_max),         2 * CONSENSUS_WRITES_RESERVED - 1, "ring" },
        { "the least room for writes",        FIELD(writes_max),         2 * CONSENSUS_WRITES_RESERVED, NULL },
        { "empty chunks",                     FIELD(chunk_bytes),        0,    "0 bytes of a snapshot" },
        { "the largest chunks",               FIELD(chunk_bytes),        CONSENSUS_CHUNK_BYTES, NULL },
        { "chunks that no message holds",     FIELD(chunk_bytes),        CONSENSUS_CHUNK_BYTES + 1, "of a snapshot" },
        { "a snapshot that ends at once",     FIELD(snap_timeout_ms),    0,    "of a snapshot" },
        { "empty requests",                   FIELD(append_entries_max), 0,    "0 entries" },
        { "the fullest request",              FIELD(append_entries_max), CONSENSUS_ENTRIES_MAX, NULL },
        { "a request that is too full",       FIELD(append_entries_max), CONSENSUS_ENTRIES_MAX + 1, "entries" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_options o = of(CONSENSUS_LAN, 1);
        struct mu_err err = MU_ERR_NONE;
        bool fits = cases[i].text == NULL;

        assert_true(cases[i].bytes <= sizeof cases[i].value);
        memcpy((uint8_t *)&o + cases[i].at, &cases[i].value, cases[i].bytes); /* little-endian */
        if (consensus_options_check(&o, &err) != (fits ? MU_OK : MU_INVALID) ||
            (!fits && strstr(err.text, cases[i].text) == NULL)) {
            fail_msg("%s: '%s'", cases[i].why, err.text);
        }
    }
}

static void nobody_has_no_name(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct consensus_options o = of(CONSENSUS_LAN, 1);

        *(i == 0 ? &o.server : &o.disk) = MU_ID_NONE;
        assert_int_equal(consensus_options_check(&o, &err), MU_INVALID);
        assert_non_null(strstr(err.text, "without an id"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets_keep_their_own_rules),
        cmocka_unit_test(each_bound_refuses_what_is_beyond_it),
        cmocka_unit_test(nobody_has_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
