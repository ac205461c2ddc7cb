/* mem.h - small allocations of our own sizing.
 *
 * These abort when the kernel says no: the paths for a failed small malloc are the least tested
 * lines of any program. Sizes that come from outside are compared with a constant of limits.h
 * before they get here.
 *
 * Memory: the caller owns the result and ends it with mu_free(). All bytes are zero.
 */
#ifndef MU_BASE_MEM_H
#define MU_BASE_MEM_H

#include <stddef.h>

void *mu_new(size_t bytes);                     /* zeroed; bytes may be 0 */
void *mu_new_array(size_t count, size_t bytes); /* zeroed; the product is checked */
void *mu_grow(void *ptr, size_t bytes);         /* like realloc; new bytes are NOT zeroed */
char *mu_strdup(const char *text);
char *mu_strndup(const char *text, size_t bytes); /* NUL-terminated copy of exactly `bytes` bytes */
void mu_free(void *ptr);                          /* NULL is fine */

#endif
