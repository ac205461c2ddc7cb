/* membership.c - a server without a leader asks the others whether it is still one of them.
 *
 * Consensus does that too, among the servers of its own configuration, and believes two of them.
 * But who was away for long may know only one that is still there: the others left, or were
 * replaced by servers it never heard of. Gossip knows those. So after a while without a leader each
 * living server of this cluster is asked in turn for the configuration; only a leader answers, and
 * one that does not name this server has removed it.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "rpc_codec.h"

#define LOOK_MS    2000U  /* between two looks */
#define PATIENCE   12000U /* ms without a leader: consensus asks its own peers first */
#define TIMEOUT_MS 3000U

struct membership {
    struct timer timer;
    uint64_t since_ms; /* without a leader, or this server's start; the clock of consensus */
    struct rpc_link *link;
    struct rpc_call *call;
    size_t turn; /* whose it is */
};

static void look(void *data);

/* -- asking ------------------------------------------------------------------------------------ */

static void hang_up(struct membership *m)
{
    if (m->call != NULL) {
        rpc_cancel(m->call);
        m->call = NULL;
    }
    rpc_hang_up(m->link);
    m->link = NULL;
}

static bool names_us(struct agent *a, struct mu_span body)
{
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&a->data.node, id);
    for (size_t i = 0; i + MU_ID_TEXT_BYTES <= body.bytes; i++) {
        if (mu_span_starts(mu_span_sub(body, i, body.bytes), mu_span_text(id))) {
            return true;
        }
    }
    return false;
}

static void on_answer(void *data, enum mu_code code, struct mu_span answer,
                      const struct mu_err *err)
{
    struct agent *a = data;
    struct agent_http_response response = { .status = 0 };
    struct mu_err why = *err;
    struct mu_arena arena;

    a->membership->call = NULL;
    mu_arena_init(&arena, 0);
    if (code == MU_OK) {
        code = rpc_http_response_decode(answer, &arena, &response, &why);
    }
    bool is_removed = code == MU_OK && response.status == 200 &&
                      mu_span_starts(response.body, MU_SPAN_LIT("{\"Servers\":[{")) &&
                      !names_us(a, response.body);

    mu_arena_deinit(&arena);
    if (is_removed && a->phase == AGENT_RUNNING) {
        agent__removed(a, "the leader's configuration does not name this server");
    }
}

static void on_link(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct agent *a = data;

    (void)why;
    if (!is_up) {
        MU_ASSERT(a->membership->link == link);
        hang_up(a->membership);
    }
}

static void ask(struct agent *a, const struct agent__server *server)
{
    struct membership *m = a->membership;
    struct agent_http_request request = {
        .method = MU_SPAN_LIT("GET"),
        .target = MU_SPAN_LIT("/v1/operator/raft/configuration"),
        .client = a->advertise,
    };
    struct mu_buf message = MU_BUF_NONE;

    rpc_http_request_encode(&request, &message);
    m->link = rpc_dial(a->rpc, &server->rpc, &server->node, on_link, a);
    m->call = rpc_call(m->link, RPC_SERVE, mu_buf_span(&message), TIMEOUT_MS, on_answer, a);
    mu_buf_deinit(&message);
}

/* -- whom ------------------------------------------------------------------------------------- */

struct choice {
    const struct mu_id *cluster;
    size_t wanted, count;
    struct agent__server server;
};

static void consider(void *data, const struct agent__server *server)
{
    struct choice *c = data;

    if (server->is_alive && !server->is_self && mu_id_eq(&server->cluster, c->cluster)) {
        if (c->count == c->wanted) {
            c->server = *server;
        }
        c->count++;
    }
}

static void ask_next(struct agent *a)
{
    struct consensus_identity id = consensus_driver_identity(a->consensus);
    struct choice c = { .cluster = &id.cluster, .wanted = a->membership->turn++ };

    hang_up(a->membership);
    agent__each_server(a, consider, &c);
    if (c.wanted < c.count) {
        ask(a, &c.server);
    } else {
        a->membership->turn = 0;
    }
}

static void look(void *data)
{
    struct agent *a = data;
    struct membership *m = a->membership;
    struct consensus_status status;

    timer_set(a->timers, &m->timer, LOOK_MS, look, a);
    consensus_driver_status(a->consensus, &status);
    if (status.config_index == 0 || !mu_id_is_none(&status.leader)) {
        m->since_ms = mu_clock_ms();
        hang_up(m);
    } else if (mu_clock_ms() - m->since_ms >= PATIENCE && a->phase == AGENT_RUNNING) {
        ask_next(a);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__membership_open(struct agent *a)
{
    a->membership = mu_new(sizeof *a->membership);
    a->membership->since_ms = mu_clock_ms();
    timer_set(a->timers, &a->membership->timer, LOOK_MS, look, a);
}

void agent__membership_close(struct agent *a)
{
    struct membership *m = a->membership;

    if (m == NULL) {
        return;
    }
    timer_cancel(&m->timer);
    hang_up(m);
    mu_free(m);
    a->membership = NULL;
}
