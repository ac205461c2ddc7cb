#include "snapshot_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"

FILE *snapshot_file_open(struct cli *cli, const char *path)
{
    FILE *file = fopen(path, "rbe");
    struct stat at;

    if (file == NULL) {
        (void)cli_fail(cli, "Error opening snapshot file: %s: %s", path, strerror(errno));
        return NULL;
    }
    if (fstat(fileno(file), &at) == 0 && S_ISDIR(at.st_mode)) {
        (void)cli_fail(cli, "Error opening snapshot file: %s: %s", path, strerror(EISDIR));
        (void)fclose(file);
        return NULL;
    }
    return file;
}
