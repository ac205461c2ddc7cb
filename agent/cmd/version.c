/* muster version: what Consul's clients and harnesses look for, and which muster it is. */
#include <string.h>

#include "agent/agent.h"
#include "base/assert.h"
#include "commands.h"

#define PROTOCOL     2
#define PROTOCOL_MAX 3

struct options {
    const char *format;
};

static const struct cli_option rows[] = {
    { "format", CLI_TEXT, offsetof(struct options, format), "pretty or json; default: pretty." },
};

const struct cli_options cmd_version_options = CLI_OPTIONS(rows, struct options);

static void print_pretty(FILE *to)
{
    (void)fprintf(to, "Consul v%s\nRevision muster-%s\n", AGENT_CONSUL_VERSION,
                  AGENT_MUSTER_VERSION);
    (void)fprintf(to,
                  "Protocol %d spoken by default, understands %d to %d (agent will automatically "
                  "use protocol >%d when speaking to compatible agents)\n\n",
                  PROTOCOL, PROTOCOL, PROTOCOL_MAX, PROTOCOL);
}

/* Indented by 3, as the reference writes it; nothing in it needs escaping. */
static void print_json(FILE *to)
{
    (void)fprintf(to,
                  "{\n   \"Version\": \"%s\",\n   \"Revision\": \"muster-%s\",\n   \"Prerelease\": "
                  "\"\",\n   \"RPC\": {\n      \"Default\": %d,\n      \"Min\": %d,\n      "
                  "\"Max\": %d\n   }\n}\n",
                  AGENT_CONSUL_VERSION, AGENT_MUSTER_VERSION, PROTOCOL, PROTOCOL, PROTOCOL_MAX);
}

int cmd_version(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (o->format == NULL || strcmp(o->format, "pretty") == 0) {
        print_pretty(cli->out);
        return 0;
    }
    if (strcmp(o->format, "json") == 0) {
        print_json(cli->out);
        return 0;
    }
    return cli_fail(cli, "Unknown format: %s. Valid formats are: pretty, json", o->format);
}
