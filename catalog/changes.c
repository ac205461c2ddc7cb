/* changes.c - the topics of one transaction, each once, in the order they came.
 *
 * Filled on the apply thread for every write, so it allocates by doubling and never per topic: the
 * bytes of all topics lie behind each other, and an open hash table of places finds a repeated one.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"
#include "topic.h"

struct place {
    uint32_t offset, bytes; /* of the topic in `bytes` */
    uint32_t hash;
};

struct catalog_changes {
    struct mu_buf bytes;
    struct place *places;
    size_t count, room;
    uint32_t *slots;    /* index into places, plus 1; 0: free */
    size_t slots_count; /* a power of two, at least twice `room` */
};

#define FIRST_ROOM 16

static bool is_folded(enum catalog_topic_kind kind)
{
    return kind == CATALOG_NODE || kind == CATALOG_SERVICE;
}

static bool is_named(enum catalog_topic_kind kind)
{
    return is_folded(kind) || kind == CATALOG_KEY || kind == CATALOG_PREFIX ||
           kind == CATALOG_SESSION;
}

void catalog__topic_write(struct mu_buf *to, enum catalog_topic_kind kind, struct mu_span name)
{
    uint8_t *at = mu_buf_reserve(to, 1 + name.bytes);

    at[0] = (uint8_t)kind;
    if (!is_named(kind)) {
        to->bytes += 1;
        return;
    }
    if (is_folded(kind)) {
        mu_span_fold(name, at + 1);
    } else if (name.bytes > 0) {
        memcpy(at + 1, name.data, name.bytes);
    }
    to->bytes += 1 + name.bytes;
}

struct catalog_changes *catalog_changes_new(void)
{
    return mu_new(sizeof(struct catalog_changes));
}

void catalog_changes_free(struct catalog_changes *c)
{
    if (c == NULL) {
        return;
    }
    mu_buf_deinit(&c->bytes);
    mu_free(c->places);
    mu_free(c->slots);
    mu_free(c);
}

static struct mu_span topic_at(const struct catalog_changes *c, size_t i)
{
    return mu_span_of(c->bytes.data + c->places[i].offset, c->places[i].bytes);
}

/* The slot that holds the topic, or the free one where it belongs. */
static uint32_t *slot_of(const struct catalog_changes *c, uint32_t hash, struct mu_span topic)
{
    size_t at = hash & (c->slots_count - 1);

    while (c->slots[at] != 0) {
        size_t i = c->slots[at] - 1;

        if (c->places[i].hash == hash && mu_span_eq(topic_at(c, i), topic)) {
            break;
        }
        at = (at + 1) & (c->slots_count - 1);
    }
    return &c->slots[at];
}

static void grow(struct catalog_changes *c)
{
    c->room = c->room == 0 ? FIRST_ROOM : c->room * 2;
    c->places = mu_grow(c->places, c->room * sizeof *c->places);
    mu_free(c->slots);
    c->slots_count = c->room * 2;
    c->slots = mu_new_array(c->slots_count, sizeof *c->slots);
    for (size_t i = 0; i < c->count; i++) {
        *slot_of(c, c->places[i].hash, topic_at(c, i)) = (uint32_t)i + 1;
    }
}

void catalog_changes_add(struct catalog_changes *c, enum catalog_topic_kind kind,
                         struct mu_span name)
{
    size_t offset = c->bytes.bytes;

    if (c->count == c->room) {
        grow(c);
    }
    catalog__topic_write(&c->bytes, kind, name);
    MU_ASSERT(c->bytes.bytes <= UINT32_MAX); /* a batch of the log has a megabyte */
    struct mu_span topic = mu_span_of(c->bytes.data + offset, c->bytes.bytes - offset);
    uint32_t hash = mu_table_hash(topic); /* keys are chosen by strangers */
    uint32_t *slot = slot_of(c, hash, topic);

    if (*slot != 0) {
        c->bytes.bytes = offset; /* known */
        return;
    }
    c->places[c->count] = (struct place){ (uint32_t)offset, (uint32_t)topic.bytes, hash };
    *slot = (uint32_t)++c->count;
}

size_t catalog_changes_count(const struct catalog_changes *c)
{
    return c->count;
}

struct catalog_topic catalog_changes_at(const struct catalog_changes *c, size_t i)
{
    MU_ASSERT(i < c->count);
    struct mu_span topic = topic_at(c, i);

    return (struct catalog_topic){ (enum catalog_topic_kind)topic.data[0],
                                   mu_span_sub(topic, 1, topic.bytes) };
}
