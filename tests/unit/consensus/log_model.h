/* log_model.h - what a log should hold, said simply: an array of entries. The naive twin of the
 * stores; also makes the writes that are fed to them. Header-only. */
#ifndef TESTS_LOG_MODEL_H
#define TESTS_LOG_MODEL_H

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "consensus/consensus.h"
#include "record.h"

#define MODEL_ENTRIES_MAX 5120

struct model_entry {
    uint64_t term;
    uint32_t bytes; /* of the payload, which follows from index, term and this */
    uint8_t kind;
};

struct model {
    struct consensus_hard hard;
    uint64_t base_index, base_term;
    uint64_t last;
    struct model_entry entries[MODEL_ENTRIES_MAX]; /* by index */
};

static inline struct mu_id model_id(uint8_t n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = n;
    id.b[15] = 0x5a;
    return id;
}

static inline void model_config(uint64_t index, uint64_t term, struct consensus_config *out)
{
    memset(out, 0, sizeof *out);
    out->index = index;
    out->level = CONSENSUS_LEVEL_FIRST;
    out->servers_count = 1 + (uint32_t)(index % 3);
    for (uint32_t i = 0; i < out->servers_count; i++) {
        out->servers[i].id = model_id((uint8_t)(1 + i));
        out->servers[i].disk = model_id((uint8_t)(100 + i + term % 50));
        out->servers[i].is_voter = true;
    }
}

static inline void model_payload(uint64_t index, const struct model_entry *e, struct mu_buf *to)
{
    if (e->kind == CONSENSUS_CONFIG) {
        struct consensus_config config;
        uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];

        model_config(index, e->term, &config);
        mu_buf_add(to, bytes, consensus_config_encode(&config, bytes));
        return;
    }
    for (uint32_t i = 0; i < e->bytes; i++) {
        mu_buf_add_byte(to, (uint8_t)(index * 31 + e->term * 7 + i));
    }
}

static inline void model_record(uint64_t index, const struct model_entry *e, struct mu_buf *to)
{
    struct mu_buf payload = MU_BUF_NONE;

    model_payload(index, e, &payload);
    struct consensus_record r = {
        .index = index, .term = e->term, .kind = e->kind, .payload = mu_buf_span(&payload)
    };
    size_t at = to->bytes;

    (void)consensus__record_add(to, &r, 0);
    memset(to->data + at + 4, 0, 4); /* the chain is the store's */
    mu_buf_deinit(&payload);
}

/* One write with its bytes. */
struct model_write {
    struct consensus_write w;
    struct mu_buf bytes;
    struct mu_span records[CONSENSUS_ENTRIES_MAX];
};

static inline void model_write_deinit(struct model_write *mw)
{
    mu_buf_deinit(&mw->bytes);
}

/* Apply to the model, and make the bytes: entries first .. first+count-1 with these properties. */
static inline void model_write(struct model *m, struct model_write *mw, uint64_t seq,
                               uint64_t first, size_t count, struct model_entry like)
{
    size_t offsets[CONSENSUS_ENTRIES_MAX + 1];

    memset(mw, 0, sizeof *mw);
    mw->w.seq = seq;
    mw->w.hard = m->hard;
    mw->w.first = count > 0 ? first : 1;
    mw->w.last = count > 0 ? first + count - 1 : 0;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = mw->bytes.bytes;
        m->entries[first + i] = like;
        model_record(first + i, &like, &mw->bytes);
    }
    offsets[count] = mw->bytes.bytes;
    for (size_t i = 0; i < count; i++) {
        mw->records[i] = mu_span_of(mw->bytes.data + offsets[i], offsets[i + 1] - offsets[i]);
    }
    if (count > 0) {
        m->last = mw->w.last;
    }
}

/* A random next write: mostly appends, sometimes over what is there (never at or below
 * `committed`), sometimes a vote alone. */
static inline void model_random_write(struct model *m, struct mu_rand *r, uint64_t seq,
                                      uint64_t committed, struct model_write *mw)
{
    static const uint32_t sizes[] = { 0, 1, 7, 8, 9, 100, 500, 4000, 4096, 9000, 30000 };
    struct model_entry like = { .kind = CONSENSUS_COMMAND };
    uint64_t first = m->last + 1;
    size_t count = 1 + mu_rand_below(r, 5);

    switch (mu_rand_below(r, 10)) {
    case 0: /* a vote, a term */
        m->hard.term++;
        m->hard.voted_for = model_id((uint8_t)mu_rand_below(r, 4));
        count = 0;
        break;
    case 1: /* the same again */ count = 0; break;
    case 2: /* another leader overwrites the tail */
        m->hard.term++;
        if (m->last > committed) {
            first = committed + 1 + mu_rand_below(r, m->last - committed);
        }
        break;
    default: break;
    }
    like.bytes = sizes[mu_rand_below(r, MU_LEN(sizes))];
    like.term = m->hard.term;
    switch (mu_rand_below(r, 12)) {
    case 0: like.kind = CONSENSUS_CONFIG; break;
    case 1:
        like.kind = CONSENSUS_NOOP;
        like.bytes = 0;
        break;
    default: break;
    }
    model_write(m, mw, seq, first, count, like);
}

/* The term of an index by the run list that a store has found. */
static inline uint64_t model_run_term(const struct consensus_run *runs, size_t count,
                                      uint64_t index)
{
    uint64_t term = 0;

    for (size_t i = 0; i < count && runs[i].first_index <= index; i++) {
        term = runs[i].term;
    }
    return term;
}

/* Are these the records of first .. last, byte for byte? */
static inline bool model_records_equal(const struct model *m, uint64_t first, uint64_t last,
                                       struct mu_span got)
{
    struct mu_buf want = MU_BUF_NONE;

    for (uint64_t i = first; i <= last; i++) {
        model_record(i, &m->entries[i], &want);
    }
    bool is_equal = mu_span_eq(mu_buf_span(&want), got);

    mu_buf_deinit(&want);
    return is_equal;
}

#endif
