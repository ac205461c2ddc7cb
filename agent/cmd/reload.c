/* muster reload */
#include "commands.h"

int cmd_reload(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct cli_call c;
    int rc = 0;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    cli_call_init(&c, "PUT", "/v1/agent/reload");
    if (!cli_send(cli, &c)) {
        rc = cli_fail(cli, "Error reloading: %s", c.error);
    } else {
        (void)fprintf(cli->out, "Configuration reload triggered\n");
        if (c.needs_restart.bytes > 0) {
            (void)fprintf(cli->err, "These settings differ and need a restart: %s\n",
                          mu_buf_text(&c.needs_restart));
        }
    }
    cli_call_deinit(&c);
    return rc;
}
