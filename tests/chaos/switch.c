/* switch.c - the wires between network namespaces, each direction of each with faults of its own.
 *
 *   switch <name>=<namespace>=<IPv4> ...
 *
 * Every port is a TUN device `wire` in its namespace (made here, gone with this process; addresses
 * and routes are the caller's). A packet that comes out of one is written into that of its
 * destination, after what the wire between them does to it. Kernels often come without netem; this
 * needs only /dev/net/tun.
 *
 * Commands on standard input, one a line, answered with "ok" once they are in effect, or with
 * "error: ..."; "ready" comes first. At the end of input the switch ends.
 *
 *   wire <from> <to> [cut] [noudp] [notcp] [loss=<percent>] [copy=<percent>] [delay=<ms>]
 *        [jitter=<ms>] [rate=<kB/s>] [mtu=<bytes>] [nofrag] [refuse]
 *
 * replaces what this direction had; "*" is every port. Jitter reorders. With a rate, what would
 * wait longer than QUEUE_MS is lost, as in a router. Packets larger than the MTU are lost without
 * a word, with nofrag all fragments are. With refuse the sender is told, by ICMP, of what is cut
 * off or not let through. An IPv6 address belongs to the port whose IPv4 address it ends with.
 *
 * Random choices come from the seed in CHAOS_SEED.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/span.h"

#define US(ns)       ((ns) / 1000)
#define PORTS_MAX    16
#define V4_HEAD      20
#define V6_HEAD      40
#define PACKET_BYTES 65536
#define QUEUE_MS     200
#define BURST_MAX    64 /* packets of one port in one turn */
#define WAITING_MAX  100000
#define LINE_BYTES   4096

struct wire {
    bool is_cut, drops_udp, drops_tcp, drops_fragments;
    bool refuses;        /* what is not passed, with a word: else without */
    uint64_t loss, copy; /* percent */
    uint64_t delay_ms, jitter_ms;
    uint64_t mtu;        /* 0: no bound */
    uint64_t rate;       /* bytes a ms; 0: no bound */
    uint64_t free_at_us; /* when what was sent before has left */
};

struct port {
    char *name;
    uint8_t ip[4];
    int fd;
};

struct packet {
    struct mu_heap_node due; /* us */
    int fd;
    size_t bytes;
    uint8_t data[];
};

struct fabric {
    struct port ports[PORTS_MAX];
    size_t count;
    struct wire wires[PORTS_MAX][PORTS_MAX];
    struct mu_heap waiting;
    struct mu_rand rand;
};

static void die(const char *what, const char *which)
{
    (void)fprintf(stderr, "switch: %s %s: %s\n", what, which, strerror(errno));
    exit(1);
}

/* -- packets ---------------------------------------------------------------------------------- */

/* A full or missing reader loses the packet, as a wire would. */
static void packet_write(int fd, const uint8_t *data, size_t bytes)
{
    ssize_t put = write(fd, data, bytes);

    (void)put;
}

static bool happens(struct fabric *f, uint64_t percent)
{
    return percent > 0 && mu_rand_below(&f->rand, 100) < percent;
}

static void packet_pass(struct fabric *f, struct wire *w, int fd, const uint8_t *data, size_t bytes,
                        uint64_t now_us)
{
    uint64_t due_us = now_us + w->delay_ms * 1000;
    struct packet *p;

    if (w->jitter_ms > 0) {
        due_us += mu_rand_below(&f->rand, w->jitter_ms * 1000);
    }
    if (w->rate > 0) {
        w->free_at_us = (w->free_at_us > now_us ? w->free_at_us : now_us) + bytes * 1000 / w->rate;
        due_us += w->free_at_us - now_us;
        if (w->free_at_us - now_us > QUEUE_MS * 1000) {
            w->free_at_us -= bytes * 1000 / w->rate;
            return;
        }
    }
    if (due_us == now_us) {
        packet_write(fd, data, bytes);
        return;
    }
    if (f->waiting.count >= WAITING_MAX) {
        return;
    }
    p = mu_new(sizeof *p + bytes);
    p->fd = fd;
    p->bytes = bytes;
    memcpy(p->data, data, bytes);
    mu_heap_put(&f->waiting, &p->due, due_us);
}

struct look { /* what matters of a packet, of either family */
    bool is_v6, is_fragment;
    uint8_t protocol;
    const uint8_t *to; /* an IPv4 address, or the end of an IPv6 one */
};

static bool packet_look(const uint8_t *data, size_t bytes, struct look *out)
{
    bool is_v4 = bytes >= V4_HEAD && data[0] >> 4 == 4;

    *out = (struct look){ .is_v6 = bytes >= V6_HEAD && data[0] >> 4 == 6 };
    if (is_v4) {
        out->is_fragment = (data[6] & 0x3f) != 0 || data[7] != 0; /* more follow, or an offset */
        out->protocol = data[9];
        out->to = data + 16;
    } else if (out->is_v6) {
        out->is_fragment = data[6] == IPPROTO_FRAGMENT && bytes > V6_HEAD;
        out->protocol = out->is_fragment ? data[V6_HEAD] : data[6];
        out->to = data + V6_HEAD - 4;
    }
    return is_v4 || out->is_v6;
}

static bool is_blocked(const struct wire *w, const struct look *l, size_t bytes)
{
    return w->is_cut || (w->drops_udp && l->protocol == IPPROTO_UDP) ||
           (w->drops_tcp && l->protocol == IPPROTO_TCP) || (w->drops_fragments && l->is_fragment) ||
           (w->mtu > 0 && bytes > w->mtu);
}

static uint32_t sum16(const uint8_t *data, size_t bytes)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes; i++) {
        sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
    }
    return sum;
}

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put_sum(uint8_t *to, uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    put16(to, ~((sum & 0xffff) + (sum >> 16)));
}

/* As a firewall that rejects: port unreachable, from where it was meant to go. */
static void packet_refuse(int fd, const uint8_t *data, size_t bytes, bool is_v6)
{
    size_t head = is_v6 ? V6_HEAD : V4_HEAD;
    size_t quoted = bytes < head + 8 ? bytes : head + 8; /* with the ports */
    size_t icmp = 8 + quoted;
    uint8_t out[2 * V6_HEAD + 16] = { is_v6 ? 0x60 : 0x45 };
    uint32_t pseudo = 0;

    if (is_v6) {
        put16(out + 4, (uint32_t)icmp);
        out[6] = IPPROTO_ICMPV6;
        out[7] = 64;
        memcpy(out + 8, data + 24, 16);
        memcpy(out + 24, data + 8, 16);
        pseudo = sum16(out + 8, 32) + (uint32_t)icmp + IPPROTO_ICMPV6;
    } else {
        put16(out + 2, (uint32_t)(head + icmp));
        out[8] = 64;
        out[9] = IPPROTO_ICMP;
        memcpy(out + 12, data + 16, 4);
        memcpy(out + 16, data + 12, 4);
        put_sum(out + 10, sum16(out, V4_HEAD));
    }
    out[head] = is_v6 ? 1 : 3;     /* unreachable */
    out[head + 1] = is_v6 ? 4 : 3; /* the port */
    memcpy(out + head + 8, data, quoted);
    put_sum(out + head + 2, pseudo + sum16(out + head, icmp));
    packet_write(fd, out, head + icmp);
}

static void packet_route(struct fabric *f, size_t from, const uint8_t *data, size_t bytes,
                         uint64_t now_us)
{
    struct look l;

    if (!packet_look(data, bytes, &l)) {
        return;
    }
    for (size_t to = 0; to < f->count; to++) {
        struct wire *w = &f->wires[from][to];

        if (memcmp(f->ports[to].ip, l.to, 4) != 0) {
            continue;
        }
        if (is_blocked(w, &l, bytes)) {
            if (w->refuses) {
                packet_refuse(f->ports[from].fd, data, bytes, l.is_v6);
            }
        } else if (!happens(f, w->loss)) {
            packet_pass(f, w, f->ports[to].fd, data, bytes, now_us);
            if (happens(f, w->copy)) {
                packet_pass(f, w, f->ports[to].fd, data, bytes, now_us);
            }
        }
        return;
    }
}

static void port_drain(struct fabric *f, size_t from)
{
    static uint8_t data[PACKET_BYTES];

    for (size_t i = 0; i < BURST_MAX; i++) {
        ssize_t got = read(f->ports[from].fd, data, sizeof data);

        if (got <= 0) {
            return;
        }
        packet_route(f, from, data, (size_t)got, US(mu_clock_ns()));
    }
}

static void due_send(struct fabric *f)
{
    uint64_t now_us = US(mu_clock_ns());

    for (struct mu_heap_node *first = mu_heap_first(&f->waiting);
         first != NULL && first->key <= now_us; first = mu_heap_first(&f->waiting)) {
        struct packet *p = MU_CONTAINER(first, struct packet, due);

        mu_heap_remove(&f->waiting, first);
        packet_write(p->fd, p->data, p->bytes);
        mu_free(p);
    }
}

/* -- commands --------------------------------------------------------------------------------- */

static bool wire_word(struct wire *w, struct mu_span word)
{
    struct mu_span value;
    struct mu_span name = mu_span_split(word, '=', &value, NULL);
    const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {
        { "loss", &w->loss },        { "copy", &w->copy }, { "delay", &w->delay_ms },
        { "jitter", &w->jitter_ms }, { "rate", &w->rate }, { "mtu", &w->mtu },
    };

    if (mu_span_eq_text(word, "cut")) {
        w->is_cut = true;
        return true;
    }
    if (mu_span_eq_text(word, "noudp")) {
        w->drops_udp = true;
        return true;
    }
    if (mu_span_eq_text(word, "notcp")) {
        w->drops_tcp = true;
        return true;
    }
    if (mu_span_eq_text(word, "refuse")) {
        w->refuses = true;
        return true;
    }
    if (mu_span_eq_text(word, "nofrag")) {
        w->drops_fragments = true;
        return true;
    }
    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        if (mu_span_eq_text(name, numbers[i].name)) {
            return mu_span_u64(value, numbers[i].to);
        }
    }
    return false;
}

/* The ports a word means: [*from, *to). False: none. */
static bool ports_meant(const struct fabric *f, struct mu_span word, size_t *from, size_t *to)
{
    *from = 0;
    *to = f->count;
    if (mu_span_eq_text(word, "*")) {
        return true;
    }
    while (*from < f->count && !mu_span_eq_text(word, f->ports[*from].name)) {
        ++*from;
    }
    *to = *from + 1;
    return *from < f->count;
}

static const char *command(struct fabric *f, struct mu_span line)
{
    struct mu_span verb = mu_span_split(line, ' ', &line, NULL);
    struct mu_span from = mu_span_split(line, ' ', &line, NULL);
    struct mu_span to = mu_span_split(line, ' ', &line, NULL);
    struct wire wire = { .is_cut = false };
    size_t a, a_end, b, b_end;

    if (!mu_span_eq_text(verb, "wire") || !ports_meant(f, from, &a, &a_end) ||
        !ports_meant(f, to, &b, &b_end)) {
        return "error: wire <from> <to> ...";
    }
    while (line.bytes > 0) {
        if (!wire_word(&wire, mu_span_split(line, ' ', &line, NULL))) {
            return "error: what is wrong with the wire?";
        }
    }
    for (size_t i = a; i < a_end; i++) {
        for (size_t k = b; k < b_end; k++) {
            f->wires[i][k] = wire;
        }
    }
    return "ok";
}

/* False: the end of input. */
static bool commands_read(struct fabric *f, struct mu_buf *in)
{
    ssize_t got = read(STDIN_FILENO, mu_buf_reserve(in, LINE_BYTES), LINE_BYTES);
    struct mu_span rest;
    size_t used = 0;

    if (got <= 0) {
        return false;
    }
    in->bytes += (size_t)got;
    for (;;) {
        bool is_whole;
        struct mu_span line =
            mu_span_split(mu_span_sub(mu_buf_span(in), used, in->bytes), '\n', &rest, &is_whole);

        if (!is_whole) {
            break;
        }
        used += line.bytes + 1;
        (void)puts(command(f, line));
    }
    mu_buf_drop(in, used);
    (void)fflush(stdout);
    return in->bytes <= LINE_BYTES;
}

/* -- life ------------------------------------------------------------------------------------- */

static int tun_open(const char *namespace)
{
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    char path[256];
    int ns, fd;

    (void)snprintf(path, sizeof path, "/run/netns/%s", namespace);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) {
        die("enter", path);
    }
    (void)close(ns);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    memcpy(request.ifr_name, "wire", sizeof "wire");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        die("make a device in", path);
    }
    return fd;
}

static void port_add(struct fabric *f, const char *text)
{
    struct mu_span rest;
    struct mu_span name = mu_span_split(mu_span_text(text), '=', &rest, NULL);
    struct mu_span ip;
    struct mu_span namespace = mu_span_split(rest, '=', &ip, NULL);
    struct port *p = &f->ports[f->count];
    char *namespace_text = mu_strndup((const char *)namespace.data, namespace.bytes);
    struct mu_addr addr;

    if (f->count == PORTS_MAX || !mu_addr_parse_ip(ip, &addr) || addr.ip_bytes != 4) {
        errno = EINVAL;
        die("a port is <name>=<namespace>=<IPv4>, not", text);
    }
    memcpy(p->ip, addr.ip, 4);
    p->name = mu_strndup((const char *)name.data, name.bytes);
    p->fd = tun_open(namespace_text);
    mu_free(namespace_text);
    f->count++;
}

static int patience_ms(const struct fabric *f)
{
    const struct mu_heap_node *first = mu_heap_first(&f->waiting);
    uint64_t now_us = US(mu_clock_ns());

    if (first == NULL) {
        return -1;
    }
    return first->key <= now_us ? 0 : (int)((first->key - now_us) / 1000) + 1;
}

static void fabric_run(struct fabric *f)
{
    struct pollfd polls[PORTS_MAX + 1] = { { .fd = STDIN_FILENO, .events = POLLIN } };
    struct mu_buf in = MU_BUF_NONE;

    for (size_t i = 0; i < f->count; i++) {
        polls[i + 1] = (struct pollfd){ .fd = f->ports[i].fd, .events = POLLIN };
    }
    do {
        polls[0].revents = 0;
        if (poll(polls, f->count + 1, patience_ms(f)) < 0 && errno != EINTR) {
            die("wait for", "packets");
        }
        for (size_t i = 0; i < f->count; i++) {
            if (polls[i + 1].revents != 0) {
                port_drain(f, i);
            }
        }
        due_send(f);
    } while (polls[0].revents == 0 || commands_read(f, &in));
    mu_buf_deinit(&in);
}

int main(int argc, char **argv)
{
    static struct fabric f;
    const char *seed = getenv("CHAOS_SEED");

    mu_rand_seed(&f.rand, seed != NULL ? strtoull(seed, NULL, 10) : 1);
    for (int i = 1; i < argc; i++) {
        port_add(&f, argv[i]);
    }
    (void)puts("ready");
    (void)fflush(stdout);
    fabric_run(&f);
    while (f.waiting.count > 0) {
        struct mu_heap_node *first = mu_heap_first(&f.waiting);

        mu_heap_remove(&f.waiting, first);
        mu_free(MU_CONTAINER(first, struct packet, due));
    }
    mu_heap_deinit(&f.waiting);
    for (size_t i = 0; i < f.count; i++) {
        (void)close(f.ports[i].fd);
        mu_free(f.ports[i].name);
    }
    return 0;
}
