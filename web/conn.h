/* conn.h - one connection of a client, without its socket: bytes in, requests out, answers in
 * order, bytes out.
 *
 *          "PRI * HTTP/2.0..."
 *   NEW ------------------------> H2
 *    |  anything else               ^  Upgrade: h2c
 *    '-----------------------> H1 --'
 *   any of them -> ENDING: `out` is still sent, what comes in is thrown away, then the socket
 * closes
 *
 * HTTP/1.1 serves one request at a time, so pipelined ones are answered in order; what came behind
 * it waits in `in`. HTTP/2 serves its streams as they come. When the peer does not take its
 * answers, no further requests are read.
 *
 * The driver feeds bytes, calls conn_turn() once in each turn in which the connection was touched,
 * sends `out`, and closes when conn_is_over() says so or the deadline passed.
 *
 * Thread:  the loop's.
 * Time:    host->now_ms, kept by the driver.
 * Memory:  the connection owns its requests until they are answered or cancelled.
 */
#ifndef WEB_CONN_H
#define WEB_CONN_H

#include "proto/h1.h"
#include "proto/h2.h"
#include "request.h"
#include "response.h"

/* What connections need of their surroundings; one for all of them. */
struct conn;

struct conn_host {
    struct request_pool *pool;
    struct response_style *style;
    uint64_t now_ms;
    int64_t wall_s;
    /* The head is there: find the route, set body_bytes_max and verdict. */
    void (*begin)(void *data, struct request *r);
    /* The message is there: answer it, now or later. */
    void (*serve)(void *data, struct request *r);
    void *data;
    /* There is something to do for this connection at the end of this turn. */
    void (*touch)(void *touch_data, struct conn *c);
    /* How much of what the driver took waits for the socket; NULL: as conn_sent() said last. */
    size_t (*unsent)(void *touch_data, struct conn *c);
    void *touch_data;
};

enum conn_state {
    CONN_NEW,
    CONN_H1,
    CONN_H2,
    CONN_ENDING,
};

struct conn {
    struct conn_host *host;
    struct mu_addr client;
    enum conn_state state;
    struct mu_buf in;    /* came, but waits for the request before it */
    struct mu_buf out;   /* to be sent; the driver takes it */
    size_t unsent;       /* bytes that the driver took and the socket did not: conn_sent() */
    size_t taken_bytes;  /* that the driver has: all of them until the socket took the last */
    struct held_by held; /* all of it, and what HTTP/2 has queued */
    bool is_evicted;     /* others need the room: close it as it is */
    bool is_held_up;     /* the last turn stopped at what the peer does not take */
    bool is_eof;         /* the peer sends nothing more */
    bool is_stopping;    /* answer what runs, then end */
    bool has_watched;    /* an answer waits for the peer to take more of it */
    bool is_body_held;   /* a body comes faster than it is kept: nothing is read until it was */
    uint64_t since_ms;   /* when what conn_deadline() measures began */

    /* HTTP/1.1 */
    struct mu_h1 *h1;
    struct request *request; /* being read or served */
    unsigned minor;          /* of `request` */
    bool keeps_alive;        /* of `request` */
    bool has_head_part;      /* the head of the next one has begun to arrive */
    bool has_upgrade;        /* `request` asks for h2c */
    struct mu_buf h2_settings;
    uint64_t discarded;    /* bytes of a refused body */
    unsigned turn_answers; /* in this turn so far */

    /* HTTP/2 */
    struct mu_h2 *h2;
    struct mu_link streams; /* requests, by stream_link */
    size_t streams_count;
    size_t backlog; /* body bytes handed to h2 and not yet pulled */
};

void conn_init(struct conn *c, struct conn_host *host, const struct mu_addr *client);
void conn_deinit(struct conn *c); /* cancels what runs */

void conn_feed(struct conn *c, struct mu_span bytes);
void conn_eof(struct conn *c);
/* The end of a turn: go on with what waited, collect what is to be sent. */
void conn_turn(struct conn *c);
/* The socket took something of `out`, which shows it already; `unsent` bytes are left with the
 * driver. */
void conn_sent(struct conn *c, size_t unsent);
/* The socket took so much of `out` at once. */
void conn_took(struct conn *c, size_t bytes);
/* Has the socket taken anything since, of what the driver still holds? */
void conn_look(struct conn *c);
void conn_stop(struct conn *c); /* end as soon as nothing runs */

bool conn_wants_read(const struct conn *c);
/* The answer is sent, but the peer may still be sending: close our side and read on. */
bool conn_wants_shutdown(const struct conn *c);
bool conn_is_over(const struct conn *c); /* close */
/* When to close it as idle, slow or stuck; 0: it may stay. */
uint64_t conn_deadline(const struct conn *c);

/* -- shared by conn.c, http1.c and http2.c ----------------------------------------------------- */

#define CONN_OUT_MAX (256U * 1024) /* unsent bytes above which no further request is taken */
#define CONN_IN_MAX  (64U * 1024)  /* bytes that wait behind a request; then reading stops */

#define CONN_DRAINED (128U * 1024) /* of an answer in pieces: so little waits, it may go on */

void conn__end(struct conn *c); /* send `out`, then close */
/* Is there room for the answer in r->response? Else it is another one afterwards: 429. */
void conn__admit(struct conn *c, struct request *r);
/* An answer that comes piece by piece may go on when little of it waits. */
void conn__drain(struct conn *c, struct request *r);
bool conn__is_clogged(const struct conn *c); /* the peer does not take its answers */
/* A body part: kept, or counted and thrown away once it is too big. */
void conn__body(struct conn *c, struct request *r, struct mu_span part, uint64_t *discarded);
void conn__body_moved(struct request *r); /* for the sinks of both protocols */

void http1_start(struct conn *c);
/* Returns how many bytes were taken; the rest waits. */
size_t http1_feed(struct conn *c, struct mu_span bytes);
void http1_stop(struct conn *c);
void http1_deinit(struct conn *c);

void http2_start(struct conn *c);
/* Go on with the connection of an upgrade: c->request becomes stream 1. False: bad settings. */
bool http2_upgrade(struct conn *c);
void http2_feed(struct conn *c, struct mu_span bytes);
bool http2_pull(struct conn *c); /* false: nothing was there */
void http2_stop(struct conn *c);
void http2_deinit(struct conn *c);

#endif
