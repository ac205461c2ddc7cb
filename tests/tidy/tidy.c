/* tidy.c - the tree's own rules, so that no reviewer has to remember them.
 *
 *   tidy <root>                judge a source tree; one line for each breach, exit 1 if there is
 * any tidy --samples <folder>    each folder in it is a small tree with breaches and a file
 * `expected` that lists them: the proof that the rules can fail
 *
 * A rule is a row of a table: of an include and who may have it, of a call and where it is
 * forbidden, of a word that does not belong here; or a function over one file or all of them.
 * Comments and strings are blanked before calls are looked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/span.h"

#define FILE_BYTES_MAX     (16U * 1024 * 1024)
#define FUNCTION_LINES_MAX 90

struct file {
    char *path; /* below the root */
    struct mu_buf text;
    struct mu_buf code; /* of C: the text with comments and strings blanked */
    bool is_c, is_header, is_test;
};

struct tree {
    const char *root;
    struct file *files;
    size_t count;
    struct mu_buf included; /* what all files include, a line each, as it is written */
    struct mu_buf out;
    size_t breaches;
};

/* -- the tree ------------------------------------------------------------------------------- */

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *text, const char *suffix)
{
    size_t bytes = strlen(text);
    size_t tail = strlen(suffix);

    return bytes >= tail && strcmp(text + bytes - tail, suffix) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Blank what is no code: comments, and what strings and characters hold. Lines stay lines. */
static void blank(struct file *f)
{
    enum { CODE, LINE_COMMENT, COMMENT, STRING, CHARACTER } state = CODE;

    for (size_t i = 0; i < f->text.bytes; i++) {
        uint8_t c = f->text.data[i];
        uint8_t next = i + 1 < f->text.bytes ? f->text.data[i + 1] : 0;
        bool is_code = state == CODE;

        if (state == CODE && c == '/' && (next == '/' || next == '*')) {
            state = next == '/' ? LINE_COMMENT : COMMENT;
            is_code = false;
        } else if (state == CODE && (c == '"' || c == '\'')) {
            state = c == '"' ? STRING : CHARACTER;
        } else if (state == LINE_COMMENT && c == '\n') {
            state = CODE;
        } else if (state == COMMENT && c == '*' && next == '/') {
            state = CODE;
            mu_buf_add_text(&f->code, "  ");
            i++;
            continue;
        } else if ((state == STRING || state == CHARACTER) && c == '\\') {
            mu_buf_add_text(&f->code, "  ");
            i++;
            continue;
        } else if ((state == STRING && c == '"') || (state == CHARACTER && c == '\'')) {
            state = CODE;
        }
        mu_buf_add_byte(&f->code, is_code || c == '\n' ? c : ' ');
    }
}

static bool is_left_out(const char *path)
{
    static const char *const folders[] = { ".git/", "build/", "tests/tidy/", "LICENSE" };

    for (size_t i = 0; i < MU_LEN(folders); i++) {
        if (starts(path, folders[i])) {
            return true;
        }
    }
    return strcmp(path, ".git") == 0 || strcmp(path, "expected") == 0 ||
           strstr(path, "/corpus/") != NULL || strstr(path, "__pycache__") != NULL;
}

struct walk {
    struct tree *tree;
    const char *folder; /* below the root, with a slash behind it; "" at the top */
};

static enum mu_code on_entry(void *data, const char *name, struct mu_err *err)
{
    const struct walk *w = data;
    struct mu_buf path = MU_BUF_NONE;
    struct mu_buf full = MU_BUF_NONE;
    struct stat st;
    enum mu_code rc = MU_OK;

    mu_buf_addf(&path, "%s%s", w->folder, name);
    mu_buf_addf(&full, "%s/%s", w->tree->root, mu_buf_text(&path));
    if (lstat(mu_buf_text(&full), &st) == 0 && S_ISDIR(st.st_mode)) {
        mu_buf_add_byte(&path, '/');
        struct walk inner = { w->tree, mu_buf_text(&path) };

        if (!is_left_out(mu_buf_text(&path))) {
            rc = mu_dir_each(mu_buf_text(&full), on_entry, &inner, err);
        }
    } else if (S_ISREG(st.st_mode) && !is_left_out(mu_buf_text(&path))) {
        struct tree *t = w->tree;

        t->files = mu_grow(t->files, (t->count + 1) * sizeof *t->files);
        struct file *f = &t->files[t->count++];

        *f = (struct file){ .path = mu_strdup(mu_buf_text(&path)) };
        f->is_header = ends(f->path, ".h");
        f->is_c = f->is_header || ends(f->path, ".c");
        f->is_test = starts(f->path, "tests/");
        rc = mu_file_read(mu_buf_text(&full), FILE_BYTES_MAX, &f->text, err);
        if (f->is_c) {
            blank(f);
        }
    }
    mu_buf_deinit(&path);
    mu_buf_deinit(&full);
    return rc;
}

static void breach(struct tree *t, const struct file *f, size_t line, const char *what,
                   const char *why)
{
    mu_buf_addf(&t->out, "%s:%zu: %s: %s\n", f->path, line, what, why);
    t->breaches++;
}

static size_t line_at(const struct mu_buf *text, size_t at)
{
    size_t line = 1;

    for (size_t i = 0; i < at; i++) {
        line += text->data[i] == '\n';
    }
    return line;
}

/* -- includes ------------------------------------------------------------------------------- */

/* A library is wrapped in one file, so that each choice can be taken back (guide section 13). */
static const struct {
    const char *header;     /* the beginning of what is included */
    const char *allowed[5]; /* beginnings of paths; "_uv.c": files whose names end like that */
    const char *why;
} includes[] = {
    // clang-format off
    { "<uv.h>",         { "_uv.c", "agent/cmd/" },  "only *_uv.c sees libuv" },
    { "<sqlite3.h>",    { "catalog/", "consensus/store_sqlite.c" },
      "only catalog/ and consensus/store_sqlite.c see SQLite" },
    { "<nghttp2/",      { "proto/h2.c" },           "only proto/h2.c sees nghttp2" },
    { "<http_parser.h", { "proto/h1_head.c" },      "only proto/h1_head.c sees http-parser" },
    { "<jansson.h",     { "proto/base/json.c" },    "only proto/base/json.c sees jansson" },
    { "<uthash.h",      { "proto/base/table.c" },   "only proto/base/table.c sees uthash" },
    { "<assert.h>",     { NULL },                   "MU_ASSERT stays on in release builds" },
}; // clang-format on

static const char *include_of(struct mu_span line)
{
    static char name[256];
    struct mu_span rest = line;

    if (!mu_span_starts(line, MU_SPAN_LIT("#include "))) {
        return NULL;
    }
    rest = mu_span_sub(rest, strlen("#include "), rest.bytes);
    (void)snprintf(name, sizeof name, "%.*s", MU_SPAN_FMT(rest));
    return name;
}

/* A private header may see libuv if nobody but *_uv.c sees the header. */
static bool is_seen_by_uv_only(const struct tree *t, const struct file *header)
{
    struct mu_buf quoted = MU_BUF_NONE;
    bool is_seen = false;
    bool by_uv_only = true;

    mu_buf_addf(&quoted, "#include \"%s\"", base_name(header->path));
    for (size_t i = 0; i < t->count; i++) {
        const struct file *f = &t->files[i];

        if (f->is_c && f->text.bytes > 0 &&
            memmem(f->text.data, f->text.bytes, quoted.data, quoted.bytes) != NULL) {
            is_seen = true;
            by_uv_only = by_uv_only && (f->is_test || ends(f->path, "_uv.c"));
        }
    }
    mu_buf_deinit(&quoted);
    return is_seen && by_uv_only && strstr(header->path, "/include/") == NULL;
}

static bool may_include(const struct tree *t, const struct file *f, size_t row)
{
    for (size_t i = 0; i < MU_LEN(includes[row].allowed); i++) {
        const char *allowed = includes[row].allowed[i];

        if (allowed == NULL) {
            return false;
        }
        if (allowed[0] == '_' ? ends(f->path, allowed) || (f->is_header && is_seen_by_uv_only(t, f))
                              : starts(f->path, allowed)) {
            return true;
        }
    }
    return false;
}

static void check_includes(struct tree *t, const struct file *f)
{
    struct mu_span rest = mu_buf_span(&f->text);

    for (size_t line = 1; rest.bytes > 0; line++) {
        const char *name = include_of(mu_span_split(rest, '\n', &rest, NULL));

        for (size_t i = 0; name != NULL && i < MU_LEN(includes); i++) {
            if (starts(name, includes[i].header) && !may_include(t, f, i) &&
                (!f->is_test || includes[i].allowed[0] == NULL)) {
                breach(t, f, line, name, includes[i].why);
            }
        }
    }
}

/* -- calls ---------------------------------------------------------------------------------- */

enum where {
    EVERYWHERE,
    IN_TESTS,
    OUTSIDE_OF_TESTS,
};

static const struct {
    const char *name;
    enum where where;
    const char *allowed[3]; /* beginnings of paths */
    const char *why;
} calls[] = {
    // clang-format off
    { "strcpy",    EVERYWHERE,       { NULL }, "does not know how much room there is" },
    { "strcat",    EVERYWHERE,       { NULL }, "does not know how much room there is" },
    { "sprintf",   EVERYWHERE,       { NULL }, "does not know how much room there is: snprintf" },
    { "vsprintf",  EVERYWHERE,       { NULL }, "does not know how much room there is: vsnprintf" },
    { "gets",      EVERYWHERE,       { NULL }, "does not know how much room there is" },
    { "strtok",    EVERYWHERE,       { NULL }, "keeps hidden state: strtok_r, mu_span_split" },
    { "atoi",      EVERYWHERE,       { NULL }, "cannot fail: mu_span_u64" },
    { "atol",      EVERYWHERE,       { NULL }, "cannot fail: mu_span_u64" },
    { "alloca",    EVERYWHERE,       { NULL }, "the stack has no bound to answer with" },
    { "rand",      EVERYWHERE,       { NULL }, "cannot be replayed: mu_rand_u64" },
    { "srand",     EVERYWHERE,       { NULL }, "cannot be replayed: mu_rand_seed" },
    { "gmtime",    EVERYWHERE,       { NULL }, "keeps hidden state: gmtime_r" },
    { "localtime", EVERYWHERE,       { NULL }, "keeps hidden state: localtime_r" },
    { "assert",    EVERYWHERE,       { NULL }, "goes away in release builds: MU_ASSERT" },
    { "sleep",     IN_TESTS,         { NULL }, "wait for a condition" },
    { "usleep",    IN_TESTS,         { NULL }, "wait for a condition" },
    { "nanosleep", IN_TESTS,         { NULL }, "wait for a condition" },
    { "malloc",    OUTSIDE_OF_TESTS, { "proto/base/mem.c" }, "mu_new" },
    { "calloc",    OUTSIDE_OF_TESTS, { "proto/base/mem.c" }, "mu_new, mu_new_array" },
    { "realloc",   OUTSIDE_OF_TESTS, { "proto/base/mem.c" }, "mu_grow" },
    { "free",      OUTSIDE_OF_TESTS, { "proto/base/mem.c" }, "mu_free" },
    { "strdup",    OUTSIDE_OF_TESTS, { NULL }, "mu_strdup" },
    { "strndup",   OUTSIDE_OF_TESTS, { NULL }, "mu_strndup" },
    { "abort",     OUTSIDE_OF_TESTS, { "proto/base/assert.c" }, "MU_ASSERT says why" },
}; // clang-format on

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_forbidden(const struct file *f, size_t row)
{
    for (size_t i = 0; i < MU_LEN(calls[row].allowed) && calls[row].allowed[i] != NULL; i++) {
        if (starts(f->path, calls[row].allowed[i])) {
            return false;
        }
    }
    return calls[row].where == EVERYWHERE || (calls[row].where == IN_TESTS) == f->is_test;
}

/* The name right before a parenthesis, unless it is that of a member. */
static struct mu_span callee(const struct mu_buf *code, size_t parenthesis)
{
    size_t start = parenthesis;

    while (start > 0 && is_name_byte(code->data[start - 1])) {
        start--;
    }
    if (start > 0 && (code->data[start - 1] == '.' || code->data[start - 1] == '>')) {
        return MU_SPAN_NONE;
    }
    return mu_span_of(code->data + start, parenthesis - start);
}

static void check_calls(struct tree *t, const struct file *f)
{
    for (size_t at = 0; at < f->code.bytes; at++) {
        if (f->code.data[at] != '(') {
            continue;
        }
        struct mu_span name = callee(&f->code, at);

        for (size_t i = 0; i < MU_LEN(calls); i++) {
            char what[32];

            if (mu_span_eq_text(name, calls[i].name) && is_forbidden(f, i)) {
                (void)snprintf(what, sizeof what, "%s()", calls[i].name);
                breach(t, f, line_at(&f->code, at), what, calls[i].why);
            }
        }
    }
}

/* -- words ---------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    bool is_whole; /* not a part of a longer word */
    const char *why;
} words[] = {
    { "TODO", true, "finish it, or open an issue" },
    { "FIXME", true, "finish it, or open an issue" },
    { "/home/", false, "a path of one machine" },
};

static void check_words(struct tree *t, const struct file *f)
{
    for (size_t i = 0; i < MU_LEN(words); i++) {
        size_t bytes = strlen(words[i].word);
        size_t at = 0;
        const uint8_t *hit;

        while (at < f->text.bytes && (hit = memmem(f->text.data + at, f->text.bytes - at,
                                                   words[i].word, bytes)) != NULL) {
            size_t start = (size_t)(hit - f->text.data);
            bool is_part = (start > 0 && is_name_byte(hit[-1])) ||
                           (start + bytes < f->text.bytes && is_name_byte(hit[bytes]));

            if (!words[i].is_whole || !is_part) {
                breach(t, f, line_at(&f->text, start), words[i].word, words[i].why);
            }
            at = start + bytes;
        }
    }
}

/* -- one file ------------------------------------------------------------------------------- */

static void check_header_comment(struct tree *t, const struct file *f)
{
    struct mu_buf wanted = MU_BUF_NONE;

    mu_buf_addf(&wanted, "/* %s - ", base_name(f->path));
    if (f->is_header && !mu_span_starts(mu_buf_span(&f->text), mu_buf_span(&wanted))) {
        breach(t, f, 1, mu_buf_text(&wanted), "a header begins by saying what it is");
    }
    mu_buf_deinit(&wanted);
}

/* A body begins with a brace alone in the first column: that is how clang-format writes it. */
static void check_functions(struct tree *t, const struct file *f)
{
    struct mu_span rest = mu_buf_span(&f->code);
    size_t begin = 0;

    for (size_t line = 1; rest.bytes > 0 && !f->is_test; line++) {
        struct mu_span text = mu_span_split(rest, '\n', &rest, NULL);

        if (mu_span_eq_text(text, "{")) {
            begin = line;
        } else if (mu_span_eq_text(text, "}") && begin > 0) {
            if (line - begin + 1 > FUNCTION_LINES_MAX) {
                breach(t, f, begin, "function too long", "read it aloud as a list of steps");
            }
            begin = 0;
        }
    }
}

/* -- all files ------------------------------------------------------------------------------ */

/* The nearest CMakeLists.txt above a file, and the file's path from there. */
static const struct file *list_above(const struct tree *t, const char *path, const char **below)
{
    const struct file *best = NULL;

    for (size_t i = 0; i < t->count; i++) {
        const char *list = t->files[i].path;
        size_t folder = strlen(list) - strlen(base_name(list));

        if (strcmp(base_name(list), "CMakeLists.txt") == 0 && strncmp(list, path, folder) == 0 &&
            (best == NULL || strlen(list) > strlen(best->path))) {
            best = &t->files[i];
            *below = path + folder;
        }
    }
    return best;
}

static bool has_word(const struct mu_buf *text, const char *word)
{
    size_t bytes = strlen(word);

    for (size_t at = 0; at + bytes <= text->bytes; at++) {
        const uint8_t *here = text->data + at;

        if (memcmp(here, word, bytes) == 0 && (at == 0 || strchr(" \t\n(\"/", here[-1]) != NULL) &&
            (at + bytes == text->bytes || strchr(" \t\n)\"", here[bytes]) != NULL)) {
            return true;
        }
    }
    return false;
}

/* A source that no list names is never compiled. Tests are found by their names (tests/CMakeLists).
 */
static void check_listed(struct tree *t, const struct file *f)
{
    const char *below = f->path;
    bool is_found = starts(f->path, "tests/unit/") || starts(f->path, "tests/fuzz/");

    if (f->is_header || is_found) {
        return;
    }
    const struct file *list = list_above(t, f->path, &below);

    if (list == NULL || !has_word(&list->text, below)) {
        breach(t, f, 1, "not compiled", "no CMakeLists.txt names it");
    }
}

static void gather_includes(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct mu_span rest = mu_buf_span(&t->files[i].text);

        while (t->files[i].is_c && rest.bytes > 0) {
            const char *name = include_of(mu_span_split(rest, '\n', &rest, NULL));

            if (name != NULL) {
                mu_buf_addf(&t->included, "%s\n", name);
            }
        }
    }
}

/* A header that nobody includes is dead. */
static void check_included(struct tree *t, const struct file *f)
{
    const char *public = strstr(f->path, "/include/");
    const char *name = public != NULL ? public + strlen("/include/") : base_name(f->path);
    struct mu_buf forms[2] = { MU_BUF_NONE, MU_BUF_NONE };
    bool is_included = !f->is_header;

    mu_buf_addf(&forms[0], "\"%s\"", name);
    mu_buf_addf(&forms[1], "/%s\"", name); /* from another folder */
    for (size_t i = 0; i < MU_LEN(forms); i++) {
        is_included =
            is_included || (t->included.bytes > 0 && memmem(t->included.data, t->included.bytes,
                                                            forms[i].data, forms[i].bytes) != NULL);
        mu_buf_deinit(&forms[i]);
    }
    if (!is_included) {
        breach(t, f, 1, "not included", "nobody needs it");
    }
}

static void check_file(struct tree *t, const struct file *f)
{
    check_words(t, f);
    if (f->is_c) {
        check_header_comment(t, f);
        check_includes(t, f);
        check_calls(t, f);
        check_functions(t, f);
        check_listed(t, f);
        check_included(t, f);
    }
}

/* Judge the tree below `root`; what is wrong is appended to `out`. */
static enum mu_code judge(const char *root, struct mu_buf *out, size_t *breaches,
                          struct mu_err *err)
{
    struct tree t = { .root = root };
    struct walk w = { &t, "" };
    enum mu_code rc = mu_dir_each(root, on_entry, &w, err);

    gather_includes(&t);
    for (size_t i = 0; rc == MU_OK && i < t.count; i++) {
        check_file(&t, &t.files[i]);
    }
    mu_buf_add_span(out, mu_buf_span(&t.out));
    *breaches = t.breaches;
    for (size_t i = 0; i < t.count; i++) {
        mu_free(t.files[i].path);
        mu_buf_deinit(&t.files[i].text);
        mu_buf_deinit(&t.files[i].code);
    }
    mu_free(t.files);
    mu_buf_deinit(&t.included);
    mu_buf_deinit(&t.out);
    return rc;
}

/* -- the doors ------------------------------------------------------------------------------ */

struct samples {
    const char *folder;
    size_t count, failed;
};

static enum mu_code on_sample(void *data, const char *name, struct mu_err *err)
{
    struct samples *s = data;
    struct mu_buf root = MU_BUF_NONE;
    struct mu_buf path = MU_BUF_NONE;
    struct mu_buf expected = MU_BUF_NONE;
    struct mu_buf got = MU_BUF_NONE;
    size_t breaches = 0;

    mu_buf_addf(&root, "%s/%s", s->folder, name);
    mu_buf_addf(&path, "%s/%s/expected", s->folder, name);
    enum mu_code rc = mu_file_read(mu_buf_text(&path), FILE_BYTES_MAX, &expected, err);

    if (rc == MU_OK) {
        rc = judge(mu_buf_text(&root), &got, &breaches, err);
    }
    s->count++;
    if (rc == MU_OK && !mu_span_eq(mu_buf_span(&got), mu_buf_span(&expected))) {
        (void)fprintf(stderr, "%s gave\n%s-- but expected was\n%s", mu_buf_text(&root),
                      mu_buf_text(&got), mu_buf_text(&expected));
        s->failed++;
    }
    mu_buf_deinit(&root);
    mu_buf_deinit(&path);
    mu_buf_deinit(&expected);
    mu_buf_deinit(&got);
    return rc;
}

static int run_samples(const char *folder)
{
    struct samples s = { .folder = folder };
    struct mu_err err = MU_ERR_NONE;

    if (mu_dir_each(folder, on_sample, &s, &err) != MU_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    (void)printf("%zu samples, %zu failed\n", s.count, s.failed);
    return s.failed > 0 || s.count == 0;
}

static int run_tree(const char *root)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf out = MU_BUF_NONE;
    size_t breaches = 0;

    if (judge(root, &out, &breaches, &err) != MU_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    (void)fprintf(stderr, "%s", mu_buf_text(&out));
    (void)printf("%zu breaches\n", breaches);
    mu_buf_deinit(&out);
    return breaches > 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--samples") == 0) {
        return run_samples(argv[2]);
    }
    if (argc == 2) {
        return run_tree(argv[1]);
    }
    (void)fprintf(stderr, "usage: tidy <root> | tidy --samples <folder>\n");
    return 2;
}
