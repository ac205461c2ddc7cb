/* From the tree to a program of four instructions, and the machine that runs all of its threads in
 * step: a thread is a place in the program, so there are never more of them than instructions.
 */
#include "base/pattern.h"

#include "base/assert.h"
#include "pattern_parse.h"

#define PROGRAM_MAX 2000 /* instructions: what one text byte may cost */
#define TEXT_MAX    1000 /* bytes: the tree of a sequence is as deep as the text is long */

enum step_kind {
    STEP_SET,    /* one character of a set, then the next instruction */
    STEP_SPLIT,  /* go on at both */
    STEP_ASSERT, /* only if this is such a place */
    STEP_MATCH,
};

struct step {
    enum step_kind kind;
    const struct pattern_set *set;
    enum pattern_place place;
    uint32_t to[2]; /* SPLIT; to[1] PATTERN_NONE: a jump */
};

struct mu_pattern {
    struct step *steps;
    uint32_t count;
};

/* -- compiling --------------------------------------------------------------------------------- */

struct compiler {
    struct step *steps;
    uint32_t count;
    bool is_full;
};

static void emit(struct compiler *c, const struct pattern_node *n);

static uint32_t add(struct compiler *c, struct step step)
{
    if (c->count == PROGRAM_MAX) {
        c->is_full = true;
        return c->count - 1;
    }
    c->steps[c->count] = step;
    return c->count++;
}

static uint32_t add_split(struct compiler *c)
{
    uint32_t here = add(c, (struct step){ .kind = STEP_SPLIT });

    c->steps[here].to[0] = here + 1;
    c->steps[here].to[1] = PATTERN_NONE;
    return here;
}

static void emit_alternatives(struct compiler *c, const struct pattern_node *n)
{
    uint32_t split = add_split(c);

    emit(c, n->first);
    uint32_t jump = add_split(c);

    c->steps[split].to[1] = c->count;
    emit(c, n->second);
    c->steps[jump].to[0] = c->count;
}

/* As often as must be, then as often as may be. */
static void emit_repeat(struct compiler *c, const struct pattern_node *n)
{
    for (uint32_t i = 0; i < n->min && !c->is_full; i++) {
        uint32_t before = c->count;

        emit(c, n->first);
        if (c->count == before) {
            break; /* nothing, however often */
        }
    }
    if (n->max == PATTERN_NONE) {
        uint32_t split = add_split(c);

        emit(c, n->first);
        uint32_t back = add_split(c);

        c->steps[back].to[0] = split;
        c->steps[split].to[1] = c->count;
        return;
    }
    for (uint32_t i = n->min; i < n->max && !c->is_full; i++) {
        uint32_t split = add_split(c);

        emit(c, n->first);
        c->steps[split].to[1] = c->count; /* leaving early: the next one asks again, and leaves */
    }
}

static void emit(struct compiler *c, const struct pattern_node *n)
{
    if (c->is_full) {
        return;
    }
    switch (n->kind) {
    case PATTERN_EMPTY: break;
    case PATTERN_SET: (void)add(c, (struct step){ .kind = STEP_SET, .set = &n->set }); break;
    case PATTERN_ASSERT:
        (void)add(c, (struct step){ .kind = STEP_ASSERT, .place = n->place });
        break;
    case PATTERN_CAT:
        emit(c, n->first);
        emit(c, n->second);
        break;
    case PATTERN_ALT: emit_alternatives(c, n); break;
    case PATTERN_REPEAT: emit_repeat(c, n); break;
    }
}

enum mu_code mu_pattern_compile(struct mu_pattern **out, struct mu_span text,
                                struct mu_arena *arena, struct mu_err *err)
{
    struct pattern_node *tree = NULL;
    struct compiler c = { .count = 0 };

    if (text.bytes > TEXT_MAX) {
        return mu_fail(err, MU_INVALID, "error parsing regexp: expression too large");
    }
    enum mu_code rc = pattern_parse(&tree, text, arena, err);

    if (rc != MU_OK) {
        return rc;
    }
    c.steps = mu_arena_array(arena, PROGRAM_MAX, sizeof *c.steps);
    emit(&c, tree);
    (void)add(&c, (struct step){ .kind = STEP_MATCH });
    if (c.is_full) {
        return mu_fail(err, MU_INVALID, "error parsing regexp: expression too large");
    }
    *out = mu_arena_new(arena, sizeof **out);
    **out = (struct mu_pattern){ c.steps, c.count };
    return MU_OK;
}

/* -- matching ---------------------------------------------------------------------------------- */

struct threads { /* those that wait for the next character */
    uint32_t at[PROGRAM_MAX];
    uint32_t count;
    bool is_in[PROGRAM_MAX]; /* also those that were only passed through */
};

struct run {
    const struct mu_pattern *pattern;
    struct mu_span text;
    size_t at;
    uint32_t stack[2 * PROGRAM_MAX];
};

static bool is_word(const struct run *r, size_t at)
{
    if (at >= r->text.bytes) {
        return false;
    }
    uint8_t c = r->text.data[at];

    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(const struct run *r, enum pattern_place place)
{
    bool is_begin = r->at == 0;
    bool is_end = r->at == r->text.bytes;
    bool is_edge = (!is_begin && is_word(r, r->at - 1)) != is_word(r, r->at);

    switch (place) {
    case PATTERN_TEXT_BEGIN: return is_begin;
    case PATTERN_TEXT_END: return is_end;
    case PATTERN_LINE_BEGIN: return is_begin || r->text.data[r->at - 1] == '\n';
    case PATTERN_LINE_END: return is_end || r->text.data[r->at] == '\n';
    case PATTERN_WORD_EDGE: return is_edge;
    case PATTERN_NO_WORD_EDGE: return !is_edge;
    }
    MU_UNREACHABLE_CODE();
}

/* Follow splits and places from `pc` until characters are needed. True: the end was reached. */
static bool add_thread(struct run *r, struct threads *t, uint32_t pc)
{
    uint32_t depth = 0;

    r->stack[depth++] = pc;
    while (depth > 0) {
        pc = r->stack[--depth];
        const struct step *s = &r->pattern->steps[pc];

        if (t->is_in[pc]) {
            continue;
        }
        t->is_in[pc] = true;
        switch (s->kind) {
        case STEP_MATCH: return true;
        case STEP_SET: t->at[t->count++] = pc; break;
        case STEP_ASSERT:
            if (holds(r, s->place)) {
                r->stack[depth++] = pc + 1;
            }
            break;
        case STEP_SPLIT:
            r->stack[depth++] = s->to[0];
            if (s->to[1] != PATTERN_NONE) {
                r->stack[depth++] = s->to[1];
            }
            break;
        }
    }
    return false;
}

static bool in_ranges(const struct pattern_set *s, uint32_t c)
{
    for (size_t i = 0; i < s->count; i++) {
        if (c >= s->ranges[i].first && c <= s->ranges[i].last) {
            return true;
        }
    }
    return false;
}

static bool in_set(const struct pattern_set *s, uint32_t c)
{
    bool is_in = in_ranges(s, c);

    if (!is_in && s->is_folded && c >= 'A' && c <= 'Z') {
        is_in = in_ranges(s, c + ('a' - 'A'));
    } else if (!is_in && s->is_folded && c >= 'a' && c <= 'z') {
        is_in = in_ranges(s, c - ('a' - 'A'));
    }
    return is_in != s->is_negated;
}

static void clear(const struct mu_pattern *p, struct threads *t)
{
    t->count = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        t->is_in[i] = false;
    }
}

bool mu_pattern_matches(const struct mu_pattern *p, struct mu_span text)
{
    struct threads lists[2];
    struct threads *now = &lists[0], *next = &lists[1];
    struct run r;

    r.pattern = p;
    r.text = text;
    r.at = 0;
    clear(p, now);
    for (;;) {
        if (add_thread(&r, now, 0)) { /* a match may begin anywhere */
            return true;
        }
        if (r.at == text.bytes) {
            return false;
        }
        size_t bytes = 1;
        uint32_t c = pattern_char(mu_span_sub(text, r.at, text.bytes), &bytes);

        r.at += bytes;
        clear(p, next);
        for (uint32_t i = 0; i < now->count; i++) {
            if (in_set(p->steps[now->at[i]].set, c) && add_thread(&r, next, now->at[i] + 1)) {
                return true;
            }
        }
        struct threads *spare = now;

        now = next;
        next = spare;
    }
}
