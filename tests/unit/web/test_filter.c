#include "cm.h"

#include <string.h>

#include "agent/local.h"
#include "base/assert.h"
#include "catalog/query.h"
#include "filter.h"

#define T(text) MU_SPAN_LIT(text)

/* -- one instance with everything -------------------------------------------------------------- */

static struct mu_pair node_tagged[] = { { T("lan"), T("10.0.0.1") } };
static struct mu_pair node_meta[] = { { T("env"), T("production") }, { T("rack"), T("") } };
static struct mu_span tags[] = { T("v1"), T("primary") };
static struct mu_pair service_meta[] = { { T("version"), T("1.2.3") } };
static struct catalog_tagged service_tagged[] = { { T("wan"), T("192.0.2.7"), 8080 } };
static struct mu_span check_tags[] = { T("v1") };

static struct catalog_node node = {
    .name = T("n1"),
    .id = T("87f5181f-dafa-e714-567c-fa22ef8f4bc3"),
    .address = T("10.0.0.1"),
    .tagged_addresses = { node_tagged, 1 },
    .meta = { node_meta, 2 },
};
static struct catalog_check checks[] = {
    { .node = T("n1"), .id = T("serfHealth"), .status = T("passing"), .name = T("Serf Health") },
    { .node = T("n1"),
      .id = T("service:web1"),
      .status = T("critical"),
      .service_id = T("web1"),
      .service_name = T("web"),
      .service_tags = { check_tags, 1 },
      .type = T("http") },
};
static struct catalog_instance instance = {
    .node = &node,
    .service = { .id = T("web1"),
                 .name = T("web"),
                 .tags = { tags, 2 },
                 .address = T(""),
                 .port = 80,
                 .tagged_addresses = service_tagged,
                 .tagged_addresses_count = 1,
                 .meta = { service_meta, 1 },
                 .weight_passing = 1,
                 .weight_warning = 1,
                 .proxy = T("{\"DestinationServiceName\":\"db\",\"LocalServicePort\":5432,"
                            "\"MeshGateway\":{\"Mode\":\"local\"},\"Upstreams\":["
                            "{\"DestinationName\":\"a\",\"LocalBindPort\":1},"
                            "{\"DestinationName\":\"b\",\"LocalBindPort\":2}]}") },
    .checks = checks,
    .checks_count = 2,
};

struct filter_case {
    const char *why, *text;
    bool matches;
};

static void run_cases(const struct filter_kind *kind, const void *object,
                      const struct filter_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mu_arena arena;
        struct mu_err err = MU_ERR_NONE;
        struct filter *f = NULL;

        mu_arena_init(&arena, 0);
        if (filter_parse(&f, mu_span_text(cases[i].text), kind, "dc1", "here", &arena, &err) !=
            MU_OK) {
            fail_msg("%s: '%s': %s", cases[i].why, cases[i].text, err.text);
        }
        if (filter_matches(f, object) != cases[i].matches) {
            fail_msg("%s: '%s' is not %d", cases[i].why, cases[i].text, cases[i].matches);
        }
        mu_arena_deinit(&arena);
    }
}

static void every_rule_of_the_grammar(void **state)
{
    static const struct filter_case cases[] = {
        // clang-format off
        { "equal",                         "Node.Node == n1", true },
        { "not equal",                     "Node.Node != n1", false },
        { "no blanks are needed",          "Node.Node==\"n1\"", true },
        { "blanks around it all",          "  Node.Node  ==  n1  ", true },
        { "case counts",                   "Node.Node == N1", false },
        { "backquotes",                    "Node.Node == `n1`", true },
        { "escapes of Go",                 "Node.Node == \"\\x6e\\u0031\"", true },
        { "a dotted bare word",            "Service.Meta.version == a.b", false },
        { "a quoted dot",                  "Service.Meta.version == \"1.2.3\"", true },
        { "and",                           "Node.Node == n1 and Service.Port == 80", true },
        { "and fails",                     "Node.Node == n1 and Service.Port == 81", false },
        { "or",                            "Node.Node == x or Service.Port == 80", true },
        { "and binds tighter, left",       "Node.Node == n1 or Node.Node == n1 and Service.Port == 81", true },
        { "and binds tighter, right",      "Service.Port == 81 and Node.Node == n1 or Node.Node == n1", true },
        { "parentheses",                   "(Node.Node == n1 or Node.Node == n1) and Service.Port == 81", false },
        { "parentheses with blanks",       "( Node.Node == n1 )", true },
        { "nested parentheses",            "((Node.Node == n1))", true },
        { "not",                           "not Node.Node == n2", true },
        { "not not",                       "not not Node.Node == n1", true },
        { "not of a group",                "not (Node.Node == n1 and Service.Port == 80)", false },
        { "not binds tighter than and",    "not Node.Node == n2 and Service.Port == 80", true },
        { "contains",                      "Service.Tags contains primary", true },
        { "not contains",                  "Service.Tags not contains primary", false },
        { "in is contains swapped",        "primary in Service.Tags", true },
        { "a quoted value in",             "\"primary\" in Service.Tags", true },
        { "not in",                        "backup not in Service.Tags", true },
        { "part of a text",                "\"rod\" in Node.Meta.env", true },
        { "part of a text, not",           "\"dev\" not in Node.Meta.env", true },
        { "a tag is whole, not a part",    "prim in Service.Tags", false },
        { "is empty",                      "Checks is empty", false },
        { "is not empty",                  "Service.Tags is not empty", true },
        { "matches",                       "Node.Node matches \"^n[0-9]$\"", true },
        { "matches anywhere",              "Node.Meta.env matches \"duct\"", true },
        { "not matches",                   "Node.Node not matches \"^x\"", true },
        { "words that begin like operators", "Node.Node != notes and Node.Node != android", true },
        { "an index",                      "Node.TaggedAddresses[\"lan\"] == \"10.0.0.1\"", true },
        { "an index with blanks",          "Node.Meta[ \"env\" ] == production", true },
        { "a number ends at a parenthesis", "(Service.Port == 80)", true },
        { "line ends are blanks",          "Node.Node == n1\n\tand Service.Port == 80", true },
    }; // clang-format on

    (void)state;
    run_cases(&filter_health_entries, &instance, cases, MU_LEN(cases));
}

static void every_type_of_field(void **state)
{
    static const struct filter_case cases[] = {
        // clang-format off
        { "a list: any element",           "Checks.Status == critical", true },
        { "a list: any element differs",   "Checks.Status != critical", true },
        { "a list: none",                  "Checks.Status == warning", false },
        { "a list in a list",              "v1 in Checks.ServiceTags", true },
        { "numbers in bases",              "Service.Port == \"0x50\"", true },
        { "numbers in base eight",         "Service.Port == \"0o120\"", true },
        { "numbers in base two",           "Service.Port == \"0b1010000\"", true },
        { "a negative number",             "Service.Port != -80", true },
        { "a bool",                        "Service.EnableTagOverride == false", true },
        { "a bool, other words",           "Service.EnableTagOverride != T", true },
        { "weights",                       "Service.Weights.Passing == 1", true },
        { "a key is there",                "env in Node.Meta", true },
        { "a key is not there",            "zone in Node.Meta", false },
        { "keys: contains",                "Node.Meta contains rack", true },
        { "a map is not empty",            "Node.Meta is not empty", true },
        { "a missing key: equal",          "Node.Meta.zone == a", false },
        { "a missing key: not equal",      "Node.Meta.zone != a", true },
        { "a missing key: in",             "a in Node.Meta.zone", false },
        { "a missing key: not in",         "a not in Node.Meta.zone", true },
        { "a missing key: empty",          "Node.Meta.zone is empty", true },
        { "a missing key: not empty",      "Node.Meta.zone is not empty", false },
        { "a missing key: matches",        "Node.Meta.zone matches \".*\"", false },
        { "a missing key: not matches",    "Node.Meta.zone not matches \".*\"", true },
        { "an empty value is there",       "Node.Meta.rack == \"\"", true },
        { "a service's tagged address",    "Service.TaggedAddresses.wan.Address == \"192.0.2.7\"", true },
        { "and its port",                  "Service.TaggedAddresses[\"wan\"].Port == 8080", true },
        { "a tagged address that is not",  "Service.TaggedAddresses.lan.Port == 8080", false },
        { "differs, then",                 "Service.TaggedAddresses.lan.Port != 8080", true },
        { "names of tagged addresses",     "wan in Service.TaggedAddresses", true },
        { "the datacenter",                "Node.Datacenter == dc1", true },
        { "a proxy's member",              "Service.Proxy.DestinationServiceName == db", true },
        { "a proxy's number",              "Service.Proxy.LocalServicePort == 5432", true },
        { "a proxy's absent member",       "Service.Proxy.LocalServiceAddress == \"\"", true },
        { "deeper in a proxy",             "Service.Proxy.MeshGateway.Mode == local", true },
        { "any upstream",                  "Service.Proxy.Upstreams.LocalBindPort == 2", true },
        { "no upstream",                   "Service.Proxy.Upstreams.DestinationName == c", false },
        { "upstreams",                     "Service.Proxy.Upstreams is not empty", true },
        { "no proxy at all",               "Service.Connect.Native == false", true },
    }; // clang-format on

    (void)state;
    run_cases(&filter_health_entries, &instance, cases, MU_LEN(cases));
}

static void every_kind_of_object(void **state)
{
    static const struct filter_case of_node[] = {
        { "a node", "Node == n1 and Meta.env == production and Datacenter == dc1", true },
    };
    static const struct filter_case of_service_node[] = {
        // clang-format off
        { "the node's part",    "Node == n1 and NodeMeta.env == production and ID matches \"^87f5\"", true },
        { "the service's part", "ServiceName == web and ServicePort == 80 and v1 in ServiceTags", true },
        { "weights",            "ServiceWeights.Warning == 1 and ServiceMeta.version != 2", true },
        { "tagged",             "ServiceTaggedAddresses.wan.Port == 8080 and ServiceProxy.LocalServicePort == 5432", true },
    }; // clang-format on
    static const struct filter_case of_check[] = {
        { "a check", "ServiceName == web and Status == critical and Type == http", true },
    };
    struct check_definition check = { .name = T("mem"), .service_id = T("web1") };
    struct local_check local = { .definition = &check,
                                 .id = "mem",
                                 .type = "ttl",
                                 .status = CHECK_WARNING,
                                 .output = T("low") };
    static const struct filter_case of_local_check[] = {
        // clang-format off
        { "texts", "CheckID == mem and Name == mem and ServiceID == web1 and Type == ttl", true },
        { "status", "Status == warning and Output matches low and Node == here", true },
        { "no tags", "ServiceTags is empty", true },
    }; // clang-format on
    struct service_definition service = {
        .id = T("web1"), .name = T("web"), .port = 80, .weight_passing = 1
    };
    static const struct filter_case of_agent_service[] = {
        { "a service", "Service == web and Port == 80 and Weights.Passing == 1", true },
    };

    (void)state;
    run_cases(&filter_nodes, &node, of_node, 1);
    run_cases(&filter_service_nodes, &instance, of_service_node, MU_LEN(of_service_node));
    run_cases(&filter_checks, &checks[1], of_check, 1);
    run_cases(&filter_agent_checks, &local, of_local_check, MU_LEN(of_local_check));
    run_cases(&filter_agent_services, &service, of_agent_service, 1);
}

#define PREFIX "Failed to create boolean expression evaluator: "

static void every_error(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        // clang-format off
        { "Foo == 1",                         PREFIX "Selector \"Foo\" is not valid" },
        { "Service.Foo.Bar == 1",             PREFIX "Selector \"Service.Foo\" is not valid" },
        { "Node.Node.x == 1",                 PREFIX "Selector \"Node.Node.x\" is not valid" },
        { "Node.CreateIndex == 1",            PREFIX "Selector \"Node.CreateIndex\" is not valid" },
        { "node.Node == 1",                   PREFIX "Selector \"node\" is not valid" },
        { "Service.Port is empty",            PREFIX "Invalid match operator \"Is Empty\" for selector \"Service.Port\"" },
        { "Service.Port contains 1",          PREFIX "Invalid match operator \"In\" for selector \"Service.Port\"" },
        { "Service.Tags == a",                PREFIX "Invalid match operator \"Equal\" for selector \"Service.Tags\"" },
        { "Service.Tags matches a",           PREFIX "Invalid match operator \"Matches\" for selector \"Service.Tags\"" },
        { "Node.Node is not empty",           PREFIX "Invalid match operator \"Is Not Empty\" for selector \"Node.Node\"" },
        { "Service.Weights == 1",             PREFIX "Invalid match operator \"Equal\" for selector \"Service.Weights\"" },
        { "Service.Port == abc",              PREFIX "Failed to coerce value \"abc\" for selector \"Service.Port\": strconv.ParseInt: parsing \"abc\": invalid syntax" },
        { "Service.EnableTagOverride == si",  PREFIX "Failed to coerce value \"si\" for selector \"Service.EnableTagOverride\": strconv.ParseBool: parsing \"si\": invalid syntax" },
        { "Node.Node matches \"(\"",          PREFIX "Failed to compile regular expression \"(\": error parsing regexp: missing closing ): `(`" },
        { "Node.Node = n1",                   PREFIX "1:11 (10): no match found, expected: \"==\"" },
        { "",                                 PREFIX "1:1 (0): no match found, expected: \"not\"" },
        { "(Node.Node == n1",                 PREFIX "1:17 (16): no match found, expected: \".\"" },
        { "Node.Node == n1 n2",               PREFIX "1:17 (16): no match found, expected: \"and\"" },
        { "Node.Node == \"n1",                PREFIX "1:17 (16): no match found, expected: \"\"\"" },
        { "Node.Node == \"\\q\"",             PREFIX "1:16 (15): no match found, expected: \"escape sequence\"" },
        { "Node.Node == 01",                  PREFIX "1:15 (14): no match found, expected: \"[ \\t\\r\\n]\"" },
        { "a.b.c.d.e.f.g.h.i == 1",           PREFIX "1:18 (17): no match found, expected: \"end of selector\"" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;
        struct mu_err err = MU_ERR_NONE;
        struct filter *f = NULL;

        mu_arena_init(&arena, 0);
        enum mu_code rc = filter_parse(&f, mu_span_text(cases[i].text), &filter_health_entries,
                                       "dc1", "here", &arena, &err);

        if (rc != MU_INVALID || strcmp(err.text, cases[i].error) != 0) {
            fail_msg("'%s' gave '%s'", cases[i].text, err.text);
        }
        mu_arena_deinit(&arena);
    }
}

static void deep_and_long_expressions_are_refused(void **state)
{
    struct mu_arena arena;
    struct mu_err err = MU_ERR_NONE;
    struct filter *f = NULL;
    static char text[9000];

    (void)state;
    mu_arena_init(&arena, 0);
    memset(text, '(', 200);
    assert_int_equal(filter_parse(&f, mu_span_of(text, 200), &filter_nodes, "", "", &arena, &err),
                     MU_INVALID);
    memset(text, 'a', sizeof text);
    assert_int_equal(
        filter_parse(&f, mu_span_of(text, sizeof text), &filter_nodes, "", "", &arena, &err),
        MU_INVALID);
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_of_the_grammar),
        cmocka_unit_test(every_type_of_field),
        cmocka_unit_test(every_kind_of_object),
        cmocka_unit_test(every_error),
        cmocka_unit_test(deep_and_long_expressions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
