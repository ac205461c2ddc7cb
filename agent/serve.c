/* serve.c - the methods of muster.peer.Peer that other agents call here.
 *
 * In clear, Hello proves nothing; so Raft is served to servers that gossip knows, and everything
 * else to members. Requests from other servers make no second hop: the asker looks for the leader
 * itself. Requests from client agents are held and forwarded as our own would be.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"

/* One call being answered later. */
struct serving {
    struct agent *agent;
    struct rpc_request *request; /* NULL: the asker is gone */
    struct agent_read *read;
    void *running; /* of the front doors */
    bool is_dns;
};

static struct serving *serving_new(struct agent *a, struct rpc_request *request)
{
    struct serving *s = mu_new(sizeof *s);

    s->agent = a;
    s->request = request;
    rpc_set_data(request, s);
    return s;
}

static bool refuse_on_client(struct agent *a, struct rpc_request *request)
{
    if (agent_is_server(a) && a->phase < AGENT_STOPPING) {
        return false;
    }
    rpc_refuse(request, MU_UNREACHABLE, "this agent is no server, or it stops");
    return true;
}

/* -- Raft -------------------------------------------------------------------------------------- */

static void on_raft(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;
    const struct rpc_identity *peer = rpc_asker(request);
    struct agent__server server;

    if (refuse_on_client(a, request)) {
        return;
    }
    if (!consensus_driver_is_voter(a->consensus, &peer->node) &&
        !agent__server_find(a, &peer->node, &server)) {
        rpc_refuse(request, MU_DENIED, "gossip knows no server with this id");
        return;
    }
    if (!agent__stands_back(a)) {
        consensus_driver_receive(a->consensus, &peer->node, &peer->disk, message);
    }
}

/* -- Propose ----------------------------------------------------------------------------------- */

static void on_proposed(void *data, const struct agent_written *written)
{
    struct serving *s = data;
    struct mu_buf answer = MU_BUF_NONE;
    enum mu_code code = written->code;
    bool was_refused = code == MU_NOT_LEADER || code == MU_NO_LEADER || code == MU_LOST ||
                       code == MU_CANCELLED || code == MU_BUSY || code == MU_FULL ||
                       code == MU_READ_ONLY || code == MU_CORRUPT;

    if (s->request != NULL && was_refused) {
        rpc_refuse(s->request, code, written->text);
    } else if (s->request != NULL) {
        rpc_proposed_encode(written, &answer);
        rpc_reply(s->request, mu_buf_span(&answer));
        mu_buf_deinit(&answer);
    }
    mu_free(s);
}

static void on_propose(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;
    struct mu_arena arena;
    struct mu_span command;
    struct mu_err err = MU_ERR_NONE;

    if (refuse_on_client(a, request)) {
        return;
    }
    mu_arena_init(&arena, 0);
    enum mu_code rc = rpc_propose_decode(message, &arena, &command, &err);

    if (rc != MU_OK) {
        rpc_refuse(request, rc, err.text);
    } else if (rpc_asker(request)->is_server) {
        agent__propose_here(a, command, on_proposed, serving_new(a, request));
    } else {
        agent__write_encoded(a, command, on_proposed, serving_new(a, request));
    }
    mu_arena_deinit(&arena);
}

/* A write goes on without its asker: it may be committed already. */
static void on_propose_gone(void *data, struct rpc_request *request)
{
    struct serving *s = rpc_data(request);

    (void)data;
    if (s != NULL) {
        s->request = NULL;
    }
}

/* -- ReadIndex --------------------------------------------------------------------------------- */

static void on_point(void *data, enum mu_code code, uint64_t index)
{
    struct serving *s = data;
    struct mu_buf answer = MU_BUF_NONE;

    if (s->request != NULL && code != MU_OK) {
        rpc_refuse(s->request, code, agent__refusal_text(code));
    } else if (s->request != NULL) {
        rpc_read_point_encode(index, &answer);
        rpc_reply(s->request, mu_buf_span(&answer));
        mu_buf_deinit(&answer);
    }
    mu_free(s);
}

static void on_read_index(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;

    (void)message;
    if (refuse_on_client(a, request)) {
        return;
    }
    consensus_driver_read(a->consensus, on_point, serving_new(a, request));
}

/* -- Renew ------------------------------------------------------------------------------------- */

static void on_renew(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;
    struct mu_buf answer = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct mu_id session;

    if (refuse_on_client(a, request)) {
        return;
    }
    enum mu_code rc = rpc_renew_decode(message, &session, &err);

    if (rc == MU_OK) {
        rc = agent__session_renew_here(a, &session);
    }
    if (rc != MU_OK) {
        rpc_refuse(request, rc, err.text[0] != '\0' ? err.text : agent__refusal_text(rc));
        return;
    }
    rpc_read_point_encode(a->applied.index, &answer);
    rpc_reply(request, mu_buf_span(&answer));
    mu_buf_deinit(&answer);
}

/* -- Serve, Resolve ---------------------------------------------------------------------------- */

static void on_http_reply(void *data, enum mu_code code, const struct agent_http_response *response,
                          const struct mu_err *err)
{
    struct serving *s = data;
    struct mu_buf answer = MU_BUF_NONE;

    s->running = NULL;
    if (s->request != NULL && code != MU_OK) {
        rpc_refuse(s->request, code, err->text);
    } else if (s->request != NULL) {
        rpc_http_response_encode(response, &answer);
        if (answer.bytes > MU_RPC_MESSAGE_MAX) {
            rpc_refuse(s->request, MU_TOO_BIG, "the answer is larger than an RPC message");
        } else {
            rpc_reply(s->request, mu_buf_span(&answer));
        }
        mu_buf_deinit(&answer);
    }
    mu_free(s);
}

static void on_serve(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;
    struct mu_arena arena;
    struct agent_http_request http = { .headers_count = 0 };
    struct mu_err err = MU_ERR_NONE;

    if (refuse_on_client(a, request)) {
        return;
    }
    if (!a->has_front) {
        rpc_refuse(request, MU_UNREACHABLE, "this agent is not ready to serve");
        return;
    }
    if (rpc_asker(request)->is_server && !agent__leads(a)) { /* it asks for the leader: forward.c */
        rpc_refuse(request, MU_NOT_LEADER, "this server does not lead");
        return;
    }
    mu_arena_init(&arena, 0);
    enum mu_code rc = rpc_http_request_decode(message, &arena, &http, &err);

    if (rc != MU_OK) {
        rpc_refuse(request, rc, err.text);
    } else {
        http.node = mu_span_text(rpc_asker(request)->name);
        struct serving *s = serving_new(a, request);
        void *running = a->front.http(a->front.data, &http, on_http_reply, s);

        if (running != NULL) {
            s->running = running; /* else it is answered, and s is gone */
        }
    }
    mu_arena_deinit(&arena);
}

static void on_dns_reply(void *data, enum mu_code code, struct mu_span message)
{
    struct serving *s = data;
    struct mu_buf answer = MU_BUF_NONE;

    s->running = NULL;
    if (s->request != NULL && code != MU_OK) {
        rpc_refuse(s->request, code, mu_code_text(code));
    } else if (s->request != NULL) {
        rpc_dns_answer_encode(message, &answer);
        rpc_reply(s->request, mu_buf_span(&answer));
        mu_buf_deinit(&answer);
    }
    mu_free(s);
}

static void on_resolve(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;
    struct mu_arena arena;
    struct agent_dns_request dns = { .is_tcp = false };
    struct mu_err err = MU_ERR_NONE;

    if (refuse_on_client(a, request)) {
        return;
    }
    if (!a->has_front) {
        rpc_refuse(request, MU_UNREACHABLE, "this agent is not ready to serve");
        return;
    }
    mu_arena_init(&arena, 0);
    enum mu_code rc = rpc_dns_query_decode(message, &arena, &dns, &err);

    if (rc != MU_OK) {
        rpc_refuse(request, rc, err.text);
    } else {
        struct serving *s = serving_new(a, request);

        s->is_dns = true;
        void *running = a->front.dns(a->front.data, &dns, on_dns_reply, s);

        if (running != NULL) {
            s->running = running;
        }
    }
    mu_arena_deinit(&arena);
}

/* A read without an asker ends early. */
static void on_front_gone(void *data, struct rpc_request *request)
{
    struct agent *a = data;
    struct serving *s = rpc_data(request);

    if (s == NULL) {
        return;
    }
    if (s->running != NULL && a->has_front) {
        void (*cancel)(void *, void *) = s->is_dns ? a->front.dns_cancel : a->front.http_cancel;

        cancel(a->front.data, s->running);
        mu_free(s);
        return;
    }
    s->request = NULL;
}

/* -- Node -------------------------------------------------------------------------------------- */

static void on_node_ready(void *data, enum mu_code code, const struct agent_view *view,
                          const struct mu_err *err)
{
    struct serving *s = data;
    struct mu_buf answer = MU_BUF_NONE;
    struct mu_err why = *err;

    (void)view;
    s->read = NULL;
    if (s->request != NULL) {
        const struct rpc_identity *asker = rpc_asker(s->request);

        if (code == MU_OK) {
            code = agent__node_state(s->agent, asker->name, &answer, &why);
        }
        if (code != MU_OK) {
            rpc_refuse(s->request, code, why.text);
        } else {
            rpc_reply(s->request, mu_buf_span(&answer));
        }
    }
    mu_buf_deinit(&answer);
    mu_free(s);
}

static void on_node(void *data, struct rpc_request *request, struct mu_span message)
{
    struct agent *a = data;

    (void)message; /* an agent may ask for its own node only: Hello said which that is */
    if (refuse_on_client(a, request)) {
        return;
    }
    struct serving *s = serving_new(a, request);

    s->read = agent_read(a, AGENT_DEFAULT, on_node_ready, s);
}

static void on_node_gone(void *data, struct rpc_request *request)
{
    struct serving *s = rpc_data(request);

    (void)data;
    if (s == NULL) {
        return;
    }
    if (s->read != NULL) {
        agent_read_cancel(s->read);
    }
    mu_free(s);
}

/* -- Save -------------------------------------------------------------------------------------- */

static void on_save(void *data, struct rpc_request *request, struct mu_span message)
{
    if (!refuse_on_client(data, request)) {
        agent__save_serve(data, request, message);
    }
}

static void on_save_gone(void *data, struct rpc_request *request)
{
    (void)data;
    agent__save_asker_gone(request);
}

/* -- Recover ----------------------------------------------------------------------------------- */

static void on_recover(void *data, struct rpc_request *request, struct mu_span message)
{
    if (!refuse_on_client(data, request)) {
        agent__recover_serve(data, request, message);
    }
}

static void on_recover_gone(void *data, struct rpc_request *request)
{
    (void)data;
    agent__recover_asker_gone(request);
}

const struct rpc_handler agent__handlers[RPC_METHODS] = {
    // clang-format off
    [RPC_RAFT]       = { on_raft,       NULL },
    [RPC_PROPOSE]    = { on_propose,    on_propose_gone },
    [RPC_READ_INDEX] = { on_read_index, on_propose_gone },
    [RPC_SERVE]      = { on_serve,      on_front_gone },
    [RPC_RESOLVE]    = { on_resolve,    on_front_gone },
    [RPC_NODE]       = { on_node,       on_node_gone },
    [RPC_RENEW]      = { on_renew,      NULL },
    [RPC_SAVE]       = { on_save,       on_save_gone },
    [RPC_RECOVER]    = { on_recover,    on_recover_gone },
}; // clang-format on

/* -- Hello ------------------------------------------------------------------------------------- */

static void own_identity(void *data, struct rpc_identity *out)
{
    struct agent *a = data;

    out->node = a->data.node;
    out->boot_id = a->data.boot;
    out->is_server = agent_is_server(a);
    (void)snprintf(out->name, sizeof out->name, "%s", a->config->node_name);
    (void)snprintf(out->datacenter, sizeof out->datacenter, "%s", a->config->datacenter);
    if (a->consensus != NULL) {
        struct consensus_identity id = consensus_driver_identity(a->consensus);

        out->disk = id.disk;
        out->cluster = id.cluster;
    }
}

static enum mu_code is_welcome(void *data, const struct rpc_identity *peer, struct mu_err *err)
{
    struct agent *a = data;

    if (!mu_span_eq_text(mu_span_text(peer->datacenter), a->config->datacenter)) {
        return mu_fail(err, MU_FOREIGN, "datacenter '%s' is not this one ('%s')", peer->datacenter,
                       a->config->datacenter);
    }
    return MU_OK;
}

void agent__serve_open(struct agent *a)
{
    struct rpc_options options = {
        .identity = own_identity,
        .welcome = is_welcome,
        .data = a,
        .sealing = agent__rpc_sealing(a),
    };

    for (size_t i = 0; i < RPC_METHODS; i++) {
        options.handlers[i] = agent__handlers[i];
    }
    a->rpc = rpc_new(a->loop, a->timers, &options);
}
