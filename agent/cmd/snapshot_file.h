/* snapshot_file.h - the files that `muster snapshot` reads and writes. */
#ifndef AGENT_CMD_SNAPSHOT_FILE_H
#define AGENT_CMD_SNAPSHOT_FILE_H

#include "cli.h"

/* An archive to read; NULL: said why not. */
FILE *snapshot_file_open(struct cli *cli, const char *path);
/* May something be saved here: a new file, or in place of one? False: said why not. A device or a
 * pipe would be replaced by the file, which nobody means. */
bool snapshot_file_may_be(struct cli *cli, const char *path);

#endif
