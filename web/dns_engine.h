/* dns_engine.h - where an answer comes from: here at once, here after the leader was asked, or from
 * a server.
 *
 * The sockets (dns_udp_uv.c, dns_tcp_uv.c) and the requests that other agents forwarded bring
 * messages; the engine answers what it can within the call and keeps the rest as waits, bounded in
 * number and in time: whoever waits longer than a second and a half gets SERVFAIL, or what can be
 * said without a catalog.
 *
 * Thread:  the loop's.
 * Time:    milliseconds, supplied; dns_engine_wake_ms() says when dns_engine_tick() is due.
 * Memory:  messages that wait are copied.
 */
#ifndef WEB_DNS_ENGINE_H
#define WEB_DNS_ENGINE_H

#include "agent/agent.h"
#include "base/sample.h"
#include "dns_answer.h"

#define DNS_WAIT_MS 1500 /* spec/dns.md 16: longer than that no resolver listens */

struct dns_engine; /* opaque */
struct dns_wait;   /* opaque: one message that waits */

/* How the catalog can be asked now. */
enum dns_way {
    DNS_HERE,    /* from the rows at hand */
    DNS_CONFIRM, /* from them, once a leader has confirmed that they are current */
    DNS_FETCH,   /* from them, once what was not in memory is there: the engine's own finding */
    DNS_FORWARD, /* by a server */
    DNS_NOWAY,   /* not at all */
};

/* What the agent offers; tests bring their own. */
struct dns_upstream {
    /* With DNS_HERE *source is set, valid for this turn. */
    enum dns_way (*way)(void *data, const struct dns_source **source, bool *is_stale);
    /* `ready` once, later: with a source, valid during the call, or NULL. */
    void *(*confirm)(void *data, void (*ready)(void *ready_data, const struct dns_source *source),
                     void *ready_data);
    void (*confirm_cancel)(void *data, void *running);
    void *(*forward)(void *data, const struct agent_dns_request *request, agent_dns_fn *done,
                     void *done_data);
    void (*forward_cancel)(void *data, void *running);
    void *data;
    /* Around what is read of a source: that waits for no disk. True: it would have had to, and what
     * was read is no answer. Then, as confirm: `ready` once it is in memory. NULL, all three: there
     * is no disk behind the source. */
    void (*read_begin)(void *data);
    bool (*read_end)(void *data);
    void *(*fetch)(void *data, void (*ready)(void *ready_data, const struct dns_source *source),
                   void *ready_data);
};

/* Plain counters; one thread. */
struct dns_counts {
    uint64_t udp, tcp;       /* messages */
    uint64_t malformed;      /* those that cannot be read; answered with FORMERR, or dropped */
    uint64_t dropped;        /* those that deserve no answer */
    uint64_t errors_limited; /* errors that were not sent, as there were too many of them */
    uint64_t stale;          /* answers from rows that may be old */
    uint64_t late;           /* waits that were ended by their time */
    uint64_t truncated;
    uint64_t rcodes[DNS_RCODES_COUNT];
    uint64_t skipped;      /* instances of the last builds that no message can hold */
    struct mu_sample took; /* milliseconds from reading a query to its answer in the kernel */
};
/* `answers` of queries that were read together took so long together. Each counts as their mean: to
 * look at the clock for each of them would cost some percent of what answering it does. */
void dns_took(struct dns_counts *counts, uint64_t ns, unsigned answers);

/* `room`: MU_DNS_TCP_MAX bytes for answers that come later. All borrowed. */
struct dns_engine *dns_engine_new(const struct dns_upstream *upstream,
                                  struct dns_responder *responder, uint8_t *room);
void dns_engine_free(struct dns_engine *e); /* no wait may be left: dns_engine_end() */
struct dns_counts *dns_engine_counts(struct dns_engine *e);
/* "NXDOMAIN"; NULL: none has this number. */
const char *dns_rcode_text(size_t rcode);

enum dns_done {
    DNS_DONE_NOTHING, /* there is no answer, and will be none */
    DNS_DONE_ANSWER,
    DNS_DONE_WAIT, /* it comes later */
};

struct dns_now { /* of the turn */
    uint64_t ms;
    uint32_t wall_s;
};

/* What makes a message none. */
enum dns_fault {
    DNS_FAULT_NO_QUERY, /* shorter than a header, or an answer */
    DNS_FAULT_CONTENT,  /* a question or records that cannot be read */
    DNS_FAULT_LENGTH,   /* a datagram longer than queries are; a length over TCP that none has */
};
/* A malformed message came: count it, and name its sender in the log, once a minute at most, for
 * anybody can send any number of them. What dns_engine_ask() is given it judges itself. */
void dns_engine_malformed(struct dns_engine *e, enum dns_fault why, const struct mu_addr *client,
                          struct dns_now now);

/* `to` has room for MU_DNS_TCP_MAX bytes. With DNS_DONE_WAIT *wait is set: say in the same turn,
 * with dns_wait_then(), who gets its answer. */
enum dns_done dns_engine_ask(struct dns_engine *e, const struct agent_dns_request *request,
                             struct dns_now now, uint8_t *to, size_t *bytes,
                             struct dns_wait **wait);
/* Called exactly once, later; the wait is gone by then. The answer is borrowed. */
typedef void dns_answer_fn(void *data, struct mu_span answer);
void dns_wait_then(struct dns_wait *wait, dns_answer_fn *later, void *data);
void dns_engine_cancel(struct dns_engine *e, struct dns_wait *wait); /* no callback after this */

/* Answer those whose time is over. */
void dns_engine_tick(struct dns_engine *e, struct dns_now now);
uint64_t dns_engine_wake_ms(const struct dns_engine *e); /* 0: nobody waits */
size_t dns_engine_waits(const struct dns_engine *e);
/* Cancel all; for the end. */
void dns_engine_end(struct dns_engine *e);

#endif
