/* versions.c - servers of two versions of muster (spec/consensus.md 1.10, 2.20).
 *
 * The newer one is tests/next: it knows a kind of command that came with level 2, and the table of
 * the state that came with it. What is linked here is the newer one's catalog; of an older server
 * the level is told to consensus, and its state is refused here as its own binary would.
 *
 * In a quarter of the runs servers begin with either, are stopped and started with the other one,
 * and go back to the older as long as that is allowed: until the level has risen. Who goes back too
 * late is shut out by what it has promised, and by nothing else, and goes on with the newer one.
 * The layout of a state is at every index what the configurations up to there say, whatever was
 * killed in between.
 */
#include <string.h>

#include "base/assert.h"
#include "world.h"

#define LEVEL_OLD    1
#define LEVEL_NEW    2
#define NEWER_SCHEMA "schema version is newer"
#define EACH         4 /* one of so many runs has them */

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_rand_below(&w->version_rand, bound);
}

uint32_t version_level(void *data, struct mu_span command)
{
    (void)data;
    return command_level(command);
}

bool versions_draw_newer(struct world *w)
{
    return world_has(w, FAULT_versions) && below(w, 3) == 0;
}

/* -- which one is started ---------------------------------------------------------------------- */

static void version_set(struct server *s, uint32_t level)
{
    struct world *w = s->world;

    if (s->level_max != 0 && s->level_max != level) {
        world_say(w, "%s: goes %s level %u", s->name, level > s->level_max ? "on to" : "back to",
                  level);
        w->sums.upgrades += level > s->level_max;
        w->sums.downgrades += level < s->level_max;
        w->bad[FAULT_versions]++;
    }
    s->level_max = level;
    s->level_said = level > s->level_said ? level : s->level_said;
    s->is_too_old = false;
}

/* An operator looks at the level in use, which may rise the moment after; some do not look. */
static bool goes_back(struct world *w)
{
    return w->raised_at == 0 ? below(w, 5) == 0
                             : event_is_set(&w->version_tick) && below(w, 10) == 0;
}

void version_choose(struct server *s)
{
    struct world *w = s->world;

    if (!world_has(w, FAULT_versions)) {
        return;
    }
    if (s->level_max == 0) {
        version_set(s, below(w, 2) == 0 ? LEVEL_OLD : LEVEL_NEW);
    } else if (s->is_too_old || w->is_upgraded) {
        version_set(s, LEVEL_NEW);
    } else if (s->level_max == LEVEL_OLD && below(w, 2) == 0) {
        version_set(s, LEVEL_NEW);
    } else if (s->level_max == LEVEL_NEW && goes_back(w)) {
        version_set(s, LEVEL_OLD);
    }
}

void version_wiped(struct server *s)
{
    s->level_said = 0;
    s->is_too_old = true; /* a new machine gets the newest */
}

/* -- what an older one does -------------------------------------------------------------------- */

enum mu_code version_takes(const struct server *s, const struct catalog *catalog,
                           struct mu_err *err)
{
    struct catalog_schema schema = catalog_schema(catalog);

    if (!world_has(s->world, FAULT_versions) || schema.level <= s->level_max) {
        return MU_OK;
    }
    if (s->world->raised_at == 0) {
        world_fail(s->world, "%s: its state has schema %u, and no entry has asked for it", s->name,
                   schema.version);
    }
    return mu_fail(err, MU_UNSUPPORTED, NEWER_SCHEMA " than that of level %u", s->level_max);
}

bool version_is_outdated(struct server *s, const char *why)
{
    struct world *w = s->world;

    if (!world_has(w, FAULT_versions) || s->level_max == LEVEL_NEW ||
        (strstr(why, "does not understand") == NULL && strstr(why, NEWER_SCHEMA) == NULL)) {
        return false;
    }
    if (s->level_said < LEVEL_NEW) {
        world_fail(w, "I25: %s is shut out by a level that it never said it understands: %s",
                   s->name, why);
    }
    s->is_too_old = true;
    w->sums.outdated++;
    return true;
}

/* -- what must hold ---------------------------------------------------------------------------- */

void version_raised(struct world *w, uint64_t index, uint32_t level)
{
    if (level > LEVEL_OLD && w->raised_at == 0) {
        w->raised_at = index;
        w->sums.raised++;
    }
}

void version_check(const struct server *s, uint64_t index, struct catalog_schema schema)
{
    struct world *w = s->world;
    bool is_raised = w->raised_at != 0 && index >= w->raised_at;

    if (!server_is_hurt(s) && schema.level != (is_raised ? LEVEL_NEW : LEVEL_OLD)) {
        world_fail(w,
                   "I25: %s: at entry %llu the state has schema %u, of level %u; the level rose "
                   "at %llu",
                   s->name, U(index), schema.version, schema.level, U(w->raised_at));
    }
}

/* -- what is done ------------------------------------------------------------------------------ */

static void on_versions(void *data)
{
    struct world *w = data;
    struct server *s = &w->servers[below(w, w->servers_count)];

    server_stop(s, below(w, SECOND));
    event_set(w, &w->version_tick, w->now + SECOND / 2 + below(w, 2 * SECOND), on_versions, w);
}

void versions_begin(struct world *w)
{
    if (below(w, EACH) != 0 || w->options.is_beyond) {
        w->options.off |= UINT64_C(1) << FAULT_versions;
    }
    if (world_has(w, FAULT_versions)) {
        event_set(w, &w->version_tick, w->now + 2 * SECOND, on_versions, w);
    }
}

/* In one of two somebody finishes the upgrade. */
void versions_end(struct world *w)
{
    event_cancel(w, &w->version_tick);
    w->is_upgraded = world_has(w, FAULT_versions) && below(w, 2) == 0;
    for (size_t i = 0; i < w->servers_count && w->is_upgraded; i++) {
        struct server *s = &w->servers[i];

        if (s->level_max == LEVEL_OLD && s->state == SERVER_OPENING) {
            server_crash(s, false, 0);
        } else if (s->level_max == LEVEL_OLD) {
            server_stop(s, below(w, SECOND)); /* who is about to stop, or down, comes back as new */
        }
    }
}

void versions_judge(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        if (w->servers[i].is_refused) {
            return; /* it says nothing any more, and the others wait for its word */
        }
    }
    if (w->is_upgraded && w->raised_at == 0) {
        world_fail(w, "liveness: all servers are of the newer version, and the "
                      "level has not risen");
    }
}
