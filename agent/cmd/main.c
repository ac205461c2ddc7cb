/* The executable: `muster`, or whatever name it is linked under. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <sodium.h>

#include "cli.h"

static const char *from_environment(const char *name)
{
    return getenv(name);
}

int main(int argc, char **argv)
{
    struct cli cli = { .in = stdin, .out = stdout, .err = stderr, .env = from_environment };

    /* A reader that went away shows as an error of write, on sockets and on our own output. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0) {
        (void)fputs("the random number generator of the system does not answer\n", stderr);
        return 1;
    }
    int status = cli_main(&cli, argc - 1, (const char *const *)argv + 1);

    /* What could not be printed was not done. */
    return fflush(stdout) == 0 || status != 0 ? status : 1;
}
