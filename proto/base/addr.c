#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* ::ffff:a.b.c.d means a.b.c.d. */
static void unmap(struct mu_addr *a)
{
    if (a->ip_bytes == 16 && memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        memmove(a->ip, a->ip + 12, 4);
        memset(a->ip + 4, 0, 12);
        a->ip_bytes = 4;
    }
}

bool mu_addr_parse_ip(struct mu_span text, struct mu_addr *out)
{
    char copy[MU_ADDR_TEXT_MAX];

    if (text.bytes >= 2 && text.data[0] == '[' && text.data[text.bytes - 1] == ']') {
        text = mu_span_sub(text, 1, text.bytes - 2);
        if (memchr(text.data, ':', text.bytes) == NULL) {
            return false; /* brackets are for IPv6 */
        }
    }
    if (text.bytes == 0 || text.bytes >= sizeof copy ||
        memchr(text.data, '\0', text.bytes) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    struct mu_addr a = MU_ADDR_NONE;

    if (inet_pton(AF_INET, copy, a.ip) == 1) {
        a.ip_bytes = 4;
    } else if (inet_pton(AF_INET6, copy, a.ip) == 1) {
        a.ip_bytes = 16;
        unmap(&a);
    } else {
        return false;
    }
    *out = a;
    return true;
}

bool mu_addr_split_open(struct mu_span text, struct mu_span *host, uint16_t *port)
{
    size_t colons = 0;
    size_t last = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] == ':') {
            colons++;
            last = i;
        }
    }
    bool bracketed = text.bytes > 0 && text.data[0] == '[';
    bool has_port = bracketed ? last > 0 && text.data[last - 1] == ']' : colons == 1;

    *host = has_port ? mu_span_sub(text, 0, last) : text;
    if (bracketed) {
        if (host->bytes < 3 || host->data[host->bytes - 1] != ']') {
            return false;
        }
        *host = mu_span_sub(*host, 1, host->bytes - 2);
    }
    if (has_port) {
        uint64_t value = 0;

        if (!mu_span_u64(mu_span_sub(text, last + 1, text.bytes), &value) || value < 1 ||
            value > 65535) {
            return false;
        }
        *port = (uint16_t)value;
    }
    return true;
}

bool mu_addr_split(struct mu_span text, struct mu_span *host, uint16_t *port)
{
    uint16_t found = *port;

    if (!mu_addr_split_open(text, host, &found) || host->bytes == 0) {
        return false;
    }
    *port = found;
    return true;
}

enum mu_code mu_addr_parse(struct mu_span text, uint16_t port, struct mu_addr *out,
                           struct mu_err *err)
{
    struct mu_span host;

    if (!mu_addr_split(text, &host, &port)) {
        return mu_fail(err, MU_INVALID,
                       "address '%.*s' is not of the form ip, ip:port or [ip6]:port",
                       MU_SPAN_FMT(text));
    }
    if (!mu_addr_parse_ip(host, out)) {
        return mu_fail(err, MU_INVALID, "address '%.*s' is not an IP address", MU_SPAN_FMT(host));
    }
    out->port = port;
    return MU_OK;
}

void mu_addr_ip_text(const struct mu_addr *a, char out[MU_ADDR_TEXT_MAX])
{
    out[0] = '\0';
    if (a->ip_bytes > 0) {
        (void)inet_ntop(a->ip_bytes == 4 ? AF_INET : AF_INET6, a->ip, out, MU_ADDR_TEXT_MAX);
    }
}

void mu_addr_text(const struct mu_addr *a, char out[MU_ADDR_TEXT_MAX])
{
    char ip[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(a, ip);
    (void)snprintf(out, MU_ADDR_TEXT_MAX, a->ip_bytes == 16 ? "[%.48s]:%u" : "%.48s:%u", ip,
                   (unsigned)a->port);
}

bool mu_addr_eq_ip(const struct mu_addr *a, const struct mu_addr *b)
{
    return a->ip_bytes == b->ip_bytes && memcmp(a->ip, b->ip, a->ip_bytes) == 0;
}

bool mu_addr_eq(const struct mu_addr *a, const struct mu_addr *b)
{
    return a->port == b->port && mu_addr_eq_ip(a, b);
}

bool mu_addr_is_loopback(const struct mu_addr *a)
{
    static const uint8_t one[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };

    return a->ip_bytes == 4 ? a->ip[0] == 127
                            : a->ip_bytes == 16 && memcmp(a->ip, one, sizeof one) == 0;
}

bool mu_addr_is_any(const struct mu_addr *a)
{
    static const uint8_t zero[16];

    return a->ip_bytes > 0 && memcmp(a->ip, zero, a->ip_bytes) == 0;
}

bool mu_addr_is_multicast(const struct mu_addr *a)
{
    return a->ip_bytes == 4 ? (a->ip[0] & 0xf0) == 0xe0 : a->ip_bytes == 16 && a->ip[0] == 0xff;
}

bool mu_addr_is_private(const struct mu_addr *a)
{
    if (a->ip_bytes == 4) {
        return a->ip[0] == 10 || (a->ip[0] == 172 && (a->ip[1] & 0xf0) == 16) ||
               (a->ip[0] == 192 && a->ip[1] == 168) || (a->ip[0] == 169 && a->ip[1] == 254);
    }
    return a->ip_bytes == 16 &&
           ((a->ip[0] & 0xfe) == 0xfc || (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80));
}

bool mu_addr_from_sockaddr(const struct sockaddr *sa, struct mu_addr *out)
{
    *out = MU_ADDR_NONE;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, sa, sizeof v4);
        memcpy(out->ip, &v4.sin_addr, 4);
        out->ip_bytes = 4;
        out->port = ntohs(v4.sin_port);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, sa, sizeof v6);
        memcpy(out->ip, &v6.sin6_addr, 16);
        out->ip_bytes = 16;
        out->port = ntohs(v6.sin6_port);
        unmap(out);
        return true;
    }
    return false;
}

void mu_addr_to_sockaddr(const struct mu_addr *a, struct sockaddr_storage *out)
{
    MU_ASSERT(a->ip_bytes == 4 || a->ip_bytes == 16);
    memset(out, 0, sizeof *out);
    if (a->ip_bytes == 4) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(a->port) };

        memcpy(&v4.sin_addr, a->ip, 4);
        memcpy(out, &v4, sizeof v4);
        return;
    }
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };

    memcpy(&v6.sin6_addr, a->ip, 16);
    memcpy(out, &v6, sizeof v6);
}

bool mu_net_parse(struct mu_span text, struct mu_net *out)
{
    const uint8_t *slash = text.bytes > 0 ? memchr(text.data, '/', text.bytes) : NULL;
    size_t at = slash != NULL ? (size_t)(slash - text.data) : 0;
    unsigned bits = 0;

    *out = (struct mu_net){ .bits = 0 };
    if (slash == NULL || text.bytes - at < 2 || text.bytes - at > 4 ||
        !mu_addr_parse_ip(mu_span_sub(text, 0, at), &out->base)) {
        return false;
    }
    for (size_t i = at + 1; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        bits = bits * 10 + (unsigned)(text.data[i] - '0');
    }
    out->bits = bits;
    return bits <= out->base.ip_bytes * 8U;
}

bool mu_net_has(const struct mu_net *net, const struct mu_addr *a)
{
    unsigned whole = net->bits / 8;
    unsigned rest = net->bits % 8;

    return a->ip_bytes == net->base.ip_bytes && memcmp(a->ip, net->base.ip, whole) == 0 &&
           (rest == 0 || (a->ip[whole] ^ net->base.ip[whole]) >> (8 - rest) == 0);
}
