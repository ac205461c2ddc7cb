/* save_serve.c - archives that a server makes for client agents: method Save.
 *
 *           first question            answered: made
 *   (none) ---------------> MAKING ---------------------> HELD -> pieces, any number of times
 *                              '- the asker is gone: end     '- ends, or nobody asked for a while
 *
 * A piece is read again when it is asked for again, so that a question that was lost on a
 * connection is no reason to begin anew.
 */
#include "agent/operator.h"
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "rpc_codec.h"
#include "save_work.h"

/* Longer than a client of the asker may take for one piece (web/api_snapshot.c). */
#define IDLE_MS 120000U

struct served {
    struct agent *agent;
    struct mu_link place; /* in agent->served_saves */
    struct mu_id id;
    struct agent_save *save;
    struct agent_saved saved;
    struct rpc_request *request; /* NULL: nobody waits, or the asker is gone */
    bool is_made, is_reading;
    struct timer idle;
};

static void served_free(struct served *s)
{
    if (s->request != NULL) {
        rpc_set_data(s->request, NULL);
    }
    if (s->save != NULL) {
        agent_save_end(s->save);
    }
    timer_cancel(&s->idle);
    mu_list_remove(&s->place);
    mu_free(s);
}

static void on_idle(void *data)
{
    served_free(data);
}

static void refuse(struct served *s, const struct mu_err *err)
{
    struct rpc_request *request = s->request;

    s->save = NULL; /* it is gone */
    served_free(s);
    if (request != NULL) {
        rpc_refuse(request, err->code, err->text);
    }
}

static void answer(struct served *s, struct mu_span piece)
{
    struct rpc_request *request = s->request;
    struct rpc_saved m = { .id = s->id,
                           .index = s->saved.index,
                           .bytes = s->saved.bytes,
                           .known_leader = s->saved.known_leader,
                           .last_contact_ms = s->saved.last_contact_ms,
                           .piece = piece };
    struct mu_buf message = MU_BUF_NONE;

    timer_set(s->agent->timers, &s->idle, IDLE_MS, on_idle, s);
    if (request == NULL) {
        return;
    }
    s->request = NULL;
    rpc_set_data(request, NULL);
    rpc_saved_encode(&m, &message);
    rpc_reply(request, mu_buf_span(&message));
    mu_buf_deinit(&message);
}

static void on_begun(void *data, const struct agent_saved *saved, const struct mu_err *err)
{
    struct served *s = data;

    if (saved == NULL) {
        refuse(s, err);
        return;
    }
    s->is_made = true;
    s->saved = *saved;
    answer(s, MU_SPAN_NONE);
}

static void on_piece(void *data, struct mu_span piece, const struct mu_err *err)
{
    struct served *s = data;

    s->is_reading = false;
    if (err->code != MU_OK) {
        refuse(s, err);
    } else {
        answer(s, piece);
    }
}

static const struct agent_save_events events = { .begun = on_begun, .piece = on_piece };

static void serve_begin(struct agent *a, struct rpc_request *request, bool is_stale)
{
    struct served *s = mu_new(sizeof *s);

    s->agent = a;
    s->id = mu_id_random();
    s->request = request;
    rpc_set_data(request, s);
    mu_list_push_back(&a->served_saves, &s->place);
    s->save = agent_save(a, is_stale ? AGENT_STALE : AGENT_DEFAULT, &events, s);
}

static struct served *served_find(const struct agent *a, const struct mu_id *id)
{
    MU_LIST_EACH (place, &a->served_saves) {
        struct served *s = MU_CONTAINER(place, struct served, place);

        if (s->is_made && mu_id_eq(&s->id, id)) {
            return s;
        }
    }
    return NULL;
}

static void serve_piece(struct served *s, struct rpc_request *request, uint64_t offset)
{
    if (s->is_reading) {
        rpc_refuse(request, MU_BUSY, "another piece of this snapshot is being read");
        return;
    }
    if (offset > s->saved.bytes) {
        rpc_refuse(request, MU_INVALID, "a snapshot has no piece there");
        return;
    }
    s->request = request;
    s->is_reading = true;
    timer_cancel(&s->idle);
    rpc_set_data(request, s);
    agent_save_seek(s->save, offset);
    agent_save_next(s->save);
}

void agent__save_serve(struct agent *a, struct rpc_request *request, struct mu_span message)
{
    struct rpc_save m;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = rpc_save_decode(message, &m, &err);
    struct served *s = rc == MU_OK ? served_find(a, &m.id) : NULL;

    if (rc != MU_OK) {
        rpc_refuse(request, rc, err.text);
    } else if (mu_id_is_none(&m.id)) {
        serve_begin(a, request, m.is_stale);
    } else if (s == NULL) {
        rpc_refuse(request, MU_NOT_FOUND, "that snapshot is not here any more");
    } else if (m.ends) {
        served_free(s); /* a question of before that still waits is its asker's to give up */
        rpc_reply(request, MU_SPAN_NONE);
    } else {
        serve_piece(s, request, m.offset);
    }
}

/* While it is being made nobody else knows of it; a piece may be asked for again. */
void agent__save_asker_gone(struct rpc_request *request)
{
    struct served *s = rpc_data(request);

    if (s == NULL) {
        return;
    }
    s->request = NULL;
    if (!s->is_made) {
        served_free(s);
    }
}

void agent__saves_served_close(struct agent *a)
{
    while (!mu_list_empty(&a->served_saves)) {
        struct served *s = MU_CONTAINER(a->served_saves.next, struct served, place);
        struct rpc_request *request = s->request;

        served_free(s);
        if (request != NULL) {
            rpc_refuse(request, MU_CANCELLED, "the agent is stopping");
        }
    }
}
