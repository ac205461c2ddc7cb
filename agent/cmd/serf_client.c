/* One client of Serf's control port: MessagePack over a socket, waiting for each answer. */
#include "serf.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/mem.h"

#define ADDRESS_DEFAULT "127.0.0.1:7373"
#define PORT_DEFAULT    7373
#define READ_BYTES      (64U * 1024)
#define HOST_BYTES_MAX  256
/* Members of 10,000 nodes with some tags each. */
#define ANSWER_BYTES_MAX  (64U * 1024 * 1024)
#define ANSWER_VALUES_MAX (1024U * 1024)

/* -- the socket ---------------------------------------------------------------------------------
 */

static bool fail(struct serf_client *c, const char *text)
{
    (void)snprintf(c->error, sizeof c->error, "%s", text);
    return false;
}

/* In Go's words: errors are read by scripts. */
static const char *errno_text(int number)
{
    return number == ECONNREFUSED  ? "connection refused"
           : number == ETIMEDOUT   ? "connection timed out"
           : number == ENETUNREACH ? "network is unreachable"
           : number == ENOENT      ? "no such file or directory"
                                   : strerror(number);
}

static int dial_one(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
        int number = errno;

        (void)close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

const char *serf_socket_path(const char *addr)
{
    size_t bytes = strlen(SERF_SOCKET);

    return strncmp(addr, SERF_SOCKET, bytes) == 0 ? addr + bytes : NULL;
}

static bool dial_path(struct serf_client *c, const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const struct addrinfo at = { .ai_family = AF_UNIX,
                                 .ai_addr = (struct sockaddr *)&to,
                                 .ai_addrlen = sizeof to };

    if (strlen(path) >= sizeof to.sun_path) { /* cut, it would be another one's */
        (void)snprintf(c->error, sizeof c->error, "dial unix %s: the path is too long", path);
        return false;
    }
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    c->fd = dial_one(&at);
    if (c->fd < 0) {
        (void)snprintf(c->error, sizeof c->error, "dial unix %s: connect: %s", path,
                       errno_text(errno));
    }
    return c->fd >= 0;
}

static enum mu_code bad_port(const char *port, struct mu_err *err)
{
    bool is_number = port[0] != '\0' && port[strspn(port, "0123456789")] == '\0';

    return mu_fail(err, MU_INVALID,
                   is_number ? "address %.64s: invalid port" : "address tcp/%.64s: unknown port",
                   port);
}

enum mu_code serf_address(const char *text, struct mu_span *host, uint16_t *port,
                          struct mu_err *err)
{
    const char *colon = strrchr(text, ':');

    if (text[0] == '[' && strchr(text, ']') == NULL) {
        return mu_fail(err, MU_INVALID, "address %.64s: missing ']' in address", text);
    }
    if (text[0] != '[' && strchr(text, ':') != colon) {
        return mu_fail(err, MU_INVALID, "address %.64s: too many colons in address", text);
    }
    return mu_addr_split_open(mu_span_text(text), host, port)
               ? MU_OK
               : bad_port(colon != NULL ? colon + 1 : text, err);
}

static bool dial(struct serf_client *c, const char *addr)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char host[HOST_BYTES_MAX], port_text[8];
    uint16_t port = PORT_DEFAULT;

    if (serf_socket_path(addr) != NULL) {
        return dial_path(c, serf_socket_path(addr));
    }
    struct mu_err err = MU_ERR_NONE;
    struct mu_span span;

    enum mu_code rc = serf_address(addr, &span, &port, &err);

    if (rc != MU_OK) {
        (void)mu_wrap(&err, rc, "dial tcp");
        return fail(c, err.text);
    }
    if (span.bytes >= sizeof host) {
        (void)snprintf(c->error, sizeof c->error, "dial tcp: lookup %s: no such host", addr);
        return false;
    }
    (void)snprintf(host, sizeof host, "%.*s", MU_SPAN_FMT(span));
    (void)snprintf(port_text, sizeof port_text, "%u", port);
    /* no host: this machine */
    if (getaddrinfo(host[0] != '\0' ? host : NULL, port_text, &hints, &found) != 0) {
        (void)snprintf(c->error, sizeof c->error, "dial tcp: lookup %s: no such host", host);
        return false;
    }
    for (const struct addrinfo *at = found; at != NULL && c->fd < 0; at = at->ai_next) {
        c->fd = dial_one(at);
    }
    int number = errno;

    freeaddrinfo(found);
    if (c->fd < 0) {
        (void)snprintf(c->error, sizeof c->error, "dial tcp %s: connect: %s", addr,
                       errno_text(number));
    }
    return c->fd >= 0;
}

/* -- requests -----------------------------------------------------------------------------------
 */

uint64_t serf_begin(struct serf_client *c, const char *command)
{
    mu_buf_clear(&c->out);
    ipc_put_map(&c->out, 2);
    ipc_put_text(&c->out, "Command");
    ipc_put_text(&c->out, command);
    ipc_put_text(&c->out, "Seq");
    ipc_put_u64(&c->out, ++c->seq);
    return c->seq;
}

/* What cannot be sent shows when the answer is read. */
void serf_send(struct serf_client *c)
{
    size_t sent = 0;

    while (sent < c->out.bytes) {
        ssize_t count = send(c->fd, c->out.data + sent, c->out.bytes - sent, MSG_NOSIGNAL);

        if (count < 0 && errno != EINTR) {
            return;
        }
        sent += count > 0 ? (size_t)count : 0;
    }
}

/* One object; false: the connection is over. */
static bool read_object(struct serf_client *c, struct ipc_value *out)
{
    size_t used = 0;

    for (;;) {
        struct mu_span rest = mu_span_sub(mu_buf_span(&c->in), c->used, c->in.bytes);
        enum ipc_got got =
            ipc_read_within(rest, ANSWER_BYTES_MAX, ANSWER_VALUES_MAX, &c->arena, out, &used);

        if (got == IPC_WHOLE) {
            c->used += used;
            return true;
        }
        if (got == IPC_BAD) {
            return false;
        }
        ssize_t count = recv(c->fd, mu_buf_reserve(&c->in, READ_BYTES), READ_BYTES, 0);

        if (count == 0 || (count < 0 && errno != EINTR)) {
            return false;
        }
        c->in.bytes += count > 0 ? (size_t)count : 0;
    }
}

bool serf_read(struct serf_client *c, bool has_body, struct serf_reply *out)
{
    static const char required[] = "Authentication required";
    struct ipc_value *header, *body;

    mu_buf_drop(&c->in, c->used);
    c->used = 0;
    mu_arena_reset(&c->arena);
    header = mu_arena_new(&c->arena, sizeof *header);
    body = mu_arena_new(&c->arena, sizeof *body);
    if (!read_object(c, header)) {
        return fail(c, "client closed");
    }
    struct ipc_fields f = ipc_fields_of(header, &c->arena);
    const char *error = ipc_get_text(&f, "Error");

    out->seq = ipc_get_u64(&f, "Seq");
    out->value = NULL;
    if (f.is_bad) {
        return fail(c, "client closed");
    }
    /* What comes for an earlier request is a record of its stream. */
    if ((has_body || out->seq != c->seq) && strcmp(error, required) != 0) {
        if (!read_object(c, body)) {
            return fail(c, error[0] != '\0' ? error : "client closed");
        }
        out->body = ipc_fields_of(body, &c->arena);
        out->value = body;
    }
    return error[0] == '\0' || fail(c, error);
}

const struct ipc_value *serf_find(const struct ipc_value *map, const char *name)
{
    for (size_t i = 0; map != NULL && map->kind == IPC_MAP && i < map->many.count; i++) {
        const struct ipc_value *key = &map->many.items[2 * i];

        if (key->kind == IPC_TEXT && mu_span_eq_text(key->text, name)) {
            return &key[1];
        }
    }
    return NULL;
}

struct mu_span serf_bytes(const struct ipc_value *map, const char *name)
{
    const struct ipc_value *v = serf_find(map, name);

    return v != NULL && v->kind == IPC_TEXT ? v->text : MU_SPAN_NONE;
}

/* -- the beginning and the end ------------------------------------------------------------------
 */

static const char *given(const struct cli *cli, const char *flag, const char *name)
{
    const char *value = flag != NULL ? flag : cli->env(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool greet(struct serf_client *c, const char *auth)
{
    struct serf_reply reply;

    (void)serf_begin(c, "handshake");
    ipc_put_map(&c->out, 1);
    ipc_put_text(&c->out, "Version");
    ipc_put_u64(&c->out, 1);
    serf_send(c);
    if (!serf_read(c, false, &reply) || auth == NULL) {
        return c->error[0] == '\0';
    }
    (void)serf_begin(c, "auth");
    ipc_put_map(&c->out, 1);
    ipc_put_text(&c->out, "AuthKey");
    ipc_put_text(&c->out, auth);
    serf_send(c);
    return serf_read(c, false, &reply);
}

bool serf_open(struct serf_client *c, struct cli *cli, const struct serf_flags *flags)
{
    const char *addr = given(cli, flags->addr, "SERF_RPC_ADDR");

    *c = (struct serf_client){ .cli = cli, .fd = -1 };
    mu_arena_init(&c->arena, 0);
    if (dial(c, addr != NULL ? addr : ADDRESS_DEFAULT) &&
        greet(c, given(cli, flags->auth, "SERF_RPC_AUTH"))) {
        return true;
    }
    (void)serf_fail(cli, "Error connecting to Serf agent", c->error);
    return false;
}

void serf_close(struct serf_client *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    mu_buf_deinit(&c->in);
    mu_buf_deinit(&c->out);
    mu_arena_deinit(&c->arena);
}
