/* packed.h - lists in one column: each text ends in a NUL.
 *
 * Texts hold no NUL (the command's decoder refuses it), so tags are "a\0b\0", pairs "k\0v\0..." and
 * tagged addresses "name\0address\0port\0...". Maps are sorted by key and have one value a key, so
 * that equal maps are equal bytes, whoever sent them in which order.
 *
 * Memory:  packing and unpacking take from the arena; unpacked spans point into the packed bytes.
 */
#ifndef CATALOG_PACKED_H
#define CATALOG_PACKED_H

#include "base/arena.h"
#include "base/json.h"
#include "catalog/query.h"
#include "proto/command.h"

struct mu_span catalog__pack_texts(struct mu_arena *arena, const struct mu_texts *texts);
struct mu_span catalog__pack_pairs(struct mu_arena *arena, const struct mu_pairs *pairs);
struct mu_span catalog__pack_addresses(struct mu_arena *arena, const struct command_service *s);

struct mu_texts catalog__unpack_texts(struct mu_arena *arena, struct mu_span packed);
struct mu_pairs catalog__unpack_pairs(struct mu_arena *arena, struct mu_span packed);
struct catalog_tagged *catalog__unpack_addresses(struct mu_arena *arena, struct mu_span packed,
                                                 size_t *count);

#endif
