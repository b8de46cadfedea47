// A clock of another speed: LD_PRELOAD this, and all clocks of the program begin CLOCK_AHEAD_S seconds ahead and run as many
// times as fast as the file CLOCK_SPEED_FILE says, now; waiting for events ends the sooner for it.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long long seen = -1, gained;

static long long speed(void)
{
    long long times = 1;
    const char *path = getenv("CLOCK_SPEED_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (file) {
        if (fscanf(file, "%lld", &times) != 1 || times < 1)
            times = 1;
        fclose(file);
    }
    return times;
}

// What the clocks are ahead by, in nanoseconds.
static long long ahead(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long long real = now.tv_sec * SECOND + now.tv_nsec;
    pthread_mutex_lock(&lock);
    if (seen < 0) {
        const char *begin = getenv("CLOCK_AHEAD_S");
        gained = begin ? atoll(begin) * SECOND : 0;
    } else {
        gained += (real - seen) * (speed() - 1);
    }
    seen = real;
    long long result = gained;
    pthread_mutex_unlock(&lock);
    return result;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, which, now);
    if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_MONOTONIC || which == CLOCK_BOOTTIME)) {
        long long total = now->tv_sec * SECOND + now->tv_nsec + ahead();
        now->tv_sec = total / SECOND;
        now->tv_nsec = total % SECOND;
    }
    return result;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int milliseconds)
{
    if (milliseconds > 0) {
        long long times = speed();
        milliseconds = (int)((milliseconds + times - 1) / times);
    }
    return (int)syscall(SYS_epoll_pwait, fd, events, most, milliseconds, NULL, 0);
}
