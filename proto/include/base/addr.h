/* addr.h - an IP address and a port, and how people write them.
 *
 * IPv4-mapped IPv6 is stored as IPv4, so that equal endpoints compare equal.
 */
#ifndef MU_BASE_ADDR_H
#define MU_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct sockaddr;
struct sockaddr_storage;

struct mu_addr {
    uint8_t ip[16];   /* the first ip_bytes, in network order; the rest is zero */
    uint8_t ip_bytes; /* 4, 16, or 0: no address */
    uint16_t port;    /* host order; 0: none */
};

#define MU_ADDR_NONE     ((struct mu_addr){ { 0 }, 0, 0 })
#define MU_ADDR_TEXT_MAX 64

/* A literal address without a port: "127.0.0.1", "::1", "[::1]". Port stays 0. */
bool mu_addr_parse_ip(struct mu_span text, struct mu_addr *out);
/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80"; without a port it is `port`. Names are
 * refused (MU_INVALID): resolving them is a driver's work. */
MU_MUST_CHECK enum mu_code mu_addr_parse(struct mu_span text, uint16_t port, struct mu_addr *out,
                                         struct mu_err *err);
/* Split "host", "host:port", "[v6]:port", bare v6. host is a view into text; port stays as given
 * when there is none. False: a port that is not 1..65535, or an empty host. */
bool mu_addr_split(struct mu_span text, struct mu_span *host, uint16_t *port);
/* The same, and "" and ":port" are taken: the host is empty, which the caller gives a meaning. */
bool mu_addr_split_open(struct mu_span text, struct mu_span *host, uint16_t *port);

void mu_addr_ip_text(const struct mu_addr *a, char out[MU_ADDR_TEXT_MAX]); /* "::1" */
void mu_addr_text(const struct mu_addr *a, char out[MU_ADDR_TEXT_MAX]);    /* "[::1]:80" */

bool mu_addr_eq(const struct mu_addr *a, const struct mu_addr *b);    /* address and port */
bool mu_addr_eq_ip(const struct mu_addr *a, const struct mu_addr *b); /* address only */
bool mu_addr_is_loopback(const struct mu_addr *a);
bool mu_addr_is_any(const struct mu_addr *a); /* 0.0.0.0 or :: */
bool mu_addr_is_multicast(const struct mu_addr *a);
bool mu_addr_is_private(const struct mu_addr *a); /* RFC 1918, RFC 4193, link-local */

/* A network, "10.0.0.0/8" or "fd00::/8": addresses that share the first `bits` of `base`. */
struct mu_net {
    struct mu_addr base;
    unsigned bits;
};

/* As in CIDR notation (RFC 4632); what stands behind the prefix is ignored. */
bool mu_net_parse(struct mu_span text, struct mu_net *out);
bool mu_net_has(const struct mu_net *net, const struct mu_addr *a); /* other family: false */

bool mu_addr_from_sockaddr(const struct sockaddr *sa,
                           struct mu_addr *out); /* other family: false */
void mu_addr_to_sockaddr(const struct mu_addr *a, struct sockaddr_storage *out);

#endif
