/* Consul's events: their bytes, the ring of the last ones, and who is meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "event_codec.h"
#include "event_ring.h"

static void comes_back_and_truncations_do_not(void **state)
{
    struct agent_event e = { .id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
                             .payload = MU_SPAN_LIT("p\0q"),
                             .node_filter = MU_SPAN_LIT("^a"),
                             .service_filter = MU_SPAN_LIT("web"),
                             .tag_filter = MU_SPAN_LIT("blue"),
                             .version = 1 };
    struct mu_err err = MU_ERR_NONE;
    struct agent_event out;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    event_encode(&e, &bytes);
    assert_int_equal(event_decode("consul:event:deploy", mu_buf_span(&bytes), &arena, &out, &err),
                     MU_OK);
    assert_true(mu_id_eq(&out.id, &e.id));
    assert_true(mu_span_eq_text(out.name, "deploy"));
    assert_true(mu_span_eq(out.payload, e.payload));
    assert_true(mu_span_eq(out.node_filter, e.node_filter));
    assert_true(mu_span_eq(out.service_filter, e.service_filter));
    assert_true(mu_span_eq(out.tag_filter, e.tag_filter));
    assert_int_equal(out.version, 1);
    for (size_t cut = 0; cut < 18; cut++) { /* without a whole id it is no event */
        assert_int_equal(
            event_decode("consul:event:deploy", mu_span_of(bytes.data, cut), &arena, &out, &err),
            MU_CORRUPT);
    }
    assert_int_equal(event_decode("deploy", mu_buf_span(&bytes), &arena, &out, &err), MU_CORRUPT);
    e.version = 2;
    mu_buf_clear(&bytes);
    event_encode(&e, &bytes);
    assert_int_equal(event_decode("consul:event:deploy", mu_buf_span(&bytes), &arena, &out, &err),
                     MU_UNSUPPORTED);
    mu_buf_deinit(&bytes);
    mu_arena_deinit(&arena);
}

static void collect(void *data, const struct agent_event *e)
{
    struct mu_buf *to = data;

    mu_buf_addf(to, "%.*s%.*s ", MU_SPAN_FMT(e->name), MU_SPAN_FMT(e->payload));
}

static void the_last_ones_are_kept(void **state)
{
    struct event_ring ring = { .next = 0 };
    struct mu_buf seen = MU_BUF_NONE;
    char name[8];

    (void)state;
    for (unsigned i = 0; i < MU_EVENTS_MAX + 3; i++) {
        struct agent_event e = { .name = mu_span_text(name), .payload = MU_SPAN_LIT("!") };

        (void)snprintf(name, sizeof name, "%u", i);
        e.name.bytes = strlen(name);
        event_ring_add(&ring, &e);
        memset(name, 'x', sizeof name - 1); /* it was copied */
    }
    event_ring_each(&ring, collect, &seen);
    assert_memory_equal(mu_buf_text(&seen), "3! 4! ", 6);
    assert_non_null(strstr(mu_buf_text(&seen), " 257! 258! "));
    mu_buf_deinit(&seen);
    event_ring_deinit(&ring);
}

static void who_is_meant(void **state)
{
    static const struct {
        const char *why, *node, *service, *tag;
        bool is_meant;
        const char *error;
    } rows[] = {
        // clang-format off
        { "no filter",                        "",    "",      "",      true,  NULL },
        { "a node, unanchored",               "o",   "",      "",      true,  NULL },
        { "another node",                     "^o",  "",      "",      false, NULL },
        { "a service by its id",              "",    "web-7", "",      true,  NULL },
        { "not by its name",                  "",    "^shop$", "",     false, NULL },
        { "with a tag",                       "",    "web",   "^blue", true,  NULL },
        { "the tag of another service",       "",    "web",   "red",   false, NULL },
        { "the node but not the service",     "one", "none",  "",      false, NULL },
        { "a pattern that is none",           "(",   "",      "",      false, "Invalid node filter: error parsing regexp: missing closing ): `(`" },
        { "another one",                      "",    "[",     "",      false, "Invalid service filter: error parsing regexp: missing closing ]: `[`" },
    }; // clang-format on
    struct mu_span blue[] = { MU_SPAN_LIT("green"), MU_SPAN_LIT("blue") };
    struct mu_span red[] = { MU_SPAN_LIT("red") };
    const struct service_definition web = { .id = MU_SPAN_LIT("web-7"),
                                            .name = MU_SPAN_LIT("shop"),
                                            .tags = { blue, 2 } };
    const struct service_definition db = { .id = MU_SPAN_LIT("db"),
                                           .name = MU_SPAN_LIT("db"),
                                           .tags = { red, 1 } };
    struct mu_err err = MU_ERR_NONE;
    struct local *local = local_new();

    (void)state;
    assert_int_equal(local_service_add(local, &web, LOCAL_FROM_API, false, &err), MU_OK);
    assert_int_equal(local_service_add(local, &db, LOCAL_FROM_API, false, &err), MU_OK);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct agent_event e = { .node_filter = mu_span_text(rows[i].node),
                                 .service_filter = mu_span_text(rows[i].service),
                                 .tag_filter = mu_span_text(rows[i].tag) };
        bool is_meant = false;

        err = MU_ERR_NONE;
        enum mu_code rc = event_is_meant(&e, "node-one", local, &is_meant, &err);

        if (is_meant != rows[i].is_meant || (rc != MU_OK) != (rows[i].error != NULL) ||
            (rc != MU_OK && strcmp(err.text, rows[i].error) != 0)) {
            fail_msg("%s: %d, %s", rows[i].why, is_meant, err.text);
        }
        assert_int_equal(event_check_filters(&e, &err), rc);
    }
    assert_int_equal(
        event_check_filters(&(struct agent_event){ .tag_filter = MU_SPAN_LIT("x") }, &err),
        MU_INVALID);
    assert_string_equal(err.text, "Cannot provide tag filter without service filter");
    local_free(local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_and_truncations_do_not),
        cmocka_unit_test(the_last_ones_are_kept),
        cmocka_unit_test(who_is_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
