/* recovery_text.c - positions and peers as files that people carry from host to host, and the
 * judgement on whether a cluster may go on from them. No I/O.
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "agent/recovery.h"
#include "base/addr.h"
#include "base/assert.h"
#include "base/json.h"

#define TITLE     "muster bundle 1"
#define SUM_BYTES 16

/* -- a position to text ------------------------------------------------------------------------ */

static void add_id(struct mu_buf *to, const char *key, const struct mu_id *id)
{
    char text[MU_ID_TEXT_BYTES + 1] = "-";

    if (!mu_id_is_none(id)) {
        mu_id_text(id, text);
    }
    mu_buf_addf(to, "%s %s\n", key, text);
}

static void add_number(struct mu_buf *to, const char *key, uint64_t value)
{
    mu_buf_addf(to, "%s %llu\n", key, (unsigned long long)value);
}

static void add_hex(struct mu_buf *to, const char *key, const uint8_t *bytes, size_t count)
{
    mu_buf_addf(to, "%s ", key);
    for (size_t i = 0; i < count; i++) {
        mu_buf_addf(to, "%02x", bytes[i]);
    }
    mu_buf_add_byte(to, '\n');
}

static void sum_of(struct mu_span text, uint8_t out[SUM_BYTES])
{
    (void)crypto_generichash(out, SUM_BYTES, text.data, text.bytes, NULL, 0);
}

void recovery_position_write(const struct recovery_position *p, struct mu_buf *to)
{
    size_t start = to->bytes;
    uint8_t sum[SUM_BYTES];

    mu_buf_add_text(to, TITLE "\n");
    add_id(to, "server", &p->server);
    add_id(to, "disk", &p->disk);
    add_id(to, "cluster", &p->cluster);
    add_number(to, "epoch", p->epoch);
    add_number(to, "term", p->term);
    add_number(to, "last_term", p->last_term);
    add_number(to, "last_index", p->last_index);
    add_number(to, "chain", p->chain);
    add_number(to, "applied_index", p->applied_index);
    add_hex(to, "state_hash", p->state_hash, sizeof p->state_hash);
    add_number(to, "config_index", p->config_index);
    add_id(to, "coordinator", &p->coordinator);
    for (size_t i = 0; i < p->servers_count; i++) {
        const struct recovery_server *s = &p->servers[i];
        char id[MU_ID_TEXT_BYTES + 1], disk[MU_ID_TEXT_BYTES + 1];

        mu_id_text(&s->id, id);
        mu_id_text(&s->disk, disk);
        mu_buf_addf(to, "%s %s %s %s\n", s->is_voter ? "voter" : "learner", id, disk,
                    s->address[0] != '\0' ? s->address : "-");
    }
    sum_of(mu_span_of(to->data + start, to->bytes - start), sum);
    add_hex(to, "checksum", sum, sizeof sum);
}

/* -- and back ---------------------------------------------------------------------------------- */

static bool read_id(struct mu_span text, struct mu_id *to)
{
    *to = MU_ID_NONE;
    return mu_span_eq_text(text, "-") || mu_id_parse(text, to);
}

static bool read_own_id(struct mu_span text, struct mu_id *to)
{
    return mu_id_parse(text, to) && !mu_id_is_none(to);
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct mu_span text, uint8_t *to, size_t count)
{
    if (text.bytes != 2 * count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        to[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static bool read_chain(struct mu_span text, uint32_t *to)
{
    uint64_t number = 0;

    if (!mu_span_u64(text, &number) || number > UINT32_MAX) {
        return false;
    }
    *to = (uint32_t)number;
    return true;
}

static bool address_put(struct mu_span text, char to[RECOVERY_ADDRESS_MAX])
{
    if (text.bytes >= RECOVERY_ADDRESS_MAX || !mu_span_is_utf8(text)) {
        return false;
    }
    (void)snprintf(to, RECOVERY_ADDRESS_MAX, "%.*s", MU_SPAN_FMT(text));
    return true;
}

static bool read_server(struct recovery_position *p, bool is_voter, struct mu_span text)
{
    struct mu_span rest;
    struct mu_span id = mu_span_split(text, ' ', &rest, NULL);
    struct mu_span disk = mu_span_split(rest, ' ', &rest, NULL);

    if (p->servers_count == RECOVERY_SERVERS_MAX) {
        return false;
    }
    struct recovery_server *s = &p->servers[p->servers_count++];

    s->is_voter = is_voter;
    return mu_id_parse(id, &s->id) && mu_id_parse(disk, &s->disk) &&
           address_put(mu_span_eq_text(rest, "-") ? MU_SPAN_NONE : rest, s->address);
}

enum line {
    LINE_SERVER,
    LINE_DISK,
    LINE_CLUSTER,
    LINE_EPOCH,
    LINE_TERM,
    LINE_LAST_TERM,
    LINE_LAST_INDEX,
    LINE_CHAIN,
    LINE_APPLIED,
    LINE_HASH,
    LINE_CONFIG,
    LINE_COORDINATOR,
    LINE_VOTER,
    LINE_LEARNER,
    LINES_COUNT,
};

static const char *const keys[LINES_COUNT] = {
    [LINE_SERVER] = "server",
    [LINE_DISK] = "disk",
    [LINE_CLUSTER] = "cluster",
    [LINE_EPOCH] = "epoch",
    [LINE_TERM] = "term",
    [LINE_LAST_TERM] = "last_term",
    [LINE_LAST_INDEX] = "last_index",
    [LINE_CHAIN] = "chain",
    [LINE_APPLIED] = "applied_index",
    [LINE_HASH] = "state_hash",
    [LINE_CONFIG] = "config_index",
    [LINE_COORDINATOR] = "coordinator",
    [LINE_VOTER] = "voter",
    [LINE_LEARNER] = "learner",
};

static bool read_value(struct recovery_position *p, enum line line, struct mu_span value)
{
    switch (line) {
    case LINE_SERVER: return read_own_id(value, &p->server);
    case LINE_DISK: return read_own_id(value, &p->disk);
    case LINE_CLUSTER: return read_id(value, &p->cluster);
    case LINE_EPOCH: return mu_span_u64(value, &p->epoch);
    case LINE_TERM: return mu_span_u64(value, &p->term);
    case LINE_LAST_TERM: return mu_span_u64(value, &p->last_term);
    case LINE_LAST_INDEX: return mu_span_u64(value, &p->last_index);
    case LINE_CHAIN: return read_chain(value, &p->chain);
    case LINE_APPLIED: return mu_span_u64(value, &p->applied_index);
    case LINE_HASH: return read_hex(value, p->state_hash, sizeof p->state_hash);
    case LINE_CONFIG: return mu_span_u64(value, &p->config_index);
    case LINE_COORDINATOR: return read_id(value, &p->coordinator);
    case LINE_VOTER: return read_server(p, true, value);
    case LINE_LEARNER: return read_server(p, false, value);
    case LINES_COUNT: break;
    }
    return false;
}

static bool read_line(struct recovery_position *p, struct mu_span text, uint32_t *seen)
{
    struct mu_span value;
    struct mu_span key = mu_span_split(text, ' ', &value, NULL);

    for (size_t i = 0; i < LINES_COUNT; i++) {
        if (mu_span_eq_text(key, keys[i])) {
            *seen |= 1U << i;
            return read_value(p, (enum line)i, value);
        }
    }
    return false;
}

/* What stands before the last line, if that is the checksum of it. */
static bool check_sum(struct mu_span text, struct mu_span *body)
{
    static const char key[] = "checksum ";
    size_t line = sizeof key - 1 + 2 * SUM_BYTES + 1;
    uint8_t wanted[SUM_BYTES], is[SUM_BYTES];

    if (text.bytes < line || text.data[text.bytes - 1] != '\n') {
        return false;
    }
    *body = mu_span_sub(text, 0, text.bytes - line);
    struct mu_span last = mu_span_sub(text, text.bytes - line, line - 1);

    if (!mu_span_starts(last, MU_SPAN_LIT(key)) ||
        !read_hex(mu_span_sub(last, sizeof key - 1, last.bytes), wanted, sizeof wanted)) {
        return false;
    }
    sum_of(*body, is);
    return memcmp(is, wanted, sizeof is) == 0;
}

enum mu_code recovery_position_read(struct mu_span text, struct recovery_position *out,
                                    struct mu_err *err)
{
    static const uint32_t wanted = (1U << LINE_VOTER) - 1; /* all that stand before the servers */
    struct mu_span body, line;
    uint32_t seen = 0;

    *out = (struct recovery_position){ .epoch = 0 };
    if (!check_sum(text, &body)) {
        return mu_fail(err, MU_INVALID, "it is no bundle, or was changed since it was written");
    }
    line = mu_span_split(body, '\n', &body, NULL);
    if (!mu_span_eq_text(line, TITLE)) {
        return mu_fail(err, MU_INVALID, "it is a bundle of another version: '%.*s'",
                       MU_SPAN_FMT(line));
    }
    while (body.bytes > 0) {
        line = mu_span_split(body, '\n', &body, NULL);
        if (!read_line(out, line, &seen)) {
            return mu_fail(err, MU_INVALID, "this line of the bundle means nothing: '%.*s'",
                           MU_SPAN_FMT(line));
        }
    }
    if ((seen & wanted) != wanted) {
        return mu_fail(err, MU_INVALID, "the bundle is not complete");
    }
    return MU_OK;
}

/* -- peers.json -------------------------------------------------------------------------------- */

struct peer {
    struct mu_span id, address;
    bool is_learner;
};

static const struct mu_json_field peer_fields[] = {
    { .name = "id", .as = MU_JSON_AS_TEXT, .offset = offsetof(struct peer, id) },
    { .name = "address", .as = MU_JSON_AS_TEXT, .offset = offsetof(struct peer, address) },
    { .name = "non_voter", .as = MU_JSON_AS_BOOL, .offset = offsetof(struct peer, is_learner) },
};

static const struct mu_json_shape peer_shape = { .fields = peer_fields,
                                                 .fields_count = MU_LEN(peer_fields),
                                                 .bytes = sizeof(struct peer) };

/* Name or IP, then a port. Only for the reader's sake: where servers live is told by gossip. */
static bool has_port(struct mu_span address)
{
    struct mu_span host;
    uint16_t port = 0;

    return mu_addr_split(address, &host, &port) && port > 0;
}

static enum mu_code take_peer(const struct peer *p, struct recovery_peers *out, struct mu_err *err)
{
    struct recovery_server s = { .is_voter = !p->is_learner };
    size_t at = 0;

    if (!mu_id_parse(p->id, &s.id) || !address_put(p->address, s.address) ||
        !has_port(p->address)) {
        return mu_fail(err, MU_INVALID,
                       "'%.*s' at '%.*s' is no server: it takes a node id, and an address like "
                       "10.0.0.1:8300",
                       MU_SPAN_FMT(p->id), MU_SPAN_FMT(p->address));
    }
    while (at < out->count && memcmp(&out->items[at].id, &s.id, sizeof s.id) < 0) {
        at++;
    }
    if (at < out->count && mu_id_eq(&out->items[at].id, &s.id)) {
        return mu_fail(err, MU_INVALID, "'%.*s' is named twice", MU_SPAN_FMT(p->id));
    }
    memmove(&out->items[at + 1], &out->items[at], (out->count - at) * sizeof s);
    out->items[at] = s;
    out->count++;
    return MU_OK;
}

enum mu_code recovery_peers_read(struct mu_span text, struct recovery_peers *out,
                                 struct mu_err *err)
{
    struct mu_json *root = NULL;
    struct mu_arena arena;
    enum mu_code rc = mu_json_parse(&root, text, true, err);

    *out = (struct recovery_peers){ .count = 0 };
    if (rc != MU_OK) {
        return rc;
    }
    mu_arena_init(&arena, 0);
    if (mu_json_kind_of(root) != MU_JSON_LIST || mu_json_count(root) == 0 ||
        mu_json_count(root) >= RECOVERY_SERVERS_MAX) {
        rc = mu_fail(err, MU_INVALID, "it takes a list of 1 to %d servers",
                     RECOVERY_SERVERS_MAX - 1);
    }
    for (size_t i = 0; rc == MU_OK && i < mu_json_count(root); i++) {
        struct peer p = { .is_learner = false };
        const struct mu_json *item = mu_json_at(root, i);

        if (mu_json_kind_of(item) != MU_JSON_OBJECT) {
            rc = mu_fail(err, MU_INVALID,
                         "a server is an object with \"id\" and \"address\"; a list of addresses "
                         "does not say whose log counts");
            break;
        }
        rc = mu_json_decode(item, &peer_shape, &p, &arena, err);
        rc = rc == MU_OK ? take_peer(&p, out, err) : rc;
    }
    mu_arena_deinit(&arena);
    mu_json_free(root);
    return rc;
}

/* -- the judgement ----------------------------------------------------------------------------- */

static const struct recovery_position *bundle_of(const struct recovery_position *others,
                                                 size_t count, const struct mu_id *server)
{
    for (size_t i = 0; i < count; i++) {
        if (mu_id_eq(&others[i].server, server)) {
            return &others[i];
        }
    }
    return NULL;
}

static enum mu_code judge_own(const struct recovery_position *own,
                              const struct recovery_peers *peers, struct mu_err *err)
{
    char id[MU_ID_TEXT_BYTES + 1];

    if (own->damage[0] != '\0') {
        return mu_fail(err, MU_CONFLICT, "what this server holds %s: %s",
                       own->is_unread ? "cannot be read" : "is damaged", own->damage);
    }
    if (mu_id_is_none(&own->cluster)) {
        return mu_fail(err, MU_CONFLICT,
                       "this server never belonged to a cluster: there is nothing to recover");
    }
    for (size_t i = 0; i < peers->count; i++) {
        if (mu_id_eq(&peers->items[i].id, &own->server) && peers->items[i].is_voter) {
            return MU_OK;
        }
    }
    mu_id_text(&own->server, id);
    return mu_fail(err, MU_CONFLICT,
                   "this server (%s) is not among the voters to be: recover on one that is, and "
                   "let this one rejoin",
                   id);
}

bool recovery_goes_further(const struct recovery_position *a, const struct recovery_position *b)
{
    return a->last_term != b->last_term ? a->last_term > b->last_term
                                        : a->last_index > b->last_index;
}

static enum mu_code judge_other(const struct recovery_position *own,
                                const struct recovery_position *other, bool is_forced,
                                struct mu_err *err)
{
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&other->server, id);
    if (!mu_id_eq(&other->cluster, &own->cluster)) {
        return mu_fail(err, MU_CONFLICT, "the bundle of %s is of another cluster", id);
    }
    if (other->epoch > own->epoch) {
        return mu_fail(err, MU_CONFLICT,
                       "%s was recovered already (epoch %llu, here %llu): this server can only "
                       "rejoin it",
                       id, (unsigned long long)other->epoch, (unsigned long long)own->epoch);
    }
    /* What an older epoch went on with is what a recovery gave up. */
    if (other->epoch == own->epoch && recovery_goes_further(other, own) && !is_forced) {
        return mu_fail(err, MU_CONFLICT,
                       "the log of %s goes further (term %llu, index %llu) than this one (term "
                       "%llu, index %llu): recover there. To lose what lies between, force it",
                       id, (unsigned long long)other->last_term,
                       (unsigned long long)other->last_index, (unsigned long long)own->last_term,
                       (unsigned long long)own->last_index);
    }
    return MU_OK;
}

/* Two servers that go on as voters must hold the very same log, or each would go on from its own.
 */
static enum mu_code judge_peer(const struct recovery_position *own,
                               const struct recovery_server *peer,
                               const struct recovery_position *bundle, struct mu_err *err)
{
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&peer->id, id);
    if (bundle == NULL) {
        return mu_fail(err, MU_CONFLICT,
                       "more than one server to go on needs the bundle of each, to prove that all "
                       "logs end alike; that of %s is missing. The simple way: name this server "
                       "alone and let the others rejoin",
                       id);
    }
    if (bundle->last_term != own->last_term || bundle->last_index != own->last_index ||
        bundle->chain != own->chain || bundle->epoch != own->epoch) {
        return mu_fail(err, MU_CONFLICT,
                       "the log of %s does not end as this one does: only one of them can go on, "
                       "the other one rejoins",
                       id);
    }
    return MU_OK;
}

enum mu_code recovery_judge(const struct recovery_position *own, const struct recovery_peers *peers,
                            const struct recovery_position *others, size_t others_count,
                            bool is_forced, struct mu_err *err)
{
    enum mu_code rc = judge_own(own, peers, err);

    for (size_t i = 0; rc == MU_OK && i < others_count; i++) {
        rc = judge_other(own, &others[i], is_forced, err);
    }
    for (size_t i = 0; rc == MU_OK && i < peers->count; i++) {
        const struct recovery_server *peer = &peers->items[i];

        if (!mu_id_eq(&peer->id, &own->server)) {
            rc = judge_peer(own, peer, bundle_of(others, others_count, &peer->id), err);
        }
    }
    return rc;
}
