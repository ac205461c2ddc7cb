#include "params.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "route.h"
#include "target.h"

#define PARAMS_MAX 512 /* some rules below are quadratic; people give ten */

/* -- pairs ------------------------------------------------------------------------------------- */

static size_t count_pairs(struct mu_span query)
{
    size_t count = 0;

    while (query.bytes > 0) {
        if (mu_span_split(query, '&', &query, NULL).bytes > 0) {
            count++;
        }
    }
    return count;
}

enum mu_code params_parse(struct mu_span query, struct mu_arena *arena, struct params *out,
                          struct mu_err *err)
{
    *out = (struct params){ NULL, 0 };
    if (query.bytes == 0) {
        return MU_OK;
    }
    size_t count = count_pairs(query);

    if (count > PARAMS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "query has %zu parameters, at most %d are read", count,
                       PARAMS_MAX);
    }
    out->items = mu_arena_array(arena, count, sizeof *out->items);
    while (query.bytes > 0) {
        struct mu_span value;
        struct mu_span pair = mu_span_split(query, '&', &query, NULL);
        struct mu_span key = mu_span_split(pair, '=', &value, NULL);

        if (pair.bytes == 0) {
            continue;
        }
        struct param *p = &out->items[out->count++];

        if (!target_decode(key, true, arena, &p->key) ||
            !target_decode(value, true, arena, &p->value)) {
            return mu_fail(err, MU_INVALID, "query has a bad percent escape: \"%.*s\"",
                           MU_SPAN_FMT(pair));
        }
    }
    return MU_OK;
}

const struct mu_span *params_find(const struct params *p, const char *key)
{
    for (size_t i = 0; i < p->count; i++) {
        if (mu_span_eq_text(p->items[i].key, key)) {
            return &p->items[i].value;
        }
    }
    return NULL;
}

bool params_has(const struct params *p, const char *key)
{
    return params_find(p, key) != NULL;
}

struct mu_span params_text(const struct params *p, const char *key)
{
    const struct mu_span *value = params_find(p, key);

    return value != NULL ? *value : MU_SPAN_NONE;
}

/* The next pair in key order behind `last`; pairs of one key keep their order. Quadratic, for the
 * few pairs of an error text. */
static const struct param *next_sorted(const struct params *p, const struct param *last)
{
    const struct param *best = NULL;

    for (size_t i = 0; i < p->count; i++) {
        const struct param *at = &p->items[i];
        int order = last != NULL ? mu_span_cmp(at->key, last->key) : 1;

        if (order < 0 || (order == 0 && at <= last)) {
            continue;
        }
        if (best == NULL || mu_span_cmp(at->key, best->key) < 0) {
            best = at;
        }
    }
    return best;
}

#define ENCODED_PAIRS_MAX 64 /* of an error text */

void params_encode(const struct params *p, struct mu_buf *to)
{
    const struct param *at = next_sorted(p, NULL);

    for (size_t n = 0; at != NULL && n < ENCODED_PAIRS_MAX; n++) {
        if (n > 0) {
            mu_buf_add_byte(to, '&');
        }
        target_escape_query(to, at->key);
        mu_buf_add_byte(to, '=');
        target_escape_query(to, at->value);
        at = next_sorted(p, at);
    }
}

/* -- values ------------------------------------------------------------------------------------ */

bool params_bool(struct mu_span text, bool *out)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        // clang-format off
        { "1", true }, { "t", true }, { "T", true },
        { "true", true }, { "TRUE", true }, { "True", true },
        { "0", false }, { "f", false }, { "F", false },
        { "false", false }, { "FALSE", false }, { "False", false },
    }; // clang-format on

    for (size_t i = 0; i < MU_LEN(words); i++) {
        if (mu_span_eq_text(text, words[i].text)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

enum mu_code params_u64(struct mu_span text, uint64_t *out, struct mu_err *err)
{
    bool is_number = text.bytes > 0;

    if (mu_span_u64(text, out)) {
        return MU_OK;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        is_number = is_number && text.data[i] >= '0' && text.data[i] <= '9';
    }
    return mu_fail(err, MU_INVALID, "strconv.ParseUint: parsing \"%.*s\": %s", MU_SPAN_FMT(text),
                   is_number ? "value out of range" : "invalid syntax");
}

enum mu_code params_passing(const struct params *p, bool *out, struct mu_err *err)
{
    const struct mu_span *value = params_find(p, "passing");

    *out = value != NULL && value->bytes == 0;
    if (value == NULL || value->bytes == 0 || params_bool(*value, out)) {
        return MU_OK;
    }
    return mu_fail(err, MU_INVALID, "Invalid value for ?passing");
}

struct mu_texts params_all(const struct params *p, const char *key, struct mu_arena *arena)
{
    struct mu_texts all = { NULL, 0 };

    for (size_t i = 0; i < p->count; i++) {
        if (!mu_span_eq_text(p->items[i].key, key)) {
            continue;
        }
        if (all.items == NULL) {
            all.items = mu_arena_array(arena, p->count - i, sizeof *all.items);
        }
        all.items[all.count++] = p->items[i].value;
    }
    return all;
}

struct mu_pairs params_node_meta(const struct params *p, struct mu_arena *arena)
{
    struct mu_texts given = params_all(p, "node-meta", arena);
    struct mu_pairs pairs = { NULL, 0 };

    if (given.count == 0) {
        return pairs;
    }
    pairs.items = mu_arena_array(arena, given.count, sizeof *pairs.items);
    for (size_t i = 0; i < given.count; i++) {
        struct mu_pair pair;
        size_t at = 0;

        pair.key = mu_span_split(given.items[i], ':', &pair.value, NULL);
        while (at < pairs.count && !mu_span_eq(pairs.items[at].key, pair.key)) {
            at++;
        }
        pairs.items[at] = pair;
        pairs.count += at == pairs.count;
    }
    return pairs;
}

/* -- declared parameters ----------------------------------------------------------------------- */

/* What the rules fill in while they walk; judged at the end. */
struct reading {
    const struct read_defaults *defaults;
    struct read_options *out;
    bool is_stale, is_consistent, has_mode;
};

typedef enum mu_code read_fn(struct reading *r, struct mu_span value, struct mu_err *err);

static enum mu_code read_namespace(struct reading *r, struct mu_span value, struct mu_err *err)
{
    (void)r;
    if (value.bytes == 0) {
        return MU_OK;
    }
    return mu_fail(err, MU_INVALID,
                   "Bad request: Invalid query parameter: \"ns\" - Namespaces are a Consul "
                   "Enterprise feature");
}

static enum mu_code read_partition(struct reading *r, struct mu_span value, struct mu_err *err)
{
    (void)r;
    if (value.bytes == 0) {
        return MU_OK;
    }
    return mu_fail(err, MU_INVALID,
                   "Invalid query parameter: \"partition\" - Partitions are a Consul Enterprise "
                   "feature");
}

static enum mu_code read_stale(struct reading *r, struct mu_span value, struct mu_err *err)
{
    (void)value;
    (void)err;
    r->is_stale = r->has_mode = true;
    return MU_OK;
}

static enum mu_code read_consistent(struct reading *r, struct mu_span value, struct mu_err *err)
{
    (void)value;
    (void)err;
    r->is_consistent = r->has_mode = true;
    return MU_OK;
}

static enum mu_code read_leader(struct reading *r, struct mu_span value, struct mu_err *err)
{
    (void)value;
    (void)err;
    r->has_mode = true;
    return MU_OK;
}

static enum mu_code read_cached(struct reading *r, struct mu_span value, struct mu_err *err)
{
    (void)value;
    (void)err;
    r->out->is_cached = r->has_mode = true;
    return MU_OK;
}

static enum mu_code read_max_stale(struct reading *r, struct mu_span value, struct mu_err *err)
{
    int64_t ns = 0;

    if (value.bytes == 0) {
        return MU_OK;
    }
    if (!mu_duration_parse(value, &ns, NULL, 0)) {
        return mu_fail(err, MU_INVALID, "Invalid max_stale value \"%.*s\"", MU_SPAN_FMT(value));
    }
    if (ns > 0) {
        r->out->has_max_stale = r->is_stale = r->has_mode = true;
        r->out->max_stale_ms = (uint64_t)ns / MU_NS_PER_MS;
    }
    return MU_OK;
}

enum mu_code params_wait_ms(struct mu_span text, const struct read_defaults *defaults,
                            uint64_t *out, struct mu_err *err)
{
    int64_t ns = 0;

    if (!mu_duration_parse(text, &ns, NULL, 0)) {
        return mu_fail(err, MU_INVALID, "Invalid wait time");
    }
    uint64_t ms = ns > 0 ? ((uint64_t)ns + MU_NS_PER_MS - 1) / MU_NS_PER_MS : defaults->wait_ms;

    *out = ms < defaults->wait_ms_max ? ms : defaults->wait_ms_max;
    return MU_OK;
}

static enum mu_code read_wait(struct reading *r, struct mu_span value, struct mu_err *err)
{
    return value.bytes == 0 ? MU_OK : params_wait_ms(value, r->defaults, &r->out->wait_ms, err);
}

static enum mu_code read_index(struct reading *r, struct mu_span value, struct mu_err *err)
{
    if (value.bytes == 0 || mu_span_u64(value, &r->out->index)) {
        return MU_OK;
    }
    return mu_fail(err, MU_INVALID, "Invalid index");
}

/* Every parameter that holds for a class of routes, in the order in which they are complained
 * about. `traits`: a route with any of them declares the parameter. */
static const struct {
    const char *name;
    unsigned traits;
    read_fn *read;
} rules[] = {
    // clang-format off
    { "ns",         ROUTE_TENANT, read_namespace },
    { "partition",  ROUTE_TENANT, read_partition },
    { "stale",      ROUTE_READS,  read_stale },
    { "consistent", ROUTE_READS,  read_consistent },
    { "leader",     ROUTE_READS,  read_leader },
    { "cached",     ROUTE_READS,  read_cached },
    { "max_stale",  ROUTE_READS,  read_max_stale },
    { NULL,         0,            NULL }, /* conflicts and Cache-Control are judged here */
    { "wait",       ROUTE_BLOCKS, read_wait },
    { "index",      ROUTE_BLOCKS, read_index },
}; // clang-format on

/* Which of the modes holds, now that all of them are known. */
static enum mu_code choose_mode(struct reading *r, struct mu_err *err)
{
    if (!r->has_mode && r->defaults->discovery_max_stale_ms > 0) {
        r->is_stale = r->out->has_max_stale = true;
        r->out->max_stale_ms = r->defaults->discovery_max_stale_ms;
    }
    if (r->is_stale && r->is_consistent) {
        return mu_fail(err, MU_INVALID,
                       "Cannot specify ?stale with ?consistent, conflicting semantics.");
    }
    if (r->out->is_cached && r->is_consistent) {
        return mu_fail(err, MU_INVALID,
                       "Cannot specify ?cached with ?consistent, conflicting semantics.");
    }
    r->out->mode = r->is_stale ? AGENT_STALE : r->is_consistent ? AGENT_CONSISTENT : AGENT_DEFAULT;
    return MU_OK;
}

static struct mu_span trim(struct mu_span text)
{
    while (text.bytes > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = mu_span_sub(text, 1, text.bytes);
    }
    while (text.bytes > 0 &&
           (text.data[text.bytes - 1] == ' ' || text.data[text.bytes - 1] == '\t')) {
        text.bytes--;
    }
    return text;
}

static enum mu_code read_cache_control(struct reading *r, struct mu_span text, struct mu_err *err)
{
    while (text.bytes > 0) {
        struct mu_span value;
        bool has_value = false;
        uint64_t seconds = 0;
        struct mu_span item = trim(mu_span_split(text, ',', &text, NULL));
        struct mu_span name = mu_span_split(item, '=', &value, &has_value);
        bool is_age = mu_span_eq_fold(name, MU_SPAN_LIT("max-age"));

        if (mu_span_eq_fold(item, MU_SPAN_LIT("must-revalidate"))) {
            r->out->must_revalidate = true;
        }
        if (!is_age && !mu_span_eq_fold(name, MU_SPAN_LIT("stale-if-error"))) {
            continue;
        }
        if (!has_value || !mu_span_u64(trim(value), &seconds)) {
            return mu_fail(err, MU_INVALID, "Invalid Cache-Control header.");
        }
        r->out->must_revalidate |= is_age && seconds == 0;
    }
    return MU_OK;
}

enum mu_code params_read_options(const struct params *p, struct mu_span cache_control,
                                 struct mu_span namespace_header,
                                 const struct read_defaults *defaults, struct read_options *out,
                                 struct mu_err *err)
{
    struct reading r = { .defaults = defaults, .out = out };

    *out = (struct read_options){ .mode = AGENT_DEFAULT, .wait_ms = defaults->wait_ms };
    if (namespace_header.bytes > 0 && (defaults->traits & ROUTE_TENANT) != 0) {
        return mu_fail(err, MU_INVALID,
                       "Bad request: Invalid header: \"X-Consul-Namespace\" - Namespaces are a "
                       "Consul Enterprise feature");
    }
    for (size_t i = 0; i < MU_LEN(rules); i++) {
        enum mu_code rc = MU_OK;

        if (rules[i].name == NULL) {
            rc = choose_mode(&r, err);
            if (rc == MU_OK && (defaults->traits & ROUTE_READS) != 0) {
                rc = read_cache_control(&r, cache_control, err);
            }
        } else if ((defaults->traits & rules[i].traits) != 0) {
            const struct mu_span *value = params_find(p, rules[i].name);

            rc = value != NULL ? rules[i].read(&r, *value, err) : MU_OK;
        }
        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}
