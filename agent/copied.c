#include "copied.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define NOTE_BYTES 32

static char *note_path(const char *data_dir)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/state/copied", data_dir);
    return mu_buf_take(&path, NULL);
}

/* 0: nothing was copied. */
static enum mu_code note_read(const char *path, uint64_t *generation, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(path, NOTE_BYTES, &text, err);

    *generation = rc == MU_OK ? strtoull(mu_buf_text(&text), NULL, 10) : 0;
    mu_buf_deinit(&text);
    if (rc == MU_NOT_FOUND) {
        *err = MU_ERR_NONE; /* mostly there is none */
        rc = MU_OK;
    }
    return rc;
}

enum mu_code copied_note(const char *data_dir, uint64_t generation, struct mu_err *err)
{
    char *path = note_path(data_dir);
    char text[NOTE_BYTES];
    int bytes = snprintf(text, sizeof text, "%llu\n", (unsigned long long)generation);
    enum mu_code rc = mu_file_replace(path, mu_span_of(text, (size_t)bytes), 0600, err);

    mu_free(path);
    return rc;
}

enum mu_code copied_is(const char *data_dir, uint64_t generation, bool *is, struct mu_err *err)
{
    char *path = note_path(data_dir);
    uint64_t noted;
    enum mu_code rc = note_read(path, &noted, err);

    *is = noted >= generation;
    mu_free(path);
    return rc;
}

enum mu_code copied_proven(const char *data_dir, uint64_t generation, struct mu_err *err)
{
    char *path = note_path(data_dir);
    uint64_t noted;
    enum mu_code rc = note_read(path, &noted, err);

    if (rc == MU_OK && noted != 0 && noted <= generation) {
        rc = mu_file_remove(path, err);
    }
    mu_free(path);
    return rc;
}
