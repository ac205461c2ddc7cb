/* When sessions are over: as transcripts, and random runs beside a twin that keeps nothing but a
 * list of deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "script.h"
#include "session_timers.h"

static struct mu_id id_of(unsigned number)
{
    struct mu_id id = MU_ID_NONE;

    id.b[15] = (uint8_t)number;
    return id;
}

/* -- transcripts ------------------------------------------------------------------------------- */

struct world {
    struct session_timers *timers;
    uint64_t now_ms;
};

static void *world_open(const char *file)
{
    struct world *w = mu_new(sizeof *w);

    (void)file;
    w->timers = session_timers_new();
    return w;
}

static void world_close(void *data)
{
    struct world *w = data;

    session_timers_free(w->timers);
    mu_free(w);
}

static void show_due(struct world *w, struct mu_buf *out)
{
    struct mu_id ids[64];
    size_t count = session_timers_due(w->timers, w->now_ms, ids, MU_LEN(ids));

    for (size_t i = 0; i < count; i++) {
        mu_buf_addf(out, "[%llu] %u is over\n", (unsigned long long)w->now_ms, ids[i].b[15]);
    }
}

/* Time goes from one deadline to the next, as timers would fire. */
static void run(struct world *w, uint64_t ms, struct mu_buf *out)
{
    uint64_t until_ms = w->now_ms + ms;
    uint64_t wake_ms;

    while ((wake_ms = session_timers_wake_ms(w->timers)) != 0 && wake_ms <= until_ms) {
        w->now_ms = wake_ms > w->now_ms ? wake_ms : w->now_ms;
        show_due(w, out);
    }
    w->now_ms = until_ms;
}

static void renew(struct world *w, const struct mu_id *id, struct mu_buf *out)
{
    static const char *const words[] = {
        [SESSION_RENEWED] = "renewed",
        [SESSION_OVER] = "is over",
        [SESSION_UNKNOWN] = "is not known",
    };

    mu_buf_addf(out, "[%llu] %u %s\n", (unsigned long long)w->now_ms, id->b[15],
                words[session_timers_renew(w->timers, id, w->now_ms)]);
}

static bool world_run(void *data, const struct script_command *c, struct mu_buf *out)
{
    struct world *w = data;
    const char *word = c->words[0];
    const char *argument = c->words_count > 1 ? c->words[1] : "";
    struct mu_id id = id_of((unsigned)strtoul(argument, NULL, 10));

    if (strcmp(word, "run") == 0) {
        run(w, script_ms(argument), out);
    } else if (strcmp(word, "set") == 0) {
        session_timers_set(w->timers, &id, script_ms(script_option(c, "ttl", "10s")), w->now_ms);
    } else if (strcmp(word, "renew") == 0) {
        renew(w, &id, out);
    } else if (strcmp(word, "remove") == 0) {
        session_timers_remove(w->timers, &id);
    } else if (strcmp(word, "ended") == 0 || strcmp(word, "failed") == 0) {
        session_timers_ended(w->timers, &id, word[0] == 'e', w->now_ms);
    } else if (strcmp(word, "clear") == 0) {
        session_timers_clear(w->timers);
    } else if (strcmp(word, "count") == 0) {
        mu_buf_addf(out, "%zu\n", session_timers_count(w->timers));
    } else {
        return false;
    }
    return true;
}

static const struct script_world world = { world_open, world_run, world_close };

static void sessions_end_as_written(void **state)
{
    (void)state;
    assert_int_equal(script_run_dir("data/agent/session_timers", &world), 0);
}

/* -- the twin ---------------------------------------------------------------------------------- */

#define TWINS 12

struct twin { /* 0: not known; when it is over; is it being ended */
    uint64_t over_ms, span_ms;
    bool is_over, in_flight;
};

static void twin_step(struct session_timers *t, struct twin *twins, uint64_t now_ms,
                      struct mu_rand *r)
{
    unsigned number = (unsigned)mu_rand_below(r, TWINS);
    struct twin *twin = &twins[number];
    struct mu_id id = id_of(number);
    uint64_t ttl_ms = 1 + mu_rand_below(r, 50);

    switch (mu_rand_below(r, 4)) {
    case 0:
        session_timers_set(t, &id, ttl_ms, now_ms);
        if (twin->over_ms == 0) {
            *twin = (struct twin){ .over_ms = now_ms + 2 * ttl_ms, .span_ms = 2 * ttl_ms };
        }
        break;
    case 1: {
        enum session_renewal want = twin->over_ms == 0 ? SESSION_UNKNOWN
                                    : twin->is_over    ? SESSION_OVER
                                                       : SESSION_RENEWED;

        assert_int_equal(session_timers_renew(t, &id, now_ms), want);
        if (want == SESSION_RENEWED) {
            twin->over_ms = now_ms + twin->span_ms;
        }
        break;
    }
    case 2:
        session_timers_remove(t, &id);
        *twin = (struct twin){ .over_ms = 0 };
        break;
    default:
        if (twin->in_flight) {
            bool did_succeed = mu_rand_below(r, 2) == 0;

            session_timers_ended(t, &id, did_succeed, now_ms);
            *twin = did_succeed ? (struct twin){ .over_ms = 0 }
                                : (struct twin){ .over_ms = now_ms + 1000,
                                                 .span_ms = twin->span_ms,
                                                 .is_over = true };
        }
    }
}

/* All that the twin calls due, each once, and no other. */
static void twin_due(struct session_timers *t, struct twin *twins, uint64_t now_ms)
{
    struct mu_id ids[TWINS];
    size_t count = session_timers_due(t, now_ms, ids, TWINS);
    size_t expected = 0;
    uint64_t wake_ms = 0;

    for (size_t i = 0; i < count; i++) {
        struct twin *twin = &twins[ids[i].b[15]];

        assert_true(twin->over_ms != 0 && twin->over_ms <= now_ms && !twin->in_flight);
        twin->in_flight = twin->is_over = true;
        expected++;
    }
    for (size_t i = 0; i < TWINS; i++) {
        if (twins[i].over_ms == 0 || twins[i].in_flight) {
            continue;
        }
        assert_true(twins[i].over_ms > now_ms); /* or it was forgotten */
        wake_ms = wake_ms == 0 || twins[i].over_ms < wake_ms ? twins[i].over_ms : wake_ms;
    }
    assert_int_equal(expected, count);
    assert_int_equal(session_timers_wake_ms(t), wake_ms);
}

static void random_lives_end_when_their_twins_say(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct session_timers *t = session_timers_new();
        struct twin twins[TWINS] = { { 0 } };
        uint64_t now_ms = 1000;
        struct mu_rand r;

        mu_rand_seed(&r, seed);
        for (size_t i = 0; i < 3000; i++) {
            now_ms += mu_rand_below(&r, 20);
            twin_due(t, twins, now_ms);
            twin_step(t, twins, now_ms, &r);
        }
        session_timers_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_end_as_written),
        cmocka_unit_test(random_lives_end_when_their_twins_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
