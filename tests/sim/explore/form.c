/* form.c - the normal form of a server, its snapshot without the zeroes, and its face. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "work.h"

/* -- the normal form ----------------------------------------------------------------------- */

static void *array(struct consensus *c, size_t at)
{
    return consensus__array(c, at);
}

/* A ring begins at its array's start and holds zeroes behind its end. */
static void ring_normal(void *ring, size_t bytes, uint32_t room, uint32_t *head, uint32_t count)
{
    unsigned char copy[4096];
    unsigned char *at = ring;

    MU_ASSERT(room * bytes <= sizeof copy && count <= room);
    memset(copy, 0, room * bytes);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(copy + i * bytes, at + ((*head + i) % room) * bytes, bytes);
    }
    memcpy(at, copy, room * bytes);
    *head = 0;
}

static uint64_t since(uint64_t seq, uint64_t base)
{
    return seq > base ? seq - base : 0;
}

static void writes_normal(struct x__work *w)
{
    struct consensus *c = w->core;
    uint64_t base = c->writes.persisted_seq;
    struct consensus__write_slot *slots = array(c, c->at.writes);

    ring_normal(slots, sizeof *slots, c->options.writes_max, &c->writes.head, c->writes.count);
    for (uint32_t i = 0; i < c->writes.count; i++) {
        slots[i].seq -= base;
        slots[i].submitted_ms = X__NOW;
    }
    for (uint32_t i = 0; i < c->pending_count; i++) {
        c->pending[i].seq = since(c->pending[i].seq, base);
    }
    for (uint64_t i = 0; i < w->head->queue_count; i++) {
        w->head->queue[i].write.seq -= base;
    }
    c->writes.next_seq -= base;
    c->writes.term_seq = since(c->writes.term_seq, base);
    c->writes.vote_seq = since(c->writes.vote_seq, base);
    c->writes.persisted_seq = 0;
}

static void peers_normal(struct consensus *c)
{
    struct consensus__inflight *inflight = array(c, c->at.inflight);
    uint32_t room = c->options.inflight_max;

    for (uint32_t i = 0; i < CONSENSUS_SLOTS_MAX; i++) {
        struct consensus__peer *p = &c->peers[i];

        p->removed_ms = p->removed_ms != 0 ? X__NOW : 0;
        if (c->role != CONSENSUS_LEADER) { /* what an earlier office left; the next begins anew */
            *p = (struct consensus__peer){ .id = p->id,
                                           .disk = p->disk,
                                           .removed_index = p->removed_index,
                                           .removed_ms = p->removed_ms };
        } else if (!mu_id_is_none(&p->id) && i != c->self) {
            p->acked_ms = X__NOW;
            p->sent_ms = 0;
            p->moved_ms = 0;
        }
        ring_normal(&inflight[(size_t)i * room], sizeof *inflight, room, &p->inflight_head,
                    p->inflight_count);
    }
}

static void times_normal(struct consensus *c)
{
    c->now_ms = X__NOW;
    c->wake_at_ms = CONSENSUS_NEVER;
    c->election_at_ms = X__NOW + 1000;
    c->leader_heard_ms = c->leader_heard_ms != 0 ? X__NOW : 0;
    c->contact_ms = X__NOW; /* nobody asks whether it is still one of them */
    c->member_ask_at_ms = 0;
    c->complain_at_ms = 0;
    c->campaign.ask_at_ms = X__NOW + 1000;
    if (c->role == CONSENSUS_LEADER) {
        c->office.since_ms = X__NOW;
        c->office.heartbeat_at_ms = X__NOW + 1000;
        c->office.yields_at_ms = X__NOW + 100000;
        c->office.asked_ms = 0;
        c->office.transfer.ends_at_ms = c->office.transfer.is_running ? X__NOW + 100 : 0;
        c->office.transfer.sent_ms = c->office.transfer.sent_ms != 0 ? X__NOW : 0;
    }
}

void x__normal_form(struct x__work *w, bool has_prevote)
{
    struct consensus *c = w->core;
    uint64_t *reads = array(c, c->at.reads);
    struct consensus_run *runs = array(c, c->at.runs);
    size_t scratch = offsetof(struct consensus, sends_count);

    MU_ASSERT(!c->is_again);
    memset(&c->rand, 0, sizeof c->rand);
    memset(&c->counters, 0, sizeof c->counters);
    memset(&c->pending[c->pending_count], 0,
           (CONSENSUS_PENDING_MAX - c->pending_count) * sizeof c->pending[0]);
    memset(&c->configs[c->configs_count], 0,
           (CONSENSUS_CONFIGS_MAX - c->configs_count) * sizeof c->configs[0]);
    memset(&runs[c->log.runs_count], 0, (c->options.runs_max - c->log.runs_count) * sizeof runs[0]);
    memset((char *)c + scratch, 0, sizeof *c - scratch);
    ring_normal(reads, sizeof *reads, c->options.reads_max, &c->reads.head, c->reads.count);
    c->fetch_ticket_last = 0;
    c->round = has_prevote ? c->round : 0;
    times_normal(c);
    peers_normal(c);
    writes_normal(w);
    memset(&w->head->queue[w->head->queue_count], 0,
           (X_QUEUE_MAX - w->head->queue_count) * sizeof w->head->queue[0]);
    w->head->boots = has_prevote ? w->head->boots : 0;
}

/* -- snapshots ------------------------------------------------------------------------------ */

static size_t words_of(const struct x__work *w)
{
    return w->bytes / 8;
}

struct x__snapshot x__compress(const struct x__work *w)
{
    const unsigned char *from = (const unsigned char *)w->head;
    size_t words = words_of(w);
    size_t bits = (words + 63) / 64;
    size_t used = bits;
    uint64_t *to = mu_new((bits + words) * 8);

    for (size_t i = 0; i < words; i++) {
        uint64_t v;

        memcpy(&v, from + i * 8, 8);
        if (v != 0) {
            to[i / 64] |= UINT64_C(1) << (i % 64);
            to[used++] = v;
        }
    }
    return (struct x__snapshot){ mu_grow(to, used * 8) };
}

void x__expand(struct x__work *w, struct x__snapshot s)
{
    unsigned char *to = (unsigned char *)w->head;
    size_t words = words_of(w);
    size_t used = (words + 63) / 64;

    memset(to, 0, w->bytes);
    for (size_t i = 0; i < words; i++) {
        if ((s.words[i / 64] >> (i % 64)) & 1U) {
            memcpy(to + i * 8, &s.words[used++], 8);
        }
    }
}

static void log_face(const struct x__work *w, struct x_face *f)
{
    const struct consensus *c = w->core;

    for (uint64_t i = 1; i <= c->log.last_index; i++) {
        struct consensus_entry e;

        MU_ASSERT(i < X_LOG_MAX);
        f->log[i] = w->head->disk[i]; /* not in memory: durable */
        if (i <= c->log.base_index && c->log.base_index > w->head->base) {
            f->log[i] = w->head->imported[i]; /* it begins anew, which is on its way to the disk */
        }
        if (consensus_entry_at(c, i, &e)) {
            f->log[i] = (struct x_entry){ (uint8_t)e.term, (uint8_t)e.handle, (uint8_t)e.kind, 0 };
        }
    }
}

static void config_face(const struct consensus *c, struct x_face *f)
{
    const struct consensus_config *now = consensus_config_now(c);

    f->is_joint = now->is_joint;
    for (uint32_t i = 0; i < now->servers_count; i++) {
        uint32_t place = x__place_of(&now->servers[i].id);

        f->voters |= (uint8_t)(now->servers[i].is_voter << place);
        f->voters_old |= (uint8_t)(now->servers[i].is_voter_old << place);
        f->learners |= (uint8_t)(now->servers[i].is_learner << place);
        if (c->role == CONSENSUS_LEADER) {
            f->match[place] = (uint8_t)c->peers[i].match;
        }
    }
}

struct x_face x__face(const struct x__work *w)
{
    const struct consensus *c = w->core;
    struct x_face f = {
        .role = (uint8_t)c->role,
        .term = (uint8_t)c->hard.term,
        .commit = (uint8_t)c->commit,
        .last = (uint8_t)c->log.last_index,
        .is_dead = (uint8_t)(w->head->is_dead + (c->death > CONSENSUS_DEATH_STORE &&
                                                 c->death != CONSENSUS_DEATH_REMOVED)),
        .queue = (uint8_t)w->head->queue_count,
        .is_ready = c->office.is_ready,
        .self = (uint8_t)w->place,
        .disk_term = (uint8_t)w->head->hard.term,
        .disk_last = (uint8_t)w->head->disk_last,
    };

    memcpy(f.disk, w->head->disk, sizeof f.disk);
    memcpy(f.votes, w->head->votes, sizeof f.votes);
    log_face(w, &f);
    config_face(c, &f);
    return f;
}
