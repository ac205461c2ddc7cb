/* scrubs.c - state and log read again: agent/scrub.c with a fiber for its thread.
 *
 * What is read, and how, is what ships (agent/scrub_work.c, consensus/scrub.c). Who is not hurt
 * must not be found damaged; who is, and is not refused by then, must be whole after a pass to its
 * end (judge.c).
 */
#include <string.h>

#include "agent/scrub_work.h"
#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "base/mem.h"
#include "scrubber.h"
#include "world.h"

#define BYTES_PER_S      (4U * 1024 * 1024)
#define BYTES_PER_S_SLOW (256U * 1024) /* where that is the story */
#define AGAIN_US         SECOND

enum part { PART_NONE, PART_STATE, PART_SURVEY, PART_LOG, PART_CONFIRM };

struct scrubs {
    enum part part;
    bool is_over;
    bool has_read; /* the fiber has ended a part, and waits for the next */
    uint64_t behind, shedding;
    struct consensus_survey *survey;
    uint64_t generation, bytes;
    struct consensus_scrubbed found;
    struct mu_err err;
};

/* -- on the fiber -------------------------------------------------------------------------------
 */

static bool rest(void *self, uint64_t ms)
{
    struct server *s = self;

    if (s->is_dying || s->scrubs->is_over) {
        return false;
    }
    tasks_sleep(s, ms * MS);
    return !s->is_dying && !s->scrubs->is_over;
}

static uint64_t bytes_per_s(const struct server *s)
{
    return s->world->options.is_small ? BYTES_PER_S_SLOW : BYTES_PER_S;
}

static void read_state(struct server *s, const struct scrub_host *host)
{
    struct scrubs *n = s->scrubs;
    char dir[SERVER_DIR_BYTES];
    bool differs = false;

    server_dir(s, dir);
    n->generation = s->generation;
    char *path = snapshot_state_path(dir, n->generation);
    enum mu_code rc =
        scrub_state(path, host, bytes_per_s(s), s->world->wal_bytes, &n->bytes, &differs, &n->err);

    MU_ASSERT(rc == n->err.code);
    mu_free(path);
}

static void read_log(struct server *s, const struct scrub_host *host)
{
    struct scrubs *n = s->scrubs;
    struct scrub_pace pace = { .host = host, .bytes_per_s = bytes_per_s(s) };
    enum mu_code rc =
        consensus__scrub(s->view, n->survey, n->behind, scrub_pace, &pace, &n->found, &n->err);

    MU_ASSERT(rc == n->err.code);
}

static void on_read(void *data);

static void scrub_main(void *data)
{
    struct server *s = data;
    struct scrubs *n = s->scrubs;
    const struct scrub_host host = { s, rest };

    while (!n->is_over) {
        if (n->has_read || (n->part != PART_STATE && n->part != PART_LOG)) {
            task_nap(&s->scrub_task, NEVER);
            continue;
        }
        n->err = (struct mu_err)MU_ERR_NONE;
        if (n->part == PART_STATE) {
            read_state(s, &host);
        } else {
            read_log(s, &host);
        }
        n->has_read = true;
        if (!s->is_dying) {
            event_set(s->world, &s->scrub_event, s->world->now + WAKE_US, on_read, s);
        }
    }
}

/* -- on the loop ---------------------------------------------------------------------------------
 */

static void part_begin(struct server *s, enum part part)
{
    s->scrubs->part = part;
    s->scrubs->has_read = false;
    task_mail(&s->scrub_task);
}

static void survey_ask(struct server *s, enum part part)
{
    s->scrubs->part = part;
    consensus__node_survey(&s->node);
}

static void on_due(void *data)
{
    struct server *s = data;

    if (!server_turn_begins(s, &s->scrub_due, on_due, s)) {
        return;
    }
    if (s->scrubs->part == PART_NONE && server_is_up(s) && !s->lacks_state &&
        s->node.phase == CONSENSUS_NODE_RUNS) {
        s->scrubs->behind = 0;
        part_begin(s, PART_STATE);
    } else {
        scrubs_soon(s);
    }
}

void scrubs_soon(struct server *s)
{
    uint64_t us = SECOND + mu_rand_below(&s->world->scrub_rand, 4 * SECOND);

    if (!event_is_set(&s->scrub_due)) {
        event_set(s->world, &s->scrub_due, s->world->now + us, on_due, s);
    }
}

/* Nobody but a fault may have done this. */
static void must_be_hurt(struct server *s, bool is_hurt, const char *why)
{
    world_say(s->world, "%s: read again, and damaged: %s", s->name, why);
    s->world->sums.scrub_finds++;
    if (!is_hurt && !s->is_excused) {
        world_fail(s->world, "%s: what no fault has touched is found damaged: %s", s->name, why);
    }
}

static void pass_end(struct server *s, bool is_whole)
{
    s->scrubs->part = PART_NONE;
    s->scrub_passes += is_whole;
    s->world->sums.scrubs += is_whole;
    scrubs_soon(s);
}

static void state_done(struct server *s)
{
    struct scrubs *n = s->scrubs;
    struct mu_err why = n->err;

    if (n->generation != s->generation) {
        part_begin(s, PART_STATE);
    } else if (why.code == MU_CORRUPT) {
        must_be_hurt(s, s->is_state_hurt || s->is_remade, why.text);
        survey_ask(s, PART_SURVEY);
        if (s->world->servers_count > 1) {
            server_state_bad(s, why.text);
        }
    } else if (why.code != MU_OK) {
        pass_end(s, false);
    } else {
        apply_settle(s->apply);
        survey_ask(s, PART_SURVEY);
    }
}

static void on_read(void *data)
{
    struct server *s = data;

    if (!server_turn_begins(s, &s->scrub_event, on_read, s)) {
        return;
    }
    if (s->state != SERVER_UP || !s->has_begun) {
        s->scrubs->part = PART_NONE;
    } else if (s->scrubs->part == PART_STATE) {
        state_done(s);
    } else if (s->scrubs->err.code == MU_OK && s->scrubs->found.segment != 0) {
        survey_ask(s, PART_CONFIRM);
    } else {
        pass_end(s, s->scrubs->err.code == MU_OK);
    }
    server_turn_ends(s);
}

/* -- damage in the log ---------------------------------------------------------------------------
 */

static void shed(struct server *s)
{
    consensus__node_shed(&s->node, s->scrubs->shedding);
    apply_settle(s->apply);
}

static void on_again(void *data)
{
    struct server *s = data;

    if (!server_turn_begins(s, &s->scrub_again, on_again, s)) {
        return;
    }
    if (s->scrubs->part == PART_NONE && server_is_up(s)) {
        consensus__node_survey(&s->node);
    }
    event_set(s->world, &s->scrub_again, s->world->now + AGAIN_US, on_again, s);
    server_turn_ends(s);
}

static void shedding_begin(struct server *s, uint64_t segment)
{
    struct scrubs *n = s->scrubs;

    n->shedding = segment > n->shedding ? segment : n->shedding;
    event_set(s->world, &s->scrub_again, s->world->now + AGAIN_US, on_again, s);
}

static void shedding_look(struct server *s, const struct consensus_survey *survey)
{
    struct scrubs *n = s->scrubs;

    if (n->shedding == 0 || n->part == PART_CONFIRM) {
        return;
    }
    if (consensus_survey_has(survey, n->shedding)) {
        shed(s);
        return;
    }
    world_say(s->world, "%s: segment %llu has left the log", s->name, U(n->shedding));
    s->world->sums.sheds++;
    n->shedding = 0;
    event_cancel(s->world, &s->scrub_again);
}

static void confirm(struct server *s, const struct consensus_survey *survey)
{
    struct scrubs *n = s->scrubs;

    n->behind = n->found.segment;
    if (consensus_survey_has(survey, n->found.segment)) {
        must_be_hurt(s, s->is_hurt, n->found.why);
        shedding_begin(s, n->found.segment);
        shed(s);
    }
}

void scrubs_surveyed(void *data, const struct consensus_survey *survey)
{
    struct server *s = data;
    struct scrubs *n = s->scrubs;

    if (n == NULL || s->state != SERVER_UP) {
        return;
    }
    shedding_look(s, survey);
    if (n->part == PART_CONFIRM) {
        confirm(s, survey);
    }
    if (n->part == PART_CONFIRM || n->part == PART_SURVEY) {
        mu_free(n->survey);
        n->survey = consensus_survey_copy(survey);
        part_begin(s, PART_LOG);
    }
}

bool scrubs_is_done(const struct server *s, uint64_t passes)
{
    return s->scrubs != NULL && s->scrub_passes >= passes && s->scrubs->shedding == 0;
}

/* -- life ----------------------------------------------------------------------------------------
 */

void scrubs_open(struct server *s, uint64_t damaged)
{
    s->scrubs = mu_new(sizeof *s->scrubs);
    s->scrub_passes = 0;
    task_start(&s->scrub_task, s, scrub_main);
    if (damaged != 0) {
        shedding_begin(s, damaged);
    }
    scrubs_soon(s);
}

void scrubs_close(struct server *s)
{
    if (s->scrubs == NULL) {
        return;
    }
    s->scrubs->is_over = true;
    task_drain(&s->scrub_task);
    task_free(&s->scrub_task);
    event_cancel(s->world, &s->scrub_event);
    event_cancel(s->world, &s->scrub_due);
    event_cancel(s->world, &s->scrub_again);
    mu_free(s->scrubs->survey);
    mu_free(s->scrubs);
    s->scrubs = NULL;
}
