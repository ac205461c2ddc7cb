/* A day of keys, services and sessions that come and go, with the history of keys compacted as a
 * leader does: a flush of the state costs in the last hour what it costs in the second one
 * (spec/consensus.md 5, row 89). Counted are requests and bytes, not time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "apply.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "compaction.h"
#include "counted_io.h"
#include "proto/command.h"
#include "scratch.h"

#define HOURS         24U
#define TICKS_AN_HOUR 360U
#define TICK_MS       10000U
#define KEYS          400U
#define VALUE_BYTES   3000U
#define TREE_KEYS     300U /* written at the beginning of each hour, and deleted in its middle */

struct day {
    const char *dir;
    struct catalog *catalog; /* its apply's */
    struct apply *apply;
    struct compaction *compaction;
    struct compaction_step step; /* in flight; rows 0: none */
    struct mu_rand rand;
    uint64_t now_ms, index, sessions;
    struct counted_io hour;
};

/* -- what takes the steps: nobody but the test --------------------------------------------------
 */

static void on_mail(void *self)
{
    (void)self;
}

static const struct apply_host host = { .mail = on_mail, .report = on_mail, .join = on_mail };

static void on_done(void *data, const struct apply_report *report)
{
    struct day *d = data;

    for (size_t i = 0; i < report->results_count; i++) {
        assert_int_equal(report->results[i].result.code, MU_OK);
        if (d->step.rows > 0 && report->results[i].ticket == d->index) {
            compaction_ended(d->compaction, &d->step, true, report->results[i].result.did_apply,
                             d->now_ms);
            d->step.rows = 0;
        }
    }
    if (report->changes != NULL) {
        compaction_note(d->compaction, report->history.rev, report->history.compacted_rev);
    }
}

static void on_failed(void *data, const char *why)
{
    (void)data;
    fail_msg("%s", why);
}

static void on_full(void *data)
{
    on_failed(data, "the disk is full");
}

/* -- what is written ----------------------------------------------------------------------------
 */

static void push(struct day *d, struct command *c)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    c->stamp_ms = d->now_ms;
    if (command_encode(c, &bytes, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    d->index++;
    struct apply_entry e = { d->index, 1, d->index, 0, mu_buf_span(&bytes) };

    apply_push(d->apply, &e, 1);
    mu_buf_deinit(&bytes);
}

static void put(struct day *d, const char *prefix, uint64_t key)
{
    static uint8_t value[VALUE_BYTES];
    char name[32];

    (void)snprintf(name, sizeof name, "%s/%llu", prefix, (unsigned long long)key);
    for (size_t i = 0; i < sizeof value; i += sizeof(uint64_t)) {
        uint64_t bits = mu_rand_u64(&d->rand);

        memcpy(value + i, &bits, sizeof bits);
    }
    struct command c = { .kind = COMMAND_KV_SET,
                         .kv_set = { .key = mu_span_text(name),
                                     .value = mu_span_of(value, sizeof value) } };

    push(d, &c);
}

static void drop(struct day *d, const char *name, bool is_tree)
{
    struct command c = { .kind = COMMAND_KV_DELETE,
                         .kv_delete = { .key = mu_span_text(name), .recurse = is_tree } };

    push(d, &c);
}

static struct mu_id session_id(uint64_t number)
{
    struct mu_id id = MU_ID_NONE;

    memcpy(id.b, &number, sizeof number);
    id.b[sizeof id.b - 1] = 1;
    return id;
}

/* A job: it registers, takes a session, and the one before it is gone. */
static void job(struct day *d)
{
    struct command c = { .kind = COMMAND_REGISTER };
    char name[32];

    (void)snprintf(name, sizeof name, "job-%llu", (unsigned long long)d->sessions);
    c.reg.node.name = MU_SPAN_LIT("n1");
    c.reg.node.address = MU_SPAN_LIT("10.0.0.1");
    c.reg.has_service = true;
    c.reg.service.id = c.reg.service.name = mu_span_text(name);
    push(d, &c);
    c = (struct command){ .kind = COMMAND_SESSION_CREATE };
    c.session.id = session_id(d->sessions);
    c.session.node = MU_SPAN_LIT("n1");
    c.session.behavior = MU_SPAN_LIT("release");
    push(d, &c);
    if (d->sessions++ > 0) {
        (void)snprintf(name, sizeof name, "job-%llu", (unsigned long long)d->sessions - 2);
        c = (struct command){ .kind = COMMAND_SESSION_DESTROY };
        c.session_destroy.id = session_id(d->sessions - 2);
        push(d, &c);
        c = (struct command){ .kind = COMMAND_DEREGISTER };
        c.dereg.node = MU_SPAN_LIT("n1");
        c.dereg.service_id = mu_span_text(name);
        push(d, &c);
    }
}

/* -- time ---------------------------------------------------------------------------------------
 */

/* What was pushed, and then quiet moments until the tick is over. */
static void settle(struct day *d)
{
    uint64_t nap_ms = 0;

    while (apply_has_mail(d->apply)) {
        assert_true(apply_step(d->apply, &nap_ms));
    }
    for (uint64_t left_ms = TICK_MS; nap_ms <= left_ms;) {
        left_ms -= nap_ms;
        assert_true(apply_step(d->apply, &nap_ms));
    }
    apply_collect(d->apply);
    d->now_ms += TICK_MS;
}

static void compact(struct day *d)
{
    if (compaction_due(d->compaction, d->now_ms, &d->step)) {
        struct command c = { .kind = COMMAND_KV_COMPACT,
                             .kv_compact = { .space = 1,
                                             .versions_rev = d->step.versions_rev,
                                             .markers_rev = d->step.markers_rev,
                                             .rows = d->step.rows } };

        push(d, &c);
        settle(d);
    }
}

static void tick(struct day *d, size_t at)
{
    char name[32];

    for (size_t i = 0; at == 0 && i < TREE_KEYS; i++) {
        put(d, "tree", i);
    }
    if (at == TICKS_AN_HOUR / 2) {
        drop(d, "tree/", true);
    }
    for (size_t i = 0; i < 3; i++) {
        put(d, "key", mu_rand_below(&d->rand, KEYS));
    }
    (void)snprintf(name, sizeof name, "key/%llu",
                   (unsigned long long)mu_rand_below(&d->rand, KEYS));
    drop(d, name, false);
    job(d);
    settle(d);
    compact(d);
}

static void hour(struct day *d)
{
    struct counted_io before = counted_io;

    for (size_t at = 0; at < TICKS_AN_HOUR; at++) {
        tick(d, at);
    }
    d->hour = counted_since(&before);
}

/* -- the day ------------------------------------------------------------------------------------
 */

static void day_begin(struct day *d)
{
    char path[128];
    struct mu_err err = MU_ERR_NONE;

    memset(d, 0, sizeof *d);
    mu_log_set_fd(-1);
    mu_rand_seed(&d->rand, 89);
    d->dir = scratch_dir();
    (void)snprintf(path, sizeof path, "%s/state.db", d->dir);
    struct catalog_options options = { .path = path };

    if (catalog_open(&d->catalog, &options, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    d->apply = apply_open(&host, d->catalog, on_done, on_failed, on_full, d);
    d->now_ms = 1000;
    d->compaction = compaction_new();
    compaction_lead(d->compaction, d->now_ms);
}

static void day_end(struct day *d)
{
    compaction_free(d->compaction);
    apply_close(d->apply);
    assert_int_equal(mu_dir_remove(d->dir, NULL), MU_OK);
}

static void a_flush_of_the_state_costs_the_same_all_day(void **state)
{
    struct counted_io second = { 0 };
    uint64_t bytes = 0;
    struct day d;

    (void)state;
    day_begin(&d);
    for (size_t at = 1; at <= HOURS; at++) {
        hour(&d);
        if (at == 2) {
            second = d.hour;
            bytes = catalog_bytes(d.catalog);
            assert_in_range(second.flushes, 20, TICKS_AN_HOUR * 4);
        }
        if (at > 2) {
            must_be_flat(at, "requests", d.hour.writes, second.writes, 0);
            must_be_flat(at, "bytes", d.hour.bytes, second.bytes, 0);
            must_be_flat(at, "flushes", d.hour.flushes, second.flushes, 0);
            must_be_flat(at, "requests for each flush", d.hour.writes / d.hour.flushes,
                         second.writes / second.flushes, 0);
            must_be_flat(at, "bytes for each flush", d.hour.bytes / d.hour.flushes,
                         second.bytes / second.flushes, 0);
            must_be_flat(at, "the state", catalog_bytes(d.catalog), bytes, 0);
        }
    }
    day_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_of_the_state_costs_the_same_all_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
