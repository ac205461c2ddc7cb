/* What this node should have registered. The listener writes down what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/local.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

struct world {
    struct local *local;
    struct mu_buf told; /* since the last look */
};

static void on_change(void *data, enum local_change_kind kind, struct mu_span id)
{
    static const char *const kinds[] = {
        [LOCAL_SERVICE_SET] = "service+", [LOCAL_SERVICE_GONE] = "service-",
        [LOCAL_CHECK_SET] = "check+",     [LOCAL_CHECK_GONE] = "check-",
        [LOCAL_CHECK_RESULT] = "result",
    };
    struct world *w = data;

    mu_buf_addf(&w->told, "%s %.*s|", kinds[kind], MU_SPAN_FMT(id));
}

static int world_open(void **state)
{
    struct world *w = mu_new(sizeof *w);

    w->local = local_new();
    local_set_listener(w->local, on_change, w);
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;

    local_free(w->local);
    mu_buf_deinit(&w->told);
    mu_free(w);
    return 0;
}

static void expect_told(struct world *w, const char *text)
{
    assert_string_equal(mu_buf_text(&w->told), text);
    mu_buf_clear(&w->told);
}

static struct check_definition ttl_check(const char *id, const char *service)
{
    return (struct check_definition){ .id = mu_span_text(id),
                                      .name = mu_span_text(id),
                                      .service_id = mu_span_text(service),
                                      .ttl_ns = MU_NS_PER_S };
}

static void add_check(struct world *w, const char *id, const char *service, const char *status)
{
    struct check_definition d = ttl_check(id, service);

    d.status = mu_span_text(status);
    assert_int_equal(local_check_add(w->local, &d, LOCAL_FROM_API, NULL), MU_OK);
}

/* With checks named by the letters of `checks`. */
static void add_service(struct world *w, const char *id, const char *checks, bool replaces)
{
    struct check_definition list[8];
    char names[8][2];
    struct service_definition d = { .id = mu_span_text(id),
                                    .name = MU_SPAN_LIT("web"),
                                    .checks = list };

    for (; checks[d.checks_count] != '\0'; d.checks_count++) {
        names[d.checks_count][0] = checks[d.checks_count];
        names[d.checks_count][1] = '\0';
        list[d.checks_count] = ttl_check(names[d.checks_count], "");
    }
    assert_int_equal(local_service_add(w->local, &d, LOCAL_FROM_API, replaces, NULL), MU_OK);
}

/* "id status output since flags": s synced, d deleted, n new output. */
static void describe_check(void *data, const struct local_check *c)
{
    mu_buf_addf(data, "%s %s '%.*s' %llu %s%s%s|", c->id, check_status_text(c->status),
                MU_SPAN_FMT(c->output), (unsigned long long)c->critical_since_ms,
                c->is_synced ? "s" : "", c->is_deleted ? "d" : "", c->has_new_output ? "n" : "");
}

static void describe_service(void *data, const struct local_service *s)
{
    mu_buf_addf(data, "%.*s %s%s|", MU_SPAN_FMT(s->definition->id), s->is_synced ? "s" : "",
                s->is_deleted ? "d" : "");
}

static void expect_checks(struct world *w, bool with_deleted, const char *text)
{
    struct mu_buf b = MU_BUF_NONE;

    local_each_check(w->local, with_deleted, describe_check, &b);
    assert_string_equal(mu_buf_text(&b), text);
    mu_buf_deinit(&b);
}

static void expect_services(struct world *w, bool with_deleted, const char *text)
{
    struct mu_buf b = MU_BUF_NONE;

    local_each_service(w->local, with_deleted, describe_service, &b);
    assert_string_equal(mu_buf_text(&b), text);
    mu_buf_deinit(&b);
}

static void update(struct world *w, const char *id, enum check_status status, const char *output,
                   uint64_t now_ms)
{
    assert_true(
        local_check_update(w->local, mu_span_text(id), status, mu_span_text(output), now_ms));
}

/* -- registering ---------------------------------------------------------------------------- */

static void a_service_comes_with_its_checks(void **state)
{
    struct world *w = *state;
    struct local_check c;

    add_service(w, "web1", "ab", false);
    expect_told(w, "service+ web1|check+ a|check+ b|");
    assert_int_equal(local_services_count(w->local), 1);
    assert_int_equal(local_checks_count(w->local), 2);
    assert_true(local_check_find(w->local, MU_SPAN_LIT("a"), &c));
    assert_true(mu_span_eq_text(c.definition->service_id, "web1"));
    assert_true(mu_span_eq_text(c.service_name, "web"));
    assert_string_equal(c.type, "ttl");
    expect_checks(w, false, "a critical '' 0 |b critical '' 0 |");
}

static void ids_keep_their_case(void **state)
{
    struct world *w = *state;

    add_check(w, "c", "", "");
    add_check(w, "C", "", "");
    assert_int_equal(local_checks_count(w->local), 2);
}

static void definitions_are_copied(void **state)
{
    struct world *w = *state;
    char id[] = "c";
    struct check_definition d = ttl_check(id, "");
    struct local_check c;

    assert_int_equal(local_check_add(w->local, &d, LOCAL_FROM_API, NULL), MU_OK);
    id[0] = 'X';
    assert_true(local_check_find(w->local, MU_SPAN_LIT("c"), &c));
    assert_string_equal(c.id, "c");
}

static void a_replaced_check_keeps_its_status(void **state)
{
    struct world *w = *state;

    add_check(w, "c", "", "");
    update(w, "c", CHECK_PASSING, "fine", 5);
    local_check_synced(w->local, MU_SPAN_LIT("c"));
    expect_told(w, "check+ c|result c|");
    add_check(w, "c", "", "");
    expect_told(w, "check+ c|");
    expect_checks(w, false, "c passing 'fine' 0 |");
    add_check(w, "c", "", "warning"); /* unless the definition names one */
    expect_checks(w, false, "c warning 'fine' 0 |");
    assert_int_equal(local_checks_count(w->local), 1);
}

static void checks_stay_unless_they_are_replaced(void **state)
{
    struct world *w = *state;

    add_service(w, "web1", "ab", false);
    add_check(w, "c", "web1", "");
    add_check(w, "_service_maintenance:web1", "web1", "critical");
    add_check(w, "n", "", "");
    add_service(w, "web1", "b", false);
    assert_int_equal(local_checks_count(w->local), 5);
    mu_buf_clear(&w->told);
    add_service(w, "web1", "b", true);
    expect_told(w, "service+ web1|check- a|check- c|check+ b|");
    expect_checks(w, false,
                  "b critical '' 0 |_service_maintenance:web1 critical '' 0 |n critical '' 0 |");
}

static void a_check_moves_to_another_service(void **state)
{
    struct world *w = *state;
    struct local_check c;

    add_service(w, "one", "c", false);
    add_service(w, "two", "c", false);
    assert_int_equal(local_checks_count(w->local), 1);
    assert_true(local_check_find(w->local, MU_SPAN_LIT("c"), &c));
    assert_true(mu_span_eq_text(c.definition->service_id, "two"));
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("one"), NULL), MU_OK);
    assert_int_equal(local_checks_count(w->local), 1);
}

static void what_is_missing_is_named(void **state)
{
    struct world *w = *state;
    struct check_definition d = ttl_check("c", "nosvc");
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(local_check_add(w->local, &d, LOCAL_FROM_API, &err), MU_NOT_FOUND);
    assert_string_equal(err.text, "ServiceID \"nosvc\" does not exist");
    assert_int_equal(local_check_remove(w->local, MU_SPAN_LIT("x"), &err), MU_NOT_FOUND);
    assert_string_equal(err.text, "Unknown check \"x\"");
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("x"), &err), MU_NOT_FOUND);
    assert_string_equal(err.text, "Unknown service \"x\"");
    assert_false(local_check_update(w->local, MU_SPAN_LIT("x"), CHECK_PASSING, MU_SPAN_NONE, 1));
    expect_told(w, "");

    /* A service that is only waiting for the catalog is no service any more. */
    add_service(w, "nosvc", "", false);
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("nosvc"), NULL), MU_OK);
    assert_int_equal(local_check_add(w->local, &d, LOCAL_FROM_API, &err), MU_NOT_FOUND);
}

static void numbers_are_bounded(void **state)
{
    struct world *w = *state;
    struct service_definition s = { .name = MU_SPAN_LIT("s"), .id = MU_SPAN_LIT("more") };
    struct check_definition c = ttl_check("more", "");
    struct mu_err err = MU_ERR_NONE;

    local_set_listener(w->local, NULL, NULL);
    for (unsigned i = 0; i < MU_LOCAL_CHECKS_MAX; i++) {
        struct mu_buf id = MU_BUF_NONE;

        mu_buf_addf(&id, "%u", i);
        add_check(w, mu_buf_text(&id), "", "");
        if (i < MU_LOCAL_SERVICES_MAX) {
            add_service(w, mu_buf_text(&id), "", false);
        }
        mu_buf_deinit(&id);
    }
    assert_int_equal(local_check_add(w->local, &c, LOCAL_FROM_API, &err), MU_BUSY);
    assert_string_equal(err.text, "this agent has 16384 checks already");
    assert_int_equal(local_service_add(w->local, &s, LOCAL_FROM_API, false, &err), MU_BUSY);
    assert_string_equal(err.text, "this agent has 8192 services already");
    add_check(w, "0", "", ""); /* replacing needs no room */
    add_service(w, "0", "", false);
    s.id = MU_SPAN_LIT("0");
    s.checks = &c;
    s.checks_count = 1;
    assert_int_equal(local_service_add(w->local, &s, LOCAL_FROM_API, false, &err), MU_BUSY);
}

/* -- results -------------------------------------------------------------------------------- */

static void results_that_change_nothing_tell_nobody(void **state)
{
    struct world *w = *state;

    add_check(w, "c", "", "");
    expect_told(w, "check+ c|");
    update(w, "c", CHECK_CRITICAL, "", 10);
    expect_told(w, "");
    expect_checks(w, false, "c critical '' 10 |"); /* but since when is known now */
    update(w, "c", CHECK_CRITICAL, "down", 20);
    expect_told(w, "result c|");
    expect_checks(w, false, "c critical 'down' 10 |");
    update(w, "c", CHECK_CRITICAL, "down", 30);
    expect_told(w, "");
}

static void critical_counts_from_the_transition(void **state)
{
    struct world *w = *state;

    add_check(w, "c", "", "passing");
    update(w, "c", CHECK_CRITICAL, "", 0); /* 0 would mean: not critical */
    expect_checks(w, false, "c critical '' 1 |");
    update(w, "c", CHECK_WARNING, "", 20);
    expect_checks(w, false, "c warning '' 0 |");
    update(w, "c", CHECK_CRITICAL, "", 30);
    update(w, "c", CHECK_CRITICAL, "x", 40);
    expect_checks(w, false, "c critical 'x' 30 |");
}

static void output_alone_may_wait(void **state)
{
    struct world *w = *state;

    add_check(w, "c", "", "passing");
    update(w, "c", CHECK_PASSING, "one", 1);
    expect_checks(w, false, "c passing 'one' 0 |"); /* never synced: nothing to put off */
    local_check_synced(w->local, MU_SPAN_LIT("c"));
    update(w, "c", CHECK_PASSING, "two", 2);
    expect_checks(w, false, "c passing 'two' 0 sn|");
    update(w, "c", CHECK_WARNING, "two", 3);
    expect_checks(w, false, "c warning 'two' 0 |"); /* a status does not wait */
    local_check_synced(w->local, MU_SPAN_LIT("c"));
    update(w, "c", CHECK_WARNING, "three", 4);
    local_check_differs(w->local, MU_SPAN_LIT("c"));
    expect_checks(w, false, "c warning 'three' 0 |");
}

/* -- ending, and what anti-entropy does ----------------------------------------------------- */

static void a_removed_item_waits_for_the_catalog(void **state)
{
    struct world *w = *state;
    struct local_service s;
    struct local_check c;

    add_service(w, "web1", "a", false);
    add_check(w, "n", "", "");
    local_service_synced(w->local, MU_SPAN_LIT("web1"));
    local_check_synced(w->local, MU_SPAN_LIT("a"));
    local_check_synced(w->local, MU_SPAN_LIT("n"));
    mu_buf_clear(&w->told);
    assert_int_equal(local_check_remove(w->local, MU_SPAN_LIT("n"), NULL), MU_OK);
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("web1"), NULL), MU_OK);
    expect_told(w, "check- n|check- a|service- web1|");
    assert_int_equal(local_services_count(w->local), 0);
    assert_int_equal(local_checks_count(w->local), 0);
    assert_false(local_service_find(w->local, MU_SPAN_LIT("web1"), &s));
    assert_false(local_check_find(w->local, MU_SPAN_LIT("a"), &c));
    assert_false(local_check_update(w->local, MU_SPAN_LIT("a"), CHECK_PASSING, MU_SPAN_NONE, 1));
    expect_services(w, false, "");
    expect_services(w, true, "web1 d|");
    expect_checks(w, true, "a critical '' 0 d|n critical '' 0 d|");

    local_service_synced(w->local, MU_SPAN_LIT("web1")); /* takes its checks along */
    expect_services(w, true, "");
    expect_checks(w, true, "n critical '' 0 d|");
    local_check_synced(w->local, MU_SPAN_LIT("n"));
    expect_checks(w, true, "");
}

static void what_comes_back_begins_anew(void **state)
{
    struct world *w = *state;

    add_service(w, "web1", "a", false);
    update(w, "a", CHECK_PASSING, "fine", 1);
    local_check_synced(w->local, MU_SPAN_LIT("a"));
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("web1"), NULL), MU_OK);
    add_service(w, "web1", "a", false);
    expect_services(w, true, "web1 |");
    expect_checks(w, true, "a critical '' 0 |");
    local_service_synced(w->local, MU_SPAN_LIT("web1"));
    expect_services(w, true, "web1 s|");
    assert_int_equal(local_services_count(w->local), 1);
    assert_int_equal(local_checks_count(w->local), 1);
}

static void differences_are_noted(void **state)
{
    struct world *w = *state;

    add_service(w, "web1", "", false);
    local_service_synced(w->local, MU_SPAN_LIT("web1"));
    local_service_differs(w->local, MU_SPAN_LIT("web1"));
    expect_services(w, true, "web1 |");
    local_service_differs(w->local, MU_SPAN_LIT("nope"));
    local_service_synced(w->local, MU_SPAN_LIT("nope"));
    local_check_differs(w->local, MU_SPAN_LIT("nope"));
    local_check_synced(w->local, MU_SPAN_LIT("nope"));
    expect_services(w, true, "web1 |");
}

static void the_catalogs_tags_are_taken_over(void **state)
{
    static struct mu_span items[] = { MU_SPAN_LIT("x"), MU_SPAN_LIT("y") };
    static const struct mu_texts tags = { items, 2 };
    struct world *w = *state;
    struct local_service s;
    struct local_check c;

    add_service(w, "web1", "a", false);
    local_service_tags(w->local, MU_SPAN_LIT("web1"), &tags);
    assert_true(local_service_find(w->local, MU_SPAN_LIT("web1"), &s));
    assert_int_equal(s.definition->tags.count, 2);
    assert_true(mu_span_eq_text(s.definition->tags.items[1], "y"));
    assert_true(local_check_find(w->local, MU_SPAN_LIT("a"), &c));
    assert_int_equal(c.service_tags->count, 2);
    local_service_tags(w->local, MU_SPAN_LIT("nope"), &tags);
}

static void kinds_are_named(void **state)
{
    static struct mu_span args[] = { MU_SPAN_LIT("true") };
    static const struct {
        struct check_definition d;
        enum local_source source;
        const char *type;
    } cases[] = {
        // clang-format off
        { { .http = MU_SPAN_LIT("x") }, LOCAL_FROM_API, "http" },
        { { .tcp = MU_SPAN_LIT("x") }, LOCAL_FROM_API, "tcp" },
        { { .grpc = MU_SPAN_LIT("x") }, LOCAL_FROM_API, "grpc" },
        { { .ttl_ns = 1 }, LOCAL_FROM_API, "ttl" },
        { { .alias_node = MU_SPAN_LIT("x") }, LOCAL_FROM_API, "alias" },
        { { .script_args = { args, 1 } }, LOCAL_FROM_API, "script" },
        { { .docker = MU_SPAN_LIT("x"), .script_args = { args, 1 } }, LOCAL_FROM_API, "docker" },
        { { .name = MU_SPAN_LIT("x") }, LOCAL_FROM_API, "" },
        { { .http = MU_SPAN_LIT("x") }, LOCAL_FROM_CONFIG, "" },
    }; // clang-format on
    struct world *w = *state;
    struct local_check c;

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct check_definition d = cases[i].d;

        d.id = MU_SPAN_LIT("c");
        assert_int_equal(local_check_add(w->local, &d, cases[i].source, NULL), MU_OK);
        assert_true(local_check_find(w->local, d.id, &c));
        assert_string_equal(c.type, cases[i].type);
        assert_int_equal(c.source, cases[i].source);
    }
    add_check(w, "_node_maintenance", "", "critical");
    assert_true(local_check_find(w->local, MU_SPAN_LIT("_node_maintenance"), &c));
    assert_string_equal(c.type, "maintenance");
}

static void statuses_are_words(void **state)
{
    enum check_status status = CHECK_CRITICAL;

    (void)state;
    assert_true(check_status_parse(MU_SPAN_LIT("passing"), &status));
    assert_int_equal(status, CHECK_PASSING);
    assert_true(check_status_parse(MU_SPAN_LIT("warning"), &status));
    assert_true(check_status_parse(MU_SPAN_LIT("critical"), &status));
    assert_string_equal(check_status_text(status), "critical");
    assert_false(check_status_parse(MU_SPAN_LIT("Passing"), &status));
    assert_false(check_status_parse(MU_SPAN_NONE, &status));
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    static const struct CMUnitTest tests[] = {
        IN_A_WORLD(a_service_comes_with_its_checks),
        IN_A_WORLD(ids_keep_their_case),
        IN_A_WORLD(definitions_are_copied),
        IN_A_WORLD(a_replaced_check_keeps_its_status),
        IN_A_WORLD(checks_stay_unless_they_are_replaced),
        IN_A_WORLD(a_check_moves_to_another_service),
        IN_A_WORLD(what_is_missing_is_named),
        IN_A_WORLD(numbers_are_bounded),
        IN_A_WORLD(results_that_change_nothing_tell_nobody),
        IN_A_WORLD(critical_counts_from_the_transition),
        IN_A_WORLD(output_alone_may_wait),
        IN_A_WORLD(a_removed_item_waits_for_the_catalog),
        IN_A_WORLD(what_comes_back_begins_anew),
        IN_A_WORLD(differences_are_noted),
        IN_A_WORLD(the_catalogs_tags_are_taken_over),
        IN_A_WORLD(kinds_are_named),
        cmocka_unit_test(statuses_are_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
