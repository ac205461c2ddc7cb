/* dns_name.h - what a name asks for: the zones and the grammar of spec/dns.md sections 3 to 5.
 *
 * Works on length-counted, folded labels, never on C strings: a label may hold any byte, and a byte
 * that nobody registered simply matches nothing.
 *
 * Memory:  no allocation; a place carries its own copy of the texts it found.
 */
#ifndef WEB_DNS_NAME_H
#define WEB_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/span.h"
#include "dns_codec.h"

#define DNS_ZONES_MAX 8 /* domain and alternative ones: a handful; more is refused at start */

/* The names this agent speaks for. zone[0] is `domain`. */
struct dns_zones {
    struct dns_labels zone[DNS_ZONES_MAX];
    size_t count;
    uint8_t datacenter[1 + DNS_LABEL_MAX]; /* as one label, folded */
};

/* MU_INVALID: a domain that is no name, too many, or one whose first label is a keyword or the
 * datacenter, which would hide what lies below the others. */
MU_MUST_CHECK enum mu_code dns_zones_init(struct dns_zones *z, const char *domain,
                                          const char *const *others, size_t others_count,
                                          const char *datacenter, struct mu_err *err);

enum dns_kind {
    DNS_OUTSIDE,        /* not ours: refused */
    DNS_NOWHERE,        /* in a zone, but no form of name leads there */
    DNS_PARENT,         /* exists only because names below it do (10.2) */
    DNS_APEX,           /* the zone itself */
    DNS_NAMESERVER,     /* ns.<domain> */
    DNS_SERVICE,        /* service, tag */
    DNS_NODE,           /* service holds the name or the beginning of an id */
    DNS_LITERAL,        /* <hex>.addr: address */
    DNS_REVERSE,        /* below in-addr.arpa or ip6.arpa, a whole address */
    DNS_REVERSE_PARENT, /* the beginning of one */
    DNS_REVERSE_BROKEN, /* there, but no address */
    DNS_KINDS_COUNT,
};

struct dns_place {
    enum dns_kind kind;
    size_t domain_at;    /* where the zone begins within the name */
    struct mu_span name; /* service, node, literally folded: views into `text` */
    struct mu_span tag;  /* empty: any */
    bool is_protocol;    /* a lone label like _tcp: parent of every SRV name if nothing else */
    struct mu_addr address;
    uint8_t text[DNS_NAME_MAX];
};

/* `type` matters because SRV names may leave out ".service" (RFC 2782). */
void dns_locate(const struct dns_zones *z, const struct dns_labels *name, uint16_t type,
                struct dns_place *out);

/* -- names from text --------------------------------------------------------------------------- */

/* Text with dots to labels, without the root: any bytes, each label 1 to 63. Returns the bytes
 * written, 0 when it is no such text or does not fit. */
size_t dns_labels_of_text(struct mu_span text, uint8_t *to, size_t room);

/* A host name as people register it as an address: letters, digits, '-', '_', perhaps a dot at the
 * end. Returns the bytes of the absolute name, 0 when it is none. */
size_t dns_host_of_text(struct mu_span text, uint8_t to[DNS_NAME_MAX]);

/* Cut an absolute, well-formed name into folded labels. */
void dns_labels_cut(const uint8_t *wire, size_t bytes, struct dns_labels *to);

#endif
