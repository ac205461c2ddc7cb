/* muster keyring */
#include "keyring.h"

#include <string.h>

#include "base/assert.h"
#include "commands.h"

#define RELAY_FACTOR_MAX 5

struct options {
    bool lists, lists_primary, is_local;
    const char *install, *use, *remove;
    uint64_t relay_factor;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "install",      CLI_TEXT, AT(install),       "Install this key on all members; it opens what others seal with it." },
    { "use",          CLI_TEXT, AT(use),           "Seal with this key, which is installed." },
    { "remove",       CLI_TEXT, AT(remove),        "Remove this key, which nobody seals with any more." },
    { "list",         CLI_BOOL, AT(lists),         "List the keys, and how many members have each." },
    { "list-primary", CLI_BOOL, AT(lists_primary), "List the keys that members seal with." },
    { "relay-factor", CLI_U64,  AT(relay_factor),  "Let each member answer through so many others as well, 0 to 5." },
    { "local-only",   CLI_BOOL, AT(is_local),      "List keys of this datacenter's pool only." },
}; // clang-format on

#undef AT

const struct cli_options cmd_keyring_options = CLI_OPTIONS(rows, struct options);

/* -- list ---------------------------------------------------------------------------------------
 */

#define FIELD(json, as_what, member)                                                     \
    {                                                                                    \
        .name = (json), .as = (as_what), .offset = offsetof(struct keyring_pool, member) \
    }

static const struct mu_json_field pool_fields[] = {
    // clang-format off
    FIELD("WAN",         MU_JSON_AS_BOOL,  is_wan),
    FIELD("Datacenter",  MU_JSON_AS_TEXT,  datacenter),
    FIELD("Segment",     MU_JSON_AS_TEXT,  segment),
    FIELD("Keys",        MU_JSON_AS_VALUE, keys),
    FIELD("PrimaryKeys", MU_JSON_AS_VALUE, primary_keys),
    FIELD("NumNodes",    MU_JSON_AS_UINT,  nodes),
    { .name = "Messages", .as = MU_JSON_AS_NOTHING },
}; // clang-format on

const struct mu_json_shape keyring_pool_shape = { .fields = pool_fields,
                                                  .fields_count = MU_LEN(pool_fields),
                                                  .bytes = sizeof(struct keyring_pool) };

static void print_pool(struct cli *cli, const struct keyring_pool *p, bool only_primary)
{
    const struct mu_json *keys = only_primary ? p->primary_keys : p->keys;

    if (p->is_wan) {
        (void)fprintf(cli->out, "\nWAN:\n");
    } else if (p->segment.bytes > 0) {
        (void)fprintf(cli->out, "\n%.*s (LAN) [%.*s]:\n", MU_SPAN_FMT(p->datacenter),
                      MU_SPAN_FMT(p->segment));
    } else {
        (void)fprintf(cli->out, "\n%.*s (LAN):\n", MU_SPAN_FMT(p->datacenter));
    }
    struct mu_json_at at = { 0 };

    while (keys != NULL && mu_json_kind_of(keys) == MU_JSON_OBJECT && mu_json_next(keys, &at)) {
        if (mu_json_kind_of(at.value) == MU_JSON_INT) {
            (void)fprintf(cli->out, "  %s [%lld/%llu]\n", at.name, (long long)mu_json_int(at.value),
                          (unsigned long long)p->nodes);
        }
    }
}

static int print_pools(struct cli *cli, const struct cli_call *c, bool only_primary)
{
    struct mu_objects pools = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    if (cli_read_tree(c, &keyring_pool_shape, &pools, &root, &arena, &err) != MU_OK) {
        status = cli_fail(cli, "error: %s", err.text);
    }
    for (size_t i = 0; status == 0 && i < pools.count; i++) {
        print_pool(cli, (const struct keyring_pool *)pools.items + i, only_primary);
    }
    mu_json_free(root);
    mu_arena_deinit(&arena);
    return status;
}

/* -- the actions --------------------------------------------------------------------------------
 */

static void add_relays(struct cli_call *c, uint64_t relay_factor)
{
    char number[24];

    if (relay_factor > 0) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)relay_factor);
        cli_call_param(c, "relay-factor", number);
    }
}

/* "dc1 (LAN) error: 3/3 nodes reported failure" */
static bool has_failed_everywhere(const char *error)
{
    static const char before[] = " error: ";
    const char *counts = strstr(error, before);
    struct mu_span rest;

    if (counts == NULL) {
        return false;
    }
    struct mu_span failed = mu_span_split(mu_span_text(counts + strlen(before)), '/', &rest, NULL);

    return mu_span_eq(failed, mu_span_split(rest, ' ', &rest, NULL));
}

const char *keyring_error(const struct cli_call *c)
{
    return c->status == 500 && strstr(c->error, "(encryption not enabled)") != NULL &&
                   has_failed_everywhere(c->error)
               ? "encryption is not enabled, so there are no keys: it is switched on by the same "
                 "encrypt = \"KEY\" in the configuration of every agent, with a KEY of muster "
                 "keygen"
               : c->error;
}

static int list(struct cli *cli, const struct options *o)
{
    struct cli_call c;
    int status;

    (void)fprintf(cli->out, "==> Gathering installed %sencryption keys...\n",
                  o->lists_primary ? "primary " : "");
    cli_call_init(&c, "GET", KEYRING_PATH);
    add_relays(&c, o->relay_factor);
    if (o->is_local) {
        cli_call_param(&c, "local-only", "true");
    }
    status = cli_send(cli, &c) ? print_pools(cli, &c, o->lists_primary)
                               : cli_fail(cli, "error: %s", keyring_error(&c));
    cli_call_deinit(&c);
    return status;
}

bool keyring_change(struct cli *cli, struct cli_call *c, const char *method, const char *key,
                    uint64_t relay_factor)
{
    struct mu_buf body = MU_BUF_NONE;
    struct mu_json_out out;
    bool ok;

    mu_json_out_init(&out, &body, false);
    mu_json_open(&out, '{');
    mu_json_text(&out, "Key", key);
    mu_json_close(&out, '}');
    mu_json_out_end(&out);
    cli_call_init(c, method, KEYRING_PATH);
    add_relays(c, relay_factor);
    c->body = mu_buf_span(&body);
    ok = cli_send(cli, c);
    c->body = MU_SPAN_NONE;
    mu_buf_deinit(&body);
    return ok;
}

static int change(struct cli *cli, const struct options *o, const char *method, const char *key,
                  const char *what)
{
    struct cli_call c;
    int status = 0;

    (void)fprintf(cli->out, "==> %s gossip encryption key...\n", what);
    if (!keyring_change(cli, &c, method, key, o->relay_factor)) {
        status = cli_fail(cli, "error: %s", keyring_error(&c));
    }
    cli_call_deinit(&c);
    return status;
}

int cmd_keyring(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    int actions =
        o->lists + o->lists_primary + (o->install != NULL) + (o->use != NULL) + (o->remove != NULL);

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (actions > 1) {
        return cli_fail(cli, "Only a single action is allowed");
    }
    if (o->relay_factor > RELAY_FACTOR_MAX) {
        return cli_fail(cli, "Error parsing relay factor: Relay factor must be in range: [0, %d]",
                        RELAY_FACTOR_MAX);
    }
    if (o->install != NULL) {
        return change(cli, o, "POST", o->install, "Installing new");
    }
    if (o->use != NULL) {
        return change(cli, o, "PUT", o->use, "Changing primary");
    }
    if (o->remove != NULL) {
        return change(cli, o, "DELETE", o->remove, "Removing");
    }
    if (actions == 1) {
        return list(cli, o);
    }
    return cli_fail(cli, "Give one of -install, -use, -remove, -list and -list-primary");
}
