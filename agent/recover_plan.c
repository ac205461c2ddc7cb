#include "recover_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

static bool has_answered(const struct agent_survivor *s)
{
    return s->err.code == MU_OK;
}

bool recover_is_silent(const struct agent_survivor *s)
{
    return s->err.code == MU_UNREACHABLE || s->err.code == MU_TIMEOUT || s->err.code == MU_LOST ||
           s->err.code == MU_NOT_FOUND;
}

/* It belongs to the cluster as it is by now. A fresh server holds nothing that could count. */
static bool counts(const struct agent_survivor *s)
{
    return has_answered(s) && !mu_id_is_none(&s->position.cluster) && !s->is_of_old_epoch;
}

static const char *name_of(const struct agent_survivor *s)
{
    return s->name[0] != '\0' ? s->name : s->address;
}

/* `count`: it is not among them. */
static size_t place_of(const struct agent_survivor *servers, size_t count, const struct mu_id *id)
{
    size_t at = 0;

    while (at < count && !mu_id_eq(&servers[at].id, id)) {
        at++;
    }
    return at;
}

/* -- what the answers say together ------------------------------------------------------------- */

static void mark_old(struct agent_survivor *servers, size_t count)
{
    uint64_t newest = 0;

    for (size_t i = 0; i < count; i++) {
        if (has_answered(&servers[i]) && servers[i].position.epoch > newest) {
            newest = servers[i].position.epoch;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct recovery_position *p = &servers[i].position;

        servers[i].is_of_old_epoch =
            has_answered(&servers[i]) && !mu_id_is_none(&p->cluster) && p->epoch < newest;
    }
}

/* The last word on who votes; NULL: nobody has a configuration. */
static const struct recovery_position *newest_config(const struct agent_survivor *servers,
                                                     size_t count)
{
    const struct recovery_position *newest = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct recovery_position *p = &servers[i].position;

        if (counts(&servers[i]) && p->servers_count > 0 &&
            (newest == NULL || p->config_index > newest->config_index)) {
            newest = p;
        }
    }
    return newest;
}

static int by_name(const void *x, const void *y)
{
    const struct agent_survivor *a = x, *b = y;
    bool has_a = a->name[0] != '\0', has_b = b->name[0] != '\0';

    if (has_a != has_b) {
        return has_a ? -1 : 1;
    }
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : memcmp(&a->id, &b->id, sizeof a->id);
}

void recover_plan_complete(struct agent_survivor *servers, size_t *count, struct mu_arena *arena)
{
    size_t known = *count;

    mark_old(servers, known);
    const struct recovery_position *config = newest_config(servers, known);

    for (size_t i = 0; config != NULL && i < config->servers_count; i++) {
        const struct recovery_server *s = &config->servers[i];
        size_t at = place_of(servers, known, &s->id);

        if (at == known) {
            at = (*count)++;
            servers[at] = (struct agent_survivor){ .id = s->id, .name = "" };
            servers[at].address = mu_arena_strdup(arena, s->address);
            (void)mu_fail(&servers[at].err, MU_NOT_FOUND, "gossip does not know it");
        }
        servers[at].is_voter = s->is_voter;
    }
    if (*count > 0) {
        qsort(servers, *count, sizeof *servers, by_name);
    }
}

/* -- who is chosen ----------------------------------------------------------------------------- */

static bool is_whole(const struct agent_survivor *s)
{
    return counts(s) && s->position.damage[0] == '\0';
}

/* Of equal ones the one with the lower id, so that all who look choose the same. */
static bool is_better(const struct agent_survivor *s, const struct agent_survivor *than)
{
    return recovery_goes_further(&s->position, &than->position) ||
           (!recovery_goes_further(&than->position, &s->position) &&
            memcmp(&s->id, &than->id, sizeof s->id) < 0);
}

static size_t furthest(const struct agent_recovery *r)
{
    size_t best = AGENT_RECOVERY_NOBODY;

    for (size_t i = 0; i < r->count; i++) {
        if (is_whole(&r->servers[i]) &&
            (best == AGENT_RECOVERY_NOBODY || is_better(&r->servers[i], &r->servers[best]))) {
            best = i;
        }
    }
    return best;
}

static size_t wished_for(const struct agent_recovery *r, struct mu_span server)
{
    char id[MU_ID_TEXT_BYTES + 1];

    for (size_t i = 0; i < r->count; i++) {
        mu_id_text(&r->servers[i].id, id);
        if (mu_span_eq_text(server, id) ||
            (r->servers[i].name[0] != '\0' && mu_span_eq_text(server, r->servers[i].name))) {
            return i;
        }
    }
    return AGENT_RECOVERY_NOBODY;
}

/* -- why not ----------------------------------------------------------------------------------- */

static enum mu_code look_for_cluster(struct agent_recovery *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (counts(&r->servers[i])) {
            return MU_OK;
        }
    }
    return mu_fail(&r->why, MU_CONFLICT,
                   "no server that belongs to a cluster answers: there is nothing to go on from");
}

static enum mu_code look_for_outsiders(struct agent_recovery *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct agent_survivor *s = &r->servers[i];

        if (s->err.code == MU_BUSY) {
            return mu_fail(&r->why, MU_CONFLICT, "%s is taken (%s): try again in a moment",
                           name_of(s), s->err.text);
        }
        if (!has_answered(s) && !recover_is_silent(s)) {
            return mu_fail(&r->why, MU_CONFLICT,
                           "%s runs, and cannot take part (%s): stop it, or it would go on in the "
                           "old epoch",
                           name_of(s), s->err.text);
        }
    }
    return MU_OK;
}

struct voters {
    size_t all, answered;
};

static struct voters voters_count(const struct agent_recovery *r)
{
    struct voters v = { 0, 0 };

    for (size_t i = 0; i < r->count; i++) {
        v.all += r->servers[i].is_voter;
        v.answered += r->servers[i].is_voter && counts(&r->servers[i]);
    }
    return v;
}

static bool have_quorum(struct voters v)
{
    return v.answered > v.all / 2;
}

/* A leader that lost its quorum, and whoever follows one that is gone, need a moment to see it. */
static enum mu_code look_for_leader(struct agent_recovery *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct agent_survivor *s = &r->servers[i];

        if (!has_answered(s) || mu_id_is_none(&s->leader)) {
            continue;
        }
        size_t at = place_of(r->servers, r->count, &s->leader);
        const struct agent_survivor *leader = at < r->count ? &r->servers[at] : NULL;

        r->may_pass = leader == NULL || !has_answered(leader) || !have_quorum(voters_count(r));
        if (leader == s) {
            return mu_fail(&r->why, MU_CONFLICT,
                           "%s leads: the cluster has a leader and is left alone", name_of(s));
        }
        return mu_fail(&r->why, MU_CONFLICT,
                       "%s follows %s: a cluster that has a leader is left alone", name_of(s),
                       leader != NULL ? name_of(leader) : "a server that nobody else knows");
    }
    return MU_OK;
}

static enum mu_code look_for_quorum(struct agent_recovery *r, bool is_forced)
{
    struct voters v = voters_count(r);

    if (!have_quorum(v) || is_forced) {
        return MU_OK;
    }
    r->can_be_forced = true;
    return mu_fail(&r->why, MU_CONFLICT,
                   "%zu of %zu voters answer: they can elect a leader by themselves, and nothing "
                   "has to be given up. If they do not, muster doctor tells what is between them",
                   v.answered, v.all);
}

/* Gossip, too, needs a moment to see that one is gone. */
static enum mu_code look_for_slow(struct agent_recovery *r, bool is_forced)
{
    for (size_t i = 0; i < r->count && !is_forced; i++) {
        const struct agent_survivor *s = &r->servers[i];

        if (s->is_expected) {
            r->can_be_forced = r->may_pass = true;
            return mu_fail(
                &r->why, MU_CONFLICT,
                "%s does not answer (%s), and gossip holds it alive: it may only be slow",
                name_of(s), s->err.text);
        }
    }
    return MU_OK;
}

static enum mu_code look_at_chosen(struct agent_recovery *r, const struct agent_recovery_wish *wish)
{
    if (r->chosen == AGENT_RECOVERY_NOBODY) {
        return wish->server.bytes > 0
                   ? mu_fail(&r->why, MU_NOT_FOUND, "no server is called '%.*s'",
                             MU_SPAN_FMT(wish->server))
                   : mu_fail(&r->why, MU_CONFLICT,
                             "nobody who answers has a log and a state to go on from");
    }
    const struct agent_survivor *s = &r->servers[r->chosen];

    if (!has_answered(s)) {
        return mu_fail(&r->why, MU_CONFLICT, "%s does not answer: %s", name_of(s), s->err.text);
    }
    if (!counts(s)) {
        return mu_fail(&r->why, MU_CONFLICT, "%s %s", name_of(s),
                       s->is_of_old_epoch ? "is of an older epoch: it can only join as new"
                                          : "never belonged to a cluster");
    }
    if (s->position.damage[0] != '\0') {
        return mu_fail(&r->why, MU_CONFLICT, "%s cannot go on: %s", name_of(s), s->position.damage);
    }
    return MU_OK;
}

static enum mu_code look_for_longer(struct agent_recovery *r, bool is_forced)
{
    const struct agent_survivor *chosen = &r->servers[r->chosen];

    for (size_t i = 0; i < r->count && !is_forced; i++) {
        const struct agent_survivor *s = &r->servers[i];

        if (counts(s) && recovery_goes_further(&s->position, &chosen->position)) {
            r->can_be_forced = true;
            return mu_fail(&r->why, MU_CONFLICT,
                           "the log of %s goes further (entry %" PRIu64 " of term %" PRIu64
                           ") than that of %s (entry %" PRIu64 " of term %" PRIu64 ")%s%s",
                           name_of(s), s->position.last_index, s->position.last_term,
                           name_of(chosen), chosen->position.last_index, chosen->position.last_term,
                           s->position.damage[0] != '\0' ? ", but it cannot go on: " : "",
                           s->position.damage);
        }
    }
    return MU_OK;
}

void recover_plan_make(struct agent_recovery *out, const struct agent_recovery_wish *wish)
{
    bool is_forced = wish->is_forced;

    out->why = MU_ERR_NONE;
    out->can_be_forced = out->may_pass = false;
    out->unsure = 0;
    out->chosen = wish->server.bytes > 0 ? wished_for(out, wish->server) : furthest(out);
    if (out->chosen != AGENT_RECOVERY_NOBODY) {
        const struct recovery_position *p = &out->servers[out->chosen].position;

        out->unsure = p->last_index > p->applied_index ? p->last_index - p->applied_index : 0;
    }
    enum mu_code rc = look_for_cluster(out);

    rc = rc == MU_OK ? look_for_outsiders(out) : rc;
    rc = rc == MU_OK ? look_for_leader(out) : rc;
    rc = rc == MU_OK ? look_at_chosen(out, wish) : rc;
    rc = rc == MU_OK ? look_for_quorum(out, is_forced) : rc;
    rc = rc == MU_OK ? look_for_slow(out, is_forced) : rc;
    rc = rc == MU_OK ? look_for_longer(out, is_forced) : rc;
    MU_ASSERT(rc == out->why.code);
}
