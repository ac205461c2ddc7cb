/* dns_udp_uv.c - datagrams, many at a time.
 *
 * The loop watches the raw descriptor; up to 32 datagrams are received and answered per system
 * call (spec/dns.md 24.5). Answers are packed one behind the other into one buffer, so that the
 * memory touched is that of the answers, not 32 times the largest possible one.
 *
 * A socket bound to a wildcard address is told where each query was sent to, and answers from
 * there: clients ignore answers that come from elsewhere.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dns_loop.h"

#define BATCH         32 /* datagrams in one system call */
#define TURN_BATCHES  8  /* then the loop gets its turn */
#define OUT_BYTES     (2 * ((size_t)MU_DNS_TCP_MAX + 1))
#define RECEIVE_BYTES (1 << 20) /* asked of the kernel: a tenth of a second at full speed */

/* Where a query was sent to, as control data holds it, and as it is given back. */
union udp_control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct dns_udp_batch {
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_parts[BATCH], out_parts[BATCH];
    struct sockaddr_storage peers[BATCH];
    union udp_control controls[BATCH];
    size_t out_count, out_used;
    uint64_t read_ns;  /* when its queries were read */
    unsigned answered; /* of those */
    uint8_t queries[BATCH][MU_DNS_UDP_QUERY_MAX];
    uint8_t answers[OUT_BYTES];
};

struct dns_udp {
    uv_poll_t poll;
    struct dns_sockets *sockets;
    struct mu_addr address;
    bool is_any;
    int fd;
    struct mu_link laters;
};

/* Who gets an answer that comes later. */
struct udp_later {
    struct mu_link link;
    struct dns_udp *udp;
    struct dns_wait *wait;
    uint64_t read_ns;
    struct sockaddr_storage peer;
    socklen_t peer_bytes;
    size_t control_bytes;
    union udp_control control; /* last: it ends in an array of unknown length */
};

struct dns_udp_batch *dns_udp_batch_new(void)
{
    return mu_new(sizeof(struct dns_udp_batch));
}

void dns_udp_batch_free(struct dns_udp_batch *b)
{
    mu_free(b);
}

/* -- sending ----------------------------------------------------------------------------------- */

/* Send what is packed. What the kernel does not take is lost, as datagrams are; an error of one
 * (its client's port is closed) does not keep the others back. */
static void flush(struct dns_udp *u, struct dns_udp_batch *b)
{
    size_t at = 0;

    while (at < b->out_count) {
        int sent = sendmmsg(u->fd, b->out + at, (unsigned)(b->out_count - at), MSG_DONTWAIT);

        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) {
            break;
        }
        at += sent > 0 ? (size_t)sent : errno != EINTR ? 1 : 0;
    }
    b->out_count = 0;
    b->out_used = 0;
}

/* The answer was written behind what is packed already. */
static void pack(struct dns_udp_batch *b, const struct msghdr *query, size_t bytes)
{
    size_t i = b->out_count++;

    b->out_parts[i] = (struct iovec){ b->answers + b->out_used, bytes };
    b->out[i].msg_hdr = (struct msghdr){
        .msg_name = query->msg_name,
        .msg_namelen = query->msg_namelen,
        .msg_iov = &b->out_parts[i],
        .msg_iovlen = 1,
        .msg_control = query->msg_controllen > 0 ? query->msg_control : NULL,
        .msg_controllen = query->msg_controllen,
    };
    b->out_used += bytes;
    b->answered++;
}

/* -- where a query was sent to ----------------------------------------------------------------- */

/* Turn what was received into what is to be sent: the same address as the source, and the interface
 * only where addresses need one (IPv6 link-local). */
static bool control_turn(struct msghdr *m, struct mu_addr *to)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);

    if (c == NULL) {
        return false;
    }
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;

        memcpy(&info, CMSG_DATA(c), sizeof info);
        *to = (struct mu_addr){ .ip_bytes = 4 };
        memcpy(to->ip, &info.ipi_addr, 4);
        info.ipi_spec_dst = info.ipi_addr;
        info.ipi_ifindex = 0;
        memcpy(CMSG_DATA(c), &info, sizeof info);
        m->msg_controllen = CMSG_SPACE(sizeof info);
        return true;
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        struct sockaddr_in6 address = { .sin6_family = AF_INET6 };

        memcpy(&info, CMSG_DATA(c), sizeof info);
        address.sin6_addr = info.ipi6_addr;
        (void)mu_addr_from_sockaddr((const struct sockaddr *)&address, to);
        if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) {
            info.ipi6_ifindex = 0;
            memcpy(CMSG_DATA(c), &info, sizeof info);
        }
        m->msg_controllen = CMSG_SPACE(sizeof info);
        return true;
    }
    return false;
}

/* Nobody sends from port 0, and what seems to come from ourselves would make us talk to ourselves
 * (22.1). */
static bool is_forged(const struct dns_udp *u, const struct mu_addr *client,
                      const struct mu_addr *to)
{
    return client->port == 0 || (client->port == u->address.port && mu_addr_eq_ip(client, to));
}

/* -- receiving --------------------------------------------------------------------------------- */

static void on_later(void *data, struct mu_span answer)
{
    struct udp_later *l = data;
    struct iovec part = { .iov_len = answer.bytes };
    struct msghdr m = {
        .msg_name = &l->peer,
        .msg_namelen = l->peer_bytes,
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = l->control_bytes > 0 ? l->control.bytes : NULL,
        .msg_controllen = l->control_bytes,
    };

    memcpy(&part.iov_base, &answer.data, sizeof part.iov_base); /* sendmsg() only reads it */
    (void)sendmsg(l->udp->fd, &m, MSG_DONTWAIT);
    dns_took(dns_engine_counts(l->udp->sockets->engine), mu_clock_ns() - l->read_ns, 1);
    mu_list_remove(&l->link);
    mu_free(l);
}

static void remember(struct dns_udp *u, const struct msghdr *query, struct dns_wait *wait)
{
    struct udp_later *l = mu_new(sizeof *l);

    l->udp = u;
    l->wait = wait;
    l->read_ns = u->sockets->batch->read_ns;
    l->peer_bytes = query->msg_namelen;
    memcpy(&l->peer, query->msg_name, query->msg_namelen);
    l->control_bytes = query->msg_controllen;
    if (l->control_bytes > 0) {
        memcpy(&l->control, query->msg_control, l->control_bytes);
    }
    mu_list_push_back(&u->laters, &l->link);
    dns_wait_then(wait, on_later, l);
    dns_sockets_aim(u->sockets);
}

static void on_query(struct dns_udp *u, struct dns_udp_batch *b, struct mmsghdr *query)
{
    struct dns_counts *counts = dns_engine_counts(u->sockets->engine);
    struct msghdr *m = &query->msg_hdr;
    struct mu_addr to = u->address;
    struct agent_dns_request request = {
        .message = mu_span_of(m->msg_iov->iov_base, query->msg_len),
    };
    struct dns_wait *wait = NULL;
    size_t bytes = 0;

    if (!mu_addr_from_sockaddr(m->msg_name, &request.client) ||
        (u->is_any && !control_turn(m, &to)) || is_forged(u, &request.client, &to)) {
        counts->dropped++;
        return;
    }
    if ((m->msg_flags & MSG_TRUNC) != 0) {
        dns_engine_malformed(u->sockets->engine, DNS_FAULT_LENGTH, &request.client,
                             dns_sockets_now(u->sockets));
        counts->dropped++;
        return;
    }
    switch (dns_engine_ask(u->sockets->engine, &request, dns_sockets_now(u->sockets),
                           b->answers + b->out_used, &bytes, &wait)) {
    case DNS_DONE_NOTHING: break;
    case DNS_DONE_ANSWER: pack(b, m, bytes); break;
    case DNS_DONE_WAIT: remember(u, m, wait); break;
    }
}

static int receive(struct dns_udp *u, struct dns_udp_batch *b)
{
    for (size_t i = 0; i < BATCH; i++) {
        b->in_parts[i] = (struct iovec){ b->queries[i], sizeof b->queries[i] };
        b->in[i].msg_hdr = (struct msghdr){
            .msg_name = &b->peers[i],
            .msg_namelen = sizeof b->peers[i],
            .msg_iov = &b->in_parts[i],
            .msg_iovlen = 1,
            .msg_control = u->is_any ? b->controls[i].bytes : NULL,
            .msg_controllen = u->is_any ? sizeof b->controls[i] : 0,
        };
    }
    return recvmmsg(u->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct dns_udp *u = poll->data;
    struct dns_udp_batch *b = u->sockets->batch;

    (void)events;
    if (status < 0) {
        return; /* the next datagram wakes us again */
    }
    for (unsigned batches = 0; batches < TURN_BATCHES; batches++) {
        int count = receive(u, b);

        b->read_ns = count > 0 ? mu_clock_ns() : 0;
        b->answered = 0;
        for (int i = 0; i < count; i++) {
            if (OUT_BYTES - b->out_used < MU_DNS_TCP_MAX) {
                flush(u, b);
            }
            on_query(u, b, &b->in[i]);
        }
        flush(u, b);
        if (b->answered > 0) {
            dns_took(dns_engine_counts(u->sockets->engine), mu_clock_ns() - b->read_ns,
                     b->answered);
        }
        if (count < BATCH) {
            return;
        }
    }
}

/* -- opening and closing ----------------------------------------------------------------------- */

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static bool set_options(int fd, const struct mu_addr *address, bool only_v6)
{
    bool is_any = mu_addr_is_any(address);

    /* Fewer bytes than asked for are fine: the kernel has its own bound. */
    (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES);
    if (address->ip_bytes == 4) {
        return !is_any || set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    return set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, only_v6 ? 1 : 0) &&
           (!is_any || set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
}

static bool bind_to(int fd, struct mu_addr *address)
{
    struct sockaddr_storage sa;
    socklen_t bytes =
        address->ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    struct mu_addr bound;

    mu_addr_to_sockaddr(address, &sa);
    if (bind(fd, (const struct sockaddr *)&sa, bytes) != 0) {
        return false;
    }
    bytes = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &bytes) != 0 ||
        !mu_addr_from_sockaddr((const struct sockaddr *)&sa, &bound)) {
        return false;
    }
    address->port = bound.port;
    return true;
}

enum mu_code dns_udp_open(struct dns_udp **out, struct dns_sockets *s, struct mu_addr *address,
                          bool only_v6, struct mu_err *err)
{
    int family = address->ip_bytes == 4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || !set_options(fd, address, only_v6) || !bind_to(fd, address)) {
        int error = errno;

        if (fd >= 0) {
            (void)close(fd);
        }
        return dns_listen_failed("udp", address, error, err);
    }
    struct dns_udp *u = mu_new(sizeof *u);
    int rc = uv_poll_init(s->loop, &u->poll, fd);

    MU_ASSERT(rc == 0); /* only a descriptor that cannot be watched fails, and a socket can */
    u->poll.data = u;
    u->sockets = s;
    u->address = *address;
    u->is_any = mu_addr_is_any(address);
    u->fd = fd;
    mu_list_init(&u->laters);
    s->handles++;
    rc = uv_poll_start(&u->poll, UV_READABLE, on_readable);
    MU_ASSERT(rc == 0);
    *out = u;
    return MU_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct dns_udp *u = handle->data;
    struct dns_sockets *s = u->sockets;

    (void)close(u->fd);
    mu_free(u);
    dns_sockets_closed(s);
}

void dns_udp_close(struct dns_udp *u)
{
    struct mu_link *link;

    if (u == NULL) {
        return;
    }
    while ((link = mu_list_pop_front(&u->laters)) != NULL) {
        struct udp_later *l = MU_CONTAINER(link, struct udp_later, link);

        dns_engine_cancel(u->sockets->engine, l->wait);
        mu_free(l);
    }
    uv_close((uv_handle_t *)&u->poll, on_closed);
}
