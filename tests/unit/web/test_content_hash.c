#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "content_hash.h"

/* The check values of http-api 2.5: Go's client compares them literally. */
static void the_reference_gives_these_values(void **state)
{
    static const struct {
        const char *body, *hash;
    } cases[] = {
        // clang-format off
        { "{\"ID\":\"foo\",\"Name\":\"foo\",\"Tags\":[\"bar\",\"baz\"],\"Port\":8000}", "6b13684bfe179e67" },
        { "{\"ID\":\"web1\",\"Name\":\"web\",\"Tags\":[\"a\",\"b\"],\"Address\":\"10.0.0.5\",\"Port\":80,"
          "\"Meta\":{\"v\":\"1\"}}", "61b0506a84b0d8ba" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_json *tree = NULL;
        struct mu_arena arena;
        struct service_definition d;
        char hash[CONTENT_HASH_TEXT_MAX];

        mu_arena_init(&arena, 0);
        assert_int_equal(mu_json_parse(&tree, mu_span_text(cases[i].body), true, NULL), MU_OK);
        assert_int_equal(service_definition_decode(tree, &d, &arena, NULL), MU_OK);
        mu_json_free(tree);
        content_hash(&d, hash);
        assert_string_equal(hash, cases[i].hash);
        mu_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_reference_gives_these_values) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
