/* keys.h - keys changed and listed through the cluster: what a member holds, does when it is asked,
 * and how answers add up (spec/gossip.md 12.5, 13.8; spec/wishes.md 20).
 *
 * A change is a query to all members, "_serf_install-key" and so on. Each changes its own ring and
 * answers; who asked counts. What a member did not hear it is told later: of each key that was ever
 * changed a member knows the Lamport time of the last change and whether that removed the key, and
 * of the primary one the time of its last `use`. Of two that differ the later is right, so members
 * that tell each other end with the same ring, whatever each of them missed and in whatever order
 * (keys_merge.c). They find out by a digest in the first words of each exchange (tell.c). Keys
 * that stand in a member's own file or configuration, and were never changed, have no time: they
 * stay its own affair.
 *
 * Who was away when keys changed comes back under an old key. It is told all of this on the first
 * stream it opens (tell.c). For that a removed key is kept aside: it opens nothing but such a
 * stream, of a member that is remembered as failed or left, for GOSSIP_RETIRED_S at most, and no
 * longer than there are such members. Who is forgotten (force-leave with prune) is a stranger.
 *
 * Thread:  any; nothing is shared.
 * Memory:  plain values: gossip_keys_wipe() before they are let go. A report lives in an arena.
 * Errors:  the sentences are those that operators of Serf know.
 */
#ifndef GOSSIP_KEYS_H
#define GOSSIP_KEYS_H

#include "base/arena.h"
#include "base/json.h"
#include "gossip/keyring.h"

#define GOSSIP_RETIRED_S       (72U * 3600) /* so long failed members are remembered (13.10) */
#define GOSSIP_RETIRED_MIN_S   120U         /* until then who is away may pass for alive */
#define GOSSIP_KEY_REPORT_KEYS 64U          /* different keys in one report; more are not listed */
#define GOSSIP_KEY_TEXT_BYTES  160U         /* of what a member says, with NUL */
#define GOSSIP_KEY_MARKS_MAX                                             \
    48U /* keys whose last change is known: those of two rings, and more \
         */

enum gossip_key_op { GOSSIP_KEY_INSTALL, GOSSIP_KEY_USE, GOSSIP_KEY_REMOVE, GOSSIP_KEY_LIST };

struct gossip_key_mark {
    uint64_t name;  /* gossip_key_name() */
    uint64_t ltime; /* of the query that changed it last */
    bool is_removed;
};

/* All that a member knows of keys. */
struct gossip_keys {
    struct gossip_keyring ring;
    struct gossip_keyring retired;       /* removed, and told apart from strangers' */
    uint64_t retired_s[GOSSIP_KEYS_MAX]; /* when each was removed: wall clock, seconds */
    struct gossip_key_mark marks[GOSSIP_KEY_MARKS_MAX];
    size_t marks_count;
    uint64_t used;      /* Lamport time of the last `use`; 0: there was none */
    uint64_t forgotten; /* removals up to this time may have no mark any more */
};

struct gossip_key_query {
    enum gossip_key_op op;
    struct mu_span key; /* as it was installed, 16, 24 or 32 bytes; LIST: none */
    uint64_t ltime, now_s;
};

/* What one member answers. */
struct gossip_key_answer {
    bool is_ok;
    char text[GOSSIP_KEY_TEXT_BYTES]; /* why not; "" */
    struct gossip_keyring ring;       /* of LIST */
};

const char *gossip_key_query_name(enum gossip_key_op op); /* "_serf_install-key" */
bool gossip_key_op_of(const char *query_name, enum gossip_key_op *out);

/* Do what is asked of us. True: `keys` changed and are to be kept before this is answered. */
bool gossip_keys_apply(struct gossip_keys *keys, const struct gossip_key_query *q,
                       struct gossip_key_answer *out);
/* The same at two members: neither has a change of keys that the other does not know. */
uint64_t gossip_keys_digest(const struct gossip_keys *keys);
/* Lamport time of the last change known; 0: there was none. */
uint64_t gossip_keys_time(const struct gossip_keys *keys);
/* What a member told: ours and theirs become one. False: that taught us nothing. Rings without a
 * key take and give nothing. */
bool gossip_keys_take(struct gossip_keys *keys, const struct gossip_keys *theirs);
/* Time passes; `anybody_away`: failed or left members are remembered, or this node has not run for
 * GOSSIP_RETIRED_MIN_S and may not have heard of them. True: something changed. */
bool gossip_keys_expire(struct gossip_keys *keys, bool anybody_away, uint64_t now_s);
void gossip_keys_wipe(struct gossip_keys *keys);

/* What stands beside the keyring file: times of changes, and keys that were removed. JSON. Decoding
 * leaves the ring alone, and drops what the ring contradicts: whoever edited the file, or a crash
 * between the two, leaves keys without a time. MU_INVALID, MU_TOO_BIG. */
void gossip_keys_encode(const struct gossip_keys *keys, struct mu_buf *to);
MU_MUST_CHECK enum mu_code gossip_keys_decode(struct mu_span text, struct gossip_keys *out,
                                              struct mu_err *err);

/* -- on the wire: the payload of query and answer; always fit their limits ----------------------
 */

void gossip_key_request_encode(const struct gossip_key *key, struct mu_buf *to); /* NULL: LIST */
/* *key is a view. False: no such bytes. */
bool gossip_key_request_decode(struct mu_span payload, struct mu_arena *arena, struct mu_span *key);
void gossip_key_answer_encode(const struct gossip_key_answer *a, struct mu_buf *to);
bool gossip_key_answer_decode(struct mu_span payload, struct gossip_key_answer *out);

/* -- what all of them said ----------------------------------------------------------------------
 */

struct gossip_key_report {
    enum gossip_key_op op;
    size_t nodes, responses, errors; /* asked; answered; of these with an error */
    struct mu_pairs messages;        /* node name and what it said, in the arena */
    struct {
        struct gossip_key key;
        size_t holders, primaries;
    } keys[GOSSIP_KEY_REPORT_KEYS]; /* of LIST */
    size_t keys_count;
    struct mu_arena *arena;
};

/* `nodes`: members alive or suspect now. Answers beyond so many are not taken. */
void gossip_key_report_init(struct gossip_key_report *r, enum gossip_key_op op, size_t nodes,
                            struct mu_arena *arena);
void gossip_key_report_add(struct gossip_key_report *r, const char *from, struct mu_span payload);
bool gossip_key_report_is_whole(const struct gossip_key_report *r); /* all have answered */
/* MU_CONFLICT: "1/3 nodes reported failure"; MU_TIMEOUT: "2/3 nodes reported success". */
MU_MUST_CHECK enum mu_code gossip_key_report_end(const struct gossip_key_report *r,
                                                 struct mu_err *err);

#endif
