/* muster doctor */
#include "base/assert.h"
#include "commands.h"

struct link {
    struct mu_span from, to, seen_by, tcp;
};

struct answer {
    uint64_t members;
    struct mu_texts silent;
    struct mu_objects links; /* struct link */
    bool has_more;
};

#define AT(member) offsetof(struct link, member)
static const struct mu_json_field link_fields[] = {
    { "From", { NULL }, MU_JSON_AS_TEXT, AT(from), NULL },
    { "To", { NULL }, MU_JSON_AS_TEXT, AT(to), NULL },
    { "SeenBy", { NULL }, MU_JSON_AS_TEXT, AT(seen_by), NULL },
    { "TCP", { NULL }, MU_JSON_AS_TEXT, AT(tcp), NULL },
};
#undef AT

static const struct mu_json_shape link_shape = { .fields = link_fields,
                                                 .fields_count = MU_LEN(link_fields),
                                                 .bytes = sizeof(struct link),
                                                 .is_loose = true };

#define AT(member) offsetof(struct answer, member)
static const struct mu_json_field answer_fields[] = {
    { "Members", { NULL }, MU_JSON_AS_UINT, AT(members), NULL },
    { "Silent", { NULL }, MU_JSON_AS_TEXTS, AT(silent), NULL },
    { "Links", { NULL }, MU_JSON_AS_OBJECTS, AT(links), &link_shape },
    { "HasMore", { NULL }, MU_JSON_AS_BOOL, AT(has_more), NULL },
};
#undef AT

static const struct mu_json_shape answer_shape = { .fields = answer_fields,
                                                   .fields_count = MU_LEN(answer_fields),
                                                   .bytes = sizeof(struct answer),
                                                   .is_loose = true };

static bool is_same(const struct link *a, const struct link *b)
{
    return mu_span_eq(a->from, b->from) && mu_span_eq(a->to, b->to);
}

/* What the two ends of a way say of it, on one line. */
static void print_link(struct cli *cli, const struct link *links, size_t count, size_t at)
{
    const struct link *l = &links[at];
    const char *separator = "";

    for (size_t i = 0; i < at; i++) {
        if (is_same(&links[i], l)) {
            return; /* said before */
        }
    }
    (void)fprintf(cli->out, "UDP %.*s -> %.*s: nothing arrives (seen by ", MU_SPAN_FMT(l->from),
                  MU_SPAN_FMT(l->to));
    for (size_t i = at; i < count; i++) {
        if (is_same(&links[i], l)) {
            bool is_known = !mu_span_eq_text(links[i].tcp, "unknown");

            (void)fprintf(cli->out, "%s%.*s%s%.*s", separator, MU_SPAN_FMT(links[i].seen_by),
                          is_known ? ", where TCP is " : "",
                          MU_SPAN_FMT(is_known ? links[i].tcp : MU_SPAN_NONE));
            separator = "; ";
        }
    }
    (void)fprintf(cli->out,
                  ").\n    Let UDP port 8301 (ports.serf_lan) pass from %.*s to %.*s: "
                  "firewalls, security groups, NAT.\n",
                  MU_SPAN_FMT(l->from), MU_SPAN_FMT(l->to));
}

static int print_diagnosis(struct cli *cli, const struct answer *a)
{
    const struct link *links = a->links.items;

    for (size_t i = 0; i < a->links.count; i++) {
        print_link(cli, links, a->links.count, i);
    }
    for (size_t i = 0; i < a->silent.count; i++) {
        (void)fprintf(cli->out,
                      "%.*s: does not answer, though it counts as alive: stopped or starved, or "
                      "no way to it and back.\n",
                      MU_SPAN_FMT(a->silent.items[i]));
    }
    if (a->has_more) {
        (void)fprintf(cli->out, "There are more: some members see more than they can tell.\n");
    }
    if (a->links.count == 0 && a->silent.count == 0) {
        (void)fprintf(cli->out, "%llu members answered, every way between them carries.\n",
                      (unsigned long long)a->members);
        return 0;
    }
    return 1;
}

int cmd_doctor(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct answer answer = { .members = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_arena arena;
    struct cli_call c;
    int status = 1;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_fail(cli, "Too many arguments (expected 0, got %d)", argc);
    }
    mu_arena_init(&arena, 0);
    cli_call_init(&c, "GET", "/v1/agent/links");
    if (!cli_send(cli, &c)) {
        (void)cli_fail(cli, "Error asking the members: %s", c.error);
    } else if (mu_json_parse(&root, mu_buf_span(&c.answer), true, &err) != MU_OK ||
               mu_json_decode(root, &answer_shape, &answer, &arena, &err) != MU_OK) {
        (void)cli_fail(cli, "Error asking the members: %s", err.text);
    } else {
        status = print_diagnosis(cli, &answer);
    }
    mu_json_free(root);
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}
