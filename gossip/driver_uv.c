/* driver_uv.c - datagrams, time, names and files around the gossip core (driver.h).
 *
 * One raw UDP socket watched by the loop: received in batches, and read empty before a timer is
 * told to the core, so that answers which wait in the socket count (spec/gossip.md 5.6). What the
 * kernel hears back from a dead host (ICMP) comes through the socket's error queue.
 *
 * What a caller asks for (join, leave, tags, force-leave) is carried out from a turn of its own, so
 * that no callback ever comes from inside a call. The state file is written on libuv's pool, at
 * most once a second, and ahead: the incarnation in it is one that was not used yet.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <time.h>

#include <linux/errqueue.h> /* needs struct timespec first */

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "driver_parts.h"
#include "state.h"

#define MODULE          "agent.serf.lan"
#define BATCH           16 /* datagrams a system call */
#define BATCHES_MAX     64 /* in one turn: then the loop goes round once */
#define PORT_TRIES      32 /* for a port that is free for UDP and TCP alike */
#define RECEIVE_BUFFER  (2 * 1024 * 1024)
#define STATE_PAUSE_MS  1000
#define EPOCH_2020_S    1577836800LL /* the seed of an incarnation without a file (3 item 3) */
#define DEFAULT_TARGETS 16

enum order_kind { ORDER_JOIN, ORDER_LEAVE, ORDER_FORCE, ORDER_TAGS };

/* Something a caller asked for. */
struct order {
    struct mu_link place;
    enum order_kind kind;
    struct gossip_driver *driver;
    uint64_t id;
    struct mu_arena arena;
    struct gossip_target *targets; /* JOIN */
    size_t targets_count, targets_room;
    unsigned lookups; /* names still being resolved */
    bool is_sent;     /* the core has it: `dones` answers */
    gossip_joined_fn *joined;
    gossip_left_fn *left;
    void *data;
    const char *name; /* FORCE */
    bool prune;
    struct mu_pairs tags; /* TAGS */
};

struct lookup {
    uv_getaddrinfo_t req;
    struct order *order;
    const char *given;
    char host[256];
    uint16_t port;
};

struct gossip_driver {
    uv_loop_t *loop;
    struct mu_arena arena; /* copies of the options' strings */
    struct gossip_driver_options options;
    struct gossip *core;
    struct gossip__streams *streams;
    int udp;
    uv_poll_t poll;
    uv_timer_t wake, soon;
    bool has_handles, is_feeding, is_stopping;
    unsigned handles;
    uint64_t next_order;
    struct mu_link orders;
    gossip_notify_fn *notify;
    void *notify_data;
    gossip_stopped_fn *stopped;
    void *stopped_data;

    struct { /* the state file */
        char *path;
        uint64_t reserved;
        bool is_due, is_writing, has_left;
        uint64_t written_ms;
        uv_timer_t timer;
        uv_work_t work;
        struct mu_buf text;
        struct mu_err error;
        bool is_failing;
    } state;

    uint8_t packets[BATCH][MU_GOSSIP_RECEIVE_MAX + 1];
};

static void order_free(struct order *o);
static void state_due(struct gossip_driver *d);

uint64_t gossip__now(const struct gossip_driver *d)
{
    (void)d;
    return uv_hrtime() / (uint64_t)MU_NS_PER_MS;
}

/* -- handles --------------------------------------------------------------------------------------
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

static void on_wake(uv_timer_t *timer);
static void on_soon(uv_timer_t *timer);

void gossip__soon(struct gossip_driver *d)
{
    if (!d->is_stopping) {
        MU_ASSERT(uv_timer_start(&d->soon, on_soon, 0, 0) == 0);
    }
}

/* -- effects
 * ---------------------------------------------------------------------------------------- */

static void udp_send(struct gossip_driver *d, const struct gossip_send *sends, size_t count)
{
    struct sockaddr_storage to[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];

    for (size_t i = 0; i < count; i++) {
        mu_addr_to_sockaddr(&sends[i].to, &to[i]);
        parts[i].iov_base = (void *)(uintptr_t)sends[i].data.data;
        parts[i].iov_len = sends[i].data.bytes;
        messages[i] = (struct mmsghdr){ .msg_hdr = {
                                            .msg_name = &to[i],
                                            .msg_namelen = to[i].ss_family == AF_INET
                                                               ? sizeof(struct sockaddr_in)
                                                               : sizeof(struct sockaddr_in6),
                                            .msg_iov = &parts[i],
                                            .msg_iovlen = 1,
                                        } };
    }
    for (size_t sent = 0; sent < count;) {
        int put = sendmmsg(d->udp, messages + sent, (unsigned)(count - sent), 0);

        /* An error left by an earlier datagram, or no room: the protocol repeats what matters. */
        sent += put > 0 ? (size_t)put : 1;
    }
}

static void timer_aim(struct gossip_driver *d, uint64_t wake_at_ms)
{
    uint64_t now_ms = gossip__now(d);

    if (wake_at_ms == 0) {
        (void)uv_timer_stop(&d->wake);
        return;
    }
    uv_update_time(d->loop); /* or a long turn would make the timer early */
    MU_ASSERT(uv_timer_start(&d->wake, on_wake, wake_at_ms > now_ms ? wake_at_ms - now_ms : 0, 0) ==
              0);
}

static struct order *order_find(struct gossip_driver *d, uint64_t id)
{
    MU_LIST_EACH (place, &d->orders) {
        struct order *o = MU_CONTAINER(place, struct order, place);

        if (o->id == id) {
            return o;
        }
    }
    return NULL;
}

static void answer(struct gossip_driver *d, const struct gossip_done *done)
{
    struct order *o = order_find(d, done->id);

    if (o == NULL) {
        return;
    }
    if (o->kind == ORDER_JOIN) {
        o->joined(o->data, done->contacted, done->why);
    } else {
        o->left(o->data);
    }
    order_free(o);
}

static bool concerns_state(const struct gossip_effects *fx)
{
    for (size_t i = 0; i < fx->notices_count; i++) {
        if (fx->notices[i].kind != GOSSIP_UPDATED && fx->notices[i].kind != GOSSIP_CONFLICT) {
            return true;
        }
    }
    return false;
}

void gossip__feed(struct gossip_driver *d, struct gossip_event *ev)
{
    struct gossip_effects fx;

    if (d->is_stopping) {
        return;
    }
    MU_ASSERT(!d->is_feeding); /* a listener that fed us would pull its views away */
    d->is_feeding = true;
    ev->now_ms = gossip__now(d);
    gossip_step(d->core, ev, &fx);
    for (size_t at = 0; at < fx.sends_count; at += BATCH) {
        size_t left = fx.sends_count - at;

        udp_send(d, fx.sends + at, left < BATCH ? left : BATCH);
    }
    for (size_t i = 0; i < fx.streams_count; i++) {
        gossip__streams_op(d->streams, &fx.streams[i]);
    }
    timer_aim(d, fx.wake_at_ms);
    if (concerns_state(&fx)) {
        state_due(d);
    }
    if (fx.notices_count > 0 && d->notify != NULL) {
        d->notify(d->notify_data, fx.notices, fx.notices_count);
    }
    for (size_t i = 0; i < fx.dones_count; i++) {
        answer(d, &fx.dones[i]);
    }
    d->is_feeding = false;
}

/* -- datagrams in
 * ------------------------------------------------------------------------------------- */

/* What hosts answered to datagrams of ours: port unreachable is a process that is gone. */
static void drain_errors(struct gossip_driver *d)
{
    for (unsigned i = 0; i < BATCH * BATCHES_MAX; i++) {
        struct sockaddr_storage to;
        uint8_t control[512];
        struct msghdr m = {
            .msg_name = &to,
            .msg_namelen = sizeof to,
            .msg_control = control,
            .msg_controllen = sizeof control,
        };
        struct gossip_event ev = { .kind = GOSSIP_EV_SEND_FAILED };

        if (recvmsg(d->udp, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            return;
        }
        if (!mu_addr_from_sockaddr((const struct sockaddr *)&to, &ev.failed.to)) {
            continue;
        }
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
            struct sock_extended_err error;

            if (c->cmsg_len < CMSG_LEN(sizeof error)) {
                continue;
            }
            memcpy(&error, CMSG_DATA(c), sizeof error);
            ev.failed.is_remote =
                error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
        }
        gossip__feed(d, &ev);
    }
}

static int receive_batch(struct gossip_driver *d, struct sockaddr_storage *from,
                         struct mmsghdr *messages)
{
    struct iovec parts[BATCH];

    for (size_t i = 0; i < BATCH; i++) {
        parts[i].iov_base = d->packets[i];
        parts[i].iov_len = sizeof d->packets[i];
        messages[i] = (struct mmsghdr){ .msg_hdr = {
                                            .msg_name = &from[i],
                                            .msg_namelen = sizeof from[i],
                                            .msg_iov = &parts[i],
                                            .msg_iovlen = 1,
                                        } };
    }
    int got = recvmmsg(d->udp, messages, BATCH, MSG_DONTWAIT, NULL);

    for (int i = 0; i < got; i++) {
        messages[i].msg_hdr.msg_iov = NULL; /* it pointed into this frame */
    }
    return got;
}

/* Read the socket empty, within the turn's bound. */
static void drain(struct gossip_driver *d)
{
    struct sockaddr_storage from[BATCH];
    struct mmsghdr messages[BATCH];

    for (unsigned batch = 0; batch < BATCHES_MAX; batch++) {
        int got = receive_batch(d, from, messages);

        for (int i = 0; i < got; i++) {
            struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

            ev.packet.data = mu_span_of(d->packets[i], messages[i].msg_len);
            if (messages[i].msg_len > MU_GOSSIP_RECEIVE_MAX ||
                !mu_addr_from_sockaddr((const struct sockaddr *)&from[i], &ev.packet.from)) {
                continue; /* nobody of ours sends such */
            }
            gossip__feed(d, &ev);
        }
        if (got < BATCH) {
            return;
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct gossip_driver *d = poll->data;

    (void)events;
    if (d->is_stopping) {
        return;
    }
    drain_errors(d);
    drain(d);
    if (status < 0) { /* the loop stops watching at an error that waits in the queue */
        MU_ASSERT(uv_poll_start(poll, UV_READABLE, on_readable) == 0);
    }
}

static void on_wake(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;
    struct gossip_event ev = { .kind = GOSSIP_EV_WAKE };

    drain_errors(d);
    drain(d);
    gossip__feed(d, &ev);
}

/* -- orders
 * -------------------------------------------------------------------------------------------- */

static struct order *order_new(struct gossip_driver *d, enum order_kind kind)
{
    struct order *o = mu_new(sizeof *o);

    o->driver = d;
    o->kind = kind;
    o->id = ++d->next_order;
    mu_arena_init(&o->arena, 0);
    mu_list_push_back(&d->orders, &o->place);
    return o;
}

static void order_free(struct order *o)
{
    mu_list_remove(&o->place);
    mu_arena_deinit(&o->arena);
    mu_free(o);
}

static void order_send(struct gossip_driver *d, struct order *o)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_WAKE };

    o->is_sent = true;
    switch (o->kind) {
    case ORDER_JOIN:
        ev.kind = GOSSIP_EV_JOIN;
        ev.join.id = o->id;
        ev.join.targets = o->targets;
        ev.join.targets_count = o->targets_count;
        gossip__feed(d, &ev);
        return; /* answered by `dones` */
    case ORDER_LEAVE:
        ev.kind = GOSSIP_EV_LEAVE;
        ev.leave.id = o->id;
        d->state.has_left = true;
        state_due(d);
        gossip__feed(d, &ev);
        return;
    case ORDER_FORCE:
        ev.kind = GOSSIP_EV_FORCE_LEAVE;
        ev.force.name = o->name;
        ev.force.prune = o->prune;
        break;
    case ORDER_TAGS:
        ev.kind = GOSSIP_EV_TAGS;
        ev.tags = o->tags;
        break;
    }
    gossip__feed(d, &ev);
    order_free(o);
}

static struct order *order_ready(struct gossip_driver *d)
{
    MU_LIST_EACH (place, &d->orders) {
        struct order *o = MU_CONTAINER(place, struct order, place);

        if (!o->is_sent && o->lookups == 0) {
            return o;
        }
    }
    return NULL;
}

static void on_soon(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;
    struct order *o;

    gossip__streams_failed(d->streams);
    while (!d->is_stopping && (o = order_ready(d)) != NULL) {
        order_send(d, o);
    }
}

/* -- join: names to addresses
 * ------------------------------------------------------------------------------ */

static void target_add(struct order *o, const char *given, const struct mu_addr *addr,
                       const char *failed)
{
    if (o->targets_count == o->targets_room) {
        size_t room = o->targets_room > 0 ? o->targets_room * 2 : DEFAULT_TARGETS;
        struct gossip_target *grown = mu_arena_array(&o->arena, room, sizeof *grown);

        if (o->targets_count > 0) {
            memcpy(grown, o->targets, o->targets_count * sizeof *grown);
        }
        o->targets = grown;
        o->targets_room = room;
    }
    o->targets[o->targets_count++] = (struct gossip_target){
        .given = given,
        .failed = failed,
        .addr = addr != NULL ? *addr : MU_ADDR_NONE,
    };
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *l = MU_CONTAINER(req, struct lookup, req);
    struct order *o = l->order;
    struct gossip_driver *d = o->driver;
    struct mu_addr addr;

    o->lookups--;
    if (status != 0) {
        target_add(o, l->given, NULL,
                   mu_arena_printf(&o->arena, "lookup %s: %s", l->host,
                                   status == UV_EAI_NONAME ? "no such host" : uv_strerror(status)));
    }
    for (const struct addrinfo *a = found; status == 0 && a != NULL; a = a->ai_next) {
        if (mu_addr_from_sockaddr(a->ai_addr, &addr)) {
            addr.port = l->port;
            target_add(o, l->given, &addr, NULL);
        }
    }
    uv_freeaddrinfo(found);
    mu_free(l);
    gossip__handle_closed(d);
    if (!d->is_stopping) {
        gossip__soon(d);
    } else if (o->lookups == 0) {
        order_free(o); /* its caller was answered when we stopped */
    }
}

static void resolve(struct order *o, const char *given, struct mu_span host, uint16_t port)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct lookup *l = mu_new(sizeof *l);

    l->order = o;
    l->given = given;
    l->port = port;
    (void)snprintf(l->host, sizeof l->host, "%.*s", MU_SPAN_FMT(host));
    if (host.bytes >= sizeof l->host ||
        uv_getaddrinfo(o->driver->loop, &l->req, on_resolved, l->host, NULL, &hints) != 0) {
        target_add(o, given, NULL, "not a host name");
        mu_free(l);
        return;
    }
    o->lookups++;
    gossip__handle_opened(o->driver);
}

/* "host", "host:port", "name/host:port": the name before a slash is for people. */
static void target_parse(struct order *o, const char *text)
{
    const char *given = mu_arena_strdup(&o->arena, text);
    const char *slash = strrchr(given, '/');
    uint16_t port = o->driver->options.core.advertise.port;
    struct mu_span host;
    struct mu_addr addr;

    if (!mu_addr_split(mu_span_text(slash != NULL ? slash + 1 : given), &host, &port)) {
        target_add(o, given, NULL, "not of the form host or host:port");
        return;
    }
    if (mu_addr_parse_ip(host, &addr)) {
        addr.port = port;
        target_add(o, given, &addr, NULL);
        return;
    }
    resolve(o, given, host, port);
}

void gossip_driver_join(struct gossip_driver *d, const char *const *addresses, size_t count,
                        gossip_joined_fn *joined, void *data)
{
    struct order *o = order_new(d, ORDER_JOIN);

    o->joined = joined;
    o->data = data;
    for (size_t i = 0; i < count; i++) {
        target_parse(o, addresses[i]);
    }
    gossip__soon(d);
}

void gossip_driver_leave(struct gossip_driver *d, gossip_left_fn *left, void *data)
{
    struct order *o = order_new(d, ORDER_LEAVE);

    o->left = left;
    o->data = data;
    gossip__soon(d);
}

enum mu_code gossip_driver_force_leave(struct gossip_driver *d, const char *name, bool prune,
                                       struct mu_err *err)
{
    struct gossip_view view;

    if (!gossip_find(d->core, name, &view)) {
        return mu_fail(err, MU_NOT_FOUND, "no member is called '%s'", name);
    }
    struct order *o = order_new(d, ORDER_FORCE);

    o->name = mu_arena_strdup(&o->arena, name);
    o->prune = prune;
    gossip__soon(d);
    return MU_OK;
}

static struct mu_pairs pairs_copy(struct mu_arena *arena, const struct mu_pairs *from)
{
    struct mu_pairs to = { mu_arena_array(arena, from->count, sizeof *to.items), from->count };

    for (size_t i = 0; i < from->count; i++) {
        to.items[i].key = mu_arena_span(arena, from->items[i].key);
        to.items[i].value = mu_arena_span(arena, from->items[i].value);
    }
    return to;
}

enum mu_code gossip_driver_set_tags(struct gossip_driver *d, const struct mu_pairs *tags,
                                    struct mu_err *err)
{
    if (gossip_tags_bytes(tags) > MU_GOSSIP_META_MAX) {
        return mu_fail(err, MU_TOO_BIG, "Encoded length of tags exceeds limit of %d bytes",
                       MU_GOSSIP_META_MAX);
    }
    struct order *o = order_new(d, ORDER_TAGS);

    o->tags = pairs_copy(&o->arena, tags);
    gossip__soon(d);
    return MU_OK;
}

/* -- the state file
 * ---------------------------------------------------------------------------------------- */

static void add_peer(void *data, const struct gossip_view *member)
{
    gossip__state_add(data, member);
}

static void state_make(struct gossip_driver *d)
{
    struct gossip_summary s;

    gossip_summarize(d->core, &s);
    if (s.incarnation + GOSSIP__RESERVE / 2 > d->state.reserved) {
        d->state.reserved = s.incarnation + GOSSIP__RESERVE;
    }
    mu_buf_clear(&d->state.text);
    gossip__state_begin(&d->state.text, d->state.reserved, s.member_time,
                        d->state.has_left && !d->options.rejoin_after_leave);
    gossip_each(d->core, add_peer, &d->state.text);
}

static void state_write(uv_work_t *work) /* on the pool */
{
    struct gossip_driver *d = work->data;

    d->state.error = MU_ERR_NONE;
    if (mu_file_replace(d->state.path, mu_buf_span(&d->state.text), 0600, &d->state.error) !=
        MU_OK) {
        return; /* told on the loop */
    }
}

static void on_state_timer(uv_timer_t *timer);

static void on_state_written(uv_work_t *work, int status)
{
    struct gossip_driver *d = work->data;
    bool has_failed = d->state.error.code != MU_OK;

    (void)status;
    d->state.is_writing = false;
    d->state.written_ms = gossip__now(d);
    if (has_failed && !d->state.is_failing) {
        mu_log(MU_WARN, MODULE, "Cannot keep the list of members, will try again",
               mu_kv("error", d->state.error.text));
    }
    d->state.is_failing = has_failed;
    d->state.is_due = d->state.is_due || has_failed;
    if (d->state.is_due && !d->is_stopping) {
        MU_ASSERT(uv_timer_start(&d->state.timer, on_state_timer, STATE_PAUSE_MS, 0) == 0);
    }
    gossip__handle_closed(d);
}

static void state_start(struct gossip_driver *d)
{
    d->state.is_due = false;
    d->state.is_writing = true;
    state_make(d);
    d->state.work.data = d;
    gossip__handle_opened(d);
    MU_ASSERT(uv_queue_work(d->loop, &d->state.work, state_write, on_state_written) == 0);
}

static void on_state_timer(uv_timer_t *timer)
{
    struct gossip_driver *d = timer->data;

    if (d->state.is_due && !d->state.is_writing) {
        state_start(d);
    }
}

static void state_due(struct gossip_driver *d)
{
    if (d->state.path == NULL || d->state.is_due) {
        return;
    }
    d->state.is_due = true;
    if (!d->state.is_writing) {
        uint64_t since = gossip__now(d) - d->state.written_ms;

        MU_ASSERT(uv_timer_start(&d->state.timer, on_state_timer,
                                 since < STATE_PAUSE_MS ? STATE_PAUSE_MS - since : 0, 0) == 0);
    }
}

/* What the last life left; the reservation for this one is on disk before a packet is sent. */
static enum mu_code state_open(struct gossip_driver *d, struct mu_arena *arena,
                               struct gossip__state *state, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = MU_OK;

    *state = (struct gossip__state){ .incarnation = 0 };
    if (d->state.path != NULL) {
        rc = mu_file_read(d->state.path, GOSSIP__STATE_MAX, &text, err);
    }
    if (rc == MU_OK && d->state.path != NULL) {
        gossip__state_read(mu_buf_span(&text), arena, state);
        if (state->skipped > 0) {
            mu_log(MU_WARN, MODULE, "Skipped damaged lines", mu_kv("file", d->state.path),
                   mu_kv_u("lines", state->skipped));
        }
    } else if (rc == MU_NOT_FOUND) {
        rc = MU_OK;
    }
    mu_buf_deinit(&text);
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "gossip state");
    }
    uint64_t seed = (uint64_t)(mu_clock_wall_ns() / MU_NS_PER_S - EPOCH_2020_S) << 20;

    d->options.core.incarnation = state->incarnation > 0 ? state->incarnation : seed;
    d->state.reserved = d->options.core.incarnation + GOSSIP__RESERVE;
    if (state->has_left && !d->options.rejoin_after_leave) {
        state->known_count = 0;
    }
    if (d->state.path == NULL) {
        return MU_OK;
    }
    gossip__state_begin(&text, d->state.reserved, state->member_time, state->has_left);
    for (size_t i = 0; i < state->known_count; i++) {
        struct gossip_view peer = {
            .name = state->known[i].name,
            .addr = state->known[i].addr,
            .status = GOSSIP_STATUS_ALIVE,
        };

        gossip__state_add(&text, &peer);
    }
    rc = mu_file_replace(d->state.path, mu_buf_span(&text), 0600, err);
    mu_buf_deinit(&text);
    return rc;
}

/* -- start
 * -------------------------------------------------------------------------------------------------
 */

static void on_log(void *data, enum mu_log_level level, const char *fmt, va_list args)
{
    struct mu_buf line = MU_BUF_NONE;

    (void)data;
    if (!mu_log_on(level)) {
        return;
    }
    mu_buf_vaddf(&line, fmt, args);
    mu_log_write(level, MODULE, mu_buf_text(&line), &MU_LOG_END);
    mu_buf_deinit(&line);
}

enum mu_code gossip_driver_new(struct gossip_driver **out, struct uv_loop_s *loop,
                               const struct gossip_driver_options *options, struct mu_err *err)
{
    struct gossip_driver *d = mu_new(sizeof *d);
    struct gossip_options *core = &d->options.core;

    if (options->core.name == NULL || options->bind.ip_bytes == 0) {
        mu_free(d);
        return mu_fail(err, MU_INVALID, "gossip: a name and an address to bind to are needed");
    }
    d->loop = loop;
    d->udp = -1;
    mu_arena_init(&d->arena, 0);
    mu_list_init(&d->orders);
    d->options = *options;
    core->name = mu_arena_strdup(&d->arena, options->core.name);
    core->pool = mu_arena_strdup(&d->arena, options->core.pool);
    core->label =
        options->core.label != NULL ? mu_arena_strdup(&d->arena, options->core.label) : NULL;
    core->tags = pairs_copy(&d->arena, &options->core.tags);
    core->log = on_log;
    if (options->state_dir != NULL) {
        d->state.path = mu_arena_printf(&d->arena, "%s/members", options->state_dir);
    }
    d->options.state_dir = NULL;
    *out = d;
    return MU_OK;
}

static enum mu_code udp_open(struct gossip_driver *d, const struct mu_addr *at, struct mu_err *err)
{
    struct sockaddr_storage sa;
    char text[MU_ADDR_TEXT_MAX];
    int on = 1;

    mu_addr_to_sockaddr(at, &sa);
    mu_addr_text(at, text);
    d->udp = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->udp < 0 ||
        bind(d->udp, (const struct sockaddr *)&sa,
             at->ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) != 0) {
        int saved = errno;

        return mu_fail(err, MU_IO, "listen udp %s: bind: %s", text,
                       uv_strerror(uv_translate_sys_error(saved)));
    }
    for (int bytes = RECEIVE_BUFFER; bytes > 65536; bytes /= 2) {
        if (setsockopt(d->udp, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0) {
            break;
        }
    }
    (void)setsockopt(d->udp, at->ip_bytes == 4 ? IPPROTO_IP : IPPROTO_IPV6,
                     at->ip_bytes == 4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof on);
    return MU_OK;
}

/* Both sockets on one number; with port 0 whatever is free for both. */
static enum mu_code sockets_open(struct gossip_driver *d, struct mu_err *err)
{
    bool is_any = d->options.bind.port == 0;
    enum mu_code rc = MU_IO;

    for (unsigned i = 0; i < (is_any ? PORT_TRIES : 1) && rc != MU_OK; i++) {
        struct mu_addr at = d->options.bind;

        rc = gossip__streams_listen(d->streams, &at, err);
        if (rc == MU_OK) {
            rc = udp_open(d, &at, err);
        }
        if (rc == MU_OK) {
            d->options.bind.port = at.port;
            break;
        }
        if (d->udp >= 0) {
            (void)close(d->udp);
            d->udp = -1;
        }
        gossip__streams_stop(d->streams);
        if (is_any && i + 1 < PORT_TRIES) {
            d->streams = gossip__streams_new(d, d->loop);
        }
    }
    return rc;
}

static void handles_open(struct gossip_driver *d)
{
    MU_ASSERT(uv_timer_init(d->loop, &d->wake) == 0);
    MU_ASSERT(uv_timer_init(d->loop, &d->soon) == 0);
    MU_ASSERT(uv_timer_init(d->loop, &d->state.timer) == 0);
    d->wake.data = d->soon.data = d->state.timer.data = d;
    d->handles += 3;
    d->has_handles = true;
}

enum mu_code gossip_driver_start(struct gossip_driver *d, gossip_notify_fn *notify, void *data,
                                 struct mu_err *err)
{
    struct gossip_options *core = &d->options.core;
    struct gossip__state state;
    struct mu_arena arena;

    d->notify = notify;
    d->notify_data = data;
    d->streams = gossip__streams_new(d, d->loop);
    enum mu_code rc = sockets_open(d, err);

    if (rc != MU_OK) {
        return rc;
    }
    mu_arena_init(&arena, 0);
    rc = state_open(d, &arena, &state, err);
    if (core->advertise.port == 0) {
        core->advertise.port = d->options.bind.port;
    }
    core->seed = mu_rand_system();
    core->boot_id = core->boot_id != 0 ? core->boot_id : mu_rand_system() | 1;
    core->known = state.known;
    core->known_count = state.known_count;
    core->member_time = state.member_time;
    if (rc == MU_OK) {
        rc = gossip_new(&d->core, core, err);
    }
    mu_arena_deinit(&arena);
    if (rc != MU_OK) {
        gossip__streams_stop(d->streams);
        return rc;
    }
    handles_open(d);
    MU_ASSERT(uv_poll_init(d->loop, &d->poll, d->udp) == 0);
    d->poll.data = d;
    d->handles++;
    MU_ASSERT(uv_poll_start(&d->poll, UV_READABLE, on_readable) == 0);
    struct gossip_event ev = { .kind = GOSSIP_EV_START };

    d->notify = NULL; /* nobody is told from inside this call: a start knows nobody yet */
    gossip__feed(d, &ev);
    d->notify = notify;
    return MU_OK;
}

/* -- stop
 * ---------------------------------------------------------------------------------------------------
 */

static void on_handle_closed(uv_handle_t *handle)
{
    gossip__handle_closed(handle->data);
}

/* Who still waits for an answer gets one. */
static void orders_end(struct gossip_driver *d)
{
    MU_LIST_EACH_SAFE (place, &d->orders) {
        struct order *o = MU_CONTAINER(place, struct order, place);

        if (o->kind == ORDER_JOIN && o->joined != NULL) {
            gossip_joined_fn *joined = o->joined;

            o->joined = NULL;
            joined(o->data, 0, "the agent is stopping");
        } else if (o->kind == ORDER_LEAVE) {
            o->left(o->data);
        }
        mu_list_remove(&o->place);
        if (o->lookups == 0) {
            order_free(o);
        }
    }
}

void gossip_driver_stop(struct gossip_driver *d, gossip_stopped_fn *stopped, void *data)
{
    MU_ASSERT(!d->is_stopping);
    if (d->state.is_due && !d->state.is_writing) {
        state_start(d); /* the last words; counted as a handle */
    }
    d->is_stopping = true;
    d->stopped = stopped;
    d->stopped_data = data;
    gossip__streams_stop(d->streams);
    uv_close((uv_handle_t *)&d->poll, on_handle_closed);
    uv_close((uv_handle_t *)&d->wake, on_handle_closed);
    uv_close((uv_handle_t *)&d->soon, on_handle_closed);
    uv_close((uv_handle_t *)&d->state.timer, on_handle_closed);
    orders_end(d);
}

void gossip_driver_free(struct gossip_driver *d)
{
    if (d == NULL) {
        return;
    }
    if (d->udp >= 0) {
        (void)close(d->udp);
    }
    gossip_free(d->core);
    gossip__streams_free(d->streams);
    mu_buf_deinit(&d->state.text);
    mu_arena_deinit(&d->arena);
    mu_free(d);
}

/* -- questions
 * ------------------------------------------------------------------------------------------------
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

struct gossip_stats gossip_driver_stats(const struct gossip_driver *d)
{
    struct gossip_summary s;

    gossip_summarize(d->core, &s);
    return (struct gossip_stats){
        .members = s.members,
        .alive = s.alive,
        .failed = s.failed,
        .left = s.left,
        .health_score = s.health_score,
        .intent_queue = s.intent_queue,
        .member_time = s.member_time,
        .event_time = s.event_time,
        .query_time = s.query_time,
        .packets_in = s.counters[GOSSIP_COUNT_PACKETS_IN],
        .packets_out = s.counters[GOSSIP_COUNT_PACKETS_OUT],
        .packets_dropped =
            s.counters[GOSSIP_COUNT_BAD_MAGIC] + s.counters[GOSSIP_COUNT_BAD_VERSION] +
            s.counters[GOSSIP_COUNT_OTHER_CLUSTER] + s.counters[GOSSIP_COUNT_ENCRYPTED] +
            s.counters[GOSSIP_COUNT_BAD_CHECKSUM] + s.counters[GOSSIP_COUNT_MALFORMED],
        .incarnation = s.incarnation,
    };
}
