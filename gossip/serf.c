/* serf.c - what users see: leaving and left, intents on Lamport time, reaping (13.1 to 13.5).
 *
 *                     leave intent               gone, or dead
 *   (none) -> ALIVE ----------------> LEAVING ------------------> LEFT
 *               |  ^ <- join intent ----'                          ^
 *               |  '---- the detector sees it alive again -----.   | leave intent (forced),
 *               '--- dead ---> FAILED -------------------------+---' or it says so itself
 *
 * A member that said farewell (GONE in the detector) is LEFT whatever the status before; the
 * reference needs the intent for that, and shows `failed` when the two came in the wrong order.
 *
 * Handlers of intents return true only for what is new: then, and only then, it is passed on.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "core.h"

#define REAP_MS            15000
#define BUFFERED_MS        (5 * 60 * 1000) /* intents about nodes we do not know */
#define BUFFERED_MAX       4096            /* of them, and of tombstones: the oldest goes */
#define TOMBSTONE_MS_MIN   (10 * 60 * 1000)
#define TIME_JUMP_MAX      (1ULL << 32) /* of a Lamport clock: poisoned */
#define FLAP_MS            60000        /* failed for less: it flaps (13.3) */
#define CONFLICT_NOTICE_MS 5000
#define CONFLICT_RETRY_MS  6000 /* more than the peer's own pause between two refusals */

const char *gossip_status_text(enum gossip_status status)
{
    static const char *const text[] = {
        [GOSSIP_STATUS_NONE] = "none",       [GOSSIP_STATUS_ALIVE] = "alive",
        [GOSSIP_STATUS_LEAVING] = "leaving", [GOSSIP_STATUS_LEFT] = "left",
        [GOSSIP_STATUS_FAILED] = "failed",
    };

    return (size_t)status < MU_LEN(text) ? text[status] : "unknown";
}

/* -- status -------------------------------------------------------------------------------------
 */

static void count_status(struct gossip *g, enum gossip_status status, size_t by)
{
    g->failed_count += status == GOSSIP_STATUS_FAILED ? by : 0;
    g->left_count += status == GOSSIP_STATUS_LEFT ? by : 0;
    g->leaving_count += status == GOSSIP_STATUS_LEAVING ? by : 0;
}

static void reap_wake(struct gossip *g)
{
    if (g->reap_at_ms == GOSSIP__NEVER) {
        g->reap_at_ms = g->now_ms + REAP_MS;
    }
}

/* How long a failed member is kept: a tag of its own may say (13.10). */
static uint64_t failed_ms(const struct gossip *g, const struct gossip__member *m,
                          enum gossip_rule *rule)
{
    for (size_t i = 0; i < m->card->tags.count; i++) {
        int64_t ns = 0;

        if (mu_span_eq_text(m->card->tags.items[i].key, "rc_tm") &&
            mu_duration_parse(m->card->tags.items[i].value, &ns, NULL, 0) && ns > 0) {
            *rule = GOSSIP_RULE_OWN;
            return (uint64_t)(ns / MU_NS_PER_MS);
        }
    }
    *rule = GOSSIP_RULE_FAILED;
    return g->profile.reconnect_timeout_ms;
}

/* GOSSIP__NEVER: it is not gone. */
static uint64_t forgotten_at(const struct gossip *g, const struct gossip__member *m,
                             enum gossip_rule *rule)
{
    if (m->status == GOSSIP_STATUS_FAILED) {
        return m->status_ms + failed_ms(g, m, rule);
    }
    *rule = GOSSIP_RULE_LEFT;
    return m->status == GOSSIP_STATUS_LEFT && m != g->self ? m->status_ms + g->profile.tombstone_ms
                                                           : GOSSIP__NEVER;
}

bool gossip_forgets(const struct gossip *g, const char *name, struct gossip_forgetting *out)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    *out = (struct gossip_forgetting){ .at_ms = GOSSIP__NEVER, .now_ms = g->now_ms };
    if (m == NULL) {
        return false;
    }
    uint64_t prune_ms = gossip__dealings(m)->prune_ms;

    out->at_ms = forgotten_at(g, m, &out->rule);
    if (prune_ms > 0 && prune_ms < out->at_ms) {
        out->rule = GOSSIP_RULE_PRUNED;
        out->at_ms = prune_ms;
    }
    return out->at_ms != GOSSIP__NEVER;
}

/* Not only once in a reap interval: who says how long it is to be remembered is taken at its word.
 */
static void reap_plan(struct gossip *g, const struct gossip__member *m)
{
    enum gossip_rule rule;
    uint64_t at_ms = forgotten_at(g, m, &rule);

    g->forget_at_ms = at_ms < g->forget_at_ms ? at_ms : g->forget_at_ms;
    g->reap_at_ms = at_ms < g->reap_at_ms ? at_ms : g->reap_at_ms;
}

static void status_set(struct gossip *g, struct gossip__member *m, enum gossip_status to)
{
    count_status(g, m->status, (size_t)-1);
    count_status(g, to, 1);
    m->status = to;
    m->status_ms = g->now_ms;
    if (m->dealings != NULL) {
        m->dealings->retry_ms = m->dealings->retries = 0;
    }
    if (to == GOSSIP_STATUS_FAILED || to == GOSSIP_STATUS_LEFT) {
        gossip__count(g, to == GOSSIP_STATUS_FAILED ? GOSSIP_COUNT_MEMBERS_FAILED
                                                    : GOSSIP_COUNT_MEMBERS_LEFT);
        reap_wake(g);
        reap_plan(g, m);
    }
}

static void tell(struct gossip *g, struct gossip__member *m, enum gossip_notice_kind kind,
                 const char *event)
{
    struct gossip_view view = gossip__member_view(g, m);
    char ip[MU_ADDR_TEXT_MAX];

    mu_addr_ip_text(&m->card->addr, ip);
    gossip__log(g, MU_INFO, "serf: %s: %s %s", event, m->card->name, ip);
    gossip__notice(g, kind, &view, NULL);
}

/* -- the detector says --------------------------------------------------------------------------
 */

void gossip__serf_alive(struct gossip *g, struct gossip__member *m)
{
    struct gossip__buffered *b = mu_table_remove(g->buffered, mu_span_text(m->card->name));
    bool is_new = m->status == GOSSIP_STATUS_NONE;

    gossip__count(g, GOSSIP_COUNT_MEMBERS_JOINED);
    if (m->status == GOSSIP_STATUS_FAILED && g->now_ms - m->status_ms < FLAP_MS) {
        gossip__count(g, GOSSIP_COUNT_MEMBERS_FLAPPED);
    }
    status_set(g, m, GOSSIP_STATUS_ALIVE);
    if (m->dealings != NULL) {
        m->dealings->prune_ms = 0;
    }
    if (is_new && b != NULL) {
        m->status_ltime = b->ltime;
        if (b->is_leave) {
            status_set(g, m, GOSSIP_STATUS_LEAVING);
        }
    }
    mu_free(b);
    tell(g, m, GOSSIP_JOINED, "EventMemberJoin");
}

void gossip__serf_updated(struct gossip *g, struct gossip__member *m)
{
    struct gossip_view view = gossip__member_view(g, m);

    gossip__count(g, GOSSIP_COUNT_MEMBERS_UPDATED);
    gossip__log(g, MU_INFO, "serf: EventMemberUpdate: %s", m->card->name);
    gossip__notice(g, GOSSIP_UPDATED, &view, NULL);
}

void gossip__serf_gone(struct gossip *g, struct gossip__member *m)
{
    bool has_left = m->state == GOSSIP__GONE || m->status == GOSSIP_STATUS_LEAVING;

    if (m->status == GOSSIP_STATUS_LEFT || m->status == GOSSIP_STATUS_NONE ||
        (m->status == GOSSIP_STATUS_FAILED && !has_left)) {
        return;
    }
    status_set(g, m, has_left ? GOSSIP_STATUS_LEFT : GOSSIP_STATUS_FAILED);
    tell(g, m, has_left ? GOSSIP_LEFT : GOSSIP_FAILED,
         has_left ? "EventMemberLeave" : "EventMemberFailed");
    gossip__join_lost(g);
}

/* A leaving member still answers: after a while we no longer believe that it leaves (10). */
void gossip__serf_probed(struct gossip *g, struct gossip__member *m)
{
    struct gossip__suspicion_terms t =
        gossip__suspicion_terms(&g->profile, g->list_count, g->alive_count, GOSSIP__SILENT);
    uint64_t patience = g->profile.broadcast_timeout_ms + g->profile.leave_propagate_ms + t.max_ms;

    if (m->status == GOSSIP_STATUS_LEAVING && g->now_ms >= m->status_ms + patience) {
        gossip__log(g, MU_TRACE, "%s does not leave after all", m->card->name);
        status_set(g, m, GOSSIP_STATUS_ALIVE);
    }
}

/* -- Lamport time -------------------------------------------------------------------------------
 */

bool gossip__witness(struct gossip *g, uint64_t *clock, uint64_t ltime)
{
    if (ltime > *clock && ltime - *clock > TIME_JUMP_MAX) {
        gossip__count(g, GOSSIP_COUNT_TIME_REFUSED);
        return false;
    }
    if (ltime >= *clock) {
        *clock = ltime + 1;
    }
    return true;
}

bool gossip__serf_witness(struct gossip *g, uint64_t ltime)
{
    return gossip__witness(g, &g->member_time, ltime);
}

static void *oldest_value(struct mu_table *t, struct mu_span *key)
{
    struct mu_table_at at = { .started = false };

    MU_ASSERT(mu_table_next(t, &at));
    *key = at.key;
    return at.value;
}

static bool buffer_intent(struct gossip *g, const struct gossip__intent *in, bool is_leave)
{
    struct gossip__buffered *b = mu_table_find(g->buffered, mu_span_text(in->node));
    struct mu_span key;

    if (b != NULL && in->ltime <= b->ltime) {
        return false;
    }
    if (b == NULL) {
        if (mu_table_count(g->buffered) >= BUFFERED_MAX) {
            mu_free(oldest_value(g->buffered, &key));
            (void)mu_table_remove(g->buffered, key);
        }
        b = mu_new(sizeof *b);
        (void)mu_table_put(g->buffered, mu_span_text(in->node), b);
    }
    *b = (struct gossip__buffered){ .ltime = in->ltime, .at_ms = g->now_ms, .is_leave = is_leave };
    reap_wake(g);
    return true;
}

/* Somebody we have forgotten on purpose: an intent from before changes nothing. */
static bool is_buried(const struct gossip *g, const struct gossip__intent *in)
{
    const struct gossip__tombstone *t = gossip__tombstone_find(g, in->node);

    return t != NULL && in->ltime <= t->ltime;
}

/* -- intents ------------------------------------------------------------------------------------
 */

static void queue_intent(struct gossip *g, struct gossip__part *part)
{
    (void)gossip__rumor_add(g, GOSSIP__QUEUE_INTENT, NULL, gossip__part_encode(part, &g->step),
                            NULL);
}

void gossip__serf_broadcast_join(struct gossip *g)
{
    struct gossip__part part = { .kind = GOSSIP__PART_JOIN,
                                 .intent = { .node = g->self->card->name,
                                             .ltime = g->member_time } };

    if (g->leave.stage != GOSSIP__LEAVE_NONE) {
        return;
    }
    g->member_time++;
    (void)gossip__serf_join_intent(g, &part.intent);
    queue_intent(g, &part);
}

bool gossip__serf_join_intent(struct gossip *g, const struct gossip__intent *in)
{
    struct gossip__member *m = gossip__member_find(g, in->node);

    if (!gossip__serf_witness(g, in->ltime) || is_buried(g, in)) {
        return false;
    }
    if (m == NULL) {
        return buffer_intent(g, in, false);
    }
    if (in->ltime <= m->status_ltime) {
        return false;
    }
    m->status_ltime = in->ltime;
    if (m->status == GOSSIP_STATUS_LEAVING && m != g->self) {
        gossip__log(g, MU_TRACE, "%s: leaving -> alive, it says so", m->card->name);
        status_set(g, m, GOSSIP_STATUS_ALIVE);
    }
    return true;
}

static void reap(struct gossip *g, struct gossip__member *m, bool is_pruned);

static void prune(struct gossip *g, struct gossip__member *m)
{
    if (m->status != GOSSIP_STATUS_LEAVING) {
        reap(g, m, true);
        return;
    }
    /* Its departure is still on the way round; the reference sleeps here, with the lock held. */
    uint64_t at_ms = g->now_ms + g->profile.broadcast_timeout_ms + g->profile.leave_propagate_ms;

    gossip__deal(m)->prune_ms = at_ms;
    g->prune_at_ms = at_ms < g->prune_at_ms ? at_ms : g->prune_at_ms;
}

bool gossip__serf_leave_intent(struct gossip *g, const struct gossip__intent *in)
{
    struct gossip__member *m = gossip__member_find(g, in->node);

    if (!gossip__serf_witness(g, in->ltime) || is_buried(g, in)) {
        return false;
    }
    if (m == NULL) {
        return buffer_intent(g, in, true);
    }
    if (m == g->self && g->leave.stage == GOSSIP__LEAVE_NONE && in->ltime >= m->status_ltime) {
        /* Also of the very time of our last word: whoever heard this one first ignores that. */
        gossip__log(g, MU_DEBUG, "serf: refuting an older leave intent");
        gossip__serf_broadcast_join(g); /* somebody forces us out, but we live (10) */
        return false;
    }
    if (in->ltime <= m->status_ltime) {
        return false;
    }
    m->status_ltime = in->ltime; /* even without a change, or two of these would chase each other */
    if (m->status == GOSSIP_STATUS_ALIVE) {
        gossip__log(g, MU_TRACE, "%s: alive -> leaving", m->card->name);
        gossip__count(g, GOSSIP_COUNT_MEMBERS_LEAVING);
        status_set(g, m, GOSSIP_STATUS_LEAVING);
        gossip__record(g, m, (struct gossip_record){ .change = GOSSIP_CHANGE_LEAVING });
    } else if (m->status == GOSSIP_STATUS_FAILED) {
        status_set(g, m, GOSSIP_STATUS_LEFT);
        gossip__record(g, m, (struct gossip_record){ .change = GOSSIP_CHANGE_LEFT });
        tell(g, m, GOSSIP_LEFT, "EventMemberLeave (forced)");
    }
    if (in->prune && m != g->self) {
        prune(g, m);
    }
    return true;
}

void gossip__on_force_leave(struct gossip *g, const char *name, bool is_prune)
{
    struct gossip__part part = { .kind = GOSSIP__PART_LEAVE,
                                 .intent = {
                                     .node = name, .ltime = g->member_time, .prune = is_prune } };

    if (gossip__member_find(g, name) == NULL) {
        return;
    }
    g->member_time++;
    (void)gossip__serf_leave_intent(g, &part.intent);
    queue_intent(g, &part);
}

/* -- conflicts ----------------------------------------------------------------------------------
 */

const char *gossip__conflict_notice(struct gossip *g, const char *text,
                                    const struct gossip__alive *held, const struct mu_addr *from)
{
    struct gossip_view view = { .name = mu_arena_strdup(&g->step, held->node),
                                .addr = held->at,
                                .status = GOSSIP_STATUS_ALIVE,
                                .node_id = held->node_id,
                                .boot_id = held->boot_id,
                                .incarnation = held->incarnation };
    char at[MU_ADDR_TEXT_MAX];
    char id[MU_ID_TEXT_BYTES + 1];

    mu_addr_text(&held->at, at);
    mu_id_text(&held->node_id, id);
    text = mu_arena_printf(&g->step, "%s, held by '%s' at %s with node ID '%s'", text, held->node,
                           at, id);
    if (from != NULL) {
        g->conflict_peer = *from;
        g->conflict_retry_ms = g->now_ms + CONFLICT_RETRY_MS;
    }
    if (g->conflict_notice_ms == 0 || g->now_ms >= g->conflict_notice_ms + CONFLICT_NOTICE_MS) {
        g->conflict_notice_ms = g->now_ms;
        gossip__log(g, MU_ERROR, "serf: refused by a peer: %s", text);
        gossip__notice(g, GOSSIP_CONFLICT, &view, text);
    }
    return text;
}

/* The holder may be our own dead self, and be buried by now. */
static void conflict_retry(struct gossip *g)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    g->conflict_retry_ms = GOSSIP__NEVER;
    if (g->leave.stage == GOSSIP__LEAVE_NONE) {
        part.alive = gossip__member_record(g->self);
        gossip__send_part(g, &g->conflict_peer, NULL, &part);
    }
}

/* -- tombstones ---------------------------------------------------------------------------------
 */

const struct gossip__tombstone *gossip__tombstone_find(const struct gossip *g, const char *name)
{
    return mu_table_find(g->tombstones, mu_span_text(name));
}

static void tombstone_free(struct gossip__tombstone *t)
{
    if (t != NULL) {
        mu_free(t->name);
        mu_free(t);
    }
}

void gossip__tombstone_remove(struct gossip *g, const char *name)
{
    tombstone_free(mu_table_remove(g->tombstones, mu_span_text(name)));
}

static struct gossip__tombstone *tombstone_put(struct gossip *g, const char *name)
{
    struct gossip__tombstone *t = mu_table_find(g->tombstones, mu_span_text(name));
    struct mu_span key;

    if (t != NULL) {
        return t;
    }
    if (mu_table_count(g->tombstones) >= BUFFERED_MAX) {
        t = oldest_value(g->tombstones, &key);
        (void)mu_table_remove(g->tombstones, key);
        tombstone_free(t);
    }
    t = mu_new(sizeof *t);
    t->name = mu_strdup(name);
    t->since_ms = g->now_ms;
    (void)mu_table_put(g->tombstones, mu_span_text(t->name), t);
    reap_wake(g);
    return t;
}

static void reap(struct gossip *g, struct gossip__member *m, bool is_pruned)
{
    uint64_t keep = 20ULL * g->profile.push_pull_ms;
    struct gossip__tombstone *t;

    MU_ASSERT(m->status == GOSSIP_STATUS_FAILED || m->status == GOSSIP_STATUS_LEFT);
    t = tombstone_put(g, m->card->name);
    t->incarnation = m->incarnation;
    t->ltime = m->status_ltime;
    t->is_pruned = is_pruned;
    t->keep_ms = keep < TOMBSTONE_MS_MIN ? TOMBSTONE_MS_MIN : keep;
    if (is_pruned && g->profile.tombstone_ms > t->keep_ms) {
        t->keep_ms = g->profile.tombstone_ms;
    }
    if (is_pruned) {
        tell(g, m, GOSSIP_REAPED, "EventMemberReap (forced)");
    } else { /* without an address: scripts match on these lines */
        struct gossip_view view = gossip__member_view(g, m);

        gossip__log(g, MU_INFO, "serf: EventMemberReap: %s", m->card->name);
        gossip__notice(g, GOSSIP_REAPED, &view, NULL);
    }
    count_status(g, m->status, (size_t)-1);
    gossip__member_drop(g, m);
}

/* A peer remembers that this one was pruned; its age comes along, so that being told again and
 * again never makes it last longer. */
void gossip__tombstone_learn(struct gossip *g, const struct gossip__tombstone_record *r)
{
    struct gossip__member *m = gossip__member_find(g, r->node);
    struct gossip__tombstone *t = mu_table_find(g->tombstones, mu_span_text(r->node));
    uint64_t since = g->now_ms > r->age_ms ? g->now_ms - r->age_ms : 0;

    if (r->age_ms >= g->profile.tombstone_ms || !gossip__serf_witness(g, r->ltime)) {
        return;
    }
    if (m != NULL) {
        bool is_over = m->status == GOSSIP_STATUS_FAILED || m->status == GOSSIP_STATUS_LEFT;

        if (!is_over || m->incarnation > r->incarnation || m->status_ltime > r->ltime) {
            return; /* it came back since */
        }
        m->incarnation = r->incarnation;
        m->status_ltime = r->ltime;
        reap(g, m, true);
        t = mu_table_find(g->tombstones, mu_span_text(r->node));
    } else if (t == NULL) {
        t = tombstone_put(g, r->node);
        t->is_pruned = true;
        t->keep_ms = g->profile.tombstone_ms;
    }
    t->incarnation = r->incarnation > t->incarnation ? r->incarnation : t->incarnation;
    t->ltime = r->ltime > t->ltime ? r->ltime : t->ltime;
    t->since_ms = since < t->since_ms ? since : t->since_ms;
}

/* -- time ---------------------------------------------------------------------------------------
 */

/* The one after this: where it was, if that one is gone. */
static size_t next_place(const struct gossip *g, size_t place, const struct gossip__member *m)
{
    return place + (place < g->members.count && g->members.items[place] == m);
}

/* Those whose time is over; and when the next one's is. */
static void reap_members(struct gossip *g)
{
    g->forget_at_ms = GOSSIP__NEVER;
    for (size_t i = 0; i < g->members.count;) {
        struct gossip__member *m = g->members.items[i];
        enum gossip_rule rule;
        uint64_t at_ms = forgotten_at(g, m, &rule);

        if (at_ms <= g->now_ms) {
            reap(g, m, false);
        } else if (at_ms < g->forget_at_ms) {
            g->forget_at_ms = at_ms;
        }
        i = next_place(g, i, m);
    }
}

static void reap_memories(struct gossip *g)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(g->buffered, &at)) {
        struct gossip__buffered *b = at.value;

        if (g->now_ms >= b->at_ms + BUFFERED_MS) {
            (void)mu_table_remove(g->buffered, at.key);
            mu_free(b);
        }
    }
    at = (struct mu_table_at){ .started = false };
    while (mu_table_next(g->tombstones, &at)) {
        struct gossip__tombstone *t = at.value;

        if (g->now_ms >= t->since_ms + t->keep_ms) {
            (void)mu_table_remove(g->tombstones, at.key);
            tombstone_free(t);
        }
    }
}

/* Looked at again when the first may be due: it is not known whose time became shorter. */
void gossip__serf_replan(struct gossip *g)
{
    for (size_t i = 0; i < g->members.count; i++) {
        reap_plan(g, g->members.items[i]);
    }
}

static void prune_when_due(struct gossip *g, struct gossip__member *m)
{
    uint64_t at_ms = gossip__dealings(m)->prune_ms;

    if (at_ms == 0) {
        return;
    }
    if (at_ms > g->now_ms) {
        g->prune_at_ms = at_ms < g->prune_at_ms ? at_ms : g->prune_at_ms;
    } else if (m->status == GOSSIP_STATUS_LEFT || m->status == GOSSIP_STATUS_FAILED) {
        reap(g, m, true);
    } else {
        m->dealings->prune_ms = 0; /* it lives, and has said so or will */
    }
}

static void prune_due(struct gossip *g)
{
    g->prune_at_ms = GOSSIP__NEVER;
    for (size_t i = 0; i < g->members.count;) {
        struct gossip__member *m = g->members.items[i];

        prune_when_due(g, m);
        i = next_place(g, i, m);
    }
}

uint64_t gossip__serf_due(const struct gossip *g)
{
    uint64_t due = g->reap_at_ms < g->prune_at_ms ? g->reap_at_ms : g->prune_at_ms;

    return g->conflict_retry_ms < due ? g->conflict_retry_ms : due;
}

void gossip__serf_tick(struct gossip *g)
{
    if (g->prune_at_ms <= g->now_ms) {
        prune_due(g);
    }
    if (g->conflict_retry_ms <= g->now_ms) {
        conflict_retry(g);
    }
    if (g->reap_at_ms <= g->now_ms) {
        if (g->forget_at_ms <= g->now_ms) {
            reap_members(g);
        }
        if (g->failed_count + g->left_count == 0) {
            g->forget_at_ms = GOSSIP__NEVER; /* those that it was for are back */
        }
        reap_memories(g);
        g->reap_at_ms = GOSSIP__NEVER;
        if (g->failed_count + g->left_count + mu_table_count(g->buffered) +
                mu_table_count(g->tombstones) >
            0) {
            reap_wake(g);
        }
        g->reap_at_ms = g->forget_at_ms < g->reap_at_ms ? g->forget_at_ms : g->reap_at_ms;
    }
}

void gossip__serf_check(const struct gossip *g)
{
    for (size_t i = 0; i < g->members.count; i++) {
        enum gossip_rule rule;

        MU_ASSERT(forgotten_at(g, g->members.items[i], &rule) >= g->forget_at_ms);
    }
}

void gossip__serf_free_all(struct gossip *g)
{
    struct mu_table_at at = { .started = false };

    while (g->buffered != NULL && mu_table_next(g->buffered, &at)) {
        mu_free(at.value);
    }
    at = (struct mu_table_at){ .started = false };
    while (g->tombstones != NULL && mu_table_next(g->tombstones, &at)) {
        tombstone_free(at.value);
    }
    mu_table_free(g->buffered);
    mu_table_free(g->tombstones);
}
