/* Multicast DNS: what is asked and answered, byte for byte; what is believed; and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "mdns.h"

static struct mu_addr at(const char *text)
{
    struct mu_addr a;

    assert_int_equal(mu_addr_parse(mu_span_text(text), 0, &a, NULL), MU_OK);
    return a;
}

static struct mdns_self self_at(const char *text)
{
    return (struct mdns_self){
        .cluster = "Web", .node = "n1", .host = "machine.example", .at = at(text)
    };
}

#define SERVICE "\x09_serf_web\x04_tcp\x05local\x00"

/* -- messages -----------------------------------------------------------------------------------
 */

static void the_question_is_for_the_service(void **state)
{
    static const char expected[] =
        "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" SERVICE "\x00\x0c\x00\x01";
    struct mu_buf q = MU_BUF_NONE;
    struct mdns_asked asked;

    (void)state;
    mdns_question("Web", &q);
    assert_int_equal(q.bytes, sizeof expected - 1);
    assert_memory_equal(q.data, expected, sizeof expected - 1);
    assert_true(mdns_is_asked(mu_buf_span(&q), "wEB", &asked));
    assert_false(asked.wants_unicast);
    assert_false(mdns_is_asked(mu_buf_span(&q), "db", &asked));
    q.data[q.bytes - 2] |= 0x80; /* "answer me alone" */
    assert_true(mdns_is_asked(mu_buf_span(&q), "web", &asked));
    assert_true(asked.wants_unicast);
    q.data[2] |= 0x80; /* an answer asks nothing */
    assert_false(mdns_is_asked(mu_buf_span(&q), "web", &asked));
    mu_buf_deinit(&q);
}

static void the_answer_has_all_in_one_message(void **state)
{
    static const char expected[] =
        "\x12\x34\x84\x00\x00\x01\x00\x04\x00\x00\x00\x00" SERVICE "\x00\x0c\x00\x01" SERVICE
        "\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x19"
        "\x02n1" SERVICE "\x02n1" SERVICE "\x00\x21\x00\x01\x00\x00\x00\x78\x00\x17"
        "\x00\x0a\x00\x01\x20\x6d"
        "\x07machine\x07"
        "example\x00"
        "\x07machine\x07"
        "example\x00"
        "\x00\x01\x00\x01\x00\x00\x00\x78\x00\x04\x0a\x00\x00\x07"
        "\x02n1" SERVICE "\x00\x10\x00\x01\x00\x00\x00\x78\x00\x13"
        "\x12Serf 'Web' cluster";
    struct mdns_self self = self_at("10.0.0.7:8301");
    struct mdns_asked asked = { .id = 0x1234 };
    struct mu_buf a = MU_BUF_NONE;

    (void)state;
    mdns_answer(&self, &asked, &a);
    assert_int_equal(a.bytes, sizeof expected - 1);
    assert_memory_equal(a.data, expected, sizeof expected - 1);
    mu_buf_deinit(&a);
}

static void an_answer_is_read_back(void **state)
{
    static const char *const addresses[] = { "10.0.0.7:8301", "[fd00::7]:7946" };

    (void)state;
    for (size_t i = 0; i < MU_LEN(addresses); i++) {
        struct mdns_self self = self_at(addresses[i]);
        struct mu_buf a = MU_BUF_NONE;
        struct mu_addr found[4];

        mdns_answer(&self, NULL, &a);
        assert_int_equal(mdns_found(mu_buf_span(&a), "web", found, 4), 1);
        assert_true(mu_addr_eq(&found[0], &self.at));
        assert_int_equal(mdns_found(mu_buf_span(&a), "web", found, 0), 0);
        assert_int_equal(mdns_found(mu_buf_span(&a), "other", found, 4), 0);
        for (size_t cut = 0; cut < a.bytes; cut++) { /* every truncation */
            uint8_t *exact = mu_new(cut + 1);
            struct mdns_asked asked;

            memcpy(exact, a.data, cut);
            (void)mdns_found(mu_span_of(exact, cut), "web", found, 4);
            (void)mdns_is_asked(mu_span_of(exact, cut), "web", &asked);
            mu_free(exact);
        }
        mu_buf_deinit(&a);
    }
}

/* As avahi and others write it: names that point back, records in another order and section. */
static void compressed_names_are_followed(void **state)
{
    static const char message[] =
        "\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x02" SERVICE
        "\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x05\x02n2\xc0\x0c"
        "\x04host\xc0\x1b\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\x0a\x00\x00\x09"
        "\xc0\x2c\x00\x21\x80\x01\x00\x00\x00\x78\x00\x08\x00\x00\x00\x00\x20\x6d\xc0\x31";
    struct mu_addr found[4];
    struct mu_addr expected = at("10.0.0.9:8301");

    (void)state;
    assert_int_equal(mdns_found(mu_span_of(message, sizeof message - 1), "web", found, 4), 1);
    assert_true(mu_addr_eq(&found[0], &expected));
}

static void pointers_that_do_not_lead_back_end_it(void **state)
{
    static const struct {
        const char *why;
        const char *name;
        size_t bytes;
    } cases[] = {
        { "to itself", "\xc0\x0c", 2 },
        { "ahead", "\xc0\x20", 2 },
        { "half a pointer", "\xc0", 1 },
        { "a reserved kind", "\x80\x0c", 2 },
        { "longer than the message",
          "\x3f"
          "abc",
          4 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;
        struct mdns_asked asked;
        struct mu_addr found[4];

        mu_buf_add(&b, "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
        mu_buf_add(&b, cases[i].name, cases[i].bytes);
        if (mdns_is_asked(mu_buf_span(&b), "web", &asked)) {
            fail_msg("%s", cases[i].why);
        }
        b.data[2] = 0x84;
        b.data[7] = 1;
        assert_int_equal(mdns_found(mu_buf_span(&b), "web", found, 4), 0);
        mu_buf_deinit(&b);
    }
}

static void a_long_node_name_is_cut(void **state)
{
    char node[129];
    struct mdns_self self = self_at("10.0.0.7:8301");
    struct mu_buf a = MU_BUF_NONE;
    struct mu_addr found[2];

    (void)state;
    memset(node, 'x', sizeof node - 1);
    node[sizeof node - 1] = '\0';
    self.node = node;
    mdns_answer(&self, NULL, &a);
    assert_int_equal(mdns_found(mu_buf_span(&a), "web", found, 2), 1);
    mu_buf_deinit(&a);
}

static void only_this_link_is_believed(void **state)
{
    struct mdns_link links[] = { { at("10.1.2.3"), 20, 2 }, { at("fd00:1::1"), 64, 2 } };
    static const struct {
        const char *from;
        bool is_here;
    } cases[] = {
        { "10.1.15.1", true }, { "10.1.16.1", false },     { "192.0.2.1", false },
        { "fd00:1::9", true }, { "fd00:1:0:1::9", false }, { "fe80::1", true },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_addr from = at(cases[i].from);

        if (mdns_is_on_link(links, 2, &from) != cases[i].is_here) {
            fail_msg("%s", cases[i].from);
        }
    }
}

/* -- when ---------------------------------------------------------------------------------------
 */

static void it_asks_often_only_while_alone(void **state)
{
    struct mdns m;
    struct mu_rand rand;
    unsigned asked = 0;

    (void)state;
    mu_rand_seed(&rand, 1);
    mdns_init(&m, 1000, &rand);
    assert_in_range(mdns_wake_ms(&m), 1020, 1120);
    for (uint64_t now = 1000; now <= 601000; now = mdns_wake_ms(&m)) {
        asked += mdns_due(&m, now, true) == MDNS_ASK;
    }
    assert_in_range(asked, 9, 10); /* ten minutes alone */
    asked = 0;
    for (uint64_t now = 601000; now <= 4 * 3600000; now = mdns_wake_ms(&m)) {
        asked += mdns_due(&m, now, false) == MDNS_ASK;
    }
    assert_in_range(asked, 3, 4); /* nearly four hours in company */
}

static void a_batch_is_whole_when_nothing_new_comes(void **state)
{
    struct mdns m;
    struct mu_rand rand;
    struct mu_addr out[MDNS_FOUND_MAX];
    struct mu_addr a = at("10.0.0.1:8301");
    struct mu_addr b = at("10.0.0.2:8301");

    (void)state;
    mu_rand_seed(&rand, 1);
    mdns_init(&m, 1000, &rand);
    assert_int_equal(mdns_due(&m, 2000, true), MDNS_ASK);
    mdns_hear(&m, &a, 2010);
    mdns_hear(&m, &b, 2060);
    mdns_hear(&m, &a, 2150); /* nothing new */
    assert_int_equal(mdns_wake_ms(&m), 2160);
    assert_int_equal(mdns_due(&m, 2159, true), MDNS_NOTHING);
    assert_int_equal(mdns_due(&m, 2160, true), MDNS_JOIN);
    assert_int_equal(mdns_take(&m, out), 2);
    assert_int_equal(mdns_take(&m, out), 0);
    assert_int_equal(mdns_due(&m, 2160, true), MDNS_NOTHING);
    for (unsigned i = 0; i < 2 * MDNS_FOUND_MAX; i++) { /* bounded */
        a.port = (uint16_t)(9000 + i);
        mdns_hear(&m, &a, 3000);
    }
    assert_int_equal(mdns_take(&m, out), MDNS_FOUND_MAX);
}

static void all_are_answered_once_a_second_at_most(void **state)
{
    struct mdns m = { .answered_ms = 0 };

    (void)state;
    assert_true(mdns_may_answer(&m, 5000));
    assert_false(mdns_may_answer(&m, 5999));
    assert_true(mdns_may_answer(&m, 6000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_is_for_the_service),
        cmocka_unit_test(the_answer_has_all_in_one_message),
        cmocka_unit_test(an_answer_is_read_back),
        cmocka_unit_test(compressed_names_are_followed),
        cmocka_unit_test(pointers_that_do_not_lead_back_end_it),
        cmocka_unit_test(a_long_node_name_is_cut),
        cmocka_unit_test(only_this_link_is_believed),
        cmocka_unit_test(it_asks_often_only_while_alone),
        cmocka_unit_test(a_batch_is_whole_when_nothing_new_comes),
        cmocka_unit_test(all_are_answered_once_a_second_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
