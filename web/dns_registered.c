/* dns_registered.c - what is registered: services by name and tag, nodes by name and id.
 *
 * Records are written unit by unit. One that does not fit is taken back whole, an SRV with its
 * address, an alias with all it leads to, so whatever is sent is complete.
 */
#include "dns_work.h"

#include <string.h>

#include "base/assert.h"

#define ALIAS_ADDRESSES_MAX 16 /* behind one SRV target, so that it cannot push others out */
#define PROTOCOL_EVERYWHERE "_tcp"

unsigned dns_picks_for(uint16_t type)
{
    return DNS_PICK_BIT(type == DNS_A ? DNS_PICK_4 : type == DNS_AAAA ? DNS_PICK_6 : DNS_PICK_ANY);
}

/* Follow aliases for A, AAAA and ANY; for CNAME only the first is wanted. */
static enum dns_outcome walk_end(struct dns_work *a, struct dns_walk *w, bool is_any)
{
    struct dns_mark start = dns_reply_mark(&a->reply);

    w->picks = is_any ? DNS_PICKS_BOTH : w->picks;
    dns_follow(a, w, &a->query->name);
    return dns_walked(a, &start);
}

static enum dns_outcome alias_only(struct dns_work *a, struct dns_walk *w)
{
    struct dns_mark start = dns_reply_mark(&a->reply);
    struct dns_name host;

    if (w->host_bytes == 0) {
        return DNS_OUT_NODATA;
    }
    host = dns_name_of(a->query, w->hosts[0], w->host_bytes);
    dns_record_open(&a->reply, DNS_ANSWER, &a->name, DNS_CNAME, w->ttl);
    (void)dns_put_name(&a->reply, DNS_ANSWER, &host, false);
    dns_record_close(&a->reply, DNS_ANSWER);
    return dns_walked(a, &start);
}

/* -- metadata ---------------------------------------------------------------------------------- */

/* All or none in DNS_TEXTS; in the answer one by one, as long as they fit. */
static void put_texts(struct dns_work *a, enum dns_section section, const struct dns_name *owner,
                      const struct dns_node *node, uint32_t ttl)
{
    const uint8_t *at = node->texts;
    const uint8_t *end = at + node->texts_bytes;

    while (at < end && !(section == DNS_TEXTS && a->reply.texts_lost)) {
        size_t bytes = (size_t)at[0] << 8 | at[1];
        struct dns_mark mark = dns_reply_mark(&a->reply);

        dns_put_record(&a->reply, section, owner, DNS_TXT, ttl, at + 2, bytes);
        at += 2 + bytes;
        if (a->reply.overflow) {
            dns_reply_rewind(&a->reply, &mark);
            a->is_full = true;
        }
    }
}

/* -- SRV (6.3) --------------------------------------------------------------------------------- */

/* The target as it stands in the message, folded. */
static void target_labels(const struct dns_name *target, struct dns_labels *to)
{
    uint8_t wire[DNS_NAME_MAX];

    memcpy(wire, target->head, target->head_bytes);
    memcpy(wire + target->head_bytes, target->tail, target->tail_bytes);
    dns_labels_cut(wire, (size_t)target->head_bytes + target->tail_bytes, to);
}

static void put_target_addresses(struct dns_work *a, const struct dns_instance *in,
                                 const struct dns_name *target, uint32_t ttl)
{
    struct dns_labels labels;

    if (a->has_hosts) {
        target_labels(target, &labels);
        if (!dns_is_first(a, &labels, in->target_kind != DNS_TARGET_HOST)) {
            return;
        }
    }
    if (in->target_kind != DNS_TARGET_HOST) {
        const struct dns_address *address = &in->picks.by[DNS_PICK_ANY];

        dns_put_record(&a->reply, DNS_ADDITIONAL, target,
                       address->kind == DNS_IP4 ? DNS_A : DNS_AAAA, ttl, address->ip,
                       address->bytes);
        return;
    }
    struct dns_walk w;

    dns_walk_init(&w, a, DNS_PICKS_BOTH, ttl);
    w.section = DNS_ADDITIONAL;
    w.owner = *target;
    w.left = ALIAS_ADDRESSES_MAX;
    dns_resolve(a, &w, &labels);
    dns_follow(a, &w, &labels);
}

/* One instance with all that belongs to it. False: it does not fit. */
static bool put_srv(struct dns_work *a, struct dns_service *s, const struct dns_instance *in)
{
    struct dns_mark mark = dns_reply_mark(&a->reply);
    uint32_t named = a->named_count;
    const struct dns_node *node = in->node;
    struct dns_name target = in->target_kind == DNS_TARGET_HOST
                                 ? dns_name_of(a->query, in->target, in->target_bytes)
                                 : dns_local_name(a, in->target, in->target_bytes);

    dns_record_open(&a->reply, DNS_ANSWER, &a->name, DNS_SRV, s->ttl);
    dns_put_u16(&a->reply, DNS_ANSWER, 1); /* priority */
    dns_put_u16(&a->reply, DNS_ANSWER, in->weight);
    dns_put_u16(&a->reply, DNS_ANSWER, in->port);
    target.at = dns_put_name(&a->reply, DNS_ANSWER, &target, true);
    dns_record_close(&a->reply, DNS_ANSWER);
    if (!a->reply.overflow && !dns_is_marked(s, DNS_SHOWN_TARGET, in->same[DNS_SAME_TARGET])) {
        put_target_addresses(a, in, &target, s->ttl);
    }
    if (a->reply.overflow) {
        dns_reply_rewind(&a->reply, &mark);
        a->named_count = named;
        return false;
    }
    dns_mark_shown(s, DNS_SHOWN_TARGET, in->same[DNS_SAME_TARGET]);
    if (a->config->node_meta_txt && node->labels != NULL &&
        !dns_is_marked(s, DNS_SHOWN_NODE, node->number)) {
        struct dns_name owner = in->target_kind == DNS_TARGET_NODE
                                    ? target
                                    : dns_local_name(a, node->labels, node->labels_bytes);

        dns_mark_shown(s, DNS_SHOWN_NODE, node->number);
        put_texts(a, DNS_TEXTS, &owner, node, s->ttl);
    }
    return true;
}

static void show_targets(struct dns_work *a, struct dns_draw *draw, uint32_t total)
{
    const struct dns_instance *in;
    struct dns_service *s = draw->service;
    uint32_t shown = 0;

    while (shown < total && (in = dns_draw_next(draw)) != NULL) {
        if (in->target_kind == DNS_NO_TARGET ||
            dns_is_marked(s, DNS_SHOWN_SRV, in->same[DNS_SAME_SRV])) {
            continue;
        }
        if (a->plain_left == 0) {
            a->is_cut = true;
            return;
        }
        dns_mark_shown(s, DNS_SHOWN_SRV, in->same[DNS_SAME_SRV]);
        if (put_srv(a, s, in)) {
            a->plain_left--;
            shown++;
        } else {
            a->is_full = true;
            if (shown > 0) {
                return;
            }
        }
    }
}

static enum dns_outcome answer_srv(struct dns_work *a, struct dns_service *s, struct dns_list *list)
{
    struct dns_mark start = dns_reply_mark(&a->reply);
    struct dns_draw draw;
    bool is_free = dns_draw_begin(&draw, s, list, a->responder->rand);

    MU_ASSERT(is_free); /* nobody else answers meanwhile */
    a->has_hosts = list->hosts[DNS_PICK_ANY] > 0;
    a->named_count = 0;
    dns_marks_clear(s, DNS_SHOWN_SRV);
    dns_marks_clear(s, DNS_SHOWN_TARGET);
    dns_marks_clear(s, DNS_SHOWN_NODE);
    show_targets(a, &draw, list->targets);
    dns_draw_end(&draw);
    return dns_walked(a, &start);
}

/* -- services and nodes ------------------------------------------------------------------------ */

static enum dns_outcome answer_list(struct dns_work *a, struct dns_service *s,
                                    struct dns_list *list)
{
    uint16_t type = a->query->type;
    struct dns_walk w;

    dns_walk_init(&w, a, dns_picks_for(type), s->ttl);
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
    case DNS_ANY: dns_show_service(a, &w, s, list); return walk_end(a, &w, type == DNS_ANY);
    case DNS_SRV: return answer_srv(a, s, list);
    case DNS_CNAME:
        if (list->addresses[DNS_PICK_ANY] == 0) {
            dns_draw_host(a, &w, s, list, DNS_PICK_ANY);
        }
        return alias_only(a, &w);
    default: return DNS_OUT_NODATA;
    }
}

/* A lone _tcp is the parent of every SRV name; other such labels perhaps, so resolvers that ask
 * for parents (with another type) are not told that nothing lies below. */
static enum dns_outcome no_service(const struct dns_work *a)
{
    bool is_parent = a->place.is_protocol && (a->query->type != DNS_SRV ||
                                              mu_span_eq_text(a->place.name, PROTOCOL_EVERYWHERE));

    return is_parent ? DNS_OUT_PARENT : DNS_OUT_NXDOMAIN;
}

enum dns_outcome dns_answer_service(struct dns_work *a)
{
    struct dns_held held;
    enum dns_lookup found = dns_look_service(a, a->place.name, &held);
    enum dns_outcome out = DNS_OUT_NXDOMAIN;

    if (found != DNS_FOUND) {
        return found == DNS_UNKNOWN ? DNS_OUT_UNKNOWN : no_service(a);
    }
    struct dns_list *list = dns_service_list(held.service, a->place.tag);

    if (held.service->count == 0) {
        out = no_service(a);
    } else if (list != NULL) {
        out = answer_list(a, held.service, list);
    } else if (dns_service_has_below(held.service, a->place.tag)) {
        out = DNS_OUT_PARENT;
    }
    dns_let_go(a, &held);
    return out;
}

static enum dns_outcome answer_found_node(struct dns_work *a, const struct dns_node *node)
{
    uint32_t ttl = a->config->node_ttl_s;
    uint16_t type = a->query->type;
    bool is_alias = node->picks.by[DNS_PICK_ANY].kind == DNS_HOST;
    bool is_address = type == DNS_A || type == DNS_AAAA || type == DNS_ANY;
    struct dns_mark start = dns_reply_mark(&a->reply);
    enum dns_outcome out = DNS_OUT_NODATA;
    struct dns_walk w;

    dns_walk_init(&w, a, dns_picks_for(type), ttl);
    if (is_address) {
        dns_show_node(a, &w, node);
        out = walk_end(a, &w, type == DNS_ANY);
    } else if (type == DNS_CNAME && is_alias) {
        dns_walk_to(&w, &node->picks.by[DNS_PICK_ANY]);
        return alias_only(a, &w);
    }
    if (type == DNS_TXT || (type == DNS_ANY && !is_alias)) {
        put_texts(a, DNS_ANSWER, &a->name, node, ttl);
        out = dns_walked(a, &start);
    } else if (is_address && a->config->node_meta_txt) {
        put_texts(a, DNS_TEXTS, &a->name, node, ttl);
    }
    return out;
}

enum dns_outcome dns_answer_node(struct dns_work *a)
{
    const struct dns_source *s = a->asked->source;
    struct dns_held held;

    switch (dns_look_node(a, a->place.name, &held)) {
    case DNS_FOUND: break;
    case DNS_ABSENT:
        return s->has_node_below(s->data, a->place.name) ? DNS_OUT_PARENT : DNS_OUT_NXDOMAIN;
    case DNS_UNKNOWN: return DNS_OUT_UNKNOWN;
    }
    enum dns_outcome out = answer_found_node(a, held.node);

    dns_let_go(a, &held);
    return out;
}
