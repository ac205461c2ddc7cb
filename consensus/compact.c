/* compact.c - how much of the log stays (spec/consensus.md 2.13).
 *
 *   base        compact_to                     durable_applied        last
 *    |--- goes ----|--- trailing, and pins ---------|------------------|
 *
 * What the state file holds durably need not be in the log for this server's own sake (O9). A
 * stretch behind that stays for servers that are a little late, by number and by bytes, and of
 * these no more than a snapshot would be, which does the same; a server that is later than that,
 * and alive, holds up more, within a budget; beyond it a snapshot serves it sooner.
 *
 * Sizes are remembered as marks (index, bytes of the log up to it), coarser as the log grows: an
 * estimate within one mark, which is enough for a budget of megabytes.
 */
#include <string.h>

#include "base/assert.h"
#include "core.h"

#define ENTRY_HEAD_BYTES 32U /* of its record in the log */
#define SHARE_LEAST      8U  /* of what trails, that does so in any case */
#define STEPS            64U /* in which the size of what trails is known */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* -- marks --------------------------------------------------------------------------------- */

/* Every second one goes: what is left is twice as coarse. */
static void marks_thin(struct consensus__log *log)
{
    uint32_t kept = 0;

    for (uint32_t i = 1; i < log->marks_count; i += 2) {
        log->marks[kept++] = log->marks[i];
    }
    log->marks_count = kept;
    log->mark_bytes *= 2;
}

static void mark_add(struct consensus__log *log, uint64_t index)
{
    if (log->marks_count == CONSENSUS_MARKS_MAX) {
        marks_thin(log);
    }
    log->marks[log->marks_count++] = (struct consensus__mark){ index, log->bytes };
}

void consensus__marks_load(struct consensus *c, const struct consensus_loaded *loaded)
{
    struct consensus__log *log = &c->log;
    uint64_t entries = loaded->last_index - loaded->base_index;
    uint64_t count = CONSENSUS_MARKS_MAX / 2;

    /* A small state lets no more than an eighth of it trail: to be exact there takes small steps.
     */
    log->mark_bytes = max_u64(1, c->options.trailing_bytes / STEPS);
    count = min_u64(min_u64(count, entries), loaded->log_bytes / log->mark_bytes);
    for (uint64_t i = 1; i <= count; i++) { /* evenly: nobody has counted them */
        log->bytes = loaded->log_bytes / count * i;
        mark_add(log, loaded->base_index + entries / count * i);
    }
    log->bytes = loaded->log_bytes;
    log->compact_asked = loaded->base_index;
}

void consensus__marks_push(struct consensus *c, uint64_t index, uint32_t bytes)
{
    struct consensus__log *log = &c->log;
    uint64_t marked = log->marks_count > 0 ? log->marks[log->marks_count - 1].bytes : 0;

    log->bytes += ENTRY_HEAD_BYTES + bytes;
    if (log->marks_count == 0 || log->bytes - marked >= log->mark_bytes) {
        mark_add(log, index);
    }
}

/* Entries from `first` on are dropped; those whose size is known leave with it. */
void consensus__marks_truncate(struct consensus *c, uint64_t first)
{
    struct consensus__log *log = &c->log;
    uint64_t bytes = log->bytes;

    for (uint64_t i = max_u64(first, log->tail_first); i <= log->last_index; i++) {
        bytes -= min_u64(bytes, ENTRY_HEAD_BYTES + consensus__log_bytes(c, i));
    }
    while (log->marks_count > 0 && log->marks[log->marks_count - 1].index >= first) {
        log->marks_count--;
    }
    log->bytes = max_u64(bytes, log->marks_count > 0 ? log->marks[log->marks_count - 1].bytes : 0);
}

void consensus__marks_compact(struct consensus *c, uint64_t base)
{
    struct consensus__log *log = &c->log;
    uint32_t gone = 0;

    while (gone < log->marks_count && log->marks[gone].index <= base) {
        gone++;
    }
    memmove(log->marks, log->marks + gone, (log->marks_count - gone) * sizeof *log->marks);
    log->marks_count -= gone;
}

void consensus__marks_reset(struct consensus *c)
{
    c->log.marks_count = 0;
    c->log.bytes = 0;
    c->log.compact_asked = c->log.base_index;
}

/* How many marks are at no later an index, and of no more bytes: they ascend in both. */
static uint32_t marks_until(const struct consensus__log *log, uint64_t index, uint64_t bytes)
{
    uint32_t from = 0;
    uint32_t to = log->marks_count;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const struct consensus__mark *m = &log->marks[middle];

        if (m->index <= index && m->bytes <= bytes) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* The highest index known to have at least `bytes` of the log between it and `index`; 0: none. */
static uint64_t back(const struct consensus__log *log, uint64_t index, uint64_t bytes)
{
    uint32_t here = marks_until(log, index, UINT64_MAX);
    uint64_t at = index == log->last_index ? log->bytes : here > 0 ? log->marks[here - 1].bytes : 0;
    uint32_t found = at < bytes ? 0 : marks_until(log, index, at - bytes);

    return found > 0 ? log->marks[found - 1].index : 0;
}

/* -- what may go --------------------------------------------------------------------------- */

/* Who is farther behind than the state is big is sooner served by a snapshot; but for little more
 * than a pause nobody shall need one. */
static uint64_t trailing_bytes(const struct consensus *c)
{
    uint64_t most = c->options.trailing_bytes;

    if (c->health == CONSENSUS_STORE_FULL) {
        return most / SHARE_LEAST;
    }
    return c->state_bytes == 0 ? most : min_u64(most, max_u64(c->state_bytes, most / SHARE_LEAST));
}

/* Behind what is durable in the state, the smaller of so many entries and so many bytes. A full
 * disk keeps an eighth of it. */
static uint64_t trailing_limit(const struct consensus *c)
{
    uint32_t share = c->health == CONSENSUS_STORE_FULL ? SHARE_LEAST : 1;
    uint64_t entries = c->options.trailing_entries / share;
    uint64_t durable = c->durable_applied;

    return max_u64(durable > entries ? durable - entries : 0,
                   back(&c->log, durable, trailing_bytes(c)));
}

/* A peer that was heard lately and only lags is spared a snapshot. Of one whose match is not known
 * yet, everything may still be wanted. */
static bool is_spared(const struct consensus *c, const struct consensus__peer *p)
{
    return p->state != CONSENSUS_SNAPSHOT &&
           c->now_ms - max_u64(p->acked_ms, c->office.since_ms) <= c->options.laggard_ms;
}

/* `limit`, less what is wanted from `wanted` on, as far as `bytes` beside what trails go. */
static uint64_t held_up(const struct consensus *c, uint64_t limit, uint64_t wanted, uint64_t bytes)
{
    uint64_t floor = back(&c->log, trailing_limit(c), bytes);

    return max_u64(min_u64(limit, wanted), min_u64(limit, floor));
}

/* Behind what this peer goes on that imports a snapshot, or has one. UINT64_MAX: neither. */
static uint64_t wanted_behind(const struct consensus__peer *p)
{
    if (p->state != CONSENSUS_SNAPSHOT) {
        return p->match;
    }
    return p->snap_held > 0 ? p->snap_held : UINT64_MAX;
}

/* While a snapshot is made and sent, what lies behind it stays; then its receiver catches up. */
static uint64_t snapshots_limit(const struct consensus *c, uint64_t limit)
{
    const struct consensus__sending *s = &c->office.sending;
    bool is_live = s->state == CONSENSUS_EXPORT_RUNS || !mu_id_is_none(&s->to);
    uint64_t bytes = c->options.snap_pin_bytes;

    if (is_live && c->now_ms - s->began_ms <= c->options.snap_pin_ms) {
        limit = held_up(c, limit, s->pin_index, bytes);
    }
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        const struct consensus__peer *p = &c->peers[i];

        if (i != c->self && c->now_ms < p->snap_pinned_ms) {
            limit = held_up(c, limit, wanted_behind(p), bytes);
        }
    }
    return limit;
}

static uint64_t laggards_limit(const struct consensus *c, uint64_t limit)
{
    if (c->health == CONSENSUS_STORE_FULL) {
        return limit;
    }
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (i != c->self && is_spared(c, &c->peers[i])) {
            limit = held_up(c, limit, c->peers[i].match, c->options.laggard_bytes);
        }
    }
    return limit;
}

/* Who has caught up behind its snapshot is a follower like any other. Not by what is durable here:
 * that moves on in leaps, and the next one would take what it is still to get. */
static void pins_release(struct consensus *c)
{
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        struct consensus__peer *p = &c->peers[i];

        if (p->state != CONSENSUS_SNAPSHOT && p->match >= c->commit) {
            p->snap_pinned_ms = 0;
        }
    }
}

/* What is damaged on disk is of use to nobody: neither a laggard nor a snapshot under way keeps it.
 * The state has those entries, so nothing is lost (spec 2.16). */
void consensus__on_shed(struct consensus *c, uint64_t index)
{
    c->log.shed_to = max_u64(c->log.shed_to, index);
}

static uint64_t shed_limit(const struct consensus *c)
{
    return c->log.shed_to <= c->durable_applied ? c->log.shed_to : 0;
}

uint64_t consensus__compact_to(struct consensus *c)
{
    uint64_t limit = trailing_limit(c);

    if (c->role == CONSENSUS_LEADER) {
        pins_release(c);
        limit = snapshots_limit(c, laggards_limit(c, limit));
    }
    uint64_t asked = max_u64(c->log.compact_asked, c->log.base_index);
    uint64_t step = c->options.trailing_entries / 64;
    bool sheds = shed_limit(c) > asked;

    limit = max_u64(limit, shed_limit(c));
    MU_ASSERT(limit <= c->durable_applied); /* O9 */
    /* Not a call for each entry; bytes come in steps of marks anyway. */
    if (limit <= asked ||
        (!sheds && limit - asked < step && back(&c->log, limit, c->log.mark_bytes) <= asked)) {
        return 0;
    }
    c->log.compact_asked = limit;
    return limit;
}
