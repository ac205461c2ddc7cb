/* dns_codec.h - DNS messages: one strict reader for queries, one append-only writer for answers.
 *
 * Reading accepts exactly what spec/dns.md 22.1 accepts. A query that deserves an error still comes
 * back readable as far as it was understood, so that the error can echo it.
 *
 * Writing knows its limit. Records go into three regions, because nobody knows how many answers fit
 * before their addresses are known: the message itself (answers, authority), the addresses of the
 * additional section, and the texts there, which are the first to go. Only the first region is ever
 * pointed into, so the others can be appended behind it at the end. A record that does not fit sets
 * `overflow`; the caller returns to a mark and decides.
 *
 * Thread:  none of its own.
 * Memory:  no allocation. A query views the message; a reply writes into the caller's room.
 * Errors:  the rcode in struct dns_query.
 */
#ifndef WEB_DNS_CODEC_H
#define WEB_DNS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/span.h"

#define DNS_HEADER_BYTES 12
#define DNS_NAME_MAX     255 /* bytes on the wire, with the root (RFC 1035 2.3.4) */
#define DNS_LABEL_MAX    63
#define DNS_LABELS_MAX   127
#define DNS_UDP_PLAIN    512 /* without EDNS (RFC 1035 2.3.4) */

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_OPT = 41,
    DNS_TKEY = 249,
    DNS_TSIG = 250,
    DNS_IXFR = 251,
    DNS_AXFR = 252,
    DNS_ANY = 255,
};

enum dns_class {
    DNS_IN = 1,
    DNS_CLASS_ANY = 255,
};

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_NOTAUTH = 9,
    DNS_BADVERS = 16, /* its upper bits travel in OPT */
    DNS_RCODES_COUNT = 17,
};

/* RFC 8914: why, for those who asked with EDNS. */
enum dns_why {
    DNS_WHY_NONE = -1,
    DNS_WHY_STALE = 3,
    DNS_WHY_NOT_READY = 14,
    DNS_WHY_NOT_AUTHORITATIVE = 20,
    DNS_WHY_NO_AUTHORITY = 22,
};

/* A name cut into labels. `wire` is folded and ends with the root. */
struct dns_labels {
    uint8_t wire[DNS_NAME_MAX];
    uint8_t at[DNS_LABELS_MAX + 1]; /* where each label's length byte is; at[count]: the root */
    uint8_t count;                  /* without the root */
};

struct dns_query {
    uint16_t id;
    uint8_t opcode;
    bool rd, cd;
    enum dns_rcode rcode;   /* other than NOERROR: that is the answer */
    bool has_question;      /* then the following are set */
    struct mu_span spelled; /* the name as it was asked: view */
    struct dns_labels name;
    uint16_t type, class;
    size_t bytes; /* of the whole query */

    bool has_opt;
    uint16_t udp_bytes;    /* what the client takes */
    struct mu_span subnet; /* data of the client subnet option (RFC 7871): view; empty: none */
    bool has_keepalive;    /* RFC 7828 */
};

/* Read a query. False: it deserves no answer (too short, or itself an answer). */
bool dns_query_read(struct dns_query *q, struct mu_span message);

/* -- writing ----------------------------------------------------------------------------------- */

enum dns_section {
    DNS_ANSWER,
    DNS_AUTHORITY,
    DNS_ADDITIONAL,
    DNS_TEXTS, /* additional too, but left out when something else needs the room */
    DNS_SECTIONS_COUNT,
};

/* A name in two pieces: labels, then the rest down to the root. */
struct dns_name {
    const uint8_t *head, *tail;
    uint16_t head_bytes, tail_bytes;
    uint16_t at;      /* where the whole name stands in the message already; 0: nowhere */
    uint16_t tail_at; /* where the tail does */
};

/* Where additional records wait until the answers are complete. */
struct dns_scratch {
    uint8_t additional[MU_DNS_TCP_MAX];
    uint8_t texts[MU_DNS_TCP_MAX];
};

struct dns_region {
    uint8_t *data;
    size_t used;
};

struct dns_reply {
    const struct dns_query *query;
    struct dns_region message, additional, texts;
    uint16_t counts[DNS_SECTIONS_COUNT];
    size_t room;  /* for the whole */
    size_t limit; /* for everything but OPT */
    bool compress;
    bool overflow;       /* something did not fit since the last mark */
    bool texts_lost;     /* the texts did not fit: none will be sent */
    bool has_keepalive;  /* say how long an idle connection lives */
    enum dns_why why;    /* sent when there is room for it */
    size_t record_start; /* of the record being written */
};

struct dns_mark {
    size_t message, additional, texts;
    uint16_t counts[DNS_SECTIONS_COUNT];
};

/* What is decided last. */
struct dns_flags {
    enum dns_rcode rcode;
    bool aa, tc;
};

/* Where an answer goes and how large it may be. */
struct dns_room {
    uint8_t *to;
    size_t bytes; /* 512 to 65535 */
    bool is_tcp, compress;
};

/* Begin: header and question. */
void dns_reply_init(struct dns_reply *r, const struct dns_query *q, struct dns_scratch *scratch,
                    const struct dns_room *room);
struct dns_mark dns_reply_mark(struct dns_reply *r);
void dns_reply_rewind(struct dns_reply *r, const struct dns_mark *mark);
/* Complete it; returns its bytes. */
size_t dns_reply_end(struct dns_reply *r, struct dns_flags flags);

/* The question's name, and the part of it that begins `from` bytes behind its start. */
struct dns_name dns_name_asked(const struct dns_query *q, size_t from);
/* An absolute name, sharing what its end has in common with the question's. */
struct dns_name dns_name_of(const struct dns_query *q, const uint8_t *wire, size_t bytes);

/* One record: open, its data, close. Texts may be written whole or not at all. */
void dns_record_open(struct dns_reply *r, enum dns_section s, const struct dns_name *owner,
                     enum dns_type type, uint32_t ttl);
void dns_put_u16(struct dns_reply *r, enum dns_section s, uint16_t v);
void dns_put_u32(struct dns_reply *r, enum dns_section s, uint32_t v);
void dns_put_bytes(struct dns_reply *r, enum dns_section s, const void *data, size_t bytes);
/* A name in data: returns where it stands, as struct dns_name.at wants it (0: cannot be pointed
 * at). `whole`: not shortened, as RFC 2782 demands for SRV. */
uint16_t dns_put_name(struct dns_reply *r, enum dns_section s, const struct dns_name *n,
                      bool whole);
void dns_record_close(struct dns_reply *r, enum dns_section s);

/* The common case: a record whose data is ready. */
void dns_put_record(struct dns_reply *r, enum dns_section s, const struct dns_name *owner,
                    enum dns_type type, uint32_t ttl, const void *data, size_t bytes);

#endif
