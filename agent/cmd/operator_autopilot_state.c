/* muster operator autopilot state */
#include <string.h>

#include "base/assert.h"
#include "commands.h"

struct server { /* begins with the name of its member */
    struct mu_span id, name, address, version, status, node_type, node_status, last_contact;
    bool is_healthy;
    uint64_t last_term, last_index;
    struct mu_pairs meta;
};

struct state {
    bool is_healthy;
    int64_t tolerance, optimistic;
    struct mu_span leader;
    struct mu_texts voters;
    struct mu_objects servers;
};

#define AT(member) offsetof(struct server, member)

static const struct mu_json_field server_fields[] = {
    // clang-format off
    { .name = "Name",        .as = MU_JSON_AS_TEXT,  .offset = AT(name) },
    { .name = "Address",     .as = MU_JSON_AS_TEXT,  .offset = AT(address) },
    { .name = "Version",     .as = MU_JSON_AS_TEXT,  .offset = AT(version) },
    { .name = "Status",      .as = MU_JSON_AS_TEXT,  .offset = AT(status) },
    { .name = "NodeType",    .as = MU_JSON_AS_TEXT,  .offset = AT(node_type) },
    { .name = "NodeStatus",  .as = MU_JSON_AS_TEXT,  .offset = AT(node_status) },
    { .name = "LastContact", .as = MU_JSON_AS_TEXT,  .offset = AT(last_contact) },
    { .name = "Healthy",     .as = MU_JSON_AS_BOOL,  .offset = AT(is_healthy) },
    { .name = "LastTerm",    .as = MU_JSON_AS_UINT,  .offset = AT(last_term) },
    { .name = "LastIndex",   .as = MU_JSON_AS_UINT,  .offset = AT(last_index) },
    { .name = "Meta",        .as = MU_JSON_AS_PAIRS, .offset = AT(meta) },
}; // clang-format on

#undef AT
#define AT(member) offsetof(struct state, member)

static const struct mu_json_shape server_shape = CLI_SHAPE(server_fields, struct server);

static const struct mu_json_field state_fields[] = {
    // clang-format off
    { .name = "Healthy",                    .as = MU_JSON_AS_BOOL,  .offset = AT(is_healthy) },
    { .name = "FailureTolerance",           .as = MU_JSON_AS_INT,   .offset = AT(tolerance) },
    { .name = "OptimisticFailureTolerance", .as = MU_JSON_AS_INT,   .offset = AT(optimistic) },
    { .name = "Leader",                     .as = MU_JSON_AS_TEXT,  .offset = AT(leader) },
    { .name = "Voters",                     .as = MU_JSON_AS_TEXTS, .offset = AT(voters) },
    { .name = "Servers",                    .as = MU_JSON_AS_NAMED, .offset = AT(servers), .of = &server_shape },
}; // clang-format on

#undef AT

static const struct mu_json_shape state_shape = CLI_SHAPE(state_fields, struct state);

struct options {
    const char *format;
};

static const struct cli_option rows[] = {
    { "format", CLI_TEXT, offsetof(struct options, format), "pretty (the default) or json." },
};

const struct cli_options cmd_operator_autopilot_state_options = CLI_OPTIONS(rows, struct options);

static void print_line(FILE *to, const char *title, struct mu_span value)
{
    (void)fprintf(to, "      %-16s %.*s\n", title, MU_SPAN_FMT(value));
}

static void print_server(FILE *to, const struct server *s)
{
    (void)fprintf(to, "   %.*s\n", MU_SPAN_FMT(s->id));
    print_line(to, "Name:", s->name);
    print_line(to, "Address:", s->address);
    print_line(to, "Version:", s->version);
    print_line(to, "Status:", s->status);
    print_line(to, "Node Type:", s->node_type);
    print_line(to, "Node Status:", s->node_status);
    print_line(to, "Healthy:", mu_span_text(s->is_healthy ? "true" : "false"));
    print_line(to, "Last Contact:", s->last_contact);
    (void)fprintf(to, "      Last Term:       %llu\n", (unsigned long long)s->last_term);
    (void)fprintf(to, "      Last Index:      %llu\n", (unsigned long long)s->last_index);
    if (s->meta.count > 0) {
        (void)fputs("      Meta\n", to);
    }
    for (size_t i = 0; i < s->meta.count; i++) {
        (void)fprintf(to, "         \"%.*s\": \"%.*s\"\n", MU_SPAN_FMT(s->meta.items[i].key),
                      MU_SPAN_FMT(s->meta.items[i].value));
    }
}

static void print_state(FILE *to, const struct state *s)
{
    const struct server *servers = s->servers.items;

    (void)fprintf(to,
                  "Healthy:                      %s\n"
                  "Failure Tolerance:            %lld\n"
                  "Optimistic Failure Tolerance: %lld\n"
                  "Leader:                       %.*s\n"
                  "Voters:\n",
                  s->is_healthy ? "true" : "false", (long long)s->tolerance,
                  (long long)s->optimistic, MU_SPAN_FMT(s->leader));
    for (size_t i = 0; i < s->voters.count; i++) {
        (void)fprintf(to, "   %.*s\n", MU_SPAN_FMT(s->voters.items[i]));
    }
    (void)fputs("Servers:\n", to);
    for (size_t i = 0; i < s->servers.count; i++) {
        print_server(to, &servers[i]);
    }
}

int cmd_operator_autopilot_state(struct cli *cli, const void *options, int argc,
                                 const char *const *argv)
{
    const struct options *o = options;
    bool is_json = o->format != NULL && strcmp(o->format, "json") == 0;
    struct state state = { .tolerance = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct cli_call c;
    int status = 0;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (o->format != NULL && !is_json && strcmp(o->format, "pretty") != 0) {
        return cli_fail(cli, "Invalid format: %s", o->format);
    }
    mu_arena_init(&arena, 0);
    cli_call_init(&c, "GET", "/v1/operator/autopilot/state");
    cli_call_param(&c, "pretty", NULL);
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error querying Autopilot state: %s", c.error);
    } else if (is_json) {
        (void)fwrite(c.answer.data, 1, c.answer.bytes, cli->out);
    } else if (mu_json_read(mu_buf_span(&c.answer), &state_shape, &state, &arena, &err) != MU_OK) {
        status = cli_fail(cli, "Error querying Autopilot state: %s", err.text);
    } else {
        print_state(cli->out, &state);
    }
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}
