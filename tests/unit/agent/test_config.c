/* Configuration: every refusal in its words, how sources merge, and that every key the
 * specification lists has a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/config.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "config_table.h"
#include "scratch.h"

/* -- helpers ----------------------------------------------------------------------------------- */

#define ARGS_MAX 16

struct loaded {
    struct config *c;
    enum mu_code code;
    bool wants_help;
    struct mu_err err;
};

static void load(struct loaded *l, const char *const *args)
{
    int count = 0;

    while (count < ARGS_MAX && args[count] != NULL) {
        count++;
    }
    *l = (struct loaded){ .err = MU_ERR_NONE };
    l->code = config_load(&l->c, count, args, &l->wants_help, &l->err);
    assert_true((l->c != NULL) == (l->code == MU_OK && !l->wants_help));
}

#define LOAD(l, ...) load(l, (const char *const[ARGS_MAX]){ __VA_ARGS__, NULL })

static void load_ok(struct loaded *l, const char *const *args)
{
    load(l, args);
    if (l->code != MU_OK) {
        fail_msg("%s", l->err.text);
    }
}

#define LOAD_OK(l, ...) load_ok(l, (const char *const[ARGS_MAX]){ __VA_ARGS__, NULL })

static const char *dir(void) /* of this run, made once */
{
    static const char *path;

    if (path == NULL) {
        path = scratch_dir();
    }
    return path;
}

/* A file in that directory; the path is good until the next call but three. */
static const char *file(const char *name, const char *text)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    FILE *f;

    (void)snprintf(path, sizeof paths[0], "%s/%s", dir(), name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

static bool warns(const struct config *c, const char *text)
{
    for (size_t i = 0; i < c->warnings_count; i++) {
        if (strcmp(c->warnings[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static const char *ip(const struct mu_addr *a)
{
    static char text[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(a, text);
    return text;
}

/* -- refusals ---------------------------------------------------------------------------------- */

static void a_broken_rule_ends_the_start(void **state)
{
    static const struct {
        const char *why, *args[ARGS_MAX], *message;
    } rows[] = {
        // clang-format off
        { "no data directory",    { "-server" }, "data_dir cannot be empty" },
        { "an empty one",         { "-data-dir", "" }, "data_dir cannot be empty" },
        { "one that is a file",   { "-data-dir", "/dev/null" }, "data_dir \"/dev/null\" is not a directory" },
        { "one below a file",     { "-data-dir", "/dev/null/x" }, "Error getting info on data_dir: /dev/null/x: Not a directory" },
        { "empty node name",      { "-data-dir", "d", "-node=" }, "node_name cannot be empty" },
        { "node id",              { "-data-dir", "d", "-node-id=x" }, "node_id \"x\" is not a UUID" },
        { "empty datacenter",     { "-data-dir", "d", "-datacenter=" }, "datacenter cannot be empty" },
        { "bad datacenter",       { "-data-dir", "d", "-datacenter=a b" }, "datacenter can only contain lowercase alphanumeric, - or _ characters." },
        { "bootstrap, client",    { "-data-dir", "d", "-bootstrap" }, "'bootstrap = true' requires 'server = true'" },
        { "expect, client",       { "-data-dir", "d", "-bootstrap-expect=3" }, "'bootstrap_expect > 0' requires 'server = true'" },
        { "expect and bootstrap", { "-data-dir", "d", "-server", "-bootstrap", "-bootstrap-expect=3" }, "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive" },
        { "expect in dev mode",   { "-dev", "-bootstrap-expect=3" }, "'bootstrap_expect > 0' not allowed in dev mode" },
        { "negative expect",      { "-data-dir", "d", "-server", "-bootstrap-expect=-1" }, "bootstrap_expect cannot be -1. Must be greater than or equal to zero" },
        { "empty bind",           { "-data-dir", "d", "-bind=" }, "bind_addr cannot be empty" },
        { "two binds",            { "-data-dir", "d", "-bind=127.0.0.1 127.0.0.2" }, "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead." },
        { "bind to a socket",     { "-data-dir", "d", "-bind=unix:///x" }, "bind_addr cannot be a unix socket" },
        { "bind to a name",       { "-data-dir", "d", "-bind=localhost" }, "bind_addr must be an ip address, not \"localhost\"" },
        { "advertise anything",   { "-data-dir", "d", "-advertise=0.0.0.0" }, "Advertise address cannot be 0.0.0.0, :: or [::]" },
        { "advertise anything, 6", { "-data-dir", "d", "-advertise-wan=[::]" }, "Advertise address cannot be 0.0.0.0, :: or [::]" },
        { "advertise the wrong family", { "-data-dir", "d", "-hcl", "advertise_addr_ipv4 = \"::1\"" }, "advertise_addr_ipv4 must be an ipv4 address" },
        { "DNS on a socket",      { "-data-dir", "d", "-hcl", "addresses { dns = \"unix:///x\" }" }, "DNS address cannot be a unix socket" },
        { "clients on a socket",  { "-data-dir", "d", "-client=unix:///x" }, "client_addr cannot be a unix socket" },
        { "a relative socket",    { "-data-dir", "d", "-hcl", "addresses { http = \"unix://x\" }" }, "addresses.http: unix://x needs an absolute path" },
        { "raft multiplier",      { "-data-dir", "d", "-hcl", "performance { raft_multiplier = 20 }" }, "performance.raft_multiplier cannot be 20. Must be between 1 and 10" },
        { "node metadata",        { "-data-dir", "d", "-node-meta=a b:c" }, "node_meta invalid: Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters" },
        { "metadata without key", { "-data-dir", "d", "-node-meta=:c" }, "error parsing flags: invalid value \":c\" for flag -node-meta: must be key:value" },
        { "trailing logs",        { "-data-dir", "d", "-hcl", "autopilot { max_trailing_logs = -1 }" }, "autopilot.max_trailing_logs cannot be -1. Must be greater than or equal to zero" },
        { "output size",          { "-data-dir", "d", "-hcl", "check_output_max_size = 0" }, "check_output_max_size must be positive, to discard check output use the discard_check_output flag" },
        { "duration",             { "-data-dir", "d", "-hcl", "check_update_interval = \"x\"" }, "check_update_interval: invalid duration: \"x\": time: invalid duration \"x\"" },
        { "duration of a flag",   { "-data-dir", "d", "-retry-interval=5" }, "retry_interval: invalid duration: \"5\": time: missing unit in duration \"5\"" },
        { "negative duration",    { "-data-dir", "d", "-hcl", "performance { leave_drain_time = \"-1s\" }" }, "performance.leave_drain_time cannot be -1s. Must be greater than or equal to zero" },
        { "port",                 { "-data-dir", "d", "-dns-port=70000" }, "ports.dns: invalid port: 70000" },
        { "port in a file",       { "-data-dir", "d", "-hcl", "ports { http = 65536 }" }, "ports.http: invalid port: 65536" },
        { "two doors at one address", { "-data-dir", "d", "-http-port=8600" }, "HTTP address 127.0.0.1:8600 already configured for DNS" },
        { "one of them everywhere", { "-data-dir", "d", "-serf-lan-port=8500" }, "Serf LAN address 0.0.0.0:8500 already configured for HTTP" },
        { "RPC and gossip",       { "-data-dir", "d", "-server", "-server-port=8301" }, "RPC address 0.0.0.0:8301 already configured for Serf LAN" },
        { "the same address twice", { "-data-dir", "d", "-client=127.0.0.1 127.0.0.1" }, "DNS address 127.0.0.1:8600 already configured for DNS" },
        { "etcd asked for",       { "-data-dir", "d", "-hcl", "ports { etcd = 8500 }" }, "etcd address 127.0.0.1:8500 already configured for HTTP" },
        { "no gossip",            { "-data-dir", "d", "-serf-lan-port=-1" }, "ports.serf_lan cannot be off: agents meet through it" },
        { "no RPC on a server",   { "-data-dir", "d", "-server", "-server-port=-1" }, "ports.server cannot be off on a server" },
        { "log level",            { "-data-dir", "d", "-log-level=loud" }, "Invalid log level: loud. Valid log levels are: [TRACE DEBUG INFO WARN ERR]" },
        { "domain",               { "-data-dir", "d", "-domain=a..b" }, "domain: \"a..b\" is not a domain name" },
        { "alternative domain",   { "-data-dir", "d", "-alt-domain=a b" }, "alt_domain: \"a b\" is not a domain name" },
        { "service TTL",          { "-data-dir", "d", "-hcl", "dns_config { service_ttl { web = \"x\" } }" }, "dns_config.service_ttl: invalid duration: \"x\": time: invalid duration \"x\"" },
        { "negative answers",     { "-data-dir", "d", "-hcl", "dns_config { a_record_limit = -1 }" }, "dns_config.a_record_limit cannot be -1. Must be greater than or equal to zero" },
        { "value size",           { "-data-dir", "d", "-hcl", "limits { kv_max_value_size = 1572865 }" }, "limits.kv_max_value_size cannot be 1572865. Must be between 1 and 1572864" },
        { "probe timeout",        { "-data-dir", "d", "-hcl", "gossip_lan { probe_timeout = \"2s\" }" }, "gossip_lan.probe_timeout must be shorter than gossip_lan.probe_interval" },
        { "cloud join",           { "-data-dir", "d", "-retry-join=provider=aws tag=x" }, "retry_join: cloud auto-join is not supported: \"provider=aws tag=x\"" },
        { "empty join",           { "-data-dir", "d", "-join=" }, "retry_join: an address is empty" },
        { "network",              { "-data-dir", "d", "-serf-lan-allowed-cidrs=10.0.0.0" }, "serf_lan_allowed_cidrs: \"10.0.0.0\" is no network, expected an address and the length of its prefix as in 10.0.0.0/8" },
        { "segments",             { "-data-dir", "d", "-hcl", "segments = [{ name = \"x\" }]" }, "Network segments are not supported in this version of Consul" },
        { "segment",              { "-data-dir", "d", "-segment=x" }, "Network segments are not supported in this version of Consul" },
        { "key is no base64",     { "-data-dir", "d", "-encrypt=!" }, "encrypt has invalid key: illegal base64 data at input byte 0" },
        { "key is too short",     { "-data-dir", "d", "-encrypt=YWJj" }, "encrypt has invalid key: key size must be 16, 24 or 32 bytes" },
        { "unknown template",     { "-data-dir", "d", "-bind={{ GetAll | include }}" }, "bind_addr: template {{ GetAll | include }} is not supported; there are GetPrivateIP, GetPublicIP and GetInterfaceIP \"name\"" },
        { "template without end", { "-data-dir", "d", "-bind={{ GetPrivateIP" }, "bind_addr: a template that begins with {{ has no }}" },
        { "no such interface",    { "-data-dir", "d", "-bind={{ GetInterfaceIP \"none0\" }}" }, "bind_addr: this host has no address for {{ GetInterfaceIP \"none0\" }}" },
        { "template without name", { "-data-dir", "d", "-bind={{ GetInterfaceIP }}" }, "bind_addr: template {{ GetInterfaceIP }} is not supported; there are GetPrivateIP, GetPublicIP and GetInterfaceIP \"name\"" },
        { "unknown flag",         { "-data-dir", "d", "-foo" }, "error parsing flags: flag provided but not defined: -foo" },
        { "flag without value",   { "-data-dir" }, "error parsing flags: flag needs an argument: -data-dir" },
        { "no number",            { "-dns-port=x" }, "error parsing flags: invalid value \"x\" for flag -dns-port: parse error, expected a whole number" },
        { "no boolean",           { "-server=maybe" }, "error parsing flags: invalid boolean value \"maybe\" for -server: parse error, expected true or false" },
        { "a word",               { "-dev", "x", "y" }, "Unexpected extra arguments: [x y]" },
        { "format",               { "-config-format=xml", "-dev" }, "-config-format must be either 'hcl' or 'json'" },
        { "a file of no kind",    { "-data-dir=", "-config-file=/dev/null" }, "/dev/null was skipped (extension must be .hcl or .json, or config format must be set): data_dir cannot be empty" },
        { "no such file",         { "-config-file", "/nowhere/c.json" }, "config: Open failed on /nowhere/c.json. open /nowhere/c.json: no such file or directory" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct loaded l;

        load(&l, rows[i].args);
        if (l.code == MU_OK || strcmp(l.err.text, rows[i].message) != 0) {
            fail_msg("%s:\n  gave     '%s'\n  expected '%s'", rows[i].why, l.err.text,
                     rows[i].message);
        }
    }
}

static void what_would_be_a_false_safety_is_refused(void **state)
{
    static const char *const fragments[] = {
        "ca_file = \"x\"",
        "cert_file = \"x\"",
        "key_file = \"x\"",
        "verify_incoming = true",
        "verify_incoming_rpc = true",
        "verify_incoming_https = true",
        "verify_outgoing = true",
        "verify_server_hostname = true",
        "tls { defaults { verify_incoming = true } }",
        "tls { internal_rpc { ca_path = \"x\" } }",
        "acl { enabled = true }",
        "acl_datacenter = \"dc1\"",
        "auto_encrypt { tls = true }",
        "auto_config { enabled = true }",
        "http_config { allow_write_http_from = [\"127.0.0.0/8\"] }",
        "serf_wan_allowed_cidrs = [\"10.0.0.0/8\"]",
        "unix_sockets { mode = \"0600\" }",
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(fragments); i++) {
        struct loaded l;

        LOAD(&l, "-data-dir", "d", "-hcl", fragments[i]);
        if (l.code != MU_UNSUPPORTED || strstr(l.err.text, "would be unsafe") == NULL) {
            fail_msg("%s: gave '%s'", fragments[i], l.err.text);
        }
    }
}

static void switched_off_they_are_fine(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-hcl",
            "encrypt = \"\" ca_file = \"\" verify_incoming = false acl { enabled = false } "
            "serf_lan_allowed_cidrs = [] auto_encrypt { tls = false }");
    config_free(l.c);
}

static void a_wrong_type_is_named_as_the_reference_does(void **state)
{
    static const struct {
        const char *why, *json, *message;
    } rows[] = {
        // clang-format off
        { "no boolean",    "{\"server\":\"yes\"}", "'server' expected type 'bool', got unconvertible type 'string'" },
        { "no string",     "{\"node_name\":1}", "'node_name' expected type 'string', got unconvertible type 'float64'" },
        { "no number",     "{\"bootstrap_expect\":\"3\"}", "'bootstrap_expect' expected type 'int', got unconvertible type 'string'" },
        { "half a number", "{\"bootstrap_expect\":1.5}", "'bootstrap_expect' expected type 'int', got unconvertible type 'float64'" },
        { "a bare number of a duration", "{\"retry_interval\":5}", "'retry_interval' expected type 'string', got unconvertible type 'float64'" },
        { "nested",        "{\"ports\":{\"http\":\"8500\"}}", "'ports.http' expected type 'int', got unconvertible type 'string'" },
        { "no group",      "{\"ports\":8500}", "'ports' expected a map, got 'float64'" },
        { "no group in a list", "{\"ports\":[1]}", "'ports' expected a map, got 'float64'" },
        { "no list",       "{\"retry_join\":\"a\"}", "'retry_join': source data must be an array or slice, got string" },
        { "in a list",     "{\"retry_join\":[\"a\",2]}", "'retry_join[1]' expected type 'string', got unconvertible type 'float64'" },
        { "no map",        "{\"node_meta\":\"a\"}", "'node_meta' expected a map, got 'string'" },
        { "in a map",      "{\"node_meta\":{\"a\":true}}", "'node_meta[a]' expected type 'string', got unconvertible type 'bool'" },
        { "no service",    "{\"service\":1}", "'service' expected a map, got 'float64'" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        char expected[MU_ERR_TEXT_MAX];
        const char *path = file("c.json", rows[i].json);
        struct loaded l;

        LOAD(&l, "-data-dir", "d", "-config-file", path);
        (void)snprintf(expected, sizeof expected,
                       "failed to parse %s: 1 error(s) decoding:\n\n* %s", path, rows[i].message);
        if (l.code != MU_INVALID || strcmp(l.err.text, expected) != 0) {
            fail_msg("%s:\n  gave     '%s'\n  expected '%s'", rows[i].why, l.err.text, expected);
        }
    }
}

static void an_unknown_key_is_named_with_line_and_neighbour(void **state)
{
    static const struct {
        const char *why, *name, *text, *message;
    } rows[] = {
        // clang-format off
        { "misspelt",    "c.json", "{\n \"server\": true,\n \"bootstrp\": true\n}", "1 error occurred:\n\t* invalid config key bootstrp (line 3; did you mean 'bootstrap'?)\n\n" },
        { "nothing near", "c.json", "{\"xyzzy\": 1}", "1 error occurred:\n\t* invalid config key xyzzy (line 1)\n\n" },
        { "null too",    "c.json", "{\"xyzzy\": null}", "1 error occurred:\n\t* invalid config key xyzzy (line 1)\n\n" },
        { "nested",      "c.json", "{\n\"ports\": {\n\"htp\": 1}}", "1 error occurred:\n\t* invalid config key ports.htp (line 3; did you mean 'ports.http'?)\n\n" },
        { "a group",     "c.json", "{\"prts\": {\"http\": 1}}", "1 error occurred:\n\t* invalid config key prts (line 1; did you mean 'ports'?)\n\n" },
        { "in the wrong group", "c.json", "{\"raft_multiplier\": 1}", "1 error occurred:\n\t* invalid config key raft_multiplier (line 1; did you mean 'performance.raft_multiplier'?)\n\n" },
        { "two",         "c.json", "{\"xyzzy\": 1,\n\"plugh\": 1}", "2 errors occurred:\n\t* invalid config key xyzzy (line 1)\n\t* invalid config key plugh (line 2)\n\n" },
        { "below a TLS group", "c.json", "{\"tls\":{\"grpc\":{\"cafile\":1}}}", "1 error occurred:\n\t* invalid config key tls.grpc.cafile (line 1; did you mean 'tls.grpc.ca_file'?)\n\n" },
        { "in a service", "c.json", "{\"service\": {\"name\": \"a\",\n\"prot\": 1}}", "1 error occurred:\n\t* invalid config key service.prot (line 2; did you mean 'port'?)\n\n" },
        { "in a list of services", "c.json", "{\"services\": [{\"name\": \"a\"},\n{\"name\": \"b\",\n\"check\": {\"htp\": 1}}]}", "1 error occurred:\n\t* invalid config key services[1].check.htp (line 3; did you mean 'http'?)\n\n" },
        { "in checks of a service", "c.json", "{\"service\": {\"name\": \"a\", \"checks\": [{},\n{\"script\": \"x\"}]}}", "1 error occurred:\n\t* invalid config key service.checks[1].script (line 2)\n\n" },
        { "in HCL",      "c.hcl", "server = true\n\nports {\n  htp = 1\n}", "1 error occurred:\n\t* invalid config key ports.htp (line 4; did you mean 'ports.http'?)\n\n" },
        { "in a repeated block", "c.hcl", "services { name = \"a\" }\nservices {\n  name = \"b\"\n  prot = 1\n}", "1 error occurred:\n\t* invalid config key services[1].prot (line 4; did you mean 'port'?)\n\n" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        char expected[MU_ERR_TEXT_MAX];
        const char *path = file(rows[i].name, rows[i].text);
        struct loaded l;

        LOAD(&l, "-data-dir", "d", "-config-file", path);
        (void)snprintf(expected, sizeof expected, "failed to parse %s: %s", path, rows[i].message);
        if (l.code != MU_INVALID || strcmp(l.err.text, expected) != 0) {
            fail_msg("%s:\n  gave     '%s'\n  expected '%s'", rows[i].why, l.err.text, expected);
        }
    }
}

static void a_file_that_is_no_json_is_refused(void **state)
{
    static const struct {
        const char *why, *name, *text, *message;
    } rows[] = {
        // clang-format off
        { "cut off",       "c.json", "{\"server\": tr", "line 1, column 13: invalid token near 'tr'" },
        { "cut off early", "c.json", "{\"server\":", "unexpected end of JSON input" },
        { "blank",         "c.json", " \n", "unexpected end of JSON input" },
        { "a list",        "c.json", "[]", "expected an object, got array" },
        { "two documents", "c.json", "{}{}", "line 1, column 3: end of file expected near '{'" },
        { "HCL",           "c.hcl",  "server =\n", "line 2: expected a value, found the end" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        char expected[MU_ERR_TEXT_MAX];
        const char *path = file(rows[i].name, rows[i].text);
        struct loaded l;

        LOAD(&l, "-data-dir", "d", "-config-file", path);
        (void)snprintf(expected, sizeof expected, "failed to parse %s: %s", path, rows[i].message);
        if (l.code != MU_INVALID || strcmp(l.err.text, expected) != 0) {
            fail_msg("%s:\n  gave     '%s'\n  expected '%s'", rows[i].why, l.err.text, expected);
        }
    }
}

static void a_bad_definition_ends_the_start(void **state)
{
    static const struct {
        const char *why, *hcl, *message;
    } rows[] = {
        // clang-format off
        { "no name",   "service { port = 1 }", "flags-0.hcl: service \"\": Missing service name" },
        { "meta",      "service { name = \"x\" meta { \"a b\" = \"c\" } }", "flags-0.hcl: invalid meta for service x: Couldn't load metadata pair ('a b', 'c'): Key contains invalid characters" },
        { "weights",   "service { name = \"x\" weights { passing = 0 } }", "flags-0.hcl: Invalid weight definition for service x: Passing must be greater than 0" },
        { "check",     "service { name = \"x\" check { http = \"y\" } }", "flags-0.hcl: service \"x\": Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks" },
        { "no scripts", "service { name = \"x\" check { args = [\"true\"] interval = \"1s\" } }", "flags-0.hcl: service \"x\": Scripts are disabled on this agent: script checks are not supported yet" },
        { "no scripts alone", "check { name = \"c\" args = [\"true\"] interval = \"1s\" }", "flags-0.hcl: check \"c\": Scripts are disabled on this agent: script checks are not supported yet" },
        { "alone",     "check { name = \"c\" }", "flags-0.hcl: check \"c\": Invalid check: TTL must be > 0 for TTL checks" },
        { "nameless",  "check { ttl = \"1s\" }", "flags-0.hcl: check \"\": Missing check name" },
        { "type",      "service { name = \"x\" port = \"80\" }", "flags-0.hcl: service \"x\": json: cannot unmarshal string into Go struct field .Port of type int" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct loaded l;

        LOAD(&l, "-data-dir", "d", "-hcl", rows[i].hcl);
        if (l.code == MU_OK || strcmp(l.err.text, rows[i].message) != 0) {
            fail_msg("%s:\n  gave     '%s'\n  expected '%s'", rows[i].why, l.err.text,
                     rows[i].message);
        }
    }
}

/* -- what holds -------------------------------------------------------------------------------- */

static void defaults_are_ours(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d");
    const struct config *c = l.c;
    char host[256];

    assert_int_equal(gethostname(host, sizeof host), 0);
    assert_string_equal(c->node_name, host);
    assert_string_equal(c->datacenter, "dc1");
    assert_null(c->node_id);
    assert_false(c->is_server || c->is_dev || c->is_bootstrap);
    assert_string_equal(ip(&c->bind_addr), "0.0.0.0");
    assert_int_equal(c->advertise_addr.ip_bytes, 0);
    assert_int_equal(c->serf_lan_bind.ip_bytes, 0);
    assert_int_equal(c->client_addrs_count, 1);
    assert_string_equal(ip(&c->http_addrs[0]), "127.0.0.1");
    assert_int_equal(c->http_sockets_count, 0);
    assert_int_equal(c->ports.http, 8500);
    assert_int_equal(c->ports.https, -1);
    assert_int_equal(c->ports.dns, 8600);
    assert_int_equal(c->ports.serf_rpc, 7373);
    assert_false(c->ports.serf_rpc_given || c->ports.etcd_given);
    assert_true(c->leave_on_terminate && !c->skip_leave_on_interrupt);
    assert_int_equal(c->retry_interval_ms, 30000);
    assert_int_equal(c->reconnect_timeout_ms, 72 * 3600 * 1000);
    assert_int_equal(c->gossip_lan.gossip_ms, 100);
    assert_int_equal(c->gossip_lan.probe_ms, 500);
    assert_int_equal(c->gossip_lan.probe_timeout_ms, 250);
    assert_int_equal(c->gossip_lan.suspicion_mult, 2);
    assert_int_equal(c->reconcile.remove_failed_after_ms, 10000);
    assert_int_equal(c->reconcile.pause_max_ms, 600000);
    assert_int_equal(c->reconcile.absent_after_ms, 60000);
    assert_int_equal(c->raft_multiplier, 1);
    assert_int_equal(c->rpc_hold_ms, 7000);
    assert_int_equal(c->kv_max_value_size, 524288);
    assert_int_equal(c->check_output_max_size, 4096);
    assert_string_equal(c->domain, "consul");
    assert_int_equal(c->alt_domains_count, 1);
    assert_string_equal(c->alt_domains[0], "muster");
    assert_true(c->dns.allow_stale && c->dns.node_meta_txt);
    assert_int_equal(c->dns.udp_answer_limit, 3);
    assert_int_equal(c->dns.soa_refresh, 3600);
    assert_int_equal(c->dns.udp_payload_max, 65467);
    assert_int_equal(c->dns.ent_negative_ttl, 60);
    assert_int_equal(c->log_level, MU_INFO);
    assert_null(c->log_file);
    assert_true(
        warns(c, "bind_addr is not loopback and \"encrypt\" is not set: traffic between agents "
                 "is sent in clear, and whoever reaches these ports can join"));
    config_free(l.c);
}

static void a_server_stays_when_it_is_stopped(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-server", "-bind=127.0.0.1");
    assert_true(!l.c->leave_on_terminate && l.c->skip_leave_on_interrupt);
    assert_int_equal(l.c->warnings_count, 0);
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-server", "-hcl",
            "leave_on_terminate = true skip_leave_on_interrupt = false");
    assert_true(l.c->leave_on_terminate && !l.c->skip_leave_on_interrupt);
    config_free(l.c);
}

static void dev_mode_is_a_server_on_its_own(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-dev");
    assert_true(l.c->is_dev && l.c->is_server && l.c->is_bootstrap);
    assert_null(l.c->data_dir);
    assert_string_equal(ip(&l.c->bind_addr), "127.0.0.1");
    assert_int_equal(l.c->log_level, MU_DEBUG);
    assert_int_equal(l.c->gossip_lan.probe_ms, 100);
    assert_int_equal(l.c->gossip_lan.suspicion_mult, 3);
    assert_int_equal(l.c->warnings_count, 0);
    config_free(l.c);
    LOAD_OK(&l, "-log-level=warn", "-data-dir", "d", "-bind", "127.0.0.2", "-dev");
    assert_string_equal(l.c->data_dir, "d"); /* said, so it holds, wherever -dev stands */
    assert_string_equal(ip(&l.c->bind_addr), "127.0.0.2");
    assert_int_equal(l.c->log_level, MU_WARN);
    config_free(l.c);
    LOAD_OK(&l, "-dev", "-server=false");
    assert_false(l.c->is_server || l.c->is_bootstrap);
    config_free(l.c);
}

static void later_sources_win_lists_append_and_maps_merge(void **state)
{
    const char *one = file("1.json", "{\"datacenter\":\"one\",\"log_level\":\"warn\","
                                     "\"retry_join\":[\"a\"],\"start_join\":[\"s\"],"
                                     "\"node_meta\":{\"x\":\"1\",\"y\":\"1\"},\"server\":true,"
                                     "\"service\":{\"name\":\"s1\"},\"services\":[{\"name\":"
                                     "\"s2\"}]}");
    const char *two = file("2.hcl", "Datacenter = \"two\"\nLOG_LEVEL = \"err\"\nretry_join = "
                                    "[\"b\"]\nnode_meta { y = \"2\" }\nservice { name = \"s3\" }"
                                    "\ncheck { name = \"c\" ttl = \"1s\" }");
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-datacenter=three", "-retry-join", "d", "-node-meta=z:3:4", "-data-dir", "d",
            "-hcl", "retry_join = [\"c\"] server = false", "-config-file", two, "-config-file",
            one);
    const struct config *c = l.c;

    assert_string_equal(c->datacenter, "three"); /* flags last */
    assert_int_equal(c->log_level, MU_WARN);     /* 1.json stands behind 2.hcl */
    assert_false(c->is_server);                  /* fragments behind files */
    assert_int_equal(c->retry_join_count, 5);
    assert_string_equal(c->retry_join[0], "s"); /* start_join means the same, and comes first */
    assert_string_equal(c->retry_join[1], "b");
    assert_string_equal(c->retry_join[2], "a");
    assert_string_equal(c->retry_join[3], "c");
    assert_string_equal(c->retry_join[4], "d");
    assert_int_equal(c->node_meta.count, 3);
    assert_true(mu_span_eq_text(c->node_meta.items[0].value, "1"));
    assert_true(mu_span_eq_text(c->node_meta.items[1].value, "1"));
    assert_true(mu_span_eq_text(c->node_meta.items[2].value, "3:4"));
    assert_int_equal(c->services_count, 3);
    assert_true(mu_span_eq_text(c->services[0].name, "s3"));
    assert_true(mu_span_eq_text(c->services[2].name, "s2"));
    assert_int_equal(c->checks_count, 1);
    assert_true(warns(c, "The 'start_join' field is deprecated. Use the 'retry_join' field "
                         "instead."));
    config_free(l.c);
}

static void null_is_unset_and_an_empty_file_is_fine(void **state)
{
    const char *nulls = file("n.json", "{\"datacenter\":null,\"ports\":null,\"retry_join\":null,"
                                       "\"service\":null,\"services\":[null],\"segments\":null,"
                                       "\"addresses\":{},\"ports\":{\"http\":null}}");
    const char *empty = file("e.json", "");
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-config-file", nulls, "-config-file", empty);
    assert_string_equal(l.c->datacenter, "dc1");
    assert_int_equal(l.c->ports.http, 8500);
    assert_int_equal(l.c->services_count, 0);
    config_free(l.c);
}

static void a_directory_is_read_in_order(void **state)
{
    struct mu_buf path = MU_BUF_NONE, skipped = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct loaded l;

    (void)state;
    mu_buf_addf(&path, "%s/conf.d/sub.json", dir());
    assert_int_equal(mu_dir_make(mu_buf_text(&path), &err), MU_OK); /* no recursion */
    (void)file("conf.d/b.json", "{\"datacenter\":\"b\"}");
    (void)file("conf.d/a.hcl", "datacenter = \"a\"\nlog_level = \"err\"");
    (void)file("conf.d/README", "text");
    path.bytes -= strlen("/sub.json");
    LOAD_OK(&l, "-data-dir", "d", "-config-dir", mu_buf_text(&path));
    assert_string_equal(l.c->datacenter, "b");
    assert_int_equal(l.c->log_level, MU_ERROR);
    mu_buf_addf(&skipped,
                "skipping file %s/README, extension must be .hcl or .json, or config format must "
                "be set",
                mu_buf_text(&path));
    assert_true(warns(l.c, mu_buf_text(&skipped)));
    config_free(l.c);
    mu_buf_deinit(&path);
    mu_buf_deinit(&skipped);
}

static void the_format_can_be_told(void **state)
{
    const char *path = file("plain", "datacenter = \"x\"");
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-config-format=hcl", "-config-file", path);
    assert_string_equal(l.c->datacenter, "x");
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-config-file", path);
    assert_string_equal(l.c->datacenter, "dc1");
    config_free(l.c);
}

static void addresses_are_taken_apart(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-bind", "{{ GetInterfaceIP \"lo\" }}", "-client",
            " 127.0.0.2  {{GetInterfaceIP \"lo\"}} ", "-serf-lan-bind=[::1]", "-advertise=10.0.0.1",
            "-hcl",
            "addresses { http = \"unix:///run/m.sock 127.0.0.3\" dns = \"::1\" } "
            "advertise_addr_ipv6 = \"fd00::1\" tagged_addresses { x = \"y\" }");
    const struct config *c = l.c;

    assert_string_equal(ip(&c->bind_addr), "127.0.0.1");
    assert_string_equal(ip(&c->serf_lan_bind), "::1");
    assert_string_equal(ip(&c->advertise_addr), "10.0.0.1");
    assert_int_equal(c->client_addrs_count, 2);
    assert_string_equal(ip(&c->client_addrs[0]), "127.0.0.2");
    assert_string_equal(ip(&c->client_addrs[1]), "127.0.0.1");
    assert_int_equal(c->http_addrs_count, 1);
    assert_string_equal(ip(&c->http_addrs[0]), "127.0.0.3");
    assert_int_equal(c->http_sockets_count, 1);
    assert_string_equal(c->http_sockets[0], "/run/m.sock");
    assert_int_equal(c->dns_addrs_count, 1);
    assert_string_equal(ip(&c->dns_addrs[0]), "::1");
    assert_int_equal(c->tagged_addresses.count, 2);
    assert_true(mu_span_eq_text(c->tagged_addresses.items[0].key, "lan_ipv6"));
    assert_true(mu_span_eq_text(c->tagged_addresses.items[0].value, "fd00::1"));
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-hcl", "addresses { http = \"unix:///run/m.sock\" }");
    assert_int_equal(l.c->http_addrs_count, 0); /* only the socket */
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-hcl", "advertise_addr_ipv4 = \"10.0.0.7\"");
    assert_string_equal(ip(&l.c->advertise_addr), "10.0.0.7"); /* for want of another */
    config_free(l.c);
}

static void ports_below_one_are_off(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-http-port=0", "-dns-port", "-1", "-hcl",
            "ports { serf_wan = -1 etcd = 2380 serf_rpc = 0 }");
    assert_int_equal(l.c->ports.http, -1);
    assert_int_equal(l.c->ports.dns, -1);
    assert_int_equal(l.c->ports.serf_wan, -1);
    assert_int_equal(l.c->ports.serf_rpc, -1);
    assert_int_equal(l.c->ports.etcd, 2380);
    assert_true(l.c->ports.serf_rpc_given && l.c->ports.etcd_given);
    config_free(l.c);
    LOAD(&l, "-data-dir", "d", "-hcl", "ports { http = -85 }");
    assert_int_equal(l.code, MU_INVALID);
    assert_non_null(strstr(l.err.text, "ports.http: invalid port: -85 (-1 is off)"));
    LOAD(&l, "-data-dir", "d", "-dns-port=-2");
    assert_int_equal(l.code, MU_INVALID);
}

static void names_are_folded(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-datacenter=DC_1", "-domain=Consul.Example.", "-alt-domain",
            "Other", "-node-id=9F3B1C2D-0000-4000-8000-00000000000A", "-hcl",
            "dns_config { service_ttl { \"Web*\" = \"90s\", \"*\" = \"1500ms\" } node_ttl = "
            "\"10s\" }");
    assert_string_equal(l.c->datacenter, "dc_1");
    assert_string_equal(l.c->domain, "consul.example");
    assert_int_equal(l.c->alt_domains_count, 1);
    assert_string_equal(l.c->alt_domains[0], "other");
    assert_string_equal(l.c->node_id, "9f3b1c2d-0000-4000-8000-00000000000a");
    assert_int_equal(l.c->dns.service_ttl_count, 2);
    assert_string_equal(l.c->dns.service_ttl[0].key, "web*");
    assert_int_equal(l.c->dns.service_ttl[0].seconds, 90);
    assert_int_equal(l.c->dns.service_ttl[1].seconds, 1);
    assert_int_equal(l.c->dns.node_ttl_s, 10);
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-hcl", "alt_domain = [\"a.\", \"b\", \"consul\"]");
    assert_int_equal(l.c->alt_domains_count, 2); /* the domain itself is no alternative */
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-hcl", "alt_domain = \"\"");
    assert_int_equal(l.c->alt_domains_count, 0);
    config_free(l.c);
}

static void definitions_in_files_have_their_own_default_weights(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-hcl",
            "service { name = \"a\" weights { passing = 5 } check { tcp = \"x:1\" interval = "
            "\"1s\" } }");
    assert_int_equal(l.c->services_count, 1);
    assert_int_equal(l.c->services[0].weight_passing, 5);
    assert_int_equal(l.c->services[0].weight_warning, 1);
    assert_int_equal(l.c->services[0].checks_count, 1);
    config_free(l.c);
}

static void bootstrap_warnings_are_the_reference_s(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-server", "-bootstrap-expect=1");
    assert_true(l.c->is_bootstrap);
    assert_int_equal(l.c->bootstrap_expect, 0);
    assert_true(warns(l.c, "BootstrapExpect is set to 1; this is the same as Bootstrap mode."));
    assert_true(warns(l.c, "bootstrap = true: do not enable unless necessary"));
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-server", "-bootstrap-expect=2");
    assert_true(warns(l.c, "bootstrap_expect = 2: A cluster with 2 servers will provide no failure "
                           "tolerance."));
    config_free(l.c);
    LOAD_OK(&l, "-data-dir", "d", "-server", "-bootstrap-expect=4", "-node=a_b");
    assert_true(warns(l.c, "bootstrap_expect is even number: A cluster with an even number of "
                           "servers does not achieve optimum fault tolerance."));
    assert_true(warns(l.c, "Node name \"a_b\" will not be discoverable via DNS due to invalid "
                           "characters. Valid characters include all alpha-numerics and dashes."));
    config_free(l.c);
}

static void what_has_no_effect_says_so_once(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-data-dir", "d", "-bind=127.0.0.1", "-hcl",
            "audit { enabled = true } telemetry { circonus_api_token = \"x\" } "
            "recursors = [\"1.1.1.1\", \"8.8.8.8\"] raft_protocol = 3 disable_update_check = true "
            "session_ttl_min = \"10s\"",
            "-ui");
    assert_true(warns(l.c, "\"audit\" is a Consul Enterprise configuration and will have no "
                           "effect"));
    assert_true(warns(l.c, "\"telemetry.circonus_*\" is accepted, but has no effect yet"));
    assert_true(warns(l.c, "\"recursors\" is accepted, but has no effect yet"));
    assert_true(warns(l.c, "\"ui\" is accepted, but has no effect yet"));
    assert_int_equal(l.c->warnings_count, 5); /* and that "ui" is deprecated */
    config_free(l.c);
}

static void help_is_asked_for(void **state)
{
    struct loaded l;

    (void)state;
    LOAD(&l, "-server", "-h", "-foo");
    assert_true(l.wants_help);
    assert_int_equal(l.code, MU_OK);
    assert_null(l.c);
}

/* -- what others hold in their hands ----------------------------------------------------------- */

/* agent-behaviour 18: what the official harness writes, older and newer, with what it may add. */
static void the_harness_starts(void **state)
{
    static const char config[] =
        "{\"node_name\":\"node-9f3b1c2d-0000-4000-8000-00000000000a\",\"node_id\":\"9f3b1c2d-0000-"
        "4000-8000-00000000000a\",\"performance\":{\"raft_multiplier\":1},\"bootstrap\":true,"
        "\"server\":true,\"data_dir\":\"/tmp/not-yet/data\",\"segments\":null,"
        "\"disable_update_check\":true,\"log_level\":\"debug\",\"bind_addr\":\"127.0.0.1\","
        "\"addresses\":{},\"ports\":{\"dns\":20001,\"http\":20002,\"https\":20003,\"serf_lan\":"
        "20004,\"serf_wan\":20005,\"server\":20006,\"grpc\":20007,\"grpc_tls\":20008,"
        "\"proxy_min_port\":1,\"proxy_max_port\":2},\"acl\":{\"tokens\":{}},\"connect\":{"
        "\"enabled\":true,\"ca_config\":{\"cluster_id\":\"11111111-2222-3333-4444-555555555555\"}},"
        "\"skip_leave_on_interrupt\":true,\"peering\":{\"enabled\":true},\"version\":\"1.18\","
        "\"raft_protocol\":3,\"primary_datacenter\":\"dc1\",\"acl_default_policy\":\"allow\","
        "\"encrypt\":\"\",\"ca_file\":\"\",\"verify_incoming\":false,\"verify_outgoing\":false,"
        "\"enable_script_checks\":true,\"enable_debug\":true,\"partition\":\"\",\"locality\":null,"
        "\"retry_join\":null,\"autopilot\":{\"server_stabilization_time\":\"1s\"},\"audit\":null,"
        "\"experiments\":[\"resource-apis\"]}";
    const char *path = file("config.json", config);
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-config-file", path);
    assert_true(l.c->is_server && l.c->is_bootstrap && l.c->skip_leave_on_interrupt);
    assert_int_equal(l.c->ports.http, 20002);
    assert_string_equal(l.c->data_dir, "/tmp/not-yet/data");
    config_free(l.c);
}

static const char *const listed_keys[] = {
    // clang-format off
    "node_name", "node_id", "node_meta", "datacenter", "primary_datacenter", "data_dir", "server",
    "bootstrap", "bootstrap_expect", "bind_addr", "advertise_addr", "advertise_addr_wan",
    "advertise_addr_ipv4", "advertise_addr_ipv6", "advertise_addr_wan_ipv4",
    "advertise_addr_wan_ipv6", "client_addr", "addresses.dns", "addresses.http", "addresses.https",
    "addresses.grpc", "unix_sockets.user", "unix_sockets.group", "unix_sockets.mode", "ports.dns",
    "ports.http", "ports.https", "ports.grpc", "ports.grpc_tls", "ports.serf_lan",
    "ports.serf_wan", "ports.server", "ports.serf_rpc", "ports.etcd", "ports.proxy_min_port",
    "ports.proxy_max_port", "ports.sidecar_min_port", "ports.sidecar_max_port",
    "ports.expose_min_port", "ports.expose_max_port", "serf_lan", "serf_wan",
    "serf_lan_allowed_cidrs", "serf_wan_allowed_cidrs", "tagged_addresses", "translate_wan_addrs",
    "domain", "alt_domain", "recursors", "encrypt", "encrypt_verify_incoming",
    "encrypt_verify_outgoing", "disable_keyring_file", "disable_host_node_id",
    "disable_update_check", "disable_anonymous_signature", "disable_coordinates",
    "disable_remote_exec", "enable_debug", "enable_syslog", "syslog_facility", "log_level",
    "log_json", "log_file", "log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files",
    "pid_file", "leave_on_terminate", "skip_leave_on_interrupt", "rejoin_after_leave",
    "start_join", "start_join_wan", "retry_join", "retry_join_wan", "retry_interval",
    "retry_interval_wan", "retry_max", "retry_max_wan", "reconnect_timeout",
    "reconnect_timeout_wan", "protocol", "raft_protocol", "raft_snapshot_threshold",
    "raft_snapshot_interval", "raft_trailing_logs", "session_ttl_min", "default_query_time",
    "max_query_time", "discovery_max_stale", "check_update_interval", "check_output_max_size",
    "discard_check_output", "enable_script_checks", "enable_local_script_checks",
    "enable_agent_tls_for_checks", "enable_central_service_config", "use_streaming_backend",
    "rpc.enable_streaming", "segments", "segment", "audit", "license_path", "read_replica",
    "non_voting_server", "acl.tokens.managed_service_provider", "dns_config.prefer_namespace",
    "snapshot_agent", "auto_encrypt.tls", "auto_encrypt.allow_tls", "auto_config.enabled",
    "primary_gateways", "advertise_reconnect_timeout", "reconcile.remove_failed_after",
    "reconcile.pause_max", "reconcile.absent_after", "performance.raft_multiplier",
    "performance.leave_drain_time", "performance.rpc_hold_timeout",
    "limits.http_max_conns_per_client", "limits.https_handshake_timeout",
    "limits.rpc_handshake_timeout", "limits.rpc_rate", "limits.rpc_max_burst",
    "limits.rpc_max_conns_per_client", "limits.kv_max_value_size", "limits.txn_max_req_len",
    "limits.request_limits", "autopilot.cleanup_dead_servers", "autopilot.last_contact_threshold",
    "autopilot.max_trailing_logs", "autopilot.min_quorum", "autopilot.server_stabilization_time",
    "autopilot.redundancy_zone_tag", "autopilot.disable_upgrade_migration",
    "autopilot.upgrade_version_tag", "gossip_lan.gossip_interval", "gossip_lan.gossip_nodes",
    "gossip_lan.probe_interval", "gossip_lan.probe_timeout", "gossip_lan.suspicion_mult",
    "gossip_lan.retransmit_mult", "gossip_wan.gossip_interval", "gossip_wan.gossip_nodes",
    "gossip_wan.probe_interval", "gossip_wan.probe_timeout", "gossip_wan.suspicion_mult",
    "gossip_wan.retransmit_mult", "dns_config.allow_stale", "dns_config.max_stale",
    "dns_config.node_ttl", "dns_config.service_ttl", "dns_config.only_passing",
    "dns_config.udp_answer_limit", "dns_config.a_record_limit", "dns_config.enable_truncate",
    "dns_config.disable_compression", "dns_config.enable_additional_node_meta_txt",
    "dns_config.recursor_timeout", "dns_config.soa.refresh", "dns_config.soa.retry",
    "dns_config.soa.expire", "dns_config.soa.min_ttl", "dns_config.use_cache",
    "dns_config.cache_max_age", "http_config.response_headers", "http_config.block_endpoints",
    "http_config.allow_write_http_from", "http_config.use_cache", "http_config.max_header_bytes",
    "telemetry.metrics_prefix", "telemetry.prometheus_retention_time", "telemetry.disable_hostname",
    "telemetry.statsd_address", "telemetry.statsite_address", "telemetry.dogstatsd_addr",
    "telemetry.dogstatsd_tags", "telemetry.prefix_filter", "telemetry.filter_default",
    "telemetry.disable_compat_1.9", "telemetry.circonus_submission_url", "acl.enabled",
    "acl.default_policy", "acl.down_policy", "acl.policy_ttl", "acl.token_ttl", "acl.role_ttl",
    "acl.disabled_ttl", "acl.enable_key_list_policy", "acl.enable_token_replication",
    "acl.enable_token_persistence", "acl.tokens.master", "acl.tokens.initial_management",
    "acl.tokens.default", "acl.tokens.agent", "acl.tokens.agent_master",
    "acl.tokens.agent_recovery", "acl.tokens.replication",
    "acl.tokens.config_file_service_registration", "acl.tokens.dns", "acl_datacenter",
    "acl_master_token", "acl_default_policy", "acl_down_policy", "acl_ttl", "acl_token",
    "acl_agent_token", "acl_agent_master_token", "acl_replication_token",
    "acl_enable_key_list_policy", "enable_acl_replication", "ca_file", "ca_path", "cert_file",
    "key_file", "verify_incoming", "verify_incoming_rpc", "verify_incoming_https",
    "verify_outgoing", "verify_server_hostname", "server_name", "tls_min_version",
    "tls_cipher_suites", "tls_prefer_server_cipher_suites", "tls.defaults.ca_file",
    "tls.internal_rpc.verify_server_hostname", "tls.https.verify_incoming", "tls.grpc.cert_file",
    "connect.enabled", "connect.ca_provider", "connect.ca_config",
    "connect.enable_mesh_gateway_wan_federation", "ui_config.enabled", "ui_config.dir",
    "ui_config.content_path", "ui_config.metrics_provider", "ui_config.dashboard_url_templates",
    "ui", "ui_dir", "ui_content_path", "config_entries.bootstrap", "cache.entry_fetch_max_burst",
    "cache.entry_fetch_rate", "watches", "ae_interval", "check_reap_interval",
    "check_deregister_interval_min", "sync_coordinate_rate_target", "sync_coordinate_interval_min",
    "consul", "partition", "peering.enabled", "locality", "experiments", "raft_logstore",
    "auto_reload_config", "default_intention_policy", "xds", "cloud", "reporting",
    "log_sublevels", "server_rejoin_age_max", "limits.rpc_client_timeout",
    "performance.grpc_keepalive_interval", "performance.grpc_keepalive_timeout",
    "telemetry.enable_host_metrics", "telemetry.retry_failed_connection",
    "telemetry.disable_per_tenancy_usage_metrics", "dns_config.recursor_strategy", "version",
    "service", "services", "check", "checks",
}; // clang-format on

static void every_listed_key_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(listed_keys); i++) {
        if (config__find(listed_keys[i]) == NULL) {
            fail_msg("%s has no row", listed_keys[i]);
        }
    }
}

static const char *const listed_flags[] = {
    // clang-format off
    "advertise", "advertise-wan", "allow-write-http-from", "alt-domain", "bind", "bootstrap",
    "bootstrap-expect", "check_output_max_size", "client", "data-dir", "datacenter",
    "default-query-time", "disable-host-node-id", "disable-keyring-file", "dns-port", "domain",
    "enable-local-script-checks", "enable-script-checks", "encrypt", "grpc-port", "http-port",
    "https-port", "join", "join-wan", "log-file", "log-json", "log-level", "log-rotate-bytes",
    "log-rotate-duration", "log-rotate-max-files", "max-query-time", "node", "node-id",
    "node-meta", "non-voting-server", "pid-file", "primary-gateway", "protocol", "raft-protocol",
    "read-replica", "recursor", "rejoin", "retry-interval", "retry-interval-wan", "retry-join",
    "retry-join-wan", "retry-max", "retry-max-wan", "segment", "serf-lan-allowed-cidrs",
    "serf-lan-bind", "serf-lan-port", "serf-wan-allowed-cidrs", "serf-wan-bind", "serf-wan-port",
    "server", "server-port", "syslog", "ui", "ui-content-path", "ui-dir", "auto-reload-config",
    "grpc-tls-port",
}; // clang-format on

static bool has_flag(const char *flag)
{
    for (size_t i = 0; i < config_items_count; i++) {
        if (config_items[i].flag != NULL && strcmp(config_items[i].flag, flag) == 0) {
            return true;
        }
    }
    return false;
}

static void every_listed_flag_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(listed_flags); i++) {
        if (!has_flag(listed_flags[i])) {
            fail_msg("-%s has no row", listed_flags[i]);
        }
    }
}

static void every_row_is_sane(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];
        bool has_default_number = item->type == CONFIG_INT || item->type == CONFIG_MS ||
                                  item->type == CONFIG_SECONDS || item->type == CONFIG_U32;

        if (config__find(item->key) != item) {
            fail_msg("%s is there twice", item->key);
        }
        if (item->help == NULL || item->help[strlen(item->help) - 1] != '.') {
            fail_msg("%s: the help is a sentence", item->key);
        }
        if (item->effect == CONFIG_WORKS && item->to == 0 && item->type != CONFIG_SERVICES &&
            item->type != CONFIG_CHECKS && item->type != CONFIG_WATCHES &&
            strncmp(item->key, "segment", 7) != 0) {
            fail_msg("%s works, but goes nowhere", item->key);
        }
        if (item->flag != NULL && (item->type == CONFIG_SERVICES || item->type == CONFIG_CHECKS ||
                                   item->type == CONFIG_ANY)) {
            fail_msg("%s cannot be a flag", item->key);
        }
        if (item->instead != NULL && config__find(item->instead) == NULL) {
            fail_msg("%s gave way to %s, which is no key", item->key, item->instead);
        }
        /* check_output_max_size has a rule and words of its own, but its default is within too */
        if (has_default_number && (item->min != 0 || item->max != 0) &&
            (item->fallback < item->min || item->fallback > item->max)) {
            fail_msg("%s: its default is out of its bounds", item->key);
        }
    }
}

/* -- what is printed --------------------------------------------------------------------------- */

static void expect_file(const char *path, struct mu_buf *printed)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (mu_file_read(path, 1 << 20, &text, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    if (strcmp(mu_buf_text(&text), mu_buf_text(printed)) != 0) {
        fail_msg("%s is not what the table says: print it again (muster docs)", path);
    }
    mu_buf_deinit(&text);
    mu_buf_deinit(printed);
}

/* -- reading again ----------------------------------------------------------------------------- */

static void a_reload_takes_what_needs_no_restart(void **state)
{
    struct config *c = NULL, *fresh = NULL;
    bool wants_help = false;
    struct mu_buf restart = MU_BUF_NONE;
    const char *const args[] = {
        "-data-dir",
        dir(),
        "-config-file",
        file("reload.json", "{\"log_level\":\"INFO\",\"node_meta\":{\"a\":\"1\"},"
                            "\"ports\":{\"http\":8500},\"service\":{\"name\":\"web\"}}"),
    };
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    if (config_load(&c, MU_LEN(args), args, &wants_help, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    for (unsigned round = 0; round < 3; round++) { /* each frees what the one before had */
        (void)file("reload.json",
                   "{\"log_level\":\"WARN\",\"node_meta\":{\"b\":\"2\"},\"retry_join\":"
                   "[\"x\"],\"ports\":{\"http\":1,\"dns\":2},\"domain\":\"other\","
                   "\"dns_config\":{\"service_ttl\":{\"web\":\"5s\"},\"node_ttl\":\"9s\"},"
                   "\"services\":[{\"name\":\"x\"},{\"name\":\"y\"}]}");
        assert_int_equal(config_load_again(&fresh, c, &err), MU_OK);
        mu_buf_clear(&restart);
        config_needs_restart(c, fresh, &restart);
        assert_string_equal(mu_buf_text(&restart), "ports.dns, ports.http, domain, retry_join");
        config_adopt(c, fresh);
    }
    assert_int_equal(c->log_level, MU_WARN);
    assert_int_equal(c->node_meta.count, 1);
    assert_true(mu_span_eq_text(c->node_meta.items[0].key, "b"));
    assert_int_equal(c->dns.service_ttl[0].seconds, 5);
    assert_int_equal(c->dns.node_ttl_s, 9);
    assert_int_equal(c->services_count, 2);
    assert_int_equal(c->ports.http, 8500); /* as it was */
    (void)file("reload.json", "{\"bogus\":1}");
    assert_int_equal(config_load_again(&fresh, c, &err), MU_INVALID);
    assert_null(fresh);
    mu_buf_deinit(&restart);
    config_free(c);
}

/* Such a row is copied by its offset, or is one of those that config_adopt() names. */
static void every_row_that_reloads_can(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];
        bool is_made = item->type == CONFIG_SERVICES || item->type == CONFIG_CHECKS ||
                       item->type == CONFIG_WATCHES || item->type == CONFIG_ANY;

        if ((is_made && item->to != 0) ||
            (item->reloads && (item->effect != CONFIG_WORKS || (!is_made && item->to == 0)))) {
            fail_msg("%s", item->key);
        }
    }
}

static void documents_are_current(void **state)
{
    struct mu_buf printed = MU_BUF_NONE;

    (void)state;
    config_print_reference(&printed);
    expect_file("../deploy/docs/configuration.md", &printed);
    config_print_example(&printed);
    expect_file("../deploy/example.json", &printed);
}

static void the_example_loads(void **state)
{
    struct loaded l;

    (void)state;
    LOAD_OK(&l, "-config-file", "../deploy/example.json");
    assert_string_equal(l.c->node_name, "web-1");
    assert_true(l.c->is_server);
    assert_int_equal(l.c->bootstrap_expect, 3);
    assert_int_equal(l.c->services_count, 1);
    config_free(l.c);
}

static void flags_are_printed_with_their_help(void **state)
{
    struct mu_buf text = MU_BUF_NONE;

    (void)state;
    config_print_flags(&text);
    assert_non_null(strstr(mu_buf_text(&text), "  -data-dir=<value>\n     Where state is kept"));
    assert_non_null(strstr(mu_buf_text(&text), "  -server\n"));
    assert_non_null(strstr(mu_buf_text(&text), "  -config-file=<path>\n"));
    mu_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_rule_ends_the_start),
        cmocka_unit_test(what_would_be_a_false_safety_is_refused),
        cmocka_unit_test(switched_off_they_are_fine),
        cmocka_unit_test(a_wrong_type_is_named_as_the_reference_does),
        cmocka_unit_test(an_unknown_key_is_named_with_line_and_neighbour),
        cmocka_unit_test(a_file_that_is_no_json_is_refused),
        cmocka_unit_test(a_bad_definition_ends_the_start),
        cmocka_unit_test(defaults_are_ours),
        cmocka_unit_test(a_server_stays_when_it_is_stopped),
        cmocka_unit_test(dev_mode_is_a_server_on_its_own),
        cmocka_unit_test(later_sources_win_lists_append_and_maps_merge),
        cmocka_unit_test(null_is_unset_and_an_empty_file_is_fine),
        cmocka_unit_test(a_directory_is_read_in_order),
        cmocka_unit_test(the_format_can_be_told),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(ports_below_one_are_off),
        cmocka_unit_test(names_are_folded),
        cmocka_unit_test(definitions_in_files_have_their_own_default_weights),
        cmocka_unit_test(bootstrap_warnings_are_the_reference_s),
        cmocka_unit_test(what_has_no_effect_says_so_once),
        cmocka_unit_test(help_is_asked_for),
        cmocka_unit_test(the_harness_starts),
        cmocka_unit_test(every_listed_key_has_a_row),
        cmocka_unit_test(every_listed_flag_has_a_row),
        cmocka_unit_test(every_row_is_sane),
        cmocka_unit_test(a_reload_takes_what_needs_no_restart),
        cmocka_unit_test(every_row_that_reloads_can),
        cmocka_unit_test(documents_are_current),
        cmocka_unit_test(the_example_loads),
        cmocka_unit_test(flags_are_printed_with_their_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
