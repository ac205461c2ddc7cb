/* leak.h - hands libuv on to a core. */
#include <uv.h>
