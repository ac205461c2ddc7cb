/* transport_body.h - what is in the protobuf part of a peer message, copied out and in.
 *
 * Memory:  what is copied out points into the message, and into `body`, until it is packed; what is
 *          copied in points nowhere.
 */
#ifndef CONSENSUS_TRANSPORT_BODY_H
#define CONSENSUS_TRANSPORT_BODY_H

#include <pb/consensus.pb-c.h>

#include "consensus/consensus.h"

/* Room for whichever body a message has, while it is packed. */
union consensus__body {
    Muster__Consensus__Ask ask;
    Muster__Consensus__Answer answer;
    Muster__Consensus__Append append;
    Muster__Consensus__Ack ack;
    struct {
        Muster__Consensus__Heartbeat heartbeat;
        Muster__Consensus__Sum asked, proven;
    };
    struct {
        Muster__Consensus__Alive alive;
        Muster__Consensus__Sum said;
    };
    struct {
        Muster__Consensus__Snapshot message;
        uint8_t config[CONSENSUS_CONFIG_BYTES_MAX];
    } snapshot;
    Muster__Consensus__SnapshotRes snapshot_res;
    Muster__Consensus__TimeoutNow timeout_now;
    Muster__Consensus__Removed removed;
    Muster__Consensus__Invite invite;
};

ProtobufCBinaryData consensus__id_out(const struct mu_id *id);
ProtobufCBinaryData consensus__id_out_unless_none(const struct mu_id *id); /* none: no bytes */
bool consensus__id_in(const ProtobufCBinaryData *from, struct mu_id *id);  /* false: it is none */
bool consensus__id_in_or_none(const ProtobufCBinaryData *from, struct mu_id *id);

/* `to` gets the body of m's kind, which must be a known one. */
void consensus__body_out(const struct consensus_msg *m, union consensus__body *b,
                         Muster__Consensus__Raft *to);
/* By m->kind, a known one. False: there is none, or it makes no sense. */
bool consensus__body_in(const Muster__Consensus__Raft *from, struct consensus_msg *m);

#endif
