#include "base/wire.h"

#include <string.h>

struct mu_rd mu_rd_of(struct mu_span s)
{
    return (struct mu_rd){ s.data, s.bytes, false };
}

struct mu_span mu_rd_take(struct mu_rd *r, size_t bytes)
{
    if (r->bad || bytes > r->left) {
        r->bad = true;
        return MU_SPAN_NONE;
    }
    struct mu_span taken = { r->at, bytes };

    if (bytes > 0) {
        r->at += bytes;
        r->left -= bytes;
    }
    return taken;
}

void mu_rd_skip(struct mu_rd *r, size_t bytes)
{
    (void)mu_rd_take(r, bytes);
}

static uint64_t number_le(struct mu_rd *r, size_t bytes)
{
    struct mu_span s = mu_rd_take(r, bytes);
    uint64_t v = 0;

    for (size_t i = s.bytes; i > 0; i--) {
        v = v << 8 | s.data[i - 1];
    }
    return v;
}

static uint64_t number_be(struct mu_rd *r, size_t bytes)
{
    struct mu_span s = mu_rd_take(r, bytes);
    uint64_t v = 0;

    for (size_t i = 0; i < s.bytes; i++) {
        v = v << 8 | s.data[i];
    }
    return v;
}

uint8_t mu_rd_u8(struct mu_rd *r)
{
    return (uint8_t)number_le(r, 1);
}

uint16_t mu_rd_u16le(struct mu_rd *r)
{
    return (uint16_t)number_le(r, 2);
}

uint32_t mu_rd_u32le(struct mu_rd *r)
{
    return (uint32_t)number_le(r, 4);
}

uint64_t mu_rd_u64le(struct mu_rd *r)
{
    return number_le(r, 8);
}

uint16_t mu_rd_u16be(struct mu_rd *r)
{
    return (uint16_t)number_be(r, 2);
}

uint32_t mu_rd_u32be(struct mu_rd *r)
{
    return (uint32_t)number_be(r, 4);
}

uint64_t mu_rd_u64be(struct mu_rd *r)
{
    return number_be(r, 8);
}

bool mu_rd_ok(const struct mu_rd *r)
{
    return !r->bad;
}

bool mu_rd_done(const struct mu_rd *r)
{
    return !r->bad && r->left == 0;
}

struct mu_wr mu_wr_of(void *room, size_t bytes)
{
    return (struct mu_wr){ .start = room, .room = bytes };
}

void mu_wr_bytes(struct mu_wr *w, const void *data, size_t bytes)
{
    if (w->bad || bytes > w->room - w->used) {
        w->bad = true;
        return;
    }
    if (bytes > 0) {
        memcpy(w->start + w->used, data, bytes);
        w->used += bytes;
    }
}

static void put_le(struct mu_wr *w, uint64_t v, size_t bytes)
{
    uint8_t raw[8];

    for (size_t i = 0; i < bytes; i++) {
        raw[i] = (uint8_t)(v >> (8 * i));
    }
    mu_wr_bytes(w, raw, bytes);
}

static void put_be(struct mu_wr *w, uint64_t v, size_t bytes)
{
    uint8_t raw[8];

    for (size_t i = 0; i < bytes; i++) {
        raw[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
    }
    mu_wr_bytes(w, raw, bytes);
}

void mu_wr_u8(struct mu_wr *w, uint8_t v)
{
    mu_wr_bytes(w, &v, 1);
}

void mu_wr_u16le(struct mu_wr *w, uint16_t v)
{
    put_le(w, v, 2);
}

void mu_wr_u32le(struct mu_wr *w, uint32_t v)
{
    put_le(w, v, 4);
}

void mu_wr_u64le(struct mu_wr *w, uint64_t v)
{
    put_le(w, v, 8);
}

void mu_wr_u16be(struct mu_wr *w, uint16_t v)
{
    put_be(w, v, 2);
}

void mu_wr_u32be(struct mu_wr *w, uint32_t v)
{
    put_be(w, v, 4);
}

void mu_wr_u64be(struct mu_wr *w, uint64_t v)
{
    put_be(w, v, 8);
}

void mu_wr_span(struct mu_wr *w, struct mu_span s)
{
    mu_wr_bytes(w, s.data, s.bytes);
}

bool mu_wr_ok(const struct mu_wr *w)
{
    return !w->bad;
}

struct mu_span mu_wr_done(const struct mu_wr *w)
{
    return mu_span_of(w->start, w->used);
}
