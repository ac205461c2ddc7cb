#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "params.h"
#include "route.h"

static const struct read_defaults defaults = {
    .wait_ms = 300000,
    .wait_ms_max = 600000,
    .traits = ROUTE_READS | ROUTE_BLOCKS | ROUTE_TENANT,
};

static enum mu_code read_options(const char *query, const char *cache_control, const char *ns,
                                 const struct read_defaults *d, struct read_options *out,
                                 struct mu_err *err)
{
    struct mu_arena arena;
    struct params params;

    mu_arena_init(&arena, 0);
    enum mu_code rc = params_parse(mu_span_text(query), &arena, &params, err);

    if (rc == MU_OK) {
        rc = params_read_options(&params, mu_span_text(cache_control), mu_span_text(ns), d, out,
                                 err);
    }
    mu_arena_deinit(&arena);
    return rc;
}

static void wait_is_parsed_and_capped(void **state)
{
    static const struct {
        const char *why, *text;
        enum mu_code code;
        uint64_t ms;
    } cases[] = {
        // clang-format off
        { "seconds",                 "10s",    MU_OK,      10000 },
        { "zero means the default",  "0",      MU_OK,      300000 },
        { "less than zero too",      "-5s",    MU_OK,      300000 },
        { "the cap holds",           "11m",    MU_OK,      600000 },
        { "at the cap",              "10m",    MU_OK,      600000 },
        { "below a millisecond",     "10us",   MU_OK,      1 },
        { "two units",               "1m30s",  MU_OK,      90000 },
        { "a bare number",           "10",     MU_INVALID, 0 },
        { "no such unit",            "10q",    MU_INVALID, 0 },
        { "words",                   "soon",   MU_INVALID, 0 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;
        uint64_t ms = 0;
        enum mu_code code = params_wait_ms(mu_span_text(cases[i].text), &defaults, &ms, &err);

        if (code != cases[i].code || ms != cases[i].ms ||
            (code != MU_OK && strcmp(err.text, "Invalid wait time") != 0)) {
            fail_msg("%s: '%s' gave %s, %llu ms (%s)", cases[i].why, cases[i].text,
                     mu_code_text(code), (unsigned long long)ms, err.text);
        }
    }
}

static void pairs_are_taken_apart(void **state)
{
    static const struct {
        const char *why, *query, *encoded; /* NULL: refused */
    } cases[] = {
        // clang-format off
        { "none",                         "",                     "" },
        { "one",                          "cas=1",                "cas=1" },
        { "sorted by key",                "cas=1&acquire=x",      "acquire=x&cas=1" },
        { "of one key in their order",    "tag=b&tag=a",          "tag=b&tag=a" },
        { "a key alone",                  "recurse&cas=1",        "cas=1&recurse=" },
        { "escapes are undone and made",  "a%20b=%2F",            "a+b=%2F" },
        { "empty pairs are nothing",      "&&a=1&",               "a=1" },
        { "only the first = divides",     "filter=a==b",          "filter=a%3D%3Db" },
        { "a bad escape in a key",        "%zz=1",                NULL },
        { "a bad escape in a value",      "a=%4",                 NULL },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;
        struct params params;
        struct mu_buf text = MU_BUF_NONE;

        mu_arena_init(&arena, 0);
        bool ok = params_parse(mu_span_text(cases[i].query), &arena, &params, NULL) == MU_OK;

        if (ok) {
            params_encode(&params, &text);
        }
        if (ok != (cases[i].encoded != NULL) ||
            (ok && !mu_span_eq_text(mu_buf_span(&text), cases[i].encoded))) {
            fail_msg("%s: %d '%s'", cases[i].why, ok, mu_buf_text(&text));
        }
        mu_buf_deinit(&text);
        mu_arena_deinit(&arena);
    }
}

static void absurdly_many_pairs_are_refused(void **state)
{
    struct mu_buf query = MU_BUF_NONE;
    struct read_options out;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    for (int i = 0; i < 600; i++) {
        mu_buf_add_text(&query, "a&");
    }
    assert_int_equal(read_options(mu_buf_text(&query), "", "", &defaults, &out, &err), MU_TOO_BIG);
    mu_buf_deinit(&query);
}

static void modes_and_their_conflicts(void **state)
{
    static const struct {
        const char *why, *query, *text; /* "": no error */
        enum agent_consistency mode;
    } cases[] = {
        // clang-format off
        { "none",                  "",                        "", AGENT_DEFAULT },
        { "stale",                 "stale",                   "", AGENT_STALE },
        { "any value",             "stale=false",             "", AGENT_STALE },
        { "consistent",            "consistent",              "", AGENT_CONSISTENT },
        { "leader",                "leader",                  "", AGENT_DEFAULT },
        { "cached",                "cached",                  "", AGENT_DEFAULT },
        { "max_stale implies it",  "max_stale=5s",            "", AGENT_STALE },
        { "max_stale of zero",     "max_stale=0s",            "", AGENT_DEFAULT },
        { "max_stale of nothing",  "max_stale=",              "", AGENT_DEFAULT },
        { "stale and cached",      "stale&cached",            "", AGENT_STALE },
        { "both",                  "stale&consistent",        "Cannot specify ?stale with ?consistent, conflicting semantics.", AGENT_DEFAULT },
        { "by max_stale",          "max_stale=1s&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics.", AGENT_DEFAULT },
        { "cached, consistent",    "cached&consistent",       "Cannot specify ?cached with ?consistent, conflicting semantics.", AGENT_DEFAULT },
        { "bad max_stale",         "max_stale=foo",           "Invalid max_stale value \"foo\"", AGENT_DEFAULT },
        { "namespace",             "ns=a",                    "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature", AGENT_DEFAULT },
        { "no namespace",          "ns=",                     "", AGENT_DEFAULT },
        { "partition",             "partition=a",             "Invalid query parameter: \"partition\" - Partitions are a Consul Enterprise feature", AGENT_DEFAULT },
        { "index",                 "index=x",                 "Invalid index", AGENT_DEFAULT },
        { "negative index",        "index=-1",                "Invalid index", AGENT_DEFAULT },
        { "wait comes first",      "index=x&wait=y",          "Invalid wait time", AGENT_DEFAULT },
        { "modes before wait",     "wait=y&stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics.", AGENT_DEFAULT },
        { "namespace before all",  "ns=a&stale&consistent",   "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul Enterprise feature", AGENT_DEFAULT },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct read_options out = { .mode = AGENT_DEFAULT };
        struct mu_err err = MU_ERR_NONE;
        enum mu_code rc = read_options(cases[i].query, "", "", &defaults, &out, &err);

        if (strcmp(err.text, cases[i].text) != 0 || (rc == MU_OK) != (err.text[0] == '\0') ||
            (rc == MU_OK && out.mode != cases[i].mode)) {
            fail_msg("%s: '%s' gave '%s', mode %d", cases[i].why, cases[i].query, err.text,
                     (int)out.mode);
        }
    }
}

static void routes_read_only_what_they_declare(void **state)
{
    struct read_defaults local = defaults;
    struct read_options out;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    local.traits = ROUTE_LOCAL;
    assert_int_equal(
        read_options("index=x&wait=y&stale&consistent&ns=a", "max-age=x", "n", &local, &out, &err),
        MU_OK);
    assert_int_equal(out.index, 0);
}

static void discovery_is_stale_when_configured(void **state)
{
    struct read_defaults d = defaults;
    struct read_options out;

    (void)state;
    d.discovery_max_stale_ms = 2000;
    assert_int_equal(read_options("", "", "", &d, &out, NULL), MU_OK);
    assert_int_equal(out.mode, AGENT_STALE);
    assert_true(out.has_max_stale);
    assert_int_equal(out.max_stale_ms, 2000);
    assert_int_equal(read_options("leader", "", "", &d, &out, NULL), MU_OK);
    assert_int_equal(out.mode, AGENT_DEFAULT);
    assert_int_equal(read_options("consistent", "", "", &d, &out, NULL), MU_OK);
    assert_int_equal(out.mode, AGENT_CONSISTENT);
}

static void headers_are_judged(void **state)
{
    static const struct {
        const char *why, *cache_control, *ns, *text;
        bool must_revalidate;
    } cases[] = {
        // clang-format off
        { "none",              "",                             "",  "", false },
        { "an age",            "max-age=30",                   "",  "", false },
        { "age zero",          "max-age=0",                    "",  "", true },
        { "several",           "stale-if-error=10 , must-revalidate", "", "", true },
        { "unknown ones pass", "no-cache, private=x",          "",  "", false },
        { "no number",         "max-age=soon",                 "",  "Invalid Cache-Control header.", false },
        { "no value",          "stale-if-error",               "",  "Invalid Cache-Control header.", false },
        { "a namespace",       "",                             "a", "Bad request: Invalid header: \"X-Consul-Namespace\" - Namespaces are a Consul Enterprise feature", false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct read_options out = { .mode = AGENT_DEFAULT };
        struct mu_err err = MU_ERR_NONE;

        (void)!read_options("", cases[i].cache_control, cases[i].ns, &defaults, &out, &err);
        if (strcmp(err.text, cases[i].text) != 0 ||
            out.must_revalidate != cases[i].must_revalidate) {
            fail_msg("%s: '%s', %d", cases[i].why, err.text, out.must_revalidate);
        }
    }
}

static void metadata_is_split_at_the_first_colon(void **state)
{
    struct mu_arena arena;
    struct params p;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(params_parse(MU_SPAN_LIT("node-meta=a:b:c&node-meta=d&x=y&node-meta=a:last"),
                                  &arena, &p, NULL),
                     MU_OK);
    struct mu_pairs meta = params_node_meta(&p, &arena);

    assert_int_equal(meta.count, 2);
    assert_true(mu_span_eq_text(meta.items[0].key, "a"));
    assert_true(mu_span_eq_text(meta.items[0].value, "last"));
    assert_true(mu_span_eq_text(meta.items[1].key, "d"));
    assert_int_equal(meta.items[1].value.bytes, 0);
    mu_arena_deinit(&arena);
}

static void passing_and_numbers(void **state)
{
    static const struct {
        const char *query;
        int passing; /* -1: refused */
    } cases[] = {
        // clang-format off
        { "", 0 }, { "passing", 1 }, { "passing=", 1 }, { "passing=1", 1 }, { "passing=T", 1 },
        { "passing=False", 0 }, { "passing=0", 0 }, { "passing=yes", -1 }, { "passing=tRUE", -1 },
    }; // clang-format on
    struct mu_err err = MU_ERR_NONE;
    uint64_t n = 0;

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;
        struct params p;
        bool passing = false;

        mu_arena_init(&arena, 0);
        assert_int_equal(params_parse(mu_span_text(cases[i].query), &arena, &p, NULL), MU_OK);
        enum mu_code rc = params_passing(&p, &passing, &err);

        if ((rc == MU_OK ? (int)passing : -1) != cases[i].passing) {
            fail_msg("'%s' gave %d, %s", cases[i].query, passing, mu_code_text(rc));
        }
        mu_arena_deinit(&arena);
    }
    assert_string_equal(err.text, "Invalid value for ?passing");
    assert_int_equal(params_u64(MU_SPAN_LIT("18446744073709551615"), &n, &err), MU_OK);
    assert_true(n == UINT64_MAX);
    assert_int_equal(params_u64(MU_SPAN_LIT("18446744073709551616"), &n, &err), MU_INVALID);
    assert_string_equal(err.text,
                        "strconv.ParseUint: parsing \"18446744073709551616\": value out of range");
    assert_int_equal(params_u64(MU_SPAN_LIT("x"), &n, &err), MU_INVALID);
    assert_string_equal(err.text, "strconv.ParseUint: parsing \"x\": invalid syntax");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_is_parsed_and_capped),
        cmocka_unit_test(pairs_are_taken_apart),
        cmocka_unit_test(absurdly_many_pairs_are_refused),
        cmocka_unit_test(modes_and_their_conflicts),
        cmocka_unit_test(routes_read_only_what_they_declare),
        cmocka_unit_test(discovery_is_stale_when_configured),
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(metadata_is_split_at_the_first_colon),
        cmocka_unit_test(passing_and_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
