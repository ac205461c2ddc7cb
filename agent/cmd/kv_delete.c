/* muster kv delete */
#include "base/assert.h"
#include "commands.h"

struct options {
    bool is_cas, is_recursive;
    uint64_t modify_index;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "cas",          CLI_BOOL, AT(is_cas),       "Only if the key still has -modify-index." },
    { "modify-index", CLI_U64,  AT(modify_index), "What -cas expects." },
    { "recurse",      CLI_BOOL, AT(is_recursive), "Remove all keys below the prefix." },
}; // clang-format on

#undef AT

const struct cli_options cmd_kv_delete_options = CLI_OPTIONS(rows, struct options);

static int say_failed(struct cli *cli, const struct options *o, const char *key, const char *why)
{
    if (o->is_recursive) {
        return cli_fail(cli, "Error! Did not delete prefix %s: %s", key, why);
    }
    if (o->is_cas) {
        return cli_fail(cli, "Error! Did not delete key %s: %s", key, why);
    }
    return cli_fail(cli, "Error deleting key %s: %s", key, why);
}

static int remove_key(struct cli *cli, const struct options *o, const char *key)
{
    struct cli_call c;
    char number[24];
    int status = 0;

    cli_call_init(&c, "DELETE", "/v1/kv/");
    cli_call_add(&c, key, true);
    if (o->is_recursive) {
        cli_call_param(&c, "recurse", NULL);
    } else if (o->is_cas) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)o->modify_index);
        cli_call_param(&c, "cas", number);
    }
    if (!cli_send(cli, &c)) {
        status = say_failed(cli, o, key, c.error);
    } else if (!mu_span_starts(mu_buf_span(&c.answer), MU_SPAN_LIT("true"))) {
        status = cli_fail(cli, "Error! Did not delete key %s: CAS failed", key);
    } else {
        (void)fprintf(cli->out, "Success! Deleted key%s: %s\n",
                      o->is_recursive ? "s with prefix" : "", key);
    }
    cli_call_deinit(&c);
    return status;
}

int cmd_kv_delete(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    const char *key = argc > 0 ? argv[0] : "";

    if (argc > 1) {
        return cli_fail(cli, "Error! Too many arguments (expected 1, got %d)", argc);
    }
    key += key[0] == '/' ? 1 : 0;
    if (key[0] == '\0' && !o->is_recursive) {
        return cli_fail(cli, "Error! Missing KEY argument");
    }
    if (o->is_cas && o->is_recursive) {
        return cli_fail(cli, "Cannot specify both -cas and -recurse!");
    }
    if (o->modify_index != 0 && !o->is_cas) {
        return cli_fail(cli, "Cannot specify -modify-index without -cas!");
    }
    if (o->is_cas && o->modify_index == 0) {
        return cli_fail(cli, "Cannot delete a key that does not exist. Provide a -modify-index "
                             "greater than than 0."); /* [sic], as the reference says it */
    }
    return remove_key(cli, o, key);
}
