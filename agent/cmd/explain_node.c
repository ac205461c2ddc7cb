/* muster explain node */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "commands.h"

#define DIFFERENT_MAX 8 /* members that see it otherwise, shown in full */

struct change {
    struct mu_span what, by, evidence;
    uint64_t ago_ms, incarnation, asked, refused, answered;
};

struct suspicion {
    struct mu_span evidence;
    uint64_t confirmations, wanted, deadline_in_ms;
};

struct account {
    struct mu_span seen_by, status, state;
    bool is_known, has_more;
    uint64_t for_ms, incarnation, rtt_us, missed, health;
    const struct mu_json *acked_ago_ms, *heard_ago_ms; /* a number, or null */
    struct suspicion suspicion;
    struct mu_objects changes; /* struct change */
};

struct leader {
    struct mu_span name, check, plan;
    uint64_t in_ms, failed, members;
};

struct answer {
    struct mu_span node;
    struct mu_objects accounts; /* struct account; the agent's that was asked is the first */
    struct leader leader;
    struct mu_texts silent;
};

/* -- what comes -------------------------------------------------------------------------------- */

#define AT(type, member) offsetof(struct type, member)
// clang-format off
static const struct mu_json_field change_fields[] = {
    { "Change",      { NULL }, MU_JSON_AS_TEXT, AT(change, what), NULL },
    { "By",          { NULL }, MU_JSON_AS_TEXT, AT(change, by), NULL },
    { "Evidence",    { NULL }, MU_JSON_AS_TEXT, AT(change, evidence), NULL },
    { "AgoMs",       { NULL }, MU_JSON_AS_UINT, AT(change, ago_ms), NULL },
    { "Incarnation", { NULL }, MU_JSON_AS_UINT, AT(change, incarnation), NULL },
    { "Asked",       { NULL }, MU_JSON_AS_UINT, AT(change, asked), NULL },
    { "Refused",     { NULL }, MU_JSON_AS_UINT, AT(change, refused), NULL },
    { "Answered",    { NULL }, MU_JSON_AS_UINT, AT(change, answered), NULL },
};
static const struct mu_json_shape change_shape = CLI_SHAPE(change_fields, struct change);

static const struct mu_json_field suspicion_fields[] = {
    { "Evidence",      { NULL }, MU_JSON_AS_TEXT, AT(suspicion, evidence), NULL },
    { "Confirmations", { NULL }, MU_JSON_AS_UINT, AT(suspicion, confirmations), NULL },
    { "Wanted",        { NULL }, MU_JSON_AS_UINT, AT(suspicion, wanted), NULL },
    { "DeadlineInMs",  { NULL }, MU_JSON_AS_UINT, AT(suspicion, deadline_in_ms), NULL },
};
static const struct mu_json_shape suspicion_shape = CLI_SHAPE(suspicion_fields, struct suspicion);

static const struct mu_json_field account_fields[] = {
    { "SeenBy",      { NULL }, MU_JSON_AS_TEXT,    AT(account, seen_by), NULL },
    { "Known",       { NULL }, MU_JSON_AS_BOOL,    AT(account, is_known), NULL },
    { "Status",      { NULL }, MU_JSON_AS_TEXT,    AT(account, status), NULL },
    { "State",       { NULL }, MU_JSON_AS_TEXT,    AT(account, state), NULL },
    { "ForMs",       { NULL }, MU_JSON_AS_UINT,    AT(account, for_ms), NULL },
    { "Incarnation", { NULL }, MU_JSON_AS_UINT,    AT(account, incarnation), NULL },
    { "AckedAgoMs",  { NULL }, MU_JSON_AS_VALUE,   AT(account, acked_ago_ms), NULL },
    { "HeardAgoMs",  { NULL }, MU_JSON_AS_VALUE,   AT(account, heard_ago_ms), NULL },
    { "RttUs",       { NULL }, MU_JSON_AS_UINT,    AT(account, rtt_us), NULL },
    { "Missed",      { NULL }, MU_JSON_AS_UINT,    AT(account, missed), NULL },
    { "Health",      { NULL }, MU_JSON_AS_UINT,    AT(account, health), NULL },
    { "Suspicion",   { NULL }, MU_JSON_AS_OBJECT,  AT(account, suspicion), &suspicion_shape },
    { "Changes",     { NULL }, MU_JSON_AS_OBJECTS, AT(account, changes), &change_shape },
    { "HasMore",     { NULL }, MU_JSON_AS_BOOL,    AT(account, has_more), NULL },
};
static const struct mu_json_shape account_shape = CLI_SHAPE(account_fields, struct account);

static const struct mu_json_field leader_fields[] = {
    { "Name",    { NULL }, MU_JSON_AS_TEXT, AT(leader, name), NULL },
    { "Check",   { NULL }, MU_JSON_AS_TEXT, AT(leader, check), NULL },
    { "Plan",    { NULL }, MU_JSON_AS_TEXT, AT(leader, plan), NULL },
    { "InMs",    { NULL }, MU_JSON_AS_UINT, AT(leader, in_ms), NULL },
    { "Failed",  { NULL }, MU_JSON_AS_UINT, AT(leader, failed), NULL },
    { "Members", { NULL }, MU_JSON_AS_UINT, AT(leader, members), NULL },
};
static const struct mu_json_shape leader_shape = CLI_SHAPE(leader_fields, struct leader);

static const struct mu_json_field answer_fields[] = {
    { "Node",     { NULL }, MU_JSON_AS_TEXT,    AT(answer, node), NULL },
    { "Accounts", { NULL }, MU_JSON_AS_OBJECTS, AT(answer, accounts), &account_shape },
    { "Leader",   { NULL }, MU_JSON_AS_OBJECT,  AT(answer, leader), &leader_shape },
    { "Silent",   { NULL }, MU_JSON_AS_TEXTS,   AT(answer, silent), NULL },
};
static const struct mu_json_shape answer_shape = CLI_SHAPE(answer_fields, struct answer);
// clang-format on
#undef AT

/* -- in words ---------------------------------------------------------------------------------- */

static const char *evidence_text(struct mu_span evidence)
{
    static const char *const texts[][2] = {
        { "refused", "its host refuses connections: the process has ended" },
        { "stalled", "its kernel takes connections, the process does not answer" },
        { "silent", "nothing comes back from its host" },
        { "open", "its TCP port answers" },
    };

    for (size_t i = 0; i < MU_LEN(texts); i++) {
        if (mu_span_eq_text(evidence, texts[i][0])) {
            return texts[i][1];
        }
    }
    return "TCP has not said anything yet";
}

static void print_change(struct cli *cli, const struct change *c, struct mu_span seer)
{
    FILE *to = cli->out;

    (void)fprintf(to, "    %8.1f s ago  ", (double)c->ago_ms / 1000);
    if (mu_span_eq_text(c->what, "missed")) {
        (void)fprintf(to, "did not answer a probe of %.*s: %s", MU_SPAN_FMT(seer),
                      evidence_text(c->evidence));
        if (c->asked > 0) {
            (void)fprintf(to,
                          "; of %" PRIu64 " asked for help %" PRIu64
                          " did not get through either, %" PRIu64 " refused",
                          c->asked, c->answered, c->refused);
        }
    } else if (mu_span_eq_text(c->what, "suspected") || mu_span_eq_text(c->what, "confirmed")) {
        (void)fprintf(to, "suspected by %.*s%s: %s", MU_SPAN_FMT(c->by),
                      mu_span_eq_text(c->what, "confirmed") ? " too" : "",
                      evidence_text(c->evidence));
    } else if (mu_span_eq_text(c->what, "dead")) {
        (void)fprintf(to, "declared dead by %.*s: nobody heard it deny that in time",
                      MU_SPAN_FMT(c->by));
    } else if (mu_span_eq_text(c->what, "refuted")) {
        (void)fprintf(to, "denied it%s%.*s, incarnation %" PRIu64,
                      c->by.bytes > 0 ? ", accused by " : ": it lives", MU_SPAN_FMT(c->by),
                      c->incarnation);
    } else if (mu_span_eq_text(c->what, "returned")) {
        (void)fprintf(to, "came back, incarnation %" PRIu64, c->incarnation);
    } else { /* leaving, left */
        (void)fprintf(to, "%.*s%s", MU_SPAN_FMT(c->what),
                      mu_span_eq_text(c->what, "left") ? ": it said so, or was forced to" : "");
    }
    (void)fprintf(to, "\n");
}

static void print_ago(struct cli *cli, const char *what, const struct mu_json *ms)
{
    if (ms == NULL || mu_json_kind_of(ms) == MU_JSON_NULL) {
        (void)fprintf(cli->out, "    %s: never\n", what);
    } else {
        (void)fprintf(cli->out, "    %s: %.1f s ago\n", what, (double)mu_json_int(ms) / 1000);
    }
}

static void print_suspicion(struct cli *cli, const struct suspicion *s)
{
    if (s->evidence.bytes == 0) {
        return; /* it is not suspected */
    }
    (void)fprintf(cli->out, "    suspected: %s; dead in %.1f s unless it denies that",
                  evidence_text(s->evidence), (double)s->deadline_in_ms / 1000);
    if (s->wanted > 0) {
        (void)fprintf(cli->out, ", sooner with confirmations: %" PRIu64 " of %" PRIu64,
                      s->confirmations, s->wanted);
    }
    (void)fprintf(cli->out, "\n");
}

static void print_account(struct cli *cli, const struct answer *answer, const struct account *a)
{
    const struct change *changes = a->changes.items;
    bool is_own = mu_span_eq(a->seen_by, answer->node);

    (void)fprintf(cli->out, "%.*s is %.*s, as %s%.*s%s: %.*s for %.1f s, incarnation %" PRIu64 "\n",
                  MU_SPAN_FMT(answer->node), MU_SPAN_FMT(a->status), is_own ? "it sees itself" : "",
                  MU_SPAN_FMT(is_own ? MU_SPAN_NONE : a->seen_by), is_own ? "" : " sees it",
                  MU_SPAN_FMT(a->state), (double)a->for_ms / 1000, a->incarnation);
    if (!is_own) {
        print_ago(cli, "last answer to a probe", a->acked_ago_ms);
        print_ago(cli, "last datagram of it", a->heard_ago_ms);
        if (a->rtt_us > 0) {
            (void)fprintf(cli->out, "    round trip: %.3f ms\n", (double)a->rtt_us / 1000);
        }
        if (a->missed > 0) {
            (void)fprintf(cli->out, "    probes missed in a row: %" PRIu64 "\n", a->missed);
        }
        print_suspicion(cli, &a->suspicion);
    }
    if (a->health > 0) {
        (void)fprintf(cli->out,
                      "    %.*s distrusts itself (health score %" PRIu64 "): it is more patient\n",
                      MU_SPAN_FMT(a->seen_by), a->health);
    }
    if (a->has_more) {
        (void)fprintf(cli->out, "    (older changes are left out)\n");
    }
    for (size_t i = 0; i < a->changes.count; i++) {
        print_change(cli, &changes[i], a->seen_by);
    }
}

static bool is_alike(const struct account *a, const struct account *b)
{
    return a->is_known == b->is_known && mu_span_eq(a->status, b->status) &&
           mu_span_eq(a->state, b->state);
}

/* Those that agree are counted; the node itself, and who sees it otherwise, are shown. */
static void print_others(struct cli *cli, const struct answer *answer)
{
    const struct account *all = answer->accounts.items;
    size_t agree = 0;
    size_t differ = 0;

    for (size_t i = 1; i < answer->accounts.count; i++) {
        bool is_own = mu_span_eq(all[i].seen_by, answer->node);

        agree += is_alike(&all[i], &all[0]);
        if (is_alike(&all[i], &all[0]) && !is_own) {
            continue;
        }
        differ += !is_own;
        if (differ > DIFFERENT_MAX) {
            continue;
        }
        if (all[i].is_known) {
            print_account(cli, answer, &all[i]);
        } else {
            (void)fprintf(cli->out, "%.*s does not know it\n", MU_SPAN_FMT(all[i].seen_by));
        }
    }
    (void)fprintf(cli->out, "Of the others %zu see it alike, %zu otherwise, %zu do not answer.\n",
                  agree, answer->accounts.count - 1 - agree, answer->silent.count);
}

static void print_plan(struct cli *cli, const struct leader *l)
{
    double seconds = (double)l->in_ms / 1000;

    if (mu_span_eq_text(l->plan, "critical")) {
        (void)fprintf(cli->out, "it is removed in %.0f s (reconcile.remove_failed_after)", seconds);
    } else if (mu_span_eq_text(l->plan, "paused")) {
        (void)fprintf(cli->out,
                      "its removal is paused by self-preservation, %" PRIu64 " of %" PRIu64
                      " members are failed; for %.0f s at most",
                      l->failed, l->members, seconds);
    } else if (mu_span_eq_text(l->plan, "absent")) {
        (void)fprintf(cli->out, "gossip has not met it, it counts as failed in %.0f s", seconds);
    } else if (mu_span_eq_text(l->plan, "remove")) {
        (void)fprintf(cli->out, "it is being removed");
    } else if (mu_span_eq_text(l->plan, "removed")) {
        (void)fprintf(cli->out, "it was removed");
    } else if (mu_span_eq_text(l->plan, "self")) {
        (void)fprintf(cli->out, "a leader does not remove itself");
    } else if (mu_span_eq_text(l->plan, "keep")) {
        (void)fprintf(cli->out, "it stays");
    } else {
        (void)fprintf(cli->out, "nothing is to be done about it");
    }
}

static void print_leader(struct cli *cli, const struct leader *l)
{
    if (l->name.bytes == 0) {
        (void)fprintf(cli->out, "No leader said what the catalog holds.\n");
        return;
    }
    (void)fprintf(cli->out, "In the catalog, by the leader %.*s: %s%.*s; ", MU_SPAN_FMT(l->name),
                  mu_span_eq_text(l->check, "none") ? "no serfHealth" : "serfHealth ",
                  MU_SPAN_FMT(mu_span_eq_text(l->check, "none") ? MU_SPAN_NONE : l->check));
    print_plan(cli, l);
    (void)fprintf(cli->out, ".\n");
}

static void print_answer(struct cli *cli, const struct answer *answer)
{
    const struct account *own = answer->accounts.items;

    if (answer->accounts.count > 0) {
        if (own->is_known) {
            print_account(cli, answer, own);
        } else {
            (void)fprintf(cli->out, "%.*s does not know it\n", MU_SPAN_FMT(own->seen_by));
        }
        print_others(cli, answer);
    }
    print_leader(cli, &answer->leader);
}

int cmd_explain_node(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct answer answer = { .silent = { .count = 0 } };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_arena arena;
    struct cli_call c;
    int status = 0;

    (void)options;
    if (argc != 1) {
        return cli_fail(cli, "The name of one node is expected, got %d", argc);
    }
    mu_arena_init(&arena, 0);
    cli_call_init(&c, "GET", "/v1/agent/explain/node/");
    cli_call_add(&c, argv[0], false);
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error asking the members: %s", c.error);
    } else if (mu_json_parse(&root, mu_buf_span(&c.answer), true, &err) != MU_OK ||
               mu_json_decode(root, &answer_shape, &answer, &arena, &err) != MU_OK) {
        status = cli_fail(cli, "Error asking the members: %s", err.text);
    } else {
        print_answer(cli, &answer);
    }
    mu_json_free(root);
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}
