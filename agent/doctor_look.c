/* doctor_look.c - what this agent says when it is asked what is wrong (doctor_report.h).
 *
 * Most of it is known already: gossip notes which datagrams do not arrive, who is failed and whose
 * packets it turns away, consensus how its disk is. Whether TCP gets through to others is tried for
 * each question: gossip's stream port of up to 16 members, the RPC port of all servers; and to
 * these members, whether large datagrams do. Questions that come meanwhile are answered with the
 * same round.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "doctor_report.h"
#include "level.h"
#include "reach.h"

#define QUERY         AGENT__DOCTOR_QUERY
#define MEMBERS_MAX   16U   /* whose stream port is tried: enough to find what is blocked for all */
#define FAILED_MAX    8U    /* told: whoever asks knows its own */
#define ASKED_MAX     16U   /* questions that wait for one round */
#define UNWELL        4U    /* health score: less passes by itself */
#define SPREAD_MS     1U    /* for each member: rounds of all begin within this */
#define SPREAD_MS_MAX 5000U /* and a query lasts longer */
#define LATELY_MS     60000U /* what was turned away before is no cause of anything now */

struct doctor {
    struct timer timer;  /* set: a round begins soon */
    struct reach *round; /* NULL: none runs */
    struct {
        uint64_t ltime;
        uint32_t id;
    } asked[ASKED_MAX];
    size_t asked_count;
    struct reach_target met[REACH_TARGETS_MAX]; /* by the last round */
    size_t met_count;
    size_t measuring;                               /* ways of this round that are not done */
    char narrow[MEMBERS_MAX][MU_NODE_NAME_MAX + 1]; /* large datagrams do not arrive at these */
    size_t narrow_count;
};

/* -- what is known ----------------------------------------------------------------------------- */

static void add(struct mu_buf *to, enum doctor_kind kind, enum gossip_way way, uint64_t number,
                const char *name, const char *more)
{
    doctor_report_add(to, &(struct doctor_line){ kind, way, number, name, more });
}

static void add_state(struct mu_buf *to, const char *what, const char *text)
{
    add(to, DOCTOR_STATE, GOSSIP_WAY_UNKNOWN, 0, what, text);
}

static void add_statef(struct mu_buf *to, const char *what, const char *fmt, ...) MU_PRINTF(3, 4);
static void add_statef(struct mu_buf *to, const char *what, const char *fmt, ...)
{
    char text[DOCTOR_TEXT_BYTES + 1];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    add_state(to, what, text);
}

struct voters {
    const struct consensus_status *status;
    size_t alive;
};

static void count_voter(void *data, const struct agent__server *server)
{
    struct voters *v = data;

    for (size_t i = 0; i < v->status->voters_count; i++) {
        v->alive += server->is_alive && mu_id_eq(&v->status->voters[i], &server->node);
    }
}

static void add_leaderless(struct agent *a, const struct consensus_status *s, struct mu_buf *to)
{
    struct voters v = { .status = s };

    if (s->voters_count == 0) {
        const char *why = consensus_driver_waits(a->consensus);

        add_statef(to, "no-leader", "there is no cluster yet: %s",
                   why[0] != '\0' ? why : "one is being formed");
        return;
    }
    agent__each_server(a, count_voter, &v);
    size_t needed = s->voters_count / 2 + 1;

    add_statef(to, "no-leader", "%zu of %zu voting servers are alive, %zu are needed%s", v.alive,
               s->voters_count, needed,
               v.alive < needed ? "; if the others are gone for good: muster recover" : "");
}

/* An upgrade that was not finished. */
static void add_level(struct agent *a, const struct consensus_status *s, struct mu_buf *to)
{
    struct agent__least least;

    if (!agent__level_least(a, s, &least) || s->level >= s->level_max) {
        return;
    }
    if (least.level == 0) {
        add_statef(to, "level",
                   "commands of level %u are not in use yet: server %s does not answer",
                   s->level_max, least.name);
    } else if (least.level < s->level_max) {
        add_statef(to, "level",
                   "commands of level %u are not in use yet: server %s understands up to level %u",
                   s->level_max, least.name, least.level);
    }
}

static void add_server(struct agent *a, struct mu_buf *to)
{
    struct consensus_status s;

    consensus_driver_status(a->consensus, &s);
    switch (s.health) {
    case CONSENSUS_STORE_OK: break;
    case CONSENSUS_STORE_SLOW: add_state(to, "disk-slow", "its log is written slowly"); break;
    case CONSENSUS_STORE_FULL:
        add_state(to, "disk-full", "the disk of its data directory is full");
        break;
    case CONSENSUS_STORE_READ_ONLY: break; /* told below: the state may have met it alone */
    case CONSENSUS_STORE_FAILED:
        add_state(to, "disk-failed", "a write to its log failed: look at the disk");
        break;
    }
    if (a->read_only != NULL) {
        add_state(to, "read-only", "the file system of its data directory is read-only");
    }
    if (s.is_diverged) {
        add_state(to, "diverged", "its state is not that of the majority");
    }
    if (s.lacks_state) {
        add_state(to, "lacks-state", "it has lost its state and waits for that of another");
    } else if (s.floor_index > 0) {
        add_state(to, "lost-entries", "it lost a part of its log and waits for it to come again");
    }
    if (mu_id_is_none(&s.leader)) {
        add_leaderless(a, &s, to);
    }
    add_level(a, &s, to);
}

static void add_own_state(struct agent *a, struct mu_buf *to)
{
    struct gossip_stats g = gossip_driver_stats(a->gossip);

    if (a->consensus != NULL) {
        add_server(a, to);
    } else if (agent__servers_count(a) == 0) {
        add_state(to, "no-servers", "no server is alive");
    }
    if (g.health_score >= UNWELL) {
        add_statef(to, "unwell", "health score %u", g.health_score);
    }
    if (g.kernel_drops_age_ms < LATELY_MS) {
        add(to, DOCTOR_BUSY, GOSSIP_WAY_UNKNOWN, g.kernel_drops, "", "");
    }
}

static void add_astray(struct mu_buf *to, const char *name, const char *advertised,
                       const char *other)
{
    char text[DOCTOR_TEXT_BYTES + 1];

    (void)snprintf(text, sizeof text,
                   "advertises %s and does not answer there, its packets come from %s: set its "
                   "advertise_addr",
                   advertised, other);
    add(to, DOCTOR_ASTRAY, GOSSIP_WAY_UNKNOWN, 0, name, text);
}

static void add_misplaced(void *data, const struct gossip_misplaced *found)
{
    char other[MU_ADDR_TEXT_MAX];
    char advertised[MU_ADDR_TEXT_MAX];

    mu_addr_text(&found->other, other);
    mu_addr_text(&found->advertised, advertised);
    switch (found->kind) {
    case GOSSIP_UNREACHED:
        add_statef(data, "unreachable",
                   "%s does not get to its advertised address %s: set advertise_addr to one "
                   "that others reach, or let them pass",
                   other, advertised);
        break;
    case GOSSIP_ELSEWHERE: add_astray(data, found->name, advertised, other); break;
    case GOSSIP_CLAIMED:
        add_statef(data, "name-conflict",
                   "%s at %s: a node at %s claims its name or id; stop one of the two, or give "
                   "it another name and data directory",
                   found->name, advertised, other);
        break;
    }
}

static void add_refusal(void *data, const struct gossip_refusal *r)
{
    char from[MU_ADDR_TEXT_MAX];

    mu_addr_text(&r->from, from);
    add(data, DOCTOR_REFUSED, GOSSIP_WAY_UNKNOWN, r->count, from, gossip_counter_text(r->reason));
}

static void add_link(void *data, const struct gossip_link *link)
{
    add(data, link->is_heard ? DOCTOR_OUT : DOCTOR_IN, link->tcp, link->missed, link->name, "");
}

static void weigh(void *data, const struct gossip_record *r)
{
    struct agent__verdict *v = data;

    switch (r->change) {
    case GOSSIP_CHANGE_MISSED:
    case GOSSIP_CHANGE_SUSPECTED:
    case GOSSIP_CHANGE_CONFIRMED: v->way = r->way != GOSSIP_WAY_UNKNOWN ? r->way : v->way; break;
    case GOSSIP_CHANGE_DEAD: v->by = r->by; break;
    case GOSSIP_CHANGE_REFUTED:
    case GOSSIP_CHANGE_LEAVING:
    case GOSSIP_CHANGE_LEFT:
    case GOSSIP_CHANGE_RETURNED: *v = (struct agent__verdict){ .by = "" }; break;
    }
}

void agent__doctor_verdict(const struct agent *a, const char *name, struct agent__verdict *out)
{
    struct gossip_account account;

    *out = (struct agent__verdict){ .by = "" };
    gossip_driver_each_record(a->gossip, name, weigh, out);
    if (gossip_driver_explain(a->gossip, name, &account)) {
        out->since_ms = account.now_ms - account.state_ms;
    }
}

struct failed_walk {
    const struct agent *agent;
    struct mu_buf *to;
    size_t count;
};

static void add_failed(void *data, const struct gossip_view *m)
{
    struct failed_walk *w = data;
    struct agent__verdict v;

    if (m->status == GOSSIP_STATUS_FAILED && w->count++ < FAILED_MAX) {
        agent__doctor_verdict(w->agent, m->name, &v);
        add(w->to, DOCTOR_FAILED, v.way, v.since_ms, m->name, v.by);
    }
}

static void report(struct agent *a, struct mu_buf *to)
{
    const struct doctor *d = a->doctor;

    doctor_report_begin(to);
    add(to, DOCTOR_CLOCK, GOSSIP_WAY_UNKNOWN, (uint64_t)(mu_clock_wall_ns() / MU_NS_PER_MS), "",
        "");
    add_own_state(a, to);
    gossip_driver_each_misplaced(a->gossip, LATELY_MS, add_misplaced, to);
    gossip_driver_each_refusal(a->gossip, LATELY_MS, add_refusal, to);
    gossip_driver_each_broken_link(a->gossip, add_link, to);
    for (size_t i = 0; i < d->narrow_count; i++) {
        add(to, DOCTOR_NARROW, GOSSIP_WAY_UNKNOWN, a->gossip_profile.packet_bytes, d->narrow[i],
            "");
    }
    for (size_t i = 0; i < d->met_count; i++) {
        if (d->met[i].way != GOSSIP_WAY_OPEN) {
            add(to, DOCTOR_TCP, d->met[i].way, d->met[i].addr.port, d->met[i].name, "");
        }
    }
    gossip_driver_each(a->gossip, add_failed, &(struct failed_walk){ .agent = a, .to = to });
}

/* -- the ways that are tried ------------------------------------------------------------------- */

struct aim {
    struct reach_target targets[REACH_TARGETS_MAX]; /* members first */
    size_t count, members, skip, room;
};

static void aim_at(struct aim *t, const char *name, const struct mu_addr *addr)
{
    if (t->count < t->room) {
        struct reach_target *to = &t->targets[t->count++];

        *to = (struct reach_target){ .addr = *addr };
        (void)strncpy(to->name, name, sizeof to->name - 1);
    }
}

static void aim_at_server(void *data, const struct agent__server *s)
{
    if (s->is_alive && !s->is_self) {
        aim_at(data, s->name, &s->rpc);
    }
}

static void aim_at_member(void *data, const struct gossip_view *m)
{
    struct aim *t = data;

    if (m->status != GOSSIP_STATUS_ALIVE || m->is_self) {
        return;
    }
    if (t->skip > 0) {
        t->skip--;
    } else {
        aim_at(t, m->name, &m->addr);
    }
}

/* Of many members other ones each time. */
static void aim(struct agent *a, struct aim *t)
{
    size_t others = gossip_driver_stats(a->gossip).alive - 1;

    t->room = MEMBERS_MAX;
    t->skip = others > MEMBERS_MAX ? (size_t)mu_rand_below(&a->rand, others - MEMBERS_MAX + 1) : 0;
    gossip_driver_each(a->gossip, aim_at_member, t);
    t->members = t->count;
    t->room = REACH_TARGETS_MAX;
    agent__each_server(a, aim_at_server, t);
}

enum gossip_way agent__doctor_way(const struct agent *a, const char *name)
{
    const struct doctor *d = a->doctor;

    for (size_t i = 0; i < d->met_count; i++) {
        if (strcmp(d->met[i].name, name) == 0) {
            return d->met[i].way;
        }
    }
    return GOSSIP_WAY_UNKNOWN;
}

/* -- answering --------------------------------------------------------------------------------- */

static void answer_all(struct agent *a)
{
    struct doctor *d = a->doctor;
    struct mu_buf text = MU_BUF_NONE;

    report(a, &text);
    for (size_t i = 0; i < d->asked_count; i++) {
        struct mu_err err = MU_ERR_NONE;

        if (gossip_driver_respond(a->gossip, d->asked[i].ltime, d->asked[i].id, mu_buf_span(&text),
                                  &err) != MU_OK) {
            mu_log(MU_DEBUG, "agent", "Cannot answer what is wrong", mu_kv("error", err.text));
        }
    }
    d->asked_count = 0;
    mu_buf_deinit(&text);
}

static void answer_when_known(struct agent *a)
{
    if (a->doctor->round == NULL && a->doctor->measuring == 0) {
        answer_all(a);
    }
}

static void on_measured(void *data, const char *name, enum gossip_width width)
{
    struct agent *a = data;
    struct doctor *d = a->doctor;

    if (d == NULL) {
        return; /* the agent stops */
    }
    MU_ASSERT(d->measuring > 0);
    d->measuring--;
    if (width == GOSSIP_WIDTH_NARROW) {
        (void)snprintf(d->narrow[d->narrow_count++], sizeof d->narrow[0], "%s", name);
    }
    answer_when_known(a);
}

static void on_reached(void *data, const struct reach_target *targets, size_t count)
{
    struct agent *a = data;
    struct doctor *d = a->doctor;

    d->round = NULL;
    memcpy(d->met, targets, count * sizeof *targets);
    d->met_count = count;
    answer_when_known(a);
}

static void look(void *data)
{
    struct agent *a = data;
    struct aim *t = mu_new(sizeof *t);
    struct doctor *d = a->doctor;

    aim(a, t);
    d->met_count = d->narrow_count = 0;
    d->measuring = t->members;
    for (size_t i = 0; i < t->members; i++) {
        gossip_driver_width(a->gossip, t->targets[i].name, on_measured, a);
    }
    if (t->count > 0) {
        d->round =
            reach_start(a->loop, t->targets, t->count, AGENT__DOCTOR_REACH_MS, on_reached, a);
    }
    answer_when_known(a);
    mu_free(t);
}

/* In a large cluster not all at once: the servers' listeners would drop who knocks. */
static void look_soon(struct agent *a)
{
    size_t members = gossip_driver_stats(a->gossip).alive;
    uint64_t spread_ms = members > MEMBERS_MAX + 1 ? members * SPREAD_MS : 0;
    uint64_t after_ms =
        mu_rand_below(&a->rand, (spread_ms < SPREAD_MS_MAX ? spread_ms : SPREAD_MS_MAX) + 1);

    timer_set(a->timers, &a->doctor->timer, after_ms, look, a);
}

bool agent__doctor_query(struct agent *a, const struct gossip_query *query)
{
    struct doctor *d = a->doctor;

    if (strcmp(query->name, QUERY) != 0) {
        return false;
    }
    if (d->asked_count == ASKED_MAX) {
        mu_log(MU_DEBUG, "agent", "Too many ask what is wrong, this one is not answered",
               mu_kv("from", query->from));
        return true;
    }
    d->asked[d->asked_count].ltime = query->ltime;
    d->asked[d->asked_count++].id = query->id;
    if (d->round == NULL && d->measuring == 0 && !timer_is_set(&d->timer)) {
        look_soon(a);
    }
    return true;
}

void agent__doctor_open(struct agent *a)
{
    a->doctor = mu_new(sizeof *a->doctor);
}

void agent__doctor_close(struct agent *a)
{
    if (a->doctor == NULL) {
        return;
    }
    if (a->doctor->round != NULL) {
        reach_cancel(a->doctor->round);
    }
    timer_cancel(&a->doctor->timer);
    mu_free(a->doctor);
    a->doctor = NULL;
}
