#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "forward.h"

/* What only this agent knows is filled in; everything else goes as it came. */
static void targets_are_passed_on(void **state)
{
    static const struct {
        const char *why, *target, *forwarded;
    } cases[] = {
        // clang-format off
        { "as it came",               "/v1/kv/a%2Fb?raw&x=%20y",             "/v1/kv/a%2Fb?raw&x=%20y" },
        { "near this agent",          "/v1/catalog/nodes?near=_agent",       "/v1/catalog/nodes?near=n+1" },
        { "among others",             "/v1/catalog/nodes?a=%2F&near=_agent&b", "/v1/catalog/nodes?a=%2F&near=n+1&b" },
        { "escaped",                  "/v1/catalog/nodes?n%65ar=%5Fagent",   "/v1/catalog/nodes?near=n+1" },
        { "near somebody else",       "/v1/catalog/nodes?near=n2",           "/v1/catalog/nodes?near=n2" },
        { "of a service with blanks", "/v1/health/service/a%20b?near=_agent", "/v1/health/service/a%20b?near=n+1" },
    }; // clang-format on
    struct request_pool pool;

    (void)state;
    request_pool_init(&pool);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct request *r = request_new(&pool, NULL, NULL);
        struct route_table table;

        route_table_init(&table, web_routes, web_routes_count);
        request_head(r, MU_SPAN_LIT("GET"), mu_span_text(cases[i].target), NULL, 0);
        route_find(&table, r);
        assert_int_equal(params_parse(r->query, &r->arena, &r->params, NULL), MU_OK);
        struct mu_span target = forward_target(r, "n 1");

        if (!mu_span_eq_text(target, cases[i].forwarded)) {
            fail_msg("%s: '%.*s'", cases[i].why, MU_SPAN_FMT(target));
        }
        request_free(r);
    }
    request_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(targets_are_passed_on) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
