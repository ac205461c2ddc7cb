/* private.h - seen by *_uv.c only, so it may see libuv. */
#include <uv.h>
