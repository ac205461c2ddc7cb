/* muster consensus inspect */
#include "agent/recovery.h"
#include "base/assert.h"
#include "base/file.h"
#include "commands.h"

struct options {
    const char *data_dir, *bundle;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    { "data-dir", CLI_TEXT, AT(data_dir), "Data directory of a server that is stopped." },
    { "bundle", CLI_TEXT, AT(bundle), "Write it to this file too, to be carried to another host." },
};

#undef AT

const struct cli_options cmd_consensus_inspect_options = CLI_OPTIONS(rows, struct options);

static enum mu_code write_bundle(const char *path, struct mu_span text, struct mu_err *err)
{
    struct mu_buf target = MU_BUF_NONE;
    enum mu_code rc = mu_file_target(path, &target, err);

    if (rc == MU_OK) {
        rc = mu_file_replace(mu_buf_text(&target), text, 0644, err);
    }
    mu_buf_deinit(&target);
    return rc;
}

static int print(struct cli *cli, const struct options *o, const struct recovery_position *p)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    int status = 0;

    recovery_position_write(p, &text);
    (void)fwrite(text.data, 1, text.bytes, cli->out);
    if (p->harmless[0] != '\0') {
        (void)fprintf(cli->err,
                      "Warning: the log is damaged: %s\n"
                      "Nothing is lost by it, and it can be recovered from: the state holds all up "
                      "to entry %llu. The server drops that part of its log when it starts.\n",
                      p->harmless, (unsigned long long)p->applied_index);
    }
    if (p->damage[0] != '\0') {
        status =
            cli_fail(cli, "Error: %s: %s", p->is_unread ? "cannot be read" : "damaged", p->damage);
    } else if (o->bundle != NULL && write_bundle(o->bundle, mu_buf_span(&text), &err) != MU_OK) {
        status = cli_fail(cli, "Error writing the bundle: %s", err.text);
    }
    mu_buf_deinit(&text);
    return status;
}

int cmd_consensus_inspect(struct cli *cli, const void *options, int argc, const char *const *argv)
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
    int status = print(cli, o, recovery_position(r));

    recovery_close(r);
    return status;
}
