/* muster join */
#include "base/assert.h"
#include "commands.h"

struct options {
    bool is_wan;
};

static const struct cli_option rows[] = {
    { "wan", CLI_BOOL, offsetof(struct options, is_wan), "Join the pool of all datacenters." },
};

const struct cli_options cmd_join_options = CLI_OPTIONS(rows, struct options);

int cmd_join(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    int joined = 0;

    if (argc == 0) {
        return cli_fail(cli, "At least one address to join must be specified.");
    }
    for (int i = 0; i < argc; i++) {
        struct cli_call c;

        cli_call_init(&c, "PUT", "/v1/agent/join/");
        cli_call_add(&c, argv[i], false);
        if (o->is_wan) {
            cli_call_param(&c, "wan", "1");
        }
        if (cli_send(cli, &c)) {
            joined++;
        } else {
            (void)cli_fail(cli, "Error joining address '%s': %s", argv[i], c.error);
        }
        cli_call_deinit(&c);
    }
    if (joined == 0) {
        return cli_fail(cli, "Failed to join any nodes.");
    }
    (void)fprintf(cli->out, "Successfully joined cluster by contacting %d nodes.\n", joined);
    return 0;
}
