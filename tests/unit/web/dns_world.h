/* dns_world.h - the fixture of spec/dns.md 21.1 as rows, and a responder that answers from it.
 *
 * Included by the unit tests and the fuzz target of dns_answer.h; everything is static.
 */
#ifndef TESTS_DNS_WORLD_H
#define TESTS_DNS_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "dns_answer.h"

struct world_node { /* lists: "a,b"; pairs: "key=value;key=value" */
    const char *name, *address, *id, *tagged, *meta, *check;
};

struct world_service {
    const char *node, *name, *address;
    uint16_t port;
    const char *tags, *tagged, *check;
    uint16_t passing, warning;
};

#define LETTERS_10(c) c c c c c c c c c c
#define LONG_NAME     LETTERS_10("nnnnnnn")
#define LONG_TEXT     LETTERS_10(LETTERS_10("vvv"))
#define LABEL_63(c)   LETTERS_10(c c c c c c) c c c
#define LONG_TAG      LABEL_63("t") "." LABEL_63("t") "." LABEL_63("t")
#define LONG_HOST     LABEL_63("h") "." LABEL_63("h") "." LABEL_63("h") "." LETTERS_10("hhhhhh") "h"

static const struct world_node world_nodes[] = {
    // clang-format off
    { .name = "srv1", .address = "127.0.0.1" },
    { .name = "n1", .address = "10.1.0.1", .id = "11111111-aaaa-4bbb-8ccc-000000000001",
      .meta = "rack=r1;rfc1035-note=plain value" },
    { .name = "n2", .address = "10.1.0.2" },
    { .name = "n3", .address = "10.1.0.3", .tagged = "wan=203.0.113.3" },
    { .name = "n4", .address = "10.1.0.4", .check = "critical" },
    { .name = "n5", .address = "10.1.0.5", .check = "warning" },
    { .name = "n6", .address = "2001:db8::6" },
    { .name = "ds", .address = "10.1.0.10", .tagged = "lan_ipv4=10.1.0.10;lan_ipv6=2001:db8::10" },
    { .name = "NodeUP", .address = "10.1.0.8" },
    { .name = "db.node1", .address = "10.1.0.7" },
    { .name = "n_under", .address = "10.1.0.9" },
    { .name = "extnode", .address = "www.example.com" },
    { .name = "mix1", .address = "10.9.0.3" },
    { .name = "mix2", .address = "a.example.com" },
    { .name = "mix3", .address = "b.example.com" },
    { .name = LONG_NAME, .address = "10.9.1.1" },
    { .name = "ok1", .address = "10.9.1.2" },
    { .name = "bigtxt", .address = "10.9.0.1", .meta = "long=" LONG_TEXT },
    /* beyond the specification's fixture: bad data (22.4) and odd corners */
    { .name = "bad1", .address = "10.9.1.8:80" },
    { .name = "bad2", .address = "a..b" },
    { .name = "sp ace", .address = "10.9.2.1" },
    { .name = "meta", .address = "10.9.2.2",
      .meta = "a=a=true;abc =123 ;tick=`abc`;novalue=;RFC1035-x=alone" },
    { .name = "aliasnode", .address = "n1.node.consul" },
    { .name = "faraway", .address = LONG_HOST },
}; // clang-format on

static const struct world_service world_services[] = {
    // clang-format off
    { "srv1", "consul", "", 8300, "", "", "", 1, 1 },
    { "n1", "web", "", 80, "primary,v1.2", "", "passing", 10, 2 },
    { "n2", "web", "", 81, "Secondary", "", "warning", 10, 2 },
    { "n3", "web", "", 80, "primary", "", "critical", 1, 1 },
    { "n1", "api", "10.2.0.1", 8080, "", "", "", 1, 1 },
    { "n2", "api", "10.2.0.2", 8080, "", "", "", 1, 1 },
    { "n1", "multi", "", 9001, "", "", "", 1, 1 },
    { "n1", "multi", "", 9002, "", "", "", 1, 1 },
    { "n1", "multi", "", 9002, "", "", "", 1, 1 },
    { "n1", "alias", "web.service.consul", 1, "", "", "", 1, 1 },
    { "n1", "aliasn", "n2.node.consul", 1, "", "", "", 1, 1 },
    { "n1", "self", "self.service.consul", 2, "", "", "", 1, 1 },
    { "n1", "loopa", "loopb.service.consul", 3, "", "", "", 1, 1 },
    { "n1", "loopb", "loopa.service.consul", 3, "", "", "", 1, 1 },
    { "n1", "dot.svc", "", 7, "", "", "", 1, 1 },
    { "n1", "dualsvc", "10.2.0.9", 10, "",
      "lan_ipv4=10.2.0.9;lan_ipv6=2001:db8::29;wan=203.0.113.9", "", 1, 1 },
    { "n1", "noport", "", 0, "", "", "", 1, 1 },
    { "n2", "down", "", 5, "", "", "critical", 1, 1 },
    { "n2", "node", "", 1, "service", "", "", 1, 1 },
    { "n2", "service", "", 1, "udp", "", "", 1, 1 },
    { "n4", "nc", "", 5, "", "", "", 1, 1 },
    { "n5", "nw", "", 5, "", "", "", 7, 3 },
    { "n6", "six", "", 66, "", "", "", 1, 1 },
    { "ds", "dual", "", 10, "", "", "", 1, 1 },
    { "NodeUP", "CamelSvc", "", 7, "", "", "", 1, 1 },
    { "db.node1", "dotted", "", 7, "", "", "", 1, 1 },
    { "n_under", "under_svc", "", 7, "", "", "", 1, 1 },
    { "extnode", "ext", "", 443, "", "", "", 1, 1 },
    { "mix1", "mix", "", 1, "", "", "", 1, 1 },
    { "mix2", "mix", "", 1, "", "", "", 1, 1 },
    { "mix3", "mix", "", 1, "", "", "", 1, 1 },
    { LONG_NAME, "longnode", "", 1, "", "", "", 1, 1 },
    { "ok1", "longnode", "", 1, "", "", "", 1, 1 },
    { "bigtxt", "bt", "", 1, "", "", "", 1, 1 },
    /* beyond it */
    { "bad1", "bad", "", 1, "", "", "", 1, 1 },
    { "bad2", "bad", "", 1, "", "", "", 1, 1 },
    { "bad1", "half", "", 1, "", "", "", 1, 1 },
    { "n2", "half", "", 1, "", "", "", 1, 1 },
    { "sp ace", "spaced", "", 1, "", "", "", 1, 1 },
    { "n1", "deep1", "deep2.service.consul", 1, "", "", "", 1, 1 },
    { "n1", "deep2", "deep3.service.muster", 1, "", "", "", 1, 1 },
    { "n1", "deep3", "deep4.service.consul", 1, "", "", "", 1, 1 },
    { "n1", "deep4", "deep5.service.consul", 1, "", "", "", 1, 1 },
    { "n1", "deep5", "", 1, "", "", "", 1, 1 },
    { "n1", "dualalias", "dual.service.consul", 1, "", "", "", 1, 1 },
    { "n1", "literal", "0a010001.addr.consul", 1, "", "", "", 1, 1 },
    { "n1", "bigalias", "big.service.consul", 1, "", "", "", 1, 1 },
    { "faraway", "far", "", 5, LONG_TAG, "", "", 1, 1 },
    { "n2", "meeting", "", 1, "", "", "", 1, 1 },
    { "n3", "meeting", "n2.node.dc1.consul", 2, "", "", "", 1, 1 },
    { "n6", "meeting", "aliasn.service.consul", 3, "", "", "", 1, 1 },
    { "n5", "meeting", "n2.node.consul", 4, "", "", "", 1, 1 },
    { "n2", "odd", "", 5, "", "", "strange", 9, 8 },
    { "n2", "circle1", "circle2.service.consul", 5, "", "", "", 1, 1 },
    { "n2", "circle2", "circle1.service.consul", 5, "", "", "", 1, 1 },
}; // clang-format on

#define WORLD_NODES_MAX     64
#define WORLD_SERVICES_MAX  64
#define WORLD_INSTANCES_MAX 512

struct world {
    struct mu_arena arena;
    struct config_dns config;
    struct dns_responder responder;
    struct mu_rand rand;
    struct dns_rules rules;
    struct catalog_node nodes[WORLD_NODES_MAX];
    struct catalog_check *node_checks[WORLD_NODES_MAX];
    size_t nodes_count;
    struct catalog_instance instances[WORLD_INSTANCES_MAX];
    size_t instances_count;
    struct mu_arena built; /* rows of one look-up */
    size_t held;           /* must be zero between answers */
    /* As in the catalog's cache: whoever asks twice gets the same one. */
    struct dns_service *prepared[WORLD_SERVICES_MAX];
    char prepared_names[WORLD_SERVICES_MAX][64];
    size_t prepared_count;
};

/* -- rows from text ---------------------------------------------------------------------------- */

static inline struct mu_pairs world_pairs(struct world *w, const char *text)
{
    struct mu_span rest = mu_span_text(text);
    struct mu_pairs out = { mu_arena_array(&w->arena, 16, sizeof(struct mu_pair)), 0 };

    while (rest.bytes > 0) {
        struct mu_span one = mu_span_split(rest, ';', &rest, NULL);
        struct mu_span key = mu_span_split(one, '=', &one, NULL);

        MU_ASSERT(out.count < 16);
        out.items[out.count++] = (struct mu_pair){ key, one };
    }
    return out;
}

static inline struct catalog_check *world_check(struct world *w, const char *status)
{
    if (status == NULL || status[0] == '\0') {
        return NULL;
    }
    struct catalog_check *c = mu_arena_new(&w->arena, sizeof *c);

    c->status = mu_span_text(status);
    return c;
}

static inline void world_node_add(struct world *w, const struct world_node *row)
{
    struct catalog_node *n = &w->nodes[w->nodes_count];

    MU_ASSERT(w->nodes_count < WORLD_NODES_MAX);
    w->node_checks[w->nodes_count++] = world_check(w, row->check);
    n->name = mu_span_text(row->name);
    n->address = mu_span_text(row->address);
    n->id = mu_span_text(row->id);
    n->tagged_addresses = world_pairs(w, row->tagged);
    n->meta = world_pairs(w, row->meta);
    if (mu_span_eq_text(n->name, "meta")) { /* keys that a "key=value" list cannot say */
        n->meta.items[0].key = MU_SPAN_LIT("a=a");
        n->meta.items[0].value = MU_SPAN_LIT("true");
    }
}

static inline size_t world_node_at(const struct world *w, const char *name)
{
    size_t i = 0;

    while (i < w->nodes_count && !mu_span_eq_text(w->nodes[i].name, name)) {
        i++;
    }
    MU_ASSERT(i < w->nodes_count);
    return i;
}

static inline void world_service_add(struct world *w, const struct world_service *row)
{
    struct catalog_instance *in = &w->instances[w->instances_count++];
    size_t node = world_node_at(w, row->node);
    struct catalog_check *checks[] = { w->node_checks[node], world_check(w, row->check) };
    struct mu_span tags = mu_span_text(row->tags);
    struct mu_pairs tagged = world_pairs(w, row->tagged);

    MU_ASSERT(w->instances_count <= WORLD_INSTANCES_MAX);
    in->node = &w->nodes[node];
    in->service.name = mu_span_text(row->name);
    in->service.address = mu_span_text(row->address);
    in->service.port = row->port;
    in->service.weight_passing = row->passing;
    in->service.weight_warning = row->warning;
    in->service.tags.items = mu_arena_array(&w->arena, 4, sizeof(struct mu_span));
    while (tags.bytes > 0) {
        in->service.tags.items[in->service.tags.count++] = mu_span_split(tags, ',', &tags, NULL);
    }
    in->service.tagged_addresses =
        mu_arena_array(&w->arena, tagged.count, sizeof(struct catalog_tagged));
    for (size_t i = 0; i < tagged.count; i++) {
        in->service.tagged_addresses[in->service.tagged_addresses_count++] =
            (struct catalog_tagged){ tagged.items[i].key, tagged.items[i].value, 0 };
    }
    in->checks = mu_arena_array(&w->arena, 2, sizeof *in->checks);
    for (size_t i = 0; i < 2; i++) {
        if (checks[i] != NULL) {
            in->checks[in->checks_count++] = *checks[i];
        }
    }
}

/* -- the source -------------------------------------------------------------------------------- */

static inline int world_by_node(const void *a, const void *b)
{
    return mu_span_cmp(((const struct catalog_instance *)a)->node->name,
                       ((const struct catalog_instance *)b)->node->name);
}

/* What was prepared by other settings. */
static inline void world_forget(struct world *w)
{
    for (size_t i = 0; i < w->prepared_count; i++) {
        dns_service_free(w->prepared[i]);
    }
    w->prepared_count = 0;
}

static inline enum dns_lookup world_hold(struct world *w, struct dns_service *s,
                                         struct dns_held *out)
{
    out->service = s;
    out->hold = s;
    w->held++;
    return DNS_FOUND;
}

static inline enum dns_lookup world_service_find(void *data, struct mu_span name,
                                                 struct dns_held *out)
{
    struct world *w = data;
    struct catalog_instances rows = { 0 };

    for (size_t i = 0; i < w->prepared_count; i++) {
        if (mu_span_eq_text(name, w->prepared_names[i])) {
            return world_hold(w, w->prepared[i], out);
        }
    }
    mu_arena_reset(&w->built);
    rows.items = mu_arena_array(&w->built, w->instances_count, sizeof *rows.items);
    for (size_t i = 0; i < w->instances_count; i++) {
        if (mu_span_eq_fold(w->instances[i].service.name, name)) {
            rows.items[rows.count++] = w->instances[i];
        }
    }
    if (rows.count == 0) {
        return DNS_ABSENT;
    }
    qsort(rows.items, rows.count, sizeof *rows.items, world_by_node);
    size_t i = w->prepared_count++;

    MU_ASSERT(i < WORLD_SERVICES_MAX && name.bytes < sizeof w->prepared_names[i]);
    memcpy(w->prepared_names[i], name.data, name.bytes);
    w->prepared_names[i][name.bytes] = '\0';
    w->prepared[i] = dns_service_new(&w->rules, name, &rows);
    return world_hold(w, w->prepared[i], out);
}

static inline bool world_id_starts(struct mu_span id, struct mu_span prefix)
{
    size_t bytes = prefix.bytes - prefix.bytes % 2;

    return prefix.bytes >= 2 &&
           mu_span_eq(mu_span_sub(id, 0, bytes), mu_span_sub(prefix, 0, bytes));
}

static inline enum dns_lookup world_node_find(void *data, struct mu_span name, struct dns_held *out)
{
    struct world *w = data;
    const struct catalog_node *found = NULL;

    for (size_t i = 0; i < w->nodes_count && found == NULL; i++) {
        found = mu_span_eq_fold(w->nodes[i].name, name) ? &w->nodes[i] : NULL;
    }
    for (size_t i = 0; i < w->nodes_count && found == NULL; i++) {
        found = world_id_starts(w->nodes[i].id, name) ? &w->nodes[i] : NULL;
    }
    if (found == NULL) {
        return DNS_ABSENT;
    }
    struct dns_one_node *node = dns_node_new(&w->rules, found);

    out->node = &node->node;
    out->hold = node;
    w->held++;
    return DNS_FOUND;
}

static inline bool world_is_it(struct mu_span text, const struct mu_addr *address)
{
    struct mu_addr have;

    return mu_addr_parse_ip(text, &have) && mu_addr_eq_ip(&have, address);
}

/* By its registered address, else, when `is_tagged`, by one of its others. */
static inline bool world_node_has(const struct catalog_node *n, const struct mu_addr *address,
                                  bool is_tagged)
{
    bool has = !is_tagged && world_is_it(n->address, address);

    for (size_t i = 0; is_tagged && i < n->tagged_addresses.count; i++) {
        has = has || world_is_it(n->tagged_addresses.items[i].value, address);
    }
    return has;
}

static inline bool world_service_has(const struct catalog_service *s, const struct mu_addr *address,
                                     bool is_tagged)
{
    bool has = !is_tagged && world_is_it(s->address, address);

    for (size_t i = 0; is_tagged && i < s->tagged_addresses_count; i++) {
        has = has || world_is_it(s->tagged_addresses[i].address, address);
    }
    return has;
}

static inline enum dns_lookup world_address_find(void *data, const struct mu_addr *address,
                                                 struct dns_owner *out)
{
    struct world *w = data;

    for (size_t i = 0; i < 2 * w->nodes_count; i++) {
        const struct catalog_node *n = &w->nodes[i % w->nodes_count];

        if (world_node_has(n, address, i >= w->nodes_count)) {
            out->bytes =
                (uint8_t)dns_local_labels(&w->responder.zones, n->name, "node", out->labels);
            return DNS_FOUND;
        }
    }
    for (size_t i = 0; i < 2 * w->instances_count; i++) {
        const struct catalog_service *s = &w->instances[i % w->instances_count].service;

        if (world_service_has(s, address, i >= w->instances_count)) {
            out->bytes =
                (uint8_t)dns_local_labels(&w->responder.zones, s->name, "service", out->labels);
            return DNS_FOUND;
        }
    }
    return DNS_ABSENT;
}

static inline bool world_has_node_below(void *data, struct mu_span name)
{
    const struct world *w = data;

    for (size_t i = 0; i < w->nodes_count; i++) {
        struct mu_span have = w->nodes[i].name;

        if (have.bytes > name.bytes + 1 && have.data[have.bytes - name.bytes - 1] == '.' &&
            mu_span_eq_fold(mu_span_sub(have, have.bytes - name.bytes, name.bytes), name)) {
            return true;
        }
    }
    return false;
}

static inline void world_release(void *data, struct dns_held *held)
{
    struct world *w = data;

    MU_ASSERT(w->held > 0);
    w->held--;
    if (held->hold != held->service) {
        dns_node_free(held->hold);
    }
}

static inline struct dns_source world_source(struct world *w)
{
    return (struct dns_source){ world_service_find,   world_node_find, world_address_find,
                                world_has_node_below, world_release,   w };
}

/* -- life -------------------------------------------------------------------------------------- */

static inline void world_defaults(struct world *w)
{
    static const char *const others[] = { "muster" };
    struct mu_err err = MU_ERR_NONE;

    world_forget(w);
    w->config = (struct config_dns){
        .allow_stale = true,
        .node_meta_txt = true,
        .udp_answer_limit = 3,
        .soa_refresh = 3600,
        .soa_retry = 600,
        .soa_expire = 86400,
        .udp_payload_max = 65467,
        .ent_negative_ttl = 60,
    };
    enum mu_code rc = dns_zones_init(&w->responder.zones, "consul", others, 1, "dc1", &err);

    MU_ASSERT(rc == MU_OK);
}

static inline struct world *world_new(void)
{
    struct world *w = mu_new(sizeof *w);

    mu_arena_init(&w->arena, 0);
    mu_arena_init(&w->built, 0);
    mu_rand_seed(&w->rand, 1);
    w->responder.rand = &w->rand;
    w->responder.config = &w->config;
    w->rules = (struct dns_rules){ &w->responder.zones, &w->config };
    world_defaults(w);
    for (size_t i = 0; i < MU_LEN(world_nodes); i++) {
        world_node_add(w, &world_nodes[i]);
    }
    for (size_t i = 0; i < MU_LEN(world_services); i++) {
        world_service_add(w, &world_services[i]);
    }
    for (unsigned i = 1; i <= 30; i++) {
        struct world_node node = { .name = mu_arena_printf(&w->arena, "b%u", i),
                                   .address = mu_arena_printf(&w->arena, "10.3.0.%u", i) };
        struct world_service service = { node.name, "big", "", 1234, "", "", "", 1, 1 };

        world_node_add(w, &node);
        world_service_add(w, &service);
    }
    return w;
}

static inline void world_free(struct world *w)
{
    MU_ASSERT(w->held == 0);
    world_forget(w);
    mu_arena_deinit(&w->built);
    mu_arena_deinit(&w->arena);
    mu_free(w);
}

/* One exchange. False: no answer. `to` has 65535 bytes. */
static inline bool world_ask(struct world *w, struct mu_span query, bool is_tcp, bool has_catalog,
                             uint8_t *to, struct dns_answered *out)
{
    struct dns_source source = world_source(w);
    struct dns_query q;

    if (!dns_query_read(&q, query)) {
        return false;
    }
    struct dns_asked asked = {
        .query = &q,
        .source = has_catalog ? &source : NULL,
        .is_tcp = is_tcp,
        .unknown = DNS_WHY_NOT_READY,
        .now_s = 1700000000,
    };

    *out = dns_answer(&w->responder, &asked, to);
    MU_ASSERT(w->held == 0);
    return true;
}

#endif
