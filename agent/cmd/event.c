/* muster event */
#include "base/assert.h"
#include "commands.h"

struct options {
    const char *name, *node, *service, *tag;
};

static const struct cli_option rows[] = {
    { "name", CLI_TEXT, offsetof(struct options, name), "Name of the event." },
    { "node", CLI_TEXT, offsetof(struct options, node), "Only nodes whose name matches." },
    { "service", CLI_TEXT, offsetof(struct options, service),
      "Only nodes with a service whose id matches." },
    { "tag", CLI_TEXT, offsetof(struct options, tag),
      "Only nodes where such a service has a tag that matches." },
};

const struct cli_options cmd_event_options = CLI_OPTIONS(rows, struct options);

struct fired {
    struct mu_span id;
};

static const struct mu_json_field fired_fields[] = {
    { "ID", { NULL }, MU_JSON_AS_TEXT, offsetof(struct fired, id), NULL },
};

static const struct mu_json_shape fired_shape = CLI_SHAPE(fired_fields, struct fired);

static void add_param(struct cli_call *c, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        cli_call_param(c, name, value);
    }
}

static int print_id(struct cli *cli, const struct cli_call *c)
{
    struct fired fired = { MU_SPAN_NONE };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    if (mu_json_read(mu_buf_span(&c->answer), &fired_shape, &fired, &arena, &err) == MU_OK) {
        (void)fprintf(cli->out, "Event ID: %.*s\n", MU_SPAN_FMT(fired.id));
    } else {
        status = cli_fail(cli, "Error firing event: %s", err.text);
    }
    mu_arena_deinit(&arena);
    return status;
}

int cmd_event(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct cli_call c;
    int status;

    if (o->name == NULL || o->name[0] == '\0') {
        return cli_fail(cli, "Event name must be specified");
    }
    if (argc > 1) {
        return cli_fail(cli, "Too many command line arguments.");
    }
    cli_call_init(&c, "PUT", "/v1/event/fire/");
    cli_call_add(&c, o->name, false);
    add_param(&c, "node", o->node);
    add_param(&c, "service", o->service);
    add_param(&c, "tag", o->tag);
    c.body = argc == 1 ? mu_span_text(argv[0]) : MU_SPAN_NONE;
    status =
        cli_send(cli, &c) ? print_id(cli, &c) : cli_fail(cli, "Error firing event: %s", c.error);
    cli_call_deinit(&c);
    return status;
}
