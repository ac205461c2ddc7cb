/* write.c - a write of this agent itself: the same command, whichever kind of agent this is. */
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"

#define PROPOSE_TIMEOUT_MS 40000U /* the server holds it, the leader may be slow */

struct own_write {
    agent_written_fn *done;
    void *data;
};

static void on_answer(void *data, enum mu_code code, struct mu_span answer,
                      const struct mu_err *err)
{
    struct own_write *w = data;
    struct agent_written written = { .code = code, .text = err->text };
    struct mu_err why = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (code == MU_OK && rpc_proposed_decode(answer, &arena, &written, &why) != MU_OK) {
        written = (struct agent_written){ .code = MU_LOST, .text = why.text };
    }
    w->done(w->data, &written);
    mu_arena_deinit(&arena);
    mu_free(w);
}

void agent__write(struct agent *a, const struct command *command, agent_written_fn *done,
                  void *data)
{
    struct mu_buf encoded = MU_BUF_NONE;
    struct mu_buf message = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (agent_is_server(a)) {
        agent_write(a, command, done, data);
        return;
    }
    struct own_write *w = mu_new(sizeof *w);

    w->done = done;
    w->data = data;
    /* Definitions were bounded when they were registered: they fit a command. */
    MU_ASSERT(command_encode(command, &encoded, &err) == MU_OK);
    rpc_propose_encode(mu_buf_span(&encoded), &message);
    (void)agent__servers_call(a, RPC_PROPOSE, mu_buf_span(&message), false, PROPOSE_TIMEOUT_MS,
                              on_answer, w);
    mu_buf_deinit(&message);
    mu_buf_deinit(&encoded);
}
