/* client.c - who asks, and what he believes afterwards.
 *
 * A client does one thing at a time, at a server it stays with until that one refuses or does not
 * answer. Every write writes the number of its operation, so a value says who wrote it.
 *
 * What it is told is judged at once by the log's own order: a write by its entry, a read by the
 * state at the index it came with, both by what anybody had been told before it was called. At the
 * end the whole history is judged without trusting any index (tests/lib/linear.h).
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

#define NODE_NAME    "node" /* sessions live on it */
#define TIMEOUT_MS   3000
#define LINEAR_STEPS 20000

static const char *const keys[KEYS_MAX] = {
    "a/0", "b/0", "a/1", "b/1", "a/2", "b/2", "a/3", "b/3",
    "c/0", "d/0", "c/1", "d/1", "c/2", "d/2", "c/3", "d/3"
};

const char *key_text(size_t key)
{
    return keys[key];
}

struct op *op_of(struct world *w, uint64_t number)
{
    MU_ASSERT(number > 0 && number <= w->ops_count);
    return &w->ops[number - 1];
}

struct op *op_by_origin(struct world *w, const struct command_origin *origin)
{
    for (size_t i = w->ops_count; i > 0; i--) { /* it is a new one, nearly always */
        struct op *op = &w->ops[i - 1];

        if (op->origin.seq == origin->seq && op->origin.boot == origin->boot &&
            mu_id_eq(&op->origin.server, &origin->server)) {
            return op;
        }
    }
    return NULL;
}

/* -- sessions ---------------------------------------------------------------------------------- */

struct mu_id session_id(uint64_t number)
{
    struct mu_id id = { .b = { 0x5e, 0x55 } };

    memcpy(id.b + 4, &number, sizeof number);
    return id;
}

bool session_read(struct mu_span text, uint64_t *number)
{
    struct mu_id id;

    *number = 0;
    if (text.bytes == 0) {
        return true;
    }
    if (!mu_id_parse(text, &id)) {
        return false;
    }
    memcpy(number, id.b + 4, sizeof *number);
    struct mu_id same = session_id(*number);

    return mu_id_eq(&id, &same);
}

static struct client *client_of(struct world *w, const struct op *op)
{
    return &w->clients[op->client];
}

/* -- values ---------------------------------------------------------------------------------- */

/* A value is the number of the operation that wrote it, and more of it: a few bytes, or many
 * sectors of a disk. */
static unsigned long_value_each = 5; /* every so manieth is long; of one world at a time */

static size_t value_bytes(uint64_t number)
{
    uint64_t luck = number * UINT64_C(0x9e3779b97f4a7c15) >> 40;

    return sizeof number * (size_t)(1 + luck % (luck % long_value_each == 0 ? 1000 : 12));
}

static void value_make(uint64_t number, struct mu_buf *to)
{
    for (size_t i = 0; i < value_bytes(number) / sizeof number; i++) {
        uint64_t word = number + i;

        mu_buf_add(to, &word, sizeof word);
    }
}

bool value_read(struct mu_span value, uint64_t *number)
{
    if (value.bytes < sizeof *number) {
        return false;
    }
    memcpy(number, value.data, sizeof *number);
    struct mu_buf whole = MU_BUF_NONE;

    value_make(*number, &whole);
    bool is_whole = mu_span_eq(mu_buf_span(&whole), value);

    mu_buf_deinit(&whole);
    return is_whole;
}

/* -- making one ---------------------------------------------------------------------------------
 */

static void kv_command(const struct op *op, struct mu_buf *value, struct command *c)
{
    struct mu_span key = mu_span_text(keys[op->key]);

    if (op->kind == OP_PUT || op->kind == OP_CAS) {
        c->kind = COMMAND_KV_SET;
        value_make(op->number, value);
        c->kv_set.key = key;
        c->kv_set.value = mu_buf_span(value);
        c->kv_set.has_cas = op->kind == OP_CAS;
        c->kv_set.cas = op->cas;
        return;
    }
    c->kind = COMMAND_KV_DELETE;
    c->kv_delete.key = op->kind == OP_DELETE_TREE ? mu_span_of(keys[op->key], 2) : key;
    c->kv_delete.recurse = op->kind == OP_DELETE_TREE;
    c->kv_delete.has_cas = op->kind == OP_DELETE_CAS;
    c->kv_delete.cas = op->cas;
}

static void session_command(const struct op *op, struct mu_buf *value, struct command *c)
{
    if (op->kind == OP_SESSION) {
        c->kind = COMMAND_SESSION_CREATE;
        c->session.id = session_id(op->number);
        c->session.node = MU_SPAN_LIT(NODE_NAME);
        c->session.behavior = MU_SPAN_LIT("release");
    } else if (op->kind == OP_DESTROY) {
        c->kind = COMMAND_SESSION_DESTROY;
        c->session_destroy.id = session_id(op->session);
    } else {
        c->kind = COMMAND_KV_LOCK;
        value_make(op->number, value);
        c->kv_lock.key = mu_span_text(keys[op->key]);
        c->kv_lock.value = mu_buf_span(value);
        c->kv_lock.session = session_id(op->session);
        c->kv_lock.is_release = op->kind == OP_RELEASE;
    }
}

static void newer_command(const struct op *op, struct mu_buf *value, struct command_txn_op *set,
                          struct command *c)
{
    value_make(op->number, value);
    *set = (struct command_txn_op){ .verb = COMMAND_TXN_SET,
                                    .key = mu_span_text(keys[op->key]),
                                    .value = mu_buf_span(value) };
    c->kind = COMMAND_TXN_CATALOG;
    c->txn.ops = set;
    c->txn.ops_count = 1;
}

static void command_make(struct op *op)
{
    struct mu_buf value = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct command_txn_op set;
    struct command c = { .kind = COMMAND_NONE };

    if (op->kind == OP_GET) {
        return;
    }
    if (op->kind == OP_REGISTER) {
        c.kind = COMMAND_REGISTER;
        c.reg.node.name = MU_SPAN_LIT(NODE_NAME);
        c.reg.node.address = MU_SPAN_LIT("127.0.0.1");
    } else if (op->kind == OP_NEWER) {
        newer_command(op, &value, &set, &c);
    } else if (op->kind >= OP_ACQUIRE) {
        session_command(op, &value, &c);
    } else {
        kv_command(op, &value, &c);
    }
    if (command_encode(&c, &op->command, &err) != MU_OK) {
        MU_UNREACHABLE_CODE();
    }
    mu_buf_deinit(&value);
}

/* What is done with a key; those of locks are for nothing else. */
static enum op_kind kind_draw(struct world *w, const struct client *c, size_t key)
{
    static const unsigned plain[OP_KINDS] = { 10, 10, 6, 2, 2, 1 };
    static const unsigned locks[OP_KINDS] = {
        [OP_GET] = 10, [OP_PUT] = 2, [OP_ACQUIRE] = 10, [OP_RELEASE] = 8, [OP_DESTROY] = 1
    };
    const unsigned *weights = model_is_lock(key) ? locks : plain;
    unsigned luck = (unsigned)mu_rand_below(&w->rand, 31);
    enum op_kind kind = OP_GET;

    while (luck >= weights[kind]) {
        luck -= weights[kind++];
    }
    if (kind >= OP_ACQUIRE && c->session == 0) {
        kind = w->has_node ? OP_SESSION : OP_REGISTER;
    }
    return kind == OP_PUT && versions_draw_newer(w) ? OP_NEWER : kind;
}

static struct op *op_new(struct world *w, struct client *c)
{
    size_t key = mu_rand_below(&w->rand, w->keys_count);
    enum op_kind kind = kind_draw(w, c, key);

    if (w->ops_count == w->ops_room) {
        w->ops_room = w->ops_room * 2 + 256;
        w->ops = mu_grow(w->ops, w->ops_room * sizeof *w->ops);
    }
    struct op *op = &w->ops[w->ops_count++];

    *op = (struct op){
        .number = w->ops_count,
        .kind = kind,
        .mode = (enum op_mode)mu_rand_below(&w->rand, MODES),
        .client = c->place,
        .key = key,
        .session = c->session,
        .called = w->now,
        .floor = w->told,
    };
    op->cas = c->read_index[op->key];
    op->cas_value = c->read_value[op->key];
    command_make(op);
    return op;
}

/* -- asking -------------------------------------------------------------------------------------
 */

static void on_next(void *data);

static void client_rest(struct world *w, struct client *c)
{
    c->op = 0;
    event_cancel(w, &c->timeout);
    event_set(w, &c->next, w->now + mu_rand_below(&w->rand, w->think_us), on_next, c);
}

/* The world of a client: there is one at a time, and its clients are in an array. */
static struct world *world_of(struct client *c)
{
    return MU_CONTAINER(c - c->place, struct world, clients[0]);
}

/* Nobody knows whether its session is gone: it takes another one. */
static void session_forget(struct client *c, const struct op *op)
{
    c->session = op->kind == OP_DESTROY ? 0 : c->session;
}

static void on_timeout(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);
    struct op *op = op_of(w, c->op);

    session_forget(c, op);
    op->state = OP_UNKNOWN;
    op->returned = w->now;
    w->sums.unknown++;
    c->server = mu_rand_below(&w->rand, w->servers_count);
    client_rest(w, c);
}

static void on_arrival(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);
    struct server *s = &w->servers[c->server];

    if (!server_is_up(s)) {
        op_failed(w, c->op, true); /* nobody listens */
        return;
    }
    if (server_turn_begins(s, &c->next, on_arrival, c)) {
        request_client(s, c->op);
        server_turn_ends(s);
    }
}

static void on_next(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);

    if (w->is_calm) {
        return;
    }
    c->op = op_new(w, c)->number;
    event_set(w, &c->timeout, w->now + TIMEOUT_MS * MS, on_timeout, c);
    if (!world_happens(&w->net_rand, w->loss)) {
        event_set(w, &c->next, w->now + 20 + mu_rand_below(&w->net_rand, w->delay_us + 1),
                  on_arrival, c);
    }
}

/* -- being told ---------------------------------------------------------------------------------
 */

static void judge_write(struct world *w, const struct op *op)
{
    const struct fact *fact = op->index <= w->facts_count ? &w->facts[op->index - 1] : NULL;

    if (fact == NULL || fact->op != op->number) {
        world_fail(w, "I16: write %llu was acknowledged at %llu, where something else stands",
                   U(op->number), U(op->index));
    }
    if (fact->did_apply != op->did_apply || fact->code != op->code) {
        world_fail(w, "write %llu at %llu: the client was told %s", U(op->number), U(op->index),
                   op->did_apply ? "true" : "false");
    }
    if (op->index <= op->floor) {
        world_fail(w, "I15: write %llu got index %llu, and %llu had been told before it was called",
                   U(op->number), U(op->index), U(op->floor));
    }
}

static void judge_read(struct world *w, const struct op *op)
{
    struct version v = model_at(w, op->key, op->index);

    if (op->mode != MODE_STALE && op->index < op->floor && w->leases != LEASES_BROKEN) {
        world_fail(w, "I15: read %llu saw the state at %llu, and %llu had been told before",
                   U(op->number), U(op->index), U(op->floor));
    }
    if (op->saw != v.value || op->saw_index != v.modified || op->saw_holder != v.holder) {
        world_fail(w,
                   "I15: read %llu of %s at %llu saw %llu of entry %llu, locked by %llu, there was "
                   "%llu of %llu, locked by %llu",
                   U(op->number), keys[op->key], U(op->index), U(op->saw), U(op->saw_index),
                   U(op->saw_holder), U(v.value), U(v.modified), U(v.holder));
    }
}

/* Only once the client knows, others may rely on it. */
static void on_told(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);
    struct op *op = op_of(w, c->op);

    op->state = op->code == MU_TIMEOUT ? OP_UNKNOWN : OP_DONE; /* repeated too late */
    op->returned = w->now;
    if (op->kind == OP_GET) {
        w->sums.reads++;
        judge_read(w, op);
        c->read_value[op->key] = op->saw;
        c->read_index[op->key] = op->saw_index;
    } else {
        w->sums.acked++;
        judge_write(w, op);
        session_forget(c, op);
        c->session = op->kind == OP_SESSION && op->did_apply ? op->number : c->session;
        w->has_node = w->has_node || op->kind == OP_REGISTER;
    }
    w->told = op->index > w->told ? op->index : w->told;
    client_rest(w, c);
}

static void on_refused(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);
    struct op *op = op_of(w, c->op);

    if (op->state == OP_FAILED) {
        w->sums.failed++;
    } else {
        session_forget(c, op);
        op->state = OP_UNKNOWN;
        w->sums.unknown++;
    }
    c->server = mu_rand_below(&w->rand, w->servers_count);
    client_rest(w, c);
}

static bool is_waited_for(struct world *w, const struct op *op)
{
    return op->state == OP_OPEN && client_of(w, op)->op == op->number &&
           !event_is_set(&client_of(w, op)->next);
}

static void answer_send(struct world *w, const struct op *op, event_fn *fire)
{
    struct client *c = client_of(w, op);

    if (!world_happens(&w->net_rand, w->loss)) {
        event_set(w, &c->next, w->now + 20 + mu_rand_below(&w->net_rand, w->delay_us + 1), fire, c);
    }
}

void op_done(struct world *w, uint64_t number, const struct call *answer, const struct op *saw)
{
    struct op *op = op_of(w, number);

    world_note(w, number * 2);
    if (!is_waited_for(w, op)) {
        return;
    }
    op->index = saw != NULL ? saw->index : answer->index;
    op->did_apply = saw == NULL && answer->did_apply;
    op->saw = saw != NULL ? saw->saw : 0;
    op->saw_index = saw != NULL ? saw->saw_index : 0;
    op->saw_holder = saw != NULL ? saw->saw_holder : 0;
    op->code = saw != NULL ? MU_OK : answer->code;
    answer_send(w, op, on_told);
}

void op_failed(struct world *w, uint64_t number, bool is_certain)
{
    struct op *op = op_of(w, number);

    world_note(w, number * 2 + 1);
    if (is_certain && op->entry != 0) {
        world_fail(w, "write %llu was refused, and stands at %llu", U(number), U(op->entry));
    }
    if (!is_waited_for(w, op)) {
        return;
    }
    op->state = is_certain ? OP_FAILED : OP_OPEN;
    op->returned = w->now;
    answer_send(w, op, on_refused);
}

/* -- the whole history --------------------------------------------------------------------------
 */

static enum linear_outcome outcome_of(const struct op *op)
{
    if (op->state != OP_DONE) {
        return LINEAR_UNKNOWN;
    }
    return op->kind == OP_GET || op->did_apply ? LINEAR_DONE : LINEAR_REFUSED;
}

static void history_add(const struct world *w, struct linear_history *h, const struct op *op,
                        size_t key)
{
    static const enum linear_kind kinds[OP_KINDS] = {
        [OP_GET] = LINEAR_GET,
        [OP_PUT] = LINEAR_PUT,
        [OP_CAS] = LINEAR_CAS,
        [OP_DELETE] = LINEAR_DELETE,
        [OP_DELETE_CAS] = LINEAR_DELETE_CAS,
        [OP_DELETE_TREE] = LINEAR_DELETE,
        [OP_NEWER] = LINEAR_PUT,
        [OP_ACQUIRE] = LINEAR_ACQUIRE,
        [OP_RELEASE] = LINEAR_RELEASE,
        [OP_DESTROY] = LINEAR_EXPIRE,
    };
    struct linear_op *to = linear_add(h);
    enum linear_kind kind = kinds[op->kind];
    bool writes = kind == LINEAR_PUT || kind == LINEAR_CAS || kind == LINEAR_ACQUIRE ||
                  kind == LINEAR_RELEASE;
    bool expects = kind == LINEAR_CAS || kind == LINEAR_DELETE_CAS;

    to->kind = kind;
    to->outcome = outcome_of(op);
    to->is_stale = kind == LINEAR_GET && (op->mode == MODE_STALE || w->leases == LEASES_BROKEN);
    to->key = key;
    to->value = kind == LINEAR_GET ? op->saw : writes ? op->number : 0;
    to->session = kind == LINEAR_GET ? op->saw_holder : kind >= LINEAR_ACQUIRE ? op->session : 0;
    to->expected = expects ? op->cas_value : 0;
    to->called = op->called;
    to->returned = op->returned;
    to->index = op->state == OP_DONE ? op->index : 0;
    to->modified = kind == LINEAR_GET ? op->saw_index : 0;
}

static bool concerns(const struct op *op, size_t key)
{
    return op->kind == OP_DESTROY       ? model_is_lock(key)
           : op->kind == OP_DELETE_TREE ? keys[key][0] == keys[op->key][0]
                                        : key == op->key;
}

static void history_make(struct world *w, struct linear_history *h)
{
    for (size_t i = 0; i < w->ops_count; i++) {
        const struct op *op = &w->ops[i];

        if (op->state == OP_FAILED || (op->state == OP_DONE && op->code != MU_OK) ||
            op->kind == OP_SESSION || op->kind == OP_REGISTER ||
            (op->kind == OP_GET && op->state != OP_DONE)) {
            continue; /* without effect on keys */
        }
        for (size_t key = 0; key < w->keys_count; key++) {
            if (concerns(op, key)) {
                history_add(w, h, op, key);
            }
        }
    }
}

void clients_judge(struct world *w)
{
    struct linear_history h = LINEAR_HISTORY_NONE;
    struct mu_buf why = MU_BUF_NONE;

    history_make(w, &h);
    if (linear_check(&h, LINEAR_STEPS, &why) == LINEAR_BROKEN) {
        mu_buf_add_byte(&why, '\0');
        world_fail(w, "I15: the history of the clients is not linearizable: %s",
                   (const char *)why.data);
    }
    mu_buf_deinit(&why);
    linear_history_deinit(&h);
}

/* -- life ---------------------------------------------------------------------------------------
 */

void clients_begin(struct world *w)
{
    long_value_each = w->options.is_small ? 1000 : w->is_pressing ? 2 : 5;
    for (size_t i = 0; i < w->clients_count; i++) {
        struct client *c = &w->clients[i];

        c->place = i;
        c->server = mu_rand_below(&w->rand, w->servers_count);
        client_rest(w, c);
    }
}

void clients_free(struct world *w)
{
    for (size_t i = 0; i < w->clients_count; i++) {
        event_cancel(w, &w->clients[i].next);
        event_cancel(w, &w->clients[i].timeout);
    }
    for (size_t i = 0; i < w->ops_count; i++) {
        mu_buf_deinit(&w->ops[i].command);
    }
    mu_free(w->ops);
}
