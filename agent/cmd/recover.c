/* muster recover on a cluster that runs without a quorum: look, say what would be lost, ask, let
 * the chosen server begin, and wait until it leads.
 */
#include "recover.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "commands.h"

#define ROUTE      "/v1/operator/recovery"
#define PAUSE_MS   100
#define PASSING_MS 15000 /* until servers and gossip see who is gone: a few seconds, usually */
#define LEADING_MS 60000 /* until the chosen one leads: on a large state and a slow disk */

struct server {
    struct mu_span id, node, address, error, leader, damage;
    uint64_t epoch, last_term, last_index, applied_index;
    bool is_voter, answers, is_new, is_old;
};

struct look {
    struct mu_objects servers; /* struct server */
    struct mu_span chosen, refusal;
    uint64_t unsure;
    bool can_be_forced, may_pass;
};

#define AT(type, member) offsetof(struct type, member)
// clang-format off
static const struct mu_json_field server_fields[] = {
    { .name = "ID",           .as = MU_JSON_AS_TEXT, .offset = AT(server, id) },
    { .name = "Node",         .as = MU_JSON_AS_TEXT, .offset = AT(server, node) },
    { .name = "Address",      .as = MU_JSON_AS_TEXT, .offset = AT(server, address) },
    { .name = "Voter",        .as = MU_JSON_AS_BOOL, .offset = AT(server, is_voter) },
    { .name = "Answers",      .as = MU_JSON_AS_BOOL, .offset = AT(server, answers) },
    { .name = "Error",        .as = MU_JSON_AS_TEXT, .offset = AT(server, error) },
    { .name = "New",          .as = MU_JSON_AS_BOOL, .offset = AT(server, is_new) },
    { .name = "Old",          .as = MU_JSON_AS_BOOL, .offset = AT(server, is_old) },
    { .name = "Leader",       .as = MU_JSON_AS_TEXT, .offset = AT(server, leader) },
    { .name = "Epoch",        .as = MU_JSON_AS_UINT, .offset = AT(server, epoch) },
    { .name = "LastTerm",     .as = MU_JSON_AS_UINT, .offset = AT(server, last_term) },
    { .name = "LastIndex",    .as = MU_JSON_AS_UINT, .offset = AT(server, last_index) },
    { .name = "AppliedIndex", .as = MU_JSON_AS_UINT, .offset = AT(server, applied_index) },
    { .name = "Damage",       .as = MU_JSON_AS_TEXT, .offset = AT(server, damage) },
};
static const struct mu_json_shape server_shape = CLI_SHAPE(server_fields, struct server);

static const struct mu_json_field look_fields[] = {
    { .name = "Servers",     .as = MU_JSON_AS_OBJECTS, .offset = AT(look, servers), .of = &server_shape },
    { .name = "Chosen",      .as = MU_JSON_AS_TEXT,    .offset = AT(look, chosen) },
    { .name = "Unsure",      .as = MU_JSON_AS_UINT,    .offset = AT(look, unsure) },
    { .name = "Refusal",     .as = MU_JSON_AS_TEXT,    .offset = AT(look, refusal) },
    { .name = "CanBeForced", .as = MU_JSON_AS_BOOL,    .offset = AT(look, can_be_forced) },
    { .name = "MayPass",     .as = MU_JSON_AS_BOOL,    .offset = AT(look, may_pass) },
};
static const struct mu_json_shape look_shape = CLI_SHAPE(look_fields, struct look);
// clang-format on
#undef AT

/* -- looking ----------------------------------------------------------------------------------- */

static bool ask(struct cli *cli, const struct recover_live *wish, struct look *out,
                struct mu_arena *arena, struct mu_err *err)
{
    struct cli_call c;
    enum mu_code rc = MU_OK;

    *out = (struct look){ .unsure = 0 };
    cli_call_init(&c, "GET", ROUTE);
    if (wish->server != NULL) {
        cli_call_param(&c, "server", wish->server);
    }
    if (wish->is_forced) {
        cli_call_param(&c, "force", NULL);
    }
    if (!cli_send(cli, &c)) {
        rc = mu_fail(err, MU_UNREACHABLE, "%s", c.error);
    } else {
        rc = mu_json_read(mu_buf_span(&c.answer), &look_shape, out, arena, err);
    }
    cli_call_deinit(&c);
    return rc == MU_OK;
}

/* What perhaps passes is given a moment. */
static bool look(struct cli *cli, const struct recover_live *wish, struct look *out,
                 struct mu_arena *arena, struct mu_err *err)
{
    uint64_t began_ms = mu_clock_ms();
    bool was_told = false;

    for (;;) {
        if (!ask(cli, wish, out, arena, err)) {
            return false;
        }
        if (!out->may_pass || mu_clock_ms() - began_ms >= PASSING_MS) {
            return true;
        }
        if (!was_told) {
            (void)fprintf(cli->out, "Waiting, for this may pass: %.*s\n",
                          MU_SPAN_FMT(out->refusal));
            (void)fflush(cli->out);
            was_told = true;
        }
        cli_pause(PAUSE_MS);
    }
}

static const struct server *server_find(const struct look *l, struct mu_span id)
{
    const struct server *servers = l->servers.items;

    for (size_t i = 0; i < l->servers.count; i++) {
        if (id.bytes > 0 && mu_span_eq(servers[i].id, id)) {
            return &servers[i];
        }
    }
    return NULL;
}

/* -- what is said ------------------------------------------------------------------------------ */

static struct mu_span name_of(const struct server *s)
{
    return s->node.bytes > 0 ? s->node : s->address.bytes > 0 ? s->address : s->id;
}

static void cell_number(struct cli_table *t, bool is_known, uint64_t number)
{
    char text[24] = "-";

    if (is_known) {
        (void)snprintf(text, sizeof text, "%" PRIu64, number);
    }
    cli_table_cell(t, text);
}

static void cell_state(struct cli_table *t, const struct look *l, const struct server *s)
{
    struct mu_buf text = MU_BUF_NONE;
    const struct server *leader = server_find(l, s->leader);

    if (!s->answers) {
        mu_buf_addf(&text, "no answer: %.*s", MU_SPAN_FMT(s->error));
    } else if (s->is_new) {
        mu_buf_add_text(&text, "new, holds nothing");
    } else if (s->is_old) {
        mu_buf_add_text(&text, "of an older epoch, can only join as new");
    } else if (s->damage.bytes > 0) {
        mu_buf_addf(&text, "cannot go on: %.*s", MU_SPAN_FMT(s->damage));
    } else if (leader == s) {
        mu_buf_add_text(&text, "leads");
    } else if (leader != NULL) {
        mu_buf_addf(&text, "follows %.*s", MU_SPAN_FMT(name_of(leader)));
    } else {
        mu_buf_add_text(&text, "answers, has no leader");
    }
    cli_table_cell_span(t, mu_buf_span(&text));
    mu_buf_deinit(&text);
}

static void print_servers(struct cli *cli, const struct look *l)
{
    static const char *const heads[] = { "Node",  "Address", "Voter", "Term",
                                         "Entry", "Applied", "State" };
    const struct server *s = l->servers.items;
    struct cli_table t;

    cli_table_init(&t, MU_LEN(heads), 2);
    for (size_t i = 0; i < MU_LEN(heads); i++) {
        cli_table_cell(&t, heads[i]);
    }
    for (size_t i = 0; i < l->servers.count; i++, s++) {
        bool holds = s->answers && !s->is_new;

        cli_table_cell_span(&t, s->node.bytes > 0 ? s->node : MU_SPAN_LIT("(unknown)"));
        cli_table_cell_span(&t, s->address.bytes > 0 ? s->address : MU_SPAN_LIT("-"));
        cli_table_cell(&t, s->is_voter ? "yes" : "no");
        cell_number(&t, holds, s->last_term);
        cell_number(&t, holds, s->last_index);
        cell_number(&t, holds, s->applied_index);
        cell_state(&t, l, s);
    }
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

/* "s2, s3": those that answer, or those that do not, but for the chosen one. */
static void add_names(const struct look *l, bool answers, struct mu_buf *to)
{
    const struct server *s = l->servers.items;

    for (size_t i = 0; i < l->servers.count; i++, s++) {
        if (s->answers == answers && !s->is_new && !mu_span_eq(s->id, l->chosen)) {
            mu_buf_addf(to, "%s%.*s", to->bytes > 0 ? ", " : "", MU_SPAN_FMT(name_of(s)));
        }
    }
}

static void print_plan(struct cli *cli, const struct look *l, const struct server *chosen)
{
    struct mu_buf reached = MU_BUF_NONE, lost = MU_BUF_NONE;

    add_names(l, true, &reached);
    add_names(l, false, &lost);
    (void)fprintf(cli->out,
                  "\nThe cluster goes on from %.*s alone, in a new epoch. All %" PRIu64
                  " entries of its log count as\ncommitted from then on",
                  MU_SPAN_FMT(name_of(chosen)), chosen->last_index);
    if (l->unsure > 0) {
        (void)fprintf(cli->out, ", also the last %" PRIu64 ", which perhaps never were", l->unsure);
    }
    (void)fputs(".\n", cli->out);
    if (lost.bytes > 0) {
        (void)fprintf(
            cli->out,
            "Lost is what was written to %s only; and what they write from now on, should\n"
            "they run behind a broken network. What comes back of them is refused, and can\n"
            "only join as new.\n",
            mu_buf_text(&lost));
    }
    if (reached.bytes > 0) {
        (void)fprintf(cli->out,
                      "Set aside, and kept on disk, is what %s holds; by itself it joins as new.\n",
                      mu_buf_text(&reached));
    }
    mu_buf_deinit(&reached);
    mu_buf_deinit(&lost);
}

bool recover_agrees(struct cli *cli)
{
    char answer[16] = "";

    (void)fputs("\nThis cannot be taken back. Type yes to go on: ", cli->out);
    (void)fflush(cli->out);
    return fgets(answer, sizeof answer, cli->in) != NULL && strcmp(answer, "yes\n") == 0;
}

/* -- doing it ---------------------------------------------------------------------------------- */

static void param_number(struct cli_call *c, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    cli_call_param(c, name, text);
}

/* False: certainly not, and said why. An answer that got lost says nothing. */
static bool begin(struct cli *cli, const struct recover_live *wish, const struct server *chosen)
{
    struct mu_buf id = MU_BUF_NONE;
    struct cli_call c;

    mu_buf_add_span(&id, chosen->id);
    cli_call_init(&c, "PUT", ROUTE);
    cli_call_param(&c, "server", mu_buf_text(&id));
    param_number(&c, "index", chosen->last_index);
    param_number(&c, "term", chosen->last_term);
    if (wish->is_forced) {
        cli_call_param(&c, "force", NULL);
    }
    bool has_begun = cli_send(cli, &c);
    bool is_refused = !has_begun && c.status >= 400 && c.status < 500;

    if (is_refused) {
        (void)cli_fail(cli, "Error: %.*s", MU_SPAN_FMT(mu_buf_span(&c.answer)));
    } else if (!has_begun) {
        (void)fprintf(cli->out, "No answer (%s): it may have begun all the same.\n", c.error);
    }
    (void)fflush(cli->out);
    cli_call_deinit(&c);
    mu_buf_deinit(&id);
    return !is_refused;
}

static bool leads(const struct server *s, uint64_t epoch_before)
{
    return s != NULL && s->answers && s->epoch > epoch_before && mu_span_eq(s->leader, s->id);
}

static void print_led(struct cli *cli, const struct look *l, uint64_t ms)
{
    struct mu_buf reached = MU_BUF_NONE, lost = MU_BUF_NONE;

    add_names(l, true, &reached);
    add_names(l, false, &lost);
    (void)fprintf(cli->out, "%.*s leads after %.1f s.\n",
                  MU_SPAN_FMT(name_of(server_find(l, l->chosen))), (double)ms / 1000);
    if (reached.bytes > 0) {
        (void)fprintf(cli->out, "To see %s join again: muster operator raft list-peers\n",
                      mu_buf_text(&reached));
    }
    if (lost.bytes > 0) {
        (void)fprintf(cli->out,
                      "To start %s again: muster recover -rejoin -data-dir DIR there first, unless "
                      "DIR is gone\n",
                      mu_buf_text(&lost));
    }
    mu_buf_deinit(&reached);
    mu_buf_deinit(&lost);
}

/* The agent that is asked may be starting over itself. */
static int wait_until_it_leads(struct cli *cli, const struct look *l)
{
    const struct server *chosen = server_find(l, l->chosen);
    const struct recover_live any = { .server = NULL };
    uint64_t began_ms = mu_clock_ms();
    struct mu_err err = MU_ERR_NONE;

    (void)fprintf(cli->out, "%.*s starts over ...\n", MU_SPAN_FMT(name_of(chosen)));
    (void)fflush(cli->out);
    while (mu_clock_ms() - began_ms < LEADING_MS) {
        struct mu_arena arena;
        struct look now;

        err = MU_ERR_NONE; /* of the last question only */
        mu_arena_init(&arena, 0);
        bool is_done = ask(cli, &any, &now, &arena, &err) &&
                       leads(server_find(&now, chosen->id), chosen->epoch);

        mu_arena_deinit(&arena);
        if (is_done) {
            print_led(cli, l, mu_clock_ms() - began_ms);
            return 0;
        }
        cli_pause(PAUSE_MS);
    }
    return cli_fail(cli,
                    "Error: %.*s does not lead after %d s. Its log says why; once it runs, muster "
                    "recover says what there is%s%s",
                    MU_SPAN_FMT(name_of(chosen)), LEADING_MS / 1000, err.code != MU_OK ? ". " : "",
                    err.text);
}

static int go_on(struct cli *cli, const struct recover_live *wish, const struct look *l)
{
    const struct server *chosen = server_find(l, l->chosen);

    print_servers(cli, l);
    if (l->refusal.bytes > 0 || chosen == NULL) {
        return cli_fail(cli, "\nError: %.*s%s", MU_SPAN_FMT(l->refusal),
                        l->can_be_forced ? "\n-force goes on all the same" : "");
    }
    print_plan(cli, l, chosen);
    if (!wish->is_agreed && !recover_agrees(cli)) {
        return cli_fail(cli, "Nothing was changed");
    }
    return begin(cli, wish, chosen) ? wait_until_it_leads(cli, l) : 1;
}

int recover_live(struct cli *cli, const struct recover_live *wish)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct look l;
    int status;

    mu_arena_init(&arena, 0);
    if (look(cli, wish, &l, &arena, &err)) {
        status = go_on(cli, wish, &l);
    } else {
        status = cli_fail(cli,
                          "Error asking for the servers: %s\nOf a server that does not run: muster "
                          "recover -data-dir DIR",
                          err.text);
    }
    mu_arena_deinit(&arena);
    return status;
}
