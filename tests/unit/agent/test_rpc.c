/* Two ends of RPC in one loop, over real sockets on loopback. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/tls.h"
#include "rpc.h"
#include "timer.h"

#define PATIENCE_MS 10000
#define PILE        4U /* requests that are answered in one turn, with so many bytes each */
#define PILE_BYTES  (6U * 1024 * 1024)

/* One side: what it was asked, and what it heard. */
struct side {
    struct rpc *rpc;
    struct rpc_identity identity;
    bool refuses;
    struct mu_buf heard; /* messages of the stream, each with a newline */
    struct rpc_request *held;
    struct rpc_request *piled[PILE];
    size_t piled_count;
    unsigned gone;
};

static bool is_sealed; /* the whole group runs again over TLS */

struct world {
    uv_loop_t loop;
    struct mu_tls_context *tls;
    struct timers *timers;
    struct side server, client;
    struct rpc_link *link;
    unsigned ups, downs;
    char why[128];
    unsigned answers, busies;
    enum mu_code code;
    struct mu_buf answer;
    char error[MU_ERR_TEXT_MAX];
    struct timer give_up;
    bool has_given_up;
    unsigned closing;
};

static void give_identity(void *data, struct rpc_identity *out)
{
    *out = ((struct side *)data)->identity;
}

static enum mu_code welcome(void *data, const struct rpc_identity *peer, struct mu_err *err)
{
    struct side *s = data;

    return s->refuses ? mu_fail(err, MU_FOREIGN, "no '%s' here", peer->name) : MU_OK;
}

static void on_stream(void *data, struct rpc_request *request, struct mu_span message)
{
    struct side *s = data;

    assert_string_equal(rpc_asker(request)->name, "client");
    if (mu_span_eq_text(message, "refuse")) {
        rpc_refuse(request, MU_DENIED, "who is that?");
        return;
    }
    mu_buf_add_span(&s->heard, message);
    mu_buf_add_byte(&s->heard, '\n');
}

/* Nothing is sent between these answers. */
static void pile_answer(struct side *s)
{
    struct mu_buf large = MU_BUF_NONE;

    memset(mu_buf_reserve(&large, PILE_BYTES), 'x', PILE_BYTES);
    large.bytes = PILE_BYTES;
    for (size_t i = 0; i < s->piled_count; i++) {
        rpc_reply(s->piled[i], mu_buf_span(&large));
        assert_true(rpc_held(s->rpc).answers_bytes <= MU_RPC_HELD_MAX);
    }
    mu_buf_deinit(&large);
}

/* "hold" waits, "pile" waits for others, "refuse" is refused, anything else comes back. */
static void on_propose(void *data, struct rpc_request *request, struct mu_span message)
{
    struct side *s = data;

    if (mu_span_eq_text(message, "hold")) {
        s->held = request;
    } else if (mu_span_eq_text(message, "pile")) {
        s->piled[s->piled_count++] = request;
        if (s->piled_count == PILE) {
            pile_answer(s);
        }
    } else if (mu_span_eq_text(message, "refuse")) {
        rpc_refuse(request, MU_NOT_LEADER, "ask n2, 100% sure");
    } else {
        rpc_reply(request, message);
    }
}

static void on_gone(void *data, struct rpc_request *request)
{
    struct side *s = data;

    assert_ptr_equal(s->held, request);
    s->held = NULL;
    s->gone++;
}

static struct rpc *open_side(struct world *w, struct side *s, const char *name)
{
    struct rpc_options options = {
        .identity = give_identity,
        .welcome = welcome,
        .data = s,
        .handlers = {
            [RPC_RAFT] = { on_stream, NULL },
            [RPC_PROPOSE] = { on_propose, on_gone },
        },
    };

    options.sealing.tls = w->tls;
    s->identity.node = mu_id_random();
    s->identity.boot_id = 7;
    (void)snprintf(s->identity.name, sizeof s->identity.name, "%s", name);
    (void)snprintf(s->identity.datacenter, sizeof s->identity.datacenter, "dc1");
    return rpc_new(&w->loop, w->timers, &options);
}

static void on_give_up(void *data)
{
    ((struct world *)data)->has_given_up = true;
}

static int setup(void **state)
{
    struct world *w = mu_new(sizeof *w);
    struct mu_addr at;

    mu_log_set_fd(-1);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->timers = timers_new(&w->loop);
    if (is_sealed) {
        struct mu_tls_key key = { .identity = "0badcafe", .bytes = { 1, 2, 3 } };

        assert_int_equal(mu_tls_context_new(&w->tls, NULL), MU_OK);
        mu_tls_context_keys(w->tls, &key, 1);
    }
    w->server.rpc = open_side(w, &w->server, "server");
    w->client.rpc = open_side(w, &w->client, "client");
    assert_true(mu_addr_parse_ip(MU_SPAN_LIT("127.0.0.1"), &at));
    assert_int_equal(rpc_listen(w->server.rpc, &at, NULL), MU_OK);
    timer_set(w->timers, &w->give_up, PATIENCE_MS, on_give_up, w);
    *state = w;
    return 0;
}

static void on_closed(void *data)
{
    ((struct world *)data)->closing--;
}

static int teardown(void **state)
{
    struct world *w = *state;

    rpc_hang_up(w->link);
    if (w->server.rpc != NULL) {
        w->closing++;
        rpc_close(w->server.rpc, on_closed, w);
    }
    w->closing++;
    rpc_close(w->client.rpc, on_closed, w);
    while (w->closing > 0) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    timers_close(w->timers);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    mu_buf_deinit(&w->server.heard);
    mu_buf_deinit(&w->answer);
    mu_tls_context_free(w->tls);
    mu_free(w);
    return 0;
}

#define RUN_UNTIL(w, condition)                               \
    while (!(condition)) {                                    \
        if ((w)->has_given_up) {                              \
            fail_msg("gave up waiting until %s", #condition); \
        }                                                     \
        (void)uv_run(&(w)->loop, UV_RUN_ONCE);                \
    }

static void on_link(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct world *w = data;

    assert_ptr_equal(w->link, link);
    w->ups += is_up;
    w->downs += !is_up;
    (void)snprintf(w->why, sizeof w->why, "%s", why != NULL ? why : "");
}

static void on_answer(void *data, enum mu_code code, struct mu_span answer,
                      const struct mu_err *err)
{
    struct world *w = data;

    w->answers++;
    w->busies += code == MU_BUSY;
    w->code = code;
    mu_buf_clear(&w->answer);
    mu_buf_add_span(&w->answer, answer);
    (void)snprintf(w->error, sizeof w->error, "%s", err->text);
}

static void dial(struct world *w, const struct mu_id *expect)
{
    struct mu_addr to = rpc_address(w->server.rpc);

    w->link = rpc_dial(w->client.rpc, &to, expect, on_link, w);
}

static void a_call_made_before_the_link_is_up_is_answered(void **state)
{
    struct world *w = *state;

    dial(w, &w->server.identity.node);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("one"), 0, on_answer, w);
    assert_int_equal(w->answers, 0);
    RUN_UNTIL(w, w->answers == 1);
    assert_int_equal(w->code, MU_OK);
    assert_true(mu_span_eq_text(mu_buf_span(&w->answer), "one"));
    assert_int_equal(w->ups, 1);
    assert_string_equal(rpc_peer(w->link)->name, "server");
}

static void large_messages_arrive_whole(void **state)
{
    struct world *w = *state;
    struct mu_buf big = MU_BUF_NONE;

    for (uint32_t i = 0; i < 700000; i++) {
        mu_buf_add(&big, &i, sizeof i);
    }
    dial(w, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        (void)rpc_call(w->link, RPC_PROPOSE, mu_buf_span(&big), 0, on_answer, w);
    }
    RUN_UNTIL(w, w->answers == 3);
    assert_int_equal(w->code, MU_OK);
    assert_true(mu_span_eq(mu_buf_span(&w->answer), mu_buf_span(&big)));
    mu_buf_deinit(&big);
}

static void answers_that_wait_to_be_sent_are_bounded(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    for (unsigned i = 0; i < PILE; i++) {
        (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("pile"), 0, on_answer, w);
    }
    RUN_UNTIL(w, w->answers == PILE);
    assert_int_equal(w->busies, PILE - MU_RPC_HELD_MAX / PILE_BYTES);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("again"), 0, on_answer, w);
    RUN_UNTIL(w, w->answers == PILE + 1);
    assert_int_equal(w->code, MU_OK);
    assert_int_equal(rpc_held(w->server.rpc).answers_bytes, 0); /* they were sent */
    assert_true(rpc_held(w->server.rpc).answers_most > PILE_BYTES);
}

static void a_refusal_keeps_code_and_text(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("refuse"), 0, on_answer, w);
    RUN_UNTIL(w, w->answers == 1);
    assert_int_equal(w->code, MU_NOT_LEADER);
    assert_string_equal(w->error, "ask n2, 100% sure");
}

static void an_unknown_method_is_unsupported(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    (void)rpc_call(w->link, RPC_RESOLVE, MU_SPAN_LIT("x"), 0, on_answer, w);
    RUN_UNTIL(w, w->answers == 1);
    assert_int_equal(w->code, MU_UNSUPPORTED);
}

static void a_call_times_out_and_the_other_side_learns_it(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("hold"), 200, on_answer, w);
    RUN_UNTIL(w, w->answers == 1);
    assert_int_equal(w->code, MU_TIMEOUT);
    RUN_UNTIL(w, w->server.gone == 1);
}

static void a_cancelled_call_is_never_answered(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    struct rpc_call *call = rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("hold"), 0, on_answer, w);

    RUN_UNTIL(w, w->server.held != NULL);
    rpc_cancel(call);
    RUN_UNTIL(w, w->server.gone == 1);
    assert_int_equal(w->answers, 0);
}

static void a_stream_carries_messages_in_order(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    assert_false(rpc_send(w->link, RPC_RAFT, MU_SPAN_LIT("early"), 1000));
    RUN_UNTIL(w, w->ups == 1);
    assert_true(rpc_send(w->link, RPC_RAFT, MU_SPAN_LIT("a"), 1000));
    assert_true(rpc_send(w->link, RPC_RAFT, MU_SPAN_LIT("b"), 1000));
    assert_false(rpc_send(w->link, RPC_RAFT, MU_SPAN_LIT("c"), 3)); /* the queue is full */
    RUN_UNTIL(w, w->server.heard.bytes == 4);
    assert_true(mu_span_eq_text(mu_buf_span(&w->server.heard), "a\nb\n"));
}

static void a_stream_that_was_refused_begins_anew(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    RUN_UNTIL(w, w->ups == 1);
    assert_true(rpc_send(w->link, RPC_RAFT, MU_SPAN_LIT("refuse"), 1000));
    /* What is said before the refusal is known is lost with the stream. */
    RUN_UNTIL(w, rpc_send(w->link, RPC_RAFT, MU_SPAN_LIT("again"), 1000000) &&
                     w->server.heard.bytes > 0);
    assert_true(mu_span_starts(mu_buf_span(&w->server.heard), MU_SPAN_LIT("again\n")));
    assert_int_equal(w->downs, 0);
}

static void the_wrong_node_is_hung_up_on(void **state)
{
    struct world *w = *state;
    struct mu_id other = mu_id_random();

    dial(w, &other);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("one"), 0, on_answer, w);
    RUN_UNTIL(w, w->downs == 1);
    assert_int_equal(w->ups, 0);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->code, MU_UNREACHABLE);
    assert_string_equal(w->why, "another node lives there: server");
}

static void an_unwelcome_peer_is_told_why(void **state)
{
    struct world *w = *state;

    w->server.refuses = true;
    dial(w, NULL);
    RUN_UNTIL(w, w->downs == 1);
    assert_string_equal(w->why, "no 'client' here");
}

static void nobody_there_is_unreachable(void **state)
{
    struct world *w = *state;
    struct mu_addr to = rpc_address(w->server.rpc);

    w->closing++;
    rpc_close(w->server.rpc, on_closed, w);
    w->server.rpc = NULL;
    RUN_UNTIL(w, w->closing == 0);
    w->link = rpc_dial(w->client.rpc, &to, NULL, on_link, w);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("one"), 0, on_answer, w);
    RUN_UNTIL(w, w->downs == 1);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->code, MU_UNREACHABLE);
}

static void a_call_in_flight_is_lost_with_its_connection(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("hold"), 0, on_answer, w);
    RUN_UNTIL(w, w->server.held != NULL);
    w->closing++;
    rpc_close(w->server.rpc, on_closed, w);
    w->server.rpc = NULL;
    RUN_UNTIL(w, w->downs == 1);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->code, MU_LOST);
    assert_int_equal(w->server.gone, 1);
}

static void hanging_up_answers_later(void **state)
{
    struct world *w = *state;

    dial(w, NULL);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("hold"), 0, on_answer, w);
    RUN_UNTIL(w, w->server.held != NULL);
    rpc_hang_up(w->link);
    w->link = NULL;
    assert_int_equal(w->answers, 0);
    RUN_UNTIL(w, w->answers == 1);
    assert_int_equal(w->code, MU_LOST);
    RUN_UNTIL(w, w->server.gone == 1);
    assert_int_equal(w->downs, 0);
}

/* Bytes that are no HTTP/2, and none at all: the listener goes on. */
static void on_raw_connected(uv_connect_t *req, int status)
{
    static const char nonsense[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)nonsense, sizeof nonsense - 1);

    assert_int_equal(status, 0);
    assert_int_equal(uv_try_write(req->handle, &buf, 1), (int)sizeof nonsense - 1);
}

static void on_raw_read(uv_stream_t *s, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    if (got < 0) {
        *(bool *)s->data = true;
        (void)uv_read_stop(s);
    }
}

static void raw_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static char room[4096];

    (void)h;
    (void)suggested;
    *buf = uv_buf_init(room, sizeof room);
}

static void nonsense_is_closed_and_others_are_served(void **state)
{
    struct world *w = *state;
    struct mu_addr to = rpc_address(w->server.rpc);
    struct sockaddr_storage sa;
    uv_tcp_t raw;
    uv_connect_t connecting;
    bool is_closed = false;

    mu_addr_to_sockaddr(&to, &sa);
    assert_int_equal(uv_tcp_init(&w->loop, &raw), 0);
    raw.data = &is_closed;
    assert_int_equal(
        uv_tcp_connect(&connecting, &raw, (const struct sockaddr *)&sa, on_raw_connected), 0);
    (void)uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(uv_read_start((uv_stream_t *)&raw, raw_alloc, on_raw_read), 0);
    RUN_UNTIL(w, is_closed);
    uv_close((uv_handle_t *)&raw, NULL);
    dial(w, NULL);
    (void)rpc_call(w->link, RPC_PROPOSE, MU_SPAN_LIT("one"), 0, on_answer, w);
    RUN_UNTIL(w, w->answers == 1);
    assert_int_equal(w->code, MU_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* -- keys -------------------------------------------------------------------------------------- */

static void two_keys_do_not_meet(void **state)
{
    struct world *w = *state;
    struct mu_tls_key other = { .identity = "0badcafe", .bytes = { 3, 2, 1 } };
    struct mu_tls_context *tls;

    assert_int_equal(mu_tls_context_new(&tls, NULL), MU_OK);
    mu_tls_context_keys(tls, &other, 1);
    rpc_seal(w->client.rpc, &(struct rpc_sealing){ .tls = tls });
    dial(w, NULL);
    RUN_UNTIL(w, w->downs == 1);
    assert_int_equal(w->ups, 0);
    assert_non_null(strstr(w->why, "is the encryption key the same on both sides?"));
    rpc_hang_up(w->link);
    w->link = NULL;
    mu_tls_context_free(tls);
}

static void in_clear_nobody_is_let_in_where_that_is_refused(void **state)
{
    struct world *w = *state;

    rpc_seal(w->client.rpc, &(struct rpc_sealing){ .tls = w->tls, .sends_clear = true });
    dial(w, NULL);
    RUN_UNTIL(w, w->downs == 1);
    assert_int_equal(w->ups, 0);
    rpc_hang_up(w->link);
    rpc_seal(w->server.rpc, &(struct rpc_sealing){ .tls = w->tls, .takes_clear = true });
    dial(w, NULL);
    RUN_UNTIL(w, w->ups == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_made_before_the_link_is_up_is_answered),
        TEST(large_messages_arrive_whole),
        TEST(answers_that_wait_to_be_sent_are_bounded),
        TEST(a_refusal_keeps_code_and_text),
        TEST(an_unknown_method_is_unsupported),
        TEST(a_call_times_out_and_the_other_side_learns_it),
        TEST(a_cancelled_call_is_never_answered),
        TEST(a_stream_carries_messages_in_order),
        TEST(a_stream_that_was_refused_begins_anew),
        TEST(the_wrong_node_is_hung_up_on),
        TEST(an_unwelcome_peer_is_told_why),
        TEST(nobody_there_is_unreachable),
        TEST(a_call_in_flight_is_lost_with_its_connection),
        TEST(hanging_up_answers_later),
        TEST(nonsense_is_closed_and_others_are_served),
    };

    const struct CMUnitTest sealed[] = {
        TEST(two_keys_do_not_meet),
        TEST(in_clear_nobody_is_let_in_where_that_is_refused),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as main() of muster does */
    int failed = cmocka_run_group_tests_name("in clear", tests, NULL, NULL);

    is_sealed = true;
    failed += cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("keys", sealed, NULL, NULL);
    return failed;
}
