/* muster services deregister */
#include "agent/config.h"
#include "base/assert.h"
#include "commands.h"

struct options {
    const char *id;
};

static const struct cli_option rows[] = {
    { "id", CLI_TEXT, offsetof(struct options, id), "Id of the service." },
};

const struct cli_options cmd_services_deregister_options = CLI_OPTIONS(rows, struct options);

static int deregister_one(struct cli *cli, const char *id)
{
    struct cli_call c;
    int status = 0;

    cli_call_init(&c, "PUT", "/v1/agent/service/deregister/");
    cli_call_add(&c, id, false);
    if (cli_send(cli, &c)) {
        (void)fprintf(cli->out, "Deregistered service: %s\n", id);
    } else {
        status = cli_fail(cli, "Error deregistering service \"%s\": %s", id, c.error);
    }
    cli_call_deinit(&c);
    return status;
}

static int deregister_file(struct cli *cli, const char *path, struct mu_arena *arena)
{
    struct service_definition *services = NULL;
    struct mu_err err = MU_ERR_NONE;
    size_t count = 0;
    int status = 0;

    if (config_services(path, arena, &services, &count, &err) != MU_OK) {
        return cli_fail(cli, "Error: %s", err.text);
    }
    for (size_t i = 0; status == 0 && i < count; i++) {
        status =
            deregister_one(cli, mu_arena_text(arena, services[i].id.data, services[i].id.bytes));
    }
    return status;
}

int cmd_services_deregister(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct mu_arena arena;
    int status = 0;

    if (argc == 0 && o->id == NULL) {
        return cli_fail(cli, "Service deregistration requires at least one argument or -id.");
    }
    if (argc > 0 && o->id != NULL) {
        return cli_fail(cli, "Service deregistration requires arguments or -id, not both.");
    }
    if (o->id != NULL) {
        return deregister_one(cli, o->id);
    }
    mu_arena_init(&arena, 0);
    for (int i = 0; status == 0 && i < argc; i++) {
        status = deregister_file(cli, argv[i], &arena);
    }
    mu_arena_deinit(&arena);
    return status;
}
