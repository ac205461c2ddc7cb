/* The probe cycle: whom, when, what counts, and what it does to our own health (5). */
#include "fixture.h"

#include "base/crc.h"
#include "base/wire.h"

struct probing {
    struct bench b;
    struct mu_arena arena;
    struct gossip__part part;
};

static void probing_open(struct probing *p, unsigned members)
{
    memset(p, 0, sizeof *p);
    mu_arena_init(&p->arena, 1 << 22);
    bench_open(&p->b);
    for (unsigned i = 1; i <= members; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "n%u", i);
        bench_member(&p->b, name, i, GOSSIP__ALIVE);
        gossip__rumor_forget(p->b.g, gossip__member_find(p->b.g, name));
    }
}

static void probing_close(struct probing *p)
{
    bench_close(&p->b);
    mu_arena_deinit(&p->arena);
}

/* Run until a probe has just begun; returns whose. */
static struct gossip__member *next_probe(struct probing *p)
{
    uint64_t before = p->b.g->counters[GOSSIP_COUNT_PROBES];

    while (p->b.g->counters[GOSSIP_COUNT_PROBES] == before) {
        bench_run(&p->b, 1);
    }
    assert_true(p->b.g->probe.stage == GOSSIP__PROBE_DIRECT);
    return p->b.g->probe.target;
}

static void ack(struct probing *p, const struct gossip__member *from);

/* The same of the walk's: what the ring asks after in between answers. */
static struct gossip__member *next_of_walk(struct probing *p)
{
    struct gossip__member *m = next_probe(p);

    while (p->b.g->probe.is_for_ring) {
        ack(p, m);
        m = next_probe(p);
    }
    return m;
}

static void ack(struct probing *p, const struct gossip__member *from)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ACK };

    part.ack.seq = p->b.g->probe.seq;
    bench_packet(&p->b, from->card->name, from->card->addr.ip[3], part);
}

static void nack(struct probing *p, const struct gossip__member *from,
                 enum gossip__evidence evidence)
{
    struct gossip__part part = { .kind = GOSSIP__PART_NACK };

    part.nack.seq = p->b.g->probe.seq;
    part.nack.evidence = evidence;
    bench_packet(&p->b, from->card->name, from->card->addr.ip[3], part);
}

/* How our own dial of the target ends. */
static void dial(struct probing *p, enum gossip_event_kind kind, enum gossip_end end)
{
    struct gossip_event ev = { .kind = kind };

    ev.stream.id = p->b.g->probe.stream;
    ev.stream.end = end;
    ev.stream.text = "as told";
    bench_feed(&p->b, ev);
}

static void go_indirect(struct probing *p)
{
    bench_run(&p->b, p->b.g->profile.probe_timeout_ms);
    assert_true(p->b.g->probe.stage == GOSSIP__PROBE_INDIRECT);
}

/* -- the walk -----------------------------------------------------------------------------------
 */

static void all_are_probed_once_before_anybody_twice(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 7);
    for (unsigned round = 0; round < 5; round++) {
        unsigned seen = 0;

        for (unsigned i = 0; i < 7; i++) {
            struct gossip__member *m = next_of_walk(&p);

            assert_int_equal(seen & 1U << m->card->addr.ip[3], 0);
            seen |= 1U << m->card->addr.ip[3];
            ack(&p, m);
            assert_true(p.b.g->probe.stage == GOSSIP__PROBE_IDLE);
        }
    }
    probing_close(&p);
}

static void one_probe_a_period(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 3);
    ack(&p, next_probe(&p));
    uint64_t first = p.b.now_ms;

    for (unsigned i = 1; i <= 10; i++) {
        ack(&p, next_probe(&p));
        assert_int_equal(p.b.now_ms, first + i * p.b.g->profile.probe_ms);
    }
    probing_close(&p);
}

static void suspects_are_probed_with_the_accusation_and_the_dead_are_not(void **unused)
{
    struct probing p;
    bool was_suspect_probed = false;

    (void)unused;
    probing_open(&p, 3);
    bench_say_dead(&p.b, "n2", 10, "judge");
    bench_say_suspect(&p.b, "n3", 10, "judge", GOSSIP__STALLED);
    for (unsigned i = 0; i < 4; i++) {
        struct gossip__member *m = next_probe(&p);

        assert_string_not_equal(m->card->name, "n2");
        if (m->state == GOSSIP__SUSPECT) {
            was_suspect_probed = true;
            assert_int_equal(bench_sent(&p.b, GOSSIP__PART_PING, &p.arena, &p.part), 1);
            assert_int_equal(bench_sent(&p.b, GOSSIP__PART_SUSPECT, &p.arena, &p.part), 1);
            assert_string_equal(p.part.suspect.node, "n3");
        }
        ack(&p, m);
    }
    assert_true(was_suspect_probed);
    probing_close(&p);
}

static void the_long_dead_leave_the_list(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 2);
    bench_say_dead(&p.b, "n2", 10, "judge");
    uint64_t until = p.b.now_ms + p.b.g->profile.gossip_to_dead_ms + 2000;

    while (p.b.now_ms < until) {
        ack(&p, next_probe(&p));
    }
    struct gossip__member *m = gossip__member_find(p.b.g, "n2");

    assert_false(m->is_listed);
    assert_int_equal(m->status, GOSSIP_STATUS_FAILED); /* users still see it */
    assert_int_equal(p.b.g->list_count, 2);
    bench_say_alive(&p.b, "n2", 2, 10); /* and its number is not forgotten */
    assert_int_equal(m->state, GOSSIP__DEAD);
    probing_close(&p);
}

static void a_leaving_member_is_probed_first_and_gone_when_silent(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 6);
    bench_say_intent(&p.b, "n4", 5, GOSSIP__PART_LEAVE, false);
    struct gossip__member *m = next_probe(&p);

    if (strcmp(m->card->name, "n4") != 0) { /* every other period at the latest */
        ack(&p, m);
        m = next_probe(&p);
    }
    assert_string_equal(m->card->name, "n4");
    while (m->state == GOSSIP__ALIVE) {
        bench_run(&p.b, 1);
    }
    assert_int_equal(m->state, GOSSIP__GONE); /* no suspicion: it announced it */
    assert_int_equal(m->status, GOSSIP_STATUS_LEFT);
    probing_close(&p);
}

/* -- one probe ----------------------------------------------------------------------------------
 */

static void an_unanswered_ping_is_repeated(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 2);
    (void)next_probe(&p);
    uint64_t seq = p.b.g->probe.seq;

    bench_run(&p.b, p.b.g->profile.probe_timeout_ms / 2);
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_PING, &p.arena, &p.part), 1);
    assert_int_equal(p.part.ping.seq, seq | 1ULL << 48); /* the second of the same probe */
    probing_close(&p);
}

/* -- round trips --------------------------------------------------------------------------------
 */

/* The target answers its `send`th ping, `rtt_ns` after that went out, and says to be at `where`. */
static void ack_from_afar(struct probing *p, unsigned send, uint64_t rtt_ns,
                          const struct coordinate *where, bool relayed)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ACK };
    struct gossip__probe *probe = &p->b.g->probe;
    uint64_t now_ns = p->b.now_ms * 1000000;

    probe->sent_ns[send] = now_ns - rtt_ns;
    part.ack.seq = probe->seq | (uint64_t)send << 48;
    part.ack.relayed = relayed;
    part.ack.where = where != NULL ? GOSSIP__GIVEN : GOSSIP__GIVEN_NONE;
    if (where != NULL) {
        part.ack.coordinate = *where;
    }
    bench_packet(&p->b, probe->target->card->name, probe->target->card->addr.ip[3], part);
    assert_int_equal(probe->stage, GOSSIP__PROBE_IDLE); /* an ack it is in any case */
}

static const struct coordinate far_away = { .vec = { 0.01 }, .error = 0.5, .height = 0.001 };

static void an_ack_tells_how_far_its_sender_is(void **unused)
{
    struct probing p;
    struct coordinate at;

    (void)unused;
    probing_open(&p, 2);
    const char *name = next_of_walk(&p)->card->name;

    assert_false(gossip_coordinate(p.b.g, name, &at));
    const struct mu_sample *probes = gossip_sample(p.b.g, GOSSIP_SAMPLE_PROBE);
    const struct mu_sample *moves = gossip_sample(p.b.g, GOSSIP_SAMPLE_ADJUSTMENT);

    assert_true(moves->count == 0);
    uint64_t answered = probes->count;
    double spent = probes->sum;

    p.b.now_ms += 20;
    ack_from_afar(&p, 0, 20000000, &far_away, false);
    assert_true(probes->count == answered + 1 && probes->sum == spent + 20);
    assert_true(moves->count == 1 && moves->sum > 0);
    assert_true(gossip_coordinate(p.b.g, name, &at));
    assert_true(coordinate_eq(&at, &far_away));
    assert_true(gossip_coordinate(p.b.g, "us", &at));
    assert_true(at.error < 1.5 && at.vec[0] < 0); /* pushed away */
    assert_false(gossip_coordinate(p.b.g, "nobody", &at));
    probing_close(&p);
}

static void only_a_straight_answer_is_a_measure(void **unused)
{
    static const struct coordinate nowhere = { .vec = { 1e9 }, .error = 0.5, .height = 0.001 };
    static const struct {
        const char *why;
        unsigned send;
        uint64_t rtt_ns;
        const struct coordinate *where;
        bool relayed;
        uint64_t refused;
    } cases[] = {
        // clang-format off
        { "relayed",                0, 20000000,     &far_away, true,  0 },
        { "a ping never sent",      3, 20000000,     &far_away, false, 0 },
        { "no coordinate in it",    0, 20000000,     NULL,      false, 0 },
        { "nowhere",                0, 20000000,     &nowhere,  false, 1 },
        { "longer than believable", 0, 11000000000U, &far_away, false, 1 },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct probing p;
        struct coordinate at;

        probing_open(&p, 2);
        p.b.now_ms += 20000; /* so that 11 s ago there was a time */
        const char *name = next_of_walk(&p)->card->name;

        ack_from_afar(&p, cases[i].send, cases[i].rtt_ns, cases[i].where, cases[i].relayed);
        if (gossip_coordinate(p.b.g, name, &at) ||
            p.b.g->counters[GOSSIP_COUNT_COORDINATES_REFUSED] != cases[i].refused) {
            fail_msg("%s", cases[i].why);
        }
        probing_close(&p);
    }
}

/* It would pull us as often as all others together, and away from where we are to them. */
static void who_is_asked_after_all_the_time_is_no_measure(void **unused)
{
    struct probing p;
    struct coordinate at;

    (void)unused;
    probing_open(&p, 3);
    const struct gossip__member *m = next_probe(&p);

    assert_true(p.b.g->probe.is_for_ring);
    ack_from_afar(&p, 0, 20000000, &far_away, false);
    assert_false(gossip_coordinate(p.b.g, m->card->name, &at));
    while (next_of_walk(&p) != m) {
        ack(&p, p.b.g->probe.target);
    }
    ack_from_afar(&p, 0, 20000000, &far_away, false);
    assert_true(gossip_coordinate(p.b.g, m->card->name, &at));
    probing_close(&p);
}

static void the_second_ping_is_measured_by_itself(void **unused)
{
    struct probing p;
    struct coordinate at;

    (void)unused;
    probing_open(&p, 2);
    const char *name = next_of_walk(&p)->card->name;

    bench_run(&p.b, p.b.g->profile.probe_timeout_ms / 2);
    ack_from_afar(&p, 1, 20000000, &far_away, false);
    assert_true(gossip_coordinate(p.b.g, name, &at));
    assert_true(gossip__member_find(p.b.g, name)->dealings->distance->filter.samples[0] < 0.021);
    probing_close(&p);
}

static void the_dead_are_measured_anew(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 2);
    struct gossip__member *m = next_of_walk(&p);

    ack_from_afar(&p, 0, 20000000, &far_away, false);
    assert_int_equal(m->dealings->distance->filter.count, 1);
    gossip__conclude_dead(p.b.g, m, false);
    assert_int_equal(m->dealings->distance->filter.count, 0);
    probing_close(&p);
}

static void coordinates_can_be_turned_off(void **unused)
{
    struct probing p;
    struct coordinate at;
    struct gossip__part ping = { .kind = GOSSIP__PART_PING, .ping = { .seq = 8, .target = "us" } };

    (void)unused;
    for (int off = 0; off < 2; off++) {
        probing_open(&p, 2);
        p.b.g->has_coordinates = off == 0;
        bench_packet(&p.b, "n1", 1, ping);
        assert_int_equal(bench_sent(&p.b, GOSSIP__PART_ACK, &p.arena, &p.part), 1);
        assert_int_equal(p.part.ack.where, off == 0 ? GOSSIP__GIVEN : GOSSIP__GIVEN_NONE);
        assert_int_equal(gossip_coordinate(p.b.g, "us", &at), off == 0);
        (void)next_of_walk(&p);
        ack_from_afar(&p, 0, 20000000, &far_away, false);
        assert_int_equal(p.b.g->vivaldi.at.error < 1.5, off == 0);
        probing_close(&p);
    }
}

/* -- ways that carry nothing --------------------------------------------------------------------
 */

struct seen {
    unsigned count;
    struct gossip_link last;
};

static void see(void *data, const struct gossip_link *link)
{
    struct seen *s = data;

    s->count++;
    s->last = *link;
}

static struct seen broken_links(struct probing *p)
{
    struct seen s = { .count = 0 };

    gossip_each_broken_link(p->b.g, see, &s);
    return s;
}

/* The target's next probe is answered through the other member's help only. */
static void miss(struct probing *p, struct gossip__member *m, const struct gossip__member *helper)
{
    struct gossip__part relayed = { .kind = GOSSIP__PART_ACK };

    while (next_probe(p) != m) {
        ack(p, p->b.g->probe.target);
    }
    go_indirect(p);
    relayed.ack.seq = p->b.g->probe.seq;
    relayed.ack.relayed = true;
    bench_packet(&p->b, helper->card->name, helper->card->addr.ip[3], relayed);
    assert_int_equal(p->b.g->probe.stage, GOSSIP__PROBE_IDLE);
}

static void two_missed_probes_name_the_direction(void **unused)
{
    struct probing p;
    struct gossip__part nothing = { .kind = GOSSIP__PART_ACK };

    (void)unused;
    probing_open(&p, 2);
    struct gossip__member *m = gossip__member_find(p.b.g, "n1");
    struct gossip__member *other = gossip__member_find(p.b.g, "n2");

    miss(&p, m, other);
    assert_int_equal(broken_links(&p).count, 0); /* once is an accident */
    miss(&p, m, other);
    p.b.now_ms++;
    bench_packet(&p.b, m->card->name, m->card->addr.ip[3],
                 nothing); /* it is heard: ours do not arrive */
    struct seen s = broken_links(&p);

    assert_int_equal(s.count, 1);
    assert_string_equal(s.last.name, "n1");
    assert_true(s.last.is_heard && s.last.missed == 2);

    while (next_probe(&p) != m) {
        ack(&p, p.b.g->probe.target);
    }
    ack(&p, m); /* straight: all is well again */
    assert_int_equal(broken_links(&p).count, 0);

    p.b.now_ms++;
    miss(&p, m, other); /* and now it is silent, for as long as two walks of three take */
    uint64_t until = p.b.now_ms + 2ULL * 3 * 2 * p.b.g->profile.probe_ms;
    unsigned missed = 1;

    while (p.b.now_ms < until) {
        assert_int_equal(broken_links(&p).count, 0);
        miss(&p, m, other);
        missed++;
    }
    s = broken_links(&p);
    assert_int_equal(s.count, 1);
    assert_false(s.last.is_heard);
    assert_int_equal(s.last.missed, missed);
    probing_close(&p);
}

/* -- helpers ------------------------------------------------------------------------------------
 */

static void helpers_are_asked_in_time_for_their_nack(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 6);
    (void)next_probe(&p);
    go_indirect(&p);
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_INDIRECT, &p.arena, &p.part), 3);
    assert_int_equal(p.part.indirect.nack_after_ms, 200); /* 80 % of 250 */
    assert_true(p.part.indirect.want_nack);
    assert_string_equal(p.part.indirect.origin, "us");
    assert_int_equal(p.b.fx.streams[0].verb, GOSSIP_STREAM_OPEN); /* and we dial ourselves */
    probing_close(&p);
}

static void what_saves_a_member(void **unused)
{
    static const struct {
        const char *why;
        bool late, by_helper;
    } rows[] = {
        // clang-format off
        { "an ack in time",        false, false },
        { "a late direct ack",     true,  false },
        { "a relayed ack",         true,  true },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct probing p;

        probing_open(&p, 4);
        p.b.g->health = 1;
        struct gossip__member *m = next_probe(&p);

        if (rows[r].late) {
            go_indirect(&p);
        }
        ack(&p, rows[r].by_helper ? p.b.g->probe.helpers[0] : m);
        if (p.b.g->probe.stage != GOSSIP__PROBE_IDLE || m->state != GOSSIP__ALIVE ||
            p.b.g->health != 0) {
            fail_msg("%s did not", rows[r].why);
        }
        probing_close(&p);
    }
}

static void tcp_alone_keeps_it_alive_and_says_so(void **unused)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_DATA };
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_PART };
    struct probing p;

    (void)unused;
    probing_open(&p, 1);
    struct gossip__member *m = next_probe(&p);

    go_indirect(&p);
    dial(&p, GOSSIP_EV_STREAM_OPENED, GOSSIP_END_EOF);
    assert_int_equal(p.b.fx.streams_count, 3); /* header, hello, ping */
    frame.part.kind = GOSSIP__PART_ACK;
    frame.part.ack.seq = p.b.g->probe.seq;
    (void)gossip__part_encode(&frame.part, &p.arena);
    struct mu_span payload = gossip__frame_encode(&frame, &p.arena);
    uint8_t bytes[128];
    struct mu_wr w = mu_wr_of(bytes, sizeof bytes);

    w.used = GOSSIP__HEADER_BYTES;
    gossip__header_write(p.b.g, 8, MU_SPAN_NONE, bytes);
    mu_wr_u32be(&w, (uint32_t)payload.bytes);
    mu_wr_u32be(&w, mu_crc32c(0, payload.data, payload.bytes));
    mu_wr_span(&w, payload);
    ev.stream.id = p.b.g->probe.stream;
    ev.stream.data = mu_wr_done(&w);
    bench_feed(&p.b, ev);
    bench_run(&p.b, 250); /* to the end of the period */
    assert_int_equal(m->state, GOSSIP__ALIVE);
    assert_int_equal(p.b.g->counters[GOSSIP_COUNT_PROBES_TCP_ONLY], 1);
    assert_non_null(strstr(mu_buf_text(&p.b.log),
                           "memberlist: Was able to connect to n1 over TCP but UDP probes failed, "
                           "network may be misconfigured"));
    probing_close(&p);
}

/* What is known when the period ends, and what follows from it. */
static void evidence_and_health(void **unused)
{
    static const struct {
        const char *why;
        unsigned members;
        int dial; /* -1: never answered; 0: opened only; 1: refused */
        unsigned nacks;
        enum gossip__evidence nack_evidence;
        bool at_once;
        enum gossip__evidence evidence;
        unsigned health;
    } rows[] = {
        // clang-format off
        { "nothing at all, helpers silent: we may be deaf", 4, -1, 0, GOSSIP__SILENT,  false, GOSSIP__SILENT,  3 },
        { "helpers are fine, so are we",                    4, -1, 3, GOSSIP__SILENT,  false, GOSSIP__SILENT,  0 },
        { "one nack is missing",                            4, -1, 2, GOSSIP__SILENT,  false, GOSSIP__SILENT,  1 },
        { "the kernel accepts, nobody answers",             4, 0,  3, GOSSIP__SILENT,  false, GOSSIP__STALLED, 0 },
        { "a helper saw it stall",                          4, -1, 1, GOSSIP__STALLED, false, GOSSIP__STALLED, 2 },
        { "refused, and a helper says so: at once",         4, 1,  1, GOSSIP__REFUSED, true,  GOSSIP__REFUSED, 0 },
        { "refused to us, silent to others: wait",          4, 1,  3, GOSSIP__SILENT,  false, GOSSIP__SILENT,  0 },
        { "refused, nobody to ask: at once",                1, 1,  0, GOSSIP__SILENT,  true,  GOSSIP__REFUSED, 0 },
        { "silent, nobody to ask",                          1, -1, 0, GOSSIP__SILENT,  false, GOSSIP__SILENT,  1 },
        { "only a helper was refused",                      4, -1, 3, GOSSIP__REFUSED, false, GOSSIP__SILENT,  0 },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct probing p;

        probing_open(&p, rows[r].members);
        struct gossip__member *m = next_probe(&p);
        struct gossip__member *helpers[GOSSIP__HELPERS_MAX];

        go_indirect(&p);
        memcpy(helpers, p.b.g->probe.helpers, sizeof helpers);
        if (rows[r].dial >= 0) {
            dial(&p, rows[r].dial == 0 ? GOSSIP_EV_STREAM_OPENED : GOSSIP_EV_STREAM_CLOSED,
                 GOSSIP_END_REFUSED);
        }
        for (unsigned i = 0; i < rows[r].nacks; i++) {
            nack(&p, helpers[i], rows[r].nack_evidence);
            nack(&p, helpers[i], rows[r].nack_evidence); /* twice is once */
        }
        bool at_once = m->state == GOSSIP__SUSPECT;

        while (p.b.g->counters[GOSSIP_COUNT_PROBES_FAILED] == 0) {
            bench_run(&p.b, 1);
        }
        unsigned health = p.b.g->health;
        bool is_doubted = m->state == GOSSIP__ALIVE;

        while (m->state == GOSSIP__ALIVE) {
            bench_run(&p.b, 1);
        }
        if (at_once != rows[r].at_once || m->dealings->suspicion->evidence != rows[r].evidence ||
            health != rows[r].health || is_doubted != (rows[r].evidence == GOSSIP__STALLED)) {
            fail_msg("%s: at once %d, evidence %d, health %u", rows[r].why, at_once,
                     m->dealings->suspicion->evidence, health);
        }
        probing_close(&p);
    }
}

static void sick_nodes_probe_slower(void **unused)
{
    struct probing p;

    (void)unused;
    probing_open(&p, 1);
    p.b.g->health = 3;
    struct gossip__member *m = next_probe(&p);

    bench_run(&p.b, 1999);
    assert_int_equal(m->state, GOSSIP__ALIVE); /* four times the interval */
    bench_run(&p.b, 1);
    assert_int_equal(m->state, GOSSIP__SUSPECT);
    probing_close(&p);
}

static void errors_of_sending(void **unused)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_SEND_FAILED };
    struct probing p;

    (void)unused;
    probing_open(&p, 2);
    ev.failed.to = next_probe(&p)->card->addr;
    bench_feed(&p.b, ev); /* our own trouble: nobody is accused */
    assert_true(p.b.g->probe.stage == GOSSIP__PROBE_IDLE);
    ev.failed.to = next_probe(&p)->card->addr;
    ev.failed.is_remote = true;
    bench_feed(&p.b, ev); /* nobody there: ask others at once */
    assert_true(p.b.g->probe.stage == GOSSIP__PROBE_INDIRECT);
    probing_close(&p);
}

/* -- the other side -----------------------------------------------------------------------------
 */

static void pings_are_answered_where_they_can_be_reached(void **unused)
{
    struct gossip__part ping = { .kind = GOSSIP__PART_PING, .ping = { .seq = 8, .target = "us" } };
    struct mu_addr public = { .ip = { 8, 8, 8, 8 }, .ip_bytes = 4, .port = 1 };
    struct mu_addr other = bench_addr(77);
    struct mu_addr source = bench_addr(9);
    struct probing p;

    (void)unused;
    probing_open(&p, 1);
    bench_packet(&p.b, "them", 9, ping); /* nothing stated: the source */
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_ACK, &p.arena, &p.part), 1);
    assert_int_equal(p.part.ack.seq, 8);
    assert_true(mu_addr_eq(&p.b.fx.sends[0].to, &source));
    ping.ping.reply_to = other;
    bench_packet(&p.b, "them", 9, ping);
    assert_true(mu_addr_eq(&p.b.fx.sends[0].to, &other));
    ping.ping.reply_to = public;
    bench_packet(&p.b, "them", 9, ping);
    assert_true(mu_addr_eq(&p.b.fx.sends[0].to, &public));
    ping.ping.reply_to = (struct mu_addr){ .ip = { 127, 0, 0, 1 }, .ip_bytes = 4, .port = 1 };
    bench_packet(&p.b, "them", 9, ping);
    assert_true(mu_addr_eq(&p.b.fx.sends[0].to, &source));
    probing_close(&p);
}

static void a_ping_for_another_name_is_told_so(void **unused)
{
    struct gossip__part ping = { .kind = GOSSIP__PART_PING,
                                 .ping = { .seq = 8, .target = "somebody" } };
    struct probing p;

    (void)unused;
    probing_open(&p, 1);
    bench_packet(&p.b, "them", 9, ping);
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_ACK, &p.arena, &p.part), 0);
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_ERROR, &p.arena, &p.part), 1);
    assert_int_equal(p.part.error.code, GOSSIP__ERROR_WRONG_NODE);
    assert_string_equal(p.part.error.text, "us");
    probing_close(&p);
}

static void a_helper_relays_acks_and_says_nack_in_time(void **unused)
{
    struct gossip__part ask = { .kind = GOSSIP__PART_INDIRECT };
    struct mu_addr target = bench_addr(50);
    struct probing p;

    (void)unused;
    probing_open(&p, 1);
    ask.indirect = (struct gossip__indirect){ .seq = 70,
                                              .target = target,
                                              .target_name = "far",
                                              .origin = "them",
                                              .want_nack = true,
                                              .nack_after_ms = 200 };
    bench_packet(&p.b, "them", 9, ask);
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_PING, &p.arena, &p.part), 1);
    assert_true(p.part.ping.seq != 70); /* a number of our own */
    struct gossip__part answer = { .kind = GOSSIP__PART_ACK, .ack = { .seq = p.part.ping.seq } };

    p.b.now_ms += 200;
    bench_feed(&p.b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_NACK, &p.arena, &p.part), 1);
    assert_int_equal(p.part.nack.seq, 70);
    assert_int_equal(p.part.nack.evidence, GOSSIP__SILENT);
    bench_packet(&p.b, "far", 50, answer); /* late, but still worth telling */
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_ACK, &p.arena, &p.part), 1);
    assert_int_equal(p.part.ack.seq, 70);
    assert_true(p.part.ack.relayed);
    assert_int_equal(p.b.g->inquiries_count, 0);
    probing_close(&p);
}

static void a_refused_dial_is_a_nack_at_once(void **unused)
{
    struct gossip__part ask = { .kind = GOSSIP__PART_INDIRECT };
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_CLOSED };
    struct probing p;

    (void)unused;
    probing_open(&p, 1);
    ask.indirect = (struct gossip__indirect){ .seq = 70,
                                              .target = bench_addr(50),
                                              .target_name = "far",
                                              .origin = "them",
                                              .want_nack = true,
                                              .nack_after_ms = 200 };
    bench_packet(&p.b, "them", 9, ask);
    assert_int_equal(p.b.fx.streams_count, 1);
    ev.stream.id = p.b.fx.streams[0].id;
    ev.stream.end = GOSSIP_END_REFUSED;
    ev.stream.text = "connect: connection refused";
    bench_feed(&p.b, ev);
    assert_int_equal(bench_sent(&p.b, GOSSIP__PART_NACK, &p.arena, &p.part), 1);
    assert_int_equal(p.part.nack.evidence, GOSSIP__REFUSED);
    probing_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_probed_once_before_anybody_twice),
        cmocka_unit_test(one_probe_a_period),
        cmocka_unit_test(suspects_are_probed_with_the_accusation_and_the_dead_are_not),
        cmocka_unit_test(the_long_dead_leave_the_list),
        cmocka_unit_test(a_leaving_member_is_probed_first_and_gone_when_silent),
        cmocka_unit_test(an_unanswered_ping_is_repeated),
        cmocka_unit_test(an_ack_tells_how_far_its_sender_is),
        cmocka_unit_test(only_a_straight_answer_is_a_measure),
        cmocka_unit_test(who_is_asked_after_all_the_time_is_no_measure),
        cmocka_unit_test(the_second_ping_is_measured_by_itself),
        cmocka_unit_test(the_dead_are_measured_anew),
        cmocka_unit_test(coordinates_can_be_turned_off),
        cmocka_unit_test(two_missed_probes_name_the_direction),
        cmocka_unit_test(helpers_are_asked_in_time_for_their_nack),
        cmocka_unit_test(what_saves_a_member),
        cmocka_unit_test(tcp_alone_keeps_it_alive_and_says_so),
        cmocka_unit_test(evidence_and_health),
        cmocka_unit_test(sick_nodes_probe_slower),
        cmocka_unit_test(errors_of_sending),
        cmocka_unit_test(pings_are_answered_where_they_can_be_reached),
        cmocka_unit_test(a_ping_for_another_name_is_told_so),
        cmocka_unit_test(a_helper_relays_acks_and_says_nack_in_time),
        cmocka_unit_test(a_refused_dial_is_a_nack_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
