#include "event_codec.h"

#include <string.h>

#include <pb/event.pb-c.h>

#include "proto/pb.h"

#define DECODED_BYTES_MAX 16384 /* a gossip event has at most a datagram */

/* protobuf-c takes bytes as non-const and does not change them when packing. */
static ProtobufCBinaryData bytes_of(const void *data, size_t bytes)
{
    return (ProtobufCBinaryData){ bytes, (uint8_t *)(uintptr_t)data };
}

static char *text_of(struct mu_span text, struct mu_arena *arena)
{
    return mu_arena_text(arena, text.data, text.bytes);
}

bool event_is_reserved(const char *gossip_name)
{
    return strncmp(gossip_name, EVENT_PREFIX, strlen(EVENT_PREFIX)) == 0;
}

void event_encode(const struct agent_event *event, struct mu_buf *to)
{
    Mu__Event__Fired m = MU__EVENT__FIRED__INIT;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    m.id = bytes_of(event->id.b, sizeof event->id.b);
    m.version = event->version;
    m.payload = bytes_of(event->payload.data, event->payload.bytes);
    m.node_filter = text_of(event->node_filter, &arena);
    m.service_filter = text_of(event->service_filter, &arena);
    m.tag_filter = text_of(event->tag_filter, &arena);
    (void)mu_pb_pack(&m.base, to);
    mu_arena_deinit(&arena);
}

enum mu_code event_decode(const char *gossip_name, struct mu_span bytes, struct mu_arena *arena,
                          struct agent_event *out, struct mu_err *err)
{
    const Mu__Event__Fired *m;

    if (arena->bytes_max == 0) {
        arena->bytes_max = DECODED_BYTES_MAX;
    }
    m = event_is_reserved(gossip_name) ? mu_pb_unpack(&mu__event__fired__descriptor, bytes, arena)
                                       : NULL;
    if (m == NULL || m->id.len != sizeof out->id.b) {
        return mu_fail(err, MU_CORRUPT, "malformed event");
    }
    if (m->version > EVENT_VERSION) {
        return mu_fail(err, MU_UNSUPPORTED, "version %u is newer than %d", m->version,
                       EVENT_VERSION);
    }
    *out = (struct agent_event){
        .name = mu_span_text(gossip_name + strlen(EVENT_PREFIX)),
        .payload = mu_span_of(m->payload.data, m->payload.len),
        .node_filter = mu_span_text(m->node_filter),
        .service_filter = mu_span_text(m->service_filter),
        .tag_filter = mu_span_text(m->tag_filter),
        .version = m->version,
    };
    memcpy(out->id.b, m->id.data, sizeof out->id.b);
    return MU_OK;
}
