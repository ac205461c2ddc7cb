/* Whatever decodes as a command encodes again, and decodes to the same; stamping agrees with
 * decoding about what is a command. */
#include <string.h>

#include "base/assert.h"
#include "proto/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct command_origin origin = { .boot = 1, .seq = 2 };
    struct mu_span input = mu_span_of(data, bytes);
    struct mu_buf first = MU_BUF_NONE;
    struct mu_buf second = MU_BUF_NONE;
    struct mu_buf stamped = MU_BUF_NONE;
    struct mu_arena arena;
    struct command c;

    mu_arena_init(&arena, 0);
    enum mu_code rc = command_decode(input, &arena, &c, NULL);
    enum mu_code stamp_rc = command_stamp(input, &origin, 3, &stamped, NULL);

    if (rc == MU_OK) {
        MU_ASSERT(command_encode(&c, &first, NULL) == MU_OK);
        MU_ASSERT(command_decode(mu_buf_span(&first), &arena, &c, NULL) == MU_OK);
        MU_ASSERT(command_encode(&c, &second, NULL) == MU_OK);
        MU_ASSERT(mu_span_eq(mu_buf_span(&first), mu_buf_span(&second)));
        MU_ASSERT(stamp_rc == MU_OK || stamp_rc == MU_TOO_BIG);
    }
    if (stamp_rc == MU_OK) { /* a leader let it into the log: applying it must not stop a server */
        rc = command_decode(mu_buf_span(&stamped), &arena, &c, NULL);
        MU_ASSERT(rc == MU_OK || rc == MU_INVALID);
    }
    mu_buf_deinit(&first);
    mu_buf_deinit(&second);
    mu_buf_deinit(&stamped);
    mu_arena_deinit(&arena);
    return 0;
}
