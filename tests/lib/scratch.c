#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"

#define DIRS_MAX 4096

static char *dirs[DIRS_MAX];
static size_t dirs_count;
static pid_t owner; /* a child that ends leaves them alone */

static void remove_all(void)
{
    if (getpid() != owner) {
        return;
    }
    for (size_t i = 0; i < dirs_count; i++) {
        if (access(dirs[i], F_OK) == 0 && mu_dir_remove(dirs[i], NULL) != MU_OK) {
            (void)fprintf(stderr, "%s is left over\n", dirs[i]);
        }
        mu_free(dirs[i]);
    }
}

const char *scratch_dir(void)
{
    const char *base = getenv("TMPDIR");
    struct mu_buf path = MU_BUF_NONE;

    if (dirs_count == 0) {
        owner = getpid();
        MU_ASSERT(atexit(remove_all) == 0);
    }
    MU_ASSERT(dirs_count < DIRS_MAX);
    mu_buf_addf(&path, "%s/muster-test-XXXXXX", base != NULL && base[0] == '/' ? base : "/tmp");
    dirs[dirs_count] = mu_buf_take(&path, NULL);
    MU_ASSERT(mkdtemp(dirs[dirs_count]) != NULL);
    return dirs[dirs_count++];
}

void scratch_dir_to(char *path, size_t room)
{
    MU_ASSERT((size_t)snprintf(path, room, "%s", scratch_dir()) < room);
}
