/* muster gc */
#include <inttypes.h>

#include "base/assert.h"
#include "base/clock.h"
#include "commands.h"

struct entry {
    struct mu_span node, from, status, rule;
    uint64_t in_ms, services, checks, sessions;
};

struct listing {
    bool is_paused;
    uint64_t failed, members, total;
    struct mu_objects entries; /* struct entry */
};

struct gone {
    uint64_t members, nodes, left_over;
};

#define AT(type, member) offsetof(struct type, member)
// clang-format off
static const struct mu_json_field entry_fields[] = {
    { .name = "Node",     .as = MU_JSON_AS_TEXT, .offset = AT(entry, node) },
    { .name = "From",     .as = MU_JSON_AS_TEXT, .offset = AT(entry, from) },
    { .name = "Status",   .as = MU_JSON_AS_TEXT, .offset = AT(entry, status) },
    { .name = "Rule",     .as = MU_JSON_AS_TEXT, .offset = AT(entry, rule) },
    { .name = "InMs",     .as = MU_JSON_AS_UINT, .offset = AT(entry, in_ms) },
    { .name = "Services", .as = MU_JSON_AS_UINT, .offset = AT(entry, services) },
    { .name = "Checks",   .as = MU_JSON_AS_UINT, .offset = AT(entry, checks) },
    { .name = "Sessions", .as = MU_JSON_AS_UINT, .offset = AT(entry, sessions) },
};
static const struct mu_json_shape entry_shape = CLI_SHAPE(entry_fields, struct entry);

static const struct mu_json_field listing_fields[] = {
    { .name = "Paused",  .as = MU_JSON_AS_BOOL,    .offset = AT(listing, is_paused) },
    { .name = "Failed",  .as = MU_JSON_AS_UINT,    .offset = AT(listing, failed) },
    { .name = "Members", .as = MU_JSON_AS_UINT,    .offset = AT(listing, members) },
    { .name = "Total",   .as = MU_JSON_AS_UINT,    .offset = AT(listing, total) },
    { .name = "Entries", .as = MU_JSON_AS_OBJECTS, .offset = AT(listing, entries), .of = &entry_shape },
};
static const struct mu_json_shape listing_shape = CLI_SHAPE(listing_fields, struct listing);

static const struct mu_json_field gone_fields[] = {
    { .name = "Members",  .as = MU_JSON_AS_UINT, .offset = AT(gone, members) },
    { .name = "Nodes",    .as = MU_JSON_AS_UINT, .offset = AT(gone, nodes) },
    { .name = "LeftOver", .as = MU_JSON_AS_UINT, .offset = AT(gone, left_over) },
};
static const struct mu_json_shape gone_shape = CLI_SHAPE(gone_fields, struct gone);
// clang-format on
#undef AT

struct options {
    bool dry_run, yes, force;
};

static const struct cli_option rows[] = {
    { "dry-run", CLI_BOOL, offsetof(struct options, dry_run),
      "Show what is going to be forgotten, when and by which rule." },
    { "force", CLI_BOOL, offsetof(struct options, force),
      "With -yes: also while self-preservation pauses removal." },
    { "yes", CLI_BOOL, offsetof(struct options, yes),
      "Forget all of it now: members that failed or left, and their nodes." },
};

const struct cli_options cmd_gc_options = CLI_OPTIONS(rows, struct options);

/* -- what would go ----------------------------------------------------------------------------- */

/* In whole seconds: "71h59m30s". */
static void cell_in(struct cli_table *t, uint64_t ms)
{
    char text[MU_DURATION_TEXT_MAX];

    mu_duration_text((int64_t)((ms + 999) / 1000) * MU_NS_PER_S, text);
    cli_table_cell(t, ms == 0 ? "now" : text);
}

static void cell_with(struct cli_table *t, const struct entry *e)
{
    struct mu_buf text = MU_BUF_NONE;

    if (mu_span_eq_text(e->from, "catalog")) {
        mu_buf_addf(&text, "services: %" PRIu64 ", checks: %" PRIu64 ", sessions: %" PRIu64,
                    e->services, e->checks, e->sessions);
    }
    cli_table_cell(t, text.bytes > 0 ? mu_buf_text(&text) : "-");
    mu_buf_deinit(&text);
}

static void print_entries(struct cli *cli, const struct listing *l)
{
    static const char *const heads[] = { "Node", "Status", "From", "In", "Rule", "With" };
    const struct entry *entries = l->entries.items;
    struct cli_table t;

    cli_table_init(&t, MU_LEN(heads), 2);
    for (size_t i = 0; i < MU_LEN(heads); i++) {
        cli_table_cell(&t, heads[i]);
    }
    for (size_t i = 0; i < l->entries.count; i++) {
        cli_table_cell_span(&t, entries[i].node);
        cli_table_cell_span(&t, entries[i].status);
        cli_table_cell_span(&t, entries[i].from);
        cell_in(&t, entries[i].in_ms);
        cli_table_cell_span(&t, entries[i].rule);
        cell_with(&t, &entries[i]);
    }
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

static void print_listing(struct cli *cli, const struct listing *l)
{
    if (l->entries.count == 0) {
        (void)fputs("Nothing is going to be forgotten.\n", cli->out);
        return;
    }
    print_entries(cli, l);
    if (l->total > l->entries.count) {
        (void)fprintf(cli->out, "%" PRIu64 " more go later.\n", l->total - l->entries.count);
    }
    if (l->is_paused) {
        (void)fprintf(cli->out,
                      "Removal is paused by self-preservation: %" PRIu64 " of %" PRIu64
                      " members are failed.\n",
                      l->failed, l->members);
    }
}

static int show(struct cli *cli, struct mu_arena *arena)
{
    struct listing listing = { .total = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    int status = 0;

    cli_call_init(&c, "GET", "/v1/operator/gc");
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error asking the leader: %s", c.error);
    } else if (mu_json_read(mu_buf_span(&c.answer), &listing_shape, &listing, arena, &err) !=
               MU_OK) {
        status = cli_fail(cli, "Error asking the leader: %s", err.text);
    } else {
        print_listing(cli, &listing);
    }
    cli_call_deinit(&c);
    return status;
}

/* -- letting it go ----------------------------------------------------------------------------- */

/* A leader takes so many at a time. */
static int let_go_some(struct cli *cli, bool forced, struct mu_arena *arena, struct gone *out)
{
    struct mu_err err = MU_ERR_NONE;
    struct cli_call c;
    int status = 0;

    *out = (struct gone){ .members = 0 };
    cli_call_init(&c, "PUT", "/v1/operator/gc");
    if (forced) {
        cli_call_param(&c, "force", NULL);
    }
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error letting go: %s%s", c.error,
                          c.status == 409 ? "; -force does it all the same" : "");
    } else if (mu_json_read(mu_buf_span(&c.answer), &gone_shape, out, arena, &err) != MU_OK) {
        status = cli_fail(cli, "Error letting go: %s", err.text);
    }
    cli_call_deinit(&c);
    return status;
}

static int let_go(struct cli *cli, bool forced, struct mu_arena *arena)
{
    struct gone all = { .members = 0 };
    struct gone some;
    int status;

    do {
        status = let_go_some(cli, forced, arena, &some);
        all.members += some.members;
        all.nodes += some.nodes;
    } while (status == 0 && some.left_over > 0 && some.members + some.nodes > 0);
    if (status == 0) {
        (void)fprintf(cli->out,
                      "Forgotten: %" PRIu64 " members with their nodes, %" PRIu64
                      " nodes that only the catalog knew.\n",
                      all.members, all.nodes);
    }
    return status;
}

int cmd_gc(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct mu_arena arena;
    int status;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (o->dry_run == o->yes) {
        return cli_fail(cli, "Either -dry-run must be given, to see what is going to be "
                             "forgotten, or -yes, to forget it now");
    }
    mu_arena_init(&arena, 0);
    status = o->dry_run ? show(cli, &arena) : let_go(cli, o->force, &arena);
    mu_arena_deinit(&arena);
    return status;
}
