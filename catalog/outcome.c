#include "outcome.h"

#include <string.h>

#include "base/mem.h"

/* Numbers for ever. What is not listed is kept as a conflict: the text says what it was. */
static const enum mu_code codes[] = {
    MU_OK, MU_INVALID, MU_NOT_FOUND, MU_CONFLICT, MU_TOO_BIG, MU_EXISTS, MU_TIMEOUT, MU_UNSUPPORTED,
};
#define CODE_CONFLICT 3
#define CODE_TOO_LONG 255 /* carried out; the answer is not kept */

static uint64_t number_of(enum mu_code code)
{
    for (size_t i = 0; i < MU_LEN(codes); i++) {
        if (codes[i] == code) {
            return i;
        }
    }
    return CODE_CONFLICT;
}

bool catalog__outcome_is_plain(const struct catalog_result *result)
{
    return result->code == MU_OK && result->data.bytes == 0;
}

void catalog__outcome_pack(const struct catalog_result *result, struct row_value *to)
{
    bool is_long = result->data.bytes > OUTCOME_DATA_MAX;

    to[OUTCOME_CODE] = row_number(is_long ? CODE_TOO_LONG : number_of(result->code));
    to[OUTCOME_APPLIED] = row_number(result->did_apply);
    to[OUTCOME_TEXT] = result->text != NULL ? row_bytes(mu_span_text(result->text)) : row_nothing();
    to[OUTCOME_DATA] = is_long ? row_nothing() : row_bytes_or_nothing(mu_buf_span(&result->data));
}

void catalog__outcome_unpack(const struct row_value *from, struct catalog_result *result)
{
    uint64_t number = (uint64_t)from[OUTCOME_CODE].number;
    struct mu_span text = from[OUTCOME_TEXT].bytes;

    if (number == CODE_TOO_LONG) {
        catalog__refuse(result, MU_TIMEOUT,
                        "this request was carried out before; its answer was too long to be kept");
        return;
    }
    if (number > 0) {
        catalog__refuse(result, number < MU_LEN(codes) ? codes[number] : MU_CONFLICT, "%.*s",
                        MU_SPAN_FMT(text));
    }
    result->did_apply = from[OUTCOME_APPLIED].number != 0;
    mu_buf_add_span(&result->data, from[OUTCOME_DATA].bytes);
}
