/* disk_log.h - the directory of the log on a simulated disk, as consensus sees it. */
#ifndef SIM_SERVER_DISK_LOG_H
#define SIM_SERVER_DISK_LOG_H

#include "disk.h"

struct consensus_disk;

/* borrowed; has_all: with the calls that a disk need not have */
void disk_log_view(struct disk *d, bool has_all, struct consensus_disk *out);

#endif
