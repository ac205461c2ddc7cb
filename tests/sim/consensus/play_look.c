/* play_look.c - commands of transcripts that look. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "play.h"

/* -- commands: looking --------------------------------------------------------------------- */

bool play_show(struct play *p, const struct script_command *c)
{
    const char *what = c->words_count > 1 ? c->words[1] : "";

    p->w->shows_messages = strcmp(what, "messages") == 0;
    p->w->line = strcmp(what, "nothing") == 0 ? NULL : play_line;
    p->w->shows_level = strcmp(what, "traces") == 0 ? MU_TRACE : MU_DEBUG;
    return strcmp(what, "decisions") == 0 || p->w->shows_messages || p->w->line == NULL ||
           p->w->shows_level == MU_TRACE;
}

static void status_of(struct play *p, const struct sim_node *n)
{
    struct consensus_status s;

    if (!n->is_up || n->dead != NULL) {
        mu_buf_addf(p->out, "%s: %s\n", n->name, n->dead != NULL ? n->dead : "down");
        return;
    }
    if (n->core == NULL) {
        mu_buf_addf(p->out, "%s: fresh\n", n->name);
        return;
    }
    consensus_status(n->core, &s);
    mu_buf_addf(p->out,
                "%s: %s, term %llu, last %llu/%llu, durable %llu, commit %llu, applied %llu\n",
                n->name, consensus_role_text(s.role), U(s.term), U(s.last_index), U(s.last_term),
                U(s.stable), U(s.commit), U(s.applied));
}

bool play_status(struct play *p, const struct script_command *c)
{
    if (c->words_count > 1) {
        if (play_node(p, c, 1) == NULL) {
            return false;
        }
        status_of(p, play_node(p, c, 1));
        return true;
    }
    for (uint32_t i = 0; i < p->w->nodes_count; i++) {
        status_of(p, &p->w->nodes[i]);
    }
    return true;
}

/* What a stale read says as last contact. */
bool play_heard(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);
    struct consensus_status s;

    if (n == NULL || n->core == NULL) {
        return false;
    }
    consensus_status(n->core, &s);
    if (s.leader_heard_ms == 0) {
        mu_buf_addf(p->out, "%s: never heard a leader\n", n->name);
    } else {
        mu_buf_addf(p->out, "%s: heard a leader %llu ms ago\n", n->name,
                    U(p->w->now - s.leader_heard_ms));
    }
    return true;
}

/* What is in memory, or else on the disk. */
bool play_log(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);
    struct consensus_entry e;

    if (n == NULL) {
        return false;
    }
    uint64_t last = n->core != NULL ? n->core->log.last_index : n->disk.log.last;

    mu_buf_addf(p->out, "%s:", n->name);
    for (uint64_t i = n->disk.log.base + 1; i <= last; i++) {
        const struct sim_entry *d = sim_log_at(&n->disk.log, i);
        struct sim_entry at = d != NULL ? *d : (struct sim_entry){ 0 };

        if (n->core != NULL && consensus_entry_at(n->core, i, &e)) {
            at = (struct sim_entry){ e.term, e.handle != 0 ? n->pool[e.handle - 1].content : 0,
                                     e.bytes, e.kind };
        }
        mu_buf_addf(p->out, " %llu/%llu:%s", U(i), U(at.term),
                    at.kind == CONSENSUS_CONFIG ? "config" : play_label(p, at.content));
    }
    mu_buf_add_text(p->out, "\n");
    return true;
}

bool play_peers(struct play *p, const struct script_command *c)
{
    static const char *const states[] = { "probe", "replicate", "snapshot" };
    struct sim_node *n = play_node(p, c, 1);
    struct consensus_status s;

    if (n == NULL || n->core == NULL) {
        return false;
    }
    consensus_status(n->core, &s);
    for (size_t i = 0; i < s.peers_count; i++) {
        mu_buf_addf(p->out, "%s: %s match %llu, next %llu, %u in flight",
                    sim_name_of(p->w, &s.peers[i].id), states[s.peers[i].state],
                    U(s.peers[i].match), U(s.peers[i].next), s.peers[i].inflight);
        if (s.level_max > CONSENSUS_LEVEL_FIRST) {
            mu_buf_addf(p->out, ", level %u", s.peers[i].level);
        }
        mu_buf_add_text(p->out, "\n");
    }
    return true;
}

/* "a: 5: a voter, b voter leaving, d learner, removed 1" */
bool play_config(struct play *p, const struct script_command *c)
{
    struct sim_node *n = play_node(p, c, 1);

    if (n == NULL || n->core == NULL) {
        return false;
    }
    const struct consensus_config *now = consensus_config_now(n->core);

    mu_buf_addf(p->out, "%s: %llu%s:", n->name, U(now->index),
                now->index > n->core->commit ? ", not committed" : "");
    for (uint32_t i = 0; i < now->servers_count; i++) {
        const struct consensus_server *s = &now->servers[i];
        const char *role = s->is_voter ? now->is_joint && !s->is_voter_old ? " enters" : " votes"
                           : s->is_voter_old ? " leaves"
                                             : " learns";

        mu_buf_addf(p->out, "%s %s%s", i > 0 ? "," : "", sim_name_of(p->w, &s->id), role);
        if (s->priority > 0) {
            mu_buf_addf(p->out, " priority %u", s->priority);
        }
        if (s->address[0] != '\0') {
            mu_buf_addf(p->out, " at %s", s->address);
        }
    }
    if (now->removed_count > 0) {
        mu_buf_addf(p->out, "; %u removed", now->removed_count);
    }
    if (now->level > CONSENSUS_LEVEL_FIRST) {
        mu_buf_addf(p->out, "; level %u", now->level);
    }
    mu_buf_add_text(p->out, "\n");
    return true;
}

bool play_set(struct play *p, const struct script_command *c)
{
    struct consensus_options *o = &p->w->options;

    p->disk_ms = script_number(c, "disk_ms", p->disk_ms);
    o->append_entries_max = (uint32_t)script_number(c, "append_entries", o->append_entries_max);
    o->inflight_max = (uint32_t)script_number(c, "inflight", o->inflight_max);
    o->inflight_bytes_max = (uint32_t)script_number(c, "inflight_bytes", o->inflight_bytes_max);
    o->proposals_max = (uint32_t)script_number(c, "proposals", o->proposals_max);
    o->uncommitted_bytes_max =
        (uint32_t)script_number(c, "uncommitted_bytes", o->uncommitted_bytes_max);
    o->unsynced_bytes_max = (uint32_t)script_number(c, "unsynced_bytes", o->unsynced_bytes_max);
    o->apply_lag_max = (uint32_t)script_number(c, "apply_lag", o->apply_lag_max);
    o->reads_max = (uint32_t)script_number(c, "reads", o->reads_max);
    o->cache_bytes = (uint32_t)script_number(c, "cache_bytes", o->cache_bytes);
    o->tail_entries = (uint32_t)script_number(c, "tail", o->tail_entries);
    o->runs_max = (uint32_t)script_number(c, "runs", o->runs_max);
    o->trailing_entries = (uint32_t)script_number(c, "trailing", o->trailing_entries);
    o->trailing_bytes = (uint32_t)script_number(c, "trailing_bytes", o->trailing_bytes);
    o->laggard_bytes = (uint32_t)script_number(c, "laggard_bytes", o->laggard_bytes);
    o->chunk_bytes = (uint32_t)script_number(c, "chunk", o->chunk_bytes);
    o->laggard_ms = (uint32_t)script_number(c, "laggard_ms", o->laggard_ms);
    p->w->awaits = script_number(c, "awaits", p->w->awaits) == 1;
    o->push_hold_ms = (uint32_t)script_number(c, "hold", o->push_hold_ms);
    o->has_leases = script_number(c, "leases", o->has_leases) == 1;
    p->w->boots_quietly = script_number(c, "quiet", p->w->boots_quietly) == 1;
    return true;
}
