/* Whatever somebody sends as a definition: decoded, judged, and if it stands, written and read
 * again to the same bytes. The first byte says whether it is a check. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "agent/definition.h"
#include "base/assert.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* One pass: what was understood, as text. False: refused. */
static bool pass(struct mu_span text, bool is_check, struct mu_buf *written)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    struct check_definition check;
    struct service_definition service;
    struct mu_json_out o;
    struct mu_arena arena;
    enum mu_code rc;

    if (mu_json_parse(&root, text, true, &err) != MU_OK) {
        return false;
    }
    mu_arena_init(&arena, 0);
    rc = is_check ? check_definition_read(root, &check, &arena, &err)
                  : service_definition_read(root, &service, &arena, &err);
    mu_json_free(root);
    MU_ASSERT(rc == MU_OK || err.text[0] != '\0');
    if (rc == MU_OK) {
        mu_json_out_init(&o, written, false);
        if (is_check) {
            check_definition_write(&o, &check);
        } else {
            service_definition_write(&o, &service);
        }
        mu_json_out_end(&o);
    }
    mu_arena_deinit(&arena);
    return rc == MU_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_buf once = MU_BUF_NONE, twice = MU_BUF_NONE;

    if (bytes > 0) {
        bool is_check = data[0] == 'c';

        if (pass(mu_span_of(data + 1, bytes - 1), is_check, &once)) {
            MU_ASSERT(pass(mu_buf_span(&once), is_check, &twice));
            MU_ASSERT(mu_span_eq(mu_buf_span(&once), mu_buf_span(&twice)));
        }
    }
    mu_buf_deinit(&once);
    mu_buf_deinit(&twice);
    return 0;
}
