/* Any text as a fragment of configuration: refused with a reason, or a whole configuration. */
#include <stddef.h>
#include <stdint.h>

#include "agent/config.h"
#include "base/assert.h"
#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct config *c = NULL;
    bool wants_help = false;

    mu_buf_add(&text, data, bytes);
    const char *args[] = { "-data-dir", "d", "-hcl", mu_buf_text(&text) };
    enum mu_code rc = config_load(&c, MU_LEN(args), args, &wants_help, &err);

    MU_ASSERT((rc == MU_OK) == (c != NULL));
    MU_ASSERT(rc == MU_OK || err.text[0] != '\0');
    MU_ASSERT(c == NULL || (c->client_addrs_count > 0 && c->bind_addr.ip_bytes > 0));
    config_free(c);
    mu_buf_deinit(&text);
    return 0;
}
