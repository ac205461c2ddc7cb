/* Loading: flags name the sources, sources fill a draft, and the draft becomes a configuration.
 *
 * Order decides (agent-behaviour 2.1): built-in defaults, those of -dev, files and directories as
 * they stand on the command line, -hcl fragments, then the other flags. A later source wins.
 */
#include "agent/config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/limits.h"
#include "base/mem.h"
#include "config_source.h"
#include "config_table.h"

_Static_assert(offsetof(struct config_draft, c) == 0, "config_free() gets what was handed out");

struct flag_value {
    const struct config_item *item;
    const char *value;
};

/* What the command line says, before anything is read. */
struct command_line {
    struct config_draft *d;
    struct config_texts paths, fragments;
    struct flag_value *values;
    size_t values_count;
    const char *format;  /* -config-format */
    const char *skipped; /* the last file whose name does not say what it is */
    bool is_dev, is_serf, wants_help;
};

/* -- the command line -------------------------------------------------------------------------- */

static const struct config_item *item_of_flag(const struct mu_flags *f)
{
    for (size_t i = 0; i < config_items_count; i++) {
        if (config_items[i].flag != NULL && mu_flags_is(f, config_items[i].flag)) {
            return &config_items[i];
        }
    }
    return NULL;
}

static enum mu_code take_option(struct command_line *line, const struct config_item *item,
                                struct mu_flags *f, struct mu_err *err)
{
    const char *value = "true";
    enum mu_code rc;

    if (item->type == CONFIG_BOOL) {
        bool on = false;

        rc = mu_flags_bool(f, &on, err);
        value = on ? "true" : "false";
    } else {
        rc = mu_flags_value(f, &value, err);
    }
    if (rc == MU_OK) {
        line->values = mu_grow(line->values, (line->values_count + 1) * sizeof *line->values);
        line->values[line->values_count++] = (struct flag_value){ item, value };
    }
    return rc;
}

static enum mu_code take_text(struct command_line *line, struct config_texts *list,
                              struct mu_flags *f, struct mu_err *err)
{
    const char *value = NULL;
    enum mu_code rc = mu_flags_value(f, &value, err);

    if (rc == MU_OK) {
        config__texts_add(&line->d->c.arena, list, value);
    }
    return rc;
}

static enum mu_code take_flag(struct command_line *line, struct mu_flags *f, struct mu_err *err)
{
    const struct config_item *item = item_of_flag(f);

    if (mu_flags_is_help(f)) {
        line->wants_help = true;
        return MU_OK;
    }
    if (mu_flags_is(f, "config-file") || mu_flags_is(f, "config-dir")) {
        return take_text(line, &line->paths, f, err);
    }
    if (mu_flags_is(f, "hcl")) {
        return take_text(line, &line->fragments, f, err);
    }
    if (mu_flags_is(f, "config-format")) {
        return mu_flags_value(f, &line->format, err);
    }
    if (mu_flags_is(f, "dev")) {
        return mu_flags_bool(f, &line->is_dev, err);
    }
    return item != NULL ? take_option(line, item, f, err) : mu_flags_unknown(f, err);
}

static enum mu_code refuse_words(const struct mu_flags *f, struct mu_err *err)
{
    struct mu_buf words = MU_BUF_NONE;

    if (f->at == f->argc) {
        return MU_OK;
    }
    for (int i = f->at; i < f->argc; i++) {
        mu_buf_addf(&words, "%s%s", i > f->at ? " " : "", f->argv[i]);
    }
    enum mu_code rc =
        mu_fail(err, MU_INVALID, "Unexpected extra arguments: [%s]", mu_buf_text(&words));

    mu_buf_deinit(&words);
    return rc;
}

static enum mu_code read_command_line(struct command_line *line, int argc, const char *const *argv,
                                      struct mu_err *err)
{
    struct mu_flags f = mu_flags_of(argc, argv);
    enum mu_code rc;

    while ((rc = mu_flags_next(&f, err)) == MU_OK) {
        rc = take_flag(line, &f, err);
        if (rc != MU_OK || line->wants_help) {
            break;
        }
    }
    if (line->wants_help) {
        return MU_OK;
    }
    if (rc != MU_NOT_FOUND) {
        return mu_wrap(err, rc, "error parsing flags");
    }
    if (line->format != NULL && strcmp(line->format, "json") != 0 &&
        strcmp(line->format, "hcl") != 0) {
        return mu_fail(err, MU_INVALID, "-config-format must be either 'hcl' or 'json'");
    }
    return refuse_words(&f, err);
}

/* -- files ------------------------------------------------------------------------------------- */

/* "no such file or directory": the system's reason as Go writes it. */
static enum mu_code open_failed(const char *path, struct mu_err *err)
{
    char reason[128];

    (void)snprintf(reason, sizeof reason, "%s", strerror(errno));
    reason[0] = (char)tolower((unsigned char)reason[0]);
    return mu_fail(err, MU_INVALID, "config: Open failed on %s. open %s: %s", path, path, reason);
}

static bool ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text), end_bytes = strlen(end);

    return bytes > end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static enum mu_code apply_text(struct config_draft *d, const struct config_file *file,
                               struct mu_err *err)
{
    struct mu_json *root = NULL;
    enum mu_code rc;

    if (file->text.bytes == 0) {
        return MU_OK; /* a file that is still to be filled */
    }
    rc = file->is_hcl ? config__hcl_read(file->text, &root, err)
                      : config__json_read(file->text, &root, err);
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "failed to parse %s", file->name);
    }
    rc = config__apply(d, file, root, err);
    mu_json_free(root);
    return rc;
}

static enum mu_code apply_file(struct command_line *line, const char *path, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    struct config_file file = { .name = path };
    enum mu_code rc;

    if (line->format == NULL && !ends_with(path, ".json") && !ends_with(path, ".hcl")) {
        config__warn(&line->d->c,
                     "skipping file %s, extension must be .hcl or .json, or config format must be "
                     "set",
                     path);
        line->skipped = mu_arena_text(&line->d->c.arena, path, strlen(path));
        return MU_OK;
    }
    file.is_hcl = line->format != NULL ? strcmp(line->format, "hcl") == 0 : ends_with(path, ".hcl");
    rc = mu_file_read(path, MU_CONFIG_BYTES_MAX, &text, err);
    if (rc == MU_TOO_BIG) {
        rc = mu_wrap(err, rc, "config");
    } else if (rc != MU_OK) {
        rc = open_failed(path, err);
    } else {
        file.text = mu_buf_span(&text);
        rc = apply_text(line->d, &file, err);
    }
    mu_buf_deinit(&text);
    return rc;
}

struct directory {
    struct command_line *line;
    const char *path;
};

static enum mu_code apply_entry(void *data, const char *name, struct mu_err *err)
{
    struct directory *dir = data;
    struct mu_buf path = MU_BUF_NONE;
    struct stat st;
    enum mu_code rc = MU_OK;

    mu_buf_addf(&path, "%s%s%s", dir->path, ends_with(dir->path, "/") ? "" : "/", name);
    if (stat(mu_buf_text(&path), &st) != 0) {
        rc = open_failed(mu_buf_text(&path), err);
    } else if (!S_ISDIR(st.st_mode)) {
        rc = apply_file(dir->line, mu_buf_text(&path), err);
    }
    mu_buf_deinit(&path);
    return rc;
}

static enum mu_code apply_path(struct command_line *line, const char *path, struct mu_err *err)
{
    struct directory dir = { line, path };
    struct stat st;

    if (stat(path, &st) != 0) {
        return open_failed(path, err);
    }
    return S_ISDIR(st.st_mode) ? mu_dir_each(path, apply_entry, &dir, err)
                               : apply_file(line, path, err);
}

/* -- in order ---------------------------------------------------------------------------------- */

/* A server on its own, for trying things: talks to nobody and keeps nothing. */
static void dev_fallbacks(struct config_draft *d)
{
    struct config *c = &d->c;

    c->is_dev = true;
    c->is_server = true;
    d->bind_addr = "127.0.0.1";
    d->log_level = "DEBUG";
    c->gossip_lan.gossip_ms = 100;
    c->gossip_lan.probe_ms = 100;
    c->gossip_lan.probe_timeout_ms =
        50; /* Consul: 100, all of the interval; spec/gossip.md 2.1 wants less */
    c->gossip_lan.suspicion_mult = 3;
}

/* Serf's ports and manners. */
static void serf_fallbacks(struct config_draft *d)
{
    struct config *c = &d->c;

    c->serf.is_on = true;
    c->ports.http = c->ports.dns = c->ports.etcd = c->ports.serf_wan = -1;
    c->ports.serf_lan = 7946;
}

static enum mu_code apply_sources(struct command_line *line, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    config__fallbacks(line->d);
    if (line->is_dev) {
        dev_fallbacks(line->d);
    }
    if (line->is_serf) {
        serf_fallbacks(line->d);
    }
    for (size_t i = 0; rc == MU_OK && i < line->paths.count; i++) {
        rc = apply_path(line, line->paths.items[i], err);
    }
    for (size_t i = 0; rc == MU_OK && i < line->fragments.count; i++) {
        struct config_file file = {
            .name = mu_arena_printf(&line->d->c.arena, "flags-%zu.hcl", i),
            .text = mu_span_text(line->fragments.items[i]),
            .is_hcl = true,
        };

        rc = apply_text(line->d, &file, err);
    }
    for (size_t i = 0; rc == MU_OK && i < line->values_count; i++) {
        rc = config__apply_flag(line->d, line->values[i].item, line->values[i].value, err);
    }
    return rc;
}

static enum mu_code load(struct config **out, int argc, const char *const *argv, bool is_serf,
                         bool *wants_help, struct mu_err *err)
{
    struct config_draft *d = mu_new(sizeof *d);
    struct command_line line = { .d = d, .is_serf = is_serf };
    enum mu_code rc;

    mu_arena_init(&d->c.arena, 0);
    d->c.argc = argc;
    d->c.argv = argv;
    *out = NULL;
    rc = read_command_line(&line, argc, argv, err);
    *wants_help = line.wants_help;
    if (rc == MU_OK && !line.wants_help) {
        rc = apply_sources(&line, err);
    }
    if (rc == MU_OK && !line.wants_help) {
        rc = config__finish(d, err);
        if (rc != MU_OK && line.skipped != NULL) { /* it may well hold what is missing */
            rc = mu_wrap(err, rc,
                         "%s was skipped (extension must be .hcl or .json, or config format must "
                         "be set)",
                         line.skipped);
        }
    }
    if (rc == MU_OK && !line.wants_help) {
        *out = &d->c;
        d = NULL;
    }
    mu_free(line.values);
    config_free(d != NULL ? &d->c : NULL);
    return rc;
}

enum mu_code config_load(struct config **out, int argc, const char *const *argv, bool *wants_help,
                         struct mu_err *err)
{
    return load(out, argc, argv, false, wants_help, err);
}

enum mu_code config_load_serf(struct config **out, const char *json, struct mu_err *err)
{
    const char *const argv[] = { "-hcl", json };
    bool wants_help = false;

    return load(out, (int)MU_LEN(argv), argv, true, &wants_help, err);
}

enum mu_code config_services(const char *path, struct mu_arena *arena,
                             struct service_definition **out, size_t *count, struct mu_err *err)
{
    struct config_draft *d = mu_new(sizeof *d);
    struct command_line line = { .d = d };
    enum mu_code rc;

    mu_arena_init(&d->c.arena, 0);
    rc = apply_path(&line, path, err);
    if (rc == MU_OK && d->c.services_count == 0) {
        const char *why = d->c.warnings_count > 0 ? d->c.warnings[0] : NULL;

        rc = mu_fail(err, MU_INVALID, "%s: no service is defined here%s%s%s", path,
                     why != NULL ? " (" : "", why != NULL ? why : "", why != NULL ? ")" : "");
    }
    *count = rc == MU_OK ? d->c.services_count : 0;
    *out = mu_arena_array(arena, *count, sizeof **out);
    for (size_t i = 0; i < *count; i++) {
        service_definition_copy(&(*out)[i], &d->c.services[i], arena);
    }
    config_free(&d->c);
    return rc;
}

void config_free(struct config *c)
{
    if (c != NULL) {
        config_free(c->adopted);
        mu_arena_deinit(&c->arena);
        mu_free(c);
    }
}
