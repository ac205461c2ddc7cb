#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

#define FOR_GOOD_MS 3600000

struct subject {
    struct subject_options o;
    struct memberlist *model; /* NULL: the shipped core */
    struct world *world;
    /* Of the shipped core: */
    bool *held;        /* by observer and member, dead in its eyes */
    uint64_t *holding; /* by member, how many hold it dead */
    struct memberlist_tally tally;
};

static const char *const names[] = { "muster", "memberlist", "swim" };

bool subject_rules_of(const char *word, enum subject_rules *out)
{
    for (size_t i = 0; word != NULL && i < MU_LEN(names); i++) {
        if (strcmp(names[i], word) == 0) {
            *out = (enum subject_rules)i;
            return true;
        }
    }
    return false;
}

const char *subject_rules_name(enum subject_rules rules)
{
    return names[rules];
}

/* -- the shipped core ------------------------------------------------------------------------ */

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    struct subject *s = data;
    uint64_t member = strtoull(notice->member.name + 1, NULL, 10);
    bool *held = &s->held[node * s->o.nodes + member];

    if (notice->kind == GOSSIP_FAILED && !*held) {
        bool counts = member >= s->o.slow;

        s->tally.notices += counts;
        s->tally.healthy += counts && node >= s->o.slow;
        s->tally.deaths += counts && s->holding[member] == 0;
        s->holding[member]++;
        *held = true;
    } else if (notice->kind == GOSSIP_JOINED && *held) {
        s->holding[member]--;
        *held = false;
    }
}

static void world_begin(struct subject *s)
{
    struct world_options options = { .seed = s->o.seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 100,
                                     .latency_us_max = 500 };

    s->world = world_new(&options);
    s->held = mu_new_array(s->o.nodes * s->o.nodes, sizeof *s->held);
    s->holding = mu_new_array(s->o.nodes, sizeof *s->holding);
    for (uint64_t i = 0; i < s->o.nodes; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%llu", (unsigned long long)i);
        (void)world_add(s->world, name);
        world_start(s->world, i, (struct world_start){ .keep_state = false });
    }
    world_meet(s->world);
    for (int i = 0; i < 60 && !world_agrees(s->world, NULL); i++) {
        world_run(s->world, 5000);
    }
    MU_ASSERT(world_agrees(s->world, NULL));
    world_listen(s->world, on_notice, NULL, s);
    world_faults(s->world, s->o.loss, 0, 0);
}

/* -- either ---------------------------------------------------------------------------------- */

struct subject *subject_new(const struct subject_options *o)
{
    struct subject *s = mu_new(sizeof *s);

    *s = (struct subject){ .o = *o };
    if (o->rules == SUBJECT_MUSTER) {
        world_begin(s);
    } else {
        struct memberlist_options options = { .seed = o->seed,
                                              .nodes = (uint32_t)o->nodes,
                                              .is_swim = o->rules == SUBJECT_SWIM,
                                              .alpha = o->alpha,
                                              .slow = (uint32_t)o->slow,
                                              .latency_us_min = 100,
                                              .latency_us_max = 500,
                                              .loss = o->loss };

        s->model = memberlist_new(&options);
    }
    return s;
}

void subject_free(struct subject *s)
{
    if (s->model != NULL) {
        memberlist_free(s->model);
    } else {
        world_free(s->world);
    }
    mu_free(s->held);
    mu_free(s->holding);
    mu_free(s);
}

void subject_run(struct subject *s, uint64_t ms)
{
    if (s->model != NULL) {
        memberlist_run(s->model, ms);
    } else {
        world_run(s->world, ms);
    }
}

void subject_pause(struct subject *s, uint64_t node, uint64_t ms)
{
    if (s->model != NULL) {
        memberlist_pause(s->model, (uint32_t)node, ms);
    } else {
        world_pause(s->world, node, ms);
    }
}

void subject_clog(struct subject *s, uint64_t node, uint64_t ms)
{
    if (s->model != NULL) {
        memberlist_clog(s->model, (uint32_t)node, ms);
    } else {
        world_clog(s->world, node, ms);
    }
}

void subject_end(struct subject *s, uint64_t node, enum measure_end end)
{
    if (end == MEASURE_STALLED) {
        subject_pause(s, node, FOR_GOOD_MS);
    } else if (s->model != NULL) {
        memberlist_crash(s->model, (uint32_t)node); /* it tells silence from refusal by nothing */
    } else if (end == MEASURE_SILENT) {
        world_vanish(s->world, node);
    } else {
        world_crash(s->world, node);
    }
}

void subject_loss_to(struct subject *s, uint64_t node, double loss)
{
    if (s->model != NULL) {
        memberlist_loss_to(s->model, (uint32_t)node, loss);
    } else {
        world_loss_to(s->world, node, loss);
    }
}

void subject_tally(const struct subject *s, struct memberlist_tally *out)
{
    *out = s->tally;
    if (s->model != NULL) {
        memberlist_tally(s->model, out);
    }
}

uint64_t subject_holding(const struct subject *s, uint64_t node)
{
    return s->model != NULL ? memberlist_holding(s->model, (uint32_t)node) : s->holding[node];
}
