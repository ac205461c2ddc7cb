/* dns_zone.c - what belongs to a zone as such: SOA, name servers, literal and reverse addresses. */
#include "dns_work.h"

#define NAMESERVERS_MAX    3 /* shown (5.9) */
#define NAMESERVER_SERVICE "consul"

enum dns_outcome dns_answer_literal(struct dns_work *a)
{
    struct dns_address address = dns_literal_address(&a->place.address);
    uint16_t type = a->query->type;
    bool suits = type == DNS_ANY || (type == DNS_A && address.kind == DNS_IP4) ||
                 (type == DNS_AAAA && address.kind == DNS_IP6);

    (void)dns_put_address(a, suits ? DNS_ANSWER : DNS_ADDITIONAL, &a->name, &address,
                          a->config->node_ttl_s);
    return suits ? DNS_OUT_RECORDS : DNS_OUT_NODATA;
}

/* -- the zone itself (5.9) --------------------------------------------------------------------- */

static struct dns_name primary_domain(const struct dns_work *a)
{
    const struct dns_labels *zone = &a->responder->zones.zone[0];

    return (struct dns_name){ .tail = zone->wire,
                              .tail_bytes = (uint16_t)(zone->at[zone->count] + 1) };
}

/* The zone's SOA; that of a reverse name is one label above it (D15), so that it never lies above
 * a zone that was delegated to us. */
void dns_put_soa(struct dns_work *a, enum dns_section section, uint32_t ttl)
{
    static const uint8_t ns[] = "\x02ns";
    static const uint8_t hostmaster[] = "\x0ahostmaster";
    const struct config_dns *c = a->config;
    struct dns_mark mark = dns_reply_mark(&a->reply);
    struct dns_name owner = a->domain;
    struct dns_name name = a->domain;

    if (a->place.kind == DNS_REVERSE || a->place.kind == DNS_REVERSE_BROKEN ||
        a->place.kind == DNS_REVERSE_PARENT) {
        owner = dns_name_asked(a->query,
                               a->place.kind == DNS_REVERSE_PARENT ? 0 : a->query->name.at[1]);
        name = primary_domain(a);
    }
    dns_record_open(&a->reply, section, &owner, DNS_SOA, ttl);
    name.at = 0;
    name.head = ns;
    name.head_bytes = sizeof ns - 1;
    uint16_t at = dns_put_name(&a->reply, section, &name, false);

    if (name.tail_at == 0 && at != 0) {
        name.tail_at = (uint16_t)(at + name.head_bytes);
    }
    name.head = hostmaster;
    name.head_bytes = sizeof hostmaster - 1;
    (void)dns_put_name(&a->reply, section, &name, false);
    dns_put_u32(&a->reply, section, a->asked->now_s);
    dns_put_u32(&a->reply, section, c->soa_refresh);
    dns_put_u32(&a->reply, section, c->soa_retry);
    dns_put_u32(&a->reply, section, c->soa_expire);
    dns_put_u32(&a->reply, section, ttl);
    dns_record_close(&a->reply, section);
    if (a->reply.overflow) { /* a domain of hundreds of bytes: go without */
        dns_reply_rewind(&a->reply, &mark);
    }
}

/* One server: NS and its address. */
static void put_nameserver(struct dns_work *a, enum dns_section section,
                           const struct dns_node *node)
{
    struct dns_mark mark = dns_reply_mark(&a->reply);
    const struct dns_address *address = &node->picks.by[DNS_PICK_ANY];
    uint8_t folded[DNS_NAME_MAX];
    struct dns_name name = dns_local_name(a, folded, node->labels_bytes);

    /* Length bytes are below 'A': the whole can be folded at once. */
    mu_span_fold(mu_span_of(node->labels, node->labels_bytes), folded);
    dns_record_open(&a->reply, section, &a->name, DNS_NS, a->config->node_ttl_s);
    name.at = dns_put_name(&a->reply, section, &name, false);
    dns_record_close(&a->reply, section);
    if (dns_is_ip(address)) {
        dns_put_record(&a->reply, DNS_ADDITIONAL, &name,
                       address->kind == DNS_IP4 ? DNS_A : DNS_AAAA, a->config->node_ttl_s,
                       address->ip, address->bytes);
    }
    if (a->reply.overflow) {
        dns_reply_rewind(&a->reply, &mark);
        a->is_full = true;
    }
}

static void put_nameservers(struct dns_work *a, enum dns_section section)
{
    const struct dns_instance *in;
    struct dns_held held;
    struct dns_draw draw;
    unsigned shown = 0;

    if (dns_look_service(a, MU_SPAN_LIT(NAMESERVER_SERVICE), &held) != DNS_FOUND) {
        return; /* the zone exists, whoever serves it */
    }
    if (dns_draw_begin(&draw, held.service, &held.service->all, a->responder->rand)) {
        dns_marks_clear(held.service, DNS_SHOWN_NODE);
        while (shown < NAMESERVERS_MAX && (in = dns_draw_next(&draw)) != NULL) {
            if (in->node->is_plain && in->node->labels != NULL &&
                !dns_is_marked(held.service, DNS_SHOWN_NODE, in->node->number)) {
                dns_mark_shown(held.service, DNS_SHOWN_NODE, in->node->number);
                put_nameserver(a, section, in->node);
                shown++;
            }
        }
        dns_draw_end(&draw);
    }
    dns_let_go(a, &held);
}

enum dns_outcome dns_answer_apex(struct dns_work *a)
{
    if (a->query->type == DNS_SOA) {
        dns_put_soa(a, DNS_ANSWER, a->config->soa_min_ttl);
        put_nameservers(a, DNS_AUTHORITY);
        return DNS_OUT_RECORDS;
    }
    if (a->query->type == DNS_NS) {
        put_nameservers(a, DNS_ANSWER);
        return a->reply.counts[DNS_ANSWER] > 0 ? DNS_OUT_RECORDS : DNS_OUT_NODATA;
    }
    return DNS_OUT_PARENT;
}

enum dns_outcome dns_answer_nameserver(struct dns_work *a)
{
    uint16_t type = a->query->type;
    struct dns_mark start = dns_reply_mark(&a->reply);
    struct dns_held held;
    struct dns_walk w;
    enum dns_lookup found = dns_look_service(a, MU_SPAN_LIT(NAMESERVER_SERVICE), &held);

    dns_walk_init(&w, a, dns_picks_for(type), a->config->node_ttl_s);
    if (found != DNS_FOUND) {
        return found == DNS_UNKNOWN ? DNS_OUT_UNKNOWN : DNS_OUT_NODATA;
    }
    if (type == DNS_A || type == DNS_AAAA || type == DNS_ANY) {
        a->records_left = a->records_left < NAMESERVERS_MAX ? a->records_left : NAMESERVERS_MAX;
        dns_show_list(a, &w, held.service, &held.service->all,
                      type == DNS_A      ? DNS_PICK_4
                      : type == DNS_AAAA ? DNS_PICK_6
                                         : DNS_PICK_ANY);
    }
    dns_let_go(a, &held);
    return dns_walked(a, &start);
}

enum dns_outcome dns_answer_reverse(struct dns_work *a)
{
    const struct dns_source *s = a->asked->source;
    uint16_t type = a->query->type;
    struct dns_owner owner;

    a->needs_catalog = true;
    switch (s != NULL ? s->address(s->data, &a->place.address, &owner) : DNS_UNKNOWN) {
    case DNS_FOUND: break;
    case DNS_ABSENT: return DNS_OUT_NXDOMAIN;
    case DNS_UNKNOWN: return DNS_OUT_UNKNOWN;
    }
    if ((type != DNS_PTR && type != DNS_ANY) || owner.bytes == 0) {
        return DNS_OUT_NODATA;
    }
    struct dns_mark start = dns_reply_mark(&a->reply);
    struct dns_name target = primary_domain(a);

    target.head = owner.labels;
    target.head_bytes = owner.bytes;
    dns_record_open(&a->reply, DNS_ANSWER, &a->name, DNS_PTR, 0);
    (void)dns_put_name(&a->reply, DNS_ANSWER, &target, false);
    dns_record_close(&a->reply, DNS_ANSWER);
    return dns_walked(a, &start);
}
