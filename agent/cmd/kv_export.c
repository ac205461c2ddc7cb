/* muster kv export */
#include <inttypes.h>

#include "commands.h"
#include "kv_data.h"

/* Indented by tabs, which our writer of JSON does not do. */
static void print_pairs(FILE *to, const struct kv_pair *pairs, size_t count)
{
    struct mu_buf key = MU_BUF_NONE;
    struct mu_json_out out;

    (void)fputc('[', to);
    for (size_t i = 0; i < count; i++) {
        mu_buf_clear(&key);
        mu_json_out_init(&out, &key, false);
        mu_json_put_span(&out, pairs[i].key);
        (void)fprintf(to,
                      "%s\n\t{\n\t\t\"key\": %.*s,\n\t\t\"flags\": %" PRIu64
                      ",\n\t\t\"value\": \"%.*s\"\n\t}",
                      i > 0 ? "," : "", MU_SPAN_FMT(mu_buf_span(&key)), pairs[i].flags,
                      MU_SPAN_FMT(pairs[i].value));
    }
    (void)fputs(count > 0 ? "\n]\n" : "]\n", to);
    mu_buf_deinit(&key);
}

static int print_answer(struct cli *cli, const struct cli_call *c)
{
    struct mu_objects list = { NULL, 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    if (c->status == 404 || cli_read_list(c, &kv_pair_shape, &list, &arena, &err) == MU_OK) {
        print_pairs(cli->out, list.items, list.count);
    } else {
        status = cli_fail(cli, "Error querying Consul agent: %s", err.text);
    }
    mu_arena_deinit(&arena);
    return status;
}

int cmd_kv_export(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const char *prefix = argc > 0 ? argv[0] : "";
    struct cli_call c;

    (void)options;
    if (argc > 1) {
        return cli_fail(cli, "Error! Too many arguments (expected 1, got %d)", argc);
    }
    prefix += prefix[0] == '/' ? 1 : 0; /* no key begins with it, but people write it */
    cli_call_init(&c, "GET", "/v1/kv/");
    cli_call_add(&c, prefix, true);
    cli_call_param(&c, "recurse", NULL);
    int status = cli_send(cli, &c) || c.status == 404
                     ? print_answer(cli, &c)
                     : cli_fail(cli, "Error querying Consul agent: %s", c.error);

    cli_call_deinit(&c);
    return status;
}
