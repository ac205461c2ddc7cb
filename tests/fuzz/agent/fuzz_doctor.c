/* fuzz_doctor.c - any answer to the question what is wrong: what is read is bounded, and
 * told again it is the same. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "doctor_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct doctor_report report, again;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (doctor_report_read(mu_span_of(data, bytes), &arena, &report, NULL) == MU_OK) {
        MU_ASSERT(report.count <= DOCTOR_REPORT_MAX);
        doctor_report_begin(&text);
        for (size_t i = 0; i < report.count; i++) {
            doctor_report_add(&text, &report.items[i]);
        }
        MU_ASSERT(text.bytes <= DOCTOR_REPORT_BYTES);
        MU_ASSERT(doctor_report_read(mu_buf_span(&text), &arena, &again, NULL) == MU_OK);
        MU_ASSERT(again.count == report.count || again.has_more);
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return 0;
}
