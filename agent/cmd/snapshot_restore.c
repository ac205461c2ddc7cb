/* muster snapshot restore */
#include "agent/archive.h"
#include "base/assert.h"
#include "base/file.h"
#include "commands.h"

int cmd_snapshot_restore(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct mu_buf archive = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    int status = 0;

    (void)options;
    if (argc == 0) {
        return cli_fail(cli, "Missing FILE argument");
    }
    if (argc > 1) {
        return cli_fail(cli, "Too many arguments (expected 1, got %d)", argc);
    }
    if (mu_file_read(argv[0], ARCHIVE_BYTES_MAX, &archive, &err) != MU_OK) {
        return cli_fail(cli, "Error opening snapshot file: %s", err.text);
    }
    cli_call_init(&c, "PUT", "/v1/snapshot");
    c.body = mu_buf_span(&archive);
    if (cli_send(cli, &c)) {
        (void)fputs("Restored snapshot\n", cli->out);
    } else {
        status = cli_fail(cli, "Error restoring snapshot: %s", c.error);
    }
    cli_call_deinit(&c);
    mu_buf_deinit(&archive);
    return status;
}
