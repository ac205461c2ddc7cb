/* world.c - nodes, time and what is done to them; network.c carries their words, oracle.c watches.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "network.h"

#define CLOCK_OFFSET_MS 1000 /* a monotonic clock seldom begins at 0 */
#define DONE_JOIN       1
#define DONE_LEAVE      2
#define DONE_SPREAD     3
#define WALL_SECONDS    200000000ULL /* since 2020, at the beginning of every run */

static void hash_word(struct world *w, uint64_t word)
{
    w->hash = (w->hash ^ word) * 0x9e3779b97f4a7c15ULL;
    w->hash ^= w->hash >> 32;
}

void sim_hash(struct world *w, const void *data, size_t bytes)
{
    const uint8_t *b = data;
    uint64_t word;
    size_t at = 0;

    for (; bytes - at >= sizeof word; at += sizeof word) {
        memcpy(&word, b + at, sizeof word);
        hash_word(w, word);
    }
    if (at < bytes) {
        word = bytes;
        memcpy(&word, b + at, bytes - at);
        hash_word(w, word);
    }
}

static void hash_u64(struct world *w, uint64_t v)
{
    sim_hash(w, &v, sizeof v);
}

uint64_t world_hash(const struct world *w)
{
    return w->hash;
}

uint64_t world_now_ms(const struct world *w)
{
    return w->now_us / 1000;
}

void world_epoch(struct world *w)
{
    w->epoch_ms = world_now_ms(w);
}

/* -- life of the world --------------------------------------------------------------------------
 */

struct world *world_new(const struct world_options *options)
{
    struct world *w = mu_new(sizeof *w);

    w->options = *options;
    w->hash = 0xcbf29ce484222325ULL;
    w->source = SIZE_MAX;
    mu_rand_seed(&w->rand, options->seed);
    w->names = mu_table_new();
    w->cards = gossip_cards_new();
    w->connections = mu_table_new();
    if (options->threads > 0 && options->trace == NULL) {
        w->ahead = sim_ahead_new(w, options->threads);
    }
    return w;
}

static void known_free(struct sim_node *n)
{
    union {
        const char *in;
        void *out;
    } u;

    for (size_t i = 0; i < n->known_count; i++) {
        u.in = n->known[i].name;
        mu_free(u.out);
    }
    mu_free(n->known);
    n->known = NULL;
    n->known_count = 0;
}

static void node_free(struct sim_node *n)
{
    for (size_t i = 0; i < n->held_count; i++) {
        mu_free(n->held[i].data);
    }
    mu_free(n->held);
    known_free(n);
    sim_records_free(n);
    gossip_free(n->core);
    mu_free(n);
}

void world_free(struct world *w)
{
    struct mu_table_at at = { .started = false };

    sim_ahead_free(w->ahead);
    for (size_t i = 0; i < w->nodes_count; i++) {
        node_free(w->nodes[i]);
    }
    sim_events_free(w);
    while (mu_table_next(w->connections, &at)) {
        mu_free(at.value);
    }
    mu_table_free(w->connections);
    mu_table_free(w->names);
    gossip_cards_free(w->cards); /* the last core is gone */
    mu_free(w->nodes);
    mu_free(w->hosts);
    mu_free(w->name_hashes);
    mu_free(w);
}

void world_listen(struct world *w, world_notice_fn *notice, world_done_fn *done, void *data)
{
    w->notice = notice;
    w->done = done;
    w->listener = data;
}

/* -- nodes --------------------------------------------------------------------------------------
 */

static uint32_t host_new(struct world *w, uint32_t node)
{
    w->hosts = mu_grow(w->hosts, (w->hosts_count + 1) * sizeof *w->hosts);
    w->hosts[w->hosts_count] = node;
    return (uint32_t)w->hosts_count++;
}

size_t world_add(struct world *w, const char *name)
{
    return world_add_as(w, name, name);
}

bool world_find(const struct world *w, const char *label, size_t *node)
{
    for (size_t i = 0; i < w->nodes_count; i++) {
        if (strcmp(w->nodes[i]->label, label) == 0) {
            *node = i;
            return true;
        }
    }
    return false;
}

size_t world_add_as(struct world *w, const char *label, const char *name)
{
    struct sim_node *n = mu_new(sizeof *n);
    struct sim_node *first = mu_table_find(w->names, mu_span_text(name));

    if (w->hosts_count == 0) {
        (void)host_new(w, UINT32_MAX); /* 10.0.0.0 is nobody */
    }
    (void)snprintf(n->name, sizeof n->name, "%s", name);
    (void)snprintf(n->label, sizeof n->label, "%s", label);
    n->world = w;
    n->records = mu_table_new();
    n->node_id = mu_id_drawn(&w->rand);
    w->nodes = mu_grow(w->nodes, (w->nodes_count + 1) * sizeof(struct sim_node *));
    w->nodes[w->nodes_count] = n;
    w->name_hashes = mu_grow(w->name_hashes, (w->nodes_count + 1) * sizeof *w->name_hashes);
    w->name_hashes[w->nodes_count] = mu_table_hash(mu_span_text(name));
    sim_wake_room(w, w->nodes_count);
    n->host = host_new(w, (uint32_t)w->nodes_count);
    if (first != NULL) {
        first->is_double = n->is_double = true;
    } else {
        (void)mu_table_put(w->names, mu_span_text(n->name), n);
    }
    return w->nodes_count++;
}

size_t world_count(const struct world *w)
{
    return w->nodes_count;
}

const char *world_name(const struct world *w, size_t node)
{
    return w->nodes[node]->name;
}

const char *world_label(const struct world *w, size_t node)
{
    return w->nodes[node]->label;
}

enum world_life world_life(const struct world *w, size_t node)
{
    return w->nodes[node]->life_kind;
}

struct gossip *world_core(const struct world *w, size_t node)
{
    return w->nodes[node]->core;
}

struct mu_addr world_addr(const struct world *w, size_t node)
{
    return sim_addr(w->nodes[node]->host);
}

/* -- one step of one core -----------------------------------------------------------------------
 */

uint64_t sim_wake_us(const struct gossip_effects *fx, uint64_t now_us)
{
    uint64_t at = (fx->wake_at_ms - CLOCK_OFFSET_MS) * 1000;

    return at > now_us ? at : now_us;
}

static void aim(struct world *w, struct sim_node *n, const struct gossip_effects *fx)
{
    n->wake_mark++;
    if (fx->wake_at_ms != 0) {
        sim_wake_at(w, w->hosts[n->host], sim_wake_us(fx, w->now_us));
    } else {
        sim_wake_never(w, w->hosts[n->host]);
    }
}

static void on_notices(struct world *w, struct sim_node *n, const struct gossip_effects *fx)
{
    for (size_t i = 0; i < fx->notices_count; i++) {
        const struct gossip_notice *notice = &fx->notices[i];

        hash_u64(w, notice->kind);
        sim_hash(w, notice->member.name, strlen(notice->member.name));
        if (w->options.is_checked) {
            sim_check_notice(w, n, notice);
        }
        if (w->notice != NULL) {
            w->notice(w->listener, w->hosts[n->host], notice);
        }
    }
}

static void stop(struct world *w, struct sim_node *n, enum world_life how, bool tell_peers);

void sim_step(struct gossip *g, struct gossip_event *ev, uint64_t at_us, struct gossip_effects *out)
{
    ev->now_ms = at_us / 1000 + CLOCK_OFFSET_MS;
    ev->now_ns = at_us * 1000 + CLOCK_OFFSET_MS * 1000000ULL;
    gossip_step(g, ev, out);
}

static void carry_out(struct world *w, struct sim_node *n, enum gossip_event_kind kind,
                      const struct gossip_effects *fx)
{
    struct sim_key_work work;
    bool is_over = false;

    hash_u64(w, w->now_us);
    hash_u64(w, (uint64_t)kind << 32 | w->hosts[n->host]);
    for (size_t i = 0; i < fx->sends_count; i++) {
        sim_hash(w, fx->sends[i].data.data, fx->sends[i].data.bytes);
        MU_ASSERT(!gossip__seal_sends(n->core) ||
                  (fx->sends[i].data.data[3] & GOSSIP__FLAG_SEALED) != 0);
        sim_datagram(w, n, &fx->sends[i]);
    }
    for (size_t i = 0; i < fx->streams_count; i++) {
        hash_u64(w, fx->streams[i].verb);
        sim_stream_op(w, n, &fx->streams[i]);
    }
    sim_keys_gather(fx, &work);
    on_notices(w, n, fx);
    if (w->heard != NULL) {
        w->heard(w->hearer, w->hosts[n->host], fx);
    }
    for (size_t i = 0; i < fx->dones_count; i++) {
        is_over = is_over || fx->dones[i].id == DONE_LEAVE;
        if (w->done != NULL) {
            w->done(w->listener, w->hosts[n->host], &fx->dones[i]);
        }
    }
    aim(w, n, fx);
    n->incarnation = fx->incarnation;
    n->issued_max = n->incarnation > n->issued_max ? n->incarnation : n->issued_max;
    if (w->options.is_checked) {
        sim_check(w, n);
    }
    if (is_over) {
        stop(w, n, WORLD_LEFT, true);
    } else {
        sim_keys_do(w, n, &work);
    }
}

void sim_feed(struct world *w, struct sim_node *n, struct gossip_event *ev)
{
    struct gossip_effects fx;

    sim_step(n->core, ev, w->now_us, &fx);
    carry_out(w, n, ev->kind, &fx);
}

static void print_line(void *data, enum mu_log_level level, const char *fmt, va_list args)
    MU_PRINTF(3, 0);

static void print_line(void *data, enum mu_log_level level, const char *fmt, va_list args)
{
    const struct sim_node *n = data;
    struct mu_buf *to = n->world->options.trace;

    (void)level;
    if (to != NULL) {
        mu_buf_addf(to, "[%llu] %s: ",
                    (unsigned long long)(world_now_ms(n->world) - n->world->epoch_ms), n->label);
        mu_buf_vaddf(to, fmt, args);
        mu_buf_add_byte(to, '\n');
    }
}

static const char *refuse(void *data, const struct gossip_view *member)
{
    const struct sim_node *n = data;

    return n->refuse[0] != '\0' && strncmp(member->name, n->refuse, strlen(n->refuse)) == 0
               ? "it is not one of us"
               : NULL;
}

/* -- start and end ------------------------------------------------------------------------------
 */

static uint64_t start_incarnation(struct world *w, const struct sim_node *n,
                                  const struct world_start *how)
{
    return how->keep_state && n->incarnation > 0
               ? n->incarnation + 1024
               : (WALL_SECONDS + w->now_us / 1000000 - how->seconds_back) << 20;
}

void world_start(struct world *w, size_t node, struct world_start how)
{
    struct sim_node *n = w->nodes[node];
    struct mu_err err = MU_ERR_NONE;

    MU_ASSERT(n->core == NULL);
    if (how.move) {
        w->hosts[n->host] = UINT32_MAX;
        n->host = host_new(w, (uint32_t)node);
    }
    if (!how.keep_state && n->life > 0) {
        n->node_id = mu_id_drawn(&w->rand);
        known_free(n);
    }
    if (how.as_id != NULL) {
        n->node_id = ((struct sim_node *)mu_table_find(w->names, mu_span_text(how.as_id)))->node_id;
    }
    struct gossip_options options = {
        .cards = w->cards,
        .name = n->name,
        .node_id = n->node_id,
        .boot_id = mu_rand_u64(&w->rand) | 1,
        .label = n->cluster,
        .pool = "sim/lan",
        .advertise = sim_addr(n->host),
        .profile = w->options.profile,
        .incarnation = start_incarnation(w, n, &how),
        .seed = mu_rand_u64(&w->rand),
        .refuse = refuse,
        .refuse_data = n,
        .log = w->options.trace != NULL ? print_line : NULL,
        .log_data = n,
        .known = how.keep_state ? n->known : NULL,
        .known_count = how.keep_state ? n->known_count : 0,
        .member_time = how.keep_state ? n->member_time : 0,
        .event_time = how.keep_state ? n->event_time : 0,
        .query_time = how.keep_state ? n->query_time : 0,
        .sealing = n->sealing,
    };

    memcpy(options.nonce_prefix, &options.boot_id, sizeof options.boot_id);
    MU_ASSERT(gossip_new(&n->core, &options, &err) == MU_OK);
    n->life++;
    n->started_us = w->now_us;
    n->life_kind = WORLD_RUNNING;
    n->is_leaving = false;
    sim_records_free(n);
    n->records = mu_table_new();
    sim_feed(w, n, &(struct gossip_event){ .kind = GOSSIP_EV_START });
}

static void remember(void *data, const struct gossip_view *member)
{
    struct sim_node *n = data;

    bool is_wanted = member->status == GOSSIP_STATUS_ALIVE ||
                     member->status == GOSSIP_STATUS_FAILED || n->world->options.remembers_all;

    for (size_t i = 0; i < n->known_before; i++) {
        if (strcmp(n->known[i].name, member->name) == 0) {
            n->known[i].addr = member->addr;
            return;
        }
    }
    if (!member->is_self && is_wanted) {
        n->known = mu_grow(n->known, (n->known_count + 1) * sizeof *n->known);
        n->known[n->known_count++] =
            (struct gossip_known){ .name = mu_strdup(member->name), .addr = member->addr };
    }
}

static void stop(struct world *w, struct sim_node *n, enum world_life how, bool tell_peers)
{
    if (!w->options.remembers_all) {
        known_free(n);
    }
    n->known_before = n->known_count; /* those of one life have names of their own */
    gossip_each(n->core, remember, n);
    n->member_time = n->core->member_time;
    n->event_time = n->core->event_time;
    n->query_time = n->core->query_time;
    gossip_free(n->core);
    n->core = NULL;
    n->life_kind = how;
    n->life++; /* nothing on its way reaches a later start */
    sim_wake_never(w, w->hosts[n->host]);
    for (size_t i = 0; i < n->held_count; i++) {
        mu_free(n->held[i].data);
    }
    n->held_count = 0;
    sim_streams_cut(w, n, tell_peers);
}

void world_crash(struct world *w, size_t node)
{
    stop(w, w->nodes[node], WORLD_CRASHED, true);
}

void world_vanish(struct world *w, size_t node)
{
    stop(w, w->nodes[node], WORLD_VANISHED, false);
}

void world_pause(struct world *w, size_t node, uint64_t ms)
{
    struct sim_node *n = w->nodes[node];

    MU_ASSERT(n->life_kind == WORLD_RUNNING);
    n->life_kind = WORLD_PAUSED;
    n->resume_us = w->now_us + ms * 1000;
    sim_push(w, (struct sim_event){ .at_us = n->resume_us,
                                    .kind = SIM_RESUME,
                                    .node = (uint32_t)node,
                                    .life = n->life });
}

void world_clog(struct world *w, size_t node, uint64_t ms)
{
    w->nodes[node]->clogged_us = w->now_us + ms * 1000;
}

/* -- what is asked of them ----------------------------------------------------------------------
 */

void world_join(struct world *w, size_t node, size_t to, bool replays)
{
    struct gossip_target target = { .given = w->nodes[to]->name,
                                    .addr = sim_addr(w->nodes[to]->host) };
    struct gossip_event ev = { .kind = GOSSIP_EV_JOIN };

    ev.join.id = DONE_JOIN;
    ev.join.targets = &target;
    ev.join.targets_count = 1;
    ev.join.replays = replays;
    sim_feed(w, w->nodes[node], &ev);
}

void world_leave(struct world *w, size_t node)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_LEAVE };

    ev.leave.id = DONE_LEAVE;
    w->nodes[node]->is_leaving = true;
    sim_feed(w, w->nodes[node], &ev);
}

void world_force_leave(struct world *w, size_t node, const char *name, bool prune)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_FORCE_LEAVE };

    ev.force.name = name;
    ev.force.prune = prune;
    sim_feed(w, w->nodes[node], &ev);
}

void world_spread(struct world *w, size_t node)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_SPREAD };

    ev.spread.id = DONE_SPREAD;
    sim_feed(w, w->nodes[node], &ev);
}

void world_tag(struct world *w, size_t node, const char *key, const char *value)
{
    struct mu_pair pair = { mu_span_text(key), mu_span_text(value) };
    struct gossip_event ev = { .kind = GOSSIP_EV_TAGS };

    ev.tags = (struct mu_pairs){ &pair, 1 };
    sim_feed(w, w->nodes[node], &ev);
}

void world_hear(struct world *w, world_heard_fn *heard, void *data)
{
    w->heard = heard;
    w->hearer = data;
}

size_t world_source(const struct world *w)
{
    const struct sim_node *from = w->packet_from != NULL ? sim_node_at(w, w->packet_from) : NULL;

    return from != NULL ? w->hosts[from->host] : w->source;
}

bool world_event(struct world *w, size_t node, const char *name, const char *payload, bool coalesce)
{
    struct sim_node *n = w->nodes[node];
    struct gossip_event ev = { .kind = GOSSIP_EV_USER_EVENT };

    if (gossip_event_check(n->core, name, mu_span_text(payload), NULL) != MU_OK) {
        return false;
    }
    ev.user_event.name = name;
    ev.user_event.payload = mu_span_text(payload);
    ev.user_event.coalesce = coalesce;
    sim_feed(w, n, &ev);
    return true;
}

bool world_query(struct world *w, size_t node, uint64_t id,
                 const struct gossip_query_params *params)
{
    struct sim_node *n = w->nodes[node];
    struct gossip_event ev = { .kind = GOSSIP_EV_QUERY };

    if (gossip_query_check(n->core, params, NULL) != MU_OK) {
        return false;
    }
    ev.query.id = id;
    ev.query.params = params;
    sim_feed(w, n, &ev);
    return true;
}

bool world_respond(struct world *w, size_t node, uint64_t ltime, uint32_t id, const char *payload)
{
    struct sim_node *n = w->nodes[node];
    struct gossip_event ev = { .kind = GOSSIP_EV_RESPOND };

    if (gossip_respond_check(n->core, ltime, id, mu_span_text(payload), NULL) != MU_OK) {
        return false;
    }
    ev.respond.ltime = ltime;
    ev.respond.id = id;
    ev.respond.payload = mu_span_text(payload);
    sim_feed(w, n, &ev);
    return true;
}

void world_keys(struct world *w, size_t node, const struct gossip_sealing *sealing)
{
    struct sim_node *n = w->nodes[node];

    n->keys = (struct gossip_keys){ .used = 0 };
    n->sealing = *sealing;
    if (sealing->keyring != NULL) {
        n->keys.ring = *sealing->keyring;
    }
    n->sealing.keyring = &n->keys.ring;
    n->sealing.keys = &n->keys;
    if (n->core != NULL) {
        struct gossip_event ev = { .kind = GOSSIP_EV_KEYS };

        ev.sealing = n->sealing;
        sim_feed(w, n, &ev);
    }
}

void world_label_as(struct world *w, size_t node, const char *label)
{
    struct sim_node *n = w->nodes[node];

    (void)snprintf(n->cluster, sizeof n->cluster, "%s", label);
}

void world_refuse(struct world *w, size_t node, const char *prefix)
{
    struct sim_node *n = w->nodes[node];

    (void)snprintf(n->refuse, sizeof n->refuse, "%s", prefix != NULL ? prefix : "");
}

/* -- the network --------------------------------------------------------------------------------
 */

void world_group(struct world *w, size_t node, unsigned group)
{
    MU_ASSERT(group < WORLD_GROUPS);
    w->nodes[node]->group = group;
}

void world_cut(struct world *w, unsigned from, unsigned to, bool udp, bool tcp)
{
    w->cut[from][to] = (uint8_t)((udp ? SIM_CUT_UDP : 0) | (tcp ? SIM_CUT_TCP : 0));
}

void world_faults(struct world *w, double loss, double duplicate, double reorder)
{
    w->options.loss = loss;
    w->options.duplicate = duplicate;
    w->options.reorder = reorder;
}

void world_copies(struct world *w, unsigned more)
{
    w->options.copies = more;
}

void world_loss_to(struct world *w, size_t node, double loss)
{
    w->nodes[node]->loss_to = loss;
}

void world_heal(struct world *w)
{
    memset(w->cut, 0, sizeof w->cut);
    for (size_t i = 0; i < w->nodes_count; i++) {
        w->nodes[i]->loss_to = 0;
    }
    world_faults(w, 0, 0, 0);
    world_copies(w, 0);
}

/* -- time ---------------------------------------------------------------------------------------
 */

static void hold(struct sim_node *n, struct sim_event e)
{
    if (n->held_count == n->held_room) {
        n->held_room = n->held_room * 2 + 16;
        n->held = mu_grow(n->held, n->held_room * sizeof *n->held);
    }
    n->held[n->held_count++] = e;
}

struct gossip_event sim_event_for(const struct sim_event *e)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_WAKE };

    if (e->kind == SIM_PACKET) {
        ev.kind = GOSSIP_EV_PACKET;
        ev.packet.from = e->addr;
        ev.packet.data = mu_span_of(e->data, e->bytes);
    } else if (e->kind == SIM_SEND_FAILED) {
        ev.kind = GOSSIP_EV_SEND_FAILED;
        ev.failed.to = e->addr;
        ev.failed.is_remote = true;
    }
    return ev;
}

/* `ahead`: NULL, or what came of it already. */
static void handle(struct world *w, struct sim_node *n, const struct sim_event *e,
                   const struct gossip_effects *ahead)
{
    struct gossip_event ev = sim_event_for(e);
    bool is_new = e->kind == SIM_STREAM ? sim_stream_event(w, e, &ev)
                                        : e->kind != SIM_WAKE || e->mark == n->wake_mark;

    MU_ASSERT(ahead == NULL || is_new);
    if (!is_new && e->kind == SIM_STREAM) {
        return; /* its data is cared for */
    }
    w->packet_from = e->kind == SIM_PACKET ? &e->addr : NULL;
    if (ahead != NULL) {
        carry_out(w, n, ev.kind, ahead);
    } else if (is_new) {
        sim_feed(w, n, &ev);
    }
    w->source = SIZE_MAX;
    w->packet_from = NULL;
    mu_free(e->data);
}

/* What waited in the socket comes first, then streams, then time (5.6). */
static void resume(struct world *w, struct sim_node *n)
{
    static const enum sim_kind order[] = { SIM_PACKET, SIM_SEND_FAILED, SIM_STREAM, SIM_WAKE };
    struct sim_event *held = n->held;
    size_t count = n->held_count;

    n->life_kind = WORLD_RUNNING;
    n->held = NULL;
    n->held_count = n->held_room = 0;
    for (size_t k = 0; k < MU_LEN(order); k++) {
        for (size_t i = 0; i < count; i++) {
            if (held[i].kind == order[k]) {
                handle(w, n, &held[i], NULL);
            }
        }
    }
    mu_free(held);
}

void sim_turn(struct world *w, struct sim_event *e, const struct gossip_effects *ahead)
{
    struct sim_node *n = w->nodes[e->node];

    w->now_us = e->at_us > w->now_us ? e->at_us : w->now_us;
    bool is_early = w->now_us < n->clogged_us && e->kind != SIM_WAKE;

    /* What was taken ahead finds nothing changed since. */
    MU_ASSERT(ahead == NULL || (e->life == n->life && n->life_kind == WORLD_RUNNING && !is_early));
    if (e->life != n->life) {
        mu_free(e->data);
    } else if (e->kind == SIM_CONNECT) {
        sim_connect(w, e);
    } else if (e->kind == SIM_RESUME) {
        resume(w, n);
    } else if (n->life_kind == WORLD_PAUSED) {
        hold(n, *e);
    } else if (is_early) {
        e->at_us = n->clogged_us;
        sim_push(w, *e);
    } else {
        handle(w, n, e, ahead);
    }
}

void world_run(struct world *w, uint64_t ms)
{
    uint64_t until = w->now_us + ms * 1000;
    struct sim_event e;

    if (w->ahead != NULL) {
        sim_ahead_run(w->ahead, until);
    }
    while (w->ahead == NULL && sim_pop(w, until, &e)) {
        sim_turn(w, &e, NULL);
    }
    w->now_us = until;
}

/* -- views --------------------------------------------------------------------------------------
 */

enum gossip_status world_sees(const struct world *w, size_t node, const char *name)
{
    struct gossip_view view;

    return gossip_find(w->nodes[node]->core, name, &view) ? view.status : GOSSIP_STATUS_NONE;
}

/* A farewell that reached nobody on this island who still lives is a failure to all. */
static bool farewell_is_known(const struct world *w, const size_t *island, size_t here,
                              const char *name)
{
    for (size_t i = 0; i < w->nodes_count; i++) {
        if (w->nodes[i]->life_kind == WORLD_RUNNING &&
            (island == NULL || island[i] == island[here]) &&
            world_sees(w, i, name) == GOSSIP_STATUS_LEFT) {
            return true;
        }
    }
    return false;
}

static bool agrees_about(const struct world *w, const size_t *island, size_t node,
                         const struct sim_node *other)
{
    const struct sim_node *n = w->nodes[node];
    struct gossip_view view = { .status = GOSSIP_STATUS_NONE };
    struct mu_addr addr = sim_addr(other->host);

    (void)gossip_find(n->core, other->name, &view);
    switch (other->life_kind) {
    case WORLD_NEVER: return view.status == GOSSIP_STATUS_NONE;
    case WORLD_RUNNING:
    case WORLD_PAUSED:
        return view.status == (other->is_leaving ? GOSSIP_STATUS_LEFT : GOSSIP_STATUS_ALIVE) &&
               view.incarnation == other->incarnation && mu_addr_eq(&view.addr, &addr);
    case WORLD_CRASHED:
    case WORLD_VANISHED:
        return view.status != GOSSIP_STATUS_ALIVE && view.status != GOSSIP_STATUS_LEAVING;
    case WORLD_LEFT:
        return view.status == GOSSIP_STATUS_LEFT || view.status == GOSSIP_STATUS_NONE ||
               (view.status == GOSSIP_STATUS_FAILED &&
                !farewell_is_known(w, island, node, other->name));
    }
    return false;
}

/* Does n know, of a past or present life of other, where it lives now? Who left is not looked for.
 */
static bool knows_where(const struct sim_node *n, const struct sim_node *other)
{
    struct gossip_view view;
    struct mu_addr addr = sim_addr(other->host);

    if (gossip_find(n->core, other->name, &view) && mu_addr_eq(&view.addr, &addr) &&
        view.status != GOSSIP_STATUS_LEFT) {
        return true;
    }
    if (gossip__others_live(n->core) > 0) {
        return false; /* whom it knew before is tried by one that is alone */
    }
    for (size_t i = 0; i < n->core->known_count; i++) {
        if (mu_addr_eq(&n->core->known[i].addr, &addr)) {
            return true;
        }
    }
    return false;
}

/* The lowest node of the island each running node is on. */
static void islands(const struct world *w, size_t *island)
{
    bool changed = true;

    for (size_t i = 0; i < w->nodes_count; i++) {
        island[i] = i;
    }
    while (changed) {
        changed = false;
        for (size_t i = 0; i < w->nodes_count; i++) {
            for (size_t j = 0; j < w->nodes_count; j++) {
                if (island[i] != island[j] && w->nodes[i]->core != NULL &&
                    w->nodes[j]->core != NULL && knows_where(w->nodes[i], w->nodes[j])) {
                    size_t low = island[i] < island[j] ? island[i] : island[j];

                    island[i] = island[j] = low;
                    changed = true;
                }
            }
        }
    }
}

/* The first pair that disagrees, where `island` (may be NULL) does not keep them apart. */
static bool all_agree(const struct world *w, const size_t *island, struct mu_buf *first)
{
    for (size_t i = 0; i < w->nodes_count; i++) {
        const struct sim_node *n = w->nodes[i];

        for (size_t j = 0; j < w->nodes_count && n->life_kind == WORLD_RUNNING; j++) {
            const struct sim_node *other = w->nodes[j];

            if ((island != NULL && other->core != NULL && island[i] != island[j]) ||
                agrees_about(w, island, i, other)) {
                continue;
            }
            if (first != NULL) {
                mu_buf_addf(first, "%s sees %s as %s, which it is not", n->name, other->name,
                            gossip_status_text(world_sees(w, i, other->name)));
            }
            return false;
        }
    }
    return true;
}

bool world_agrees(const struct world *w, struct mu_buf *first)
{
    size_t *island;
    bool agrees = all_agree(w, NULL, NULL);

    if (!agrees) {
        island = mu_new_array(w->nodes_count, sizeof *island);
        islands(w, island);
        agrees = all_agree(w, island, first);
        mu_free(island);
    }
    return agrees;
}
