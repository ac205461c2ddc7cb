/* muster snapshot save */
#include "agent/archive.h"
#include "base/assert.h"
#include "base/file.h"
#include "commands.h"

/* The file appears when it was checked, whole and flushed, or not at all. */
static int keep(struct cli *cli, const struct cli_call *c, const char *path)
{
    struct archive_contents contents;
    struct mu_err err = MU_ERR_NONE;

    if (archive_read_bytes(mu_buf_span(&c->answer), &contents, &err) != MU_OK) {
        return cli_fail(cli, "Error verifying snapshot file: %s", err.text);
    }
    if (mu_file_replace(path, mu_buf_span(&c->answer), 0600, &err) != MU_OK) {
        return cli_fail(cli, "Error writing snapshot file: %s", err.text);
    }
    (void)fprintf(cli->out, "Saved and verified snapshot to index %llu\n",
                  (unsigned long long)contents.index);
    return 0;
}

int cmd_snapshot_save(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct cli_call c;
    int status;

    (void)options;
    if (argc == 0) {
        return cli_fail(cli, "Missing FILE argument");
    }
    if (argc > 1) {
        return cli_fail(cli, "Too many arguments (expected 1, got %d)", argc);
    }
    cli_call_init(&c, "GET", "/v1/snapshot");
    status = cli_send(cli, &c) ? keep(cli, &c, argv[0])
                               : cli_fail(cli, "Error saving snapshot: %s", c.error);
    cli_call_deinit(&c);
    return status;
}
