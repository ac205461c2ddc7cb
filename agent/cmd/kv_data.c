#include "kv_data.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/file.h"

#define READ_BYTES 65536U

#define AT(member) offsetof(struct kv_pair, member)

static const struct mu_json_field pair_fields[] = {
    { "key", { NULL }, MU_JSON_AS_TEXT, AT(key), NULL },
    { "value", { NULL }, MU_JSON_AS_TEXT, AT(value), NULL },
    { "flags", { NULL }, MU_JSON_AS_UINT, AT(flags), NULL },
};

#undef AT

const struct mu_json_shape kv_pair_shape = CLI_SHAPE(pair_fields, struct kv_pair);

static enum mu_code read_stream(FILE *from, size_t max, struct mu_buf *to, struct mu_err *err)
{
    while (to->bytes <= max) {
        size_t got = fread(mu_buf_reserve(to, READ_BYTES), 1, READ_BYTES, from);

        to->bytes += got;
        if (got == 0) {
            return ferror(from) ? mu_fail(err, MU_IO, "Failed to read stdin: %s", strerror(errno))
                                : MU_OK;
        }
    }
    return mu_fail(err, MU_TOO_BIG, "Failed to read stdin: more than %zu bytes", max);
}

enum mu_code kv_data_read(struct cli *cli, const char *data, size_t max, struct mu_buf *to,
                          struct mu_err *err)
{
    if (data[0] == '@') {
        enum mu_code rc = mu_file_read(data + 1, max, to, err);

        return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "Failed to read file");
    }
    if (strcmp(data, "-") == 0) {
        return read_stream(cli->in, max, to, err);
    }
    mu_buf_add_text(to, data);
    return MU_OK;
}

enum mu_code kv_data_decode(struct mu_span text, struct mu_buf *to, struct mu_err *err)
{
    size_t used = 0;
    uint8_t *bytes = mu_buf_reserve(to, text.bytes + 1);

    if (text.bytes > 0 &&
        sodium_base642bin(bytes, text.bytes + 1, (const char *)text.data, text.bytes, "\r\n", &used,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        return mu_fail(err, MU_INVALID, "Cannot base 64 decode data");
    }
    to->bytes += used;
    return MU_OK;
}
