/* dns_codec.c - reading queries and writing answers, byte by byte.
 *
 * A query is a header, one question whose name is never compressed, and at most a handful of
 * records of which only OPT means something. The reader walks them with bounds and keeps what an
 * error reply needs: RFC 6891 7 wants OPT in errors too, so even a query that is already condemned
 * is walked for its OPT.
 *
 * Names in answers share their ends with the question, with an SRV target or with an alias, all of
 * which lie in the first region. That is enough compression to be as short as a general search
 * would be, and costs no search: each name knows where its tail stands.
 */
#include "dns_codec.h"

#include <string.h>

#include "base/assert.h"
#include "base/wire.h"

#define QR             0x8000U
#define AA             0x0400U
#define TC             0x0200U
#define RD             0x0100U
#define CD             0x0010U
#define OPCODE_SHIFT   11
#define POINTER        0xc0U   /* both upper bits of a length byte (RFC 1035 4.1.4) */
#define POINTER_AT_MAX 0x3fffU /* what a pointer can reach */

#define POINTER_BYTES 2
#define FIXED_BYTES   10 /* of a record: type, class, TTL, length of data */

#define OPT_BYTES           11 /* without options */
#define OPTION_HEAD_BYTES   4
#define OPTION_SUBNET       8
#define OPTION_KEEPALIVE    11
#define OPTION_WHY          15
#define WHY_BYTES           (OPTION_HEAD_BYTES + 2)
#define KEEPALIVE_BYTES     (OPTION_HEAD_BYTES + 2)
#define KEEPALIVE_100MS     100 /* the idle time of 22.2, in the unit of RFC 7828 */
#define SUBNET_HEAD_BYTES   4
#define RECORDS_IGNORED_MAX 2  /* in additional, beside OPT and TSIG (22.1) */
#define RECORDS_WALKED_MAX  16 /* of a query that is refused anyway, looking for its OPT */

/* -- reading: the question --------------------------------------------------------------------- */

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* A name without pointers. False: cut short, a pointer, a reserved label type, too long. */
static bool labels_read(struct mu_rd *r, struct dns_labels *to)
{
    size_t used = 0;

    to->count = 0;
    for (;;) {
        uint8_t bytes = mu_rd_u8(r);

        if (r->bad || bytes > DNS_LABEL_MAX || r->left < bytes ||
            used + 1 + bytes > DNS_NAME_MAX - (bytes > 0 ? 1U : 0U)) {
            return false;
        }
        to->at[to->count] = (uint8_t)used;
        to->wire[used++] = bytes;
        if (bytes == 0) {
            return true;
        }
        to->count++;
        for (uint8_t i = 0; i < bytes; i++) {
            to->wire[used++] = fold(r->at[i]);
        }
        mu_rd_skip(r, bytes);
    }
}

static bool question_read(struct dns_query *q, struct mu_rd *r)
{
    const uint8_t *start = r->at;

    if (!labels_read(r, &q->name)) {
        return false;
    }
    q->spelled = mu_span_of(start, (size_t)(r->at - start));
    q->type = mu_rd_u16be(r);
    q->class = mu_rd_u16be(r);
    return mu_rd_ok(r);
}

/* -- reading: what follows the question -------------------------------------------------------- */

/* An owner: labels, then the root or a pointer that is not followed. *is_root: no labels. */
static bool owner_skip(struct mu_rd *r, bool *is_root)
{
    size_t used = 0;

    for (;;) {
        uint8_t bytes = mu_rd_u8(r);

        if ((bytes & POINTER) == POINTER) {
            mu_rd_skip(r, 1);
            *is_root = false;
            return mu_rd_ok(r);
        }
        used += 1U + bytes;
        if (bytes > DNS_LABEL_MAX || used > DNS_NAME_MAX) {
            return false;
        }
        mu_rd_skip(r, bytes);
        if (bytes == 0 || r->bad) {
            *is_root = used == 1;
            return mu_rd_ok(r);
        }
    }
}

/* RFC 7871 6 and 7.1.2. Family 0 with nothing in it is how a client opts out. */
static bool subnet_is_valid(struct mu_span data)
{
    struct mu_rd r = mu_rd_of(data);
    uint16_t family = mu_rd_u16be(&r);
    uint8_t source = mu_rd_u8(&r);
    uint8_t scope = mu_rd_u8(&r);
    uint8_t source_max = family == 1 ? 32 : family == 2 ? 128 : 0;

    if (r.bad || family > 2 || scope != 0 || source > source_max ||
        r.left != ((size_t)source + 7) / 8) {
        return false;
    }
    unsigned spare = (unsigned)(r.left * 8 - source);

    return spare == 0 || (r.at[r.left - 1] & ((1U << spare) - 1)) == 0;
}

static bool options_read(struct dns_query *q, struct mu_span data)
{
    struct mu_rd r = mu_rd_of(data);

    while (r.left > 0) {
        uint16_t code = mu_rd_u16be(&r);
        uint16_t bytes = mu_rd_u16be(&r);
        struct mu_span value = mu_rd_take(&r, bytes);

        if (r.bad) {
            return false;
        }
        if (code == OPTION_SUBNET) {
            if (!subnet_is_valid(value)) {
                return false;
            }
            q->subnet = value;
        } else if (code == OPTION_KEEPALIVE) {
            q->has_keepalive = true;
        }
    }
    return true;
}

/* The record behind an owner. */
struct record {
    uint16_t type, class;
    uint32_t ttl;
    bool is_root, is_additional;
    struct mu_span data;
};

static bool record_read(struct mu_rd *r, struct record *to)
{
    if (!owner_skip(r, &to->is_root)) {
        return false;
    }
    to->type = mu_rd_u16be(r);
    to->class = mu_rd_u16be(r);
    to->ttl = mu_rd_u32be(r);
    to->data = mu_rd_take(r, mu_rd_u16be(r));
    return mu_rd_ok(r);
}

/* The verdict over one OPT. */
static enum dns_rcode opt_read(struct dns_query *q, const struct record *opt)
{
    if (q->has_opt || !opt->is_root) {
        return DNS_FORMERR;
    }
    q->has_opt = true;
    q->udp_bytes = opt->class;
    if ((opt->ttl >> 16 & 0xff) != 0) {
        return DNS_BADVERS; /* what its options mean, we cannot know */
    }
    return options_read(q, opt->data) ? DNS_NOERROR : DNS_FORMERR;
}

/* A malformed message outweighs everything, a signature we cannot check the version of EDNS. */
static enum dns_rcode graver(enum dns_rcode a, enum dns_rcode b)
{
    static const enum dns_rcode order[] = { DNS_FORMERR, DNS_NOTAUTH, DNS_BADVERS };

    for (size_t i = 0; i < MU_LEN(order); i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    return DNS_NOERROR;
}

static enum dns_rcode records_read(struct dns_query *q, struct mu_rd *r, uint32_t before,
                                   uint32_t additional)
{
    enum dns_rcode verdict = before > 0 ? DNS_FORMERR : DNS_NOERROR;
    uint32_t total = before + additional;
    unsigned ignored = 0;

    for (uint32_t i = 0; i < total; i++) {
        struct record record;

        if (i == RECORDS_WALKED_MAX || !record_read(r, &record)) {
            return DNS_FORMERR;
        }
        if (i < before) {
            continue;
        }
        if (record.type == DNS_OPT) {
            verdict = graver(verdict, opt_read(q, &record));
        } else if (record.type == DNS_TSIG) {
            verdict = graver(verdict, DNS_NOTAUTH);
        } else if (++ignored > RECORDS_IGNORED_MAX) {
            verdict = DNS_FORMERR;
        }
    }
    return verdict;
}

bool dns_query_read(struct dns_query *q, struct mu_span message)
{
    struct mu_rd r = mu_rd_of(message);
    uint16_t flags;

    q->id = mu_rd_u16be(&r);
    flags = mu_rd_u16be(&r);
    uint16_t questions = mu_rd_u16be(&r);
    uint32_t before = mu_rd_u16be(&r);

    before += mu_rd_u16be(&r);
    uint16_t additional = mu_rd_u16be(&r);

    if (r.bad || (flags & QR) != 0) {
        return false;
    }
    q->opcode = (uint8_t)(flags >> OPCODE_SHIFT & 0xf);
    q->rd = (flags & RD) != 0;
    q->cd = (flags & CD) != 0;
    q->bytes = message.bytes;
    q->has_opt = q->has_keepalive = false;
    q->subnet = MU_SPAN_NONE;
    q->has_question = questions == 1 && question_read(q, &r);
    q->rcode = DNS_FORMERR;
    if (q->has_question) {
        q->rcode = records_read(q, &r, before, additional);
        if (q->rcode == DNS_NOERROR &&
            (q->type == DNS_OPT || q->type == DNS_TSIG || q->type == DNS_TKEY)) {
            q->rcode = DNS_FORMERR;
        }
    }
    if (q->opcode != 0) {
        q->rcode = DNS_NOTIMP;
    }
    return true;
}

/* -- writing: bytes ---------------------------------------------------------------------------- */

static struct dns_region *region_of(struct dns_reply *r, enum dns_section s)
{
    switch (s) {
    case DNS_ANSWER:
    case DNS_AUTHORITY: return &r->message;
    case DNS_ADDITIONAL: return &r->additional;
    case DNS_TEXTS: return &r->texts;
    case DNS_SECTIONS_COUNT: break;
    }
    MU_UNREACHABLE_CODE();
}

/* Where `bytes` more go, or NULL: then nothing more of this record is written. */
static uint8_t *take(struct dns_reply *r, enum dns_section s, size_t bytes)
{
    struct dns_region *region = region_of(r, s);
    size_t used = r->message.used + r->additional.used;

    if (s == DNS_TEXTS) {
        used += r->texts.used;
        r->texts_lost = r->texts_lost || bytes > r->limit || used > r->limit - bytes;
        if (r->texts_lost) {
            return NULL;
        }
    } else if (r->overflow || bytes > r->limit || used > r->limit - bytes) {
        r->overflow = true;
        return NULL;
    }
    uint8_t *at = region->data + region->used;

    region->used += bytes;
    return at;
}

static void store16(uint8_t *to, uint16_t v)
{
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
}

static void store32(uint8_t *to, uint32_t v)
{
    store16(to, (uint16_t)(v >> 16));
    store16(to + 2, (uint16_t)v);
}

void dns_put_u16(struct dns_reply *r, enum dns_section s, uint16_t v)
{
    uint8_t *to = take(r, s, 2);

    if (to != NULL) {
        store16(to, v);
    }
}

void dns_put_u32(struct dns_reply *r, enum dns_section s, uint32_t v)
{
    uint8_t *to = take(r, s, 4);

    if (to != NULL) {
        store32(to, v);
    }
}

void dns_put_bytes(struct dns_reply *r, enum dns_section s, const void *data, size_t bytes)
{
    uint8_t *to = bytes > 0 ? take(r, s, bytes) : NULL;

    if (to != NULL) {
        memcpy(to, data, bytes);
    }
}

/* -- writing: names ---------------------------------------------------------------------------- */

struct dns_name dns_name_asked(const struct dns_query *q, size_t from)
{
    uint16_t at = (uint16_t)(DNS_HEADER_BYTES + from);

    MU_ASSERT(from < q->spelled.bytes);
    return (struct dns_name){
        .tail = q->spelled.data + from,
        .tail_bytes = (uint16_t)(q->spelled.bytes - from),
        .at = from + 1 < q->spelled.bytes ? at : 0, /* the root is shorter than a pointer to it */
        .tail_at = from + 1 < q->spelled.bytes ? at : 0,
    };
}

static bool is_label_start(const struct dns_labels *n, size_t at)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->at[i] == at) {
            return true;
        }
    }
    return false;
}

struct dns_name dns_name_of(const struct dns_query *q, const uint8_t *wire, size_t bytes)
{
    struct dns_name n = { .head = wire, .tail = wire + bytes - 1, .tail_bytes = 1 };
    size_t from = 0;

    MU_ASSERT(bytes >= 1 && bytes <= DNS_NAME_MAX);
    for (; wire[from] != 0; from += 1U + wire[from]) {
        size_t rest = bytes - from;

        /* Byte for byte: a shared tail must keep the spelling that was registered. */
        if (rest <= q->spelled.bytes) {
            size_t at = q->spelled.bytes - rest;

            if (memcmp(q->spelled.data + at, wire + from, rest) == 0 &&
                is_label_start(&q->name, at)) {
                n.tail = wire + from;
                n.tail_bytes = (uint16_t)rest;
                n.tail_at = (uint16_t)(DNS_HEADER_BYTES + at);
                n.at = from == 0 ? n.tail_at : 0;
                break;
            }
        }
    }
    n.head_bytes = (uint16_t)from;
    return n;
}

static void put_pointer(struct dns_reply *r, enum dns_section s, uint16_t at)
{
    dns_put_u16(r, s, (uint16_t)(POINTER << 8 | at));
}

uint16_t dns_put_name(struct dns_reply *r, enum dns_section s, const struct dns_name *n, bool whole)
{
    size_t start = r->message.used;
    bool shorten = r->compress && !whole;

    if (shorten && n->at != 0) {
        put_pointer(r, s, n->at);
        return n->at;
    }
    dns_put_bytes(r, s, n->head, n->head_bytes);
    if (shorten && n->tail_at != 0) {
        put_pointer(r, s, n->tail_at);
    } else {
        dns_put_bytes(r, s, n->tail, n->tail_bytes);
    }
    bool reachable = region_of(r, s) == &r->message && start <= POINTER_AT_MAX;

    return reachable && n->head_bytes + n->tail_bytes > 1 ? (uint16_t)start : 0;
}

/* -- writing: records -------------------------------------------------------------------------- */

/* Type, class, TTL and length: all that stands between owner and data. */
static void store_fixed(uint8_t *to, enum dns_type type, uint32_t ttl, size_t bytes)
{
    store16(to, (uint16_t)type);
    store16(to + 2, DNS_IN);
    store32(to + 4, ttl);
    store16(to + 8, (uint16_t)bytes);
}

void dns_record_open(struct dns_reply *r, enum dns_section s, const struct dns_name *owner,
                     enum dns_type type, uint32_t ttl)
{
    (void)dns_put_name(r, s, owner, false);
    uint8_t *fixed = take(r, s, FIXED_BYTES);

    if (fixed != NULL) {
        store_fixed(fixed, type, ttl, 0);
        r->record_start = region_of(r, s)->used;
    }
}

void dns_record_close(struct dns_reply *r, enum dns_section s)
{
    struct dns_region *region = region_of(r, s);

    if (s == DNS_TEXTS ? r->texts_lost : r->overflow) {
        return;
    }
    store16(region->data + r->record_start - 2, (uint16_t)(region->used - r->record_start));
    r->counts[s]++;
}

void dns_put_record(struct dns_reply *r, enum dns_section s, const struct dns_name *owner,
                    enum dns_type type, uint32_t ttl, const void *data, size_t bytes)
{
    if (r->compress && owner->at != 0) { /* nearly always: in one piece */
        uint8_t *to = take(r, s, POINTER_BYTES + FIXED_BYTES + bytes);

        if (to != NULL) {
            store16(to, (uint16_t)(POINTER << 8 | owner->at));
            store_fixed(to + POINTER_BYTES, type, ttl, bytes);
            memcpy(to + POINTER_BYTES + FIXED_BYTES, data, bytes);
            r->counts[s]++;
        }
        return;
    }
    dns_record_open(r, s, owner, type, ttl);
    dns_put_bytes(r, s, data, bytes);
    dns_record_close(r, s);
}

/* -- writing: the whole ------------------------------------------------------------------------ */

static size_t options_bytes(const struct dns_reply *r)
{
    size_t bytes = r->has_keepalive ? KEEPALIVE_BYTES : 0;

    return bytes + (r->query->subnet.bytes > 0 ? OPTION_HEAD_BYTES + r->query->subnet.bytes : 0);
}

void dns_reply_init(struct dns_reply *r, const struct dns_query *q, struct dns_scratch *scratch,
                    const struct dns_room *room)
{
    MU_ASSERT(room->bytes >= DNS_UDP_PLAIN && room->bytes <= MU_DNS_TCP_MAX);
    *r = (struct dns_reply){
        .query = q,
        .message = { room->to, DNS_HEADER_BYTES },
        .additional = { scratch->additional, 0 },
        .texts = { scratch->texts, 0 },
        .limit = room->bytes,
        .room = room->bytes,
        .compress = room->compress,
        .has_keepalive = room->is_tcp && q->has_keepalive,
        .why = DNS_WHY_NONE,
    };
    if (q->has_question) {
        dns_put_bytes(r, DNS_ANSWER, q->spelled.data, q->spelled.bytes);
        dns_put_u16(r, DNS_ANSWER, q->type);
        dns_put_u16(r, DNS_ANSWER, q->class);
    }
    MU_ASSERT(!r->overflow);
    if (q->has_opt) {
        /* Room for it is taken first, so that no answer ever pushes it out. */
        r->limit -= OPT_BYTES + options_bytes(r);
    }
}

struct dns_mark dns_reply_mark(struct dns_reply *r)
{
    struct dns_mark mark = { r->message.used, r->additional.used, r->texts.used, { 0 } };

    memcpy(mark.counts, r->counts, sizeof mark.counts);
    return mark;
}

void dns_reply_rewind(struct dns_reply *r, const struct dns_mark *mark)
{
    r->message.used = mark->message;
    r->additional.used = mark->additional;
    r->texts.used = mark->texts;
    memcpy(r->counts, mark->counts, sizeof r->counts);
    r->overflow = false;
}

static void region_append(struct dns_reply *r, const struct dns_region *from)
{
    memcpy(r->message.data + r->message.used, from->data, from->used);
    r->message.used += from->used;
}

static void put_opt(struct dns_reply *r, enum dns_rcode rcode)
{
    const struct dns_query *q = r->query;
    uint8_t *at = r->message.data + r->message.used;
    size_t why_bytes = r->why != DNS_WHY_NONE ? WHY_BYTES : 0;
    size_t options = options_bytes(r) + why_bytes;
    struct mu_wr w = mu_wr_of(at, OPT_BYTES + options);

    mu_wr_u8(&w, 0); /* owner: the root */
    mu_wr_u16be(&w, DNS_OPT);
    mu_wr_u16be(&w, MU_DNS_UDP_QUERY_MAX);
    mu_wr_u32be(&w, (uint32_t)rcode >> 4 << 24);
    mu_wr_u16be(&w, (uint16_t)options);
    if (q->subnet.bytes > 0) {
        mu_wr_u16be(&w, OPTION_SUBNET);
        mu_wr_u16be(&w, (uint16_t)q->subnet.bytes);
        mu_wr_span(&w, q->subnet); /* its scope was checked to be 0: the answer suits everybody */
    }
    if (r->has_keepalive) {
        mu_wr_u16be(&w, OPTION_KEEPALIVE);
        mu_wr_u16be(&w, 2);
        mu_wr_u16be(&w, KEEPALIVE_100MS);
    }
    if (why_bytes > 0) {
        mu_wr_u16be(&w, OPTION_WHY);
        mu_wr_u16be(&w, 2);
        mu_wr_u16be(&w, (uint16_t)r->why);
    }
    MU_ASSERT(mu_wr_ok(&w));
    r->message.used += w.used;
}

static void put_header(struct dns_reply *r, struct dns_flags flags, unsigned additional)
{
    const struct dns_query *q = r->query;
    unsigned bits = QR | (unsigned)q->opcode << OPCODE_SHIFT | ((unsigned)flags.rcode & 0xf);
    uint8_t *to = r->message.data;

    bits |= (flags.aa ? AA : 0) | (flags.tc ? TC : 0) | (q->rd ? RD : 0) | (q->cd ? CD : 0);
    store16(to, q->id);
    store16(to + 2, (uint16_t)bits);
    store16(to + 4, q->has_question ? 1 : 0);
    store16(to + 6, r->counts[DNS_ANSWER]);
    store16(to + 8, r->counts[DNS_AUTHORITY]);
    store16(to + 10, (uint16_t)additional);
}

/* A reason costs six bytes. Refusals may not be larger than what was asked (22.1): they carry it
 * only when the query was that much longer. */
static bool why_fits(const struct dns_reply *r, enum dns_rcode rcode)
{
    size_t total = r->message.used + OPT_BYTES + options_bytes(r) + WHY_BYTES;

    return total <= r->room && (rcode != DNS_REFUSED || total <= r->query->bytes);
}

size_t dns_reply_end(struct dns_reply *r, struct dns_flags flags)
{
    const struct dns_query *q = r->query;
    unsigned additional = r->counts[DNS_ADDITIONAL];

    MU_ASSERT(!r->overflow);
    region_append(r, &r->additional);
    if (!r->texts_lost && r->message.used + r->texts.used <= r->limit) {
        region_append(r, &r->texts);
        additional += r->counts[DNS_TEXTS];
    }
    if (q->has_opt) {
        r->why = why_fits(r, flags.rcode) ? r->why : DNS_WHY_NONE;
        put_opt(r, flags.rcode);
        additional++;
    }
    put_header(r, flags, additional);
    return r->message.used;
}
