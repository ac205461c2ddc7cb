/* Registrations over restarts, with real files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "persist.h"
#include "scratch.h"
#include "writer.h"

#define NOW_NS (1000000 * MU_NS_PER_S)

struct world {
    const char *dir;
    uv_loop_t loop;
    struct local *local;
    struct persist *persist;
    bool is_stopped;
};

static struct mu_buf log_lines;

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    (void)data;
    (void)level;
    mu_buf_add_span(&log_lines, line);
    mu_buf_add_byte(&log_lines, '\n');
}

/* -- one life of an agent ---------------------------------------------------------------------- */

static void on_change(void *data, enum local_change_kind kind, struct mu_span id)
{
    struct world *w = data;

    persist_changed(w->persist, kind, id);
}

static void life_begin(struct world *w)
{
    w->is_stopped = false;
    mu_buf_clear(&log_lines);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->local = local_new();
    assert_int_equal(persist_new(&w->persist, &w->loop, w->local, w->dir, NULL), MU_OK);
}

static void life_restore(struct world *w, int64_t wall_ns)
{
    assert_int_equal(persist_restore(w->persist, wall_ns, NULL), MU_OK);
    local_set_listener(w->local, on_change, w);
}

static void on_stopped(void *data)
{
    struct world *w = data;

    assert_false(w->is_stopped);
    w->is_stopped = true;
}

static void life_end(struct world *w)
{
    persist_stop(w->persist, on_stopped, w);
    assert_false(w->is_stopped);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_true(w->is_stopped);
    persist_free(w->persist);
    local_free(w->local);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static int world_open(void **state)
{
    struct world *w = mu_new(sizeof *w);

    w->dir = scratch_dir();
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;

    assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
    mu_free(w);
    return 0;
}

/* -- definitions ------------------------------------------------------------------------------- */

static void add_service(struct world *w, const char *json, enum local_source source)
{
    struct service_definition d = { .has_meta = false };
    struct mu_json *root = NULL;
    struct mu_arena arena;
    struct mu_err err = MU_ERR_NONE;

    mu_arena_init(&arena, 0);
    if (mu_json_parse(&root, mu_span_text(json), true, &err) != MU_OK ||
        service_definition_read(root, &d, &arena, &err) != MU_OK ||
        local_service_add(w->local, &d, source, false, &err) != MU_OK) {
        fail_msg("%s: %s", json, err.text);
    }
    mu_json_free(root);
    mu_arena_deinit(&arena);
}

static void add_check(struct world *w, const char *json, enum local_source source)
{
    struct check_definition d = { .given = 0 };
    struct mu_json *root = NULL;
    struct mu_arena arena;
    struct mu_err err = MU_ERR_NONE;

    mu_arena_init(&arena, 0);
    if (mu_json_parse(&root, mu_span_text(json), true, &err) != MU_OK ||
        check_definition_decode(root, &d, &arena, &err) != MU_OK ||
        local_check_add(w->local, &d, source, &err) != MU_OK) {
        fail_msg("%s: %s", json, err.text);
    }
    mu_json_free(root);
    mu_arena_deinit(&arena);
}

/* A client reports to a TTL check. */
static void report(struct world *w, const char *id, enum check_status status, const char *output)
{
    assert_true(local_check_update(w->local, mu_span_text(id), status, mu_span_text(output), 5000));
    persist_ttl(w->persist, mu_span_text(id), NOW_NS);
}

static void describe_service(void *data, const struct local_service *s)
{
    struct mu_json_out o;

    mu_buf_add_text(data, s->source == LOCAL_FROM_API ? "api " : "config ");
    mu_json_out_init(&o, data, false);
    service_definition_write(&o, s->definition);
    mu_buf_add_byte(data, '\n');
}

static void describe_check(void *data, const struct local_check *c)
{
    mu_buf_addf(data, "%s %s of '%.*s': %s '%.*s'\n",
                c->source == LOCAL_FROM_API ? "api" : "config", c->id,
                MU_SPAN_FMT(c->definition->service_id), check_status_text(c->status),
                MU_SPAN_FMT(c->output));
}

static void expect(struct world *w, const char *services, const char *checks)
{
    struct mu_buf text = MU_BUF_NONE;

    local_each_service(w->local, false, describe_service, &text);
    assert_string_equal(mu_buf_text(&text), services);
    mu_buf_clear(&text);
    local_each_check(w->local, false, describe_check, &text);
    assert_string_equal(mu_buf_text(&text), checks);
    mu_buf_deinit(&text);
}

static size_t files_in(struct world *w, const char *folder, const char *end);

/* -- tests ------------------------------------------------------------------------------------- */

#define WEB                                                                                  \
    "{\"ID\":\"web1\",\"Name\":\"web\",\"Tags\":[\"a\"],\"Port\":80,\"Meta\":{\"k\":\"v\"}," \
    "\"Token\":\"secret\",\"Checks\":[{\"CheckID\":\"h\",\"HTTP\":\"http://x/\","            \
    "\"Interval\":\"10s\",\"Status\":\"passing\"},{\"CheckID\":\"t\",\"TTL\":\"10s\"}]}"

static void what_was_registered_is_there_again(void **state)
{
    struct world *w = *state;
    struct mu_buf before = MU_BUF_NONE;
    struct mu_buf after = MU_BUF_NONE;

    life_begin(w);
    life_restore(w, NOW_NS);
    add_service(w, WEB, LOCAL_FROM_API);
    add_check(w, "{\"ID\":\"n\",\"Name\":\"node check\",\"TCP\":\"x:1\",\"Interval\":\"1s\"}",
              LOCAL_FROM_API);
    add_check(w,
              "{\"ID\":\"_node_maintenance\",\"Name\":\"Node Maintenance Mode\","
              "\"Notes\":\"why\",\"Status\":\"critical\"}",
              LOCAL_FROM_API);
    report(w, "t", CHECK_WARNING, "so\xc3\xa9so");
    local_each_service(w->local, false, describe_service, &before);
    life_end(w);

    life_begin(w);
    life_restore(w, NOW_NS + 9 * MU_NS_PER_S);
    struct local_service s;
    struct local_check c;

    assert_int_equal(local_services_count(w->local), 1);
    assert_int_equal(local_checks_count(w->local), 4);
    assert_true(local_service_find(w->local, MU_SPAN_LIT("web1"), &s));
    assert_int_equal(s.source, LOCAL_FROM_API);
    assert_int_equal(s.definition->checks_count, 0);
    assert_true(mu_span_eq_text(s.definition->token, "secret"));
    assert_true(local_check_find(w->local, MU_SPAN_LIT("h"), &c));
    assert_int_equal(c.status, CHECK_CRITICAL); /* whatever its definition began with */
    assert_int_equal(c.output.bytes, 0);
    assert_true(mu_span_eq_text(c.definition->service_id, "web1"));
    assert_true(mu_span_eq_text(c.definition->http, "http://x/"));
    assert_true(local_check_find(w->local, MU_SPAN_LIT("t"), &c));
    assert_int_equal(c.status, CHECK_WARNING);
    assert_true(mu_span_eq_text(c.output, "so\xc3\xa9so"));
    assert_true(local_check_find(w->local, MU_SPAN_LIT("n"), &c));
    assert_string_equal(c.type, "tcp");
    assert_true(local_check_find(w->local, MU_SPAN_LIT("_node_maintenance"), &c));
    assert_true(mu_span_eq_text(c.definition->notes, "why"));
    life_end(w);

    /* And a second time, from the same files. */
    life_begin(w);
    life_restore(w, NOW_NS);
    local_each_service(w->local, false, describe_service, &after);
    assert_int_equal(local_checks_count(w->local), 4);
    life_end(w);
    assert_non_null(strstr(mu_buf_text(&before), "\"web1\""));
    assert_non_null(strstr(mu_buf_text(&after), "\"web1\""));
    mu_buf_deinit(&before);
    mu_buf_deinit(&after);
}

static void what_was_deregistered_is_not(void **state)
{
    struct world *w = *state;

    life_begin(w);
    life_restore(w, NOW_NS);
    add_service(w, WEB, LOCAL_FROM_API);
    report(w, "t", CHECK_PASSING, "");
    assert_int_equal(local_check_remove(w->local, MU_SPAN_LIT("h"), NULL), MU_OK);
    life_end(w);
    assert_int_equal(files_in(w, "checks", ""), 2); /* t, and the folder "state" */

    life_begin(w);
    life_restore(w, NOW_NS);
    assert_int_equal(local_checks_count(w->local), 1); /* h does not come back with its service */
    assert_int_equal(local_service_remove(w->local, MU_SPAN_LIT("web1"), NULL), MU_OK);
    life_end(w);
    assert_int_equal(files_in(w, "services", ""), 0);
    assert_int_equal(files_in(w, "checks", ""), 1);
    assert_int_equal(files_in(w, "checks/state", ""), 0);

    life_begin(w);
    life_restore(w, NOW_NS);
    expect(w, "", "");
    life_end(w);
}

static void the_configuration_wins(void **state)
{
    struct world *w = *state;

    life_begin(w);
    life_restore(w, NOW_NS);
    add_service(w, "{\"Name\":\"a\",\"Port\":1}", LOCAL_FROM_API);
    add_check(w, "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"10s\"}", LOCAL_FROM_API);
    report(w, "c", CHECK_PASSING, "ok");
    life_end(w);

    life_begin(w);
    add_service(w, "{\"Name\":\"a\",\"Port\":2}", LOCAL_FROM_CONFIG);
    add_check(w, "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"20s\"}", LOCAL_FROM_CONFIG);
    life_restore(w, NOW_NS);
    struct local_service s;
    struct local_check c;

    assert_true(local_service_find(w->local, MU_SPAN_LIT("a"), &s));
    assert_int_equal(s.definition->port, 2);
    assert_int_equal(s.source, LOCAL_FROM_CONFIG);
    assert_true(local_check_find(w->local, MU_SPAN_LIT("c"), &c));
    assert_int_equal(c.definition->ttl_ns, 20 * MU_NS_PER_S);
    assert_int_equal(c.status, CHECK_PASSING); /* reports are kept for these too */
    life_end(w);
    assert_int_equal(files_in(w, "services", ""), 0);
    assert_int_equal(files_in(w, "checks", ""), 1);

    life_begin(w);
    life_restore(w, NOW_NS);
    expect(w, "", "");
    life_end(w);
}

static void a_check_without_its_service_is_forgotten(void **state)
{
    struct world *w = *state;

    life_begin(w);
    life_restore(w, NOW_NS);
    add_service(w, "{\"Name\":\"a\"}", LOCAL_FROM_CONFIG);
    add_check(w, "{\"ID\":\"c\",\"Name\":\"c\",\"ServiceID\":\"a\",\"TTL\":\"10s\"}",
              LOCAL_FROM_API);
    report(w, "c", CHECK_PASSING, "ok");
    life_end(w);
    assert_int_equal(files_in(w, "checks", ""), 2);

    life_begin(w);
    life_restore(w, NOW_NS);
    expect(w, "", "");
    assert_non_null(strstr(mu_buf_text(&log_lines), "Forgot a kept check: its service is gone"));
    life_end(w);
    assert_int_equal(files_in(w, "checks", ""), 1);
    assert_int_equal(files_in(w, "checks/state", ""), 0);
}

static void reports_hold_until_they_expire(void **state)
{
    static const struct {
        const char *why;
        enum check_status status;
        int64_t after_ns;
        const char *expected;
    } cases[] = {
        { "in time", CHECK_PASSING, 10 * MU_NS_PER_S - MU_NS_PER_MS,
          "api c of '': passing 'said'\n" },
        { "too late", CHECK_PASSING, 10 * MU_NS_PER_S, "api c of '': critical ''\n" },
        { "critical is what it begins with", CHECK_CRITICAL, 0, "api c of '': critical ''\n" },
    };
    struct world *w = *state;

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_buf got = MU_BUF_NONE;

        life_begin(w);
        life_restore(w, NOW_NS);
        add_check(w, "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"10s\"}", LOCAL_FROM_API);
        report(w, "c", cases[i].status, "said");
        life_end(w);

        life_begin(w);
        life_restore(w, NOW_NS + cases[i].after_ns);
        local_each_check(w->local, false, describe_check, &got);
        if (strcmp(mu_buf_text(&got), cases[i].expected) != 0) {
            fail_msg("%s: %s", cases[i].why, mu_buf_text(&got));
        }
        life_end(w);
        mu_buf_deinit(&got);
    }
}

/* -- files that are not as they were left ------------------------------------------------------ */

struct names {
    char first[256];
    const char *end;
    size_t count;
};

static enum mu_code on_name(void *data, const char *name, struct mu_err *err)
{
    struct names *n = data;
    size_t bytes = strlen(name);
    size_t tail = strlen(n->end);

    (void)err;
    if (bytes >= tail && strcmp(name + bytes - tail, n->end) == 0) {
        if (n->count++ == 0) {
            (void)snprintf(n->first, sizeof n->first, "%s", name);
        }
    }
    return MU_OK;
}

static size_t names_in(struct world *w, const char *folder, struct names *n)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s/%s", w->dir, folder);
    assert_int_equal(mu_dir_each(path, on_name, n, NULL), MU_OK);
    return n->count;
}

static size_t files_in(struct world *w, const char *folder, const char *end)
{
    struct names n = { .end = end };

    return names_in(w, folder, &n);
}

/* Each kind of file, cut at every byte: skipped and kept aside, and nothing else is lost. */
static void every_truncation_is_set_aside(void **state)
{
    static const struct {
        const char *folder;
        size_t services, checks; /* that remain */
    } cases[] = {
        { "services", 0, 1 },
        { "checks", 1, 0 },
        { "checks/state", 1, 1 },
    };
    struct world *w = *state;

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct names n = { .end = "" };
        struct mu_buf whole = MU_BUF_NONE;
        char path[400];

        life_begin(w);
        life_restore(w, NOW_NS);
        add_service(w, "{\"Name\":\"a\"}", LOCAL_FROM_API);
        add_check(w, "{\"ID\":\"c\",\"Name\":\"c\",\"TTL\":\"10s\"}", LOCAL_FROM_API);
        report(w, "c", CHECK_PASSING, "ok");
        life_end(w);
        assert_true(names_in(w, cases[i].folder, &n) > 0);
        (void)snprintf(path, sizeof path, "%s/%s/%s", w->dir, cases[i].folder, n.first);
        assert_int_equal(mu_file_read(path, 4096, &whole, NULL), MU_OK);
        while (whole.data[whole.bytes - 1] != '}') {
            whole.bytes--; /* white space at the end may be missing */
        }
        for (size_t cut = 0; cut < whole.bytes; cut++) {
            assert_int_equal(
                mu_file_swap(path, mu_span_sub(mu_buf_span(&whole), 0, cut), 0600, NULL), MU_OK);
            life_begin(w);
            life_restore(w, NOW_NS);
            if (local_services_count(w->local) != cases[i].services ||
                local_checks_count(w->local) != cases[i].checks ||
                files_in(w, cases[i].folder, ".damaged") != 1 ||
                strstr(mu_buf_text(&log_lines), path) == NULL) {
                fail_msg("%s cut at %zu: %zu services, %zu checks, log <%s>", path, cut,
                         local_services_count(w->local), local_checks_count(w->local),
                         mu_buf_text(&log_lines));
            }
            life_end(w);
        }
        mu_buf_deinit(&whole);
        assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
        assert_int_equal(mkdir(w->dir, 0700), 0);
    }
}

static void strange_files_cost_only_themselves(void **state)
{
    static const struct {
        const char *why, *folder, *name, *content;
        bool is_set_aside;
    } cases[] = {
        // clang-format off
        { "not an object", "services", "x", "[]", true },
        { "another object", "services", "x", "{\"a\":1}", true },
        { "no definition", "checks", "x", "{\"Check\":{}}", true },
        { "a name that belongs to another id", "services",
          "00112233445566778899aabbccddeeff", "{\"Service\":{\"Name\":\"b\"}}", true },
        { "a check that breaks the rules", "checks", "x",
          "{\"Check\":{\"ID\":\"x\",\"Name\":\"x\",\"HTTP\":\"y\"}}", true },
        { "an unknown member", "checks/state", "x", "{\"CheckID\":\"x\",\"Y\":1}", true },
        { "a leftover of replacing", "services", "y.tmp", "{", false },
        { "something set aside before", "services", "y.damaged", "{", false },
    }; // clang-format on
    struct world *w = *state;

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char path[128];

        life_begin(w);
        life_restore(w, NOW_NS);
        add_service(w, "{\"Name\":\"a\"}", LOCAL_FROM_API);
        life_end(w);
        (void)snprintf(path, sizeof path, "%s/%s/%s", w->dir, cases[i].folder, cases[i].name);
        assert_int_equal(mu_file_swap(path, mu_span_text(cases[i].content), 0600, NULL), MU_OK);
        life_begin(w);
        life_restore(w, NOW_NS);
        bool is_set_aside = strstr(mu_buf_text(&log_lines), "Skipped a damaged file") != NULL;

        if (local_services_count(w->local) != 1 || local_checks_count(w->local) != 0 ||
            is_set_aside != cases[i].is_set_aside || files_in(w, cases[i].folder, ".tmp") != 0) {
            fail_msg("%s: %s", cases[i].why, mu_buf_text(&log_lines));
        }
        life_end(w);
        assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
        assert_int_equal(mkdir(w->dir, 0700), 0);
    }
}

static void only_the_owner_may_read(void **state)
{
    struct world *w = *state;
    struct names n = { .end = "" };
    struct stat st;
    char path[400];

    life_begin(w);
    life_restore(w, NOW_NS);
    add_service(w, WEB, LOCAL_FROM_API);
    life_end(w);
    assert_int_equal(names_in(w, "services", &n), 1);
    (void)snprintf(path, sizeof path, "%s/services/%s", w->dir, n.first);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void directories_that_cannot_be_made_are_told(void **state)
{
    struct world *w = *state;
    struct mu_err err = MU_ERR_NONE;
    struct persist *p = NULL;
    char path[64];

    (void)snprintf(path, sizeof path, "%s/services", w->dir);
    assert_int_equal(mu_file_swap(path, MU_SPAN_LIT("x"), 0600, NULL), MU_OK);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->local = local_new();
    assert_int_equal(persist_new(&p, &w->loop, w->local, w->dir, &err), MU_INVALID);
    assert_non_null(strstr(err.text, path));
    local_free(w->local);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

/* -- the writer -------------------------------------------------------------------------------- */

static void on_writer_stopped(void *data)
{
    *(bool *)data = true;
}

static void put(struct writer *w, const char *path, const char *content, bool is_durable)
{
    struct mu_buf b = MU_BUF_NONE;

    mu_buf_add_text(&b, content);
    writer_put(w, path, &b, is_durable);
    assert_null(b.data);
}

static void the_last_word_is_written(void **state)
{
    struct world *w = *state;
    struct mu_buf text = MU_BUF_NONE;
    bool is_stopped = false;
    char a[64];
    char b[64];
    char c[64];

    (void)snprintf(a, sizeof a, "%s/a", w->dir);
    (void)snprintf(b, sizeof b, "%s/b", w->dir);
    (void)snprintf(c, sizeof c, "%s/c", w->dir);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    struct writer *writer = writer_new(&w->loop);

    put(writer, a, "first", true);
    for (unsigned i = 0; i < 1000; i++) {
        char number[16];

        (void)snprintf(number, sizeof number, "%u", i);
        put(writer, a, number, i % 2 == 0);
        put(writer, b, number, false);
        put(writer, c, number, true);
        assert_true(writer_pending(writer) <= 4);
    }
    writer_remove(writer, b);
    writer_remove(writer, c);
    put(writer, c, "again", true);
    writer_stop(writer, on_writer_stopped, &is_stopped);
    assert_false(is_stopped);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_true(is_stopped);
    assert_int_equal(writer_pending(writer), 0);
    writer_free(writer);
    assert_int_equal(mu_file_read(a, 100, &text, NULL), MU_OK);
    assert_int_equal(mu_file_read(c, 100, &text, NULL), MU_OK);
    assert_string_equal(mu_buf_text(&text), "999again");
    assert_int_equal(mu_file_read(b, 100, &text, NULL), MU_NOT_FOUND);
    mu_buf_deinit(&text);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void a_file_that_cannot_be_written_is_logged(void **state)
{
    struct world *w = *state;
    bool is_stopped = false;
    char path[64];

    (void)snprintf(path, sizeof path, "%s/nowhere/a", w->dir);
    mu_buf_clear(&log_lines);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    struct writer *writer = writer_new(&w->loop);

    put(writer, path, "x", true);
    writer_stop(writer, on_writer_stopped, &is_stopped);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_true(is_stopped);
    assert_non_null(strstr(mu_buf_text(&log_lines), "Could not keep a file on disk: path="));
    assert_non_null(strstr(mu_buf_text(&log_lines), path));
    writer_free(writer);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    static const struct CMUnitTest tests[] = {
        IN_A_WORLD(what_was_registered_is_there_again),
        IN_A_WORLD(what_was_deregistered_is_not),
        IN_A_WORLD(the_configuration_wins),
        IN_A_WORLD(a_check_without_its_service_is_forgotten),
        IN_A_WORLD(reports_hold_until_they_expire),
        IN_A_WORLD(every_truncation_is_set_aside),
        IN_A_WORLD(strange_files_cost_only_themselves),
        IN_A_WORLD(only_the_owner_may_read),
        IN_A_WORLD(directories_that_cannot_be_made_are_told),
        IN_A_WORLD(the_last_word_is_written),
        IN_A_WORLD(a_file_that_cannot_be_written_is_logged),
    };

    mu_log_set_fd(-1);
    mu_log_set_tap(on_line, NULL, MU_INFO);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    mu_log_set_tap(NULL, NULL, MU_INFO);
    mu_buf_deinit(&log_lines);
    return failed;
}
