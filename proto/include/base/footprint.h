/* footprint.h - give back what only the start of a process needed.
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

/* Once is enough: what is mapped later is in use. */
void mu_footprint_shrink(void);

#endif
