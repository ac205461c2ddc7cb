/* driver_uv.c - the loop around the gossip core (driver.h): time, start and stop.
 *
 * One event goes in, its effects are carried out, the one timer is aimed at the time the core asks
 * for. Before that timer tells the core of time, the socket is read empty: answers that wait there
 * count (spec/gossip.md 5.6). What callers ask for, and what an effect fails at, is told to the
 * core from a turn of its own (`soon`), so that nothing comes from inside a call.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "driver_parts.h"

#define DEPTH_WARN 128 /* of a queue (spec/gossip.md 7.4) */
#define PORT_TRIES 32  /* for a number that is free for UDP and TCP alike */

/* On every clock that goes on in suspend: waking up is a pause, too. */
uint64_t gossip__now(void)
{
    return mu_clock_ms();
}

/* -- handles ------------------------------------------------------------------------------------
 */

void gossip__handle_opened(struct gossip_driver *d)
{
    d->handles++;
}

void gossip__handle_closed(struct gossip_driver *d)
{
    MU_ASSERT(d->handles > 0);
    if (--d->handles == 0 && d->is_stopping) {
        d->stopped(d->stopped_data);
    }
}

static void on_closed(uv_handle_t *handle)
{
    gossip__handle_closed(handle->data);
}

void gossip__close(struct gossip_driver *d, uv_handle_t *handle)
{
    MU_ASSERT(handle->data == d);
    uv_close(handle, on_closed);
}

/* -- one event ----------------------------------------------------------------------------------
 */

static void on_wake(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;
    struct gossip_event ev = { .kind = GOSSIP_EV_WAKE };

    gossip__udp_drain(d);
    gossip__feed(d, &ev);
}

static void aim(struct gossip_driver *d, uint64_t wake_at_ms)
{
    uint64_t now_ms = gossip__now();

    if (wake_at_ms == 0) {
        (void)uv_timer_stop(&d->wake);
        return;
    }
    uv_update_time(d->loop); /* or a long turn would make the timer early */
    /* The loop's clock has another phase than ours: a millisecond more, or it wakes twice. */
    MU_ASSERT(uv_timer_start(&d->wake, on_wake, wake_at_ms > now_ms ? wake_at_ms - now_ms + 1 : 0,
                             0) == 0);
}

/* Did anything change that the state file tells? */
static bool concerns_state(const struct gossip_driver *d, const struct gossip_effects *fx)
{
    for (size_t i = 0; i < fx->notices_count; i++) {
        const struct gossip_notice *n = &fx->notices[i];

        if (n->kind != GOSSIP_CONFLICT && n->kind != GOSSIP_UNREACHABLE &&
            n->kind != GOSSIP_USELESS) {
            return true;
        }
    }
    return fx->events_count > 0 || fx->queries_count > 0 ||
           fx->incarnation + GOSSIP__RESERVE / 2 > d->keeper.reserved;
}

void gossip__feed(struct gossip_driver *d, struct gossip_event *ev)
{
    struct gossip_effects fx;

    if (d->is_stopping) {
        return;
    }
    MU_ASSERT(!d->is_feeding); /* a listener that fed us would pull its views away */
    d->is_feeding = true;
    ev->now_ns = mu_clock_ns();
    ev->now_ms = ev->now_ns / MU_NS_PER_MS;
    gossip_step(d->core, ev, &fx);
    gossip__udp_send(d, fx.sends, fx.sends_count);
    for (size_t i = 0; i < fx.streams_count; i++) {
        gossip__streams_op(d->streams, &fx.streams[i]);
    }
    if (fx.has_round) {
        mu_sample_add(&d->rounds, (double)(mu_clock_ns() - ev->now_ns) / MU_NS_PER_MS);
    }
    aim(d, fx.wake_at_ms);
    if (concerns_state(d, &fx)) {
        gossip__keeper_due(d);
    }
    if (fx.notices_count > 0 && !d->owes_start) {
        d->notify(d->notify_data, fx.notices, fx.notices_count);
    }
    for (size_t i = 0; i < fx.dones_count; i++) {
        gossip__orders_answer(d, &fx.dones[i]);
    }
    gossip__asks_deliver(d, &fx);
    if (fx.keys != NULL && d->listener.keys != NULL) {
        d->listener.keys(d->listener.data, fx.keys);
    }
    d->is_feeding = false;
}

static void tell_start(struct gossip_driver *d)
{
    struct gossip_notice n = { .kind = GOSSIP_JOINED };

    d->owes_start = false;
    MU_ASSERT(gossip_find(d->core, d->options.core.name, &n.member));
    d->notify(d->notify_data, &n, 1);
}

static void on_soon(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;

    if (d->owes_start) {
        tell_start(d);
    }
    gossip__streams_failed(d->streams);
    gossip__udp_failed(d);
    gossip__orders_run(d);
}

void gossip__soon(struct gossip_driver *d)
{
    if (!d->is_stopping && d->is_started) {
        MU_ASSERT(uv_timer_start(&d->soon, on_soon, 0, 0) == 0);
    }
}

/* -- new ----------------------------------------------------------------------------------------
 */

static void on_log(void *data, enum mu_log_level level, const char *fmt, va_list args)
    MU_PRINTF(3, 0);

static void on_log(void *data, enum mu_log_level level, const char *fmt, va_list args)
{
    const struct gossip_driver *d = data;
    struct mu_buf line = MU_BUF_NONE;

    if (mu_log_on(level)) {
        mu_buf_vaddf(&line, fmt, args);
        mu_log_write(level, d->module, mu_buf_text(&line), &MU_LOG_END);
        mu_buf_deinit(&line);
    }
}

static const char *copy_text(struct gossip_driver *d, const char *text)
{
    return text != NULL ? mu_arena_strdup(&d->arena, text) : NULL;
}

void gossip__driver_sealing(struct gossip_driver *d, const struct gossip_sealing *sealing)
{
    d->options.core.sealing = *sealing;
    gossip_keys_wipe(&d->keys);
    if (sealing->keys != NULL) {
        d->keys = *sealing->keys;
        d->options.core.sealing.keys = &d->keys;
    }
    if (sealing->keyring != NULL) {
        d->keys.ring = *sealing->keyring;
    }
    d->options.core.sealing.keyring = &d->keys.ring;
}

enum mu_code gossip_driver_new(struct gossip_driver **out, struct uv_loop_s *loop,
                               const struct gossip_driver_options *options, struct mu_err *err)
{
    struct gossip_driver *d;

    if (options->core.name == NULL || options->core.pool == NULL || options->bind.ip_bytes == 0) {
        return mu_fail(err, MU_INVALID, "gossip needs a name, a pool and an address to bind to");
    }
    const char *slash = strrchr(options->core.pool, '/');

    d = mu_new(sizeof *d);
    d->loop = loop;
    d->udp = -1;
    mu_arena_init(&d->arena, 0);
    mu_arena_init(&d->keeper.arena, 0);
    mu_list_init(&d->orders);
    mu_list_init(&d->askers);
    mu_list_init(&d->lookups);
    d->options = *options;
    d->options.core.name = copy_text(d, options->core.name);
    d->options.core.pool = copy_text(d, options->core.pool);
    d->options.core.label = copy_text(d, options->core.label);
    d->options.core.tags = gossip__pairs_copy(&d->arena, &options->core.tags);
    gossip__driver_sealing(d, &options->core.sealing);
    d->options.core.log = on_log;
    d->options.core.log_data = d;
    d->module =
        mu_arena_printf(&d->arena, "agent.serf.%s", slash != NULL ? slash + 1 : options->core.pool);
    if (options->state_dir != NULL) {
        d->keeper.path = mu_arena_printf(&d->arena, "%s/members", options->state_dir);
    }
    d->options.state_dir = NULL;
    d->options.serf_snapshot = copy_text(d, options->serf_snapshot);
    d->streams = gossip__streams_new(d);
    *out = d;
    return MU_OK;
}

/* -- start --------------------------------------------------------------------------------------
 */

/* The address that others see when we send to somewhere far: that of the default route. */
static enum mu_code route_address(struct mu_addr *out, struct mu_err *err)
{
    static const struct mu_addr far_v4 = { .ip = { 192, 0, 2, 1 }, .ip_bytes = 4, .port = 9 };
    static const struct mu_addr far_v6 = { .ip = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 },
                                           .ip_bytes = 16,
                                           .port = 9 };
    bool is_v4 = out->ip_bytes == 4;
    struct sockaddr_storage sa;
    socklen_t bytes = is_v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    struct mu_addr found = MU_ADDR_NONE;

    mu_addr_to_sockaddr(is_v4 ? &far_v4 : &far_v6, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&sa, bytes) == 0) {
        bytes = sizeof sa;
        if (getsockname(fd, (struct sockaddr *)&sa, &bytes) == 0) {
            (void)mu_addr_from_sockaddr((const struct sockaddr *)&sa, &found);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (found.ip_bytes == 0 || mu_addr_is_any(&found) || mu_addr_is_loopback(&found)) {
        return mu_fail(err, MU_INVALID, "No private %s address found", is_v4 ? "IPv4" : "IPv6");
    }
    found.port = 0;
    *out = found;
    return MU_OK;
}

/* Not given: the address we are bound to, or that of the default route (11). */
static enum mu_code advertise_choose(struct gossip_driver *d, struct mu_err *err)
{
    struct mu_addr *advertise = &d->options.core.advertise;
    uint16_t port = advertise->port != 0 ? advertise->port : d->options.bind.port;
    char text[MU_ADDR_TEXT_MAX];
    enum mu_code rc = MU_OK;

    if (advertise->ip_bytes == 0) {
        *advertise = d->options.bind;
        if (mu_addr_is_any(advertise)) {
            rc = route_address(advertise, err);
            mu_addr_ip_text(advertise, text);
            if (rc == MU_OK) {
                mu_log(MU_INFO, d->module, "Advertising the address of the default route",
                       mu_kv("address", text));
            }
        }
    }
    advertise->port = port;
    return rc;
}

/* Both sockets on one number; with port 0 any that is free for both. */
static enum mu_code sockets_open(struct gossip_driver *d, struct mu_err *err)
{
    bool is_any = d->options.bind.port == 0;
    enum mu_code rc = MU_IO;

    for (unsigned i = 0; i < (is_any ? PORT_TRIES : 1U) && rc != MU_OK; i++) {
        struct mu_addr at = d->options.bind;

        rc = gossip__streams_listen(d->streams, &at, err);
        if (rc != MU_OK) {
            continue;
        }
        rc = gossip__udp_open(d, &at, err);
        if (rc == MU_OK) {
            d->options.bind.port = at.port;
        } else {
            gossip__streams_unlisten(d->streams);
        }
    }
    return rc;
}

static void handles_open(struct gossip_driver *d)
{
    uv_timer_t *timers[] = { &d->wake, &d->soon, &d->keeper.timer, &d->lookup_timer };

    for (size_t i = 0; i < MU_LEN(timers); i++) {
        MU_ASSERT(uv_timer_init(d->loop, timers[i]) == 0);
        timers[i]->data = d;
        gossip__handle_opened(d);
    }
    gossip__udp_start(d);
    gossip__streams_start(d->streams);
}

/* What can fail comes first and holds no handle: after a failure the driver may be freed. */
enum mu_code gossip_driver_start(struct gossip_driver *d, gossip_notify_fn *notify, void *data,
                                 struct mu_err *err)
{
    struct gossip_options *core = &d->options.core;
    struct gossip_event ev = { .kind = GOSSIP_EV_START };
    enum mu_code rc;

    MU_ASSERT(!d->is_started);
    d->notify = notify;
    d->notify_data = data;
    rc = sockets_open(d, err);
    if (rc == MU_OK) {
        rc = advertise_choose(d, err);
    }
    if (rc == MU_OK) {
        rc = gossip__keeper_open(d, err);
    }
    randombytes_buf(core->nonce_prefix, sizeof core->nonce_prefix);
    core->seed = mu_rand_system();
    core->boot_id = core->boot_id != 0 ? core->boot_id : mu_rand_system() | 1;
    if (rc == MU_OK) {
        rc = gossip_new(&d->core, core, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    handles_open(d);
    d->is_started = true;
    d->owes_start = true; /* nobody is told from inside this call */
    gossip__feed(d, &ev);
    gossip__soon(d);
    return MU_OK;
}

/* -- stop ---------------------------------------------------------------------------------------
 */

void gossip_driver_stop(struct gossip_driver *d, gossip_stopped_fn *stopped, void *data)
{
    MU_ASSERT(d->is_started && !d->is_stopping);
    if (!d->keeper.has_left) {
        mu_logf(MU_WARN, d->module, "serf: Shutdown without a Leave");
    }
    d->is_stopping = true;
    d->stopped = stopped;
    d->stopped_data = data;
    gossip__keeper_stop(d);
    gossip__streams_stop(d->streams);
    gossip__close(d, (uv_handle_t *)&d->poll);
    gossip__close(d, (uv_handle_t *)&d->wake);
    gossip__close(d, (uv_handle_t *)&d->soon);
    gossip__close(d, (uv_handle_t *)&d->keeper.timer);
    gossip__close(d, (uv_handle_t *)&d->lookup_timer);
    gossip__orders_stop(d);
    gossip__asks_stop(d);
}

void gossip_driver_free(struct gossip_driver *d)
{
    if (d == NULL) {
        return;
    }
    MU_ASSERT(d->handles == 0);
    if (d->udp >= 0) {
        (void)close(d->udp);
    }
    gossip_free(d->core);
    gossip_keys_wipe(&d->keys);
    gossip__streams_free(d->streams);
    gossip__keeper_free(d);
    mu_arena_deinit(&d->arena);
    mu_free(d);
}

/* -- questions ----------------------------------------------------------------------------------
 */

struct mu_addr gossip_driver_address(const struct gossip_driver *d)
{
    return d->options.core.advertise;
}

void gossip_driver_each(const struct gossip_driver *d, gossip_member_fn *each, void *data)
{
    gossip_each(d->core, each, data);
}

bool gossip_driver_find(const struct gossip_driver *d, const char *name, struct gossip_view *out)
{
    return gossip_find(d->core, name, out);
}

void gossip_driver_each_broken_link(const struct gossip_driver *d, gossip_link_fn *each, void *data)
{
    gossip_each_broken_link(d->core, each, data);
}

void gossip_driver_each_refusal(const struct gossip_driver *d, uint64_t age_ms,
                                gossip_refusal_fn *each, void *data)
{
    uint64_t now_ms = gossip__now();

    gossip_each_refusal(d->core, now_ms > age_ms ? now_ms - age_ms : 1, each, data);
}

void gossip_driver_each_misplaced(const struct gossip_driver *d, uint64_t age_ms,
                                  gossip_misplaced_fn *each, void *data)
{
    uint64_t now_ms = gossip__now();

    gossip_each_misplaced(d->core, now_ms > age_ms ? now_ms - age_ms : 1, each, data);
}

bool gossip_driver_explain(const struct gossip_driver *d, const char *name,
                           struct gossip_account *out)
{
    bool is_met = gossip_explain(d->core, name, out);

    out->now_ms = is_met ? gossip__now() : 0;
    return is_met;
}

void gossip_driver_each_record(const struct gossip_driver *d, const char *name,
                               gossip_record_fn *each, void *data)
{
    gossip_each_record(d->core, name, each, data);
}

bool gossip_driver_forgets(const struct gossip_driver *d, const char *name,
                           struct gossip_forgetting *out)
{
    bool is_gone = gossip_forgets(d->core, name, out);

    out->now_ms = is_gone ? gossip__now() : 0;
    return is_gone;
}

bool gossip_driver_coordinate(const struct gossip_driver *d, const char *name,
                              struct coordinate *out)
{
    return gossip_coordinate(d->core, name, out);
}

const struct mu_sample *gossip_driver_sample(const struct gossip_driver *d,
                                             enum gossip_sample which)
{
    switch (which) {
    case GOSSIP_SAMPLE_ROUND: return &d->rounds;
    case GOSSIP_SAMPLE_KEPT: return &d->keeper.took;
    case GOSSIP_SAMPLE_PROBE:
    case GOSSIP_SAMPLE_SYNC:
    case GOSSIP_SAMPLE_SERF_IN:
    case GOSSIP_SAMPLE_SERF_OUT:
    case GOSSIP_SAMPLE_ADJUSTMENT: return gossip_sample(d->core, which);
    case GOSSIP_SAMPLES_COUNT: break;
    }
    MU_UNREACHABLE_CODE();
}

void gossip_driver_counters(const struct gossip_driver *d, uint64_t out[GOSSIP_COUNTERS_COUNT])
{
    struct gossip_summary s;

    gossip_summarize(d->core, &s);
    memcpy(out, s.counters, sizeof s.counters);
}

void gossip_driver_each_accuser(const struct gossip_driver *d, gossip_accuser_fn *each, void *data)
{
    gossip_each_accuser(d->core, each, data);
}

void gossip_driver_warn_of_depths(const struct gossip_driver *d)
{
    struct gossip_summary s;

    gossip_summarize(d->core, &s);
    const struct {
        const char *name;
        size_t depth;
    } queues[] = { { "Intent", s.intent_queue },
                   { "Event", s.event_queue },
                   { "Query", s.query_queue } };

    for (size_t i = 0; i < MU_LEN(queues); i++) {
        if (queues[i].depth > DEPTH_WARN) {
            mu_logf(MU_WARN, d->module, "serf: %s queue depth: %zu", queues[i].name,
                    queues[i].depth);
        }
    }
}

struct gossip_stats gossip_driver_stats(const struct gossip_driver *d)
{
    static const enum gossip_counter dropped[] = {
        GOSSIP_COUNT_BAD_MAGIC,   GOSSIP_COUNT_BAD_VERSION,  GOSSIP_COUNT_OTHER_CLUSTER,
        GOSSIP_COUNT_UNKNOWN_KEY, GOSSIP_COUNT_FORGED,       GOSSIP_COUNT_REPLAYED,
        GOSSIP_COUNT_CLEAR,       GOSSIP_COUNT_BAD_CHECKSUM, GOSSIP_COUNT_MALFORMED,
    };
    struct gossip_summary s;
    struct gossip_stats stats;

    gossip_summarize(d->core, &s);
    stats = (struct gossip_stats){ .members = s.members,
                                   .alive = s.alive,
                                   .failed = s.failed,
                                   .left = s.left,
                                   .health_score = s.health_score,
                                   .core_queue = s.core_queue,
                                   .suspects = s.suspects,
                                   .sync_sent_bytes = s.sync_sent_bytes,
                                   .sync_taken_bytes = s.sync_taken_bytes,
                                   .kept_lines = d->keeper.lines,
                                   .intent_queue = s.intent_queue,
                                   .event_queue = s.event_queue,
                                   .query_queue = s.query_queue,
                                   .member_time = s.member_time,
                                   .event_time = s.event_time,
                                   .query_time = s.query_time,
                                   .packets_in = s.counters[GOSSIP_COUNT_PACKETS_IN],
                                   .packets_out = s.counters[GOSSIP_COUNT_PACKETS_OUT],
                                   .kernel_drops = d->kernel_drops,
                                   .kernel_drops_age_ms =
                                       d->kernel_drops > 0
                                           ? (mu_clock_ns() - d->kernel_dropped_ns) / MU_NS_PER_MS
                                           : UINT64_MAX,
                                   .incarnation = s.incarnation,
                                   .coordinate_resets = s.counters[GOSSIP_COUNT_COORDINATE_RESETS],
                                   .clear = s.clear };
    for (size_t i = 0; i < MU_LEN(dropped); i++) {
        stats.packets_dropped += s.counters[dropped[i]];
    }
    return stats;
}
