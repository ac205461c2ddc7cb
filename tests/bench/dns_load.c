/* dns_load.c - asks a DNS server over UDP as fast as it answers, or at a given rate, and says how
 * fast that was.
 *
 *   dns_load 127.0.0.1:8600 [-s seconds] [-w window] [-r rate] [-e edns] NAME TYPE [NAME TYPE ...]
 *
 * Questions are asked in turn; "%" in a name becomes a number that counts up, for names that nobody
 * has. At most `window` are in flight; one that has no answer after a second is lost. Latencies are
 * from handing a query to the kernel to getting its answer back from it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dns_check.h"

#define BATCH         32
#define WINDOW_MAX    4096
#define QUESTIONS_MAX 32
#define LOST_NS       MU_NS_PER_S
#define BUCKETS       100000 /* of a microsecond */

struct load {
    int fd;
    unsigned window, rate, edns, seconds;
    const char *names[QUESTIONS_MAX];
    uint16_t types[QUESTIONS_MAX];
    size_t questions;
    uint64_t sent, answered, lost, bytes, rcodes[16];
    uint64_t flying_ns[WINDOW_MAX]; /* when slot was sent; 0: free */
    size_t flying, oldest;          /* slots are used in a ring */
    uint64_t counter;
    uint32_t latency_us[BUCKETS];
    uint64_t started_ns;
};

static _Noreturn void usage(void)
{
    (void)fprintf(stderr, "usage: dns_load ADDRESS:PORT [-s seconds] [-w window] [-r rate]"
                          " [-e edns] NAME TYPE ...\n");
    exit(2);
}

static uint64_t now_ns(void)
{
    return mu_clock_ns();
}

/* -- asking ------------------------------------------------------------------------------------ */

static void question(struct load *l, uint16_t slot, struct mu_buf *to)
{
    size_t i = l->counter % l->questions;
    const char *percent = strchr(l->names[i], '%');
    char name[300];

    (void)snprintf(name, sizeof name, "%s", l->names[i]);
    if (percent != NULL) {
        (void)snprintf(name, sizeof name, "%.*s%llu%s", (int)(percent - l->names[i]), l->names[i],
                       (unsigned long long)l->counter, percent + 1);
    }
    struct dns_check_query q = {
        .name = name,
        .id = slot,
        .type = l->types[i],
        .flags = 0x100,
        .has_edns = l->edns > 0,
        .udp_bytes = (uint16_t)l->edns,
    };

    mu_buf_clear(to);
    if (!dns_check_ask(&q, to)) {
        usage();
    }
    l->counter++;
}

/* How many may be sent now. */
static size_t allowance(const struct load *l, uint64_t now)
{
    size_t free_slots = l->window - l->flying;

    if (l->rate > 0) {
        uint64_t due = (now - l->started_ns) * l->rate / (uint64_t)MU_NS_PER_S;
        uint64_t more = due > l->sent ? due - l->sent : 0;

        free_slots = more < free_slots ? (size_t)more : free_slots;
    }
    return free_slots < BATCH ? free_slots : BATCH;
}

/* Slots are given out in order; one still in flight after a whole round is lost. */
static uint16_t slot_take(struct load *l, uint64_t now)
{
    while (l->flying_ns[l->oldest] != 0) {
        l->oldest = (l->oldest + 1) % WINDOW_MAX;
    }
    uint16_t slot = (uint16_t)l->oldest;

    l->flying_ns[slot] = now;
    l->flying++;
    l->oldest = (l->oldest + 1) % WINDOW_MAX;
    return slot;
}

static void ask(struct load *l, uint64_t now)
{
    static struct mu_buf queries[BATCH];
    struct mmsghdr messages[BATCH] = { 0 };
    struct iovec parts[BATCH];
    size_t count = allowance(l, now);

    for (size_t i = 0; i < count; i++) {
        question(l, slot_take(l, now), &queries[i]);
        parts[i] = (struct iovec){ queries[i].data, queries[i].bytes };
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (size_t at = 0; at < count;) {
        int sent = sendmmsg(l->fd, messages + at, (unsigned)(count - at), 0);

        if (sent < 0 && errno != EINTR && errno != ECONNREFUSED) {
            perror("sendmmsg");
            exit(1);
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    l->sent += count;
}

/* -- hearing ----------------------------------------------------------------------------------- */

static void hear_one(struct load *l, const uint8_t *data, size_t bytes, uint64_t now)
{
    size_t slot = bytes >= 12 ? (size_t)data[0] << 8 | data[1] : WINDOW_MAX;

    if (slot >= WINDOW_MAX || l->flying_ns[slot] == 0) {
        return; /* counted as lost before */
    }
    uint64_t us = (now - l->flying_ns[slot]) / 1000;

    l->flying_ns[slot] = 0;
    l->flying--;
    l->answered++;
    l->bytes += bytes;
    l->rcodes[data[3] & 0xf]++;
    l->latency_us[us < BUCKETS ? us : BUCKETS - 1]++;
}

static int hear(struct load *l)
{
    static uint8_t room[BATCH][4096];
    struct mmsghdr messages[BATCH] = { 0 };
    struct iovec parts[BATCH];

    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){ room[i], sizeof room[i] };
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(l->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    uint64_t now = now_ns();

    for (int i = 0; i < count; i++) {
        hear_one(l, room[i], messages[i].msg_len, now);
    }
    return count;
}

static void give_up(struct load *l, uint64_t now)
{
    for (size_t i = 0; i < WINDOW_MAX; i++) {
        if (l->flying_ns[i] != 0 && now - l->flying_ns[i] > (uint64_t)LOST_NS) {
            l->flying_ns[i] = 0;
            l->flying--;
            l->lost++;
        }
    }
}

/* -- the run ----------------------------------------------------------------------------------- */

static void run(struct load *l)
{
    uint64_t end = now_ns() + l->seconds * (uint64_t)MU_NS_PER_S;
    uint64_t looked = 0;
    uint64_t now;

    l->started_ns = now_ns();
    while ((now = now_ns()) < end || (l->flying > 0 && now < end + (uint64_t)LOST_NS)) {
        if (now < end) {
            ask(l, now);
        }
        if (hear(l) <= 0) {
            struct pollfd p = { .fd = l->fd, .events = POLLIN };

            (void)poll(&p, 1, l->rate > 0 ? 0 : 1);
        }
        if (now - looked > (uint64_t)LOST_NS / 10) {
            looked = now;
            give_up(l, now);
        }
    }
    l->lost += l->flying;
}

static unsigned percentile(const struct load *l, double share)
{
    uint64_t wanted = (uint64_t)((double)l->answered * share);
    uint64_t seen = 0;
    unsigned i = 0;

    while (i < BUCKETS - 1 && (seen += l->latency_us[i]) <= wanted) {
        i++;
    }
    return i;
}

static void report(const struct load *l)
{
    (void)printf("%.0f answers/s, %llu lost of %llu, %.0f bytes each, us: median %u, 99%% %u,"
                 " 99.9%% %u\n",
                 (double)l->answered / l->seconds, (unsigned long long)l->lost,
                 (unsigned long long)l->sent,
                 l->answered > 0 ? (double)l->bytes / (double)l->answered : 0.0, percentile(l, 0.5),
                 percentile(l, 0.99), percentile(l, 0.999));
    for (unsigned i = 0; i < 16; i++) {
        if (l->rcodes[i] > 0) {
            (void)printf("  rcode %u: %llu\n", i, (unsigned long long)l->rcodes[i]);
        }
    }
}

static void parse(struct load *l, int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "+s:w:r:e:")) != -1) {
        unsigned value = (unsigned)strtoul(optarg != NULL ? optarg : "", NULL, 10);

        switch (option) {
        case 's': l->seconds = value; break;
        case 'w': l->window = value; break;
        case 'r': l->rate = value; break;
        case 'e': l->edns = value; break;
        default: usage();
        }
    }
    for (int i = optind; i + 1 < argc && l->questions < QUESTIONS_MAX; i += 2) {
        l->names[l->questions] = argv[i];
        l->types[l->questions] = dns_check_type(argv[i + 1]);
        if (l->types[l->questions++] == 0) {
            usage();
        }
    }
    if (l->questions == 0 || l->window == 0 || l->window > WINDOW_MAX || l->seconds == 0) {
        usage();
    }
}

int main(int argc, char **argv)
{
    struct load *l = mu_new(sizeof *l);
    struct sockaddr_storage sa;
    struct mu_addr to;
    struct mu_err err = MU_ERR_NONE;

    if (argc < 2 || mu_addr_parse(mu_span_text(argv[1]), 8600, &to, &err) != MU_OK) {
        usage();
    }
    *l = (struct load){ .window = 256, .seconds = 5 };
    parse(l, argc - 1, argv + 1);
    mu_addr_to_sockaddr(&to, &sa);
    l->fd = socket(sa.ss_family, SOCK_DGRAM, 0);
    int room = 4 << 20;

    (void)setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (l->fd < 0 ||
        connect(l->fd, (struct sockaddr *)&sa,
                to.ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) != 0) {
        perror("socket");
        return 1;
    }
    run(l);
    report(l);
    mu_free(l);
    return 0;
}
