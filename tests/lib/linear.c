/* linear.c - the search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with
 * the memory of Lowe ("Testing for linearizability", 2017), one key at a time: operations on
 * different keys cannot disagree with each other (P-compositionality, Horn and Kroening 2015).
 *
 * The events of a key stand in a list by time. The search walks it from the front: an operation
 * whose call comes before the first return may be the next one to take effect. If the state allows
 * it, its two events are lifted out and the walk begins again; when a return is reached, somebody
 * ought to have taken effect and could not, and the last choice is taken back. Done when every
 * operation with a known outcome is lifted. What was reached before, the same set of operations in
 * effect and the same state, is not searched twice.
 *
 * Three observations keep histories with many open operations tractable. What has no effect
 * whenever it fits (a get, a refused write) may take effect at once when it fits, so there is no
 * other choice to come back to. An open operation that would change nothing now stays open. And one
 * that is followed by something that fits as well without it, and with the same result, was
 * taken in vain: so an open write takes effect only in front of somebody who sees it.
 *
 * The memory holds fingerprints of 128 bits: a wrong verdict by collision needs 2^64 steps, and
 * the bound is 2^22.
 */
#include "linear.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define SHOWN_MAX 8

struct state {
    uint64_t value, holder;
};

struct event {
    uint32_t next, prev; /* 0: the head of the ring, which is no event */
    uint32_t mate;       /* of a call: its return; 0: it has none */
    uint32_t op;
    bool is_call;
};

struct fingerprint {
    uint64_t a, b;
};

struct choice {
    uint32_t event;
    struct state before;
};

struct search {
    const struct linear_op **ops;
    size_t count;
    struct event *events;
    size_t known_left;
    struct state state;
    struct fingerprint set; /* of the operations in effect */
    struct choice *chosen;
    size_t chosen_count;
    struct fingerprint *seen; /* open addressing; all zero: free */
    size_t seen_count, seen_room;
    struct {
        size_t count;
        struct state state;
        uint32_t next[SHOWN_MAX];
        size_t next_count;
    } deepest; /* for the report */
};

/* -- what an operation does ------------------------------------------------------------------- */

static bool state_eq(struct state a, struct state b)
{
    return a.value == b.value && a.holder == b.holder;
}

/* Would it be done in this state, and what follows then? */
static bool is_granted(const struct linear_op *op, struct state s, struct state *next)
{
    *next = s;
    switch (op->kind) {
    case LINEAR_GET: return op->value == s.value && op->session == s.holder;
    case LINEAR_PUT: next->value = op->value; return true;
    case LINEAR_CAS: next->value = op->value; return s.value == op->expected;
    case LINEAR_DELETE: *next = (struct state){ 0, 0 }; return true;
    case LINEAR_DELETE_CAS:
        *next = (struct state){ 0, 0 };
        return s.value == op->expected || s.value == 0;
    case LINEAR_ACQUIRE:
        *next = (struct state){ op->value, op->session };
        return s.holder == 0 || s.holder == op->session;
    case LINEAR_RELEASE: *next = (struct state){ op->value, 0 }; return s.holder == op->session;
    case LINEAR_EXPIRE: next->holder = s.holder == op->session ? 0 : s.holder; return true;
    case LINEAR_KINDS_COUNT: break;
    }
    MU_UNREACHABLE_CODE();
}

/* Can it take effect here, seen from its outcome? An open one always can, in one way. */
static bool fits(const struct linear_op *op, struct state s, struct state *next)
{
    bool granted = is_granted(op, s, next);

    if (!granted) {
        *next = s;
    }
    return op->outcome == LINEAR_UNKNOWN || granted == (op->outcome == LINEAR_DONE);
}

static bool is_pure(const struct linear_op *op)
{
    return op->kind == LINEAR_GET || op->outcome == LINEAR_REFUSED;
}

/* -- what was seen ---------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static struct fingerprint with_op(struct fingerprint f, uint32_t op)
{
    return (struct fingerprint){ f.a ^ mix(op * 2ULL), f.b ^ mix(op * 2ULL + 1) };
}

static struct fingerprint with_state(struct fingerprint f, struct state s)
{
    f.a = mix(mix(f.a ^ mix(s.value)) + s.holder);
    f.b = mix(mix(f.b + mix(s.holder)) ^ s.value) | 1; /* never all zero */
    return f;
}

static void seen_put(struct fingerprint *seen, size_t room, struct fingerprint f)
{
    size_t i = (size_t)f.a & (room - 1);

    while (seen[i].b != 0) {
        i = (i + 1) & (room - 1);
    }
    seen[i] = f;
}

static void seen_grow(struct search *s)
{
    size_t room = s->seen_room == 0 ? 1024 : s->seen_room * 2;
    struct fingerprint *seen = mu_new_array(room, sizeof *seen);

    for (size_t i = 0; i < s->seen_room; i++) {
        if (s->seen[i].b != 0) {
            seen_put(seen, room, s->seen[i]);
        }
    }
    mu_free(s->seen);
    s->seen = seen;
    s->seen_room = room;
}

/* False: it was there. */
static bool seen_add(struct search *s, struct fingerprint f)
{
    if (s->seen_count * 2 >= s->seen_room) {
        seen_grow(s);
    }
    for (size_t i = (size_t)f.a & (s->seen_room - 1); s->seen[i].b != 0;
         i = (i + 1) & (s->seen_room - 1)) {
        if (s->seen[i].a == f.a && s->seen[i].b == f.b) {
            return false;
        }
    }
    seen_put(s->seen, s->seen_room, f);
    s->seen_count++;
    return true;
}

/* -- the walk --------------------------------------------------------------------------------- */

static void event_lift(struct search *s, uint32_t at)
{
    struct event *e = &s->events[at];

    s->events[e->prev].next = e->next;
    s->events[e->next].prev = e->prev;
}

static void event_lower(struct search *s, uint32_t at)
{
    struct event *e = &s->events[at];

    s->events[e->prev].next = at;
    s->events[e->next].prev = at;
}

/* Was the choice before, of an open operation, of no use to this one? */
static bool was_in_vain(const struct search *s, const struct linear_op *op, struct state next)
{
    const struct choice *last;
    struct state without;

    if (s->chosen_count == 0) {
        return false;
    }
    last = &s->chosen[s->chosen_count - 1];
    return s->ops[s->events[last->event].op]->outcome == LINEAR_UNKNOWN &&
           fits(op, last->before, &without) && state_eq(without, next);
}

static bool take(struct search *s, uint32_t at)
{
    const struct event *e = &s->events[at];
    const struct linear_op *op = s->ops[e->op];
    struct fingerprint set = with_op(s->set, e->op);
    struct state next;

    if (!fits(op, s->state, &next) || was_in_vain(s, op, next) ||
        (op->outcome == LINEAR_UNKNOWN && state_eq(next, s->state)) ||
        !seen_add(s, with_state(set, next))) {
        return false;
    }
    s->chosen[s->chosen_count++] = (struct choice){ .event = at, .before = s->state };
    s->state = next;
    s->set = set;
    event_lift(s, at);
    if (e->mate != 0) {
        event_lift(s, e->mate);
        s->known_left--;
    }
    return true;
}

/* Take back the last choice that has alternatives; *at is where they begin. False: none is left. */
static bool back(struct search *s, uint32_t *at)
{
    while (s->chosen_count > 0) {
        const struct choice *last = &s->chosen[--s->chosen_count];
        const struct event *e = &s->events[last->event];

        s->state = last->before;
        s->set = with_op(s->set, e->op);
        if (e->mate != 0) {
            event_lower(s, e->mate);
            s->known_left++;
        }
        event_lower(s, last->event);
        if (!is_pure(s->ops[e->op])) {
            *at = e->next;
            return true;
        }
    }
    return false;
}

static void note_deepest(struct search *s)
{
    if (s->chosen_count < s->deepest.count ||
        (s->chosen_count == s->deepest.count && s->deepest.next_count > 0)) {
        return;
    }
    s->deepest.count = s->chosen_count;
    s->deepest.state = s->state;
    s->deepest.next_count = 0;
    for (uint32_t at = s->events[0].next; at != 0 && s->events[at].is_call;
         at = s->events[at].next) {
        if (s->deepest.next_count < SHOWN_MAX) {
            s->deepest.next[s->deepest.next_count++] = s->events[at].op;
        }
    }
}

static enum linear_verdict search_run(struct search *s, uint64_t steps_max)
{
    uint32_t at = s->events[0].next;

    while (s->known_left > 0) {
        if (at != 0 && s->events[at].is_call) {
            at = take(s, at) ? s->events[0].next : s->events[at].next;
            if (s->seen_count > steps_max) {
                return LINEAR_UNDECIDED;
            }
        } else {
            note_deepest(s);
            if (!back(s, &at)) {
                return LINEAR_BROKEN;
            }
        }
    }
    return LINEAR_HOLDS;
}

/* -- one key ---------------------------------------------------------------------------------- */

struct moment {
    uint64_t time;
    uint32_t op;
    bool is_return;
};

/* At one time calls come before returns: then the two overlap, and the order is free. */
static int moment_cmp(const void *left, const void *right)
{
    const struct moment *a = left;
    const struct moment *b = right;

    if (a->time != b->time) {
        return a->time < b->time ? -1 : 1;
    }
    if (a->is_return != b->is_return) {
        return a->is_return ? 1 : -1;
    }
    return (a->op > b->op) - (a->op < b->op);
}

static size_t moments_fill(const struct search *s, struct moment *moments)
{
    size_t count = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        const struct linear_op *op = s->ops[i];

        moments[count++] = (struct moment){ op->called, i, false };
        if (op->outcome != LINEAR_UNKNOWN) {
            moments[count++] = (struct moment){ op->returned, i, true };
        }
    }
    qsort(moments, count, sizeof *moments, moment_cmp);
    return count;
}

static void search_init(struct search *s, const struct linear_op **ops, size_t count)
{
    struct moment *moments = mu_new_array(count * 2, sizeof *moments);
    uint32_t *calls = mu_new_array(count, sizeof *calls);
    uint32_t moments_count;

    MU_ASSERT(count <= LINEAR_KEY_OPS_MAX);
    *s = (struct search){ .ops = ops, .count = count };
    moments_count = (uint32_t)moments_fill(s, moments);
    s->events = mu_new_array(moments_count + 1U, sizeof *s->events);
    s->chosen = mu_new_array(count, sizeof *s->chosen);
    for (uint32_t i = 0; i < moments_count; i++) {
        s->events[i + 1] = (struct event){
            .prev = i,
            .next = i + 1 < moments_count ? i + 2 : 0,
            .op = moments[i].op,
            .is_call = !moments[i].is_return,
        };
        if (moments[i].is_return) {
            s->events[calls[moments[i].op]].mate = i + 1;
            s->known_left++;
        } else {
            calls[moments[i].op] = i + 1;
        }
    }
    s->events[0].next = moments_count > 0 ? 1 : 0;
    s->events[0].prev = moments_count;
    mu_free(calls);
    mu_free(moments);
}

static void search_deinit(struct search *s)
{
    mu_free(s->events);
    mu_free(s->chosen);
    mu_free(s->seen);
}

static void search_explain(const struct linear_history *h, const struct search *s,
                           enum linear_verdict verdict, struct mu_buf *why)
{
    mu_buf_add_text(why, "key ");
    linear_name(h, 'k', s->ops[0]->key, why);
    if (verdict == LINEAR_UNDECIDED) {
        mu_buf_addf(why, ": undecided after %zu states of %zu operations\n", s->seen_count,
                    s->count);
        return;
    }
    mu_buf_addf(why, ": of %zu operations no more than %zu fit one order; then the value is ",
                s->count, s->deepest.count);
    linear_name(h, 'v', s->deepest.state.value, why);
    mu_buf_add_text(why, ", held by ");
    linear_name(h, 's', s->deepest.state.holder, why);
    mu_buf_add_text(why, ", and nothing helps to go on among\n");
    for (size_t i = 0; i < s->deepest.next_count; i++) {
        mu_buf_add_text(why, "  ");
        linear_op_text(h, s->ops[s->deepest.next[i]], why);
        mu_buf_add_byte(why, '\n');
    }
}

static int by_key_and_call(const void *left, const void *right)
{
    const struct linear_op *a = *(const struct linear_op *const *)left;
    const struct linear_op *b = *(const struct linear_op *const *)right;

    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return (a->called > b->called) - (a->called < b->called);
}

/* What the search looks at: an open get says nothing, a stale one has another contract. */
static size_t searched(const struct linear_history *h, const struct linear_op **ops)
{
    size_t count = 0;

    for (size_t i = 0; i < h->count; i++) {
        const struct linear_op *op = &h->ops[i];

        MU_ASSERT(linear_op_is_sound(op));
        if (op->kind != LINEAR_GET || (op->outcome == LINEAR_DONE && !op->is_stale)) {
            ops[count++] = op;
        }
    }
    qsort(ops, count, sizeof(struct linear_op *), by_key_and_call);
    return count;
}

enum linear_verdict linear_check(const struct linear_history *h, uint64_t steps_max,
                                 struct mu_buf *why)
{
    const struct linear_op **ops = mu_new_array(h->count + 1, sizeof(struct linear_op *));
    size_t count = searched(h, ops);
    enum linear_verdict worst = LINEAR_HOLDS;

    for (size_t from = 0, to = 0; from < count && worst != LINEAR_BROKEN; from = to) {
        enum linear_verdict verdict;
        struct search s;

        while (to < count && ops[to]->key == ops[from]->key) {
            to++;
        }
        search_init(&s, ops + from, to - from);
        verdict = search_run(&s, steps_max != 0 ? steps_max : LINEAR_STEPS_MAX);
        if (verdict != LINEAR_HOLDS) {
            search_explain(h, &s, verdict, why);
            worst = verdict;
        }
        search_deinit(&s);
    }
    mu_free(ops);
    return worst;
}

/* -- histories -------------------------------------------------------------------------------- */

void linear_history_deinit(struct linear_history *h)
{
    for (size_t i = 0; i < h->names_count; i++) {
        mu_free(h->names[i]);
    }
    mu_free(h->names);
    mu_free(h->ops);
    *h = LINEAR_HISTORY_NONE;
}

struct linear_op *linear_add(struct linear_history *h)
{
    if (h->count == h->room) {
        h->room = h->room == 0 ? 256 : h->room * 2;
        h->ops = mu_grow(h->ops, h->room * sizeof *h->ops);
    }
    h->ops[h->count] = (struct linear_op){ .kind = LINEAR_GET };
    return &h->ops[h->count++];
}

const char *linear_kind_text(enum linear_kind kind)
{
    static const char *const texts[] = {
#define LINEAR_TEXT(name, text) [LINEAR_##name] = (text),
        LINEAR_KINDS(LINEAR_TEXT)
#undef LINEAR_TEXT
    };

    MU_ASSERT(kind < LINEAR_KINDS_COUNT);
    return texts[kind];
}

bool linear_op_is_sound(const struct linear_op *op)
{
    static const struct {
        bool writes, has_session, has_condition;
    } kinds[LINEAR_KINDS_COUNT] = {
        [LINEAR_PUT] = { .writes = true },
        [LINEAR_CAS] = { .writes = true, .has_condition = true },
        [LINEAR_DELETE_CAS] = { .has_condition = true },
        [LINEAR_ACQUIRE] = { .writes = true, .has_session = true, .has_condition = true },
        [LINEAR_RELEASE] = { .writes = true, .has_session = true, .has_condition = true },
        [LINEAR_EXPIRE] = { .has_session = true },
    };

    return op->kind < LINEAR_KINDS_COUNT && (!kinds[op->kind].writes || op->value != 0) &&
           (!kinds[op->kind].has_session || op->session != 0) &&
           (kinds[op->kind].has_condition || op->outcome != LINEAR_REFUSED) &&
           (op->outcome == LINEAR_UNKNOWN || op->returned >= op->called);
}

void linear_name(const struct linear_history *h, char letter, uint64_t number, struct mu_buf *to)
{
    if (letter != 'k' && number == 0) {
        mu_buf_add_text(to, "nothing");
    } else if (h->names != NULL && number < h->names_count) {
        mu_buf_add_text(to, h->names[number]);
    } else {
        mu_buf_addf(to, "%c%llu", letter, (unsigned long long)number);
    }
}

static void named(const struct linear_history *h, const char *word, char letter, uint64_t number,
                  struct mu_buf *to)
{
    mu_buf_addf(to, " %s=", word);
    linear_name(h, letter, number, to);
}

void linear_op_text(const struct linear_history *h, const struct linear_op *op, struct mu_buf *to)
{
    static const char *const outcomes[] = { "done", "refused", "unknown" };

    mu_buf_addf(to, "%s%s ", linear_kind_text(op->kind), op->is_stale ? " (stale)" : "");
    linear_name(h, 'k', op->key, to);
    if (op->kind == LINEAR_GET || op->value != 0) {
        named(h, "value", 'v', op->value, to);
    }
    if (op->kind == LINEAR_CAS || op->kind == LINEAR_DELETE_CAS) {
        named(h, "expected", 'v', op->expected, to);
    }
    if (op->session != 0) {
        named(h, "session", 's', op->session, to);
    }
    mu_buf_addf(to, " from %llu", (unsigned long long)op->called);
    if (op->outcome != LINEAR_UNKNOWN) {
        mu_buf_addf(to, " to %llu", (unsigned long long)op->returned);
    }
    mu_buf_addf(to, ": %s", outcomes[op->outcome]);
    if (op->index != 0) {
        mu_buf_addf(to, " index=%llu", (unsigned long long)op->index);
    }
    if (op->modified != 0) {
        mu_buf_addf(to, " modified=%llu", (unsigned long long)op->modified);
    }
}
