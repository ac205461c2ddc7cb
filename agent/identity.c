/* identity.c - the data directory, who this node is, and which address it tells others.
 *
 * Layout (DESIGN 6): format, lock, node-id, services/, checks/, gossip/, consensus/, state/. A
 * directory that is not empty and has no `format` belongs to somebody else and is refused.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aside.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "temporary.h"

#define FORMAT       "muster 1\n"
#define FORMAT_BYTES 64

char *agent__data_path(const struct agent *a, const char *name)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", a->data.dir, name);
    return mu_buf_take(&path, NULL);
}

/* -- format and lock --------------------------------------------------------------------------- */

struct strangers {
    bool has_format;
    struct mu_buf names;
    size_t count;
};

static enum mu_code look(void *data, const char *name, struct mu_err *err)
{
    struct strangers *s = data;

    (void)err;
    s->has_format = s->has_format || strcmp(name, "format") == 0;
    if (strcmp(name, "lost+found") != 0 && s->count++ < 5) {
        mu_buf_addf(&s->names, "%s%s", s->names.bytes > 0 ? ", " : "", name);
    }
    return MU_OK;
}

enum mu_code agent__format_check(const char *data_dir, struct mu_err *err)
{
    struct mu_buf path = MU_BUF_NONE;
    struct mu_buf text = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/format", data_dir);
    enum mu_code rc = mu_file_read(mu_buf_text(&path), FORMAT_BYTES, &text, err);

    if (rc == MU_OK && !mu_span_eq_text(mu_buf_span(&text), FORMAT)) {
        while (text.bytes > 0 && text.data[text.bytes - 1] == '\n') {
            text.bytes--;
        }
        rc = mu_fail(err, MU_UNSUPPORTED,
                     "data_dir \"%s\" has the format '%.*s', this version reads 'muster 1'",
                     data_dir, MU_SPAN_FMT(mu_buf_span(&text)));
    }
    mu_buf_deinit(&text);
    mu_buf_deinit(&path);
    return rc;
}

static enum mu_code format_write(const struct agent *a, struct mu_err *err)
{
    char *path = agent__data_path(a, "format");
    enum mu_code rc = mu_file_replace(path, MU_SPAN_LIT(FORMAT), 0644, err);

    mu_free(path);
    return rc;
}

/* `serf agent` was told of a file beside it. */
static const char *dir_word(const struct agent *a)
{
    return a->config->serf.is_on ? "directory" : "data_dir";
}

static enum mu_code dir_claim(struct agent *a, struct mu_err *err)
{
    struct strangers s = { .names = MU_BUF_NONE };
    enum mu_code rc = mu_dir_each(a->data.dir, look, &s, err);

    if (rc == MU_OK && s.has_format) {
        rc = agent__format_check(a->data.dir, err);
    } else if (rc == MU_OK && s.count > 0) {
        rc = mu_fail(err, MU_FOREIGN,
                     "%s \"%s\" is not empty and not of muster (it holds %s%s): name an "
                     "empty or new directory",
                     dir_word(a), a->data.dir, mu_buf_text(&s.names), s.count > 5 ? ", ..." : "");
    } else if (rc == MU_OK) {
        rc = format_write(a, err);
    }
    mu_buf_deinit(&s.names);
    return rc;
}

static enum mu_code dir_open(struct agent *a, struct mu_err *err)
{
    static const char *const folders[] = { "services", "checks", "gossip", "consensus",
                                           TEMPORARY_LAST };
    enum mu_code rc;

    if (a->config->data_dir == NULL) {
        rc = temporary_make(&a->data.dir, err);
        a->data.is_temporary = rc == MU_OK;
    } else {
        a->data.dir = mu_strdup(a->config->data_dir);
        rc = mu_dir_make(a->data.dir, err);
        if (rc == MU_INVALID) {
            rc = mu_fail(err, rc, "%s \"%s\" is not a directory", dir_word(a), a->data.dir);
        }
    }
    if (rc == MU_OK) {
        rc = dir_claim(a, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    char *lock = agent__data_path(a, "lock");

    rc = mu_file_lock(lock, &a->data.lock_fd, err);
    mu_free(lock);
    if (rc == MU_FOREIGN) {
        return mu_fail(err, rc, "%s \"%s\" is in use by another running agent", dir_word(a),
                       a->data.dir);
    }
    if (rc == MU_OK) {
        rc = aside_finish(a->data.dir, &a->data.was_set_aside, err);
        a->data.was_member = aside_was_member(a->data.dir);
    }
    for (size_t i = 0; i < MU_LEN(folders) && rc == MU_OK; i++) {
        char *path = agent__data_path(a, folders[i]);

        rc = mu_dir_make(path, err);
        mu_free(path);
    }
    return rc;
}

/* -- node id ----------------------------------------------------------------------------------- */

static enum mu_code node_id_save(struct agent *a, const char *path, struct mu_err *err)
{
    char text[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&a->data.node, text);
    a->data.is_node_new = false;
    return mu_file_replace(path, mu_span_text(text), 0644, err);
}

/* A configured id wins over that of the directory; it is checked by the configuration. In place of
 * another one it is kept only when what lies here has taken it: the log of a server may refuse. */
static void node_id_take(struct agent *a)
{
    struct mu_id id;

    MU_ASSERT(mu_id_parse(mu_span_text(a->config->node_id), &id));
    a->data.is_node_new = !mu_id_eq(&id, &a->data.node);
    a->data.node = id;
}

static enum mu_code node_id_open(struct agent *a, struct mu_err *err)
{
    char *path = agent__data_path(a, "node-id");
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(path, 128, &text, err);

    while (text.bytes > 0 && (text.data[text.bytes - 1] == '\n')) {
        text.bytes--;
    }
    if (rc == MU_OK && !mu_id_parse(mu_buf_span(&text), &a->data.node)) {
        rc = mu_fail(err, MU_CORRUPT, "%s holds '%.*s', which is no node id", path,
                     MU_SPAN_FMT(mu_buf_span(&text)));
    } else if (rc == MU_NOT_FOUND) {
        a->data.node = mu_id_random();
        rc = a->config->node_id != NULL ? MU_OK : node_id_save(a, path, err);
    }
    if (rc == MU_OK && a->config->node_id != NULL) {
        node_id_take(a);
    }
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

enum mu_code agent__identity_keep(struct agent *a, struct mu_err *err)
{
    char *path = agent__data_path(a, "node-id");
    enum mu_code rc = a->data.is_node_new ? node_id_save(a, path, err) : MU_OK;

    mu_free(path);
    return rc;
}

/* -- addresses --------------------------------------------------------------------------------- */

/* The address the kernel would use towards `to`: a socket that is connected but never sends. */
static bool source_towards(const struct mu_addr *to, struct mu_addr *out)
{
    struct sockaddr_storage sa;
    socklen_t bytes = sizeof sa;
    bool is_found = false;

    mu_addr_to_sockaddr(to, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return false;
    }
    if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 &&
        getsockname(fd, (struct sockaddr *)&sa, &bytes) == 0) {
        is_found = mu_addr_from_sockaddr((const struct sockaddr *)&sa, out) && !mu_addr_is_any(out);
    }
    (void)close(fd);
    out->port = 0;
    return is_found;
}

static bool first_literal(const char *const *list, size_t count, uint8_t ip_bytes,
                          struct mu_addr *out)
{
    for (size_t i = 0; i < count; i++) {
        if (mu_addr_parse(mu_span_text(list[i]), 1, out, NULL) == MU_OK &&
            out->ip_bytes == ip_bytes) {
            return true;
        }
    }
    return false;
}

/* The first join target that is a literal tells which way the cluster lies. */
static bool first_target(const struct config *c, uint8_t ip_bytes, struct mu_addr *out)
{
    return first_literal(c->serf.start_join, c->serf.start_join_count, ip_bytes, out) ||
           first_literal(c->retry_join, c->retry_join_count, ip_bytes, out);
}

/* How well others can reach an address of an interface, as far as one can tell from here. */
enum reach { REACH_NOT, REACH_SELF, REACH_CONTAINERS, REACH_OTHERS };

static enum reach reach_of(const struct ifaddrs *i, const struct mu_addr *at)
{
    static const char *const bridges[] = { "docker", "br-",   "virbr",  "cni",
                                           "podman", "lxcbr", "flannel" };
    bool is_link_local = (at->ip_bytes == 4 && at->ip[0] == 169 && at->ip[1] == 254) ||
                         (at->ip_bytes == 16 && at->ip[0] == 0xfe && (at->ip[1] & 0xc0) == 0x80);

    if ((i->ifa_flags & IFF_UP) == 0 || is_link_local) { /* nobody could say on which interface */
        return REACH_NOT;
    }
    if (mu_addr_is_loopback(at)) {
        return REACH_SELF;
    }
    for (size_t k = 0; k < MU_LEN(bridges); k++) {
        if (strncmp(i->ifa_name, bridges[k], strlen(bridges[k])) == 0) {
            return REACH_CONTAINERS;
        }
    }
    return REACH_OTHERS;
}

/* The address of an interface that others can reach best, the first of several. */
static bool any_interface(uint8_t ip_bytes, struct mu_addr *out)
{
    struct ifaddrs *all = NULL;
    enum reach best = REACH_NOT;
    struct mu_addr at;

    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || !mu_addr_from_sockaddr(i->ifa_addr, &at) ||
            at.ip_bytes != ip_bytes || reach_of(i, &at) <= best) {
            continue;
        }
        best = reach_of(i, &at);
        *out = at;
    }
    freeifaddrs(all);
    out->port = 0;
    return best != REACH_NOT;
}

/* What to advertise when we bind to every address (spec/gossip.md 11): the family of the bind, the
 * route towards the first join target, else the default route, else an interface. */
static enum mu_code advertise_choose(struct agent *a, struct mu_err *err)
{
    uint8_t ip_bytes = a->config->bind_addr.ip_bytes;
    struct mu_addr to;

    /* TEST-NET-1 and the documentation prefix: addresses of the outside that nobody owns. */
    MU_ASSERT(mu_addr_parse_ip(
        ip_bytes == 4 ? MU_SPAN_LIT("192.0.2.1") : MU_SPAN_LIT("2001:db8::1"), &to));
    to.port = 9;
    (void)first_target(a->config, ip_bytes, &to);
    if (!source_towards(&to, &a->advertise) && !any_interface(ip_bytes, &a->advertise)) {
        return mu_fail(err, MU_INVALID,
                       "No private IPv%d address found. Please configure one with 'bind' and/or "
                       "'advertise'.",
                       ip_bytes == 4 ? 4 : 6);
    }
    return MU_OK;
}

static enum mu_code addresses_open(struct agent *a, struct mu_err *err)
{
    const struct config *c = a->config;
    enum mu_code rc = MU_OK;

    if (c->advertise_addr.ip_bytes > 0) {
        a->advertise = c->advertise_addr;
    } else if (!mu_addr_is_any(&c->bind_addr)) {
        a->advertise = c->bind_addr;
    } else {
        rc = advertise_choose(a, err);
    }
    a->advertise.port =
        c->serf.advertise_port > 0 ? c->serf.advertise_port : (uint16_t)c->ports.serf_lan;
    a->advertise_wan = c->advertise_addr_wan.ip_bytes > 0 ? c->advertise_addr_wan : a->advertise;
    return rc;
}

/* Apart from choosing it: the banner is the first thing on stdout (agent-behaviour 1.1). */
void agent__identity_log(const struct agent *a)
{
    const struct config *c = a->config;
    char text[MU_ADDR_TEXT_MAX];

    if (a->data.was_set_aside) {
        mu_log(MU_WARN, "agent",
               "What this server held was set aside: it joins the cluster as a new one");
    }

    if (c->advertise_addr.ip_bytes == 0 && mu_addr_is_any(&c->bind_addr)) {
        mu_addr_ip_text(&a->advertise, text);
        mu_log(MU_INFO, "agent", "Bound to every address, chose the one to advertise",
               mu_kv("address", text));
    }
}

enum mu_code agent__identity_open(struct agent *a, struct mu_err *err)
{
    enum mu_code rc = dir_open(a, err);

    if (rc != MU_OK && a->config->serf.snapshot != NULL) {
        rc = mu_wrap(err, rc,
                     "Failed to start the Serf agent: Error creating Serf: Failed to setup "
                     "snapshot %s",
                     a->config->serf.snapshot);
    }
    a->data.boot = mu_rand_u64(&a->rand) | 1; /* never 0: that means unknown */
    if (rc == MU_OK) {
        rc = node_id_open(a, err);
    }
    return rc == MU_OK ? addresses_open(a, err) : rc;
}

void agent__identity_close(struct agent *a)
{
    struct mu_err err = MU_ERR_NONE;

    if (a->data.dir != NULL && a->data.is_temporary && mu_dir_remove(a->data.dir, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "Cannot remove the temporary data directory",
               mu_kv("error", err.text));
    }
    if (a->data.lock_fd >= 0) {
        (void)close(a->data.lock_fd);
    }
    mu_free(a->data.dir);
}
