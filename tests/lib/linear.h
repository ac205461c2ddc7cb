/* linear.h - could the history that clients recorded have come from one copy of the data, with
 * every operation taking effect at one moment between its call and its return?
 *
 * Two answers that trust different things (consensus specification 4.4, invariant I15):
 *
 *   linear_check()          a search for such an order, key by key. It trusts nothing but what the
 *                           clients saw. Exponential at worst, and bounded.
 *   linear_check_indexes()  asks whether log indexes and times agree. Takes n log n for histories
 *                           of any length, and sees over many keys at once, but trusts indexes.
 *
 * A key holds a value and the session that has locked it. Values are numbers; whoever records lets
 * every write write a value of its own, so that a value says who wrote it and Consul's `?cas=index`
 * becomes "the value that was read with that index". What certainly had no effect (a connection
 * refused, "no leader") is left out of the history; what may have had one has the outcome UNKNOWN
 * and may take effect at any time behind its call, or never.
 *
 * Thread:  no shared state.
 * Time:    any unit, of one clock that all clients share; equal times count as overlapping.
 * Memory:  a history owns its operations and, read from a file, its names. A check frees what it
 *          took; linear_check() takes some 50 bytes for each of its steps, and a bit more for
 *          each operation with an open outcome.
 * Errors:  a malformed operation is a bug of the caller (asserted); the reader of files judges.
 */
#ifndef TESTS_LINEAR_H
#define TESTS_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define LINEAR_KINDS(X)                                                                    \
    X(GET, "get")               /* saw `value` (0: no such key), held by `session` */      \
    X(PUT, "put")               /* write, always done */                                   \
    X(CAS, "cas")               /* write if the value is `expected` (0: there is none) */  \
    X(DELETE, "delete")         /* always done, also of nothing */                         \
    X(DELETE_CAS, "delete-cas") /* done if the value is `expected`, or nothing is there */ \
    X(ACQUIRE, "acquire")       /* write and lock, if nobody else holds it */              \
    X(RELEASE, "release")       /* write and unlock, if `session` holds it */              \
    X(EXPIRE, "expire")         /* `session` ends: unlocked if it held it; always done */

enum linear_kind {
#define LINEAR_ENUM(name, text) LINEAR_##name,
    LINEAR_KINDS(LINEAR_ENUM)
#undef LINEAR_ENUM
        LINEAR_KINDS_COUNT
};

enum linear_outcome {
    LINEAR_DONE,
    LINEAR_REFUSED, /* answered "false": the condition of CAS, DELETE_CAS, ACQUIRE, RELEASE */
    LINEAR_UNKNOWN, /* no answer, or one that leaves it open; `returned` is not read */
};

struct linear_op {
    enum linear_kind kind;
    enum linear_outcome outcome;
    bool is_stale;     /* GET: may be old. The search leaves it out, the index check does not */
    uint64_t key;      /* any number */
    uint64_t value;    /* not 0 for PUT, CAS, ACQUIRE, RELEASE */
    uint64_t expected; /* CAS, DELETE_CAS */
    uint64_t session;  /* not 0 for ACQUIRE, RELEASE, EXPIRE */
    uint64_t called, returned;
    uint64_t index;    /* 0: not told. A write: of its log entry. GET: of the state it saw */
    uint64_t modified; /* GET: of the log entry that wrote what it saw; 0: not told, or nothing */
};

struct linear_history {
    struct linear_op *ops;
    size_t count, room;
    char **names; /* of keys, values and sessions; NULL: numbers are shown */
    size_t names_count;
};

#define LINEAR_HISTORY_NONE ((struct linear_history){ NULL, 0, 0, NULL, 0 })
#define LINEAR_KEY_OPS_MAX  100000U  /* of one key: numbers of events fit 32 bits by far */
#define LINEAR_STEPS_MAX    2000000U /* about 100 MB; one that needs more is too concurrent */

enum linear_verdict {
    LINEAR_HOLDS,
    LINEAR_BROKEN,
    LINEAR_UNDECIDED, /* the bound of steps was reached: record shorter histories */
};

void linear_history_deinit(struct linear_history *h);
/* Returns the operation, zeroed; valid until the next one is added. */
struct linear_op *linear_add(struct linear_history *h);

const char *linear_kind_text(enum linear_kind kind);
/* Has it the members its kind needs, and no outcome its kind cannot have? */
bool linear_op_is_sound(const struct linear_op *op);
/* One operation as a sentence, appended to `to`. */
void linear_op_text(const struct linear_history *h, const struct linear_op *op, struct mu_buf *to);
void linear_name(const struct linear_history *h, char letter, uint64_t number, struct mu_buf *to);

/* Judge; on BROKEN and UNDECIDED `why` gets the key, how far an order goes and what fits nowhere.
 * At most `steps_max` states are visited per key; 0: LINEAR_STEPS_MAX. */
enum linear_verdict linear_check(const struct linear_history *h, uint64_t steps_max,
                                 struct mu_buf *why);
/* Judge by indexes, also those which reads reveal: HOLDS or BROKEN. */
enum linear_verdict linear_check_indexes(const struct linear_history *h, struct mu_buf *why);

#endif
