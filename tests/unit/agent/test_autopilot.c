/* The leader's care for the servers as transcripts: what gossip and consensus say of each, and what
 * is changed when. Every change is carried out at once, as a cluster in good order would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autopilot.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "script.h"

#define LAST_INDEX 1000

struct server {
    struct autopilot_server a;
    bool is_silent; /* to consensus */
};

struct world {
    struct autopilot *pilot;
    struct autopilot_settings settings;
    uint64_t now_ms;
    bool is_busy; /* a change is under way */
    struct server servers[AUTOPILOT_SERVERS_MAX];
    size_t count;
    char held[AUTOPILOT_WHY_MAX]; /* as last printed */
    char old[AUTOPILOT_WHY_MAX];
    uint32_t level; /* of commands in use */
};

static void *world_open(const char *file)
{
    struct world *w = mu_new(sizeof *w);

    (void)file;
    w->pilot = autopilot_new();
    w->settings = (struct autopilot_settings){ true, 200, 10000, 250, 0 };
    w->now_ms = 1000;
    w->level = 1;
    autopilot_lead(w->pilot, w->now_ms);
    return w;
}

static void world_close(void *data)
{
    struct world *w = data;

    autopilot_free(w->pilot);
    mu_free(w);
}

/* -- servers ----------------------------------------------------------------------------------- */

/* The id of "s3" is 3, its first disk 1. */
static struct mu_id id_of(unsigned long long number)
{
    struct mu_id id = MU_ID_NONE;

    id.b[15] = (uint8_t)number;
    return id;
}

static struct server *server_of(struct world *w, const char *name)
{
    struct mu_id id = id_of(strtoull(name + 1, NULL, 10));

    for (size_t i = 0; i < w->count; i++) {
        if (mu_id_eq(&w->servers[i].a.id, &id)) {
            return &w->servers[i];
        }
    }
    struct server *s = &w->servers[w->count++];

    *s = (struct server){ .a = { .id = id,
                                 .disk = id_of(1),
                                 .disk_seen = id_of(1),
                                 .status = AUTOPILOT_ALIVE,
                                 .level = 1,
                                 .match = LAST_INDEX } };
    (void)snprintf(s->a.name, sizeof s->a.name, "%s", name);
    return s;
}

static bool set_word(struct server *s, const char *word)
{
    static const struct {
        const char *word;
        enum autopilot_status status;
    } statuses[] = {
        { "alive", AUTOPILOT_ALIVE },    { "leaving", AUTOPILOT_LEAVING },
        { "left", AUTOPILOT_LEFT },      { "failed", AUTOPILOT_FAILED },
        { "absent", AUTOPILOT_UNKNOWN },
    };

    for (size_t i = 0; i < MU_LEN(statuses); i++) {
        if (strcmp(word, statuses[i].word) == 0) {
            s->a.status = statuses[i].status;
            return true;
        }
    }
    if (strcmp(word, "self") == 0) {
        s->a.is_self = s->a.is_configured = s->a.is_voter = true;
    } else if (strcmp(word, "voter") == 0) {
        s->a.is_configured = s->a.is_voter = true;
    } else if (strcmp(word, "learner") == 0) {
        s->a.is_configured = true;
    } else if (strcmp(word, "fresh") == 0) {
        s->a.is_fresh = true;
    } else if (strcmp(word, "lost") == 0) { /* the entry that added it went with its leader */
        s->a.is_configured = s->a.is_voter = false;
        s->a.is_fresh = true;
    } else if (strcmp(word, "silent") == 0) {
        s->is_silent = true;
    } else if (strcmp(word, "answers") == 0) {
        s->is_silent = false;
    } else if (strcmp(word, "slow") == 0) {
        s->a.is_store_slow = true;
    } else if (strcmp(word, "diverged") == 0) {
        s->a.has_diverged = true;
    } else {
        return strchr(word, '=') != NULL;
    }
    return true;
}

/* server s2 voter failed silent [behind=300] [disk=2] [name=s1] [level=2] */
static bool set_server(struct world *w, const struct script_command *c)
{
    struct server *s = server_of(w, c->words[1]);
    const char *name = script_option(c, "name", s->a.name);
    char copy[sizeof s->a.name];

    for (size_t i = 2; i < c->words_count; i++) {
        if (!set_word(s, c->words[i])) {
            return false;
        }
    }
    (void)snprintf(copy, sizeof copy, "%s", name);
    memcpy(s->a.name, copy, sizeof copy);
    s->a.match = LAST_INDEX - script_number(c, "behind", LAST_INDEX - s->a.match);
    s->a.disk_seen = id_of(script_number(c, "disk", s->a.disk_seen.b[15]));
    s->a.level = (uint32_t)script_number(c, "level", s->a.level);
    return true;
}

/* -- steps ------------------------------------------------------------------------------------- */

static void input_of(struct world *w, struct autopilot_server room[], struct autopilot_input *in)
{
    for (size_t i = 0; i < w->count; i++) {
        struct server *s = &w->servers[i];

        if (!s->is_silent && s->a.is_configured && !s->a.is_self) {
            s->a.contact_ms = w->now_ms - 50;
        }
        room[i] = s->a;
    }
    *in = (struct autopilot_input){
        .now_ms = w->now_ms,
        .settings = w->settings,
        .last_index = LAST_INDEX,
        .absent_ms = 60000,
        .voters_max = 5,
        .servers_max = 7,
        .level = w->level,
        .may_change = !w->is_busy,
        .servers = room,
        .servers_count = w->count,
    };
}

static void carry_out(struct world *w, const struct autopilot_output *out, struct mu_buf *to)
{
    for (size_t i = 0; i < w->count; i++) {
        struct server *s = &w->servers[i];

        if (!mu_id_eq(&s->a.id, &out->id)) {
            continue;
        }
        mu_buf_addf(to, "[%llu] %s s%u: %s\n", (unsigned long long)w->now_ms,
                    autopilot_kind_text(out->kind), s->a.id.b[15], out->why);
        s->a.is_configured = out->kind != AUTOPILOT_REMOVE;
        s->a.is_voter = out->kind == AUTOPILOT_PROMOTE;
        s->a.disk = out->disk;
        if (out->kind == AUTOPILOT_ADD) {
            s->a.is_fresh = false;
        } else if (out->kind == AUTOPILOT_REMOVE) { /* a new disk knows of no cluster */
            s->a.is_fresh = !mu_id_eq(&s->a.disk, &s->a.disk_seen);
        }
    }
    autopilot_changed(w->pilot, &out->id, &out->disk, w->now_ms);
}

static void step(struct world *w, struct autopilot_output *out, struct mu_buf *to)
{
    struct autopilot_server room[AUTOPILOT_SERVERS_MAX];
    struct autopilot_input in;

    input_of(w, room, &in);
    autopilot_step(w->pilot, &in, out);
    if (out->kind != AUTOPILOT_NOTHING) {
        carry_out(w, out, to);
    }
    if (strcmp(out->held, w->held) != 0) {
        memcpy(w->held, out->held, sizeof w->held);
        if (out->held[0] != '\0') {
            mu_buf_addf(to, "[%llu] not removed: %s\n", (unsigned long long)w->now_ms, out->held);
        }
    }
    if (strcmp(out->old, w->old) != 0) {
        memcpy(w->old, out->old, sizeof w->old);
        if (out->old[0] != '\0') {
            mu_buf_addf(to, "[%llu] not added: %s\n", (unsigned long long)w->now_ms, out->old);
        }
    }
}

static void run(struct world *w, uint64_t ms, struct mu_buf *to)
{
    static struct autopilot_output out;

    for (uint64_t end = w->now_ms + ms; w->now_ms < end; w->now_ms += 1000) {
        step(w, &out, to);
    }
}

static void health(struct world *w, struct mu_buf *to)
{
    static struct autopilot_output out;
    bool was_busy = w->is_busy;

    w->is_busy = true;
    step(w, &out, to);
    w->is_busy = was_busy;
    mu_buf_addf(to, "%s, tolerance %u\n", out.is_healthy ? "healthy" : "unhealthy",
                out.failure_tolerance);
    for (size_t i = 0; i < out.healths_count; i++) {
        mu_buf_addf(to, "s%u %s since %llu\n", out.healths[i].id.b[15],
                    out.healths[i].is_healthy ? "healthy" : "unhealthy",
                    (unsigned long long)out.healths[i].stable_since_ms);
    }
}

static bool world_run(void *data, const struct script_command *c, struct mu_buf *out)
{
    struct world *w = data;
    const char *word = c->words[0];

    if (strcmp(word, "settings") == 0) {
        w->settings = (struct autopilot_settings){
            .cleanup_dead_servers = strcmp(script_option(c, "cleanup", "yes"), "yes") == 0,
            .last_contact_ms = script_number(c, "contact", 200),
            .stabilization_ms = script_ms(script_option(c, "stable", "10s")),
            .max_trailing_logs = script_number(c, "trailing", 250),
            .min_quorum = script_number(c, "quorum", 0),
        };
    } else if (strcmp(word, "server") == 0 && c->words_count >= 2) {
        return set_server(w, c);
    } else if (strcmp(word, "run") == 0 && c->words_count == 2) {
        run(w, script_ms(c->words[1]), out);
    } else if (strcmp(word, "health") == 0) {
        health(w, out);
    } else if (strcmp(word, "level") == 0 && c->words_count == 2) {
        w->level = (uint32_t)strtoul(c->words[1], NULL, 10);
    } else if (strcmp(word, "busy") == 0) {
        w->is_busy = true;
    } else if (strcmp(word, "idle") == 0) {
        w->is_busy = false;
    } else if (strcmp(word, "office") == 0) {
        autopilot_lead(w->pilot, w->now_ms);
        for (size_t i = 0; i < w->count; i++) {
            w->servers[i].a.contact_ms = 0;
        }
    } else {
        return false;
    }
    return true;
}

static void the_transcripts_hold(void **state)
{
    static const struct script_world world = { world_open, world_run, world_close };

    (void)state;
    assert_int_equal(script_run_dir("data/agent/autopilot", &world), 0);
}

/* -- whatever happens -------------------------------------------------------------------------- */

/* What the test keeps of each server beside what autopilot is told, to judge it by. */
struct fate {
    uint64_t well_ms;    /* continuously fit for a vote since; 0: it is not */
    uint64_t missed_ms;  /* continuously missed by gossip since; 0: it is not */
    uint64_t changed_ms; /* cleaned up or added at; 0: never */
};

static bool is_missed(const struct autopilot_server *s)
{
    return s->status == AUTOPILOT_FAILED || s->status == AUTOPILOT_LEFT ||
           s->status == AUTOPILOT_UNKNOWN;
}

static bool is_fit(const struct world *w, const struct autopilot_server *s)
{
    return s->status == AUTOPILOT_ALIVE && !s->is_store_slow && !s->has_diverged &&
           mu_id_eq(&s->disk, &s->disk_seen) && s->contact_ms > 0 &&
           w->now_ms - s->contact_ms <= w->settings.last_contact_ms &&
           s->match + w->settings.max_trailing_logs >= LAST_INDEX;
}

static void happen(struct world *w, struct mu_rand *rand)
{
    struct server *s = &w->servers[1 + mu_rand_below(rand, w->count - 1)];

    switch (mu_rand_below(rand, 12)) {
    case 0: s->a.status = AUTOPILOT_ALIVE; break;
    case 1:
    case 2: s->a.status = AUTOPILOT_FAILED; break;
    case 3: s->a.status = AUTOPILOT_LEFT; break;
    case 4: s->a.status = AUTOPILOT_UNKNOWN; break;
    case 5: s->is_silent = true; break;
    case 6: s->a.is_store_slow = mu_rand_below(rand, 2) == 0; break;
    case 7: s->a.match = LAST_INDEX - mu_rand_below(rand, 500); break;
    case 8: s->a.disk_seen = id_of(1 + mu_rand_below(rand, 3)); break;
    case 9: s->a.has_diverged = mu_rand_below(rand, 4) == 0; break;
    default: /* all is well again */
        s->is_silent = s->a.is_store_slow = s->a.has_diverged = false;
        s->a.status = AUTOPILOT_ALIVE;
        s->a.match = LAST_INDEX;
    }
}

static void note_fates(const struct world *w, const struct autopilot_server *room,
                       struct fate *fates)
{
    for (size_t i = 0; i < w->count; i++) {
        bool fit = room[i].is_configured && is_fit(w, &room[i]);

        fates[i].well_ms = !fit ? 0 : fates[i].well_ms > 0 ? fates[i].well_ms : w->now_ms;
        fates[i].missed_ms = !is_missed(&room[i])     ? 0
                             : fates[i].missed_ms > 0 ? fates[i].missed_ms
                                                      : w->now_ms;
    }
}

static void judge_removal(const struct world *w, const struct autopilot_server *room, size_t at,
                          const struct fate *fate)
{
    const struct autopilot_server *s = &room[at];
    unsigned voters = 0, answer = 0, gone = 0;
    bool is_cleanup = s->status != AUTOPILOT_LEFT && mu_id_eq(&s->disk, &s->disk_seen);

    for (size_t i = 0; i < w->count; i++) {
        bool silent = !room[i].is_self && w->now_ms - room[i].contact_ms >= 2000;

        voters += room[i].is_voter;
        answer += room[i].is_voter && i != at && !silent;
        gone += room[i].is_voter && !room[i].is_self && (silent || is_missed(&room[i]));
    }
    assert_false(s->is_self);
    assert_true(s->is_configured);
    if (s->is_voter) { /* those that answer can still decide */
        assert_true(answer >= (voters - 1) / 2 + 1);
    }
    if (is_cleanup) {
        assert_true(w->settings.cleanup_dead_servers);
        assert_true(fate->missed_ms > 0 &&
                    w->now_ms - fate->missed_ms >= w->settings.stabilization_ms);
        assert_true(w->now_ms - s->contact_ms >= w->settings.stabilization_ms);
        assert_true(fate->changed_ms == 0 ||
                    w->now_ms - fate->changed_ms >= w->settings.stabilization_ms);
    }
    if (is_cleanup && s->is_voter) {
        assert_true(gone <= (voters - 1) / 2);
        assert_true(voters - 1 >= w->settings.min_quorum);
    }
}

static void judge(const struct world *w, const struct autopilot_server *room,
                  const struct autopilot_output *out, struct fate *fates)
{
    size_t at = 0;

    while (at < w->count && !mu_id_eq(&room[at].id, &out->id)) {
        at++;
    }
    assert_true(at < w->count);
    switch (out->kind) {
    case AUTOPILOT_NOTHING: break;
    case AUTOPILOT_ADD:
        assert_true(!room[at].is_configured && room[at].is_fresh &&
                    room[at].status == AUTOPILOT_ALIVE);
        fates[at].changed_ms = w->now_ms;
        break;
    case AUTOPILOT_PROMOTE:
        assert_true(room[at].is_configured && !room[at].is_voter);
        assert_true(fates[at].well_ms > 0 &&
                    w->now_ms - fates[at].well_ms >= w->settings.stabilization_ms);
        fates[at].changed_ms = w->now_ms;
        break;
    case AUTOPILOT_REMOVE:
        judge_removal(w, room, at, &fates[at]);
        fates[at].changed_ms = w->now_ms;
        break;
    }
}

static void live(uint64_t seed)
{
    static struct autopilot_output out;
    struct world *w = world_open("");
    struct fate fates[AUTOPILOT_SERVERS_MAX] = { { 0 } };
    struct mu_buf told = MU_BUF_NONE;
    struct mu_rand rand;

    mu_rand_seed(&rand, seed);
    w->settings.cleanup_dead_servers = mu_rand_below(&rand, 4) != 0;
    w->settings.min_quorum = mu_rand_below(&rand, 4);
    server_of(w, "s1")->a.is_self = true;
    for (unsigned i = 1; i <= 6; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "s%u", i);
        struct server *s = server_of(w, name);

        s->a.is_voter = i <= 4;
        s->a.is_configured = i <= 5;
        s->a.is_fresh = i == 6;
        s->a.contact_ms = s->a.is_configured ? w->now_ms : 0;
    }
    for (unsigned step_count = 0; step_count < 400; step_count++, w->now_ms += 1000) {
        struct autopilot_server room[AUTOPILOT_SERVERS_MAX];
        struct autopilot_input in;

        if (mu_rand_below(&rand, 4) == 0) {
            happen(w, &rand);
        }
        input_of(w, room, &in);
        note_fates(w, room, fates);
        autopilot_step(w->pilot, &in, &out);
        if (out.kind != AUTOPILOT_NOTHING) {
            judge(w, room, &out, fates);
            carry_out(w, &out, &told);
        }
    }
    mu_buf_deinit(&told);
    world_close(w);
}

static void no_change_ever_costs_the_quorum_or_comes_too_soon(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        live(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_transcripts_hold),
        cmocka_unit_test(no_change_ever_costs_the_quorum_or_comes_too_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
