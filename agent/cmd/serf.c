/* muster serf: the table of Serf's commands, and the way to each. */
#include "serf.h"

#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "commands.h"

#define EXIT_UNKNOWN 127

const struct cli_command serf_commands[] = {
    // clang-format off
    { .name = "event", .run = serf_run_event, .arguments = "NAME [PAYLOAD]", .summary = "Send a custom event through the Serf cluster", .options = &serf_event_options },
    { .name = "force-leave", .run = serf_run_force_leave, .arguments = "NAME", .summary = "Forces a member of the cluster to enter the \"left\" state", .options = &serf_force_leave_options },
    { .name = "info", .run = serf_run_info, .arguments = "", .summary = "Provides debugging information for operators", .options = &serf_info_options },
    { .name = "join", .run = serf_run_join, .arguments = "ADDRESS...", .summary = "Tell Serf agent to join cluster", .options = &serf_join_options },
    { .name = "keygen", .run = serf_run_keygen, .arguments = "", .summary = "Generates a new encryption key" },
    { .name = "keys", .run = serf_run_keys, .arguments = "", .summary = "Manipulate the internal encryption keyring used by Serf", .options = &serf_keys_options },
    { .name = "leave", .run = serf_run_leave, .arguments = "", .summary = "Gracefully leaves the Serf cluster and shuts down", .options = &serf_leave_options },
    { .name = "members", .run = serf_run_members, .arguments = "", .summary = "Lists the members of a Serf cluster", .options = &serf_members_options },
    { .name = "monitor", .run = serf_run_monitor, .arguments = "", .summary = "Stream logs from a Serf agent", .options = &serf_monitor_options },
    { .name = "query", .run = serf_run_query, .arguments = "NAME [PAYLOAD]", .summary = "Send a query to the Serf cluster", .options = &serf_query_options },
    { .name = "reachability", .run = serf_run_reachability, .arguments = "", .summary = "Test network reachability", .options = &serf_reachability_options },
    { .name = "rtt", .run = serf_run_rtt, .arguments = "NODE1 [NODE2]", .summary = "Estimates network round trip time between nodes", .options = &serf_rtt_options },
    { .name = "tags", .run = serf_run_tags, .arguments = "", .summary = "Modify tags of a running Serf agent", .options = &serf_tags_options },
    { .name = "version", .run = serf_run_version, .arguments = "", .summary = "Prints the Serf version" },
}; // clang-format on

const size_t serf_commands_count = MU_LEN(serf_commands);

/* -- what commands have in common ---------------------------------------------------------------
 */

int serf_fail(struct cli *cli, const char *prefix, const char *text)
{
    (void)fprintf(cli->out, "%s: %s\n", prefix, text);
    return 1;
}

const char *serf_words(const struct cli *cli)
{
    return cli->serf_words != NULL ? cli->serf_words : "muster serf";
}

static void print_help(const struct cli *cli, FILE *to)
{
    struct mu_buf text = MU_BUF_NONE;

    cli_help(cli->command, &text);
    (void)fprintf(to, "Usage: %s %s", serf_words(cli),
                  mu_buf_text(&text) + strlen("Usage: muster "));
    mu_buf_deinit(&text);
}

int serf_usage(struct cli *cli, const char *sentence)
{
    if (sentence != NULL) {
        (void)fprintf(cli->out, "%s\n\n", sentence);
    }
    print_help(cli, cli->out);
    return 1;
}

void serf_print_flag_error(struct cli *cli, const struct mu_err *err)
{
    const char *ours = strstr(err->text, ", expected "); /* Serf leaves it at what was wrong */
    size_t bytes = ours != NULL ? (size_t)(ours - err->text) : strlen(err->text);

    (void)fprintf(cli->err, "%.*s\n", (int)bytes, err->text);
}

/* What could end a script element is escaped, as Go does it; it stands in strings only. */
static void print_escaped(FILE *to, struct mu_span line)
{
    for (size_t i = 0; i < line.bytes; i++) {
        if (line.data[i] == '<' || line.data[i] == '>' || line.data[i] == '&') {
            (void)fprintf(to, "\\u%04x", line.data[i]);
        } else {
            (void)fputc(line.data[i], to);
        }
    }
    (void)fputc('\n', to);
}

/* Ours is indented by four; no string holds a line break of its own. */
void serf_print_json(struct cli *cli, const struct mu_buf *text)
{
    struct mu_span rest = mu_buf_span(text);

    while (rest.bytes > 0) {
        struct mu_span line = mu_span_split(rest, '\n', &rest, NULL);
        size_t blanks = 0;

        while (blanks < line.bytes && line.data[blanks] == ' ') {
            blanks++;
        }
        print_escaped(cli->out, mu_span_sub(line, blanks - blanks / 2, line.bytes));
    }
}

/* -- the list -----------------------------------------------------------------------------------
 */

static int print_all(struct cli *cli, bool is_asked)
{
    (void)fprintf(cli->err, "Usage: serf [--version] [--help] <command> [<args>]\n\n"
                            "Available commands are:\n"
                            "    agent           Runs a Serf agent\n");
    for (size_t i = 0; i < serf_commands_count; i++) {
        (void)fprintf(cli->err, "    %-15s %s\n", serf_commands[i].name, serf_commands[i].summary);
    }
    (void)fprintf(cli->err, "\n");
    return is_asked ? 0 : EXIT_UNKNOWN;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(word, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* Others drop words that they have no use for, as Serf's do: `serf leave n2` takes this node away,
 * not n2, and of `serf tags -set a=b c=d` half would be lost. Rather a question than that. */
static bool refuses_words(const struct cli_command *command)
{
    static const char *const names[] = { "leave", "tags", NULL };

    return is_one_of(command->name, names);
}

static int run(struct cli *cli, const struct cli_command *command, int argc,
               const char *const *argv)
{
    void *options = mu_new(command->options != NULL ? command->options->bytes : 1);
    struct mu_err err = MU_ERR_NONE;
    int at = 0, status = 0;

    cli->command = command;
    enum mu_code rc = cli_read(cli, command, argc, argv, options, &at, &err);

    if (rc == MU_OK && argc > at && refuses_words(command)) {
        char text[64];

        (void)snprintf(text, sizeof text, "Too many arguments (expected 0, got %d)", argc - at);
        status = serf_usage(cli, text);
    } else if (rc == MU_OK) {
        status = command->run(cli, options, argc - at, argv + at);
    } else if (rc == MU_NOT_FOUND) {
        print_help(cli, cli->err);
    } else {
        serf_print_flag_error(cli, &err);
        status = serf_usage(cli, NULL);
    }
    cli_options_free(command->options, options);
    return status;
}

/* Those that Consul has no word for mean the same without `serf` before them. */
int cmd_serf_same(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const char **words = mu_new_array((size_t)argc + 1, sizeof *words);

    words[0] = cli->command->name;
    for (int i = 0; i < argc; i++) {
        words[i + 1] = argv[i];
    }
    cli->serf_words = "muster";
    int status = cmd_serf(cli, options, argc + 1, words);

    mu_free(words);
    return status;
}

int cmd_serf(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    static const char *const help[] = { "-h", "-help", "--help", NULL };
    static const char *const version[] = { "-v", "-version", "--version", NULL };

    (void)options;
    if (argc == 0 || is_one_of(argv[0], help)) {
        return print_all(cli, argc > 0);
    }
    const char *name = is_one_of(argv[0], version) ? "version" : argv[0];

    if (strcmp(name, "agent") == 0) {
        return serf_run_agent(cli, argc - 1, argv + 1);
    }

    for (size_t i = 0; i < serf_commands_count; i++) {
        if (strcmp(serf_commands[i].name, name) == 0) {
            return run(cli, &serf_commands[i], argc - 1, argv + 1);
        }
    }
    (void)fprintf(cli->err, "serf: unknown command: %s\n", name);
    return print_all(cli, false);
}
