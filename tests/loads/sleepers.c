/* PROCESSES live for SECONDS and wake up now and then, each at its own moment, together WAKEUPS times a second. They go
 * with their parent, however it ends.
 */
#include "load.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void sleeper(pid_t parent, long long first, long long interval, long long deadline)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (long long at = first; at < deadline; at += interval) {
        struct timespec t = {at / 1000000000LL, at % 1000000000LL};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *usage = "sleepers PROCESSES WAKEUPS SECONDS";
    if (argc != 4) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long count = number(argv[1], usage), rate = number(argv[2], usage), seconds = number(argv[3], usage);
    long long interval = count * 1000000000LL / (rate ? rate : 1), wall = now_ns(), cpu = cpu_ns(1);
    pid_t parent = getpid();
    for (long long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (!pid)
            sleeper(parent, now_ns() + interval * i / count, interval, wall + seconds * 1000000000LL);
    }
    while (wait(NULL) > 0)
        ;
    report("sleepers", count, now_ns() - wall, cpu_ns(1) - cpu, "");
    return 0;
}
