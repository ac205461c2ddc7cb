/* log.c - terms of the whole retained log, and the shapes of its tail.
 *
 * Terms are kept as runs (first_index, term), a handful in practice, so that term(i) needs no I/O
 * and both searches of a conflict hint skip whole terms. The tail is a ring of (ticket, handle,
 * size, kind) for the newest entries; their bytes live in the owner's pool.
 *
 *        base            tail_first           commit      last
 *   ......|----- terms known, bytes on disk ----|============|
 *
 * What leaves the ring, by trimming or truncation, leaves through consensus__drop() exactly once.
 */
#include <string.h>

#include "base/assert.h"
#include "core.h"

static struct consensus_run *runs_of(const struct consensus *c)
{
    return consensus__array(c, c->at.runs);
}

static uint32_t slot_of(const struct consensus *c, uint64_t index)
{
    MU_ASSERT(index >= c->log.tail_first && index <= c->log.last_index);
    return (uint32_t)(index % c->options.tail_entries);
}

static uint64_t *tickets_of(const struct consensus *c)
{
    return consensus__array(c, c->at.tickets);
}

static uint32_t *handles_of(const struct consensus *c)
{
    return consensus__array(c, c->at.handles);
}

static uint32_t *sizes_of(const struct consensus *c)
{
    return consensus__array(c, c->at.sizes);
}

static uint8_t *kinds_of(const struct consensus *c)
{
    return consensus__array(c, c->at.kinds);
}

/* -- terms --------------------------------------------------------------------------------- */

/* The run that holds `index`, which is above the base and not beyond the end. */
static size_t run_of(const struct consensus *c, uint64_t index)
{
    const struct consensus_run *runs = runs_of(c);
    size_t low = 0;
    size_t high = c->log.runs_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (runs[middle].first_index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t consensus_term_at(const struct consensus *c, uint64_t index)
{
    if (index == c->log.base_index) {
        return c->log.base_term;
    }
    if (index < c->log.base_index || index > c->log.last_index) {
        return 0;
    }
    return runs_of(c)[run_of(c, index)].term;
}

uint64_t consensus__log_last_term(const struct consensus *c)
{
    return consensus_term_at(c, c->log.last_index);
}

void consensus__log_claim(const struct consensus *c, uint64_t *term, uint64_t *index)
{
    *term = consensus__log_last_term(c);
    *index = c->log.last_index;
    if (c->floor_index != 0 &&
        (*term < c->floor_term || (*term == c->floor_term && *index < c->floor_index))) {
        *term = c->floor_term;
        *index = c->floor_index;
    }
}

void consensus__log_heal(struct consensus *c)
{
    uint64_t term = consensus_term_at(c, c->writes.stable);

    if (c->floor_index != 0 &&
        (term > c->floor_term || (term == c->floor_term && c->writes.stable >= c->floor_index))) {
        consensus__note(c, CONSENSUS_T_HEALED, NULL, c->floor_index, c->floor_term, 0);
        c->floor_index = c->floor_term = 0;
    }
}

bool consensus__log_has(const struct consensus *c, uint64_t index, uint64_t term)
{
    return index >= c->log.base_index && index <= c->log.last_index &&
           consensus_term_at(c, index) == term;
}

uint64_t consensus__log_hint(const struct consensus *c, uint64_t index, uint64_t term)
{
    const struct consensus_run *runs = runs_of(c);
    uint64_t at = index < c->log.last_index ? index : c->log.last_index;

    if (at <= c->log.base_index) {
        return c->log.base_index;
    }
    for (size_t r = run_of(c, at) + 1; r > 0; r--) { /* whole terms at a time (spec 2.5) */
        if (runs[r - 1].term <= term) {
            return at;
        }
        at = runs[r - 1].first_index - 1;
    }
    return c->log.base_index;
}

bool consensus__log_is_crowded(const struct consensus *c)
{
    return c->log.runs_count == c->options.runs_max && runs_of(c)[1].first_index - 1 > c->commit;
}

/* The list is full: forget the oldest run, as if the log began behind it. A peer that needs older
 * entries is then served like one that needs compacted ones. */
static void runs_forget_oldest(struct consensus *c)
{
    struct consensus_run *runs = runs_of(c);

    MU_ASSERT(c->log.runs_count >= 2);
    if (runs[1].first_index - 1 > c->commit) {
        consensus__die(c, CONSENSUS_DEATH_RUNS); /* an uncommitted tail of thousands of terms */
        return;
    }
    c->log.base_index = runs[1].first_index - 1;
    c->log.base_term = runs[0].term;
    memmove(runs, runs + 1, (c->log.runs_count - 1) * sizeof *runs);
    c->log.runs_count--;
}

static void runs_push(struct consensus *c, uint64_t index, uint64_t term)
{
    struct consensus_run *runs = runs_of(c);
    uint64_t last_term = consensus__log_last_term(c);

    MU_ASSERT(term >= last_term && term > 0); /* terms never decrease with the index */
    if (c->log.runs_count > 0 && term == last_term) {
        return;
    }
    if (c->log.runs_count == c->options.runs_max) {
        runs_forget_oldest(c);
    }
    if (c->log.runs_count < c->options.runs_max) {
        runs[c->log.runs_count++] = (struct consensus_run){ index, term };
    }
}

/* -- loading ------------------------------------------------------------------------------- */

void consensus__log_load(struct consensus *c, const struct consensus_loaded *loaded)
{
    struct consensus_run *runs = runs_of(c);
    size_t skip = 0;

    MU_ASSERT(loaded->last_index >= loaded->base_index);
    MU_ASSERT((loaded->runs_count > 0) == (loaded->last_index > loaded->base_index));
    MU_ASSERT(loaded->runs_count == 0 || loaded->runs[0].first_index == loaded->base_index + 1);
    c->log.base_index = loaded->base_index;
    c->log.base_term = loaded->base_term;
    c->log.last_index = loaded->last_index;
    c->log.tail_first = loaded->last_index + 1;
    if (loaded->runs_count > c->options.runs_max) { /* as runs_forget_oldest() would have left it */
        skip = loaded->runs_count - c->options.runs_max;
        c->log.base_index = loaded->runs[skip].first_index - 1;
        c->log.base_term = loaded->runs[skip - 1].term;
    }
    for (size_t i = skip; i < loaded->runs_count; i++) {
        MU_ASSERT(i == 0 || (loaded->runs[i].term > loaded->runs[i - 1].term &&
                             loaded->runs[i].first_index > loaded->runs[i - 1].first_index));
        runs[i - skip] = loaded->runs[i];
    }
    c->log.runs_count = (uint32_t)(loaded->runs_count - skip);
    consensus__marks_load(c, loaded);
}

/* -- the tail ------------------------------------------------------------------------------ */

/* bytes: what comes before the last of these entries. The bound may be passed by one entry, or a
 * bound below one entry would stand still for ever. */
bool consensus__log_has_room(const struct consensus *c, size_t count, uint64_t bytes, uint32_t keep)
{
    uint64_t used = c->log.last_index + 1 - c->log.tail_first;

    return used + count + keep <= c->options.tail_entries &&
           c->log.tail_bytes + bytes <= c->options.tail_bytes_max;
}

bool consensus__log_is_full(const struct consensus *c)
{
    return c->log.last_index + 1 - c->log.tail_first >= c->options.tail_entries;
}

void consensus__log_push(struct consensus *c, const struct consensus_entry *e)
{
    MU_ASSERT(e->index == c->log.last_index + 1);
    MU_ASSERT(!consensus__log_is_full(c));
    runs_push(c, e->index, e->term);
    c->log.last_index = e->index;
    consensus__marks_push(c, e->index, e->bytes);

    uint32_t slot = slot_of(c, e->index);

    tickets_of(c)[slot] = e->ticket;
    handles_of(c)[slot] = e->handle;
    sizes_of(c)[slot] = e->bytes;
    kinds_of(c)[slot] = (uint8_t)e->kind;
    c->log.tail_bytes += e->bytes;
    c->log.uncommitted_bytes += e->bytes;
    if (e->kind == CONSENSUS_CONFIG) {
        consensus__config_push(c, e->config);
    }
}

/* Forget what a slot holds. */
static void slot_clear(struct consensus *c, uint64_t index)
{
    uint32_t slot = slot_of(c, index);

    MU_ASSERT(c->log.tail_bytes >= sizes_of(c)[slot]);
    c->log.tail_bytes -= sizes_of(c)[slot];
    consensus__drop(c, handles_of(c)[slot]);
    tickets_of(c)[slot] = 0;
    handles_of(c)[slot] = 0;
    sizes_of(c)[slot] = 0;
    kinds_of(c)[slot] = 0;
}

void consensus__log_truncate(struct consensus *c, uint64_t first)
{
    struct consensus_run *runs = runs_of(c);

    MU_ASSERT(first > c->commit && first > c->log.base_index); /* what is committed stays */
    if (first > c->log.last_index) {
        return;
    }
    consensus__marks_truncate(c, first);
    for (uint64_t i = first > c->log.tail_first ? first : c->log.tail_first; i <= c->log.last_index;
         i++) {
        c->log.uncommitted_bytes -= sizes_of(c)[slot_of(c, i)];
        slot_clear(c, i);
    }
    c->log.last_index = first - 1;
    if (c->log.tail_first > first) {
        c->log.tail_first = first;
    }
    while (c->log.runs_count > 0 && runs[c->log.runs_count - 1].first_index >= first) {
        c->log.runs_count--;
    }
    consensus__config_truncate(c, first);
}

/* Up to where nobody needs the tail: what is applied, committed, durable and answered. */
static uint64_t trim_limit(const struct consensus *c)
{
    uint64_t limit = c->applied < c->commit ? c->applied : c->commit;

    limit = c->writes.stable < limit ? c->writes.stable : limit;
    limit = c->answered < limit ? c->answered : limit;
    if (c->role != CONSENSUS_LEADER || c->log.tail_bytes > c->options.tail_bytes_max / 2 ||
        c->log.last_index + 1 - c->log.tail_first > c->options.tail_entries / 2) {
        return limit;
    }
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        const struct consensus__peer *p = &c->peers[i];

        if (i != c->self && p->state == CONSENSUS_REPLICATE && p->next - 1 < limit) {
            limit = p->next - 1; /* not sent yet: spare the disk a read while there is room */
        }
    }
    return limit;
}

/* A server that does not lead may forget whatever is on its disk, also what is not yet committed: a
 * ring full of such entries would else stand in the way of the entry that commits them. */
static uint64_t trim_limit_tight(const struct consensus *c)
{
    return c->role == CONSENSUS_LEADER ? trim_limit(c) : c->writes.stable;
}

/* Somebody here waits for this entry to be applied, or to be told that it is lost. */
static bool is_awaited(const struct consensus *c, uint64_t index)
{
    return index > c->applied && tickets_of(c)[slot_of(c, index)] != 0;
}

static void trim_to(struct consensus *c, uint64_t limit, uint64_t bytes, uint64_t entries)
{
    while (c->log.tail_first <= limit &&
           (c->log.tail_bytes > bytes || c->log.last_index + 1 - c->log.tail_first > entries) &&
           !is_awaited(c, c->log.tail_first)) {
        if (c->log.tail_first > c->commit) {
            c->log.uncommitted_bytes -= consensus__log_bytes(c, c->log.tail_first);
        }
        slot_clear(c, c->log.tail_first);
        c->log.tail_first++;
    }
}

void consensus__log_trim(struct consensus *c)
{
    uint64_t bytes = c->options.tail_bytes_max;
    uint32_t entries = c->options.tail_entries;

    trim_to(c, trim_limit(c), c->options.cache_bytes, entries / 2);
    trim_to(c, trim_limit_tight(c), bytes - bytes / 4, entries - entries / 4);
}

void consensus__log_compact(struct consensus *c, uint64_t index)
{
    struct consensus_run *runs = runs_of(c);
    uint64_t term = consensus_term_at(c, index);
    uint32_t gone = 0;

    if (index <= c->log.base_index) {
        return;
    }
    MU_ASSERT(index <= c->durable_applied && index <= c->commit); /* rule O9 */
    while (c->log.tail_first <= index && c->log.tail_first <= c->log.last_index) {
        slot_clear(c, c->log.tail_first);
        c->log.tail_first++;
    }
    while (gone + 1 < c->log.runs_count && runs[gone + 1].first_index <= index + 1) {
        gone++;
    }
    if (index == c->log.last_index) {
        gone = c->log.runs_count;
    } else {
        runs[gone].first_index = index + 1;
    }
    memmove(runs, runs + gone, (c->log.runs_count - gone) * sizeof *runs);
    c->log.runs_count -= gone;
    consensus__marks_compact(c, index);
    c->log.base_index = index;
    c->log.base_term = term;
}

/* After an install: nothing of it is left, it goes on behind `index`. */
void consensus__log_reset(struct consensus *c, uint64_t index, uint64_t term)
{
    for (uint64_t i = c->log.tail_first; i <= c->log.last_index; i++) {
        slot_clear(c, i);
    }
    MU_ASSERT(c->log.tail_bytes == 0);
    c->log.uncommitted_bytes = 0;
    c->log.base_index = c->log.last_index = index;
    c->log.base_term = term;
    c->log.tail_first = index + 1;
    c->log.runs_count = 0;
    consensus__marks_reset(c);
}

uint64_t *consensus__log_ticket(struct consensus *c, uint64_t index)
{
    return &tickets_of(c)[slot_of(c, index)];
}

uint32_t consensus__log_bytes(const struct consensus *c, uint64_t index)
{
    return sizes_of(c)[slot_of(c, index)];
}

void consensus_bind(struct consensus *c, uint64_t index, uint32_t handle)
{
    uint32_t slot = slot_of(c, index);

    MU_ASSERT(kinds_of(c)[slot] == CONSENSUS_CONFIG && handles_of(c)[slot] == 0 && handle != 0);
    handles_of(c)[slot] = handle;
}

bool consensus_entry_at(const struct consensus *c, uint64_t index, struct consensus_entry *out)
{
    if (index < c->log.tail_first || index > c->log.last_index) {
        return false;
    }
    uint32_t slot = slot_of(c, index);

    *out = (struct consensus_entry){
        .index = index,
        .term = consensus_term_at(c, index),
        .ticket = tickets_of(c)[slot],
        .bytes = sizes_of(c)[slot],
        .handle = handles_of(c)[slot],
        .kind = (enum consensus_entry_kind)kinds_of(c)[slot],
        .config = NULL,
    };
    return true;
}
