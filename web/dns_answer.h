/* dns_answer.h - from a question to the bytes of its answer.
 *
 * A function of what it is given: the query, the configuration, prepared rows, randomness and the
 * time of day. Rows come through a source, so that unit tests and the fuzzer bring their own, and
 * the agent its catalog.
 *
 * Thread:  one; prepared rows remember an order between answers (dns_prepared.h).
 * Memory:  no allocation but what the source does.
 * Errors:  every outcome is an answer. What is not known, because no catalog is to be had, is
 *          SERVFAIL and `needs_catalog`: who can ask elsewhere may do that instead.
 */
#ifndef WEB_DNS_ANSWER_H
#define WEB_DNS_ANSWER_H

#include "agent/config.h"
#include "base/rand.h"
#include "dns_codec.h"
#include "dns_name.h"
#include "dns_prepared.h"

enum dns_lookup {
    DNS_FOUND,
    DNS_ABSENT,
    DNS_UNKNOWN, /* cannot be had now */
};

struct dns_held { /* something found, held until it is released */
    union {
        struct dns_service *service;
        const struct dns_node *node;
    };
    void *hold;
};

/* Who has an address (5.8): <name>.<kind>.<dc> as labels. */
struct dns_owner {
    uint8_t labels[DNS_NAME_MAX];
    uint8_t bytes; /* 0: it has one, but no name that fits a message */
};

struct dns_source {
    enum dns_lookup (*service)(void *data, struct mu_span folded_name, struct dns_held *out);
    enum dns_lookup (*node)(void *data, struct mu_span name_or_id, struct dns_held *out);
    enum dns_lookup (*address)(void *data, const struct mu_addr *address, struct dns_owner *out);
    /* Does some node's name end with ".<name>"? */
    bool (*has_node_below)(void *data, struct mu_span folded_name);
    void (*release)(void *data, struct dns_held *held);
    void *data;
};

struct dns_responder {
    struct dns_zones zones;
    const struct config_dns *config;
    struct mu_rand *rand;
    struct dns_scratch scratch;
};

struct dns_asked {
    const struct dns_query *query;
    const struct dns_source *source; /* NULL: there is no catalog */
    bool is_tcp;
    bool is_stale;        /* the rows are older than five seconds: said to those who listen */
    enum dns_why unknown; /* what a SERVFAIL says */
    uint32_t now_s;       /* since 1970: the serial of SOA */
};

struct dns_answered {
    size_t bytes;
    enum dns_rcode rcode;
    bool needs_catalog; /* it would have looked something up */
    bool is_truncated;
};

/* The largest answer that this query may get. */
size_t dns_answer_room(const struct dns_responder *r, const struct dns_query *q, bool is_tcp);

/* Write the answer to `to`, which has at least that much room. */
struct dns_answered dns_answer(struct dns_responder *r, const struct dns_asked *asked, uint8_t *to);

#endif
