/* save.c - the state of the servers on its way to an operator (spec/http-api.md 13).
 *
 *   on a server:        the read is confirmed -> an archive is made (save_work.c) -> its pieces
 *   on a client agent:  a server is asked to make one (Save, save_serve.c)       -> its pieces
 *
 * Nothing holds more than a piece in memory. What fails behind the first piece breaks the answer
 * off, which its reader notices because it was told the length.
 */
#include "agent/operator.h"
#include "base/assert.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"
#include "save_work.h"

#define MODULE   "agent.snapshot"
#define WORK_MAX 4U /* archives at a time: each has its thread and its room on the disk */
/* A piece lies ready at the server: who does not answer for so long has forgotten us. */
#define PIECE_TIMEOUT_MS 30000U

struct agent_save {
    struct agent *agent;
    struct mu_link place; /* in agent->saves */
    const struct agent_save_events *events;
    void *data;
    struct agent_saved saved;
    enum agent_consistency consistency;
    bool has_begun;
    uint64_t at; /* where the next piece begins */
    struct timer timer;

    /* servers */
    struct agent_read *read;
    struct save_work *work;

    /* client agents */
    struct servers_call *call;
    struct mu_id id; /* by which the server knows it */
};

static void save_free(struct agent_save *s)
{
    if (s->read != NULL) {
        agent_read_cancel(s->read);
    }
    if (s->call != NULL) {
        agent__servers_cancel(s->call);
    }
    save_work_end(s->work);
    timer_cancel(&s->timer);
    mu_list_remove(&s->place);
    mu_free(s);
}

static void fail(struct agent_save *s, const struct mu_err *err)
{
    const struct agent_save_events *events = s->events;
    void *data = s->data;
    bool had_begun = s->has_begun;

    MU_ASSERT(err->code != MU_OK);
    mu_log(MU_WARN, MODULE, "A snapshot was not saved", mu_kv("error", err->text));
    save_free(s);
    if (had_begun) {
        events->piece(data, MU_SPAN_NONE, err);
    } else {
        events->begun(data, NULL, err);
    }
}

static void fail_text(struct agent_save *s, enum mu_code code, const char *text)
{
    struct mu_err err = MU_ERR_NONE;

    (void)mu_fail(&err, code, "%s", text);
    fail(s, &err);
}

static void piece(struct agent_save *s, struct mu_span bytes)
{
    struct mu_err err = MU_ERR_NONE;

    if (s->at + bytes.bytes > s->saved.bytes || (bytes.bytes == 0 && s->at < s->saved.bytes)) {
        (void)mu_fail(&err, MU_CORRUPT, "a piece of %zu bytes at %llu of an archive of %llu",
                      bytes.bytes, (unsigned long long)s->at, (unsigned long long)s->saved.bytes);
        fail(s, &err);
        return;
    }
    s->at += bytes.bytes;
    s->events->piece(s->data, bytes, &err);
}

/* -- who the servers are ----------------------------------------------------------------------- */

static void add_server(void *data, const struct agent_raft_server *server)
{
    struct mu_json_out *o = data;
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&server->id, id);
    mu_json_open(o, '{');
    mu_json_u64(o, "Suffrage", server->is_voter ? 0 : 1);
    mu_json_text(o, "ID", id);
    mu_json_text(o, "Address", server->address);
    mu_json_close(o, '}');
}

/* For people: nothing is made of it. */
static void describe_servers(struct agent *a, struct mu_buf *to)
{
    struct mu_json_out o;

    mu_buf_add_text(to, "\"Configuration\":");
    mu_json_out_init(&o, to, false);
    mu_json_open(&o, '{');
    mu_json_key(&o, "Servers");
    mu_json_open(&o, '[');
    uint64_t index = agent_each_raft_server(a, add_server, &o);

    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    mu_buf_addf(to, ",\"ConfigurationIndex\":%llu", (unsigned long long)index);
}

/* -- on a server ------------------------------------------------------------------------------- */

static void on_work(void *data, struct mu_span bytes, const struct mu_err *err)
{
    struct agent_save *s = data;
    struct mu_err none = MU_ERR_NONE;

    if (err->code != MU_OK) {
        struct mu_err why = *err; /* it goes with the work */
        struct agent *a = s->agent;

        fail(s, &why);
        if (why.code == MU_CORRUPT) {
            agent__state_damaged(a, why.text);
        }
    } else if (s->has_begun) {
        piece(s, bytes);
    } else {
        s->has_begun = true;
        s->saved.index = save_work_index(s->work);
        s->saved.bytes = save_work_bytes(s->work);
        s->events->begun(s->data, &s->saved, &none);
    }
}

static void on_ready(void *data, enum mu_code code, const struct agent_view *view,
                     const struct mu_err *err)
{
    struct agent_save *s = data;
    struct agent *a = s->agent;
    struct mu_buf servers = MU_BUF_NONE;

    s->read = NULL;
    if (code != MU_OK) {
        fail_text(s, code, err->text[0] != '\0' ? err->text : agent__refusal_text(code));
    } else if (save_work_count(a) >= WORK_MAX) {
        struct mu_err busy = MU_ERR_NONE;

        (void)mu_fail(&busy, MU_BUSY, "%u snapshots are being saved already, try again", WORK_MAX);
        fail(s, &busy);
    } else {
        s->saved.known_leader = view->known_leader;
        s->saved.last_contact_ms = view->last_contact_ms;
        describe_servers(a, &servers);
        s->work = save_work_begin(a, &servers, on_work, s);
    }
}

/* -- on a client agent ------------------------------------------------------------------------- */

static void take(struct agent_save *s, const struct rpc_saved *m)
{
    struct mu_err none = MU_ERR_NONE;

    if (s->has_begun) {
        piece(s, m->piece);
        return;
    }
    s->has_begun = true;
    s->id = m->id;
    s->saved = (struct agent_saved){ .index = m->index,
                                     .bytes = m->bytes,
                                     .known_leader = m->known_leader,
                                     .last_contact_ms = m->last_contact_ms };
    s->events->begun(s->data, &s->saved, &none);
}

static void on_answer(void *data, enum mu_code code, struct mu_span answer,
                      const struct mu_err *err)
{
    struct agent_save *s = data;
    struct rpc_saved m = { .index = 0 };
    struct mu_err why = *err;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    s->call = NULL;
    if (code == MU_OK) {
        code = rpc_saved_decode(answer, &arena, &m, &why);
    }
    if (code != MU_OK) {
        fail_text(s, code, why.text[0] != '\0' ? why.text : agent__refusal_text(code));
    } else {
        take(s, &m);
    }
    mu_arena_deinit(&arena);
}

static void ask(struct agent_save *s)
{
    struct rpc_save m = { .id = s->id, .is_stale = s->consistency == AGENT_STALE, .offset = s->at };
    struct mu_buf message = MU_BUF_NONE;

    rpc_save_encode(&m, &message);
    s->call = agent__servers_call(s->agent, RPC_SAVE, mu_buf_span(&message), true,
                                  s->has_begun ? PIECE_TIMEOUT_MS : 0, on_answer, s);
    mu_buf_deinit(&message);
}

static void on_end_answered(void *data, enum mu_code code, struct mu_span answer,
                            const struct mu_err *err)
{
    (void)data; /* else the server forgets it by itself */
    (void)code;
    (void)answer;
    (void)err;
}

static void tell_end(struct agent_save *s)
{
    struct rpc_save m = { .id = s->id, .ends = true };
    struct mu_buf message = MU_BUF_NONE;

    rpc_save_encode(&m, &message);
    (void)agent__servers_call(s->agent, RPC_SAVE, mu_buf_span(&message), false, PIECE_TIMEOUT_MS,
                              on_end_answered, NULL);
    mu_buf_deinit(&message);
}

/* -- on both ----------------------------------------------------------------------------------- */

static void begin(void *data)
{
    struct agent_save *s = data;

    if (s->agent->phase >= AGENT_STOPPING) {
        fail_text(s, MU_CANCELLED, "the agent is stopping");
    } else if (agent_is_server(s->agent)) {
        s->read = agent_read(s->agent, s->consistency, on_ready, s);
    } else {
        ask(s);
    }
}

struct agent_save *agent_save(struct agent *a, enum agent_consistency consistency,
                              const struct agent_save_events *events, void *data)
{
    struct agent_save *s = mu_new(sizeof *s);

    s->agent = a;
    s->consistency = consistency;
    s->events = events;
    s->data = data;
    mu_list_push_back(&a->saves, &s->place);
    timer_set(a->timers, &s->timer, 0, begin, s);
    return s;
}

static void on_all_given(void *data)
{
    piece(data, MU_SPAN_NONE);
}

void agent_save_next(struct agent_save *s)
{
    MU_ASSERT(s->has_begun);
    if (s->at == s->saved.bytes) {
        timer_set(s->agent->timers, &s->timer, 0, on_all_given, s);
    } else if (s->work != NULL) {
        save_work_read(s->work, s->at, AGENT_SAVE_PIECE_BYTES);
    } else {
        ask(s);
    }
}

void agent_save_seek(struct agent_save *s, uint64_t offset)
{
    MU_ASSERT(s->has_begun && offset <= s->saved.bytes);
    s->at = offset;
}

void agent_save_end(struct agent_save *s)
{
    if (s->has_begun && s->work == NULL && s->agent->phase < AGENT_STOPPING) {
        tell_end(s);
    }
    save_free(s);
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__saves_open(struct agent *a)
{
    mu_list_init(&a->saves);
    mu_list_init(&a->save_works);
    mu_list_init(&a->served_saves);
    mu_list_init(&a->uploads);
}

void agent__saves_close(struct agent *a)
{
    agent__saves_served_close(a);
    while (!mu_list_empty(&a->saves)) {
        fail_text(MU_CONTAINER(a->saves.next, struct agent_save, place), MU_CANCELLED,
                  "the agent is stopping");
    }
    agent__save_works_close(a);
}
