/* recover_begin.c - the server that goes on: from the word to begin until it has stopped.
 *
 *   on_begin -> it stands back itself -> all who can be reached stand back, and say where they are
 *            -> judged -> answered -> the agent stops -> carry out -> it starts over, and leads
 *
 * From the moment all stand back nothing that was judged can change. What was agreed upon is kept
 * in memory only: a crash before the log is continued leaves everything as it was, and the others
 * take part again after a while. Continuing the log is one write (consensus/recover.h): a crash
 * behind it leaves a server that leads in the new epoch when it starts.
 *
 * Two who begin at once: each has to stand back for the other one, which neither does, so both give
 * up, or one is too late. Where they do not reach each other nobody can help it; the epochs differ
 * then, and the later one stops the other one when they meet (recovery.h).
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "recover_ask.h"
#include "recover_plan.h"

struct beginning {
    struct agent *agent;
    struct recovery_position *seen; /* by whoever wants it: our own first */
    size_t seen_count;
    bool is_forced;
    uint64_t asked_ms; /* when, that all stand back */
    struct mu_err err;
    agent__begun_fn *done;
    void *data;
};

/* -- the end ----------------------------------------------------------------------------------- */

static void beginning_end(struct beginning *b, enum mu_code code, uint64_t epoch)
{
    b->agent->beginning = NULL;
    b->done(b->data, code, epoch, &b->err);
    mu_free(b->seen);
    mu_free(b);
}

static void on_resumed(void *data, enum mu_code code, struct recover_ask *ask)
{
    (void)data;
    (void)code; /* who was not reached finds out by itself */
    recover_ask_free(ask);
}

static void give_up(struct beginning *b)
{
    struct agent *a = b->agent;

    mu_log(MU_WARN, "agent.server.raft", "The recovery is given up", mu_kv("reason", b->err.text));
    agent__stand_back_end(a, &a->data.node);
    if (a->phase < AGENT_STOPPING) {
        (void)recover_ask(a, RPC_RECOVER_RESUME, on_resumed, NULL);
    }
    beginning_end(b, b->err.code, 0);
}

/* -- the judgement ----------------------------------------------------------------------------- */

static enum mu_code is_where_agreed(const struct recovery_position *own,
                                    const struct recovery_position *agreed, struct mu_err *err)
{
    if (mu_id_eq(&agreed->server, &own->server) && agreed->last_index == own->last_index &&
        agreed->last_term == own->last_term && agreed->epoch == own->epoch) {
        return MU_OK;
    }
    return mu_fail(err, MU_CONFLICT,
                   "its log is another one than when that was agreed to: look again");
}

/* What is not durable here could be missing when the log is opened again. */
static enum mu_code is_durable(struct beginning *b)
{
    struct consensus_status status;

    consensus_driver_status(b->agent->consensus, &status);
    return status.stable == status.last_index && status.writes_outstanding == 0
               ? MU_OK
               : mu_fail(&b->err, MU_BUSY, "its disk has not taken all of its log yet: try again");
}

static bool has_answered(const struct agent_recovery *r, const struct mu_id *server)
{
    for (size_t i = 0; i < r->count; i++) {
        if (mu_id_eq(&r->servers[i].id, server)) {
            return r->servers[i].err.code == MU_OK;
        }
    }
    return false;
}

/* Who answers those that want it, and not us, was not told to stand back. */
static enum mu_code has_reached_all(struct beginning *b, const struct agent_recovery *r)
{
    for (size_t i = 0; i < b->seen_count && !b->is_forced; i++) {
        const struct recovery_position *p = &b->seen[i];
        char id[MU_ID_TEXT_BYTES + 1];

        mu_id_text(&p->server, id);
        if (!mu_id_is_none(&p->cluster) && p->epoch == b->seen[0].epoch &&
            !has_answered(r, &p->server)) {
            return mu_fail(&b->err, MU_CONFLICT,
                           "the server %s answers others, and does not answer it: stop that one, "
                           "or force it",
                           id);
        }
    }
    return MU_OK;
}

static enum mu_code judge(struct beginning *b, struct agent_recovery *r)
{
    struct agent *a = b->agent;
    char id[MU_ID_TEXT_BYTES + 1];
    struct agent_recovery_wish wish = { .is_forced = b->is_forced };

    mu_id_text(&a->data.node, id);
    wish.server = mu_span_text(id);
    recover_plan_make(r, &wish);
    b->err = r->why;
    enum mu_code rc = b->err.code;

    rc = rc == MU_OK ? is_where_agreed(&r->servers[r->chosen].position, &b->seen[0], &b->err) : rc;
    rc = rc == MU_OK ? has_reached_all(b, r) : rc;
    return rc == MU_OK ? is_durable(b) : rc;
}

/* Everybody else's position: as it was told to us, else as others have seen it. */
static void add_others(const struct beginning *b, const struct agent_recovery *r,
                       struct recovery_order *order)
{
    order->others = mu_new_array(r->count + b->seen_count, sizeof *order->others);
    for (size_t i = 0; i < r->count; i++) {
        const struct agent_survivor *s = &r->servers[i];

        if (s->err.code == MU_OK && i != r->chosen && !mu_id_is_none(&s->position.cluster)) {
            order->others[order->others_count++] = s->position;
        }
    }
    for (size_t i = 1; i < b->seen_count; i++) {
        bool is_known = mu_id_is_none(&b->seen[i].cluster);

        for (size_t k = 0; k < order->others_count; k++) {
            is_known = is_known || mu_id_eq(&order->others[k].server, &b->seen[i].server);
        }
        if (!is_known) {
            order->others[order->others_count++] = b->seen[i];
        }
    }
}

static void begin(struct beginning *b, const struct agent_recovery *r)
{
    struct agent *a = b->agent;
    struct recovery_order *order = mu_new(sizeof *order);

    order->own = r->servers[r->chosen].position;
    order->epoch = recovery_epoch_now(order->own.epoch);
    order->is_forced = b->is_forced;
    order->until_ms = b->asked_ms + AGENT__STANDS_BACK_MS;
    add_others(b, r, order);
    a->order = order;
    mu_log(MU_WARN, "agent.server.raft",
           "This server goes on without the quorum that was lost: it stops, continues its log in a "
           "new epoch, and starts over",
           mu_kv_u("last_index", order->own.last_index), mu_kv_u("last_term", order->own.last_term),
           mu_kv_u("unsure", r->unsure), mu_kv_u("others", order->others_count),
           mu_kv_u("epoch", order->epoch));
    beginning_end(b, MU_OK, order->epoch);
    agent__end(a, AGENT_AGAIN);
}

static void on_stood_back(void *data, enum mu_code code, struct recover_ask *ask)
{
    struct beginning *b = data;
    struct agent_recovery r = { .chosen = AGENT_RECOVERY_NOBODY };

    r.servers = recover_ask_servers(ask, &r.count);
    if (code != MU_OK || b->agent->phase != AGENT_RUNNING) {
        (void)mu_fail(&b->err, MU_CANCELLED, "it stops");
        give_up(b);
    } else if (judge(b, &r) != MU_OK) {
        give_up(b);
    } else {
        begin(b, &r);
    }
    recover_ask_free(ask);
}

/* -- the beginning ----------------------------------------------------------------------------- */

static enum mu_code may_begin(struct agent *a, const struct recovery_position *agreed,
                              struct mu_err *err)
{
    struct recovery_position own;
    struct mu_id leader;

    if (a->beginning != NULL || a->order != NULL) {
        return mu_fail(err, MU_BUSY, "a recovery of it is under way");
    }
    if (a->phase != AGENT_RUNNING) {
        return mu_fail(err, MU_CANCELLED, "it stops");
    }
    agent__recover_position(a, &own, &leader);
    enum mu_code rc = is_where_agreed(&own, agreed, err);

    return rc == MU_OK ? agent__stand_back(a, &a->data.node, a->config->node_name, err) : rc;
}

enum mu_code agent__recover_begin(struct agent *a, const struct recovery_position *seen,
                                  size_t seen_count, bool is_forced, agent__begun_fn *done,
                                  void *data, struct mu_err *err)
{
    MU_ASSERT(a->consensus != NULL && seen_count > 0);
    enum mu_code rc = may_begin(a, &seen[0], err);

    if (rc != MU_OK) {
        return rc;
    }
    struct beginning *b = mu_new(sizeof *b);

    b->agent = a;
    b->seen = mu_new_array(seen_count, sizeof *seen);
    memcpy(b->seen, seen, seen_count * sizeof *seen);
    b->seen_count = seen_count;
    b->is_forced = is_forced;
    b->done = done;
    b->data = data;
    b->asked_ms = mu_clock_ms();
    a->beginning = b;
    (void)recover_ask(a, RPC_RECOVER_STAND_BACK, on_stood_back, b);
    return MU_OK;
}

/* -- once it has stopped ----------------------------------------------------------------------- */

void agent__recover_carry_out(struct agent *a)
{
    struct recovery_order *order = a->order;
    struct mu_err err = MU_ERR_NONE;

    if (order == NULL) {
        return;
    }
    a->order = NULL;
    if (recovery_go_on(a->data.dir, order, &err) == MU_OK) {
        mu_log(MU_WARN, "agent.server.raft",
               "Recovered: this server goes on alone in a new epoch, the others can only join as "
               "new",
               mu_kv_u("epoch", order->epoch), mu_kv_u("last_index", order->own.last_index));
    } else {
        mu_log(MU_ERROR, "agent.server.raft",
               "The recovery was not carried out: this server goes on as before",
               mu_kv("error", err.text));
    }
    mu_free(order->others);
    mu_free(order);
}
