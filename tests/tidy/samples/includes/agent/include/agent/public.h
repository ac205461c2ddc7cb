/* public.h - hands libuv on to everybody. */
#include <uv.h>
