/* muster exec: a command for many nodes, by way of the key-value store (agent-behaviour 11.2).
 *
 *   session, renewed -> job below <prefix>/<session>/ -> event _rexec -> what the nodes write there
 *
 * The keys of the nodes are held by the session: when it goes, at the end or some seconds after we
 * died, they go too, and whatever still runs is given up.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "commands.h"

#define PREFIX         "_rexec"
#define SESSION_TTL    "15s"
#define RENEW_MS       5000
#define WAIT_MS        2000
#define REPLICATION_MS 200
#define SCRIPT_BYTES   (256 * 1024) /* what fits a value as base64, with its envelope */

struct options {
    const char *node, *service, *tag, *prefix, *wait, *wait_repl;
    enum cli_switch shell;
    bool is_verbose;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "node",      CLI_TEXT,   AT(node),       "Only nodes whose name matches." },
    { "service",   CLI_TEXT,   AT(service),    "Only nodes with a service whose id matches." },
    { "tag",       CLI_TEXT,   AT(tag),        "Only nodes where such a service has a tag that matches." },
    { "prefix",    CLI_TEXT,   AT(prefix),     "Where in the key-value store; default: _rexec." },
    { "shell",     CLI_SWITCH, AT(shell),      "Run the command by a shell; default: true." },
    { "wait",      CLI_TEXT,   AT(wait),       "How long nobody may say anything before it is over; default: 2s." },
    { "wait-repl", CLI_TEXT,   AT(wait_repl),  "How long servers have to copy the command first; default: 200ms." },
    { "verbose",   CLI_BOOL,   AT(is_verbose), "Say more." },
}; // clang-format on

#undef AT

const struct cli_options cmd_exec_options = CLI_OPTIONS(rows, struct options);

struct run {
    struct cli *cli;
    const struct options *options;
    int argc;
    const char *const *argv;
    uint64_t wait_ms, replication_ms;
    struct mu_arena arena;
    const char *prefix, *session;
    const char *path; /* "<prefix>/<session>/" */
    uint64_t renewed_ms, index;
    struct mu_table *seen; /* keys that were dealt with */
    unsigned acknowledged, ended;
    bool has_failed; /* somebody ended with another status than 0 */
};

/* -- asking ------------------------------------------------------------------------------------ */

/* True: 200. What was said on the other side is in c->answer. */
static bool ask(struct run *r, struct cli_call *c, const char *what)
{
    bool ok = cli_send(r->cli, c);

    if (!ok && what != NULL) {
        (void)cli_fail(r->cli, "%s: %s", what, c->error);
    }
    return ok;
}

static bool text_member(const struct cli_call *c, const char *name, struct mu_arena *arena,
                        const char **out)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    const struct mu_json *v = NULL;

    if (mu_json_parse(&root, mu_buf_span(&c->answer), true, &err) == MU_OK &&
        mu_json_kind_of(root) == MU_JSON_OBJECT) {
        v = mu_json_find(root, name);
    }
    bool is_there = v != NULL && mu_json_kind_of(v) == MU_JSON_STRING;

    if (is_there) {
        *out = mu_arena_text(arena, mu_json_string(v).data, mu_json_string(v).bytes);
    }
    mu_json_free(root);
    return is_there;
}

static void session_body(struct mu_buf *to)
{
    struct mu_json_out o;

    mu_json_out_init(&o, to, false);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Name", "Remote Exec");
    mu_json_text(&o, "Behavior", "delete");
    mu_json_text(&o, "TTL", SESSION_TTL);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
}

static bool session_create(struct run *r)
{
    struct mu_buf body = MU_BUF_NONE;
    struct cli_call c;

    session_body(&body);
    cli_call_init(&c, "PUT", "/v1/session/create");
    c.body = mu_buf_span(&body);
    bool ok = ask(r, &c, "Failed to create session");

    if (ok && !text_member(&c, "ID", &r->arena, &r->session)) {
        ok = cli_fail(r->cli, "Failed to create session: the answer has no ID") == 0;
    }
    r->renewed_ms = mu_clock_ms();
    cli_call_deinit(&c);
    mu_buf_deinit(&body);
    return ok;
}

static void session_say(struct run *r, const char *verb)
{
    struct cli_call c;

    cli_call_init(&c, "PUT", "/v1/session/");
    cli_call_add(&c, verb, false);
    mu_buf_add_byte(&c.target, '/');
    cli_call_add(&c, r->session, false);
    (void)ask(r, &c, NULL); /* a renewal that fails shows when the keys go */
    cli_call_deinit(&c);
}

static void session_renew(struct run *r)
{
    if (mu_clock_ms() - r->renewed_ms >= RENEW_MS) {
        session_say(r, "renew");
        r->renewed_ms = mu_clock_ms();
    }
}

/* -- the job ----------------------------------------------------------------------------------- */

static bool script_read(struct run *r, struct mu_buf *to)
{
    char part[4096];
    size_t bytes;

    while ((bytes = fread(part, 1, sizeof part, r->cli->in)) > 0) {
        mu_buf_add(to, part, bytes);
        if (to->bytes > SCRIPT_BYTES) {
            return cli_fail(r->cli, "The script has more than %d bytes", SCRIPT_BYTES) == 0;
        }
    }
    return to->bytes > 0 || cli_fail(r->cli, "Must specify a command to execute") == 0;
}

static void put_command(const struct run *r, struct mu_json_out *o)
{
    struct mu_buf line = MU_BUF_NONE;
    bool has_shell = r->options->shell != CLI_OFF;

    for (int i = 0; i < r->argc; i++) {
        mu_buf_addf(&line, "%s%s", i > 0 ? " " : "", r->argv[i]);
    }
    mu_json_text(o, "Command", has_shell ? mu_buf_text(&line) : "");
    mu_json_key(o, "Args");
    if (has_shell) {
        mu_json_put_null(o);
    } else {
        mu_json_open(o, '[');
        for (int i = 0; i < r->argc; i++) {
            mu_json_put_text(o, r->argv[i]);
        }
        mu_json_close(o, ']');
    }
    mu_buf_deinit(&line);
}

/* False: there is none, and it was said. */
static bool job_body(struct run *r, struct mu_buf *to)
{
    bool is_script = r->argc == 1 && strcmp(r->argv[0], "-") == 0;
    struct mu_buf script = MU_BUF_NONE;
    struct mu_json_out o;

    if (r->argc == 0) {
        return cli_fail(r->cli, "Must specify a command to execute") == 0;
    }
    if (is_script && !script_read(r, &script)) {
        mu_buf_deinit(&script);
        return false;
    }
    mu_json_out_init(&o, to, false);
    mu_json_open(&o, '{');
    if (is_script) {
        mu_json_text(&o, "Command", "");
        mu_json_nothing(&o, "Args");
    } else {
        put_command(r, &o);
    }
    mu_json_key(&o, "Script");
    if (is_script) {
        mu_json_put_base64(&o, mu_buf_span(&script));
    } else {
        mu_json_put_null(&o);
    }
    mu_json_u64(&o, "Wait", r->wait_ms * MU_NS_PER_MS);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    mu_buf_deinit(&script);
    return true;
}

static bool job_put(struct run *r, const struct mu_buf *body)
{
    struct cli_call c;

    r->path = mu_arena_printf(&r->arena, "%s/%s/", r->prefix, r->session);
    cli_call_init(&c, "PUT", "/v1/kv/");
    cli_call_add(&c, r->path, true);
    mu_buf_add_text(&c.target, "job");
    cli_call_param(&c, "acquire", r->session);
    c.body = mu_buf_span(body);
    bool ok = ask(r, &c, "Failed to create job file");

    if (ok && !mu_span_starts(mu_buf_span(&c.answer), MU_SPAN_LIT("true"))) {
        ok = cli_fail(r->cli, "Failed to create job file: it is locked") == 0;
    }
    cli_call_deinit(&c);
    return ok;
}

static void add_filter(struct cli_call *c, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        cli_call_param(c, name, value);
    }
}

static bool event_fire(struct run *r)
{
    struct mu_buf body = MU_BUF_NONE;
    struct mu_json_out o;
    struct cli_call c;
    const char *id = "";

    mu_json_out_init(&o, &body, false);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Prefix", r->prefix);
    mu_json_text(&o, "Session", r->session);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    cli_call_init(&c, "PUT", "/v1/event/fire/_rexec");
    add_filter(&c, "node", r->options->node);
    add_filter(&c, "service", r->options->service);
    add_filter(&c, "tag", r->options->tag);
    c.body = mu_buf_span(&body);
    bool ok = ask(r, &c, "Failed to fire event");

    if (ok && r->options->is_verbose && text_member(&c, "ID", &r->arena, &id)) {
        (void)fprintf(r->cli->out, "Fired event: %s\n", id);
    }
    cli_call_deinit(&c);
    mu_buf_deinit(&body);
    return ok;
}

/* -- what the nodes say ------------------------------------------------------------------------ */

enum said { SAID_ACK, SAID_OUT, SAID_EXIT };

static bool value_read(struct run *r, const char *key, struct mu_buf *to)
{
    struct cli_call c;

    cli_call_init(&c, "GET", "/v1/kv/");
    cli_call_add(&c, key, true);
    cli_call_param(&c, "raw", NULL);
    bool ok = ask(r, &c, NULL);

    if (ok) {
        mu_buf_add_span(to, mu_buf_span(&c.answer));
    }
    cli_call_deinit(&c);
    return ok;
}

static void print_output(struct run *r, struct mu_span node, struct mu_span text)
{
    bool has_more = true;

    while (text.bytes > 0 && has_more) {
        struct mu_span line = mu_span_split(text, '\n', &text, &has_more);

        (void)fprintf(r->cli->out, "    %.*s: %.*s\n", MU_SPAN_FMT(node), MU_SPAN_FMT(line));
    }
}

static void hear_out(struct run *r, struct mu_span node, const struct mu_buf *value)
{
    if (value->bytes > 0) {
        print_output(r, node, mu_buf_span(value));
    } else if (r->options->is_verbose) {
        (void)fprintf(r->cli->out, "==> %.*s: heartbeat received\n", MU_SPAN_FMT(node));
    }
}

static void hear_exit(struct run *r, struct mu_span node, struct mu_buf *value)
{
    long status = strtol(mu_buf_text(value), NULL, 10);

    r->ended++;
    r->has_failed = r->has_failed || status != 0;
    (void)fprintf(r->cli->out, "==> %.*s: finished with exit code %ld\n", MU_SPAN_FMT(node),
                  status);
}

/* False: the key cannot be read now; it is tried again with the next list. */
static bool hear(struct run *r, enum said what, struct mu_span node, const char *key)
{
    struct mu_buf value = MU_BUF_NONE;

    if (what == SAID_ACK) {
        r->acknowledged++;
        if (r->options->is_verbose) {
            (void)fprintf(r->cli->out, "==> %.*s: acknowledged event\n", MU_SPAN_FMT(node));
        }
        return true;
    }
    bool ok = value_read(r, key, &value);

    if (ok && what == SAID_OUT) {
        hear_out(r, node, &value);
    } else if (ok) {
        hear_exit(r, node, &value);
    }
    mu_buf_deinit(&value);
    return ok;
}

/* "<node>/ack", "<node>/out/00000", "<node>/exit" */
static bool read_key(struct mu_span rest, enum said *what, struct mu_span *node)
{
    struct mu_span kind;

    *node = mu_span_split(rest, '/', &kind, NULL);
    *what = mu_span_eq_text(kind, "ack")                ? SAID_ACK
            : mu_span_starts(kind, MU_SPAN_LIT("out/")) ? SAID_OUT
                                                        : SAID_EXIT;
    return *what != SAID_EXIT || mu_span_eq_text(kind, "exit");
}

/* New keys of one kind: a node's output comes before its end, though "exit" sorts before "out". */
static unsigned hear_all(struct run *r, const struct mu_json *list, enum said wanted)
{
    static char is_seen;
    unsigned news = 0;

    for (size_t i = 0; i < mu_json_count(list); i++) {
        const struct mu_json *v = mu_json_at(list, i);
        struct mu_span key =
            mu_json_kind_of(v) == MU_JSON_STRING ? mu_json_string(v) : MU_SPAN_NONE;
        struct mu_span rest = mu_span_sub(key, strlen(r->path), key.bytes);
        struct mu_span node;
        enum said what;

        if (!mu_span_starts(key, mu_span_text(r->path)) || !read_key(rest, &what, &node) ||
            what != wanted || mu_table_find(r->seen, key) != NULL ||
            !hear(r, what, node, mu_arena_text(&r->arena, key.data, key.bytes))) {
            continue;
        }
        (void)mu_table_put(r->seen, key, &is_seen);
        news++;
    }
    (void)fflush(r->cli->out);
    return news;
}

/* How many keys were new; the list waits `ms` at most for a change. */
static unsigned listen(struct run *r, uint64_t ms)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *list = NULL;
    struct cli_call c;
    char text[32];
    unsigned news = 0;

    cli_call_init(&c, "GET", "/v1/kv/");
    cli_call_add(&c, r->path, true);
    cli_call_param(&c, "keys", NULL);
    (void)snprintf(text, sizeof text, "%" PRIu64, r->index);
    cli_call_param(&c, "index", text);
    (void)snprintf(text, sizeof text, "%" PRIu64 "ms", ms > 0 ? ms : 1);
    cli_call_param(&c, "wait", text);
    if (ask(r, &c, NULL) && mu_json_parse(&list, mu_buf_span(&c.answer), true, &err) == MU_OK &&
        mu_json_kind_of(list) == MU_JSON_LIST) {
        news += hear_all(r, list, SAID_ACK);
        news += hear_all(r, list, SAID_OUT);
        news += hear_all(r, list, SAID_EXIT);
    }
    r->index = c.index;
    mu_json_free(list);
    cli_call_deinit(&c);
    return news;
}

/* Until nobody said anything for a while; for longer while somebody is at work. */
static int listen_on(struct run *r)
{
    uint64_t heard_ms = mu_clock_ms();

    for (;;) {
        uint64_t patience = r->wait_ms * (r->acknowledged > r->ended ? 2 : 1);
        uint64_t quiet = mu_clock_ms() - heard_ms;

        if (quiet >= patience) {
            break;
        }
        uint64_t left = patience - quiet;

        session_renew(r);
        if (listen(r, left < RENEW_MS / 2 ? left : RENEW_MS / 2) > 0) {
            heard_ms = mu_clock_ms();
        }
    }
    (void)fprintf(r->cli->out, "%u / %u node(s) completed / acknowledged\n", r->ended,
                  r->acknowledged);
    if (r->acknowledged == 0) {
        (void)cli_fail(r->cli, "Nobody took it: agents run commands only where disable_remote_exec "
                               "= false is configured (it is true unless set), and -node, -service "
                               "and -tag may leave none.");
    }
    return r->has_failed || r->ended < r->acknowledged ? 2 : 0;
}

/* -- together ---------------------------------------------------------------------------------- */

static void clean_up(struct run *r)
{
    struct cli_call c;

    session_say(r, "destroy"); /* first: nobody writes below the prefix after this */
    cli_call_init(&c, "DELETE", "/v1/kv/");
    cli_call_add(&c, r->path, true);
    cli_call_param(&c, "recurse", NULL);
    (void)ask(r, &c, NULL);
    cli_call_deinit(&c);
}

static int carry_out(struct run *r, const struct mu_buf *body)
{
    int status = 1;

    if (!session_create(r)) {
        return 1;
    }
    if (job_put(r, body)) {
        /* the servers copy the job meanwhile: nodes look for it in the state of the nearest one */
        cli_pause(r->replication_ms);
        if (event_fire(r)) {
            status = listen_on(r);
        }
    }
    clean_up(r);
    return status;
}

int cmd_exec(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct run r = { .cli = cli, .options = o, .argc = argc, .argv = argv };
    struct mu_buf body = MU_BUF_NONE;
    int status = 1;

    if (o->tag != NULL && o->service == NULL) {
        return cli_fail(cli, "Cannot provide tag filter without service filter.");
    }
    if (!cli_duration(cli, "wait", o->wait, WAIT_MS, &r.wait_ms) ||
        !cli_duration(cli, "wait-repl", o->wait_repl, REPLICATION_MS, &r.replication_ms)) {
        return 1;
    }
    mu_arena_init(&r.arena, 0);
    r.seen = mu_table_new();
    r.prefix = o->prefix != NULL && o->prefix[0] != '\0' ? o->prefix : PREFIX;
    if (job_body(&r, &body)) {
        status = carry_out(&r, &body);
    }
    mu_buf_deinit(&body);
    mu_table_free(r.seen);
    mu_arena_deinit(&r.arena);
    return status;
}
