/* precedence.c - whose word counts: the tables of section 4, one function each.
 *
 * Evidence is monotone (3, [M] 1): the stored incarnation rises with every accepted word about a
 * member, also when its state does not change, and never falls. A member is shown alive only at an
 * incarnation above any it was held dead or left at; one that claims less is told what is held
 * against it (gossip__accuse), so that it can jump past that and speak again. This replaces the
 * reference's "accept a returned name regardless of its number".
 */
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define JUMP_MAX         (1ULL << 52) /* above what is stored: a corrupt or hostile number */
#define CONFLICT_LOG_MS  60000
#define CONFLICT_TELL_MS 5000
#define SELF_CLAIM_MS    5000 /* between refutations of a double with our own id */
#define REFUSED_LOG_MS   10000

/* -- telling ------------------------------------------------------------------------------------
 */

void gossip__announce(struct gossip *g)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    part.alive = gossip__member_record(g->self);
    (void)gossip__rumor_add(g, GOSSIP__QUEUE_CORE, g->self, gossip__part_encode(&part, &g->step),
                            NULL);
}

static struct gossip__part dead_part(const struct gossip *g, const struct gossip__member *m)
{
    return (struct gossip__part){ .kind = GOSSIP__PART_DEAD,
                                  .dead = { .node = m->card->name,
                                            .from = m->state == GOSSIP__GONE ? m->card->name
                                                                             : g->self->card->name,
                                            .incarnation = m->incarnation } };
}

static struct gossip__part suspect_part(const struct gossip *g, const struct gossip__member *m,
                                        enum gossip__evidence evidence)
{
    return (struct gossip__part){ .kind = GOSSIP__PART_SUSPECT,
                                  .suspect = { .node = m->card->name,
                                               .from = g->self->card->name,
                                               .incarnation = m->incarnation,
                                               .evidence = evidence } };
}

void gossip__letter_accuse(struct gossip *g, struct gossip__letter *l, struct gossip__member *m)
{
    struct gossip__part part = suspect_part(g, m, m->dealings->suspicion->evidence);

    MU_ASSERT(gossip__letter_add(l, gossip__part_encode(&part, &g->step)));
}

void gossip__accuse(struct gossip *g, struct gossip__member *m, const struct mu_addr *to)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct gossip__dealings *d = gossip__deal(m);

    if (d->accused_ms != 0 && g->now_ms < d->accused_ms + g->profile.probe_ms) {
        return;
    }
    d->accused_ms = g->now_ms;
    switch (m->state) { /* of an ALIVE one: its own earlier life */
    case GOSSIP__ALIVE: part.alive = gossip__member_record(m); break;
    case GOSSIP__SUSPECT: part = suspect_part(g, m, m->dealings->suspicion->evidence); break;
    case GOSSIP__DEAD:
    case GOSSIP__GONE: part = dead_part(g, m); break;
    }
    gossip__count(g, GOSSIP_COUNT_STALE_ANSWERED);
    gossip__log(g, MU_TRACE, "tell %s that it is held at incarnation %llu", m->card->name,
                (unsigned long long)m->incarnation);
    gossip__send_part(g, to, NULL, &part);
}

static void reply_alive(struct gossip *g, const struct gossip__source *src)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    if (src->addr.ip_bytes > 0 && !src->is_stream) {
        part.alive = gossip__member_record(g->self);
        gossip__send_part(g, &src->addr, src->sender, &part);
    }
}

void gossip__refute(struct gossip *g, uint64_t accused, const struct gossip__source *src)
{
    struct gossip__member *self = g->self;

    MU_ASSERT(self->state == GOSSIP__ALIVE);
    self->incarnation = accused >= self->incarnation ? accused + 1 : self->incarnation + 1;
    gossip__count(g, GOSSIP_COUNT_REFUTATIONS);
    gossip__health_add(g, 1);
    gossip__log(g, MU_TRACE, "refute, incarnation %llu", (unsigned long long)self->incarnation);
    gossip__announce(g);
    reply_alive(g, src); /* whoever told us hears it first */
}

/* -- what may not enter -------------------------------------------------------------------------
 */

static bool jumps_too_far(struct gossip *g, const struct gossip__member *m, uint64_t incarnation)
{
    if (incarnation < GOSSIP__INCARNATION_MAX &&
        (incarnation <= m->incarnation || m->incarnation == 0 ||
         incarnation - m->incarnation <= JUMP_MAX)) {
        return false;
    }
    gossip__count(g, GOSSIP_COUNT_INCARNATION_REFUSED);
    return true;
}

/* An address that nobody else can use (11 [M] 3). */
bool gossip__address_ok(const struct mu_addr *at, const struct mu_addr *from)
{
    bool is_remote = from->ip_bytes > 0 && !mu_addr_is_loopback(from);

    return at->port != 0 && at->ip_bytes > 0 && !mu_addr_is_any(at) && !mu_addr_is_multicast(at) &&
           !(is_remote && mu_addr_is_loopback(at));
}

static bool versions_ok(const struct gossip__alive *a)
{
    return a->versions[0] != 0 && a->versions[1] != 0 && a->versions[0] <= a->versions[1];
}

static const char *id_conflict(struct gossip *g, const struct gossip__alive *a,
                               const struct gossip__member *other)
{
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&a->node_id, id);
    if (other == g->self) {
        return mu_arena_printf(
            &g->step, "Member '%s' has conflicting node ID '%s' with this agent's ID", a->node, id);
    }
    return mu_arena_printf(&g->step, "Member '%s' has conflicting node ID '%s' with member '%s'",
                           a->node, id, other->card->name);
}

const char *gossip__alive_refused(struct gossip *g, const struct gossip__alive *a,
                                  const struct gossip__member **held)
{
    const struct gossip__member *other = gossip__member_by_id(g, &a->node_id);
    struct gossip_view view = { .name = a->node,
                                .addr = a->at,
                                .status = GOSSIP_STATUS_ALIVE,
                                .node_id = a->node_id,
                                .boot_id = a->boot_id,
                                .incarnation = a->incarnation };

    *held = NULL;
    if (strcmp(a->node, g->self->card->name) == 0) {
        return NULL;
    }
    if (other != NULL && gossip__member_is_live(other) && strcmp(other->card->name, a->node) != 0) {
        *held = other;
        return id_conflict(g, a, other);
    }
    if (g->refuse == NULL) {
        return NULL;
    }
    if (!gossip__tags_decode(a->meta, &g->step, &view.tags)) {
        view.tags.count = 0;
    }
    return g->refuse(g->refuse_data, &view);
}

static void tell_conflict(struct gossip *g, const struct mu_addr *to,
                          const struct gossip__member *held, const char *text)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ERROR,
                                 .error = { .code = GOSSIP__ERROR_CONFLICT,
                                            .text = text,
                                            .has_held = true,
                                            .held = gossip__member_record(held) } };

    gossip__send_part(g, to, NULL, &part);
}

/* Somebody else holds this name: log it now and then, and tell the one who came later (13.9). */
static void conflict(struct gossip *g, struct gossip__member *m, const struct gossip__alive *a)
{
    char mine[MU_ADDR_TEXT_MAX];
    char theirs[MU_ADDR_TEXT_MAX];
    struct gossip__dealings *d = gossip__deal(m);

    gossip__link_claimed(g, m, &a->at);
    gossip__count(g, GOSSIP_COUNT_CONFLICTS);
    if (d->conflict_ms != 0 && g->now_ms < d->conflict_ms + CONFLICT_TELL_MS) {
        return;
    }
    d->conflict_ms = g->now_ms;
    if (d->conflict_log_ms == 0 || g->now_ms >= d->conflict_log_ms + CONFLICT_LOG_MS) {
        d->conflict_log_ms = g->now_ms;
        mu_addr_text(&m->card->addr, mine);
        mu_addr_text(&a->at, theirs);
        gossip__log(g, MU_ERROR,
                    "memberlist: Conflicting address for %s. Mine: %s Theirs: %s Old state: %s",
                    m->card->name, mine, theirs, gossip__state_text(m->state));
        gossip__log(g, MU_WARN, "serf: Name conflict for '%s' both %s and %s are claiming",
                    m->card->name, mine, theirs);
    }
    if (m != g->self) {
        tell_conflict(g, &a->at, m,
                      mu_arena_printf(&g->step, "name '%s' is in use", m->card->name));
    }
}

/* -- 4.1 alive(i) about another -----------------------------------------------------------------
 */

/* As users see it: who only began anew is the same to them (13.3). */
static bool is_described(const struct gossip__member *m, const struct gossip__alive *a)
{
    return mu_addr_eq(&m->card->addr, &a->at) && mu_span_eq(m->card->meta, a->meta) &&
           memcmp(m->card->versions, a->versions, sizeof m->card->versions) == 0;
}

/* What is told on, or kept until it may be. */
static struct mu_span part_of(struct gossip *g, const struct gossip__alive *a, struct mu_span bytes)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    if (bytes.bytes > 0) {
        return bytes;
    }
    part.alive = *a;
    return gossip__part_encode(&part, &g->step);
}

static void accept_alive(struct gossip *g, struct gossip__member *m, const struct gossip__alive *a,
                         struct mu_span bytes, const struct gossip__source *src)
{
    enum gossip__state was = m->state;
    bool is_changed = !is_described(m, a);

    gossip__count(g, GOSSIP_COUNT_ALIVES);
    if (was == GOSSIP__SUSPECT) {
        gossip__suspicion_denied(g, m);
    }
    gossip__member_describe(g, m, a);
    m->incarnation = a->incarnation;
    if (m->dealings != NULL) {
        m->dealings->accused_ms = 0;
    }
    gossip__member_list(g, m);
    if (was != GOSSIP__ALIVE) {
        gossip__member_move(g, m, GOSSIP__ALIVE, "it says so");
    }
    if (was != GOSSIP__ALIVE && m->status != GOSSIP_STATUS_NONE) {
        gossip__record(g, m,
                       (struct gossip_record){ .change = was == GOSSIP__SUSPECT
                                                             ? GOSSIP_CHANGE_REFUTED
                                                             : GOSSIP_CHANGE_RETURNED });
    }
    if (!src->is_old) {
        (void)gossip__rumor_add(g, GOSSIP__QUEUE_CORE, m, part_of(g, a, bytes), src->sender);
    }
    if (was == GOSSIP__SUSPECT) {
        gossip__count(g, GOSSIP_COUNT_SUSPICIONS_REFUTED);
    }
    if (was == GOSSIP__DEAD || was == GOSSIP__GONE) {
        gossip__serf_alive(g, m);
    } else if (is_changed) {
        gossip__serf_updated(g, m);
    }
    gossip__probe_wake(g);
    gossip__rumor_wake(g);
    gossip__sync_wake(g);
    if (was == GOSSIP__DEAD || was == GOSSIP__GONE) {
        gossip__sync_news(g);
    }
}

/* Ask at the old address before the name goes to the new one. */
static void claim_start(struct gossip *g, struct gossip__member *m, const struct gossip__alive *a,
                        struct mu_span bytes)
{
    struct gossip__claim *claim = mu_new(sizeof *claim);

    mu_buf_add_span(&claim->part, part_of(g, a, bytes));
    mu_buf_add_span(&claim->meta, a->meta);
    claim->alive = *a;
    claim->alive.node = NULL; /* when it is settled: cards come and go meanwhile */
    claim->alive.meta = mu_buf_span(&claim->meta);
    gossip__deal(m)->claim = claim;
    gossip__inquiry_claim(g, m);
}

/* May the name move to the address in `a`? Not while its holder lives there. A node that moved, or
 * a copy of its directory, is told from its holder by asking at the old address; so is, once the
 * holder was declared dead, another machine of that name: a rebuilt one need not wait until the
 * reclaim time is over, unless names are not given away at all (0). */
static bool may_move(struct gossip *g, struct gossip__member *m, const struct gossip__alive *a,
                     struct mu_span bytes)
{
    bool is_same = !mu_id_is_none(&a->node_id) && mu_id_eq(&a->node_id, &m->card->node_id);
    uint32_t reclaim = g->profile.reclaim_ms;
    bool is_free = m->state == GOSSIP__DEAD && reclaim > 0;

    if (m->state == GOSSIP__GONE || (m->state == GOSSIP__DEAD && is_same) ||
        (is_free && g->now_ms >= m->state_ms + reclaim)) {
        return true;
    }
    if (!is_same && !is_free) {
        conflict(g, m, a);
        return false;
    }
    if (a->incarnation <= m->incarnation) {
        if (a->boot_id != m->card->boot_id) {
            gossip__accuse(g, m, &a->at); /* without the memory of the life before */
        }
        return false;
    }
    if (gossip__dealings(m)->claim == NULL) {
        claim_start(g, m, a, bytes);
    }
    return false;
}

void gossip__claim_free(struct gossip__claim *claim)
{
    if (claim != NULL) {
        mu_buf_deinit(&claim->part);
        mu_buf_deinit(&claim->meta);
        mu_free(claim);
    }
}

void gossip__claim_settle(struct gossip *g, struct gossip__member *m, bool holder_lives)
{
    struct gossip__claim *claim = gossip__dealings(m)->claim;
    struct gossip__source src = { .addr = MU_ADDR_NONE };

    MU_ASSERT(claim != NULL);
    claim->alive.node = m->card->name;
    m->dealings->claim = NULL;
    if (holder_lives) {
        conflict(g, m, &claim->alive);
    } else if (claim->alive.incarnation > m->incarnation) {
        gossip__log(g, MU_TRACE, "%s moved, its old address is silent", m->card->name);
        accept_alive(g, m, &claim->alive, mu_buf_span(&claim->part), &src);
    }
    gossip__claim_free(claim);
}

/* Our name from elsewhere, or from an earlier life of ours (4.4). */
static void on_alive_self(struct gossip *g, const struct gossip__alive *a,
                          const struct gossip__source *src)
{
    struct gossip__member *self = g->self;
    bool is_here = mu_addr_eq(&a->at, &self->card->addr);
    bool is_us = !mu_id_is_none(&a->node_id) && mu_id_eq(&a->node_id, &self->card->node_id);

    if (self->state == GOSSIP__GONE || g->leave.stage != GOSSIP__LEAVE_NONE) {
        return;
    }
    if (!is_here && !is_us) {
        conflict(g, self, a);
        return;
    }
    if (a->incarnation < self->incarnation ||
        (a->incarnation == self->incarnation && a->boot_id == self->card->boot_id &&
         is_described(self, a)) ||
        jumps_too_far(g, self, a->incarnation)) {
        return;
    }
    if (!is_here) { /* we moved; or our double lives, and must not race us upwards for ever */
        if (g->self_claim_ms != 0 && g->now_ms < g->self_claim_ms + SELF_CLAIM_MS) {
            return;
        }
        g->self_claim_ms = g->now_ms;
    }
    gossip__log(g, MU_DEBUG, "memberlist: Refuting an alive message for '%s'", self->card->name);
    gossip__refute(g, a->incarnation, src);
}

static void refused(struct gossip *g, const struct gossip__alive *a, const char *why,
                    const struct gossip__member *held)
{
    gossip__count(g, GOSSIP_COUNT_MEMBER_REFUSED);
    if (g->refused_log_ms != 0 && g->now_ms < g->refused_log_ms + REFUSED_LOG_MS) {
        return;
    }
    g->refused_log_ms = g->now_ms;
    gossip__log(g, MU_WARN, "memberlist: ignoring alive message for '%s': %s", a->node, why);
    if (held != NULL) {
        tell_conflict(g, &a->at, held, why);
    }
}

const char *gossip__network_refused(struct gossip *g, const struct mu_addr *at)
{
    char text[MU_ADDR_TEXT_MAX];
    size_t i = 0;

    while (i < g->networks_count && !mu_net_has(&g->networks[i], at)) {
        i++;
    }
    if (i < g->networks_count || i == 0) {
        return NULL;
    }
    mu_addr_ip_text(at, text);
    return mu_arena_printf(&g->step, "its address %s is in none of the networks that may take part",
                           text);
}

void gossip__on_alive(struct gossip *g, const struct gossip__alive *a, struct mu_span bytes,
                      const struct gossip__source *src)
{
    struct gossip__member *m = gossip__member_find(g, a->node);
    const struct gossip__tombstone *grave = m == NULL ? gossip__tombstone_find(g, a->node) : NULL;
    const struct gossip__member *held;

    if (!versions_ok(a)) {
        gossip__say(g, GOSSIP__TOPIC_VERSION, MU_WARN,
                    "memberlist: ignoring an alive message for '%s' with version 0", a->node);
        return;
    }
    if (a->incarnation == 0) {
        gossip__count(g, GOSSIP_COUNT_INCARNATION_REFUSED);
        return;
    }
    if (!gossip__address_ok(&a->at, &src->addr)) {
        gossip__count(g, GOSSIP_COUNT_ADDRESS_REFUSED);
        return;
    }
    if (m == g->self) {
        on_alive_self(g, a, src);
        return;
    }
    const char *why = gossip__alive_refused(g, a, &held);

    why = why == NULL ? gossip__network_refused(g, &a->at) : why;
    if (why != NULL) {
        refused(g, a, why, held);
        return;
    }
    if (grave != NULL && a->incarnation <= grave->incarnation) {
        struct gossip__part part = { .kind = GOSSIP__PART_DEAD,
                                     .dead = { .node = a->node,
                                               .from = g->self->card->name,
                                               .incarnation = grave->incarnation } };

        gossip__count(g, GOSSIP_COUNT_STALE_ANSWERED);
        gossip__send_part(g, &a->at, NULL, &part);
        return;
    }
    if (m == NULL) {
        if (g->members.count >= MU_GOSSIP_MEMBERS_MAX) {
            gossip__count(g, GOSSIP_COUNT_MEMBER_REFUSED);
            return;
        }
        gossip__tombstone_remove(g, a->node);
        m = gossip__member_add(g, a);
    } else if (jumps_too_far(g, m, a->incarnation)) {
        return;
    } else if (!mu_addr_eq(&m->card->addr, &a->at) && !may_move(g, m, a, bytes)) {
        return;
    }
    if (a->incarnation > m->incarnation) {
        accept_alive(g, m, a, bytes, src);
    } else if (m->state != GOSSIP__ALIVE) {
        gossip__accuse(g, m, &a->at);
    } else {
        gossip__heard_keep(g, m, bytes);
    }
}

/* -- 4.2 suspect(i, from) -----------------------------------------------------------------------
 */

/* For the log, if there is one. */
static const char *said_by(struct gossip *g, const char *what, const char *from)
{
    return g->log != NULL ? mu_arena_printf(&g->step, "%s by %s", what, from) : what;
}

static void raise(struct gossip__member *m, uint64_t incarnation)
{
    if (incarnation > m->incarnation) {
        m->incarnation = incarnation;
    }
}

static void refute_accusation(struct gossip *g, uint64_t accused, const char *what,
                              const char *from, const struct gossip__source *src)
{
    struct gossip__member *self = g->self;

    if (self->state == GOSSIP__GONE || g->leave.stage != GOSSIP__LEAVE_NONE ||
        jumps_too_far(g, self, accused)) {
        return;
    }
    if (accused < self->incarnation) { /* refuted long ago, but the accuser did not hear of it */
        if (src->sender != NULL && strcmp(src->sender->card->name, from) == 0) {
            reply_alive(g, src);
        }
        return;
    }
    gossip__say(g, GOSSIP__TOPIC_REFUTED, MU_WARN, "memberlist: Refuting a %s message (from: %s)%s",
                what, from, src->is_stream ? " via push/pull" : "");
    gossip__refute(g, accused, src);
    gossip__record(g, self, (struct gossip_record){ .change = GOSSIP_CHANGE_REFUTED, .by = from });
    struct gossip_view view = gossip__member_view(g, self);

    gossip__notice(g, GOSSIP_REFUTED, &view, NULL);
}

/* Only the member itself raises its number. One that is accused at a higher one than we suspect it
 * at has denied that, where we did not hear it: the new accuser does not join the old one, as by
 * 4.2, and the time that has passed says nothing. */
static void denied_unheard(struct gossip *g, struct gossip__member *m)
{
    gossip__count(g, GOSSIP_COUNT_SUSPICIONS_REFUTED);
    gossip__suspicion_denied(g, m);
    gossip__member_move(g, m, GOSSIP__ALIVE, "it must have said so");
    gossip__record(g, m, (struct gossip_record){ .change = GOSSIP_CHANGE_REFUTED });
}

void gossip__on_suspect(struct gossip *g, const struct gossip__suspect *s, struct mu_span bytes,
                        const struct gossip__source *src)
{
    struct gossip__member *m = gossip__member_find(g, s->node);

    if (m == NULL) {
        return;
    }
    if (m == g->self) {
        refute_accusation(g, s->incarnation, "suspect", s->from, src);
        return;
    }
    if (s->incarnation < m->incarnation || jumps_too_far(g, m, s->incarnation)) {
        return;
    }
    bool is_anew = m->state == GOSSIP__SUSPECT && s->incarnation > m->incarnation;

    raise(m, s->incarnation);
    if (is_anew) {
        denied_unheard(g, m);
    }
    switch (m->state) {
    case GOSSIP__ALIVE:
        gossip__member_move(g, m, GOSSIP__SUSPECT, said_by(g, "accused", s->from));
        gossip__record(g, m,
                       (struct gossip_record){ .change = GOSSIP_CHANGE_SUSPECTED,
                                               .by = s->from,
                                               .way = gossip__way_of(s->evidence) });
        gossip__suspicion_start(g, m, s->from, s->evidence);
        (void)gossip__rumor_add(g, GOSSIP__QUEUE_CORE, m, bytes, src->sender);
        break;
    case GOSSIP__SUSPECT:
        if (gossip__suspicion_confirm(g, m, s->from, s->evidence)) {
            (void)gossip__rumor_add(g, GOSSIP__QUEUE_CORE, m, bytes, src->sender);
        }
        break;
    case GOSSIP__DEAD:
    case GOSSIP__GONE: gossip__heard_keep(g, m, bytes); break;
    }
}

/* Our own probe failed. The suspect hears it at once, so that it can refute in time (17). */
void gossip__conclude_suspect(struct gossip *g, struct gossip__member *m,
                              enum gossip__evidence evidence)
{
    struct gossip__source src = { .addr = MU_ADDR_NONE };
    bool is_first = m->state == GOSSIP__ALIVE;
    struct gossip__part part = suspect_part(g, m, evidence);

    gossip__on_suspect(g, &part.suspect, gossip__part_encode(&part, &g->step), &src);
    if (is_first) {
        gossip__send_part(g, &m->card->addr, NULL, &part);
    }
}

/* -- 4.3 dead(i, from) --------------------------------------------------------------------------
 */

static void bury(struct gossip *g, struct gossip__member *m, const char *from, bool has_left)
{
    gossip__count(g, GOSSIP_COUNT_DEATHS);
    gossip__member_move(g, m, has_left ? GOSSIP__GONE : GOSSIP__DEAD,
                        has_left ? "it says so" : said_by(g, "declared", from));
    gossip__record(
        g, m,
        (struct gossip_record){ .change = has_left ? GOSSIP_CHANGE_LEFT : GOSSIP_CHANGE_DEAD,
                                .by = has_left ? NULL : from });
    if (g->probe.target == m) {
        gossip__probe_abandon(g, "it is gone");
    }
    gossip__serf_gone(g, m);
}

/* Deviation from the reference: whoever is declared dead was suspected first, for two probe
 * intervals and more, and we would know. Where we do not, the word comes from a part of the network
 * that was cut off, and it may be our neighbour. He hears it too, and has an interval to deny it.
 */
static bool is_given_notice(struct gossip *g, struct gossip__member *m, const char *from)
{
    if (m->state == GOSSIP__ALIVE) {
        gossip__member_move(g, m, GOSSIP__SUSPECT, said_by(g, "declared dead", from));
        gossip__record(g, m,
                       (struct gossip_record){ .change = GOSSIP_CHANGE_SUSPECTED,
                                               .by = from,
                                               .way = gossip__way_of(GOSSIP__SILENT) });
        gossip__suspicion_start(g, m, from, GOSSIP__SILENT);
    }
    return gossip__suspicion_told(g, m);
}

static bool is_known_dead(const struct gossip__member *m)
{
    return m->state == GOSSIP__DEAD ||
           (m->state == GOSSIP__SUSPECT && m->dealings->suspicion->is_told);
}

void gossip__on_dead(struct gossip *g, const struct gossip__dead *d, struct mu_span bytes,
                     const struct gossip__source *src)
{
    struct gossip__member *m = gossip__member_find(g, d->node);
    bool has_left = strcmp(d->node, d->from) == 0;

    if (m == NULL) {
        return;
    }
    if (m == g->self) {
        refute_accusation(g, d->incarnation, "dead", d->from, src);
        return;
    }
    if (d->incarnation < m->incarnation || jumps_too_far(g, m, d->incarnation)) {
        return;
    }
    raise(m, d->incarnation);
    if (m->state == GOSSIP__GONE || (is_known_dead(m) && !has_left)) {
        gossip__heard_keep(g, m, bytes);
        return;
    }
    if (has_left || !is_given_notice(g, m, d->from)) {
        bury(g, m, d->from, has_left);
    }
    (void)gossip__rumor_add(g, GOSSIP__QUEUE_CORE, m, bytes, src->sender);
}

void gossip__conclude_dead(struct gossip *g, struct gossip__member *m, bool has_left)
{
    struct gossip__part part = dead_part(g, m);

    MU_ASSERT(m != g->self && m->state != GOSSIP__GONE);
    part.dead.from = has_left ? m->card->name : g->self->card->name;
    bury(g, m, part.dead.from, has_left);
    (void)gossip__rumor_add(g, GOSSIP__QUEUE_CORE, m, gossip__part_encode(&part, &g->step), NULL);
}
