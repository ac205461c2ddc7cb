#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "response.h"
#include "route.h"

/* -- a small table, and answers as text -------------------------------------------------------- */

static void handler(struct request *r)
{
    answer_textf(r, 200, "%s <%.*s>", r->route->path, MU_SPAN_FMT(r->argument));
}

static const struct web_route rows[] = {
    // clang-format off
    { WEB_GET,    "/v1/agent/self",             ROUTE_LOCAL, ACL_NONE, handler, "" },
    { WEB_GET,    "/v1/agent/service/:id",      ROUTE_LOCAL, ACL_NONE, handler, "" },
    { WEB_PUT,    "/v1/agent/service/register", ROUTE_LOCAL, ACL_NONE, handler, "" },
    { WEB_GET,    "/v1/kv/*key",                ROUTE_READS, ACL_NONE, handler, "" },
    { WEB_PUT,    "/v1/kv/*key",                ROUTE_VALUE, ACL_NONE, handler, "" },
    { WEB_DELETE, "/v1/kv/*key",                0,           ACL_NONE, handler, "" },
}; // clang-format on

static const char *const blocked[] = { "/v1/agent/service/blocked" };

static struct mu_buf answered;

static void on_answer(struct request *r)
{
    struct mu_header headers[RESPONSE_LIST_MAX];
    size_t count = response_head_forwarded(r, headers);

    mu_buf_clear(&answered);
    mu_buf_addf(&answered, "%u", r->response.status);
    for (size_t i = 0; i < count; i++) {
        if (!mu_span_eq_text(headers[i].name, "Content-Type")) {
            mu_buf_addf(&answered, " %.*s: %.*s", MU_SPAN_FMT(headers[i].name),
                        MU_SPAN_FMT(headers[i].value));
        }
    }
    if (r->response.body.bytes > 0) {
        mu_buf_addf(&answered, " | %.*s", MU_SPAN_FMT(r->response.body));
    }
    request_free(r);
}

static const struct request_sink sink = { .answer = on_answer };

static const char *walk(struct request_pool *pool, const struct route_table *table,
                        const char *method, const char *target, uint64_t body_bytes)
{
    struct request *r = request_new(pool, &sink, NULL);

    request_head(r, mu_span_text(method), mu_span_text(target), NULL, 0);
    route_find(table, r);
    r->body_bytes_max = 100;
    r->content_length = body_bytes;
    if (body_bytes > r->body_bytes_max) {
        r->verdict = VERDICT_TOO_BIG;
    }
    r->state = REQUEST_SERVING;
    if (!route_refuse(table, r)) {
        r->route->handler(r);
    }
    return mu_buf_text(&answered);
}

static void every_walk(void **state)
{
    static const struct {
        const char *why, *method, *target, *answer;
    } cases[] = {
        // clang-format off
        { "exact",                    "GET",  "/v1/agent/self",              "200 | /v1/agent/self <>" },
        { "with a query",             "GET",  "/v1/agent/self?pretty",       "200 | /v1/agent/self <>" },
        { "a whole URL",              "GET",  "http://h:1/v1/agent/self?a",  "200 | /v1/agent/self <>" },
        { "a URL without a path",     "GET",  "http://h",                    "200 | Consul Agent" },
        { "prefix",                   "GET",  "/v1/kv/a",                    "200 | /v1/kv/*key <a>" },
        { "slashes in the argument",  "GET",  "/v1/kv/a/b/",                 "200 | /v1/kv/*key <a/b/>" },
        { "escaped ones are equal",   "GET",  "/v1/kv/a%2Fb",                "200 | /v1/kv/*key <a/b>" },
        { "an empty argument",        "GET",  "/v1/kv/",                     "200 | /v1/kv/*key <>" },
        { "the longest wins",         "PUT",  "/v1/agent/service/register",  "200 | /v1/agent/service/register <>" },
        { "also over the method",     "GET",  "/v1/agent/service/register",  "405 Allow: OPTIONS,PUT | method GET not allowed" },
        { "a longer argument",        "GET",  "/v1/agent/service/register2", "200 | /v1/agent/service/:id <register2>" },
        { "unknown",                  "GET",  "/v1/nope",                    "404" },
        { "exact means exact",        "GET",  "/v1/agent/self/",             "404" },
        { "outside of /v1",           "GET",  "/nope",                       "404" },
        { "the root",                 "GET",  "/",                           "200 | Consul Agent" },
        { "a slash is missing",       "GET",  "/v1/kv",                      "301 Location: /v1/kv/ | <a href=\"/v1/kv/\">Moved Permanently</a>.\n\n" },
        { "the query stays",          "GET",  "/v1/kv?a=b&c",                "301 Location: /v1/kv/?a=b&c | <a href=\"/v1/kv/?a=b&amp;c\">Moved Permanently</a>.\n\n" },
        { "unclean",                  "GET",  "/v1//kv/a",                   "301 Location: /v1/kv/a | <a href=\"/v1/kv/a\">Moved Permanently</a>.\n\n" },
        { "unclean once decoded",     "GET",  "/v1/kv/a%2F%2Fb",             "301 Location: /v1/kv/a/b | <a href=\"/v1/kv/a/b\">Moved Permanently</a>.\n\n" },
        { "moved without a body",     "PUT",  "/v1//kv/a",                   "301 Location: /v1/kv/a" },
        { "no HTML gets through",     "GET",  "/v1//kv/?<script>",           "301 Location: /v1/kv/?<script> | <a href=\"/v1/kv/?&lt;script&gt;\">Moved Permanently</a>.\n\n" },
        { "unprintable",              "GET",  "/v1/kv/a%0Ab",                "400" },
        { "before anything else",     "GET",  "/v1//nope%00",                "400" },
        { "a bad path escape",        "GET",  "/v1/kv/%zz",                  "400 | 400 Bad Request" },
        { "no path",                  "GET",  "nonsense",                    "400 | 400 Bad Request" },
        { "a bad query escape",       "GET",  "/v1/kv/a?x=%zz",              "500" },
        { "blocked",                  "GET",  "/v1/agent/service/blocked1",  "403 | Endpoint is blocked by agent configuration" },
        { "options",                  "OPTIONS", "/v1/kv/a",                 "200 Allow: OPTIONS,GET,PUT,DELETE" },
        { "another method",           "POST", "/v1/kv/a",                    "405 Allow: OPTIONS,GET,PUT,DELETE | method POST not allowed" },
        { "head is no get",           "HEAD", "/v1/kv/a",                    "405 Allow: OPTIONS,GET,PUT,DELETE | method HEAD not allowed" },
        { "an unheard of method",     "FROB", "/v1/agent/self",              "405 Allow: OPTIONS,GET | method FROB not allowed" },
    }; // clang-format on
    struct request_pool pool;
    struct route_table table;

    (void)state;
    request_pool_init(&pool);
    route_table_init(&table, rows, MU_LEN(rows));
    table.block_endpoints = blocked;
    table.block_endpoints_count = MU_LEN(blocked);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        const char *text = walk(&pool, &table, cases[i].method, cases[i].target, 0);

        if (strcmp(text, cases[i].answer) != 0) {
            fail_msg("%s: %s %s gave '%s'", cases[i].why, cases[i].method, cases[i].target, text);
        }
    }
    table.disable_unprintable_filter = true;
    assert_string_equal(walk(&pool, &table, "GET", "/v1/kv/a%01", 0), "200 | /v1/kv/*key <a\x01>");
    request_pool_deinit(&pool);
}

static void bodies_that_are_too_big(void **state)
{
    struct request_pool pool;
    struct route_table table;

    (void)state;
    request_pool_init(&pool);
    route_table_init(&table, rows, MU_LEN(rows));
    assert_string_equal(walk(&pool, &table, "PUT", "/v1/kv/a", 101),
                        "413 | Request body(101 bytes) too large, max size: 100 bytes. See "
                        "https://www.consul.io/docs/agent/options.html#kv_max_value_size.");
    assert_string_equal(walk(&pool, &table, "PUT", "/v1/agent/service/register", 101),
                        "413 | Request body(101 bytes) too large, max size: 100 bytes.");
    assert_string_equal(walk(&pool, &table, "PUT", "/v1/kv/a", 100), "200 | /v1/kv/*key <a>");
    request_pool_deinit(&pool);
}

static int answered_free(void **state)
{
    (void)state;
    mu_buf_deinit(&answered);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_walk),
        cmocka_unit_test(bodies_that_are_too_big),
    };

    return cmocka_run_group_tests(tests, NULL, answered_free);
}
