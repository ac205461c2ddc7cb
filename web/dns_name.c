/* dns_name.c - names to places.
 *
 * The domain is cut off first (the longest that matches whole labels), then the labels are read
 * from the right: the first keyword fixes the kind, what stands left of it are the parts, what
 * stands right of it the suffix, which names a datacenter or nothing. Reading from the right makes
 * `node.service.consul` a service called node, and a datacenter called like a keyword unreachable.
 */
#include "dns_name.h"

#include <string.h>

#include "base/assert.h"

/* -- zones ------------------------------------------------------------------------------------- */

static struct mu_span label(const struct dns_labels *n, size_t i)
{
    const uint8_t *at = n->wire + n->at[i];

    return mu_span_of(at + 1, *at);
}

static bool label_is(const struct dns_labels *n, size_t i, const char *text)
{
    return mu_span_eq_text(label(n, i), text);
}

/* The words that fix a kind. Connect, ingress, virtual and query are reserved until what they name
 * exists: nothing is registered there. */
static const struct {
    const char *text;
    enum dns_kind kind;
} keywords[] = {
    // clang-format off
    { "service", DNS_SERVICE },
    { "node",    DNS_NODE },
    { "addr",    DNS_LITERAL },
    { "connect", DNS_NOWHERE },
    { "ingress", DNS_NOWHERE },
    { "virtual", DNS_NOWHERE },
    { "query",   DNS_NOWHERE },
}; // clang-format on

static bool keyword_find(const struct dns_labels *n, size_t i, enum dns_kind *kind)
{
    for (size_t k = 0; k < MU_LEN(keywords); k++) {
        if (label_is(n, i, keywords[k].text)) {
            *kind = keywords[k].kind;
            return true;
        }
    }
    return false;
}

static bool is_datacenter(const struct dns_zones *z, const struct dns_labels *n, size_t i)
{
    return mu_span_eq(label(n, i), mu_span_of(z->datacenter + 1, z->datacenter[0]));
}

static enum mu_code zone_add(struct dns_zones *z, const char *text, struct mu_err *err)
{
    uint8_t wire[DNS_NAME_MAX];
    size_t bytes = dns_host_of_text(mu_span_text(text), wire);

    if (bytes == 0) {
        return mu_fail(err, MU_INVALID, "domain '%s' is not a domain name", text);
    }
    if (z->count == DNS_ZONES_MAX) {
        return mu_fail(err, MU_INVALID, "more than %d domains", DNS_ZONES_MAX);
    }
    dns_labels_cut(wire, bytes, &z->zone[z->count++]);
    return MU_OK;
}

enum mu_code dns_zones_init(struct dns_zones *z, const char *domain, const char *const *others,
                            size_t others_count, const char *datacenter, struct mu_err *err)
{
    struct mu_span dc = mu_span_text(datacenter);
    enum dns_kind kind;

    z->count = 0;
    if (dns_labels_of_text(dc, z->datacenter, sizeof z->datacenter) == 0 ||
        z->datacenter[0] != dc.bytes) {
        return mu_fail(err, MU_INVALID, "datacenter '%s' is not one label of a domain name",
                       datacenter);
    }
    mu_span_fold(dc, z->datacenter + 1);
    enum mu_code rc = zone_add(z, domain, err);

    for (size_t i = 0; i < others_count && rc == MU_OK; i++) {
        rc = zone_add(z, others[i], err);
        if (rc == MU_OK &&
            (keyword_find(&z->zone[i + 1], 0, &kind) || is_datacenter(z, &z->zone[i + 1], 0))) {
            rc = mu_fail(err, MU_INVALID,
                         "alt_domain '%s' begins with a word that names in '%s' need", others[i],
                         domain);
        }
    }
    return rc;
}

/* How many labels of `n` lie in front of `zone`; false: it is not below it. */
static bool below(const struct dns_labels *n, const struct dns_labels *zone, size_t *labels)
{
    if (n->count < zone->count) {
        return false;
    }
    size_t first = (size_t)n->count - zone->count;
    size_t bytes = (size_t)zone->at[zone->count] + 1;

    if ((size_t)n->at[n->count] + 1 - n->at[first] != bytes ||
        memcmp(n->wire + n->at[first], zone->wire, bytes) != 0) {
        return false;
    }
    *labels = first;
    return true;
}

static bool zone_find(const struct dns_zones *z, const struct dns_labels *n, size_t *labels)
{
    bool found = false;

    for (size_t i = 0; i < z->count; i++) {
        size_t in_front;

        if (below(n, &z->zone[i], &in_front) && (!found || in_front < *labels)) {
            *labels = in_front;
            found = true;
        }
    }
    return found;
}

/* -- inside a zone ----------------------------------------------------------------------------- */

/* Nothing, <dc> or <dc>.dc, from label `from` up to `end`. Other datacenters and peers are not
 * known here yet, and unknown ones are names that lead nowhere. */
static bool suffix_is_local(const struct dns_zones *z, const struct dns_labels *n, size_t from,
                            size_t end)
{
    if (end == from) {
        return true;
    }
    return is_datacenter(z, n, from) &&
           (end - from == 1 || (end - from == 2 && label_is(n, from + 1, "dc")));
}

/* Join labels with dots. False: one holds a dot itself, so that the text would be ambiguous. */
static bool join(const struct dns_labels *n, size_t from, size_t end, uint8_t *to, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = from; i < end; i++) {
        struct mu_span part = label(n, i);

        if (memchr(part.data, '.', part.bytes) != NULL) {
            return false;
        }
        if (i > from) {
            to[(*bytes)++] = '.';
        }
        memcpy(to + *bytes, part.data, part.bytes);
        *bytes += part.bytes;
    }
    return true;
}

static bool is_underscored(const struct dns_labels *n, size_t i)
{
    return label(n, i).data[0] == '_';
}

/* The first `parts` labels name a service: _name._tag (RFC 2782), or tag.with.dots.name. */
static void place_service(const struct dns_labels *n, size_t parts, struct dns_place *out)
{
    bool is_2782 = parts == 2 && is_underscored(n, 0) && is_underscored(n, 1);
    size_t name_at = is_2782 ? 0 : parts - 1;
    size_t tag_from = is_2782 ? 1 : 0;
    size_t tag_end = is_2782 ? 2 : parts - 1;
    size_t skip = is_2782 ? 1 : 0;
    size_t name_bytes;
    size_t tag_bytes;

    out->kind = DNS_NOWHERE;
    if (!join(n, name_at, name_at + 1, out->text, &name_bytes) ||
        !join(n, tag_from, tag_end, out->text + name_bytes, &tag_bytes) || name_bytes == skip ||
        (is_2782 && tag_bytes == skip)) {
        return; /* a lone underscore names nothing */
    }
    out->kind = DNS_SERVICE;
    out->name = mu_span_of(out->text + skip, name_bytes - skip);
    out->tag = tag_end > tag_from ? mu_span_of(out->text + name_bytes + skip, tag_bytes - skip)
                                  : MU_SPAN_NONE;
    out->is_protocol = parts == 1 && is_underscored(n, 0);
    if (is_2782 && mu_span_eq_text(out->tag, "tcp")) {
        out->tag = MU_SPAN_NONE;
    }
}

static void place_node(const struct dns_labels *n, size_t parts, struct dns_place *out)
{
    size_t bytes;

    out->kind = join(n, 0, parts, out->text, &bytes) ? DNS_NODE : DNS_NOWHERE;
    out->name = mu_span_of(out->text, bytes);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_read(struct mu_span text, uint8_t *to)
{
    for (size_t i = 0; i < text.bytes / 2; i++) {
        int high = hex_digit(text.data[2 * i]);
        int low = hex_digit(text.data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void place_literal(const struct dns_labels *n, size_t parts, struct dns_place *out)
{
    struct mu_span hex = label(n, 0);

    out->kind = DNS_NOWHERE;
    out->address = MU_ADDR_NONE;
    if (parts == 1 && (hex.bytes == 8 || hex.bytes == 32) && hex_read(hex, out->address.ip)) {
        out->address.ip_bytes = (uint8_t)(hex.bytes / 2);
        out->kind = DNS_LITERAL;
    }
}

/* No keyword: <dc>, <dc>.dc and dc are parents; so is a lone _tcp, of SRV names that leave out
 * ".service". */
static void place_bare(const struct dns_zones *z, const struct dns_labels *n, size_t end,
                       struct dns_place *out)
{
    bool is_protocol = is_underscored(n, 0) && suffix_is_local(z, n, 1, end);

    if (suffix_is_local(z, n, 0, end) || (end == 1 && label_is(n, 0, "dc")) || is_protocol) {
        out->kind = DNS_PARENT;
    }
    if (end == 1 && label_is(n, 0, "ns")) {
        out->kind = DNS_NAMESERVER;
    }
}

/* Labels [0, end) lie in front of a zone. */
static void locate_in_zone(const struct dns_zones *z, const struct dns_labels *n, size_t end,
                           uint16_t type, struct dns_place *out)
{
    enum dns_kind kind = DNS_NOWHERE;
    size_t parts = end; /* labels in front of the keyword */
    size_t suffix = 0;
    bool found = false;

    out->kind = DNS_NOWHERE;
    for (size_t i = end; i > 0 && !found; i--) {
        if (keyword_find(n, i - 1, &kind)) {
            parts = i - 1;
            found = true;
        } else if (type == DNS_SRV && is_underscored(n, i - 1)) {
            kind = DNS_SERVICE;
            parts = i;
            found = true;
        }
        suffix = i;
    }
    if (!found) {
        place_bare(z, n, end, out);
        return;
    }
    bool is_local = suffix_is_local(z, n, suffix, end);

    if (parts == 0) {
        out->kind = is_local ? DNS_PARENT : DNS_NOWHERE;
    } else if (kind == DNS_LITERAL) {
        place_literal(n, parts, out); /* whatever the suffix says */
    } else if (is_local && kind == DNS_SERVICE) {
        place_service(n, parts, out);
    } else if (is_local && kind == DNS_NODE) {
        place_node(n, parts, out);
    }
}

/* -- reverse names ----------------------------------------------------------------------------- */

static bool octet_read(struct mu_span text, uint8_t *to)
{
    uint64_t value = 0;

    if (!mu_span_u64(text, &value) || value > 255 || (text.bytes > 1 && text.data[0] == '0')) {
        return false;
    }
    *to = (uint8_t)value;
    return true;
}

static bool nibble_read(struct mu_span text, uint8_t *to)
{
    int digit = text.bytes == 1 ? hex_digit(text.data[0]) : -1;

    *to = digit >= 0 ? (uint8_t)digit : 0;
    return digit >= 0;
}

/* The two trees below arpa., least significant part first (RFC 1035 3.5, RFC 3596 2.5). */
static const struct {
    const char *text;
    size_t parts;         /* of a whole address */
    size_t parts_in_byte; /* 2: nibbles */
    bool (*read)(struct mu_span text, uint8_t *to);
} trees[] = {
    { "in-addr", 4, 1, octet_read },
    { "ip6", 32, 2, nibble_read },
};

static void locate_reverse(const struct dns_labels *n, struct dns_place *out)
{
    size_t parts = n->count >= 2 ? (size_t)n->count - 2 : 0;
    size_t t = 0;

    out->kind = DNS_OUTSIDE;
    if (parts == 0 || !label_is(n, parts + 1, "arpa")) {
        return;
    }
    while (t < MU_LEN(trees) && !label_is(n, parts, trees[t].text)) {
        t++;
    }
    if (t == MU_LEN(trees)) {
        return;
    }
    out->kind = DNS_REVERSE_BROKEN;
    out->address = MU_ADDR_NONE;
    for (size_t i = 0; i < parts; i++) { /* the label nearest to the tree is the first byte */
        size_t at = i / trees[t].parts_in_byte;
        uint8_t part;

        if (i == trees[t].parts || !trees[t].read(label(n, parts - 1 - i), &part)) {
            return;
        }
        out->address.ip[at] =
            (uint8_t)(trees[t].parts_in_byte == 2 ? out->address.ip[at] << 4 | part : part);
    }
    out->kind = parts == trees[t].parts ? DNS_REVERSE : DNS_REVERSE_PARENT;
    out->address.ip_bytes = (uint8_t)(trees[t].parts / trees[t].parts_in_byte);
}

void dns_locate(const struct dns_zones *z, const struct dns_labels *name, uint16_t type,
                struct dns_place *out)
{
    size_t labels = 0;

    out->is_protocol = false;
    out->domain_at = 0;
    out->name = out->tag = MU_SPAN_NONE;
    if (!zone_find(z, name, &labels)) {
        locate_reverse(name, out);
        return;
    }
    out->domain_at = name->at[labels];
    if (labels == 0) {
        out->kind = DNS_APEX;
    } else {
        locate_in_zone(z, name, labels, type, out);
    }
}

/* -- names from text --------------------------------------------------------------------------- */

size_t dns_labels_of_text(struct mu_span text, uint8_t *to, size_t room)
{
    size_t used = 0;
    bool more = text.bytes > 0;

    while (more) {
        struct mu_span part = mu_span_split(text, '.', &text, &more);

        if (part.bytes == 0 || part.bytes > DNS_LABEL_MAX || room - used < part.bytes + 1) {
            return 0;
        }
        to[used] = (uint8_t)part.bytes;
        memcpy(to + used + 1, part.data, part.bytes);
        used += part.bytes + 1;
    }
    return used;
}

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

size_t dns_host_of_text(struct mu_span text, uint8_t to[DNS_NAME_MAX])
{
    if (text.bytes > 1 && text.data[text.bytes - 1] == '.') {
        text.bytes--;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (!is_host_byte(text.data[i])) {
            return 0;
        }
    }
    size_t bytes = dns_labels_of_text(text, to, DNS_NAME_MAX - 1);

    if (bytes == 0) {
        return 0;
    }
    to[bytes] = 0;
    return bytes + 1;
}

void dns_labels_cut(const uint8_t *wire, size_t bytes, struct dns_labels *to)
{
    MU_ASSERT(bytes >= 1 && bytes <= DNS_NAME_MAX && wire[bytes - 1] == 0);
    to->count = 0;
    for (size_t at = 0;; at += 1U + wire[at]) {
        to->at[to->count] = (uint8_t)at;
        to->wire[at] = wire[at];
        if (wire[at] == 0) {
            return;
        }
        mu_span_fold(mu_span_of(wire + at + 1, wire[at]), to->wire + at + 1);
        to->count++;
    }
}
