/* What a TTL check says. Its deadline is kept by check.c: there is nothing to run. */
#include "check_runs.h"

void check_ttl_output(struct mu_buf *to, struct mu_span given, size_t bytes_max)
{
    struct mu_span kept = mu_span_sub(given, 0, bytes_max);

    mu_buf_add_span(to, kept);
    if (kept.bytes < given.bytes) {
        mu_buf_addf(to, " ... (captured %zu of %zu bytes)", kept.bytes, given.bytes);
    }
}

void check_ttl_expired(struct mu_buf *to, struct mu_span last)
{
    mu_buf_add_text(to, "TTL expired");
    if (last.bytes > 0) {
        mu_buf_addf(to, " (last output before timeout follows): %.*s", MU_SPAN_FMT(last));
    }
}
