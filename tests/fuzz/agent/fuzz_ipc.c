/* Any bytes as an object of Serf's control port: refused, unfinished, or a tree within its bounds
 * whose fields can be asked for as anything. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "agent/ipc_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static size_t count(const struct ipc_value *v, unsigned depth)
{
    size_t total = 1;

    MU_ASSERT(depth <= IPC_DEPTH_MAX);
    if (v->kind == IPC_LIST || v->kind == IPC_MAP) {
        size_t values = v->kind == IPC_MAP ? 2 * v->many.count : v->many.count;

        for (size_t i = 0; i < values; i++) {
            total += count(&v->many.items[i], depth + 1);
        }
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const names[] = { "Command", "Seq", "Tags", "Existing", "Timeout" };
    struct mu_arena arena;
    struct ipc_value value;
    size_t used = 0;

    mu_arena_init(&arena, 0);
    if (ipc_read(mu_span_of(data, bytes), &arena, &value, &used) == IPC_WHOLE) {
        struct ipc_fields f = ipc_fields_of(&value, &arena);

        MU_ASSERT(used > 0 && used <= bytes);
        MU_ASSERT(count(&value, 0) <= IPC_VALUES_MAX + 1);
        for (size_t i = 0; i < MU_LEN(names); i++) {
            (void)ipc_get_u64(&f, names[i]);
            (void)ipc_get_i64(&f, names[i]);
            (void)ipc_get_bool(&f, names[i]);
            (void)ipc_get_bytes(&f, names[i]);
            (void)ipc_get_text(&f, names[i]);
            (void)ipc_get_texts(&f, names[i]);
            (void)ipc_get_pairs(&f, names[i]);
        }
    }
    mu_arena_deinit(&arena);
    return 0;
}
