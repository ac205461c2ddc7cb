/* linear.c - the search of Wing and Gong ("Testing and verifying concurrent objects", 1993) with
 * the memory of Lowe ("Testing for linearizability", 2017), one key at a time: operations on
 * different keys cannot disagree with each other (P-compositionality, Horn and Kroening 2015).
 *
 * The events of a key stand in a ring by time. The search walks it from the front: an operation
 * whose call comes before the first return may be the next one to take effect. If the state allows
 * it, its two events are lifted out and the walk begins again; when a return is reached, somebody
 * ought to have taken effect and could not, and the last choice is taken back. Done when every
 * operation with a known outcome is lifted.
 *
 * Operations with an open outcome have no return. They stand in a ring of their own and are tried
 * last, so that they take effect only where nothing else helps: in front of somebody who sees them.
 * One that would change nothing stays open.
 *
 * What has no effect whenever it fits (a get, a refused write) may take effect at once when it
 * fits: there is no other choice to come back to.
 *
 * The memory: a place was searched before if the same known operations were in effect, the state
 * was the same, and of the open ones no others were used up. It knows sets and states by
 * fingerprints of 128 bits: a wrong verdict by collision takes 2^64 steps, the bound is 2^21.
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

enum { KNOWN, OPEN, HEADS_COUNT }; /* the first events are heads of rings, and no events */

struct event {
    uint32_t next, prev;
    uint32_t mate; /* of a call: its return; 0: it is open */
    uint32_t op;
    uint32_t bit; /* of an open one: its place among them */
    bool is_call;
};

struct fingerprint {
    uint64_t a, b;
};

struct choice {
    uint32_t event;
    struct state before;
};

/* What was visited: by fingerprint, then a chain of the sets of open operations used up there. */
struct memory {
    struct slot {
        struct fingerprint print; /* all zero: free */
        uint32_t newest;
    } * slots;
    size_t slots_count, slots_room;
    uint32_t *older; /* by number of the visit; 0: none. Numbers begin at 1 */
    uint64_t *used;  /* `words` for each visit */
    size_t count, room;
    size_t words;
};

struct search {
    const struct linear_op **ops;
    size_t count;
    struct event *events;
    size_t known_left;
    struct state state;
    struct fingerprint known; /* operations in effect */
    uint64_t *used;           /* open ones in effect, a bit each */
    struct choice *chosen;
    size_t chosen_count;
    struct memory memory;
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

static struct slot *slot_find(struct slot *slots, size_t room, struct fingerprint f)
{
    size_t i = (size_t)f.a & (room - 1);

    while (slots[i].print.b != 0 && (slots[i].print.a != f.a || slots[i].print.b != f.b)) {
        i = (i + 1) & (room - 1);
    }
    return &slots[i];
}

static void slots_grow(struct memory *m)
{
    size_t room = m->slots_room == 0 ? 1024 : m->slots_room * 2;
    struct slot *slots = mu_new_array(room, sizeof *slots);

    for (size_t i = 0; i < m->slots_room; i++) {
        if (m->slots[i].print.b != 0) {
            *slot_find(slots, room, m->slots[i].print) = m->slots[i];
        }
    }
    mu_free(m->slots);
    m->slots = slots;
    m->slots_room = room;
}

static bool is_within(const uint64_t *inner, const uint64_t *outer, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if ((inner[i] & ~outer[i]) != 0) {
            return false;
        }
    }
    return true;
}

static uint32_t visit_add(struct memory *m, const uint64_t *used, uint32_t older)
{
    m->count++;
    if (m->count >= m->room) {
        m->room = m->room == 0 ? 1024 : m->room * 2;
        m->older = mu_grow(m->older, m->room * sizeof *m->older);
        m->used = mu_grow(m->used, m->room * m->words * sizeof *m->used + 1);
    }
    m->older[m->count] = older;
    memcpy(m->used + m->count * m->words, used, m->words * sizeof *used);
    return (uint32_t)m->count;
}

/* False: this place was searched, with as many open operations left or more. */
static bool memory_add(struct memory *m, struct fingerprint f, const uint64_t *used)
{
    struct slot *slot;

    if (m->slots_count * 2 >= m->slots_room) {
        slots_grow(m);
    }
    slot = slot_find(m->slots, m->slots_room, f);
    for (uint32_t i = slot->newest; i != 0; i = m->older[i]) {
        uint64_t *visited = m->used + i * m->words;

        if (is_within(visited, used, m->words)) {
            return false;
        }
        if (is_within(used, visited, m->words)) {
            memcpy(visited, used, m->words * sizeof *used); /* the better of the two */
            return true;
        }
    }
    m->slots_count += slot->print.b == 0;
    slot->print = f;
    slot->newest = visit_add(m, used, slot->newest);
    return true;
}

static void memory_deinit(struct memory *m)
{
    mu_free(m->slots);
    mu_free(m->older);
    mu_free(m->used);
}

/* -- the walk --------------------------------------------------------------------------------- */

static const struct linear_op *op_of(const struct search *s, uint32_t event)
{
    return s->ops[s->events[event].op];
}

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

static uint64_t first_return(const struct search *s)
{
    uint32_t at = s->events[KNOWN].next;

    while (s->events[at].is_call) {
        at = s->events[at].next;
    }
    MU_ASSERT(at != KNOWN); /* the walk ends with the last known operation */
    return op_of(s, at)->returned;
}

/* What may take effect next, behind `at` (KNOWN: the first). KNOWN: there is no more. */
static uint32_t candidate_after(const struct search *s, uint32_t at)
{
    bool is_open = at >= HEADS_COUNT && s->events[at].mate == 0;
    uint32_t next = s->events[at].next;

    if (!is_open && next != KNOWN && s->events[next].is_call) {
        return next;
    }
    if (!is_open) {
        next = s->events[OPEN].next;
    }
    return next != OPEN && op_of(s, next)->called <= first_return(s) ? next : KNOWN;
}

/* Put into effect, or take back: the same but for the order. */
static void sets_turn(struct search *s, const struct event *e)
{
    if (e->mate != 0) {
        s->known = with_op(s->known, e->op);
    } else {
        s->used[e->bit / 64] ^= 1ULL << (e->bit % 64);
    }
}

static bool take(struct search *s, uint32_t at)
{
    const struct event *e = &s->events[at];
    struct state next;

    if (!fits(op_of(s, at), s->state, &next) || (e->mate == 0 && state_eq(next, s->state))) {
        return false;
    }
    sets_turn(s, e);
    if (!memory_add(&s->memory, with_state(s->known, next), s->used)) {
        sets_turn(s, e);
        return false;
    }
    s->chosen[s->chosen_count++] = (struct choice){ .event = at, .before = s->state };
    s->state = next;
    event_lift(s, at);
    if (e->mate != 0) {
        event_lift(s, e->mate);
        s->known_left--;
    }
    return true;
}

/* Take back the last choice that has alternatives, which is *at. False: none is left. */
static bool back(struct search *s, uint32_t *at)
{
    while (s->chosen_count > 0) {
        const struct choice *last = &s->chosen[--s->chosen_count];
        const struct event *e = &s->events[last->event];

        s->state = last->before;
        sets_turn(s, e);
        if (e->mate != 0) {
            event_lower(s, e->mate);
            s->known_left++;
        }
        event_lower(s, last->event);
        if (!is_pure(s->ops[e->op])) {
            *at = last->event;
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
    for (uint32_t at = candidate_after(s, KNOWN); at != KNOWN; at = candidate_after(s, at)) {
        if (s->deepest.next_count < SHOWN_MAX) {
            s->deepest.next[s->deepest.next_count++] = s->events[at].op;
        }
    }
}

static enum linear_verdict search_run(struct search *s, uint64_t steps_max)
{
    uint32_t at = KNOWN;

    while (s->known_left > 0) {
        at = candidate_after(s, at);
        if (at == KNOWN) {
            note_deepest(s);
            if (!back(s, &at)) {
                return LINEAR_BROKEN;
            }
        } else if (take(s, at)) {
            at = KNOWN;
        }
        if (s->memory.count > steps_max) {
            return LINEAR_UNDECIDED;
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

static uint32_t moments_fill(const struct search *s, struct moment *moments)
{
    uint32_t count = 0;

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

static void ring_add(struct search *s, uint32_t head, uint32_t at)
{
    struct event *e = &s->events[at];

    e->prev = s->events[head].prev;
    e->next = head;
    event_lower(s, at);
}

static void search_init(struct search *s, const struct linear_op **ops, size_t count)
{
    struct moment *moments = mu_new_array(count * 2, sizeof *moments);
    uint32_t *calls = mu_new_array(count, sizeof *calls);
    uint32_t opens = 0;
    uint32_t moments_count;

    MU_ASSERT(count <= LINEAR_KEY_OPS_MAX);
    *s = (struct search){ .ops = ops, .count = count };
    moments_count = moments_fill(s, moments);
    s->events = mu_new_array(moments_count + HEADS_COUNT, sizeof *s->events);
    s->events[OPEN] = (struct event){ .prev = OPEN, .next = OPEN };
    for (uint32_t i = 0; i < moments_count; i++) {
        uint32_t at = i + HEADS_COUNT;
        bool is_open = ops[moments[i].op]->outcome == LINEAR_UNKNOWN;

        s->events[at].op = moments[i].op;
        s->events[at].is_call = !moments[i].is_return;
        ring_add(s, is_open ? OPEN : KNOWN, at);
        if (is_open) {
            s->events[at].bit = opens++;
        } else if (moments[i].is_return) {
            s->events[calls[moments[i].op]].mate = at;
            s->known_left++;
        } else {
            calls[moments[i].op] = at;
        }
    }
    s->chosen = mu_new_array(count, sizeof *s->chosen);
    s->memory.words = (opens + 63) / 64;
    s->used = mu_new_array(s->memory.words, sizeof *s->used);
    mu_free(calls);
    mu_free(moments);
}

static void search_deinit(struct search *s)
{
    mu_free(s->events);
    mu_free(s->chosen);
    mu_free(s->used);
    memory_deinit(&s->memory);
}

static void search_explain(const struct linear_history *h, const struct search *s,
                           enum linear_verdict verdict, struct mu_buf *why)
{
    mu_buf_add_text(why, "key ");
    linear_name(h, 'k', s->ops[0]->key, why);
    if (verdict == LINEAR_UNDECIDED) {
        mu_buf_addf(why, ": undecided after %zu states of %zu operations\n", s->memory.count,
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
