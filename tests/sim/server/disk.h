/* disk.h - a simulated disk with two directories: one for the log, one for the state.
 *
 * What is written goes to a page cache, from where it reaches the platter when it is flushed, or at
 * any time before, by sectors of 512 bytes in any order. A crash of the process keeps the cache. A
 * power cut keeps of every sector that was not flushed the new content, the old, or the first bytes
 * of the new; of names, what a flush of the directory covered and a prefix of what came after.
 *
 * A request made on a fiber takes time: the fiber sleeps, and the server may be gone when it wakes.
 * Then the request and all after it fail, so that the code above unwinds without touching anything.
 * Requests from the main stack (reads of the loop) take none.
 *
 * Faults are told, one at a time; the disk decides nothing but which sectors a power cut keeps.
 */
#ifndef SIM_SERVER_DISK_H
#define SIM_SERVER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "base/rand.h"
#include "base/span.h"

#define DISK_SECTOR 512U
#define DISK_NONE   (-1)

enum disk_dir { DISK_LOG, DISK_STATE, DISK_DIRS };

enum disk_request { DISK_READ, DISK_WRITE, DISK_SYNC, DISK_NAMES };

/* What may be asked of the directory of the log: consensus/disk.h. */
enum disk_call {
    DISK_CALL_ANY,
    DISK_CALL_LIST,
    DISK_CALL_OPEN,
    DISK_CALL_CREATE,
    DISK_CALL_READ,
    DISK_CALL_WRITE,
    DISK_CALL_RESERVE,
    DISK_CALL_SYNC,
    DISK_CALL_RENAME,
    DISK_CALL_REMOVE,
    DISK_CALL_SYNC_DIR,
    DISK_CALL_LOCK,
    DISK_CALL_SPACE,
    DISK_CALLS
};

/* What is left behind by a flush that failed: the four findings of ATC'20. */
enum disk_failure {
    DISK_CLEAN_NEW, /* pages are clean, readers see the new content, the platter the old */
    DISK_CLEAN_OLD, /* pages are clean, the old content is back */
    DISK_DIRTY,     /* the next flush would try again */
    DISK_REPEATED,  /* the next flush fails too, and the one after that lies as in CLEAN_NEW */
    DISK_FAILURES
};

struct disk; /* opaque */

struct disk_owner {
    void *data;
    /* Put the running fiber to sleep for as long as this request takes. */
    void (*sleep)(void *data, enum disk_request request, size_t bytes);
    void (*note)(void *data, uint64_t what); /* for the hash of the run */
};

struct disk_sums {
    uint64_t reads, writes, syncs, bytes_written;
};

struct disk *disk_new(const struct disk_owner *owner, uint64_t seed);
void disk_free(struct disk *d);

/* -- the power ----------------------------------------------------------------------------------
 */

/* All requests fail from now on, also those under way. */
void disk_die(struct disk *d);
bool disk_is_dead(const struct disk *d);
/* A process begins to use it. lost: the power was cut since the last one did. */
void disk_revive(struct disk *d, bool lost);
size_t disk_open_count(const struct disk *d); /* files that were not closed */
void disk_wipe(struct disk *d);               /* a new disk in its place; dead */
/* What would be there if the power went now and nothing more had reached the platter: another disk,
 * alive, on which requests take no time. without: a directory that is of no interest;
 * DISK_DIRS: none. disk_free() */
struct disk *disk_platter(const struct disk *d, enum disk_dir without);

/* -- faults -------------------------------------------------------------------------------------
 */

void disk_fail_sync(struct disk *d, enum disk_dir dir, enum disk_failure how); /* the next one */
void disk_fail_read(struct disk *d, enum disk_dir dir);                        /* the next one */
bool disk_fails_again(const struct disk *d); /* a flush that failed once will fail once more */
/* The so manieth of these requests of the log from now fails; nothing is changed by it. */
void disk_trip(struct disk *d, enum disk_call call, uint64_t in, enum mu_code code);
/* Nothing in the directory of the log can be changed. */
void disk_freeze(struct disk *d, bool is_read_only);
/* MU_OK: this one does not fail. */
enum mu_code disk_trips(struct disk *d, enum disk_call call, struct mu_err *err);
bool disk_has_tripped(const struct disk *d); /* has one failed so, since it was revived? */
/* One bit where batches are, late: where the last ones are. False: there are none. */
bool disk_rot_log(struct disk *d, bool is_late);
/* Files as they lie on the platter, by whoever looks at it from outside. */
const char *disk_name(const struct disk *d, enum disk_dir dir, size_t at); /* NULL: no more */
bool disk_look(const struct disk *d, enum disk_dir dir, const char *name, struct mu_span *out);
/* These bytes of it have become others. */
void disk_scar(struct disk *d, enum disk_dir dir, const char *name, uint64_t at,
               struct mu_span bytes);
/* On a disk that is dead: all of the file is this now, or it is gone. */
void disk_put(struct disk *d, enum disk_dir dir, const char *name, struct mu_span bytes);
void disk_drop(struct disk *d, enum disk_dir dir, const char *name);
void disk_mend(struct disk *d); /* what is to fail and has not yet, does not */
void disk_misdirect(struct disk *d, enum disk_dir dir); /* the next write goes elsewhere */
bool disk_rot(struct disk *d, enum disk_dir dir); /* some bits at rest; false: nothing there */
/* A write that belongs elsewhere in the file has landed on these blocks, too. */
bool disk_clobber(struct disk *d, enum disk_dir dir, uint32_t bytes);
void disk_quota(struct disk *d, uint64_t bytes); /* of all files; 0: endless */
uint64_t disk_used(const struct disk *d);
uint64_t disk_room(const struct disk *d); /* UINT64_MAX without a quota */
struct disk_sums disk_sums(const struct disk *d);

/* Broken on purpose: a flush does nothing and says it did. */
void disk_lie(struct disk *d, enum disk_dir dir, bool lies);

/* -- requests: errors are MU_NOT_FOUND, MU_FULL, MU_IO -------------------------------------------
 */

enum mu_code disk_list(struct disk *d, enum disk_dir dir, mu_dir_fn *each, void *data,
                       struct mu_err *err);
/* may_create: if it is not there. */
enum mu_code disk_open(struct disk *d, enum disk_dir dir, const char *name, bool may_create,
                       int *file, uint64_t *bytes, struct mu_err *err);
void disk_close(struct disk *d, int file);
bool disk_has(const struct disk *d, enum disk_dir dir, const char *name);
uint64_t disk_bytes(const struct disk *d, int file);
/* *got: how many there were; the rest of `to` is left alone. */
enum mu_code disk_read(struct disk *d, int file, uint64_t offset, void *to, size_t bytes,
                       size_t *got, struct mu_err *err);
enum mu_code disk_write(struct disk *d, int file, uint64_t offset, struct mu_span bytes,
                        struct mu_err *err);
enum mu_code disk_resize(struct disk *d, int file, uint64_t bytes, struct mu_err *err);
enum mu_code disk_sync(struct disk *d, int file, struct mu_err *err);
/* Only what lies there. */
enum mu_code disk_sync_part(struct disk *d, int file, uint64_t offset, uint64_t bytes,
                            struct mu_err *err);
void disk_drop_cache(struct disk *d, int file); /* what is clean is read from the platter again */
enum mu_code disk_rename(struct disk *d, enum disk_dir dir, const char *from, const char *to,
                         struct mu_err *err);
enum mu_code disk_remove(struct disk *d, enum disk_dir dir, const char *name, struct mu_err *err);
enum mu_code disk_sync_dir(struct disk *d, enum disk_dir dir, struct mu_err *err);
/* One process at a time, by a file that is made if it is not there; revive releases it. */
enum mu_code disk_lock(struct disk *d, enum disk_dir dir, const char *name, struct mu_err *err);

#endif
