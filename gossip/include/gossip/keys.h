/* keys.h - keys changed and listed through the cluster: what a member holds, does when it is asked,
 * and how answers add up (spec/gossip.md 12.5, 13.8; spec/wishes.md 20).
 *
 * A change is a query to all members, "_serf_install-key" and so on. Each changes its own ring and
 * answers; who asked counts. A ring knows the Lamport times of its last `use` and of the query that
 * changed it last: by these, in this order, the later of two rings is right, and an older `use` is
 * ignored.
 *
 * Who was away when keys changed comes back under an old key. It is told all of this on the first
 * stream it opens (stream.c). For that a removed key is kept aside: it opens nothing but such a
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

enum gossip_key_op { GOSSIP_KEY_INSTALL, GOSSIP_KEY_USE, GOSSIP_KEY_REMOVE, GOSSIP_KEY_LIST };

/* All that a member knows of keys. */
struct gossip_keys {
    struct gossip_keyring ring;
    struct gossip_keyring retired;       /* removed, and told apart from strangers' */
    uint64_t retired_s[GOSSIP_KEYS_MAX]; /* when each was removed: wall clock, seconds */
    uint64_t version;                    /* Lamport time of the query that changed it last */
    uint64_t used;                       /* and of the last `use` */
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
/* Theirs has the later `use`, or the same and a later change. The last change alone does not tell:
 * who comes back may be reached by the next one before it is told of those it missed, and then
 * stands as high as the others, on a primary key that they removed. */
bool gossip_keys_are_later(const struct gossip_keys *theirs, const struct gossip_keys *ours);
/* A later state of the ring, told by a member. False: ours is as late, nothing changed. Where our
 * last change is as late as theirs, keys of ours stay that they neither have nor removed. */
bool gossip_keys_take(struct gossip_keys *keys, const struct gossip_keys *theirs);
/* Time passes; `anybody_away`: failed or left members are remembered, or this node has not run for
 * GOSSIP_RETIRED_MIN_S and may not have heard of them. True: something changed. */
bool gossip_keys_expire(struct gossip_keys *keys, bool anybody_away, uint64_t now_s);
void gossip_keys_wipe(struct gossip_keys *keys);

/* What stands beside the keyring file: versions, and keys that were removed. JSON. Decoding leaves
 * the ring alone. MU_INVALID, MU_TOO_BIG. */
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
