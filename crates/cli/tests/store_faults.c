// A disk in the hands of a test: LD_PRELOAD this, and writes, flushes and opens of the files whose path begins with
// FAULTS_STORE are counted in the page that FAULTS_PAGE names, and fail with an error of the test's choice from one number on up
// to another. The test reads and writes the page while the program runs.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Little-endian 64-bit numbers at these places of the page.
struct page {
    _Atomic unsigned long long count; // operations so far
    _Atomic unsigned long long from;  // the first that fails
    _Atomic unsigned long long until; // the first behind it that does not
    _Atomic unsigned long long error; // errno
    _Atomic unsigned long long failed; // how many did
};

static struct page *page(void)
{
    static _Atomic(struct page *) mapped;
    struct page *known = atomic_load(&mapped);
    if (known)
        return known;
    const char *path = getenv("FAULTS_PAGE");
    int handle = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (handle < 0)
        return NULL;
    void *memory = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    close(handle);
    if (memory == MAP_FAILED)
        return NULL;
    atomic_store(&mapped, memory);
    return memory;
}

static int is_store(const char *path)
{
    const char *store = getenv("FAULTS_STORE");
    return store && path && strncmp(path, store, strlen(store)) == 0;
}

static int is_store_file(int file)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_store(path);
}

// Counts an operation on the store; whether it is to fail.
static int fails(void)
{
    struct page *shared = page();
    if (!shared)
        return 0;
    unsigned long long number = atomic_fetch_add(&shared->count, 1);
    if (number < atomic_load(&shared->from) || number >= atomic_load(&shared->until))
        return 0;
    atomic_fetch_add(&shared->failed, 1);
    errno = (int)atomic_load(&shared->error);
    return 1;
}

ssize_t write(int file, const void *bytes, size_t length)
{
    if (is_store_file(file) && fails())
        return -1;
    return syscall(SYS_write, file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
    if (is_store_file(file) && fails())
        return -1;
    return syscall(SYS_pwrite64, file, bytes, length, at);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at)
{
    return pwrite64(file, bytes, length, at);
}

int fsync(int file)
{
    if (is_store_file(file) && fails())
        return -1;
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    if (is_store_file(file) && fails())
        return -1;
    return (int)syscall(SYS_fdatasync, file);
}

int ftruncate64(int file, off64_t length)
{
    if (is_store_file(file) && fails())
        return -1;
    return (int)syscall(SYS_ftruncate, file, length);
}

int ftruncate(int file, off_t length)
{
    return ftruncate64(file, length);
}

static int open_with(const char *path, int flags, mode_t mode)
{
    if ((flags & O_ACCMODE) != O_RDONLY && is_store(path) && fails())
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_with(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_with(path, flags, mode);
}
