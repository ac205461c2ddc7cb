/* torture.c - faults by chance: crash, vanish, restart with and without memory, at the old address
 * or a new one, pauses, leaves, forced leaves, cuts of every kind, loss, doubles, disorder.
 *
 * A quarter of the runs also seal what was in clear, and change keys all the time: step by step,
 * one node after the other, as an operator would by hand. In another quarter the first node changes
 * the keys of all through the cluster, whoever is away or cut off; nobody may end locked out.
 * Nothing is sent in clear under a key (world.c). The network plays old datagrams again.
 *
 * A node that runs and has contacted nobody keeps trying to join, as an agent does. At the end the
 * network is healed and time passes; then everybody must see the truth (18.3).
 */
#include "torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "world.h"

#define NODES_MAX    12
#define HEAL_MS      300000 /* two reconnect intervals, jitter, two exchanges, and patience */
#define HEAL_STEP_MS 5000
#define BEGIN_MS     3000
#define KEY_QUERY_MS 15000 /* longer than a query about keys */

/* A user event, named by its number. */
struct sent {
    uint64_t at_ms, ltime;
    bool is_stray;       /* its sender knew of nobody else */
    bool has[NODES_MAX]; /* delivered to the present life, or to one whose memory it kept */
};

/* Whoever sits at the first node and changes keys: install, use, remove, and over again. What fails
 * is begun anew with the install, as the operations page has it; or, by some, half of the time not
 * even looked at. */
struct operator
{
    bool is_at_work, is_sloppy;
    struct mu_rand rand; /* his own: other runs stay as they were */
    enum gossip_key_op step;
    unsigned key;      /* the one in use before this round */
    uint64_t query;    /* the last one asked */
    uint64_t until_ms; /* its answers come by then, or never */
    struct gossip_key_report report;
    struct mu_arena arena;
    unsigned rounds;
};

struct torture {
    struct world *world;
    struct mu_rand rand;
    size_t count;
    bool wants_join[NODES_MAX];
    bool verbose;
    unsigned keys_stage[NODES_MAX];
    bool changes_keys;
    struct operator operator;
    uint64_t started_ms[NODES_MAX], joined_ms[NODES_MAX];
    struct sent *sent; /* user events */
    size_t sent_count;
    bool was_twice;
};

static size_t below(struct torture *t, size_t bound)
{
    return (size_t)mu_rand_below(&t->rand, bound);
}

static bool is_running(const struct torture *t, size_t node)
{
    return world_life(t->world, node) == WORLD_RUNNING;
}

/* A random running node other than this one; false: there is none. */
static bool other_running(struct torture *t, size_t not, size_t *out)
{
    size_t first = below(t, t->count);

    for (size_t i = 0; i < t->count; i++) {
        *out = (first + i) % t->count;
        if (*out != not &&is_running(t, *out)) {
            return true;
        }
    }
    return false;
}

static void say(const struct torture *t, const char *what, size_t node)
{
    if (t->verbose) {
        (void)printf("[%llu] %s %s\n", (unsigned long long)world_now_ms(t->world), what,
                     world_name(t->world, node));
    }
}

static void on_done(void *data, size_t node, const struct gossip_done *done)
{
    struct torture *t = data;

    t->wants_join[node] = done->contacted == 0;
    if (t->verbose && done->contacted == 0) {
        (void)printf("[%llu] %s: %s\n", (unsigned long long)world_now_ms(t->world),
                     world_name(t->world, node), done->why);
    }
}

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    const struct torture *t = data;

    if (t->verbose) {
        (void)printf("[%llu] %s: notice %d about %s %s\n",
                     (unsigned long long)world_now_ms(t->world), world_name(t->world, node),
                     (int)notice->kind, notice->member.name,
                     notice->text != NULL ? notice->text : "");
    }
}

static void on_key_reply(struct torture *t, const struct gossip_reply *reply)
{
    struct operator* o = & t->operator;

    if (!o->is_at_work || reply->query != o->query || o->until_ms == 0) {
        return;
    }
    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        gossip_key_report_add(&o->report, reply->from, reply->payload);
    }
    if (reply->kind != GOSSIP_REPLY_DONE && !gossip_key_report_is_whole(&o->report)) {
        return;
    }
    o->until_ms = 0;
    bool goes_on = o->is_sloppy && mu_rand_below(&o->rand, 2) == 0;

    if (gossip_key_report_end(&o->report, NULL) != MU_OK && !goes_on) {
        o->step = GOSSIP_KEY_INSTALL;
    } else if (o->step == GOSSIP_KEY_REMOVE) {
        o->step = GOSSIP_KEY_INSTALL;
        o->key++;
        o->rounds++;
    } else {
        o->step = o->step == GOSSIP_KEY_INSTALL ? GOSSIP_KEY_USE : GOSSIP_KEY_REMOVE;
    }
}

static void on_heard(void *data, size_t node, const struct gossip_effects *fx)
{
    struct torture *t = data;

    for (size_t i = 0; i < fx->events_count; i++) {
        struct sent *s = &t->sent[strtoull(fx->events[i].name, NULL, 10)];

        t->was_twice = t->was_twice || s->has[node]; /* 18.2, rule 7 */
        s->has[node] = true;
        s->ltime = fx->events[i].ltime;
    }
    for (size_t i = 0; i < fx->replies_count && node == 0; i++) {
        on_key_reply(t, &fx->replies[i]);
    }
}

static void join(struct torture *t, size_t node, size_t to)
{
    t->joined_ms[node] = world_now_ms(t->world);
    world_join(t->world, node, to, false);
}

static void retry_joins(struct torture *t)
{
    size_t to;

    for (size_t i = 0; i < t->count; i++) {
        if (t->wants_join[i] && is_running(t, i) && other_running(t, i, &to)) {
            t->wants_join[i] = false; /* until the answer */
            join(t, i, to);
        }
    }
}

/* -- actions ------------------------------------------------------------------------------------
 */

static void act_crash(struct torture *t, size_t node)
{
    say(t, "crash", node);
    world_crash(t->world, node);
}

static void act_vanish(struct torture *t, size_t node)
{
    say(t, "vanish", node);
    world_vanish(t->world, node);
}

static void act_pause(struct torture *t, size_t node)
{
    say(t, "pause", node);
    world_pause(t->world, node, 100 + below(t, below(t, 4) == 0 ? 20000 : 2000));
}

static void act_leave(struct torture *t, size_t node)
{
    say(t, "leave", node);
    world_leave(t->world, node);
    t->wants_join[node] = false;
}

static void act_force_leave(struct torture *t, size_t node)
{
    size_t whom = below(t, t->count);

    say(t, "force-leave of", whom);
    world_force_leave(t->world, node, world_name(t->world, whom), false);
}

static void act_tag(struct torture *t, size_t node)
{
    char value[32];

    say(t, "tag", node);
    (void)snprintf(value, sizeof value, "%zu", below(t, 1000));
    world_tag(t->world, node, "v", value);
}

static void act_join(struct torture *t, size_t node)
{
    t->wants_join[node] = true;
}

static void act_cut(struct torture *t, size_t node)
{
    unsigned a = (unsigned)below(t, 3);
    unsigned b = (unsigned)below(t, 3);
    bool udp = below(t, 4) != 0;
    bool tcp = !udp || below(t, 3) != 0;

    say(t, "cut, moved", node);
    world_group(t->world, node, (unsigned)below(t, 3));
    if (a != b) {
        world_cut(t->world, a, b, udp, tcp);
        if (below(t, 4) != 0) {
            world_cut(t->world, b, a, udp, tcp);
        }
    }
}

static void act_faults(struct torture *t, size_t node)
{
    say(t, "faults, seen by", node);
    double last = (double)below(t, 10) / 100;
    double middle = (double)below(t, 10) / 100;

    world_faults(t->world, (double)below(t, 30) / 100, middle, last);
}

static void act_heal(struct torture *t, size_t node)
{
    say(t, "heal, seen by", node);
    world_heal(t->world);
}

/* -- events -------------------------------------------------------------------------------------
 */

static bool is_alone(const struct torture *t, size_t node)
{
    for (size_t i = 0; i < t->count; i++) {
        if (i != node &&
            world_sees(t->world, node, world_name(t->world, i)) == GOSSIP_STATUS_ALIVE) {
            return false;
        }
    }
    return true;
}

static void act_event(struct torture *t, size_t node)
{
    char name[24];

    say(t, "event", node);
    t->sent = mu_grow(t->sent, (t->sent_count + 1) * sizeof *t->sent);
    t->sent[t->sent_count] =
        (struct sent){ .at_ms = world_now_ms(t->world), .is_stray = is_alone(t, node) };
    (void)snprintf(name, sizeof name, "%zu", t->sent_count++);
    MU_ASSERT(world_event(t->world, node, name, "payload", false));
}

/* It ought to have it: it ran and belonged to the cluster when it was sent, and has not forgotten
 * that far back. What somebody says before it met the others bears a time that is long over for
 * most of them, who then do not pass it on. */
static bool misses(const struct torture *t, const struct sent *s, size_t node)
{
    const struct gossip *core = world_core(t->world, node);

    return !s->is_stray && !s->has[node] && t->started_ms[node] < s->at_ms &&
           t->joined_ms[node] < s->at_ms && s->ltime >= core->events.min_time &&
           core->event_time - s->ltime < GOSSIP__EVENT_SLOTS / 2;
}

/* Of those whom this one has found again: who never met anybody that still runs is an island. */
static bool is_held_near(const struct torture *t, const struct sent *s, size_t node)
{
    for (size_t i = 0; i < t->count; i++) {
        if (is_running(t, i) && s->has[i] && t->started_ms[i] < s->at_ms &&
            world_sees(t->world, node, world_name(t->world, i)) == GOSSIP_STATUS_ALIVE) {
            return true;
        }
    }
    return false;
}

static bool events_agree(const struct torture *t, struct mu_buf *why)
{
    for (size_t i = 0; i < t->sent_count; i++) {
        const struct sent *s = &t->sent[i];

        for (size_t node = 0; node < t->count; node++) {
            if (is_running(t, node) && misses(t, s, node) && is_held_near(t, s, node)) {
                if (why != NULL) {
                    mu_buf_addf(why, "%s misses event %zu of %llu ms", world_name(t->world, node),
                                i, (unsigned long long)s->at_ms);
                }
                return false;
            }
        }
    }
    return true;
}

/* -- keys ---------------------------------------------------------------------------------------
 */

static struct gossip_key key_number(unsigned number)
{
    struct gossip_key key = { .count = 32 };

    memset(key.bytes, (int)number + 1, sizeof key.bytes);
    return key;
}

/* The steps of an operator; neighbours of one step always understand each other. First the roll-out
 * (12.6), then for each next key: install, use, remove (12.5). */
static void keys_set(struct torture *t, size_t node, unsigned stage)
{
    unsigned key = stage < 3 ? 0 : (stage - 3) / 3;
    unsigned step = stage < 3 ? 0 : (stage - 3) % 3;
    struct gossip_keyring ring = { .count = 1 };
    struct gossip_sealing sealing = { .keyring = &ring,
                                      .takes_clear = stage < 3,
                                      .sends_clear = stage < 2 };

    ring.keys[0] = key_number(step == 2 ? key + 1 : key);
    if (step > 0) {
        ring.count = 2;
        ring.keys[1] = key_number(step == 2 ? key : key + 1);
    }
    if (stage == 0) {
        ring.count = 0;
    }
    t->keys_stage[node] = stage;
    world_keys(t->world, node, &sealing);
}

/* One node goes a step further; nobody is ever two steps ahead of another. */
static void act_keys(struct torture *t, size_t node)
{
    size_t last = node;

    for (size_t i = 0; i < t->count; i++) {
        last = t->keys_stage[i] < t->keys_stage[last] ? i : last;
    }
    say(t, "next keys on", last);
    keys_set(t, last, t->keys_stage[last] + 1);
}

/* The next step of the first node, whatever goes on around it. */
static void operator_act(struct torture *t)
{
    struct operator* o = & t->operator;
    uint64_t now_ms = world_now_ms(t->world);
    struct gossip_summary seen;

    if (!o->is_at_work || !is_running(t, 0) || now_ms < o->until_ms) {
        return;
    }
    gossip_summarize(world_core(t->world, 0), &seen);
    if (seen.alive * 2 <= t->count) {
        return; /* an operator looks at the list first, and does not change keys of a splinter */
    }
    struct gossip_key key = key_number(o->step == GOSSIP_KEY_REMOVE ? o->key : o->key + 1);

    say(t, gossip_key_query_name(o->step), 0);
    mu_arena_reset(&o->arena);
    gossip_key_report_init(&o->report, o->step, seen.alive, &o->arena);
    o->query++;
    o->until_ms = now_ms + KEY_QUERY_MS;
    MU_ASSERT(world_ask_keys(t->world, 0, o->query, o->step, &key));
}

/* Whatever changes of keys somebody missed, all hold the same ones in the end. */
static bool keys_agree(const struct torture *t, struct mu_buf *why)
{
    const struct gossip_keys *first = NULL;

    for (size_t i = 0; i < t->count && t->operator.is_at_work; i++) {
        const struct gossip_keys *keys = world_keys_of(t->world, i);

        if (!is_running(t, i)) {
            continue;
        }
        first = first != NULL ? first : keys;
        bool same = keys->ring.count == first->ring.count &&
                    gossip_key_eq(&keys->ring.keys[0], &first->ring.keys[0]) &&
                    gossip_keys_digest(keys) == gossip_keys_digest(first);
        for (size_t k = 0; k < keys->ring.count; k++) {
            same = same && gossip_keyring_has(&first->ring, &keys->ring.keys[k]);
        }
        if (!same) {
            if (why != NULL) {
                mu_buf_addf(why, "%s has other keys than others", world_name(t->world, i));
            }
            return false;
        }
    }
    return true;
}

/* Who restarts without its disk is a stranger under a new key: that is another run's matter. */
static void restart(struct torture *t, size_t node)
{
    struct world_start how = { .keep_state = below(t, 3) != 0 || t->operator.is_at_work,
                               .move = below(t, 3) == 0 };

    say(t, how.move ? "restart, moved" : "restart", node);
    t->started_ms[node] = world_now_ms(t->world);
    for (size_t i = 0; i < t->sent_count && !how.keep_state; i++) {
        t->sent[i].has[node] = false;
    }
    world_start(t->world, node, how);
    t->wants_join[node] = true;
}

static const struct {
    unsigned weight;
    void (*act)(struct torture *t, size_t node);
} actions[] = {
    // clang-format off
    { 6, act_crash }, { 4, act_vanish }, { 6, act_pause }, { 3, act_leave },
    { 2, act_force_leave }, { 3, act_tag }, { 2, act_join }, { 6, act_cut },
    { 2, act_faults }, { 3, act_heal }, { 12, act_event },
}; // clang-format on

static void act(struct torture *t)
{
    size_t node = below(t, t->count);
    unsigned total = 0;
    enum world_life life = world_life(t->world, node);

    if (life != WORLD_RUNNING) {
        if (life != WORLD_PAUSED && below(t, 2) == 0) {
            restart(t, node);
        }
        return;
    }
    for (size_t i = 0; i < MU_LEN(actions); i++) {
        total += actions[i].weight;
    }
    if (t->changes_keys) {
        for (size_t i = 0; i < t->count / 2 + 1; i++) {
            act_keys(t, node);
        }
    }
    size_t drawn = below(t, total);

    for (size_t i = 0; i < MU_LEN(actions); i++) {
        if (drawn < actions[i].weight) {
            actions[i].act(t, node);
            return;
        }
        drawn -= actions[i].weight;
    }
}

/* -- a run --------------------------------------------------------------------------------------
 */

#define FAR_US 5000

static void begin(struct torture *t, const struct torture_options *o)
{
    uint64_t seed = o->seed;
    struct world_options options = { .seed = seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 50,
                                     .latency_us_max = 500,
                                     .reorder_us_max = 2000000,
                                     .is_checked = !o->is_far,
                                     .threads = o->threads };

    mu_rand_seed(&t->rand, seed ^ 0x5eed);
    options.has_icmp = below(t, 2) == 0;
    options.latency_us_max += (uint32_t)below(t, 20000);
    options.latency_us_min += o->is_far ? FAR_US : 0;
    options.latency_us_max += o->is_far ? FAR_US : 0;
    size_t keys = below(t, 4);

    t->changes_keys = keys == 0;
    t->operator.is_at_work = keys == 1;
    mu_rand_seed(&t->operator.rand, seed ^ 0x6b657973);
    t->operator.is_sloppy = mu_rand_below(&t->operator.rand, 2) == 0;
    options.remembers_all = t->operator.is_at_work;
    mu_arena_init(&t->operator.arena, 0);
    options.replay = below(t, 2) == 0 ? 0.02 : 0;
    t->world = world_new(&options);
    world_listen(t->world, on_notice, on_done, t);
    world_hear(t->world, on_heard, t);
    t->count = 2 + below(t, NODES_MAX - 1);
    for (size_t i = 0; i < t->count; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%zu", i);
        (void)world_add(t->world, name);
        if (t->operator.is_at_work) {
            struct gossip_keyring ring = { .count = 1, .keys = { key_number(0) } };

            world_keys(t->world, i, &(struct gossip_sealing){ .keyring = &ring });
        }
        world_start(t->world, i, (struct world_start){ .keep_state = false });
        if (i > 0) { /* one cluster from the start: islands that never met need not meet */
            join(t, i, below(t, i));
        }
    }
    world_run(t->world, BEGIN_MS);
}

static bool is_anybody_paused(const struct torture *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (world_life(t->world, i) == WORLD_PAUSED) {
            return true;
        }
    }
    return false;
}

/* Everybody sees the truth, and still does a while later. */
static bool settles(struct torture *t, struct mu_buf *why)
{
    unsigned calm = 0;

    world_heal(t->world);
    for (uint64_t ms = 0; ms < HEAL_MS && calm < 3; ms += HEAL_STEP_MS) {
        retry_joins(t);
        world_run(t->world, HEAL_STEP_MS);
        calm = !is_anybody_paused(t) && world_agrees(t->world, NULL) && events_agree(t, NULL) &&
                       keys_agree(t, NULL)
                   ? calm + 1
                   : 0;
    }
    if (t->was_twice) {
        mu_buf_add_text(why, "an event was delivered twice");
    }
    return !t->was_twice && world_agrees(t->world, why) && events_agree(t, why) &&
           keys_agree(t, why);
}

struct torture_result torture_run(const struct torture_options *o)
{
    struct torture t = { .verbose = o->is_verbose };
    struct torture_result result = { .steps = 0 };
    struct mu_buf why = MU_BUF_NONE;

    begin(&t, o);
    for (uint64_t ms = 0; ms < o->seconds * 1000;) {
        uint64_t wait = 100 + below(&t, below(&t, 3) == 0 ? 10000 : 2000);

        world_run(t.world, wait);
        ms += wait;
        retry_joins(&t);
        operator_act(&t);
        act(&t);
        result.steps++;
    }
    result.agreed = settles(&t, &why);
    result.hash = world_hash(t.world);
    (void)snprintf(result.why_not, sizeof result.why_not, "%s", mu_buf_text(&why));
    mu_buf_deinit(&why);
    mu_free(t.sent);
    mu_arena_deinit(&t.operator.arena);
    world_free(t.world);
    return result;
}
