/* Who of the servers that answered may go on without the others, and who may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "recover_plan.h"

#define ROOM (8 + RECOVERY_SERVERS_MAX)

static const char *const names[] = { "", "s1", "s2", "s3", "s4", "s5" };

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = n;
    return id;
}

/* s1, s2, s3 vote. All answer, with equal logs, and nobody leads. */
struct scene {
    struct agent_survivor servers[ROOM];
    size_t count;
    struct agent_recovery_wish wish;
};

static struct agent_survivor *server(struct scene *s, uint8_t n)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->servers[i].id.b[0] == n) {
            return &s->servers[i];
        }
    }
    fail_msg("there is no server %u", n);
    return NULL;
}

static void server_add(struct scene *s, uint8_t n)
{
    struct agent_survivor *to = &s->servers[s->count++];

    *to = (struct agent_survivor){ .id = id_of(n), .name = names[n], .address = "10.0.0.1:8300" };
    to->position = (struct recovery_position){ .server = id_of(n),
                                               .cluster = id_of(9),
                                               .term = 5,
                                               .last_term = 4,
                                               .last_index = 70,
                                               .applied_index = 68,
                                               .config_index = 3,
                                               .servers_count = 3 };
    for (uint8_t i = 0; i < 3; i++) {
        to->position.servers[i] =
            (struct recovery_server){ id_of((uint8_t)(i + 1)), MU_ID_NONE, true, "10.0.0.9:8300" };
    }
}

static void silence(struct scene *s, uint8_t n)
{
    struct agent_survivor *to = server(s, n);

    to->position = (struct recovery_position){ .epoch = 0 };
    (void)mu_fail(&to->err, MU_UNREACHABLE, "connection refused");
}

/* -- what has happened ------------------------------------------------------------------------- */

static void two_are_gone(struct scene *s)
{
    silence(s, 2);
    silence(s, 3);
}

static void all_are_gone(struct scene *s)
{
    two_are_gone(s);
    silence(s, 1);
}

static void nothing(struct scene *s)
{
    (void)s;
}

static void it_leads(struct scene *s)
{
    server(s, 1)->leader = id_of(1);
}

static void it_leads_by_itself(struct scene *s)
{
    two_are_gone(s);
    it_leads(s);
}

static void it_follows_one_that_is_gone(struct scene *s)
{
    two_are_gone(s);
    server(s, 1)->leader = id_of(2);
}

static void it_follows_a_stranger(struct scene *s)
{
    two_are_gone(s);
    server(s, 1)->leader = id_of(77);
}

static void a_learner_goes_further(struct scene *s)
{
    two_are_gone(s);
    server_add(s, 4);
    server(s, 4)->position.last_index = 71;
}

static void it_lost_its_state(struct scene *s)
{
    two_are_gone(s);
    (void)snprintf(server(s, 1)->position.damage, MU_ERR_TEXT_MAX, "it has lost its state");
}

static void the_furthest_lost_its_state(struct scene *s)
{
    a_learner_goes_further(s);
    (void)snprintf(server(s, 4)->position.damage, MU_ERR_TEXT_MAX, "it has lost its state");
}

static void one_is_of_the_epoch_before(struct scene *s)
{
    two_are_gone(s);
    server_add(s, 4);
    server(s, 1)->position.epoch = 7;
    server(s, 4)->position.last_term = 9;
}

static void one_is_new(struct scene *s)
{
    two_are_gone(s);
    server_add(s, 4);
    server(s, 4)->position = (struct recovery_position){ .server = id_of(4) };
}

static void one_cannot_take_part(struct scene *s)
{
    two_are_gone(s);
    server(s, 3)->err = MU_ERR_NONE;
    (void)mu_fail(&server(s, 3)->err, MU_UNSUPPORTED, "no such method");
}

static void one_may_be_slow(struct scene *s)
{
    two_are_gone(s);
    server(s, 3)->is_expected = true;
}

static void one_is_busy(struct scene *s)
{
    two_are_gone(s);
    server(s, 3)->err = MU_ERR_NONE;
    (void)mu_fail(&server(s, 3)->err, MU_BUSY, "it stands back for a recovery by s2");
}

/* A newer configuration than the others know: two more voters, that nobody has seen. */
static void the_newest_configuration_is_larger(struct scene *s)
{
    struct recovery_position *p = &server(s, 2)->position;

    silence(s, 3);
    p->config_index = 60;
    p->servers[3] = (struct recovery_server){ id_of(4), MU_ID_NONE, true, "10.0.0.4:8300" };
    p->servers[4] = (struct recovery_server){ id_of(5), MU_ID_NONE, true, "" };
    p->servers_count = 5;
}

static void only_fresh_ones_answer(struct scene *s)
{
    two_are_gone(s);
    server(s, 1)->position.cluster = MU_ID_NONE;
    server(s, 1)->position.servers_count = 0;
}

static void the_third_answers_and_goes_further(struct scene *s)
{
    silence(s, 2);
    server(s, 3)->position.last_term = 5;
    server(s, 3)->position.last_index = 60;
}

/* -- the judgement ----------------------------------------------------------------------------- */

static void plan(struct scene *s, struct agent_recovery *out, struct mu_arena *arena)
{
    recover_plan_complete(s->servers, &s->count, arena);
    *out = (struct agent_recovery){ .servers = s->servers, .count = s->count };
    recover_plan_make(out, &s->wish);
}

static void only_what_nobody_could_elect_goes_on(void **state)
{
    static const struct {
        const char *why;
        void (*happens)(struct scene *s);
        const char *wish;
        bool is_forced;
        const char *chosen;  /* "": nobody */
        const char *refusal; /* a part of it; NULL: it may */
        bool can_be_forced, may_pass;
    } cases[] = {
        // clang-format off
        { "one of three is left",                two_are_gone,                "",   false, "s1", NULL, false, false },
        { "nobody is left",                      all_are_gone,                "",   false, "",   "no server that belongs to a cluster answers", false, false },
        { "only a fresh one is left",            only_fresh_ones_answer,      "",   false, "",   "no server that belongs to a cluster answers", false, false },
        { "all are there: they can elect",       nothing,                     "",   false, "s1", "3 of 3 voters answer", true, false },
        { "they can, and do not: forced",        nothing,                     "",   true,  "s1", NULL, false, false },
        { "one leads",                           it_leads,                    "",   false, "s1", "s1 leads", false, false },
        { "a leader is left alone, by force too", it_leads,                   "",   true,  "s1", "s1 leads", false, false },
        { "it leads without others: not for long", it_leads_by_itself,        "",   false, "s1", "s1 leads", false, true },
        { "it follows one that is gone",         it_follows_one_that_is_gone, "",   false, "s1", "s1 follows s2", false, true },
        { "by force it is waited for too",       it_follows_one_that_is_gone, "",   true,  "s1", "s1 follows s2", false, true },
        { "it follows one that nobody knows",    it_follows_a_stranger,       "",   false, "s1", "follows a server that nobody else knows", false, true },
        { "the furthest, if it does not vote",   a_learner_goes_further,      "",   false, "s4", NULL, false, false },
        { "another one than the furthest",       a_learner_goes_further,      "s1", false, "s1", "the log of s4 goes further (entry 71 of term 4)", true, false },
        { "that one, forced",                    a_learner_goes_further,      "s1", true,  "s1", NULL, false, false },
        { "by its id",                           a_learner_goes_further,      "04000000-0000-0000-0000-000000000000", false, "s4", NULL, false, false },
        { "one that does not answer",            two_are_gone,                "s2", true,  "s2", "s2 does not answer: connection refused", false, false },
        { "one that does not exist",             two_are_gone,                "s9", true,  "",   "no server is called 's9'", false, false },
        { "without a state nobody goes on",      it_lost_its_state,           "",   true,  "",   "nobody who answers has a log and a state", false, false },
        { "nor when it is wished for",           it_lost_its_state,           "s1", true,  "s1", "s1 cannot go on: it has lost its state", false, false },
        { "the furthest has no state",           the_furthest_lost_its_state, "",   false, "s1", "goes further (entry 71 of term 4) than that of s1 (entry 70 of term 4), but it cannot go on", true, false },
        { "what it has is given up by force",    the_furthest_lost_its_state, "",   true,  "s1", NULL, false, false },
        { "an older epoch does not count",       one_is_of_the_epoch_before,  "",   false, "s1", NULL, false, false },
        { "and cannot be wished for",            one_is_of_the_epoch_before,  "s4", true,  "s4", "s4 is of an older epoch", false, false },
        { "a new server does not count",         one_is_new,                  "",   false, "s1", NULL, false, false },
        { "and cannot be wished for",            one_is_new,                  "s4", true,  "s4", "s4 never belonged to a cluster", false, false },
        { "who runs and cannot stand back",      one_cannot_take_part,        "",   true,  "s1", "s3 runs, and cannot take part (no such method): stop it", false, false },
        { "who is silent, and alive for gossip", one_may_be_slow,             "",   false, "s1", "s3 does not answer (connection refused), and gossip holds it alive", true, true },
        { "is given up by force",                one_may_be_slow,             "",   true,  "s1", NULL, false, false },
        { "who stands back for another one",     one_is_busy,                 "",   true,  "s1", "s3 is taken (it stands back for a recovery by s2): try again", false, false },
        { "two of five: the newest says who votes", the_newest_configuration_is_larger, "", false, "s1", NULL, false, false },
        { "a newer term goes further",           the_third_answers_and_goes_further, "", true, "s3", NULL, false, false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct scene *s = mu_new(sizeof *s);
        struct agent_recovery r;
        struct mu_arena arena;

        mu_arena_init(&arena, 0);
        for (uint8_t n = 1; n <= 3; n++) {
            server_add(s, n);
        }
        cases[i].happens(s);
        s->wish.server = mu_span_text(cases[i].wish);
        s->wish.is_forced = cases[i].is_forced;
        plan(s, &r, &arena);
        const char *chosen = r.chosen == AGENT_RECOVERY_NOBODY ? "" : r.servers[r.chosen].name;

        if (strcmp(chosen, cases[i].chosen) != 0 ||
            (r.why.code == MU_OK) != (cases[i].refusal == NULL) ||
            (cases[i].refusal != NULL && strstr(r.why.text, cases[i].refusal) == NULL) ||
            r.can_be_forced != cases[i].can_be_forced || r.may_pass != cases[i].may_pass) {
            fail_msg("%s: '%s', forced %d, passes %d (%s)", cases[i].why, chosen, r.can_be_forced,
                     r.may_pass, r.why.text);
        }
        mu_arena_deinit(&arena);
        mu_free(s);
    }
}

static void servers_that_only_the_configuration_knows_are_listed(void **state)
{
    struct scene *s = mu_new(sizeof *s);
    struct agent_recovery r;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    server_add(s, 3);
    server_add(s, 1);
    plan(s, &r, &arena);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.servers[0].name, "s1");
    assert_string_equal(r.servers[1].name, "s3");
    assert_string_equal(r.servers[2].name, ""); /* behind those with a name */
    assert_string_equal(r.servers[2].address, "10.0.0.9:8300");
    assert_true(r.servers[2].is_voter);
    assert_true(recover_is_silent(&r.servers[2]));
    mu_arena_deinit(&arena);
    mu_free(s);
}

static void entries_that_perhaps_never_were_are_counted(void **state)
{
    struct scene *s = mu_new(sizeof *s);
    struct agent_recovery r;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (uint8_t n = 1; n <= 3; n++) {
        server_add(s, n);
    }
    two_are_gone(s);
    plan(s, &r, &arena);
    assert_int_equal(r.unsure, 2);
    mu_arena_deinit(&arena);
    mu_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_nobody_could_elect_goes_on),
        cmocka_unit_test(servers_that_only_the_configuration_knows_are_listed),
        cmocka_unit_test(entries_that_perhaps_never_were_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
