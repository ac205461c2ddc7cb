/* muster info */
#include <stdlib.h>

#include "base/assert.h"
#include "commands.h"

struct section {
    struct mu_span name;
    struct mu_pairs figures;
};

static int by_name(const void *a, const void *b)
{
    return mu_span_cmp(((const struct section *)a)->name, ((const struct section *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return mu_span_cmp(((const struct mu_pair *)a)->key, ((const struct mu_pair *)b)->key);
}

static void print_section(FILE *to, struct section *s)
{
    if (s->figures.count > 0) {
        qsort(s->figures.items, s->figures.count, sizeof *s->figures.items, by_key);
    }
    (void)fprintf(to, "%.*s:\n", MU_SPAN_FMT(s->name));
    for (size_t i = 0; i < s->figures.count; i++) {
        (void)fprintf(to, "\t%.*s = %.*s\n", MU_SPAN_FMT(s->figures.items[i].key),
                      MU_SPAN_FMT(s->figures.items[i].value));
    }
}

/* Stats: an object of objects of strings, whatever their names. */
static enum mu_code read_stats(const struct mu_json *root, struct mu_objects *out,
                               struct mu_arena *arena, struct mu_err *err)
{
    const struct mu_json *stats =
        mu_json_kind_of(root) == MU_JSON_OBJECT ? mu_json_find(root, "Stats") : NULL;
    struct mu_json_at at = { 0 }, in;

    if (stats == NULL || mu_json_kind_of(stats) != MU_JSON_OBJECT) {
        return mu_fail(err, MU_INVALID, "the answer has no Stats");
    }
    struct section *sections = mu_arena_array(arena, mu_json_count(stats), sizeof *sections);

    *out = (struct mu_objects){ sections, 0 };
    while (mu_json_next(stats, &at)) {
        struct section *s = &sections[out->count++];

        s->name = mu_arena_span(arena, mu_span_text(at.name));
        if (mu_json_kind_of(at.value) != MU_JSON_OBJECT) {
            continue;
        }
        s->figures.items = mu_arena_array(arena, mu_json_count(at.value), sizeof *s->figures.items);
        for (in = (struct mu_json_at){ 0 }; mu_json_next(at.value, &in);) {
            if (mu_json_kind_of(in.value) == MU_JSON_STRING) {
                s->figures.items[s->figures.count++] = (struct mu_pair){
                    mu_arena_span(arena, mu_span_text(in.name)),
                    mu_arena_span(arena, mu_json_string(in.value)),
                };
            }
        }
    }
    return MU_OK;
}

static int print_info(struct cli *cli, const struct cli_call *c)
{
    struct mu_objects stats = { NULL, 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    enum mu_code rc = mu_json_parse(&root, mu_buf_span(&c->answer), true, &err);

    if (rc == MU_OK) {
        rc = read_stats(root, &stats, &arena, &err);
    }
    if (rc != MU_OK) {
        status = cli_fail(cli, "Error querying agent: %s", err.text);
    } else if (stats.count > 0) {
        struct section *sections = stats.items;

        qsort(sections, stats.count, sizeof *sections, by_name);
        for (size_t i = 0; i < stats.count; i++) {
            print_section(cli->out, &sections[i]);
        }
    }
    mu_json_free(root);
    mu_arena_deinit(&arena);
    return status;
}

int cmd_info(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    struct cli_call c;
    int status;

    (void)options;
    (void)argv;
    if (argc > 0) {
        return cli_too_many(cli, 0, argc, argv);
    }
    cli_call_init(&c, "GET", "/v1/agent/self");
    status = cli_send(cli, &c) ? print_info(cli, &c)
                               : cli_fail(cli, "Error querying agent: %s", c.error);
    cli_call_deinit(&c);
    return status;
}
