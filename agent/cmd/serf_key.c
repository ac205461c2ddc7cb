/* muster serf keygen, keys, version. */
#include <string.h>

#include "base/assert.h"
#include "commands.h"
#include "serf.h"

/* -- keygen, version ----------------------------------------------------------------------------
 */

int serf_run_keygen(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    (void)argc; /* Consul's refuses words */
    return cmd_keygen(cli, options, 0, argv);
}

/* The numbers of the protocol that clients of this port speak. */
int serf_run_version(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    (void)options;
    (void)argc;
    (void)argv;
    (void)fprintf(cli->out, "0.8.2-dev\nAgent Protocol: 5 (Understands back to: 2)\n");
    return 0;
}

/* -- keys ---------------------------------------------------------------------------------------
 */

struct keys_options {
    struct serf_flags flags;
    const char *install, *use, *remove;
    bool lists;
};

static const struct cli_option keys_rows[] = {
    // clang-format off
    SERF_FLAG_ROWS,
    { "install", CLI_TEXT, offsetof(struct keys_options, install), "Install this key on all members." },
    { "use",     CLI_TEXT, offsetof(struct keys_options, use),     "Make this key the primary one; it is installed." },
    { "remove",  CLI_TEXT, offsetof(struct keys_options, remove),  "Remove this key, which is not the primary one." },
    { "list",    CLI_BOOL, offsetof(struct keys_options, lists),   "List the keys and how many members have each." },
}; // clang-format on

const struct cli_options serf_keys_options = CLI_OPTIONS(keys_rows, struct keys_options);

static const struct key_row {
    const char *command, *begins, *done, *prefix;
} rows[] = {
    // clang-format off
    { "install-key", "Installing key on all members...",       "Successfully installed key!",               "Error installing key" },
    { "use-key",     "Changing primary key on all members...", "Successfully changed primary key!",         "Error changing primary key" },
    { "remove-key",  "Removing key on all members...",         "Successfully removed key!",                 "Error removing key" },
    { "list-keys",   "Asking all members for installed keys...", "Keys gathered, listing cluster keys...", "Failed to gather member keys" },
}; // clang-format on

/* Columns of what each says, by name; nothing when nobody does. */
static void print_failures(struct cli *cli, const struct ipc_value *messages)
{
    struct cli_table t;

    cli_table_init(&t, 3, 2);
    for (size_t i = 0; messages != NULL && messages->kind == IPC_MAP && i < messages->many.count;
         i++) {
        const struct ipc_value *name = &messages->many.items[2 * i];

        if (name->kind == IPC_TEXT && name[1].kind == IPC_TEXT) {
            cli_table_cell(&t, "failed:");
            cli_table_cell_span(&t, name->text);
            cli_table_cell_span(&t, name[1].text);
        }
    }
    if (t.cells_count > 0) {
        cli_table_print(&t, cli->out);
    }
    (void)fputc('\n', cli->out);
    cli_table_deinit(&t);
}

static void print_keys(struct cli *cli, const struct ipc_value *answer)
{
    const struct ipc_value *keys = serf_find(answer, "Keys");
    const struct ipc_value *nodes = serf_find(answer, "NumNodes");
    unsigned long long total = nodes != NULL && nodes->kind == IPC_UINT ? nodes->u : 0;
    struct cli_table t;

    (void)fputc('\n', cli->out);
    cli_table_init(&t, 2, 2);
    for (size_t i = 0; keys != NULL && keys->kind == IPC_MAP && i < keys->many.count; i++) {
        const struct ipc_value *key = &keys->many.items[2 * i];

        if (key->kind == IPC_TEXT && key[1].kind == IPC_UINT) {
            char count[64];

            (void)snprintf(count, sizeof count, "[%llu/%llu]", (unsigned long long)key[1].u, total);
            cli_table_cell_span(&t, key->text);
            cli_table_cell(&t, count);
        }
    }
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

static int run_row(struct serf_client *c, const struct key_row *row, const char *key)
{
    struct serf_reply reply = { .value = NULL };

    (void)fprintf(c->cli->out, "==> %s\n", row->begins);
    (void)fflush(c->cli->out);
    (void)serf_begin(c, row->command);
    if (key != NULL) {
        ipc_put_map(&c->out, 1);
        ipc_put_text(&c->out, "Key");
        ipc_put_text(&c->out, key);
    }
    serf_send(c);
    if (!serf_read(c, true, &reply)) {
        print_failures(c->cli, serf_find(reply.value, "Messages"));
        return serf_fail(c->cli, row->prefix, c->error);
    }
    (void)fprintf(c->cli->out, "==> %s\n", row->done);
    if (key == NULL) {
        print_keys(c->cli, reply.value);
    }
    return 0;
}

int serf_run_keys(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct keys_options *o = options;
    const char *keys[] = { o->install, o->use, o->remove };
    const struct key_row *row = o->lists ? &rows[3] : NULL;
    const char *key = NULL;
    struct serf_client c;
    unsigned count = o->lists;
    int status = 1;

    (void)argc;
    (void)argv;
    for (size_t i = 0; i < MU_LEN(keys); i++) {
        if (keys[i] != NULL && keys[i][0] != '\0') {
            count++;
            row = &rows[i];
            key = keys[i];
        }
    }
    if (row == NULL) {
        return serf_usage(cli, NULL);
    }
    if (count > 1) {
        (void)fprintf(cli->out, "Only one of -install, -use, -remove, or -list allowed\n");
        return 1;
    }
    if (serf_open(&c, cli, &o->flags)) {
        status = run_row(&c, row, key);
    }
    serf_close(&c);
    return status;
}
