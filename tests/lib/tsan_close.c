/* tsan_close.c - lets the thread sanitizer see what libuv closes.
 *
 * libuv closes by syscall(SYS_close), which the sanitizer does not watch: a number that comes back
 * in another thread then looks like a race with what it stood for before. Linked into the daemon
 * with --wrap=syscall, under that sanitizer only.
 */
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARGUMENTS 6

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    long a[ARGUMENTS];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < ARGUMENTS; i++) {
        a[i] = va_arg(list, long); /* as the C library does: what was not given is not looked at */
    }
    va_end(list);
    if (number == SYS_close) {
        return close((int)a[0]);
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
