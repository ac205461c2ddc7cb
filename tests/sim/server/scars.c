/* scars.c - damage to batches, heads and meta of a log.
 *
 * What is hit was proven to be durable: an intact batch behind it, or meta, tells. Records that
 * were wrong before their checksum was made are wrong in a way that no log can be.
 */
#include <string.h>

#include "base/mem.h"
#include "consensus/journal.h"
#include "consensus/meta.h"
#include "wounds.h"

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_rand_below(&w->wound_rand, bound);
}

/* -- what lies where ----------------------------------------------------------------------------
 */

static void map_file(struct map *m, const char *name, struct mu_span file)
{
    struct consensus_segment_head head;
    uint32_t version;
    size_t at = CONSENSUS_PAGE;
    struct consensus_batch b;

    if (file.bytes < CONSENSUS_PAGE ||
        consensus__segment_head_read(mu_span_sub(file, 0, CONSENSUS_PAGE), &head, &version) !=
            CONSENSUS_HEAD_OK) {
        return;
    }
    for (; consensus__batch_search(file, at, 0, &head.salt, &b, &at); at += b.room) {
        struct spot s = { name, b.seq, at, CONSENSUS_BATCH_HEAD + b.records.bytes };

        m->spots = mu_grow(m->spots, (m->count + 1) * sizeof *m->spots);
        m->spots[m->count++] = s;
        m->last = b.seq >= m->last.seq ? s : m->last;
    }
}

struct map map_of(const struct server *s)
{
    struct map m = { .count = 0 };
    struct mu_span bytes;
    const char *name;
    uint64_t number;

    for (size_t i = 0; (name = disk_name(s->disk, DISK_LOG, i)) != NULL; i++) {
        if (consensus__journal_name_parse(name, "log-", &number)) {
            (void)disk_look(s->disk, DISK_LOG, name, &bytes);
            map_file(&m, name, bytes);
        }
    }
    struct consensus_meta meta;

    m.has_meta = disk_look(s->disk, DISK_LOG, CONSENSUS_META_NAME, &bytes) &&
                 consensus__meta_decode(bytes, &meta, NULL) == MU_OK;
    m.durable = m.has_meta ? meta.durable_seq : 0;
    m.is_clean = m.has_meta && meta.is_clean;
    return m;
}

static bool is_proven(const struct map *m, const struct spot *s)
{
    return s->seq < m->last.seq || s->seq <= m->durable;
}

const struct spot *map_proven(struct world *w, const struct map *m)
{
    size_t from = below(w, 2) == 0 ? 0 : m->count * 3 / 4;

    for (size_t tries = 0; m->count > 0 && tries < 8; tries++) {
        bool is_last = below(w, m->is_clean ? 3 : 24) == 0;
        const struct spot *s = is_last ? &m->last : &m->spots[from + below(w, m->count - from)];

        if (is_proven(m, s)) {
            return s;
        }
    }
    return NULL;
}

static struct mu_span bytes_of(const struct server *s, const struct spot *spot)
{
    struct mu_span file = MU_SPAN_NONE;

    (void)disk_look(s->disk, DISK_LOG, spot->file, &file);
    return mu_span_sub(file, spot->offset, spot->bytes);
}

static void scar(struct server *s, const struct spot *spot, struct mu_span bytes)
{
    disk_scar(s->disk, DISK_LOG, spot->file, spot->offset, bytes);
}

void spot_say(const struct server *s, const struct map *m, const struct spot *spot,
              const char *what)
{
    world_say(s->world, "%s: %s: batch %llu of %llu, durable %llu: %s at %zu", s->name, what,
              U(spot->seq), U(m->last.seq), U(m->durable), spot->file, spot->offset);
}

/* -- a batch that rots --------------------------------------------------------------------------
 */

static void flip(struct world *w, struct mu_buf *b, size_t from, size_t to)
{
    uint8_t bit = (uint8_t)(1U << below(w, 8));

    b->data[from + below(w, to - from)] ^= bit;
}

static void batch_rots(struct server *s, const struct map *m, const struct spot *spot)
{
    struct world *w = s->world;
    struct mu_buf b = MU_BUF_NONE;

    mu_buf_add_span(&b, bytes_of(s, spot));
    switch (below(w, 6)) {
    case 0: memset(b.data, 0, b.bytes); break; /* it never arrived */
    case 1: {
        struct mu_span other = bytes_of(s, &m->spots[below(w, m->count)]); /* one too many did */

        memcpy(b.data, other.data, other.bytes < b.bytes ? other.bytes : b.bytes);
        break;
    }
    case 2: flip(w, &b, 0, CONSENSUS_BATCH_HEAD); break;
    default: flip(w, &b, 0, b.bytes); break;
    }
    scar(s, spot, mu_buf_span(&b));
    mu_buf_deinit(&b);
}

/* One, or some in a row. */
bool scar_batches(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    const struct spot *spot = map_proven(w, m);
    uint64_t count = below(w, 3) == 0 ? 1 + below(w, 12) : 1;

    if (spot == NULL) {
        return false;
    }
    for (size_t i = 0; i < m->count; i++) {
        const struct spot *one = &m->spots[i];

        if (one->seq >= spot->seq && one->seq - spot->seq < count && is_proven(m, one)) {
            spot_say(s, m, one, "rots");
            batch_rots(s, m, one);
        }
    }
    return true;
}

/* -- a batch that was wrong before it was sealed ------------------------------------------------
 */

/* As `r`, of other content. chain: of the entry before. */
static bool record_bend(struct world *w, struct consensus_record *r, struct mu_buf *payload)
{
    mu_buf_add_span(payload, r->payload);
    r->payload = mu_buf_span(payload);
    if (r->kind < CONSENSUS_RECORD_OWN) {
        switch (below(w, 4)) {
        case 0: r->index += 1 + below(w, 3); break;
        case 3: r->index = below(w, 2) == 0 || r->index == 1 ? 1 : r->index - 1; break;
        case 1: r->term = r->index > 1 ? 0 : r->term; break; /* no log goes back */
        default:
            if (r->kind == CONSENSUS_CONFIG) {
                memset(payload->data, 0xff, payload->bytes);
            } else {
                r->index += 2;
            }
            break;
        }
        return true;
    }
    if (below(w, 4) == 0 || payload->bytes == 0) {
        r->kind = CONSENSUS_RECORD_FLOOR + 1 + (uint8_t)below(w, 9);
    } else if (below(w, 2) == 0) {
        payload->bytes -= payload->bytes > 40 ? 40 : payload->bytes;
    } else if (r->kind == CONSENSUS_RECORD_BASE && payload->bytes > 48) {
        memset(payload->data + 40, 0xff, payload->bytes - 40); /* its configuration */
    } else if (r->kind == CONSENSUS_RECORD_BASE || r->kind == CONSENSUS_RECORD_RESET) {
        memset(payload->data, 0, 8);
        memset(payload->data + 24, 1, 8);
    } else {
        payload->bytes -= 1;
    }
    r->payload = mu_buf_span(payload);
    return true;
}

/* The records of a batch once more, one of them bent. */
static void records_bend(struct world *w, struct mu_span left, uint64_t which, struct mu_buf *to)
{
    uint32_t chain = 0;
    struct consensus_record r;
    size_t room;

    for (uint64_t i = 0; left.bytes > 0 && consensus__record_read(left, &r, &room); i++) {
        struct mu_buf payload = MU_BUF_NONE;
        struct consensus_standing standing;

        if (i == which && record_bend(w, &r, &payload)) {
            (void)consensus__record_add(to, &r, chain);
        } else {
            mu_buf_add(to, left.data, room);
        }
        if (r.kind < CONSENSUS_RECORD_OWN) {
            chain = r.chain;
        } else if (r.kind == CONSENSUS_RECORD_HARD && consensus__hard_read(r.payload, &standing)) {
            chain = standing.tail.chain;
        }
        mu_buf_deinit(&payload);
        left = mu_span_sub(left, room, left.bytes - room);
    }
}

bool scar_forged(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    const struct spot *spot = map_proven(w, m);
    struct mu_buf b = MU_BUF_NONE;
    struct consensus_batch batch;

    for (size_t i = 0; i < m->count && below(w, 2) == 0; i++) { /* where segments begin is more */
        const struct spot *one = &m->spots[below(w, m->count)];

        spot = one->offset == CONSENSUS_PAGE && is_proven(m, one) ? one : spot;
    }

    if (spot == NULL || !consensus__batch_read(bytes_of(s, spot), &batch)) {
        return false;
    }
    uint32_t count = batch.records_count;

    spot_say(s, m, spot, "wrong before it was sealed");
    consensus__batch_begin(&b);
    switch (below(w, 4)) {
    case 0: /* a record whose own checksum tells */
        mu_buf_add_span(&b, batch.records);
        flip(w, &b, CONSENSUS_BATCH_HEAD, b.bytes);
        break;
    case 1:
        mu_buf_add_span(&b, batch.records);
        count++;
        break;
    default: records_bend(w, batch.records, below(w, count), &b); break;
    }
    (void)consensus__batch_seal(&b, batch.seq, batch.durable_upto, batch.prev_crc, count,
                                batch.salt);
    if (b.bytes <= batch.room) {
        scar(s, spot, mu_buf_span(&b));
    }
    mu_buf_deinit(&b);
    return true;
}

/* -- heads, and meta ----------------------------------------------------------------------------
 */

bool scar_head(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    struct mu_buf b = MU_BUF_NONE;

    if (m->count == 0) {
        return false;
    }
    struct spot head = m->spots[below(w, m->count)];

    spot_say(s, m, &head, "the head before it");
    head.offset = 0;
    head.bytes = CONSENSUS_PAGE;
    mu_buf_add_span(&b, bytes_of(s, &head));
    flip(w, &b, 0, 80);
    scar(s, &head, mu_buf_span(&b));
    mu_buf_deinit(&b);
    return true;
}

bool scar_meta(struct server *s, const struct map *m)
{
    struct world *w = s->world;
    struct spot slot = { .file = CONSENSUS_META_NAME, .bytes = CONSENSUS_META_SLOT };
    uint64_t which = below(w, 6); /* mostly one of the two */

    world_say(w, "%s: its meta rots, %llu", s->name, U(which));
    for (size_t i = 0; m->has_meta && i < 2; i++) {
        struct mu_buf b = MU_BUF_NONE;

        slot.offset = i * CONSENSUS_META_SLOT;
        mu_buf_add_span(&b, bytes_of(s, &slot));
        if (b.bytes == CONSENSUS_META_SLOT && (which == 5 || which % 2 == i)) {
            flip(w, &b, 0, below(w, 2) == 0 ? 16 : b.bytes);
            scar(s, &slot, mu_buf_span(&b));
        }
        mu_buf_deinit(&b);
    }
    return m->has_meta;
}
