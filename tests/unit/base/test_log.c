#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/log.h"

#define STAMP_BYTES 24 /* "2026-11-20T08:40:54.958Z" */

/* What was written to the descriptor since the last call; the time of each line is checked and
 * replaced by "T". */
static const char *written(int fd, struct mu_buf *b)
{
    struct mu_buf raw = MU_BUF_NONE;
    ssize_t got;

    mu_buf_clear(b);
    do {
        got = read(fd, mu_buf_reserve(&raw, 4096), 4096);
        raw.bytes += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    struct mu_span rest = mu_buf_span(&raw);

    while (rest.bytes > 0) {
        struct mu_span line = mu_span_split(rest, '\n', &rest, NULL);
        size_t at = line.data[0] == '{' ? 0 : STAMP_BYTES;

        if (at > 0) {
            assert_true(line.bytes > STAMP_BYTES && line.data[4] == '-' && line.data[10] == 'T' &&
                        line.data[19] == '.' && line.data[23] == 'Z');
            mu_buf_add_byte(b, 'T');
        }
        mu_buf_addf(b, "%.*s\n", MU_SPAN_FMT(mu_span_sub(line, at, line.bytes)));
    }
    mu_buf_deinit(&raw);
    return mu_buf_text(b);
}

static int pipe_open(void **state)
{
    static int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    mu_log_set_fd(ends[1]);
    mu_log_set_level(MU_INFO);
    mu_log_set_json(false);
    *state = ends;
    return 0;
}

static int pipe_close(void **state)
{
    const int *ends = *state;

    mu_log_set_fd(-1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

static void lines_have_the_specified_form(void **state)
{
    const int *ends = *state;
    struct mu_buf b = MU_BUF_NONE;

    mu_log(MU_INFO, "agent.server", "New leader elected", mu_kv("payload", "n1"));
    mu_log(MU_WARN, "agent", "No fields");
    mu_log(MU_ERROR, "agent", "Of each kind", mu_kv("a", "x"), mu_kv_span("b", MU_SPAN_LIT("y")),
           mu_kv_u("c", UINT64_MAX), mu_kv_i("d", -5), mu_kv_ms("e", 12));
    mu_logf(MU_INFO, "agent.client", "serf: EventMemberJoin: %s %s", "n1", "127.0.0.1");
    mu_log(MU_DEBUG, "agent", "Below the level");
    assert_string_equal(written(ends[0], &b),
                        "T [INFO]  agent.server: New leader elected: payload=n1\n"
                        "T [WARN]  agent: No fields\n"
                        "T [ERROR] agent: Of each kind: a=x b=y c=18446744073709551615 d=-5 "
                        "e=12ms\n"
                        "T [INFO]  agent.client: serf: EventMemberJoin: n1 127.0.0.1\n");
    mu_buf_deinit(&b);
}

static void values_that_would_mislead_are_quoted(void **state)
{
    static const struct {
        const char *why, *value, *shown;
    } cases[] = {
        // clang-format off
        { "plain",        "a-b_c.d:1/2,3", "a-b_c.d:1/2,3" },
        { "empty",        "",              "\"\"" },
        { "a blank",      "a b",           "\"a b\"" },
        { "an equals",    "a=b",           "\"a=b\"" },
        { "a quote",      "a\"b",          "\"a\\\"b\"" },
        { "a line end",   "a\nb\r",        "\"a\\nb\\r\"" },
        { "a control",    "a\x1b[2J",      "\"a\\u001b[2J\"" },
        { "UTF-8",        "\xc3\xa9",      "\"\xc3\xa9\"" },
        { "no UTF-8",     "\xc3",          "\"\xef\xbf\xbd\"" },
        { "nothing",      NULL,            "\"\"" },
    }; // clang-format on
    const int *ends = *state;

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mu_buf expected = MU_BUF_NONE;

        mu_buf_addf(&expected, "T [INFO]  m: s: k=%s l=1\n", cases[i].shown);
        mu_log(MU_INFO, "m", "s", mu_kv("k", cases[i].value), mu_kv("l", "1"));
        if (strcmp(written(ends[0], &b), mu_buf_text(&expected)) != 0) {
            fail_msg("%s: %s", cases[i].why, mu_buf_text(&b));
        }
        mu_buf_deinit(&b);
        mu_buf_deinit(&expected);
    }
}

/* A name in the middle of a sentence cannot begin a line of its own. */
static void a_sentence_is_one_line(void **state)
{
    const int *ends = *state;
    struct mu_buf b = MU_BUF_NONE;

    mu_logf(MU_INFO, "m", "member %s joined", "a\nT [ERROR] m: forged\x1b[2J");
    assert_string_equal(written(ends[0], &b), "T [INFO]  m: member a T [ERROR] m: forged [2J "
                                              "joined\n");
    mu_buf_deinit(&b);
}

static void lines_as_json(void **state)
{
    const int *ends = *state;
    struct mu_buf b = MU_BUF_NONE;

    mu_log_set_json(true);
    mu_log(MU_WARN, "agent", "Of \"each\" kind", mu_kv("a", "x y\n"), mu_kv("n", NULL),
           mu_kv_span("b", MU_SPAN_LIT("y z")), mu_kv_u("c", 7), mu_kv_i("d", -5),
           mu_kv_ms("e", 12));
    const char *text = written(ends[0], &b);
    const char *stamp = strstr(text, "\"@timestamp\":\"20");

    assert_non_null(stamp);
    assert_true(mu_span_eq_text(mu_span_of(text, (size_t)(stamp - text)),
                                "{\"@level\":\"warn\",\"@message\":\"Of \\\"each\\\" kind\","
                                "\"@module\":\"agent\","));
    assert_string_equal(stamp + strlen("\"@timestamp\":\"") + STAMP_BYTES,
                        "\",\"a\":\"x y\\n\",\"n\":\"\",\"b\":\"y z\",\"c\":7,\"d\":-5,"
                        "\"e\":\"12ms\"}\n");
    mu_buf_deinit(&b);
}

static void levels_are_named(void **state)
{
    static const struct {
        const char *text;
        int level; /* -1: none */
    } cases[] = {
        { "trace", MU_TRACE }, { "debug", MU_DEBUG }, { "info", MU_INFO },
        { "warn", MU_WARN },   { "err", MU_ERROR },   { "error", MU_ERROR },
        { "INFO", MU_INFO },   { "Err", MU_ERROR },   { "", -1 },
        { "warning", -1 },     { "inf", -1 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        enum mu_log_level level = MU_TRACE;
        bool is_level = mu_log_level_parse(mu_span_text(cases[i].text), &level);

        if (is_level != (cases[i].level >= 0) || (is_level && (int)level != cases[i].level)) {
            fail_msg("'%s'", cases[i].text);
        }
    }
}

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    mu_buf_addf(data, "%d%.*s|", (int)level,
                MU_SPAN_FMT(mu_span_sub(line, STAMP_BYTES, line.bytes)));
}

static void a_tap_has_a_level_of_its_own(void **state)
{
    const int *ends = *state;
    struct mu_buf heard = MU_BUF_NONE;
    struct mu_buf b = MU_BUF_NONE;

    mu_log_set_level(MU_ERROR);
    mu_log_set_tap(on_line, &heard, MU_DEBUG);
    assert_true(mu_log_on(MU_DEBUG));
    assert_false(mu_log_on(MU_TRACE));
    mu_log(MU_TRACE, "m", "one");
    mu_log(MU_DEBUG, "m", "two");
    mu_log(MU_ERROR, "m", "three");
    mu_log_set_tap(NULL, NULL, MU_TRACE);
    mu_log(MU_ERROR, "m", "four");
    assert_false(mu_log_on(MU_WARN));
    assert_string_equal(mu_buf_text(&heard), "1 [DEBUG] m: two|4 [ERROR] m: three|");
    assert_string_equal(written(ends[0], &b), "T [ERROR] m: three\nT [ERROR] m: four\n");
    mu_buf_deinit(&heard);
    mu_buf_deinit(&b);
}

static void a_copy_goes_to_a_second_place(void **state)
{
    const int *ends = *state;
    struct mu_buf b = MU_BUF_NONE;
    int copy[2];

    assert_int_equal(pipe2(copy, O_CLOEXEC | O_NONBLOCK), 0);
    mu_log_set_copy_fd(copy[1]);
    mu_log(MU_INFO, "m", "twice");
    mu_log(MU_DEBUG, "m", "below the level");
    mu_log_set_copy_fd(-1);
    mu_log(MU_INFO, "m", "once");
    assert_string_equal(written(copy[0], &b), "T [INFO]  m: twice\n");
    assert_string_equal(written(ends[0], &b), "T [INFO]  m: twice\nT [INFO]  m: once\n");
    (void)close(copy[0]);
    (void)close(copy[1]);
    mu_buf_deinit(&b);
}

/* A pipe that nobody reads stands for a disk that stands still. */
static void nobody_waits_for_the_second_place(void **state)
{
    const unsigned lines = 60000; /* more than the pipe and what may wait hold together */
    unsigned taken = 0;
    char line[256] = "";
    int copy[2];

    (void)state;
    assert_int_equal(pipe2(copy, O_CLOEXEC), 0);
    mu_log_set_fd(-1);
    mu_log_set_copy_fd(copy[1]);
    for (unsigned i = 0; i < lines; i++) {
        mu_log(MU_INFO, "m", "nobody reads this", mu_kv_u("i", i));
    }
    FILE *reader = fdopen(copy[0], "r"); /* now somebody does, and is told what is missing */

    assert_non_null(reader);
    while (strstr(line, "The file of the log was too slow: lost=") == NULL) {
        assert_non_null(fgets(line, sizeof line, reader));
        taken++;
    }
    assert_int_equal(taken - 1 + strtoul(strchr(line, '=') + 1, NULL, 10), lines);
    mu_log_set_copy_fd(-1);
    (void)fclose(reader);
    (void)close(copy[1]);
}

static void a_full_pipe_loses_lines_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        mu_log(MU_INFO, "m", "nobody reads this", mu_kv_u("i", i));
    }
    mu_log_set_fd(-1);
    mu_log(MU_INFO, "m", "nowhere");
}

static void *write_many(void *data)
{
    for (unsigned i = 0; i < 200; i++) {
        mu_log(MU_INFO, "m", "from a thread", mu_kv("name", (const char *)data));
        mu_log_set_level(MU_INFO);
    }
    return NULL;
}

static void lines_of_threads_are_whole(void **state)
{
    static char names[4][2] = { "a", "b", "c", "d" };
    const int *ends = *state;
    struct mu_buf b = MU_BUF_NONE;
    pthread_t threads[4];
    size_t lines = 0;

    for (size_t i = 0; i < MU_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    }
    for (size_t i = 0; i < MU_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct mu_span rest = mu_span_text(written(ends[0], &b));

    while (rest.bytes > 0) {
        struct mu_span line = mu_span_split(rest, '\n', &rest, NULL);

        assert_int_equal(line.bytes, sizeof "T [INFO]  m: from a thread: name=a" - 1);
        assert_true(mu_span_starts(line, MU_SPAN_LIT("T [INFO]  m: from a thread: name=")));
        lines++;
    }
    assert_int_equal(lines, 4 * 200);
    mu_buf_deinit(&b);
}

int main(void)
{
#define INTO_A_PIPE(test) cmocka_unit_test_setup_teardown(test, pipe_open, pipe_close)
    static const struct CMUnitTest tests[] = {
        INTO_A_PIPE(lines_have_the_specified_form),
        INTO_A_PIPE(values_that_would_mislead_are_quoted),
        INTO_A_PIPE(a_sentence_is_one_line),
        INTO_A_PIPE(lines_as_json),
        INTO_A_PIPE(levels_are_named),
        INTO_A_PIPE(a_tap_has_a_level_of_its_own),
        INTO_A_PIPE(a_copy_goes_to_a_second_place),
        INTO_A_PIPE(nobody_waits_for_the_second_place),
        INTO_A_PIPE(a_full_pipe_loses_lines_and_nothing_else),
        INTO_A_PIPE(lines_of_threads_are_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
