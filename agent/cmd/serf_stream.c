/* muster serf event, query, reachability, monitor: what is sent to all, and what comes back. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/flags.h"
#include "base/mem.h"
#include "base/table.h"
#include "serf.h"

#define RELAY_MAX  255U
#define QUERY_PING "_serf_ping"

static void put_text(struct serf_client *c, const char *name, const char *value)
{
    ipc_put_text(&c->out, name);
    ipc_put_text(&c->out, value);
}

/* False: told. */
static bool check_words(struct cli *cli, const char *what, int argc)
{
    char sentence[64];

    if (argc == 0) {
        (void)snprintf(sentence, sizeof sentence, "A%s %s name must be specified.",
                       what[0] == 'e' ? "n" : "", what);
        (void)serf_usage(cli, sentence);
        return false;
    }
    if (argc > 2) {
        (void)serf_usage(cli, "Too many command line arguments. Only a name and payload must be "
                              "specified.");
        return false;
    }
    return true;
}

/* -- event --------------------------------------------------------------------------------------
 */

struct event_options {
    struct serf_flags flags;
    enum cli_switch coalesce;
};

static const struct cli_option event_rows[] = {
    SERF_FLAG_ROWS,
    { "coalesce", CLI_SWITCH, offsetof(struct event_options, coalesce),
      "Of several of this name within a short time only the last is told; true unless set." },
};

const struct cli_options serf_event_options = CLI_OPTIONS(event_rows, struct event_options);

int serf_run_event(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct event_options *o = options;
    bool coalesce = o->coalesce != CLI_OFF;
    struct serf_reply reply;
    struct serf_client c;
    int status = 1;

    if (!check_words(cli, "event", argc)) {
        return 1;
    }
    if (serf_open(&c, cli, &o->flags)) {
        (void)serf_begin(&c, "event");
        ipc_put_map(&c.out, 3);
        ipc_put_text(&c.out, "Coalesce");
        ipc_put_bool(&c.out, coalesce);
        put_text(&c, "Name", argv[0]);
        ipc_put_text(&c.out, "Payload");
        ipc_put_bytes(&c.out, mu_span_text(argc == 2 ? argv[1] : ""));
        serf_send(&c);
        if (serf_read(&c, false, &reply)) {
            (void)fprintf(cli->out, "Event '%s' dispatched! Coalescing enabled: %s\n", argv[0],
                          coalesce ? "true" : "false");
            status = 0;
        } else {
            status = serf_fail(cli, "Error sending event", c.error);
        }
    }
    serf_close(&c);
    return status;
}

/* -- query --------------------------------------------------------------------------------------
 */

struct query_options {
    struct serf_flags flags;
    const char *format, *timeout, *relays;
    struct cli_texts nodes, tags;
    bool no_acks, takes_large;
};

static const struct cli_option query_rows[] = {
    // clang-format off
    SERF_FLAG_ROWS,
    { "format",       CLI_TEXT,  offsetof(struct query_options, format),  "text, the default, or json." },
    { "node",         CLI_TEXTS, offsetof(struct query_options, nodes),   "Only this member; repeatable." },
    { "tag",          CLI_TEXTS, offsetof(struct query_options, tags),    "key=expression: only members whose tag matches; repeatable." },
    { "timeout",      CLI_TEXT,  offsetof(struct query_options, timeout), "How long answers are waited for; by the number of members unless set." },
    { "no-ack",       CLI_BOOL,  offsetof(struct query_options, no_acks), "Do not let members say that they have it." },
    { "relay-factor", CLI_TEXT,  offsetof(struct query_options, relays),  "Let answers come through so many others as well." },
    { "large",        CLI_BOOL,  offsetof(struct query_options, takes_large), "Take answers up to 64 KiB; those above 1 KiB come by TCP." },
}; // clang-format on

const struct cli_options serf_query_options = CLI_OPTIONS(query_rows, struct query_options);

struct asked { /* a query as it goes out */
    const char *name;
    struct mu_span payload;
    bool wants_acks, takes_large;
    int64_t timeout_ns;
    uint64_t relays;
    const struct cli_texts *nodes, *tags;
};

/* False: told. */
static bool put_query(struct serf_client *c, const struct asked *q)
{
    (void)serf_begin(c, "query");
    ipc_put_map(&c->out, q->takes_large ? 8 : 7);
    ipc_put_text(&c->out, "FilterNodes");
    ipc_put_list(&c->out, q->nodes->count);
    for (size_t i = 0; i < q->nodes->count; i++) {
        ipc_put_text(&c->out, q->nodes->items[i]);
    }
    ipc_put_text(&c->out, "FilterTags");
    ipc_put_map(&c->out, q->tags->count);
    for (size_t i = 0; i < q->tags->count; i++) {
        bool has_value = false;
        struct mu_span value;
        struct mu_span key =
            mu_span_split(mu_span_text(q->tags->items[i]), '=', &value, &has_value);

        if (!has_value) {
            (void)fprintf(c->cli->out, "Error: Invalid tag: '%s'\n", q->tags->items[i]);
            return false;
        }
        ipc_put_span(&c->out, key);
        ipc_put_span(&c->out, value);
    }
    if (q->takes_large) { /* only then: Serf's own agent does not know it */
        ipc_put_text(&c->out, "LargeResponses");
        ipc_put_bool(&c->out, true);
    }
    put_text(c, "Name", q->name);
    ipc_put_text(&c->out, "Payload");
    ipc_put_bytes(&c->out, q->payload);
    ipc_put_text(&c->out, "RelayFactor");
    ipc_put_u64(&c->out, q->relays);
    ipc_put_text(&c->out, "RequestAck");
    ipc_put_bool(&c->out, q->wants_acks);
    ipc_put_text(&c->out, "Timeout");
    ipc_put_u64(&c->out, (uint64_t)q->timeout_ns);
    return true;
}

/* A record of a query; false: it was the last, or the connection is over (c->error says so). */
static bool next_record(struct serf_client *c, struct serf_reply *reply)
{
    c->error[0] = '\0';
    return serf_read(c, true, reply) && !mu_span_eq_text(serf_bytes(reply->value, "Type"), "done");
}

struct tally {
    size_t acks, responses;
    struct mu_json_out *acks_json, *responses_json; /* NULL: as text */
    struct mu_buf acks_text, responses_text;
};

static void take_record(struct serf_client *c, struct tally *t, const struct serf_reply *reply)
{
    struct mu_span from = serf_bytes(reply->value, "From");
    struct mu_span payload = serf_bytes(reply->value, "Payload");
    bool is_ack = mu_span_eq_text(serf_bytes(reply->value, "Type"), "ack");

    t->acks += is_ack;
    t->responses += !is_ack;
    if (t->acks_json != NULL && is_ack) {
        mu_json_put_span(t->acks_json, from);
    } else if (t->acks_json != NULL) {
        mu_json_key(t->responses_json, mu_arena_text(&c->arena, from.data, from.bytes));
        mu_json_put_span(t->responses_json, payload);
    } else if (is_ack) {
        (void)fprintf(c->cli->out, "Ack from '%.*s'\n", MU_SPAN_FMT(from));
    } else {
        bool ends_line = payload.bytes > 0 && payload.data[payload.bytes - 1] == '\n';

        (void)fprintf(c->cli->out, "Response from '%.*s': ", MU_SPAN_FMT(from));
        cli_print_span(c->cli->out, mu_span_sub(payload, 0, payload.bytes - ends_line));
    }
}

static void print_query_json(struct serf_client *c, struct mu_json_out *acks,
                             struct mu_json_out *responses, const struct tally *t)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_json_out o;

    mu_json_close(acks, ']');
    mu_json_out_end(acks);
    mu_json_close(responses, '}');
    mu_json_out_end(responses);
    mu_json_out_init(&o, &text, true);
    mu_json_open(&o, '{');
    mu_json_key(&o, "Acks");
    if (t->acks > 0) {
        mu_json_put_raw(&o, mu_buf_span(acks->to));
    } else {
        mu_json_put_raw(&o, MU_SPAN_LIT("null"));
    }
    mu_json_key(&o, "Responses");
    mu_json_put_raw(&o, mu_buf_span(responses->to));
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    serf_print_json(c->cli, &text);
    mu_buf_deinit(&text);
}

static int follow_query(struct serf_client *c, const struct asked *q, bool is_json)
{
    struct tally t = { .acks = 0 };
    struct mu_json_out acks, responses;
    struct serf_reply reply;

    if (is_json) {
        mu_json_out_init(&acks, &t.acks_text, false);
        mu_json_open(&acks, '[');
        mu_json_out_init(&responses, &t.responses_text, false);
        mu_json_open(&responses, '{');
        t.acks_json = &acks;
        t.responses_json = &responses;
    } else {
        (void)fprintf(c->cli->out, "Query '%s' dispatched\n", q->name);
    }
    while (next_record(c, &reply)) {
        take_record(c, &t, &reply);
        (void)fflush(c->cli->out);
    }
    if (is_json) {
        print_query_json(c, &acks, &responses, &t);
    } else {
        if (q->wants_acks) {
            (void)fprintf(c->cli->out, "Total Acks: %zu\n", t.acks);
        }
        (void)fprintf(c->cli->out, "Total Responses: %zu\n", t.responses);
    }
    mu_buf_deinit(&t.acks_text);
    mu_buf_deinit(&t.responses_text);
    return 0;
}

/* False: told, as flags that are wrong are. */
static bool read_numbers(struct cli *cli, const struct query_options *o, struct asked *q)
{
    const char *bad = NULL, *name = NULL;

    if (o->timeout != NULL &&
        !mu_duration_parse(mu_span_text(o->timeout), &q->timeout_ns, NULL, 0)) {
        bad = o->timeout;
        name = "timeout";
    } else if (o->relays != NULL && !mu_span_u64(mu_span_text(o->relays), &q->relays) &&
               o->relays[0] != '-') {
        bad = o->relays;
        name = "relay-factor";
    }
    if (bad != NULL) {
        (void)fprintf(cli->err, "invalid value \"%s\" for flag -%s: parse error\n", bad, name);
        (void)serf_usage(cli, NULL);
        return false;
    }
    if (q->relays > RELAY_MAX || (o->relays != NULL && o->relays[0] == '-')) {
        (void)fprintf(cli->out, "Relay factor must be between 0 and 255\n");
        return false;
    }
    q->timeout_ns = q->timeout_ns < 0 ? 0 : q->timeout_ns;
    return true;
}

int serf_run_query(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct query_options *o = options;
    const char *format = o->format != NULL ? o->format : "text";
    struct asked q = { .wants_acks = !o->no_acks,
                       .takes_large = o->takes_large,
                       .nodes = &o->nodes,
                       .tags = &o->tags };
    struct serf_reply reply;
    struct serf_client c;
    int status = 1;

    if (!read_numbers(cli, o, &q) || !check_words(cli, "query", argc)) {
        return 1;
    }
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
        (void)fprintf(cli->out, "Invalid format: %s\n", format);
        return 1;
    }
    q.name = argv[0];
    q.payload = mu_span_text(argc == 2 ? argv[1] : "");
    if (serf_open(&c, cli, &o->flags) && put_query(&c, &q)) {
        serf_send(&c);
        status = serf_read(&c, false, &reply) ? follow_query(&c, &q, strcmp(format, "json") == 0)
                                              : serf_fail(cli, "Error sending query", c.error);
    }
    serf_close(&c);
    return status;
}

/* -- reachability -------------------------------------------------------------------------------
 */

struct reach_options {
    struct serf_flags flags;
    bool is_verbose;
};

static const struct cli_option reach_rows[] = {
    SERF_FLAG_ROWS,
    { "verbose", CLI_BOOL, offsetof(struct reach_options, is_verbose), "Tell of each answer." },
};

const struct cli_options serf_reachability_options = CLI_OPTIONS(reach_rows, struct reach_options);

static const char tips[] =
    "This could mean a few things: a node is slow or has just failed, its packets are lost on the\n"
    "way, or the network lets them through in one direction only.\n"
    "Troubleshooting tips:\n"
    "* Look at the logs of the nodes that are named above, and of this one.\n"
    "* Ask again from another node: does the same one stay silent?\n"
    "* Check that the gossip port is open both ways, for UDP as well as TCP.\n"
    "* Check that each node advertises an address that the others can reach.\n"
    "* Look for loss on the links and for processors without a free moment.\n";

static double seconds_since(uint64_t began_ns)
{
    return (double)(mu_clock_ns() - began_ns) / (double)MU_NS_PER_S;
}

struct reach {
    struct mu_table *live; /* name -> whether it has answered */
    size_t members, acks, strangers, twice;
    double last_s, total_s;
};

static char waits[] = "", answered[] = ""; /* two different places */

static bool read_live(struct serf_client *c, struct reach *r)
{
    (void)serf_begin(c, "members");
    const struct ipc_value *list = serf_members(c);

    for (size_t i = 0; list != NULL && i < list->many.count; i++) {
        const struct ipc_value *m = &list->many.items[i];

        r->members++;
        if (mu_span_eq_text(serf_bytes(m, "Status"), "alive")) {
            (void)mu_table_put(r->live, serf_bytes(m, "Name"), waits);
        }
    }
    return list != NULL;
}

static void take_ack(struct cli *cli, struct reach *r, struct mu_span from, bool is_verbose)
{
    const char *known = mu_table_find(r->live, from);

    if (is_verbose) {
        (void)fprintf(cli->out, "\tAck from '%.*s'\n", MU_SPAN_FMT(from));
    }
    r->acks++;
    if (known == NULL) {
        r->strangers++;
    } else if (known == answered) {
        r->twice++;
        (void)fprintf(cli->out, "Duplicate response from '%.*s'\n", MU_SPAN_FMT(from));
    }
    (void)mu_table_put(r->live, from, answered);
}

static int judge(struct cli *cli, const struct reach *r, size_t live)
{
    struct mu_table_at at = { .started = false };

    if (r->strangers > 0 || r->twice > 0) {
        (void)fprintf(cli->out, "Received more acks than live nodes! %s\n%s",
                      r->twice > 0 ? "Some answered twice." : "Acks from non-live nodes.", tips);
        return 1;
    }
    if (r->acks >= live) {
        (void)fprintf(cli->out, "Successfully contacted all live nodes\n");
        return 0;
    }
    (void)fprintf(cli->out, "Received less acks than live nodes! Missing acks from:\n");
    while (mu_table_next(r->live, &at)) {
        if (at.value == waits) {
            (void)fprintf(cli->out, "\t%.*s\n", MU_SPAN_FMT(at.key));
        }
    }
    (void)fprintf(cli->out, "%s", tips);
    return 1;
}

static int reach(struct serf_client *c, struct reach *r, bool is_verbose)
{
    static const struct cli_texts nobody = { NULL, 0 };
    const struct asked q = {
        .name = QUERY_PING, .wants_acks = true, .nodes = &nobody, .tags = &nobody
    };
    struct serf_reply reply;

    if (!read_live(c, r)) {
        return serf_fail(c->cli, "Error getting members", c->error);
    }
    size_t live = mu_table_count(r->live);

    (void)fprintf(c->cli->out, "Total members: %zu, live members: %zu\n", r->members, live);
    (void)fprintf(c->cli->out, "Starting reachability test...\n");
    (void)put_query(c, &q);
    uint64_t began_ns = mu_clock_ns();

    serf_send(c);
    if (!serf_read(c, false, &reply)) {
        return serf_fail(c->cli, "Error sending query", c->error);
    }
    while (next_record(c, &reply)) {
        take_ack(c->cli, r, serf_bytes(reply.value, "From"), is_verbose);
        r->last_s = seconds_since(began_ns);
    }
    if (is_verbose) {
        (void)fprintf(c->cli->out, "Query time: %.2f sec, time to last response: %.2f sec\n",
                      seconds_since(began_ns), r->last_s);
    }
    return judge(c->cli, r, live);
}

int serf_run_reachability(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct reach_options *o = options;
    struct reach r = { .live = mu_table_new() };
    struct serf_client c;
    int status = 1;

    (void)argc;
    (void)argv;
    if (serf_open(&c, cli, &o->flags)) {
        status = reach(&c, &r, o->is_verbose);
    }
    serf_close(&c);
    mu_table_free(r.live);
    return status;
}

/* -- monitor ------------------------------------------------------------------------------------
 */

struct monitor_options {
    struct serf_flags flags;
    const char *level;
};

static const struct cli_option monitor_rows[] = {
    SERF_FLAG_ROWS,
    { "log-level", CLI_TEXT, offsetof(struct monitor_options, level),
      "trace, debug, info, warn or err; debug unless set." },
};

const struct cli_options serf_monitor_options = CLI_OPTIONS(monitor_rows, struct monitor_options);

static void print_value(FILE *to, const struct ipc_value *v);

static int compare_keys(const void *a, const void *b)
{
    const struct ipc_value *const *x = a, *const *y = b;

    return mu_span_cmp((*x)->text, (*y)->text);
}

/* By name, as Go prints maps; a key that is no text stands for none. */
static void print_map(FILE *to, const struct ipc_value *map)
{
    const struct ipc_value **keys = mu_new_array(map->many.count + 1, sizeof *keys);
    size_t count = 0;

    for (size_t i = 0; i < map->many.count; i++) {
        const struct ipc_value *key = &map->many.items[2 * i];

        if (key->kind == IPC_TEXT) {
            keys[count++] = key;
        }
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    (void)fputs("map[interface {}]interface {}{", to);
    for (size_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", to);
        print_value(to, &keys[i][0]);
        (void)fputc(':', to);
        print_value(to, &keys[i][1]);
    }
    (void)fputc('}', to);
    mu_free(keys);
}

static void print_list(FILE *to, const struct ipc_value *list)
{
    (void)fputs("[]interface {}{", to);
    for (size_t i = 0; i < list->many.count; i++) {
        (void)fputs(i > 0 ? ", " : "", to);
        print_value(to, &list->many.items[i]);
    }
    (void)fputc('}', to);
}

static void print_letter(FILE *to, uint8_t byte)
{
    static const char marked[] = "\a\b\f\n\r\t\v\"\\", letters[] = "abfnrtv\"\\";
    const char *at = byte != '\0' ? strchr(marked, byte) : NULL;

    if (at != NULL) {
        (void)fprintf(to, "\\%c", letters[at - marked]);
    } else if (byte < ' ' || byte == 0x7f) {
        (void)fprintf(to, "\\x%02x", byte);
    } else {
        (void)fputc(byte, to);
    }
}

/* In quotes; what is no UTF-8 is written byte by byte. */
static void print_text(FILE *to, struct mu_span text)
{
    (void)fputc('"', to);
    while (text.bytes > 0) {
        size_t sound = mu_span_utf8_prefix(text);

        for (size_t i = 0; i < sound; i++) {
            print_letter(to, text.data[i]);
        }
        if (sound < text.bytes) {
            (void)fprintf(to, "\\x%02x", text.data[sound++]);
        }
        text = mu_span_sub(text, sound, text.bytes);
    }
    (void)fputc('"', to);
}

static void print_bytes(FILE *to, const char *type, struct mu_span bytes)
{
    (void)fprintf(to, "%s{", type);
    for (size_t i = 0; i < bytes.bytes; i++) {
        (void)fprintf(to, "%s0x%x", i > 0 ? ", " : "", bytes.data[i]);
    }
    (void)fputc('}', to);
}

/* A number of one byte has a sign for Go's reader, which is why it is decimal. */
static void print_unsigned(FILE *to, uint64_t u)
{
    (void)fprintf(to, u <= INT8_MAX ? "%llu" : "0x%llx", (unsigned long long)u);
}

static void print_value(FILE *to, const struct ipc_value *v)
{
    switch (v->kind) {
    case IPC_NIL: (void)fputs("interface {}(nil)", to); break;
    case IPC_BOOL: (void)fputs(v->yes ? "true" : "false", to); break;
    case IPC_UINT: print_unsigned(to, v->u); break;
    case IPC_SINT: (void)fprintf(to, "%lld", (long long)v->i); break;
    case IPC_FLOAT: (void)fprintf(to, "%g", v->f); break;
    case IPC_LIST: print_list(to, v); break;
    case IPC_MAP: print_map(to, v); break;
    case IPC_TEXT:
        if (v->is_bytes) {
            print_bytes(to, "[]uint8", v->text);
        } else {
            print_text(to, v->text);
        }
        break;
    }
}

/* What is not inside of another value goes by a shorter name. */
static void print_field(FILE *to, const struct ipc_value *v)
{
    if (v->kind == IPC_NIL) {
        (void)fputs("<nil>", to);
    } else if (v->kind == IPC_TEXT && v->is_bytes) {
        print_bytes(to, "[]byte", v->text);
    } else {
        print_value(to, v);
    }
}

/* In Go's syntax, as the stock command prints what it got. */
static void print_event(FILE *to, const struct ipc_value *event)
{
    (void)fputs("Event Info:\n", to);
    for (size_t i = 0; i < event->many.count; i++) {
        const struct ipc_value *key = &event->many.items[2 * i];

        if (key->kind == IPC_TEXT) {
            (void)fprintf(to, "\t%.*s: ", MU_SPAN_FMT(key->text));
            print_field(to, &key[1]);
            (void)fputc('\n', to);
        }
    }
}

static void print_record(struct cli *cli, const struct serf_reply *reply, uint64_t logs)
{
    if (reply->seq == logs) {
        cli_print_span(cli->out, serf_bytes(reply->value, "Log"));
    } else if (reply->value->kind == IPC_MAP) {
        print_event(cli->out, reply->value);
    }
    (void)fflush(cli->out);
}

/* Ask for one of the two; false: told. Events may come before the second answer. */
static bool begin_stream(struct serf_client *c, const char *command, const char *field,
                         const char *value, const char *prefix)
{
    struct serf_reply reply;

    (void)serf_begin(c, command);
    ipc_put_map(&c->out, 1);
    put_text(c, field, value);
    serf_send(c);
    for (;;) {
        if (!serf_read(c, false, &reply)) {
            (void)serf_fail(c->cli, prefix, c->error);
            return false;
        }
        if (reply.seq == c->seq) {
            return true;
        }
        print_record(c->cli, &reply, c->seq);
    }
}

int serf_run_monitor(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct monitor_options *o = options;
    struct serf_reply reply;
    struct serf_client c;

    (void)argc;
    (void)argv;
    if (serf_open(&c, cli, &o->flags) &&
        begin_stream(&c, "stream", "Type", "*", "Error starting stream") &&
        begin_stream(&c, "monitor", "LogLevel", o->level != NULL ? o->level : "DEBUG",
                     "Error starting monitor")) {
        uint64_t logs = c.seq;

        while (serf_read(&c, true, &reply)) {
            print_record(cli, &reply, logs);
        }
        (void)fprintf(cli->out, "\nRemote side ended the monitor! This usually means that the\n"
                                "remote side has exited or crashed.\n");
    }
    serf_close(&c);
    return 1;
}
