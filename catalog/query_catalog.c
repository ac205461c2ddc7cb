/* query_catalog.c - nodes, services and their instances (spec/http-api.md 4, indexes 1.7). */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "packed.h"
#include "reader.h"

/* -- filters ----------------------------------------------------------------------------------- */

static bool has_pair(const struct mu_pairs *meta, const struct mu_pair *pair)
{
    for (size_t i = 0; i < meta->count; i++) {
        if (mu_span_eq(meta->items[i].key, pair->key)) {
            return mu_span_eq(meta->items[i].value, pair->value);
        }
    }
    return false;
}

bool catalog__filter_matches(const struct catalog_filter *filter, const struct catalog_node *node)
{
    for (size_t i = 0; filter != NULL && i < filter->node_meta.count; i++) {
        if (!has_pair(&node->meta, &filter->node_meta.items[i])) {
            return false;
        }
    }
    return true;
}

static bool is_filtered(const struct catalog_filter *filter)
{
    return filter != NULL && filter->node_meta.count > 0;
}

/* -- nodes ------------------------------------------------------------------------------------- */

static const enum counter nodes_counter[] = { COUNTER_NODES };
static const enum counter nodes_and_services[] = { COUNTER_NODES, COUNTER_SERVICES };
static const enum counter services_counter[] = { COUNTER_SERVICES };

enum mu_code catalog_query_nodes(struct catalog_reader *r, struct mu_arena *arena,
                                 const struct catalog_filter *filter, struct catalog_nodes *out,
                                 struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_nodes){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_NODES, arena, err);
    while (catalog__walk_next(&w)) {
        struct catalog_node node;

        catalog__read_node(&w, &node);
        if (catalog__filter_matches(filter, &node)) {
            out->items = mu_arena_grow(arena, out->items, out->count, sizeof *out->items);
            out->items[out->count++] = node;
        }
    }
    enum mu_code rc = catalog__walk_end(&w);

    return rc == MU_OK ? catalog__read_index(r, nodes_counter, 1, &out->index, err) : rc;
}

enum mu_code catalog__find_node(struct catalog_reader *r, struct mu_arena *arena,
                                struct mu_span key, struct catalog_node **out, struct mu_err *err)
{
    struct walk w;

    *out = NULL;
    catalog__walk(&w, r, READER_NODE, arena, err);
    bind_bytes(w.s, 1, key);
    if (catalog__walk_next(&w)) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_node(&w, *out);
    }
    return catalog__walk_end(&w);
}

/* The bytes that a text of hex digits and dashes begins with, as far as it names whole ones.
 * False: it cannot be the start of an id. */
static bool id_prefix(struct mu_span text, struct mu_id *id, size_t *bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = 0;
    size_t dashes = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        const char *at = strchr(digits, text.data[i] | 0x20);

        if (text.data[i] == '-') {
            dashes++;
            continue;
        }
        if (text.data[i] == 0 || at == NULL || *at == '\0' || count == 2 * sizeof id->b) {
            return false;
        }
        uint8_t value = (uint8_t)(at - digits);

        id->b[count / 2] = (uint8_t)(count % 2 == 0 ? value << 4 : id->b[count / 2] | value);
        count++;
    }
    *bytes = count / 2;
    return *bytes > 0 && dashes <= 4;
}

/* The one node whose id begins so; none when several do. */
static enum mu_code find_by_id(struct catalog_reader *r, struct mu_arena *arena,
                               struct mu_span text, struct catalog_node **out, struct mu_err *err)
{
    struct mu_id id = MU_ID_NONE;
    size_t bytes = 0;
    size_t count = 0;
    struct walk w;

    if (!id_prefix(text, &id, &bytes)) {
        return MU_OK;
    }
    struct mu_span prefix = mu_span_of(id.b, bytes);

    catalog__walk(&w, r, READER_NODES_FROM_UUID, arena, err);
    bind_bytes(w.s, 1, prefix);
    while (count < 2 && catalog__walk_next(&w) &&
           mu_span_starts(column_bytes(w.s, NODE_UUID), prefix)) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_node(&w, *out);
        count++;
    }
    *out = count == 1 ? *out : NULL;
    return catalog__walk_end(&w);
}

static enum mu_code find_node(struct catalog_reader *r, struct mu_arena *arena,
                              struct mu_span name_or_id, struct catalog_node **out,
                              struct mu_err *err)
{
    enum mu_code rc = catalog__find_node(r, arena, catalog__fold(arena, name_or_id), out, err);

    return rc == MU_OK && *out == NULL ? find_by_id(r, arena, name_or_id, out, err) : rc;
}

enum mu_code catalog_query_node(struct catalog_reader *r, struct mu_arena *arena,
                                struct mu_span name_or_id, struct catalog_nodes *out,
                                struct mu_err *err)
{
    *out = (struct catalog_nodes){ NULL, 0, 1 };
    enum mu_code rc = find_node(r, arena, name_or_id, &out->items, err);

    out->count = out->items != NULL;
    return rc == MU_OK ? catalog__read_index(r, nodes_counter, 1, &out->index, err) : rc;
}

/* -- names of services ------------------------------------------------------------------------- */

static int span_cmp(const void *a, const void *b)
{
    return mu_span_cmp(*(const struct mu_span *)a, *(const struct mu_span *)b);
}

/* Sort, and keep one of each. */
static void settle_tags(struct mu_texts *tags)
{
    size_t kept = 0;

    if (tags->count > 0) {
        qsort(tags->items, tags->count, sizeof *tags->items, span_cmp);
    }
    for (size_t i = 0; i < tags->count; i++) {
        if (kept == 0 || !mu_span_eq(tags->items[kept - 1], tags->items[i])) {
            tags->items[kept++] = tags->items[i];
        }
    }
    tags->count = kept;
}

static void add_tags(struct mu_arena *arena, struct mu_texts *to, struct mu_span packed)
{
    struct mu_texts tags = catalog__unpack_texts(arena, packed);

    for (size_t i = 0; i < tags.count; i++) {
        to->items = mu_arena_grow(arena, to->items, to->count, sizeof *to->items);
        to->items[to->count++] = tags.items[i];
    }
}

/* The node of the current row, read once for neighbours that share it. */
struct node_memo {
    struct mu_span key;
    struct catalog_node *node;
};

static enum mu_code node_of(struct walk *w, int column, struct node_memo *memo)
{
    if (memo->node != NULL && mu_span_eq(column_bytes(w->s, column), memo->key)) {
        return MU_OK;
    }
    memo->key = catalog__walk_bytes(w, column);
    enum mu_code rc = catalog__find_node(w->r, w->arena, memo->key, &memo->node, w->err);

    if (rc == MU_OK && memo->node == NULL) {
        return mu_fail(w->err, MU_CORRUPT,
                       "state %s: something is registered on a node '%.*s' "
                       "that is not there",
                       w->r->db->path, MU_SPAN_FMT(memo->key));
    }
    return rc;
}

enum mu_code catalog_query_service_names(struct catalog_reader *r, struct mu_arena *arena,
                                         const struct catalog_filter *filter,
                                         struct catalog_service_names *out, struct mu_err *err)
{
    struct catalog_service_name *last = NULL;
    struct node_memo memo = { .node = NULL };
    struct mu_span last_key = MU_SPAN_NONE;
    struct walk w;

    *out = (struct catalog_service_names){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_SERVICES, arena, err);
    while (catalog__walk_next(&w)) {
        if (is_filtered(filter)) {
            w.rc = node_of(&w, SERVICE_NODE, &memo);
            if (w.rc != MU_OK || !catalog__filter_matches(filter, memo.node)) {
                continue;
            }
        }
        if (last == NULL || !mu_span_eq(column_bytes(w.s, SERVICE_NAME_KEY), last_key)) {
            out->items = mu_arena_grow(arena, out->items, out->count, sizeof *out->items);
            last = &out->items[out->count++];
            *last =
                (struct catalog_service_name){ catalog__walk_bytes(&w, SERVICE_NAME), { NULL, 0 } };
            last_key = catalog__walk_bytes(&w, SERVICE_NAME_KEY);
        }
        add_tags(arena, &last->tags, catalog__walk_bytes(&w, SERVICE_TAGS));
    }
    for (size_t i = 0; i < out->count; i++) {
        settle_tags(&out->items[i].tags);
    }
    enum mu_code rc = catalog__walk_end(&w);

    if (rc != MU_OK) {
        return rc;
    }
    return is_filtered(filter) ? catalog__read_index(r, nodes_and_services, 2, &out->index, err)
                               : catalog__read_index(r, services_counter, 1, &out->index, err);
}

/* -- instances --------------------------------------------------------------------------------- */

/* All checks that judge an instance: those of its node, then its own. */
static enum mu_code add_checks(struct walk *from, struct mu_span name_key, struct mu_span node_key,
                               struct mu_span key, struct catalog_instance *out)
{
    struct walk w;

    catalog__walk(&w, from->r, READER_CHECKS_OF_INSTANCE, from->arena, from->err);
    bind_bytes(w.s, 1, name_key);
    bind_bytes(w.s, 2, node_key);
    bind_bytes(w.s, 3, key);
    while (catalog__walk_next(&w)) {
        out->checks = mu_arena_grow(w.arena, out->checks, out->checks_count, sizeof *out->checks);
        catalog__read_check(&w, &out->checks[out->checks_count]);
        out->checks[out->checks_count++].node = out->node->name;
    }
    return catalog__walk_end(&w);
}

/* The current row of services as an instance on the node of the memo. */
static enum mu_code read_instance(struct walk *w, const struct node_memo *memo, bool with_checks,
                                  struct catalog_instance *out)
{
    *out = (struct catalog_instance){ .node = memo->node };
    catalog__read_service(w, &out->service);
    if (!with_checks) {
        return MU_OK;
    }
    enum mu_code rc = add_checks(w, MU_SPAN_NONE, memo->key, MU_SPAN_NONE, out);

    return rc == MU_OK ? add_checks(w, column_bytes(w->s, SERVICE_NAME_KEY), memo->key,
                                    column_bytes(w->s, SERVICE_KEY), out)
                       : rc;
}

enum mu_code catalog_query_instances(struct catalog_reader *r, struct mu_arena *arena,
                                     struct mu_span service, const struct catalog_filter *filter,
                                     bool with_checks, struct catalog_instances *out,
                                     struct mu_err *err)
{
    struct mu_span name_key = catalog__fold(arena, service);
    struct node_memo memo = { .node = NULL };
    struct walk w;

    *out = (struct catalog_instances){ NULL, 0, 1 };
    catalog__walk(&w, r, READER_SERVICES_OF_NAME, arena, err);
    bind_bytes(w.s, 1, name_key);
    while (catalog__walk_next(&w)) {
        w.rc = node_of(&w, SERVICE_NODE, &memo);
        if (w.rc != MU_OK || !catalog__filter_matches(filter, memo.node)) {
            continue;
        }
        out->items = mu_arena_grow(arena, out->items, out->count, sizeof *out->items);
        w.rc = read_instance(&w, &memo, with_checks, &out->items[out->count++]);
    }
    enum mu_code rc = catalog__walk_end(&w);

    return rc == MU_OK
               ? catalog__read_service_index(r, arena, name_key, with_checks, &out->index, err)
               : rc;
}

enum mu_code catalog_query_node_services(struct catalog_reader *r, struct mu_arena *arena,
                                         struct mu_span node_name_or_id,
                                         struct catalog_node_services *out, struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_node_services){ NULL, NULL, 0, 1 };
    enum mu_code rc = find_node(r, arena, node_name_or_id, &out->node, err);

    if (rc != MU_OK || out->node == NULL) {
        return rc;
    }
    catalog__walk(&w, r, READER_SERVICES_OF_NODE, arena, err);
    struct mu_span key = catalog__fold(arena, out->node->name);

    bind_bytes(w.s, 1, key);
    while (catalog__walk_next(&w)) {
        out->services =
            mu_arena_grow(arena, out->services, out->services_count, sizeof *out->services);
        catalog__read_service(&w, &out->services[out->services_count++]);
    }
    rc = catalog__walk_end(&w);
    return rc == MU_OK ? catalog__read_index(r, nodes_and_services, 2, &out->index, err) : rc;
}

/* -- by address -------------------------------------------------------------------------------- */

static enum mu_code node_of_ip(struct catalog_reader *r, struct mu_arena *arena, enum reader_sql by,
                               struct mu_span ip, struct catalog_nodes *out, struct mu_err *err)
{
    struct walk w;

    catalog__walk(&w, r, by, arena, err);
    bind_bytes(w.s, 1, ip);
    if (catalog__walk_next(&w)) {
        out->items = mu_arena_new(arena, sizeof *out->items);
        out->count = 1;
        catalog__read_node(&w, out->items);
    }
    return catalog__walk_end(&w);
}

static enum mu_code instance_of_ip(struct catalog_reader *r, struct mu_arena *arena,
                                   enum reader_sql by, struct mu_span ip,
                                   struct catalog_instances *out, struct mu_err *err)
{
    struct node_memo memo = { .node = NULL };
    struct walk w;

    catalog__walk(&w, r, by, arena, err);
    bind_bytes(w.s, 1, ip);
    if (catalog__walk_next(&w)) {
        w.rc = node_of(&w, SERVICE_NODE, &memo);
        if (w.rc == MU_OK) {
            out->items = mu_arena_new(arena, sizeof *out->items);
            out->count = 1;
            w.rc = read_instance(&w, &memo, false, out->items);
        }
    }
    return catalog__walk_end(&w);
}

enum mu_code catalog_query_address(struct catalog_reader *r, struct mu_arena *arena,
                                   const struct mu_addr *address, struct catalog_nodes *nodes,
                                   struct catalog_instances *instances, struct mu_err *err)
{
    struct mu_span ip = mu_span_of(address->ip, address->ip_bytes);

    *nodes = (struct catalog_nodes){ NULL, 0, 1 };
    *instances = (struct catalog_instances){ NULL, 0, 1 };
    enum mu_code rc = node_of_ip(r, arena, READER_NODES_OF_IP, ip, nodes, err);

    if (rc == MU_OK && nodes->count == 0) {
        rc = node_of_ip(r, arena, READER_NODES_OF_TAGGED, ip, nodes, err);
    }
    if (rc == MU_OK && nodes->count == 0) {
        rc = instance_of_ip(r, arena, READER_SERVICES_OF_IP, ip, instances, err);
    }
    if (rc == MU_OK && nodes->count + instances->count == 0) {
        rc = instance_of_ip(r, arena, READER_SERVICES_OF_TAGGED, ip, instances, err);
    }
    if (rc == MU_OK) {
        rc = catalog__read_index(r, nodes_and_services, 2, &nodes->index, err);
    }
    instances->index = nodes->index;
    return rc;
}
