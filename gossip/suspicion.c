/* suspicion.c - accusers and deadlines: Lifeguard's dynamic timeout with evidence (6).
 *
 * A suspicion starts out patient (max) and comes down to min as independent accusers confirm it, by
 * the logarithm of their number. How long min is depends on what the dials said: a refused
 * connection is nearly proof, a stalled one asks for patience.
 *
 * Deviation from the reference: a suspect is called upon directly, with the accusation, a few times
 * in the last part of its time, and before that from when its suspicion would be over had all
 * joined in. Gossip reaches every node with a probability below one; a node that missed the
 * refutation would else declare dead whom all others know to live. There are few of those, and
 * whoever is dead is mostly known to be by then, so that this costs nothing but where much is lost.
 * In an interval one suspect has its turn: on the small side of a cut there may be as many as the
 * other has members.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define CALLS       4 /* half probe timeouts before the deadline: a call in each */
#define PERIODS_MIN 2 /* probe intervals: time enough for a refutation to come round */

#define DOUBT_MS_MAX 2000

uint64_t gossip__hash_name(const char *name)
{
    uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a, then mixed so that every bit depends on all */

    for (const char *c = name; *c != '\0'; c++) {
        h = (h ^ (uint8_t)*c) * 0x100000001b3ULL;
    }
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 29;
}

/* -- arithmetic ---------------------------------------------------------------------------------
 */

static unsigned periods_of(const struct gossip_profile *p, enum gossip__evidence evidence)
{
    switch (evidence) {
    case GOSSIP__SILENT: return p->suspicion_mult;
    case GOSSIP__STALLED: return p->stalled_mult * p->suspicion_mult;
    case GOSSIP__REFUSED: return PERIODS_MIN;
    }
    MU_UNREACHABLE_CODE();
}

/* At most half of what a stalled one has at least. No more where probes are slow: they outlast
 * short stops by themselves. */
uint64_t gossip__suspicion_doubt_ms(const struct gossip_profile *p)
{
    uint64_t half = (uint64_t)periods_of(p, GOSSIP__STALLED) * p->probe_ms / 2;

    return half < DOUBT_MS_MAX ? half : DOUBT_MS_MAX;
}

struct gossip__suspicion_terms gossip__suspicion_terms(const struct gossip_profile *p,
                                                       size_t listed, size_t alive,
                                                       enum gossip__evidence evidence)
{
    double scale = listed > 10 && evidence != GOSSIP__REFUSED ? log10((double)listed) : 1.0;
    unsigned wanted = p->suspicion_mult > 4 ? p->suspicion_mult - 2 : 2;
    struct gossip__suspicion_terms t;

    t.min_ms = (uint64_t)(periods_of(p, evidence) * scale * p->probe_ms);
    if (t.min_ms < (uint64_t)PERIODS_MIN * p->probe_ms) {
        t.min_ms = (uint64_t)PERIODS_MIN * p->probe_ms;
    }
    t.max_ms = p->suspicion_max_mult * t.min_ms;
    /* Those alive, without the accuser and one to spare: somebody may be slow (6 [M]). */
    t.wanted = alive < 2 ? 0 : alive - 2 < wanted ? (unsigned)(alive - 2) : wanted;
    return t;
}

uint64_t gossip__suspicion_timeout(const struct gossip__suspicion_terms *t, unsigned confirmations)
{
    if (t->wanted < 1) {
        return t->min_ms;
    }
    double spent = log(confirmations + 1.0) / log(t->wanted + 1.0);
    double ms = (double)t->max_ms - (double)(t->max_ms - t->min_ms) * spent;

    return ms > (double)t->min_ms ? (uint64_t)ms : t->min_ms;
}

/* Whose word counts when accusers disagree: that a kernel answers for the process, one way or the
 * other, is more than that nothing came back, which one lost segment does too. (By 6 the most
 * patient one would count.) */
static unsigned weight(enum gossip__evidence evidence)
{
    static const unsigned rank[] = {
        [GOSSIP__SILENT] = 0, [GOSSIP__REFUSED] = 1, [GOSSIP__STALLED] = 2
    };

    return rank[evidence];
}

static unsigned confirmations_of(const struct gossip__member *m)
{
    return m->dealings->suspicion->accusers_count - 1;
}

/* -- who accuses --------------------------------------------------------------------------------
 */

struct accuser {
    char name[MU_NODE_NAME_MAX + 1];
    uint64_t hash, started, confirmed, refuted;
};

struct gossip__blame {
    struct accuser rows[GOSSIP_ACCUSERS_MAX + 1]; /* the last: all others */
    size_t count;
};

static struct accuser *accuser_find(struct gossip__blame *b, uint64_t hash)
{
    size_t i = 0;

    while (i < b->count && b->rows[i].hash != hash) {
        i++;
    }
    return &b->rows[i < b->count ? i : GOSSIP_ACCUSERS_MAX];
}

static struct accuser *blame(struct gossip *g, const char *from)
{
    uint64_t hash = gossip__hash_name(from);

    if (g->blame == NULL) {
        g->blame = mu_new(sizeof *g->blame);
    }
    struct gossip__blame *b = g->blame;
    struct accuser *a = accuser_find(b, hash);

    if (a == &b->rows[GOSSIP_ACCUSERS_MAX] && b->count < GOSSIP_ACCUSERS_MAX) {
        a = &b->rows[b->count++];
        a->hash = hash;
        (void)snprintf(a->name, sizeof a->name, "%s", from);
    }
    return a;
}

void gossip__suspicion_denied(struct gossip *g, const struct gossip__member *m)
{
    const struct gossip__suspicion *s = m->dealings->suspicion;

    for (unsigned i = 0; i < s->accusers_count; i++) {
        accuser_find(g->blame, s->accusers[i])->refuted++;
    }
}

void gossip__suspicion_free_all(struct gossip *g)
{
    mu_free(g->blame);
}

void gossip_each_accuser(const struct gossip *g, gossip_accuser_fn *each, void *data)
{
    const struct gossip__blame *b = g->blame;

    for (size_t i = 0; b != NULL && i <= GOSSIP_ACCUSERS_MAX; i++) {
        bool is_rest = i == GOSSIP_ACCUSERS_MAX;

        if (i >= b->count && !(is_rest && b->rows[i].started + b->rows[i].confirmed > 0)) {
            continue;
        }
        each(data, &(struct gossip_accuser){ .name = is_rest ? "others" : b->rows[i].name,
                                             .started = b->rows[i].started,
                                             .confirmed = b->rows[i].confirmed,
                                             .refuted = b->rows[i].refuted });
    }
}

/* -- one suspicion ------------------------------------------------------------------------------
 */

static unsigned deadline_set(struct gossip *g, struct gossip__member *m)
{
    struct gossip__suspicion *s = m->dealings->suspicion;
    struct gossip__suspicion_terms t =
        gossip__suspicion_terms(&g->profile, g->list_count, g->alive_count, s->evidence);

    uint64_t patience_ms =
        s->is_unheard ? t.max_ms : gossip__suspicion_timeout(&t, confirmations_of(m));

    g->is_suspicion_new = true;
    s->prompt_ms =
        s->is_unheard || s->is_told ? GOSSIP__NEVER : s->since_ms + s->postponed_ms + t.min_ms;
    s->deadline_ms = s->since_ms + s->postponed_ms + patience_ms;
    if (s->is_told && !s->is_unheard) {
        s->deadline_ms =
            gossip__sooner(s->deadline_ms, s->since_ms + s->postponed_ms + g->profile.probe_ms);
    }
    return t.wanted;
}

void gossip__suspicion_start(struct gossip *g, struct gossip__member *m, const char *from,
                             enum gossip__evidence evidence)
{
    struct gossip__suspicion *s = mu_new(sizeof *s);

    MU_ASSERT(m->state == GOSSIP__SUSPECT && gossip__dealings(m)->suspicion == NULL);
    *s = (struct gossip__suspicion){ .about = m,
                                     .since_ms = g->now_ms,
                                     .accusers = { gossip__hash_name(from) },
                                     .accusers_count = 1,
                                     .evidence = evidence };
    mu_list_push_back(&g->suspects, &s->link);
    gossip__deal(m)->suspicion = s;
    (void)deadline_set(g, m);
    gossip__count(g, GOSSIP_COUNT_SUSPICIONS);
    blame(g, from)->started++;
}

void gossip__suspicion_backdate(struct gossip *g, struct gossip__member *m, uint64_t since_ms)
{
    struct gossip__suspicion *s = m->dealings->suspicion;

    s->since_ms = since_ms < s->since_ms ? since_ms : s->since_ms;
    (void)deadline_set(g, m);
}

void gossip__suspicion_end(struct gossip *g, struct gossip__member *m)
{
    struct gossip__suspicion *s = m->dealings->suspicion;

    g->is_suspicion_new = true;
    mu_list_remove(&s->link);
    mu_free(s);
    m->dealings->suspicion = NULL;
}

bool gossip__suspicion_confirm(struct gossip *g, struct gossip__member *m, const char *from,
                               enum gossip__evidence evidence)
{
    struct gossip__suspicion *s = m->dealings->suspicion;
    uint64_t hash = gossip__hash_name(from);
    bool is_new = s->accusers_count < GOSSIP__ACCUSERS_MAX;

    for (unsigned i = 0; i < s->accusers_count; i++) {
        is_new = is_new && s->accusers[i] != hash;
    }
    if (weight(evidence) > weight(s->evidence)) {
        s->evidence = evidence;
    }
    unsigned wanted = deadline_set(g, m);

    if (!is_new || confirmations_of(m) >= wanted) {
        return false;
    }
    s->accusers[s->accusers_count++] = hash;
    (void)deadline_set(g, m);
    gossip__count(g, GOSSIP_COUNT_SUSPICIONS_CONFIRMED);
    blame(g, from)->confirmed++;
    gossip__log(g, MU_TRACE, "%s: suspected by %s too", m->card->name, from);
    gossip__record(g, m,
                   (struct gossip_record){ .change = GOSSIP_CHANGE_CONFIRMED,
                                           .by = from,
                                           .way = gossip__way_of(evidence) });
    return true;
}

/* A refutation is everywhere within a probe interval. He is not called upon: at the end of a
 * partition there may be as many as the other part has members, and all of ours would call. */
bool gossip__suspicion_told(struct gossip *g, struct gossip__member *m)
{
    struct gossip__suspicion *s = m->dealings->suspicion;

    s->is_told = true;
    (void)deadline_set(g, m);
    return s->deadline_ms > g->now_ms;
}

void gossip__suspicion_count(const struct gossip *g, const struct gossip__member *m,
                             unsigned *confirmations, unsigned *wanted)
{
    *confirmations = confirmations_of(m);
    *wanted = gossip__suspicion_terms(&g->profile, g->list_count, g->alive_count,
                                      m->dealings->suspicion->evidence)
                  .wanted;
}

bool gossip__suspicion_wants_us(const struct gossip *g, const struct gossip__member *m)
{
    const struct gossip__suspicion *s = m->dealings->suspicion;
    unsigned confirmations;
    unsigned wanted;

    for (unsigned i = 0; i < s->accusers_count; i++) {
        if (s->accusers[i] == g->self->card->spread) {
            return false;
        }
    }
    gossip__suspicion_count(g, m, &confirmations, &wanted);
    return confirmations < wanted;
}

/* -- all of them --------------------------------------------------------------------------------
 */

static struct gossip__suspicion *suspicion_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__suspicion, link);
}

static uint64_t last_call(const struct gossip *g, const struct gossip__suspicion *s)
{
    uint64_t half = (g->profile.probe_timeout_ms + 1) / 2;
    uint64_t first = s->deadline_ms > CALLS * half ? s->deadline_ms - CALLS * half : 0;

    if (s->is_told) {
        return GOSSIP__NEVER;
    }

    return gossip__later(first, s->called_ms + half);
}

static uint64_t early_call(const struct gossip *g, const struct gossip__suspicion *s)
{
    return gossip__later(s->prompt_ms, g->suspect_called_ms + g->profile.probe_ms);
}

static uint64_t earliest(const struct gossip *g)
{
    uint64_t due = GOSSIP__NEVER;

    MU_LIST_EACH (link, &g->suspects) {
        const struct gossip__suspicion *s = suspicion_of(link);

        due = gossip__sooner(due, s->deadline_ms);
        due = gossip__sooner(due, gossip__sooner(early_call(g, s), last_call(g, s)));
    }
    return due;
}

void gossip__suspicion_restart(struct gossip *g)
{
    MU_LIST_EACH (link, &g->suspects) {
        struct gossip__suspicion *s = suspicion_of(link);

        s->since_ms = g->now_ms;
        s->postponed_ms = 0;
        (void)deadline_set(g, s->about);
    }
}

static bool are_equal(const struct gossip__suspicion_terms *a,
                      const struct gossip__suspicion_terms *b)
{
    return a->min_ms == b->min_ms && a->max_ms == b->max_ms && a->wanted == b->wanted;
}

/* Among many, one more or less seldom changes a term: then no deadline moves either. */
static bool are_terms_new(struct gossip *g)
{
    bool are_new = false;

    for (size_t i = 0; i < MU_LEN(g->terms); i++) {
        struct gossip__suspicion_terms t = gossip__suspicion_terms(
            &g->profile, g->list_count, g->alive_count, (enum gossip__evidence)i);

        are_new = are_new || !are_equal(&t, &g->terms[i]);
        g->terms[i] = t;
    }
    return are_new;
}

void gossip__suspicion_refresh(struct gossip *g)
{
    if (g->is_alive_count_new && are_terms_new(g)) {
        MU_LIST_EACH (link, &g->suspects) {
            (void)deadline_set(g, suspicion_of(link)->about);
        }
    }
    g->is_alive_count_new = false;
    if (g->is_suspicion_new) {
        g->suspicion_due_ms = earliest(g);
        g->is_suspicion_new = false;
    }
}

/* What was to expire while we did not run: the answer may wait in the socket. */
void gossip__suspicion_postpone(struct gossip *g, uint64_t pause_ms)
{
    MU_LIST_EACH (link, &g->suspects) {
        struct gossip__suspicion *s = suspicion_of(link);

        if (s->deadline_ms <= g->now_ms) {
            s->postponed_ms += pause_ms;
            s->deadline_ms += pause_ms;
            g->is_suspicion_new = true;
        }
    }
}

void gossip__suspicion_discount(struct gossip *g, uint64_t silent_ms)
{
    MU_LIST_EACH (link, &g->suspects) {
        struct gossip__suspicion *s = suspicion_of(link);
        uint64_t age = g->now_ms - s->since_ms;

        s->is_unheard = false;
        s->postponed_ms += silent_ms < age ? silent_ms : age;
        (void)deadline_set(g, s->about);
    }
}

/* It is not the only other one, and none of the others speaks either: it has all the time of one
 * that is stalled. Where they are refused, their hosts did speak. */
static bool is_given_time(struct gossip *g, struct gossip__suspicion *s)
{
    if (s->evidence != GOSSIP__SILENT || g->alive_count + g->suspect_count < 3 ||
        !gossip__health_is_deaf(g)) {
        return false;
    }
    s->evidence = GOSSIP__STALLED;
    s->is_unheard = true;
    (void)deadline_set(g, s->about);
    return s->deadline_ms > g->now_ms;
}

static void call(struct gossip *g, struct gossip__member *m)
{
    struct gossip__letter l;
    struct gossip__part ping = {
        .kind = GOSSIP__PART_PING,
        .ping = { .seq = gossip__seq(g), .target = m->card->name, .reply_to = g->self->card->addr }
    };

    m->dealings->suspicion->called_ms = g->now_ms;
    g->is_suspicion_new = true;
    gossip__letter_begin(g, &l, &m->card->addr, m);
    gossip__letter_accuse(g, &l, m);
    MU_ASSERT(gossip__letter_add(&l, gossip__part_encode(&ping, &g->step)));
    (void)gossip__letter_send(g, &l);
}

uint64_t gossip__suspicion_due(const struct gossip *g)
{
    return g->is_suspicion_new ? earliest(g) : g->suspicion_due_ms;
}

/* Fewer joined in than should have: lost words, or few who are well (6). */
static void count_degraded(struct gossip *g, const struct gossip__member *m)
{
    unsigned confirmations;
    unsigned wanted;

    gossip__suspicion_count(g, m, &confirmations, &wanted);
    g->counters[GOSSIP_COUNT_TIMEOUTS_DEGRADED] += confirmations < wanted;
}

void gossip__suspicion_tick(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->suspects) {
        struct gossip__suspicion *s = suspicion_of(link);
        struct gossip__member *m = s->about;

        if (s->deadline_ms <= g->now_ms && is_given_time(g, s)) {
            continue;
        }
        if (s->deadline_ms <= g->now_ms) {
            count_degraded(g, m);
            gossip__log(g, MU_INFO,
                        "memberlist: Marking %s as failed, suspect timeout reached (%u peer "
                        "confirmations)",
                        m->card->name, confirmations_of(m));
            gossip__conclude_dead(g, m, false);
        } else if (last_call(g, s) <= g->now_ms) {
            call(g, m);
        } else if (early_call(g, s) <= g->now_ms) {
            call(g, m);
            g->suspect_called_ms = g->now_ms;
            mu_list_remove(link); /* the others have their turn before it */
            mu_list_push_back(&g->suspects, link);
        }
    }
}

void gossip__suspicion_check(const struct gossip *g)
{
    MU_ASSERT(g->is_suspicion_new || g->suspicion_due_ms == earliest(g));
}
