/* muster kv import */
#include <string.h>

#include "base/assert.h"
#include "commands.h"
#include "kv_data.h"

#define IMPORT_BYTES_MAX (256U * 1024 * 1024)

struct options {
    const char *prefix;
};

static const struct cli_option rows[] = {
    { "prefix", CLI_TEXT, offsetof(struct options, prefix), "Put the keys below this one." },
};

const struct cli_options cmd_kv_import_options = CLI_OPTIONS(rows, struct options);

static int put(struct cli *cli, const char *key, uint64_t flags, struct mu_span value)
{
    struct cli_call c;
    char number[24];
    int status = 0;

    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)flags);
    cli_call_init(&c, "PUT", "/v1/kv/");
    cli_call_add(&c, key, true);
    if (flags != 0) {
        cli_call_param(&c, "flags", number);
    }
    c.body = value;
    if (cli_send(cli, &c)) {
        (void)fprintf(cli->out, "Imported: %s\n", key);
    } else {
        status = cli_fail(cli, "Error! Failed writing data for key %s: %s", key, c.error);
    }
    cli_call_deinit(&c);
    return status;
}

static int put_pair(struct cli *cli, const char *prefix, const struct kv_pair *p)
{
    struct mu_buf key = MU_BUF_NONE;
    struct mu_buf value = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    int status;

    mu_buf_add_text(&key, prefix);
    if (key.bytes > 0 && key.data[key.bytes - 1] != '/') {
        mu_buf_add_byte(&key, '/');
    }
    mu_buf_add_span(&key, p->key);
    if (p->key.bytes == 0) {
        status = cli_fail(cli, "Error! An entry of the data has no key");
    } else if (kv_data_decode(p->value, &value, &err) != MU_OK) {
        status = cli_fail(cli, "Error base 64 decoding value for key %s", mu_buf_text(&key));
    } else {
        status = put(cli, mu_buf_text(&key), p->flags, mu_buf_span(&value));
    }
    mu_buf_deinit(&key);
    mu_buf_deinit(&value);
    return status;
}

/* One pair after another, so that what was reached is what was said; the first failure ends it. */
static int put_all(struct cli *cli, const char *prefix, const struct mu_json *list)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    int status = 0;

    mu_arena_init(&arena, 0);
    for (size_t i = 0; status == 0 && i < mu_json_count(list); i++) {
        struct kv_pair p = { .flags = 0 };

        mu_arena_reset(&arena);
        if (mu_json_kind_of(mu_json_at(list, i)) != MU_JSON_OBJECT) {
            status = cli_fail(cli, "Cannot unmarshal data: entry %zu is no object", i + 1);
        } else if (mu_json_decode(mu_json_at(list, i), &kv_pair_shape, &p, &arena, &err) != MU_OK) {
            status = cli_fail(cli, "Cannot unmarshal data: entry %zu: %s", i + 1, err.text);
        } else {
            status = put_pair(cli, prefix, &p);
        }
    }
    mu_arena_deinit(&arena);
    return status;
}

static int import(struct cli *cli, const char *prefix, const struct mu_buf *data)
{
    struct mu_json *root = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (mu_json_parse(&root, mu_buf_span(data), true, &err) != MU_OK) {
        return cli_fail(cli, "Cannot unmarshal data: %s", err.text);
    }
    int status = mu_json_kind_of(root) == MU_JSON_LIST
                     ? put_all(cli, prefix, root)
                     : cli_fail(cli, "Cannot unmarshal data: a list is expected, not: %s",
                                mu_json_kind_text(mu_json_kind_of(root)));

    mu_json_free(root);
    return status;
}

int cmd_kv_import(struct cli *cli, const void *options, int argc, const char *const *argv)
{
    const struct options *o = options;
    struct mu_buf data = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    int status;

    if (argc == 0) {
        return cli_fail(cli, "Error! Missing DATA argument");
    }
    if (argc > 1) {
        return cli_fail(cli, "Error! Too many arguments (expected 1, got %d)", argc);
    }
    if (argv[0][0] == '\0') {
        return cli_fail(cli, "Error! Empty DATA argument");
    }
    status = kv_data_read(cli, argv[0], IMPORT_BYTES_MAX, &data, &err) == MU_OK
                 ? import(cli, o->prefix != NULL ? o->prefix : "", &data)
                 : cli_fail(cli, "Error! %s", err.text);
    mu_buf_deinit(&data);
    return status;
}
