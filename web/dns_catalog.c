/* dns_catalog.c - looking up, preparing, keeping.
 *
 * Beside the prepared rows two sets of names are kept, read whole and watched, so that questions
 * for what does not exist are answered without asking SQLite each time: the names of all services,
 * and everything that stands behind a dot in some node's name, because those names are parents
 * (spec/dns.md 10.2).
 */
#include "dns_catalog.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"

#define KEY_BYTES       300  /* "dns/service/" and a name of at most 255 bytes */
#define READ_AGAIN_MS   1000 /* between two readings of all names */
#define MISSES_MIN      64   /* look-ups of nothing before all names of services are read */
#define MISSES_SHARE    4    /* and a quarter of the names there were: reading is paid for then */
#define LOG_INTERVAL_MS 60000

/* Read when something is asked for that does not exist, and again when names changed, but not more
 * than once a second. */
struct names {
    struct mu_table *names;
    struct catalog_wait *wait; /* NULL: something changed since */
    uint64_t read_ms;
    size_t misses; /* since it changed */
};

struct dns_catalog {
    const struct dns_rules *rules;
    struct catalog_cache *cache;
    struct catalog_watch *watch;
    struct catalog_reader *reader; /* of this turn */
    uint64_t now_ms;
    struct dns_source source;
    struct mu_arena rows; /* of one look-up */
    struct names services, parents;
    uint64_t *skipped;
    uint64_t logged_ms; /* when bad rows were last complained about; 0: never */
};

/* -- keys -------------------------------------------------------------------------------------- */

struct key {
    uint8_t bytes[KEY_BYTES];
    size_t used;
};

/* "dns/<kind>/<folded name>". False: too long for any name. */
static bool key_make(struct key *k, const char *kind, struct mu_span name)
{
    size_t kind_bytes = strlen(kind);

    if (kind_bytes + name.bytes > sizeof k->bytes) {
        return false;
    }
    memcpy(k->bytes, kind, kind_bytes);
    mu_span_fold(name, k->bytes + kind_bytes);
    k->used = kind_bytes + name.bytes;
    return true;
}

static struct mu_span key_span(const struct key *k)
{
    return mu_span_of(k->bytes, k->used);
}

/* -- trouble ----------------------------------------------------------------------------------- */

/* The catalog cannot be read: SERVFAIL, and a line a minute, since every query could cause one. */
static enum dns_lookup unreadable(struct dns_catalog *c, const struct mu_err *err)
{
    bool is_due = c->logged_ms == 0 || c->now_ms - c->logged_ms >= LOG_INTERVAL_MS;

    if (is_due && !catalog_prompt_has_missed()) { /* else it is read once it is there */
        c->logged_ms = c->now_ms > 0 ? c->now_ms : 1;
        mu_log(MU_ERROR, "agent.dns", "Cannot read the catalog", mu_kv("error", err->text));
    }
    return DNS_UNKNOWN;
}

static void tell_skipped(struct dns_catalog *c, struct mu_span name, uint32_t skipped)
{
    *c->skipped += skipped;
    if (skipped > 0 && (c->logged_ms == 0 || c->now_ms - c->logged_ms >= LOG_INTERVAL_MS)) {
        c->logged_ms = c->now_ms > 0 ? c->now_ms : 1;
        mu_log(MU_WARN, "agent.dns", "Instances without a usable address are left out",
               mu_kv_span("service", name), mu_kv_u("instances", skipped));
    }
}

/* -- all names of a kind ----------------------------------------------------------------------- */

static void on_names_changed(void *data)
{
    struct names *n = data;

    n->wait = NULL;
    n->misses = 0;
}

/* Empty it, to be filled with what is there in this turn. */
static void names_begin(struct dns_catalog *c, struct names *n, enum catalog_topic_kind kind)
{
    struct catalog_topic topic = { kind, MU_SPAN_NONE };

    mu_table_free(n->names);
    n->names = mu_table_new();
    n->read_ms = c->now_ms;
    n->wait = catalog_watch_add(c->watch, &topic, 1, on_names_changed, n);
    catalog_watch_patient(n->wait);
}

static bool is_due(const struct dns_catalog *c, const struct names *n)
{
    return n->names == NULL || (n->wait == NULL && c->now_ms - n->read_ms >= READ_AGAIN_MS);
}

static void names_deinit(struct names *n)
{
    catalog_watch_cancel(n->wait);
    mu_table_free(n->names);
}

static void services_read(struct dns_catalog *c)
{
    struct catalog_service_names rows;
    struct mu_err err = MU_ERR_NONE;

    mu_arena_reset(&c->rows);
    if (catalog_query_service_names(c->reader, &c->rows, NULL, &rows, &err) != MU_OK) {
        (void)unreadable(c, &err);
        return;
    }
    names_begin(c, &c->services, CATALOG_SERVICES);
    for (size_t i = 0; i < rows.count; i++) {
        uint8_t folded[MU_NAME_MAX];
        struct mu_span name = rows.items[i].name;

        if (name.bytes <= sizeof folded) {
            mu_span_fold(name, folded);
            (void)mu_table_put(c->services.names, mu_span_of(folded, name.bytes), c);
        }
    }
    mu_arena_reset(&c->rows);
}

/* Is it certain that no service has this name? While names change, and as long as few ask for what
 * does not exist, nothing is certain: then the catalog is asked. */
static bool is_no_service(struct dns_catalog *c, struct mu_span folded_name)
{
    struct names *n = &c->services;
    size_t known = n->names != NULL ? mu_table_count(n->names) : 0;

    if (n->wait == NULL && n->misses >= MISSES_MIN + known / MISSES_SHARE && is_due(c, n)) {
        services_read(c);
    }
    return n->wait != NULL && mu_table_find(n->names, folded_name) == NULL;
}

static void parents_add(struct names *p, struct mu_span name)
{
    uint8_t folded[MU_NODE_NAME_MAX];
    bool has_dot = true;

    if (name.bytes > sizeof folded) {
        return;
    }
    mu_span_fold(name, folded);
    name.data = folded;
    for (;;) {
        (void)mu_span_split(name, '.', &name, &has_dot);
        if (!has_dot) {
            return;
        }
        if (name.bytes > 0) {
            (void)mu_table_put(p->names, name, p);
        }
    }
}

static void parents_read(struct dns_catalog *c)
{
    struct catalog_nodes rows;
    struct mu_err err = MU_ERR_NONE;

    mu_arena_reset(&c->rows);
    if (catalog_query_nodes(c->reader, &c->rows, NULL, &rows, &err) != MU_OK) {
        (void)unreadable(c, &err);
        return;
    }
    names_begin(c, &c->parents, CATALOG_NODES);
    for (size_t i = 0; i < rows.count; i++) {
        parents_add(&c->parents, rows.items[i].name);
    }
    mu_arena_reset(&c->rows);
}

/* A parent known a second late does no harm. */
static bool has_node_below(void *data, struct mu_span folded_name)
{
    struct dns_catalog *c = data;
    struct names *p = &c->parents;

    if (is_due(c, p)) {
        parents_read(c);
    }
    return p->names != NULL && mu_table_find(p->names, folded_name) != NULL;
}

/* -- services and nodes ------------------------------------------------------------------------ */

static void release_service(void *value)
{
    dns_service_free(value);
}

static void release_node(void *value)
{
    dns_node_free(value);
}

static enum dns_lookup hold(struct dns_held *out, struct catalog_ready *ready, bool is_service)
{
    if (is_service) {
        out->service = catalog_ready_value(ready);
    } else {
        out->node = &((const struct dns_one_node *)catalog_ready_value(ready))->node;
    }
    out->hold = ready;
    return DNS_FOUND;
}

static enum dns_lookup find_service(void *data, struct mu_span name, struct dns_held *out)
{
    struct dns_catalog *c = data;
    struct catalog_topic topic = { CATALOG_SERVICE, name };
    struct catalog_instances rows;
    struct mu_err err = MU_ERR_NONE;
    struct key key;

    if (!key_make(&key, "dns/service/", name)) {
        return DNS_ABSENT;
    }
    struct catalog_ready *ready = catalog_cache_find(c->cache, key_span(&key));

    if (ready != NULL) {
        return hold(out, ready, true);
    }
    if (is_no_service(c, name)) {
        return DNS_ABSENT;
    }
    mu_arena_reset(&c->rows);
    if (catalog_query_instances(c->reader, &c->rows, name, NULL, true, &rows, &err) != MU_OK) {
        return unreadable(c, &err);
    }
    if (rows.count == 0) {
        c->services.misses++;
        return DNS_ABSENT;
    }
    struct dns_service *s = dns_service_new(c->rules, name, &rows);

    tell_skipped(c, name, s->skipped);
    ready = catalog_cache_put(c->cache, key_span(&key), &topic, 1, s, sizeof *s + s->arena.bytes,
                              rows.index, release_service);
    return hold(out, ready, true);
}

/* A node asked for by its id is kept under its name, so that ids do not multiply what is kept. */
static enum dns_lookup find_node(void *data, struct mu_span name_or_id, struct dns_held *out)
{
    struct dns_catalog *c = data;
    struct catalog_nodes rows;
    struct mu_err err = MU_ERR_NONE;
    struct key key;
    struct catalog_ready *ready = NULL;

    if (!key_make(&key, "dns/node/", name_or_id)) {
        return DNS_ABSENT;
    }
    ready = catalog_cache_find(c->cache, key_span(&key));
    if (ready != NULL) {
        return hold(out, ready, false);
    }
    mu_arena_reset(&c->rows);
    if (catalog_query_node(c->reader, &c->rows, name_or_id, &rows, &err) != MU_OK) {
        return unreadable(c, &err);
    }
    if (rows.count == 0 || !key_make(&key, "dns/node/", rows.items[0].name)) {
        return DNS_ABSENT;
    }
    ready = catalog_cache_find(c->cache, key_span(&key));
    if (ready == NULL) {
        struct catalog_topic topic = { CATALOG_NODE, rows.items[0].name };
        struct dns_one_node *n = dns_node_new(c->rules, &rows.items[0]);

        ready = catalog_cache_put(c->cache, key_span(&key), &topic, 1, n,
                                  sizeof *n + n->arena.bytes, rows.index, release_node);
    }
    return hold(out, ready, false);
}

static void release(void *data, struct dns_held *held)
{
    (void)data;
    catalog_ready_release(held->hold);
}

/* -- addresses --------------------------------------------------------------------------------- */

static enum dns_lookup find_address(void *data, const struct mu_addr *address,
                                    struct dns_owner *out)
{
    struct dns_catalog *c = data;
    struct catalog_instances instances;
    struct catalog_nodes nodes;
    struct mu_err err = MU_ERR_NONE;
    size_t bytes = 0;

    mu_arena_reset(&c->rows);
    if (catalog_query_address(c->reader, &c->rows, address, &nodes, &instances, &err) != MU_OK) {
        return unreadable(c, &err);
    }
    if (nodes.count > 0) {
        bytes = dns_local_labels(c->rules->zones, nodes.items[0].name, "node", out->labels);
    } else if (instances.count > 0) {
        bytes = dns_local_labels(c->rules->zones, instances.items[0].service.name, "service",
                                 out->labels);
    } else {
        return DNS_ABSENT;
    }
    out->bytes = (uint8_t)bytes;
    return DNS_FOUND;
}

/* -- life -------------------------------------------------------------------------------------- */

struct dns_catalog *dns_catalog_new(const struct dns_rules *rules, struct catalog_cache *cache,
                                    struct catalog_watch *watch, uint64_t *skipped)
{
    struct dns_catalog *c = mu_new(sizeof *c);

    c->rules = rules;
    c->cache = cache;
    c->watch = watch;
    c->skipped = skipped;
    c->source =
        (struct dns_source){ find_service, find_node, find_address, has_node_below, release, c };
    mu_arena_init(&c->rows, 0);
    return c;
}

void dns_catalog_free(struct dns_catalog *c)
{
    if (c != NULL) {
        names_deinit(&c->services);
        names_deinit(&c->parents);
        mu_arena_deinit(&c->rows);
        mu_free(c);
    }
}

const struct dns_source *dns_catalog_source(struct dns_catalog *c, struct catalog_reader *reader,
                                            uint64_t now_ms)
{
    c->reader = reader;
    c->now_ms = now_ms;
    return &c->source;
}
