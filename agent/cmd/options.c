/* Options of commands by table, in Go's syntax (base/flags.h). */
#include "cli.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/flags.h"
#include "base/mem.h"

#define AT(member) offsetof(struct cli_client, member)

static const struct cli_option client_rows[] = {
    // clang-format off
    { "http-addr",       CLI_TEXT, AT(http_addr),       "Address of the agent; http:// and unix:// may stand before it (CONSUL_HTTP_ADDR)." },
    { "token",           CLI_TEXT, AT(token),           "ACL token (CONSUL_HTTP_TOKEN)." },
    { "token-file",      CLI_TEXT, AT(token_file),      "A file that holds the token (CONSUL_HTTP_TOKEN_FILE)." },
    { "datacenter",      CLI_TEXT, AT(datacenter),      "Name of the datacenter to ask." },
    { "stale",           CLI_BOOL, AT(is_stale),        "Any server may answer, with what it has." },
    { "ca-file",         CLI_TEXT, AT(ca_file),         "Certificate authorities to trust (CONSUL_CACERT)." },
    { "ca-path",         CLI_TEXT, AT(ca_path),         "A directory of them (CONSUL_CAPATH)." },
    { "client-cert",     CLI_TEXT, AT(client_cert),     "Certificate of this client (CONSUL_CLIENT_CERT)." },
    { "client-key",      CLI_TEXT, AT(client_key),      "Its private key (CONSUL_CLIENT_KEY)." },
    { "tls-server-name", CLI_TEXT, AT(tls_server_name), "Name to expect in the agent's certificate (CONSUL_TLS_SERVER_NAME)." },
}; // clang-format on

const struct cli_options cli_client_options = CLI_OPTIONS(client_rows, struct cli_client);

static const struct cli_option *find(const struct cli_options *table, const struct mu_flags *f)
{
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        if (mu_flags_is(f, table->rows[i].name)) {
            return &table->rows[i];
        }
    }
    return NULL;
}

static enum mu_code add_text(struct cli_texts *list, struct mu_flags *f, struct mu_err *err)
{
    const char *value = NULL;
    enum mu_code rc = mu_flags_value(f, &value, err);

    if (rc == MU_OK) {
        list->items = mu_grow(list->items, (list->count + 1) * sizeof *list->items);
        list->items[list->count++] = value;
    }
    return rc;
}

static enum mu_code add_pair(struct cli_texts *list, struct mu_flags *f, struct mu_err *err)
{
    enum mu_code rc = add_text(list, f, err);

    if (rc == MU_OK && strchr(list->items[list->count - 1], '=') == NULL) {
        return mu_fail(err, MU_INVALID,
                       "invalid value \"%s\" for flag -%.*s: missing = in key=value",
                       list->items[list->count - 1], MU_SPAN_FMT(f->name));
    }
    return rc;
}

static enum mu_code take_u64(uint64_t *to, struct mu_flags *f, struct mu_err *err)
{
    const char *value = NULL;
    enum mu_code rc = mu_flags_value(f, &value, err);

    if (rc == MU_OK && !mu_span_u64(mu_span_text(value), to)) {
        return mu_flags_bad_value(f, value, err);
    }
    return rc;
}

static enum mu_code take_switch(enum cli_switch *to, struct mu_flags *f, struct mu_err *err)
{
    bool is_on = false;
    enum mu_code rc = mu_flags_bool(f, &is_on, err);

    if (rc == MU_OK) {
        *to = is_on ? CLI_ON : CLI_OFF;
    }
    return rc;
}

static enum mu_code take(const struct cli_option *row, void *base, struct mu_flags *f,
                         struct mu_err *err)
{
    void *to = (uint8_t *)base + row->offset;

    switch (row->as) {
    case CLI_BOOL: return mu_flags_bool(f, to, err);
    case CLI_SWITCH: return take_switch(to, f, err);
    case CLI_TEXT: return mu_flags_value(f, to, err);
    case CLI_TEXTS: return add_text(to, f, err);
    case CLI_PAIRS: return add_pair(to, f, err);
    case CLI_U64: return take_u64(to, f, err);
    }
    MU_UNREACHABLE_CODE();
}

enum mu_code cli_read(struct cli *cli, const struct cli_command *command, int argc,
                      const char *const *argv, void *options, int *at, struct mu_err *err)
{
    struct mu_flags f = mu_flags_of(argc, argv);
    enum mu_code rc;

    while ((rc = mu_flags_next(&f, err)) == MU_OK) {
        const struct cli_option *own = find(command->options, &f);
        const struct cli_option *client =
            command->asks_agent ? find(&cli_client_options, &f) : NULL;

        if (mu_flags_is_help(&f)) {
            return MU_NOT_FOUND;
        }
        if (own != NULL) {
            rc = take(own, options, &f, err);
        } else if (client != NULL) {
            rc = take(client, &cli->client, &f, err);
        } else {
            rc = mu_flags_unknown(&f, err);
        }
        if (rc != MU_OK) {
            return rc;
        }
    }
    *at = f.at;
    return rc == MU_NOT_FOUND ? MU_OK : rc;
}

void cli_options_free(const struct cli_options *table, void *options)
{
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        if (table->rows[i].as == CLI_TEXTS || table->rows[i].as == CLI_PAIRS) {
            struct cli_texts *list = (void *)((uint8_t *)options + table->rows[i].offset);

            mu_free(list->items);
        }
    }
    mu_free(options);
}

/* -- help -------------------------------------------------------------------------------------- */

static void add_rows(const char *title, const struct cli_options *table, struct mu_buf *to)
{
    if (table == NULL || table->count == 0) {
        return;
    }
    mu_buf_addf(to, "%s\n\n", title);
    for (size_t i = 0; i < table->count; i++) {
        bool is_plain = table->rows[i].as == CLI_BOOL || table->rows[i].as == CLI_SWITCH;

        mu_buf_addf(to, "  -%s%s\n     %s\n\n", table->rows[i].name, is_plain ? "" : "=<value>",
                    table->rows[i].help);
    }
}

void cli_help(const struct cli_command *command, struct mu_buf *to)
{
    mu_buf_addf(to, "Usage: muster %s [options]%s%s\n\n  %s.\n\n", command->name,
                command->arguments[0] != '\0' ? " " : "", command->arguments, command->summary);
    add_rows("Command Options", command->options, to);
    if (command->asks_agent) {
        add_rows("HTTP API Options", &cli_client_options, to);
    }
}

bool cli_duration(struct cli *cli, const char *name, const char *text, uint64_t fallback_ms,
                  uint64_t *out)
{
    char why[128];
    int64_t ns = 0;

    *out = fallback_ms;
    if (text == NULL) {
        return true;
    }
    if (!mu_duration_parse(mu_span_text(text), &ns, why, sizeof why) || ns < 0) {
        (void)cli_fail(cli, "invalid value \"%s\" for flag -%s: %s", text, name,
                       ns < 0 ? "must not be negative" : why);
        return false;
    }
    *out = (uint64_t)(ns / MU_NS_PER_MS);
    return true;
}
