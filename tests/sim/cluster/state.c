/* state.c - committed entries become state, on every server the same (spec/consensus.md 3.6).
 *
 * Whoever applies an index first writes down what came of it; everybody after it, also the same
 * server after a restart, must come to the same content, the same result and the same hash.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "catalog/watch.h"
#include "cluster.h"

void state_open(struct cluster *c, struct server *s)
{
    struct catalog_options options = { .path = NULL };
    struct mu_err err = MU_ERR_NONE;

    if (catalog_open(&s->catalog, &options, &err) != MU_OK ||
        catalog_reader_open(&s->reader, NULL, s->catalog, &err) != MU_OK) {
        cluster_fail(c, "a catalog does not open: %s", err.text);
    }
}

void state_close(struct server *s)
{
    catalog_reader_close(s->reader);
    catalog_close(s->catalog);
    s->reader = NULL;
    s->catalog = NULL;
}

uint64_t state_content(struct cluster *c, const struct mu_buf *command)
{
    if (c->commands_count == c->commands_room) {
        c->commands_room = c->commands_room * 2 + 256;
        c->commands = mu_grow(c->commands, c->commands_room * sizeof *c->commands);
    }
    c->commands[c->commands_count] = *command;
    return ++c->commands_count;
}

static struct fact *fact_at(struct cluster *c, uint64_t index)
{
    if (index >= c->facts_room) {
        size_t room = index * 2 + 256;

        c->facts = mu_grow(c->facts, room * sizeof *c->facts);
        memset(c->facts + c->facts_room, 0, (room - c->facts_room) * sizeof *c->facts);
        c->facts_room = room;
    }
    return &c->facts[index];
}

static void compare(struct cluster *c, const struct server *s, uint64_t index,
                    const struct fact *now)
{
    struct fact *known = fact_at(c, index);

    if (!known->is_known) {
        if (index != c->facts_last + 1) {
            cluster_fail(c, "%s applies entry %llu, nobody has applied %llu", s->node->name,
                         U(index), U(c->facts_last + 1));
        }
        *known = *now;
        c->facts_last = index;
        if (c->options.broken != BREAK_STATE) {
            model_apply(c, index, known);
        }
        return;
    }
    if (known->content != now->content || known->term != now->term || known->kind != now->kind) {
        cluster_fail(c, "committed entries never change: %s applies another entry %llu",
                     s->node->name, U(index));
    }
    if (c->options.broken == BREAK_STATE) {
        return;
    }
    if (known->code != now->code || known->did_apply != now->did_apply) {
        cluster_fail(c,
                     "equal results at equal index: %s differs at %llu: %s, %d instead of %s, %d",
                     s->node->name, U(index), mu_code_text(now->code), now->did_apply,
                     mu_code_text(known->code), known->did_apply);
    }
    if (memcmp(known->hash, now->hash, sizeof now->hash) != 0) {
        cluster_fail(c, "equal state at equal index: %s differs at %llu", s->node->name, U(index));
    }
}

static struct mu_span command_of(const struct cluster *c, const struct server *s, uint64_t index,
                                 const struct sim_entry *e)
{
    if (e->kind != CONSENSUS_COMMAND) {
        return MU_SPAN_NONE;
    }
    bool is_broken = c->options.broken == BREAK_APPLY && s->node->disk.boots > 1;
    /* One server, so that the others are the majority whatever else happens to them. */
    bool is_odd = c->options.broken == BREAK_STATE && s == &c->servers[1];

    if ((is_broken || is_odd) && index % 32 == 0) {
        s->node->disk.is_spoiled = is_odd; /* it is right to give it up */
        return MU_SPAN_NONE;
    }
    MU_ASSERT(e->content >= 1 && e->content <= c->commands_count);
    return mu_buf_span(&c->commands[e->content - 1]);
}

static void apply_one(struct cluster *c, struct server *s, uint64_t index)
{
    const struct sim_entry *e = sim_log_at(&s->node->disk.log, index);
    struct catalog_result result = { .code = MU_OK };
    struct mu_err err = MU_ERR_NONE;
    struct fact now = { .is_known = true };

    MU_ASSERT(e != NULL);
    if (catalog_apply(s->catalog, index, e->term, command_of(c, s, index, e), &result, &err) !=
        MU_OK) {
        cluster_fail(c, "%s cannot apply entry %llu: %s", s->node->name, U(index), err.text);
    }
    now.content = e->content;
    now.term = e->term;
    now.kind = e->kind;
    now.code = result.code;
    now.did_apply = result.did_apply;
    memcpy(now.hash, catalog_applied(s->catalog).hash, sizeof now.hash);
    catalog_result_free(&result);
    compare(c, s, index, &now);
}

static void say_sum(struct cluster *c, struct server *s)
{
    struct catalog_applied now = catalog_applied(s->catalog);
    struct consensus_event ev = { .kind = CONSENSUS_EV_SUM, .sum = { .index = now.index } };

    if (now.index % SIM_SUM_EVERY == 0) {
        memcpy(ev.sum.hash, now.hash, sizeof ev.sum.hash);
        sim_feed(c->log, s->node, &ev);
    }
}

static void follow(struct cluster *c, struct server *s)
{
    uint64_t from = catalog_applied(s->catalog).index;
    struct catalog_changes *changes = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (from >= s->node->applied) {
        return;
    }
    catalog_reader_release(s->reader);
    if (catalog_begin(s->catalog, &err) != MU_OK) {
        cluster_fail(c, "%s cannot begin: %s", s->node->name, err.text);
    }
    for (uint64_t i = from + 1; i <= s->node->applied; i++) {
        apply_one(c, s, i);
        say_sum(c, s);
    }
    if (catalog_commit(s->catalog, &changes, &err) != MU_OK) {
        cluster_fail(c, "%s cannot commit: %s", s->node->name, err.text);
    }
    catalog_changes_free(changes);
}

void state_follow(struct cluster *c)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        struct server *s = &c->servers[i];

        if (s->node->is_up && s->node->dead != NULL && c->stabilization_ms > 0 &&
            s->node->core->death == CONSENSUS_DEATH_REMOVED) {
            s->is_removed = true;
            continue;
        }
        if (s->node->is_up && s->node->dead != NULL) {
            cluster_fail(c, "%s must stop: %s", s->node->name, s->node->dead);
        }
        if (s->catalog != NULL && s->node->core != NULL) {
            follow(c, s);
        }
    }
}
