/* abort.h - does a call stop the process with an assertion?
 *
 * The call runs in a child, so that the test goes on.
 */
#ifndef TESTS_ABORT_H
#define TESTS_ABORT_H

#include <stdbool.h>

typedef void abort_fn(void *data);

/* True when `call` ended in SIGABRT; false when it returned. */
bool aborts(abort_fn *call, void *data);

#endif
