/* judge.c - what must be true once everything is healed (spec/consensus.md 4.3, phases).
 *
 * First a quorum works again while the others are gone, then everybody: a leader, every write that
 * was acknowledged on every server, equal state, clients served. Then nothing may move any more. At
 * last every server stops in order, and its files are looked at with nobody around.
 */
#include <stdio.h>
#include <string.h>

#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "base/mem.h"
#include "core.h" /* states that differ */
#include "world.h"

#define SETTLE_S 60 /* a stalled disk alone made a log wait that long; without it, seconds */
#define SERVE_S  3
#define ASKED_S  2 /* by then a leader has asked everybody for a sum */
#define REST_S   25
#define QUIET_S  20

static bool is_wanted(const struct server *s)
{
    return !s->is_refused && s->restart_at != NEVER;
}

static const struct server *leader_now(const struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        const struct server *s = &w->servers[i];

        if (server_is_up(s) && s->node.is_leader && s->node.is_ready) {
            return s;
        }
    }
    return NULL;
}

/* Everybody who should be there has the whole log of one leader, applied. */
static bool is_settled(struct world *w)
{
    const struct server *leader = leader_now(w);
    struct consensus_status at;

    if (leader == NULL) {
        return false;
    }
    consensus_status(leader->node.core, &at);
    for (size_t i = 0; i < w->servers_count; i++) {
        const struct server *s = &w->servers[i];

        if (is_wanted(s) && (!server_is_up(s) || s->applied.index != at.last_index ||
                             !mu_id_eq(&s->node.leader, &leader->id))) {
            return false;
        }
    }
    for (size_t i = 0; i < w->clients_count; i++) {
        if (w->clients[i].op != 0) {
            return false;
        }
    }
    return at.last_index >= w->told;
}

static void must_settle(struct world *w, const char *what)
{
    if (world_run_until(w, is_settled, w->now + SETTLE_S * SECOND)) {
        return;
    }
    for (size_t i = 0; i < w->servers_count; i++) {
        const struct server *s = &w->servers[i];
        struct consensus_status st = { .role = CONSENSUS_OBSERVER };

        if (server_is_up(s)) {
            consensus__node_status(&s->node, &st);
        }
        world_say(w,
                  "%s: state %d, %s, term %llu, last %llu, commit %llu, stable %llu, applied %llu",
                  s->name, (int)s->state, consensus_role_text(st.role), U(st.term),
                  U(st.last_index), U(st.commit), U(st.stable), U(s->applied.index));
    }
    world_fail(w, "liveness: %s do not come to rest in %d s", what, SETTLE_S);
}

/* -- who works ----------------------------------------------------------------------------------
 */

static size_t intact_count(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < w->servers_count; i++) {
        count += server_is_whole(&w->servers[i]);
    }
    return count;
}

bool world_is_formed(const struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        if (w->servers[i].applied.index == 0) {
            return false;
        }
    }
    return true;
}

/* Until a cluster has formed all are needed: who stays down after so many failures was looked at by
 * somebody, who has removed the note of them (agent/failures.c). */
static void forgive(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        if (s->is_refused && s->deaths >= SERVER_DEATHS_MAX) {
            s->is_refused = false;
            s->deaths = 0;
            s->restart_at = w->now;
        }
    }
}

/* Some are gone, as many as a quorum can spare; whoever is hurt may not come up again. */
static void bury(struct world *w)
{
    size_t spare = intact_count(w) - (w->servers_count / 2 + 1);

    for (size_t i = 0; i < w->servers_count && spare > 0; i++) {
        struct server *s = &w->servers[i];

        if (!s->is_refused && mu_rand_below(&w->rand, 2) == 0) {
            spare -= server_is_whole(s);
            event_cancel(w, &s->restart);
            server_crash(s, false, NEVER);
            s->restart_at = NEVER;
        }
    }
}

static void raise(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        s->restart_at = w->now;
        if (!s->is_refused && s->state == SERVER_DOWN) {
            server_start(s);
        }
    }
}

static void serve(struct world *w)
{
    uint64_t before = w->sums.acked + w->sums.reads;

    w->is_calm = false;
    for (size_t i = 0; i < w->clients_count; i++) {
        struct client *c = &w->clients[i];

        if (c->op == 0) {
            event_set(w, &c->next, w->now, c->next.fire, c);
        }
    }
    world_run(w, w->now + SERVE_S * SECOND);
    w->is_calm = true;
    if (w->sums.acked + w->sums.reads == before) {
        world_fail(w, "liveness: no client is served in %d s", SERVE_S);
    }
}

/* -- one state -----------------------------------------------------------------------------------
 */

static void must_be_taken_in(struct world *w)
{
    raise(w);
    if (!world_run_until(w, churn_is_done, w->now + SETTLE_S * SECOND)) {
        world_fail(w, "liveness: %s is not taken in again", w->churn.victim->name);
    }
}

static bool is_split(const struct world *w)
{
    const struct server *leader = leader_now(w);

    return leader != NULL && leader->node.core->office.is_split;
}

static bool is_of_one_state(struct world *w)
{
    return leader_now(w) != NULL && !is_split(w);
}

/* Somebody has decided which states are wrong (late.c), and that must be enough. What a server said
 * of its state stands for as long as it neither says otherwise nor has another one: also when its
 * log is refused, or when it was down and has no sum of that entry any more. It joins as a new one
 * then, as deploy/docs/operations.md has it; not where a majority, or its new state, could tell. */
static void must_be_of_one_state(struct world *w)
{
    bool was_doubted = false;

    for (size_t i = 0; i < w->servers_count; i++) {
        was_doubted = was_doubted || w->servers[i].is_doubted;
    }
    if (!was_doubted) {
        return;
    }
    raise(w);
    must_settle(w, "all servers, of which one was odd");
    world_run(w, w->now + ASKED_S * SECOND);
    for (size_t i = 0; i < w->servers_count; i++) {
        if (w->servers[i].is_doubted && is_split(w)) {
            churn_server(w, &w->servers[i]);
            must_be_taken_in(w);
        }
    }
    if (!world_run_until(w, is_of_one_state, w->now + SETTLE_S * SECOND)) {
        world_fail(w, "liveness: writes stay stopped, and no state is left that differs");
    }
}

/* -- everything is read again --------------------------------------------------------------------
 */

/* The second pass surely began when nothing rotted any more. */
static bool is_scrubbed(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        const struct server *s = &w->servers[i];

        if (is_wanted(s) && (!server_is_up(s) || !scrubs_is_done(s, 2))) {
            return false;
        }
    }
    return true;
}

static void must_be_scrubbed(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        w->servers[i].scrub_passes = 0;
    }
    if (!world_run_until(w, is_scrubbed, w->now + SETTLE_S * SECOND)) {
        world_fail(w, "liveness: state and log are not read again in %d s", SETTLE_S);
    }
}

/* -- nothing moves ------------------------------------------------------------------------------
 */

static void must_be_quiet(struct world *w)
{
    uint64_t terms[SERVERS_MAX];
    uint64_t flushes[SERVERS_MAX];

    world_run(w, w->now + REST_S * SECOND); /* marks, checkpoints, spares that found no room */
    for (size_t i = 0; i < w->servers_count; i++) {
        terms[i] = w->servers[i].term;
        flushes[i] = disk_sums(w->servers[i].disk).syncs;
    }
    world_run(w, w->now + QUIET_S * SECOND);
    for (size_t i = 0; i < w->servers_count; i++) {
        const struct server *s = &w->servers[i];

        if (s->term != terms[i]) {
            world_fail(w, "I21: %s goes from term %llu to %llu though nothing happens", s->name,
                       U(terms[i]), U(s->term));
        }
        if (disk_sums(s->disk).syncs > flushes[i]) {
            world_fail(w, "I21: %s flushes though nothing happens", s->name);
        }
    }
    if (!is_settled(w)) {
        world_fail(w, "I21: the cluster does not stay settled");
    }
}

/* -- nothing is left lying about -----------------------------------------------------------------
 */

struct names {
    struct server *server;
    size_t logs, parts;
};

static enum mu_code of_state(void *data, const char *name, struct mu_err *err)
{
    struct names *n = data;
    char now[48];

    (void)err;
    (void)snprintf(now, sizeof now, "state-%llu.db", U(n->server->generation));
    if (strncmp(name, now, strlen(now)) != 0 && strcmp(name, "current") != 0 &&
        strcmp(name, "rebuild") != 0 && strcmp(name, "copied") != 0 &&
        strcmp(name, "export.part") != 0) {
        world_fail(n->server->world, "%s: %s is left over, and the state is of generation %llu",
                   n->server->name, name, U(n->server->generation));
    }
    return MU_OK;
}

static enum mu_code of_log(void *data, const char *name, struct mu_err *err)
{
    struct names *n = data;

    (void)err;
    n->logs += strncmp(name, "log-", 4) == 0;
    n->parts += strncmp(name, "snap-", 5) == 0;
    return MU_OK;
}

/* However much was written: with short logs, what trails, a laggard's share, and what the state has
 * not flushed yet come to less than this. */
#define SEGMENTS_MAX 16

static void log_is_bounded(const struct names *n)
{
    if (n->server->world->is_pressing && n->logs > SEGMENTS_MAX) {
        world_fail(n->server->world, "%s: its log has grown to %zu segments", n->server->name,
                   n->logs);
    }
    if (n->parts > 1) {
        world_fail(n->server->world, "%s: parts of %zu snapshots lie there", n->server->name,
                   n->parts);
    }
}

static void must_be_tidy(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        struct names n = { .server = &w->servers[i] };

        if (server_is_up(n.server) && !n.server->is_excused) {
            MU_ASSERT(disk_list(n.server->disk, DISK_STATE, of_state, &n, NULL) == MU_OK);
            MU_ASSERT(disk_list(n.server->disk, DISK_LOG, of_log, &n, NULL) == MU_OK);
            log_is_bounded(&n);
        }
    }
}

/* -- what lies on the disks ---------------------------------------------------------------------
 */

static bool all_down(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        if (w->servers[i].state != SERVER_DOWN) {
            return false;
        }
    }
    return true;
}

static void look_at(struct server *s)
{
    struct world *w = s->world;
    char dir[SERVER_DIR_BYTES];
    struct catalog *c = NULL;
    struct mu_err err = MU_ERR_NONE;
    uint8_t hash[16];

    server_dir(s, dir);
    char *path = snapshot_state_path(dir, s->generation);
    struct catalog_options options = { .path = path };

    disk_revive(s->disk, false);
    enum mu_code rc = catalog_open(&c, &options, &err);

    rc = rc == MU_OK ? catalog_recount(c, hash, &err) : rc;
    if (rc != MU_OK) { /* whatever had happened to it was found */
        world_fail(w, "%s: the state it leaves cannot be read: %s", s->name, err.text);
    }
    struct catalog_applied applied = catalog_applied(c);

    if (memcmp(hash, applied.hash, sizeof hash) != 0) {
        world_fail(w, "I14: %s: a recount of all rows does not give the hash at %llu", s->name,
                   U(applied.index));
    }
    version_check(s, applied.index, catalog_schema(c));
    fact_state(s, &applied);
    platter_whole(s, &applied);
    catalog_close(c);
    mu_free(path);
    disk_die(s->disk);
}

void judge(struct world *w)
{
    torture_end(w);
    w->is_calm = true;
    if (w->options.is_beyond) { /* nobody may have answered wrongly: all else is allowed */
        world_run(w, w->now + SETTLE_S * SECOND);
        clients_judge(w);
        return;
    }
    if (!churn_is_done(w)) {
        must_be_taken_in(w);
    }
    if (world_is_formed(w)) {
        must_be_of_one_state(w);
        bury(w);
    } else {
        forgive(w);
    }
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        if (is_wanted(s) && s->state == SERVER_DOWN) {
            server_start(s);
        }
    }
    must_settle(w, "a quorum of servers");
    serve(w);
    raise(w);
    must_settle(w, "all servers");
    serve(w);
    must_settle(w, "all servers, after serving");
    must_be_scrubbed(w);
    must_settle(w, "all servers, after reading everything again");
    must_be_quiet(w);
    must_be_tidy(w);
    clients_judge(w);
    for (size_t i = 0; i < w->servers_count; i++) {
        server_stop(&w->servers[i], NEVER - w->now);
    }
    if (!world_run_until(w, all_down, w->now + SETTLE_S * SECOND)) {
        world_fail(w, "liveness: a server does not stop");
    }
    versions_judge(w);
    for (size_t i = 0; i < w->servers_count; i++) {
        if (!w->servers[i].is_refused) {
            look_at(&w->servers[i]);
        }
    }
}
