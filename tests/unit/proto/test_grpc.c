#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "proto/grpc.h"

struct heard {
    struct mu_buf text;
    size_t refuse_at; /* fail at this message; 0: never */
    size_t count;
};

static enum mu_code hears(void *data, struct mu_span message, struct mu_err *err)
{
    struct heard *h = data;

    mu_buf_addf(&h->text, "(%.*s)", MU_SPAN_FMT(message));
    h->count++;
    return h->count == h->refuse_at ? mu_fail(err, MU_CORRUPT, "not this one") : MU_OK;
}

static void messages_come_out_whole(void **state)
{
    struct mu_buf wire = MU_BUF_NONE;

    (void)state;
    mu_grpc_add(&wire, MU_SPAN_LIT("one"));
    mu_grpc_add(&wire, MU_SPAN_NONE);
    mu_grpc_add(&wire, MU_SPAN_LIT("three"));
    for (size_t part = 1; part <= wire.bytes; part++) {
        struct heard heard = { .text = MU_BUF_NONE };
        struct mu_grpc_in in;

        mu_grpc_in_init(&in, 5);
        for (size_t at = 0; at < wire.bytes; at += part) {
            assert_int_equal(
                mu_grpc_feed(&in, mu_span_sub(mu_buf_span(&wire), at, part), hears, &heard, NULL),
                MU_OK);
        }
        assert_string_equal(mu_buf_text(&heard.text), "(one)()(three)");
        assert_true(mu_grpc_in_is_empty(&in));
        mu_buf_deinit(&heard.text);
        mu_grpc_in_deinit(&in);
    }
    mu_buf_deinit(&wire);
}

static void every_truncation_is_noticed(void **state)
{
    struct mu_buf wire = MU_BUF_NONE;

    (void)state;
    mu_grpc_add(&wire, MU_SPAN_LIT("whole"));
    for (size_t cut = 1; cut < wire.bytes; cut++) {
        struct heard heard = { .text = MU_BUF_NONE };
        struct mu_grpc_in in;

        mu_grpc_in_init(&in, 5);
        assert_int_equal(
            mu_grpc_feed(&in, mu_span_sub(mu_buf_span(&wire), 0, cut), hears, &heard, NULL), MU_OK);
        assert_int_equal(heard.count, 0);
        assert_false(mu_grpc_in_is_empty(&in));
        mu_grpc_in_deinit(&in);
    }
    mu_buf_deinit(&wire);
}

static void bad_messages_are_refused(void **state)
{
    static const struct {
        const char *why;
        struct mu_span bytes;
        enum mu_code code;
        const char *heard, *text;
    } cases[] = {
        { "compressed", MU_SPAN_LIT("\1\0\0\0\1a"), MU_UNSUPPORTED, "",
          "compressed message (flag 1)" },
        { "above the limit, before its bytes came", MU_SPAN_LIT("\0\0\0\0\6"), MU_TOO_BIG, "",
          "message of 6 bytes, at most 5 are taken" },
        { "4 GiB", MU_SPAN_LIT("\0\xff\xff\xff\xff"), MU_TOO_BIG, "",
          "message of 4294967295 bytes, at most 5 are taken" },
        { "behind a good one", MU_SPAN_LIT("\0\0\0\0\1a\2\0\0\0\0"), MU_UNSUPPORTED, "(a)",
          "compressed message (flag 2)" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        for (size_t part = 1; part <= cases[i].bytes.bytes; part++) {
            struct heard heard = { .text = MU_BUF_NONE };
            struct mu_err err = MU_ERR_NONE;
            enum mu_code code = MU_OK;
            struct mu_grpc_in in;

            mu_grpc_in_init(&in, 5);
            for (size_t at = 0; at < cases[i].bytes.bytes && code == MU_OK; at += part) {
                code =
                    mu_grpc_feed(&in, mu_span_sub(cases[i].bytes, at, part), hears, &heard, &err);
            }
            if (code != cases[i].code || strcmp(err.text, cases[i].text) != 0 ||
                strcmp(mu_buf_text(&heard.text), cases[i].heard) != 0) {
                fail_msg("%s in parts of %zu: %s (%s), heard %s", cases[i].why, part,
                         mu_code_text(code), err.text, mu_buf_text(&heard.text));
            }
            mu_buf_deinit(&heard.text);
            mu_grpc_in_deinit(&in);
        }
    }
}

static void the_receiver_may_refuse(void **state)
{
    struct heard heard = { .text = MU_BUF_NONE, .refuse_at = 2 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_grpc_in in;

    (void)state;
    mu_grpc_in_init(&in, 5);
    assert_int_equal(
        mu_grpc_feed(&in, MU_SPAN_LIT("\0\0\0\0\1a\0\0\0\0\1b\0\0\0\0\1c"), hears, &heard, &err),
        MU_CORRUPT);
    assert_string_equal(mu_buf_text(&heard.text), "(a)(b)");
    assert_string_equal(err.text, "not this one");
    mu_buf_deinit(&heard.text);
    mu_grpc_in_deinit(&in);
}

static void status_text_is_escaped(void **state)
{
    static const struct {
        const char *why, *plain, *wire;
    } cases[] = {
        { "nothing to do", "plain text ~", "plain text ~" },
        { "the escape itself", "100%", "100%25" },
        { "line ends and UTF-8", "a\n\xc3\xa9\x7f", "a%0A%C3%A9%7F" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf b = MU_BUF_NONE;

        mu_grpc_text_encode(&b, mu_span_text(cases[i].plain));
        assert_string_equal(mu_buf_text(&b), cases[i].wire);
        mu_buf_clear(&b);
        mu_grpc_text_decode(&b, mu_span_text(cases[i].wire));
        assert_string_equal(mu_buf_text(&b), cases[i].plain);
        mu_buf_deinit(&b);
    }
}

static void what_is_no_escape_stays(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    mu_grpc_text_decode(&b, MU_SPAN_LIT("%zz%4%%41%e"));
    assert_string_equal(mu_buf_text(&b), "%zz%4%A%e");
    mu_buf_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_whole),  cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(bad_messages_are_refused), cmocka_unit_test(the_receiver_may_refuse),
        cmocka_unit_test(status_text_is_escaped),   cmocka_unit_test(what_is_no_escape_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
