/* mdns.h - finding the others on this link by multicast DNS (RFC 6762, serf-surface.md 7), without
 * sockets and clocks.
 *
 * Every agent of cluster NAME answers a PTR question for _serf_NAME._tcp.local. with where its
 * gossip is, and asks the same itself: soon after it started, each minute while it is alone, once
 * an hour else. What is answered is gathered until nothing new came for a tenth of a second; then
 * it is time to join.
 *
 * Thread:  the loop's.
 * Time:    milliseconds, monotonic, passed in.
 * Memory:  no heap but the buffers that are passed in.
 * Errors:  what is no message, or of no interest, is passed over.
 */
#ifndef AGENT_MDNS_H
#define AGENT_MDNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/buf.h"
#include "base/rand.h"

#define MDNS_PORT        5353
#define MDNS_CLUSTER_MAX 57   /* bytes of a name: "_serf_" and it are one label */
#define MDNS_MESSAGE_MAX 9000 /* bytes that are read (RFC 6762, 17) */
#define MDNS_FOUND_MAX   32   /* addresses in one batch: enough to find a cluster */

/* -- messages -----------------------------------------------------------------------------------
 */

struct mdns_self {
    const char *cluster;
    const char *node; /* at most 63 bytes of it are shown */
    const char *host;
    struct mu_addr at; /* of gossip, as advertised */
};

struct mdns_asked {
    uint16_t id;
    bool wants_unicast; /* the asker said so */
};

void mdns_question(const char *cluster, struct mu_buf *to);
/* Is this a question for us? */
bool mdns_is_asked(struct mu_span message, const char *cluster, struct mdns_asked *out);
/* `legacy` not NULL: for an asker that is no responder itself; its id and question are repeated. */
void mdns_answer(const struct mdns_self *self, const struct mdns_asked *legacy, struct mu_buf *to);
/* Where agents of the cluster are, by an answer. Returns how many, at most `room`. */
size_t mdns_found(struct mu_span message, const char *cluster, struct mu_addr *out, size_t room);

/* -- who is on this link ------------------------------------------------------------------------
 */

struct mdns_link { /* an address of an interface */
    struct mu_addr addr;
    unsigned prefix; /* bits */
    unsigned interface;
};

/* Answers from elsewhere are not believed, and questions not answered (RFC 6762, 5.5 and 11). */
bool mdns_is_on_link(const struct mdns_link *links, size_t count, const struct mu_addr *from);

/* -- when to do what ----------------------------------------------------------------------------
 */

struct mdns {
    uint64_t asked_ms, look_ms; /* the last question; when to look again */
    bool has_asked;
    struct mu_addr found[MDNS_FOUND_MAX];
    size_t found_count;
    uint64_t settle_ms;   /* when the batch is whole; 0: it is empty */
    uint64_t answered_ms; /* to all; 0: never */
};

enum mdns_step { MDNS_NOTHING, MDNS_ASK, MDNS_JOIN };

void mdns_init(struct mdns *m, uint64_t now_ms, struct mu_rand *rand);
/* What is due; call again until nothing is. `is_alone`: gossip knows nobody else. */
enum mdns_step mdns_due(struct mdns *m, uint64_t now_ms, bool is_alone);
uint64_t mdns_wake_ms(const struct mdns *m);
/* An agent was found. */
void mdns_hear(struct mdns *m, const struct mu_addr *at, uint64_t now_ms);
/* The batch, once it is due; it is empty afterwards. */
size_t mdns_take(struct mdns *m, struct mu_addr out[MDNS_FOUND_MAX]);
/* May all be answered now? No record goes to everybody more than once a second (RFC 6762, 6): else
 * only the asker is. */
bool mdns_may_answer(struct mdns *m, uint64_t now_ms);

#endif
