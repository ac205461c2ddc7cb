/* join.c - first contact, and contact again (9.3, 13.10, 13.12).
 *
 *   USER       the addresses somebody gave us: three at a time, until one answered and one more
 *   REJOIN     while alone: a few of those we knew, after 1, 2, 4 .. 60 s
 *   RECONNECT  about once an interval the whole cluster tries each failed member
 *
 * All three are the same thing: addresses, and a push/pull with each.
 */
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define RUNNING_MAX     3
#define CONTACTS_WANTED 2    /* the first success plus one (9.3) */
#define SECOND_MS       1000 /* how long the second is waited for */
#define TRIES_MAX       1024 /* addresses of one join: the rest is not tried */
#define ROUND_MAX       6    /* addresses of one rejoin round: the dead take their time each */
#define REJOIN_MS_MIN   1000
#define REJOIN_MS_MAX   60000
#define BACKOFF_MAX     10 /* reconnect intervals between tries of one member */

static struct gossip__join *join_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__join, link);
}

/* -- one join: from addresses to an answer ------------------------------------------------------
 */

static struct gossip__join *join_new(struct gossip *g, enum gossip__join_kind kind, size_t room)
{
    struct gossip__join *j = mu_new(sizeof *j);

    j->kind = kind;
    j->until_ms = GOSSIP__NEVER;
    j->tries = mu_new_array(room > 0 ? room : 1, sizeof *j->tries);
    mu_list_push_back(&g->joins, &j->link);
    return j;
}

static void join_free(struct gossip__join *j)
{
    mu_list_remove(&j->link);
    for (size_t i = 0; i < j->tries_count; i++) {
        mu_free(j->tries[i].label);
    }
    mu_free(j->tries);
    mu_buf_deinit(&j->failures);
    mu_free(j);
}

static void join_add(struct gossip__join *j, const struct mu_addr *addr, const char *label)
{
    for (size_t i = 0; i < j->tries_count; i++) {
        if (mu_addr_eq(&j->tries[i].addr, addr)) {
            return;
        }
    }
    j->tries[j->tries_count++] =
        (struct gossip__join_try){ .addr = *addr, .label = mu_strdup(label) };
}

static void add_failure(struct gossip__join *j, const char *what, const char *label,
                        const char *why)
{
    j->failures_count++;
    mu_buf_addf(&j->failures, "\t* Failed to %s %s: %s\n", what, label, why);
}

/* In the form that clients know: a count, bullets, an empty line. */
static const char *failures_text(struct gossip *g, struct gossip__join *j)
{
    if (j->failures_count == 0) {
        return "";
    }
    return mu_arena_printf(&g->step, "%u error%s occurred:\n%s\n", j->failures_count,
                           j->failures_count == 1 ? "" : "s", mu_buf_text(&j->failures));
}

static void rejoin_later(struct gossip *g)
{
    uint64_t wait = g->rejoin_wait_ms;

    g->rejoin_at_ms = g->now_ms + wait / 2 + mu_rand_below(&g->rand, wait);
    g->rejoin_wait_ms = 2 * wait > REJOIN_MS_MAX ? REJOIN_MS_MAX : 2 * wait;
}

static void reconnect_over(struct gossip *g, const struct gossip__join *j)
{
    struct gossip__member *m = gossip__member_find(g, j->tries[0].label);
    uint64_t wait = g->profile.reconnect_ms;

    g->is_reconnecting = false;
    if (m != NULL && j->contacted == 0 && m->status == GOSSIP_STATUS_FAILED) {
        struct gossip__dealings *d = gossip__deal(m);

        d->retries += d->retries < BACKOFF_MAX;
        wait *= d->retries > 3 ? BACKOFF_MAX : 1ULL << d->retries;
        d->retry_ms = g->now_ms + wait;
    }
}

static void finish(struct gossip *g, struct gossip__join *j)
{
    switch (j->kind) {
    case GOSSIP__JOIN_USER: gossip__done(g, j->id, j->contacted, failures_text(g, j)); break;
    case GOSSIP__JOIN_REJOIN:
        gossip__log(g, j->contacted > 0 ? MU_INFO : MU_WARN,
                    j->contacted > 0 ? "serf: Re-joined to previously known node"
                                     : "serf: Failed to re-join any previously known node");
        rejoin_later(g);
        break;
    case GOSSIP__JOIN_RECONNECT: reconnect_over(g, j); break;
    }
    if (j->contacted > 0 && j->kind != GOSSIP__JOIN_RECONNECT) {
        gossip__serf_broadcast_join(g);
    }
    join_free(j);
}

static void trace_try(struct gossip *g, const struct gossip__join *j,
                      const struct gossip__join_try *t)
{
    char addr[MU_ADDR_TEXT_MAX];

    mu_addr_text(&t->addr, addr);
    switch (j->kind) {
    case GOSSIP__JOIN_USER: gossip__log(g, MU_TRACE, "join %s", addr); break;
    case GOSSIP__JOIN_REJOIN:
        gossip__log(g, MU_INFO, "serf: Attempting re-join to previously known node: %s: %s",
                    t->label, addr);
        break;
    case GOSSIP__JOIN_RECONNECT:
        gossip__log(g, MU_INFO, "serf: attempting reconnect to %s %s", t->label, addr);
        break;
    }
}

/* Start what may run; end it when nothing does. */
static void advance(struct gossip *g, struct gossip__join *j)
{
    while (j->next < j->tries_count && j->running < RUNNING_MAX &&
           (j->contacted == 0 || j->contacted + j->running < CONTACTS_WANTED)) {
        struct gossip__join_try *t = &j->tries[j->next++];

        t->attempt = ++g->join_attempt;
        j->running++;
        trace_try(g, j, t);
        gossip__sync_start(g, &t->addr, t->attempt);
    }
    if (j->running == 0 || j->contacted >= CONTACTS_WANTED) {
        finish(g, j);
    }
}

static struct gossip__join *join_with(const struct gossip *g, uint64_t attempt,
                                      struct gossip__join_try **try)
{
    MU_LIST_EACH (link, &g->joins) {
        struct gossip__join *j = join_of(link);

        for (size_t i = 0; i < j->next; i++) {
            if (j->tries[i].attempt == attempt && !j->tries[i].is_over) {
                *try = &j->tries[i];
                return j;
            }
        }
    }
    return NULL;
}

bool gossip__join_wants_new_only(const struct gossip *g, uint64_t attempt)
{
    struct gossip__join_try *t = NULL;
    const struct gossip__join *j = attempt != 0 ? join_with(g, attempt, &t) : NULL;

    return j != NULL && j->kind == GOSSIP__JOIN_USER && !j->replays;
}

void gossip__join_tried(struct gossip *g, uint64_t attempt, const char *failed)
{
    struct gossip__join_try *t = NULL;
    struct gossip__join *j = attempt != 0 ? join_with(g, attempt, &t) : NULL;
    char ip[MU_ADDR_TEXT_MAX];

    if (j == NULL) {
        return; /* periodic, or the join was already answered */
    }
    t->is_over = true;
    j->running--;
    mu_addr_ip_text(&t->addr, ip);
    if (failed != NULL) {
        add_failure(j, "join", ip, failed);
        gossip__log(g, MU_TRACE, "cannot join %s: %s", ip, failed);
    } else if (j->contacted++ == 0) {
        j->until_ms = g->now_ms + SECOND_MS;
    }
    advance(g, j);
}

/* -- asked by the user --------------------------------------------------------------------------
 */

void gossip__on_join(struct gossip *g, const struct gossip_event *ev)
{
    size_t count = ev->join.targets_count < TRIES_MAX ? ev->join.targets_count : TRIES_MAX;
    bool has_ourselves = false;

    if (g->leave.stage != GOSSIP__LEAVE_NONE) {
        gossip__done(g, ev->join.id, 0, "Serf can't Join after Leave or Shutdown");
        return;
    }
    struct gossip__join *j = join_new(g, GOSSIP__JOIN_USER, count);

    j->id = ev->join.id;
    j->replays = ev->join.replays;
    for (size_t i = 0; i < count; i++) {
        const struct gossip_target *t = &ev->join.targets[i];

        if (t->failed != NULL) {
            add_failure(j, "resolve", t->given, t->failed);
        } else if (mu_addr_eq(&t->addr, &g->self->card->addr)) {
            has_ourselves = true;
        } else {
            join_add(j, &t->addr, t->given);
        }
    }
    if (has_ourselves && j->tries_count == 0) {
        j->contacted = 1; /* "succeeds" in the reference; scripts rely on it (9.3) */
    }
    advance(g, j);
}

/* -- alone: those we knew -----------------------------------------------------------------------
 */

void gossip__join_known(struct gossip *g, const struct gossip_options *options)
{
    g->rejoin_at_ms = g->reconnect_at_ms = GOSSIP__NEVER;
    g->rejoin_wait_ms = REJOIN_MS_MIN;
    g->known = mu_new_array(options->known_count + 1, sizeof *g->known);
    for (size_t i = 0; i < options->known_count; i++) {
        const struct gossip_known *k = &options->known[i];

        if (strcmp(k->name, options->name) != 0) {
            g->known[g->known_count++] =
                (struct gossip__join_try){ .addr = k->addr, .label = mu_strdup(k->name) };
        }
    }
    if (g->known_count > 0) {
        g->rejoin_at_ms = 0;
    }
}

/* A random few of all candidates: each later one takes a random place with falling chance. */
static void offer(struct gossip *g, struct gossip__join *j, size_t *seen,
                  const struct mu_addr *addr, const char *label)
{
    if (mu_addr_eq(addr, &g->self->card->addr)) {
        return;
    }
    (*seen)++;
    if (j->tries_count < ROUND_MAX) {
        join_add(j, addr, label);
        return;
    }
    size_t at = (size_t)mu_rand_below(&g->rand, *seen);

    if (at < ROUND_MAX) {
        mu_free(j->tries[at].label);
        j->tries[at] = (struct gossip__join_try){ .addr = *addr, .label = mu_strdup(label) };
    }
}

static void rejoin(struct gossip *g)
{
    struct gossip__join *j = join_new(g, GOSSIP__JOIN_REJOIN, ROUND_MAX);
    size_t seen = 0;

    for (size_t i = 0; i < g->members.count; i++) {
        const struct gossip__member *m = g->members.items[i];

        if (m->status == GOSSIP_STATUS_FAILED) {
            offer(g, j, &seen, &m->card->addr, m->card->name);
        }
    }
    for (size_t i = 0; i < g->known_count; i++) {
        offer(g, j, &seen, &g->known[i].addr, g->known[i].label);
    }
    g->rejoin_at_ms = GOSSIP__NEVER;
    if (j->tries_count == 0) {
        join_free(j);
        return;
    }
    for (size_t i = j->tries_count; i > 1; i--) {
        size_t other = (size_t)mu_rand_below(&g->rand, i);
        struct gossip__join_try t = j->tries[other];

        j->tries[other] = j->tries[i - 1];
        j->tries[i - 1] = t;
    }
    advance(g, j);
}

/* -- failed members -----------------------------------------------------------------------------
 */

static uint64_t retry_ms(const struct gossip__member *m)
{
    return gossip__dealings(m)->retry_ms;
}

/* One whose time has come, or else the one whose time comes first: the back-off says who is next,
 * not whether anybody is. A cut that lasted long must be healed within two intervals (18.3, rule
 * 5), and how often we all try is bounded by chance (below). */
static struct gossip__member *reconnect_target(struct gossip *g)
{
    struct gossip__member *chosen = NULL;
    struct gossip__member *earliest = NULL;
    size_t seen = 0;

    for (size_t i = 0; i < g->members.count; i++) {
        struct gossip__member *m = g->members.items[i];

        if (m->status != GOSSIP_STATUS_FAILED) {
            continue;
        }
        if (earliest == NULL || retry_ms(m) < retry_ms(earliest)) {
            earliest = m;
        }
        if (retry_ms(m) <= g->now_ms && mu_rand_below(&g->rand, ++seen) == 0) {
            chosen = m;
        }
    }
    return chosen != NULL ? chosen : earliest;
}

/* With probability failed/alive, so that all of us together try each about once an interval. */
static void reconnect(struct gossip *g)
{
    size_t alive = g->members.count - g->failed_count - g->left_count;
    struct gossip__member *m = reconnect_target(g);
    uint64_t interval = g->profile.reconnect_ms;

    g->reconnect_at_ms = g->now_ms + interval / 2 + mu_rand_below(&g->rand, interval);
    if (m == NULL || g->is_reconnecting || g->leave.stage != GOSSIP__LEAVE_NONE) {
        return;
    }
    if (mu_rand_below(&g->rand, alive > 0 ? alive : 1) >= g->failed_count) {
        gossip__log(g, MU_DEBUG, "serf: forgoing reconnect for random throttling");
        return;
    }
    struct gossip__join *j = join_new(g, GOSSIP__JOIN_RECONNECT, 1);

    join_add(j, &m->card->addr, m->card->name);
    g->is_reconnecting = true;
    advance(g, j);
}

/* -- time ---------------------------------------------------------------------------------------
 */

/* There may be somebody to try again, and more reason to. */
void gossip__join_lost(struct gossip *g)
{
    uint64_t interval = g->profile.reconnect_ms;

    if (g->failed_count > 0 && g->reconnect_at_ms == GOSSIP__NEVER && interval > 0) {
        g->reconnect_at_ms = g->now_ms + interval / 2 + mu_rand_below(&g->rand, interval);
    }
    if (gossip__others_live(g) == 0 && g->rejoin_at_ms == GOSSIP__NEVER) {
        g->rejoin_wait_ms = REJOIN_MS_MIN;
        rejoin_later(g);
    }
}

void gossip__join_replan(struct gossip *g)
{
    uint64_t at_most = g->now_ms + g->profile.reconnect_ms;

    g->reconnect_at_ms = GOSSIP__NEVER;
    if (g->failed_count > 0) {
        gossip__join_lost(g);
    }
    for (size_t i = 0; i < g->members.count; i++) {
        struct gossip__dealings *d = g->members.items[i]->dealings;

        if (d != NULL && d->retry_ms > at_most) {
            d->retry_ms = at_most;
        }
    }
}

uint64_t gossip__join_due(const struct gossip *g)
{
    uint64_t due = g->rejoin_at_ms < g->reconnect_at_ms ? g->rejoin_at_ms : g->reconnect_at_ms;

    MU_LIST_EACH (link, &g->joins) {
        const struct gossip__join *j = join_of(link);

        due = j->until_ms < due ? j->until_ms : due;
    }
    return due;
}

static struct gossip__join *overdue(const struct gossip *g)
{
    MU_LIST_EACH (link, &g->joins) {
        if (join_of(link)->until_ms <= g->now_ms) {
            return join_of(link);
        }
    }
    return NULL;
}

void gossip__join_tick(struct gossip *g)
{
    struct gossip__join *j;

    while ((j = overdue(g)) != NULL) {
        finish(g, j); /* what still runs will be merged all the same */
    }
    if (g->rejoin_at_ms <= g->now_ms) {
        if (gossip__others_live(g) == 0 && g->leave.stage == GOSSIP__LEAVE_NONE) {
            rejoin(g);
        } else {
            g->rejoin_at_ms = GOSSIP__NEVER;
            g->rejoin_wait_ms = REJOIN_MS_MIN;
        }
    }
    if (g->reconnect_at_ms <= g->now_ms) {
        g->reconnect_at_ms = GOSSIP__NEVER;
        if (g->failed_count > 0) {
            reconnect(g);
        }
    }
}

void gossip__join_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->joins) {
        join_free(join_of(link));
    }
    for (size_t i = 0; i < g->known_count; i++) {
        mu_free(g->known[i].label);
    }
    mu_free(g->known);
}
