/* dns_uv.c - opening and closing the sockets, and the one timer behind all deadlines. */
#include <ctype.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dns_loop.h"

#define SOCKETS_TRIES 16 /* for a port that is free on both transports */

struct dns_sockets *dns_sockets_new(struct uv_loop_s *loop, struct dns_engine *engine,
                                    const struct dns_tcp_limits *limits)
{
    struct dns_sockets *s = mu_new(sizeof *s);

    s->loop = loop;
    s->engine = engine;
    s->limits = *limits;
    s->batch = dns_udp_batch_new();
    s->tcp = dns_tcp_new(s);
    return s;
}

void dns_sockets_free(struct dns_sockets *s)
{
    if (s != NULL) {
        MU_ASSERT(s->handles == 0);
        dns_tcp_free(s->tcp);
        dns_udp_batch_free(s->batch);
        mu_free(s);
    }
}

struct mu_addr dns_sockets_address(const struct dns_sockets *s, size_t i)
{
    MU_ASSERT(i < s->count);
    return s->addresses[i];
}

size_t dns_sockets_connections(const struct dns_sockets *s)
{
    return dns_tcp_count(s->tcp);
}

/* The loop's time; the wall clock is read once a second, for the serial of SOA. */
struct dns_now dns_sockets_now(struct dns_sockets *s)
{
    uint64_t ms = uv_now(s->loop);

    if (s->wall_s == 0 || ms - s->wall_at_ms >= 1000) {
        s->wall_at_ms = ms;
        s->wall_s = (uint32_t)(mu_clock_wall_ns() / MU_NS_PER_S);
    }
    return (struct dns_now){ ms, s->wall_s };
}

/* -- deadlines --------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct dns_sockets *s = timer->data;

    dns_engine_tick(s->engine, dns_sockets_now(s));
    dns_tcp_tick(s->tcp, uv_now(s->loop));
    dns_sockets_aim(s);
}

static void timer_open(struct dns_sockets *s)
{
    if (!s->has_timer) {
        int rc = uv_timer_init(s->loop, &s->timer);

        MU_ASSERT(rc == 0);
        s->timer.data = s;
        s->has_timer = true;
        s->handles++;
    }
}

void dns_sockets_aim(struct dns_sockets *s)
{
    uint64_t engine_ms = dns_engine_wake_ms(s->engine);
    uint64_t tcp_ms = dns_tcp_wake_ms(s->tcp);
    uint64_t wake_ms = engine_ms == 0 || (tcp_ms != 0 && tcp_ms < engine_ms) ? tcp_ms : engine_ms;
    uint64_t now_ms = uv_now(s->loop);

    if (s->is_stopping || (wake_ms == 0 && !s->has_timer)) {
        return;
    }
    timer_open(s);
    if (wake_ms == 0) {
        (void)uv_timer_stop(&s->timer);
        return;
    }
    /* An earlier aim may stand: waking early costs one look. Only a later one must be moved. */
    uint64_t in_ms = wake_ms > now_ms ? wake_ms - now_ms : 0;

    if (!uv_is_active((uv_handle_t *)&s->timer) || uv_timer_get_due_in(&s->timer) > in_ms) {
        int rc = uv_timer_start(&s->timer, on_timer, in_ms, 0);

        MU_ASSERT(rc == 0);
    }
}

/* -- start ------------------------------------------------------------------------------------- */

enum mu_code dns_listen_failed(const char *transport, const struct mu_addr *address, int error,
                               struct mu_err *err)
{
    char where[MU_ADDR_TEXT_MAX];
    char reason[128];

    mu_addr_text(address, where);
    (void)snprintf(reason, sizeof reason, "%s", strerror(error));
    reason[0] = (char)tolower((unsigned char)reason[0]);
    return mu_fail(err, MU_IO, "listen %s %s: bind: %s", transport, where, reason);
}

static bool has_any_v4(const struct mu_addr *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (addresses[i].ip_bytes == 4 && mu_addr_is_any(&addresses[i])) {
            return true;
        }
    }
    return false;
}

/* Both transports on one address. */
static enum mu_code open_pair(struct dns_sockets *s, struct mu_addr address, bool only_v6,
                              struct mu_err *err)
{
    struct dns_udp *udp = NULL;
    struct dns_listener *listener = NULL;
    enum mu_code rc = dns_udp_open(&udp, s, &address, only_v6, err);

    if (rc == MU_OK) {
        rc = dns_tcp_listen(&listener, s->tcp, &address, only_v6, err);
    }
    if (rc != MU_OK) {
        dns_udp_close(udp);
        return rc;
    }
    s->udp[s->count] = udp;
    s->listeners[s->count] = listener;
    s->addresses[s->count++] = address;
    return MU_OK;
}

static void close_all(struct dns_sockets *s)
{
    for (size_t i = 0; i < s->count; i++) {
        dns_udp_close(s->udp[i]);
        dns_listener_close(s->listeners[i]);
    }
    s->count = 0;
    dns_tcp_close(s->tcp);
}

enum mu_code dns_sockets_start(struct dns_sockets *s, const struct mu_addr *addresses, size_t count,
                               struct mu_err *err)
{
    bool has_v4 = has_any_v4(addresses, count);
    enum mu_code rc = MU_OK;

    if (count > DNS_ADDRESSES_MAX) {
        return mu_fail(err, MU_INVALID, "more than %d addresses for DNS", DNS_ADDRESSES_MAX);
    }
    for (size_t i = 0; i < count && rc == MU_OK; i++) {
        unsigned tries = addresses[i].port == 0 ? SOCKETS_TRIES : 1;

        do { /* a port that the system chose for one transport may be taken on the other */
            rc = open_pair(s, addresses[i], has_v4, err);
        } while (rc != MU_OK && --tries > 0);
    }
    if (rc != MU_OK) {
        close_all(s);
    }
    return rc;
}

/* -- stop -------------------------------------------------------------------------------------- */

void dns_sockets_closed(struct dns_sockets *s)
{
    MU_ASSERT(s->handles > 0);
    s->handles--;
    if (s->handles == 0 && s->is_stopping) {
        s->stopped(s->stopped_data);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct dns_sockets *s = handle->data;

    s->has_timer = false;
    dns_sockets_closed(s);
}

void dns_sockets_stop(struct dns_sockets *s, dns_sockets_stopped_fn *stopped, void *data)
{
    MU_ASSERT(!s->is_stopping);
    timer_open(s); /* so that there is a handle to close, and the callback comes from the loop */
    s->is_stopping = true;
    s->stopped = stopped;
    s->stopped_data = data;
    close_all(s);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}
