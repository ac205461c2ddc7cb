/* What event handlers are told, and when: grammar, input, variables, coalescing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "coalesce.h"
#include "handler_rule.h"

/* -- grammar ----------------------------------------------------------------------------------- */

static void rules_are_read(void **state)
{
    static const struct {
        const char *why, *text, *script;
        const char *type, *name; /* of an event, and how often it runs */
        size_t times;
    } rows[] = {
        // clang-format off
        { "no filter is all",          "x.sh",                     "x.sh",    "member-join", "",     1 },
        { "an empty one too",          "=x.sh",                    "x.sh",    "user",        "a",    1 },
        { "split at the first =",      "*=A=1 x",                  "A=1 x",   "query",       "a",    1 },
        { "without a filter = is one", "user=a=b",                 "a=b",     "user",        "c",    1 },
        { "members",                   "member-join,member-leave=s", "s",     "member-leave", "",    1 },
        { "other members",             "member-join,member-leave=s", "s",     "member-failed", "",   0 },
        { "a name",                    "user:deploy=s",            "s",       "user",        "deploy", 1 },
        { "another name",              "user:deploy=s",            "s",       "user",        "deployx", 0 },
        { "a name of the other kind",  "user:deploy=s",            "s",       "query",       "deploy", 0 },
        { "an empty name is all",      "user:=s",                  "s",       "user",        "any",  1 },
        { "a name with a colon",       "query:a:b=s",              "s",       "query",       "a:b",  1 },
        { "twice",                     "user,user:x=s",            "s",       "user",        "x",    2 },
        { "nothing is trimmed",        "user: x= s ",              " s ",     "user",        " x",   1 },
        { "Consul's are apart",        "*=s",                      "s",       "user", "consul:event:x", 0 },
        { "unless asked for",          "user:consul:event:x=s",    "s",       "user", "consul:event:x", 1 },
        { "an empty script",           "user=",                    "",        "user",        "x",    1 },
    }; // clang-format on
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct handler_rule rule;

        if (handler_rule_parse(&rule, rows[i].text, &arena, &err) != MU_OK) {
            fail_msg("%s: %s", rows[i].why, err.text);
        }
        size_t times = handler_rule_matches(&rule, rows[i].type, rows[i].name);

        if (strcmp(rule.script, rows[i].script) != 0 || times != rows[i].times) {
            fail_msg("%s: '%s' %zu times", rows[i].why, rule.script, times);
        }
    }
    mu_arena_deinit(&arena);
}

static void bad_rules_are_refused(void **state)
{
    static const char *const rows[][2] = {
        { "foo=bar", "Invalid event script: Event 'foo' invoking 'bar'" },
        { " user=bar", "Invalid event script: Event ' user' invoking 'bar'" },
        { "user,member=x", "Invalid event script: Event 'member' invoking 'x'" },
        { "user,=x", "Invalid event script: Event '' invoking 'x'" },
        { ",user=x", "Invalid event script: Event '' invoking 'x'" },
        { "member-join:n=x", "Invalid event script: Event 'member-join:n' invoking 'x'" },
    };
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct handler_rule rule;

        assert_int_equal(handler_rule_parse(&rule, rows[i][0], &arena, &err), MU_INVALID);
        assert_string_equal(err.text, rows[i][1]);
    }
    mu_arena_deinit(&arena);
}

/* -- what a script gets ------------------------------------------------------------------------ */

static struct mu_pair web_tags[] = {
    { { (const uint8_t *)"v", 1 }, { (const uint8_t *)"1", 1 } },
    { { (const uint8_t *)"mu_x", 4 }, { (const uint8_t *)"ours", 4 } },
    { { (const uint8_t *)"role", 4 }, { (const uint8_t *)"w\te\nb", 5 } },
};

static struct gossip_view member(const char *name)
{
    return (struct gossip_view){ .name = name,
                                 .addr = { .ip = { 127, 0, 0, 14 }, .ip_bytes = 4, .port = 1 },
                                 .tags = { web_tags, 3 } };
}

static void expect_input(const struct handler_event *e, const char *text)
{
    struct mu_buf input = MU_BUF_NONE;

    handler_event_input(e, &input);
    assert_string_equal(mu_buf_text(&input), text);
    mu_buf_deinit(&input);
}

static void input_is_as_serf_has_it(void **state)
{
    struct gossip_view four = member("n4");
    struct gossip_view one = member("n\t1");
    struct handler_event *e = handler_event_of_members("member-join", 2);
    static const char *const payloads[][2] = { { "", "" },
                                               { "pay", "pay\n" },
                                               { "pay\n", "pay\n" } };

    (void)state;
    one.tags.count = 0;
    handler_event_add(e, &four);
    handler_event_add(e, &one);
    expect_input(e, "n4\t127.0.0.14\tw\\te\\nb\trole=w\\te\\nb,v=1\nn\\t1\t127.0.0.14\t\t\n");
    handler_event_release(e);
    for (size_t i = 0; i < MU_LEN(payloads); i++) {
        e = handler_event_of_user(
            &(struct gossip_user_event){ 1, "x", mu_span_text(payloads[i][0]), false });
        expect_input(e, payloads[i][1]);
        handler_event_release(e);
    }
}

static void expect_variables(const struct handler_event *e, const struct mu_pairs *tags,
                             const char *text)
{
    struct mu_buf all = MU_BUF_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    struct mu_pairs v = handler_event_variables(e, "me", tags, &arena);

    for (size_t i = 0; i < v.count; i++) {
        mu_buf_addf(&all, "%.*s=%.*s ", MU_SPAN_FMT(v.items[i].key), MU_SPAN_FMT(v.items[i].value));
    }
    assert_string_equal(mu_buf_text(&all), text);
    mu_buf_deinit(&all);
    mu_arena_deinit(&arena);
}

static void variables_are_as_serf_has_them(void **state)
{
    struct mu_pair odd[] = {
        { MU_SPAN_LIT("1x"), MU_SPAN_LIT("a") },
        { MU_SPAN_LIT("we ird-k.ey"), MU_SPAN_LIT("v 1") },
        { MU_SPAN_LIT("\xc3\xa4z"), MU_SPAN_LIT("b") },
    };
    struct mu_pairs tags = { odd, 3 };
    struct mu_pairs web = { web_tags, 1 };
    struct handler_event *e = handler_event_of_members("member-failed", 1);

    (void)state;
    expect_variables(e, &tags,
                     "SERF_EVENT=member-failed SERF_SELF_NAME=me SERF_SELF_ROLE= SERF_TAG_1X=a "
                     "SERF_TAG_WE_IRD_K_EY=v 1 SERF_TAG__Z=b ");
    handler_event_release(e);
    e = handler_event_of_user(&(struct gossip_user_event){ 42, "deploy", MU_SPAN_LIT("x"), false });
    expect_variables(e, &web,
                     "SERF_EVENT=user SERF_SELF_NAME=me SERF_SELF_ROLE= SERF_TAG_V=1 "
                     "SERF_USER_EVENT=deploy SERF_USER_LTIME=42 ");
    handler_event_release(e);
    e = handler_event_of_query(&(struct gossip_query){ .ltime = 7, .name = "load" });
    expect_variables(e, &(struct mu_pairs){ NULL, 0 },
                     "SERF_EVENT=query SERF_SELF_NAME=me SERF_SELF_ROLE= SERF_QUERY_NAME=load "
                     "SERF_QUERY_LTIME=7 ");
    handler_event_release(e);
}

/* -- coalescing -------------------------------------------------------------------------------- */

static void write_down(void *data, struct handler_event *e)
{
    struct mu_buf *to = data;

    mu_buf_addf(to, "%s%s%s", e->type, e->name[0] != '\0' ? ":" : "", e->name);
    for (size_t i = 0; i < e->members_count; i++) {
        mu_buf_addf(to, " %s", e->members[i].name);
    }
    mu_buf_addf(to, " %.*s|", MU_SPAN_FMT(e->payload));
    handler_event_release(e);
}

static void expect_flush(struct coalescer *c, uint64_t now_ms, const char *text)
{
    struct mu_buf told = MU_BUF_NONE;

    coalescer_flush(c, now_ms, write_down, &told);
    assert_string_equal(mu_buf_text(&told), text);
    mu_buf_deinit(&told);
}

static void hear(struct coalescer *c, uint64_t now_ms, const char *type, const char *name)
{
    struct gossip_view view = member(name);

    coalescer_member(c, now_ms, type, &view);
}

static void members_are_told_together(void **state)
{
    struct coalescer *c = coalescer_new();

    (void)state;
    assert_int_equal(coalescer_due(c), 0);
    hear(c, 1000, "member-join", "a");
    assert_int_equal(coalescer_due(c), 2000);
    hear(c, 1900, "member-join", "b");
    hear(c, 1950, "member-failed", "c");
    assert_int_equal(coalescer_due(c), 2950);
    expect_flush(c, 2949, "");
    expect_flush(c, 2950, "member-join a b |member-failed c |");
    assert_int_equal(coalescer_due(c), 0);

    /* back to what was told last: nothing to tell, but an update always is */
    hear(c, 5000, "member-failed", "a");
    hear(c, 5100, "member-join", "a");
    hear(c, 5100, "member-update", "b");
    expect_flush(c, 6100, "member-update b |");
    hear(c, 7000, "member-update", "b");
    expect_flush(c, 8000, "member-update b |");

    /* a steady stream is told every three seconds */
    for (uint64_t t = 10000; t < 13000; t += 500) {
        hear(c, t, t % 1000 == 0 ? "member-leave" : "member-failed", "d");
    }
    assert_int_equal(coalescer_due(c), 13000);
    expect_flush(c, 13000, "member-failed d |");

    /* whoever was reaped is unknown again */
    hear(c, 20000, "member-reap", "d");
    expect_flush(c, 21000, "member-reap d |");
    hear(c, 22000, "member-reap", "d");
    expect_flush(c, 23000, "member-reap d |");
    coalescer_free(c);
}

/* Down is told at once, each time; back only when it lasts. Others are told as ever. */
static void who_comes_and_goes_is_held_back(void **state)
{
    struct coalescer *c = coalescer_new();
    uint64_t t = 1000;

    (void)state;
    coalescer_damp(c, true);
    for (unsigned i = 0; i < 3; i++, t += 20000) {
        hear(c, t, "member-failed", "a");
        expect_flush(c, t + 1000, "member-failed a |");
        hear(c, t + 10000, "member-join", "a");
        expect_flush(c, t + 11000, i < 2 ? "member-join a |" : "");
    }
    assert_int_equal(coalescer_due(c), t - 10000 + COALESCE_HELD_MS);
    hear(c, t, "member-join", "b");
    expect_flush(c, t + 1000, "member-join b |");
    hear(c, t + 2000, "member-failed", "a"); /* again: nobody was told that it was back */
    expect_flush(c, t + 3000, "");
    hear(c, t + 4000, "member-join", "a");
    hear(c, t + 5000, "member-update", "a");
    expect_flush(c, t + 6000, "");
    assert_int_equal(coalescer_due(c), t + 4000 + COALESCE_HELD_MS);
    expect_flush(c, t + 4000 + COALESCE_HELD_MS, "");
    expect_flush(c, t + 5000 + COALESCE_HELD_MS, "member-join a |");

    /* gone in order while held: that is told; and with it all that was held against it */
    t += 60000;
    hear(c, t, "member-failed", "a");
    expect_flush(c, t + 1000, "member-failed a |");
    hear(c, t + 2000, "member-join", "a");
    hear(c, t + 3000, "member-leave", "a");
    expect_flush(c, t + 4000, "member-leave a |");
    hear(c, t + 5000, "member-join", "a");
    expect_flush(c, t + 6000, "member-join a |");
    assert_int_equal(coalescer_due(c), 0);

    /* three failures in more than ten minutes are none of these; what is held dies with all */
    for (unsigned i = 0; i < 4; i++) {
        t += i < 3 ? COALESCE_FLAPPING_MS / 2 : 10000;
        hear(c, t, "member-failed", "a");
        expect_flush(c, t + 1000, "member-failed a |");
        hear(c, t + 2000, "member-join", "a");
        expect_flush(c, t + 3000, i < 3 ? "member-join a |" : "");
    }
    coalescer_damp(c, false); /* what is held still does not outlive a failure */
    hear(c, t + 4000, "member-failed", "a");
    assert_int_equal(coalescer_due(c), t + 5000);
    expect_flush(c, t + 5000, "");
    assert_int_equal(coalescer_due(c), 0);
    coalescer_free(c);
}

static void user(struct coalescer *c, uint64_t now_ms, uint64_t ltime, const char *name,
                 const char *payload)
{
    coalescer_user(c, now_ms,
                   &(struct gossip_user_event){ ltime, name, mu_span_text(payload), true });
}

static void of_user_events_the_latest_counts(void **state)
{
    struct coalescer *c = coalescer_new();
    char name[16];

    (void)state;
    user(c, 1000, 5, "deploy", "old");
    user(c, 1100, 7, "deploy", "new");
    user(c, 1200, 7, "deploy", "same time");
    user(c, 1300, 6, "deploy", "late");
    user(c, 1300, 1, "other", "o");
    hear(c, 1300, "member-join", "a"); /* a window of its own */
    assert_int_equal(coalescer_due(c), 2300);
    expect_flush(c, 2300, "member-join a |user:deploy new|user:deploy same time|user:other o|");
    for (unsigned i = 0; i < COALESCE_USER_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        user(c, 5000, 9, name, "");
    }
    assert_int_equal(coalescer_due(c), 5000); /* at once */
    user(c, 5000, 9, "one more", "");
    coalescer_free(c); /* with what waits */
}

static void who_leaves_is_told_all_at_once(void **state)
{
    struct coalescer *c = coalescer_new();
    struct mu_buf told = MU_BUF_NONE;

    (void)state;
    coalescer_damp(c, true);
    for (unsigned i = 0; i < COALESCE_FLAPS; i++) {
        hear(c, 1000 + 1000 * i, "member-failed", "a");
        hear(c, 1500 + 1000 * i, "member-join", "a"); /* the last of these is held */
    }
    hear(c, 5000, "member-leave", "b");
    user(c, 5000, 5, "deploy", "new");
    coalescer_flush_all(c, write_down, &told);
    assert_string_equal(mu_buf_text(&told), "member-join a |member-leave b |user:deploy new|");
    assert_int_equal(coalescer_due(c), 0);
    mu_buf_clear(&told);
    coalescer_flush_all(c, write_down, &told);
    assert_int_equal(told.bytes, 0);
    mu_buf_deinit(&told);
    coalescer_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_read),
        cmocka_unit_test(bad_rules_are_refused),
        cmocka_unit_test(input_is_as_serf_has_it),
        cmocka_unit_test(variables_are_as_serf_has_them),
        cmocka_unit_test(members_are_told_together),
        cmocka_unit_test(who_comes_and_goes_is_held_back),
        cmocka_unit_test(of_user_events_the_latest_counts),
        cmocka_unit_test(who_leaves_is_told_all_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
