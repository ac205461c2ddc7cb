/* muster leave */
#include "commands.h"

int cmd_leave(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct cli_call c;
    int rc = 0;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    cli_call_init(&c, "PUT", "/v1/agent/leave");
    /* An agent that answers nothing more because it is gone did what it was asked. */
    if (cli_send(cli, &c) || c.code == MU_LOST) {
        (void)fprintf(cli->out, "Graceful leave complete\n");
    } else {
        rc = cli_fail(cli, "Error leaving: %s", c.error);
    }
    cli_call_deinit(&c);
    return rc;
}
