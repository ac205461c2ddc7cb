/* dns_engine.c - from a message to its answer, now or later.
 *
 * Every query is first answered with what is at hand. Where that would have needed a catalog that
 * is elsewhere, or pages of it that are on the disk only, the answer is thrown away, unless nobody
 * can be asked: then it is the right one, SERVFAIL for names that must be looked up, and everything
 * that needs no catalog as always.
 *
 * Waits stand in the order of their deadlines, because all wait equally long.
 */
#include "dns_engine.h"

#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define FAULT_PAUSE_MS 60000 /* between two lines about malformed messages */

struct dns_wait {
    struct mu_link link;
    struct dns_engine *engine;
    enum dns_way way;
    void *running; /* what cancelling upstream takes */
    uint64_t until_ms;
    dns_answer_fn *later;
    void *data;
    struct mu_addr client;
    bool is_tcp;
    size_t bytes;
    uint8_t message[];
};

struct dns_engine {
    struct dns_upstream upstream;
    struct dns_responder *responder;
    struct mu_link waits;
    size_t waits_count;
    struct dns_now now; /* the newest that was told */
    struct dns_counts counts;
    uint64_t errors_second; /* in which errors_left counts */
    unsigned errors_left;
    uint64_t fault_said_ms, faults_said; /* the last line about malformed ones, and how many then */
    uint8_t *answer;                     /* for those that waited */
};

struct dns_engine *dns_engine_new(const struct dns_upstream *upstream,
                                  struct dns_responder *responder, uint8_t *room)
{
    struct dns_engine *e = mu_new(sizeof *e);

    e->upstream = *upstream;
    e->responder = responder;
    e->answer = room;
    mu_list_init(&e->waits);
    return e;
}

void dns_engine_free(struct dns_engine *e)
{
    if (e != NULL) {
        MU_ASSERT(mu_list_empty(&e->waits));
        mu_free(e);
    }
}

struct dns_counts *dns_engine_counts(struct dns_engine *e)
{
    return &e->counts;
}

void dns_took(struct dns_counts *counts, uint64_t ns, unsigned answers)
{
    double mean_ms = (double)ns / 1e6 / answers;

    for (unsigned i = 0; i < answers; i++) {
        mu_sample_add(&counts->took, mean_ms);
    }
}

const char *dns_rcode_text(size_t rcode)
{
    static const char *const names[DNS_RCODES_COUNT] = {
        [DNS_NOERROR] = "NOERROR",   [DNS_FORMERR] = "FORMERR", [DNS_SERVFAIL] = "SERVFAIL",
        [DNS_NXDOMAIN] = "NXDOMAIN", [DNS_NOTIMP] = "NOTIMP",   [DNS_REFUSED] = "REFUSED",
        [DNS_NOTAUTH] = "NOTAUTH",   [DNS_BADVERS] = "BADVERS",
    };

    return names[rcode];
}

/* -- what is no query -------------------------------------------------------------------------- */

void dns_engine_malformed(struct dns_engine *e, enum dns_fault why, const struct mu_addr *client,
                          struct dns_now now)
{
    static const char *const reasons[] = {
        [DNS_FAULT_NO_QUERY] = "it is no query",
        [DNS_FAULT_CONTENT] = "its question or its records cannot be read",
        [DNS_FAULT_LENGTH] = "no query has its length",
    };
    char from[MU_ADDR_TEXT_MAX];

    e->counts.malformed++;
    if (e->faults_said > 0 && now.ms < e->fault_said_ms + FAULT_PAUSE_MS) {
        return;
    }
    mu_addr_text(client, from);
    mu_log(MU_WARN, "agent.dns", "A DNS message is malformed", mu_kv("client", from),
           mu_kv("reason", reasons[why]), mu_kv_u("times", e->counts.malformed - e->faults_said));
    e->fault_said_ms = now.ms;
    e->faults_said = e->counts.malformed;
}

/* -- answering --------------------------------------------------------------------------------- */

/* What is at hand: rows, how old they are, and why there are none if there are none. */
struct at_hand {
    const struct dns_source *source;
    bool is_stale;
    enum dns_why why;
};

static struct dns_answered answer_from(struct dns_engine *e, const struct dns_query *q, bool is_tcp,
                                       const struct at_hand *hand, uint8_t *to, bool *has_missed)
{
    const struct dns_upstream *u = &e->upstream;
    bool has_disk = hand->source != NULL && u->read_begin != NULL;
    struct dns_asked asked = {
        .query = q,
        .source = hand->source,
        .is_tcp = is_tcp,
        .is_stale = hand->is_stale,
        .unknown = hand->why,
        .now_s = e->now.wall_s,
    };

    if (has_disk) {
        u->read_begin(u->data);
    }
    struct dns_answered a = dns_answer(e->responder, &asked, to);

    *has_missed = has_disk && u->read_end(u->data);
    return a;
}

static void count(struct dns_engine *e, const struct dns_answered *a)
{
    e->counts.rcodes[a->rcode]++;
    e->counts.truncated += a->is_truncated ? 1 : 0;
}

/* Errors that broken messages cause. They are never larger than what caused them, but a forged
 * source should not get any number of them. */
static bool is_error(enum dns_rcode rcode)
{
    return rcode == DNS_FORMERR || rcode == DNS_NOTIMP || rcode == DNS_NOTAUTH ||
           rcode == DNS_BADVERS || rcode == DNS_REFUSED;
}

static bool may_answer(struct dns_engine *e, const struct agent_dns_request *request,
                       enum dns_rcode rcode)
{
    if (!is_error(rcode) || request->is_tcp || mu_addr_is_loopback(&request->client)) {
        return true;
    }
    if (e->errors_second != e->now.ms / 1000) {
        e->errors_second = e->now.ms / 1000;
        e->errors_left = MU_DNS_ERRORS_MAX;
    }
    if (e->errors_left == 0) {
        e->counts.errors_limited++;
        return false;
    }
    e->errors_left--;
    return true;
}

/* -- waiting ----------------------------------------------------------------------------------- */

static void wait_remove(struct dns_wait *w)
{
    mu_list_remove(&w->link);
    w->engine->waits_count--;
}

/* Give the answer and forget the wait. */
static void wait_end(struct dns_wait *w, struct mu_span answer)
{
    dns_answer_fn *later = w->later;
    void *data = w->data;

    MU_ASSERT(later != NULL);
    wait_remove(w);
    mu_free(w);
    later(data, answer);
}

static void on_confirmed(void *data, const struct dns_source *source);

/* Answer from `source`, or without one. */
static void wait_answer(struct dns_wait *w, const struct dns_source *source)
{
    struct dns_engine *e = w->engine;
    struct at_hand hand = { source, false, DNS_WHY_NO_AUTHORITY };
    struct dns_query q;
    bool is_query = dns_query_read(&q, mu_span_of(w->message, w->bytes));
    bool has_missed;

    MU_ASSERT(is_query); /* it was one when it came */
    struct dns_answered a = answer_from(e, &q, w->is_tcp, &hand, e->answer, &has_missed);

    if (has_missed) { /* yet another one: as long as there is time */
        w->way = DNS_FETCH;
        w->running = e->upstream.fetch(e->upstream.data, on_confirmed, w);
        return;
    }
    count(e, &a);
    wait_end(w, mu_span_of(e->answer, a.bytes));
}

static void on_confirmed(void *data, const struct dns_source *source)
{
    struct dns_wait *w = data;

    w->running = NULL;
    wait_answer(w, source);
}

/* A server answers for us: it must be an answer to this very question, and one that the client
 * can take. */
static bool is_answer_to(const struct dns_wait *w, struct dns_engine *e, struct mu_span answer)
{
    struct dns_query q;

    if (answer.bytes < DNS_HEADER_BYTES || !dns_query_read(&q, mu_span_of(w->message, w->bytes)) ||
        memcmp(answer.data, w->message, 2) != 0 || (answer.data[2] & 0x80) == 0) {
        return false;
    }
    size_t question = q.spelled.bytes + 4;

    return answer.bytes <= dns_answer_room(e->responder, &q, w->is_tcp) &&
           answer.bytes >= DNS_HEADER_BYTES + question &&
           memcmp(answer.data + DNS_HEADER_BYTES, w->message + DNS_HEADER_BYTES, question) == 0;
}

static void on_forwarded(void *data, enum mu_code code, struct mu_span answer)
{
    struct dns_wait *w = data;
    struct dns_engine *e = w->engine;

    w->running = NULL;
    if (code != MU_OK || !is_answer_to(w, e, answer)) {
        wait_answer(w, NULL);
        return;
    }
    e->counts.rcodes[answer.data[3] & 0xf]++;
    wait_end(w, answer);
}

static void start(struct dns_wait *w, const struct agent_dns_request *request)
{
    const struct dns_upstream *u = &w->engine->upstream;

    if (w->way == DNS_CONFIRM) {
        w->running = u->confirm(u->data, on_confirmed, w);
    } else if (w->way == DNS_FETCH) {
        w->running = u->fetch(u->data, on_confirmed, w);
    } else {
        struct agent_dns_request copy = *request;

        copy.message = mu_span_of(w->message, w->bytes);
        w->running = u->forward(u->data, &copy, on_forwarded, w);
    }
}

static struct dns_wait *wait_new(struct dns_engine *e, const struct agent_dns_request *request,
                                 enum dns_way way)
{
    struct dns_wait *w = mu_new(sizeof *w + request->message.bytes);

    w->engine = e;
    w->way = way;
    w->until_ms = e->now.ms + DNS_WAIT_MS;
    w->client = request->client;
    w->is_tcp = request->is_tcp;
    w->bytes = request->message.bytes;
    memcpy(w->message, request->message.data, w->bytes);
    mu_list_push_back(&e->waits, &w->link);
    e->waits_count++;
    return w;
}

enum dns_done dns_engine_ask(struct dns_engine *e, const struct agent_dns_request *request,
                             struct dns_now now, uint8_t *to, size_t *bytes, struct dns_wait **wait)
{
    struct at_hand hand = { .source = NULL };
    struct dns_query q;

    e->now = now;
    *(request->is_tcp ? &e->counts.tcp : &e->counts.udp) += 1;
    if (!dns_query_read(&q, request->message)) {
        dns_engine_malformed(e, DNS_FAULT_NO_QUERY, &request->client, now);
        e->counts.dropped++;
        return DNS_DONE_NOTHING;
    }
    if (q.rcode == DNS_FORMERR) {
        dns_engine_malformed(e, DNS_FAULT_CONTENT, &request->client, now);
    }
    enum dns_way way = e->upstream.way(e->upstream.data, &hand.source, &hand.is_stale);

    MU_ASSERT((way == DNS_HERE) == (hand.source != NULL));
    hand.why = way == DNS_NOWAY ? DNS_WHY_NOT_READY : DNS_WHY_NO_AUTHORITY;
    bool has_missed;
    struct dns_answered a = answer_from(e, &q, request->is_tcp, &hand, to, &has_missed);

    way = has_missed ? DNS_FETCH : way;
    bool is_elsewhere =
        has_missed || (a.needs_catalog && (way == DNS_CONFIRM || way == DNS_FORWARD));

    if (is_elsewhere && e->waits_count < MU_DNS_WAITS_MAX) {
        *wait = wait_new(e, request, way);
        start(*wait, request);
        return DNS_DONE_WAIT;
    }
    if (!may_answer(e, request, a.rcode)) {
        return DNS_DONE_NOTHING;
    }
    e->counts.stale += a.needs_catalog && hand.is_stale ? 1 : 0;
    count(e, &a);
    *bytes = a.bytes;
    return DNS_DONE_ANSWER;
}

void dns_wait_then(struct dns_wait *wait, dns_answer_fn *later, void *data)
{
    MU_ASSERT(wait->later == NULL);
    wait->later = later;
    wait->data = data;
}

static void upstream_cancel(struct dns_wait *w)
{
    const struct dns_upstream *u = &w->engine->upstream;

    if (w->running != NULL) {
        if (w->way == DNS_CONFIRM || w->way == DNS_FETCH) {
            u->confirm_cancel(u->data, w->running);
        } else {
            u->forward_cancel(u->data, w->running);
        }
        w->running = NULL;
    }
}

void dns_engine_cancel(struct dns_engine *e, struct dns_wait *wait)
{
    MU_ASSERT(wait->engine == e);
    upstream_cancel(wait);
    wait_remove(wait);
    mu_free(wait);
}

static struct dns_wait *first_wait(const struct dns_engine *e)
{
    return mu_list_empty(&e->waits) ? NULL : MU_CONTAINER(e->waits.next, struct dns_wait, link);
}

void dns_engine_tick(struct dns_engine *e, struct dns_now now)
{
    struct dns_wait *w;

    e->now = now;
    while ((w = first_wait(e)) != NULL && w->until_ms <= now.ms) {
        e->counts.late++;
        upstream_cancel(w);
        wait_answer(w, NULL);
    }
}

uint64_t dns_engine_wake_ms(const struct dns_engine *e)
{
    const struct dns_wait *w = first_wait(e);

    return w != NULL ? w->until_ms : 0;
}

size_t dns_engine_waits(const struct dns_engine *e)
{
    return e->waits_count;
}

void dns_engine_end(struct dns_engine *e)
{
    struct dns_wait *w;

    while ((w = first_wait(e)) != NULL) {
        dns_engine_cancel(e, w);
    }
}
