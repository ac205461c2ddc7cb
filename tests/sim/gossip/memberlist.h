/* memberlist.h - memberlist's failure detector, and plain SWIM's, as models: something to compare
 * with.
 *
 * The rules of the reference (spec/gossip.md 3 to 9, without what is marked [M]): SWIM's probes
 * with indirect probes and a TCP ping, Lifeguard's awareness, nacks, dynamic suspicion and buddy
 * system, the transmit-limited queue, gossip ticks, push/pull; parameters of its `lan` profile.
 * Plain SWIM (18.4) is what is left of them without Lifeguard: no awareness, no nacks, no word to a
 * suspect that it is one with the ping, and a suspicion that lasts 5 log10(n) periods whoever
 * shares it. It keeps what helps it: TCP pings, gossip between probes, push/pull. Members are
 * numbers and messages are structures: nothing is encoded, and no one joins or leaves. Faults are
 * those of world.h, with the same figures for streams. A process that was stopped handles what
 * waited in the order in which it was due, timers among it: its sockets and timers are served side
 * by side.
 */
#ifndef SIM_GOSSIP_MEMBERLIST_H
#define SIM_GOSSIP_MEMBERLIST_H

#include <stdbool.h>
#include <stdint.h>

struct memberlist; /* opaque */

struct memberlist_options {
    uint64_t seed;
    uint32_t nodes;
    bool is_swim;
    uint32_t alpha; /* SuspicionMult of memberlist's rules; 0: its own, 4 */
    uint32_t slow;  /* so many, the first ones, are stopped on purpose: they are not tallied */
    uint32_t latency_us_min, latency_us_max; /* one way */
    double loss;                             /* of datagrams, and of segments once each */
};

struct memberlist_tally { /* about those that are not slow */
    uint64_t notices;     /* a member declared dead by or to one other, which took it for living */
    uint64_t healthy;     /* of these: that other is not slow */
    uint64_t deaths;      /* times that a member nobody held dead was declared dead */
    uint64_t datagrams;   /* sent */
};

/* Everybody knows everybody; ticks begin at random moments of their intervals. */
struct memberlist *memberlist_new(const struct memberlist_options *options);
void memberlist_free(struct memberlist *m);

void memberlist_run(struct memberlist *m, uint64_t ms);
void memberlist_pause(struct memberlist *m, uint32_t node, uint64_t ms);
void memberlist_clog(struct memberlist *m, uint32_t node, uint64_t ms); /* as world_clog() */
void memberlist_crash(struct memberlist *m, uint32_t node); /* for good, its host answers */
void memberlist_loss_to(struct memberlist *m, uint32_t node, double loss);

void memberlist_tally(const struct memberlist *m, struct memberlist_tally *out);
uint64_t memberlist_now_ms(const struct memberlist *m);
uint32_t memberlist_holding(const struct memberlist *m, uint32_t node); /* how many have it dead */

#endif
