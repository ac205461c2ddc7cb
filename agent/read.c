/* read.c - linearizable reads on a server: rounds of ReadIndex (spec/consensus.md 2.7).
 *
 * All reads that begin in one turn share a round. The round asks once for a read point: the own
 * consensus when this server leads, the leader otherwise. When this server has applied that index,
 * every read of the round is told that the local state may be read. A read never joins a round that
 * was already sent: its point may lie before the read began.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"

#define READ_TIMEOUT_MS                                                      \
    2000U /* a leader that does not answer: ask again, it may be another one \
           */

#define BEHIND                                                                                     \
    "The file system of this server is read-only, and its state lacks writes that were answered: " \
    "?stale reads what there is"

struct round {
    struct agent *agent;
    struct mu_link place;
    struct mu_link reads; /* struct agent_read.place */
    struct timer timer;   /* before it is sent: the end of the turn */
    struct rpc_call *call;
    bool is_asking_core; /* consensus will call back: the struct must stay */
    bool is_dead;
    bool has_index;
    uint64_t index;
};

struct agent_read {
    struct agent *agent;
    struct mu_link place; /* in a round's list, or in requests.reads while it pauses */
    enum agent_consistency consistency;
    uint64_t deadline_ms;
    unsigned tries;
    struct timer timer;
    agent_read_fn *ready;
    void *data;
};

static void read_join(void *data);
static void round_send(void *data);

struct agent_view agent_view_now(struct agent *a)
{
    struct consensus_status status;
    struct agent_view view = {
        .reader = a->reader,
        .has_state = !a->lacks_state,
        .is_behind = a->requests != NULL && a->read_only == NULL &&
                     a->applied.index < a->requests->told_index,
    };

    consensus_driver_status(a->consensus, &status);
    view.known_leader = !mu_id_is_none(&status.leader);
    if (status.role != CONSENSUS_LEADER && status.leader_heard_ms > 0) {
        uint64_t now_ms = mu_clock_ms(); /* the clock of consensus: it goes on in suspend */

        view.last_contact_ms =
            now_ms > status.leader_heard_ms ? now_ms - status.leader_heard_ms : 0;
    }
    if (agent_stands_still(a) && view.last_contact_ms < agent__read_only_ms(a)) {
        view.last_contact_ms = agent__read_only_ms(a); /* so old is what it has */
    }
    return view;
}

static void read_free(struct agent_read *r)
{
    timer_cancel(&r->timer);
    mu_list_remove(&r->place);
    mu_free(r);
}

void agent_read_cancel(struct agent_read *r)
{
    read_free(r);
}

static void read_answer(struct agent_read *r, enum mu_code code, const char *text)
{
    struct agent_view view = agent_view_now(r->agent);
    struct mu_err err = MU_ERR_NONE;
    agent_read_fn *ready = r->ready;
    void *data = r->data;

    read_free(r);
    if (code != MU_OK) {
        (void)mu_fail(&err, code, "%s", text);
    }
    ready(data, code, &view, &err);
}

/* Nobody leads, or the one who did does no more: again after a pause, within the hold. */
static void read_pause(struct agent_read *r)
{
    struct agent *a = r->agent;

    mu_list_remove(&r->place);
    mu_list_push_back(&a->requests->reads, &r->place);
    if (timers_now(a->timers) >= r->deadline_ms || a->phase >= AGENT_ENDING) {
        read_answer(r, MU_NO_LEADER, agent__refusal_text(MU_NO_LEADER));
        return;
    }
    timer_set(a->timers, &r->timer, agent__hold_pause(a, &r->tries), read_join, r);
}

/* -- rounds ------------------------------------------------------------------------------------ */

static void round_free(struct round *r)
{
    MU_ASSERT(mu_list_empty(&r->reads));
    timer_cancel(&r->timer);
    mu_list_remove(&r->place);
    if (r->agent->requests->next == r) {
        r->agent->requests->next = NULL;
    }
    if (r->call != NULL) {
        rpc_cancel(r->call);
    }
    mu_free(r);
}

static void round_fail(struct round *r, enum mu_code code)
{
    MU_LIST_EACH_SAFE (place, &r->reads) {
        struct agent_read *read = MU_CONTAINER(place, struct agent_read, place);

        if (code == MU_READ_ONLY) {
            read_answer(read, code, BEHIND);
        } else if (code == MU_BUSY || code == MU_CANCELLED) {
            read_answer(read, code, agent__refusal_text(code));
        } else {
            read_pause(read);
        }
    }
    round_free(r);
}

/* The point is known: answer now, or when it is applied here. */
static void round_check(struct round *r)
{
    if (r->agent->applied.index < r->index && r->agent->read_only != NULL) {
        round_fail(r, MU_READ_ONLY); /* the state of this server stays what it is */
        return;
    }
    if (r->agent->applied.index < r->index) {
        agent__await(r->agent, r->index);
        return;
    }
    while (!mu_list_empty(&r->reads)) {
        read_answer(MU_CONTAINER(r->reads.next, struct agent_read, place), MU_OK, NULL);
    }
    round_free(r);
}

static void on_core_point(void *data, enum mu_code code, uint64_t index)
{
    struct round *r = data;

    r->is_asking_core = false;
    if (r->is_dead) {
        mu_free(r);
        return;
    }
    if (code != MU_OK) {
        round_fail(r, code);
        return;
    }
    r->has_index = true;
    r->index = index;
    round_check(r);
}

static void on_leader_point(void *data, enum mu_code code, struct mu_span answer,
                            const struct mu_err *err)
{
    struct round *r = data;
    struct mu_err why = MU_ERR_NONE;

    (void)err;
    r->call = NULL;
    if (code == MU_OK) {
        code = rpc_read_point_decode(answer, &r->index, &why);
    }
    if (code != MU_OK) {
        round_fail(r, code);
        return;
    }
    r->has_index = true;
    round_check(r);
}

static struct round *round_new(struct agent *a)
{
    struct round *r = mu_new(sizeof *r);

    r->agent = a;
    mu_list_init(&r->reads);
    mu_list_push_back(&a->requests->rounds, &r->place);
    return r;
}

static void round_send(void *data)
{
    struct round *r = data;
    struct agent *a = r->agent;

    a->requests->next = NULL; /* closed: later reads make a new one */
    if (mu_list_empty(&r->reads)) {
        round_free(r);
        return;
    }
    if (agent__leads(a)) {
        r->is_asking_core = true;
        consensus_driver_read(a->consensus, on_core_point, r);
        return;
    }
    struct rpc_link *link = agent__leader_link(a);

    if (link == NULL) {
        round_fail(r, MU_NO_LEADER);
        return;
    }
    r->call = rpc_call(link, RPC_READ_INDEX, MU_SPAN_NONE, READ_TIMEOUT_MS, on_leader_point, r);
}

static void read_join(void *data)
{
    struct agent_read *read = data;
    struct agent *a = read->agent;
    struct requests *q = a->requests;

    mu_list_remove(&read->place);
    if (q->next == NULL) {
        q->next = round_new(a);
        timer_set(a->timers, &q->next->timer, 0, round_send, q->next);
    }
    mu_list_push_back(&q->next->reads, &read->place);
}

/* The local state, however old: but not older than what clients of this server were told is done.
 */
static void on_stale(void *data)
{
    struct agent_read *read = data;
    struct agent *a = read->agent;

    if (a->applied.index >= a->requests->told_index) {
        read_answer(read, MU_OK, NULL);
        return;
    }
    struct round *r = round_new(a);

    r->has_index = true;
    r->index = a->requests->told_index;
    mu_list_remove(&read->place);
    mu_list_push_back(&r->reads, &read->place);
    round_check(r);
}

struct agent_read *agent_read(struct agent *a, enum agent_consistency consistency,
                              agent_read_fn *ready, void *data)
{
    struct agent_read *r = mu_new(sizeof *r);

    MU_ASSERT(agent_is_server(a));
    if (a->lacks_state && consistency == AGENT_STALE) {
        consistency = AGENT_DEFAULT; /* there is nothing yet, however old it may be */
    }
    r->agent = a;
    r->consistency = consistency;
    r->ready = ready;
    r->data = data;
    r->deadline_ms = timers_now(a->timers) + (uint64_t)a->config->rpc_hold_ms;
    if (consistency == AGENT_STALE) {
        mu_list_push_back(&a->requests->reads, &r->place);
        timer_set(a->timers, &r->timer, 0, on_stale, r);
    } else {
        read_join(r);
    }
    return r;
}

/* -- pages that are not in memory -------------------------------------------------------------- */

struct agent_read *agent_fetch(struct agent *a, const struct catalog_miss *miss,
                               agent_read_fn *ready, void *data)
{
    struct agent_read *r = mu_new(sizeof *r);

    r->agent = a;
    r->ready = ready;
    r->data = data;
    mu_list_push_back(&a->requests->fetching, &r->place);
    fetcher_add(a->requests->fetcher, a->state_path, miss);
    return r;
}

/* Who lacks yet another page comes back, to the end of the list. */
void agent__reads_fetched(void *agent)
{
    struct mu_link *waiting = &((struct agent *)agent)->requests->fetching;
    size_t count = 0;

    MU_LIST_EACH (place, waiting) {
        count++;
    }
    for (; count > 0 && !mu_list_empty(waiting); count--) {
        read_answer(MU_CONTAINER(waiting->next, struct agent_read, place), MU_OK, NULL);
    }
}

/* -- progress ---------------------------------------------------------------------------------- */

void agent__reads_applied(struct agent *a)
{
    MU_LIST_EACH_SAFE (place, &a->requests->rounds) {
        struct round *r = MU_CONTAINER(place, struct round, place);

        if (r->has_index) {
            round_check(r);
        }
    }
}

void agent__reads_retry(struct agent *a)
{
    MU_LIST_EACH (place, &a->requests->reads) {
        struct agent_read *r = MU_CONTAINER(place, struct agent_read, place);

        if (r->consistency != AGENT_STALE) {
            timer_set(a->timers, &r->timer, 0, read_join, r);
        }
    }
}

static void reads_cancel(struct mu_link *reads)
{
    while (!mu_list_empty(reads)) {
        read_answer(MU_CONTAINER(reads->next, struct agent_read, place), MU_CANCELLED,
                    agent__refusal_text(MU_CANCELLED));
    }
}

void agent__reads_close(struct agent *a)
{
    struct requests *q = a->requests;

    while (!mu_list_empty(&q->rounds)) {
        struct round *r = MU_CONTAINER(q->rounds.next, struct round, place);

        reads_cancel(&r->reads);
        if (r->is_asking_core) { /* consensus answers it while it stops */
            timer_cancel(&r->timer);
            mu_list_remove(&r->place);
            r->is_dead = true;
            continue;
        }
        round_free(r);
    }
    reads_cancel(&q->reads);
    reads_cancel(&q->fetching);
    fetcher_free(q->fetcher);
}
