/* recover_serve.c - method Recover: another agent asks about a recovery (recover.h), by steps. */
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "rpc_codec.h"

static void reply(struct agent *a, struct rpc_request *request, uint64_t epoch)
{
    struct recovery_position *own = mu_new(sizeof *own);
    struct rpc_recovery answer = { .epoch = epoch };
    struct mu_buf bundle = MU_BUF_NONE, bytes = MU_BUF_NONE;

    agent__recover_position(a, own, &answer.leader);
    recovery_position_write(own, &bundle);
    answer.bundle = mu_buf_span(&bundle);
    answer.damage = mu_span_text(own->damage);
    rpc_recovery_encode(&answer, &bytes);
    rpc_reply(request, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
    mu_buf_deinit(&bundle);
    mu_free(own);
}

/* -- begin ------------------------------------------------------------------------------------- */

struct begin { /* NULL: the asker is gone, which changes nothing */
    struct agent *agent;
    struct rpc_request *request;
};

static void on_begun(void *data, enum mu_code code, uint64_t epoch, const struct mu_err *err)
{
    struct begin *b = data;

    if (b->request != NULL && code == MU_OK) {
        reply(b->agent, b->request, epoch);
    } else if (b->request != NULL) {
        rpc_refuse(b->request, code, err->text);
    }
    mu_free(b);
}

void agent__recover_asker_gone(struct rpc_request *request)
{
    struct begin *b = rpc_data(request);

    if (b != NULL) {
        b->request = NULL;
    }
}

static enum mu_code seen_read(const struct rpc_recover *message, struct recovery_position *to,
                              struct mu_err *err)
{
    enum mu_code rc = message->bundles_count > 0
                          ? MU_OK
                          : mu_fail(err, MU_INVALID, "it is not said what was agreed to");

    for (size_t i = 0; rc == MU_OK && i < message->bundles_count; i++) {
        rc = recovery_position_read(message->bundles[i], &to[i], err);
    }
    return rc;
}

static void begin(struct agent *a, struct rpc_request *request, const struct rpc_recover *message)
{
    struct recovery_position *seen = mu_new_array(RPC_BUNDLES_MAX, sizeof *seen);
    struct begin *b = mu_new(sizeof *b);
    struct mu_err err = MU_ERR_NONE;

    b->agent = a;
    b->request = request;
    rpc_set_data(request, b);
    enum mu_code rc = seen_read(message, seen, &err);

    rc = rc == MU_OK ? agent__recover_begin(a, seen, message->bundles_count, message->is_forced,
                                            on_begun, b, &err)
                     : rc;
    if (rc != MU_OK) {
        rpc_set_data(request, NULL);
        rpc_refuse(request, rc, err.text);
        mu_free(b);
    }
    mu_free(seen);
}

/* -- all steps --------------------------------------------------------------------------------- */

static void stand_back(struct agent *a, struct rpc_request *request)
{
    const struct rpc_identity *asker = rpc_asker(request);
    struct agent__server server;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = agent__server_find(a, &asker->node, &server)
                          ? agent__stand_back(a, &asker->node, asker->name, &err)
                          : mu_fail(&err, MU_DENIED, "gossip knows no server with this id");

    if (rc == MU_OK) {
        reply(a, request, 0);
    } else {
        rpc_refuse(request, rc, err.text);
    }
}

void agent__recover_serve(struct agent *a, struct rpc_request *request, struct mu_span bytes)
{
    struct rpc_recover message;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = rpc_recover_decode(bytes, &arena, &message, &err);

    if (rc != MU_OK) {
        rpc_refuse(request, rc, err.text);
        mu_arena_deinit(&arena);
        return;
    }
    switch (message.step) {
    case RPC_RECOVER_LOOK: reply(a, request, 0); break;
    case RPC_RECOVER_STAND_BACK: stand_back(a, request); break;
    case RPC_RECOVER_RESUME:
        agent__stand_back_end(a, &rpc_asker(request)->node);
        reply(a, request, 0);
        break;
    case RPC_RECOVER_BEGIN: begin(a, request, &message); break;
    }
    mu_arena_deinit(&arena);
}
