/* catalog.h - the replicated state: one SQLite file, changed only by applying log entries.
 *
 * What is registered (nodes, services, checks) and Consul's key space. The owner takes committed
 * entries in order, opens one transaction over many of them, and tells waiters after the commit.
 * The applied index lies in the same transaction as the data, so after a crash the log replays from
 * exactly what the file contains (spec/consensus.md 1.10, 3.4).
 *
 * Thread:  a struct catalog belongs to the apply thread, which is the only writer and the only one
 *          that checkpoints. Others read through query.h on connections of their own.
 * Time:    comes in the command's stamp; nothing here reads a clock.
 * Memory:  results and changes are the caller's; see each call.
 * Errors:  a command that cannot be carried out (CAS mismatch, unknown node) is a *result*, equal
 *          on every server, and so is one whose body is malformed. A failure of storage (MU_FULL,
 *          MU_IO, MU_CORRUPT), bytes that are no command (MU_CORRUPT) or one this binary does not
 *          know (MU_UNSUPPORTED) is a failure of the call: roll back and stop.
 */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct catalog; /* opaque */

/* Where the file lies, if not in the file system: the simulator has disks of its own. */
struct catalog_files {
    const char *vfs; /* registered with SQLite; must keep other processes out by itself */
    void *self;
    /* An empty file, or nothing if it is there. */
    enum mu_code (*create)(void *self, const char *path, struct mu_err *err);
    enum mu_code (*sync_dir)(void *self, const char *path, struct mu_err *err);
};

struct catalog_options {
    const char *path;     /* the database file; NULL: in memory (simulator, tests) */
    uint32_t cache_bytes; /* page cache of this connection; 0: 64 MiB ceiling, grown as needed */
    uint32_t wal_bytes;   /* the WAL is written back when it has so much; 0, or more: 32 MiB */
    const struct catalog_files *files; /* NULL: the file system; borrowed until closed */
};

/* Where the state stands: one row, changed in the same transaction as everything else. */
struct catalog_applied {
    uint64_t index, term; /* of the last entry applied; 0, 0: none */
    uint64_t stamp_ms;    /* its stamp, or that of an earlier one that had a stamp */
    uint8_t hash[16];     /* sum of the hashes of all rows (spec/consensus.md 3.6) */
};

/* What became of one command. */
struct catalog_result {
    /* MU_OK; else why it had no effect: MU_INVALID (the command itself), MU_CONFLICT (a name is
     * held by another node), MU_NOT_FOUND (the service of a check), MU_TOO_BIG (a deletion of more
     * than a million keys), MU_TIMEOUT (repeated too late: what became of it is not known any
     * more). The API answers all of them 500 with `text` (http-api 4); and 409 to MU_EXISTS (a
     * request id that was used for something else). */
    enum mu_code code;
    bool did_apply;     /* what PUT and DELETE of a key answer: false when a CAS did not match */
    char *text;         /* set with a code other than MU_OK: the API's error text */
    struct mu_buf data; /* what else there is to answer, by the kind of command; mostly nothing */
};
void catalog_result_free(struct catalog_result *result);

/* Create or open. Checks pragmas by reading them back, the schema version, and that no other
 * process has it open. An older schema is brought up to what came with its level of commands.
 * Errors: MU_IO, MU_FULL, MU_CORRUPT, MU_FOREIGN (another process has it open, or another program
 * made it), MU_UNSUPPORTED (newer schema). */
MU_MUST_CHECK enum mu_code catalog_open(struct catalog **out, const struct catalog_options *options,
                                        struct mu_err *err);
void catalog_close(struct catalog *c); /* NULL is fine; writes nothing */

/* How long the history of Consul's keys is: every change is one revision. */
struct catalog_history {
    uint64_t rev;           /* of the last change */
    uint64_t compacted_rev; /* up to which superseded versions are gone */
};
struct catalog_history catalog_history(const struct catalog *c);

/* How the file is laid out. */
struct catalog_schema {
    uint32_t version; /* that older binaries compare with what they know */
    uint32_t level;   /* of commands that it came with (proto/command.h) */
};
struct catalog_schema catalog_schema(const struct catalog *c); /* inside a transaction: its own */

struct catalog_applied catalog_applied(const struct catalog *c); /* inside a transaction: its own */

/* -- one transaction over many entries --------------------------------------------------------- */

struct catalog_changes; /* what a transaction touched: see watch.h */

MU_MUST_CHECK enum mu_code catalog_begin(struct catalog *c, struct mu_err *err);

/* Apply entry `index`, which follows the last one applied (gaps are allowed: entries that are no
 * commands; going back is asserted). `command` is encoded (proto/command.h); empty for an entry
 * without one (a no-op, a configuration): then only the applied index moves. */
MU_MUST_CHECK enum mu_code catalog_apply(struct catalog *c, uint64_t index, uint64_t term,
                                         struct mu_span command, struct catalog_result *result,
                                         struct mu_err *err);

/* From the entry applied last on, all servers of the cluster understand commands of this level: the
 * schema is brought up to what came with it, in this transaction. Commands of that level are not
 * applied before (MU_CORRUPT). A lower one changes nothing. */
MU_MUST_CHECK enum mu_code catalog_raise(struct catalog *c, uint32_t level, struct mu_err *err);

/* Commit. *changes receives what the transaction touched, *given* to the caller (end it with
 * catalog_changes_free()). */
MU_MUST_CHECK enum mu_code catalog_commit(struct catalog *c, struct catalog_changes **changes,
                                          struct mu_err *err);
void catalog_rollback(struct catalog *c);

/* -- care, on the apply thread between transactions -------------------------------------------- */

/* Write the WAL back when it is due: above 32 MiB (or less, see the options), or when `is_idle`
 * (nothing was applied for a second) above 500. Idle calls also give memory and a slice of free
 * pages back (a megabyte; catalog_has_slack() says whether there are more). *durable gets the
 * applied index that is flushed in the database file, unchanged when nothing was done. */
MU_MUST_CHECK enum mu_code catalog_checkpoint(struct catalog *c, bool is_idle, uint64_t *durable,
                                              struct mu_err *err);
/* The disk was full: write everything back and cut the WAL, so that its blocks are free. MU_FULL:
 * the file has no room for that either; nothing is lost, try again when there is. */
MU_MUST_CHECK enum mu_code catalog_relieve(struct catalog *c, uint64_t *durable,
                                           struct mu_err *err);
/* The last idle call left free pages that are worth another. */
bool catalog_has_slack(const struct catalog *c);
/* What is in use of the file, as of the last time that all of the WAL was written back; 0: not
 * known (before the first time, or in memory). */
uint64_t catalog_bytes(const struct catalog *c);
/* The applied index known to be flushed: since it was opened, or since the last checkpoint. */
uint64_t catalog_durable(const struct catalog *c);

/* Compute the hash from all rows anew: equals catalog_applied().hash, or something is broken. */
MU_MUST_CHECK enum mu_code catalog_recount(struct catalog *c, uint8_t hash[16], struct mu_err *err);

/* Append how many rows each table has and what they add up to, as a line of text. *adds_up: all of
 * it together is the hash that was kept while they were written. For when servers differ. */
MU_MUST_CHECK enum mu_code catalog_census(struct catalog *c, struct mu_buf *to, bool *adds_up,
                                          struct mu_err *err);

/* All rows as text, tables and keys in order: two servers at one index give equal bytes. For tests
 * and the simulator. */
MU_MUST_CHECK enum mu_code catalog_dump(struct catalog *c, struct mu_buf *to, struct mu_err *err);

#endif
