/* dns_loop.h - what the dns_*_uv.c files share; nobody else. */
#ifndef WEB_DNS_LOOP_H
#define WEB_DNS_LOOP_H

#include <uv.h>

#include "base/list.h"
#include "dns_sockets.h"

#define DNS_ADDRESSES_MAX 16 /* configured ones; more are refused */

struct dns_udp;       /* one socket; dns_udp_uv.c */
struct dns_udp_batch; /* buffers for many datagrams at a time */
struct dns_listener;  /* one listening address; dns_tcp_uv.c */
struct dns_tcp;       /* all connections */

struct dns_sockets {
    uv_loop_t *loop;
    struct dns_engine *engine;
    struct dns_tcp_limits limits;
    uv_timer_t timer;
    bool has_timer, is_stopping;
    size_t handles; /* open or closing */
    struct dns_udp *udp[DNS_ADDRESSES_MAX];
    struct dns_listener *listeners[DNS_ADDRESSES_MAX];
    size_t count;
    struct mu_addr addresses[DNS_ADDRESSES_MAX];
    struct dns_udp_batch *batch;
    struct dns_tcp *tcp;
    uint64_t wall_at_ms; /* loop time when wall_s was read */
    uint32_t wall_s;
    dns_sockets_stopped_fn *stopped;
    void *stopped_data;
};

/* One handle less is open; the last one ends stopping. */
void dns_sockets_closed(struct dns_sockets *s);
/* "listen udp 127.0.0.1:8600: bind: address already in use" */
enum mu_code dns_listen_failed(const char *transport, const struct mu_addr *address, int error,
                               struct mu_err *err);

/* -- dns_udp_uv.c ------------------------------------------------------------------------------ */

struct dns_udp_batch *dns_udp_batch_new(void);
void dns_udp_batch_free(struct dns_udp_batch *b);
/* Bind; address->port receives the port that was chosen. `only_v6`: leave IPv4 to another socket.
 */
MU_MUST_CHECK enum mu_code dns_udp_open(struct dns_udp **out, struct dns_sockets *s,
                                        struct mu_addr *address, bool only_v6, struct mu_err *err);
void dns_udp_close(struct dns_udp *u); /* waits of it must have been cancelled */

/* -- dns_tcp_uv.c ------------------------------------------------------------------------------ */

struct dns_tcp *dns_tcp_new(struct dns_sockets *s);
void dns_tcp_free(struct dns_tcp *t); /* all connections are closed */
MU_MUST_CHECK enum mu_code dns_tcp_listen(struct dns_listener **out, struct dns_tcp *t,
                                          const struct mu_addr *address, bool only_v6,
                                          struct mu_err *err);
void dns_listener_close(struct dns_listener *l);
void dns_tcp_close(struct dns_tcp *t); /* every connection */
size_t dns_tcp_count(const struct dns_tcp *t);
void dns_tcp_tick(struct dns_tcp *t, uint64_t now_ms);
uint64_t dns_tcp_wake_ms(const struct dns_tcp *t); /* 0: never */

#endif
