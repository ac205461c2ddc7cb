/* trace.h - what the core says about its decisions, as sentences.
 *
 * A notice is numbers; consensus_notice_text() makes the line that logs and transcripts show. In
 * the templates {p} is the peer, {a} {b} {c} the numbers, {r} and {s} the roles numbered a and b.
 */
#ifndef CONSENSUS_TRACE_H
#define CONSENSUS_TRACE_H

#include "base/log.h"
#include "consensus/consensus.h"

// clang-format off
#define CONSENSUS_TRACES(X) \
    /* roles and terms */ \
    X(ROLE,            DEBUG, "{r} -> {s}, term {c}") \
    X(LEADS,           INFO,  "leads term {a}, entries from {b} on") \
    X(LEADS_STATELESS, WARN,  "leads term {a} without a state, to bring its log to a server that has one") \
    X(READY,           INFO,  "committed an entry of its own term {a}, at {b}") \
    X(LEADER,          INFO,  "follows {p} in term {a}") \
    X(TERM,            DEBUG, "term {a} -> {b}, heard from {p}") \
    X(TIMEOUT,         DEBUG, "no leader heard in time, asks for pre-votes for term {a}, last entry {b} of term {c}") \
    X(CAMPAIGN,        DEBUG, "stands for term {a}, last entry {b} of term {c}") \
    X(FULL,            INFO,  "does not lead: it has applied {a} of {b}, and its memory is full") \
    X(HOLDS_BACK,      DEBUG, "does not campaign: its store does not complete its writes") \
    X(QUORUM_LOST,     WARN,  "no quorum heard for {a} ms, steps down from term {b}") \
    X(BRINGS_NOBODY,   WARN,  "nobody with a state has taken entries for {a} ms, steps down from term {b}") \
    X(DISK_STALLED,    WARN,  "its disk has completed nothing for {a} ms, steps down from term {b}") \
    X(DISK_FULL,       WARN,  "its disk is full or read-only and another server's is not, steps down from term {b}") \
    X(PAUSED,          WARN,  "this process stood still for {a} ms") \
    X(STOPPED,         INFO,  "says no more") \
    /* votes */ \
    X(PREVOTE_GIVEN,   TRACE, "would vote for {p} in term {a}") \
    X(PREVOTE_REFUSED, TRACE, "would not vote for {p} in term {a}: {why}") \
    X(VOTE_GIVEN,      DEBUG, "votes for {p} in term {a}") \
    X(VOTE_REFUSED,    DEBUG, "does not vote for {p} in term {a}: {why}") \
    X(VOTE_IGNORED,    DEBUG, "ignores {p}, which stands for term {a}: a leader is alive") \
    X(VOTE_COUNTED,    TRACE, "counts the vote of {p} in term {a}") \
    X(PREVOTE_COUNTED, TRACE, "counts the pre-vote of {p} for term {a}") \
    /* replication */ \
    X(PROGRESS,        TRACE, "{p}: {state}, match {b}, next {c}") \
    X(REJECTS,         TRACE, "rejects entries of {p} behind {a}: hint {b} of term {c}") \
    X(TRUNCATES,       DEBUG, "drops its entries {a} to {b}, they conflict with {p}") \
    X(APPENDS,         TRACE, "takes entries {a} to {b} of {p}") \
    X(COMMITS,         TRACE, "commits {a}") \
    X(CONFIG,          INFO,  "configuration of entry {a}: {b} voters, {c} servers") \
    X(PEER_TOO_OLD,    WARN,  "{p} needs entry {a}, the log begins behind {b}") \
    X(EXPORTS,         DEBUG, "makes a snapshot, {p} needs one") \
    X(EXPORTED,        INFO,  "a snapshot of entry {a}, {b} bytes, is ready") \
    X(EXPORT_FAILED,   WARN,  "no snapshot could be made") \
    X(SNAP_SENDS,      INFO,  "sends {p} the snapshot of entry {a}, {b} bytes") \
    X(SNAP_SENT,       INFO,  "{p} needs no snapshot any more, match {a}") \
    X(SNAP_STALLS,     WARN,  "{p} has stored {b} of {c} bytes of the snapshot of entry {a} and takes no more") \
    X(SNAP_REFUSED,    WARN,  "{p} could not install the snapshot of entry {a}: {fault}") \
    X(INSTALL_BEGINS,  INFO,  "takes the snapshot of entry {a} of {p}, {b} bytes") \
    X(INSTALL_GOES_ON, DEBUG, "holds {b} bytes of the snapshot of entry {a}") \
    X(INSTALL_NOT,     DEBUG, "needs no snapshot of {p}: has entry {a}") \
    X(INSTALL_RESETS,  INFO,  "its log begins anew behind entry {a} of term {b}") \
    X(INSTALLED,       INFO,  "installed the snapshot of entry {a}") \
    X(INSTALL_FAILED,  WARN,  "cannot install the snapshot of entry {a}: {fault}") \
    X(PEER_HOLED,      WARN,  "{p} has lost entries {a} to {b}, which it had acknowledged: they are sent again") \
    X(HOLED,           WARN,  "does not campaign: its log ends at {a} and once ended at {b} of term {c}") \
    X(PEER_STATELESS,  WARN,  "{p} has lost its state: it gets a snapshot") \
    X(HEALED,          INFO,  "has all of its log again, up to {a} of term {b}") \
    X(FETCH_FAILED,    WARN,  "entries from {a} on for {p} are damaged") \
    X(FETCH_LATE,      DEBUG, "entries for {p} came too late from the disk: it needs others from {a} on") \
    X(READS,           TRACE, "{a} reads may be answered from index {b}, confirmed by round {c}") \
    X(READS_LEASED,    TRACE, "{a} reads may be answered from index {b}, by its lease of {c} ms more") \
    /* membership and transfer */ \
    X(LEVEL,           INFO,  "every server understands commands of level {a}: they may be used, {b} was the highest") \
    X(OUTDATED,        ERROR, "the log has commands of level {a}, this server understands up to {b}") \
    X(PARTS,           DEBUG, "serves {p} no more, which entry {a} removed") \
    X(HANDS_OVER,      INFO,  "gives its office of term {a} to {p}: {transfer}") \
    X(INVITES,         DEBUG, "asks {p} to stand at once, with entries up to {a}") \
    X(INVITE_IGNORED,  DEBUG, "does not stand although {p} asks: it cannot, or follows another") \
    X(KEEPS_OFFICE,    WARN,  "{p} did not take its office of term {a} in time") \
    /* the state */ \
    X(STATE_DIFFERS,   ERROR, "the state of {p} differs from this one's at entry {a}") \
    X(STATE_PROVEN,    INFO,  "the state of this server, a copy, is what others have come to at entry {a}") \
    X(STATE_SPLIT,     ERROR, "the states of the servers differ at entry {a} and no majority agrees: writes are stopped") \
    /* what is not listened to */ \
    X(OTHER_CLUSTER,   WARN,  "{p} belongs to another cluster") \
    X(OTHER_EPOCH,     WARN,  "{p} is of recovery epoch {a}, this is {b}") \
    X(OTHER_DISK,      WARN,  "{p} has lost its disk: it must be removed and added as a new server") \
    X(OTHER_RECEIVER,  WARN,  "{p} sent something that was meant for another server") \
    X(WRONG_DISK,      DEBUG, "the configuration names another disk of this server: one that it had before, or lost") \
    X(TERM_TOO_HIGH,   WARN,  "{p} names term {a}, this is {b}: not believed") \
    X(TWO_LEADERS,     ERROR, "{p} claims to lead term {a}, which has another leader") \
    X(MALFORMED,       WARN,  "{p} sent something impossible, kind {a}") \
    X(DEAD,            ERROR, "{dead}")
// clang-format on

enum consensus_trace {
#define CONSENSUS_TRACE_ENUM(name, level, text) CONSENSUS_T_##name,
    CONSENSUS_TRACES(CONSENSUS_TRACE_ENUM)
#undef CONSENSUS_TRACE_ENUM
        CONSENSUS_TRACES_COUNT
};

/* Why a vote was refused: `b` of PREVOTE_REFUSED and VOTE_REFUSED. */
enum consensus_vote_why {
    CONSENSUS_VOTE_TERM,     /* an older term */
    CONSENSUS_VOTE_VOTED,    /* another server has this vote */
    CONSENSUS_VOTE_LOG,      /* this server's log is newer */
    CONSENSUS_VOTE_LEADER,   /* a leader is alive */
    CONSENSUS_VOTE_PROMISED, /* to another leader, not to vote for this server now */
    CONSENSUS_VOTE_DISK,     /* the vote could not be written down */
};

enum mu_log_level consensus_notice_level(const struct consensus_notice *n);
/* The sentence. peer: how to call the peer. Cut when too long. Returns `to`. */
const char *consensus_notice_text(const struct consensus_notice *n, const char *peer, char *to,
                                  size_t bytes);

#endif
