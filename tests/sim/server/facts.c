/* facts.c - what was committed and what came of it.
 *
 * Whoever is given an index first writes down its content; an oracle, a catalog in memory that is
 * never restarted, applies it; a model of a few lines says what keys should hold. Everybody, also
 * the same server after a restart, must come to the same content, result and state hash.
 */
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "catalog/watch.h"
#include "core.h" /* leases that hold */
#include "world.h"

#define CHECK_STEPS 256 /* the costly invariants of the core, once in so many steps */

uint64_t facts_last(const struct world *w)
{
    return w->facts_count;
}

void facts_begin(struct world *w)
{
    struct catalog_options options = { .path = NULL };
    struct mu_err err = MU_ERR_NONE;

    if (catalog_open(&w->oracle, &options, &err) != MU_OK) {
        world_fail(w, "the oracle does not open: %s", err.text);
    }
}

void facts_free(struct world *w)
{
    catalog_close(w->oracle);
    mu_free(w->facts);
    for (size_t i = 0; i < KEYS_MAX; i++) {
        mu_free(w->versions[i]);
    }
}

static uint64_t content_of(const struct consensus_entry_view *e)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    if (!e->is_command) {
        return 0;
    }
    for (size_t i = 0; i < e->bytes.bytes; i++) {
        h = (h ^ e->bytes.data[i]) * UINT64_C(0x100000001b3);
    }
    return h | 1;
}

/* -- a new one ----------------------------------------------------------------------------------
 */

static void oracle_apply(struct world *w, const struct consensus_entry_view *e, struct fact *fact)
{
    struct catalog_result result = { .code = MU_OK };
    struct catalog_changes *changes = NULL;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = catalog_begin(w->oracle, &err);

    if (rc == MU_OK) {
        rc = catalog_apply(w->oracle, e->index, e->term, e->is_command ? e->bytes : MU_SPAN_NONE,
                           &result, &err);
    }
    if (rc == MU_OK && e->level > 0) {
        rc = catalog_raise(w->oracle, e->level, &err);
    }
    if (rc == MU_OK) {
        rc = catalog_commit(w->oracle, &changes, &err);
    }
    if (rc != MU_OK) {
        world_fail(w, "the oracle cannot apply %llu: %s", U(e->index), err.text);
    }
    catalog_changes_free(changes);
    mu_free(result.text);
    struct catalog_applied applied = catalog_applied(w->oracle);

    fact->code = result.code;
    fact->did_apply = result.did_apply;
    memcpy(fact->hash, applied.hash, sizeof fact->hash);
}

/* It changes nothing and is answered as the first was; or, much later, that nobody knows. */
static void second_copy(struct world *w, uint64_t index, const struct op *op,
                        const struct fact *fact)
{
    const struct fact *first = &w->facts[op->entry - 1];

    w->sums.copies++;
    if (fact->code != MU_TIMEOUT &&
        (fact->code != first->code || fact->did_apply != first->did_apply)) {
        world_fail(w, "I17: write %llu was committed at %llu and is answered otherwise at %llu",
                   U(op->number), U(op->entry), U(index));
    }
}

#define WINDOW 1024U /* of numbers, spec/consensus.md 2.19 */

/* A number that left the window, or of a life of its server before the one heard last, is told that
 * nobody knows and changes nothing: also a first copy that was long under way. */
static bool has_expired(const struct world *w, const struct op *op)
{
    const struct command_origin *from = &op->origin;

    for (size_t i = 0; i < w->ops_count; i++) {
        const struct command_origin *other = &w->ops[i].origin;

        if (w->ops[i].entry != 0 && mu_id_eq(&other->server, &from->server) &&
            (other->boot > from->boot ||
             (other->boot == from->boot && other->seq >= from->seq + WINDOW))) {
            return true;
        }
    }
    return false;
}

static void op_committed(struct world *w, const struct consensus_entry_view *e, struct fact *fact)
{
    struct mu_arena arena;
    struct command c;
    struct mu_err err = MU_ERR_NONE;

    mu_arena_init(&arena, 0);
    if (command_decode(e->bytes, &arena, &c, &err) != MU_OK) {
        world_fail(w, "entry %llu is no command: %s", U(e->index), err.text);
    }
    mu_arena_deinit(&arena);
    struct op *op = op_by_origin(w, &c.origin);

    if (op == NULL) {
        world_fail(w, "entry %llu is of no origin that anybody knows", U(e->index));
    }
    fact->op = op->number;
    if (op->entry != 0) {
        second_copy(w, e->index, op, fact);
        return;
    }
    if (op->state == OP_FAILED) {
        world_fail(w, "write %llu was refused, and is committed at %llu", U(op->number),
                   U(e->index));
    }
    op->entry = e->index;
    if (fact->code == MU_TIMEOUT && !fact->did_apply && has_expired(w, op)) {
        return;
    }
    enum mu_code code = MU_OK;
    bool should = model_apply(w, e->index, op, &code);

    if (fact->code != code || (op->kind != OP_REGISTER && fact->did_apply != should)) {
        world_fail(w, "write %llu at %llu: the catalog says %s, %s, the model %s, %s",
                   U(op->number), U(e->index), mu_code_text(fact->code),
                   fact->did_apply ? "true" : "false", mu_code_text(code),
                   should ? "true" : "false");
    }
}

static void fact_new(struct world *w, const struct consensus_entry_view *e, uint64_t content)
{
    if (w->facts_count == w->facts_room) {
        w->facts_room = w->facts_room * 2 + 1024;
        w->facts = mu_grow(w->facts, w->facts_room * sizeof *w->facts);
    }
    struct fact *fact = &w->facts[w->facts_count++];

    *fact = (struct fact){ .term = e->term, .content = content };
    oracle_apply(w, e, fact);
    if (e->is_command) {
        op_committed(w, e, fact);
    }
}

/* -- everybody ----------------------------------------------------------------------------------
 */

void fact_entry(struct server *s, const struct consensus_entry_view *e)
{
    struct world *w = s->world;
    uint64_t content = content_of(e);

    world_note(w, e->index ^ content);
    if (e->index > w->facts_count + 1) {
        world_fail(w, "%s: is given entry %llu, and %llu was never seen", s->name, U(e->index),
                   U(w->facts_count + 1));
    }
    if (e->index == w->facts_count + 1) {
        fact_new(w, e, content);
        return;
    }
    const struct fact *fact = &w->facts[e->index - 1];

    if (fact->term != e->term || fact->content != content) {
        world_fail(w, "I5: %s is given another entry %llu, of term %llu; it was of term %llu",
                   s->name, U(e->index), U(e->term), U(fact->term));
    }
}

void fact_result(struct server *s, const struct apply_result *r)
{
    struct world *w = s->world;

    MU_ASSERT(r->index > 0);
    if (r->index > w->facts_count) {
        world_fail(w, "%s: has applied %llu, which nobody committed", s->name, U(r->index));
    }
    const struct fact *fact = &w->facts[r->index - 1];

    if (fact->code != r->result.code || fact->did_apply != r->result.did_apply) {
        world_fail(w, "equal results at equal index: %s differs at %llu", s->name, U(r->index));
    }
}

void fact_state(struct server *s, const struct catalog_applied *applied)
{
    struct world *w = s->world;

    world_note(w, applied->index * 16 + s->place);
    if (applied->index == 0) {
        return;
    }
    const struct fact *fact = &w->facts[applied->index - 1];

    if (fact->term != applied->term || memcmp(fact->hash, applied->hash, sizeof fact->hash) != 0) {
        world_fail(w, "I14: equal state at equal index: %s differs at %llu", s->name,
                   U(applied->index));
    }
}

/* A snapshot is of an entry that its maker was given to apply, and says of which term (row 48).
 * That it was applied the loop may hear of a moment later. */
void fact_snapshot(const struct server *s, const struct consensus_snap *snap)
{
    struct world *w = s->world;

    if (snap->index == 0 || snap->index > s->node.delivered ||
        w->facts[snap->index - 1].term != snap->term) {
        world_fail(w, "%s: makes a snapshot of entry %llu, term %llu, having been given %llu",
                   s->name, U(snap->index), U(snap->term), U(s->node.delivered));
    }
}

/* -- the core -----------------------------------------------------------------------------------
 */

static void check_leader(struct server *s, uint64_t term)
{
    struct world *w = s->world;
    struct mu_id *known;

    if (term >= MU_LEN(w->leaders)) {
        return;
    }
    known = &w->leaders[term];
    if (mu_id_is_none(known)) {
        *known = s->id;
    }
    if (!mu_id_eq(known, &s->id)) {
        world_fail(w, "I1: %s leads in term %llu, and %s did", s->name, U(term),
                   server_of(w, known)->name);
    }
}

/* What a leader believes that others have, and is committed, they never let go of (I6, I8). */
static void note_matches(struct world *w, const struct consensus_status *st)
{
    for (size_t i = 0; i < st->peers_count; i++) {
        const struct consensus_peer_status *p = &st->peers[i];
        struct server *of = server_of(w, &p->id);
        uint64_t match = p->match < st->commit ? p->match : st->commit;

        if (of != NULL && match > of->match_told && st->term >= of->wiped_term) {
            of->match_told = match;
        }
    }
}

void fact_log(struct server *s)
{
    struct consensus_status st;

    if (s->node.core == NULL) {
        return;
    }
    consensus_status(s->node.core, &st);
    if (st.last_index < s->match_told && st.floor_index == 0 && !s->is_hurt) {
        world_fail(s->world,
                   "I8: %s has acknowledged entry %llu, committed, and its log ends at %llu",
                   s->name, U(s->match_told), U(st.last_index));
    }
}

/* I18: while a leader of an earlier term may answer reads by itself, nobody else commits. */
static void check_leases(struct world *w, const struct server *s, uint64_t term)
{
    for (size_t i = 0; i < w->servers_count && w->leases == LEASES_KEPT; i++) {
        const struct server *o = &w->servers[i];

        if (o != s && server_is_up(o) && o->node.core != NULL && o->node.core->hard.term < term &&
            consensus__lease_holds(o->node.core, server_ms(o))) {
            world_fail(w,
                       "I18: %s commits in term %llu, %s has a lease of term %llu for %llu ms more",
                       s->name, U(term), o->name, U(o->node.core->hard.term),
                       U(o->node.core->office.lease.until_ms - server_ms(o)));
        }
    }
}

void facts_check_node(struct server *s)
{
    struct world *w = s->world;
    struct consensus_status st;

    if (s->node.core == NULL || s->is_dying) {
        return;
    }
    consensus_status(s->node.core, &st);
    if (st.role == CONSENSUS_LEADER) {
        check_leader(s, st.term);
        note_matches(w, &st);
        if (st.commit > s->commit) {
            check_leases(w, s, st.term);
            platter_committed(s, st.commit);
        }
    }
    w->sums.reads_leased += st.reads_leased - s->reads_leased;
    s->reads_leased = st.reads_leased;
    if (st.term < s->term || st.commit < s->commit) {
        world_fail(w, "I10: %s goes back: term %llu to %llu, commit %llu to %llu", s->name,
                   U(s->term), U(st.term), U(s->commit), U(st.commit));
    }
    s->term = st.term;
    s->commit = st.commit;
    if (st.applied > st.commit || st.applied > st.stable || st.durable_applied > st.applied) {
        world_fail(w, "I11: %s: applied %llu, commit %llu, stable %llu, durable %llu", s->name,
                   U(st.applied), U(st.commit), U(st.stable), U(st.durable_applied));
    }
    if (w->steps % CHECK_STEPS == 0) {
        consensus__check(s->node.core);
    }
}
