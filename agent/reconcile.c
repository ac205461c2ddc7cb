/* reconcile.c - see reconcile.h.
 *
 *            gossip: failed                       removed_after, not paused
 *   ALIVE -------------------> FAILED ---------------------------------------> GONE
 *     ^  <------------------------'      (critical as soon as it is FAILED)      |
 *     |        gossip: alive                                                     |
 *     '--------------------------------------------------------------------------'
 *   ABSENT (only the catalog knows it) -> FAILED after absent_after in office; -> ALIVE when met.
 *
 * `wanted` is what the catalog should say of a node, `done` what it was last told in this office.
 * They differ: an action is due. So a missed event, a failed write and a full pass are one path.
 */
#include "reconcile.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"

#define RETRY_MS 1000U /* a write that failed is tried again after this */

/* Self-preservation acts when both are passed (DESIGN 3). */
#define SHARE_NUMERATOR   1
#define SHARE_DENOMINATOR 3
#define FAILED_MIN        2

enum wanted { WANT_NOTHING, WANT_ALIVE, WANT_CRITICAL, WANT_REMOVED };

struct node {
    char name[MU_NODE_NAME_MAX + 1];
    bool is_absent; /* known from the catalog only */
    enum reconcile_state state;
    uint64_t since_ms; /* when this leader first saw it FAILED, or counted it as absent */
    enum wanted done;
    bool is_busy;  /* an action is in flight */
    bool is_stale; /* and was decided before gossip spoke of it again */
    bool was_seen; /* in the full pass that runs */
    uint64_t retry_ms;
};

struct reconcile {
    struct reconcile_options options;
    char self[MU_NODE_NAME_MAX + 1];
    bool is_leading;
    uint64_t office_ms;
    struct mu_table *nodes;
    bool is_paused;
    bool is_pause_over; /* lasted pause_max: the dead go, until the share has fallen once */
    uint64_t paused_ms;
    size_t failed, members;
};

struct reconcile *reconcile_new(const struct reconcile_options *options)
{
    struct reconcile *r = mu_new(sizeof *r);

    MU_ASSERT(strlen(options->self) < sizeof r->self);
    r->options = *options;
    (void)strncpy(r->self, options->self, sizeof r->self - 1);
    r->options.self = r->self;
    r->nodes = mu_table_new();
    return r;
}

static void forget_all(struct reconcile *r)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(r->nodes, &at)) {
        mu_free(mu_table_remove(r->nodes, at.key));
    }
    r->is_paused = r->is_pause_over = false;
    r->failed = r->members = 0;
}

void reconcile_free(struct reconcile *r)
{
    if (r == NULL) {
        return;
    }
    forget_all(r);
    mu_table_free(r->nodes);
    mu_free(r);
}

void reconcile_lead(struct reconcile *r, uint64_t now_ms)
{
    forget_all(r);
    r->is_leading = true;
    r->office_ms = now_ms;
}

void reconcile_rest(struct reconcile *r)
{
    forget_all(r);
    r->is_leading = false;
}

static struct node *node_of(struct reconcile *r, const char *name)
{
    struct mu_span key = mu_span_text(name);
    struct node *n = mu_table_find(r->nodes, key);

    if (n == NULL) {
        MU_ASSERT(strlen(name) < sizeof n->name);
        n = mu_new(sizeof *n);
        (void)strncpy(n->name, name, sizeof n->name - 1);
        n->state = RECONCILE_GONE;
        (void)mu_table_put(r->nodes, key, n);
    }
    return n;
}

/* -- self-preservation ------------------------------------------------------------------------- */

static bool is_failed(const struct reconcile *r, const struct node *n, uint64_t now_ms)
{
    if (n->is_absent) {
        return now_ms - r->office_ms >= r->options.absent_after_ms;
    }
    return n->state == RECONCILE_FAILED;
}

static void weigh(struct reconcile *r, uint64_t now_ms)
{
    struct mu_table_at at = { .started = false };

    r->failed = r->members = 0;
    while (mu_table_next(r->nodes, &at)) {
        const struct node *n = at.value;

        if (n->done == WANT_REMOVED || (!n->is_absent && n->state == RECONCILE_GONE)) {
            continue;
        }
        r->members++;
        r->failed += is_failed(r, n, now_ms);
    }
    bool is_suspicious =
        r->failed > FAILED_MIN && r->failed * SHARE_DENOMINATOR > r->members * SHARE_NUMERATOR;

    if (!is_suspicious) {
        r->is_paused = r->is_pause_over = false;
        return;
    }
    if (!r->is_paused && !r->is_pause_over) {
        r->is_paused = true;
        r->paused_ms = now_ms;
    }
    if (r->is_paused && now_ms - r->paused_ms >= r->options.pause_max_ms) {
        r->is_paused = false;
        r->is_pause_over = true; /* the dead must go in the end */
    }
}

bool reconcile_is_paused(const struct reconcile *r, size_t *failed, size_t *members)
{
    *failed = r->failed;
    *members = r->members;
    return r->is_paused;
}

/* -- events ------------------------------------------------------------------------------------ */

void reconcile_member(struct reconcile *r, const char *node, enum reconcile_state state,
                      uint64_t now_ms)
{
    if (!r->is_leading) {
        return;
    }
    struct node *n = node_of(r, node);
    bool was_absent = n->is_absent;

    n->was_seen = true;
    n->is_absent = false;
    if (n->state == state && !was_absent && state != RECONCILE_ALIVE) {
        return;
    }
    if (state == RECONCILE_FAILED && n->state != RECONCILE_FAILED) {
        n->since_ms = now_ms;
    }
    if (state == RECONCILE_ALIVE) {
        n->done =
            WANT_NOTHING; /* whatever was told before: address, id or registration may differ */
        n->is_stale = n->is_busy;
    }
    n->state = state;
    n->retry_ms = 0;
    weigh(r, now_ms);
}

void reconcile_catalog(struct reconcile *r, const char *const *nodes, size_t count, uint64_t now_ms)
{
    if (!r->is_leading) {
        return;
    }
    struct mu_table_at at = { .started = false };

    for (size_t i = 0; i < count; i++) {
        bool is_new = mu_table_find(r->nodes, mu_span_text(nodes[i])) == NULL;
        struct node *n = node_of(r, nodes[i]);

        if (is_new) {
            n->is_absent = true;
        } else if (n->done == WANT_REMOVED && !n->is_busy) {
            n->done = WANT_NOTHING; /* it is there again: somebody registered it */
        }
        n->was_seen = true;
    }
    /* Gone from gossip and from the catalog: nothing to know any more. */
    while (mu_table_next(r->nodes, &at)) {
        struct node *n = at.value;

        if (!n->was_seen && !n->is_busy) {
            mu_free(mu_table_remove(r->nodes, at.key));
            continue;
        }
        n->was_seen = false;
        if (n->state == RECONCILE_ALIVE && !n->is_absent && !n->is_busy) {
            n->done = WANT_NOTHING; /* look again whether the catalog still says so */
        }
    }
    weigh(r, now_ms);
}

void reconcile_registered(struct reconcile *r, const char *node)
{
    struct node *n = mu_table_find(r->nodes, mu_span_text(node));

    if (n == NULL) {
        return;
    }
    n->is_stale = n->is_busy;
    if (n->done == WANT_REMOVED) {
        n->done = WANT_NOTHING;
    }
}

/* -- what is due ------------------------------------------------------------------------------- */

static uint64_t remove_at(const struct reconcile *r, const struct node *n)
{
    uint64_t since = n->is_absent ? r->office_ms + r->options.absent_after_ms : n->since_ms;

    return since + r->options.remove_failed_after_ms;
}

static enum wanted want(const struct reconcile *r, const struct node *n, uint64_t now_ms)
{
    if (!n->is_absent && n->state == RECONCILE_ALIVE) {
        return WANT_ALIVE;
    }
    if (strcmp(n->name, r->self) == 0) {
        return WANT_NOTHING;
    }
    if (!n->is_absent && n->state == RECONCILE_GONE) {
        return WANT_REMOVED;
    }
    if (!is_failed(r, n, now_ms)) {
        return WANT_NOTHING; /* absent, and not long enough yet */
    }
    return !r->is_paused && now_ms >= remove_at(r, n) ? WANT_REMOVED : WANT_CRITICAL;
}

static bool is_due(const struct reconcile *r, const struct node *n, uint64_t now_ms)
{
    enum wanted wanted = want(r, n, now_ms);

    return !n->is_busy && wanted != WANT_NOTHING && wanted != n->done && now_ms >= n->retry_ms;
}

static enum reconcile_action_kind action_of(enum wanted wanted)
{
    switch (wanted) {
    case WANT_ALIVE: return RECONCILE_SET_ALIVE;
    case WANT_CRITICAL: return RECONCILE_SET_CRITICAL;
    case WANT_REMOVED: return RECONCILE_REMOVE;
    case WANT_NOTHING: break;
    }
    MU_UNREACHABLE_CODE();
}

static enum wanted wanted_of(enum reconcile_action_kind kind)
{
    switch (kind) {
    case RECONCILE_SET_ALIVE: return WANT_ALIVE;
    case RECONCILE_SET_CRITICAL: return WANT_CRITICAL;
    case RECONCILE_REMOVE: return WANT_REMOVED;
    }
    MU_UNREACHABLE_CODE();
}

size_t reconcile_due(struct reconcile *r, uint64_t now_ms, struct reconcile_action *actions,
                     size_t room)
{
    struct mu_table_at at = { .started = false };
    size_t count = 0;

    if (!r->is_leading) {
        return 0;
    }
    weigh(r, now_ms);
    while (count < room && mu_table_next(r->nodes, &at)) {
        struct node *n = at.value;

        if (!is_due(r, n, now_ms)) {
            continue;
        }
        n->is_busy = true;
        actions[count].kind = action_of(want(r, n, now_ms));
        memcpy(actions[count].node, n->name, sizeof n->name);
        count++;
    }
    return count;
}

void reconcile_ended(struct reconcile *r, const struct reconcile_action *action, bool did_succeed,
                     uint64_t now_ms)
{
    struct node *n = mu_table_find(r->nodes, mu_span_text(action->node));

    if (n == NULL || !n->is_busy) {
        return; /* another office began meanwhile */
    }
    n->is_busy = false;
    if (!did_succeed) {
        n->is_stale = false;
        n->retry_ms = now_ms + RETRY_MS;
        return;
    }
    n->retry_ms = 0;
    n->done = n->is_stale ? WANT_NOTHING : wanted_of(action->kind);
    n->is_stale = false;
    weigh(r, now_ms);
}

static void earlier(uint64_t *wake, uint64_t at)
{
    if (*wake == 0 || at < *wake) {
        *wake = at;
    }
}

uint64_t reconcile_wake_ms(const struct reconcile *r)
{
    struct mu_table_at at = { .started = false };
    uint64_t wake = 0;

    if (!r->is_leading) {
        return 0;
    }
    while (mu_table_next(r->nodes, &at)) {
        const struct node *n = at.value;

        if (n->is_busy || n->done == WANT_REMOVED || strcmp(n->name, r->self) == 0) {
            continue;
        }
        if (n->retry_ms > 0) {
            earlier(&wake, n->retry_ms);
        } else if (n->is_absent && n->done == WANT_NOTHING) {
            earlier(&wake, r->office_ms + r->options.absent_after_ms);
        } else if ((n->is_absent || n->state == RECONCILE_FAILED) && !r->is_paused) {
            earlier(&wake, remove_at(r, n));
        }
    }
    if (r->is_paused) {
        earlier(&wake, r->paused_ms + r->options.pause_max_ms);
    }
    return wake;
}

/* -- for people -------------------------------------------------------------------------------- */

static uint64_t until(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

static enum reconcile_plan plan_of(const struct reconcile *r, const struct node *n, uint64_t now_ms,
                                   uint64_t *in_ms)
{
    if (n->done == WANT_REMOVED) {
        return RECONCILE_PLAN_REMOVED;
    }
    switch (want(r, n, now_ms)) {
    case WANT_ALIVE: return RECONCILE_PLAN_KEEP;
    case WANT_REMOVED: return RECONCILE_PLAN_REMOVE;
    case WANT_CRITICAL:
        *in_ms =
            until(r->is_paused ? r->paused_ms + r->options.pause_max_ms : remove_at(r, n), now_ms);
        return r->is_paused ? RECONCILE_PLAN_PAUSED : RECONCILE_PLAN_CRITICAL;
    case WANT_NOTHING: break;
    }
    if (strcmp(n->name, r->self) == 0) {
        return RECONCILE_PLAN_SELF;
    }
    *in_ms = until(r->office_ms + r->options.absent_after_ms, now_ms);
    return RECONCILE_PLAN_ABSENT;
}

/* When it is removed, unless something changes before. */
static uint64_t removed_in(const struct reconcile *r, const struct node *n, uint64_t now_ms)
{
    uint64_t at_ms = remove_at(r, n);
    uint64_t pause_ms = r->paused_ms + r->options.pause_max_ms;

    return until(r->is_paused && pause_ms > at_ms ? pause_ms : at_ms, now_ms);
}

static void account_make(const struct reconcile *r, const struct node *n, uint64_t now_ms,
                         struct reconcile_account *out)
{
    *out = (struct reconcile_account){ .failed = r->failed, .members = r->members };
    out->plan = plan_of(r, n, now_ms, &out->in_ms);
    switch (out->plan) {
    case RECONCILE_PLAN_CRITICAL:
    case RECONCILE_PLAN_PAUSED:
    case RECONCILE_PLAN_ABSENT: out->remove_in_ms = removed_in(r, n, now_ms); return;
    case RECONCILE_PLAN_NONE:
    case RECONCILE_PLAN_KEEP:
    case RECONCILE_PLAN_REMOVE:
    case RECONCILE_PLAN_REMOVED:
    case RECONCILE_PLAN_SELF: return;
    }
    MU_UNREACHABLE_CODE();
}

void reconcile_explain(const struct reconcile *r, const char *node, uint64_t now_ms,
                       struct reconcile_account *out)
{
    const struct node *n = mu_table_find(r->nodes, mu_span_text(node));

    *out = (struct reconcile_account){ .failed = r->failed, .members = r->members };
    if (n != NULL) {
        account_make(r, n, now_ms, out);
    }
}

static bool is_leaver(enum reconcile_plan plan)
{
    return plan == RECONCILE_PLAN_CRITICAL || plan == RECONCILE_PLAN_PAUSED ||
           plan == RECONCILE_PLAN_ABSENT || plan == RECONCILE_PLAN_REMOVE;
}

void reconcile_each_leaver(const struct reconcile *r, uint64_t now_ms, reconcile_leaver_fn *each,
                           void *data)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(r->nodes, &at)) {
        const struct node *n = at.value;
        struct reconcile_account account;

        account_make(r, n, now_ms, &account);
        if (is_leaver(account.plan)) {
            each(data, n->name, &account);
        }
    }
}

/* From now on it is as one that gossip saw leave. */
bool reconcile_let_go(struct reconcile *r, const char *node, uint64_t now_ms)
{
    struct node *n = mu_table_find(r->nodes, mu_span_text(node));

    if (n == NULL || !n->is_absent || !is_failed(r, n, now_ms) || strcmp(n->name, r->self) == 0) {
        return false;
    }
    n->is_absent = false;
    n->state = RECONCILE_GONE;
    n->retry_ms = 0;
    weigh(r, now_ms);
    return true;
}
