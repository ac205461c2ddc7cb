/* opening.c - a server finds its state and its log again, and completes an install that a crash
 * has interrupted, in the order of agent/agent.c.
 */
#include <stdio.h>

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
        .seed = mu_rand_u64(&w->rand) | 1,
        .wake = server_store_wakes,
        .wake_data = s,
    };
    struct consensus_log_host host = threads_log(s);
    struct consensus_driver_options options = {
        .server = s->id,
        .dir = s->name,
        .timing = w->timing,
        .multiplier = 1,
        .expect = s->joins ? 0 : (unsigned)w->servers_count,
        .transport = &net_transport,
        .transport_self = s,
        .callbacks = server_callbacks,
        .callbacks_data = s,
        .applied = s->opened.index,
        .applied_term = s->opened.term,
        .durable_applied = catalog_durable(s->catalog),
        .next_applied = next->index,
        .next_applied_term = next->term,
        .trailing_entries = w->trailing,
        .trailing_bytes = w->is_pressing ? TRAILING_BYTES : 0,
        .chunk_bytes = w->chunk_bytes,
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
    enum mu_code rc = snapshot_generation_set(dir, s->generation, err);

    return rc == MU_OK ? state_open(s, err) : rc;
}

static enum mu_code history_open(struct server *s, struct mu_err *err)
{
    struct catalog_applied next = { .index = 0 };
    char dir[SERVER_DIR_BYTES];

    server_dir(s, dir);
    enum mu_code rc = snapshot_generation(dir, &s->generation, err);

    rc = rc == MU_OK ? state_open(s, err) : rc;
    rc = rc == MU_OK ? snapshot_state_applied(dir, s->generation + 1, &next, err) : rc;
    rc = rc == MU_OK ? node_open(s, &next, err) : rc;
    if (rc == MU_OK && s->node.takes_next) {
        rc = next_take(s, dir, &next, err);
    }
    rc = rc == MU_OK ? snapshot_state_remove(dir, s->generation + 1, err) : rc;
    if (rc == MU_OK && s->generation > 1) {
        rc = snapshot_state_remove(dir, s->generation - 1, err);
    }
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
