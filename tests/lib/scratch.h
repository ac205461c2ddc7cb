/* scratch.h - directories of a test program, below TMPDIR or /tmp. They go with it, also when a
 * test failed on the way to removing its own.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stddef.h>

/* A new and empty one. Who removes it itself does no harm. The name is good until the program ends.
 */
const char *scratch_dir(void);

/* The same, its name put where the caller wants it. */
void scratch_dir_to(char *path, size_t room);

#endif
