/* dns_work.h - one answer while it is made; for the dns_*.c files that make it, nobody else.
 *
 * dns_answer.c decides and concludes, dns_zone.c knows what belongs to a zone as such,
 * dns_registered.c services and nodes, dns_walk.c how addresses are shown and aliases followed.
 */
#ifndef WEB_DNS_WORK_H
#define WEB_DNS_WORK_H

#include "dns_answer.h"

#define DNS_ALIASES_MAX 3 /* followed (6.5) */
#define DNS_UNLIMITED   UINT32_MAX
#define DNS_NAMED_MAX   64 /* names resolved for SRV targets of one answer; further ones are not */

#define DNS_PICK_BIT(pick) (1U << (pick))
#define DNS_PICKS_BOTH     (DNS_PICK_BIT(DNS_PICK_4) | DNS_PICK_BIT(DNS_PICK_6))

enum dns_outcome {
    DNS_OUT_RECORDS,
    DNS_OUT_NODATA,
    DNS_OUT_NXDOMAIN,
    DNS_OUT_PARENT,    /* NODATA that never changes */
    DNS_OUT_UNKNOWN,   /* no catalog */
    DNS_OUT_TRUNCATED, /* there is something, but nothing of it may be sent here */
    DNS_OUT_COUNT,
};

struct dns_work {
    struct dns_responder *responder;
    const struct dns_asked *asked;
    const struct dns_query *query;
    const struct config_dns *config;
    struct dns_reply reply;
    struct dns_place place;
    struct dns_name name, domain; /* as asked */
    uint32_t plain_left;          /* addresses or SRV records that may still be answered */
    uint32_t records_left;        /* likewise by a_record_limit, which is never told */
    bool is_cut;                  /* answers were left out: by number */
    bool is_full;                 /* by size */
    bool needs_catalog;
    bool has_hosts;       /* SRV targets may meet in one name: see dns_is_first() */
    uint32_t named_count; /* hashes of names whose addresses are in the additional section */
    uint64_t named[DNS_NAMED_MAX];
};

/* Where addresses go while aliases are followed. */
struct dns_walk {
    enum dns_section section;
    unsigned picks;        /* bits: which addresses suit */
    uint32_t ttl;          /* the smallest on the way */
    uint32_t left;         /* in the additional section; answers count in struct dns_work */
    struct dns_name owner; /* of what is shown next */
    size_t host_bytes;     /* of the newest alias, to be followed; 0: none */
    unsigned hosts_count;
    uint8_t hosts[DNS_ALIASES_MAX + 1][DNS_NAME_MAX]; /* aliases met; owners point here */
};

/* -- dns_walk.c -------------------------------------------------------------------------------- */

enum dns_lookup dns_look_service(struct dns_work *a, struct mu_span name, struct dns_held *out);
enum dns_lookup dns_look_node(struct dns_work *a, struct mu_span name, struct dns_held *out);
void dns_let_go(struct dns_work *a, struct dns_held *held);

bool dns_is_ip(const struct dns_address *address);
struct dns_address dns_literal_address(const struct mu_addr *address);
/* A name below the domain as it was asked. */
struct dns_name dns_local_name(const struct dns_work *a, const uint8_t *labels, size_t bytes);
/* False: it did not fit, and nothing of it was written. */
bool dns_put_address(struct dns_work *a, enum dns_section section, const struct dns_name *owner,
                     const struct dns_address *address, uint32_t ttl);

/* Begin with the question's name, towards the answer section. */
void dns_walk_init(struct dns_walk *w, const struct dns_work *a, unsigned picks, uint32_t ttl);
void dns_walk_to(struct dns_walk *w, const struct dns_address *host); /* an alias met */
/* 6.2: addresses, or else one alias to follow. */
void dns_show_service(struct dns_work *a, struct dns_walk *w, struct dns_service *s,
                      struct dns_list *list);
void dns_show_list(struct dns_work *a, struct dns_walk *w, struct dns_service *s,
                   struct dns_list *list, enum dns_pick pick);
void dns_draw_host(struct dns_work *a, struct dns_walk *w, struct dns_service *s,
                   struct dns_list *list, enum dns_pick pick);
void dns_show_node(struct dns_work *a, struct dns_walk *w, const struct dns_node *node);
/* What a name of ours leads to: addresses, or the next alias. */
void dns_resolve(struct dns_work *a, struct dns_walk *w, const struct dns_labels *name);
/* Write CNAMEs as long as there is one to follow, the first owned by `from`. An alias may not be
 * left out once the one before it is written: then `overflow` stays, and whoever began takes the
 * whole back. */
void dns_follow(struct dns_work *a, struct dns_walk *w, const struct dns_labels *from);
/* Is this the first time that the addresses of a name go into the additional section? Targets may
 * meet: two aliases of one service, an alias of a node beside the node. `when_full`: what to say of
 * a name that cannot be remembered. */
bool dns_is_first(struct dns_work *a, const struct dns_labels *name, bool when_full);
/* What the walk left in the answer section; `start` is where to return to. */
enum dns_outcome dns_walked(struct dns_work *a, const struct dns_mark *start);

/* -- dns_registered.c, dns_zone.c: one function for a kind of place ---------------------------- */

enum dns_outcome dns_answer_service(struct dns_work *a);
enum dns_outcome dns_answer_node(struct dns_work *a);
unsigned dns_picks_for(uint16_t type);

enum dns_outcome dns_answer_literal(struct dns_work *a);
enum dns_outcome dns_answer_apex(struct dns_work *a);
enum dns_outcome dns_answer_nameserver(struct dns_work *a);
enum dns_outcome dns_answer_reverse(struct dns_work *a);
/* The SOA that suits the place; left out when it does not fit. */
void dns_put_soa(struct dns_work *a, enum dns_section section, uint32_t ttl);

#endif
