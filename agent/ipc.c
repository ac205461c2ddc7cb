/* ipc.c - one client of Serf's control port: handshake, requests, and commands to the cluster. */
#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ipc_session.h"

#define AUTH_MAX      5U   /* wrong tokens before we hang up */
#define AUTH_PAUSE_MS 500U /* and before each of them is answered (spec 9.3) */

/* -- answers ------------------------------------------------------------------------------------
 */

void ipc__put_header(struct ipc_session *s, uint64_t seq, const char *error)
{
    ipc_put_map(&s->out, 2);
    ipc_put_text(&s->out, "Error");
    ipc_put_text(&s->out, error);
    ipc_put_text(&s->out, "Seq");
    ipc_put_u64(&s->out, seq);
}

void ipc__hang_up(struct ipc_session *s, enum ipc_fault why, const char *detail)
{
    if (!s->is_over) {
        ipc_fault(s->host.faults, why, s->peer, detail);
        s->is_over = true;
    }
}

void ipc__answer(struct ipc_session *s, const struct request *r, enum mu_code rc,
                 const struct mu_err *err)
{
    ipc__put_header(s, r->seq, rc == MU_OK ? "" : err->text);
}

/* True: fields had the types they must have. */
bool ipc__is_sound(struct ipc_session *s, const struct request *r)
{
    if (r->body.is_bad) {
        ipc__hang_up(s, IPC_FAULT_FIELD, NULL);
    }
    return !r->body.is_bad;
}

void ipc__put_number(struct mu_buf *to, const char *name, uint64_t value)
{
    ipc_put_text(to, name);
    ipc_put_u64(to, value);
}

/* -- the cluster --------------------------------------------------------------------------------
 */

static void session_free(struct ipc_session *s)
{
    mu_buf_deinit(&s->in);
    mu_buf_deinit(&s->out);
    mu_free(s->peer);
    mu_free(s);
}

/* What it waited for has come: false, nobody is there any more. */
bool ipc__wait_over(struct ipc_session *s)
{
    s->is_waiting = false;
    if (s->is_closed) {
        session_free(s);
        return false;
    }
    return true;
}

/* Clients read a body behind an error, too. */
static void answer_joined(struct ipc_session *s, uint64_t seq, unsigned contacted,
                          const char *error)
{
    ipc__put_header(s, seq, error);
    ipc_put_map(&s->out, 1);
    ipc__put_number(&s->out, "Num", contacted);
}

static void on_joined(void *data, unsigned contacted, const char *why)
{
    struct ipc_session *s = data;

    if (!ipc__wait_over(s)) {
        return;
    }
    answer_joined(s, s->waiting_seq, contacted, contacted > 0 ? "" : why);
    ipc__request_next(s);
    s->wake(s->wake_data);
}

static void on_join(struct ipc_session *s, struct request *r)
{
    struct ipc_texts existing = ipc_get_texts(&r->body, "Existing");
    struct mu_err err = MU_ERR_NONE;

    bool replays = ipc_get_bool(&r->body, "Replay");
    if (!ipc__is_sound(s, r)) {
        return;
    }
    if (existing.count == 0) {
        answer_joined(s, r->seq, 0, "");
        return;
    }
    enum mu_code rc =
        s->host.join(s->host.data, existing.items, existing.count, replays, on_joined, s, &err);

    if (rc != MU_OK) {
        answer_joined(s, r->seq, 0, err.text);
        return;
    }
    s->is_waiting = true;
    s->waiting_seq = r->seq;
}

static void on_left(void *data)
{
    struct ipc_session *s = data;

    if (ipc__wait_over(s)) {
        ipc__put_header(s, s->waiting_seq, "");
        s->is_over = s->has_left = true;
        s->wake(s->wake_data);
    }
}

static void on_leave(struct ipc_session *s, struct request *r)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = s->host.leave(s->host.data, on_left, s, &err);

    if (rc != MU_OK) {
        ipc__answer(s, r, rc, &err);
        return;
    }
    s->is_waiting = true;
    s->waiting_seq = r->seq;
}

static void on_told(void *data, bool is_told)
{
    struct ipc_session *s = data;

    if (ipc__wait_over(s)) {
        ipc__put_header(s, s->waiting_seq, is_told ? "" : s->waiting_error);
        ipc__request_next(s);
        s->wake(s->wake_data);
    }
}

/* Answer once what was done has left this node: whoever ends it then loses nothing. */
static void answer_told(struct ipc_session *s, const struct request *r, const char *error)
{
    s->is_waiting = true;
    s->waiting_seq = r->seq;
    s->waiting_error = error;
    s->host.spread(s->host.data, on_told, s);
}

/* A name that nobody has is no error (transcript 34). */
static void on_force_leave(struct ipc_session *s, struct request *r)
{
    const char *name = ipc_get_text(&r->body, "Node");
    bool prune = ipc_get_bool(&r->body, "Prune");
    struct mu_err err = MU_ERR_NONE;

    if (!ipc__is_sound(s, r)) {
        return;
    }
    enum mu_code rc = s->host.force_leave(s->host.data, name, prune, &err);

    if (rc == MU_OK) {
        answer_told(s, r, "timed out broadcasting node removal");
    } else {
        ipc__answer(s, r, rc == MU_NOT_FOUND ? MU_OK : rc, &err);
    }
}

static void on_event(struct ipc_session *s, struct request *r)
{
    const char *name = ipc_get_text(&r->body, "Name");
    struct mu_span payload = ipc_get_bytes(&r->body, "Payload");
    bool coalesce = ipc_get_bool(&r->body, "Coalesce");
    struct mu_err err = MU_ERR_NONE;

    if (ipc__is_sound(s, r)) {
        ipc__answer(s, r, s->host.event(s->host.data, name, payload, coalesce, &err), &err);
    }
}

static void on_tagged(void *data, const char *error)
{
    struct ipc_session *s = data;

    if (ipc__wait_over(s)) {
        ipc__put_header(s, s->waiting_seq, error != NULL ? error : "");
        ipc__request_next(s);
        s->wake(s->wake_data);
    }
}

static void on_tags(struct ipc_session *s, struct request *r)
{
    struct mu_pairs set = ipc_get_pairs(&r->body, "Tags");
    struct ipc_texts remove = ipc_get_texts(&r->body, "DeleteTags");
    struct mu_err err = MU_ERR_NONE;

    if (!ipc__is_sound(s, r)) {
        return;
    }
    enum mu_code rc = s->host.tags(s->host.data, &set, &remove, on_tagged, s, &err);

    if (rc != MU_OK) {
        ipc__answer(s, r, rc, &err);
        return;
    }
    s->is_waiting = true;
    s->waiting_seq = r->seq;
}

static void on_stats(struct ipc_session *s, struct request *r)
{
    ipc__put_header(s, r->seq, "");
    s->host.stats(s->host.data, &s->out);
}

/* Of a node that is not known, or where coordinates are off: zeros and no vector, as Serf does. */
static void on_coordinate(struct ipc_session *s, struct request *r)
{
    struct coordinate at = { .error = 0 };
    const char *node = ipc_get_text(&r->body, "Node");

    if (!ipc__is_sound(s, r)) {
        return;
    }
    bool is_known = s->host.coordinate(s->host.data, node, &at);
    const struct {
        const char *name;
        double value;
    } numbers[] = { { "Adjustment", at.adjustment },
                    { "Error", at.error },
                    { "Height", at.height } };

    ipc__put_header(s, r->seq, "");
    ipc_put_map(&s->out, 2);
    ipc_put_text(&s->out, "Coord");
    ipc_put_map(&s->out, 4);
    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        ipc_put_text(&s->out, numbers[i].name);
        ipc_put_f64(&s->out, numbers[i].value);
    }
    ipc_put_text(&s->out, "Vec");
    if (is_known) {
        ipc_put_list(&s->out, COORDINATE_DIMS);
        for (size_t i = 0; i < COORDINATE_DIMS; i++) {
            ipc_put_f64(&s->out, at.vec[i]);
        }
    } else {
        ipc_put_nil(&s->out);
    }
    ipc_put_text(&s->out, "Ok");
    ipc_put_bool(&s->out, is_known);
}

/* -- requests -----------------------------------------------------------------------------------
 */

static void on_handshake(struct ipc_session *s, struct request *r)
{
    int64_t version = ipc_get_i64(&r->body, "Version");

    if (!ipc__is_sound(s, r)) {
        return;
    }
    if (s->is_greeted) {
        ipc__put_header(s, r->seq, "Handshake already performed");
    } else if (version != 1) {
        ipc__put_header(s, r->seq, "Unsupported IPC version");
    } else {
        s->is_greeted = true;
        ipc__put_header(s, r->seq, "");
    }
}

/* Without a configured key only the empty token is right. */
static bool is_right(const struct ipc_session *s, struct mu_span token)
{
    const char *key = s->host.auth_key != NULL ? s->host.auth_key : "";

    return token.bytes == strlen(key) &&
           (token.bytes == 0 || sodium_memcmp(token.data, key, token.bytes) == 0);
}

static void on_paused(void *data)
{
    struct ipc_session *s = data;

    if (!ipc__wait_over(s)) {
        return;
    }
    ipc__put_header(s, s->waiting_seq, "Invalid authentication token");
    if (++s->wrong_tokens == AUTH_MAX) {
        ipc__hang_up(s, IPC_FAULT_TOKENS, NULL);
    }
    ipc__request_next(s);
    s->wake(s->wake_data);
}

static void on_auth(struct ipc_session *s, struct request *r)
{
    struct mu_span token = ipc_get_bytes(&r->body, "AuthKey");

    if (!ipc__is_sound(s, r)) {
        return;
    }
    if (is_right(s, token)) {
        s->is_authed = true;
        ipc__put_header(s, r->seq, "");
        return;
    }
    s->is_waiting = true; /* or a key could be tried out as fast as the loop turns */
    s->waiting_seq = r->seq;
    s->host.pause(s->host.data, AUTH_PAUSE_MS, on_paused, s);
}

static const struct ipc_command {
    const char *name;
    bool has_body;
    void (*run)(struct ipc_session *s, struct request *r);
} commands[] = {
    { "handshake", true, on_handshake },
    { "auth", true, on_auth },
    { "event", true, on_event },
    { "force-leave", true, on_force_leave },
    { "join", true, on_join },
    { "members", false, ipc__on_members },
    { "members-filtered", true, ipc__on_members_filtered },
    { "tags", true, on_tags },
    { "stream", true, ipc__on_stream },
    { "monitor", true, ipc__on_monitor },
    { "stop", true, ipc__on_stop },
    { "leave", false, on_leave },
    { "query", true, ipc__on_query },
    { "respond", true, ipc__on_respond },
    { "response", true, ipc__on_respond }, /* as some clients write it */
    { "stats", false, on_stats },
    { "install-key", true, ipc__on_install_key },
    { "use-key", true, ipc__on_use_key },
    { "remove-key", true, ipc__on_remove_key },
    { "list-keys", false, ipc__on_list_keys },
    { "get-coordinate", true, on_coordinate },
};

static const struct ipc_command *command_find(const char *name)
{
    for (size_t i = 0; i < MU_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static bool is_locked(const struct ipc_session *s)
{
    return s->host.auth_key != NULL && !s->is_authed;
}

/* NULL: refused, and the session is over. */
static const struct ipc_command *command_allowed(struct ipc_session *s, const char *name,
                                                 uint64_t seq)
{
    static const struct ipc_command unknown = { .name = "" };
    const struct ipc_command *c = command_find(name);

    if (!s->is_greeted && (c == NULL || c->run != on_handshake)) {
        ipc__put_header(s, seq, "Handshake required");
        ipc__hang_up(s, IPC_FAULT_HANDSHAKE, NULL);
        return NULL;
    }
    if (c == NULL && is_locked(s)) {
        return &unknown; /* nor does it hear what there is */
    }
    if (c == NULL) {
        ipc__put_header(s, seq, "Unsupported command");
        ipc__hang_up(s, IPC_FAULT_COMMAND, NULL);
    }
    return c;
}

/* The body of what is refused was read all the same: there is one answer to one request. */
static bool may_run(const struct ipc_session *s, const struct ipc_command *c)
{
    return !is_locked(s) || c->run == on_handshake || c->run == on_auth;
}

/* One request from the front of `in`: its bytes, or 0 when it is not whole or nothing is right. */
static size_t request_run(struct ipc_session *s, struct mu_arena *arena)
{
    struct mu_span in = mu_buf_span(&s->in);
    struct ipc_value header, body = { .kind = IPC_NIL };
    size_t header_bytes = 0, body_bytes = 0;
    enum ipc_got got = ipc_read(in, arena, &header, &header_bytes);

    if (got == IPC_WHOLE && header.kind == IPC_MAP && header.many.count == 0 && s->may_have_empty) {
        s->may_have_empty = false;
        return header_bytes;
    }
    struct ipc_fields f = ipc_fields_of(got == IPC_WHOLE ? &header : NULL, arena);
    struct request r = { .seq = ipc_get_u64(&f, "Seq"), .arena = arena };
    const char *name = ipc_get_text(&f, "Command");

    if (got == IPC_BAD || f.is_bad || (got == IPC_WHOLE && f.map == NULL)) {
        ipc__hang_up(s, IPC_FAULT_FRAME, NULL);
        return 0;
    }
    const struct ipc_command *c = got == IPC_WHOLE ? command_allowed(s, name, r.seq) : NULL;

    if (c == NULL) {
        return 0;
    }
    if (c->has_body) {
        got = ipc_read(mu_span_sub(in, header_bytes, in.bytes), arena, &body, &body_bytes);
    }
    r.body = ipc_fields_of(got == IPC_WHOLE ? &body : NULL, arena);
    if (got == IPC_BAD || r.body.is_bad) {
        ipc__hang_up(s, IPC_FAULT_BODY, NULL);
    } else if (got == IPC_WHOLE) {
        s->may_have_empty = !c->has_body;
        if (s->host.traffic != NULL) {
            s->host.traffic->commands++;
        }
        if (may_run(s, c)) {
            c->run(s, &r);
        } else {
            ipc__put_header(s, r.seq, "Authentication required");
        }
        return header_bytes + body_bytes;
    }
    return 0;
}

void ipc__request_next(struct ipc_session *s)
{
    size_t used = 1;

    s->is_behind = false;
    for (unsigned i = 0; used > 0 && !s->is_waiting && !s->is_over && s->in.bytes > 0; i++) {
        struct mu_arena arena;

        if (i == IPC_TURN_REQUESTS) {
            s->is_behind = true;
            return;
        }

        mu_arena_init(&arena, 0);
        used = request_run(s, &arena);
        mu_arena_deinit(&arena);
        mu_buf_drop(&s->in, used);
        if (s->out.bytes > IPC_OUT_BYTES_MAX) {
            ipc__hang_up(s, IPC_FAULT_BACKLOG, NULL);
        }
    }
}

/* -- life ---------------------------------------------------------------------------------------
 */

struct ipc_session *ipc_session_new(const struct ipc_host *host, const char *peer,
                                    ipc_wake_fn *wake, void *wake_data)
{
    struct ipc_session *s = mu_new(sizeof *s);

    s->host = *host;
    s->peer = mu_strdup(peer);
    s->wake = wake;
    s->wake_data = wake_data;
    mu_list_init(&s->streams);
    mu_list_init(&s->asked);
    if (s->host.traffic != NULL) {
        s->host.traffic->accepted++;
    }
    return s;
}

void ipc_session_close(struct ipc_session *s)
{
    ipc__streams_close(s);
    agent_log_unfollow(s->monitor);
    s->is_closed = true;
    if (!s->is_waiting) { /* else the answer ends it */
        session_free(s);
    }
}

void ipc_session_feed(struct ipc_session *s, struct mu_span bytes)
{
    if (s->is_over) {
        return;
    }
    mu_buf_add_span(&s->in, bytes);
    ipc__request_next(s);
    if (!s->is_behind &&
        s->in.bytes > 2 * IPC_OBJECT_BYTES_MAX) { /* a header and a body, or behind a join */
        ipc__hang_up(s, IPC_FAULT_LENGTH, NULL);
    }
}

bool ipc_session_is_behind(const struct ipc_session *s)
{
    return s->is_behind;
}

void ipc_session_turn(struct ipc_session *s)
{
    ipc_session_feed(s, MU_SPAN_NONE);
}

struct mu_buf *ipc_session_out(struct ipc_session *s)
{
    return &s->out;
}

size_t ipc_session_held(const struct ipc_session *s)
{
    return s->in.bytes + s->out.bytes;
}

void ipc_session_drained(struct ipc_session *s)
{
    MU_LIST_EACH (link, &s->streams) {
        MU_CONTAINER(link, struct stream, place)->waiting = 0;
    }
    s->monitor_waiting = 0;
}

bool ipc_session_is_over(const struct ipc_session *s)
{
    return s->is_over;
}

bool ipc_session_is_parting(const struct ipc_session *s)
{
    return s->has_left;
}
