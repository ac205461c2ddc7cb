/* platter.c - what the platters hold, whatever the processes say (I6, I7 of spec/consensus.md 4.4).
 *
 * A platter is looked at as a power cut at this moment would leave it when nothing that was not
 * flushed had been lucky: its names, its log segments, both copies of meta, the pages of SQLite
 * with what their WAL adds. Whoever asked for votes, gave one, acknowledged entries, or committed
 * by a quorum's disks must be found to have written that down; and what the log no longer has, the
 * state beside it does. Votes are all looked at, other messages and commits now and then, crashes
 * always.
 */
#include <string.h>

#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "disk_log.h"
#include "journal.h"
#include "meta.h"
#include "sim_posix.h"
#include "sim_vfs.h"
#include "transport_wire.h"
#include "world.h"

#define ACKS_EACH    256 /* every so manieth is looked at */
#define COMMITS_EACH 256
#define SPARE_PLACE  SERVERS_MAX /* of the copy, among the disks that SQLite may be given */

static const struct catalog_applied no_state = { .index = 0 };

struct platter {
    struct disk *disk;
    struct consensus_disk view;
    struct consensus_journal journal;
    struct consensus_journal_found found;
    bool has_log;
};

/* False: it cannot be read, and nobody may wonder (damage, or no log yet). state: what the log is
 * read beside. */
static bool platter_open(struct platter *p, const struct server *s, enum disk_dir without,
                         const struct catalog_applied *state)
{
    struct consensus_meta meta;
    struct mu_err err = MU_ERR_NONE;

    *p = (struct platter){ .disk = disk_platter(s->disk, without) };
    disk_log_view(p->disk, false, &p->view);
    enum mu_code rc = consensus__meta_load(&p->view, &s->id, &meta, &err);

    if (rc == MU_OK) {
        struct consensus_journal_options options = {
            .server = meta.server,
            .disk = meta.disk,
            .segment_bytes = CONSENSUS_SEGMENT_BYTES_MIN,
            .durable_seq = meta.durable_seq,
            .applied_index = state->index,
            .applied_term = state->term,
            .is_read_only = true,
        };
        rc = consensus__journal_open(&p->journal, &p->view, &options, &p->found, &err);
        p->has_log = rc == MU_OK;
    }
    if (rc != MU_OK) {
        world_say(s->world, "%s: its platter does not open: %s", s->name, err.text);
    }
    if (rc != MU_OK && rc != MU_NOT_FOUND && !server_is_hurt(s)) {
        world_fail(s->world, "%s: its platter cannot be read: %s", s->name, err.text);
    }
    return p->has_log;
}

static void platter_close(struct platter *p)
{
    if (p->has_log) {
        mu_free(p->found.runs);
        consensus__journal_close(&p->journal);
    }
    disk_free(p->disk);
}

/* Of what term is this entry? 0: it is not there. */
static uint64_t term_on(const struct platter *p, uint64_t index)
{
    uint64_t term = 0;

    if (index <= p->journal.base.index || index > p->journal.tail.index) {
        return index == p->journal.base.index ? p->journal.base.term : 0;
    }
    for (size_t i = 0; i < p->found.runs_count && p->found.runs[i].first_index <= index; i++) {
        term = p->found.runs[i].term;
    }
    return term;
}

/* -- what is said -------------------------------------------------------------------------------
 */

static void vote_look(struct server *s, uint64_t term, const struct mu_id *to)
{
    struct platter p;
    bool has_log = platter_open(&p, s, DISK_STATE, &no_state);
    const struct consensus_hard *hard = &p.journal.hard;

    if (!has_log || hard->term < term || (hard->term == term && !mu_id_eq(&hard->voted_for, to))) {
        world_fail(s->world,
                   "I2: %s speaks of its vote of term %llu, and its platter knows of term %llu",
                   s->name, U(term), U(has_log ? hard->term : 0));
    }
    s->voted_term = term > s->voted_term ? term : s->voted_term;
    platter_close(&p);
}

static void ack_look(struct server *s, const struct consensus_msg *m)
{
    struct platter p;
    bool has_log = platter_open(&p, s, DISK_STATE, &no_state);
    uint64_t last = has_log ? p.journal.tail.index : 0;

    if (m->ack.match > last ||
        (m->ack.match > p.journal.base.index &&
         term_on(&p, m->ack.match) != consensus_term_at(s->node.core, m->ack.match))) {
        world_fail(s->world, "I7: %s acknowledges entry %llu, and its platter ends at %llu",
                   s->name, U(m->ack.match), U(last));
    }
    platter_close(&p);
}

void platter_said(struct server *s, struct mu_span bytes)
{
    struct consensus_frame frame;
    struct mu_arena arena;
    struct mu_err err = MU_ERR_NONE;
    const struct consensus_msg *m = &frame.msg;

    if (server_is_hurt(s)) {
        return;
    }
    mu_arena_init(&arena, CONSENSUS_WIRE_ARENA_MAX);
    if (consensus__wire_decode(bytes, &arena, &frame, &err) != MU_OK) {
        world_fail(s->world, "%s: sends what cannot be read: %s", s->name, err.text);
    }
    if (frame.is_bootstrap) {
        /* bootstrap.c has its own promises, checked in sim_consensus */
    } else if (m->kind == CONSENSUS_VOTE_REQ) {
        vote_look(s, m->term, &s->id);
    } else if (m->kind == CONSENSUS_VOTE_RES && m->answer.is_granted) {
        vote_look(s, m->term, &m->to);
    } else if (m->kind == CONSENSUS_APPEND_RES && m->ack.is_accepted &&
               ++s->acks_count % ACKS_EACH == 0) {
        ack_look(s, m);
    }
    mu_arena_deinit(&arena);
}

/* -- what is committed --------------------------------------------------------------------------
 */

/* It lies in its log there, or in a state that the log has gone on from. */
static bool holds(const struct server *s, uint64_t index, uint64_t term)
{
    struct platter p;
    bool does = platter_open(&p, s, DISK_STATE, &no_state) &&
                (index < p.journal.base.index || term_on(&p, index) == term);

    platter_close(&p);
    return does;
}

/* I6: of each set that has to agree, more than half have it on their platters. */
void platter_committed(struct server *leader, uint64_t index)
{
    struct world *w = leader->world;
    const struct consensus_config *config = consensus_config_now(leader->node.core);
    uint64_t term = consensus_term_at(leader->node.core, index);
    size_t voters[2] = { 0 }, have[2] = { 0 };

    bool is_same = leader->config_seen == config->index;

    leader->config_seen = config->index;
    if (!is_same || server_is_hurt(leader) || ++leader->commits_count % COMMITS_EACH != 0) {
        return; /* a change came in the same turn: which was in force is not known here */
    }
    for (uint32_t i = 0; i < config->servers_count; i++) {
        const struct consensus_server *of = &config->servers[i];
        const struct server *s = server_of(w, &of->id);
        bool has = s != NULL && (server_is_hurt(s) || holds(s, index, term));

        voters[0] += of->is_voter;
        voters[1] += config->is_joint && of->is_voter_old;
        have[0] += of->is_voter && has;
        have[1] += config->is_joint && of->is_voter_old && has;
    }
    for (size_t i = 0; i < MU_LEN(voters); i++) {
        if (voters[i] > 0 && have[i] * 2 <= voters[i]) {
            world_fail(w, "I6: %s commits entry %llu, which lies on %zu platters of %zu",
                       leader->name, U(index), have[i], voters[i]);
        }
    }
    w->sums.platters++;
}

/* -- what is left -------------------------------------------------------------------------------
 */

/* What is told to be durable of the state is; and it reaches as far as the log begins. */
static void state_look(struct server *s, struct platter *p)
{
    struct world *w = s->world;
    struct catalog_applied applied = { .index = 0 };
    struct mu_err err = MU_ERR_NONE;
    uint64_t generation = 0;
    char dir[SERVER_DIR_BYTES] = { '/', '0' + SPARE_PLACE };

    sim_vfs_add(SPARE_PLACE, p->disk);
    sim_posix_add(SPARE_PLACE, p->disk);
    enum mu_code rc = snapshot_generation(dir, &generation, &err);

    rc = rc == MU_OK ? snapshot_state_applied(dir, generation, &applied, &err) : rc;
    if (rc == MU_OK && applied.index < p->journal.base.index) { /* an install may be under way */
        struct catalog_applied next = { .index = 0 };

        rc = snapshot_state_applied(dir, generation + 1, &next, &err);
        applied = next.index == p->journal.base.index ? next : applied;
    }
    sim_vfs_remove(SPARE_PLACE);
    sim_posix_add(SPARE_PLACE, NULL);
    if (rc != MU_OK) {
        world_fail(w, "%s: the state on its platter cannot be read: %s", s->name, err.text);
    }
    if (applied.index < s->durable_told || applied.index < p->journal.base.index) {
        world_fail(
            w,
            "%s: the state on its platter is at %llu; it was durable up to %llu, and the log "
            "begins behind %llu",
            s->name, U(applied.index), U(s->durable_told), U(p->journal.base.index));
    }
    fact_state(s, &applied);
}

/* Dead segments are not read again: what lies in them counts for nothing. */
static bool has_dead(const struct consensus_journal *j)
{
    for (size_t i = 0; i < j->segments_count; i++) {
        if (j->segments[i].is_dead) {
            return true;
        }
    }
    return false;
}

void platter_whole(struct server *s, const struct catalog_applied *state)
{
    struct platter p;

    if (!platter_open(&p, s, DISK_STATE, state)) {
        world_fail(s->world, "%s: its log was read again, and does not open", s->name);
    }
    if (p.found.damage[0] != '\0' && !has_dead(&p.journal)) {
        world_fail(s->world, "%s: its log was read again, and is damaged: %s", s->name,
                   p.found.damage);
    }
    platter_close(&p);
}

void platter_left(struct server *s)
{
    struct world *w = s->world;
    struct platter p;

    if (s->is_torn || s->is_remade) {
        return;
    }
    if (!platter_open(&p, s, DISK_DIRS, &no_state)) {
        platter_close(&p);
        return;
    }
    if (p.journal.hard.term < s->voted_term) {
        world_fail(w, "I2: %s has voted in term %llu, and its platter knows of term %llu", s->name,
                   U(s->voted_term), U(p.journal.hard.term));
    }
    if (server_is_hurt(s)) { /* entries may be gone, but no vote */
        platter_close(&p);
        return;
    }
    if (p.journal.tail.index < s->match_told && p.journal.floor.index == 0) {
        world_fail(w, "I6: %s has acknowledged entry %llu, committed, and its platter ends at %llu",
                   s->name, U(s->match_told), U(p.journal.tail.index));
    }
    for (uint64_t i = p.journal.base.index + 1; i <= s->match_told; i++) {
        if (i <= w->facts_count && term_on(&p, i) != w->facts[i - 1].term) {
            world_fail(w,
                       "I6: on the platter of %s entry %llu is of term %llu, committed was one of "
                       "term %llu",
                       s->name, U(i), U(term_on(&p, i)), U(w->facts[i - 1].term));
        }
    }
    state_look(s, &p);
    w->sums.platters++;
    platter_close(&p);
}
