/* keyring_change.c - this node's part in a change of keys.
 *
 *   asked by a query ----.
 *   told, we were away --+--> waits -> a copy is changed -> kept on disk -> ours -> answered
 *   old ones expire -----'
 *
 * One after the other, since each builds on the one before. Who asked hears "done" only when the
 * change is on disk and in use: a node that forgets a key in a crash would be locked out. A write
 * that fails changes nothing, and says so.
 *
 * Keys travel under keys alone: while a roll-out still sends in clear (spec/gossip.md 12.6) nothing
 * is changed or told through the cluster.
 */
#include <sodium.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

#define WAITING_MAX 16U /* an operator changes one thing at a time */
#define MS_PER_S    1000U
#define LOOK_MS     60000U /* how often old keys are looked at, while there are any */

enum cause { CAUSE_QUERY, CAUSE_TOLD, CAUSE_TIME };

struct change {
    struct mu_link place;
    enum cause cause;
    /* QUERY */
    enum gossip_key_op op;
    uint64_t ltime;
    uint32_t id;
    struct gossip_key key;
    struct gossip_keys theirs; /* TOLD */
};

struct key_changes {
    struct agent *agent; /* NULL: closed while one is being written */
    struct mu_link waiting;
    size_t waiting_count;
    struct gossip_keys next; /* what is being written */
    struct gossip_key_answer answer;
    bool is_writing;
    uint64_t opened_ms;
    struct timer timer;
};

static uint64_t wall_s(void)
{
    return (uint64_t)(mu_clock_wall_ns() / MU_NS_PER_S);
}

static struct change *first_of(struct key_changes *k)
{
    return MU_CONTAINER(k->waiting.next, struct change, place);
}

static void change_drop(struct key_changes *k)
{
    struct change *c = first_of(k);

    mu_list_remove(&c->place);
    k->waiting_count--;
    sodium_memzero(c, sizeof *c);
    mu_free(c);
}

static void respond(struct agent *a, uint64_t ltime, uint32_t id,
                    const struct gossip_key_answer *answer)
{
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    gossip_key_answer_encode(answer, &bytes);
    if (gossip_driver_respond(a->gossip, ltime, id, mu_buf_span(&bytes), &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "Could not answer a query about keys", mu_kv("error", err.text));
    }
    sodium_memzero(bytes.data, bytes.bytes);
    mu_buf_deinit(&bytes);
}

static void refuse(struct agent *a, uint64_t ltime, uint32_t id, const char *why)
{
    struct gossip_key_answer no = { .is_ok = false };

    (void)snprintf(no.text, sizeof no.text, "%s", why);
    respond(a, ltime, id, &no);
}

/* -- one change ---------------------------------------------------------------------------------
 */

static void on_look(void *data);
static void next(struct key_changes *k);

/* Who has just started has not heard of everybody yet. */
static bool is_anybody_away(const struct key_changes *k)
{
    struct gossip_stats s = gossip_driver_stats(k->agent->gossip);
    uint64_t up_ms = timers_now(k->agent->timers) - k->opened_ms;

    return s.failed + s.left > 0 || up_ms < GOSSIP_RETIRED_MIN_S * MS_PER_S;
}

/* Into k->next and k->answer. True: it is to be kept. */
static bool work_out(struct key_changes *k, const struct change *c)
{
    struct agent *a = k->agent;
    struct gossip_key_query q = { .op = c->op,
                                  .key = mu_span_of(c->key.bytes, c->key.count),
                                  .ltime = c->ltime,
                                  .now_s = wall_s() };

    k->next = a->keys;
    switch (c->cause) {
    case CAUSE_QUERY: return gossip_keys_apply(&k->next, &q, &k->answer);
    case CAUSE_TOLD: return gossip_keys_take(&k->next, &c->theirs);
    case CAUSE_TIME: return gossip_keys_expire(&k->next, is_anybody_away(k), q.now_s);
    }
    MU_UNREACHABLE_CODE();
}

static const char *const op_texts[] = {
    [GOSSIP_KEY_INSTALL] = "A gossip key was installed",
    [GOSSIP_KEY_USE] = "Another gossip key is the primary one now",
    [GOSSIP_KEY_REMOVE] = "A gossip key was removed",
};

static void adopt(struct key_changes *k, const struct change *c)
{
    struct agent *a = k->agent;

    agent__keyring_adopt(a, &k->next);
    if (a->keys.retired.count > 0 && !timer_is_set(&k->timer)) {
        timer_set(a->timers, &k->timer, LOOK_MS, on_look, k);
    }
    if (c->cause == CAUSE_QUERY) {
        mu_log(MU_INFO, "agent", op_texts[c->op], mu_kv_u("keys", a->keys.ring.count));
    } else if (c->cause == CAUSE_TOLD) {
        mu_log(MU_INFO, "agent",
               "Gossip keys were changed while this node was away, it has the new ones now",
               mu_kv_u("keys", a->keys.ring.count));
        agent__join_soon(a);
    }
}

static void finish(struct key_changes *k, const struct change *c)
{
    if (c->cause == CAUSE_QUERY) {
        respond(k->agent, c->ltime, c->id, &k->answer);
    }
    gossip_keys_wipe(&k->next);
    sodium_memzero(&k->answer, sizeof k->answer);
    change_drop(k);
}

static void on_written(void *data, enum mu_code code, const struct mu_err *err)
{
    struct key_changes *k = data;

    k->is_writing = false;
    if (k->agent == NULL) {
        gossip_keys_wipe(&k->next);
        mu_free(k);
        return;
    }
    struct change *c = first_of(k);

    if (code == MU_OK) {
        adopt(k, c);
    } else {
        mu_log(MU_ERROR, "agent", "Could not keep a change of gossip keys on disk",
               mu_kv("error", err->text));
        k->answer.is_ok = false;
        (void)snprintf(k->answer.text, sizeof k->answer.text, "Failed to write keyring file");
    }
    finish(k, c);
    next(k);
}

static void write_next(struct key_changes *k)
{
    struct agent__key_files files;

    agent__key_files_make(k->agent, &k->next, &files);
    k->is_writing = true;
    agent__key_write(k->agent->loop, &files, on_written, k);
}

static void next(struct key_changes *k)
{
    while (!k->is_writing && !mu_list_empty(&k->waiting)) {
        struct change *c = first_of(k);
        bool is_new = work_out(k, c);

        if (is_new && agent__keyring_keeps(k->agent)) {
            write_next(k);
            return;
        }
        if (is_new) {
            adopt(k, c);
        }
        finish(k, c);
    }
}

/* NULL: too many wait. */
static struct change *change_add(struct key_changes *k, enum cause cause)
{
    if (k->waiting_count == WAITING_MAX) {
        return NULL;
    }
    struct change *c = mu_new(sizeof *c);

    c->cause = cause;
    mu_list_push_back(&k->waiting, &c->place);
    k->waiting_count++;
    return c;
}

/* -- what makes us -------------------------------------------------------------------------------
 */

static bool sends_clear(const struct agent *a)
{
    return a->keys.ring.count > 0 && !a->config->encrypt_verify_outgoing;
}

static void take_query(struct agent *a, const struct gossip_query *query, enum gossip_key_op op,
                       struct mu_span key)
{
    struct change *c = change_add(a->key_changes, CAUSE_QUERY);

    if (c == NULL) {
        refuse(a, query->ltime, query->id, "Too many changes of keys at once");
        return;
    }
    c->op = op;
    c->ltime = query->ltime;
    c->id = query->id;
    /* one that is none keeps a size that is refused by name */
    if (gossip_key_of(key, &c->key, NULL) != MU_OK) {
        c->key = (struct gossip_key){ .count = 0 };
    }
    next(a->key_changes);
}

bool agent__keyring_query(struct agent *a, const struct gossip_query *query)
{
    struct mu_arena arena;
    struct mu_span key;
    enum gossip_key_op op;

    if (!query->is_internal || !gossip_key_op_of(query->name, &op)) {
        return false;
    }
    mu_arena_init(&arena, MU_GOSSIP_PACKET_MAX * 8);
    if (a->key_changes == NULL || !gossip_key_request_decode(query->payload, &arena, &key)) {
        refuse(a, query->ltime, query->id, "Failed to decode key request");
    } else if (sends_clear(a)) {
        refuse(a, query->ltime, query->id,
               "Keys are not told in clear: encrypt_verify_outgoing is off");
    } else {
        take_query(a, query, op, key);
    }
    mu_arena_deinit(&arena);
    return true;
}

void agent__keyring_told(struct agent *a, const struct gossip_keys *keys)
{
    struct change *c = a->key_changes != NULL ? change_add(a->key_changes, CAUSE_TOLD) : NULL;

    if (c != NULL) {
        c->theirs = *keys;
        next(a->key_changes);
    }
}

static void on_look(void *data)
{
    struct key_changes *k = data;
    struct gossip_keys copy = k->agent->keys;

    timer_set(k->agent->timers, &k->timer, LOOK_MS, on_look, k);
    if (copy.retired.count == 0) {
        timer_cancel(&k->timer);
    } else if (gossip_keys_expire(&copy, is_anybody_away(k), wall_s()) &&
               change_add(k, CAUSE_TIME) != NULL) {
        next(k);
    }
    gossip_keys_wipe(&copy);
}

/* -- life ---------------------------------------------------------------------------------------
 */

void agent__key_changes_open(struct agent *a)
{
    struct key_changes *k = mu_new(sizeof *k);

    k->agent = a;
    k->opened_ms = timers_now(a->timers);
    mu_list_init(&k->waiting);
    a->key_changes = k;
    if (a->keys.retired.count > 0) {
        timer_set(a->timers, &k->timer, LOOK_MS, on_look, k);
    }
}

void agent__key_changes_close(struct agent *a)
{
    struct key_changes *k = a->key_changes;

    if (k == NULL) {
        return;
    }
    a->key_changes = NULL;
    timer_cancel(&k->timer);
    while (!mu_list_empty(&k->waiting)) {
        change_drop(k);
    }
    k->agent = NULL;
    if (!k->is_writing) { /* else its end frees it */
        mu_free(k);
    }
}
