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

size_t gossip_tags_bytes(const struct mu_pairs *tags)
{
    size_t bytes = 0;

    for (size_t i = 0; i < tags->count; i++) {
        const struct mu_pair *p = &tags->items[i];

        if (p->key.bytes > UINT8_MAX || p->value.bytes > MU_GOSSIP_META_MAX ||
            !mu_span_is_utf8(p->key) || !mu_span_is_utf8(p->value)) {
            return SIZE_MAX;
        }
        bytes += 3 + p->key.bytes + p->value.bytes;
    }
    return bytes;
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
    MU_ASSERT(mu_wr_ok(&w)); /* callers ask gossip_tags_bytes() first */
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
