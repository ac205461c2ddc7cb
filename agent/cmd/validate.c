/* muster validate */
#include <string.h>

#include "agent/config.h"
#include "base/assert.h"
#include "base/mem.h"
#include "commands.h"

struct options {
    bool is_quiet;
    const char *format;
};

static const struct cli_option rows[] = {
    // clang-format off
    { "config-format", CLI_TEXT, offsetof(struct options, format),   "Read files as json or hcl, whatever their names end in." },
    { "quiet",         CLI_BOOL, offsetof(struct options, is_quiet), "Print nothing when the files are fine." },
}; // clang-format on

const struct cli_options cmd_validate_options = CLI_OPTIONS(rows, struct options);

/* What `muster agent` would be given. */
static int load(struct cli *cli, const struct options *o, int argc, const char *const *argv,
                const char **args)
{
    struct mu_err err = MU_ERR_NONE;
    struct config *config = NULL;
    bool wants_help = false;
    int count = 0;

    if (o->format != NULL) {
        args[count++] = "-config-format";
        args[count++] = o->format;
    }
    for (int i = 0; i < argc; i++) {
        args[count++] = "-config-file";
        args[count++] = argv[i];
    }
    if (config_load(&config, count, args, &wants_help, &err) != MU_OK) {
        return cli_fail(cli, "Config validation failed: %s", err.text);
    }
    for (size_t i = 0; !o->is_quiet && i < config->warnings_count; i++) {
        (void)fprintf(cli->err, "%s\n", config->warnings[i]);
    }
    config_free(config);
    if (!o->is_quiet) {
        (void)fprintf(cli->out, "Configuration is valid!\n");
    }
    return 0;
}

int cmd_validate(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    if (argc == 0) {
        return cli_fail(cli, "Must specify at least one config file or directory");
    }
    const char **args = mu_new_array(2 * ((size_t)argc + 1), sizeof *args);
    int status = load(cli, options, argc, argv, args);

    mu_free(args);
    return status;
}
