/* muster operator raft list-peers, remove-peer, transfer-leader */
#include "base/assert.h"
#include "commands.h"

/* -- list-peers -------------------------------------------------------------------------------- */

struct server {
    struct mu_span id, node, address, protocol;
    bool is_leader, is_voter;
};

struct configuration {
    struct mu_objects servers;
};

#define AT(member) offsetof(struct server, member)

static const struct mu_json_field server_fields[] = {
    // clang-format off
    { .name = "ID",              .as = MU_JSON_AS_TEXT, .offset = AT(id) },
    { .name = "Node",            .as = MU_JSON_AS_TEXT, .offset = AT(node) },
    { .name = "Address",         .as = MU_JSON_AS_TEXT, .offset = AT(address) },
    { .name = "ProtocolVersion", .as = MU_JSON_AS_TEXT, .offset = AT(protocol) },
    { .name = "Leader",          .as = MU_JSON_AS_BOOL, .offset = AT(is_leader) },
    { .name = "Voter",           .as = MU_JSON_AS_BOOL, .offset = AT(is_voter) },
}; // clang-format on

#undef AT

static const struct mu_json_shape server_shape = CLI_SHAPE(server_fields, struct server);

static const struct mu_json_field configuration_fields[] = {
    { .name = "Servers",
      .as = MU_JSON_AS_OBJECTS,
      .offset = offsetof(struct configuration, servers),
      .of = &server_shape },
};

static const struct mu_json_shape configuration_shape =
    CLI_SHAPE(configuration_fields, struct configuration);

static void print_servers(struct cli *cli, const struct configuration *c)
{
    static const char *const titles[] = {
        "Node", "ID", "Address", "State", "Voter", "RaftProtocol"
    };
    const struct server *servers = c->servers.items;
    struct cli_table t;

    cli_table_init(&t, MU_LEN(titles), 2);
    for (size_t i = 0; i < MU_LEN(titles); i++) {
        cli_table_cell(&t, titles[i]);
    }
    for (size_t i = 0; i < c->servers.count; i++) {
        cli_table_cell_span(&t, servers[i].node);
        cli_table_cell_span(&t, servers[i].id);
        cli_table_cell_span(&t, servers[i].address);
        cli_table_cell(&t, servers[i].is_leader ? "leader" : "follower");
        cli_table_cell(&t, servers[i].is_voter ? "true" : "false");
        cli_table_cell_span(&t, servers[i].protocol);
    }
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

int cmd_operator_raft_list_peers(struct cli *cli, const void *options, int argc,
                                 const char *const *argv)
{
    struct configuration configuration = { .servers = { NULL, 0 } };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct cli_call c;
    int status = 0;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    mu_arena_init(&arena, 0);
    cli_call_init(&c, "GET", "/v1/operator/raft/configuration");
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error getting peers: Failed to retrieve raft configuration: %s",
                          c.error);
    } else if (mu_json_read(mu_buf_span(&c.answer), &configuration_shape, &configuration, &arena,
                            &err) != MU_OK) {
        status = cli_fail(cli, "Error getting peers: %s", err.text);
    } else {
        print_servers(cli, &configuration);
    }
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}

/* -- remove-peer ------------------------------------------------------------------------------- */

struct removing {
    const char *address, *id;
};

static const struct cli_option removing_rows[] = {
    { "address", CLI_TEXT, offsetof(struct removing, address), "Address of the server to remove." },
    { "id", CLI_TEXT, offsetof(struct removing, id), "Id of the server to remove." },
};

const struct cli_options cmd_operator_raft_remove_peer_options =
    CLI_OPTIONS(removing_rows, struct removing);

int cmd_operator_raft_remove_peer(struct cli *cli, const void *options, int argc,
                                  const char *const *argv)
{
    const struct removing *o = options;
    const char *what = o->id != NULL ? "id" : "address";
    const char *value = o->id != NULL ? o->id : o->address;
    struct cli_call c;
    int status = 0;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    if (value == NULL) {
        return cli_fail(cli, "Error removing peer: an address or id is required for the peer to "
                             "remove");
    }
    if (o->id != NULL && o->address != NULL) {
        return cli_fail(cli, "Error removing peer: cannot give both an address and id");
    }
    cli_call_init(&c, "DELETE", "/v1/operator/raft/peer");
    cli_call_param(&c, what, value);
    if (cli_send(cli, &c)) {
        (void)fprintf(cli->out, "Removed peer with %s \"%s\"\n", what, value);
    } else {
        status = cli_fail(cli, "Error removing peer: %s", c.error);
    }
    cli_call_deinit(&c);
    return status;
}

/* -- transfer-leader --------------------------------------------------------------------------- */

struct transferring {
    const char *id;
};

static const struct cli_option transferring_rows[] = {
    { "id", CLI_TEXT, offsetof(struct transferring, id),
      "Id of the server that is to lead; default: the one that is best prepared." },
};

const struct cli_options cmd_operator_raft_transfer_leader_options =
    CLI_OPTIONS(transferring_rows, struct transferring);

int cmd_operator_raft_transfer_leader(struct cli *cli, const void *options, int argc,
                                      const char *const *argv)
{
    const struct transferring *o = options;
    struct cli_call c;
    int status = 0;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    cli_call_init(&c, "POST", "/v1/operator/raft/transfer-leader");
    if (o->id != NULL) {
        cli_call_param(&c, "id", o->id);
    }
    if (cli_send(cli, &c)) {
        (void)fputs("Success\n", cli->out);
    } else {
        status = cli_fail(cli, "Error transfering leadership: %s", c.error); /* [sic] */
    }
    cli_call_deinit(&c);
    return status;
}
