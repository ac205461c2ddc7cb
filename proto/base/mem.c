#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void *mu_new(size_t bytes)
{
    void *ptr = calloc(1, bytes > 0 ? bytes : 1);

    MU_ASSERT(ptr != NULL);
    return ptr;
}

void *mu_new_array(size_t count, size_t bytes)
{
    MU_ASSERT(bytes == 0 || count <= SIZE_MAX / bytes);
    return mu_new(count * bytes);
}

void *mu_grow(void *ptr, size_t bytes)
{
    void *grown = realloc(ptr, bytes > 0 ? bytes : 1);

    MU_ASSERT(grown != NULL);
    return grown;
}

char *mu_strndup(const char *text, size_t bytes)
{
    char *copy = mu_new(bytes + 1);

    memcpy(copy, text, bytes);
    return copy;
}

char *mu_strdup(const char *text)
{
    return mu_strndup(text, strlen(text));
}

void mu_free(void *ptr)
{
    free(ptr);
}
