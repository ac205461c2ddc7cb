/* Addresses as people configure them: literals, and templates that ask this host.
 *
 *   {{ GetPrivateIP }}            the private IPv4 address that leads outside, else the first one
 *   {{ GetPublicIP }}             the first address that is neither private nor loopback
 *   {{ GetInterfaceIP "eth0" }}   the first address of an interface, IPv4 before IPv6
 *
 * The names are those of go-sockaddr, which the reference uses. Its pipelines are refused.
 */
#include "config_table.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"

/* -- this host --------------------------------------------------------------------------------- */

/* The address that packets to the outside would leave from: connecting a datagram socket asks the
 * routing table and sends nothing. 192.0.2.0/24 is for documentation (RFC 5737). */
static struct mu_addr route_address(void)
{
    struct mu_addr outside = { .ip = { 192, 0, 2, 1 }, .ip_bytes = 4, .port = 9 };
    struct sockaddr_storage sa;
    socklen_t bytes = sizeof(struct sockaddr_in);
    struct mu_addr found = MU_ADDR_NONE;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    mu_addr_to_sockaddr(&outside, &sa);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, bytes) == 0 &&
        getsockname(fd, (struct sockaddr *)&sa, &bytes) == 0) {
        (void)mu_addr_from_sockaddr((struct sockaddr *)&sa, &found);
        found.port = 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return found;
}

typedef bool address_fn(const struct ifaddrs *at, const struct mu_addr *address, const char *arg);

static bool is_link_local(const struct mu_addr *a)
{
    return (a->ip_bytes == 4 && a->ip[0] == 169 && a->ip[1] == 254) ||
           (a->ip_bytes == 16 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80);
}

static bool is_private(const struct ifaddrs *at, const struct mu_addr *address, const char *arg)
{
    (void)at;
    (void)arg;
    return address->ip_bytes == 4 && mu_addr_is_private(address) && !is_link_local(address);
}

static bool is_public(const struct ifaddrs *at, const struct mu_addr *address, const char *arg)
{
    (void)at;
    (void)arg;
    return !mu_addr_is_private(address) && !mu_addr_is_loopback(address) && !is_link_local(address);
}

static bool is_of_interface(const struct ifaddrs *at, const struct mu_addr *address,
                            const char *arg)
{
    return strcmp(at->ifa_name, arg) == 0 && !is_link_local(address);
}

/* The first address that fits, IPv4 before IPv6. */
static struct mu_addr first_address(address_fn *fits, const char *arg)
{
    struct mu_addr found = MU_ADDR_NONE;
    struct ifaddrs *all = NULL;

    if (getifaddrs(&all) != 0) {
        return found;
    }
    for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
        struct mu_addr address = MU_ADDR_NONE;

        if (at->ifa_addr == NULL || (at->ifa_flags & IFF_UP) == 0 ||
            !mu_addr_from_sockaddr(at->ifa_addr, &address) || !fits(at, &address, arg)) {
            continue;
        }
        address.port = 0;
        if (address.ip_bytes == 4) {
            found = address;
            break;
        }
        if (found.ip_bytes == 0) {
            found = address;
        }
    }
    freeifaddrs(all);
    return found;
}

static struct mu_addr private_address(const char *arg)
{
    struct mu_addr route = route_address();

    return is_private(NULL, &route, arg) ? route : first_address(is_private, arg);
}

static struct mu_addr public_address(const char *arg)
{
    return first_address(is_public, arg);
}

static struct mu_addr interface_address(const char *arg)
{
    return first_address(is_of_interface, arg);
}

/* -- templates --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool takes_arg;
    struct mu_addr (*ask)(const char *arg);
} functions[] = {
    { "GetPrivateIP", false, private_address },
    { "GetPublicIP", false, public_address },
    { "GetInterfaceIP", true, interface_address },
};

static struct mu_span trimmed(struct mu_span s)
{
    while (s.bytes > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = mu_span_sub(s, 1, s.bytes);
    }
    while (s.bytes > 0 && (s.data[s.bytes - 1] == ' ' || s.data[s.bytes - 1] == '\t')) {
        s.bytes--;
    }
    return s;
}

/* `GetInterfaceIP "eth0"` -> the function's row and eth0. */
static bool parse_call(struct mu_span call, size_t *row, struct mu_span *arg)
{
    struct mu_span rest;
    struct mu_span name = mu_span_split(call, ' ', &rest, NULL);

    *arg = trimmed(rest);
    for (*row = 0; *row < MU_LEN(functions); (*row)++) {
        if (mu_span_eq_text(name, functions[*row].name)) {
            break;
        }
    }
    if (*row == MU_LEN(functions) || !functions[*row].takes_arg) {
        return *row < MU_LEN(functions) && arg->bytes == 0;
    }
    if (arg->bytes < 3 || arg->data[0] != '"' || arg->data[arg->bytes - 1] != '"') {
        return false;
    }
    *arg = mu_span_sub(*arg, 1, arg->bytes - 2);
    return true;
}

static enum mu_code expand_call(const char *key, struct mu_span call, struct mu_arena *arena,
                                struct mu_buf *to, struct mu_err *err)
{
    char text[MU_ADDR_TEXT_MAX];
    struct mu_span arg;
    size_t row;

    if (!parse_call(call, &row, &arg)) {
        return mu_fail(err, MU_INVALID,
                       "%s: template {{ %.*s }} is not supported; there are GetPrivateIP, "
                       "GetPublicIP and GetInterfaceIP \"name\"",
                       key, MU_SPAN_FMT(mu_span_sub(call, 0, 64)));
    }
    struct mu_addr found = functions[row].ask(mu_arena_text(arena, arg.data, arg.bytes));

    if (found.ip_bytes == 0) {
        return mu_fail(err, MU_INVALID, "%s: this host has no address for {{ %.*s }}", key,
                       MU_SPAN_FMT(mu_span_sub(call, 0, 64)));
    }
    mu_addr_ip_text(&found, text);
    mu_buf_add_text(to, text);
    return MU_OK;
}

static enum mu_code expand(const char *key, struct mu_span text, struct mu_arena *arena,
                           struct mu_buf *to, struct mu_err *err)
{
    while (text.bytes > 0) {
        const uint8_t *open = memmem(text.data, text.bytes, "{{", 2);

        if (open == NULL) {
            mu_buf_add_span(to, text);
            return MU_OK;
        }
        size_t before = (size_t)(open - text.data);
        struct mu_span behind = mu_span_sub(text, before + 2, text.bytes);
        const uint8_t *close = memmem(behind.data, behind.bytes, "}}", 2);

        if (close == NULL) {
            return mu_fail(err, MU_INVALID, "%s: a template that begins with {{ has no }}", key);
        }
        size_t inside = (size_t)(close - behind.data);

        mu_buf_add(to, text.data, before);
        enum mu_code rc = expand_call(key, trimmed(mu_span_sub(behind, 0, inside)), arena, to, err);

        if (rc != MU_OK) {
            return rc;
        }
        text = mu_span_sub(behind, inside + 2, behind.bytes);
    }
    return MU_OK;
}

/* -- lists ------------------------------------------------------------------------------------- */

#define UNIX_PREFIX "unix://"

static enum mu_code add_entry(const char *key, struct mu_span entry, struct mu_arena *arena,
                              struct mu_addr **out, size_t *count, struct config_texts *sockets,
                              struct mu_err *err)
{
    struct mu_addr address;

    if (mu_span_starts(entry, MU_SPAN_LIT(UNIX_PREFIX))) {
        struct mu_span path = mu_span_sub(entry, strlen(UNIX_PREFIX), entry.bytes);

        if (sockets == NULL) {
            return mu_fail(err, MU_INVALID, "%s cannot be a unix socket", key);
        }
        if (path.bytes == 0 || path.data[0] != '/') {
            return mu_fail(err, MU_INVALID, "%s: %.*s needs an absolute path", key,
                           MU_SPAN_FMT(mu_span_sub(entry, 0, 64)));
        }
        config__texts_add(arena, sockets, mu_arena_text(arena, path.data, path.bytes));
        return MU_OK;
    }
    if (!mu_addr_parse_ip(entry, &address)) {
        return mu_fail(err, MU_INVALID, "%s must be an ip address, not \"%.*s\"", key,
                       MU_SPAN_FMT(mu_span_sub(entry, 0, 64)));
    }
    *out = mu_arena_grow(arena, *out, *count, sizeof **out);
    (*out)[(*count)++] = address;
    return MU_OK;
}

enum mu_code config__addresses(const char *key, const char *text, struct mu_arena *arena,
                               struct mu_addr **out, size_t *count, struct config_texts *sockets,
                               struct mu_err *err)
{
    struct mu_buf expanded = MU_BUF_NONE;
    enum mu_code rc = expand(key, mu_span_text(text), arena, &expanded, err);
    struct mu_span rest = trimmed(mu_buf_span(&expanded));

    *out = NULL;
    *count = 0;
    while (rc == MU_OK && rest.bytes > 0) {
        struct mu_span entry = mu_span_split(rest, ' ', &rest, NULL);

        rest = trimmed(rest);
        rc = add_entry(key, entry, arena, out, count, sockets, err);
    }
    if (rc == MU_OK && *count == 0 && (sockets == NULL || sockets->count == 0)) {
        rc = mu_fail(err, MU_INVALID, "%s cannot be empty", key);
    }
    mu_buf_deinit(&expanded);
    return rc;
}

enum mu_code config__address(const char *key, const char *text, struct mu_arena *arena,
                             struct mu_addr *out, struct mu_err *err)
{
    struct mu_addr *all;
    size_t count;
    enum mu_code rc = config__addresses(key, text, arena, &all, &count, NULL, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (count > 1) {
        return mu_fail(err, MU_INVALID,
                       "%s cannot contain multiple addresses. Use 'addresses.{dns,http,https}' "
                       "instead.",
                       key);
    }
    *out = all[0];
    return MU_OK;
}
