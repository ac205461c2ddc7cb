/* forge.c - messages that no server of these worlds sends: of other clusters, epochs and disks, for
 * others, impossible, or of a version that does not exist.
 *
 * Each is a message that was on its way, with one thing in it that cannot be. Whoever receives it
 * must not do anything but count it; for the shadow it has not arrived at all. What could be true
 * and is not, a server may not invent: Raft does not survive liars, and nobody promises that.
 */
#include "base/assert.h"
#include "world.h"

#define KIND(k)   (1U << CONSENSUS_##k)
#define ALL       (KIND(APPEND_REQ) | ALL_OTHER)
#define ALL_OTHER (((2U << CONSENSUS_MSG_KINDS) - 2U) & ~KIND(APPEND_REQ))
#define ASKS      (KIND(PREVOTE_REQ) | KIND(VOTE_REQ))
#define ANSWERS \
    (KIND(PREVOTE_RES) | KIND(VOTE_RES) | KIND(APPEND_RES) | KIND(HEARTBEAT_RES) | KIND(MEMBER_RES))
#define LEADS  (KIND(APPEND_REQ) | KIND(HEARTBEAT))
#define STREAM (KIND(SNAP_OFFER) | KIND(SNAP_CHUNK))
#define HUGE   (UINT64_MAX / 2 + 7)

/* What is wrong; with which kinds; who has to say that it was not taken; how. m: the message; e:
 * the last of its entries, for the rows that name one. */
// clang-format off
#define FORGERIES_FIRST(X) \
    X(cluster,       ALL,               COUNTED, m->cluster.b[5] ^= 1) \
    X(no_cluster,    ALL,               COUNTED, m->cluster = MU_ID_NONE) \
    X(epoch,         ALL,               COUNTED, m->epoch++) \
    X(receiver,      ALL,               COUNTED, m->to.b[5] ^= 1) \
    X(nobody,        ALL,               COUNTED, m->from = MU_ID_NONE) \
    X(itself,        ALL,               COUNTED, m->from = m->to) \
    X(kind,          ALL_OTHER,         COUNTED, m->kind = (enum consensus_msg_kind)77) \
    X(no_kind,       ALL_OTHER,         COUNTED, m->kind = (enum consensus_msg_kind)0) \
    X(no_term,       ALL,               COUNTED, m->term = 0) \
    X(far_term,      ALL,               COUNTED, m->term += UINT64_C(1) << 40) \
    X(disk,          ANSWERS,           IGNORED, m->from_disk.b[5] ^= 1) \
    X(two_leaders,   LEADS,             LED,     m->from.b[5] ^= 1) \
    X(session,       KIND(APPEND_REQ),  COUNTED, m->append.session = 0) \
    X(far_prev,      KIND(APPEND_REQ),  COUNTED, m->append.prev_index = HUGE) \
    X(prev_term,     KIND(APPEND_REQ),  COUNTED, m->append.prev_term = m->term + 1) \
    X(half_prev,     KIND(APPEND_REQ),  COUNTED, m->append.prev_term = m->append.prev_index == 0) \
    X(entry_index,   KIND(APPEND_REQ),  ENTRY,   e->index++) \
    X(entry_no_term, KIND(APPEND_REQ),  ENTRY,   e->term = 0) \
    X(entry_term,    KIND(APPEND_REQ),  ENTRY,   e->term = m->term + 1) \
    X(entry_back,    KIND(APPEND_REQ),  ENTRY,   e->term = m->append.prev_term - 1) \
    X(entry_bytes,   KIND(APPEND_REQ),  ENTRY,   e->bytes = UINT32_MAX) \
    X(entry_no_kind, KIND(APPEND_REQ),  ENTRY,   e->kind = (enum consensus_entry_kind)0) \
    X(entry_kind,    KIND(APPEND_REQ),  ENTRY,   e->kind = (enum consensus_entry_kind)9) \
    X(entry_bare,    KIND(APPEND_REQ),  ENTRY,   e->kind = CONSENSUS_CONFIG; e->config = NULL) \
    X(entry_config,  KIND(APPEND_REQ),  ENTRY,   e->kind = CONSENSUS_CONFIG; \
                                                 e->config = config_of_nobody(e->index)) \
    X(entry_other,   KIND(APPEND_REQ),  ENTRY,   e->kind = CONSENSUS_CONFIG; \
                                                 e->config = config_of_nobody(e->index + 1)) \
    X(ack_beyond,    KIND(APPEND_RES),  IGNORED, m->ack.is_accepted = true; m->ack.match = HUGE) \
    X(echo_beyond,   KIND(HEARTBEAT_RES), IGNORED, m->alive.read_seq = UINT64_MAX) \
    X(next_term,     ASKS,              COUNTED, m->ask.next_term += 2) \
    X(last_term,     ASKS,              COUNTED, m->ask.last_term = m->term + 1) \
    X(snap_session,  STREAM,            COUNTED, m->snapshot.session = 0) \
    X(snap_index,    STREAM,            COUNTED, m->snapshot.snap.index = 0) \
    X(snap_far,      STREAM,            COUNTED, m->snapshot.snap.index = HUGE) \
    X(snap_no_term,  STREAM,            COUNTED, m->snapshot.snap.term = 0) \
    X(snap_term,     STREAM,            COUNTED, m->snapshot.snap.term = m->term + 1) \
    X(snap_empty,    STREAM,            COUNTED, m->snapshot.snap.bytes = 0) \
    X(snap_endless,  STREAM,            COUNTED, m->snapshot.snap.bytes = HUGE) \
    X(offer_bare,    KIND(SNAP_OFFER),  COUNTED, m->snapshot.config = NULL) \
    X(offer_later,   KIND(SNAP_OFFER),  COUNTED, m->snapshot.config = \
                                                 config_of_nobody(m->snapshot.snap.index + 1)) \
    X(offer_nobody,  KIND(SNAP_OFFER),  COUNTED, m->snapshot.config = config_of_nobody(1)) \
    X(chunk_empty,   KIND(SNAP_CHUNK),  COUNTED, m->snapshot.bytes = 0) \
    X(chunk_large,   KIND(SNAP_CHUNK),  COUNTED, m->snapshot.bytes = CONSENSUS_CHUNK_BYTES + 1) \
    X(chunk_behind,  KIND(SNAP_CHUNK),  COUNTED, m->snapshot.offset = m->snapshot.snap.bytes) \
    X(chunk_beyond,  KIND(SNAP_CHUNK),  COUNTED, m->snapshot.bytes = 1 + (uint32_t)( \
                                                 m->snapshot.snap.bytes - m->snapshot.offset)) \
    X(want_beyond,   KIND(SNAP_RES),    IGNORED, m->snapshot_res.answer = CONSENSUS_SNAP_WANT; \
                                                 m->snapshot_res.offset = HUGE) \
    X(done_beyond,   KIND(SNAP_RES),    IGNORED, m->snapshot_res.answer = CONSENSUS_SNAP_DONE; \
                                                 m->snapshot_res.match = HUGE)
/* The same; old seeds do not know them. */
#define FORGERIES_LATER(X) \
    X(stranger,      ANSWERS | KIND(SNAP_RES), IGNORED, m->from.b[5] ^= 1) \
    X(entry_strange, KIND(APPEND_REQ),  NEXT_ENTRY, m->append.commit = 0; \
                                                 e->kind = CONSENSUS_CONFIG; \
                                                 e->config = config_of_strangers(e->index)) \
    X(now_beyond,    KIND(TIMEOUT_NOW), IGNORED, m->timeout_now.last_index = HUGE) \
    X(now_of_other,  KIND(TIMEOUT_NOW), IGNORED, m->from.b[5] ^= 1) \
    X(now_removed,   KIND(MEMBER_RES),  IGNORED, m->removed.disk.b[5] ^= 1) \
    X(res_stale,     KIND(SNAP_RES),    IGNORED, m->snapshot_res.answer = CONSENSUS_SNAP_STALE)
#define FORGERIES(X) FORGERIES_FIRST(X) FORGERIES_LATER(X)
// clang-format on

enum proof {
    COUNTED,    /* the core says that it has dropped one */
    ENTRY,      /* the same; only with entries */
    LED,        /* the same; only by who follows a leader of this very term */
    IGNORED,    /* it may have been of no interest anyway */
    NEXT_ENTRY, /* one by who leads, and where it would be taken: counted */
};

static bool is_of_entry(enum proof proof)
{
    return proof == ENTRY || proof == NEXT_ENTRY;
}

static const struct consensus_config *config_of_nobody(uint64_t index)
{
    static struct consensus_config config;

    config.index = index;
    return &config;
}

/* Good in itself, but it follows from no other. */
static const struct consensus_config *config_of_strangers(uint64_t index)
{
    static struct consensus_config config = {
        .level = CONSENSUS_LEVEL_FIRST,
        .servers_count = 2,
        .servers = { { .id = { { 200 } }, .disk = { { 200 } }, .is_voter = true },
                     { .id = { { 201 } }, .disk = { { 201 } }, .is_voter = true } },
    };

    config.index = index;
    return &config;
}

#define FORGERY_FN(name, kinds, proof, ...)                                      \
    static void forge_##name(struct consensus_msg *m, struct consensus_entry *e) \
    {                                                                            \
        (void)m;                                                                 \
        (void)e;                                                                 \
        __VA_ARGS__;                                                             \
    }
FORGERIES(FORGERY_FN)
#undef FORGERY_FN

static const struct {
    const char *name;
    uint32_t kinds;
    enum proof proof;
    void (*apply)(struct consensus_msg *m, struct consensus_entry *e);
} forgeries[] = {
#define FORGERY_ROW(name, kinds, proof, ...) { #name, kinds, proof, forge_##name },
    FORGERIES(FORGERY_ROW)
#undef FORGERY_ROW
};

#define FORGERY_COUNT(...) +1
enum {
    FORGERIES_FIRST_COUNT = 0 FORGERIES_FIRST(FORGERY_COUNT),
    BOOT_FORGERIES_FIRST = 12,
    BOOT_FORGERIES = 14,
};
#undef FORGERY_COUNT

/* Does it fit this message? */
static bool fits(size_t i, const struct consensus_msg *m)
{
    return (forgeries[i].kinds >> m->kind & 1U) != 0 &&
           (!is_of_entry(forgeries[i].proof) || m->append.entries_count > 0) &&
           (forgeries[i].proof != NEXT_ENTRY || m->append.entries_count == 1);
}

uint32_t sim_forgery_for(const struct sim_message *m, uint64_t luck)
{
    size_t at = luck % FORGERIES_FIRST_COUNT;

    if (m->is_bootstrap) {
        return 1 + (uint32_t)(luck % BOOT_FORGERIES_FIRST);
    }
    while (!fits(at, &m->msg)) { /* the first fits them all */
        at = (at + 1) % FORGERIES_FIRST_COUNT;
    }
    return (uint32_t)at + 1;
}

uint32_t sim_forgery_even(const struct sim_message *m, uint64_t luck)
{
    uint64_t count = 0;

    if (m->is_bootstrap) {
        return 1 + (uint32_t)(luck % BOOT_FORGERIES);
    }
    for (size_t i = 0; i < MU_LEN(forgeries); i++) {
        count += fits(i, &m->msg);
    }
    uint64_t left = luck % count;
    size_t at = 0;

    while (!fits(at, &m->msg) || left-- > 0) {
        at++;
    }
    return (uint32_t)at + 1;
}

/* Of a term that is news it would tell the truth about that. The next entry is looked at only where
 * there is room for it, and a configuration contradicts none that is not known. */
bool sim_forgery_is_one(const struct sim_node *n, const struct sim_message *m)
{
    const struct consensus *c = n->core;
    bool is_led =
        !mu_id_is_none(&c->leader) && c->role != CONSENSUS_LEADER && m->msg.term == c->hard.term;

    enum proof proof = forgeries[m->forgery - 1].proof;
    bool is_next =
        m->msg.kind == CONSENSUS_APPEND_REQ && m->msg.append.prev_index == c->log.last_index &&
        m->msg.append.prev_term == consensus__log_last_term(c) && !consensus__is_resetting(c) &&
        consensus__write_has_room(c) && consensus__log_has_room(c, 1, 0, 0) &&
        consensus__config_below(c, c->log.last_index + 1) != NULL;

    return m->msg.term <= c->hard.term && (proof != LED || is_led) &&
           (proof != NEXT_ENTRY || (is_led && is_next));
}

void sim_receive_forged(struct sim_world *w, struct sim_node *n, uint32_t forgery,
                        struct consensus_msg *m, struct consensus_entry *entries)
{
    const struct consensus *c = n->core;

    sim_tell(w, n);
    uint64_t dropped = c->counters.messages_dropped;
    enum proof proof = forgeries[forgery - 1].proof;
    bool takes_none = c->is_stopped || c->death != CONSENSUS_ALIVE;

    MU_ASSERT(forgery <= MU_LEN(forgeries));
    forgeries[forgery - 1].apply(m,
                                 is_of_entry(proof) ? &entries[m->append.entries_count - 1] : NULL);
    w->is_forged = true;
    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_RECV, .msg = m });
    w->is_forged = false;
    if (!takes_none && proof != IGNORED && c->counters.messages_dropped == dropped) {
        sim_fail(w, "%s takes a message that cannot be: %s of kind %d", n->name,
                 forgeries[forgery - 1].name, (int)m->kind);
    }
}

/* -- bootstrap ----------------------------------------------------------------------------- */

enum boot_forgery {
    BOOT_RECEIVER = 1,
    BOOT_NOBODY,
    BOOT_ITSELF,
    BOOT_CROWD,
    BOOT_NO_CLUSTER,
    BOOT_EXPECT,
    BOOT_UNSORTED,
    BOOT_NO_DISK,
    BOOT_EMPTY,
    BOOT_OTHER_FIRST,
    BOOT_WHY,
    BOOT_DISK,
    BOOT_OTHER_CLUSTER,
    BOOT_PLACE,
};

/* Of a set the members' order, disks and first one are what their receivers check. What answers a
 * forged message says as that did: forged again it must not become true. */
void sim_forge_boot(struct consensus_bootstrap_msg *m, uint32_t forgery)
{
    struct consensus_bootstrap_set *set = &m->set;
    struct consensus_bootstrap_member first = set->members[0];

    MU_ASSERT(forgery <= BOOT_FORGERIES);
    switch ((enum boot_forgery)forgery) {
    case BOOT_RECEIVER: m->to.b[5]++; break;
    case BOOT_NOBODY: m->from = MU_ID_NONE; break;
    case BOOT_ITSELF: m->from = m->to; break;
    case BOOT_CROWD: set->count = CONSENSUS_VOTERS_MAX + 1; break;
    case BOOT_NO_CLUSTER: m->cluster = MU_ID_NONE; break;
    case BOOT_EXPECT: m->expect++; break;
    case BOOT_UNSORTED:
        set->members[0] = set->members[1];
        set->members[1] = first;
        break;
    case BOOT_NO_DISK: set->members[0].disk = MU_ID_NONE; break;
    case BOOT_EMPTY: set->count = 0; break;
    case BOOT_OTHER_FIRST: set->members[0].server.b[0] = 0; break;
    case BOOT_WHY: m->why = 99; break;
    case BOOT_DISK: m->from_disk.b[5]++; break;
    case BOOT_OTHER_CLUSTER:
        if (m->kind != BOOTSTRAP_PROMISE) {
            m->cluster.b[5]++;
        } else { /* one asked for a promise could not know */
            m->expect++;
        }
        break;
    case BOOT_PLACE: m->set.members[0].disk.b[5]++; break;
    }
}
