/* fixture.h - one core by itself, fed by hand: for unit tests that look inside. */
#ifndef TESTS_GOSSIP_FIXTURE_H
#define TESTS_GOSSIP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "core.h"

#define START_MS 1000
#define OWN      1000 /* our incarnation at first */

struct bench {
    struct gossip *g;
    struct gossip_effects fx; /* of the last step */
    struct mu_buf log;
    uint64_t now_ms;
};

static void bench_log(void *data, enum mu_log_level level, const char *fmt, va_list args)
    MU_PRINTF(3, 0);

static void bench_log(void *data, enum mu_log_level level, const char *fmt, va_list args)
{
    struct bench *b = data;

    (void)level;
    mu_buf_vaddf(&b->log, fmt, args);
    mu_buf_add_byte(&b->log, '\n');
}

static inline struct mu_addr bench_addr(unsigned host)
{
    return (struct mu_addr){ .ip = { 10, 0, (uint8_t)(host >> 8), (uint8_t)host },
                             .ip_bytes = 4,
                             .port = 7946 };
}

static inline struct mu_id bench_id(unsigned n)
{
    struct mu_id id = MU_ID_NONE;

    id.b[0] = (uint8_t)n;
    id.b[1] = (uint8_t)(n >> 8);
    id.b[15] = 1;
    return id;
}

static inline struct gossip_options bench_options(struct bench *b)
{
    return (struct gossip_options){ .name = "us",
                                    .node_id = bench_id(200),
                                    .boot_id = 7,
                                    .pool = "test/lan",
                                    .advertise = bench_addr(200),
                                    .profile = gossip_profile_lan,
                                    .incarnation = OWN,
                                    .seed = 1,
                                    .log = bench_log,
                                    .log_data = b };
}

static inline void bench_feed(struct bench *b, struct gossip_event ev)
{
    ev.now_ms = b->now_ms;
    gossip_step(b->g, &ev, &b->fx);
    gossip__check(b->g);
}

static inline void bench_open_with(struct bench *b, const struct gossip_options *options)
{
    b->now_ms = START_MS;
    assert_int_equal(gossip_new(&b->g, options, NULL), MU_OK);
    bench_feed(b, (struct gossip_event){ .kind = GOSSIP_EV_START });
}

static inline void bench_open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    struct gossip_options options = bench_options(b);

    bench_open_with(b, &options);
}

static inline void bench_close(struct bench *b)
{
    gossip_free(b->g);
    mu_buf_deinit(&b->log);
}

/* Let time pass, with a WAKE whenever one is asked for. */
static inline void bench_run(struct bench *b, uint64_t ms)
{
    uint64_t until = b->now_ms + ms;

    while (b->fx.wake_at_ms != 0 && b->fx.wake_at_ms <= until) {
        b->now_ms = b->fx.wake_at_ms > b->now_ms ? b->fx.wake_at_ms : b->now_ms;
        bench_feed(b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    }
    b->now_ms = until;
}

static inline struct gossip__alive bench_alive(const char *node, unsigned host,
                                               uint64_t incarnation)
{
    return (struct gossip__alive){ .node = node,
                                   .incarnation = incarnation,
                                   .boot_id = host,
                                   .at = bench_addr(host),
                                   .versions = { 1, 1, 1, 1, 1, 1 },
                                   .node_id = bench_id(host) };
}

/* A datagram from `from` (at its address) with one part. */
static inline void bench_packet(struct bench *b, const char *from, unsigned host,
                                struct gossip__part part)
{
    struct mu_arena arena;
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };
    struct gossip__packet p = { .from = from, .boot_id = host, .incarnation = 1 << 20 };
    uint8_t datagram[MU_GOSSIP_RECEIVE_MAX];

    mu_arena_init(&arena, 0);
    struct mu_span encoded = gossip__part_encode(&part, &arena);

    p.parts = &encoded;
    p.parts_count = 1;
    struct mu_span body = gossip__packet_encode(&p, &arena);

    gossip__header_write(b->g, 0, body, datagram);
    memcpy(datagram + GOSSIP__HEADER_BYTES, body.data, body.bytes);
    ev.packet.from = bench_addr(host);
    ev.packet.data = mu_span_of(datagram, GOSSIP__HEADER_BYTES + body.bytes);
    bench_feed(b, ev);
    mu_arena_deinit(&arena);
}

static inline void bench_say_alive(struct bench *b, const char *node, unsigned host,
                                   uint64_t incarnation)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    part.alive = bench_alive(node, host, incarnation);
    bench_packet(b, "teller", 100, part);
}

static inline void bench_say_suspect(struct bench *b, const char *node, uint64_t incarnation,
                                     const char *from, enum gossip__evidence evidence)
{
    struct gossip__part part = { .kind = GOSSIP__PART_SUSPECT };

    part.suspect = (struct gossip__suspect){
        .node = node, .from = from, .incarnation = incarnation, .evidence = evidence
    };
    bench_packet(b, "teller", 100, part);
}

static inline void bench_say_dead(struct bench *b, const char *node, uint64_t incarnation,
                                  const char *from)
{
    struct gossip__part part = { .kind = GOSSIP__PART_DEAD };

    part.dead = (struct gossip__dead){ .node = node, .from = from, .incarnation = incarnation };
    bench_packet(b, "teller", 100, part);
}

/* Declared dead by another who had accused it for long enough. */
static inline void bench_bury(struct bench *b, const char *node, uint64_t incarnation,
                              const char *from)
{
    bench_say_suspect(b, node, incarnation, from, GOSSIP__SILENT);
    struct gossip__member *m = gossip__member_find(b->g, node);

    if (m != NULL && m->state == GOSSIP__SUSPECT) {
        assert_true(b->g->now_ms >= b->g->profile.probe_ms);
        gossip__suspicion_backdate(b->g, m, b->g->now_ms - b->g->profile.probe_ms);
    }
    bench_say_dead(b, node, incarnation, from);
}

static inline void bench_say_intent(struct bench *b, const char *node, uint64_t ltime,
                                    enum gossip__part_kind kind, bool prune)
{
    struct gossip__part part = { .kind = kind };

    part.intent = (struct gossip__intent){ .node = node, .ltime = ltime, .prune = prune };
    bench_packet(b, "teller", 100, part);
}

/* Bring a member into a state, at incarnation 10. */
static inline void bench_member(struct bench *b, const char *node, unsigned host,
                                enum gossip__state state)
{
    bench_say_alive(b, node, host, 10);
    if (state == GOSSIP__SUSPECT) {
        bench_say_suspect(b, node, 10, "judge", GOSSIP__SILENT);
    } else if (state == GOSSIP__DEAD) {
        bench_bury(b, node, 10, "judge");
    } else if (state == GOSSIP__GONE) {
        bench_say_dead(b, node, 10, node);
    }
}

/* The datagrams of the last step, decoded: how many parts of one kind, and the last of them. */
static inline size_t bench_sent(const struct bench *b, enum gossip__part_kind kind,
                                struct mu_arena *arena, struct gossip__part *last)
{
    size_t count = 0;

    for (size_t i = 0; i < b->fx.sends_count; i++) {
        struct mu_span data = b->fx.sends[i].data;
        struct gossip__packet p;

        assert_true(
            gossip__packet_decode(mu_span_sub(data, GOSSIP__HEADER_BYTES, data.bytes), arena, &p));
        for (size_t j = 0; j < p.parts_count; j++) {
            struct gossip__part part;

            assert_true(gossip__part_decode(p.parts[j], arena, &part));
            if (part.kind == kind) {
                count++;
                *last = part;
            }
        }
    }
    return count;
}

static inline const char *bench_notices(const struct bench *b)
{
    static const char *const text[] = { "joined", "updated", "failed",   "left",
                                        "reaped", "refuted", "conflict", "unreachable" };
    static char line[512];
    size_t at = 0;

    line[0] = '\0';
    for (size_t i = 0; i < b->fx.notices_count; i++) {
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s %s", i > 0 ? ", " : "",
                               text[b->fx.notices[i].kind], b->fx.notices[i].member.name);
    }
    return line;
}

#endif
