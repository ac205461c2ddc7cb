/* Recursive descent: alternatives of sequences of repeated atoms. Depth is bounded, since the text
 * is a stranger's.
 */
#include "pattern_parse.h"

#include <string.h>

#include "base/assert.h"

#define DEPTH_MAX  64  /* nested groups */
#define RANGES_MAX 256 /* of one class */

#define FLAG_FOLD 1U /* (?i) */
#define FLAG_DOT  2U /* (?s): a dot is also a line end */
#define FLAG_LINE 4U /* (?m) */

struct parser {
    struct mu_span text;
    size_t at;
    unsigned flags, depth;
    struct mu_arena *arena;
    struct mu_err *err;
    bool failed;
};

static struct pattern_node *alternatives(struct parser *p);

/* -- characters -------------------------------------------------------------------------------- */

uint32_t pattern_char(struct mu_span text, size_t *bytes)
{
    static const uint8_t mask[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };

    *bytes = 1;
    if (text.data[0] < 0x80) {
        return text.data[0];
    }
    for (size_t n = 2; n <= 4 && n <= text.bytes; n++) {
        if (!mu_span_is_utf8(mu_span_sub(text, 0, n))) {
            continue;
        }
        uint32_t c = text.data[0] & mask[n];

        for (size_t i = 1; i < n; i++) {
            c = c << 6 | (text.data[i] & 0x3F);
        }
        *bytes = n;
        return c;
    }
    return 0xFFFD;
}

static struct pattern_node *fail(struct parser *p, const char *what, struct mu_span where)
{
    if (!p->failed) {
        (void)mu_fail(p->err, MU_INVALID, "error parsing regexp: %s: `%.*s`", what,
                      MU_SPAN_FMT(where));
    }
    p->failed = true;
    p->at = p->text.bytes; /* every loop ends */
    return NULL;
}

static struct mu_span since(const struct parser *p, size_t start)
{
    return mu_span_sub(p->text, start, p->at - start);
}

static bool is_end(const struct parser *p)
{
    return p->at >= p->text.bytes;
}

static bool starts(const struct parser *p, const char *text)
{
    return mu_span_starts(mu_span_sub(p->text, p->at, p->text.bytes), mu_span_text(text));
}

static bool take(struct parser *p, const char *text)
{
    if (!starts(p, text)) {
        return false;
    }
    p->at += strlen(text);
    return true;
}

static uint32_t next(struct parser *p)
{
    size_t bytes = 1;
    uint32_t c = pattern_char(mu_span_sub(p->text, p->at, p->text.bytes), &bytes);

    p->at += bytes;
    return c;
}

static struct pattern_node *node_new(struct parser *p, enum pattern_node_kind kind)
{
    struct pattern_node *n = mu_arena_new(p->arena, sizeof *n);

    n->kind = kind;
    return n;
}

/* -- sets -------------------------------------------------------------------------------------- */

static const struct {
    const char *name; /* "d" for \d, "alpha" for [:alpha:] */
    struct pattern_range ranges[5];
    size_t count;
} classes[] = {
    // clang-format off
    { "d",      { { '0', '9' } }, 1 },
    { "s",      { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
    { "w",      { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
    { "alnum",  { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
    { "alpha",  { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
    { "ascii",  { { 0, 0x7F } }, 1 },
    { "blank",  { { '\t', '\t' }, { ' ', ' ' } }, 2 },
    { "cntrl",  { { 0, 0x1F }, { 0x7F, 0x7F } }, 2 },
    { "digit",  { { '0', '9' } }, 1 },
    { "graph",  { { '!', '~' } }, 1 },
    { "lower",  { { 'a', 'z' } }, 1 },
    { "print",  { { ' ', '~' } }, 1 },
    { "punct",  { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
    { "space",  { { '\t', '\r' }, { ' ', ' ' } }, 2 },
    { "upper",  { { 'A', 'Z' } }, 1 },
    { "word",   { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
    { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
}; // clang-format on

static void set_add(struct parser *p, struct pattern_set *s, uint32_t first, uint32_t last)
{
    if (s->ranges == NULL) {
        s->ranges = mu_arena_array(p->arena, RANGES_MAX, sizeof *s->ranges);
    }
    if (s->count == RANGES_MAX) {
        (void)fail(p, "expression too large", p->text);
        return;
    }
    s->ranges[s->count++] = (struct pattern_range){ first, last };
}

/* What a class leaves out, for \D inside [ ]. Ranges in the table are in order. */
static void set_add_others(struct parser *p, struct pattern_set *s, size_t row)
{
    uint32_t from = 0;

    for (size_t i = 0; i < classes[row].count; i++) {
        if (classes[row].ranges[i].first > from) {
            set_add(p, s, from, classes[row].ranges[i].first - 1);
        }
        from = classes[row].ranges[i].last + 1;
    }
    set_add(p, s, from, 0x10FFFF);
}

static bool set_add_class(struct parser *p, struct pattern_set *s, struct mu_span name,
                          bool is_negated)
{
    for (size_t row = 0; row < MU_LEN(classes); row++) {
        if (!mu_span_eq_text(name, classes[row].name)) {
            continue;
        }
        if (is_negated) {
            set_add_others(p, s, row);
            return true;
        }
        for (size_t i = 0; i < classes[row].count; i++) {
            set_add(p, s, classes[row].ranges[i].first, classes[row].ranges[i].last);
        }
        return true;
    }
    return false;
}

/* \d \D \s \S \w \W behind the backslash: true when it was one. */
static bool take_perl_class(struct parser *p, struct pattern_set *s)
{
    static const char letters[] = "dDsSwW";
    const char *at = is_end(p) ? NULL : memchr(letters, p->text.data[p->at], sizeof letters - 1);

    if (at == NULL) {
        return false;
    }
    p->at++;

    const char name = (char)(*at | 0x20);

    return set_add_class(p, s, mu_span_of(&name, 1), *at != name);
}

static int hex_value(uint32_t c)
{
    if (c >= '0' && c <= '9') {
        return (int)c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)c - 'a' + 10 : -1;
}

/* \x41 or \x{263a}, behind the x. */
static uint32_t hex_char(struct parser *p, size_t start)
{
    bool has_braces = take(p, "{");
    uint32_t value = 0;
    size_t digits = 0;

    while (!is_end(p) && hex_value(p->text.data[p->at]) >= 0 && digits < (has_braces ? 6 : 2)) {
        value = value * 16 + (uint32_t)hex_value(p->text.data[p->at]);
        p->at++;
        digits++;
    }
    if (value > 0x10FFFF || (has_braces ? digits == 0 || !take(p, "}") : digits != 2)) {
        (void)fail(p, "invalid escape sequence", since(p, start));
    }
    return value;
}

/* One escaped character, behind the backslash. */
static uint32_t escaped_char(struct parser *p)
{
    static const struct {
        char name;
        uint32_t value;
    } named[] = { { 'a', 7 },    { 'f', '\f' }, { 'n', '\n' },
                  { 'r', '\r' }, { 't', '\t' }, { 'v', '\v' } };
    size_t start = p->at - 1;

    if (is_end(p)) {
        (void)fail(p, "trailing backslash at end of expression", MU_SPAN_NONE);
        return 0;
    }
    uint32_t c = next(p);

    if (c == 'x') {
        return hex_char(p, start);
    }
    for (size_t i = 0; i < MU_LEN(named); i++) {
        if (c == (uint32_t)named[i].name) {
            return named[i].value;
        }
    }
    bool is_word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

    if (is_word || c >= 0x80) {
        (void)fail(p, "invalid escape sequence", since(p, start));
    }
    return c;
}

static uint32_t class_char(struct parser *p, size_t start)
{
    if (is_end(p)) {
        (void)fail(p, "missing closing ]", mu_span_sub(p->text, start, p->text.bytes));
        return 0;
    }
    return take(p, "\\") ? escaped_char(p) : next(p);
}

/* "[:alpha:]" inside a class; false when it is none. */
static bool take_posix_class(struct parser *p, struct pattern_set *s)
{
    struct mu_span rest = mu_span_sub(p->text, p->at, p->text.bytes);
    const uint8_t *end;
    bool is_negated;

    if (!starts(p, "[:") || (end = memmem(rest.data + 2, rest.bytes - 2, ":]", 2)) == NULL) {
        return false;
    }
    is_negated = rest.data[2] == '^';

    struct mu_span whole = mu_span_of(rest.data, (size_t)(end + 2 - rest.data));
    struct mu_span name =
        mu_span_sub(whole, is_negated ? 3 : 2, whole.bytes - (is_negated ? 5 : 4));

    if (!set_add_class(p, s, name, is_negated)) {
        (void)fail(p, "invalid character class range", whole);
    }
    p->at += p->failed ? 0 : whole.bytes;
    return true;
}

static void class_item(struct parser *p, struct pattern_set *s, size_t start)
{
    size_t item = p->at;

    if (take_posix_class(p, s)) {
        return;
    }
    if (starts(p, "\\")) {
        p->at++;
        if (take_perl_class(p, s)) {
            return;
        }
        p->at--;
    }
    uint32_t first = class_char(p, start);
    uint32_t last = first;

    if (starts(p, "-") && !starts(p, "-]")) {
        p->at++;
        last = class_char(p, start);
        if (last < first) {
            (void)fail(p, "invalid character class range", since(p, item));
            return;
        }
    }
    set_add(p, s, first, last);
}

/* A class, behind its '['. */
static struct pattern_node *class(struct parser *p)
{
    struct pattern_node *n = node_new(p, PATTERN_SET);
    size_t start = p->at - 1;

    n->set.is_negated = take(p, "^");
    n->set.is_folded = (p->flags & FLAG_FOLD) != 0;
    do { /* a ']' in the first place stands for itself */
        class_item(p, &n->set, start);
    } while (!p->failed && !take(p, "]"));
    return p->failed ? NULL : n;
}

static struct pattern_node *literal(struct parser *p, uint32_t c)
{
    struct pattern_node *n = node_new(p, PATTERN_SET);

    n->set.ranges = mu_arena_array(p->arena, 1, sizeof *n->set.ranges);
    n->set.ranges[0] = (struct pattern_range){ c, c };
    n->set.count = 1;
    n->set.is_folded = (p->flags & FLAG_FOLD) != 0;
    return n;
}

static struct pattern_node *dot(struct parser *p)
{
    struct pattern_node *n = literal(p, '\n');

    n->set.is_negated = true;
    n->set.is_folded = false;
    if ((p->flags & FLAG_DOT) != 0) {
        n->set.count = 0; /* everything but nothing */
    }
    return n;
}

static struct pattern_node *place(struct parser *p, enum pattern_place where)
{
    struct pattern_node *n = node_new(p, PATTERN_ASSERT);

    n->place = where;
    return n;
}

/* -- atoms ------------------------------------------------------------------------------------- */

/* Behind a backslash. */
static struct pattern_node *escape(struct parser *p)
{
    static const struct {
        const char *text;
        enum pattern_place where;
    } places[] = { { "A", PATTERN_TEXT_BEGIN },
                   { "z", PATTERN_TEXT_END },
                   { "b", PATTERN_WORD_EDGE },
                   { "B", PATTERN_NO_WORD_EDGE } };
    struct pattern_node *n = node_new(p, PATTERN_SET);

    for (size_t i = 0; i < MU_LEN(places); i++) {
        if (take(p, places[i].text)) {
            return place(p, places[i].where);
        }
    }
    n->set.is_folded = false;
    if (take_perl_class(p, &n->set)) {
        return n;
    }
    uint32_t c = escaped_char(p);

    return p->failed ? NULL : literal(p, c);
}

/* The letters of (?i-s: or (?i). True when a group follows, false when it was all. */
static bool group_flags(struct parser *p, size_t start)
{
    bool is_off = false;

    while (!is_end(p)) {
        char c = (char)p->text.data[p->at++];
        unsigned flag = c == 'i' ? FLAG_FOLD : c == 's' ? FLAG_DOT : c == 'm' ? FLAG_LINE : 0;

        if (c == ':' || c == ')') {
            return c == ':';
        }
        if (c == '-' && !is_off) {
            is_off = true;
        } else if (flag == 0 && c != 'U') {
            break;
        }
        p->flags = is_off ? p->flags & ~flag : p->flags | flag;
    }
    (void)fail(p, "invalid or unsupported Perl syntax", since(p, start));
    return false;
}

/* A group, behind its '('. */
static struct pattern_node *group(struct parser *p)
{
    size_t start = p->at - 1;
    unsigned kept = p->flags;
    struct pattern_node *n;

    if (++p->depth > DEPTH_MAX) {
        return fail(p, "expression nests too deeply", mu_span_sub(p->text, start, 1));
    }
    if (take(p, "?P<")) {
        while (!is_end(p) && p->text.data[p->at++] != '>') {
        }
    } else if (take(p, "?") && !group_flags(p, start)) {
        p->depth--;
        return p->failed ? NULL : node_new(p, PATTERN_EMPTY); /* (?i): from here on */
    }
    n = alternatives(p);
    p->flags = kept;
    p->depth--;
    if (!p->failed && !take(p, ")")) {
        return fail(p, "missing closing )", p->text);
    }
    return n;
}

static struct pattern_node *atom(struct parser *p)
{
    bool is_lines = (p->flags & FLAG_LINE) != 0;
    size_t start = p->at;

    switch (next(p)) {
    case '(': return group(p);
    case '[': return class(p);
    case '\\': return escape(p);
    case '.': return dot(p);
    case '^': return place(p, is_lines ? PATTERN_LINE_BEGIN : PATTERN_TEXT_BEGIN);
    case '$': return place(p, is_lines ? PATTERN_LINE_END : PATTERN_TEXT_END);
    case '*':
    case '+':
    case '?': return fail(p, "missing argument to repetition operator", since(p, start));
    default: p->at = start; return literal(p, next(p));
    }
}

/* -- repetition, sequences, alternatives ------------------------------------------------------- */

static bool number(struct parser *p, uint32_t *out)
{
    size_t start = p->at;

    *out = 0;
    while (!is_end(p) && p->text.data[p->at] >= '0' && p->text.data[p->at] <= '9') {
        *out = *out > PATTERN_REPEAT_MAX ? *out : *out * 10 + (uint32_t)(p->text.data[p->at] - '0');
        p->at++;
    }
    return p->at > start;
}

/* "{2}", "{2,}", "{2,5}"; anything else in braces is literal text, as in RE2. */
static bool take_braces(struct parser *p, uint32_t *min, uint32_t *max)
{
    size_t start = p->at;

    if (take(p, "{") && number(p, min)) {
        *max = *min;
        if (take(p, ",") && !number(p, max)) {
            *max = PATTERN_NONE;
        }
        if (take(p, "}")) {
            return true;
        }
    }
    p->at = start;
    return false;
}

static bool take_operator(struct parser *p, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = PATTERN_NONE;
    if (take(p, "*")) {
        return true;
    }
    if (take(p, "+")) {
        *min = 1;
        return true;
    }
    if (take(p, "?")) {
        *max = 1;
        return true;
    }
    return take_braces(p, min, max);
}

static struct pattern_node *repeated(struct parser *p)
{
    struct pattern_node *n = atom(p);
    size_t start = p->at;
    uint32_t min, max;

    if (p->failed || !take_operator(p, &min, &max)) {
        return n;
    }
    if (min > PATTERN_REPEAT_MAX ||
        (max != PATTERN_NONE && (max > PATTERN_REPEAT_MAX || max < min))) {
        return fail(p, "invalid repeat count", since(p, start));
    }
    struct pattern_node *r = node_new(p, PATTERN_REPEAT);

    r->first = n;
    r->min = min;
    r->max = max;
    (void)take(p, "?"); /* non-greedy: the same answer */
    size_t more = p->at;

    if (take_operator(p, &min, &max)) {
        p->at = more + 1;
        return fail(p, "invalid nested repetition operator", since(p, start));
    }
    return r;
}

static struct pattern_node *join(struct parser *p, enum pattern_node_kind kind,
                                 struct pattern_node *first, struct pattern_node *second)
{
    if (first == NULL) {
        return second;
    }
    struct pattern_node *n = node_new(p, kind);

    n->first = first;
    n->second = second;
    return n;
}

static struct pattern_node *sequence(struct parser *p)
{
    struct pattern_node *all = NULL;

    while (!is_end(p) && !starts(p, "|") && !starts(p, ")")) {
        all = join(p, PATTERN_CAT, all, repeated(p));
    }
    return all != NULL ? all : node_new(p, PATTERN_EMPTY);
}

static struct pattern_node *alternatives(struct parser *p)
{
    struct pattern_node *all = sequence(p);

    while (!p->failed && take(p, "|")) {
        all = join(p, PATTERN_ALT, all, sequence(p));
    }
    return all;
}

enum mu_code pattern_parse(struct pattern_node **out, struct mu_span text, struct mu_arena *arena,
                           struct mu_err *err)
{
    struct parser p = { .text = text, .arena = arena, .err = err };
    struct pattern_node *all = alternatives(&p);

    if (!p.failed && !is_end(&p)) {
        (void)fail(&p, "unexpected )", text);
    }
    *out = all;
    return p.failed ? MU_INVALID : MU_OK;
}
