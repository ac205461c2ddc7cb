/* request.c - the way of one operation: at the server that a client asks, at the leader, and back.
 *
 * What agent/request.c and agent/read.c do with sockets and timers: a write goes to the leader, is
 * stamped and proposed there; its result comes from applying it; the server that was asked answers
 * when it has applied it too. Without an answer it sends the write again, under the same number:
 * the catalog knows a second copy. A read asks for a read point, waits until it is applied, and
 * reads.
 */
#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "world.h"

#define AGAIN_MS  60   /* after a refusal */
#define ANSWER_MS 700  /* after silence */
#define HOLD_MS   2500 /* no try begins later than that */

enum request_state {
    REQUEST_PROPOSED, /* by us, the leader: its result comes from apply */
    REQUEST_ASKING,   /* another server, or our own core for a read point */
    REQUEST_PAUSES,   /* before another try */
    REQUEST_WAITING,  /* until `index` is applied here */
};

struct request {
    struct request *next, **at;
    struct server *server;
    enum request_state state;
    bool is_core; /* consensus will call back: it stays until then */
    uint64_t op, mark, ticket, index;
    struct server *asker; /* NULL: a client */
    uint64_t asker_mark;
    bool is_read;
    bool may_be; /* a try may have been accepted */
    uint64_t began;
    struct event again;
    struct call answer;
};

static struct request *requests[SERVERS_MAX]; /* by place; of one world at a time */
static uint64_t marks;

static struct request *request_new(struct server *s, uint64_t op, bool is_read)
{
    struct request *r = mu_new(sizeof *r);
    struct request **list = &requests[s->place];

    r->server = s;
    r->op = op;
    r->is_read = is_read;
    r->mark = ++marks;
    r->began = s->world->now;
    r->next = *list;
    r->at = list;
    if (r->next != NULL) {
        r->next->at = &r->next;
    }
    *list = r;
    return r;
}

static void request_free(struct request *r)
{
    MU_ASSERT(!r->is_core);
    event_cancel(r->server->world, &r->again);
    *r->at = r->next;
    if (r->next != NULL) {
        r->next->at = r->at;
    }
    mu_free(r);
}

void requests_drop(struct server *s)
{
    while (requests[s->place] != NULL) { /* consensus has answered them: nobody calls back */
        request_free(requests[s->place]);
    }
}

static struct server *leader_of(struct server *s)
{
    return mu_id_is_none(&s->node.leader) ? NULL : server_of(s->world, &s->node.leader);
}

/* -- answers ------------------------------------------------------------------------------------
 */

static void ask_leader(struct request *r);

static void on_again(void *data)
{
    struct request *r = data;

    if (!server_turn_begins(r->server, &r->again, on_again, r)) {
        return;
    }
    struct server *s = r->server;

    r->may_be = r->may_be || r->state == REQUEST_ASKING;
    r->mark = ++marks; /* an answer to the last try is not waited for any more */
    ask_leader(r);
    server_turn_ends(s);
}

/* A write of a client's is tried again, as long as it is held. */
static bool try_again(struct request *r, enum mu_code code)
{
    struct world *w = r->server->world;

    r->may_be = r->may_be || code == MU_LOST;
    if (code == MU_UNSUPPORTED || r->asker != NULL || r->is_read || r->server->is_dying ||
        w->is_calm || w->now > r->began + HOLD_MS * MS) {
        return false;
    }
    r->state = REQUEST_PAUSES;
    event_set(w, &r->again, w->now + AGAIN_MS * MS, on_again, r);
    return true;
}

/* What only MU_LOST leaves open. */
static void fail(struct request *r, enum mu_code code)
{
    struct world *w = r->server->world;

    if (try_again(r, code)) {
        return;
    }
    code = r->may_be ? MU_LOST : code;
    struct call answer = {
        .kind = r->is_read ? CALL_READ_POINT : CALL_PROPOSED,
        .op = r->op,
        .mark = r->asker_mark,
        .code = code,
    };

    if (r->asker != NULL) {
        net_call(w, r->server, r->asker, &answer);
    } else if (!r->server->is_dying) {
        op_failed(w, r->op, code != MU_LOST);
    }
    request_free(r);
}

/* The row of the key, as this server's state has it. */
static void read_key(struct request *r, struct op *saw)
{
    struct server *s = r->server;
    struct op *op = op_of(s->world, r->op);
    struct catalog_applied applied;
    struct catalog_kvs kvs = { 0 };
    struct mu_arena arena;
    struct mu_err err = MU_ERR_NONE;

    mu_arena_init(&arena, 0);
    if (catalog_reader_applied(s->reader, &applied, &err) != MU_OK ||
        catalog_query_key(s->reader, &arena, mu_span_text(key_text(op->key)), &kvs, &err) !=
            MU_OK) {
        world_say(s->world, "%s: cannot read: %s", s->name, err.text);
        if (!s->is_excused && !server_is_hurt(s)) {
            world_fail(s->world, "%s: a read fails without a cause: %s", s->name, err.text);
        }
        mu_arena_deinit(&arena);
        saw->state = OP_FAILED;
        return;
    }
    saw->state = OP_DONE;
    saw->index = applied.index;
    if (kvs.count > 0) {
        saw->saw_index = kvs.items[0].modify_index;
        if (!value_read(kvs.items[0].value, &saw->saw)) {
            world_fail(s->world, "%s: a value of %zu bytes that nobody wrote", s->name,
                       kvs.items[0].value.bytes);
        }
        if (!session_read(kvs.items[0].session, &saw->saw_holder)) {
            world_fail(s->world, "%s: a session that nobody made", s->name);
        }
    }
    mu_arena_deinit(&arena);
}

static void answer_read(struct request *r)
{
    struct op saw = { .number = 0 };

    read_key(r, &saw);
    if (saw.state == OP_DONE) {
        op_done(r->server->world, r->op, NULL, &saw);
    } else {
        op_failed(r->server->world, r->op, true);
    }
    request_free(r);
}

static bool has_applied(const struct server *s, uint64_t index)
{
    return s->applied.index >= index || s->world->options.broken == BREAK_STALE;
}

static void answer_write(struct request *r)
{
    op_done(r->server->world, r->op, &r->answer, NULL);
    request_free(r);
}

static void wait_applied(struct request *r, uint64_t index)
{
    event_cancel(r->server->world, &r->again);
    r->index = index;
    if (!has_applied(r->server, index)) {
        r->state = REQUEST_WAITING;
        server_await(r->server, index);
    } else if (r->is_read) {
        answer_read(r);
    } else {
        answer_write(r);
    }
}

/* -- at the leader ------------------------------------------------------------------------------
 */

static void on_proposed(void *data, enum mu_code code, uint64_t index)
{
    struct request *r = data;

    (void)index;
    r->is_core = false;
    if (code != MU_OK) {
        fail(r, code);
    } /* else committed; its result comes with `applied` */
}

static void on_copy(void *data, enum mu_code code, uint64_t index)
{
    (void)data;
    MU_ASSERT(code != MU_OK || index > 0);
}

static void propose(struct request *r)
{
    struct server *s = r->server;
    struct op *op = op_of(s->world, r->op);
    uint64_t wall_ms = server_ms(s) + (uint64_t)s->wall_ms;
    struct mu_buf stamped = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    s->stamp_ms = s->stamp_ms > s->applied.stamp_ms ? s->stamp_ms : s->applied.stamp_ms;
    s->stamp_ms = wall_ms > s->stamp_ms ? wall_ms : s->stamp_ms;
    MU_ASSERT(command_stamp(mu_buf_span(&op->command), &op->origin, s->stamp_ms, &stamped, &err) ==
              MU_OK);
    r->state = REQUEST_PROPOSED;
    r->is_core = true;
    r->ticket = consensus__node_propose(&s->node, mu_buf_span(&stamped), false, on_proposed, r);
    for (uint64_t i = calls_copies(s->world); i > 0; i--) {
        r->may_be = true; /* whatever becomes of the first */
        (void)consensus__node_propose(&s->node, mu_buf_span(&stamped), i % 2 == 0, on_copy, NULL);
    }
    mu_buf_deinit(&stamped);
}

void requests_entry(struct server *s, uint64_t ticket, uint64_t index)
{
    for (struct request *r = requests[s->place]; ticket != 0 && r != NULL; r = r->next) {
        if (r->state == REQUEST_PROPOSED && r->ticket == ticket && !r->is_read) {
            r->index = index;
            return;
        }
    }
}

static void result_take(struct request *r, const struct apply_result *result)
{
    struct world *w = r->server->world;

    r->answer = (struct call){
        .kind = CALL_PROPOSED,
        .op = r->op,
        .mark = r->asker_mark,
        .code = result->result.code,
        .index = result->index,
        .did_apply = result->result.did_apply,
    };
    if (r->asker != NULL) {
        net_call(w, r->server, r->asker, &r->answer);
        request_free(r);
    } else {
        answer_write(r);
    }
}

static void on_read_point(void *data, enum mu_code code, uint64_t index)
{
    struct request *r = data;
    struct call answer = {
        .kind = CALL_READ_POINT, .op = r->op, .mark = r->asker_mark, .index = index
    };

    r->is_core = false;
    if (code != MU_OK) {
        fail(r, code);
    } else if (r->asker != NULL) {
        net_call(r->server->world, r->server, r->asker, &answer);
        request_free(r);
    } else {
        wait_applied(r, index);
    }
}

static void read_point(struct request *r)
{
    struct server *s = r->server;

    r->state = REQUEST_ASKING;
    if (s->world->options.broken == BREAK_READ_POINT) {
        on_read_point(r, MU_OK, s->applied.index);
        return;
    }
    r->is_core = true;
    consensus__node_read(&s->node, on_read_point, r);
}

/* -- at the server that was asked ---------------------------------------------------------------
 */

void requests_applied(struct server *s, const struct apply_report *report)
{
    struct request *next;

    for (struct request *r = requests[s->place]; r != NULL; r = next) {
        next = r->next;
        if (r->state == REQUEST_WAITING && has_applied(s, r->index)) {
            wait_applied(r, r->index);
            continue;
        }
        for (size_t i = 0; r->state == REQUEST_PROPOSED && i < report->results_count; i++) {
            if (report->results[i].index == r->index) {
                result_take(r, &report->results[i]);
                break;
            }
        }
    }
}

/* What was proposed here may have been applied on the way: nobody here knows its result. */
void requests_restored(struct server *s)
{
    struct request *next;

    for (struct request *r = requests[s->place]; r != NULL; r = next) {
        next = r->next;
        if (r->state == REQUEST_PROPOSED && !r->is_core) {
            fail(r, MU_LOST);
        } else if (r->state == REQUEST_WAITING && has_applied(s, r->index)) {
            wait_applied(r, r->index);
        }
    }
}

static void ask_leader(struct request *r)
{
    struct server *s = r->server;
    struct server *leader = leader_of(s);
    struct call call = { .kind = r->is_read ? CALL_READ : CALL_PROPOSE,
                         .op = r->op,
                         .mark = r->mark };

    if (leader == s || (r->asker == NULL && calls_anywhere(s->world))) {
        if (r->is_read) {
            read_point(r);
        } else {
            propose(r);
        }
        return;
    }
    if (leader == NULL || r->asker != NULL || !s->links[leader->place]) {
        fail(r, MU_NO_LEADER);
        return;
    }
    r->state = REQUEST_ASKING;
    net_call(s->world, s, leader, &call);
    if (!r->is_read && s->world->now < r->began + HOLD_MS * MS) {
        event_set(s->world, &r->again, s->world->now + ANSWER_MS * MS, on_again, r);
    }
}

void request_client(struct server *s, uint64_t op)
{
    struct op *o = op_of(s->world, op);
    struct request *r = request_new(s, op, o->kind == OP_GET);

    /* Under this number it may be repeated: a second copy in the log changes nothing. */
    o->origin = (struct command_origin){ s->node.identity.disk, s->node.identity.boot_count,
                                         ++s->origin_seq };

    if (o->kind == OP_GET && o->mode == MODE_STALE && !s->lacks_state) {
        answer_read(r);
    } else {
        ask_leader(r);
    }
}

static void answer_came(struct server *s, const struct call *call)
{
    struct request *r = requests[s->place];

    while (r != NULL && (r->mark != call->mark || r->state != REQUEST_ASKING || r->is_core)) {
        r = r->next;
    }
    if (r == NULL) {
        return; /* of an earlier life */
    }
    r->answer = *call;
    if (call->kind == CALL_READ_POINT && call->code != MU_OK) {
        fail(r, call->code);
    } else if (call->kind == CALL_PROPOSED && call->index == 0) {
        fail(r, call->code);
    } else {
        wait_applied(r, call->index);
    }
}

void request_call(struct server *s, struct server *from, const struct call *call)
{
    struct request *r;

    switch (call->kind) {
    case CALL_PROPOSE:
    case CALL_READ:
        r = request_new(s, call->op, call->kind == CALL_READ);
        r->asker = from;
        r->asker_mark = call->mark;
        ask_leader(r);
        break;
    case CALL_PROPOSED:
    case CALL_READ_POINT: answer_came(s, call); break;
    }
}
