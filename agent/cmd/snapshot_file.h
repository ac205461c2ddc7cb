/* snapshot_file.h - the files that `muster snapshot` reads. */
#ifndef AGENT_CMD_SNAPSHOT_FILE_H
#define AGENT_CMD_SNAPSHOT_FILE_H

#include "cli.h"

/* An archive to read; NULL: said why not. */
FILE *snapshot_file_open(struct cli *cli, const char *path);

#endif
