/* Zones, and where names lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "dns_check.h"
#include "dns_name.h"

static const char *const no_others[1];

static void domains_are_judged_at_start(void **state)
{
    static const struct {
        const char *why, *domain, *other, *datacenter;
        enum mu_code code;
        const char *text;
    } cases[] = {
        // clang-format off
        { "the defaults", "consul", "muster", "dc1", MU_OK, "" },
        { "a dot at the end", "consul.", "a.b.c.", "DC-1", MU_OK, "" },
        { "an alternative below the domain", "consul", "test.consul", "dc1", MU_OK, "" },
        { "nothing", "", "muster", "dc1", MU_INVALID, "domain '' is not a domain name" },
        { "an empty label", "a..b", "muster", "dc1", MU_INVALID,
          "domain 'a..b' is not a domain name" },
        { "a blank", "con sul", "muster", "dc1", MU_INVALID,
          "domain 'con sul' is not a domain name" },
        { "a long label", "consul",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "dc1", MU_INVALID,
          "domain 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' is not a"
          " domain name" },
        { "a keyword first", "consul", "node.consul", "dc1", MU_INVALID,
          "alt_domain 'node.consul' begins with a word that names in 'consul' need" },
        { "in capitals", "consul", "Service.x", "dc1", MU_INVALID,
          "alt_domain 'Service.x' begins with a word that names in 'consul' need" },
        { "the datacenter first", "consul", "dc1.consul", "DC1", MU_INVALID,
          "alt_domain 'dc1.consul' begins with a word that names in 'consul' need" },
        { "a datacenter of two labels", "consul", "muster", "dc.1", MU_INVALID,
          "datacenter 'dc.1' is not one label of a domain name" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct dns_zones z;
        struct mu_err err = MU_ERR_NONE;
        enum mu_code code =
            dns_zones_init(&z, cases[i].domain, &cases[i].other, 1, cases[i].datacenter, &err);

        if (code != cases[i].code || strcmp(err.text, cases[i].text) != 0) {
            fail_msg("%s: %s (%s)", cases[i].why, mu_code_text(code), err.text);
        }
    }
}

static void too_many_domains_are_refused(void **state)
{
    static const char *const many[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    struct mu_err err = MU_ERR_NONE;
    struct dns_zones z;

    (void)state;
    assert_int_equal(dns_zones_init(&z, "consul", many, 7, "dc1", &err), MU_OK);
    assert_int_equal(dns_zones_init(&z, "consul", many, 8, "dc1", &err), MU_INVALID);
    assert_string_equal(err.text, "more than 8 domains");
    assert_int_equal(dns_zones_init(&z, "consul", no_others, 0, "dc1", NULL), MU_OK);
    assert_int_equal(z.count, 1);
}

static void locate(const char *name, uint16_t type, struct dns_place *out)
{
    static const char *const others[] = { "test.consul", "dc-test.example" };
    struct mu_buf wire = MU_BUF_NONE;
    struct dns_labels labels;
    struct dns_zones z;

    assert_int_equal(dns_zones_init(&z, "consul", others, 2, "dc1", NULL), MU_OK);
    assert_true(dns_check_name(name, &wire));
    dns_labels_cut(wire.data, wire.bytes, &labels);
    dns_locate(&z, &labels, type, out);
    mu_buf_deinit(&wire);
}

static void names_lead_to_places(void **state)
{
    static const struct {
        const char *name;
        uint16_t type;
        enum dns_kind kind;
        const char *found, *tag;
    } cases[] = {
        // clang-format off
        { "consul", DNS_A, DNS_APEX, "", "" },
        { "CONSUL", DNS_A, DNS_APEX, "", "" },
        { "test.consul", DNS_A, DNS_APEX, "", "" },
        { "xconsul", DNS_A, DNS_OUTSIDE, "", "" },
        { "test.example", DNS_A, DNS_OUTSIDE, "", "" },
        { "ns.consul", DNS_A, DNS_NAMESERVER, "", "" },
        { "ns.dc1.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "Web.Service.Consul", DNS_A, DNS_SERVICE, "web", "" },
        { "v1.2.web.service.consul", DNS_A, DNS_SERVICE, "web", "v1.2" },
        { "web.service.test.consul", DNS_A, DNS_SERVICE, "web", "" },
        { "web.service.dc-test.example", DNS_A, DNS_SERVICE, "web", "" },
        { "web.service.dc1.dc.consul", DNS_A, DNS_SERVICE, "web", "" },
        { "web.service.dc.dc1.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "web.service.dc.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "service.consul", DNS_A, DNS_PARENT, "", "" },
        { "service.service.consul", DNS_A, DNS_SERVICE, "service", "" },
        { "node.service.consul", DNS_A, DNS_SERVICE, "node", "" },
        { "web.service.node.consul", DNS_A, DNS_NODE, "web.service", "" },
        { "a.b.c.node.dc1.consul", DNS_A, DNS_NODE, "a.b.c", "" },
        { "_web._tcp.service.consul", DNS_A, DNS_SERVICE, "web", "" },
        { "_web._TCP.service.consul", DNS_A, DNS_SERVICE, "web", "" },
        { "_web._udp.service.consul", DNS_A, DNS_SERVICE, "web", "udp" },
        { "_web._tcp.consul", DNS_SRV, DNS_SERVICE, "web", "" },
        { "_web._tcp.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "_web._tcp.dc1.consul", DNS_SRV, DNS_SERVICE, "web", "" },
        { "_web._tcp.dc9.consul", DNS_SRV, DNS_NOWHERE, "", "" },
        { "x._web._tcp.consul", DNS_SRV, DNS_SERVICE, "_tcp", "x._web" },
        { "_web.x.consul", DNS_SRV, DNS_NOWHERE, "", "" },
        { "_tcp.consul", DNS_A, DNS_PARENT, "", "" },
        { "_tcp.consul", DNS_SRV, DNS_SERVICE, "_tcp", "" },
        { "_._tcp.service.consul", DNS_SRV, DNS_NOWHERE, "", "" },
        { "_web._.service.consul", DNS_SRV, DNS_NOWHERE, "", "" },
        { "a\\.b.service.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "a\\.b.web.service.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "web.query.consul", DNS_A, DNS_NOWHERE, "", "" },
        { "query.consul", DNS_A, DNS_PARENT, "", "" },
        { "0a010001.addr.x.y.consul", DNS_A, DNS_LITERAL, "", "" },
        { "1.2.3.10.in-addr.arpa", DNS_PTR, DNS_REVERSE, "", "" },
        { "2.3.10.in-addr.arpa", DNS_PTR, DNS_REVERSE_PARENT, "", "" },
        { "x.3.10.in-addr.arpa", DNS_PTR, DNS_REVERSE_BROKEN, "", "" },
        { "in-addr.arpa", DNS_PTR, DNS_OUTSIDE, "", "" },
        { "ip6.arpa.consul", DNS_PTR, DNS_NOWHERE, "", "" },
        { ".", DNS_NS, DNS_OUTSIDE, "", "" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct dns_place place;

        locate(cases[i].name, cases[i].type, &place);
        if (place.kind != cases[i].kind || !mu_span_eq_text(place.name, cases[i].found) ||
            !mu_span_eq_text(place.tag, cases[i].tag)) {
            fail_msg("%s (type %u): kind %d, name '%.*s', tag '%.*s'", cases[i].name,
                     (unsigned)cases[i].type, (int)place.kind, MU_SPAN_FMT(place.name),
                     MU_SPAN_FMT(place.tag));
        }
    }
}

static void addresses_come_out_of_names(void **state)
{
    static const struct {
        const char *name, *address;
    } cases[] = {
        // clang-format off
        { "0A010203.addr.consul", "10.1.2.3" },
        { "20010db80000000000000000000000ff.addr.consul", "2001:db8::ff" },
        { "3.2.1.10.in-addr.arpa", "10.1.2.3" },
        { "F.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.IP6.arpa",
          "2001:db8::ff" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct dns_place place;
        char text[MU_ADDR_TEXT_MAX];

        locate(cases[i].name, DNS_A, &place);
        mu_addr_ip_text(&place.address, text);
        assert_string_equal(text, cases[i].address);
    }
}

static void host_names_are_told_from_nonsense(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {
        // clang-format off
        { "www.example.com", 17 }, { "www.example.com.", 17 }, { "a_b-c", 7 }, { "", 0 },
        { ".", 0 }, { "a..b", 0 }, { ".a", 0 }, { "10.9.1.8:80", 0 }, { "a b", 0 },
        { "h\xc3\xa4.de", 0 }, { "unix:///x", 0 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        uint8_t wire[DNS_NAME_MAX];
        size_t bytes = dns_host_of_text(mu_span_text(cases[i].text), wire);

        if (bytes != cases[i].bytes) {
            fail_msg("'%s' gave %zu bytes", cases[i].text, bytes);
        }
    }
}

/* 253 characters fill a name, 254 do not fit one. */
static void the_longest_host_name_is_253_characters(void **state)
{
    uint8_t wire[DNS_NAME_MAX];
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        text[i] = i % 2 == 0 ? 'a' : '.';
    }
    assert_int_equal(dns_host_of_text(mu_span_of(text, 253), wire), 255);
    assert_int_equal(dns_host_of_text(mu_span_of(text, 255), wire), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_are_judged_at_start),
        cmocka_unit_test(too_many_domains_are_refused),
        cmocka_unit_test(names_lead_to_places),
        cmocka_unit_test(addresses_come_out_of_names),
        cmocka_unit_test(host_names_are_told_from_nonsense),
        cmocka_unit_test(the_longest_host_name_is_253_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
