/* connection.c - opening SQLite, and trusting none of its defaults.
 *
 * Distributions build SQLite with defaults of their own (Debian's has secure_delete on and no
 * lookaside), so every setting that matters is in a table, set, read back and compared: a database
 * that was made otherwise, or a library that ignores a pragma, is noticed at start and not in a
 * benchmark or after a crash.
 *
 * Below vfs.c the VFS is "unix-excl": the wal-index lives on the heap instead of in shared memory,
 * all connections of this process share the lock on the file, and a second process gets SQLITE_BUSY
 * at its first look.
 */
#include "connection.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "vfs.h"

#define IN_MEMORY ":memory:"

/* -- errors ----------------------------------------------------------------------------------- */

static enum mu_code code_of(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL: return MU_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT: return MU_CORRUPT; /* a row that we know is not there, or is */
    case SQLITE_BUSY: return MU_FOREIGN;       /* after all the waiting: another process */
    default: break;
    }
    int system = db != NULL ? sqlite3_system_errno(db) : 0;

    if ((rc & 0xff) == SQLITE_IOERR && catalog__vfs_errno() == EROFS) {
        return MU_READ_ONLY;
    }
    return system == ENOSPC || system == EDQUOT ? MU_FULL : MU_IO;
}

enum mu_code catalog__connection_fail(const struct connection *c, const char *doing,
                                      struct mu_err *err)
{
    int rc = sqlite3_extended_errcode(c->db);
    enum mu_code code = code_of(c->db, rc);
    bool is_damage = (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;

    if (c->damage != NULL && (is_damage || rc == SQLITE_IOERR_DATA)) {
        *c->damage = true;
    }
    if (rc == SQLITE_IOERR_DATA) {
        return mu_fail(err, MU_CORRUPT,
                       "state %s: %s: a page fails its checksum: the disk has damaged it", c->path,
                       doing);
    }
    if (code == MU_FOREIGN) {
        return mu_fail(err, code, "state %s: another process has it open", c->path);
    }
    return mu_fail(err, code, "state %s: %s: %s (%d)", c->path, doing, sqlite3_errmsg(c->db), rc);
}

/* -- statements -------------------------------------------------------------------------------- */

enum mu_code catalog__exec(const struct connection *c, const char *sql, struct mu_err *err)
{
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return catalog__connection_fail(c, sql, err);
    }
    return MU_OK;
}

enum mu_code catalog__prepare(const struct connection *c, const char *sql, sqlite3_stmt **out,
                              struct mu_err *err)
{
    if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK) {
        return catalog__connection_fail(c, sql, err);
    }
    MU_ASSERT(*out != NULL);
    return MU_OK;
}

enum mu_code catalog__step(const struct connection *c, sqlite3_stmt *s, bool *has_row,
                           struct mu_err *err)
{
    int rc = sqlite3_step(s);

    *has_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return MU_OK;
    }
    enum mu_code code =
        rc == SQLITE_DONE ? MU_OK : catalog__connection_fail(c, sqlite3_sql(s), err);

    (void)sqlite3_reset(s); /* or its read lock would stay */
    return code;
}

enum mu_code catalog__run(const struct connection *c, sqlite3_stmt *s, struct mu_err *err)
{
    bool has_row = false;
    enum mu_code rc = catalog__step(c, s, &has_row, err);

    MU_ASSERT(!has_row);
    return rc;
}

enum mu_code catalog__exec_number(const struct connection *c, const char *sql, int64_t *out,
                                  struct mu_err *err)
{
    sqlite3_stmt *s = NULL;
    bool has_row = false;
    enum mu_code rc = catalog__prepare(c, sql, &s, err);

    if (rc == MU_OK) {
        rc = catalog__step(c, s, &has_row, err);
    }
    if (rc == MU_OK) {
        *out = has_row ? sqlite3_column_int64(s, 0) : 0;
    }
    (void)sqlite3_finalize(s);
    return rc;
}

/* -- opening ----------------------------------------------------------------------------------- */

/* Before SQLite's first use in this process; a later call changes nothing and says so, which is
 * harmless: these save time, not safety. */
static void configure_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a mutex around each allocation */
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);  /* no mutexes inside of connections */
}

/* Writers do not meet, but a reader that looks at the wal-index in the moment in which a commit
 * changes it takes the write lock for an instant to look again, and the next transaction finds it
 * taken. So there is somebody to wait for, who needs microseconds unless the machine stands still.
 * While opening, on the other hand, it is nearly always another process, and that one stays. */
#define BUSY_YIELDS     100
#define BUSY_NAP_NS     200000
#define BUSY_NAPS_OPEN  2500  /* half a second */
#define BUSY_NAPS_LATER 50000 /* ten seconds */

static int on_busy(void *data, int times)
{
    const struct timespec nap = { .tv_nsec = BUSY_NAP_NS };
    const struct connection *c = data;

    if (c->is_hurried) {
        return 0;
    }
    if (times < BUSY_YIELDS) {
        (void)sched_yield();
        return 1;
    }
    (void)nanosleep(&nap, NULL);
    return times - BUSY_YIELDS < (c->is_open ? BUSY_NAPS_LATER : BUSY_NAPS_OPEN);
}

#define FILES    (1U << CONNECTION_WRITER | 1U << CONNECTION_READER)
#define MEMORY   (1U << CONNECTION_MEMORY)
#define WRITERS  (1U << CONNECTION_WRITER | 1U << CONNECTION_MEMORY)
#define READER   (1U << CONNECTION_READER)
#define EVERYONE (FILES | MEMORY)

/* In the order they have to come: the page size before there is a file, vacuum before there is a
 * table. */
static const struct setting {
    unsigned roles; /* bit set of enum connection_role */
    const char *name, *value, *reads;
} settings[] = {
    // clang-format off
    { WRITERS,  "page_size",          "4096",        "4096" },   /* a block of the file system */
    { WRITERS,  "auto_vacuum",        "INCREMENTAL", "2" },      /* pages go back in small slices */
    { FILES,    "journal_mode",       "WAL",         "wal" },    /* readers never wait */
    { MEMORY,   "journal_mode",       "MEMORY",      "memory" }, /* rollback has to work */
    { FILES,    "synchronous",        "NORMAL",      "1" },      /* the log is what is durable */
    { MEMORY,   "synchronous",        "OFF",         "0" },
    { FILES,    "wal_autocheckpoint", "0",           "0" },      /* it hides its errors */
    { FILES,    "journal_size_limit", "33554432",    "33554432" }, /* of a WAL that was large once */
    { FILES,    "mmap_size",          "0",           "0" },      /* or bad disks become SIGBUS */
    { EVERYONE, "locking_mode",       "NORMAL",      "normal" }, /* the VFS is what excludes */
    { EVERYONE, "secure_delete",      "OFF",         "0" },
    { EVERYONE, "cell_size_check",    "ON",          "1" },
    { EVERYONE, "trusted_schema",     "OFF",         "0" },
    { EVERYONE, "foreign_keys",       "OFF",         "0" },
    { EVERYONE, "temp_store",         "MEMORY",      "2" },
    { READER,   "query_only",         "ON",          "1" },
}; // clang-format on

static enum mu_code check_pragma(const struct connection *c, const char *name, const char *reads,
                                 struct mu_err *err)
{
    char sql[64];
    sqlite3_stmt *s = NULL;
    bool has_row = false;

    (void)snprintf(sql, sizeof sql, "PRAGMA %s", name);
    enum mu_code rc = catalog__prepare(c, sql, &s, err);

    if (rc == MU_OK) {
        rc = catalog__step(c, s, &has_row, err);
    }
    if (rc == MU_OK) {
        const unsigned char *text = has_row ? sqlite3_column_text(s, 0) : NULL;
        const char *value = text != NULL ? (const char *)text : "nothing";

        if (strcmp(value, reads) != 0) {
            rc = mu_fail(err, MU_CORRUPT, "state %s: %s is %s where %s is needed", c->path, name,
                         value, reads);
        }
    }
    (void)sqlite3_finalize(s);
    return rc;
}

static enum mu_code apply_setting(const struct connection *c, const char *name, const char *value,
                                  const char *reads, struct mu_err *err)
{
    char sql[64];

    (void)snprintf(sql, sizeof sql, "PRAGMA %s=%s", name, value);
    enum mu_code rc = catalog__exec(c, sql, err);

    return rc == MU_OK ? check_pragma(c, name, reads, err) : rc;
}

/* Pages are taken as they are needed, up to a ceiling (negative: KiB). */
static enum mu_code apply_cache_size(const struct connection *c, uint32_t cache_bytes,
                                     struct mu_err *err)
{
    char value[16];

    (void)snprintf(value, sizeof value, "-%u", cache_bytes / 1024);
    return apply_setting(c, "cache_size", value, value, err);
}

static enum mu_code apply_settings(const struct connection *c, enum connection_role role,
                                   uint32_t cache_bytes, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < MU_LEN(settings); i++) {
        const struct setting *s = &settings[i];

        if ((s->roles & 1U << role) != 0) {
            rc = apply_setting(c, s->name, s->value, s->reads, err);
        }
    }
    return rc == MU_OK ? apply_cache_size(c, cache_bytes, err) : rc;
}

/* What a connection may do at all; unlike pragmas these are no part of the file. */
static enum mu_code apply_switches(const struct connection *c, struct mu_err *err)
{
    static const struct {
        int option, value;
    } switches[] = {
        { SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 }, /* closing must not write */
        { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },   { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
        { SQLITE_DBCONFIG_DQS_DML, 0 }, /* "name" is a column or an error, never a string */
        { SQLITE_DBCONFIG_DQS_DDL, 0 },
    };

    for (size_t i = 0; i < MU_LEN(switches); i++) {
        int value = -1;
        int rc = sqlite3_db_config(c->db, switches[i].option, switches[i].value, &value);

        if (rc != SQLITE_OK || value != switches[i].value) {
            return mu_fail(err, MU_UNSUPPORTED, "SQLite %s refuses option %d", sqlite3_libversion(),
                           switches[i].option);
        }
    }
    return MU_OK;
}

enum mu_code catalog__connection_open(struct connection *c, const char *path,
                                      enum connection_role role, const char *vfs,
                                      uint32_t cache_bytes, struct mu_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                SQLITE_OPEN_EXRESCODE;
    bool is_file = role != CONNECTION_MEMORY;

    MU_ASSERT(is_file == (path != NULL));
    (void)pthread_once(&once, configure_library);
    *c = (struct connection){ .path = mu_strdup(is_file ? path : IN_MEMORY) };
    if (is_file) {
        vfs = catalog__vfs_above(vfs != NULL ? vfs : "unix-excl");
    }
    if (sqlite3_open_v2(c->path, &c->db, flags | (is_file ? 0 : SQLITE_OPEN_CREATE), vfs) !=
        SQLITE_OK) {
        return catalog__connection_fail(c, "opening", err);
    }
    if (role == CONNECTION_WRITER) { /* of a file that is still empty; else it has them, or not */
        int reserved = VFS_RESERVED_BYTES;

        (void)sqlite3_file_control(c->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    }
    (void)sqlite3_busy_handler(c->db, on_busy, c);
    enum mu_code rc = apply_switches(c, err);

    if (rc == MU_OK) {
        rc = apply_settings(c, role, cache_bytes, err);
    }
    c->is_open = rc == MU_OK;
    return rc;
}

/* From this many bytes of pages on it is worth asking the heap for what lies between its blocks,
 * which takes its locks for a moment. */
#define TRIM_BYTES (1024 * 1024)

void catalog__connection_rest(const struct connection *c)
{
    int used = 0;
    int highest = 0;

    (void)sqlite3_db_status(c->db, SQLITE_DBSTATUS_CACHE_USED, &used, &highest, 0);
    (void)sqlite3_db_release_memory(c->db);
    if (used > TRIM_BYTES) {
        (void)malloc_trim(0);
    }
}

void catalog__connection_close(struct connection *c)
{
    /* sqlite3_close_v2 would leave a zombie that keeps its locks */
    int rc = sqlite3_close(c->db);

    MU_ASSERT(rc == SQLITE_OK); /* else a statement was forgotten */
    mu_free(c->path);
    *c = (struct connection){ .db = NULL };
}
