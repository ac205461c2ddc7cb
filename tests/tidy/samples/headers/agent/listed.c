#include "agent/good.h"
#include "nameless.h"
