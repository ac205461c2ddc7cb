/* muster catalog services */
#include <stdlib.h>

#include "base/assert.h"
#include "commands.h"

struct options {
    bool with_tags;
    const char *node;
    struct cli_texts node_meta;
};

#define AT(member) offsetof(struct options, member)

static const struct cli_option rows[] = {
    // clang-format off
    { "node",      CLI_TEXT,  AT(node),      "Only services on this node." },
    { "node-meta", CLI_PAIRS, AT(node_meta), "Only services on nodes with this key=value; repeatable." },
    { "tags",      CLI_BOOL,  AT(with_tags), "Print the tags of each service too." },
}; // clang-format on

#undef AT

const struct cli_options cmd_catalog_services_options = CLI_OPTIONS(rows, struct options);

/* -- what was answered ------------------------------------------------------------------------- */

/* One instance on a node. */
struct instance {
    struct mu_span id, name;
    struct mu_texts tags;
};

static const struct mu_json_field instance_fields[] = {
    { "Service", { NULL }, MU_JSON_AS_TEXT, offsetof(struct instance, name), NULL },
    { "Tags", { NULL }, MU_JSON_AS_TEXTS, offsetof(struct instance, tags), NULL },
};

static const struct mu_json_shape instance_shape = CLI_SHAPE(instance_fields, struct instance);

struct on_node {
    struct mu_objects instances; /* struct instance, by id */
};

static const struct mu_json_field node_fields[] = {
    { "Services",
      { NULL },
      MU_JSON_AS_NAMED,
      offsetof(struct on_node, instances),
      &instance_shape },
};

static const struct mu_json_shape node_shape = CLI_SHAPE(node_fields, struct on_node);

/* catalog/services has the names as members: it is read as the one member of an object. */
static enum mu_code read_services(const struct mu_json *root, struct mu_multi *out,
                                  struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(root) != MU_JSON_OBJECT) {
        return mu_fail(err, MU_INVALID, "the answer is no object");
    }
    out->items = mu_arena_array(arena, mu_json_count(root), sizeof *out->items);
    while (mu_json_next(root, &at)) {
        struct mu_pair_texts *service = &out->items[out->count++];

        service->key = mu_arena_span(arena, mu_span_text(at.name));
        if (mu_json_kind_of(at.value) != MU_JSON_LIST) {
            continue;
        }
        service->values.items =
            mu_arena_array(arena, mu_json_count(at.value), sizeof *service->values.items);
        for (size_t i = 0; i < mu_json_count(at.value); i++) {
            const struct mu_json *tag = mu_json_at(at.value, i);

            if (mu_json_kind_of(tag) == MU_JSON_STRING) {
                service->values.items[service->values.count++] =
                    mu_arena_span(arena, mu_json_string(tag));
            }
        }
    }
    return MU_OK;
}

static enum mu_code read_node(const struct mu_json *root, struct mu_multi *out,
                              struct mu_arena *arena, struct mu_err *err)
{
    struct on_node n = { .instances = { NULL, 0 } };
    const struct instance *instances;
    enum mu_code rc;

    if (mu_json_kind_of(root) == MU_JSON_NULL) {
        return MU_OK; /* no such node */
    }
    rc = mu_json_decode(root, &node_shape, &n, arena, err);
    if (rc != MU_OK) {
        return rc;
    }
    instances = n.instances.items;
    out->items = mu_arena_array(arena, n.instances.count, sizeof *out->items);
    for (size_t i = 0; i < n.instances.count; i++) {
        out->items[out->count++] = (struct mu_pair_texts){ instances[i].name, instances[i].tags };
    }
    return MU_OK;
}

/* -- printing ---------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair_texts *)a)->key,
                       ((const struct mu_pair_texts *)b)->key);
}

static int by_text(const void *a, const void *b)
{
    return mu_span_cmp(*(const struct mu_span *)a, *(const struct mu_span *)b);
}

static void add_tags(struct mu_buf *to, struct mu_texts *tags)
{
    if (tags->count > 0) {
        qsort(tags->items, tags->count, sizeof *tags->items, by_text);
    }
    for (size_t i = 0; i < tags->count; i++) {
        mu_buf_addf(to, "%s%.*s", i > 0 ? "," : "", MU_SPAN_FMT(tags->items[i]));
    }
}

static void print_tagged(struct cli *cli, struct mu_multi *services)
{
    struct cli_table t;

    cli_table_init(&t, 2, 6); /* as the reference sets this one list */
    for (size_t i = 0; i < services->count; i++) {
        struct mu_buf tags = MU_BUF_NONE;

        add_tags(&tags, &services->items[i].values);
        cli_table_cell_span(&t, services->items[i].key);
        cli_table_cell_span(&t, mu_buf_span(&tags));
        mu_buf_deinit(&tags);
    }
    cli_table_print(&t, cli->out);
    cli_table_deinit(&t);
}

/* Several instances of a service on a node are one name. */
static void drop_repeated(struct mu_multi *services)
{
    size_t kept = 0;

    for (size_t i = 0; i < services->count; i++) {
        if (kept == 0 || !mu_span_eq(services->items[kept - 1].key, services->items[i].key)) {
            services->items[kept++] = services->items[i];
        }
    }
    services->count = kept;
}

static void print_services(struct cli *cli, const struct options *o, struct mu_multi *services)
{
    if (services->count == 0) {
        (void)fprintf(cli->out, "No services match the given query - try expanding your search.\n");
        return;
    }
    qsort(services->items, services->count, sizeof *services->items, by_key);
    drop_repeated(services);
    if (o->with_tags) {
        print_tagged(cli, services);
        return;
    }
    for (size_t i = 0; i < services->count; i++) {
        cli_print_span(cli->out, services->items[i].key);
    }
}

/* -- the call ---------------------------------------------------------------------------------- */

static int print_answer(struct cli *cli, const struct options *o, const struct cli_call *c)
{
    struct mu_multi services = { NULL, 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    enum mu_code rc = mu_json_parse(&root, mu_buf_span(&c->answer), true, &err);

    if (rc == MU_OK) {
        rc = o->node != NULL ? read_node(root, &services, &arena, &err)
                             : read_services(root, &services, &arena, &err);
    }
    if (rc == MU_OK) {
        print_services(cli, o, &services);
    } else {
        status = cli_fail(cli, "Error listing services: %s", err.text);
    }
    mu_json_free(root);
    mu_arena_deinit(&arena);
    return status;
}

int cmd_catalog_services(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct cli_call c;
    int status;

    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    cli_call_init(&c, "GET", o->node != NULL ? "/v1/catalog/node/" : "/v1/catalog/services");
    if (o->node != NULL) {
        cli_call_add(&c, o->node, false);
    }
    cli_call_node_meta(&c, &o->node_meta);
    status = cli_send(cli, &c) ? print_answer(cli, o, &c)
                               : cli_fail(cli, "Error listing services: %s", c.error);
    cli_call_deinit(&c);
    return status;
}
