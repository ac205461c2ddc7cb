/* What is written so that the catalog says what the node says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "antientropy.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

struct world {
    struct local *local;
    struct antientropy_node self;
    struct mu_pair meta;
};

static int setup(void **state)
{
    struct world *w = mu_new(sizeof *w);

    mu_log_set_fd(-1);
    w->local = local_new();
    w->meta = (struct mu_pair){ MU_SPAN_LIT("rack"), MU_SPAN_LIT("r1") };
    w->self.node = (struct command_node){
        .name = MU_SPAN_LIT("n1"),
        .id = MU_SPAN_LIT("11111111-aaaa-4bbb-8ccc-000000000001"),
        .address = MU_SPAN_LIT("10.1.0.1"),
        .meta = { &w->meta, 1 },
        .has_meta = true,
        .has_tagged_addresses = true,
    };
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    local_free(w->local);
    mu_free(w);
    return 0;
}

static void add_service(struct world *w, const char *name, bool with_check, bool leaves_tags)
{
    struct mu_span tags[] = { MU_SPAN_LIT("mine") };
    char id[64];

    (void)snprintf(id, sizeof id, "service:%s", name);
    struct check_definition check = {
        .id = mu_span_text(id),
        .name = MU_SPAN_LIT("a check"),
        .ttl_ns = 1000000000,
    };
    struct service_definition d = {
        .id = mu_span_text(name),
        .name = mu_span_text(name),
        .tags = { tags, 1 },
        .port = 80,
        .weight_passing = 1,
        .weight_warning = 1,
        .enable_tag_override = leaves_tags,
        .checks = with_check ? &check : NULL,
        .checks_count = with_check,
    };

    assert_int_equal(local_service_add(w->local, &d, LOCAL_FROM_API, false, NULL), MU_OK);
}

/* The plan in words: "node, service web (service:web), no check x". */
static void expect(const struct antientropy_plan *p, const char *text)
{
    static const char *const words[] = {
        [ANTIENTROPY_NODE] = "node",         [ANTIENTROPY_SERVICE] = "service",
        [ANTIENTROPY_CHECK] = "check",       [ANTIENTROPY_NO_SERVICE] = "no service",
        [ANTIENTROPY_NO_CHECK] = "no check",
    };
    struct mu_buf out = MU_BUF_NONE;

    for (size_t i = 0; i < p->count; i++) {
        const struct antientropy_step *s = &p->steps[i];

        mu_buf_addf(&out, "%s%s%s%.*s", i > 0 ? ", " : "", words[s->what],
                    s->id.bytes > 0 ? " " : "", MU_SPAN_FMT(s->id));
        for (size_t j = 0; j < s->checks_count; j++) {
            mu_buf_addf(&out, " (%.*s)", MU_SPAN_FMT(s->checks[j]));
        }
    }
    assert_string_equal(mu_buf_text(&out), text);
    mu_buf_deinit(&out);
}

static void finish(struct world *w, struct antientropy_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        antientropy_done(w->local, &p->steps[i]);
    }
    antientropy_plan_deinit(p);
}

/* The catalog as the commands of a plan would leave it. */
static struct antientropy_remote remote_of(const struct antientropy_plan *p,
                                           struct command_register *room, struct world *w)
{
    struct antientropy_remote remote = { .exists = true, .registers = room };

    room[remote.count++] = (struct command_register){ .node = w->self.node };
    for (size_t i = 0; i < p->count; i++) {
        if (p->steps[i].command.kind == COMMAND_REGISTER) {
            room[remote.count++] = p->steps[i].command.reg;
        }
    }
    return remote;
}

static void everything_is_written_once_and_then_in_sync(void **state)
{
    struct world *w = *state;
    struct antientropy_remote nothing = { .exists = false };
    struct antientropy_plan first;
    struct antientropy_plan second;
    struct command_register room[8];

    add_service(w, "web", true, false);
    add_service(w, "db", false, false);
    antientropy_plan_init(&first);
    antientropy_full(&first, w->local, &w->self, &nothing, true);
    expect(&first, "node, service web (service:web), service db");
    assert_false(first.steps[0].command.reg.skip_node_update);
    assert_true(first.steps[1].command.reg.skip_node_update);

    struct antientropy_remote remote = remote_of(&first, room, w);

    for (size_t i = 0; i < first.count; i++) {
        antientropy_done(w->local, &first.steps[i]);
    }
    antientropy_plan_init(&second);
    antientropy_full(&second, w->local, &w->self, &remote, true);
    expect(&second, "");
    antientropy_plan_deinit(&second);

    /* Partial passes see only what changed. */
    assert_true(local_check_update(w->local, MU_SPAN_LIT("service:web"), CHECK_PASSING,
                                   MU_SPAN_LIT("fine"), 5));
    antientropy_plan_init(&second);
    antientropy_partial(&second, w->local, &w->self);
    expect(&second, "check service:web");
    finish(w, &second);
    antientropy_plan_deinit(&first);
}

static void what_only_the_catalog_has_goes_but_for_the_leaders_own(void **state)
{
    struct world *w = *state;
    struct command_check checks[] = {
        { .id = MU_SPAN_LIT("serfHealth"), .status = MU_SPAN_LIT("passing") },
        { .id = MU_SPAN_LIT("stranger"), .status = MU_SPAN_LIT("passing") },
    };
    struct command_register room[] = {
        { .node = w->self.node, .checks = checks, .checks_count = 2 },
        { .node = w->self.node, .has_service = true, .service = { .id = MU_SPAN_LIT("consul") } },
        { .node = w->self.node, .has_service = true, .service = { .id = MU_SPAN_LIT("old") } },
    };
    struct antientropy_remote remote = { true, room, 3 };
    struct antientropy_plan p;

    antientropy_plan_init(&p);
    antientropy_full(&p, w->local, &w->self, &remote, true);
    expect(&p, "no check stranger, no service old");
    finish(w, &p);
}

static void a_removed_service_is_told_once(void **state)
{
    struct world *w = *state;
    struct antientropy_remote nothing = { .exists = false };
    struct antientropy_plan p;
    struct local_service service;

    add_service(w, "web", true, false);
    antientropy_plan_init(&p);
    antientropy_full(&p, w->local, &w->self, &nothing, true);
    finish(w, &p);
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("web"), NULL), MU_OK);
    assert_false(local_service_find(w->local, MU_SPAN_LIT("web"), &service));
    antientropy_plan_init(&p);
    antientropy_partial(&p, w->local, &w->self);
    expect(&p, "no service web, no check service:web");
    finish(w, &p);
    antientropy_plan_init(&p);
    antientropy_partial(&p, w->local, &w->self);
    expect(&p, "");
    antientropy_plan_deinit(&p);
}

static void the_local_version_wins_except_for_tags_left_to_the_catalog(void **state)
{
    struct world *w = *state;
    struct antientropy_remote nothing = { .exists = false };
    struct antientropy_plan first;
    struct antientropy_plan second;
    struct command_register room[8];
    struct mu_span tags[] = { MU_SPAN_LIT("theirs"), MU_SPAN_LIT("too") };
    struct local_service service;

    add_service(w, "keeps", false, false);
    add_service(w, "leaves", false, true);
    antientropy_plan_init(&first);
    antientropy_full(&first, w->local, &w->self, &nothing, true);
    struct antientropy_remote remote = remote_of(&first, room, w);

    room[2].service.tags = (struct mu_texts){ tags, 2 }; /* room[1] is the node's own step */
    room[3].service.tags = (struct mu_texts){ tags, 2 };
    for (size_t i = 0; i < first.count; i++) {
        antientropy_done(w->local, &first.steps[i]);
    }
    antientropy_plan_init(&second);
    antientropy_full(&second, w->local, &w->self, &remote, true);
    expect(&second, "service keeps");
    assert_true(local_service_find(w->local, MU_SPAN_LIT("leaves"), &service));
    assert_int_equal(service.definition->tags.count, 2);
    assert_true(mu_span_eq_text(service.definition->tags.items[0], "theirs"));
    finish(w, &second);
    antientropy_plan_deinit(&first);
}

static void output_alone_is_left_for_later_when_it_is_deferred(void **state)
{
    struct world *w = *state;
    struct antientropy_remote nothing = { .exists = false };
    struct antientropy_plan first;
    struct antientropy_plan second;
    struct command_register room[8];

    add_service(w, "web", true, false);
    antientropy_plan_init(&first);
    antientropy_full(&first, w->local, &w->self, &nothing, true);
    struct antientropy_remote remote = remote_of(&first, room, w);

    for (size_t i = 0; i < first.count; i++) {
        antientropy_done(w->local, &first.steps[i]);
    }
    assert_true(local_check_update(w->local, MU_SPAN_LIT("service:web"), CHECK_CRITICAL,
                                   MU_SPAN_LIT("new words"), 5));
    antientropy_plan_init(&second);
    antientropy_full(&second, w->local, &w->self, &remote, true);
    expect(&second, "");
    antientropy_plan_deinit(&second);
    antientropy_plan_init(&second);
    antientropy_full(&second, w->local, &w->self, &remote, false);
    expect(&second, "check service:web");
    finish(w, &second);
    antientropy_plan_deinit(&first);
}

static void a_changed_node_record_is_registered_again(void **state)
{
    struct world *w = *state;
    struct command_register room[] = { { .node = w->self.node } };
    struct antientropy_remote remote = { true, room, 1 };
    struct antientropy_plan p;

    room[0].node.address = MU_SPAN_LIT("10.9.9.9");
    antientropy_plan_init(&p);
    antientropy_full(&p, w->local, &w->self, &remote, true);
    expect(&p, "node");
    finish(w, &p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_written_once_and_then_in_sync),
        TEST(what_only_the_catalog_has_goes_but_for_the_leaders_own),
        TEST(a_removed_service_is_told_once),
        TEST(the_local_version_wins_except_for_tags_left_to_the_catalog),
        TEST(output_alone_is_left_for_later_when_it_is_deferred),
        TEST(a_changed_node_record_is_registered_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
