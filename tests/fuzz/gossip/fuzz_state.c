/* fuzz_state.c - the state file: as it is, and with good checksums on every line. What was read is
 * written and read again: it must be the same. */
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void seal_lines(struct mu_span text, struct mu_buf *to)
{
    while (text.bytes > 0) {
        struct mu_span line = mu_span_split(text, '\n', &text, NULL);

        mu_buf_add_span(to, line);
        if (to->bytes > line.bytes) { /* the first line has none */
            mu_buf_addf(to, " #%08x", mu_crc32c(0, line.data, line.bytes));
        }
        mu_buf_add_byte(to, '\n');
    }
}

static void write_again(const struct gossip__kept *s, struct mu_buf *to)
{
    gossip__state_begin(to, &s->clocks, s->has_left);
    for (size_t i = 0; i < s->known_count; i++) {
        struct gossip_view view = { .name = s->known[i].name,
                                    .addr = s->known[i].addr,
                                    .status = GOSSIP_STATUS_ALIVE };

        gossip__state_add(to, &view);
    }
}

static void check(struct mu_span text)
{
    struct gossip__kept first;
    struct gossip__kept second;
    struct mu_arena arena;
    struct mu_buf again = MU_BUF_NONE;

    mu_arena_init(&arena, 0);
    gossip__state_read(text, &arena, &first);
    write_again(&first, &again);
    gossip__state_read(mu_buf_span(&again), &arena, &second);
    MU_ASSERT(second.skipped == 0);
    MU_ASSERT(memcmp(&second.clocks, &first.clocks, sizeof first.clocks) == 0 &&
              second.has_left == first.has_left);
    MU_ASSERT(second.known_count == first.known_count);
    for (size_t i = 0; i < first.known_count; i++) {
        MU_ASSERT(strcmp(first.known[i].name, second.known[i].name) == 0);
        MU_ASSERT(mu_addr_eq(&first.known[i].addr, &second.known[i].addr));
    }
    mu_buf_deinit(&again);
    mu_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_buf sealed = MU_BUF_NONE;

    check(mu_span_of(data, bytes));
    seal_lines(mu_span_of(data, bytes), &sealed);
    check(mu_buf_span(&sealed));
    mu_buf_deinit(&sealed);
    return 0;
}
