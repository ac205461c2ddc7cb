/* muster maint: maintenance mode of the agent's node, or of one of its services. */
#include <stddef.h>

#include "base/assert.h"
#include "commands.h"

struct options {
    const char *service, *reason;
    bool enable, disable;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "enable",  CLI_BOOL, AT(enable),  "Take the node or the service out of use." },
    { "disable", CLI_BOOL, AT(disable), "Put it back." },
    { "service", CLI_TEXT, AT(service), "Of the service with this id instead of the node." },
    { "reason",  CLI_TEXT, AT(reason),  "Why, for whoever looks at its checks." },
}; // clang-format on

const struct cli_options cmd_maint_options = CLI_OPTIONS(rows, struct options);

/* -- what is in maintenance -------------------------------------------------------------------- */

static struct mu_span member(const struct mu_json *check, const char *name)
{
    const struct mu_json *v =
        mu_json_kind_of(check) == MU_JSON_OBJECT ? mu_json_find(check, name) : NULL;

    return v != NULL && mu_json_kind_of(v) == MU_JSON_STRING ? mu_json_string(v) : MU_SPAN_NONE;
}

static void print_check(struct cli *cli, const struct mu_json *check)
{
    struct mu_span id = member(check, "CheckID"), notes = member(check, "Notes");

    if (mu_span_eq_text(id, "_node_maintenance")) {
        (void)fprintf(cli->out, "Node:\n  Name:   %.*s\n  Reason: %.*s\n\n",
                      MU_SPAN_FMT(member(check, "Node")), MU_SPAN_FMT(notes));
    } else if (mu_span_starts(id, MU_SPAN_LIT("_service_maintenance:"))) {
        (void)fprintf(cli->out, "Service:\n  ID:     %.*s\n  Reason: %.*s\n\n",
                      MU_SPAN_FMT(member(check, "ServiceID")), MU_SPAN_FMT(notes));
    }
}

static int list(struct cli *cli)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_json_at at = { 0 };
    struct cli_call c;
    int status = 0;

    cli_call_init(&c, "GET", "/v1/agent/checks");
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error getting checks: %s", c.error);
    } else if (mu_json_parse(&root, mu_buf_span(&c.answer), true, &err) != MU_OK) {
        status = cli_fail(cli, "Error getting checks: %s", err.text);
    } else if (mu_json_kind_of(root) == MU_JSON_OBJECT) {
        while (mu_json_next(root, &at)) {
            print_check(cli, at.value);
        }
    }
    mu_json_free(root);
    cli_call_deinit(&c);
    return status;
}

/* -- changing it ------------------------------------------------------------------------------- */

static int change(struct cli *cli, const struct options *o)
{
    const char *what = o->service != NULL ? "service" : "node";
    struct cli_call c;
    int status = 0;

    cli_call_init(&c, "PUT",
                  o->service != NULL ? "/v1/agent/service/maintenance/" : "/v1/agent/maintenance");
    if (o->service != NULL) {
        cli_call_add(&c, o->service, false);
    }
    cli_call_param(&c, "enable", o->enable ? "true" : "false");
    if (o->reason != NULL) {
        cli_call_param(&c, "reason", o->reason);
    }
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error %s %s maintenance: %s", o->enable ? "enabling" : "disabling",
                          what, c.error);
    } else if (o->service != NULL) {
        (void)fprintf(cli->out, "Service maintenance is now %s for \"%s\"\n",
                      o->enable ? "enabled" : "disabled", o->service);
    } else {
        (void)fprintf(cli->out, "Node maintenance is now %s\n", o->enable ? "enabled" : "disabled");
    }
    cli_call_deinit(&c);
    return status;
}

int cmd_maint(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (o->enable && o->disable) {
        return cli_fail(cli, "Only one of -enable or -disable may be provided");
    }
    if (!o->enable && o->reason != NULL) {
        return cli_fail(cli, "Reason may only be provided with -enable");
    }
    if (!o->enable && !o->disable && o->service != NULL) {
        return cli_fail(cli, "Service requires either -enable or -disable");
    }
    return o->enable || o->disable ? change(cli, o) : list(cli);
}
