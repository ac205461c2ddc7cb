/* vfs.h - SQLite's files, with a checksum on every page of the state at rest.
 *
 * Each page of the database file ends in 8 bytes that SQLite leaves alone (its "reserved" bytes):
 * CRC-32C of the page and the number of the page. They are written when a checkpoint writes the
 * page and looked at whenever it is read: rot, a write that went elsewhere, and one that never
 * arrived are noticed before anything is answered from them (spec/consensus.md 2.16, 3.4). The WAL
 * has checksums of its own, and what it loses the log replays.
 *
 * Everything else is passed on to the VFS below: "unix-excl", whose wal-index lies on the heap and
 * which lets no second process in, or that of a simulator.
 *
 * A reader that must not wait asks for bytes that are in memory already: SQLite's call for reading
 * is replaced for all of the process by one that looks at what its thread wants (spec/consensus.md
 * 3.4).
 *
 * Thread:  any; registered once a process.
 * Errors:  a page that fails is SQLITE_IOERR_DATA, which connection.c calls MU_CORRUPT.
 */
#ifndef CATALOG_VFS_H
#define CATALOG_VFS_H

#include <stdbool.h>
#include <stddef.h>

#define VFS_RESERVED_BYTES 8
#define VFS_PAGE_BYTES     4096

/* The name to open with; `below` is the name of a registered VFS, of which there may be few. */
const char *catalog__vfs_above(const char *below);

/* The errno of the last write, flush or truncation that failed on this thread; 0: none has, or the
 * VFS below does not say. SQLite itself has forgotten it where a commit failed. */
int catalog__vfs_errno(void);

/* After each page that this connection reads from the file of its database, `after` is called on
 * its thread; false: the read fails, and all that follow. NULL: nobody is called any more. */
struct sqlite3;
struct vfs_pace {
    bool (*after)(void *data, size_t bytes);
    void *data;
};
void catalog__vfs_pace(struct sqlite3 *db, const struct vfs_pace *pace);

#endif
