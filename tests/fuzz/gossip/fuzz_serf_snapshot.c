/* fuzz_serf_snapshot.c - any bytes as Serf's snapshot. Whatever is taken over, our own file can
 * say: written there and read again it is the same. */
#include "kept_again.h"
#include "serf_snapshot.h"

#define SELF "self"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_known(const struct gossip__kept *s)
{
    for (size_t i = 0; i < s->known_count; i++) {
        MU_ASSERT(strcmp(s->known[i].name, SELF) != 0);
        for (size_t k = 0; k < i; k++) {
            MU_ASSERT(strcmp(s->known[i].name, s->known[k].name) != 0);
        }
    }
}

static void check_skipped(const struct gossip__serf_snapshot *s, struct mu_span text)
{
    struct mu_span in = s->skipped_text;

    MU_ASSERT((s->kept.skipped > 0) == (s->skipped_line > 0));
    if (in.bytes > 0) {
        MU_ASSERT(in.data >= text.data && in.data + in.bytes <= text.data + text.bytes);
        MU_ASSERT(memchr(in.data, '\n', in.bytes) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct gossip__serf_snapshot first;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    gossip__serf_snapshot_read(mu_span_of(data, bytes), SELF, &arena, &first);
    check_known(&first.kept);
    check_skipped(&first, mu_span_of(data, bytes));
    kept_again(&first.kept, &arena);
    mu_arena_deinit(&arena);
    return 0;
}
