/* command.h - what enters the log: structs, encoding, validation.
 *
 * Every write, whoever asks for it, is one of these, handled by one row of catalog/apply.c. The
 * leader stamps it before it is proposed; applying it reads no clock, no randomness and no local
 * configuration, so all servers at one index hold equal state.
 *
 * Memory:  command_decode() copies into the arena; spans point there. Encoding appends to a buffer.
 * Errors:  MU_CORRUPT for bytes that are no command and MU_UNSUPPORTED for a kind or version of a
 *          newer binary: both judged by the envelope, so command_stamp() keeps them out of a log,
 *          and a server that reads one from its log stops. MU_INVALID for a body that is malformed
 *          or out of bounds: it is refused alike by every server. MU_TOO_BIG.
 */
#ifndef MU_PROTO_COMMAND_H
#define MU_PROTO_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/span.h"
#include "proto/coordinate.h"

/* Numbers are for ever. */
enum command_kind {
    COMMAND_NONE = 0,
    COMMAND_REGISTER = 1,
    COMMAND_DEREGISTER = 2,
    COMMAND_KV_SET = 3,
    COMMAND_KV_DELETE = 4,
    COMMAND_AUTOPILOT = 16,
    COMMAND_KV_LOCK = 5,
    COMMAND_SESSION_CREATE = 6,
    COMMAND_SESSION_DESTROY = 7,
    COMMAND_TXN = 8,
    COMMAND_KV_COMPACT = 9,
    COMMAND_STAGE = 10,
    COMMAND_RESTORE = 11,
    COMMAND_COORDINATES = 17,
    COMMAND_TXN_CATALOG = 18,
};

/* Who sent a command to a leader, so that one that is sent again is known (spec/consensus.md 2.19).
 * The server is named by its disk: that is what counts its boots. */
struct command_origin {
    struct mu_id server; /* none: not known */
    uint64_t boot, seq;
};

struct command_service_address {
    struct mu_span name, address;
    uint16_t port;
};

struct command_node {
    struct mu_span name, id, address; /* id: UUID text or empty */
    struct mu_pairs tagged_addresses, meta;
    bool has_tagged_addresses, has_meta; /* null and {} differ in answers */
};

struct command_service {
    struct mu_span id, name, kind;
    struct mu_texts tags;
    struct mu_span address;
    uint16_t port;
    struct command_service_address *tagged_addresses;
    size_t tagged_addresses_count;
    struct mu_pairs meta;
    bool has_meta;
    uint32_t weight_passing, weight_warning;
    bool enable_tag_override;
    struct mu_span proxy, connect; /* compact JSON as it is shown, or empty */
};

struct command_check {
    struct mu_span id, name, status, notes, output, service_id, type;
    struct mu_span definition; /* compact JSON as it is shown, or empty */
};

struct command_register {
    struct command_node node;
    bool has_service;
    struct command_service service;
    struct command_check *checks;
    size_t checks_count;
    bool skip_node_update;
};

struct command_deregister {
    struct mu_span node, service_id, check_id;
};

struct command_kv_set {
    struct mu_span key, value;
    uint64_t flags;
    bool has_cas;
    uint64_t cas;
};

struct command_kv_delete {
    struct mu_span key;
    bool recurse, has_cas;
    uint64_t cas;
};

/* How the leader cares for the servers (spec/consensus.md 2.9). */
struct command_autopilot {
    bool cleanup_dead_servers, disable_upgrade_migration;
    uint64_t last_contact_ns, stabilization_ns; /* at most INT64_MAX, as all numbers here */
    uint64_t max_trailing_logs, min_quorum;
    struct mu_span redundancy_zone_tag, upgrade_version_tag;
    bool has_cas;
    uint64_t cas; /* 0: only if there is none yet */
};

struct command_coordinate {
    struct mu_span node; /* one that is not registered is passed over */
    struct coordinate at;
};

struct command_coordinates {
    struct command_coordinate *items;
    size_t count; /* at most MU_COORDINATES_MAX */
};

struct command_kv_lock { /* acquire or release, with a write */
    struct mu_span key, value;
    uint64_t flags;
    struct mu_id session;
    bool is_release;
};

struct command_kv_compact { /* one step */
    uint32_t space;         /* 1: Consul's */
    uint64_t versions_rev;  /* superseded versions go up to here */
    uint64_t markers_rev;   /* and deletion markers up to here */
    uint32_t rows;          /* visited at most, 1..MU_COMPACT_ROWS_MAX */
};

enum command_txn_verb { /* numbers are for ever */
                        COMMAND_TXN_NONE = 0,
                        COMMAND_TXN_SET = 1,
                        COMMAND_TXN_CAS = 2,
                        COMMAND_TXN_LOCK = 3,
                        COMMAND_TXN_UNLOCK = 4,
                        COMMAND_TXN_GET = 5,
                        COMMAND_TXN_GET_TREE = 6,
                        COMMAND_TXN_GET_OR_EMPTY = 7,
                        COMMAND_TXN_CHECK_INDEX = 8,
                        COMMAND_TXN_CHECK_SESSION = 9,
                        COMMAND_TXN_CHECK_NOT_EXISTS = 10,
                        COMMAND_TXN_DELETE = 11,
                        COMMAND_TXN_DELETE_TREE = 12,
                        COMMAND_TXN_DELETE_CAS = 13,
                        /* from here on in TXN_CATALOG only */
                        COMMAND_TXN_NODE_GET = 14,
                        COMMAND_TXN_NODE_SET = 15,
                        COMMAND_TXN_NODE_CAS = 16,
                        COMMAND_TXN_NODE_DELETE = 17,
                        COMMAND_TXN_NODE_DELETE_CAS = 18,
                        COMMAND_TXN_SERVICE_GET = 19,
                        COMMAND_TXN_SERVICE_SET = 20,
                        COMMAND_TXN_SERVICE_CAS = 21,
                        COMMAND_TXN_SERVICE_DELETE = 22,
                        COMMAND_TXN_SERVICE_DELETE_CAS = 23,
                        COMMAND_TXN_CHECK_GET = 24,
                        COMMAND_TXN_CHECK_SET = 25,
                        COMMAND_TXN_CHECK_CAS = 26,
                        COMMAND_TXN_CHECK_DELETE = 27,
                        COMMAND_TXN_CHECK_DELETE_CAS = 28,
};

enum command_txn_on { /* what a verb is about */
                      COMMAND_TXN_ON_KEY,
                      COMMAND_TXN_ON_NODE,
                      COMMAND_TXN_ON_SERVICE,
                      COMMAND_TXN_ON_CHECK,
};
enum command_txn_on command_txn_on(enum command_txn_verb verb);

struct command_txn_op {
    enum command_txn_verb verb;
    struct mu_span key, value; /* key: or a prefix; of a service or check, the node it is on */
    uint64_t flags, index;
    struct mu_span session; /* as given */
    /* The one that the verb is about, the others are NULL. To get or delete it, its name or id
     * is enough. */
    const struct command_node *node;
    const struct command_service *service;
    const struct command_check *check;
};

struct command_txn { /* all operations or none; TXN: all of them on keys */
    struct command_txn_op *ops;
    size_t ops_count; /* at most MU_TXN_OPS_MAX */
};

struct command_session {
    struct mu_id id;
    struct mu_span name, node;
    uint64_t lock_delay_ns;         /* as given; what counts is at most 60 s */
    struct mu_span behavior;        /* "release" or "delete" */
    struct mu_span ttl;             /* as given: a duration, or empty */
    struct mu_texts node_checks;    /* ids */
    struct mu_pairs service_checks; /* id and namespace */
    bool has_service_checks;        /* null and [] differ in answers */
};

struct command_session_destroy {
    struct mu_id id;
};

struct command_stage {   /* a part of the stream of another state (catalog/snapshot.h) */
    struct mu_id id;     /* of the restore that it is for */
    uint64_t offset;     /* 0: what is staged goes first */
    struct mu_span data; /* at most MU_STAGE_BYTES_MAX; empty, at 0: what is staged goes */
};

struct command_restore { /* what was staged becomes the state */
    struct mu_id id;
    uint64_t bytes;                      /* of the whole stream, at most MU_RESTORE_BYTES_MAX */
    uint8_t hash[MU_RESTORE_HASH_BYTES]; /* its BLAKE2b-256 */
};

struct command {
    enum command_kind kind;
    struct command_origin origin;
    struct mu_id request; /* id that a client gave to be able to ask again; none: not given */
    struct mu_span body;  /* decoded: the bytes of the body */
    uint64_t stamp_ms;    /* since 1970; 0 until a leader stamps it */
    union {
        struct command_register reg;
        struct command_deregister dereg;
        struct command_kv_set kv_set;
        struct command_kv_delete kv_delete;
        struct command_autopilot autopilot;
        struct command_coordinates coordinates;
        struct command_kv_lock kv_lock;
        struct command_kv_compact kv_compact;
        struct command_txn txn;
        struct command_session session;
        struct command_session_destroy session_destroy;
        struct command_stage stage;
        struct command_restore restore;
    };
};

/* Append the encoding. MU_TOO_BIG above MU_COMMAND_BYTES_MAX, nothing is appended then. */
MU_MUST_CHECK enum mu_code command_encode(const struct command *c, struct mu_buf *to,
                                          struct mu_err *err);

/* Decode and validate. Names, ids, addresses and keys of metadata at most MU_NAME_MAX bytes (node
 * names MU_NODE_NAME_MAX), text (all but check output) valid UTF-8 without NUL, lists at most
 * MU_COMMAND_LIST_MAX long, KV keys at most MU_KV_KEY_MAX, ports 0..65535. What may be empty is not
 * judged here: the catalog answers that in the API's words. Encoding judges the same, so what one
 * server encoded every server decodes. */
MU_MUST_CHECK enum mu_code command_decode(struct mu_span bytes, struct mu_arena *arena,
                                          struct command *out, struct mu_err *err);

/* Set stamp and origin (NULL: what it has) in an encoded command without decoding its body: what a
 * leader does with a command that somebody else encoded. Appends the result to `to`. */
MU_MUST_CHECK enum mu_code command_stamp(struct mu_span bytes, const struct command_origin *origin,
                                         uint64_t stamp_ms, struct mu_buf *to, struct mu_err *err);

/* Does it free space, so that it is allowed while the disk is full (spec/consensus.md 2.15)? False
 * for what is no command. */
bool command_is_relief(struct mu_span bytes);

/* By its first bytes, of what was encoded or stamped here; NONE for what is no command. */
enum command_kind command_kind_of(struct mu_span bytes);

/* Kinds that come later have a higher level: such a command is refused until every server of the
 * cluster understands it (spec/consensus.md 1.10). command_level_max(): of all kinds there are. */
#define COMMAND_LEVEL_FIRST 1U
uint32_t command_level(struct mu_span bytes);
uint32_t command_level_max(void);

/* Does it replace everything, so that it is cheaper in a transaction of its own? False
 * for what is no command. */
bool command_is_restore(struct mu_span bytes);

const char *command_kind_text(enum command_kind kind); /* "register", ...; "unknown" */

#endif
