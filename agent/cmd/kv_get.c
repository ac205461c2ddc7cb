/* muster kv get */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "commands.h"
#include "kv_data.h"

struct options {
    bool is_base64, is_detailed, is_keys, is_recursive;
    const char *separator;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "base64",    CLI_BOOL, AT(is_base64),    "Print values as base64." },
    { "detailed",  CLI_BOOL, AT(is_detailed),  "Print what is known beside the value." },
    { "keys",      CLI_BOOL, AT(is_keys),      "Print the keys below a prefix." },
    { "recurse",   CLI_BOOL, AT(is_recursive), "Print all keys below a prefix with their values." },
    { "separator", CLI_TEXT, AT(separator),    "Cut keys behind this; default: /." },
}; // clang-format on

#undef AT

const struct cli_options cmd_kv_get_options = CLI_OPTIONS(rows, struct options);

struct pair {
    struct mu_span key, value, session; /* value: base64 */
    uint64_t create_index, modify_index, lock_index, flags;
};

#define AT(member) offsetof(struct pair, member)

static const struct mu_json_field pair_fields[] = {
    { "Key", { NULL }, MU_JSON_AS_TEXT, AT(key), NULL },
    { "Value", { NULL }, MU_JSON_AS_TEXT, AT(value), NULL },
    { "Session", { NULL }, MU_JSON_AS_TEXT, AT(session), NULL },
    { "CreateIndex", { NULL }, MU_JSON_AS_UINT, AT(create_index), NULL },
    { "ModifyIndex", { NULL }, MU_JSON_AS_UINT, AT(modify_index), NULL },
    { "LockIndex", { NULL }, MU_JSON_AS_UINT, AT(lock_index), NULL },
    { "Flags", { NULL }, MU_JSON_AS_UINT, AT(flags), NULL },
};

#undef AT

static const struct mu_json_shape pair_shape = CLI_SHAPE(pair_fields, struct pair);

/* -- printing ---------------------------------------------------------------------------------- */

/* The value as it is to be shown. False: what came is not base64. */
static bool shown_value(const struct options *o, const struct pair *p, struct mu_buf *to)
{
    struct mu_err err = MU_ERR_NONE;

    if (o->is_base64) {
        mu_buf_add_span(to, p->value);
        return true;
    }
    return kv_data_decode(p->value, to, &err) == MU_OK;
}

static void print_detailed(struct cli *cli, const struct pair *p, const struct mu_buf *value)
{
    (void)fprintf(cli->out, "CreateIndex      %" PRIu64 "\n", p->create_index);
    (void)fprintf(cli->out, "Flags            %" PRIu64 "\n", p->flags);
    (void)fprintf(cli->out, "Key              %.*s\n", MU_SPAN_FMT(p->key));
    (void)fprintf(cli->out, "LockIndex        %" PRIu64 "\n", p->lock_index);
    (void)fprintf(cli->out, "ModifyIndex      %" PRIu64 "\n", p->modify_index);
    (void)fprintf(cli->out, "Session          %.*s\n",
                  MU_SPAN_FMT(p->session.bytes > 0 ? p->session : MU_SPAN_LIT("-")));
    (void)fprintf(cli->out, "Value            ");
    cli_print_span(cli->out, mu_buf_span(value));
}

static int print_pair(struct cli *cli, const struct options *o, const struct pair *p)
{
    struct mu_buf value = MU_BUF_NONE;
    int status = 0;

    if (!shown_value(o, p, &value)) {
        status = cli_fail(cli, "Error querying Consul agent: the value is not base64");
    } else if (o->is_detailed) {
        print_detailed(cli, p, &value);
    } else {
        if (o->is_recursive) {
            (void)fprintf(cli->out, "%.*s:", MU_SPAN_FMT(p->key));
        }
        cli_print_span(cli->out, mu_buf_span(&value));
    }
    mu_buf_deinit(&value);
    return status;
}

static int print_pairs(struct cli *cli, const struct options *o, const struct cli_call *c)
{
    struct mu_objects list = { NULL, 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    if (cli_read_list(c, &pair_shape, &list, &arena, &err) != MU_OK) {
        status = cli_fail(cli, "Error querying Consul agent: %s", err.text);
    }
    for (size_t i = 0; status == 0 && i < list.count; i++) {
        if (i > 0 && o->is_detailed) {
            (void)fputc('\n', cli->out);
        }
        status = print_pair(cli, o, (const struct pair *)list.items + i);
    }
    mu_arena_deinit(&arena);
    return status;
}

/* -- the call ---------------------------------------------------------------------------------- */

static void make_call(const struct options *o, const char *key, struct cli_call *c)
{
    cli_call_init(c, "GET", "/v1/kv/");
    cli_call_add(c, key, true);
    if (o->is_keys) {
        cli_call_param(c, "keys", NULL);
        if (!o->is_recursive) {
            cli_call_param(c, "separator", o->separator != NULL ? o->separator : "/");
        }
    } else if (o->is_recursive) {
        cli_call_param(c, "recurse", NULL);
    }
}

static int get(struct cli *cli, const struct options *o, const char *key)
{
    struct cli_call c;
    int status;

    make_call(o, key, &c);
    if (cli_send(cli, &c)) {
        status = o->is_keys ? cli_print_texts(cli, &c, "Error querying Consul agent")
                            : print_pairs(cli, o, &c);
    } else if (c.status != 404) {
        status = cli_fail(cli, "Error querying Consul agent: %s", c.error);
    } else {
        status =
            o->is_keys || o->is_recursive ? 0 : cli_fail(cli, "Error! No key exists at: %s", key);
    }
    cli_call_deinit(&c);
    return status;
}

int cmd_kv_get(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    const char *key = argc > 0 ? argv[0] : "";

    if (argc > 1) {
        return cli_fail(cli, "Error! Too many arguments (expected 1, got %d)", argc);
    }
    key += key[0] == '/' ? 1 : 0; /* no key begins with it, but people write it */
    if (key[0] == '\0' && !o->is_keys && !o->is_recursive) {
        return cli_fail(cli, "Error! Missing KEY argument");
    }
    return get(cli, o, key);
}
