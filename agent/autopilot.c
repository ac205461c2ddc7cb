#include "autopilot.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

/* Silent this long: not a hiccup of the network or of a busy machine. */
#define SILENT_MS 2000U

/* What is remembered of one server: an id on one disk. */
struct track {
    struct mu_id id, disk;
    char name[MU_NODE_NAME_MAX + 1]; /* as gossip last said */
    bool is_healthy;
    uint64_t since_ms;   /* is_healthy has been so */
    uint64_t gone_ms;    /* gossip has missed it since; 0: it does not */
    uint64_t changed_ms; /* when we last changed something about it; 0: never */
    uint64_t seen_ms;
};

struct autopilot {
    uint64_t office_ms;
    struct track tracks[AUTOPILOT_SERVERS_MAX];
    size_t tracks_count;
};

/* One step: the input, and what was made of it. */
struct look {
    struct autopilot *p;
    const struct autopilot_input *in;
    struct autopilot_output *out;
    struct track *tracks[AUTOPILOT_SERVERS_MAX]; /* of in->servers */
    size_t count;
    unsigned voters, voters_healthy;
    unsigned voters_gone;   /* to gossip or to consensus */
    unsigned voters_silent; /* to consensus */
};

const char *autopilot_kind_text(enum autopilot_kind kind)
{
    switch (kind) {
    case AUTOPILOT_NOTHING: return "nothing";
    case AUTOPILOT_ADD: return "add";
    case AUTOPILOT_PROMOTE: return "promote";
    case AUTOPILOT_REMOVE: return "remove";
    }
    MU_UNREACHABLE_CODE();
}

/* -- what is remembered ------------------------------------------------------------------------ */

static struct track *track_find(struct autopilot *p, const struct mu_id *id,
                                const struct mu_id *disk)
{
    for (size_t i = 0; i < p->tracks_count; i++) {
        if (mu_id_eq(&p->tracks[i].id, id) && mu_id_eq(&p->tracks[i].disk, disk)) {
            return &p->tracks[i];
        }
    }
    return NULL;
}

/* Room for one more: the one that was not seen for longest goes. */
static struct track *track_room(struct autopilot *p)
{
    struct track *oldest = &p->tracks[0];

    if (p->tracks_count < MU_LEN(p->tracks)) {
        return &p->tracks[p->tracks_count++];
    }
    for (size_t i = 1; i < p->tracks_count; i++) {
        if (p->tracks[i].seen_ms < oldest->seen_ms) {
            oldest = &p->tracks[i];
        }
    }
    return oldest;
}

static struct track *track_of(struct autopilot *p, const struct autopilot_server *s,
                              uint64_t now_ms)
{
    const struct mu_id *disk = s->is_configured ? &s->disk : &s->disk_seen;
    struct track *t = track_find(p, &s->id, disk);

    if (t == NULL) {
        t = track_room(p);
        *t = (struct track){ .id = s->id, .disk = *disk, .since_ms = now_ms };
    }
    t->seen_ms = now_ms;
    if (s->name[0] != '\0') {
        (void)snprintf(t->name, sizeof t->name, "%s", s->name);
    }
    return t;
}

static bool is_gone(const struct autopilot_server *s)
{
    switch (s->status) {
    case AUTOPILOT_UNKNOWN:
    case AUTOPILOT_LEFT:
    case AUTOPILOT_FAILED: return true;
    case AUTOPILOT_ALIVE:
    case AUTOPILOT_LEAVING: return false;
    }
    MU_UNREACHABLE_CODE();
}

static uint64_t age_ms(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* How long consensus has not heard of it; since the term began, when it never answered in it. */
static uint64_t silence_ms(const struct look *l, const struct autopilot_server *s)
{
    uint64_t last_ms = s->contact_ms > l->p->office_ms ? s->contact_ms : l->p->office_ms;

    return s->is_self ? 0 : age_ms(l->in->now_ms, last_ms);
}

static bool is_healthy(const struct look *l, const struct autopilot_server *s)
{
    if (s->status != AUTOPILOT_ALIVE || s->is_store_slow || s->has_diverged) {
        return false;
    }
    if (s->is_self) {
        return true;
    }
    return mu_id_eq(&s->disk, &s->disk_seen) && s->contact_ms > 0 &&
           age_ms(l->in->now_ms, s->contact_ms) <= l->in->settings.last_contact_ms &&
           s->match + l->in->settings.max_trailing_logs >= l->in->last_index;
}

/* -- looking around ---------------------------------------------------------------------------- */

static void look_at(struct look *l, const struct autopilot_server *s, struct track *t)
{
    struct autopilot_output *out = l->out;
    bool healthy = is_healthy(l, s);

    if (healthy != t->is_healthy) {
        t->is_healthy = healthy;
        t->since_ms = l->in->now_ms;
    }
    if (!is_gone(s)) {
        t->gone_ms = 0;
    } else if (t->gone_ms == 0) {
        t->gone_ms = l->in->now_ms;
    }
    if (!s->is_configured) {
        return;
    }
    out->is_healthy = out->is_healthy && healthy;
    out->healths[out->healths_count++] = (struct autopilot_health){ s->id, healthy, t->since_ms };
    if (s->is_voter) {
        l->voters++;
        l->voters_healthy += healthy;
        l->voters_silent += silence_ms(l, s) >= SILENT_MS;
        l->voters_gone += !s->is_self && (is_gone(s) || silence_ms(l, s) >= SILENT_MS);
    }
}

static void look_around(struct look *l)
{
    for (size_t i = 0; i < l->in->servers_count && i < AUTOPILOT_SERVERS_MAX; i++) {
        l->tracks[i] = track_of(l->p, &l->in->servers[i], l->in->now_ms);
        l->count++;
    }
    for (size_t i = 0; i < l->count; i++) {
        look_at(l, &l->in->servers[i], l->tracks[i]);
    }
    unsigned quorum = l->voters / 2 + 1;

    l->out->failure_tolerance = l->voters_healthy > quorum ? l->voters_healthy - quorum : 0;
}

/* -- the rules: each true when it has found the change ----------------------------------------- */

static bool decide(struct look *l, size_t i, enum autopilot_kind kind, const char *fmt, ...)
    MU_PRINTF(4, 5);

static bool decide(struct look *l, size_t i, enum autopilot_kind kind, const char *fmt, ...)
{
    const struct autopilot_server *s = &l->in->servers[i];
    va_list args;

    l->out->kind = kind;
    l->out->id = s->id;
    l->out->disk = s->is_configured ? s->disk : s->disk_seen;
    va_start(args, fmt);
    (void)vsnprintf(l->out->why, sizeof l->out->why, fmt, args);
    va_end(args);
    return true;
}

static void hold(struct look *l, const struct track *t, const char *fmt, ...) MU_PRINTF(3, 4);

static void hold(struct look *l, const struct track *t, const char *fmt, ...)
{
    char why[AUTOPILOT_WHY_MAX / 2];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    (void)snprintf(l->out->held, sizeof l->out->held, "%.64s: %s",
                   t->name[0] != '\0' ? t->name : "a server that gossip does not know", why);
}

/* Would the voters that answer be a quorum without it? */
static bool leaves_quorum(const struct look *l, const struct autopilot_server *s)
{
    unsigned left = l->voters - 1;
    unsigned silent = l->voters_silent - (silence_ms(l, s) >= SILENT_MS ? 1 : 0);

    return left >= 1 && left - silent >= left / 2 + 1;
}

static bool rule_left(struct look *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct autopilot_server *s = &l->in->servers[i];

        if (!s->is_configured || s->is_self || s->status != AUTOPILOT_LEFT) {
            continue;
        }
        if (!s->is_voter || leaves_quorum(l, s)) {
            return decide(l, i, AUTOPILOT_REMOVE, "it left");
        }
        hold(l, l->tracks[i], "it left, but %u of %u voters are silent", l->voters_silent,
             l->voters);
    }
    return false;
}

/* Another one lives under its name, or its id lives on another disk. */
static bool is_replaced(const struct look *l, size_t i)
{
    const struct autopilot_server *s = &l->in->servers[i];

    if (s->status == AUTOPILOT_ALIVE) {
        return !mu_id_is_none(&s->disk_seen) && !mu_id_eq(&s->disk, &s->disk_seen);
    }
    for (size_t k = 0; k < l->count; k++) {
        const struct autopilot_server *other = &l->in->servers[k];

        if (k != i && other->status == AUTOPILOT_ALIVE && l->tracks[i]->name[0] != '\0' &&
            strcmp(other->name, l->tracks[i]->name) == 0) {
            return true;
        }
    }
    return false;
}

static bool rule_replaced(struct look *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct autopilot_server *s = &l->in->servers[i];

        if (!s->is_configured || s->is_self || !is_replaced(l, i) || silence_ms(l, s) < SILENT_MS) {
            continue;
        }
        if (!l->in->settings.cleanup_dead_servers) {
            hold(l, l->tracks[i],
                 "its disk was replaced, and cleanup_dead_servers is off: remove "
                 "it with operator raft remove-peer, and it is taken in again");
            continue;
        }
        if (!s->is_voter || leaves_quorum(l, s)) {
            return decide(l, i, AUTOPILOT_REMOVE, "its disk was replaced");
        }
        hold(l, l->tracks[i], "its disk was replaced, but %u of %u voters are gone", l->voters_gone,
             l->voters);
    }
    return false;
}

static bool rule_promote(struct look *l)
{
    char text[MU_DURATION_TEXT_MAX];

    for (size_t i = 0; l->voters < l->in->voters_max && i < l->count; i++) {
        const struct autopilot_server *s = &l->in->servers[i];
        const struct track *t = l->tracks[i];
        uint64_t stable_ms = age_ms(l->in->now_ms, t->since_ms);

        if (!s->is_configured || s->is_voter || !t->is_healthy || s->level < l->in->level ||
            stable_ms < l->in->settings.stabilization_ms) {
            continue;
        }
        mu_duration_text((int64_t)(stable_ms / 1000 * 1000) * MU_NS_PER_MS, text);
        return decide(l, i, AUTOPILOT_PROMOTE, "it has been healthy for %s", text);
    }
    return false;
}

/* Gossip and consensus have both missed it for long enough; gossip that never met it needs more. */
static bool is_dead(const struct look *l, size_t i)
{
    const struct autopilot_server *s = &l->in->servers[i];
    const struct track *t = l->tracks[i];
    uint64_t patience_ms = l->in->settings.stabilization_ms;

    if (!s->is_configured || s->is_self || !is_gone(s)) {
        return false;
    }
    patience_ms = patience_ms > SILENT_MS ? patience_ms : SILENT_MS;
    if (s->status == AUTOPILOT_UNKNOWN && t->name[0] == '\0' && patience_ms < l->in->absent_ms) {
        patience_ms = l->in->absent_ms;
    }
    return age_ms(l->in->now_ms, t->gone_ms) >= patience_ms && silence_ms(l, s) >= patience_ms;
}

/* The counting of spec 2.9: a minority may be failed, and enough must stay. */
static bool may_clean_up(struct look *l, size_t i)
{
    const struct autopilot_server *s = &l->in->servers[i];

    if (!s->is_voter) {
        return true;
    }
    if (l->voters_gone > (l->voters - 1) / 2 || !leaves_quorum(l, s)) {
        hold(l, l->tracks[i], "%u of %u voters are gone: too many to remove one", l->voters_gone,
             l->voters);
        return false;
    }
    if (l->voters - 1 < l->in->settings.min_quorum) {
        hold(l, l->tracks[i], "%u voters would stay, fewer than the minimum of %u", l->voters - 1,
             (unsigned)l->in->settings.min_quorum);
        return false;
    }
    return true;
}

static bool rule_dead(struct look *l)
{
    if (!l->in->settings.cleanup_dead_servers) {
        return false;
    }
    for (size_t i = 0; i < l->count; i++) {
        if (is_dead(l, i) && may_clean_up(l, i)) {
            return decide(l, i, AUTOPILOT_REMOVE, "it is dead");
        }
    }
    return false;
}

/* An addition that was lost with a leader is not repeated at once. */
static bool changed_lately(const struct look *l, const struct track *t)
{
    return t->changed_ms > 0 &&
           age_ms(l->in->now_ms, t->changed_ms) < l->in->settings.stabilization_ms;
}

static bool is_new(const struct autopilot_server *s)
{
    return !s->is_configured && s->is_fresh && s->status == AUTOPILOT_ALIVE &&
           !mu_id_is_none(&s->disk_seen);
}

static bool rule_add(struct look *l)
{
    size_t configured = l->out->healths_count;

    for (size_t i = 0; configured < l->in->servers_max && i < l->count; i++) {
        const struct autopilot_server *s = &l->in->servers[i];

        if (is_new(s) && s->level >= l->in->level && !changed_lately(l, l->tracks[i])) {
            return decide(l, i, AUTOPILOT_ADD, "it is new");
        }
    }
    return false;
}

/* Whoever does not know the commands in use could only stop (spec/consensus.md 1.10). */
static void name_old(struct look *l)
{
    for (size_t i = 0; i < l->count && l->out->old[0] == '\0'; i++) {
        const struct autopilot_server *s = &l->in->servers[i];

        if (is_new(s) && s->level < l->in->level) {
            (void)snprintf(l->out->old, sizeof l->out->old,
                           "%.64s understands commands up to level %u, the cluster uses level %u: "
                           "start it with the version of the others",
                           s->name, s->level, l->in->level);
        }
    }
}

/* -- the interface ----------------------------------------------------------------------------- */

void autopilot_step(struct autopilot *p, const struct autopilot_input *in,
                    struct autopilot_output *out)
{
    static bool (*const rules[])(struct look *) = { rule_left, rule_replaced, rule_promote,
                                                    rule_dead, rule_add };
    struct look l = { .p = p, .in = in, .out = out };

    *out = (struct autopilot_output){ .is_healthy = true };
    look_around(&l);
    name_old(&l);
    for (size_t i = 0; in->may_change && i < MU_LEN(rules); i++) {
        if (rules[i](&l)) {
            return;
        }
    }
}

void autopilot_changed(struct autopilot *p, const struct mu_id *id, const struct mu_id *disk,
                       uint64_t now_ms)
{
    struct track *t = track_find(p, id, disk);

    if (t != NULL) {
        t->changed_ms = now_ms;
    }
}

struct autopilot *autopilot_new(void)
{
    return mu_new(sizeof(struct autopilot));
}

void autopilot_free(struct autopilot *p)
{
    mu_free(p);
}

void autopilot_lead(struct autopilot *p, uint64_t now_ms)
{
    *p = (struct autopilot){ .office_ms = now_ms };
}
