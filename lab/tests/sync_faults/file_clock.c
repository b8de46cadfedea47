// A clock that jumps: LD_PRELOAD this, and the time of day is as many seconds ahead as the file named by CLOCK_SHIFT_FILE
// says at the moment. Nothing else changes, so that time-outs last as long as ever.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, which, now);
    const char *file = getenv("CLOCK_SHIFT_FILE");
    if (result != 0 || which != CLOCK_REALTIME || !file)
        return result;
    char text[32] = {0};
    int handle = open(file, O_RDONLY | O_CLOEXEC);
    if (handle >= 0) {
        if (read(handle, text, sizeof text - 1) > 0)
            now->tv_sec += atol(text);
        close(handle);
    }
    return result;
}
