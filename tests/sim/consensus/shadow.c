/* shadow.c - the state of all servers as the thesis has it, and what may change in a step. */
#include "shadow_core.h"

#include <stdarg.h>
#include <stdio.h>

/* -- small words ------------------------------------------------------------------------------- */

const char *shadow__no(struct shadow *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(s->why, sizeof s->why, fmt, args);
    va_end(args);
    return s->why;
}

uint32_t shadow__place(const struct shadow *s, const struct mu_id *id)
{
    uint32_t i = 0;

    while (i < SHADOW_SERVERS_MAX && !(s->servers[i].is_known && mu_id_eq(&s->servers[i].id, id))) {
        i++;
    }
    return i;
}

uint64_t shadow__term_at(const struct shadow__server *v, uint64_t index)
{
    return index == 0 || index > v->log.last ? 0 : v->log.at[index].term;
}

bool shadow__entry_eq(const struct shadow_entry *a, const struct shadow_entry *b)
{
    return a->term == b->term && a->content == b->content && a->kind == b->kind;
}

static void log_put(struct shadow__log *log, uint64_t index, const struct shadow_entry *e)
{
    MU_ASSERT(index >= 1 && index <= log->last + 1);
    if (index >= log->room) {
        log->room = index * 2 + 64;
        log->at = mu_grow(log->at, log->room * sizeof *log->at);
        log->config = mu_grow(log->config, log->room * sizeof *log->config);
        log->config[0] = 0;
    }
    log->at[index] = *e;
    log->config[index] = e->kind == CONSENSUS_CONFIG ? index : log->config[index - 1];
    log->last = index;
}

struct shadow *shadow_new(shadow_config_fn *config_of, const void *data)
{
    struct shadow *s = mu_new(sizeof *s);

    s->config_of = config_of;
    s->config_data = data;
    return s;
}

void shadow_free(struct shadow *s)
{
    for (uint32_t i = 0; i < SHADOW_SERVERS_MAX; i++) {
        mu_free(s->servers[i].log.at);
        mu_free(s->servers[i].log.config);
    }
    mu_free(s->committed.at);
    mu_free(s->committed.config);
    mu_free(s->sent);
    mu_free(s);
}

/* -- configurations (thesis chapter 4)
 * ------------------------------------------------------------- */

/* The place of the newest up to here; 0: there is none. */
static uint64_t config_before(const struct shadow__log *log, uint64_t index)
{
    return index > 0 ? log->config[index] : 0;
}

/* The newest in the log up to here: effective on append. */
const struct consensus_config *shadow__config(const struct shadow *s,
                                              const struct shadow__server *v, uint64_t upto)
{
    uint64_t at = config_before(&v->log, upto < v->log.last ? upto : v->log.last);

    return at > 0 ? s->config_of(s->config_data, v->log.at[at].content) : NULL;
}

bool shadow__is_voter(const struct consensus_config *c, const struct mu_id *id)
{
    for (uint32_t i = 0; c != NULL && i < c->servers_count; i++) {
        if (mu_id_eq(&c->servers[i].id, id)) {
            return consensus_server_votes(&c->servers[i]);
        }
    }
    return false;
}

/* An answer stays true when its sender has another disk by now: what was acknowledged was durable,
 * and a configuration names the disks whose word counts in it. */
static bool speaks_for(const struct shadow *s, const struct shadow__server *v, uint32_t place,
                       const struct mu_id *disk)
{
    bool is_self = place == (uint32_t)(v - s->servers);

    return mu_id_eq(is_self ? &v->disk : &v->by[place], disk);
}

static bool is_majority(const struct shadow *s, const struct shadow__server *of,
                        const struct consensus_config *c, uint32_t bits, bool is_old)
{
    uint32_t all = 0;
    uint32_t yes = 0;

    for (uint32_t i = 0; i < c->servers_count; i++) {
        const struct consensus_server *v = &c->servers[i];
        uint32_t place = shadow__place(s, &v->id);

        if (is_old ? v->is_voter_old : v->is_voter) {
            all++;
            yes += place < SHADOW_SERVERS_MAX && ((bits >> place) & 1U) &&
                   speaks_for(s, of, place, &v->disk);
        }
    }
    return yes * 2 > all;
}

bool shadow__quorum(const struct shadow *s, const struct shadow__server *v,
                    const struct consensus_config *c, uint32_t bits)
{
    return c != NULL && is_majority(s, v, c, bits, false) &&
           (!c->is_joint || is_majority(s, v, c, bits, true));
}

/* Voters of one set of a that are not in one set of b. */
static uint32_t missing(const struct consensus_config *a, bool old_a,
                        const struct consensus_config *b, bool old_b)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->servers_count; i++) {
        bool is_there = false;

        for (uint32_t j = 0; j < b->servers_count; j++) {
            is_there = is_there || (mu_id_eq(&a->servers[i].id, &b->servers[j].id) &&
                                    (old_b ? b->servers[j].is_voter_old : b->servers[j].is_voter));
        }
        count += (old_a ? a->servers[i].is_voter_old : a->servers[i].is_voter) && !is_there;
    }
    return count;
}

/* One voter at a time; into a joint configuration its old set is the one before, out of it the new.
 */
static bool is_step(const struct consensus_config *a, const struct consensus_config *b)
{
    if (!a->is_joint && !b->is_joint) {
        return missing(a, false, b, false) + missing(b, false, a, false) <= 1;
    }
    if (a->is_joint == b->is_joint) {
        return false;
    }
    return missing(a, false, b, b->is_joint) + missing(b, b->is_joint, a, false) == 0;
}

/* commit: behind the step, for the same step may have committed the one before. */
static const char *config_made(struct shadow *s, const struct shadow__server *v, uint64_t index,
                               uint64_t commit)
{
    const struct consensus_config *before = shadow__config(s, v, index - 1);
    const struct consensus_config *next = shadow__config(s, v, index);
    bool is_own_term = shadow__term_at(v, commit) == v->term;
    uint64_t before_at = config_before(&v->log, index - 1);

    if (before == NULL || !is_step(before, next)) {
        return shadow__no(s, "makes configuration %llu, which is no step from the last", U(index));
    }
    if (!is_own_term || before_at > commit) {
        return shadow__no(s, "makes configuration %llu before %s", U(index),
                          is_own_term ? "the last is committed"
                                      : "an entry of its own term is committed");
    }
    return NULL;
}

/* -- beginning
 * ---------------------------------------------------------------------------------------- */

static const char *start_log(struct shadow *s, struct shadow__server *v,
                             const struct shadow_start *r)
{
    if (r->base > s->committed.last) {
        return shadow__no(s, "starts with a log that begins behind %llu, committed is %llu",
                          U(r->base), U(s->committed.last));
    }
    if (r->is_holed && v->acked > r->last) {
        v->acked = r->last;
    }
    for (uint64_t i = 1; i <= v->acked; i++) {
        const struct shadow_entry *e =
            i > r->base ? &r->entries[i - r->base - 1] : &s->committed.at[i];

        if (i > r->last || !shadow__entry_eq(e, &v->log.at[i])) {
            return shadow__no(s, "has lost entry %llu, which it acknowledged", U(i));
        }
    }
    v->log.last = 0;
    for (uint64_t i = 1; i <= r->last; i++) {
        log_put(&v->log, i, i > r->base ? &r->entries[i - r->base - 1] : &s->committed.at[i]);
    }
    return NULL;
}

const char *shadow_start(struct shadow *s, const struct shadow_start *r)
{
    struct shadow__server *v = &s->servers[r->server];
    bool is_new = !v->is_known || !mu_id_eq(&v->disk, &r->disk);
    struct shadow__log log = v->log;

    MU_ASSERT(r->server < SHADOW_SERVERS_MAX);
    if (is_new) { /* a blank disk is a new server (4.4 of the design: 2.11) */
        *v = (struct shadow__server){ .is_known = true, .id = r->id, .disk = r->disk, .log = log };
    }
    if (r->term < v->spoken_term || (r->term == v->spoken_term && !mu_id_is_none(&v->spoken_vote) &&
                                     !mu_id_eq(&r->voted_for, &v->spoken_vote))) {
        return shadow__no(s, "has forgotten its vote or term %llu", U(v->spoken_term));
    }
    const char *why = start_log(s, v, r);

    v->term = r->term;
    v->voted_for = r->voted_for;
    v->role = CONSENSUS_FOLLOWER;
    v->commit = r->applied;
    v->votes = v->prevotes = 0;
    v->prevote_term = v->prevote_round = 0;
    v->is_invited = false;
    v->verified = 0;
    memset(v->offered, 0, sizeof v->offered);
    v->round = 0;
    v->reads_count = 0;
    memset(v->match, 0, sizeof v->match);
    memset(v->echo, 0, sizeof v->echo);
    v->promises = 0;
    return why;
}

/* -- terms and votes
 * ------------------------------------------------------------------------------------ */

static void term_set(struct shadow__server *v, uint64_t term)
{
    v->term = term;
    v->voted_for = MU_ID_NONE;
    v->votes = 0;
    v->is_invited = false;
    v->verified = 0;
    v->round = 0;
    memset(v->match, 0, sizeof v->match);
    memset(v->echo, 0, sizeof v->echo);
    v->promises = 0;
}

/* Which term a message may make a server adopt: a request for pre-votes none, an answer to one only
 * when it refuses. */
static uint64_t term_of(const struct shadow_record *r)
{
    const struct consensus_msg *m = r->received != NULL ? &r->received->msg : NULL;

    if (m == NULL || m->kind == CONSENSUS_PREVOTE_REQ || m->kind == CONSENSUS_TIMEOUT_NOW ||
        m->kind == CONSENSUS_MEMBER_REQ || m->kind == CONSENSUS_MEMBER_RES ||
        m->kind == CONSENSUS_INVITE || (m->kind == CONSENSUS_PREVOTE_RES && m->answer.is_granted)) {
        return 0;
    }
    return m->term;
}

static bool may_stand(const struct shadow *s, const struct shadow__server *v)
{
    uint32_t self = 1U << (v - s->servers);

    const struct consensus_config *now = shadow__config(s, v, v->log.last);

    if (v->is_invited || shadow__quorum(s, v, now, self)) {
        return true;
    }
    return v->prevote_term == v->term + 1 && shadow__quorum(s, v, now, v->prevotes | self);
}

/* Of a snapshot of this entry that it was offered; 0: it was not. */
static uint64_t offered_term(const struct shadow__server *v, uint64_t index)
{
    for (size_t i = 0; i < MU_LEN(v->offered); i++) {
        if (v->offered[i].index == index) {
            return v->offered[i].term;
        }
    }
    return 0;
}

/* The disk that is meant by this place: as the newest configuration has it that names the server.
 */
static const struct mu_id *meant_disk(const struct shadow *s, const struct shadow__server *v,
                                      uint32_t place)
{
    for (uint64_t i = config_before(&v->log, v->log.last); i > 0;
         i = config_before(&v->log, i - 1)) {
        const struct consensus_config *config = s->config_of(s->config_data, v->log.at[i].content);

        for (uint32_t k = 0; config != NULL && k < config->servers_count; k++) {
            if (mu_id_eq(&config->servers[k].id, &s->servers[place].id)) {
                return &config->servers[k].disk;
            }
        }
    }
    return &v->by[place];
}

/* What a leader says, whatever disk it has: its term vouches for it. */
static void hear(struct shadow__server *v, const struct consensus_msg *m)
{
    if (m->kind == CONSENSUS_TIMEOUT_NOW && m->term == v->term) {
        v->is_invited = true;
    }
    if (m->kind == CONSENSUS_SNAP_OFFER && m->term == v->term &&
        offered_term(v, m->snapshot.snap.index) != m->snapshot.snap.term) {
        v->offered[v->offered_next % MU_LEN(v->offered)].index = m->snapshot.snap.index;
        v->offered[v->offered_next++ % MU_LEN(v->offered)].term = m->snapshot.snap.term;
    }
}

/* Another disk than has spoken for this place so far: what was said counts no more. */
static void begin_anew(struct shadow__server *v, uint32_t place, const struct mu_id *disk)
{
    v->by[place] = *disk;
    v->prevotes &= ~(1U << place);
    v->votes &= ~(1U << place);
    v->promises &= ~(1U << place);
    v->match[place] = v->echo[place] = 0;
}

/* Answers are counted as they arrive: of the disk that is meant. */
static void count(struct shadow *s, struct shadow__server *v, const struct shadow_record *r)
{
    const struct consensus_msg *m = &r->received->msg;
    uint32_t from = shadow__place(s, &m->from);

    if (from == SHADOW_SERVERS_MAX) {
        return;
    }
    const struct mu_id *disk = meant_disk(s, v, from);

    hear(v, m);
    if (!mu_id_is_none(disk) && !mu_id_eq(&m->from_disk, disk)) {
        return;
    }
    if (!mu_id_eq(&m->from_disk, &v->by[from])) {
        begin_anew(v, from, &m->from_disk);
    }
    if (m->kind == CONSENSUS_PREVOTE_RES && m->answer.is_granted &&
        m->answer.asked_term == v->prevote_term && m->answer.round == v->prevote_round) {
        v->prevotes |= 1U << from;
    }
    if (m->term != v->term) {
        return;
    }
    if (m->kind == CONSENSUS_VOTE_RES && m->answer.is_granted && m->answer.asked_term == v->term) {
        v->votes |= 1U << from;
    }
    if (m->kind == CONSENSUS_APPEND_RES && m->ack.is_accepted && m->ack.match > v->match[from]) {
        v->match[from] = m->ack.match;
    }
    if (m->kind == CONSENSUS_SNAP_RES && m->snapshot_res.answer == CONSENSUS_SNAP_DONE &&
        m->snapshot_res.match > v->match[from]) {
        v->match[from] = m->snapshot_res.match;
    }
    if (m->kind == CONSENSUS_HEARTBEAT_RES && m->alive.read_seq > v->echo[from]) {
        v->echo[from] = m->alive.read_seq;
    }
    if (m->kind == CONSENSUS_HEARTBEAT_RES && m->alive.is_promised) {
        v->promises |= 1U << from;
    }
}

/* Its term after the step: by a message, and then perhaps by standing for the next. */
static const char *terms(struct shadow *s, struct shadow__server *v, const struct shadow_record *r)
{
    uint64_t heard = term_of(r);

    if (r->term < v->term) {
        return shadow__no(s, "goes back to term %llu", U(r->term));
    }
    if (heard > v->term && r->term >= heard) {
        term_set(v, heard);
    }
    if (r->received != NULL) {
        count(s, v, r);
    }
    if (r->term == v->term) {
        return NULL;
    }
    if (r->term != v->term + 1 || !mu_id_eq(&r->voted_for, &v->id)) {
        return shadow__no(s, "is in term %llu, nobody told it to", U(r->term));
    }
    if (!may_stand(s, v)) {
        return shadow__no(s, "stands for term %llu without a quorum that would vote for it",
                          U(r->term));
    }
    term_set(v, r->term);
    v->voted_for = v->id;
    return NULL;
}

/* 3.4, 3.6.1: one vote, to a server whose log is at least as new. */
static const char *votes(struct shadow *s, struct shadow__server *v, const struct shadow_record *r)
{
    const struct consensus_msg *m = r->received != NULL ? &r->received->msg : NULL;
    uint64_t last_term = shadow__term_at(v, v->log.last);

    if (mu_id_eq(&r->voted_for, &v->voted_for)) {
        return NULL;
    }
    if (!mu_id_is_none(&v->voted_for)) {
        return shadow__no(s, "changes its vote of term %llu", U(r->term));
    }
    if (m == NULL || m->kind != CONSENSUS_VOTE_REQ || m->term != r->term ||
        !mu_id_eq(&m->from, &r->voted_for)) {
        return shadow__no(s, "votes for a server that did not ask");
    }
    if (m->ask.last_term < last_term ||
        (m->ask.last_term == last_term && m->ask.last_index < v->log.last)) {
        return shadow__no(s, "votes for a server whose log is older");
    }
    v->voted_for = r->voted_for;
    return NULL;
}

static const char *roles(struct shadow *s, struct shadow__server *v, const struct shadow_record *r,
                         uint64_t term_before)
{
    uint32_t self = 1U << (v - s->servers);
    bool led = v->role == CONSENSUS_LEADER && v->term == term_before;

    switch (r->role) {
    case CONSENSUS_LEADER:
        if (!led && !shadow__quorum(s, v, shadow__config(s, v, v->log.last),
                                    v->votes | (mu_id_eq(&v->voted_for, &v->id) ? self : 0))) {
            return shadow__no(s, "leads term %llu without the votes of a quorum", U(r->term));
        }
        if (!led && !mu_id_eq(&v->voted_for, &v->id)) {
            return shadow__no(s, "leads term %llu and voted for another", U(r->term));
        }
        break;
    case CONSENSUS_CANDIDATE:
        if (!mu_id_eq(&v->voted_for, &v->id)) {
            return shadow__no(s, "stands for term %llu and votes for another", U(r->term));
        }
        break;
    case CONSENSUS_FOLLOWER:
    case CONSENSUS_PRE_CANDIDATE:
    case CONSENSUS_OBSERVER: break;
    }
    return NULL;
}

/* -- logs
 * --------------------------------------------------------------------------------------------------
 */

/* 3.5: behind its last entry, of its own term. */
static const char *leader_log(struct shadow *s, struct shadow__server *v,
                              const struct shadow_record *r)
{
    if (r->first != v->log.last + 1) {
        return shadow__no(s, "leads and overwrites its entry %llu", U(r->first));
    }
    for (uint64_t i = r->first; i <= r->last; i++) {
        const struct shadow_entry *e = &r->entries[i - r->first];
        const char *why = NULL;

        if (e->term != r->term) {
            return shadow__no(s, "leads and appends an entry of term %llu", U(e->term));
        }
        log_put(&v->log, i, e);
        if (e->kind == CONSENSUS_CONFIG) {
            why = config_made(s, v, i, r->commit);
        }
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

/* Receiver's rules 3 and 4 of AppendEntries: what contradicts the leader goes, what is new comes.
 */
static const char *follower_log(struct shadow *s, struct shadow__server *v,
                                const struct shadow_record *r)
{
    const struct consensus_msg *m = r->received != NULL ? &r->received->msg : NULL;
    uint64_t end = 0;

    if (m == NULL || m->kind != CONSENSUS_APPEND_REQ || m->term != r->term) {
        return shadow__no(s, "changes its log without entries of its leader");
    }
    end = m->append.prev_index + m->append.entries_count;
    if (r->first <= m->append.prev_index || r->last > end || r->first > v->log.last + 1) {
        return shadow__no(s, "takes entries %llu to %llu of a request for %llu to %llu",
                          U(r->first), U(r->last), U(m->append.prev_index + 1), U(end));
    }
    if (r->first <= v->commit) {
        return shadow__no(s, "overwrites entry %llu, which is committed", U(r->first));
    }
    if (r->first <= v->log.last &&
        shadow__entry_eq(&v->log.at[r->first],
                         &r->received->entries[r->first - m->append.prev_index - 1])) {
        return shadow__no(s, "cuts off entry %llu, which its leader has too", U(r->first));
    }
    for (uint64_t i = r->first; i <= r->last; i++) {
        if (!shadow__entry_eq(&r->entries[i - r->first],
                              &r->received->entries[i - m->append.prev_index - 1])) {
            return shadow__no(s, "takes another entry %llu than it was sent", U(i));
        }
    }
    v->acked = v->acked >= r->first ? r->first - 1 : v->acked;
    for (uint64_t i = r->first; i <= r->last; i++) {
        log_put(&v->log, i, &r->entries[i - r->first]);
    }
    return NULL;
}

/* How far this log is the leader's, by what was received: rule 2, the consistency check. */
static void verify(struct shadow__server *v, const struct shadow_record *r)
{
    const struct consensus_msg *m = r->received != NULL ? &r->received->msg : NULL;
    uint64_t upto = 0;

    if (m == NULL || m->kind != CONSENSUS_APPEND_REQ || m->term != v->term ||
        m->append.prev_index > v->log.last ||
        (m->append.prev_index > v->commit &&
         shadow__term_at(v, m->append.prev_index) != m->append.prev_term)) {
        return;
    }
    upto = m->append.prev_index;
    for (uint32_t i = 0; i < m->append.entries_count && upto < v->log.last &&
                         shadow__entry_eq(&v->log.at[upto + 1], &r->received->entries[i]);
         i++) {
        upto++;
    }
    v->verified = upto > v->verified ? upto : v->verified;
}

/* 5: a state takes the place of the log, all of it: what lay above does not follow from it. */
static const char *snapshot_taken(struct shadow *s, struct shadow__server *v,
                                  const struct shadow_record *r)
{
    if (offered_term(v, r->base) == 0 || r->base > s->committed.last ||
        r->role == CONSENSUS_LEADER) {
        return shadow__no(s, "takes a state of entry %llu, nobody has sent that", U(r->base));
    }
    if (shadow__term_at(v, r->base) == s->committed.at[r->base].term) {
        return shadow__no(s, "gives up a log that holds entry %llu", U(r->base));
    }
    uint64_t same = 0; /* what comes back should this log not become durable */

    while (same < r->base && same < v->log.last &&
           shadow__entry_eq(&v->log.at[same + 1], &s->committed.at[same + 1])) {
        same++;
    }
    v->acked = v->acked > same ? same : v->acked;
    v->log.last = 0;
    for (uint64_t i = 1; i <= r->base; i++) {
        log_put(&v->log, i, &s->committed.at[i]);
    }
    v->commit = r->base;
    v->verified = 0;
    return NULL;
}

/* Leaders append and then may find, in the same step, that they lead nobody any more. */
static const char *logs(struct shadow *s, struct shadow__server *v, enum consensus_role was,
                        const struct shadow_record *r)
{
    bool leads = r->role == CONSENSUS_LEADER || (was == CONSENSUS_LEADER && r->received == NULL);
    const char *why = NULL;

    if (r->base > v->commit && r->base == r->last && r->first > r->last) {
        return snapshot_taken(s, v, r);
    }

    if (r->first <= r->last) {
        why = leads ? leader_log(s, v, r) : follower_log(s, v, r);
    }
    if (why == NULL && v->log.last != r->last) {
        why = shadow__no(s, "ends its log at %llu, that is %llu", U(r->last), U(v->log.last));
    }
    verify(v, r);
    return why;
}

/* -- commit
 * --------------------------------------------------------------------------------------------------
 */

/* 3.6.2: an entry of its own term, on a quorum; itself by what is on its disk. */
static bool may_commit(const struct shadow *s, const struct shadow__server *v, uint64_t index,
                       uint64_t stable)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < SHADOW_SERVERS_MAX; i++) {
        bits |= v->match[i] >= index ? 1U << i : 0;
    }
    if (stable >= index) {
        bits |= 1U << (v - s->servers);
    }
    return shadow__term_at(v, index) == v->term &&
           shadow__quorum(s, v, shadow__config(s, v, v->log.last), bits);
}

/* By what the leader of its term has told it: AppendEntries rule 5, or a clamped heartbeat. */
static uint64_t told(const struct shadow__server *v, const struct shadow_record *r)
{
    const struct consensus_msg *m = r->received != NULL ? &r->received->msg : NULL;

    if (offered_term(v, r->commit) == shadow__term_at(v, r->commit)) {
        return r->commit; /* it has what the snapshot stands for */
    }
    if (m == NULL || m->term != v->term) {
        return 0;
    }
    if (m->kind == CONSENSUS_HEARTBEAT) {
        return m->heartbeat.commit;
    }
    if (m->kind == CONSENSUS_APPEND_REQ) {
        uint64_t end = m->append.prev_index + m->append.entries_count;

        return m->append.commit < end ? m->append.commit : end;
    }
    return 0;
}

static const char *commits(struct shadow *s, struct shadow__server *v,
                           const struct shadow_record *r, enum consensus_role was)
{
    bool leads = r->role == CONSENSUS_LEADER || was == CONSENSUS_LEADER;

    if (r->commit < v->commit || r->commit > v->log.last) {
        return shadow__no(s, "commits %llu, it had %llu of %llu", U(r->commit), U(v->commit),
                          U(v->log.last));
    }
    if (r->commit == v->commit) {
        return NULL;
    }
    if (!(leads && may_commit(s, v, r->commit, r->stable)) && r->commit > told(v, r)) {
        return shadow__no(s, "commits %llu, neither a quorum of acks nor its leader says so",
                          U(r->commit));
    }
    for (uint64_t i = v->commit + 1; i <= r->commit; i++) {
        if (i > s->committed.last) {
            log_put(&s->committed, i, &v->log.at[i]);
        } else if (!shadow__entry_eq(&s->committed.at[i], &v->log.at[i])) {
            return shadow__no(s, "commits another entry %llu", U(i));
        }
    }
    v->commit = r->commit;
    return NULL;
}

/* -- reads (6.4)
 * ------------------------------------------------------------------------------------------------
 */

static void read_begins(struct shadow__server *v, uint64_t ticket)
{
    if (v->reads_count < MU_LEN(v->reads)) { /* more are not followed */
        v->reads[v->reads_count].ticket = ticket;
        v->reads[v->reads_count++].round = v->round;
    }
}

/* A leader that has committed in its own term, and a quorum that answered a later round. */
static const char *read_ends(struct shadow *s, struct shadow__server *v, uint64_t ticket,
                             uint64_t index)
{
    uint32_t bits = 1U << (v - s->servers);
    size_t i = 0;

    while (i < v->reads_count && v->reads[i].ticket != ticket) {
        i++;
    }
    if (i == v->reads_count) {
        return NULL;
    }
    uint32_t promised = bits | v->promises;

    for (uint32_t j = 0; j < SHADOW_SERVERS_MAX; j++) {
        bits |= v->echo[j] > v->reads[i].round ? 1U << j : 0;
    }
    v->reads[i] = v->reads[--v->reads_count];
    if (!shadow__quorum(s, v, shadow__config(s, v, v->log.last), bits) &&
        !shadow__quorum(s, v, shadow__config(s, v, v->log.last), promised)) {
        return shadow__no(s, "answers a read that no quorum has confirmed");
    }
    if (index > v->commit || shadow__term_at(v, v->commit) != v->term) {
        return shadow__no(s, "answers a read at %llu before it knows what is committed", U(index));
    }
    return NULL;
}

static const char *results(struct shadow *s, struct shadow__server *v,
                           const struct shadow_record *r)
{
    const char *why = NULL;

    for (size_t i = 0; why == NULL && i < r->results_count; i++) {
        if (r->results[i].outcome == CONSENSUS_READABLE && r->role == CONSENSUS_LEADER) {
            why = read_ends(s, v, r->results[i].ticket, r->results[i].index);
        }
    }
    return why;
}

/* -- a step
 * --------------------------------------------------------------------------------------------------------
 */

const char *shadow_step(struct shadow *s, const struct shadow_record *r)
{
    struct shadow__server *v = &s->servers[r->server];
    enum consensus_role was = v->role;
    uint64_t term_before = v->term;
    const char *why = NULL;

    MU_ASSERT(r->server < SHADOW_SERVERS_MAX && v->is_known);
    if (r->received != NULL && !shadow__was_sent(s, r->received)) {
        return shadow__no(s, "receives what nobody has sent");
    }
    why = terms(s, v, r);
    was = v->term == term_before ? was : CONSENSUS_FOLLOWER;
    v->role = was;
    why = why != NULL ? why : votes(s, v, r);
    why = why != NULL ? why : roles(s, v, r, term_before);
    v->role = r->role;
    why = why != NULL ? why : logs(s, v, was, r);
    why = why != NULL ? why : commits(s, v, r, was);
    if (r->read_ticket != 0) {
        read_begins(v, r->read_ticket); /* before the round that this step may begin */
    }
    for (size_t i = 0; why == NULL && i < r->sends_count; i++) {
        why = shadow__send(s, v, was, &r->sends[i]);
    }
    return why != NULL ? why : results(s, v, r);
}
