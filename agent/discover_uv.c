/* discover_uv.c - multicast DNS: sockets, interfaces, and what is found becomes a join.
 *
 * One socket a family, on port 5353 beside other responders (SO_REUSEADDR), in the group of each
 * interface that is up and can do multicast; of the one interface that holds `bind_addr` where
 * that is no wildcard, or that `mdns.interface` names. Agents on loopback find those of their
 * machine: Linux carries groups there, though the interface does not say so. Interfaces are looked
 * at again before each question: they come late on some machines. Whatever fails on one interface
 * leaves the others.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "discover.h"
#include "mdns.h"

#define LINKS_MAX    32 /* addresses of interfaces; more are not looked at */
#define MESSAGES_MAX 64 /* read in one turn */
#define HOPS         255
#define MODULE       "agent.mdns"

struct mdns_socket {
    int fd; /* -1: this family is not served */
    uv_poll_t poll;
};

struct discover {
    struct agent *agent;
    struct mdns mdns;
    struct mdns_self self;
    char host[256];
    struct mdns_socket v4, v6;
    struct mdns_link links[LINKS_MAX];
    size_t links_count;
    struct timer timer;
    bool is_joining, is_closed;
    unsigned handles; /* open, and a join that runs */
    agent_stopped_fn *closed;
    void *closed_data;
    uint8_t message[MDNS_MESSAGE_MAX];
};

static const struct mu_addr group_v4 = { .ip = { 224, 0, 0, 251 },
                                         .ip_bytes = 4,
                                         .port = MDNS_PORT };
static const struct mu_addr group_v6 = { .ip = { 0xff, 2, [15] = 0xfb },
                                         .ip_bytes = 16,
                                         .port = MDNS_PORT };

static void let_go(struct discover *d)
{
    MU_ASSERT(d->handles > 0);
    if (--d->handles == 0 && d->is_closed) {
        d->closed(d->closed_data);
        mu_free(d);
    }
}

/* -- interfaces ---------------------------------------------------------------------------------
 */

static unsigned prefix_of(const struct mu_addr *mask)
{
    unsigned bits = 0;

    while (bits < mask->ip_bytes * 8U && (mask->ip[bits / 8] & (0x80U >> bits % 8)) != 0) {
        bits++;
    }
    return bits;
}

static bool is_wanted(const struct agent *a, const struct ifaddrs *i, const struct mu_addr *addr)
{
    const struct config *c = a->config;
    const struct mu_addr *bind = &c->bind_addr;
    bool is_loopback = (i->ifa_flags & IFF_LOOPBACK) != 0;

    if ((i->ifa_flags & IFF_UP) == 0 ||
        (addr->ip_bytes == 4 ? c->mdns.disable_ipv4 : c->mdns.disable_ipv6)) {
        return false;
    }
    if (c->mdns.interface != NULL) {
        return strcmp(c->mdns.interface, i->ifa_name) == 0;
    }
    if (is_loopback && mu_addr_is_loopback(bind)) {
        /* It holds all of 127.0.0.0/8, and lists one. To groups of IPv6 Linux has no route there:
         * agents on ::1 ask by IPv4, too. */
        return addr->ip_bytes == 4 || bind->ip_bytes == 16;
    }
    if (!mu_addr_is_any(bind)) {
        return mu_addr_eq_ip(bind, addr);
    }
    return !is_loopback && (i->ifa_flags & IFF_MULTICAST) != 0;
}

static void group_join(struct discover *d, const struct mdns_link *l)
{
    if (l->addr.ip_bytes == 4 && d->v4.fd >= 0) {
        struct ip_mreqn m = { .imr_ifindex = (int)l->interface };

        memcpy(&m.imr_multiaddr, group_v4.ip, 4);
        (void)setsockopt(d->v4.fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m); /* or it is in */
    } else if (l->addr.ip_bytes == 16 && d->v6.fd >= 0) {
        struct ipv6_mreq m = { .ipv6mr_interface = l->interface };

        memcpy(&m.ipv6mr_multiaddr, group_v6.ip, 16);
        (void)setsockopt(d->v6.fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m);
    }
}

static void links_look(struct discover *d)
{
    struct ifaddrs *all = NULL;

    d->links_count = 0;
    if (getifaddrs(&all) != 0) {
        mu_log(MU_WARN, MODULE, "Cannot list interfaces", mu_kv("error", strerror(errno)));
        return;
    }
    for (const struct ifaddrs *i = all; i != NULL && d->links_count < LINKS_MAX; i = i->ifa_next) {
        struct mdns_link *l = &d->links[d->links_count];
        struct mu_addr mask;

        if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
            !mu_addr_from_sockaddr(i->ifa_addr, &l->addr) ||
            !mu_addr_from_sockaddr(i->ifa_netmask, &mask) || !is_wanted(d->agent, i, &l->addr)) {
            continue;
        }
        l->prefix = prefix_of(&mask);
        l->interface = if_nametoindex(i->ifa_name);
        if (l->interface != 0) {
            group_join(d, l);
            d->links_count++;
        }
    }
    freeifaddrs(all);
}

/* -- sockets ------------------------------------------------------------------------------------
 */

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static enum mu_code socket_open(struct mdns_socket *s, const struct mu_addr *group,
                                struct mu_err *err)
{
    bool is_v4 = group->ip_bytes == 4;
    struct mu_addr any = { .ip_bytes = group->ip_bytes, .port = MDNS_PORT };
    struct sockaddr_storage at;
    int fd;

    mu_addr_to_sockaddr(&any, &at);
    fd = socket(at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_set = fd >= 0 && set(fd, SOL_SOCKET, SO_REUSEADDR, 1);

    if (is_v4) {
        is_set = is_set && set(fd, IPPROTO_IP, IP_MULTICAST_TTL, HOPS) &&
                 set(fd, IPPROTO_IP, IP_TTL, HOPS) && set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) &&
                 set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        is_set = is_set && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
                 set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS) &&
                 set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOPS) &&
                 set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    if (!is_set || bind(fd, (const struct sockaddr *)&at,
                        is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) != 0) {
        int saved = errno;

        if (fd >= 0) {
            (void)close(fd);
        }
        return mu_fail(err, MU_IO, "listen udp %s port %d: %s", is_v4 ? "IPv4" : "IPv6", MDNS_PORT,
                       strerror(saved));
    }
    s->fd = fd;
    return MU_OK;
}

/* `interface` 0: the routing table says. From `own` of IPv4, where it is given. */
static void send_to(struct discover *d, const struct mu_addr *to, unsigned interface,
                    const struct mu_addr *own, const struct mu_buf *message)
{
    bool is_v4 = to->ip_bytes == 4;
    int fd = is_v4 ? d->v4.fd : d->v6.fd;
    struct sockaddr_storage at;
    struct iovec part = { message->data, message->bytes };
    union {
        struct cmsghdr align;
        uint8_t room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control = { .room = { 0 } };
    struct in_pktinfo info = { .ipi_ifindex = (int)interface };

    if (own != NULL && own->ip_bytes == 4) {
        memcpy(&info.ipi_spec_dst, own->ip, 4);
    }
    mu_addr_to_sockaddr(to, &at);
    struct msghdr m = { .msg_name = &at,
                        .msg_namelen =
                            is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
                        .msg_iov = &part,
                        .msg_iovlen = 1 };

    if (is_v4 && interface != 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    } else if (!is_v4) {
        ((struct sockaddr_in6 *)&at)->sin6_scope_id = interface;
    }
    if (fd >= 0) {
        (void)sendmsg(fd, &m, MSG_DONTWAIT); /* lost, as any datagram may be */
    }
}

/* To the group, once on each interface of that family. */
static void send_to_all(struct discover *d, const struct mu_addr *group,
                        const struct mu_buf *message)
{
    for (size_t i = 0; i < d->links_count; i++) {
        const struct mdns_link *l = &d->links[i];
        bool is_known = l->addr.ip_bytes != group->ip_bytes;

        for (size_t k = 0; k < i; k++) {
            is_known = is_known || (d->links[k].interface == l->interface &&
                                    d->links[k].addr.ip_bytes == group->ip_bytes);
        }
        if (!is_known) { /* from loopback the kernel would take the address of another interface */
            send_to(d, group, l->interface, mu_addr_is_loopback(&l->addr) ? &l->addr : NULL,
                    message);
        }
    }
}

/* -- what comes in ------------------------------------------------------------------------------
 */

static void aim(struct discover *d);

struct known {
    const struct mu_addr *at;
    bool is_known;
};

static void compare_member(void *data, const struct gossip_view *m)
{
    struct known *k = data;
    bool is_here = m->status == GOSSIP_STATUS_ALIVE || m->status == GOSSIP_STATUS_LEAVING;

    k->is_known = k->is_known || (is_here && mu_addr_eq(&m->addr, k->at));
}

static bool is_member(const struct agent *a, const struct mu_addr *at)
{
    struct known k = { .at = at };

    gossip_driver_each(a->gossip, compare_member, &k);
    return k.is_known;
}

static void on_question(struct discover *d, const struct mdns_asked *asked,
                        const struct mu_addr *from, unsigned interface)
{
    bool is_legacy = from->port != MDNS_PORT;
    bool is_shared = mu_addr_is_loopback(from); /* the address and the port are everybody's here */
    struct mu_buf answer = MU_BUF_NONE;

    if (!mdns_is_on_link(d->links, d->links_count, from)) {
        return; /* or anybody could have us write to anybody */
    }
    mdns_answer(&d->self, is_legacy ? asked : NULL, &answer);
    if (is_legacy || (!is_shared && (asked->wants_unicast ||
                                     !mdns_may_answer(&d->mdns, timers_now(d->agent->timers))))) {
        send_to(d, from, from->ip_bytes == 16 ? interface : 0, NULL, &answer);
    } else {
        send_to_all(d, from->ip_bytes == 4 ? &group_v4 : &group_v6, &answer);
    }
    mu_buf_deinit(&answer);
}

/* On loopback agents of both families hear each other, and one cannot send to the other. */
static bool is_of_use(const struct discover *d, const struct mu_addr *found)
{
    return !mu_addr_is_loopback(found) || found->ip_bytes == d->self.at.ip_bytes;
}

static void on_answer(struct discover *d, struct mu_span message, const struct mu_addr *from)
{
    struct mu_addr found[MDNS_FOUND_MAX];
    size_t count = 0;

    if (from->port == MDNS_PORT && mdns_is_on_link(d->links, d->links_count, from)) {
        count = mdns_found(message, d->self.cluster, found, MDNS_FOUND_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (is_of_use(d, &found[i]) && !is_member(d->agent, &found[i])) { /* as we are ourselves */
            mdns_hear(&d->mdns, &found[i], timers_now(d->agent->timers));
        }
    }
    aim(d);
}

static unsigned interface_of(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            return (unsigned)info.ipi_ifindex;
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            return info.ipi6_ifindex;
        }
    }
    return 0;
}

/* False: nothing is there any more. */
static bool receive(struct discover *d, int fd)
{
    struct sockaddr_storage from;
    struct iovec part = { d->message, sizeof d->message };
    union {
        struct cmsghdr align;
        uint8_t room[256];
    } control;
    struct msghdr m = { .msg_name = &from,
                        .msg_namelen = sizeof from,
                        .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control };
    ssize_t bytes = recvmsg(fd, &m, MSG_DONTWAIT);
    struct mdns_asked asked;
    struct mu_addr addr;

    if (bytes < 0) {
        return errno == EINTR;
    }
    struct mu_span message = mu_span_of(d->message, (size_t)bytes);

    if (!mu_addr_from_sockaddr((const struct sockaddr *)&from, &addr)) {
        return true;
    }
    if (mdns_is_asked(message, d->self.cluster, &asked)) {
        on_question(d, &asked, &addr, interface_of(&m));
    } else {
        on_answer(d, message, &addr);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct discover *d = poll->data;
    int fd = poll == &d->v4.poll ? d->v4.fd : d->v6.fd;

    (void)events;
    for (unsigned i = 0; i < MESSAGES_MAX && receive(d, fd); i++) {
    }
    if (status < 0) { /* the loop stops watching when an error waits */
        MU_ASSERT(uv_poll_start(poll, UV_READABLE, on_readable) == 0);
    }
}

/* -- what is due --------------------------------------------------------------------------------
 */

static void on_joined(void *data, unsigned contacted, const char *why)
{
    struct discover *d = data;

    d->is_joining = false;
    if (contacted > 0) {
        mu_logf(MU_INFO, MODULE, "Joined %u hosts", contacted);
    } else if (!d->is_closed) {
        mu_logf(MU_ERROR, MODULE, "Failed to join: %s", why);
    }
    let_go(d);
}

static void join(struct discover *d)
{
    struct mu_addr found[MDNS_FOUND_MAX];
    char texts[MDNS_FOUND_MAX][MU_ADDR_TEXT_MAX];
    const char *addresses[MDNS_FOUND_MAX];
    size_t count = mdns_take(&d->mdns, found);

    if (d->is_joining || count == 0) { /* who is found again later is not lost */
        return;
    }
    for (size_t i = 0; i < count; i++) {
        mu_addr_text(&found[i], texts[i]);
        addresses[i] = texts[i];
    }
    d->is_joining = true;
    d->handles++;
    gossip_driver_join(d->agent->gossip, addresses, count, false, on_joined, d);
}

static void ask(struct discover *d)
{
    struct mu_buf question = MU_BUF_NONE;

    links_look(d);
    mdns_question(d->self.cluster, &question);
    send_to_all(d, &group_v4, &question);
    send_to_all(d, &group_v6, &question);
    mu_buf_deinit(&question);
}

static void run(void *data)
{
    struct discover *d = data;
    struct agent *a = d->agent;
    uint64_t now_ms = timers_now(a->timers);

    for (;;) {
        bool is_alone = gossip_driver_stats(a->gossip).alive <= 1;

        if (a->phase >= AGENT_LEAVING) {
            return;
        }
        switch (mdns_due(&d->mdns, now_ms, is_alone)) {
        case MDNS_NOTHING: aim(d); return;
        case MDNS_ASK: ask(d); break;
        case MDNS_JOIN: join(d); break;
        }
    }
}

static void aim(struct discover *d)
{
    uint64_t now_ms = timers_now(d->agent->timers);
    uint64_t wake_ms = mdns_wake_ms(&d->mdns);

    timer_set(d->agent->timers, &d->timer, wake_ms > now_ms ? wake_ms - now_ms : 0, run, d);
}

/* -- life ---------------------------------------------------------------------------------------
 */

static void socket_start(struct discover *d, struct mdns_socket *s)
{
    if (s->fd >= 0) {
        MU_ASSERT(uv_poll_init(d->agent->loop, &s->poll, s->fd) == 0);
        s->poll.data = d;
        d->handles++;
        MU_ASSERT(uv_poll_start(&s->poll, UV_READABLE, on_readable) == 0);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct discover *d = handle->data;
    struct mdns_socket *s = (uv_poll_t *)handle == &d->v4.poll ? &d->v4 : &d->v6;

    (void)close(s->fd);
    s->fd = -1;
    let_go(d);
}

/* IPv6 that a machine does not have is not missed while there is IPv4, and the other way round. */
static enum mu_code sockets_open(struct discover *d, struct mu_err *err)
{
    const struct config *c = d->agent->config;
    bool wants_v4 = !c->mdns.disable_ipv4;
    bool wants_v6 = !c->mdns.disable_ipv6;
    enum mu_code v4 = wants_v4 ? socket_open(&d->v4, &group_v4, err) : MU_OK;
    struct mu_err why = MU_ERR_NONE;
    enum mu_code v6 = wants_v6 ? socket_open(&d->v6, &group_v6, &why) : MU_OK;

    if (d->v4.fd >= 0 || d->v6.fd >= 0) {
        return MU_OK;
    }
    if (v4 != MU_OK) {
        return v4;
    }
    return v6 != MU_OK ? mu_fail(err, v6, "%s", why.text)
                       : mu_fail(err, MU_INVALID, "both IPv4 and IPv6 are turned off");
}

static void host_set(struct discover *d)
{
    if (gethostname(d->host, sizeof d->host - 1) != 0 || d->host[0] == '\0') {
        (void)snprintf(d->host, sizeof d->host, "%.60s", d->agent->config->node_name);
    }
}

static void warn_of_no_link(const struct config *c)
{
    char bind[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(&c->bind_addr, bind);
    mu_log(
        MU_WARN, MODULE,
        "No interface to find others on yet: it must be up, and be the one that is named or hold "
        "the address that is bound",
        mu_kv("cluster", c->discover), mu_kv("bind_addr", bind),
        mu_kv("interface", c->mdns.interface != NULL ? c->mdns.interface : "any"));
}

enum mu_code agent__discover_open(struct agent *a, struct mu_err *err)
{
    const struct config *c = a->config;
    struct discover *d;
    enum mu_code rc;

    if (c->discover == NULL) {
        return MU_OK;
    }
    d = mu_new(sizeof *d);
    d->agent = a;
    d->v4.fd = d->v6.fd = -1;
    host_set(d);
    d->self = (struct mdns_self){
        .cluster = c->discover, .node = c->node_name, .host = d->host, .at = a->advertise
    };
    rc = sockets_open(d, err);
    if (rc != MU_OK) {
        mu_free(d);
        return mu_wrap(err, rc, "mDNS discovery");
    }
    links_look(d);
    if (d->links_count == 0) {
        warn_of_no_link(c);
    }
    socket_start(d, &d->v4);
    socket_start(d, &d->v6);
    mdns_init(&d->mdns, timers_now(a->timers), &a->rand);
    a->discover = d;
    aim(d);
    return MU_OK;
}

bool agent__discover_is_open(const struct agent *a)
{
    return a->discover != NULL;
}

void agent__discover_close(struct agent *a, agent_stopped_fn *closed, void *data)
{
    struct discover *d = a->discover;

    a->discover = NULL;
    timer_cancel(&d->timer);
    d->is_closed = true;
    d->closed = closed;
    d->closed_data = data;
    if (d->v4.fd >= 0) {
        uv_close((uv_handle_t *)&d->v4.poll, on_closed);
    }
    if (d->v6.fd >= 0) {
        uv_close((uv_handle_t *)&d->v6.poll, on_closed);
    }
}
