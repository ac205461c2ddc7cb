/* request.h - one HTTP request and its answer, whichever protocol carried it.
 *
 * proto/h1, proto/h2 and the agent's RPC all end in a struct request: a protocol fills in what came
 * (request_head, request_body), the routes find a handler, the handler answers once with one of the
 * answer_* functions, and the sink that the protocol set carries the response away.
 *
 *              head, body                answer_*
 *   READING ---------------> SERVING -------------------> ANSWERED -> free
 *      '-- refused or gone ----'-- client gone: cancelled, or ORPHANED until its write ended
 *
 * A handler that has to wait (for a read index, a watch, a write, a server) sets r->pending. When
 * the client goes away meanwhile, pending->cancel ends the wait; a write has no cancel: the request
 * then lives on without a sink until the write is done.
 *
 * Thread:  the loop's.
 * Memory:  everything made for a request is in r->arena, its body and rendered answer in r->body
 *          and r->out; requests are pooled, so that none of this is allocated anew each time.
 */
#ifndef WEB_REQUEST_H
#define WEB_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "catalog/cache.h"
#include "catalog/watch.h"
#include "deadlines.h"
#include "held.h"
#include "params.h"
#include "proto/h1.h"

struct agent_read;
struct agent_forward;
struct agent_upload;
struct front;
struct request;
struct web_route;

enum web_method { /* single bits: a path's methods are a set */
                  WEB_OTHER = 0,
                  WEB_GET = 1,
                  WEB_PUT = 2,
                  WEB_POST = 4,
                  WEB_DELETE = 8,
                  WEB_OPTIONS = 16,
                  WEB_HEAD = 32,
};
const char *web_method_text(enum web_method method);

/* -- the answer -------------------------------------------------------------------------------- */

#define RESPONSE_EXTRA_MAX  16 /* headers beyond those that have a field */
#define RESPONSE_HEADER_MAX (RESPONSE_EXTRA_MAX + 12)

struct response {
    unsigned status;             /* 0: none yet */
    const char *content_type;    /* NULL: no header */
    struct mu_span body;         /* view into r->out, r->arena, or `ready` */
    struct catalog_ready *ready; /* held until the bytes were copied; NULL: none */
    bool has_meta;               /* the index group of http-api 1.3 */
    bool is_stream;              /* begun by stream_begin() */
    bool has_length;             /* of a stream: exactly `length` bytes follow */
    uint64_t length;
    bool hides_meta;  /* not even on a read */
    bool hides_index; /* of that group: no X-Consul-Index */
    bool known_leader;
    uint64_t index, last_contact_ms;
    const char *consistency;                    /* X-Consul-Effective-Consistency; NULL: absent */
    struct mu_header extra[RESPONSE_EXTRA_MAX]; /* names in their casing on the wire */
    size_t extra_count;
};

/* Where an answer goes. Called once; afterwards the request is gone. */
struct request_sink {
    void (*answer)(struct request *r);
    /* An answer that comes piece by piece; NULL where there are none. The head, a piece, and the
     * end, after which the request is gone; how much of it was not yet taken by the peer. */
    void (*stream_begin)(struct request *r);
    void (*stream_more)(struct request *r, struct mu_span bytes);
    void (*stream_end)(struct request *r);
    size_t (*stream_waiting)(const struct request *r);
    /* It breaks off: the peer must not take it for whole. The request is gone. */
    void (*stream_break)(struct request *r);
    /* r->drained was set: look at it in each turn. */
    void (*stream_watch)(struct request *r);
    /* r->upload has taken some of the body; NULL where a body comes whole. */
    void (*body_moved)(struct request *r);
};

/* What a request waits for. */
struct request_pending {
    const char *name;                  /* for people: "read", "watch", "write", "forward" */
    void (*cancel)(struct request *r); /* NULL: cannot be recalled */
};

/* -- the request ------------------------------------------------------------------------------- */

enum request_state {
    REQUEST_READING,
    REQUEST_SERVING,
    REQUEST_ANSWERED,
    REQUEST_ORPHANED,
};

/* Why a request is answered without its handler. */
enum request_verdict {
    VERDICT_SERVE,
    VERDICT_BAD_TARGET,  /* 400 */
    VERDICT_UNPRINTABLE, /* 400, empty */
    VERDICT_MOVED,       /* 301 */
    VERDICT_UNKNOWN,     /* 404 */
    VERDICT_ROOT,        /* GET / */
    VERDICT_TOO_BIG,     /* 413 */
    VERDICT_BUSY,        /* 429: no room for its body */
};

/* A read that is evaluated as often as it is woken. It fills in r->response (index, body, status)
 * and r->topics; rows live in the front's scratch arena until it returns. */
typedef enum mu_code request_read_fn(struct request *r, const struct agent_view *view,
                                     struct mu_err *err);

struct request {
    /* what came */
    enum web_method method;
    struct mu_span method_text, target; /* as sent */
    struct mu_span path, query;         /* path: decoded */
    struct params params;
    struct mu_span accept, authorization, cache_control, content_type, token, ns; /* headers */
    struct mu_span request_id; /* X-Muster-Request-Id: a write that may be asked for again */
    uint64_t content_length;   /* 0 unless given */
    uint64_t body_bytes_max;   /* from the route; more is refused */
    bool holds_archive;        /* counted in pool->archives */
    struct mu_buf body;
    struct agent_upload *upload; /* takes the body instead; NULL: `body` does */
    struct mu_addr client;
    struct mu_span node; /* of the client agent that passed it on; empty: came here directly */
    bool is_forwarded;   /* came from a client agent: never forwarded again */

    /* where it goes */
    const struct web_route *route;
    unsigned allowed;        /* methods of its path */
    struct mu_span argument; /* what the path holds behind a prefix route */
    enum request_verdict verdict;
    struct read_options read;
    bool is_pretty;

    /* what it waits for */
    const struct request_pending *pending;
    request_read_fn *evaluate;       /* blocking.h */
    void (*look)(struct request *r); /* hash_wait.h */
    struct catalog_topic topics[CATALOG_WAIT_TOPICS_MAX];
    size_t topics_count;
    struct agent_read *agent_read;
    struct agent_forward *forward;
    struct catalog_wait *wait;
    struct deadline deadline;
    uint64_t restores;                  /* agent_restores() when it came */
    uint64_t until_ms;                  /* of the wait for another hash; 0: not yet */
    bool is_last_look;                  /* the deadline passed: answer whatever is there */
    bool was_fresh;                     /* max_stale sent it to the leader */
    unsigned fetches_count;             /* how often something was not in memory */
    bool is_held;                       /* waits for a change: nobody but its client misses it */
    bool is_half_closed;                /* the client sends no more: do not begin to wait */
    void *mine;                         /* the handler's, in the arena */
    void (*drained)(struct request *r); /* stream_when_drained() */

    /* the answer */
    struct response response;
    struct mu_buf out;

    /* life */
    enum request_state state;
    struct front *front;
    const struct request_sink *sink; /* NULL: orphaned */
    void *sink_data;
    int32_t stream;             /* HTTP/2 */
    struct mu_link stream_link; /* in conn->streams */
    uint64_t began_ns;          /* only where it is going to be logged */
    struct mu_arena arena;
    struct request_pool *pool;
    uint64_t body_counted; /* of pool->bodies_bytes */
    struct mu_link link;   /* in the pool, or in a queue of the front */
};

/* -- pool -------------------------------------------------------------------------------------- */

struct request_pool { /* and what is counted over all requests and connections */
    struct mu_link free;
    size_t free_count, used_count;
    unsigned archives;     /* large bodies that are being read or used: front.c bounds them */
    uint64_t bodies_bytes; /* of all others: at most MU_HTTP_BODIES_MAX */
    uint64_t bodies_most;
    uint64_t turn_bytes; /* of answers made in this turn: MU_HTTP_TURN_BYTES, then others wait */
    struct held held;    /* what connections hold */
};

void request_pool_init(struct request_pool *p);
void request_pool_deinit(struct request_pool *p); /* asserts that none is in use */
struct request *request_new(struct request_pool *p, const struct request_sink *sink, void *data);
void request_free(struct request *r); /* not while something is pending; NULL is fine */

/* -- what protocols do ------------------------------------------------------------------------- */

enum web_method web_method_of(struct mu_span text);
/* Take method, target and the headers that matter, all copied. */
void request_head(struct request *r, struct mu_span method, struct mu_span target,
                  const struct mu_header *headers, size_t headers_count);
/* Its route is known, and so many bytes of its body are there or will come. False: that is too
 * large for it, or for the room that there is for all, or was before; its verdict says so, too. */
bool request_body_takes(struct request *r, uint64_t bytes);
/* The client went away: recall what is pending. True: the request may be freed now; false: it is
 * orphaned and frees itself. */
MU_MUST_CHECK bool request_cancel(struct request *r);

/* -- what handlers do: answer once ------------------------------------------------------------- */

/* Forget what an earlier evaluation left in the response. */
void response_reset(struct request *r);
/* A header; both are borrowed until the answer was carried away (literals, or r->arena). */
void response_header(struct request *r, const char *name, struct mu_span value);

/* JSON into r->out; response_json_end() makes it the body. */
void response_json(struct request *r, struct mu_json_out *o);
void response_json_end(struct request *r, struct mu_json_out *o); /* the body, with its type */

/* r->response is filled in: hand it to the sink. The request is gone afterwards. */
void request_answer(struct request *r);
void answer_empty(struct request *r, unsigned status);
void answer_text(struct request *r, unsigned status, const char *text); /* errors: plain text */
void answer_textf(struct request *r, unsigned status, const char *fmt, ...) MU_PRINTF(3, 4);
void answer_json(struct request *r, struct mu_json_out *o); /* ends the document */
void answer_bool(struct request *r, bool value);
/* An answer that comes piece by piece, with the length that the response has, or without an end of
 * its own: status and content type are set; then pieces, of which none is empty; r->pending ends it
 * when the client goes away. Not every request can have one: answer it otherwise then. */
bool stream_is_possible(const struct request *r);
void stream_begin(struct request *r);
void stream_more(struct request *r, struct mu_span bytes);
size_t stream_waiting(const struct request *r); /* bytes that the client has not yet taken */
/* Once, from a later call, when the peer has taken all but a little. */
void stream_when_drained(struct request *r, void (*drained)(struct request *r));
void stream_end(struct request *r);   /* the request is gone afterwards */
void stream_break(struct request *r); /* the same, and the peer sees that it was not the end */
/* A failure of the agent or of a query: its text, else the fixed one for its code. */
void answer_code(struct request *r, enum mu_code code, const struct mu_err *err);

#endif
