/* What an agent answered, taken apart. */
#include "cli.h"

enum mu_code cli_read_tree(const struct cli_call *c, const struct mu_json_shape *shape,
                           struct mu_objects *out, struct mu_json **root, struct mu_arena *arena,
                           struct mu_err *err)
{
    enum mu_code rc = mu_json_parse(root, mu_buf_span(&c->answer), true, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (mu_json_kind_of(*root) != MU_JSON_LIST) {
        return mu_fail(err, MU_INVALID, "the answer is no list");
    }
    uint8_t *items = mu_arena_array(arena, mu_json_count(*root), shape->bytes);

    *out = (struct mu_objects){ items, mu_json_count(*root) };
    for (size_t i = 0; rc == MU_OK && i < out->count; i++) {
        rc = mu_json_decode(mu_json_at(*root, i), shape, items + i * shape->bytes, arena, err);
    }
    return rc;
}

enum mu_code cli_read_list(const struct cli_call *c, const struct mu_json_shape *shape,
                           struct mu_objects *out, struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json *root = NULL;
    enum mu_code rc = cli_read_tree(c, shape, out, &root, arena, err);

    mu_json_free(root);
    return rc;
}

int cli_print_texts(struct cli *cli, const struct cli_call *c, const char *what)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    enum mu_code rc = mu_json_parse(&root, mu_buf_span(&c->answer), true, &err);

    if (rc == MU_OK && mu_json_kind_of(root) != MU_JSON_LIST) {
        rc = mu_fail(&err, MU_INVALID, "the answer is no list");
    }
    for (size_t i = 0; rc == MU_OK && i < mu_json_count(root); i++) {
        const struct mu_json *text = mu_json_at(root, i);

        if (mu_json_kind_of(text) == MU_JSON_STRING) {
            cli_print_span(cli->out, mu_json_string(text));
        }
    }
    mu_json_free(root);
    return rc == MU_OK ? 0 : cli_fail(cli, "%s: %s", what, err.text);
}
