/* muster serf agent: Serf's flags and files, run as a muster agent without a catalog
 * (spec/serf-surface.md 2 to 5).
 *
 * Each source fills the same struct, files in the order of the command line, then flags; what they
 * come to is one fragment of our own configuration. A reload goes the same way.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/limits.h"
#include "base/mem.h"
#include "commands.h"
#include "serf.h"

#define PORT_DEFAULT 7946
#define MODULE       "agent.serf.serf: " /* of gossip's lines, in our log */
#define TAGS_MAX     64                  /* more never fit 512 bytes */

/* -- what can be said -------------------------------------------------------------------------- */

enum as { AS_TEXT, AS_BOOL, AS_INT, AS_DURATION, AS_TEXTS, AS_TAGS };

struct said {
    struct mu_arena arena;
    const char *node, *role, *bind, *advertise, *discover, *encrypt, *profile, *log_level;
    const char *rpc_addr, *rpc_auth, *snapshot, *keyring_file, *tags_file, *iface, *mdns_iface;
    const char *facility, *statsite, *statsd;
    bool no_coordinates, replay, leave_on_terminate, skip_leave, rejoin, no_resolution, syslog;
    bool compression, no_compression, no_ipv4, no_ipv6, validate_names;
    int64_t protocol, retry_max, response_limit, query_limit, event_limit;
    int64_t retry_ms, broadcast_ms, reconnect_ms, reconnect_timeout_ms, tombstone_ms;
    struct cli_texts start_join, retry_join, handlers;
    struct mu_pair tags[TAGS_MAX];
    size_t tags_count;
};

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
    { "interface", "iface", AS_TEXT, AT(iface), "Interface for -discover." },
    { "node_name", "node", AS_TEXT, AT(node), "Name of this node; default: the host name." },
    { "role", "role", AS_TEXT, AT(role), "The tag role, by its older name." },
    { "tags", "tag", AS_TAGS, 0, "A tag, key=value; repeatable." },
    { "tags_file", "tags-file", AS_TEXT, AT(tags_file), "Not supported: tags belong into a configuration file." },
    { "start_join", "join", AS_TEXTS, AT(start_join), "Agent to join, tried until one answers; repeatable." },
    { "retry_join", "retry-join", AS_TEXTS, AT(retry_join), "The same." },
    { "retry_interval", "retry-interval", AS_DURATION, AT(retry_ms), "Longest pause between tries; default 30s." },
    { "retry_max_attempts", "retry-max", AS_INT, AT(retry_max), "Give up after that many tries; 0: never." },
    { "rejoin_after_leave", "rejoin", AS_BOOL, AT(rejoin), "Join the former peers again after a leave." },
    { "replay_on_join", "replay", AS_BOOL, AT(replay), "Without effect: events from before are not replayed." },
    { "discover", "discover", AS_TEXT, AT(discover), "Find the others of this name by multicast DNS." },
    { NULL, "mdns-iface", AS_TEXT, AT(mdns_iface), "Interface for that." },
    { NULL, "mdns-disable-ipv4", AS_BOOL, AT(no_ipv4), "Not over IPv4." },
    { NULL, "mdns-disable-ipv6", AS_BOOL, AT(no_ipv6), "Not over IPv6." },
    { "encrypt_key", "encrypt", AS_TEXT, AT(encrypt), "Key of 16, 24 or 32 bytes in base64." },
    { "keyring_file", "keyring-file", AS_TEXT, AT(keyring_file), "File that keys are kept in." },
    { "event_handlers", "event-handler", AS_TEXTS, AT(handlers), "Script that runs on events; repeatable." },
    { "snapshot_path", "snapshot", AS_TEXT, AT(snapshot), "Where members are remembered, in a directory of this name and .muster." },
    { "profile", "profile", AS_TEXT, AT(profile), "lan, wan or local." },
    { "protocol", "protocol", AS_INT, AT(protocol), "2 to 5; muster speaks its own." },
    { "rpc_addr", "rpc-addr", AS_TEXT, AT(rpc_addr), "Address of the control port; default 127.0.0.1:7373." },
    { "rpc_auth", NULL, AS_TEXT, AT(rpc_auth), "Key that its clients must give." },
    { "log_level", "log-level", AS_TEXT, AT(log_level), "TRACE, DEBUG, INFO, WARN or ERR." },
    { "enable_syslog", "syslog", AS_BOOL, AT(syslog), "Without effect." },
    { "syslog_facility", NULL, AS_TEXT, AT(facility), "Without effect." },
    { "leave_on_terminate", NULL, AS_BOOL, AT(leave_on_terminate), "Leave on SIGTERM." },
    { "skip_leave_on_interrupt", NULL, AS_BOOL, AT(skip_leave), "Do not leave on SIGINT." },
    { "disable_coordinates", NULL, AS_BOOL, AT(no_coordinates), "No network coordinates." },
    { "disable_name_resolution", NULL, AS_BOOL, AT(no_resolution), "Of two living nodes of one name both stay." },
    { "enable_compression", NULL, AS_BOOL, AT(compression), "Without effect: packets are small." },
    { NULL, "disable-compression", AS_BOOL, AT(no_compression), "The same." },
    { "validate_node_names", NULL, AS_BOOL, AT(validate_names), "Without effect." },
    { "broadcast_timeout", "broadcast-timeout", AS_DURATION, AT(broadcast_ms), "How long words of ours may take to leave; default 5s." },
    { "reconnect_interval", NULL, AS_DURATION, AT(reconnect_ms), "Pause between tries to reach a failed member." },
    { "reconnect_timeout", NULL, AS_DURATION, AT(reconnect_timeout_ms), "How long a failed member stays listed; default 24h." },
    { "tombstone_timeout", NULL, AS_DURATION, AT(tombstone_ms), "The same for one that left." },
    { "query_response_size_limit", NULL, AS_INT, AT(response_limit), "Must be 1024." },
    { "query_size_limit", NULL, AS_INT, AT(query_limit), "Must be 1024." },
    { "user_event_size_limit", NULL, AS_INT, AT(event_limit), "Must be 512." },
    { "statsite_addr", NULL, AS_TEXT, AT(statsite), "Without effect." },
    { "statsd_addr", NULL, AS_TEXT, AT(statsd), "Without effect." },
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

static enum mu_code add_tag(struct said *s, struct mu_span key, struct mu_span value,
                            struct mu_err *err)
{
    size_t i = 0;

    while (i < s->tags_count && !mu_span_eq(s->tags[i].key, key)) {
        i++;
    }
    if (i == TAGS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "More than %d tags", TAGS_MAX);
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
    struct mu_span value;
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
        text = mu_span_split(text, '=', &value, &has_value);
        return has_value ? add_tag(s, text, value, err)
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

static enum mu_code wrong_type(const struct row *row, const char *expected, const struct mu_json *v,
                               struct mu_err *err)
{
    return mu_fail(err, MU_INVALID,
                   "1 error(s) decoding:\n\n* '%s' expected type '%s', got unconvertible type '%s'",
                   row->key, expected, mu_json_kind_text(mu_json_kind_of(v)));
}

static enum mu_code take_strings(struct said *s, const struct row *row, const struct mu_json *v,
                                 struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return wrong_type(row, "[]string", v, err);
    }
    for (size_t i = 0; i < mu_json_count(v) && rc == MU_OK; i++) {
        const struct mu_json *one = mu_json_at(v, i);

        rc = mu_json_kind_of(one) == MU_JSON_STRING ? take_word(s, row, mu_json_string(one), err)
                                                    : wrong_type(row, "string", one, err);
    }
    return rc;
}

static enum mu_code take_tags(struct said *s, const struct row *row, const struct mu_json *v,
                              struct mu_err *err)
{
    struct mu_json_at at = { 0 };
    enum mu_code rc = MU_OK;

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return wrong_type(row, "map[string]string", v, err);
    }
    while (rc == MU_OK && mu_json_next(v, &at)) {
        rc = mu_json_kind_of(at.value) == MU_JSON_STRING
                 ? add_tag(s, mu_span_text(at.name), mu_json_string(at.value), err)
                 : wrong_type(row, "string", at.value, err);
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
            return wrong_type(row, "bool", v, err);
        }
        *(bool *)place(s, row) |= mu_json_bool(v);
        return MU_OK;
    case AS_INT:
        if (kind != MU_JSON_INT) {
            return wrong_type(row, "int", v, err);
        }
        if (mu_json_int(v) > 0) {
            *(int64_t *)place(s, row) = mu_json_int(v);
        }
        return MU_OK;
    case AS_TEXTS: return take_strings(s, row, v, err);
    case AS_TAGS: return take_tags(s, row, v, err);
    case AS_TEXT:
    case AS_DURATION:
        return kind == MU_JSON_STRING ? take_word(s, row, mu_json_string(v), err)
                                      : wrong_type(row, "string", v, err);
    }
    MU_UNREACHABLE_CODE();
}

static enum mu_code take_object(struct said *s, const struct mu_json *root, struct mu_err *err)
{
    struct mu_json_at at = { 0 };
    enum mu_code rc = MU_OK;

    if (mu_json_kind_of(root) != MU_JSON_OBJECT) {
        return mu_fail(err, MU_INVALID, "the file holds no object");
    }
    while (rc == MU_OK && mu_json_next(root, &at)) {
        const struct row *row = NULL;

        for (size_t i = 0; i < MU_LEN(rows); i++) {
            if (rows[i].key != NULL && strcasecmp(rows[i].key, at.name) == 0) {
                row = &rows[i];
            }
        }
        rc = row != NULL ? take_value(s, row, at.value, err)
                         : mu_fail(err, MU_INVALID,
                                   "1 error(s) decoding:\n\n* '' has invalid keys: %s", at.name);
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
        rc = rc == MU_OK ? take_object(s, root, err) : rc;
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Error decoding '%s'", path);
    }
    mu_json_free(root);
    mu_buf_deinit(&text);
    return rc;
}

struct directory {
    struct said *said;
    const char *path;
};

static enum mu_code take_entry(void *data, const char *name, struct mu_err *err)
{
    const struct directory *dir = data;
    size_t bytes = strlen(name);

    if (bytes < 6 || strcmp(name + bytes - 5, ".json") != 0) {
        return MU_OK;
    }
    return take_file(dir->said, mu_arena_printf(&dir->said->arena, "%s/%s", dir->path, name), err);
}

/* -- the command line -------------------------------------------------------------------------- */

static enum mu_code take_flag(struct said *s, struct mu_flags *f, struct mu_err *err)
{
    const char *value = NULL;
    const struct row *row = NULL;

    for (size_t i = 0; i < MU_LEN(rows); i++) {
        if (rows[i].flag != NULL && mu_flags_is(f, rows[i].flag)) {
            row = &rows[i];
        }
    }
    if (row == NULL) {
        return mu_flags_unknown(f, err);
    }
    if (row->as == AS_BOOL) {
        return mu_flags_bool(f, place(s, row), err);
    }
    enum mu_code rc = mu_flags_value(f, &value, err);

    return rc == MU_OK ? take_word(s, row, mu_span_text(value), err) : rc;
}

/* Twice over the words: files first, then the other flags, which win. */
static enum mu_code read_words(struct said *s, int argc, const char *const *argv, bool wants_files,
                               bool *wants_help, struct mu_err *err)
{
    struct said ignored = { .node = NULL };
    struct mu_flags f = mu_flags_of(argc, argv);
    enum mu_code rc;

    mu_arena_init(&ignored.arena, 0);
    while ((rc = mu_flags_next(&f, err)) == MU_OK) {
        bool is_dir = mu_flags_is(&f, "config-dir");
        const char *path = NULL;

        if (mu_flags_is_help(&f)) {
            *wants_help = true;
            break;
        }
        if (is_dir || mu_flags_is(&f, "config-file")) {
            struct directory dir = { s, NULL };

            rc = mu_flags_value(&f, &path, err);
            dir.path = path;
            if (rc == MU_OK && wants_files) {
                rc = is_dir ? mu_dir_each(path, take_entry, &dir, err) : take_file(s, path, err);
            }
        } else {
            rc = take_flag(wants_files ? &ignored : s, &f, err);
        }
        if (rc != MU_OK) {
            break;
        }
    }
    if (rc == MU_NOT_FOUND) {
        rc = f.at < argc ? mu_fail(err, MU_INVALID, "Unexpected argument: %s", argv[f.at]) : MU_OK;
    }
    mu_free(ignored.start_join.items);
    mu_free(ignored.retry_join.items);
    mu_free(ignored.handlers.items);
    mu_arena_deinit(&ignored.arena);
    return rc;
}

/* -- as our own configuration ------------------------------------------------------------------ */

static void put_items(struct mu_json_out *o, const struct cli_texts *list)
{
    for (size_t i = 0; i < list->count; i++) {
        mu_json_put_text(o, list->items[i]);
    }
}

static void put_said(struct mu_json_out *o, const char *name, const char *text)
{
    if (text != NULL) {
        mu_json_text(o, name, text);
    }
}

static void put_ms(struct mu_json_out *o, const char *name, int64_t ms)
{
    char text[MU_DURATION_TEXT_MAX];

    if (ms > 0) {
        mu_duration_text(ms * MU_NS_PER_MS, text);
        mu_json_text(o, name, text);
    }
}

static enum mu_code split(struct said *s, const char *what, const char *text, const char **host,
                          uint16_t *port, struct mu_err *err)
{
    struct mu_span span;

    if (!mu_addr_split(mu_span_text(text), &span, port)) {
        return mu_fail(err, MU_INVALID, "Invalid %s address: %s", what, text);
    }
    *host = mu_arena_text(&s->arena, span.data, span.bytes);
    return MU_OK;
}

static enum mu_code put_addresses(struct said *s, struct mu_json_out *o, struct mu_err *err)
{
    const char *bind = "0.0.0.0", *advertise = NULL, *rpc = "127.0.0.1";
    uint16_t port = PORT_DEFAULT, rpc_port = 7373;
    enum mu_code rc = s->bind != NULL ? split(s, "bind", s->bind, &bind, &port, err) : MU_OK;
    uint16_t advertise_port = port;

    if (rc == MU_OK && s->advertise != NULL) {
        rc = split(s, "advertise", s->advertise, &advertise, &advertise_port, err);
    }
    if (rc == MU_OK && advertise_port != port) {
        rc = mu_fail(err, MU_UNSUPPORTED,
                     "Invalid advertise address: port %u is not that of -bind, %u", advertise_port,
                     port);
    }
    if (rc == MU_OK && s->rpc_addr != NULL) {
        rc = split(s, "RPC", s->rpc_addr, &rpc, &rpc_port, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    mu_json_text(o, "bind_addr", bind);
    put_said(o, "advertise_addr", advertise);
    mu_json_key(o, "addresses");
    mu_json_open(o, '{');
    mu_json_text(o, "serf_rpc", rpc);
    mu_json_close(o, '}');
    mu_json_key(o, "ports");
    mu_json_open(o, '{');
    mu_json_i64(o, "serf_lan", port);
    mu_json_i64(o, "serf_rpc", rpc_port);
    mu_json_close(o, '}');
    return MU_OK;
}

static void put_rest(struct said *s, struct mu_json_out *o)
{
    put_said(o, "node_name", s->node);
    put_said(o, "encrypt", s->encrypt);
    put_said(o, "log_level", s->log_level);
    put_said(o, "discover", s->discover);
    mu_json_key(o, "retry_join"); /* both are tried until one answers (DESIGN 3) */
    mu_json_open(o, '[');
    put_items(o, &s->start_join);
    put_items(o, &s->retry_join);
    mu_json_close(o, ']');
    mu_json_key(o, "event_handlers");
    mu_json_open(o, '[');
    put_items(o, &s->handlers);
    mu_json_close(o, ']');
    put_ms(o, "retry_interval", s->retry_ms);
    put_ms(o, "reconnect_timeout",
           s->reconnect_timeout_ms > 0 ? s->reconnect_timeout_ms : 24 * 3600 * 1000);
    mu_json_i64(o, "retry_max", s->retry_max);
    mu_json_boolean(o, "rejoin_after_leave", s->rejoin);
    mu_json_boolean(o, "leave_on_terminate", s->leave_on_terminate);
    mu_json_boolean(o, "skip_leave_on_interrupt", s->skip_leave);
    mu_json_boolean(o, "disable_coordinates", s->no_coordinates);
    mu_json_text(o, "event_handler_timeout", "0s"); /* as Serf: a script may take its time */
    if (s->snapshot != NULL) {
        mu_json_text(o, "data_dir", mu_arena_printf(&s->arena, "%s.muster", s->snapshot));
    }
    mu_json_key(o, "serf_rpc");
    mu_json_open(o, '{');
    put_said(o, "auth", s->rpc_auth);
    mu_json_close(o, '}');
    mu_json_key(o, "mdns");
    mu_json_open(o, '{');
    put_said(o, "interface", s->mdns_iface != NULL ? s->mdns_iface : s->iface);
    mu_json_boolean(o, "disable_ipv4", s->no_ipv4);
    mu_json_boolean(o, "disable_ipv6", s->no_ipv6);
    mu_json_close(o, '}');
}

/* -- judged ------------------------------------------------------------------------------------ */

static enum mu_code refuse_sizes(const struct said *s, struct mu_err *err)
{
    const struct {
        const char *key;
        int64_t said, is;
    } limits[] = {
        { "query_response_size_limit", s->response_limit, 1024 },
        { "query_size_limit", s->query_limit, 1024 },
        { "user_event_size_limit", s->event_limit, 512 },
    };

    for (size_t i = 0; i < MU_LEN(limits); i++) {
        if (limits[i].said != 0 && limits[i].said != limits[i].is) {
            return mu_fail(err, MU_UNSUPPORTED, "%s: %lld is not supported, it is always %lld",
                           limits[i].key, (long long)limits[i].said, (long long)limits[i].is);
        }
    }
    return MU_OK;
}

static enum mu_code judge(struct said *s, struct mu_err *err)
{
    if (s->profile != NULL && strcmp(s->profile, "lan") != 0 && strcmp(s->profile, "wan") != 0 &&
        strcmp(s->profile, "local") != 0) {
        return mu_fail(err, MU_INVALID, "Unknown profile: %s", s->profile);
    }
    if (s->protocol != 0 && (s->protocol < 2 || s->protocol > 5)) {
        return mu_fail(err, MU_INVALID,
                       "Failed to start the Serf agent: Error creating Serf: Protocol version "
                       "'%lld' too %s. Must be in range: [2, 5]",
                       (long long)s->protocol, s->protocol < 2 ? "low" : "high");
    }
    if (s->tags_file != NULL) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "tags_file is not supported: tags belong into a configuration file");
    }
    if (s->keyring_file != NULL && s->encrypt != NULL) {
        return mu_fail(err, MU_INVALID,
                       "Failed to setup the Serf agent: Encryption key not allowed while using a "
                       "keyring");
    }
    return refuse_sizes(s, err);
}

static void warn_all(const struct said *s)
{
    const struct {
        bool is_said;
        const char *text;
    } warnings[] = {
        { s->role != NULL, "Deprecation warning: 'Role' has been replaced with 'Tags'" },
        { s->rejoin && s->snapshot == NULL,
          "Warning: 'RejoinAfterLeave' enabled without snapshot file" },
        { s->replay, "Warning: replay has no effect: events from before a join are not replayed" },
        { s->syslog || s->facility != NULL, "Warning: syslog has no effect yet" },
        { s->statsite != NULL || s->statsd != NULL, "Warning: metrics sinks have no effect yet" },
        { s->retry_ms > 0 && s->retry_ms < 1000,
          "Warning: 'RetryInterval' is too low. Setting to 1s" },
        { s->broadcast_ms > 0 && s->broadcast_ms < 1000,
          "Warning: 'BroadcastTimeout' is too low. Setting to 1s" },
    };

    for (size_t i = 0; i < MU_LEN(warnings); i++) {
        if (warnings[i].is_said) {
            (void)printf("==> %s\n", warnings[i].text);
        }
    }
    (void)fflush(stdout);
}

static int64_t at_least(int64_t ms)
{
    return ms > 0 && ms < 1000 ? 1000 : ms;
}

static void keep(const struct said *s, struct config *c)
{
    struct mu_pairs *tags = &c->serf.tags;

    tags->items = mu_arena_array(&c->arena, s->tags_count + 1, sizeof *tags->items);
    for (size_t i = 0; i < s->tags_count; i++) {
        tags->items[tags->count].key = mu_arena_span(&c->arena, s->tags[i].key);
        tags->items[tags->count++].value = mu_arena_span(&c->arena, s->tags[i].value);
    }
    c->serf.profile = mu_arena_strdup(&c->arena, s->profile != NULL ? s->profile : "lan");
    c->serf.keyring_file =
        s->keyring_file != NULL ? mu_arena_strdup(&c->arena, s->keyring_file) : NULL;
    c->serf.broadcast_timeout_ms = s->broadcast_ms;
    c->serf.reconnect_ms = s->reconnect_ms;
    c->serf.tombstone_ms = s->tombstone_ms;
    c->serf.has_snapshot = s->snapshot != NULL;
    c->serf.has_no_vote = s->no_resolution;
}

static enum mu_code translate(struct said *s, struct config **out, struct mu_err *err)
{
    struct mu_buf json = MU_BUF_NONE;
    struct mu_json_out o;
    enum mu_code rc = judge(s, err);

    s->retry_ms = at_least(s->retry_ms);
    s->broadcast_ms = at_least(s->broadcast_ms);
    mu_json_out_init(&o, &json, false);
    mu_json_open(&o, '{');
    rc = rc == MU_OK && s->role != NULL
             ? add_tag(s, MU_SPAN_LIT("role"), mu_span_text(s->role), err)
             : rc;
    rc = rc == MU_OK ? put_addresses(s, &o, err) : rc;
    if (rc == MU_OK) {
        put_rest(s, &o);
        mu_json_close(&o, '}');
        mu_json_out_end(&o);
        rc = config_load_serf(out, mu_buf_text(&json), err);
    }
    if (rc == MU_OK) {
        keep(s, *out);
    }
    mu_buf_deinit(&json);
    return rc;
}

/* Also what a reload calls, on any thread. */
static enum mu_code load(struct config **out, int argc, const char *const *argv, bool *wants_help,
                         struct mu_err *err)
{
    struct said s = { .node = NULL };
    enum mu_code rc;

    *out = NULL;
    mu_arena_init(&s.arena, 0);
    rc = read_words(&s, argc, argv, true, wants_help, err);
    if (rc == MU_OK && !*wants_help) {
        rc = read_words(&s, argc, argv, false, wants_help, err);
        rc = rc == MU_OK ? translate(&s, out, err) : rc;
        if (rc == MU_OK) {
            warn_all(&s);
            (*out)->argc = argc;
            (*out)->argv = argv;
            (*out)->again = load;
        }
    }
    mu_free(s.start_join.items);
    mu_free(s.retry_join.items);
    mu_free(s.handlers.items);
    mu_arena_deinit(&s.arena);
    return rc;
}

/* -- running it -------------------------------------------------------------------------------- */

void serf_agent_banner(const struct config *c, struct mu_buf *to)
{
    struct mu_addr bind = c->bind_addr, rpc = c->serf_rpc_addrs[0];
    char bind_text[MU_ADDR_TEXT_MAX], rpc_text[MU_ADDR_TEXT_MAX];

    bind.port = (uint16_t)c->ports.serf_lan;
    rpc.port = (uint16_t)c->ports.serf_rpc;
    mu_addr_text(&bind, bind_text);
    mu_addr_text(&rpc, rpc_text);
    mu_buf_addf(to,
                "==> Starting Serf agent...\n==> Starting Serf agent RPC...\n"
                "==> Serf agent running!\n"
                "                      Node name: '%s'\n"
                "                      Bind addr: '%s'\n",
                c->node_name, bind_text);
    if (c->advertise_addr.ip_bytes > 0) {
        bind = c->advertise_addr;
        bind.port = (uint16_t)c->ports.serf_lan;
        mu_addr_text(&bind, bind_text);
        mu_buf_addf(to, "    Advertise addr: '%s'\n", bind_text);
    }
    mu_buf_addf(to,
                "                       RPC addr: '%s'\n"
                "                      Encrypted: %s\n"
                "                       Snapshot: %s\n"
                "                        Profile: %s\n"
                "    Message Compression Enabled: true\n",
                rpc_text, c->encrypt != NULL || c->serf.keyring_file != NULL ? "true" : "false",
                c->serf.has_snapshot ? "true" : "false", c->serf.profile);
    if (c->discover != NULL) {
        mu_buf_addf(to, "                   mDNS cluster: %s\n", c->discover);
    }
    mu_buf_add_text(to, "\n==> Log data will now stream in as it occurs:\n\n");
}

static int print_help(struct cli *cli)
{
    (void)fprintf(cli->err, "Usage: muster serf agent [options]\n\n  Run an agent that gossips and "
                            "answers the serf command, without a catalog.\n\nOptions:\n\n");
    (void)fprintf(cli->err, "  -config-file=<path>\n     A JSON file; repeatable.\n\n"
                            "  -config-dir=<path>\n     A directory of them; repeatable.\n\n");
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        if (rows[i].flag != NULL) {
            (void)fprintf(cli->err, "  -%s%s\n     %s\n\n", rows[i].flag,
                          rows[i].as == AS_BOOL ? "" : "=<value>", rows[i].help);
        }
    }
    return 0;
}

/* On any thread: lines under each other, with Serf's indentation, as a whole. */
static void on_log(void *data, enum mu_log_level level, struct mu_span line)
{
    struct mu_buf text = MU_BUF_NONE;

    mu_buf_add_text(&text, "    ");
    ipc_log_text(level, (uint64_t)mu_clock_wall_ns(), line, &text);
    mu_buf_add_byte(&text, '\n');
    uint8_t *module = memmem(text.data, text.bytes, MODULE, strlen(MODULE));

    if (module != NULL) { /* what follows begins with a module of Serf's */
        size_t behind = (size_t)(text.data + text.bytes - module) - strlen(MODULE);

        memmove(module, module + strlen(MODULE), behind);
        text.bytes -= strlen(MODULE);
    }
    (void)fwrite(text.data, 1, text.bytes, data);
    (void)fflush(data);
    mu_buf_deinit(&text);
}

void serf_agent_log(FILE *to, enum mu_log_level level)
{
    mu_log_add_tap(MU_LOG_AS_TEXT, on_log, to, level);
}

int serf_run_agent(struct cli *cli, int argc, const char *const *argv)
{
    struct mu_err err = MU_ERR_NONE;
    struct config *config = NULL;
    bool wants_help = false;

    if (load(&config, argc, argv, &wants_help, &err) != MU_OK) {
        (void)fprintf(cli->out, "==> %s\n", err.text);
        return 1;
    }
    if (wants_help) {
        return print_help(cli);
    }
    mu_log_set_fd(-1);
    serf_agent_log(cli->out, config->log_level);
    int status = cmd_agent_run(cli, config);

    mu_log_remove_tap(cli->out);
    config_free(config);
    return status;
}
