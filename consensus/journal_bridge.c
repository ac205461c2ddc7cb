/* journal_bridge.c - what was lost with damaged batches, and how the log goes on without them
 * (spec/consensus.md 2.16).
 *
 * Every batch begins with the hard state and with where the log stood before it, so the next intact
 * one tells. Held already: nothing that counts was lost. In the state: the log begins behind it.
 * Else the open goes astray: it follows the rest of the log only for its end, unless that turns out
 * to go back to something that is held, or to begin anew; and restarts the log behind the state, in
 * a segment of its own whose FLOOR says how far it had been.
 */
#include <stdio.h>

#include "base/assert.h"
#include "opening.h"

/* Is this a position of the log as far as it is known? */
static enum mu_code is_held(struct opening *o, const struct consensus_position *at, bool *is,
                            struct mu_err *err)
{
    struct consensus_position own;
    struct consensus_journal *j = o->j;

    *is = false;
    if (at->index < j->base.index || at->index > j->tail.index) {
        return MU_OK;
    }
    enum mu_code rc = consensus__journal_position(j, at->index, &own, err);

    *is = rc == MU_OK && own.term == at->term && own.chain == at->chain;
    return rc;
}

/* The newest configuration at this position, copied; false: it is not known. */
static bool config_save(const struct opening *o, uint64_t index,
                        struct consensus_stored_config *out)
{
    *out = (struct consensus_stored_config){ .bytes = MU_BUF_NONE };
    for (size_t i = 0; i < o->j->configs_count; i++) {
        const struct consensus_stored_config *c = &o->j->configs[i];

        if (c->index == index) {
            out->index = c->index;
            out->term = c->term;
            mu_buf_add_span(&out->bytes, mu_buf_span(&c->bytes));
        }
    }
    return out->index == index;
}

enum mu_code consensus__bridge_refuse(const struct opening *o, const char *what, struct mu_err *err)
{
    return consensus__journal_damage(o->j, o->damaged_number, o->damaged_offset, what, err);
}

static void damage_tell(struct opening *o, const char *what)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];

    if (o->found->damage[0] == '\0') {
        consensus__journal_name(o->damaged_number, name);
        (void)snprintf(o->found->damage, sizeof o->found->damage, "%s/%s at byte %llu: %s",
                       o->j->disk->ops->path(o->j->disk->self), name,
                       (unsigned long long)o->damaged_offset, what);
    }
}

/* Everything lost is in the state: the log begins behind it. */
static enum mu_code begin_behind(struct opening *o, const struct consensus_standing *s,
                                 struct mu_err *err)
{
    struct consensus_stored_config config;

    if (!config_save(o, s->config_index, &config)) {
        mu_buf_deinit(&config.bytes);
        return consensus__bridge_refuse(o, "a batch with a configuration is damaged", err);
    }
    consensus__opening_restart(o, &s->tail);
    if (config.index != 0) {
        consensus__journal_note_config(o->j, config.index, config.term, mu_buf_span(&config.bytes));
    }
    mu_buf_deinit(&config.bytes);
    damage_tell(o, "entries are damaged; the state has them");
    return MU_OK;
}

/* Batches are missing, and behind them the log stood there: what was in them? */
enum mu_code consensus__bridge(struct opening *o, const struct consensus_standing *s,
                               struct mu_err *err)
{
    const struct consensus_journal_options *options = &o->j->options;
    bool held = false;
    enum mu_code rc = is_held(o, &s->tail, &held, err);

    if (rc != MU_OK) {
        return rc;
    }
    o->j->hard = s->hard;
    o->is_bridged = true;
    if (held) {
        o->is_astray = false;
        if (s->tail.index < o->j->tail.index) {
            consensus__journal_note_truncate(o->j, &s->tail);
            consensus__opening_cut(o->found, s->tail.index + 1);
        }
        damage_tell(o, "a batch is damaged; nothing of it counts any more");
        return MU_OK;
    }
    if (s->tail.index <= options->applied_index) {
        o->is_astray = false;
        return begin_behind(o, s, err);
    }
    o->is_astray = true;
    o->end = s->tail;
    return MU_OK;
}

/* The payload of the first record of a kind among these. */
static bool find_own(struct mu_span left, enum consensus_record_own kind, struct mu_span *out)
{
    struct consensus_record r;
    size_t room;

    while (left.bytes > 0 && consensus__record_read(left, &r, &room)) {
        if (r.kind == kind) {
            *out = r.payload;
            return true;
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return false;
}

/* An earlier open has dealt with the damage: from this segment's base on the log is had anew. */
static bool restarts_here(struct opening *o)
{
    struct mu_span records = mu_buf_span(&o->pending);
    struct mu_span payload;
    struct consensus_position floor;
    struct consensus_base base;
    bool restarts = false;

    if (!find_own(records, CONSENSUS_RECORD_FLOOR, &payload) ||
        !consensus__floor_read(payload, &floor, &restarts) || !restarts ||
        !find_own(records, CONSENSUS_RECORD_BASE, &payload) ||
        !consensus__base_read(payload, &base)) {
        return false;
    }
    o->is_astray = false;
    o->has_base = true;
    consensus__opening_restart(o, &base.at);
    if (base.config_index != 0) {
        consensus__journal_note_config(o->j, base.config_index, base.config_term, base.config);
    }
    return true;
}

/* Before the pending batch is taken over: does it follow what is known? */
enum mu_code consensus__bridge_pending(struct opening *o, struct mu_err *err)
{
    struct consensus_standing standing;
    struct mu_span payload;
    bool is_loose = o->is_pending_torn || o->is_astray;

    o->is_pending_torn = false;
    if (restarts_here(o) || !is_loose) {
        return MU_OK;
    }
    if (!find_own(mu_buf_span(&o->pending), CONSENSUS_RECORD_HARD, &payload) ||
        !consensus__hard_read(payload, &standing)) {
        return consensus__bridge_refuse(o, "a batch is damaged, later ones are intact", err);
    }
    return consensus__bridge(o, &standing, err);
}

/* From here on something is missing, up to the next intact batch. */
void consensus__bridge_from(struct opening *o, uint64_t number, uint64_t offset)
{
    if (o->damaged_number == 0) {
        o->damaged_number = number;
        o->damaged_offset = offset;
    }
    o->damaged_last = number;
    o->is_torn_open = true;
}

/* -- going on ------------------------------------------------------------------------------ */

/* Nobody else could be asked. */
static bool is_alone(const struct consensus_stored_config *config)
{
    struct consensus_config decoded;

    return config->bytes.bytes > 0 &&
           consensus_config_decode(mu_buf_span(&config->bytes), config->index, &decoded, NULL) ==
               MU_OK &&
           decoded.servers_count == 1;
}

/* Damaged twice: what it had before the first time still counts. */
static void floor_raise(struct consensus_journal *j, const struct consensus_position *end)
{
    if (end->term > j->floor.term || (end->term == j->floor.term && end->index > j->floor.index)) {
        j->floor = *end;
    }
}

/* The state has everything up to its applied entry: the log goes on from there, in a segment of its
 * own, and says how far it had been. */
enum mu_code consensus__restart_behind_state(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    struct consensus_position at = { .index = j->options.applied_index,
                                     .term = j->options.applied_term };
    struct consensus_stored_config config = { .bytes = MU_BUF_NONE };
    uint64_t config_index = 0;

    if (at.index < j->base.index || j->tail.index < at.index) {
        /* A configuration may be among what is lost of the entries in the state. */
        return consensus__bridge_refuse(
            o, "entries are damaged on both sides of what the state has", err);
    }
    for (size_t i = 0; i < j->configs_count && j->configs[i].index <= at.index; i++) {
        config_index = j->configs[i].index;
    }
    (void)config_save(o, config_index, &config);
    if (is_alone(&config)) {
        mu_buf_deinit(&config.bytes);
        return consensus__bridge_refuse(o, "entries are damaged that no other server has", err);
    }
    consensus__opening_restart(o, &at);
    if (config_index != 0) {
        consensus__journal_note_config(j, config.index, config.term, mu_buf_span(&config.bytes));
    }
    mu_buf_deinit(&config.bytes);
    damage_tell(o, "entries are damaged; those that the state has not are asked of the others");
    struct consensus_position before = j->floor;

    j->floor = (struct consensus_position){ 0 };
    enum mu_code rc = consensus__journal_begin(j, &at, 0, true, err);

    j->floor = before;
    if (rc != MU_OK) {
        return rc;
    }
    /* Not before, or begin() had said it already, as of a log that goes on. */
    floor_raise(j, &o->end);
    consensus__journal_add_floor(j, true);
    rc = consensus__journal_commit(j, err);
    j->is_marked = false;
    return rc == MU_OK ? consensus__journal_mark(j, err) : rc;
}

/* Nothing that counts was lost with the last batches: go on where nothing is damaged. */
enum mu_code consensus__continue_elsewhere(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    struct consensus_position start = j->tail;
    enum mu_code rc = consensus__journal_begin(j, &start, CONSENSUS_RECORD_HEAD, true, err);

    if (rc != MU_OK) {
        return rc;
    }
    consensus__journal_add_mark(j);
    j->is_marked = true;
    return consensus__journal_commit(j, err);
}
