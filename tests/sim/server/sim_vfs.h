/* sim_vfs.h - SQLite on simulated disks.
 *
 * One VFS for all disks: the path "/<number>/state/<name>" lies in the directory of the state on
 * the disk that was added under that number. Like "unix-excl" it keeps the wal-index on the heap,
 * shared by the connections of one process; that of a server dies with it (sim_vfs_forget).
 *
 * It is SQLite's default while it is registered, so that randomness and time come from here too.
 */
#ifndef SIM_SERVER_SIM_VFS_H
#define SIM_SERVER_SIM_VFS_H

#include "disk.h"

#define SIM_VFS       "sim"
#define SIM_VFS_DISKS 8
#define SIM_VFS_LOCKS 8

struct catalog_files;

/* Before anything else uses SQLite's randomness; again for each run. */
void sim_vfs_begin(uint64_t seed);
void sim_vfs_end(void);

void sim_vfs_add(size_t number, struct disk *d);
void sim_vfs_remove(size_t number);
void sim_vfs_forget(size_t number); /* its process has ended: no file is open */
/* For struct catalog_options; good for all disks. */
const struct catalog_files *sim_vfs_files(void);

#endif
