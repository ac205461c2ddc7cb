/* What is written so that the catalog says of a node what gossip says of the member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "catalog/watch.h"
#include "reconcile_command.h"

#define OLD_ID "aaaaaaaa-0000-0000-0000-000000000001"
#define NEW_ID "bbbbbbbb-0000-0000-0000-000000000002"

struct fixture {
    struct catalog *catalog;
    struct catalog_reader *reader;
    struct mu_arena arena;
    uint64_t index;
};

static void begin(struct fixture *f)
{
    struct mu_err err = MU_ERR_NONE;

    *f = (struct fixture){ .index = 0 };
    assert_int_equal(catalog_open(&f->catalog, &(struct catalog_options){ .path = NULL }, &err),
                     MU_OK);
    assert_int_equal(catalog_reader_open(&f->reader, NULL, f->catalog, &err), MU_OK);
    mu_arena_init(&f->arena, 0);
}

static void end(struct fixture *f)
{
    mu_arena_deinit(&f->arena);
    catalog_reader_close(f->reader);
    catalog_close(f->catalog);
}

static enum mu_code apply(struct fixture *f, const struct command *command)
{
    struct catalog_changes *changes = NULL;
    struct catalog_result result;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(command_encode(command, &bytes, &err), MU_OK);
    catalog_reader_release(f->reader);
    assert_int_equal(catalog_begin(f->catalog, &err), MU_OK);
    assert_int_equal(catalog_apply(f->catalog, ++f->index, 1, mu_buf_span(&bytes), &result, &err),
                     MU_OK);
    assert_int_equal(catalog_commit(f->catalog, &changes, &err), MU_OK);
    catalog_changes_free(changes);
    mu_buf_deinit(&bytes);
    enum mu_code code = result.code;

    catalog_result_free(&result);
    return code;
}

/* A client at 10.0.0.1, as gossip shows it. */
static struct gossip_view member(const char *name, const char *id)
{
    struct gossip_view m = { .name = name, .status = GOSSIP_STATUS_ALIVE };

    m.addr = (struct mu_addr){ .ip = { 10, 0, 0, 1 }, .ip_bytes = 4, .port = 8301 };
    assert_true(mu_id_parse(mu_span_text(id), &m.node_id));
    return m;
}

/* "write register c1 passing", ... */
static const char *next(struct fixture *f, enum reconcile_action_kind kind, const char *name,
                        const char *id, struct command *command)
{
    static const char *const needs[] = { "nothing", "write", "first" };
    static char text[128];
    struct reconcile_action what = { .kind = kind };
    struct gossip_view m = member(name, id);
    enum reconcile_need need;
    struct mu_err err = MU_ERR_NONE;

    (void)snprintf(what.node, sizeof what.node, "%s", name);
    assert_int_equal(reconcile_command(f->reader, &what, &m, &f->arena, command, &need, &err),
                     MU_OK);
    if (need == RECONCILE_NOTHING) {
        return needs[need];
    }
    bool registers = command->kind == COMMAND_REGISTER;
    struct mu_span node = registers ? command->reg.node.name : command->dereg.node;

    (void)snprintf(text, sizeof text, "%s %s %.*s%s%.*s", needs[need],
                   command_kind_text(command->kind), MU_SPAN_FMT(node), registers ? " " : "",
                   MU_SPAN_FMT(registers ? command->reg.checks[0].status : MU_SPAN_NONE));
    return text;
}

static void a_member_lives_dies_and_goes(void **state)
{
    struct fixture f;
    struct command command;

    (void)state;
    begin(&f);
    assert_string_equal(next(&f, RECONCILE_SET_CRITICAL, "c1", OLD_ID, &command), "nothing");
    assert_string_equal(next(&f, RECONCILE_SET_ALIVE, "c1", OLD_ID, &command),
                        "write register c1 passing");
    assert_int_equal(apply(&f, &command), MU_OK);
    assert_string_equal(next(&f, RECONCILE_SET_ALIVE, "c1", OLD_ID, &command), "nothing");
    assert_string_equal(next(&f, RECONCILE_SET_CRITICAL, "c1", OLD_ID, &command),
                        "write register c1 critical");
    assert_int_equal(apply(&f, &command), MU_OK);
    assert_string_equal(next(&f, RECONCILE_SET_CRITICAL, "c1", OLD_ID, &command), "nothing");
    assert_string_equal(next(&f, RECONCILE_REMOVE, "c1", OLD_ID, &command), "write deregister c1");
    assert_int_equal(apply(&f, &command), MU_OK);
    assert_string_equal(next(&f, RECONCILE_REMOVE, "c1", OLD_ID, &command), "nothing");
    end(&f);
}

/* It lost its data directory and was back before anybody saw it die. */
static void a_name_that_changed_hands_is_taken_in_two_steps(void **state)
{
    struct fixture f;
    struct command command;
    struct mu_span id = MU_SPAN_LIT(NEW_ID);

    (void)state;
    begin(&f);
    (void)next(&f, RECONCILE_SET_ALIVE, "c1", OLD_ID, &command);
    assert_int_equal(apply(&f, &command), MU_OK);
    command.reg.node.id = id;
    command.reg.skip_node_update = false;
    assert_int_equal(apply(&f, &command), MU_CONFLICT); /* what the new one can do itself */
    assert_string_equal(next(&f, RECONCILE_SET_ALIVE, "c1", NEW_ID, &command),
                        "first register c1 critical");
    assert_int_equal(apply(&f, &command), MU_OK);
    assert_string_equal(next(&f, RECONCILE_SET_ALIVE, "c1", NEW_ID, &command),
                        "write register c1 passing");
    assert_true(mu_span_eq(command.reg.node.id, id));
    assert_int_equal(apply(&f, &command), MU_OK);
    assert_string_equal(next(&f, RECONCILE_SET_ALIVE, "c1", NEW_ID, &command), "nothing");
    end(&f);
}

static void a_name_is_no_prefix_of_another_nodes_id(void **state)
{
    struct fixture f;
    struct command command;

    (void)state;
    begin(&f);
    (void)next(&f, RECONCILE_SET_ALIVE, "other", OLD_ID, &command);
    assert_int_equal(apply(&f, &command), MU_OK);
    assert_string_equal(next(&f, RECONCILE_REMOVE, "aaaa", OLD_ID, &command), "nothing");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_lives_dies_and_goes),
        cmocka_unit_test(a_name_that_changed_hands_is_taken_in_two_steps),
        cmocka_unit_test(a_name_is_no_prefix_of_another_nodes_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
