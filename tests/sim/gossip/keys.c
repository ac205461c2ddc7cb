/* keys.c - a node's part in a change of keys, as agent/keyring_change.c does it, on a disk that
 * writes at once. */

#include "base/assert.h"
#include "base/buf.h"
#include "core.h"
#include "network.h"

#define WALL_S 1700000000U /* the wall clock at the beginning */

static uint64_t wall_s(const struct world *w)
{
    return WALL_S + w->now_us / 1000000;
}

void sim_keys_gather(const struct gossip_effects *fx, struct sim_key_work *out)
{
    struct mu_arena arena;
    struct mu_span key;

    out->count = 0;
    out->is_told = fx->keys != NULL;
    if (out->is_told) {
        out->told = *fx->keys;
    }
    mu_arena_init(&arena, 64U * 1024);
    for (size_t i = 0; i < fx->queries_count && out->count < SIM_KEY_QUERIES_MAX; i++) {
        const struct gossip_query *q = &fx->queries[i];
        enum gossip_key_op op;

        if (gossip_key_op_of(q->name, &op) && gossip_key_request_decode(q->payload, &arena, &key) &&
            key.bytes <= GOSSIP_KEY_BYTES_MAX) {
            uint8_t *bytes = out->queries[out->count].key;

            for (size_t b = 0; b < key.bytes; b++) {
                bytes[b] = key.data[b];
            }
            out->queries[out->count].query = (struct gossip_key_query){
                .op = op, .key = mu_span_of(bytes, key.bytes), .ltime = q->ltime
            };
            out->queries[out->count++].id = q->id;
        }
    }
    mu_arena_deinit(&arena);
}

static void adopt(struct world *w, struct sim_node *n)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_KEYS };

    ev.sealing = n->sealing;
    sim_feed(w, n, &ev);
}

static void answer(struct world *w, struct sim_node *n, uint64_t ltime, uint32_t id,
                   const struct gossip_key_answer *a)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_RESPOND };
    struct mu_buf bytes = MU_BUF_NONE;

    gossip_key_answer_encode(a, &bytes);
    ev.respond.ltime = ltime;
    ev.respond.id = id;
    ev.respond.payload = mu_buf_span(&bytes);
    sim_feed(w, n, &ev);
    mu_buf_deinit(&bytes);
}

void sim_keys_do(struct world *w, struct sim_node *n, struct sim_key_work *work)
{
    for (size_t i = 0; i < work->count && n->core != NULL; i++) {
        struct gossip_key_query *q = &work->queries[i].query;
        struct gossip_key_answer a;
        bool is_young = w->now_us - n->started_us < GOSSIP_RETIRED_MIN_S * 1000000ULL;
        bool is_away = n->core->failed_count + n->core->left_count > 0 || is_young;

        q->now_s = wall_s(w);
        bool is_new = gossip_keys_expire(&n->keys, is_away, q->now_s);

        if (gossip_keys_apply(&n->keys, q, &a) || is_new) {
            adopt(w, n);
        }
        answer(w, n, q->ltime, work->queries[i].id, &a);
    }
    if (work->is_told && n->core != NULL && gossip_keys_take(&n->keys, &work->told)) {
        adopt(w, n);
    }
}

const struct gossip_keys *world_keys_of(const struct world *w, size_t node)
{
    return &w->nodes[node]->keys;
}

bool world_ask_keys(struct world *w, size_t node, uint64_t id, enum gossip_key_op op,
                    const struct gossip_key *key)
{
    struct mu_buf payload = MU_BUF_NONE;
    struct gossip_query_params params = { .name = gossip_key_query_name(op), .is_internal = true };

    gossip_key_request_encode(key, &payload);
    params.payload = mu_buf_span(&payload);
    bool ok = world_query(w, node, id, &params);

    mu_buf_deinit(&payload);
    return ok;
}
