#include "mdns.h"

#include <string.h>

#include "base/assert.h"
#include "base/wire.h"

#define HEADER_BYTES  12
#define FLAG_RESPONSE 0x8000
#define FLAGS_ANSWER  0x8400 /* a response, with authority */
#define OPCODE_MASK   0x7800

#define TYPE_A    1
#define TYPE_PTR  12
#define TYPE_TXT  16
#define TYPE_AAAA 28
#define TYPE_SRV  33
#define TYPE_ANY  255
#define CLASS_IN  1
#define TOP_BIT   0x8000 /* of a class: "answer me alone", or "this is all there is" */

#define TTL_S         120
#define LABEL_MAX     63
#define NAME_MAX      255
#define POINTERS_MAX  16
#define QUESTIONS_MAX 32
#define RECORDS_MAX   256 /* in one message that are looked at */
#define TARGETS_MAX   32  /* services, and addresses, of one message that are remembered */

#define FIRST_MS   20 /* and up to a tenth of a second more, so that not all ask at once */
#define SPREAD_MS  100
#define ALONE_MS   60000U
#define COMPANY_MS 3600000U
#define SETTLE_MS  100
#define ANSWER_MS  1000

/* -- names --------------------------------------------------------------------------------------
 */

struct name { /* labels as on the wire, folded, without the root */
    uint8_t bytes[NAME_MAX];
    size_t count;
};

static void name_add(struct name *n, struct mu_span label)
{
    size_t bytes = label.bytes < LABEL_MAX ? label.bytes : LABEL_MAX;

    if (bytes == 0 || n->count + 1 + bytes > sizeof n->bytes - 1) {
        return;
    }
    n->bytes[n->count] = (uint8_t)bytes;
    mu_span_fold(mu_span_sub(label, 0, bytes), n->bytes + n->count + 1);
    n->count += 1 + bytes;
}

static void name_add_dotted(struct name *n, struct mu_span text)
{
    while (text.bytes > 0) {
        name_add(n, mu_span_split(text, '.', &text, NULL));
    }
}

static struct name service_name(const char *cluster)
{
    struct name n = { .count = 0 };
    char label[LABEL_MAX + 1] = "_serf_";

    MU_ASSERT(strlen(cluster) <= MDNS_CLUSTER_MAX);
    memcpy(label + 6, cluster, strlen(cluster) + 1);
    name_add(&n, mu_span_text(label));
    name_add_dotted(&n, MU_SPAN_LIT("_tcp.local"));
    return n;
}

static bool name_eq(const struct name *a, const struct name *b)
{
    return a->count == b->count && memcmp(a->bytes, b->bytes, a->count) == 0;
}

/* Is it one label and then the service? */
static bool is_instance(const struct name *n, const struct name *service)
{
    size_t first = n->count > 0 ? 1 + (size_t)n->bytes[0] : 0;

    return first > 0 && n->count == first + service->count &&
           memcmp(n->bytes + first, service->bytes, service->count) == 0;
}

/* A name at `at`, followed through pointers, which must lead backwards. Returns where it ends in
 * the message; 0: it is none. */
static size_t name_read(struct mu_span message, size_t at, struct name *out)
{
    size_t end = 0;
    size_t before = at;

    out->count = 0;
    for (unsigned pointers = 0; at < message.bytes;) {
        uint8_t length = message.data[at];

        if (length == 0) {
            return end != 0 ? end : at + 1;
        }
        if (length >= 0xc0) {
            if (at + 1 >= message.bytes || ++pointers > POINTERS_MAX) {
                return 0;
            }
            end = end != 0 ? end : at + 2;
            at = (size_t)(length & 0x3f) << 8 | message.data[at + 1];
            if (at >= before) {
                return 0;
            }
            before = at;
            continue;
        }
        if (length > LABEL_MAX || at + 1 + length > message.bytes ||
            out->count + 1 + length > sizeof out->bytes - 1) {
            return 0;
        }
        name_add(out, mu_span_sub(message, at + 1, length));
        at += 1 + (size_t)length;
    }
    return 0;
}

/* -- writing ------------------------------------------------------------------------------------
 */

static void put_u16(struct mu_buf *to, unsigned v)
{
    mu_buf_add_byte(to, (uint8_t)(v >> 8));
    mu_buf_add_byte(to, (uint8_t)v);
}

static void put_name(struct mu_buf *to, const struct name *n)
{
    mu_buf_add(to, n->bytes, n->count);
    mu_buf_add_byte(to, 0);
}

static void put_header(struct mu_buf *to, unsigned id, unsigned flags, unsigned questions,
                       unsigned answers)
{
    const unsigned fields[] = { id, flags, questions, answers, 0, 0 };

    for (size_t i = 0; i < MU_LEN(fields); i++) {
        put_u16(to, fields[i]);
    }
}

/* Up to its data; returns where the length of that is to be filled in. */
static size_t put_record(struct mu_buf *to, const struct name *owner, unsigned type)
{
    put_name(to, owner);
    put_u16(to, type);
    put_u16(to, CLASS_IN);
    put_u16(to, 0);
    put_u16(to, TTL_S);
    put_u16(to, 0);
    return to->bytes;
}

static void end_record(struct mu_buf *to, size_t start)
{
    size_t bytes = to->bytes - start;

    to->data[start - 2] = (uint8_t)(bytes >> 8);
    to->data[start - 1] = (uint8_t)bytes;
}

static void put_question(struct mu_buf *to, const struct name *service)
{
    put_name(to, service);
    put_u16(to, TYPE_PTR);
    put_u16(to, CLASS_IN);
}

void mdns_question(const char *cluster, struct mu_buf *to)
{
    struct name service = service_name(cluster);

    put_header(to, 0, 0, 1, 0);
    put_question(to, &service);
}

static void put_service(struct mu_buf *to, const struct mdns_self *self,
                        const struct name *instance, const struct name *host)
{
    size_t start = put_record(to, instance, TYPE_SRV);

    put_u16(to, 10); /* priority and weight */
    put_u16(to, 1);
    put_u16(to, self->at.port);
    put_name(to, host);
    end_record(to, start);
}

static void put_text(struct mu_buf *to, const struct mdns_self *self, const struct name *instance)
{
    size_t start = put_record(to, instance, TYPE_TXT);
    size_t at = to->bytes;

    mu_buf_add_byte(to, 0);
    mu_buf_addf(to, "Serf '%s' cluster", self->cluster);
    to->data[at] = (uint8_t)(to->bytes - at - 1);
    end_record(to, start);
}

void mdns_answer(const struct mdns_self *self, const struct mdns_asked *legacy, struct mu_buf *to)
{
    struct name service = service_name(self->cluster);
    struct name instance = { .count = 0 };
    struct name host = { .count = 0 };

    name_add(&instance, mu_span_text(self->node));
    memcpy(instance.bytes + instance.count, service.bytes, service.count);
    instance.count += service.count;
    name_add_dotted(&host, mu_span_text(self->host));
    put_header(to, legacy != NULL ? legacy->id : 0, FLAGS_ANSWER, legacy != NULL ? 1 : 0, 4);
    if (legacy != NULL) {
        put_question(to, &service);
    }
    size_t start = put_record(to, &service, TYPE_PTR);

    put_name(to, &instance);
    end_record(to, start);
    put_service(to, self, &instance, &host);
    start = put_record(to, &host, self->at.ip_bytes == 4 ? TYPE_A : TYPE_AAAA);
    mu_buf_add(to, self->at.ip, self->at.ip_bytes);
    end_record(to, start);
    put_text(to, self, &instance);
}

/* -- reading ------------------------------------------------------------------------------------
 */

struct header {
    uint16_t id, flags, questions, answers, authorities, additionals;
};

static bool header_read(struct mu_span message, struct header *out)
{
    struct mu_rd r = mu_rd_of(message);

    out->id = mu_rd_u16be(&r);
    out->flags = mu_rd_u16be(&r);
    out->questions = mu_rd_u16be(&r);
    out->answers = mu_rd_u16be(&r);
    out->authorities = mu_rd_u16be(&r);
    out->additionals = mu_rd_u16be(&r);
    return message.bytes >= HEADER_BYTES && (out->flags & OPCODE_MASK) == 0;
}

static uint16_t u16_at(struct mu_span message, size_t at)
{
    return (uint16_t)(message.data[at] << 8 | message.data[at + 1]);
}

bool mdns_is_asked(struct mu_span message, const char *cluster, struct mdns_asked *out)
{
    struct name service = service_name(cluster);
    size_t at = HEADER_BYTES;
    struct header h;

    if (!header_read(message, &h) || (h.flags & FLAG_RESPONSE) != 0) {
        return false;
    }
    for (unsigned i = 0; i < h.questions && i < QUESTIONS_MAX; i++) {
        struct name n;

        at = name_read(message, at, &n);
        if (at == 0 || at + 4 > message.bytes) {
            return false;
        }
        uint16_t type = u16_at(message, at);
        uint16_t class = u16_at(message, at + 2);

        at += 4;
        if (name_eq(&n, &service) && (type == TYPE_PTR || type == TYPE_ANY) &&
            (class & ~TOP_BIT) == CLASS_IN) {
            *out = (struct mdns_asked){ .id = h.id, .wants_unicast = (class & TOP_BIT) != 0 };
            return true;
        }
    }
    return false;
}

struct target { /* a service, or a host with an address */
    struct name name;
    struct mu_addr addr; /* of a service: only its port */
};

struct targets {
    struct target services[TARGETS_MAX], hosts[TARGETS_MAX];
    size_t services_count, hosts_count;
};

static void take_address(struct targets *t, const struct name *owner, struct mu_span data)
{
    struct target *h = &t->hosts[t->hosts_count];

    if (t->hosts_count == TARGETS_MAX || (data.bytes != 4 && data.bytes != 16)) {
        return;
    }
    h->name = *owner;
    h->addr = (struct mu_addr){ .ip_bytes = (uint8_t)data.bytes };
    memcpy(h->addr.ip, data.data, data.bytes);
    t->hosts_count++;
}

static void take_service(struct targets *t, struct mu_span message, size_t at, size_t bytes)
{
    struct target *s = &t->services[t->services_count];

    if (t->services_count == TARGETS_MAX || bytes < 7 ||
        name_read(message, at + 6, &s->name) == 0) {
        return;
    }
    s->addr = (struct mu_addr){ .port = u16_at(message, at + 4) };
    t->services_count += s->addr.port != 0;
}

/* One record; returns where the next one begins, 0: there is none. */
static size_t take_record(struct targets *t, struct mu_span message, size_t at,
                          const struct name *service)
{
    struct name owner;

    at = name_read(message, at, &owner);
    if (at == 0 || at + 10 > message.bytes) {
        return 0;
    }
    uint16_t type = u16_at(message, at);
    bool is_in = (u16_at(message, at + 2) & ~TOP_BIT) == CLASS_IN;
    bool is_gone = u16_at(message, at + 4) == 0 && u16_at(message, at + 6) == 0;
    size_t bytes = u16_at(message, at + 8);

    at += 10;
    if (at + bytes > message.bytes) {
        return 0;
    }
    if (is_in && !is_gone && type == TYPE_SRV && is_instance(&owner, service)) {
        take_service(t, message, at, bytes);
    } else if (is_in && !is_gone && (type == TYPE_A || type == TYPE_AAAA)) {
        take_address(t, &owner, mu_span_sub(message, at, bytes));
    }
    return at + bytes;
}

static bool is_place(const struct mu_addr *a)
{
    return !mu_addr_is_any(a) && !mu_addr_is_multicast(a);
}

size_t mdns_found(struct mu_span message, const char *cluster, struct mu_addr *out, size_t room)
{
    struct name service = service_name(cluster);
    struct targets t = { .services_count = 0 };
    size_t at = HEADER_BYTES;
    size_t count = 0;
    struct header h;
    struct name n;

    if (!header_read(message, &h) || (h.flags & FLAG_RESPONSE) == 0) {
        return 0;
    }
    for (unsigned i = 0; i < h.questions && at != 0; i++) {
        at = i < QUESTIONS_MAX ? name_read(message, at, &n) : 0;
        at = at != 0 ? at + 4 : 0;
    }
    unsigned records = (unsigned)h.answers + h.authorities + h.additionals;

    for (unsigned i = 0; i < records && i < RECORDS_MAX && at != 0; i++) {
        at = take_record(&t, message, at, &service);
    }
    for (size_t s = 0; s < t.services_count; s++) {
        for (size_t i = 0; i < t.hosts_count && count < room; i++) {
            if (name_eq(&t.services[s].name, &t.hosts[i].name) && is_place(&t.hosts[i].addr)) {
                out[count] = t.hosts[i].addr;
                out[count++].port = t.services[s].addr.port;
            }
        }
    }
    return count;
}

/* -- who is on this link ------------------------------------------------------------------------
 */

static bool is_same_net(const struct mu_addr *a, const struct mu_addr *b, unsigned prefix)
{
    size_t whole = prefix / 8;
    unsigned rest = prefix % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);

    return a->ip_bytes == b->ip_bytes && prefix <= a->ip_bytes * 8U &&
           memcmp(a->ip, b->ip, whole) == 0 &&
           (rest == 0 || (a->ip[whole] & mask) == (b->ip[whole] & mask));
}

bool mdns_is_on_link(const struct mdns_link *links, size_t count, const struct mu_addr *from)
{
    if (from->ip_bytes == 16 && from->ip[0] == 0xfe && (from->ip[1] & 0xc0) == 0x80) {
        return true; /* fe80::/10 comes from nowhere else */
    }
    for (size_t i = 0; i < count; i++) {
        if (is_same_net(&links[i].addr, from, links[i].prefix)) {
            return true;
        }
    }
    return false;
}

/* -- when to do what ----------------------------------------------------------------------------
 */

void mdns_init(struct mdns *m, uint64_t now_ms, struct mu_rand *rand)
{
    *m = (struct mdns){ .look_ms = now_ms + FIRST_MS + mu_rand_below(rand, SPREAD_MS) };
}

enum mdns_step mdns_due(struct mdns *m, uint64_t now_ms, bool is_alone)
{
    if (m->settle_ms != 0 && m->settle_ms <= now_ms) {
        m->settle_ms = 0;
        return MDNS_JOIN;
    }
    if (m->look_ms > now_ms) {
        return MDNS_NOTHING;
    }
    m->look_ms = now_ms + ALONE_MS;
    if (m->has_asked && !is_alone && now_ms < m->asked_ms + COMPANY_MS) {
        return MDNS_NOTHING;
    }
    m->has_asked = true;
    m->asked_ms = now_ms;
    return MDNS_ASK;
}

uint64_t mdns_wake_ms(const struct mdns *m)
{
    return m->settle_ms != 0 && m->settle_ms < m->look_ms ? m->settle_ms : m->look_ms;
}

void mdns_hear(struct mdns *m, const struct mu_addr *at, uint64_t now_ms)
{
    for (size_t i = 0; i < m->found_count; i++) {
        if (mu_addr_eq(&m->found[i], at)) {
            return;
        }
    }
    if (m->found_count < MDNS_FOUND_MAX) {
        m->found[m->found_count++] = *at;
        m->settle_ms = now_ms + SETTLE_MS;
    }
}

size_t mdns_take(struct mdns *m, struct mu_addr out[MDNS_FOUND_MAX])
{
    size_t count = m->found_count;

    memcpy(out, m->found, count * sizeof *out);
    m->found_count = 0;
    return count;
}

bool mdns_may_answer(struct mdns *m, uint64_t now_ms)
{
    if (m->answered_ms != 0 && now_ms < m->answered_ms + ANSWER_MS) {
        return false;
    }
    m->answered_ms = now_ms;
    return true;
}
