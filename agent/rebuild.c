#include "rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define NOTE_BYTES 1024

static char *note_path(const char *data_dir)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/state/rebuild", data_dir);
    return mu_buf_take(&path, NULL);
}

enum mu_code rebuild_want(const char *data_dir, uint64_t generation, const char *why,
                          struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    char *path = note_path(data_dir);

    mu_buf_addf(&text, "%llu %.*s\n", (unsigned long long)generation, NOTE_BYTES / 2, why);
    enum mu_code rc = mu_file_replace(path, mu_buf_span(&text), 0600, err);

    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

enum mu_code rebuild_wanted(const char *data_dir, uint64_t generation, bool *wanted,
                            struct mu_err *why, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    char *path = note_path(data_dir);
    enum mu_code rc = mu_file_read(path, NOTE_BYTES, &text, err);
    char *reason = NULL;

    *wanted = rc == MU_OK && strtoull(mu_buf_text(&text), &reason, 10) == generation;
    if (*wanted) {
        size_t bytes = strcspn(reason, "\n");

        (void)mu_fail(why, MU_CORRUPT, "%.*s", (int)(bytes > 0 ? bytes - 1 : 0),
                      reason + (bytes > 0));
    }
    if (rc == MU_NOT_FOUND) {
        *err = MU_ERR_NONE; /* mostly there is none */
        rc = MU_OK;
    }
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

enum mu_code rebuild_done(const char *data_dir, struct mu_err *err)
{
    char *path = note_path(data_dir);
    struct mu_buf beside = MU_BUF_NONE;
    enum mu_code rc = mu_file_remove(path, err);

    /* A power cut may bring back what was left of a note that could not be written. */
    mu_buf_addf(&beside, "%s.tmp", path);
    rc = rc == MU_OK ? mu_file_remove(mu_buf_text(&beside), err) : rc;
    mu_buf_deinit(&beside);
    mu_free(path);
    return rc;
}
