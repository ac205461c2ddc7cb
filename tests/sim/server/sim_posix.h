/* sim_posix.h - the calls to the system that files of snapshots are made with, on simulated disks.
 *
 * agent/snapshot_files.c and base/file.c run as they ship: the linker gives them ours instead of
 * the C library's (--wrap), which look at the path. "/<number>/state/<name>" and
 * "/<number>/consensus/<name>" lie on the disk that was added under that number; everything else,
 * and every descriptor that was not opened here, goes on to the system.
 *
 * A state that is opened by such a path lies there too, and whoever waits for a lock of SQLite's
 * waits in virtual time.
 */
#ifndef SIM_SERVER_SIM_POSIX_H
#define SIM_SERVER_SIM_POSIX_H

#include <stddef.h>
#include <stdint.h>

#include "disk.h"

/* nap: the fiber that runs waits so many microseconds. */
void sim_posix_begin(void (*nap)(void *data, uint64_t us), void *data);
void sim_posix_end(void);
void sim_posix_add(size_t number, struct disk *d);
/* Descriptors of a disk that are open: none once its process has ended. */
size_t sim_posix_open_count(size_t number);

#endif
