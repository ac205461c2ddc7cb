/* muster members */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "commands.h"

struct options {
    bool is_detailed, is_wan;
    const char *status, *segment;
};

static const struct cli_option rows[] = {
    // clang-format off
    { "detailed", CLI_BOOL, offsetof(struct options, is_detailed), "Print the tags instead of what they mean." },
    { "wan",      CLI_BOOL, offsetof(struct options, is_wan),      "The servers of all datacenters." },
    { "status",   CLI_TEXT, offsetof(struct options, status),      "Only members whose status matches this regular expression." },
    { "segment",  CLI_TEXT, offsetof(struct options, segment),     "Only members of this network segment." },
}; // clang-format on

const struct cli_options cmd_members_options = CLI_OPTIONS(rows, struct options);

struct member {
    struct mu_span name, addr, degraded;
    int64_t port, status;
    struct mu_pairs tags;
};

static const struct mu_json_field member_fields[] = {
    { "Name", { NULL }, MU_JSON_AS_TEXT, offsetof(struct member, name), NULL },
    { "Addr", { NULL }, MU_JSON_AS_TEXT, offsetof(struct member, addr), NULL },
    { "Port", { NULL }, MU_JSON_AS_INT, offsetof(struct member, port), NULL },
    { "Status", { NULL }, MU_JSON_AS_INT, offsetof(struct member, status), NULL },
    { "Tags", { NULL }, MU_JSON_AS_PAIRS, offsetof(struct member, tags), NULL },
    { "Degraded", { NULL }, MU_JSON_AS_TEXT, offsetof(struct member, degraded), NULL },
};

static const struct mu_json_shape member_shape = CLI_SHAPE(member_fields, struct member);

static struct mu_span tag(const struct member *m, const char *key)
{
    for (size_t i = 0; i < m->tags.count; i++) {
        if (mu_span_eq_text(m->tags.items[i].key, key)) {
            return m->tags.items[i].value;
        }
    }
    return MU_SPAN_NONE;
}

static bool is_server(const struct member *m)
{
    return mu_span_eq_text(tag(m, "role"), "consul");
}

static const char *status_text(const struct member *m)
{
    static const char *const texts[] = { "none", "alive", "leaving", "left", "failed" };

    return m->status >= 0 && m->status < (int64_t)MU_LEN(texts) ? texts[m->status] : "unknown";
}

static struct mu_span segment_of(const struct member *m)
{
    struct mu_span segment = tag(m, "segment");

    if (is_server(m)) {
        return MU_SPAN_LIT("<all>");
    }
    return segment.bytes > 0 ? segment : MU_SPAN_LIT("<default>");
}

static int by_segment_and_name(const void *a, const void *b)
{
    const struct member *one = a, *two = b;
    int order = mu_span_cmp(segment_of(one), segment_of(two));

    return order != 0 ? order : mu_span_cmp(one->name, two->name);
}

/* "[::1]:8301" */
static void address_text(const struct member *m, char out[MU_ADDR_TEXT_MAX])
{
    struct mu_addr addr;

    if (mu_addr_parse_ip(m->addr, &addr) && m->port > 0 && m->port <= UINT16_MAX) {
        addr.port = (uint16_t)m->port;
        mu_addr_text(&addr, out);
    } else {
        (void)snprintf(out, MU_ADDR_TEXT_MAX, "%.*s:%lld", MU_SPAN_FMT(mu_span_sub(m->addr, 0, 40)),
                       (long long)m->port);
    }
}

static void add_standard(struct cli_table *t, const struct member *m, const char *address)
{
    struct mu_span rest;
    struct mu_span role = tag(m, "role");

    cli_table_cell_span(t, m->name);
    cli_table_cell(t, address);
    cli_table_cell(t, status_text(m));
    cli_table_cell(t, is_server(m)                    ? "server"
                      : mu_span_eq_text(role, "node") ? "client"
                                                      : "unknown");
    cli_table_cell_span(t, mu_span_split(tag(m, "build"), ':', &rest, NULL));
    cli_table_cell_span(t, tag(m, "vsn"));
    cli_table_cell_span(t, tag(m, "dc"));
    cli_table_cell_span(t, segment_of(m));
}

static void add_detailed(struct cli_table *t, struct member *m, const char *address,
                         bool has_degraded)
{
    struct mu_buf tags = MU_BUF_NONE;

    cli_pairs_text(&m->tags, ",", &tags);
    cli_table_cell_span(t, m->name);
    cli_table_cell(t, address);
    cli_table_cell(t, status_text(m));
    cli_table_cell_span(t, mu_buf_span(&tags));
    if (has_degraded) {
        cli_table_cell_span(t, m->degraded);
    }
    mu_buf_deinit(&tags);
}

/* A column that Consul's command does not have: only while it says something. */
static bool are_degraded(const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].degraded.bytes > 0) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct options *o, const regex_t *status, const struct member *m)
{
    if (o->segment != NULL && !mu_span_eq_text(segment_of(m), o->segment)) {
        return false;
    }
    return o->status == NULL || regexec(status, status_text(m), 0, NULL, 0) == 0;
}

/* 2: nothing matched. */
static int print_members(struct cli *cli, const struct options *o, const regex_t *status,
                         struct member *members, size_t count)
{
    static const char *const standard[] = { "Node",  "Address",  "Status", "Type",
                                            "Build", "Protocol", "DC",     "Segment" };
    static const char *const detailed[] = { "Node", "Address", "Status", "Tags", "Degraded" };
    bool has_degraded = o->is_detailed && are_degraded(members, count);
    size_t columns = o->is_detailed ? MU_LEN(detailed) - !has_degraded : MU_LEN(standard);
    size_t found = 0;
    struct cli_table t;

    if (count > 0) {
        qsort(members, count, sizeof *members, by_segment_and_name);
    }
    cli_table_init(&t, columns, 2);
    for (size_t i = 0; i < columns; i++) {
        cli_table_cell(&t, o->is_detailed ? detailed[i] : standard[i]);
    }
    for (size_t i = 0; i < count; i++) {
        char address[MU_ADDR_TEXT_MAX];

        if (!is_wanted(o, status, &members[i])) {
            continue;
        }
        found++;
        address_text(&members[i], address);
        if (o->is_detailed) {
            add_detailed(&t, &members[i], address, has_degraded);
        } else {
            add_standard(&t, &members[i], address);
        }
    }
    if (found > 0) {
        cli_table_print(&t, cli->out);
    }
    cli_table_deinit(&t);
    return found > 0 ? 0 : 2;
}

static int ask(struct cli *cli, const struct options *o, const regex_t *status)
{
    struct mu_objects members = { NULL, 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct cli_call c;
    int rc;

    mu_arena_init(&arena, 0);
    cli_call_init(&c, "GET", "/v1/agent/members");
    cli_call_param(&c, "segment", "_all");
    if (o->is_wan) {
        cli_call_param(&c, "wan", "1");
    }
    if (!cli_send(cli, &c)) {
        rc = cli_fail(cli, "Error retrieving members: %s", c.error);
    } else if (cli_read_list(&c, &member_shape, &members, &arena, &err) != MU_OK) {
        rc = cli_fail(cli, "Error retrieving members: %s", err.text);
    } else {
        rc = print_members(cli, o, status, members.items, members.count);
    }
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return rc;
}

int cmd_members(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    regex_t status;
    char why[128];

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    int bad = regcomp(&status, o->status != NULL ? o->status : "", REG_EXTENDED | REG_NOSUB);

    if (bad != 0) {
        (void)regerror(bad, &status, why, sizeof why);
        return cli_fail(cli, "Failed to compile status regexp \"%s\": %s", o->status, why);
    }
    int rc = ask(cli, o, &status);

    regfree(&status);
    return rc;
}
