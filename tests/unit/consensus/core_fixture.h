/* core_fixture.h - one core among peers that exist only as messages. */
#ifndef CORE_FIXTURE_H
#define CORE_FIXTURE_H

#include <string.h>

#include "base/mem.h"
#include "core.h"

static inline struct mu_id fixture_id(uint8_t n)
{
    struct mu_id id = { { 0 } };

    id.b[0] = n;
    return id;
}

static inline struct mu_id fixture_disk(uint8_t n)
{
    return fixture_id((uint8_t)(n + 100));
}

static inline void fixture_options(struct consensus_options *o)
{
    consensus_options_init(o, CONSENSUS_LAN, 1);
    o->server = fixture_id(1);
    o->disk = fixture_disk(1);
}

/* Server 1 of `voters`, with `last` no-ops of term 1 behind the configuration, all applied. */
static inline struct consensus *fixture_core(const struct consensus_options *options,
                                             uint8_t voters, uint64_t last)
{
    struct consensus_config config = { .index = 1,
                                       .level = CONSENSUS_LEVEL_FIRST,
                                       .servers_count = voters };
    const struct consensus_run runs[] = { { 1, 1 } };
    struct consensus_loaded loaded = {
        .hard = { .term = 1, .cluster = fixture_id(77) },
        .runs = runs,
        .runs_count = 1,
        .configs = &config,
        .configs_count = 1,
        .last_index = last,
        .applied = last,
        .durable_applied = last,
        .seed = 1,
    };

    for (uint8_t i = 0; i < voters; i++) {
        config.servers[i].id = fixture_id((uint8_t)(i + 1));
        config.servers[i].disk = fixture_disk((uint8_t)(i + 1));
        config.servers[i].joined_index = 1;
        config.servers[i].is_voter = true;
    }
    struct consensus *c = mu_new(consensus_arena_bytes(options));

    consensus_init(c, options, &loaded, 1000);
    return c;
}

static inline struct consensus_msg
fixture_msg(const struct consensus *c, enum consensus_msg_kind kind, uint8_t from, uint64_t term)
{
    struct consensus_msg m;

    memset(&m, 0, sizeof m);
    m.kind = kind;
    m.from = fixture_id(from);
    m.from_disk = fixture_disk(from);
    m.to = fixture_id(1);
    m.cluster = c->hard.cluster;
    m.term = term;
    return m;
}

static inline void fixture_recv(struct consensus *c, const struct consensus_msg *m,
                                struct consensus_effects *fx)
{
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_RECV, .msg = m };

    consensus_step(c, &ev, fx);
    consensus__check(c);
}

static inline void fixture_wake(struct consensus *c, uint64_t now_ms, struct consensus_effects *fx)
{
    consensus_step(c, &(struct consensus_event){ .now_ms = now_ms, .kind = CONSENSUS_EV_WAKE }, fx);
    consensus__check(c);
}

/* Everything that was submitted is durable. */
static inline void fixture_persist(struct consensus *c, struct consensus_effects *fx)
{
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_PERSISTED };

    ev.persisted_seq = c->writes.next_seq - 1;
    consensus_step(c, &ev, fx);
    consensus__check(c);
}

/* The quickest way into office: everybody says yes. */
static inline void fixture_elect(struct consensus *c, uint8_t voters)
{
    struct consensus_effects fx;

    c->election_at_ms = c->now_ms;
    fixture_wake(c, c->now_ms, &fx);
    for (uint8_t i = 2; i <= voters; i++) {
        struct consensus_msg m = fixture_msg(c, CONSENSUS_PREVOTE_RES, i, c->hard.term);

        m.answer.asked_term = c->hard.term + 1;
        m.answer.round = c->round;
        m.answer.is_granted = true;
        fixture_recv(c, &m, &fx);
    }
    fixture_persist(c, &fx);
    for (uint8_t i = 2; i <= voters; i++) {
        struct consensus_msg m = fixture_msg(c, CONSENSUS_VOTE_RES, i, c->hard.term);

        m.answer.asked_term = c->hard.term;
        m.answer.is_granted = true;
        fixture_recv(c, &m, &fx);
    }
    fixture_persist(c, &fx);
}

/* Peer `from` has everything up to `match`. */
static inline void fixture_ack(struct consensus *c, uint8_t from, uint64_t match,
                               struct consensus_effects *fx)
{
    struct mu_id id = fixture_id(from);
    struct consensus_msg m = fixture_msg(c, CONSENSUS_APPEND_RES, from, c->hard.term);

    m.ack.session = consensus__peer_find(c, &id)->session;
    m.ack.match = match;
    m.ack.is_accepted = true;
    fixture_recv(c, &m, fx);
}

static inline void fixture_propose(struct consensus *c, uint64_t ticket, size_t count,
                                   uint32_t bytes, struct consensus_effects *fx)
{
    static struct consensus_proposal all[CONSENSUS_ENTRIES_MAX];
    struct consensus_event ev = { .now_ms = c->now_ms, .kind = CONSENSUS_EV_PROPOSE };

    for (size_t i = 0; i < count; i++) {
        all[i] = (struct consensus_proposal){ .ticket = ticket + i,
                                              .bytes = bytes,
                                              .handle = (uint32_t)(ticket + i) };
    }
    ev.propose.proposals = all;
    ev.propose.count = count;
    consensus_step(c, &ev, fx);
    consensus__check(c);
}

#endif
