/* fuzz_stream.c - bytes on a stream, whoever opened it.
 *
 * Input: a byte that chooses the stream (accepted; our join; our periodic exchange; our TCP ping;
 * our farewell; our large answer), then records of two bytes of length and as many bytes. The top
 * bit of the length says that the record is sent raw; else it is a message, and gets a good frame
 * around it.
 */
#include <string.h>

#include "base/crc.h"
#include "base/wire.h"
#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum kind { ACCEPTED, JOIN, PERIODIC, PING, FAREWELL, ANSWER, KINDS };

static struct mu_addr addr_of(uint8_t host)
{
    return (struct mu_addr){ .ip = { 10, 0, 0, host }, .ip_bytes = 4, .port = 7946 };
}

static struct gossip *core_new(void)
{
    struct gossip_options options = { .name = "us",
                                      .node_id.b[0] = 200,
                                      .boot_id = 7,
                                      .pool = "fuzz/lan",
                                      .advertise = addr_of(200),
                                      .profile = gossip_profile_lan,
                                      .incarnation = 1000,
                                      .seed = 1 };
    struct gossip *g = NULL;

    MU_ASSERT(gossip_new(&g, &options, NULL) == MU_OK);
    return g;
}

static void feed(struct gossip *g, struct gossip_event ev)
{
    struct gossip_effects fx;

    gossip_step(g, &ev, &fx);
    gossip__check(g);
}

static void meet(struct gossip *g, const char *name, uint8_t host)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct gossip__source src = { .addr = MU_ADDR_NONE };

    part.alive = (struct gossip__alive){ .node = name,
                                         .incarnation = 10,
                                         .boot_id = host,
                                         .at = addr_of(host),
                                         .versions = { 1, 1, 1, 1, 1, 1 } };
    gossip__on_alive(g, &part.alive, gossip__part_encode(&part, &g->step), &src);
}

/* A query of ours that takes large answers: what comes on an accepted stream may be one. */
static void ask(struct gossip *g, uint64_t now_ms)
{
    struct gossip_query_params params = { .name = "much", .takes_large = true };
    struct gossip_event ev = { .now_ms = now_ms, .kind = GOSSIP_EV_QUERY };

    ev.query.id = 1;
    ev.query.params = &params;
    feed(g, ev);
    struct gossip__asked *a = MU_CONTAINER(g->queries.asked.next, struct gossip__asked, link);

    a->ltime = a->id = 1; /* so that the corpus can name it */
}

/* We are asked by "a", and have more to say than a datagram takes: a stream begins. */
static void answer(struct gossip *g, uint64_t now_ms)
{
    static const uint8_t payload[2000];
    struct gossip__part part = { .kind = GOSSIP__PART_QUERY };
    struct gossip__source src = { .addr = MU_ADDR_NONE };
    struct gossip_event ev = { .now_ms = now_ms, .kind = GOSSIP_EV_RESPOND };

    part.query = (struct gossip__query){ .ltime = 1,
                                         .id = 1,
                                         .origin = addr_of(1),
                                         .origin_node = "a",
                                         .flags = GOSSIP__QUERY_LARGE,
                                         .timeout_ms = 2000,
                                         .name = "much" };
    gossip__on_query(g, &part.query, gossip__part_encode(&part, &g->step), &src);
    ev.respond.ltime = 1;
    ev.respond.id = 1;
    ev.respond.payload = mu_span_of(payload, sizeof payload);
    feed(g, ev);
    feed(g, (struct gossip_event){ .now_ms = now_ms, .kind = GOSSIP_EV_WAKE });
    MU_ASSERT(g->queries.large_streams == 1);
}

/* Returns the id of the stream that is open afterwards. */
static uint32_t stream_open(struct gossip *g, enum kind kind, uint64_t now_ms)
{
    struct gossip_target target = { .given = "a", .addr = addr_of(9) };
    struct gossip_event ev = { .now_ms = now_ms, .kind = GOSSIP_EV_STREAM_ACCEPTED };
    struct mu_addr to = addr_of(9);

    switch (kind) {
    case ACCEPTED:
    case KINDS:
        ask(g, now_ms);
        ev.stream.id = 2;
        ev.stream.from = addr_of(1);
        feed(g, ev);
        return 2;
    case JOIN:
        ev.kind = GOSSIP_EV_JOIN;
        ev.join.id = 1;
        ev.join.targets = &target;
        ev.join.targets_count = 1;
        feed(g, ev);
        break;
    case PERIODIC: gossip__sync_start(g, &to, 0); break;
    case PING: (void)gossip__dial(g, 77, "a", &to); break;
    case FAREWELL:
        ev.kind = GOSSIP_EV_LEAVE;
        ev.leave.id = 1;
        feed(g, ev);
        break;
    case ANSWER: answer(g, now_ms); break;
    }
    ev = (struct gossip_event){ .now_ms = now_ms, .kind = GOSSIP_EV_STREAM_OPENED };
    ev.stream.id = g->stream_id;
    feed(g, ev);
    return g->stream_id;
}

static void send(struct gossip *g, uint32_t id, uint64_t now_ms, struct mu_span bytes)
{
    struct gossip_event ev = { .now_ms = now_ms, .kind = GOSSIP_EV_STREAM_DATA };

    ev.stream.id = id;
    ev.stream.data = bytes;
    feed(g, ev);
}

static void record(struct gossip *g, uint32_t id, uint64_t now_ms, struct mu_span r, bool is_raw)
{
    static uint8_t frame[8 + UINT16_MAX];
    struct mu_wr w = mu_wr_of(frame, sizeof frame);

    if (!is_raw) {
        mu_wr_u32be(&w, (uint32_t)r.bytes);
        mu_wr_u32be(&w, mu_crc32c(0, r.data, r.bytes));
    }
    mu_wr_span(&w, r);
    send(g, id, now_ms, mu_wr_done(&w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_rd r = mu_rd_of(mu_span_of(data, bytes));
    struct gossip *g = core_new();
    uint8_t head[GOSSIP__HEADER_BYTES];
    uint64_t now_ms = 1000;
    enum kind kind = (enum kind)(mu_rd_u8(&r) % KINDS);

    feed(g, (struct gossip_event){ .now_ms = now_ms, .kind = GOSSIP_EV_START });
    meet(g, "a", 1);
    meet(g, "b", 2);
    uint32_t id = stream_open(g, kind, now_ms);

    gossip__header_write(g, 8, MU_SPAN_NONE, head);
    send(g, id, now_ms, mu_span_of(head, sizeof head));
    while (r.left >= 2 && now_ms < 5000) {
        uint16_t length = mu_rd_u16be(&r);
        size_t count = length & 0x7fff;

        record(g, id, now_ms, mu_rd_take(&r, count < r.left ? count : r.left), length >> 15 != 0);
        now_ms += 20;
        feed(g, (struct gossip_event){ .now_ms = now_ms, .kind = GOSSIP_EV_WAKE });
    }
    struct gossip_event closed = { .now_ms = now_ms, .kind = GOSSIP_EV_STREAM_CLOSED };

    closed.stream.id = id;
    closed.stream.text = "EOF";
    feed(g, closed);
    for (unsigned i = 0; i < 10; i++) {
        now_ms += 200;
        feed(g, (struct gossip_event){ .now_ms = now_ms, .kind = GOSSIP_EV_WAKE });
    }
    gossip_free(g);
    return 0;
}
