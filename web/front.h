/* front.h - what all requests share: the agent, the routes, parked reads, memory.
 *
 * Requests come from connections (server_uv.c) and from client agents (agent_set_front); both walk
 * the same routes. Here is the order in which that happens; the rules of each step are in route.c,
 * blocking.c, forward.c and the handlers.
 *
 * Thread:  the loop's.
 */
#ifndef WEB_FRONT_H
#define WEB_FRONT_H

#include "agent/agent.h"
#include "deadlines.h"
#include "request.h"
#include "response.h"
#include "route.h"

struct metrics_before; /* api_metrics.c */
struct front_metrics {
    struct metrics_before *before, *newer; /* NULL: nobody has asked */
    uint64_t before_ms, newer_ms;          /* newer 0: not taken yet */
};
void metrics_free(struct front_metrics *m);

struct front {
    struct agent *agent;
    const struct config *config;
    struct request_pool pool;
    struct deadlines deadlines;
    struct response_style style;
    struct route_table table;
    struct mu_arena scratch;  /* rows of the evaluation that runs; empty between them */
    struct mu_buf text;       /* scratch for keys and error texts */
    struct mu_link woken;     /* reads whose watch fired, or whose turn is to come: front_turn() */
    struct mu_link parked;    /* reads that wait on a watch */
    struct mu_link hashed;    /* reads of local services that wait for another hash */
    struct mu_link monitors;  /* the log, followed */
    struct mu_link listening; /* reads of events that wait for another one */
    size_t parked_count;      /* in all but monitors; none is parked above MU_BLOCKING_MAX */
    struct deadline gate;     /* how long the woken wait for room: front_turn() */
    bool is_gate_over;
    struct front_metrics metrics;
    uint64_t began_ms;
    bool is_stopping;
};

void front_init(struct front *f, struct agent *agent);
void front_deinit(struct front *f);

/* A request's two steps, as struct conn_host wants them (data: the front). */
void front_begin(void *data, struct request *r);
void front_serve(void *data, struct request *r);

/* The end of a turn (the driver calls it in each, and then aims its timer at f->deadlines): look at
 * what was woken, a bounded number. True: more is left. */
MU_MUST_CHECK bool front_turn(struct front *f);

/* agent_front.held: what requests and connections hold. data: the front. */
void front_held(void *data, struct agent_front_held *out);

/* From now on nothing waits: what is parked is answered as it is. */
void front_stop(struct front *f);

/* What client agents forward to this server: see agent_front. */
void *front_forwarded(void *data, const struct agent_http_request *request, agent_http_fn *reply,
                      void *reply_data);
void front_forwarded_cancel(void *data, void *running);

#endif
