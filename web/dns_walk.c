/* dns_walk.c - addresses into an answer, and aliases until they end.
 *
 * A walk begins at the question (or at an SRV target), shows the addresses found there, or
 * remembers one host name; following that leads to the next. Aliases (an instance or node whose
 * address is a host name) are followed when they lead into our own zones, three steps at most;
 * what lies outside is the client's to ask. A loop ends where it meets itself.
 */
#include "dns_work.h"

#include <string.h>

#include "base/assert.h"

/* -- looking up -------------------------------------------------------------------------------- */

enum dns_lookup dns_look_service(struct dns_work *a, struct mu_span name, struct dns_held *out)
{
    const struct dns_source *s = a->asked->source;

    a->needs_catalog = true;
    return s != NULL ? s->service(s->data, name, out) : DNS_UNKNOWN;
}

enum dns_lookup dns_look_node(struct dns_work *a, struct mu_span name, struct dns_held *out)
{
    const struct dns_source *s = a->asked->source;

    a->needs_catalog = true;
    return s != NULL ? s->node(s->data, name, out) : DNS_UNKNOWN;
}

void dns_let_go(struct dns_work *a, struct dns_held *held)
{
    a->asked->source->release(a->asked->source->data, held);
}

/* -- addresses --------------------------------------------------------------------------------- */

bool dns_is_ip(const struct dns_address *address)
{
    return address->kind == DNS_IP4 || address->kind == DNS_IP6;
}

bool dns_put_address(struct dns_work *a, enum dns_section section, const struct dns_name *owner,
                     const struct dns_address *address, uint32_t ttl)
{
    struct dns_mark mark = dns_reply_mark(&a->reply);

    dns_put_record(&a->reply, section, owner, address->kind == DNS_IP4 ? DNS_A : DNS_AAAA, ttl,
                   address->ip, address->bytes);
    if (a->reply.overflow) {
        dns_reply_rewind(&a->reply, &mark);
        return false;
    }
    return true;
}

/* May another address be shown? What is left out of an answer is remembered, for TC. */
static bool may_show(struct dns_work *a, struct dns_walk *w)
{
    if (w->section != DNS_ANSWER) {
        return w->left > 0;
    }
    if (a->records_left == 0) {
        return false;
    }
    a->is_cut = a->is_cut || a->plain_left == 0;
    return a->plain_left > 0;
}

static bool show_address(struct dns_work *a, struct dns_walk *w, const struct dns_address *address)
{
    if (!may_show(a, w)) {
        return false;
    }
    if (!dns_put_address(a, w->section, &w->owner, address, w->ttl)) {
        a->is_full = a->is_full || w->section == DNS_ANSWER;
        return false;
    }
    if (w->section != DNS_ANSWER) {
        w->left--;
    } else {
        a->plain_left--;
        a->records_left -= a->records_left < DNS_UNLIMITED ? 1 : 0;
    }
    return true;
}

void dns_walk_to(struct dns_walk *w, const struct dns_address *address)
{
    if (w->hosts_count < MU_LEN(w->hosts)) {
        memcpy(w->hosts[w->hosts_count++], address->host, address->bytes);
        w->host_bytes = address->bytes;
    }
}

void dns_show_list(struct dns_work *a, struct dns_walk *w, struct dns_service *s,
                   struct dns_list *list, enum dns_pick pick)
{
    uint32_t total = list->addresses[pick];
    struct dns_draw draw;

    if (total == 0 || !dns_draw_begin(&draw, s, list, a->responder->rand)) {
        return;
    }
    dns_marks_clear(s, DNS_SHOWN_ADDRESS);
    while (total > 0) {
        const struct dns_instance *in = dns_draw_next(&draw);
        const struct dns_address *address = &in->picks.by[pick];

        if (!dns_is_ip(address) || dns_is_marked(s, DNS_SHOWN_ADDRESS, in->same[pick])) {
            continue;
        }
        dns_mark_shown(s, DNS_SHOWN_ADDRESS, in->same[pick]);
        if (!show_address(a, w, address)) {
            break;
        }
        total--;
    }
    dns_draw_end(&draw);
}

/* No instance has an address: the first that is drawn lends its host name. */
void dns_draw_host(struct dns_work *a, struct dns_walk *w, struct dns_service *s,
                   struct dns_list *list, enum dns_pick pick)
{
    const struct dns_instance *in;
    struct dns_draw draw;

    if (list->hosts[pick] == 0 || !dns_draw_begin(&draw, s, list, a->responder->rand)) {
        return;
    }
    do {
        in = dns_draw_next(&draw);
    } while (in->picks.by[pick].kind != DNS_HOST);
    dns_walk_to(w, &in->picks.by[pick]);
    dns_draw_end(&draw);
}

void dns_show_service(struct dns_work *a, struct dns_walk *w, struct dns_service *s,
                      struct dns_list *list)
{
    uint32_t total = 0;

    w->ttl = w->ttl < s->ttl ? w->ttl : s->ttl;
    for (unsigned p = 0; p < DNS_PICKS_COUNT; p++) {
        total += (w->picks & DNS_PICK_BIT(p)) != 0 ? list->addresses[p] : 0;
    }
    for (unsigned p = 0; p < DNS_PICKS_COUNT; p++) {
        if ((w->picks & DNS_PICK_BIT(p)) == 0) {
            continue;
        }
        if (total > 0) {
            dns_show_list(a, w, s, list, (enum dns_pick)p);
        } else if (w->host_bytes == 0) {
            dns_draw_host(a, w, s, list, (enum dns_pick)p);
        }
    }
}

void dns_show_node(struct dns_work *a, struct dns_walk *w, const struct dns_node *node)
{
    w->ttl = w->ttl < a->config->node_ttl_s ? w->ttl : a->config->node_ttl_s;
    for (unsigned p = 0; p < DNS_PICKS_COUNT; p++) {
        const struct dns_address *address = &node->picks.by[p];

        if ((w->picks & DNS_PICK_BIT(p)) == 0) {
            continue;
        }
        if (dns_is_ip(address)) {
            (void)show_address(a, w, address);
        } else if (address->kind == DNS_HOST && w->host_bytes == 0) {
            dns_walk_to(w, address);
        }
    }
}

static bool literal_suits(const struct mu_addr *address, unsigned picks)
{
    return (picks & DNS_PICK_BIT(address->ip_bytes == 4 ? DNS_PICK_4 : DNS_PICK_6)) != 0;
}

struct dns_address dns_literal_address(const struct mu_addr *address)
{
    struct dns_address out = {
        .kind = address->ip_bytes == 4 ? DNS_IP4 : DNS_IP6,
        .bytes = address->ip_bytes,
    };

    memcpy(out.ip, address->ip, address->ip_bytes);
    return out;
}

struct dns_name dns_local_name(const struct dns_work *a, const uint8_t *labels, size_t bytes)
{
    struct dns_name n = a->domain;

    n.head = labels;
    n.head_bytes = (uint16_t)bytes;
    n.at = 0;
    return n;
}

/* -- aliases (6.5) ----------------------------------------------------------------------------- */

void dns_resolve(struct dns_work *a, struct dns_walk *w, const struct dns_labels *name)
{
    struct dns_place place;
    struct dns_held held;

    dns_locate(&a->responder->zones, name, DNS_A, &place);
    if (place.kind == DNS_SERVICE) {
        if (dns_look_service(a, place.name, &held) == DNS_FOUND) {
            struct dns_list *list = dns_service_list(held.service, place.tag);

            if (list != NULL) {
                dns_show_service(a, w, held.service, list);
            }
            dns_let_go(a, &held);
        }
    } else if (place.kind == DNS_NODE) {
        if (dns_look_node(a, place.name, &held) == DNS_FOUND) {
            dns_show_node(a, w, held.node);
            dns_let_go(a, &held);
        }
    } else if (place.kind == DNS_LITERAL && literal_suits(&place.address, w->picks)) {
        struct dns_address address = dns_literal_address(&place.address);

        w->ttl = w->ttl < a->config->node_ttl_s ? w->ttl : a->config->node_ttl_s;
        (void)show_address(a, w, &address);
    }
}

bool dns_is_first(struct dns_work *a, const struct dns_labels *name, bool when_full)
{
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a: a collision costs an address, nothing more */

    for (size_t i = 0; i < name->at[name->count]; i++) {
        hash = (hash ^ name->wire[i]) * 0x100000001b3U;
    }
    for (uint32_t i = 0; i < a->named_count; i++) {
        if (a->named[i] == hash) {
            return false;
        }
    }
    if (a->named_count == DNS_NAMED_MAX) {
        return when_full;
    }
    a->named[a->named_count++] = hash;
    return true;
}

static bool labels_eq(const struct dns_labels *a, const struct dns_labels *b)
{
    return a->count == b->count && a->at[a->count] == b->at[b->count] &&
           memcmp(a->wire, b->wire, a->at[a->count]) == 0;
}

static bool is_in(const struct dns_labels *name, const struct dns_labels *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (labels_eq(name, &seen[i])) {
            return true;
        }
    }
    return false;
}

void dns_follow(struct dns_work *a, struct dns_walk *w, const struct dns_labels *from)
{
    struct dns_labels seen[DNS_ALIASES_MAX + 2];
    size_t seen_count = 1;

    if (w->host_bytes == 0) {
        return;
    }
    seen[0] = *from;
    while (w->host_bytes > 0) {
        struct dns_name host = dns_name_of(a->query, w->hosts[w->hosts_count - 1], w->host_bytes);
        struct dns_labels *labels = &seen[seen_count];

        dns_labels_cut(w->hosts[w->hosts_count - 1], w->host_bytes, labels);
        w->host_bytes = 0;
        dns_record_open(&a->reply, w->section, &w->owner, DNS_CNAME, w->ttl);
        host.at = dns_put_name(&a->reply, w->section, &host, false);
        dns_record_close(&a->reply, w->section);
        if (a->reply.overflow || is_in(labels, seen, seen_count) || seen_count > DNS_ALIASES_MAX ||
            (w->section == DNS_ADDITIONAL && !dns_is_first(a, labels, false))) {
            return;
        }
        seen_count++;
        w->owner = host;
        dns_resolve(a, w, labels);
    }
}

void dns_walk_init(struct dns_walk *w, const struct dns_work *a, unsigned picks, uint32_t ttl)
{
    w->section = DNS_ANSWER;
    w->picks = picks;
    w->ttl = ttl;
    w->owner = a->name;
    w->left = 0;
    w->host_bytes = 0;
    w->hosts_count = 0;
}

enum dns_outcome dns_walked(struct dns_work *a, const struct dns_mark *start)
{
    if (a->reply.overflow) { /* an alias did not fit */
        dns_reply_rewind(&a->reply, start);
        a->is_full = true;
    }
    if (a->reply.counts[DNS_ANSWER] > 0) {
        return DNS_OUT_RECORDS;
    }
    return a->is_full || (a->is_cut && a->config->enable_truncate) ? DNS_OUT_TRUNCATED
                                                                   : DNS_OUT_NODATA;
}
