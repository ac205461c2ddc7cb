/* config.c - configurations: what they may be, their bytes in the log, and which is in force.
 *
 * The newest configuration in the log is in force, committed or not. When it is truncated the one
 * before it is again: so the core keeps a list, never one "previous" slot (spec/consensus.md 2.8).
 *
 * Layout, little-endian, so that equal configurations have equal bytes:
 *   u8 version | u8 flags (1: joint, 2: disks were removed, 4: forced) | u16 servers
 *   with version 2: u32 level, above the first
 *   per server, by id ascending:
 *     id 16 | disk 16 | u64 joined_index | u8 priority | u8 roles | u8 address bytes | u8 = 0
 *     address
 *   with flag 2: u16 count | disk 16 each, in the order of their removal
 * Version 1 has the first level: as long as there may be servers that know of none, they read it.
 */
#include <string.h>

#include "base/assert.h"
#include "base/wire.h"
#include "core.h"

enum {
    VERSION = 1,
    VERSION_WITH_LEVEL = 2,
    FLAG_JOINT = 1,
    FLAG_REMOVED = 2,
    FLAG_FORCED = 4,
    ROLE_VOTER = 1,
    ROLE_VOTER_OLD = 2,
    ROLE_LEARNER = 4,
};

static void encode_server(struct mu_wr *w, const struct consensus_server *s)
{
    size_t address_bytes = strnlen(s->address, sizeof s->address);

    MU_ASSERT(address_bytes < sizeof s->address);
    mu_wr_bytes(w, s->id.b, sizeof s->id.b);
    mu_wr_bytes(w, s->disk.b, sizeof s->disk.b);
    mu_wr_u64le(w, s->joined_index);
    mu_wr_u8(w, s->priority);
    mu_wr_u8(w, (uint8_t)((s->is_voter ? ROLE_VOTER : 0) | (s->is_voter_old ? ROLE_VOTER_OLD : 0) |
                          (s->is_learner ? ROLE_LEARNER : 0)));
    mu_wr_u8(w, (uint8_t)address_bytes);
    mu_wr_u8(w, 0);
    mu_wr_bytes(w, s->address, address_bytes);
}

size_t consensus_config_encode(const struct consensus_config *config,
                               uint8_t out[CONSENSUS_CONFIG_BYTES_MAX])
{
    struct mu_wr w = mu_wr_of(out, CONSENSUS_CONFIG_BYTES_MAX);
    bool has_level = config->level > CONSENSUS_LEVEL_FIRST;

    MU_ASSERT(config->servers_count <= CONSENSUS_PEERS_MAX);
    MU_ASSERT(config->removed_count <= CONSENSUS_REMOVED_MAX);
    mu_wr_u8(&w, has_level ? VERSION_WITH_LEVEL : VERSION);
    mu_wr_u8(&w, (uint8_t)((config->is_joint ? FLAG_JOINT : 0) |
                           (config->removed_count > 0 ? FLAG_REMOVED : 0) |
                           (config->is_forced ? FLAG_FORCED : 0)));
    mu_wr_u16le(&w, (uint16_t)config->servers_count);
    if (has_level) {
        mu_wr_u32le(&w, config->level);
    }
    for (uint32_t i = 0; i < config->servers_count; i++) {
        encode_server(&w, &config->servers[i]);
    }
    if (config->removed_count > 0) {
        mu_wr_u16le(&w, (uint16_t)config->removed_count);
    }
    for (uint32_t i = 0; i < config->removed_count; i++) {
        mu_wr_bytes(&w, config->removed[i].b, sizeof config->removed[i].b);
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

static enum mu_code decode_server(struct mu_rd *r, struct consensus_server *s, struct mu_err *err)
{
    read_id(r, &s->id);
    read_id(r, &s->disk);
    s->joined_index = mu_rd_u64le(r);
    s->priority = mu_rd_u8(r);
    uint8_t roles = mu_rd_u8(r);
    uint8_t address_bytes = mu_rd_u8(r);
    uint8_t reserved = mu_rd_u8(r);
    struct mu_span address = mu_rd_take(r, address_bytes);

    if (!mu_rd_ok(r)) {
        return mu_fail(err, MU_INVALID, "a server record ends too early");
    }
    if (reserved != 0 || (roles & ~(ROLE_VOTER | ROLE_VOTER_OLD | ROLE_LEARNER)) != 0) {
        return mu_fail(err, MU_INVALID, "a server record has unknown bits");
    }
    if (address.bytes >= sizeof s->address ||
        (address.bytes > 0 && memchr(address.data, 0, address.bytes) != NULL)) {
        return mu_fail(err, MU_INVALID, "an address of %zu bytes", address.bytes);
    }
    if (address.bytes > 0) {
        memcpy(s->address, address.data, address.bytes);
    }
    s->is_voter = (roles & ROLE_VOTER) != 0;
    s->is_voter_old = (roles & ROLE_VOTER_OLD) != 0;
    s->is_learner = (roles & ROLE_LEARNER) != 0;
    return MU_OK;
}

static enum mu_code decode_removed(struct mu_rd *r, struct consensus_config *out,
                                   struct mu_err *err)
{
    out->removed_count = mu_rd_u16le(r);
    if (out->removed_count < 1 || out->removed_count > CONSENSUS_REMOVED_MAX) {
        return mu_fail(err, MU_INVALID, "%u removed disks, allowed are 1 to %d", out->removed_count,
                       CONSENSUS_REMOVED_MAX);
    }
    for (uint32_t i = 0; i < out->removed_count; i++) {
        read_id(r, &out->removed[i]);
    }
    return mu_rd_ok(r) ? MU_OK : mu_fail(err, MU_INVALID, "the removed disks end too early");
}

/* Up to the servers. */
static enum mu_code decode_head(struct mu_rd *r, struct consensus_config *out, uint8_t *flags,
                                struct mu_err *err)
{
    uint8_t version = mu_rd_u8(r);

    *flags = mu_rd_u8(r);
    out->servers_count = mu_rd_u16le(r);
    out->level = version == VERSION_WITH_LEVEL ? mu_rd_u32le(r) : CONSENSUS_LEVEL_FIRST;
    out->is_joint = (*flags & FLAG_JOINT) != 0;
    out->is_forced = (*flags & FLAG_FORCED) != 0;
    if (mu_rd_ok(r) && version > VERSION_WITH_LEVEL) {
        return mu_fail(err, MU_UNSUPPORTED, "version %u, written by a newer muster", version);
    }
    if (!mu_rd_ok(r) || version < VERSION ||
        (*flags & ~(FLAG_JOINT | FLAG_REMOVED | FLAG_FORCED)) != 0 ||
        (version == VERSION_WITH_LEVEL && out->level <= CONSENSUS_LEVEL_FIRST)) {
        return mu_fail(err, MU_INVALID, "unknown layout");
    }
    return out->servers_count <= CONSENSUS_PEERS_MAX
               ? MU_OK
               : mu_fail(err, MU_INVALID, "%u servers, at most %d", out->servers_count,
                         CONSENSUS_PEERS_MAX);
}

static enum mu_code decode_all(struct mu_rd *r, struct consensus_config *out, struct mu_err *err)
{
    uint8_t flags = 0;
    enum mu_code rc = decode_head(r, out, &flags, err);

    for (uint32_t i = 0; rc == MU_OK && i < out->servers_count; i++) {
        rc = decode_server(r, &out->servers[i], err);
    }
    if (rc == MU_OK && (flags & FLAG_REMOVED) != 0) {
        rc = decode_removed(r, out, err);
    }
    if (rc == MU_OK && !mu_rd_done(r)) {
        rc = mu_fail(err, MU_INVALID, "%zu bytes too many", r->left);
    }
    return rc == MU_OK ? consensus_config_check(out, err) : rc;
}

enum mu_code consensus_config_decode(struct mu_span bytes, uint64_t index,
                                     struct consensus_config *out, struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(bytes);

    memset(out, 0, sizeof *out);
    out->index = index;
    enum mu_code rc = decode_all(&r, out, err);

    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "configuration %llu", (unsigned long long)index);
}

enum mu_code consensus_config_check(const struct consensus_config *config, struct mu_err *err)
{
    uint32_t voters = 0;
    uint32_t voters_old = 0;

    if (config->level < CONSENSUS_LEVEL_FIRST) {
        return mu_fail(err, MU_INVALID, "no level of commands");
    }
    for (uint32_t i = 0; i < config->servers_count; i++) {
        const struct consensus_server *s = &config->servers[i];

        if (mu_id_is_none(&s->id) || mu_id_is_none(&s->disk)) {
            return mu_fail(err, MU_INVALID, "a server without an id");
        }
        if (i > 0 && memcmp(config->servers[i - 1].id.b, s->id.b, sizeof s->id.b) >= 0) {
            return mu_fail(err, MU_INVALID, "ids are not unique and ascending");
        }
        /* learners_next of spec 2.8: a voter of the outgoing set may become a learner */
        if (!s->is_voter && !s->is_voter_old && !s->is_learner) {
            return mu_fail(err, MU_INVALID, "a server without a role");
        }
        if (s->is_voter && s->is_learner) {
            return mu_fail(err, MU_INVALID, "a server is voter and learner");
        }
        if (consensus_config_has_removed(config, &s->disk)) {
            return mu_fail(err, MU_INVALID, "a server with a disk that was removed");
        }
        voters += s->is_voter;
        voters_old += s->is_voter_old;
    }
    if (voters < 1 || voters > CONSENSUS_VOTERS_MAX) {
        return mu_fail(err, MU_INVALID, "%u voters, allowed are 1 to %d", voters,
                       CONSENSUS_VOTERS_MAX);
    }
    if (config->is_joint ? voters_old < 1 || voters_old > CONSENSUS_VOTERS_MAX : voters_old > 0) {
        return mu_fail(err, MU_INVALID, "%u voters in the outgoing set", voters_old);
    }
    return MU_OK;
}

bool consensus_server_votes(const struct consensus_server *server)
{
    return server->is_voter || server->is_voter_old;
}

const struct consensus_server *consensus_config_find(const struct consensus_config *config,
                                                     const struct mu_id *id)
{
    for (uint32_t i = 0; i < config->servers_count; i++) {
        if (mu_id_eq(&config->servers[i].id, id)) {
            return &config->servers[i];
        }
    }
    return NULL;
}

bool consensus_config_has_removed(const struct consensus_config *config, const struct mu_id *disk)
{
    for (uint32_t i = 0; i < config->removed_count; i++) {
        if (mu_id_eq(&config->removed[i], disk)) {
            return true;
        }
    }
    return false;
}

/* -- from one to the next ------------------------------------------------------------------ */

static bool is_voter_in(const struct consensus_config *config, const struct mu_id *id, bool is_old)
{
    const struct consensus_server *s = consensus_config_find(config, id);

    return s != NULL && (is_old ? s->is_voter_old : s->is_voter);
}

/* How many voters of one set of `a` are none in one set of `b`. */
static uint32_t voters_missing(const struct consensus_config *a, bool is_old_a,
                               const struct consensus_config *b, bool is_old_b)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->servers_count; i++) {
        const struct mu_id *id = &a->servers[i].id;

        count += is_voter_in(a, id, is_old_a) && !is_voter_in(b, id, is_old_b);
    }
    return count;
}

bool consensus__config_follows(const struct consensus_config *before,
                               const struct consensus_config *next)
{
    /* next's outgoing set, or its only one, against before's incoming one */
    uint32_t gone = voters_missing(before, false, next, next->is_joint);
    uint32_t come = voters_missing(next, next->is_joint, before, false);

    if (next->is_forced) {
        return true;
    }
    if (next->level < before->level) { /* somebody may have used it by now */
        return false;
    }
    if (before->is_joint || next->is_joint) { /* into the joint step and out of it, no further */
        return before->is_joint != next->is_joint && gone + come == 0;
    }
    return gone + come <= 1; /* majorities of the two have a server in common */
}

/* -- the history --------------------------------------------------------------------------- */

const struct consensus_config *consensus__config(const struct consensus *c)
{
    return &c->configs[c->configs_count > 0 ? c->configs_count - 1 : 0];
}

const struct consensus_config *consensus_config_now(const struct consensus *c)
{
    return consensus__config(c);
}

const struct consensus_config *consensus__config_below(const struct consensus *c, uint64_t index)
{
    return index > 0 ? consensus__config_at(c, index - 1) : NULL;
}

static void in_force_changed(struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    uint64_t voters = 0;

    for (uint32_t i = 0; i < now->servers_count; i++) {
        voters += now->servers[i].is_voter;
    }
    c->has_peers_change = true;
    consensus__note(c, CONSENSUS_T_CONFIG, NULL, now->index, voters, now->servers_count);
    consensus__peers_align(c);
    consensus__role_settle(c);
}

/* Leaves one out behind the first. Each but the newest was committed before the next was proposed
 * (change.c), so none that is left out comes into force again; that this server does not know how
 * far commit has come, as after a restart, must not keep it from taking more. */
static void leave_one_out(struct consensus *c)
{
    c->config_gap = c->config_gap != 0 ? c->config_gap : c->configs[1].index;
    memmove(c->configs + 1, c->configs + 2, (CONSENSUS_CONFIGS_MAX - 2) * sizeof *c->configs);
    c->configs_count--;
}

/* Effective on append. */
void consensus__config_push(struct consensus *c, const struct consensus_config *config)
{
    MU_ASSERT(config != NULL);
    MU_ASSERT(c->configs_count == 0 || config->index > consensus__config(c)->index);
    if (c->configs_count == CONSENSUS_CONFIGS_MAX) {
        leave_one_out(c);
    }
    c->configs[c->configs_count++] = *config;
    in_force_changed(c);
}

void consensus__config_truncate(struct consensus *c, uint64_t first)
{
    uint32_t count = c->configs_count;

    while (c->configs_count > 1 && c->configs[c->configs_count - 1].index >= first) {
        c->configs_count--;
    }
    if (c->configs_count != count) {
        in_force_changed(c);
    }
}

/* What was in force before the newest committed one cannot be again. */
void consensus__config_committed(struct consensus *c)
{
    uint32_t count = c->configs_count;

    while (c->configs_count > 1 && c->configs[1].index <= c->commit) {
        memmove(c->configs, c->configs + 1, (c->configs_count - 1) * sizeof *c->configs);
        c->configs_count--;
        c->config_gap = 0;
    }
    if (c->configs_count != count) {
        consensus__role_settle(c);
    }
    for (uint32_t i = consensus__config(c)->servers_count; i < c->peers_count; i++) {
        if (c->peers[i].removed_ms == 0 && c->peers[i].removed_index <= c->commit) {
            c->peers[i].removed_ms = c->now_ms;
        }
    }
}

/* After an install no configuration of the old log may be consulted (row 49). */
void consensus__config_reset(struct consensus *c, const struct consensus_config *config)
{
    c->configs[0] = *config;
    c->configs_count = 1;
    c->config_gap = 0;
    in_force_changed(c);
}

/* The newest, and the one that was in force at what is applied: a snapshot of that needs it. */
void consensus__configs_load(struct consensus *c, const struct consensus_loaded *loaded)
{
    for (size_t i = 0; i < loaded->configs_count; i++) {
        if (loaded->configs[i].index <= loaded->applied) {
            c->configs_count = 0;
        }
        if (c->configs_count == CONSENSUS_CONFIGS_MAX) {
            leave_one_out(c);
        }
        c->configs[c->configs_count++] = loaded->configs[i];
    }
}

const struct consensus_config *consensus__config_at(const struct consensus *c, uint64_t index)
{
    for (uint32_t i = c->configs_count; i > 0; i--) {
        if (c->configs[i - 1].index <= index) {
            bool is_known = i > 1 || c->config_gap == 0 || index < c->config_gap;

            return is_known ? &c->configs[i - 1] : NULL;
        }
    }
    return NULL;
}
