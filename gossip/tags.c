/* tags.c - tags to bytes and back: for each pair, sorted by key, u8 length, key, u16 length, value.
 *
 * Sorted, so that equal tags are equal bytes; three bytes over each pair, since 512 hold them all.
 */
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/wire.h"
#include "gossip/gossip.h"
#include "message.h"

size_t gossip__tags_bytes(const struct mu_pairs *tags)
{
    size_t bytes = 0;

    for (size_t i = 0; i < tags->count; i++) {
        bytes += 3 + tags->items[i].key.bytes + tags->items[i].value.bytes;
    }
    return bytes;
}

static enum mu_code tag_check(const struct mu_pair *tag, struct mu_err *err)
{
    struct mu_span shown = mu_span_sub(tag->key, 0, 64);

    if (tag->key.bytes > UINT8_MAX) {
        return mu_fail(err, MU_TOO_BIG, "The key of tag '%.*s...' has %zu bytes, at most %d fit",
                       MU_SPAN_FMT(shown), tag->key.bytes, UINT8_MAX);
    }
    if (!mu_span_is_utf8(tag->key)) {
        return mu_fail(err, MU_INVALID, "The key of tag '%.*s' is not UTF-8", MU_SPAN_FMT(shown));
    }
    return mu_span_is_utf8(tag->value)
               ? MU_OK
               : mu_fail(err, MU_INVALID, "The value of tag '%.*s' is not UTF-8",
                         MU_SPAN_FMT(shown));
}

enum mu_code gossip_tags_check(const struct mu_pairs *tags, struct mu_err *err)
{
    if (gossip__tags_bytes(tags) > MU_GOSSIP_META_MAX) {
        return mu_fail(err, MU_TOO_BIG, "Encoded length of tags exceeds limit of %d bytes",
                       MU_GOSSIP_META_MAX);
    }
    for (size_t i = 0; i < tags->count; i++) {
        enum mu_code rc = tag_check(&tags->items[i], err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}

static int pair_cmp(const struct mu_pair *a, const struct mu_pair *b)
{
    return mu_span_cmp(a->key, b->key);
}

struct mu_span gossip__tags_encode(const struct mu_pairs *tags, struct mu_arena *arena)
{
    const struct mu_pair **sorted = mu_arena_array(arena, tags->count, sizeof *sorted);
    uint8_t *room = mu_arena_new(arena, MU_GOSSIP_META_MAX);
    struct mu_wr w = mu_wr_of(room, MU_GOSSIP_META_MAX);

    for (size_t i = 0; i < tags->count; i++) { /* a handful: insertion keeps it short */
        size_t at = i;

        while (at > 0 && pair_cmp(sorted[at - 1], &tags->items[i]) > 0) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = &tags->items[i];
    }
    for (size_t i = 0; i < tags->count; i++) {
        mu_wr_u8(&w, (uint8_t)sorted[i]->key.bytes);
        mu_wr_span(&w, sorted[i]->key);
        mu_wr_u16be(&w, (uint16_t)sorted[i]->value.bytes);
        mu_wr_span(&w, sorted[i]->value);
    }
    MU_ASSERT(mu_wr_ok(&w)); /* callers ask gossip_tags_check() first */
    return mu_wr_done(&w);
}

bool gossip__tags_decode(struct mu_span meta, struct mu_arena *arena, struct mu_pairs *out)
{
    struct mu_rd r = mu_rd_of(meta);

    MU_ASSERT(meta.bytes <= MU_GOSSIP_META_MAX);
    out->count = 0;
    out->items = mu_arena_array(arena, meta.bytes / 3 + 1, sizeof *out->items);
    while (mu_rd_ok(&r) && r.left > 0) {
        struct mu_pair *p = &out->items[out->count];

        p->key = mu_rd_take(&r, mu_rd_u8(&r));
        p->value = mu_rd_take(&r, mu_rd_u16be(&r));
        if (!mu_span_is_utf8(p->key) || !mu_span_is_utf8(p->value) ||
            (out->count > 0 && mu_span_cmp(p[-1].key, p->key) >= 0)) {
            return false;
        }
        out->count += mu_rd_ok(&r);
    }
    return mu_rd_ok(&r);
}
