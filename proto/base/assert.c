#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void mu_assert_failed(const char *file, int line, const char *claim)
{
    (void)fprintf(stderr, "muster: assertion failed at %s:%d: %s\n", file, line, claim);
    (void)fflush(stderr);
    abort();
}
