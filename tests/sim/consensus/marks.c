/* marks.c - what a batch of runs has seen at least once (spec/consensus.md 4.5).
 *
 * A fault that never happens is not survived. Every decision the core speaks of, every change of
 * role, reason of a refusal and outcome is a mark; one that a large batch does not reach means that
 * the simulator needs work, not the core. What cannot come about here, and where it is tested
 * instead, is listed with its reason.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "world.h"

enum { ROLES = CONSENSUS_OBSERVER + 1, WHYS = CONSENSUS_VOTE_DISK + 1, STATES = 3 };

static struct {
    uint64_t notices[CONSENSUS_TRACES_COUNT];
    uint64_t edges[ROLES][ROLES];
    uint64_t prevote_whys[WHYS], vote_whys[WHYS];
    uint64_t outcomes[CONSENSUS_HANDED_OVER + 1];
    uint64_t refusals[CONSENSUS_REFUSALS];
    uint64_t progress[STATES];
    uint64_t paused[ROLES];
    uint64_t vote_repeated, config_cut, resumed, joint_left, joint_left_by_other, runs_full;
    uint64_t cut_one, cut_many, commits_many, commits_before_own_disk, read_not_led, joint;
} seen;

/* -- seeing ----------------------------------------------------------------------------------- */

static void see_notice(const struct sim_node *n, const struct consensus_notice *x)
{
    seen.notices[x->kind]++;
    switch (x->kind) {
    case CONSENSUS_T_ROLE: seen.edges[x->a][x->b]++; break;
    case CONSENSUS_T_PREVOTE_REFUSED: seen.prevote_whys[x->b]++; break;
    case CONSENSUS_T_VOTE_REFUSED: seen.vote_whys[x->b]++; break;
    case CONSENSUS_T_PROGRESS: seen.progress[x->a]++; break;
    case CONSENSUS_T_PAUSED: seen.paused[n->seen.role]++; break;
    case CONSENSUS_T_INSTALL_GOES_ON: seen.resumed += x->b > 0; break;
    case CONSENSUS_T_VOTE_GIVEN:
        seen.vote_repeated +=
            n->seen_hard.term == x->a && mu_id_eq(&n->seen_hard.voted_for, &x->peer);
        break;
    case CONSENSUS_T_TRUNCATES:
        for (uint64_t i = x->a; i <= x->b; i++) {
            const struct sim_entry *e = sim_log_at(&n->disk.log, i);

            seen.config_cut += e != NULL && e->kind == CONSENSUS_CONFIG;
        }
        seen.cut_one += x->a == x->b;
        seen.cut_many += x->a < x->b;
        break;
    case CONSENSUS_T_COMMITS:
        seen.commits_many += x->a > n->seen.commit + 1;
        seen.commits_before_own_disk +=
            n->core->role == CONSENSUS_LEADER && x->a > n->core->writes.stable;
        break;
    default: break; /* counted by its kind */
    }
}

/* A leader has left a joint step, which it may have found. */
static void see_made(const struct consensus *c)
{
    const struct consensus_config *before =
        consensus__config_below(c, consensus_config_now(c)->index);

    if (before != NULL && before->is_joint) {
        seen.joint_left++;
        seen.joint_left_by_other += consensus_term_at(c, before->index) < c->hard.term;
    }
}

void sim_mark_step(const struct sim_world *w, const struct sim_node *n,
                   const struct consensus_effects *fx)
{
    for (size_t i = 0; i < fx->notices_count; i++) {
        see_notice(n, &fx->notices[i]);
    }
    for (size_t i = 0; i < fx->results_count; i++) {
        const struct consensus_result *r = &fx->results[i];

        seen.outcomes[r->outcome]++;
        seen.refusals[r->why] += r->outcome == CONSENSUS_REFUSED;
        seen.read_not_led += r->outcome == CONSENSUS_NOT_LEADER &&
                             w->tickets[r->ticket - 1].kind == SIM_READ &&
                             n->core->role != CONSENSUS_LEADER;
    }
    if (fx->made != NULL) {
        see_made(n->core);
    }
    seen.runs_full += n->core->log.runs_count == n->core->options.runs_max;
    seen.joint += consensus_config_now(n->core)->is_joint;
}

/* -- what must have been seen
 * ---------------------------------------------------------------------- */

static const char *const notice_names[] = {
#define MARK_NAME(name, level, text) [CONSENSUS_T_##name] = #name,
    CONSENSUS_TRACES(MARK_NAME)
#undef MARK_NAME
};

/* Marks that this simulator does not reach, and why. */
static const struct {
    const char *name, *why;
} elsewhere[] = {
    // clang-format off
    { "notice WRONG_DISK",      "a wiped server is fresh until it is invited" },
    { "refusal, the server does not have the role for it", "scripts: nobody asks so here" },
    { "refusal, the cluster has as many as it may have", "unit tests: it takes ten servers" },
    { "vote refused: a leader is alive", "scripts: vote_in_a_term_that_is_led" },
    { "pre-vote refused: its term is older", "scripts: only a late message asks so" },
    // clang-format on
};

static const char *why_elsewhere(const char *name)
{
    for (size_t i = 0; i < MU_LEN(elsewhere); i++) {
        if (strcmp(elsewhere[i].name, name) == 0) {
            return elsewhere[i].why;
        }
    }
    return NULL;
}

struct tally {
    bool is_told;
    unsigned marks, unseen;
};

static void mark(struct tally *t, const char *group, const char *name, uint64_t count)
{
    char full[128];

    (void)snprintf(full, sizeof full, "%s%s", group, name);
    const char *why = why_elsewhere(full);

    t->marks++;
    if (count == 0 && why == NULL) {
        t->unseen++;
        (void)printf("never seen: %s\n", full);
    } else if (t->is_told) {
        (void)printf("%12llu  %s%s%s\n", U(count), full, count == 0 ? "; " : "",
                     count == 0 ? why : "");
    }
}

static void mark_edges(struct tally *t)
{
    static const uint8_t legal[][2] = {
        { CONSENSUS_FOLLOWER, CONSENSUS_PRE_CANDIDATE },
        { CONSENSUS_FOLLOWER, CONSENSUS_CANDIDATE },
        { CONSENSUS_FOLLOWER, CONSENSUS_OBSERVER },
        { CONSENSUS_PRE_CANDIDATE, CONSENSUS_FOLLOWER },
        { CONSENSUS_PRE_CANDIDATE, CONSENSUS_CANDIDATE },
        { CONSENSUS_CANDIDATE, CONSENSUS_FOLLOWER },
        { CONSENSUS_CANDIDATE, CONSENSUS_PRE_CANDIDATE },
        { CONSENSUS_CANDIDATE, CONSENSUS_LEADER },
        { CONSENSUS_LEADER, CONSENSUS_FOLLOWER },
        { CONSENSUS_LEADER, CONSENSUS_OBSERVER },
        { CONSENSUS_OBSERVER, CONSENSUS_FOLLOWER },
    };

    for (size_t i = 0; i < MU_LEN(legal); i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "%s -> %s",
                       consensus_role_text((enum consensus_role)legal[i][0]),
                       consensus_role_text((enum consensus_role)legal[i][1]));
        mark(t, "edge ", name, seen.edges[legal[i][0]][legal[i][1]]);
    }
}

static void mark_votes(struct tally *t)
{
    static const char *const whys[] = { "its term is older",
                                        "the vote is given",
                                        "its log is older",
                                        "a leader is alive",
                                        "another leader was promised that",
                                        "its disk is read-only" };

    for (size_t i = 0; i < WHYS; i++) {
        mark(t, "pre-vote refused: ", whys[i], seen.prevote_whys[i]);
        mark(t, "vote refused: ", whys[i], seen.vote_whys[i]);
    }
}

unsigned sim_marks_print(bool is_told)
{
    static const char *const outcomes[] = { "committed", "readable", "not the leader",
                                            "refused",   "lost",     "handed over" };
    static const char *const states[] = { "probe", "replicate", "snapshot" };
    struct tally t = { .is_told = is_told };

    for (size_t i = 0; i < CONSENSUS_TRACES_COUNT; i++) {
        mark(&t, "notice ", notice_names[i], seen.notices[i]);
    }
    mark_edges(&t);
    mark_votes(&t);
    for (size_t i = 0; i < MU_LEN(outcomes); i++) {
        mark(&t, "outcome ", outcomes[i], seen.outcomes[i]);
    }
    for (size_t i = 1; i < CONSENSUS_REFUSALS; i++) {
        mark(&t, "refusal, ", consensus_refusal_text((enum consensus_refusal)i), seen.refusals[i]);
    }
    for (size_t i = 0; i < STATES; i++) {
        mark(&t, "peer: ", states[i], seen.progress[i]);
    }
    mark(&t, "", "one entry cut", seen.cut_one);
    mark(&t, "", "many entries cut", seen.cut_many);
    mark(&t, "", "entries committed with one of the own term", seen.commits_many);
    mark(&t, "", "committed before the leader's own disk had it", seen.commits_before_own_disk);
    mark(&t, "", "a read answered by who leads no more", seen.read_not_led);
    mark(&t, "", "a joint configuration in force", seen.joint);
    mark(&t, "", "a joint configuration left", seen.joint_left);
    mark(&t, "", "a joint configuration left by another leader than made it",
         seen.joint_left_by_other);
    mark(&t, "", "a configuration cut off", seen.config_cut);
    mark(&t, "", "a vote given twice to the same", seen.vote_repeated);
    mark(&t, "", "a snapshot gone on with in the middle", seen.resumed);
    mark(&t, "", "the list of terms full", seen.runs_full);
    mark(&t, "", "a pause of a follower", seen.paused[CONSENSUS_FOLLOWER]);
    mark(&t, "", "a pause of one that stands or asks whether to",
         seen.paused[CONSENSUS_CANDIDATE] + seen.paused[CONSENSUS_PRE_CANDIDATE]);
    mark(&t, "", "a pause of a leader", seen.paused[CONSENSUS_LEADER]);
    (void)printf("%u marks, %u never seen\n", t.marks, t.unseen);
    return t.unseen;
}
