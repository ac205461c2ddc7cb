/* install.c - the follower's side: a snapshot taken in place of the log.
 *
 *   NONE -> OPENS -> RECEIVES -> IMPORTS -> IMPORTED -> RESETS -> SWITCHES -> NONE
 *             ^ offer   | chunks     |         |          |          |
 *             '---------'            '---------+-> NONE: the log brought it meanwhile, or it failed
 *                                              '-> from here on there is no way back
 *
 * New state complete and flushed, then the log begins anew, then the state is switched: a crash
 * between any two finds either the old log with the old state, or the new log with a new state that
 * lies there complete (O10, row 47). Between the last two, log and state do not fit: nothing is
 * applied and no entry is taken. Votes go on all the while, since term, vote and last entry are
 * known; but it does not campaign.
 *
 * An offer of what is committed here, or stands in the log, is answered with what is here: the
 * leader could not know. Nothing is ever cut for it (rows 42, 43).
 *
 * A server whose state is lost (spec 2.16) takes any: if its log holds that entry the log stays as
 * it is, and IMPORTED leads to SWITCHES at once.
 */
#include "base/assert.h"
#include "core.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool consensus__is_installing(const struct consensus *c)
{
    return c->install.state >= CONSENSUS_INSTALL_IMPORTS;
}

bool consensus__is_resetting(const struct consensus *c)
{
    return c->install.state >= CONSENSUS_INSTALL_RESETS;
}

/* -- answers ------------------------------------------------------------------------------- */

static struct consensus_msg *answer(struct consensus *c, const struct mu_id *to, uint64_t session,
                                    enum consensus_snap_answer what)
{
    struct consensus_msg *m = consensus__send(c, CONSENSUS_SNAP_RES, to);

    m->snapshot_res.session = session;
    m->snapshot_res.answer = what;
    return m;
}

static void want(struct consensus *c)
{
    const struct consensus__install *i = &c->install;

    if (!mu_id_is_none(&i->from) && !c->is_stopped && consensus__send_has_room(c)) {
        answer(c, &i->from, i->session, CONSENSUS_SNAP_WANT)->snapshot_res.offset = i->stored;
    }
}

/* As an ack: once the term it is said in is durable (O3). What it names is. */
static void done(struct consensus *c, const struct mu_id *to, uint64_t session)
{
    if (c->is_stopped) {
        return;
    }
    consensus__reply_when(c, &(struct consensus__pending){
                                 .seq = c->writes.term_seq,
                                 .kind = CONSENSUS_SNAP_RES,
                                 .to = *to,
                                 .round_or_session = session,
                                 .match = min_u64(c->commit, c->writes.stable),
                             });
}

static void leave(struct consensus *c, bool abandons)
{
    if (abandons) {
        consensus__snap_order(c, CONSENSUS_SNAP_ABANDON, &c->install.snap);
    }
    c->install = (struct consensus__install){ .state = CONSENSUS_INSTALL_NONE };
}

static void failed(struct consensus *c, enum consensus_snap_fault fault)
{
    consensus__note(c, CONSENSUS_T_INSTALL_FAILED, &c->install.from, c->install.snap.index, fault,
                    0);
    c->counters.snapshots_failed++;
    if (!mu_id_is_none(&c->install.from) && !c->is_stopped && consensus__send_has_room(c)) {
        answer(c, &c->install.from, c->install.session, CONSENSUS_SNAP_FAILED)->snapshot_res.fault =
            fault;
    }
    leave(c, false);
}

/* -- what the leader says ------------------------------------------------------------------ */

static bool is_sane(const struct consensus_msg *m)
{
    const struct consensus_snap *s = &m->snapshot.snap;

    return m->snapshot.session != 0 && s->index > 0 && s->index < UINT64_MAX / 2 && s->term > 0 &&
           s->term <= m->term && s->bytes > 0 && s->bytes < UINT64_MAX / 2;
}

static bool is_sane_offer(const struct consensus_msg *m)
{
    const struct consensus_config *config = m->snapshot.config;

    return is_sane(m) && config != NULL && config->index <= m->snapshot.snap.index &&
           consensus_config_check(config, NULL) == MU_OK;
}

static bool is_sane_chunk(const struct consensus_msg *m)
{
    return is_sane(m) && m->snapshot.bytes > 0 && m->snapshot.bytes <= CONSENSUS_CHUNK_BYTES &&
           m->snapshot.offset < m->snapshot.snap.bytes &&
           m->snapshot.bytes <= m->snapshot.snap.bytes - m->snapshot.offset;
}

/* False: it is not to be handled. */
static bool is_heard(struct consensus *c, const struct consensus_msg *m, bool is_sane)
{
    if (!is_sane) {
        consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
        c->counters.messages_dropped++;
        return false;
    }
    if (m->term < c->hard.term) {
        (void)answer(c, &m->from, m->snapshot.session, CONSENSUS_SNAP_STALE);
        return false;
    }
    return consensus__follow(c, m);
}

/* Is the state it offers one that the log here leads to anyway? Then what is in the log up to there
 * is committed, which is all that was missing. */
static bool is_needless(struct consensus *c, const struct consensus_snap *snap)
{
    if (c->lacks_state) {
        return false; /* the log leads there from a state that is lost */
    }
    if (snap->index > c->commit && consensus__log_has(c, snap->index, snap->term)) {
        consensus__commit_to(c, snap->index);
    }
    return snap->index <= c->commit;
}

static void begin(struct consensus *c, const struct consensus_msg *m)
{
    c->install = (struct consensus__install){
        .snap = m->snapshot.snap,
        .config = *m->snapshot.config,
        .state = CONSENSUS_INSTALL_OPENS,
    };
    c->install.snap.attempt = ++c->install_attempts;
    consensus__snap_order(c, CONSENSUS_SNAP_OPEN, &c->install.snap);
    consensus__note(c, CONSENSUS_T_INSTALL_BEGINS, &m->from, m->snapshot.snap.index,
                    m->snapshot.snap.bytes, 0);
}

void consensus__on_snap_offer(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus__install *i = &c->install;

    if (!is_heard(c, m, is_sane_offer(m)) || consensus__level_ends(c, m->snapshot.config)) {
        return;
    }
    if (consensus__is_resetting(c)) {
        i->from = m->from; /* whoever leads by then is told */
        i->session = m->snapshot.session;
        want(c);
        return;
    }
    if (is_needless(c, &m->snapshot.snap)) {
        consensus__note(c, CONSENSUS_T_INSTALL_NOT, &m->from, m->snapshot.snap.index, 0, 0);
        if (i->state != CONSENSUS_INSTALL_NONE && i->snap.index <= c->commit) {
            leave(c, true);
        }
        done(c, &m->from, m->snapshot.session);
        return;
    }
    bool is_other = !consensus_snap_eq(&i->snap, &m->snapshot.snap);

    if (is_other && consensus__is_installing(c)) {
        return; /* what is being imported was committed too: it may be enough */
    }
    if (m->snapshot.snap.index < c->log.base_index) {
        return; /* no log leads on from there: the leader has only just begun to apply */
    }
    if (is_other || i->state == CONSENSUS_INSTALL_NONE) {
        begin(c, m);
    }
    i->from = m->from;
    i->session = m->snapshot.session;
    if (i->state != CONSENSUS_INSTALL_OPENS) {
        want(c);
    }
}

void consensus__on_snap_chunk(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus__install *i = &c->install;

    if (!is_heard(c, m, is_sane_chunk(m)) || i->state != CONSENSUS_INSTALL_RECEIVES ||
        !consensus_snap_eq(&i->snap, &m->snapshot.snap)) {
        return;
    }
    i->from = m->from;
    i->session = m->snapshot.session;
    if (m->snapshot.offset != i->taken) {
        return; /* one before it was lost, or this one came twice: the leader will ask */
    }
    i->taken += m->snapshot.bytes;
    consensus__snap_order(c, CONSENSUS_SNAP_STORE, &i->snap);
    c->snaps[c->snaps_count - 1].offset = m->snapshot.offset;
    c->snaps[c->snaps_count - 1].bytes = m->snapshot.bytes;
    c->snaps[c->snaps_count - 1].data = m->snapshot.data;
}

/* -- what the owner says ------------------------------------------------------------------- */

static void on_held(struct consensus *c, uint64_t offset)
{
    struct consensus__install *i = &c->install;

    MU_ASSERT(offset <= i->snap.bytes);
    i->stored = offset;
    i->taken = i->taken > offset ? i->taken : offset;
    i->state = CONSENSUS_INSTALL_RECEIVES;
    if (offset == i->snap.bytes) {
        i->state = CONSENSUS_INSTALL_IMPORTS;
        consensus__snap_order(c, CONSENSUS_SNAP_IMPORT, &i->snap);
    }
    consensus__note(c, CONSENSUS_T_INSTALL_GOES_ON, NULL, i->snap.index, offset, 0);
    want(c);
}

static void on_switched(struct consensus *c)
{
    struct consensus__install *i = &c->install;
    struct mu_id from = i->from;
    uint64_t session = i->session;

    c->applied = c->durable_applied = i->snap.index;
    c->lacks_state = false;
    consensus__sums_copied(c);
    c->counters.snapshots_installed++;
    consensus__note(c, CONSENSUS_T_INSTALLED, NULL, i->snap.index, 0, 0);
    leave(c, false);
    if (!mu_id_is_none(&from)) {
        done(c, &from, session);
    }
}

/* Which answer belongs to which state; any other is to an order that was given up. So is one of an
 * earlier attempt at the same stream: behind its orders lie those of what was taken in between. */
void consensus__on_install(struct consensus *c, const struct consensus_event *ev)
{
    struct consensus__install *i = &c->install;

    if (i->state == CONSENSUS_INSTALL_NONE || !consensus_snap_eq(&i->snap, &ev->snapshot.snap) ||
        i->snap.attempt != ev->snapshot.snap.attempt) {
        return;
    }
    if (ev->snapshot.what == CONSENSUS_SNAP_OPENED && i->state == CONSENSUS_INSTALL_OPENS) {
        on_held(c, ev->snapshot.offset);
    } else if (ev->snapshot.what == CONSENSUS_SNAP_STORED &&
               i->state == CONSENSUS_INSTALL_RECEIVES && ev->snapshot.offset > i->stored) {
        on_held(c, ev->snapshot.offset);
    } else if (ev->snapshot.what == CONSENSUS_SNAP_IMPORTED &&
               i->state == CONSENSUS_INSTALL_IMPORTS) {
        i->state = CONSENSUS_INSTALL_IMPORTED;
    } else if (ev->snapshot.what == CONSENSUS_SNAP_SWITCHED &&
               i->state == CONSENSUS_INSTALL_SWITCHES) {
        on_switched(c);
    } else if (ev->snapshot.what == CONSENSUS_SNAP_LOST && i->state <= CONSENSUS_INSTALL_IMPORTS) {
        failed(c, ev->snapshot.fault);
    }
}

/* -- the way through ----------------------------------------------------------------------- */

/* The whole log goes, also what lies above: it does not follow from the new state (row 41). */
static void reset(struct consensus *c)
{
    struct consensus__install *i = &c->install;

    consensus__note(c, CONSENSUS_T_INSTALL_RESETS, &i->from, i->snap.index, i->snap.term, 0);
    if (c->role == CONSENSUS_PRE_CANDIDATE || c->role == CONSENSUS_CANDIDATE) {
        consensus__role_move(c, CONSENSUS_FOLLOWER); /* it stood for a log that goes */
        consensus__timer_reset(c);
    }
    consensus__log_reset(c, i->snap.index, i->snap.term);
    c->commit = i->snap.index;
    c->answered = i->snap.index;
    c->lost_next = 1;
    c->lost_last = 0;
    c->pending_count = 0; /* acks of a log that is no more */
    consensus__config_reset(c, &i->config);
    i->state = CONSENSUS_INSTALL_RESETS;
    i->reset_seq = 0;
    consensus__write_reset(c);
}

/* The log holds the entry that the state is of: it goes on behind it, and only the state is
 * switched. Where it does not, it begins anew, as for anybody else. */
static bool is_kept(const struct consensus *c)
{
    const struct consensus_snap *snap = &c->install.snap;

    return c->lacks_state && consensus__log_has(c, snap->index, snap->term);
}

static void keep(struct consensus *c)
{
    struct consensus__install *i = &c->install;

    if (c->writes.stable < i->snap.index) {
        return; /* what is applied is durable here (O7) */
    }
    if (i->snap.index > c->commit) {
        consensus__commit_to(c, i->snap.index);
    }
    i->state = CONSENSUS_INSTALL_SWITCHES;
    consensus__snap_order(c, CONSENSUS_SNAP_SWITCH, &i->snap);
}

void consensus__install_run(struct consensus *c)
{
    struct consensus__install *i = &c->install;

    if (i->state != CONSENSUS_INSTALL_NONE && i->state <= CONSENSUS_INSTALL_IMPORTS &&
        i->snap.index <= c->commit && !c->lacks_state) {
        leave(c, true); /* the log has brought it */
    } else if (i->state == CONSENSUS_INSTALL_IMPORTED && is_needless(c, &i->snap)) {
        struct consensus__install was = *i;

        leave(c, true);
        if (!mu_id_is_none(&was.from)) {
            done(c, &was.from, was.session);
        }
    } else if (i->state == CONSENSUS_INSTALL_IMPORTED && is_kept(c)) {
        keep(c);
    } else if (i->state == CONSENSUS_INSTALL_IMPORTED && consensus__tickets_are_told(c)) {
        MU_ASSERT(c->role != CONSENSUS_LEADER); /* it has everything that was ever committed (I4) */
        reset(c);
    } else if (i->state == CONSENSUS_INSTALL_RESETS && i->reset_seq != 0 &&
               c->writes.persisted_seq >= i->reset_seq) {
        i->state = CONSENSUS_INSTALL_SWITCHES;
        consensus__snap_order(c, CONSENSUS_SNAP_SWITCH, &i->snap);
    }
}
