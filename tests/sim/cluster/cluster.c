/* cluster.c - one process, one clock, one network: members begin, end, and live a millisecond. */
#include "cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define TAGS_MAX  12
#define VERIFY_MS 1000

/* -- small words ------------------------------------------------------------------------------- */

uint64_t cluster_below(struct cluster *c, uint64_t bound)
{
    return mu_rand_below(&c->rand, bound);
}

void cluster_fold(struct cluster *c, uint64_t v)
{
    c->hash = (c->hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    c->hash ^= c->hash >> 29;
}

const char *member_name(const struct cluster *c, size_t member)
{
    return world_name(c->gossip, member);
}

struct mu_id member_id(const struct cluster *c, size_t member)
{
    return c->ids[member];
}

bool member_runs(const struct cluster *c, size_t member)
{
    return world_life(c->gossip, member) == WORLD_RUNNING;
}

bool member_is_up(const struct cluster *c, size_t member)
{
    return world_core(c->gossip, member) != NULL;
}

bool member_by_name(const struct cluster *c, struct mu_span name, size_t *member)
{
    for (size_t i = 0; i < c->members_count; i++) {
        if (mu_span_eq_text(name, member_name(c, i))) {
            *member = i;
            return true;
        }
    }
    return false;
}

static bool is_server(const struct cluster *c, size_t member)
{
    return member < c->servers_count;
}

struct server *cluster_leader(struct cluster *c)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        if (member_runs(c, i) && c->servers[i].office.state == OFFICE_HELD) {
            return &c->servers[i];
        }
    }
    return NULL;
}

/* -- the network ------------------------------------------------------------------------------- */

bool network_link(const struct cluster *c, size_t from, size_t to)
{
    return !c->is_cut[c->group[from]][c->group[to]] && !c->is_cut[c->group[to]][c->group[from]];
}

void network_apply(struct cluster *c)
{
    for (size_t i = 0; i < c->members_count; i++) {
        world_group(c->gossip, i, c->group[i]);
    }
    for (unsigned i = 0; i < GROUPS; i++) {
        for (unsigned j = 0; j < GROUPS; j++) {
            world_cut(c->gossip, i, j, c->is_cut[i][j], c->is_cut[i][j]);
        }
    }
    for (size_t i = 0; i < c->servers_count; i++) {
        for (size_t j = 0; j < c->servers_count; j++) {
            c->log->is_cut[i][j] = i != j && c->is_cut[c->group[i]][c->group[j]];
        }
    }
    world_faults(c->gossip, c->loss, c->twice, c->reorder);
}

static bool happens(struct cluster *c, double probability)
{
    return probability > 0 && mu_rand_unit(&c->rand) < probability;
}

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    struct cluster *c = data;

    (void)m;
    if (happens(c, c->loss)) {
        return SIM_LOST;
    }
    uint64_t ms = cluster_below(c, c->delay_ms + 1);

    return happens(c, c->reorder) ? ms + cluster_below(c, 500) : ms;
}

static bool net_twice(void *data, const struct sim_message *m)
{
    struct cluster *c = data;

    (void)m;
    return happens(c, c->twice);
}

static uint64_t disk_ms(void *data, uint32_t node)
{
    struct cluster *c = data;

    (void)node;
    return cluster_below(c, c->disk_ms + 1);
}

static uint64_t apply_ms(void *data, uint32_t node)
{
    struct cluster *c = data;

    (void)node;
    return cluster_below(c, c->apply_ms + 1);
}

/* -- tags and candidates ----------------------------------------------------------------------- */

static void tag(struct mu_pairs *tags, const char *key, const char *value)
{
    MU_ASSERT(tags->count < TAGS_MAX);
    tags->items[tags->count++] = (struct mu_pair){ mu_span_text(key), mu_span_text(value) };
}

/* As agent/member.c makes them. */
static void tags_show(struct cluster *c, size_t member)
{
    char id[MU_ID_TEXT_BYTES + 1];
    char disk[MU_ID_TEXT_BYTES + 1];
    char cluster[MU_ID_TEXT_BYTES + 1];
    char expect[16];
    struct mu_pair items[TAGS_MAX];
    struct mu_pairs tags = { items, 0 };

    mu_id_text(&c->ids[member], id);
    tag(&tags, "dc", "sim");
    tag(&tags, "id", id);
    tag(&tags, "role", is_server(c, member) ? "consul" : "node");
    if (is_server(c, member)) {
        struct server *s = &c->servers[member];
        const struct sim_disk *at = &s->node->disk;

        mu_id_text(&at->id, disk);
        mu_id_text(&at->hard.cluster, cluster);
        (void)snprintf(expect, sizeof expect, "%u", s->node->expect);
        s->shows_cluster = s->node->core != NULL;
        tag(&tags, "expect", expect);
        tag(&tags, "mu_disk", disk);
        tag(&tags, s->shows_cluster ? "mu_cluster" : "mu_fresh", s->shows_cluster ? cluster : "1");
    }
    tags_set(c->gossip, member, &tags);
}

static struct mu_span tag_of(const struct gossip_view *m, const char *key)
{
    for (size_t i = 0; i < m->tags.count; i++) {
        if (mu_span_eq_text(m->tags.items[i].key, key)) {
            return m->tags.items[i].value;
        }
    }
    return MU_SPAN_NONE;
}

bool server_tags_read(const struct gossip_view *m, struct server_tags *out)
{
    *out = (struct server_tags){ .id = MU_ID_NONE };
    (void)mu_id_parse(tag_of(m, "mu_disk"), &out->disk);
    (void)mu_id_parse(tag_of(m, "mu_cluster"), &out->cluster);
    return mu_span_eq_text(tag_of(m, "role"), "consul") && mu_id_parse(tag_of(m, "id"), &out->id);
}

struct candidates {
    struct consensus_bootstrap_candidate items[SERVERS_MAX];
    size_t count;
};

static void candidate_add(void *data, const struct gossip_view *m)
{
    struct candidates *all = data;
    struct consensus_bootstrap_candidate *x = &all->items[all->count];
    uint64_t expect = 0;

    if (m->is_self || !mu_span_eq_text(tag_of(m, "role"), "consul") || all->count == SERVERS_MAX ||
        !mu_id_parse(tag_of(m, "id"), &x->server)) {
        return;
    }
    x->disk = x->cluster = MU_ID_NONE;
    (void)mu_id_parse(tag_of(m, "mu_disk"), &x->disk);
    (void)mu_id_parse(tag_of(m, "mu_cluster"), &x->cluster);
    x->expect = mu_span_u64(tag_of(m, "expect"), &expect) ? (uint32_t)expect : 0;
    x->is_alive = m->status == GOSSIP_STATUS_ALIVE;
    all->count++;
}

static void candidates_tell(struct cluster *c, size_t server)
{
    struct candidates all = { .count = 0 };
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_CANDIDATES };

    gossip_each(world_core(c->gossip, server), candidate_add, &all);
    ev.candidates.at = all.items;
    ev.candidates.count = all.count;
    sim_feed_boot(c->log, c->servers[server].node, &ev);
}

static void on_notice(void *data, size_t member, const struct gossip_notice *notice)
{
    struct cluster *c = data;

    cluster_say(c, "%s: notice %d about %s, %s", member_name(c, member), (int)notice->kind,
                notice->member.name, gossip_status_text(notice->member.status));
    if (is_server(c, member)) {
        office_notice(c, member, notice);
        c->has_news[member] = true;
    } else if (notice->kind == GOSSIP_REFUTED) {
        client_refuted(c, member);
    }
}

static void on_done(void *data, size_t member, const struct gossip_done *done)
{
    struct cluster *c = data;

    c->wants_join[member] = done->contacted == 0 && !c->is_leaving[member];
}

/* -- members ----------------------------------------------------------------------------------- */

void member_start(struct cluster *c, size_t member, bool moves, bool is_wiped)
{
    struct world_start how = { .keep_state = !is_wiped, .move = moves };

    MU_ASSERT(!member_is_up(c, member));
    cluster_say(c, "%s starts%s%s", member_name(c, member), moves ? ", elsewhere" : "",
                is_wiped ? ", wiped" : "");
    c->is_leaving[member] = false;
    c->wants_join[member] = true;
    tags_identity(c->gossip, member, &c->ids[member]);
    if (is_server(c, member)) {
        struct server *s = &c->servers[member];

        s->node->disk.state = (struct sim_state){ 0 }; /* it was in memory */
        sim_node_start(c->log, s->node);
        state_open(c, s);
        office_open(c, member);
        c->has_news[member] = true;
    } else {
        client_restarted(c, member);
    }
    world_start(c->gossip, member, how);
    c->ids[member] = tags_identity_now(c->gossip, member);
    tags_show(c, member);
}

static void disk_lose(struct cluster *c, struct server *s)
{
    struct sim_log *log = &s->node->disk.log;

    if (c->options.broken == BREAK_DISK && log->last > 4) {
        log->last -= 2;
    }
}

void member_crash(struct cluster *c, size_t member)
{
    cluster_say(c, "%s crashes", member_name(c, member));
    c->sums.crashes++;
    if (is_server(c, member)) {
        struct server *s = &c->servers[member];

        sim_node_crash(c->log, s->node, cluster_below(c, s->node->queue_count + 1));
        disk_lose(c, s);
        state_close(s);
        office_close(s);
    }
    if (cluster_below(c, 3) == 0) {
        world_vanish(c->gossip, member);
    } else {
        world_crash(c->gossip, member);
    }
}

void member_pause(struct cluster *c, size_t member, uint64_t ms)
{
    cluster_say(c, "%s stands still for %llu ms", member_name(c, member), U(ms));
    world_pause(c->gossip, member, ms);
    if (is_server(c, member)) {
        sim_node_pause(c->log, c->servers[member].node, ms);
    }
}

void member_leave(struct cluster *c, size_t member)
{
    cluster_say(c, "%s leaves", member_name(c, member));
    c->is_leaving[member] = true;
    c->wants_join[member] = false;
    world_leave(c->gossip, member);
}

static void joins_run(struct cluster *c)
{
    for (size_t i = 0; i < c->members_count; i++) {
        size_t to = cluster_below(c, c->members_count);

        if (c->wants_join[i] && member_runs(c, i) && to != i && member_is_up(c, to)) {
            c->wants_join[i] = false; /* until the answer */
            world_join(c->gossip, i, to, false);
        }
    }
}

/* -- a millisecond ----------------------------------------------------------------------------- */

static void on_result(void *data, struct sim_node *n, const struct consensus_result *r)
{
    pilot_result(data, n, r);
    requests_result(data, r);
}

static void servers_run(struct cluster *c)
{
    pilot_bury(c);
    for (size_t i = 0; i < c->servers_count; i++) {
        struct server *s = &c->servers[i];

        if (!member_runs(c, i)) {
            continue;
        }
        if (s->shows_cluster != (s->node->core != NULL)) {
            tags_show(c, i);
        }
        if (c->has_news[i]) {
            c->has_news[i] = false;
            candidates_tell(c, i);
        }
    }
}

static void verify(struct cluster *c)
{
    if (c->now_ms < c->verify_at_ms) {
        return;
    }
    c->verify_at_ms = c->now_ms + VERIFY_MS;
    model_compare(c, &c->servers[cluster_below(c, c->servers_count)]);
}

void cluster_run(struct cluster *c, uint64_t ms)
{
    for (uint64_t until = c->now_ms + ms; c->now_ms < until;) {
        c->now_ms++;
        while (sim_next_at(c->log) <= c->now_ms) {
            sim_run_one(c->log);
            state_follow(c);
        }
        sim_run_until(c->log, c->now_ms);
        world_run(c->gossip, 1);
        servers_run(c);
        joins_run(c);
        requests_run(c);
        offices_run(c);
        clients_run(c);
        holders_run(c);
        state_follow(c); /* what was fed between may have committed at once */
        verify(c);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

static void network_draw(struct cluster *c)
{
    c->delay_ms = 1 + (uint32_t)cluster_below(c, cluster_below(c, 2) == 0 ? 3 : 20);
    c->disk_ms = 1 + (uint32_t)cluster_below(c, 10);
    c->apply_ms = 1 + (uint32_t)cluster_below(c, 10);
}

static void worlds_new(struct cluster *c)
{
    struct sim_policy policy = { c, net_ms, net_twice, disk_ms, apply_ms, NULL, NULL, NULL, NULL };
    struct consensus_options options;
    struct world_options gossip = {
        .seed = mu_rand_u64(&c->rand),
        .profile = gossip_profile_lan,
        .latency_us_min = 50,
        .latency_us_max = 500 + 1000 * c->delay_ms,
        .reorder_us_max = 500000,
        .has_icmp = cluster_below(c, 2) == 0,
        .is_checked = true,
    };

    consensus_options_init(&options, CONSENSUS_LAN, 1);
    options.trailing_entries = options.trailing_bytes = UINT32_MAX; /* states begin empty */
    options.tail_entries = 1024;
    options.with_trace = true;
    c->log = sim_world_new(&options, &policy, c->options.seed);
    c->log->has_state = true;
    c->log->on_result = on_result;
    c->log->on_result_data = c;
    c->gossip = world_new(&gossip);
    world_listen(c->gossip, on_notice, on_done, c);
}

static void members_new(struct cluster *c)
{
    char name[8];

    for (size_t i = 0; i < c->members_count; i++) {
        bool serves = is_server(c, i);

        (void)snprintf(name, sizeof name, serves ? "s%zu" : "c%zu",
                       serves ? i : i - c->servers_count);
        MU_ASSERT(world_add(c->gossip, name) == i);
        c->ids[i] = mu_id_drawn(&c->rand);
        if (serves) {
            c->servers[i].node = sim_node_add(c->log, name, (uint32_t)c->servers_count);
            c->servers[i].node->clock_offset = 1 + cluster_below(c, 100000);
            c->ids[i] = c->servers[i].node->id;
        }
    }
}

struct cluster *cluster_new(const struct cluster_options *options)
{
    struct cluster *c = mu_new(sizeof *c);

    c->options = *options;
    mu_rand_seed(&c->rand, options->seed);
    mu_rand_seed(&c->pilot_rand, options->seed ^ UINT64_C(0x70696c6f74));
    if (mu_rand_below(&c->pilot_rand, 2) == 0) {
        c->stabilization_ms = 2000 + mu_rand_below(&c->pilot_rand, 4000);
    }
    c->servers_count =
        options->servers > 0 ? options->servers : 1 + 2 * cluster_below(c, SERVERS_MAX / 2 + 1);
    c->members_count =
        c->servers_count + (options->clients > 0 ? options->clients : 2 + cluster_below(c, 9));
    network_draw(c);
    worlds_new(c);
    members_new(c);
    return c;
}

void cluster_free(struct cluster *c)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        if (c->servers[i].catalog != NULL) {
            state_close(&c->servers[i]);
            office_close(&c->servers[i]);
        }
    }
    requests_free(c);
    for (size_t i = 0; i < c->commands_count; i++) {
        mu_buf_deinit(&c->commands[i]);
    }
    world_free(c->gossip);
    sim_world_free(c->log);
    mu_free(c->commands);
    mu_free(c->facts);
    mu_free(c);
}
