/* command_parts.h - the parts that messages of commands are made of; for the command files only.
 *
 * Packing borrows: messages point into the structs. Unpacking leaves everything in the arena.
 */
#ifndef MU_PROTO_COMMAND_PARTS_H
#define MU_PROTO_COMMAND_PARTS_H

#include "proto/command.h"

#include <pb/command.pb-c.h>

typedef Muster__Command__Pair pb_pair;
typedef Muster__Command__ServiceAddress pb_address;
typedef Muster__Command__Node pb_node;
typedef Muster__Command__Service pb_service;
typedef Muster__Command__Check pb_check;

/* -- packing (command_pack.c) ------------------------------------------------------------------ */

ProtobufCBinaryData command__bytes(struct mu_span s);
pb_node *command__node_to_pb(const struct command_node *n, struct mu_arena *arena);
pb_service *command__service_to_pb(const struct command_service *s, struct mu_arena *arena);
void command__check_to_pb(const struct command_check *c, pb_check *m);

typedef void command_pack_fn(const struct command *c, struct mu_arena *arena, struct mu_buf *to);
command_pack_fn command__pack_register, command__pack_deregister;
command_pack_fn command__pack_kv_set, command__pack_kv_delete, command__pack_kv_lock;
command_pack_fn command__pack_kv_compact, command__pack_txn, command__pack_txn_catalog;
command_pack_fn command__pack_session_create, command__pack_session_destroy;
command_pack_fn command__pack_autopilot, command__pack_stage, command__pack_restore;
command_pack_fn command__pack_coordinates;

/* -- unpacking (command_unpack.c) -------------------------------------------------------------- */

/* Taking apart one body. A field that cannot be right marks it, and is looked at once at the end.
 */
struct unpack {
    struct mu_span body;
    struct mu_arena *arena;
    const char *wrong; /* why it is no body of its kind; NULL: nothing found */
};

/* Unpack bytes with a cap on what protobuf-c may take; NULL: malformed. */
void *command__unpack(const ProtobufCMessageDescriptor *type, struct mu_span bytes,
                      struct mu_arena *arena);
/* The whole body; NULL: marked as wrong. */
const void *command__unpack_body(struct unpack *u, const ProtobufCMessageDescriptor *type);
struct mu_span command__span(ProtobufCBinaryData b);
void command__known_only(struct unpack *u, const ProtobufCMessage *m);
bool command__count_fits(struct unpack *u, size_t count);
void command__node_from_pb(struct unpack *u, const pb_node *m, struct command_node *n);
void command__service_from_pb(struct unpack *u, const pb_service *m, struct command_service *s);
void command__check_from_pb(struct unpack *u, const pb_check *m, struct command_check *c);
/* 16 bytes, or none where there are none. */
struct mu_id command__id_from_pb(struct unpack *u, ProtobufCBinaryData b);

typedef void command_unpack_fn(struct unpack *u, struct command *c);
command_unpack_fn command__unpack_register, command__unpack_deregister;
command_unpack_fn command__unpack_kv_set, command__unpack_kv_delete, command__unpack_kv_lock;
command_unpack_fn command__unpack_kv_compact, command__unpack_txn, command__unpack_txn_catalog;
command_unpack_fn command__unpack_session_create, command__unpack_session_destroy;
command_unpack_fn command__unpack_autopilot, command__unpack_stage, command__unpack_restore;
command_unpack_fn command__unpack_coordinates;

#endif
