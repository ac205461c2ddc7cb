/* serf_agent_host.c - addresses, interfaces and files of this machine, as `serf agent` names them
 * (spec/serf-surface.md 2 to 4).
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "base/addr.h"
#include "base/file.h"
#include "base/limits.h"
#include "gossip/keyring.h"
#include "serf_agent.h"

#define ALL_ADDRESSES "0.0.0.0"

/* -- names ------------------------------------------------------------------------------------- */

/* An IP address stays as it is; of a name's IPv4 goes first, as with Serf. */
static enum mu_code look_up(struct said *s, const char *what, const char **host, struct mu_err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *all = NULL;
    struct mu_addr addr = MU_ADDR_NONE, first = MU_ADDR_NONE;
    char text[MU_ADDR_TEXT_MAX];

    if (mu_addr_parse_ip(mu_span_text(*host), &addr)) {
        return MU_OK;
    }
    if (getaddrinfo(*host, NULL, &hints, &all) != 0) {
        return mu_fail(err, MU_INVALID, "%s: lookup %s: no such host", what, *host);
    }
    for (const struct addrinfo *a = all; a != NULL; a = a->ai_next) {
        if (mu_addr_from_sockaddr(a->ai_addr, &addr) &&
            (first.ip_bytes == 0 || (first.ip_bytes == 16 && addr.ip_bytes == 4))) {
            first = addr;
        }
    }
    freeaddrinfo(all);
    mu_addr_ip_text(&first, text);
    *host = mu_arena_strdup(&s->arena, text);
    return MU_OK;
}

enum mu_code said_address(struct said *s, const char *what, const char *text,
                          struct said_address *out, struct mu_err *err)
{
    struct mu_span host;
    enum mu_code rc = serf_address(text, &host, &out->port, err);

    if (rc != MU_OK) {
        return mu_wrap(err, rc, "%s", what);
    }
    if (host.bytes == 0) {
        out->host = out->host != NULL ? ALL_ADDRESSES : NULL;
        return MU_OK;
    }
    out->host = mu_arena_text(&s->arena, host.data, host.bytes);
    return look_up(s, what, &out->host, err);
}

/* -- interfaces -------------------------------------------------------------------------------- */

static bool is_link_local(const struct mu_addr *a)
{
    return a->ip_bytes == 4 ? a->ip[0] == 169 && a->ip[1] == 254
                            : a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

/* The first usable address, or the one that is wanted. False: it has none such. */
static bool iface_address(const char *iface, const struct mu_addr *wanted, struct mu_addr *out)
{
    struct ifaddrs *all = NULL;
    bool is_found = false;

    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = all; i != NULL && !is_found; i = i->ifa_next) {
        struct mu_addr addr;

        if (strcmp(i->ifa_name, iface) != 0 || i->ifa_addr == NULL ||
            !mu_addr_from_sockaddr(i->ifa_addr, &addr)) {
            continue;
        }
        is_found = wanted != NULL ? mu_addr_eq_ip(&addr, wanted) : !is_link_local(&addr);
        *out = is_found ? addr : *out;
    }
    freeifaddrs(all);
    return is_found;
}

static enum mu_code bind_to_iface(struct said *s, struct said_address *at, struct mu_err *err)
{
    struct mu_addr wanted = MU_ADDR_NONE, found = MU_ADDR_NONE;
    char text[MU_ADDR_TEXT_MAX];
    bool is_any = strcmp(at->host, ALL_ADDRESSES) == 0;

    if (if_nametoindex(s->iface) == 0) {
        return mu_fail(err, MU_INVALID,
                       "Invalid network interface: route ip+net: no such network interface");
    }
    if (!is_any && mu_addr_parse_ip(mu_span_text(at->host), &wanted)) {
        return iface_address(s->iface, &wanted, &found)
                   ? MU_OK
                   : mu_fail(err, MU_INVALID, "Interface '%s' has no '%s' address", s->iface,
                             at->host);
    }
    if (!iface_address(s->iface, NULL, &found)) {
        return mu_fail(err, MU_INVALID, "Failed to find usable address for interface '%s'",
                       s->iface);
    }
    mu_addr_ip_text(&found, text);
    at->host = mu_arena_strdup(&s->arena, text);
    s->has_used_iface = true;
    return MU_OK;
}

enum mu_code said_bind(struct said *s, struct said_address *out, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    *out = (struct said_address){ ALL_ADDRESSES, SERF_PORT };
    if (s->bind != NULL) {
        rc = said_address(s, "Invalid bind address", s->bind, out, err);
    }
    return rc == MU_OK && s->iface != NULL ? bind_to_iface(s, out, err) : rc;
}

/* -- files ------------------------------------------------------------------------------------- */

enum mu_code said_tags_file(struct said *s, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json *root = NULL;
    struct mu_json_at at = { 0 };

    if (s->tags_count > 0) {
        return mu_fail(err, MU_INVALID, "Tags config not allowed while using tag files");
    }
    enum mu_code rc = mu_file_read(s->tags_file, MU_CONFIG_BYTES_MAX, &text, err);

    if (rc == MU_NOT_FOUND) { /* it is made when a tag is set */
        rc = MU_OK;
    } else if (rc != MU_OK) {
        rc = mu_wrap(err, rc, "Failed to read tags file");
    } else {
        rc = mu_json_parse(&root, mu_buf_span(&text), true, err);
        if (rc == MU_OK && mu_json_kind_of(root) != MU_JSON_OBJECT) {
            rc = mu_fail(err, MU_INVALID, "%s holds no object", s->tags_file);
        }
        while (rc == MU_OK && mu_json_next(root, &at)) {
            rc = mu_json_kind_of(at.value) == MU_JSON_STRING
                     ? said_add_tag(s, mu_span_text(at.name), mu_json_string(at.value), err)
                     : mu_fail(err, MU_INVALID, "the tag '%s' of %s is no text", at.name,
                               s->tags_file);
        }
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Failed to decode tags file");
    }
    mu_json_free(root);
    mu_buf_deinit(&text);
    return rc;
}

enum mu_code said_keyring_file(const struct said *s, struct mu_err *err)
{
    struct gossip_keyring ring = { .count = 0 };
    struct mu_buf text = MU_BUF_NONE;
    struct stat st;

    if (s->encrypt != NULL) {
        return mu_fail(err, MU_INVALID, "Encryption key not allowed while using a keyring");
    }
    if (stat(s->keyring_file, &st) != 0) {
        return mu_fail(err, mu_file_code(errno), "stat %s: %s", s->keyring_file,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
    }
    enum mu_code rc = mu_file_read(s->keyring_file, GOSSIP_KEYRING_TEXT_MAX, &text, err);

    rc = rc == MU_OK ? gossip_keyring_decode(mu_buf_span(&text), &ring, err) : rc;
    if (rc == MU_OK && ring.count == 0) {
        rc = mu_fail(err, MU_INVALID, "Keyring file contains no keys");
    } else if (rc != MU_OK) {
        rc = mu_wrap(err, rc, "Failed to decode keyring file %s", s->keyring_file);
    }
    sodium_memzero(text.data, text.bytes);
    mu_buf_deinit(&text);
    gossip_keyring_wipe(&ring);
    return rc;
}
