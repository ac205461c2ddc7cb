/* dns_answer.c - one question, one answer.
 *
 * The name leads to a place (dns_name.c), the kind of place to a function, and that to an outcome;
 * what an outcome looks like in a message stands in one table.
 */
#include "dns_work.h"

#include "base/assert.h"

#define PLAIN_ANSWERS_MAX 8 /* in 512 bytes, whatever the setting (11.2) */
#define UDP_PAYLOAD_MAX   65467

/* -- from the query to the outcome, and from there to a message -------------------------------- */

static enum dns_outcome answer_parent(struct dns_work *a)
{
    (void)a;
    return DNS_OUT_PARENT;
}

static enum dns_outcome answer_nowhere(struct dns_work *a)
{
    (void)a;
    return DNS_OUT_NXDOMAIN;
}

static enum dns_outcome answer_reverse_parent(struct dns_work *a)
{
    (void)a;
    return DNS_OUT_NODATA; /* its children may exist: nobody may conclude that none does */
}

static enum dns_outcome (*const kinds[DNS_KINDS_COUNT])(struct dns_work *a) = {
    // clang-format off
    [DNS_NOWHERE]        = answer_nowhere,
    [DNS_PARENT]         = answer_parent,
    [DNS_APEX]           = dns_answer_apex,
    [DNS_NAMESERVER]     = dns_answer_nameserver,
    [DNS_SERVICE]        = dns_answer_service,
    [DNS_NODE]           = dns_answer_node,
    [DNS_LITERAL]        = dns_answer_literal,
    [DNS_REVERSE]        = dns_answer_reverse,
    [DNS_REVERSE_PARENT] = answer_reverse_parent,
    [DNS_REVERSE_BROKEN] = answer_nowhere,
}; // clang-format on

static const struct {
    enum dns_rcode rcode;
    bool has_soa, is_lasting, tc;
} outcomes[DNS_OUT_COUNT] = {
    // clang-format off
    [DNS_OUT_RECORDS]   = { .rcode = DNS_NOERROR },
    [DNS_OUT_NODATA]    = { .rcode = DNS_NOERROR,  .has_soa = true },
    [DNS_OUT_NXDOMAIN]  = { .rcode = DNS_NXDOMAIN, .has_soa = true },
    [DNS_OUT_PARENT]    = { .rcode = DNS_NOERROR,  .has_soa = true, .is_lasting = true },
    [DNS_OUT_UNKNOWN]   = { .rcode = DNS_SERVFAIL },
    [DNS_OUT_TRUNCATED] = { .rcode = DNS_NOERROR,  .tc = true },
}; // clang-format on

static struct dns_flags conclude(struct dns_work *a, enum dns_outcome out)
{
    const struct config_dns *c = a->config;
    bool was_cut = (a->is_cut || a->is_full) && out == DNS_OUT_RECORDS && c->enable_truncate;

    if (outcomes[out].has_soa) {
        bool lasts = outcomes[out].is_lasting && c->ent_negative_ttl > c->soa_min_ttl;

        dns_put_soa(a, DNS_AUTHORITY, lasts ? c->ent_negative_ttl : c->soa_min_ttl);
    }
    if (out == DNS_OUT_UNKNOWN) {
        a->reply.why = a->asked->unknown;
    } else if (a->needs_catalog && a->asked->is_stale) {
        a->reply.why = DNS_WHY_STALE;
    }
    return (struct dns_flags){ outcomes[out].rcode, .aa = true, .tc = was_cut || outcomes[out].tc };
}

/* Whom we speak for, and what nobody may ask. */
static struct dns_flags decide(struct dns_work *a)
{
    const struct dns_query *q = a->query;

    if (q->rcode != DNS_NOERROR) {
        return (struct dns_flags){ .rcode = q->rcode };
    }
    dns_locate(&a->responder->zones, &q->name, q->type, &a->place);
    if (a->place.kind == DNS_OUTSIDE || (q->class != DNS_IN && q->class != DNS_CLASS_ANY)) {
        a->reply.why = DNS_WHY_NOT_AUTHORITATIVE;
        return (struct dns_flags){ .rcode = DNS_REFUSED };
    }
    if (q->type == DNS_AXFR || q->type == DNS_IXFR) {
        return (struct dns_flags){ .rcode = DNS_NOTIMP, .aa = true };
    }
    a->name = dns_name_asked(q, 0);
    a->domain = dns_name_asked(q, a->place.domain_at);
    return conclude(a, kinds[a->place.kind](a));
}

size_t dns_answer_room(const struct dns_responder *r, const struct dns_query *q, bool is_tcp)
{
    uint32_t most = r->config->udp_payload_max;
    size_t room = q->has_opt ? q->udp_bytes : DNS_UDP_PLAIN;

    if (is_tcp) {
        return MU_DNS_TCP_MAX;
    }
    most = most < UDP_PAYLOAD_MAX ? most : UDP_PAYLOAD_MAX;
    room = room < most ? room : most;
    return room > DNS_UDP_PLAIN ? room : DNS_UDP_PLAIN;
}

/* In 512 bytes few answers are shown, however short they are (11.2). */
static uint32_t plain_limit(const struct config_dns *c, const struct dns_room *room)
{
    if (room->bytes > DNS_UDP_PLAIN) {
        return DNS_UNLIMITED;
    }
    return c->udp_answer_limit < PLAIN_ANSWERS_MAX ? (uint32_t)c->udp_answer_limit
                                                   : PLAIN_ANSWERS_MAX;
}

struct dns_answered dns_answer(struct dns_responder *r, const struct dns_asked *asked, uint8_t *to)
{
    const struct config_dns *c = r->config;
    struct dns_room room = {
        .to = to,
        .bytes = dns_answer_room(r, asked->query, asked->is_tcp),
        .is_tcp = asked->is_tcp,
        .compress = !c->disable_compression,
    };
    struct dns_work a;

    a.responder = r;
    a.asked = asked;
    a.query = asked->query;
    a.config = c;
    a.plain_left = plain_limit(c, &room);
    a.records_left = c->a_record_limit > 0 ? (uint32_t)c->a_record_limit : DNS_UNLIMITED;
    a.is_cut = a.is_full = a.needs_catalog = false;
    dns_reply_init(&a.reply, asked->query, &r->scratch, &room);
    struct dns_flags flags = decide(&a);
    struct dns_answered done = { .rcode = flags.rcode, .is_truncated = flags.tc };

    done.bytes = dns_reply_end(&a.reply, flags);
    done.needs_catalog = a.needs_catalog;
    MU_ASSERT(done.bytes <= room.bytes);
    return done;
}
