/* muster catalog datacenters */
#include "commands.h"

int cmd_catalog_datacenters(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct cli_call c;
    int status;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    cli_call_init(&c, "GET", "/v1/catalog/datacenters");
    status = cli_send(cli, &c) ? cli_print_texts(cli, &c, "Error listing datacenters")
                               : cli_fail(cli, "Error listing datacenters: %s", c.error);
    cli_call_deinit(&c);
    return status;
}
