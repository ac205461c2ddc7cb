/* Any bytes to a living core: raw datagrams and streams, and such that pass the clear header and
 * the checksums, so that the decoders behind them and the rules behind those are met. The input is
 * a list of orders: one byte what, two bytes how long, the bytes.
 *
 * Nothing may crash, and the core's own invariants (gossip__check) hold after every step, whatever a
 * stranger says. fuzz_packet and fuzz_stream go deeper where a member speaks.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/wire.h"
#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define STREAM_FLAG 8
#define ORDERS_MAX  64

struct world {
    struct gossip *g;
    uint64_t now_ms;
    uint32_t next_stream;
};

static void feed(struct world *w, struct gossip_event *ev)
{
    struct gossip_effects fx;

    ev->now_ms = w->now_ms;
    gossip_step(w->g, ev, &fx);
    gossip__check(w->g);
    MU_ASSERT(fx.wake_at_ms == 0 || fx.wake_at_ms >= w->now_ms);
    for (size_t i = 0; i < fx.sends_count; i++) {
        MU_ASSERT(fx.sends[i].data.bytes <= MU_GOSSIP_PACKET_MAX);
    }
}

static void packet(struct world *w, struct mu_span bytes)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

    MU_ASSERT(mu_addr_parse(MU_SPAN_LIT("127.0.0.2:8301"), 0, &ev.packet.from, NULL) == MU_OK);
    ev.packet.data = bytes;
    feed(w, &ev);
}

static void framed_packet(struct world *w, struct mu_span body)
{
    struct mu_buf whole = MU_BUF_NONE;
    uint8_t header[GOSSIP__HEADER_BYTES];

    gossip__header_write(w->g, 0, body, header);
    mu_buf_add(&whole, header, sizeof header);
    mu_buf_add_span(&whole, body);
    packet(w, mu_buf_span(&whole));
    mu_buf_deinit(&whole);
}

static void stream(struct world *w, struct mu_span bytes)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };

    w->next_stream += 2;
    ev.stream.id = w->next_stream;
    MU_ASSERT(mu_addr_parse(MU_SPAN_LIT("127.0.0.2:40000"), 0, &ev.stream.from, NULL) == MU_OK);
    feed(w, &ev);
    ev = (struct gossip_event){ .kind = GOSSIP_EV_STREAM_DATA };
    ev.stream.id = w->next_stream;
    ev.stream.data = bytes;
    feed(w, &ev);
    ev = (struct gossip_event){ .kind = GOSSIP_EV_STREAM_CLOSED };
    ev.stream.id = w->next_stream;
    ev.stream.end = GOSSIP_END_EOF;
    ev.stream.text = "EOF";
    feed(w, &ev);
}

/* The bytes as frames of one stream: each at most 200 of them. */
static void framed_stream(struct world *w, struct mu_span bytes)
{
    struct mu_buf whole = MU_BUF_NONE;
    uint8_t header[GOSSIP__HEADER_BYTES];

    gossip__header_write(w->g, STREAM_FLAG, MU_SPAN_NONE, header);
    mu_buf_add(&whole, header, sizeof header);
    while (bytes.bytes > 0) {
        struct mu_span frame = mu_span_sub(bytes, 0, 200);
        uint8_t head[8];
        struct mu_wr wr = mu_wr_of(head, sizeof head);

        mu_wr_u32be(&wr, (uint32_t)frame.bytes);
        mu_wr_u32be(&wr, mu_crc32c(0, frame.data, frame.bytes));
        mu_buf_add(&whole, head, sizeof head);
        mu_buf_add_span(&whole, frame);
        bytes = mu_span_sub(bytes, frame.bytes, bytes.bytes);
    }
    stream(w, mu_buf_span(&whole));
    mu_buf_deinit(&whole);
}

static void wake(struct world *w, size_t bytes)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_WAKE };

    w->now_ms += 1 + bytes % 2000;
    feed(w, &ev);
}

static void order(struct world *w, uint8_t what, struct mu_span bytes)
{
    switch (what % 5) {
    case 0: packet(w, bytes); break;
    case 1: framed_packet(w, bytes); break;
    case 2: stream(w, bytes); break;
    case 3: framed_stream(w, bytes); break;
    default: wake(w, bytes.bytes); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct gossip_options options = {
        .name = "a",
        .boot_id = 1,
        .pool = "dc1/lan",
        .profile = gossip_profile_lan,
        .incarnation = 1,
        .seed = 1,
    };
    struct world w = { .now_ms = 1000 };
    struct mu_rd r = mu_rd_of(mu_span_of(data, bytes));
    struct gossip_event start = { .kind = GOSSIP_EV_START };

    MU_ASSERT(mu_addr_parse(MU_SPAN_LIT("127.0.0.1:8301"), 0, &options.advertise, NULL) == MU_OK);
    MU_ASSERT(gossip_new(&w.g, &options, NULL) == MU_OK);
    feed(&w, &start);
    for (unsigned i = 0; i < ORDERS_MAX && r.left >= 3; i++) {
        uint8_t what = mu_rd_u8(&r);
        size_t wanted = mu_rd_u16le(&r);

        order(&w, what, mu_rd_take(&r, wanted < r.left ? wanted : r.left));
    }
    gossip_free(w.g);
    return 0;
}
