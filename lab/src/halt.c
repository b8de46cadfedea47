// Ends a program exactly between two of its steps: LD_PRELOAD this, and the program is killed instead of writing, for the time with
// the number in HALT_NUMBER (from 0), something that begins with the text in HALT_LINE. The file HALT_MARK is made at that moment.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int written;

ssize_t write(int handle, const void *bytes, size_t len)
{
    const char *line = getenv("HALT_LINE"), *number = getenv("HALT_NUMBER"), *mark = getenv("HALT_MARK");
    if (line && number && mark && len >= strlen(line) && memcmp(bytes, line, strlen(line)) == 0
        && atomic_fetch_add(&written, 1) == atoi(number)) {
        close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    return syscall(SYS_write, handle, bytes, len);
}
