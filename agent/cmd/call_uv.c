/* One question to an agent, on a loop that lives as long as the question.
 *
 * Flags win over the environment, as in the reference: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN,
 * CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_AUTH, CONSUL_HTTP_SSL.
 */
#include "asker.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>
#include <uv.h>

#include "agent/http_client.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/mem.h"

#define ADDRESS_DEFAULT "127.0.0.1:8500"
#define TOKEN_BYTES_MAX 4096
#define REDIRECTS_MAX   10

/* -- the question ------------------------------------------------------------------------------ */

void cli_call_init(struct cli_call *c, const char *method, const char *path)
{
    *c = (struct cli_call){ .method = method };
    mu_buf_add_text(&c->target, path);
}

void cli_call_deinit(struct cli_call *c)
{
    mu_buf_deinit(&c->target);
    mu_buf_deinit(&c->answer);
    mu_buf_deinit(&c->needs_restart);
}

static void add_escaped(struct mu_buf *to, const char *text, const char *kept)
{
    for (; *text != '\0'; text++) {
        if (isalnum((unsigned char)*text) || strchr(kept, *text) != NULL) {
            mu_buf_add_byte(to, (uint8_t)*text);
        } else {
            mu_buf_addf(to, "%%%02X", (unsigned)(unsigned char)*text);
        }
    }
}

void cli_call_add(struct cli_call *c, const char *segment, bool keeps_slashes)
{
    add_escaped(&c->target, segment, keeps_slashes ? "-_.~$&+:=@/" : "-_.~$&+:=@");
    c->key = keeps_slashes ? segment : c->key;
}

void cli_call_param(struct cli_call *c, const char *name, const char *value)
{
    mu_buf_addf(&c->target, "%c%s", c->has_query ? '&' : '?', name);
    c->has_query = true;
    if (value != NULL) {
        mu_buf_add_byte(&c->target, '=');
        add_escaped(&c->target, value, "-_.~");
    }
}

void cli_call_node_meta(struct cli_call *c, const struct cli_texts *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        struct mu_buf text = MU_BUF_NONE;
        struct mu_span value;
        struct mu_span key = mu_span_split(mu_span_text(pairs->items[i]), '=', &value, NULL);

        mu_buf_addf(&text, "%.*s:%.*s", MU_SPAN_FMT(key), MU_SPAN_FMT(value));
        cli_call_param(c, "node-meta", mu_buf_text(&text));
        mu_buf_deinit(&text);
    }
}

/* -- whom to ask, and as who ------------------------------------------------------------------- */

static const char *said(const struct cli *cli, const char *flag, const char *name)
{
    const char *value = flag != NULL ? flag : cli->env(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

void asker_close(struct asker *a)
{
    mu_buf_deinit(&a->url);
    mu_buf_deinit(&a->token);
    mu_buf_deinit(&a->basic);
}

static void add_header(struct asker *a, const char *name, const struct mu_buf *value)
{
    MU_ASSERT(a->headers_count < ASKER_HEADERS_MAX);
    a->headers[a->headers_count++] = (struct mu_header){ mu_span_text(name), mu_buf_span(value) };
}

static enum mu_code take_token(struct cli *cli, struct asker *a, struct mu_err *err)
{
    const char *file = said(cli, cli->client.token_file, "CONSUL_HTTP_TOKEN_FILE");
    const char *token = said(cli, cli->client.token, "CONSUL_HTTP_TOKEN");

    if (cli->client.token == NULL && file != NULL) {
        enum mu_code rc = mu_file_read(file, TOKEN_BYTES_MAX, &a->token, err);

        if (rc != MU_OK) {
            return mu_wrap(err, rc, "Error loading token file");
        }
        while (a->token.bytes > 0 && isspace(a->token.data[a->token.bytes - 1])) {
            a->token.bytes--;
        }
    } else if (token != NULL) {
        mu_buf_add_text(&a->token, token);
    }
    if (a->token.bytes > 0) {
        add_header(a, "X-Consul-Token", &a->token);
    }
    return MU_OK;
}

/* CONSUL_HTTP_AUTH: user:password */
static void take_auth(struct cli *cli, struct asker *a)
{
    const char *auth = said(cli, NULL, "CONSUL_HTTP_AUTH");
    const int variant = sodium_base64_VARIANT_ORIGINAL;

    if (auth == NULL) {
        return;
    }
    size_t room = sodium_base64_encoded_len(strlen(auth), variant);

    mu_buf_add_text(&a->basic, "Basic ");
    (void)sodium_bin2base64((char *)mu_buf_reserve(&a->basic, room), room,
                            (const unsigned char *)auth, strlen(auth), variant);
    a->basic.bytes += room - 1; /* room counts the NUL */
    add_header(a, "Authorization", &a->basic);
}

static bool wants_tls(struct cli *cli, const char *address)
{
    const char *ssl = said(cli, NULL, "CONSUL_HTTP_SSL");
    bool on = false;

    if (strstr(address, "://") != NULL) {
        return strncmp(address, "https://", strlen("https://")) == 0;
    }
    return ssl != NULL && mu_flags_parse_bool(mu_span_text(ssl), &on) && on;
}

static enum mu_code take_address(struct cli *cli, struct asker *a, struct mu_err *err)
{
    const char *address = said(cli, cli->client.http_addr, "CONSUL_HTTP_ADDR");

    address = address != NULL ? address : ADDRESS_DEFAULT;
    if (wants_tls(cli, address)) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "%s: https is not supported yet, use http:// or unix://", address);
    }
    if (strncmp(address, "unix://", strlen("unix://")) == 0) {
        mu_buf_add_text(&a->url, address);
        a->base = mu_buf_text(&a->url);
        a->is_socket = true;
        return MU_OK;
    }
    if (strncmp(address, "http://", strlen("http://")) == 0) {
        address += strlen("http://");
    } else if (strstr(address, "://") != NULL) {
        return mu_fail(err, MU_INVALID, "Unknown protocol scheme: %.*s",
                       (int)(strstr(address, "://") - address), address);
    }
    size_t bytes = strlen(address);

    while (bytes > 0 && address[bytes - 1] == '/') {
        bytes--;
    }
    /* a port alone is one of this machine; "::1" would be no port */
    bool is_port = address[0] == ':' && address[1] != ':';

    mu_buf_addf(&a->url, "http://%s%.*s", is_port ? "localhost" : "", (int)bytes, address);
    a->base = mu_buf_text(&a->url);
    return MU_OK;
}

/* -- the answer -------------------------------------------------------------------------------- */

struct pending {
    struct cli_call *call;
    bool is_done;
};

static bool on_part(void *data, struct mu_span bytes)
{
    struct pending *p = data;

    return fwrite(bytes.data, 1, bytes.bytes, p->call->to) == bytes.bytes;
}

static bool on_source(void *data, void *to, size_t room, size_t *got)
{
    struct pending *p = data;

    *got = fread(to, 1, room, p->call->from);
    return ferror(p->call->from) == 0;
}

static uint64_t file_bytes(FILE *file)
{
    struct stat st;

    return fstat(fileno(file), &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* What stands behind "Error ...: " when the answer is not 200. */
static void say_status(struct cli_call *c, const struct http_client_response *response,
                       struct mu_span location)
{
    if (location.bytes == 0) {
        (void)snprintf(c->error, sizeof c->error, "Unexpected response code: %u (%.*s)", c->status,
                       MU_SPAN_FMT(response->body));
    } else if (c->key == NULL) {
        (void)snprintf(c->error, sizeof c->error, "Unexpected response code: %u (it leads to %.*s)",
                       c->status, MU_SPAN_FMT(location));
    } else {
        (void)snprintf(c->error, sizeof c->error,
                       "Unexpected response code: %u (a key with //, /./ or /../ in its path "
                       "cannot be asked for: \"%s\" leads to %.*s)",
                       c->status, c->key, MU_SPAN_FMT(location));
    }
}

static void on_answer(void *data, enum mu_code code, const struct http_client_response *response,
                      const struct mu_err *err)
{
    struct pending *p = data;
    struct cli_call *c = p->call;
    struct mu_span location = MU_SPAN_NONE;

    p->is_done = true;
    c->code = code;
    if (code != MU_OK) {
        (void)snprintf(c->error, sizeof c->error, "%s", err->text); /* Get "http://...": ... */
        return;
    }
    c->status = response->status;
    for (size_t i = 0; i < response->headers_count; i++) {
        if (mu_span_eq_fold(response->headers[i].name, MU_SPAN_LIT("X-Consul-Index"))) {
            (void)mu_span_u64(response->headers[i].value, &c->index);
        }
        if (mu_span_eq_fold(response->headers[i].name, MU_SPAN_LIT("X-Muster-Needs-Restart"))) {
            mu_buf_add_span(&c->needs_restart, response->headers[i].value);
        }
        if (mu_span_eq_fold(response->headers[i].name, MU_SPAN_LIT("Location"))) {
            location = response->headers[i].value;
        }
    }
    mu_buf_add_span(&c->answer, response->body);
    if (c->status != 200) {
        say_status(c, response, location);
    }
}

/* Only a question can be asked elsewhere: what writes would become a GET there, and another key is
 * not the one that was meant. */
static unsigned redirects_max(const struct cli_call *c)
{
    return c->key == NULL && strcmp(c->method, "GET") == 0 ? REDIRECTS_MAX : 0;
}

enum mu_code asker_open(struct cli *cli, struct asker *a, struct mu_err *err)
{
    *a = (struct asker){ .base = NULL };
    enum mu_code rc = take_address(cli, a, err);

    rc = rc == MU_OK ? take_token(cli, a, err) : rc;
    if (rc == MU_OK) {
        take_auth(cli, a);
    } else {
        asker_close(a);
    }
    return rc;
}

void asker_ask(struct asker *a, struct cli_call *c, struct uv_loop_s *loop,
               bool (*gives_up)(void *data), void *data)
{
    struct mu_buf url = MU_BUF_NONE;

    mu_buf_addf(&url, "%s%s", a->base, a->is_socket ? "" : mu_buf_text(&c->target));
    struct http_client_request request = {
        .method = c->method,
        .url = mu_buf_text(&url),
        .target = a->is_socket ? mu_buf_text(&c->target) : NULL,
        .headers = a->headers,
        .headers_count = a->headers_count,
        .body = c->body,
        .source = c->from != NULL ? on_source : NULL,
        .source_bytes = c->from != NULL ? file_bytes(c->from) : 0,
        .part = c->to != NULL ? on_part : NULL,
        .redirects_max = redirects_max(c),
    };
    struct pending p = { .call = c };
    struct http_client *client = http_client_start(loop, &request, on_answer, &p);

    mu_buf_deinit(&url);
    while (!p.is_done && (gives_up == NULL || !gives_up(data))) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    if (!p.is_done) {
        http_client_cancel(client);
        c->code = MU_CANCELLED;
    }
}

static void ask(struct cli_call *c, struct asker *a)
{
    uv_loop_t loop;

    if (uv_loop_init(&loop) != 0) {
        (void)snprintf(c->error, sizeof c->error, "the system gives no event loop");
        c->code = MU_IO;
        return;
    }
    asker_ask(a, c, &loop, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* what is being closed */
    int rc = uv_loop_close(&loop);

    MU_ASSERT(rc == 0);
}

bool cli_send(struct cli *cli, struct cli_call *c)
{
    struct asker a;
    struct mu_err err = MU_ERR_NONE;

    if (cli->client.datacenter != NULL) {
        cli_call_param(c, "dc", cli->client.datacenter);
    }
    if (cli->client.is_stale) {
        cli_call_param(c, "stale", NULL);
    }
    c->code = asker_open(cli, &a, &err);
    if (c->code == MU_OK) {
        ask(c, &a);
        asker_close(&a);
    } else {
        (void)snprintf(c->error, sizeof c->error, "%s", err.text);
    }
    return c->code == MU_OK && c->status == 200;
}
