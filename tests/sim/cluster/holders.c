/* holders.c - clients that hold a lock by a session with a TTL, and the leader who ends sessions,
 * as agent/session.c does it with the same agent/session_timers.h.
 *
 * A holder creates a session, renews it, takes the one lock there is, gives it back. It believes in
 * what it holds for one TTL after it sent what was answered well: what Consul's clients rely on.
 * Judged from there and from true time:
 *
 *   exclusive   no two believe that they hold the lock
 *   not early   no leader ends a session that its holder may still believe in
 *   in time     of a holder that falls silent in a calm cluster the session is gone within twice
 *               its TTL and a little, and not within one; then somebody else gets the lock
 */
#include <string.h>

#include "agent/session_timers.h"
#include "base/assert.h"
#include "base/mem.h"
#include "cluster.h"

#define TTL_MS   10000
#define TTL_TEXT "10s"
#define RENEW_MS 3000
#define SLACK_MS 3000 /* an entry's way, and the pause behind a failed one */
#define HOPS_MAX 3
#define DUE_MAX  8
#define LOCK     MU_SPAN_LIT("lock")
#define NODE     MU_SPAN_LIT("locks") /* gossip knows nobody of this name: it stays */

static size_t holders_count(const struct cluster *c)
{
    size_t clients = c->members_count - c->servers_count;

    return clients < HOLDERS_MAX ? clients : HOLDERS_MAX;
}

static bool believes(const struct cluster *c, const struct holder *h)
{
    return h->holds && c->now_ms - h->renewed_ms < TTL_MS;
}

/* -- the leader's duty ---------------------------------------------------------------------------
 */

static uint64_t clock_of(const struct cluster *c, const struct server *s)
{
    return sim_local(s->node, c->now_ms);
}

static bool is_listed(const struct catalog_sessions *all, const struct mu_id *id)
{
    for (size_t i = 0; i < all->count; i++) {
        if (mu_id_eq(&all->items[i].id, id)) {
            return true;
        }
    }
    return false;
}

static struct catalog_sessions sessions_of(struct cluster *c, struct server *s,
                                           struct mu_arena *arena)
{
    struct catalog_sessions all = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    if (catalog_query_sessions(s->reader, arena, &all, &err) != MU_OK) {
        cluster_fail(c, "%s cannot read its sessions: %s", s->node->name, err.text);
    }
    return all;
}

/* What came and went since the state was looked at last. */
static void look(struct cluster *c, struct server *s)
{
    struct office *o = &s->office;
    struct mu_arena arena;
    size_t kept = 0;

    mu_arena_init(&arena, 0);
    struct catalog_sessions all = sessions_of(c, s, &arena);

    for (size_t i = 0; i < o->sessions_count; i++) {
        if (is_listed(&all, &o->sessions[i])) {
            o->sessions[kept++] = o->sessions[i];
        } else {
            session_timers_remove(o->timers, &o->sessions[i]);
        }
    }
    o->sessions_count = 0;
    for (size_t i = 0; i < all.count; i++) {
        MU_ASSERT(i < SESSIONS_MAX);
        session_timers_set(o->timers, &all.items[i].id, TTL_MS, clock_of(c, s));
        o->sessions[o->sessions_count++] = all.items[i].id;
    }
    mu_arena_deinit(&arena);
    catalog_reader_release(s->reader);
}

static void on_session_ended(struct cluster *c, const struct request *r, enum request_end end)
{
    struct server *s = &c->servers[r->owner];

    if (s->office.state == OFFICE_HELD && s->office.mark == r->mark) {
        session_timers_ended(s->office.timers, &r->session, end == REQUEST_DONE, clock_of(c, s));
    }
}

static void judge_early(const struct cluster *c, const struct server *s, const struct mu_id *id)
{
    for (size_t i = 0; i < holders_count(c); i++) {
        const struct holder *h = &c->holders[i];

        if (h->has_session && mu_id_eq(&h->session, id) && c->now_ms - h->renewed_ms < TTL_MS) {
            cluster_fail(c,
                         "sessions live as long as they are renewed: %s ends that of %s after "
                         "%llu ms",
                         s->node->name, member_name(c, c->servers_count + i),
                         U(c->now_ms - h->renewed_ms));
        }
    }
}

static void end_due(struct cluster *c, struct server *s)
{
    struct mu_id ids[DUE_MAX];
    size_t count = session_timers_due(s->office.timers, clock_of(c, s), ids, DUE_MAX);

    for (size_t i = 0; i < count; i++) {
        struct command end = { .kind = COMMAND_SESSION_DESTROY, .session_destroy.id = ids[i] };
        struct request *r = request_new(c, s->node->place, &end);

        judge_early(c, s, &ids[i]);
        if (r == NULL) {
            session_timers_ended(s->office.timers, &ids[i], false, clock_of(c, s));
            continue;
        }
        r->done = on_session_ended;
        r->owner = s->node->place;
        r->mark = s->office.mark;
        r->session = ids[i];
    }
}

void sessions_lead(struct cluster *c, struct server *s)
{
    session_timers_clear(s->office.timers);
    s->office.sessions_count = 0;
    s->office.sessions_at = 0;
    (void)c;
}

void sessions_run(struct cluster *c, struct server *s)
{
    uint64_t applied = catalog_applied(s->catalog).index;

    if (applied != s->office.sessions_at) {
        s->office.sessions_at = applied;
        look(c, s);
    }
    end_due(c, s);
}

/* -- renewing ------------------------------------------------------------------------------------
 */

static bool session_exists(struct cluster *c, struct server *s, const struct mu_id *id)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    struct catalog_sessions all = sessions_of(c, s, &arena);
    bool exists = is_listed(&all, id);

    mu_arena_deinit(&arena);
    catalog_reader_release(s->reader);
    return exists;
}

static enum renewal_state renew_at(struct cluster *c, struct server *s, const struct holder *h)
{
    if (c->options.broken == BREAK_SESSIONS) {
        return RENEWAL_GOOD;
    }
    switch (session_timers_renew(s->office.timers, &h->session, clock_of(c, s))) {
    case SESSION_RENEWED: return RENEWAL_GOOD;
    case SESSION_OVER: return RENEWAL_OVER;
    case SESSION_UNKNOWN: return session_exists(c, s, &h->session) ? RENEWAL_GOOD : RENEWAL_OVER;
    }
    MU_UNREACHABLE_CODE();
}

static void renewal_arrives(struct cluster *c, struct holder *h)
{
    struct server *s = &c->servers[h->at];
    struct server *leader = cluster_leader(c);

    h->renewal = RENEWAL_FAILED;
    if (!member_runs(c, h->at) || s->catalog == NULL || s->node->core == NULL) {
        return;
    }
    if (s->office.state == OFFICE_HELD) {
        h->renewal = renew_at(c, s, h);
    } else if (leader != NULL && h->hops++ < HOPS_MAX &&
               network_link(c, h->at, leader->node->place)) {
        h->at = leader->node->place;
        h->renewal = RENEWAL_TRAVELS;
    }
    h->due_ms = c->now_ms + cluster_below(c, c->delay_ms + 1);
}

/* Its answer is there. */
static void renewal_ends(struct cluster *c, struct holder *h)
{
    h->is_busy = false;
    if (h->renewal == RENEWAL_GOOD) {
        h->renewed_ms = h->sent_ms;
    } else if (h->renewal == RENEWAL_OVER) {
        h->has_session = h->holds = false;
    }
    h->renew_ms = c->now_ms + (h->renewal == RENEWAL_FAILED ? 200 : RENEW_MS);
    h->renewal = RENEWAL_NONE;
}

/* -- holders -------------------------------------------------------------------------------------
 */

static bool server_for(struct cluster *c, size_t member, size_t *out)
{
    size_t first = cluster_below(c, c->servers_count);

    for (size_t i = 0; i < c->servers_count; i++) {
        *out = (first + i) % c->servers_count;
        if (member_is_up(c, *out) && network_link(c, member, *out)) {
            return true;
        }
    }
    return false;
}

static void on_holder_done(struct cluster *c, const struct request *r, enum request_end end)
{
    struct holder *h = &c->holders[r->owner];
    bool is_good = end == REQUEST_DONE && c->facts[r->index].code == MU_OK;

    if (!h->is_busy || h->mark != r->mark) {
        return; /* of an earlier life */
    }
    h->is_busy = false;
    h->next_ms = c->now_ms + cluster_below(c, 500);
    switch (h->wish) {
    case WISH_NODE: c->has_lock_node = c->has_lock_node || is_good; break;
    case WISH_SESSION:
        h->has_session = is_good;
        h->renewed_ms = h->sent_ms;
        h->renew_ms = c->now_ms + RENEW_MS;
        break;
    case WISH_ACQUIRE:
        h->holds = h->has_session && is_good && c->facts[r->index].did_apply;
        c->sums.locks += h->holds;
        break;
    case WISH_RELEASE: break;
    }
}

static struct command command_for(const struct holder *h)
{
    struct command k = { .kind = COMMAND_NONE };

    switch (h->wish) {
    case WISH_NODE:
        k.kind = COMMAND_REGISTER;
        k.reg.node.name = NODE;
        k.reg.node.address = MU_SPAN_LIT("127.0.0.1");
        break;
    case WISH_SESSION:
        k.kind = COMMAND_SESSION_CREATE;
        k.session.id = h->session;
        k.session.node = NODE;
        k.session.behavior = MU_SPAN_LIT("release");
        k.session.ttl = MU_SPAN_LIT(TTL_TEXT);
        break;
    case WISH_ACQUIRE:
    case WISH_RELEASE:
        k.kind = COMMAND_KV_LOCK;
        k.kv_lock.key = LOCK;
        k.kv_lock.session = h->session;
        k.kv_lock.is_release = h->wish == WISH_RELEASE;
        break;
    }
    return k;
}

static void wish(struct cluster *c, size_t holder, enum holder_wish what)
{
    struct holder *h = &c->holders[holder];
    size_t at = 0;

    if (!server_for(c, c->servers_count + holder, &at)) {
        return;
    }
    h->wish = what;
    h->session = what == WISH_SESSION ? mu_id_drawn(&c->rand) : h->session;
    h->holds = h->holds && what != WISH_RELEASE;
    struct command k = command_for(h);
    struct request *r = request_new(c, at, &k);

    if (r != NULL) {
        h->is_busy = true;
        h->sent_ms = c->now_ms;
        h->mark = r->mark = ++c->wishes;
        r->done = on_holder_done;
        r->owner = holder;
    }
}

static void renew(struct cluster *c, size_t holder)
{
    struct holder *h = &c->holders[holder];

    h->renew_ms = c->now_ms + 200;
    if (server_for(c, c->servers_count + holder, &h->at)) {
        h->is_busy = true;
        h->hops = 0;
        h->sent_ms = c->now_ms;
        h->renewal = RENEWAL_TRAVELS;
        h->due_ms = c->now_ms + cluster_below(c, c->delay_ms + 1);
    }
}

static void holder_run(struct cluster *c, size_t holder)
{
    struct holder *h = &c->holders[holder];

    if (!member_is_up(c, c->servers_count + holder)) {
        *h = (struct holder){ .next_ms = c->now_ms };
        return;
    }
    if (h->renewal != RENEWAL_NONE && c->now_ms >= h->due_ms) {
        if (h->renewal == RENEWAL_TRAVELS) {
            renewal_arrives(c, h);
        } else if (member_runs(c, c->servers_count + holder)) {
            renewal_ends(c, h);
        }
    }
    if (h->is_busy || h->is_silent || !member_runs(c, c->servers_count + holder)) {
        return;
    }
    if (h->has_session && c->now_ms >= h->renew_ms) {
        renew(c, holder);
    } else if (c->now_ms >= h->next_ms) {
        h->next_ms = c->now_ms + cluster_below(c, 1000);
        wish(c, holder,
             !c->has_lock_node ? WISH_NODE
             : !h->has_session ? WISH_SESSION
             : h->holds        ? WISH_RELEASE
                               : WISH_ACQUIRE);
    }
}

void holders_run(struct cluster *c)
{
    size_t believers = 0;

    for (size_t i = 0; i < holders_count(c); i++) {
        if (!c->holders_rest) {
            holder_run(c, i);
        }
        believers += believes(c, &c->holders[i]);
    }
    if (believers > 1) {
        cluster_fail(c, "locks are exclusive: %zu believe that they hold it", believers);
    }
}

/* -- on purpose -----------------------------------------------------------------------------------
 */

static struct holder *holder_now(struct cluster *c)
{
    for (size_t i = 0; i < holders_count(c); i++) {
        struct holder *h = &c->holders[i];

        if (h->holds && h->has_session && !h->is_busy) {
            return h;
        }
    }
    return NULL;
}

static bool has_another(struct cluster *c, const struct holder *than)
{
    for (size_t i = 0; i < holders_count(c); i++) {
        if (&c->holders[i] != than && c->holders[i].has_session) {
            return true;
        }
    }
    return false;
}

static void must_end(struct cluster *c, const struct holder *h)
{
    struct server *leader = cluster_leader(c);

    while (leader != NULL && session_exists(c, leader, &h->session)) {
        cluster_run(c, 10);
        leader = cluster_leader(c);
        if (c->now_ms - h->renewed_ms > 2 * TTL_MS + SLACK_MS) {
            cluster_fail(c, "sessions end in time: one is there %llu ms after its last renewal",
                         U(c->now_ms - h->renewed_ms));
        }
    }
    if (leader == NULL) {
        cluster_fail(c, "a calm cluster keeps its leader");
    }
}

/* Who holds the lock falls silent; when its session is over somebody else gets it. */
void holders_judge(struct cluster *c)
{
    struct holder *h = NULL;

    for (uint64_t ms = 0; h == NULL && ms < 2 * TTL_MS; ms += 10) {
        cluster_run(c, 10);
        h = holder_now(c);
    }
    if (h == NULL) {
        return; /* nobody is there to hold anything */
    }
    uint64_t silent_ms = c->now_ms;

    h->is_silent = true;
    must_end(c, h);
    h->has_session = h->holds = false;
    cluster_say(c, "a session is over %llu ms after its holder fell silent",
                U(c->now_ms - silent_ms));
    uint64_t locks = c->sums.locks;

    for (uint64_t ms = 0; has_another(c, h) && c->sums.locks == locks; ms += 10) {
        cluster_run(c, 10);
        if (ms > TTL_MS) {
            cluster_fail(c, "locks come free with their session: nobody gets this one");
        }
    }
    h->is_silent = false;
}
