/* #include <sqlite3.h> */
#include <uv.h>

#include "private.h"
