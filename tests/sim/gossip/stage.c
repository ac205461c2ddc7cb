/* stage.c - the cluster of a scene, and the watch over it. */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SETTLE_MS 3000
#define LOOK_MS   100

void stage_fail(struct stage *s, const char *fmt, ...)
{
    va_list args;

    if (s->why[0] == '\0') {
        int head = snprintf(s->why, sizeof s->why,
                            "at %llu ms: ", (unsigned long long)world_now_ms(s->world));

        va_start(args, fmt);
        (void)vsnprintf(s->why + head, sizeof s->why - (size_t)head, fmt, args);
        va_end(args);
    }
}

size_t stage_below(struct stage *s, size_t bound)
{
    return (size_t)mu_rand_below(&s->rand, bound);
}

bool stage_runs(const struct stage *s, size_t node)
{
    return world_life(s->world, node) == WORLD_RUNNING;
}

/* -- what is seen -------------------------------------------------------------------------------
 */

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    struct stage *s = data;
    size_t about;

    (void)node;
    if (notice->kind != GOSSIP_FAILED || !world_find(s->world, notice->member.name, &about)) {
        return;
    }
    enum world_life life = world_life(s->world, about);

    s->alarms[about] += life == WORLD_RUNNING || life == WORLD_PAUSED;
}

/* Two clusters on one network have nothing to say to each other, also not that (18.2, rule 11). */
static void look_at_sends(struct stage *s, size_t node, const struct gossip_effects *fx)
{
    for (size_t i = 0; s->is_foreign != NULL && i < fx->sends_count; i++) {
        const struct sim_node *to = sim_node_at(s->world, &fx->sends[i].to);

        if (to != NULL && s->is_foreign[s->world->hosts[to->host]] != s->is_foreign[node]) {
            stage_fail(s, "%s sends a datagram to %s of another cluster",
                       world_name(s->world, node), to->name);
        }
    }
}

static void on_heard(void *data, size_t node, const struct gossip_effects *fx)
{
    struct stage *s = data;

    look_at_sends(s, node, fx);
    for (size_t i = 0; i < fx->events_count; i++) {
        size_t number = (size_t)strtoull(fx->events[i].name, NULL, 10);
        struct stage_event *e = &s->events[number];

        if (number >= s->events_count || e->has[node]) { /* 18.2, rule 7 */
            stage_fail(s, "%s gets event %s twice", world_name(s->world, node), fx->events[i].name);
            continue;
        }
        e->has[node] = true;
        e->delivered++;
    }
    for (size_t i = 0; i < fx->replies_count; i++) {
        s->acks += fx->replies[i].kind == GOSSIP_REPLY_ACK;
        s->dones += fx->replies[i].kind == GOSSIP_REPLY_DONE;
        s->large += fx->replies[i].kind == GOSSIP_REPLY_RESPONSE &&
                    fx->replies[i].payload.bytes > GOSSIP_RESPONSE_BYTES;
    }
    for (size_t i = 0; i < fx->queries_count; i++) {
        s->heard = mu_grow(s->heard, (s->heard_count + 1) * sizeof *s->heard);
        s->heard[s->heard_count++] =
            (struct stage_heard){ node, fx->queries[i].ltime, fx->queries[i].id };
    }
}

/* -- life ---------------------------------------------------------------------------------------
 */

void stage_open_empty(struct stage *s, uint64_t seed, size_t nodes,
                      const struct gossip_profile *profile)
{
    struct world_options options = { .seed = seed,
                                     .profile = profile != NULL ? *profile : gossip_profile_lan,
                                     .latency_us_min = 50,
                                     .latency_us_max = 500,
                                     .reorder_us_max = 5000000,
                                     .is_checked = true,
                                     .trace = s->is_told ? &s->trace : NULL };

    mu_rand_seed(&s->rand, seed ^ 0x5cee);
    mu_arena_init(&s->arena, 0);
    options.has_icmp = stage_below(s, 2) == 0;
    options.latency_us_max += (uint32_t)stage_below(s, 10000);
    s->world = world_new(&options);
    s->count = nodes;
    s->alarms = mu_new_array(nodes, sizeof *s->alarms);
    world_listen(s->world, on_notice, NULL, s);
    world_hear(s->world, on_heard, s);
    for (size_t i = 0; i < nodes; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%zu", i);
        (void)world_add(s->world, name);
    }
}

void stage_open(struct stage *s, uint64_t seed, size_t nodes, const struct gossip_profile *profile)
{
    stage_open_empty(s, seed, nodes, profile);
    for (size_t i = 0; i < nodes; i++) {
        world_start(s->world, i, (struct world_start){ .keep_state = false });
    }
    world_meet(s->world);
    world_run(s->world, SETTLE_MS);
    const struct stage_counts all = { .alive = nodes };

    if (!stage_counts_are(s, &all)) {
        stage_fail(s, "they do not all know each other");
    }
}

void stage_close(struct stage *s)
{
    for (size_t i = 0; i < s->events_count; i++) {
        mu_free(s->events[i].has);
    }
    mu_free(s->events);
    mu_free(s->heard);
    mu_free(s->alarms);
    mu_free(s->is_foreign);
    (void)printf("%s", mu_buf_text(&s->trace));
    mu_buf_deinit(&s->trace);
    mu_arena_deinit(&s->arena);
    world_free(s->world);
}

/* -- what is waited for -------------------------------------------------------------------------
 */

bool stage_until(struct stage *s, uint64_t ms, stage_fn *holds, const void *data, const char *what)
{
    uint64_t spent = 0;

    while (!holds(s, data)) {
        if (spent >= ms) {
            stage_fail(s, "not within %llu ms: %s", (unsigned long long)ms, what);
            return false;
        }
        world_run(s->world, LOOK_MS);
        spent += LOOK_MS;
    }
    s->waited_ms = spent > s->waited_ms ? spent : s->waited_ms;
    return true;
}

static bool agree(const struct stage *s, const void *data)
{
    (void)data;
    return world_agrees(s->world, NULL);
}

void stage_agrees(struct stage *s, uint64_t ms)
{
    struct mu_buf why = MU_BUF_NONE;

    if (!stage_until(s, ms, agree, NULL, "all see the truth")) {
        (void)world_agrees(s->world, &why);
        (void)printf("%s\n", mu_buf_text(&why));
    }
    mu_buf_deinit(&why);
}

bool stage_counts_are(const struct stage *s, const void *counts)
{
    const struct stage_counts *c = counts;
    struct gossip_summary seen;

    for (size_t i = 0; i < s->count; i++) {
        if (!stage_runs(s, i)) {
            continue;
        }
        gossip_summarize(world_core(s->world, i), &seen);
        if (seen.alive != c->alive || seen.failed != c->failed) {
            return false;
        }
    }
    return true;
}

bool stage_all_see(const struct stage *s, const void *sight)
{
    const struct stage_sight *want = sight;

    for (size_t i = 0; i < s->count; i++) {
        if (i != want->node && stage_runs(s, i) &&
            world_sees(s->world, i, world_name(s->world, want->node)) != want->status) {
            return false;
        }
    }
    return true;
}

void stage_no_alarms(struct stage *s, size_t but)
{
    for (size_t i = 0; i < s->count; i++) {
        if (i != but && s->alarms[i] > 0) {
            stage_fail(s, "%s runs, and was declared failed by %zu", world_name(s->world, i),
                       s->alarms[i]);
        }
    }
}

uint64_t stage_detection_ms(const struct stage *s, enum gossip__evidence evidence)
{
    const struct gossip_profile *p = &s->world->options.profile;
    struct gossip__suspicion_terms t = gossip__suspicion_terms(p, s->count, s->count - 1, evidence);

    return (2 * s->count - 1) * p->probe_ms + t.max_ms + STAGE_SPREAD_MS +
           gossip__sync_interval(p, s->count) * 11 / 10;
}

uint64_t stage_convergence_ms(const struct stage *s)
{
    return 2 * gossip__sync_interval(&s->world->options.profile, s->count) * 11 / 10 +
           STAGE_SPREAD_MS;
}

/* -- what is said -------------------------------------------------------------------------------
 */

size_t stage_tell(struct stage *s, size_t node)
{
    size_t number = s->events_count;
    char name[24];

    s->events = mu_grow(s->events, (number + 1) * sizeof *s->events);
    s->events[number] = (struct stage_event){ .has = mu_new_array(s->count, sizeof(bool)) };
    s->events_count++;
    (void)snprintf(name, sizeof name, "%zu", number);
    MU_ASSERT(world_event(s->world, node, name, "payload", false));
    return number;
}

bool stage_all_have(const struct stage *s, const void *number)
{
    const struct stage_event *e = &s->events[*(const size_t *)number];

    for (size_t i = 0; i < s->count; i++) {
        if (stage_runs(s, i) && !e->has[i]) {
            return false;
        }
    }
    return true;
}

void stage_forge(struct stage *s, size_t to, size_t from, struct gossip__part *part)
{
    const struct gossip *sender = world_core(s->world, from);
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };
    struct gossip__packet p = { .from = world_name(s->world, from),
                                .boot_id = sender->self->card->boot_id,
                                .counter = sender->packet_counter,
                                .incarnation = sender->self->incarnation };
    uint8_t datagram[MU_GOSSIP_RECEIVE_MAX];

    mu_arena_reset(&s->arena);
    struct mu_span encoded = gossip__part_encode(part, &s->arena);

    p.parts = &encoded;
    p.parts_count = 1;
    struct mu_span body = gossip__packet_encode(&p, &s->arena);

    MU_ASSERT(GOSSIP__HEADER_BYTES + body.bytes <= sizeof datagram);
    gossip__header_write(sender, 0, body, datagram);
    memcpy(datagram + GOSSIP__HEADER_BYTES, body.data, body.bytes);
    ev.packet.from = world_addr(s->world, from);
    ev.packet.data = mu_span_of(datagram, GOSSIP__HEADER_BYTES + body.bytes);
    sim_feed(s->world, s->world->nodes[to], &ev);
}

uint64_t stage_counted(const struct stage *s, size_t node, enum gossip_counter counter)
{
    struct gossip_summary seen;

    gossip_summarize(world_core(s->world, node), &seen);
    return seen.counters[counter];
}
