/* state.h - what the gossip layer keeps over restarts (3 item 3, 13.12), as text. For gossip/ only.
 *
 *   muster gossip 1
 *   incarnation 1234 #crc     reserved up to here: the next start begins above
 *   clock 17 #crc             Lamport time of members
 *   event-clock 4 #crc        of user events: what is older was delivered already
 *   query-clock 2 #crc        of queries
 *   coordinate ERROR HEIGHT V1 ... V8 #crc   where this node was, in seconds
 *   alive NAME ADDR:PORT #crc
 *   failed NAME ADDR:PORT #crc
 *   leave #crc                this node left, and has found nobody since: it stays alone, unless
 *                             it is told to rejoin
 *
 * Each line carries its own CRC-32C, so a torn or zero-filled one is skipped and the others count.
 * The file is replaced as a whole.
 */
#ifndef GOSSIP_STATE_H
#define GOSSIP_STATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "gossip/gossip.h"

#define GOSSIP__RESERVE   1024 /* incarnations reserved ahead */
#define GOSSIP__KNOWN_MAX 4096 /* peers kept: enough to find a cluster again */
#define GOSSIP__STATE_MAX (1U << 20)

struct gossip__clocks {   /* 0: none kept */
    uint64_t incarnation; /* reserved up to here */
    uint64_t member_time, event_time, query_time;
};

struct gossip__kept {
    struct gossip__clocks clocks;
    bool has_left, has_coordinate;
    struct coordinate coordinate;
    struct gossip_known *known; /* alive first, then failed */
    size_t known_count;
    size_t skipped; /* lines that were damaged or unknown */
};

/* Never fails: what cannot be read is counted and skipped. Strings are in the arena. */
void gossip__state_read(struct mu_span text, struct mu_arena *arena, struct gossip__kept *out);

void gossip__state_begin(struct mu_buf *to, const struct gossip__clocks *clocks, bool has_left);
void gossip__state_add_coordinate(struct mu_buf *to, const struct coordinate *c);
void gossip__state_add(struct mu_buf *to, const struct gossip_view *member);

/* What was kept, whole; all that it knows as failed, since nobody of them was heard yet. */
void gossip__state_write(struct mu_buf *to, const struct gossip__kept *kept);

/* "NAME ADDR:PORT", as Serf writes it, too; the name is a view into it. */
bool gossip__state_peer(struct mu_span text, struct mu_span *name, struct mu_addr *addr);

#endif
