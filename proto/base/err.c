#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

const char *mu_code_text(enum mu_code code)
{
    static const char *const texts[] = {
#define MU_CODE_TEXT(name, text) [MU_##name] = text,
        MU_CODES(MU_CODE_TEXT)
#undef MU_CODE_TEXT
    };

    MU_ASSERT((size_t)code < MU_LEN(texts));
    return texts[code];
}

enum mu_code mu_fail(struct mu_err *err, enum mu_code code, const char *fmt, ...)
{
    va_list args;

    MU_ASSERT(code != MU_OK);
    if (err == NULL) {
        return code;
    }
    err->code = code;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return code;
}

enum mu_code mu_wrap(struct mu_err *err, enum mu_code code, const char *fmt, ...)
{
    char outer[MU_ERR_TEXT_MAX];
    char inner[MU_ERR_TEXT_MAX];
    va_list args;

    MU_ASSERT(code != MU_OK);
    if (err == NULL) {
        return code;
    }
    va_start(args, fmt);
    (void)vsnprintf(outer, sizeof outer, fmt, args);
    va_end(args);
    memcpy(inner, err->text, sizeof inner);
    err->code = code;
    /* Both halves fit a buffer of the same size: the inner one is what gets cut. */
    size_t used = strnlen(outer, sizeof outer - 1);
    memcpy(err->text, outer, used);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    return code;
}
