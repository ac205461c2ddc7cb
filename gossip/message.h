/* message.h - what agents say to each other, as plain structs.
 *
 * Only message*.c know how they look on the wire. Decoding validates everything (15): names are
 * UTF-8 of 1..MU_NODE_NAME_MAX bytes without control characters, incarnations below 2^62,
 * addresses whole, sizes within limits.h. What passed can be used without further checks.
 *
 * Memory: decoded texts and spans are views into the arena or the bytes; encoded ones are in the
 *         arena.
 */
#ifndef GOSSIP_MESSAGE_H
#define GOSSIP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/id.h"
#include "base/json.h"
#include "base/span.h"
#include "gossip/keys.h"
#include "proto/coordinate.h"

#define GOSSIP__INCARNATION_MAX ((1ULL << 62) - 1)
#define GOSSIP__BUCKETS         256 /* of a digest (9.2) */

/* What a failed dial says about a node (5.4). The numbers are on the wire. */
enum gossip__evidence {
    GOSSIP__SILENT = 0,  /* nothing came back */
    GOSSIP__REFUSED = 1, /* the host says that nobody listens: the process is gone */
    GOSSIP__STALLED = 2, /* the kernel accepts, the process does not answer: starved or stopped */
};

enum gossip__state { /* the numbers are on the wire */
                     GOSSIP__ALIVE = 0,
                     GOSSIP__SUSPECT = 1,
                     GOSSIP__DEAD = 2,
                     GOSSIP__GONE = 3, /* left: said so itself */
};

struct gossip__alive {
    const char *node;
    uint64_t incarnation, boot_id;
    struct mu_addr at;
    struct mu_span meta;
    uint8_t versions[6];
    struct mu_id node_id;
};

struct gossip__suspect {
    const char *node, *from;
    uint64_t incarnation;
    enum gossip__evidence evidence;
};

struct gossip__dead {
    const char *node, *from; /* the same: it left */
    uint64_t incarnation;
};

struct gossip__ping {
    uint64_t seq;
    const char *target;
    struct mu_addr reply_to; /* none: where the packet came from */
    uint64_t target_boot;
    struct mu_span filling; /* sent, and not looked at where it comes */
};

struct gossip__indirect {
    uint64_t seq;
    struct mu_addr target;
    const char *target_name, *origin;
    struct mu_addr reply_to;
    bool want_nack;
    uint32_t nack_after_ms;
};

enum gossip__given {
    GOSSIP__GIVEN_NONE,
    GOSSIP__GIVEN_UNREADABLE, /* of a version or with dimensions that we do not know */
    GOSSIP__GIVEN,
};

struct gossip__ack {
    uint64_t seq;
    bool relayed;
    enum gossip__given where;
    struct coordinate coordinate; /* GIVEN: any numbers at all */
};

struct gossip__nack {
    uint64_t seq;
    enum gossip__evidence evidence;
};

enum gossip__error_code { /* on the wire */
                          GOSSIP__ERROR_WRONG_NODE = 1,
                          GOSSIP__ERROR_CONFLICT = 2,
};

struct gossip__error {
    uint32_t code;
    const char *text;
    bool has_held;
    struct gossip__alive held; /* of a conflict: who holds the name or id */
};

struct gossip__intent {
    const char *node;
    uint64_t ltime;
    bool prune; /* of LEAVE */
};

#define GOSSIP__EVENT_NAME_MAX 255        /* bytes, of events and queries */
#define GOSSIP__QUERY_MS_MAX   (86400000) /* a day */
#define GOSSIP__FILTERS_MAX    32
#define GOSSIP__NODES_MAX      256 /* names in one filter */
#define GOSSIP__EXPR_MAX       255 /* bytes, of its tag and of its pattern */

struct gossip__user_event {
    uint64_t ltime;
    const char *name;
    struct mu_span payload;
    bool coalesce;
};

struct gossip__filter { /* both NULL: nobody passes */
    const char **nodes; /* names, or */
    size_t nodes_count;
    const char *tag, *expr;
};

#define GOSSIP__QUERY_ACK   1 /* flags */
#define GOSSIP__QUERY_QUIET 2 /* not to be passed on */
#define GOSSIP__QUERY_LARGE 4 /* answers may also come by stream; who is older ignores it */
#define GOSSIP__QUERY_OWN   8 /* the same, as large as who answers has set, and no larger */

struct gossip__query {
    uint64_t ltime;
    uint32_t id;
    struct mu_addr origin;
    const char *origin_node;
    struct gossip__filter *filters;
    size_t filters_count;
    uint32_t flags, relay_factor;
    uint64_t timeout_ms;
    const char *name;
    struct mu_span payload;
};

struct gossip__response {
    uint64_t ltime;
    uint32_t id;
    const char *from;
    uint32_t flags; /* GOSSIP__QUERY_ACK: only that the query came */
    struct mu_span payload;
};

struct gossip__relay {
    struct mu_addr dest;
    const char *dest_name;
    struct mu_span inner; /* an encoded part */
};

enum gossip__part_kind {
    GOSSIP__PART_UNKNOWN, /* a kind that a later version has: counted and skipped */
    GOSSIP__PART_PING,
    GOSSIP__PART_INDIRECT,
    GOSSIP__PART_ACK,
    GOSSIP__PART_NACK,
    GOSSIP__PART_SUSPECT,
    GOSSIP__PART_ALIVE,
    GOSSIP__PART_DEAD,
    GOSSIP__PART_ERROR,
    GOSSIP__PART_JOIN,
    GOSSIP__PART_LEAVE,
    GOSSIP__PART_EVENT,
    GOSSIP__PART_QUERY,
    GOSSIP__PART_RESPONSE,
    GOSSIP__PART_RELAY,
};

struct gossip__part {
    enum gossip__part_kind kind;
    struct mu_span bytes; /* encoded: what is passed on */
    union {
        struct gossip__ping ping;
        struct gossip__indirect indirect;
        struct gossip__ack ack;
        struct gossip__nack nack;
        struct gossip__suspect suspect;
        struct gossip__alive alive;
        struct gossip__dead dead;
        struct gossip__error error;
        struct gossip__intent intent; /* JOIN and LEAVE */
        struct gossip__user_event event;
        struct gossip__query query;
        struct gossip__response response;
        struct gossip__relay relay;
    };
};

struct gossip__packet {
    const char *from;
    uint64_t boot_id, counter, incarnation;
    const struct mu_span *parts;
    size_t parts_count;
};

/* -- streams ------------------------------------------------------------------------------------
 */

enum gossip__hello_kind { /* on the wire */
                          GOSSIP__HELLO_PING = 1,
                          GOSSIP__HELLO_SYNC = 2,
                          GOSSIP__HELLO_DIGEST = 3,
                          GOSSIP__HELLO_DELIVER = 4,
};

struct gossip__hello {
    enum gossip__hello_kind kind;
    const char *from;
    uint64_t boot_id;
    bool join;
    struct mu_addr advertised;
    uint64_t keys; /* gossip_keys_digest(); 0: not said */
};

struct gossip__node_state {
    struct gossip__alive node;
    enum gossip__state state;
    uint64_t age_ms;
    enum gossip__evidence evidence; /* of a suspect; from who does not tell: SILENT */
};

struct gossip__named_time {
    const char *node;
    uint64_t ltime;
};

struct gossip__tombstone_record {
    const char *node;
    uint64_t incarnation, ltime, age_ms;
};

struct gossip__sync_state { /* one chunk of an exchange */
    struct gossip__node_state *nodes;
    size_t nodes_count;
    uint64_t ltime, event_ltime, query_ltime;
    struct gossip__named_time *times, *left;
    size_t times_count, left_count;
    struct gossip__tombstone_record *pruned;
    size_t pruned_count;
    struct gossip__user_event *events;
    size_t events_count;
    bool more;
};

struct gossip__digest {
    uint32_t nodes;
    uint64_t events; /* sum over the user events of late */
    uint64_t buckets[GOSSIP__BUCKETS];
};

enum gossip__reject_code { /* on the wire */
                           GOSSIP__REJECT_REFUSED = 1,
                           GOSSIP__REJECT_CONFLICT = 2,
                           GOSSIP__REJECT_BUSY = 3,
};

struct gossip__reject {
    uint32_t code;
    const char *text;
    uint64_t retry_after_ms;
    bool has_held;
    struct gossip__alive held;
};

enum gossip__frame_kind {
    GOSSIP__FRAME_UNKNOWN,
    GOSSIP__FRAME_HELLO,
    GOSSIP__FRAME_PART,
    GOSSIP__FRAME_STATE,
    GOSSIP__FRAME_DIGEST,
    GOSSIP__FRAME_REJECT,
    GOSSIP__FRAME_REACH,
    GOSSIP__FRAME_DONE,
    GOSSIP__FRAME_KEYS,
};

struct gossip__frame {
    enum gossip__frame_kind kind;
    union {
        struct gossip__hello hello;
        struct gossip__part part;
        struct gossip__sync_state state;
        struct gossip__digest digest;
        struct gossip__reject reject;
        struct {
            bool udp, tcp;
        } reach;
        const struct gossip_keys *keys;
    };
};

#define GOSSIP__FRAME_BYTES_MAX (64U * 1024)

/* -- encode and decode --------------------------------------------------------------------------
 */

/* UTF-8 of at most so many bytes, without control characters: it reaches log lines. */
bool gossip__text_ok(const char *text, size_t bytes_max);
/* The same, and why not; `what` is the subject of that sentence. */
MU_MUST_CHECK enum mu_code gossip__text_check(const char *text, size_t bytes_max, const char *what,
                                              struct mu_err *err);
/* A node name as it may come from outside. */
bool gossip__name_ok(const char *name);

/* Sets part->bytes too. */
struct mu_span gossip__part_encode(struct gossip__part *part, struct mu_arena *arena);
bool gossip__part_decode(struct mu_span bytes, struct mu_arena *arena, struct gossip__part *out);
/* The bytes that say what an encoded part says: of a death that another one declares all but who
 * does, else all. The gist of one kind is never that of another. */
struct mu_span gossip__part_gist(struct mu_span part);

/* The parts are packed as they are: part->bytes of each. */
struct mu_span gossip__packet_encode(const struct gossip__packet *packet, struct mu_arena *arena);
/* Bytes that a packet takes without its parts, and that one part adds to it. */
size_t gossip__packet_bytes(const struct gossip__packet *packet);
size_t gossip__packet_part_bytes(size_t part_bytes);
bool gossip__packet_decode(struct mu_span bytes, struct mu_arena *arena,
                           struct gossip__packet *out);

struct mu_span gossip__frame_encode(struct gossip__frame *frame, struct mu_arena *arena);
bool gossip__frame_decode(struct mu_span bytes, struct mu_arena *arena, struct gossip__frame *out);

/* Tags (tags.c); gossip_tags_check() says beforehand that they fit. */
size_t gossip__tags_bytes(const struct mu_pairs *tags);
struct mu_span gossip__tags_encode(const struct mu_pairs *tags, struct mu_arena *arena);
/* Views into `meta`, items in the arena. False: not such bytes. */
bool gossip__tags_decode(struct mu_span meta, struct mu_arena *arena, struct mu_pairs *out);

#endif
