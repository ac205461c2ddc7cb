#include "base/limits.h"
#include "core.h"

/* The times of spec/consensus.md 1.13, in ms. */
static const struct {
    uint32_t heartbeat, election, pause, slow, stall, chunk;
} timings[] = {
    // clang-format off
    [CONSENSUS_LAN]  = { 100,  500,  250,  500,  2000, 10000 },
    [CONSENSUS_FAST] = {  20,  150,   75,  150,   400,  1000 },
    [CONSENSUS_WAN]  = { 500, 5000, 2500, 5000, 10000, 30000 },
}; // clang-format on

void consensus_options_init(struct consensus_options *o, enum consensus_timing timing,
                            unsigned multiplier)
{
    uint32_t m = multiplier < 1 ? 1 : multiplier;

    *o = (struct consensus_options){
        .level_max = CONSENSUS_LEVEL_FIRST,
        .heartbeat_ms = m * timings[timing].heartbeat,
        .election_ms_min = m * timings[timing].election,
        .pause_ms = m * timings[timing].pause,
        .slow_ms = m * timings[timing].slow,
        .stall_ms = m * timings[timing].stall,
        .tail_entries = MU_PROPOSALS_MAX + 4 * CONSENSUS_TAIL_RESERVED,
        .tail_bytes_max = MU_ENTRY_POOL_MAX,
        .cache_bytes = 512 * 1024,
        .proposals_max = MU_PROPOSALS_MAX,
        .uncommitted_bytes_max = MU_UNCOMMITTED_MAX,
        .unsynced_bytes_max = 32 * 1024 * 1024,
        .apply_lag_max = MU_APPLY_QUEUE_MAX,
        .reads_max = 4096,
        .runs_max = 4096,
        .writes_max = 256,
        .inflight_max = 128,
        .inflight_bytes_max = 8 * 1024 * 1024,
        .append_entries_max = CONSENSUS_ENTRIES_MAX,
        .append_bytes_max = MU_LOG_BATCH_BYTES,
        .push_hold_ms = 2,
        .trailing_entries = 10240,
        .trailing_bytes = 64U * 1024 * 1024,
        .laggard_bytes = 256U * 1024 * 1024,
        .laggard_ms = 60000,
        .chunk_bytes = CONSENSUS_CHUNK_BYTES,
        .snap_timeout_ms = m * timings[timing].chunk,
        .snap_reuse_ms = 60000,
        .snap_pin_ms = 10 * 60000,
        .snap_pin_bytes = UINT64_C(2) << 30,
    };
}

enum mu_code consensus_options_check(const struct consensus_options *o, struct mu_err *err)
{
    if (mu_id_is_none(&o->server) || mu_id_is_none(&o->disk)) {
        return mu_fail(err, MU_INVALID, "server or disk without an id");
    }
    if (o->level_max < CONSENSUS_LEVEL_FIRST) {
        return mu_fail(err, MU_INVALID, "no level of commands");
    }
    if (o->heartbeat_ms < 1 || o->heartbeat_ms * UINT64_C(5) > o->election_ms_min) {
        return mu_fail(err, MU_INVALID, "heartbeat %u ms: more than a fifth of the election's %u",
                       o->heartbeat_ms, o->election_ms_min);
    }
    if (o->pause_ms < 1 || o->pause_ms > o->election_ms_min / 2) {
        return mu_fail(err, MU_INVALID, "pause %u ms: more than half of the election's %u",
                       o->pause_ms, o->election_ms_min);
    }
    if (o->slow_ms < 1 || o->stall_ms < 2 * (uint64_t)o->election_ms_min) {
        return mu_fail(err, MU_INVALID, "stall %u ms: less than twice the election's %u",
                       o->stall_ms, o->election_ms_min);
    }
    /* half of the tail stays when it is trimmed, and a proposal has to fit behind that */
    if (o->tail_entries <= 2 * CONSENSUS_TAIL_RESERVED || o->runs_max < 2 || o->reads_max < 1 ||
        o->inflight_max < 1 || o->inflight_bytes_max < 1 || o->proposals_max < 1 ||
        o->writes_max < 2 * CONSENSUS_WRITES_RESERVED) {
        return mu_fail(err, MU_INVALID, "a ring is too small");
    }
    if (o->chunk_bytes < 1 || o->chunk_bytes > CONSENSUS_CHUNK_BYTES || o->snap_timeout_ms < 1) {
        return mu_fail(err, MU_INVALID,
                       "%u bytes of a snapshot in one message, allowed are 1 to %u", o->chunk_bytes,
                       CONSENSUS_CHUNK_BYTES);
    }
    if (o->append_entries_max < 1 || o->append_entries_max > CONSENSUS_ENTRIES_MAX) {
        return mu_fail(err, MU_INVALID, "%u entries in one request, allowed are 1 to %d",
                       o->append_entries_max, CONSENSUS_ENTRIES_MAX);
    }
    return MU_OK;
}
