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

static struct client *client_of(struct world *w, const struct op *op)
{
    return &w->clients[op->client];
}

/* -- values ---------------------------------------------------------------------------------- */

/* A value is the number of the operation that wrote it, and more of it: a few bytes, or many
 * sectors of a disk. */
static size_t value_bytes(uint64_t number)
{
    uint64_t luck = number * UINT64_C(0x9e3779b97f4a7c15) >> 40;

    return sizeof number * (size_t)(1 + luck % (luck % 5 == 0 ? 1000 : 12));
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

static void command_make(struct op *op)
{
    struct mu_span key = mu_span_text(keys[op->key]);
    struct mu_buf value = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct command c = { .kind = COMMAND_KV_DELETE };

    switch (op->kind) {
    case OP_GET: return;
    case OP_PUT:
    case OP_CAS:
        c.kind = COMMAND_KV_SET;
        c.kv_set.key = key;
        value_make(op->number, &value);
        c.kv_set.value = mu_buf_span(&value);
        c.kv_set.has_cas = op->kind == OP_CAS;
        c.kv_set.cas = op->cas;
        break;
    case OP_DELETE:
    case OP_DELETE_CAS:
    case OP_DELETE_TREE:
        c.kv_delete.key = op->kind == OP_DELETE_TREE ? mu_span_of(keys[op->key], 2) : key;
        c.kv_delete.recurse = op->kind == OP_DELETE_TREE;
        c.kv_delete.has_cas = op->kind == OP_DELETE_CAS;
        c.kv_delete.cas = op->cas;
        break;
    case OP_KINDS: MU_UNREACHABLE_CODE();
    }
    MU_ASSERT(command_encode(&c, &op->command, &err) == MU_OK);
    mu_buf_deinit(&value);
}

static struct op *op_new(struct world *w, struct client *c)
{
    static const unsigned weights[OP_KINDS] = { 10, 10, 6, 2, 2, 1 };
    unsigned luck = (unsigned)mu_rand_below(&w->rand, 31);
    enum op_kind kind = OP_GET;

    while (luck >= weights[kind]) {
        luck -= weights[kind++];
    }
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
        .key = mu_rand_below(&w->rand, w->keys_count),
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

static void on_timeout(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);
    struct op *op = op_of(w, c->op);

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
    if (fact->did_apply != op->did_apply) {
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

    if (op->mode != MODE_STALE && op->index < op->floor) {
        world_fail(w, "I15: read %llu saw the state at %llu, and %llu had been told before",
                   U(op->number), U(op->index), U(op->floor));
    }
    if (op->saw != v.value || op->saw_index != v.modified) {
        world_fail(w, "I15: read %llu of %s at %llu saw %llu of entry %llu, there was %llu of %llu",
                   U(op->number), keys[op->key], U(op->index), U(op->saw), U(op->saw_index),
                   U(v.value), U(v.modified));
    }
}

/* Only once the client knows, others may rely on it. */
static void on_told(void *data)
{
    struct client *c = data;
    struct world *w = world_of(c);
    struct op *op = op_of(w, c->op);

    op->state = OP_DONE;
    op->returned = w->now;
    if (op->kind == OP_GET) {
        w->sums.reads++;
        judge_read(w, op);
        c->read_value[op->key] = op->saw;
        c->read_index[op->key] = op->saw_index;
    } else {
        w->sums.acked++;
        judge_write(w, op);
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

static void history_add(struct linear_history *h, const struct op *op, size_t key)
{
    static const enum linear_kind kinds[OP_KINDS] = { LINEAR_GET,        LINEAR_PUT,
                                                      LINEAR_CAS,        LINEAR_DELETE,
                                                      LINEAR_DELETE_CAS, LINEAR_DELETE };
    struct linear_op *to = linear_add(h);

    to->kind = kinds[op->kind];
    to->outcome = op->state != OP_DONE                  ? LINEAR_UNKNOWN
                  : op->kind == OP_GET || op->did_apply ? LINEAR_DONE
                                                        : LINEAR_REFUSED;
    to->is_stale = op->kind == OP_GET && op->mode == MODE_STALE;
    to->key = key;
    to->value = op->kind == OP_GET ? op->saw : op->kind <= OP_CAS ? op->number : 0;
    to->expected = op->kind == OP_CAS || op->kind == OP_DELETE_CAS ? op->cas_value : 0;
    to->called = op->called;
    to->returned = op->returned;
    to->index = op->state == OP_DONE ? op->index : 0;
    to->modified = op->kind == OP_GET ? op->saw_index : 0;
}

static void history_make(struct world *w, struct linear_history *h)
{
    for (size_t i = 0; i < w->ops_count; i++) {
        const struct op *op = &w->ops[i];

        if (op->state == OP_FAILED || (op->kind == OP_GET && op->state != OP_DONE)) {
            continue;
        }
        for (size_t key = 0; key < w->keys_count; key++) {
            if (key == op->key ||
                (op->kind == OP_DELETE_TREE && keys[key][0] == keys[op->key][0])) {
                history_add(h, op, key);
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
