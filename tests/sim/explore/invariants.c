/* invariants.c - what must hold in every state that can be reached (spec/consensus.md 4.4).
 *
 * Its own arithmetic, on what can be seen of the servers from outside. */
#include <stddef.h>

#include "base/assert.h"
#include "state.h"

static uint32_t bits_count(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits);
}

/* Its own arithmetic: a majority of each set. */
static bool is_quorum(const struct x_face *f, uint32_t bits)
{
    return bits_count(bits & f->voters) * 2 > bits_count(f->voters) &&
           (!f->is_joint || bits_count(bits & f->voters_old) * 2 > bits_count(f->voters_old));
}

static bool entry_eq(const struct x_entry *a, const struct x_entry *b)
{
    return a->term == b->term && a->content == b->content && a->kind == b->kind;
}

/* I5, I6: one history; and whoever calls an entry committed first, a quorum has it on its disks. */
static const char *commit_check(struct state *s, uint32_t nodes, const struct x_face *f)
{
    for (uint8_t i = 1; i <= f->commit; i++) {
        uint32_t bits = 0;

        if (i <= s->committed_last) {
            if (!entry_eq(&f->log[i], &s->committed[i])) {
                return "I5: two entries are committed at one index";
            }
            continue;
        }
        for (uint32_t j = 0; j < nodes; j++) {
            const struct x_face *o = x_face_of(s->node[j]);

            bits |= (uint32_t)(i <= o->disk_last && entry_eq(&o->disk[i], &f->log[i])) << j;
        }
        if (!is_quorum(f, bits)) {
            return "I6: committed and not durable on a quorum";
        }
        s->committed[i] = f->log[i];
        s->committed_in[i] = f->term;
        s->committed_last = i;
    }
    return NULL;
}

/* I13: votes of voters of its configuration, a quorum in each set. */
static bool is_elected(const struct state *s, uint32_t nodes, const struct x_face *f,
                       uint32_t place)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < nodes; i++) {
        bits |= (uint32_t)(x_face_of(s->node[i])->votes[f->term] == place + 1) << i;
    }
    return is_quorum(f, bits);
}

/* I1, I4, I8, I13. */
static const char *leader_check(struct state *s, uint32_t nodes, const struct x_face *f,
                                uint32_t place)
{
    if (f->role != CONSENSUS_LEADER) {
        return NULL;
    }
    MU_ASSERT(f->term < X_TERMS_MAX);
    if (s->leader_of[f->term] != 0 && s->leader_of[f->term] != place + 1) {
        return "I1: two leaders of one term";
    }
    bool is_new = s->leader_of[f->term] == 0;

    if (is_new && !is_elected(s, nodes, f, place)) {
        return "I13: a leader without the votes of a quorum";
    }
    s->leader_of[f->term] = (uint8_t)(place + 1);
    for (uint8_t i = 1; is_new && i <= s->committed_last; i++) {
        if (s->committed_in[i] < f->term && !entry_eq(&s->committed[i], &f->log[i])) {
            return "I4: a leader without a committed entry";
        }
    }
    for (uint32_t j = 0; j < nodes; j++) {
        const struct x_face *o = x_face_of(s->node[j]);

        if (j == place || o->disk_term > f->term) {
            continue;
        }
        for (uint8_t i = 1; i <= f->match[j]; i++) {
            if (i > o->disk_last || !entry_eq(&o->disk[i], &f->log[i])) {
                return "I8: a leader believes in an entry that its peer does not have";
            }
        }
    }
    return NULL;
}

/* I3: equal (index, term), equal logs up to there; of what is on the disks now. */
static const char *match_check(const struct state *s, uint32_t nodes, const struct x_face *f,
                               uint32_t place)
{
    for (uint32_t j = 0; j < nodes; j++) {
        const struct x_face *o = x_face_of(s->node[j]);
        uint8_t last = f->last < o->last ? f->last : o->last;
        bool must = false;

        for (uint8_t i = last; i >= 1 && j != place; i--) {
            must = must || f->log[i].term == o->log[i].term;
            if (must && !entry_eq(&f->log[i], &o->log[i])) {
                return "I3: logs agree in one place and not before it";
            }
        }
    }
    return NULL;
}

static const char *answers_check(struct state *s, const struct x_result *r)
{
    for (uint32_t i = 0; i < r->answers_count; i++) {
        const struct x_answer *a = x_answer_at(r->answers_first + i);

        if (a->outcome == CONSENSUS_COMMITTED) {
            if (a->index > s->committed_last || s->committed[a->index].content != a->ticket) {
                return "I16: acknowledged, and something else is committed there";
            }
            s->acknowledged = a->index > s->acknowledged ? a->index : s->acknowledged;
        }
        if (a->outcome == CONSENSUS_READABLE && a->index < s->floor[a->ticket - 1]) {
            return "I15: a read from before what was acknowledged when it began";
        }
    }
    return NULL;
}

const char *x_invariants(struct state *s, uint32_t nodes, uint32_t place, const struct x_result *r)
{
    const struct x_face *f = x_face_of(r->node);
    const char *broken = r->fault;

    broken = broken != NULL ? broken : leader_check(s, nodes, f, place);
    broken = broken != NULL ? broken : commit_check(s, nodes, f);
    broken = broken != NULL ? broken : match_check(s, nodes, f, place);
    broken = broken != NULL ? broken : answers_check(s, r);
    if (broken == NULL && f->is_dead > 1) {
        broken = "a server stops for good";
    }
    return broken;
}
