/* Whatever was registered, answers are sound: rows made of the input, asked in every way.
 *
 * The input is lines; each line is an instance, its fields divided by '|':
 * node | node address | service address | tag | lan_ipv4 | lan_ipv6 | metadata key | value. */
#include "../../unit/web/dns_world.h"
#include "base/buf.h"
#include "dns_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define ROWS_MAX 12

struct rows {
    struct catalog_node nodes[ROWS_MAX];
    struct catalog_instance instances[ROWS_MAX];
    struct mu_pair tagged[ROWS_MAX][2], meta[ROWS_MAX];
    struct catalog_tagged service_tagged[ROWS_MAX][2];
    struct mu_span tags[ROWS_MAX];
    size_t count;
    struct dns_rules *rules;
};

static struct mu_span field(struct mu_span *line)
{
    return mu_span_split(*line, '|', line, NULL);
}

static void row_read(struct rows *r, struct mu_span line)
{
    size_t i = r->count++;
    struct catalog_instance *in = &r->instances[i];

    in->node = &r->nodes[i];
    in->node->name = field(&line);
    in->node->address = field(&line);
    in->service.address = field(&line);
    r->tags[i] = field(&line);
    r->tagged[i][0] = (struct mu_pair){ MU_SPAN_LIT("lan_ipv4"), field(&line) };
    r->tagged[i][1] = (struct mu_pair){ MU_SPAN_LIT("lan_ipv6"), field(&line) };
    r->meta[i].key = field(&line);
    r->meta[i].value = line;
    in->node->tagged_addresses = (struct mu_pairs){ r->tagged[i], i % 2 == 0 ? 2 : 0 };
    in->node->meta = (struct mu_pairs){ &r->meta[i], 1 };
    in->service.tags = (struct mu_texts){ &r->tags[i], 1 };
    in->service.port = (uint16_t)i;
    in->service.weight_passing = (uint32_t)(i * 1000);
    for (size_t t = 0; t < 2; t++) {
        r->service_tagged[i][t] =
            (struct catalog_tagged){ r->tagged[i][t].key, r->tagged[i][t].value, 1 };
    }
    in->service.tagged_addresses = r->service_tagged[i];
    in->service.tagged_addresses_count = i % 3 == 0 ? 2 : 0;
}

static int by_node(const void *a, const void *b)
{
    const struct catalog_instance *left = a;
    const struct catalog_instance *right = b;

    return mu_span_cmp(left->node->name, right->node->name);
}

/* Every service is this one, every node the first. */
static enum dns_lookup find_service(void *data, struct mu_span name, struct dns_held *out)
{
    struct rows *r = data;
    struct catalog_instances rows = { r->instances, r->count, 1 };

    out->hold = NULL;
    out->service = dns_service_new(r->rules, name, &rows);
    return DNS_FOUND;
}

static enum dns_lookup find_node(void *data, struct mu_span name, struct dns_held *out)
{
    struct rows *r = data;
    struct dns_one_node *n = dns_node_new(r->rules, &r->nodes[0]);

    (void)name;
    out->hold = n;
    out->node = &n->node;
    return DNS_FOUND;
}

static void release(void *data, struct dns_held *held)
{
    (void)data;
    if (held->hold != NULL) {
        dns_node_free(held->hold);
    } else {
        dns_service_free(held->service);
    }
}

static void ask(struct world *w, struct rows *r, const char *name, uint16_t type, uint16_t edns)
{
    static uint8_t answer[MU_DNS_TCP_MAX];
    struct dns_check_query cq = {
        .name = name, .id = 1, .type = type, .has_edns = edns > 0, .udp_bytes = edns
    };
    struct dns_source source = { find_service, find_node, NULL, NULL, release, r };
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf text = MU_BUF_NONE;
    struct dns_query q;
    struct dns_asked asked = { .query = &q, .source = &source };

    bool is_query = dns_check_ask(&cq, &query) && dns_query_read(&q, mu_buf_span(&query));

    MU_ASSERT(is_query);
    size_t bytes = dns_answer(&w->responder, &asked, answer).bytes;
    bool is_sound = dns_check(mu_buf_span(&query), mu_span_of(answer, bytes),
                              dns_answer_room(&w->responder, &q, false), DNS_CHECK_COUNTS, &text);

    if (!is_sound) {
        (void)fprintf(stderr, "%s\n", mu_buf_text(&text));
    }
    MU_ASSERT(is_sound);
    mu_buf_deinit(&query);
    mu_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const uint16_t others[] = { DNS_A, DNS_AAAA, DNS_ANY, DNS_TXT, DNS_CNAME };
    const uint16_t types[] = { DNS_SRV, others[bytes % MU_LEN(others)] };
    static const char *const names[] = { "x.service.consul", "primary.x.service.muster",
                                         "n.node.dc1.consul" };
    static const uint16_t rooms[] = { 0, 700, 1232, 4096 };
    static struct world *w;
    struct rows *r = mu_new(sizeof *r);
    struct mu_span rest = mu_span_of(data, bytes);

    if (w == NULL) {
        w = world_new();
    }
    r->rules = &w->rules;
    while (rest.bytes > 0 && r->count < ROWS_MAX) {
        row_read(r, mu_span_split(rest, '\n', &rest, NULL));
    }
    qsort(r->instances, r->count, sizeof r->instances[0], by_node); /* as the catalog orders them */
    for (size_t t = 0; t < MU_LEN(types) && r->count > 0; t++) {    /* two of many, by the input */
        ask(w, r, names[bytes % MU_LEN(names)], types[t], rooms[bytes % MU_LEN(rooms)]);
    }
    mu_free(r);
    return 0;
}
