/* footprint.h - give back what only the start of a process needed, or what a storm has left.
 *
 * A start touches most of the image once (tables are registered, options parsed, files read) and
 * leaves holes in the heap; a process at rest goes round in a small part of both. The image's pages
 * belong to the page cache, so letting go of them frees page tables and lets the kernel drop them
 * under pressure; what is needed again is mapped again at the next touch. The holes in the heap are
 * this process' own memory.
 *
 * Thread:  any; takes the locks of malloc for as long as the heap is looked through, so it is not
 *          for a thread with a large heap and something to do.
 */
#ifndef MU_BASE_FOOTPRINT_H
#define MU_BASE_FOOTPRINT_H

#include <stdbool.h>
#include <stddef.h>

void mu_footprint_shrink(void);

/* Does the heap hold so many bytes, or more, in pages that nothing lies on? Malloc keeps what a busy
 * time needed, in holes between what lives on. */
bool mu_footprint_is_loose(size_t bytes);

/* For a process that is busy at times, with threads that come to an end of it: malloc keeps no more
 * than a megabyte or so at the end of each thread's heap, where shrinking does not reach, and large
 * blocks are mapped each by itself. */
void mu_footprint_bound(void);

#endif
