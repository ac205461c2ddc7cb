/* muster snapshot restore */
#include "base/assert.h"
#include "commands.h"
#include "snapshot_file.h"

static int send(struct cli *cli, FILE *file)
{
    struct cli_call c;
    int status = 0;

    cli_call_init(&c, "PUT", "/v1/snapshot");
    c.from = file;
    if (cli_send(cli, &c)) {
        (void)fputs("Restored snapshot\n", cli->out);
    } else {
        status = cli_fail(cli, "Error restoring snapshot: %s", c.error);
    }
    cli_call_deinit(&c);
    return status;
}

int cmd_snapshot_restore(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    (void)options;
    if (argc == 0) {
        return cli_fail(cli, "Missing FILE argument");
    }
    if (argc > 1) {
        return cli_too_many(cli, 1, argc, argv);
    }
    FILE *file = snapshot_file_open(cli, argv[0]);

    if (file == NULL) {
        return 1;
    }
    int status = send(cli, file);

    (void)fclose(file);
    return status;
}
