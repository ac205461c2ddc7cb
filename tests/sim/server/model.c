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

static void put(struct world *w, size_t key, uint64_t index, uint64_t value)
{
    if (w->versions_count[key] == w->versions_room[key]) {
        w->versions_room[key] = w->versions_room[key] * 2 + 64;
        w->versions[key] =
            mu_grow(w->versions[key], w->versions_room[key] * sizeof *w->versions[key]);
    }
    w->versions[key][w->versions_count[key]++] =
        (struct version){ index, value, value != 0 ? index : 0 };
}

bool model_apply(struct world *w, uint64_t index, const struct op *op)
{
    struct version now = model_at(w, op->key, index);
    bool may = true;

    switch (op->kind) {
    case OP_GET: MU_UNREACHABLE_CODE();
    case OP_PUT: put(w, op->key, index, op->number); break;
    case OP_CAS: /* of 0: only a new key */
        may = op->cas == now.modified;
        if (may) {
            put(w, op->key, index, op->number);
        }
        break;
    case OP_DELETE: put(w, op->key, index, 0); break;
    case OP_DELETE_CAS: /* nothing there is as good as deleted */
        may = now.value == 0 || (op->cas != 0 && op->cas == now.modified);
        if (may) {
            put(w, op->key, index, 0);
        }
        break;
    case OP_DELETE_TREE:
        for (size_t i = 0; i < w->keys_count; i++) {
            if (key_text(i)[0] == key_text(op->key)[0]) {
                put(w, i, index, 0);
            }
        }
        break;
    case OP_KINDS: MU_UNREACHABLE_CODE();
    }
    return may;
}
