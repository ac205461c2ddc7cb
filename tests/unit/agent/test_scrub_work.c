/* The pace of reading again, and what is remembered of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "scratch.h"
#include "scrub_work.h"

struct sleeper {
    uint64_t ms, times;
    bool is_over;
};

static bool on_rest(void *self, uint64_t ms)
{
    struct sleeper *s = self;

    s->ms += ms;
    s->times++;
    return !s->is_over;
}

/* Rests come to what the pace asks for, in few pieces. */
static void rests_make_the_pace(void **state)
{
    struct sleeper s = { .ms = 0 };
    struct scrub_host host = { &s, on_rest };
    struct scrub_pace p = { .host = &host, .bytes_per_s = 1000000 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(scrub_pace(&p, 4096));
    }
    assert_in_range(s.ms, 3900, 4096);
    assert_true(s.times <= 410 && s.times >= 100);
    s.is_over = true;
    assert_false(scrub_pace(&p, 1000000));
}

/* At no pace it is still asked whether to go on. */
static void no_pace_can_be_ended(void **state)
{
    struct sleeper s = { .is_over = true };
    struct scrub_host host = { &s, on_rest };
    struct scrub_pace p = { .host = &host };

    (void)state;
    assert_false(scrub_pace(&p, 1));
    assert_int_equal(s.ms, 0);
}

static void what_was_noted_is_read(void **state)
{
    static const struct scrub_note notes[] = {
        { 1763680000, 0, "" },
        { 0, 1763680001, "state/state-1.db: page 7" },
        { 1763680000, 1763680001, "consensus/log-1.seg at byte 4096: 12 things" },
    };
    const char *dir = scratch_dir();
    char path[64];
    struct scrub_note got;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/scrub", dir);
    assert_int_equal(scrub_note_read(path, &got, &err), MU_OK); /* there is none yet */
    assert_int_equal(got.last_s, 0);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        struct mu_buf text = MU_BUF_NONE;

        scrub_note_text(&notes[i], &text);
        assert_int_equal(mu_file_replace(path, mu_buf_span(&text), 0600, &err), MU_OK);
        assert_int_equal(scrub_note_read(path, &got, &err), MU_OK);
        assert_int_equal(got.last_s, notes[i].last_s);
        assert_int_equal(got.found_s, notes[i].found_s);
        assert_string_equal(got.found, notes[i].found);
        mu_buf_deinit(&text);
    }
    assert_int_equal(mu_file_replace(path, MU_SPAN_LIT("nonsense\n"), 0600, &err), MU_OK);
    assert_int_equal(scrub_note_read(path, &got, &err), MU_OK);
    assert_int_equal(got.last_s + got.found_s, 0);
    assert_int_equal(mu_dir_remove(dir, &err), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_make_the_pace),
        cmocka_unit_test(no_pace_can_be_ended),
        cmocka_unit_test(what_was_noted_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
