/* muster catalog nodes */
#include "base/assert.h"
#include "commands.h"

struct options {
    bool is_detailed;
    const char *near, *service, *filter;
    struct cli_texts node_meta;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "detailed",  CLI_BOOL,  AT(is_detailed), "Print whole ids, tagged addresses and metadata." },
    { "filter",    CLI_TEXT,  AT(filter),      "Only nodes that this expression holds for." },
    { "near",      CLI_TEXT,  AT(near),        "The nearest to this node first; _agent is the one that is asked." },
    { "node-meta", CLI_PAIRS, AT(node_meta),   "Only nodes with this key=value; repeatable." },
    { "service",   CLI_TEXT,  AT(service),     "Only nodes with instances of this service." },
}; // clang-format on

#undef AT

const struct cli_options cmd_catalog_nodes_options = CLI_OPTIONS(rows, struct options);

struct node {
    struct mu_span name, id, address, datacenter;
    struct mu_pairs tagged, meta;
};

#define AT(member) offsetof(struct node, member)

/* A node as catalog/nodes lists it, and as an instance of a service carries it. */
static const struct mu_json_field node_fields[] = {
    { "Node", { NULL }, MU_JSON_AS_TEXT, AT(name), NULL },
    { "ID", { NULL }, MU_JSON_AS_TEXT, AT(id), NULL },
    { "Address", { NULL }, MU_JSON_AS_TEXT, AT(address), NULL },
    { "Datacenter", { NULL }, MU_JSON_AS_TEXT, AT(datacenter), NULL },
    { "TaggedAddresses", { NULL }, MU_JSON_AS_PAIRS, AT(tagged), NULL },
    { "Meta", { "NodeMeta" }, MU_JSON_AS_PAIRS, AT(meta), NULL },
};

#undef AT

static const struct mu_json_shape node_shape = CLI_SHAPE(node_fields, struct node);

static void add_pairs(struct cli_table *t, struct mu_pairs *pairs)
{
    struct mu_buf text = MU_BUF_NONE;

    cli_pairs_text(pairs, ", ", &text);
    cli_table_cell_span(t, mu_buf_span(&text));
    mu_buf_deinit(&text);
}

static void add_node(struct cli_table *t, const struct options *o, struct node *n)
{
    struct mu_span rest;

    cli_table_cell_span(t, n->name);
    cli_table_cell_span(t, o->is_detailed ? n->id : mu_span_split(n->id, '-', &rest, NULL));
    cli_table_cell_span(t, n->address);
    cli_table_cell_span(t, n->datacenter);
    if (o->is_detailed) {
        add_pairs(t, &n->tagged);
        add_pairs(t, &n->meta);
    }
}

/* A node with several instances of the service is there several times. */
static bool is_repeated(const struct node *nodes, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (mu_span_eq(nodes[i].name, nodes[at].name)) {
            return true;
        }
    }
    return false;
}

static void print_nodes(struct cli *cli, const struct options *o, struct node *nodes, size_t count)
{
    static const char *const titles[] = {
        "Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"
    };
    size_t columns = o->is_detailed ? 6 : 4;
    struct cli_table t;

    if (count == 0) {
        (void)fprintf(cli->out, "No nodes match the given query - try expanding your search.\n");
        return;
    }
    cli_table_init(&t, columns, 2);
    for (size_t i = 0; i < columns; i++) {
        cli_table_cell(&t, titles[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (o->service == NULL || !is_repeated(nodes, i)) {
            add_node(&t, o, &nodes[i]);
        }
    }
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

static void make_call(const struct options *o, struct cli_call *c)
{
    cli_call_init(c, "GET", o->service != NULL ? "/v1/catalog/service/" : "/v1/catalog/nodes");
    if (o->service != NULL) {
        cli_call_add(c, o->service, false);
    }
    if (o->near != NULL) {
        cli_call_param(c, "near", o->near);
    }
    cli_call_node_meta(c, &o->node_meta);
    if (o->filter != NULL) {
        cli_call_param(c, "filter", o->filter);
    }
}

int cmd_catalog_nodes(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct mu_objects nodes = { NULL, 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct cli_call c;
    int status = 0;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    mu_arena_init(&arena, 0);
    make_call(o, &c);
    if (!cli_send(cli, &c)) {
        status = cli_fail(cli, "Error listing nodes: %s", c.error);
    } else if (cli_read_list(&c, &node_shape, &nodes, &arena, &err) != MU_OK) {
        status = cli_fail(cli, "Error listing nodes: %s", err.text);
    } else {
        print_nodes(cli, o, nodes.items, nodes.count);
    }
    cli_call_deinit(&c);
    mu_arena_deinit(&arena);
    return status;
}
