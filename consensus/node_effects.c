/* node_effects.c - one event into the core, and what it wants done: write, send, fetch, answer. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "consensus/trace.h"
#include "node.h"

#define OUT_BYTES_KEPT (64U * 1024) /* of the buffer for messages, between steps */

/* -- writes -------------------------------------------------------------------------------- */

/* The handle whose record is written for an entry. One without a payload has none in the core: its
 * record is made here and lives as long as the write. */
static uint32_t written_handle(struct consensus_node *n, const struct consensus_entry *e)
{
    if (e->handle == 0) {
        struct consensus_record r = { .index = e->index,
                                      .term = e->term,
                                      .kind = (uint8_t)e->kind };

        return consensus__pool_add_record(&n->pool, &r);
    }
    consensus__pool_seal(&n->pool, e->handle, e->index, e->term, (uint8_t)e->kind);
    consensus__pool_ref(&n->pool, e->handle);
    return e->handle;
}

static void write_prepare(struct consensus_node *n, const struct consensus_write *w)
{
    size_t count = w->first <= w->last ? (size_t)(w->last - w->first) + 1 : 0;
    struct consensus_flight *flight = mu_new(sizeof *flight + count * sizeof(uint32_t));

    flight->seq = w->seq;
    flight->count = count;
    for (size_t i = 0; i < count; i++) {
        struct consensus_entry e;
        bool is_there = consensus_entry_at(n->core, w->first + i, &e);

        MU_ASSERT(is_there);
        flight->handles[i] = written_handle(n, &e);
    }
    if (w->reset_index != 0) {
        consensus__node_log_reset(n);
    }
    mu_list_push_back(&n->flights, &flight->link);
}

static void write_submit(struct consensus_node *n, const struct consensus_write *w,
                         const struct consensus_flight *flight)
{
    struct mu_span *records = mu_new_array(flight->count, sizeof *records);

    MU_ASSERT(flight->seq == w->seq);
    for (size_t i = 0; i < flight->count; i++) {
        records[i] = consensus__pool_record(&n->pool, flight->handles[i]);
    }
    n->store.ops->submit(n->store.self, w, records);
    mu_free(records);
}

/* -- sends --------------------------------------------------------------------------------- */

void consensus__node_send(struct consensus_node *n, const struct mu_id *to,
                          enum consensus_channel channel)
{
    const struct consensus_transport *t = n->options.transport;

    if (!t->send(n->options.transport_self, to, channel, mu_buf_span(&n->out)) &&
        channel == CONSENSUS_BULK) {
        /* Effects are being carried out: the core hears of it with its next event. */
        consensus__node_peer(n, n->now_ms, to, CONSENSUS_LINK_BLOCKED);
    }
}

/* The log thread, once woken, may take the processor before the loop comes to write. */
static void transport_flush(const struct consensus_node *n)
{
    const struct consensus_transport *t = n->options.transport;

    if (t->flush != NULL) {
        t->flush(n->options.transport_self);
    }
}

/* Records of the entries of a request; those without a payload are made in `bare`. */
static void sent_records(struct consensus_node *n, const struct consensus_msg *m,
                         struct mu_span *records, uint8_t (*bare)[CONSENSUS_RECORD_HEAD])
{
    for (uint32_t i = 0; i < m->append.entries_count; i++) {
        struct consensus_entry e = consensus_sent_entry(n->core, m, i);

        if (e.handle != 0) {
            records[i] = consensus__pool_record(&n->pool, e.handle);
            continue;
        }
        (void)consensus__record_seal(bare[i], e.index, e.term, (uint8_t)e.kind, 0, 0);
        records[i] = mu_span_of(bare[i], CONSENSUS_RECORD_HEAD);
    }
}

static void msg_send(struct consensus_node *n, const struct consensus_msg *m)
{
    if (m->kind == CONSENSUS_SNAP_CHUNK) {
        consensus__node_chunk_ask(n, m);
        return;
    }
    size_t count = m->kind == CONSENSUS_APPEND_REQ ? m->append.entries_count : 0;
    struct mu_span *records = NULL;
    uint8_t(*bare)[CONSENSUS_RECORD_HEAD] = NULL;

    if (count > 0) {
        records = mu_new_array(count, sizeof *records);
        bare = mu_new_array(count, sizeof *bare);
        sent_records(n, m, records, bare);
    }
    mu_buf_clear(&n->out);
    consensus__wire_encode(m, records, &n->out);
    consensus__node_send(n, &m->to, consensus__wire_channel(m));
    mu_free(records);
    mu_free(bare);
}

/* -- entries that come in ------------------------------------------------------------------ */

void consensus__node_entries(struct consensus_node *n, struct mu_span records, size_t count_max,
                             struct consensus_entries *out)
{
    struct mu_span left = records;
    struct consensus_record r;
    size_t configs = 0;
    size_t count = 0;

    while (count < count_max && consensus__wire_next(&left, &r)) {
        configs += r.kind == CONSENSUS_CONFIG;
        count++;
    }
    out->count = count;
    out->list = mu_new_array(count, sizeof *out->list);
    out->configs = mu_new_array(configs, sizeof *out->configs);
    left = records;
    configs = 0;
    for (size_t i = 0; i < count && consensus__wire_next(&left, &r); i++) {
        struct consensus_entry *e = &out->list[i];

        *e = (struct consensus_entry){
            .index = r.index,
            .term = r.term,
            .bytes = (uint32_t)r.payload.bytes,
            .kind = (enum consensus_entry_kind)r.kind,
        };
        if (r.kind != CONSENSUS_NOOP) {
            e->handle = consensus__pool_add_record(&n->pool, &r);
        }
        if (r.kind == CONSENSUS_CONFIG) {
            /* Checked before: by the codec, or when the log was opened. */
            enum mu_code rc =
                consensus_config_decode(r.payload, r.index, &out->configs[configs], NULL);

            MU_ASSERT(rc == MU_OK);
            e->config = &out->configs[configs++];
        }
    }
}

/* -- answers ------------------------------------------------------------------------------- */

void consensus__node_answer(struct consensus_node *n, uint64_t ticket, enum mu_code code,
                            const char *why, uint64_t index)
{
    struct consensus_waiter w;

    if (!consensus__tickets_take(&n->tickets, ticket, &w)) {
        return;
    }
    if (w.proposed != NULL) {
        w.proposed(w.data, code, index);
    } else if (w.wished != NULL) {
        w.wished(w.data, code, why != NULL ? why : mu_code_text(code), index);
    } else {
        w.read(w.data, code, index);
    }
}

static enum mu_code refusal_code(enum consensus_refusal why)
{
    switch (why) {
    case CONSENSUS_BUSY_PROPOSALS:
    case CONSENSUS_BUSY_STORE:
    case CONSENSUS_BUSY_APPLY:
    case CONSENSUS_BUSY_READS: return MU_BUSY;
    case CONSENSUS_NO_QUORUM:
    case CONSENSUS_DISK_SLOW: return MU_NO_LEADER; /* held and tried again like a missing leader */
    case CONSENSUS_DISK_FULL: return MU_FULL;
    case CONSENSUS_DISK_READ_ONLY: return MU_READ_ONLY;
    case CONSENSUS_STATE_SPLIT: return MU_CORRUPT;
    case CONSENSUS_STATE_LOST:
    case CONSENSUS_TRANSFERRING: return MU_NO_LEADER; /* soon there is one */
    case CONSENSUS_TRANSFER_LATE: return MU_TIMEOUT;
    case CONSENSUS_CHANGE_EARLY:
    case CONSENSUS_CHANGE_RUNNING: return MU_BUSY;
    case CONSENSUS_TRANSFER_TARGET:
    case CONSENSUS_CHANGE_UNKNOWN: return MU_NOT_FOUND;
    case CONSENSUS_CHANGE_EXISTS:
    case CONSENSUS_CHANGE_NOTHING: return MU_EXISTS;
    case CONSENSUS_CHANGE_REMOVED: return MU_DENIED;
    case CONSENSUS_TRANSFER_NOBODY:
    case CONSENSUS_CHANGE_ROLE:
    case CONSENSUS_CHANGE_BEHIND:
    case CONSENSUS_CHANGE_LAST:
    case CONSENSUS_CHANGE_FULL:
    case CONSENSUS_CHANGE_UNHEALTHY: return MU_CONFLICT;
    case CONSENSUS_CHANGE_LEVEL:
    case CONSENSUS_LEVEL_LOW: return MU_UNSUPPORTED;
    case CONSENSUS_NOT_REFUSED: break;
    }
    MU_UNREACHABLE_CODE();
}

static enum mu_code outcome_code(const struct consensus_result *r)
{
    switch (r->outcome) {
    case CONSENSUS_COMMITTED:
    case CONSENSUS_READABLE:
    case CONSENSUS_HANDED_OVER: return MU_OK;
    case CONSENSUS_NOT_LEADER: return MU_NOT_LEADER;
    case CONSENSUS_REFUSED: return refusal_code(r->why);
    case CONSENSUS_LOST: return MU_LOST;
    }
    MU_UNREACHABLE_CODE();
}

/* -- what changed -------------------------------------------------------------------------- */

static void notice_log(const struct consensus_notice *notice)
{
    char peer[MU_ID_TEXT_BYTES + 1];
    char text[256];
    enum mu_log_level level = consensus_notice_level(notice);

    if (mu_log_on(level)) {
        mu_id_text(&notice->peer, peer);
        mu_logf(level, CONSENSUS_LOG_MODULE, "%s",
                consensus_notice_text(notice, peer, text, sizeof text));
    }
}

void consensus__node_notice_changes(struct consensus_node *n)
{
    struct consensus_status status;

    consensus_status(n->core, &status);
    bool is_leader = status.role == CONSENSUS_LEADER;

    if (is_leader == n->is_leader && status.is_ready == n->is_ready &&
        mu_id_eq(&status.leader, &n->leader)) {
        return;
    }
    n->leader = status.leader;
    n->is_leader = is_leader;
    n->is_ready = status.is_ready;
    n->options.callbacks.changed(n->options.callbacks_data, &n->leader, is_leader, n->is_ready);
}

static bool has_peer(const struct mu_id *list, size_t count, const struct mu_id *id)
{
    for (size_t i = 0; i < count; i++) {
        if (mu_id_eq(&list[i], id)) {
            return true;
        }
    }
    return false;
}

static void peer_add(const struct consensus_node *n, struct mu_id *list, size_t *count,
                     const struct mu_id *id)
{
    if (*count < CONSENSUS_PEERS_MAX && !mu_id_eq(id, &n->options.server) &&
        !has_peer(list, *count, id)) {
        list[(*count)++] = *id;
    }
}

/* The servers of the configuration; before there is one, those in sight that could form it. */
static size_t peers_wanted(const struct consensus_node *n, struct mu_id list[CONSENSUS_PEERS_MAX])
{
    size_t count = 0;

    if (n->core != NULL) {
        const struct consensus_config *config = consensus_config_now(n->core);

        for (uint32_t i = 0; config != NULL && i < config->servers_count; i++) {
            peer_add(n, list, &count, &config->servers[i].id);
        }
        return count;
    }
    for (size_t i = 0; i < n->candidates_count; i++) {
        if (n->candidates[i].is_alive) {
            peer_add(n, list, &count, &n->candidates[i].server);
        }
    }
    return count;
}

void consensus__node_peers(struct consensus_node *n)
{
    struct mu_id list[CONSENSUS_PEERS_MAX];
    size_t count = peers_wanted(n, list);

    if (count == n->peers_count &&
        (count == 0 || memcmp(list, n->peers, count * sizeof *list) == 0)) {
        return;
    }
    if (count > 0) {
        memcpy(n->peers, list, count * sizeof *list);
    }
    n->peers_count = count;
    n->options.transport->peers(n->options.transport_self, n->peers, count);
}

/* -- the step ------------------------------------------------------------------------------ */

/* The bytes of a configuration that the core has made. */
static void made_bind(struct consensus_node *n, const struct consensus_config *made)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    size_t used = consensus_config_encode(made, bytes);

    consensus_bind(n->core, made->index,
                   consensus__pool_add_payload(&n->pool, mu_span_of(bytes, used)));
}

/* Before the write that this is about, whose end may come at once. */
static void store_hush(struct consensus_node *n, bool is_hushed)
{
    if (n->is_hushed != is_hushed) {
        n->is_hushed = is_hushed;
        n->store.ops->hush(n->store.self, is_hushed);
    }
}

static void carry_out(struct consensus_node *n, const struct consensus_effects *fx)
{
    bool state_differs = false;
    bool state_proven = false;
    struct mu_link *flight = n->flights.prev;

    if (fx->made != NULL) {
        made_bind(n, fx->made);
    }
    for (size_t i = 0; i < fx->writes_count; i++) {
        write_prepare(n, &fx->writes[i]);
    }
    /* Before the log is woken: the others' disks are further away than our own. What must not be
     * said before it is durable the core keeps until then. */
    for (size_t i = 0; i < fx->sends_count; i++) {
        msg_send(n, &fx->sends[i]);
    }
    if (n->is_turning && fx->sends_count > 0 && fx->writes_count > 0) {
        transport_flush(n);
    }
    store_hush(n, fx->may_persist_late);
    for (size_t i = 0; i < fx->writes_count; i++) {
        flight = flight->next;
        write_submit(n, &fx->writes[i], MU_CONTAINER(flight, struct consensus_flight, link));
    }
    for (size_t i = 0; i < fx->fetches_count; i++) {
        n->store.ops->fetch(n->store.self, &fx->fetches[i]);
    }
    for (size_t i = 0; i < fx->notices_count; i++) {
        notice_log(&fx->notices[i]);
        state_differs |= fx->notices[i].kind == CONSENSUS_T_STATE_DIFFERS;
        state_proven |= fx->notices[i].kind == CONSENSUS_T_STATE_PROVEN;
    }
    for (size_t i = 0; i < fx->drops_count; i++) {
        consensus__pool_unref(&n->pool, fx->drops[i]);
    }
    n->commit_to = fx->commit_to > n->commit_to ? fx->commit_to : n->commit_to;
    n->core_wake_ms = fx->wake_at_ms;
    if (fx->compact_to > 0) {
        n->store.ops->compact(n->store.self, fx->compact_to);
    }
    consensus__node_orders(n, fx);
    /* Last, since these call out: whatever they ask for is noted. */
    for (size_t i = 0; i < fx->results_count; i++) {
        const struct consensus_result *r = &fx->results[i];

        consensus__node_answer(
            n, r->ticket, outcome_code(r),
            r->outcome == CONSENSUS_REFUSED ? consensus_refusal_text(r->why) : NULL, r->index);
    }
    if (fx->peers_changed) {
        consensus__node_peers(n);
    }
    if (state_differs && n->options.callbacks.state_differs != NULL) {
        n->options.callbacks.state_differs(n->options.callbacks_data);
    }
    if (state_proven && n->options.callbacks.state_proven != NULL) {
        n->options.callbacks.state_proven(n->options.callbacks_data);
    }
    if (fx->notices_count > 0) {
        consensus__node_notice_changes(n);
    }
}

static void dead_tell(struct consensus_node *n, const char *why)
{
    struct consensus_store_report r;
    char text[sizeof n->dead_text];

    if (n->health != CONSENSUS_STORE_FAILED) {
        consensus__node_die(n, why);
        return;
    }
    n->store.ops->collect(n->store.self, &r);
    for (size_t i = 0; i < r.fetched_count; i++) {
        consensus_fetched_deinit(&r.fetched[i]);
    }
    mu_free(r.fetched);
    mu_free(r.survey);
    (void)snprintf(text, sizeof text, "%s: %s", why, r.why);
    consensus__node_die(n, text);
}

void consensus__node_feed(struct consensus_node *n, struct consensus_event *ev)
{
    struct consensus_effects fx;

    MU_ASSERT(!n->is_feeding && n->phase == CONSENSUS_NODE_RUNS);
    n->is_feeding = true;
    ev->now_ms = n->now_ms;
    consensus_step(n->core, ev, &fx);
    carry_out(n, &fx);
    while (fx.again) {
        struct consensus_event wake = { .now_ms = n->now_ms, .kind = CONSENSUS_EV_WAKE };

        consensus_step(n->core, &wake, &fx);
        carry_out(n, &fx);
    }
    n->is_feeding = false;
    if (fx.dead != NULL) {
        dead_tell(n, fx.dead);
    }
    if (n->out.room > OUT_BYTES_KEPT) {
        mu_buf_deinit(&n->out);
    }
}
