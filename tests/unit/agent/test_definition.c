/* Definitions of services and checks: every spelling, every refusal, and that what is written reads
 * back equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/definition.h"
#include "base/assert.h"
#include "base/buf.h"

/* -- helpers ----------------------------------------------------------------------------------- */

struct fixture {
    struct mu_arena arena;
    struct mu_err err;
    struct service_definition service;
    struct check_definition check;
    enum mu_code code;
};

static struct mu_json *parse(const char *text)
{
    struct mu_json *root = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (mu_json_parse(&root, mu_span_text(text), true, &err) != MU_OK) {
        fail_msg("%s: %s", text, err.text);
    }
    return root;
}

static void read_service(struct fixture *f, const char *text)
{
    struct mu_json *root = parse(text);

    *f = (struct fixture){ .err = MU_ERR_NONE };
    mu_arena_init(&f->arena, 0);
    f->code = service_definition_read(root, &f->service, &f->arena, &f->err);
    mu_json_free(root); /* what was read must not point into the tree */
}

static void read_check(struct fixture *f, const char *text)
{
    struct mu_json *root = parse(text);

    *f = (struct fixture){ .err = MU_ERR_NONE };
    mu_arena_init(&f->arena, 0);
    f->code = check_definition_read(root, &f->check, &f->arena, &f->err);
    mu_json_free(root);
}

static const char *written_service(struct mu_buf *to, const struct service_definition *d)
{
    struct mu_json_out o;

    mu_buf_clear(to);
    mu_json_out_init(&o, to, false);
    service_definition_write(&o, d);
    mu_json_out_end(&o);
    return mu_buf_text(to);
}

static const char *written_check(struct mu_buf *to, const struct check_definition *d)
{
    struct mu_json_out o;

    mu_buf_clear(to);
    mu_json_out_init(&o, to, false);
    check_definition_write(&o, d);
    mu_json_out_end(&o);
    return mu_buf_text(to);
}

/* -- refusals ---------------------------------------------------------------------------------- */

struct refusal {
    const char *why, *text, *message;
    enum mu_code code;
};

static void expect_refusal(const struct refusal *row, const struct fixture *f)
{
    if (f->code != row->code || strcmp(f->err.text, row->message) != 0) {
        fail_msg("%s: '%s'\n  gave     %s '%s'\n  expected %s '%s'", row->why, row->text,
                 mu_code_text(f->code), f->err.text, mu_code_text(row->code), row->message);
    }
}

static void a_bad_service_is_refused_in_the_api_s_words(void **state)
{
    static const struct refusal rows[] = {
        // clang-format off
        { "no name",          "{}", "Missing service name", MU_INVALID },
        { "an empty name",    "{\"Name\":\"\",\"ID\":\"x\"}", "Missing service name", MU_INVALID },
        { "unknown member",   "{\"Name\":\"a\",\"Foo\":1}", "json: unknown field \"Foo\"", MU_INVALID },
        { "unknown member of a check", "{\"Name\":\"a\",\"Check\":{\"Script\":\"x\"}}", "json: unknown field \"Script\"", MU_INVALID },
        { "unknown member of weights", "{\"Name\":\"a\",\"Weights\":{\"x\":1}}", "json: unknown field \"x\"", MU_INVALID },
        { "wrong type",       "{\"Name\":\"a\",\"Port\":\"80\"}", "json: cannot unmarshal string into Go struct field .Port of type int", MU_INVALID },
        { "not an object",    "[]", "json: cannot unmarshal array into Go value of type struct", MU_INVALID },
        { "bad duration",     "{\"Name\":\"a\",\"Check\":{\"TTL\":\"nope\"}}", "time: invalid duration \"nope\"", MU_INVALID },
        { "any address",      "{\"Name\":\"a\",\"Address\":\"0.0.0.0\"}", "Invalid service address", MU_INVALID },
        { "any IPv6 address", "{\"Name\":\"a\",\"Address\":\"::\"}", "Invalid service address", MU_INVALID },
        { "in brackets",      "{\"Name\":\"a\",\"Address\":\"[::]\"}", "Invalid service address", MU_INVALID },
        { "no weight",        "{\"Name\":\"a\",\"Weights\":{\"Warning\":1}}", "Invalid Weights: Passing must be greater than 0", MU_INVALID },
        { "zero weight",      "{\"Name\":\"a\",\"Weights\":{\"Passing\":0,\"Warning\":1}}", "Invalid Weights: Passing must be greater than 0", MU_INVALID },
        { "negative warning", "{\"Name\":\"a\",\"Weights\":{\"Passing\":1,\"Warning\":-1}}", "Invalid Weights: Warning must be greater or equal than 0", MU_INVALID },
        { "weight too big",   "{\"Name\":\"a\",\"Weights\":{\"Passing\":65536,\"Warning\":1}}", "Invalid Weights: DNS Weight must be between 0 and 65535", MU_INVALID },
        { "bad meta key",     "{\"Name\":\"a\",\"Meta\":{\"a b\":\"c\"}}", "Invalid Service Meta: Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters", MU_INVALID },
        { "blank meta key",   "{\"Name\":\"a\",\"Meta\":{\"\":\"c\"}}", "Invalid Service Meta: Couldn't load metadata pair ('', 'c'): Key cannot be blank", MU_INVALID },
        { "reserved meta key", "{\"Name\":\"a\",\"Meta\":{\"consul-x\":\"c\"}}", "Invalid Service Meta: Couldn't load metadata pair ('consul-x', 'c'): Key prefix 'consul-' is reserved for internal use", MU_INVALID },
        { "wrong family",     "{\"Name\":\"a\",\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"::1\"}}}", "Service tagged address \"lan_ipv4\" must be a valid ipv4 address", MU_CONFLICT },
        { "wrong family, 6",  "{\"Name\":\"a\",\"TaggedAddresses\":{\"wan_ipv6\":{\"Address\":\"1.2.3.4\"}}}", "Service tagged address \"wan_ipv6\" must be a valid ipv6 address", MU_CONFLICT },
        { "port too big",     "{\"Name\":\"a\",\"Port\":70000}", "Service port 70000 is outside 0..65535", MU_INVALID },
        { "check without a kind", "{\"Name\":\"a\",\"Check\":{\"Name\":\"x\"}}", "Invalid check: TTL must be > 0 for TTL checks", MU_INVALID },
        { "check without interval", "{\"Name\":\"a\",\"Checks\":[{\"HTTP\":\"http://x\"}]}", "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks", MU_INVALID },
        { "check status",     "{\"Name\":\"a\",\"Check\":{\"TTL\":\"1s\",\"Status\":\"foo\"}}", "Status for checks must 'passing', 'warning', 'critical'", MU_INVALID },
        { "proxy without anything", "{\"Name\":\"a\",\"Kind\":\"connect-proxy\"}", "2 errors occurred:\n\t* Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\t* Port must be set for a Connect proxy\n\n", MU_INVALID },
        { "proxy without port", "{\"Name\":\"a\",\"Kind\":\"connect-proxy\",\"Proxy\":{\"destination_service_name\":\"b\"}}", "1 error occurred:\n\t* Port must be set for a Connect proxy\n\n", MU_INVALID },
        { "sidecar",          "{\"Name\":\"a\",\"Connect\":{\"SidecarService\":{}}}", "Connect.SidecarService is not supported yet", MU_INVALID },
        { "connect's type",   "{\"Name\":\"a\",\"Connect\":1}", "json: cannot unmarshal number into Go struct field .Connect of type struct", MU_INVALID },
        { "namespace",        "{\"Name\":\"a\",\"Namespace\":\"x\"}", "Invalid field: \"Namespace\" - Namespaces are a Consul Enterprise feature", MU_INVALID },
        { "partition",        "{\"Name\":\"a\",\"Partition\":\"x\"}", "Invalid field: \"Partition\" - Partitions are a Consul Enterprise feature", MU_INVALID },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct fixture f;

        read_service(&f, rows[i].text);
        expect_refusal(&rows[i], &f);
        mu_arena_deinit(&f.arena);
    }
}

static void a_bad_check_is_refused_in_the_api_s_words(void **state)
{
    static const struct refusal rows[] = {
        // clang-format off
        { "no name",             "{\"TTL\":\"1s\"}", "Missing check name", MU_INVALID },
        { "bad status",          "{\"Name\":\"a\",\"TTL\":\"1s\",\"Status\":\"foo\"}", "Bad check status", MU_INVALID },
        { "no kind",             "{\"Name\":\"a\"}", "Invalid check: TTL must be > 0 for TTL checks", MU_INVALID },
        { "negative TTL",        "{\"Name\":\"a\",\"TTL\":-1}", "Invalid check: TTL must be > 0 for TTL checks", MU_INVALID },
        { "interval and TTL",    "{\"Name\":\"a\",\"TTL\":\"1s\",\"Interval\":\"1s\"}", "Invalid check: Interval and TTL cannot both be specified", MU_INVALID },
        { "HTTP, no interval",   "{\"Name\":\"a\",\"HTTP\":\"http://x\"}", "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks", MU_INVALID },
        { "TCP, no interval",    "{\"Name\":\"a\",\"TCP\":\"x:1\"}", "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks", MU_INVALID },
        { "script, no interval", "{\"Name\":\"a\",\"args\":[\"true\"]}", "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks", MU_INVALID },
        { "gRPC, no interval",   "{\"Name\":\"a\",\"GRPC\":\"x:1\"}", "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks", MU_INVALID },
        { "alias and HTTP",      "{\"Name\":\"a\",\"AliasService\":\"b\",\"HTTP\":\"http://x\",\"Interval\":\"1s\"}", "Invalid check: Interval cannot be set for Alias checks", MU_INVALID },
        { "alias and TTL",       "{\"Name\":\"a\",\"AliasNode\":\"b\",\"TTL\":\"1s\"}", "Invalid check: TTL must be not be set for Alias checks", MU_INVALID },
        { "negative output",     "{\"Name\":\"a\",\"TTL\":\"1s\",\"OutputMaxSize\":-1}", "Invalid check: MaxOutputMaxSize must be positive", MU_INVALID },
        { "thresholds crossed",  "{\"Name\":\"a\",\"TTL\":\"1s\",\"FailuresBeforeWarning\":3,\"FailuresBeforeCritical\":2}", "Invalid check: FailuresBeforeWarning can't be higher than FailuresBeforeCritical", MU_INVALID },
        { "the removed Script",  "{\"Name\":\"a\",\"Script\":\"true\"}", "json: unknown field \"Script\"", MU_INVALID },
        { "UDP",                 "{\"Name\":\"a\",\"UDP\":\"x:1\",\"Interval\":\"1s\"}", "Invalid check: UDP checks are not supported yet", MU_INVALID },
        { "HTTP/2 ping",         "{\"Name\":\"a\",\"H2PING\":\"x:1\",\"Interval\":\"1s\"}", "Invalid check: H2PING checks are not supported yet", MU_INVALID },
        { "OS service",          "{\"Name\":\"a\",\"OSService\":\"x\",\"Interval\":\"1s\"}", "Invalid check: OSService checks are not supported yet", MU_INVALID },
        { "TCP with TLS",        "{\"Name\":\"a\",\"TCP\":\"x:1\",\"TCPUseTLS\":true,\"Interval\":\"1s\"}", "Invalid check: TCPUseTLS is not supported yet", MU_INVALID },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct fixture f;

        read_check(&f, rows[i].text);
        expect_refusal(&rows[i], &f);
        mu_arena_deinit(&f.arena);
    }
}

static void names_and_metadata_have_bounds(void **state)
{
    static const struct {
        const char *why, *before;
        size_t bytes;
        const char *after, *tail;
    } rows[] = {
        // clang-format off
        { "name",       "{\"Name\":\"",                 255, "\"}", "" },
        { "name",       "{\"Name\":\"",                 256, "\"}", "Service name is too long (limit: 255 characters)" },
        { "id",         "{\"Name\":\"a\",\"ID\":\"",    256, "\"}", "Service ID is too long (limit: 255 characters)" },
        { "tag",        "{\"Name\":\"a\",\"Tags\":[\"", 256, "\"]}", "Service tag is too long (limit: 255 characters)" },
        { "meta key",   "{\"Name\":\"a\",\"Meta\":{\"", 128, "\":\"v\"}}", "" },
        { "meta key",   "{\"Name\":\"a\",\"Meta\":{\"", 129, "\":\"v\"}}", "Key is too long (limit: 128 characters)" },
        { "meta value", "{\"Name\":\"a\",\"Meta\":{\"k\":\"", 512, "\"}}", "" },
        { "meta value", "{\"Name\":\"a\",\"Meta\":{\"k\":\"", 513, "\"}}", "Value is too long (limit: 512 characters)" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_buf text = MU_BUF_NONE;
        struct fixture f;

        mu_buf_add_text(&text, rows[i].before);
        for (size_t n = 0; n < rows[i].bytes; n++) {
            mu_buf_add_byte(&text, 'x');
        }
        mu_buf_add_text(&text, rows[i].after);
        read_service(&f, mu_buf_text(&text));
        if ((f.code == MU_OK) != (rows[i].tail[0] == '\0') ||
            strstr(f.err.text, rows[i].tail) == NULL) {
            fail_msg("%s of %zu bytes gave '%s'", rows[i].why, rows[i].bytes, f.err.text);
        }
        mu_arena_deinit(&f.arena);
        mu_buf_deinit(&text);
    }
}

static void at_most_64_pairs_of_metadata(void **state)
{
    (void)state;
    for (unsigned count = 64; count <= 65; count++) {
        struct mu_buf text = MU_BUF_NONE;
        struct fixture f;

        mu_buf_add_text(&text, "{\"Name\":\"a\",\"Meta\":{");
        for (unsigned i = 0; i < count; i++) {
            mu_buf_addf(&text, "%s\"k%u\":\"v\"", i > 0 ? "," : "", i);
        }
        mu_buf_add_text(&text, "}}");
        read_service(&f, mu_buf_text(&text));
        assert_string_equal(f.err.text, count == 64
                                            ? ""
                                            : "Invalid Service Meta: Node metadata cannot contain "
                                              "more than 64 key/value pairs");
        mu_arena_deinit(&f.arena);
        mu_buf_deinit(&text);
    }
}

/* -- what is accepted -------------------------------------------------------------------------- */

/* Each row: what somebody sends, and what we write down for it. That it reads back equal is
 * checked by writing it twice. */
static void services_are_understood_and_written(void **state)
{
    static const struct {
        const char *why, *text, *written;
    } rows[] = {
        // clang-format off
        { "ID defaults to the name", "{\"Name\":\"web\"}", "{\"ID\":\"web\",\"Name\":\"web\"}" },
        { "names fold", "{\"name\":\"web\",\"ENABLETAGOVERRIDE\":true}", "{\"ID\":\"web\",\"Name\":\"web\",\"EnableTagOverride\":true}" },
        { "snake case", "{\"name\":\"web\",\"enable_tag_override\":true}", "{\"ID\":\"web\",\"Name\":\"web\",\"EnableTagOverride\":true}" },
        { "null is absent", "{\"Name\":\"web\",\"Tags\":null,\"Check\":null,\"Checks\":null,\"Connect\":null,\"Weights\":null}", "{\"ID\":\"web\",\"Name\":\"web\"}" },
        { "empty checks are dropped", "{\"Name\":\"web\",\"Check\":{},\"Checks\":[null,{}]}", "{\"ID\":\"web\",\"Name\":\"web\"}" },
        { "Check comes before Checks", "{\"Name\":\"web\",\"Checks\":[{\"TTL\":\"2s\"}],\"Check\":{\"TTL\":\"1s\"}}", "{\"ID\":\"web\",\"Name\":\"web\",\"Checks\":[{\"ID\":\"service:web:1\",\"Name\":\"Service 'web' check\",\"TTL\":\"1s\"},{\"ID\":\"service:web:2\",\"Name\":\"Service 'web' check\",\"TTL\":\"2s\"}]}" },
        { "one check has no number, and its own name stays", "{\"Name\":\"web\",\"ID\":\"w\",\"Check\":{\"Name\":\"n\",\"TTL\":\"1s\"}}", "{\"ID\":\"w\",\"Name\":\"web\",\"Checks\":[{\"ID\":\"service:w\",\"Name\":\"n\",\"TTL\":\"1s\"}]}" },
        { "an own id counts all the same", "{\"Name\":\"web\",\"Checks\":[{\"CheckID\":\"c\",\"TTL\":\"1s\"},{\"TTL\":\"2s\"}]}", "{\"ID\":\"web\",\"Name\":\"web\",\"Checks\":[{\"ID\":\"c\",\"Name\":\"Service 'web' check\",\"TTL\":\"1s\"},{\"ID\":\"service:web:2\",\"Name\":\"Service 'web' check\",\"TTL\":\"2s\"}]}" },
        { "tags keep their order", "{\"Name\":\"web\",\"Tags\":[\"b\",\"a\",\"b\"]}", "{\"ID\":\"web\",\"Name\":\"web\",\"Tags\":[\"b\",\"a\",\"b\"]}" },
        { "metadata is sorted", "{\"Name\":\"web\",\"Meta\":{\"b\":\"1\",\"a\":\"2\"}}", "{\"Meta\":{\"a\":\"2\",\"b\":\"1\"},\"ID\":\"web\",\"Name\":\"web\"}" },
        { "empty metadata differs from none", "{\"Name\":\"web\",\"Meta\":{}}", "{\"ID\":\"web\",\"Name\":\"web\",\"Meta\":{}}" },
        { "an IPv4 address is tagged", "{\"Name\":\"web\",\"Address\":\"1.2.3.4\",\"Port\":80}", "{\"ID\":\"web\",\"Name\":\"web\",\"Address\":\"1.2.3.4\",\"Port\":80,\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"1.2.3.4\",\"Port\":80},\"wan_ipv4\":{\"Address\":\"1.2.3.4\",\"Port\":80}}}" },
        { "an IPv6 address likewise", "{\"Name\":\"web\",\"Address\":\"::1\"}", "{\"ID\":\"web\",\"Name\":\"web\",\"Address\":\"::1\",\"TaggedAddresses\":{\"lan_ipv6\":{\"Address\":\"::1\",\"Port\":0},\"wan_ipv6\":{\"Address\":\"::1\",\"Port\":0}}}" },
        { "a given one stays", "{\"Name\":\"web\",\"Address\":\"1.2.3.4\",\"tagged_addresses\":{\"wan_ipv4\":{\"address\":\"9.9.9.9\",\"port\":1}}}", "{\"ID\":\"web\",\"Name\":\"web\",\"Address\":\"1.2.3.4\",\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"1.2.3.4\",\"Port\":0},\"wan_ipv4\":{\"Address\":\"9.9.9.9\",\"Port\":1}}}" },
        { "a name is no literal", "{\"Name\":\"web\",\"Address\":\"host\"}", "{\"ID\":\"web\",\"Name\":\"web\",\"Address\":\"host\"}" },
        { "weights", "{\"Name\":\"web\",\"Weights\":{\"Passing\":10}}", "{\"ID\":\"web\",\"Name\":\"web\",\"Weights\":{\"Passing\":10,\"Warning\":0}}" },
        { "Connect and Proxy stay as they are", "{\"Name\":\"web\",\"Connect\":{\"Native\":true},\"Proxy\":{\"Z\":[1,{\"a\":null}],\"A\":\"x\"}}", "{\"ID\":\"web\",\"Name\":\"web\",\"Proxy\":{\"Z\":[1,{\"a\":null}],\"A\":\"x\"},\"Connect\":{\"Native\":true}}" },
        { "empty Connect is none", "{\"Name\":\"web\",\"Connect\":{},\"Proxy\":{}}", "{\"ID\":\"web\",\"Name\":\"web\"}" },
        { "newer members", "{\"Name\":\"web\",\"Namespace\":\"default\",\"Partition\":\"\",\"SocketPath\":\"/x\",\"Locality\":{\"Region\":\"r\"}}", "{\"ID\":\"web\",\"Name\":\"web\",\"Namespace\":\"default\"}" },
        { "a proxy", "{\"Name\":\"p\",\"Kind\":\"connect-proxy\",\"Port\":1,\"Proxy\":{\"DestinationServiceName\":\"web\"}}", "{\"ID\":\"p\",\"Name\":\"p\",\"Kind\":\"connect-proxy\",\"Port\":1,\"Proxy\":{\"DestinationServiceName\":\"web\"}}" },
        { "the token", "{\"Name\":\"web\",\"Token\":\"t\"}", "{\"ID\":\"web\",\"Name\":\"web\",\"Token\":\"t\"}" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_buf once = MU_BUF_NONE, twice = MU_BUF_NONE;
        struct fixture f, again;

        read_service(&f, rows[i].text);
        if (f.code != MU_OK) {
            fail_msg("%s: %s", rows[i].why, f.err.text);
        }
        if (strcmp(written_service(&once, &f.service), rows[i].written) != 0) {
            fail_msg("%s:\n  gave     %s\n  expected %s", rows[i].why, mu_buf_text(&once),
                     rows[i].written);
        }
        read_service(&again, rows[i].written);
        assert_string_equal(written_service(&twice, &again.service), rows[i].written);
        mu_arena_deinit(&f.arena);
        mu_arena_deinit(&again.arena);
        mu_buf_deinit(&once);
        mu_buf_deinit(&twice);
    }
}

static void checks_are_understood_and_written(void **state)
{
    static const struct {
        const char *why, *text, *written;
    } rows[] = {
        // clang-format off
        { "CheckID beats ID", "{\"ID\":\"c\",\"Name\":\"c\",\"ID\":\"a\",\"CheckID\":\"b\",\"TTL\":\"1s\"}", "{\"ID\":\"b\",\"Name\":\"c\",\"TTL\":\"1s\"}" },
        { "ID alone", "{\"ID\":\"c\",\"Name\":\"c\",\"ID\":\"a\",\"TTL\":\"1s\"}", "{\"ID\":\"a\",\"Name\":\"c\",\"TTL\":\"1s\"}" },
        { "numbers are nanoseconds", "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":1500000000}", "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"1.5s\"}" },
        { "Args", "{\"ID\":\"c\",\"Name\":\"c\",\"Args\":[\"true\"],\"Interval\":\"1m\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"Interval\":\"1m0s\",\"ScriptArgs\":[\"true\"]}" },
        { "args", "{\"ID\":\"c\",\"Name\":\"c\",\"args\":[\"true\"],\"Interval\":\"1m\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"Interval\":\"1m0s\",\"ScriptArgs\":[\"true\"]}" },
        { "ScriptArgs", "{\"ID\":\"c\",\"Name\":\"c\",\"ScriptArgs\":[\"true\"],\"Interval\":\"1m\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"Interval\":\"1m0s\",\"ScriptArgs\":[\"true\"]}" },
        { "script_args", "{\"ID\":\"c\",\"Name\":\"c\",\"script_args\":[\"true\"],\"Interval\":\"1m\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"Interval\":\"1m0s\",\"ScriptArgs\":[\"true\"]}" },
        { "squashed spellings", "{\"name\":\"c\",\"serviceid\":\"s\",\"scriptargs\":[\"x\"],\"dockercontainerid\":\"d\",\"tlsskipverify\":true,\"deregistercriticalserviceafter\":\"1m\",\"interval\":\"1s\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"ServiceID\":\"s\",\"Interval\":\"1s\",\"TLSSkipVerify\":true,\"ScriptArgs\":[\"x\"],\"DockerContainerID\":\"d\",\"DeregisterCriticalServiceAfter\":\"1m0s\"}" },
        { "snake case", "{\"name\":\"c\",\"service_id\":\"s\",\"alias_node\":\"n\",\"alias_service\":\"a\",\"success_before_passing\":1,\"failures_before_critical\":3,\"failures_before_warning\":2,\"output_max_size\":9}", "{\"ID\":\"c\",\"Name\":\"c\",\"ServiceID\":\"s\",\"AliasNode\":\"n\",\"AliasService\":\"a\",\"SuccessBeforePassing\":1,\"FailuresBeforeWarning\":2,\"FailuresBeforeCritical\":3,\"OutputMaxSize\":9}" },
        { "HTTP with everything", "{\"ID\":\"c\",\"Name\":\"c\",\"HTTP\":\"http://x\",\"Method\":\"POST\",\"Header\":{\"A\":[\"b\",\"c\"]},\"Body\":\"z\",\"Interval\":\"10s\",\"Timeout\":\"2s\",\"Notes\":\"n\",\"Status\":\"passing\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"Notes\":\"n\",\"Status\":\"passing\",\"Interval\":\"10s\",\"Timeout\":\"2s\",\"HTTP\":\"http://x\",\"Method\":\"POST\",\"Header\":{\"A\":[\"b\",\"c\"]},\"Body\":\"z\"}" },
        { "newer members", "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"1s\",\"TLSServerName\":\"t\",\"DisableRedirects\":true,\"H2PingUseTLS\":true,\"Namespace\":\"\",\"Partition\":\"default\",\"ExposedPort\":1}", "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"1s\",\"DisableRedirects\":true,\"TLSServerName\":\"t\",\"H2PingUseTLS\":true,\"Partition\":\"default\"}" },
        { "gRPC", "{\"ID\":\"c\",\"Name\":\"c\",\"GRPC\":\"x:1/s\",\"grpc_use_tls\":true,\"Interval\":\"1s\"}", "{\"ID\":\"c\",\"Name\":\"c\",\"Interval\":\"1s\",\"GRPC\":\"x:1/s\",\"GRPCUseTLS\":true}" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_buf once = MU_BUF_NONE, twice = MU_BUF_NONE;
        struct fixture f, again;

        read_check(&f, rows[i].text);
        if (f.code != MU_OK) {
            fail_msg("%s: %s", rows[i].why, f.err.text);
        }
        if (strcmp(written_check(&once, &f.check), rows[i].written) != 0) {
            fail_msg("%s:\n  gave     %s\n  expected %s", rows[i].why, mu_buf_text(&once),
                     rows[i].written);
        }
        read_check(&again, rows[i].written);
        assert_string_equal(written_check(&twice, &again.check), rows[i].written);
        mu_arena_deinit(&f.arena);
        mu_arena_deinit(&again.arena);
        mu_buf_deinit(&once);
        mu_buf_deinit(&twice);
    }
}

static void absent_weights_are_what_the_caller_says(void **state)
{
    struct mu_json *root = parse("{\"name\":\"web\",\"weights\":{\"passing\":5}}");
    struct service_definition d = { .weight_passing = 1, .weight_warning = 1 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(service_definition_decode(root, &d, &arena, &err), MU_OK);
    assert_int_equal(d.weight_passing, 5);
    assert_int_equal(d.weight_warning, 1); /* as files have it; a body leaves it at 0 */
    mu_arena_deinit(&arena);
    mu_json_free(root);
}

static const char whole_service[] =
    "{\"Meta\":{\"k\":\"v\"},\"ID\":\"i\",\"Name\":\"n\",\"Kind\":\"k\",\"Tags\":[\"t\",\"u\"],"
    "\"Address\":\"h\",\"Port\":1,\"EnableTagOverride\":true,\"Token\":\"o\",\"Weights\":{"
    "\"Passing\":2,\"Warning\":3},\"TaggedAddresses\":{\"x\":{\"Address\":\"y\",\"Port\":4}},"
    "\"Checks\":[{\"ID\":\"c\",\"HTTP\":\"http://x\",\"Header\":{\"A\":[\"b\"]},\"ScriptArgs\":["
    "\"s\"],\"Interval\":\"1s\"}],\"Proxy\":{\"P\":1},\"Connect\":{\"Native\":true}}";

static void a_copy_outlives_what_it_was_made_of(void **state)
{
    struct mu_buf before = MU_BUF_NONE, after = MU_BUF_NONE;
    struct service_definition copy;
    struct mu_arena arena;
    struct fixture f;

    (void)state;
    mu_arena_init(&arena, 0);
    read_service(&f, whole_service);
    assert_int_equal(f.code, MU_OK);
    (void)written_service(&before, &f.service);
    service_definition_copy(&copy, &f.service, &arena);
    mu_arena_deinit(&f.arena); /* the sanitizer sees whatever still points there */
    assert_string_equal(written_service(&after, &copy), mu_buf_text(&before));
    mu_arena_deinit(&arena);
    mu_buf_deinit(&before);
    mu_buf_deinit(&after);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes + 1 < sizeof whole_service; bytes++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_json *root = NULL;

        assert_int_equal(mu_json_parse(&root, mu_span_of(whole_service, bytes), true, &err),
                         MU_INVALID);
        assert_string_not_equal(err.text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_service_is_refused_in_the_api_s_words),
        cmocka_unit_test(a_bad_check_is_refused_in_the_api_s_words),
        cmocka_unit_test(names_and_metadata_have_bounds),
        cmocka_unit_test(at_most_64_pairs_of_metadata),
        cmocka_unit_test(services_are_understood_and_written),
        cmocka_unit_test(checks_are_understood_and_written),
        cmocka_unit_test(absent_weights_are_what_the_caller_says),
        cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
        cmocka_unit_test(every_truncation_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
