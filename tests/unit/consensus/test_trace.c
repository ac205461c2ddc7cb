/* Every notice has a sentence, with all its blanks filled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "core.h"

static void every_notice_reads_well(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < CONSENSUS_TRACES_COUNT; kind++) {
        struct consensus_notice n = { .kind = kind, .a = 1, .b = 2, .c = 3 };
        char text[256];

        (void)consensus_notice_text(&n, "n7", text, sizeof text);
        if (strlen(text) < 5 || strpbrk(text, "{}") != NULL || strstr(text, "(null)") != NULL) {
            fail_msg("notice %u: '%s'", kind, text);
        }
        assert_in_range(consensus_notice_level(&n), MU_TRACE, MU_ERROR);
    }
}

static void numbers_and_names_stand_in_their_places(void **state)
{
    static const struct {
        struct consensus_notice notice;
        const char *text;
    } cases[] = {
        // clang-format off
        { { .kind = CONSENSUS_T_ROLE, .a = CONSENSUS_FOLLOWER, .b = CONSENSUS_LEADER, .c = 4 },
          "follower -> leader, term 4" },
        { { .kind = CONSENSUS_T_TERM, .a = 4, .b = UINT64_MAX },
          "term 4 -> 18446744073709551615, heard from n7" },
        { { .kind = CONSENSUS_T_VOTE_REFUSED, .a = 4, .b = CONSENSUS_VOTE_LOG },
          "does not vote for n7 in term 4: its log is older" },
        { { .kind = CONSENSUS_T_PROGRESS, .a = CONSENSUS_PROBE, .b = 5, .c = 6 },
          "n7: probe, match 5, next 6" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char text[256];

        assert_string_equal(consensus_notice_text(&cases[i].notice, "n7", text, sizeof text),
                            cases[i].text);
    }
}

static void long_sentences_are_cut(void **state)
{
    struct consensus_notice n = { .kind = CONSENSUS_T_TERM, .a = 1, .b = 2 };
    char whole[256];
    char text[256];

    (void)state;
    (void)consensus_notice_text(&n, "a-peer-with-a-long-name", whole, sizeof whole);
    for (size_t bytes = 1; bytes <= strlen(whole); bytes++) {
        (void)consensus_notice_text(&n, "a-peer-with-a-long-name", text, bytes);
        assert_int_equal(strlen(text), bytes - 1);
        assert_memory_equal(text, whole, bytes - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_notice_reads_well),
        cmocka_unit_test(numbers_and_names_stand_in_their_places),
        cmocka_unit_test(long_sentences_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
