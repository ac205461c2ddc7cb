/* fuzz_state.c - the state file: as it is, and with good checksums on every line. What was read is
 * written and read again: it must be the same. */
#include "base/crc.h"
#include "kept_again.h"

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

static void check(struct mu_span text)
{
    struct gossip__kept first;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    gossip__state_read(text, &arena, &first);
    kept_again(&first, &arena);
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
