#include "realtime.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

static void refused(const char *what, const char *needed)
{
    mu_log(MU_WARN, "agent", "realtime: the system refused it", mu_kv("what", what),
           mu_kv("needed", needed), mu_kv("error", strerror(errno)));
}

void realtime_begin(void)
{
    struct sched_param lowest = { .sched_priority = 1 };

    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) != 0) {
        refused("to run before other programs", "CAP_SYS_NICE or LimitRTPRIO");
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) { /* what is used, as it is used */
        refused("to keep memory from being swapped", "CAP_IPC_LOCK or LimitMEMLOCK");
    }
}
