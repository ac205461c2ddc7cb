/* rpc_codec.h - the messages of peer.proto, to bytes and back, copied into our structs at once.
 *
 * Thread: any. Memory: decoded spans point into the arena; encoding appends to the buffer.
 * Errors: MU_CORRUPT for malformed bytes, with what was wrong.
 */
#ifndef AGENT_RPC_CODEC_H
#define AGENT_RPC_CODEC_H

#include "agent/agent.h"
#include "base/arena.h"
#include "base/buf.h"
#include "proto/grpc.h"
#include "rpc.h"

void rpc_hello_encode(const struct rpc_identity *id, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_hello_decode(struct mu_span bytes, struct rpc_identity *out,
                                            struct mu_err *err);

/* Codes travel by name, so that an older or newer peer does not read another one. */
const char *rpc_code_name(enum mu_code code);
enum mu_code rpc_code_of(struct mu_span name, enum mu_code fallback);
enum mu_grpc_status rpc_grpc_status(enum mu_code code);
/* From the trailers: "grpc-status" and, when the peer is one of ours, "mu-code". */
enum mu_code rpc_code_decode(struct mu_span grpc_status, struct mu_span mu_code);

void rpc_propose_encode(struct mu_span command, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_propose_decode(struct mu_span bytes, struct mu_arena *arena,
                                              struct mu_span *command, struct mu_err *err);
void rpc_proposed_encode(const struct agent_written *written, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_proposed_decode(struct mu_span bytes, struct mu_arena *arena,
                                               struct agent_written *out, struct mu_err *err);

void rpc_read_point_encode(uint64_t index, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_read_point_decode(struct mu_span bytes, uint64_t *index,
                                                 struct mu_err *err);

/* The session to renew; answered by a read point. */
void rpc_renew_encode(const struct mu_id *session, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_renew_decode(struct mu_span bytes, struct mu_id *session,
                                            struct mu_err *err);

/* An archive of the state, piece by piece (save_serve.c). */
struct rpc_save {
    struct mu_id id; /* MU_ID_NONE: begin */
    bool is_stale, ends;
    uint64_t offset;
};
struct rpc_saved {
    struct mu_id id;
    uint64_t index, bytes, last_contact_ms;
    bool known_leader;
    struct mu_span piece;
};
void rpc_save_encode(const struct rpc_save *save, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_save_decode(struct mu_span bytes, struct rpc_save *out,
                                           struct mu_err *err);
void rpc_saved_encode(const struct rpc_saved *saved, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_saved_decode(struct mu_span bytes, struct mu_arena *arena,
                                            struct rpc_saved *out, struct mu_err *err);

/* A cluster without a quorum (recover.c). */
enum rpc_recover_step { /* sent as these numbers */
                        RPC_RECOVER_LOOK = 1,
                        RPC_RECOVER_STAND_BACK = 2,
                        RPC_RECOVER_RESUME = 3,
                        RPC_RECOVER_BEGIN = 4,
};
#define RPC_BUNDLES_MAX 64 /* servers that one recovery asks */
struct rpc_recover {
    enum rpc_recover_step step;
    struct mu_span bundles[RPC_BUNDLES_MAX];
    size_t bundles_count;
    bool is_forced;
};
struct rpc_recovery {
    struct mu_span bundle, damage;
    struct mu_id leader;
    uint64_t epoch;
};
void rpc_recover_encode(const struct rpc_recover *recover, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_recover_decode(struct mu_span bytes, struct mu_arena *arena,
                                              struct rpc_recover *out, struct mu_err *err);
void rpc_recovery_encode(const struct rpc_recovery *recovery, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_recovery_decode(struct mu_span bytes, struct mu_arena *arena,
                                               struct rpc_recovery *out, struct mu_err *err);

void rpc_http_request_encode(const struct agent_http_request *request, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_http_request_decode(struct mu_span bytes, struct mu_arena *arena,
                                                   struct agent_http_request *out,
                                                   struct mu_err *err);
void rpc_http_response_encode(const struct agent_http_response *response, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_http_response_decode(struct mu_span bytes, struct mu_arena *arena,
                                                    struct agent_http_response *out,
                                                    struct mu_err *err);

void rpc_dns_query_encode(const struct agent_dns_request *request, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_dns_query_decode(struct mu_span bytes, struct mu_arena *arena,
                                                struct agent_dns_request *out, struct mu_err *err);
void rpc_dns_answer_encode(struct mu_span message, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_dns_answer_decode(struct mu_span bytes, struct mu_arena *arena,
                                                 struct mu_span *message, struct mu_err *err);

/* What the catalog holds of a node: registers that would make exactly that. */
struct rpc_node_state {
    bool exists;
    struct mu_span *registers; /* encoded commands */
    size_t count;
};
void rpc_node_state_encode(const struct rpc_node_state *state, struct mu_buf *to);
MU_MUST_CHECK enum mu_code rpc_node_state_decode(struct mu_span bytes, struct mu_arena *arena,
                                                 struct rpc_node_state *out, struct mu_err *err);

#endif
