/* From a command line to a row of commands.c, and from there to its function. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#define EXIT_UNKNOWN 127 /* as a shell says it */

int cli_fail(struct cli *cli, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vfprintf(cli->err, fmt, args);
    va_end(args);
    (void)fputc('\n', cli->err);
    return 1;
}

void cli_pause(uint64_t ms)
{
    struct timespec pause = { (time_t)(ms / 1000), (long)(ms % 1000 * MU_NS_PER_MS) };

    (void)nanosleep(&pause, NULL);
}

int cli_too_many(struct cli *cli, int expected, int argc, const char *const *argv)
{
    (void)cli_fail(cli, "Too many arguments (expected %d, got %d)", expected, argc);
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            return cli_fail(cli, "Options come before the arguments: %s", argv[i]);
        }
    }
    return 1;
}

/* -- the list ---------------------------------------------------------------------------------- */

/* The last word of a command's name, if the words before it are this group ("": none). */
static const char *word_in(const struct cli_command *c, const char *group)
{
    size_t bytes = strlen(group);
    const char *word = c->name;

    if (c->is_hidden || strncmp(word, group, bytes) != 0) {
        return NULL;
    }
    if (bytes > 0) {
        if (word[bytes] != ' ') {
            return NULL;
        }
        word += bytes + 1;
    }
    return strchr(word, ' ') == NULL ? word : NULL;
}

static void list(const char *group, struct mu_buf *to)
{
    int width = 14;

    for (size_t i = 0; i < cli_commands_count; i++) {
        const char *word = word_in(&cli_commands[i], group);
        int bytes = word != NULL ? (int)strlen(word) : 0;

        width = bytes > width ? bytes : width;
    }
    for (size_t i = 0; i < cli_commands_count; i++) {
        const char *word = word_in(&cli_commands[i], group);

        if (word != NULL) {
            mu_buf_addf(to, "    %-*s %s\n", width, word, cli_commands[i].summary);
        }
    }
    mu_buf_add_text(to, "\n");
}

static void list_all(struct mu_buf *to)
{
    mu_buf_add_text(to, "Usage: muster [--version] [--help] <command> [<args>]\n\n"
                        "Available commands are:\n");
    list("", to);
}

static void list_group(const char *group, struct mu_buf *to)
{
    mu_buf_addf(to, "Usage: muster %s <subcommand> [options] [args]\n\nSubcommands:\n", group);
    list(group, to);
}

static void print(FILE *to, struct mu_buf *text)
{
    (void)fwrite(text->data, 1, text->bytes, to);
    mu_buf_deinit(text);
}

/* -- which command ----------------------------------------------------------------------------- */

/* How many of the first words are this name; 0: they are not. */
static int words_of(const char *name, int argc, const char *const *argv)
{
    int words = 0;

    for (; words < argc; words++) {
        size_t bytes = strcspn(name, " ");

        if (strlen(argv[words]) != bytes || strncmp(argv[words], name, bytes) != 0) {
            return 0;
        }
        if (name[bytes] == '\0') {
            return words + 1;
        }
        name += bytes + 1;
    }
    return 0;
}

/* The row whose name is the most of the first words; *words says how many. */
static const struct cli_command *find(int argc, const char *const *argv, int *words)
{
    const struct cli_command *found = NULL;

    *words = 0;
    for (size_t i = 0; i < cli_commands_count; i++) {
        int count = words_of(cli_commands[i].name, argc, argv);

        if (count > *words) {
            *words = count;
            found = &cli_commands[i];
        }
    }
    return found;
}

static bool is_help(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0 ||
           strcmp(word, "help") == 0;
}

static bool is_version(const char *word)
{
    return strcmp(word, "-v") == 0 || strcmp(word, "-version") == 0 ||
           strcmp(word, "--version") == 0;
}

/* -- running one ------------------------------------------------------------------------------- */

static int run(struct cli *cli, const struct cli_command *command, int argc,
               const char *const *argv)
{
    void *options = mu_new(command->options != NULL ? command->options->bytes : 1);
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf help = MU_BUF_NONE;
    int at = 0, status;
    enum mu_code rc = MU_OK;

    cli->command = command;
    if (!command->reads_flags) {
        rc = cli_read(cli, command, argc, argv, options, &at, &err);
    }
    if (rc == MU_OK) {
        status = command->run(cli, options, argc - at, argv + at);
    } else {
        status = rc == MU_NOT_FOUND ? 0 : cli_fail(cli, "%s", err.text);
        cli_help(command, &help);
        print(status == 0 ? cli->out : cli->err, &help);
    }
    cli_options_free(command->options, options);
    return status;
}

static void add_unknown(const char *word, const char *of, struct mu_buf *to)
{
    mu_buf_addf(to, "%s: unknown %s: %s\n", of,
                word[0] == '-' ? "option (a command comes first)" : "command", word);
}

static int print_group(struct cli *cli, const struct cli_command *group, int argc,
                       const char *const *argv)
{
    struct mu_buf text = MU_BUF_NONE;
    bool asked = argc > 0 && is_help(argv[0]);

    if (argc > 0 && !asked) {
        add_unknown(argv[0], group->name, &text);
    }
    list_group(group->name, &text);
    print(asked ? cli->out : cli->err, &text);
    return asked ? 0 : 1;
}

static int print_all(struct cli *cli, int argc, const char *const *argv)
{
    struct mu_buf text = MU_BUF_NONE;
    bool asked = argc > 0 && is_help(argv[0]);

    if (argc > 0 && !asked) {
        add_unknown(argv[0], "muster", &text);
    }
    list_all(&text);
    print(asked ? cli->out : cli->err, &text);
    return asked ? 0 : EXIT_UNKNOWN;
}

int cli_main(struct cli *cli, int argc, const char *const *argv)
{
    static const char *const version[] = { "version" };
    int words = 0;
    const struct cli_command *command;

    if (argc > 0 && is_version(argv[0])) {
        argc = 1;
        argv = version;
    }
    command = find(argc, argv, &words);
    if (command == NULL) {
        return print_all(cli, argc, argv);
    }
    return command->run != NULL ? run(cli, command, argc - words, argv + words)
                                : print_group(cli, command, argc - words, argv + words);
}
