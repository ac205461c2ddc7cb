/* connection.h - one connection to SQLite: how it is opened, and what its errors are called.
 *
 * Everything that could differ from one build of SQLite to the next is set here and read back.
 * Connections have no mutex: each belongs to one thread.
 */
#ifndef CATALOG_CONNECTION_H
#define CATALOG_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/span.h"

enum connection_role {
    CONNECTION_WRITER, /* creates the file; the only one that writes and checkpoints */
    CONNECTION_READER, /* beside a writer of the same process */
    CONNECTION_MEMORY, /* a writer without a file */
};

struct connection {
    sqlite3 *db;
    char *path;      /* for messages */
    bool is_open;    /* settings are made: whoever has the lock now is one of us */
    bool is_hurried; /* rather not done than waited for */
    bool *damage;    /* set once the file turns out to be damaged; NULL: nobody asks */
};

/* `c` stays where it is as long as it is open. vfs: NULL, the file system's. Errors: MU_FOREIGN
 * (another process has it open), MU_CORRUPT, MU_FULL, MU_IO. */
MU_MUST_CHECK enum mu_code catalog__connection_open(struct connection *c, const char *path,
                                                    enum connection_role role, const char *vfs,
                                                    uint32_t cache_bytes, struct mu_err *err);
void catalog__connection_close(struct connection *c); /* all statements are finalized before */

/* Give the memory of pages back. Not inside of a transaction. */
void catalog__connection_rest(const struct connection *c);

/* MU_FULL, MU_CORRUPT, MU_FOREIGN or MU_IO for what SQLite said last, with its words. */
enum mu_code catalog__connection_fail(const struct connection *c, const char *doing,
                                      struct mu_err *err);

MU_MUST_CHECK enum mu_code catalog__exec(const struct connection *c, const char *sql,
                                         struct mu_err *err);
/* The first column of the first row: of pragmas and counts. */
MU_MUST_CHECK enum mu_code catalog__exec_number(const struct connection *c, const char *sql,
                                                int64_t *out, struct mu_err *err);

/* A statement for the life of the connection; sqlite3_finalize() ends it. */
MU_MUST_CHECK enum mu_code catalog__prepare(const struct connection *c, const char *sql,
                                            sqlite3_stmt **out, struct mu_err *err);

/* The next row. Without one, and on failure, the statement is reset. */
MU_MUST_CHECK enum mu_code catalog__step(const struct connection *c, sqlite3_stmt *s, bool *has_row,
                                         struct mu_err *err);
/* Run a statement that gives no rows. */
MU_MUST_CHECK enum mu_code catalog__run(const struct connection *c, sqlite3_stmt *s,
                                        struct mu_err *err);

/* -- binding: borrowed until the statement is reset -------------------------------------------- */

/* All bytes are bound as BLOB: to SQLite every TEXT sorts before every BLOB, so that one stray
 * text would be invisible to a range (spec/etcd-v3.md 15.1). */
static inline void bind_bytes(sqlite3_stmt *s, int parameter, struct mu_span bytes)
{
    int rc = sqlite3_bind_blob64(s, parameter, bytes.data != NULL ? bytes.data : (const void *)"",
                                 bytes.bytes, SQLITE_STATIC);

    MU_ASSERT(rc == SQLITE_OK);
}

static inline void bind_number(sqlite3_stmt *s, int parameter, int64_t number)
{
    int rc = sqlite3_bind_int64(s, parameter, number);

    MU_ASSERT(rc == SQLITE_OK);
}

static inline void bind_nothing(sqlite3_stmt *s, int parameter)
{
    int rc = sqlite3_bind_null(s, parameter);

    MU_ASSERT(rc == SQLITE_OK);
}

/* A view of a column, valid until the next step or reset. */
static inline struct mu_span column_bytes(sqlite3_stmt *s, int column)
{
    const void *data = sqlite3_column_blob(s, column); /* first, as SQLite wants it */

    return (struct mu_span){ data, (size_t)sqlite3_column_bytes(s, column) };
}

#endif
