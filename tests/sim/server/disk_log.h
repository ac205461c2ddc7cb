/* disk_log.h - the directory of the log on a simulated disk, as consensus sees it. */
#ifndef SIM_SERVER_DISK_LOG_H
#define SIM_SERVER_DISK_LOG_H

#include "disk.h"

struct consensus_disk;

void disk_log_view(struct disk *d, struct consensus_disk *out); /* borrowed */

#endif
