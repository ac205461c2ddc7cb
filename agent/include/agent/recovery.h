/* recovery.h - the data directory of a server that is stopped: what it holds, and how a cluster
 * goes on that lost its quorum (spec/consensus.md 2.14). Of servers that run: recover.h.
 *
 * What a server holds is a position: ids, how far log and state go, and a chain value that is equal
 * exactly on equal logs. Written as text it is what people read and, with its checksum, a bundle
 * that is carried to the other hosts.
 *
 * The way out: on the survivor whose log goes furthest, recovery_plan() and recovery_carry_out()
 * make it a cluster of its own, in a new epoch; the other survivors are set aside and join it as
 * new servers. More than one voter at once only where bundles prove that all logs end alike.
 *
 * The epoch that begins is the time of the recovery, in microseconds: should two go on that do not
 * know of each other, the one that was recovered later stops the other one when they meet. Several
 * voters at once have nothing but their logs in common, and take the next number.
 *
 * Life:    recovery_open -> ... -> recovery_close; the lock of the directory is held in between.
 * Thread:  any; these calls block.
 * Errors:  MU_FOREIGN (not of muster, or a running agent's), MU_NOT_FOUND (no directory, or not a
 *          server's), MU_UNSUPPORTED (of another version),
 *          MU_INVALID (a file that is not what it should be), MU_CONFLICT (as things are it would
 *          lose or split data; the text says what and how to go on), MU_CORRUPT, MU_IO, MU_FULL.
 */
#ifndef AGENT_RECOVERY_H
#define AGENT_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/span.h"

#define RECOVERY_SERVERS_MAX 16
#define RECOVERY_FILE_MAX    65536 /* bytes of a bundle, or of peers.json */
#define RECOVERY_ADDRESS_MAX 64
#define RECOVERY_FOLDER_MAX  32

/* -- what a server holds ----------------------------------------------------------------------- */

struct recovery_server {   /* of the newest configuration in its log, or of peers.json */
    struct mu_id id, disk; /* disk: none in peers.json */
    bool is_voter;
    char address[RECOVERY_ADDRESS_MAX];
};

struct recovery_position {
    struct mu_id server, disk, cluster; /* cluster: none while it has none */
    uint64_t epoch, term, last_index, last_term;
    uint32_t chain;
    uint64_t applied_index; /* the state has everything up to here: surely committed */
    uint8_t state_hash[16];
    uint64_t config_index;
    struct recovery_server servers[RECOVERY_SERVERS_MAX];
    size_t servers_count;
    struct mu_id coordinator;     /* of a promise that was never decided; none: no promise */
    char damage[MU_ERR_TEXT_MAX]; /* of log or state; "": none. Not part of a bundle. */
    bool is_unread;               /* `damage` is no damage: the disk failed, or is full */
    /* Of the log, damage that takes nothing: the state has it; "": none. Not part of a bundle. */
    char harmless[MU_ERR_TEXT_MAX];
};

/* The bundle: lines of "key value", the last one its checksum. */
void recovery_position_write(const struct recovery_position *p, struct mu_buf *to);
/* MU_INVALID: it is no bundle, or not as it was written. */
MU_MUST_CHECK enum mu_code
recovery_position_read(struct mu_span text, struct recovery_position *out, struct mu_err *err);

/* -- who is to go on --------------------------------------------------------------------------- */

struct recovery_peers {
    struct recovery_server items[RECOVERY_SERVERS_MAX]; /* by id */
    size_t count;
};

/* Consul's file: [{"id": "<node id>", "address": "10.0.0.1:8300", "non_voter": false}, ...].
 * MU_INVALID. */
MU_MUST_CHECK enum mu_code recovery_peers_read(struct mu_span text, struct recovery_peers *out,
                                               struct mu_err *err);

/* Which log is ahead, within one epoch: the newer last term, else the later last entry. */
bool recovery_goes_further(const struct recovery_position *a, const struct recovery_position *b);

/* May these peers go on from `own`? `others` are the bundles of other survivors. is_forced: also
 * when another one's log goes further. MU_CONFLICT with the reason and the way. */
MU_MUST_CHECK enum mu_code recovery_judge(const struct recovery_position *own,
                                          const struct recovery_peers *peers,
                                          const struct recovery_position *others,
                                          size_t others_count, bool is_forced, struct mu_err *err);

/* -- a data directory -------------------------------------------------------------------------- */

struct recovery; /* opaque */

MU_MUST_CHECK enum mu_code recovery_open(struct recovery **out, const char *data_dir,
                                         struct mu_err *err);
void recovery_close(struct recovery *r); /* NULL is fine */
const struct recovery_position *recovery_position(const struct recovery *r);

/* Make these peers the cluster, after recovery_judge() agreed. Durable when it returns MU_OK. */
MU_MUST_CHECK enum mu_code recovery_carry_out(struct recovery *r,
                                              const struct recovery_peers *peers,
                                              const struct recovery_position *others,
                                              size_t others_count, struct mu_err *err);
/* Set aside what it holds, below a folder whose name is returned: it joins as a new server. */
MU_MUST_CHECK enum mu_code recovery_rejoin(struct recovery *r, char folder[RECOVERY_FOLDER_MAX],
                                           struct mu_err *err);
/* The next folder for that: what was set aside for a recovery is never deleted. */
void recovery_aside_name(const char *data_dir, char folder[RECOVERY_FOLDER_MAX]);
/* Free a fresh server of a promise whose coordinator is gone for good. */
MU_MUST_CHECK enum mu_code recovery_promise_reset(struct recovery *r, struct mu_err *err);

/* -- agreed upon while the server ran ---------------------------------------------------------- */

struct recovery_order {
    struct recovery_position own; /* what it is to go on from, alone; chain and hash are not told */
    uint64_t epoch;               /* that begins: recovery_epoch_now() */
    struct recovery_position *others; /* of those that answered */
    size_t others_count;
    bool is_forced;
    uint64_t until_ms; /* of mu_clock_ms(): so long the others surely stand back, and not longer */
};
uint64_t recovery_epoch_now(uint64_t before); /* above `before`, and above all earlier ones */

/* Log and state are closed, and the caller holds the lock: judge again what is there now, and make
 * it the cluster. With an error nothing has changed; MU_CONFLICT also when it is too late. */
MU_MUST_CHECK enum mu_code recovery_go_on(const char *data_dir, const struct recovery_order *order,
                                          struct mu_err *err);

/* -- raft/peers.json --------------------------------------------------------------------------- */

/* At the start of a server, whose lock the caller holds: <data_dir>/raft/peers.json, with bundles
 * beside it (*.bundle), is consumed once and renamed to peers.json.used. `did`: there was one. */
MU_MUST_CHECK enum mu_code recovery_consume(const char *data_dir, const struct mu_id *node,
                                            bool *did, struct mu_err *err);

#endif
