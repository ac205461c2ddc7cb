/* event_codec.h - Consul's events as gossip carries them (agent-behaviour 11.1).
 *
 * An event is a gossip event under a reserved name, so that what Serf's users see is not mixed with
 * it: "consul:event:deploy", and a protobuf message (proto/event.proto) as its payload.
 *
 * Thread:  no state.
 * Memory:  what is decoded points into the bytes and the arena.
 * Errors:  MU_CORRUPT: not such a message; MU_UNSUPPORTED: of a newer version.
 */
#ifndef AGENT_EVENT_CODEC_H
#define AGENT_EVENT_CODEC_H

#include "agent/agent.h"

#define EVENT_PREFIX  "consul:event:"
#define EVENT_VERSION 1

bool event_is_reserved(const char *gossip_name); /* begins with EVENT_PREFIX */
void event_encode(const struct agent_event *event, struct mu_buf *to);
/* ltime and name are those of the gossip event that carried it. */
MU_MUST_CHECK enum mu_code event_decode(const char *gossip_name, struct mu_span bytes,
                                        struct mu_arena *arena, struct agent_event *out,
                                        struct mu_err *err);

#endif
