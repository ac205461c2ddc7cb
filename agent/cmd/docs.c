/* muster docs: what is printed from the table of options. */
#include <string.h>

#include "agent/config.h"
#include "base/buf.h"
#include "commands.h"

int cmd_docs(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct mu_buf text = MU_BUF_NONE;

    (void)options;
    if (argc == 1 && strcmp(argv[0], "reference") == 0) {
        config_print_reference(&text);
    } else if (argc == 1 && strcmp(argv[0], "example") == 0) {
        config_print_example(&text);
    } else {
        return cli_fail(cli, "Either reference or example is needed");
    }
    (void)fwrite(text.data, 1, text.bytes, cli->out);
    mu_buf_deinit(&text);
    return 0;
}
