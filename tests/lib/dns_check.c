#include "dns_check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MUSTER_HAVE_KNOT
#include <libknot/libknot.h>
#endif

#include "base/assert.h"
#include "base/mem.h"

#define NAME_MAX_TEXT 1100 /* 255 bytes, each as \DDD */

struct message {
    const uint8_t *data;
    size_t bytes, at;
    struct mu_buf *why;
    bool bad;
};

static void complain(struct message *m, const char *text)
{
    if (!m->bad) {
        mu_buf_addf(m->why, "malformed: %s at byte %zu", text, m->at);
    }
    m->bad = true;
}

static unsigned byte(struct message *m)
{
    if (m->at >= m->bytes) {
        complain(m, "cut short");
        return 0;
    }
    return m->data[m->at++];
}

static unsigned u16(struct message *m)
{
    unsigned high = byte(m);

    return high << 8 | byte(m);
}

static unsigned long u32(struct message *m)
{
    unsigned long high = u16(m);

    return high << 16 | u16(m);
}

/* -- names ------------------------------------------------------------------------------------- */

static void print_label(const uint8_t *data, size_t bytes, char to[NAME_MAX_TEXT])
{
    size_t used = strlen(to);

    for (size_t i = 0; i < bytes; i++) {
        unsigned c = data[i];
        size_t room = NAME_MAX_TEXT - used;

        if (c == '.' || c == '\\') {
            used += (size_t)snprintf(to + used, room, "\\%c", (int)c);
        } else if (c > ' ' && c < 127) {
            used += (size_t)snprintf(to + used, room, "%c", (int)c);
        } else {
            used += (size_t)snprintf(to + used, room, "\\%03u", c);
        }
        MU_ASSERT(used < NAME_MAX_TEXT - 1);
    }
    (void)snprintf(to + used, NAME_MAX_TEXT - used, ".");
}

/* A name with pointers, each strictly before the place where the name (or the part that a pointer
 * led to) began. *pointers counts them. */
static void name(struct message *m, char to[NAME_MAX_TEXT], unsigned *pointers)
{
    size_t at = m->at;
    size_t began = m->at;
    size_t total = 1;
    bool jumped = false;

    to[0] = '\0';
    for (;;) {
        if (at >= m->bytes) {
            complain(m, "name cut short");
            return;
        }
        unsigned c = m->data[at];

        if ((c & 0xc0) == 0xc0) {
            if (at + 1 >= m->bytes) {
                complain(m, "pointer cut short");
                return;
            }
            size_t target = (c & 0x3fU) << 8 | m->data[at + 1];

            if (target >= began || target < 12) {
                complain(m, "pointer that does not go back");
                return;
            }
            if (!jumped) {
                m->at = at + 2;
            }
            jumped = true;
            began = at = target;
            (*pointers)++;
            continue;
        }
        if (c > 63 || at + 1 + c > m->bytes) {
            complain(m, "bad label");
            return;
        }
        at += 1 + c;
        if (c == 0) {
            break;
        }
        total += 1 + c;
        if (total > 255) {
            complain(m, "name longer than 255 bytes");
            return;
        }
        print_label(m->data + at - c, c, to);
    }
    if (!jumped) {
        m->at = at;
    }
    if (to[0] == '\0') {
        (void)snprintf(to, NAME_MAX_TEXT, ".");
    }
}

bool dns_check_name(const char *text, struct mu_buf *to)
{
    uint8_t label[256];
    size_t bytes = 0;

    if (strcmp(text, ".") == 0) {
        mu_buf_add_byte(to, 0);
        return true;
    }
    for (const char *c = text;; c++) {
        if (*c == '.' || *c == '\0') {
            if (bytes > 63 || (bytes == 0 && *c != '\0')) {
                return false;
            }
            mu_buf_add_byte(to, (uint8_t)bytes);
            mu_buf_add(to, label, bytes);
            if (*c == '\0') {
                break;
            }
            bytes = 0;
        } else if (*c == '\\' && c[1] >= '0' && c[1] <= '9') {
            label[bytes++] = (uint8_t)strtoul((const char[4]){ c[1], c[2], c[3], 0 }, NULL, 10);
            c += 3;
        } else {
            c += *c == '\\' ? 1 : 0;
            label[bytes++] = (uint8_t)*c;
        }
        if (bytes > 200) {
            return false;
        }
    }
    if (bytes > 0) {
        mu_buf_add_byte(to, 0);
    }
    return true;
}

/* -- types ------------------------------------------------------------------------------------- */

enum data_form { FORM_HEX, FORM_IP4, FORM_IP6, FORM_NAME, FORM_SRV, FORM_TXT, FORM_SOA, FORM_OPT };

static const struct {
    const char *text;
    uint16_t type;
    enum data_form form;
} types[] = {
    // clang-format off
    { "A", 1, FORM_IP4 },      { "NS", 2, FORM_NAME },    { "CNAME", 5, FORM_NAME },
    { "SOA", 6, FORM_SOA },    { "PTR", 12, FORM_NAME },  { "MX", 15, FORM_HEX },
    { "TXT", 16, FORM_TXT },   { "AAAA", 28, FORM_IP6 },  { "SRV", 33, FORM_SRV },
    { "OPT", 41, FORM_OPT },   { "DS", 43, FORM_HEX },    { "HTTPS", 65, FORM_HEX },
    { "TKEY", 249, FORM_HEX }, { "TSIG", 250, FORM_HEX }, { "IXFR", 251, FORM_HEX },
    { "AXFR", 252, FORM_HEX }, { "ANY", 255, FORM_HEX },
}; // clang-format on

uint16_t dns_check_type(const char *text)
{
    for (size_t i = 0; i < MU_LEN(types); i++) {
        if (strcmp(types[i].text, text) == 0) {
            return types[i].type;
        }
    }
    return strncmp(text, "TYPE", 4) == 0 ? (uint16_t)strtoul(text + 4, NULL, 10) : 0;
}

static size_t type_at(unsigned type)
{
    size_t i = 0;

    while (i < MU_LEN(types) && types[i].type != type) {
        i++;
    }
    return i;
}

/* -- records ----------------------------------------------------------------------------------- */

struct record {
    unsigned section; /* 1 answer, 2 authority, 3 additional */
    unsigned type;
    char owner[NAME_MAX_TEXT];
    char target[NAME_MAX_TEXT]; /* of CNAME */
    char *text;
};

struct reply {
    struct message m;
    unsigned flags, counts[4];
    struct record *records;
    size_t records_count;
    size_t opts;
    unsigned pointers;
    unsigned extended; /* upper bits of the rcode */
    bool has_opt_last;
};

static void print_strings(struct message *m, size_t end, struct mu_buf *to)
{
    while (m->at < end && !m->bad) {
        unsigned bytes = byte(m);

        if (m->at + bytes > end) {
            complain(m, "string beyond its record");
            return;
        }
        mu_buf_add_text(to, " \"");
        for (unsigned i = 0; i < bytes; i++) {
            unsigned c = byte(m);

            if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
                mu_buf_add_byte(to, (uint8_t)c);
            } else {
                mu_buf_addf(to, "\\%03u", c);
            }
        }
        mu_buf_add_byte(to, '"');
    }
}

static void print_ip(struct message *m, int family, struct mu_buf *to)
{
    size_t bytes = family == AF_INET ? 4 : 16;
    char text[INET6_ADDRSTRLEN];

    if (m->at + bytes > m->bytes) {
        complain(m, "address cut short");
        return;
    }
    (void)inet_ntop(family, m->data + m->at, text, sizeof text);
    m->at += bytes;
    mu_buf_addf(to, " %s", text);
}

static void print_option(struct message *m, unsigned code, unsigned bytes, struct mu_buf *to)
{
    size_t end = m->at + bytes;

    if (code == 8 && bytes >= 4) {
        unsigned family = u16(m);
        unsigned source = byte(m);
        unsigned scope = byte(m);

        mu_buf_addf(to, " subnet=%u:", family);
        while (m->at < end && !m->bad) {
            mu_buf_addf(to, "%02x", byte(m));
        }
        mu_buf_addf(to, "/%u/%u", source, scope);
    } else if (code == 15 && bytes >= 2) {
        mu_buf_addf(to, " why=%u", u16(m));
    } else if (code == 11 && bytes == 2) {
        mu_buf_addf(to, " keepalive=%u", u16(m));
    } else {
        mu_buf_addf(to, " option=%u", code);
        m->at = end;
    }
}

static void print_opt(struct reply *r, size_t end, unsigned class, unsigned long ttl,
                      struct mu_buf *to)
{
    r->opts++;
    r->extended = (unsigned)(ttl >> 24);
    mu_buf_addf(to, "%u version=%lu flags=%lu", class, ttl >> 16 & 0xff, ttl & 0xffff);
    while (r->m.at < end && !r->m.bad) {
        unsigned code = u16(&r->m);
        unsigned bytes = u16(&r->m);

        if (r->m.at + bytes > end) {
            complain(&r->m, "option beyond OPT");
            return;
        }
        print_option(&r->m, code, bytes, to);
    }
}

static void print_data(struct reply *r, struct record *rec, size_t end, struct mu_buf *to)
{
    struct message *m = &r->m;
    char text[NAME_MAX_TEXT];
    size_t t = type_at(rec->type);
    unsigned before = r->pointers;

    switch (t < MU_LEN(types) ? types[t].form : FORM_HEX) {
    case FORM_IP4: print_ip(m, AF_INET, to); break;
    case FORM_IP6: print_ip(m, AF_INET6, to); break;
    case FORM_NAME:
        name(m, rec->target, &r->pointers);
        mu_buf_addf(to, " %s", rec->target);
        break;
    case FORM_SRV:
        mu_buf_addf(to, " %u", u16(m));
        mu_buf_addf(to, " %u", u16(m));
        mu_buf_addf(to, " %u", u16(m));
        name(m, text, &r->pointers);
        mu_buf_addf(to, " %s", text);
        if (r->pointers != before) {
            complain(m, "compressed SRV target");
        }
        break;
    case FORM_TXT: print_strings(m, end, to); break;
    case FORM_SOA:
        name(m, text, &r->pointers);
        mu_buf_addf(to, " %s", text);
        name(m, text, &r->pointers);
        mu_buf_addf(to, " %s", text);
        for (unsigned i = 0; i < 5; i++) {
            mu_buf_addf(to, " %lu", u32(m));
        }
        break;
    case FORM_OPT:
    case FORM_HEX: complain(m, "a type that we never send"); break;
    }
}

static const char *const section_texts[] = { "question", "answer", "authority", "additional" };

static void read_record(struct reply *r, unsigned section)
{
    struct message *m = &r->m;
    struct record *rec = &r->records[r->records_count++];
    struct mu_buf text = MU_BUF_NONE;

    rec->section = section;
    rec->target[0] = '\0';
    name(m, rec->owner, &r->pointers);
    rec->type = u16(m);
    unsigned class = u16(m);
    unsigned long ttl = u32(m);
    size_t bytes = u16(m);
    size_t end = m->at + bytes;

    if (end > m->bytes) {
        complain(m, "data beyond the message");
    } else if (rec->type == 41) {
        if (strcmp(rec->owner, ".") != 0 || section != 3) {
            complain(m, "OPT at a strange place");
        }
        print_opt(r, end, class, ttl, &text);
    } else {
        size_t t = type_at(rec->type);

        mu_buf_addf(&text, "%s %lu %s", rec->owner, ttl, t < MU_LEN(types) ? types[t].text : "?");
        if (class != 1) {
            complain(m, "class other than IN");
        }
        print_data(r, rec, end, &text);
    }
    if (!m->bad && m->at != end) {
        complain(m, "data shorter or longer than it says");
    }
    r->has_opt_last = rec->type == 41;
    rec->text = mu_buf_take(&text, NULL);
}

/* -- rules ------------------------------------------------------------------------------------- */

static void check_header(struct reply *r, struct mu_span query)
{
    struct message *m = &r->m;

    if (m->bytes < 12 || query.bytes < 4) {
        complain(m, "shorter than a header");
        return;
    }
    if (m->data[0] != query.data[0] || m->data[1] != query.data[1]) {
        complain(m, "another id");
    }
    m->at = 2;
    r->flags = u16(m);
    for (unsigned i = 0; i < 4; i++) {
        r->counts[i] = u16(m);
    }
    unsigned asked = (unsigned)query.data[2] << 8 | query.data[3];

    if ((r->flags & 0x8000U) == 0 || (r->flags & 0x7910U) != (asked & 0x7910U)) {
        complain(m, "QR, opcode, RD or CD");
    }
    if ((r->flags & 0x0060U) != 0) {
        complain(m, "AD or Z is set");
    }
    if (r->counts[0] > 1) {
        complain(m, "more than one question");
    }
}

static void check_question(struct reply *r, struct mu_span query, char owner[NAME_MAX_TEXT])
{
    struct message *m = &r->m;
    size_t start = m->at;

    owner[0] = '\0';
    if (r->counts[0] == 0) {
        return;
    }
    name(m, owner, &r->pointers);
    (void)u32(m);
    if (!m->bad &&
        (m->at > query.bytes || memcmp(m->data + start, query.data + start, m->at - start) != 0)) {
        complain(m, "the question is not echoed");
    }
}

/* Each answer belongs to the question or to a CNAME before it. */
static void check_chain(struct reply *r, const char *asked)
{
    for (size_t i = 0; i < r->records_count; i++) {
        const struct record *rec = &r->records[i];
        bool belongs = strcmp(rec->owner, asked) == 0;

        if (rec->section != 1) {
            continue;
        }
        for (size_t j = 0; j < i && !belongs; j++) {
            belongs = r->records[j].type == 5 && strcmp(r->records[j].target, rec->owner) == 0;
        }
        if (!belongs) {
            complain(&r->m, "an answer to nothing that was asked");
        }
    }
}

static void check_twice(struct reply *r)
{
    for (size_t i = 0; i < r->records_count; i++) {
        for (size_t j = 0; j < i && r->records_count < 200; j++) {
            if (r->records[i].section == r->records[j].section &&
                strcmp(r->records[i].text, r->records[j].text) == 0) {
                complain(&r->m, "a record twice");
            }
        }
    }
}

#ifdef MUSTER_HAVE_KNOT
static void check_knot(struct reply *r)
{
    uint8_t *copy = malloc(r->m.bytes);

    MU_ASSERT(copy != NULL);
    memcpy(copy, r->m.data, r->m.bytes);
    knot_pkt_t *pkt = knot_pkt_new(copy, (uint16_t)r->m.bytes, NULL);
    int rc = knot_pkt_parse(pkt, 0);

    if (rc != KNOT_EOK) {
        complain(&r->m, knot_strerror(rc));
    }
    knot_pkt_free(pkt);
    free(copy);
}
#else
static void check_knot(struct reply *r)
{
    (void)r;
}
#endif

static void check_end(struct reply *r, size_t bytes_max)
{
    struct message *m = &r->m;

    if (!m->bad && m->at != m->bytes) {
        complain(m, "bytes behind the last record");
    }
    if (m->bytes > bytes_max) {
        complain(m, "larger than the client takes");
    }
    if (r->opts > 1 || (r->opts == 1 && !r->has_opt_last)) {
        complain(m, "OPT twice, or not at the end");
    }
}

/* -- printing ---------------------------------------------------------------------------------- */

static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
                                      "REFUSED", "6",       "7",        "8",        "NOTAUTH",
                                      "10",      "11",      "12",       "13",       "14",
                                      "15",      "BADVERS" };

static void print_header(const struct reply *r, struct mu_buf *out)
{
    static const struct {
        unsigned bit;
        const char *text;
    } flags[] = { { 0x400, " aa" }, { 0x200, " tc" }, { 0x100, " rd" },
                  { 0x80, " ra" },  { 0x20, " ad" },  { 0x10, " cd" } };
    unsigned rcode = r->extended << 4 | (r->flags & 0xf);

    mu_buf_add_text(out, rcode < MU_LEN(rcodes) ? rcodes[rcode] : "?");
    for (size_t i = 0; i < MU_LEN(flags); i++) {
        mu_buf_add_text(out, (r->flags & flags[i].bit) != 0 ? flags[i].text : "");
    }
    if (r->counts[0] == 0) {
        mu_buf_add_text(out, " (no question)");
    }
}

static int record_order(const void *a, const void *b)
{
    const struct record *left = a;
    const struct record *right = b;

    if (left->section != right->section) {
        return left->section < right->section ? -1 : 1;
    }
    if ((left->type == 41) != (right->type == 41)) {
        return left->type == 41 ? 1 : -1;
    }
    return strcmp(left->text, right->text);
}

static void print_records(const struct reply *r, struct mu_buf *out)
{
    mu_buf_add_byte(out, '\n');
    for (size_t i = 0; i < r->records_count; i++) {
        const struct record *rec = &r->records[i];

        mu_buf_addf(out, "%s %s\n", rec->type == 41 ? "opt" : section_texts[rec->section],
                    rec->text);
    }
}

static void print_counts(const struct reply *r, struct mu_buf *out)
{
    for (unsigned section = 1; section <= 3; section++) {
        for (size_t t = 0; t < MU_LEN(types); t++) {
            unsigned count = 0;

            for (size_t i = 0; i < r->records_count; i++) {
                count += r->records[i].section == section && r->records[i].type == types[t].type;
            }
            if (count > 0) {
                mu_buf_addf(out, "; %s %u %s", section_texts[section], count, types[t].text);
            }
        }
    }
    if (r->pointers == 0 && r->records_count > r->opts) {
        mu_buf_add_text(out, "; no pointers");
    }
    mu_buf_add_byte(out, '\n');
}

bool dns_check(struct mu_span query, struct mu_span message, size_t bytes_max,
               enum dns_check_form form, struct mu_buf *out)
{
    struct reply r = { .m = { .data = message.data, .bytes = message.bytes, .why = out } };
    char asked[NAME_MAX_TEXT];

    check_header(&r, query);
    if (!r.m.bad) {
        size_t total = (size_t)r.counts[1] + r.counts[2] + r.counts[3];

        r.records = mu_new_array(total + 1, sizeof *r.records);
        check_question(&r, query, asked);
        for (unsigned section = 1; section <= 3; section++) {
            for (unsigned i = 0; i < r.counts[section] && !r.m.bad; i++) {
                read_record(&r, section);
            }
        }
        check_end(&r, bytes_max);
        check_chain(&r, asked);
        check_twice(&r);
        check_knot(&r);
    }
    if (!r.m.bad) {
        print_header(&r, out);
        qsort(r.records, r.records_count, sizeof *r.records, record_order);
        if (form == DNS_CHECK_RECORDS) {
            print_records(&r, out);
        } else {
            print_counts(&r, out);
        }
    } else {
        mu_buf_add_byte(out, '\n');
    }
    for (size_t i = 0; i < r.records_count; i++) {
        mu_free(r.records[i].text);
    }
    mu_free(r.records);
    return !r.m.bad;
}

/* -- making queries ---------------------------------------------------------------------------- */

static void put16(struct mu_buf *to, unsigned v)
{
    mu_buf_add_byte(to, (uint8_t)(v >> 8));
    mu_buf_add_byte(to, (uint8_t)v);
}

bool dns_check_ask(const struct dns_check_query *q, struct mu_buf *to)
{
    put16(to, q->id);
    put16(to, q->flags);
    put16(to, 1);
    put16(to, 0);
    put16(to, 0);
    put16(to, q->has_edns ? 1 : 0);
    if (!dns_check_name(q->name, to)) {
        return false;
    }
    put16(to, q->type);
    put16(to, q->class != 0 ? q->class : 1);
    if (q->has_edns) {
        mu_buf_add_byte(to, 0);
        put16(to, 41);
        put16(to, q->udp_bytes);
        put16(to, q->version);
        put16(to, 0);
        put16(to, (unsigned)q->options.bytes);
        mu_buf_add_span(to, q->options);
    }
    return true;
}
