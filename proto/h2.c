/* HTTP/2 without sockets: one nghttp2 session, and what it does not keep for us.
 *
 * nghttp2 asks for bytes to send when it has a window for them; the queue of each stream is here
 * (send copies into it, read_queue() copies out of it into frames). A stream whose queue ran dry is
 * deferred and resumed by the next send. Its side closes when `ends` was said and the queue is
 * empty, or with trailers if there are any.
 *
 * Streams are found by id in a table of our own: a request that waits for its turn to be sent has
 * no stream inside nghttp2 yet. A stream of ours begins with the request (client) or with the first
 * header (server) and ends in on_stream_close(), the only place that frees one.
 *
 * Failure modes: a stream error of the peer resets that stream, and `closed` says so. A connection
 * error of the peer queues GOAWAY; what the peer sends behind it is ignored, feeds fail once the
 * GOAWAY was pulled, and mu_h2_wants_close() is true. Floods (pings, settings, resets, continuation
 * frames) are counted by nghttp2, whose bounds are set or confirmed in options_new().
 */
#include "proto/h2.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#include "base/assert.h"
#include "base/chain.h"
#include "base/mem.h"
#include "base/table.h"

#define HEADER_OVERHEAD 32  /* of a field in a header list: RFC 9113 section 6.5.2 */
#define ACKS_MAX        256 /* unsent acknowledgements of pings and settings: then it is a flood */
#define SETTINGS_MAX    32  /* in one SETTINGS frame; six exist */

struct stream {
    int32_t id;
    void *data;            /* the owner's */
    struct mu_chain queue; /* to be sent */
    struct mu_header *trailers;
    size_t trailers_count;
    struct mu_buf text;       /* names and values of the header block that is arriving */
    struct mu_header *fields; /* of it; offsets until it is complete */
    size_t fields_count, fields_room;
    size_t unconsumed; /* received bytes the owner has not given back (manual_window) */
    bool was_full;     /* the queue passed its bound since `drained` was called */
    bool ends;         /* nothing is queued behind what is there */
    bool has_trailers;
    bool is_deferred; /* nghttp2 found the queue empty */
    bool is_refused;  /* its header list is too large; the rest of it is dropped */
    bool has_headers; /* a first header block was handed out */
};

struct mu_h2 {
    enum mu_h2_role role;
    struct mu_h2_options options;
    struct mu_h2_events events;
    void *data;
    nghttp2_session *session;
    struct mu_table *streams; /* id -> struct stream */
    size_t queued_bytes;      /* in the queues of all of them */
    bool is_inside;           /* feed or pull runs: callbacks may not call them */
    bool has_failed;          /* feed fails from now on */
    bool is_going;            /* the peer sent GOAWAY */
};

static struct mu_span id_key(const int32_t *id)
{
    return mu_span_of(id, sizeof *id);
}

static struct stream *stream_find(const struct mu_h2 *h, int32_t id)
{
    return mu_table_find(h->streams, id_key(&id));
}

static struct stream *stream_new(struct mu_h2 *h, int32_t id)
{
    struct stream *s = mu_new(sizeof *s);

    s->id = id;
    MU_ASSERT(mu_table_put(h->streams, id_key(&id), s) == NULL);
    return s;
}

static void stream_free(struct stream *s)
{
    mu_chain_deinit(&s->queue);
    mu_buf_deinit(&s->text);
    mu_free(s->fields);
    for (size_t i = 0; i < s->trailers_count; i++) {
        mu_free((void *)(uintptr_t)s->trailers[i].name.data);
    }
    mu_free(s->trailers);
    mu_free(s);
}

static void queue_drop(struct mu_h2 *h, struct stream *s)
{
    h->queued_bytes -= s->queue.bytes;
    mu_chain_deinit(&s->queue);
}

/* -- header blocks in ----------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct mu_h2 *h = data;

    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct stream *s = stream_new(h, frame->hd.stream_id);

        (void)nghttp2_session_set_stream_user_data(session, s->id, s);
    }
    return 0;
}

static struct stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *data)
{
    struct stream *s = stream_of(session, frame->hd.stream_id);
    struct mu_h2 *h = data;

    (void)flags;
    if (s == NULL || s->is_refused) {
        return 0;
    }
    size_t listed = s->text.bytes + s->fields_count * HEADER_OVERHEAD;

    if (listed + name_bytes + value_bytes + HEADER_OVERHEAD > h->options.headers_bytes_max) {
        s->is_refused = true;
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id,
                                        NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    if (s->fields_count == s->fields_room) {
        s->fields_room = s->fields_room > 0 ? s->fields_room * 2 : 8;
        s->fields = mu_grow(s->fields, s->fields_room * sizeof *s->fields);
    }
    /* Where they lie is known only when the text has stopped growing: lengths for now. */
    s->fields[s->fields_count++] =
        (struct mu_header){ mu_span_of(NULL, name_bytes), mu_span_of(NULL, value_bytes) };
    mu_buf_add(&s->text, name, name_bytes);
    mu_buf_add(&s->text, value, value_bytes);
    return 0;
}

static void fields_place(struct stream *s)
{
    const uint8_t *at = s->text.data;

    for (size_t i = 0; i < s->fields_count; i++) {
        s->fields[i].name.data = at;
        at += s->fields[i].name.bytes;
        s->fields[i].value.data = at;
        at += s->fields[i].value.bytes;
    }
}

static void on_headers_done(struct mu_h2 *h, struct stream *s, const nghttp2_frame *frame)
{
    bool has_ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool is_trailers = s->has_headers;
    int32_t id = s->id;

    /* 1xx: neither the answer nor trailers; nobody here has a use for it. nghttp2 has made sure
     * that ":status" comes first. */
    bool is_interim =
        h->role == MU_H2_CLIENT && !is_trailers && s->text.bytes > 7 && s->text.data[7] == '1';

    if (!is_interim) {
        s->has_headers = true;
        fields_place(s);
        h->events.headers(h->data, id, s->fields, s->fields_count, is_trailers, has_ended);
    }
    mu_buf_deinit(&s->text);
    mu_free(s->fields);
    s->fields = NULL;
    s->fields_count = s->fields_room = 0;
    if (has_ended) {
        h->events.end(h->data, id);
    }
}

/* -- other frames in ------------------------------------------------------------------------ */

static void on_goaway(struct mu_h2 *h)
{
    if (!h->is_going) {
        h->is_going = true;
        if (h->events.going != NULL) {
            h->events.going(h->data);
        }
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct mu_h2 *h = data;
    struct stream *s = frame->hd.stream_id > 0 ? stream_of(session, frame->hd.stream_id) : NULL;

    if (frame->hd.type == NGHTTP2_GOAWAY) {
        on_goaway(h);
    } else if (s == NULL || s->is_refused) {
        return 0;
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        on_headers_done(h, s, frame);
    } else if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        h->events.end(h->data, s->id);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t count, void *data)
{
    struct stream *s = stream_of(session, id);
    struct mu_h2 *h = data;

    (void)flags;
    if (s == NULL || s->is_refused) {
        if (h->options.manual_window) {
            (void)nghttp2_session_consume_connection(session, count);
        }
        return 0;
    }
    s->unconsumed += h->options.manual_window ? count : 0;
    h->events.body(h->data, id, mu_span_of(bytes, count));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *data)
{
    struct mu_h2 *h = data;
    struct stream *s = stream_find(h, id);

    if (s == NULL) {
        return 0;
    }
    if (s->unconsumed > 0) { /* or the connection's window would leak away */
        (void)nghttp2_session_consume_connection(session, s->unconsumed);
        s->unconsumed = 0;
    }
    if (h->role == MU_H2_CLIENT || s->has_headers) { /* else the owner never heard of it */
        h->events.closed(h->data, id, error_code);
    }
    (void)mu_table_remove(h->streams, id_key(&id));
    queue_drop(h, s);
    stream_free(s);
    return 0;
}

/* Our own GOAWAY with an error: the peer broke the protocol. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    struct mu_h2 *h = data;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        h->has_failed = true;
    }
    return 0;
}

/* -- bytes out ------------------------------------------------------------------------------ */

static nghttp2_nv *nv_of(const struct mu_header *headers, size_t count)
{
    nghttp2_nv *nv = mu_new_array(count, sizeof *nv);

    for (size_t i = 0; i < count; i++) { /* nghttp2 copies both; its struct is not const-correct */
        nv[i].name = (uint8_t *)(uintptr_t)headers[i].name.data;
        nv[i].namelen = headers[i].name.bytes;
        nv[i].value = (uint8_t *)(uintptr_t)headers[i].value.data;
        nv[i].valuelen = headers[i].value.bytes;
    }
    return nv;
}

static void trailers_submit(struct mu_h2 *h, struct stream *s)
{
    nghttp2_nv *nv = nv_of(s->trailers, s->trailers_count);

    (void)nghttp2_submit_trailer(h->session, s->id, nv, s->trailers_count);
    mu_free(nv);
}

static void queue_taken(struct mu_h2 *h, struct stream *s, size_t bytes)
{
    h->queued_bytes -= bytes;
    if (s->was_full && s->queue.bytes < MU_H2_QUEUE_BYTES / 2) {
        s->was_full = false;
        if (h->events.drained != NULL) {
            h->events.drained(h->data, s->id);
        }
    }
}

static ssize_t read_queue(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                          uint32_t *flags, nghttp2_data_source *source, void *data)
{
    struct stream *s = stream_of(session, id);
    struct mu_h2 *h = data;

    (void)source;
    MU_ASSERT(s != NULL);
    if (s->queue.bytes == 0 && !s->ends) {
        s->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t bytes = mu_chain_take(&s->queue, to, room);

    queue_taken(h, s, bytes);
    if (s->ends && s->queue.bytes == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->has_trailers) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            trailers_submit(h, s);
        }
    }
    return (ssize_t)bytes;
}

static const nghttp2_data_provider queue_provider = { .read_callback = read_queue };

/* -- life ----------------------------------------------------------------------------------- */

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *c = NULL;

    MU_ASSERT(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    return c;
}

static nghttp2_option *options_new(const struct mu_h2_options *options)
{
    nghttp2_option *o = NULL;

    MU_ASSERT(nghttp2_option_new(&o) == 0);
    nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
    nghttp2_option_set_max_settings(o, SETTINGS_MAX);
    nghttp2_option_set_no_auto_window_update(o, options->manual_window);
    nghttp2_option_set_no_closed_streams(o, 1); /* no memory for streams that are gone */
    return o;
}

/* The first frames of our side: settings, and the connection's window. */
static void submit_settings(struct mu_h2 *h)
{
    const struct mu_h2_options *o = &h->options;
    nghttp2_settings_entry entries[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->window_bytes },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, o->headers_bytes_max },
        h->role == MU_H2_SERVER
            ? (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->streams_max }
            : (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
    };

    MU_ASSERT(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, MU_LEN(entries)) ==
              0);
    MU_ASSERT(nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                    (int32_t)o->connection_window_bytes) == 0);
}

struct mu_h2 *mu_h2_new(enum mu_h2_role role, const struct mu_h2_options *options,
                        const struct mu_h2_events *events, void *data)
{
    struct mu_h2 *h = mu_new(sizeof *h);
    nghttp2_session_callbacks *callbacks = callbacks_new();
    nghttp2_option *option = options_new(options);

    MU_ASSERT(options->window_bytes <= INT32_MAX);
    MU_ASSERT(options->connection_window_bytes >= NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE &&
              options->connection_window_bytes <= INT32_MAX);
    h->role = role;
    h->options = *options;
    h->events = *events;
    h->data = data;
    h->streams = mu_table_new();
    int rc = role == MU_H2_SERVER ? nghttp2_session_server_new2(&h->session, callbacks, h, option)
                                  : nghttp2_session_client_new2(&h->session, callbacks, h, option);

    MU_ASSERT(rc == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    submit_settings(h);
    return h;
}

void mu_h2_free(struct mu_h2 *h)
{
    struct mu_table_at at = { 0 };

    if (h == NULL) {
        return;
    }
    MU_ASSERT(!h->is_inside);
    nghttp2_session_del(h->session);
    while (mu_table_next(h->streams, &at)) {
        stream_free(at.value);
    }
    mu_table_free(h->streams);
    mu_free(h);
}

enum mu_code mu_h2_upgrade(struct mu_h2 *h, struct mu_span settings, bool was_head,
                           struct mu_err *err)
{
    MU_ASSERT(h->role == MU_H2_SERVER);
    struct stream *s = stream_new(h, 1);
    int rc =
        nghttp2_session_upgrade2(h->session, settings.data, settings.bytes, was_head ? 1 : 0, NULL);

    if (rc != 0) {
        int32_t id = 1;

        (void)mu_table_remove(h->streams, id_key(&id));
        stream_free(s);
        return mu_fail(err, MU_INVALID, "HTTP2-Settings: %s", nghttp2_strerror(rc));
    }
    (void)nghttp2_session_set_stream_user_data(h->session, s->id, s);
    s->has_headers = true;
    return MU_OK;
}

/* -- the doors ------------------------------------------------------------------------------ */

enum mu_code mu_h2_feed(struct mu_h2 *h, struct mu_span bytes, struct mu_err *err)
{
    MU_ASSERT(!h->is_inside);
    if (h->has_failed) {
        return mu_fail(err, MU_INVALID, "the HTTP/2 connection failed before");
    }
    if (bytes.bytes == 0) {
        return MU_OK;
    }
    h->is_inside = true;
    ssize_t read = nghttp2_session_mem_recv(h->session, bytes.data, bytes.bytes);

    h->is_inside = false;
    if (read < 0) {
        h->has_failed = true;
        (void)nghttp2_session_terminate_session(h->session, read == NGHTTP2_ERR_FLOODED
                                                                ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                : NGHTTP2_PROTOCOL_ERROR);
        return mu_fail(err, MU_INVALID, "HTTP/2: %s", nghttp2_strerror((int)read));
    }
    return MU_OK;
}

size_t mu_h2_pull(struct mu_h2 *h, struct mu_buf *to, size_t bytes_max)
{
    size_t start = to->bytes;

    MU_ASSERT(!h->is_inside);
    h->is_inside = true;
    while (to->bytes - start < bytes_max) {
        const uint8_t *bytes = NULL;
        ssize_t count = nghttp2_session_mem_send(h->session, &bytes);

        if (count <= 0) {
            h->has_failed = h->has_failed || count < 0;
            break;
        }
        mu_buf_add(to, bytes, (size_t)count);
    }
    h->is_inside = false;
    return to->bytes - start;
}

bool mu_h2_wants_close(const struct mu_h2 *h)
{
    return nghttp2_session_want_read(h->session) == 0 &&
           nghttp2_session_want_write(h->session) == 0;
}

/* -- streams -------------------------------------------------------------------------------- */

/* How many more we may open: what the peer allows, minus what is open or waits to be sent. */
static bool has_room(const struct mu_h2 *h)
{
    return mu_table_count(h->streams) <
           nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

int32_t mu_h2_request(struct mu_h2 *h, const struct mu_header *headers, size_t count,
                      bool has_ended)
{
    MU_ASSERT(h->role == MU_H2_CLIENT);
    if (h->has_failed || h->is_going || !has_room(h) ||
        nghttp2_session_check_request_allowed(h->session) == 0) {
        return -1;
    }
    nghttp2_nv *nv = nv_of(headers, count);
    struct stream *s = mu_new(sizeof *s);
    int32_t id =
        nghttp2_submit_request(h->session, NULL, nv, count, has_ended ? NULL : &queue_provider, s);

    mu_free(nv);
    if (id < 0) { /* stream ids are used up */
        stream_free(s);
        return -1;
    }
    s->id = id;
    s->ends = has_ended;
    MU_ASSERT(mu_table_put(h->streams, id_key(&id), s) == NULL);
    return id;
}

void mu_h2_respond(struct mu_h2 *h, int32_t stream, const struct mu_header *headers, size_t count,
                   bool has_ended)
{
    struct stream *s = stream_find(h, stream);

    MU_ASSERT(h->role == MU_H2_SERVER);
    if (s == NULL) {
        return; /* gone meanwhile */
    }
    nghttp2_nv *nv = nv_of(headers, count);

    s->ends = has_ended;
    (void)nghttp2_submit_response(h->session, stream, nv, count,
                                  has_ended ? NULL : &queue_provider);
    mu_free(nv);
}

static void resume(struct mu_h2 *h, struct stream *s)
{
    if (s->is_deferred) {
        s->is_deferred = false;
        (void)nghttp2_session_resume_data(h->session, s->id);
    }
}

void mu_h2_send(struct mu_h2 *h, int32_t stream, struct mu_span bytes, bool ends)
{
    struct stream *s = stream_find(h, stream);

    if (s == NULL) {
        return;
    }
    MU_ASSERT(!s->ends);
    mu_chain_add(&s->queue, bytes);
    h->queued_bytes += bytes.bytes;
    s->was_full = s->was_full || s->queue.bytes >= MU_H2_QUEUE_BYTES;
    s->ends = ends;
    if (s->queue.bytes > 0 || ends) {
        resume(h, s);
    }
}

void mu_h2_trailers(struct mu_h2 *h, int32_t stream, const struct mu_header *headers, size_t count)
{
    struct stream *s = stream_find(h, stream);

    if (s == NULL) {
        return;
    }
    MU_ASSERT(!s->ends);
    s->trailers = mu_new_array(count, sizeof *s->trailers);
    s->trailers_count = count;
    for (size_t i = 0; i < count; i++) { /* name and value in one allocation */
        size_t name_bytes = headers[i].name.bytes;
        uint8_t *copy = mu_new(name_bytes + headers[i].value.bytes);

        if (name_bytes > 0) {
            memcpy(copy, headers[i].name.data, name_bytes);
        }
        if (headers[i].value.bytes > 0) {
            memcpy(copy + name_bytes, headers[i].value.data, headers[i].value.bytes);
        }
        s->trailers[i].name = mu_span_of(copy, name_bytes);
        s->trailers[i].value = mu_span_of(copy + name_bytes, headers[i].value.bytes);
    }
    s->has_trailers = true;
    s->ends = true;
    resume(h, s);
}

void mu_h2_reset(struct mu_h2 *h, int32_t stream, uint32_t error_code)
{
    struct stream *s = stream_find(h, stream);

    if (s == NULL) {
        return;
    }
    queue_drop(h, s);
    (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, stream, error_code);
}

void mu_h2_consume(struct mu_h2 *h, int32_t stream, size_t bytes)
{
    struct stream *s = stream_find(h, stream);

    MU_ASSERT(h->options.manual_window);
    if (s == NULL) {
        return; /* given back when it closed */
    }
    MU_ASSERT(bytes <= s->unconsumed);
    s->unconsumed -= bytes;
    (void)nghttp2_session_consume(h->session, stream, bytes);
}

size_t mu_h2_queued(const struct mu_h2 *h, int32_t stream)
{
    const struct stream *s = stream_find(h, stream);

    return s != NULL ? s->queue.bytes : 0;
}

size_t mu_h2_queued_all(const struct mu_h2 *h)
{
    return h->queued_bytes;
}

void mu_h2_ping(struct mu_h2 *h)
{
    (void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

void mu_h2_goaway(struct mu_h2 *h)
{
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

void mu_h2_set_data(struct mu_h2 *h, int32_t stream, void *data)
{
    struct stream *s = stream_find(h, stream);

    if (s != NULL) {
        s->data = data;
    }
}

void *mu_h2_data(const struct mu_h2 *h, int32_t stream)
{
    const struct stream *s = stream_find(h, stream);

    return s != NULL ? s->data : NULL;
}
