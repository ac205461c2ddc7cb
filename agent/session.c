/* session.c - sessions beyond the log: their timers at the leader, and renewals on their way there.
 *
 * Whoever leads reads all sessions with a TTL when it has taken office, and from then on looks at
 * each session that a transaction names. When one is over the leader writes its end, as a client
 * would. A renewal goes to the leader and changes nothing but a timer there; the answer says how
 * far the leader had applied, so that this server shows no older state than the leader judged by.
 *
 *   renew:  here, when this server leads and is in office
 *           else the leader is asked (RPC Renew); without one, again after a pause, within the hold
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"
#include "session_timers.h"

#define ENDS_MAX 64 /* written in one turn */
#define RENEW_TIMEOUT_MS                                                     \
    2000U /* a leader that does not answer: ask again, it may be another one \
           */

struct sessions {
    struct session_timers *timers;
    struct timer timer;
    bool is_in_office;
    struct mu_link ends;     /* struct ending in flight */
    struct mu_link renewals; /* struct renewal in flight */
};

/* -- the end of time --------------------------------------------------------------------------- */

struct ending {
    struct agent *agent;
    struct mu_link place;
    struct mu_id id;
    bool is_orphan; /* this part of the agent is closed: only free */
};

static void run_due(void *data);

static void aim(struct agent *a)
{
    struct sessions *s = a->sessions;
    uint64_t wake_ms = session_timers_wake_ms(s->timers);
    uint64_t now_ms = timers_now(a->timers);

    if (wake_ms == 0) {
        timer_cancel(&s->timer);
        return;
    }
    timer_set(a->timers, &s->timer, wake_ms > now_ms ? wake_ms - now_ms : 0, run_due, a);
}

static void on_ended(void *data, const struct agent_written *written)
{
    struct ending *e = data;
    struct agent *a = e->agent;

    mu_list_remove(&e->place);
    if (!e->is_orphan && a->sessions->is_in_office) {
        session_timers_ended(a->sessions->timers, &e->id, written->code == MU_OK,
                             timers_now(a->timers));
        aim(a);
    }
    mu_free(e);
}

static void end(struct agent *a, const struct mu_id *id)
{
    struct command c = { .kind = COMMAND_SESSION_DESTROY, .session_destroy = { .id = *id } };
    struct ending *e = mu_new(sizeof *e);
    char text[MU_ID_TEXT_BYTES + 1];

    mu_id_text(id, text);
    mu_log(MU_DEBUG, "agent.server", "Session TTL expired", mu_kv("session", text));
    e->agent = a;
    e->id = *id;
    mu_list_push_back(&a->sessions->ends, &e->place);
    agent_write(a, &c, on_ended, e);
}

static void run_due(void *data)
{
    struct agent *a = data;
    struct mu_id ids[ENDS_MAX];

    if (!a->sessions->is_in_office || a->phase >= AGENT_ENDING) {
        return;
    }
    size_t count = session_timers_due(a->sessions->timers, timers_now(a->timers), ids, ENDS_MAX);

    for (size_t i = 0; i < count; i++) {
        end(a, &ids[i]);
    }
    aim(a);
}

/* -- what the catalog has ---------------------------------------------------------------------- */

static void tell(struct agent *a, const struct catalog_session *s)
{
    int64_t ns = 0;

    /* judged when it was created; what is none has no end */
    if (mu_duration_parse(s->ttl, &ns, NULL, 0) && ns > 0) {
        session_timers_set(a->sessions->timers, &s->id,
                           (uint64_t)(ns + MU_NS_PER_MS - 1) / (uint64_t)MU_NS_PER_MS,
                           timers_now(a->timers));
    }
}

static void log_unreadable(const struct mu_err *err)
{
    mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err->text));
}

/* One session came or went. */
static void look_at(struct agent *a, struct mu_span id_bytes, struct mu_arena *arena)
{
    struct catalog_sessions found = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_id id;

    MU_ASSERT(id_bytes.bytes == sizeof id.b);
    memcpy(id.b, id_bytes.data, sizeof id.b);
    if (catalog_query_session(a->reader, arena, &id, &found, &err) != MU_OK) {
        log_unreadable(&err);
    } else if (found.count == 0) {
        session_timers_remove(a->sessions->timers, &id);
    } else {
        tell(a, &found.items[0]);
    }
}

void agent__sessions_changed(struct agent *a, const struct catalog_changes *changes)
{
    struct mu_arena arena;
    bool did_change = false;

    if (!a->sessions->is_in_office) {
        return;
    }
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < catalog_changes_count(changes); i++) {
        struct catalog_topic topic = catalog_changes_at(changes, i);

        if (topic.kind == CATALOG_SESSION) {
            look_at(a, topic.name, &arena);
            did_change = true;
        }
    }
    mu_arena_deinit(&arena);
    if (did_change) {
        aim(a);
    }
}

void agent__sessions_lead(struct agent *a)
{
    struct catalog_sessions all = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    session_timers_clear(a->sessions->timers);
    a->sessions->is_in_office = true;
    if (catalog_query_sessions(a->reader, &arena, &all, &err) != MU_OK) {
        log_unreadable(&err);
    }
    for (size_t i = 0; i < all.count; i++) {
        tell(a, &all.items[i]);
    }
    mu_arena_deinit(&arena);
    aim(a);
}

void agent__sessions_rest(struct agent *a)
{
    a->sessions->is_in_office = false;
    session_timers_clear(a->sessions->timers);
    timer_cancel(&a->sessions->timer);
}

size_t agent__sessions_count(const struct agent *a)
{
    return a->sessions != NULL ? session_timers_count(a->sessions->timers) : 0;
}

/* -- renewing at the leader -------------------------------------------------------------------- */

/* Is there a session without a TTL under this id? */
static enum mu_code exists(struct agent *a, const struct mu_id *id)
{
    struct catalog_sessions found = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog_query_session(a->reader, &arena, id, &found, &err);

    if (rc != MU_OK) {
        log_unreadable(&err);
    }
    mu_arena_deinit(&arena);
    return rc != MU_OK ? rc : found.count > 0 ? MU_OK : MU_NOT_FOUND;
}

enum mu_code agent__session_renew_here(struct agent *a, const struct mu_id *id)
{
    if (!a->sessions->is_in_office) {
        return MU_NOT_LEADER;
    }
    enum session_renewal renewal =
        session_timers_renew(a->sessions->timers, id, timers_now(a->timers));

    switch (renewal) {
    case SESSION_RENEWED: aim(a); return MU_OK;
    case SESSION_OVER: return MU_NOT_FOUND;
    case SESSION_UNKNOWN: return exists(a, id);
    }
    MU_UNREACHABLE_CODE();
}

/* -- renewing from anywhere -------------------------------------------------------------------- */

struct renewal {
    struct agent *agent;
    struct mu_link place;
    struct mu_id id;
    uint64_t deadline_ms;
    unsigned tries;
    uint64_t index; /* not 0: answered, waits for this server to come as far */
    struct timer timer;
    struct rpc_call *call;
    agent_done_fn *done;
    void *data;
};

static void renewal_answer(struct renewal *r, enum mu_code code)
{
    struct mu_err err = MU_ERR_NONE;

    if (code != MU_OK) {
        (void)mu_fail(&err, code, "%s", agent__refusal_text(code));
    }
    timer_cancel(&r->timer);
    if (r->call != NULL) {
        rpc_cancel(r->call);
    }
    mu_list_remove(&r->place);
    r->done(r->data, code, &err);
    mu_free(r);
}

static void renewal_try(void *data);

static void renewal_again(struct renewal *r)
{
    struct agent *a = r->agent;

    if (timers_now(a->timers) >= r->deadline_ms || a->phase >= AGENT_ENDING) {
        renewal_answer(r, MU_NO_LEADER);
        return;
    }
    timer_set(a->timers, &r->timer, agent__hold_pause(a, &r->tries), renewal_try, r);
}

static void on_leader_answer(void *data, enum mu_code code, struct mu_span answer,
                             const struct mu_err *err)
{
    struct renewal *r = data;
    struct mu_err why = MU_ERR_NONE;

    (void)err;
    r->call = NULL;
    if (code == MU_NOT_FOUND) {
        renewal_answer(r, code);
        return;
    }
    if (code != MU_OK || rpc_read_point_decode(answer, &r->index, &why) != MU_OK) {
        r->index = 0;
        renewal_again(r); /* renewing twice is renewing */
        return;
    }
    if (r->agent->applied.index >= r->index) {
        renewal_answer(r, MU_OK);
        return;
    }
    agent__await(r->agent, r->index);
}

static void renewal_try(void *data)
{
    struct renewal *r = data;
    struct agent *a = r->agent;
    enum mu_code rc = agent__session_renew_here(a, &r->id);
    struct mu_buf message = MU_BUF_NONE;

    if (rc != MU_NOT_LEADER) {
        renewal_answer(r, rc);
        return;
    }
    struct rpc_link *link = agent__leads(a) ? NULL : agent__leader_link(a);

    if (link == NULL) {
        renewal_again(r);
        return;
    }
    rpc_renew_encode(&r->id, &message);
    r->call =
        rpc_call(link, RPC_RENEW, mu_buf_span(&message), RENEW_TIMEOUT_MS, on_leader_answer, r);
    mu_buf_deinit(&message);
}

void agent_session_renew(struct agent *a, const struct mu_id *id, agent_done_fn *done, void *data)
{
    struct renewal *r = mu_new(sizeof *r);

    MU_ASSERT(agent_is_server(a));
    r->agent = a;
    r->id = *id;
    r->done = done;
    r->data = data;
    r->deadline_ms = timers_now(a->timers) + (uint64_t)a->config->rpc_hold_ms;
    mu_list_push_back(&a->sessions->renewals, &r->place);
    timer_set(a->timers, &r->timer, 0, renewal_try, r);
}

void agent__sessions_applied(struct agent *a)
{
    MU_LIST_EACH_SAFE (place, &a->sessions->renewals) {
        struct renewal *r = MU_CONTAINER(place, struct renewal, place);

        if (r->index > 0 && a->applied.index >= r->index) {
            renewal_answer(r, MU_OK);
        }
    }
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__sessions_open(struct agent *a)
{
    struct sessions *s = mu_new(sizeof *s);

    s->timers = session_timers_new();
    mu_list_init(&s->ends);
    mu_list_init(&s->renewals);
    a->sessions = s;
}

void agent__sessions_close(struct agent *a)
{
    struct sessions *s = a->sessions;

    if (s == NULL) {
        return;
    }
    agent__sessions_rest(a);
    while (!mu_list_empty(&s->ends)) { /* their writes are answered when requests close */
        struct mu_link *link = mu_list_pop_front(&s->ends);

        MU_CONTAINER(link, struct ending, place)->is_orphan = true;
    }
    while (!mu_list_empty(&s->renewals)) {
        renewal_answer(MU_CONTAINER(s->renewals.next, struct renewal, place), MU_CANCELLED);
    }
    session_timers_free(s->timers);
    mu_free(s);
    a->sessions = NULL;
}
