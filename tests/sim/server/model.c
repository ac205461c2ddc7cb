/* model.c - what keys should hold at every index: a few lines that share nothing with the catalog.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

struct version model_at(const struct world *w, size_t key, uint64_t index)
{
    const struct version *list = w->versions[key];
    size_t low = 0;
    size_t high = w->versions_count[key];

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (list[middle].index <= index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? list[low - 1] : (struct version){ .index = 0 };
}

bool model_is_lock(size_t key)
{
    return key_text(key)[0] >= 'c';
}

static void put(struct world *w, size_t key, struct version v)
{
    if (w->versions_count[key] == w->versions_room[key]) {
        w->versions_room[key] = w->versions_room[key] * 2 + 64;
        w->versions[key] =
            mu_grow(w->versions[key], w->versions_room[key] * sizeof *w->versions[key]);
    }
    w->versions[key][w->versions_count[key]++] = v;
}

static void erase(struct world *w, size_t key, uint64_t index)
{
    put(w, key, (struct version){ .index = index });
}

static void erase_tree(struct world *w, size_t key, uint64_t index)
{
    for (size_t i = 0; i < w->keys_count; i++) {
        if (key_text(i)[0] == key_text(key)[0]) {
            erase(w, i, index);
        }
    }
}

/* What it holds is given back, with the values that are there. */
static void session_end(struct world *w, struct op *session, uint64_t index)
{
    for (size_t i = 0; session->is_alive && i < w->keys_count; i++) {
        struct version v = model_at(w, i, index);

        if (v.holder == session->number) {
            put(w, i, (struct version){ .index = index, .value = v.value, .modified = index });
        }
    }
    session->is_alive = false;
}

static bool lock(struct world *w, uint64_t index, const struct op *op, enum mu_code *code)
{
    struct version now = model_at(w, op->key, index);
    struct version then = { .index = index, .value = op->number, .modified = index };

    if (op->kind == OP_RELEASE) {
        if (now.holder == op->session) {
            put(w, op->key, then);
        }
        return now.holder == op->session;
    }
    if (!op_of(w, op->session)->is_alive) {
        *code = MU_NOT_FOUND;
        return false;
    }
    if (now.holder != 0 && now.holder != op->session) {
        return false;
    }
    then.holder = op->session;
    put(w, op->key, then);
    return true;
}

bool model_apply(struct world *w, uint64_t index, struct op *op, enum mu_code *code)
{
    struct version now = model_at(w, op->key, index);
    struct version then = { index, op->number, index, now.holder };
    bool may = true;

    *code = MU_OK;
    switch (op->kind) {
    case OP_GET: MU_UNREACHABLE_CODE();
    case OP_PUT:
    case OP_NEWER: put(w, op->key, then); break;
    case OP_CAS: /* of 0: only a new key */
        may = op->cas == now.modified;
        if (may) {
            put(w, op->key, then);
        }
        break;
    case OP_DELETE: erase(w, op->key, index); break;
    case OP_DELETE_CAS: /* nothing there is as good as deleted */
        may = now.value == 0 || (op->cas != 0 && op->cas == now.modified);
        if (may) {
            erase(w, op->key, index);
        }
        break;
    case OP_DELETE_TREE: erase_tree(w, op->key, index); break;
    case OP_ACQUIRE:
    case OP_RELEASE: return lock(w, index, op, code);
    case OP_SESSION: op->is_alive = true; break;
    case OP_DESTROY: session_end(w, op_of(w, op->session), index); break;
    case OP_REGISTER: break;
    case OP_KINDS: MU_UNREACHABLE_CODE();
    }
    return may;
}
