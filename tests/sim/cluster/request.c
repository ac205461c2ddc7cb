/* request.c - a write or a read on its way: to some server, from there to the leader, into the log,
 * and back once the leader's state has it.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "cluster.h"

#define TRIES_MAX  100
#define RETRY_MS   50
#define EPOCH_MS   1700000000000ULL
#define PAYLOAD(b) ((uint32_t)(b)->bytes)

struct request *request_new(struct cluster *c, size_t at, const struct command *command)
{
    struct mu_err err = MU_ERR_NONE;

    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = &c->requests[i];

        if (r->state != REQUEST_FREE) {
            continue;
        }
        *r = (struct request){ .state = REQUEST_TRAVELS, .at = at, .is_read = command == NULL };
        r->due_ms = c->now_ms + cluster_below(c, c->delay_ms + 1);
        r->floor = c->acked_index;
        if (command != NULL && command_encode(command, &r->command, &err) != MU_OK) {
            cluster_fail(c, "a command cannot be encoded: %s", err.text);
        }
        return r;
    }
    return NULL;
}

void requests_free(struct cluster *c)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        mu_buf_deinit(&c->requests[i].command);
    }
}

static void end(struct cluster *c, struct request *r, enum request_end how)
{
    struct request was = *r;

    cluster_fold(c, (uint64_t)how << 8 | r->at);
    if (how == REQUEST_DONE && !r->is_read) {
        c->acked_index = r->index > c->acked_index ? r->index : c->acked_index;
        c->sums.acked++;
    }
    c->sums.reads += how == REQUEST_DONE && r->is_read;
    c->sums.lost += how == REQUEST_UNKNOWN;
    r->state = REQUEST_FREE; /* `done` may need a place */
    r->command = MU_BUF_NONE;
    if (was.done != NULL) {
        was.done(c, &was, how);
    }
    mu_buf_deinit(&was.command);
}

static void later(struct cluster *c, struct request *r, uint64_t ms)
{
    r->due_ms = c->now_ms + ms;
    if (r->tries++ == TRIES_MAX) {
        end(c, r, REQUEST_FAILED);
    }
}

static void propose(struct cluster *c, struct request *r, struct server *s)
{
    struct command_origin origin = { s->node->id, s->node->disk.boots, c->commands_count + 1 };
    struct mu_buf stamped = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    r->state = REQUEST_PROPOSED;
    r->life = s->node->life;
    r->ticket = c->log->tickets_count + 1; /* the result may come before the call returns */
    if (r->is_read) {
        (void)sim_read(c->log, s->node);
        return;
    }
    if (command_stamp(mu_buf_span(&r->command), &origin, EPOCH_MS + sim_local(s->node, c->now_ms),
                      &stamped, &err) != MU_OK) {
        cluster_fail(c, "a command cannot be stamped: %s", err.text);
    }
    uint32_t bytes = PAYLOAD(&stamped);

    (void)sim_propose(c->log, s->node, 1, state_content(c, &stamped), bytes);
}

static bool server_of(const struct cluster *c, const struct mu_id *id, size_t *out)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        if (mu_id_eq(&c->servers[i].node->id, id)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void arrive(struct cluster *c, struct request *r)
{
    struct server *s = &c->servers[r->at];
    struct consensus_status status;
    size_t leader = 0;

    if (!s->node->is_up || s->node->core == NULL) {
        end(c, r, REQUEST_FAILED);
        return;
    }
    if (!member_runs(c, r->at)) {
        later(c, r, RETRY_MS);
        return;
    }
    consensus_status(s->node->core, &status);
    if (status.role == CONSENSUS_LEADER) {
        propose(c, r, s);
    } else if (server_of(c, &status.leader, &leader) && network_link(c, r->at, leader)) {
        r->at = leader;
        later(c, r, cluster_below(c, c->delay_ms + 1));
    } else {
        later(c, r, RETRY_MS);
    }
}

/* The leader answers once its own state has the entry. */
static void answer(struct cluster *c, struct request *r)
{
    struct server *s = &c->servers[r->at];

    if (s->node->life != r->life) {
        end(c, r, REQUEST_UNKNOWN);
        return;
    }
    if (catalog_applied(s->catalog).index < r->index) {
        return;
    }
    if (r->is_read && r->index < r->floor) {
        cluster_fail(c, "a consistent read is answered from %llu, %llu was acknowledged before",
                     U(r->index), U(r->floor));
    }
    end(c, r, REQUEST_DONE);
}

void requests_run(struct cluster *c)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = &c->requests[i];

        switch (r->state) {
        case REQUEST_FREE: break;
        case REQUEST_TRAVELS:
            if (r->due_ms <= c->now_ms) {
                arrive(c, r);
            }
            break;
        case REQUEST_PROPOSED:
            if (c->servers[r->at].node->life != r->life) {
                end(c, r, REQUEST_UNKNOWN);
            }
            break;
        case REQUEST_COMMITTED: answer(c, r); break;
        }
    }
}

void requests_result(struct cluster *c, const struct consensus_result *result)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = &c->requests[i];

        if (r->state != REQUEST_PROPOSED || r->ticket != result->ticket) {
            continue;
        }
        switch (result->outcome) {
        case CONSENSUS_COMMITTED:
        case CONSENSUS_READABLE:
            r->state = REQUEST_COMMITTED;
            r->index = result->index;
            return;
        case CONSENSUS_NOT_LEADER:
        case CONSENSUS_REFUSED:
            r->state = REQUEST_TRAVELS;
            later(c, r, RETRY_MS);
            return;
        case CONSENSUS_LOST: end(c, r, REQUEST_UNKNOWN); return;
        case CONSENSUS_HANDED_OVER: MU_UNREACHABLE_CODE(); /* the answer to a transfer */
        }
    }
}
