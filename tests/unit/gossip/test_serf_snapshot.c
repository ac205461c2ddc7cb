/* Serf's snapshot, played back: who is alive in the end, the times, and who has left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "serf_snapshot.h"

#define A "alive: a 10.0.0.1:7946\n"
#define B "alive: b 10.0.0.2:7946\n"

static void say(const struct gossip__serf_snapshot *s, struct mu_buf *to)
{
    char addr[MU_ADDR_TEXT_MAX];

    for (size_t i = 0; i < s->kept.known_count; i++) {
        mu_addr_text(&s->kept.known[i].addr, addr);
        mu_buf_addf(to, "%s=%s ", s->kept.known[i].name, addr);
    }
    mu_buf_addf(to, "%llu/%llu/%llu", (unsigned long long)s->kept.clocks.member_time,
                (unsigned long long)s->kept.clocks.event_time,
                (unsigned long long)s->kept.clocks.query_time);
    if (s->kept.has_left) {
        mu_buf_add_text(to, " left");
    }
    if (s->kept.skipped > 0) {
        mu_buf_addf(to, " skipped %zu from %zu: %.*s", s->kept.skipped, s->skipped_line,
                    MU_SPAN_FMT(s->skipped_text));
    }
}

static void lines_are_played_back(void **unused)
{
    static const struct {
        const char *why, *text, *said;
    } cases[] = {
        // clang-format off
        { "nothing",                      "",                          "0/0/0" },
        { "as Debian's serf leaves it when killed",
          "alive: self 127.0.21.2:17946\nalive: a 127.0.21.1:17946\nclock: 1\nevent-clock: 1\n"
          "event-clock: 2\nquery-clock: 1\nevent-clock: 3\n",          "a=127.0.21.1:17946 2/4/2" },
        { "the end counts",               A B "not-alive: a\n",        "b=10.0.0.2:7946 0/0/0" },
        { "... also of one that came back", A "not-alive: a\n" A,      "a=10.0.0.1:7946 0/0/0" },
        { "the newest address",           A "alive: a 10.0.0.9:80\n",  "a=10.0.0.9:80 0/0/0" },
        { "who was never there goes",     "not-alive: x\n" A,          "a=10.0.0.1:7946 0/0/0" },
        { "IPv6",                         "alive: a [::1]:7946\n",     "a=[::1]:7946 0/0/0" },
        { "a name with blanks",           "alive: a b  c 10.0.0.1:1\n" "alive: d e 10.0.0.1:2\n"
                                          "not-alive: d e\n",          "a b  c=10.0.0.1:1 0/0/0" },
        { "ourselves, never looked for",  "alive: self 10.0.0.1:1\n" "not-alive: self\n", "0/0/0" },
        { "of no use, yet known",         "# hello\n\n#\ncoordinate: {\"Vec\":[0.1]}\n",  "0/0/0" },
        { "times at rest",                "clock: 0\n",                "1/0/0" },

        { "who left, and the clock behind it", A "clock: 2\nleave\nclock: 3\n",
                                                                       "a=10.0.0.1:7946 4/0/0 left" },
        { "... and started alone",        A "leave\nalive: self 10.0.0.3:1\n",
                                                                       "a=10.0.0.1:7946 0/0/0 left" },
        { "... and found somebody",       A "event-clock: 3\nleave\n" B, "b=10.0.0.2:7946 0/4/0" },
        { "... and left again",           A "leave\n" B "leave\n",     "b=10.0.0.2:7946 0/0/0 left" },

        { "an unknown line is skipped",   A "what: is this\n" B,
          "a=10.0.0.1:7946 b=10.0.0.2:7946 0/0/0 skipped 1 from 2: what: is this" },
        { "the first of several is told", "\nleave now\nx\n",          "0/0/0 skipped 2 from 2: leave now" },
        { "only so much of it is told",
          "0123456789012345678901234567890123456789012345678901234567890123456789\n",
          "0/0/0 skipped 1 from 1: 0123456789012345678901234567890123456789012345678901234567890123" },
        { "no address",                   "alive: a\n",                "0/0/0 skipped 1 from 1: alive: a" },
        { "no port",                      "alive: a 10.0.0.1\n",  "0/0/0 skipped 1 from 1: alive: a 10.0.0.1" },
        { "no name",                      "alive: 10.0.0.1:1\n",  "0/0/0 skipped 1 from 1: alive: 10.0.0.1:1" },
        { "a host name",                  "alive: a b.c:1\n",     "0/0/0 skipped 1 from 1: alive: a b.c:1" },
        { "nobody goes",                  "not-alive: \n",             "0/0/0 skipped 1 from 1: not-alive: " },
        { "no number",                    "clock: 7\nclock: x\n",      "8/0/0 skipped 1 from 2: clock: x" },
        { "a time without a next one",    "event-clock: 18446744073709551615\n",
          "0/0/0 skipped 1 from 1: event-clock: 18446744073709551615" },
        { "the largest one with",         "query-clock: 18446744073709551614\n", "0/0/18446744073709551615" },
        { "a torn end might be a part of an address", A "alive: b 10.0.0.2:79",
          "a=10.0.0.1:7946 0/0/0 skipped 1 from 2: alive: b 10.0.0.2:79" },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf said = MU_BUF_NONE;
        struct gossip__serf_snapshot s;
        struct mu_arena arena;

        mu_arena_init(&arena, 0);
        gossip__serf_snapshot_read(mu_span_text(cases[i].text), "self", &arena, &s);
        say(&s, &said);
        if (strcmp(mu_buf_text(&said), cases[i].said) != 0) {
            fail_msg("%s: gave '%s', not '%s'", cases[i].why, mu_buf_text(&said), cases[i].said);
        }
        mu_buf_deinit(&said);
        mu_arena_deinit(&arena);
    }
}

static void a_line_has_a_bound(void **unused)
{
    struct gossip__serf_snapshot s;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    (void)unused;
    for (size_t bytes = GOSSIP__SERF_LINE_MAX; bytes <= GOSSIP__SERF_LINE_MAX + 1; bytes++) {
        mu_arena_init(&arena, 0);
        mu_buf_clear(&text);
        memset(mu_buf_reserve(&text, bytes), '#', bytes);
        text.bytes = bytes;
        mu_buf_add_text(&text, "\n" A);
        gossip__serf_snapshot_read(mu_buf_span(&text), "self", &arena, &s);
        assert_int_equal(s.kept.skipped, bytes > GOSSIP__SERF_LINE_MAX);
        assert_int_equal(s.kept.known_count, 1);
        mu_arena_deinit(&arena);
    }
    mu_buf_deinit(&text);
}

/* A place that somebody leaves is free for another one; who has none is not a damaged line. */
static void more_members_than_are_kept(void **unused)
{
    struct gossip__serf_snapshot s;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 0);
    for (unsigned i = 0; i < GOSSIP__KNOWN_MAX + 10; i++) {
        mu_buf_addf(&text, "alive: n%u 10.0.0.1:7946\n", i);
    }
    mu_buf_add_text(&text, "not-alive: n5\n" B);
    gossip__serf_snapshot_read(mu_buf_span(&text), "self", &arena, &s);
    assert_int_equal(s.kept.known_count, GOSSIP__KNOWN_MAX);
    assert_int_equal(s.kept.skipped, 0);
    assert_string_equal(s.kept.known[GOSSIP__KNOWN_MAX - 1].name, "b");
    for (size_t i = 0; i < s.kept.known_count; i++) {
        assert_string_not_equal(s.kept.known[i].name, "n5");
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_played_back),
        cmocka_unit_test(a_line_has_a_bound),
        cmocka_unit_test(more_members_than_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
