/* serf_agent_read.c - flags and files of `serf agent`, each into the same struct
 * (spec/serf-surface.md 2 and 3).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/limits.h"
#include "base/mem.h"
#include "serf_agent.h"

/* -- what can be said -------------------------------------------------------------------------- */

enum as { AS_TEXT, AS_BOOL, AS_INT, AS_DURATION, AS_TEXTS, AS_TAGS };

#define MDNS "mdns"

#define AT(member) offsetof(struct said, member)

static const struct row {
    const char *key, *flag; /* NULL: not in files; no flag */
    enum as as;
    size_t offset;
    const char *help;
} rows[] = {
    // clang-format off
    { "bind", "bind", AS_TEXT, AT(bind), "Address of gossip, the port is optional; default 0.0.0.0:7946." },
    { "advertise", "advertise", AS_TEXT, AT(advertise), "Address that others are told." },
    { "interface", "iface", AS_TEXT, AT(iface), "Interface whose address is bound, or that must have that of -bind; of -discover as well." },
    { "node_name", "node", AS_TEXT, AT(node), "Name of this node; default: the host name." },
    { "role", "role", AS_TEXT, AT(role), "The tag role, by its older name." },
    { "tags", "tag", AS_TAGS, 0, "A tag, key=value; repeatable." },
    { "tags_file", "tags-file", AS_TEXT, AT(tags_file), "File that tags are kept in, also those set at run time; excludes -tag." },
    { "start_join", "join", AS_TEXTS, AT(start_join), "Agent to join at the start, which fails when none answers; repeatable." },
    { "retry_join", "retry-join", AS_TEXTS, AT(retry_join), "Agent to join, tried until one answers; repeatable." },
    { "retry_interval", "retry-interval", AS_DURATION, AT(retry_ms), "Longest pause between tries; default 30s." },
    { "retry_max_attempts", "retry-max", AS_INT, AT(retry_max), "Give up after that many tries; 0: never." },
    { "rejoin_after_leave", "rejoin", AS_BOOL, AT(rejoin), "Join the former peers again after a leave." },
    { "replay_on_join", "replay", AS_BOOL, AT(replay), "Also deliver user events that were sent before the first join." },
    { "discover", "discover", AS_TEXT, AT(discover), "Find the others of this name by multicast DNS." },
    { MDNS ".interface", "mdns-iface", AS_TEXT, AT(mdns_iface), "Interface for -discover." },
    { MDNS ".disable_ipv4", "mdns-disable-ipv4", AS_BOOL, AT(no_ipv4), "No -discover over IPv4." },
    { MDNS ".disable_ipv6", "mdns-disable-ipv6", AS_BOOL, AT(no_ipv6), "No -discover over IPv6." },
    { "encrypt_key", "encrypt", AS_TEXT, AT(encrypt), "Key of 16, 24 or 32 bytes in base64." },
    { "keyring_file", "keyring-file", AS_TEXT, AT(keyring_file), "File that keys are kept in." },
    { "event_handlers", "event-handler", AS_TEXTS, AT(handlers), "Script that runs on events; repeatable." },
    { "snapshot_path", "snapshot", AS_TEXT, AT(snapshot), "Where members are remembered, in a directory of this name and .muster." },
    { "profile", "profile", AS_TEXT, AT(profile), "lan, wan or local." },
    { "protocol", "protocol", AS_INT, AT(protocol), "2 to 5; muster speaks its own." },
    { "rpc_addr", "rpc-addr", AS_TEXT, AT(rpc_addr), "Address of the control port, or unix://PATH; default 127.0.0.1:7373." },
    { "rpc_auth", NULL, AS_TEXT, AT(rpc_auth), "Key that its clients must give." },
    { "log_level", "log-level", AS_TEXT, AT(log_level), "TRACE, DEBUG, INFO, WARN or ERR." },
    { "enable_syslog", "syslog", AS_BOOL, AT(syslog), "Log to syslog as well." },
    { "syslog_facility", NULL, AS_TEXT, AT(facility), "As this facility; default LOCAL0." },
    { "leave_on_terminate", NULL, AS_BOOL, AT(leave_on_terminate), "Leave on SIGTERM." },
    { "skip_leave_on_interrupt", NULL, AS_BOOL, AT(skip_leave), "Do not leave on SIGINT." },
    { "disable_coordinates", NULL, AS_BOOL, AT(no_coordinates), "No network coordinates." },
    { "disable_name_resolution", NULL, AS_BOOL, AT(no_resolution), "Of two living nodes of one name both stay." },
    { "enable_compression", NULL, AS_BOOL, AT(compression), "Without effect: only large exchanges of state are compressed, and always." },
    { NULL, "disable-compression", AS_BOOL, AT(no_compression), "Without effect: only large exchanges of state are compressed, and always." },
    { "validate_node_names", NULL, AS_BOOL, AT(validate_names), "Refuse members, and to start, with a name of other than letters, digits, - and the dot." },
    { "broadcast_timeout", "broadcast-timeout", AS_DURATION, AT(broadcast_ms), "How long words of ours may take to leave; default 5s." },
    { "reconnect_interval", NULL, AS_DURATION, AT(reconnect_ms), "Pause between tries to reach a failed member." },
    { "reconnect_timeout", NULL, AS_DURATION, AT(reconnect_timeout_ms), "How long a failed member stays listed; default 24h." },
    { "tombstone_timeout", NULL, AS_DURATION, AT(tombstone_ms), "The same for one that left." },
    { "query_response_size_limit", NULL, AS_INT, AT(response_limit), "Bytes of an answer, up to 65472; default 1024." },
    { "query_size_limit", NULL, AS_INT, AT(query_limit), "Bytes of a query, up to 1024." },
    { "user_event_size_limit", NULL, AS_INT, AT(event_limit), "Bytes of a user event, up to 1024; default 512." },
    { "statsite_addr", NULL, AS_TEXT, AT(statsite), "Where metrics go over TCP." },
    { "statsd_addr", NULL, AS_TEXT, AT(statsd), "Where metrics go in datagrams." },
}; // clang-format on

/* -- one value --------------------------------------------------------------------------------- */

static void *place(struct said *s, const struct row *row)
{
    return (uint8_t *)s + row->offset;
}

static void add_text(struct said *s, struct cli_texts *list, struct mu_span text)
{
    list->items = mu_grow(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = mu_arena_text(&s->arena, text.data, text.bytes);
}

enum mu_code said_add_tag(struct said *s, struct mu_span key, struct mu_span value,
                          struct mu_err *err)
{
    size_t i = 0;

    while (i < s->tags_count && !mu_span_eq(s->tags[i].key, key)) {
        i++;
    }
    if (i == SERF_TAGS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "More than %d tags", SERF_TAGS_MAX);
    }
    s->tags[i].key = mu_arena_span(&s->arena, key);
    s->tags[i].value = mu_arena_span(&s->arena, value);
    s->tags_count += i == s->tags_count;
    return MU_OK;
}

static enum mu_code take_duration(int64_t *to, struct mu_span text, struct mu_err *err)
{
    char why[128];
    int64_t ns = 0;

    if (!mu_duration_parse(text, &ns, why, sizeof why) || ns < 0) {
        return mu_fail(err, MU_INVALID, "time: invalid duration \"%.*s\"",
                       MU_SPAN_FMT(mu_span_sub(text, 0, 64)));
    }
    *to = ns / MU_NS_PER_MS;
    return MU_OK;
}

/* Empty texts say nothing; a boolean can only be switched on (3). */
static enum mu_code take_word(struct said *s, const struct row *row, struct mu_span text,
                              struct mu_err *err)
{
    struct mu_span key, value;
    bool has_value = false;

    switch (row->as) {
    case AS_TEXT:
        if (text.bytes > 0) {
            *(const char **)place(s, row) = mu_arena_text(&s->arena, text.data, text.bytes);
        }
        return MU_OK;
    case AS_TEXTS: add_text(s, place(s, row), text); return MU_OK;
    case AS_DURATION: return take_duration(place(s, row), text, err);
    case AS_TAGS:
        key = mu_span_split(text, '=', &value, &has_value);
        return has_value && key.bytes > 0
                   ? said_add_tag(s, key, value, err)
                   : mu_fail(err, MU_INVALID, "Invalid tag: '%.*s'", MU_SPAN_FMT(text));
    case AS_INT: {
        uint64_t number = 0;

        if (!mu_span_u64(text, &number) || number > INT32_MAX) {
            return mu_fail(err, MU_INVALID, "invalid value \"%.*s\" for flag -%s: parse error",
                           MU_SPAN_FMT(text), row->flag);
        }
        *(int64_t *)place(s, row) = (int64_t)number;
        return MU_OK;
    }
    case AS_BOOL: break; /* the reader of flags takes these */
    }
    MU_UNREACHABLE_CODE();
}

/* -- files ------------------------------------------------------------------------------------- */

/* Where in the file: a key, a key[index] or a key[tag]. */
static enum mu_code wrong_type(const char *where, const char *expected, const struct mu_json *v,
                               struct mu_err *err)
{
    static const char *const types[] = {
        [MU_JSON_NULL] = "nil",
        [MU_JSON_BOOL] = "bool",
        [MU_JSON_INT] = "float64",
        [MU_JSON_REAL] = "float64",
        [MU_JSON_STRING] = "string",
        [MU_JSON_LIST] = "[]interface {}",
        [MU_JSON_OBJECT] = "map[string]interface {}",
    };
    enum mu_json_kind kind = mu_json_kind_of(v);
    struct mu_buf value = MU_BUF_NONE;

    if (kind == MU_JSON_STRING) {
        mu_buf_add_span(&value, mu_json_string(v));
    } else {
        mu_json_compact(v, &value);
    }
    enum mu_code rc =
        mu_fail(err, MU_INVALID,
                "1 error(s) decoding:\n\n* '%s' expected type '%s', got unconvertible type '%s', "
                "value: '%.*s'",
                where, expected, types[kind], MU_SPAN_FMT(mu_span_sub(mu_buf_span(&value), 0, 64)));

    mu_buf_deinit(&value);
    return rc;
}

static enum mu_code take_strings(struct said *s, const struct row *row, const struct mu_json *v,
                                 struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return wrong_type(row->key, "[]string", v, err);
    }
    for (size_t i = 0; i < mu_json_count(v) && rc == MU_OK; i++) {
        const struct mu_json *one = mu_json_at(v, i);

        rc = mu_json_kind_of(one) == MU_JSON_STRING
                 ? take_word(s, row, mu_json_string(one), err)
                 : wrong_type(mu_arena_printf(&s->arena, "%s[%zu]", row->key, i), "string", one,
                              err);
    }
    return rc;
}

static enum mu_code take_tags(struct said *s, const struct row *row, const struct mu_json *v,
                              struct mu_err *err)
{
    struct mu_json_at at = { 0 };
    enum mu_code rc = MU_OK;

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return wrong_type(row->key, "map[string]string", v, err);
    }
    while (rc == MU_OK && mu_json_next(v, &at)) {
        rc = mu_json_kind_of(at.value) == MU_JSON_STRING
                 ? said_add_tag(s, mu_span_text(at.name), mu_json_string(at.value), err)
                 : wrong_type(mu_arena_printf(&s->arena, "%s[%s]", row->key, at.name), "string",
                              at.value, err);
    }
    return rc;
}

static enum mu_code take_value(struct said *s, const struct row *row, const struct mu_json *v,
                               struct mu_err *err)
{
    enum mu_json_kind kind = mu_json_kind_of(v);

    if (kind == MU_JSON_NULL) {
        return MU_OK;
    }
    switch (row->as) {
    case AS_BOOL:
        if (kind != MU_JSON_BOOL) {
            return wrong_type(row->key, "bool", v, err);
        }
        *(bool *)place(s, row) |= mu_json_bool(v);
        return MU_OK;
    case AS_INT:
        if (kind != MU_JSON_INT) {
            return wrong_type(row->key, "int", v, err);
        }
        if (mu_json_int(v) > 0) {
            *(int64_t *)place(s, row) = mu_json_int(v);
        }
        return MU_OK;
    case AS_TEXTS: return take_strings(s, row, v, err);
    case AS_TAGS: return take_tags(s, row, v, err);
    case AS_TEXT:
    case AS_DURATION:
        if (kind != MU_JSON_STRING) {
            return wrong_type(row->key, "string", v, err);
        }
        return mu_json_string(v).bytes > 0 ? take_word(s, row, mu_json_string(v), err) : MU_OK;
    }
    MU_UNREACHABLE_CODE();
}

/* The one object in a file. */
static bool is_group(const char *group, const char *key)
{
    return group[0] == '\0' && strcasecmp(key, MDNS) == 0;
}

/* `group`: the object that the key is in, "" for the file itself. */
static const struct row *row_of_key(const char *group, const char *key)
{
    size_t bytes = group[0] != '\0' ? strlen(group) + 1 : 0;

    for (size_t i = 0; i < MU_LEN(rows) && strchr(key, '.') == NULL; i++) {
        const char *own = rows[i].key;

        if (own != NULL && strncasecmp(own, group, strlen(group)) == 0 &&
            strcasecmp(own + bytes, key) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static enum mu_code refuse_unknown(const char *group, const struct mu_json *root,
                                   struct mu_err *err)
{
    struct mu_json_at at = { 0 };
    struct mu_buf unknown = MU_BUF_NONE;
    enum mu_code rc = MU_OK;

    while (mu_json_next(root, &at)) {
        if (row_of_key(group, at.name) == NULL && !is_group(group, at.name)) {
            mu_buf_addf(&unknown, "%s%s", unknown.bytes > 0 ? ", " : "", at.name);
        }
    }
    if (unknown.bytes > 0) {
        rc = mu_fail(err, MU_INVALID, "1 error(s) decoding:\n\n* '%s' has invalid keys: %s", group,
                     mu_buf_text(&unknown));
    }
    mu_buf_deinit(&unknown);
    return rc;
}

static enum mu_code take_object(struct said *s, const char *group, const struct mu_json *object,
                                struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(object) != MU_JSON_OBJECT) {
        return group[0] != '\0' ? wrong_type(group, "map[string]interface {}", object, err)
                                : mu_fail(err, MU_INVALID, "the file holds no object");
    }
    enum mu_code rc = refuse_unknown(group, object, err);

    while (rc == MU_OK && mu_json_next(object, &at)) {
        rc = is_group(group, at.name) ? take_object(s, MDNS, at.value, err)
                                      : take_value(s, row_of_key(group, at.name), at.value, err);
    }
    return rc;
}

static enum mu_code take_file(struct said *s, const char *path, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json *root = NULL;
    enum mu_code rc = mu_file_read(path, MU_CONFIG_BYTES_MAX, &text, err);

    if (rc != MU_OK) {
        rc = mu_wrap(err, rc, "Error reading '%s'", path);
    } else {
        rc = mu_json_parse(&root, mu_buf_span(&text), true, err);
        rc = rc == MU_OK ? take_object(s, "", root, err) : rc;
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Error decoding '%s'", path);
    }
    mu_json_free(root);
    mu_buf_deinit(&text);
    return rc;
}

struct directory {
    struct said *said;
    const char *path;
    bool is_read; /* an error is of a file in it, and says so */
};

static enum mu_code take_entry(void *data, const char *name, struct mu_err *err)
{
    struct directory *dir = data;
    size_t bytes = strlen(name);

    dir->is_read = true;

    if (bytes < 6 || strcmp(name + bytes - 5, ".json") != 0) {
        return MU_OK;
    }
    return take_file(dir->said, mu_arena_printf(&dir->said->arena, "%s/%s", dir->path, name), err);
}

static enum mu_code take_dir(struct said *s, const char *path, struct mu_err *err)
{
    struct directory dir = { s, path, false };
    enum mu_code rc = mu_dir_each(path, take_entry, &dir, err);

    return rc == MU_OK || dir.is_read ? rc : mu_wrap(err, rc, "Error reading '%s'", path);
}

/* Either flag takes either, as with Serf. */
static enum mu_code take_path(struct said *s, const char *path, struct mu_err *err)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? take_dir(s, path, err)
                                                       : take_file(s, path, err);
}

/* -- the command line -------------------------------------------------------------------------- */

static const struct row *row_of_flag(const struct mu_flags *f)
{
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        if (rows[i].flag != NULL && mu_flags_is(f, rows[i].flag)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* `is_usage`: the words are wrong, not what they say. */
static enum mu_code take_flag(struct said *s, struct mu_flags *f, bool *is_usage,
                              struct mu_err *err)
{
    const char *value = NULL;
    const struct row *row = row_of_flag(f);
    bool is_on = true;
    enum mu_code rc;

    *is_usage = true;
    if (row == NULL) {
        return mu_flags_unknown(f, err);
    }
    if (row->as == AS_BOOL) {
        rc = mu_flags_bool(f, &is_on, err);
        *(bool *)place(s, row) |= is_on;
        return rc;
    }
    rc = mu_flags_value(f, &value, err);
    if (rc != MU_OK) {
        return rc;
    }
    *is_usage = row->as == AS_INT;
    rc = take_word(s, row, mu_span_text(value), err);
    return rc == MU_OK || *is_usage ? rc : mu_wrap(err, rc, "Error");
}

/* A file when `wants_files`, else any other flag. */
static enum mu_code take_one(struct said *s, struct mu_flags *f, bool wants_files, bool *wants_help,
                             struct mu_err *err)
{
    const char *path = NULL;
    struct said ignored;
    bool is_usage = false;
    enum mu_code rc;

    if (mu_flags_is_help(f)) {
        *wants_help = true;
        return MU_OK;
    }
    if (mu_flags_is(f, "config-file") || mu_flags_is(f, "config-dir")) {
        rc = mu_flags_value(f, &path, err);
        *wants_help = rc != MU_OK;
        return rc == MU_OK && wants_files ? take_path(s, path, err) : rc;
    }
    said_init(&ignored);
    rc = take_flag(wants_files ? &ignored : s, f, &is_usage, err);
    *wants_help = rc != MU_OK && is_usage;
    said_deinit(&ignored);
    return rc;
}

static enum mu_code take_words(struct said *s, int argc, const char *const *argv, bool wants_files,
                               bool *wants_help, struct mu_err *err)
{
    struct mu_flags f = mu_flags_of(argc, argv);
    enum mu_code rc;

    while ((rc = mu_flags_next(&f, err)) == MU_OK) {
        rc = take_one(s, &f, wants_files, wants_help, err);
        if (rc != MU_OK || *wants_help) {
            return rc;
        }
    }
    if (rc != MU_NOT_FOUND) {
        *wants_help = true;
        return rc;
    }
    return f.at < argc /* what stands behind it would be lost without a word */
               ? mu_fail(err, MU_INVALID, "Unexpected argument: %s", argv[f.at])
               : MU_OK;
}

enum mu_code said_read(struct said *s, int argc, const char *const *argv, bool *wants_help,
                       struct mu_err *err)
{
    enum mu_code rc = take_words(s, argc, argv, true, wants_help, err);

    return rc == MU_OK && !*wants_help ? take_words(s, argc, argv, false, wants_help, err) : rc;
}

void said_print_flags(FILE *to)
{
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        if (rows[i].flag != NULL) {
            (void)fprintf(to, "  -%s%s\n     %s\n\n", rows[i].flag,
                          rows[i].as == AS_BOOL ? "" : "=<value>", rows[i].help);
        }
    }
}

/* -- life -------------------------------------------------------------------------------------- */

void said_init(struct said *s)
{
    *s = (struct said){ .node = NULL };
    mu_arena_init(&s->arena, 0);
}

void said_deinit(struct said *s)
{
    mu_free(s->start_join.items);
    mu_free(s->retry_join.items);
    mu_free(s->handlers.items);
    mu_arena_deinit(&s->arena);
}
