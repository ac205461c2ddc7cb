/* mitchellh/hashstructure, version 1, as the specification describes it: FNV-1 over bytes,
 * `ordered` for lists and pairs, exclusive-or for the members of structs and maps.
 */
#include "content_hash.h"

#include <inttypes.h>
#include <stdio.h>

#define FNV_BASIS 14695981039346656037U
#define FNV_PRIME 1099511628211U

static uint64_t fnv(uint64_t h, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        h = h * FNV_PRIME ^ data[i];
    }
    return h;
}

static uint64_t fnv_u64(uint64_t h, uint64_t v)
{
    uint8_t le[8];

    for (size_t i = 0; i < sizeof le; i++) {
        le[i] = (uint8_t)(v >> (8 * i));
    }
    return fnv(h, le, sizeof le);
}

static uint64_t of_text(struct mu_span s)
{
    return fnv(FNV_BASIS, s.data, s.bytes);
}

static uint64_t of_int(int64_t v)
{
    return fnv_u64(FNV_BASIS, (uint64_t)v);
}

static uint64_t of_bool(bool v)
{
    uint8_t byte = v;

    return fnv(FNV_BASIS, &byte, 1);
}

/* A pair whose order counts. */
static uint64_t ordered(uint64_t a, uint64_t b)
{
    return fnv_u64(fnv_u64(FNV_BASIS, a), b);
}

static uint64_t field(const char *name, uint64_t value)
{
    return ordered(of_text(mu_span_text(name)), value);
}

static uint64_t of_texts(const struct mu_texts *t)
{
    uint64_t h = 0;

    for (size_t i = 0; i < t->count; i++) {
        h = ordered(h, of_text(t->items[i]));
    }
    return h;
}

static uint64_t of_pairs(const struct mu_pairs *p)
{
    uint64_t h = 0;

    for (size_t i = 0; i < p->count; i++) {
        h ^= ordered(of_text(p->items[i].key), of_text(p->items[i].value));
    }
    return h;
}

static uint64_t of_tagged(const struct service_definition *d)
{
    uint64_t h = 0;

    for (size_t i = 0; i < d->tagged_addresses_count; i++) {
        const struct service_tagged_definition *t = &d->tagged_addresses[i];
        uint64_t value = of_text(MU_SPAN_LIT("ServiceAddress"));

        value ^= field("Address", of_text(t->address)) ^ field("Port", of_int(t->port));
        h ^= ordered(of_text(t->name), value);
    }
    return h;
}

static uint64_t of_weights(const struct service_definition *d)
{
    return of_text(MU_SPAN_LIT("AgentWeights")) ^ field("Passing", of_int(d->weight_passing)) ^
           field("Warning", of_int(d->weight_warning));
}

/* Proxies: any stable hash will do. */
static uint64_t of_json(struct mu_span json)
{
    return json.bytes > 0 ? of_text(json) : of_int(0);
}

void content_hash(const struct service_definition *d, char out[CONTENT_HASH_TEXT_MAX])
{
    uint64_t h = of_text(MU_SPAN_LIT("AgentService"));

    h ^= field("Kind", of_text(d->kind));
    h ^= field("ID", of_text(d->id));
    h ^= field("Service", of_text(d->name));
    h ^= field("Tags", of_texts(&d->tags));
    h ^= field("Meta", of_pairs(&d->meta));
    h ^= field("Port", of_int(d->port));
    h ^= field("Address", of_text(d->address));
    h ^= field("TaggedAddresses", of_tagged(d));
    h ^= field("Weights", of_weights(d));
    h ^= field("EnableTagOverride", of_bool(d->enable_tag_override));
    h ^= field("CreateIndex", of_int(0));
    h ^= field("ModifyIndex", of_int(0));
    h ^= field("ContentHash", of_text(MU_SPAN_NONE));
    h ^= field("Proxy", of_json(d->proxy));
    h ^= field("Connect", of_json(d->connect));
    (void)snprintf(out, CONTENT_HASH_TEXT_MAX, "%" PRIx64, h);
}
