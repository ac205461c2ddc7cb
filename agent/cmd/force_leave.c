/* muster force-leave */
#include "base/assert.h"
#include "commands.h"

struct options {
    bool prunes;
};

static const struct cli_option rows[] = {
    { "prune", CLI_BOOL, offsetof(struct options, prunes), "Forget the member altogether." },
};

const struct cli_options cmd_force_leave_options = CLI_OPTIONS(rows, struct options);

int cmd_force_leave(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct cli_call c;
    int rc = 0;

    if (argc != 1) {
        return cli_fail(cli, "A single node name must be specified to force-leave.");
    }
    cli_call_init(&c, "PUT", "/v1/agent/force-leave/");
    cli_call_add(&c, argv[0], false);
    if (o->prunes) {
        cli_call_param(&c, "prune", "1");
    }
    if (!cli_send(cli, &c)) {
        rc = cli_fail(cli, "Error force leaving: %s", c.error);
    }
    cli_call_deinit(&c);
    return rc;
}
