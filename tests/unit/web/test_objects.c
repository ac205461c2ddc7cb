#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "objects.h"

#define T(text) MU_SPAN_LIT(text)

/* The examples of http-api 2 are the expectation: order of members, null, [] and {}. */

static struct mu_pair tagged[] = { { T("lan"), T("127.0.0.1") }, { T("wan"), T("127.0.0.1") } };
static struct mu_pair meta[] = { { T("consul-network-segment"), T("") } };
static struct mu_span tags[] = { T("a"), T("b") };
static struct mu_pair service_meta[] = { { T("v"), T("1") } };
static struct catalog_tagged service_tagged[] = { { T("lan_ipv4"), T("10.0.0.5"), 80 } };

static struct catalog_node node = {
    .name = T("n1"),
    .id = T("87f5181f-dafa-e714-567c-fa22ef8f4bc3"),
    .address = T("127.0.0.1"),
    .tagged_addresses = { tagged, 2 },
    .meta = { meta, 1 },
    .has_tagged_addresses = true,
    .has_meta = true,
    .create_index = 11,
    .modify_index = 12,
};
static struct catalog_node bare_node = {
    .name = T("ext"), .address = T("10.0.0.9"), .create_index = 3, .modify_index = 3
};
static struct catalog_check check = {
    .node = T("n1"),
    .id = T("service:web1"),
    .name = T("Service 'web' check"),
    .status = T("critical"),
    .notes = T("n"),
    .service_id = T("web1"),
    .service_name = T("web"),
    .type = T("http"),
    .service_tags = { tags, 2 },
    .create_index = 14,
    .modify_index = 14,
};
static struct catalog_service service = {
    .id = T("web1"),
    .name = T("web"),
    .tags = { tags, 2 },
    .address = T("10.0.0.5"),
    .port = 80,
    .tagged_addresses = service_tagged,
    .tagged_addresses_count = 1,
    .meta = { service_meta, 1 },
    .has_meta = true,
    .weight_passing = 1,
    .weight_warning = 1,
    .create_index = 14,
    .modify_index = 14,
};
static struct catalog_service bare_service = {
    .id = T("c"), .name = T("consul"), .port = 8300, .weight_passing = 1, .weight_warning = 1
};

static void expect(struct mu_buf *text, const char *json)
{
    assert_string_equal(mu_buf_text(text), json);
    mu_buf_deinit(text);
}

#define NODE_JSON                                                                           \
    "{\"ID\":\"87f5181f-dafa-e714-567c-fa22ef8f4bc3\",\"Node\":\"n1\",\"Address\":"         \
    "\"127.0.0.1\",\"Datacenter\":\"dc1\",\"TaggedAddresses\":{\"lan\":\"127.0.0.1\","      \
    "\"wan\":\"127.0.0.1\"},\"Meta\":{\"consul-network-segment\":\"\"},\"CreateIndex\":11," \
    "\"ModifyIndex\":12}"
#define SERVICE_JSON                                                                           \
    "{\"ID\":\"web1\",\"Service\":\"web\",\"Tags\":[\"a\",\"b\"],\"Address\":\"10.0.0.5\","    \
    "\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"10.0.0.5\",\"Port\":80}},\"Meta\":"      \
    "{\"v\":\"1\"},\"Port\":80,\"Weights\":{\"Passing\":1,\"Warning\":1},"                     \
    "\"EnableTagOverride\":false,\"Proxy\":{\"MeshGateway\":{},\"Expose\":{}},\"Connect\":{}," \
    "\"CreateIndex\":14,\"ModifyIndex\":14}"
#define CHECK_JSON                                                                    \
    "{\"Node\":\"n1\",\"CheckID\":\"service:web1\",\"Name\":\"Service 'web' check\"," \
    "\"Status\":\"critical\",\"Notes\":\"n\",\"Output\":\"\",\"ServiceID\":\"web1\"," \
    "\"ServiceName\":\"web\",\"ServiceTags\":[\"a\",\"b\"],\"Type\":\"http\","        \
    "\"Definition\":{},\"CreateIndex\":14,\"ModifyIndex\":14}"

static void nodes(void **state)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, false);
    objects_node(&o, &node, "dc1");
    expect(&text, NODE_JSON);
    mu_json_out_init(&o, &text, false);
    objects_node(&o, &bare_node, "dc1");
    expect(&text, "{\"ID\":\"\",\"Node\":\"ext\",\"Address\":\"10.0.0.9\",\"Datacenter\":\"dc1\","
                  "\"TaggedAddresses\":null,\"Meta\":null,\"CreateIndex\":3,\"ModifyIndex\":3}");
}

static void service_nodes(void **state)
{
    struct catalog_instance full = { .node = &node, .service = service };
    struct catalog_instance bare = { .node = &bare_node, .service = bare_service };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, false);
    objects_service_node(&o, &full, "dc1");
    expect(
        &text,
        "{\"ID\":\"87f5181f-dafa-e714-567c-fa22ef8f4bc3\",\"Node\":\"n1\",\"Address\":"
        "\"127.0.0.1\",\"Datacenter\":\"dc1\",\"TaggedAddresses\":{\"lan\":\"127.0.0.1\","
        "\"wan\":\"127.0.0.1\"},\"NodeMeta\":{\"consul-network-segment\":\"\"},"
        "\"ServiceKind\":\"\",\"ServiceID\":\"web1\",\"ServiceName\":\"web\",\"ServiceTags\":"
        "[\"a\",\"b\"],\"ServiceAddress\":\"10.0.0.5\",\"ServiceTaggedAddresses\":{\"lan_ipv4\":"
        "{\"Address\":\"10.0.0.5\",\"Port\":80}},\"ServiceWeights\":{\"Passing\":1,\"Warning\":1}"
        ",\"ServiceMeta\":{\"v\":\"1\"},\"ServicePort\":80,\"ServiceEnableTagOverride\":false,"
        "\"ServiceProxy\":{\"MeshGateway\":{},\"Expose\":{}},\"ServiceConnect\":{},"
        "\"CreateIndex\":14,\"ModifyIndex\":14}");
    mu_json_out_init(&o, &text, false);
    objects_service_node(&o, &bare, "dc1");
    expect(
        &text,
        "{\"ID\":\"\",\"Node\":\"ext\",\"Address\":\"10.0.0.9\",\"Datacenter\":\"dc1\","
        "\"TaggedAddresses\":null,\"NodeMeta\":null,\"ServiceKind\":\"\",\"ServiceID\":\"c\","
        "\"ServiceName\":\"consul\",\"ServiceTags\":[],\"ServiceAddress\":\"\","
        "\"ServiceWeights\":{\"Passing\":1,\"Warning\":1},\"ServiceMeta\":{},\"ServicePort\":8300,"
        "\"ServiceEnableTagOverride\":false,\"ServiceProxy\":{\"MeshGateway\":{},\"Expose\":{}},"
        "\"ServiceConnect\":{},\"CreateIndex\":0,\"ModifyIndex\":0}");
}

static void node_services(void **state)
{
    struct catalog_service proxy = bare_service;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, false);
    objects_node_service(&o, &service);
    expect(&text, SERVICE_JSON);
    mu_json_out_init(&o, &text, false);
    objects_node_service(&o, &bare_service);
    expect(&text,
           "{\"ID\":\"c\",\"Service\":\"consul\",\"Tags\":[],\"Address\":\"\",\"Meta\":null,"
           "\"Port\":8300,\"Weights\":{\"Passing\":1,\"Warning\":1},\"EnableTagOverride\":false,"
           "\"Proxy\":{\"MeshGateway\":{},\"Expose\":{}},\"Connect\":{},\"CreateIndex\":0,"
           "\"ModifyIndex\":0}");
    proxy.kind = T("connect-proxy");
    proxy.proxy = T("{\"DestinationServiceName\":\"db\"}");
    proxy.connect = T("{\"Native\":true}");
    mu_json_out_init(&o, &text, false);
    objects_node_service(&o, &proxy);
    expect(&text,
           "{\"Kind\":\"connect-proxy\",\"ID\":\"c\",\"Service\":\"consul\",\"Tags\":[],"
           "\"Address\":\"\",\"Meta\":null,\"Port\":8300,\"Weights\":{\"Passing\":1,\"Warning\":1},"
           "\"EnableTagOverride\":false,\"Proxy\":{\"DestinationServiceName\":\"db\"},"
           "\"Connect\":{\"Native\":true},\"CreateIndex\":0,\"ModifyIndex\":0}");
}

static void checks_and_health_entries(void **state)
{
    struct catalog_check bare = { .node = T("n1"),
                                  .id = T("serfHealth"),
                                  .status = T("passing"),
                                  .definition = T("{\"TTL\":5}") };
    struct catalog_check both[] = { bare, check };
    struct catalog_instance entry = {
        .node = &node, .service = service, .checks = both, .checks_count = 2
    };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, false);
    objects_check(&o, &check);
    expect(&text, CHECK_JSON);
    mu_json_out_init(&o, &text, false);
    objects_health_entry(&o, &entry, "dc1");
    expect(&text,
           "{\"Node\":" NODE_JSON ",\"Service\":" SERVICE_JSON
           ",\"Checks\":[{\"Node\":\"n1\",\"CheckID\":\"serfHealth\",\"Name\":\"\",\"Status\":"
           "\"passing\",\"Notes\":\"\",\"Output\":\"\",\"ServiceID\":\"\",\"ServiceName\":\"\","
           "\"ServiceTags\":[],\"Type\":\"\",\"Definition\":{\"TTL\":5},\"CreateIndex\":0,"
           "\"ModifyIndex\":0}," CHECK_JSON "]}");
    entry.checks_count = 0;
    mu_json_out_init(&o, &text, false);
    objects_health_entry(&o, &entry, "dc1");
    expect(&text, "{\"Node\":" NODE_JSON ",\"Service\":" SERVICE_JSON ",\"Checks\":[]}");
}

static void key_values(void **state)
{
    struct catalog_kv kv = { .key = T("a/b"),
                             .value = T("hello"),
                             .flags = UINT64_MAX,
                             .create_index = 7,
                             .modify_index = 9 };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, false);
    objects_kv(&o, &kv);
    expect(&text, "{\"LockIndex\":0,\"Key\":\"a/b\",\"Flags\":18446744073709551615,\"Value\":"
                  "\"aGVsbG8=\",\"CreateIndex\":7,\"ModifyIndex\":9}");
    kv.value = MU_SPAN_NONE;
    kv.session = T("adf4238a-882b-9ddc-4a9d-5b6758e4159e");
    kv.lock_index = 1;
    mu_json_out_init(&o, &text, false);
    objects_kv(&o, &kv);
    expect(&text, "{\"LockIndex\":1,\"Key\":\"a/b\",\"Flags\":18446744073709551615,\"Value\":null,"
                  "\"Session\":\"adf4238a-882b-9ddc-4a9d-5b6758e4159e\",\"CreateIndex\":7,"
                  "\"ModifyIndex\":9}");
}

static void values_are_padded_base64(void **state)
{
    static const struct {
        const char *plain, *encoded; /* RFC 4648 section 10 */
    } cases[] = {
        // clang-format off
        { "", "\"\"" }, { "f", "\"Zg==\"" }, { "fo", "\"Zm8=\"" }, { "foo", "\"Zm9v\"" },
        { "foob", "\"Zm9vYg==\"" }, { "fooba", "\"Zm9vYmE=\"" }, { "foobar", "\"Zm9vYmFy\"" },
        { "\xff\xfe\xfb\xef", "\"//777w==\"" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf text = MU_BUF_NONE;
        struct mu_json_out o;

        mu_json_out_init(&o, &text, false);
        mu_json_put_base64(&o, mu_span_text(cases[i].plain));
        expect(&text, cases[i].encoded);
    }
}

static void the_agents_own(void **state)
{
    struct service_definition d = {
        .id = T("web1"), .name = T("web"), .port = 80, .weight_passing = 1, .weight_warning = 1
    };
    struct check_definition cd = { .name = T("mem"), .notes = T("n") };
    struct local_check c = {
        .definition = &cd, .id = "mem", .type = "ttl", .status = CHECK_WARNING, .output = T("low")
    };
    struct agent_member m = {
        .name = "n1", .tags = { meta, 1 }, .status = 4, .versions = { 1, 5, 2, 2, 5, 4 }
    };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, false);
    objects_agent_service(&o, &d, "dc1", "6b13684bfe179e67");
    expect(
        &text,
        "{\"ID\":\"web1\",\"Service\":\"web\",\"Tags\":[],\"Meta\":{},\"Port\":80,\"Address\":\"\","
        "\"Weights\":{\"Passing\":1,\"Warning\":1},\"EnableTagOverride\":false,\"ContentHash\":"
        "\"6b13684bfe179e67\",\"Datacenter\":\"dc1\"}");
    mu_json_out_init(&o, &text, false);
    objects_agent_check(&o, &c, "n1");
    expect(&text,
           "{\"Node\":\"n1\",\"CheckID\":\"mem\",\"Name\":\"mem\",\"Status\":\"warning\",\"Notes\":"
           "\"n\",\"Output\":\"low\",\"ServiceID\":\"\",\"ServiceName\":\"\",\"ServiceTags\":[],"
           "\"Type\":\"ttl\",\"Definition\":{},\"CreateIndex\":0,\"ModifyIndex\":0}");
    mu_json_out_init(&o, &text, false);
    objects_health_check(&o, &c, "n1");
    expect(
        &text,
        "{\"Node\":\"n1\",\"CheckID\":\"mem\",\"Name\":\"mem\",\"Status\":\"warning\",\"Notes\":"
        "\"n\",\"Output\":\"low\",\"ServiceID\":\"\",\"ServiceName\":\"\",\"ServiceTags\":null,"
        "\"Type\":\"\",\"Definition\":{\"Interval\":\"0s\",\"Timeout\":\"0s\","
        "\"DeregisterCriticalServiceAfter\":\"0s\",\"HTTP\":\"\",\"Header\":null,\"Method\":\"\","
        "\"Body\":\"\",\"TLSSkipVerify\":false,\"TCP\":\"\"},\"CreateIndex\":0,"
        "\"ModifyIndex\":0}");
    assert_true(mu_addr_parse_ip(T("127.0.0.1"), &m.addr));
    m.addr.port = 8301;
    mu_json_out_init(&o, &text, false);
    objects_member(&o, &m);
    expect(&text,
           "{\"Name\":\"n1\",\"Addr\":\"127.0.0.1\",\"Port\":8301,\"Tags\":"
           "{\"consul-network-segment\":\"\"},\"Status\":4,\"ProtocolMin\":1,\"ProtocolMax\":5,"
           "\"ProtocolCur\":2,\"DelegateMin\":2,\"DelegateMax\":5,\"DelegateCur\":4}");
}

static void pretty_is_four_blanks_and_a_newline(void **state)
{
    struct catalog_kv kv = { .key = T("a"), .value = T("b") };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, true);
    mu_json_open(&o, '[');
    objects_kv(&o, &kv);
    mu_json_close(&o, ']');
    mu_json_out_end(&o);
    expect(&text, "[\n    {\n        \"LockIndex\": 0,\n        \"Key\": \"a\",\n"
                  "        \"Flags\": 0,\n        \"Value\": \"Yg==\",\n"
                  "        \"CreateIndex\": 0,\n        \"ModifyIndex\": 0\n    }\n]\n");
}

static void stored_json_is_indented_with_the_rest(void **state)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    (void)state;
    mu_json_out_init(&o, &text, true);
    mu_json_open(&o, '{');
    mu_json_key(&o, "Proxy");
    mu_json_put_raw(&o, T("{\"a\":[1,{\"b\":\"x,{\\\"\"}],\"c\":{},\"d\":[]}"));
    mu_json_text(&o, "e", "f");
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    expect(&text, "{\n    \"Proxy\": {\n        \"a\": [\n            1,\n            {\n"
                  "                \"b\": \"x,{\\\"\"\n            }\n        ],\n"
                  "        \"c\": {},\n        \"d\": []\n    },\n    \"e\": \"f\"\n}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes),
        cmocka_unit_test(service_nodes),
        cmocka_unit_test(node_services),
        cmocka_unit_test(checks_and_health_entries),
        cmocka_unit_test(key_values),
        cmocka_unit_test(values_are_padded_base64),
        cmocka_unit_test(the_agents_own),
        cmocka_unit_test(pretty_is_four_blanks_and_a_newline),
        cmocka_unit_test(stored_json_is_indented_with_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
