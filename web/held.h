/* held.h - what connections hold for their peers: answers that were not yet taken, and what came
 * behind a request. How much all of them may hold together, and who goes when it is too much.
 *
 * A peer that does not read costs us its answer. One such peer is nothing; so that many are not
 * too much, a large answer is given out only where it fits, and to make it fit those are hung up on
 * who have held much for longest without taking it. A little each may always have; beyond
 * MU_HTTP_HELD_MAX and what is kept for that, the longest waiting goes, whoever it is. One answer
 * that is larger than all there is goes out when no other large one waits: whoever stored so much
 * may have it back.
 *
 * Thread:  the loop's.
 * Time:    the caller's.
 * Memory:  a holder is linked from the first byte it holds until it holds none.
 */
#ifndef WEB_HELD_H
#define WEB_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define HELD_FAIR        (64U * 1024)  /* of one holder: never in anybody's way */
#define HELD_PACE        (256U * 1024) /* taken by the peer: its patience begins anew */
#define HELD_PATIENCE_MS 1000U         /* for that, when others need the room */

struct held_by { /* one connection */
    struct mu_link place;
    size_t bytes;
    size_t taken;      /* since since_ms */
    uint64_t since_ms; /* when it came to its list */
    bool is_large;     /* more than HELD_FAIR */
};

struct held { /* all of them */
    uint64_t bytes, most;
    struct mu_link small, large; /* the longest waiting first */
    uint64_t evicted_count;
};

void held_init(struct held *h);
void held_set(struct held *h, struct held_by *by, size_t bytes, uint64_t now_ms);
/* The peer took so much of it. */
void held_taken(struct held *h, struct held_by *by, size_t bytes, uint64_t now_ms);

enum held_room {
    HELD_FITS,
    HELD_EVICT, /* once *victim has gone: ask again */
    HELD_REFUSED,
};
/* May `by` hold so many bytes more? */
enum held_room held_room(const struct held *h, const struct held_by *by, size_t bytes,
                         uint64_t now_ms, struct held_by **victim);

/* Who has to go now, for all hold more than they may; NULL: nobody. */
struct held_by *held_over(const struct held *h);

#endif
