/* bootstrap.c - who forms the first cluster. The story is at the top of bootstrap.h.
 *
 *            lowest id, enough in sight      all answered        record durable
 *    FREE ----------------------> PINGING ---------------> BINDING ----------> PROMISING
 *     ^ |                            |                                          |    |
 *     | | PROMISE, no objection      | no longer the lowest     refused or late |    | all promised
 *     | v                            v                                          v    v
 *     | BINDING (as member) -> BOUND -- ADOPT --> ADOPTING --> ADOPTED   RELEASING  ADOPTING
 *     |                          | ABORT             (index 1 durable)          |
 *     '------ record cleared ----+--- RELEASING <-------------------------------'
 *    FREE, PINGING -- a leader has added this disk --> ADOPTING, without a set
 *    BOUND -- the same, after nobody decided for long --> ADOPTING, and silent about the promise
 *
 * Why it is safe: a set is adopted by anybody only after its coordinator has, the coordinator only
 * after *all* of the set have durably promised it, and a promise binds until the coordinator, which
 * has durably given the set up, says so. A server adopts once in the life of its disk.
 */
#include "consensus/bootstrap.h"

#include <string.h>

#include "base/assert.h"
#include "bootstrap_record.h"

#define BIT(i) (1U << (i))

enum { CANDIDATES_MAX = 64 }; /* servers in sight; more than that are not looked at */

enum phase { FREE, PINGING, BINDING, PROMISING, BOUND, RELEASING, ADOPTING, ADOPTED };

static const unsigned phases_next[] = {
    // clang-format off
    [FREE]      = BIT(PINGING) | BIT(BINDING) | BIT(BOUND) | BIT(RELEASING) | BIT(ADOPTING) | BIT(ADOPTED),
    [PINGING]   = BIT(FREE) | BIT(BINDING),
    [BINDING]   = BIT(PROMISING) | BIT(BOUND),
    [PROMISING] = BIT(RELEASING) | BIT(ADOPTING),
    [BOUND]     = BIT(RELEASING) | BIT(ADOPTING),
    [RELEASING] = BIT(FREE),
    [ADOPTING]  = BIT(ADOPTED),
    [ADOPTED]   = 0,
}; // clang-format on

struct consensus_bootstrap {
    struct consensus_bootstrap_options options;
    struct mu_rand rand;
    uint64_t now_ms;
    uint64_t act_at_ms;  /* when silence means something in this phase; UINT64_MAX: never */
    uint64_t ends_at_ms; /* when this phase has lasted too long */
    enum phase phase;
    enum consensus_bootstrap_why why;         /* as told last */
    struct mu_id cluster;                     /* adopted; none while fresh */
    struct consensus_bootstrap_record record; /* durable, or on its way */
    struct consensus_bootstrap_set asked;     /* PINGING */
    uint32_t answers;                         /* bits of the set: PONG or PROMISED */
    bool was_told;                            /* BOUND: that nobody decides */
    bool has_view;                            /* CANDIDATES came */
    struct mu_id broken;                      /* cluster of a promise that was not kept */
    struct consensus_bootstrap_candidate candidates[CANDIDATES_MAX];
    size_t candidates_count;

    /* scratch of a step */
    struct consensus_bootstrap_msg sends[BOOTSTRAP_SENDS_MAX];
    size_t sends_count;
    struct consensus_bootstrap_notice notices[BOOTSTRAP_NOTICES_MAX];
    size_t notices_count;
    bool has_record, has_adopt, has_join;
};

size_t consensus_bootstrap_bytes(void)
{
    return sizeof(struct consensus_bootstrap);
}

static void note(struct consensus_bootstrap *b, enum consensus_bootstrap_notice_kind kind,
                 enum consensus_bootstrap_why why, const struct mu_id *peer, uint64_t a, uint64_t n)
{
    if (b->notices_count < BOOTSTRAP_NOTICES_MAX) {
        b->notices[b->notices_count++] = (struct consensus_bootstrap_notice){
            kind, why, peer != NULL ? *peer : MU_ID_NONE, a, n,
        };
    }
}

/* -- sets ---------------------------------------------------------------------------------- */

static int order(const struct mu_id *a, const struct mu_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

/* The place of a server with this very disk in a set, or -1. */
static int place_of(const struct consensus_bootstrap_set *set, const struct mu_id *server,
                    const struct mu_id *disk)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (mu_id_eq(&set->members[i].server, server) && mu_id_eq(&set->members[i].disk, disk)) {
            return (int)i;
        }
    }
    return -1;
}

static void set_insert(struct consensus_bootstrap_set *set, const struct mu_id *server,
                       const struct mu_id *disk)
{
    uint32_t i = set->count;

    if (set->count == CONSENSUS_VOTERS_MAX) {
        if (order(server, &set->members[set->count - 1].server) > 0) {
            return; /* the smallest ids make the cluster; a further server is added later */
        }
        i--;
    } else {
        set->count++;
    }
    for (; i > 0 && order(server, &set->members[i - 1].server) < 0; i--) {
        set->members[i] = set->members[i - 1];
    }
    set->members[i] = (struct consensus_bootstrap_member){ *server, *disk };
}

/* Who has not said yet which disk it has, as when it just begins, cannot be of a set: nobody would
 * understand a message that names it. */
static bool is_fresh_peer(const struct consensus_bootstrap *b,
                          const struct consensus_bootstrap_candidate *k)
{
    return k->is_alive && mu_id_is_none(&k->cluster) && k->expect == b->options.expect &&
           !mu_id_is_none(&k->disk);
}

/* This server and all fresh ones in sight that expect the same number. */
static void set_in_sight(const struct consensus_bootstrap *b, struct consensus_bootstrap_set *out)
{
    memset(out, 0, sizeof *out);
    set_insert(out, &b->options.server, &b->options.disk);
    for (size_t i = 0; i < b->candidates_count && b->options.expect > 1; i++) {
        if (is_fresh_peer(b, &b->candidates[i])) {
            set_insert(out, &b->candidates[i].server, &b->candidates[i].disk);
        }
    }
}

static bool is_in_sight(const struct consensus_bootstrap *b,
                        const struct consensus_bootstrap_member *m)
{
    if (mu_id_eq(&m->server, &b->options.server)) {
        return mu_id_eq(&m->disk, &b->options.disk);
    }
    for (size_t i = 0; i < b->candidates_count; i++) {
        const struct consensus_bootstrap_candidate *k = &b->candidates[i];

        if (is_fresh_peer(b, k) && mu_id_eq(&k->server, &m->server) &&
            mu_id_eq(&k->disk, &m->disk)) {
            return true;
        }
    }
    return false;
}

/* What speaks against forming this set, led by `coordinator`. */
static enum consensus_bootstrap_why objection(const struct consensus_bootstrap *b,
                                              const struct consensus_bootstrap_set *set,
                                              const struct mu_id *coordinator)
{
    if (b->options.was_member) {
        return BOOTSTRAP_WAS_MEMBER;
    }
    if (b->options.expect == 0) {
        return BOOTSTRAP_NOT_EXPECTED;
    }
    if (b->options.awaits_view && !b->has_view) {
        return BOOTSTRAP_UNTOLD;
    }
    for (size_t i = 0; i < b->candidates_count; i++) {
        const struct consensus_bootstrap_candidate *k = &b->candidates[i];

        if (!mu_id_is_none(&k->cluster)) {
            return BOOTSTRAP_EXISTS; /* also a dead one: it may come back */
        }
        if (k->is_alive && k->expect != 0 && k->expect != b->options.expect) {
            return BOOTSTRAP_EXPECT; /* or two groups could form, each with what it expects */
        }
    }
    if (set->count < b->options.expect) {
        return BOOTSTRAP_TOO_FEW;
    }
    for (size_t i = 0; i < b->candidates_count && b->options.expect > 1; i++) {
        if (is_fresh_peer(b, &b->candidates[i]) &&
            order(&b->candidates[i].server, coordinator) < 0) {
            return BOOTSTRAP_SMALLER;
        }
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (!is_in_sight(b, &set->members[i])) {
            return BOOTSTRAP_VIEW;
        }
    }
    return BOOTSTRAP_FREE;
}

/* -- effects ------------------------------------------------------------------------------- */

static struct consensus_bootstrap_msg *send(struct consensus_bootstrap *b,
                                            enum consensus_bootstrap_msg_kind kind,
                                            const struct mu_id *to, const struct mu_id *cluster)
{
    MU_ASSERT(b->sends_count < BOOTSTRAP_SENDS_MAX); /* a step answers one and tells all twice */
    struct consensus_bootstrap_msg *m = &b->sends[b->sends_count++];

    memset(m, 0, sizeof *m);
    m->kind = kind;
    m->from = b->options.server;
    m->from_disk = b->options.disk;
    m->to = *to;
    m->cluster = *cluster;
    m->expect = b->options.expect;
    return m;
}

/* To the others of a set, except those whose bit is in `except`. */
static void send_all(struct consensus_bootstrap *b, enum consensus_bootstrap_msg_kind kind,
                     const struct consensus_bootstrap_set *set, const struct mu_id *cluster,
                     uint32_t except)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (mu_id_eq(&set->members[i].server, &b->options.server) || (except & BIT(i))) {
            continue;
        }
        struct consensus_bootstrap_msg *m = send(b, kind, &set->members[i].server, cluster);

        if (kind == BOOTSTRAP_PING || kind == BOOTSTRAP_PROMISE) {
            m->set = *set;
        }
        if (kind == BOOTSTRAP_ASK) {
            m->coordinator = b->record.coordinator;
        }
    }
}

static void phase_move(struct consensus_bootstrap *b, enum phase to, uint64_t act_in_ms)
{
    MU_ASSERT(phases_next[b->phase] & BIT(to));
    b->phase = to;
    b->act_at_ms = act_in_ms == UINT64_MAX ? UINT64_MAX : b->now_ms + act_in_ms;
    b->ends_at_ms = b->now_ms + b->options.patience_ms;
    b->answers = 0;
    b->was_told = false;
}

static void record_write(struct consensus_bootstrap *b)
{
    MU_ASSERT(!b->has_record);
    b->has_record = true;
}

static void release(struct consensus_bootstrap *b)
{
    phase_move(b, RELEASING, UINT64_MAX);
    b->record.is_promised = false; /* cluster and set stay in memory: whom to tell */
    record_write(b);
}

static void adopt(struct consensus_bootstrap *b)
{
    phase_move(b, ADOPTING, UINT64_MAX);
    b->has_adopt = true;
}

static bool is_coordinator(const struct consensus_bootstrap *b)
{
    return mu_id_eq(&b->record.coordinator, &b->options.server);
}

/* -- what time brings ---------------------------------------------------------------------- */

static uint32_t bits_count(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits);
}

static bool has_all(const struct consensus_bootstrap_set *set, uint32_t answers)
{
    return answers == BIT(set->count) - 1;
}

/* The coordinator binds itself first, durably, so that its word about the set is its record's. */
static void bind_set(struct consensus_bootstrap *b, uint32_t members)
{
    b->record = (struct consensus_bootstrap_record){ .is_promised = true };
    b->record.cluster = mu_id_drawn(&b->rand);
    b->record.coordinator = b->options.server;
    for (uint32_t i = 0; i < b->asked.count; i++) {
        if (members & BIT(i)) {
            b->record.set.members[b->record.set.count++] = b->asked.members[i];
        }
    }
    note(b, BOOTSTRAP_N_PROPOSED, BOOTSTRAP_FREE, NULL, b->record.set.count, 0);
    phase_move(b, BINDING, UINT64_MAX);
    record_write(b);
}

/* A server for itself has nobody to ask: its adoption is the decision. */
static void form_alone(struct consensus_bootstrap *b, const struct consensus_bootstrap_set *set)
{
    b->record = (struct consensus_bootstrap_record){ .is_promised = true };
    b->record.cluster = mu_id_drawn(&b->rand);
    b->record.coordinator = b->options.server;
    b->record.set = *set;
    adopt(b);
}

static void run_free(struct consensus_bootstrap *b)
{
    struct consensus_bootstrap_set set;

    set_in_sight(b, &set);
    enum consensus_bootstrap_why why = objection(b, &set, &b->options.server);

    if (why != b->why) {
        b->why = why;
        note(b, BOOTSTRAP_N_WAITING, why, NULL, set.count, b->options.expect);
    }
    if (why != BOOTSTRAP_FREE || b->now_ms < b->act_at_ms) {
        return;
    }
    if (b->options.expect == 1) {
        form_alone(b, &set);
        return;
    }
    b->asked = set;
    phase_move(b, PINGING, 0);
}

/* Everybody in sight is asked whether they would; who is silent for too long is left out. */
static void run_pinging(struct consensus_bootstrap *b)
{
    struct consensus_bootstrap_set set;

    set_in_sight(b, &set);
    if (objection(b, &set, &b->options.server) != BOOTSTRAP_FREE) {
        phase_move(b, FREE, 0);
        run_free(b);
        return;
    }
    if (memcmp(&set, &b->asked, sizeof set) != 0) { /* somebody came or went: ask anew */
        b->asked = set;
        b->answers = 0;
        b->act_at_ms = b->now_ms;
        b->ends_at_ms = b->now_ms + b->options.patience_ms;
    }
    b->answers |= BIT(0); /* itself: the lowest */
    bool is_late = b->now_ms >= b->ends_at_ms;

    if (has_all(&b->asked, b->answers) ||
        (is_late && bits_count(b->answers) >= b->options.expect)) {
        bind_set(b, b->answers);
        return;
    }
    if (b->now_ms >= b->act_at_ms) {
        send_all(b, BOOTSTRAP_PING, &b->asked, &MU_ID_NONE, b->answers);
        b->act_at_ms = b->now_ms + b->options.retry_ms;
    }
}

static void run_promising(struct consensus_bootstrap *b)
{
    int self = place_of(&b->record.set, &b->options.server, &b->options.disk);

    MU_ASSERT(self >= 0);
    b->answers |= BIT(self);
    if (has_all(&b->record.set, b->answers)) {
        adopt(b);
        return;
    }
    if (b->now_ms >= b->ends_at_ms) {
        release(b);
        return;
    }
    if (b->now_ms >= b->act_at_ms) {
        send_all(b, BOOTSTRAP_PROMISE, &b->record.set, &b->record.cluster, b->answers);
        b->act_at_ms = b->now_ms + b->options.retry_ms;
    }
}

/* Anybody who has adopted it, and the coordinator, can free this server; nobody else. */
static void run_bound(struct consensus_bootstrap *b)
{
    if (b->now_ms >= b->act_at_ms) {
        send_all(b, BOOTSTRAP_ASK, &b->record.set, &b->record.cluster, 0);
        b->act_at_ms = b->now_ms + 2 * (uint64_t)b->options.retry_ms;
    }
    if (b->now_ms >= b->ends_at_ms + 4 * (uint64_t)b->options.patience_ms && !b->was_told) {
        b->was_told = true;
        note(b, BOOTSTRAP_N_UNDECIDED, BOOTSTRAP_BOUND, &b->record.coordinator, 0, 0);
    }
}

static void run(struct consensus_bootstrap *b)
{
    switch (b->phase) {
    case FREE: run_free(b); break;
    case PINGING:
    case PROMISING:
    case BOUND:
    case BINDING:
    case RELEASING:
    case ADOPTING:
    case ADOPTED: break;
    }
    switch (b->phase) { /* FREE may just have become PINGING */
    case PINGING: run_pinging(b); break;
    case PROMISING: run_promising(b); break;
    case BOUND: run_bound(b); break;
    case FREE:
    case BINDING:
    case RELEASING:
    case ADOPTING:
    case ADOPTED: break;
    }
}

/* -- messages ------------------------------------------------------------------------------ */

static void refuse(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m,
                   enum consensus_bootstrap_why why)
{
    send(b, BOOTSTRAP_REFUSED, &m->from, &m->cluster)->why = why;
}

/* What speaks against the set of a PING or PROMISE, here and now. */
static enum consensus_bootstrap_why judge(const struct consensus_bootstrap *b,
                                          const struct consensus_bootstrap_msg *m)
{
    if (b->phase == ADOPTED || b->phase == ADOPTING) {
        return BOOTSTRAP_EXISTS;
    }
    if (b->phase != FREE && b->phase != PINGING) {
        return BOOTSTRAP_BOUND;
    }
    if (m->expect != b->options.expect) {
        return BOOTSTRAP_EXPECT;
    }
    return objection(b, &m->set, &m->from);
}

static bool names_us(const struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    return consensus__bootstrap_set_is_sane(&m->set) &&
           place_of(&m->set, &m->from, &m->from_disk) == 0 &&
           place_of(&m->set, &b->options.server, &b->options.disk) > 0;
}

static void on_ping(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    if (!names_us(b, m)) {
        return;
    }
    enum consensus_bootstrap_why why = judge(b, m);

    if (why != BOOTSTRAP_FREE) {
        refuse(b, m, why);
        return;
    }
    send(b, BOOTSTRAP_PONG, &m->from, &MU_ID_NONE);
}

static void on_pong(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    int i = place_of(&b->asked, &m->from, &m->from_disk);

    if (b->phase == PINGING && i >= 0 && m->expect == b->options.expect && !(b->answers & BIT(i))) {
        uint64_t grace_at = b->now_ms + 2 * (uint64_t)b->options.retry_ms;

        b->answers |= BIT(i); /* the views are growing together: give the others a moment */
        b->ends_at_ms = grace_at > b->ends_at_ms ? grace_at : b->ends_at_ms;
    }
}

static void on_promise(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    if (!names_us(b, m) || mu_id_is_none(&m->cluster)) {
        return;
    }
    if (b->record.is_promised && mu_id_eq(&b->record.cluster, &m->cluster)) {
        if (b->phase == BOUND) { /* durable already: the answer was lost */
            send(b, BOOTSTRAP_PROMISED, &m->from, &m->cluster);
        }
        return;
    }
    enum consensus_bootstrap_why why = judge(b, m);

    if (why != BOOTSTRAP_FREE) {
        refuse(b, m, why);
        return;
    }
    if (b->phase == PINGING) {
        phase_move(b, FREE, 0);
    }
    b->record = (struct consensus_bootstrap_record){
        .is_promised = true,
        .cluster = m->cluster,
        .coordinator = m->from,
        .set = m->set,
    };
    phase_move(b, BINDING, UINT64_MAX);
    record_write(b);
}

static void on_promised(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    int i = place_of(&b->record.set, &m->from, &m->from_disk);

    if (i < 0 || !mu_id_eq(&b->record.cluster, &m->cluster)) {
        return;
    }
    if (b->phase == PROMISING) {
        b->answers |= BIT(i);
    } else if (b->phase == ADOPTED) {
        send(b, BOOTSTRAP_ADOPT, &m->from, &m->cluster);
    }
}

static void on_refused(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    enum consensus_bootstrap_why why =
        m->why <= BOOTSTRAP_UNTOLD ? (enum consensus_bootstrap_why)m->why : BOOTSTRAP_FREE;

    if (b->phase == PROMISING && mu_id_eq(&b->record.cluster, &m->cluster) &&
        place_of(&b->record.set, &m->from, &m->from_disk) >= 0) {
        note(b, BOOTSTRAP_N_REFUSED, why, &m->from, 0, 0);
        release(b);
    }
}

/* Is this the word of a member of the set this server is bound to, about that set? */
static bool is_verdict(const struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    return b->phase == BOUND && mu_id_eq(&b->record.cluster, &m->cluster) &&
           place_of(&b->record.set, &m->from, &m->from_disk) >= 0;
}

static void on_adopt(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    if (is_verdict(b, m)) {
        adopt(b);
    }
}

static void on_abort(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    if (is_verdict(b, m)) {
        note(b, BOOTSTRAP_N_RELEASED, BOOTSTRAP_FREE, &m->from, 0, 0);
        release(b);
    }
}

/* ADOPT by whoever has adopted it. ABORT by its coordinator when that knows nothing of it (presumed
 * abort: it would, durably), and by whoever belongs to another cluster now: it was released from
 * the set by its coordinator, or never promised it and never will. Who broke its promise knows
 * nothing. Else the question stays open. */
static void on_ask(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    if (mu_id_is_none(&m->cluster) || mu_id_eq(&m->cluster, &b->broken)) {
        return;
    }
    if (b->phase == ADOPTED) {
        send(b, mu_id_eq(&b->cluster, &m->cluster) ? BOOTSTRAP_ADOPT : BOOTSTRAP_ABORT, &m->from,
             &m->cluster);
        return;
    }
    bool knows_it =
        mu_id_eq(&b->record.cluster, &m->cluster) && b->phase != FREE && b->phase != PINGING;

    if (mu_id_eq(&m->coordinator, &b->options.server) && !knows_it) {
        send(b, BOOTSTRAP_ABORT, &m->from, &m->cluster);
    }
}

static void on_recv(struct consensus_bootstrap *b, const struct consensus_bootstrap_msg *m)
{
    if (!mu_id_eq(&m->to, &b->options.server) || mu_id_eq(&m->from, &b->options.server) ||
        mu_id_is_none(&m->from) || m->set.count > CONSENSUS_VOTERS_MAX) {
        return;
    }
    switch (m->kind) { /* no default: a new kind must be placed here */
    case BOOTSTRAP_PING: on_ping(b, m); break;
    case BOOTSTRAP_PONG: on_pong(b, m); break;
    case BOOTSTRAP_PROMISE: on_promise(b, m); break;
    case BOOTSTRAP_PROMISED: on_promised(b, m); break;
    case BOOTSTRAP_REFUSED: on_refused(b, m); break;
    case BOOTSTRAP_ADOPT: on_adopt(b, m); break;
    case BOOTSTRAP_ABORT: on_abort(b, m); break;
    case BOOTSTRAP_ASK: on_ask(b, m); break;
    }
}

/* -- what the disk says -------------------------------------------------------------------- */

static void on_recorded(struct consensus_bootstrap *b)
{
    MU_ASSERT(b->phase == BINDING || b->phase == RELEASING);
    if (b->phase == RELEASING) {
        struct consensus_bootstrap_record was = b->record;
        bool decided = is_coordinator(b);

        b->record = (struct consensus_bootstrap_record){ 0 };
        if (decided) { /* durably given up: now the others may hear it */
            note(b, BOOTSTRAP_N_ABORTED, BOOTSTRAP_FREE, NULL, was.set.count, 0);
            send_all(b, BOOTSTRAP_ABORT, &was.set, &was.cluster, 0);
        }
        phase_move(b, FREE, b->options.retry_ms + mu_rand_below(&b->rand, b->options.retry_ms));
        return;
    }
    if (is_coordinator(b)) {
        phase_move(b, PROMISING, 0);
        return;
    }
    note(b, BOOTSTRAP_N_PROMISED, BOOTSTRAP_FREE, &b->record.coordinator, b->record.set.count, 0);
    phase_move(b, BOUND, 2 * (uint64_t)b->options.retry_ms);
    send(b, BOOTSTRAP_PROMISED, &b->record.coordinator, &b->record.cluster);
}

static void on_adopted(struct consensus_bootstrap *b)
{
    MU_ASSERT(b->phase == ADOPTING);
    b->cluster = b->record.cluster;
    note(b, b->record.set.count > 0 ? BOOTSTRAP_N_ADOPTED : BOOTSTRAP_N_JOINED, BOOTSTRAP_FREE,
         NULL, b->record.set.count, 0);
    phase_move(b, ADOPTED, UINT64_MAX);
    if (is_coordinator(b)) {
        send_all(b, BOOTSTRAP_ADOPT, &b->record.set, &b->cluster, 0);
    }
}

/* A promise binds until its set is decided. If it is that set which invites, somebody has adopted
 * it: ask at once. But where nobody decides for long, a cluster that is there goes before one that
 * was asked for: the coordinator may be gone for good, or everybody of the set whose word counts
 * may have another disk by now. That breaks the promise and harms nothing: this server never acted
 * for its set, in which it is one that lost its disk. */
static void on_invited(struct consensus_bootstrap *b, const struct mu_id *cluster)
{
    if (mu_id_is_none(cluster)) {
        return;
    }
    if (b->phase == BOUND && mu_id_eq(cluster, &b->record.cluster)) {
        b->act_at_ms = b->now_ms;
        return;
    }
    if (b->phase == BOUND && b->was_told) {
        b->broken = b->record.cluster;
        note(b, BOOTSTRAP_N_BROKEN, BOOTSTRAP_BOUND, &b->record.coordinator, 0, 0);
    } else if (b->phase == PINGING) {
        phase_move(b, FREE, 0);
    } else if (b->phase != FREE) {
        return;
    }
    b->record = (struct consensus_bootstrap_record){ .cluster = *cluster };
    phase_move(b, ADOPTING, UINT64_MAX);
    b->has_join = true;
}

static void on_candidates(struct consensus_bootstrap *b,
                          const struct consensus_bootstrap_candidate *at, size_t count)
{
    b->has_view = true;
    b->candidates_count = 0;
    for (size_t i = 0; i < count && b->candidates_count < CANDIDATES_MAX; i++) {
        if (!mu_id_eq(&at[i].server, &b->options.server) && !mu_id_is_none(&at[i].server)) {
            b->candidates[b->candidates_count++] = at[i];
        }
        if (b->phase == BOUND && mu_id_eq(&at[i].cluster, &b->record.cluster)) {
            b->act_at_ms = b->now_ms; /* somebody has adopted it: ask at once */
        }
    }
}

/* -- the step ------------------------------------------------------------------------------ */

void consensus_bootstrap_init(struct consensus_bootstrap *b,
                              const struct consensus_bootstrap_options *options,
                              const struct consensus_bootstrap_record *record,
                              const struct mu_id *cluster, uint64_t now_ms)
{
    MU_ASSERT(options->retry_ms > 0 && options->patience_ms >= options->retry_ms);
    b->options = *options;
    mu_rand_seed(&b->rand, options->seed);
    b->now_ms = now_ms;
    b->act_at_ms = now_ms;
    b->phase = FREE;
    if (!mu_id_is_none(cluster)) {
        b->cluster = *cluster;
        if (record->is_promised && !mu_id_eq(&record->cluster, cluster)) {
            b->broken = record->cluster;
        }
        phase_move(b, ADOPTED, UINT64_MAX);
    } else if (record->is_promised) {
        b->record = *record;
        /* With its own promise and no adoption a coordinator knows that nobody has adopted: it
         * gives the set up and begins anew. A member is bound, and asks. */
        phase_move(b, is_coordinator(b) ? RELEASING : BOUND, 0);
    }
}

static uint64_t next_wake(const struct consensus_bootstrap *b)
{
    uint64_t at = b->act_at_ms;

    switch (b->phase) {
    case FREE: return b->why == BOOTSTRAP_FREE ? at : UINT64_MAX;
    case PINGING:
    case PROMISING: return b->ends_at_ms > b->now_ms && b->ends_at_ms < at ? b->ends_at_ms : at;
    case BOUND: return at;
    case BINDING:
    case RELEASING:
    case ADOPTING:
    case ADOPTED: break;
    }
    return UINT64_MAX;
}

void consensus_bootstrap_step(struct consensus_bootstrap *b,
                              const struct consensus_bootstrap_event *ev,
                              struct consensus_bootstrap_effects *fx)
{
    MU_ASSERT(ev->now_ms >= b->now_ms);
    b->now_ms = ev->now_ms;
    b->sends_count = 0;
    b->notices_count = 0;
    b->has_record = false;
    b->has_adopt = false;
    b->has_join = false;
    if (b->phase == RELEASING && b->act_at_ms != UINT64_MAX) { /* found at start */
        b->act_at_ms = UINT64_MAX;
        b->record.is_promised = false;
        record_write(b);
    }
    switch (ev->kind) { /* no default: a new kind must be placed here */
    case BOOTSTRAP_EV_WAKE: break;
    case BOOTSTRAP_EV_CANDIDATES: on_candidates(b, ev->candidates.at, ev->candidates.count); break;
    case BOOTSTRAP_EV_RECV: on_recv(b, ev->msg); break;
    case BOOTSTRAP_EV_RECORDED: on_recorded(b); break;
    case BOOTSTRAP_EV_ADOPTED: on_adopted(b); break;
    case BOOTSTRAP_EV_INVITED: on_invited(b, &ev->cluster); break;
    }
    run(b);
    *fx = (struct consensus_bootstrap_effects){
        .record = b->has_record ? &b->record : NULL,
        .sends = b->sends,
        .sends_count = b->sends_count,
        .notices = b->notices,
        .notices_count = b->notices_count,
        .adopt = b->has_adopt ? &b->record.set : NULL,
        .is_join = b->has_join,
        .adopt_cluster = b->record.cluster,
        .is_coordinator = is_coordinator(b),
        .wake_at_ms = next_wake(b),
    };
}
