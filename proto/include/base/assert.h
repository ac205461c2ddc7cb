/* assert.h - assertions that stay on in release builds.
 *
 * MU_ASSERT states what must hold if our own logic is right. It never judges input. A failed one
 * prints file, line and claim and aborts: restart and replay is the recovery.
 */
#ifndef MU_BASE_ASSERT_H
#define MU_BASE_ASSERT_H

#include <stddef.h>

#define MU_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that contains `member`, from a pointer to the member. */
#define MU_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

_Noreturn void mu_assert_failed(const char *file, int line, const char *claim);

#define MU_ASSERT(claim)                                  \
    do {                                                  \
        if (__builtin_expect(!(claim), 0)) {              \
            mu_assert_failed(__FILE__, __LINE__, #claim); \
        }                                                 \
    } while (0)

/* A place that cannot be reached: after a switch over a complete enum. */
#define MU_UNREACHABLE_CODE() mu_assert_failed(__FILE__, __LINE__, "unreachable")

#endif
