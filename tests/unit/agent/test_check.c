/* When checks run and what results mean: transcripts on virtual time (data/agent/check/), and what
 * does not fit there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "check.h"
#include "check_runs.h"
#include "script.h"

/* -- a world without sockets ---------------------------------------------------------------- */

struct check_run {
    struct mu_link place;
    struct mu_span id;
    int64_t output_max;
    check_done_fn *done;
    void *data;
};

static struct world {
    uint64_t now_ms, aimed_ms;
    struct local *local;
    struct mu_rand rand;
    struct checks *checks;
    struct mu_link runs; /* under way */
    struct mu_buf *out;  /* of the block that is running */
} world;

static void say(const char *fmt, ...) MU_PRINTF(1, 2);
static void say(const char *fmt, ...)
{
    va_list args;

    if (world.out == NULL) {
        return;
    }
    mu_buf_addf(world.out, "[%llu] ", (unsigned long long)world.now_ms);
    va_start(args, fmt);
    mu_buf_vaddf(world.out, fmt, args);
    va_end(args);
    mu_buf_add_byte(world.out, '\n');
}

static bool is_fake(const struct check_definition *d)
{
    return d->http.bytes > 0;
}

static bool is_ttl(const struct check_definition *d)
{
    return d->ttl_ns > 0;
}

static struct check_run *fake_start(struct uv_loop_s *loop, const struct check_definition *d,
                                    check_done_fn *done, void *data)
{
    struct check_run *run = mu_new(sizeof *run);

    (void)loop;
    *run = (struct check_run){
        .id = d->id, .output_max = d->output_max_size, .done = done, .data = data
    };
    mu_list_push_back(&world.runs, &run->place);
    say("%.*s: started", MU_SPAN_FMT(d->id));
    return run;
}

static void fake_stop(struct check_run *run)
{
    say("%.*s: stopped", MU_SPAN_FMT(run->id));
    mu_list_remove(&run->place);
    mu_free(run);
}

static const struct check_type fakes[] = {
    { .key = "fake",
      .matches = is_fake,
      .is_scheduled = true,
      .start = fake_start,
      .stop = fake_stop },
    { .key = "ttl", .matches = is_ttl },
};

static uint64_t now(void *owner)
{
    (void)owner;
    return world.now_ms;
}

static void aim(void *owner, uint64_t at_ms)
{
    (void)owner;
    world.aimed_ms = at_ms;
}

static void on_change(void *data, enum local_change_kind kind, struct mu_span id)
{
    struct local_check check;

    (void)data;
    if (kind == LOCAL_CHECK_RESULT && local_check_find(world.local, id, &check)) {
        say("%.*s: %s '%.*s'", MU_SPAN_FMT(id), check_status_text(check.status),
            MU_SPAN_FMT(check.output));
    } else if (kind == LOCAL_SERVICE_GONE) {
        say("service %.*s: gone", MU_SPAN_FMT(id));
    }
    checks_changed(world.checks, kind, id);
}

static void world_open(bool discards_output)
{
    world = (struct world){ .now_ms = 0 };
    mu_list_init(&world.runs);
    mu_rand_seed(&world.rand, 1);
    world.local = local_new();
    struct checks_options options = {
        .local = world.local,
        .rand = &world.rand,
        .output_bytes_max = 40,
        .discards_output = discards_output,
        .now = now,
        .aim = aim,
        .types = fakes,
        .types_count = MU_LEN(fakes),
    };

    world.checks = checks_new(&options);
    local_set_listener(world.local, on_change, NULL);
}

static void world_close(void)
{
    world.out = NULL;
    checks_free(world.checks);
    assert_true(mu_list_empty(&world.runs));
    local_free(world.local);
}

static struct check_run *run_find(const char *id)
{
    MU_LIST_EACH(place, &world.runs)
    {
        struct check_run *run = MU_CONTAINER(place, struct check_run, place);

        if (mu_span_eq_text(run->id, id)) {
            return run;
        }
    }
    return NULL;
}

/* The timer of the owner fires. */
static void wake(void)
{
    world.aimed_ms = 0;
    checks_wake(world.checks);
}

static void run_end(struct check_run *run, enum check_status status, const char *output)
{
    mu_list_remove(&run->place);
    run->done(run->data, status, mu_span_text(output));
    mu_free(run);
}

/* Virtual time goes from wish to wish. */
static void time_pass(uint64_t ms)
{
    uint64_t end_ms = world.now_ms + ms;

    while (world.aimed_ms != 0 && world.aimed_ms <= end_ms) {
        world.now_ms = world.aimed_ms > world.now_ms ? world.aimed_ms : world.now_ms;
        wake();
    }
    world.now_ms = end_ms;
}

/* -- the commands of a transcript ----------------------------------------------------------- */

static void *script_open(const char *file)
{
    (void)file;
    world_open(false);
    return &world;
}

static void script_close(void *opened)
{
    (void)opened;
    world_close();
}

static int64_t option_ns(const struct script_command *c, const char *key)
{
    const char *text = script_option(c, key, NULL);

    return text != NULL ? (int64_t)script_ms(text) * MU_NS_PER_MS : 0;
}

/* check ID [interval= ttl= success= failures= warning= deregister= service= status= output=] */
static bool add_check(const struct script_command *c)
{
    bool is_run = script_option(c, "interval", NULL) != NULL;
    struct check_definition d = {
        .id = mu_span_text(c->words[1]),
        .name = mu_span_text(c->words[1]),
        .http = mu_span_text(is_run ? script_option(c, "http", "http://x/") : ""),
        .interval_ns = option_ns(c, "interval"),
        .ttl_ns = option_ns(c, "ttl"),
        .success_before_passing = (int64_t)script_number(c, "success", 0),
        .failures_before_critical = (int64_t)script_number(c, "failures", 0),
        .failures_before_warning = (int64_t)script_number(c, "warning", 0),
        .deregister_after_ns = option_ns(c, "deregister"),
        .service_id = mu_span_text(script_option(c, "service", "")),
        .status = mu_span_text(script_option(c, "status", "")),
        .output_max_size = (int64_t)script_number(c, "output", 0),
    };

    return local_check_add(world.local, &d, LOCAL_FROM_API, NULL) == MU_OK;
}

static bool add_service(const struct script_command *c)
{
    struct service_definition d = { .id = mu_span_text(c->words[1]),
                                    .name = mu_span_text(c->words[1]) };

    return local_service_add(world.local, &d, LOCAL_FROM_API, false, NULL) == MU_OK;
}

/* result ID STATUS [word]: the run under way ends */
static bool end_run(const struct script_command *c)
{
    struct check_run *run = run_find(c->words[1]);
    enum check_status status;

    if (run == NULL || !check_status_parse(mu_span_text(c->words[2]), &status)) {
        return false;
    }
    run_end(run, status, c->words_count > 3 ? c->words[3] : "");
    return true;
}

/* report ID STATUS [word]: what a client tells a TTL check */
static bool report(const struct script_command *c)
{
    struct mu_err err = MU_ERR_NONE;
    enum check_status status;

    if (!check_status_parse(mu_span_text(c->words[2]), &status)) {
        return false;
    }
    if (checks_ttl(world.checks, mu_span_text(c->words[1]), status,
                   mu_span_text(c->words_count > 3 ? c->words[3] : ""), &err) != MU_OK) {
        say("%s", err.text);
    }
    return true;
}

static bool script_run(void *opened, const struct script_command *c, struct mu_buf *out)
{
    const char *what = c->words[0];

    (void)opened;
    world.out = out;
    if (strcmp(what, "run") == 0) {
        time_pass(script_ms(c->words[1]));
        return true;
    }
    if (strcmp(what, "check") == 0) {
        return add_check(c);
    }
    if (strcmp(what, "service") == 0) {
        return add_service(c);
    }
    if (strcmp(what, "result") == 0) {
        return end_run(c);
    }
    if (strcmp(what, "report") == 0) {
        return report(c);
    }
    if (strcmp(what, "remove") == 0) {
        return local_check_remove(world.local, mu_span_text(c->words[1]), NULL) == MU_OK;
    }
    return false;
}

static void transcripts_hold(void **state)
{
    static const struct script_world script = { script_open, script_run, script_close };

    (void)state;
    assert_int_equal(script_run_dir("data/agent/check", &script), 0);
}

/* -- what is no transcript ------------------------------------------------------------------ */

/* The first run comes somewhere in the interval, and not always at one place. */
static void first_runs_are_spread(void **state)
{
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;

    (void)state;
    world_open(false);
    for (unsigned n = 0; n < 200; n++) {
        struct check_definition d = { .id = MU_SPAN_LIT("c"),
                                      .name = MU_SPAN_LIT("c"),
                                      .http = MU_SPAN_LIT("x"),
                                      .interval_ns = 10 * MU_NS_PER_S };

        assert_int_equal(local_check_add(world.local, &d, LOCAL_FROM_API, NULL), MU_OK);
        assert_in_range(world.aimed_ms, 0, 10000);
        least = world.aimed_ms < least ? world.aimed_ms : least;
        most = world.aimed_ms > most ? world.aimed_ms : most;
        assert_int_equal(local_check_remove(world.local, d.id, NULL), MU_OK);
        assert_int_equal(world.aimed_ms, 0);
    }
    assert_true(least < 1000 && most > 9000);
    world_close();
}

static size_t runs_count(void)
{
    size_t count = 0;

    MU_LIST_EACH(place, &world.runs)
    {
        count++;
    }
    return count;
}

/* Many at once: some per turn, some at a time, and all in the end. */
static void runs_at_once_are_bounded(void **state)
{
    size_t most = 0;
    size_t ended = 0;

    (void)state;
    world_open(false);
    for (unsigned n = 0; n < 600; n++) {
        struct mu_buf id = MU_BUF_NONE;

        mu_buf_addf(&id, "c%u", n);
        struct check_definition d = { .id = mu_buf_span(&id),
                                      .name = mu_buf_span(&id),
                                      .http = MU_SPAN_LIT("x"),
                                      .interval_ns = MU_NS_PER_S };

        assert_int_equal(local_check_add(world.local, &d, LOCAL_FROM_API, NULL), MU_OK);
        mu_buf_deinit(&id);
    }
    world.now_ms = 1000; /* all are due; nobody may be left behind for want of a wake */
    while (ended < 600) {
        size_t before = runs_count();

        if (world.aimed_ms != 0 && world.aimed_ms <= world.now_ms) {
            wake();
        }
        size_t after = runs_count();

        assert_true(after - before <= 32);
        most = after > most ? after : most;
        if (after == before) { /* full, or all have begun: one ends and makes room */
            assert_true(after > 0);
            run_end(MU_CONTAINER(world.runs.next, struct check_run, place), CHECK_PASSING, "");
            ended++;
        }
    }
    assert_int_equal(most, 256);
    world_close();
}

/* A TTL deadline is kept while all places for runs are taken. */
static void deadlines_do_not_wait_for_runs(void **state)
{
    struct local_check check;

    (void)state;
    world_open(false);
    for (unsigned n = 0; n < 256; n++) {
        struct mu_buf id = MU_BUF_NONE;

        mu_buf_addf(&id, "c%u", n);
        struct check_definition d = { .id = mu_buf_span(&id),
                                      .name = mu_buf_span(&id),
                                      .http = MU_SPAN_LIT("x"),
                                      .interval_ns = MU_NS_PER_S };

        assert_int_equal(local_check_add(world.local, &d, LOCAL_FROM_API, NULL), MU_OK);
        mu_buf_deinit(&id);
    }
    struct check_definition ttl = { .id = MU_SPAN_LIT("t"),
                                    .name = MU_SPAN_LIT("t"),
                                    .status = MU_SPAN_LIT("passing"),
                                    .ttl_ns = 5 * MU_NS_PER_S };

    assert_int_equal(local_check_add(world.local, &ttl, LOCAL_FROM_API, NULL), MU_OK);
    time_pass(2000);
    assert_int_equal(world.aimed_ms, 5000);
    time_pass(3000);
    assert_true(local_check_find(world.local, ttl.id, &check));
    assert_int_equal(check.status, CHECK_CRITICAL);
    world_close();
}

static void output_may_be_discarded(void **state)
{
    struct local_check check;
    struct check_definition d = { .id = MU_SPAN_LIT("t"),
                                  .name = MU_SPAN_LIT("t"),
                                  .ttl_ns = MU_NS_PER_S };

    (void)state;
    world_open(true);
    assert_int_equal(local_check_add(world.local, &d, LOCAL_FROM_API, NULL), MU_OK);
    assert_int_equal(checks_ttl(world.checks, d.id, CHECK_WARNING, MU_SPAN_LIT("secret"), NULL),
                     MU_OK);
    assert_true(local_check_find(world.local, d.id, &check));
    assert_int_equal(check.status, CHECK_WARNING);
    assert_int_equal(check.output.bytes, 0);
    world_close();
}

/* The catalog refuses what is no UTF-8; programs print it all the same. */
static void output_becomes_utf8(void **state)
{
    struct local_check check;
    struct check_definition d = { .id = MU_SPAN_LIT("t"),
                                  .name = MU_SPAN_LIT("t"),
                                  .ttl_ns = MU_NS_PER_S };

    (void)state;
    world_open(false);
    assert_int_equal(local_check_add(world.local, &d, LOCAL_FROM_API, NULL), MU_OK);
    assert_int_equal(
        checks_ttl(world.checks, d.id, CHECK_PASSING, MU_SPAN_LIT("a\xff\xc3\xa9\0b\xc3"), NULL),
        MU_OK);
    assert_true(local_check_find(world.local, d.id, &check));
    assert_true(mu_span_eq_text(check.output, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd"
                                              "b\xef\xbf\xbd"));
    world_close();
}

static void a_run_knows_how_much_output_is_kept(void **state)
{
    static const struct {
        const char *why;
        int64_t wish, given;
    } cases[] = {
        { "the agent's setting", 0, 40 },
        { "less is granted", 7, 7 },
        { "more is not", 41, 40 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct check_definition d = { .id = MU_SPAN_LIT("c"),
                                      .name = MU_SPAN_LIT("c"),
                                      .http = MU_SPAN_LIT("x"),
                                      .interval_ns = MU_NS_PER_S,
                                      .output_max_size = cases[i].wish };

        world_open(false);
        assert_int_equal(local_check_add(world.local, &d, LOCAL_FROM_API, NULL), MU_OK);
        time_pass(1000);
        const struct check_run *run = run_find("c");

        if (run == NULL || run->output_max != cases[i].given) {
            fail_msg("%s: %lld", cases[i].why, run != NULL ? (long long)run->output_max : -1LL);
        }
        world_close();
    }
}

/* -- the table of types --------------------------------------------------------------------- */

static void types_are_told_apart_in_order(void **state)
{
    static struct mu_span args[] = { MU_SPAN_LIT("true") };
    static const struct {
        const char *why, *key, *refusal;
        struct check_definition d;
    } cases[] = {
        // clang-format off
        { "http",    "http",   NULL, { .http = MU_SPAN_LIT("x") } },
        { "tcp",     "tcp",    NULL, { .tcp = MU_SPAN_LIT("x") } },
        { "ttl",     "ttl",    NULL, { .ttl_ns = 1 } },
        { "none",    NULL,     NULL, { .name = MU_SPAN_LIT("x") } },
        { "http comes before tcp and ttl", "http", NULL,
          { .http = MU_SPAN_LIT("x"), .tcp = MU_SPAN_LIT("x"), .ttl_ns = 1 } },
        { "ttl comes before alias", "ttl", NULL, { .alias_node = MU_SPAN_LIT("x"), .ttl_ns = 1 } },
        { "script",  "script", "Scripts are disabled on this agent: script checks are not supported yet",
          { .script_args = { args, 1 }, .http = MU_SPAN_LIT("x") } },
        { "docker",  "docker", "Scripts are disabled on this agent: Docker checks are not supported yet",
          { .docker = MU_SPAN_LIT("x"), .script_args = { args, 1 } } },
        { "tcp with TLS", "tcp", "TCP checks over TLS are not supported yet",
          { .tcp = MU_SPAN_LIT("x"), .tcp_use_tls = true } },
        { "grpc",    "grpc",   "gRPC checks are not supported yet", { .grpc = MU_SPAN_LIT("x") } },
        { "alias",   "alias",  "Alias checks are not supported yet",
          { .alias_service = MU_SPAN_LIT("x") } },
        { "h2ping",  "h2ping", "H2PING checks are not supported yet",
          { .h2ping = MU_SPAN_LIT("x") } },
        { "udp",     "udp",    "UDP checks are not supported yet", { .udp = MU_SPAN_LIT("x") } },
        { "service", "os_service", "OSService checks are not supported yet",
          { .os_service = MU_SPAN_LIT("x") } },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        const struct check_type *type = check_type_of(&cases[i].d);
        struct mu_err err = MU_ERR_NONE;
        enum mu_code code = checks_supported(&cases[i].d, &err);
        const char *key = type != NULL ? type->key : "-";
        const char *refusal = cases[i].refusal != NULL ? cases[i].refusal : "";

        if (strcmp(key, cases[i].key != NULL ? cases[i].key : "-") != 0 ||
            strcmp(err.text, refusal) != 0 ||
            code != (refusal[0] != '\0' ? MU_UNSUPPORTED : MU_OK)) {
            fail_msg("%s: type %s, '%s'", cases[i].why, key, err.text);
        }
    }
}

static void rows_are_sane(void **state)
{
    (void)state;
    for (size_t i = 0; i < check_types_count; i++) {
        const struct check_type *t = &check_types[i];

        assert_non_null(t->key);
        assert_non_null(t->matches);
        if (t->is_scheduled) {
            assert_non_null(t->start);
            assert_non_null(t->stop);
            assert_null(t->refusal);
        }
    }
}

static void timeouts_have_a_default(void **state)
{
    struct check_definition d = { .timeout_ns = 0 };

    (void)state;
    assert_int_equal(check_timeout_ms(&d), 10000);
    d.timeout_ns = 1500 * MU_NS_PER_MS;
    assert_int_equal(check_timeout_ms(&d), 1500);
    d.timeout_ns = 1; /* never zero, which would mean: for ever */
    assert_int_equal(check_timeout_ms(&d), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(transcripts_hold),
        cmocka_unit_test(first_runs_are_spread),
        cmocka_unit_test(runs_at_once_are_bounded),
        cmocka_unit_test(deadlines_do_not_wait_for_runs),
        cmocka_unit_test(output_may_be_discarded),
        cmocka_unit_test(output_becomes_utf8),
        cmocka_unit_test(a_run_knows_how_much_output_is_kept),
        cmocka_unit_test(types_are_told_apart_in_order),
        cmocka_unit_test(rows_are_sane),
        cmocka_unit_test(timeouts_have_a_default),
    };

    mu_log_set_fd(-1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
