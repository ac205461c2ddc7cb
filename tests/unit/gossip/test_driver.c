/* Real drivers on loopback, several in one process and one loop: sockets, names, files, life. */
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "core.h"
#include "driver_parts.h"
#include "gossip/driver.h"
#include "scratch.h"
#include "state.h"

#define NODES_MAX   5
#define PATIENCE_MS 20000

struct node {
    struct gossip_driver *driver;
    char name[8];
    char dir[128];
    unsigned joined, updated, failed, left; /* notices */
    bool has_stopped, has_left;
    int contacted; /* -1: no answer to a join yet */
    char why[512];
    bool is_in_call; /* nothing may come from inside a call */
    unsigned events, acks, responses;
    bool is_answered;
    char payload[32];
};

struct cluster {
    uv_loop_t loop;
    uv_timer_t patience;
    bool is_over;
    const char *dir;
    struct node nodes[NODES_MAX];
};

/* -- the loop until something holds -------------------------------------------------------------
 */

typedef bool condition_fn(const struct cluster *c);

static void on_patience(uv_timer_t *timer)
{
    struct cluster *c = timer->data;

    c->is_over = true;
}

static void until_(struct cluster *c, condition_fn *holds, const char *what)
{
    c->is_over = false;
    assert_int_equal(uv_timer_start(&c->patience, on_patience, PATIENCE_MS, 0), 0);
    while (!holds(c)) {
        if (c->is_over) {
            fail_msg("not within %d s: %s", PATIENCE_MS / 1000, what);
        }
        (void)uv_run(&c->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&c->patience);
}
#define until(c, holds) until_(c, holds, #holds)

/* -- nodes --------------------------------------------------------------------------------------
 */

static void on_notices(void *data, const struct gossip_notice *notices, size_t count)
{
    struct node *n = data;

    assert_false(n->is_in_call);
    for (size_t i = 0; i < count; i++) {
        n->joined += notices[i].kind == GOSSIP_JOINED;
        n->updated += notices[i].kind == GOSSIP_UPDATED;
        n->failed += notices[i].kind == GOSSIP_FAILED;
        n->left += notices[i].kind == GOSSIP_LEFT;
    }
}

static void on_joined(void *data, unsigned contacted, const char *why)
{
    struct node *n = data;

    assert_false(n->is_in_call);
    assert_int_equal(n->contacted, -1);
    n->contacted = (int)contacted;
    (void)snprintf(n->why, sizeof n->why, "%s", why);
}

static void on_left(void *data)
{
    struct node *n = data;

    assert_false(n->has_left);
    n->has_left = true;
}

static void on_stopped(void *data)
{
    struct node *n = data;

    assert_false(n->has_stopped);
    n->has_stopped = true;
}

static struct gossip_driver_options options_of(const struct node *n)
{
    struct gossip_driver_options options = {
        .core = { .name = n->name, .pool = "test/lan", .profile = gossip_profile_lan },
        .state_dir = n->dir
    };

    options.core.node_id.b[0] = (uint8_t)n->name[0];
    options.core.profile.gossip_ms = 20; /* soon enough for a test, with room for a busy machine */
    assert_true(mu_addr_parse_ip(MU_SPAN_LIT("127.0.0.1"), &options.bind));
    return options;
}

static void node_start_as(struct cluster *c, size_t i, uint16_t port, bool rejoins)
{
    struct node *n = &c->nodes[i];
    struct mu_err err = MU_ERR_NONE;

    memset(n, 0, sizeof *n);
    n->contacted = -1;
    n->name[0] = (char)('a' + (int)i);
    (void)snprintf(n->dir, sizeof n->dir, "%s/%c", c->dir, (char)('a' + (int)i));
    assert_int_equal(mu_dir_make(n->dir, &err), MU_OK);
    struct gossip_driver_options options = options_of(n);

    options.bind.port = port;
    options.rejoin_after_leave = rejoins;
    assert_int_equal(gossip_driver_new(&n->driver, &c->loop, &options, &err), MU_OK);
    n->is_in_call = true;
    if (gossip_driver_start(n->driver, on_notices, n, &err) != MU_OK) {
        fail_msg("start: %s", err.text);
    }
    n->is_in_call = false;
}

static void node_start_at(struct cluster *c, size_t i, uint16_t port)
{
    node_start_as(c, i, port, false);
}

static void node_join(struct cluster *c, size_t i, size_t to)
{
    struct node *n = &c->nodes[i];
    struct mu_addr addr = gossip_driver_address(c->nodes[to].driver);
    char text[MU_ADDR_TEXT_MAX];
    const char *list[] = { text };

    mu_addr_text(&addr, text);
    n->contacted = -1;
    n->is_in_call = true;
    gossip_driver_join(n->driver, list, 1, false, on_joined, n);
    n->is_in_call = false;
}

static bool is_stopped(const struct cluster *c)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        if (c->nodes[i].driver != NULL && !c->nodes[i].has_stopped) {
            return false;
        }
    }
    return true;
}

static void node_stop_begin(struct cluster *c, size_t i)
{
    gossip_driver_stop(c->nodes[i].driver, on_stopped, &c->nodes[i]);
}

static struct node *stopping;

static bool stopping_is_over(const struct cluster *c)
{
    (void)c;
    return stopping->has_stopped;
}

static void node_stop(struct cluster *c, size_t i)
{
    stopping = &c->nodes[i];
    node_stop_begin(c, i);
    assert_false(stopping->has_stopped); /* never from inside */
    until(c, stopping_is_over);
    gossip_driver_free(c->nodes[i].driver);
    c->nodes[i].driver = NULL;
}

static void cluster_open(struct cluster *c)
{
    memset(c, 0, sizeof *c);
    c->dir = scratch_dir();
    assert_int_equal(uv_loop_init(&c->loop), 0);
    assert_int_equal(uv_timer_init(&c->loop, &c->patience), 0);
    c->patience.data = c;
}

static void cluster_close(struct cluster *c)
{
    struct mu_err err = MU_ERR_NONE;

    for (size_t i = 0; i < NODES_MAX; i++) {
        if (c->nodes[i].driver != NULL) {
            node_stop_begin(c, i);
        }
    }
    until(c, is_stopped);
    for (size_t i = 0; i < NODES_MAX; i++) {
        gossip_driver_free(c->nodes[i].driver);
    }
    uv_close((uv_handle_t *)&c->patience, NULL);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&c->loop), 0); /* or something was left open */
    assert_int_equal(mu_dir_remove(c->dir, &err), MU_OK);
}

/* -- what is waited for -------------------------------------------------------------------------
 */

static size_t alive_at(const struct node *n)
{
    return n->driver != NULL ? gossip_driver_stats(n->driver).alive : 0;
}

static bool three_know_three(const struct cluster *c)
{
    return alive_at(&c->nodes[0]) == 3 && alive_at(&c->nodes[1]) == 3 &&
           alive_at(&c->nodes[2]) == 3;
}

static bool two_know_two(const struct cluster *c)
{
    return alive_at(&c->nodes[0]) == 2 && alive_at(&c->nodes[1]) == 2;
}

static bool c_has_failed(const struct cluster *c)
{
    return c->nodes[0].failed == 1 && c->nodes[1].failed == 1;
}

static bool c_has_left(const struct cluster *c)
{
    return c->nodes[2].has_left && c->nodes[0].left == 1 && c->nodes[1].left == 1;
}

static bool c_is_forgotten(const struct cluster *c)
{
    struct gossip_view view;

    return !gossip_driver_find(c->nodes[0].driver, "c", &view) &&
           !gossip_driver_find(c->nodes[1].driver, "c", &view);
}

static bool a_is_answered(const struct cluster *c)
{
    return c->nodes[0].contacted >= 0;
}

static bool b_was_updated(const struct cluster *c)
{
    return c->nodes[0].updated == 1 && c->nodes[2].updated == 1;
}

static void three_start(struct cluster *c)
{
    for (size_t i = 0; i < 3; i++) {
        node_start_at(c, i, 0);
    }
    node_join(c, 1, 0);
    node_join(c, 2, 0);
    until(c, three_know_three);
}

/* -- tests --------------------------------------------------------------------------------------
 */

static void three_join_and_see_tags(void **unused)
{
    struct mu_pair pair = { MU_SPAN_LIT("role"), MU_SPAN_LIT("db") };
    struct mu_pairs tags = { &pair, 1 };
    struct gossip_view view;
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    three_start(&c);
    assert_int_equal(c.nodes[0].joined, 3); /* itself, too */
    assert_int_equal(c.nodes[1].contacted, 1);
    assert_string_equal(c.nodes[1].why, "");

    assert_int_equal(gossip_driver_set_tags(c.nodes[1].driver, &tags, NULL), MU_OK);
    until(&c, b_was_updated);
    assert_true(gossip_driver_find(c.nodes[2].driver, "b", &view));
    assert_int_equal(view.tags.count, 1);
    assert_true(mu_span_eq_text(view.tags.items[0].value, "db"));
    assert_false(gossip_driver_find(c.nodes[2].driver, "nobody", &view));
    cluster_close(&c);
}

static void on_event(void *data, const struct gossip_user_event *event)
{
    struct node *n = data;

    assert_string_equal(event->name, "deploy");
    assert_true(mu_span_eq_text(event->payload, "v1"));
    n->events++;
}

static void on_query(void *data, const struct gossip_query *query)
{
    struct node *n = data;

    assert_string_equal(query->name, "load");
    assert_string_equal(query->from, "a");
    assert_int_equal(
        gossip_driver_respond(n->driver, query->ltime, query->id, mu_span_text(n->name), NULL),
        MU_OK);
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    struct node *n = data;

    n->acks += reply->kind == GOSSIP_REPLY_ACK;
    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        assert_true(mu_span_eq_text(reply->payload, reply->from));
        n->responses++;
    }
    n->is_answered = reply->kind == GOSSIP_REPLY_DONE;
}

static bool all_have_it(const struct cluster *c)
{
    return c->nodes[0].events == 1 && c->nodes[1].events == 1 && c->nodes[2].events == 1;
}

static bool a_query_is_over(const struct cluster *c)
{
    return c->nodes[0].is_answered;
}

static void listen_all(struct cluster *c)
{
    for (size_t i = 0; i < 3; i++) {
        struct gossip_listener listener = { .event = on_event,
                                            .query = on_query,
                                            .data = &c->nodes[i] };

        gossip_driver_listen(c->nodes[i].driver, &listener);
    }
}

static void an_event_and_a_query_reach_everybody(void **unused)
{
    struct gossip_query_params params = { .name = "load", .timeout_ms = 2000, .wants_acks = true };
    struct mu_err err = MU_ERR_NONE;
    struct cluster c;
    uint64_t id;

    (void)unused;
    cluster_open(&c);
    three_start(&c);
    listen_all(&c);
    assert_int_equal(
        gossip_driver_event(c.nodes[1].driver, "deploy", MU_SPAN_LIT("v1"), false, &err), MU_OK);
    until(&c, all_have_it);
    assert_int_equal(
        gossip_driver_query(c.nodes[0].driver, &params, on_reply, &c.nodes[0], &id, &err), MU_OK);
    until(&c, a_query_is_over);
    assert_int_equal(c.nodes[0].acks, 3);
    assert_int_equal(c.nodes[0].responses, 3);
    params.name = "_serf_mine";
    assert_int_equal(
        gossip_driver_query(c.nodes[0].driver, &params, on_reply, &c.nodes[0], &id, &err),
        MU_DENIED);
    assert_string_equal(err.text, "Queries cannot contain the '_serf_' prefix");
    cluster_close(&c);
}

static void keep_line(void *data, enum mu_log_level level, struct mu_span line)
{
    if (level == MU_WARN) {
        mu_buf_add_span(data, line);
        mu_buf_add_text(data, "\n");
    }
}

static bool a_has_many_words(const struct cluster *c)
{
    return gossip_driver_stats(c->nodes[0].driver).event_queue > 128;
}

static void a_long_queue_is_worth_a_word(void **unused)
{
    struct mu_buf lines = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    three_start(&c);
    mu_log_set_tap(keep_line, &lines, MU_WARN);
    gossip_driver_warn_of_depths(c.nodes[0].driver);
    assert_int_equal(lines.bytes, 0);
    for (unsigned i = 0; i < 300; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "e%u", i);
        assert_int_equal(gossip_driver_event(c.nodes[0].driver, name, MU_SPAN_NONE, false, &err),
                         MU_OK);
    }
    until(&c, a_has_many_words);
    gossip_driver_warn_of_depths(c.nodes[0].driver);
    mu_log_set_tap(NULL, NULL, MU_WARN);
    assert_non_null(strstr(mu_buf_text(&lines), "serf: Event queue depth: "));
    mu_buf_deinit(&lines);
    cluster_close(&c);
}

static void a_stopped_one_is_detected_and_comes_back(void **unused)
{
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    three_start(&c);
    uint16_t port = gossip_driver_address(c.nodes[2].driver).port;
    uint64_t incarnation = gossip_driver_stats(c.nodes[2].driver).incarnation;

    node_stop(&c, 2); /* without a leave: its sockets refuse from now on */
    until(&c, c_has_failed);

    node_start_at(&c, 2, port); /* it finds its peers by itself, from its file */
    assert_true(gossip_driver_stats(c.nodes[2].driver).incarnation > incarnation);
    until(&c, three_know_three);
    cluster_close(&c);
}

static void one_that_leaves_is_left_and_does_not_rejoin(void **unused)
{
    struct gossip_view view;
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    three_start(&c);
    c.nodes[2].is_in_call = true;
    gossip_driver_leave(c.nodes[2].driver, on_left, &c.nodes[2]);
    c.nodes[2].is_in_call = false;
    until(&c, c_has_left);
    assert_true(gossip_driver_find(c.nodes[0].driver, "c", &view));
    assert_int_equal(view.status, GOSSIP_STATUS_LEFT);
    node_stop(&c, 2);

    node_start_at(&c, 2, 0);
    node_join(&c, 0, 1); /* some traffic, and an answer to wait for */
    until(&c, a_is_answered);
    assert_int_equal(alive_at(&c.nodes[2]), 1); /* it said goodbye: it knows nobody */
    cluster_close(&c);
}

static void a_failed_one_is_forced_out(void **unused)
{
    struct mu_err err = MU_ERR_NONE;
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    three_start(&c);
    assert_int_equal(gossip_driver_force_leave(c.nodes[0].driver, "nobody", false, &err),
                     MU_NOT_FOUND);
    node_stop(&c, 2);
    until(&c, c_has_failed);
    assert_int_equal(gossip_driver_force_leave(c.nodes[0].driver, "c", true, &err), MU_OK);
    until(&c, two_know_two);
    until(&c, c_is_forgotten);
    cluster_close(&c);
}

/* A port of loopback where nobody listens: bound once, then closed. */
static uint16_t free_port(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &bytes), 0);
    (void)close(fd);
    return ntohs(sa.sin_port);
}

static void why_a_join_failed_is_said(void **unused)
{
    char text[64];
    char expected[256];
    const char *list[] = { text, "no.such.host.invalid", "host:99999" };
    unsigned port = free_port();
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", port);
    gossip_driver_join(c.nodes[0].driver, list, 1, false, on_joined, &c.nodes[0]);
    until(&c, a_is_answered);
    (void)snprintf(expected, sizeof expected,
                   "1 error occurred:\n\t* Failed to join 127.0.0.1: dial tcp 127.0.0.1:%u: "
                   "connect: connection refused\n\n",
                   port);
    assert_int_equal(c.nodes[0].contacted, 0);
    assert_string_equal(c.nodes[0].why, expected);

    c.nodes[0].contacted = -1;
    gossip_driver_join(c.nodes[0].driver, list, 3, false, on_joined, &c.nodes[0]);
    until(&c, a_is_answered);
    assert_memory_equal(c.nodes[0].why, "3 errors occurred:\n", 19);
    assert_non_null(strstr(c.nodes[0].why, "\t* Failed to resolve no.such.host.invalid: lookup "
                                           "no.such.host.invalid: "));
    assert_non_null(strstr(c.nodes[0].why, "\t* Failed to resolve host:99999: not of the form"));
    cluster_close(&c);
}

static void joining_by_name_and_ourselves(void **unused)
{
    char text[64];
    const char *list[] = { text };
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    node_start_at(&c, 1, 0);
    (void)snprintf(text, sizeof text, "a/localhost:%u",
                   gossip_driver_address(c.nodes[1].driver).port);
    gossip_driver_join(c.nodes[0].driver, list, 1, false, on_joined, &c.nodes[0]);
    until(&c, two_know_two);
    until(&c, a_is_answered);
    assert_int_equal(c.nodes[0].contacted, 1);

    node_join(&c, 0, 0);
    until(&c, a_is_answered);
    assert_int_equal(c.nodes[0].contacted, 1);
    cluster_close(&c);
}

static void a_taken_port_is_named(void **unused)
{
    struct gossip_driver_options options;
    struct gossip_driver *d = NULL;
    struct mu_err err = MU_ERR_NONE;
    char expected[64];
    struct cluster c;
    struct node other = { .name = "z" };

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    options = options_of(&other);
    options.state_dir = NULL;
    options.bind.port = gossip_driver_address(c.nodes[0].driver).port;
    assert_int_equal(gossip_driver_new(&d, &c.loop, &options, &err), MU_OK);
    assert_int_equal(gossip_driver_start(d, on_notices, &other, &err), MU_IO);
    (void)snprintf(expected, sizeof expected, "127.0.0.1:%u: ", options.bind.port);
    assert_non_null(strstr(err.text, expected));
    assert_non_null(strstr(err.text, "address already in use"));
    gossip_driver_free(d); /* at once: a failed start holds nothing */
    cluster_close(&c);
}

static void an_unwritable_state_directory_is_named(void **unused)
{
    struct gossip_driver_options options;
    struct gossip_driver *d = NULL;
    struct mu_err err = MU_ERR_NONE;
    struct cluster c;
    struct node other = { .name = "z" };

    (void)unused;
    cluster_open(&c);
    (void)snprintf(other.dir, sizeof other.dir, "%s/absent/deeper", c.dir);
    options = options_of(&other);
    assert_int_equal(gossip_driver_new(&d, &c.loop, &options, &err), MU_OK);
    assert_int_not_equal(gossip_driver_start(d, on_notices, &other, &err), MU_OK);
    assert_non_null(strstr(err.text, "gossip state"));
    assert_non_null(strstr(err.text, "absent/deeper"));
    gossip_driver_free(d);
    cluster_close(&c);
}

static bool file_knows_a(const struct cluster *c)
{
    struct mu_buf text = MU_BUF_NONE;
    struct gossip__kept state = { .has_left = false };
    struct mu_arena arena;
    char path[160];
    bool knows = false;

    mu_arena_init(&arena, 0);
    (void)snprintf(path, sizeof path, "%s/members", c->nodes[1].dir);
    if (mu_file_read(path, GOSSIP__STATE_MAX, &text, NULL) == MU_OK) {
        gossip__state_read(mu_buf_span(&text), &arena, &state);
        knows = state.known_count > 0 && strcmp(state.known[0].name, "a") == 0;
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return knows;
}

static void a_second_crash_before_anybody_answers_loses_no_peer(void **unused)
{
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    node_start_at(&c, 1, 0);
    node_join(&c, 1, 0);
    until(&c, two_know_two);
    uint16_t port = gossip_driver_address(c.nodes[0].driver).port;

    node_stop(&c, 1);
    assert_true(file_knows_a(&c)); /* written at the latest when it stops */
    node_stop(&c, 0);
    node_start_at(&c, 1, 0); /* alone */
    node_stop(&c, 1);
    assert_true(file_knows_a(&c));
    node_start_at(&c, 1, 0);
    node_start_at(&c, 0, port);
    until(&c, two_know_two);
    cluster_close(&c);
}

static bool b_has_left(const struct cluster *c)
{
    return c->nodes[1].has_left;
}

static bool b_is_back(const struct cluster *c)
{
    struct gossip_view a;

    return gossip_driver_find(c->nodes[1].driver, "a", &a) && a.status == GOSSIP_STATUS_ALIVE;
}

static bool c_is_answered(const struct cluster *c)
{
    return c->nodes[2].contacted > 0;
}

static void b_starts_on_its_own(struct cluster *c)
{
    node_start_at(c, 1, 0);
    node_start_at(c, 2, 0);
    node_join(c, 2, 0); /* an answer to wait for: by then b would be back */
    until(c, c_is_answered);
    assert_int_equal(alive_at(&c->nodes[1]), 1);
    node_stop(c, 2);
}

/* It said goodbye, so it stays on its own when it starts; nothing that it does there loses those of
 * before: a start that is to rejoin finds them, as with Serf, whose file of members only grows. */
static void starts_on_its_own_after_a_leave_lose_no_peer(void **unused)
{
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    node_start_at(&c, 1, 0);
    node_join(&c, 1, 0);
    until(&c, two_know_two);
    gossip_driver_leave(c.nodes[1].driver, on_left, &c.nodes[1]);
    until(&c, b_has_left);
    node_stop(&c, 1);
    b_starts_on_its_own(&c);
    node_stop(&c, 1); /* without a word */
    b_starts_on_its_own(&c);
    gossip_driver_leave(c.nodes[1].driver, on_left, &c.nodes[1]); /* with nobody to tell it to */
    until(&c, b_has_left);
    node_stop(&c, 1);
    assert_true(file_knows_a(&c));
    node_start_as(&c, 1, 0, true);
    until(&c, b_is_back);
    cluster_close(&c);
}

static void a_stop_answers_who_still_waits(void **unused)
{
    const char *list[] = { "no.such.host.invalid" };
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    gossip_driver_join(c.nodes[0].driver, list, 1, false, on_joined, &c.nodes[0]);
    node_stop(&c, 0);
    assert_int_equal(c.nodes[0].contacted, 0);
    cluster_close(&c);
}

static bool a_knows_of_drops(const struct cluster *c)
{
    return gossip_driver_stats(c->nodes[0].driver).kernel_drops > 0;
}

/* A socket of nobody's, connected to the first node. */
static int stranger(const struct cluster *c, int kind)
{
    struct mu_addr at = gossip_driver_address(c->nodes[0].driver);
    struct sockaddr_storage to;
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    mu_addr_to_sockaddr(&at, &to);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(struct sockaddr_in)), 0);
    return fd;
}

/* Nobody reads while more comes than any buffer holds; the next one that fits tells of it. */
static void what_the_kernel_drops_is_counted(void **unused)
{
    static const uint8_t junk[1400] = { 0 };
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    int fd = stranger(&c, SOCK_DGRAM);

    assert_int_equal(gossip_driver_stats(c.nodes[0].driver).kernel_drops, 0);
    for (unsigned i = 0; i < 20000; i++) {
        (void)send(fd, junk, sizeof junk, MSG_DONTWAIT);
    }
    while (gossip_driver_stats(c.nodes[0].driver).packets_dropped == 0) {
        (void)uv_run(&c.loop, UV_RUN_ONCE);
    }
    assert_true(send(fd, junk, sizeof junk, 0) > 0);
    until(&c, a_knows_of_drops);
    (void)close(fd);
    cluster_close(&c);
}

static void add_frame(struct mu_buf *to, struct gossip__frame frame)
{
    struct mu_arena arena;
    uint8_t front[8];
    struct mu_wr w = mu_wr_of(front, sizeof front);

    mu_arena_init(&arena, 0);
    (void)(frame.kind == GOSSIP__FRAME_PART ? gossip__part_encode(&frame.part, &arena)
                                            : MU_SPAN_NONE);
    struct mu_span payload = gossip__frame_encode(&frame, &arena);

    mu_wr_u32be(&w, (uint32_t)payload.bytes);
    mu_wr_u32be(&w, mu_crc32c(0, payload.data, payload.bytes));
    mu_buf_add_span(to, mu_wr_done(&w));
    mu_buf_add_span(to, payload);
    mu_arena_deinit(&arena);
}

static bool a_asker_is_gone(const struct cluster *c)
{
    const struct gossip *core = c->nodes[0].driver->core;

    return core->counters[GOSSIP_COUNT_STREAMS_IN] == 1 && core->inbound_count == 0;
}

/* The head of the answer makes the other side's kernel reset the connection; the frame behind it is
 * then written to nobody. */
static void who_asks_and_goes_at_once_costs_no_more_than_its_stream(void **unused)
{
    struct gossip__frame hello = { .kind = GOSSIP__FRAME_HELLO };
    struct gossip__frame ping = { .kind = GOSSIP__FRAME_PART };
    uint8_t head[GOSSIP__HEADER_BYTES];
    struct mu_buf bytes = MU_BUF_NONE;
    struct cluster c;

    (void)unused;
    cluster_open(&c);
    node_start_at(&c, 0, 0);
    int fd = stranger(&c, SOCK_STREAM);

    gossip__header_write(c.nodes[0].driver->core, GOSSIP__FLAG_STREAM, MU_SPAN_NONE, head);
    mu_buf_add_span(&bytes, mu_span_of(head, sizeof head));
    hello.hello = (struct gossip__hello){ .kind = GOSSIP__HELLO_PING, .from = "b", .boot_id = 1 };
    add_frame(&bytes, hello);
    ping.part.kind = GOSSIP__PART_PING;
    ping.part.ping = (struct gossip__ping){ .seq = 1, .target = "a" };
    add_frame(&bytes, ping);
    assert_int_equal(send(fd, bytes.data, bytes.bytes, MSG_NOSIGNAL), bytes.bytes);
    (void)close(fd);
    until(&c, a_asker_is_gone);
    mu_buf_deinit(&bytes);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_join_and_see_tags),
        cmocka_unit_test(an_event_and_a_query_reach_everybody),
        cmocka_unit_test(a_long_queue_is_worth_a_word),
        cmocka_unit_test(a_stopped_one_is_detected_and_comes_back),
        cmocka_unit_test(one_that_leaves_is_left_and_does_not_rejoin),
        cmocka_unit_test(a_failed_one_is_forced_out),
        cmocka_unit_test(why_a_join_failed_is_said),
        cmocka_unit_test(joining_by_name_and_ourselves),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(an_unwritable_state_directory_is_named),
        cmocka_unit_test(a_second_crash_before_anybody_answers_loses_no_peer),
        cmocka_unit_test(starts_on_its_own_after_a_leave_lose_no_peer),
        cmocka_unit_test(what_the_kernel_drops_is_counted),
        cmocka_unit_test(a_stop_answers_who_still_waits),
        cmocka_unit_test(who_asks_and_goes_at_once_costs_no_more_than_its_stream),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as driver.h asks, and main() of muster does */
    mu_log_set_fd(getenv("MUSTER_TEST_LOG") != NULL ? 2 : -1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
