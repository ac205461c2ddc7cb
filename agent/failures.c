#include "failures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

#define FILE_BYTES_MAX 8192

/* The newest lines "<seconds> <why>", oldest first. */
struct failures {
    struct mu_buf text; /* NUL-terminated after load */
    const char *lines[FAILURES_MAX];
    uint64_t at_s[FAILURES_MAX];
    size_t count;
};

static void line_add(struct failures *f, const char *line)
{
    char *end;
    uint64_t at_s = strtoull(line, &end, 10);

    if (end == line || *end != ' ') {
        return;
    }
    if (f->count == FAILURES_MAX) {
        memmove(f->lines, f->lines + 1, (FAILURES_MAX - 1) * sizeof *f->lines);
        memmove(f->at_s, f->at_s + 1, (FAILURES_MAX - 1) * sizeof *f->at_s);
        f->count--;
    }
    f->lines[f->count] = line;
    f->at_s[f->count++] = at_s;
}

/* A file that is not there, or not ours, holds none. */
static void load(struct failures *f, const char *path)
{
    char *save = NULL;

    *f = (struct failures){ .text = MU_BUF_NONE };
    if (mu_file_read(path, FILE_BYTES_MAX, &f->text, NULL) != MU_OK) {
        return;
    }
    mu_buf_add_byte(&f->text, 0);
    for (char *line = strtok_r((char *)f->text.data, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        line_add(f, line);
    }
}

void failures_add(const char *path, uint64_t now_s, const char *why)
{
    struct mu_buf to = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct failures f;

    load(&f, path);
    for (size_t i = f.count == FAILURES_MAX ? 1 : 0; i < f.count; i++) {
        mu_buf_addf(&to, "%s\n", f.lines[i]);
    }
    mu_buf_addf(&to, "%" PRIu64 " ", now_s);
    for (const char *at = why; *at != '\0'; at++) {
        mu_buf_add_byte(&to, (uint8_t)(*at == '\n' ? ' ' : *at));
    }
    mu_buf_add_text(&to, "\n");
    if (mu_file_replace(path, mu_buf_span(&to), 0644, &err) != MU_OK) {
        mu_log(MU_WARN, "agent.server", "This failure is not remembered", mu_kv("error", err.text));
    }
    mu_buf_deinit(&to);
    mu_buf_deinit(&f.text);
}

enum mu_code failures_check(const char *path, uint64_t now_s, struct mu_err *err)
{
    struct failures f;
    enum mu_code rc = MU_OK;

    load(&f, path);
    if (f.count == FAILURES_MAX && f.at_s[0] <= now_s && now_s - f.at_s[0] < FAILURES_WITHIN_S) {
        rc = mu_fail(err, MU_IO,
                     "this server has stopped %d times within an hour because its storage failed, "
                     "and stays down: look at the disk, then remove %s; the last time: %s",
                     FAILURES_MAX, path, strchr(f.lines[FAILURES_MAX - 1], ' ') + 1);
    }
    mu_buf_deinit(&f.text);
    return rc;
}
