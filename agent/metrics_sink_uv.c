/* metrics_sink_uv.c - figures to statsd and statsite, each second.
 *
 *   statsd    datagrams of whole lines; the name is looked up each time, for it may move
 *   statsite  one connection with the same lines, made again a second after it is lost
 *
 * Nobody waits for a sink: while one is slow, the next second tells for both; what was sent and did
 * not arrive is lost. That a sink does not answer is said once, and once more when it does. What is
 * written first into a connection proves nothing: a router takes it for a statsite that is gone,
 * and hangs up, each second again.
 */
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "dial.h"
#include "metrics_text.h"

#define PAUSE_MS       1000U
#define DIAL_MS        5000U
#define DATAGRAM_BYTES 1400U
#define SENT_MIN       2U  /* texts that a connection took, until its sink counts as reached */
#define HEARD_BYTES    256 /* statsite says nothing */

struct sink {
    struct agent *agent; /* NULL: closing; then it goes with its last callback */
    const char *kind;    /* "statsd" */
    char *address;       /* as configured */
    struct mu_span host; /* of it */
    uint16_t port;
    struct timer timer;
    struct metrics_told told;
    struct mu_buf text; /* on its way */
    bool is_failing;
    uv_udp_t udp;            /* statsd */
    uv_getaddrinfo_t lookup; /* statsd */
    struct dial *dial;       /* statsite: being connected */
    uv_stream_t *stream;     /* statsite; NULL: not connected */
    uv_write_t write;
    unsigned sent; /* statsite: texts that this connection took */
    char heard[HEARD_BYTES];
    bool is_busy; /* a lookup or a write is under way */
    bool has_udp; /* not yet closed */
};

struct sinks {
    struct sink *statsd, *statsite; /* NULL: not configured */
};

/* -- the end ----------------------------------------------------------------------------------- */

static void sink_free_once_idle(struct sink *s)
{
    if (s->agent == NULL && !s->is_busy && !s->has_udp) {
        mu_buf_deinit(&s->text);
        mu_free(s->address);
        mu_free(s);
    }
}

static void on_udp_closed(uv_handle_t *handle)
{
    struct sink *s = handle->data;

    s->has_udp = false;
    sink_free_once_idle(s);
}

static void on_stream_closed(uv_handle_t *handle)
{
    mu_free(handle);
}

static void stream_close(struct sink *s)
{
    if (s->stream != NULL) {
        uv_close((uv_handle_t *)s->stream, on_stream_closed);
        s->stream = NULL;
    }
}

static void sink_close(struct sink *s)
{
    if (s == NULL) {
        return;
    }
    timer_cancel(&s->timer);
    if (s->dial != NULL) {
        dial_cancel(s->dial);
    }
    stream_close(s);
    if (s->has_udp) {
        uv_close((uv_handle_t *)&s->udp, on_udp_closed);
    }
    s->agent = NULL;
    sink_free_once_idle(s);
}

/* -- telling ----------------------------------------------------------------------------------- */

static void say(struct sink *s, const char *error)
{
    if (error != NULL && !s->is_failing) {
        mu_log(MU_WARN, "agent", "Metrics are lost: their sink cannot be reached",
               mu_kv("kind", s->kind), mu_kv("address", s->address), mu_kv("error", error));
    } else if (error == NULL && s->is_failing) {
        mu_log(MU_INFO, "agent", "The sink of metrics is reached again", mu_kv("kind", s->kind),
               mu_kv("address", s->address));
    }
    s->is_failing = error != NULL;
}

/* Below 0: not, and why. */
static void went(struct sink *s, int status)
{
    char why[DIAL_REASON_MAX];

    if (status < 0) {
        dial_reason(status, why);
    }
    say(s, status < 0 ? why : NULL);
}

static void text_make(struct sink *s)
{
    mu_buf_clear(&s->text);
    metrics_text(s->agent, &s->told, &s->text);
}

/* As many whole lines as a datagram takes. */
static size_t datagram_bytes(struct mu_span rest)
{
    size_t bytes = rest.bytes < DATAGRAM_BYTES ? rest.bytes : DATAGRAM_BYTES;

    while (bytes > 0 && rest.data[bytes - 1] != '\n') {
        bytes--;
    }
    return bytes > 0 ? bytes : rest.bytes; /* a line beyond it is the network's to drop */
}

static int send_all(struct sink *s, const struct sockaddr *to)
{
    struct mu_span rest = mu_buf_span(&s->text);
    int rc = 0;

    while (rest.bytes > 0 && rc >= 0) {
        size_t bytes = datagram_bytes(rest);
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)rest.data, (unsigned)bytes);

        rc = uv_udp_try_send(&s->udp, &buf, 1, to);
        rest = mu_span_sub(rest, bytes, rest.bytes);
    }
    return rc;
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct sink *s = lookup->data;

    s->is_busy = false;
    if (s->agent == NULL) {
        uv_freeaddrinfo(found);
        sink_free_once_idle(s);
        return;
    }
    if (status == 0) {
        text_make(s);
        status = send_all(s, found->ai_addr);
    }
    went(s, status);
    uv_freeaddrinfo(found);
}

static void statsd_tell(struct sink *s)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
    char port[8], *host = mu_strndup((const char *)s->host.data, s->host.bytes);

    (void)snprintf(port, sizeof port, "%u", s->port);
    s->lookup.data = s;
    int rc = uv_getaddrinfo(s->agent->loop, &s->lookup, on_looked_up, host, port, &hints);

    s->is_busy = rc == 0;
    if (rc != 0) {
        went(s, rc);
    }
    mu_free(host);
}

static void on_written(uv_write_t *write, int status)
{
    struct sink *s = write->data;

    s->is_busy = false;
    if (s->agent == NULL) {
        sink_free_once_idle(s);
        return;
    }
    if (status < 0) {
        stream_close(s);
        went(s, status);
    } else if (++s->sent >= SENT_MIN) {
        went(s, status);
    }
}

static void on_heard_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct sink *s = handle->data;

    (void)wanted;
    *room = uv_buf_init(s->heard, sizeof s->heard);
}

static void on_heard(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
    struct sink *s = stream->data;

    (void)bytes;
    if (count < 0 && !s->is_busy) { /* else what is being written fails */
        stream_close(s);
        went(s, (int)count);
    }
}

static void statsite_tell(struct sink *s)
{
    text_make(s);
    uv_buf_t buf = uv_buf_init((char *)s->text.data, (unsigned)s->text.bytes);

    s->write.data = s;
    int rc = uv_write(&s->write, s->stream, &buf, 1, on_written);

    s->is_busy = rc == 0;
    if (rc != 0) {
        stream_close(s);
        went(s, rc);
    }
}

static void on_dialled(void *data, enum mu_code code, struct uv_stream_s *stream,
                       const struct mu_addr *peer, const struct mu_err *err)
{
    struct sink *s = data;

    (void)peer;
    s->dial = NULL;
    s->stream = stream;
    s->sent = 0;
    if (code == MU_OK) {
        s->stream->data = s;
        (void)uv_read_start(s->stream, on_heard_room, on_heard); /* its end shows at once */
        statsite_tell(s);
    } else {
        say(s, err->text);
    }
}

static void on_second(void *data)
{
    struct sink *s = data;

    timer_set(s->agent->timers, &s->timer, PAUSE_MS, on_second, s);
    if (s->is_busy || s->dial != NULL) {
        return; /* it is slow: the next second tells all */
    }
    if (s->has_udp) {
        statsd_tell(s);
    } else if (s->stream != NULL) {
        statsite_tell(s);
    } else {
        const struct dial_to to = { .host = s->host, .port = s->port, .timeout_ms = DIAL_MS };

        s->dial = dial_start(s->agent->loop, &to, on_dialled, s);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

static struct sink *sink_open(struct agent *a, const char *kind, const char *address, bool is_udp)
{
    if (address == NULL) {
        return NULL;
    }
    struct sink *s = mu_new(sizeof *s);

    s->agent = a;
    s->kind = kind;
    s->address = mu_strdup(address);
    bool is_sound = mu_addr_split(mu_span_text(s->address), &s->host, &s->port);

    MU_ASSERT(is_sound && s->port > 0); /* the configuration was checked */
    if (is_udp) {
        MU_ASSERT(uv_udp_init(a->loop, &s->udp) == 0); /* no descriptor is made yet */
        s->udp.data = s;
        s->has_udp = true;
    }
    timer_set(a->timers, &s->timer, PAUSE_MS, on_second, s);
    return s;
}

void agent__sinks_open(struct agent *a)
{
    a->sinks = mu_new(sizeof *a->sinks);
    a->sinks->statsd = sink_open(a, "statsd", a->config->statsd_address, true);
    a->sinks->statsite = sink_open(a, "statsite", a->config->statsite_address, false);
}

void agent__sinks_close(struct agent *a)
{
    if (a->sinks != NULL) {
        sink_close(a->sinks->statsd);
        sink_close(a->sinks->statsite);
        mu_free(a->sinks);
        a->sinks = NULL;
    }
}
