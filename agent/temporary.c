/* temporary.c - who ends in order removes its directory; one that is killed cannot, and the next
 * one does it instead.
 *
 * A directory is left over when nobody holds its lock. A new one is not locked yet: only one with
 * the folder that is made last, under the lock, is judged.
 */
#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define PREFIX      "muster-dev-"
#define REMOVED_MAX 64

struct sweep {
    const char *base;
    size_t removed;
};

static char *path_of(const char *dir, const char *name)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    return mu_buf_take(&path, NULL);
}

/* Others may write below the base: what looks like ours may be a link, or somebody else's. */
static bool is_own_dir(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* Unlike mu_file_lock() it makes no file: its owner may be removing the directory at this moment.
 */
static int lock_of_the_dead(const char *dir)
{
    char *last = path_of(dir, TEMPORARY_LAST);
    char *lock = path_of(dir, "lock");
    int fd = is_own_dir(last) ? open(lock, O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1;

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        fd = -1;
    }
    mu_free(lock);
    mu_free(last);
    return fd;
}

/* What cannot be removed stays for another time: it is in nobody's way. */
static enum mu_code remove_if_left(void *data, const char *name, struct mu_err *err)
{
    struct sweep *s = data;

    (void)err;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || s->removed == REMOVED_MAX) {
        return MU_OK;
    }
    char *dir = path_of(s->base, name);
    int fd = is_own_dir(dir) ? lock_of_the_dead(dir) : -1;

    if (fd >= 0) {
        s->removed += mu_dir_remove(dir, NULL) == MU_OK;
        (void)close(fd);
    }
    mu_free(dir);
    return MU_OK;
}

enum mu_code temporary_make(char **dir, struct mu_err *err)
{
    const char *set = getenv("TMPDIR");
    struct sweep s = { .base = set != NULL && set[0] == '/' ? set : "/tmp" };
    char *path = path_of(s.base, PREFIX "XXXXXX");

    enum mu_code rc = mu_dir_each(s.base, remove_if_left, &s, NULL);

    (void)rc; /* it need not be readable; what else is wrong with it, mkdtemp() says */
    if (mkdtemp(path) == NULL) {
        rc = mu_fail(err, mu_file_code(errno), "create a temporary data directory in %s: %s",
                     s.base, strerror(errno));
        mu_free(path);
        return rc;
    }
    *dir = path;
    return MU_OK;
}
