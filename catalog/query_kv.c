/* query_kv.c - reads of Consul's key space (spec/http-api.md 6.1, indexes 1.7).
 *
 * Deletion markers lie among the live keys of the current table, so that one walk over a prefix
 * sees what is there and when something last went away.
 */
#include <string.h>

#include "base/id.h"
#include "mvcc.h"
#include "reader.h"

static enum mu_code table_index(struct catalog_reader *r, uint64_t *out, struct mu_err *err)
{
    static const enum counter counters[] = { COUNTER_KVS, COUNTER_TOMBSTONES };

    return catalog__read_index(r, counters, MU_LEN(counters), out, err);
}

/* The holder as people write it; empty without one. */
static struct mu_span session_text(struct walk *w, int column)
{
    struct mu_span bytes = column_bytes(w->s, column);
    struct mu_id id;

    if (bytes.bytes != sizeof id.b) {
        return MU_SPAN_NONE;
    }
    char *text = mu_arena_new(w->arena, MU_ID_TEXT_BYTES + 1);

    memcpy(id.b, bytes.data, sizeof id.b);
    mu_id_text(&id, text);
    return mu_span_of(text, MU_ID_TEXT_BYTES);
}

enum mu_code catalog_query_key(struct catalog_reader *r, struct mu_arena *arena, struct mu_span key,
                               struct catalog_kvs *out, struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_kvs){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_KEY, arena, err);
    bind_bytes(w.s, 1, key);
    if (catalog__walk_next(&w)) {
        struct catalog_kv *kv = mu_arena_new(arena, sizeof *kv);

        kv->key = mu_arena_span(arena, key);
        kv->flags = catalog__walk_number(&w, 0);
        kv->session = session_text(&w, 1);
        kv->lock_index = catalog__walk_number(&w, 2);
        kv->create_index = catalog__walk_number(&w, 3);
        kv->modify_index = catalog__walk_number(&w, 4);
        kv->value = catalog__walk_bytes(&w, 5);
        *out = (struct catalog_kvs){ kv, 1, kv->modify_index };
    }
    enum mu_code rc = catalog__walk_end(&w);

    if (rc != MU_OK) {
        return rc;
    }
    return out->count == 0 ? table_index(r, &out->index, err)
                           : catalog__read_floor(r, &out->index, err);
}

/* What both kinds of ranges select first. */
enum range_column { RANGE_KEY, RANGE_OP, RANGE_INDEX, RANGE_COLUMNS };

/* The next live key that begins with the prefix, as a view; notes the newest change on the way. */
static bool next_below(struct walk *w, struct mu_span prefix, struct mu_span *key, uint64_t *newest)
{
    while (catalog__walk_next(w)) {
        *key = column_bytes(w->s, RANGE_KEY);
        if (!mu_span_starts(*key, prefix)) {
            return false;
        }
        uint64_t index = catalog__walk_number(w, RANGE_INDEX);

        *newest = index > *newest ? index : *newest;
        if (catalog__walk_number(w, RANGE_OP) == MVCC_PUT) {
            return true;
        }
    }
    return false;
}

/* Where nothing ever was, and for all keys, it is the table's. */
static enum mu_code range_index(struct catalog_reader *r, struct mu_span prefix, uint64_t newest,
                                uint64_t *out, struct mu_err *err)
{
    if (newest > 0 && prefix.bytes > 0) {
        *out = newest;
        return catalog__read_floor(r, out, err);
    }
    return table_index(r, out, err);
}

enum mu_code catalog_query_prefix(struct catalog_reader *r, struct mu_arena *arena,
                                  struct mu_span prefix, struct catalog_kvs *out,
                                  struct mu_err *err)
{
    uint64_t newest = 0;
    struct mu_span key;
    struct walk w;

    *out = (struct catalog_kvs){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_PAIRS, arena, err);
    bind_bytes(w.s, 1, prefix);
    while (next_below(&w, prefix, &key, &newest)) {
        out->items = mu_arena_grow(arena, out->items, out->count, sizeof *out->items);
        out->items[out->count++] = (struct catalog_kv){
            .key = mu_arena_span(arena, key),
            .modify_index = catalog__walk_number(&w, RANGE_INDEX),
            .flags = catalog__walk_number(&w, RANGE_COLUMNS),
            .session = session_text(&w, RANGE_COLUMNS + 1),
            .lock_index = catalog__walk_number(&w, RANGE_COLUMNS + 2),
            .create_index = catalog__walk_number(&w, RANGE_COLUMNS + 3),
            .value = catalog__walk_bytes(&w, RANGE_COLUMNS + 4),
        };
    }
    enum mu_code rc = catalog__walk_end(&w);

    return rc == MU_OK ? range_index(r, prefix, newest, &out->index, err) : rc;
}

/* Where `needle` first ends in `text` at or behind `from`; 0 when it is not there. */
static size_t find_end(struct mu_span text, size_t from, struct mu_span needle)
{
    for (size_t i = from; needle.bytes > 0 && i + needle.bytes <= text.bytes; i++) {
        if (mu_span_starts(mu_span_sub(text, i, text.bytes), needle)) {
            return i + needle.bytes;
        }
    }
    return 0;
}

enum mu_code catalog_query_keys(struct catalog_reader *r, struct mu_arena *arena,
                                struct mu_span prefix, struct mu_span separator,
                                struct catalog_keys *out, struct mu_err *err)
{
    uint64_t newest = 0;
    struct mu_span key;
    struct walk w;

    *out = (struct catalog_keys){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_KEYS, arena, err);
    bind_bytes(w.s, 1, prefix);
    while (next_below(&w, prefix, &key, &newest)) {
        size_t end = find_end(key, prefix.bytes, separator);
        struct mu_span shown = end > 0 ? mu_span_sub(key, 0, end) : key;

        /* equal ones are neighbours: keys come in order */
        if (out->count > 0 && mu_span_eq(out->items[out->count - 1], shown)) {
            continue;
        }
        out->items = mu_arena_grow(arena, out->items, out->count, sizeof *out->items);
        out->items[out->count++] = mu_arena_span(arena, shown);
    }
    enum mu_code rc = catalog__walk_end(&w);

    return rc == MU_OK ? range_index(r, prefix, newest, &out->index, err) : rc;
}
