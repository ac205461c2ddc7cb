#include <assert.h>
#include <uv.h>
