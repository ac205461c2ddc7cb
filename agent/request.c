/* request.c - one write from submit to reply, on a server.
 *
 *                 leads                    committed               applied here
 *   TRYING ----------------> PROPOSED --------------------> (same) -------------> answered
 *     |  ^                      | not accepted
 *     |  '----- a pause --------'
 *     |  does not lead, knows who                 index
 *     '----------------> FORWARDED ----------------------> APPLYING ------------> answered
 *
 * While nobody leads it pauses and tries again, until rpc_hold_timeout has passed (DESIGN: "held").
 * What may have been accepted (MU_LOST, or another server leads meanwhile) is sent again too, under
 * the number it had: the catalog knows a second copy and answers it as the first (catalog/origin.c,
 * spec/consensus.md 2.19). Only when the time is over before anybody has told, the outcome is
 * unknown.
 *
 * What sets a key unconditionally is answered as soon as it is committed: nothing that applying may
 * find changes the answer, no server can lose it, and reads wait for it, those of the local state
 * too (told_index). How far answers run ahead of applying is bounded.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "level.h"
#include "requests.h"
#include "rpc_codec.h"

#define NO_SPACE           "No space left in the data directory of %s"
#define NO_WRITES          "The file system of the data directory of %s is read-only"
#define NOT_KNOWN          "outcome unknown: the file system of the data directory has become read-only"
#define SETTLE_MS          500U   /* for the apply thread to answer what is committed */
#define FORWARD_TIMEOUT_MS 30000U /* a leader that accepted a command and never answers */
/* Of what is answered before it is applied. Behind that, clients go at the pace of applying. */
#define EARLY_BYTES_MAX 4096U
#define EARLY_LAG_MAX   (4U * MU_APPLY_BATCH_ENTRIES)

struct write {
    struct agent *agent;
    struct mu_link place;
    enum write_state { WRITE_TRYING, WRITE_PROPOSED, WRITE_FORWARDED, WRITE_APPLYING } state;
    bool is_here_only;   /* a follower's: no second hop */
    bool is_asking_core; /* consensus will call back: the struct must stay */
    bool is_dead;
    bool is_doubtful;             /* an earlier try may have been accepted */
    bool is_foregone;             /* once it is committed its result is known */
    struct command_origin origin; /* ours, from the first try on; none: the command has one */
    struct mu_id sent_to;         /* FORWARDED: the leader that was asked */
    struct mu_buf command;        /* encoded, without a stamp */
    uint64_t deadline_ms, proposed_ns;
    unsigned tries;
    struct timer timer;
    struct rpc_call *call;
    uint64_t ticket;
    struct agent_written written; /* APPLYING: what the leader answered */
    char *text;
    struct mu_buf data_room; /* of written.data */
    agent_written_fn *done;
    void *data;
};

static void write_try(void *data);

static struct mu_span ticket_key(const uint64_t *ticket)
{
    return mu_span_of(ticket, sizeof *ticket);
}

/* -- settling ---------------------------------------------------------------------------------- */

struct settler {
    struct mu_link place;
    struct timer timer;
    agent_stopped_fn *settled;
    void *data;
};

static void settler_end(void *data)
{
    struct settler *s = data;

    mu_list_remove(&s->place);
    timer_cancel(&s->timer);
    s->settled(s->data);
    mu_free(s);
}

/* A write was answered, or is on its way elsewhere: was it the last one? */
static void settlers_look(struct agent *a)
{
    if (mu_table_count(a->requests->by_ticket) > 0) {
        return;
    }
    MU_LIST_EACH (place, &a->requests->settlers) {
        struct settler *s = MU_CONTAINER(place, struct settler, place);

        timer_set(a->timers, &s->timer, 0, settler_end, s);
    }
}

void agent__requests_settle(struct agent *a, agent_stopped_fn *settled, void *data)
{
    struct settler *s = mu_new(sizeof *s);
    bool is_open = mu_table_count(a->requests->by_ticket) > 0;

    s->settled = settled;
    s->data = data;
    mu_list_push_back(&a->requests->settlers, &s->place);
    timer_set(a->timers, &s->timer, is_open ? SETTLE_MS : 0, settler_end, s);
}

static void ticket_forget(struct write *w)
{
    struct requests *q = w->agent->requests;

    (void)mu_table_remove(q->by_ticket, ticket_key(&w->ticket));
    w->ticket = 0;
    settlers_look(w->agent);
}

static void write_free(struct write *w)
{
    w->agent->requests->applying_count -= w->state == WRITE_APPLYING;
    if (w->ticket > 0) {
        ticket_forget(w);
    }
    if (w->call != NULL) {
        rpc_cancel(w->call);
    }
    timer_cancel(&w->timer);
    mu_list_remove(&w->place);
    mu_buf_deinit(&w->command);
    mu_buf_deinit(&w->data_room);
    mu_free(w->text);
    w->text = NULL;
    if (w->is_asking_core) {
        w->is_dead = true; /* on_proposed() ends it */
        return;
    }
    mu_free(w);
}

static void write_answer(struct write *w, const struct agent_written *written)
{
    w->done(w->data, written);
    write_free(w);
}

static void write_fail(struct write *w, enum mu_code code, const char *text)
{
    write_answer(w, &(struct agent_written){ .code = code, .text = text });
}

const char *agent__refusal_text(enum mu_code code)
{
    switch (code) {
    case MU_NO_LEADER:
    case MU_NOT_LEADER: return "No cluster leader";
    case MU_NO_SERVERS: return "No known Consul servers";
    case MU_BUSY: return "RPC rate limit exceeded";
    case MU_LOST: return "outcome unknown: leadership or connection was lost before the answer";
    case MU_FULL: return "No space left in the data directory of a server";
    case MU_READ_ONLY: return "The file system of the data directory of a server is read-only";
    case MU_CANCELLED: return "the agent is stopping";
    case MU_CORRUPT:
        return "The states of the servers differ and no majority agrees: writes are stopped";
    case MU_OK:
    case MU_INVALID:
    case MU_NOT_FOUND:
    case MU_EXISTS:
    case MU_CONFLICT:
    case MU_DENIED:
    case MU_UNREACHABLE:
    case MU_TIMEOUT:
    case MU_TOO_BIG:
    case MU_IO:
    case MU_FOREIGN:
    case MU_UNSUPPORTED: return mu_code_text(code);
    }
    MU_UNREACHABLE_CODE();
}

uint64_t agent__hold_pause(struct agent *a, unsigned *tries)
{
    uint64_t most = (uint64_t)a->config->rpc_hold_ms / 16 + 1;
    uint64_t pause = UINT64_C(4) << (*tries < 16 ? *tries : 16);

    (*tries)++;
    return 1 + mu_rand_below(&a->rand, pause < most ? pause : most);
}

/* Again after a pause, unless the time to hold it is over. */
static void write_again(struct write *w, enum mu_code code)
{
    struct agent *a = w->agent;

    w->state = WRITE_TRYING;
    if (!w->is_doubtful) {
        w->origin.seq = 0; /* nobody has it: a new number, or others would leave it behind */
    }
    if (w->is_here_only) {
        write_fail(w, code, agent__refusal_text(code));
        return;
    }
    if (timers_now(a->timers) >= w->deadline_ms || a->phase >= AGENT_ENDING) {
        code = w->is_doubtful ? MU_LOST : MU_NO_LEADER;
        write_fail(w, code, agent__refusal_text(code));
        return;
    }
    timer_set(a->timers, &w->timer, agent__hold_pause(a, &w->tries), write_try, w);
}

/* It may have been accepted: again under the same origin, by which a second copy is known. */
static void write_doubtful(struct write *w)
{
    w->is_doubtful = true;
    write_again(w, MU_LOST);
}

/* Committed: is there anything left to wait for? */
static bool is_early(const struct write *w, uint64_t index)
{
    return w->is_foregone && index <= w->agent->applied.index + EARLY_LAG_MAX;
}

static void answer_early(struct write *w, uint64_t index)
{
    struct requests *q = w->agent->requests;

    q->told_index = index > q->told_index ? index : q->told_index;
    write_answer(w, &(struct agent_written){ .did_apply = true, .index = index });
}

/* Proposed here, and its result is known. */
static void commit_took(struct write *w)
{
    mu_sample_add(&w->agent->metrics.commit, (double)(mu_clock_ns() - w->proposed_ns) / 1e6);
}

/* Whose disk it is: this server leads, whoever was asked. */
static void write_fail_here(struct write *w, enum mu_code code)
{
    const char *name = w->agent->config->node_name;
    char text[sizeof NO_WRITES + MU_NODE_NAME_MAX];

    if (code == MU_FULL) {
        (void)snprintf(text, sizeof text, NO_SPACE, name);
    } else {
        (void)snprintf(text, sizeof text, NO_WRITES, name);
    }
    write_fail(w, code, text);
}

/* Not every server understands this command yet (spec/consensus.md 1.10). */
static void write_fail_level(struct write *w)
{
    char text[256 + MU_NODE_NAME_MAX];

    agent__level_refusal(w->agent, mu_buf_span(&w->command), text, sizeof text);
    write_fail(w, MU_UNSUPPORTED, text);
}

static void on_proposed(void *data, enum mu_code code, uint64_t index)
{
    struct write *w = data;

    w->is_asking_core = false;
    if (w->is_dead) {
        mu_free(w);
        return;
    }
    if (code == MU_OK) {
        if (is_early(w, index)) {
            commit_took(w);
            answer_early(w, index);
        }
        return; /* committed; its result comes from the apply thread, by ticket */
    }
    if (code == MU_NOT_LEADER || code == MU_NO_LEADER) {
        ticket_forget(w);
        write_again(w, code);
        return;
    }
    if (code == MU_LOST) {
        ticket_forget(w);
        write_doubtful(w);
        return;
    }
    if (code == MU_FULL || code == MU_READ_ONLY) {
        write_fail_here(w, code);
        return;
    }
    if (code == MU_UNSUPPORTED) {
        write_fail_level(w);
        return;
    }
    write_fail(w, code, agent__refusal_text(code));
}

/* The leader's stamp: never back, and it runs at real speed (spec/consensus.md 1.10). */
static uint64_t stamp_now(struct agent *a)
{
    struct requests *q = a->requests;
    uint64_t wall_ms = (uint64_t)(mu_clock_wall_ns() / MU_NS_PER_MS);
    uint64_t least = q->stamp_ms > a->applied.stamp_ms ? q->stamp_ms : a->applied.stamp_ms;

    q->stamp_ms = wall_ms > least ? wall_ms : least;
    return q->stamp_ms;
}

/* Numbered once, when it is sent first. What another server forwarded has that one's number. */
static const struct command_origin *origin_of(struct write *w)
{
    struct consensus_identity id = consensus_driver_identity(w->agent->consensus);

    if (w->is_here_only) {
        return NULL;
    }
    if (w->origin.seq == 0) {
        w->origin = (struct command_origin){ id.disk, id.boot_count, ++w->agent->requests->seq };
    }
    return &w->origin;
}

static void propose(struct write *w)
{
    struct agent *a = w->agent;
    struct requests *q = a->requests;
    struct mu_buf stamped = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc =
        command_stamp(mu_buf_span(&w->command), origin_of(w), stamp_now(a), &stamped, &err);

    if (rc != MU_OK) {
        mu_buf_deinit(&stamped);
        write_fail(w, rc, err.text);
        return;
    }
    w->state = WRITE_PROPOSED;
    w->proposed_ns = mu_clock_ns();
    w->is_asking_core = true;
    w->ticket = consensus_driver_propose(a->consensus, mu_buf_span(&stamped), w->is_here_only,
                                         on_proposed, w);
    (void)mu_table_put(q->by_ticket, ticket_key(&w->ticket), w);
    mu_buf_deinit(&stamped);
}

/* -- at the leader ----------------------------------------------------------------------------- */

static void on_forwarded(void *data, enum mu_code code, struct mu_span answer,
                         const struct mu_err *err)
{
    struct write *w = data;
    struct mu_arena arena;
    struct mu_err why = MU_ERR_NONE;

    w->call = NULL;
    if (code == MU_UNREACHABLE || code == MU_NOT_LEADER || code == MU_NO_LEADER) {
        write_again(w, code);
        return;
    }
    if (code == MU_TIMEOUT || code == MU_LOST) {
        write_doubtful(w);
        return;
    }
    if (code != MU_OK) {
        write_fail(w, code, err->text);
        return;
    }
    mu_arena_init(&arena, 0);
    if (rpc_proposed_decode(answer, &arena, &w->written, &why) != MU_OK) {
        mu_arena_deinit(&arena);
        write_fail(w, MU_LOST, why.text);
        return;
    }
    mu_buf_add_span(&w->data_room, w->written.data);
    w->written.data = mu_buf_span(&w->data_room);
    w->text = mu_strdup(w->written.text != NULL ? w->written.text : "");
    w->written.text = w->text;
    mu_arena_deinit(&arena);
    if (w->agent->applied.index >= w->written.index || w->agent->read_only != NULL) {
        write_answer(w, &w->written);
        return;
    }
    /* Applied there, not yet here: whoever reads from us next shall see it. */
    w->state = WRITE_APPLYING;
    w->agent->requests->applying_count++;
    agent__await(w->agent, w->written.index);
}

static void forward(struct write *w, struct rpc_link *link)
{
    struct mu_buf message = MU_BUF_NONE;
    struct mu_buf numbered = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = command_stamp(mu_buf_span(&w->command), origin_of(w), 0, &numbered, &err);

    if (rc == MU_OK) {
        rpc_propose_encode(mu_buf_span(&numbered), &message);
        w->state = WRITE_FORWARDED;
        w->sent_to = w->agent->requests->leader;
        w->call =
            rpc_call(link, RPC_PROPOSE, mu_buf_span(&message), FORWARD_TIMEOUT_MS, on_forwarded, w);
    } else {
        write_fail(w, rc, err.text);
    }
    mu_buf_deinit(&message);
    mu_buf_deinit(&numbered);
}

static void write_try(void *data)
{
    struct write *w = data;
    struct agent *a = w->agent;

    if (agent__leads(a)) {
        propose(w);
        return;
    }
    struct rpc_link *link = w->is_here_only ? NULL : agent__leader_link(a);

    if (link != NULL) {
        forward(w, link);
        return;
    }
    write_again(w, MU_NOT_LEADER);
}

static struct write *write_new(struct agent *a, agent_written_fn *done, void *data)
{
    struct write *w = mu_new(sizeof *w);

    w->agent = a;
    w->done = done;
    w->data = data;
    w->deadline_ms = timers_now(a->timers) + (uint64_t)a->config->rpc_hold_ms;
    mu_list_push_back(&a->requests->writes, &w->place);
    return w;
}

static void write_start(struct write *w)
{
    if (agent__leads(w->agent)) {
        propose(w); /* its answer comes later in any case */
        return;
    }
    timer_set(w->agent->timers, &w->timer, 0, write_try, w);
}

void agent__propose_here(struct agent *a, struct mu_span command, agent_written_fn *done,
                         void *data)
{
    struct write *w = write_new(a, done, data);

    w->is_here_only = true;
    mu_buf_add_span(&w->command, command);
    write_start(w);
}

/* It sets a key whatever that was: true, as soon as it cannot be lost any more. What has the id of
 * a request may have been asked for before, with another outcome. */
static bool is_foregone(const struct command *c, size_t bytes)
{
    return c->kind == COMMAND_KV_SET && !c->kv_set.has_cas && c->kv_set.key.bytes > 0 &&
           mu_id_is_none(&c->request) && bytes <= EARLY_BYTES_MAX;
}

static void on_write_invalid(void *data)
{
    struct write *w = data;

    write_fail(w, w->written.code, w->text);
}

void agent_write(struct agent *a, const struct command *command, agent_written_fn *done, void *data)
{
    struct write *w = write_new(a, done, data);
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = command_encode(command, &w->command, &err);

    MU_ASSERT(agent_is_server(a));
    if (rc != MU_OK) {
        w->written.code = rc;
        w->text = mu_strdup(err.text);
        timer_set(a->timers, &w->timer, 0, on_write_invalid, w);
        return;
    }
    w->is_foregone = is_foregone(command, w->command.bytes);
    write_start(w);
}

void agent__write_encoded(struct agent *a, struct mu_span command, agent_written_fn *done,
                          void *data)
{
    struct write *w = write_new(a, done, data);

    mu_buf_add_span(&w->command, command);
    write_start(w);
}

/* -- progress ---------------------------------------------------------------------------------- */

static void result_answer(struct agent *a, const struct apply_result *r)
{
    struct write *w = mu_table_remove(a->requests->by_ticket, ticket_key(&r->ticket));

    if (w == NULL) {
        return; /* its asker is gone */
    }
    w->ticket = 0;
    commit_took(w);
    write_answer(w, &(struct agent_written){
                        .code = r->result.code,
                        .did_apply = r->result.did_apply,
                        .index = r->index,
                        .text = r->result.text,
                        .data = mu_buf_span(&r->result.data),
                    });
    settlers_look(a);
}

static void applied_writes(struct agent *a)
{
    MU_LIST_EACH_SAFE (place, &a->requests->writes) {
        struct write *w = MU_CONTAINER(place, struct write, place);

        if (w->state == WRITE_APPLYING && a->applied.index >= w->written.index) {
            write_answer(w, &w->written);
        }
    }
}

void agent__requests_applied(struct agent *a, const struct apply_report *report)
{
    for (size_t i = 0; i < report->results_count; i++) {
        result_answer(a, &report->results[i]);
    }
    if (a->requests->applying_count >
        0) { /* of a follower, or of one that has come to lead since */
        applied_writes(a);
    }
    agent__reads_applied(a);
}

void agent__requests_restored(struct agent *a)
{
    MU_LIST_EACH_SAFE (place, &a->requests->writes) {
        struct write *w = MU_CONTAINER(place, struct write, place);

        if (w->state == WRITE_PROPOSED && !w->is_asking_core && w->ticket > 0) {
            write_answer(w, &(struct agent_written){ .code = MU_LOST });
        }
    }
    applied_writes(a);
    agent__reads_applied(a);
}

void agent__requests_retry(struct agent *a)
{
    MU_LIST_EACH (place, &a->requests->writes) {
        struct write *w = MU_CONTAINER(place, struct write, place);

        if (w->state == WRITE_FORWARDED && !mu_id_eq(&w->sent_to, &a->requests->leader)) {
            rpc_cancel(w->call); /* another one leads: it answers sooner, and knows a copy */
            w->call = NULL;
            w->is_doubtful = true;
            w->state = WRITE_TRYING;
        }
        if (w->state == WRITE_TRYING) {
            timer_set(a->timers, &w->timer, 0, write_try, w);
        }
    }
    agent__reads_retry(a);
    agent__forwards_retry(a);
}

bool agent__requests_has(const struct agent *a, uint64_t ticket)
{
    return mu_table_find(a->requests->by_ticket, ticket_key(&ticket)) != NULL;
}

bool agent__leads(const struct agent *a)
{
    return a->requests->is_ready;
}

bool agent_stands_still(const struct agent *a)
{
    return a->read_only != NULL && !agent__leads(a);
}

bool agent_leads(const struct agent *a)
{
    return a->requests != NULL && a->requests->is_ready;
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__requests_open(struct agent *a)
{
    struct requests *q = mu_new(sizeof *q);

    q->by_ticket = mu_table_new();
    mu_list_init(&q->writes);
    mu_list_init(&q->reads);
    mu_list_init(&q->fetching);
    q->fetcher = fetcher_new(a->loop, agent__reads_fetched, a);
    mu_list_init(&q->rounds);
    mu_list_init(&q->forwards);
    mu_list_init(&q->settlers);
    a->requests = q;
}

void agent__requests_read_only(struct agent *a)
{
    struct consensus_status status;

    if (a->requests == NULL) {
        return;
    }
    consensus_driver_status(a->consensus, &status);
    MU_LIST_EACH_SAFE (place, &a->requests->writes) {
        struct write *w = MU_CONTAINER(place, struct write, place);

        if (w->state == WRITE_APPLYING) { /* done, but not to be applied here for long */
            write_answer(w, &w->written);
        } else if (w->state == WRITE_PROPOSED && status.voters_count == 1) {
            write_fail(w, MU_LOST, NOT_KNOWN); /* else whoever leads next knows */
        }
    }
    agent__reads_applied(a);
}

void agent__requests_close(struct agent *a)
{
    struct requests *q = a->requests;

    if (q == NULL) {
        return;
    }
    while (!mu_list_empty(&q->writes)) {
        struct write *w = MU_CONTAINER(q->writes.next, struct write, place);

        /* What was proposed or sent may yet be committed by others. */
        bool is_unknown =
            w->is_doubtful || w->state == WRITE_PROPOSED || w->state == WRITE_FORWARDED;
        enum mu_code code = is_unknown ? MU_LOST : MU_CANCELLED;

        write_fail(w, code, agent__refusal_text(code));
    }
    agent__reads_close(a);
    agent__forwards_close(a);
    while (!mu_list_empty(&q->settlers)) {
        settler_end(MU_CONTAINER(q->settlers.next, struct settler, place));
    }
    mu_table_free(q->by_ticket);
    mu_free(q);
    a->requests = NULL;
}
