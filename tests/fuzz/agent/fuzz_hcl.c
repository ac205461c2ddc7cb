/* Any text as HCL: it is refused with a reason, or its JSON is JSON, and no path leads astray. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "config_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct config_path paths[] = {
        { { { "a", CONFIG_NO_INDEX } }, 1 },
        { { { "services", 1 }, { "check", CONFIG_NO_INDEX }, { "http", CONFIG_NO_INDEX } }, 3 },
    };
    struct mu_span text = mu_span_of(data, bytes);
    struct mu_err err = MU_ERR_NONE;
    struct mu_json *root = NULL;
    enum mu_code rc = config__hcl_read(text, &root, &err);

    MU_ASSERT((rc == MU_OK) == (root != NULL));
    MU_ASSERT(rc == MU_OK || err.text[0] != '\0');
    MU_ASSERT(root == NULL || mu_json_kind_of(root) == MU_JSON_OBJECT);
    mu_json_free(root);
    for (size_t i = 0; i < MU_LEN(paths); i++) {
        (void)config__hcl_line(text, &paths[i]);
        (void)config__json_line(text, &paths[i]);
    }
    return 0;
}
