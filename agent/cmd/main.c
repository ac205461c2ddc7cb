/* The executable: `muster`, or whatever name it is linked under. */
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "commands.h"

static const char *from_environment(const char *name)
{
    return getenv(name);
}

/* What /etc/nsswitch.conf may name for hosts are libraries made for the C library of this machine,
 * which is not the one in a static executable: loading them would be a gamble. Files and DNS are
 * inside, and answer what a cluster is joined by. */
static void names_from_files_and_dns(void)
{
#ifdef MUSTER_STATIC
    (void)__nss_configure_lookup("hosts", "files dns");
#endif
}

/* By the last part of the path: a link of that name makes us Serf's command. */
static bool is_called(const char *path, const char *name)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;

    return path != NULL && strcmp(slash != NULL ? slash + 1 : path, name) == 0;
}

/* Whoever started us may have closed them. The next thing opened would have that number then, and
 * what is printed would go into it. */
static void standard_files_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            exit(EXIT_FAILURE); /* and there is nowhere to say why */
        }
    }
}

/* What could not be printed was not done. */
static int output_end(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return status;
    }
    if (errno != EPIPE) { /* who reads has what he wanted */
        (void)fprintf(stderr, "Error writing to standard output: %s\n",
                      errno != 0 ? strerror(errno) : "a part of it was not taken");
    }
    return status != 0 ? status : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    standard_files_open();
    struct cli cli = { .in = stdin, .out = stdout, .err = stderr, .env = from_environment };

    /* A reader that went away shows as an error of write, on sockets and on our own output. */
    (void)signal(SIGPIPE, SIG_IGN);
    names_from_files_and_dns();
    if (sodium_init() < 0) {
        (void)fputs("the random number generator of the system does not answer\n", stderr);
        return 1;
    }
    const char *const *words = (const char *const *)argv + 1;
    bool is_serf = is_called(argv[0], "serf");

    cli.serf_words = is_serf ? "serf" : NULL;
    int status = is_serf ? cmd_serf(&cli, NULL, argc - 1, words) : cli_main(&cli, argc - 1, words);

    return output_end(status);
}
