/* opening.c - a server finds its state and its log again, and completes an install that a crash
 * has interrupted, in the order of agent/agent.c.
 */
#include <stdio.h>

#include "agent/copied.h"
#include "agent/rebuild.h"
#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "base/mem.h"
#include "consensus/ballast.h"
#include "sim_vfs.h"
#include "world.h"

/* Of short logs: sizes of entries are counted in sixteenths of it. */
#define TRAILING_BYTES (256U * 1024)

void server_dir(const struct server *s, char out[SERVER_DIR_BYTES])
{
    (void)snprintf(out, SERVER_DIR_BYTES, "/%zu", s->place);
}

static enum mu_code state_open(struct server *s, struct mu_err *err)
{
    char dir[SERVER_DIR_BYTES];

    server_dir(s, dir);
    char *path = snapshot_state_path(dir, s->generation);
    struct catalog_options options = { .path = path, .wal_bytes = s->world->wal_bytes };
    enum mu_code rc = catalog_open(&s->catalog, &options, err);

    if (rc == MU_FULL && disk_remove(s->disk, DISK_LOG, CONSENSUS_BALLAST_NAME, NULL) == MU_OK) {
        rc = catalog_open(&s->catalog, &options, err);
    }
    rc = rc == MU_OK ? version_takes(s, s->catalog, err) : rc;
    if (rc == MU_OK) {
        s->opened = catalog_applied(s->catalog);
        rc = catalog_reader_open(&s->reader, path, NULL, err);
    }
    mu_free(path);
    return rc;
}

static void state_let_go(struct server *s)
{
    catalog_reader_close(s->reader);
    s->reader = NULL;
    catalog_close(s->catalog);
    s->catalog = NULL;
}

static enum mu_code node_open(struct server *s, const struct catalog_applied *next,
                              struct mu_err *err)
{
    struct world *w = s->world;
    struct consensus_store store;
    struct consensus_store_options store_options = {
        .server = s->id,
        .segment_bytes = w->segment_bytes,
        .spares_count = 1,
        .ballast_bytes = w->ballast_bytes,
        .applied_index = s->opened.index,
        .applied_term = s->opened.term,
        .seed = mu_rand_u64(&w->rand) | 1,
        .wake = server_store_wakes,
        .wake_data = s,
    };
    wounds_sizes(s, &store_options);
    struct consensus_log_host host = threads_log(s);
    struct consensus_driver_options options = {
        .server = s->id,
        .dir = s->name,
        .timing = w->timing,
        .multiplier = 1,
        .expect = calls_expect(s),
        .transport = world_has(w, FAULT_plain) ? &net_transport_plain : &net_transport,
        .transport_self = s,
        .callbacks = calls_callbacks(w),
        .callbacks_data = s,
        .applied = s->opened.index,
        .applied_term = s->opened.term,
        .durable_applied = s->lacks_state ? 0 : catalog_durable(s->catalog),
        .state_level = s->lacks_state ? 0 : catalog_schema(s->catalog).level,
        .level_max = s->level_max,
        .lacks_state = s->lacks_state,
        .state_is_copy = s->is_copy,
        .next_applied = next->index,
        .next_applied_term = next->term,
        .trailing_entries = w->trailing,
        .trailing_bytes = w->is_pressing ? TRAILING_BYTES : 0,
        .chunk_bytes = w->chunk_bytes,
        .cache_bytes = w->cache_bytes,
        .has_leases = w->leases != LEASES_NONE,
        .seed = mu_rand_u64(&w->rand) | 1,
    };

    consensus__store_segment_on(&store, &store_options, s->view, &host);
    s->has_node = true;
    return consensus__node_open(&s->node, &options, &store, server_ms(s), err);
}

/* A crash may have interrupted an install: behind the log's new beginning lies a new state. */
static enum mu_code next_take(struct server *s, const char *dir, const struct catalog_applied *next,
                              struct mu_err *err)
{
    world_say(s->world, "%s: completes the install of a snapshot of %llu", s->name, U(next->index));
    s->world->sums.completed++;
    s->generation++;
    state_let_go(s);
    s->lacks_state = s->is_doubted = false;
    s->noted = 0;
    enum mu_code rc = snapshot_generation_set(dir, s->generation, err);

    return rc == MU_OK ? state_open(s, err) : rc;
}

/* Instead of a state that was said to be bad only the next one may be used: a copy, which an
 * install put in its place without the process that ended hearing of it. That one is not bad. */
static void noted_look(struct server *s, bool is_wanted)
{
    if (s->noted != 0 && s->generation == s->noted + 1 && s->is_copy) {
        s->noted = 0;
        s->is_remade = s->is_doubted = false;
    }
    if (!server_is_hurt(s) && (is_wanted ? !s->is_remade : s->noted != 0)) {
        world_fail(s->world,
                   is_wanted ? "%s: a good state is to be made anew"
                             : "%s: a state is used that was said to be bad",
                   s->name);
    }
}

/* What there is of the state may be of no use: it was said at the last stop, or is found now. */
static enum mu_code state_look(struct server *s, const char *dir, struct mu_err *why,
                               struct mu_err *err)
{
    bool is_wanted = false;
    enum mu_code rc = rebuild_wanted(dir, s->generation, &is_wanted, why, err);

    s->lacks_state = false;
    if (rc != MU_OK) {
        return rc;
    }
    noted_look(s, is_wanted);
    rc = is_wanted ? MU_CORRUPT : state_open(s, why);
    if (rc == MU_CORRUPT) {
        if (!is_wanted && !s->is_state_hurt) {
            world_fail(s->world, "%s: its state is refused, which no fault has touched: %s",
                       s->name, why->text);
        }
        state_let_go(s);
        s->lacks_state = s->is_remade = true;
        s->opened = (struct catalog_applied){ .index = 0 };
        return MU_OK;
    }
    *err = *why;
    return rc;
}

/* The log, or who has the rest, is there: the old state goes, an empty one takes its place. */
static enum mu_code state_anew(struct server *s, const char *dir, const struct mu_err *why,
                               struct mu_err *err)
{
    enum mu_code rc = rebuild_want(dir, s->generation, why->text, err);

    rc = rc == MU_OK ? snapshot_state_remove(dir, s->generation, err) : rc;
    if (rc == MU_OK) { /* what was durable of the state is given up, what was hurt is gone */
        s->durable_told = 0;
        s->is_state_hurt = s->is_doubted = s->differs = false;
        s->noted = 0;
        rc = state_open(s, err);
    }
    s->lacks_state = s->node.lacks_state;
    world_say(s->world, "%s: makes its state anew of %s: %s", s->name,
              s->lacks_state ? "a snapshot of the leader" : "its log", why->text);
    s->world->sums.rebuilt_log += rc == MU_OK && !s->lacks_state;
    return rc;
}

/* Generations beside the one that counts, and a note about one that is no more. */
static enum mu_code rests_remove(struct server *s, const char *dir, struct mu_err *err)
{
    enum mu_code rc = snapshot_state_remove(dir, s->generation + 1, err);

    if (rc == MU_OK && s->generation > 1) {
        rc = snapshot_state_remove(dir, s->generation - 1, err);
    }
    if (rc == MU_OK && !s->lacks_state) {
        rc = rebuild_done(dir, err);
        s->is_remade = s->is_remade && rc != MU_OK;
    }
    return rc;
}

static enum mu_code history_open(struct server *s, struct mu_err *err)
{
    struct catalog_applied next = { .index = 0 };
    struct mu_err why = MU_ERR_NONE;
    char dir[SERVER_DIR_BYTES];

    server_dir(s, dir);
    enum mu_code rc = snapshot_generation(dir, &s->generation, err);

    rc = rc == MU_OK ? copied_is(dir, s->generation, &s->is_copy, err) : rc;
    rc = rc == MU_OK ? state_look(s, dir, &why, err) : rc;
    rc = rc == MU_OK ? snapshot_state_applied(dir, s->generation + 1, &next, err) : rc;
    rc = rc == MU_OK ? node_open(s, &next, err) : rc;
    if (rc == MU_OK && s->node.takes_next) {
        rc = next_take(s, dir, &next, err);
    } else if (rc == MU_OK && s->lacks_state) {
        rc = state_anew(s, dir, &why, err);
    }
    rc = rc == MU_OK ? rests_remove(s, dir, err) : rc;
    if (rc == MU_OK) {
        snaps_open(s);
    }
    return rc;
}

void server_boot(void *data)
{
    struct server *s = data;

    s->open_error = MU_ERR_NONE;
    s->open_code = history_open(s, &s->open_error);
    if (!s->is_dying) {
        server_boots_up(s);
    }
}
