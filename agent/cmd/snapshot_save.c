/* muster snapshot save */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/archive.h"
#include "base/assert.h"
#include "base/file.h"
#include "commands.h"

static enum mu_code file_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    FILE *file = data;

    *got = fread(to, 1, room, file);
    return ferror(file) ? mu_fail(err, MU_IO, "%s", strerror(errno)) : MU_OK;
}

/* What was written is read back from its first byte to its last. */
static int verify(struct cli *cli, FILE *file, struct archive_contents *contents)
{
    struct mu_err err = MU_ERR_NONE;

    if (fflush(file) != 0 || fsync(fileno(file)) != 0 || fseek(file, 0, SEEK_SET) != 0) {
        return cli_fail(cli, "Error writing snapshot file: %s", strerror(errno));
    }
    return archive_read(file_source, file, contents, &err) == MU_OK
               ? 0
               : cli_fail(cli, "Error verifying snapshot file: %s", err.text);
}

static const int enders[] = { SIGINT, SIGTERM, SIGHUP };
static const char *unfinished; /* while it is being written */

static void on_signal(int number)
{
    (void)unlink(unfinished);
    (void)raise(number); /* as it would have ended: the handler is gone by now */
}

/* Whoever ends us in the middle finds nothing that was begun. */
static void watch_signals(const char *part)
{
    struct sigaction to = { .sa_flags = (int)SA_RESETHAND };

    unfinished = part;
    to.sa_handler = part != NULL ? on_signal : SIG_DFL;
    for (size_t i = 0; i < MU_LEN(enders); i++) {
        (void)sigaction(enders[i], &to, NULL);
    }
}

static int fetch(struct cli *cli, FILE *file)
{
    struct archive_contents contents = { .index = 0 };
    struct cli_call c;
    int status;

    cli_call_init(&c, "GET", "/v1/snapshot");
    c.to = file;
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error saving snapshot: %s", c.error);
    } else if (ferror(file)) {
        status = cli_fail(cli, "Error writing snapshot file: %s", strerror(errno));
    } else {
        status = verify(cli, file, &contents);
    }
    if (status == 0) {
        (void)fprintf(cli->out, "Saved and verified snapshot to index %llu\n",
                      (unsigned long long)contents.index);
    }
    cli_call_deinit(&c);
    return status;
}

static enum mu_code move(const char *from, const char *to, struct mu_err *err)
{
    const char *slash = strrchr(to, '/');
    struct mu_buf dir = MU_BUF_NONE;

    if (rename(from, to) != 0) {
        return mu_fail(err, mu_file_code(errno), "%s: %s", to, strerror(errno));
    }
    mu_buf_addf(&dir, "%.*s", slash != NULL ? (int)(slash - to + 1) : 1, slash != NULL ? to : ".");
    enum mu_code rc = mu_dir_sync(mu_buf_text(&dir), err);

    mu_buf_deinit(&dir);
    return rc;
}

/* A file of our own beside `path`, however many save to it, and its name; -1: errno says why not.
 */
static int create(const char *path, struct mu_buf *part)
{
    sigset_t ending, before;

    (void)sigemptyset(&ending);
    for (size_t i = 0; i < MU_LEN(enders); i++) {
        (void)sigaddset(&ending, enders[i]);
    }
    mu_buf_addf(part, "%s.unverified.XXXXXX", path);
    (void)mu_buf_text(part);                        /* ends it with a NUL */
    (void)sigprocmask(SIG_BLOCK, &ending, &before); /* between its making and its watch */
    int fd = mkostemp((char *)part->data, O_CLOEXEC);

    if (fd >= 0) {
        watch_signals(mu_buf_text(part));
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return fd;
}

/* Into the new file, and from its name to `path`. */
static int fill(struct cli *cli, int fd, const char *part, const char *path)
{
    struct mu_err err = MU_ERR_NONE;
    FILE *file = fdopen(fd, "w+b");

    if (file == NULL || fchmod(fd, 0600) != 0) {
        int why = errno;

        (void)(file != NULL ? fclose(file) : close(fd));
        return cli_fail(cli, "Error creating snapshot file: %s: %s", part, strerror(why));
    }
    int status = fetch(cli, file);

    if (fclose(file) != 0 && status == 0) {
        status = cli_fail(cli, "Error writing snapshot file: %s", strerror(errno));
    }
    if (status == 0 && move(part, path, &err) != MU_OK) {
        status = cli_fail(cli, "Error renaming snapshot file: %s", err.text);
    }
    return status;
}

/* The file appears when it was checked, whole and flushed, or not at all. */
static int save(struct cli *cli, const char *path)
{
    struct mu_buf part = MU_BUF_NONE;
    int fd = create(path, &part), status;

    if (fd >= 0) {
        status = fill(cli, fd, mu_buf_text(&part), path);
        if (status != 0) {
            (void)unlink(mu_buf_text(&part));
        }
        watch_signals(NULL);
    } else {
        status = cli_fail(cli, "Error creating snapshot file: %s: %s", path, strerror(errno));
    }
    mu_buf_deinit(&part);
    return status;
}

int cmd_snapshot_save(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct mu_buf path = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    int status;

    (void)options;
    if (argc == 0) {
        return cli_fail(cli, "Missing FILE argument");
    }
    if (argc > 1) {
        return cli_too_many(cli, 1, argc, argv);
    }
    status = mu_file_target(argv[0], &path, &err) == MU_OK
                 ? save(cli, mu_buf_text(&path))
                 : cli_fail(cli, "Error creating snapshot file: %s", err.text);
    mu_buf_deinit(&path);
    return status;
}
