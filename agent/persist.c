/* What was registered over the API, kept over restarts.
 *
 * Happy path: a notice of local becomes a file; at the next start the files become registrations.
 * A service's file has no checks in it: they have files of their own, so that a check that is
 * deregistered alone does not come back with its service.
 *
 * At start there may be: files that a crash cut short (never: they are replaced atomically, but a
 * disk may lie), leftovers of replacing, checks whose service was removed by hand, and ids that the
 * configuration took over. Each is dealt with by itself; one bad file costs one registration.
 */
#include "persist.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "agent/check_type.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "writer.h"

#define NAME_BYTES     16
#define NAME_TEXT      (2 * NAME_BYTES + 1)
#define FILE_BYTES_MAX (16U * 1024 * 1024) /* a body of 2 MiB, each byte escaped at worst */

enum folder {
    FOLDER_SERVICES,
    FOLDER_CHECKS,
    FOLDER_STATES,
};

static const char *const folders[] = {
    [FOLDER_SERVICES] = "services",
    [FOLDER_CHECKS] = "checks",
    [FOLDER_STATES] = "checks/state",
};

struct persist {
    struct local *local;
    char *dir;
    struct writer *writer;
    int64_t wall_ns; /* while restoring */
};

/* -- names ------------------------------------------------------------------------------------ */

static void name_of(struct mu_span id, char out[NAME_TEXT])
{
    uint8_t hash[NAME_BYTES];

    (void)crypto_generichash(hash, sizeof hash, id.data, id.bytes, NULL, 0);
    (void)sodium_bin2hex(out, NAME_TEXT, hash, sizeof hash);
}

/* The folder itself when name is NULL. mu_free() it. */
static char *path_in(const struct persist *p, enum folder folder, const char *name)
{
    struct mu_buf b = MU_BUF_NONE;

    mu_buf_addf(&b, "%s/%s", p->dir, folders[folder]);
    if (name != NULL) {
        mu_buf_addf(&b, "/%s", name);
    }
    return mu_buf_take(&b, NULL);
}

static char *path_of(const struct persist *p, enum folder folder, struct mu_span id)
{
    char name[NAME_TEXT];

    name_of(id, name);
    return path_in(p, folder, name);
}

/* -- writing ---------------------------------------------------------------------------------- */

static void put(struct persist *p, enum folder folder, struct mu_span id, struct mu_buf *content)
{
    char *path = path_of(p, folder, id);

    writer_put(p->writer, path, content, folder != FOLDER_STATES);
    mu_free(path);
}

static void forget(struct persist *p, enum folder folder, struct mu_span id)
{
    char *path = path_of(p, folder, id);

    writer_remove(p->writer, path);
    mu_free(path);
}

static void service_put(struct persist *p, struct mu_span id)
{
    struct local_service s;
    struct mu_buf content = MU_BUF_NONE;
    struct mu_json_out o;

    if (!local_service_find(p->local, id, &s)) {
        return;
    }
    if (s.source != LOCAL_FROM_API) {
        forget(p, FOLDER_SERVICES, id);
        return;
    }
    struct service_definition alone = *s.definition;

    alone.checks = NULL;
    alone.checks_count = 0;
    mu_json_out_init(&o, &content, true);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Source", "api");
    mu_json_key(&o, "Service");
    service_definition_write(&o, &alone);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    put(p, FOLDER_SERVICES, id, &content);
}

static void check_put(struct persist *p, struct mu_span id)
{
    struct local_check c;
    struct mu_buf content = MU_BUF_NONE;
    struct mu_json_out o;

    if (!local_check_find(p->local, id, &c)) {
        return;
    }
    if (c.source != LOCAL_FROM_API) {
        forget(p, FOLDER_CHECKS, id);
        return;
    }
    mu_json_out_init(&o, &content, true);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Source", "api");
    mu_json_key(&o, "Check");
    check_definition_write(&o, c.definition);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    put(p, FOLDER_CHECKS, id, &content);
}

void persist_changed(struct persist *p, enum local_change_kind kind, struct mu_span id)
{
    switch (kind) {
    case LOCAL_SERVICE_SET: service_put(p, id); break;
    case LOCAL_SERVICE_GONE: forget(p, FOLDER_SERVICES, id); break;
    case LOCAL_CHECK_SET: check_put(p, id); break;
    case LOCAL_CHECK_GONE:
        forget(p, FOLDER_CHECKS, id);
        forget(p, FOLDER_STATES, id);
        break;
    case LOCAL_CHECK_RESULT: break;
    }
}

void persist_ttl(struct persist *p, struct mu_span id, int64_t wall_ns)
{
    struct local_check c;
    struct mu_buf content = MU_BUF_NONE;
    struct mu_json_out o;

    if (!local_check_find(p->local, id, &c)) {
        return;
    }
    mu_json_out_init(&o, &content, true);
    mu_json_open(&o, '{');
    mu_json_span(&o, "CheckID", id);
    mu_json_text(&o, "Status", check_status_text(c.status));
    mu_json_span(&o, "Output", c.output);
    mu_json_i64(&o, "ExpiresMs", (wall_ns + c.definition->ttl_ns) / MU_NS_PER_MS);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    put(p, FOLDER_STATES, id, &content);
}

/* -- reading, at start ------------------------------------------------------------------------ */

/* A file that nobody can use must not be tried again at each start, nor be thrown away. */
static void set_aside(const char *path, const char *why)
{
    struct mu_buf aside = MU_BUF_NONE;

    mu_buf_addf(&aside, "%s.damaged", path);
    mu_log(MU_WARN, "agent", "Skipped a damaged file", mu_kv("path", path), mu_kv("error", why),
           mu_kv("kept_as", mu_buf_text(&aside)));
    (void)rename(path, mu_buf_text(&aside));
    mu_buf_deinit(&aside);
}

static void drop(const char *path, const char *why)
{
    struct mu_err err = MU_ERR_NONE;

    mu_log(MU_INFO, "agent", why, mu_kv("path", path));
    if (mu_file_remove(path, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "Could not remove a file", mu_kv("path", path),
               mu_kv("error", err.text));
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t bytes = strlen(name);
    size_t tail = strlen(end);

    return bytes >= tail && strcmp(name + bytes - tail, end) == 0;
}

/* One file of a folder: its path, the tree of its content, and where decoded things live. */
struct kept {
    struct persist *p;
    const char *name, *path;
    const struct mu_json *tree;
    struct mu_arena arena;
};

typedef enum mu_code kept_fn(struct kept *k, struct mu_err *err);

/* A registration that does not fit any more is no damage: its file stays. */
static void note_refused(const struct kept *k, const struct mu_err *err)
{
    mu_log(MU_WARN, "agent", "Could not restore a registration", mu_kv("path", k->path),
           mu_kv("error", err->text));
}

struct walk {
    struct persist *p;
    enum folder folder;
    kept_fn *read; /* a failure means: damaged */
};

static enum mu_code tree_read(struct kept *k, struct mu_span text, kept_fn *read,
                              struct mu_err *err)
{
    struct mu_json *root = NULL;
    enum mu_code rc = mu_json_parse(&root, text, true, err);

    if (rc == MU_OK && mu_json_kind_of(root) != MU_JSON_OBJECT) {
        rc = mu_fail(err, MU_INVALID, "not an object");
    }
    if (rc == MU_OK) {
        k->tree = root;
        rc = read(k, err);
    }
    mu_json_free(root);
    return rc;
}

/* What cannot be read now may be readable at the next start; what can and makes no sense will not
 * make any then. */
static void file_restore(struct kept *k, kept_fn *read)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = mu_file_read(k->path, FILE_BYTES_MAX, &text, &err);

    if (rc != MU_OK && rc != MU_TOO_BIG) {
        note_refused(k, &err);
    } else if (rc != MU_OK || tree_read(k, mu_buf_span(&text), read, &err) != MU_OK) {
        set_aside(k->path, err.text);
    }
    mu_buf_deinit(&text);
}

static enum mu_code on_file(void *data, const char *name, struct mu_err *ignored)
{
    const struct walk *w = data;

    (void)ignored;
    if (ends_with(name, ".damaged") || (w->folder == FOLDER_CHECKS && strcmp(name, "state") == 0)) {
        return MU_OK;
    }
    char *path = path_in(w->p, w->folder, name);
    struct kept k = { .p = w->p, .name = name, .path = path };

    mu_arena_init(&k.arena, 0);
    if (ends_with(name, ".tmp")) {
        drop(path, "Removed what was left of replacing a file");
    } else {
        file_restore(&k, w->read);
    }
    mu_arena_deinit(&k.arena);
    mu_free(path);
    return MU_OK;
}

static enum mu_code folder_walk(struct persist *p, enum folder folder, kept_fn *read,
                                struct mu_err *err)
{
    struct walk w = { p, folder, read };
    char *path = path_in(p, folder, NULL);
    enum mu_code rc = mu_dir_each(path, on_file, &w, err);

    mu_free(path);
    return rc;
}

static enum mu_code name_fits(const struct kept *k, struct mu_span id, struct mu_err *err)
{
    char name[NAME_TEXT];

    name_of(id, name);
    if (id.bytes == 0 || strcmp(name, k->name) != 0) {
        return mu_fail(err, MU_INVALID, "the id in it belongs to another name");
    }
    return MU_OK;
}

static const struct mu_json *member(const struct kept *k, const char *name)
{
    const struct mu_json *v = mu_json_find(k->tree, name);

    return v != NULL && mu_json_kind_of(v) == MU_JSON_OBJECT ? v : NULL;
}

static enum mu_code service_restore(struct kept *k, struct mu_err *err)
{
    const struct mu_json *object = member(k, "Service");
    struct service_definition d = { .has_meta = false };
    struct mu_err refused = MU_ERR_NONE;
    struct local_service there;

    if (object == NULL) {
        return mu_fail(err, MU_INVALID, "no member \"Service\"");
    }
    enum mu_code rc = service_definition_read(object, &d, &k->arena, err);

    if (rc == MU_OK) {
        rc = name_fits(k, d.id, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    if (local_service_find(k->p->local, d.id, &there)) {
        drop(k->path, "Forgot a kept service: the configuration defines it");
    } else if (local_service_add(k->p->local, &d, LOCAL_FROM_API, false, &refused) != MU_OK) {
        note_refused(k, &refused);
    }
    return MU_OK;
}

static enum mu_code check_decode(struct kept *k, struct check_definition *d, struct mu_err *err)
{
    const struct mu_json *object = member(k, "Check");

    if (object == NULL) {
        return mu_fail(err, MU_INVALID, "no member \"Check\"");
    }
    enum mu_code rc = check_definition_decode(object, d, &k->arena, err);

    if (rc == MU_OK && check_type_of(d) != NULL) { /* maintenance has no type, and no rules */
        rc = check_definition_valid_alone(d, err);
    }
    return rc == MU_OK ? name_fits(k, d->id, err) : rc;
}

static enum mu_code check_restore(struct kept *k, struct mu_err *err)
{
    struct check_definition d = { .given = 0 };
    struct mu_err refused = MU_ERR_NONE;
    struct local_check there;
    struct local_service service;
    enum mu_code rc = check_decode(k, &d, err);

    if (rc != MU_OK) {
        return rc;
    }
    d.status = MU_SPAN_NONE; /* critical until its first run, whatever it began with */
    if (local_check_find(k->p->local, d.id, &there)) {
        drop(k->path, "Forgot a kept check: the configuration defines it");
    } else if (d.service_id.bytes > 0 && !local_service_find(k->p->local, d.service_id, &service)) {
        drop(k->path, "Forgot a kept check: its service is gone");
    } else if (local_check_add(k->p->local, &d, LOCAL_FROM_API, &refused) != MU_OK) {
        note_refused(k, &refused);
    }
    return MU_OK;
}

struct state {
    struct mu_span id, status, output;
    int64_t expires_ms;
};

/* As critical a check begins anyway: restoring that would only pretend to know since when. */
static void state_apply(const struct kept *k, const struct state *s)
{
    enum check_status status;
    struct local_check c;

    if (!local_check_find(k->p->local, s->id, &c) || c.definition->ttl_ns <= 0) {
        drop(k->path, "Forgot a kept report: its check is gone");
    } else if (s->expires_ms <= k->p->wall_ns / MU_NS_PER_MS) {
        drop(k->path, "Forgot a kept report: it has expired");
    } else if (check_status_parse(s->status, &status) && status != CHECK_CRITICAL) {
        (void)local_check_update(k->p->local, s->id, status, s->output, 0);
    }
}

static enum mu_code state_restore(struct kept *k, struct mu_err *err)
{
    static const struct mu_json_field fields[] = {
        // clang-format off
        { .name = "CheckID",   .as = MU_JSON_AS_TEXT, .offset = offsetof(struct state, id) },
        { .name = "Status",    .as = MU_JSON_AS_TEXT, .offset = offsetof(struct state, status) },
        { .name = "Output",    .as = MU_JSON_AS_TEXT, .offset = offsetof(struct state, output) },
        { .name = "ExpiresMs", .as = MU_JSON_AS_INT,  .offset = offsetof(struct state, expires_ms) },
    }; // clang-format on
    static const struct mu_json_shape shape = { .fields = fields,
                                                .fields_count = MU_LEN(fields),
                                                .bytes = sizeof(struct state) };
    struct state s = { .expires_ms = 0 };
    enum mu_code rc = mu_json_decode(k->tree, &shape, &s, &k->arena, err);

    if (rc == MU_OK) {
        rc = name_fits(k, s.id, err);
    }
    if (rc == MU_OK) {
        state_apply(k, &s);
    }
    return rc;
}

/* -- the doors -------------------------------------------------------------------------------- */

enum mu_code persist_new(struct persist **out, struct uv_loop_s *loop, struct local *local,
                         const char *data_dir, struct mu_err *err)
{
    struct persist *p = mu_new(sizeof *p);
    enum mu_code rc = MU_OK;

    p->local = local;
    p->dir = mu_strdup(data_dir);
    p->writer = writer_new(loop);
    for (size_t i = 0; i < MU_LEN(folders) && rc == MU_OK; i++) {
        char *path = path_in(p, (enum folder)i, NULL);

        rc = mu_dir_make(path, err);
        mu_free(path);
    }
    if (rc != MU_OK) {
        persist_free(p);
        return rc;
    }
    *out = p;
    return MU_OK;
}

enum mu_code persist_restore(struct persist *p, int64_t wall_ns, struct mu_err *err)
{
    enum mu_code rc;

    p->wall_ns = wall_ns;
    rc = folder_walk(p, FOLDER_SERVICES, service_restore, err);
    if (rc == MU_OK) {
        rc = folder_walk(p, FOLDER_CHECKS, check_restore, err);
    }
    if (rc == MU_OK) {
        rc = folder_walk(p, FOLDER_STATES, state_restore, err);
    }
    return rc;
}

void persist_note(struct persist *p, const char *path, struct mu_buf *content)
{
    writer_put(p->writer, path, content, true);
}

void persist_stop(struct persist *p, persist_stopped_fn *stopped, void *data)
{
    writer_stop(p->writer, stopped, data);
}

void persist_free(struct persist *p)
{
    if (p == NULL) {
        return;
    }
    writer_free(p->writer);
    mu_free(p->dir);
    mu_free(p);
}
