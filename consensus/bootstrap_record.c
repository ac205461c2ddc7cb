/* bootstrap_record.c - the promise as bytes, the set as a configuration, the reasons as words.
 *
 * Layout of a promise; no promise is no bytes:
 *   u8 version = 1 | u8 members | cluster 16 | coordinator 16 | per member: server 16, disk 16
 */
#include "bootstrap_record.h"

#include <string.h>

#include "base/assert.h"
#include "base/wire.h"

/* -- words --------------------------------------------------------------------------------- */

const char *consensus_bootstrap_why_text(enum consensus_bootstrap_why why)
{
    static const char *const texts[] = {
        [BOOTSTRAP_FREE] = "nothing is against it",
        [BOOTSTRAP_EXPECT] = "another server has a different bootstrap_expect",
        [BOOTSTRAP_TOO_FEW] = "fewer servers than expected are in sight",
        [BOOTSTRAP_VIEW] = "a server of the set is not in sight",
        [BOOTSTRAP_SMALLER] = "waits for the one with the smallest id to begin",
        [BOOTSTRAP_BOUND] = "promised to another set",
        [BOOTSTRAP_EXISTS] = "a cluster exists already: waits to be added to it",
        [BOOTSTRAP_NOT_EXPECTED] = "bootstrap_expect is not set",
        [BOOTSTRAP_WAS_MEMBER] = "belonged to a cluster: waits to be added to it again",
        [BOOTSTRAP_UNTOLD] = "asks those first that it is to join",
    };

    MU_ASSERT((size_t)why < MU_LEN(texts)); /* a peer's is looked at first */
    return texts[why];
}

/* -- the record ---------------------------------------------------------------------------- */

enum { RECORD_VERSION = 1 };

size_t consensus_bootstrap_record_encode(const struct consensus_bootstrap_record *r,
                                         uint8_t out[BOOTSTRAP_RECORD_BYTES_MAX])
{
    struct mu_wr w = mu_wr_of(out, BOOTSTRAP_RECORD_BYTES_MAX);

    MU_ASSERT(r->set.count <= CONSENSUS_VOTERS_MAX);
    if (!r->is_promised) {
        return 0;
    }
    mu_wr_u8(&w, RECORD_VERSION);
    mu_wr_u8(&w, (uint8_t)r->set.count);
    mu_wr_bytes(&w, r->cluster.b, sizeof r->cluster.b);
    mu_wr_bytes(&w, r->coordinator.b, sizeof r->coordinator.b);
    for (uint32_t i = 0; i < r->set.count; i++) {
        mu_wr_bytes(&w, r->set.members[i].server.b, sizeof r->set.members[i].server.b);
        mu_wr_bytes(&w, r->set.members[i].disk.b, sizeof r->set.members[i].disk.b);
    }
    MU_ASSERT(mu_wr_ok(&w));
    return w.used;
}

static void read_id(struct mu_rd *r, struct mu_id *out)
{
    struct mu_span s = mu_rd_take(r, sizeof out->b);

    if (s.bytes == sizeof out->b) {
        memcpy(out->b, s.data, sizeof out->b);
    }
}

bool consensus__bootstrap_set_is_sane(const struct consensus_bootstrap_set *set)
{
    if (set->count < 1 || set->count > CONSENSUS_VOTERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (mu_id_is_none(&set->members[i].server) || mu_id_is_none(&set->members[i].disk)) {
            return false;
        }
        if (i > 0 && memcmp(set->members[i - 1].server.b, set->members[i].server.b, 16) >= 0) {
            return false;
        }
    }
    return true;
}

enum mu_code consensus_bootstrap_record_decode(struct mu_span bytes,
                                               struct consensus_bootstrap_record *out,
                                               struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(bytes);

    memset(out, 0, sizeof *out);
    if (bytes.bytes == 0) {
        return MU_OK;
    }
    uint8_t version = mu_rd_u8(&r);
    uint8_t count = mu_rd_u8(&r);

    if (version != RECORD_VERSION || count > CONSENSUS_VOTERS_MAX) {
        return mu_fail(err, MU_CORRUPT, "bootstrap record: version %u, %u members", version, count);
    }
    read_id(&r, &out->cluster);
    read_id(&r, &out->coordinator);
    out->set.count = count;
    for (uint32_t i = 0; i < count; i++) {
        read_id(&r, &out->set.members[i].server);
        read_id(&r, &out->set.members[i].disk);
    }
    out->is_promised = true;
    if (!mu_rd_done(&r) || !consensus__bootstrap_set_is_sane(&out->set) ||
        mu_id_is_none(&out->cluster)) {
        return mu_fail(err, MU_CORRUPT, "bootstrap record: %zu bytes do not make one", bytes.bytes);
    }
    return MU_OK;
}

void consensus_bootstrap_config(const struct consensus_bootstrap_set *set,
                                struct consensus_config *out)
{
    MU_ASSERT(consensus__bootstrap_set_is_sane(set));
    memset(out, 0, sizeof *out);
    out->index = 1;
    out->level = CONSENSUS_LEVEL_FIRST; /* the first leader raises it */
    out->servers_count = set->count;
    for (uint32_t i = 0; i < set->count; i++) {
        out->servers[i].id = set->members[i].server;
        out->servers[i].disk = set->members[i].disk;
        out->servers[i].joined_index = 1;
        out->servers[i].is_voter = true;
    }
}
