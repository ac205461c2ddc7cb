/* The grammar of http-api 1.12, by recursive descent. Where the grammar tries one form after the
 * other (a selector, then a value), so does this, going back to where it stood.
 */
#include "filter_tree.h"

#include <string.h>

#include "base/assert.h"

#define DEPTH_MAX 64 /* of parentheses and "not" */
#define TEXT_MAX  8192

struct parser {
    struct mu_span text;
    size_t at;
    size_t furthest;      /* where the last thing that was expected was not found */
    const char *expected; /* there */
    unsigned depth;
    struct mu_arena *arena;
};

static struct filter_node *or_expression(struct parser *p);

/* -- words ------------------------------------------------------------------------------------- */

/* Remember what was not found, for the message; returns false. */
static bool missing(struct parser *p, const char *what)
{
    if (p->expected == NULL || p->at > p->furthest) {
        p->furthest = p->at;
        p->expected = what;
    }
    return false;
}

static bool is_end(const struct parser *p)
{
    return p->at >= p->text.bytes;
}

static uint8_t peek(const struct parser *p)
{
    return is_end(p) ? 0 : p->text.data[p->at];
}

/* Blanks; true when there was one. */
static bool blanks(struct parser *p)
{
    size_t start = p->at;

    while (!is_end(p) && strchr(" \t\r\n", peek(p)) != NULL && peek(p) != 0) {
        p->at++;
    }
    return p->at > start;
}

static bool take(struct parser *p, const char *text)
{
    size_t bytes = strlen(text);

    if (!mu_span_starts(mu_span_sub(p->text, p->at, p->text.bytes), mu_span_text(text))) {
        return missing(p, text);
    }
    p->at += bytes;
    return true;
}

/* Words of an operator, each with blanks in front: " is", " not", " empty". */
static bool take_words(struct parser *p, const char *const *words, size_t count)
{
    size_t start = p->at;

    for (size_t i = 0; i < count; i++) {
        if (!blanks(p) || !take(p, words[i])) {
            (void)missing(p, "[ \\t\\r\\n]");
            p->at = start;
            return false;
        }
    }
    return true;
}

/* -- values ------------------------------------------------------------------------------------ */

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool identifier(struct parser *p, struct mu_span *out)
{
    size_t start = p->at;

    if (!is_letter(peek(p))) {
        return missing(p, "[a-zA-Z]");
    }
    while (is_letter(peek(p)) || is_digit(peek(p)) || peek(p) == '_') {
        p->at++;
    }
    *out = mu_span_sub(p->text, start, p->at - start);
    return true;
}

/* `digits` of a number behind \x, \u, \U or of an octal one. */
static bool code_point(struct parser *p, unsigned digits, unsigned base, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < digits; i++) {
        uint8_t c = peek(p);
        uint32_t value = is_digit(c) ? (uint32_t)(c - '0') : 99;

        if (base == 16 && ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) {
            value = (uint32_t)((c | 0x20) - 'a' + 10);
        }
        if (value >= base) {
            return missing(p, "escape sequence");
        }
        *out = *out * base + value;
        p->at++;
    }
    return true;
}

static size_t utf8_put(uint32_t c, uint8_t *to)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xC0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xE0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        to[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (uint8_t)(0xF0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    to[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

/* One escape of Go, behind its backslash. `to` has room for 4 bytes. */
static bool escape(struct parser *p, uint8_t *to, size_t *bytes)
{
    static const char named[] = "abfnrtv\\\"'";
    static const char values[] = "\a\b\f\n\r\t\v\\\"'";
    uint8_t c = peek(p);
    const char *at = c != 0 ? strchr(named, c) : NULL;
    uint32_t value = 0;

    *bytes = 1;
    if (at != NULL) {
        to[0] = (uint8_t)values[at - named];
        p->at++;
        return true;
    }
    if (c >= '0' && c <= '7') {
        bool ok = code_point(p, 3, 8, &value) && value < 256;

        to[0] = (uint8_t)value;
        return ok || missing(p, "escape sequence");
    }
    unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

    if (digits == 0) {
        return missing(p, "escape sequence");
    }
    p->at++;
    if (!code_point(p, digits, 16, &value)) {
        return false;
    }
    if (digits == 2) {
        to[0] = (uint8_t)value;
        return true;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        return missing(p, "escape sequence");
    }
    *bytes = utf8_put(value, to);
    return true;
}

static bool quoted(struct parser *p, struct mu_span *out)
{
    size_t end = p->at;
    size_t used = 0;

    while (end < p->text.bytes && p->text.data[end] != '"') {
        end += p->text.data[end] == '\\' ? 2 : 1;
    }
    uint8_t *to = mu_arena_new(p->arena, end - p->at + 4); /* an escape never grows */

    while (!is_end(p) && peek(p) != '"' && peek(p) != '\n') {
        size_t bytes = 1;

        if (peek(p) != '\\') {
            to[used++] = p->text.data[p->at++];
            continue;
        }
        p->at++;
        if (!escape(p, to + used, &bytes)) {
            return false;
        }
        used += bytes;
    }
    *out = mu_span_of(to, used);
    return take(p, "\"");
}

static bool backquoted(struct parser *p, struct mu_span *out)
{
    size_t start = p->at;

    while (!is_end(p) && peek(p) != '`') {
        p->at++;
    }
    *out = mu_span_sub(p->text, start, p->at - start);
    return take(p, "`");
}

static bool string(struct parser *p, struct mu_span *out)
{
    if (take(p, "\"")) {
        return quoted(p, out);
    }
    return take(p, "`") && backquoted(p, out);
}

/* "-12", "0", "1.5", followed by a blank, a parenthesis or the end. */
static bool number(struct parser *p, struct mu_span *out)
{
    size_t start = p->at;

    if (peek(p) == '-') {
        p->at++;
    }
    if (!is_digit(peek(p))) {
        (void)missing(p, "[0-9]");
        p->at = start;
        return false;
    }
    if (peek(p) == '0') {
        p->at++;
    } else {
        while (is_digit(peek(p))) {
            p->at++;
        }
    }
    if (peek(p) == '.') {
        p->at++;
        while (is_digit(peek(p))) {
            p->at++;
        }
    }
    if (!is_end(p) && strchr(" \t\r\n)", peek(p)) == NULL) {
        (void)missing(p, "[ \\t\\r\\n]");
        p->at = start;
        return false;
    }
    *out = mu_span_sub(p->text, start, p->at - start);
    return true;
}

/* -- selectors --------------------------------------------------------------------------------- */

struct selector {
    struct mu_span parts[FILTER_PARTS_MAX];
    size_t count;
};

/* "[ "text" ]" */
static bool index_part(struct parser *p, struct mu_span *out)
{
    size_t start = p->at;

    if (take(p, "[")) {
        (void)blanks(p);
        if (string(p, out)) {
            (void)blanks(p);
            if (take(p, "]")) {
                return true;
            }
        }
    }
    p->at = start;
    return false;
}

static bool dot_part(struct parser *p, struct mu_span *out)
{
    size_t start = p->at;

    if (take(p, ".") && identifier(p, out)) {
        return true;
    }
    p->at = start;
    return false;
}

static bool selector(struct parser *p, struct selector *out)
{
    struct mu_span part;
    size_t start = p->at;

    if (!identifier(p, &out->parts[0])) {
        return false;
    }
    out->count = 1;
    while (dot_part(p, &part) || index_part(p, &part)) {
        if (out->count == FILTER_PARTS_MAX) {
            (void)missing(p, "end of selector");
            p->at = start;
            return false;
        }
        out->parts[out->count++] = part;
    }
    return true;
}

/* A bare word is a selector whose parts are joined again. */
static bool value(struct parser *p, struct mu_span *out)
{
    struct selector s = { .count = 0 };
    size_t bytes = 0;

    if (!selector(p, &s)) {
        return number(p, out) || string(p, out);
    }
    for (size_t i = 0; i < s.count; i++) {
        bytes += s.parts[i].bytes + 1;
    }
    uint8_t *to = mu_arena_new(p->arena, bytes);
    size_t used = 0;

    for (size_t i = 0; i < s.count; i++) {
        if (i > 0) {
            to[used++] = '.';
        }
        if (s.parts[i].bytes > 0) {
            memcpy(to + used, s.parts[i].data, s.parts[i].bytes);
        }
        used += s.parts[i].bytes;
    }
    *out = mu_span_of(to, used);
    return true;
}

/* -- matches ----------------------------------------------------------------------------------- */

enum op_form {
    SELECTOR_OP_VALUE,
    SELECTOR_OP,
    VALUE_OP_SELECTOR,
};

static const struct {
    enum filter_op op;
    enum op_form form;
    const char *words[3]; /* with blanks around; a sign needs none */
    size_t count;
    bool is_sign;
} operators[] = {
    // clang-format off
    { FILTER_EQUAL,        SELECTOR_OP_VALUE, { "==" },                  1, true },
    { FILTER_NOT_EQUAL,    SELECTOR_OP_VALUE, { "!=" },                  1, true },
    { FILTER_IN,           SELECTOR_OP_VALUE, { "contains" },            1, false },
    { FILTER_NOT_IN,       SELECTOR_OP_VALUE, { "not", "contains" },     2, false },
    { FILTER_MATCHES,      SELECTOR_OP_VALUE, { "matches" },             1, false },
    { FILTER_NOT_MATCHES,  SELECTOR_OP_VALUE, { "not", "matches" },      2, false },
    { FILTER_IS_EMPTY,     SELECTOR_OP,       { "is", "empty" },         2, false },
    { FILTER_IS_NOT_EMPTY, SELECTOR_OP,       { "is", "not", "empty" },  3, false },
    { FILTER_IN,           VALUE_OP_SELECTOR, { "in" },                  1, false },
    { FILTER_NOT_IN,       VALUE_OP_SELECTOR, { "not", "in" },           2, false },
}; // clang-format on

/* Operator number i, and the blanks that have to follow it. */
static bool take_operator(struct parser *p, size_t i)
{
    size_t start = p->at;

    if (operators[i].is_sign) {
        (void)blanks(p);
        if (take(p, operators[i].words[0])) {
            (void)blanks(p);
            return true;
        }
    } else if (take_words(p, operators[i].words, operators[i].count) &&
               (operators[i].form == SELECTOR_OP || blanks(p))) {
        return true;
    }
    p->at = start;
    return false;
}

static struct filter_node *match_new(struct parser *p, enum filter_op op, const struct selector *s,
                                     struct mu_span text)
{
    struct filter_node *n = mu_arena_new(p->arena, sizeof *n);

    n->kind = FILTER_MATCH;
    n->op = op;
    n->value = text;
    n->parts_count = s->count;
    memcpy(n->parts, s->parts, s->count * sizeof *s->parts);
    return n;
}

/* All operators of a form behind what stands in front of them. */
static struct filter_node *match_form(struct parser *p, enum op_form form)
{
    size_t start = p->at;
    struct selector s;
    struct mu_span text = MU_SPAN_NONE;
    bool ok = form == VALUE_OP_SELECTOR ? value(p, &text) : selector(p, &s);
    size_t behind = p->at;

    for (size_t i = 0; i < MU_LEN(operators) && ok; i++) {
        p->at = behind;
        if (operators[i].form != form || !take_operator(p, i)) {
            continue;
        }
        if (form == SELECTOR_OP || (form == SELECTOR_OP_VALUE && value(p, &text)) ||
            (form == VALUE_OP_SELECTOR && selector(p, &s))) {
            return match_new(p, operators[i].op, &s, text);
        }
    }
    p->at = start;
    return NULL;
}

static struct filter_node *match(struct parser *p)
{
    struct filter_node *n = match_form(p, SELECTOR_OP_VALUE);

    n = n != NULL ? n : match_form(p, SELECTOR_OP);
    return n != NULL ? n : match_form(p, VALUE_OP_SELECTOR);
}

/* -- expressions ------------------------------------------------------------------------------- */

static struct filter_node *joined(struct parser *p, enum filter_node_kind kind,
                                  struct filter_node *first, struct filter_node *second)
{
    struct filter_node *n = mu_arena_new(p->arena, sizeof *n);

    n->kind = kind;
    n->first = first;
    n->second = second;
    return n;
}

static struct filter_node *parenthesized(struct parser *p)
{
    size_t start = p->at;

    if (take(p, "(")) {
        (void)blanks(p);
        struct filter_node *n = or_expression(p);

        (void)blanks(p);
        if (n != NULL && take(p, ")")) {
            return n;
        }
        p->at = start;
        return NULL;
    }
    return match(p);
}

static struct filter_node *not_expression(struct parser *p)
{
    size_t start = p->at;
    struct filter_node *n = NULL;

    if (++p->depth > DEPTH_MAX) {
        (void)missing(p, "less nesting");
        p->depth--;
        return NULL;
    }
    if (take(p, "not") && blanks(p)) {
        n = not_expression(p);
        n = n != NULL ? joined(p, FILTER_NOT, n, NULL) : NULL;
    }
    if (n == NULL) {
        p->at = start;
        n = parenthesized(p);
    }
    p->depth--;
    return n;
}

/* Operands joined by a word, as far as they go. Kept in a list that leans to the right, as the
 * grammar has it; evaluating stops at the first that decides in either case. */
static struct filter_node *chain(struct parser *p, const char *word, enum filter_node_kind kind,
                                 struct filter_node *(*operand)(struct parser *p))
{
    struct filter_node *root = operand(p);
    struct filter_node **last = &root;

    while (*last != NULL) {
        size_t start = p->at;
        struct filter_node *next = NULL;

        if (take_words(p, &word, 1) && blanks(p)) {
            next = operand(p);
        }
        if (next == NULL) {
            p->at = start;
            break;
        }
        *last = joined(p, kind, *last, next);
        last = &(*last)->second;
    }
    return root;
}

static struct filter_node *and_expression(struct parser *p)
{
    return chain(p, "and", FILTER_AND, not_expression);
}

static struct filter_node *or_expression(struct parser *p)
{
    return chain(p, "or", FILTER_OR, and_expression);
}

enum mu_code filter__parse(struct filter_node **out, struct mu_span text, struct mu_arena *arena,
                           struct mu_err *err)
{
    struct parser p = { .text = text, .arena = arena };

    if (text.bytes > TEXT_MAX) {
        return mu_fail(err, MU_INVALID, "the expression has %zu bytes, at most %d are allowed",
                       text.bytes, TEXT_MAX);
    }
    (void)blanks(&p);
    *out = or_expression(&p);
    (void)blanks(&p);
    if (*out != NULL && is_end(&p)) {
        return MU_OK;
    }
    if (*out != NULL) {
        (void)missing(&p, "end of expression");
    }
    return mu_fail(err, MU_INVALID, "1:%zu (%zu): no match found, expected: \"%s\"", p.furthest + 1,
                   p.furthest, p.expected);
}
