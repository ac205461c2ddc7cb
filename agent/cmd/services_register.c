/* muster services register */
#include <string.h>

#include "agent/config.h"
#include "base/addr.h"
#include "base/assert.h"
#include "commands.h"

struct options {
    const char *id, *name, *address, *kind;
    uint64_t port;
    struct cli_texts tags, meta, tagged;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "address",        CLI_TEXT,  AT(address), "Address of the service; default: the node's." },
    { "id",             CLI_TEXT,  AT(id),      "Id of the service; default: its name." },
    { "kind",           CLI_TEXT,  AT(kind),    "Kind of the service: empty, or a kind of proxy." },
    { "meta",           CLI_PAIRS, AT(meta),    "Metadata as key=value; repeatable." },
    { "name",           CLI_TEXT,  AT(name),    "Name of the service." },
    { "port",           CLI_U64,   AT(port),    "Port of the service." },
    { "tag",            CLI_TEXTS, AT(tags),    "A tag; repeatable." },
    { "tagged-address", CLI_PAIRS, AT(tagged),  "A tagged address as name=address:port; repeatable." },
}; // clang-format on

#undef AT

const struct cli_options cmd_services_register_options = CLI_OPTIONS(rows, struct options);

/* -- from flags -------------------------------------------------------------------------------- */

static struct mu_texts texts_of(const struct cli_texts *from, struct mu_arena *arena)
{
    struct mu_texts to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i] = mu_span_text(from->items[i]);
    }
    return to;
}

static struct mu_pairs pairs_of(const struct cli_texts *from, struct mu_arena *arena)
{
    struct mu_pairs to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i].key =
            mu_span_split(mu_span_text(from->items[i]), '=', &to.items[i].value, NULL);
    }
    return to;
}

static enum mu_code take_tagged(const struct cli_texts *from, struct mu_arena *arena,
                                struct service_definition *to, struct mu_err *err)
{
    to->tagged_addresses_count = from->count;
    to->tagged_addresses = mu_arena_array(arena, from->count, sizeof *to->tagged_addresses);
    for (size_t i = 0; i < from->count; i++) {
        struct service_tagged_definition *tagged = &to->tagged_addresses[i];
        struct mu_span address;
        uint16_t port = 0;

        tagged->name = mu_span_split(mu_span_text(from->items[i]), '=', &address, NULL);
        if (!mu_addr_split(address, &tagged->address, &port)) {
            return mu_fail(err, MU_INVALID, "Unable to parse service address: %.*s",
                           MU_SPAN_FMT(address));
        }
        tagged->port = port;
    }
    return MU_OK;
}

static enum mu_code from_flags(const struct options *o, struct mu_arena *arena,
                               struct service_definition *out, struct mu_err *err)
{
    *out = (struct service_definition){
        .id = mu_span_text(o->id),
        .name = mu_span_text(o->name),
        .address = mu_span_text(o->address),
        .kind = mu_span_text(o->kind),
        .port = (int64_t)o->port,
        .tags = texts_of(&o->tags, arena),
        .meta = pairs_of(&o->meta, arena),
    };
    if (o->port > UINT16_MAX) {
        return mu_fail(err, MU_INVALID, "Service port %llu is outside 0..65535",
                       (unsigned long long)o->port);
    }
    return take_tagged(&o->tagged, arena, out, err);
}

/* -- the calls --------------------------------------------------------------------------------- */

static int register_one(struct cli *cli, const struct service_definition *d)
{
    struct mu_buf body = MU_BUF_NONE;
    struct mu_json_out o;
    struct cli_call c;
    int status = 0;

    mu_json_out_init(&o, &body, false);
    service_definition_write(&o, d);
    mu_json_out_end(&o);
    cli_call_init(&c, "PUT", "/v1/agent/service/register");
    c.body = mu_buf_span(&body);
    if (cli_send(cli, &c)) {
        (void)fprintf(cli->out, "Registered service: %.*s\n", MU_SPAN_FMT(d->name));
    } else {
        status =
            cli_fail(cli, "Error registering service \"%.*s\": %s", MU_SPAN_FMT(d->name), c.error);
    }
    cli_call_deinit(&c);
    mu_buf_deinit(&body);
    return status;
}

static int register_file(struct cli *cli, const char *path, struct mu_arena *arena)
{
    struct service_definition *services = NULL;
    struct mu_err err = MU_ERR_NONE;
    size_t count = 0;
    int status = 0;

    if (config_services(path, arena, &services, &count, &err) != MU_OK) {
        return cli_fail(cli, "Error: %s", err.text);
    }
    for (size_t i = 0; status == 0 && i < count; i++) {
        status = register_one(cli, &services[i]);
    }
    return status;
}

int cmd_services_register(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct mu_err err = MU_ERR_NONE;
    struct service_definition d;
    struct mu_arena arena;
    int status = 0;

    if (argc == 0 && o->name == NULL) {
        return cli_fail(cli, "Service registration requires at least one argument or flags.");
    }
    if (argc > 0 && o->name != NULL) {
        return cli_fail(cli, "Service registration requires arguments or -name, not both.");
    }
    mu_arena_init(&arena, 0);
    for (int i = 0; status == 0 && i < argc; i++) {
        status = register_file(cli, argv[i], &arena);
    }
    if (argc == 0) {
        status = from_flags(o, &arena, &d, &err) == MU_OK ? register_one(cli, &d)
                                                          : cli_fail(cli, "Error: %s", err.text);
    }
    mu_arena_deinit(&arena);
    return status;
}
