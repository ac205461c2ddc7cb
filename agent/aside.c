#include "aside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "consensus/recover.h"

#define NOTE       "set-aside" /* holds the folder's name */
#define NOTE_BYTES 64
#define MARK       "was-a-member"

static const char mark_text[] =
    "This server belonged to a cluster, and waits to be added to it again. A new cluster is formed "
    "by servers with empty data directories.\n";

static const char *const moved_folders[] = { "consensus", "state" };

static char *path_of(const char *dir, const char *name)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    return mu_buf_take(&path, NULL);
}

enum mu_code aside_begin(const char *data_dir, const char *to, struct mu_err *err)
{
    char *target = path_of(data_dir, to);
    char *note = path_of(data_dir, NOTE);
    enum mu_code rc = MU_OK;

    MU_ASSERT(strlen(to) < NOTE_BYTES && strchr(to, '/') == NULL);
    if (access(target, F_OK) == 0) {
        rc = mu_dir_remove(target, err);
    }
    if (rc == MU_OK) {
        rc = mu_file_replace(note, mu_span_text(to), 0644, err);
    }
    mu_free(note);
    mu_free(target);
    return rc;
}

/* A folder that is not there any more was moved before a crash. */
static enum mu_code move_folder(const char *data_dir, const char *target, const char *name,
                                struct mu_err *err)
{
    char *from = path_of(data_dir, name);
    char *to = path_of(target, name);
    enum mu_code rc = MU_OK;

    if (rename(from, to) != 0 && errno != ENOENT) {
        rc = mu_fail(err, mu_file_code(errno), "rename %s to %s: %s", from, to, strerror(errno));
    }
    mu_free(to);
    mu_free(from);
    return rc;
}

static enum mu_code move_all(const char *data_dir, const char *to, struct mu_err *err)
{
    char *target = path_of(data_dir, to);
    enum mu_code rc = mu_dir_make(target, err);

    for (size_t i = 0; i < MU_LEN(moved_folders) && rc == MU_OK; i++) {
        rc = move_folder(data_dir, target, moved_folders[i], err);
    }
    if (rc == MU_OK) {
        char *log = path_of(target, "consensus");

        rc = consensus_reserve_drop(log, err); /* whoever comes in its place needs the room */
        mu_free(log);
    }
    if (rc == MU_OK) {
        rc = mu_dir_sync(target, err);
    }
    if (rc == MU_OK) {
        rc = mu_dir_sync(data_dir, err);
    }
    mu_free(target);
    return rc;
}

static enum mu_code mark_put(const char *data_dir, struct mu_err *err)
{
    char *mark = path_of(data_dir, MARK);
    enum mu_code rc = mu_file_replace(mark, MU_SPAN_LIT(mark_text), 0644, err);

    mu_free(mark);
    return rc;
}

bool aside_was_member(const char *data_dir)
{
    char *mark = path_of(data_dir, MARK);
    bool is_there = access(mark, F_OK) == 0;

    mu_free(mark);
    return is_there;
}

enum mu_code aside_finish(const char *data_dir, bool *moved, struct mu_err *err)
{
    char *note = path_of(data_dir, NOTE);
    struct mu_buf to = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(note, NOTE_BYTES, &to, err);

    *moved = rc == MU_OK;
    if (rc == MU_OK) {
        rc = move_all(data_dir, mu_buf_text(&to), err);
    } else if (rc == MU_NOT_FOUND) {
        rc = MU_OK;
    }
    if (rc == MU_OK && *moved) {
        rc = mark_put(data_dir, err);
    }
    if (rc == MU_OK && *moved) {
        rc = mu_file_remove(note, err);
    }
    mu_buf_deinit(&to);
    mu_free(note);
    return rc;
}
