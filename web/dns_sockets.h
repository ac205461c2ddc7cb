/* dns_sockets.h - the sockets of the DNS responder: UDP and TCP on every configured address.
 *
 * Life:    new -> start -> stop -> (stopped callback) -> free.
 * Thread:  the loop's.
 * Memory:  the engine is borrowed. One block of buffers serves all sockets; a connection at rest
 *          costs less than 1 KiB.
 * Errors:  MU_IO in the words of agent-behaviour 1.1: "listen udp 127.0.0.1:8600: bind: address
 *          already in use".
 */
#ifndef WEB_DNS_SOCKETS_H
#define WEB_DNS_SOCKETS_H

#include "base/addr.h"
#include "base/err.h"
#include "dns_engine.h"

/* spec/dns.md 22.2. Not settable yet; tests shorten the times. */
struct dns_tcp_limits {
    uint64_t fresh_ms;                      /* from connecting to the first byte */
    uint64_t idle_ms;                       /* from the last answer to the next byte */
    uint64_t message_ms;                    /* from the first byte of a message to its last */
    uint64_t stall_ms;                      /* without progress in sending */
    size_t connections, connections_of_one; /* the second not for this host */
    unsigned waits;                         /* of one connection; then it is not read */
    size_t unsent_bytes;                    /* likewise */
    unsigned turn_messages;                 /* of one connection in one turn of the loop */
};
struct dns_tcp_limits dns_tcp_limits_default(void);

struct dns_sockets; /* opaque */

struct dns_sockets *dns_sockets_new(struct uv_loop_s *loop, struct dns_engine *engine,
                                    const struct dns_tcp_limits *limits);
/* Bind both transports on each address. A port of 0 is chosen by the system, the same for both. On
 * failure all is closed again (stop and its callback are still needed). */
MU_MUST_CHECK enum mu_code dns_sockets_start(struct dns_sockets *s, const struct mu_addr *addresses,
                                             size_t count, struct mu_err *err);
struct mu_addr dns_sockets_address(const struct dns_sockets *s, size_t i);
size_t dns_sockets_connections(const struct dns_sockets *s);
/* See to it that the engine's waits end in time; needed after each one that begins elsewhere. */
void dns_sockets_aim(struct dns_sockets *s);
struct dns_now dns_sockets_now(struct dns_sockets *s);

typedef void dns_sockets_stopped_fn(void *data);
void dns_sockets_stop(struct dns_sockets *s, dns_sockets_stopped_fn *stopped, void *data);
void dns_sockets_free(struct dns_sockets *s);

#endif
