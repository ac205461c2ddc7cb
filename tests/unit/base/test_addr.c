#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/addr.h"
#include "base/assert.h"

static void literals_are_read_and_written(void **state)
{
    static const struct {
        const char *why, *text, *written; /* NULL: refused */
    } cases[] = {
        // clang-format off
        { "IPv4", "127.0.0.1", "127.0.0.1" },
        { "IPv6", "::1", "::1" },
        { "IPv6 in brackets", "[2001:db8::1]", "2001:db8::1" },
        { "the shortest form is written", "2001:0DB8:0:0:0:0:0:1", "2001:db8::1" },
        { "mapped IPv4 is IPv4", "::ffff:1.2.3.4", "1.2.3.4" },
        { "nothing", "", NULL },
        { "a name", "localhost", NULL },
        { "IPv4 in brackets", "[127.0.0.1]", NULL },
        { "half a bracket", "[::1", NULL },
        { "a part above 255", "127.0.0.256", NULL },
        { "three parts", "127.0.1", NULL },
        { "a leading zero, which some read as octal", "127.0.0.010", NULL },
        { "a zone", "fe80::1%eth0", NULL },
        { "a port", "127.0.0.1:80", NULL },
        { "a blank", " 127.0.0.1", NULL },
        { "far too long", "11111111111111111111111111111111111111111111111111111111111111111111", NULL },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char text[MU_ADDR_TEXT_MAX] = "";
        struct mu_addr a = MU_ADDR_NONE;
        bool is_read = mu_addr_parse_ip(mu_span_text(cases[i].text), &a);

        mu_addr_ip_text(&a, text);
        if (is_read != (cases[i].written != NULL) || a.port != 0 ||
            strcmp(text, cases[i].written != NULL ? cases[i].written : "") != 0) {
            fail_msg("%s: '%s' gave '%s'", cases[i].why, cases[i].text, text);
        }
    }
    struct mu_addr a;

    assert_false(mu_addr_parse_ip(MU_SPAN_LIT("1.2.3.4\0"), &a));
}

static void hosts_and_ports_are_split(void **state)
{
    static const struct {
        const char *why, *text, *host; /* NULL: refused */
        unsigned port;                 /* 7 is what was there before */
    } cases[] = {
        // clang-format off
        { "a host", "web", "web", 7 },
        { "host and port", "web:80", "web", 80 },
        { "IPv4 and port", "1.2.3.4:65535", "1.2.3.4", 65535 },
        { "bare IPv6", "::1", "::1", 7 },
        { "IPv6 in brackets", "[::1]", "::1", 7 },
        { "IPv6 and port", "[::1]:80", "::1", 80 },
        { "nothing", "", NULL, 7 },
        { "only a port", ":80", NULL, 7 },
        { "port 0", "web:0", NULL, 7 },
        { "port 65536", "web:65536", NULL, 7 },
        { "no port behind the colon", "web:", NULL, 7 },
        { "a signed port", "web:+80", NULL, 7 },
        { "empty brackets", "[]:80", NULL, 7 },
        { "an open bracket", "[::1", NULL, 7 },
        { "a bad port behind brackets", "[::1]:x", NULL, 7 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_span host = MU_SPAN_NONE;
        uint16_t port = 7;
        bool is_split = mu_addr_split(mu_span_text(cases[i].text), &host, &port);

        if (is_split != (cases[i].host != NULL) ||
            (is_split && (port != cases[i].port || !mu_span_eq_text(host, cases[i].host)))) {
            fail_msg("%s: '%s' gave '%.*s', port %u", cases[i].why, cases[i].text,
                     MU_SPAN_FMT(host), (unsigned)port);
        }
    }
}

static void a_host_may_be_left_out_where_it_has_a_meaning(void **state)
{
    static const struct {
        const char *text, *host; /* NULL: refused */
        unsigned port;           /* 7 is what was there before */
    } cases[] = {
        // clang-format off
        { ":80", "", 80 },
        { "", "", 7 },
        { "web:80", "web", 80 },
        { ":0", NULL, 7 },
        { ":", NULL, 7 },
        { "[]:80", NULL, 7 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_span host = MU_SPAN_NONE;
        uint16_t port = 7;
        bool is_split = mu_addr_split_open(mu_span_text(cases[i].text), &host, &port);

        if (is_split != (cases[i].host != NULL) || port != cases[i].port ||
            (is_split && !mu_span_eq_text(host, cases[i].host))) {
            fail_msg("'%s' gave '%.*s', port %u", cases[i].text, MU_SPAN_FMT(host), (unsigned)port);
        }
    }
}

static void addresses_with_ports_are_read_and_written(void **state)
{
    static const struct {
        const char *text, *written, *error;
    } cases[] = {
        // clang-format off
        { "1.2.3.4",    "1.2.3.4:7",  "" },
        { "1.2.3.4:80", "1.2.3.4:80", "" },
        { "::1",        "[::1]:7",    "" },
        { "[::1]:80",   "[::1]:80",   "" },
        { "web:80",     ":0", "address 'web' is not an IP address" },
        { "1.2.3.4:x",  ":0", "address '1.2.3.4:x' is not of the form ip, ip:port or [ip6]:port" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_addr a = MU_ADDR_NONE;
        struct mu_err err = MU_ERR_NONE;
        char text[MU_ADDR_TEXT_MAX];
        enum mu_code code = mu_addr_parse(mu_span_text(cases[i].text), 7, &a, &err);

        mu_addr_text(&a, text);
        if (strcmp(text, cases[i].written) != 0 || strcmp(err.text, cases[i].error) != 0 ||
            code != (cases[i].error[0] != '\0' ? MU_INVALID : MU_OK)) {
            fail_msg("'%s' gave '%s' (%s)", cases[i].text, text, err.text);
        }
    }
}

static void kinds_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        bool loopback, any, multicast, private;
    } cases[] = {
        // clang-format off
        { "127.8.9.1",   true,  false, false, false },
        { "::1",         true,  false, false, false },
        { "0.0.0.0",     false, true,  false, false },
        { "::",          false, true,  false, false },
        { "224.0.0.1",   false, false, true,  false },
        { "239.1.2.3",   false, false, true,  false },
        { "ff02::1",     false, false, true,  false },
        { "10.1.2.3",    false, false, false, true },
        { "172.16.0.1",  false, false, false, true },
        { "172.31.0.1",  false, false, false, true },
        { "172.32.0.1",  false, false, false, false },
        { "192.168.1.1", false, false, false, true },
        { "169.254.1.1", false, false, false, true },
        { "fd00::1",     false, false, false, true },
        { "fe80::1",     false, false, false, true },
        { "8.8.8.8",     false, false, false, false },
        { "2001:db8::1", false, false, false, false },
    }; // clang-format on
    struct mu_addr none = MU_ADDR_NONE;

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_addr a;

        assert_true(mu_addr_parse_ip(mu_span_text(cases[i].text), &a));
        if (mu_addr_is_loopback(&a) != cases[i].loopback || mu_addr_is_any(&a) != cases[i].any ||
            mu_addr_is_multicast(&a) != cases[i].multicast ||
            mu_addr_is_private(&a) != cases[i].private) {
            fail_msg("%s", cases[i].text);
        }
    }
    assert_false(mu_addr_is_loopback(&none) || mu_addr_is_any(&none) ||
                 mu_addr_is_multicast(&none) || mu_addr_is_private(&none));
}

static void sockaddrs_go_and_come_back(void **state)
{
    static const char *const texts[] = { "1.2.3.4:5", "[2001:db8::1]:65535" };
    struct sockaddr_un other = { .sun_family = AF_UNIX };
    struct sockaddr_storage ss;
    struct mu_addr back;

    (void)state;
    for (size_t i = 0; i < MU_LEN(texts); i++) {
        struct mu_addr a;

        assert_int_equal(mu_addr_parse(mu_span_text(texts[i]), 0, &a, NULL), MU_OK);
        mu_addr_to_sockaddr(&a, &ss);
        assert_true(mu_addr_from_sockaddr((const struct sockaddr *)&ss, &back));
        assert_true(mu_addr_eq(&a, &back));
        back.port++;
        assert_false(mu_addr_eq(&a, &back));
        assert_true(mu_addr_eq_ip(&a, &back));
        back.ip[3] ^= 1;
        assert_false(mu_addr_eq_ip(&a, &back));
    }
    assert_false(mu_addr_from_sockaddr((const struct sockaddr *)&other, &back));
}

static void networks_hold_what_shares_their_prefix(void **state)
{
    static const struct {
        const char *net, *addr;
        bool has;
    } cases[] = {
        // clang-format off
        { "10.0.0.0/8",    "10.255.0.1",  true },
        { "10.0.0.0/8",    "11.0.0.1",    false },
        { "10.1.2.3/8",    "10.9.9.9",    true },
        { "192.168.4.0/22", "192.168.7.9", true },
        { "192.168.4.0/22", "192.168.8.0", false },
        { "10.0.0.1/32",   "10.0.0.1",    true },
        { "10.0.0.1/32",   "10.0.0.0",    false },
        { "0.0.0.0/0",     "1.2.3.4",     true },
        { "0.0.0.0/0",     "::1",         false },
        { "fd00::/8",      "fdaa::7",     true },
        { "fd00::/8",      "fe80::7",     false },
        { "::1/128",       "::1",         true },
    }; // clang-format on
    static const char *const wrong[] = {
        "",       "10.0.0.0", "10.0.0.0/",   "10.0.0.0/33", "10.0.0/8",     "10.0.0.0/-1",
        "::/129", "/8",       "10.0.0.0/8x", "host/8",      "10.0.0.0/0008"
    };
    struct mu_net net;
    struct mu_addr a;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(mu_net_parse(mu_span_text(cases[i].net), &net));
        assert_true(mu_addr_parse_ip(mu_span_text(cases[i].addr), &a));
        if (mu_net_has(&net, &a) != cases[i].has) {
            fail_msg("%s, %s", cases[i].net, cases[i].addr);
        }
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (mu_net_parse(mu_span_text(wrong[i]), &net)) {
            fail_msg("'%s' was taken", wrong[i]);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_read_and_written),
        cmocka_unit_test(hosts_and_ports_are_split),
        cmocka_unit_test(a_host_may_be_left_out_where_it_has_a_meaning),
        cmocka_unit_test(addresses_with_ports_are_read_and_written),
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(sockaddrs_go_and_come_back),
        cmocka_unit_test(networks_hold_what_shares_their_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
