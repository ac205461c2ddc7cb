/* muster kv put */
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "commands.h"
#include "kv_data.h"

struct options {
    bool is_cas, is_base64, acquires, releases;
    uint64_t modify_index, flags;
    const char *session;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "acquire",      CLI_BOOL, AT(acquires),     "Take the lock on the key; needs -session." },
    { "base64",       CLI_BOOL, AT(is_base64),    "The data is base64; store what it stands for." },
    { "cas",          CLI_BOOL, AT(is_cas),       "Only if the key still has -modify-index; 0: only if there is no such key." },
    { "flags",        CLI_U64,  AT(flags),        "A number to keep beside the value." },
    { "modify-index", CLI_U64,  AT(modify_index), "What -cas expects." },
    { "release",      CLI_BOOL, AT(releases),     "Give the lock back; needs -session." },
    { "session",      CLI_TEXT, AT(session),      "The session that the lock belongs to." },
}; // clang-format on

#undef AT

const struct cli_options cmd_kv_put_options = CLI_OPTIONS(rows, struct options);

/* -- the call ---------------------------------------------------------------------------------- */

static void make_call(const struct options *o, const char *key, const struct mu_buf *data,
                      struct cli_call *c)
{
    char number[24];

    cli_call_init(c, "PUT", "/v1/kv/");
    cli_call_add(c, key, true);
    if (o->flags != 0) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)o->flags);
        cli_call_param(c, "flags", number);
    }
    if (o->is_cas) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)o->modify_index);
        cli_call_param(c, "cas", number);
    } else if (o->acquires) {
        cli_call_param(c, "acquire", o->session);
    } else if (o->releases) {
        cli_call_param(c, "release", o->session);
    }
    c->body = mu_buf_span(data);
}

static int say_refused(struct cli *cli, const struct options *o, const char *key)
{
    if (o->is_cas && o->modify_index == 0) {
        return cli_fail(cli,
                        "Error! Did not write to %s: CAS performed with index=0 and key already "
                        "exists.",
                        key);
    }
    if (o->is_cas) {
        return cli_fail(cli, "Error! Did not write to %s: CAS failed", key);
    }
    return cli_fail(cli, "Error! Did not %s lock", o->acquires ? "acquire" : "release");
}

static int put(struct cli *cli, const struct options *o, const char *key, const struct mu_buf *data)
{
    struct cli_call c;
    int status = 0;

    make_call(o, key, data, &c);
    if (!cli_send(cli, &c)) {
        status = o->is_cas ? cli_fail(cli, "Error! Did not write to %s: %s", key, c.error)
                           : cli_fail(cli, "Error! Failed writing data: %s", c.error);
    } else if (!mu_span_starts(mu_buf_span(&c.answer), MU_SPAN_LIT("true"))) {
        status = say_refused(cli, o, key);
    } else if (!o->is_cas && (o->acquires || o->releases)) {
        (void)fprintf(cli->out, "Success! Lock %s on: %s\n", o->acquires ? "acquired" : "released",
                      key);
    } else {
        (void)fprintf(cli->out, "Success! Data written to: %s\n", key);
    }
    cli_call_deinit(&c);
    return status;
}

int cmd_kv_put(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct mu_buf data = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    int status;

    if (argc == 0) {
        return cli_fail(cli, "Error! Missing KEY argument");
    }
    if (argc > 2) {
        return cli_fail(cli, "Error! Too many arguments (expected 1 or 2, got %d)", argc);
    }
    if ((o->acquires || o->releases) && o->session == NULL) {
        return cli_fail(cli, "Error! Missing -session (required with -acquire and -release)");
    }
    if (argv[0][0] == '/') {
        return cli_fail(cli,
                        "Error! Failed writing data: Invalid key. Key must not begin with a '/': "
                        "%s",
                        argv[0]);
    }
    enum mu_code rc = argc == 2 ? kv_data_read(cli, argv[1], MU_KV_VALUE_MAX, &data, &err) : MU_OK;

    if (rc == MU_OK && o->is_base64) {
        struct mu_buf bytes = MU_BUF_NONE;

        rc = kv_data_decode(mu_buf_span(&data), &bytes, &err);
        mu_buf_deinit(&data);
        data = bytes;
    }
    status = rc == MU_OK ? put(cli, o, argv[0], &data) : cli_fail(cli, "Error! %s", err.text);
    mu_buf_deinit(&data);
    return status;
}
