/* scenes_words.c - scenes of what is said: too much, too late, many times over, by strangers, by
 * liars, under keys that change. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "scenes.h"

#define RUN_MS 60000

/* Something to say every second: tags and events from anybody. */
static void chatter(struct stage *s, uint64_t ms)
{
    char value[32];

    for (uint64_t spent = 0; spent < ms; spent += 1000) {
        size_t node = stage_below(s, s->count);

        (void)stage_tell(s, node);
        (void)snprintf(value, sizeof value, "%zu", stage_below(s, 1000));
        world_tag(s->world, stage_below(s, s->count), "v", value);
        world_run(s->world, 1000);
    }
}

static void all_have_all(struct stage *s, uint64_t ms)
{
    for (size_t i = 0; i < s->events_count; i++) {
        (void)stage_until(s, ms, stage_all_have, &i, "all have all events");
    }
}

/* -- the network repeats, disorders and loses ---------------------------------------------------
 */

static void copies(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    world_copies(s->world, 9);
    chatter(s, RUN_MS / 3);
    all_have_all(s, stage_convergence_ms(s));
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, STAGE_SPREAD_MS);
}

static void disorder(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    world_faults(s->world, 0, 0.1, 0.5);
    chatter(s, RUN_MS);
    world_heal(s->world);
    all_have_all(s, stage_convergence_ms(s));
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, stage_convergence_ms(s));
}

static void lossy(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    world_faults(s->world, 0.3, 0, 0);
    chatter(s, 2 * RUN_MS);
    stage_no_alarms(s, SIZE_MAX);
    all_have_all(s, stage_convergence_ms(s));
    stage_agrees(s, stage_convergence_ms(s));
}

/* All talk to the suspects at once, near the end of their time: what is told meanwhile must not be
 * spent on those, nor pass over who looks like one of them. */
static void amid_crashes(struct stage *s, uint64_t seed, size_t nodes)
{
    size_t gone = nodes / 3;

    stage_open(s, seed, nodes, NULL);
    for (size_t i = 0; i < gone; i++) {
        world_vanish(s->world, nodes - 1 - i);
    }
    for (size_t i = 0; i < 60; i++) {
        size_t number = stage_tell(s, stage_below(s, nodes - gone));

        world_run(s->world, 100);
        if (number >= 10 && !stage_all_have(s, &(size_t){ number - 10 })) {
            stage_fail(s, "event %zu is not known to all after a second", number - 10);
        }
    }
}

/* 18.2, rule 14 */
static void no_queries_left(struct stage *s)
{
    world_run(s->world, 1000);
    for (size_t i = 0; i < s->count; i++) {
        const struct gossip__queries *q = &world_core(s->world, i)->queries;

        if (q->open_count + q->asked_count + q->large_count + q->large_streams > 0) {
            stage_fail(s, "%s still has an open query", world_name(s->world, i));
        }
    }
}

/* 18.3, rule 8 */
static bool is_answered(const struct stage *s, const void *count)
{
    return s->dones == *(const size_t *)count;
}

static void queries(struct stage *s, uint64_t seed, size_t nodes)
{
    const struct gossip_query_params params = { .name = "who", .wants_acks = true };
    const size_t count = 20;

    stage_open(s, seed, nodes, NULL);
    world_faults(s->world, 0.05, 0, 0);
    for (size_t i = 1; i <= count; i++) {
        size_t before = s->acks;
        size_t asker = stage_below(s, nodes);

        MU_ASSERT(world_query(s->world, asker, i, &params));
        (void)stage_until(s, gossip_query_timeout_ms(world_core(s->world, asker)) + 1000,
                          is_answered, &i, "a query has an end");
        if (s->acks - before != nodes) {
            stage_fail(s, "query %zu has %zu acks of %zu", i, s->acks - before, nodes);
        }
    }
    no_queries_left(s);
}

/* Whatever was heard is answered, by what only a stream takes; now and then by more than that. */
static size_t answer_all(struct stage *s)
{
    size_t count = 0;

    for (; s->heard_count > 0; s->heard_count--) {
        const struct stage_heard *h = &s->heard[s->heard_count - 1];
        bool is_too_large = stage_below(s, 5) == 0;
        size_t bytes = is_too_large ? 65500 + stage_below(s, 1000) : 1100 + stage_below(s, 64000);
        char *text = mu_new(bytes + 1);

        memset(text, 'x', bytes);
        bool is_taken =
            stage_runs(s, h->node) && world_respond(s->world, h->node, h->ltime, h->id, text);

        if (stage_runs(s, h->node) && is_taken == is_too_large) {
            stage_fail(s, "%zu bytes are %s", bytes, is_taken ? "taken" : "refused");
        }
        count += is_taken;
        mu_free(text);
    }
    return count;
}

/* Answers of 1 to 64 KiB, to askers that live, that stand still for seconds, that are gone. */
static void large_answers(struct stage *s, uint64_t seed, size_t nodes)
{
    const struct gossip_query_params params = { .name = "much",
                                                .wants_acks = true,
                                                .takes_large = true };
    enum { LIVES, PAUSES, CRASHES, FATES };

    stage_open(s, seed, nodes, NULL);
    world_faults(s->world, 0.05, 0, 0);
    for (size_t i = 1; i <= 12; i++) {
        size_t asker = stage_below(s, nodes), fate = i % FATES, sent = 0;
        uint64_t timeout_ms = gossip_query_timeout_ms(world_core(s->world, asker));

        s->large = 0;
        MU_ASSERT(world_query(s->world, asker, i, &params));
        if (fate == PAUSES) {
            world_run(s->world, 100);
            world_pause(s->world, asker, timeout_ms / 3);
        } else if (fate == CRASHES) {
            world_run(s->world, 100);
            world_crash(s->world, asker);
        }
        for (uint64_t ms = 0; ms < timeout_ms + 1000; ms += 100) {
            sent += answer_all(s);
            world_run(s->world, 100);
        }
        if (s->large != (fate == CRASHES ? 0 : sent)) {
            stage_fail(s, "query %zu has %zu answers of %zu", i, s->large, sent);
        }
        if (fate == CRASHES) {
            world_start(s->world, asker, (struct world_start){ .keep_state = true });
            stage_agrees(s, stage_convergence_ms(s));
        }
        no_queries_left(s);
    }
}

/* -- too much -----------------------------------------------------------------------------------
 */

static bool queues_are_empty(const struct stage *s, const void *data)
{
    (void)data;
    for (size_t i = 0; i < s->count; i++) {
        if (stage_runs(s, i) && world_core(s->world, i)->queues[GOSSIP__QUEUE_EVENT].count > 0) {
            return false;
        }
    }
    return true;
}

/* Three times as many events as are remembered, in a second: no queue grows over its cap
 * (gossip__check), the detector goes on, nothing comes twice; afterwards all is as before. */
static void event_flood(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    for (size_t i = 0; i < 3 * GOSSIP__EVENT_SLOTS; i++) {
        (void)stage_tell(s, i % nodes);
        if (i % 3 == 2) {
            world_run(s->world, 2);
        }
    }
    (void)stage_until(s, RUN_MS, queues_are_empty, NULL, "what is queued is told");
    size_t last = stage_tell(s, stage_below(s, nodes));

    (void)stage_until(s, STAGE_SPREAD_MS, stage_all_have, &last, "an event after the flood");
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, STAGE_SPREAD_MS);
}

static void oversize_meta(struct stage *s, uint64_t seed, size_t nodes)
{
    uint8_t meta[MU_GOSSIP_META_MAX + 1];
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    stage_open(s, seed, nodes, NULL);
    memset(meta, 'x', sizeof meta);
    part.alive = gossip__member_record(world_core(s->world, 1)->self);
    part.alive.incarnation++;
    part.alive.meta = mu_span_of(meta, sizeof meta);
    for (size_t i = 2; i < nodes; i++) {
        stage_forge(s, i, 1, &part);
        if (stage_counted(s, i, GOSSIP_COUNT_PARTS_MALFORMED) == 0) {
            stage_fail(s, "%s takes more than %d bytes of meta", world_name(s->world, i),
                       MU_GOSSIP_META_MAX);
        }
    }
    world_run(s->world, RUN_MS / 6);
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, STAGE_SPREAD_MS);
}

/* -- liars --------------------------------------------------------------------------------------
 */

static void accuse(struct stage *s, size_t by, size_t whom, uint64_t incarnation)
{
    struct gossip__part dead = { .kind = GOSSIP__PART_DEAD };
    struct gossip__part suspect = { .kind = GOSSIP__PART_SUSPECT };
    const char *name = world_name(s->world, whom);

    dead.dead = (struct gossip__dead){ .node = name,
                                       .from = world_name(s->world, by),
                                       .incarnation = incarnation };
    suspect.suspect = (struct gossip__suspect){ .node = name,
                                                .from = world_name(s->world, by),
                                                .incarnation = incarnation };
    for (size_t i = 0; i < s->count; i++) {
        stage_forge(s, i, by, &suspect);
        stage_forge(s, i, by, &dead);
    }
}

/* What nobody can have issued moves nothing. What is just about possible is refuted, and the member
 * lives on above it. */
static void poisoned_incarnation(struct stage *s, uint64_t seed, size_t nodes)
{
    static const uint64_t impossible[] = { 1ULL << 53, (1ULL << 62) - 1, 1ULL << 62, UINT64_MAX };

    stage_open(s, seed, nodes, NULL);
    size_t whom = 1 + stage_below(s, nodes - 1);
    struct sim_node *n = s->world->nodes[whom];
    uint64_t before = n->incarnation;

    for (size_t i = 0; i < MU_LEN(impossible); i++) {
        accuse(s, 0, whom, impossible[i]);
    }
    world_run(s->world, RUN_MS / 6);
    if (n->incarnation != before) {
        stage_fail(s, "an incarnation that nobody can have issued is refuted");
    }
    stage_no_alarms(s, SIZE_MAX);
    n->issued_max = before + (1ULL << 51); /* the oracle is told of the lie */
    accuse(s, 0, whom, n->issued_max);
    stage_agrees(s, stage_convergence_ms(s));
    world_crash(s->world, whom);
    world_run(s->world, 5000);
    world_start(s->world, whom, (struct world_start){ .keep_state = true });
    stage_agrees(s, stage_convergence_ms(s));
}

/* A dead one is declared dead again, at a higher number: what it said between the two does not
 * bring it back (3, item 1). */
static void late_obituary(struct stage *s, uint64_t seed, size_t nodes)
{
    struct gossip__part alive = { .kind = GOSSIP__PART_ALIVE };
    struct gossip__part dead = { .kind = GOSSIP__PART_DEAD };

    stage_open(s, seed, nodes, NULL);
    const struct stage_sight failed = { 1 + stage_below(s, nodes - 1), GOSSIP_STATUS_FAILED };
    struct sim_node *n = s->world->nodes[failed.node];

    alive.alive = gossip__member_record(n->core->self);
    alive.alive.node = n->name;
    alive.alive.meta = MU_SPAN_NONE;
    alive.alive.incarnation += 5;
    dead.dead = (struct gossip__dead){ .node = n->name,
                                       .from = world_name(s->world, 0),
                                       .incarnation = n->incarnation + 10 };
    n->issued_max = dead.dead.incarnation;
    world_crash(s->world, failed.node);
    (void)stage_until(s, stage_detection_ms(s, GOSSIP__SILENT), stage_all_see, &failed,
                      "it is failed at all");
    for (size_t i = 0; i < nodes; i++) {
        if (stage_runs(s, i)) {
            stage_forge(s, i, 0, &dead);
            stage_forge(s, i, 0, &alive);
        }
    }
    (void)stage_until(s, 0, stage_all_see, &failed, "it stays failed");
    world_start(s->world, failed.node, (struct world_start){ .keep_state = true });
    stage_agrees(s, stage_convergence_ms(s));
}

/* Lamport clocks do not follow a jump that nobody can have made; one that is just about possible
 * they do, and all goes on. */
static void poisoned_time(struct stage *s, uint64_t seed, size_t nodes)
{
    struct gossip__part intent = { .kind = GOSSIP__PART_JOIN };
    struct gossip__part event = { .kind = GOSSIP__PART_EVENT };

    stage_open(s, seed, nodes, NULL);
    const struct gossip *core = world_core(s->world, 1);
    uint64_t members = core->member_time;
    uint64_t events = core->event_time;

    intent.intent = (struct gossip__intent){ .node = world_name(s->world, 2), .ltime = 1ULL << 62 };
    event.event = (struct gossip__user_event){ .ltime = UINT64_MAX, .name = "0" };
    stage_forge(s, 1, 0, &intent);
    stage_forge(s, 1, 0, &event);
    if (core->member_time != members || core->event_time != events ||
        stage_counted(s, 1, GOSSIP_COUNT_TIME_REFUSED) != 2) {
        stage_fail(s, "a clock follows a jump");
    }
    intent.intent.ltime = members + (1ULL << 31);
    stage_forge(s, 1, 0, &intent);
    world_run(s->world, STAGE_SPREAD_MS);
    chatter(s, RUN_MS / 6);
    all_have_all(s, STAGE_SPREAD_MS);
    world_leave(s->world, 3);
    world_run(s->world, STAGE_SPREAD_MS);
    stage_agrees(s, STAGE_SPREAD_MS);
}

/* -- strangers ----------------------------------------------------------------------------------
 */

/* Half of the nodes are of another cluster on the same network. They join across, and nodes of one
 * take over addresses where the other still expects its own. */
static void two_clusters(struct stage *s, uint64_t seed, size_t nodes)
{
    size_t half = nodes / 2;
    const struct stage_counts each = { .alive = half };

    stage_open_empty(s, seed, nodes, NULL);
    s->is_foreign = mu_new_array(nodes, sizeof *s->is_foreign);
    for (size_t i = 0; i < nodes; i++) {
        s->is_foreign[i] = i >= half;
        world_label_as(s->world, i, i < half ? "" : "other");
        world_start(s->world, i, (struct world_start){ .keep_state = false });
        if (i != 0 && i != half) {
            world_join(s->world, i, i < half ? 0 : half, false);
        }
    }
    (void)stage_until(s, stage_convergence_ms(s), stage_counts_are, &each, "two clusters");
    for (int i = 0; i < 20; i++) {
        size_t a = stage_below(s, half);
        size_t b = half + stage_below(s, half);
        struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

        part.alive = gossip__member_record(world_core(s->world, b)->self);
        stage_forge(s, a, b, &part);
        world_join(s->world, a, b, false);
        world_join(s->world, b, a, false);
        world_run(s->world, 1000);
        if (stage_counted(s, a, GOSSIP_COUNT_OTHER_CLUSTER) == 0) {
            stage_fail(s, "a stranger is not counted");
        }
    }
    (void)stage_until(s, 0, stage_counts_are, &each, "two clusters still");
    stage_no_alarms(s, SIZE_MAX);
}

/* -- keys ---------------------------------------------------------------------------------------
 */

static struct gossip_key key_number(unsigned number)
{
    struct gossip_key key = { .count = GOSSIP_KEY_BYTES_MAX };

    memset(key.bytes, (int)number, sizeof key.bytes);
    return key;
}

/* From clear to sealed (12.6) and to the next key (12.5), one node after the other, while everybody
 * talks: no suspicion comes to an end, and no event is lost (18.3, rule 7). */
static void rollout(struct stage *s, uint64_t seed, size_t nodes)
{
    static const struct {
        unsigned primary, other; /* 0: none */
        bool takes_clear, sends_clear;
    } stages[] = {
        // clang-format off
        { 1, 0, true, true }, { 1, 0, true, false }, { 1, 0, false, false },
        { 1, 2, false, false }, { 2, 1, false, false }, { 2, 0, false, false },
    }; // clang-format on

    stage_open(s, seed, nodes, NULL);
    for (size_t i = 0; i < MU_LEN(stages) * nodes; i++) {
        size_t stage = i / nodes;
        struct gossip_keyring ring = { .count = stages[stage].other != 0 ? 2 : 1 };

        ring.keys[0] = key_number(stages[stage].primary);
        ring.keys[1] = key_number(stages[stage].other);
        world_keys(s->world, i % nodes,
                   &(struct gossip_sealing){ .keyring = &ring,
                                             .takes_clear = stages[stage].takes_clear,
                                             .sends_clear = stages[stage].sends_clear });
        chatter(s, 1000);
    }
    all_have_all(s, stage_convergence_ms(s));
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, STAGE_SPREAD_MS);
    for (size_t i = 0; i < nodes; i++) {
        if (stage_counted(s, i, GOSSIP_COUNT_UNKNOWN_KEY) > 0 ||
            stage_counted(s, i, GOSSIP_COUNT_FORGED) > 0 ||
            stage_counted(s, i, GOSSIP_COUNT_CLEAR) > 0) {
            stage_fail(s, "%s had to drop something", world_name(s->world, i));
        }
    }
}

const struct scene scenes_words[] = {
    // clang-format off
    { "copies",               "each datagram comes ten times",                       8, copies, false },
    { "disorder",             "half of the datagrams are up to 5 s late",            10, disorder, false },
    { "lossy",                "30 % of the datagrams are lost",                      12, lossy, false },
    { "amid_crashes",         "events while a third of all is suspected",             110, amid_crashes, true },
    { "queries",              "5 % are lost, and every query has all acks",          10, queries, false },
    { "large_answers",        "answers of up to 64 KiB, and askers that stand still or go", 10, large_answers, false },
    { "event_flood",          "three times as many events as are remembered, at once", 6, event_flood, false },
    { "oversize_meta",        "more than 512 bytes of meta",                          5, oversize_meta, false },
    { "poisoned_incarnation", "accused at incarnations out of this world",            6, poisoned_incarnation, false },
    { "late_obituary",        "declared dead once more, at a higher incarnation",     6, late_obituary, false },
    { "poisoned_time",        "Lamport times out of this world",                      6, poisoned_time, false },
    { "two_clusters",         "two clusters on one network",                         10, two_clusters, false },
    { "rollout",              "from clear to sealed and to the next key",             6, rollout, false },
    { .name = NULL },
}; // clang-format on
