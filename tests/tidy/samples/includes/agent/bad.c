#include <assert.h>
#include <sqlite3.h>
#include <uv.h>

#include "agent/public.h"
#include "leak.h"
