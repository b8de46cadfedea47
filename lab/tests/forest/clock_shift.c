// A clock that is off: LD_PRELOAD this, and the time of day is CLOCK_SHIFT_S seconds ahead. Nothing else changes, so that
// time-outs last as long as ever.
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t which, struct timespec *now)
{
    const char *shift = getenv("CLOCK_SHIFT_S");
    int result = (int)syscall(SYS_clock_gettime, which, now);
    if (result == 0 && which == CLOCK_REALTIME && shift)
        now->tv_sec += atol(shift);
    return result;
}
