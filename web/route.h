/* route.h - the rows of HTTP endpoints, and the walk from a request to its handler.
 *
 * A row is what makes an endpoint exist: its method appears in Allow, its traits give it blocking,
 * consistency modes, namespace refusal and forwarding without a line of code in the handler.
 *
 * The walk is that of http-api 1.1, 1.2 and 1.14, in the reference's order: printable, clean path
 * (301), known path (404), query (500), blocked (403), OPTIONS and method (405), then the handler.
 */
#ifndef WEB_ROUTE_H
#define WEB_ROUTE_H

#include "request.h"

/* Traits of a route. */
#define ROUTE_BLOCKS 1U  /* ?index= and ?wait= hold the answer; beside ROUTE_READS */
#define ROUTE_READS  2U  /* a read of the catalog: stale, consistent, cached, max_stale */
#define ROUTE_WRITES 4U  /* goes through the log */
#define ROUTE_LOCAL  8U  /* answered by the agent that is asked; anything else is forwarded */
#define ROUTE_TENANT 16U /* deals with named things: ?ns= is refused */
#define ROUTE_DISCOVERS                                                                   \
    32U                   /* catalog and health: X-Consul-Effective-Consistency, stale by \
                           * discovery_max_stale */
#define ROUTE_CACHED 64U  /* ?cached is honoured: X-Cache */
#define ROUTE_LEADER 256U /* only the leader can answer it, unless it is ?stale */
#define ROUTE_VALUE  128U /* the body is a value of the key space, with its own limit */

#define ROUTE_TXN     512U  /* the body is a transaction, with its own limit */
#define ROUTE_ARCHIVE 1024U /* a snapshot, either way, with its own limit; any agent takes it */

/* What a token must allow; checked once access control exists. */
enum route_permission {
    ACL_NONE,
    ACL_ACL_WRITE,
    ACL_AGENT_READ,
    ACL_AGENT_WRITE,
    ACL_EVENT_READ,
    ACL_EVENT_WRITE,
    ACL_KEY_READ,
    ACL_KEY_WRITE,
    ACL_KEYRING_READ,
    ACL_KEYRING_WRITE,
    ACL_NODE_READ,
    ACL_NODE_WRITE,
    ACL_OPERATOR_READ,
    ACL_OPERATOR_WRITE,
    ACL_SESSION_READ,
    ACL_SESSION_WRITE,
    ACL_SERVICE_READ,
    ACL_SERVICE_WRITE,
};

typedef void web_handler_fn(struct request *r);

struct web_route {
    enum web_method method;
    const char *path; /* "/v1/agent/self", or with a last part ":name" or "*key": what the request
                       * has there, slashes included, is r->argument */
    unsigned traits;
    enum route_permission permission;
    web_handler_fn *handler;
    const char *summary; /* one line for people, without a period */
};

extern const struct web_route web_routes[];
extern const size_t web_routes_count;

#define ROUTES_MAX 128

struct route_table {
    const struct web_route *rows; /* rows of one path stand together */
    size_t count;
    struct {
        size_t fixed_bytes; /* of the row's path in front of ":name" or "*key" */
        bool is_prefix;
    } shapes[ROUTES_MAX]; /* of the rows */
    bool disable_unprintable_filter;
    const char *const *block_endpoints; /* prefixes */
    size_t block_endpoints_count;
};

/* Rows are borrowed; blocked endpoints and the filter stay off. */
void route_table_init(struct route_table *t, const struct web_route *rows, size_t count);

/* The head is there: parse the target, find the row. Sets path, query, route, allowed, argument and
 * verdict. */
void route_find(const struct route_table *table, struct request *r);

/* The message is there: answer what needs no handler (true), or leave params parsed and a route
 * whose handler is to run (false). */
MU_MUST_CHECK bool route_refuse(const struct route_table *table, struct request *r);

#endif
