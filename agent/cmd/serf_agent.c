/* muster serf agent: Serf's flags and files, run as a muster agent without a catalog
 * (spec/serf-surface.md 2 to 5).
 *
 * Each source fills the same struct, files in the order of the command line, then flags; what they
 * come to is one fragment of our own configuration. A reload goes the same way.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "agent/agent.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "commands.h"
#include "gossip/gossip.h"
#include "gossip/keyring.h"
#include "serf_agent.h"

#define EVENT_BYTES_SANE 9216

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

static enum mu_code put_addresses(struct said *s, struct mu_json_out *o, struct mu_err *err)
{
    struct said_address bind, advertise = { NULL, 0 }, rpc = { "127.0.0.1", SERF_RPC_PORT };
    enum mu_code rc = said_bind(s, &bind, err);

    advertise.port = bind.port;
    if (rc == MU_OK && s->advertise != NULL) {
        rc = said_address(s, "Invalid advertise address", s->advertise, &advertise, err);
    }
    if (rc == MU_OK && s->rpc_addr != NULL && serf_socket_path(s->rpc_addr) == NULL) {
        rc = said_address(s, "Error starting RPC listener: listen tcp", s->rpc_addr, &rpc, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    s->advertise_port = advertise.port;
    mu_json_text(o, "bind_addr", bind.host);
    put_said(o, "advertise_addr", advertise.host);
    mu_json_key(o, "addresses");
    mu_json_open(o, '{');
    mu_json_text(o, "serf_rpc", rpc.host);
    mu_json_close(o, '}');
    mu_json_key(o, "ports");
    mu_json_open(o, '{');
    mu_json_i64(o, "serf_lan", bind.port);
    mu_json_i64(o, "serf_rpc", rpc.port);
    mu_json_close(o, '}');
    return MU_OK;
}

/* A second, when it is less. */
static int64_t at_least(int64_t ms)
{
    return ms > 0 && ms < 1000 ? 1000 : ms;
}

static const char *upper(struct said *s, const char *text)
{
    char *copy = mu_arena_strdup(&s->arena, text);

    for (char *at = copy; *at != '\0'; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
    return copy;
}

static void put_rest(struct said *s, struct mu_json_out *o)
{
    put_said(o, "node_name", s->node);
    put_said(o, "encrypt", s->encrypt);
    put_said(o, "log_level", s->log_level != NULL ? upper(s, s->log_level) : NULL);
    put_said(o, "discover", s->discover);
    mu_json_key(o, "retry_join");
    mu_json_open(o, '[');
    put_items(o, &s->retry_join);
    mu_json_close(o, ']');
    mu_json_key(o, "event_handlers");
    mu_json_open(o, '[');
    put_items(o, &s->handlers);
    mu_json_close(o, ']');
    put_ms(o, "retry_interval", at_least(s->retry_ms));
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
    mu_json_boolean(o, "enable_syslog", s->syslog);
    put_said(o, "syslog_facility", s->facility);
    mu_json_key(o, "telemetry");
    mu_json_open(o, '{');
    mu_json_text(o, "metrics_prefix", "serf-agent");
    put_said(o, "statsd_address", s->statsd);
    put_said(o, "statsite_address", s->statsite);
    mu_json_close(o, '}');
    mu_json_key(o, "mdns");
    mu_json_open(o, '{');
    put_said(o, "interface", s->mdns_iface != NULL ? s->mdns_iface : s->iface);
    mu_json_boolean(o, "disable_ipv4", s->no_ipv4);
    mu_json_boolean(o, "disable_ipv6", s->no_ipv6);
    mu_json_close(o, '}');
}

/* -- judged ------------------------------------------------------------------------------------ */

/* What no datagram takes is refused: it would be lost on many networks, silently. */
static enum mu_code judge_sizes(const struct said *s, struct mu_err *err)
{
    const struct {
        const char *key;
        int64_t said, max;
    } limits[] = {
        { "query_response_size_limit", s->response_limit, GOSSIP_RESPONSE_LARGE_BYTES },
        { "query_size_limit", s->query_limit, GOSSIP_QUERY_BYTES },
        { "user_event_size_limit", s->event_limit, GOSSIP_EVENT_BYTES_MAX },
    };

    if (s->event_limit > EVENT_BYTES_SANE) {
        return mu_fail(err, MU_TOO_BIG,
                       "Failed to start the Serf agent: Error creating Serf: user event size limit "
                       "exceeds limit of %d bytes",
                       EVENT_BYTES_SANE);
    }
    for (size_t i = 0; i < MU_LEN(limits); i++) {
        if (limits[i].said > limits[i].max) {
            return mu_fail(err, MU_UNSUPPORTED,
                           "%s: %lld bytes are not supported, at most %lld fit what carries them",
                           limits[i].key, (long long)limits[i].said, (long long)limits[i].max);
        }
    }
    return MU_OK;
}

static enum mu_code judge_key(const struct said *s, struct mu_err *err)
{
    struct gossip_key key = { .count = 0 };
    enum mu_code rc = s->encrypt != NULL ? gossip_key_parse(s->encrypt, &key, err) : MU_OK;

    sodium_memzero(&key, sizeof key);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Invalid encryption key");
}

static enum mu_code judge_tags(struct said *s, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (s->role != NULL) {
        rc = said_add_tag(s, MU_SPAN_LIT("role"), mu_span_text(s->role), err);
    }
    if (rc == MU_OK && s->tags_file != NULL) {
        rc = said_tags_file(s, err);
    }
    for (size_t i = 0; i < s->tags_count && rc == MU_OK; i++) {
        if (mu_span_starts(s->tags[i].key, MU_SPAN_LIT("mu_"))) {
            rc = mu_fail(err, MU_DENIED, "Tag '%.*s' is the agent's own",
                         MU_SPAN_FMT(s->tags[i].key));
        }
    }
    return rc;
}

static enum mu_code judge(struct said *s, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

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
    rc = judge_tags(s, err);
    if (rc == MU_OK && s->keyring_file != NULL) {
        rc = said_keyring_file(s, err);
    }
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "Failed to setup the Serf agent");
    }
    rc = judge_key(s, err);
    return rc == MU_OK ? judge_sizes(s, err) : rc;
}

static void warn_all(const struct said *s, const char *bind)
{
    const struct {
        bool is_said;
        const char *text;
    } warnings[] = {
        { s->role != NULL, "Deprecation warning: 'Role' has been replaced with 'Tags'" },
        { s->rejoin && s->snapshot == NULL,
          "Warning: 'RejoinAfterLeave' enabled without snapshot file" },
        { s->retry_ms > 0 && s->retry_ms < 1000,
          "Warning: 'RetryInterval' is too low. Setting to 1s" },
        { s->broadcast_ms > 0 && s->broadcast_ms < 1000,
          "Warning: 'BroadcastTimeout' is too low. Setting to 1s" },
    };

    if (s->has_used_iface) {
        (void)printf("==> Using interface '%s' address '%s'\n", s->iface, bind);
    }
    for (size_t i = 0; i < MU_LEN(warnings); i++) {
        if (warnings[i].is_said) {
            (void)printf("==> %s\n", warnings[i].text);
        }
    }
    (void)fflush(stdout);
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
    c->serf.reconnect_ms = s->reconnect_ms;
    c->serf.tombstone_ms = s->tombstone_ms;
    c->serf.snapshot = s->snapshot != NULL ? mu_arena_strdup(&c->arena, s->snapshot) : NULL;
    c->serf.has_no_vote = s->no_resolution;
    c->serf.wants_plain_names = s->validate_names;
    c->serf.has_no_compression = s->no_compression;
    const char *path = s->rpc_addr != NULL ? serf_socket_path(s->rpc_addr) : NULL;

    c->serf.rpc_path = path != NULL ? mu_arena_strdup(&c->arena, path) : NULL;
    c->serf.tags_file = s->tags_file != NULL ? mu_arena_strdup(&c->arena, s->tags_file) : NULL;
    c->serf.advertise_port = s->advertise_port;
    c->serf.replays = s->replay;
    c->serf.start_join =
        mu_arena_array(&c->arena, s->start_join.count + 1, sizeof *c->serf.start_join);
    for (size_t i = 0; i < s->start_join.count; i++) {
        c->serf.start_join[c->serf.start_join_count++] =
            mu_arena_strdup(&c->arena, s->start_join.items[i]);
    }
    c->serf.event_bytes = (unsigned)s->event_limit;
    c->serf.query_bytes = (unsigned)s->query_limit;
    c->serf.response_bytes = (unsigned)s->response_limit;
    c->serf.broadcast_timeout_ms = at_least(s->broadcast_ms);
}

static enum mu_code judge_name(const struct config *c, struct mu_err *err)
{
    if (c->serf.wants_plain_names && !config_is_plain_name(c->node_name)) {
        return mu_fail(err, MU_INVALID,
                       "Failed to start the Serf agent: Error creating Serf: Node name contains "
                       "invalid characters %s , Valid characters include all alpha-numerics and "
                       "dashes and '.' ",
                       c->node_name);
    }
    return MU_OK;
}

static enum mu_code translate(struct said *s, struct config **out, struct mu_err *err)
{
    struct mu_buf json = MU_BUF_NONE;
    struct mu_json_out o;
    enum mu_code rc = judge(s, err);

    mu_json_out_init(&o, &json, false);
    mu_json_open(&o, '{');
    rc = rc == MU_OK ? put_addresses(s, &o, err) : rc;
    if (rc == MU_OK) {
        put_rest(s, &o);
        mu_json_close(&o, '}');
        mu_json_out_end(&o);
        rc = config_load_serf(out, mu_buf_text(&json), err);
    }
    if (rc == MU_OK) {
        keep(s, *out);
        rc = judge_name(*out, err);
    }
    if (rc != MU_OK) {
        config_free(*out);
        *out = NULL;
    }
    mu_buf_deinit(&json);
    return rc;
}

/* Also what a reload calls, on any thread. */
static enum mu_code load(struct config **out, int argc, const char *const *argv, bool *wants_help,
                         struct mu_err *err)
{
    struct said s;

    *out = NULL;
    said_init(&s);
    enum mu_code rc = said_read(&s, argc, argv, wants_help, err);

    if (rc == MU_OK && !*wants_help) {
        rc = translate(&s, out, err);
    }
    if (*out != NULL) {
        char bind[MU_ADDR_TEXT_MAX];

        mu_addr_ip_text(&(*out)->bind_addr, bind);
        warn_all(&s, bind);
        (*out)->argc = argc;
        (*out)->argv = argv;
        (*out)->again = load;
    }
    said_deinit(&s);
    return rc;
}

/* -- running it -------------------------------------------------------------------------------- */

/* Lines under each other, with Serf's indentation. Those from before the agent runs, and has joined
 * who it was told to, wait until it has (4). */
static struct screen {
    pthread_mutex_t lock; /* taken under the log's, by its taps */
    FILE *to;
    struct mu_buf held;
    bool has_started;
} screen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void line_add(struct mu_buf *to, enum mu_log_level level, struct mu_span line)
{
    mu_buf_add_text(to, "    ");
    ipc_log_text(level, (uint64_t)mu_clock_wall_ns(), line, to);
    mu_buf_add_byte(to, '\n');
}

static void held_write(struct screen *s)
{
    if (s->held.bytes > 0) { /* at a level of few words none is said before the agent runs */
        (void)fwrite(s->held.data, 1, s->held.bytes, s->to);
    }
    (void)fflush(s->to);
    mu_buf_deinit(&s->held);
}

static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    struct screen *s = data;

    pthread_mutex_lock(&s->lock);
    line_add(&s->held, level, line);
    if (s->has_started) {
        held_write(s);
    }
    pthread_mutex_unlock(&s->lock);
}

void serf_agent_log(enum mu_log_level level)
{
    mu_log_add_tap(MU_LOG_AS_TEXT, on_line, &screen, level);
}

static void add_label(struct mu_buf *to, const char *label, const char *value)
{
    mu_buf_addf(to, "    %27s: %s\n", label, value);
}

static void banner_make(const struct config *c, struct mu_buf *to)
{
    struct mu_addr bind = c->bind_addr, rpc = c->serf_rpc_addrs[0];
    bool is_sealed = c->encrypt != NULL || c->serf.keyring_file != NULL;
    char text[MU_ADDR_TEXT_MAX];

    bind.port = (uint16_t)c->ports.serf_lan;
    rpc.port = (uint16_t)c->ports.serf_rpc;
    mu_addr_text(&bind, text);
    mu_buf_addf(to, "==> Starting Serf agent RPC...\n==> Serf agent running!\n");
    mu_buf_addf(to, "    %27s: '%s'\n    %27s: '%s'\n", "Node name", c->node_name, "Bind addr",
                text);
    if (c->advertise_addr.ip_bytes > 0) {
        bind = c->advertise_addr;
        bind.port = c->serf.advertise_port;
        mu_addr_text(&bind, text);
        mu_buf_addf(to, "    Advertise addr: '%s'\n", text);
    }
    mu_addr_text(&rpc, text);
    mu_buf_addf(to, "    %27s: '%s%s'\n", "RPC addr", c->serf.rpc_path != NULL ? SERF_SOCKET : "",
                c->serf.rpc_path != NULL ? c->serf.rpc_path : text);
    add_label(to, "Encrypted", is_sealed ? "true" : "false");
    add_label(to, "Snapshot", c->serf.snapshot != NULL ? "true" : "false");
    add_label(to, "Profile", c->serf.profile);
    add_label(to, "Message Compression Enabled", c->serf.has_no_compression ? "false" : "true");
    if (c->discover != NULL) {
        add_label(to, "mDNS cluster", c->discover);
    }
}

void serf_agent_started(const struct config *c)
{
    struct mu_buf banner = MU_BUF_NONE;

    banner_make(c, &banner);
    (void)fwrite(banner.data, 1, banner.bytes, screen.to);
    (void)fflush(screen.to);
    mu_buf_deinit(&banner);
}

void serf_agent_show_log(void)
{
    pthread_mutex_lock(&screen.lock);
    (void)fprintf(screen.to, "\n==> Log data will now stream in as it occurs:\n\n");
    held_write(&screen);
    screen.has_started = true;
    pthread_mutex_unlock(&screen.lock);
}

static void print_help(const struct cli *cli, FILE *to)
{
    (void)fprintf(to,
                  "Usage: %s agent [options]\n\n"
                  "  Run an agent that gossips and answers the serf command, without a catalog."
                  "\n\nOptions:\n\n"
                  "  -config-file=<path>\n     A JSON file; repeatable.\n\n"
                  "  -config-dir=<path>\n     A directory of them; repeatable.\n\n",
                  serf_words(cli));
    said_print_flags(to);
}

int serf_run_agent(struct cli *cli, int argc, const char *const *argv)
{
    struct mu_err err = MU_ERR_NONE;
    struct config *config = NULL;
    bool wants_help = false;
    enum mu_code rc = load(&config, argc, argv, &wants_help, &err);

    if (wants_help && rc != MU_OK) {
        serf_print_flag_error(cli, &err);
        print_help(cli, cli->out);
        return 1;
    }
    if (wants_help) {
        print_help(cli, cli->err);
        return 0;
    }
    if (rc != MU_OK) {
        (void)fprintf(cli->out, "==> %s\n", err.text);
        return 1;
    }
    (void)fprintf(cli->out, "==> Starting Serf agent...\n");
    (void)fflush(cli->out);
    mu_log_set_fd(-1);
    screen.to = cli->out;
    serf_agent_log(config->log_level);
    int status = cmd_agent_run(cli, config);

    mu_log_remove_tap(&screen);
    mu_buf_deinit(&screen.held);
    config_free(config);
    return status;
}
