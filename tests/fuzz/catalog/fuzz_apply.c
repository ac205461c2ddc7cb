/* Whatever a log holds: entries that are commands change the rows and the hash alike, entries that
 * are none are refused, and all of it can be taken back. The input is a list of entries, each after
 * its length in two bytes. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire.h"
#include "catalog/catalog.h"
#include "catalog/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct catalog *the_catalog(void)
{
    static struct catalog *c;

    if (c == NULL) {
        MU_ASSERT(catalog_open(&c, &(struct catalog_options){ .path = NULL }, NULL) == MU_OK);
    }
    return c;
}

/* Apply until something is no command. */
static void apply_all(struct catalog *c, struct mu_rd *r)
{
    uint64_t index = catalog_applied(c).index;

    while (r->left > 0) {
        struct mu_span entry = mu_rd_take(r, mu_rd_u16le(r));
        struct catalog_result result;
        struct mu_err err = MU_ERR_NONE;

        if (!mu_rd_ok(r)) {
            break;
        }
        enum mu_code rc = catalog_apply(c, ++index, 1, entry, &result, &err);

        MU_ASSERT(rc == MU_OK || rc == MU_CORRUPT || rc == MU_UNSUPPORTED);
        if (rc != MU_OK) {
            MU_ASSERT(err.text[0] != '\0');
            break;
        }
        MU_ASSERT((result.code != MU_OK) == (result.text != NULL));
        catalog_result_free(&result);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static unsigned rounds;
    struct catalog *c = the_catalog();
    struct catalog_applied before = catalog_applied(c);
    struct mu_rd r = mu_rd_of(mu_span_of(data, bytes));
    uint8_t hash[16];

    MU_ASSERT(catalog_begin(c, NULL) == MU_OK);
    apply_all(c, &r);
    if (++rounds % 16 == 0) { /* what is kept makes later commands meet something */
        struct catalog_changes *changes = NULL;

        MU_ASSERT(catalog_commit(c, &changes, NULL) == MU_OK);
        catalog_changes_free(changes);
        before = catalog_applied(c);
    } else {
        catalog_rollback(c);
        MU_ASSERT(memcmp(catalog_applied(c).hash, before.hash, sizeof before.hash) == 0);
    }
    if (rounds % 64 == 0) {
        MU_ASSERT(catalog_recount(c, hash, NULL) == MU_OK);
        MU_ASSERT(memcmp(hash, before.hash, sizeof hash) == 0);
    }
    return 0;
}
