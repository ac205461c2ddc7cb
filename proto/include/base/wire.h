/* wire.h - read and write cursors whose error sticks.
 *
 * Ten reads, one check: after the first read past the end a reader is `bad`, every further read
 * returns zero and moves nothing. Likewise a writer without room. Knot's wire_ctx is the model.
 *
 * Memory: cursors borrow the bytes; mu_rd_take() returns views into them.
 */
#ifndef MU_BASE_WIRE_H
#define MU_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct mu_rd {
    const uint8_t *at;
    size_t left; /* bytes from `at` to the end */
    bool bad;    /* a read went past the end */
};

struct mu_wr {
    uint8_t *start;
    size_t used;
    size_t room;
    bool bad; /* something did not fit; nothing of it was written */
};

struct mu_rd mu_rd_of(struct mu_span s);
uint8_t mu_rd_u8(struct mu_rd *r);
uint16_t mu_rd_u16le(struct mu_rd *r);
uint32_t mu_rd_u32le(struct mu_rd *r);
uint64_t mu_rd_u64le(struct mu_rd *r);
uint16_t mu_rd_u16be(struct mu_rd *r);
uint32_t mu_rd_u32be(struct mu_rd *r);
uint64_t mu_rd_u64be(struct mu_rd *r);
struct mu_span mu_rd_take(struct mu_rd *r, size_t bytes);
void mu_rd_skip(struct mu_rd *r, size_t bytes);
bool mu_rd_ok(const struct mu_rd *r);   /* nothing failed */
bool mu_rd_done(const struct mu_rd *r); /* nothing failed and nothing is left */

struct mu_wr mu_wr_of(void *room, size_t bytes);
void mu_wr_u8(struct mu_wr *w, uint8_t v);
void mu_wr_u16le(struct mu_wr *w, uint16_t v);
void mu_wr_u32le(struct mu_wr *w, uint32_t v);
void mu_wr_u64le(struct mu_wr *w, uint64_t v);
void mu_wr_u16be(struct mu_wr *w, uint16_t v);
void mu_wr_u32be(struct mu_wr *w, uint32_t v);
void mu_wr_u64be(struct mu_wr *w, uint64_t v);
void mu_wr_bytes(struct mu_wr *w, const void *data, size_t bytes);
void mu_wr_span(struct mu_wr *w, struct mu_span s);
bool mu_wr_ok(const struct mu_wr *w);
struct mu_span mu_wr_done(const struct mu_wr *w); /* what was written */

#endif
