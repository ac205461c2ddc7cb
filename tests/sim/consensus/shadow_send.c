/* shadow_send.c - what a server may say in the state it is in. */
#include "shadow_core.h"

/* -- all that was ever said ------------------------------------------------------------------- */

static uint64_t mix(uint64_t x, uint64_t v)
{
    x = (x ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

static uint64_t mix_id(uint64_t x, const struct mu_id *id)
{
    uint64_t words[2];

    memcpy(words, id->b, sizeof words);
    return mix(mix(x, words[0]), words[1]);
}

/* Field by field what matters: a message that arrives must have been sent so. */
static uint64_t hash(const struct shadow_message *sm)
{
    const struct consensus_msg *m = &sm->msg;
    uint64_t x = mix(mix_id(mix_id(mix_id(m->kind, &m->from), &m->to), &m->from_disk), m->term);

    switch (m->kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ:
        x = mix(mix(x, m->ask.next_term), m->ask.last_term);
        return mix(mix(x, m->ask.last_index), m->ask.round);
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_VOTE_RES:
        return mix(mix(mix(x, m->answer.asked_term), m->answer.round), m->answer.is_granted);
    case CONSENSUS_APPEND_REQ:
        x = mix(mix(mix(x, m->append.prev_index), m->append.prev_term), m->append.commit);
        for (uint32_t i = 0; i < m->append.entries_count; i++) {
            x = mix(mix(mix(x, sm->entries[i].term), sm->entries[i].content), sm->entries[i].kind);
        }
        return x;
    case CONSENSUS_APPEND_RES:
        return mix(mix(mix(x, m->ack.match), m->ack.prev_index), m->ack.is_accepted);
    case CONSENSUS_HEARTBEAT: return mix(mix(x, m->heartbeat.read_seq), m->heartbeat.commit);
    case CONSENSUS_HEARTBEAT_RES: return mix(x, m->alive.read_seq);
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_SNAP_CHUNK:
        x = mix(mix(x, m->snapshot.snap.index), m->snapshot.snap.term);
        return mix(mix(x, m->snapshot.offset), m->snapshot.bytes);
    case CONSENSUS_SNAP_RES:
        return mix(mix(mix(x, m->snapshot_res.answer), m->snapshot_res.match),
                   m->snapshot_res.offset);
    case CONSENSUS_TIMEOUT_NOW: return mix(x, m->timeout_now.last_index);
    case CONSENSUS_MEMBER_REQ:
    case CONSENSUS_MEMBER_RES:
    case CONSENSUS_INVITE: break;
    }
    return x;
}

static bool sent_find(const struct shadow *s, uint64_t h, size_t *at)
{
    size_t i = s->sent_room == 0 ? 0 : h & (s->sent_room - 1);

    while (s->sent_room > 0 && s->sent[i] != 0 && s->sent[i] != h) {
        i = (i + 1) & (s->sent_room - 1);
    }
    *at = i;
    return s->sent_room > 0 && s->sent[i] == h;
}

static void sent_grow(struct shadow *s)
{
    uint64_t *was = s->sent;
    size_t room = s->sent_room;

    s->sent_room = room == 0 ? 4096 : room * 2;
    s->sent = mu_new_array(s->sent_room, sizeof *s->sent);
    for (size_t i = 0; i < room; i++) {
        size_t at = 0;

        if (was[i] != 0) {
            (void)sent_find(s, was[i], &at);
            s->sent[at] = was[i];
        }
    }
    mu_free(was);
}

static void sent_put(struct shadow *s, const struct shadow_message *m)
{
    size_t at = 0;

    if (s->sent_count * 2 >= s->sent_room) {
        sent_grow(s);
    }
    if (!sent_find(s, hash(m), &at)) {
        s->sent[at] = hash(m);
        s->sent_count++;
    }
}

bool shadow__was_sent(const struct shadow *s, const struct shadow_message *m)
{
    size_t at = 0;

    return sent_find(s, hash(m), &at);
}

/* -- what may be said ----------------------------------------------------------------------------
 */

static const char *ask(struct shadow *s, struct shadow__server *v, const struct consensus_msg *m)
{
    bool is_prevote = m->kind == CONSENSUS_PREVOTE_REQ;

    if (v->role != (is_prevote ? CONSENSUS_PRE_CANDIDATE : CONSENSUS_CANDIDATE) ||
        m->term != v->term || m->ask.next_term != v->term + is_prevote) {
        return shadow__no(s, "asks for votes of term %llu in another role or term",
                          U(m->ask.next_term));
    }
    if (m->ask.last_index != v->log.last || m->ask.last_term != shadow__term_at(v, v->log.last)) {
        return shadow__no(s, "asks for votes with a last entry %llu/%llu it does not have",
                          U(m->ask.last_index), U(m->ask.last_term));
    }
    if (is_prevote && v->prevote_round != m->ask.round) {
        v->prevote_round = m->ask.round;
        v->prevote_term = m->ask.next_term;
        v->prevotes = 0;
    }
    if (!is_prevote) {
        v->spoken_term = m->term;
        v->spoken_vote = v->id;
    }
    return NULL;
}

static const char *vote(struct shadow *s, struct shadow__server *v, const struct consensus_msg *m)
{
    if (!m->answer.is_granted) {
        return NULL; /* refusing is always safe */
    }
    if (m->term != v->term || m->answer.asked_term != v->term || !mu_id_eq(&v->voted_for, &m->to)) {
        return shadow__no(s, "says yes in term %llu to whom it did not vote for", U(m->term));
    }
    v->spoken_term = m->term;
    v->spoken_vote = m->to;
    return NULL;
}

/* Would it vote for it? Only the log is compared here: the rest is stickiness, which may differ. */
static const char *prevote(struct shadow *s, const struct shadow__server *v,
                           const struct consensus_msg *m)
{
    if (m->answer.is_granted && m->answer.asked_term < v->term) {
        return shadow__no(s, "would vote in term %llu, which is over", U(m->answer.asked_term));
    }
    return NULL;
}

static const char *append(struct shadow *s, struct shadow__server *v, enum consensus_role was,
                          const struct shadow_message *sm)
{
    const struct consensus_msg *m = &sm->msg;

    if ((v->role != CONSENSUS_LEADER && was != CONSENSUS_LEADER) || m->term != v->term) {
        return shadow__no(s, "sends entries of term %llu and does not lead it", U(m->term));
    }
    if (m->append.prev_index + m->append.entries_count > v->log.last ||
        m->append.prev_term != shadow__term_at(v, m->append.prev_index)) {
        return shadow__no(s, "sends entries behind %llu/%llu, which it does not have",
                          U(m->append.prev_index), U(m->append.prev_term));
    }
    for (uint32_t i = 0; i < m->append.entries_count; i++) {
        if (!shadow__entry_eq(&sm->entries[i], &v->log.at[m->append.prev_index + 1 + i])) {
            return shadow__no(s, "sends another entry %llu than it has",
                              U(m->append.prev_index + 1 + i));
        }
    }
    if (m->append.commit > v->commit) {
        return shadow__no(s, "tells a commit index of %llu, it has %llu", U(m->append.commit),
                          U(v->commit));
    }
    return NULL;
}

static const char *ack(struct shadow *s, struct shadow__server *v, const struct consensus_msg *m)
{
    bool is_done = m->kind == CONSENSUS_SNAP_RES; /* what is committed is every later leader's */
    uint64_t match = is_done ? m->snapshot_res.match : m->ack.match;
    uint64_t upto = is_done || v->commit > v->verified ? v->commit : v->verified;

    if (is_done ? m->snapshot_res.answer != CONSENSUS_SNAP_DONE : !m->ack.is_accepted) {
        return NULL;
    }
    if (m->term != v->term || match > upto) {
        return shadow__no(s, "acknowledges %llu, it knows its log to be the leader's up to %llu",
                          U(match), U(upto));
    }
    v->acked = match > v->acked ? match : v->acked;
    if (m->term > v->spoken_term) {
        v->spoken_term = m->term;
        v->spoken_vote = MU_ID_NONE;
    }
    return NULL;
}

static const char *heartbeat(struct shadow *s, struct shadow__server *v, enum consensus_role was,
                             const struct consensus_msg *m)
{
    uint32_t to = shadow__place(s, &m->to);

    if ((v->role != CONSENSUS_LEADER && was != CONSENSUS_LEADER) || m->term != v->term) {
        return shadow__no(s, "sends a heartbeat of term %llu and does not lead it", U(m->term));
    }
    if (m->heartbeat.commit > v->commit ||
        (to < SHADOW_SERVERS_MAX && m->heartbeat.commit > v->match[to])) {
        return shadow__no(s, "tells a commit index of %llu beyond what was acknowledged",
                          U(m->heartbeat.commit));
    }
    v->round = m->heartbeat.read_seq > v->round ? m->heartbeat.read_seq : v->round;
    return NULL;
}

/* Of what is committed. */
static const char *offer(struct shadow *s, const struct shadow__server *v, enum consensus_role was,
                         const struct consensus_msg *m)
{
    if ((v->role != CONSENSUS_LEADER && was != CONSENSUS_LEADER) || m->term != v->term ||
        m->snapshot.snap.index > v->commit) {
        return shadow__no(s, "offers a snapshot of %llu, it has committed %llu",
                          U(m->snapshot.snap.index), U(v->commit));
    }
    return NULL;
}

/* 3.10: only to a server that has everything. */
static const char *timeout_now(struct shadow *s, const struct shadow__server *v,
                               enum consensus_role was, const struct consensus_msg *m)
{
    uint32_t to = shadow__place(s, &m->to);

    if ((v->role != CONSENSUS_LEADER && was != CONSENSUS_LEADER) || m->term != v->term ||
        to == SHADOW_SERVERS_MAX || v->match[to] != v->log.last) {
        return shadow__no(s, "gives its office to a server that does not have all");
    }
    return NULL;
}

const char *shadow__send(struct shadow *s, struct shadow__server *v, enum consensus_role was,
                         const struct shadow_message *sm)
{
    const struct consensus_msg *m = &sm->msg;
    const char *why = NULL;

    sent_put(s, sm);
    if (m->term > v->term) {
        return shadow__no(s, "speaks of term %llu, it is in %llu", U(m->term), U(v->term));
    }
    switch (m->kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ: why = ask(s, v, m); break;
    case CONSENSUS_PREVOTE_RES: why = prevote(s, v, m); break;
    case CONSENSUS_VOTE_RES: why = vote(s, v, m); break;
    case CONSENSUS_APPEND_REQ: why = append(s, v, was, sm); break;
    case CONSENSUS_APPEND_RES:
    case CONSENSUS_SNAP_RES: why = ack(s, v, m); break;
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_SNAP_CHUNK: why = offer(s, v, was, m); break;
    case CONSENSUS_HEARTBEAT: why = heartbeat(s, v, was, m); break;
    case CONSENSUS_TIMEOUT_NOW: why = timeout_now(s, v, was, m); break;
    case CONSENSUS_HEARTBEAT_RES:
    case CONSENSUS_MEMBER_REQ:
    case CONSENSUS_MEMBER_RES:
    case CONSENSUS_INVITE: break;
    }
    return why;
}
