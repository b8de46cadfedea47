// Clocks in the hands of a test: LD_PRELOAD this, and the file named by CLOCK_FILE says at any moment, in one line, by how many
// seconds the time of day is ahead, by how many the clocks are that only count what passes, and how many times as fast as
// they should all of them run. What they gain by running fast they keep, and waiting for events ends the sooner for it.
// The file's writer replaces it as a whole; without it the clocks are right.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

struct settings {
    long long day, passed, times;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long long seen = -1, gained;

static struct settings settings(void)
{
    struct settings now = {0, 0, 1};
    const char *path = getenv("CLOCK_FILE");
    char text[96] = {0};
    int handle = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (handle < 0)
        return now;
    if (read(handle, text, sizeof text - 1) > 0)
        sscanf(text, "%lld %lld %lld", &now.day, &now.passed, &now.times);
    close(handle);
    if (now.times < 1)
        now.times = 1;
    return now;
}

// What the clocks gained by running fast, in nanoseconds.
static long long gain(long long times)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    long long real = now.tv_sec * SECOND + now.tv_nsec;
    pthread_mutex_lock(&lock);
    if (seen >= 0)
        gained += (real - seen) * (times - 1);
    seen = real;
    long long result = gained;
    pthread_mutex_unlock(&lock);
    return result;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, which, now);
    int day = which == CLOCK_REALTIME;
    if (result != 0 || !(day || which == CLOCK_MONOTONIC || which == CLOCK_BOOTTIME))
        return result;
    struct settings set = settings();
    long long total = now->tv_sec * SECOND + now->tv_nsec + gain(set.times);
    now->tv_sec = total / SECOND + (day ? set.day : set.passed);
    now->tv_nsec = total % SECOND;
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int milliseconds)
{
    if (milliseconds > 0) {
        long long times = settings().times;
        milliseconds = (int)((milliseconds + times - 1) / times);
    }
    return (int)syscall(SYS_epoll_pwait, fd, events, most, milliseconds, NULL, 0);
}
