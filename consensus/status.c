/* status.c - what can be seen from outside, and the expensive invariants. */
#include "base/assert.h"
#include "core.h"

static void status_peers(const struct consensus *c, struct consensus_status *out)
{
    const struct consensus_config *now = consensus__config(c);

    for (uint32_t i = 0; i < now->servers_count; i++) {
        const struct consensus__peer *p = &c->peers[i];

        if (consensus_server_votes(&now->servers[i])) {
            out->voters[out->voters_count++] = now->servers[i].id;
        }
        if (i == c->self || c->role != CONSENSUS_LEADER) {
            continue;
        }
        out->peers[out->peers_count++] = (struct consensus_peer_status){
            .id = p->id,
            .state = (enum consensus_progress)p->state,
            .match = p->match,
            .next = p->next,
            .acked_ms = p->acked_ms,
            .applied = p->applied,
            .inflight = p->inflight_count,
            .level = p->level,
            .is_store_slow = p->is_store_slow,
            .has_diverged = consensus__sum_is_odd(c, p),
        };
    }
}

void consensus_status(const struct consensus *c, struct consensus_status *out)
{
    *out = (struct consensus_status){
        .role = (enum consensus_role)c->role,
        .term = c->hard.term,
        .leader = c->leader,
        .is_ready = c->office.is_ready,
        .last_index = c->log.last_index,
        .last_term = consensus__log_last_term(c),
        .commit = c->commit,
        .applied = c->applied,
        .durable_applied = c->durable_applied,
        .first_index = c->log.base_index + 1,
        .floor_index = c->floor_index,
        .lacks_state = c->lacks_state,
        .stable = c->writes.stable,
        .config_index = consensus__config(c)->index,
        .level = consensus__level(c),
        .level_max = c->options.level_max,
        .is_config_committed = consensus__config(c)->index <= c->commit,
        .is_transferring = c->office.transfer.is_running,
        .is_stopped = c->is_stopped,
        .is_removed = c->death == CONSENSUS_DEATH_REMOVED,
        .is_diverged = c->death == CONSENSUS_DEATH_DIVERGED,
        .leader_heard_ms = c->role == CONSENSUS_LEADER ? c->now_ms : c->contact_ms,
        .elections_started = c->counters.elections_started,
        .elections_won = c->counters.elections_won,
        .prevotes_started = c->counters.prevotes_started,
        .pauses_seen = c->counters.pauses_seen,
        .messages_dropped = c->counters.messages_dropped,
        .reads_batched = c->counters.reads_batched,
        .reads_leased = c->counters.reads_leased,
        .refused = c->counters.refused,
        .unsynced_bytes = c->writes.outstanding_bytes,
        .uncommitted_bytes = c->log.uncommitted_bytes,
        .tail_bytes = c->log.tail_bytes,
        .writes_outstanding = c->writes.count,
        .health = consensus__health(c),
        .installing = (enum consensus_installing)c->install.state,
        .snapshot =
            c->install.state != CONSENSUS_INSTALL_NONE ? c->install.snap : c->office.sending.snap,
        .snapshots_sent = c->counters.snapshots_sent,
        .snapshots_installed = c->counters.snapshots_installed,
        .snapshots_failed = c->counters.snapshots_failed,
        .entries_reread = c->counters.entries_reread,
    };
    status_peers(c, out);
}

/* -- invariants ---------------------------------------------------------------------------- */

static void check_log(const struct consensus *c)
{
    const struct consensus_run *runs = consensus__array(c, c->at.runs);
    uint64_t bytes = 0;
    uint64_t uncommitted = 0;
    struct consensus_entry e;

    MU_ASSERT((c->log.runs_count > 0) == (c->log.last_index > c->log.base_index));
    for (uint32_t i = 0; i < c->log.runs_count; i++) {
        uint64_t below_first = i == 0 ? c->log.base_index : runs[i - 1].first_index;
        uint64_t below_term = i == 0 ? c->log.base_term : runs[i - 1].term;

        MU_ASSERT(runs[i].first_index > below_first && runs[i].first_index <= c->log.last_index);
        MU_ASSERT(i == 0 ? runs[i].term >= below_term : runs[i].term > below_term);
    }
    MU_ASSERT(c->log.tail_first <= c->log.last_index + 1);
    MU_ASSERT(c->log.last_index + 1 - c->log.tail_first <= c->options.tail_entries);
    for (uint64_t i = c->log.tail_first; i <= c->log.last_index; i++) {
        MU_ASSERT(consensus_entry_at(c, i, &e));
        bytes += e.bytes;
        uncommitted += i > c->commit ? e.bytes : 0;
    }
    MU_ASSERT(bytes == c->log.tail_bytes && uncommitted == c->log.uncommitted_bytes);
    /* what must stay in memory: above applied, or not durable */
    MU_ASSERT(c->log.tail_first <= c->writes.stable + 1);
    MU_ASSERT(consensus__log_last_term(c) <= c->hard.term);
    for (uint32_t i = 1; i < c->log.marks_count; i++) { /* searched by halves */
        MU_ASSERT(c->log.marks[i].index > c->log.marks[i - 1].index);
        MU_ASSERT(c->log.marks[i].bytes >= c->log.marks[i - 1].bytes);
    }
}

static void check_indexes(const struct consensus *c)
{
    MU_ASSERT(c->commit <= c->log.last_index && c->writes.stable <= c->log.last_index);
    MU_ASSERT(c->applied <= c->commit && c->applied <= c->writes.stable); /* I11 */
    MU_ASSERT(c->durable_applied <= c->applied && c->answered <= c->commit);
    MU_ASSERT(c->writes.persisted_seq < c->writes.next_seq);
    MU_ASSERT(c->writes.count <= c->options.writes_max && c->writes.dirty_first == 0);
    MU_ASSERT(c->writes.term_seq <= c->writes.next_seq && c->writes.vote_seq <= c->writes.next_seq);
    for (uint32_t i = 0; i < c->pending_count; i++) {
        MU_ASSERT(c->pending[i].seq > c->writes.persisted_seq);
    }
    MU_ASSERT(c->reads.ready + c->reads.flying <= c->reads.count);
    MU_ASSERT(c->role == CONSENSUS_LEADER || c->reads.flying == 0);
}

static void check_peer(const struct consensus *c, const struct consensus__peer *p)
{
    const struct consensus__inflight *all = consensus__array(c, c->at.inflight);
    size_t first = (size_t)(p - c->peers) * c->options.inflight_max;
    uint64_t last = p->match;
    uint64_t bytes = 0;

    MU_ASSERT(p->next > p->match && p->match <= c->log.last_index); /* I9 */
    MU_ASSERT(p->next <= c->log.last_index + 1 && p->session != 0);
    MU_ASSERT(p->inflight_count <= c->options.inflight_max);
    MU_ASSERT(p->state == CONSENSUS_REPLICATE || p->inflight_count == 0);
    for (uint32_t i = 0; i < p->inflight_count; i++) {
        const struct consensus__inflight *f =
            &all[first + (p->inflight_head + i) % c->options.inflight_max];

        MU_ASSERT(f->last > last && f->last < p->next);
        last = f->last;
        bytes += f->bytes;
    }
    MU_ASSERT(bytes == p->inflight_bytes);
}

static void check_role(const struct consensus *c)
{
    bool stands = c->role == CONSENSUS_CANDIDATE || c->role == CONSENSUS_LEADER;

    MU_ASSERT(!stands || mu_id_eq(&c->hard.voted_for, &c->options.server));
    MU_ASSERT(c->role == CONSENSUS_LEADER || c->office.read_seq == 0);
    MU_ASSERT(c->role == CONSENSUS_PRE_CANDIDATE || c->role == CONSENSUS_CANDIDATE ||
              c->campaign.votes == 0);
    if (c->role != CONSENSUS_LEADER) {
        return;
    }
    MU_ASSERT(c->office.first_index <= c->log.base_index ||
              consensus_term_at(c, c->office.first_index) == c->hard.term);
    for (uint32_t i = 0; i < c->peers_count; i++) {
        MU_ASSERT((c->peers[i].removed_index != 0) == (i >= consensus__config(c)->servers_count));
        if (i != c->self) {
            check_peer(c, &c->peers[i]);
        }
    }
}

static void check_configs(const struct consensus *c)
{
    for (uint32_t i = 1; i < c->configs_count; i++) {
        MU_ASSERT(c->configs[i].index > c->configs[i - 1].index);
        MU_ASSERT(c->configs[i].index > c->commit); /* only the first may be committed */
        MU_ASSERT((i == 1 && c->config_gap != 0) || /* I12 */
                  consensus__config_follows(&c->configs[i - 1], &c->configs[i]));
    }
}

static void check_snapshots(const struct consensus *c)
{
    const struct consensus__sending *s = &c->office.sending;
    const struct consensus__install *i = &c->install;

    MU_ASSERT(i->stored <= i->taken && i->taken <= i->snap.bytes);
    MU_ASSERT(!consensus__is_resetting(c) || c->lacks_state || c->role != CONSENSUS_LEADER);
    MU_ASSERT(!consensus__is_resetting(c) || c->lacks_state ||
              (c->log.base_index == i->snap.index && c->commit == i->snap.index &&
               c->log.last_index == i->snap.index));
    MU_ASSERT(!c->lacks_state || c->applied <= c->log.base_index);
    MU_ASSERT(s->stored <= s->sent && s->sent <= s->snap.bytes);
    MU_ASSERT(mu_id_is_none(&s->to) || s->state == CONSENSUS_EXPORT_READY);
    MU_ASSERT(s->state != CONSENSUS_EXPORT_READY || s->config.index <= s->snap.index);
}

void consensus__check(const struct consensus *c)
{
    if (c->death != CONSENSUS_ALIVE) {
        return;
    }
    check_log(c);
    check_indexes(c);
    check_role(c);
    check_configs(c);
    check_snapshots(c);
}
