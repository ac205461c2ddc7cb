/* What watches ask, and what their handlers are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/watch.h"
#include "base/assert.h"

static void plans_are_checked(void **state)
{
    static const struct {
        struct watch_plan plan;
        const char *text; /* the question with index 7, or the error */
    } rows[] = {
        // clang-format off
        { { .type = "key", .key = "a/b c?" }, "/v1/kv/a/b%20c%3F?index=7&wait=5m" },
        { { .type = "keyprefix", .prefix = "a/" }, "/v1/kv/a/?recurse&index=7&wait=5m" },
        { { .type = "services" }, "/v1/catalog/services?index=7&wait=5m" },
        { { .type = "nodes", .datacenter = "dc1", .is_stale = true }, "/v1/catalog/nodes?dc=dc1&stale&index=7&wait=5m" },
        { { .type = "service", .service = "web", .tag = "a&b", .passing_only = "true" }, "/v1/health/service/web?tag=a%26b&passing=1&index=7&wait=5m" },
        { { .type = "service", .service = "web", .passing_only = "false" }, "/v1/health/service/web?index=7&wait=5m" },
        { { .type = "checks" }, "/v1/health/state/any?index=7&wait=5m" },
        { { .type = "checks", .state = "critical" }, "/v1/health/state/critical?index=7&wait=5m" },
        { { .type = "checks", .service = "web" }, "/v1/health/checks/web?index=7&wait=5m" },
        { { .type = "event", .name = "deploy" }, "/v1/event/list?name=deploy&index=7&wait=5m" },
        { { .type = NULL }, "Watch type must be specified" },
        { { .type = "foo" }, "Unsupported watch type: foo" },
        { { .type = "key" }, "Must specify a single key to watch" },
        { { .type = "keyprefix" }, "Must specify a single prefix to watch" },
        { { .type = "service" }, "Must specify a single service to watch" },
        { { .type = "checks", .service = "a", .state = "b" }, "Cannot specify service and state" },
        { { .type = "nodes", .key = "a", .name = "b" }, "Invalid parameters: [key name]" },
        { { .type = "service", .service = "a", .passing_only = "perhaps" }, "Expecting passingonly to be a boolean" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_buf target = MU_BUF_NONE;

        if (watch_plan_check(&rows[i].plan, &err) == MU_OK) {
            watch_plan_target(&rows[i].plan, 7, &target);
            assert_string_equal(mu_buf_text(&target), rows[i].text);
        } else {
            assert_string_equal(err.text, rows[i].text);
        }
        mu_buf_deinit(&target);
    }
}

#define PAIR                                                                            \
    "{\"LockIndex\":1,\"Key\":\"a\",\"Flags\":16163867867350782432,\"Value\":\"eA==\"," \
    "\"CreateIndex\":3,\"ModifyIndex\":4}"
#define GIVEN                                                             \
    "{\"Key\":\"a\",\"CreateIndex\":3,\"ModifyIndex\":4,\"LockIndex\":1," \
    "\"Flags\":16163867867350782432,\"Value\":\"eA==\",\"Session\":\"\"}"
#define EVENT_1 "{\"ID\":\"00000000-0000-0001-0000-000000000000\",\"Name\":\"x\"}"
#define EVENT_2 "{\"ID\":\"00000000-0000-0002-0000-000000000000\",\"Name\":\"x\"}"
#define EVENT_3 "{\"ID\":\"00000000-0000-0003-0000-000000000000\",\"Name\":\"x\"}"

static void results_are_as_clients_know_them(void **state)
{
    static const struct {
        const char *why, *type, *body;
        unsigned status;
        uint64_t seen;
        const char *given; /* NULL: an error */
    } rows[] = {
        // clang-format off
        { "a key",            "key",       "[" PAIR "]", 200, 0, GIVEN "\n" },
        { "no key",           "key",       "",           404, 0, "null\n" },
        { "a prefix",         "keyprefix", "[" PAIR "," PAIR "]", 200, 0, "[" GIVEN "," GIVEN "]\n" },
        { "nothing below",    "keyprefix", "",           404, 0, "[]\n" },
        { "services",         "services",  "{\"web\":[\"a\"]}", 200, 0, "{\"web\":[\"a\"]}\n" },
        { "nodes",            "nodes",     "[{\"Node\":\"a\"}]", 200, 5, "[{\"Node\":\"a\"}]\n" },
        { "all events",       "event",     "[" EVENT_1 "," EVENT_2 "]", 200, 0, "[" EVENT_1 "," EVENT_2 "]\n" },
        { "new events",       "event",     "[" EVENT_1 "," EVENT_2 "," EVENT_3 "]", 200, 2, "[" EVENT_3 "]\n" },
        { "an index unknown", "event",     "[" EVENT_1 "]", 200, 9, "[" EVENT_1 "]\n" },
        { "no events",        "event",     "[1]",        200, 5, "[1]\n" },
        { "no leader",        "key",       "No cluster leader", 500, 0, NULL },
        { "404 of others",    "nodes",     "",           404, 0, NULL },
        { "no JSON",          "nodes",     "oops",       200, 0, NULL },
        { "no list",          "nodes",     "{}",         200, 0, NULL },
        { "no object",        "services",  "[]",         200, 0, NULL },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct watch_plan plan = { .type = rows[i].type, .key = "k", .prefix = "p" };
        struct mu_err err = MU_ERR_NONE;
        struct mu_buf given = MU_BUF_NONE;
        enum mu_code rc = watch_plan_result(&plan, rows[i].status, mu_span_text(rows[i].body),
                                            rows[i].seen, false, &given, &err);

        if ((rc == MU_OK) != (rows[i].given != NULL) ||
            (rc == MU_OK && strcmp(mu_buf_text(&given), rows[i].given) != 0)) {
            fail_msg("%s: %s %s", rows[i].why, mu_buf_text(&given), err.text);
        }
        mu_buf_deinit(&given);
    }
}

static void how_it_goes_on(void **state)
{
    const struct watch_plan key = { .type = "key", .key = "k" };
    const struct watch_plan event = { .type = "event" };

    (void)state;
    assert_int_equal(watch_plan_next(&key, 5, 9), 9);
    assert_int_equal(watch_plan_next(&key, 9, 5), 0); /* back: begin anew */
    assert_int_equal(watch_plan_next(&event, 9, 5), 5);
    assert_int_equal(watch_retry_ms(1), 5000);
    assert_int_equal(watch_retry_ms(3), 45000);
    assert_int_equal(watch_retry_ms(7), 180000);
    assert_int_equal(watch_retry_ms(UINT32_MAX), 180000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_checked),
        cmocka_unit_test(results_are_as_clients_know_them),
        cmocka_unit_test(how_it_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
