/* The reader against spec/dns.md 22.1, and the writer at its limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dns_check.h"
#include "dns_world.h"

#define DROPPED (-1)

/* A message in hexadecimal; blanks are free, "NAME" is web.service.consul. */
static void from_hex(const char *text, struct mu_buf *to)
{
    while (*text != '\0') {
        unsigned value = 0;

        if (*text == ' ') {
            text++;
        } else if (strncmp(text, "NAME", 4) == 0) {
            assert_true(dns_check_name("web.service.consul.", to));
            text += 4;
        } else {
            assert_int_equal(sscanf(text, "%2x", &value), 1);
            mu_buf_add_byte(to, (uint8_t)value);
            text += 2;
        }
    }
}

#define HEAD_1      "1267 0100 0001 0000 0000 0000 "
#define HEAD_OPT    "1267 0100 0001 0000 0000 0001 "
#define HEAD_MORE   "1267 0100 0001 0000 0000 "
#define ASK         "NAME 0001 0001 "
#define OPT         "00 0029 04d0 00000000 0000"
#define OPT_OPTIONS "00 0029 04d0 00000000 "
#define EXTRA       "00 0001 0001 00000000 0004 7f000001 "

struct input {
    const char *why, *hex;
    int rcode; /* or DROPPED */
    bool has_question, has_opt;
};

static const struct input inputs[] = {
    // clang-format off
    { "a plain query", HEAD_1 ASK, DNS_NOERROR, true, false },
    { "nothing", "", DROPPED, false, false },
    { "eleven bytes", "1267 0100 0001 0000 0000 00", DROPPED, false, false },
    { "an answer", "1267 8100 0001 0000 0000 0000" ASK, DROPPED, false, false },
    { "STATUS", "1267 1100 0001 0000 0000 0000" ASK, DNS_NOTIMP, true, false },
    { "NOTIFY", "1267 2100 0001 0000 0000 0000" ASK, DNS_NOTIMP, true, false },
    { "UPDATE with OPT", "1267 2900 0001 0000 0000 0001" ASK OPT, DNS_NOTIMP, true, true },
    { "opcode 15 without a question", "1267 7900 0000 0000 0000 0000", DNS_NOTIMP, false, false },
    { "no question", "1267 0100 0000 0000 0000 0000", DNS_FORMERR, false, false },
    { "no question but OPT", "1267 0100 0000 0000 0000 0001" OPT, DNS_FORMERR, false, false },
    { "two questions", "1267 0100 0002 0000 0000 0000" ASK ASK, DNS_FORMERR, false, false },
    { "a question without bytes", HEAD_1, DNS_FORMERR, false, false },
    { "a name cut short", HEAD_1 "03 7765", DNS_FORMERR, false, false },
    { "a name without a root", HEAD_1 "03 776562", DNS_FORMERR, false, false },
    { "no type", HEAD_1 "NAME", DNS_FORMERR, false, false },
    { "half a class", HEAD_1 "NAME 0001 00", DNS_FORMERR, false, false },
    { "a pointer to itself", HEAD_1 "c00c 0001 0001", DNS_FORMERR, false, false },
    { "a pointer in a loop", HEAD_1 "c00e c00c 0001 0001", DNS_FORMERR, false, false },
    { "a pointer forward", HEAD_1 "c010 0001 0001", DNS_FORMERR, false, false },
    { "a pointer beyond the end", HEAD_1 "ffff 0001 0001", DNS_FORMERR, false, false },
    { "a pointer into the header", HEAD_1 "c000 0001 0001", DNS_FORMERR, false, false },
    { "a pointer behind labels", HEAD_1 "03776562 c00c 0001 0001", DNS_FORMERR, false, false },
    { "label type 0x40", HEAD_1 "4101 00 0001 0001", DNS_FORMERR, false, false },
    { "label type 0x80", HEAD_1 "8101 00 0001 0001", DNS_FORMERR, false, false },
    { "a label over the end", HEAD_1 "3f 776562", DNS_FORMERR, false, false },
    { "the root", HEAD_1 "00 0002 0001", DNS_REFUSED, true, false },
    { "an answer record", HEAD_MORE "0000" ASK, DNS_NOERROR, true, false },
    { "ANCOUNT without a record", "1267 0100 0001 0001 0000 0000" ASK, DNS_FORMERR, true, false },
    { "ANCOUNT with one", "1267 0100 0001 0001 0000 0000" ASK EXTRA, DNS_FORMERR, true, false },
    { "... and OPT", "1267 0100 0001 0001 0000 0001" ASK EXTRA OPT, DNS_FORMERR, true, true },
    { "NSCOUNT with one", "1267 0100 0001 0000 0001 0000" ASK EXTRA, DNS_FORMERR, true, false },
    { "two other records", HEAD_MORE "0003" ASK EXTRA EXTRA OPT, DNS_NOERROR, true, true },
    { "three", HEAD_MORE "0004" ASK EXTRA EXTRA EXTRA OPT, DNS_FORMERR, true, true },
    { "sixty thousand, of which none comes", HEAD_MORE "ffff" ASK, DNS_FORMERR, true, false },
    { "an owner with a pointer", HEAD_MORE "0001" ASK "c00c 0001 0001 00000000 0000",
      DNS_NOERROR, true, false },
    { "an owner with a bad label", HEAD_MORE "0001" ASK "4100 0001 0001 00000000 0000",
      DNS_FORMERR, true, false },
    { "data beyond the end", HEAD_MORE "0001" ASK "00 0001 0001 00000000 0004 7f", DNS_FORMERR,
      true, false },
    { "OPT", HEAD_OPT ASK OPT, DNS_NOERROR, true, true },
    { "OPT twice", HEAD_MORE "0002" ASK OPT OPT, DNS_FORMERR, true, true },
    { "OPT with an owner", HEAD_OPT ASK "0161 00 0029 04d0 00000000 0000", DNS_FORMERR, true,
      false },
    { "OPT longer than the message", HEAD_OPT ASK OPT_OPTIONS "0001", DNS_FORMERR, true, false },
    { "an option longer than OPT", HEAD_OPT ASK OPT_OPTIONS "0005 000a 0008 00", DNS_FORMERR,
      true, true },
    { "half an option", HEAD_OPT ASK OPT_OPTIONS "0003 000a 00", DNS_FORMERR, true, true },
    { "version 1", HEAD_OPT ASK "00 0029 04d0 00010000 0000", DNS_BADVERS, true, true },
    { "version 255 with options of its own", HEAD_OPT ASK "00 0029 04d0 00ff8000 0003 000a 00",
      DNS_BADVERS, true, true },
    { "unknown flags and an unknown option", HEAD_OPT ASK "00 0029 04d0 0000ffff 0005 fde9 0001 78",
      DNS_NOERROR, true, true },
    { "a subnet", HEAD_OPT ASK OPT_OPTIONS "000a 0008 0006 0001 1000 0a09", DNS_NOERROR, true,
      true },
    { "a subnet of no bits", HEAD_OPT ASK OPT_OPTIONS "0008 0008 0004 0001 0000", DNS_NOERROR,
      true, true },
    { "no subnet, said with family 0", HEAD_OPT ASK OPT_OPTIONS "0008 0008 0004 0000 0000",
      DNS_NOERROR, true, true },
    { "a subnet of IPv6", HEAD_OPT ASK OPT_OPTIONS "000b 0008 0007 0002 1400 200100", DNS_NOERROR,
      true, true },
    { "of an unknown family", HEAD_OPT ASK OPT_OPTIONS "0009 0008 0005 0003 0800 0a", DNS_FORMERR,
      true, true },
    { "longer than an address", HEAD_OPT ASK OPT_OPTIONS "000d 0008 0009 0001 2100 0a09010101",
      DNS_FORMERR, true, true },
    { "fewer bytes than it says", HEAD_OPT ASK OPT_OPTIONS "0009 0008 0005 0001 1000 0a",
      DNS_FORMERR, true, true },
    { "more bytes", HEAD_OPT ASK OPT_OPTIONS "000b 0008 0007 0001 1000 0a0900", DNS_FORMERR, true,
      true },
    { "bits behind the prefix", HEAD_OPT ASK OPT_OPTIONS "000a 0008 0006 0001 0f00 0a09",
      DNS_FORMERR, true, true },
    { "a scope", HEAD_OPT ASK OPT_OPTIONS "000a 0008 0006 0001 1010 0a09", DNS_FORMERR, true,
      true },
    { "TSIG", HEAD_OPT ASK "00 00fa 00ff 00000000 0000", DNS_NOTAUTH, true, false },
    { "TSIG and OPT", HEAD_MORE "0002" ASK OPT "00 00fa 00ff 00000000 0000", DNS_NOTAUTH, true,
      true },
    { "TSIG, OPT and a broken one", HEAD_MORE "0003" ASK OPT "00 00fa 00ff 00000000 0000 00 00",
      DNS_FORMERR, true, true },
    { "bytes behind the end", HEAD_1 ASK "deadbeef", DNS_NOERROR, true, false },
    { "TC, AA, RA, Z, RCODE set", "1267 07cf 0001 0000 0000 0000" ASK, DNS_NOERROR, true, false },
    { "QTYPE OPT", HEAD_1 "NAME 0029 0001", DNS_FORMERR, true, false },
    { "QTYPE TSIG", HEAD_1 "NAME 00fa 0001", DNS_FORMERR, true, false },
    { "QTYPE TKEY", HEAD_1 "NAME 00f9 0001", DNS_FORMERR, true, false },
    { "QTYPE 0", HEAD_1 "NAME 0000 0001", DNS_NOERROR, true, false },
    { "QTYPE 65535", HEAD_1 "NAME ffff 0001", DNS_NOERROR, true, false },
    { "class CH", HEAD_1 "NAME 0001 0003", DNS_REFUSED, true, false },
    { "class 0", HEAD_1 "NAME 0001 0000", DNS_REFUSED, true, false },
    { "class ANY", HEAD_1 "NAME 0001 00ff", DNS_NOERROR, true, false },
}; // clang-format on

/* What came back, as a row says it: the answer is checked by somebody else. */
static void check_input(struct world *w, const struct input *in, const struct mu_buf *query)
{
    uint8_t answer[MU_DNS_TCP_MAX];
    struct dns_answered answered = { 0 };
    struct mu_buf text = MU_BUF_NONE;
    bool was_answered = world_ask(w, mu_buf_span(query), false, true, answer, &answered);

    if (was_answered != (in->rcode != DROPPED)) {
        fail_msg("%s: %s", in->why, was_answered ? "answered" : "dropped");
    }
    if (!was_answered) {
        return;
    }
    if (!dns_check(mu_buf_span(query), mu_span_of(answer, answered.bytes), 4096, DNS_CHECK_COUNTS,
                   &text)) {
        fail_msg("%s: %s", in->why, mu_buf_text(&text));
    }
    bool has_opt = strstr(mu_buf_text(&text), " OPT") != NULL;
    bool has_question = strstr(mu_buf_text(&text), "(no question)") == NULL;

    if ((int)answered.rcode != in->rcode || has_opt != in->has_opt ||
        has_question != in->has_question) {
        fail_msg("%s: rcode %d, %s", in->why, (int)answered.rcode, mu_buf_text(&text));
    }
    if (answered.rcode != DNS_NOERROR && answered.bytes > query->bytes) {
        fail_msg("%s: %zu bytes asked, %zu answered", in->why, query->bytes, answered.bytes);
    }
    mu_buf_deinit(&text);
}

static void hostile_input_is_answered_as_specified(void **state)
{
    struct world *w = world_new();

    (void)state;
    for (size_t i = 0; i < MU_LEN(inputs); i++) {
        struct mu_buf query = MU_BUF_NONE;

        from_hex(inputs[i].hex, &query);
        check_input(w, &inputs[i], &query);
        mu_buf_deinit(&query);
    }
    world_free(w);
}

/* Every prefix of every message in a buffer of exactly that size: the sanitizer watches. */
static void truncations_are_never_read_beyond(void **state)
{
    struct dns_query q;

    (void)state;
    for (size_t i = 0; i < MU_LEN(inputs); i++) {
        struct mu_buf query = MU_BUF_NONE;

        from_hex(inputs[i].hex, &query);
        for (size_t bytes = 0; bytes <= query.bytes; bytes++) {
            uint8_t *exact = malloc(bytes > 0 ? bytes : 1);

            assert_non_null(exact);
            if (bytes > 0) {
                memcpy(exact, query.data, bytes);
            }
            bool is_query = dns_query_read(&q, mu_span_of(exact, bytes));

            if (is_query && inputs[i].rcode == DNS_NOERROR && bytes < DNS_HEADER_BYTES + 24) {
                assert_int_equal(q.rcode, DNS_FORMERR);
            }
            free(exact);
        }
        mu_buf_deinit(&query);
    }
}

/* A name of `labels` labels of one byte, and one of `last` bytes. */
static void long_query(size_t labels, size_t last, struct mu_buf *to)
{
    static const uint8_t head[] = { 0x12, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
    static const uint8_t tail[] = { 0, 0, 1, 0, 1 };

    mu_buf_add(to, head, sizeof head);
    for (size_t i = 0; i < labels; i++) {
        mu_buf_add(to, "\x01x", 2);
    }
    if (last > 0) {
        mu_buf_add_byte(to, (uint8_t)last);
        for (size_t i = 0; i < last; i++) {
            mu_buf_add_byte(to, 'y');
        }
    }
    mu_buf_add(to, tail, sizeof tail);
}

static void names_end_at_255_bytes(void **state)
{
    static const struct {
        const char *why;
        size_t labels, last;
        bool is_valid;
    } cases[] = {
        // clang-format off
        { "127 labels, 255 bytes",  127, 0,  true },
        { "128 labels",             128, 0,  false },
        { "255 bytes",              100, 53, true },
        { "256 bytes",              100, 54, false },
        { "a label of 63",          10,  63, true },
        { "one of 64 is a type",    10,  64, false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf query = MU_BUF_NONE;
        struct dns_query q;

        long_query(cases[i].labels, cases[i].last, &query);
        assert_true(dns_query_read(&q, mu_buf_span(&query)));
        if (q.has_question != cases[i].is_valid) {
            fail_msg("%s: %s", cases[i].why, q.has_question ? "accepted" : "refused");
        }
        mu_buf_deinit(&query);
    }
}

/* The longest name there is, in our zone, still gets its whole answer. */
static void the_longest_name_is_answered(void **state)
{
    struct world *w = world_new();
    char name[256] = "";
    uint8_t answer[MU_DNS_TCP_MAX];
    struct dns_answered answered;
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf text = MU_BUF_NONE;
    struct dns_check_query q = { .name = name, .id = 1, .type = DNS_A, .has_edns = true };

    (void)state;
    while (strlen(name) + strlen("consul") < 252) {
        memcpy(name + strlen(name), "x.", sizeof "x.");
    }
    memcpy(name + strlen(name), "consul", sizeof "consul");
    assert_true(dns_check_ask(&q, &query));
    assert_true(world_ask(w, mu_buf_span(&query), false, true, answer, &answered));
    if (!dns_check(mu_buf_span(&query), mu_span_of(answer, answered.bytes), 512, DNS_CHECK_COUNTS,
                   &text)) {
        fail_msg("%s", mu_buf_text(&text));
    }
    assert_string_equal(mu_buf_text(&text), "NXDOMAIN aa; authority 1 SOA; additional 1 OPT\n");
    mu_buf_deinit(&text);
    mu_buf_deinit(&query);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_input_is_answered_as_specified),
        cmocka_unit_test(truncations_are_never_read_beyond),
        cmocka_unit_test(names_end_at_255_bytes),
        cmocka_unit_test(the_longest_name_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
