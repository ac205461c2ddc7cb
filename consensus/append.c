/* append.c - the follower's side: which entries of the leader it takes, and when it says so.
 *
 *   prev not here, or of another term -> reject, with a hint where the logs may still agree
 *   entries held already              -> skipped, one by one, by term
 *   the first that differs            -> everything from it on is dropped, the rest taken
 *
 * An accepted request is acknowledged with *its* end, never with the own end: what lies beyond may
 * be rubbish of an older leader (spec/consensus.md 1.11, 2.5).
 */
#include "base/assert.h"
#include "base/limits.h"
#include "core.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Input of a peer: contiguous, terms that do not decrease and lie between the previous entry's and
 * the leader's, sizes within bounds, each configuration decoded. */
static bool is_sane(const struct consensus_msg *m)
{
    uint64_t term = m->append.prev_term;

    if (m->append.session == 0 || m->append.entries_count > CONSENSUS_ENTRIES_MAX ||
        m->append.prev_index > UINT64_MAX / 2 || m->append.prev_term > m->term ||
        (m->append.prev_index == 0) != (m->append.prev_term == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < m->append.entries_count; i++) {
        const struct consensus_entry *e = &m->append.entries[i];

        if (e->index != m->append.prev_index + 1 + i || e->term < term || e->term > m->term ||
            e->term == 0 || e->bytes > MU_COMMAND_BYTES_MAX || e->kind < CONSENSUS_NOOP ||
            e->kind > CONSENSUS_CONFIG) {
            return false;
        }
        if (e->kind == CONSENSUS_CONFIG && (e->config == NULL || e->config->index != e->index ||
                                            consensus_config_check(e->config, NULL) != MU_OK)) {
            return false;
        }
        term = e->term;
    }
    return true;
}

static void drop_range(struct consensus *c, const struct consensus_msg *m, uint32_t from,
                       uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        consensus__drop(c, m->append.entries[i].handle);
    }
}

static void malformed(struct consensus *c, const struct consensus_msg *m)
{
    consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
    c->counters.messages_dropped++;
    drop_range(c, m, 0, m->append.entries_count);
}

/* How many entries at the front are here already: committed, below the base, or equal. */
static uint32_t matching_prefix(struct consensus *c, const struct consensus_msg *m)
{
    uint32_t i = 0;

    for (; i < m->append.entries_count; i++) {
        const struct consensus_entry *e = &m->append.entries[i];
        bool is_equal = consensus__log_has(c, e->index, e->term);

        if (!is_equal && e->index <= c->commit && e->index > c->log.base_index) {
            consensus__die(c, CONSENSUS_DEATH_CONFLICT); /* never truncated (row 37) */
            return m->append.entries_count;
        }
        if (!is_equal && e->index > c->commit) {
            break;
        }
    }
    return i;
}

/* A configuration is one legal step from the one before it, which is known: below `first`, where
 * new entries begin, this log is the leader's, and none but the last of them is a configuration.
 * If it is not, its sender is broken, and what it says is not taken. */
static bool config_fits(struct consensus *c, const struct consensus_msg *m, uint64_t first,
                        const struct consensus_entry *e)
{
    const struct consensus_config *before = consensus__config_below(c, first);

    if (before != NULL && !consensus__config_follows(before, e->config)) {
        consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
        c->counters.messages_dropped++;
        return false;
    }
    return true;
}

/* What will be dropped counts as free: at least one fits, for something is. It may be more than the
 * memory holds, which forgets what is durable. */
static bool fits_instead(const struct consensus *c, uint64_t first, uint32_t count)
{
    uint64_t kept = first > c->log.tail_first ? first - c->log.tail_first : 0;

    return kept + count <= c->options.tail_entries;
}

/* How many of the rest fit into memory and into the store's queue. What does not is simply not
 * acknowledged. */
static uint32_t fitting(struct consensus *c, const struct consensus_msg *m, uint32_t skip)
{
    uint64_t first = m->append.prev_index + 1 + skip;
    bool is_overwriting = first <= c->log.last_index;
    uint64_t bytes = 0;
    uint32_t count = 0;

    if (!consensus__write_has_room(c)) {
        return 0;
    }
    for (uint32_t i = skip; i < m->append.entries_count; i++) {
        const struct consensus_entry *e = &m->append.entries[i];
        bool is_config = e->kind == CONSENSUS_CONFIG;

        if (is_overwriting ? !fits_instead(c, first, count + 1)
                           : !consensus__log_has_room(c, count + 1, bytes, 0)) {
            break;
        }
        bytes += e->bytes;
        if (is_config && (!config_fits(c, m, first, e) || consensus__level_ends(c, e->config))) {
            break;
        }
        count++;
        if (is_config || (is_overwriting && first + count > c->log.last_index)) {
            break; /* one configuration at a time; no more than what makes place */
        }
    }
    return count;
}

/* The entries to take follow what is here: also where prev lies below commit and was not compared.
 */
static bool goes_on(const struct consensus *c, const struct consensus_msg *m, uint32_t skip)
{
    return skip == m->append.entries_count ||
           m->append.entries[skip].term >= consensus_term_at(c, m->append.prev_index + skip);
}

/* Memory first, then one write whose first index truncates: there is no separate truncation and so
 * no moment between the two (spec 1.5). */
static void overwrite(struct consensus *c, const struct consensus_msg *m, uint32_t skip,
                      uint32_t count)
{
    uint64_t first = m->append.prev_index + 1 + skip;
    uint64_t bytes = 0;

    MU_ASSERT(first > c->commit);
    if (first <= c->log.last_index) {
        consensus__note(c, CONSENSUS_T_TRUNCATES, &m->from, first, c->log.last_index, 0);
        consensus__log_truncate(c, first);
    }
    for (uint32_t i = skip; i < skip + count; i++) {
        struct consensus_entry e = m->append.entries[i];

        e.ticket = 0; /* tickets are of this server's proposals only */
        bytes += e.bytes;
        consensus__log_push(c, &e);
    }
    consensus__note(c, CONSENSUS_T_APPENDS, &m->from, first, first + count - 1, 0);
    consensus__write_entries(c, first, bytes);
}

static void reject(struct consensus *c, const struct consensus_msg *m)
{
    uint64_t hint = consensus__log_hint(c, m->append.prev_index, m->append.prev_term);
    struct consensus_msg *answer = consensus__send(c, CONSENSUS_APPEND_RES, &m->from);

    answer->ack.session = m->append.session;
    answer->ack.prev_index = m->append.prev_index;
    answer->ack.hint_index = hint;
    answer->ack.hint_term = consensus_term_at(c, hint);
    answer->ack.last_index = c->log.last_index;
    answer->ack.applied = c->applied;
    answer->ack.is_store_slow = consensus__health(c) != CONSENSUS_STORE_OK;
    answer->ack.is_holed = c->floor_index != 0;
    consensus__note(c, CONSENSUS_T_REJECTS, &m->from, m->append.prev_index, hint,
                    answer->ack.hint_term);
}

/* When the request's entries, and the term it came with, are durable (O3). */
static void ack(struct consensus *c, const struct consensus_msg *m, uint64_t end)
{
    uint64_t seq = consensus__write_covering(c, end);

    if (c->writes.term_seq > seq) {
        seq = c->writes.term_seq;
    }
    consensus__reply_when(c, &(struct consensus__pending){
                                 .seq = seq,
                                 .kind = CONSENSUS_APPEND_RES,
                                 .to = m->from,
                                 .round_or_session = m->append.session,
                                 .prev_index = m->append.prev_index,
                                 .match = end,
                             });
}

/* An older leader learns the newer term by the answer's header, and steps down. */
static void refuse_stale(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus_msg *answer = consensus__send(c, CONSENSUS_APPEND_RES, &m->from);

    answer->ack.session = m->append.session;
    answer->ack.prev_index = m->append.prev_index;
}

/* What it brings that is new; then its commit index, then the answer. How far that reaches into
 * what is here already comes first: a restart has forgotten it, and what is known to be committed
 * need not be kept apart by terms (log.c). */
static void take(struct consensus *c, const struct consensus_msg *m, uint32_t skip)
{
    uint32_t count = m->append.entries_count;
    uint32_t room = fitting(c, m, skip);

    if (c->death != CONSENSUS_ALIVE || (room > 0 && !consensus__tickets_are_told(c))) {
        room = 0; /* it led until this message: first everybody who waits is answered */
    }
    if (room > 0) {
        consensus__commit_to(c, min_u64(m->append.commit, m->append.prev_index + skip));
        overwrite(c, m, skip, room);
    }
    drop_range(c, m, 0, skip);
    drop_range(c, m, skip + room, count);
    uint64_t end = m->append.prev_index + skip + room;

    /* min with the request's end, not with the own end: what is beyond is not the leader's (row 25)
     */
    consensus__commit_to(c, min_u64(m->append.commit, end));
    if (!m->append.is_push && (skip + room > 0 || count == 0)) {
        ack(c, m, end);
    }
}

void consensus__on_append_req(struct consensus *c, const struct consensus_msg *m)
{
    if (!is_sane(m)) {
        malformed(c, m);
        return;
    }
    if (m->term < c->hard.term) {
        refuse_stale(c, m);
        drop_range(c, m, 0, m->append.entries_count);
        return;
    }
    if (!consensus__follow(c, m)) {
        drop_range(c, m, 0, m->append.entries_count);
        return;
    }
    if (consensus__is_resetting(c)) { /* the leader will ask again when the log has begun anew */
        drop_range(c, m, 0, m->append.entries_count);
        return;
    }
    /* Below commit everything is known to be equal, also what is no longer retained (rows 28, 29)
     */
    if (m->append.prev_index > c->commit &&
        !consensus__log_has(c, m->append.prev_index, m->append.prev_term)) {
        reject(c, m);
        drop_range(c, m, 0, m->append.entries_count);
        return;
    }
    uint32_t skip = matching_prefix(c, m);

    if (c->death != CONSENSUS_ALIVE) {
        drop_range(c, m, 0, m->append.entries_count);
    } else if (!goes_on(c, m, skip)) {
        malformed(c, m);
    } else {
        take(c, m, skip);
    }
}

/* No log check, no disk: it says only "I follow the leader of this term, now" (O6). */
void consensus__on_heartbeat(struct consensus *c, const struct consensus_msg *m)
{
    bool is_beyond = m->heartbeat.commit > c->log.last_index;

    if (m->term == c->hard.term &&
        ((is_beyond && c->floor_index == 0) || !consensus__follow(c, m))) {
        c->counters.messages_dropped++;
        return;
    }
    if (m->term == c->hard.term && c->floor_index == 0) {
        consensus__commit_to(c, m->heartbeat.commit); /* clamped to our match by the leader */
    }
    struct consensus_msg *answer = consensus__send(c, CONSENSUS_HEARTBEAT_RES, &m->from);

    answer->alive.session = m->heartbeat.session;
    answer->alive.read_seq = m->heartbeat.read_seq;
    answer->alive.last_index = c->log.last_index;
    answer->alive.applied = c->applied;
    answer->alive.sum = consensus__sum_answer(c, m);
    answer->alive.is_store_slow = consensus__health(c) != CONSENSUS_STORE_OK;
    answer->alive.is_holed = c->floor_index != 0;
    answer->alive.lacks_state = c->lacks_state;
    answer->alive.level = c->options.level_max;
    answer->alive.is_copy = c->sums.is_copy;
    answer->alive.is_promised = m->term == c->hard.term && consensus__promise(c, m);
}
