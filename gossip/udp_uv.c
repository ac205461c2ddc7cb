/* udp_uv.c - the datagram socket: batches in and out, and what hosts answered.
 *
 * A raw socket watched by the loop, since libuv's own reads one datagram a call and hides the error
 * queue. That queue (IP_RECVERR) is how the kernel tells that a datagram met nobody: proof of a
 * dead process half a second before a timeout is. The price: an error that waits there makes the
 * next send fail, whatever its address, so a failed send is tried once more.
 *
 * The kernel notes when a datagram came, so that a busy loop does not look like a long way, and how
 * many it had no room for: those look like loss on the way, and are not.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* needs struct timespec first */

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "driver_parts.h"

#define BATCHES_MAX    16 /* in one turn: then the loop goes round once */
#define ERRORS_MAX     256
#define RECEIVE_BUFFER (2 * 1024 * 1024) /* asked for; halved until the kernel agrees */
#define RECEIVE_MIN    (64 * 1024)
#define SAY_NS         (60 * MU_NS_PER_S) /* between two warnings */
#define WAIT_NS_MAX    (10 * MU_NS_PER_S) /* no datagram waits longer to be read */

enum mu_code gossip__udp_open(struct gossip_driver *d, const struct mu_addr *at, struct mu_err *err)
{
    bool is_v4 = at->ip_bytes == 4;
    struct sockaddr_storage sa;
    char text[MU_ADDR_TEXT_MAX];
    int on = 1;

    mu_addr_to_sockaddr(at, &sa);
    mu_addr_text(at, text);
    d->udp = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->udp < 0 || bind(d->udp, (const struct sockaddr *)&sa,
                           is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) != 0) {
        int saved = errno;

        if (d->udp >= 0) {
            (void)close(d->udp);
            d->udp = -1;
        }
        return mu_fail(err, MU_IO, "listen udp %s: %s", text,
                       uv_strerror(uv_translate_sys_error(saved)));
    }
    for (int bytes = RECEIVE_BUFFER; bytes >= RECEIVE_MIN; bytes /= 2) {
        if (setsockopt(d->udp, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0) {
            break;
        }
    }
    (void)setsockopt(d->udp, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_RECVERR : IPV6_RECVERR,
                     &on, sizeof on);
    (void)setsockopt(d->udp, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    (void)setsockopt(d->udp, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    return MU_OK;
}

/* -- out ----------------------------------------------------------------------------------------
 */

static void unsent_add(struct gossip_driver *d, const struct mu_addr *to)
{
    if (d->unsent_count < GOSSIP__UNSENT_MAX) {
        d->unsent[d->unsent_count++] = *to;
        gossip__soon(d);
    }
}

static void send_batch(struct gossip_driver *d, const struct gossip_send *sends, unsigned count)
{
    struct sockaddr_storage to[GOSSIP__BATCH];
    struct mmsghdr messages[GOSSIP__BATCH];
    struct iovec parts[GOSSIP__BATCH];
    bool was_tried = false;

    for (size_t i = 0; i < count; i++) {
        mu_addr_to_sockaddr(&sends[i].to, &to[i]);
        parts[i].iov_base = (void *)(uintptr_t)sends[i].data.data;
        parts[i].iov_len = sends[i].data.bytes;
        messages[i] = (struct mmsghdr){ .msg_len = 0 };
        messages[i].msg_hdr.msg_name = &to[i];
        messages[i].msg_hdr.msg_namelen =
            sends[i].to.ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (unsigned sent = 0; sent < count;) {
        int put = sendmmsg(d->udp, messages + sent, count - sent, MSG_DONTWAIT);

        if (put > 0) {
            sent += (unsigned)put;
            was_tried = false;
        } else if (!was_tried) {
            was_tried = true; /* the error may have been an older datagram's: now it is taken */
        } else {
            unsent_add(d, &sends[sent++].to);
            was_tried = false;
        }
    }
}

void gossip__udp_send(struct gossip_driver *d, const struct gossip_send *sends, size_t count)
{
    for (size_t at = 0; at < count; at += GOSSIP__BATCH) {
        size_t left = count - at;

        send_batch(d, sends + at, (unsigned)(left < GOSSIP__BATCH ? left : GOSSIP__BATCH));
    }
}

void gossip__udp_failed(struct gossip_driver *d)
{
    size_t count = d->unsent_count;
    struct mu_addr unsent[GOSSIP__UNSENT_MAX];

    memcpy(unsent, d->unsent, sizeof unsent);
    d->unsent_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct gossip_event ev = { .kind = GOSSIP_EV_SEND_FAILED };

        ev.failed.to = unsent[i];
        gossip__feed(d, &ev);
    }
}

/* -- in -----------------------------------------------------------------------------------------
 */

/* Did the other side say so? Our own kernel complains about routes and buffers. */
static bool is_remote(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        struct sock_extended_err error;
        bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);

        if (is_error && c->cmsg_len >= CMSG_LEN(sizeof error)) {
            memcpy(&error, CMSG_DATA(c), sizeof error);
            return error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
        }
    }
    return false;
}

static void drain_errors(struct gossip_driver *d)
{
    for (unsigned i = 0; i < ERRORS_MAX; i++) {
        struct gossip_event ev = { .kind = GOSSIP_EV_SEND_FAILED };
        struct sockaddr_storage to;
        union {
            struct cmsghdr align;
            uint8_t room[512];
        } control;
        struct msghdr m = { .msg_name = &to,
                            .msg_namelen = sizeof to,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };

        if (recvmsg(d->udp, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            return;
        }
        if (mu_addr_from_sockaddr((const struct sockaddr *)&to, &ev.failed.to)) {
            ev.failed.is_remote = is_remote(&m);
            gossip__feed(d, &ev);
        }
    }
}

struct received {
    struct sockaddr_storage from;
    size_t bytes;
    uint64_t at_ns; /* 0: not known */
};

/* The kernel's stamp is wall time; what counts is how long ago that was. A wall clock that was set
 * meanwhile shows as a stamp that cannot be. */
static uint64_t arrival(struct msghdr *m, uint64_t now_ns, int64_t wall_ns)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        struct timespec stamp;

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS &&
            c->cmsg_len >= CMSG_LEN(sizeof stamp)) {
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            int64_t ago = wall_ns - ((int64_t)stamp.tv_sec * MU_NS_PER_S + stamp.tv_nsec);

            return ago >= 0 && ago < WAIT_NS_MAX ? now_ns - (uint64_t)ago : 0;
        }
    }
    return 0;
}

/* How many the kernel had dropped when this one came; it counts from the socket's beginning. */
static void note_drops(struct gossip_driver *d, struct msghdr *m, uint64_t now_ns)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        uint32_t total;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL ||
            c->cmsg_len < CMSG_LEN(sizeof total)) {
            continue;
        }
        memcpy(&total, CMSG_DATA(c), sizeof total);
        uint32_t more = total - d->kernel_seen; /* it may run over */

        d->kernel_seen = total;
        d->kernel_drops += more;
        d->kernel_dropped_ns = more > 0 ? mu_clock_ns() : d->kernel_dropped_ns;
        if (more > 0 && (d->kernel_said_ns == 0 || now_ns - d->kernel_said_ns > SAY_NS)) {
            d->kernel_said_ns = now_ns;
            mu_log(MU_WARN, d->module, "The kernel dropped datagrams, this node is too busy",
                   mu_kv_u("dropped", d->kernel_drops));
        }
    }
}

static int receive_batch(struct gossip_driver *d, struct received *received)
{
    struct mmsghdr messages[GOSSIP__BATCH];
    struct iovec parts[GOSSIP__BATCH];
    union {
        struct cmsghdr align;
        uint8_t room[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(uint32_t))];
    } controls[GOSSIP__BATCH];

    for (size_t i = 0; i < GOSSIP__BATCH; i++) {
        parts[i].iov_base = d->packets[i];
        parts[i].iov_len = sizeof d->packets[i];
        messages[i] = (struct mmsghdr){ .msg_len = 0 };
        messages[i].msg_hdr.msg_name = &received[i].from;
        messages[i].msg_hdr.msg_namelen = sizeof received[i].from;
        messages[i].msg_hdr.msg_control = &controls[i];
        messages[i].msg_hdr.msg_controllen = sizeof controls[i];
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int got = recvmmsg(d->udp, messages, GOSSIP__BATCH, MSG_DONTWAIT, NULL);
    uint64_t now_ns = got > 0 ? mu_clock_ns() : 0;
    int64_t wall_ns = got > 0 ? mu_clock_wall_ns() : 0;

    for (int i = 0; i < got; i++) {
        received[i].bytes = messages[i].msg_len;
        received[i].at_ns = arrival(&messages[i].msg_hdr, now_ns, wall_ns);
        note_drops(d, &messages[i].msg_hdr, now_ns);
    }
    return got;
}

void gossip__udp_drain(struct gossip_driver *d)
{
    struct received received[GOSSIP__BATCH];

    drain_errors(d);
    for (unsigned batch = 0; batch < BATCHES_MAX && !d->is_stopping; batch++) {
        int got = receive_batch(d, received);

        for (int i = 0; i < got; i++) {
            struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

            ev.packet.data = mu_span_of(d->packets[i], received[i].bytes);
            ev.packet.at_ns = received[i].at_ns;
            if (mu_addr_from_sockaddr((const struct sockaddr *)&received[i].from,
                                      &ev.packet.from)) {
                gossip__feed(d, &ev);
            }
        }
        if (got < GOSSIP__BATCH) {
            return;
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct gossip_driver *d = poll->data;

    (void)events;
    gossip__udp_drain(d);
    if (status < 0 && !d->is_stopping) { /* the loop stops watching when an error waits */
        MU_ASSERT(uv_poll_start(poll, UV_READABLE, on_readable) == 0);
    }
}

void gossip__udp_start(struct gossip_driver *d)
{
    MU_ASSERT(uv_poll_init(d->loop, &d->poll, d->udp) == 0);
    d->poll.data = d;
    gossip__handle_opened(d);
    MU_ASSERT(uv_poll_start(&d->poll, UV_READABLE, on_readable) == 0);
}
