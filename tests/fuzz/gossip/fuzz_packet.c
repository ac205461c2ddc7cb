/* fuzz_packet.c - datagrams into a core that knows a few members.
 *
 * Input: records of two bytes of length and as many bytes. The top bit of the length says that the
 * record is a whole datagram; else it is a body, and gets a good header. Between records time
 * passes, so that probes, suspicions and claims run on what was said.
 */
#include <string.h>

#include "base/wire.h"
#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

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

static void feed(struct gossip *g, uint64_t now_ms, struct gossip_event ev)
{
    struct gossip_effects fx;

    ev.now_ms = now_ms;
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
    part.alive.node_id.b[0] = host;
    gossip__on_alive(g, &part.alive, gossip__part_encode(&part, &g->step), &src);
}

static void packet(struct gossip *g, uint64_t now_ms, struct mu_span record, bool is_whole)
{
    static uint8_t datagram[GOSSIP__HEADER_BYTES + UINT16_MAX];
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };
    size_t head = is_whole ? 0 : GOSSIP__HEADER_BYTES;

    if (!is_whole) {
        gossip__header_write(g, 0, record, datagram);
    }
    if (record.bytes > 0) {
        memcpy(datagram + head, record.data, record.bytes);
    }
    ev.packet.from = addr_of(1);
    ev.packet.data = mu_span_of(datagram, head + record.bytes);
    feed(g, now_ms, ev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_rd r = mu_rd_of(mu_span_of(data, bytes));
    struct gossip *g = core_new();
    uint64_t now_ms = 1000;

    feed(g, now_ms, (struct gossip_event){ .kind = GOSSIP_EV_START });
    meet(g, "a", 1);
    meet(g, "b", 2);
    meet(g, "c", 3);
    while (r.left >= 2 && now_ms < 60000) {
        uint16_t length = mu_rd_u16be(&r);
        size_t count = length & 0x7fff;

        packet(g, now_ms, mu_rd_take(&r, count < r.left ? count : r.left), length >> 15 != 0);
        now_ms += 50;
        feed(g, now_ms, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    }
    for (unsigned i = 0; i < 20; i++) {
        now_ms += 100;
        feed(g, now_ms, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    }
    gossip_free(g);
    return 0;
}
