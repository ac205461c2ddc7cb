/* state.c - the state of a server: the file that counts, the thread that applies to it, and what is
 * done when it is not to be trusted.
 *
 *   generation -> opened --- damaged, or said so at the last stop --> lost
 *                   |                                                  | the log, and others, have
 * it |                                                  v |                             an empty
 * one: from the log, or a snapshot comes
 *                   v
 *               log opened --- begins behind a next state that is complete --> that one counts
 *
 * Nothing of the state is removed before it is known that it can be had again.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "copied.h"
#include "core.h"
#include "failures.h"
#include "rebuild.h"
#include "snapshot.h"
#include "snapshot_files.h"

#define FAILURES_NAME "failures"
/* Of a small file system that the state's WAL may take. What it holds goes into the file before it
 * is given back: with the biggest transaction that must fit into the log's reserve, or neither
 * does. */
#define WAL_SHARE 64U

/* -- what the apply thread says ---------------------------------------------------------------- */

static bool was_restored(const struct catalog_changes *changes)
{
    for (size_t i = 0; i < catalog_changes_count(changes); i++) {
        if (catalog_changes_at(changes, i).kind == CATALOG_EVERYTHING) {
            return true;
        }
    }
    return false;
}

/* An archive took the place of the state, for all servers: what is known of this agent and of the
 * members is compared with it. */
static void on_restored(struct agent *a)
{
    mu_log(MU_WARN, "agent.server", "The state was replaced by that of a snapshot",
           mu_kv_u("index", a->applied.index));
    catalog_cache_drop_all(a->cache);
    if (a->phase == AGENT_RUNNING) {
        agent__leader_restored(a);
        agent__sync_full(a, "the state was restored from a snapshot");
    }
}

static void schema_note(struct agent *a, struct catalog_schema schema)
{
    if (schema.version != a->schema.version) {
        mu_log(MU_INFO, "agent.server",
               "The state has a newer schema: versions of muster that do not know it cannot be "
               "started on it any more",
               mu_kv_u("schema", schema.version), mu_kv_u("level", schema.level));
    }
    a->schema = schema;
}

static void on_applied(void *data, const struct apply_report *report)
{
    struct agent *a = data;

    a->applied = report->applied;
    schema_note(a, report->schema);
    if (a->consensus != NULL) {
        consensus_driver_weigh(a->consensus, report->bytes);
        consensus_driver_applied(a->consensus, report->applied.index, report->durable, report->sums,
                                 report->sums_count);
    }
    if (report->changes != NULL) {
        bool is_restore = was_restored(report->changes);

        a->restores += is_restore;
        catalog_reader_release(a->reader); /* what is read from now on sees the commit */
        catalog_watch_fire(a->watch, report->changes);
        if (a->sessions != NULL) {
            agent__sessions_changed(a, report->changes);
            agent__leader_nodes_changed(a, report->changes);
        }
        if (is_restore) {
            on_restored(a);
        }
    } else {
        catalog_reader_rest(a->reader); /* a checkpoint in a quiet moment: give pages back */
    }
    if (a->requests != NULL) { /* else we stop, and all were answered */
        agent__requests_applied(a, report);
        agent__sessions_applied(a);
        agent__history_applied(a, &report->history);
    }
    agent__snapshot_poll(a);
}

static uint64_t wall_s(void)
{
    return (uint64_t)(mu_clock_wall_ns() / MU_NS_PER_S);
}

/* Of log or state: counted over restarts. */
void agent__failure_note(struct agent *a, const char *why)
{
    char *path = agent__data_path(a, FAILURES_NAME);

    failures_add(path, wall_s(), why);
    mu_free(path);
}

enum mu_code agent__failures_look(struct agent *a, struct mu_err *err)
{
    char *path = agent__data_path(a, FAILURES_NAME);
    enum mu_code rc = failures_check(path, wall_s(), err);

    mu_free(path);
    return rc;
}

void agent__state_failed(struct agent *a, const char *why)
{
    mu_log(MU_ERROR, "agent.server", "The state cannot be written, this server stops",
           mu_kv("error", why));
    agent__failure_note(a, why);
    agent__end(a, AGENT_FAILED);
}

/* The log has all of it, or the leader: a new start makes the state anew. */
void agent__state_bad(struct agent *a, const char *why)
{
    struct mu_err err = MU_ERR_NONE;

    mu_log(MU_ERROR, "agent.server",
           "The state of this server is not to be trusted: it stops, and makes it anew",
           mu_kv("error", why));
    agent__failure_note(a, why);
    if (rebuild_want(a->data.dir, a->generation, why, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "That cannot be written down", mu_kv("error", err.text));
        agent__end(a, AGENT_FAILED);
        return;
    }
    agent__end(a, AGENT_AGAIN);
}

/* A read meets what nothing else may touch for years. With others to have the state from it is made
 * anew at once; a server by itself goes on with what can be read, for its log may not lead there.
 */
void agent__state_damaged(struct agent *a, const char *why)
{
    struct consensus_status status;

    if (a->has_met_damage || a->consensus == NULL || a->phase >= AGENT_ENDING) {
        return;
    }
    a->has_met_damage = true;
    consensus_driver_status(a->consensus, &status);
    if (status.voters_count > 1) {
        agent__state_bad(a, why);
        return;
    }
    mu_log(MU_ERROR, "agent.server",
           "The state is damaged, and there is no other server to have it from: save what can be "
           "read (muster kv export), and restore it on a new disk",
           mu_kv("error", why));
}

void agent__state_look(struct agent *a)
{
    if (catalog_reader_is_damaged(a->reader)) {
        agent__state_damaged(a, "a read met a damaged page");
    }
}

/* What the log holds in reserve is for the state, too (spec/consensus.md 2.15). */
static void on_state_full(void *data)
{
    struct agent *a = data;

    if (a->consensus != NULL && a->phase < AGENT_STOPPING) {
        consensus_driver_relieve(a->consensus);
    }
}

static void on_storage_failed(void *data, const char *why)
{
    struct agent *a = data;

    if (apply_failure(a->apply) == MU_CORRUPT) {
        agent__state_bad(a, why);
    } else if (apply_failure(a->apply) == MU_READ_ONLY) {
        agent__read_only(a, why);
        on_state_full(a); /* the log meets it too: it has a file to give back, or to take */
    } else {
        agent__state_failed(a, why);
    }
}

/* -- the file ---------------------------------------------------------------------------------- */

/* On a full disk what is in the WAL may find no room in the file: with the reserve's it does. */
static enum mu_code catalog_open_somehow(struct agent *a, struct catalog **out, struct mu_err *err)
{
    struct mu_space space;
    enum mu_code rc = mu_file_space(a->data.dir, &space, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (space.total_bytes / WAL_SHARE < UINT32_MAX) {
        a->wal_bytes = (uint32_t)(space.total_bytes / WAL_SHARE);
    }
    struct catalog_options options = { .path = a->state_path, .wal_bytes = a->wal_bytes };

    rc = catalog_open(out, &options, err);
    if (rc == MU_FULL) {
        char *dir = agent__data_path(a, "consensus");

        if (consensus_driver_relieve_closed(dir)) {
            rc = catalog_open(out, &options, err);
        }
        mu_free(dir);
    }
    return rc;
}

/* The catalog, which is given, and the path it was opened by become the state. */
static enum mu_code state_take(struct agent *a, struct catalog *catalog, struct mu_err *err)
{
    a->applied = catalog_applied(catalog);
    a->durable_at_start = catalog_durable(catalog);
    a->schema = catalog_schema(catalog);
    a->apply = apply_new(a->loop, catalog, on_applied, on_storage_failed, on_state_full, a);
    return catalog_reader_open(&a->reader, a->state_path, NULL, err);
}

static void state_let_go(struct agent *a)
{
    catalog_reader_close(a->reader);
    apply_close(a->apply);
    mu_free(a->state_path);
    a->reader = NULL;
    a->apply = NULL;
    a->state_path = NULL;
}

/* The apply thread is idle, so ending it waits for nothing; the new file was just written. */
enum mu_code agent__state_replace(struct agent *a, struct catalog *catalog, uint64_t generation,
                                  struct mu_err *err)
{
    state_let_go(a);
    a->state_path = snapshot_state_path(a->data.dir, generation);
    a->generation = generation;
    a->has_met_damage = false;
    if (a->lacks_state) {
        a->lacks_state = false;
        mu_log(MU_WARN, "agent.server", "The state of this server was made anew",
               mu_kv("of", "a snapshot of the leader"),
               mu_kv_u("index", catalog_applied(catalog).index));
    }
    return state_take(a, catalog, err);
}

static enum mu_code state_open(struct agent *a, uint64_t generation, struct mu_err *err)
{
    struct catalog *catalog = NULL;
    enum mu_code rc;

    a->state_path = snapshot_state_path(a->data.dir, generation);
    a->generation = generation;
    rc = catalog_open_somehow(a, &catalog, err);
    return rc == MU_OK ? state_take(a, catalog, err) : rc;
}
/* -- opening ----------------------------------------------------------------------------------- */

/* What there is of the state may be of no use: it was said at the last stop, or is found now. */
static enum mu_code state_look(struct agent *a, uint64_t generation, struct mu_err *why,
                               struct mu_err *err)
{
    bool is_wanted = false;
    enum mu_code rc = rebuild_wanted(a->data.dir, generation, &is_wanted, why, err);

    if (rc != MU_OK) {
        return rc;
    }
    rc = is_wanted ? MU_CORRUPT : state_open(a, generation, why);
    if (rc == MU_CORRUPT) {
        state_let_go(a);
        a->lacks_state = true;
        a->applied = (struct catalog_applied){ .index = 0 };
        a->schema = (struct catalog_schema){ 0 };
        a->durable_at_start = 0;
        return MU_OK;
    }
    *err = *why;
    return rc;
}

/* The log and who has the rest are there: the old state goes, an empty one takes its place. */
static enum mu_code state_anew(struct agent *a, uint64_t generation, const struct mu_err *why,
                               struct mu_err *err)
{
    const char *dir = a->data.dir;
    enum mu_code rc = rebuild_want(dir, generation, why->text, err);

    rc = rc == MU_OK ? snapshot_state_remove(dir, generation, err) : rc;
    rc = rc == MU_OK ? state_open(a, generation, err) : rc;
    a->lacks_state = consensus_driver_lacks_state(a->consensus);
    a->rebuilds++;
    mu_log(MU_WARN, "agent.server", "The state of this server is made anew",
           mu_kv("of", a->lacks_state ? "a snapshot of the leader" : "its log"),
           mu_kv("reason", why->text));
    return rc;
}

/* Behind the log's new beginning lies a new state, complete: a crash came before it counted. */
static enum mu_code state_next(struct agent *a, uint64_t generation, uint64_t index,
                               struct mu_err *err)
{
    mu_log(MU_INFO, "agent.server", "Completing the install of a snapshot",
           mu_kv_u("index", index));
    state_let_go(a);
    a->lacks_state = false;
    enum mu_code rc = snapshot_generation_set(a->data.dir, generation, err);

    return rc == MU_OK ? state_open(a, generation, err) : rc;
}

/* Generations beside the one that counts, and a note about one that is no more. */
static enum mu_code rests_remove(struct agent *a, struct mu_err *err)
{
    const char *dir = a->data.dir;
    enum mu_code rc = snapshot_state_remove(dir, a->generation + 1, err);

    rc = rc == MU_OK && a->generation > 1 ? snapshot_state_remove(dir, a->generation - 1, err) : rc;
    return rc == MU_OK && !a->lacks_state ? rebuild_done(dir, err) : rc;
}

enum mu_code agent__state_open(struct agent *a, struct mu_err *err)
{
    struct mu_err why = MU_ERR_NONE;
    struct catalog_applied next;
    uint64_t generation = 0;
    const char *dir = a->data.dir;
    enum mu_code rc = snapshot_generation(dir, &generation, err);

    rc = rc == MU_OK ? copied_is(dir, generation, &a->state_is_copy, err) : rc;
    rc = rc == MU_OK ? state_look(a, generation, &why, err) : rc;
    rc = rc == MU_OK ? snapshot_state_applied(dir, generation + 1, &next, err) : rc;
    rc = rc == MU_OK ? agent__consensus_open(a, &next, err) : rc;
    if (rc != MU_OK && a->lacks_state) {
        return mu_wrap(err, rc, "%s; it cannot be made anew", why.text);
    }
    if (rc == MU_OK && consensus_driver_takes_next(a->consensus)) {
        rc = state_next(a, generation + 1, next.index, err);
    } else if (rc == MU_OK && a->lacks_state) {
        rc = state_anew(a, generation, &why, err);
    }
    rc = rc == MU_OK ? rests_remove(a, err) : rc;
    if (rc == MU_OK) {
        agent__snapshots_open(a, a->generation);
    }
    return rc;
}
