/* muster operator bootstrap-reset */
#include "agent/recovery.h"
#include "base/assert.h"
#include "commands.h"

struct options {
    const char *data_dir;
};

static const struct cli_option rows[] = {
    { "data-dir", CLI_TEXT, offsetof(struct options, data_dir),
      "Data directory of a server that is stopped." },
};

const struct cli_options cmd_operator_bootstrap_reset_options = CLI_OPTIONS(rows, struct options);

static int reset(struct cli *cli, struct recovery *r)
{
    struct mu_id coordinator = recovery_position(r)->coordinator;
    struct mu_err err = MU_ERR_NONE;
    char text[MU_ID_TEXT_BYTES + 1];

    if (recovery_promise_reset(r, &err) != MU_OK) {
        return cli_fail(cli, "Error: %s", err.text);
    }
    if (mu_id_is_none(&coordinator)) {
        (void)fputs("There was no promise.\n", cli->out);
        return 0;
    }
    mu_id_text(&coordinator, text);
    (void)fprintf(cli->out,
                  "Forgot the promise to %s. Should that server come back with its data, it must "
                  "join as a new one.\n",
                  text);
    return 0;
}

int cmd_operator_bootstrap_reset(struct cli *cli, const void *options, int argc,
                                 const char *const *argv)
{
    const struct options *o = options;
    struct recovery *r = NULL;
    struct mu_err err = MU_ERR_NONE;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (o->data_dir == NULL) {
        return cli_fail(cli, "Error: -data-dir is required");
    }
    if (recovery_open(&r, o->data_dir, &err) != MU_OK) {
        return cli_fail(cli, "Error: %s", err.text);
    }
    int status = reset(cli, r);

    recovery_close(r);
    return status;
}
