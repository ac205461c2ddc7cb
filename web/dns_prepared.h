/* dns_prepared.h - what the catalog says, in the shape answers are copied from.
 *
 * Built once per change of a service or a node, asked thousands of times: health filtered, tags
 * folded and sorted, an address chosen for each kind of question, names as labels, metadata as
 * finished TXT data. Equal records are known before anybody asks: `same` names the first instance
 * with an equal one.
 *
 * Immutable but for the order of the lists and the marks, which dns_draw_*() uses instead of memory
 * of its own: a partial shuffle begun from any order is as fair as from the original one.
 *
 * Thread:  one.
 * Memory:  one arena each, ended by dns_service_free() and dns_node_free(). Rows are copied.
 * Errors:  none: a row that cannot be put into a message is left out and counted (22.4).
 */
#ifndef WEB_DNS_PREPARED_H
#define WEB_DNS_PREPARED_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "base/arena.h"
#include "base/rand.h"
#include "catalog/query.h"
#include "dns_name.h"

enum dns_address_kind {
    DNS_NO_ADDRESS,
    DNS_IP4,
    DNS_IP6,
    DNS_HOST,
};

struct dns_address {
    enum dns_address_kind kind;
    uint8_t bytes; /* 4, 16, or of the host's absolute name */
    union {
        uint8_t ip[16];
        const uint8_t *host;
    };
};

/* Which address suits a question (6.1). */
enum dns_pick {
    DNS_PICK_4,
    DNS_PICK_6,
    DNS_PICK_ANY, /* what SRV and ANY show: IPv6, else IPv4, else what is registered */
    DNS_PICKS_COUNT,
};

struct dns_picks {
    struct dns_address by[DNS_PICKS_COUNT];
};

struct dns_node {
    const uint8_t *labels; /* <node>.node.<dc>, as registered; NULL: no such name fits a message */
    uint8_t labels_bytes;
    bool is_plain;      /* letters, digits, dashes: may be shown as a name server */
    bool is_registered; /* what DNS_PICK_ANY says is the registered address itself */
    struct dns_picks picks;
    const uint8_t *texts; /* metadata: length (16 bits) and TXT data, one after the other */
    size_t texts_bytes;
    uint32_t number; /* within its service */
};

enum dns_target_kind {
    DNS_NO_TARGET,   /* no usable address: not in SRV */
    DNS_TARGET_NODE, /* labels in front of the domain */
    DNS_TARGET_LITERAL,
    DNS_TARGET_HOST, /* an absolute name */
};

/* What repeats between instances, and so is sent once. */
enum dns_same {
    DNS_SAME_4, /* by address, as enum dns_pick */
    DNS_SAME_6,
    DNS_SAME_ANY,
    DNS_SAME_SRV, /* node, address and port */
    DNS_SAME_TARGET,
    DNS_SAME_COUNT,
};

struct dns_instance {
    const struct dns_node *node;
    struct dns_picks picks; /* the service's address, else the node's */
    enum dns_target_kind target_kind;
    uint8_t target_bytes;
    const uint8_t *target;
    uint16_t port, weight;
    uint32_t same[DNS_SAME_COUNT]; /* the first instance with an equal one */
};

/* Instances that share a tag, or all of them; and how many different records they make. */
struct dns_list {
    struct mu_span tag;
    uint32_t *items;
    uint32_t count;
    uint32_t addresses[DNS_PICKS_COUNT], hosts[DNS_PICKS_COUNT];
    uint32_t targets;
    bool is_drawn; /* somebody is drawing from it: an alias that leads back here ends */
};

enum dns_marks { /* what an answer has shown already */
                 DNS_SHOWN_ADDRESS,
                 DNS_SHOWN_SRV,
                 DNS_SHOWN_TARGET,
                 DNS_SHOWN_NODE,
                 DNS_MARKS_COUNT,
};

struct dns_service {
    struct mu_arena arena;
    struct dns_instance *instances;
    uint32_t count;   /* healthy ones; 0: the service is as good as unknown */
    uint32_t skipped; /* instances without anything that fits a message */
    struct dns_list all;
    struct dns_list *tags; /* sorted by folded tag */
    size_t tags_count;
    uint32_t ttl;
    uint32_t *marks[DNS_MARKS_COUNT];
    uint32_t mark[DNS_MARKS_COUNT]; /* what marks are equal to in the current answer */
};

/* What shapes prepared rows beside the rows. Borrowed. */
struct dns_rules {
    const struct dns_zones *zones;
    const struct config_dns *config;
};

struct dns_service *dns_service_new(const struct dns_rules *rules, struct mu_span folded_name,
                                    const struct catalog_instances *rows);
void dns_service_free(struct dns_service *s); /* NULL is fine */
/* The instances with a tag (folded; empty: all). NULL: nobody has it. */
struct dns_list *dns_service_list(struct dns_service *s, struct mu_span tag);
/* Does some tag end with ".<tag>"? Then its name is the parent of an existing one (10.2). */
bool dns_service_has_below(const struct dns_service *s, struct mu_span tag);

struct dns_one_node { /* a node asked for by itself */
    struct mu_arena arena;
    struct dns_node node;
};
struct dns_one_node *dns_node_new(const struct dns_rules *rules, const struct catalog_node *row);
void dns_node_free(struct dns_one_node *n); /* NULL is fine */

/* Metadata as records: length (16 bits) and data of each, one after the other. */
struct mu_span dns_texts_of(struct mu_arena *arena, const struct mu_pairs *meta);

/* <name>.<kind>.<dc> as labels. Returns their bytes, 0 when they do not fit a message in every
 * zone. `to` has room for DNS_NAME_MAX. */
size_t dns_local_labels(const struct dns_zones *z, struct mu_span name, const char *kind,
                        uint8_t *to);

/* -- drawing ----------------------------------------------------------------------------------- */

struct dns_draw { /* one answer's walk over a list in random order */
    struct dns_service *service;
    struct dns_list *list;
    struct mu_rand *rand;
    uint32_t at;
};

/* Begin. False: the list is being drawn from already. */
bool dns_draw_begin(struct dns_draw *d, struct dns_service *s, struct dns_list *list,
                    struct mu_rand *rand);
void dns_draw_end(struct dns_draw *d);
/* The next instance, each once, in an order drawn as it goes; NULL at the end. */
const struct dns_instance *dns_draw_next(struct dns_draw *d);

/* Forget what was shown; then say what is shown. */
void dns_marks_clear(struct dns_service *s, enum dns_marks kind);
bool dns_is_marked(const struct dns_service *s, enum dns_marks kind, uint32_t number);
void dns_mark_shown(struct dns_service *s, enum dns_marks kind, uint32_t number);

#endif
