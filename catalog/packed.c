#include "packed.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* -- packing ----------------------------------------------------------------------------------- */

/* Room whose size is known before anything is written. */
static uint8_t *append(uint8_t *at, struct mu_span s)
{
    if (s.bytes > 0) {
        memcpy(at, s.data, s.bytes);
    }
    at[s.bytes] = 0;
    return at + s.bytes + 1;
}

struct mu_span catalog__pack_texts(struct mu_arena *arena, const struct mu_texts *texts)
{
    size_t bytes = 0;

    for (size_t i = 0; i < texts->count; i++) {
        bytes += texts->items[i].bytes + 1;
    }
    uint8_t *packed = mu_arena_new(arena, bytes);
    uint8_t *at = packed;

    for (size_t i = 0; i < texts->count; i++) {
        at = append(at, texts->items[i]);
    }
    return mu_span_of(packed, bytes);
}

/* What is sorted: a key and where it stood, so that of equal keys the last wins. */
struct keyed {
    struct mu_span key;
    size_t place;
};

static int keyed_cmp(const void *a, const void *b)
{
    const struct keyed *x = a;
    const struct keyed *y = b;
    int order = mu_span_cmp(x->key, y->key);

    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

/* Sort, and drop all but the last of equal keys. Returns how many are left. */
static size_t keyed_settle(struct keyed *items, size_t count)
{
    size_t kept = 0;

    if (count > 0) {
        qsort(items, count, sizeof *items, keyed_cmp);
    }
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || !mu_span_eq(items[i].key, items[i + 1].key)) {
            items[kept++] = items[i];
        }
    }
    return kept;
}

struct mu_span catalog__pack_pairs(struct mu_arena *arena, const struct mu_pairs *pairs)
{
    struct keyed *items = mu_arena_array(arena, pairs->count, sizeof *items);
    size_t bytes = 0;

    for (size_t i = 0; i < pairs->count; i++) {
        items[i] = (struct keyed){ pairs->items[i].key, i };
    }
    size_t count = keyed_settle(items, pairs->count);

    for (size_t i = 0; i < count; i++) {
        bytes += items[i].key.bytes + pairs->items[items[i].place].value.bytes + 2;
    }
    uint8_t *packed = mu_arena_new(arena, bytes);
    uint8_t *at = packed;

    for (size_t i = 0; i < count; i++) {
        at = append(append(at, items[i].key), pairs->items[items[i].place].value);
    }
    return mu_span_of(packed, bytes);
}

struct mu_span catalog__pack_addresses(struct mu_arena *arena, const struct command_service *s)
{
    const struct command_service_address *list = s->tagged_addresses;
    struct keyed *items = mu_arena_array(arena, s->tagged_addresses_count, sizeof *items);
    struct mu_texts texts;

    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        items[i] = (struct keyed){ list[i].name, i };
    }
    size_t count = keyed_settle(items, s->tagged_addresses_count);

    texts.count = 3 * count;
    texts.items = mu_arena_array(arena, texts.count, sizeof *texts.items);
    for (size_t i = 0; i < count; i++) {
        const struct command_service_address *a = &list[items[i].place];

        texts.items[3 * i] = a->name;
        texts.items[3 * i + 1] = a->address;
        texts.items[3 * i + 2] = mu_span_text(mu_arena_printf(arena, "%u", a->port));
    }
    return catalog__pack_texts(arena, &texts);
}

/* -- unpacking --------------------------------------------------------------------------------- */

static size_t count_texts(struct mu_span packed)
{
    size_t count = 0;

    for (size_t i = 0; i < packed.bytes; i++) {
        count += packed.data[i] == 0;
    }
    return count;
}

struct mu_texts catalog__unpack_texts(struct mu_arena *arena, struct mu_span packed)
{
    struct mu_texts texts = { NULL, count_texts(packed) };

    texts.items = mu_arena_array(arena, texts.count, sizeof *texts.items);
    for (size_t i = 0; i < texts.count; i++) {
        texts.items[i] = mu_span_split(packed, '\0', &packed, NULL);
    }
    return texts;
}

struct mu_pairs catalog__unpack_pairs(struct mu_arena *arena, struct mu_span packed)
{
    struct mu_pairs pairs = { NULL, count_texts(packed) / 2 };

    pairs.items = mu_arena_array(arena, pairs.count, sizeof *pairs.items);
    for (size_t i = 0; i < pairs.count; i++) {
        pairs.items[i].key = mu_span_split(packed, '\0', &packed, NULL);
        pairs.items[i].value = mu_span_split(packed, '\0', &packed, NULL);
    }
    return pairs;
}

struct catalog_tagged *catalog__unpack_addresses(struct mu_arena *arena, struct mu_span packed,
                                                 size_t *count)
{
    *count = count_texts(packed) / 3;
    struct catalog_tagged *list = mu_arena_array(arena, *count, sizeof *list);

    for (size_t i = 0; i < *count; i++) {
        uint64_t port = 0;

        list[i].name = mu_span_split(packed, '\0', &packed, NULL);
        list[i].address = mu_span_split(packed, '\0', &packed, NULL);
        /* written by us in decimal; a rotten page shows in the state hash */
        (void)mu_span_u64(mu_span_split(packed, '\0', &packed, NULL), &port);
        list[i].port = (uint16_t)port;
    }
    return list;
}
