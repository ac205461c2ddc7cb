/* text.c - what happens in a world, as lines. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "world.h"

enum { LINE_MAX_BYTES = 512 };

const char *sim_name_of(const struct sim_world *w, const struct mu_id *id)
{
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        if (mu_id_eq(&w->nodes[i].id, id)) {
            return w->nodes[i].name;
        }
    }
    return mu_id_is_none(id) ? "-" : "?";
}

void sim_say(struct sim_world *w, const struct sim_node *n, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES + 64];
    va_list args;

    if (w->line == NULL) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)snprintf(line, sizeof line, "[%llu] %s: %s", (unsigned long long)w->now, n->name, text);
    w->line(w->line_data, line);
}

void sim_say_notice(struct sim_world *w, const struct sim_node *n, const struct consensus_notice *x)
{
    char text[LINE_MAX_BYTES];

    if (w->line != NULL && consensus_notice_level(x) >= w->shows_level) {
        sim_say(w, n, "%s", consensus_notice_text(x, sim_name_of(w, &x->peer), text, sizeof text));
    }
}

void sim_say_boot_notice(struct sim_world *w, const struct sim_node *n,
                         const struct consensus_bootstrap_notice *x)
{
    const char *peer = sim_name_of(w, &x->peer);
    const char *why = consensus_bootstrap_why_text(x->why);

    switch (x->kind) {
    case BOOTSTRAP_N_WAITING:
        sim_say(w, n, "%llu of %llu servers in sight: %s", (unsigned long long)x->a,
                (unsigned long long)x->b, why);
        break;
    case BOOTSTRAP_N_PROPOSED:
        sim_say(w, n, "proposes a set of %llu", (unsigned long long)x->a);
        break;
    case BOOTSTRAP_N_PROMISED:
        sim_say(w, n, "promises %s its set of %llu", peer, (unsigned long long)x->a);
        break;
    case BOOTSTRAP_N_REFUSED: sim_say(w, n, "%s refuses: %s", peer, why); break;
    case BOOTSTRAP_N_ABORTED: sim_say(w, n, "gives its set up"); break;
    case BOOTSTRAP_N_RELEASED: sim_say(w, n, "is released by %s", peer); break;
    case BOOTSTRAP_N_UNDECIDED: sim_say(w, n, "has promised, and %s does not decide", peer); break;
    case BOOTSTRAP_N_BROKEN: sim_say(w, n, "breaks its promise to %s", peer); break;
    case BOOTSTRAP_N_ADOPTED:
        sim_say(w, n, "adopts a set of %llu", (unsigned long long)x->a);
        break;
    case BOOTSTRAP_N_JOINED: sim_say(w, n, "joins a cluster as a learner"); break;
    }
}

const char *sim_kind_text(const struct sim_message *m)
{
    static const char *const core[] = {
        [CONSENSUS_PREVOTE_REQ] = "prevote_req", [CONSENSUS_PREVOTE_RES] = "prevote_res",
        [CONSENSUS_VOTE_REQ] = "vote_req",       [CONSENSUS_VOTE_RES] = "vote_res",
        [CONSENSUS_APPEND_REQ] = "append_req",   [CONSENSUS_APPEND_RES] = "append_res",
        [CONSENSUS_HEARTBEAT] = "heartbeat",     [CONSENSUS_HEARTBEAT_RES] = "heartbeat_res",
        [CONSENSUS_SNAP_OFFER] = "snap_offer",   [CONSENSUS_SNAP_CHUNK] = "snap_chunk",
        [CONSENSUS_SNAP_RES] = "snap_res",       [CONSENSUS_TIMEOUT_NOW] = "timeout_now",
        [CONSENSUS_MEMBER_REQ] = "member_req",   [CONSENSUS_MEMBER_RES] = "member_res",
        [CONSENSUS_INVITE] = "invite",
    };
    static const char *const boot[] = {
        [BOOTSTRAP_PING] = "ping",       [BOOTSTRAP_PONG] = "pong",
        [BOOTSTRAP_PROMISE] = "promise", [BOOTSTRAP_PROMISED] = "promised",
        [BOOTSTRAP_REFUSED] = "refused", [BOOTSTRAP_ADOPT] = "adopt",
        [BOOTSTRAP_ABORT] = "abort",     [BOOTSTRAP_ASK] = "ask",
    };

    if (m->is_bootstrap) {
        return boot[m->boot.kind];
    }
    return core[m->msg.kind] != NULL ? core[m->msg.kind] : "?";
}

static void append_text(const struct consensus_msg *m, char *to, size_t bytes)
{
    (void)snprintf(to, bytes, "%s term %llu, prev %llu/%llu, %u entries, commit %llu",
                   m->append.is_push ? "commit push" : "append_req", U(m->term),
                   U(m->append.prev_index), U(m->append.prev_term), m->append.entries_count,
                   U(m->append.commit));
}

static void ack_text(const struct consensus_msg *m, char *to, size_t bytes)
{
    if (m->ack.is_accepted) {
        (void)snprintf(to, bytes, "append_res term %llu, match %llu", U(m->term), U(m->ack.match));
    } else {
        (void)snprintf(to, bytes, "append_res term %llu, rejects prev %llu, hint %llu/%llu",
                       U(m->term), U(m->ack.prev_index), U(m->ack.hint_index), U(m->ack.hint_term));
    }
}

static void snap_text(const struct consensus_msg *m, char *to, size_t bytes)
{
    if (m->kind == CONSENSUS_SNAP_OFFER) {
        (void)snprintf(to, bytes, "snap_offer term %llu, state %llu/%llu, %llu bytes", U(m->term),
                       U(m->snapshot.snap.index), U(m->snapshot.snap.term),
                       U(m->snapshot.snap.bytes));
    } else {
        (void)snprintf(to, bytes, "snap_chunk term %llu, state %llu, %u bytes at %llu", U(m->term),
                       U(m->snapshot.snap.index), m->snapshot.bytes, U(m->snapshot.offset));
    }
}

static void snap_res_text(const struct consensus_msg *m, char *to, size_t bytes)
{
    switch (m->snapshot_res.answer) {
    case CONSENSUS_SNAP_WANT:
        (void)snprintf(to, bytes, "snap_res term %llu, goes on at %llu", U(m->term),
                       U(m->snapshot_res.offset));
        break;
    case CONSENSUS_SNAP_DONE:
        (void)snprintf(to, bytes, "snap_res term %llu, done, match %llu", U(m->term),
                       U(m->snapshot_res.match));
        break;
    case CONSENSUS_SNAP_FAILED:
        (void)snprintf(to, bytes, "snap_res term %llu, failed: %s", U(m->term),
                       consensus_snap_fault_text(m->snapshot_res.fault));
        break;
    case CONSENSUS_SNAP_STALE:
        (void)snprintf(to, bytes, "snap_res term %llu, refuses", U(m->term));
        break;
    }
}

static void core_text(const struct consensus_msg *m, char *to, size_t bytes)
{
    switch (m->kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ:
        (void)snprintf(to, bytes, "%s term %llu, for term %llu, last %llu/%llu%s",
                       m->kind == CONSENSUS_VOTE_REQ ? "vote_req" : "prevote_req", U(m->term),
                       U(m->ask.next_term), U(m->ask.last_index), U(m->ask.last_term),
                       m->ask.transfer_term > 0 ? ", asked to stand" : "");
        break;
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_VOTE_RES:
        (void)snprintf(to, bytes, "%s term %llu, for term %llu: %s",
                       m->kind == CONSENSUS_VOTE_RES ? "vote_res" : "prevote_res", U(m->term),
                       U(m->answer.asked_term), m->answer.is_granted ? "yes" : "no");
        break;
    case CONSENSUS_APPEND_REQ: append_text(m, to, bytes); break;
    case CONSENSUS_APPEND_RES: ack_text(m, to, bytes); break;
    case CONSENSUS_HEARTBEAT:
        (void)snprintf(to, bytes, "heartbeat term %llu, round %llu, commit %llu", U(m->term),
                       U(m->heartbeat.read_seq), U(m->heartbeat.commit));
        break;
    case CONSENSUS_HEARTBEAT_RES:
        (void)snprintf(to, bytes, "heartbeat_res term %llu, round %llu, last %llu%s", U(m->term),
                       U(m->alive.read_seq), U(m->alive.last_index),
                       m->alive.is_promised ? ", promises" : "");
        break;
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_SNAP_CHUNK: snap_text(m, to, bytes); break;
    case CONSENSUS_SNAP_RES: snap_res_text(m, to, bytes); break;
    case CONSENSUS_TIMEOUT_NOW:
        (void)snprintf(to, bytes, "timeout_now term %llu, last %llu", U(m->term),
                       U(m->timeout_now.last_index));
        break;
    case CONSENSUS_MEMBER_REQ: (void)snprintf(to, bytes, "member_req"); break;
    case CONSENSUS_MEMBER_RES:
        (void)snprintf(to, bytes, "member_res: removed by %llu", U(m->removed.config_index));
        break;
    case CONSENSUS_INVITE: (void)snprintf(to, bytes, "invite"); break;
    }
}

void sim_message_text(const struct sim_world *w, const struct sim_message *m, char *to,
                      size_t bytes)
{
    (void)w;
    if (m->is_bootstrap) {
        (void)snprintf(to, bytes, "%s", sim_kind_text(m));
    } else {
        core_text(&m->msg, to, bytes);
    }
}

const char *sim_outcome_text(const struct consensus_result *r)
{
    static char text[128]; /* a view until the next call */

    switch (r->outcome) {
    case CONSENSUS_COMMITTED: return "committed";
    case CONSENSUS_READABLE: return "readable";
    case CONSENSUS_NOT_LEADER: return "not the leader";
    case CONSENSUS_REFUSED:
        (void)snprintf(text, sizeof text, "refused: %s", consensus_refusal_text(r->why));
        return text;
    case CONSENSUS_LOST: return "lost";
    case CONSENSUS_HANDED_OVER: return "handed over";
    }
    return "?";
}
