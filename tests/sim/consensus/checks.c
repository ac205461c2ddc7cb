/* checks.c - what must hold after every step of every server (spec/consensus.md 4.4).
 *
 * The checks know the whole world: all disks, everything that was ever durable, ever voted, ever
 * committed. They do not know how the cores work, only what they said and wrote.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

struct record { /* an entry that was durable somewhere */
    uint64_t index, term, content, prev_term;
    enum consensus_entry_kind kind;
};

struct vote {
    uint64_t term;
    struct mu_id candidate, disk;
};

struct sim_checks {
    /* I1: [term] = place + 1 */
    uint32_t *leaders;
    size_t leaders_room;
    uint64_t leaders_count;
    /* I2: per server, ascending by term */
    struct {
        struct vote *at;
        size_t count, room;
    } votes[SIM_NODES_MAX];
    /* I3: per index, a few each */
    struct {
        struct record *at;
        size_t count, room;
    } * records;
    size_t records_room;
    /* I4, I5: [index] */
    struct sim_entry *committed;
    uint64_t *committed_in; /* the term whose leader did it; an entry may be older */
    size_t committed_room, committed_in_room;
    uint64_t committed_last;

    struct sim_state *states; /* I14: [index] */
    size_t states_room;

    struct consensus_config config; /* the newest committed; index 0: none */
    uint64_t acked_index;           /* highest index a client was told */
    uint64_t acked_count;
    struct mu_id cluster;
};

struct sim_checks *sim_checks_new(void)
{
    return mu_new(sizeof(struct sim_checks));
}

void sim_checks_free(struct sim_checks *k)
{
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        mu_free(k->votes[i].at);
    }
    for (size_t i = 0; i < k->records_room; i++) {
        mu_free(k->records[i].at);
    }
    mu_free(k->leaders);
    mu_free(k->records);
    mu_free(k->committed);
    mu_free(k->states);
    mu_free(k->committed_in);
    mu_free(k);
}

/* Where everybody stood. */
static void states_print(const struct sim_world *w)
{
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        const struct consensus *c = n->core;

        if (!n->is_up || c == NULL || n->dead != NULL) {
            (void)fprintf(stderr, "  %s: %s\n", n->name, n->is_up ? "fresh or dead" : "down");
            continue;
        }
        (void)fprintf(
            stderr,
            "  %s: %s, term %llu, base %llu, tail %llu, last %llu, stable %llu, commit %llu, "
            "applied %llu, writes %u, queue %zu, health %d\n",
            n->name, consensus_role_text((enum consensus_role)c->role), U(c->hard.term),
            U(c->log.base_index), U(c->log.tail_first), U(c->log.last_index), U(c->writes.stable),
            U(c->commit), U(c->applied), c->writes.count, n->queue_count, (int)c->health);
        (void)fprintf(stderr,
                      "    export %u of %llu, install %u of %llu: %llu of %llu, orders %zu\n",
                      c->office.sending.state, U(c->office.sending.snap.index), c->install.state,
                      U(c->install.snap.index), U(c->install.stored), U(c->install.snap.bytes),
                      n->orders_count);
        for (uint32_t j = 0;
             j < consensus_config_now(c)->servers_count && c->role == CONSENSUS_LEADER; j++) {
            const struct consensus__peer *p = &c->peers[j];

            (void)fprintf(stderr,
                          "    %s: state %u, match %llu, next %llu, in flight %u, probing %d, "
                          "blocked %d, fetch %u, quiet %llu ms\n",
                          sim_name_of(w, &p->id), p->state, U(p->match), U(p->next),
                          p->inflight_count, p->is_probing, p->is_blocked, p->fetch_ticket,
                          U(c->now_ms - p->sent_ms));
        }
    }
}

_Noreturn void sim_fail(struct sim_world *w, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fprintf(stderr, "seed %llu, step %llu, time %llu: ", U(w->seed), U(w->steps), U(w->now));
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    states_print(w);
    abort();
}

/* Room for element `i`, new ones zeroed. */
static void *room_for(void *at, size_t *room, size_t i, size_t bytes)
{
    if (i < *room) {
        return at;
    }
    size_t now = i * 2 + 64;

    at = mu_grow(at, now * bytes);
    memset((char *)at + *room * bytes, 0, (now - *room) * bytes);
    *room = now;
    return at;
}

/* -- what was durable ---------------------------------------------------------------------- */

/* I2: at most one vote per server and term, in messages and on disks, across crashes. */
static void check_vote(struct sim_world *w, const struct sim_node *n, uint64_t term,
                       const struct mu_id *candidate)
{
    struct sim_checks *k = w->checks;

    if (mu_id_is_none(candidate)) {
        return;
    }
    for (size_t i = k->votes[n->place].count; i > 0; i--) {
        const struct vote *v = &k->votes[n->place].at[i - 1];

        if (v->term != term || !mu_id_eq(&v->disk, &n->disk.id)) {
            continue; /* a blank disk knows nothing of it, and counts nowhere: check_elected() */
        }
        if (!mu_id_eq(&v->candidate, candidate)) {
            sim_fail(w, "I2: %s votes for %s and %s in term %llu", n->name,
                     sim_name_of(w, &v->candidate), sim_name_of(w, candidate), U(term));
        }
        return;
    }
    k->votes[n->place].at = room_for(k->votes[n->place].at, &k->votes[n->place].room,
                                     k->votes[n->place].count, sizeof(struct vote));
    k->votes[n->place].at[k->votes[n->place].count++] =
        (struct vote){ term, *candidate, n->disk.id };
}

/* I3: equal (index, term) means equal content and an equal entry before it; by induction, equal
 * logs up to there. */
static void check_record(struct sim_world *w, const struct sim_node *n, uint64_t index)
{
    struct sim_checks *k = w->checks;
    const struct sim_entry *e = sim_log_at(&n->disk.log, index);
    uint64_t prev_term = sim_log_term(&n->disk.log, index - 1);

    if (index >= k->records_room) {
        k->records = room_for(k->records, &k->records_room, index, sizeof *k->records);
    }
    for (size_t i = 0; i < k->records[index].count; i++) {
        const struct record *r = &k->records[index].at[i];

        if (r->term != e->term) {
            continue;
        }
        if (r->content != e->content || r->kind != e->kind || r->prev_term != prev_term) {
            sim_fail(w, "I3: entry %llu of term %llu is two things, one of them on %s", U(index),
                     U(e->term), n->name);
        }
        return;
    }
    k->records[index].at = room_for(k->records[index].at, &k->records[index].room,
                                    k->records[index].count, sizeof(struct record));
    k->records[index].at[k->records[index].count++] =
        (struct record){ index, e->term, e->content, prev_term, e->kind };
}

void sim_check_durable(struct sim_world *w, struct sim_node *n, uint64_t first)
{
    struct sim_checks *k = w->checks;

    if (mu_id_is_none(&k->cluster)) {
        k->cluster = n->disk.hard.cluster;
    }
    if (!mu_id_eq(&k->cluster, &n->disk.hard.cluster)) {
        sim_fail(w, "%s belongs to a second cluster", n->name);
    }
    check_vote(w, n, n->disk.hard.term, &n->disk.hard.voted_for);
    for (uint64_t i = first; i <= n->disk.log.last; i++) {
        check_record(w, n, i);
    }
    /* a committed entry is never overwritten, nor cut off */
    for (uint64_t i = first; i <= n->disk.log.last && i <= n->applied; i++) {
        if (sim_log_term(&n->disk.log, i) != k->committed[i].term) {
            sim_fail(w, "%s overwrites entry %llu, which it has applied", n->name, U(i));
        }
    }
}

/* -- commit -------------------------------------------------------------------------------- */

static struct sim_entry entry_in(struct sim_world *w, const struct sim_node *n, uint64_t index)
{
    struct consensus_entry e;
    const struct sim_entry *on_disk = sim_log_at(&n->disk.log, index);

    if (consensus_entry_at(n->core, index, &e)) {
        return (struct sim_entry){
            e.term,
            e.handle != 0 ? n->pool[e.handle - 1].content : 0,
            e.bytes,
            e.kind,
        };
    }
    if (on_disk == NULL) {
        sim_fail(w, "%s commits entry %llu, which it does not have", n->name, U(index));
    }
    return *on_disk;
}

/* It has lost this, and gives no vote to who lacks it: it counts for it all the same (spec 2.16).
 */
static bool had(const struct sim_disk *disk, uint64_t index, uint64_t term)
{
    return disk->floor_index >= index && disk->floor_term >= term;
}

/* I6: whoever calls an entry committed first, it is on the platters of a quorum, or was on those
 * that are gone. */
static void check_quorum_durable(struct sim_world *w, const struct sim_node *n, uint64_t index,
                                 uint64_t term)
{
    const struct consensus_config *config = consensus_config_now(n->core);
    uint32_t bits = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        for (uint32_t j = 0; j < w->nodes_count; j++) {
            const struct sim_node *o = &w->nodes[j];

            const struct sim_disk *disk =
                mu_id_eq(&o->disk.id, &config->servers[i].disk) ? &o->disk : &o->lost;

            if (mu_id_eq(&o->id, &config->servers[i].id) &&
                mu_id_eq(&disk->id, &config->servers[i].disk) &&
                (sim_log_term(&disk->log, index) == term || had(disk, index, term))) {
                bits |= 1U << i;
            }
        }
    }
    if (!consensus__quorum_of(config, bits)) {
        sim_fail(w, "I6: %s commits %llu/%llu, which is not durable on a quorum", n->name, U(index),
                 U(term));
    }
}

static void check_commit(struct sim_world *w, const struct sim_node *n, uint64_t from, uint64_t to)
{
    struct sim_checks *k = w->checks;

    if (from <= n->core->log.base_index) {
        from = n->core->log.base_index + 1; /* with a snapshot: sim_check_reset() */
    }
    for (uint64_t i = from; i <= to; i++) {
        struct sim_entry e = entry_in(w, n, i);

        if (i > k->committed_last) {
            if (i != k->committed_last + 1) {
                sim_fail(w, "%s commits %llu behind %llu", n->name, U(i), U(k->committed_last));
            }
            k->committed = room_for(k->committed, &k->committed_room, i, sizeof *k->committed);
            k->committed_in =
                room_for(k->committed_in, &k->committed_in_room, i, sizeof *k->committed_in);
            k->committed_in[i] = n->core->hard.term;
            check_quorum_durable(w, n, i, e.term);
            if (e.term < k->committed[i - 1].term) {
                sim_fail(w, "term %llu of committed entry %llu is below its forerunner's",
                         U(e.term), U(i));
            }
            k->committed[i] = e;
            k->committed_last = i;
            if (e.kind == CONSENSUS_CONFIG) {
                k->config = w->configs[e.content];
                k->config.index = i;
            }
        } else if (k->committed[i].term != e.term || k->committed[i].content != e.content) {
            sim_fail(w, "I5: %s commits another entry %llu", n->name, U(i));
        }
    }
}

/* I14 */
void sim_check_state(struct sim_world *w, const struct sim_node *n, const struct sim_state *s)
{
    struct sim_checks *k = w->checks;

    k->states = room_for(k->states, &k->states_room, s->index, sizeof *k->states);
    if (k->states[s->index].index == 0) {
        k->states[s->index] = *s;
    }
    if (k->states[s->index].hash != s->hash || k->states[s->index].term != s->term) {
        sim_fail(w, "I14: the state of %s at %llu is another one", n->name, U(s->index));
    }
}

/* Its log begins behind a committed entry, with the configuration of that moment (rows 49, 50). */
void sim_check_reset(struct sim_world *w, const struct sim_node *n)
{
    struct sim_checks *k = w->checks;
    uint64_t i = n->disk.log.base;

    if (i > k->committed_last || k->committed[i].term != n->disk.log.base_term) {
        sim_fail(w, "%s begins anew behind %llu/%llu, which is not committed", n->name, U(i),
                 U(n->disk.log.base_term));
    }
    while (i > 0 && k->committed[i].kind != CONSENSUS_CONFIG) {
        i--;
    }
    if (n->disk.log.config_index != i || n->disk.log.config != k->committed[i].content) {
        sim_fail(w, "%s begins anew with the configuration of %llu, not of %llu", n->name,
                 U(n->disk.log.config_index), U(i));
    }
}

void sim_check_applied(struct sim_world *w, struct sim_node *n, uint64_t index,
                       const struct sim_entry *e)
{
    struct sim_checks *k = w->checks;

    if (index > k->committed_last || k->committed[index].content != e->content ||
        k->committed[index].term != e->term) {
        sim_fail(w, "I5: %s applies another entry %llu", n->name, U(index));
    }
    sim_check_level_applied(w, n, index, e);
}

static bool has_vote_of(const struct sim_world *w, const struct consensus_server *s,
                        const struct mu_id *candidate, uint64_t term)
{
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        for (size_t j = 0; mu_id_eq(&w->nodes[i].id, &s->id) && j < w->checks->votes[i].count;
             j++) {
            const struct vote *v = &w->checks->votes[i].at[j];

            if (v->term == term && mu_id_eq(&v->candidate, candidate) &&
                mu_id_eq(&v->disk, &s->disk)) {
                return true;
            }
        }
    }
    return false;
}

/* I13, I22: durable votes of the very disks that the configuration names, a quorum in each set. */
static void check_elected(struct sim_world *w, const struct sim_node *n, uint64_t term)
{
    const struct consensus_config *config = consensus_config_now(n->core);
    uint32_t bits = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        bits |= has_vote_of(w, &config->servers[i], &n->id, term) ? 1U << i : 0;
    }
    if (!consensus__quorum_of(config, bits)) {
        sim_fail(w, "I13: %s leads term %llu without the votes of a quorum", n->name, U(term));
    }
}

/* I12: one step at a time. The one before the newest is committed, or was when it was made. */
static void check_made(struct sim_world *w, const struct sim_node *n)
{
    const struct consensus *c = n->core;

    if (c->configs_count >= 2 &&
        c->configs[c->configs_count - 2].index > w->checks->committed_last) {
        sim_fail(w, "I12: %s makes configuration %llu behind the uncommitted %llu", n->name,
                 U(c->configs[c->configs_count - 1].index),
                 U(c->configs[c->configs_count - 2].index));
    }
}

/* I4: what is committed is in the log of every leader of a later term, from its election on. A
 * leader of an earlier term that learns of its votes late need not have it. */
static void check_leader(struct sim_world *w, const struct sim_node *n)
{
    struct sim_checks *k = w->checks;
    uint64_t term = n->core->hard.term;

    k->leaders = room_for(k->leaders, &k->leaders_room, term, sizeof *k->leaders);
    if (k->leaders[term] != 0 && k->leaders[term] != n->place + 1) {
        sim_fail(w, "I1: %s and %s both lead term %llu", w->nodes[k->leaders[term] - 1].name,
                 n->name, U(term));
    }
    if (k->leaders[term] != 0) {
        return;
    }
    k->leaders[term] = n->place + 1;
    check_elected(w, n, term);
    k->leaders_count++;
    for (uint64_t i = n->core->log.base_index + 1; i <= k->committed_last; i++) {
        if (k->committed_in[i] < term && consensus_term_at(n->core, i) != k->committed[i].term) {
            sim_fail(w, "I4: %s leads term %llu without the committed entry %llu", n->name, U(term),
                     U(i));
        }
    }
}

/* I18: no leader of an earlier term may still believe that nobody else is elected. */
static void check_leases(struct sim_world *w, const struct sim_node *n)
{
    for (uint32_t i = 0; i < w->nodes_count && !w->has_liars; i++) {
        const struct sim_node *o = &w->nodes[i];

        if (o->is_up && o->core != NULL && o->dead == NULL &&
            o->core->hard.term < n->core->hard.term &&
            consensus__lease_holds(o->core, sim_local(o, w->now))) {
            sim_fail(w,
                     "I18: %s commits in term %llu, %s has a lease of term %llu for %llu ms more",
                     n->name, U(n->core->hard.term), o->name, U(o->core->hard.term),
                     U(o->core->office.lease.until_ms - sim_local(o, w->now)));
        }
    }
}

/* I8: what a leader believes of a peer's disk is true, until that serves a later leader. */
static void check_matches(struct sim_world *w, const struct sim_node *n)
{
    for (uint32_t i = 0; i < consensus_config_now(n->core)->servers_count; i++) {
        const struct consensus__peer *p = &n->core->peers[i];

        for (uint32_t j = 0; j < w->nodes_count && i != n->core->self; j++) {
            const struct sim_node *o = &w->nodes[j];
            bool is_it = mu_id_eq(&o->id, &p->id) && mu_id_eq(&o->disk.id, &p->disk);

            if (is_it && o->disk.floor_index == 0 && /* or it has not been told */
                o->disk.hard.term <= n->core->hard.term && p->match > o->disk.log.base &&
                p->match >= n->core->log.base_index &&
                sim_log_term(&o->disk.log, p->match) != consensus_term_at(n->core, p->match)) {
                sim_fail(w, "I8: %s believes that %s has entry %llu", n->name, o->name,
                         U(p->match));
            }
        }
    }
}

/* -- messages ------------------------------------------------------------------------------ */

static void check_send(struct sim_world *w, const struct sim_node *n, const struct consensus_msg *m)
{
    const struct consensus_hard *disk = &n->disk.hard;

    if (m->kind == CONSENSUS_VOTE_REQ) { /* O1 */
        if (disk->term != m->term || !mu_id_eq(&disk->voted_for, &n->id)) {
            sim_fail(w, "O1: %s asks for votes in term %llu before its own is durable", n->name,
                     U(m->term));
        }
        check_vote(w, n, m->term, &n->id);
    }
    if (m->kind == CONSENSUS_VOTE_RES && m->answer.is_granted) { /* O2 */
        if (disk->term != m->term || !mu_id_eq(&disk->voted_for, &m->to)) {
            sim_fail(w, "O2: the vote of %s for %s in term %llu is not durable", n->name,
                     sim_name_of(w, &m->to), U(m->term));
        }
        check_vote(w, n, m->term, &m->to);
    }
    if (m->kind == CONSENSUS_APPEND_RES && m->ack.is_accepted) { /* I7, O3 */
        uint64_t term = consensus_term_at(n->core, m->ack.match);

        if (disk->term < m->term ||
            (m->ack.match > n->disk.log.base && sim_log_term(&n->disk.log, m->ack.match) != term)) {
            sim_fail(w, "I7: %s acknowledges entry %llu, which is not durable", n->name,
                     U(m->ack.match));
        }
    }
    if (m->kind == CONSENSUS_SNAP_RES && m->snapshot_res.answer == CONSENSUS_SNAP_DONE &&
        (disk->term < m->term || m->snapshot_res.match > n->disk.log.last)) { /* an ack, O3 */
        sim_fail(w, "I7: %s says done up to %llu, which is not durable in term %llu", n->name,
                 U(m->snapshot_res.match), U(m->term));
    }
}

/* -- a step -------------------------------------------------------------------------------- */

/* A vote in memory may be lost with it, but not be changed within its term. */
static void check_vote_kept(struct sim_world *w, struct sim_node *n)
{
    const struct consensus_hard *now = &n->core->hard;

    if (n->was_seen && n->seen_hard.term == now->term && !mu_id_is_none(&n->seen_hard.voted_for) &&
        !mu_id_eq(&n->seen_hard.voted_for, &now->voted_for)) {
        sim_fail(w, "I2: %s changes its vote of term %llu", n->name, U(now->term));
    }
    n->seen_hard = *now;
}

/* I10: nothing goes back while it runs. */
static void check_monotone(struct sim_world *w, const struct sim_node *n,
                           const struct consensus_status *now)
{
    const struct consensus_status *was = &n->seen;

    if (now->term < was->term || now->commit < was->commit || now->applied < was->applied) {
        sim_fail(w, "I10: %s goes back: term %llu after %llu, commit %llu after %llu", n->name,
                 U(now->term), U(was->term), U(now->commit), U(was->commit));
    }
}

void sim_check_step(struct sim_world *w, struct sim_node *n, const struct consensus_effects *fx)
{
    struct consensus_status now;

    if (fx->dead != NULL || n->dead != NULL) { /* I19 */
        if (fx->sends_count + fx->writes_count + fx->results_count + fx->fetches_count > 0) {
            sim_fail(w, "I19: %s acts after its death", n->name);
        }
        if (n->dead == NULL && n->core->death == CONSENSUS_DEATH_LEVEL) {
            sim_check_outdated(w, n);
        }
        if (n->core->death == CONSENSUS_DEATH_DIVERGED && !n->disk.is_spoiled) {
            sim_fail(w, "I14: %s gives up a good state", n->name);
        }
        return;
    }
    if (n->was_seen && n->seen.is_stopped && fx->sends_count > 0) {
        sim_fail(w, "I19: %s sends after it was stopped", n->name);
    }
    consensus_status(n->core, &now);
    if (n->was_seen) {
        check_monotone(w, n, &now);
        check_commit(w, n, n->seen.commit + 1, now.commit);
    }
    check_vote_kept(w, n);
    if (fx->made != NULL) {
        check_made(w, n);
        sim_level_said(n, fx->made->level); /* what it raises the level to it understands itself */
    }
    if (now.role == CONSENSUS_LEADER) {
        check_leader(w, n);
        check_matches(w, n);
        if (n->was_seen && now.commit > n->seen.commit) {
            check_leases(w, n);
        }
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        check_send(w, n, &fx->sends[i]);
        if (fx->sends[i].kind == CONSENSUS_HEARTBEAT_RES) {
            sim_level_said(n, fx->sends[i].alive.level);
        }
    }
    if (fx->commit_to > now.commit || fx->commit_to > now.stable) { /* O7, I11 */
        sim_fail(w, "O7: %s hands out entry %llu, commit %llu, durable %llu", n->name,
                 U(fx->commit_to), U(now.commit), U(now.stable));
    }
    if (now.last_index + 1 - n->core->log.tail_first < 64 || w->steps % 32 == 0) {
        consensus__check(n->core);
    }
    n->seen = now;
    n->was_seen = true;
}

/* I20: whatever was given and not given back is in the tail. */
void sim_check_pool(struct sim_world *w, struct sim_node *n)
{
    size_t held = 0;
    struct consensus_entry e;

    if (n->dead != NULL || w->steps % 16 != 0) {
        return;
    }
    for (uint64_t i = n->core->log.tail_first; i <= n->core->log.last_index; i++) {
        MU_ASSERT(consensus_entry_at(n->core, i, &e));
        held += e.handle != 0;
    }
    if (held != n->pool_used) {
        sim_fail(w, "I20: %s holds %zu entries, %zu are out", n->name, held, n->pool_used);
    }
}

/* A restart forgets neither term nor vote, and begins with what its state file holds. */
void sim_check_started(struct sim_world *w, struct sim_node *n)
{
    const struct consensus *c = n->core;

    if (c->hard.term < n->disk.hard.term || c->commit != sim_first_applied(n) ||
        c->log.last_index != n->disk.log.last ||
        (c->hard.term == n->disk.hard.term &&
         !mu_id_eq(&c->hard.voted_for, &n->disk.hard.voted_for))) {
        sim_fail(w, "I10: %s starts with something else than its disk holds", n->name);
    }
    consensus_status(c, &n->seen);
    n->seen_hard = c->hard;
    n->was_seen = true;
}

/* -- clients ------------------------------------------------------------------------------- */

uint64_t sim_check_read_floor(const struct sim_world *w)
{
    return w->checks->acked_index;
}

static void check_committed(struct sim_world *w, struct sim_node *n, const struct sim_ticket *t,
                            uint64_t index)
{
    struct sim_checks *k = w->checks;

    if (index > k->committed_last ||
        (t->kind == SIM_CHANGE ? k->committed[index].kind != CONSENSUS_CONFIG
                               : k->committed[index].content != t->content)) {
        sim_fail(w, "I16: %s acknowledges %llu at %llu, where something else is committed", n->name,
                 U(t->content), U(index));
    }
    k->acked_index = index > k->acked_index ? index : k->acked_index;
    k->acked_count++;
}

void sim_check_result(struct sim_world *w, struct sim_node *n, const struct consensus_result *r)
{
    MU_ASSERT(r->ticket >= 1 && r->ticket <= w->tickets_count);
    struct sim_ticket *t = &w->tickets[r->ticket - 1];

    if (!t->is_open || t->node != n->place || t->life != n->life) {
        sim_fail(w, "I20: %s answers ticket %llu twice", n->name, U(r->ticket));
    }
    t->is_open = false;
    switch (r->outcome) {
    case CONSENSUS_COMMITTED:
        if (t->kind != SIM_PROPOSAL && t->kind != SIM_CHANGE) {
            sim_fail(w, "%s commits a read", n->name);
        }
        check_committed(w, n, t, r->index);
        break;
    case CONSENSUS_READABLE: /* linearizable by index: not older than what anybody was told before
                              */
        if (t->kind != SIM_READ || (r->index < t->floor && !w->has_liars) ||
            r->index > w->checks->committed_last) {
            sim_fail(w, "I15: %s answers a read from index %llu, %llu was acknowledged before it",
                     n->name, U(r->index), U(t->floor));
        }
        break;
    case CONSENSUS_REFUSED:
        if (r->why == CONSENSUS_NOT_REFUSED) {
            sim_fail(w, "%s refuses without a reason", n->name);
        }
        if (r->why == CONSENSUS_LEVEL_LOW) {
            sim_check_level_refused(w, n, t);
        }
        break;
    case CONSENSUS_LOST:
        if (t->kind != SIM_PROPOSAL && t->kind != SIM_CHANGE) {
            sim_fail(w, "%s loses a read", n->name);
        }
        break;
    case CONSENSUS_HANDED_OVER:
        if (t->kind != SIM_TRANSFER || n->core->role == CONSENSUS_LEADER) {
            sim_fail(w, "%s has not handed over", n->name);
        }
        break;
    case CONSENSUS_NOT_LEADER: break;
    }
}

void sim_check_kept(struct sim_world *w, struct sim_node *n)
{
    struct sim_checks *k = w->checks;

    for (uint64_t i = n->disk.log.base + 1; i <= k->committed_last; i++) {
        const struct sim_entry *e = sim_log_at(&n->disk.log, i);

        if (e == NULL || e->content != k->committed[i].content || e->term != k->committed[i].term) {
            sim_fail(w, "I16: %s has lost the committed entry %llu", n->name, U(i));
        }
    }
    if (n->applied != k->committed_last) {
        sim_fail(w, "%s has applied %llu of %llu", n->name, U(n->applied), U(k->committed_last));
    }
    for (size_t i = 0; i < w->tickets_count; i++) {
        if (w->tickets[i].is_open && w->tickets[i].node == n->place) {
            sim_fail(w, "I20: %s never answers ticket %zu", n->name, i + 1);
        }
    }
}

uint64_t sim_check_committed(const struct sim_world *w)
{
    return w->checks->committed_last;
}

const struct consensus_config *sim_check_config(const struct sim_world *w)
{
    return w->checks->config.index > 0 ? &w->checks->config : NULL;
}

uint64_t sim_check_acknowledged(const struct sim_world *w)
{
    return w->checks->acked_count;
}

uint64_t sim_check_leaders(const struct sim_world *w)
{
    return w->checks->leaders_count;
}
