#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/span.h"

#define FILE_BYTES_MAX (4U * 1024 * 1024)

struct run {
    const char *file;
    const struct script_world *world;
    void *opened;
    bool has_failed;
    struct mu_buf rewritten; /* the file as it should be */
};

/* The next line of *rest, without its newline. */
static struct mu_span take_line(struct mu_span *rest, bool *has_line)
{
    *has_line = rest->bytes > 0;
    return mu_span_split(*rest, '\n', rest, NULL);
}

static void split_words(char *line, struct script_command *c)
{
    char *save = NULL;

    c->words_count = 0;
    for (char *word = strtok_r(line, " \t", &save); word != NULL;
         word = strtok_r(NULL, " \t", &save)) {
        MU_ASSERT(c->words_count < SCRIPT_WORDS_MAX);
        c->words[c->words_count++] = word;
    }
}

static void run_line(struct run *r, struct mu_span line, unsigned number, struct mu_buf *out)
{
    struct script_command c = { .file = r->file, .line = number };
    char *copy = mu_strndup((const char *)line.data, line.bytes);

    split_words(copy, &c);
    if (c.words_count > 0 && !r->world->run(r->opened, &c, out)) {
        (void)fprintf(stderr, "%s:%u: cannot run '%.*s'\n", r->file, number, MU_SPAN_FMT(line));
        r->has_failed = true;
    }
    mu_free(copy);
}

/* Everything behind "----" up to the empty line. */
static struct mu_span take_expected(struct mu_span *rest, unsigned *number)
{
    const uint8_t *start = rest->data;
    size_t bytes = 0;
    bool has_line = true;

    while (has_line) {
        struct mu_span line = take_line(rest, &has_line);

        if (has_line) {
            (*number)++;
        }
        if (!has_line || line.bytes == 0) {
            break;
        }
        bytes = (size_t)(line.data + line.bytes - start);
    }
    return mu_span_of(start, bytes);
}

static void compare(struct run *r, struct mu_span expected, struct mu_buf *out, unsigned number)
{
    while (out->bytes > 0 && out->data[out->bytes - 1] == '\n') {
        out->bytes--;
    }
    if (mu_span_eq(expected, mu_buf_span(out))) {
        return;
    }
    if (!r->has_failed) {
        (void)fprintf(stderr, "%s:%u: the block gave\n%.*s\n-- but expected was\n%.*s\n", r->file,
                      number, MU_SPAN_FMT(mu_buf_span(out)), MU_SPAN_FMT(expected));
    }
    r->has_failed = true;
}

static void run_text(struct run *r, struct mu_span rest)
{
    struct mu_buf out = MU_BUF_NONE;
    unsigned number = 0;
    bool has_line = true;

    for (;;) {
        struct mu_span line = take_line(&rest, &has_line);

        if (!has_line) {
            break;
        }
        number++;
        mu_buf_add_span(&r->rewritten, line);
        mu_buf_add_byte(&r->rewritten, '\n');
        if (mu_span_eq_text(line, "----")) {
            unsigned at = number;
            struct mu_span expected = take_expected(&rest, &number);

            compare(r, expected, &out, at);
            mu_buf_add_span(&r->rewritten, mu_buf_span(&out));
            mu_buf_add_text(&r->rewritten, out.bytes > 0 ? "\n" : "");
            mu_buf_add_text(&r->rewritten, rest.bytes > 0 ? "\n" : "");
            mu_buf_clear(&out);
        } else if (line.bytes > 0 && line.data[0] != '#') {
            run_line(r, line, number, &out);
        }
    }
    if (out.bytes > 0) {
        (void)fprintf(stderr, "%s: output of the last block is not expected by any ----\n",
                      r->file);
        r->has_failed = true;
    }
    mu_buf_deinit(&out);
}

struct walk {
    const char *dir, *only; /* NULL: all of them */
    const struct script_world *world;
    size_t failed, files;
};

static enum mu_code run_file(void *data, const char *name, struct mu_err *err)
{
    struct walk *w = data;
    struct mu_buf path = MU_BUF_NONE;
    struct mu_buf text = MU_BUF_NONE;
    size_t length = strlen(name);
    enum mu_code rc = MU_OK;

    if (length < 4 || strcmp(name + length - 4, ".txt") != 0 ||
        (w->only != NULL && strcmp(name, w->only) != 0)) {
        return MU_OK;
    }
    mu_buf_addf(&path, "%s/%s", w->dir, name);
    struct run r = { .file = mu_buf_text(&path), .world = w->world };

    rc = mu_file_read(r.file, FILE_BYTES_MAX, &text, err);
    if (rc == MU_OK) {
        r.opened = w->world->open(r.file);
        run_text(&r, mu_buf_span(&text));
        w->world->close(r.opened);
        w->files++;
        if (r.has_failed && getenv("MUSTER_REWRITE") != NULL) {
            rc = mu_file_replace(r.file, mu_buf_span(&r.rewritten), 0644, err);
            (void)fprintf(stderr, "%s: rewritten\n", r.file);
        }
        w->failed += r.has_failed;
    }
    mu_buf_deinit(&r.rewritten);
    mu_buf_deinit(&text);
    mu_buf_deinit(&path);
    return rc;
}

size_t script_run_one(const char *dir, const char *name, const struct script_world *world)
{
    struct walk w = { .dir = dir, .only = name, .world = world };
    struct mu_err err = MU_ERR_NONE;

    if (mu_dir_each(dir, run_file, &w, &err) != MU_OK) {
        (void)fprintf(stderr, "%s: %s\n", dir, err.text);
        w.failed++;
    }
    if (w.files == 0) {
        (void)fprintf(stderr, "%s: no script in it\n", dir);
        w.failed++;
    }
    (void)fprintf(stderr, "%s: %zu scripts, %zu failed\n", dir, w.files, w.failed);
    return w.failed;
}

size_t script_run_dir(const char *dir, const struct script_world *world)
{
    return script_run_one(dir, NULL, world);
}

const char *script_option(const struct script_command *c, const char *key, const char *fallback)
{
    size_t length = strlen(key);

    for (size_t i = 1; i < c->words_count; i++) {
        if (strncmp(c->words[i], key, length) == 0 && c->words[i][length] == '=') {
            return c->words[i] + length + 1;
        }
    }
    return fallback;
}

unsigned long long script_number(const struct script_command *c, const char *key,
                                 unsigned long long fallback)
{
    const char *text = script_option(c, key, NULL);
    uint64_t value = fallback;

    if (text != NULL) {
        MU_ASSERT(mu_span_u64(mu_span_text(text), &value));
    }
    return value;
}

unsigned long long script_ms(const char *text)
{
    int64_t ns = 0;

    MU_ASSERT(mu_duration_parse(mu_span_text(text), &ns, NULL, 0));
    MU_ASSERT(ns >= 0 && ns % MU_NS_PER_MS == 0);
    return (unsigned long long)(ns / MU_NS_PER_MS);
}
