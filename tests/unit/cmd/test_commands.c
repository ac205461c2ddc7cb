/* Commands against an agent that answers from a script: what they ask, what they print, how they
 * exit. The agent is a thread on a loopback port of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "cli.h"
#include "scratch.h"

/* -- the scripted agent ------------------------------------------------------------------------ */

#define EXCHANGES_MAX 3

struct exchange {
    const char *request; /* "PUT /v1/kv/a?cas=0" */
    const char *body;    /* NULL: none is expected */
    unsigned status;
    const char *answer; /* of 301: where to; NULL: the connection is cut */
};

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const struct exchange *exchanges;
    size_t count;
    struct mu_buf seen;    /* "PUT /v1/kv/a?cas=0 body\n" of each */
    struct mu_buf headers; /* of the last request */
};

static bool read_request(int fd, struct mu_buf *in, size_t *head_bytes, size_t *body_bytes)
{
    for (;;) {
        const char *text = mu_buf_text(in);
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");

        if (end != NULL) {
            *head_bytes = (size_t)(end - text) + 4;
            *body_bytes = length != NULL && length < end ? strtoul(length + 16, NULL, 10) : 0;
            if (in->bytes >= *head_bytes + *body_bytes) {
                return true;
            }
        }
        ssize_t got = read(fd, mu_buf_reserve(in, 4096), 4096);

        if (got <= 0) {
            return false;
        }
        in->bytes += (size_t)got;
    }
}

static void answer(struct server *s, int fd, const struct exchange *e)
{
    struct mu_buf in = MU_BUF_NONE, out = MU_BUF_NONE;
    size_t head = 0, body = 0;

    if (read_request(fd, &in, &head, &body)) {
        const char *text = mu_buf_text(&in);

        mu_buf_addf(&s->seen, "%.*s", (int)(strstr(text, " HTTP/1.1") - text), text);
        if (body > 0) {
            mu_buf_addf(&s->seen, " %.*s", (int)body, text + head);
        }
        mu_buf_add_byte(&s->seen, '\n');
        mu_buf_clear(&s->headers);
        mu_buf_add(&s->headers, text, head);
        if (e->answer != NULL) {
            bool is_moved = e->status == 301;
            const char *content = is_moved ? "" : e->answer;

            mu_buf_addf(&out, "HTTP/1.1 %u X\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", e->status,
                        is_moved ? "Location: " : "", is_moved ? e->answer : "",
                        is_moved ? "\r\n" : "", strlen(content), content);
            ssize_t put = write(fd, out.data, out.bytes);

            MU_ASSERT(put == (ssize_t)out.bytes);
        }
    }
    mu_buf_deinit(&in);
    mu_buf_deinit(&out);
}

static void *serve(void *data)
{
    struct server *s = data;

    for (size_t i = 0; i < s->count; i++) {
        int fd = accept(s->fd, NULL, NULL);

        if (fd < 0) {
            break; /* shut down: fewer came than the script has */
        }
        answer(s, fd, &s->exchanges[i]);
        (void)close(fd);
    }
    return NULL;
}

static void server_run(struct server *s, const struct exchange *exchanges)
{
    s->exchanges = exchanges;
    while (s->count < EXCHANGES_MAX && exchanges[s->count].request != NULL) {
        s->count++;
    }
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_start(struct server *s, const struct exchange *exchanges)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof sa;

    *s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, bytes), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &bytes), 0);
    s->port = ntohs(sa.sin_port);
    server_run(s, exchanges);
}

static void server_stop(struct server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)close(s->fd);
}

/* -- running a command ------------------------------------------------------------------------- */

#define ARGS_MAX 10

static struct { /* what the environment says */
    char address[128];
    const char *token, *auth, *ssl;
} environment;

static const char *env(const char *name)
{
    static const char *const names[] = { "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_AUTH",
                                         "CONSUL_HTTP_SSL" };
    const char *const values[] = { environment.token, environment.auth, environment.ssl };

    if (strcmp(name, "CONSUL_HTTP_ADDR") == 0) {
        return environment.address;
    }
    for (size_t i = 0; i < MU_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return values[i];
        }
    }
    return NULL;
}

struct ran {
    int status;
    char *out, *err;
};

static void run_with_input(struct ran *r, const char *const *args, const char *input)
{
    struct cli cli = { .env = env };
    size_t out_bytes = 0, err_bytes = 0;
    int count = 0;

    while (count < ARGS_MAX && args[count] != NULL) {
        count++;
    }
    *r = (struct ran){ 0, NULL, NULL };
    cli.in = fmemopen((void *)(uintptr_t)input, strlen(input) > 0 ? strlen(input) : 1, "r");
    cli.out = open_memstream(&r->out, &out_bytes);
    cli.err = open_memstream(&r->err, &err_bytes);
    assert_true(cli.in != NULL && cli.out != NULL && cli.err != NULL);
    r->status = cli_main(&cli, count, args);
    (void)fclose(cli.in);
    (void)fclose(cli.out);
    (void)fclose(cli.err);
}

static void ran_free(struct ran *r)
{
    free(r->out);
    free(r->err);
}

struct row {
    const char *why, *args[ARGS_MAX];
    struct exchange exchanges[EXCHANGES_MAX];
    int status;
    const char *out, *err; /* in err, $PORT is the agent's */
};

static void expected_seen(const struct exchange *exchanges, struct mu_buf *to)
{
    for (size_t i = 0; i < EXCHANGES_MAX && exchanges[i].request != NULL; i++) {
        mu_buf_addf(to, "%s%s%s\n", exchanges[i].request, exchanges[i].body != NULL ? " " : "",
                    exchanges[i].body != NULL ? exchanges[i].body : "");
    }
}

static void with_port(const char *text, uint16_t port, struct mu_buf *to)
{
    const char *at;

    while ((at = strstr(text, "$PORT")) != NULL) {
        mu_buf_add(to, text, (size_t)(at - text));
        mu_buf_addf(to, "%u", port);
        text = at + 5;
    }
    mu_buf_add_text(to, text);
}

static void check_row(const struct row *row)
{
    struct mu_buf seen = MU_BUF_NONE, err = MU_BUF_NONE;
    struct server s;
    struct ran r;

    server_start(&s, row->exchanges);
    (void)snprintf(environment.address, sizeof environment.address, "127.0.0.1:%u", s.port);
    run_with_input(&r, row->args, "from stdin");
    server_stop(&s);
    expected_seen(row->exchanges, &seen);
    with_port(row->err, s.port, &err);
    if (strcmp(mu_buf_text(&s.seen), mu_buf_text(&seen)) != 0) {
        fail_msg("%s:\n  asked    '%s'\n  expected '%s'", row->why, mu_buf_text(&s.seen),
                 mu_buf_text(&seen));
    }
    if (r.status != row->status || strcmp(r.out, row->out) != 0 ||
        strcmp(r.err, mu_buf_text(&err)) != 0) {
        fail_msg("%s:\n  gave     %d\n'%s'\n'%s'\n  expected %d\n'%s'\n'%s'", row->why, r.status,
                 r.out, r.err, row->status, row->out, mu_buf_text(&err));
    }
    ran_free(&r);
    mu_buf_deinit(&s.seen);
    mu_buf_deinit(&s.headers);
    mu_buf_deinit(&seen);
    mu_buf_deinit(&err);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_row(&rows[i]);
    }
}

/* -- the key-value store ----------------------------------------------------------------------- */

static void kv_put(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "text",          { "kv", "put", "a/b", "v" }, { { "PUT /v1/kv/a/b", "v", 200, "true" } }, 0, "Success! Data written to: a/b\n", "" },
        { "no data",       { "kv", "put", "a" }, { { "PUT /v1/kv/a", NULL, 200, "true" } }, 0, "Success! Data written to: a\n", "" },
        { "escapes",       { "kv", "put", "a b?", "v" }, { { "PUT /v1/kv/a%20b%3F", "v", 200, "true" } }, 0, "Success! Data written to: a b?\n", "" },
        { "standard input", { "kv", "put", "a", "-" }, { { "PUT /v1/kv/a", "from stdin", 200, "true" } }, 0, "Success! Data written to: a\n", "" },
        { "a dash and more", { "kv", "put", "a", "-x" }, { { "PUT /v1/kv/a", "-x", 200, "true" } }, 0, "Success! Data written to: a\n", "" },
        { "base64",        { "kv", "put", "-base64", "a", "dg==" }, { { "PUT /v1/kv/a", "v", 200, "true" } }, 0, "Success! Data written to: a\n", "" },
        { "flags",         { "kv", "put", "-flags=42", "a", "v" }, { { "PUT /v1/kv/a?flags=42", "v", 200, "true" } }, 0, "Success! Data written to: a\n", "" },
        { "cas",           { "kv", "put", "-cas", "-modify-index=7", "a", "v" }, { { "PUT /v1/kv/a?cas=7", "v", 200, "true" } }, 0, "Success! Data written to: a\n", "" },
        { "cas refused",   { "kv", "put", "-cas", "-modify-index=7", "a", "v" }, { { "PUT /v1/kv/a?cas=7", "v", 200, "false" } }, 1, "", "Error! Did not write to a: CAS failed\n" },
        { "cas on nothing", { "kv", "put", "-cas", "a", "v" }, { { "PUT /v1/kv/a?cas=0", "v", 200, "false" } }, 1, "", "Error! Did not write to a: CAS performed with index=0 and key already exists.\n" },
        { "lock",          { "kv", "put", "-acquire", "-session=s", "a", "v" }, { { "PUT /v1/kv/a?acquire=s", "v", 200, "true" } }, 0, "Success! Lock acquired on: a\n", "" },
        { "lock refused",  { "kv", "put", "-acquire", "-session=s", "a", "v" }, { { "PUT /v1/kv/a?acquire=s", "v", 200, "false" } }, 1, "", "Error! Did not acquire lock\n" },
        { "unlock",        { "kv", "put", "-release", "-session=s", "a" }, { { "PUT /v1/kv/a?release=s", NULL, 200, "true" } }, 0, "Success! Lock released on: a\n", "" },
        { "unlock refused", { "kv", "put", "-release", "-session=s", "a" }, { { "PUT /v1/kv/a?release=s", NULL, 200, "false" } }, 1, "", "Error! Did not release lock\n" },
        { "an error",      { "kv", "put", "a", "v" }, { { "PUT /v1/kv/a", "v", 500, "No cluster leader" } }, 1, "", "Error! Failed writing data: Unexpected response code: 500 (No cluster leader)\n" },
        { "an error of cas", { "kv", "put", "-cas", "a", "v" }, { { "PUT /v1/kv/a?cas=0", "v", 500, "x" } }, 1, "", "Error! Did not write to a: Unexpected response code: 500 (x)\n" },
        { "no key",        { "kv", "put" }, { { NULL } }, 1, "", "Error! Missing KEY argument\n" },
        { "too much",      { "kv", "put", "a", "b", "c" }, { { NULL } }, 1, "", "Error! Too many arguments (expected 1 or 2, got 3)\n" },
        { "no session",    { "kv", "put", "-acquire", "a" }, { { NULL } }, 1, "", "Error! Missing -session (required with -acquire and -release)\n" },
        { "a slash",       { "kv", "put", "/a", "v" }, { { NULL } }, 1, "", "Error! Failed writing data: Invalid key. Key must not begin with a '/': /a\n" },
        { "no base64",     { "kv", "put", "-base64", "a", "!" }, { { NULL } }, 1, "", "Error! Cannot base 64 decode data\n" },
        { "no such file",  { "kv", "put", "a", "@/nowhere" }, { { NULL } }, 1, "", "Error! Failed to read file: open /nowhere: No such file or directory\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

#define PAIR                                                                            \
    "{\"LockIndex\":0,\"Key\":\"a\",\"Flags\":42,\"Value\":\"djE=\",\"CreateIndex\":7," \
    "\"ModifyIndex\":9}"
#define LOCKED                                                                     \
    "{\"LockIndex\":1,\"Key\":\"b\",\"Flags\":0,\"Value\":null,\"CreateIndex\":8," \
    "\"ModifyIndex\":8,\"Session\":\"s\"}"
#define PAIR_TEXT                                                                       \
    "CreateIndex      7\nFlags            42\nKey              a\nLockIndex        0\n" \
    "ModifyIndex      9\nSession          -\nValue            v1\n"
#define LOCKED_TEXT                                                                    \
    "CreateIndex      8\nFlags            0\nKey              b\nLockIndex        1\n" \
    "ModifyIndex      8\nSession          s\nValue            \n"

static void kv_get(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "a value",       { "kv", "get", "a" }, { { "GET /v1/kv/a", NULL, 200, "[" PAIR "]" } }, 0, "v1\n", "" },
        { "with a slash",  { "kv", "get", "/a" }, { { "GET /v1/kv/a", NULL, 200, "[" PAIR "]" } }, 0, "v1\n", "" },
        { "as base64",     { "kv", "get", "-base64", "a" }, { { "GET /v1/kv/a", NULL, 200, "[" PAIR "]" } }, 0, "djE=\n", "" },
        { "in detail",     { "kv", "get", "-detailed", "a" }, { { "GET /v1/kv/a", NULL, 200, "[" PAIR "]" } }, 0, PAIR_TEXT, "" },
        { "missing",       { "kv", "get", "a" }, { { "GET /v1/kv/a", NULL, 404, "" } }, 1, "", "Error! No key exists at: a\n" },
        { "all",           { "kv", "get", "-recurse" }, { { "GET /v1/kv/?recurse", NULL, 200, "[" PAIR "," LOCKED "]" } }, 0, "a:v1\nb:\n", "" },
        { "all in detail", { "kv", "get", "-recurse", "-detailed", "p" }, { { "GET /v1/kv/p?recurse", NULL, 200, "[" PAIR "," LOCKED "]" } }, 0, PAIR_TEXT "\n" LOCKED_TEXT, "" },
        { "none",          { "kv", "get", "-recurse", "p" }, { { "GET /v1/kv/p?recurse", NULL, 404, "" } }, 0, "", "" },
        { "keys",          { "kv", "get", "-keys", "p" }, { { "GET /v1/kv/p?keys&separator=%2F", NULL, 200, "[\"p/a\",\"p/b/\"]" } }, 0, "p/a\np/b/\n", "" },
        { "other keys",    { "kv", "get", "-keys", "-separator=-" }, { { "GET /v1/kv/?keys&separator=-", NULL, 200, "[\"a\"]" } }, 0, "a\n", "" },
        { "no keys",       { "kv", "get", "-keys", "p" }, { { "GET /v1/kv/p?keys&separator=%2F", NULL, 404, "" } }, 0, "", "" },
        { "elsewhere",     { "kv", "get", "-datacenter=dc2", "-stale", "a" }, { { "GET /v1/kv/a?dc=dc2&stale", NULL, 200, "[" PAIR "]" } }, 0, "v1\n", "" },
        { "no key",        { "kv", "get" }, { { NULL } }, 1, "", "Error! Missing KEY argument\n" },
        { "too much",      { "kv", "get", "a", "b" }, { { NULL } }, 1, "", "Error! Too many arguments (expected 1, got 2)\n" },
        { "an error",      { "kv", "get", "a" }, { { "GET /v1/kv/a", NULL, 500, "x" } }, 1, "", "Error querying Consul agent: Unexpected response code: 500 (x)\n" },
        { "nonsense",      { "kv", "get", "a" }, { { "GET /v1/kv/a", NULL, 200, "{}" } }, 1, "", "Error querying Consul agent: the answer is no list\n" },
        { "no base64",     { "kv", "get", "a" }, { { "GET /v1/kv/a", NULL, 200, "[{\"Value\":\"!\"}]" } }, 1, "", "Error querying Consul agent: the value is not base64\n" },
        { "cut off",       { "kv", "get", "a" }, { { "GET /v1/kv/a", NULL, 0, NULL } }, 1, "", "Error querying Consul agent: Get \"http://127.0.0.1:$PORT/v1/kv/a\": EOF\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

#define EXPORTED                                                       \
    "[\n\t{\n\t\t\"key\": \"a\",\n\t\t\"flags\": 42,\n\t\t\"value\": " \
    "\"djE=\"\n\t},\n\t{\n\t\t\"key\": "                               \
    "\"b\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"\"\n\t}\n]\n"

static void kv_export(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "everything",  { "kv", "export" }, { { "GET /v1/kv/?recurse", NULL, 200, "[" PAIR "," LOCKED "]" } }, 0, EXPORTED, "" },
        { "a prefix",    { "kv", "export", "/p" }, { { "GET /v1/kv/p?recurse", NULL, 404, "" } }, 0, "[]\n", "" },
        { "an error",    { "kv", "export" }, { { "GET /v1/kv/?recurse", NULL, 500, "x" } }, 1, "", "Error querying Consul agent: Unexpected response code: 500 (x)\n" },
        { "nonsense",    { "kv", "export" }, { { "GET /v1/kv/?recurse", NULL, 200, "{}" } }, 1, "", "Error querying Consul agent: the answer is no list\n" },
        { "too much",    { "kv", "export", "a", "b" }, { { NULL } }, 1, "", "Error! Too many arguments (expected 1, got 2)\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

static void kv_import(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "as exported", { "kv", "import", EXPORTED }, { { "PUT /v1/kv/a?flags=42", "v1", 200, "true" }, { "PUT /v1/kv/b", NULL, 200, "true" } }, 0, "Imported: a\nImported: b\n", "" },
        { "below a key", { "kv", "import", "-prefix=p", "[{\"Key\":\"d/\",\"Value\":\"dg==\"}]" }, { { "PUT /v1/kv/p/d/", "v", 200, "true" } }, 0, "Imported: p/d/\n", "" },
        { "none",        { "kv", "import", "[]" }, { { NULL } }, 0, "", "" },
        { "an error",    { "kv", "import", "[{\"key\":\"a\"},{\"key\":\"b\"}]" }, { { "PUT /v1/kv/a", NULL, 500, "x" } }, 1, "", "Error! Failed writing data for key a: Unexpected response code: 500 (x)\n" },
        { "no base64",   { "kv", "import", "[{\"key\":\"a\",\"value\":\"!\"}]" }, { { NULL } }, 1, "", "Error base 64 decoding value for key a\n" },
        { "no key",      { "kv", "import", "[{}]" }, { { NULL } }, 1, "", "Error! An entry of the data has no key\n" },
        { "no object",   { "kv", "import", "[7]" }, { { NULL } }, 1, "", "Cannot unmarshal data: entry 1 is no object\n" },
        { "no list",     { "kv", "import", "{}" }, { { NULL } }, 1, "", "Cannot unmarshal data: a list is expected, not: object\n" },
        { "no data",     { "kv", "import" }, { { NULL } }, 1, "", "Error! Missing DATA argument\n" },
        { "empty",       { "kv", "import", "" }, { { NULL } }, 1, "", "Error! Empty DATA argument\n" },
        { "too much",    { "kv", "import", "a", "b" }, { { NULL } }, 1, "", "Error! Too many arguments (expected 1, got 2)\n" },
        { "no such file", { "kv", "import", "@/nowhere" }, { { NULL } }, 1, "", "Error! Failed to read file: open /nowhere: No such file or directory\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

static void kv_delete(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "one",         { "kv", "delete", "a" }, { { "DELETE /v1/kv/a", NULL, 200, "true" } }, 0, "Success! Deleted key: a\n", "" },
        { "a prefix",    { "kv", "delete", "-recurse", "p" }, { { "DELETE /v1/kv/p?recurse", NULL, 200, "true" } }, 0, "Success! Deleted keys with prefix: p\n", "" },
        { "everything",  { "kv", "delete", "-recurse" }, { { "DELETE /v1/kv/?recurse", NULL, 200, "true" } }, 0, "Success! Deleted keys with prefix: \n", "" },
        { "cas",         { "kv", "delete", "-cas", "-modify-index=3", "a" }, { { "DELETE /v1/kv/a?cas=3", NULL, 200, "true" } }, 0, "Success! Deleted key: a\n", "" },
        { "cas refused", { "kv", "delete", "-cas", "-modify-index=3", "a" }, { { "DELETE /v1/kv/a?cas=3", NULL, 200, "false" } }, 1, "", "Error! Did not delete key a: CAS failed\n" },
        { "an error",    { "kv", "delete", "a" }, { { "DELETE /v1/kv/a", NULL, 500, "x" } }, 1, "", "Error deleting key a: Unexpected response code: 500 (x)\n" },
        { "no key",      { "kv", "delete" }, { { NULL } }, 1, "", "Error! Missing KEY argument\n" },
        { "both",        { "kv", "delete", "-cas", "-recurse", "a" }, { { NULL } }, 1, "", "Cannot specify both -cas and -recurse!\n" },
        { "index alone", { "kv", "delete", "-modify-index=1", "a" }, { { NULL } }, 1, "", "Cannot specify -modify-index without -cas!\n" },
        { "cas alone",   { "kv", "delete", "-cas", "a" }, { { NULL } }, 1, "", "Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

static void lock_and_snapshot(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "no number",  { "lock", "-n=x", "p", "true" }, { { NULL } }, 1, "", "Lock holder limit must be between 1 and 1000000, not \"x\"\n" },
        { "none",       { "lock", "-n=0", "p", "true" }, { { NULL } }, 1, "", "Lock holder limit must be between 1 and 1000000, not \"0\"\n" },
        { "no retries", { "lock", "-monitor-retry=x", "p", "true" }, { { NULL } }, 1, "", "Number for 'monitor-retry' must be between 0 and 1000000, not \"x\"\n" },
        { "no prefix",  { "lock", "", "true" }, { { NULL } }, 1, "", "Key prefix must not be empty\n" },
        { "no file",    { "snapshot", "save", "" }, { { NULL } }, 1, "", "Error creating snapshot file: the name of the file is empty\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

#define MOVED(key, to)                                                                            \
    "Unexpected response code: 301 (a key with //, /./ or /../ in its path cannot be asked for: " \
    "\"" key "\" leads to " to ")\n"

/* What would be answered there is about another key, and a GET. */
static void a_key_that_is_moved_is_an_error(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "put",    { "kv", "put", "a//1", "x" }, { { "PUT /v1/kv/a//1", "x", 301, "/v1/kv/a/1" } }, 1, "", "Error! Failed writing data: " MOVED("a//1", "/v1/kv/a/1") },
        { "delete", { "kv", "delete", "a//1" }, { { "DELETE /v1/kv/a//1", NULL, 301, "/v1/kv/a/1" } }, 1, "", "Error deleting key a//1: " MOVED("a//1", "/v1/kv/a/1") },
        { "get",    { "kv", "get", "a/../b" }, { { "GET /v1/kv/a/../b", NULL, 301, "/v1/kv/b" } }, 1, "", "Error querying Consul agent: " MOVED("a/../b", "/v1/kv/b") },
        { "export", { "kv", "export", "a//" }, { { "GET /v1/kv/a//?recurse", NULL, 301, "/v1/kv/a/?recurse" } }, 1, "", "Error querying Consul agent: " MOVED("a//", "/v1/kv/a/?recurse") },
        { "import", { "kv", "import", "[{\"key\":\"a//1\"}]" }, { { "PUT /v1/kv/a//1", NULL, 301, "/v1/kv/a/1" } }, 1, "", "Error! Failed writing data for key a//1: " MOVED("a//1", "/v1/kv/a/1") },
        { "a write elsewhere", { "reload" }, { { "PUT /v1/agent/reload", NULL, 301, "/x" } }, 1, "", "Error reloading: Unexpected response code: 301 (it leads to /x)\n" },
        { "a question elsewhere", { "catalog", "datacenters" }, { { "GET /v1/catalog/datacenters", NULL, 301, "/x" }, { "GET /x", NULL, 200, "[\"dc1\"]" } }, 0, "dc1\n", "" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

/* -- the cluster ------------------------------------------------------------------------------- */

#define MEMBER(name, addr, status, tags)                                         \
    "{\"Name\":\"" name "\",\"Addr\":\"" addr "\",\"Port\":8301,\"Tags\":{" tags \
    "},\"Status\":" status ",\"ProtocolMin\":1,\"DelegateCur\":4}"
#define MEMBERS                                                                                                                \
    "[" MEMBER("zeta", "127.0.0.2", "4", "\"role\":\"node\",\"build\":\"1.9.8:abc\",\"vsn\":\"2\",\"dc\":\"dc1\"") "," MEMBER( \
        "s1", "::1", "1",                                                                                                      \
        "\"role\":\"consul\",\"build\":\"1.9.8\",\"vsn\":\"2\",\"dc\":\"dc1\"") "," MEMBER("alph"                              \
                                                                                           "a",                                \
                                                                                           "127."                              \
                                                                                           "0.0."                              \
                                                                                           "3",                                \
                                                                                           "3",                                \
                                                                                           "\"rol"                             \
                                                                                           "e\":"                              \
                                                                                           "\"nod"                             \
                                                                                           "e\","                              \
                                                                                           "\"bui"                             \
                                                                                           "ld\":"                             \
                                                                                           "\"1."                              \
                                                                                           "9."                                \
                                                                                           "8\","                              \
                                                                                           "\"vsn"                             \
                                                                                           "\":"                               \
                                                                                           "\"2\""                             \
                                                                                           ",\"dc"                             \
                                                                                           "\":"                               \
                                                                                           "\"dc1"                             \
                                                                                           "\"") "]"

static void members(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "all", { "members" }, { { "GET /v1/agent/members?segment=_all", NULL, 200, MEMBERS } }, 0,
          "Node   Address         Status  Type    Build  Protocol  DC   Segment\n"
          "s1     [::1]:8301      alive   server  1.9.8  2         dc1  <all>\n"
          "alpha  127.0.0.3:8301  left    client  1.9.8  2         dc1  <default>\n"
          "zeta   127.0.0.2:8301  failed  client  1.9.8  2         dc1  <default>\n", "" },
        { "in detail", { "members", "-detailed", "-status=^(left|alive)$" }, { { "GET /v1/agent/members?segment=_all", NULL, 200, MEMBERS } }, 0,
          "Node   Address         Status  Tags\n"
          "s1     [::1]:8301      alive   build=1.9.8,dc=dc1,role=consul,vsn=2\n"
          "alpha  127.0.0.3:8301  left    build=1.9.8,dc=dc1,role=node,vsn=2\n", "" },
        { "none matches", { "members", "-status=leaving" }, { { "GET /v1/agent/members?segment=_all", NULL, 200, MEMBERS } }, 2, "", "" },
        { "none at all", { "members", "-wan" }, { { "GET /v1/agent/members?segment=_all&wan=1", NULL, 200, "[]" } }, 2, "", "" },
        { "an error", { "members" }, { { "GET /v1/agent/members?segment=_all", NULL, 500, "x" } }, 1, "", "Error retrieving members: Unexpected response code: 500 (x)\n" },
        { "too much", { "members", "x" }, { { NULL } }, 1, "", "Too many arguments (expected 0, got 1)\n" },
        { "no regular expression", { "members", "-status=(" }, { { NULL } }, 1, "", "Failed to compile status regexp \"(\": Unmatched ( or \\(\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

static void joining_and_leaving(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "join",         { "join", "127.0.0.9" }, { { "PUT /v1/agent/join/127.0.0.9", NULL, 200, "" } }, 0, "Successfully joined cluster by contacting 1 nodes.\n", "" },
        { "join two, one of them", { "join", "-wan", "a", "b:1" }, { { "PUT /v1/agent/join/a?wan=1", NULL, 500, "x" }, { "PUT /v1/agent/join/b:1?wan=1", NULL, 200, "" } }, 0, "Successfully joined cluster by contacting 1 nodes.\n", "Error joining address 'a': Unexpected response code: 500 (x)\n" },
        { "join nobody",  { "join", "127.0.0.9" }, { { "PUT /v1/agent/join/127.0.0.9", NULL, 500, "1 error occurred:\n\t* Failed to join 127.0.0.9: x\n\n" } }, 1, "", "Error joining address '127.0.0.9': Unexpected response code: 500 (1 error occurred:\n\t* Failed to join 127.0.0.9: x\n\n)\nFailed to join any nodes.\n" },
        { "join what?",   { "join" }, { { NULL } }, 1, "", "At least one address to join must be specified.\n" },
        { "leave",        { "leave" }, { { "PUT /v1/agent/leave", NULL, 200, "" } }, 0, "Graceful leave complete\n", "" },
        { "gone already", { "leave" }, { { "PUT /v1/agent/leave", NULL, 0, NULL } }, 0, "Graceful leave complete\n", "" },
        { "leave fails",  { "leave" }, { { "PUT /v1/agent/leave", NULL, 500, "x" } }, 1, "", "Error leaving: Unexpected response code: 500 (x)\n" },
        { "force",        { "force-leave", "n1" }, { { "PUT /v1/agent/force-leave/n1", NULL, 200, "" } }, 0, "", "" },
        { "force and prune", { "force-leave", "-prune", "n 1" }, { { "PUT /v1/agent/force-leave/n%201?prune=1", NULL, 200, "" } }, 0, "", "" },
        { "force nobody", { "force-leave", "nope" }, { { "PUT /v1/agent/force-leave/nope", NULL, 500, "agent: No node found with name 'nope'" } }, 1, "", "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'nope')\n" },
        { "force whom?",  { "force-leave" }, { { NULL } }, 1, "", "A single node name must be specified to force-leave.\n" },
        { "info",         { "info" }, { { "GET /v1/agent/self", NULL, 200, "{\"Config\":{},\"Stats\":{\"serf_lan\":{\"members\":\"1\"},\"agent\":{\"b\":\"2\",\"a\":\"1\"}}}" } }, 0, "agent:\n\ta = 1\n\tb = 2\nserf_lan:\n\tmembers = 1\n", "" },
        { "info of nothing", { "info" }, { { "GET /v1/agent/self", NULL, 200, "{}" } }, 1, "", "Error querying agent: the answer has no Stats\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

/* -- the catalog and services ------------------------------------------------------------------ */

#define NODES                                                                                      \
    "[{\"ID\":\"87f5181f-dafa-e714-567c-fa22ef8f4bc3\",\"Node\":\"n1\",\"Address\":\"127.0.0.1\"," \
    "\"Datacenter\":\"dc1\",\"TaggedAddresses\":{\"wan\":\"127.0.0.1\",\"lan\":\"127.0.0.1\"},"    \
    "\"Meta\":{\"k\":\"v\"},\"CreateIndex\":5,\"ModifyIndex\":6},{\"ID\":\"\",\"Node\":\"ext\","   \
    "\"Address\":\"10.0.0.1\",\"Datacenter\":\"dc1\",\"TaggedAddresses\":null,\"Meta\":null}]"

static void catalog(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "nodes", { "catalog", "nodes" }, { { "GET /v1/catalog/nodes", NULL, 200, NODES } }, 0,
          "Node  ID        Address    DC\n"
          "n1    87f5181f  127.0.0.1  dc1\n"
          "ext             10.0.0.1   dc1\n", "" },
        { "nodes in detail", { "catalog", "nodes", "-detailed" }, { { "GET /v1/catalog/nodes", NULL, 200, NODES } }, 0,
          "Node  ID                                    Address    DC   TaggedAddresses               Meta\n"
          "n1    87f5181f-dafa-e714-567c-fa22ef8f4bc3  127.0.0.1  dc1  lan=127.0.0.1, wan=127.0.0.1  k=v\n"
          "ext                                         10.0.0.1   dc1                                \n", "" },
        { "some nodes", { "catalog", "nodes", "-near=_agent", "-node-meta=a=b", "-node-meta=c=d=e", "-filter=Node == x" }, { { "GET /v1/catalog/nodes?near=_agent&node-meta=a%3Ab&node-meta=c%3Ad%3De&filter=Node%20%3D%3D%20x", NULL, 200, "[]" } }, 0, "No nodes match the given query - try expanding your search.\n", "" },
        { "nodes of a service", { "catalog", "nodes", "-service=web" }, { { "GET /v1/catalog/service/web", NULL, 200, "[{\"Node\":\"n1\",\"ID\":\"a-b\",\"Address\":\"x\",\"Datacenter\":\"dc1\",\"NodeMeta\":{},\"ServiceTags\":[]},{\"Node\":\"n1\",\"ID\":\"a-b\",\"Address\":\"x\",\"Datacenter\":\"dc1\"}]" } }, 0,
          "Node  ID  Address  DC\nn1    a   x        dc1\n", "" },
        { "nodes fail", { "catalog", "nodes" }, { { "GET /v1/catalog/nodes", NULL, 500, "x" } }, 1, "", "Error listing nodes: Unexpected response code: 500 (x)\n" },
        { "services", { "catalog", "services" }, { { "GET /v1/catalog/services", NULL, 200, "{\"web\":[\"b\",\"a\"],\"consul\":[]}" } }, 0, "consul\nweb\n", "" },
        { "services with tags", { "catalog", "services", "-tags" }, { { "GET /v1/catalog/services", NULL, 200, "{\"web\":[\"b\",\"a\"],\"db\":[\"c\"]}" } }, 0, "db       c\nweb      a,b\n", "" },
        { "services of a node", { "catalog", "services", "-node=n1" }, { { "GET /v1/catalog/node/n1", NULL, 200, "{\"Node\":{},\"Services\":{\"w2\":{\"Service\":\"web\",\"Tags\":[]},\"w1\":{\"Service\":\"web\",\"Tags\":[]},\"d\":{\"Service\":\"db\",\"Tags\":null}}}" } }, 0, "db\nweb\n", "" },
        { "services of nobody", { "catalog", "services", "-node=n1" }, { { "GET /v1/catalog/node/n1", NULL, 200, "null" } }, 0, "No services match the given query - try expanding your search.\n", "" },
        { "services fail", { "catalog", "services" }, { { "GET /v1/catalog/services", NULL, 403, "Permission denied" } }, 1, "", "Error listing services: Unexpected response code: 403 (Permission denied)\n" },
        { "no pair", { "catalog", "services", "-node-meta=a=b" }, { { "GET /v1/catalog/services?node-meta=a%3Ab", NULL, 200, "[]" } }, 1, "", "Error listing services: the answer is no object\n" },
        { "datacenters", { "catalog", "datacenters" }, { { "GET /v1/catalog/datacenters", NULL, 200, "[\"dc1\",\"dc2\"]" } }, 0, "dc1\ndc2\n", "" },
        { "datacenters fail", { "catalog", "datacenters" }, { { "GET /v1/catalog/datacenters", NULL, 200, "[" } }, 1, "", "Error listing datacenters: unexpected EOF\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

static void services(void **state)
{
    static const struct row rows[] = {
        // clang-format off
        { "by flags", { "services", "register", "-name=web", "-id=w1", "-port=80", "-tag=a", "-tag=b", "-meta=k=v", "-tagged-address=lan=10.0.0.1:81" }, { { "PUT /v1/agent/service/register", "{\"Meta\":{\"k\":\"v\"},\"ID\":\"w1\",\"Name\":\"web\",\"Tags\":[\"a\",\"b\"],\"Port\":80,\"TaggedAddresses\":{\"lan\":{\"Address\":\"10.0.0.1\",\"Port\":81}}}", 200, "" } }, 0, "Registered service: web\n", "" },
        { "refused", { "services", "register", "-name=web" }, { { "PUT /v1/agent/service/register", "{\"Name\":\"web\"}", 400, "x" } }, 1, "", "Error registering service \"web\": Unexpected response code: 400 (x)\n" },
        { "nothing", { "services", "register" }, { { NULL } }, 1, "", "Service registration requires at least one argument or flags.\n" },
        { "both", { "services", "register", "-name=a", "f.json" }, { { NULL } }, 1, "", "Service registration requires arguments or -name, not both.\n" },
        { "bad port", { "services", "register", "-name=a", "-port=70000" }, { { NULL } }, 1, "", "Error: Service port 70000 is outside 0..65535\n" },
        { "bad address", { "services", "register", "-name=a", "-tagged-address=a=b:x" }, { { NULL } }, 1, "", "Error: Unable to parse service address: b:x\n" },
        { "no file", { "services", "register", "/nowhere/f.json" }, { { NULL } }, 1, "", "Error: config: Open failed on /nowhere/f.json. open /nowhere/f.json: no such file or directory\n" },
        { "no configuration", { "services", "register", "/dev/null" }, { { NULL } }, 1, "", "Error: /dev/null: no service is defined here (skipping file /dev/null, extension must be .hcl or .json, or config format must be set)\n" },
        { "off", { "services", "deregister", "-id=w1" }, { { "PUT /v1/agent/service/deregister/w1", NULL, 200, "" } }, 0, "Deregistered service: w1\n", "" },
        { "off, unknown", { "services", "deregister", "-id=w1" }, { { "PUT /v1/agent/service/deregister/w1", NULL, 404, "x" } }, 1, "", "Error deregistering service \"w1\": Unexpected response code: 404 (x)\n" },
        { "off, nothing", { "services", "deregister" }, { { NULL } }, 1, "", "Service deregistration requires at least one argument or -id.\n" },
        { "off, both", { "services", "deregister", "-id=a", "f" }, { { NULL } }, 1, "", "Service deregistration requires arguments or -id, not both.\n" },
    }; // clang-format on

    (void)state;
    check_rows(rows, MU_LEN(rows));
}

static void services_from_a_file(void **state)
{
    static const char text[] =
        "service { name = \"web\" id = \"w1\" port = 80 }\nservices { name = \"db\" }";
    char path[128];
    const struct row rows[] = {
        // clang-format off
        { "register", { "services", "register", path }, { { "PUT /v1/agent/service/register", "{\"ID\":\"w1\",\"Name\":\"web\",\"Port\":80}", 200, "" }, { "PUT /v1/agent/service/register", "{\"ID\":\"db\",\"Name\":\"db\"}", 200, "" } }, 0, "Registered service: web\nRegistered service: db\n", "" },
        { "deregister", { "services", "deregister", path }, { { "PUT /v1/agent/service/deregister/w1", NULL, 200, "" }, { "PUT /v1/agent/service/deregister/db", NULL, 500, "x" } }, 1, "Deregistered service: w1\n", "Error deregistering service \"db\": Unexpected response code: 500 (x)\n" },
    }; // clang-format on

    (void)state;
    (void)snprintf(path, sizeof path, "%s/services.hcl", scratch_dir());
    assert_int_equal(mu_file_replace(path, MU_SPAN_LIT(text), 0600, NULL), MU_OK);
    check_rows(rows, MU_LEN(rows));
}

/* -- whom is asked, and as who ----------------------------------------------------------------- */

static void headers_of(const char *const *args, struct mu_buf *headers)
{
    static const struct exchange exchanges[EXCHANGES_MAX] = {
        { "PUT /v1/agent/leave", NULL, 200, "" },
    };
    struct server s;
    struct ran r;

    server_start(&s, exchanges);
    (void)snprintf(environment.address, sizeof environment.address, "http://127.0.0.1:%u/", s.port);
    run_with_input(&r, args, "");
    server_stop(&s);
    assert_int_equal(r.status, 0);
    *headers = s.headers;
    mu_buf_deinit(&s.seen);
    ran_free(&r);
}

static void a_token_comes_from_flag_or_environment(void **state)
{
    const char *const plain[ARGS_MAX] = { "leave" };
    const char *const flag[ARGS_MAX] = { "leave", "-token=flag" };
    struct mu_buf headers;

    (void)state;
    headers_of(plain, &headers);
    assert_null(strstr(mu_buf_text(&headers), "X-Consul-Token"));
    mu_buf_deinit(&headers);
    environment.token = "env";
    environment.auth = "user:pass";
    headers_of(plain, &headers);
    assert_non_null(strstr(mu_buf_text(&headers), "X-Consul-Token: env\r\n"));
    assert_non_null(strstr(mu_buf_text(&headers), "Authorization: Basic dXNlcjpwYXNz\r\n"));
    mu_buf_deinit(&headers);
    headers_of(flag, &headers);
    assert_non_null(strstr(mu_buf_text(&headers), "X-Consul-Token: flag\r\n"));
    mu_buf_deinit(&headers);
    environment.token = environment.auth = NULL;
}

static void run_with(struct ran *r, const char *address, const char *ssl)
{
    const char *const args[ARGS_MAX] = { "leave" };

    (void)snprintf(environment.address, sizeof environment.address, "%s", address);
    environment.ssl = ssl;
    run_with_input(r, args, "");
    environment.ssl = NULL;
}

static void what_cannot_be_asked_says_why(void **state)
{
    static const struct {
        const char *why, *address, *ssl, *err;
    } rows[] = {
        // clang-format off
        { "https",        "https://127.0.0.1:8501", NULL, "Error leaving: https://127.0.0.1:8501: https is not supported yet, use http:// or unix://\n" },
        { "https by environment", "127.0.0.1:8501", "true", "Error leaving: 127.0.0.1:8501: https is not supported yet, use http:// or unix://\n" },
        { "other scheme", "ftp://127.0.0.1", NULL, "Error leaving: Unknown protocol scheme: ftp\n" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct ran r;

        run_with(&r, rows[i].address, rows[i].ssl);
        if (r.status != 1 || strcmp(r.err, rows[i].err) != 0) {
            fail_msg("%s: gave %d '%s'", rows[i].why, r.status, r.err);
        }
        ran_free(&r);
    }
}

static void a_unix_socket_is_asked_too(void **state)
{
    static const struct exchange exchanges[EXCHANGES_MAX] = {
        { "PUT /v1/agent/leave", NULL, 200, "" },
    };
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    char address[128];
    struct server s = { .fd = socket(AF_UNIX, SOCK_STREAM, 0) };
    struct ran r;

    (void)state;
    assert_true(s.fd >= 0);
    (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s/sock", scratch_dir());
    assert_int_equal(bind(s.fd, (struct sockaddr *)&sa, sizeof sa), 0);
    server_run(&s, exchanges);
    (void)snprintf(address, sizeof address, "unix://%s", sa.sun_path);
    run_with(&r, address, NULL);
    server_stop(&s);
    assert_string_equal(r.err, "");
    assert_string_equal(r.out, "Graceful leave complete\n");
    assert_string_equal(mu_buf_text(&s.seen), "PUT /v1/agent/leave\n");
    mu_buf_deinit(&s.seen);
    mu_buf_deinit(&s.headers);
    ran_free(&r);
}

static void a_port_alone_is_one_of_this_machine(void **state)
{
    static const struct exchange exchanges[EXCHANGES_MAX] = {
        { "PUT /v1/agent/leave", NULL, 200, "" },
    };
    char address[64];
    struct server s;
    struct ran r;

    (void)state;
    server_start(&s, exchanges);
    (void)snprintf(address, sizeof address, ":%u", s.port);
    run_with(&r, address, NULL);
    server_stop(&s);
    assert_string_equal(r.err, "");
    assert_string_equal(r.out, "Graceful leave complete\n");
    mu_buf_deinit(&s.seen);
    mu_buf_deinit(&s.headers);
    ran_free(&r);
}

static void nobody_there_is_said_in_go_s_words(void **state)
{
    static const struct exchange none[EXCHANGES_MAX] = { { NULL, NULL, 0, NULL } };
    char address[64], expected[256];
    struct server s;
    struct ran r;

    (void)state;
    server_start(&s, none); /* a port that was free a moment ago, and nobody listens on it now */
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", s.port);
    server_stop(&s);
    run_with(&r, address, NULL);
    (void)snprintf(expected, sizeof expected,
                   "Error leaving: Put \"http://%s/v1/agent/leave\": dial tcp %s: connect: "
                   "connection refused\n",
                   address, address);
    assert_string_equal(r.err, expected);
    assert_int_equal(r.status, 1);
    ran_free(&r);
}

/* -- without an agent -------------------------------------------------------------------------- */

static void run_alone(struct ran *r, const char *one, const char *two)
{
    const char *const args[ARGS_MAX] = { one, two };

    run_with_input(r, args, "");
}

static void the_list_is_printed(void **state)
{
    static const struct {
        const char *one, *two;
        int status;
        bool on_out;
        const char *begins;
    } rows[] = {
        // clang-format off
        { NULL,     NULL,    127, false, "Usage: muster [--version] [--help] <command>" },
        { "nope",   NULL,    127, false, "muster: unknown command: nope\nUsage: muster [--version]" },
        { "-x=y",   "kv",    127, false, "muster: unknown option (a command comes first): -x=y\nUsage: muster" },
        { "help",   NULL,    0,   true,  "Usage: muster [--version] [--help] <command>" },
        { "-h",     NULL,    0,   true,  "Usage: muster [--version] [--help] <command>" },
        { "--help", NULL,    0,   true,  "Usage: muster [--version] [--help] <command>" },
        { "kv",     NULL,    1,   false, "Usage: muster kv <subcommand>" },
        { "kv",     "nope",  1,   false, "kv: unknown command: nope\nUsage: muster kv <subcommand>" },
        { "kv",     "-help", 0,   true,  "Usage: muster kv <subcommand>" },
        { "join",   "-h",    0,   true,  "Usage: muster join [options] ADDRESS..." },
        { "join",   "-x",    1,   false, "flag provided but not defined: -x\nUsage: muster join" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct ran r;

        run_alone(&r, rows[i].one, rows[i].two);
        const char *said = rows[i].on_out ? r.out : r.err;
        const char *other = rows[i].on_out ? r.err : r.out;

        if (r.status != rows[i].status || other[0] != '\0' ||
            strncmp(said, rows[i].begins, strlen(rows[i].begins)) != 0) {
            fail_msg("%s %s: gave %d '%s' '%s'", rows[i].one, rows[i].two, r.status, r.out, r.err);
        }
        ran_free(&r);
    }
}

#define PROTOCOL                                                                               \
    "Protocol 2 spoken by default, understands 2 to 3 (agent will automatically use protocol " \
    ">2 when speaking to compatible agents)\n\n"

static void the_version_is_consul_s_with_ours(void **state)
{
    static const struct {
        const char *one, *two;
        int status;
        const char *out, *err;
    } rows[] = {
        // clang-format off
        { "version",   NULL,             0, "Consul v1.9.8\nRevision muster-0.1.0\n" PROTOCOL, "" },
        { "--version", NULL,             0, "Consul v1.9.8\nRevision muster-0.1.0\n" PROTOCOL, "" },
        { "-v",        NULL,             0, "Consul v1.9.8\nRevision muster-0.1.0\n" PROTOCOL, "" },
        { "version",   "-format=json",   0, "{\n   \"Version\": \"1.9.8\",\n   \"Revision\": \"muster-0.1.0\",\n   \"Prerelease\": \"\",\n   \"RPC\": {\n      \"Default\": 2,\n      \"Min\": 2,\n      \"Max\": 3\n   }\n}\n", "" },
        { "version",   "-format=xml",    1, "", "Unknown format: xml. Valid formats are: pretty, json\n" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct ran r;

        run_alone(&r, rows[i].one, rows[i].two);
        assert_int_equal(r.status, rows[i].status);
        assert_string_equal(r.out, rows[i].out);
        assert_string_equal(r.err, rows[i].err);
        ran_free(&r);
    }
}

static void files_are_validated(void **state)
{
    struct ran r;

    (void)state;
    run_alone(&r, "validate", NULL);
    assert_string_equal(r.err, "Must specify at least one config file or directory\n");
    assert_int_equal(r.status, 1);
    ran_free(&r);
    run_alone(&r, "validate", "../deploy/example.json");
    assert_string_equal(r.out, "Configuration is valid!\n");
    assert_int_equal(r.status, 0);
    ran_free(&r);
    run_alone(&r, "validate", "/nowhere");
    assert_string_equal(r.err, "Config validation failed: config: Open failed on /nowhere. open "
                               "/nowhere: no such file or directory\n");
    assert_int_equal(r.status, 1);
    ran_free(&r);
}

static void every_row_is_sane(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_commands_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        const char *space = strchr(c->name, ' ');

        if (c->summary == NULL || c->summary[strlen(c->summary) - 1] == '.') {
            fail_msg("%s: the summary ends without a period", c->name);
        }
        if (c->run != NULL && c->arguments == NULL) {
            fail_msg("%s: its arguments are not said", c->name);
        }
        if (i > 0 && strcmp(cli_commands[i - 1].name, c->name) >= 0) {
            fail_msg("%s is not in its place", c->name);
        }
        for (size_t j = 0; c->options != NULL && j < c->options->count; j++) {
            const char *help = c->options->rows[j].help;

            if (help == NULL || help[strlen(help) - 1] != '.') {
                fail_msg("%s -%s: the help is a sentence", c->name, c->options->rows[j].name);
            }
        }
        if (space == NULL) {
            continue;
        }
        bool has_first = false; /* a group, or a command itself, as serf's `keys` is */

        for (size_t j = 0; j < i; j++) {
            has_first = has_first ||
                        (strlen(cli_commands[j].name) == (size_t)(space - c->name) &&
                         strncmp(cli_commands[j].name, c->name, (size_t)(space - c->name)) == 0);
        }
        if (!has_first) {
            fail_msg("%s: nothing begins so", c->name);
        }
    }
}

/* A word too many is more likely a mistake than nothing: none is dropped in silence. */
static void no_word_and_no_flag_is_ignored(void **state)
{
    (void)state;
    environment.address[0] = '\0';
    for (size_t i = 0; i < cli_commands_count; i++) {
        const struct cli_command *c = &cli_commands[i];
        const char *args[ARGS_MAX] = { NULL };
        char name[64];
        size_t count = 0;
        struct ran r;

        if (c->run == NULL || c->reads_flags) {
            continue;
        }
        (void)snprintf(name, sizeof name, "%s", c->name);
        for (char *rest = NULL, *word = strtok_r(name, " ", &rest); word != NULL;
             word = strtok_r(NULL, " ", &rest)) {
            args[count++] = word;
        }
        args[count] = "-bogus";
        run_with_input(&r, args, "");
        if (r.status != 1 || strstr(r.err, "flag provided but not defined: -bogus") == NULL) {
            fail_msg("%s -bogus: %d %s", c->name, r.status, r.err);
        }
        ran_free(&r);
        args[count] = "surplus";
        if (c->arguments[0] == '\0') {
            run_with_input(&r, args, "");
            if (r.status != 1 || (strstr(r.err, "Too many ") == NULL)) {
                fail_msg("%s surplus: %d %s", c->name, r.status, r.err);
            }
            ran_free(&r);
        }
    }
}

static void words_are_refused_where_they_would_mean_something_else(void **state)
{
    static const char *const names[] = { "leave", "tags" };

    (void)state;
    for (size_t i = 0; i < MU_LEN(names); i++) {
        const char *args[ARGS_MAX] = { "serf", names[i], "n2", NULL };
        struct ran r;

        run_with_input(&r, args, "");
        assert_int_equal(r.status, 1);
        if (strstr(r.out, "Too many arguments (expected 0, got 1)\n\nUsage: muster serf ") !=
            r.out) {
            fail_msg("%s: %s", names[i], r.out);
        }
        ran_free(&r);
    }
}

/* `muster query` is not sent to `muster serf query`; a link named serf is told by its test. */
static void usage_shows_what_was_typed(void **state)
{
    const char *bare[ARGS_MAX] = { "query", NULL };
    const char *under_serf[ARGS_MAX] = { "serf", "query", NULL };
    struct ran r;

    (void)state;
    run_with_input(&r, bare, "");
    assert_int_equal(r.status, 1);
    assert_non_null(strstr(r.out, "\nUsage: muster query [options] NAME [PAYLOAD]\n"));
    ran_free(&r);
    run_with_input(&r, under_serf, "");
    assert_non_null(strstr(r.out, "\nUsage: muster serf query [options] NAME [PAYLOAD]\n"));
    ran_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kv_put),
        cmocka_unit_test(kv_get),
        cmocka_unit_test(kv_export),
        cmocka_unit_test(kv_import),
        cmocka_unit_test(kv_delete),
        cmocka_unit_test(lock_and_snapshot),
        cmocka_unit_test(a_key_that_is_moved_is_an_error),
        cmocka_unit_test(members),
        cmocka_unit_test(joining_and_leaving),
        cmocka_unit_test(catalog),
        cmocka_unit_test(services),
        cmocka_unit_test(services_from_a_file),
        cmocka_unit_test(a_token_comes_from_flag_or_environment),
        cmocka_unit_test(what_cannot_be_asked_says_why),
        cmocka_unit_test(a_unix_socket_is_asked_too),
        cmocka_unit_test(a_port_alone_is_one_of_this_machine),
        cmocka_unit_test(nobody_there_is_said_in_go_s_words),
        cmocka_unit_test(the_list_is_printed),
        cmocka_unit_test(the_version_is_consul_s_with_ours),
        cmocka_unit_test(files_are_validated),
        cmocka_unit_test(every_row_is_sane),
        cmocka_unit_test(no_word_and_no_flag_is_ignored),
        cmocka_unit_test(words_are_refused_where_they_would_mean_something_else),
        cmocka_unit_test(usage_shows_what_was_typed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
