/* dns_prepared.c - rows of the catalog to records that only need copying.
 *
 * For each instance: is it healthy, which address does it show to whom, what is its SRV target. A
 * service address that leads back to the very service counts as none (6.3). Then the lists: all
 * instances, and one for each tag, each with the number of different records it makes, so that an
 * answer knows when it is complete and whether it was cut.
 */
#include "dns_prepared.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"

/* -- addresses (6.1) --------------------------------------------------------------------------- */

static struct dns_address address_of_ip(const struct mu_addr *a)
{
    struct dns_address out = { .kind = a->ip_bytes == 4 ? DNS_IP4 : DNS_IP6, .bytes = a->ip_bytes };

    memcpy(out.ip, a->ip, a->ip_bytes);
    return out;
}

/* A literal, a host name, or nothing usable. */
static struct dns_address address_of_text(struct mu_arena *arena, struct mu_span text)
{
    struct dns_address none = { .kind = DNS_NO_ADDRESS };
    struct mu_addr ip;
    uint8_t wire[DNS_NAME_MAX];

    if (mu_addr_parse_ip(text, &ip)) {
        return address_of_ip(&ip);
    }
    size_t bytes = dns_host_of_text(text, wire);

    if (bytes == 0) {
        return none;
    }
    return (struct dns_address){
        .kind = DNS_HOST,
        .bytes = (uint8_t)bytes,
        .host = mu_arena_span(arena, mu_span_of(wire, bytes)).data,
    };
}

static struct dns_address literal_of(struct mu_span text, enum dns_address_kind kind)
{
    struct dns_address none = { .kind = DNS_NO_ADDRESS };
    struct mu_addr ip;

    if (mu_addr_parse_ip(text, &ip)) {
        struct dns_address a = address_of_ip(&ip);

        return a.kind == kind ? a : none;
    }
    return none;
}

static struct dns_address first_of(struct dns_address a, struct dns_address b)
{
    return a.kind != DNS_NO_ADDRESS ? a : b;
}

static struct dns_address unless(struct dns_address a, enum dns_address_kind kind)
{
    return a.kind != kind ? a : (struct dns_address){ .kind = DNS_NO_ADDRESS };
}

/* `base` is what is registered, v4 and v6 the addresses tagged lan_ipv4 and lan_ipv6. */
static struct dns_picks picks_of(struct dns_address base, struct mu_span v4, struct mu_span v6)
{
    struct dns_address ip4 = literal_of(v4, DNS_IP4);
    struct dns_address ip6 = literal_of(v6, DNS_IP6);
    struct dns_picks p;

    p.by[DNS_PICK_4] = first_of(ip4, unless(base, DNS_IP6));
    p.by[DNS_PICK_6] = first_of(ip6, unless(base, DNS_IP4));
    p.by[DNS_PICK_ANY] = first_of(ip6, first_of(ip4, base));
    return p;
}

static bool address_eq(const struct dns_address *a, const struct dns_address *b)
{
    return a->kind == b->kind && a->bytes == b->bytes && a->kind != DNS_HOST &&
           memcmp(a->ip, b->ip, a->bytes) == 0;
}

static struct mu_span pair_find(const struct mu_pairs *pairs, const char *key)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (mu_span_eq_text(pairs->items[i].key, key)) {
            return pairs->items[i].value;
        }
    }
    return MU_SPAN_NONE;
}

static struct mu_span tagged_find(const struct catalog_service *s, const char *name)
{
    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        if (mu_span_eq_text(s->tagged_addresses[i].name, name)) {
            return s->tagged_addresses[i].address;
        }
    }
    return MU_SPAN_NONE;
}

/* -- names ------------------------------------------------------------------------------------- */

size_t dns_local_labels(const struct dns_zones *z, struct mu_span name, const char *kind,
                        uint8_t *to)
{
    size_t kind_bytes = strlen(kind);
    size_t dc_bytes = 1U + z->datacenter[0];
    size_t zone_bytes = 0;

    for (size_t i = 0; i < z->count; i++) {
        size_t bytes = (size_t)z->zone[i].at[z->zone[i].count] + 1;

        zone_bytes = bytes > zone_bytes ? bytes : zone_bytes;
    }
    if (zone_bytes + dc_bytes + 1 + kind_bytes > DNS_NAME_MAX) {
        return 0;
    }
    size_t room = DNS_NAME_MAX - zone_bytes - dc_bytes - 1 - kind_bytes;
    size_t used = dns_labels_of_text(name, to, room);

    if (used == 0) {
        return 0;
    }
    to[used] = (uint8_t)kind_bytes;
    memcpy(to + used + 1, kind, kind_bytes);
    used += 1 + kind_bytes;
    memcpy(to + used, z->datacenter, dc_bytes);
    return used + dc_bytes;
}

static const uint8_t *keep(struct mu_arena *arena, const uint8_t *data, size_t bytes)
{
    return bytes > 0 ? mu_arena_span(arena, mu_span_of(data, bytes)).data : NULL;
}

static bool is_plain_name(struct mu_span name)
{
    for (size_t i = 0; i < name.bytes; i++) {
        uint8_t c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-')) {
            return false;
        }
    }
    return name.bytes > 0;
}

/* -- nodes ------------------------------------------------------------------------------------- */

static void node_build(const struct dns_rules *rules, struct mu_arena *arena,
                       const struct catalog_node *row, struct dns_node *out)
{
    struct dns_address base = address_of_text(arena, row->address);
    uint8_t labels[DNS_NAME_MAX];
    size_t bytes = dns_local_labels(rules->zones, row->name, "node", labels);

    out->labels = keep(arena, labels, bytes);
    out->labels_bytes = (uint8_t)bytes;
    out->is_plain = is_plain_name(row->name);
    out->picks = picks_of(base, pair_find(&row->tagged_addresses, "lan_ipv4"),
                          pair_find(&row->tagged_addresses, "lan_ipv6"));
    out->is_registered = address_eq(&out->picks.by[DNS_PICK_ANY], &base);
    struct mu_span texts = dns_texts_of(arena, &row->meta);

    out->texts = texts.data;
    out->texts_bytes = texts.bytes;
}

struct dns_one_node *dns_node_new(const struct dns_rules *rules, const struct catalog_node *row)
{
    struct dns_one_node *n = mu_new(sizeof *n);

    mu_arena_init(&n->arena, 0);
    node_build(rules, &n->arena, row, &n->node);
    return n;
}

void dns_node_free(struct dns_one_node *n)
{
    if (n != NULL) {
        mu_arena_deinit(&n->arena);
        mu_free(n);
    }
}

/* -- instances --------------------------------------------------------------------------------- */

/* Health (7): false when it is left out; otherwise the weight of its status. */
static bool instance_is_shown(const struct dns_rules *rules, const struct catalog_instance *row,
                              uint16_t *weight)
{
    bool is_warned = false;
    bool is_strange = false;

    for (size_t i = 0; i < row->checks_count; i++) {
        struct mu_span status = row->checks[i].status;
        bool is_passing = mu_span_eq_text(status, "passing");

        if (mu_span_eq_text(status, "critical") || (rules->config->only_passing && !is_passing)) {
            return false;
        }
        is_warned = is_warned || mu_span_eq_text(status, "warning");
        is_strange = is_strange || (!is_passing && !mu_span_eq_text(status, "warning"));
    }
    uint32_t value = is_warned ? row->service.weight_warning : row->service.weight_passing;

    value = is_strange && !is_warned ? 1 : value;
    *weight = (uint16_t)(value < UINT16_MAX ? value : UINT16_MAX);
    return true;
}

/* Does this host name lead back to the service, without a tag? */
static bool leads_back(const struct dns_rules *rules, const struct dns_address *a,
                       struct mu_span folded_name)
{
    struct dns_labels labels;
    struct dns_place place;

    if (a->kind != DNS_HOST) {
        return false;
    }
    dns_labels_cut(a->host, a->bytes, &labels);
    dns_locate(rules->zones, &labels, DNS_A, &place);
    return place.kind == DNS_SERVICE && place.tag.bytes == 0 && mu_span_eq(place.name, folded_name);
}

static void target_literal(const struct dns_rules *rules, struct mu_arena *arena,
                           const struct dns_address *a, struct dns_instance *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t labels[DNS_NAME_MAX];
    char hex[33];

    for (size_t i = 0; i < a->bytes; i++) {
        hex[2 * i] = digits[a->ip[i] >> 4];
        hex[2 * i + 1] = digits[a->ip[i] & 0xf];
    }
    size_t bytes =
        dns_local_labels(rules->zones, mu_span_of(hex, (size_t)a->bytes * 2), "addr", labels);

    out->target_kind = bytes > 0 ? DNS_TARGET_LITERAL : DNS_NO_TARGET;
    out->target = keep(arena, labels, bytes);
    out->target_bytes = (uint8_t)bytes;
}

/* 6.3, the table of targets. A node whose name no message can hold is named by its address. */
static void target_build(const struct dns_rules *rules, struct mu_arena *arena, bool has_own,
                         struct dns_instance *out)
{
    const struct dns_address *a = &out->picks.by[DNS_PICK_ANY];
    const struct dns_node *node = out->node;

    switch (a->kind) {
    case DNS_NO_ADDRESS: out->target_kind = DNS_NO_TARGET; break;
    case DNS_HOST:
        out->target_kind = DNS_TARGET_HOST;
        out->target = a->host;
        out->target_bytes = a->bytes;
        break;
    case DNS_IP4:
    case DNS_IP6:
        if (has_own || !node->is_registered || node->labels == NULL) {
            target_literal(rules, arena, a, out);
            break;
        }
        out->target_kind = DNS_TARGET_NODE;
        out->target = node->labels;
        out->target_bytes = node->labels_bytes;
        break;
    }
}

/* False: nothing of it fits a message. */
static bool instance_build(const struct dns_rules *rules, struct mu_arena *arena,
                           struct mu_span folded_name, const struct catalog_service *row,
                           struct dns_instance *out)
{
    struct mu_span v4 = tagged_find(row, "lan_ipv4");
    struct mu_span v6 = tagged_find(row, "lan_ipv6");
    struct dns_address base = address_of_text(arena, row->address);
    bool is_named = row->address.bytes > 0;
    bool has_own =
        (is_named || v4.bytes > 0 || v6.bytes > 0) && !leads_back(rules, &base, folded_name);

    out->port = row->port;
    out->picks = has_own ? picks_of(base, v4, v6) : out->node->picks;
    target_build(rules, arena, has_own, out);
    return out->picks.by[DNS_PICK_4].kind != DNS_NO_ADDRESS ||
           out->picks.by[DNS_PICK_6].kind != DNS_NO_ADDRESS;
}

/* -- equal records ----------------------------------------------------------------------------- */

struct same_key {
    uint8_t bytes[1 + DNS_NAME_MAX + 8];
    size_t used;
};

static void key_add(struct same_key *k, const void *data, size_t bytes)
{
    MU_ASSERT(k->used + bytes <= sizeof k->bytes);
    if (bytes > 0) {
        memcpy(k->bytes + k->used, data, bytes);
        k->used += bytes;
    }
}

static void key_add_address(struct same_key *k, const struct dns_address *a)
{
    uint8_t kind = (uint8_t)a->kind;

    key_add(k, &kind, 1);
    key_add(k, a->kind == DNS_HOST ? a->host : a->ip, a->bytes);
}

/* The first instance that came with this key. */
static uint32_t same_find(struct mu_table *seen, enum dns_same what, const struct same_key *key,
                          struct dns_instance *instances, uint32_t i)
{
    struct same_key tagged = { .used = 0 };
    uint8_t kind = (uint8_t)what;

    key_add(&tagged, &kind, 1);
    key_add(&tagged, key->bytes, key->used);
    struct mu_span name = mu_span_of(tagged.bytes, tagged.used);
    struct dns_instance *first = mu_table_find(seen, name);

    if (first == NULL) {
        (void)mu_table_put(seen, name, &instances[i]);
        return i;
    }
    return (uint32_t)(first - instances);
}

static void same_build(struct dns_service *s)
{
    struct mu_table *seen = mu_table_new();

    for (uint32_t i = 0; i < s->count; i++) {
        struct dns_instance *in = &s->instances[i];
        uint8_t target_kind = (uint8_t)in->target_kind;

        for (unsigned p = 0; p < DNS_PICKS_COUNT; p++) {
            struct same_key address = { .used = 0 };

            key_add_address(&address, &in->picks.by[p]);
            in->same[p] = same_find(seen, (enum dns_same)p, &address, s->instances, i);
        }
        struct same_key srv = { .used = 0 };
        struct same_key target = { .used = 0 };

        key_add(&srv, &in->node->number, sizeof in->node->number);
        key_add(&srv, &in->port, sizeof in->port);
        key_add_address(&srv, &in->picks.by[DNS_PICK_ANY]);
        in->same[DNS_SAME_SRV] = same_find(seen, DNS_SAME_SRV, &srv, s->instances, i);
        key_add(&target, &target_kind, 1);
        key_add(&target, in->target, in->target_bytes);
        in->same[DNS_SAME_TARGET] = same_find(seen, DNS_SAME_TARGET, &target, s->instances, i);
    }
    mu_table_free(seen);
}

/* -- lists ------------------------------------------------------------------------------------- */

/* How many different records the instances of a list make. */
static void list_count(struct dns_service *s, struct dns_list *list)
{
    for (unsigned p = 0; p < DNS_PICKS_COUNT; p++) {
        dns_marks_clear(s, DNS_SHOWN_ADDRESS);
        for (uint32_t i = 0; i < list->count; i++) {
            const struct dns_instance *in = &s->instances[list->items[i]];
            enum dns_address_kind kind = in->picks.by[p].kind;

            if (kind != DNS_NO_ADDRESS && !dns_is_marked(s, DNS_SHOWN_ADDRESS, in->same[p])) {
                dns_mark_shown(s, DNS_SHOWN_ADDRESS, in->same[p]);
                list->hosts[p] += kind == DNS_HOST ? 1 : 0;
                list->addresses[p] += kind == DNS_HOST ? 0 : 1;
            }
        }
    }
    dns_marks_clear(s, DNS_SHOWN_SRV);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct dns_instance *in = &s->instances[list->items[i]];

        if (in->target_kind != DNS_NO_TARGET &&
            !dns_is_marked(s, DNS_SHOWN_SRV, in->same[DNS_SAME_SRV])) {
            dns_mark_shown(s, DNS_SHOWN_SRV, in->same[DNS_SAME_SRV]);
            list->targets++;
        }
    }
}

struct tag_use { /* one instance has one tag */
    struct mu_span tag;
    uint32_t instance;
};

static int tag_use_order(const void *a, const void *b)
{
    const struct tag_use *left = a;
    const struct tag_use *right = b;
    int order = mu_span_cmp(left->tag, right->tag);

    return order != 0 ? order
                      : (left->instance > right->instance) - (left->instance < right->instance);
}

/* From sorted uses to one list per tag. A tag that an instance repeats counts once. */
static void tags_group(struct dns_service *s, const struct tag_use *uses, size_t count)
{
    uint32_t *items = mu_arena_array(&s->arena, count, sizeof *items);

    s->tags = mu_arena_array(&s->arena, count, sizeof *s->tags);
    for (size_t i = 0; i < count; i++) {
        bool is_new = i == 0 || !mu_span_eq(uses[i].tag, uses[i - 1].tag);

        if (is_new) {
            s->tags[s->tags_count++] = (struct dns_list){ .tag = uses[i].tag, .items = items + i };
        } else if (uses[i].instance == uses[i - 1].instance) {
            continue;
        }
        struct dns_list *list = &s->tags[s->tags_count - 1];

        list->items[list->count++] = uses[i].instance;
    }
}

static void lists_build(struct dns_service *s, const struct mu_texts *const *tags)
{
    size_t uses_count = 0;

    s->all.items = mu_arena_array(&s->arena, s->count, sizeof *s->all.items);
    s->all.count = s->count;
    for (uint32_t i = 0; i < s->count; i++) {
        s->all.items[i] = i;
        uses_count += tags[i]->count;
    }
    list_count(s, &s->all);
    struct tag_use *uses = mu_new_array(uses_count, sizeof *uses);
    size_t at = 0;

    for (uint32_t i = 0; i < s->count; i++) {
        for (size_t t = 0; t < tags[i]->count; t++) {
            struct mu_span tag = tags[i]->items[t];
            uint8_t *folded = mu_arena_new(&s->arena, tag.bytes);

            mu_span_fold(tag, folded);
            uses[at++] = (struct tag_use){ mu_span_of(folded, tag.bytes), i };
        }
    }
    if (uses_count > 0) {
        qsort(uses, uses_count, sizeof *uses, tag_use_order);
        tags_group(s, uses, uses_count);
    }
    for (size_t i = 0; i < s->tags_count; i++) {
        list_count(s, &s->tags[i]);
    }
    mu_free(uses);
}

/* -- the service ------------------------------------------------------------------------------- */

/* Exact key first, then the longest one that ends in '*' and is a prefix otherwise (9). */
static uint32_t ttl_find(const struct config_dns *config, struct mu_span folded_name)
{
    size_t best_bytes = 0;
    uint32_t best = 0;
    bool found = false;

    for (size_t i = 0; i < config->service_ttl_count; i++) {
        struct mu_span key = mu_span_text(config->service_ttl[i].key);

        if (mu_span_eq_fold(key, folded_name)) {
            return config->service_ttl[i].seconds;
        }
        if (key.bytes == 0 || key.data[key.bytes - 1] != '*') {
            continue;
        }
        struct mu_span prefix = mu_span_sub(key, 0, key.bytes - 1);

        if (mu_span_eq_fold(prefix, mu_span_sub(folded_name, 0, prefix.bytes)) &&
            (!found || prefix.bytes > best_bytes)) {
            best = config->service_ttl[i].seconds;
            best_bytes = prefix.bytes;
            found = true;
        }
    }
    return best;
}

/* Instances come ordered by node: those of one node share it. */
static const struct dns_node *node_for(const struct dns_rules *rules, struct dns_service *s,
                                       const struct catalog_node *row,
                                       const struct catalog_node *before,
                                       const struct dns_node *node_before)
{
    if (before != NULL && mu_span_eq_fold(row->name, before->name)) {
        return node_before;
    }
    struct dns_node *n = mu_arena_new(&s->arena, sizeof *n);

    node_build(rules, &s->arena, row, n);
    n->number = s->count; /* of its first instance: below `count` of the service */
    return n;
}

struct dns_service *dns_service_new(const struct dns_rules *rules, struct mu_span folded_name,
                                    const struct catalog_instances *rows)
{
    struct dns_service *s = mu_new(sizeof *s);
    const struct mu_texts **tags = mu_new_array(rows->count, sizeof *tags);
    const struct catalog_node *row_before = NULL;
    const struct dns_node *node_before = NULL;

    mu_arena_init(&s->arena, 0);
    s->ttl = ttl_find(rules->config, folded_name);
    s->instances = mu_arena_array(&s->arena, rows->count, sizeof *s->instances);
    for (size_t i = 0; i < rows->count; i++) {
        const struct catalog_instance *row = &rows->items[i];
        struct dns_instance *in = &s->instances[s->count];

        if (!instance_is_shown(rules, row, &in->weight)) {
            continue;
        }
        in->node = node_for(rules, s, row->node, row_before, node_before);
        row_before = row->node;
        node_before = in->node;
        s->skipped += instance_build(rules, &s->arena, folded_name, &row->service, in) ? 0 : 1;
        tags[s->count++] = &row->service.tags;
    }
    for (unsigned m = 0; m < DNS_MARKS_COUNT; m++) {
        s->marks[m] = mu_arena_array(&s->arena, s->count, sizeof *s->marks[m]);
    }
    same_build(s);
    lists_build(s, tags);
    mu_free(tags);
    return s;
}

void dns_service_free(struct dns_service *s)
{
    if (s != NULL) {
        mu_arena_deinit(&s->arena);
        mu_free(s);
    }
}

static int list_order(const void *key, const void *list)
{
    return mu_span_cmp(*(const struct mu_span *)key, ((const struct dns_list *)list)->tag);
}

struct dns_list *dns_service_list(struct dns_service *s, struct mu_span tag)
{
    if (tag.bytes == 0) {
        return &s->all;
    }
    return s->tags_count > 0 ? bsearch(&tag, s->tags, s->tags_count, sizeof *s->tags, list_order)
                             : NULL;
}

bool dns_service_has_below(const struct dns_service *s, struct mu_span tag)
{
    for (size_t i = 0; i < s->tags_count; i++) {
        struct mu_span have = s->tags[i].tag;

        if (have.bytes > tag.bytes + 1 && have.data[have.bytes - tag.bytes - 1] == '.' &&
            mu_span_eq(mu_span_sub(have, have.bytes - tag.bytes, tag.bytes), tag)) {
            return true;
        }
    }
    return false;
}

/* -- drawing ----------------------------------------------------------------------------------- */

bool dns_draw_begin(struct dns_draw *d, struct dns_service *s, struct dns_list *list,
                    struct mu_rand *rand)
{
    if (list->is_drawn) {
        return false;
    }
    list->is_drawn = true;
    *d = (struct dns_draw){ s, list, rand, 0 };
    return true;
}

void dns_draw_end(struct dns_draw *d)
{
    MU_ASSERT(d->list->is_drawn);
    d->list->is_drawn = false;
}

/* One step of the shuffle of Fisher and Yates: as many steps as records are sent. */
const struct dns_instance *dns_draw_next(struct dns_draw *d)
{
    uint32_t *items = d->list->items;
    uint32_t at = d->at;

    if (at == d->list->count) {
        return NULL;
    }
    /* Scaling instead of dividing: biased by less than a millionth, and twice as fast. */
    uint64_t scaled = (mu_rand_u64(d->rand) >> 32) * (uint64_t)(d->list->count - at);
    uint32_t other = at + (uint32_t)(scaled >> 32);
    uint32_t drawn = items[other];

    items[other] = items[at];
    items[at] = drawn;
    d->at++;
    return &d->service->instances[drawn];
}

void dns_marks_clear(struct dns_service *s, enum dns_marks kind)
{
    if (++s->mark[kind] == 0) { /* four billion answers later old marks would look new */
        memset(s->marks[kind], 0, s->count * sizeof *s->marks[kind]);
        s->mark[kind] = 1;
    }
}

bool dns_is_marked(const struct dns_service *s, enum dns_marks kind, uint32_t number)
{
    MU_ASSERT(number < s->count);
    return s->marks[kind][number] == s->mark[kind];
}

void dns_mark_shown(struct dns_service *s, enum dns_marks kind, uint32_t number)
{
    MU_ASSERT(number < s->count);
    s->marks[kind][number] = s->mark[kind];
}
